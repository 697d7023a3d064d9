//! Fine-tunes the output layer of the story model on a text, with LoRA and with LoRA+, from fixed memory:
//!
//!     cargo run --release --example fine_tune -- [options]
//!
//! The layer of int8 weights stays as it is; an adapter of rank eight beside it learns. Of five lines of
//! the text three are learned from, one chooses the learning rate, one is held out. Both methods get the
//! same number of rates and three seeds each. The model's files are read by the modules of `story`.

#[path = "../story/checkpoint.rs"]
#[allow(dead_code, reason = "the story's")]
mod checkpoint;
mod corpus;
#[path = "../story/heap.rs"]
mod heap;
#[path = "../story/llama.rs"]
#[allow(dead_code, reason = "the story's")]
mod llama;
#[path = "../story/memory.rs"]
#[allow(dead_code, reason = "the story's")]
mod memory;
mod picture;
#[path = "../story/tokenizer.rs"]
#[allow(dead_code, reason = "the story's")]
mod tokenizer;
mod tune;

use core::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use checkpoint::Checkpoint;
use corpus::{Corpus, Part, Reader};
use llama::{Llama, Weights};
use suanzi::Cpu;
use suanzi::adapter::{Adapter, Lora, lora_scale};
use suanzi::nn::Matrix;
use suanzi::probability::argmax;
use tokenizer::{BOS, EOS, Tokenizer};
use tune::{Curve, Method, RANK, RATES, SEEDS, Tuner};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Bytes at an address that floats may have.
#[repr(C, align(64))]
struct Aligned<B: ?Sized>(B);

static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("../../assets/story.bin"));
static TOKENIZER: &[u8] = include_bytes!("../../assets/story.tok");
static TEXT: &str = include_str!("../../assets/fine-tune.txt");

const HELP: &str = "\
Fine-tunes the output layer of the story model with LoRA and LoRA+.

    cargo run --release --example fine_tune -- [options]

  --text FILE     what is learned, a story or a paragraph a line (default: assets/fine-tune.txt)
  --svg FILE      where the loss curves are drawn (default fine-tune.svg)
  --prompt TEXT   how the two stories begin
  --tokens N      at most N tokens of each (default 60)
  --help          this text
";

/// What the command line asks for.
struct Options {
    text: Option<String>,
    svg: String,
    prompt: String,
    tokens: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            text: None,
            svg: "fine-tune.svg".into(),
            prompt: "One day, a little".into(),
            tokens: 60,
        };
        while let Some(name) = arguments.next() {
            if matches!(name.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{name} needs a value; see --help"))?;
            match name.as_str() {
                "--text" => options.text = Some(value),
                "--svg" => options.svg = value,
                "--prompt" => options.prompt = value,
                "--tokens" => {
                    options.tokens = value
                        .parse()
                        .map_err(|_| format!("--tokens needs a whole number, not {value:?}"))?;
                }
                _ => return Err(format!("there is no option {name}; see --help")),
            }
        }
        Ok(Some(options))
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fine_tune: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    let text = match &options.text {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {path}: {error}; name a text file"))?,
        None => TEXT.into(),
    };
    let checkpoint = Checkpoint::parse(&MODEL.0)?;
    let tokenizer = Tokenizer::parse(TOKENIZER, checkpoint.dims().vocab)?;
    match checkpoint {
        Checkpoint::Float(weights) => with_weights(weights, tokenizer, &text, &options),
        Checkpoint::Int8(weights) => with_weights(weights, tokenizer, &text, &options),
    }
}

