//! Linear recurrences: mixers whose past is a matrix a head, whatever the length of the sequence.

mod chunk;
mod delta;
mod features;
mod gate;
pub(crate) mod kernel;
mod linear;
mod merge;
mod mesa;
mod rule;
mod run;
mod rwkv;
mod ssd;

pub use delta::{DeltaRule, DeltaToken};
pub use features::FeatureMap;
pub use gate::Gate;
pub use linear::{LinearAttention, LinearToken, Normalizer, retention_decay};
pub use mesa::{Mesa, MesaToken};
pub use rule::{Diagonal, Rule};
pub use rwkv::{Rwkv6, Rwkv6Token, Rwkv7, Rwkv7Token};
pub use ssd::{Ssd, SsdToken};

use super::CausalMixer;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error, Parameter};
use rule::{BONUS, Shape};
use run::{Run, State};

/// Rows of `key_dim` elements that a step works in, beside one of `value_dim`.
const SCRATCH: usize = 2;

/// A linear recurrence: a matrix `[key_dim][value_dim]` for each head, and a [`Rule`] that changes it
/// at each token and reads it with a query.
///
/// All rules read o = scale * S^T q and differ in how S comes about; each names its formula and its
/// source. A step costs a few operations for every element of the state, whatever came before.
///
/// * **Shapes:** queries `[token][query head][key_dim]`, keys `[token][key head][key_dim]`, values
///   `[token][head][value_dim]`, outputs as many heads as the more numerous of queries and values.
///   There are as many of all heads unless [`with_query_heads`](Self::with_query_heads) or
///   [`with_key_heads`](Self::with_key_heads) says otherwise.
/// * **Domain:** every input; the arithmetic of NaN and infinities holds, in outputs every NaN is the
///   one.
/// * **Order:** each element of the state and of the output is computed on its own. Rows of the state
///   fall into blocks of sixteen: within a block products are added in order, from zero, and the
///   blocks in order. So steps, [`prefill`](Self::prefill) and every instruction set give the same bits.
/// * **Accuracy:** the table's row `linear recurrence`, in units of the sum of magnitudes.
/// * **Cost:** five operations an element of the state and token, seven or eight where the rule reads
///   before it writes. One token at a time runs at the speed of memory.
/// * **Storage:** [`state_len`](Self::state_len) elements of any `AsRef<[T]> + AsMut<[T]>`. Copying
///   [`state`](Self::state) is a checkpoint.
///
/// ```
/// use suanzi::mixer::{CausalMixer, Gate, LinearAttention, LinearToken, Recurrence};
///
/// // One head with keys and values of two elements, which forgets half at each step.
/// const LEN: usize = Recurrence::<LinearAttention, f32, [f32; 0]>::state_len(1, 2, 2);
/// let mut layer = Recurrence::new(LinearAttention::default(), 1, 2, 2, [0.0_f32; LEN])?.with_scale(1.0)?;
/// let token = LinearToken {
///     query: &[1.0, 0.0],
///     key: &[1.0, 0.0],
///     value: &[4.0, 8.0],
///     gate: Gate::Constant(&[0.5]),
/// };
/// let mut out = [0.0; 2];
/// layer.step(token, &mut out)?;
/// layer.step(token, &mut out)?;
/// assert_eq!(out, [6.0, 12.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<R, T, S> {
    rule: R,
    shape: Shape,
    scale: T,
    cpu: Cpu,
    storage: S,
}

impl<R: Rule<T>, T: Scalar, S> Recurrence<R, T, S> {
    /// Returns the elements that the state of this many heads takes.
    #[must_use]
    pub const fn state_len(heads: usize, key_dim: usize, value_dim: usize) -> usize {
        let head = key_dim.saturating_mul(value_dim.saturating_add(R::ROWS));
        let heads = heads.saturating_mul(head);
        let scratch = SCRATCH.saturating_mul(key_dim).saturating_add(value_dim);
        heads.saturating_add(scratch)
    }

