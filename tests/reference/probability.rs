//! Softmax and its relatives by their definitions, in double-double arithmetic.

use super::wide::Wide;

/// What is done to a logit: scale, soft cap, mask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logits {
    pub scale: Option<f64>,
    pub softcap: Option<f64>,
    pub keep: Option<Vec<bool>>,
    pub add: Option<Vec<f64>>,
}

impl Logits {
    /// Returns the scores, exactly enough; minus infinity where masked.
    pub(crate) fn scores(&self, x: &[f64]) -> Vec<Wide> {
        x.iter()
            .enumerate()
            .map(|(i, &x)| {
                if self.keep.as_ref().is_some_and(|keep| !keep[i]) {
                    return f64::NEG_INFINITY.into();
                }
                let bias = self.add.as_ref().map_or(0.0, |add| add[i]);
                if bias == f64::NEG_INFINITY {
                    return bias.into();
                }
                let mut score = Wide::from(x);
                if let Some(scale) = self.scale {
                    score = if x.is_finite() {
                        score * scale.into()
                    } else {
                        (x * scale).into()
                    };
                }
                if let Some(cap) = self.softcap {
                    score = (cap * libm::tanh(score.high / cap)).into();
                }
                if score.high.is_finite() {
                    score + bias.into()
                } else {
                    score
                }
            })
            .collect()
    }
}

/// The greatest score and the sum of exp(s - max); NaN where a score is, no sum without a finite
/// greatest score.
fn max_and_sum(scores: &[Wide]) -> (f64, Wide) {
    if scores.iter().any(|s| s.high.is_nan()) {
        return (f64::NAN, f64::NAN.into());
    }
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(s.high));
    let terms = scores
        .iter()
        .filter(|s| max.is_finite() && s.high > f64::NEG_INFINITY);
    (
        max,
        terms.fold(Wide::from(0.0), |sum, &s| sum + (s - max.into()).exp()),
    )
}

/// ln(sum exp(s)) of the scores.
pub(crate) fn log_sum_exp(scores: &[Wide]) -> Wide {
    let (max, sum) = max_and_sum(scores);
    if max.is_finite() {
        sum.ln() + max.into()
    } else {
        max.into()
    }
}

/// exp(s) / sum exp(s), with the room's conventions at the edges.
pub(crate) fn softmax(scores: &[Wide]) -> Vec<Wide> {
    let (max, sum) = max_and_sum(scores);
    let infinite = scores.iter().filter(|s| s.high == f64::INFINITY).count() as f64;
    let one = |s: &Wide| match s.high {
        _ if max.is_nan() => f64::NAN.into(),
        f64::NEG_INFINITY => 0.0.into(),
        f64::INFINITY => (1.0 / infinite).into(),
        _ if max == f64::INFINITY => 0.0.into(),
        _ => (*s - max.into()).exp().over(sum),
    };
    scores.iter().map(one).collect()
}

/// s - ln(sum exp(s)), with the room's conventions at the edges.
pub(crate) fn log_softmax(scores: &[Wide]) -> Vec<Wide> {
    let (max, sum) = max_and_sum(scores);
    let infinite = scores.iter().filter(|s| s.high == f64::INFINITY).count() as f64;
    let one = |s: &Wide| match s.high {
        _ if max.is_nan() => f64::NAN.into(),
        f64::INFINITY => (-infinite.ln()).into(),
        f64::NEG_INFINITY => f64::NEG_INFINITY.into(),
        _ if max == f64::INFINITY => f64::NEG_INFINITY.into(),
        _ => (*s - max.into()) - sum.ln(),
    };
    scores.iter().map(one).collect()
}
