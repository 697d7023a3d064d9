//! Multi-head latent attention: the keys and values of all heads from one short vector a token.

mod cache;
mod forms;
mod projection;

pub use cache::{LatentCache, latent_cache_len};
use projection::Projection;

use super::Attention;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::storage::Stored;
use crate::{Cpu, Error, Parameter};

/// The sizes of one layer of latent attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LatentDims {
    /// Query heads.
    pub heads: usize,
    /// Elements of the latent vector that all heads share.
    pub latent_dim: usize,
    /// Elements of the rotated part of a query, and of the one rotated key that all heads share; zero
    /// for none.
    pub rope_dim: usize,
    /// Elements of the part of a head's query and key that carries no position.
    pub nope_dim: usize,
    /// Elements of a head's value.
    pub value_dim: usize,
}

/// Multi-head latent attention (MLA): a token keeps a latent vector c and one rotated key r for all
/// heads.
///
/// Head h has the key `[K_h c, r]` and the value `V_h c`, for a query `[q, p]` with p rotated:
/// s_j = scale * (q . K_h c_j + p . r_j) and o = V_h sum_j w_j c_j with the softmax w of s. DeepSeek-AI
/// (2024), DeepSeek-V2, arXiv 2405.04434. It has two forms, equal in exact arithmetic:
///
/// * **Absorbed**, for decoding: q . K_h c = (K_h^T q) . c, so [`absorb`](Self::absorb) turns the
///   query, [`absorbed_attention`](Self::absorbed_attention) is multi-query attention over the rows
///   `[c, r]` of a [`LatentCache`], and [`expand_output`](Self::expand_output)
///   applies V_h to its result. [`attend`](Self::attend) does the three.
/// * **Expanded**, for long prompts: [`expand`](Self::expand) computes each head's keys and values once,
///   for [`expanded_attention`](Self::expanded_attention) over a [`Cache`](super::Cache) of as many
///   key/value heads as query heads. Shorter dot products, many times the memory.
///
/// The scale is 1 / sqrt(nope_dim + rope_dim) in both. K_h is never multiplied by the projection of the
/// queries beforehand: one after the other is cheaper and loses less. Projections down to c and to the
/// queries, their norms, and the rotation belong to the caller.
///
/// * **Shapes:** `keys` `[head][nope_dim][latent_dim]` and `values` `[head][value_dim][latent_dim]`, or
///   both in one ([`joint`](Self::joint)); queries `[token][head][nope_dim]` and
///   `[token][head][rope_dim]`.
/// * **Domain:** as [`Attention`]. A NaN in a query makes its head NaN.
/// * **Accuracy:** the table's row `latent attention`, both forms, in units of
///   max_j sum |V c_j| (1 + max_j |scale| (sum |q K c_j| + sum |p r_j|)).
/// * **Cost:** for each key and head 2 latent_dim + rope_dim multiply-adds absorbed, nope_dim + rope_dim +
///   value_dim expanded; for each head latent_dim (nope_dim + value_dim) a step absorbed, the same a
///   token expanded. [`Sharing`](super::Sharing) counts them.
///
/// ```
/// use suanzi::mixer::{Latent, LatentCache, LatentDims};
/// use suanzi::nn::{Matrix, RmsNorm};
/// use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope};
///
/// let dims = LatentDims { heads: 2, latent_dim: 3, rope_dim: 2, nope_dim: 2, value_dim: 2 };
/// let (down, rope_key) = ([0.5_f32; 3 * 4], [0.25_f32; 2 * 4]);
/// let (query_down, query_up, rope_up) = ([0.5_f32; 3 * 4], [0.25_f32; 4 * 3], [0.5_f32; 4 * 3]);
/// let (keys, values) = ([0.5_f32; 2 * 2 * 3], [0.25_f32; 2 * 2 * 3]);
/// let latent = Latent::new(dims, &keys, &values)?;
/// let rope = Rope::new(HeadLayout::new(2, Pairing::Interleaved)?, &Base::default(), [0; 1])?;
/// let norm = RmsNorm::new(1e-6)?;
///
/// let mut cache = LatentCache::<f32, _>::new(3, 2, [0.0; 5 * 8])?;
/// let mut scratch = vec![0.0; latent.scratch_len(8)];
/// let mut out = [0.0; 2 * 2];
/// for (position, x) in [[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.5]].iter().enumerate() {
///     // What a token keeps: the normalized latent vector and the rotated key.
///     let (mut c, mut r) = ([0.0; 3], [0.0; 2]);
///     Matrix::new(3, 4, &down)?.multiply(x, &mut c)?;
///     norm.map_in_place(&mut c, &[1.0; 3])?;
///     Matrix::new(2, 4, &rope_key)?.multiply(x, &mut r)?;
///     rope.rotate(position as i32, &mut r[..])?;
///     cache.append(&c, &r)?;
///     // Queries of low rank: down, norm, and up to both parts.
///     let (mut low, mut q, mut p) = ([0.0; 3], [0.0; 4], [0.0; 4]);
///     Matrix::new(3, 4, &query_down)?.multiply(x, &mut low)?;
///     norm.map_in_place(&mut low, &[1.0; 3])?;
///     Matrix::new(4, 3, &query_up)?.multiply(&low, &mut q)?;
///     Matrix::new(4, 3, &rope_up)?.multiply(&low, &mut p)?;
///     rope.rotate(position as i32, &mut p[..])?;
///     latent.attend(&q, &p, &cache, position + 1, &mut scratch, &mut out)?;
/// }
/// // Both tokens have the latent vector [1, 1, 1], up to epsilon.
/// assert!(out.iter().all(|o| (o - 0.75).abs() < 1e-5));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Latent<'a, W, T = f32> {
    dims: LatentDims,
    keys: Projection<'a, W, T>,
    values: Projection<'a, W, T>,
    absorbed: Attention<T>,
    expanded: Attention<T>,
    cpu: Cpu,
}

