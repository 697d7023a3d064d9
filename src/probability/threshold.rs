//! The threshold of the sparse maps, without sorting and without scratch.
//!
//! Sparsemax and its family are p_i = g(z_i - tau), where z are the scores relative to their greatest,
//! times alpha - 1, g grows from g(0) = 0 to g(1) = 1 and vanishes below, and tau makes the sum one. The
//! greatest term alone says -1 <= tau < 0, so whatever lies one below the maximum is outside the support
//! before anything is computed.
//!
//! 1. *Maximum*, in one pass. It settles the edges too: NaN, infinities, nothing left.
//! 2. *Candidates*: what exceeds the least threshold goes to a short list. When the list is full,
//!    its own threshold, which any part of a row bounds from below, thins it out. A row that fills it
//!    again is its own list.
//! 3. *Threshold* of the list by Newton's method from below (for sparsemax that is Michelot's algorithm,
//!    1986): the sum is convex and falls, so each step goes up and none too far.
//! 4. *Write*: zeros, and the probabilities of the list in their places.
//!
//! Sums run in sixteen lanes that join as a tree, whatever the width of vectors, and the list is in the
//! order of the row: the bits are the same on every instruction set.

use crate::scalar::Scalar;
use crate::simd::stream::copy;
use crate::simd::{Isa, LANES, Lanes, order};

/// Elements that the list of candidates is thinned out at.
const FULL: usize = 128;
/// Elements of the list: a row of lanes may follow before it is looked at.
const CAPACITY: usize = FULL + LANES;

/// How probability grows above the threshold.
pub(super) trait Shape<T: Scalar>: Copy {
    /// A threshold as exact as the map asks for.
    type Threshold: Copy;

    /// Returns how far below the greatest score an element may lie that still counts.
    fn reach(&self) -> T;

    /// Returns the threshold of the first `len` scores of `x`; the others are minus infinity, and of the
    /// first those that are not numbers. For a part of a row it is a lower bound of the row's. `max` is the
    /// row's greatest score, and `from` a lower bound.
    fn solve<S: Isa>(
        &self,
        isa: S,
        x: &[T],
        len: usize,
        max: T,
        from: Option<Self::Threshold>,
    ) -> Self::Threshold;

    /// Returns a score that no element of the support lies below.
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
    let Some(max) = greatest(isa, scores) else {
        return share(x, y);
    };
    let mut list = List::new();
    let found = list.find(isa, shape, scores, max);
    if !found.listed {
        if let Some(x) = x {
            copy(x, y);
        }
        return shape.write(isa, y, max, found.at);
    }
    y.fill(T::ZERO);
    let (support, _) = list.scores.split_at_mut(found.len.min(CAPACITY));
    shape.write(isa, support, max, found.at);
    for (&p, &place) in support.iter().zip(&list.places) {
        if let Some(y) = y.get_mut(place as usize) {
            *y = p;
        }
    }
}

/// Candidates for the support in the order of the row; behind the last as many of minus infinity as fill
/// a row of lanes.
pub(super) struct List<T> {
    scores: [T; CAPACITY],
    /// Where they stand, in rows of up to 2^32 elements.
    places: [u32; CAPACITY],
    len: usize,
}

/// The threshold of a row.
pub(super) struct Found<A> {
    /// The threshold.
    pub(super) at: A,
    /// Whether the list has the support.
    listed: bool,
    /// The length of the list.
    len: usize,
}

