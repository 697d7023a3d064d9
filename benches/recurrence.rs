//! Steps of the linear recurrences beside an in-place scale of their state and the naive loop.
//!
//! `cd benches && cargo bench --bench recurrence`; `SUANZI_LEVEL=Avx2` forces a level. Each answer is
//! checked first. Rates are bytes of state a second, counted once.

use core::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use suanzi::mixer::{
    CausalMixer, DeltaRule, DeltaToken, Gate, LinearAttention, LinearToken, Recurrence, Rwkv6,
    Rwkv6Token, Rwkv7, Rwkv7Token,
};
use suanzi::{Cpu, Level};
use suanzi_benches::{Aligned, in_turns, uniform};

/// Returns the executor that the environment asks for.
fn executor() -> Cpu {
    let name = std::env::var("SUANZI_LEVEL").unwrap_or_default();
    let level = Level::ALL
        .into_iter()
        .find(|level| format!("{level:?}") == name);
    level.map_or(Cpu::default(), |level| {
        Cpu::with(level).expect("a level of this machine")
    })
}

/// One token of every rule: numbers for each head and channel.
struct Inputs {
    heads: usize,
    dim: usize,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    factors: Vec<f32>,
    logs: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
    beta: Vec<f32>,
}

impl Inputs {
    fn new(heads: usize, dim: usize) -> Self {
        let n = heads * dim;
        let factors: Vec<f32> = uniform(n, 4).iter().map(|x| 0.95 + 0.04 * x).collect();
        let mut key = uniform(n, 2);
        for key in key.chunks_exact_mut(dim) {
            let norm = key.iter().map(|x| x * x).sum::<f32>().sqrt();
            key.iter_mut().for_each(|x| *x /= norm);
        }
        Self {
            heads,
            dim,
            query: uniform(n, 1),
            value: uniform(n, 3),
            logs: factors.iter().map(|x| x.ln()).collect(),
            factors,
            a: key.iter().map(|x| -x).collect(),
            b: key.iter().map(|x| 0.5 * x).collect(),
            key,
            beta: vec![0.5; heads],
        }
    }

    fn head(&self, h: usize) -> core::ops::Range<usize> {
        h * self.dim..(h + 1) * self.dim
    }

    /// S = diag(w) S + k v^T; o = S^T q, as the formula is written.
    fn naive_linear(&self, state: &mut [f32], out: &mut [f32]) {
        let dim = self.dim;
        for h in 0..self.heads {
            let (own, out) = (self.head(h), &mut out[self.head(h)]);
            let value = &self.value[own.clone()];
            out.fill(0.0);
            for (i, row) in state[h * dim * dim..][..dim * dim]
                .chunks_exact_mut(dim)
                .enumerate()
            {
                let at = own.start + i;
                let (w, k, q) = (self.factors[at], self.key[at], self.query[at]);
                for ((s, v), o) in row.iter_mut().zip(value).zip(out.iter_mut()) {
                    *s = w * *s + k * v;
                    *o += q * *s;
                }
            }
        }
    }

    /// o = (S + diag(u) k v^T)^T r; S = diag(w) S + k v^T.
    fn naive_rwkv6(&self, bonus: &[f32], state: &mut [f32], out: &mut [f32]) {
        let dim = self.dim;
        for h in 0..self.heads {
            let (own, out) = (self.head(h), &mut out[self.head(h)]);
            let value = &self.value[own.clone()];
            out.fill(0.0);
            for (i, row) in state[h * dim * dim..][..dim * dim]
                .chunks_exact_mut(dim)
                .enumerate()
            {
                let at = own.start + i;
                let (w, k, q, u) = (self.factors[at], self.key[at], self.query[at], bonus[at]);
                for ((s, v), o) in row.iter_mut().zip(value).zip(out.iter_mut()) {
                    let kv = k * v;
                    *o += q * (u * kv + *s);
                    *s = w * *s + kv;
                }
            }
        }
    }

