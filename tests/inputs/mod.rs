//! Rows that try a map from logits, and the comparison with its definition.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod density;

use suanzi::{Cpu, Scalar};

use crate::accuracy::{Ulp, bound32, bound64, ulps};
use crate::reference::wide::Wide;

/// Every executor that runs here: the levels in the portable and in the fused arithmetic.
pub(crate) fn executors() -> Vec<Cpu> {
    Cpu::levels()
        .filter_map(|level| Cpu::with(level).ok())
        .flat_map(|cpu| [cpu, cpu.with_fused(true)])
        .collect()
}

/// A type that the tests run in.
pub(crate) trait Number: Scalar + Ulp {
    const NAME: &'static str;
    fn from_f64(x: f64) -> Self;
    fn bound(operation: &str) -> f64;
    fn representation(self) -> u64;
}

impl Number for f32 {
    const NAME: &'static str = "f32";
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    fn bound(operation: &str) -> f64 {
        bound32(operation)
    }
    fn representation(self) -> u64 {
        self.to_bits().into()
    }
}

impl Number for f64 {
    const NAME: &'static str = "f64";
    fn from_f64(x: f64) -> Self {
        x
    }
    fn bound(operation: &str) -> f64 {
        bound64(operation)
    }
    fn representation(self) -> u64 {
        self.to_bits()
    }
}

/// A fixed sequence of numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn step(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let state = self.step();
        state ^ state >> 33
    }

    /// An integer below `limit`, which is at most 2^32.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((self.step() >> 32) * limit) >> 32
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.step() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly normal, with standard deviation one.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

pub(crate) const LENGTHS: [usize; 30] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 67, 127, 128, 129, 255, 256,
    257, 1000, 1023, 1024, 4096, 5003,
];

/// Rows that try the exponential, the sum and the edges.
pub(crate) fn rows<T: Number>(n: usize) -> Vec<(&'static str, Vec<T>)> {
    let mut random = Random(n as u64 + 1);
    let mut row = |f: &mut dyn FnMut(usize, &mut Random) -> f64| -> Vec<T> {
        (0..n).map(|i| T::from_f64(f(i, &mut random))).collect()
    };
    let inf = f64::INFINITY;
    vec![
        ("normal", row(&mut |_, r| 3.0 * r.normal())),
        ("wide", row(&mut |_, r| 40.0 * r.normal())),
        ("equal", row(&mut |_, _| 0.3)),
        (
            "one huge",
            row(&mut |i, r| if i == n / 2 { 90.0 } else { r.normal() }),
        ),
        ("far from zero", row(&mut |_, r| 1.0e4 + 5.0 * r.normal())),
        (
            "far below zero",
            row(&mut |_, r| -3.0e3 + 20.0 * r.normal()),
        ),
        (
            "at the edge of centering",
            row(&mut |_, r| 219.5 + r.unit()),
        ),
        (
            "spread",
            row(&mut |_, r| r.normal() * 2.0_f64.powi((r.unit() * 60.0) as i32 - 50)),
        ),
        ("subnormal", row(&mut |_, r| r.normal() * 1e-40)),
        (
            "largest numbers",
            row(&mut |i, _| if i % 2 == 0 { 3.0e38 } else { -3.0e38 }),
        ),
        (
            "zeros of both signs",
            row(&mut |i, _| if i % 2 == 0 { 0.0 } else { -0.0 }),
        ),
        (
            "some -inf",
            row(&mut |i, r| if i % 3 == 1 { -inf } else { r.normal() }),
        ),
        ("all -inf", row(&mut |_, _| -inf)),
        (
            "one +inf",
            row(&mut |i, r| if i == n / 3 { inf } else { r.normal() }),
        ),
        (
            "three +inf",
            row(&mut |i, r| if i < 3 { inf } else { r.normal() }),
        ),
        (
            "one NaN",
            row(&mut |i, r| if i == n / 2 { f64::NAN } else { r.normal() }),
        ),
        (
            "NaN among -inf",
            row(&mut |i, _| if i == 0 { f64::NAN } else { -inf }),
        ),
        (
            "NaN and +inf",
            row(&mut |i, _| if i == 0 { inf } else { f64::NAN }),
        ),
    ]
}

/// Rounds what exceeds the type to infinity.
pub(crate) fn overflowed<T: Number>(x: f64) -> f64 {
    if x.abs() > T::max_value().value() {
        x.signum() * f64::INFINITY
    } else {
        x
    }
}

/// Checks a row of results, and that NaN is the one of outputs.
pub(crate) fn check<T: Number>(
    operation: &str,
    floor: f64,
    got: &[T],
    want: &[Wide],
    context: &dyn Fn() -> String,
) -> f64 {
    assert_eq!(got.len(), want.len(), "{operation}: {}", context());
    let mut worst = 0.0_f64;
    for (i, (&g, w)) in got.iter().zip(want).enumerate() {
        let error = if w.high.is_infinite() || g.value().is_infinite() {
            if g.value() == overflowed::<T>(w.high) {
                0.0
            } else {
                f64::INFINITY
            }
        } else if w.high.is_nan() {
            if g.representation() == T::nan().representation() {
                0.0
            } else {
                f64::INFINITY
            }
        } else {
            ulps(g, w.high, w.low, floor)
        };
        assert!(
            error <= T::bound(operation),
            "{operation} {} {}: element {i} of {}: got {g:?}, expected {:e}, {error} ULP",
            T::NAME,
            context(),
            got.len(),
            w.high
        );
        worst = worst.max(error);
    }
    worst
}
