//! The cases of `tests/bits` at every level of this processor, without a test harness and its
//! dependencies: what an emulated AArch64 runs.
//!
//! With the arguments OPERATION NUMBER LENGTH LEVEL it runs that case alone, to be counted.

#[path = "../../../bits/cases.rs"]
#[macro_use]
mod cases;

use std::process::ExitCode;

use cases::{Case, Memory};
use suanzi::{Cpu, Level};

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../bits.txt");

fn main() -> ExitCode {
    let mut memory = Box::new(const { Memory::new() });
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut differences, mut cases) = (0, 0);
    for level in Level::ALL {
        let Ok(cpu) = Cpu::with(level) else { continue };
        let wanted = |case: Case| match &arguments[..] {
            [] => true,
            [operation, number, length, at] => {
                *operation == case.operation
                    && *number == case.number
                    && *length == case.from.to_string()
                    && *at == format!("{level:?}")
            }
            _ => false,
        };
        cases::run(cpu, &mut memory, &wanted, &mut |case, hash| {
            cases += 1;
            if hash.ok() != cases::expected(FILE, case) {
                println!("{level:?} {case:?}: {hash:x?}");
                differences += 1;
            }
        });
        if !arguments.is_empty() {
            continue;
        }
        println!(
            "{level:?} on {}: {differences} differences",
            std::env::consts::ARCH
        );
    }
    if differences == 0 && cases > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