    /// S = diag(w) S + b (S^T a)^T + k v^T; o = S^T r.
    fn naive_rwkv7(&self, state: &mut [f32], out: &mut [f32]) {
        let dim = self.dim;
        let mut found = vec![0.0; dim];
        for h in 0..self.heads {
            let (own, out) = (self.head(h), &mut out[self.head(h)]);
            let value = &self.value[own.clone()];
            found.fill(0.0);
            out.fill(0.0);
            let state = &mut state[h * dim * dim..][..dim * dim];
            for (i, row) in state.chunks_exact(dim).enumerate() {
                let a = self.a[own.start + i];
                for (f, s) in found.iter_mut().zip(row) {
                    *f += a * s;
                }
            }
            for (i, row) in state.chunks_exact_mut(dim).enumerate() {
                let at = own.start + i;
                let (w, k, q, b) = (self.factors[at], self.key[at], self.query[at], self.b[at]);
                let row = row.iter_mut().zip(value).zip(&found).zip(out.iter_mut());
                for (((s, v), f), o) in row {
                    *s = w * *s + b * f + k * v;
                    *o += q * *s;
                }
            }
        }
    }

    /// S = S + beta k (v - S^T k)^T; o = S^T q.
    fn naive_delta(&self, state: &mut [f32], out: &mut [f32]) {
        let dim = self.dim;
        let mut wanted = vec![0.0; dim];
        for h in 0..self.heads {
            let (own, out) = (self.head(h), &mut out[self.head(h)]);
            wanted.copy_from_slice(&self.value[own.clone()]);
            out.fill(0.0);
            let state = &mut state[h * dim * dim..][..dim * dim];
            for (i, row) in state.chunks_exact(dim).enumerate() {
                let k = self.key[own.start + i];
                for (f, s) in wanted.iter_mut().zip(row) {
                    *f -= k * s;
                }
            }
            for (i, row) in state.chunks_exact_mut(dim).enumerate() {
                let at = own.start + i;
                let (k, q) = (self.beta[h] * self.key[at], self.query[at]);
                for ((s, f), o) in row.iter_mut().zip(&wanted).zip(out.iter_mut()) {
                    *s += k * f;
                    *o += q * *s;
                }
            }
        }
    }
}

/// Stops unless the two agree.
fn agree(what: &str, got: &[f32], want: &[f32]) {
    let error = got
        .iter()
        .zip(want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        error < 1e-4,
        "{what}: differs from the naive form by {error}"
    );
}

/// Times a rule's step against the naive loop and a scale of the state in place.
fn rule(
    what: &str,
    inputs: &Inputs,
    naive: &mut dyn FnMut(&mut [f32], &mut [f32]),
    steps: &mut [(&str, &mut dyn FnMut(&mut [f32]))],
) {
    let (heads, dim) = (inputs.heads, inputs.dim);
    let mut want = vec![0.0; heads * dim];
    let mut state = Aligned::new(&vec![0.0; heads * dim * dim]);
    for _ in 0..3 {
        naive(&mut state, &mut want);
    }
    let mut outs = vec![vec![0.0; heads * dim]; steps.len()];
    for ((name, step), out) in steps.iter_mut().zip(&mut outs) {
        for _ in 0..3 {
            step(out);
        }
        agree(&format!("{what} {name}"), out, &want);
    }
    let mut scaled = Aligned::new(&vec![1.0; heads * dim * dim]);
    let mut scale = || {
        let factor = black_box(-1.0);
        black_box(&mut scaled[..])
            .iter_mut()
            .for_each(|y| *y *= factor);
    };
    let mut naive = || naive(black_box(&mut state), &mut want);
    let mut timed: Vec<(&str, &mut dyn FnMut())> = vec![
        ("scale in place (roof)", &mut scale),
        ("naive loop", &mut naive),
    ];
    let mut closures: Vec<_> = steps
        .iter_mut()
        .zip(&mut outs)
        .map(|((name, step), out)| (*name, move || step(black_box(out))))
        .collect();
    for (name, step) in &mut closures {
        timed.push((name, step));
    }
    in_turns(
        &format!("{what}, {heads} heads of {dim} x {dim}"),
        4 * heads * dim * dim,
        "B",
        &mut timed,
    );
}

