//! The exponential of a difference, scaled by a power of two: the heart of every softmax.
//!
//! A softmax needs exp(x - m) for a row's maximum m. Forming x - m in working precision costs up to
//! 16 ULP, because the subtraction rounds. [`ScaledExp`] never forms it:
//!
//! 1. x = k ln 2 + r with an integer k and |r| <= ln(2)/2, by Cody and Waite: ln 2 is split into two
//!    parts so short that both products with k are exact, and so the fused and the unfused
//!    multiply-add agree to the bit.
//! 2. exp(x) = 2^k exp(r). The row's maximum becomes the integer N nearest to m / ln 2, and what a
//!    softmax needs is 2^(k - N) exp(r): subtracting the maximum is integer arithmetic and exact.
//! 3. Only where |m| is so large that k would outgrow the split does the row shift by m; there every
//!    x that matters is so close to m that x - m is exact.
//!
//! Everything carries a further factor of 2^SHIFT, so that terms down to the smallest subnormal
//! result are normal numbers; the division by their sum takes it away.

use super::Coefficients;
use super::twofold::{fast_two_sum, two_sum};
pub(crate) use super::{horner, pairs};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

/// exp(x - center) * 2^(SHIFT - exponent), for the x of one row.
#[derive(Clone, Copy)]
pub(crate) struct ScaledExp<V: Lanes> {
    /// What the caller subtracts from x, exactly: zero, or the row's maximum where that is large.
    pub(crate) center: V::Element,
    /// The integer N nearest to (m - center) / ln 2.
    pub(crate) exponent: V::Element,
    floor: V,
    magic: V,
}

impl<V: Lanes> ScaledExp<V> {
    /// Prepares a row whose greatest finite logit is `max`.
    #[inline(always)]
    pub(crate) fn new(isa: V::Isa, max: V::Element) -> Self {
        let (center, exponent) = center(max);
        Self::with(isa, center, exponent)
    }

    /// Prepares the center and exponent of an earlier row.
    #[inline(always)]
    pub(crate) fn with(isa: V::Isa, center: V::Element, exponent: V::Element) -> Self {
        Self::raised(isa, center, exponent, V::Element::SHIFT, V::Element::FLOOR)
    }

    /// Prepares a row whose greatest logit is unknown but thought to lie near `anchor`, one of the
    /// row's; `None` if that is too far from zero.
    ///
    /// Any exponent gives the same quotients, as long as no term leaves the range of numbers. Below
    /// there is room for every term that does not vanish beside the anchor's; above, [`Self::highest`]
    /// tells.
    #[inline(always)]
    pub(crate) fn anchored(isa: V::Isa, anchor: V::Element) -> Option<Self> {
        let limit = V::Element::ANCHORED;
        if !(anchor < limit && anchor > -limit) {
            return None;
        }
        let (center, exponent) = center(anchor);
        Some(Self::with(isa, center, exponent + V::Element::HEADROOM))
    }

    /// Returns the greatest [`Reduced::order`] of terms whose sum stays far from the end of the range.
    #[inline(always)]
    pub(crate) fn highest(isa: V::Isa) -> V {
        let order = V::Element::BIAS + V::Element::SHIFT + V::Element::RISE;
        V::splat(isa, V::Element::MAGIC + order)
    }

    /// Prepares terms without the factor of 2^SHIFT. Those below 2^-REACH are held there, where the
    /// last product is still exact, since nothing divides them away.
    #[inline(always)]
    pub(crate) fn unraised(isa: V::Isa, center: V::Element, exponent: V::Element) -> Self {
        Self::raised(isa, center, exponent, V::Element::ZERO, V::Element::REACH)
    }

    /// Prepares terms as [`Self::unraised`] does, with an exponent for each lane; the caller subtracts
    /// the center of each.
    #[inline(always)]
    pub(crate) fn unraised_each(isa: V::Isa, exponent: V) -> Self {
        let ln2 = V::Element::LN2_HI + V::Element::LN2_LO;
        let [reach, bias, magic, ln2] =
            [V::Element::REACH, V::Element::BIAS, V::Element::MAGIC, ln2].map(
                #[inline(always)]
                |c| V::splat(isa, c),
            );
        Self {
            center: V::Element::ZERO,
            exponent: V::Element::ZERO,
            floor: (exponent - reach) * ln2,
            magic: magic + (bias - exponent),
        }
    }

