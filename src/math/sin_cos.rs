//! Sine and cosine.

use super::{Coefficients, horner};
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

/// Returns the sine and cosine of r + low, for |r| <= pi/4 and |low| at most an ULP of r.
#[inline(always)]
pub(super) fn polynomials<V: Lanes>(isa: V::Isa, r: V, low: V) -> (V, V) {
    let one = V::splat(isa, V::Element::ONE);
    let z = r * r;
    let half = z * V::splat(isa, V::Element::HALF);
    // sin(r + low) = r + (r^3 S(z) + low cos(r)), and 1 - z/2 is cosine enough for the last term.
    let base = one - half;
    let sin = (r * z).mul_add(horner(isa, V::Element::SIN, z), low * base) + r;
    // cos(r + low) = 1 - z/2 + (z^2 C(z) - low r), with the rounding error of 1 - z/2 put back.
    let lost = (one - base) - half;
    let cos = base + (lost + (z * z).mul_add(horner(isa, V::Element::COS, z), -(low * r)));
    (sin, cos)
}
