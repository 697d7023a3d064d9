//! Nothing public escapes the proofs: every public function of `src/` is called by
//! `tests/bits/operations.rs` (and with it hashed on every target, counted for allocations, linked
//! for panics), and every operation has a row in the accuracy table.

mod accuracy;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Public functions that compute nothing: the executor itself, conversions that are tested for all
/// 65 536 values, a generator as a closure, and what only reports a field.
const PLAIN: &[&str] = &[
    "as_bytes",
    "compiled_once",
    "from_bits",
    "to_bits",
    "is_empty",
    "is_fused",
    "levels",
    "level",
    "scalar",
    "fused",
    "with",
    "with_fused",
    "words",
    "len",
];

/// Functions of the sources that are public, with the file that each stands in.
fn public_functions() -> Vec<(String, PathBuf)> {
    let mut functions = Vec::new();
    for file in sources(&Path::new(ROOT).join("src")) {
        let text = fs::read_to_string(&file).expect("a source");
        // What follows the unit tests is private.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in text.lines() {
            let line = line.trim_start();
            let Some(rest) = line.strip_prefix("pub ") else {
                continue;
            };
            let rest = rest.strip_prefix("const ").unwrap_or(rest);
            let Some(rest) = rest.strip_prefix("fn ") else {
                continue;
            };
            // A name that a macro fills in starts with a dollar.
            if !rest.starts_with('$') {
                functions.push((word(rest), file.clone()));
            }
        }
    }
    functions
}

/// Elementwise functions of `math`, which a macro makes public.
fn elementwise_functions() -> Vec<(String, PathBuf)> {
    let mut functions = Vec::new();
    for file in sources(&Path::new(ROOT).join("src/math")) {
        let text = fs::read_to_string(&file).expect("a source");
        for line in text.lines().map(str::trim_start) {
            // `name, name_in_place, (isa, v) => …`
            let mut parts = line.split(", ");
            if let (Some(name), Some(in_place)) = (parts.next(), parts.next())
                && in_place == format!("{name}_in_place")
            {
                functions.push((name.to_owned(), file.clone()));
                functions.push((in_place.to_owned(), file.clone()));
            }
        }
    }
    functions
}

/// The Rust files below a folder, those of the GPU aside: they have proofs of their own.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("gpu") && !path.ends_with("simd") {
                files.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The identifier at the start of a text.
fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The identifiers of a text.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

#[test]
fn every_public_function_is_called_by_an_operation() {
    let mut called = String::new();
    for file in ["tests/bits/operations.rs", "tests/bits/cases.rs"] {
        called += &fs::read_to_string(Path::new(ROOT).join(file)).expect("the operations");
    }
    let called = words(&called);
    let functions = public_functions();
    assert!(
        functions.len() > 20,
        "the scan of src/ finds hardly anything"
    );
    let missing: Vec<_> = functions
        .into_iter()
        .chain(elementwise_functions())
        .filter(|(name, _)| !called.contains(name.as_str()) && !PLAIN.contains(&name.as_str()))
        .map(|(name, file)| format!("{name} in {}", file.display()))
        .collect();
    assert!(
        missing.is_empty(),
        "no call in tests/bits/operations.rs of\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_operation_stands_in_the_accuracy_table() {
    let rows: String = accuracy::TABLE
        .iter()
        .map(|row| format!("{} ", row.operation))
        .collect();
    let rows = rows.to_lowercase().replace([' ', '-', '_'], "");
    let mut missing = Vec::new();
    for (name, _) in elementwise_functions() {
        if !name.ends_with("_in_place") && !rows.contains(&name.replace('_', "")) {
            missing.push(name);
        }
    }
    // A type that implements one of the rooms' traits is an operation.
    for file in sources(&Path::new(ROOT).join("src")) {
        for line in fs::read_to_string(&file).expect("a source").lines() {
            let Some((left, right)) = line.split_once(" for ") else {
                continue;
            };
            let operation = line.starts_with("impl")
                && [
                    "ProbabilityMap<[T]>",
                    "RowMap<",
                    "PositionEncoding<",
                    "Density1d<",
                    "CausalMixer<",
                    "Adapter<",
                ]
                .iter()
                .any(|operation| left.ends_with('>') && left.contains(operation));
            let name = word(right);
            // The macro that makes them public fills in the name.
            if operation
                && !name.is_empty()
                && !rows.contains(&name.to_lowercase())
                && !missing.contains(&name)
            {
                missing.push(name);
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no row in tests/accuracy/mod.rs for {missing:?}"
    );
}
