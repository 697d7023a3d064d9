//! Counts the instructions of single calls on an emulated Cortex-M, per element.
//!
//! Under QEMU's `-icount` an instruction takes a fixed time, so the system timer counts instructions,
//! the same number in every run. It is no count of cycles: a real core adds its waits.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::entry;
use semihosting::{println, process};
use suanzi::mixer::{Attention, Cache};
use suanzi::nn::{GatedSilu, Matrix, RmsNorm};
use suanzi::position::{Base, HeadLayout, Micromath, Pairing, PositionEncoding, Rope, RopeTable};
use suanzi::probability::{LogSoftmax, LogSumExp, ProbabilityMap, Softmax};
use suanzi::{Cpu, Error, math};

/// The greatest value of the timer, which counts down.
const GREATEST: u32 = 0x00ff_ffff;
/// Elements of a row.
const ROW: usize = 256;
/// Elements of a head.
const HEAD: usize = 32;
/// Tokens of a sequence.
const TOKENS: usize = 16;

#[entry]
fn main() -> ! {
    if let Some(mut core) = cortex_m::Peripherals::take() {
        core.SYST.set_clock_source(SystClkSource::Core);
        core.SYST.set_reload(GREATEST);
        core.SYST.clear_current();
        core.SYST.enable_counter();
    }
    let done = measure();
    if let Err(error) = done {
        println!("{error}");
    }
    process::exit(i32::from(done.is_err()))
}

/// What one call takes.
struct Clock {
    /// Ticks of a known number of instructions.
    known: u64,
    /// Ticks of nothing.
    nothing: u64,
}

/// Instructions that [`Clock::known`] stands for: a delay is a loop of two for each cycle.
const KNOWN: u64 = 40_000;

impl Clock {
    fn new() -> Self {
        let delay = |cycles| ticks(|| cortex_m::asm::delay(cycles));
        Self {
            known: delay(40_000) - delay(20_000),
            nothing: ticks(|| {}),
        }
    }

    /// Prints the instructions that a call takes for each of `elements`, in tenths.
    fn each(
        &self,
        name: &str,
        elements: usize,
        call: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        let ticks = ticks(|| result = call()) - self.nothing;
        let tenths = ticks * KNOWN * 10 / self.known / elements as u64;
        println!("{name} {elements} {}.{}", tenths / 10, tenths % 10);
        result
    }
}

/// Returns the ticks that a call takes.
#[inline(never)]
fn ticks(call: impl FnOnce()) -> u64 {
    let before = SYST::get_current();
    call();
    let after = SYST::get_current();
    (before.wrapping_sub(after) & GREATEST).into()
}

fn measure() -> Result<(), Error> {
    let clock = Clock::new();
    let cpu = Cpu::default();
    let mut x = [0.0_f32; ROW];
    for (i, x) in x.iter_mut().enumerate() {
        *x = (i * 37 % ROW) as f32 / 32.0 - 4.0;
    }
    let x = black_box(x);
    let mut y = x;
    clock.each("softmax", ROW, || Softmax::default().map(&x[..], &mut y))?;
    clock.each("softmax", HEAD, || {
        Softmax::default().map(&x[..HEAD], &mut y[..HEAD])
    })?;
    clock.each("log_softmax", ROW, || {
        LogSoftmax::default().map(&x[..], &mut y)
    })?;
    clock.each("log_sum_exp", ROW, || {
        black_box(LogSumExp::default().reduce(&x)).map(|_| ())
    })?;
    clock.each("exp", ROW, || math::exp(cpu, &x, &mut y))?;
    clock.each("tanh", ROW, || math::tanh(cpu, &x, &mut y))?;

    let norm = RmsNorm::new(1e-5)?;
    clock.each("rms_norm", ROW, || norm.map(&x, &x, &mut y))?;
    clock.each("gated_silu", ROW, || {
        GatedSilu::default().map_in_place(&mut y, &x)
    })?;
    let floats = Matrix::new(ROW / HEAD, HEAD, &x)?;
    clock.each("matrix_f32", ROW, || {
        floats.multiply(&x[..HEAD], &mut y[..ROW / HEAD])
    })?;
    let bytes = black_box([3_i8; ROW]);
    let integers = Matrix::<i8>::new(ROW / HEAD, HEAD, &bytes)?;
    clock.each("matrix_i8", ROW, || {
        integers.multiply(&x[..HEAD], &mut y[..ROW / HEAD])
    })?;

    let layout = HeadLayout::new(HEAD, Pairing::HalfSplit)?;
    let mut turns = [0; HEAD / 2];
    let rope = Rope::<f32, _>::new(layout, &Base::default(), &mut turns[..])?;
    clock.each("rope", ROW, || rope.rotate(1000, &mut y))?;
    let mut rows = [0.0; ROW];
    clock.each("rope_table_fill", ROW, || {
        RopeTable::new(&rope, 1000, &mut rows[..]).map(|_| ())
    })?;
    clock.each("rope_table_micromath", ROW, || {
        RopeTable::filled_by::<Micromath, _>(&rope, 1000, &mut rows[..]).map(|_| ())
    })?;
    let table = RopeTable::new(&rope, 1000, &mut rows[..])?;
    clock.each("rope_table", ROW, || table.rotate(1000, &mut y))?;

    let attention = Attention::<f32>::new(2, 1, HEAD)?;
    let mut keys = [0.0; HEAD * TOKENS];
    let mut values = [0.0; HEAD * TOKENS];
    let mut cache = Cache::<f32, _>::new(1, HEAD, HEAD, &mut keys[..], &mut values[..])?;
    while cache.capacity() > suanzi::mixer::KeyValues::<f32>::len(&cache) {
        cache.append(&x[..HEAD], &y[..HEAD])?;
    }
    let mut scratch = [0.0; 512];
    let (query, out) = (&x[..2 * HEAD], &mut y[..2 * HEAD]);
    // An element of a key or a value for one query head.
    clock.each("attention", 4 * HEAD * TOKENS, || {
        attention.attend(query, &cache, TOKENS, &mut scratch, out)
    })?;
    black_box(&y);
    Ok(())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    println!("panic");
    process::exit(101)
}
