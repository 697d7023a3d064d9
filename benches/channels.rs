//! Recurrences with a state a channel beside naive loops: `cd benches && cargo bench --bench channels`.
//!
//! Every answer is checked before it is timed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use core::hint::black_box;

use suanzi::Cpu;
use suanzi::mixer::{CausalMixer, Rwkv4, Rwkv4Token, ScanToken, SelectiveScan, rwkv4_len};
use suanzi_benches::{in_turns, uniform};

/// Channels, numbers a channel and tokens of the selective scan.
const SCAN: (usize, usize, usize) = (2048, 16, 256);

/// The parameters and tokens of a selective scan.
struct Scan {
    a: Vec<f32>,
    skip: Vec<f32>,
    bias: Vec<f32>,
    input: Vec<f32>,
    step: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    gate: Vec<f32>,
}

impl Scan {
    fn new() -> Self {
        let (channels, states, tokens) = SCAN;
        Self {
            // The usual start of training: -1, -2, ...
            a: (0..channels * states)
                .map(|i| -((i % states + 1) as f32))
                .collect(),
            skip: uniform(channels, 1),
            bias: uniform(channels, 2).iter().map(|x| x - 4.0).collect(),
            input: uniform(tokens * channels, 3),
            step: uniform(tokens * channels, 4),
            b: uniform(tokens * states, 5),
            c: uniform(tokens * states, 6),
            gate: uniform(tokens * channels, 7),
        }
    }

    fn tokens(&self) -> ScanToken<'_, f32> {
        ScanToken {
            input: &self.input,
            step: &self.step,
            b: &self.b,
            c: &self.c,
            gate: Some(&self.gate),
        }
    }

    /// The definition, in `f32` over libm.
    fn naive(&self, h: &mut [f32], y: &mut [f32]) {
        let (channels, states, tokens) = SCAN;
        for t in 0..tokens {
            let (b, c) = (&self.b[t * states..], &self.c[t * states..]);
            for (i, h) in h.chunks_mut(states).enumerate() {
                let at = t * channels + i;
                let d = libm::log1pf(libm::expf(self.step[at] + self.bias[i]));
                let u = self.input[at];
                let mut sum = 0.0;
                let a = &self.a[i * states..][..states];
                for (((h, a), b), c) in h.iter_mut().zip(a).zip(b).zip(c) {
                    *h = libm::expf(d * a) * *h + d * u * b;
                    sum += c * *h;
                }
                let z = self.gate[at];
                y[at] = (sum + self.skip[i] * u) * z / (1.0 + libm::expf(-z));
            }
        }
    }
}

/// Times the selective scan over many tokens, and token by token.
fn selective_scan() {
    let (channels, states, tokens) = SCAN;
    let scan = Scan::new();
    let start = |cpu| {
        let state = vec![0.0; channels * states];
        SelectiveScan::new(channels, states, &scan.a, state)
            .and_then(|cell| cell.with_skip(&scan.skip))
            .and_then(|cell| cell.with_softplus(&scan.bias))
            .unwrap()
            .on(cpu)
    };
    let [mut cell, mut other] = [Cpu::default(), Cpu::default()].map(start);
    let mut fused = start(Cpu::fused());
    let mut h = vec![0.0; channels * states];
    let mut out = vec![vec![0.0; tokens * channels]; 4];
    let [y, want, steps, again] = &mut out[..] else {
        return;
    };
    scan.naive(&mut h, want);
    cell.prefill(scan.tokens(), y).unwrap();
    let worst = y
        .iter()
        .zip(&*want)
        .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst < 1e-5, "wrong answer: off by {worst}");
    let title = format!("selective scan, {channels} channels of {states}, {tokens} tokens");
    in_turns(
        &title,
        channels * states * tokens,
        "element",
        &mut [
            ("naive", &mut || {
                h.fill(0.0);
                scan.naive(black_box(&mut h), want);
            }),
            ("prefill", &mut || {
                cell.reset();
                cell.prefill(scan.tokens(), y).unwrap();
            }),
            ("prefill, fused", &mut || {
                fused.reset();
                fused.prefill(scan.tokens(), again).unwrap();
            }),
            ("steps", &mut || {
                other.reset();
                for (t, out) in steps.chunks_mut(channels).enumerate() {
                    let token = ScanToken {
                        input: &scan.input[t * channels..][..channels],
                        step: &scan.step[t * channels..][..channels],
                        b: &scan.b[t * states..][..states],
                        c: &scan.c[t * states..][..states],
                        gate: Some(&scan.gate[t * channels..][..channels]),
                    };
                    other.step(token, out).unwrap();
                }
            }),
        ],
    );
}

/// Times RWKV-4 over many tokens: the definition has four exponentials a channel.
fn rwkv4() {
    const CHANNELS: usize = 2048;
    const TOKENS: usize = 256;
    let decay: Vec<f32> = uniform(CHANNELS, 1).iter().map(|x| -x.abs()).collect();
    let bonus = uniform(CHANNELS, 2);
    let key: Vec<f32> = uniform(TOKENS * CHANNELS, 3)
        .iter()
        .map(|x| 8.0 * x)
        .collect();
    let value = uniform(TOKENS * CHANNELS, 4);
    let naive = |state: &mut [[f32; 3]], out: &mut [f32]| {
        for t in 0..TOKENS {
            for (c, [a, b, m]) in state.iter_mut().enumerate() {
                let (k, v) = (key[t * CHANNELS + c], value[t * CHANNELS + c]);
                let q = m.max(bonus[c] + k);
                let (e, f) = (libm::expf(*m - q), libm::expf(bonus[c] + k - q));
                out[t * CHANNELS + c] = (e * *a + f * v) / (e * *b + f);
                let q = (*m + decay[c]).max(k);
                let (e, f) = (libm::expf(*m + decay[c] - q), libm::expf(k - q));
                (*a, *b, *m) = (e * *a + f * v, e * *b + f, q);
            }
        }
    };
    let start = |cpu| {
        let state = vec![0.0; rwkv4_len(CHANNELS)];
        Rwkv4::new(&decay, &bonus, state).unwrap().on(cpu)
    };
    let tokens = Rwkv4Token {
        key: &key,
        value: &value,
    };
    let (mut cell, mut fused) = (start(Cpu::default()), start(Cpu::fused()));
    let none = [0.0, 0.0, -1e38];
    let mut state = vec![none; CHANNELS];
    let mut out = vec![vec![0.0; TOKENS * CHANNELS]; 3];
    let [y, want, again] = &mut out[..] else {
        return;
    };
    naive(&mut state, want);
    cell.prefill(tokens, y).unwrap();
    let worst = y
        .iter()
        .zip(&*want)
        .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst < 1e-4, "wrong answer: off by {worst}");
    in_turns(
        &format!("rwkv4, {CHANNELS} channels, {TOKENS} tokens"),
        CHANNELS * TOKENS,
        "element",
        &mut [
            ("naive", &mut || {
                state.fill(none);
                naive(black_box(&mut state), want);
            }),
            ("prefill", &mut || {
                cell.reset();
                cell.prefill(tokens, y).unwrap();
            }),
            ("prefill, fused", &mut || {
                fused.reset();
                fused.prefill(tokens, again).unwrap();
            }),
        ],
    );
}

fn main() {
    selective_scan();
    rwkv4();
}
