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

mod scores;
mod values;
mod weights;

use scores::scores;
use values::values;
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

/// The queries of a panel.
pub(in super::super) const PANEL: usize = LANES;

/// The most queries of a tile, counting those of every head.
pub(in super::super) const MOST: usize = 64;

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
