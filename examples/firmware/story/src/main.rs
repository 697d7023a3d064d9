//! The embedded model tells its likeliest story on a Cortex-M4F, from static memory, and checks the
//! bits of its logits against those of every other processor.
//!
//! The files of `examples/story` are included as they are; this one is what a firmware adds: statics
//! for the buffers, and `defmt` for the messages.

#![no_std]
#![no_main]
#![allow(
    dead_code,
    reason = "the example reads other files and keeps other memories as well"
)]

#[path = "../../../story/checkpoint.rs"]
mod checkpoint;
#[path = "../../../../tests/bits/hash.rs"]
mod hash;
#[path = "../../../story/llama.rs"]
mod llama;
#[path = "../../../story/memory.rs"]
mod memory;
#[path = "../../../story/tokenizer.rs"]
mod tokenizer;

use core::panic::PanicInfo;

use checkpoint::{Checkpoint, Tensors};
use cortex_m as _;
use cortex_m_rt::entry;
use defmt_semihosting as _;
use hash::{Case, Fnv, expected};
use heapless::String;
use llama::{Dims, Llama, State, Weights};
use memory::Layers;
use semihosting::process;
use static_cell::StaticCell;
use suanzi::mixer::{Cache, Tokens, cache_len};
use suanzi::probability::argmax;
use suanzi::{Cpu, Error};
use tokenizer::{BOS, EOS, Tokenizer};

/// Bytes at an address that floats may have.
#[repr(C, align(4))]
struct Aligned<B: ?Sized>(B);

static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../../assets/story.bin"));
static TOKENIZER: &[u8] = include_bytes!("../../../../assets/story.tok");

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../../tests/bits.txt");
/// The greedy tokens, in the first line.
const ORACLE: &str = include_str!("../../../../assets/story-oracle.txt");

/// The line of the logits in [`FILE`].
const LOGITS: Case = Case {
    operation: "logits_embedded",
    number: "f32",
    from: 0,
    to: HASHED - 1,
};
/// The positions whose logits are hashed.
const HASHED: usize = 256;

/// The sizes that the memory is laid out for: those of the embedded model.
const DIMS: Dims = Dims {
    dim: 128,
    hidden_dim: 288,
    layers: 5,
    heads: 4,
    kv_heads: 2,
    vocab: 1024,
    seq_len: 512,
};
/// Keys, or values, of one layer.
const KEPT: usize = cache_len(DIMS.kv_heads, DIMS.head_dim(), DIMS.seq_len);
/// What attention works in.
const SCRATCH: usize = 1024;

/// Everything that is written.
struct Memory {
    keys: [[f32; KEPT]; DIMS.layers],
    values: [[f32; KEPT]; DIMS.layers],
    scratch: [f32; SCRATCH],
    state: [f32; DIMS.state_len()],
    frequencies: [u64; DIMS.pairs()],
    tokens: Tokens<{ DIMS.seq_len }>,
    line: String<LINE>,
}

/// Bytes of a line of text, and one word more.
const LINE: usize = 120;
/// Bytes after which a line ends at the next space.
const FULL: usize = 80;

static MEMORY: StaticCell<Memory> = StaticCell::new();

