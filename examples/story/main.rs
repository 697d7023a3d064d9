//! Tells a story with a small language model, token by token, from fixed memory.
//!
//!     cargo run --release --example story
//!
//! `llama.rs` is the model, `memory.rs` where its keys and values lie, `checkpoint.rs` and
//! `tokenizer.rs` read the files in place, `sampler.rs` chooses. All of them use `core` alone, so
//! that firmware includes the same files; this file is what a computer adds: arguments, files, the
//! buffers, and a counting allocator that shows that nothing is allocated from the first token on.

mod checkpoint;
mod heap;
mod llama;
mod memory;
mod options;
mod sampler;
mod teller;
mod tokenizer;

use core::error::Error;
use core::time::Duration;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use checkpoint::Checkpoint;
use llama::{Below, Dims, Llama, Memory, State, Weights};
use memory::{Append, Layers};
use options::{Kind, Options};
use sampler::Sampler;
use suanzi::mixer::{
    Cache, Frame, QuantizedCache, Ring, cache_len, checkpoint_cost, checkpoint_len,
};
use suanzi::storage::F16;
use teller::{Past, tell};
use tokenizer::Tokenizer;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Bytes at an address that floats may have.
#[repr(C, align(64))]
struct Aligned<B: ?Sized>(B);

static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("../../assets/story.bin"));
static TOKENIZER: &[u8] = include_bytes!("../../assets/story.tok");

/// The newest tokens that `--memory window` keeps.
const WINDOW: usize = 128;
/// The oldest tokens that it keeps besides.
const SINKS: usize = 4;
/// The tokens that `--memory dial` writes with each checkpoint.
const DIALLED: usize = 16;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("story: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.help {
        print!("{}", options::HELP);
        return Ok(());
    }
    let mut model_words = Vec::new();
    let mut tokenizer_words = Vec::new();
    let (model, tokenizer) = match (&options.model, &options.tokenizer) {
        (Some(model), Some(tokenizer)) => (
            read(model, &mut model_words)?,
            read(tokenizer, &mut tokenizer_words)?,
        ),
        _ => (&MODEL.0, TOKENIZER),
    };
    let checkpoint = Checkpoint::parse(model).map_err(|fault| format!("the model: {fault}"))?;
    let tokenizer = Tokenizer::parse(tokenizer, checkpoint.dims().vocab)?;
    let bytes = model.len();
    match checkpoint {
        Checkpoint::Float(weights) => with_weights(weights, bytes, tokenizer, &options),
        Checkpoint::Int8(weights) => with_weights(weights, bytes, tokenizer, &options),
    }
}

/// Reads a file into words, so that floats in it are aligned.
fn read<'a>(path: &str, words: &'a mut Vec<u64>) -> Result<&'a [u8], String> {
    let bytes = std::fs::read(path)
        .map_err(|error| format!("cannot read {path}: {error}; check the path"))?;
    words.resize(bytes.len().div_ceil(8), 0);
    let aligned = bytemuck::cast_slice_mut::<u64, u8>(words)
        .get_mut(..bytes.len())
        .unwrap_or_default();
    aligned.copy_from_slice(&bytes);
    Ok(aligned)
}

/// Lends every buffer, then tells.
fn with_weights<P: Weights>(
    weights: P,
    weight_bytes: usize,
    tokenizer: Tokenizer<'_>,
    options: &Options,
) -> Result<(), Box<dyn Error>> {
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(weights, &mut frequencies, options.cpu)?;
    let scratch = memory::scratch_len(dims)?;
    let mut teller = Teller {
        model: &model,
        tokenizer,
        options,
        state: vec![0.0; dims.state_len()],
        weight_bytes,
        memory_bytes: 0,
        scratch_bytes: 4 * scratch,
    };
    let mut scratch = vec![0.0; scratch];
    match options.memory {
        Kind::Cache => teller.with_caches::<f32>(dims, &mut scratch),
        Kind::F16 => teller.with_caches::<F16>(dims, &mut scratch),
        Kind::Int8 => teller.with_quantized(dims, &mut scratch),
        Kind::Window => teller.with_rings(dims, &mut scratch),
        Kind::Recompute => teller.with_checkpoint(dims, options.checkpoint),
        Kind::Dial => teller.dial(dims),
    }
}

