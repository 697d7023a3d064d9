//! The logarithm of one plus a number.

use super::ln::ln_1p_of_sum;

elementwise! {
    /// Writes ln(1 + x) of each element, without cancellation near zero.
    ///
    /// -1 gives minus infinity, numbers below and NaN give NaN, a zero itself. Error below 1 ULP.
    ///
    /// ```
    /// let mut y = [1.0_f32; 3];
    /// suanzi::math::ln_1p(suanzi::Cpu::default(), &[1e-10, -0.0, -1.0], &mut y)?;
    /// assert_eq!(y, [1e-10, -0.0, f32::NEG_INFINITY]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    ln_1p, ln_1p_in_place, (isa, v) => ln_1p_of_sum(isa, v, crate::simd::Lanes::splat(isa, T::ZERO))
}
