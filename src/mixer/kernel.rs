//! The inner loops of attention: scores of a block, their weights, the weighted values.
//!
//! Each kernel is compiled once for each instruction set, and each of its loops stands in it once:
//! heads and keys that a tile has too many repeat the last one, and their results are dropped.

use super::BLOCK;
use super::cache::{KeyValues, Rows, Run};
use super::state::{HEADER, Head, Reference, heads_mut, padded};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::dot::{copies, tile};
use crate::simd::{Isa, LANES, Lanes};
use crate::storage::Stored;

/// The bytes that memory hands over together, on most processors.
const LINE: usize = 64;

/// What the kernel knows of one group of query heads and its key/value head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a, T> {
    /// The queries, `[head][key_dim]`.
    pub(super) query: &'a [T],
    pub(super) heads: usize,
    pub(super) key_dim: usize,
    pub(super) value_dim: usize,
    pub(super) scale: T,
    pub(super) kv_head: usize,
}

/// Sums the keys `from..to`, at most [`BLOCK`] positions within one block, into a part.
///
/// `weights` has [`BLOCK`] elements for each head of the group.
pub(super) fn block<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    from: usize,
    to: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    runs(
        group,
        memory,
        from,
        to,
        #[inline(always)]
        |run, len, at| scores(cpu, group, run.keys, len, at, weights),
    );
    weigh(cpu, to - from, group.value_dim, weights, part);
    runs(
        group,
        memory,
        from,
        to,
        #[inline(always)]
        |run, len, at| values(cpu, group.value_dim, run.values, len, at, weights, part),
    );
}

/// Visits the runs of the positions `from..to`, newest first: `visit(run, len, at)` for `len`
/// positions from the one that lies `at` behind `from`.
#[inline(always)]
fn runs<'m, T: Scalar, C: KeyValues<T>>(
    group: Group<'_, T>,
    memory: &'m C,
    from: usize,
    to: usize,
    mut visit: impl FnMut(Run<'m, T, C::Element>, usize, usize),
) {
    let mut end = to;
    while end > from {
        let run = memory.run(group.kv_head, from, end);
        let start = end.saturating_sub(run.len.max(1)).max(from);
        visit(run, end - start, start - from);
        end = start;
    }
}

/// Writes the scores of `len` keys from column `at` of each row of `weights` on.
#[inline(never)]
fn scores<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    keys: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    dispatch!(cpu, isa => {
        // What is dear to load serves several heads at once.
        if W::WIDENS {
            score::<_, T, W, 4, 2>(isa, group, keys, len, at, weights);
        } else {
            score::<_, T, W, 1, 8>(isa, group, keys, len, at, weights);
        }
    });
}

/// Scores the keys in tiles of `HEADS` heads and `KEYS` keys.
#[inline(always)]
fn score<S: Isa, T: Scalar, W: Stored<T>, const HEADS: usize, const KEYS: usize>(
    isa: S,
    group: Group<'_, T>,
    rows: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    let dim = group.key_dim;
    let mut key = 0;
    while key < len {
        let mut keys = [&[][..]; KEYS];
        for (k, x) in keys.iter_mut().enumerate() {
            *x = vector(rows.data, rows.stride, (key + k).min(len - 1), dim);
        }
        let mut head = 0;
        while head < group.heads {
            // Each tile of heads asks for its share of the keys that follow.
            if T::Lanes::<S>::LANES > 1 {
                let share =
                    |head: usize| key + KEYS + head.min(group.heads) * KEYS / group.heads.max(1);
                for next in share(head)..share(head + HEADS).min(len) {
                    touch(vector(rows.data, rows.stride, next, dim));
                }
            }
            let mut queries = [&[][..]; HEADS];
            for (h, x) in queries.iter_mut().enumerate() {
                *x = vector(group.query, dim, (head + h).min(group.heads - 1), dim);
            }
            let dots = tile::<T::Lanes<S>, W, HEADS, KEYS>(isa, queries, keys, dim);
            for (k, dots) in dots.chunks_exact(HEADS).take(len - key).enumerate() {
                let own = own_scale(rows, key + k);
                for (h, &dot) in dots.iter().take(group.heads - head).enumerate() {
                    if let Some(to) = weights.get_mut((head + h) * BLOCK + at + key + k) {
                        *to = group.scale * (own * dot);
                    }
                }
            }
            head += HEADS;
        }
        key += KEYS;
    }
}

/// Reads one element of each line of memory, so that the lines are on their way when they are needed.
#[inline(always)]
fn touch<X: Copy>(x: &[X]) {
    for &first in x.iter().step_by((LINE / size_of::<X>()).max(1)) {
        core::hint::black_box(first);
    }
}

/// Returns vector `i` of `dim` elements.
#[inline(always)]
fn vector<X>(data: &[X], stride: usize, i: usize, dim: usize) -> &[X] {
    let x = data.get(i * stride..).unwrap_or_default();
    x.get(..dim).unwrap_or_default()
}

/// Returns the scale of vector `i`.
#[inline(always)]
fn own_scale<T: Scalar, W>(rows: Rows<'_, T, W>, i: usize) -> T {
    if rows.scales.is_empty() {
        return T::ONE;
    }
    let own = rows.scales.get(i * rows.scale_stride);
    own.copied().unwrap_or(T::NAN)
}

