//! Patches of images beside a plain copy of as many bytes, and beside the definition: `cd benches && cargo
//! bench --bench patch`.
//!
//! Every answer is checked before it is timed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use suanzi::patch::{Channels, Patches};
use suanzi_benches::in_turns;

/// Side of the image, side of a patch, channels.
const SHAPES: [[usize; 3]; 4] = [[224, 16, 3], [224, 14, 3], [1024, 16, 3], [256, 4, 3]];

/// The definition, element by element, from patches to pixels.
fn naive<X: Copy>(patches: &Patches, image: &[X], out: &mut [X]) {
    let len = patches.patch_len();
    for (n, out) in out.chunks_exact_mut(len).enumerate() {
        for (f, out) in out.iter_mut().enumerate() {
            *out = image[patches.index(n, f).unwrap()];
        }
    }
}

/// Times the patches of one element type.
fn of_type<X: Copy + PartialEq + Default>(
    criterion: &mut Criterion,
    name: &str,
    from: impl Fn(usize) -> X,
) {
    for [side, patch, channels] in SHAPES {
        for (layout, image, token) in [
            ("channels last", Channels::Last, Channels::Last),
            ("channels first", Channels::First, Channels::First),
            ("from planes", Channels::First, Channels::Last),
            ("to planes", Channels::Last, Channels::First),
        ] {
            let patches = Patches::new([side, side, channels], [patch, patch])
                .unwrap()
                .with_channels(image, token);
            let x: Vec<X> = (0..patches.image_len()).map(&from).collect();
            let mut y = vec![X::default(); x.len()];
            let (mut z, mut want) = (y.clone(), y.clone());
            naive(&patches, &x, &mut want);
            patches.patchify(&x, &mut y).unwrap();
            patches.unpatchify(&y, &mut z).unwrap();
            assert!(y == want && z == x, "wrong answer");
            let bytes = size_of_val(&x[..]);
            let title =
                format!("{side} x {side} x {channels}, {patch} x {patch}, {name}, {layout}");
            let tokens = y.clone();
            in_turns(
                &title,
                bytes,
                "B",
                &mut [
                    ("copy", &mut || {
                        black_box(&mut want[..]).copy_from_slice(black_box(&x))
                    }),
                    ("patchify", &mut || {
                        patches.patchify(black_box(&x), black_box(&mut y)).unwrap()
                    }),
                    ("unpatchify", &mut || {
                        patches
                            .unpatchify(black_box(&tokens), black_box(&mut z))
                            .unwrap()
                    }),
                ],
            );
            let mut group = criterion.benchmark_group(title);
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(BenchmarkId::new("copy", side), |b| {
                b.iter(|| black_box(&mut want[..]).copy_from_slice(black_box(&x)));
            });
            group.bench_function(BenchmarkId::new("patchify", side), |b| {
                b.iter(|| patches.patchify(black_box(&x), black_box(&mut y)));
            });
            group.bench_function(BenchmarkId::new("naive", side), |b| {
                b.iter(|| naive(&patches, black_box(&x), black_box(&mut want)));
            });
            group.finish();
        }
    }
}

fn all(criterion: &mut Criterion) {
    of_type(criterion, "u8", |i| i as u8);
    of_type(criterion, "f32", |i| i as f32);
}

criterion_group!(benches, all);
criterion_main!(benches);
