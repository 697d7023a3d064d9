//! The device against the processor: the same bits in the portable order, the same bounds in the fused.
//!
//! A device is looked for where the variable `SUANZI_LIBCUDA` names a driver, the emulation of
//! `gpu/emulation` for one, or where the system has its own. Without one each test says that it is
//! skipped; with `REQUIRE_GPU=1` it fails instead. `QUICK=1` leaves the largest sizes out.
#![cfg(all(feature = "cuda", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
#[path = "bits/hash.rs"]
mod hash;
mod reference;

use accuracy::{bound32, ulps};
use hash::{Case, Fnv, expected};
use reference::probability as definition;
use suanzi::gpu::{DeviceSlice, Element, Gpu, Kept};
use suanzi::mixer::{Attention, Cache};
use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope};
use suanzi::probability::{LogSoftmax, ProbabilityMap, Softmax};
use suanzi::storage::{Bf16, Stored};
use suanzi::{Cpu, Error};

/// Returns the device, or says that there is none.
fn gpu() -> Option<Gpu> {
    match Gpu::open(0) {
        Ok(gpu) => Some(gpu),
        Err(why) => {
            let required = std::env::var_os("REQUIRE_GPU").is_some();
            assert!(!required, "a device is required: {why}");
            println!("SKIPPED: {why}");
            None
        }
    }
}

fn is_quick() -> bool {
    std::env::var_os("QUICK").is_some()
}

/// Numbers between -1 and 1, the same in every run.
fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn host<T: Element + Default>(x: &DeviceSlice<T>) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    x.copy_to(&mut out).unwrap();
    out
}

#[track_caller]
fn assert_bits(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            got.to_bits() == want.to_bits(),
            "{name}: element {i} is {got:e} ({:08x}), not {want:e} ({:08x})",
            got.to_bits(),
            want.to_bits()
        );
    }
}

/// Row lengths around every boundary of the kernels.
fn lengths() -> Vec<usize> {
    let mut lengths: Vec<usize> = (1..=33).collect();
    lengths.extend([127, 128, 129, 255, 256, 257, 1000, 1024, 4096, 4099, 8200]);
    if !is_quick() {
        lengths.extend([20_000, 60_001, 128_256]);
    }
    lengths
}

/// Rows of several kinds, `row` elements each.
fn rows(row: usize) -> Vec<(&'static str, Vec<f32>)> {
    let plain: Vec<f32> = uniform(3 * row, 7).iter().map(|x| 12.0 * x).collect();
    let with = |places: &[(usize, f32)]| {
        let mut x = plain.clone();
        for &(i, value) in places {
            let len = x.len();
            x[i % len] = value;
        }
        x
    };
    let mut kinds = vec![
        ("plain", plain.clone()),
        ("equal", vec![3.5; 2 * row]),
        ("huge", plain.iter().map(|x| 1e37 * x).collect()),
        ("tiny", plain.iter().map(|x| 1e-40 * x).collect()),
        ("far apart", plain.iter().map(|x| 40.0 * x).collect()),
        ("minus infinity", vec![f32::NEG_INFINITY; row]),
    ];
    kinds.push(("one NaN", with(&[(row / 2, f32::NAN)])));
    kinds.push(("one minus infinity", with(&[(0, f32::NEG_INFINITY)])));
    kinds.push((
        "two plus infinities",
        with(&[(0, f32::INFINITY), (row - 1, f32::INFINITY)]),
    ));
    kinds
}

