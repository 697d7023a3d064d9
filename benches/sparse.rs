//! Sparsemax, entmax, normmax, top-k softmax and soft top-k beside the softmax: `cd benches && cargo bench --bench sparse`.
//!
//! Every answer is checked before it is timed: by the conditions of the optimum, or by sorting. Ratios are
//! in turns with this crate's own softmax of the same row, and beside the sorting forms that one would write. The
//! rows called equal, decaying and close have every element in the support, or near it.

use core::hint::black_box;
use core::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use suanzi::Cpu;
use suanzi::probability::{
    Entmax, Inclusion, Logits, Normmax, ProbabilityMap, SoftTopK, Softmax, SparseSoftmax, Sparsemax,
};
use suanzi_benches::{in_turns, logits};

const LENGTHS: [usize; 4] = [128, 1024, 4096, 128_256];

/// The rows that are tried.
fn rows(n: usize) -> [(&'static str, Vec<f32>); 4] {
    let decaying = (0..n).map(|i| -(i as f32) / n as f32).collect();
    let close = (0..n)
        .map(|i| (i * 7919 % n) as f32 * 1e-3 / n as f32)
        .collect();
    [
        ("normal", logits(n)),
        ("equal", vec![0.3; n]),
        ("decaying", decaying),
        ("close", close),
    ]
}

/// Sparsemax by sorting (Held, Wolfe and Crowder, 1974).
fn sorted_sparsemax(x: &[f32], scratch: &mut Vec<f32>, y: &mut [f32]) {
    scratch.clear();
    scratch.extend_from_slice(x);
    scratch.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut tau) = (0.0, 0.0);
    for (k, &z) in (1..).zip(&*scratch) {
        sum += z;
        let next = (sum - 1.0) / k as f32;
        if next >= z {
            break;
        }
        tau = next;
    }
    for (y, x) in y.iter_mut().zip(x) {
        *y = (x - tau).max(0.0);
    }
}

/// The softmax of the k greatest by a partial sort.
fn selected_softmax(x: &[f32], k: usize, scratch: &mut Vec<f32>, y: &mut [f32]) {
    scratch.clear();
    scratch.extend_from_slice(x);
    let (_, &mut least, _) = scratch.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let mut sum = 0.0;
    for (y, &x) in y.iter_mut().zip(x) {
        *y = if x >= least { libm::expf(x - max) } else { 0.0 };
        sum += *y;
    }
    for y in y {
        *y /= sum;
    }
}

/// Maps a row.
fn run<M: ProbabilityMap<[f32]>>(map: &M, x: &[f32], y: &mut [f32]) {
    map.map(black_box(x), y).expect("lengths agree");
}

/// Stops the benchmark if p is no entmax of x.
fn check(name: &str, alpha: f64, x: &[f32], p: &[f32]) {
    let beta = alpha - 1.0;
    let sum: f64 = p.iter().map(|&p| f64::from(p)).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{name}: the sum is {sum}");
    let max = x.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x.into()));
    let tau = |x: f32, p: f32| beta * (f64::from(x) - max) - f64::from(p).powf(beta);
    let highest = x
        .iter()
        .zip(p)
        .map(|(&x, &p)| tau(x, p))
        .fold(f64::NEG_INFINITY, f64::max);
    for (&x, &p) in x.iter().zip(p).filter(|(_, p)| **p > 0.0) {
        assert!(
            (tau(x, p) - highest).abs() < 1e-5,
            "{name}: {} {highest}",
            tau(x, p)
        );
    }
}

