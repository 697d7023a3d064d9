//! The threshold of the sparse maps, without sorting and without scratch.
//!
//! Sparsemax and its family are p_i = g(z_i - tau), where z are the scores relative to their greatest,
//! times alpha - 1, g grows from g(0) = 0 to g(1) = 1 and vanishes below, and tau makes the sum one.
//! The greatest term alone says -1 <= tau < 0, so whatever lies one below the maximum is outside the
//! support before anything is computed.
//!
//! 1. *Maximum*, in one pass. It settles the edges too: NaN, infinities, nothing left.
//! 2. *Candidates*: what exceeds the least threshold goes to a short list. When the list is full,
//!    its own threshold, which any part of a row bounds from below, thins it out. A row that fills it
//!    again is its own list.
//! 3. *Threshold* of the list by Newton's method from below (for sparsemax that is Michelot's
//!    algorithm, 1986): the sum is convex and falls, so each step goes up and none too far.
//! 4. *Write*: zeros, and the probabilities of the list in their places.
//!
//! Sums run in sixteen lanes that join as a tree, whatever the width of vectors, and the list is in the
//! order of the row: the bits are the same on every instruction set.

use super::list::{FULL, List};
use crate::scalar::Scalar;
use crate::simd::stream::copy;
use crate::simd::{Isa, Lanes, order};

/// The most steps of Newton's method for any row.
///
/// In each the product of excess and slope falls to a quarter at least, because the sum is convex: from the
/// square of 2^32 elements to the last place of an `f64` in less than 60.
pub(super) const STEPS: usize = 64;

/// Holds a fuzzer's rows to the steps that the documentation promises.
#[inline(always)]
pub(super) fn ended(steps: usize) {
    #[cfg(fuzzing)]
    assert!(steps <= 20, "{steps} steps");
    #[cfg(not(fuzzing))]
    let _ = steps;
}

/// How probability grows above the threshold.
pub(super) trait Shape<T: Scalar>: Copy {
    /// A threshold as exact as the map asks for.
    type Threshold: Copy;

    /// Returns how far below the greatest score an element may lie that still counts.
    fn reach(&self) -> T;

    /// Returns the threshold of the first `len` scores of `x`; the others are minus infinity, and of
    /// the first those that are not numbers. For a part of a row it is a lower bound of the row's.
    /// `max` is the row's greatest score, and `from` a lower bound.
    fn solve<S: Isa>(
        &self,
        isa: S,
        x: &[T],
        len: usize,
        max: T,
        from: Option<Self::Threshold>,
    ) -> Self::Threshold;

    /// Returns a score that every element of the support exceeds.
    fn cut(&self, max: T, at: Self::Threshold) -> T;

    /// Replaces scores by probabilities.
    fn write<S: Isa>(&self, isa: S, x: &mut [T], max: T, at: Self::Threshold);
}

/// Maps the row `x`, or `y` itself, into `y`.
#[inline(always)]
pub(super) fn project<S: Isa, T: Scalar, G: Shape<T>>(
    isa: S,
    shape: G,
    x: Option<&[T]>,
    y: &mut [T],
) {
    let scores = x.unwrap_or(y);
    let mut list = List::new();
    let Some(found) = find(isa, shape, &mut list, scores) else {
        return share(x, y);
    };
    if !found.listed {
        if let Some(x) = x {
            copy(x, y);
        }
        return shape.write(isa, y, found.max, found.at);
    }
    shape.write(isa, list.scores_mut(), found.max, found.at);
    list.scatter(y);
}

/// The threshold of a row.
struct Found<T, A> {
    /// The greatest score.
    max: T,
    /// The threshold.
    at: A,
    /// Whether the list has the support.
    listed: bool,
}

/// Finds the threshold of a row, and lists the candidates for the support; none if a score is NaN or
/// plus infinity, or all are minus infinity.
#[inline(always)]
fn find<S: Isa, T: Scalar, G: Shape<T>>(
    isa: S,
    shape: G,
    list: &mut List<T>,
    x: &[T],
) -> Option<Found<T, G::Threshold>> {
    let reach = shape.reach();
    // The last bound, and the greatest score that it is relative to.
    let mut bound = None;
    let filled = list.fill(
        isa,
        x,
        FULL / 2,
        #[inline(always)]
        |max, least| {
            let reached = below(max, max - reach);
            if reached > least { reached } else { least }
        },
        #[inline(always)]
        |list, max, _| {
            let at = solve(isa, shape, list.rows(), list.len(), max, None);
            bound = Some((max, at));
            let least = shape.cut(max, at);
            list.retain(|x| x > least);
            least
        },
    )?;
    let (max, listed) = (filled.max, filled.listed);
    let from = bound.filter(|from| from.0 == max).map(|from| from.1);
    let at = if listed {
        // What one block lists is above the last bound already.
        if x.len() > FULL {
            list.retain(|x| x > filled.least);
        }
        solve(isa, shape, list.rows(), list.len(), max, from)
    } else {
        solve(isa, shape, x, x.len(), max, from)
    };
    Some(Found { max, at, listed })
}

/// [`Shape::solve`] as a function of its own, since it is called from three places.
#[inline(never)]
fn solve<S: Isa, T: Scalar, G: Shape<T>>(
    isa: S,
    shape: G,
    x: &[T],
    len: usize,
    max: T,
    from: Option<G::Threshold>,
) -> G::Threshold {
    isa.vectorize(
        #[inline(always)]
        || shape.solve(isa, x, len, max, from),
    )
}

/// Returns the greatest element, if all are numbers or minus infinity and one is a number.
#[inline(always)]
pub(super) fn greatest<S: Isa, T: Scalar>(isa: S, x: &[T]) -> Option<T> {
    let (max, nan) = max_and_nan(isa, x);
    (max.abs() < T::INFINITY && !nan).then_some(max)
}

/// Returns the greatest element, minus infinity if there is none, and whether one is NaN; the
/// greatest is then unspecified.
#[inline(always)]
pub(super) fn max_and_nan<S: Isa, T: Scalar>(isa: S, x: &[T]) -> (T, bool) {
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    let mut nan = zero.lt(zero);
    let max = order::max::<T::Lanes<S>, _>(
        isa,
        order::Body::Light,
        x,
        #[inline(always)]
        |v, _| {
            nan = T::Lanes::<S>::or(nan, v.is_nan());
            v
        },
    );
    (max, T::Lanes::<S>::any(nan))
}

/// Writes the limit of a row without a [`greatest`] score: the infinite scores share the whole,
/// without any all is zero, beside NaN all is NaN.
#[cold]
#[inline(never)]
pub(super) fn share<T: Scalar>(x: Option<&[T]>, y: &mut [T]) {
    if let Some(x) = x {
        copy(x, y);
    }
    let nan = y.iter().any(|y| y.is_nan());
    let count = y.iter().filter(|&&y| y == T::INFINITY).count();
    let part = T::ONE / T::from_count(count);
    for y in y {
        *y = match *y {
            _ if nan => T::NAN,
            y if y == T::INFINITY => part,
            _ => T::ZERO,
        };
    }
}

/// Returns a number a few units below `x`, which was computed from `max`.
#[inline(always)]
pub(super) fn below<T: Scalar>(max: T, x: T) -> T {
    let unit = T::TWO / T::INTEGERS_FROM;
    x - (max.abs() * unit + x.abs() * unit)
}
