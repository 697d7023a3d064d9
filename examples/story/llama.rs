//! A Llama-style decoder, one token at a time: `core`, suanzi and the square root of libm.
//!
//! Weights are borrowed in place, state is lent by the caller, and after construction nothing is
//! allocated. Where keys and values are kept is a [`Memory`]; [`Llama::step_again`] keeps none and
//! derives them from the tokens each time.

use suanzi::mixer::OnlineSoftmax;
use suanzi::nn::{GatedSilu, Matrix, RmsNorm};
use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope};
use suanzi::storage::Stored;
use suanzi::{Cpu, Error, Parameter};

/// The most query heads that share a key/value head.
const MAX_GROUP: usize = 32;
/// The most key/value heads of a model that is computed again from its tokens.
const MAX_KV_HEADS: usize = 16;

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
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
    pub const fn head_dim(self) -> usize {
        self.dim / self.heads
    }

    /// Returns the elements of one token's keys, and of its values.
    pub const fn kv_dim(self) -> usize {
        self.head_dim() * self.kv_heads
    }

    /// Returns the rotated pairs of a head.
    pub const fn pairs(self) -> usize {
        self.head_dim() / 2
    }

    /// Returns the query heads of one key/value head.
    pub const fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// Returns the elements that [`State`] needs.
    pub const fn state_len(self) -> usize {
        4 * self.dim + 2 * self.kv_dim() + 2 * self.hidden_dim + self.vocab
    }

    /// Returns the elements that one layer needs to be computed again from the tokens.
    pub const fn frame_len(self) -> usize {
        2 * self.dim
            + self.kv_heads
                * OnlineSoftmax::<f32, &mut [f32]>::state_len(self.group(), self.head_dim())
    }
}

/// The weights of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a, W> {
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
pub trait Weights {
    /// The number type that the matrices are kept in.
    type Element: Stored<f32>;

