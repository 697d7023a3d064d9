//! Scalings of frequencies against their formulas in `f64`.

use super::{Count, Number, admitted, frequency};
use arbitrary::Arbitrary;
use core::f64::consts::TAU;
use suanzi::Parameter;
use suanzi::position::{
    Base, ByParts, Frequencies, FrequencyFactors, Linear, Ntk, NtkRule, Proportional, Ramp, Turns,
};

/// 2^64.
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// A scaling of the frequencies of a base.
#[derive(Arbitrary, Debug)]
pub struct Scaled {
    base: Number,
    pairs: u8,
    scaling: Scaling,
}

#[derive(Arbitrary, Debug)]
enum Scaling {
    Linear(Number),
    Proportional(u8),
    Factors {
        factors: Vec<Number>,
        /// Whether there are as many as pairs.
        fit: bool,
        temperature: Option<Number>,
    },
    LongRope {
        short: Vec<f32>,
        long: Vec<f32>,
        original: Count,
        longest: Count,
        length: Count,
    },
    Ntk {
        rule: Rule,
        factor: Number,
    },
    Dynamic {
        factor: Number,
        original: Count,
        length: Count,
    },
    ByParts(Parts),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Rule {
    Old,
    Aware,
    Fixed,
    Mixed(Number),
}

#[derive(Arbitrary, Debug)]
struct Parts {
    llama: bool,
    factor: Number,
    original: Count,
    turns: Option<Between>,
    ramp: Option<Along>,
    temperature: Option<Number>,
    mscale: Option<[Number; 2]>,
}

/// The turns of a ramp.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Between {
    Any {
        slow: Number,
        fast: Number,
    },
    /// As near as two numbers are.
    Step(Number),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Along {
    Turns,
    Index,
    ExactIndex,
}

impl Scaled {
    pub fn hold(self) {
        let base = self.base.value();
        let refused = !(base.is_finite() && base > 1.0);
        let Some(frequencies) = admitted(Base::new(base), refused.then_some(Parameter::Base))
        else {
            return;
        };
        let pairs = usize::from(self.pairs % 66);
        let plain = move |pair| exactly(frequency(base, pair, pairs));
        hold(&frequencies, pairs, 1.0, plain);
        match self.scaling {
            Scaling::Linear(factor) => linear(frequencies, pairs, factor.value()),
            Scaling::Proportional(turning) => proportional(frequencies, pairs, turning.into()),
            Scaling::Factors {
                factors,
                fit,
                temperature,
            } => {
                let mut values: Vec<_> = factors.iter().map(|factor| factor.value()).collect();
                if fit {
                    values = values.iter().copied().cycle().take(pairs).collect();
                }
                let made = FrequencyFactors::new(frequencies, &values);
                let Some(made) = admitted(made, frequency_refusal(&values)) else {
                    return;
                };
                let Some(temperature) = temperature.map(Number::value) else {
                    assert_eq!(made.temperature(), 1.0);
                    divided(&made, base, pairs, &values);
                    return;
                };
                let made = made.with_temperature(temperature);
                if let Some(made) = admitted(made, temperature_refusal(temperature)) {
                    assert_eq!(made.temperature(), temperature);
                    divided(&made, base, pairs, &values);
                }
            }
            Scaling::LongRope {
                short,
                long,
                original,
                longest,
                length,
            } => {
                let [original, longest, length] = [original, longest, length].map(Count::value);
                let factors = if length > original { &long } else { &short };
                let factors: Vec<_> = factors.iter().copied().map(f64::from).collect();
                let refusal = if original < 2 {
                    Some(Parameter::Context)
                } else {
                    frequency_refusal(&factors)
                };
                let made = FrequencyFactors::longrope(
                    frequencies,
                    &short,
                    &long,
                    original,
                    longest,
                    length,
                );
                if let Some(made) = admitted(made, refusal) {
                    let [original, longest] = [original, longest].map(f64::from);
                    let stretch = (longest / original).max(1.0).ln() / original.ln();
                    near(made.temperature(), (1.0 + stretch).sqrt());
                    divided(&made, base, pairs, &factors);
                }
            }
            Scaling::Ntk { rule, factor } => {
                let (rule, allowed) = match rule {
                    Rule::Old => (NtkRule::Old, true),
                    Rule::Aware => (NtkRule::Aware, true),
                    Rule::Fixed => (NtkRule::Fixed, true),
                    Rule::Mixed(exponent) => {
                        let exponent = exponent.value();
                        let allowed = (0.0..=64.0).contains(&exponent);
                        // Minus zero is no exponent.
                        let allowed = allowed && exponent.is_sign_positive();
                        (NtkRule::Mixed(exponent), allowed)
                    }
                };
                let factor = factor.value();
                let allowed = allowed && (1.0..TWO_64).contains(&factor);
                let made = Ntk::new(frequencies, rule, factor);
                let refusal = (!allowed).then_some(Parameter::Factor);
                if let Some(made) = admitted(made, refusal) {
                    spread(&made, base, pairs, rule, factor);
                }
            }
            Scaling::Dynamic {
                factor,
                original,
                length,
            } => {
                let factor = factor.value();
                let [original, length] = [original, length].map(Count::value);
                let stretch = if length > original {
                    factor * f64::from(length) / f64::from(original) - (factor - 1.0)
                } else {
                    1.0
                };
                let refusal = if original < 2 {
                    Some(Parameter::Context)
                } else if (1.0..TWO_64).contains(&factor) && stretch < TWO_64 {
                    None
                } else {
                    Some(Parameter::Factor)
                };
                let made = Ntk::dynamic(frequencies, factor, original, length);
                if let Some(made) = admitted(made, refusal) {
                    spread(&made, base, pairs, NtkRule::Aware, stretch);
                }
            }
            Scaling::ByParts(parts) => parts.hold(frequencies, pairs),
        }
    }
}

impl Parts {
    fn hold(self, base: Base, pairs: usize) {
        let (factor, original) = (self.factor.value(), self.original.value());
        let refusal = if original < 2 {
            Some(Parameter::Context)
        } else {
            frequency_refusal(&[factor])
        };
        let (made, mut fast, mut ramp, mut temperature) = if self.llama {
            let made = ByParts::llama3(base, factor, original);
            (made, 4.0, Ramp::Turns, 1.0)
        } else {
            let made = ByParts::yarn(base, factor, original);
            (made, 32.0, Ramp::Index, mscaled(factor, 1.0))
        };
        let Some(mut made) = admitted(made, refusal) else {
            return;
        };
        let mut slow = 1.0;
        if let Some(turns) = self.turns {
            (slow, fast) = match turns {
                Between::Any { slow, fast } => (slow.value(), fast.value()),
                Between::Step(slow) => (slow.value(), slow.value().next_up()),
            };
            let allowed = 1.0 / TWO_64 <= slow && slow < fast && fast < 2_147_483_648.0;
            let refusal = (!allowed).then_some(Parameter::Factor);
            match admitted(made.with_turns(fast, slow), refusal) {
                Some(with_turns) => made = with_turns,
                None => return,
            }
        }
        if let Some(along) = self.ramp {
            ramp = match along {
                Along::Turns => Ramp::Turns,
                Along::Index => Ramp::Index,
                Along::ExactIndex => Ramp::ExactIndex,
            };
            made = made.with_ramp(ramp);
        }
        if let Some(value) = self.temperature {
            temperature = value.value();
            let with = made.with_temperature(temperature);
            match admitted(with, temperature_refusal(temperature)) {
                Some(with) => made = with,
                None => return,
            }
        }
        if let Some(mscale) = self.mscale {
            let [one, all] = mscale.map(|mscale| mscaled(factor, mscale.value()));
            // Where the sum cancels, or the quotient leaves the range, rounding decides.
            if [one, all, one / all]
                .iter()
                .any(|x| !(1e-6..1e300).contains(&x.abs()))
            {
                let _ = made.with_mscale(mscale[0].value(), mscale[1].value());
                return;
            }
            temperature = one / all;
            let with = made.with_mscale(mscale[0].value(), mscale[1].value());
            match admitted(with, temperature_refusal(temperature)) {
                Some(with) => made = with,
                None => return,
            }
        }
        near(made.temperature(), temperature);

        let line = Line {
            base: base.base(),
            pairs,
            original: original.into(),
            fast,
            slow,
        };
        hold(&made, pairs, factor.recip(), |pair| {
            let plain = frequency(base.base(), pair, pairs);
            let kept = match ramp {
                Ramp::Turns => line.by_turns(plain),
                Ramp::Index => line.by_index(pair)?,
                Ramp::ExactIndex => line.by_exact_index(pair),
            };
            let [a, b] = kept.map(|kept| plain * (kept + (1.0 - kept) / factor));
            Some([a.min(b), a.max(b)])
        });
    }
}

/// The line from interpolated to kept pairs.
struct Line {
    base: f64,
    pairs: usize,
    original: f64,
    fast: f64,
    slow: f64,
}

impl Line {
    /// Returns the least and the greatest share that is kept of a pair of this frequency.
    fn by_turns(&self, frequency: f64) -> [f64; 2] {
        let made = self.original * frequency;
        let off = 1e-12 * made + 2_f64.powi(-80);
        let whole = self.fast - self.slow;
        [made - off, made + off].map(|made| ((made - self.slow) / whole).clamp(0.0, 1.0))
    }

