//! The cases of `tests/bits` at every level of this processor, without a test harness and its
//! dependencies: what an emulated AArch64 runs.

#[path = "../../../bits/cases.rs"]
#[macro_use]
mod cases;

use std::process::ExitCode;

use cases::Memory;
use suanzi::{Cpu, Level};

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../bits.txt");

fn main() -> ExitCode {
    let mut memory = Box::new(const { Memory::new() });
    let mut differences = 0;
    for level in Level::ALL {
        let Ok(cpu) = Cpu::with(level) else { continue };
        cases::run(cpu, &mut memory, &mut |case, hash| {
            if hash.ok() != cases::expected(FILE, case) {
                println!("{level:?} {case:?}: {hash:x?}");
                differences += 1;
            }
        });
        println!("{level:?} on {}: {differences} differences", std::env::consts::ARCH);
    }
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
