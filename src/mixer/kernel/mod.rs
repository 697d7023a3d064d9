//! The inner loops of attention: scores of a block, their weights, the weighted values.
//!
//! Each kernel is compiled once for each instruction set. What is read of a key or a value serves
//! several heads at once, and while a block is computed memory is asked for the next.

mod mapped;
mod scores;
mod tile;
mod values;
mod weights;

pub(super) use mapped::{first, key_sums, mapped_block, scaled_scores, value_scores};
use scores::scores;
pub(super) use tile::{Buffers, MOST, PANEL, lens, place, tile_block};
use values::values;
use weights::weigh;

use super::cache::{KeyValues, Rows, Run};
use crate::Cpu;
use crate::scalar::Scalar;

/// Heads whose scores and weighted values are taken together. Those that are left go one by one.
const HEADS: usize = 4;

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
