//! Blocks for many queries at once: each number of a key or a value serves all of them.
//!
//! Queries lie side by side, so that a vector holds one number of each: scores, maxima, exponentials
//! and sums of weights need no step across lanes, and the portable order of every query is that of
//! a query alone.
//!
//! 1. Queries are transposed once, in panels of sixteen: `[panel][element][query]`.
//! 2. Keys and values of a block are widened to rows of whole chunks, so that neither their type nor
//!    their place in memory reaches the inner loops.
//! 3. A dot product has sixteen partial sums (element i belongs to number i mod 16), taken one after
//!    the other in the order in which the tree joins them. Fused arithmetic takes four at once.
//! 4. Scores and weights are `[panel][key][query]`.

use super::super::BLOCK;
use super::super::cache::{KeyValues, Rows};
use super::super::state::{HEADER, Head, Reference, padded};
use super::{Group, first, own_scale, runs, vector};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::math::exp::ScaledExp;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes};
use crate::storage::Stored;

/// The queries of a panel.
pub(in super::super) const PANEL: usize = LANES;

/// The most queries of a tile, counting those of every head.
pub(in super::super) const MOST: usize = 64;

/// The partial sums of a dot product in the order in which a tree joins neighbors.
const ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/// The heights of the subtrees of [`ORDER`], the whole tree aside.
const HEIGHTS: usize = 4;

/// Queries whose weighted values are summed together.
const TOGETHER: usize = 4;

/// What a tile works in.
pub(in super::super) struct Buffers<'a, T> {
    /// Scores and weights: [`BLOCK`] for each query, in whole panels.
    pub(in super::super) weights: &'a mut [T],
    /// The keys, then the values of a block.
    pub(in super::super) rows: &'a mut [T],
}

/// Returns the elements of [`Buffers`] and of the panels of queries.
pub(in super::super) const fn lens(lanes: usize, key_dim: usize, value_dim: usize) -> [usize; 3] {
    let lanes = lanes.next_multiple_of(PANEL);
    let (key_dim, value_dim) = (padded(key_dim), padded(value_dim));
    let longest = if key_dim > value_dim {
        key_dim
    } else {
        value_dim
    };
    [lanes * BLOCK, longest * BLOCK, lanes * key_dim]
}

/// Returns where the weight of a query for a key of the block lies.
#[inline(always)]
pub(in super::super) const fn place(lane: usize, key: usize) -> usize {
    (lane / PANEL * BLOCK + key) * PANEL + lane % PANEL
}

/// Sums the keys `from..to` of one block into a part, for queries in panels.
///
/// `change` changes the scaled scores, and then `seen` has a bit for each query and key whose value is
/// read, given the weights.
pub(in super::super) fn tile_block<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    (change, seen): (
        Option<impl FnOnce(&mut [T])>,
        impl FnOnce(&[T]) -> [u64; MOST],
    ),
    buffers: &mut Buffers<'_, T>,
    part: &mut [T],
) {
    let Buffers { weights, rows } = buffers;
    let count = to - from;
    let (key_len, value_len) = (padded(group.key_dim), padded(group.value_dim));
    runs(group, memory, from, to, |run, len, at| {
        let rows = rows.get_mut(at * key_len..).unwrap_or_default();
        widen(cpu, run.keys, len, group.key_dim, rows);
    });
    scores(cpu, group, count, rows, weights);
    runs(group, memory, from, to, |run, len, at| {
        multiply(run.keys, len, at, weights);
    });
    let mapped = change.is_some();
    let mut own = group;
    if let Some(change) = change {
        own.scale = T::ONE;
        scale(cpu, group.scale, weights);
        change(weights);
    }
    weigh(cpu, own, count, weights, part);
    let seen = if mapped {
        seen(weights)
    } else {
        [first(count); MOST]
    };
    runs(group, memory, from, to, |run, len, at| {
        multiply(run.values, len, at, weights);
        let rows = rows.get_mut(at * value_len..).unwrap_or_default();
        widen(cpu, run.values, len, group.value_dim, rows);
    });
    values(cpu, group, count, rows, weights, &seen, part);
}

