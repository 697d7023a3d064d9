//! Places on an axis, between the integers too.

use core::num::NonZero;
use core::ops::Neg;

/// A place on one axis of an encoding, in fixed point: a whole number of units of 2^-32.
///
/// Tokens of text stand at integers, patches of images also between them: at half-integers in the
/// centered placement of RoPE-Tie, at fractions in others ([`Placement`](super::Placement)). Integers
/// and half-integers are exact, any other ratio is right to 2^-33. The range is [-2^31, 2^31), that of
/// an `i32`. Order and equality are those of the numbers. Arithmetic on integers only; the one
/// conversion to floating point is into `f64`.
///
/// ```
/// use suanzi::position::Coordinate;
///
/// let (three, half) = (Coordinate::new(3), Coordinate::halves(1));
/// assert_eq!(f64::from(half), 0.5);
/// assert!(half < three && -three < Coordinate::ZERO);
/// assert_eq!(three.units(), 3 << 32);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Coordinate(i64);

impl Coordinate {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// Returns an integer place.
    #[must_use]
    pub const fn new(place: i32) -> Self {
        // Widens.
        Self((place as i64) << 32)
    }

    /// Returns the place `count` / 2, exactly.
    #[must_use]
    pub const fn halves(count: i32) -> Self {
        // Widens.
        Self((count as i64) << 31)
    }

    /// Returns the place of so many units of 2^-32.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Returns the number of units of 2^-32.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// Returns the integer below and the units above it.
    #[inline(always)]
    pub(super) const fn parts(self) -> (i32, u32) {
        ((self.0 >> 32) as i32, self.0 as u32)
    }

    /// Returns `numerator` / `denominator` units rounded to the nearest, ties up; none from 2^31 on.
    pub(super) fn from_ratio(numerator: u128, denominator: NonZero<u128>) -> Option<Self> {
        let (whole, rest) = (numerator / denominator, numerator % denominator);
        let up = rest >= denominator.get() - rest;
        // A quotient that leaves no room for one more is far out of range.
        let units = whole.saturating_add(up.into());
        i64::try_from(units).ok().map(Self)
    }

    /// Returns an integer place, or none where it lies out of range.
    pub(super) fn from_integer(place: i64) -> Option<Self> {
        i32::try_from(place).ok().map(Self::new)
    }

    /// Returns the sum, or none where it lies out of range.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl From<i32> for Coordinate {
    fn from(place: i32) -> Self {
        Self::new(place)
    }
}

impl From<Coordinate> for f64 {
    /// Returns the place as a number, rounded to the nearest where it has more than 53 bits.
    ///
    /// Exact for integers and half-integers, and for every place within 2^20 of the origin.
    fn from(coordinate: Coordinate) -> Self {
        /// 2^-32; the product with it is exact.
        const UNIT: f64 = 1.0 / 4_294_967_296.0;
        // Rounds to the nearest, ties to even.
        coordinate.0 as Self * UNIT
    }
}

impl Neg for Coordinate {
    type Output = Self;

    /// Returns the place on the other side of the origin; -2^31, which has none, returns itself.
    fn neg(self) -> Self {
        Self(self.0.wrapping_neg())
    }
}
