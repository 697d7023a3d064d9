//! Sine and cosine of an exact angle, without double precision.
//!
//! 1. A frequency is a fraction of a turn in fixed point. Its product with the position, modulo one,
//!    is the angle: a wrapping integer multiplication, exact for every position.
//! 2. The two leading bits, rounded, count quarter turns; what remains lies within an eighth of a
//!    turn of zero. It is cut in two integers: one so short that its product with the upper half of
//!    2 pi is exact, and the rest.
//! 3. So the angle in radians is a sum of two numbers, high + low, right to about 2^-35 (2^-62), and
//!    sine and cosine are their leading terms, exact or with a known rounding error, plus a small
//!    correction. Only the last addition rounds at full size.
//! 4. The count of quarter turns swaps the two and sets their signs.

use core::fmt::Debug;

use super::Turns;
use crate::math::exp::horner;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{LANES, Lanes};

/// A number type that rotations are computed in: `f32` or `f64`.
pub trait Angle: Scalar + AngleTable {
    /// What a frequency is kept in: a fraction of a turn per position, `u64` for `f32` and `u128` for
    /// `f64`.
    type Turns: Copy + Debug + Default + PartialEq + Send + Sync + 'static;

    /// Returns the nearest fraction.
    fn narrowed(turns: Turns) -> Self::Turns;
    /// Returns the angle at a position, in units of 2^-64 turns, less than one unit low.
    fn at(turns: Self::Turns, position: i32) -> u64;
}

impl Angle for f32 {
    type Turns = u64;

    #[inline]
    fn narrowed(turns: Turns) -> u64 {
        let (high, low) = turns.parts();
        high.wrapping_add(low >> 63)
    }
    #[inline(always)]
    fn at(turns: u64, position: i32) -> u64 {
        turns.wrapping_mul(i64::from(position) as u64)
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
}

/// Constants and conversions of one number type.
pub trait AngleTable: Compute {
    /// 2 pi to half the precision, in units of the high part of an angle.
    const TURN_HIGH: Self;
    /// What it misses of 2 pi.
    const TURN_LOW: Self;
    /// 2 pi in units of the low part of an angle.
    const TURN_UNIT: Self;
    /// (sin(x) - x) / x^3 in powers of x^2 for |x| <= pi/4, highest power first.
    const SIN: &'static [Self];
    /// (cos(x) - 1 + x^2/2) / x^4 likewise.
    const COS: &'static [Self];
    /// One half.
    const HALF: Self;

    /// Returns this number type's rounding of a constant, once per encoding.
    fn rounded(value: f64) -> Self;
    /// Cuts what is left of a turn, less than 2^61, into a high and a low part.
    fn cut(rest: i64) -> (Self, Self);
    /// Returns a count of quarter turns.
    fn from_quarters(quarters: u64) -> Self;
}

impl AngleTable for f32 {
    // 3217 / 512, twelve bits, times 2^-14: the high part has twelve bits too.
    const TURN_HIGH: Self = 6.283_203_125 / 16_384.0;
    const TURN_LOW: Self = -1.781_782_05e-5 / 16_384.0;
    const TURN_UNIT: Self = core::f32::consts::TAU / 274_877_906_944.0;
    // Degree 9, error 2^-38.6.
    const SIN: &'static [Self] = &[
        2.715_974_65e-6,
        -1.983_903_94e-4,
        8.333_328_22e-3,
        -0.166_666_666,
    ];
    // Degree 8, error 2^-33.2.
    const COS: &'static [Self] = &[2.443_809_2e-5, -1.388_736_45e-3, 4.166_664_68e-2];
    const HALF: Self = 0.5;

    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn cut(rest: i64) -> (Self, Self) {
        // At most 2^11 units of 2^-14 turns, and 24 bits in units of 2^-38: both exact.
        let high = (rest + (1 << 49)) >> 50;
        let low = (rest - (high << 50)) >> 26;
        (high as i32 as Self, low as i32 as Self)
    }
    #[inline(always)]
    fn from_quarters(quarters: u64) -> Self {
        quarters as i32 as Self
    }
}

