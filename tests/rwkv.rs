//! The modules of `examples/rwkv` on three small models, of versions four, five and seven, from fixed
//! memory, against their oracle.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
#[path = "../examples/story/heap.rs"]
mod heap;
mod inputs;
mod reference;

#[path = "../examples/rwkv/file.rs"]
mod file;
#[path = "../examples/rwkv/five.rs"]
mod five;
#[path = "../examples/rwkv/four.rs"]
mod four;
#[path = "../examples/rwkv/model.rs"]
mod model;
#[path = "../examples/rwkv/parts.rs"]
mod parts;
#[path = "../examples/rwkv/seven.rs"]
mod seven;

use accuracy::bound32;
use file::File;
use inputs::executors;
use model::Model;
use reference::golden::shared;
use suanzi::Cpu;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Numbers that are enough for each of the models.
const MEMORY: usize = 1 << 17;

/// The bytes of the oracle's logits, and of its likelihood.
const START: &[u8] = b"\"in";
const SENTENCE: &[u8] = b"Once upon a time there was a little girl.";

/// What is known of a model.
struct Oracle {
    name: &'static str,
    /// How far the project's own logits, made from other weights, lie from those of this file.
    upstream: f64,
    nats: f64,
    /// The numbers that are kept from token to token.
    kept: usize,
}

const ORACLES: [Oracle; 3] = [
    Oracle {
        name: "4v0-660K",
        upstream: 1.7e-3,
        nats: 94.047_061_973_137_63,
        kept: 3072,
    },
    Oracle {
        name: "5v2-730K",
        upstream: 2.6e-3,
        nats: 53.925_533_178_124_965,
        kept: 8448,
    },
    Oracle {
        name: "7v0-834K",
        upstream: 4e-7,
        nats: 143.786_729_775_983_84,
        kept: 50688,
    },
];

/// Returns the greatest distance of the logits after the first bytes.
fn distance(logits: &[f32], want: impl Iterator<Item = f64>) -> f64 {
    let want: Vec<f64> = want.collect();
    assert_eq!(logits.len(), want.len());
    let apart = logits
        .iter()
        .zip(want)
        .map(|(&x, want)| (f64::from(x) - want).abs());
    // NaN is the greatest.
    apart.max_by(f64::total_cmp).unwrap()
}

/// Returns the natural logarithm of a byte's probability, negated.
fn surprise(logits: &[f32], byte: u8) -> f64 {
    let logits = logits.iter().map(|&x| f64::from(x));
    let max = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.clone().map(|x| (x - max).exp()).sum();
    max + sum.ln() - logits.clone().nth(byte.into()).unwrap()
}

fn run(file: &File, cpu: Cpu, bytes: &[u8], mut each: impl FnMut(usize, &[f32])) {
    let mut memory = vec![f32::NAN; MEMORY];
    let mut model = Model::new(file, cpu, &mut memory).unwrap();
    for (i, &byte) in bytes.iter().enumerate() {
        let before = heap::allocations();
        let logits = model.step(byte).unwrap();
        assert_eq!(heap::allocations(), before, "a step allocates");
        each(i, logits);
    }
}

#[test]
fn small_models_give_the_logits_of_their_oracle() {
    for Oracle {
        name,
        upstream,
        nats,
        kept,
    } in ORACLES
    {
        let Some(folder) = shared("data/rwkv-tiny") else {
            return;
        };
        let read = |name: String| std::fs::read(folder.join(name)).unwrap();
        let file = File::parse(&read(format!("tiny-rwkv-{name}-FP16.bin"))).expect("a model");
        let doubles = read(format!("logits-fp16-{name}.f64"));
        let singles = read(format!("upstream-logits-{name}.f32"));
        let mut first: Option<Vec<u32>> = None;
        let mut memory = vec![0.0; MEMORY];
        let model = Model::new(&file, Cpu::default(), &mut memory).unwrap();
        assert_eq!(model.kept(), kept, "{name}");
        let refused = Model::new(&file, Cpu::default(), &mut memory[..kept]);
        assert!(refused.is_err(), "{name} in too little memory");
        for cpu in executors() {
            let bound = bound32("logits of a small model");
            run(&file, cpu, START, |i, logits| {
                if i + 1 < START.len() {
                    return;
                }
                let doubles = doubles.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x));
                let singles = singles
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&x| f32::from_le_bytes(x).into());
                let (own, other) = (distance(logits, doubles), distance(logits, singles));
                println!("{name} {cpu:?}: logits within {own:.2e}, of the project's {other:.2e}");
                assert!(own <= bound, "{name} {cpu:?}: {own:e}");
                assert!(other <= upstream + bound, "{name} {cpu:?}: {other:e}");
                if !cpu.is_fused() {
                    let bits: Vec<u32> = logits.iter().map(|x| x.to_bits()).collect();
                    assert!(
                        *first.get_or_insert_with(|| bits.clone()) == bits,
                        "{cpu:?}"
                    );
                }
            });
            let mut sum = 0.0;
            run(&file, cpu, SENTENCE, |i, logits| {
                if let Some(&next) = SENTENCE.get(i + 1) {
                    sum += surprise(logits, next);
                }
            });
            println!("{name} {cpu:?}: {sum} nats");
            assert!(
                (sum - nats).abs() <= 1e-4,
                "{name} {cpu:?}: {sum} nats, not {nats}"
            );
        }
    }
}
