//! Rotary position encoding beside a plain scale-and-copy of the same bytes and the naive form.
//!
//! `cd benches && cargo bench --bench position`; `SUANZI_LEVEL=Avx2` forces a level. Each answer is checked first.

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use suanzi::position::{Base, HeadLayout, Pairing, Rope, RopeTable};
use suanzi::{Cpu, Level};
use suanzi_benches::{Aligned, in_turns};

const HEADS: usize = 32;
const HEAD_DIM: usize = 128;
const PAIRS: usize = HEAD_DIM / 2;
const BASE: f64 = 10_000.0;

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

/// Rotates as a first version would: a power, a sine and a cosine a pair, all in `f32`.
fn naive(first: usize, pairing: Pairing, x: &[f32], out: &mut [f32]) {
    for (token, (x, out)) in x
        .chunks_exact(HEADS * HEAD_DIM)
        .zip(out.chunks_exact_mut(HEADS * HEAD_DIM))
        .enumerate()
    {
        for i in 0..PAIRS {
            let theta = libm::powf(BASE as f32, -2.0 * i as f32 / HEAD_DIM as f32);
            let angle = (first + token) as f32 * theta;
            let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
            let (a, b) = match pairing {
                Pairing::HalfSplit => (i, i + PAIRS),
                Pairing::Interleaved => (2 * i, 2 * i + 1),
            };
            for head in 0..HEADS {
                let (a, b) = (head * HEAD_DIM + a, head * HEAD_DIM + b);
                out[a] = x[a] * cos - x[b] * sin;
                out[b] = x[b] * cos + x[a] * sin;
            }
        }
    }
}

/// Multiplies by a constant on the way: the least that a pass over these bytes costs.
fn scale_and_copy(scale: f32, x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x * scale;
    }
}

fn rotation(c: &mut Criterion) {
    let cpu = executor();
    println!("executor: {:?}", cpu.level());
    for tokens in [1_usize, 64, 4096] {
        let len = tokens * HEADS * HEAD_DIM;
        let x: Vec<f32> = (0..len)
            .map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0)
            .collect();
        let mut out = vec![0.0_f32; len];
        let mut group = c.benchmark_group(format!("rotate {tokens} tokens"));
        group.throughput(Throughput::Bytes(8 * len as u64));
        group.bench_function("scale and copy", |b| {
            b.iter(|| scale_and_copy(black_box(1.5), black_box(&x), black_box(&mut out)));
        });
        let mut y = x.clone();
        group.bench_function("scale in place", |b| {
            b.iter(|| {
                let factor = black_box(-1.0);
                black_box(&mut y).iter_mut().for_each(|y| *y *= factor);
            });
        });
        for pairing in [Pairing::HalfSplit, Pairing::Interleaved] {
            let layout = HeadLayout::new(HEAD_DIM, pairing).expect("a layout");
            let rope = Rope::<f32, _>::new(layout, &Base::new(BASE).expect("a base"), [0; PAIRS])
                .expect("an encoding");
            let rope = rope.on(cpu);
            let mut rows = Aligned::new(&vec![0.0; tokens * HEAD_DIM]);
            let table = RopeTable::new(&rope, 0, &mut rows[..]).expect("a table");
            let positions = 0..tokens as i32;
            table
                .rotate_each_into(positions.clone(), &x, &mut out)
                .expect("a rotation");
            let mut expected = vec![0.0; len];
            naive(0, pairing, &x, &mut expected);
            let error = out
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(
                error < 1e-3,
                "{pairing:?}: differs from the naive form by {error}"
            );

            let from = Aligned::new(&x);
            let [mut scaled, mut turned, mut copy, mut into] = [(); 4].map(|()| Aligned::new(&x));
            in_turns(
                &format!("{pairing:?}, {tokens} tokens"),
                8 * len,
                "B",
                &mut [
                    ("scale and copy (roof)", &mut || {
                        scale_and_copy(black_box(1.5), black_box(&from), &mut copy);
                    }),
                    ("table into", &mut || {
                        table
                            .rotate_each_into(positions.clone(), black_box(&from), &mut into)
                            .expect("a rotation");
                    }),
                ],
            );
            in_turns(
                &format!("{pairing:?}, {tokens} tokens, in place"),
                8 * len,
                "B",
                &mut [
                    ("scale (roof)", &mut || {
                        let factor = black_box(-1.0);
                        black_box(&mut scaled).iter_mut().for_each(|y| *y *= factor);
                    }),
                    ("table in place", &mut || {
                        table
                            .rotate_each(positions.clone(), black_box(&mut turned))
                            .expect("a rotation");
                    }),
                ],
            );
            group.bench_function(
                BenchmarkId::new("table into", format!("{pairing:?}")),
                |b| {
                    b.iter(|| {
                        table.rotate_each_into(
                            positions.clone(),
                            black_box(&x),
                            black_box(&mut out),
                        )
                    });
                },
            );
            let mut y = x.clone();
            group.bench_function(
                BenchmarkId::new("table in place", format!("{pairing:?}")),
                |b| {
                    b.iter(|| table.rotate_each(positions.clone(), black_box(&mut y)));
                },
            );
            group.bench_function(
                BenchmarkId::new("on the fly", format!("{pairing:?}")),
                |b| {
                    b.iter(|| rope.rotate_each(positions.clone(), black_box(&mut y)));
                },
            );
            if tokens <= 64 {
                group.bench_function(
                    BenchmarkId::new("naive libm", format!("{pairing:?}")),
                    |b| {
                        b.iter(|| naive(0, pairing, black_box(&x), black_box(&mut out)));
                    },
                );
            }
        }
        group.finish();
    }
}