/// Everything but the memory.
struct Teller<'a, P> {
    model: &'a Llama<'a, P>,
    tokenizer: Tokenizer<'a>,
    options: &'a Options,
    state: Vec<f32>,
    weight_bytes: usize,
    memory_bytes: usize,
    scratch_bytes: usize,
}

impl<P: Weights> Teller<'_, P> {
    fn with_caches<W: suanzi::storage::Stored<f32>>(
        &mut self,
        dims: Dims,
        scratch: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        let (heads, dim) = (dims.kv_heads, dims.head_dim());
        let len = cache_len(heads, dim, dims.seq_len);
        let cache = || {
            Cache::<W, _>::new(
                heads,
                dim,
                dim,
                vec![W::default(); len],
                vec![W::default(); len],
            )
        };
        let mut caches = (0..dims.layers)
            .map(|_| cache())
            .collect::<Result<Vec<_>, _>>()?;
        self.memory_bytes = 2 * dims.layers * len * size_of::<W>();
        self.with_layers(Layers::new(dims, &mut caches, scratch, self.options.cpu)?)
    }

    fn with_quantized(&mut self, dims: Dims, scratch: &mut [f32]) -> Result<(), Box<dyn Error>> {
        let (heads, dim) = (dims.kv_heads, dims.head_dim());
        let len = cache_len(heads, dim, dims.seq_len);
        let part = || (vec![0; len], vec![0.0; heads * dims.seq_len]);
        let cache = || QuantizedCache::new(heads, dim, dim, part(), part());
        let mut caches = (0..dims.layers)
            .map(|_| cache())
            .collect::<Result<Vec<_>, _>>()?;
        self.memory_bytes = 2 * dims.layers * (len + 4 * heads * dims.seq_len);
        self.with_layers(Layers::new(dims, &mut caches, scratch, self.options.cpu)?)
    }

    fn with_rings(&mut self, dims: Dims, scratch: &mut [f32]) -> Result<(), Box<dyn Error>> {
        let (heads, dim) = (dims.kv_heads, dims.head_dim());
        let len = cache_len(heads, dim, SINKS + WINDOW.min(dims.seq_len));
        let ring = || Ring::<f32, _>::new(heads, dim, dim, SINKS, vec![0.0; len], vec![0.0; len]);
        let mut rings = (0..dims.layers)
            .map(|_| ring())
            .collect::<Result<Vec<_>, _>>()?;
        self.memory_bytes = 2 * dims.layers * len * size_of::<f32>();
        self.with_layers(Layers::new(dims, &mut rings, scratch, self.options.cpu)?)
    }

    fn with_layers<C: Append>(&mut self, mut layers: Layers<'_, C>) -> Result<(), Box<dyn Error>> {
        let memory: &mut dyn Memory = &mut layers;
        self.tell(&mut Past::Kept(memory))
    }

    fn with_checkpoint(&mut self, dims: Dims, kept: usize) -> Result<(), Box<dyn Error>> {
        if kept > dims.layers {
            return Err(format!("--checkpoint is at most {}, the layers", dims.layers).into());
        }
        self.recomputed(dims, kept, Self::tell)
    }

    /// Lends the buffers of recomputation above `kept` layers.
    fn recomputed<R>(
        &mut self,
        dims: Dims,
        kept: usize,
        run: impl FnOnce(&mut Self, &mut Past<'_>) -> Result<R, Box<dyn Error>>,
    ) -> Result<R, Box<dyn Error>> {
        let (heads, dim) = (dims.kv_heads, dims.head_dim());
        let len = cache_len(heads, dim, dims.seq_len);
        let mut storage = vec![0.0; 2 * kept * len];
        let mut caches = storage
            .chunks_exact_mut(2 * len)
            .map(|part| {
                let (keys, values) = part.split_at_mut(len);
                Cache::new(heads, dim, dim, keys, values)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows = vec![0.0; checkpoint_len(dims.layers, kept, dims.dim, dims.seq_len)];
        let mut frames = vec![Frame::default(); dims.layers - kept];
        let mut again = vec![0.0; self.model.again_len(kept)];
        self.memory_bytes = 4 * (2 * kept * len + rows.len());
        self.scratch_bytes = 4 * again.len() + size_of_val(&frames[..]);
        let mut below = Below::new(dims.dim, &mut caches, &mut rows)?;
        run(self, &mut Past::Again(&mut below, &mut frames, &mut again))
    }

    /// Tells the same beginning with every checkpoint; prints what each costs.
    fn dial(&mut self, dims: Dims) -> Result<(), Box<dyn Error>> {
        let limit = self.options.tokens.unwrap_or(DIALLED);
        let mut first: Option<Vec<u32>> = None;
        for kept in (0..=dims.layers).rev() {
            let told = self.recomputed(dims, kept, |teller, past| {
                teller.run(past, limit, first.is_none())
            })?;
            if first.is_none() {
                println!(
                    "\nlayers kept   memory, bytes   keys for the last token   ms a token   the last"
                );
            }
            let written = told.tokens.len();
            let position = written.saturating_sub(2);
            let keys = checkpoint_cost(dims.layers, kept, position).unwrap_or(u128::MAX);
            println!(
                "{kept:>11} {:>15} {keys:>25} {:>12.3} {:>10.3}",
                self.memory_bytes + self.scratch_bytes,
                1e3 * told.time.as_secs_f64() / (written.max(2) - 1) as f64,
                1e3 * told.last.as_secs_f64(),
            );
            if told.allocations > 0 {
                return Err(format!("a checkpoint above {kept} layers allocates").into());
            }
            if *first.get_or_insert_with(|| told.tokens.clone()) != told.tokens {
                return Err(format!("a checkpoint above {kept} layers told another story").into());
            }
        }
        Ok(())
    }

    /// Tells a story, with every buffer lent before the first token.
    fn run(
        &mut self,
        past: &mut Past<'_>,
        limit: usize,
        aloud: bool,
    ) -> Result<Told, Box<dyn Error>> {
        let dims = self.model.dims();
        let options = self.options;
        let mut tokens = vec![0; limit.saturating_add(1).min(dims.seq_len)];
        let prompt = self.tokenizer.encode(&options.prompt, &mut tokens)?;
        let mut sampler = Sampler::new(options.choice, options.seed, options.cpu);
        let mut state = State::new(dims, &mut self.state)?;
        let mut out = std::io::stdout().lock();

        let before = heap::allocations();
        let start = Instant::now();
        let (mut previously, mut last) = (start, Duration::ZERO);
        let tokenizer = &self.tokenizer;
        let written = tell(
            self.model,
            past,
            &mut state,
            &mut sampler,
            &mut tokens,
            prompt,
            |previous, token| {
                let at = Instant::now();
                (last, previously) = (at - previously, at);
                if aloud {
                    let mut byte = [0];
                    // A reader that went away is no reason to stop the count.
                    let _ = out.write_all(tokenizer.decode(previous, token, &mut byte));
                    let _ = out.flush();
                }
            },
        )?;
        let time = start.elapsed();
        let allocations = heap::allocations() - before;
        if aloud {
            writeln!(out)?;
        }
        tokens.truncate(written);
        Ok(Told {
            tokens,
            time,
            last,
            allocations,
        })
    }

    fn tell(&mut self, past: &mut Past<'_>) -> Result<(), Box<dyn Error>> {
        let options = self.options;
        let told = self.run(past, options.tokens.unwrap_or(usize::MAX), true)?;
        if options.stats {
            self.print_stats(&told);
        }
        Ok(())
    }

    fn print_stats(&self, told: &Told) {
        let options = self.options;
        let state = 4 * self.state.len();
        let other = 4 * told.tokens.capacity() + 8 * self.model.dims().pairs();
        let written = told.tokens.len() - 1;
        eprintln!();
        eprintln!(
            "weights              {:>9} bytes, read in place",
            self.weight_bytes
        );
        eprintln!(
            "keys and values      {:>9} bytes ({:?})",
            self.memory_bytes, options.memory
        );
        eprintln!("attention scratch    {:>9} bytes", self.scratch_bytes);
        eprintln!("activations, logits  {state:>9} bytes");
        eprintln!("tokens, frequencies  {other:>9} bytes");
        eprintln!(
            "allocations          {:>9} from the first token on",
            told.allocations
        );
        eprintln!(
            "speed                {:>9.0} tokens a second ({written} tokens, {:?}{})",
            written as f64 / told.time.as_secs_f64(),
            options.cpu.level(),
            if options.cpu.is_fused() {
                ", fused"
            } else {
                ""
            },
        );
    }
}

/// What was told, and what it took.
struct Told {
    tokens: Vec<u32>,
    time: Duration,
    /// The time of the last token.
    last: Duration,
    /// Those from the first token on.
    allocations: usize,
}
