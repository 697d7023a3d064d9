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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::One;

    fn lane(x: f32) -> <One as crate::simd::Isa>::F32 {
        Lanes::splat(One, x)
    }

    fn value(x: <One as crate::simd::Isa>::F32) -> f64 {
        let mut out = [0.0];
        x.store(&mut out);
        f64::from(out[0])
    }

    #[test]
    fn pairs_hold_what_rounding_loses() {
        for (a, b) in [(1.0, 1e-9), (3.3, -7.7), (1e8, 0.123_456_7), (-5e3, 5e3)] {
            let exact = f64::from(a) + f64::from(b);
            let (s, e) = two_sum(lane(b), lane(a));
            assert_eq!(value(s) + value(e), exact);
            if a.abs() >= b.abs() {
                let (s, e) = fast_two_sum(lane(a), lane(b));
                assert_eq!(value(s) + value(e), exact);
            }
            let (p, e) = two_product(lane(a), lane(b));
            assert_eq!(value(p) + value(e), f64::from(a) * f64::from(b));
        }
    }
}
