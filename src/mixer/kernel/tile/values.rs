//! The weighted values of many queries.

use super::super::super::BLOCK;
use super::super::super::state::HEADER;
use super::super::first;
use super::{Counts, MOST, PANEL};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes};

/// The distance of two strips: room for [`BLOCK`] keys and one more, without which the same key's chunks would fight
/// for one place in the nearest cache.
pub(super) const STRIP: usize = (BLOCK + 1) * LANES;

/// Values in strips of one chunk each: `[chunk][key][element]`, [`STRIP`] elements apart.
///
/// A strip and the weights that meet it stay in the nearest cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strips<'a, T> {
    pub(super) data: &'a [T],
    pub(super) dim: usize,
}

/// Writes the weighted values of each query, newest first.
#[inline(never)]
pub(super) fn values<T: Scalar>(
    cpu: Cpu,
    counts: &Counts,
    strips: Strips<'_, T>,
    weights: &[T],
    seen: &[u64; MOST],
    part: &mut [T],
) {
    dispatch!(cpu, isa => value(isa, counts, strips, weights, seen, part));
}

#[inline(always)]
fn value<S: Isa, T: Scalar>(
    isa: S,
    counts: &Counts,
    strips: Strips<'_, T>,
    weights: &[T],
    seen: &[u64; MOST],
    part: &mut [T],
) {
    let width = T::Lanes::<S>::LANES;
    let own = strips.dim + HEADER;
    let strips = strips.data.chunks_exact(STRIP);
    for (chunk, strip) in strips.enumerate().take(own / LANES) {
        let panels = weights.chunks_exact(BLOCK * PANEL).zip(counts);
        for (p, ((panel, &count), seen)) in panels.zip(seen.as_chunks::<PANEL>().0).enumerate() {
            let panel = panel.get(..count * PANEL).unwrap_or_default().as_chunks().0;
            let rows = strip.get(..count * LANES).unwrap_or_default().as_chunks().0;
            let mut lane = 0;
            while lane < PANEL {
                let parts = part.get_mut((p * PANEL + lane) * own..);
                let sum = Sum {
                    rows,
                    panel,
                    seen,
                    lane,
                    chunk,
                    parts: parts.unwrap_or_default(),
                    own,
                };
                if sum.parts.is_empty() {
                    break;
                }
                lane += if width == LANES {
                    sum.write::<T::Lanes<S>, 8, 1>(isa)
                } else if width > 1 && lane + 6 <= PANEL {
                    // Sixteen queries are six, six and four.
                    sum.write::<T::Lanes<S>, 6, 2>(isa)
                } else {
                    sum.write::<T::Lanes<S>, 4, 2>(isa)
                };
            }
        }
    }
}

/// The weighted sums of a strip for a few queries.
struct Sum<'a, T> {
    rows: &'a [[T; LANES]],
    panel: &'a [[T; PANEL]],
    seen: &'a [u64; PANEL],
    /// The first of the queries in its panel.
    lane: usize,
    /// The number of the strip.
    chunk: usize,
    /// The parts from that of the first query on, and the length of each.
    parts: &'a mut [T],
    own: usize,
}

impl<T: Scalar> Sum<'_, T> {
    /// Writes the sums of `QUERIES` queries, `VECTORS` vectors of a chunk at a time; returns how many queries.
    #[inline(always)]
    fn write<V: Lanes<Element = T>, const QUERIES: usize, const VECTORS: usize>(
        mut self,
        isa: V::Isa,
    ) -> usize {
        let whole = first(self.panel.len());
        let mut seen = [whole; QUERIES];
        for (own, &seen) in seen.iter_mut().zip(self.seen.iter().skip(self.lane)) {
            *own = seen;
        }
        let all = seen.iter().fold(whole, |all, own| all & own) == whole;
        for column in (0..LANES).step_by(VECTORS * V::LANES) {
            if all {
                self.add::<V, QUERIES, VECTORS, true>(isa, column, seen);
            } else {
                self.add::<V, QUERIES, VECTORS, false>(isa, column, seen);
            }
        }
        QUERIES
    }

    #[inline(always)]
    fn add<V: Lanes<Element = T>, const QUERIES: usize, const VECTORS: usize, const ALL: bool>(
        &mut self,
        isa: V::Isa,
        column: usize,
        seen: [u64; QUERIES],
    ) {
        let mut sums = [[V::splat(isa, T::ZERO); VECTORS]; QUERIES];
        for (key, (p, row)) in self.panel.iter().zip(self.rows).enumerate().rev() {
            let mut v = [V::splat(isa, T::ZERO); VECTORS];
            for (v, row) in v
                .iter_mut()
                .zip(row.chunks_exact(V::LANES).skip(column / V::LANES))
            {
                *v = V::load(isa, row);
            }
            for (i, (sums, seen)) in sums.iter_mut().zip(seen).enumerate() {
                if ALL || seen >> (key % BLOCK) & 1 == 1 {
                    let p = V::splat(isa, p[(self.lane + i) % PANEL]);
                    for (sum, &v) in sums.iter_mut().zip(&v) {
                        *sum = p.mul_add(v, *sum);
                    }
                }
            }
        }
        let mut parts = self.parts.chunks_exact_mut(self.own.max(1));
        for sums in sums {
            // The number of turns is a constant, so that the sums stay in registers.
            let part = parts.next().unwrap_or_default();
            let to = part.get_mut(self.chunk * LANES + column..);
            let to = to.unwrap_or_default().chunks_exact_mut(V::LANES);
            for (sum, to) in sums.iter().zip(to) {
                sum.store(to);
            }
        }
    }
}