impl<T: Scalar> List<T> {
    /// Returns the list of nothing.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            scores: [T::NEG_INFINITY; CAPACITY],
            places: [0; CAPACITY],
            len: 0,
        }
    }

    /// Finds the threshold of a row with the greatest score `max`.
    #[inline(always)]
    pub(super) fn find<S: Isa, G: Shape<T>>(
        &mut self,
        isa: S,
        shape: G,
        x: &[T],
        max: T,
    ) -> Found<G::Threshold> {
        let mut bound = None;
        let mut least = below(max, max - shape.reach());
        for (block, part) in x.chunks(FULL).enumerate() {
            if !reaches(isa, part, least) {
                continue;
            }
            for (i, row) in part.chunks(LANES).enumerate() {
                self.collect(isa, row, block * FULL + i * LANES, least);
                if self.len < FULL {
                    continue;
                }
                let at = solve(isa, shape, self.scores(), self.len, max, bound);
                (bound, least) = (Some(at), shape.cut(max, at));
                self.thin(least);
                if self.len > FULL / 2 {
                    return Found {
                        at: solve(isa, shape, x, x.len(), max, bound),
                        listed: false,
                        len: 0,
                    };
                }
            }
        }
        Found {
            at: solve(isa, shape, self.scores(), self.len, max, bound),
            listed: u32::try_from(x.len()).is_ok(),
            len: self.len,
        }
    }

    /// Returns the scores, in whole rows of lanes.
    #[inline(always)]
    fn scores(&self) -> &[T] {
        let len = self.len.next_multiple_of(LANES);
        self.scores.get(..len).unwrap_or_default()
    }

    /// Appends the elements of a row of lanes that are not below `least`.
    #[inline(always)]
    fn collect<S: Isa>(&mut self, isa: S, row: &[T], place: usize, least: T) {
        let mut padded = [T::NEG_INFINITY; LANES];
        let row = <&[T; LANES]>::try_from(row).unwrap_or_else(
            #[inline(always)]
            |_| {
                copy(row, &mut padded);
                &padded
            },
        );
        let least = T::Lanes::<S>::splat(isa, least);
        let mut at = 0;
        while at < LANES {
            let v = T::Lanes::<S>::load(isa, row.get(at..).unwrap_or_default());
            let mut bits = T::Lanes::<S>::bits(least.le(v));
            while bits != 0 {
                let i = at + bits.trailing_zeros() as usize;
                if let (Some(&x), Some(to), Some(to_place)) = (
                    row.get(i),
                    self.scores.get_mut(self.len),
                    self.places.get_mut(self.len),
                ) {
                    (*to, *to_place) = (x, (place + i) as u32);
                }
                self.len += 1;
                bits &= bits - 1;
            }
            at += T::Lanes::<S>::LANES;
        }
    }

    /// Removes the elements below `least`.
    #[inline(always)]
    fn thin(&mut self, least: T) {
        let mut kept = 0;
        for i in 0..CAPACITY {
            let (Some(&x), Some(&place)) = (self.scores.get(i), self.places.get(i)) else {
                break;
            };
            if let Some(to) = self.scores.get_mut(i) {
                *to = T::NEG_INFINITY;
            }
            if let (true, Some(to), Some(to_place)) = (
                x >= least,
                self.scores.get_mut(kept),
                self.places.get_mut(kept),
            ) {
                (*to, *to_place) = (x, place);
                kept += 1;
            }
        }
        self.len = kept;
    }
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

/// Returns whether an element is not below `least`.
#[inline(always)]
fn reaches<S: Isa, T: Scalar>(isa: S, x: &[T], least: T) -> bool {
    let least = T::Lanes::<S>::splat(isa, least);
    let lanes = T::Lanes::<S>::LANES;
    let mut any = least.lt(least);
    let mut rest = x;
    while let Some((part, next)) = rest.split_at_checked(lanes) {
        any = T::Lanes::<S>::or(any, least.le(Lanes::load(isa, part)));
        rest = next;
    }
    T::Lanes::<S>::any(any) || !rest.is_empty()
}

/// Returns the greatest element, if all are numbers or minus infinity and one is a number.
#[inline(always)]
pub(super) fn greatest<S: Isa, T: Scalar>(isa: S, x: &[T]) -> Option<T> {
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
    (max.abs() < T::INFINITY && !T::Lanes::<S>::any(nan)).then_some(max)
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
    let least = x - (max.abs() * unit + x.abs() * unit);
    // Minus infinity is below every threshold.
    if least < T::min_value() {
        T::min_value()
    } else {
        least
    }
}

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
