//! What other libraries do as well, one line of JSON a measurement, for a harness that runs those that are no crates
//! beside this one, in turns: PyTorch, onnxruntime, ggml, JAX, FINUFFT.
//!
//! `cd benches && cargo bench --bench peers -- decode prefill recurrence density sparse` runs these groups, or all. The
//! environment gives the number of the run (`BP_RUN`) and the seconds that a measurement lasts (`BP_SECS`, 0.25).
//! Every answer is checked before it is timed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use core::hint::black_box;
use std::time::{Duration, Instant};

use suanzi::Cpu;
use suanzi::density::{Density1d, Domain, FourierDensity};
use suanzi::mixer::{
    Attention, Cache, Gate, LinearAttention, LinearToken, Recurrence, Rule, Rwkv6, Rwkv6Token,
    Rwkv7, Rwkv7Token, ScanToken, SelectiveScan, Visible, scan_len,
};
use suanzi::probability::{Entmax, Logits, ProbabilityMap, Softmax, SparseSoftmax, Sparsemax};
use suanzi::storage::F16;
use suanzi_benches::{Aligned, Kept, logits, uniform};

/// The executors that are timed: bits that are the same everywhere, and the processor's own arithmetic.
fn executors() -> [(&'static str, Cpu); 2] {
    [("suanzi", Cpu::default()), ("suanzi, fused", Cpu::fused())]
}

/// One line of the report, but for its times.
struct Line<'a> {
    primitive: &'a str,
    peer: &'a str,
    shape: &'a str,
    elements: usize,
    bytes: usize,
    operations: usize,
}

impl Line<'_> {
    /// Times a function and prints the line: the median, the tenth and the ninetieth percentile in ns.
    fn time(&self, mut function: impl FnMut()) {
        let variable = |name, default: f64| {
            let text = std::env::var(name).ok();
            text.and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let (run, seconds) = (variable("BP_RUN", 0.0), variable("BP_SECS", 0.25));
        let (start, mut calls) = (Instant::now(), 0_u32);
        while calls < 2 || start.elapsed() < Duration::from_millis(50) {
            function();
            calls += 1;
        }
        if std::env::args().any(|argument| argument == "--test") {
            return;
        }
        // As many calls between looks at the clock as take 100 us.
        let each = start.elapsed().as_secs_f64() / f64::from(calls);
        let batch = (1e-4 / each).ceil().max(1.0) as u32;
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.len() < 7 || start.elapsed().as_secs_f64() < seconds && times.len() < 20_000 {
            let turn = Instant::now();
            (0..batch).for_each(|_| function());
            times.push(turn.elapsed().as_secs_f64() * 1e9 / f64::from(batch));
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        let &Self {
            primitive,
            peer,
            shape,
            elements,
            bytes,
            operations,
        } = self;
        println!(
            "{{\"run\":{run},\"prim\":\"{primitive}\",\"peer\":\"{peer}\",\"shape\":\"{shape}\",\"ns\":{:.2},\
             \"p10\":{:.2},\"p90\":{:.2},\"samples\":{},\"elems\":{elements},\"bytes\":{bytes},\
             \"flops\":{operations},\"err_abs\":null,\"err_ulp\":null,\"note\":\"\"}}",
            at(0.5),
            at(0.1),
            at(0.9),
            times.len(),
        );
    }
}

/// Stops the benchmark unless all numbers lie within a distance of what they should be.
fn near(what: &str, got: &[f32], want: &[f64], distance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(got) - want).abs();
        assert!(off <= distance, "{what}: element {i}: {got} for {want}");
    }
}

