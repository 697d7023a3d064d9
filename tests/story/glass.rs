//! GlassLLM's flat file: f16 matrices as `[in][out]`, turned once into the `[out][in]` that
//! [`Llama`](crate::llama::Llama) multiplies.

use suanzi::nn::Matrix;
use suanzi::storage::F16;

use crate::llama::{Dims, Layer, Weights};

/// A model, in memory of its own.
pub(crate) struct Glass {
    dims: Dims,
    epsilon: f32,
    embedding: Vec<F16>,
    layers: Vec<Tensors>,
    final_norm: Vec<f32>,
}

/// The tensors of one layer.
struct Tensors {
    attention_norm: Vec<f32>,
    query: Vec<F16>,
    key: Vec<F16>,
    value: Vec<F16>,
    output: Vec<F16>,
    gated_norm: Vec<f32>,
    gate: Vec<F16>,
    up: Vec<F16>,
    down: Vec<F16>,
}

/// What of a file has not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn halves(&mut self, len: usize) -> Option<Vec<F16>> {
        let half = |rest: &mut Self| Some(F16::from_bits(u16::from_le_bytes(rest.take()?)));
        (0..len).map(|_| half(self)).collect()
    }

    fn gains(&mut self, len: usize) -> Option<Vec<f32>> {
        let halves = self.halves(len)?;
        Some(halves.into_iter().map(F16::to_f32).collect())
    }

    /// Reads `[inputs][outputs]` and returns `[outputs][inputs]`.
    fn matrix(&mut self, inputs: usize, outputs: usize) -> Option<Vec<F16>> {
        let weights = self.halves(inputs * outputs)?;
        let columns = (0..outputs).flat_map(|j| weights.iter().skip(j).step_by(outputs));
        Some(columns.copied().collect())
    }
}

impl Glass {
    /// Reads a file, if it is one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        if rest.take()? != *b"GLM1" {
            return None;
        }
        let size = |rest: &mut Rest<'_>| Some(u32::from_le_bytes(rest.take()?) as usize);
        let vocab = size(&mut rest)?;
        let dim = size(&mut rest)?;
        let layers = size(&mut rest)?;
        let heads = size(&mut rest)?;
        let kv_heads = size(&mut rest)?;
        let seq_len = size(&mut rest)?;
        let base = f32::from_le_bytes(rest.take()?);
        let epsilon = f32::from_le_bytes(rest.take()?);
        let hidden_dim = size(&mut rest)?;
        if base != 10_000.0 {
            return None;
        }
        let dims = Dims {
            dim,
            hidden_dim,
            layers,
            heads,
            kv_heads,
            vocab,
            seq_len,
        };
        let kv_dim = dims.kv_dim();
        let glass = Self {
            dims,
            epsilon,
            embedding: rest.halves(vocab * dim)?,
            layers: (0..layers)
                .map(|_| {
                    Some(Tensors {
                        attention_norm: rest.gains(dim)?,
                        query: rest.matrix(dim, dim)?,
                        key: rest.matrix(dim, kv_dim)?,
                        value: rest.matrix(dim, kv_dim)?,
                        output: rest.matrix(dim, dim)?,
                        gated_norm: rest.gains(dim)?,
                        gate: rest.matrix(dim, hidden_dim)?,
                        up: rest.matrix(dim, hidden_dim)?,
                        down: rest.matrix(hidden_dim, dim)?,
                    })
                })
                .collect::<Option<_>>()?,
            final_norm: rest.gains(dim)?,
        };
        rest.0.is_empty().then_some(glass)
    }
}

impl Weights for &Glass {
    type Element = F16;

    fn dims(&self) -> Dims {
        self.dims
    }

    fn epsilon(&self) -> f32 {
        self.epsilon
    }

    fn embedding(&self) -> Option<Matrix<'_, F16>> {
        Matrix::new(self.dims.vocab, self.dims.dim, &self.embedding).ok()
    }

    fn classifier(&self) -> Option<Matrix<'_, F16>> {
        self.embedding()
    }

    fn final_norm(&self) -> &[f32] {
        &self.final_norm
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, F16>> {
        let Dims {
            dim, hidden_dim, ..
        } = self.dims;
        let kv_dim = self.dims.kv_dim();
        let tensors = self.layers.get(index)?;
        Some(Layer {
            attention_norm: &tensors.attention_norm,
            query: Matrix::new(dim, dim, &tensors.query).ok()?,
            key: Matrix::new(kv_dim, dim, &tensors.key).ok()?,
            value: Matrix::new(kv_dim, dim, &tensors.value).ok()?,
            output: Matrix::new(dim, dim, &tensors.output).ok()?,
            gated_norm: &tensors.gated_norm,
            gate: Matrix::new(hidden_dim, dim, &tensors.gate).ok()?,
            down: Matrix::new(dim, hidden_dim, &tensors.down).ok()?,
            up: Matrix::new(hidden_dim, dim, &tensors.up).ok()?,
        })
    }
}
