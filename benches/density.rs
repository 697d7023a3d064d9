//! Fourier densities beside the naive loop: densities, cumulatives, quantiles, tables and fits.
//!
//! `cd benches && cargo bench --bench density -- nothing` prints the ratios alone. Each answer is checked first.

use core::f64::consts::PI;
use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use suanzi::Cpu;
use suanzi::density::{Bins, CoderTable, Density1d, Domain, Fit, FourierDensity, Sample};
use suanzi_benches::{in_turns, logits, uniform};

/// Points of a batch, and how many of them go through the slower functions.
const POINTS: usize = 1_000_000;
const FEW: usize = 256;

/// The naive density: cosines and sines from the first power, then Horner, point by point.
fn naive_density(a: &[f32], x: &[f32], out: &mut [f32]) {
    let energy: f32 = a.iter().map(|a| a * a).sum();
    for (&x, out) in x.iter().zip(out) {
        let (sin, cos) = libm::sincosf(-(PI as f32) * x);
        let (mut re, mut im) = (0.0_f32, 0.0_f32);
        for a in a.chunks_exact(2).rev() {
            (re, im) = (re * cos - im * sin + a[0], re * sin + im * cos + a[1]);
        }
        *out = (re * re + im * im) / (2.0 * energy);
    }
}

/// The naive cumulative: the article's sum over c_n, with the powers by a rotor.
fn naive_cumulative(c: &[(f32, f32)], x: &[f32], out: &mut [f32]) {
    for (&x, out) in x.iter().zip(out) {
        let (sin, cos) = libm::sincosf(PI as f32 * x);
        let (mut re, mut im) = (1.0_f32, 0.0_f32);
        let mut sum = (x + 1.0) / 2.0;
        for (n, &(a, b)) in c.iter().enumerate().skip(1) {
            (re, im) = (re * cos - im * sin, re * sin + im * cos);
            let end = if n % 2 == 0 { 1.0 } else { -1.0 };
            sum += (a * im + b * (re - end)) / (PI as f32 * n as f32);
        }
        *out = sum;
    }
}

fn coefficients(count: usize) -> Vec<f32> {
    uniform(2 * count, 3)
}