/// The output of one query of one head by the definition.
fn definition<W: Kept>(query: &[f32], keys: &[W], values: &[W]) -> Vec<f64> {
    let dim = query.len();
    let mut weights: Vec<f64> = keys
        .chunks(dim)
        .map(|key| {
            let products = key
                .iter()
                .zip(query)
                .map(|(&k, &q)| f64::from(k.value()) * f64::from(q));
            (products.sum::<f64>() / (dim as f64).sqrt()).exp()
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    let mut out = vec![0.0; dim];
    for (w, value) in weights.iter().zip(values.chunks(dim)) {
        for (out, &v) in out.iter_mut().zip(value) {
            *out += w * f64::from(v.value());
        }
    }
    out
}

/// A step of 32 query heads over 8 key heads of 128 elements; cold steps walk over 256 MiB of caches.
fn decode<W: Kept>(tokens: usize) {
    const HEADS: usize = 32;
    const KV_HEADS: usize = 8;
    const DIM: usize = 128;
    let primitive = format!("decode {}", W::NAME);
    let elements = KV_HEADS * tokens * DIM;
    let bytes = 2 * elements * size_of::<W>();
    let walk = 260_000_000_usize.div_ceil(bytes);
    let numbers = |seed| -> Vec<W> {
        let numbers = uniform(elements, seed).into_iter();
        numbers.map(|x| W::keep(x * 1.732)).collect()
    };
    let (keys, values, query) = (numbers(1), numbers(2), uniform(HEADS * DIM, 3));
    let caches: Vec<_> = (0..walk).map(|_| (keys.clone(), values.clone())).collect();
    let attention = Attention::<f32>::new(HEADS, KV_HEADS, DIM).unwrap();
    let mut scratch = vec![0.0; attention.scratch_len(tokens)];
    let mut out = vec![0.0; HEADS * DIM];
    for (mode, caches) in [("warm", &caches[..1]), ("cold", &caches[..])] {
        if mode == "warm" && bytes >= 20_000_000 {
            continue;
        }
        for (peer, cpu) in executors() {
            let mut at = 0;
            let mut step = |out: &mut [f32]| {
                at = (at + 1) % caches.len();
                let (keys, values) = &caches[at];
                let cache = Cache::<W, _>::filled(KV_HEADS, DIM, DIM, &keys[..], &values[..]);
                let attention = attention.on(cpu);
                attention
                    .attend(&query, &cache.unwrap(), tokens, &mut scratch, out)
                    .unwrap();
            };
            step(&mut out);
            for (head, out) in out.chunks(DIM).enumerate().step_by(9) {
                let first = head / (HEADS / KV_HEADS) * tokens * DIM;
                let [keys, values] = [&keys, &values].map(|x| &x[first..][..tokens * DIM]);
                let want = definition(&query[head * DIM..][..DIM], keys, values);
                near(&primitive, out, &want, 1e-5);
            }
            let line = Line {
                primitive: &primitive,
                peer,
                shape: &format!("L={tokens} {mode}"),
                elements: tokens * HEADS,
                bytes,
                operations: 4 * HEADS * tokens * DIM,
            };
            line.time(|| step(black_box(&mut out)));
        }
    }
}

/// A prompt of 1024 tokens and 32 heads, every token to those before it and itself.
fn prefill(dim: usize) {
    const TOKENS: usize = 1024;
    const HEADS: usize = 32;
    let len = HEADS * TOKENS * dim;
    let [query, keys, values] = [1, 2, 3].map(|seed| uniform(len, seed));
    let attention = Attention::<f32>::new(HEADS, HEADS, dim).unwrap();
    let cache = Cache::<f32, _>::filled(HEADS, dim, dim, &keys[..], &values[..]).unwrap();
    let mut scratch = vec![0.0; attention.rows_scratch_len(TOKENS, 64)];
    let mut out = vec![0.0; len];
    for (peer, cpu) in executors() {
        let attention = attention.on(cpu);
        let mut run = |out: &mut [f32]| {
            attention
                .attend_rows(&query, &cache, Visible::at(0), &mut scratch, out)
                .unwrap();
        };
        run(&mut out);
        for (token, head) in [(0, 0), (17, 5), (1023, 31)] {
            let at = (token * HEADS + head) * dim;
            let [keys, values] =
                [&keys, &values].map(|x| &x[head * TOKENS * dim..][..(token + 1) * dim]);
            let want = definition(&query[at..][..dim], keys, values);
            near("prefill", &out[at..][..dim], &want, 1e-5);
        }
        let line = Line {
            primitive: "prefill causal f32",
            peer,
            shape: &format!("T={TOKENS} h={HEADS} d={dim}"),
            elements: len,
            bytes: 16 * len,
            operations: 4 * HEADS * dim * (TOKENS * (TOKENS + 1) / 2),
        };
        line.time(|| run(black_box(&mut out)));
    }
}

/// The heads of recurrences.
const HEADS: usize = 32;

/// What the sequences of recurrences read.
struct Sequence {
    tokens: usize,
    dim: usize,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    factors: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Sequence {
    fn new(tokens: usize, dim: usize) -> Self {
        let n = tokens * HEADS * dim;
        let [query, key, value, a] = [1, 2, 3, 5]
            .map(|seed| -> Vec<f32> { uniform(n, seed).iter().map(|x| 0.3 * x).collect() });
        // What was found is taken away in part, so that the state stays small.
        let b = a.iter().map(|a| -0.25 * a).collect();
        Self {
            tokens,
            dim,
            query,
            key,
            value,
            factors: uniform(n, 4).iter().map(|x| 0.975 + 0.025 * x).collect(),
            a,
            b,
        }
    }

    /// The outputs of one head by S = G S + b (S^T a)^T + k v^T; before the step where a bonus is given.
    fn naive(&self, head: usize, bonus: Option<&[f32]>, removes: bool) -> Vec<f64> {
        let dim = self.dim;
        let mut state = vec![0.0; dim * dim];
        let mut outs = Vec::new();
        for token in 0..self.tokens {
            let part = |x: &[f32]| -> Vec<f64> {
                let x = &x[(token * HEADS + head) * dim..][..dim];
                x.iter().map(|&x| x.into()).collect()
            };
            let [q, k, v, g] =
                [&self.query, &self.key, &self.value, &self.factors].map(|x| part(x));
            let [a, b] = [&self.a, &self.b].map(|x| part(x));
            let mut out = vec![0.0; dim];
            for j in 0..dim {
                let found: f64 = (0..dim).map(|i| a[i] * state[i * dim + j]).sum();
                for i in 0..dim {
                    let s = &mut state[i * dim + j];
                    if let Some(u) = bonus {
                        out[j] += q[i] * (*s + f64::from(u[head * dim + i]) * k[i] * v[j]);
                    }
                    *s = g[i] * *s + k[i] * v[j] + if removes { b[i] * found } else { 0.0 };
                    if bonus.is_none() {
                        out[j] += q[i] * *s;
                    }
                }
            }
            outs.extend(out);
        }
        outs
    }

    /// Times a rule.
    fn run<'a, R: Rule<f32>>(
        &self,
        primitive: &str,
        (rule, operations): (R, usize),
        token: R::Token<'a>,
        want: &[f64],
    ) {
        let dim = self.dim;
        let len = Recurrence::<R, f32, Aligned>::state_len(HEADS, dim, dim);
        let elements = self.tokens * HEADS * dim * dim;
        for (peer, cpu) in executors() {
            let storage = Aligned::new(&vec![0.0; len]);
            let layer = Recurrence::new(rule, HEADS, dim, dim, storage).unwrap();
            let mut layer = layer.with_scale(1.0).unwrap().on(cpu);
            let mut out = vec![0.0; self.tokens * HEADS * dim];
            layer.prefill(token, &mut out).unwrap();
            let heads = out
                .chunks(HEADS * dim)
                .flat_map(|out| &out[5 * dim..][..dim]);
            near(primitive, &heads.copied().collect::<Vec<_>>(), want, 1e-3);
            let line = Line {
                primitive,
                peer,
                shape: &format!("T={} h={HEADS} d={dim}", self.tokens),
                elements,
                bytes: 8 * elements,
                operations: operations * elements,
            };
            line.time(|| layer.prefill(token, black_box(&mut out)).unwrap());
        }
    }

    fn rules(&self) {
        let (receptance, key, value) = (&self.query[..], &self.key[..], &self.value[..]);
        let gate = Gate::Factor(&self.factors);
        let token = LinearToken {
            query: receptance,
            key,
            value,
            gate,
        };
        let rule = LinearAttention::default();
        let want = self.naive(5, None, false);
        self.run("gated linear attention", (rule, 5), token, &want);
        let token = Rwkv6Token {
            receptance,
            key,
            value,
            gate,
        };
        let bonus = uniform(HEADS * self.dim, 9);
        let want = self.naive(5, Some(&bonus), false);
        self.run("rwkv6 wkv", (Rwkv6::new(&bonus), 7), token, &want);
        let token = Rwkv7Token {
            receptance,
            key,
            value,
            gate,
            a: &self.a,
            b: &self.b,
        };
        let want = self.naive(5, None, true);
        self.run("rwkv7 wkv", (Rwkv7, 9), token, &want);
    }
}

/// A selective scan of 2048 channels with 16 numbers each, and the softplus of its steps.
fn scan(tokens: usize) {
    const CHANNELS: usize = 2048;
    const STATES: usize = 16;
    let rates: Vec<f32> = (0..CHANNELS * STATES)
        .map(|i| -((i % STATES + 1) as f32))
        .collect();
    let shift = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| 0.051 + 0.05 * x).collect() };
    let (input, step) = (
        uniform(tokens * CHANNELS, 1),
        shift(uniform(tokens * CHANNELS, 2)),
    );
    let (b, c) = (uniform(tokens * STATES, 3), uniform(tokens * STATES, 4));
    let bias = vec![0.0; CHANNELS];
    let token = ScanToken {
        input: &input,
        step: &step,
        b: &b,
        c: &c,
        gate: None,
    };
    let mut want = Vec::new();
    let mut h = [0.0; STATES];
    for t in 0..tokens {
        let (u, d) = (
            f64::from(input[t * CHANNELS]),
            f64::from(step[t * CHANNELS]).exp().ln_1p(),
        );
        let mut y = 0.0;
        for (n, h) in h.iter_mut().enumerate() {
            *h = (d * f64::from(rates[n])).exp() * *h + d * u * f64::from(b[t * STATES + n]);
            y += *h * f64::from(c[t * STATES + n]);
        }
        want.push(y);
    }
    for (peer, cpu) in executors() {
        let storage = vec![0.0; scan_len(CHANNELS, STATES)];
        let scan = SelectiveScan::new(CHANNELS, STATES, &rates, storage).unwrap();
        let mut scan = scan.with_softplus(&bias).unwrap().on(cpu);
        let mut out = vec![0.0; tokens * CHANNELS];
        scan.prefill(token, &mut out).unwrap();
        let first: Vec<f32> = out.iter().step_by(CHANNELS).copied().collect();
        near("scan", &first, &want, 1e-4);
        let elements = tokens * CHANNELS * STATES;
        let line = Line {
            primitive: "mamba1 selective scan",
            peer,
            shape: &format!("T={tokens} ch={CHANNELS} n={STATES}"),
            elements,
            bytes: 12 * elements,
            operations: 6 * elements,
        };
        line.time(|| scan.prefill(token, black_box(&mut out)).unwrap());
    }
}

