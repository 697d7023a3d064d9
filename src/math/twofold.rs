//! Sums and products with their rounding error, as an unevaluated pair.

use crate::simd::Lanes;

/// Returns the rounded sum and its exact error (Knuth's 2Sum).
#[inline(always)]
pub(crate) fn two_sum<V: Lanes>(a: V, b: V) -> (V, V) {
    let s = a + b;
    let b_virtual = s - a;
    let a_virtual = s - b_virtual;
    (s, (a - a_virtual) + (b - b_virtual))
}

/// Returns the rounded sum and its exact error, for |a| >= |b| or a = 0 (Dekker's Fast2Sum).
#[inline(always)]
pub(crate) fn fast_two_sum<V: Lanes>(a: V, b: V) -> (V, V) {
    let s = a + b;
    (s, b - (s - a))
}

/// Returns the rounded product and its error, exact but for underflow and, in `f64`, a last bit of
/// the product of the lower halves (Dekker).
#[inline(always)]
pub(crate) fn two_product<V: Lanes>(a: V, b: V) -> (V, V) {
    let p = a * b;
    let (a_high, b_high) = (a.upper_half(), b.upper_half());
    let (a_low, b_low) = (a - a_high, b - b_high);
    let error = (a_high * b_high - p) + a_high * b_low + a_low * b_high;
    (p, error + a_low * b_low)
}
