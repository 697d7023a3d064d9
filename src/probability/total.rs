//! The exponentials of a row and their sum, in one pass: what softmax, log-softmax and logsumexp share.
//!
//! The usual form takes a pass for the maximum first, because it subtracts it. Here the maximum is no
//! more than an integer exponent ([`ScaledExp`]), and any exponent gives the same quotients to the bit
//! as long as no term leaves the range of numbers: scaling by a power of two rounds nothing. So the
//! pass may begin at once, with the row's first score in the maximum's place and room for the others to
//! lie higher by [`HEADROOM`](crate::math::Coefficients::HEADROOM) and more. Where a group of scores
//! lies higher still, the pass stops before it, takes the maximum of what is left, brings the terms
//! that are written to the new exponent by an exact product, and goes on: an online softmax (Milakov
//! and Gimelshein, 2018, arXiv:1805.02867) whose rescaling is exact, and which rescales once at most.
//!
//! A group must be held back until all of its scores are known to be low enough. Where it has room in
//! registers that is free; elsewhere it costs as much as the pass for the maximum, and raw logits take
//! that. For other scores the pass for the maximum costs more, since it maps logits to scores.

use super::Logits;
use super::logits::{Raw, Score, near};
use super::row::Row;
use crate::math::exp::{ScaledExp, scale};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::order::{self, Body, Sum};
use crate::simd::stream::Stream;
use crate::simd::{Isa, Lanes, One, number};

/// The sum of a row's terms: each term is exp(s - center) 2^(SHIFT - exponent).
pub(super) struct Total<T, L> {
    /// What makes the scores: relative to their greatest where that is far from zero.
    pub(super) score: L,
    pub(super) center: T,
    pub(super) exponent: T,
    /// NaN where a score is.
    pub(super) sum: T,
}

impl<T: Scalar, L: Score<T>> Total<T, L> {
    /// Returns the terms again.
    #[inline(always)]
    pub(super) fn terms<S: Isa>(&self, isa: S) -> Terms<L, T::Lanes<S>, false> {
        let exp = ScaledExp::with(isa, self.center, self.exponent);
        Terms::new(isa, self.score, exp, true)
    }
}

impl<T> Total<T, Raw> {
    /// Returns the total as that of logits.
    #[inline(always)]
    fn of_logits<'m>(self) -> Total<T, Logits<'m, T>>
    where
        T: Scalar,
    {
        Total {
            score: Logits::new(),
            center: self.center,
            exponent: self.exponent,
            sum: self.sum,
        }
    }
}

/// Adds up the terms of the row that begins at element `start` of the logits, and writes them where the
/// row is written. `None`, with the logits in the row and zeros for those already done, where the
/// greatest score is not finite.
#[inline(always)]
pub(super) fn total<'m, S, T, R>(
    isa: S,
    logits: &Logits<'m, T>,
    start: usize,
    row: &mut R,
) -> Option<Total<T, Logits<'m, T>>>
where
    S: Isa,
    T: Scalar,
    R: Row<T>,
{
    if R::NARROW || !logits.is_raw() {
        return resume(isa, logits, start, row);
    }
    // Narrower vectors would have to hold a group back in memory: that costs what the pass for the
    // maximum does.
    if T::Lanes::<S>::LANES * size_of::<T>() < 64 {
        return raw(isa, row, Part::NOTHING);
    }
    match anchored::<T::Lanes<S>, _, _>(isa, Raw, row.first(), row) {
        Ok(total) => Some(total.of_logits()),
        Err(part) => resume_raw(isa, row, part),
    }
}

/// Returns the number of scores that are plus infinity, NaN if one is NaN, for a row without [`total`];
/// where it is written, ones for them and zeros for the others take their place.
#[inline(always)]
pub(super) fn infinities<S: Isa, T: Scalar>(
    _: S,
    logits: &Logits<'_, T>,
    start: usize,
    row: &mut impl Row<T>,
) -> T {
    let len = row.len();
    if !logits.is_raw() {
        return count_infinities_apart(logits.row(start, len), row.stream(0..len));
    }
    // Where code is dear a call costs more than the loop.
    if T::Lanes::<S>::LANES == 1 {
        count_infinities(Raw, row.stream(0..len))
    } else {
        count_infinities_apart(Raw, row.stream(0..len))
    }
}

/// [`count_infinities`] as a function of its own, once for all instruction sets.
#[cold]
#[inline(never)]
fn count_infinities_apart<T: Scalar, L: Score<T>>(score: L, row: impl Stream<T>) -> T {
    count_infinities(score, row)
}

