//! What is done to raw logits before a map sees them.

use super::Mask;
use crate::Error;
use crate::error::Parameter;
use crate::math::tanh::tanh_lanes;
use crate::math::twofold::{two_product, two_sum};
use crate::scalar::Scalar;
use crate::simd::order::Body;
use crate::simd::stream::Stream;
use crate::simd::{Isa, LANES, Lanes, One, number, order};

/// Says how a raw logit becomes the score that a map sees: scale, then soft cap, then mask.
///
/// score = cap * tanh(scale * x / cap) + mask, the order of ONNX Attention and of Gemma 2. The
/// rounding errors of the product and of the mask's addition are carried into the exponential, however
/// far from zero the score is; the soft cap is within 4 ULP of the capped score.
///
/// ```
/// use suanzi::probability::{Logits, Mask, ProbabilityMap, Softmax};
///
/// let keep = [true, true, false];
/// let softmax = Softmax::new(Logits::new().scaled(0.125)?.masked(Mask::Keep(&keep)));
/// let mut p = [8.0_f32, 8.0, f32::NAN];
/// softmax.map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.5, 0.5, 0.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logits<'m, T> {
    scale: T,
    /// What is subtracted from every score: the greatest one and its rounding error, where it is so far
    /// from zero that the errors of scores exceed what an exponential takes.
    origin: Option<(T, T)>,
    softcap: Option<T>,
    mask: Mask<'m, T>,
    /// A score that counts in the sum and has no probability of its own.
    sink: Option<T>,
}

impl<T: Scalar> Default for Logits<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'m, T: Scalar> Logits<'m, T> {
    /// Returns raw logits: scale one, no cap, no mask.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self {
            scale: T::ONE,
            origin: None,
            softcap: None,
            mask: Mask::None,
            sink: None,
        }
    }

    /// Sets the factor on the logits: the reciprocal of a temperature, or 1/sqrt(d).
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] if `scale` is not finite.
    #[inline]
    pub fn scaled(self, scale: T) -> Result<Self, Error> {
        if !(scale > T::NEG_INFINITY && scale < T::INFINITY) {
            return Err(Error::Domain(Parameter::Scale));
        }
        Ok(Self { scale, ..self })
    }

    /// Bounds the scaled logits to (-cap, cap) by cap * tanh(x / cap).
    ///
    /// # Errors
    ///
    /// [`Parameter::Softcap`] if `cap` is not finite and positive.
    #[inline]
    pub fn softcapped(self, cap: T) -> Result<Self, Error> {
        if !(cap > T::ZERO && cap < T::INFINITY) {
            return Err(Error::Domain(Parameter::Softcap));
        }
        Ok(Self {
            softcap: Some(cap),
            ..self
        })
    }

    /// Sets the mask.
    #[inline]
    #[must_use]
    pub fn masked(self, mask: Mask<'m, T>) -> Self {
        Self { mask, ..self }
    }

    /// Adds a score that counts in the sum and has no probability of its own: the attention sink
    /// (Xiao et al., 2023, arXiv:2309.17453, as a learned logit of each head). Zero makes the
    /// off-by-one softmax, exp(s_i) / (1 + sum_j exp(s_j)). Scale, cap and mask do not touch it.
    /// Softmax, log-softmax and logsumexp have it; the other maps answer [`Error::Unsupported`].
    ///
    /// # Errors
    ///
    /// [`Parameter::Sink`] if `sink` is not finite.
    ///
    /// ```
    /// use suanzi::probability::{Logits, ProbabilityMap, Softmax};
    ///
    /// let mut p = [0.0_f32, 0.0, f32::NEG_INFINITY];
    /// Softmax::new(Logits::new().with_sink(0.0)?).map_in_place(&mut p[..2])?;
    /// assert_eq!(p[..2], [0.33333334, 0.33333334]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[inline]
    pub fn with_sink(self, sink: T) -> Result<Self, Error> {
        if !(sink > T::NEG_INFINITY && sink < T::INFINITY) {
            return Err(Error::Domain(Parameter::Sink));
        }
        Ok(Self {
            sink: Some(sink),
            ..self
        })
    }

    /// Returns whether there is a sink.
    #[inline]
    pub(super) fn has_sink(&self) -> bool {
        self.sink.is_some()
    }

    /// Returns whether a score is the logit itself.
    #[inline]
    pub(crate) fn is_raw(&self) -> bool {
        self.scale == T::ONE
            && self.softcap.is_none()
            && matches!(self.mask, Mask::None)
            && self.origin.is_none()
            && self.sink.is_none()
    }

    /// Checks the mask of rows of `row` elements, `total` in all.
    #[inline]
    pub(crate) fn check(&self, row: usize, total: usize) -> Result<(), Error> {
        self.mask.check(row, total)
    }

    /// Returns the score of a logit; NaN with a mask, since that may have removed it.
    #[inline(never)]
    pub(super) fn anchor(&self, x: T) -> T {
        match self.mask {
            Mask::None => number::<T>(self.of(One, T::Lanes::<One>::splat(One, x), 0).0),
            _ => T::NAN,
        }
    }

    /// Returns what is subtracted from every score.
    #[inline(always)]
    pub(super) fn origin(&self) -> Option<(T, T)> {
        self.origin
    }

    /// Returns these logits with the part of the mask that belongs to the row that starts at `at`.
    #[inline]
    pub(crate) fn row(&self, at: usize, row: usize) -> Self {
        let mask = self.mask.row(at, row);
        Self { mask, ..*self }
    }
}

