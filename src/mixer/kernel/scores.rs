//! Scores: the dot products of a group's queries with the keys of a block.

use core::ops::Range;

use super::super::BLOCK;
use super::super::cache::Rows;
use super::{Group, HEADS, own_scale, vector};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::dot::{DOTS, one, tile};
use crate::simd::{Isa, Lanes, prefetch};
use crate::storage::Stored;

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
    let whole = group.heads - group.heads % HEADS;
    if T::Lanes::<S>::LANES == 1 {
        let dim = group.key_dim;
        for (head, weights) in weights.chunks_exact_mut(BLOCK).enumerate() {
            let query = vector(group.query, dim, head, dim);
            for (key, score) in weights.iter_mut().skip(at).take(len).enumerate() {
                *score = one(query, vector(keys.data, keys.stride, key, dim));
            }
        }
    } else {
        dots::<_, T, W, HEADS, { DOTS / HEADS }>(isa, group, keys, len, at, 0..whole, weights);
        dots::<_, T, W, 1, DOTS>(isa, group, keys, len, at, whole..group.heads, weights);
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

/// Writes the dot products of `HEADS` heads and `KEYS` keys at a time.
#[inline(always)]
fn dots<S: Isa, T: Scalar, W: Stored<T>, const HEADS: usize, const KEYS: usize>(
    isa: S,
    group: Group<'_, T>,
    rows: Rows<'_, T, W>,
    len: usize,
    at: usize,
    heads: Range<usize>,
    weights: &mut [T],
) {
    let dim = group.key_dim;
    let mut head = heads.start;
    while head < heads.end {
        let mut queries = [&[][..]; HEADS];
        for (h, x) in queries.iter_mut().enumerate() {
            *x = vector(group.query, dim, head + h, dim);
        }
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
                |k, at| {
                    let next = (key + k + BLOCK) * rows.stride + at;
                    prefetch::<T::Lanes<S>, W>(rows.data, next, T::Lanes::<S>::LANES);
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
        for (h, scores) in scores.iter().enumerate() {
            let to = weights.get_mut((head + h) * BLOCK + at..);
            let to = to.unwrap_or_default().iter_mut();
            for (to, &score) in to.zip(scores).take(len) {
                *to = score;
            }
        }
        head += HEADS;
    }
}
