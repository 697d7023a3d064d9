//! Causal mixers: attention as a recurrence, and the memories it reads.
//!
//! Causal softmax attention is a recurrent network that reads its past again at every step. Its
//! state is the running sum of exp(score) * (value, 1): [`OnlineSoftmax`]. Where the keys and values
//! come from is another question, and [`KeyValues`] is its answer: a [`Cache`] of everything, a
//! [`Ring`] of the newest, an int8 [`QuantizedCache`], [`Paged`] pools, a [`LatentCache`] of one row for
//! all heads, or nothing but the tokens, from which [`Recompute`] derives every key again; a
//! [`Checkpoint`] lies between the two. All of them feed one operation, [`Attention`]; memory is traded
//! for compute, not for exactness. Which keys a query sees is a [`Visible`], what is done to its scores
//! a [`ScoreMap`]: soft cap, masks, biases, sinks, or a closure. Su Jianlin (2024), "Of time and space:
//! attention as an RNN of quadratic complexity"; Rabe and Staats (2021), arXiv 2112.05682.
//!
//! Beside it stand recurrences whose state does not grow. A few numbers a channel: [`Rwkv4`], the
//! online softmax with decay, and [`SelectiveScan`] with the [`CausalConvolution`] before it, the two
//! parts of Mamba. A matrix a head: [`Recurrence`] with a [`Rule`], of which [`LinearAttention`] is
//! linear attention, retention and gated linear attention, [`DeltaRule`] DeltaNet and its gated forms,
//! [`Rwkv6`] and [`Rwkv7`] what their names say, [`Ssd`] Mamba-2; and [`Mesa`], which solves for what
//! the others approximate. They step, take many tokens at once with the same bits, and show their
//! state to be copied; where a step is a factor and an addition, states of two stretches [`Merge`].
//!
//! # The portable order of attention
//!
//! The default executor gives the same bits at every vector width and for every memory:
//!
//! 1. A score is `scale * (q . k)`: the dot product in sixteen lanes joined as a tree (as in
//!    matrix-vector products), then one rounding. A memory with scales gives
//!    `scale * (key_scale * (q . k))`.
//! 2. Keys fall into blocks of [`BLOCK`] positions, counted from position zero of the sequence. A
//!    block's reference is that of its greatest visible score m: a center c (zero while m is small,
//!    else m rounded to a multiple of 128) and the integer N nearest to (m - c) / ln 2. The weight of
//!    a key is p = exp(s - c) / 2^N, where 2^N takes part as an exponent, exactly. A weight below 2^-100
//!    (2^-967 for `f64`) is held there, whatever finite score it has.
//! 3. Within a block the sum of p, and the sum of p * v for each element of the values, run from the
//!    newest key to the oldest, every product and every addition rounded. A memory with scales
//!    multiplies p by the value's scale before.
//! 4. Blocks join as a binary tree over their numbers: 2j with 2j + 1, the results likewise. What is
//!    left unpaired joins from the newest to the oldest. Attention sinks in front of a window pair
//!    only among themselves.
//! 5. Two parts join in the reference of the greater: `a * f + b * g`. While c agrees, f and g are
//!    powers of two, so that a change of reference costs no rounding at all.
//!
//! Stretches of [`BLOCK`] * 2^k positions are subtrees of that tree, so workers that take one each and
//! join their states as a tree ([`OnlineSoftmax::merge_tree`]) have the bits of one worker.
//! 6. A [`ScoreMap`] changes the scaled score of step 1 before anything else sees it. Keys that it hides
//!    take no part in steps 2 and 3, and its sinks join after everything else, as a part of one key
//!    without a value.
//! 7. Several queries together have the order of each one alone.
//!
//! Hence the recurrence gives the same bits as the blocks, recomputation the same as the cache, and
//! a split at any multiple of [`BLOCK`] the same as no split, as long as no weight is held, no product
//! p * v lies below the normal numbers and the scores are small enough for c = 0 (at most 220 in
//! magnitude for `f32`, 1400 for `f64`). Otherwise the parts agree within the error bound.

mod attention;
mod cache;
mod checkpoint;
mod convolution;
mod gradient;
mod kernel;
mod latent;
mod mamba;
mod online;
mod outputs;
#[cfg(feature = "heapless")]
mod owned;
mod paged;
mod quantized;
mod recompute;
mod recurrence;
mod ring;
mod rows;
mod rwkv4;
mod score;
mod sharing;
mod state;
mod stretch;
mod visible;

pub use attention::Attention;
pub use cache::{Cache, KeyValues, Layout, Rows, Run, cache_len};
pub use checkpoint::{Checkpoint, checkpoint_cost, checkpoint_len};
pub use convolution::{CausalConvolution, convolution_len};
pub use gradient::{Attended, Gradients};
pub use latent::{Latent, LatentCache, LatentDims, latent_cache_len};
pub use mamba::{ScanToken, SelectiveScan, scan_len};
pub use online::OnlineSoftmax;
pub use outputs::merge_outputs;
#[cfg(feature = "heapless")]
pub use owned::{OwnedCache, OwnedLatentCache, OwnedRing, Tokens};
pub use paged::Paged;
pub use quantized::QuantizedCache;
pub use recompute::{Frame, Layers, Recompute, recompute_cost};
pub use recurrence::{
    DeltaRule, DeltaToken, Diagonal, FeatureMap, Gate, LinearAttention, LinearToken, Mesa,
    MesaToken, Normalizer, Recurrence, Rule, Rwkv6, Rwkv6Token, Rwkv7, Rwkv7Token, Ssd, SsdToken,
    retention_decay,
};
pub use ring::Ring;
pub use rwkv4::{Rwkv4, Rwkv4Token, rwkv4_len};
pub use score::{
    Alibi, Extent, Forget, LogitSinks, MaskEntry, MaskRows, Place, ScoreFn, ScoreGradient,
    ScoreMap, Softcap,
};
pub use sharing::{Sharing, kv_cache_len};
pub use visible::Visible;

use crate::Error;

/// The positions of one block of the portable order.
pub const BLOCK: usize = 64;

/// A layer that maps each token of a sequence to an output, from this token and those before it.
///
/// `X` is the buffer, and says where the work is done. Implementors keep their past in storage that
/// the caller lent, check every length before anything is written, and give the same outputs for a
/// sequence whether it comes token by token or in pieces.
pub trait CausalMixer<X: ?Sized> {
    /// What one step reads: the projections of one token.
    type Token<'a>
    where
        X: 'a;

    /// Reads the next token and writes its output.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if a part of the token or `out` has another length than the layer,
    /// [`Error::Capacity`] if the memory is full.
    fn step(&mut self, token: Self::Token<'_>, out: &mut X) -> Result<(), Error>;

    /// Forgets every token.
    fn reset(&mut self);
}

/// A state that joins with the state of the steps that followed.
///
/// Joining is associative, up to the rounding that the implementor states, so threads, blocks and
/// machines may each take a stretch of the sequence.
pub trait Merge {
    /// Takes the steps of `later` as though they had been taken here, after those that were.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the states have different shapes.
    fn merge(&mut self, later: &Self) -> Result<(), Error>;
}
