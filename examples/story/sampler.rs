//! The choice of the next token.

use suanzi::probability::{Logits, ProbabilityMap, Softmax};
use suanzi::{Cpu, Error};

/// Chooses tokens by their logits: the greatest, or at random.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    top_p: f32,
    state: u64,
    cpu: Cpu,
}

impl Sampler {
    /// Returns a sampler. At temperature zero it takes the greatest logit, the first of equals; else
    /// it draws from softmax(logits / temperature), restricted to the fewest tokens whose
    /// probabilities add up to `top_p` where that is below one.
    pub(crate) fn new(temperature: f32, top_p: f32, seed: u64, cpu: Cpu) -> Self {
        // The generator must not start at zero; neighboring seeds shall not give similar numbers.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            temperature,
            top_p,
            state,
            cpu,
        }
    }

    /// Returns the next token; overwrites the logits. `order` has their length where `top_p` is used.
    ///
    /// # Errors
    ///
    /// Those of the softmax, for a temperature that is not a number.
    pub(crate) fn choose(&mut self, logits: &mut [f32], order: &mut [u32]) -> Result<u32, Error> {
        if self.temperature <= 0.0 {
            return Ok(greatest(logits));
        }
        let scaled = Logits::new().scaled(1.0 / self.temperature)?;
        Softmax::new(scaled).on(self.cpu).map_in_place(logits)?;
        let at = self.uniform();
        if self.top_p <= 0.0 || self.top_p >= 1.0 {
            return Ok(draw((0..).zip(logits.iter().copied()), at));
        }
        let probability = |token: u32| logits.get(token as usize).copied().unwrap_or(0.0);
        for (token, to) in (0..).zip(&mut *order) {
            *to = token;
        }
        order.sort_unstable_by(|&a, &b| probability(b).total_cmp(&probability(a)).then(a.cmp(&b)));
        let (mut sum, mut count) = (0.0, 0);
        for &token in &*order {
            if sum > self.top_p {
                break;
            }
            sum += probability(token);
            count += 1;
        }
        let nucleus = order.iter().take(count);
        Ok(draw(
            nucleus.map(|&token| (token, probability(token))),
            at * sum,
        ))
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

/// Returns the index of the greatest, the first of equals; zero if there is none.
pub(crate) fn greatest(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0
}

/// Returns the token at which the probabilities add up to more than `at`, the last one otherwise.
fn draw(tokens: impl Iterator<Item = (u32, f32)>, at: f32) -> u32 {
    let mut sum = 0.0;
    let mut last = 0;
    for (token, probability) in tokens {
        sum += probability;
        last = token;
        if sum > at {
            break;
        }
    }
    last
}
