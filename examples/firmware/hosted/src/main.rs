//! The cases of `tests/bits` and the logits of the embedded model, at every level of this processor,
//! without a test harness and its dependencies: what an emulated AArch64 runs.
//!
//! With the arguments OPERATION NUMBER LENGTH LEVEL it runs that case alone, to be counted.
#![allow(
    dead_code,
    reason = "the example does more than tell the likeliest story"
)]

#[path = "../../../../tests/bits/cases.rs"]
#[macro_use]
mod cases;
#[path = "../../../story/checkpoint.rs"]
mod checkpoint;
#[path = "../../../story/llama.rs"]
mod llama;
#[path = "../../../story/memory.rs"]
mod memory;
#[path = "../../../story/sampler.rs"]
mod sampler;
#[path = "../../../story/teller.rs"]
mod teller;
#[path = "../../../../tests/story/telling.rs"]
mod telling;
#[path = "../../../story/tokenizer.rs"]
mod tokenizer;

use std::process::ExitCode;

use cases::{Case, Fnv, Memory, expected};
use llama::{Llama, Weights};
use suanzi::{Cpu, Level};
use telling::{File, HASHED, greedy, with_cache};
use tokenizer::BOS;

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../../tests/bits.txt");

/// The line of the embedded model.
const LOGITS: Case = Case {
    operation: "logits_embedded",
    number: "f32",
    from: 0,
    to: HASHED - 1,
};

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
        cases::run(cpu, &mut *memory, &wanted, &mut |case, hash| {
            cases += 1;
            if hash.ok() != expected(FILE, case) {
                println!("{level:?} {case:?}: {hash:x?}");
                differences += 1;
            }
        });
        if !arguments.is_empty() {
            continue;
        }
        let hash = logits(cpu);
        if Some(hash) != expected(FILE, LOGITS) {
            println!("{level:?} {LOGITS:?}: {hash:x}");
            differences += 1;
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

/// Returns the hash of the embedded model's logits while it tells its likeliest story.
fn logits(cpu: Cpu) -> u64 {
    let file = File::new(include_bytes!("../../../../assets/story.bin"));
    let weights = file.integers();
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(weights, &mut frequencies, cpu).expect("a model");
    let mut hash = Fnv::new();
    with_cache::<f32, _>(dims, cpu, |past| {
        greedy(&model, past, &[BOS], HASHED + 1, |_, logits| {
            for x in logits {
                hash.write(x.to_bits().into());
            }
        })
    });
    hash.finish()
}