    /// Returns the sizes.
    fn dims(&self) -> Dims;
    /// Returns the small number under the root of the norms.
    fn epsilon(&self) -> f32 {
        1e-5
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

/// A memory of every layer's keys and values.
pub trait Memory {
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
pub struct State<'s> {
    /// The token's vector as it passes the layers.
    pub x: &'s mut [f32],
    h: &'s mut [f32],
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
    pub fn new(dims: Dims, storage: &'s mut [f32]) -> Result<Self, Error> {
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
pub struct Llama<'f, P> {
    weights: P,
    dims: Dims,
    norm: RmsNorm<f32>,
    silu: GatedSilu,
    rope: Rope<f32, &'f mut [u64]>,
    scale: f32,
    cpu: Cpu,
}

impl<'f, P: Weights> Llama<'f, P> {
    /// Returns the model of these weights; `frequencies` has [`Dims::pairs`] elements.
    pub fn new(weights: P, frequencies: &'f mut [u64], cpu: Cpu) -> Result<Self, Error> {
        let dims = weights.dims();
        if dims.heads == 0 || dims.kv_heads == 0 || dims.heads % dims.kv_heads != 0 {
            return Err(Error::Domain(Parameter::Heads));
        }
        if dims.group() > MAX_GROUP {
            return Err(Error::Capacity { limit: MAX_GROUP });
        }
        let layout = HeadLayout::new(dims.head_dim(), Pairing::Interleaved)?;
        let rope = Rope::new(layout, &Base::new(10_000.0)?, frequencies)?.on(cpu);
        let scale = 1.0 / libm::sqrtf(dims.head_dim() as f32);
        let norm = RmsNorm::new(weights.epsilon())?.on(cpu);
        let silu = GatedSilu::default().on(cpu);
        Ok(Self {
            weights,
            dims,
            norm,
            silu,
            rope,
            scale,
            cpu,
        })
    }

    /// Returns the sizes.
    pub const fn dims(&self) -> Dims {
        self.dims
    }

    /// Reads a token at its position; the logits of the next one are in `state`.
    pub fn step(
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
            self.project(&layer, position, state)?;
            memory.attend(
                index,
                position,
                state.query,
                state.key,
                state.value,
                state.y,
            )?;
            self.finish(&layer, state)?;
        }
        self.classify(state)
    }

    /// Computes the logits after the newest of `tokens` from the tokens alone: no key and no value is
    /// kept, everything is computed again. `frames` has [`Dims::frame_len`] elements a layer.
    ///
    /// Layer l at position i reads layer l - 1 at the positions i, i - 1, ..., 0, one after the other:
    /// constant memory, and C(i + l, l) steps.
    pub fn step_again(
        &self,
        tokens: &[u32],
        frames: &mut [f32],
        state: &mut State<'_>,
    ) -> Result<(), Error> {
        if self.dims.kv_heads > MAX_KV_HEADS {
            return Err(Error::Capacity {
                limit: MAX_KV_HEADS,
            });
        }
        let newest = tokens
            .len()
            .checked_sub(1)
            .ok_or(Error::Capacity { limit: 0 })?;
        self.check(newest)?;
        self.hidden(self.dims.layers, tokens, newest, frames, state)?;
        self.classify(state)
    }

    /// Leaves the output of layer `depth` - 1 at `position` in `state.x`.
    fn hidden(
        &self,
        depth: usize,
        tokens: &[u32],
        position: usize,
        frames: &mut [f32],
        state: &mut State<'_>,
    ) -> Result<(), Error> {
        let Some(index) = depth.checked_sub(1) else {
            let token = tokens
                .get(position)
                .map_or(usize::MAX, |&token| token as usize);
            return self.embed(token, state.x);
        };
        let layer = self.layer(index)?;
        let (dim, head_dim, group) = (self.dims.dim, self.dims.head_dim(), self.dims.group());
        let short = Error::Length {
            expected: self.dims.frame_len(),
            found: frames.len(),
        };
        let (frame, frames) = frames
            .split_at_mut_checked(self.dims.frame_len())
            .ok_or(short)?;
        let (top, frame) = frame.split_at_mut_checked(dim).ok_or(short)?;
        let (query, parts) = frame.split_at_mut_checked(dim).ok_or(short)?;
        let part = OnlineSoftmax::<f32, &mut [f32]>::state_len(group, head_dim);
        let mut parts = parts.chunks_exact_mut(part);
        let mut sums: [_; MAX_KV_HEADS] = core::array::from_fn(|_| {
            let sums = OnlineSoftmax::<f32, _>::new(group, head_dim, parts.next()?).ok()?;
            Some(sums.on(self.cpu))
        });
        for at in (0..=position).rev() {
            self.hidden(index, tokens, at, frames, state)?;
            self.project(&layer, at, state)?;
            if at == position {
                top.copy_from_slice(state.x);
                query.copy_from_slice(state.query);
            }
            let queries = query.chunks_exact(group * head_dim);
            let keys = state
                .key
                .chunks_exact(head_dim)
                .zip(state.value.chunks_exact(head_dim));
            for ((sums, query), (key, value)) in sums.iter_mut().flatten().zip(queries).zip(keys) {
                let mut scores = [0.0; MAX_GROUP];
                let scores = scores.get_mut(..group).unwrap_or_default();
                Matrix::new(group, head_dim, query)?
                    .on(self.cpu)
                    .multiply(key, scores)?;
                for score in &mut *scores {
                    *score *= self.scale;
                }
                sums.push(scores, value)?;
            }
        }
        let outputs = state.y.chunks_exact_mut(group * head_dim);
        for (sums, out) in sums.iter().flatten().zip(outputs) {
            sums.finish(out)?;
        }
        state.x.copy_from_slice(top);
        self.finish(&layer, state)
    }

    /// Computes the rotated queries and keys, and the values, of `state.x`.
    fn project(
        &self,
        layer: &Layer<'_, P::Element>,
        position: usize,
        state: &mut State<'_>,
    ) -> Result<(), Error> {
        self.norm.map(state.x, layer.attention_norm, state.h)?;
        layer.query.on(self.cpu).multiply(state.h, state.query)?;
        layer.key.on(self.cpu).multiply(state.h, state.key)?;
        layer.value.on(self.cpu).multiply(state.h, state.value)?;
        // Positions stay below seq_len, which is below 2^31.
        let at = position as i32;
        self.rope.rotate(at, &mut *state.query)?;
        self.rope.rotate(at, &mut *state.key)
    }

    /// Adds the heads' outputs to `state.x`, then the gated layer.
    fn finish(&self, layer: &Layer<'_, P::Element>, state: &mut State<'_>) -> Result<(), Error> {
        layer.output.on(self.cpu).multiply_add(state.y, state.x)?;
        self.norm.map(state.x, layer.gated_norm, state.h)?;
        layer.gate.on(self.cpu).multiply(state.h, state.gate)?;
        layer.up.on(self.cpu).multiply(state.h, state.up)?;
        self.silu.map_in_place(state.gate, state.up)?;
        layer.down.on(self.cpu).multiply_add(state.gate, state.x)
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
