//! The inner loops of attention: scores of a block, their weights, the weighted values.

use super::BLOCK;
use super::cache::{KeyValues, Rows, Run};
use super::state::{HEADER, Head, Reference, heads_mut, padded};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::order::{self, join_lanes};
use crate::simd::{Isa, LANES, Lanes};
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
#[inline(always)]
pub(super) fn block<S: Isa, T: Scalar, C: KeyValues<T>>(
    isa: S,
    group: Group<'_, T>,
    memory: &C,
    from: usize,
    to: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    let count = to - from;
    let mut end = to;
    while end > from {
        let run = memory.run(group.kv_head, from, end);
        let start = end.saturating_sub(run.len.max(1)).max(from);
        scores(isa, group, run, end - start, start - from, weights);
        end = start;
    }
    let heads = heads_mut(part, group.value_dim);
    for ((values, head), weights) in heads.zip(weights.chunks_exact_mut(BLOCK)) {
        values.fill(T::ZERO);
        weigh(isa, weights.get_mut(..count).unwrap_or_default()).write(head);
    }
    let mut end = to;
    while end > from {
        let run = memory.run(group.kv_head, from, end);
        let start = end.saturating_sub(run.len.max(1)).max(from);
        values(isa, group, run, end - start, start - from, weights, part);
        end = start;
    }
}

/// Writes the scores of a run of `len` keys from column `at` of each row of `weights` on.
#[inline(always)]
fn scores<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    group: Group<'_, T>,
    run: Run<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    // Sixteen accumulators where registers are many, eight elsewhere.
    if T::Lanes::<S>::LANES >= LANES {
        score_heads::<S, T, W, 4>(isa, group, run, len, at, weights);
    } else {
        score_heads::<S, T, W, 2>(isa, group, run, len, at, weights);
    }
}

/// Takes the heads of the group four at a time, then two, then one.
#[inline(always)]
fn score_heads<S: Isa, T: Scalar, W: Stored<T>, const KEYS: usize>(
    isa: S,
    group: Group<'_, T>,
    run: Run<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
) {
    let mut head = 0;
    while head + 4 <= group.heads {
        score_tiles::<S, T, W, 4, KEYS>(isa, group, run, len, at, weights, head);
        head += 4;
    }
    if head + 2 <= group.heads {
        score_tiles::<S, T, W, 2, KEYS>(isa, group, run, len, at, weights, head);
        head += 2;
    }
    if head < group.heads {
        score_tiles::<S, T, W, 1, KEYS>(isa, group, run, len, at, weights, head);
    }
}

/// Scores `HEADS` heads against the run, `KEYS` keys at a time.
#[inline(always)]
fn score_tiles<S: Isa, T: Scalar, W: Stored<T>, const HEADS: usize, const KEYS: usize>(
    isa: S,
    group: Group<'_, T>,
    run: Run<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
    head: usize,
) {
    let dim = group.key_dim;
    let query = group.query.get(head * dim..).unwrap_or_default();
    let mut queries = [&[][..]; HEADS];
    for (q, x) in queries.iter_mut().zip(query.chunks_exact(dim.max(1))) {
        *q = x;
    }
    let rows = run.keys;
    let mut i = 0;
    while i + KEYS <= len {
        let mut keys = [&[][..]; KEYS];
        for (k, x) in keys.iter_mut().enumerate() {
            *x = vector(rows, i + k, dim);
        }
        let dots = tile::<T::Lanes<S>, W, HEADS, KEYS>(isa, queries, keys);
        for (k, dots) in dots.iter().enumerate() {
            let column = weights.get_mut(head * BLOCK + at + i + k..);
            put(group.scale, rows, i + k, dots, column.unwrap_or_default());
        }
        i += KEYS;
    }
    while i < len {
        let [dots] = tile::<T::Lanes<S>, W, HEADS, 1>(isa, queries, [vector(rows, i, dim)]);
        let column = weights.get_mut(head * BLOCK + at + i..);
        put(group.scale, rows, i, &dots, column.unwrap_or_default());
        i += 1;
    }
}

/// Returns vector `i`.
#[inline(always)]
fn vector<'a, T, W>(rows: Rows<'a, T, W>, i: usize, dim: usize) -> &'a [W] {
    let data = rows.data.get(i * rows.stride..).unwrap_or_default();
    data.get(..dim).unwrap_or_default()
}

/// Scales the dot products of key `i` with the queries and writes a column of scores.
#[inline(always)]
fn put<T: Scalar, W>(scale: T, rows: Rows<'_, T, W>, i: usize, dots: &[T], column: &mut [T]) {
    let own = if rows.scales.is_empty() {
        T::ONE
    } else {
        let own = rows.scales.get(i * rows.scale_stride);
        own.copied().unwrap_or(T::NAN)
    };
    for (&dot, score) in dots.iter().zip(column.iter_mut().step_by(BLOCK)) {
        *score = scale * (own * dot);
    }
}

