//! The same bits on every level: hashes of what every operation writes, against `bits.txt`.
//!
//! The file is one for all targets; `examples/firmware` checks it on AArch64, WebAssembly and a
//! Cortex-M. `SUANZI_BLESS=1 cargo test --test bits` writes it anew, for a change that means to
//! change results.

#[path = "bits/cases.rs"]
#[macro_use]
mod cases;

use core::fmt::Write as _;

use cases::{Case, Memory};
use suanzi::{Cpu, Error, Level};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bits.txt");

/// Lines that start so belong to `tests/story.rs`.
const LOGITS: &str = "logits_";

/// Runs every case on one level.
fn hashes(level: Level) -> Vec<(Case, Result<u64, Error>)> {
    let cpu = Cpu::with(level).expect("a level of this processor");
    let mut memory = Box::new(const { Memory::new() });
    let mut hashes = Vec::new();
    cases::run(cpu, &mut *memory, &|_| true, &mut |case, hash| {
        hashes.push((case, hash));
    });
    hashes
}

#[test]
fn every_level_gives_the_bits_of_the_file() {
    if std::env::var_os("SUANZI_BLESS").is_some() {
        bless();
    }
    let file = std::fs::read_to_string(FILE).expect("tests/bits.txt");
    let mut differences = String::new();
    let mut cases = 0;
    for level in Level::ALL {
        if Cpu::with(level).is_err() {
            eprintln!("SKIPPED: this machine lacks {level:?}");
            continue;
        }
        let hashes = hashes(level);
        cases = hashes.len();
        for (case, hash) in hashes {
            let expected = cases::expected(&file, case).ok_or("no line in bits.txt");
            if hash.map_err(|_| "refused") != expected {
                writeln!(
                    differences,
                    "{level:?} {case:?}: {hash:x?}, expected {expected:x?}"
                )
                .expect("a string");
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
    let lines = file
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with(LOGITS));
    assert_eq!(lines.count(), cases, "lines of bits.txt, and cases");
}

/// Writes the file from the one-lane level.
fn bless() {
    let logits = std::fs::read_to_string(FILE).unwrap_or_default();
    let mut text =
        String::from("# operation, number type, lengths from and to, FNV-1a of the bits written\n");
    for (case, hash) in hashes(Level::Scalar) {
        let Case {
            operation,
            number,
            from,
            to,
        } = case;
        let hash = hash.unwrap_or_else(|error| panic!("{operation} {number}: {error}"));
        writeln!(text, "{operation} {number} {from} {to} {hash:016x}").expect("a string");
    }
    for line in logits.lines().filter(|line| line.starts_with(LOGITS)) {
        writeln!(text, "{line}").expect("a string");
    }
    std::fs::write(FILE, text).expect("tests/bits.txt is writable");
}
