//! A Llama-style decoder, one token at a time: `core` and suanzi, nothing else.
//!
//! Weights are borrowed in place, state is lent by the caller, and after construction nothing is
//! allocated. Where keys and values are kept is a [`Memory`]; [`Llama::step_again`] keeps those of the
//! layers below a checkpoint and derives the others each time, all of them from the tokens if it keeps
//! none.

use suanzi::mixer::{Attention, Checkpoint, Frame, Layers, Recompute};
use suanzi::nn::{GatedSilu, Matrix, RmsNorm};
use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope};
use suanzi::storage::Stored;
use suanzi::{Cpu, Error, Parameter};

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dims {
    /// Elements of a token's vector.
    pub dim: usize,
    /// Elements of the gated layer.
    pub hidden_dim: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Positions that the model knows.
    pub seq_len: usize,
}

impl Dims {
    /// Returns the elements of a head.
    pub(crate) const fn head_dim(self) -> usize {
        self.dim / self.heads
    }

    /// Returns the elements of one token's keys, and of its values.
    pub(crate) const fn kv_dim(self) -> usize {
        self.head_dim() * self.kv_heads
    }

    /// Returns the rotated pairs of a head.
    pub(crate) const fn pairs(self) -> usize {
        self.head_dim() / 2
    }

    /// Returns the elements that [`State`] needs.
    pub(crate) const fn state_len(self) -> usize {
        4 * self.dim + 2 * self.kv_dim() + 2 * self.hidden_dim + self.vocab
    }
}

/// The weights of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'a, W> {
    /// The gains before attention.
    pub attention_norm: &'a [f32],
    /// The projection to queries.
    pub query: Matrix<'a, W>,
    /// The projection to keys.
    pub key: Matrix<'a, W>,
    /// The projection to values.
    pub value: Matrix<'a, W>,
    /// The projection from the heads' outputs.
    pub output: Matrix<'a, W>,
    /// The gains before the gated layer.
    pub gated_norm: &'a [f32],
    /// The projection to the gates, `w1`.
    pub gate: Matrix<'a, W>,
    /// The projection back, `w2`.
    pub down: Matrix<'a, W>,
    /// The projection to what is gated, `w3`.
    pub up: Matrix<'a, W>,
}

/// Where weights come from.
pub(crate) trait Weights {
    /// The number type that the matrices are kept in.
    type Element: Stored<f32>;

    /// Returns the sizes.
    fn dims(&self) -> Dims;
    /// Returns the small number under the root of the norms.
    fn epsilon(&self) -> f32 {
        1e-5
    }
    /// Returns which elements of a head turn together.
    fn pairing(&self) -> Pairing {
        Pairing::Interleaved
    }
    /// Returns the vectors of the tokens, if the weights are readable.
    fn embedding(&self) -> Option<Matrix<'_, Self::Element>>;
    /// Returns the projection to the logits, if the weights are readable.
    fn classifier(&self) -> Option<Matrix<'_, Self::Element>>;
    /// Returns the gains of the last norm.
    fn final_norm(&self) -> &[f32];
    /// Returns a layer, if there is one of that number.
    fn layer(&self, index: usize) -> Option<Layer<'_, Self::Element>>;
}

/// What is kept of the layers below a checkpoint.
pub(crate) type Below<'s> = Checkpoint<'s, f32, f32, &'s mut [f32]>;

/// A memory of every layer's keys and values.
pub(crate) trait Memory {
    /// Takes the rotated keys and the values of one token and attends with its rotated queries.
    fn attend(
        &mut self,
        layer: usize,
        position: usize,
        query: &[f32],
        key: &[f32],
        value: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error>;
}

/// What one step works in, split from one lent slice.
#[derive(Debug)]
pub(crate) struct State<'s> {
    /// The token's vector as it passes the layers.
    pub x: &'s mut [f32],
    /// The vector as the last norm has it, once the logits are there.
    pub h: &'s mut [f32],
    y: &'s mut [f32],
    /// Queries, keys and values of the layer that was last computed.
    pub query: &'s mut [f32],
    /// The keys.
    pub key: &'s mut [f32],
    /// The values.
    pub value: &'s mut [f32],
    gate: &'s mut [f32],
    up: &'s mut [f32],
    /// The logits of the next token.
    pub logits: &'s mut [f32],
}

impl<'s> State<'s> {
    /// Splits [`Dims::state_len`] elements.
    pub(crate) fn new(dims: Dims, storage: &'s mut [f32]) -> Result<Self, Error> {
        let mut rest = storage;
        let mut take = |len: usize| -> Result<&'s mut [f32], Error> {
            let found = rest.len();
            let (part, after) =
                core::mem::take(&mut rest)
                    .split_at_mut_checked(len)
                    .ok_or(Error::Length {
                        expected: len,
                        found,
                    })?;
            rest = after;
            Ok(part)
        };
        Ok(Self {
            x: take(dims.dim)?,
            h: take(dims.dim)?,
            y: take(dims.dim)?,
            query: take(dims.dim)?,
            key: take(dims.kv_dim())?,
            value: take(dims.kv_dim())?,
            gate: take(dims.hidden_dim)?,
            up: take(dims.hidden_dim)?,
            logits: take(dims.vocab)?,
        })
    }
}

