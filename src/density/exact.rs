//! Places on the period in twice the precision, and lengths without cancellation.

use super::Domain;
use super::domain::{Place, Shape, fraction, sign};
use super::double::Double;
use crate::math::Coefficients as _;
use crate::math::exp::{Parts, exp_lanes};
use crate::math::exp_m1::exp_m1_lanes;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute as _;
use crate::simd::Lanes;

impl<T: Scalar> Domain<T> {
    /// Finds the place of each point in twice the precision: its distance and the nearer end.
    #[inline(always)]
    pub(super) fn exact_place<V: Lanes<Element = T>>(&self, isa: V::Isa, y: V) -> (Double<V>, V) {
        let zero = V::splat(isa, T::ZERO);
        let two = V::splat(isa, T::TWO);
        let (from, size) = (V::splat(isa, self.from), V::splat(isa, self.size));
        match self.shape {
            Shape::Interval => {
                let y = from.max(size.min(y));
                let width = Double::difference(size, from);
                let (below, above) = (Double::difference(y, from), Double::difference(size, y));
                let upper = above.high.lt(below.high);
                let nearer = Double::select(upper, above, below);
                let distance = nearer.scaled(two).divided(isa, width);
                (held(isa, distance), sign(isa, upper))
            }
            Shape::Circle => {
                let v = Double::difference(y, from).over(size);
                let whole = v.high - fraction(isa, v.high);
                let f = v.minus(Double::of(isa, whole));
                let upper = f.high.lt(zero);
                let distance = Double::select(upper, f.negated(), f).scaled(two);
                (distance, sign(isa, upper))
            }
            Shape::Line => {
                let v = self.scales(isa, y);
                let upper = zero.lt(v.high);
                let decay = Double::select(upper, v.negated(), v).scaled(two);
                let e = exponential(isa, decay);
                let one = Double::of(isa, V::splat(isa, T::ONE));
                let distance = e.scaled(two).divided(isa, e.plus(one));
                (held(isa, distance), sign(isa, upper))
            }
            Shape::HalfLine => {
                let v = self.scales(isa, y);
                let above = exponential(isa, v.negated()).scaled(two);
                let upper = above.high.lt(V::splat(isa, T::ONE));
                // Close to the end a difference would lose what the series has.
                let near = v.high.lt(V::splat(isa, T::ONE / T::from_count(8)));
                let below = Double::of(isa, two).minus(above);
                let below = Double::select(near, small_exp_m1(isa, v).scaled(two), below);
                let distance = Double::select(upper, above, below);
                (held(isa, distance), sign(isa, upper))
            }
        }
    }

    /// Returns how many scales a point is away from the location, at most 1024.
    #[inline(always)]
    fn scales<V: Lanes<Element = T>>(&self, isa: V::Isa, y: V) -> Double<V> {
        let (from, size) = (V::splat(isa, self.from), V::splat(isa, self.size));
        let farthest = V::splat(isa, T::from_count(1024));
        let v = (y - from) / size;
        let far = Double::of(isa, farthest.copysign(v));
        let near = Double::difference(y, from).over(size);
        Double::select(farthest.le(v.abs()), far, near)
    }

    /// Returns how far apart two points lie on the period, without cancellation, and the place in their
    /// middle as a distance from the lower end; the points are in order and not NaN.
    pub(super) fn apart<V: Lanes<Element = T>>(&self, isa: V::Isa, low: V, high: V) -> (V, V) {
        let (zero, two) = (V::splat(isa, T::ZERO), V::splat(isa, T::TWO));
        let from_lower =
            |place: Place<V>| V::select(place.sign.lt(zero), two - place.distance, place.distance);
        let (a, b) = (self.place(isa, low), self.place(isa, high));
        let plain = from_lower(b) - from_lower(a);
        let middle = (from_lower(a) + from_lower(b)) * V::splat(isa, T::HALF);
        let size = V::splat(isa, self.size);
        let gap = (high - low) / size;
        let apart = match self.shape {
            Shape::Interval => {
                let (from, factor) = (V::splat(isa, self.from), T::TWO / (self.size - self.from));
                let clamped = |y: V| from.max(size.min(y));
                (clamped(high) - clamped(low)) * V::splat(isa, factor)
            }
            Shape::Circle => plain,
            Shape::Line => {
                // The distances from one end differ by 2 (e - f) / ((1 + e) (1 + f)).
                let v = |y: V| ((y - V::splat(isa, self.from)) / size).abs();
                let nearer = V::select(v(low).lt(v(high)), v(low), v(high));
                let e = exp_lanes(isa, -(nearer * two));
                let share = -exp_m1_lanes(isa, -(gap * two));
                let f = e * (V::splat(isa, T::ONE) - share);
                let one = V::splat(isa, T::ONE);
                let same = two * e * share / ((one + e) * (one + f));
                let finite = gap.lt(V::splat(isa, T::INFINITY));
                V::select(V::and(finite, a.sign.eq(b.sign)), same, plain)
            }
            Shape::HalfLine => {
                let v = zero.max((low - V::splat(isa, self.from)) / size);
                let end = zero.max((high - V::splat(isa, self.from)) / size);
                let gap = V::select(v.eq(zero), end, gap);
                -(exp_lanes(isa, -v) * exp_m1_lanes(isa, -zero.max(gap)) * two)
            }
        };
        (zero.max(apart), middle)
    }
}

/// Returns exp(x) in some bits more than the precision.
#[inline(always)]
fn exponential<V: Lanes>(isa: V::Isa, x: Double<V>) -> Double<V> {
    let least = V::splat(isa, V::Element::EXP_MIN);
    let greatest = V::splat(isa, V::Element::EXP_MAX);
    let clamped = greatest.min(least.max(x.high));
    let inside = clamped.eq(x.high);
    let low = V::select(inside, x.low, V::splat(isa, V::Element::ZERO));
    let (high, low) = Parts::new(isa, clamped, low).scaled();
    Double { high, low }
}

/// Returns 1 - exp(-v) for small v, by the Taylor series.
#[inline(always)]
fn small_exp_m1<V: Lanes>(isa: V::Isa, v: Double<V>) -> Double<V> {
    let one = Double::of(isa, V::splat(isa, V::Element::ONE));
    let terms = if V::Element::MANTISSA > 24 { 13 } else { 7 };
    let mut sum = one;
    for n in (2..=terms).rev() {
        let by = V::splat(isa, V::Element::from_count(n));
        sum = one.minus(sum.times(v).over(by));
    }
    sum.times(v)
}

/// Holds a distance within \[0, 2\]; NaN passes.
#[inline(always)]
fn held<V: Lanes>(isa: V::Isa, distance: Double<V>) -> Double<V> {
    let (zero, two) = (
        V::splat(isa, V::Element::ZERO),
        V::splat(isa, V::Element::TWO),
    );
    let low = V::select(
        V::and(zero.lt(distance.high), distance.high.lt(two)),
        distance.low,
        zero,
    );
    Double {
        high: two.min(zero.max(distance.high)),
        low,
    }
}
