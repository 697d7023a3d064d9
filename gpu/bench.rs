//! The device's kernels beside its own copy: `cargo run --release --features cuda --example gpu_bench`.
//!
//! Each answer is checked against the processor's before it is timed. A line gives the arithmetic, the
//! microseconds of a call, the bytes that the operation has to move in that time, and their share of
//! what a copy within the device's memory moves in the same run.

use core::error::Error;

use suanzi::gpu::{DeviceSlice, Gpu, Kept};
use suanzi::mixer::{Attention, Cache};
use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope};
use suanzi::probability::{LogSoftmax, ProbabilityMap, Softmax};
use suanzi::storage::Bf16;

type Result<T> = core::result::Result<T, Box<dyn Error>>;

/// Numbers between -4 and 4.
fn numbers(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 21) as f32 - 4.0
        })
        .collect()
}

fn host(x: &DeviceSlice<f32>) -> Result<Vec<f32>> {
    let mut out = vec![0.0; x.len()];
    x.copy_to(&mut out)?;
    Ok(out)
}

/// Returns the seconds of a call: the lowest mean of several rounds.
fn time(gpu: Gpu, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    let mut calls = 1;
    for round in 0..8 {
        let timer = gpu.timer()?;
        for _ in 0..calls {
            call()?;
        }
        let seconds = f64::from(timer.stop()?) / 1e3;
        if round == 0 {
            // The first round warms up and says how many calls last about 20 ms.
            calls = ((0.02 * f64::from(calls) / seconds.max(1e-6)) as u32).clamp(3, 2000);
        } else {
            best = best.min(seconds / f64::from(calls));
        }
    }
    Ok(best)
}

fn report(name: &str, seconds: f64, bytes: usize, roof: f64) {
    let rate = bytes as f64 / seconds;
    println!(
        "{name:<44} {:9.1} us {:7.0} GB/s {:4.0} %",
        1e6 * seconds,
        rate / 1e9,
        100.0 * rate / roof
    );
}

/// The two arithmetics.
fn arithmetics(gpu: Gpu) -> [(&'static str, Gpu); 2] {
    [("portable", gpu), ("fused", gpu.with_fused(true))]
}

fn near(a: &[f32], b: &[f32]) -> bool {
    a.iter()
        .zip(b)
        .all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1e-3))
}

fn maps(gpu: Gpu, roof: f64) -> Result<()> {
    for (rows, row) in [(4096, 4096), (32_768, 1024), (32, 128_256), (1, 128_256)] {
        let x = numbers(rows * row);
        let from = DeviceSlice::from_host(gpu, &x)?;
        let mut to = DeviceSlice::zeroed(gpu, x.len())?;
        let bytes = 8 * x.len();
        let (mut p, mut log) = (x[..row].to_vec(), x[..row].to_vec());
        Softmax::default().map_in_place(&mut p[..])?;
        LogSoftmax::default().map_in_place(&mut log[..])?;
        for (arithmetic, gpu) in arithmetics(gpu) {
            to.copy_from_device(&from)?;
            let softmax = Softmax::default().on(gpu);
            softmax.map_rows(&mut to, row)?;
            assert!(near(&host(&to)?[..row], &p), "softmax");
            let seconds = time(gpu, || Ok(softmax.map_rows(&mut to, row)?))?;
            report(
                &format!("softmax {rows} x {row}, {arithmetic}"),
                seconds,
                bytes,
                roof,
            );

            to.copy_from_device(&from)?;
            let map = LogSoftmax::default().on(gpu);
            map.map_rows(&mut to, row)?;
            assert!(near(&host(&to)?[..row], &log), "log-softmax");
            let seconds = time(gpu, || Ok(map.map_rows(&mut to, row)?))?;
            report(
                &format!("log-softmax {rows} x {row}, {arithmetic}"),
                seconds,
                bytes,
                roof,
            );
        }
    }
    Ok(())
}

