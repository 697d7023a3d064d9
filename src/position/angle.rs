//! Sine and cosine of an exact angle, without double precision.
//!
//! 1. A frequency is a fraction of a turn in fixed point. Its product with the position, modulo one,
//!    is the angle: a wrapping integer multiplication, exact for every position.
//! 2. The two leading bits, rounded, count quarter turns; what remains lies within an eighth of a
//!    turn of zero. It is cut in two numbers, the second beyond the precision of the first.
//! 3. [`sin_cos_fraction`] takes the three.

use core::fmt::Debug;

use super::{Coordinate, Turns};
use crate::math::sin_cos_pi::sin_cos_fraction;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{LANES, Lanes};
use crate::storage::Stored;

/// A number type that rotations are computed in: `f32` or `f64`.
pub trait Angle: Scalar + Stored<Self> + sealed::Cut {
    /// What a frequency is kept in: a fraction of a turn per position, `u64` for `f32` and `u128` for
    /// `f64`.
    type Turns: Copy + Debug + Default + PartialEq + Send + Sync + 'static;

    /// Returns the nearest fraction.
    fn narrowed(turns: Turns) -> Self::Turns;
    /// Returns the angle at a position, in units of 2^-64 turns, less than one unit low.
    fn at(turns: Self::Turns, position: i32) -> u64;
    /// Returns the angle at a place between positions, in units of 2^-64 turns, less than two low.
    fn at_place(turns: Self::Turns, place: Coordinate) -> u64;
}

impl Angle for f32 {
    type Turns = u64;

    #[inline]
    fn narrowed(turns: Turns) -> u64 {
        nearest(turns)
    }
    #[inline(always)]
    fn at(turns: u64, position: i32) -> u64 {
        turns.wrapping_mul(i64::from(position) as u64)
    }
    #[inline(always)]
    fn at_place(turns: u64, place: Coordinate) -> u64 {
        let (whole, part) = place.parts();
        let (high, low) = (turns >> 32, u64::from(turns as u32));
        let part = u64::from(part);
        Self::at(turns, whole).wrapping_add(high * part + (low * part >> 32))
    }
}

impl Angle for f64 {
    type Turns = u128;

    #[inline]
    fn narrowed(turns: Turns) -> u128 {
        let (high, low) = turns.parts();
        u128::from(high) << 64 | u128::from(low)
    }
    #[inline(always)]
    fn at(turns: u128, position: i32) -> u64 {
        (turns.wrapping_mul(i128::from(position) as u128) >> 64) as u64
    }
    #[inline(always)]
    fn at_place(turns: u128, place: Coordinate) -> u64 {
        let (whole, part) = place.parts();
        let (high, low) = (turns >> 32, u128::from(turns as u32));
        let part = high * u128::from(part) + (low * u128::from(part) >> 32);
        (turns
            .wrapping_mul(i128::from(whole) as u128)
            .wrapping_add(part)
            >> 64) as u64
    }
}

/// Returns the nearest fraction in 64 bits.
pub(super) const fn nearest(turns: Turns) -> u64 {
    let (high, low) = turns.parts();
    high.wrapping_add(low >> 63)
}

/// Returns what is left of an angle beside the nearest count of quarter turns, and the count.
#[inline(always)]
pub(super) const fn quarters(angle: u64) -> (i64, u64) {
    let nearest = angle.wrapping_add(1 << 61) >> 62;
    (angle.wrapping_sub(nearest << 62) as i64, nearest)
}

/// The unit of the high part of an angle, in quarter turns.
pub(super) const HIGH: f32 = 1.0 / 16_777_216.0;
/// The unit of its low part.
pub(super) const LOW: f32 = HIGH * HIGH;

/// Cuts an angle within 2^61 into a high and a low part, integers in their units.
#[inline(always)]
pub(super) const fn cut(rest: i64) -> (f32, f32) {
    // At most 2^23 units of 2^-24 quarters, and 24 bits in units of 2^-48: both exact.
    let high = (rest + (1 << 37)) >> 38;
    let low = (rest - (high << 38)) >> 14;
    (high as i32 as f32, low as i32 as f32)
}

mod sealed {
    use super::Compute;
    use crate::position::fixed::POINT;

    /// Conversions of one number type.
    pub trait Cut: Compute {
        /// The unit of the high part of an angle, in quarter turns.
        const HIGH: Self;
        /// The unit of its low part.
        const LOW: Self;

        /// Returns this number type's rounding of a constant, once per encoding.
        fn rounded(value: f64) -> Self;
        /// Returns the nearest of a count of units of 2^-96.
        fn from_units(units: u128) -> Self;
        /// Cuts an angle within 2^61 into a high and a low part, integers in their units.
        fn cut(rest: i64) -> (Self, Self);
        /// Returns a count of quarter turns.
        fn from_quarters(quarters: u64) -> Self;
    }

    impl Cut for f32 {
        const HIGH: Self = super::HIGH;
        const LOW: Self = super::LOW;

        #[inline(always)]
        fn rounded(value: f64) -> Self {
            value as Self
        }
        #[inline]
        fn from_units(units: u128) -> Self {
            units as Self / (1_u128 << POINT) as Self
        }
        #[inline(always)]
        fn cut(rest: i64) -> (Self, Self) {
            super::cut(rest)
        }
        #[inline(always)]
        fn from_quarters(quarters: u64) -> Self {
            quarters as i32 as Self
        }
    }

    impl Cut for f64 {
        const HIGH: Self = 1.0 / 9_007_199_254_740_992.0;
        const LOW: Self = Self::HIGH / 512.0;

        #[inline(always)]
        fn rounded(value: f64) -> Self {
            value
        }
        #[inline]
        fn from_units(units: u128) -> Self {
            units as Self / (1_u128 << POINT) as Self
        }
        #[inline(always)]
        fn cut(rest: i64) -> (Self, Self) {
            // At most 2^52 units of 2^-53 quarters, and the rest in units of 2^-62: both exact.
            let high = (rest + (1 << 8)) >> 9;
            (high as Self, (rest - (high << 9)) as Self)
        }
        #[inline(always)]
        fn from_quarters(quarters: u64) -> Self {
            quarters as i32 as Self
        }
    }
}

/// Returns sine and cosine of a vector of angles, in units of 2^-64 turns.
///
/// Missing ones count as zero. Absolute error: below 2^-24 in `f32`, 2^-52.6 in `f64`.
#[inline(always)]
pub(super) fn sin_cos<V: Lanes<Element: Angle>>(
    isa: V::Isa,
    angles: impl Iterator<Item = u64>,
) -> (V, V) {
    use sealed::Cut;
    let mut high = [V::Element::ZERO; LANES];
    let mut low = [V::Element::ZERO; LANES];
    let mut quarters = [V::Element::ZERO; LANES];
    let lanes = high.iter_mut().zip(&mut low).zip(&mut quarters);
    for (((high, low), quarters), angle) in lanes.zip(angles).take(V::LANES) {
        let (rest, nearest) = self::quarters(angle);
        (*high, *low) = V::Element::cut(rest);
        *quarters = V::Element::from_quarters(nearest);
    }
    sin_cos_fraction(
        isa,
        V::load(isa, &quarters) + V::splat(isa, V::Element::MAGIC),
        V::load(isa, &high) * V::splat(isa, V::Element::HIGH),
        V::load(isa, &low) * V::splat(isa, V::Element::LOW),
    )
}
