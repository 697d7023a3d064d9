//! How fast each pair turns: frequencies as exact fractions of a turn per position.

use core::num::NonZero;

use super::fixed::Fraction;
use crate::Error;
use crate::error::Parameter;

/// An angle a pair turns by per position, as a fraction of a full turn in 128-bit fixed point.
///
/// Whole turns leave no trace, so that the fraction times a position, modulo one, is the angle at
/// that position: no reduction by a multiple of pi, at any distance, and negative positions by the
/// same product. An error of 2^-128 turns grows to less than 2^-94 radians at position 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Turns(pub(super) Fraction);

impl Turns {
    /// No rotation.
    pub const ZERO: Self = Self(Fraction::ZERO);

    /// Returns the fraction with these upper and lower 64 bits.
    #[must_use]
    pub const fn from_parts(high: u64, low: u64) -> Self {
        Self(Fraction((high as u128) << 64 | low as u128))
    }

    /// Returns the upper and lower 64 bits.
    #[must_use]
    pub const fn parts(self) -> (u64, u64) {
        ((self.0.0 >> 64) as u64, self.0.0 as u64)
    }

    /// Returns the turns of an angle, right to 2^-128 for that `f64`. Integer arithmetic.
    ///
    /// A frequency that was rounded to an `f64` is off by up to 2^-54 of itself, which at position p
    /// is an angle of p 2^-54 times the frequency: below 2^-24 up to p = 2^30 for the fastest pair.
    ///
    /// # Errors
    ///
    /// [`Parameter::Frequency`] unless the magnitude is below 2^64.
    pub const fn from_radians(radians: f64) -> Result<Self, Error> {
        let bits = radians.to_bits();
        if bits & MAGNITUDE >= LIMIT {
            return Err(Error::Domain(Parameter::Frequency));
        }
        Ok(Self(Fraction::from_radians(bits)).negated_if(bits > MAGNITUDE))
    }

    /// Returns this angle times `factor`, right to 2^-128 for that `f64`. Integer arithmetic.
    ///
    /// The angle counts as one within half a turn of zero, before the product leaves out whole turns.
    ///
    /// # Errors
    ///
    /// [`Parameter::Frequency`] unless the magnitude of the factor is below 2^64.
    pub const fn scaled(self, factor: f64) -> Result<Self, Error> {
        let bits = factor.to_bits();
        if bits & MAGNITUDE >= LIMIT {
            return Err(Error::Domain(Parameter::Frequency));
        }
        let (magnitude, negative) = self.0.magnitude();
        Ok(Self(magnitude.scaled(bits)).negated_if(negative != (bits > MAGNITUDE)))
    }