/// Fills rows by the usual recipe, angles as products in `f32`, with the sines and cosines of `wide`.
fn recipe(frequencies: &[f32; PAIRS], out: &mut [f32]) {
    use wide::f32x8;
    for (position, row) in out.chunks_exact_mut(HEAD_DIM).enumerate() {
        let (cos, sin) = row.split_at_mut(PAIRS);
        let at = f32x8::splat(position as f32);
        let places = cos.as_chunks_mut().0.iter_mut().zip(sin.as_chunks_mut().0);
        for (theta, (cos, sin)) in frequencies.as_chunks().0.iter().zip(places) {
            let (s, c) = (f32x8::new(*theta) * at).sin_cos();
            (*sin, *cos) = (s.to_array(), c.to_array());
        }
    }
}

/// The table of a context of 32768, in the same run as the usual recipe.
fn long_table(_: &mut Criterion) {
    const POSITIONS: usize = 32_768;
    let layout = HeadLayout::new(HEAD_DIM, Pairing::HalfSplit).expect("a layout");
    let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; PAIRS])
        .expect("an encoding")
        .on(executor());
    let storage = vec![0.0; POSITIONS * HEAD_DIM];
    let mut table = RopeTable::new(&rope, 0, storage).expect("a table");
    let mut turning = table.clone();
    turning.fill_by_rotor(&rope, 0).expect("a table");
    let frequencies: [f32; PAIRS] =
        core::array::from_fn(|i| BASE.powf(-2.0 * i as f64 / HEAD_DIM as f64) as f32);
    let mut out = vec![0.0_f32; POSITIONS * HEAD_DIM];
    recipe(&frequencies, &mut out);
    let (mut ours, mut rotor, mut theirs) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (position, row) in out.chunks_exact(HEAD_DIM).enumerate() {
        let (cos, sin) = table.row(position as i32).expect("a row");
        for (i, pair) in cos.iter().zip(sin).enumerate() {
            let angle = position as f64 * BASE.powf(-2.0 * i as f64 / HEAD_DIM as f64);
            let error = |(c, s): (&f32, &f32)| {
                let (sin, cos) = angle.sin_cos();
                (f64::from(*c) - cos).abs().max((f64::from(*s) - sin).abs())
            };
            ours = ours.max(error(pair));
            let (cos, sin) = turning.row(position as i32).expect("a row");
            rotor = rotor.max(error((&cos[i], &sin[i])));
            theirs = theirs.max(error((&row[i], &row[PAIRS + i])));
        }
    }
    println!("largest error: fill {ours:.2e}, by rotor {rotor:.2e}, usual recipe {theirs:.2e}");
    assert!(ours < 6e-8 && rotor < 3.1e-8, "a bound is broken");
    in_turns(
        "table of 32768 positions, 64 pairs",
        POSITIONS * PAIRS,
        "pair",
        &mut [
            ("f32 recipe with wide", &mut || {
                recipe(black_box(&frequencies), black_box(&mut out));
            }),
            ("fill", &mut || {
                table.fill(black_box(&rope), black_box(0)).expect("a table");
            }),
            ("fill by rotor", &mut || {
                let filled = turning.fill_by_rotor(black_box(&rope), black_box(0));
                filled.expect("a table");
            }),
        ],
    );
}

fn table(c: &mut Criterion) {
    let layout = HeadLayout::new(HEAD_DIM, Pairing::HalfSplit).expect("a layout");
    let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; PAIRS])
        .expect("an encoding")
        .on(executor());
    let mut table = RopeTable::new(&rope, 0, vec![0.0; 1024 * HEAD_DIM]).expect("a table");
    let mut group = c.benchmark_group("table of 1024 positions");
    group.throughput(Throughput::Elements(1024 * PAIRS as u64));
    group.bench_function("fill", |b| b.iter(|| table.fill(black_box(&rope), 100_000)));
    let mut out = vec![0.0_f32; 1024 * HEAD_DIM];
    group.bench_function("fill, naive libm", |b| {
        b.iter(|| {
            for (position, row) in out.chunks_exact_mut(HEAD_DIM).enumerate() {
                let (cos, sin) = row.split_at_mut(PAIRS);
                for (i, (cos, sin)) in cos.iter_mut().zip(sin).enumerate() {
                    let theta = libm::powf(BASE as f32, -2.0 * i as f32 / HEAD_DIM as f32);
                    let angle = (position + 100_000) as f32 * theta;
                    (*sin, *cos) = (libm::sinf(angle), libm::cosf(angle));
                }
            }
        });
    });
    group.bench_function("frequencies", |b| {
        b.iter(|| Rope::<f32, _>::new(layout, black_box(&Base::default()), [0; PAIRS]));
    });
    group.finish();
}

criterion_group!(benches, long_table, rotation, table);
criterion_main!(benches);
