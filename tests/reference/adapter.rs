//! The adapter room, by its definitions.

use super::nn::dot;

/// A matrix in rows, with its number of columns.
pub(crate) type Rows<'a> = (&'a [f64], usize);

/// Returns W x for each row, and the sum of |W| |x|.
pub(crate) fn times((w, columns): Rows<'_>, x: &[f64]) -> Vec<f64> {
    w.chunks_exact(columns)
        .map(|row| dot(row.iter().zip(x).map(|(w, x)| (*w, *x))))
        .collect()
}

/// Returns x W.
pub(crate) fn transposed((w, columns): Rows<'_>, x: &[f64]) -> Vec<f64> {
    (0..columns)
        .map(|j| dot(x.iter().enumerate().map(|(i, x)| (w[i * columns + j], *x))))
        .collect()
}

/// Returns the magnitudes of some numbers.
pub(crate) fn sizes(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.abs()).collect()
}

/// Returns y + s B (A x), A having `x.len()` columns and B one for each row of A.
pub(crate) fn lora(y: &[f64], s: f64, a: &[f64], b: &[f64], x: &[f64]) -> Vec<f64> {
    let h = times((a, x.len()), x);
    let change = times((b, h.len()), &h);
    y.iter().zip(change).map(|(y, c)| y + s * c).collect()
}

/// Returns W + s B A, row by row.
pub(crate) fn merged(w: &[f64], s: f64, a: Rows<'_>, b: &[f64]) -> Vec<f64> {
    let (rank, inputs) = (a.0.len() / a.1, a.1);
    w.chunks_exact(inputs)
        .zip(b.chunks_exact(rank))
        .flat_map(|(w, b)| {
            let change = transposed(a, b);
            w.iter()
                .zip(change)
                .map(|(w, c)| w + s * c)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Returns the gradients of <dy, s B A x> in x, A and B.
pub(crate) fn lora_vjp(s: f64, a: &[f64], b: &[f64], x: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
    let rank = b.len() / dy.len();
    let h = times((a, x.len()), x);
    let g = transposed((b, rank), dy);
    let dx = transposed((a, x.len()), &g).iter().map(|d| s * d).collect();
    let da = g
        .iter()
        .flat_map(|g| x.iter().map(move |x| s * g * x))
        .collect();
    let db = dy
        .iter()
        .flat_map(|dy| h.iter().map(move |h| s * dy * h))
        .collect();
    [dx, da, db]
}

/// Returns the length of each row.
pub(crate) fn norms((w, columns): Rows<'_>) -> Vec<f64> {
    w.chunks_exact(columns)
        .map(|row| dot(row.iter().map(|w| (*w, *w))).sqrt())
        .collect()
}

/// A step's parameters: rule, number, rate, decay, both betas, epsilon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub rule: &'static str,
    pub time: u32,
    pub rate: f64,
    pub decay: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
}

impl Step {
    /// Returns the next parameter and means, and the size of what the parameter moves by.
    pub(crate) fn next(self, p: f64, g: f64, m: f64, v: f64) -> ([f64; 3], f64) {
        let Self {
            rate,
            decay,
            beta1,
            beta2,
            ..
        } = self;
        let adam = |p: f64, g: f64, size: f64| {
            let (m1, v1) = (
                beta1 * m + (1.0 - beta1) * g,
                beta2 * v + (1.0 - beta2) * g * g,
            );
            let time = f64::from(self.time);
            let (c1, c2) = (-(time * beta1.ln()).exp_m1(), -(time * beta2.ln()).exp_m1());
            let root = (v1 / c2).sqrt() + self.epsilon;
            let most = (beta1 * m).abs() + (1.0 - beta1) * size;
            (
                [p - rate * (m1 / c1) / root, m1, v1],
                rate * most / c1 / root,
            )
        };
        match self.rule {
            "sgd" => {
                let size = rate * (g.abs() + (decay * p).abs());
                ([p - rate * (g + decay * p), m, v], size)
            }
            "sign" => {
                let sign = if g == 0.0 { 0.0 } else { g.signum() };
                ([p - rate * decay * p - rate * sign, m, v], rate)
            }
            "adam" => adam(p, g + decay * p, g.abs() + (decay * p).abs()),
            _ => adam(p - rate * decay * p, g, g.abs()),
        }
    }
}

/// The parts of what a step of gradient descent does to f = b (a . x), with U = f - target:
/// -h_a b^2 |x|^2 U, -h_b (a . x)^2 U, h_a h_b U^2 b (a . x) |x|^2.
pub(crate) fn toy(a: &[f64], b: f64, x: &[f64], target: f64, rates: [f64; 2]) -> [f64; 3] {
    let ax = dot(a.iter().zip(x).map(|(a, x)| (*a, *x)));
    let xx = dot(x.iter().map(|x| (*x, *x)));
    let u = b * ax - target;
    let [rate_a, rate_b] = rates;
    [
        -rate_a * b * b * xx * u,
        -rate_b * ax * ax * u,
        rate_a * rate_b * u * u * b * ax * xx,
    ]
}
