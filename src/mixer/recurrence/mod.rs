//! Linear recurrences: mixers whose past is a matrix a head, whatever the length of the sequence.

mod chunk;
mod delta;
mod features;
mod gate;
pub(crate) mod kernel;
mod linear;
mod mesa;
mod rwkv;
mod ssd;

pub use chunk::Chunked;
pub use delta::{DeltaRule, DeltaToken};
pub use features::FeatureMap;
pub use gate::Gate;
pub use linear::{LinearAttention, LinearToken, Normalizer, retention_decay};
pub use mesa::{Mesa, MesaToken};
pub use rwkv::{Rwkv6, Rwkv6Token, Rwkv7, Rwkv7Token};
pub use ssd::{Ssd, SsdToken};

use super::{CausalMixer, Merge};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::{Cpu, Error, Parameter};
use kernel::Step;

/// Rows of `key_dim` elements that a step works in, beside one of `value_dim`.
const SCRATCH: usize = 2;

/// How a rule reads and writes the state, as a set of the bits below.
pub(crate) type Form = u8;
/// The value is what the rule still misses of it: the state is read with `first` before, and the
/// difference is written.
pub(crate) const FIRST: Form = 1;
/// What was read with `first` is added to each row, times `second`, beside the value.
pub(crate) const SECOND: Form = 2;
/// Queries read the state before the step.
pub(crate) const BEFORE: Form = 4;
/// The value has a share in the output besides.
pub(crate) const BONUS: Form = 8;

/// What a linear recurrence does to its state at each token.
///
/// Sealed: the rules are [`LinearAttention`] (linear attention, retention, gated linear attention), [`DeltaRule`]
/// (the delta rule, gated or not), [`Rwkv6`], [`Rwkv7`] and [`Ssd`] (Mamba-2).
pub trait Rule<T: Scalar>: Copy + sealed::Head<T> {}

/// A rule whose step multiplies each row of the state by a factor and adds to it, so that the states
/// of two stretches join.
pub trait Diagonal<T: Scalar>: Rule<T> {}

pub(crate) mod sealed {
    use super::{At, Error, Form, Isa, Scalar, Shape, Step};

    /// What the engine asks of a rule.
    pub trait Head<T: Scalar> {
        /// What a step reads.
        type Token<'a>: Copy;
        /// How the state is read and written.
        const FORM: Form;
        /// Rows of `key_dim` elements that are kept with each head's matrix.
        const ROWS: usize;

        /// Returns the factor on the output that is usual with keys of this length.
        fn scale(key_dim: usize) -> T;
        /// Checks the parameters of the rule.
        fn check(&self, shape: Shape) -> Result<(), Error>;
        /// Checks every part of this many tokens but the queries.
        fn check_tokens(
            &self,
            shape: Shape,
            tokens: usize,
            token: &Self::Token<'_>,
        ) -> Result<(), Error>;
        /// Returns the queries.
        fn queries<'a>(token: &'a Self::Token<'_>) -> &'a [T];
        /// Returns a head's value of one token.
        fn value<'a>(token: &'a Self::Token<'_>, at: At) -> &'a [T];
        /// Brings the rows kept with a head up to date and returns its step.
        fn step<'a, 't: 'a, S: Isa>(
            &'a self,
            isa: S,
            at: At,
            token: &'a Self::Token<'t>,
            rows: &mut [T],
            scratch: &'a mut [T],
        ) -> Step<'a, T>;
        /// Returns the factor on the output for a query, `scale` if nothing else is said.
        #[inline(always)]
        fn factor(&self, scale: T, _: &[T], _: &[T]) -> T {
            scale
        }
    }
}

/// The sizes of a recurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    heads: usize,
    key_heads: usize,
    query_heads: usize,
    key_dim: usize,
    value_dim: usize,
}

/// Where a step stands: the token and the head.
#[derive(Clone, Copy, Debug)]
pub struct At {
    shape: Shape,
    tokens: usize,
    token: usize,
    head: usize,
}

impl Shape {
    /// Returns the elements of one token's queries, keys, values and outputs.
    const fn lens(&self) -> [usize; 4] {
        let outputs = if self.query_heads > self.heads {
            self.query_heads
        } else {
            self.heads
        };
        [
            self.query_heads * self.key_dim,
            self.key_heads * self.key_dim,
            self.heads * self.value_dim,
            outputs * self.value_dim,
        ]
    }

