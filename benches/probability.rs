//! Softmax, log-softmax and logsumexp beside their peers: `cd benches && cargo bench --bench probability`.
//!
//! Every function's answer is checked before it is timed. Peers run in the same process: the naive
//! three-pass form over `libm`, and rten-vecmath (on the widest instruction set that it finds). In a
//! plain build the compiler leaves calls in rten's inner loops, which makes it several times slower
//! than it can be; `RUSTFLAGS="-C target-cpu=native"` shows its best. Quote both.

use core::hint::black_box;
use core::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rten_simd::SimdOp;
use suanzi::Cpu;
use suanzi::probability::{LogSoftmax, LogSumExp, ProbabilityMap, Softmax};
use suanzi_benches::{in_turns, logits};

const LENGTHS: [usize; 5] = [128, 1024, 4096, 32_768, 128_256];

/// ln(sum exp(x)) in `f64`.
fn reference(x: &[f32]) -> f64 {
    let max = x.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x.into()));
    max + x
        .iter()
        .map(|&x| (f64::from(x) - max).exp())
        .sum::<f64>()
        .ln()
}

/// Stops the benchmark if `got` is further than `ulp` units from `want(x)`, of one at least.
fn check(name: &str, x: &[f32], got: &[f32], want: impl Fn(f64) -> f64, least: f64, ulp: f64) {
    let worst = x.iter().zip(got).fold(0.0_f64, |worst, (&x, &got)| {
        let want = want(x.into());
        let near = (want.abs().max(least) as f32).max(f32::MIN_POSITIVE);
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        worst.max((f64::from(got) - want).abs() / unit)
    });
    println!("{name}: {worst:.2} ULP at most");
    assert!(worst <= ulp, "{name}: {worst} ULP, allowed {ulp}");
}

fn naive(x: &[f32], y: &mut [f32]) {
    let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let mut sum = 0.0;
    for (x, y) in x.iter().zip(y.iter_mut()) {
        *y = libm::expf(x - max);
        sum += *y;
    }
    for y in y {
        *y /= sum;
    }
}

fn naive_log_sum_exp(x: &[f32]) -> f32 {
    let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    max + libm::logf(x.iter().map(|x| libm::expf(x - max)).sum())
}