impl<'a, W: Stored<T>, T: Scalar> Latent<'a, W, T> {
    /// Returns latent attention with the projections of each head in two arrays, on the processor's best
    /// instruction set.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size other than `rope_dim` is zero or a product of them overflows,
    /// [`Error::Length`] if an array has another length.
    pub fn new(dims: LatentDims, keys: &'a [W], values: &'a [W]) -> Result<Self, Error> {
        let latent = Self::empty(dims)?;
        let head = dims.heads * dims.latent_dim;
        check_len(head * dims.nope_dim, keys.len())?;
        check_len(head * dims.value_dim, values.len())?;
        Ok(latent.with_weights(keys, values, dims.nope_dim, dims.value_dim))
    }

    /// Returns latent attention with the projections of each head beside each other:
    /// `[head][nope_dim + value_dim][latent_dim]`, as checkpoints of DeepSeek keep them (`kv_b_proj`).
    ///
    /// # Errors
    ///
    /// As [`Latent::new`].
    pub fn joint(dims: LatentDims, weights: &'a [W]) -> Result<Self, Error> {
        let latent = Self::empty(dims)?;
        let rows = dims.nope_dim + dims.value_dim;
        check_len(dims.heads * rows * dims.latent_dim, weights.len())?;
        let values = weights.get(dims.nope_dim * dims.latent_dim..);
        Ok(latent.with_weights(weights, values.unwrap_or_default(), rows, rows))
    }

    /// Multiplies the rows of the projections by scales `[head][nope_dim]` and `[head][value_dim]`, on top
    /// of the weights as they are kept: what gives `i8` its range.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one scale a row.
    pub fn with_scales(mut self, keys: &'a [T], values: &'a [T]) -> Result<Self, Error> {
        let d = self.dims;
        check_len(d.heads * d.nope_dim, keys.len())?;
        check_len(d.heads * d.value_dim, values.len())?;
        (self.keys.scales, self.keys.scale_stride) = (keys, d.nope_dim);
        (self.values.scales, self.values.scale_stride) = (values, d.value_dim);
        Ok(self)
    }

