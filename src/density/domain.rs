//! Where a density lives: maps between the real line, or a part of it, and the period of the series.

use super::double::Double;
use crate::Error;
use crate::error::Parameter;
use crate::math::Coefficients as _;
use crate::math::exp::{Parts, exp_lanes};
use crate::math::exp_m1::exp_m1_lanes;
use crate::math::ln::{ln_1p_of_sum, ln_lanes};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::Lanes;

/// Where a density lives, as a map y -> x onto the period \[-1, 1\] of a Fourier series.
///
/// The density of y is that of x times dx/dy, so that it integrates to one whatever the map.
///
/// * [`interval`](Self::interval): x runs evenly from one end to the other; the density is zero outside.
/// * [`circle`](Self::circle): the same, and repeats: angles, times of day.
/// * [`line`](Self::line): x = tanh((y - location) / scale), tails fall like exp(-2 |y| / scale).
/// * [`half_line`](Self::half_line): x = 1 - 2 exp(-(y - from) / scale), so that a constant series is an
///   exponential distribution.
///
/// ```
/// use suanzi::density::Domain;
///
/// assert!(Domain::interval(2.0_f32, 1.0).is_err());
/// assert_eq!(Domain::unit().middle(), 0.0_f64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain<T> {
    shape: Shape,
    /// The lower end, or the location.
    from: T,
    /// The upper end of an interval, the period or the scale.
    size: T,
}

/// The form of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Interval,
    Circle,
    HalfLine,
    Line,
}

/// A point as its distance from the nearer end of the period.
#[derive(Clone, Copy)]
pub(super) struct Place<V: Lanes> {
    /// Within \[0, 1\] up to rounding, and NaN where the point is.
    pub(super) distance: V,
    /// One if the nearer end is the lower, minus one if it is the upper.
    pub(super) sign: V,
    /// dx/dy, zero outside.
    pub(super) slope: V,
}

impl<T: Scalar> Domain<T> {
    /// Returns the period itself, \[-1, 1\].
    #[must_use]
    pub fn unit() -> Self {
        Self {
            shape: Shape::Interval,
            from: -T::ONE,
            size: T::ONE,
        }
    }

    /// Returns an interval, both ends included.
    ///
    /// # Errors
    ///
    /// [`Parameter::Interval`] unless the ends are finite, in order, and so is their distance.
    pub fn interval(from: T, to: T) -> Result<Self, Error> {
        Self::checked(Shape::Interval, from, to, to - from)
    }

    /// Returns a circle whose turn begins at `from`.
    ///
    /// # Errors
    ///
    /// [`Parameter::Interval`] unless both numbers are finite and the period is positive.
    pub fn circle(from: T, period: T) -> Result<Self, Error> {
        Self::checked(Shape::Circle, from, period, period)
    }

    /// Returns the line.
    ///
    /// # Errors
    ///
    /// [`Parameter::Interval`] unless both numbers are finite and the scale is positive.
    pub fn line(location: T, scale: T) -> Result<Self, Error> {
        Self::checked(Shape::Line, location, scale, scale)
    }

    /// Returns the half line from `from` upward.
    ///
    /// # Errors
    ///
    /// [`Parameter::Interval`] unless both numbers are finite and the scale is positive.
    pub fn half_line(from: T, scale: T) -> Result<Self, Error> {
        Self::checked(Shape::HalfLine, from, scale, scale)
    }

    fn checked(shape: Shape, from: T, size: T, positive: T) -> Result<Self, Error> {
        let finite = |x: T| x - x == T::ZERO;
        // Two divided by it is a factor, which must be a number too.
        let inverse = (T::ONE + T::ONE) / positive;
        if finite(from) && finite(positive) && positive > T::ZERO && finite(inverse) {
            Ok(Self { shape, from, size })
        } else {
            Err(Error::Domain(Parameter::Interval))
        }
    }

    /// Returns the point in the middle of the period, where x = 0.
    #[must_use]
    pub fn middle(&self) -> T {
        let half = T::ONE / (T::ONE + T::ONE);
        match self.shape {
            Shape::Interval => self.from + (self.size - self.from) * half,
            Shape::Circle => self.from + self.size * half,
            Shape::HalfLine => self.from + self.size * (T::ONE + T::ONE).natural_log(),
            Shape::Line => self.from,
        }
    }

    /// Returns the location and the scale of a line.
    pub(super) fn as_line(&self) -> Option<(T, T)> {
        (self.shape == Shape::Line).then_some((self.from, self.size))
    }

    /// Returns the length that steps are measured by.
    pub(super) fn unit_of_length(&self) -> T {
        match self.shape {
            Shape::Interval => self.size - self.from,
            _ => self.size,
        }
    }