/// A model: weights and the operations that they need.
#[derive(Debug)]
pub(crate) struct Llama<'f, P> {
    weights: P,
    dims: Dims,
    norm: RmsNorm<f32>,
    silu: GatedSilu,
    rope: Rope<f32, &'f mut [u64]>,
    recompute: Recompute<f32>,
    cpu: Cpu,
}

impl<'f, P: Weights> Llama<'f, P> {
    /// Returns the model of these weights; `frequencies` has [`Dims::pairs`] elements.
    pub(crate) fn new(weights: P, frequencies: &'f mut [u64], cpu: Cpu) -> Result<Self, Error> {
        let dims = weights.dims();
        if dims.heads == 0 || dims.kv_heads == 0 || !dims.heads.is_multiple_of(dims.kv_heads) {
            return Err(Error::Domain(Parameter::Heads));
        }
        let layout = HeadLayout::new(dims.head_dim(), weights.pairing())?;
        let rope = Rope::new(layout, &Base::new(10_000.0)?, frequencies)?.on(cpu);
        let attention = Attention::new(dims.heads, dims.kv_heads, dims.head_dim())?.on(cpu);
        let recompute = Recompute::new(attention);
        let norm = RmsNorm::new(weights.epsilon())?.on(cpu);
        let silu = GatedSilu::default().on(cpu);
        Ok(Self {
            weights,
            dims,
            norm,
            silu,
            rope,
            recompute,
            cpu,
        })
    }

    /// Returns the sizes.
    pub(crate) const fn dims(&self) -> Dims {
        self.dims
    }

    /// Reads a token at its position; the logits of the next one are in `state`.
    pub(crate) fn step(
        &self,
        token: usize,
        position: usize,
        memory: &mut (impl Memory + ?Sized),
        state: &mut State<'_>,
    ) -> Result<(), Error> {
        self.check(position)?;
        self.embed(token, state.x)?;
        for index in 0..self.dims.layers {
            let layer = self.layer(index)?;
            let State {
                x,
                h,
                y,
                query,
                key,
                value,
                gate,
                up,
                ..
            } = &mut *state;
            self.norm.map(x, layer.attention_norm, h)?;
            self.queries(&layer, position, h, query)?;
            self.keys_and_values(&layer, position, h, key, value)?;
            memory.attend(index, position, query, key, value, y)?;
            self.finish(&layer, y, x, [h, gate, up])?;
        }
        self.classify(state)
    }