fn rotations(gpu: Gpu, roof: f64) -> Result<()> {
    for (tokens, pairing) in [
        (1, Pairing::HalfSplit),
        (4096, Pairing::HalfSplit),
        (4096, Pairing::Interleaved),
    ] {
        let layout = HeadLayout::new(128, pairing)?;
        let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; 64])?;
        let on_device = rope.on(gpu);
        let x = numbers(tokens * 32 * 128);
        let mut y = DeviceSlice::from_host(gpu, &x)?;
        let positions: Vec<i32> = (7..).take(tokens).collect();
        let positions = DeviceSlice::from_host(gpu, &positions)?;
        on_device.rotate_each(&positions, &mut y)?;
        let mut want = x[..32 * 128].to_vec();
        rope.rotate(7, &mut want[..])?;
        assert!(host(&y)?[..32 * 128] == want, "rotation");
        let seconds = time(gpu, || Ok(on_device.rotate_each(&positions, &mut y)?))?;
        let name = format!("rope {tokens} x 32 x 128, {pairing:?}");
        report(&name, seconds, 8 * x.len(), roof);
    }
    Ok(())
}

fn decode<W: Kept>(gpu: Gpu, name: &str, tokens: usize, roof: f64) -> Result<()> {
    let (heads, kv_heads, dim) = (32, 8, 128);
    let len = kv_heads * dim;
    let mut cache = Cache::<W, _>::on_device(
        kv_heads,
        dim,
        dim,
        DeviceSlice::zeroed(gpu, tokens * len)?,
        DeviceSlice::zeroed(gpu, tokens * len)?,
    )?;
    let few = 1024.min(tokens);
    let block = numbers(few * len);
    let part = DeviceSlice::from_host(gpu, &block)?;
    for _ in 0..tokens / few {
        cache.append_on_device(&part, &part)?;
    }
    let attention = Attention::<f32>::new(heads, kv_heads, dim)?;
    let query = numbers(heads * dim);
    let mut want = vec![0.0; heads * dim];
    let mut kept = Cache::<W, _>::new(
        kv_heads,
        dim,
        dim,
        vec![W::default(); few * len],
        vec![W::default(); few * len],
    )?;
    kept.append(&block, &block)?;
    let mut scratch = vec![0.0; attention.scratch_len(few)];
    attention.attend(&query, &kept, few, &mut scratch, &mut want)?;

    let query = DeviceSlice::from_host(gpu, &query)?;
    let mut out = DeviceSlice::zeroed(gpu, heads * dim)?;
    let scratch = attention.on(gpu).device_scratch_len(tokens);
    let mut scratch = DeviceSlice::zeroed(gpu, scratch)?;
    for (arithmetic, gpu) in arithmetics(gpu) {
        let attention = attention.on(gpu);
        attention.attend(&query, &cache, few, &mut scratch, &mut out)?;
        let off = host(&out)?
            .iter()
            .zip(&want)
            .fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(off < 1e-4, "attention is off by {off}");
        let seconds = time(gpu, || {
            Ok(attention.attend(&query, &cache, tokens, &mut scratch, &mut out)?)
        })?;
        let bytes = 2 * tokens * len * size_of::<W>();
        report(
            &format!("decode 32:8 x 128, {name}, {tokens}, {arithmetic}"),
            seconds,
            bytes,
            roof,
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let gpu = Gpu::open(0)?;
    println!("{}", gpu.name());
    let from = DeviceSlice::<f32>::zeroed(gpu, 1 << 27)?;
    let mut to = DeviceSlice::<f32>::zeroed(gpu, 1 << 27)?;
    let seconds = time(gpu, || Ok(to.copy_from_device(&from)?))?;
    let bytes = 8 << 27;
    let roof = bytes as f64 / seconds;
    report(
        "copy of 512 MiB, bytes read and written",
        seconds,
        bytes,
        roof,
    );
    drop((from, to));
    maps(gpu, roof)?;
    rotations(gpu, roof)?;
    for tokens in [16_384, 131_072] {
        decode::<f32>(gpu, "f32", tokens, roof)?;
        decode::<Bf16>(gpu, "bf16", tokens, roof)?;
    }
    Ok(())
}
