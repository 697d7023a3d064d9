//! Numbers of twice the precision, as a pair of vectors that nobody adds up.

use crate::math::twofold::{fast_two_sum, two_product, two_sum};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

/// The unevaluated sum `high + low`, where `low` is at most half a unit in the last place of `high`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Double<V> {
    pub(super) high: V,
    pub(super) low: V,
}

impl<V: Lanes> Double<V> {
    /// Returns a number of single precision.
    #[inline(always)]
    pub(super) fn of(isa: V::Isa, high: V) -> Self {
        let low = V::splat(isa, V::Element::ZERO);
        Self { high, low }
    }

    /// Returns the same number in every lane.
    #[inline(always)]
    pub(super) fn splat(isa: V::Isa, high: V::Element, low: V::Element) -> Self {
        Self {
            high: V::splat(isa, high),
            low: V::splat(isa, low),
        }
    }

    /// Returns the exact difference of two numbers.
    #[inline(always)]
    pub(super) fn difference(a: V, b: V) -> Self {
        let (high, low) = two_sum(a, -b);
        Self { high, low }
    }

    /// Returns `yes` where the mask is set, else `no`.
    #[inline(always)]
    pub(super) fn select(mask: V::Mask, yes: Self, no: Self) -> Self {
        Self {
            high: V::select(mask, yes.high, no.high),
            low: V::select(mask, yes.low, no.low),
        }
    }

    #[inline(always)]
    pub(super) fn negated(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
        }
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let (high, error) = two_sum(self.high, other.high);
        let (low, rest) = two_sum(self.low, other.low);
        let (high, error) = fast_two_sum(high, error + low);
        let (high, low) = fast_two_sum(high, error + rest);
        Self { high, low }
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        let (high, error) = two_product(self.high, other.high);
        let cross = self.high * other.low + self.low * other.high;
        let (high, low) = fast_two_sum(high, error + cross);
        Self { high, low }
    }

    /// Returns the product with a power of two, or with its negative.
    #[inline(always)]
    pub(super) fn scaled(self, by: V) -> Self {
        Self {
            high: self.high * by,
            low: self.low * by,
        }
    }

    /// Returns the quotient by a number of single precision.
    #[inline(always)]
    pub(super) fn over(self, by: V) -> Self {
        let quotient = self.high / by;
        let (product, error) = two_product(quotient, by);
        let rest = ((self.high - product) - error) + self.low;
        let (high, low) = fast_two_sum(quotient, rest / by);
        Self { high, low }
    }

    /// Returns the quotient.
    #[inline(always)]
    pub(super) fn divided(self, isa: V::Isa, by: Self) -> Self {
        let quotient = self.high / by.high;
        let rest = self.minus(by.times(Self::of(isa, quotient)));
        let (high, low) = fast_two_sum(quotient, rest.high / by.high);
        Self { high, low }
    }

    /// Returns the rounded number.
    #[inline(always)]
    pub(super) fn rounded(self) -> V {
        self.high + self.low
    }
}

/// Returns pi/16 in twice the precision of `T`.
#[inline(always)]
fn sixteenth<T: Scalar>() -> (T, T) {
    let pi = core::f64::consts::PI;
    let high = T::nearest(pi / 16.0);
    // What pi in f64 lacks itself, which vanishes beside the error in f32.
    let low = T::nearest(pi / 16.0 - high.wide()) + T::nearest(1.224_646_799_147_353_2e-16 / 16.0);
    (high, low)
}

/// Returns pi in twice the precision.
#[inline(always)]
pub(super) fn pi<V: Lanes>(isa: V::Isa) -> Double<V> {
    let (high, low) = sixteenth::<V::Element>();
    let sixteen = V::Element::from_count(16);
    Double::splat(isa, high * sixteen, low * sixteen)
}

/// Returns the sine and cosine of pi/2 times `quarters`, which lies in \[0, 2\].
///
/// An eighth of the angle goes through the Taylor series, whose next term is below the error, and doubles
/// three times.
#[inline(always)]
pub(super) fn sin_cos_quarters<V: Lanes>(
    isa: V::Isa,
    quarters: Double<V>,
) -> (Double<V>, Double<V>) {
    let one = Double::of(isa, V::splat(isa, V::Element::ONE));
    let two = V::splat(isa, V::Element::ONE + V::Element::ONE);
    let (high, low) = sixteenth::<V::Element>();
    let r = quarters.times(Double::splat(isa, high, low));
    let square = r.times(r);
    let terms = if V::Element::MANTISSA > 24 { 11 } else { 6 };
    let (mut sin, mut cos) = (one, one);
    for j in (1..=terms).rev() {
        let number = V::Element::from_count;
        sin = one.minus(
            square
                .times(sin)
                .over(V::splat(isa, number(2 * j * (2 * j + 1)))),
        );
        cos = one.minus(
            square
                .times(cos)
                .over(V::splat(isa, number(2 * j * (2 * j - 1)))),
        );
    }
    sin = sin.times(r);
    for _ in 0..3 {
        let product = sin.times(cos).scaled(two);
        cos = one.minus(sin.times(sin).scaled(two));
        sin = product;
    }
    (sin, cos)
}
