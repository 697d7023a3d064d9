//! YaRN and its kin: fast pairs stay, slow pairs are interpolated, a ramp lies between.

use core::num::NonZero;

use super::fixed::{self, Fraction, LOG2_TAU, POINT};
use super::frequencies::{check_factor, check_temperature};
use super::{Base, Frequencies, Turns};
use crate::Error;
use crate::error::Parameter;

/// What the ramp between kept and interpolated pairs is linear in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ramp {
    /// The turns that a pair makes over the original context: the formula of the YaRN paper, and of
    /// Llama 3.
    Turns,
    /// The number of the pair, between two numbers rounded outward: the reference code of YaRN,
    /// transformers and ggml. With lower = floor(x(fast)), at least 0, and upper = ceil(x(slow)), at
    /// most R - 1, where x(r) = R ln(L / (2 pi r)) / (2 ln b) is the pair that makes r turns. Where
    /// upper comes out below lower, in contexts of a few tokens, the ramp turns around, as in
    /// transformers.
    Index,
    /// The same without rounding: `truncate = false` in transformers, gpt-oss.
    ExactIndex,
}

/// Frequencies of a base, by parts: pairs that make many turns over the original context keep theirs,
/// pairs that make few are interpolated, and between them theta_i (gamma_i + (1 - gamma_i) / k).
///
/// [`ByParts::yarn`] is Peng et al. 2023, YaRN, arXiv 2309.00071; [`ByParts::llama3`] the scaling of
/// Llama 3.1 (2024). They differ in what gamma is linear in, in the turns it runs between, and in the
/// temperature.
///
/// Right to 2^-90 of a turn for the exact base, factor and turns, times the inverse of a factor below
/// one; along [`Ramp::Turns`], where the ramp is at least 2^-6 turns wide. More than 2^20 pairs are
/// refused with [`Parameter::RotaryDim`]. Costs two thousand integer operations a pair, once. The
/// constructors can be evaluated in constants; the temperature is computed in `f64` by them.
///
/// ```
/// use suanzi::position::{Base, ByParts, HeadLayout, Pairing, Rope};
///
/// let layout = HeadLayout::new(128, Pairing::HalfSplit)?;
/// let llama = ByParts::llama3(Base::new(500_000.0)?, 8.0, 8192)?;
/// let rope = Rope::<f32, _>::new(layout, &llama, [0; 64])?;
/// let deepseek = ByParts::yarn(Base::new(10_000.0)?, 40.0, 4096)?.with_mscale(1.0, 1.0)?;
/// let rope = Rope::<f32, _>::new(layout, &deepseek, [0; 64])?;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[doc(alias = "yarn")]
#[doc(alias = "llama3")]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ByParts {
    base: Base,
    factor: f64,
    original: u32,
    fast: f64,
    slow: f64,
    ramp: Ramp,
    temperature: f64,
}

impl ByParts {
    /// Returns the frequencies of YaRN for a context `factor` times the `original` one.
    ///
    /// Between 32 turns and 1, along [`Ramp::Index`], at temperature 0.1 ln k + 1 (1 for a factor of at
    /// most one).
    ///
    /// # Errors
    ///
    /// [`Parameter::Factor`] unless the factor is positive, at least 2^-64 and below 2^64,
    /// [`Parameter::Context`] if `original` is below two.
    pub const fn yarn(base: Base, factor: f64, original: u32) -> Result<Self, Error> {
        match Self::llama3(base, factor, original) {
            Ok(parts) => Ok(Self {
                fast: 32.0,
                ramp: Ramp::Index,
                temperature: yarn_temperature(factor, 1.0),
                ..parts
            }),
            Err(error) => Err(error),
        }
    }

    /// Returns the frequencies of Llama 3.1 for a context `factor` times the `original` one.
    ///
    /// Between 4 turns and 1 along [`Ramp::Turns`], at temperature 1. The `high_freq_factor` and
    /// `low_freq_factor` of its configuration are these turns.
    ///
    /// # Errors
    ///
    /// Those of [`ByParts::yarn`].
    pub const fn llama3(base: Base, factor: f64, original: u32) -> Result<Self, Error> {
        if original < 2 {
            return Err(Error::Domain(Parameter::Context));
        }
        match check_factor(factor) {
            Ok(()) => Ok(Self {
                base,
                factor,
                original,
                fast: 4.0,
                slow: 1.0,
                ramp: Ramp::Turns,
                temperature: 1.0,
            }),
            Err(error) => Err(error),
        }
    }

    /// Returns them with a ramp between other numbers of turns: `beta_fast` and `beta_slow`.
    ///
    /// # Errors
    ///
    /// [`Parameter::Factor`] unless 2^-64 <= slow < fast < 2^31.
    pub const fn with_turns(self, fast: f64, slow: f64) -> Result<Self, Error> {
        let limit = 2_147_483_648.0_f64.to_bits();
        let ordered = slow.to_bits() < fast.to_bits() && fast.to_bits() < limit;
        if check_factor(slow).is_err() || !ordered {
            return Err(Error::Domain(Parameter::Factor));
        }
        Ok(Self { fast, slow, ..self })
    }

    /// Returns them along another ramp.
    #[must_use]
    pub const fn with_ramp(self, ramp: Ramp) -> Self {
        Self { ramp, ..self }
    }

    /// Returns them at another temperature: the `attention_factor` of a configuration.
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

