//! The inner loops of attention: scores of a block, their weights, the weighted values.
//!
//! Each kernel is compiled once for each instruction set. What is read of a key or a value serves
//! several heads at once, and while a block is computed memory is asked for the next.

use core::ops::Range;

use super::BLOCK;
use super::cache::{KeyValues, Rows, Run};
use super::state::{HEADER, Head, Reference, heads_mut, padded};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::dot::{DOTS, tile};
use crate::simd::{Isa, LANES, Lanes, prefetch};
use crate::storage::Stored;

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
    weigh(cpu, group, to - from, weights, part);
    runs(
        group,
        memory,
        from,
        to,
        #[inline(always)]
        |run, len, at| values(cpu, group, run.values, len, at, weights, part),
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
    dispatch!(cpu, isa => score(isa, group, keys, len, at, weights));
}

/// Heads whose scores and weighted values are taken together. Those that are left go one by one.
const HEADS: usize = 4;

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
        dots::<_, T, W, 1, DOTS>(isa, group, keys, len, at, 0..group.heads, weights);
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
                    ask::<T::Lanes<S>, W>(rows.data, next, T::Lanes::<S>::LANES);
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

/// Asks memory for `count` elements that the next block needs, from `from` on.
///
/// One lane reads too little at a time, and rarely a memory that is far away.
#[inline(always)]
fn ask<V: Lanes, X>(x: &[X], from: usize, count: usize) {
    if V::LANES > 1 {
        prefetch(x, from, count);
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
/// reference, their sum and no values.
#[inline(never)]
fn weigh<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    count: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    let dim = group.value_dim;
    dispatch!(cpu, isa => {
        let mut head = 0;
        while head < group.heads {
            let part = part.get_mut(head * (padded(dim) + HEADER)..).unwrap_or_default();
            let weights = weights.get_mut(head * BLOCK..).unwrap_or_default();
            let mut references = [Reference::NONE; HEADS];
            for (weights, reference) in weights.chunks_exact_mut(BLOCK).zip(&mut references) {
                *reference = weigh_head(isa, group.scale, count, weights);
            }
            let sums = add(weights, count);
            let heads = heads_mut(part, dim).zip(references).zip(sums);
            for (((values, head), reference), sum) in heads {
                values.fill(T::ZERO);
                Head { reference, sum }.write(head);
            }
            head += HEADS;
        }
    });
}

/// Returns the sum of the first `count` weights of each head, newest first.
///
/// The chains of additions hide each other's latency.
#[inline(always)]
fn add<T: Scalar>(weights: &[T], count: usize) -> [T; HEADS] {
    let mut sums = [T::ZERO; HEADS];
    for row in (0..count).rev() {
        for (h, sum) in sums.iter_mut().enumerate() {
            if let Some(&p) = weights.get(h * BLOCK + row) {
                *sum = *sum + p;
            }
        }
    }
    sums
}

/// Turns one head's dot products into weights, returns their reference.
#[inline(always)]
fn weigh_head<S: Isa, T: Scalar>(isa: S, scale: T, count: usize, scores: &mut [T]) -> Reference<T> {
    let lanes = T::Lanes::<S>::LANES;
    let [masked, scale] = [T::NEG_INFINITY, scale].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let vectors = count.div_ceil(lanes);
    for v in scores.chunks_exact_mut(lanes).take(vectors) {
        (scale * T::Lanes::<S>::load(isa, v)).store(v);
    }
    for score in scores.iter_mut().take(vectors * lanes).skip(count) {
        *score = T::NEG_INFINITY;
    }
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
const TOGETHER: usize = 16;

/// The elements that two vectors have at most.
const WIDEST: usize = 2 * LANES;

/// Adds the weighted values of `len` positions to each head, newest first.
#[inline(never)]
fn values<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    rows: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    dispatch!(cpu, isa => value(isa, group, rows, len, at, weights, part));
}

/// Adds the values in tiles of rows.
#[inline(always)]
fn value<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    group: Group<'_, T>,
    rows: Rows<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    let (dim, heads) = (group.value_dim, group.heads);
    if !rows.scales.is_empty() {
        for weights in weights.chunks_exact_mut(BLOCK) {
            let weights = weights.get_mut(at..).unwrap_or_default();
            for (row, p) in weights.iter_mut().enumerate().take(len) {
                *p = *p * own_scale(rows, row);
            }
        }
    }
    let mut end = len;
    while end > 0 {
        let first = end.saturating_sub(TOGETHER);
        let tile = Tile {
            rows,
            first,
            end,
            at,
            dim,
        };
        if T::Lanes::<S>::LANES == 1 {
            let whole = dim - dim % 4;
            tile.add::<_, 1, 4>(isa, 0..heads, 0..whole, weights, part);
            tile.add::<_, 1, 1>(isa, 0..heads, whole..dim, weights, part);
        } else {
            let whole = heads - heads % HEADS;
            tile.add::<_, HEADS, 2>(isa, 0..whole, 0..dim, weights, part);
            tile.add::<_, 1, 2>(isa, whole..heads, 0..dim, weights, part);
        }
        end = first;
    }
}

