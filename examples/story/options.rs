//! The command line.

use suanzi::{Cpu, Level};

use crate::sampler::Choice;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Tells a story, token by token, from memory that is fixed before the first one.

    cargo run --release --example story -- [options]

  --prompt TEXT        how the story begins
  --tokens N           at most N tokens (default: what the model knows)
  --temperature T      0 takes the likeliest token; more is bolder (default 0.7)
  --top-k K            draws from the K likeliest tokens (default 0: from all)
  --top-p P            draws from the likeliest tokens that add up to P (default 0.9; 1 for all)
  --min-p P            leaves out tokens below P times the likeliest (default 0)
  --seed N             the same seed tells the same story, on every machine (default 2)
  --memory KIND        where keys and values are kept: cache, f16, int8, window, recompute; dial tells
                       the story (16 tokens unless --tokens says more) with every checkpoint of
                       recompute and prints time against memory
  --checkpoint N       with recompute, keeps those of the first N layers (default 0)
  --executor NAME      default, scalar, fused, sse2, sse4.2, avx2, avx512, neon
  --model FILE         a llama2.c version-0 file or a suanzi1 int8 file
  --tokenizer FILE     its tokenizer, in llama2.c's format
  --stats              bytes of state, tokens a second, allocations after the start
  --help               this text
";

/// Where keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of them, in `f32`.
    Cache,
    /// All of them, in f16.
    F16,
    /// All of them, in int8 with a scale a vector.
    Int8,
    /// The newest, and the first few.
    Window,
    /// Those below a checkpoint; the others are computed again, from the tokens if there are none.
    Recompute,
    /// Each checkpoint in turn.
    Dial,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub prompt: String,
    pub tokens: Option<usize>,
    pub choice: Choice,
    pub seed: u64,
    pub memory: Kind,
    pub checkpoint: usize,
    pub cpu: Cpu,
    pub model: Option<String>,
    pub tokenizer: Option<String>,
    pub stats: bool,
    pub help: bool,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// A sentence that says what to do instead.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            prompt: String::new(),
            tokens: None,
            choice: Choice {
                temperature: 0.7,
                top_k: 0,
                top_p: 0.9,
                min_p: 0.0,
            },
            seed: 2,
            memory: Kind::Cache,
            checkpoint: 0,
            cpu: Cpu::default(),
            model: None,
            tokenizer: None,
            stats: false,
            help: false,
        };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let (name, joined) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || {
                let value = joined.clone().or_else(|| arguments.next());
                value.ok_or_else(|| format!("{name} needs a value; see --help"))
            };
            match name.as_str() {
                "--prompt" => options.prompt = value()?,
                "--tokens" => options.tokens = Some(number(&name, &value()?)?),
                "--temperature" => {
                    options.choice.temperature = in_range(&name, &value()?, 0.0, 100.0)?;
                }
                "--top-k" => options.choice.top_k = number(&name, &value()?)?,
                "--top-p" => options.choice.top_p = in_range(&name, &value()?, 0.0, 1.0)?,
                "--min-p" => options.choice.min_p = in_range(&name, &value()?, 0.0, 1.0)?,
                "--seed" => options.seed = number(&name, &value()?)?,
                "--memory" => options.memory = kind(&value()?)?,
                "--checkpoint" => options.checkpoint = number(&name, &value()?)?,
                "--executor" => options.cpu = executor(&value()?)?,
                "--model" => options.model = Some(value()?),
                "--tokenizer" => options.tokenizer = Some(value()?),
                "--stats" => options.stats = true,
                "--help" | "-h" => options.help = true,
                _ => return Err(format!("there is no option {name}; see --help")),
            }
        }
        if options.model.is_some() != options.tokenizer.is_some() {
            return Err("--model and --tokenizer belong together; name both".into());
        }
        if options.checkpoint > 0 && options.memory != Kind::Recompute {
            return Err("--checkpoint belongs to --memory recompute; name both".into());
        }
        Ok(options)
    }
}

fn number<N: core::str::FromStr>(name: &str, value: &str) -> Result<N, String> {
    value
        .parse()
        .map_err(|_| format!("{name} needs a whole number from zero on, not {value:?}"))
}

fn in_range(name: &str, value: &str, from: f32, to: f32) -> Result<f32, String> {
    match value.parse::<f32>() {
        Ok(number) if number >= from && number <= to => Ok(number),
        _ => Err(format!(
            "{name} needs a number from {from} to {to}, not {value:?}"
        )),
    }
}

fn kind(value: &str) -> Result<Kind, String> {
    Ok(match value {
        "cache" => Kind::Cache,
        "f16" => Kind::F16,
        "int8" => Kind::Int8,
        "window" => Kind::Window,
        "recompute" => Kind::Recompute,
        "dial" => Kind::Dial,
        _ => {
            return Err(format!(
                "--memory is cache, f16, int8, window, recompute or dial, not {value:?}"
            ));
        }
    })
}

fn executor(value: &str) -> Result<Cpu, String> {
    let level = match value {
        "default" => return Ok(Cpu::default()),
        "fused" => return Ok(Cpu::fused()),
        "scalar" => Level::Scalar,
        "sse2" => Level::Sse2,
        "sse4.2" => Level::Sse42,
        "avx2" => Level::Avx2,
        "avx512" => Level::Avx512,
        "neon" => Level::Neon,
        _ => {
            return Err(format!(
                "--executor is default, scalar, fused, sse2, sse4.2, avx2, avx512 or neon, not {value:?}"
            ));
        }
    };
    Cpu::with(level).map_err(|_| {
        let here: Vec<_> = Cpu::levels()
            .map(|level| format!("{level:?}").to_lowercase())
            .collect();
        format!("this processor has no {value}; it has {}", here.join(", "))
    })
}
