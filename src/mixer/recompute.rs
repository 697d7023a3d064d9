//! Attention in constant memory: every key is computed again from the tokens.

use super::online::push;
use super::state::{Head, Stack, Tree, clear, heads, part_len, parts, split};
use super::{Attention, BLOCK};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::dot::row_dots;
use crate::simd::stream::copy;
use crate::{Cpu, Error};

/// A stack of causal attention layers, token by token, without any memory of earlier tokens.
///
/// Everything but the attention itself is a function of one token: its embedding, the projections of
/// its hidden vector, and what follows the attention (output projection, residual, norms, gated
/// unit). [`Checkpoint`](super::Checkpoint) keeps the lower layers of such a model.
pub trait Layers<T> {
    /// Returns the number of attention layers.
    fn layers(&self) -> usize;

    /// Returns the elements of a hidden vector.
    fn width(&self) -> usize;

    /// Writes the hidden vector below the first layer of the token at a position.
    fn embed(&mut self, position: usize, hidden: &mut [T]);

    /// Writes the queries `[head][key_dim]` that a layer, counted from zero, derives.
    fn query(&mut self, layer: usize, position: usize, hidden: &[T], query: &mut [T]);

    /// Writes the keys `[head][key_dim]` and values `[head][value_dim]` that a layer derives.
    fn key_value(
        &mut self,
        layer: usize,
        position: usize,
        hidden: &[T],
        key: &mut [T],
        value: &mut [T],
    );

    /// Replaces the hidden vector below a layer by the one above, given the attention's output.
    fn finish(&mut self, layer: usize, position: usize, attended: &[T], hidden: &mut [T]);
}

/// Where the scan of one layer stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// The position whose output is computed.
    target: usize,
    /// The position that is read next, from the newest to the oldest.
    next: usize,
    parts: Stack,
}

/// Computes the hidden vectors of a stack of attention layers from the tokens alone.
///
/// A layer reads its inputs from the newest to the oldest, and whenever it needs one, the layers
/// below compute it, with the same algorithm. What is kept is one query, one hidden vector and one
/// softmax state a layer, whatever the length of the text: a recurrent network that reads the text
/// again at every step. Su Jianlin (2024), "Of time and space: attention as an RNN of quadratic
/// complexity".
///
/// * **Equality:** the same bits as the same layers over a [`Cache`](super::Cache), within the
///   conditions of the [module](super).
/// * **Cost:** C(i + l, l) - 1 keys for l layers and i tokens ([`recompute_cost`]): polynomial of the
///   degree of the depth. It shows what memory is worth; a [`Checkpoint`](super::Checkpoint) buys it
///   back, layer by layer.
/// * **Storage:** [`Recompute::scratch_len`] elements, which grow with the depth, and with the
///   logarithm of the number of tokens for the tree of the portable order; one [`Frame`] a layer. An
///   explicit stack: nothing recurses.
#[derive(Clone, Copy, Debug)]
pub struct Recompute<T, E = Cpu> {
    pub(super) attention: Attention<T, E>,
}

/// Returns the number of keys that [`Recompute`] derives for the token at `position` with `layers`
/// layers: C(position + 1 + layers, layers) - 1, or nothing if that exceeds 128 bits.
///
/// ```
/// assert_eq!(suanzi::mixer::recompute_cost(3, 5), Some(83));
/// assert_eq!(suanzi::mixer::recompute_cost(1, 9), Some(10));
/// ```
#[must_use]
pub const fn recompute_cost(layers: usize, position: usize) -> Option<u128> {
    let (mut count, mut k) = (1_u128, 1_u128);
    while k <= layers as u128 {
        let factor = position as u128 + 1 + k;
        // count * factor is a multiple of k; the remainder's part is small.
        let Some(whole) = (count / k).checked_mul(factor) else {
            return None;
        };
        let Some(rest) = (count % k).checked_mul(factor) else {
            return None;
        };
        let Some(sum) = whole.checked_add(rest / k) else {
            return None;
        };
        count = sum;
        k += 1;
    }
    Some(count - 1)
}

impl<T, E> Recompute<T, E> {
    /// Returns the recomputation around this attention.
    #[must_use]
    pub const fn new(attention: Attention<T, E>) -> Self {
        Self { attention }
    }
}

impl<T: Scalar, E> Recompute<T, E> {
    /// Returns the scratch for `layers` layers with hidden vectors of `width` elements, at positions
    /// below `tokens`.
    #[must_use]
    pub const fn scratch_len(&self, layers: usize, width: usize, tokens: usize) -> usize {
        let a = &self.attention;
        let shared = a.kv_heads * (a.key_dim + a.value_dim) + a.out_len() + a.query_heads;
        shared + layers * self.frame_len(width, tokens)
    }

    /// Returns the elements of one layer: query, hidden vector, parts.
    const fn frame_len(&self, width: usize, tokens: usize) -> usize {
        let a = &self.attention;
        let parts = parts(tokens / BLOCK + 2) * part_len(a.query_heads, a.value_dim);
        a.query_len() + width + parts
    }
}

