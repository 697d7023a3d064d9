//! Sine and cosine of multiples of pi, and of angles that come in quarter turns.

use super::sin_cos::polynomials;
use super::twofold::fast_two_sum;
use super::{Coefficients, two};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes};
use crate::{Cpu, Error, Scalar};

elementwise! {
    /// Writes sin(pi x) of each element.
    ///
    /// The argument is reduced exactly, so there is no largest one. A zero has the sign of x; infinity
    /// and NaN give NaN. Error below 1 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 3];
    /// suanzi::math::sin_pi(suanzi::Cpu::default(), &[0.5, 1.0, -1e7], &mut y)?;
    /// assert_eq!(y, [1.0, 0.0, 0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    sin_pi, sin_pi_in_place, (isa, v) => sin_cos_pi_lanes(isa, v).0
}

elementwise! {
    /// Writes cos(pi x) of each element.
    ///
    /// As [`sin_pi`]; a zero is positive.
    ///
    /// ```
    /// let mut y = [0.0_f32; 3];
    /// suanzi::math::cos_pi(suanzi::Cpu::default(), &[0.5, 1.0, -1e7], &mut y)?;
    /// assert_eq!(y, [0.0, -1.0, 1.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    cos_pi, cos_pi_in_place, (isa, v) => sin_cos_pi_lanes(isa, v).1
}

/// Writes sin(pi x) and cos(pi x) of each element: [`sin_pi`] and [`cos_pi`] in one pass.
///
/// ```
/// let (mut sin, mut cos) = ([0.0_f64; 2], [0.0_f64; 2]);
/// suanzi::math::sin_cos_pi(suanzi::Cpu::default(), &[0.0, 1.5], &mut sin, &mut cos)?;
/// assert_eq!((sin, cos), ([0.0, -1.0], [1.0, 0.0]));
/// # Ok::<(), suanzi::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Length`] if `sin` or `cos` is not as long as `x`.
pub fn sin_cos_pi<T: Scalar>(cpu: Cpu, x: &[T], sin: &mut [T], cos: &mut [T]) -> Result<(), Error> {
    #[inline(always)]
    fn kernel<S: Isa, T: Scalar>(isa: S, x: &[T], sin: &mut [T], cos: &mut [T]) {
        two::<S, T>(
            isa,
            x,
            sin,
            cos,
            #[inline(always)]
            |v| sin_cos_pi_lanes(isa, v),
        );
    }
    check_len(x.len(), sin.len())?;
    check_len(x.len(), cos.len())?;
    dispatch!(cpu, isa => kernel::<_, T>(isa, x, sin, cos));
    Ok(())
}

/// Returns sin(pi x) and cos(pi x), for every x.
///
/// The reduction is exact. Where the sine is zero it has the sign of x; a zero cosine is positive.
/// Infinity and NaN give NaN.
#[inline(always)]
pub(crate) fn sin_cos_pi_lanes<V: Lanes>(isa: V::Isa, x: V) -> (V, V) {
    let zero = V::splat(isa, V::Element::ZERO);
    let half = V::splat(isa, V::Element::HALF);
    let two = V::splat(isa, V::Element::TWO);
    let integers = V::splat(isa, V::Element::INTEGERS_FROM);
    let magnitude = x.abs();
    // Turns are whole from 2^(MANTISSA + 1) on; below, the nearest even number is subtracted.
    let rest = magnitude - ((magnitude * half + integers) - integers) * two;
    let rest = V::select(magnitude.lt(integers * two), rest, zero);
    let (sin, cos) = sin_cos_quarters(isa, rest * two, zero);
    let sin = V::select(x.lt(zero), -sin, sin);
    let sin = V::select(sin.eq(zero), zero.copysign(x), sin);
    let finite = magnitude.lt(V::splat(isa, V::Element::INFINITY));
    let nan = V::splat(isa, V::Element::NAN);
    (V::select(finite, sin, nan), V::select(finite, cos, nan))
}

/// Returns the sine and the cosine of `quarters + low` quarter turns, where |quarters| is at most
/// 2^(MANTISSA - 2) and |low| at most half a unit in the last place of it.
///
/// A zero cosine is positive. Absolute error below 0.6 * 2^-MANTISSA if `low` is given; the
/// relative error is below one ULP.
#[inline(always)]
pub(crate) fn sin_cos_quarters<V: Lanes>(isa: V::Isa, quarters: V, low: V) -> (V, V) {
    let magic = V::splat(isa, V::Element::MAGIC);
    let t = quarters + magic;
    sin_cos_fraction(isa, t, quarters - (t - magic), low)
}

/// Returns the sine and the cosine of k + fraction + low quarter turns, given MAGIC + k and
/// |fraction| <= 1/2.
#[inline(always)]
pub(crate) fn sin_cos_fraction<V: Lanes>(isa: V::Isa, magic_k: V, fraction: V, low: V) -> (V, V) {
    let (r, r_low) = radians(isa, fraction, low);
    turn(isa, magic_k, polynomials(isa, r, r_low))
}

/// Returns fraction + low quarter turns in radians, as a pair: the upper halves multiply exactly.
#[inline(always)]
pub(super) fn radians<V: Lanes>(isa: V::Isa, fraction: V, low: V) -> (V, V) {
    let half_pi_hi = V::splat(isa, V::Element::HALF_PI_HI);
    let half_pi_lo = V::splat(isa, V::Element::HALF_PI_LO);
    let upper = fraction.upper_half();
    let small = (fraction - upper).mul_add(half_pi_hi, fraction * half_pi_lo);
    fast_two_sum(upper * half_pi_hi, low.mul_add(half_pi_hi, small))
}

/// Turns the sine and cosine of the reduced angle by k quarters, given MAGIC + k.
#[inline(always)]
pub(super) fn turn<V: Lanes>(isa: V::Isa, magic_k: V, (s, c): (V, V)) -> (V, V) {
    let odd = magic_k.bit(0);
    let (sin, cos) = (V::select(odd, c, s), V::select(odd, s, c));
    let sin = sin.negate_at(magic_k, 1);
    let cos = cos.negate_at(magic_k, 1).negate_at(magic_k, 0);
    // Adding zero makes a zero positive.
    (sin, cos + V::splat(isa, V::Element::ZERO))
}
