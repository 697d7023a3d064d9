//! Softmax and its relatives by their definitions, in double-double arithmetic.

use super::wide::Wide;

/// What is done to a logit: scale, soft cap, mask.
#[derive(Clone, Debug, Default)]
pub struct Logits {
    pub scale: Option<f64>,
    pub softcap: Option<f64>,
    pub keep: Option<Vec<bool>>,
    pub add: Option<Vec<f64>>,
}

impl Logits {
    /// Returns the scores, exactly enough; minus infinity where masked.
    pub fn scores(&self, x: &[f64]) -> Vec<Wide> {
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
                if let (Some(scale), true) = (self.scale, x.is_finite()) {
                    score = score * scale.into();
                }
                if let Some(cap) = self.softcap {
                    score = (cap * (score.high / cap).tanh()).into();
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

/// ln(sum exp(s)) of the scores.
pub fn log_sum_exp(scores: &[Wide]) -> Wide {
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, s| {
        if s.high.is_nan() {
            f64::NAN
        } else {
            m.max(s.high)
        }
    });
    if scores.iter().any(|s| s.high.is_nan()) {
        return f64::NAN.into();
    }
    if !max.is_finite() {
        return max.into();
    }
    let sum = scores.iter().fold(Wide::from(0.0), |sum, &s| {
        if s.high == f64::NEG_INFINITY {
            sum
        } else {
            sum + (s - max.into()).exp()
        }
    });
    sum.ln() + max.into()
}

/// exp(s) / sum exp(s), with the room's conventions at the edges.
pub fn softmax(scores: &[Wide]) -> Vec<Wide> {
    let lse = log_sum_exp(scores);
    scores
        .iter()
        .map(|&s| {
            if lse.high.is_nan() {
                f64::NAN.into()
            } else if lse.high == f64::INFINITY {
                let k = scores.iter().filter(|s| s.high == f64::INFINITY).count() as f64;
                if s.high == f64::INFINITY {
                    (1.0 / k).into()
                } else {
                    0.0.into()
                }
            } else if s.high == f64::NEG_INFINITY {
                0.0.into()
            } else {
                (s - lse).exp()
            }
        })
        .collect()
}

/// s - ln(sum exp(s)), with the room's conventions at the edges.
pub fn log_softmax(scores: &[Wide]) -> Vec<Wide> {
    let lse = log_sum_exp(scores);
    scores
        .iter()
        .map(|&s| {
            if lse.high.is_nan() {
                f64::NAN.into()
            } else if lse.high == f64::INFINITY {
                let k = scores.iter().filter(|s| s.high == f64::INFINITY).count() as f64;
                if s.high == f64::INFINITY {
                    (-k.ln()).into()
                } else {
                    f64::NEG_INFINITY.into()
                }
            } else if s.high == f64::NEG_INFINITY {
                f64::NEG_INFINITY.into()
            } else {
                s - lse
            }
        })
        .collect()
}
