//! The softmax family against its definition, at every level: any length, scale, mask and value.

#![no_main]

#[path = "../../tests/accuracy/mod.rs"]
mod accuracy;
#[allow(dead_code)]
#[path = "../../tests/reference/probability.rs"]
mod probability;
#[allow(dead_code)]
#[path = "../../tests/reference/wide.rs"]
mod wide;

use accuracy::{Ulp, bound32};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use probability as reference;
use suanzi::Cpu;
use suanzi::probability::{LogSoftmax, LogSumExp, Logits, Mask, ProbabilityMap, Softmax};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Representations of the logits.
    logits: Vec<u32>,
    /// Repeats the logits, so that rows get longer than an input is.
    repeat: u8,
    /// The scale, in sixteenths.
    scale: Option<i8>,
    /// Elements that are masked, by index modulo their number.
    masked: Vec<bool>,
}

fuzz_target!(|input: Input| {
    let logits: Vec<f32> = input.logits.iter().copied().map(f32::from_bits).collect();
    let x = logits.repeat(1 + usize::from(input.repeat % 32));
    let keep: Option<Vec<bool>> = (!input.masked.is_empty()).then(|| {
        input
            .masked
            .iter()
            .map(|masked| !masked)
            .cycle()
            .take(x.len())
            .collect()
    });
    let scale = input.scale.map(|scale| f32::from(scale) / 16.0);

    let mut scored = Logits::new();
    if let Some(scale) = scale {
        scored = scored.scaled(scale).expect("a finite scale");
    }
    if let Some(keep) = &keep {
        scored = scored.masked(Mask::Keep(keep));
    }
    let naive = reference::Logits {
        scale: scale.map(f64::from),
        keep: keep.clone(),
        ..Default::default()
    };
    let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
    let scores = naive.scores(&wide);
    // A product beyond f32 is infinite there and finite here: the contract is about scores in range.
    let beyond = |score: f64| score.is_finite() && score.abs() > f64::from(f32::MAX) / 4.0;
    if scores.iter().any(|score| beyond(score.high)) {
        return;
    }

    for level in Cpu::levels() {
        let cpu = Cpu::with(level).expect("a level of this processor");
        let mut out = vec![0.0; x.len()];
        Softmax::new(scored)
            .on(cpu)
            .map(&x[..], &mut out[..])
            .expect("equal lengths");
        for (got, want) in out.iter().zip(reference::softmax(&scores)) {
            close(*got, want.high, bound32("softmax") * f32::ulp(want.high));
        }
        LogSoftmax::new(scored)
            .on(cpu)
            .map(&x[..], &mut out[..])
            .expect("equal lengths");
        for (got, want) in out.iter().zip(reference::log_softmax(&scores)) {
            let size = want.high.abs().max(1.0);
            close(*got, want.high, bound32("log_softmax") * f32::ulp(size));
        }
        let got = LogSumExp::new(scored)
            .on(cpu)
            .reduce(&x)
            .expect("a mask of this length");
        let want = reference::log_sum_exp(&scores).high;
        close(
            got,
            want,
            bound32("log_sum_exp") * f32::ulp(want.abs().max(1.0)),
        );
    }
});

/// Panics unless `got` lies within `error` of `want`, or is the same infinity or NaN.
fn close(got: f32, want: f64, error: f64) {
    let same = want.is_nan() && got.is_nan() || f64::from(got) == want;
    assert!(
        same || (f64::from(got) - want).abs() <= error,
        "got {got:e}, expected {want:e}"
    );
}