    /// Finds the place of each point.
    #[inline(always)]
    pub(super) fn place<V: Lanes<Element = T>>(&self, isa: V::Isa, y: V) -> Place<V> {
        let zero = V::splat(isa, T::ZERO);
        let two = V::splat(isa, T::TWO);
        let (from, size) = (V::splat(isa, self.from), V::splat(isa, self.size));
        match self.shape {
            Shape::Interval => {
                let factor = V::splat(isa, T::TWO / (self.size - self.from));
                let (below, above) = ((y - from) * factor, (size - y) * factor);
                let distance = below.min(above);
                Place {
                    distance: zero.max(distance),
                    sign: sign(isa, above.lt(below)),
                    slope: V::select(zero.le(distance), factor, zero),
                }
            }
            Shape::Circle => {
                let f = fraction(isa, (y - from) / size);
                Place {
                    distance: f.abs() * two,
                    sign: sign(isa, f.lt(zero)),
                    slope: V::splat(isa, T::TWO / self.size),
                }
            }
            Shape::Line => {
                let v = (y - from) / size;
                let e = exp_lanes(isa, -(v.abs() * two));
                let distance = two * e / (e + V::splat(isa, T::ONE));
                Place {
                    distance,
                    sign: sign(isa, zero.lt(v)),
                    slope: distance * (two - distance) / size,
                }
            }
            Shape::HalfLine => {
                let v = (y - from) / size;
                let below = -(exp_m1_lanes(isa, -v) * two);
                let above = exp_lanes(isa, -v) * two;
                let distance = below.min(above);
                Place {
                    distance: zero.max(distance),
                    sign: sign(isa, above.lt(below)),
                    slope: V::select(zero.le(v), above / size, zero),
                }
            }
        }
    }

    /// Returns ln(dx/dy) of each point: minus infinity outside.
    #[inline(always)]
    pub(super) fn ln_slope<V: Lanes<Element = T>>(&self, isa: V::Isa, y: V) -> V {
        let zero = V::splat(isa, T::ZERO);
        let outside = V::splat(isa, T::NEG_INFINITY);
        let v = (y - V::splat(isa, self.from)) / V::splat(isa, self.size);
        let constant = |x: T| V::splat(isa, x.natural_log());
        match self.shape {
            Shape::Interval => {
                let place = self.place(isa, y);
                let slope = constant(T::TWO / (self.size - self.from));
                V::select(zero.lt(place.slope), slope, outside)
            }
            Shape::Circle => constant(T::TWO / self.size),
            Shape::Line => {
                let two = V::splat(isa, T::TWO);
                let decay = v.abs() * two;
                let e = exp_lanes(isa, -decay);
                constant(T::TWO * T::TWO / self.size) - (decay + ln_1p_of_sum(isa, e, zero) * two)
            }
            Shape::HalfLine => {
                V::select(zero.le(v), constant(T::TWO / self.size) - v, outside)
            }
        }
    }

    /// Finds the place of each point in twice the precision: its distance and the nearer end.
    #[inline(always)]
    pub(super) fn exact_place<V: Lanes<Element = T>>(
        &self,
        isa: V::Isa,
        y: V,
    ) -> (Double<V>, V) {
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

    /// Returns the points at these distances from an end.
    #[inline(always)]
    pub(super) fn at<V: Lanes<Element = T>>(
        &self,
        isa: V::Isa,
        distance: V,
        sign: V,
    ) -> V {
        let zero = V::splat(isa, T::ZERO);
        let upper = || sign.lt(zero);
        let half = V::splat(isa, T::HALF);
        let (from, size) = (V::splat(isa, self.from), V::splat(isa, self.size));
        match self.shape {
            Shape::Interval | Shape::Circle => {
                let (to, width) = if self.shape == Shape::Interval {
                    (size, size - from)
                } else {
                    (from + size, size)
                };
                let (part, middle) = (width * half * distance, from + width * half);
                // Rounding must not bring the halves out of order.
                V::select(upper(), middle.max(to - part), middle.min(from + part))
            }
            Shape::Line => {
                let two = V::splat(isa, T::TWO);
                let v = ln_lanes(isa, (two - distance) / distance) * half;
                let v = zero.max(v) * size;
                V::select(upper(), from + v, from - v)
            }
            Shape::HalfLine => {
                let part = distance * half;
                let v = V::select(upper(), ln_lanes(isa, part), ln_1p_of_sum(isa, -part, zero));
                from - v * size
            }
        }
    }

    /// Returns how far apart two points lie on the period, without cancellation, and the place in their
    /// middle as a distance from the lower end; the points are in order and not NaN.
    pub(super) fn apart<V: Lanes<Element = T>>(&self, isa: V::Isa, low: V, high: V) -> (V, V) {
        let (zero, two) = (V::splat(isa, T::ZERO), V::splat(isa, T::TWO));
        let from_lower = |place: Place<V>| {
            V::select(place.sign.lt(zero), two - place.distance, place.distance)
        };
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

/// Returns minus one where the mask is set, else one.
#[inline(always)]
fn sign<V: Lanes>(isa: V::Isa, upper: V::Mask) -> V {
    let one = V::splat(isa, V::Element::ONE);
    V::select(upper, -one, one)
}

/// Returns v less the nearest integer.
#[inline(always)]
fn fraction<V: Lanes>(isa: V::Isa, v: V) -> V {
    let integers = V::splat(isa, V::Element::INTEGERS_FROM);
    let magnitude = v.abs();
    let whole = (magnitude + integers) - integers;
    let rest = V::select(magnitude.lt(integers), magnitude - whole, magnitude - magnitude);
    // The sign of v, times that of the rest.
    V::select(v.lt(V::splat(isa, V::Element::ZERO)), -rest, rest)
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
