//! Where a density lives: maps between the real line, or a part of it, and the period of the series.

use crate::Error;
use crate::error::Parameter;
use crate::math::exp::exp_lanes;
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
/// assert_eq!(Domain::<f64>::unit().middle(), 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Domain<T> {
    pub(super) shape: Shape,
    /// The lower end, or the location.
    pub(super) from: T,
    /// The upper end of an interval, the period or the scale.
    pub(super) size: T,
}

/// The form of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Shape {
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
        match self.shape {
            Shape::Interval => {
                let place = self.place(isa, y);
                let slope = V::splat(isa, (T::TWO / (self.size - self.from)).natural_log());
                V::select(zero.lt(place.slope), slope, outside)
            }
            Shape::Circle => V::splat(isa, (T::TWO / self.size).natural_log()),
            Shape::Line => {
                let two = V::splat(isa, T::TWO);
                let decay = v.abs() * two;
                let e = exp_lanes(isa, -decay);
                V::splat(isa, (T::TWO * T::TWO / self.size).natural_log())
                    - (decay + ln_1p_of_sum(isa, e, zero) * two)
            }
            Shape::HalfLine => V::select(
                zero.le(v),
                V::splat(isa, (T::TWO / self.size).natural_log()) - v,
                outside,
            ),
        }
    }

    /// Returns the points at these distances from an end.
    #[inline(always)]
    pub(super) fn at<V: Lanes<Element = T>>(&self, isa: V::Isa, distance: V, sign: V) -> V {
        let zero = V::splat(isa, T::ZERO);
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
                V::select(
                    sign.lt(zero),
                    middle.max(to - part),
                    middle.min(from + part),
                )
            }
            Shape::Line => {
                let two = V::splat(isa, T::TWO);
                let v = ln_lanes(isa, (two - distance) / distance) * half;
                let v = zero.max(v) * size;
                V::select(sign.lt(zero), from + v, from - v)
            }
            Shape::HalfLine => {
                let part = distance * half;
                let v = V::select(
                    sign.lt(zero),
                    ln_lanes(isa, part),
                    ln_1p_of_sum(isa, -part, zero),
                );
                from - v * size
            }
        }
    }
}

/// Returns minus one where the mask is set, else one.
#[inline(always)]
pub(super) fn sign<V: Lanes>(isa: V::Isa, upper: V::Mask) -> V {
    let one = V::splat(isa, V::Element::ONE);
    V::select(upper, -one, one)
}

/// Returns v less the nearest integer.
#[inline(always)]
pub(super) fn fraction<V: Lanes>(isa: V::Isa, v: V) -> V {
    let integers = V::splat(isa, V::Element::INTEGERS_FROM);
    let magnitude = v.abs();
    let whole = (magnitude + integers) - integers;
    let rest = V::select(
        magnitude.lt(integers),
        magnitude - whole,
        magnitude - magnitude,
    );
    // The sign of v, times that of the rest.
    V::select(v.lt(V::splat(isa, V::Element::ZERO)), -rest, rest)
}
