//! The recurrences of channels by their definitions, in twice the precision of `f64`.

use super::wide::Wide;

/// Returns WKV `[token][channel]` of RWKV-4 from all keys and values seen, in one sum a token.
pub(crate) fn rwkv4(decay: &[f64], bonus: &[f64], keys: &[f64], values: &[f64]) -> Vec<Wide> {
    let channels = decay.len();
    let mut out = Vec::new();
    for t in 0..keys.len() / channels {
        for c in 0..channels {
            let key = |i: usize| Wide::from(keys[i * channels + c]);
            let past = |i: usize| {
                let steps = Wide::from((t - 1 - i) as f64);
                key(i) + steps * decay[c].into()
            };
            let mut exponents: Vec<Wide> = (0..t).map(past).collect();
            exponents.push(key(t) + bonus[c].into());
            let values = (0..=t).map(|i| values[i * channels + c]);
            out.push(mean(&exponents, values));
        }
    }
    out
}

/// Returns the mean with weights exp(exponent); zero where nothing weighs.
fn mean(exponents: &[Wide], values: impl Iterator<Item = f64>) -> Wide {
    let greatest = exponents
        .iter()
        .fold(f64::NEG_INFINITY, |m, e| m.max(e.high));
    if greatest == f64::NEG_INFINITY {
        return 0.0.into();
    }
    let (mut sum, mut weights) = (Wide::from(0.0), Wide::from(0.0));
    for (&exponent, value) in exponents.iter().zip(values) {
        if exponent.high > f64::NEG_INFINITY {
            let weight = (exponent - greatest.into()).exp();
            sum = sum + weight * value.into();
            weights = weights + weight;
        }
    }
    sum.over(weights)
}

/// Returns a causal convolution `[token][channel]` with weights `[j][channel]` and the sizes of its
/// terms, before any activation.
pub(crate) fn convolution(
    weights: &[f64],
    bias: &[f64],
    channels: usize,
    inputs: &[f64],
) -> Vec<(Wide, f64)> {
    let width = weights.len() / channels;
    let mut out = Vec::new();
    for t in 0..inputs.len() / channels {
        for c in 0..channels {
            let start = bias.get(c).copied().unwrap_or(0.0);
            let (mut sum, mut size) = (Wide::from(start), start.abs());
            for j in 0..width {
                if t + 1 + j >= width {
                    let x = inputs[(t + 1 + j - width) * channels + c];
                    let w = weights[j * channels + c];
                    sum = sum + Wide::from(w) * x.into();
                    size += (w * x).abs();
                }
            }
            out.push((sum, size));
        }
    }
    out
}

/// x / (1 + exp(-x)).
pub(crate) fn silu(x: Wide) -> Wide {
    let negative = Wide::from(0.0) - x;
    x.over(Wide::from(1.0) + negative.exp())
}

/// ln(1 + exp(x)).
pub(crate) fn softplus(x: Wide) -> Wide {
    if x.high > 80.0 {
        return x;
    }
    let e = x.exp();
    if e.high < 1e-33 {
        return e;
    }
    if e.high < 1e-10 {
        return e - e * e * 0.5.into();
    }
    (Wide::from(1.0) + e).ln()
}

/// The parameters and the tokens of a selective scan; what is empty is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    pub channels: usize,
    pub states: usize,
    pub a: Vec<f64>,
    pub skip: Vec<f64>,
    pub softplus: bool,
    pub bias: Vec<f64>,
    pub input: Vec<f64>,
    pub step: Vec<f64>,
    pub b: Vec<f64>,
    pub c: Vec<f64>,
    pub gate: Vec<f64>,
    pub start: Vec<f64>,
}

/// What a selective scan gives, and the unit that its errors are measured in: the sum of the sizes of
/// all terms, each counted 1 + its age in steps + the size of its exponent times.
pub(crate) struct Scanned {
    pub y: Vec<(Wide, f64)>,
    pub h: Vec<(Wide, f64)>,
}

/// Runs a selective scan.
pub(crate) fn scan(s: &Scan) -> Scanned {
    let mut h: Vec<Wide> = s.start.iter().map(|&h| h.into()).collect();
    // The sizes of all terms, and their sum with each counted as said.
    let mut sizes: Vec<f64> = s.start.iter().map(|h| h.abs()).collect();
    let mut units = sizes.clone();
    let mut y = Vec::new();
    for t in 0..s.input.len() / s.channels {
        for i in 0..s.channels {
            let at = t * s.channels + i;
            let u = Wide::from(s.input[at]);
            let mut d = Wide::from(s.step[at]);
            if s.softplus {
                d = softplus(d + s.bias.get(i).copied().unwrap_or(0.0).into());
            }
            let (mut sum, mut unit) = (Wide::from(0.0), 0.0);
            for n in 0..s.states {
                let (j, k) = (i * s.states + n, t * s.states + n);
                let exponent = d * s.a[j].into();
                let factor = exponent.exp();
                let new = d * u * s.b[k].into();
                h[j] = factor * h[j] + new;
                let aged = units[j] + (1.0 + exponent.high.abs()) * sizes[j];
                units[j] = factor.high * aged + new.high.abs();
                sizes[j] = factor.high * sizes[j] + new.high.abs();
                sum = sum + Wide::from(s.c[k]) * h[j];
                unit += (s.c[k]).abs() * (units[j] + sizes[j]);
            }
            if let Some(&skip) = s.skip.get(i) {
                sum = sum + Wide::from(skip) * u;
                unit += (skip * u.high).abs();
            }
            if let Some(&gate) = s.gate.get(at) {
                let gate = silu(gate.into());
                sum = sum * gate;
                unit *= gate.high.abs();
            }
            y.push((sum, unit));
        }
    }
    let h = h.into_iter().zip(units).collect();
    Scanned { y, h }
}