    /// Returns how many queries read each head's state.
    const fn group(&self) -> usize {
        match self.query_heads.checked_div(self.heads) {
            Some(group) if group > 1 => group,
            _ => 1,
        }
    }
}

impl At {
    /// Returns the part of `x` that belongs to this token and head, of `heads` that share alike.
    #[inline(always)]
    fn part<'a, T>(&self, x: &'a [T], heads: usize, dim: usize) -> &'a [T] {
        let sharing = self.shape.heads.checked_div(heads).unwrap_or(1).max(1);
        let at = self.token * heads + self.head / sharing;
        let x = x.get(at * dim..).unwrap_or_default();
        x.get(..dim).unwrap_or_default()
    }

    /// Returns this head's number for this token.
    #[inline(always)]
    fn number<T: Scalar>(&self, x: &[T]) -> T {
        let at = self.token * self.shape.heads + self.head;
        x.get(at).copied().unwrap_or(T::NAN)
    }

    /// Returns this head's keys and values.
    #[inline(always)]
    fn key_value<'a, T>(&self, keys: &'a [T], values: &'a [T]) -> (&'a [T], &'a [T]) {
        let Shape {
            heads,
            key_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        (
            self.part(keys, key_heads, key_dim),
            self.part(values, heads, value_dim),
        )
    }
}

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
    /// [`Error::Domain`] if neither number of heads is a positive multiple of the other.
    pub fn with_query_heads(self, query_heads: usize) -> Result<Self, Error> {
        let heads = self.shape.heads;
        if query_heads == 0
            || !(query_heads.is_multiple_of(heads) || heads.is_multiple_of(query_heads))
        {
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
        let [query_len, _, _, out_len] = self.shape.lens();
        let queries = R::queries(tokens).len();
        let count = queries / query_len.max(1);
        if !queries.is_multiple_of(query_len.max(1)) {
            return Err(Error::Multiple {
                of: query_len,
                found: queries,
            });
        }
        self.rule.check_tokens(self.shape, count, tokens)?;
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

/// The parts of a state.
struct State<'a, T> {
    matrices: &'a mut [T],
    rows: &'a mut [T],
    scratch: &'a mut [T],
}

/// The steps of one call.
#[derive(Clone, Copy)]
struct Run<R, T> {
    rule: R,
    shape: Shape,
    scale: T,
    cpu: Cpu,
    count: usize,
}

impl<R: Rule<T>, T: Scalar> Run<R, T> {
    /// Takes the steps of every head.
    #[inline(never)]
    fn steps(self, tokens: &R::Token<'_>, state: &mut State<'_, T>, out: &mut [T]) {
        dispatch!(self.cpu, isa => self.heads(isa, tokens, state, out));
    }

    /// Takes all steps of one head after the other.
    #[inline(always)]
    fn heads<S: Isa>(self, isa: S, tokens: &R::Token<'_>, state: &mut State<'_, T>, out: &mut [T]) {
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        let ([_, _, _, out_len], kept) = (self.shape.lens(), key_dim * R::ROWS);
        let scratch = state.scratch.split_at_mut_checked(value_dim);
        let (found, scratch) = scratch.unwrap_or_default();
        let matrices = state
            .matrices
            .chunks_exact_mut((key_dim * value_dim).max(1));
        for (head, matrix) in matrices.enumerate() {
            let rows = state.rows.get_mut(head * kept..).unwrap_or_default();
            let rows = rows.get_mut(..kept).unwrap_or_default();
            for token in 0..self.count {
                let at = At {
                    shape: self.shape,
                    tokens: self.count,
                    token,
                    head,
                };
                let step = self.rule.step(isa, at, tokens, rows, scratch);
                let first = token * out_len + head * self.shape.group() * value_dim;
                let outs = out.get_mut(first..).unwrap_or_default();
                let outs = outs.chunks_exact_mut(value_dim.max(1));
                for (i, out) in outs.take(self.shape.group()).enumerate() {
                    let query = self.query(at, i, R::queries(tokens));
                    let factor = self.rule.factor(self.scale, rows, query);
                    if i == 0 {
                        form::<S, R, T>(isa, &step, (query, factor), matrix, found, out);
                    } else {
                        kernel::read(isa, (query, factor), matrix, out);
                    }
                }
            }
        }
    }

    /// Returns query `i` of those that read this head.
    #[inline(always)]
    fn query<'a>(&self, at: At, i: usize, queries: &'a [T]) -> &'a [T] {
        let Shape {
            query_heads,
            key_dim,
            ..
        } = self.shape;
        let group = self.shape.group();
        if group == 1 {
            return at.part(queries, query_heads, key_dim);
        }
        let first = at.token * query_heads + at.head * group + i;
        let query = queries.get(first * key_dim..).unwrap_or_default();
        query.get(..key_dim).unwrap_or_default()
    }
}