/// A Fourier density of 60 coefficients at a million points.
fn density() {
    const POINTS: usize = 1_000_000;
    const COUNT: usize = 60;
    let a: Vec<f32> = uniform(2 * COUNT, 31)
        .iter()
        .enumerate()
        .map(|(i, x)| x / (1 + i / 2) as f32)
        .collect();
    let x = uniform(POINTS, 5);
    let energy: f64 = a.iter().map(|&a| f64::from(a).powi(2)).sum();
    let want: Vec<f64> = x
        .iter()
        .step_by(POINTS / 100)
        .map(|&x| {
            let (mut re, mut im) = (0.0, 0.0);
            for (k, a) in a.chunks(2).enumerate() {
                let (sin, cos) = (core::f64::consts::PI * k as f64 * f64::from(x)).sin_cos();
                let [u, v] = [a[0], a[1]].map(f64::from);
                (re, im) = (re + u * cos + v * sin, im + v * cos - u * sin);
            }
            (re * re + im * im) / (2.0 * energy)
        })
        .collect();
    let storage = vec![0.0; FourierDensity::<f32, Vec<f32>>::storage_len(COUNT)];
    let density = FourierDensity::new(Domain::unit(), &a, storage).unwrap();
    for (peer, cpu) in executors() {
        let density = density.clone().on(cpu);
        let mut out = vec![0.0; POINTS];
        density.density_into(&x, &mut out).unwrap();
        let some: Vec<f32> = out.iter().step_by(POINTS / 100).copied().collect();
        near("density", &some, &want, 1e-3);
        let line = |primitive| Line {
            primitive,
            peer,
            shape: "1e6 points, 60 freq",
            elements: POINTS,
            bytes: 8 * POINTS,
            operations: 8 * 59 * POINTS,
        };
        line("fourier pdf").time(|| density.density_into(&x, black_box(&mut out)).unwrap());
        line("fourier cdf").time(|| density.cumulative_into(&x, black_box(&mut out)).unwrap());
    }
}