/// Turns the first `count` scores of each head into weights; opens the head's part with their
/// reference and no sum.
#[inline(never)]
fn weigh<T: Scalar>(cpu: Cpu, count: usize, dim: usize, weights: &mut [T], part: &mut [T]) {
    dispatch!(cpu, isa => {
        for ((values, head), weights) in heads_mut(part, dim).zip(weights.chunks_exact_mut(BLOCK)) {
            values.fill(T::ZERO);
            let reference = weigh_head(isa, count, weights);
            Head { reference, sum: T::ZERO }.write(head);
        }
    });
}

/// Turns one head's scores into weights, returns their reference.
#[inline(always)]
fn weigh_head<S: Isa, T: Scalar>(isa: S, count: usize, scores: &mut [T]) -> Reference<T> {
    let lanes = T::Lanes::<S>::LANES;
    let masked = T::Lanes::<S>::splat(isa, T::NEG_INFINITY);
    for score in scores
        .iter_mut()
        .take(count.next_multiple_of(lanes))
        .skip(count)
    {
        *score = T::NEG_INFINITY;
    }
    let vectors = count.div_ceil(lanes);
    let mut max = masked;
    for v in scores.chunks_exact(lanes).take(vectors) {
        max = T::Lanes::<S>::load(isa, v).max(max);
    }
    let mut stored = [T::NEG_INFINITY; LANES];
    max.store(&mut stored);
    let mut max = T::NEG_INFINITY;
    for &lane in stored.iter().take(lanes) {
        max = if max > lane { max } else { lane };
    }
    let reference = Reference::of(max);
    let exp = reference.exp::<T::Lanes<S>>(isa);
    let [zero, center] = [T::ZERO, reference.center].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let mut nan = false;
    for v in scores.chunks_exact_mut(lanes).take(vectors) {
        let score = T::Lanes::<S>::load(isa, v);
        let p = exp.of(isa, score - center);
        nan |= T::Lanes::<S>::any(score.is_nan());
        T::Lanes::<S>::select(score.eq(masked), zero, p).store(v);
    }
    if nan {
        return Reference::of(T::NAN);
    }
    reference
}

/// Rows of values that are visited together, so that an accumulator is loaded once for all of them.
const TOGETHER: usize = 8;

/// Adds the weighted values of `len` positions, and their weights, to each head, newest first.
#[inline(never)]
fn values<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    dim: usize,
    rows: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    dispatch!(cpu, isa => {
        let mut end = len;
        while end >= TOGETHER {
            end -= TOGETHER;
            weighted::<_, T, W, TOGETHER>(isa, dim, rows, end, at, weights, part);
        }
        while end > 0 {
            end -= 1;
            weighted::<_, T, W, 1>(isa, dim, rows, end, at, weights, part);
        }
    });
}

/// Adds `ROWS` weighted values from position `first` of the run on, the last one first.
#[inline(always)]
fn weighted<S: Isa, T: Scalar, W: Stored<T>, const ROWS: usize>(
    isa: S,
    dim: usize,
    rows: Rows<'_, T, W>,
    first: usize,
    at: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    let width = padded(dim) + HEADER;
    // Weights first: their sum is a chain of additions that the columns below do not wait for.
    for (weights, (_, head)) in weights.chunks_exact_mut(BLOCK).zip(heads_mut(part, dim)) {
        let weights = weights.get_mut(at + first..).unwrap_or_default();
        let Some(weights) = weights.first_chunk_mut::<ROWS>() else {
            return;
        };
        let [.., sum] = head;
        for (row, p) in weights.iter_mut().enumerate().rev() {
            *sum = *sum + *p;
            *p = *p * own_scale(rows, first + row);
        }
    }
    let mut data = [&[][..]; ROWS];
    for (row, x) in data.iter_mut().enumerate() {
        *x = vector(rows.data, rows.stride, first + row, dim);
    }
    let mut column = 0;
    while column < dim {
        let mut v = [T::Lanes::<S>::splat(isa, T::ZERO); ROWS];
        if column + T::Lanes::<S>::LANES <= dim {
            for (v, x) in v.iter_mut().zip(data) {
                *v = W::load(isa, x.get(column..).unwrap_or_default());
            }
        } else {
            let rest = copies(data, column);
            for (v, x) in v.iter_mut().zip(&rest) {
                *v = W::load(isa, x);
            }
        }
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        let mut parts = part.chunks_exact_mut(width.max(1));
        let heads = weights.chunks_exact(BLOCK).zip(parts.by_ref());
        for (weights, part) in heads {
            let acc = part.get_mut(column..).unwrap_or_default();
            let mut sum = T::Lanes::<S>::load(isa, acc);
            let weights = weights.get(at + first..).unwrap_or_default();
            let Some(weights) = weights.first_chunk::<ROWS>() else {
                return;
            };
            for (&p, &v) in weights.iter().zip(&v).rev() {
                sum = T::Lanes::<S>::splat(isa, p).mul_add(v, sum);
            }
            sum.store(acc);
        }
        // Each column asks for its share of the rows in front of these, which come next.
        if T::Lanes::<S>::LANES > 1 && first >= ROWS {
            let share = |column: usize| first - ROWS + column.min(dim) * ROWS / dim.max(1);
            for next in share(column)..share(column + T::Lanes::<S>::LANES) {
                touch(vector(rows.data, rows.stride, next, dim));
            }
        }
        column += T::Lanes::<S>::LANES;
    }
}
