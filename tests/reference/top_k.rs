//! Soft choices of k elements by their definitions, in `f64`.

use suanzi::probability::Inclusion;

/// F(d) less one if d >= 0.
fn tail(inclusion: Inclusion, d: f64) -> f64 {
    let e = (-d.abs()).exp();
    let below = match inclusion {
        Inclusion::Clamped => return if d >= 0.0 { (d - 1.0).min(0.0) } else { 0.0 },
        Inclusion::Exponential => return if d >= 0.0 { 0.0 } else { e },
        Inclusion::Laplace => e / 2.0,
        _ => e / (1.0 + e),
    };
    if d >= 0.0 { -below } else { below }
}

/// F(s - lambda) with the sum k, for finite scores of which there are more than k, by bisection.
pub(crate) fn with_threshold(inclusion: Inclusion, s: &[f64], k: f64) -> Vec<f64> {
    let max = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let s: Vec<f64> = s.iter().map(|s| s - max).collect();
    let inside = |lambda: f64| s.iter().filter(|&&s| s >= lambda).count() as f64;
    let excess = |lambda: f64| {
        let tails: f64 = s.iter().map(|s| tail(inclusion, s - lambda)).sum();
        (inside(lambda) - k) + tails
    };
    let min = s.iter().copied().fold(f64::INFINITY, f64::min);
    let (mut low, mut high) = (min - 800.0, 800.0);
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if excess(middle) >= 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let one = |s: f64| if s >= low { 1.0 } else { 0.0 };
    s.iter()
        .map(|&s| one(s) + tail(inclusion, s - low))
        .collect()
}

/// The elementary symmetric polynomials of `w` up to the order k.
fn polynomials(w: &[f64], k: usize) -> Vec<f64> {
    let mut e = vec![0.0; k + 1];
    e[0] = 1.0;
    for w in w {
        for j in (1..=k).rev() {
            e[j] += w * e[j - 1];
        }
    }
    e
}

/// The probability that a set of k has each element, all sums of positive terms.
pub(crate) fn of_subsets(s: &[f64], k: usize) -> Vec<f64> {
    let max = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let w: Vec<f64> = s.iter().map(|s| (s - max).exp()).collect();
    let whole = polynomials(&w, k)[k];
    (0..w.len())
        .map(|i| {
            let others = [&w[..i], &w[i + 1..]].concat();
            w[i] * polynomials(&others, k - 1)[k - 1] / whole
        })
        .collect()
}

/// The same where products leave the range of numbers: by independent draws of which k come.
pub(crate) fn of_draws(s: &[f64], k: usize) -> Vec<f64> {
    let q = with_threshold(Inclusion::Logistic, s, k as f64);
    // The probabilities of 0 to k.
    let counts = |q: &[f64]| {
        let mut counts = vec![0.0; k + 1];
        counts[0] = 1.0;
        for q in q {
            for j in (0..=k).rev() {
                let drawn = if j > 0 { counts[j - 1] * q } else { 0.0 };
                counts[j] = counts[j] * (1.0 - q) + drawn;
            }
        }
        counts
    };
    let whole = counts(&q)[k];
    (0..q.len())
        .map(|i| {
            let others = [&q[..i], &q[i + 1..]].concat();
            q[i] * counts(&others)[k - 1] / whole
        })
        .collect()
}
