//! What a rule is to the engine, and where its steps stand.

use super::kernel::Step;
use crate::Error;
use crate::scalar::Scalar;
use crate::simd::Isa;

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
/// Sealed: the rules are [`LinearAttention`](super::LinearAttention) (linear attention, retention, gated
/// linear attention), [`DeltaRule`](super::DeltaRule) (the delta rule, gated or not),
/// [`Rwkv6`](super::Rwkv6), [`Rwkv7`](super::Rwkv7) and [`Ssd`](super::Ssd) (Mamba-2).
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
        /// Rows of `key_dim` elements that are kept with each head's matrix: the product of all decays,
        /// then those of the rule.
        const ROWS: usize;

        /// Returns the factor on the output that is usual with keys of this length.
        fn scale(_: usize) -> T {
            T::ONE
        }
        /// Checks the parameters of the rule.
        fn check(&self, _: Shape) -> Result<(), Error> {
            Ok(())
        }
        /// Returns the queries, keys and values.
        fn parts<'a>(token: &'a Self::Token<'_>) -> [&'a [T]; 3];
        /// Checks what else this many tokens have.
        fn check_others(
            &self,
            shape: Shape,
            tokens: usize,
            token: &Self::Token<'_>,
        ) -> Result<(), Error>;
        /// Completes the step of one head, which holds its key and value, by the decay and whatever
        /// else the form reads.
        fn step<'a, 't: 'a, S: Isa>(
            &'a self,
            isa: S,
            at: At,
            token: &'a Self::Token<'t>,
            step: Step<'a, T>,
            scratch: &'a mut [T],
        ) -> Step<'a, T>;
        /// Brings the rule's own rows up to date.
        #[inline(always)]
        fn keep(&self, _: &Step<'_, T>, _: &mut [T]) {}
        /// Returns the factor on the output for a query, `scale` if nothing else is said; the rows are
        /// the rule's own.
        #[inline(always)]
        fn factor(&self, scale: T, _: &[T], _: &[T]) -> T {
            scale
        }
    }
}

/// The sizes of a recurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    pub(super) query_heads: usize,
    pub(super) key_dim: usize,
    pub(super) value_dim: usize,
}

/// Where a step stands: the token and the head.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub(super) shape: Shape,
    pub(super) tokens: usize,
    pub(super) token: usize,
    pub(super) head: usize,
}

impl Shape {
    /// Returns the elements of one token's queries, keys, values and outputs.
    pub(super) const fn lens(&self) -> [usize; 4] {
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
    pub(super) const fn group(&self) -> usize {
        match self.query_heads.checked_div(self.heads) {
            Some(group) if group > 1 => group,
            _ => 1,
        }
    }
}

impl At {
    /// Returns the part of `x` that belongs to this token and head, of `heads` that share alike.
    #[inline(always)]
    pub(super) fn part<'a, T>(&self, x: &'a [T], heads: usize, dim: usize) -> &'a [T] {
        let sharing = self.shape.heads.checked_div(heads).unwrap_or(1).max(1);
        let at = self.token * heads + self.head / sharing;
        let x = x.get(at * dim..).unwrap_or_default();
        x.get(..dim).unwrap_or_default()
    }

    /// Returns this head's number for this token.
    #[inline(always)]
    pub(super) fn number<T: Scalar>(&self, x: &[T]) -> T {
        let at = self.token * self.shape.heads + self.head;
        x.get(at).copied().unwrap_or(T::NAN)
    }

    /// Returns this head's keys and values.
    #[inline(always)]
    pub(super) fn key_value<'a, T>(&self, keys: &'a [T], values: &'a [T]) -> (&'a [T], &'a [T]) {
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
