//! Blocks for many queries at once: each number of a key or a value serves all of them.
//!
//! Queries lie side by side, so that a vector holds one number of each: scores, maxima, exponentials
//! and sums of weights need no step across lanes, and the portable order of every query is that of
//! a query alone.
//!
//! 1. Queries are transposed once, in panels of sixteen: `[panel][element][query]`.
//! 2. Keys of a block are widened to rows of whole chunks, unless they are such rows already, and values to
//!    strips of one chunk, so that neither their type nor their place in memory reaches the inner loops.
//! 3. A dot product has sixteen partial sums (element i belongs to number i mod 16), taken one after
//!    the other in the order in which the tree joins them. Fused arithmetic has one for each 64 elements.
//! 4. Scores and weights are `[panel][key][query]`; what no query of a panel sees is left out.
//!
//! Twelve accumulators and what feeds them fit the sixteen registers of AVX2: six keys or queries by two
//! vectors.

mod scores;
mod values;
mod weights;

use scores::scores;
use values::{STRIP, Strips, values};
use weights::weigh;

use super::super::BLOCK;
use super::super::cache::{KeyValues, Rows};
use super::super::state::padded;
use super::{Group, first, own_scale, runs, vector};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes};
use crate::storage::Stored;
use crate::storage::sealed::Widen;

/// The queries of a panel.
pub(in super::super) const PANEL: usize = LANES;

/// The most queries of a tile, counting those of every head.
pub(in super::super) const MOST: usize = 64;

/// For each panel, the keys of a block up to the last that one of its queries sees.
pub(in super::super) type Counts = [usize; MOST / PANEL];

/// Returns the [`Counts`] of queries whose views are a bit for each key.
#[inline(always)]
pub(in super::super) fn counts(views: &[u64; MOST]) -> Counts {
    let mut counts = Counts::default();
    for (count, views) in counts.iter_mut().zip(views.as_chunks::<PANEL>().0) {
        let union = views.iter().fold(0, |union, view| union | view);
        *count = (u64::BITS - union.leading_zeros()) as usize;
    }
    counts
}

/// Vectors of whole chunks, one after the other.
#[derive(Clone, Copy, Debug)]
struct Vectors<'a, T> {
    data: &'a [T],
    dim: usize,
}

impl<'a, T> Vectors<'a, T> {
    /// Returns vector `i`.
    #[inline(always)]
    fn row(self, i: usize) -> &'a [T] {
        vector(self.data, self.dim, i, self.dim)
    }
}

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
    [lanes * BLOCK, longest / LANES * STRIP, lanes * key_dim]
}

/// Returns where the weight of a query for a key of the block lies.
#[inline(always)]
pub(in super::super) const fn place(lane: usize, key: usize) -> usize {
    (lane / PANEL * BLOCK + key) * PANEL + lane % PANEL
}

/// Sums the keys `from..to` of one block into a part, for queries in panels.
///
/// `views` has a bit for each query and key that it sees. `change` changes the scaled scores, and then `seen`
/// has the bits of those whose value is read, given the weights.
pub(in super::super) fn tile_block<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    (views, change, seen): (
        &[u64; MOST],
        Option<impl FnOnce(&mut [T])>,
        impl FnOnce(&[T]) -> [u64; MOST],
    ),
    buffers: &mut Buffers<'_, T>,
    part: &mut [T],
) {
    let Buffers { weights, rows } = buffers;
    let (count, counts) = (to - from, counts(views));
    let keys = keys(cpu, group, memory, (from, to), rows);
    scores(cpu, group, &counts, keys, weights);
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
    weigh(cpu, own, &counts, weights, part);
    let seen = if mapped {
        seen(weights)
    } else {
        [first(count); MOST]
    };
    runs(group, memory, from, to, |run, len, at| {
        multiply(run.values, len, at, weights);
        let (x, dim) = (run.values, group.value_dim);
        let rows = rows.get_mut(at * LANES..).unwrap_or_default();
        cut(cpu, x, len, dim, rows);
    });
    let strips = Strips {
        data: rows,
        dim: padded(group.value_dim),
    };
    values(cpu, &counts, strips, weights, &seen, part);
}

/// Returns the keys of a block as the inner loops want them: where they lie, or widened in the buffer.
fn keys<'a, T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &'a C,
    (from, to): (usize, usize),
    buffer: &'a mut [T],
) -> Vectors<'a, T> {
    let (run, dim) = (memory.run(group.kv_head, from, to), group.key_dim);
    let there = run.len == to - from && run.keys.stride == dim && dim == padded(dim);
    if there && let Some(data) = C::Element::plain(run.keys.data) {
        return Vectors { data, dim };
    }
    runs(group, memory, from, to, |run, len, at| {
        let to = buffer.get_mut(at * padded(dim)..).unwrap_or_default();
        widen(cpu, run.keys, len, dim, to);
    });
    Vectors {
        data: buffer,
        dim: padded(dim),
    }
}

/// Widens vectors to rows of whole chunks, one after the other.
#[inline(never)]
fn widen<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    from: Rows<'_, T, W>,
    len: usize,
    dim: usize,
    to: &mut [T],
) {
    let rows = to.chunks_exact_mut(padded(dim).max(1)).take(len);
    for (row, to) in rows.enumerate() {
        let x = vector(from.data, from.stride, row, dim);
        dispatch!(cpu, isa => chunks(isa, x, to.chunks_exact_mut(LANES)));
    }
}

/// Widens vectors to [`Strips`].
#[inline(never)]
fn cut<T: Scalar, W: Stored<T>>(
    cpu: Cpu,
    from: Rows<'_, T, W>,
    len: usize,
    dim: usize,
    to: &mut [T],
) {
    dispatch!(cpu, isa => cut_all(isa, from, len, dim, to));
}

#[inline(always)]
fn cut_all<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    from: Rows<'_, T, W>,
    len: usize,
    dim: usize,
    to: &mut [T],
) {
    for row in 0..len {
        let x = vector(from.data, from.stride, row, dim);
        let to = to.get_mut(row * LANES..).unwrap_or_default();
        chunks(isa, x, to.chunks_mut(STRIP));
    }
}

/// Widens the chunks of a vector, the last with zeros behind it.
#[inline(always)]
fn chunks<'a, S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    x: &[W],
    mut to: impl Iterator<Item = &'a mut [T]>,
) {
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        let lanes = T::Lanes::<S>::LANES;
        let to = to.next().and_then(<[T]>::first_chunk_mut::<LANES>);
        let Some(to) = to else { break };
        for (x, to) in x.chunks_exact(lanes).zip(to.chunks_exact_mut(lanes)) {
            let v: T::Lanes<S> = W::load(isa, x);
            v.store(to);
        }
    }
    if !rest.is_empty()
        && let Some(to) = to.next().and_then(<[T]>::first_chunk_mut::<LANES>)
    {
        *to = [T::ZERO; LANES];
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