fn evaluation(c: &mut Criterion) {
    let x = uniform(POINTS, 5);
    for frequencies in [16, 60] {
        let a = coefficients(frequencies + 1);
        let storage = vec![0.0; FourierDensity::<f32, Vec<f32>>::storage_len(a.len() / 2)];
        let density = FourierDensity::new(Domain::unit(), &a, storage).expect("a density");
        let fused = density.clone().on(Cpu::fused());
        let series: Vec<_> = (0..=frequencies)
            .map(|n| density.characteristic(n))
            .collect();

        let [mut naive, mut own, mut other] = [(); 3].map(|()| vec![0.0; POINTS]);
        naive_density(&a, &x, &mut naive);
        density.density_into(&x, &mut own).expect("lengths");
        let error = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        assert!(
            error(&naive, &own) < 1e-3,
            "the density differs from the naive one"
        );
        in_turns(
            &format!("density, {frequencies} frequencies"),
            POINTS,
            "points",
            &mut [
                ("naive", &mut || {
                    naive_density(black_box(&a), &x, &mut naive)
                }),
                ("default", &mut || {
                    density
                        .density_into(black_box(&x), &mut own)
                        .expect("lengths")
                }),
                ("fused", &mut || {
                    fused
                        .density_into(black_box(&x), &mut other)
                        .expect("lengths")
                }),
            ],
        );
        naive_cumulative(&series, &x, &mut naive);
        density.cumulative_into(&x, &mut own).expect("lengths");
        assert!(
            error(&naive, &own) < 1e-3,
            "the cumulative differs from the naive one"
        );
        let mut densities = vec![0.0; POINTS];
        in_turns(
            &format!("cumulative, {frequencies} frequencies"),
            POINTS,
            "points",
            &mut [
                ("naive", &mut || {
                    naive_cumulative(black_box(&series), &x, &mut naive)
                }),
                ("default", &mut || {
                    density
                        .cumulative_into(black_box(&x), &mut own)
                        .expect("lengths")
                }),
                ("fused", &mut || {
                    fused
                        .cumulative_into(black_box(&x), &mut other)
                        .expect("lengths")
                }),
                ("density (default)", &mut || {
                    density
                        .density_into(black_box(&x), &mut densities)
                        .expect("lengths")
                }),
            ],
        );

        let u: Vec<f32> = (0..FEW).map(|i| (i as f32 + 0.5) / FEW as f32).collect();
        let [mut y, mut bisected] = [(); 2].map(|()| vec![0.0; FEW]);
        density.quantile_into(&u, &mut y).expect("lengths");
        let bisect = |u: f32| {
            let (mut low, mut high) = (-1.0_f32, 1.0_f32);
            for _ in 0..24 {
                let middle = (low + high) / 2.0;
                let mut at = [0.0];
                naive_cumulative(&series, &[middle], &mut at);
                if at[0] < u {
                    low = middle
                } else {
                    high = middle
                }
            }
            low
        };
        for (&u, bisected) in u.iter().zip(&mut bisected) {
            *bisected = bisect(u);
        }
        assert!(
            error(&y, &bisected) < 0.02,
            "the quantile differs from the naive one"
        );
        in_turns(
            &format!("quantile, {frequencies} frequencies"),
            FEW,
            "points",
            &mut [
                ("naive bisection", &mut || {
                    for (&u, y) in black_box(&u).iter().zip(&mut bisected) {
                        *y = bisect(u);
                    }
                }),
                ("right to the last place", &mut || {
                    density
                        .quantile_into(black_box(&u), &mut y)
                        .expect("lengths")
                }),
            ],
        );

        let bins = Bins {
            start: -1.0,
            width: 2.0 / 256.0,
            symbols: 256,
        };
        let mut entries = [0; 257];
        let table = CoderTable::new(&density, bins, 16, &mut entries[..]).expect("a table");
        assert_eq!(table.frequencies().map(u64::from).sum::<u64>(), 1 << 16);
        let mut group = c.benchmark_group(format!("{frequencies} frequencies"));
        group.bench_function("table of 256 symbols", |b| {
            b.iter(|| CoderTable::new(&density, bins, 16, black_box(&mut entries[..])).map(|_| ()));
        });
        group.throughput(Throughput::Elements(POINTS as u64));
        group.sample_size(10);
        group.bench_function("density", |b| {
            b.iter(|| density.density_into(black_box(&x), &mut own))
        });
        group.bench_function("cumulative", |b| {
            b.iter(|| density.cumulative_into(black_box(&x), &mut own))
        });
        group.finish();
    }
}

fn fit(c: &mut Criterion) {
    // Two bells.
    let data: Vec<f64> = logits(1000)
        .iter()
        .enumerate()
        .map(|(i, &x)| f64::from(x) / 4.0 + if i % 3 == 0 { -2.0 } else { 1.0 })
        .collect();
    let sample = Sample::new(&data).expect("data");
    let (mean, deviation) = sample.moments();
    let fit = Fit::new(Domain::line(mean, 2.0 * deviation).expect("a domain"));
    let mut parameters = [0.0; 32];
    let mut scratch = vec![0.0; Fit::<f64>::scratch_len(16)];
    let mut run = |parameters: &mut [f64]| {
        let mut state = 1_u32;
        let words = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        fit.run(sample, words, parameters, &mut scratch, |_| ())
    };
    let end = run(&mut parameters).expect("it converges");
    let normal = 0.5 * (1.0 + (2.0 * PI).ln()) + deviation.ln();
    assert!(
        end.value < normal - 0.02,
        "the fit is no better than a normal density"
    );
    println!(
        "fit of 1000 points, 16 coefficients: {} evaluations",
        end.evaluations
    );
    c.bench_function("fit of 1000 points, 16 coefficients", |b| {
        b.iter(|| run(black_box(&mut parameters)));
    });
}

criterion_group!(benches, evaluation, fit);
criterion_main!(benches);