/// Returns the dot product of a query and a key.
#[inline(always)]
pub(super) fn dot<V: Lanes, W: Stored<V::Element>>(
    isa: V::Isa,
    query: &[V::Element],
    key: &[W],
) -> V::Element {
    let [[dot]] = tile::<V, W, 1, 1>(isa, [query], [key]);
    dot
}

/// Returns the dot products of each query with each key, in the order of `simd/dot.rs`.
#[inline(always)]
fn tile<V: Lanes, W: Stored<V::Element>, const HEADS: usize, const KEYS: usize>(
    isa: V::Isa,
    queries: [&[V::Element]; HEADS],
    keys: [&[W]; KEYS],
) -> [[V::Element; HEADS]; KEYS] {
    let zero = V::splat(isa, V::Element::ZERO);
    let mut lanes = [[[V::Element::ZERO; LANES]; HEADS]; KEYS];
    let dim = queries.first().map_or(0, |q| q.len());
    let whole = dim / LANES;
    let mut lane = 0;
    while lane < LANES {
        let mut sums = [[zero; HEADS]; KEYS];
        for chunk in 0..whole {
            let at = chunk * LANES + lane;
            let q = queries.map(
                #[inline(always)]
                |q| V::load(isa, q.get(at..).unwrap_or_default()),
            );
            for (sums, key) in sums.iter_mut().zip(&keys) {
                let k: V = W::load(isa, key.get(at..).unwrap_or_default());
                for (sum, &q) in sums.iter_mut().zip(&q) {
                    *sum = q.mul_add(k, *sum);
                }
            }
        }
        if dim % LANES != 0 {
            let at = whole * LANES;
            let q = queries.map(
                #[inline(always)]
                |q| rest::<V, _>(isa, q, at, lane, |x| x),
            );
            for (sums, key) in sums.iter_mut().zip(&keys) {
                let k: V = rest::<V, W>(isa, key, at, lane, W::widen);
                for (sum, &q) in sums.iter_mut().zip(&q) {
                    *sum = q.mul_add(k, *sum);
                }
            }
        }
        for (lanes, sums) in lanes.iter_mut().zip(&sums) {
            for (lanes, sum) in lanes.iter_mut().zip(sums) {
                sum.store(lanes.get_mut(lane..).unwrap_or_default());
            }
        }
        lane += V::LANES;
    }
    lanes.map(
        #[inline(always)]
        |lanes| lanes.map(join_lanes),
    )
}

/// Loads lanes `lane..` of the incomplete group of sixteen that starts at `at`; zeros beyond it.
#[inline(always)]
fn rest<V: Lanes, W: Copy>(
    isa: V::Isa,
    x: &[W],
    at: usize,
    lane: usize,
    widen: impl Fn(W) -> V::Element,
) -> V {
    let mut buffer = [V::Element::ZERO; LANES];
    for (to, &x) in buffer.iter_mut().zip(x.get(at..).unwrap_or_default()) {
        *to = widen(x);
    }
    V::load(isa, buffer.get(lane..).unwrap_or_default())
}

/// Turns scores, oldest key first, into weights; returns their reference and their sum.
#[inline(always)]
pub(super) fn weigh<S: Isa, T: Scalar>(isa: S, scores: &mut [T]) -> Head<T> {
    let max = order::max::<T::Lanes<S>, _>(
        isa,
        &*scores,
        #[inline(always)]
        |v, _| v,
    );
    if max == T::NEG_INFINITY {
        return nothing(scores);
    }
    let reference = Reference::of(max);
    let exp = reference.exp::<T::Lanes<S>>(isa);
    let center = T::Lanes::<S>::splat(isa, reference.center);
    let [zero, masked] = [T::ZERO, T::NEG_INFINITY].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    order::map::<T::Lanes<S>, _>(
        isa,
        &mut *scores,
        #[inline(always)]
        |v, _| Lanes::select(v.eq(masked), zero, exp.of(isa, v - center)),
    );
    let mut sum = T::ZERO;
    for &p in scores.iter().rev() {
        sum = sum + p;
    }
    Head { reference, sum }
}

/// Weighs a block whose greatest score is minus infinity, unless there are NaN beside.
#[cold]
#[inline(never)]
fn nothing<T: Scalar>(scores: &mut [T]) -> Head<T> {
    if scores.iter().all(|s| s == s) {
        scores.fill(T::ZERO);
        return Head::NONE;
    }
    scores.fill(T::NAN);
    Head {
        reference: Reference::of(T::NAN),
        sum: T::NAN,
    }
}

/// Rows of values that are visited together, so that accumulators stay in registers meanwhile.
const TOGETHER: usize = 8;