/// Widens `len` vectors to rows of whole chunks.
#[inline(never)]
fn widen<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    from: Rows<'_, T, W>,
    len: usize,
    dim: usize,
    to: &mut [T],
) {
    dispatch!(cpu, isa => widen_all(isa, from, len, dim, to));
}

#[inline(always)]
fn widen_all<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    from: Rows<'_, T, W>,
    len: usize,
    dim: usize,
    to: &mut [T],
) {
    let rows = to.chunks_exact_mut(padded(dim).max(1)).take(len);
    for (row, to) in rows.enumerate() {
        let x = vector(from.data, from.stride, row, dim);
        let lanes = T::Lanes::<S>::LANES;
        let whole = x.len() - x.len() % lanes;
        let (whole, rest) = x.split_at_checked(whole).unwrap_or_default();
        for (x, to) in whole.chunks_exact(lanes).zip(to.chunks_exact_mut(lanes)) {
            let v: T::Lanes<S> = W::load(isa, x);
            v.store(to);
        }
        let to = to.get_mut(whole.len()..).unwrap_or_default();
        to.fill(T::ZERO);
        for (to, x) in to.iter_mut().zip(rest) {
            *to = x.widen();
        }
    }
}

/// Multiplies the scores or weights of each key by its scale, where there are scales.
fn multiply<T: Scalar, W: Copy>(rows: Rows<'_, T, W>, len: usize, at: usize, weights: &mut [T]) {
    if rows.scales.is_empty() {
        return;
    }
    for weights in weights.chunks_exact_mut(BLOCK * PANEL) {
        let keys = weights.chunks_exact_mut(PANEL).skip(at).take(len);
        for (key, weights) in keys.enumerate() {
            let own = own_scale(rows, key);
            for p in weights {
                *p = own * *p;
            }
        }
    }
}

/// Multiplies every score by the scale.
#[inline(never)]
fn scale<T: Scalar>(cpu: Cpu, scale: T, weights: &mut [T]) {
    dispatch!(cpu, isa => scale_all(isa, scale, weights));
}

#[inline(always)]
fn scale_all<S: Isa, T: Scalar>(isa: S, scale: T, weights: &mut [T]) {
    let scale = T::Lanes::<S>::splat(isa, scale);
    for v in weights.chunks_exact_mut(T::Lanes::<S>::LANES) {
        (scale * T::Lanes::<S>::load(isa, v)).store(v);
    }
}

/// Writes the dot products of every query with the first `count` rows.
#[inline(never)]
fn scores<T: Scalar>(cpu: Cpu, group: Group<'_, T>, count: usize, rows: &[T], weights: &mut [T]) {
    dispatch!(cpu, isa => score_all(isa, group, count, rows, weights));
}

#[inline(always)]
fn score_all<S: Isa, T: Scalar>(
    isa: S,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &mut [T],
) {
    if T::Lanes::<S>::LANES == PANEL {
        score::<_, _, 8, 1>(isa, group, count, rows, weights);
    } else {
        score::<_, _, 4, 2>(isa, group, count, rows, weights);
    }
}