    /// Moves the recurrence to another executor.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns this recurrence with another factor on its outputs; 1 / sqrt(key_dim) to begin with
    /// for [`LinearAttention`] and [`DeltaRule`], one for the others.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if the scale is not finite.
    pub fn with_scale(self, scale: T) -> Result<Self, Error> {
        if scale - scale == T::ZERO {
            Ok(Self { scale, ..self })
        } else {
            Err(Error::Domain(Parameter::Scale))
        }
    }

    /// Returns this recurrence with another number of query heads: several that read one state each,
    /// adjacent as in grouped-query attention, or fewer, each of which serves adjacent heads.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if neither number of heads is a positive multiple of the other, or if there are
    /// more queries than states and the value has a share in the output besides ([`Rwkv6`], [`Ssd`]).
    pub fn with_query_heads(self, query_heads: usize) -> Result<Self, Error> {
        let heads = self.shape.heads;
        let several = query_heads.is_multiple_of(heads) && R::FORM & BONUS == 0;
        if query_heads == 0 || !(several || heads.is_multiple_of(query_heads)) {
            return Err(Error::Domain(Parameter::Heads));
        }
        let shape = Shape {
            query_heads,
            ..self.shape
        };
        self.reshaped(shape)
    }

    /// Returns this recurrence with fewer key heads, each of which serves adjacent heads.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if the heads are not a multiple of `key_heads`.
    pub fn with_key_heads(self, key_heads: usize) -> Result<Self, Error> {
        if key_heads == 0 || !self.shape.heads.is_multiple_of(key_heads) {
            return Err(Error::Domain(Parameter::Heads));
        }
        let shape = Shape {
            key_heads,
            ..self.shape
        };
        self.reshaped(shape)
    }