impl AngleTable for f64 {
    // 105414357 / 2^24, 27 bits, times 2^-28: the high part has 26 bits.
    const TURN_HIGH: Self = 105_414_357.0 / 16_777_216.0 / 268_435_456.0;
    const TURN_LOW: Self = 3.968_374_318_722_161_766_56e-9 / 268_435_456.0;
    const TURN_UNIT: Self = core::f64::consts::TAU / 18_446_744_073_709_551_616.0;
    // Degree 15, error 2^-69.9.
    const SIN: &'static [Self] = &[
        -7.575_512_214_793_940_066_74e-13,
        1.605_829_515_653_977_428_13e-10,
        -2.505_210_427_714_155_338_42e-8,
        2.755_731_921_137_294_820_12e-6,
        -1.984_126_984_124_858_055_99e-4,
        8.333_333_333_333_315_617_3e-3,
        -0.166_666_666_666_666_666_129,
    ];
    // Degree 14, error 2^-64.2.
    const COS: &'static [Self] = &[
        -1.135_956_024_949_053_748_8e-11,
        2.087_572_164_311_950_437_39e-9,
        -2.755_731_434_081_749_307_31e-7,
        2.480_158_728_944_409_762_91e-5,
        -1.388_888_888_887_406_602_63e-3,
        4.166_666_666_666_659_916_11e-2,
    ];
    const HALF: Self = 0.5;

    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn cut(rest: i64) -> (Self, Self) {
        // At most 2^25 units of 2^-28 turns, and 36 bits in units of 2^-64: both exact.
        let high = (rest + (1 << 35)) >> 36;
        (high as Self, (rest - (high << 36)) as Self)
    }
    #[inline(always)]
    fn from_quarters(quarters: u64) -> Self {
        quarters as i32 as Self
    }
}

/// Returns sine and cosine of the angles that a vector of pairs turns by at a position.
///
/// Missing frequencies count as zero. Absolute error: below 2^-24.5 in `f32`, 2^-53.4 in `f64`.
#[inline(always)]
pub(super) fn sin_cos<V: Lanes<Element: Angle>>(
    isa: V::Isa,
    turns: &[<V::Element as Angle>::Turns],
    position: i32,
) -> (V, V) {
    let mut high = [V::Element::ZERO; LANES];
    let mut low = [V::Element::ZERO; LANES];
    let mut quarters = [V::Element::ZERO; LANES];
    let lanes = high.iter_mut().zip(&mut low).zip(&mut quarters);
    for (((high, low), quarters), &turns) in lanes.zip(turns).take(V::LANES) {
        let angle = V::Element::at(turns, position);
        let nearest = angle.wrapping_add(1 << 61) >> 62;
        (*high, *low) = V::Element::cut(angle.wrapping_sub(nearest << 62) as i64);
        *quarters = V::Element::from_quarters(nearest);
    }
    let high = V::load(isa, &high);
    let low = V::load(isa, &low);
    let quarters = V::load(isa, &quarters) + V::splat(isa, V::Element::MAGIC);
    let (sin, cos) = within_eighth(
        isa,
        high * V::splat(isa, V::Element::TURN_HIGH),
        high * V::splat(isa, V::Element::TURN_LOW) + low * V::splat(isa, V::Element::TURN_UNIT),
    );
    // sin and cos by quarter: (s, c), (c, -s), (-s, -c), (-c, s).
    let swapped = quarters.bit(0);
    let s = V::select(swapped, cos, sin);
    let c = V::select(swapped, sin, cos);
    let next = quarters + V::splat(isa, V::Element::ONE);
    (
        V::select(quarters.bit(1), -s, s),
        V::select(next.bit(1), -c, c),
    )
}

/// Returns sine and cosine of high + low within pi/4 of zero.
#[inline(always)]
fn within_eighth<V: Lanes<Element: AngleTable>>(isa: V::Isa, high: V, low: V) -> (V, V) {
    let x = high + low;
    let z = x * x;
    let sin = high + (horner(isa, V::Element::SIN, z) * z).mul_add(x, low);
    // With x = a + b, where a^2 is exact: cos x = 1 - a^2/2 - b (a + b/2) + ...
    let half = V::splat(isa, V::Element::HALF);
    let one = V::splat(isa, V::Element::ONE);
    let a = x.upper_half();
    let b = (high - a) + low;
    let square = a * a * half;
    let near = one - square;
    let lost = (one - near) - square;
    let tail = (horner(isa, V::Element::COS, z) * z).mul_add(z, lost - b * (a + half * b));
    (sin, near + tail)
}