/// Maps of a row, or of 64, of `n` logits.
fn sparse(rows: usize, n: usize) {
    let x: Vec<f32> = logits(rows * n);
    let mut y = vec![0.0; x.len()];
    let shape = format!("{rows}x{n}");
    for (peer, cpu) in executors() {
        let entmax = |alpha| Entmax::new(alpha, Logits::new()).unwrap().on(cpu);
        let softmax = Softmax::default().on(cpu);
        let top = SparseSoftmax::new(Logits::new()).on(cpu);
        let maps: [(&str, &dyn Fn(&[f32], &mut [f32])); 6] = [
            ("softmax", &|x, y| softmax.map(x, y).unwrap()),
            ("sparsemax", &|x, y| {
                Sparsemax::default().on(cpu).map(x, y).unwrap();
            }),
            ("entmax15", &|x, y| entmax(1.5).map(x, y).unwrap()),
            ("entmax_bisect a=1.5", &|x, y| {
                entmax(1.5).map(x, y).unwrap()
            }),
            ("entmax_bisect a=1.3", &|x, y| {
                entmax(1.3).map(x, y).unwrap()
            }),
            ("top-k softmax k=50", &|x, y| {
                top.with_top_k(50).unwrap().map(x, y).unwrap();
            }),
        ];
        for (primitive, map) in maps {
            let mut run = || {
                for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
                    map(black_box(x), y);
                }
            };
            run();
            let line = Line {
                primitive,
                peer,
                shape: &shape,
                elements: rows * n,
                bytes: 8 * rows * n,
                operations: 0,
            };
            line.time(run);
            for y in y.chunks_exact(n) {
                let sum: f64 = y.iter().map(|&y| f64::from(y)).sum();
                near(primitive, &[sum as f32], &[1.0], 1e-5);
            }
        }
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let on = |group: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == group);
    if on("decode") {
        for tokens in [1024, 4096, 16_384, 65_536] {
            decode::<f32>(tokens);
            decode::<F16>(tokens);
        }
    }
    if on("prefill") {
        prefill(64);
        prefill(128);
    }
    if on("recurrence") {
        for tokens in [1, 256] {
            for dim in [64, 128] {
                Sequence::new(tokens, dim).rules();
            }
            scan(tokens);
        }
    }
    if on("density") {
        density();
    }
    if on("sparse") {
        for rows in [1, 64] {
            for n in [128, 1024, 4096, 128_256] {
                sparse(rows, n);
            }
        }
    }
}
