//! Softmax attention of one token, or of several, over a memory of keys and values.

use super::kernel;
use super::rows::{self, Call};
use super::score::{Extent, ScoreMap};
use super::state::{part_len, parts};
use super::{BLOCK, KeyValues, Visible};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error, Parameter};

/// Softmax attention: o = sum_j exp(s_j) v_j / sum_j exp(s_j) with s_j = scale * (q . k_j).
///
/// Query head h reads key/value head h / (query heads / key/value heads): as many of each is
/// multi-head attention, one key/value head multi-query, anything between grouped-query (Ainslie et
/// al. 2023, arXiv 2305.13245). Every key and value is read from memory once for all query heads of
/// its group. Rabe and Staats (2021), arXiv 2112.05682; Dao et al. (2022), arXiv 2205.14135.
///
/// * **Shapes:** queries `[head][key_dim]`, outputs `[head][value_dim]`, one after the other for
///   several tokens. The memory says how its own elements lie.
/// * **Domain:** every input. No visible key, or nothing but scores of minus infinity, gives zeros
///   and a log-sum-exp of minus infinity. A score of NaN or plus infinity gives NaN in the whole
///   head, NaN in a value in its element. Positions that are not visible have no part in the result,
///   whatever lies there.
/// * **Accuracy:** the table's row `attention`, in units of max |v| (1 + max_j |scale| sum |q k_j|).
///   What dominates is the rounding of the scores, which no later step can take back.
/// * **Cost:** a multiplication and an addition for each element of keys and values and query head,
///   one exponential for each key and query head, and scratch that grows with the logarithm of the
///   number of keys. A step of decoding runs at the speed of memory; the queries of a prompt go
///   through [`Attention::attend_rows`], many to each key that is read.
///
/// [`Visible`] says what a query sees, and a [`ScoreMap`] (soft cap, masks, biases, learned sinks, a
/// closure) what is done to its scores: [`Attention::with_scores`]. The [module](super) states the order
/// of the sums.
///
/// ```
/// use suanzi::mixer::{Attention, Cache};
///
/// // Two query heads share one key/value head.
/// let attention = Attention::<f32>::new(2, 1, 4)?;
/// let mut cache = Cache::<f32, _>::new(1, 4, 4, [0.0; 32], [0.0; 32])?;
/// cache.append(&[1.0_f32, 0.0, 0.0, 0.0], &[1.0, 2.0, 3.0, 4.0])?;
/// cache.append(&[0.0_f32, 1.0, 0.0, 0.0], &[5.0, 6.0, 7.0, 8.0])?;
///
/// let query = [0.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 0.0];
/// let mut scratch = [0.0; 512];
/// let mut out = [0.0; 8];
/// attention.attend(&query, &cache, 2, &mut scratch, &mut out)?;
/// assert_eq!(out, [3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attention<T, E = Cpu, M = ()> {
    pub(crate) query_heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) key_dim: usize,
    pub(crate) value_dim: usize,
    pub(crate) scale: T,
    pub(crate) executor: E,
    pub(super) map: M,
}

impl<T: Scalar> Attention<T> {
    /// Returns attention with heads of `dim` elements and the scale 1 / sqrt(dim), on the processor's
    /// best instruction set.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `dim` is zero or the query heads are not a positive multiple of the
    /// key/value heads.
    pub fn new(query_heads: usize, kv_heads: usize, dim: usize) -> Result<Self, Error> {
        if kv_heads == 0 || query_heads == 0 || !query_heads.is_multiple_of(kv_heads) {
            return Err(Error::Domain(Parameter::Heads));
        }
        let attention = Self {
            query_heads,
            kv_heads,
            key_dim: dim,
            value_dim: dim,
            scale: T::ONE / T::from_count(dim).root(),
            executor: Cpu::default(),
            map: (),
        };
        attention.with_value_dim(dim)
    }
}