    /// Returns the number of the pair that makes so many turns, and what `f64` may be off by.
    fn pair_of(&self, turns: f64) -> [f64; 2] {
        let octave = self.pairs as f64 / self.base.ln();
        let pair = octave * (self.original / (TAU * turns)).ln();
        [pair, 1e-12 * (pair.abs() + octave)]
    }

    /// Returns the share that is kept, or none where rounding decides between two numbers of pairs.
    fn by_index(&self, pair: usize) -> Option<[f64; 2]> {
        let last = 2.0 * self.pairs as f64;
        for turns in [self.fast, self.slow] {
            let [x, off] = self.pair_of(turns);
            let counts = (-2.0 - off..last + off).contains(&x);
            if counts && (x - x.round()).abs() < 1e-6 + off {
                return None;
            }
        }
        let lower = self.pair_of(self.fast)[0].floor().max(0.0);
        let upper = self.pair_of(self.slow)[0].ceil().min(last - 1.0);
        let apart = if lower == upper { 0.001 } else { 0.0 };
        let kept = kept_between(lower, upper + apart, pair);
        // What the quotient in `f64` may be off by.
        Some([kept - 1e-13, kept + 1e-13].map(|kept| kept.clamp(0.0, 1.0)))
    }

    /// Returns the least and the greatest share that is kept.
    fn by_exact_index(&self, pair: usize) -> [f64; 2] {
        let around = |[x, off]: [f64; 2]| [x - off - 1e-12, x + off + 1e-12];
        let lower = around(self.pair_of(self.fast)).map(|x| x.max(0.0));
        let last = 2.0 * self.pairs as f64 - 1.0;
        let upper = around(self.pair_of(self.slow)).map(|x| x.min(last));
        let widths = lower.map(|lower| upper.map(|upper| upper - lower));
        let widths = widths.as_flattened();
        // Ends that may be in either order say nothing.
        if widths
            .iter()
            .any(|w| w.abs() < 1e-9 || w.signum() != widths[0].signum())
        {
            return [0.0, 1.0];
        }
        let kept = lower.map(|lower| upper.map(|upper| kept_between(lower, upper, pair)));
        let kept = kept.as_flattened();
        let [least, greatest] = [f64::min, f64::max]
            .map(|pick: fn(f64, f64) -> f64| kept.iter().copied().reduce(pick).unwrap_or_default());
        [least, greatest]
    }
}

/// Returns 1 - (i - lower) / (upper - lower), between zero and one.
fn kept_between(lower: f64, upper: f64, pair: usize) -> f64 {
    (1.0 - (pair as f64 - lower) / (upper - lower)).clamp(0.0, 1.0)
}

/// Returns 0.1 m ln k + 1, or 1 for a factor of at most one.
fn mscaled(factor: f64, mscale: f64) -> f64 {
    if factor > 1.0 {
        0.1 * mscale * factor.ln() + 1.0
    } else {
        1.0
    }
}

/// Frequencies divided by one factor.
fn linear(base: Base, pairs: usize, factor: f64) {
    let made = Linear::new(base, factor);
    if let Some(made) = admitted(made, frequency_refusal(&[factor])) {
        hold(&made, pairs, factor.recip(), |pair| {
            exactly(frequency(base.base(), pair, pairs) / factor)
        });
    }
}

/// Frequencies of which the first ones turn.
fn proportional(base: Base, pairs: usize, turning: usize) {
    let made = Proportional::new(base, turning);
    let expected = base.turns(pairs).enumerate();
    let expected = expected.map(|(pair, turns)| if pair < turning { turns } else { Turns::ZERO });
    assert!(made.turns(pairs).eq(expected));
    assert!(made.check(pairs).is_ok());
}

/// Frequencies divided by a factor each.
fn divided(made: &impl Frequencies, base: f64, pairs: usize, factors: &[f64]) {
    assert_eq!(made.check(pairs).is_ok(), factors.len() == pairs);
    if factors.len() == pairs {
        let least = factors.iter().copied().fold(1.0, f64::min);
        hold(made, pairs, least.recip(), |pair| {
            exactly(frequency(base, pair, pairs) / factors[pair])
        });
    }
}

/// Frequencies times a power of a factor each.
fn spread(made: &impl Frequencies, base: f64, pairs: usize, rule: NtkRule, factor: f64) {
    hold(made, pairs, 1.0, |pair| {
        let [i, n] = [pair, pairs].map(|count| count as f64);
        let weight = match rule {
            NtkRule::Old => i / n,
            NtkRule::Aware if pairs == 1 => 0.0,
            NtkRule::Aware => i / (n - 1.0),
            NtkRule::Fixed => (i + 1.0) / n,
            NtkRule::Mixed(exponent) => ((i + 1.0) / n).powf(exponent),
            _ => return None,
        };
        exactly(frequency(base, pair, pairs) * factor.powf(-weight))
    });
}

/// Returns why factors are refused.
fn frequency_refusal(factors: &[f64]) -> Option<Parameter> {
    let allowed = 1.0 / TWO_64..TWO_64;
    let all = factors.iter().all(|factor| allowed.contains(factor));
    (!all).then_some(Parameter::Factor)
}

/// Returns why a temperature is refused.
fn temperature_refusal(temperature: f64) -> Option<Parameter> {
    let allowed = temperature.is_finite() && temperature > 0.0;
    (!allowed).then_some(Parameter::Temperature)
}

/// Checks a number that was computed in `f64`.
fn near(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 1e-9, "{got}, not {expected}");
}