/// Takes a step in the form of the rule.
#[inline(always)]
fn form<S: Isa, R: Rule<T>, T: Scalar>(
    isa: S,
    step: &Step<'_, T>,
    query: (&[T], T),
    matrix: &mut [T],
    found: &mut [T],
    out: &mut [T],
) {
    const REMOVE: Form = FIRST | SECOND;
    const BONUS_BEFORE: Form = BEFORE | BONUS;
    match R::FORM {
        FIRST => kernel::step::<S, T, FIRST>(isa, step, query, matrix, found, out),
        REMOVE => kernel::step::<S, T, REMOVE>(isa, step, query, matrix, found, out),
        BONUS_BEFORE => kernel::step::<S, T, BONUS_BEFORE>(isa, step, query, matrix, found, out),
        BONUS => kernel::step::<S, T, BONUS>(isa, step, query, matrix, found, out),
        _ => kernel::step::<S, T, 0>(isa, step, query, matrix, found, out),
    }
}

impl<R: Rule<T>, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalMixer<[T]> for Recurrence<R, T, S> {
    type Token<'a>
        = R::Token<'a>
    where
        [T]: 'a;

    fn step(&mut self, token: R::Token<'_>, out: &mut [T]) -> Result<(), Error> {
        let [query_len, _, _, _] = self.shape.lens();
        check_len(query_len, R::queries(&token).len())?;
        self.prefill(token, out)
    }

    fn reset(&mut self) {
        Self::reset(self);
    }
}

/// Joins the states of two stretches: S = diag(decay of the later) S + S of the later, where the later
/// one began from nothing.
///
/// Rounds once more for each element, beside what the steps round.
impl<R: Diagonal<T>, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Merge for Recurrence<R, T, S> {
    fn merge(&mut self, later: &Self) -> Result<(), Error> {
        let Shape {
            heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        check_len(heads, later.shape.heads)?;
        check_len(key_dim, later.shape.key_dim)?;
        check_len(value_dim, later.shape.value_dim)?;
        let (matrices, _) = self.lens();
        let (own, own_rows) = self
            .state_mut()
            .split_at_mut_checked(matrices)
            .unwrap_or_default();
        let (new, new_rows) = later.state().split_at_checked(matrices).unwrap_or_default();
        let kept = (key_dim * R::ROWS).max(1);
        let carries = new_rows.chunks_exact(kept);
        let rows = |x| <[T]>::chunks_exact(x, value_dim.max(1));
        let carried = carries.clone().flat_map(|rows| rows.iter().take(key_dim));
        let own = own.chunks_exact_mut(value_dim.max(1));
        for ((own, new), &carry) in own.zip(rows(new)).zip(carried) {
            for (own, &new) in own.iter_mut().zip(new) {
                *own = carry * *own + new;
            }
        }
        for (own, new) in own_rows.chunks_exact_mut(kept).zip(carries) {
            let (own_carry, own) = own.split_at_mut_checked(key_dim).unwrap_or_default();
            let (new_carry, new) = new.split_at_checked(key_dim).unwrap_or_default();
            for ((own, &new), &carry) in own.iter_mut().zip(new).zip(new_carry) {
                *own = carry * *own + new;
            }
            for (own, &carry) in own_carry.iter_mut().zip(new_carry) {
                *own = *own * carry;
            }
        }
        Ok(())
    }
}
