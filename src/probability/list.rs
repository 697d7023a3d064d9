//! A short list of the elements of a row that matter, with their places.

use super::lanes::rows;
use crate::scalar::Scalar;
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

    /// Lists the elements of `x` that matter, in one pass, and finds the greatest; none if an element
    /// is NaN or plus infinity, or all are minus infinity.
    ///
    /// `least` tells, from the greatest so far and the last answer, what an element must exceed.
    /// Whenever the list is full `thin` takes elements away, and may raise the answer. If it leaves
    /// more than `most`, only the greatest is looked for from there on.
    #[inline(always)]
    pub(super) fn fill<S: Isa>(
        &mut self,
        isa: S,
        x: &[T],
        most: usize,
        mut least: impl FnMut(T, T) -> T,
        mut thin: impl FnMut(&mut Self, T, T) -> T,
    ) -> Option<Filled<T>> {
        let mut filled = Filled {
            max: T::NEG_INFINITY,
            least: T::NEG_INFINITY,
            listed: u32::try_from(x.len()).is_ok(),
        };
        for (block, part) in x.chunks(FULL).enumerate() {
            let Some(top) = peek(isa, part, filled.least)? else {
                continue;
            };
            if top > filled.max {
                filled.max = top;
                filled.least = least(top, filled.least);
            }
            if !filled.listed {
                continue;
            }
            let mut place = block * FULL;
            rows(
                part,
                #[inline(always)]
                |row| {
                    if filled.listed {
                        self.collect(isa, row, place, filled.least);
                        place += LANES;
                        if self.len >= FULL {
                            filled.least = thin(self, filled.max, filled.least);
                            filled.listed = self.len <= most;
                        }
                    }
                },
            );
        }
        (filled.max > T::NEG_INFINITY).then_some(filled)
    }

    /// Appends the elements of a row of lanes that exceed `least`.
    #[inline(always)]
    fn collect<S: Isa>(&mut self, isa: S, row: &[T; LANES], place: usize, least: T) {
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

/// What a list was filled with.
pub(super) struct Filled<T> {
    /// The greatest element.
    pub(super) max: T,
    /// What elements must exceed to matter.
    pub(super) least: T,
    /// Whether all elements that matter are in the list, some others perhaps too.
    pub(super) listed: bool,
}

/// Returns the greatest element, if one exceeds `least`; nothing at all if one is NaN or plus infinity.
#[inline(always)]
fn peek<S: Isa, T: Scalar>(isa: S, x: &[T], least: T) -> Option<Option<T>> {
    let [lowest, least, infinity] = [T::NEG_INFINITY, least, T::INFINITY].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let (mut max, mut nan) = (lowest, least.lt(least));
    rows(
        x,
        #[inline(always)]
        |row| {
            let mut at = 0;
            while at < LANES {
                let v = T::Lanes::<S>::load(isa, row.get(at..).unwrap_or_default());
                max = v.max(max);
                nan = T::Lanes::<S>::or(nan, v.is_nan());
                at += T::Lanes::<S>::LANES;
            }
        },
    );
    if T::Lanes::<S>::any(T::Lanes::<S>::or(nan, max.eq(infinity))) {
        return None;
    }
    Some(T::Lanes::<S>::any(least.lt(max)).then(|| max.greatest()))
}
