//! Files that are cut off, garbled or of another model, and calls that do not fit: each gives its
//! typed error, and nothing has been written.

use suanzi::mixer::{Cache, Frame, cache_len};
use suanzi::{Cpu, Error};

use crate::asset;
use crate::checkpoint::{Checkpoint, Fault, MAGIC, Tensors};
use crate::llama::{Below, Dims, Llama, Memory, State, Weights};
use crate::teller::Past;
use crate::telling::{File, with_layers};
use crate::tokenizer::{self, BOS, Tokenizer};
use crate::with_tokens_alone;

/// The sizes of a header, in its order.
const NAMES: [&str; 7] = [
    "dim",
    "hidden_dim",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "vocab_size",
    "seq_len",
];
/// A tiny model.
const SIZES: [i32; 7] = [4, 6, 2, 2, 1, 8, 16];
/// One of the sizes, by its place.
const HEADS: usize = 3;
const KV_HEADS: usize = 4;
const VOCAB: usize = 5;
const SEQ_LEN: usize = 6;
/// The greatest size that makes sense.
const GREATEST: i32 = 1 << 24;

/// Returns a header.
fn header(int8: bool, sizes: [i32; 7]) -> Vec<u8> {
    let mut bytes = if int8 { MAGIC.to_vec() } else { Vec::new() };
    bytes.extend(sizes.into_iter().flat_map(i32::to_le_bytes));
    bytes
}

/// Returns the bytes that a file of these sizes has behind its header.
fn body_len(int8: bool, sizes: [i32; 7]) -> usize {
    let separate = sizes[VOCAB] < 0;
    let [dim, hidden, layers, heads, kv_heads, vocab, seq_len] =
        sizes.map(|size| size.unsigned_abs() as usize);
    let head_dim = dim / heads;
    let kv_dim = head_dim * kv_heads;
    let matrix = |rows, columns| {
        if int8 {
            rows * 4 + rows * columns
        } else {
            rows * columns * 4
        }
    };
    let attention = 2 * matrix(dim, dim) + 2 * matrix(kv_dim, dim);
    let gated = 2 * matrix(hidden, dim) + matrix(dim, hidden);
    let norms = 2 * 4 * dim;
    let tables = if int8 { 0 } else { seq_len * head_dim * 4 };
    let classifiers = 1 + usize::from(separate);
    classifiers * matrix(vocab, dim) + layers * (attention + gated + norms) + 4 * dim + tables
}

/// Returns a whole file whose weights are zero.
fn file(int8: bool, sizes: [i32; 7]) -> Vec<u8> {
    let mut bytes = header(int8, sizes);
    bytes.resize(bytes.len() + body_len(int8, sizes), 0);
    bytes
}

/// Returns the sizes with another one at a place.
fn with(place: usize, size: i32) -> [i32; 7] {
    let mut sizes = SIZES;
    sizes[place] = size;
    sizes
}

/// Reads a model from an aligned copy of the bytes.
fn fault_of(bytes: &[u8]) -> Option<Fault> {
    Checkpoint::parse(File::new(bytes).bytes()).err()
}

#[test]
fn whole_models_are_read() {
    let dims = Dims {
        dim: 4,
        hidden_dim: 6,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        vocab: 8,
        seq_len: 16,
    };
    for (int8, sizes) in [(false, SIZES), (true, SIZES), (false, with(VOCAB, -8))] {
        let file = File::new(&file(int8, sizes));
        let read = Checkpoint::parse(file.bytes()).map(|model| model.dims());
        assert_eq!(read, Ok(dims));
    }
}

#[test]
fn a_bad_size_is_named() {
    let mut table: Vec<(bool, [i32; 7], usize)> = Vec::new();
    for int8 in [false, true] {
        for place in 0..NAMES.len() {
            for size in [0, i32::MIN, -GREATEST - 1, GREATEST + 1, i32::MAX] {
                table.push((int8, with(place, size), place));
            }
            // A negative vocabulary is llama2.c's sign for a classifier of its own.
            if int8 || place != VOCAB {
                table.push((int8, with(place, -1), place));
            }
        }
        // Heads that do not divide the width, of an odd width, and in uneven groups.
        table.push((int8, with(HEADS, 3), HEADS));
        table.push((int8, with(HEADS, 4), HEADS));
        table.push((int8, with(HEADS, 8), HEADS));
        table.push((int8, with(KV_HEADS, 3), KV_HEADS));
        table.push((int8, with(KV_HEADS, 4), KV_HEADS));
    }
    for (int8, sizes, place) in table {
        let (name, found) = (NAMES[place], sizes[place]);
        let mut bytes = header(int8, sizes);
        bytes.resize(4096, 0);
        let fault = fault_of(&bytes);
        assert_eq!(fault, Some(Fault::Size { name, found }), "{sizes:?}");
    }
}