    /// Prepares terms that are raised by 2^shift, and held at 2^-floor before.
    #[inline(always)]
    fn raised(
        isa: V::Isa,
        center: V::Element,
        exponent: V::Element,
        shift: V::Element,
        floor: V::Element,
    ) -> Self {
        let ln2 = V::Element::LN2_HI + V::Element::LN2_LO;
        let magic = V::Element::MAGIC + (V::Element::BIAS + shift - exponent);
        Self {
            center,
            exponent,
            floor: V::splat(isa, (exponent - floor) * ln2),
            magic: V::splat(isa, magic),
        }
    }

    /// Returns the scaled exponential of `d`, the logit less the center. NaN gives NaN; minus
    /// infinity a term that vanishes.
    ///
    /// Error: below 0.9 ULP.
    #[inline(always)]
    pub(crate) fn of(&self, isa: V::Isa, d: V) -> V {
        self.reduce(isa, d).term(isa)
    }

    /// Adds to a reduced logit `d` the rounding error that came with it, which is not looked at where
    /// `d` is not finite.
    #[inline(always)]
    pub(crate) fn plus(&self, isa: V::Isa, reduced: Reduced<V>, d: V, low: V) -> Reduced<V> {
        let low = V::select(self.floor.lt(d), low, V::splat(isa, V::Element::ZERO));
        Reduced {
            r: reduced.r + low,
            ..reduced
        }
    }

    /// Returns k and r with `d` = k ln 2 + r.
    #[inline(always)]
    pub(crate) fn reduce(&self, isa: V::Isa, d: V) -> Reduced<V> {
        let d = self.floor.max(d);
        let order = d.mul_add(V::splat(isa, V::Element::LOG2_E), self.magic);
        let k = order - self.magic;
        let r = k.exact_mul_add(V::splat(isa, -V::Element::LN2_HI), d);
        let r = k.exact_mul_add(V::splat(isa, -V::Element::LN2_LO), r);
        Reduced { order, r }
    }
}

/// A logit after the reduction of its range.
#[derive(Clone, Copy)]
pub(crate) struct Reduced<V> {
    /// MAGIC + BIAS + SHIFT + k - exponent: it grows with the logit.
    pub(crate) order: V,
    r: V,
}

impl<V: Lanes> Reduced<V> {
    /// Returns exp(r) 2^(k + SHIFT - exponent).
    #[inline(always)]
    pub(crate) fn term(self, isa: V::Isa) -> V {
        let (r, scale) = (self.r, self.order.exponent_from_magic());
        let r2 = r * r;
        let rest = r2.mul_add(pairs(isa, V::Element::EXP, r, r2), r);
        rest.exact_mul_add(scale, scale)
    }
}

elementwise! {
    /// Writes the exponential of each element.
    ///
    /// Overflows to infinity and underflows gradually; minus infinity gives zero, NaN gives NaN. Error
    /// below 1 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 3];
    /// suanzi::math::exp(suanzi::Cpu::default(), &[0.0, -1000.0, 1000.0], &mut y)?;
    /// assert_eq!(y, [1.0, 0.0, f32::INFINITY]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    exp, exp_in_place, (isa, v) => exp_lanes(isa, v)
}

/// Returns exp(x), for every x.
///
/// The scale 2^k comes as two factors, so that the last multiplication overflows or underflows where
/// the result does.
#[inline(always)]
pub(crate) fn exp_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let d = V::splat(isa, V::Element::EXP_MIN).max(x);
    let d = V::splat(isa, V::Element::EXP_MAX).min(d);
    let (k, r, low) = reduce(isa, d);
    let (first, second) = scale(isa, k);
    let rest = (r * r).mul_add(horner(isa, V::Element::EXP, r), low);
    let y = (r + rest).exact_mul_add(first, first) * second;
    V::select(x.eq(x), y, V::splat(isa, V::Element::NAN))
}

