//! Tables that the compiler computes: rows of cosines and sines for a `static` in flash.
//!
//! Kernels are written against traits, which constants cannot call yet, so that sine and cosine of an
//! angle stand here once more, operation for operation; a test holds both to the same bits.

use super::angle;
use super::{Base, Turns};
use crate::Error;
use crate::error::Parameter;
use crate::math::Coefficients;
use crate::scalar::sealed::Compute;

impl Base {
    /// Returns the frequencies of `PAIRS` pairs, for a constant.
    ///
    /// Those of [`Frequencies::turns`](super::Frequencies::turns).
    #[must_use]
    pub const fn list<const PAIRS: usize>(self) -> [Turns; PAIRS] {
        let mut list = [Turns::ZERO; PAIRS];
        let mut power = self.first(PAIRS);
        let mut rest: &mut [Turns] = &mut list;
        while let Some((to, tail)) = rest.split_first_mut() {
            *to = power.turns;
            power = power.next();
            rest = tail;
        }
        list
    }
}

/// Returns the rows of a [`RopeTable`](super::RopeTable) in `f32` from position `first` on, for a
/// constant.
///
/// A table that is a `static` lies in flash and costs no time at start. `LEN` is
/// [`RopeTable::table_len`](super::RopeTable::table_len); the entries have the bits that
/// [`RopeTable::new`](super::RopeTable::new) writes in portable arithmetic, at temperature one.
/// Frequencies come from [`Base::list`], or from any list that the constant functions of [`Turns`] made
/// of it.
///
/// The compiler takes a second for some ten thousand entries; from about a hundred thousand on it asks
/// for `#[allow(long_running_const_eval)]`.
///
/// # Errors
///
/// [`Error::Multiple`] if `LEN` is not whole rows of two entries for each of `turns`,
/// [`Parameter::Position`] if the last position lies beyond `i32::MAX`.
///
/// ```
/// use suanzi::Error;
/// use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, RopeTable, rope_rows};
///
/// static ROWS: [f32; 16 * 8] = match Base::new(10_000.0) {
///     Ok(base) => match rope_rows(&base.list::<4>(), 0) {
///         Ok(rows) => rows,
///         Err(_) => panic!("16 rows of 8"),
///     },
///     Err(_) => panic!("a base above one"),
/// };
///
/// let layout = HeadLayout::new(8, Pairing::Interleaved)?;
/// let table = RopeTable::from_rows(layout, 0, &ROWS)?;
/// let mut x = [1.0_f32; 8];
/// table.rotate(15, &mut x[..])?;
/// # Ok::<(), Error>(())
/// ```
pub const fn rope_rows<const LEN: usize>(turns: &[Turns], first: i32) -> Result<[f32; LEN], Error> {
    let row = 2 * turns.len();
    let positions = match (LEN.checked_div(row), LEN.checked_rem(row)) {
        (Some(positions), Some(0)) => positions,
        _ => {
            return Err(Error::Multiple {
                of: row,
                found: LEN,
            });
        }
    };
    let left = (i32::MAX as i64 - first as i64) as u64 + 1;
    if positions as u64 > left {
        return Err(Error::Domain(Parameter::Position));
    }
    let mut rows = [0.0; LEN];
    let mut rest: &mut [f32] = &mut rows;
    let mut position = first;
    while let Some((row, tail)) = rest.split_at_mut_checked(row)
        && let Some((mut cosines, mut sines)) = row.split_at_mut_checked(turns.len())
    {
        let mut frequencies = turns;
        while let (Some((cos, c)), Some((sin, s)), Some((frequency, f))) = (
            cosines.split_first_mut(),
            sines.split_first_mut(),
            frequencies.split_first(),
        ) {
            let angle = angle::nearest(*frequency).wrapping_mul(position as i64 as u64);
            (*sin, *cos) = sin_cos(angle);
            (cosines, sines, frequencies) = (c, s, f);
        }
        position = position.wrapping_add(1);
        rest = tail;
    }
    Ok(rows)
}

/// Returns the sine and the cosine of an angle in units of 2^-64 turns: [`angle::sin_cos`] in one lane.
const fn sin_cos(angle: u64) -> (f32, f32) {
    let [high, low, nearest] = angle::cut(angle);
    let (r, r_low) = radians(high as f32 * angle::HIGH, low as f32 * angle::LOW);
    let (s, c) = polynomials(r, r_low);
    let (sin, cos) = if nearest & 1 == 1 { (c, s) } else { (s, c) };
    let sin = if nearest & 2 == 2 { -sin } else { sin };
    let cos = if (nearest + 1) & 2 == 2 { -cos } else { cos };
    (sin, cos + 0.0)
}

/// `radians` of the elementary functions.
const fn radians(fraction: f32, low: f32) -> (f32, f32) {
    let upper = f32::from_bits(fraction.to_bits() & f32::UPPER_HALF);
    let small = (fraction - upper) * f32::HALF_PI_HI + fraction * f32::HALF_PI_LO;
    let (a, b) = (upper * f32::HALF_PI_HI, low * f32::HALF_PI_HI + small);
    let sum = a + b;
    (sum, b - (sum - a))
}

/// `polynomials` of the elementary functions.
const fn polynomials(r: f32, low: f32) -> (f32, f32) {
    let z = r * r;
    let half = z * 0.5;
    let base = 1.0 - half;
    let sin = ((r * z) * horner(f32::SIN, z) + low * base) + r;
    let lost = (1.0 - base) - half;
    let cos = base + (lost + ((z * z) * horner(f32::COS, z) - low * r));
    (sin, cos)
}

/// `horner` of the elementary functions.
const fn horner(coefficients: &[f32], x: f32) -> f32 {
    let mut p = 0.0;
    let mut rest = coefficients;
    while let Some((&c, tail)) = rest.split_first() {
        // The first product is zero times x, for a finite x.
        p = p * x + c;
        rest = tail;
    }
    p
}
