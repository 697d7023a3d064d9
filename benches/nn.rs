//! Matrix-vector products beside the speed of memory and the naive form: `cd benches && cargo bench --bench nn`.
//!
//! Every answer is checked before it is timed. The roof is a plain vectorized sum over the same bytes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use suanzi::Cpu;
use suanzi::nn::Matrix;
use suanzi::storage::F16;
use suanzi_benches::{Kept, in_turns, uniform};

const COLUMNS: usize = 4096;
/// The bytes of a matrix that no cache holds, and of one that the second cache does.
const SIZES: [(&str, usize); 2] = [("memory", 128 << 20), ("cache", 256 << 10)];

/// The definition, one sum after the other.
fn naive<W: Kept>(weights: &[W], x: &[f32], y: &mut [f32]) {
    for (y, row) in y.iter_mut().zip(weights.chunks_exact(COLUMNS)) {
        *y = row.iter().zip(x).map(|(w, x)| w.value() * x).sum();
    }
}

/// Times the products of one number type.
fn products<W: Kept>(criterion: &mut Criterion) {
    for (place, bytes) in SIZES {
        let len = bytes / size_of::<W>();
        let rows = len / COLUMNS;
        let weights: Vec<W> = uniform(len, 1).into_iter().map(W::keep).collect();
        let matrix = Matrix::<W>::new(rows, COLUMNS, &weights).unwrap();
        let fused = matrix.on(Cpu::fused());
        let (x, long) = (uniform(COLUMNS, 2), uniform(rows, 3));
        let (mut y, mut z) = (vec![0.0; rows], vec![0.0; COLUMNS]);
        let mut want = vec![0.0; rows];
        naive(&weights, &x, &mut want);
        matrix.multiply(&x, &mut y).unwrap();
        let scale = want.iter().fold(1.0_f32, |scale, y| scale.max(y.abs()));
        let worst = y
            .iter()
            .zip(&want)
            .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(
            worst < 1e-4 * scale,
            "wrong answer: off by {worst} of {scale}"
        );

        let title = format!("{rows} x {COLUMNS} {} from {place}", W::NAME);
        let mut again = y.clone();
        in_turns(
            &title,
            bytes,
            "B",
            &mut [
                ("sum (roof)", &mut || {
                    black_box(W::sum(black_box(&weights)));
                }),
                ("W x", &mut || {
                    matrix.multiply(black_box(&x), &mut y).unwrap()
                }),
                ("W x, fused", &mut || {
                    fused.multiply(black_box(&x), &mut again).unwrap()
                }),
                ("x W", &mut || {
                    matrix
                        .multiply_transposed(black_box(&long), &mut z)
                        .unwrap()
                }),
            ],
        );
        let mut group = criterion.benchmark_group(format!("{} from {place}", W::NAME));
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("sum (roof)", rows), |b| {
            b.iter(|| W::sum(black_box(&weights)));
        });
        group.bench_function(BenchmarkId::new("W x", rows), |b| {
            b.iter(|| matrix.multiply(black_box(&x), black_box(&mut y)));
        });
        group.bench_function(BenchmarkId::new("W x, fused", rows), |b| {
            b.iter(|| fused.multiply(black_box(&x), black_box(&mut y)));
        });
        group.bench_function(BenchmarkId::new("x W", rows), |b| {
            b.iter(|| matrix.multiply_transposed(black_box(&long), black_box(&mut z)));
        });
        group.bench_function(BenchmarkId::new("naive", rows), |b| {
            b.iter(|| naive(black_box(&weights), black_box(&x), black_box(&mut y)));
        });
        group.finish();
    }
}

fn all(criterion: &mut Criterion) {
    products::<f32>(criterion);
    products::<F16>(criterion);
    products::<i8>(criterion);
}

criterion_group!(benches, all);
criterion_main!(benches);
