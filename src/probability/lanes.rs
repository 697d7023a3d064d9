//! Sums over rows in sixteen lanes, in vectors of any width: the same bits from each.

use crate::scalar::Scalar;
use crate::simd::stream::copy;
use crate::simd::{Isa, LANES, Lanes};

/// Elements that are looked at together, enough for the longest vectors.
pub(super) const TOGETHER: usize = 4 * LANES;

/// Calls `row` with each sixteen elements of `x`, those beyond the end minus infinity.
#[inline(always)]
pub(super) fn rows<T: Scalar>(x: &[T], mut row: impl FnMut(&[T; LANES])) {
    for x in x.chunks(LANES) {
        let mut padded = [T::NEG_INFINITY; LANES];
        row(<&[T; LANES]>::try_from(x).unwrap_or_else(
            #[inline(always)]
            |_| {
                copy(x, &mut padded);
                &padded
            },
        ));
    }
}

/// Joins the sums of sixteen lanes as a tree: j takes j + 8, then j + 4, j + 2, j + 1. Those beyond the
/// first `used` are neutral.
#[inline(always)]
pub(super) fn tree<T: Copy>(mut lanes: [T; LANES], used: usize, join: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        if half < used {
            let (low, high) = lanes.split_at_mut(half);
            for (a, &mut b) in low.iter_mut().zip(high) {
                *a = join(*a, b);
            }
        }
        half /= 2;
    }
    lanes[0]
}

/// Returns the vectors of a row of lanes, where there is one lane those that `len` elements take: a
/// number that the compiler knows keeps sums in registers.
#[inline(always)]
pub(super) fn vectors<S: Isa, T: Scalar>(len: usize) -> usize {
    match T::Lanes::<S>::LANES {
        1 => LANES.min(len),
        lanes => LANES / lanes,
    }
}

/// Returns the elements from `at` on.
#[inline(always)]
pub(super) fn part<T>(x: &[T], at: usize) -> &[T] {
    x.get(at..).unwrap_or_default()
}

/// Returns the lanes of an accumulator.
#[inline(always)]
pub(super) fn stored<S: Isa, T: Scalar>(vectors: &[T::Lanes<S>; LANES]) -> [T; LANES] {
    let mut lanes = [T::ZERO; LANES];
    let (chunks, used) = (lanes.chunks_mut(T::Lanes::<S>::LANES), vectors.iter());
    for (to, v) in chunks.zip(used) {
        v.store(to);
    }
    lanes
}

/// Returns the sum of the lanes of an accumulator.
#[inline(always)]
pub(super) fn total<S: Isa, T: Scalar>(vectors: &[T::Lanes<S>; LANES], len: usize) -> T {
    tree(
        stored::<S, T>(vectors),
        len,
        #[inline(always)]
        |a, b| a + b,
    )
}