/// Writes the dot products, `KEYS` keys and `VECTORS` vectors of queries at a time.
#[inline(always)]
fn score<S: Isa, T: Scalar, const KEYS: usize, const VECTORS: usize>(
    isa: S,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &mut [T],
) {
    let dim = padded(group.key_dim);
    let panels = group.query.chunks_exact((dim * PANEL).max(1));
    let mut weights = weights.chunks_exact_mut(BLOCK * PANEL);
    for query in panels {
        let weights = weights.next().unwrap_or_default();
        let query = query.as_chunks::<PANEL>().0.as_chunks::<LANES>().0;
        let mut key = 0;
        while key < count {
            let mut keys = [&[][..]; KEYS];
            for (k, x) in keys.iter_mut().enumerate() {
                let row = rows.get((key + k).min(count - 1) * dim..);
                *x = row
                    .and_then(|row| row.get(..dim))
                    .unwrap_or_default()
                    .as_chunks()
                    .0;
            }
            for column in (0..PANEL).step_by(VECTORS * T::Lanes::<S>::LANES) {
                let dots = dots::<T::Lanes<S>, KEYS, VECTORS>(isa, query, keys, column);
                let to = weights.chunks_exact_mut(PANEL).skip(key);
                for (dots, to) in dots.iter().zip(to) {
                    let to = to.get_mut(column..).unwrap_or_default();
                    let to = to.chunks_exact_mut(T::Lanes::<S>::LANES);
                    dots.iter().zip(to).for_each(|(dot, to)| dot.store(to));
                }
            }
            key += KEYS;
        }
    }
}

