//! The hyperbolic tangent.

use super::exp::exp_lanes;
use super::{Coefficients, horner};
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

elementwise! {
    /// Writes the hyperbolic tangent of each element.
    ///
    /// Odd, zeros included; infinities give -1 and 1, NaN gives NaN. Error below 1.5 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::tanh(suanzi::Cpu::default(), &[f32::INFINITY, -0.0], &mut y)?;
    /// assert_eq!(y, [1.0, -0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    tanh, tanh_in_place, (isa, v) => tanh_lanes(isa, v)
}

/// Returns tanh(x), for every x: an odd polynomial near zero, 1 - 2 / (exp(2x) + 1) elsewhere.
#[inline(always)]
pub(crate) fn tanh_lanes<V: Lanes>(isa: V::Isa, x: V) -> V {
    let one = V::splat(isa, V::Element::ONE);
    let a = x.abs();
    let z = a * a;
    let near = (a * z).mul_add(horner(isa, V::Element::TANH, z), a);
    let far = one - V::splat(isa, V::Element::TWO) / (exp_lanes(isa, a + a) + one);
    let y = V::select(a.lt(V::splat(isa, V::Element::TANH_SPLIT)), near, far);
    V::select(x.eq(x), y.copysign(x), V::splat(isa, V::Element::NAN))
}