/// Compares a map of the device with the processor's, in place and out of place.
fn assert_map<G, C>(gpu: Gpu, device: &G, processor: &C)
where
    G: ProbabilityMap<DeviceSlice<f32>>,
    C: ProbabilityMap<[f32]>,
{
    for row in lengths() {
        for (kind, x) in rows(row) {
            let name = format!("{kind}, rows of {row}");
            let mut want = x.clone();
            processor.map_rows(&mut want, row).unwrap();
            let mut on_device = DeviceSlice::from_host(gpu, &x).unwrap();
            device.map_rows(&mut on_device, row).unwrap();
            assert_bits(&name, &host(&on_device), &want);
        }
        let x = uniform(row, 5);
        let mut want = vec![0.0; row];
        processor.map(&x, &mut want).unwrap();
        let from = DeviceSlice::from_host(gpu, &x).unwrap();
        let mut to = DeviceSlice::zeroed(gpu, row).unwrap();
        device.map(&from, &mut to).unwrap();
        assert_bits("out of place", &host(&to), &want);
        assert_bits("the source", &host(&from), &x);
    }
    let mut none = DeviceSlice::<f32>::zeroed(gpu, 0).unwrap();
    device.map_in_place(&mut none).unwrap();
    device.map_rows(&mut none, 0).unwrap();
}

#[test]
fn softmax_has_the_bits_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    let softmax = Softmax::default();
    assert_map(gpu, &softmax.on(gpu), &softmax.on(Cpu::default()));
}

#[test]
fn log_softmax_has_the_bits_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    let map = LogSoftmax::default();
    assert_map(gpu, &map.on(gpu), &map.on(Cpu::default()));
}

/// Returns the operand x of `tests/bits/cases.rs`.
fn operand(n: usize) -> Vec<f32> {
    let mut state = 2026_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 33
    };
    let x = (0..n).map(|_| {
        let x = (next() >> 40) as i32 - (1 << 23);
        // Two other operands lie between.
        next();
        next();
        x as f32 / (1 << 20) as f32
    });
    x.collect()
}

/// Compares what `run` writes at every length of a line with the file that all processors share.
fn assert_hash(
    operation: &'static str,
    (from, to): (usize, usize),
    run: impl Fn(usize) -> [Vec<f32>; 2],
) {
    let mut hash = Fnv::new();
    for n in from..=to {
        for written in run(n) {
            let len = written.iter().rposition(|x| x.to_bits() != 0);
            let len = len.map_or(0, |last| last + 1);
            hash.write(len as u64);
            for x in &written[..len] {
                hash.write(x.to_bits().into());
            }
        }
    }
    let number = "f32";
    let case = Case {
        operation,
        number,
        from,
        to,
    };
    let file = include_str!("bits.txt");
    assert_eq!(Some(hash.finish()), expected(file, case), "{case:?}");
}

#[test]
fn the_device_has_the_hashes_of_every_processor() {
    let Some(gpu) = gpu() else { return };
    let x = operand(128_256);
    let softmax = Softmax::default().on(gpu);
    let longest = if is_quick() { 4096 } else { 128_256 };
    for range in [(0, 33), (1000, 1000), (4096, 4096), (longest, longest)] {
        assert_hash("softmax", range, |n| {
            let from = DeviceSlice::from_host(gpu, &x[..n]).unwrap();
            let mut to = DeviceSlice::zeroed(gpu, n).unwrap();
            softmax.map(&from, &mut to).unwrap();
            [host(&to), vec![]]
        });
    }
    for range in [(1, 33), (64, 64)] {
        assert_hash("rope", range, |n| {
            let layout = HeadLayout::partial(2 * n + 4, 2 * n, Pairing::Interleaved).unwrap();
            let base = Base::new(10_000.0).unwrap();
            let rope = Rope::<f32, _>::new(layout, &base, vec![0; n]).unwrap();
            let rope = rope.on(gpu);
            let at = 1_000_000 + n as i32;
            let heads = DeviceSlice::from_host(gpu, &x[..4 * layout.head_dim()]);
            let mut out = heads.unwrap();
            rope.rotate(at, &mut out).unwrap();
            let mut state = DeviceSlice::from_host(gpu, &host(&out)).unwrap();
            rope.unrotate(at - 1, &mut state).unwrap();
            // A shift is the rotation of a temperature of one.
            rope.rotate(at, &mut state).unwrap();
            let positions = DeviceSlice::from_host(gpu, &[at, at, 3, -3]).unwrap();
            rope.rotate_each(&positions, &mut state).unwrap();
            [host(&out), host(&state)]
        });
    }
}