#[test]
fn a_cut_or_padded_model_is_told_by_its_length() {
    for (int8, sizes) in [
        (false, SIZES),
        (false, with(VOCAB, -8)),
        (true, SIZES),
        (true, with(SEQ_LEN, GREATEST)),
    ] {
        let whole = file(int8, sizes);
        let header_len = header(int8, sizes).len();
        for found in 0..whole.len() {
            let expected = if found < header_len {
                Fault::Header { found }
            } else {
                Fault::Length {
                    expected: whole.len() as u64,
                    found,
                }
            };
            assert_eq!(fault_of(&whole[..found]), Some(expected));
        }
        let mut padded = whole.clone();
        for _ in 0..9 {
            padded.push(0);
            let expected = Fault::Length {
                expected: whole.len() as u64,
                found: padded.len(),
            };
            assert_eq!(fault_of(&padded), Some(expected));
        }
    }
    // Lengths beyond 64 bits are reported as the greatest one.
    let g = GREATEST;
    for (int8, found) in [(false, 28), (true, 36)] {
        let fault = fault_of(&header(int8, [g, g, g, 1, 1, g, g]));
        let expected = u64::MAX;
        assert_eq!(fault, Some(Fault::Length { expected, found }));
    }
}

#[test]
fn a_model_that_cannot_be_read_in_place_is_refused() {
    for int8 in [false, true] {
        let whole = file(int8, SIZES);
        for shift in 1..4 {
            let mut bytes = vec![0; shift];
            bytes.extend(&whole);
            let shifted = File::new(&bytes);
            let fault = Checkpoint::parse(&shifted.bytes()[shift..]).err();
            assert_eq!(fault, Some(Fault::Alignment));
        }
    }
    // Rows whose bytes leave the scales of the next matrix unaligned.
    let sizes = [2, 3, 1, 1, 1, 4, 16];
    assert_eq!(fault_of(&file(true, sizes)), Some(Fault::Alignment));
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let text = b"Once upon a time, there was a file that was no model at all.";
    let word = i32::from_le_bytes(*b"Once");
    let size = |found| Fault::Size { name: "dim", found };
    assert_eq!(fault_of(text), Some(size(word)));
    assert_eq!(fault_of(&[0xff; 100]), Some(size(-1)));
    assert_eq!(fault_of(&[0; 100]), Some(size(0)));
    let other = fault_of(b"suanzi2\0 with some more bytes behind it");
    assert_eq!(other, Some(size(i32::from_le_bytes(*b"suan"))));
}

#[test]
fn no_flipped_bit_in_a_header_goes_unnoticed() {
    let bytes = std::fs::read(asset("story.bin")).unwrap();
    let seq_len_at = MAGIC.len() + 4 * SEQ_LEN;
    for bit in 0..8 * seq_len_at {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let fault = fault_of(&bytes).unwrap_or_else(|| panic!("bit {bit} changes nothing"));
        assert!(!fault.to_string().is_empty());
    }
    for found in (0..bytes.len()).step_by(997) {
        let fault = fault_of(&bytes[..found]);
        assert!(matches!(
            fault,
            Some(Fault::Header { .. } | Fault::Length { .. })
        ));
    }
}

