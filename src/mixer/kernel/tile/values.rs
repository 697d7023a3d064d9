//! The weighted values of many queries.

use super::super::super::BLOCK;
use super::super::super::state::{HEADER, padded};
use super::super::{Group, first};
use super::{MOST, PANEL};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes};

/// Queries whose weighted values are summed together.
const TOGETHER: usize = 4;

/// Writes the weighted values of each query, newest first.
#[inline(never)]
pub(super) fn values<T: Scalar>(
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