impl<T: Scalar> Recompute<T> {
    /// Writes the hidden vector above the last layer of the token at `position`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `hidden` has not the model's width, `frames` less than one frame a layer,
    /// or `scratch` less than [`Recompute::scratch_len`] for `position + 1` tokens.
    pub fn hidden<M: Layers<T>>(
        &self,
        model: &mut M,
        position: usize,
        frames: &mut [Frame],
        scratch: &mut [T],
        hidden: &mut [T],
    ) -> Result<(), Error> {
        let (layers, width) = (model.layers(), model.width());
        check_len(width, hidden.len())?;
        let found = frames.len();
        let Some(frames) = frames.get_mut(..layers) else {
            return Err(Error::Length {
                expected: layers,
                found,
            });
        };
        let tokens = position.saturating_add(1);
        let (expected, found) = (self.scratch_len(layers, width, tokens), scratch.len());
        let Some(scratch) = scratch.get_mut(..expected) else {
            return Err(Error::Length { expected, found });
        };
        let frame_len = self.frame_len(width, tokens);
        let (frame_storage, shared) = scratch
            .split_at_mut_checked(layers * frame_len)
            .unwrap_or_default();
        let mut run = Scan {
            attention: self.attention,
            frames,
            storage: frame_storage,
            frame_len,
            width,
        };
        run.evaluate(model, position, shared, hidden);
        Ok(())
    }
}

/// The explicit stack.
struct Scan<'a, T> {
    attention: Attention<T>,
    frames: &'a mut [Frame],
    storage: &'a mut [T],
    frame_len: usize,
    width: usize,
}

impl<T: Scalar> Scan<'_, T> {
    fn evaluate<M: Layers<T>>(
        &mut self,
        model: &mut M,
        position: usize,
        shared: &mut [T],
        hidden: &mut [T],
    ) {
        let a = self.attention;
        let (keys, shared) = split(shared, a.kv_heads * a.key_dim);
        let (values, shared) = split(shared, a.kv_heads * a.value_dim);
        let (attended, scores) = split(shared, a.out_len());
        let layers = self.frames.len();
        let mut position = position;
        // The layers below `depth` wait to be entered for `position`.
        let mut depth = layers;
        loop {
            for frame in self.frames.iter_mut().take(depth) {
                *frame = Frame {
                    target: position,
                    next: position,
                    parts: Stack::default(),
                };
            }
            model.embed(position, hidden);
            // `hidden` lies below layer `layer`; hand it up as far as scans end.
            let mut layer = 0;
            depth = loop {
                let storage = self.storage.get_mut(layer * self.frame_len..);
                let storage = storage.unwrap_or_default().get_mut(..self.frame_len);
                let Some(frame) = self.frames.get_mut(layer) else {
                    return;
                };
                let (query, rest) = split(storage.unwrap_or_default(), a.query_len());
                let (top, parts) = split(rest, self.width);
                if frame.next == frame.target {
                    model.query(layer, frame.next, hidden, query);
                    copy(hidden, top);
                }
                model.key_value(layer, frame.next, hidden, keys, values);
                step(a, frame, query, keys, values, scores, parts);
                if frame.next > 0 {
                    frame.next -= 1;
                    position = frame.next;
                    break layer;
                }
                whole(a, frame, parts, attended);
                copy(top, hidden);
                model.finish(layer, frame.target, attended, hidden);
                layer += 1;
            };
        }
    }
}

/// Pushes the keys and values of position `frame.next`.
fn step<T: Scalar>(
    a: Attention<T>,
    frame: &mut Frame,
    query: &[T],
    keys: &[T],
    values: &[T],
    scores: &mut [T],
    storage: &mut [T],
) {
    let group = a.query_heads / a.kv_heads.max(1);
    score(a, query, keys, scores);
    let mut tree = Tree::resume(storage, a.query_heads, a.value_dim, frame.parts);
    let part = tree.open();
    if frame.next == frame.target || frame.next % BLOCK == BLOCK - 1 {
        clear(part, a.value_dim);
    }
    // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
    let mut parts = part.chunks_exact_mut(part_len(group, a.value_dim).max(1));
    let values = values.chunks_exact(a.value_dim.max(1));
    let scores = scores.chunks_exact(group.max(1));
    for ((part, value), scores) in parts.by_ref().zip(values).zip(scores) {
        push(a.executor, part, a.value_dim, scores, value);
    }
    if frame.next.is_multiple_of(BLOCK) {
        tree.close(a.executor, frame.next / BLOCK);
    }
    frame.parts = tree.suspend();
}

/// Writes the score of each query head with the key of its group.
#[inline(never)]
fn score<T: Scalar>(a: Attention<T>, query: &[T], keys: &[T], scores: &mut [T]) {
    let group = a.query_heads / a.kv_heads.max(1);
    let queries = query.chunks_exact((group * a.key_dim).max(1));
    let mut keys = keys.chunks_exact(a.key_dim.max(1));
    dispatch!(a.executor, isa => {
        let scores = scores.chunks_exact_mut(group.max(1));
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        for ((key, queries), scores) in keys.by_ref().zip(queries).zip(scores) {
            dots(isa, key, queries, a.scale, scores);
        }
    });
}

/// Writes the scaled dot products of a key with the queries of a group.
#[inline(always)]
fn dots<S: Isa, T: Scalar>(isa: S, key: &[T], queries: &[T], scale: T, out: &mut [T]) {
    let mut out = out.iter_mut();
    row_dots::<T::Lanes<S>, T>(
        isa,
        key,
        queries,
        key.len(),
        #[inline(always)]
        |_, dot| {
            if let Some(score) = out.next() {
                *score = scale * dot;
            }
        },
    );
}

/// Writes the attention's output of a finished scan.
fn whole<T: Scalar>(a: Attention<T>, frame: &Frame, storage: &mut [T], out: &mut [T]) {
    let mut tree = Tree::resume(storage, a.query_heads, a.value_dim, frame.parts);
    let whole = heads(tree.whole(a.executor), a.value_dim);
    for ((values, head), out) in whole.zip(out.chunks_exact_mut(a.value_dim.max(1))) {
        Head::read(head).divide(a.executor, values, out);
    }
}
