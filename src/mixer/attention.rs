//! Softmax attention of one token, or of several, over a memory of keys and values.

use super::kernel::{self, Group};
use super::state::{Head, Stack, Tree, heads, part_len, parts};
use super::{BLOCK, KeyValues};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error, Parameter};

/// Causal softmax attention: o = sum_j exp(s_j) v_j / sum_j exp(s_j) with s_j = scale * (q . k_j).
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
///   head, NaN in a value in its element. Positions that are not visible are never read.
/// * **Accuracy:** the table's row `attention`, in units of max |v| (1 + max_j |scale| sum |q k_j|).
///   What dominates is the rounding of the scores, which no later step can take back.
/// * **Cost:** a multiplication and an addition for each element of keys and values and query head,
///   one exponential for each key and query head, and scratch that grows with the logarithm of the
///   number of keys. A step of decoding runs at the speed of memory.
///
/// The [module](super) states the order of the sums.
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
pub struct Attention<T, E = Cpu> {
    pub(crate) query_heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) key_dim: usize,
    pub(crate) value_dim: usize,
    pub(crate) scale: T,
    pub(crate) executor: E,
}

/// The positions that a query sees.
///
/// A number n stands for the first n positions, so a token at position p sees p + 1. A window keeps
/// the newest of them, and attention sinks the oldest as well (Xiao et al. 2023, arXiv 2309.17453).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Visible {
    pub(super) end: usize,
    window: usize,
    sinks: usize,
}

impl From<usize> for Visible {
    fn from(end: usize) -> Self {
        Self {
            end,
            window: usize::MAX,
            sinks: 0,
        }
    }
}

impl Visible {
    /// Keeps the newest `window` positions.
    #[must_use]
    pub const fn window(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// Keeps the oldest `sinks` positions besides.
    #[must_use]
    pub const fn sinks(self, sinks: usize) -> Self {
        Self { sinks, ..self }
    }

    /// Returns the sinks in front of the window and the window, both as ranges of positions.
    const fn ranges(self) -> [(usize, usize); 2] {
        let start = self.end.saturating_sub(self.window);
        let sinks = if self.sinks < start {
            self.sinks
        } else {
            start
        };
        // Sinks that reach the window are no separate stretch.
        if sinks == start {
            [(0, 0), (0, self.end)]
        } else {
            [(0, sinks), (start, self.end)]
        }
    }

    /// Returns the query `steps` tokens later.
    const fn later(self, steps: usize) -> Self {
        Self {
            end: self.end.saturating_add(steps),
            ..self
        }
    }
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
        };
        attention.with_value_dim(dim)
    }
}

impl<T: Scalar, E> Attention<T, E> {
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
    pub fn on<F>(self, executor: F) -> Attention<T, F> {
        Attention {
            query_heads: self.query_heads,
            kv_heads: self.kv_heads,
            key_dim: self.key_dim,
            value_dim: self.value_dim,
            scale: self.scale,
            executor,
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
}

impl<T: Scalar> Attention<T> {
    /// Attends with one token's queries to the visible positions of `memory`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `query` has not [`Attention::query_len`] elements, `out` not
    /// [`Attention::out_len`], `scratch` less than [`Attention::scratch_len`], or the memory other
    /// heads or dimensions; [`Error::Capacity`] if a visible position is not in the memory;
    /// [`Error::Domain`] if the window is zero.
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
        self.attend_rows(query, memory, visible, scratch, out)
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
        self.run(query, memory, visible.into(), scratch, out, Some(lse))
    }

    /// Attends with the queries of consecutive tokens: `visible` is what the first one sees, each
    /// later one sees a position more.
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
        self.run(query, memory, visible.into(), scratch, out, None)
    }

    /// Checks every argument, then computes.
    fn run<C: KeyValues<T>>(
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
        check_len(self.kv_heads, memory.heads())?;
        check_len(self.key_dim, memory.key_dim())?;
        check_len(self.value_dim, memory.value_dim())?;
        if rows == 0 {
            return Ok(());
        }
        check_visible(memory, visible, rows)?;
        let expected = self.scratch_len(visible.later(rows - 1).end);
        let found = scratch.len();
        let Some(scratch) = scratch.get_mut(..expected) else {
            return Err(Error::Length { expected, found });
        };
        let lse = lse.unwrap_or_default();
        self.walk(query, memory, visible, scratch, out, lse);
        Ok(())
    }

    /// Attends with the queries of consecutive tokens.
    fn walk<C: KeyValues<T>>(
        &self,
        query: &[T],
        memory: &C,
        visible: Visible,
        scratch: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) {
        let group_heads = self.query_heads / self.kv_heads.max(1);
        let (weights, storage) = scratch
            .split_at_mut_checked(group_heads * BLOCK)
            .unwrap_or_default();
        let mut lse = lse.iter_mut();
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        let mut outs = out.chunks_exact_mut(self.out_len().max(1));
        let tokens = query
            .chunks_exact(self.query_len().max(1))
            .zip(outs.by_ref());
        for (token, (query, out)) in tokens.enumerate() {
            let ranges = visible.later(token).ranges();
            let groups = query.chunks_exact((group_heads * self.key_dim).max(1));
            let mut outs = out.chunks_exact_mut((group_heads * self.value_dim).max(1));
            for (kv_head, (query, out)) in groups.zip(outs.by_ref()).enumerate() {
                let group = Group {
                    query,
                    heads: group_heads,
                    key_dim: self.key_dim,
                    value_dim: self.value_dim,
                    scale: self.scale,
                    kv_head,
                };
                let mut tree =
                    Tree::resume(&mut *storage, group_heads, self.value_dim, Stack::rising());
                for (from, to) in ranges {
                    tree.fix();
                    sum(self.executor, group, memory, from, to, weights, &mut tree);
                }
                let whole = heads(tree.whole(self.executor), self.value_dim);
                for ((values, head), out) in whole.zip(out.chunks_exact_mut(self.value_dim.max(1)))
                {
                    let head = Head::read(head);
                    head.divide(values, out);
                    if let Some(lse) = lse.next() {
                        *lse = head.log_sum_exp();
                    }
                }
            }
        }
    }
}

/// Checks that the memory keeps every position that `rows` queries see.
fn check_visible<T: Scalar, C: KeyValues<T>>(
    memory: &C,
    visible: Visible,
    rows: usize,
) -> Result<(), Error> {
    if visible.window == 0 {
        return Err(Error::Domain(Parameter::Window));
    }
    let limit = memory.len();
    let (kept, start) = memory.kept();
    let [sinks, window] = visible.ranges();
    let seen =
        |(from, to): (usize, usize)| from >= to || to <= kept || from >= start || kept >= start;
    if visible.later(rows - 1).end > limit || !seen(sinks) || !seen(window) {
        return Err(Error::Capacity { limit });
    }
    Ok(())
}

/// Adds the blocks of the positions `from..to` to a tree, in rising order.
pub(super) fn sum<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    from: usize,
    to: usize,
    weights: &mut [T],
    tree: &mut Tree<'_, T>,
) {
    let mut start = from;
    while start < to {
        let end = (start / BLOCK + 1).saturating_mul(BLOCK).min(to);
        kernel::block(cpu, group, memory, start, end, weights, tree.open());
        tree.close(cpu, start / BLOCK);
        start = end;
    }
}
