//! Decoding steps of attention beside the speed of memory, and prompts beside the speed of
//! multiplications and additions: `cd benches && cargo bench --bench mixer`.
//!
//! 32 query heads share 8 key/value heads of 128 elements. Every answer is checked before it is
//! timed. The roof is a plain vectorized sum over the same bytes; cold means that steps walk over
//! caches of 256 MiB in all.
//!
//! A prompt of 1024 tokens attends with one head to itself, every token to all and to those before it.
//! A pair of a query and a key counts four operations for each element. The roof is a loop of fused
//! multiplications and additions over registers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use core::hint::black_box;
use core::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use suanzi::Cpu;
use suanzi::mixer::{Attention, Cache, Visible};
use suanzi::storage::F16;
use suanzi_benches::{Kept, in_turns, uniform};

const HEADS: usize = 32;
const KV_HEADS: usize = 8;
const DIM: usize = 128;
/// The bytes that cold steps walk over.
const COLD: usize = 256 << 20;

/// The definition, in `f32` over libm, one head after the other.
fn naive<W: Kept>(
    query: &[f32],
    keys: &[W],
    values: &[W],
    tokens: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let scale = 1.0 / (DIM as f32).sqrt();
    for (h, (q, out)) in query.chunks(DIM).zip(out.chunks_mut(DIM)).enumerate() {
        let head = h / (HEADS / KV_HEADS) * tokens * DIM;
        for (score, k) in scores.iter_mut().zip(keys[head..].chunks(DIM)) {
            *score = scale * q.iter().zip(k).map(|(q, k)| q * k.value()).sum::<f32>();
        }
        let max = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        let mut sum = 0.0;
        for score in scores.iter_mut() {
            *score = libm::expf(*score - max);
            sum += *score;
        }
        out.fill(0.0);
        for (p, v) in scores.iter().zip(values[head..].chunks(DIM)) {
            for (out, v) in out.iter_mut().zip(v) {
                *out += p / sum * v.value();
            }
        }
    }
}

/// Times the steps of one length and one number type, warm and cold.
fn decode<W: Kept>(criterion: &mut Criterion, tokens: usize) {
    let attention = Attention::<f32>::new(HEADS, KV_HEADS, DIM).unwrap();
    let elements = KV_HEADS * tokens * DIM;
    let bytes = 2 * elements * size_of::<W>();
    let copies = COLD.div_ceil(bytes);
    let keys: Vec<W> = uniform(elements, 1).into_iter().map(W::keep).collect();
    let values: Vec<W> = uniform(elements, 2).into_iter().map(W::keep).collect();
    let caches: Vec<(Vec<W>, Vec<W>)> = (0..copies)
        .map(|_| (keys.clone(), values.clone()))
        .collect();
    let query = uniform(HEADS * DIM, 3);
    let mut scratch = vec![0.0; attention.scratch_len(tokens)];
    let mut out = vec![0.0; HEADS * DIM];
    let mut want = vec![0.0; HEADS * DIM];
    let mut scores = vec![0.0; tokens];
    let mut other_scratch = scratch.clone();
    let step = |cpu: Cpu, i: usize, scratch: &mut [f32], out: &mut [f32]| {
        let (keys, values) = &caches[i];
        let cache = Cache::<W, _>::filled(KV_HEADS, DIM, DIM, &keys[..], &values[..]).unwrap();
        attention
            .on(cpu)
            .attend(&query, &cache, tokens, scratch, out)
            .unwrap();
    };
    naive(&query, &keys, &values, tokens, &mut scores, &mut want);
    step(Cpu::default(), 0, &mut scratch, &mut out);
    let worst = out
        .iter()
        .zip(&want)
        .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst < 1e-5, "wrong answer: off by {worst}");

    for copies in [1, copies] {
        let warmth = if copies == 1 { "warm" } else { "cold" };
        let title = format!("decode 32:8 d=128 {} {warmth}", W::NAME);
        // Each walks over the caches by itself, so that what one has read does not serve the next.
        let (mut read, mut attended, mut fused) = (0, copies / 3, 2 * copies / 3);
        let next = |at: &mut usize| {
            *at = (*at + 1) % copies;
            *at
        };
        let mut other = out.clone();
        in_turns(
            &format!("{title}, {tokens} tokens"),
            bytes,
            "B",
            &mut [
                ("sum (roof)", &mut || {
                    let (keys, values) = &caches[next(&mut read)];
                    black_box(W::sum(black_box(keys)).wrapping_add(W::sum(black_box(values))));
                }),
                ("attend", &mut || {
                    let i = next(&mut attended);
                    step(Cpu::default(), i, &mut scratch, &mut out);
                }),
                ("attend fused", &mut || {
                    let i = next(&mut fused);
                    step(Cpu::fused(), i, &mut other_scratch, &mut other);
                }),
            ],
        );
        let mut group = criterion.benchmark_group(title);
        group.throughput(Throughput::Bytes(bytes as u64));
        let mut at = 0;
        let mut next = move || {
            at = (at + 1) % copies;
            at
        };
        group.bench_function(BenchmarkId::new("sum (roof)", tokens), |b| {
            b.iter(|| {
                let (keys, values) = &caches[next()];
                black_box(W::sum(black_box(keys)).wrapping_add(W::sum(black_box(values))))
            });
        });
        group.bench_function(BenchmarkId::new("attend", tokens), |b| {
            b.iter(|| step(Cpu::default(), next(), &mut scratch, black_box(&mut out)));
        });
        group.bench_function(BenchmarkId::new("attend fused", tokens), |b| {
            b.iter(|| step(Cpu::fused(), next(), &mut scratch, black_box(&mut out)));
        });
        if tokens == 1024 {
            group.bench_function(BenchmarkId::new("naive", tokens), |b| {
                b.iter(|| {
                    let (keys, values) = &caches[next()];
                    naive(
                        &query,
                        keys,
                        values,
                        tokens,
                        &mut scores,
                        black_box(&mut out),
                    );
                });
            });
        }
        group.finish();
    }
}