    /// Returns them at the temperature of DeepSeek: the ratio of 0.1 m ln k + 1 for `mscale` and for
    /// `mscale_all_dim` (1 for a factor of at most one).
    ///
    /// That model multiplies the scale of its scores by the square of the latter as well, which is a
    /// matter of its attention.
    ///
    /// # Errors
    ///
    /// [`Parameter::Temperature`] unless it is finite and positive.
    pub const fn with_mscale(self, mscale: f64, mscale_all_dim: f64) -> Result<Self, Error> {
        let all = yarn_temperature(self.factor, mscale_all_dim);
        self.with_temperature(yarn_temperature(self.factor, mscale) / all)
    }

    /// Returns where the ramp begins and ends, for this many pairs.
    fn slope(&self, pairs: i128) -> Slope {
        match self.ramp {
            Ramp::Turns => Slope::Turns {
                from: turns(self.slow),
                to: turns(self.fast),
                original: self.original,
            },
            Ramp::Index => self.slope_between(
                pairs,
                self.pair_of(pairs, self.fast) >> POINT << POINT,
                -(-self.pair_of(pairs, self.slow) >> POINT << POINT),
            ),
            Ramp::ExactIndex => self.slope_between(
                pairs,
                self.pair_of(pairs, self.fast),
                self.pair_of(pairs, self.slow),
            ),
        }
    }

    fn slope_between(&self, pairs: i128, lower: i128, upper: i128) -> Slope {
        let lower = lower.max(0);
        let upper = upper.min((2 * pairs - 1) << POINT);
        let apart = if lower == upper { THOUSANDTH } else { 0 };
        Slope::Index {
            lower,
            upper: upper + apart,
        }
    }

    /// Returns the number of the pair that makes `turns` turns over the original context, which need
    /// not be whole, in units of 2^-96.
    fn pair_of(&self, pairs: i128, turns: f64) -> i128 {
        let original = NonZero::new(self.original);
        let length = original.map_or(0, fixed::log2_of_integer) as i128;
        let octaves = length - LOG2_TAU - fixed::log2(turns.to_bits());
        let base = fixed::log2(self.base.base().to_bits()).unsigned_abs();
        let pair = fixed::ratio((octaves * pairs).unsigned_abs(), base) as i128;
        if octaves < 0 { -pair } else { pair }
    }
}

/// The most pairs of a head: their logarithms times the number of pairs stay below 2^127.
const MOST_PAIRS: usize = 1 << 20;
/// 0.001 in units of 2^-96: how far the reference code moves ends apart that coincide.
const THOUSANDTH: i128 = (1 << POINT) / 1000;

/// The ramp for one number of pairs.
#[derive(Clone, Copy)]
enum Slope {
    /// From and to these turns over the original context, in units of 2^-96.
    Turns { from: u128, to: u128, original: u32 },
    /// Between two numbers of pairs, in units of 2^-96.
    Index { lower: i128, upper: i128 },
}

impl Slope {
    /// Returns gamma, the share of a pair that keeps its frequency.
    fn kept(self, pair: i128, turns: Fraction) -> Fraction {
        match self {
            Self::Turns { from, to, original } => {
                let length = u128::from(original);
                let (high, low) = (turns.0 >> 32, turns.0 as u32);
                let made = high * length + ((u128::from(low) * length) >> 32);
                part(made.saturating_sub(from), to - from)
            }
            Self::Index { lower, upper } => {
                let (ahead, whole) = (upper - (pair << POINT), upper - lower);
                // As in the reference code, ends in the wrong order turn the ramp around.
                let ahead = if whole < 0 { -ahead } else { ahead };
                part(ahead.max(0).unsigned_abs(), whole.unsigned_abs())
            }
        }
    }
}

/// Returns part / whole, at most one; zero for no part.
fn part(part: u128, whole: u128) -> Fraction {
    if part == 0 {
        Fraction::ZERO
    } else if part < whole {
        Fraction::quotient(part, whole)
    } else {
        Fraction::ONES
    }
}

/// Returns a number of turns, below 2^32, in units of 2^-96.
fn turns(turns: f64) -> u128 {
    Fraction(1 << POINT).scaled(turns.to_bits()).0
}

/// Returns 0.1 `mscale` ln `factor` + 1, or 1 for a factor of at most one.
const fn yarn_temperature(factor: f64, mscale: f64) -> f64 {
    const UNIT: f64 = 79_228_162_514_264_337_593_543_950_336.0;
    let log2 = fixed::log2(factor.to_bits());
    if log2 <= 0 {
        return 1.0;
    }
    0.1 * mscale * (fixed::natural(log2.unsigned_abs()) as f64 / UNIT) + 1.0
}

impl Frequencies for ByParts {
    fn check(&self, pairs: usize) -> Result<(), Error> {
        if pairs > MOST_PAIRS {
            return Err(Error::Domain(Parameter::RotaryDim));
        }
        self.base.check(pairs)
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        let slope = self.slope(pairs.min(MOST_PAIRS) as i128);
        let turns = (0_i128..).zip(self.base.turns(pairs));
        turns.map(move |(pair, Turns(turns))| {
            let kept = slope.kept(pair, turns);
            // A quotient by less than one may pass a turn, so that the share comes before it.
            let interpolated = turns.times(kept.complement());
            let interpolated = interpolated.divided(self.factor.to_bits());
            Turns(turns.times(kept).plus(interpolated))
        })
    }

    fn temperature(&self) -> f64 {
        self.temperature
    }
}
