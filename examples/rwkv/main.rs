//! Tells what an RWKV model makes of a beginning, byte by byte, from fixed memory.
//!
//!     cargo run --release --example rwkv -- MODEL [BEGINNING [BYTES]]
//!
//! MODEL is a file of rwkv.cpp with 16-bit matrices, of version 4, 5.2 or 7, whose tokens are bytes.
//! `file.rs` reads it, `model.rs` is the model, one file each the time mixing of the three versions. All
//! that a model remembers lies in one static array, whatever the number of tokens.

mod file;
mod five;
mod four;
mod model;
mod parts;
mod seven;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use file::{File, Outcome};
use model::Model;
use suanzi::Cpu;
use suanzi::probability::{Logits, ProbabilityMap, Softmax, draw};

/// Numbers that the model lives in.
static MEMORY: Mutex<[f32; 1 << 18]> = Mutex::new([0.0; 1 << 18]);

/// The inverse of the temperature.
const SHARPNESS: f32 = 1.25;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rwkv: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        return Err("which model? usage: rwkv MODEL [BEGINNING [BYTES]]".into());
    };
    let beginning = arguments.next().unwrap_or("Once upon a time".into());
    let count: usize = arguments.next().map_or(Ok(200), |count| count.parse())?;
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let file = File::parse(&bytes).ok_or("this is no model of rwkv.cpp")?;
    let cpu = Cpu::default();
    let mut memory = MEMORY.lock().map_err(|_| "the memory is taken")?;
    let mut model = Model::new(&file, cpu, &mut memory[..])?;
    let softmax = Softmax::new(Logits::new().scaled(SHARPNESS)?).on(cpu);

    let mut out = std::io::stdout().lock();
    out.write_all(beginning.as_bytes())?;
    let mut tokens = beginning.bytes();
    let mut next = tokens.next().ok_or("the beginning is empty")?;
    let mut random = 1_u64;
    let mut p = [0.0; 256];
    let start = Instant::now();
    for told in 0..beginning.len() + count - 1 {
        let logits = model.step(next)?;
        next = if let Some(given) = tokens.next() {
            given
        } else {
            softmax.map(logits, &mut p)?;
            random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
            let unit = (random >> 40) as f32 / (1 << 24) as f32;
            let drawn = draw(cpu, &p, unit).ok_or("no next byte")?;
            let byte = drawn as u8;
            out.write_all(&[byte])?;
            if told % 64 == 0 {
                out.flush()?;
            }
            byte
        };
    }
    writeln!(out)?;
    let steps = (beginning.len() + count - 1) as f64;
    let rate = steps / start.elapsed().as_secs_f64();
    let (kept, token) = (4 * model.kept(), 4 * 2 * file.layers * file.width);
    eprintln!("{rate:.0} tokens/s; {kept} bytes of state after any number of tokens");
    eprintln!(
        "keys and values of attention of this shape: {token} bytes a token, more from token {} on",
        kept / token + 1
    );
    Ok(())
}
