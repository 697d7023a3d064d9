//! The choice of the next token.

use suanzi::probability::{Logits, ProbabilityMap, SparseSoftmax, argmax, draw};
use suanzi::{Cpu, Error};

/// Which tokens may be drawn, and how boldly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    /// Zero takes the likeliest token.
    pub(crate) temperature: f32,
    /// The likeliest tokens that may be drawn; zero for all.
    pub(crate) top_k: usize,
    /// What they may add up to, by the last of them; one for all.
    pub(crate) top_p: f32,
    /// How unlikely they may be beside the likeliest; zero for any.
    pub(crate) min_p: f32,
}

/// Chooses tokens by their logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    choice: Choice,
    state: u64,
    cpu: Cpu,
}

impl Sampler {
    /// Returns a sampler.
    pub(crate) fn new(choice: Choice, seed: u64, cpu: Cpu) -> Self {
        // The generator must not start at zero; neighboring seeds shall not give similar numbers.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { choice, state, cpu }
    }

    /// Returns the next token; overwrites the logits. Where nothing can be chosen, for NaN, it is the first.
    ///
    /// # Errors
    ///
    /// Those of the softmax, for a choice that is out of its domain.
    pub(crate) fn choose(&mut self, logits: &mut [f32]) -> Result<u32, Error> {
        let Choice {
            temperature,
            top_k,
            top_p,
            min_p,
        } = self.choice;
        let token = if temperature <= 0.0 {
            argmax(self.cpu, logits)
        } else {
            let scaled = Logits::new().scaled(1.0 / temperature)?;
            SparseSoftmax::new(scaled)
                .with_top_k(if top_k > 0 { top_k } else { usize::MAX })?
                .with_top_p(if top_p > 0.0 { top_p } else { 1.0 })?
                .with_min_p(min_p)?
                .on(self.cpu)
                .map_in_place(logits)?;
            draw(self.cpu, logits, self.uniform())
        };
        // A vocabulary fits 32 bits.
        Ok(token.unwrap_or(0) as u32)
    }

    /// Returns a number in [0, 1): xorshift64* (Vigna, 2014, arXiv:1402.6246), its upper 24 bits.
    fn uniform(&mut self) -> f32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        // 24 bits are exact.
        bits as f32 / 16_777_216.0
    }
}