    /// Multiplies the rows of the projections by scales `[head][nope_dim + value_dim]`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one scale a row.
    pub fn with_joint_scales(mut self, scales: &'a [T]) -> Result<Self, Error> {
        let d = self.dims;
        let rows = d.nope_dim + d.value_dim;
        check_len(d.heads * rows, scales.len())?;
        let values = scales.get(d.nope_dim..).unwrap_or_default();
        (self.keys.scales, self.keys.scale_stride) = (scales, rows);
        (self.values.scales, self.values.scale_stride) = (values, rows);
        Ok(self)
    }

    /// Checks the sizes.
    fn empty(dims: LatentDims) -> Result<Self, Error> {
        let LatentDims {
            heads,
            latent_dim,
            rope_dim,
            nope_dim,
            value_dim,
        } = dims;
        if heads == 0 {
            return Err(Error::Domain(Parameter::Heads));
        }
        // Every other product is at most this one.
        let fits = nope_dim.checked_add(rope_dim);
        let fits = fits.and_then(|n| n.checked_add(value_dim));
        let fits = fits.and_then(|n| n.checked_mul(latent_dim.checked_add(rope_dim)?));
        let fits = fits.and_then(|n| n.checked_mul(heads));
        if latent_dim == 0 || nope_dim == 0 || value_dim == 0 || fits.is_none() {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        let none = Projection {
            weights: &[],
            scales: &[],
            rows: 0,
            columns: latent_dim,
            stride: 0,
            scale_stride: 0,
        };
        let absorbed = Attention::new(heads, 1, latent_dim + rope_dim)?;
        let expanded = Attention::new(heads, heads, nope_dim + rope_dim)?;
        Self {
            dims,
            keys: none,
            values: none,
            absorbed: absorbed.with_value_dim(latent_dim)?,
            expanded: expanded.with_value_dim(value_dim)?,
            cpu: Cpu::default(),
        }
        .with_mscale(T::ONE)
    }

    fn with_weights(
        mut self,
        keys: &'a [W],
        values: &'a [W],
        key_stride: usize,
        value_stride: usize,
    ) -> Self {
        (self.keys.weights, self.values.weights) = (keys, values);
        (self.keys.rows, self.keys.stride) = (self.dims.nope_dim, key_stride);
        (self.values.rows, self.values.stride) = (self.dims.value_dim, value_stride);
        self
    }

    /// Multiplies the scale by the square of `mscale`: mscale^2 / sqrt(nope_dim + rope_dim).
    ///
    /// DeepSeek corrects the temperature of YaRN so, with 0.1 m ln k + 1 for the factor k and the
    /// configuration's `mscale_all_dim` m. That is the temperature of
    /// [`ByParts::yarn`](crate::position::ByParts::yarn) with
    /// [`with_mscale(m, 0.0)`](crate::position::ByParts::with_mscale). Its encoding rotates with
    /// `with_mscale(mscale, m)`.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if the scale is not finite.
    pub fn with_mscale(self, mscale: T) -> Result<Self, Error> {
        let dim = T::from_count(self.dims.nope_dim + self.dims.rope_dim);
        self.with_scale(T::ONE / dim.root() * (mscale * mscale))
    }

    /// Returns this attention with another factor on the dot products.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if the scale is not finite.
    pub fn with_scale(self, scale: T) -> Result<Self, Error> {
        Ok(Self {
            absorbed: self.absorbed.with_scale(scale)?,
            expanded: self.expanded.with_scale(scale)?,
            ..self
        })
    }

    /// Moves the operation to another executor.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self {
            absorbed: self.absorbed.on(cpu),
            expanded: self.expanded.on(cpu),
            cpu,
            ..self
        }
    }

    /// Returns the sizes.
    #[must_use]
    pub const fn dims(&self) -> LatentDims {
        self.dims
    }

    /// Returns the attention of the absorbed form: queries `[c, r]`, one key/value head, values c.
    #[must_use]
    pub const fn absorbed_attention(&self) -> Attention<T> {
        self.absorbed
    }

    /// Returns the attention of the expanded form: a key/value head for each query head.
    #[must_use]
    pub const fn expanded_attention(&self) -> Attention<T> {
        self.expanded
    }
}
