//! The online softmax: attention's state as a recurrence of constant size.

use super::Merge;
use super::state::{HEADER, Head, Reference, clear, heads, heads_mut, join, part_len};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes, One, number};
use crate::{Cpu, Error, Parameter};

/// The state of softmax attention after some keys, for a group of query heads that share them.
///
/// For each head it holds the sums of exp(s) and of exp(s) * v, relative to a reference near the
/// greatest score so far: the pair (z, y) with (z, y) + exp(s) * (1, v) as its recurrence, and y / z
/// as the output. The reference is a power of two while scores are small (at most 220 in magnitude
/// for `f32`, 1400 for `f64`), so that a new maximum costs no rounding. Milakov and Gimelshein
/// (2018), arXiv 1805.02867; Rabe and Staats (2021), arXiv 2112.05682.
///
/// * **Domain:** every score and value. Minus infinity weighs zero; NaN and plus infinity give NaN.
///   The empty state gives zeros and a log-sum-exp of minus infinity.
/// * **Order:** one key after the other. Any order of keys, and any grouping by [`Merge`], agree
///   within the error bound; keys of one [`BLOCK`](super::BLOCK) from the newest to the oldest give
///   the same bits as [`Attention`](super::Attention).
/// * **Accuracy:** the table's row `online softmax`, in units of max |v|, for any number of keys up
///   to 4096; beyond, the error grows with the number of keys.
/// * **Storage:** [`OnlineSoftmax::state_len`] elements, whatever the number of keys.
///
/// ```
/// use suanzi::mixer::{Merge, OnlineSoftmax};
///
/// const LEN: usize = OnlineSoftmax::<f32, [f32; 0]>::state_len(1, 2);
/// let mut state = OnlineSoftmax::new(1, 2, [0.0_f32; LEN])?;
/// state.push(&[0.5], &[1.0, 0.0])?;
/// let mut later = OnlineSoftmax::new(1, 2, [0.0_f32; LEN])?;
/// later.push(&[0.5], &[0.0, 1.0])?;
/// state.merge(&later)?;
///
/// let mut out = [0.0; 2];
/// state.finish(&mut out)?;
/// assert_eq!(out, [0.5, 0.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OnlineSoftmax<T, S> {
    storage: S,
    heads: usize,
    dim: usize,
    cpu: Cpu,
    element: core::marker::PhantomData<T>,
}

impl<T, S> OnlineSoftmax<T, S> {
    /// Returns the elements that the state of `heads` heads with values of `dim` elements takes.
    #[must_use]
    pub const fn state_len(heads: usize, dim: usize) -> usize {
        part_len(heads, dim)
    }

    /// Moves the state to another executor.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the number of heads.
    pub(super) const fn heads(&self) -> usize {
        self.heads
    }

