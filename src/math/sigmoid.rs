//! The logistic function, and softplus, its integral.

use super::Coefficients;
use super::exp::Parts;
use super::ln::ln_1p_of_sum;
use super::twofold::fast_two_sum;
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

elementwise! {
    /// Writes the logistic function 1 / (1 + exp(-x)) of each element.
    ///
    /// Relative error is kept where the result is small, down to subnormal numbers. Infinities give 0
    /// and 1, NaN gives NaN. Error below 1.5 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::sigmoid(suanzi::Cpu::default(), &[0.0, f32::NEG_INFINITY], &mut y)?;
    /// assert_eq!(y, [0.5, 0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    sigmoid, sigmoid_in_place, (isa, v) => sigmoid_lanes(isa, v)
}

elementwise! {
    /// Writes softplus, ln(1 + exp(x)), of each element.
    ///
    /// Relative error is kept where the result is small, down to subnormal numbers. Minus infinity
    /// gives zero, infinity itself, NaN gives NaN. Error below 1.5 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::softplus(suanzi::Cpu::default(), &[0.0, 100.0], &mut y)?;
    /// assert_eq!(y, [core::f32::consts::LN_2, 100.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    softplus, softplus_in_place, (isa, v) => softplus_lanes(isa, v)
}

/// Returns the logistic function of x, for every x.
///
/// With e = exp(-|x|) as a pair, the result is n / (1 + e) with n = 1 or, below zero, n = e. The
/// quotient of the leading parts is corrected to first order for what they leave out.
#[inline(always)]
pub(crate) fn sigmoid_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let zero = V::splat(isa, V::Element::ZERO);
    let one = V::splat(isa, V::Element::ONE);
    let e = Parts::new(isa, V::splat(isa, V::Element::EXP_MIN).max(-x.abs()), zero);
    let (high, low) = e.scaled();
    let (d, lost) = fast_two_sum(one, high);
    let negative = x.lt(zero);
    let q = V::select(negative, high, one) / d;
    let left = V::select(negative, low, zero) - q * (lost + low);
    let y = left.mul_add(V::select(negative, one - q, q), q);
    V::select(x.eq(x), y, V::splat(isa, V::Element::NAN))
}

/// Returns softplus(x) = ln(1 + exp(x)), for every x.
#[inline(always)]
pub(crate) fn softplus_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let zero = V::splat(isa, V::Element::ZERO);
    let e = Parts::new(isa, V::splat(isa, V::Element::EXP_MIN).max(-x.abs()), zero);
    let (high, low) = e.scaled();
    let y = zero.max(x) + ln_1p_of_sum(isa, high, low);
    V::select(x.eq(x), y, V::splat(isa, V::Element::NAN))
}