/// Returns the dot products of keys with the queries from `column` of a panel on.
#[inline(always)]
fn dots<V: Lanes, const KEYS: usize, const VECTORS: usize>(
    isa: V::Isa,
    query: &[[[V::Element; PANEL]; LANES]],
    keys: [&[[V::Element; LANES]]; KEYS],
    column: usize,
) -> [[V; VECTORS]; KEYS] {
    let mut keys = keys;
    for x in &mut keys {
        let Some(same) = x.get(..query.len()) else {
            return [[V::splat(isa, V::Element::NAN); VECTORS]; KEYS];
        };
        *x = same;
    }
    // The partial sums that share a chain of additions.
    let chain = if V::Isa::FUSED { 4 } else { 1 };
    // The sum of a complete subtree of each height, in memory.
    let mut subtrees = [[[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS]; HEIGHTS];
    let mut whole = subtrees[0];
    for (number, lanes) in ORDER.chunks_exact(chain).enumerate() {
        let mut sums = add::<V, KEYS, VECTORS>(isa, query, keys, column, lanes);
        let mut height = 0;
        while number >> height & 1 == 1 {
            for (sums, others) in sums.iter_mut().zip(&subtrees[height % HEIGHTS]) {
                for (sum, &other) in sums.iter_mut().zip(others) {
                    *sum = other + *sum;
                }
            }
            height += 1;
        }
        subtrees[height % HEIGHTS] = sums;
        whole = sums;
    }
    whole
}

/// Returns the products of the elements whose number modulo sixteen is among `lanes`, added up.
#[inline(always)]
fn add<V: Lanes, const KEYS: usize, const VECTORS: usize>(
    isa: V::Isa,
    query: &[[[V::Element; PANEL]; LANES]],
    keys: [&[[V::Element; LANES]]; KEYS],
    column: usize,
    lanes: &[usize],
) -> [[V; VECTORS]; KEYS] {
    let mut sums = [[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS];
    for &lane in lanes {
        for (c, query) in query.iter().enumerate() {
            let query = query[lane % LANES].chunks_exact(V::LANES);
            let mut v = [V::splat(isa, V::Element::ZERO); VECTORS];
            for (v, query) in v.iter_mut().zip(query.skip(column / V::LANES)) {
                *v = V::load(isa, query);
            }
            let Some(k) = numbers(keys, c, lane) else {
                break;
            };
            for (&k, sums) in k.iter().zip(&mut sums) {
                let k = V::splat(isa, k);
                for (sum, &v) in sums.iter_mut().zip(&v) {
                    *sum = v.mul_add(k, *sum);
                }
            }
        }
    }
    sums
}

/// Returns one element of each key.
///
/// All are there, which the compiler does not see: leaving is cheaper than a value for it.
#[inline(always)]
fn numbers<T: Scalar, const KEYS: usize>(
    keys: [&[[T; LANES]]; KEYS],
    chunk: usize,
    lane: usize,
) -> Option<[T; KEYS]> {
    let mut numbers = [T::ZERO; KEYS];
    for (number, x) in numbers.iter_mut().zip(keys) {
        *number = x.get(chunk)?[lane % LANES];
    }
    Some(numbers)
}

/// Turns scores into weights; opens the part of each query with reference and sum.
#[inline(never)]
fn weigh<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    count: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    dispatch!(cpu, isa => weigh_all(isa, group, count, weights, part));
}

#[inline(always)]
fn weigh_all<S: Isa, T: Scalar>(
    isa: S,
    group: Group<'_, T>,
    count: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    let lanes = T::Lanes::<S>::LANES;
    let mut parts = part.chunks_exact_mut((padded(group.value_dim) + HEADER).max(1));
    for panel in weights.chunks_exact_mut(BLOCK * PANEL) {
        for column in (0..PANEL).step_by(lanes) {
            let heads = weigh_column(isa, group.scale, count, column, panel);
            for head in heads.iter().take(lanes) {
                if let Some((_, to)) = parts.next().and_then(<[T]>::split_last_chunk_mut) {
                    head.write(to);
                }
            }
        }
    }
}

/// Turns the scores of one vector of queries into weights, returns their references and sums.
#[inline(always)]
fn weigh_column<S: Isa, T: Scalar>(
    isa: S,
    scale: T,
    count: usize,
    column: usize,
    panel: &mut [T],
) -> [Head<T>; PANEL] {
    let lanes = T::Lanes::<S>::LANES;
    let [masked, zero, scale] = [T::NEG_INFINITY, T::ZERO, scale].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let rows = panel.as_chunks_mut::<PANEL>().0;
    let rows = rows.get_mut(..count).unwrap_or_default();
    let mut max = masked;
    for row in &mut *rows {
        let Some(v) = row.chunks_exact_mut(lanes).nth(column / lanes) else {
            break;
        };
        let score = scale * T::Lanes::<S>::load(isa, v);
        score.store(v);
        max = score.max(max);
    }
    let mut greatest = [T::NEG_INFINITY; PANEL];
    max.store(&mut greatest);
    let mut heads = [Head::NONE; PANEL];
    let (mut centers, mut exponents) = ([T::ZERO; PANEL], [T::ZERO; PANEL]);
    let references = centers.iter_mut().zip(&mut exponents);
    for ((head, &max), (center, exponent)) in heads.iter_mut().zip(&greatest).zip(references) {
        head.reference = Reference::of(max);
        *center = head.reference.center;
        if head.reference.exponent != T::NEG_INFINITY {
            *exponent = head.reference.exponent;
        }
    }
    let center = T::Lanes::<S>::load(isa, &centers);
    let exponent = T::Lanes::<S>::load(isa, &exponents);
    let exp = ScaledExp::<T::Lanes<S>>::unraised_each(isa, exponent);
    let mut nan = zero.lt(zero);
    let mut sum = zero;
    for row in rows.iter_mut().rev() {
        let Some(v) = row.chunks_exact_mut(lanes).nth(column / lanes) else {
            break;
        };
        let score = T::Lanes::<S>::load(isa, v);
        let p = exp.of(isa, score - center);
        nan = T::Lanes::<S>::or(nan, score.is_nan());
        let p = T::Lanes::<S>::select(score.eq(masked), zero, p);
        p.store(v);
        sum = sum + p;
    }
    let mut sums = [T::ZERO; PANEL];
    sum.store(&mut sums);
    let nan = T::Lanes::<S>::bits(nan);
    for (i, (head, &sum)) in heads.iter_mut().zip(&sums).take(lanes).enumerate() {
        head.sum = sum;
        if nan >> i & 1 == 1 {
            head.reference = Reference::of(T::NAN);
        }
    }
    heads
}

/// Writes the weighted values of each query, newest first.
#[inline(never)]
fn values<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &[T],
    seen: &[u64; MOST],
    part: &mut [T],
) {
    dispatch!(cpu, isa => value(isa, group, count, rows, weights, seen, part));
}