/// Why there is no story.
#[derive(Clone, Copy, Debug, defmt::Format)]
enum Fault {
    /// The model or its tokenizer is damaged, or another model than [`DIMS`].
    Model,
    /// An operation refused its operands.
    Refused(Error),
    /// The tokens or the logits are not those of other processors.
    Differs,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

#[entry]
fn main() -> ! {
    let memory = MEMORY.init_with(Memory::new);
    defmt::println!(
        "suanzi on {}: {=usize} bytes of weights, {=usize} bytes of memory",
        Cpu::default(),
        MODEL.0.len(),
        size_of::<Memory>()
    );
    match tell(memory) {
        Ok(tokens) => {
            defmt::println!("{=usize} tokens, the same bits as everywhere", tokens);
            process::exit(0)
        }
        Err(fault) => {
            defmt::error!("{}", fault);
            process::exit(1)
        }
    }
}

impl Memory {
    const fn new() -> Self {
        Self {
            keys: [[0.0; KEPT]; DIMS.layers],
            values: [[0.0; KEPT]; DIMS.layers],
            scratch: [0.0; SCRATCH],
            state: [0.0; DIMS.state_len()],
            frequencies: [0; DIMS.pairs()],
            tokens: Tokens::new(),
            line: String::new(),
        }
    }
}

/// Tells the story to its end; returns the number of tokens.
fn tell(memory: &mut Memory) -> Result<usize, Fault> {
    let Ok(Checkpoint::Int8(weights)) = Checkpoint::parse(&MODEL.0) else {
        return Err(Fault::Model);
    };
    if weights.dims() != DIMS {
        return Err(Fault::Model);
    }
    let tokenizer = Tokenizer::parse(TOKENIZER, DIMS.vocab).map_err(|_| Fault::Model)?;
    let cpu = Cpu::default();
    let mut caches = caches(&mut memory.keys, &mut memory.values)?;
    let mut layers = Layers::new(DIMS, &mut caches, &mut memory.scratch, cpu)?;
    let model: Llama<'_, Tensors<'_, i8>> = Llama::new(weights, &mut memory.frequencies, cpu)?;
    let mut state = State::new(DIMS, &mut memory.state)?;
    let mut logits = Fnv::new();
    let mut text = Text::new(&mut memory.line);

    let tokens = &mut memory.tokens;
    let mut token = BOS;
    let mut told = None;
    // The hash is over so many positions that it goes on after the end.
    while told.is_none() || tokens.len() < HASHED {
        let position = tokens.len();
        let limit = tokens.capacity();
        tokens.push(token).map_err(|_| Error::Capacity { limit })?;
        model.step(token as usize, position, &mut layers, &mut state)?;
        if position < HASHED {
            for x in &*state.logits {
                logits.write(x.to_bits().into());
            }
        }
        let next = argmax(Cpu::default(), state.logits).unwrap_or(0) as u32;
        if matches!(next, BOS | EOS) {
            told = told.or(Some(tokens.len()));
        }
        if told.is_none() {
            text.write(tokenizer.decode(token, next, &mut [0]));
        }
        token = next;
    }
    text.end();

    let told = told.unwrap_or(tokens.len());
    let oracle = ORACLE.lines().next().unwrap_or_default().split(' ');
    // The oracle's last token is the one that ends the story.
    let same = tokens.iter().take(told + 1).map(|&token| Ok(token));
    if same.eq(oracle.map(str::parse)) && Some(logits.finish()) == expected(FILE, LOGITS) {
        Ok(told)
    } else {
        Err(Fault::Differs)
    }
}

/// A cache of one layer.
type OneLayer<'a> = Cache<f32, &'a mut [f32]>;

/// Returns one cache a layer.
fn caches<'a>(
    keys: &'a mut [[f32; KEPT]; DIMS.layers],
    values: &'a mut [[f32; KEPT]; DIMS.layers],
) -> Result<[OneLayer<'a>; DIMS.layers], Error> {
    let [k0, k1, k2, k3, k4] = keys;
    let [v0, v1, v2, v3, v4] = values;
    let cache = |keys: &'a mut [f32; KEPT], values: &'a mut [f32; KEPT]| {
        let dim = DIMS.head_dim();
        Cache::new(DIMS.kv_heads, dim, dim, &mut keys[..], &mut values[..])
    };
    Ok([
        cache(k0, v0)?,
        cache(k1, v1)?,
        cache(k2, v2)?,
        cache(k3, v3)?,
        cache(k4, v4)?,
    ])
}

/// Text that leaves line by line.
struct Text<'a> {
    line: &'a mut String<LINE>,
}

impl<'a> Text<'a> {
    fn new(line: &'a mut String<LINE>) -> Self {
        line.clear();
        Self { line }
    }

    /// Takes the bytes of a token; a line ends in front of the word that would make it too long.
    fn write(&mut self, bytes: &[u8]) {
        let piece = core::str::from_utf8(bytes).unwrap_or("?");
        let full = self.line.len() >= FULL && piece.starts_with(' ');
        if full || piece.contains('\n') || self.line.len() + piece.len() > LINE {
            self.end();
            let _ = self.line.push_str(piece.trim_start());
        } else {
            let _ = self.line.push_str(piece);
        }
    }

    /// Ends the line.
    fn end(&mut self) {
        defmt::println!("{=str}", self.line.as_str());
        self.line.clear();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    defmt::error!("panic");
    process::exit(101)
}
