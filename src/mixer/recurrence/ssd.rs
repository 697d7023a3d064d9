//! The state space of Mamba-2.

use super::kernel::Step;
use super::rule::sealed::Head;
use super::rule::{At, BONUS, Diagonal, Form, Rule, Shape};
use crate::Error;
use crate::error::check_len;
use crate::math::exp::factor_lanes;
use crate::math::sigmoid::softplus_lanes;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes, One, number};

/// S = exp(dt A) S + dt B x^T, o = S^T C + D x: structured state-space duality, or Mamba-2.
///
/// A head's rate A and share D of the input are numbers. B and C belong to groups of heads:
/// [`with_key_heads`](super::Recurrence::with_key_heads) and
/// [`with_query_heads`](super::Recurrence::with_query_heads) say how many. With a bias the steps are
/// softplus(dt + bias). Dao and Gu 2024, arXiv 2405.21060.
///
/// `key_dim` is the size of the state, `value_dim` that of a head: the state here is the transpose of
/// that in the article's code.
#[derive(Clone, Copy, Debug)]
pub struct Ssd<'a, T> {
    rates: &'a [T],
    skip: &'a [T],
    bias: Option<&'a [T]>,
}

impl<'a, T> Ssd<'a, T> {
    /// Returns the rule with the rate A, negative as a rule, and the share D of each head.
    #[must_use]
    pub const fn new(rates: &'a [T], skip: &'a [T]) -> Self {
        Self {
            rates,
            skip,
            bias: None,
        }
    }

    /// Takes softplus(dt + bias) for the steps, with a bias a head.
    #[must_use]
    pub const fn with_softplus(self, bias: &'a [T]) -> Self {
        Self {
            bias: Some(bias),
            ..self
        }
    }
}

/// One token of [`Ssd`], or several.
#[derive(Clone, Copy, Debug)]
pub struct SsdToken<'a, T> {
    /// The steps dt, `[token][head]`.
    pub step: &'a [T],
    /// The input x, `[token][head][value_dim]`.
    pub input: &'a [T],
    /// B, `[token][key head][key_dim]`.
    pub b: &'a [T],
    /// C, `[token][query head][key_dim]`.
    pub c: &'a [T],
}

impl<T: Scalar> Rule<T> for Ssd<'_, T> {}
impl<T: Scalar> Diagonal<T> for Ssd<'_, T> {}

impl<T: Scalar> Head<T> for Ssd<'_, T> {
    type Token<'a> = SsdToken<'a, T>;
    const FORM: Form = BONUS;
    // The product of all factors.
    const ROWS: usize = 1;

    fn check(&self, shape: Shape) -> Result<(), Error> {
        check_len(shape.heads, self.rates.len())?;
        check_len(shape.heads, self.skip.len())?;
        check_len(shape.heads, self.bias.map_or(shape.heads, <[T]>::len))
    }

    #[inline(always)]
    fn parts<'a>(token: &'a SsdToken<'_, T>) -> [&'a [T]; 3] {
        [token.c, token.b, token.input]
    }

    fn check_others(
        &self,
        shape: Shape,
        tokens: usize,
        token: &SsdToken<'_, T>,
    ) -> Result<(), Error> {
        check_len(shape.heads.saturating_mul(tokens), token.step.len())
    }

    #[inline(always)]
    fn step<'a, 't: 'a, S: Isa>(
        &'a self,
        _: S,
        at: At,
        token: &'a SsdToken<'t, T>,
        step: Step<'a, T>,
        scratch: &'a mut [T],
    ) -> Step<'a, T> {
        let head = At { token: 0, ..at };
        let mut size = at.number(token.step);
        if let Some(bias) = self.bias {
            let x = size + head.number(bias);
            size = number(softplus_lanes(One, Lanes::splat(One, x)));
        }
        let exponent = Lanes::splat(One, size * head.number(self.rates));
        let decay = scratch.get_mut(..at.shape.key_dim).unwrap_or_default();
        decay.fill(number(factor_lanes(One, exponent)));
        Step {
            decay,
            write: size,
            bonus: head.number(self.skip),
            ..step
        }
    }
}
