//! The exponential less one.

use super::exp::reduce;
use super::twofold::{fast_two_sum, two_sum};
use super::{Coefficients, horner};
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

elementwise! {
    /// Writes exp(x) - 1 of each element, without cancellation near zero.
    ///
    /// Overflows to infinity; minus infinity gives -1, a zero itself, NaN gives NaN. Error below
    /// 1 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::exp_m1(suanzi::Cpu::default(), &[1e-10, -0.0], &mut y)?;
    /// assert_eq!(y, [1e-10, -0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    exp_m1, exp_m1_in_place, (isa, v) => exp_m1_lanes(isa, v)
}

/// Returns exp(x) - 1, for every x.
///
/// With x = k ln 2 + r and exp(r) - 1 = h + l, the sum 2^k h + 2^k - 1 is taken exactly, as a rounded
/// sum and two rounding errors. Where 2^k is large, everything is first divided by a power of two.
#[inline(always)]
pub(crate) fn exp_m1_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let zero = V::splat(isa, V::Element::ZERO);
    let one = V::splat(isa, V::Element::ONE);
    let magic = V::splat(isa, V::Element::MAGIC + V::Element::BIAS);
    let d = V::splat(isa, V::Element::EXP_M1_MIN).max(x);
    let d = V::splat(isa, V::Element::EXP_MAX).min(d);
    let (k, r, low) = reduce(isa, d);
    let c = (r * r).mul_add(horner(isa, V::Element::EXP_M1, r), low.mul_add(r, low));
    let (h, l) = fast_two_sum(r, c);

    let raised = V::splat(isa, V::Element::RAISED);
    let large = raised.lt(k);
    let scale = (k - V::select(large, raised, zero) + magic).exponent_from_magic();
    let unit = V::splat(isa, V::Element::ONE / V::Element::RAISE);
    let unit = V::select(large, unit, one);
    let (s, first) = two_sum(scale, scale * h);
    let (s, second) = two_sum(s, -unit);
    let y = s + (second + scale.exact_mul_add(l, first));
    let y = V::select(large, y * V::splat(isa, V::Element::RAISE), y);
    V::select(x.eq(x), y.copysign(x), V::splat(isa, V::Element::NAN))
}
