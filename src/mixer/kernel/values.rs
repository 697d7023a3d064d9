//! The weighted values of a block.

use core::ops::Range;

use super::super::BLOCK;
use super::super::cache::Rows;
use super::super::state::{HEADER, padded};
use super::{Group, HEADS, own_scale, vector};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes, prefetch};
use crate::storage::Stored;

/// Rows of values that are visited together, so that an accumulator is loaded once for all of them.
const TOGETHER: usize = 16;

/// The elements that two vectors have at most.
const WIDEST: usize = 2 * LANES;

/// Adds the weighted values of `len` positions to each head, newest first.
#[inline(never)]
pub(super) fn values<T: Scalar, W: Stored<T>>(
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
        prefetch::<V, W>(rows.data, at + rows.ahead, VECTORS * V::LANES);
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