/// A few rows of values.
#[derive(Clone, Copy, Debug)]
struct Tile<'a, T, W> {
    rows: Rows<'a, T, W>,
    /// The rows of the run, at most [`TOGETHER`].
    first: usize,
    end: usize,
    /// How far behind the start of the weights the run starts.
    at: usize,
    /// The elements of a row.
    dim: usize,
}

impl<T: Scalar, W: Stored<T>> Tile<'_, T, W> {
    /// Adds the rows, the last one first, to `HEADS` heads and `VECTORS` vectors at a time.
    #[inline(always)]
    fn add<S: Isa, const HEADS: usize, const VECTORS: usize>(
        self,
        isa: S,
        heads: Range<usize>,
        columns: Range<usize>,
        weights: &[T],
        part: &mut [T],
    ) {
        let Self {
            rows,
            first,
            end,
            at,
            dim,
        } = self;
        let width = VECTORS * T::Lanes::<S>::LANES;
        let mut head = heads.start;
        while head < heads.end {
            // Beside each other for each row.
            let mut own = [[T::ZERO; HEADS]; TOGETHER];
            for h in 0..HEADS {
                let weights = weights.get((head + h) * BLOCK + at + first..);
                for (own, &p) in own.iter_mut().zip(weights.unwrap_or_default()) {
                    own[h] = p;
                }
            }
            let own = own.get(..end - first).unwrap_or_default();
            let mut column = columns.start;
            while column < columns.end {
                let rest;
                let lines = if column + width <= dim || T::Lanes::<S>::LANES == 1 {
                    let data = rows.data.get(first * rows.stride + column..);
                    Lines {
                        data: data.unwrap_or_default(),
                        stride: rows.stride,
                        ahead: BLOCK * rows.stride,
                    }
                } else {
                    rest = copies(rows, first..end, column..dim);
                    Lines {
                        data: rest.as_flattened(),
                        stride: WIDEST,
                        ahead: 0,
                    }
                };
                let to = part.get_mut(head * (padded(dim) + HEADER)..);
                let to = to.unwrap_or_default();
                strip::<T::Lanes<S>, W, HEADS, VECTORS>(isa, lines, own, to, dim, column);
                column += width;
            }
            head += HEADS;
        }
    }
}

/// A few columns of a few rows.
#[derive(Clone, Copy, Debug)]
struct Lines<'a, W> {
    /// The first row starts here.
    data: &'a [W],
    /// The distance from one row to the next.
    stride: usize,
    /// The distance to what the next block needs.
    ahead: usize,
}

/// Adds weighted rows, the last one first, to `VECTORS` vectors from `column` on of each head.
#[inline(always)]
fn strip<V: Lanes, W: Stored<V::Element>, const HEADS: usize, const VECTORS: usize>(
    isa: V::Isa,
    rows: Lines<'_, W>,
    weights: &[[V::Element; HEADS]],
    part: &mut [V::Element],
    dim: usize,
    column: usize,
) {
    let mut sums = [[V::splat(isa, V::Element::ZERO); VECTORS]; HEADS];
    for (h, sums) in sums.iter_mut().enumerate() {
        let values = part.get(h * (padded(dim) + HEADER)..).unwrap_or_default();
        let values = values.get(..padded(dim)).unwrap_or_default();
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = V::load(isa, values.get(column + v * V::LANES..).unwrap_or_default());
        }
    }
    let mut at = weights.len() * rows.stride;
    for p in weights.iter().rev() {
        at -= rows.stride;
        // All there, which the compiler does not see: leaving is cheaper than a value for it.
        let Some(x) = rows.data.get(at..) else {
            break;
        };
        let Some(x) = x.get(..VECTORS * V::LANES) else {
            break;
        };
        ask::<V, W>(rows.data, at + rows.ahead, VECTORS * V::LANES);
        let mut values = [V::splat(isa, V::Element::ZERO); VECTORS];
        for (v, value) in values.iter_mut().enumerate() {
            *value = W::load(isa, x.get(v * V::LANES..).unwrap_or_default());
        }
        for (sums, &p) in sums.iter_mut().zip(p) {
            let p = V::splat(isa, p);
            for (sum, &value) in sums.iter_mut().zip(&values) {
                *sum = p.mul_add(value, *sum);
            }
        }
    }
    for (h, sums) in sums.iter().enumerate() {
        let values = part
            .get_mut(h * (padded(dim) + HEADER)..)
            .unwrap_or_default();
        let values = values.get_mut(..padded(dim)).unwrap_or_default();
        for (v, sum) in sums.iter().enumerate() {
            sum.store(values.get_mut(column + v * V::LANES..).unwrap_or_default());
        }
    }
}

/// Copies the end of a few rows, where it is shorter than two vectors.
///
/// Compiled once for all instruction sets.
#[inline(never)]
fn copies<T, W: Copy + Default>(
    from: Rows<'_, T, W>,
    rows: Range<usize>,
    columns: Range<usize>,
) -> [[W; WIDEST]; TOGETHER] {
    let mut copies = [[W::default(); WIDEST]; TOGETHER];
    for (row, copy) in rows.zip(&mut copies) {
        let x = vector(from.data, from.stride, row, columns.end);
        let x = x.get(columns.start..).unwrap_or_default();
        for (to, &x) in copy.iter_mut().zip(x) {
            *to = x;
        }
    }
    copies
}