/// A frequency that is known.
fn exactly(turns: f64) -> Option<[f64; 2]> {
    Some([turns, turns])
}

/// Holds frequencies to what `expected` says, whole turns included: the least and the greatest, if it
/// knows them.
///
/// Whole turns leave no trace. Powers in `f64` are off by the rounding of their exponent, at most 2^-53
/// of 710, which leaves them right to 1e-12 of themselves; fixed point is right to 2^-90 of a turn, times
/// `longer`, the inverse of a factor below one.
fn hold(
    made: &impl Frequencies,
    pairs: usize,
    longer: f64,
    expected: impl Fn(usize) -> Option<[f64; 2]>,
) {
    assert!(made.check(pairs).is_ok());
    let turns: Vec<_> = made.turns(pairs).collect();
    assert_eq!(turns.len(), pairs);
    for (pair, turns) in turns.into_iter().enumerate() {
        let Some([least, greatest]) = expected(pair) else {
            continue;
        };
        let (high, low) = turns.parts();
        let got = high as f64 / TWO_64 + low as f64 / TWO_64 / TWO_64;
        let off = got - (least + greatest) / 2.0;
        let off = (off - off.round()).abs();
        let allowed = (greatest - least) / 2.0 + 1e-9 * greatest;
        let lost = 2_f64.powi(-90) * longer.max(1.0);
        assert!(
            off <= allowed + lost,
            "pair {pair}: {got}, not within {least} and {greatest}"
        );
    }
}