/// Returns a tokenizer file.
fn pieces(texts: &[&str]) -> Vec<u8> {
    let mut bytes = 16_i32.to_le_bytes().to_vec();
    for text in texts {
        bytes.extend(1_f32.to_le_bytes());
        bytes.extend((text.len() as i32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[test]
fn a_cut_garbled_or_foreign_tokenizer_is_refused() {
    use tokenizer::Fault;

    let texts = ["<unk>", "<s>", "</s>", " one", " two", ""];
    let whole = pieces(&texts);
    let expected = texts.len();
    let read = |bytes: &[u8], vocab| Tokenizer::parse(bytes, vocab).err();
    assert_eq!(read(&whole, expected), None);

    // Cut off anywhere: the pieces that end before the cut are readable.
    let ends: Vec<usize> = (1..=expected).map(|n| pieces(&texts[..n]).len()).collect();
    for len in 0..whole.len() {
        let found = ends.iter().filter(|&&end| end <= len).count();
        let fault = read(&whole[..len], expected);
        assert_eq!(fault, Some(Fault::Pieces { expected, found }), "{len}");
    }
    // A model with more tokens, and with fewer.
    let fault = Fault::Pieces {
        expected: 7,
        found: 6,
    };
    assert_eq!(read(&whole, 7), Some(fault));
    assert_eq!(read(&whole, 5), Some(Fault::Trailing { bytes: 8 }));
    assert_eq!(read(&whole, 4), Some(Fault::Trailing { bytes: 20 }));
    let fault = Fault::Pieces {
        expected: usize::MAX,
        found: 6,
    };
    assert_eq!(read(&whole, usize::MAX), Some(fault));
    // Lengths that the file does not have.
    let length_at = 4 + 4;
    for length in [-1, i32::MIN, i32::MAX, whole.len() as i32] {
        let mut bytes = whole.clone();
        bytes[length_at..][..4].copy_from_slice(&length.to_le_bytes());
        let fault = Fault::Pieces { expected, found: 0 };
        assert_eq!(read(&bytes, expected), Some(fault), "length {length}");
    }
    // The tokenizer of the embedded model, with each other vocabulary near its own.
    let bytes = std::fs::read(asset("story.tok")).unwrap();
    let model = File::read(&asset("story.bin"));
    let vocab = model.integers().dims().vocab;
    for other in [0, 1, vocab - 1, vocab + 1, 2 * vocab] {
        let fault = read(&bytes, other).expect("another vocabulary");
        assert!(!fault.to_string().is_empty());
    }
}

#[test]
fn a_prompt_that_is_too_long_is_refused() {
    let bytes = std::fs::read(asset("story.tok")).unwrap();
    let model = File::read(&asset("story.bin"));
    let tokenizer = Tokenizer::parse(&bytes, model.integers().dims().vocab).unwrap();
    let text = "Once upon a time";
    // BOS, a space, the characters.
    let needed = 2 + text.len();
    for limit in 0..needed {
        let mut tokens = vec![u32::MAX; limit];
        let fault = tokenizer.encode(text, &mut tokens).err();
        assert_eq!(fault, Some(tokenizer::Fault::Long { limit }));
        assert_eq!(tokens, vec![u32::MAX; limit], "nothing is written");
    }
    let mut tokens = vec![u32::MAX; needed];
    let len = tokenizer.encode(text, &mut tokens).unwrap();
    assert!(len < needed && tokens[0] == BOS);
}

#[test]
fn every_text_comes_back_from_its_tokens() {
    let bytes = std::fs::read(asset("story.tok")).unwrap();
    let model = File::read(&asset("story.bin"));
    let tokenizer = Tokenizer::parse(&bytes, model.integers().dims().vocab).unwrap();
    let story = crate::embedded_oracle().text;
    for text in [
        &story,
        "",
        " ",
        "a",
        "  two  spaces ",
        "naïve 算子 \u{1f980}\n<0x41>",
    ] {
        let mut tokens = vec![0; 2 + text.len()];
        let len = tokenizer.encode(text, &mut tokens).unwrap();
        let back = crate::text(tokenizer, &tokens[..len]);
        assert_eq!(back, *text);
    }
    // A token that the vocabulary lacks has no text.
    assert_eq!(tokenizer.decode(BOS, u32::MAX, &mut [0]), b"");
}

/// A tiny model, the storage of its state, and what a refused call may change of it.
fn refused(
    expected: Error,
    state_len: usize,
    call: impl FnOnce(&Llama<'_, Tensors<'_, f32>>, &mut State<'_>) -> Result<(), Error>,
) {
    let file = File::new(&file(false, SIZES));
    let weights = file.floats();
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(weights, &mut frequencies, Cpu::default()).unwrap();
    let mut storage = vec![7.0; dims.state_len()];
    let result = call(&model, &mut State::new(dims, &mut storage).unwrap());
    assert_eq!(result, Err(expected));
    let untouched = &storage[storage.len() - state_len..];
    assert!(untouched.iter().all(|&x| x == 7.0), "{expected:?}: written");
}

/// A memory that is not reached.
struct Unreached;

impl Memory for Unreached {
    fn attend(
        &mut self,
        _: usize,
        _: usize,
        _: &[f32],
        _: &[f32],
        _: &[f32],
        _: &mut [f32],
    ) -> Result<(), Error> {
        panic!("a refused step reached its memory");
    }
}

/// Caches of the tiny model for a number of layers and tokens.
fn with_caches(dims: Dims, layers: usize, tokens: usize, run: impl FnOnce(&mut Past<'_>)) {
    let (heads, dim) = (dims.kv_heads, dims.head_dim());
    let part = || vec![0.0; cache_len(heads, dim, tokens)];
    let cache = || Cache::<f32, _>::new(heads, dim, dim, part(), part()).unwrap();
    with_layers(Dims { layers, ..dims }, Cpu::default(), cache, run);
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let model = File::new(&file(false, SIZES));
    let dims = model.floats().dims();
    let [vocab, seq_len] = [SIZES[VOCAB] as usize, SIZES[SEQ_LEN] as usize];
    let (everything, logits) = (dims.state_len(), dims.vocab);

    // Buffers of another length.
    let expected = dims.pairs();
    for found in [0, expected + 1] {
        let mut frequencies = vec![0; found];
        let error = Llama::new(model.floats(), &mut frequencies, Cpu::default()).err();
        assert_eq!(error, Some(Error::Length { expected, found }));
        assert!(frequencies.iter().all(|&x| x == 0), "nothing is written");
    }
    let error = State::new(dims, &mut vec![0.0; everything - 1]).err();
    let (expected, found) = (logits, logits - 1);
    assert_eq!(error, Some(Error::Length { expected, found }));

    // A position and a token that the model does not know.
    let limit = seq_len;
    for position in [seq_len, usize::MAX] {
        refused(Error::Capacity { limit }, everything, |model, state| {
            model.step(1, position, &mut Unreached, state)
        });
    }
    let limit = vocab;
    for token in [vocab, usize::MAX] {
        refused(Error::Capacity { limit }, everything, |model, state| {
            model.step(token, 0, &mut Unreached, state)
        });
    }

    // Fewer caches than layers, and a full cache: no logits.
    let limit = 1;
    with_caches(dims, 1, seq_len, |past| {
        refused(Error::Capacity { limit }, logits, |model, state| {
            step(model, 0, past, state)
        });
    });
    let limit = 3;
    with_caches(dims, dims.layers, 3, |past| {
        refused(Error::Capacity { limit }, logits, |model, state| {
            for position in 0..3 {
                step(model, position, past, state)?;
            }
            state.logits.fill(7.0);
            step(model, 3, past, state)
        });
    });

    // No token, too many, one that the model does not know; short frames, short scratch.
    let again = |expected, state_len, tokens: &[u32]| {
        refused(expected, state_len, |model, state| {
            with_tokens_alone(model, |past| match past {
                Past::Again(below, frames, scratch) => {
                    model.step_again(tokens, below, frames, scratch, state)
                }
                Past::Kept(_) => Ok(()),
            })
        });
    };
    again(Error::Capacity { limit: 0 }, everything, &[]);
    let limit = seq_len;
    again(Error::Capacity { limit }, everything, &[1; 17]);
    let limit = vocab;
    again(Error::Capacity { limit }, logits, &[1, 8]);
    again(Error::Capacity { limit }, logits, &[u32::MAX, 1]);
    let expected = dims.layers;
    for found in 0..expected {
        refused(
            Error::Length { expected, found },
            everything,
            |model, state| {
                let mut scratch = vec![0.0; model.again_len(0)];
                let mut below = Below::new(dims.dim, &mut [], &mut [])?;
                model.step_again(
                    &[1],
                    &mut below,
                    &mut vec![Frame::default(); found],
                    &mut scratch,
                    state,
                )
            },
        );
    }
    let file = File::new(&file(false, SIZES));
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(file.floats(), &mut frequencies, Cpu::default()).unwrap();
    let mut storage = vec![7.0; everything];
    let mut state = State::new(dims, &mut storage).unwrap();
    let mut frames = vec![Frame::default(); dims.layers];
    let mut below = Below::new(dims.dim, &mut [], &mut []).unwrap();
    let error = model.step_again(&[1], &mut below, &mut frames, &mut [], &mut state);
    assert!(matches!(error, Err(Error::Length { found: 0, .. })));
    assert!(storage.iter().all(|&x| x == 7.0), "nothing is written");
}

/// Reads token 1 at a position.
fn step<P: Weights>(
    model: &Llama<'_, P>,
    position: usize,
    past: &mut Past<'_>,
    state: &mut State<'_>,
) -> Result<(), Error> {
    match past {
        Past::Kept(memory) => model.step(1, position, *memory, state),
        Past::Again(..) => Ok(()),
    }
}