fn steps(_: &mut Criterion) {
    let cpu = executor();
    println!("executor: {:?}", cpu.level());
    for (heads, dim) in [(1, 64), (32, 64), (32, 128), (256, 128)] {
        let x = Inputs::new(heads, dim);
        let new = |len: usize| Aligned::new(&vec![0.0; len]);
        let linear = Recurrence::<LinearAttention, f32, Aligned>::state_len(heads, dim, dim);
        let mut by_factor =
            Recurrence::new(LinearAttention::default(), heads, dim, dim, new(linear))
                .and_then(|r| r.with_scale(1.0))
                .expect("a recurrence")
                .on(cpu);
        let mut fused = Recurrence::new(LinearAttention::default(), heads, dim, dim, new(linear))
            .and_then(|r| r.with_scale(1.0))
            .expect("a recurrence")
            .on(cpu.with_fused(true));
        let mut by_log = Recurrence::new(LinearAttention::default(), heads, dim, dim, new(linear))
            .and_then(|r| r.with_scale(1.0))
            .expect("a recurrence")
            .on(cpu);
        let token = LinearToken {
            query: &x.query,
            key: &x.key,
            value: &x.value,
            gate: Gate::Factor(&x.factors),
        };
        let log = LinearToken {
            gate: Gate::Log(&x.logs),
            ..token
        };
        rule(
            "gated linear attention",
            &x,
            &mut |state, out| x.naive_linear(state, out),
            &mut [
                ("factors", &mut |out| {
                    by_factor.step(token, out).expect("a step")
                }),
                ("logarithms", &mut |out| {
                    by_log.step(log, out).expect("a step")
                }),
                ("factors, fused", &mut |out| {
                    fused.step(token, out).expect("a step")
                }),
            ],
        );

        let bonus = uniform(heads * dim, 9);
        let len = Recurrence::<Rwkv6<'_, f32>, f32, Aligned>::state_len(heads, dim, dim);
        let mut rwkv6 = Recurrence::new(Rwkv6::new(&bonus), heads, dim, dim, new(len))
            .expect("a recurrence")
            .on(cpu);
        let token = Rwkv6Token {
            receptance: &x.query,
            key: &x.key,
            value: &x.value,
            gate: Gate::Factor(&x.factors),
        };
        rule(
            "RWKV-6",
            &x,
            &mut |state, out| x.naive_rwkv6(&bonus, state, out),
            &mut [("step", &mut |out| rwkv6.step(token, out).expect("a step"))],
        );

        let len = Recurrence::<Rwkv7, f32, Aligned>::state_len(heads, dim, dim);
        let mut rwkv7 = Recurrence::new(Rwkv7, heads, dim, dim, new(len))
            .expect("a recurrence")
            .on(cpu);
        let token = Rwkv7Token {
            receptance: &x.query,
            key: &x.key,
            value: &x.value,
            gate: Gate::Factor(&x.factors),
            a: &x.a,
            b: &x.b,
        };
        rule(
            "RWKV-7",
            &x,
            &mut |state, out| x.naive_rwkv7(state, out),
            &mut [("step", &mut |out| rwkv7.step(token, out).expect("a step"))],
        );

        let len = Recurrence::<DeltaRule, f32, Aligned>::state_len(heads, dim, dim);
        let mut delta = Recurrence::new(DeltaRule, heads, dim, dim, new(len))
            .and_then(|r| r.with_scale(1.0))
            .expect("a recurrence")
            .on(cpu);
        let token = DeltaToken {
            query: &x.query,
            key: &x.key,
            value: &x.value,
            gate: Gate::Open,
            beta: &x.beta,
        };
        rule(
            "delta rule",
            &x,
            &mut |state, out| x.naive_delta(state, out),
            &mut [("step", &mut |out| delta.step(token, out).expect("a step"))],
        );
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
