//! What the benchmarks share: inputs, the same in every run, number types with their roof, and the
//! comparison in turns.

use std::time::{Duration, Instant};

use suanzi::storage::{F16, Stored};

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

/// An array that starts where a line of the cache does: vectors of 64 bytes that straddle two lines cost
/// more than the arithmetic of a rotation.
pub struct Aligned {
    numbers: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Returns a copy.
    pub fn new(x: &[f32]) -> Self {
        let mut numbers = vec![0.0; x.len() + 15];
        let start = numbers.as_ptr().align_offset(64);
        numbers[start..][..x.len()].copy_from_slice(x);
        let len = x.len();
        Self {
            numbers,
            start,
            len,
        }
    }
}

impl core::ops::Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..][..self.len]
    }
}

impl core::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..][..self.len]
    }
}

impl AsRef<[f32]> for Aligned {
    fn as_ref(&self) -> &[f32] {
        self
    }
}

impl AsMut<[f32]> for Aligned {
    fn as_mut(&mut self) -> &mut [f32] {
        self
    }
}

/// A number type of weights or of a cache, and how the roof reads it.
pub trait Kept: Stored<f32> + Copy {
    /// What the type is called in a report.
    const NAME: &'static str;
    /// Rounds to the type.
    fn keep(x: f32) -> Self;
    /// Returns the number.
    fn value(self) -> f32;
    /// Sums integers of this size, whatever they mean.
    fn sum(x: &[Self]) -> u32;
}

macro_rules! kept {
    ($t:ident, $name:literal, $word:ident, $keep:expr, $value:expr, $bits:expr) => {
        impl Kept for $t {
            const NAME: &'static str = $name;
            fn keep(x: f32) -> Self {
                $keep(x)
            }
            fn value(self) -> f32 {
                $value(self)
            }
            fn sum(x: &[Self]) -> u32 {
                const LANES: usize = 256 / size_of::<$t>();
                let mut lanes = [$word::default(); LANES];
                for chunk in x.as_chunks::<LANES>().0 {
                    for (lane, &x) in lanes.iter_mut().zip(chunk) {
                        *lane = lane.wrapping_add($bits(x));
                    }
                }
                lanes
                    .iter()
                    .fold(0, |sum, &lane| sum.wrapping_add(lane.into()))
            }
        }
    };
}
kept!(f32, "f32", u32, |x| x, |x| x, f32::to_bits);
kept!(F16, "f16", u16, Self::from_f32, Self::to_f32, Self::to_bits);
kept!(
    i8,
    "int8",
    u8,
    |x: f32| (127.0 * x) as Self,
    f32::from,
    |x| x as u8
);

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
            // Twice as many calls between looks at the clock each time, so that looking costs nothing.
            let (start, mut calls) = (Instant::now(), 0);
            while calls == 0 || start.elapsed() < TURN {
                for _ in 0..=calls {
                    function();
                }
                calls += calls + 1;
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