    /// Returns this angle divided by `factor`, right to 2^-127 for that `f64` where it is at least one,
    /// else to 2^-127 times its inverse. Integer arithmetic.
    ///
    /// The angle counts as one within half a turn of zero.
    ///
    /// # Errors
    ///
    /// [`Parameter::Factor`] unless the factor is positive, at least 2^-64 and below 2^64.
    pub const fn divided(self, factor: f64) -> Result<Self, Error> {
        match check_factor(factor) {
            Ok(()) => {
                let (magnitude, negative) = self.0.magnitude();
                Ok(Self(magnitude.divided(factor.to_bits())).negated_if(negative))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns this share of the angle, which counts as one within half a turn of zero.
    pub(super) const fn part(self, share: Fraction) -> Self {
        let (magnitude, negative) = self.0.magnitude();
        Self(magnitude.times(share)).negated_if(negative)
    }

    const fn negated_if(self, negative: bool) -> Self {
        if negative {
            Self(self.0.negated())
        } else {
            self
        }
    }
}

/// Checks a factor that frequencies are divided by.
pub(super) const fn check_factor(factor: f64) -> Result<(), Error> {
    // Compared as integers: a microcontroller has no instruction for f64.
    let bits = factor.to_bits();
    if bits >= 1.0_f64.to_bits() - (64 << 52) && bits < LIMIT {
        Ok(())
    } else {
        Err(Error::Domain(Parameter::Factor))
    }
}

/// Returns whether a number is finite and positive.
pub(super) const fn is_positive(number: f64) -> bool {
    let bits = number.to_bits();
    bits > 0 && bits < f64::INFINITY.to_bits()
}

/// Checks a factor on rotated elements.
pub(super) const fn check_temperature(temperature: f64) -> Result<(), Error> {
    if is_positive(temperature) {
        Ok(())
    } else {
        Err(Error::Domain(Parameter::Temperature))
    }
}

/// The bits of an `f64` below its sign.
const MAGNITUDE: u64 = u64::MAX >> 1;
/// The representation of 2^64, above which a product with 192 bits of 1/(2 pi) loses bits.
const LIMIT: u64 = 18_446_744_073_709_551_616.0_f64.to_bits();

/// Gives each rotated pair its frequency, and the whole encoding its temperature.
///
/// Implementors yield one [`Turns`] a pair, fastest pair first for the usual choices. Everything is
/// computed once, when a [`Rope`](super::Rope) is made, so it may cost tens of thousands of
/// instructions a pair.
pub trait Frequencies {
    /// Returns the frequencies of `pairs` pairs, in the order of the pairs.
    ///
    /// # Errors
    ///
    /// Whatever [`Self::turns`] would otherwise have to hide: too few frequencies, a value out of
    /// its domain. An encoding is made of the iterator only where this is `Ok`.
    fn check(&self, pairs: usize) -> Result<(), Error>;

    /// Returns the frequency of each of `pairs` pairs, in order.
    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns>;

    /// Returns the factor on the rotated elements: 1, or the attention factor of a scaled encoding.
    ///
    /// It multiplies queries and keys alike, so that scores grow by its square.
    fn temperature(&self) -> f64 {
        1.0
    }
}

/// The frequencies base^(-2i/R) of R rotated elements, i = 0, 1, ..., R/2 - 1, in radians.
///
/// Su et al. 2021, RoFormer, arXiv 2104.09864. The base is taken as the exact value of its `f64`;
/// each frequency is right to 2^-115 turns up to 2^14 pairs, so that the angle at any position below
/// 2^31 is right to 2^-81. Cost: products of 32 bits, about thirty thousand instructions once (one
/// logarithm and one exponential in 128 bits) and two hundred a pair. No floating-point arithmetic.
///
/// ```
/// use suanzi::position::{Base, Frequencies};
///
/// let base = Base::new(10_000.0)?;
/// // The first pair turns by one radian per position: 1 / (2 pi) turns.
/// let first = base.turns(64).next().map(|turns| turns.parts().0);
/// assert_eq!(first, Some(0x28be_60db_9391_054a));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Base {
    base: f64,
}

impl Default for Base {
    /// Returns the base 10 000.
    fn default() -> Self {
        Self { base: 10_000.0 }
    }
}

impl Base {
    /// Returns the frequencies of this base.
    ///
    /// # Errors
    ///
    /// [`Parameter::Base`] unless the base is finite and greater than one.
    pub const fn new(base: f64) -> Result<Self, Error> {
        // Compared as integers: a microcontroller has no instruction for f64.
        let bits = base.to_bits();
        if bits > 1.0_f64.to_bits() && bits < f64::INFINITY.to_bits() {
            Ok(Self { base })
        } else {
            Err(Error::Domain(Parameter::Base))
        }
    }

    /// Returns the base.
    #[must_use]
    pub const fn base(self) -> f64 {
        self.base
    }
}

impl Frequencies for Base {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        match u32::try_from(pairs) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Domain(Parameter::RotaryDim)),
        }
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        core::iter::successors(Some(self.first(pairs)), |power| Some(power.next()))
            .map(|power| power.turns)
            .take(pairs)
    }
}

/// A frequency of a base, and what the next one is a multiple of.
#[derive(Clone, Copy)]
pub(super) struct Power {
    pub(super) turns: Turns,
    ratio: Fraction,
}

impl Power {
    /// Returns the frequency of the next pair.
    pub(super) const fn next(self) -> Self {
        Self {
            turns: Turns(self.turns.0.times(self.ratio)),
            ratio: self.ratio,
        }
    }
}

impl Base {
    /// Returns the frequency of the first of this many pairs.
    pub(super) const fn first(self, pairs: usize) -> Power {
        let root = if pairs > u32::MAX as usize {
            None
        } else {
            NonZero::new(pairs as u32)
        };
        Power {
            turns: Turns(Fraction::RADIAN),
            ratio: match root {
                Some(root) => Fraction::inverse_root(self.base.to_bits(), root),
                None => Fraction::ZERO,
            },
        }
    }
}

/// Frequencies from a list, in radians per position, and a temperature.
///
/// For frequencies that were computed elsewhere: scaled, learned, or read from a model. Each is taken
/// as the exact value of its `f64`; see [`Turns::from_radians`] for what its rounding amounts to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Radians<'a> {
    frequencies: &'a [f64],
    temperature: f64,
}

impl<'a> Radians<'a> {
    /// Returns these frequencies with temperature one.
    ///
    /// # Errors
    ///
    /// [`Parameter::Frequency`] unless every magnitude is below 2^64.
    pub fn new(frequencies: &'a [f64]) -> Result<Self, Error> {
        for &radians in frequencies {
            Turns::from_radians(radians)?;
        }
        Ok(Self {
            frequencies,
            temperature: 1.0,
        })
    }

    /// Returns these frequencies with another temperature.
    ///
    /// # Errors
    ///
    /// [`Parameter::Temperature`] unless it is finite and positive.
    pub const fn with_temperature(self, temperature: f64) -> Result<Self, Error> {
        match check_temperature(temperature) {
            Ok(()) => Ok(Self {
                temperature,
                ..self
            }),
            Err(error) => Err(error),
        }
    }
}

impl Frequencies for Radians<'_> {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        crate::error::check_len(pairs, self.frequencies.len())
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        self.frequencies
            .iter()
            .take(pairs)
            .map(|&radians| Turns::from_radians(radians).unwrap_or(Turns::ZERO))
    }

    fn temperature(&self) -> f64 {
        self.temperature
    }
}