/// The tokens of a prompt.
const PROMPT: usize = 1024;

/// The operations of one call of [`peak`].
const PEAK: usize = 2 * 96 * 100_000;

/// Multiplies and adds in registers, as fast as the processor can.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
fn peak() -> f32 {
    let mut sums = [[0.0_f32; 8]; 12];
    let (x, y) = (black_box([1.0001_f32; 8]), black_box([0.5_f32; 8]));
    for _ in 0..PEAK / 192 {
        for sums in &mut sums {
            for ((sum, x), y) in sums.iter_mut().zip(&x).zip(&y) {
                *sum = sum.mul_add(*x, *y);
            }
        }
    }
    sums.iter().flatten().sum()
}

/// The definition for the queries of a whole prompt and one head, in `f32` over libm.
fn naive_prompt(
    (query, keys, values): (&[f32], &[f32], &[f32]),
    dim: usize,
    causal: bool,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let scale = 1.0 / (dim as f32).sqrt();
    for (row, (q, out)) in query.chunks(dim).zip(out.chunks_mut(dim)).enumerate() {
        let seen = if causal { row + 1 } else { scores.len() };
        let scores = &mut scores[..seen];
        for (score, k) in scores.iter_mut().zip(keys.chunks(dim)) {
            *score = scale * q.iter().zip(k).map(|(q, k)| q * k).sum::<f32>();
        }
        let max = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        let mut sum = 0.0;
        for score in scores.iter_mut() {
            *score = libm::expf(*score - max);
            sum += *score;
        }
        out.fill(0.0);
        for (p, v) in scores.iter().zip(values.chunks(dim)) {
            for (out, v) in out.iter_mut().zip(v) {
                *out += p / sum * v;
            }
        }
    }
}

/// Times a prompt: every query alone, and sixty-four together in both arithmetics.
fn prefill(dim: usize, causal: bool) {
    let attention = Attention::<f32>::new(1, 1, dim).unwrap();
    let [query, keys, values] = [1, 2, 3].map(|seed| uniform(PROMPT * dim, seed));
    let cache = Cache::<f32, _>::filled(1, dim, dim, &keys[..], &values[..]).unwrap();
    let visible = if causal {
        Visible::at(0)
    } else {
        Visible::all()
    };
    let run = |cpu: Cpu, together: usize, scratch: &mut [f32], out: &mut [f32]| {
        let len = attention.rows_scratch_len(PROMPT, together);
        attention
            .on(cpu)
            .attend_rows(&query, &cache, visible, &mut scratch[..len], out)
            .unwrap();
    };
    let scratch = || vec![0.0; attention.rows_scratch_len(PROMPT, 64)];
    let out = || vec![0.0; PROMPT * dim];
    let (mut want, mut scores) = (out(), vec![0.0; PROMPT]);
    let inputs = (&query[..], &keys[..], &values[..]);
    naive_prompt(inputs, dim, causal, &mut scores, &mut want);
    for cpu in [Cpu::default(), Cpu::fused()] {
        let mut got = out();
        run(cpu, 64, &mut scratch(), &mut got);
        let off = got.iter().zip(&want);
        let worst = off.fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-5, "wrong answer: off by {worst}");
    }

    // In units of the same number of operations, so that ratios compare.
    let pairs = if causal {
        PROMPT * (PROMPT + 1) / 2
    } else {
        PROMPT * PROMPT
    };
    let amount = 4 * pairs * dim;
    let turns = amount / PEAK;
    let buffers = || (scratch(), out());
    let (mut one, mut many, mut fused) = (buffers(), buffers(), buffers());
    let name = if causal { "causal" } else { "all" };
    in_turns(
        &format!("prefill d={dim} {name}, {PROMPT} tokens"),
        amount,
        "FLOP",
        &mut [
            ("multiply-add (roof)", &mut || {
                for _ in 0..turns {
                    // SAFETY: this benchmark is for processors with AVX2 and FMA.
                    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_unsafe))]
                    black_box(unsafe { peak() });
                }
            }),
            ("naive", &mut || {
                naive_prompt(inputs, dim, causal, &mut scores, black_box(&mut want));
            }),
            ("one by one", &mut || {
                run(Cpu::default(), 1, &mut one.0, black_box(&mut one.1));
            }),
            ("together", &mut || {
                run(Cpu::default(), 64, &mut many.0, black_box(&mut many.1));
            }),
            ("together, fused", &mut || {
                run(Cpu::fused(), 64, &mut fused.0, black_box(&mut fused.1));
            }),
        ],
    );
}

fn main() {
    for dim in [64, 128] {
        prefill(dim, false);
        prefill(dim, true);
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for tokens in [1024, 4096, 16_384] {
        decode::<f32>(&mut criterion, tokens);
        decode::<F16>(&mut criterion, tokens);
    }
    criterion.final_summary();
}