/// The executors of this crate that are timed.
fn executors() -> [(&'static str, Cpu); 3] {
    [
        ("suanzi", Cpu::default()),
        ("suanzi fused", Cpu::fused()),
        ("suanzi one lane", Cpu::scalar()),
    ]
}

fn softmax(c: &mut Criterion) {
    let mut group = c.benchmark_group("softmax");
    for n in LENGTHS {
        let (x, mut y) = (logits(n), vec![0.0; n]);
        let lse = reference(&x);
        let want = |x: f64| (x - lse).exp();
        group.throughput(Throughput::Elements(n as u64));
        for (name, cpu) in executors() {
            let softmax = Softmax::default().on(cpu);
            softmax.map(&x[..], &mut y[..]).expect("lengths agree");
            check(&format!("{name} {n}"), &x, &y, want, 0.0, 3.0);
            group.bench_function(BenchmarkId::new(name, n), |b| {
                b.iter(|| softmax.map(black_box(&x[..]), black_box(&mut y[..])));
            });
        }
        let mut peer: Vec<f32> = Vec::with_capacity(n);
        let got = rten_vecmath::Softmax::new(&x, &mut peer.spare_capacity_mut()[..n]).dispatch();
        check(&format!("rten-vecmath {n}"), &x, got, want, 0.0, 1.0e3);
        group.bench_function(BenchmarkId::new("rten-vecmath", n), |b| {
            b.iter(|| {
                let out = &mut peer.spare_capacity_mut()[..n];
                black_box(rten_vecmath::Softmax::new(black_box(&x), out).dispatch());
            });
        });
        let (ours, fused) = (Softmax::default(), Softmax::default().on(Cpu::fused()));
        let (mut a, mut b) = (y.clone(), y.clone());
        in_turns(
            &format!("softmax of {n}"),
            n,
            "elements",
            &mut [
                ("rten-vecmath", &mut || {
                    let out = &mut peer.spare_capacity_mut()[..n];
                    black_box(rten_vecmath::Softmax::new(black_box(&x), out).dispatch());
                }),
                ("suanzi", &mut || {
                    ours.map(black_box(&x[..]), &mut a[..])
                        .expect("lengths agree")
                }),
                ("suanzi fused", &mut || {
                    fused
                        .map(black_box(&x[..]), &mut b[..])
                        .expect("lengths agree");
                }),
            ],
        );
        naive(&x, &mut y);
        check(&format!("naive {n}"), &x, &y, want, 0.0, 1.0e4);
        group.bench_function(BenchmarkId::new("naive libm", n), |b| {
            b.iter(|| naive(black_box(&x), black_box(&mut y)));
        });
    }
}

fn log_softmax(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_softmax");
    for n in LENGTHS {
        let (x, mut y) = (logits(n), vec![0.0; n]);
        let lse = reference(&x);
        group.throughput(Throughput::Elements(n as u64));
        for (name, cpu) in executors() {
            let map = LogSoftmax::default().on(cpu);
            map.map(&x[..], &mut y[..]).expect("lengths agree");
            check(&format!("{name} {n}"), &x, &y, |x| x - lse, 1.0, 3.0);
            group.bench_function(BenchmarkId::new(name, n), |b| {
                b.iter(|| map.map(black_box(&x[..]), black_box(&mut y[..])));
            });
        }
        let mut peer: Vec<f32> = Vec::with_capacity(n);
        let got = rten_vecmath::LogSoftmax::new(&x, &mut peer.spare_capacity_mut()[..n]).dispatch();
        check(
            &format!("rten-vecmath {n}"),
            &x,
            got,
            |x| x - lse,
            1.0,
            1.0e3,
        );
        let ours = LogSoftmax::default();
        in_turns(
            &format!("log-softmax of {n}"),
            n,
            "elements",
            &mut [
                ("rten-vecmath", &mut || {
                    let out = &mut peer.spare_capacity_mut()[..n];
                    black_box(rten_vecmath::LogSoftmax::new(black_box(&x), out).dispatch());
                }),
                ("suanzi", &mut || {
                    ours.map(black_box(&x[..]), &mut y[..])
                        .expect("lengths agree")
                }),
            ],
        );
        group.bench_function(BenchmarkId::new("rten-vecmath", n), |b| {
            b.iter(|| {
                let out = &mut peer.spare_capacity_mut()[..n];
                black_box(rten_vecmath::LogSoftmax::new(black_box(&x), out).dispatch());
            });
        });
    }
}

fn log_sum_exp(c: &mut Criterion) {
    let mut group = c.benchmark_group("logsumexp");
    for n in LENGTHS {
        let x = logits(n);
        let lse = reference(&x);
        group.throughput(Throughput::Elements(n as u64));
        for (name, cpu) in executors() {
            let reduce = LogSumExp::default().on(cpu);
            let got = reduce.reduce(&x).expect("no mask");
            check(&format!("{name} {n}"), &[0.0], &[got], |_| lse, 1.0, 3.0);
            group.bench_function(BenchmarkId::new(name, n), |b| {
                b.iter(|| reduce.reduce(black_box(&x)));
            });
        }
        let ours = LogSumExp::default();
        in_turns(
            &format!("logsumexp of {n}"),
            n,
            "elements",
            &mut [
                ("rten-vecmath", &mut || {
                    let max = rten_vecmath::MaxNum::new(black_box(&x)).dispatch();
                    black_box(max + rten_vecmath::SumExpSub::new(&x, max).dispatch().ln());
                }),
                ("suanzi", &mut || {
                    black_box(ours.reduce(black_box(&x)).expect("no mask"));
                }),
            ],
        );
        group.bench_function(BenchmarkId::new("rten-vecmath", n), |b| {
            b.iter(|| {
                let max = rten_vecmath::MaxNum::new(black_box(&x)).dispatch();
                max + rten_vecmath::SumExpSub::new(&x, max).dispatch().ln()
            });
        });
        group.bench_function(BenchmarkId::new("naive libm", n), |b| {
            b.iter(|| naive_log_sum_exp(black_box(&x)));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    softmax(&mut criterion);
    log_softmax(&mut criterion);
    log_sum_exp(&mut criterion);
    criterion.final_summary();
}