fn with_weights<P: Weights>(
    weights: P,
    tokenizer: Tokenizer<'_>,
    text: &str,
    options: &Options,
) -> Result<(), Box<dyn Error>> {
    let cpu = Cpu::default();
    let dims = weights.dims();
    let mut frequencies = vec![0; dims.pairs()];
    let model = Llama::new(weights, &mut frequencies, cpu)?;
    let mut reader = Reader::new(&model, dims)?;
    let corpus = Corpus::read(text, &tokenizer, &mut reader)?;
    let count = |part| corpus.tokens(part);
    eprintln!(
        "{} lines: {} tokens to learn from, {} to choose the rate, {} held out",
        corpus.lines(),
        count(Part::Learn),
        count(Part::Choose),
        count(Part::HeldOut)
    );
    if [Part::Learn, Part::Choose, Part::HeldOut]
        .into_iter()
        .any(|part| count(part) == 0)
    {
        return Err("the text is too short; give five lines or more".into());
    }

    // Everything is lent from here on.
    let mut tuner = Tuner::new(&corpus, dims.dim, dims.vocab, cpu)?;
    let mut curves = vec![Curve::default(); Method::ALL.len() * RATES.len() * SEEDS];
    let mut kept = vec![0.0; RANK * (dims.dim + dims.vocab)];
    let (before, start) = (heap::allocations(), Instant::now());
    let mut runs = curves.iter_mut();
    let mut least = f32::INFINITY;
    for method in Method::ALL {
        for rate in RATES {
            for (seed, curve) in (0..SEEDS).zip(&mut runs) {
                *curve = tuner.run(method, rate, seed as u32)?;
                // The adapter that the rate's lines like best tells the story.
                if curve.chosen_by() < least {
                    least = curve.chosen_by();
                    let (a, b) = tuner.factors();
                    let (to_a, to_b) = kept.split_at_mut(a.len());
                    to_a.copy_from_slice(a);
                    to_b.copy_from_slice(b);
                }
            }
            eprint!("\r{} at rate {rate:.5} ...     ", method.name());
            let _ = std::io::stderr().flush();
        }
    }
    let allocations = heap::allocations() - before;
    let runs = curves.len();
    eprintln!(
        "\r{runs} runs in {:.1} s, {allocations} allocations, {} bytes of state",
        start.elapsed().as_secs_f64(),
        tuner.bytes()
    );

    let mut best = Vec::new();
    println!(
        "          rate     chosen by   held out: before, after (mean of {SEEDS} seeds), each"
    );
    for (method, curves) in Method::ALL
        .into_iter()
        .zip(curves.chunks_exact(RATES.len() * SEEDS))
    {
        let of = |curves: &[Curve], value: fn(&Curve) -> f32| -> f32 {
            curves.iter().map(value).sum::<f32>() / SEEDS as f32
        };
        let rates = RATES.into_iter().zip(curves.chunks_exact(SEEDS));
        let chosen =
            rates.min_by(|a, b| of(a.1, Curve::chosen_by).total_cmp(&of(b.1, Curve::chosen_by)));
        let (rate, curves) = chosen.ok_or("no run")?;
        let each: Vec<String> = curves.iter().map(|c| format!("{:.3}", c.after())).collect();
        println!(
            "{:<8}  {rate:<8.5} {:<11.3} {:.3}, {:.3}, {}",
            method.name(),
            of(curves, Curve::chosen_by),
            of(curves, Curve::before),
            of(curves, Curve::after),
            each.join(" ")
        );
        best.push((method, rate, curves));
    }
    std::fs::write(&options.svg, picture::draw(&best))?;
    println!("{} shows the curves\n", options.svg);

    let (a, b) = kept.split_at(RANK * dims.dim);
    let lora = Lora::new(
        Matrix::new(RANK, dims.dim, a)?,
        Matrix::new(dims.vocab, RANK, b)?,
        lora_scale(tune::ALPHA, RANK),
    )?;
    println!(
        "Before: {}\n",
        tell(&mut reader, &tokenizer, options, None)?
    );
    println!(
        "After: {}",
        tell(&mut reader, &tokenizer, options, Some(&lora))?
    );
    Ok(())
}

/// Returns the likeliest story, with an adapter beside the output layer or without.
fn tell<P: Weights>(
    reader: &mut Reader<'_, P>,
    tokenizer: &Tokenizer<'_>,
    options: &Options,
    adapter: Option<&Lora<'_, f32>>,
) -> Result<String, Box<dyn Error>> {
    let mut tokens = vec![0; reader.longest()];
    let prompt = tokenizer.encode(&options.prompt, &mut tokens)?;
    let (mut text, mut byte, mut scratch) = (Vec::new(), [0], [0.0; RANK]);
    reader.begin();
    let mut previous = BOS;
    for at in 0..tokens.len().min(prompt + options.tokens) - 1 {
        let (h, logits) = reader.step(previous)?;
        let next = match tokens.get(at + 1) {
            Some(&token) if at + 1 < prompt => token,
            _ => {
                if let Some(adapter) = adapter {
                    adapter.add_to(h, logits, &mut scratch)?;
                }
                // A vocabulary fits 32 bits.
                argmax(Cpu::default(), logits).unwrap_or(0) as u32
            }
        };
        if matches!(next, BOS | EOS) {
            break;
        }
        text.extend_from_slice(tokenizer.decode(previous, next, &mut byte));
        previous = next;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
