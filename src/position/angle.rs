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

/// A number type that rotations are computed in: `f32` or `f64`.
pub trait Angle: Scalar + sealed::Cut {
    /// What a frequency is kept in: a fraction of a turn per position, `u64` for `f32` and `u128` for
    /// `f64`.
    type Turns: Copy + Debug + Default + PartialEq + Send + Sync + 'static;

    /// Returns the nearest fraction.
    fn narrowed(turns: Turns) -> Self::Turns;
    /// Returns the fraction at a position, modulo one.
    fn times(turns: Self::Turns, position: i32) -> Self::Turns;
    /// Returns a fraction in units of 2^-64 turns, less than one unit low.
    fn angle(turns: Self::Turns) -> u64;
    /// Returns a fraction times a position, whole parts included, in units of 2^-64.
    fn octaves(fraction: Self::Turns, position: i32) -> i128;
    /// Returns the fraction at a place between positions, modulo one, less than one unit low. The
    /// frequency counts as one within half a turn of zero.
    fn at_place(turns: Self::Turns, place: Coordinate) -> Self::Turns;
}

impl Angle for f32 {
    type Turns = u64;

    #[inline]
    fn narrowed(turns: Turns) -> u64 {
        nearest(turns)
    }
    #[inline(always)]
    fn times(turns: u64, position: i32) -> u64 {
        turns.wrapping_mul(i64::from(position) as u64)
    }
    #[inline(always)]
    fn angle(turns: u64) -> u64 {
        turns
    }
    #[inline(always)]
    fn octaves(fraction: u64, position: i32) -> i128 {
        i128::from(fraction) * i128::from(position)
    }
    #[inline(always)]
    fn at_place(turns: u64, place: Coordinate) -> u64 {
        let (whole, part) = place.parts();
        // Within half a turn of zero: the upper half has a sign.
        let (high, low) = (turns as i64 >> 32, u64::from(turns as u32));
        let high = high.wrapping_mul(i64::from(part)) as u64;
        let low = (low * u64::from(part)) >> 32;
        Self::times(turns, whole)
            .wrapping_add(high)
            .wrapping_add(low)
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
    fn times(turns: u128, position: i32) -> u128 {
        turns.wrapping_mul(i128::from(position) as u128)
    }
    #[inline(always)]
    fn angle(turns: u128) -> u64 {
        (turns >> 64) as u64
    }
    #[inline(always)]
    fn octaves(fraction: u128, position: i32) -> i128 {
        let near = i128::from((fraction >> 64) as u64) * i128::from(position);
        // The lower half adds less than 2^31 units.
        let exact = Self::angle(Self::times(fraction, position));
        near + i128::from(exact.wrapping_sub(near as u64) as i64)
    }
    #[inline(always)]
    fn at_place(turns: u128, place: Coordinate) -> u128 {
        let (whole, part) = place.parts();
        let (high, low) = (turns as i128 >> 32, u128::from(turns as u32));
        let high = high.wrapping_mul(i128::from(part)) as u128;
        let low = (low * u128::from(part)) >> 32;
        Self::times(turns, whole)
            .wrapping_add(high)
            .wrapping_add(low)
    }
}

/// Returns the nearest fraction in 64 bits.
pub(super) const fn nearest(turns: Turns) -> u64 {
    let (high, low) = turns.parts();
    high.wrapping_add(low >> 63)
}

/// The unit of the high part of an angle, in quarter turns.
pub(super) const HIGH: f32 = 1.0 / 16_777_216.0;
/// The unit of its low part.
pub(super) const LOW: f32 = HIGH * HIGH;

/// Cuts an angle, in units of 2^-64 turns, into the nearest count of quarter turns, and a high and a low
/// part of what is left, integers in their units: `[high, low, quarters]`.
///
/// In 32 bits, of which a vector has most. At most 2^23 units of 2^-24 quarters, and 24 bits in units
/// of 2^-48: both are exact in `f32`.
#[inline(always)]
pub(super) const fn cut(angle: u64) -> [i32; 3] {
    let (upper, lower) = ((angle >> 32) as u32, angle as u32);
    let quarters = upper.wrapping_add(1 << 29) >> 30;
    let rest = upper.wrapping_sub(quarters << 30) as i32;
    let high = (rest + (1 << 5)) >> 6;
    let low = ((rest - (high << 6)) << 18) + (lower >> 14) as i32;
    [high, low, quarters as i32]
}

/// Cuts a number in units of 2^-64 into the nearest integer, at most `limit` in magnitude, and the rest.
#[inline(always)]
fn cut_octaves(octaves: i128, limit: i32) -> (i32, i64) {
    let whole = (octaves + (1 << 63)) >> 64;
    let rest = octaves.wrapping_sub(whole << 64) as i64;
    let limit = i128::from(limit);
    (whole.clamp(-limit, limit) as i32, rest)
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
        /// Cuts an angle, in units of 2^-64 turns, into the nearest count of quarter turns, and a high
        /// and a low part of what is left, integers in their units: `[high, low, quarters]`.
        fn cut(angle: u64) -> [Self; 3];
        /// The natural logarithm of two.
        const LN_2: Self;
        /// Cuts a number in units of 2^-64 into the nearest integer, held where powers of two end, and
        /// the rest.
        fn cut_octaves(octaves: i128) -> (Self, Self);
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
        fn cut(angle: u64) -> [Self; 3] {
            super::cut(angle).map(|part| part as Self)
        }
        const LN_2: Self = core::f32::consts::LN_2;
        #[inline(always)]
        fn cut_octaves(octaves: i128) -> (Self, Self) {
            let (whole, rest) = super::cut_octaves(octaves, 252);
            // 31 of its 63 bits are more than a number holds.
            (
                whole as Self,
                (rest >> 32) as i32 as Self / (1_u64 << 32) as Self,
            )
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
        fn cut(angle: u64) -> [Self; 3] {
            let quarters = angle.wrapping_add(1 << 61) >> 62;
            let rest = angle.wrapping_sub(quarters << 62) as i64;
            // At most 2^52 units of 2^-53 quarters, and the rest in units of 2^-62: both exact.
            let high = (rest + (1 << 8)) >> 9;
            let low = rest - (high << 9);
            [high as Self, low as Self, quarters as i32 as Self]
        }
        const LN_2: Self = core::f64::consts::LN_2;
        #[inline(always)]
        fn cut_octaves(octaves: i128) -> (Self, Self) {
            let (whole, rest) = super::cut_octaves(octaves, 2044);
            (whole as Self, rest as Self / (1_u128 << 64) as Self)
        }
    }
}

/// Returns sine and cosine of a vector of pairs: `at` tells the fraction of a turn that a lane turns by,
/// from its frequency.
///
/// Absolute error: below 2^-24 in `f32`, 2^-52.6 in `f64`. Frequencies that are missing count as zero.
#[inline(always)]
pub(super) fn sin_cos<V: Lanes<Element: Angle>>(
    isa: V::Isa,
    turns: &[<V::Element as Angle>::Turns],
    at: impl Fn(usize, <V::Element as Angle>::Turns) -> <V::Element as Angle>::Turns,
) -> (V, V) {
    use sealed::Cut;
    let mut high = [V::Element::ZERO; LANES];
    let mut low = [V::Element::ZERO; LANES];
    let mut quarters = [V::Element::ZERO; LANES];
    // Of a known length, so that the compiler cuts them side by side.
    if let Some(turns) = turns.get(..V::LANES) {
        let parts = high.iter_mut().zip(&mut low).zip(&mut quarters);
        for (lane, (((high, low), quarters), &turns)) in parts.zip(turns).enumerate() {
            let angle = V::Element::angle(at(lane, turns));
            [*high, *low, *quarters] = V::Element::cut(angle);
        }
    }
    sin_cos_fraction(
        isa,
        V::load(isa, &quarters) + V::splat(isa, V::Element::MAGIC),
        V::load(isa, &high) * V::splat(isa, V::Element::HIGH),
        V::load(isa, &low) * V::splat(isa, V::Element::LOW),
    )
}
