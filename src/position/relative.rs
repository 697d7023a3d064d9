//! How far a key lies from a query, in the forms that reach beyond the length of training.

use core::num::NonZero;

use super::Coordinate;
use super::frequencies::is_positive;
use crate::Error;
use crate::error::Parameter;

/// How far a key lies from a query: the plain distance, or one that is shortened from a window on.
///
/// Rotary attention depends on the distance d = query - key only. A model that was trained on short
/// contexts reads longer ones if distances it has not seen are shortened, while near ones stay exact:
///
/// | form | d < w | d >= w |
/// |---|---|---|
/// | RoPE | d | d |
/// | ReRoPE | d | w |
/// | Leaky ReRoPE | d | w + (d - w) / k |
/// | Self-Extend | d | (query div g + w - w div g) - key div g |
///
/// Su 2023, kexue.fm archive 9708 (ReRoPE and Leaky ReRoPE); Jin et al. 2024, arXiv 2401.01325
/// (Self-Extend, Leaky ReRoPE with rounding; div rounds down). A key after the query, d < 0, keeps the
/// plain distance. Su takes a window of a quarter to a half of the length of training.
///
/// To decode with one of them, keep the keys in the cache *unrotated*. In each step leave the query
/// unrotated too and rotate each key to minus its distance, with an [`AxialRope`](super::AxialRope) on
/// one axis: the scores are then those of the form. Each step rotates each key once, where plain RoPE
/// rotates a key once for all.
///
/// No floating-point arithmetic; a factor is taken as the exact value of its `f64`. Cost: a few
/// instructions; Self-Extend three divisions in 32 bits, Leaky ReRoPE one in 128 bits.
///
/// ```
/// use suanzi::position::{Coordinate, Distance};
///
/// let leaky = Distance::LeakyReRope { window: 4, factor: 2.0 };
/// assert_eq!(leaky.between(103, 100)?, Coordinate::new(3));
/// // 4 + (7 - 4) / 2
/// assert_eq!(leaky.between(107, 100)?, Coordinate::halves(11));
/// // The position that this key is rotated to, for an unrotated query.
/// let _at = [-leaky.between(107, 100)?];
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Distance {
    /// The plain distance.
    #[default]
    Rope,
    /// At most the width of a window.
    ReRope {
        /// The distance from which on all are equal: positive.
        window: u32,
    },
    /// Beyond a window, shortened by a factor; one is RoPE, infinity would be ReRoPE.
    LeakyReRope {
        /// The distance up to which all are exact: positive.
        window: u32,
        /// What distances beyond are divided by: finite and positive. Below one it lengthens them, for
        /// training in the inverse form.
        factor: f64,
    },
    /// Beyond a window, counted in groups of positions; groups of one are RoPE.
    SelfExtend {
        /// The distance up to which all are exact: positive.
        window: u32,
        /// The number of positions in a group: positive.
        group: u32,
    },
}

impl Distance {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// [`Parameter::Window`] if a window or a group is zero, [`Parameter::Factor`] unless a factor is
    /// finite and positive.
    pub const fn check(self) -> Result<(), Error> {
        match self {
            Self::ReRope { window: 0 }
            | Self::LeakyReRope { window: 0, .. }
            | Self::SelfExtend { window: 0, .. }
            | Self::SelfExtend { group: 0, .. } => Err(Error::Domain(Parameter::Window)),
            Self::LeakyReRope { factor, .. } if !is_positive(factor) => {
                Err(Error::Domain(Parameter::Factor))
            }
            _ => Ok(()),
        }
    }

    /// Returns how far a key lies from a query; below zero if it comes after.
    ///
    /// Exact but for the quotient of Leaky ReRoPE, which is rounded to the nearest unit of 2^-32, ties
    /// up.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check); [`Parameter::Position`] unless the result is within
    /// \[-2^31, 2^31), and in Self-Extend if a position is negative.
    pub fn between(self, query: i32, key: i32) -> Result<Coordinate, Error> {
        self.check()?;
        let plain = i64::from(query) - i64::from(key);
        let distance = match self {
            Self::Rope => Coordinate::from_integer(plain),
            Self::ReRope { window } => Coordinate::from_integer(plain.min(window.into())),
            Self::LeakyReRope { window, factor } => leaky(plain, window, factor),
            Self::SelfExtend { window, group } => self_extend(query, key, window, group),
        };
        distance.ok_or(Error::Domain(Parameter::Position))
    }
}

/// Returns d, or w + (d - w) / k from w on; none out of range.
fn leaky(plain: i64, window: u32, factor: f64) -> Option<Coordinate> {
    match u128::try_from(plain - i64::from(window)) {
        Ok(beyond) => {
            Coordinate::from_integer(window.into())?.plus(quotient_in_units(beyond, factor)?)
        }
        Err(_) => Coordinate::from_integer(plain),
    }
}

/// Returns d, or the distance of the groups from w on; none out of range.
fn self_extend(query: i32, key: i32, window: u32, group: u32) -> Option<Coordinate> {
    let (query, key) = (u32::try_from(query).ok()?, u32::try_from(key).ok()?);
    let group = NonZero::new(group)?;
    let [q, k, w] = [query, key, window].map(i64::from);
    if q - k < w {
        return Coordinate::from_integer(q - k);
    }
    let [q, k, groups] = [query, key, window].map(|position| i64::from(position / group));
    Coordinate::from_integer(q + w - groups - k)
}

/// Returns `dividend` / `factor` in units of 2^-32, rounded to the nearest; none out of range.
///
/// The factor is m 2^e with integers m and e, the quotient in units 2^(32 - e) dividend / m. If the
/// shifted dividend does not fit in 128 bits, the quotient is above 2^128 / m, out of range; if the
/// shifted m does not fit, it is below 2^33 / 2^128.
fn quotient_in_units(dividend: u128, factor: f64) -> Option<Coordinate> {
    /// Bits of the fraction of an `f64`.
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    /// The exponent of the last place, with that of its encoding.
    const BIAS: u64 = 1023 + FRACTION as u64;

    let bits = factor.to_bits();
    let (exponent, fraction) = (bits >> FRACTION, bits & ((1 << FRACTION) - 1));
    // A subnormal factor has no leading one, but any quotient by so little is out of range.
    let denominator = u128::from(fraction | 1 << FRACTION);
    let (numerator, denominator) = match (BIAS + 32).checked_sub(exponent) {
        Some(up) => (shifted(dividend, up)?, denominator),
        None => match shifted(denominator, exponent - (BIAS + 32)) {
            Some(denominator) => (dividend, denominator),
            None => return Some(Coordinate::ZERO),
        },
    };
    Coordinate::from_ratio(numerator, NonZero::new(denominator)?)
}

/// Returns x 2^`by`, or none where it needs more than 128 bits.
fn shifted(x: u128, by: u64) -> Option<u128> {
    match u32::try_from(by) {
        _ if x == 0 => Some(0),
        Ok(by) if by <= x.leading_zeros() => x.checked_shl(by),
        _ => None,
    }
}