#[test]
fn fused_maps_hold_their_bound() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_fused(true);
    for row in lengths() {
        let x: Vec<f32> = uniform(2 * row, 9).iter().map(|x| 9.0 * x).collect();
        let mut p = DeviceSlice::from_host(gpu, &x).unwrap();
        Softmax::default().on(gpu).map_rows(&mut p, row).unwrap();
        let mut log = DeviceSlice::from_host(gpu, &x).unwrap();
        LogSoftmax::default()
            .on(gpu)
            .map_rows(&mut log, row)
            .unwrap();
        let (p, log) = (host(&p), host(&log));
        for ((x, p), log) in x.chunks(row).zip(p.chunks(row)).zip(log.chunks(row)) {
            let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
            let scores = definition::Logits::default().scores(&wide);
            for (&p, want) in p.iter().zip(definition::softmax(&scores)) {
                let error = ulps(p, want.high, want.low, 0.0);
                assert!(error <= bound32("softmax"), "softmax of {row}: {error} ULP");
            }
            for (&log, want) in log.iter().zip(definition::log_softmax(&scores)) {
                let error = ulps(log, want.high, want.low, 1.0);
                assert!(
                    error <= bound32("log_softmax"),
                    "log-softmax of {row}: {error} ULP"
                );
            }
        }
    }
}

#[test]
fn rotations_have_the_bits_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    for pairing in [Pairing::HalfSplit, Pairing::Interleaved] {
        for (dim, rotary) in [(8, 8), (64, 64), (80, 32), (128, 128), (512, 512)] {
            let layout = HeadLayout::partial(dim, rotary, pairing).unwrap();
            let rope = Rope::<f32, _>::new(layout, &Base::default(), vec![0; rotary / 2]).unwrap();
            let on_device = rope.clone().on(gpu);
            for heads in [1, 3, 32] {
                let x = uniform(heads * dim, 3);
                for at in [0, 1, 77, -5, 1 << 20, i32::MAX] {
                    let name = format!("{pairing:?} {dim}/{rotary}, {heads} heads at {at}");
                    let mut want = x.clone();
                    rope.rotate(at, &mut want[..]).unwrap();
                    let mut y = DeviceSlice::from_host(gpu, &x).unwrap();
                    on_device.rotate(at, &mut y).unwrap();
                    assert_bits(&name, &host(&y), &want);
                    rope.unrotate(at, &mut want[..]).unwrap();
                    on_device.unrotate(at, &mut y).unwrap();
                    assert_bits(&name, &host(&y), &want);
                }
            }
            let positions = [5, 0, -3, 1000];
            let x = uniform(4 * 2 * dim, 4);
            let mut want = x.clone();
            for (token, &at) in want.chunks_mut(2 * dim).zip(&positions) {
                rope.rotate(at, token).unwrap();
            }
            let mut y = DeviceSlice::from_host(gpu, &x).unwrap();
            let positions = DeviceSlice::from_host(gpu, &positions).unwrap();
            on_device.rotate_each(&positions, &mut y).unwrap();
            assert_bits("each token at its own position", &host(&y), &want);
        }
    }
}

/// Query heads, key/value heads, key and value dimension.
const SHAPES: [(usize, usize, usize, usize); 6] = [
    (1, 1, 8, 8),
    (8, 2, 128, 128),
    (6, 2, 80, 80),
    (4, 1, 64, 48),
    (3, 3, 33, 5),
    (5, 1, 320, 128),
];