impl<T: Scalar> Logits<'_, T> {
    /// Writes the scores of the row `x`, or of `y` itself, rounded once, to `y`. `start` is where the
    /// row begins among all.
    #[inline(always)]
    pub(super) fn write<S: Isa>(&self, isa: S, start: usize, x: Option<&[T]>, y: &mut [T]) {
        let logits = self.row(start, y.len());
        order::map::<T::Lanes<S>, _>(
            isa,
            (x, y),
            #[inline(always)]
            |v, at| logits.score(isa, v, at),
        );
    }

    /// Returns the scores of the elements from `at` on, rounded once.
    #[inline(always)]
    pub(super) fn score<V: Lanes<Element = T>>(&self, isa: V::Isa, v: V, at: usize) -> V {
        let (score, low) = self.of(isa, v, at);
        let [infinity, zero] = [T::INFINITY, T::ZERO].map(
            #[inline(always)]
            |c| V::splat(isa, c),
        );
        score + V::select(score.abs().lt(infinity), low, zero)
    }
}

/// How logits become scores.
pub(super) trait Score<T: Scalar>: Copy {
    /// Whether scores are exact, so that the second part is zero.
    const EXACT: bool;
    /// How the loops over scores are compiled.
    const BODY: Body;
    /// Returns the scores of the elements from `at` on as a rounded part and its rounding error. The
    /// error is unspecified where the score is not finite.
    fn of<V: Lanes<Element = T>>(&self, isa: V::Isa, v: V, at: usize) -> (V, V);
    /// Returns the scores less their greatest and its rounding error.
    fn less(self, max: T, low: T) -> Self;
    /// Returns the score that counts beside those of the row, minus infinity if there is none.
    #[inline(always)]
    fn sink(&self) -> T {
        T::NEG_INFINITY
    }
}

/// Returns the scores, and their greatest, near enough to zero that rounding errors of scores are
/// small numbers.
#[inline(always)]
pub(super) fn near<T: Scalar, L: Score<T>>(score: L, max: T, x: impl Stream<T>) -> (L, T) {
    let far = T::INTEGERS_FROM / T::from_count(128);
    if L::EXACT || max < far && max > -far {
        return (score, max);
    }
    let error = error_of_greatest(score, max, x);
    // A sink has none.
    let error = if error.is_finite() { error } else { T::ZERO };
    (score.less(max, error), T::ZERO)
}

/// Returns the greatest rounding error among the scores that are `max`.
#[cold]
#[inline(never)]
fn error_of_greatest<T: Scalar, L: Score<T>>(score: L, max: T, x: impl Stream<T>) -> T {
    let [max, lowest] = [max, T::NEG_INFINITY].map(|c| T::Lanes::<One>::splat(One, c));
    order::max::<T::Lanes<One>, _>(One, Body::Heavy, x, |v, at| {
        let (s, low) = score.of(One, v, at);
        Lanes::select(s.eq(max), low, lowest)
    })
}