/// [`infinities`] of scores.
#[inline(always)]
fn count_infinities<T: Scalar, L: Score<T>>(score: L, row: impl Stream<T>) -> T {
    let [zero, one, infinity] =
        [T::ZERO, T::ONE, T::INFINITY].map(|c| T::Lanes::<One>::splat(One, c));
    let (mut count, mut nan) = (0, false);
    order::map::<T::Lanes<One>, _>(One, row, |v, at| {
        let s = score.of(One, v, at).0;
        nan |= number::<T>(s).is_nan();
        let infinite = s.eq(infinity);
        let share = Lanes::select(infinite, one, zero);
        count += usize::from(number::<T>(share) > T::ZERO);
        share
    });
    if nan { T::NAN } else { T::from_count(count) }
}

/// What is done of a row.
#[derive(Clone, Copy)]
struct Part<T> {
    /// The number of elements.
    done: usize,
    /// The exponent that their terms are relative to.
    exponent: T,
}

impl<T: Scalar> Part<T> {
    const NOTHING: Self = Self {
        done: 0,
        exponent: T::ZERO,
    };
}

/// [`total`] for scores that are not the logits themselves; a function of its own, so that the other
/// has nothing but its loop.
#[inline(never)]
fn resume<'m, S, T, R>(
    isa: S,
    logits: &Logits<'m, T>,
    start: usize,
    row: &mut R,
) -> Option<Total<T, Logits<'m, T>>>
where
    S: Isa,
    T: Scalar,
    R: Row<T>,
{
    isa.vectorize(
        #[inline(always)]
        || {
            let logits = logits.row(start, row.len());
            // A sink may be the greatest of all.
            let anchor = if logits.has_sink() {
                T::NAN
            } else {
                logits.anchor(row.first())
            };
            match anchored::<T::Lanes<S>, _, _>(isa, logits, anchor, row) {
                Ok(total) => Some(total),
                Err(part) => rest::<T::Lanes<S>, _, _>(isa, logits, row, part),
            }
        },
    )
}

/// [`raw`], apart for the same reason.
#[inline(never)]
fn resume_raw<'m, S, T, R>(isa: S, row: &mut R, part: Part<T>) -> Option<Total<T, Logits<'m, T>>>
where
    S: Isa,
    T: Scalar,
    R: Row<T>,
{
    isa.vectorize(
        #[inline(always)]
        || raw(isa, row, part),
    )
}

/// [`total`] for scores that are the logits themselves, from where a part ends.
#[inline(always)]
fn raw<'m, S, T, R>(isa: S, row: &mut R, part: Part<T>) -> Option<Total<T, Logits<'m, T>>>
where
    S: Isa,
    T: Scalar,
    R: Row<T>,
{
    rest::<T::Several<S>, _, _>(isa, Raw, row, part).map(Total::of_logits)
}

/// Adds up a row that begins relative to the score `anchor`, or returns how far that went.
#[inline(always)]
fn anchored<V, L, R>(
    isa: V::Isa,
    score: L,
    anchor: V::Element,
    row: &mut R,
) -> Result<Total<V::Element, L>, Part<V::Element>>
where
    V: Lanes,
    L: Score<V::Element>,
    R: Row<V::Element>,
{
    let Some(exp) = ScaledExp::<V>::anchored(isa, anchor) else {
        return Err(Part::NOTHING);
    };
    let (len, exponent) = (row.len(), exp.exponent);
    let mut sum = Sum::<NativeOf<V>>::new(isa);
    let terms = Terms::<_, _, true>::new(isa, score, exp, false);
    let done = sum.extend(isa, L::BODY, row.stream(0..len), terms);
    if done < len {
        return Err(Part { done, exponent });
    }
    Ok(Total {
        score,
        center: V::Element::ZERO,
        exponent,
        sum: sum.total(),
    })
}