/// Attends on the device and on the processor to the same cache; returns outputs and log-sum-exps.
fn attend_both<W: Kept + Default + Stored<f32>>(
    gpu: Gpu,
    (heads, kv_heads, key_dim, value_dim): (usize, usize, usize, usize),
    tokens: usize,
    scale: f32,
) -> [[Vec<f32>; 2]; 2] {
    let capacity = tokens + 3;
    let (key_len, value_len) = (kv_heads * key_dim, kv_heads * value_dim);
    let keys = uniform(tokens * key_len, 1);
    let values = uniform(tokens * value_len, 2);
    let query = uniform(heads * key_dim, 3);
    let attention = Attention::<f32>::new(heads, kv_heads, key_dim).unwrap();
    let attention = attention
        .with_value_dim(value_dim)
        .unwrap()
        .with_scale(scale)
        .unwrap();

    let kept = vec![W::default(); capacity * key_len];
    let kept_values = vec![W::default(); capacity * value_len];
    let mut cache = Cache::<W, _>::new(kv_heads, key_dim, value_dim, kept, kept_values).unwrap();
    cache.append(&keys, &values).unwrap();
    let mut scratch = vec![0.0; attention.scratch_len(tokens)];
    let (mut out, mut lse) = (vec![0.0; heads * value_dim], vec![0.0; heads]);
    attention
        .attend_with_lse(&query, &cache, tokens, &mut scratch, &mut out, &mut lse)
        .unwrap();

    let kept = DeviceSlice::zeroed(gpu, capacity * key_len).unwrap();
    let kept_values = DeviceSlice::zeroed(gpu, capacity * value_len).unwrap();
    let mut cache =
        Cache::<W, _>::on_device(kv_heads, key_dim, value_dim, kept, kept_values).unwrap();
    // In two parts, so that the second starts behind the first.
    let half = tokens / 2;
    for (from, to) in [(0, half), (half, tokens)] {
        let keys = DeviceSlice::from_host(gpu, &keys[from * key_len..to * key_len]).unwrap();
        let values =
            DeviceSlice::from_host(gpu, &values[from * value_len..to * value_len]).unwrap();
        cache.append_on_device(&keys, &values).unwrap();
    }
    let attention = attention.on(gpu);
    let query = DeviceSlice::from_host(gpu, &query).unwrap();
    let mut scratch = DeviceSlice::zeroed(gpu, attention.device_scratch_len(tokens)).unwrap();
    let mut device_out = DeviceSlice::zeroed(gpu, heads * value_dim).unwrap();
    let mut device_lse = DeviceSlice::zeroed(gpu, heads).unwrap();
    attention
        .attend_with_lse(
            &query,
            &cache,
            tokens,
            &mut scratch,
            &mut device_out,
            &mut device_lse,
        )
        .unwrap();
    [[out, lse], [host(&device_out), host(&device_lse)]]
}

fn token_counts() -> Vec<usize> {
    if is_quick() {
        vec![0, 1, 65, 513]
    } else {
        vec![0, 1, 2, 63, 64, 65, 512, 513, 1500]
    }
}

#[test]
fn attention_has_the_bits_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    for shape in SHAPES {
        for tokens in token_counts() {
            for scale in [0.1, 400.0] {
                let [[out, lse], [got, got_lse]] = attend_both::<f32>(gpu, shape, tokens, scale);
                let name = format!("{shape:?}, {tokens} tokens, scale {scale}");
                assert_bits(&name, &got, &out);
                assert_bits(&format!("{name}, lse"), &got_lse, &lse);
                let [[out, lse], [got, got_lse]] = attend_both::<Bf16>(gpu, shape, tokens, scale);
                let name = format!("bf16 {name}");
                assert_bits(&name, &got, &out);
                assert_bits(&format!("{name}, lse"), &got_lse, &lse);
            }
        }
    }
}

/// Returns 2^-24 of 1 + max_j |scale| sum |q k_j|, the unit of attention's error for values below one.
fn unit((heads, kv_heads, dim, _): (usize, usize, usize, usize), tokens: usize, scale: f32) -> f64 {
    let keys = uniform(tokens * kv_heads * dim, 1);
    let query = uniform(heads * dim, 3);
    let mut largest = 0.0_f64;
    for (h, query) in query.chunks(dim).enumerate() {
        let kv_head = h / (heads / kv_heads);
        for key in keys.chunks(dim).skip(kv_head).step_by(kv_heads) {
            let sum: f32 = query.iter().zip(key).map(|(q, k)| (q * k).abs()).sum();
            largest = largest.max(f64::from(scale * sum));
        }
    }
    2.0_f64.powi(-24) * (1.0 + largest)
}

