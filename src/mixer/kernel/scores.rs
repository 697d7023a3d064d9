//! Scores: the dot products of a group's queries with the keys of a block.

use super::super::BLOCK;
use super::super::cache::Rows;
use super::{Group, HEADS, own_scale, vector};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::dot::{DOTS, Vectors, one, tile};
use crate::simd::stream::copy;
use crate::simd::{Isa, LANES, Lanes, prefetch};
use crate::storage::Stored;

/// Short queries, and the longest that are brought side by side; longer ones go one by one.
const SHORT: usize = 128;
const LONGEST: usize = 640;

/// Writes the scores of `len` keys from column `at` of each row of `weights` on.
#[inline(never)]
pub(super) fn scores<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    keys: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    dispatch!(cpu, isa => score(isa, group, keys, len, at, weights));
}

/// Scores the keys for all heads.
#[inline(always)]
fn score<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    group: Group<'_, T>,
    keys: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    if T::Lanes::<S>::LANES == 1 {
        let dim = group.key_dim;
        for (head, weights) in weights.chunks_exact_mut(BLOCK).enumerate() {
            let query = vector(group.query, dim, head, dim);
            for (key, score) in weights.iter_mut().skip(at).take(len).enumerate() {
                *score = one(query, vector(keys.data, keys.stride, key, dim));
            }
        }
    } else if group.key_dim <= SHORT {
        tiles::<_, T, W, { SHORT / LANES }>(isa, group, keys, len, at, weights);
    } else {
        tiles::<_, T, W, { LONGEST / LANES }>(isa, group, keys, len, at, weights);
    }
    if keys.scales.is_empty() {
        return;
    }
    for weights in weights.chunks_exact_mut(BLOCK) {
        for (key, score) in weights.iter_mut().skip(at).take(len).enumerate() {
            *score = own_scale(keys, key) * *score;
        }
    }
}

/// Scores the keys for several heads at a time, whose queries are brought side by side, and for those that are
/// left one by one.
#[inline(always)]
fn tiles<S: Isa, T: Scalar, W: Stored<T>, const CHUNKS: usize>(
    isa: S,
    group: Group<'_, T>,
    keys: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    let dim = group.key_dim;
    let together = if dim <= CHUNKS * LANES {
        group.heads - group.heads % HEADS
    } else {
        0
    };
    let (queries, others) = group
        .query
        .split_at_checked(together * dim)
        .unwrap_or_default();
    let (scores, rest) = weights
        .split_at_mut_checked(together * BLOCK)
        .unwrap_or_default();
    let mut whole = [[[T::ZERO; LANES]; HEADS]; CHUNKS];
    let groups = queries.chunks_exact((HEADS * dim).max(1));
    for (queries, scores) in groups.zip(scores.chunks_exact_mut(HEADS * BLOCK)) {
        let mut end = [[T::ZERO; LANES]; HEADS];
        for (h, query) in queries.chunks_exact(dim.max(1)).enumerate() {
            let (chunks, rest) = query.as_chunks::<LANES>();
            for (to, chunk) in whole.iter_mut().zip(chunks) {
                to[h % HEADS] = *chunk;
            }
            copy(rest, &mut end[h % HEADS]);
        }
        let whole = whole.get(..dim / LANES).unwrap_or_default();
        let queries = (whole, &end);
        dots::<_, T, W, HEADS, { DOTS / HEADS }>(isa, queries, dim, keys, len, at, scores);
    }
    let others = others.chunks_exact(dim.max(1));
    for (query, scores) in others.zip(rest.chunks_exact_mut(BLOCK)) {
        let (whole, rest) = query.as_chunks::<LANES>();
        let mut end = [[T::ZERO; LANES]];
        copy(rest, &mut end[0]);
        let queries = (whole.as_chunks::<1>().0, &end);
        dots::<_, T, W, 1, DOTS>(isa, queries, dim, keys, len, at, scores);
    }
}

/// Writes the dot products of `HEADS` heads with all keys, `KEYS` at a time.
#[inline(never)]
fn dots<S: Isa, T: Scalar, W: Stored<T>, const HEADS: usize, const KEYS: usize>(
    isa: S,
    queries: Vectors<'_, T, HEADS>,
    dim: usize,
    rows: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    isa.vectorize(
        #[inline(always)]
        || {
            let mut scores = [[T::ZERO; BLOCK]; HEADS];
            let mut key = 0;
            while key < len {
                let mut keys = [&[][..]; KEYS];
                for (k, x) in keys.iter_mut().enumerate() {
                    *x = vector(rows.data, rows.stride, (key + k).min(len - 1), dim);
                }
                let dots = tile::<T::Lanes<S>, W, HEADS, KEYS>(
                    isa,
                    queries,
                    keys,
                    dim,
                    #[inline(always)]
                    |k, at, count| {
                        let next = (key + k + BLOCK) * rows.stride + at;
                        prefetch::<T::Lanes<S>, W>(rows.data, next, count);
                    },
                );
                for (h, scores) in scores.iter_mut().enumerate() {
                    for k in 0..KEYS {
                        // Masked, since the compiler does not see that tiles divide a block.
                        scores[(key + k) % BLOCK] = dots[(k * HEADS + h) % DOTS];
                    }
                }
                key += KEYS;
            }
            for (scores, weights) in scores.iter().zip(weights.chunks_exact_mut(BLOCK)) {
                let to = weights.iter_mut().skip(at);
                for (to, &score) in to.zip(scores).take(len) {
                    *to = score;
                }
            }
        },
    );
}