/// The logits themselves.
#[derive(Clone, Copy)]
pub(super) struct Raw;

impl<T: Scalar> Score<T> for Raw {
    const EXACT: bool = true;
    const BODY: Body = Body::Light;
    #[inline(always)]
    fn of<V: Lanes<Element = T>>(&self, isa: V::Isa, v: V, _: usize) -> (V, V) {
        (v, V::splat(isa, T::ZERO))
    }
    #[inline(always)]
    fn less(self, _: T, _: T) -> Self {
        self
    }
}

impl<T: Scalar> Score<T> for Logits<'_, T> {
    const EXACT: bool = false;
    const BODY: Body = Body::Heavy;
    #[inline(always)]
    fn of<V: Lanes<Element = T>>(&self, isa: V::Isa, v: V, at: usize) -> (V, V) {
        let [scale, zero, lowest] = [self.scale, T::ZERO, T::NEG_INFINITY].map(
            #[inline(always)]
            |c| V::splat(isa, c),
        );
        let (mut score, mut low) = two_product(v, scale);
        if let Some(cap) = self.softcap {
            let cap = V::splat(isa, cap);
            score = cap * tanh_lanes(isa, score / cap);
            low = zero;
        }
        if !matches!(self.mask, Mask::None) {
            // In one lane there is nothing to gain.
            let stored = if V::LANES > 1 {
                self.mask.stored(at, V::LANES)
            } else {
                None
            };
            let [bias, rest] = if let Some(add) = stored {
                [V::load(isa, add), zero]
            } else {
                let [mut bias, mut rest] = [[T::ZERO; LANES]; 2];
                self.mask.bias(at, V::LANES, &mut bias, &mut rest);
                [bias, rest].map(
                    #[inline(always)]
                    |lanes| V::load(isa, &lanes),
                )
            };
            let (sum, error) = two_sum(score, bias);
            // What a mask removes may be NaN.
            score = V::select(bias.eq(lowest), lowest, sum);
            low = low + (error + rest);
        }
        if let Some((max, error)) = self.origin {
            let [max, error] = [max, error].map(
                #[inline(always)]
                |c| V::splat(isa, c),
            );
            // What a mask has removed may have been NaN: its error must not come back.
            let rest = V::select(lowest.lt(score), low - error, zero);
            return two_sum(score - max, rest);
        }
        (score, low)
    }
    #[inline(always)]
    fn less(self, max: T, low: T) -> Self {
        Self {
            origin: Some((max, low)),
            ..self
        }
    }
    #[inline(always)]
    fn sink(&self) -> T {
        match (self.sink, self.origin) {
            (None, _) => T::NEG_INFINITY,
            (Some(sink), None) => sink,
            (Some(sink), Some((max, low))) => (sink - max) - low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_cap_is_right_to_a_few_units_of_the_score() {
        let mut state = 1_u64;
        let mut worst = 0.0_f64;
        for _ in 0..200_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let part = |shift: u64| (state >> shift & 0xfff) as f32 / 4096.0;
            // Scores from 2^-20 to 2^4 caps.
            let cap = 1.0 + 63.0 * part(20);
            let scale = 0.25 + part(32);
            let x = cap * libm::exp2f(24.0 * part(44) - 20.0) * (1.0 + part(52));
            let Ok(logits) = Logits::new().scaled(scale).and_then(|l| l.softcapped(cap)) else {
                panic!("{scale} and {cap} are finite and positive");
            };
            let x_lane: <One as Isa>::F32 = Lanes::splat(One, x);
            let (score, low) = logits.of(One, x_lane, 0);
            let mut got = [0.0_f32; 2];
            score.store(&mut got[..1]);
            low.store(&mut got[1..]);
            let [x, scale, cap] = [x, scale, cap].map(f64::from);
            let want = cap * libm::tanh(x * scale / cap);
            let next = f32::from_bits((want as f32).to_bits() + 1);
            let unit = f64::from(next - want as f32);
            worst = worst.max((f64::from(got[0]) - want).abs() / unit);
            assert_eq!(got[1], 0.0);
        }
        assert!(worst < 4.0, "{worst}");
    }
}