    /// Returns the elements of a value.
    pub(super) const fn dim(&self) -> usize {
        self.dim
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> OnlineSoftmax<T, S> {
    /// Returns the state of no key, in lent storage, on the processor's best instruction set.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `heads` or `dim` is zero, [`Error::Length`] if the storage has not
    /// [`OnlineSoftmax::state_len`] elements.
    pub fn new(heads: usize, dim: usize, storage: S) -> Result<Self, Error> {
        let mut state = Self::received(heads, dim, storage)?;
        state.reset();
        Ok(state)
    }

    /// Returns the state whose numbers are in the storage already, as [`OnlineSoftmax::as_slice`] gave
    /// them on this machine or another.
    ///
    /// # Errors
    ///
    /// As [`OnlineSoftmax::new`].
    pub fn received(heads: usize, dim: usize, storage: S) -> Result<Self, Error> {
        if heads == 0 {
            return Err(Error::Domain(Parameter::Heads));
        }
        let fits = dim.checked_next_multiple_of(LANES);
        let fits = fits.and_then(|dim| dim.checked_add(HEADER));
        if dim == 0 || fits.and_then(|dim| dim.checked_mul(heads)).is_none() {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        check_len(Self::state_len(heads, dim), storage.as_ref().len())?;
        Ok(Self {
            storage,
            heads,
            dim,
            cpu: Cpu::default(),
            element: core::marker::PhantomData,
        })
    }

    /// Returns the numbers of the state, [`OnlineSoftmax::state_len`] of them: what a worker sends, for
    /// [`OnlineSoftmax::received`] elsewhere.
    ///
    /// For each head they are the weighted sum of the values, filled up with zeros to a multiple of
    /// sixteen, then three numbers: the center c, the exponent N and the sum of the weights, both sums in
    /// units of exp(c) 2^N. N is minus infinity without keys.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.storage.as_ref()
    }

    /// Returns the numbers of the state.
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        self.storage.as_mut()
    }

    /// Joins all states, which come in the order of their positions, into the first: neighbours in pairs,
    /// the results likewise, as the blocks of the portable order.
    ///
    /// The grouping depends on nothing but the number of states, so that the bits are the same however
    /// many workers computed them; see [`Attention::attend_stretch`](super::Attention::attend_stretch).
    /// The other states are left with sums of some of them.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the states have different shapes; none is changed then.
    pub fn merge_tree(states: &mut [Self]) -> Result<(), Error> {
        if let Some((first, rest)) = states.split_first() {
            for state in rest {
                check_len(first.heads, state.heads)?;
                check_len(first.dim, state.dim)?;
            }
        }
        let mut apart = 1;
        while apart < states.len() {
            for pair in states.chunks_mut(2 * apart) {
                let (left, right) = pair.split_at_mut_checked(apart).unwrap_or_default();
                if let (Some(left), Some(right)) = (left.first_mut(), right.first()) {
                    left.merge(right)?;
                }
            }
            apart *= 2;
        }
        Ok(())
    }

    /// Forgets every key.
    pub fn reset(&mut self) {
        clear(self.storage.as_mut(), self.dim);
    }

    /// Adds a key: its score for each head, and the value that they share.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if there is not one score a head or the value has another length.
    pub fn push(&mut self, scores: &[T], value: &[T]) -> Result<(), Error> {
        check_len(self.heads, scores.len())?;
        check_len(self.dim, value.len())?;
        let part = self.storage.as_mut();
        push(self.cpu, part, self.dim, scores, value);
        Ok(())
    }

    /// Adds a score that no value belongs to: a learned sink, which takes weight and gives nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if there is not one score a head.
    pub fn push_sink(&mut self, scores: &[T]) -> Result<(), Error> {
        check_len(self.heads, scores.len())?;
        let part = self.storage.as_mut();
        push(self.cpu, part, self.dim, scores, &[]);
        Ok(())
    }

    /// Writes the outputs `[head][dim]`: the weighted means of the values, zeros without keys.
    ///
    /// The state is unchanged and may go on.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` has another length.
    pub fn finish(&self, out: &mut [T]) -> Result<(), Error> {
        check_len(self.heads * self.dim, out.len())?;
        let heads = heads(self.storage.as_ref(), self.dim);
        for ((values, head), out) in heads.zip(out.chunks_exact_mut(self.dim.max(1))) {
            Head::read(head).divide(self.cpu, values, out);
        }
        Ok(())
    }

    /// Writes the natural logarithm of the sum of exp(score) for each head; minus infinity without
    /// keys.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` has not one element a head.
    pub fn log_sum_exp(&self, out: &mut [T]) -> Result<(), Error> {
        check_len(self.heads, out.len())?;
        for ((_, head), out) in heads(self.storage.as_ref(), self.dim).zip(out) {
            *out = Head::read(head).log_sum_exp();
        }
        Ok(())
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Merge for OnlineSoftmax<T, S> {
    /// Joins the keys of another state; which of the two came later makes no difference, not even in
    /// the bits.
    fn merge(&mut self, later: &Self) -> Result<(), Error> {
        check_len(self.heads, later.heads)?;
        check_len(self.dim, later.dim)?;
        let part = self.storage.as_mut();
        join(self.cpu, part, later.storage.as_ref(), self.dim);
        Ok(())
    }
}

/// Adds one key to a part: a score for each head and one value, or none.
#[inline(never)]
pub(super) fn push<T: Scalar>(cpu: Cpu, part: &mut [T], dim: usize, scores: &[T], value: &[T]) {
    for ((values, numbers), &score) in heads_mut(part, dim).zip(scores) {
        let head = Head::read(numbers);
        let (reference, f, _) = head.reference.join(Reference::of(score));
        let p = weight(reference, score);
        let sum = head.sum * f + p;
        Head { reference, sum }.write(numbers);
        dispatch!(cpu, isa => add_weighted(isa, values, f, p, value));
    }
}

/// Writes x * f + p * value over x, whose length is a multiple of sixteen; a missing element of the
/// value is zero.
#[inline(always)]
fn add_weighted<S: Isa, T: Scalar>(isa: S, x: &mut [T], f: T, p: T, value: &[T]) {
    let [f, p] = [f, p].map(
        #[inline(always)]
        |x| T::Lanes::<S>::splat(isa, x),
    );
    let mut rest = value;
    for x in x.chunks_exact_mut(T::Lanes::<S>::LANES) {
        let mut last = [T::ZERO; LANES];
        let (v, after) = rest.split_at_checked(x.len()).unwrap_or_else(
            #[inline(always)]
            || {
                last.iter_mut().zip(rest).for_each(|(to, &v)| *to = v);
                (&last, &[])
            },
        );
        let scaled = T::Lanes::<S>::load(isa, x) * f;
        p.mul_add(T::Lanes::<S>::load(isa, v), scaled).store(x);
        rest = after;
    }
}

/// Returns exp(score) in a reference; zero for minus infinity.
#[inline(always)]
pub(super) fn weight<T: Scalar>(reference: Reference<T>, score: T) -> T {
    if score == T::NEG_INFINITY {
        return T::ZERO;
    }
    let d = T::Lanes::<One>::splat(One, score - reference.center);
    number::<T>(reference.exp::<T::Lanes<One>>(One).of(One, d))
}
