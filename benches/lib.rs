//! Inputs of the benchmarks, the same in every run, and the comparison in turns.

use std::time::{Duration, Instant};

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

/// Times functions in turns, so that whatever else the machine does strikes all of them alike, and
/// prints the rate of each at its best and how many times as fast as the first it is: the median over
/// the rounds. One call handles `amount` of `unit`.
///
/// Nothing is timed where criterion only tests.
pub fn in_turns(
    title: &str,
    amount: usize,
    unit: &str,
    functions: &mut [(&str, &mut dyn FnMut())],
) {
    const ROUNDS: usize = 31;
    const TURN: Duration = Duration::from_millis(4);
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut times = vec![[0.0; ROUNDS]; functions.len()];
    for round in 0..=ROUNDS {
        for ((_, function), times) in functions.iter_mut().zip(&mut times) {
            let (start, mut calls) = (Instant::now(), 0);
            while calls == 0 || start.elapsed() < TURN {
                function();
                calls += 1;
            }
            // The first round warms up.
            if let Some(time) = times.get_mut(round.wrapping_sub(1)) {
                *time = start.elapsed().as_secs_f64() / f64::from(calls);
            }
        }
    }
    println!("{title}");
    for ((name, _), own) in functions.iter().zip(&times) {
        let best = own.iter().fold(f64::INFINITY, |best, &t| best.min(t));
        let mut ratios: Vec<f64> = times[0].iter().zip(own).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "  {name:<24} {:7.2} G{unit}/s {:6.2} x",
            amount as f64 / best / 1e9,
            ratios[ROUNDS / 2]
        );
    }
}
