//! The neural room, by its definitions.

use super::wide::Wide;

/// Returns W x and sum |W x| for each row; sums carry their rounding errors.
pub(crate) fn product(weights: &[f64], columns: usize, x: &[f64]) -> Vec<(f64, f64)> {
    weights
        .chunks_exact(columns)
        .map(|row| {
            let terms = || row.iter().zip(x).map(|(w, x)| (*w, *x));
            (dot(terms()), terms().map(|(w, x)| (w * x).abs()).sum())
        })
        .collect()
}

/// Returns the sum of products as though computed in twice the precision.
pub(crate) fn dot(terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut low) = (0.0_f64, 0.0_f64);
    for (a, b) in terms {
        let product = a * b;
        let error = a.mul_add(b, -product);
        let next = sum + product;
        let virtual_product = next - sum;
        low += (sum - (next - virtual_product)) + (product - virtual_product) + error;
        sum = next;
    }
    sum + low
}

/// Returns x g / sqrt(mean(x^2) + epsilon).
pub(crate) fn rms_norm(x: &[f64], gain: &[f64], epsilon: f64) -> Vec<f64> {
    let mean = dot(x.iter().map(|&x| (x, x))) / x.len() as f64;
    let root = (mean + epsilon).sqrt();
    x.iter().zip(gain).map(|(x, g)| x * g / root).collect()
}

/// Returns (x - m) g / sqrt(mean((x - m)^2) + epsilon) + b, and the size that its errors count in:
/// |g| max |x| / sqrt(...) + |b|.
pub(crate) fn layer_norm(x: &[f64], gain: &[f64], bias: &[f64], epsilon: f64) -> Vec<(Wide, f64)> {
    let count = Wide::from(x.len() as f64);
    let sum = |terms: &mut dyn Iterator<Item = Wide>| terms.fold(Wide::from(0.0), |a, b| a + b);
    let mean = sum(&mut x.iter().map(|&x| x.into())).over(count);
    let centered: Vec<Wide> = x.iter().map(|&x| Wide::from(x) - mean).collect();
    let variance = sum(&mut centered.iter().map(|&x| x * x)).over(count) + epsilon.into();
    // One Newton step from the rounded root.
    let root = Wide::from(variance.high.sqrt());
    let root = (root + variance.over(root)) * 0.5.into();
    let greatest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let normal = centered.iter().map(|x| x.over(root));
    let affine = gain.iter().zip(bias);
    normal
        .zip(affine)
        .map(|(x, (&g, &b))| {
            let size = (g * greatest / root.high).abs() + b.abs();
            (x * g.into() + b.into(), size)
        })
        .collect()
}

/// Returns silu(a) b, with a / (1 + exp(-a)) for silu(a).
pub(crate) fn gated_silu(a: f64, b: f64) -> Wide {
    let one = Wide::from(1.0);
    Wide::from(a).over(one + Wide::from(-a).exp()) * b.into()
}