/// Returns exp(x) as a factor that a state decays by: exactly zero where it would lie below the normal
/// numbers, infinity from 2^(BIAS + 1/2) on. NaN gives NaN.
///
/// Error: below 0.9 ULP. The scale 2^k is one factor, whose exponent runs into those of zero and
/// infinity, so that no range is left to choose.
#[inline(always)]
pub(crate) fn factor_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let ln2 = V::Element::LN2_HI + V::Element::LN2_LO;
    let d = V::splat(isa, -V::Element::BIAS * ln2).max(x);
    let d = V::splat(isa, (V::Element::BIAS + V::Element::ONE) * ln2).min(d);
    let magic = V::splat(isa, V::Element::MAGIC + V::Element::BIAS);
    let order = d.mul_add(V::splat(isa, V::Element::LOG2_E), magic);
    let k = order - magic;
    let r = k.exact_mul_add(V::splat(isa, -V::Element::LN2_HI), d);
    let r = k.exact_mul_add(V::splat(isa, -V::Element::LN2_LO), r);
    let r2 = r * r;
    let rest = r2.mul_add(pairs(isa, V::Element::EXP, r, r2), r);
    (rest + V::splat(isa, V::Element::ONE)) * order.exponent_from_magic()
}

/// The exponential in parts: (high + low) * first * second, right to a few bits beyond the precision.
#[derive(Clone, Copy)]
pub(crate) struct Parts<V> {
    /// Within [sqrt(1/2), sqrt(2)].
    pub(super) high: V,
    /// At most half an ULP of `high`.
    pub(super) low: V,
    /// A power of two.
    pub(super) first: V,
    /// Another, whose product with the first may underflow.
    pub(super) second: V,
}

impl<V: Lanes> Parts<V> {
    /// Returns the exponential of x + low, for x between about `EXP_MIN` and `EXP_MAX`.
    #[inline(always)]
    pub(crate) fn new(isa: V::Isa, x: V, low: V) -> Self {
        let (k, r, r_low) = reduce(isa, x);
        let (first, second) = scale(isa, k);
        let (r, low) = two_sum(r, low + r_low);
        let (base, lost) = fast_two_sum(V::splat(isa, V::Element::ONE), r);
        let rest = (r * r).mul_add(horner(isa, V::Element::EXP, r), low.mul_add(r, low));
        let (high, low) = fast_two_sum(base, lost + rest);
        Self {
            high,
            low,
            first,
            second,
        }
    }

    /// Returns both parts with their scale.
    #[inline(always)]
    pub(crate) fn scaled(self) -> (V, V) {
        (
            self.high * self.first * self.second,
            self.low * self.first * self.second,
        )
    }
}

/// Returns k, r and what is lost of r, with x = k ln 2 + r and |r| <= ln(2)/2.
#[inline(always)]
pub(super) fn reduce<V: Lanes>(isa: V::Isa, x: V) -> (V, V, V) {
    let magic = V::splat(isa, V::Element::MAGIC);
    let k = x.mul_add(V::splat(isa, V::Element::LOG2_E), magic) - magic;
    let high = k.exact_mul_add(V::splat(isa, -V::Element::LN2_HI), x);
    let (r, low) = fast_two_sum(high, k * V::splat(isa, -V::Element::LN2_LO));
    (k, r, low)
}

/// Returns 2^k as a product of two powers of two with exponents of half the size.
#[inline(always)]
pub(crate) fn scale<V: Lanes>(isa: V::Isa, k: V) -> (V, V) {
    let magic = V::splat(isa, V::Element::MAGIC + V::Element::BIAS);
    let t = k.exact_mul_add(V::splat(isa, V::Element::HALF), magic);
    let rest = k - (t - magic) + magic;
    (t.exponent_from_magic(), rest.exponent_from_magic())
}

/// Returns the center and the exponent of a row with greatest finite logit `max`.
#[inline(always)]
pub(crate) fn center<T: Scalar>(max: T) -> (T, T) {
    let center = if max > T::CENTERED || max < -T::CENTERED {
        max
    } else {
        T::ZERO
    };
    let exponent = ((max - center) * T::LOG2_E + T::MAGIC) - T::MAGIC;
    (center, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::One;

    #[test]
    fn parts_multiply_to_the_exponential() {
        for i in -400..200 {
            let x = i as f32 * 0.25;
            let e = Parts::new(One, Lanes::splat(One, x), Lanes::splat(One, 0.0_f32));
            let value = |lane: <One as crate::simd::Isa>::F32| {
                let mut out = [0.0_f32];
                lane.store(&mut out);
                f64::from(out[0])
            };
            let got = (value(e.high) + value(e.low)) * value(e.first) * value(e.second);
            let want = libm::exp(f64::from(x));
            assert!(
                (got / want - 1.0).abs() < 1e-8,
                "{x}: {got:e}, not {want:e}"
            );
        }
    }
}