    /// Computes the logits after the newest of `tokens`: the layers below the checkpoint read the tokens
    /// that they have not read yet, those above are computed again. `frames` has one element for each of
    /// them, `scratch` [`Llama::again_len`].
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`] for no token or too many, [`Error::Length`] for short storage.
    pub(crate) fn step_again(
        &self,
        tokens: &[u32],
        checkpoint: &mut Below<'_>,
        frames: &mut [Frame],
        scratch: &mut [f32],
        state: &mut State<'_>,
    ) -> Result<(), Error> {
        let newest = tokens
            .len()
            .checked_sub(1)
            .ok_or(Error::Capacity { limit: 0 })?;
        self.check(newest)?;
        let State { x, h, gate, up, .. } = state;
        let mut layers = Again {
            model: self,
            tokens,
            h,
            gate,
            up,
            refused: Ok(()),
        };
        while checkpoint.len() < tokens.len() {
            self.recompute.advance(&mut layers, checkpoint, scratch)?;
        }
        self.recompute
            .hidden_above(&mut layers, checkpoint, frames, scratch, x)?;
        if layers.refused.is_err() {
            // What lies below was computed from nothing.
            checkpoint.clear();
        }
        layers.refused?;
        self.classify(state)
    }

    /// Returns the elements of the scratch of [`Llama::step_again`] at the model's full length, with so
    /// many layers below the checkpoint.
    pub(crate) const fn again_len(&self, kept: usize) -> usize {
        let Dims {
            dim,
            layers,
            seq_len,
            ..
        } = self.dims;
        let above = self
            .recompute
            .scratch_len(layers.saturating_sub(kept), dim, seq_len);
        let below = self.recompute.advance_len(seq_len);
        if kept > 0 && below > above {
            below
        } else {
            above
        }
    }

    /// Computes the rotated queries of a normalized vector.
    fn queries(
        &self,
        layer: &Layer<'_, P::Element>,
        position: usize,
        h: &[f32],
        query: &mut [f32],
    ) -> Result<(), Error> {
        layer.query.on(self.cpu).multiply(h, query)?;
        // Positions stay below seq_len, which is below 2^31.
        self.rope.rotate(position as i32, query)
    }

    /// Computes the rotated keys and the values of a normalized vector.
    fn keys_and_values(
        &self,
        layer: &Layer<'_, P::Element>,
        position: usize,
        h: &[f32],
        key: &mut [f32],
        value: &mut [f32],
    ) -> Result<(), Error> {
        layer.key.on(self.cpu).multiply(h, key)?;
        layer.value.on(self.cpu).multiply(h, value)?;
        self.rope.rotate(position as i32, key)
    }

    /// Adds the heads' outputs to `x`, then the gated layer.
    fn finish(
        &self,
        layer: &Layer<'_, P::Element>,
        attended: &[f32],
        x: &mut [f32],
        [h, gate, up]: [&mut [f32]; 3],
    ) -> Result<(), Error> {
        layer.output.on(self.cpu).multiply_add(attended, x)?;
        self.norm.map(x, layer.gated_norm, h)?;
        layer.gate.on(self.cpu).multiply(h, gate)?;
        layer.up.on(self.cpu).multiply(h, up)?;
        self.silu.map_in_place(gate, up)?;
        layer.down.on(self.cpu).multiply_add(gate, x)
    }

    /// Computes the logits of `state.x`.
    fn classify(&self, state: &mut State<'_>) -> Result<(), Error> {
        self.norm.map(state.x, self.weights.final_norm(), state.h)?;
        let classifier = self
            .weights
            .classifier()
            .ok_or(Error::Capacity { limit: 0 })?;
        classifier.on(self.cpu).multiply(state.h, state.logits)
    }

    fn embed(&self, token: usize, out: &mut [f32]) -> Result<(), Error> {
        let embedding = self
            .weights
            .embedding()
            .ok_or(Error::Capacity { limit: 0 })?;
        embedding.row_into(token, out)
    }

    fn layer(&self, index: usize) -> Result<Layer<'_, P::Element>, Error> {
        self.weights.layer(index).ok_or(Error::Capacity {
            limit: self.dims.layers,
        })
    }

    fn check(&self, position: usize) -> Result<(), Error> {
        if position < self.dims.seq_len {
            Ok(())
        } else {
            Err(Error::Capacity {
                limit: self.dims.seq_len,
            })
        }
    }
}

/// The model as a function of its tokens, for [`Recompute`].
struct Again<'a, 'f, P> {
    model: &'a Llama<'f, P>,
    tokens: &'a [u32],
    h: &'a mut [f32],
    gate: &'a mut [f32],
    up: &'a mut [f32],
    /// The first refusal; the numbers that follow it mean nothing.
    refused: Result<(), Error>,
}

impl<P: Weights> Again<'_, '_, P> {
    /// Runs a part of a layer.
    fn layer(
        &mut self,
        index: usize,
        part: impl FnOnce(&mut Self, &Layer<'_, P::Element>) -> Result<(), Error>,
    ) {
        let model = self.model;
        let result = model.layer(index).and_then(|layer| part(self, &layer));
        self.refused = self.refused.and(result);
    }
}

impl<P: Weights> Layers<f32> for Again<'_, '_, P> {
    fn layers(&self) -> usize {
        self.model.dims.layers
    }

    fn width(&self) -> usize {
        self.model.dims.dim
    }

    fn embed(&mut self, position: usize, hidden: &mut [f32]) {
        let token = self
            .tokens
            .get(position)
            .map_or(usize::MAX, |&token| token as usize);
        self.refused = self.refused.and(self.model.embed(token, hidden));
    }

    fn query(&mut self, layer: usize, position: usize, hidden: &[f32], query: &mut [f32]) {
        self.layer(layer, |again, layer| {
            again
                .model
                .norm
                .map(hidden, layer.attention_norm, again.h)?;
            again.model.queries(layer, position, again.h, query)
        });
    }

    fn key_value(
        &mut self,
        layer: usize,
        position: usize,
        hidden: &[f32],
        key: &mut [f32],
        value: &mut [f32],
    ) {
        self.layer(layer, |again, layer| {
            again
                .model
                .norm
                .map(hidden, layer.attention_norm, again.h)?;
            again
                .model
                .keys_and_values(layer, position, again.h, key, value)
        });
    }

    fn finish(&mut self, layer: usize, _: usize, attended: &[f32], hidden: &mut [f32]) {
        self.layer(layer, |again, layer| {
            let scratch = [&mut *again.h, &mut *again.gate, &mut *again.up];
            again.model.finish(layer, attended, hidden, scratch)
        });
    }
}
