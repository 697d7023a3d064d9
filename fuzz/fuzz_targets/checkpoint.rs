//! The example's loaders: garbage, and headers that fit. What is read is run, with the same bits in one
//! lane as in the widest vectors.

#![no_main]

#[path = "../../examples/story/checkpoint.rs"]
mod checkpoint;
#[path = "../../examples/story/llama.rs"]
mod llama;
#[path = "../../examples/story/memory.rs"]
mod memory;
#[path = "../../examples/story/tokenizer.rs"]
mod tokenizer;

use arbitrary::Arbitrary;
use checkpoint::{Checkpoint, Fault, MAGIC};
use libfuzzer_sys::fuzz_target;
use llama::{Below, Llama, State, Weights};
use memory::Layers;
use suanzi::Cpu;
use suanzi::mixer::{Cache, Frame, cache_len};
use tokenizer::Tokenizer;

#[derive(Arbitrary, Debug)]
struct Input {
    int8: bool,
    /// Sizes as a file states them; small ones where `small` says so.
    sizes: [i32; 7],
    small: u8,
    tokens: [u8; 3],
    vocab: u16,
    text: String,
    bytes: Vec<u8>,
}

/// The greatest file that is made.
const GREATEST: u64 = 1 << 16;

fuzz_target!(|input: Input| {
    // Garbage: read or refused.
    parse(&input.bytes, |_| {});
    tokenize(&input);

    // A header, and then as many bytes as it asks for, or fewer, or more.
    let mut file = if input.int8 {
        MAGIC.to_vec()
    } else {
        Vec::new()
    };
    for (i, size) in input.sizes.into_iter().enumerate() {
        let size = if input.small >> i & 1 == 1 {
            size
        } else {
            size.rem_euclid(13) + 1
        };
        file.extend(size.to_le_bytes());
    }
    let Some(Fault::Length { expected, .. }) = parse(&file, |_| panic!("a model without weights"))
    else {
        return;
    };
    if expected > GREATEST {
        return;
    }
    let header = file.len();
    file.extend(
        input
            .bytes
            .iter()
            .chain(&[0])
            .cycle()
            .take(expected as usize - header),
    );
    let length = |found| Some(Fault::Length { expected, found });
    let found = file.len();
    assert_eq!(parse(&file[..found - 1], |_| {}), length(found - 1));
    let fault = parse(&file, |model| match model {
        Checkpoint::Float(weights) => run(weights, input.tokens),
        Checkpoint::Int8(weights) => run(weights, input.tokens),
    });
    // Rows of int8 weights may leave the scales behind them unaligned.
    assert!(fault.is_none() || input.int8 && fault == Some(Fault::Alignment));
    file.push(0);
    assert_eq!(parse(&file, |_| {}), length(found + 1));
});

/// Reads a model from an aligned copy of the bytes.
fn parse(bytes: &[u8], run: impl FnOnce(Checkpoint<'_>)) -> Option<Fault> {
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    let aligned = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()];
    aligned.copy_from_slice(bytes);
    match Checkpoint::parse(aligned) {
        Ok(model) => {
            assert!(model.dims().heads > 0);
            run(model);
            None
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            Some(fault)
        }
    }
}

/// Reads a tokenizer, and a text with it.
fn tokenize(input: &Input) {
    let tokenizer = match Tokenizer::parse(&input.bytes, input.vocab.into()) {
        Ok(tokenizer) => tokenizer,
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            return;
        }
    };
    let mut tokens = vec![u32::MAX; usize::from(input.tokens[0])];
    match tokenizer.encode(&input.text, &mut tokens) {
        Ok(len) => {
            let mut byte = [0];
            for pair in tokens[..len].windows(2) {
                tokenizer.decode(pair[0], pair[1], &mut byte);
            }
        }
        Err(tokenizer::Fault::Long { limit }) => {
            assert_eq!(limit, tokens.len());
            assert!(tokens.iter().all(|&token| token == u32::MAX));
        }
        Err(fault) => panic!("{fault}"),
    }
}

/// Reads three tokens, kept and again, and compares the logits of two levels.
fn run<P: Weights + Copy>(weights: P, tokens: [u8; 3]) {
    let [wide, one] = [Cpu::default(), Cpu::scalar()].map(|cpu| logits(weights, tokens, cpu));
    assert_eq!(wide, one);
}

/// Returns the bits of the logits, or the refusal, after each token.
fn logits<P: Weights + Copy>(
    weights: P,
    tokens: [u8; 3],
    cpu: Cpu,
) -> Vec<Result<Vec<u32>, suanzi::Error>> {
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(weights, &mut frequencies, cpu).expect("sizes that were checked");
    let (heads, dim) = (dims.kv_heads, dims.head_dim());
    let part = || vec![0.0_f32; cache_len(heads, dim, tokens.len())];
    let cache = || Cache::<f32, _>::new(heads, dim, dim, part(), part()).expect("a cache");
    let mut caches: Vec<_> = (0..dims.layers).map(|_| cache()).collect();
    let mut scratch = vec![0.0; memory::scratch_len(dims).expect("sizes that were checked")];
    let mut layers = Layers::new(dims, &mut caches, &mut scratch, cpu).expect("a memory");
    let mut storage = vec![0.0; dims.state_len()];
    let mut state = State::new(dims, &mut storage).expect("a state");
    let mut outcomes = Vec::new();
    let bits = |state: &State<'_>| state.logits.iter().map(|x| x.to_bits()).collect();
    for (position, token) in tokens.into_iter().enumerate() {
        // A token that the vocabulary lacks is refused, and so is a position.
        let step = model.step(token.into(), position, &mut layers, &mut state);
        outcomes.push(step.map(|()| bits(&state)));
    }
    let mut frames = vec![Frame::default(); model.dims().layers];
    let mut scratch = vec![0.0; model.again_len(0)];
    let mut below = Below::new(dims.dim, &mut [], &mut []).expect("a width");
    let tokens = tokens.map(u32::from);
    let step = model.step_again(
        &tokens[..2],
        &mut below,
        &mut frames,
        &mut scratch,
        &mut state,
    );
    outcomes.push(step.map(|()| bits(&state)));
    outcomes
}