/// Finds the maximum of what is left of a row, brings the terms that are written to its exponent, and
/// adds up the whole. Only rows without a mask are left in part, so that no index counts from where the
/// rest begins.
#[inline(always)]
fn rest<V, L, R>(
    isa: V::Isa,
    score: L,
    row: &mut R,
    part: Part<V::Element>,
) -> Option<Total<V::Element, L>>
where
    V: Lanes,
    L: Score<V::Element>,
    R: Row<V::Element>,
{
    let len = row.len();
    let done = if R::WRITTEN { part.done } else { 0 };
    let max = order::max::<V, _>(
        isa,
        L::BODY,
        row.stream(done..len),
        #[inline(always)]
        |v, at| score.of(isa, v, at).0,
    );
    let max = if score.sink() > max {
        score.sink()
    } else {
        max
    };
    let finite = max > V::Element::NEG_INFINITY && max < V::Element::INFINITY;
    let (score, max) = if finite {
        near(score, max, row.stream(done..len))
    } else {
        (score, V::Element::ZERO)
    };
    let exp = ScaledExp::<V>::new(isa, max);
    let mut sum = Sum::<NativeOf<V>>::new(isa);
    if done > 0 {
        // Beside a maximum that is centered, or infinite, anchored terms vanish.
        let factors = if max > V::Element::ZERO && exp.center == V::Element::ZERO {
            powers_of_two(part.exponent - exp.exponent)
        } else {
            [V::Element::ZERO; 2]
        };
        let [a, b] = factors.map(
            #[inline(always)]
            |factor| V::splat(isa, factor),
        );
        let _ = sum.extend(
            isa,
            Body::Heavy,
            row.written(done),
            #[inline(always)]
            |v: V, _| v * a * b,
        );
    }
    if !finite {
        return None;
    }
    let at_once = L::EXACT && R::WRITTEN;
    if at_once && exp.center != V::Element::ZERO {
        let center = V::splat(isa, exp.center);
        order::map::<V, _>(
            isa,
            row.stream(done..len),
            #[inline(always)]
            |v, _| v - center,
        );
        row.keep();
    }
    let terms = Terms::<_, _, false>::new(isa, score, exp, !at_once);
    let _ = sum.extend(isa, L::BODY, row.stream(done..len), terms);
    let mut sum = sum.total();
    if !L::EXACT && score.sink() > V::Element::NEG_INFINITY {
        sum = sum + term(score.sink(), exp.center, exp.exponent);
    }
    Some(Total {
        score,
        center: exp.center,
        exponent: exp.exponent,
        sum,
    })
}

/// Returns the term of one score.
#[cold]
#[inline(never)]
fn term<T: Scalar>(score: T, center: T, exponent: T) -> T {
    let exp = ScaledExp::with(One, center, exponent);
    number::<T>(exp.of(One, T::Lanes::<One>::splat(One, score - center)))
}

/// The native vector of a vector's instruction set and element.
type NativeOf<V> = <<V as Lanes>::Element as Compute>::Lanes<<V as Lanes>::Isa>;

/// Returns 2^k as two factors, or what is small enough to make every term vanish.
fn powers_of_two<T: Scalar>(k: T) -> [T; 2] {
    let least = T::TWO * (T::ONE - T::BIAS);
    let k = T::Lanes::<One>::splat(One, if k > least { k } else { least });
    let (first, second) = scale(One, k);
    [first, second].map(number::<T>)
}

/// The terms of the scores of a row: of an anchored one, or of one whose maximum is known.
pub(super) struct Terms<L, V: Lanes, const ANCHORED: bool> {
    score: L,
    exp: ScaledExp<V>,
    /// What is to be subtracted from scores, if anything.
    center: Option<V>,
    limit: V,
    highest: V,
}

impl<L, V: Lanes, const ANCHORED: bool> Terms<L, V, ANCHORED> {
    #[inline(always)]
    fn new(isa: V::Isa, score: L, exp: ScaledExp<V>, centered: bool) -> Self {
        let limit = ScaledExp::highest(isa);
        Self {
            score,
            exp,
            center: centered.then_some(V::splat(isa, exp.center)),
            limit,
            highest: limit,
        }
    }
}

impl<V, L, const ANCHORED: bool> order::Terms<V> for Terms<L, V, ANCHORED>
where
    V: Lanes,
    L: Score<V::Element>,
{
    const HELD: bool = ANCHORED;

    #[inline(always)]
    fn of(&mut self, isa: V::Isa, v: V, at: usize) -> V {
        let (score, low) = self.score.of(isa, v, at);
        let d = match self.center {
            Some(center) => score - center,
            None => score,
        };
        let mut reduced = self.exp.reduce(isa, d);
        if !L::EXACT {
            reduced = self.exp.plus(isa, reduced, d, low);
        }
        if ANCHORED {
            self.highest = reduced.order.max_of_positive(self.highest);
        }
        reduced.term(isa)
    }
    #[inline(always)]
    fn stand(&self) -> bool {
        !ANCHORED || !V::any(self.limit.lt(self.highest))
    }
}