/// Adds the weighted values of a run of `len` positions to the accumulators, newest first.
#[inline(always)]
fn values<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    group: Group<'_, T>,
    run: Run<'_, T, W>,
    len: usize,
    at: usize,
    weights: &mut [T],
    acc: &mut [T],
) {
    let rows = run.values;
    if !rows.scales.is_empty() {
        for weights in weights.chunks_exact_mut(BLOCK) {
            let weights = weights.get_mut(at..at + len).unwrap_or_default();
            let scales = rows.scales.iter().step_by(rows.scale_stride.max(1));
            for (p, &scale) in weights.iter_mut().zip(scales) {
                *p = *p * scale;
            }
        }
    }
    let width = padded(group.value_dim) + HEADER;
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(TOGETHER);
        let data = rows.data.get(start * rows.stride..).unwrap_or_default();
        let columns = at + start..at + end;
        let mut head = 0;
        while head + 4 <= group.heads {
            let w = row_of::<T, 4>(weights, head, BLOCK, columns.clone());
            let acc = acc.get_mut(head * width..).unwrap_or_default();
            weighted::<S, T, W, 4>(isa, w, data, rows.stride, group.value_dim, acc);
            head += 4;
        }
        if head + 2 <= group.heads {
            let w = row_of::<T, 2>(weights, head, BLOCK, columns.clone());
            let acc = acc.get_mut(head * width..).unwrap_or_default();
            weighted::<S, T, W, 2>(isa, w, data, rows.stride, group.value_dim, acc);
            head += 2;
        }
        if head < group.heads {
            let w = row_of::<T, 1>(weights, head, BLOCK, columns.clone());
            let acc = acc.get_mut(head * width..).unwrap_or_default();
            weighted::<S, T, W, 1>(isa, w, data, rows.stride, group.value_dim, acc);
        }
        end = start;
    }
}

/// Returns the columns of consecutive rows.
#[inline(always)]
fn row_of<T, const N: usize>(
    x: &[T],
    first: usize,
    stride: usize,
    columns: core::ops::Range<usize>,
) -> [&[T]; N] {
    let mut rows = [&[][..]; N];
    for (i, row) in rows.iter_mut().enumerate() {
        let x = x.get((first + i) * stride..).unwrap_or_default();
        *row = x.get(columns.clone()).unwrap_or_default();
    }
    rows
}

/// Adds `sum_i weights[h][i] * row_i` to the accumulator of each head, the last row first.
#[inline(always)]
fn weighted<S: Isa, T: Scalar, W: Stored<T>, const HEADS: usize>(
    isa: S,
    weights: [&[T]; HEADS],
    data: &[W],
    stride: usize,
    dim: usize,
    acc: &mut [T],
) {
    let n = T::Lanes::<S>::LANES;
    let mut at = 0;
    while at + 2 * n <= dim {
        stripe::<T::Lanes<S>, W, HEADS, 2>(isa, weights, data, stride, dim, at, acc);
        at += 2 * n;
    }
    while at < dim {
        stripe::<T::Lanes<S>, W, HEADS, 1>(isa, weights, data, stride, dim, at, acc);
        at += n;
    }
}

/// Takes the elements from `at` on, `VECTORS` native vectors of them.
#[inline(always)]
fn stripe<V: Lanes, W: Stored<V::Element>, const HEADS: usize, const VECTORS: usize>(
    isa: V::Isa,
    weights: [&[V::Element]; HEADS],
    data: &[W],
    stride: usize,
    dim: usize,
    at: usize,
    acc: &mut [V::Element],
) {
    let width = padded(dim) + HEADER;
    let whole = at + VECTORS * V::LANES <= dim;
    let mut sums = [[V::splat(isa, V::Element::ZERO); VECTORS]; HEADS];
    for (sums, acc) in sums.iter_mut().zip(acc.chunks_exact(width.max(1))) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = V::load(isa, acc.get(at + i * V::LANES..).unwrap_or_default());
        }
    }
    let count = weights.first().map_or(0, |w| w.len());
    for row in (0..count).rev() {
        let x = data.get(row * stride..).unwrap_or_default();
        let x = x.get(..dim).unwrap_or_default();
        let mut v = [V::splat(isa, V::Element::ZERO); VECTORS];
        for (i, v) in v.iter_mut().enumerate() {
            let at = at + i * V::LANES;
            *v = if whole {
                W::load(isa, x.get(at..).unwrap_or_default())
            } else {
                rest::<V, W>(isa, x, at, 0, W::widen)
            };
        }
        for (sums, weights) in sums.iter_mut().zip(&weights) {
            let p = weights.get(row).copied().unwrap_or(V::Element::NAN);
            let p = V::splat(isa, p);
            for (sum, &v) in sums.iter_mut().zip(&v) {
                *sum = p.mul_add(v, *sum);
            }
        }
    }
    for (sums, acc) in sums.iter().zip(acc.chunks_exact_mut(width.max(1))) {
        for (i, sum) in sums.iter().enumerate() {
            sum.store(acc.get_mut(at + i * V::LANES..).unwrap_or_default());
        }
    }
}
