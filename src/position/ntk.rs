//! Scalings that spread one factor over the pairs, little on the fast ones and more on the slow.

use core::num::NonZero;

use super::fixed::{Fraction, log2, log2_of_integer};
use super::frequencies::check_factor;
use super::{Frequencies, Turns};
use crate::Error;
use crate::error::Parameter;

/// How much of the factor falls on pair i of n: the exponent w of theta_i k^-w.
///
/// The rules are those of Su Jianlin's articles on length extrapolation (kexue.fm 9675 and 9706, 2023).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NtkRule {
    /// w = i / n: the base times k.
    Old,
    /// w = i / (n - 1): the base times k^(R / (R - 2)) for R rotated elements, so that the slowest
    /// pair is interpolated by k. NTK-aware scaling (bloc97, 2023), static and dynamic NTK elsewhere.
    Aware,
    /// w = (i + 1) / n: the slowest pair is interpolated by k and the fastest by k^(1/n).
    Fixed,
    /// w = ((i + 1) / n)^c for this c: between interpolation of all pairs, c = 0, and
    /// [`Fixed`](Self::Fixed), c = 1. The article takes 0.625, its code (`bojone/rerope`) 0.75.
    Mixed(f64),
}

/// Frequencies scaled for a context k times as long, by an [`NtkRule`].
///
/// Right to 2^-90 of a turn for frequencies that it scales, whatever the rule. Costs about twenty
/// thousand integer operations a pair, once; twice that for [`NtkRule::Mixed`].
///
/// ```
/// use suanzi::position::{Base, Frequencies, Ntk, NtkRule};
///
/// let base = Base::new(10_000.0)?;
/// let scaled = Ntk::new(base, NtkRule::Aware, 8.0)?;
/// let ratio = |pair| {
///     let turns = [base.turns(64).nth(pair), scaled.turns(64).nth(pair)];
///     let [plain, scaled] = turns.map(|turns| turns.map_or(0.0, |t| t.parts().0 as f64));
///     plain / scaled
/// };
/// // The fastest pair stays, the slowest is interpolated.
/// assert_eq!(ratio(0), 1.0);
/// assert!((ratio(63) - 8.0).abs() < 1e-9);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ntk<F> {
    frequencies: F,
    rule: NtkRule,
    /// log2 of the factor, in units of 2^-96.
    log2: u128,
}

impl<F: Copy> Ntk<F> {
    /// Returns the frequencies for a context `factor` times as long.
    ///
    /// # Errors
    ///
    /// [`Parameter::Factor`] unless the factor is at least one and below 2^64, and the exponent of
    /// [`NtkRule::Mixed`] within [0, 64].
    pub const fn new(frequencies: F, rule: NtkRule, factor: f64) -> Result<Self, Error> {
        let exponent = match rule {
            NtkRule::Mixed(exponent) => exponent.to_bits(),
            _ => 0,
        };
        let log2 = log2(factor.to_bits());
        if check_factor(factor).is_err() || log2 < 0 || exponent > 64.0_f64.to_bits() {
            return Err(Error::Domain(Parameter::Factor));
        }
        Ok(Self {
            frequencies,
            rule,
            log2: log2.unsigned_abs(),
        })
    }

    /// Returns the frequencies of dynamic NTK scaling for a text of `length` tokens.
    ///
    /// It is [`NtkRule::Aware`] with k = f length / `original` - (f - 1) for the factor f, once the text
    /// is longer than the `original` context, and no scaling before (transformers, `dynamic`). k is
    /// computed in `f64`.
    ///
    /// # Errors
    ///
    /// [`Parameter::Context`] if `original` is below two, [`Parameter::Factor`] unless the factor is at
    /// least one and, like k, below 2^64.
    pub const fn dynamic(
        frequencies: F,
        factor: f64,
        original: u32,
        length: u32,
    ) -> Result<Self, Error> {
        if original < 2 {
            return Err(Error::Domain(Parameter::Context));
        }
        if check_factor(factor).is_err() || log2(factor.to_bits()) < 0 {
            return Err(Error::Domain(Parameter::Factor));
        }
        let stretch = if length > original {
            factor * length as f64 / original as f64 - (factor - 1.0)
        } else {
            1.0
        };
        Self::new(frequencies, NtkRule::Aware, stretch)
    }
}

impl NtkRule {
    /// Returns the exponent of a pair.
    fn weight(self, pair: u32, pairs: NonZero<u32>) -> Fraction {
        match self {
            Self::Old => share(pair, Some(pairs)),
            Self::Aware => share(pair, NonZero::new(pairs.get() - 1)),
            Self::Fixed => share(pair.saturating_add(1), Some(pairs)),
            Self::Mixed(exponent) => {
                let next = NonZero::<u32>::MIN.saturating_add(pair);
                let log2 = log2_of_integer(pairs).saturating_sub(log2_of_integer(next));
                let Fraction(log2) = Fraction(log2).scaled(exponent.to_bits());
                Fraction::exp2_of_negative(log2)
            }
        }
    }
}

/// Returns part / whole, at most one; zero for no whole.
fn share(part: u32, whole: Option<NonZero<u32>>) -> Fraction {
    match whole {
        Some(whole) if part < whole.get() => Fraction::ZERO.over(whole, part),
        Some(_) => Fraction::ONES,
        None => Fraction::ZERO,
    }
}

impl<F: Frequencies> Frequencies for Ntk<F> {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        match u32::try_from(pairs) {
            Ok(_) => self.frequencies.check(pairs),
            Err(_) => Err(Error::Domain(Parameter::RotaryDim)),
        }
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        let count = u32::try_from(pairs).ok().and_then(NonZero::new);
        let turns = (0_u32..).zip(self.frequencies.turns(pairs));
        turns.map(move |(pair, turns)| {
            let weight = count.map_or(Fraction::ZERO, |count| self.rule.weight(pair, count));
            let Fraction(log2) = weight.times(Fraction(self.log2));
            turns.part(Fraction::exp2_of_negative(log2))
        })
    }

    fn temperature(&self) -> f64 {
        self.frequencies.temperature()
    }
}
