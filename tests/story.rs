//! The main job on real weights: the modules of `examples/story` against `f64` oracles.
//!
//! The embedded model and its oracle are in `assets/`. stories260K and GlassLLM are in the shared test
//! data and skipped aloud without them. Logits in the portable order are hashed and compared with
//! `bits.txt`, in debug as in release; `SUANZI_BLESS=1 cargo test --test story` writes the lines anew,
//! for another embedded model or a change that means to change results.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
#[path = "../examples/story/checkpoint.rs"]
mod checkpoint;
#[path = "story/corrupt.rs"]
mod corrupt;
#[path = "story/glass.rs"]
mod glass;
#[path = "story/half_split.rs"]
mod half_split;
#[path = "bits/hash.rs"]
mod hash;
#[path = "../examples/story/heap.rs"]
mod heap;
#[path = "../examples/story/llama.rs"]
mod llama;
#[path = "../examples/story/memory.rs"]
mod memory;
mod reference;
#[path = "../examples/story/sampler.rs"]
mod sampler;
#[path = "../examples/story/teller.rs"]
mod teller;
#[path = "story/telling.rs"]
mod telling;
#[path = "../examples/story/tokenizer.rs"]
mod tokenizer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use accuracy::bound32;
use glass::Glass;
use half_split::HalfSplit;
use hash::{Case, Fnv};
use llama::{Dims, Llama, State, Weights};
use reference::golden::shared;
use sampler::{Choice, Sampler};
use suanzi::mixer::{
    Cache, Checkpoint as Kept, Frame, QuantizedCache, Ring, cache_len, checkpoint_len,
};
use suanzi::storage::F16;
use suanzi::{Cpu, Level};
use teller::{Past, tell};
use telling::{File, HASHED, greedy, with_cache, with_layers};
use tokenizer::{BOS, EOS, Tokenizer};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every level that runs here, in portable and in fused arithmetic.
fn executors() -> Vec<Cpu> {
    let mut executors = Vec::new();
    for level in Level::ALL {
        match Cpu::with(level) {
            Ok(cpu) => executors.extend([cpu, cpu.with_fused(true)]),
            Err(_) => eprintln!("SKIPPED: {level:?} is not on this machine"),
        }
    }
    executors
}

/// Returns the path of a file of the repository.
fn asset(name: &str) -> PathBuf {
    Path::new(ROOT).join("assets").join(name)
}

/// Reads numbers between white space.
fn numbers<N: core::str::FromStr>(text: &str) -> Vec<N> {
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("a number: {word}"));
    text.split_whitespace().map(number).collect()
}

/// Reads a file of little-endian `f64`.
fn doubles(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap();
    let (words, _) = bytes.as_chunks();
    words.iter().map(|&word| f64::from_le_bytes(word)).collect()
}

