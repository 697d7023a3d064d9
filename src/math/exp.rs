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

use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

/// Constants of the exponential for one number type.
pub(crate) trait ExpTable: Scalar {
    /// 1 / ln 2.
    const LOG2_E: Self;
    /// The upper part of ln 2, so short that its product with any k is exact.
    const LN2_HI: Self;
    /// The lower part of ln 2, as short.
    const LN2_LO: Self;
    /// (exp(r) - 1) / r for |r| <= ln(2)/2, highest power first, without the constant one.
    const EXP: &'static [Self];
    /// The maximum, in absolute value, up to which rows are not shifted.
    const CENTERED: Self;
    /// The binary exponent that every term is raised by.
    const SHIFT: Self;
    /// Terms below 2^-FLOOR of the largest are held at it; they vanish in the quotient.
    const FLOOR: Self;
}

impl ExpTable for f32 {
    const LOG2_E: Self = core::f32::consts::LOG2_E;
    // 15 bits each: exact for |k| < 2^9. They miss ln 2 by 2^-35.8.
    const LN2_HI: Self = 0.693_145_75;
    const LN2_LO: Self = 1.428_590_6e-6;
    const EXP: &'static [Self] = &[
        0.00138145387995,
        0.00836874514475,
        0.0416683908162,
        0.166665203987,
        0.499999934319,
    ];
    const CENTERED: Self = 220.0;
    const SHIFT: Self = 60.0;
    const FLOOR: Self = 184.0;
}

impl ExpTable for f64 {
    const LOG2_E: Self = core::f64::consts::LOG2_E;
    // 41 bits each: exact for |k| < 2^12. They miss ln 2 by 2^-84.4.
    const LN2_HI: Self = 0.693_147_180_559_662_956_511_601_805_687;
    const LN2_LO: Self = 2.823_529_056_303_557_877_869_396_834_48e-13;
    const EXP: &'static [Self] = &[
        2.5000018853083341953e-8,
        2.7630306255647857359e-7,
        2.7557586803847070697e-6,
        0.000024801492949617070769,
        0.00019841269505773806997,
        0.0013888888943759984011,
        0.008333333333494977261,
        0.041666666666529728134,
        0.16666666666666411508,
        0.50000000000000106688,
    ];
    const CENTERED: Self = 1400.0;
    const SHIFT: Self = 120.0;
    const FLOOR: Self = 1140.0;
}

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

impl<V: Lanes<Element: ExpTable>> ScaledExp<V> {
    /// Prepares a row whose greatest finite logit is `max`.
    #[inline(always)]
    pub(crate) fn new(isa: V::Isa, max: V::Element) -> Self {
        let (center, exponent) = center(max);
        Self::with(isa, center, exponent)
    }

    /// Prepares the center and exponent of an earlier row.
    #[inline(always)]
    pub(crate) fn with(isa: V::Isa, center: V::Element, exponent: V::Element) -> Self {
        let ln2 = V::Element::LN2_HI + V::Element::LN2_LO;
        let magic = V::Element::MAGIC + (V::Element::BIAS + V::Element::SHIFT - exponent);
        Self {
            center,
            exponent,
            floor: V::splat(isa, (exponent - V::Element::FLOOR) * ln2),
            magic: V::splat(isa, magic),
        }
    }

    /// Returns the scaled exponential of `d`, the logit less the center. NaN gives NaN; minus
    /// infinity a term that vanishes.
    ///
    /// Error: below 0.9 ULP.
    #[inline(always)]
    pub(crate) fn of(&self, isa: V::Isa, d: V) -> V {
        let d = self.floor.max(d);
        let (r, scale) = self.reduce(isa, d);
        finish(isa, r, scale)
    }

    /// Returns the scaled exponential of `d + low`, where `low` is the rounding error that came with
    /// `d`. Where `d` is not finite, `low` is not looked at.
    #[inline(always)]
    pub(crate) fn of_sum(&self, isa: V::Isa, d: V, low: V) -> V {
        let d = self.floor.max(d);
        let low = V::select(self.floor.lt(d), low, V::splat(isa, V::Element::ZERO));
        let (r, scale) = self.reduce(isa, d);
        finish(isa, r + low, scale)
    }

    /// Returns r and 2^(k + SHIFT - exponent).
    #[inline(always)]
    fn reduce(&self, isa: V::Isa, d: V) -> (V, V) {
        let t = d.mul_add(V::splat(isa, V::Element::LOG2_E), self.magic);
        let k = t - self.magic;
        let r = k.exact_mul_add(V::splat(isa, -V::Element::LN2_HI), d);
        let r = k.exact_mul_add(V::splat(isa, -V::Element::LN2_LO), r);
        (r, t.exponent_from_magic())
    }
}

/// Returns the center and the exponent of a row with greatest finite logit `max`.
#[inline(always)]
pub(crate) fn center<T: ExpTable>(max: T) -> (T, T) {
    let center = if max > T::CENTERED || max < -T::CENTERED {
        max
    } else {
        T::ZERO
    };
    let exponent = ((max - center) * T::LOG2_E + T::MAGIC) - T::MAGIC;
    (center, exponent)
}

/// Returns exp(r) * scale for |r| <= ln(2)/2 and a power of two.
#[inline(always)]
fn finish<V: Lanes<Element: ExpTable>>(isa: V::Isa, r: V, scale: V) -> V {
    let q = horner(isa, V::Element::EXP, r).mul_add(r, V::splat(isa, V::Element::ONE));
    (r * q).exact_mul_add(scale, scale)
}

/// Evaluates a polynomial by Horner's rule, highest power first.
#[inline(always)]
pub(crate) fn horner<V: Lanes>(isa: V::Isa, coefficients: &[V::Element], x: V) -> V {
    let mut coefficients = coefficients.iter();
    let mut p = V::splat(
        isa,
        coefficients.next().copied().unwrap_or(V::Element::ZERO),
    );
    for &c in coefficients {
        p = p.mul_add(x, V::splat(isa, c));
    }
    p
}
