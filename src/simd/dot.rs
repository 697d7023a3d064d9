//! Dot products in the portable order: the inner loop of matrix-vector products and of attention.
//!
//! Lane j of sixteen adds the products of elements j, j + 16, j + 32, ... one after the other, from
//! zero; the sixteen lanes join as the tree of `order.rs`. Missing elements add zero. Several rows
//! at once share the loads of the vector and hide the latency of the additions.

use super::order::join;
use super::{LANES, Lanes};
use crate::scalar::sealed::Compute;
use crate::storage::Stored;

/// Returns the dot products of `x` with each of `rows`, which have its length.
#[inline(always)]
pub(crate) fn dots<V: Lanes, W: Stored<V::Element>, const ROWS: usize>(
    isa: V::Isa,
    x: &[V::Element],
    rows: [&[W]; ROWS],
) -> [V::Element; ROWS] {
    let zero = V::splat(isa, V::Element::ZERO);
    let mut sums = [[zero; LANES]; ROWS];
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut at = 0;
    for chunk in chunks {
        let mut lane = 0;
        for i in 0..LANES / V::LANES {
            let v = V::load(isa, chunk.get(lane..).unwrap_or_default());
            for (sum, row) in sums.iter_mut().zip(&rows) {
                let w: V = W::load(isa, row.get(at + lane..).unwrap_or_default());
                sum[i] = v.mul_add(w, sum[i]);
            }
            lane += V::LANES;
        }
        at += LANES;
    }
    if !tail.is_empty() {
        let mut xs = [V::Element::ZERO; LANES];
        for (to, &from) in xs.iter_mut().zip(tail) {
            *to = from;
        }
        let mut lane = 0;
        for i in 0..LANES / V::LANES {
            let v = V::load(isa, xs.get(lane..).unwrap_or_default());
            for (sum, row) in sums.iter_mut().zip(&rows) {
                let mut ws = [V::Element::ZERO; LANES];
                for (to, from) in ws.iter_mut().zip(row.get(at..).unwrap_or_default()) {
                    *to = from.widen();
                }
                sum[i] = v.mul_add(V::load(isa, ws.get(lane..).unwrap_or_default()), sum[i]);
            }
            lane += V::LANES;
        }
    }
    sums.map(
        #[inline(always)]
        |sum| join(sum),
    )
}
