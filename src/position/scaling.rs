//! Scalings of frequencies that treat every pair by itself: interpolation, factors, a part that rests.

use super::frequencies::{check_factor, check_temperature};
use super::{Base, Frequencies, Turns};
use crate::Error;
use crate::error::{Parameter, check_len};

/// Frequencies divided by one factor: position interpolation, `linear` in transformers.
///
/// Every angle at position k p becomes what it was at p, for a factor k. Chen et al. 2023, Extending
/// context window of large language models via positional interpolation, arXiv 2306.15595.
///
/// Right to 2^-127 turns for the frequencies it scales, times the inverse of a factor below one; costs
/// about a thousand integer operations a pair, once.
///
/// ```
/// use suanzi::position::{Base, Frequencies, Linear};
///
/// let plain = Base::default();
/// let scaled = Linear::new(plain, 4.0)?;
/// let mut pairs = plain.turns(8).zip(scaled.turns(8));
/// assert!(pairs.all(|(plain, scaled)| plain.parts().0 / 4 == scaled.parts().0));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Linear<F> {
    frequencies: F,
    factor: f64,
}

impl<F: Copy> Linear<F> {
    /// Returns the frequencies divided by `factor`.
    ///
    /// # Errors
    ///
    /// [`Parameter::Factor`] unless the factor is positive, at least 2^-64 and below 2^64.
    pub const fn new(frequencies: F, factor: f64) -> Result<Self, Error> {
        match check_factor(factor) {
            Ok(()) => Ok(Self {
                frequencies,
                factor,
            }),
            Err(error) => Err(error),
        }
    }
}

impl<F: Frequencies> Frequencies for Linear<F> {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        self.frequencies.check(pairs)
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        let turns = self.frequencies.turns(pairs);
        turns.map(|turns| turns.divided(self.factor).unwrap_or(Turns::ZERO))
    }

    fn temperature(&self) -> f64 {
        self.frequencies.temperature()
    }
}

/// Frequencies of which only the first ones turn: `proportional` in transformers, p-RoPE.
///
/// The exponent counts the whole head, so that the pairs that turn have the frequencies that they
/// would have had in a full rotation; the slow ones rest at frequency zero. It differs from
/// [`HeadLayout::partial`](super::HeadLayout::partial), where the pairs share all frequencies of the
/// base. Barbero et al. 2024, Round and round we go!, arXiv 2410.06205.
///
/// A share p of a head of D elements turns floor(p D / 2) pairs; more than there are turns all, zero
/// none.
///
/// ```
/// use suanzi::position::{Base, Frequencies, Proportional, Turns};
///
/// let quarter = Proportional::new(Base::new(1_000_000.0)?, 2);
/// let resting = quarter.turns(8).skip(2);
/// assert!(resting.eq([Turns::ZERO; 6]));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Proportional<F> {
    frequencies: F,
    turning: usize,
}

impl<F: Copy> Proportional<F> {
    /// Returns the frequencies with all but the first `turning` at rest.
    pub const fn new(frequencies: F, turning: usize) -> Self {
        Self {
            frequencies,
            turning,
        }
    }
}

impl<F: Frequencies> Frequencies for Proportional<F> {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        self.frequencies.check(pairs)
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        let turning = self.frequencies.turns(pairs).take(self.turning);
        turning.chain(core::iter::repeat(Turns::ZERO)).take(pairs)
    }

    fn temperature(&self) -> f64 {
        self.frequencies.temperature()
    }
}

/// Frequencies divided by a factor each, and a temperature: the `rope_freqs` of ggml, LongRoPE.
///
/// `N` is what the factors are kept in, `f32` or `f64`. Right to 2^-127 turns for frequencies it
/// scales, as long as the factors are at least one.
///
/// ```
/// use suanzi::position::{Base, FrequencyFactors, HeadLayout, Pairing, Rope};
///
/// // Phi-3: factors for up to 4096 tokens and for more.
/// let (short, long) = ([1.0_f32, 1.1, 1.2, 1.3], [1.0, 4.0, 16.0, 32.0]);
/// let scaled = FrequencyFactors::longrope(Base::default(), &short, &long, 4096, 131_072, 8000)?;
/// let rope = Rope::<f32, _>::new(HeadLayout::new(8, Pairing::HalfSplit)?, &scaled, [0; 4])?;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrequencyFactors<'a, F, N> {
    frequencies: F,
    factors: &'a [N],
    temperature: f64,
}

impl<'a, F: Frequencies, N: Copy + Into<f64>> FrequencyFactors<'a, F, N> {
    /// Returns the frequencies divided by `factors`, one a pair, at their own temperature.
    ///
    /// # Errors
    ///
    /// [`Parameter::Factor`] unless every factor is positive, at least 2^-64 and below 2^64.
    pub fn new(frequencies: F, factors: &'a [N]) -> Result<Self, Error> {
        for &factor in factors {
            check_factor(factor.into())?;
        }
        let temperature = frequencies.temperature();
        Ok(Self {
            frequencies,
            factors,
            temperature,
        })
    }

    /// Returns them at another temperature.
    ///
    /// # Errors
    ///
    /// [`Parameter::Temperature`] unless it is finite and positive.
    pub const fn with_temperature(self, temperature: f64) -> Result<Self, Error>
    where
        F: Copy,
    {
        match check_temperature(temperature) {
            Ok(()) => Ok(Self {
                temperature,
                ..self
            }),
            Err(error) => Err(error),
        }
    }
}

impl<'a, N: Copy + Into<f64>> FrequencyFactors<'a, Base, N> {
    /// Returns the frequencies of LongRoPE for a text of `length` tokens.
    ///
    /// Up to the `original` context length the short factors hold, beyond it the long ones. The
    /// temperature is sqrt(1 + ln s / ln `original`) where the `longest` context is s > 1 times the
    /// original one, at every length. Ding et al. 2024, LongRoPE, arXiv 2402.13753, as transformers has
    /// it. Computes two logarithms and a root in `f64`.
    ///
    /// # Errors
    ///
    /// [`Parameter::Context`] if `original` is below two, [`Parameter::Factor`] for the factors in use
    /// as [`FrequencyFactors::new`].
    pub fn longrope(
        base: Base,
        short: &'a [N],
        long: &'a [N],
        original: u32,
        longest: u32,
        length: u32,
    ) -> Result<Self, Error> {
        if original < 2 {
            return Err(Error::Domain(Parameter::Context));
        }
        let temperature = if longest > original {
            let stretch = f64::from(longest) / f64::from(original);
            libm::sqrt(1.0 + libm::log(stretch) / libm::log(f64::from(original)))
        } else {
            1.0
        };
        let factors = if length > original { long } else { short };
        Self::new(base, factors)?.with_temperature(temperature)
    }
}

impl<F: Frequencies, N: Copy + Into<f64>> Frequencies for FrequencyFactors<'_, F, N> {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        check_len(pairs, self.factors.len())?;
        self.frequencies.check(pairs)
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        let turns = self.frequencies.turns(pairs).zip(self.factors);
        turns.map(|(turns, &factor)| turns.divided(factor.into()).unwrap_or(Turns::ZERO))
    }

    fn temperature(&self) -> f64 {
        self.temperature
    }
}