    /// Returns this recurrence with another shape, if its sizes are numbers.
    fn reshaped(self, shape: Shape) -> Result<Self, Error> {
        let longest = shape.key_dim.max(shape.value_dim);
        if shape.query_heads.checked_mul(longest).is_none() {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        Ok(Self { shape, ..self })
    }

    /// Returns the elements of one token's output.
    #[must_use]
    pub const fn out_len(&self) -> usize {
        let [_, _, _, out] = self.shape.lens();
        out
    }

    /// Returns the elements of all matrices, and of what is kept beside them.
    const fn lens(&self) -> (usize, usize) {
        let Shape {
            heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        (heads * key_dim * value_dim, heads * key_dim * R::ROWS)
    }
}

impl<R: Rule<T>, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Recurrence<R, T, S> {
    /// Returns the recurrence before the first token, its state all zeros in lent storage, on the
    /// processor's best instruction set.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero or a parameter of the rule outside its domain,
    /// [`Error::Length`] if the storage has not [`state_len`](Self::state_len) elements or a parameter
    /// not as many as there are heads or channels.
    pub fn new(
        rule: R,
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        storage: S,
    ) -> Result<Self, Error> {
        if heads == 0 {
            return Err(Error::Domain(Parameter::Heads));
        }
        if key_dim == 0 || value_dim == 0 {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        check_len(
            Self::state_len(heads, key_dim, value_dim),
            storage.as_ref().len(),
        )?;
        let shape = Shape {
            heads,
            key_heads: heads,
            query_heads: heads,
            key_dim,
            value_dim,
        };
        rule.check(shape)?;
        let mut recurrence = Self {
            rule,
            shape,
            scale: R::scale(key_dim),
            cpu: Cpu::default(),
            storage,
        };
        recurrence.reset();
        Ok(recurrence)
    }

    /// Forgets every token.
    pub fn reset(&mut self) {
        let (matrices, rows) = self.lens();
        let storage = self.storage.as_mut();
        let (matrices, rest) = storage.split_at_mut_checked(matrices).unwrap_or_default();
        matrices.fill(T::ZERO);
        let (rows, scratch) = rest.split_at_mut_checked(rows).unwrap_or_default();
        rows.fill(T::ZERO);
        scratch.fill(T::ZERO);
        // The product of no decay.
        let head = self.shape.key_dim * R::ROWS;
        for rows in rows.chunks_exact_mut(head.max(1)) {
            if let Some(carry) = rows.get_mut(..self.shape.key_dim) {
                carry.fill(T::ONE);
            }
        }
    }

    /// Returns the state: the matrices `[head][key_dim][value_dim]`, then what the rule keeps beside
    /// them. A copy of it is a checkpoint.
    #[must_use]
    pub fn state(&self) -> &[T] {
        let (matrices, rows) = self.lens();
        let state = self.storage.as_ref().get(..matrices + rows);
        state.unwrap_or_default()
    }

    /// Returns the state to change: to begin from a checkpoint, or from matrices that were given.
    pub fn state_mut(&mut self) -> &mut [T] {
        let (matrices, rows) = self.lens();
        let state = self.storage.as_mut().get_mut(..matrices + rows);
        state.unwrap_or_default()
    }

    /// Returns the matrices `[head][key_dim][value_dim]`.
    #[must_use]
    pub fn matrices(&self) -> &[T] {
        let (matrices, _) = self.lens();
        self.storage.as_ref().get(..matrices).unwrap_or_default()
    }

    /// Reads several tokens, one after the other, and writes their outputs.
    ///
    /// The bits are those of single steps; each head stays in the cache for all tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if the queries are not whole tokens, [`Error::Length`] if another part or
    /// `out` has not as many.
    pub fn prefill(&mut self, tokens: R::Token<'_>, out: &mut [T]) -> Result<(), Error> {
        let count = self.check(&tokens, out.len())?;
        let (run, mut state) = self.parts(count);
        run.steps(&tokens, &mut state, out);
        Ok(())
    }

    /// Checks all parts of several tokens; returns how many there are.
    fn check(&self, tokens: &R::Token<'_>, found: usize) -> Result<usize, Error> {
        let [query_len, key_len, value_len, out_len] = self.shape.lens();
        let [queries, keys, values] = R::parts(tokens).map(<[T]>::len);
        let count = queries / query_len.max(1);
        if !queries.is_multiple_of(query_len.max(1)) {
            return Err(Error::Multiple {
                of: query_len,
                found: queries,
            });
        }
        check_len(count.saturating_mul(key_len), keys)?;
        check_len(count.saturating_mul(value_len), values)?;
        self.rule.check_others(self.shape, count, tokens)?;
        check_len(count.saturating_mul(out_len), found)?;
        Ok(count)
    }

    /// Returns what the kernels take of the recurrence.
    fn parts(&mut self, count: usize) -> (Run<R, T>, State<'_, T>) {
        let (matrices, rows) = self.lens();
        let run = Run {
            rule: self.rule,
            shape: self.shape,
            scale: self.scale,
            cpu: self.cpu,
            count,
        };
        let storage = self.storage.as_mut();
        let (matrices, rest) = storage.split_at_mut_checked(matrices).unwrap_or_default();
        let (rows, scratch) = rest.split_at_mut_checked(rows).unwrap_or_default();
        let state = State {
            matrices,
            rows,
            scratch,
        };
        (run, state)
    }
}

impl<R: Rule<T>, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalMixer<[T]> for Recurrence<R, T, S> {
    type Token<'a>
        = R::Token<'a>
    where
        [T]: 'a;

    fn step(&mut self, token: R::Token<'_>, out: &mut [T]) -> Result<(), Error> {
        let [query_len, _, _, _] = self.shape.lens();
        let [queries, _, _] = R::parts(&token);
        check_len(query_len, queries.len())?;
        self.prefill(token, out)
    }

    fn reset(&mut self) {
        Self::reset(self);
    }
}
