//! A short list of the elements of a row that matter, with their places.

use crate::scalar::Scalar;
use crate::simd::stream::copy;
use crate::simd::{Isa, LANES, Lanes};

/// Elements that a list is thinned out at.
pub(super) const FULL: usize = 128;
/// Elements of a list: a row of lanes may follow before it is looked at.
const CAPACITY: usize = FULL + LANES;

/// Elements of a row in their order; behind the last as many of minus infinity as fill a row of lanes.
pub(super) struct List<T> {
    scores: [T; CAPACITY],
    /// Where they stand, in rows of up to 2^32 elements.
    places: [u32; CAPACITY],
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

    /// Returns the number of elements.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the elements, and minus infinity up to whole rows of lanes.
    #[inline(always)]
    pub(super) fn rows(&self) -> &[T] {
        let len = self.len.next_multiple_of(LANES);
        self.scores.get(..len).unwrap_or_default()
    }

    /// Returns the elements.
    #[inline(always)]
    pub(super) fn scores(&self) -> &[T] {
        self.scores.get(..self.len).unwrap_or_default()
    }

    /// Returns the elements to change.
    #[inline(always)]
    pub(super) fn scores_mut(&mut self) -> &mut [T] {
        self.scores.get_mut(..self.len).unwrap_or_default()
    }

    /// Lists the elements of `x` that exceed `least`. Whenever the list is full `thin` takes elements away
    /// and may raise `least`. Returns false, with a part of the elements, if it leaves more than `most`.
    #[inline(always)]
    pub(super) fn fill<S: Isa>(
        &mut self,
        isa: S,
        x: &[T],
        least: &mut T,
        most: usize,
        mut thin: impl FnMut(&mut Self, &mut T),
    ) -> bool {
        for (block, part) in x.chunks(FULL).enumerate() {
            if !exceeds(isa, part, *least) {
                continue;
            }
            for (i, row) in part.chunks(LANES).enumerate() {
                self.collect(isa, row, block * FULL + i * LANES, *least);
                if self.len < FULL {
                    continue;
                }
                thin(self, least);
                if self.len > most {
                    return false;
                }
            }
        }
        u32::try_from(x.len()).is_ok()
    }

    /// Appends the elements of a row of lanes that exceed `least`.
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
            let mut bits = T::Lanes::<S>::bits(least.lt(v));
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

    /// Keeps the elements for which `keep` is true.
    #[inline(always)]
    pub(super) fn retain(&mut self, mut keep: impl FnMut(T) -> bool) {
        let mut kept = 0;
        for i in 0..self.len.min(CAPACITY) {
            let (Some(&x), Some(&place)) = (self.scores.get(i), self.places.get(i)) else {
                break;
            };
            if let Some(to) = self.scores.get_mut(i) {
                *to = T::NEG_INFINITY;
            }
            if keep(x)
                && let (Some(to), Some(to_place)) =
                    (self.scores.get_mut(kept), self.places.get_mut(kept))
            {
                (*to, *to_place) = (x, place);
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Writes the elements to their places, and zeros elsewhere.
    #[inline(always)]
    pub(super) fn scatter(&self, y: &mut [T]) {
        y.fill(T::ZERO);
        for (&p, &place) in self.scores().iter().zip(&self.places) {
            if let Some(y) = y.get_mut(place as usize) {
                *y = p;
            }
        }
    }
}

/// Returns whether an element exceeds `least`; true for a tail that is no whole vector.
#[inline(always)]
fn exceeds<S: Isa, T: Scalar>(isa: S, x: &[T], least: T) -> bool {
    let least = T::Lanes::<S>::splat(isa, least);
    let lanes = T::Lanes::<S>::LANES;
    let mut any = least.lt(least);
    let mut rest = x;
    while let Some((part, next)) = rest.split_at_checked(lanes) {
        any = T::Lanes::<S>::or(any, least.lt(Lanes::load(isa, part)));
        rest = next;
    }
    T::Lanes::<S>::any(any) || !rest.is_empty()
}