#[inline(always)]
fn value<S: Isa, T: Scalar>(
    isa: S,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &[T],
    seen: &[u64; MOST],
    part: &mut [T],
) {
    let dim = padded(group.value_dim);
    let whole = first(count);
    let parts = part.chunks_mut((TOGETHER * (dim + HEADER)).max(1));
    let rows = rows.get(..count * dim).unwrap_or_default();
    for (quad, part) in parts.enumerate().take(MOST / TOGETHER) {
        let lane = quad * TOGETHER;
        let panel = weights
            .get(lane / PANEL * BLOCK * PANEL..)
            .unwrap_or_default();
        let panel = panel.get(..count * PANEL).unwrap_or_default().as_chunks().0;
        let mut own = [whole; TOGETHER];
        for (own, &seen) in own.iter_mut().zip(seen.get(lane..).unwrap_or_default()) {
            *own = seen;
        }
        let strip = Strip {
            rows,
            dim,
            panel,
            lane: lane % PANEL,
            seen: own,
            all: own.iter().fold(whole, |all, own| all & own) == whole,
        };
        let width = T::Lanes::<S>::LANES;
        let mut column = 0;
        while column + 2 * width <= dim {
            if strip.all {
                strip.sum::<T::Lanes<S>, 2, true>(isa, column, part);
            } else {
                strip.sum::<T::Lanes<S>, 2, false>(isa, column, part);
            }
            column += 2 * width;
        }
        while column < dim {
            strip.sum::<T::Lanes<S>, 1, false>(isa, column, part);
            column += width;
        }
    }
}

/// What the weighted values of a few queries come from.
#[derive(Clone, Copy)]
struct Strip<'a, T> {
    rows: &'a [T],
    dim: usize,
    panel: &'a [[T; PANEL]],
    /// The first of the queries in its panel.
    lane: usize,
    seen: [u64; TOGETHER],
    /// Whether every query sees every key.
    all: bool,
}

impl<T: Scalar> Strip<'_, T> {
    /// Writes `VECTORS` vectors from `column` on of each query.
    #[inline(always)]
    fn sum<V: Lanes<Element = T>, const VECTORS: usize, const ALL: bool>(
        self,
        isa: V::Isa,
        column: usize,
        part: &mut [T],
    ) {
        let mut sums = [[V::splat(isa, T::ZERO); VECTORS]; TOGETHER];
        let rows = self.rows.chunks_exact(self.dim.max(1));
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        let mut rows = rows.rev();
        for (key, p) in self.panel.iter().enumerate().rev() {
            let row = rows.next().and_then(|row| row.get(column..));
            let row = row.and_then(|row| row.get(..VECTORS * V::LANES));
            let Some(row) = row else { break };
            let mut v = [V::splat(isa, T::ZERO); VECTORS];
            for (v, row) in v.iter_mut().zip(row.chunks_exact(V::LANES)) {
                *v = V::load(isa, row);
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                if ALL || self.seen[i] >> (key % BLOCK) & 1 == 1 {
                    let p = V::splat(isa, p[(self.lane + i) % PANEL]);
                    for (sum, &v) in sums.iter_mut().zip(&v) {
                        *sum = p.mul_add(v, *sum);
                    }
                }
            }
        }
        let mut parts = part.chunks_exact_mut(self.dim + HEADER);
        for sums in sums {
            // The number of turns is a constant, so that the sums stay in registers.
            let part = parts.next().unwrap_or_default();
            let to = part.get_mut(column..self.dim).unwrap_or_default();
            for (sum, to) in sums.iter().zip(to.chunks_exact_mut(V::LANES)) {
                sum.store(to);
            }
        }
    }
}