#[test]
fn fused_attention_holds_its_bound() {
    let Some(gpu) = gpu() else { return };
    let scale = 0.1;
    for shape in SHAPES {
        for tokens in token_counts() {
            let [[out, lse], [got, got_lse]] =
                attend_both::<f32>(gpu.with_fused(true), shape, tokens, scale);
            let unit = unit(shape, tokens, scale);
            let name = format!("{shape:?}, {tokens} tokens");
            // Both sides may be off by the bound, on either side of the truth.
            let near = |a: f32, b: f32, units: f64| {
                a == b
                    || f64::from((a - b).abs()) <= 2.0 * units * unit * f64::from(b.abs().max(1.0))
            };
            let bound = bound32("attention");
            assert!(
                out.iter().zip(&got).all(|(&a, &b)| near(a, b, bound)),
                "{name}"
            );
            let bound = bound32("attention log-sum-exp");
            assert!(
                lse.iter().zip(&got_lse).all(|(&a, &b)| near(a, b, bound)),
                "{name}, lse"
            );
        }
    }
}

#[test]
fn bad_arguments_give_their_error_and_write_nothing() {
    let Some(gpu) = gpu() else { return };
    let before = uniform(12, 1);
    let mut x = DeviceSlice::from_host(gpu, &before).unwrap();
    let short = DeviceSlice::from_host(gpu, &before[..8]).unwrap();
    let softmax = Softmax::default().on(gpu);
    assert_eq!(
        softmax.map_rows(&mut x, 5),
        Err(Error::Multiple { of: 5, found: 12 })
    );
    let wrong = Error::Length {
        expected: 8,
        found: 12,
    };
    assert_eq!(softmax.map(&short, &mut x), Err(wrong));
    let logits = suanzi::probability::Logits::new().scaled(0.5).unwrap();
    assert_eq!(
        Softmax::new(logits).on(gpu).map_in_place(&mut x),
        Err(Error::Unsupported)
    );

    let layout = HeadLayout::new(8, Pairing::HalfSplit).unwrap();
    let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; 4])
        .unwrap()
        .on(gpu);
    assert_eq!(
        rope.rotate(1, &mut x),
        Err(Error::Multiple { of: 8, found: 12 })
    );

    let arrays = || DeviceSlice::<f32>::zeroed(gpu, 8).unwrap();
    let mut cache = Cache::<f32, _>::on_device(1, 4, 4, arrays(), arrays()).unwrap();
    let token = DeviceSlice::from_host(gpu, &before[..4]).unwrap();
    for _ in 0..2 {
        cache.append_on_device(&token, &token).unwrap();
    }
    assert_eq!(
        cache.append_on_device(&token, &token),
        Err(Error::Capacity { limit: 2 })
    );
    let attention = Attention::<f32>::new(3, 1, 4).unwrap().on(gpu);
    let query = DeviceSlice::from_host(gpu, &before).unwrap();
    let mut scratch = DeviceSlice::zeroed(gpu, attention.device_scratch_len(2)).unwrap();
    let attend = |query, visible, scratch: &mut _, x: &mut _| {
        attention.attend(query, &cache, visible, scratch, x)
    };
    assert_eq!(
        attend(&short, 2, &mut scratch, &mut x),
        Err(Error::Length {
            expected: 12,
            found: 8
        })
    );
    assert_eq!(
        attend(&query, 3, &mut scratch, &mut x),
        Err(Error::Capacity { limit: 2 })
    );
    let mut small = DeviceSlice::zeroed(gpu, 1).unwrap();
    let expected = attention.device_scratch_len(2);
    assert_eq!(
        attend(&query, 2, &mut small, &mut x),
        Err(Error::Length { expected, found: 1 })
    );
    assert_bits("nothing is written", &host(&x), &before);

    let mut few = [0.0; 3];
    assert_eq!(
        x.copy_to(&mut few),
        Err(Error::Length {
            expected: 12,
            found: 3
        })
    );
    assert_eq!(
        x.copy_from(&few),
        Err(Error::Length {
            expected: 12,
            found: 3
        })
    );
}