impl<T: Scalar, E, M> Attention<T, E, M> {
    /// Returns this attention with values of another length than keys.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `dim` is zero or so large that no output could hold it.
    pub fn with_value_dim(self, dim: usize) -> Result<Self, Error> {
        let longest = if dim > self.key_dim {
            dim
        } else {
            self.key_dim
        };
        let fits = longest.checked_mul(self.query_heads).is_some();
        if dim == 0 || self.key_dim == 0 || !fits || longest > isize::MAX as usize {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        Ok(Self {
            value_dim: dim,
            ..self
        })
    }

    /// Returns this attention with another factor on the dot products.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if the scale is not finite.
    pub fn with_scale(self, scale: T) -> Result<Self, Error> {
        if scale - scale == T::zero() {
            Ok(Self { scale, ..self })
        } else {
            Err(Error::Domain(Parameter::Scale))
        }
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on<F>(self, executor: F) -> Attention<T, F, M> {
        Attention {
            query_heads: self.query_heads,
            kv_heads: self.kv_heads,
            key_dim: self.key_dim,
            value_dim: self.value_dim,
            scale: self.scale,
            executor,
            map: self.map,
        }
    }

    /// Returns this attention with what is done to scores between scale and weights, in place of what
    /// was: a soft cap, a mask, biases, a closure, or a pair of them in this order. [`ScoreMap`] lists
    /// them.
    #[inline]
    #[must_use]
    pub fn with_scores<N>(self, map: N) -> Attention<T, E, N> {
        Attention {
            query_heads: self.query_heads,
            kv_heads: self.kv_heads,
            key_dim: self.key_dim,
            value_dim: self.value_dim,
            scale: self.scale,
            executor: self.executor,
            map,
        }
    }

    /// Returns the elements of one token's queries.
    #[must_use]
    pub const fn query_len(&self) -> usize {
        self.query_heads * self.key_dim
    }

    /// Returns the elements of one token's output.
    #[must_use]
    pub const fn out_len(&self) -> usize {
        self.query_heads * self.value_dim
    }

    /// Returns the scratch that queries over at most `keys` positions need.
    #[must_use]
    pub const fn scratch_len(&self, keys: usize) -> usize {
        let Some(group) = self.query_heads.checked_div(self.kv_heads) else {
            return 0;
        };
        group * BLOCK + parts(keys / BLOCK + 2) * part_len(group, self.value_dim)
    }

    /// Returns the scratch with which [`Attention::attend_rows`] takes `rows` queries together: at most
    /// as many as make 64 query heads of one group.
    #[must_use]
    pub const fn rows_scratch_len(&self, keys: usize, rows: usize) -> usize {
        let Some(group) = self.query_heads.checked_div(self.kv_heads) else {
            return 0;
        };
        let mut rows = rows;
        if rows > 1 && rows.saturating_mul(group) > kernel::MOST {
            rows = match kernel::MOST.checked_div(group) {
                Some(rows) => rows,
                None => 0,
            };
        }
        if rows < 2 {
            return self.scratch_len(keys);
        }
        let [weights, kept, queries] = kernel::lens(rows * group, self.key_dim, self.value_dim);
        let parts = parts(keys / BLOCK + 2) * part_len(rows * group, self.value_dim);
        weights + kept + queries + parts
    }
}

impl<T: Scalar, M: ScoreMap<T>> Attention<T, Cpu, M> {
    /// Attends with one token's queries to the visible positions of `memory`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `query` has not [`Attention::query_len`] elements, `out` not
    /// [`Attention::out_len`], `scratch` less than [`Attention::scratch_len`], or the memory other
    /// heads or dimensions; [`Error::Capacity`] if a visible position is not in the memory;
    /// [`Error::Domain`] if the window or the chunk is zero; what the [`ScoreMap`] finds missing.
    pub fn attend<C: KeyValues<T>>(
        &self,
        query: &[T],
        memory: &C,
        visible: impl Into<Visible>,
        scratch: &mut [T],
        out: &mut [T],
    ) -> Result<(), Error> {
        check_len(self.query_len(), query.len())?;
        check_len(self.out_len(), out.len())?;
        self.run::<_, false>(query, memory, visible.into(), scratch, out, None)
    }

    /// Attends, and writes the natural logarithm of the sum of exp(score) for each head.
    ///
    /// # Errors
    ///
    /// As [`Attention::attend`], and [`Error::Length`] if `lse` has not one element a head.
    pub fn attend_with_lse<C: KeyValues<T>>(
        &self,
        query: &[T],
        memory: &C,
        visible: impl Into<Visible>,
        scratch: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) -> Result<(), Error> {
        check_len(self.query_len(), query.len())?;
        check_len(self.out_len(), out.len())?;
        check_len(self.query_heads, lse.len())?;
        self.run::<_, false>(query, memory, visible.into(), scratch, out, Some(lse))
    }

    /// Attends with the queries of consecutive tokens: `visible` is what the first one sees, each
    /// later one sees a position more.
    ///
    /// As many queries are taken together as the scratch holds, so that a block of keys and values is
    /// read once for all of them: [`Attention::rows_scratch_len`] for several, at least
    /// [`Attention::scratch_len`] for one after the other. The more the faster, up to 64 query heads of
    /// a group in all; multiples of sixteen are best. The bits are the same for any number, and those of
    /// [`Attention::attend`].
    ///
    /// # Errors
    ///
    /// As [`Attention::attend`], and [`Error::Multiple`] if `query` is not whole tokens.
    pub fn attend_rows<C: KeyValues<T>>(
        &self,
        query: &[T],
        memory: &C,
        visible: impl Into<Visible>,
        scratch: &mut [T],
        out: &mut [T],
    ) -> Result<(), Error> {
        self.run::<_, true>(query, memory, visible.into(), scratch, out, None)
    }

    /// Attends with the queries of consecutive tokens, and writes the natural logarithm of the sum of
    /// exp(score) for each token and head.
    ///
    /// # Errors
    ///
    /// As [`Attention::attend_rows`], and [`Error::Length`] if `lse` has not one element a token and
    /// head.
    pub fn attend_rows_with_lse<C: KeyValues<T>>(
        &self,
        query: &[T],
        memory: &C,
        visible: impl Into<Visible>,
        scratch: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) -> Result<(), Error> {
        let rows = query.len() / self.query_len().max(1);
        check_len(rows.saturating_mul(self.query_heads), lse.len())?;
        self.run::<_, true>(query, memory, visible.into(), scratch, out, Some(lse))
    }

    /// Checks every argument, then computes; with `ROWS` several queries together.
    fn run<C: KeyValues<T>, const ROWS: bool>(
        &self,
        query: &[T],
        memory: &C,
        visible: Visible,
        scratch: &mut [T],
        out: &mut [T],
        lse: Option<&mut [T]>,
    ) -> Result<(), Error> {
        let rows = query.len() / self.query_len().max(1);
        if !query.len().is_multiple_of(self.query_len().max(1)) {
            return Err(Error::Multiple {
                of: self.query_len(),
                found: query.len(),
            });
        }
        check_len(rows.saturating_mul(self.out_len()), out.len())?;
        self.check_memory(memory)?;
        if rows == 0 {
            return Ok(());
        }
        let keys = visible.check(memory, rows)?;
        self.map.check(Extent {
            heads: self.query_heads,
            rows,
            query: visible.position(0),
            keys,
        })?;
        let (expected, found) = (self.scratch_len(keys), scratch.len());
        if found < expected {
            return Err(Error::Length { expected, found });
        }
        let mut together = 1;
        if ROWS {
            let group = self.query_heads / self.kv_heads.max(1);
            together = rows.min(kernel::MOST / group.max(1)).max(1);
            while together > 1 && found < self.rows_scratch_len(keys, together) {
                together -= 1;
            }
        }
        let call = Call {
            visible,
            rows,
            together,
            query,
        };
        rows::walk::<_, _, _, ROWS>(self, call, memory, scratch, out, lse.unwrap_or_default());
        Ok(())
    }

    /// Checks that the memory has the heads and dimensions.
    pub(super) fn check_memory<C: KeyValues<T>>(&self, memory: &C) -> Result<(), Error> {
        check_len(self.kv_heads, memory.heads())?;
        check_len(self.key_dim, memory.key_dim())?;
        check_len(self.value_dim, memory.value_dim())
    }
}
