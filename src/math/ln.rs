//! Natural logarithms.

use super::twofold::{fast_two_sum, two_sum};
use super::{Coefficients, horner};
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

elementwise! {
    /// Writes the natural logarithm of each element.
    ///
    /// Subnormal numbers are taken at their value. Zero of either sign gives minus infinity, negative
    /// numbers and NaN give NaN. Error below 1 ULP.
    ///
    /// ```
    /// let mut y = [1.0_f32; 3];
    /// suanzi::math::ln(suanzi::Cpu::default(), &[1.0, 0.0, f32::INFINITY], &mut y)?;
    /// assert_eq!(y, [0.0, f32::NEG_INFINITY, f32::INFINITY]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    ln, ln_in_place, (isa, v) => ln_lanes(isa, v)
}

/// Returns ln(x), for every x.
#[inline(always)]
pub(crate) fn ln_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let zero = V::splat(isa, V::Element::ZERO);
    let tiny = x.lt(V::splat(isa, V::Element::NORMALS_FROM));
    let raised = x * V::splat(isa, V::Element::RAISE);
    let (m, k) = V::select(tiny, raised, x).split_exponent();
    let k = V::select(tiny, k - V::splat(isa, V::Element::RAISED), k);
    let y = assemble(isa, k, m - V::splat(isa, V::Element::ONE), zero);
    edges(isa, x, y)
}

/// Returns ln(x), for x positive and normal.
#[inline(always)]
pub(crate) fn ln_of_normal<V: Lanes>(isa: V::Isa, x: V) -> V {
    let (m, k) = x.split_exponent();
    let zero = V::splat(isa, V::Element::ZERO);
    assemble(isa, k, m - V::splat(isa, V::Element::ONE), zero)
}

/// Returns ln(1 + x + low), for every x, where |low| is at most an ULP of x.
#[inline(always)]
pub(crate) fn ln_1p_of_sum<V: Lanes>(isa: V::Isa, x: V, low: V) -> V {
    let zero = V::splat(isa, V::Element::ZERO);
    let one = V::splat(isa, V::Element::ONE);
    let (u, lost) = two_sum(one, x);
    let (m, k) = u.split_exponent();
    // Close to one, x itself is u - 1 without rounding error.
    let near = k.eq(zero);
    let f = V::select(near, x, m - one);
    let low = (V::select(near, zero, lost) + low) / u;
    V::select(x.eq(zero), x, edges(isa, u, assemble(isa, k, f, low)))
}

/// Returns k ln 2 + ln(1 + f) + low, for 1 + f in [sqrt(1/2), sqrt(2)).
///
/// With s = f / (2 + f), ln(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)), where R is the rest of
/// the series (fdlibm). The leading f meets k ln 2 without a rounding error.
#[inline(always)]
fn assemble<V: Lanes>(isa: V::Isa, k: V, f: V, low: V) -> V {
    let s = f / (f + V::splat(isa, V::Element::TWO));
    let z = s * s;
    let half = f * f * V::splat(isa, V::Element::HALF);
    let rest = z.mul_add(horner(isa, V::Element::LN, z), half);
    let low = k.exact_mul_add(V::splat(isa, V::Element::LN2_LO), low);
    let (high, lost) = fast_two_sum(k * V::splat(isa, V::Element::LN2_HI), f);
    high + (lost - (half - s.mul_add(rest, low)))
}

/// Returns `y` where 0 < x < inf, and the logarithm's value for the other x.
#[inline(always)]
fn edges<V: Lanes>(isa: V::Isa, x: V, y: V) -> V {
    let zero = V::splat(isa, V::Element::ZERO);
    let infinity = V::splat(isa, V::Element::INFINITY);
    let nan = V::splat(isa, V::Element::NAN);
    let edge = V::select(x.eq(infinity), infinity, nan);
    let edge = V::select(x.eq(zero), -infinity, edge);
    V::select(V::and(zero.lt(x), x.lt(infinity)), y, edge)
}