/// Keeps every key and value in int8.
fn with_quantized<R>(dims: Dims, cpu: Cpu, run: impl FnOnce(&mut Past<'_>) -> R) -> R {
    let (heads, dim) = (dims.kv_heads, dims.head_dim());
    let len = cache_len(heads, dim, dims.seq_len);
    let part = || (vec![0; len], vec![0.0; heads * dims.seq_len]);
    let cache = || QuantizedCache::new(heads, dim, dim, part(), part()).unwrap();
    with_layers(dims, cpu, cache, run)
}

/// Keeps the first four keys and values and the newest.
fn with_ring<R>(dims: Dims, cpu: Cpu, window: usize, run: impl FnOnce(&mut Past<'_>) -> R) -> R {
    let (heads, dim, sinks) = (dims.kv_heads, dims.head_dim(), 4);
    let part = || vec![0.0; cache_len(heads, dim, sinks + window)];
    let ring = || Ring::<f32, _>::new(heads, dim, dim, sinks, part(), part()).unwrap();
    with_layers(dims, cpu, ring, run)
}

/// Keeps the tokens and what lies below a checkpoint above `kept` layers.
fn with_tokens<P: Weights, R>(
    model: &Llama<'_, P>,
    kept: usize,
    run: impl FnOnce(&mut Past<'_>) -> R,
) -> R {
    let dims = model.dims();
    let (heads, dim, layers) = (dims.kv_heads, dims.head_dim(), dims.layers);
    let len = cache_len(heads, dim, dims.seq_len);
    let mut storage = vec![0.0; 2 * kept * len];
    let mut caches: Vec<_> = storage
        .chunks_mut(2 * len)
        .map(|part| {
            let (keys, values) = part.split_at_mut(len);
            Cache::new(heads, dim, dim, keys, values).unwrap()
        })
        .collect();
    let mut rows = vec![0.0; checkpoint_len(layers, kept, dims.dim, dims.seq_len)];
    let mut below = Kept::new(dims.dim, &mut caches, &mut rows).unwrap();
    let mut frames = vec![Frame::default(); layers - kept];
    let mut scratch = vec![0.0; model.again_len(kept)];
    run(&mut Past::Again(&mut below, &mut frames, &mut scratch))
}

/// Keeps nothing but the tokens.
fn with_tokens_alone<P: Weights, R>(
    model: &Llama<'_, P>,
    run: impl FnOnce(&mut Past<'_>) -> R,
) -> R {
    with_tokens(model, 0, run)
}

/// What a float64 program says of a model's greedy tokens.
struct Oracle {
    tokens: Vec<u32>,
    text: String,
    /// The first logits, position after position.
    logits: Vec<Vec<f64>>,
    /// The negative log-likelihood of all tokens after the first.
    nats: f64,
}

impl Oracle {
    /// Panics unless the model tells the oracle's tokens, text, logits and likelihood on every
    /// executor, with the same bits on every level.
    fn hold<P: Weights + Copy>(&self, weights: P, tokenizer: Tokenizer<'_>, name: &'static str) {
        let dims = weights.dims();
        let len = self.tokens.len().max(HASHED + 1).min(dims.seq_len);
        for cpu in executors() {
            let mut frequencies = vec![0; dims.pairs()];
            let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
            let (mut hash, mut nats, mut error) = (Fnv::new(), 0.0, 0.0_f64);
            let tokens = with_cache::<f32, _>(dims, cpu, |past| {
                greedy(&model, past, &[BOS], len, |position, logits| {
                    for x in logits.iter().take_while(|_| position < HASHED) {
                        hash.write(x.to_bits().into());
                    }
                    let oracle = self.logits.get(position).map_or(&[][..], |l| l);
                    for (x, oracle) in logits.iter().zip(oracle) {
                        error = error.max((f64::from(*x) - oracle).abs());
                    }
                    if let Some(&next) = self.tokens.get(position + 1) {
                        nats -= log_probability(logits, next, cpu);
                    }
                })
            });
            let told = &tokens[..self.tokens.len()];
            assert_eq!(told, self.tokens, "{cpu:?}");
            assert_eq!(text(tokenizer, told), self.text, "{cpu:?}");
            let bound = bound32("logits of a small model");
            println!("{name} {cpu:?}: logits within {error:.2e}, {nats} nats");
            assert!(error <= bound, "{cpu:?}: logits {error:e} off");
            let (off, bound) = ((nats - self.nats).abs(), bound * self.tokens.len() as f64);
            assert!(off <= bound, "{cpu:?}: {nats} nats, not {}", self.nats);
            if !cpu.is_fused() {
                check_hash(name, len.min(HASHED), hash.finish(), cpu.level());
            }
        }
    }
}

/// Returns the natural logarithm of a token's probability.
fn log_probability(logits: &[f32], token: u32, cpu: Cpu) -> f64 {
    use suanzi::probability::{LogSoftmax, ProbabilityMap};
    let mut x = logits.to_vec();
    LogSoftmax::default()
        .on(cpu)
        .map_in_place(&mut x[..])
        .unwrap();
    x[token as usize].into()
}

/// Returns the text of tokens up to the end of the story.
fn text(tokenizer: Tokenizer<'_>, tokens: &[u32]) -> String {
    let mut bytes = Vec::new();
    for pair in tokens.windows(2).take_while(|pair| !is_end(pair[1])) {
        bytes.extend_from_slice(tokenizer.decode(pair[0], pair[1], &mut [0]));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_end(token: u32) -> bool {
    matches!(token, BOS | EOS)
}

/// Compares the hash of the logits of the first positions with the line in `bits.txt`.
fn check_hash(name: &'static str, positions: usize, hash: u64, level: Level) {
    static WRITER: Mutex<()> = Mutex::new(());
    let _guard = WRITER.lock();
    let path = Path::new(ROOT).join("tests/bits.txt");
    let mut file = fs::read_to_string(&path).unwrap();
    let case = Case {
        operation: name,
        number: "f32",
        from: 0,
        to: positions - 1,
    };
    if std::env::var_os("SUANZI_BLESS").is_some() && level == Level::Scalar {
        let others = file.lines().filter(|line| !line.starts_with(name));
        let others: Vec<_> = others.collect();
        file = others.join("\n") + &format!("\n{name} f32 0 {} {hash:016x}\n", positions - 1);
        fs::write(&path, &file).unwrap();
    }
    let expected = hash::expected(&file, case);
    assert!(
        expected == Some(hash),
        "{level:?}: {hash:016x} is not in the line of {name} in tests/bits.txt, {expected:x?}; \
         SUANZI_BLESS=1 cargo test --test story writes it for another model"
    );
}

/// Returns the bits of the logits of the first `positions` positions.
fn logit_bits<P: Weights>(model: &Llama<'_, P>, past: &mut Past<'_>, positions: usize) -> Vec<u32> {
    let mut bits = Vec::new();
    greedy(model, past, &[BOS], positions + 1, |_, logits| {
        bits.extend(logits.iter().map(|x| x.to_bits()));
    });
    bits
}

/// The files of stories260K, if they are here.
fn stories260k() -> Option<(File, Vec<u8>, Oracle)> {
    let path = shared("data/stories260K")?;
    let readme = fs::read_to_string(shared("data/README.md")?).unwrap();
    let nats = readme
        .split_once("the 256 greedy tokens given their prefixes: ")
        .and_then(|(_, rest)| rest.split_once(" nats"))
        .expect("the likelihood in the README");
    let oracle = Oracle {
        tokens: numbers(&fs::read_to_string(path.join("greedy-256.tokens.txt")).unwrap()),
        text: fs::read_to_string(path.join("greedy-256.text.txt")).unwrap(),
        logits: doubles(&path.join("logits-pos0-3.f64"))
            .chunks(512)
            .map(<[f64]>::to_vec)
            .collect(),
        nats: nats.0.parse().unwrap(),
    };
    assert_eq!((oracle.tokens.len(), oracle.logits.len()), (257, 4));
    Some((
        File::read(&path.join("stories260K.bin")),
        fs::read(path.join("tok512.bin")).unwrap(),
        oracle,
    ))
}

#[test]
fn stories260k_tells_its_oracle_on_every_executor() {
    let Some((file, tokenizer, oracle)) = stories260k() else {
        return;
    };
    let weights = file.floats();
    let tokenizer = Tokenizer::parse(&tokenizer, weights.dims().vocab).unwrap();
    oracle.hold(weights, tokenizer, "logits_stories260k");
}

#[test]
fn stories260k_tells_its_oracle_from_other_memories() {
    let Some((file, _, oracle)) = stories260k() else {
        return;
    };
    let weights = file.floats();
    let dims = weights.dims();
    for cpu in executors() {
        let mut frequencies = vec![0; dims.pairs()];
        let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
        let told = with_cache::<F16, _>(dims, cpu, |past| {
            greedy(&model, past, &[BOS], 61, |_, _| {})
        });
        assert_eq!(told, oracle.tokens[..61], "f16, {cpu:?}");
        let told = with_quantized(dims, cpu, |past| {
            greedy(&model, past, &[BOS], 61, |_, _| {})
        });
        assert_eq!(told, oracle.tokens[..61], "int8, {cpu:?}");
        let told = with_tokens_alone(&model, |past| greedy(&model, past, &[BOS], 17, |_, _| {}));
        assert_eq!(told, oracle.tokens[..17], "recompute, {cpu:?}");
    }
}

/// Returns the logits that follow each of the tokens.
fn logits_of<P: Weights>(weights: P, tokens: &[u32], cpu: Cpu) -> Vec<f32> {
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
    let mut all = Vec::new();
    with_cache::<f32, _>(dims, cpu, |past| {
        greedy(&model, past, tokens, tokens.len() + 1, |_, logits| {
            all.extend_from_slice(logits);
        })
    });
    all
}

#[test]
fn stories260k_permuted_to_half_split_pairs_keeps_its_logits() {
    /// The positions that the nearer bound holds for.
    const FIRST: usize = 32;
    let Some((file, _, oracle)) = stories260k() else {
        return;
    };
    let weights = file.floats();
    let (permuted, vocab) = (HalfSplit::new(weights), weights.dims().vocab);
    let tokens = &oracle.tokens[..256];
    for cpu in executors() {
        let interleaved = logits_of(weights, tokens, cpu);
        let half_split = logits_of(&permuted, tokens, cpu);
        assert_eq!(interleaved.len(), tokens.len() * vocab);
        assert_eq!(interleaved.len(), half_split.len());
        // The greatest difference up to a position, or NaN.
        let apart = |positions: usize| {
            let pairs = interleaved.iter().zip(&half_split).take(positions * vocab);
            let apart = pairs.map(|(a, b)| f64::from((a - b).abs()));
            apart.max_by(f64::total_cmp).unwrap()
        };
        let (first, all) = (apart(FIRST), apart(tokens.len()));
        println!("{cpu:?}: logits {first:.2e} apart at first, {all:.2e} at any position");
        let bound = bound32("first logits after a permutation to half-split pairs");
        assert!(first <= bound, "{cpu:?}: logits {first:e} apart");
        let bound = bound32("logits of a small model");
        assert!(all <= bound, "{cpu:?}: logits {all:e} apart");
    }
}

#[test]
fn glassllm_tells_its_oracle_on_every_executor() {
    let Some(path) = shared("data/glassllm-en") else {
        return;
    };
    let glass = fs::read(path.join("glassllm-en-f16.bin")).unwrap();
    let glass = Glass::parse(&glass).expect("a flat file of GlassLLM");
    let oracle = fs::read_to_string(path.join("greedy-60.tokens.txt")).unwrap();
    let oracle: Vec<u32> = numbers(&oracle);
    let after_prompt = doubles(&path.join("logits-after-prompt.f64"));
    let prompt = [494, 160, 729, 633, 111];
    let dims = (&glass).dims();
    assert_eq!(after_prompt.len(), dims.vocab);
    for cpu in executors() {
        let mut frequencies = vec![0; dims.pairs()];
        let model = Llama::new(&glass, &mut frequencies, cpu).unwrap();
        let mut error = 0.0_f64;
        let told = with_cache::<f32, _>(dims, cpu, |past| {
            greedy(&model, past, &prompt, oracle.len(), |position, logits| {
                if position + 1 == prompt.len() {
                    for (x, oracle) in logits.iter().zip(&after_prompt) {
                        error = error.max((f64::from(*x) - oracle).abs());
                    }
                }
            })
        });
        println!("glassllm {cpu:?}: logits within {error:.2e}");
        assert_eq!(told, oracle, "{cpu:?}");
        let bound = bound32("logits of a small model");
        assert!(error <= bound, "{cpu:?}: logits {error:e} off");
    }
}

/// The embedded model's oracle; its lines are described in `assets/reference.py`.
fn embedded_oracle() -> Oracle {
    let file = fs::read_to_string(asset("story-oracle.txt")).unwrap();
    // A story may hold line breaks: count the lines behind it from the end.
    let (tokens, rest) = file.split_once('\n').expect("a line of tokens");
    let mut lines = rest.trim_end_matches('\n').rsplitn(4, '\n');
    let nats = lines.next().expect("a likelihood").parse().unwrap();
    let logits = numbers(lines.next().expect("a line of logits"));
    let margin = lines.next().expect("a line about the margin");
    assert!(margin.starts_with("smallest margin "), "{margin}");
    Oracle {
        tokens: numbers(tokens),
        text: lines.next().expect("a story").to_owned(),
        logits: vec![logits],
        nats,
    }
}

#[test]
fn the_embedded_model_tells_its_oracle_on_every_executor() {
    let file = File::read(&asset("story.bin"));
    let weights = file.integers();
    let tokenizer = fs::read(asset("story.tok")).unwrap();
    let tokenizer = Tokenizer::parse(&tokenizer, weights.dims().vocab).unwrap();
    embedded_oracle().hold(weights, tokenizer, "logits_embedded");
}

#[test]
fn the_embedded_model_fits_a_small_flash() {
    let bytes = fs::metadata(asset("story.bin")).unwrap().len();
    assert!(bytes <= 1 << 20, "{bytes} bytes");
}

#[test]
fn every_memory_that_keeps_all_gives_the_same_bits() {
    let file = File::read(&asset("story.bin"));
    let weights = file.integers();
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let cpu = Cpu::default();
    let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
    let kept = with_cache::<f32, _>(dims, cpu, |past| logit_bits(&model, past, 100));
    let ring = with_ring(dims, cpu, 96, |past| logit_bits(&model, past, 100));
    assert!(kept == ring, "a ring that holds everything");
    let again = with_tokens_alone(&model, |past| logit_bits(&model, past, 8));
    assert!(kept[..again.len()] == again, "recomputed from the tokens");
    for (below, positions) in [(1, 10), (2, 12), (3, 20), (4, 100), (5, 100)] {
        let again = with_tokens(&model, below, |past| logit_bits(&model, past, positions));
        assert!(
            kept[..again.len()] == again,
            "recomputed above {below} layers"
        );
    }
}

/// Samples a story with every buffer lent before the first token; returns its tokens.
fn sampled<P: Weights>(
    model: &Llama<'_, P>,
    past: &mut Past<'_>,
    temperature: f32,
    tokens: usize,
    cpu: Cpu,
) -> Vec<u32> {
    let dims = model.dims();
    let mut storage = vec![0.0; dims.state_len()];
    let mut state = State::new(dims, &mut storage).unwrap();
    let choice = Choice {
        temperature,
        top_k: 0,
        top_p: 0.9,
        min_p: 0.0,
    };
    let mut sampler = Sampler::new(choice, 1, cpu);
    let mut tokens = vec![0; tokens];
    tokens[0] = BOS;
    let mut calls = 0;

    let before = heap::allocations();
    let written = tell(
        model,
        past,
        &mut state,
        &mut sampler,
        &mut tokens,
        1,
        |_, _| calls += 1,
    );
    let during = heap::allocations() - before;

    assert_eq!(during, 0, "allocations from the first token on");
    let written = written.unwrap();
    assert_eq!(calls + 1, written, "calls, and tokens after the first");
    tokens.truncate(written);
    tokens
}

#[test]
fn a_story_ends_by_itself() {
    let oracle = embedded_oracle();
    let file = File::read(&asset("story.bin"));
    let weights = file.integers();
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let cpu = Cpu::default();
    let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
    let told = with_cache::<f32, _>(dims, cpu, |past| {
        sampled(&model, past, 0.0, dims.seq_len, cpu)
    });
    let end = oracle
        .tokens
        .iter()
        .skip(1)
        .position(|&token| is_end(token));
    let end = end.expect("the oracle's story ends") + 1;
    assert_eq!(told, oracle.tokens[..end]);
}

#[test]
fn a_seed_tells_the_same_story_on_every_level() {
    let file = File::read(&asset("story.bin"));
    let weights = file.integers();
    let dims = weights.dims();
    let mut first = None;
    for cpu in executors().into_iter().filter(|cpu| !cpu.is_fused()) {
        let mut frequencies = vec![0; dims.pairs()];
        let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
        let told = with_cache::<f32, _>(dims, cpu, |past| sampled(&model, past, 0.7, 100, cpu));
        assert_eq!(*first.get_or_insert(told.clone()), told, "{cpu:?}");
    }
}

#[test]
fn no_memory_allocates_while_it_tells() {
    let file = File::read(&asset("story.bin"));
    let weights = file.integers();
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let cpu = Cpu::default();
    let model = Llama::new(weights, &mut frequencies, cpu).unwrap();
    let tell = |past: &mut Past<'_>| sampled(&model, past, 0.7, 20, cpu).len();
    assert_eq!(with_cache::<f32, _>(dims, cpu, tell), 20);
    assert_eq!(with_cache::<F16, _>(dims, cpu, tell), 20);
    assert_eq!(with_quantized(dims, cpu, tell), 20);
    assert_eq!(with_ring(dims, cpu, 8, tell), 20);
    let tell = |past: &mut Past<'_>| sampled(&model, past, 0.7, 6, cpu).len();
    assert_eq!(with_tokens_alone(&model, tell), 6);
    assert_eq!(with_tokens(&model, 3, tell), 6);
    let before = heap::allocations();
    drop(vec![0_u8; 1]);
    assert!(heap::allocations() > before, "the allocator counts");
}
