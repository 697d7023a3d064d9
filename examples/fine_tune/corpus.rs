//! A text as the model sees it: for each token the vector before the output layer, its logits and the
//! token that follows. Only the output layer is tuned, so that these never change.

use core::error::Error;
use core::ops::Range;

use suanzi::mixer::{Cache, cache_len};

use crate::llama::{Dims, Llama, State, Weights};
use crate::memory::{self, Layers};
use crate::tokenizer::Tokenizer;

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The adapter learns from it.
    Learn,
    /// It chooses the learning rate.
    Choose,
    /// It is only looked at.
    HeldOut,
}

impl Part {
    /// Three lines of five to learn from, one for each of the others.
    fn of(line: usize) -> Self {
        match line % 5 {
            3 => Self::Choose,
            4 => Self::HeldOut,
            _ => Self::Learn,
        }
    }
}

/// Runs the model token by token.
pub(crate) struct Reader<'m, P> {
    model: &'m Llama<'m, P>,
    dims: Dims,
    storage: Vec<f32>,
    caches: Vec<Cache<f32, Vec<f32>>>,
    scratch: Vec<f32>,
    position: usize,
}

impl<'m, P: Weights> Reader<'m, P> {
    pub(crate) fn new(model: &'m Llama<'m, P>, dims: Dims) -> Result<Self, Box<dyn Error>> {
        let (heads, dim) = (dims.kv_heads, dims.head_dim());
        let len = cache_len(heads, dim, dims.seq_len);
        let cache = || Cache::new(heads, dim, dim, vec![0.0; len], vec![0.0; len]);
        Ok(Self {
            model,
            dims,
            storage: vec![0.0; dims.state_len()],
            caches: (0..dims.layers)
                .map(|_| cache())
                .collect::<Result<_, _>>()?,
            scratch: vec![0.0; memory::scratch_len(dims)?],
            position: 0,
        })
    }

    /// Forgets what was read.
    pub(crate) fn begin(&mut self) {
        self.position = 0;
        for cache in &mut self.caches {
            cache.truncate(0);
        }
    }

    /// Returns the tokens of the longest text.
    pub(crate) fn longest(&self) -> usize {
        self.dims.seq_len
    }

    /// Reads a token; returns the vector before the output layer, and its logits.
    pub(crate) fn step(&mut self, token: u32) -> Result<(&[f32], &mut [f32]), suanzi::Error> {
        let mut state = State::new(self.dims, &mut self.storage)?;
        let cpu = suanzi::Cpu::default();
        let mut layers = Layers::new(self.dims, &mut self.caches, &mut self.scratch, cpu)?;
        self.model
            .step(token as usize, self.position, &mut layers, &mut state)?;
        self.position += 1;
        let State { h, logits, .. } = state;
        Ok((h, logits))
    }
}

/// The tokens of a text with all that the model makes of them.
pub(crate) struct Corpus {
    /// A vector a token.
    pub(crate) hidden: Vec<f32>,
    /// The frozen layer's logits of each token.
    pub(crate) logits: Vec<f32>,
    /// The token that follows each.
    pub(crate) next: Vec<u32>,
    lines: Vec<Range<usize>>,
}

impl Corpus {
    /// Reads each line as a text of its own.
    pub(crate) fn read<P: Weights>(
        text: &str,
        tokenizer: &Tokenizer<'_>,
        reader: &mut Reader<'_, P>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut corpus = Self {
            hidden: Vec::new(),
            logits: Vec::new(),
            next: Vec::new(),
            lines: Vec::new(),
        };
        let mut tokens = vec![0; reader.longest()];
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            let len = tokenizer
                .encode(line, &mut tokens)
                .map_err(|fault| format!("line {}: {fault} (or split the line)", number + 1))?;
            let first = corpus.next.len();
            reader.begin();
            // What follows a paragraph is open.
            for pair in tokens.get(..len).unwrap_or_default().windows(2) {
                let &[token, next] = pair else { continue };
                let (h, logits) = reader.step(token)?;
                corpus.hidden.extend_from_slice(h);
                corpus.logits.extend_from_slice(logits);
                corpus.next.push(next);
            }
            corpus.lines.push(first..corpus.next.len());
        }
        Ok(corpus)
    }

    /// Returns the tokens of each line of a part.
    pub(crate) fn part(&self, part: Part) -> impl Iterator<Item = Range<usize>> + '_ {
        let lines = self.lines.iter().enumerate();
        lines
            .filter(move |(number, _)| Part::of(*number) == part)
            .map(|(_, line)| line.clone())
    }

    /// Returns the number of lines.
    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Returns the number of tokens of a part.
    pub(crate) fn tokens(&self, part: Part) -> usize {
        self.part(part).map(|line| line.len()).sum()
    }
}
