//! The error function and its complement.

use super::exp::Parts;
use super::twofold::{fast_two_sum, two_product, two_sum};
use super::{Coefficients, horner};
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

elementwise! {
    /// Writes the error function of each element.
    ///
    /// Odd, zeros included; infinities give -1 and 1, NaN gives NaN. Error below 1.5 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::erf(suanzi::Cpu::default(), &[f32::INFINITY, -0.0], &mut y)?;
    /// assert_eq!(y, [1.0, -0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    erf, erf_in_place, (isa, v) => erf_lanes(isa, v)
}

elementwise! {
    /// Writes the complementary error function, 1 - erf(x), of each element.
    ///
    /// Relative error is kept in the tail, down to subnormal numbers. Infinities give 2 and 0, NaN
    /// gives NaN. Error below 1.5 ULP.
    ///
    /// Form: exp(-x^2) times a polynomial over 1 + 2x, after M. M. Shepherd and J. G. Laframboise,
    /// "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < inf", 1981.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::erfc(suanzi::Cpu::default(), &[0.0, f32::INFINITY], &mut y)?;
    /// assert_eq!(y, [1.0, 0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    erfc, erfc_in_place, (isa, v) => erfc_lanes(isa, v)
}

/// Returns erf(x), for every x.
#[inline(always)]
pub(crate) fn erf_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let one = V::splat(isa, V::Element::ONE);
    let a = x.abs();
    let mut y = near(isa, a);
    let far = one.lt(a);
    if V::any(far) {
        y = V::select(far, one - tail(isa, a), y);
    }
    V::select(x.eq(x), y.copysign(x), V::splat(isa, V::Element::NAN))
}

/// Returns erfc(x) = 1 - erf(x), for every x.
#[inline(always)]
pub(crate) fn erfc_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let one = V::splat(isa, V::Element::ONE);
    let from = V::splat(isa, V::Element::ERFC_FROM);
    let a = x.abs();
    let mut y = one - near(isa, a).copysign(x);
    if V::any(from.lt(a)) {
        let t = tail(isa, a);
        y = V::select(from.lt(x), t, y);
        y = V::select(x.lt(-one), V::splat(isa, V::Element::TWO) - t, y);
    }
    V::select(x.eq(x), y, V::splat(isa, V::Element::NAN))
}

/// Returns erf(a) for 0 <= a <= 1.
#[inline(always)]
fn near<V: Lanes>(isa: V::Isa, a: V) -> V {
    horner(isa, V::Element::ERF, a * a).mul_add(a, a)
}

/// Returns erfc(a) for a >= `ERFC_FROM`: exp(-a^2) P(t) / (1 + 2a), where every factor is a pair of
/// numbers and the quotient is corrected for its remainder.
#[inline(always)]
fn tail<V: Lanes>(isa: V::Isa, a: V) -> V {
    let one = V::splat(isa, V::Element::ONE);
    let center = V::splat(isa, V::Element::ERFC_CENTER);
    let a = V::splat(isa, V::Element::ERFC_TO).min(a);
    let (square, square_low) = two_product(a, a);
    let e = Parts::new(isa, -square, -square_low);
    let t = (a - center) / (a + center);
    let (&constant, rest) = V::Element::ERFC
        .split_last()
        .unwrap_or((&V::Element::ONE, &[]));
    let (p, p_low) = fast_two_sum(V::splat(isa, constant), horner(isa, rest, t) * t);
    let (n, lost) = two_product(e.high, p);
    let n_low = e.high.mul_add(p_low, e.low.mul_add(p, lost));
    let (d, d_low) = two_sum(one, a + a);
    let inverse = one / d;
    let q = n * inverse;
    let (back, back_low) = two_product(q, d);
    let left = (n - back) - back_low + (n_low - q * d_low);
    left.mul_add(inverse, q) * e.first * e.second
}
