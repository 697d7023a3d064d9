//! Inputs of the benchmarks, the same in every run.

/// Returns `n` numbers between -1 and 1.
pub fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Returns `n` nearly normal numbers with standard deviation three.
pub fn logits(n: usize) -> Vec<f32> {
    uniform(12 * n, 11)
        .chunks_exact(12)
        .map(|x| 1.5 * x.iter().sum::<f32>())
        .collect()
}
