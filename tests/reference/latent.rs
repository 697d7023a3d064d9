//! Latent attention by its definition: every head's keys and values from the latent vectors.

/// The sizes and the projections of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub heads: usize,
    pub latent_dim: usize,
    pub rope_dim: usize,
    pub nope_dim: usize,
    pub value_dim: usize,
    /// `[head][nope_dim][latent_dim]`.
    pub keys: Vec<f64>,
    /// `[head][value_dim][latent_dim]`.
    pub values: Vec<f64>,
    pub scale: f64,
}

/// Outputs `[head][value_dim]`, and the unit of the accuracy table for each.
pub(crate) struct Attended {
    pub out: Vec<f64>,
    pub unit: Vec<f64>,
}

impl Layer {
    /// Attends with one token's queries to the latent vectors `[token][latent_dim]` and rotated keys
    /// `[token][rope_dim]` of the positions that are visible.
    pub(crate) fn attend(
        &self,
        query: &[f64],
        rope_query: &[f64],
        latents: &[f64],
        rope_keys: &[f64],
        visible: impl Fn(usize) -> bool,
    ) -> Attended {
        let (d, r) = (self.latent_dim, self.rope_dim);
        let seen: Vec<usize> = (0..latents.len() / d).filter(|&j| visible(j)).collect();
        let latent = |j: usize| &latents[j * d..][..d];
        let mut attended = Attended {
            out: Vec::new(),
            unit: Vec::new(),
        };
        for h in 0..self.heads {
            let q = &query[h * self.nope_dim..][..self.nope_dim];
            let p = &rope_query[h * r..][..r];
            let mut scores = Vec::new();
            let mut magnitude = 0.0_f64;
            for &j in &seen {
                let (mut score, mut size) = (0.0, 0.0);
                for (n, q) in q.iter().enumerate() {
                    let row = &self.keys[(h * self.nope_dim + n) * d..][..d];
                    for (w, c) in row.iter().zip(latent(j)) {
                        score += q * w * c;
                        size += (q * w * c).abs();
                    }
                }
                for (p, k) in p.iter().zip(&rope_keys[j * r..][..r]) {
                    score += p * k;
                    size += (p * k).abs();
                }
                scores.push(self.scale * score);
                magnitude = magnitude.max((self.scale * size).abs());
            }
            let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
            let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            for i in 0..self.value_dim {
                let row = &self.values[(h * self.value_dim + i) * d..][..d];
                let (mut out, mut largest) = (0.0, 0.0_f64);
                for (s, &j) in scores.iter().zip(&seen) {
                    let terms = row.iter().zip(latent(j)).map(|(w, c)| w * c);
                    out += (s - max).exp() / sum * terms.clone().sum::<f64>();
                    largest = largest.max(terms.map(f64::abs).sum());
                }
                attended.out.push(out);
                attended.unit.push(largest * (1.0 + magnitude));
            }
        }
        attended
    }
}