fn entmax(c: &mut Criterion) {
    let mut group = c.benchmark_group("entmax");
    for n in LENGTHS {
        group.throughput(Throughput::Elements(n as u64));
        for (row, x) in rows(n) {
            let mut out = vec![vec![0.0; n]; 7];
            for (cpu, lanes) in [(Cpu::default(), ""), (Cpu::scalar(), ", one lane")] {
                let softmax = Softmax::default().on(cpu);
                let sparsemax = Sparsemax::default().on(cpu);
                let of = |alpha| {
                    Entmax::new(alpha, Logits::new())
                        .expect("in its domain")
                        .on(cpu)
                };
                let (half, quarter, steep, near) = (of(1.5), of(1.25), of(1.75), of(1.1));
                let [a, b, c, d, e, f, g] = &mut out[..] else {
                    return;
                };
                for (map, alpha) in [(of(2.0), 2.0), (half, 1.5), (quarter, 1.25), (steep, 1.75)] {
                    map.map(&x[..], &mut a[..]).expect("lengths agree");
                    check(row, alpha, &x, a);
                }
                let mut scratch = Vec::with_capacity(n);
                in_turns(
                    &format!("{n}, {row}{lanes}"),
                    n,
                    "elements",
                    &mut [
                        ("softmax", &mut || run(&softmax, &x, a)),
                        ("sparsemax", &mut || run(&sparsemax, &x, b)),
                        ("entmax 1.5", &mut || run(&half, &x, c)),
                        ("entmax 1.75", &mut || run(&steep, &x, d)),
                        ("entmax 1.25", &mut || run(&quarter, &x, e)),
                        ("entmax 1.1", &mut || run(&near, &x, g)),
                        ("sparsemax by sorting", &mut || {
                            sorted_sparsemax(black_box(&x), &mut scratch, f);
                        }),
                    ],
                );
            }
        }
        let (x, mut y) = (logits(n), vec![0.0; n]);
        group.bench_function(BenchmarkId::new("sparsemax", n), |b| {
            b.iter(|| Sparsemax::default().map(black_box(&x[..]), &mut y[..]));
        });
        group.bench_function(BenchmarkId::new("entmax 1.5", n), |b| {
            let map = Entmax::new(1.5, Logits::new()).expect("in its domain");
            b.iter(|| map.map(black_box(&x[..]), &mut y[..]));
        });
        // A batch, in place: the copy is part of each.
        let rows: Vec<f32> = x.iter().copied().cycle().take(64 * n.min(4096)).collect();
        let (mut a, mut b) = (rows.clone(), rows.clone());
        in_turns(
            &format!("64 rows of {}, in place", n.min(4096)),
            rows.len(),
            "elements",
            &mut [
                ("softmax", &mut || {
                    a.copy_from_slice(&rows);
                    Softmax::default()
                        .map_rows(black_box(&mut a[..]), n.min(4096))
                        .expect("whole rows");
                }),
                ("sparsemax", &mut || {
                    b.copy_from_slice(&rows);
                    Sparsemax::default()
                        .map_rows(black_box(&mut b[..]), n.min(4096))
                        .expect("whole rows");
                }),
            ],
        );
    }
}

fn top_k(c: &mut Criterion) {
    const K: usize = 50;
    let mut group = c.benchmark_group("top-k softmax");
    for n in LENGTHS {
        group.throughput(Throughput::Elements(n as u64));
        let x = logits(n);
        let [mut a, mut b, mut c, mut d] = [(); 4].map(|()| vec![0.0; n]);
        let mut scratch = Vec::new();
        let map = SparseSoftmax::new(Logits::new())
            .with_top_k(K)
            .expect("positive");
        map.map(&x[..], &mut a[..]).expect("lengths agree");
        selected_softmax(&x, K, &mut scratch, &mut b);
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= 1e-5 * b, "{a} {b}");
        }
        let nucleus = SparseSoftmax::new(Logits::new())
            .with_top_p(0.9)
            .expect("a share");
        in_turns(
            &format!("{K} of {n}"),
            n,
            "elements",
            &mut [
                ("softmax", &mut || run(&Softmax::default(), &x, &mut d)),
                ("top-k", &mut || run(&map, &x, &mut a)),
                ("top-p 0.9", &mut || run(&nucleus, &x, &mut c)),
                ("top-k by select_nth", &mut || {
                    selected_softmax(black_box(&x), K, &mut scratch, &mut b)
                }),
            ],
        );
        group.bench_function(BenchmarkId::new("top-k", n), |b| {
            b.iter(|| map.map(black_box(&x[..]), &mut a[..]));
        });
    }
}

/// Times the normmax and the soft top-k, which look at every element in each step of their search.
fn others() {
    const K: f32 = 50.0;
    for n in LENGTHS {
        let x = logits(n);
        let mut out = vec![vec![0.0; n]; 7];
        let [a, b, c, d, e, f, g] = &mut out[..] else {
            return;
        };
        let normmax = |alpha| Normmax::new(alpha, Logits::new()).expect("in its domain");
        let soft = |by| SoftTopK::new(K, by, Logits::new()).expect("in its domain");
        let (two, half) = (normmax(2.0), normmax(1.5));
        let [clamped, exponential, logistic, subsets] = [
            Inclusion::Clamped,
            Inclusion::Exponential,
            Inclusion::Logistic,
            Inclusion::Subsets,
        ]
        .map(soft);
        two.map(&x[..], &mut a[..]).expect("lengths agree");
        let sum: f32 = a.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "normmax: the sum is {sum}");
        for map in [&clamped, &exponential, &logistic, &subsets] {
            map.map(&x[..], &mut a[..]).expect("lengths agree");
            let sum: f64 = a.iter().map(|&p| f64::from(p)).sum();
            assert!((sum - f64::from(K)).abs() < 1e-3, "top-k: the sum is {sum}");
        }
        in_turns(
            &format!("soft maps, {n}, k = {K}"),
            n,
            "elements",
            &mut [
                ("softmax", &mut || run(&Softmax::default(), &x, a)),
                ("normmax 2", &mut || run(&two, &x, b)),
                ("normmax 1.5", &mut || run(&half, &x, c)),
                ("soft top-k, clamped", &mut || run(&clamped, &x, d)),
                ("soft top-k, exponential", &mut || run(&exponential, &x, e)),
                ("soft top-k, logistic", &mut || run(&logistic, &x, f)),
                ("soft top-k, subsets", &mut || run(&subsets, &x, g)),
            ],
        );
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    entmax(&mut criterion);
    top_k(&mut criterion);
    others();
    criterion.final_summary();
}
