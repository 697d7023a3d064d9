//! The loop from token to token.

use suanzi::Error;
use suanzi::mixer::Frame;

use crate::llama::{Below, Llama, Memory, State, Weights};
use crate::sampler::Sampler;
use crate::tokenizer::{BOS, EOS};

/// Where the past comes from.
pub(crate) enum Past<'a> {
    /// A memory of keys and values.
    Kept(&'a mut dyn Memory),
    /// The tokens and what lies below a checkpoint, with what [`Llama::step_again`] asks for.
    Again(&'a mut Below<'a>, &'a mut [Frame], &'a mut [f32]),
}

/// Reads `tokens[..prompt]`, then writes tokens behind them until the model ends its text or `tokens`
/// is full; calls `each(previous, token)` for every token after the first. Returns the number of
/// tokens.
///
/// # Errors
///
/// Those of [`Llama::step`].
#[allow(
    clippy::too_many_arguments,
    reason = "each is another of the buffers that the caller lends"
)]
pub(crate) fn tell<P: Weights>(
    model: &Llama<'_, P>,
    past: &mut Past<'_>,
    state: &mut State<'_>,
    sampler: &mut Sampler,
    tokens: &mut [u32],
    prompt: usize,
    mut each: impl FnMut(u32, u32),
) -> Result<usize, Error> {
    let mut len = 1;
    while len < tokens.len() {
        let (before, after) = tokens.split_at_mut(len);
        let (Some(&previous), Some(next)) = (before.last(), after.first_mut()) else {
            break;
        };
        match past {
            Past::Kept(memory) => model.step(previous as usize, len - 1, *memory, state)?,
            Past::Again(..) if len < prompt => {}
            Past::Again(below, frames, scratch) => {
                model.step_again(before, below, frames, scratch, state)?;
            }
        }
        if len >= prompt {
            *next = sampler.choose(state.logits)?;
            if matches!(*next, BOS | EOS) {
                break;
            }
        }
        each(previous, *next);
        len += 1;
    }
    Ok(len)
}
