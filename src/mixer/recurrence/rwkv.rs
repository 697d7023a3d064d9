//! The matrix states of RWKV, versions five to seven.

use super::Gate;
use super::kernel::Step;
use super::rule::sealed::Head;
use super::rule::{At, BEFORE, BONUS, Diagonal, FIRST, Form, Rule, SECOND, Shape};
use crate::Error;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::simd::{Isa, dot};

/// o = (S + diag(u) k v^T)^T r, then S = diag(w) S + k v^T.
///
/// The output is read before the step, and the token itself counts with a bonus u of its own. With
/// factors w that depend on the token it is RWKV-6, with [`Gate::Constant`] RWKV-5. Peng et al. 2024,
/// arXiv 2404.05892. The models store ln(-ln w): w = exp(-exp(x)).
#[derive(Clone, Copy, Debug)]
pub struct Rwkv6<'a, T> {
    bonus: &'a [T],
}

impl<'a, T> Rwkv6<'a, T> {
    /// Returns the rule with the bonus u of each channel, `[head][key_dim]`.
    #[must_use]
    pub const fn new(bonus: &'a [T]) -> Self {
        Self { bonus }
    }
}

/// One token of [`Rwkv6`], or several.
#[derive(Clone, Copy, Debug)]
pub struct Rwkv6Token<'a, T> {
    /// The query, `[token][head][key_dim]`.
    pub receptance: &'a [T],
    /// `[token][head][key_dim]`.
    pub key: &'a [T],
    /// `[token][head][value_dim]`.
    pub value: &'a [T],
    /// What the state keeps, a number a channel as a rule.
    pub gate: Gate<'a, T>,
}

impl<T: Scalar> Rule<T> for Rwkv6<'_, T> {}
impl<T: Scalar> Diagonal<T> for Rwkv6<'_, T> {}

impl<T: Scalar> Head<T> for Rwkv6<'_, T> {
    type Token<'a> = Rwkv6Token<'a, T>;
    const FORM: Form = BEFORE | BONUS;
    // The product of all factors.
    const ROWS: usize = 1;

    fn check(&self, shape: Shape) -> Result<(), Error> {
        let [_, key, _, _] = shape.lens();
        check_len(key, self.bonus.len())
    }

    #[inline(always)]
    fn parts<'a>(token: &'a Rwkv6Token<'_, T>) -> [&'a [T]; 3] {
        [token.receptance, token.key, token.value]
    }

    fn check_others(
        &self,
        shape: Shape,
        tokens: usize,
        token: &Rwkv6Token<'_, T>,
    ) -> Result<(), Error> {
        token.gate.check(shape, tokens)
    }

    #[inline(always)]
    fn step<'a, 't: 'a, S: Isa>(
        &'a self,
        isa: S,
        at: At,
        token: &'a Rwkv6Token<'t, T>,
        step: Step<'a, T>,
        scratch: &'a mut [T],
    ) -> Step<'a, T> {
        let Shape { heads, key_dim, .. } = at.shape;
        let (row, weighted) = scratch.split_at_mut_checked(key_dim).unwrap_or_default();
        let receptance = at.part(token.receptance, at.shape.query_heads, key_dim);
        let bonus = At { token: 0, ..at }.part(self.bonus, heads, key_dim);
        for ((weighted, &r), &u) in weighted.iter_mut().zip(receptance).zip(bonus) {
            *weighted = r * u;
        }
        Step {
            decay: token.gate.factors(isa, at, row),
            bonus: dot::one(step.key, weighted),
            ..step
        }
    }
}

/// S = diag(w) S + b (S^T a)^T + k v^T, o = S^T r: RWKV-7 in its general form.
///
/// RWKV-7 takes a = -kappa and b = kappa * eta, for a unit vector kappa (the removal key) and rates eta
/// within (0, 1): what the state gives for kappa is taken away in part and v put beside it. Its factors
/// are w = exp(-exp(-1/2) sigmoid(x)). Peng et al. 2025, arXiv 2503.14456. Any other a and b give the
/// generalized delta rule.
///
/// States do not [`Merge`](crate::mixer::Merge): a step mixes the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rwkv7;

/// One token of [`Rwkv7`], or several.
#[derive(Clone, Copy, Debug)]
pub struct Rwkv7Token<'a, T> {
    /// The query, `[token][head][key_dim]`.
    pub receptance: &'a [T],
    /// `[token][head][key_dim]`.
    pub key: &'a [T],
    /// `[token][head][value_dim]`.
    pub value: &'a [T],
    /// What the state keeps, a number a channel as a rule.
    pub gate: Gate<'a, T>,
    /// What the state is read with before the step, `[token][head][key_dim]`.
    pub a: &'a [T],
    /// Where what was read is added, `[token][head][key_dim]`.
    pub b: &'a [T],
}

impl<T: Scalar> Rule<T> for Rwkv7 {}

impl<T: Scalar> Head<T> for Rwkv7 {
    type Token<'a> = Rwkv7Token<'a, T>;
    const FORM: Form = FIRST | SECOND;
    const ROWS: usize = 0;

    #[inline(always)]
    fn parts<'a>(token: &'a Rwkv7Token<'_, T>) -> [&'a [T]; 3] {
        [token.receptance, token.key, token.value]
    }

    fn check_others(
        &self,
        shape: Shape,
        tokens: usize,
        token: &Rwkv7Token<'_, T>,
    ) -> Result<(), Error> {
        let [_, key, _, _] = shape.lens();
        check_len(key.saturating_mul(tokens), token.a.len())?;
        check_len(key.saturating_mul(tokens), token.b.len())?;
        token.gate.check(shape, tokens)
    }

    #[inline(always)]
    fn step<'a, 't: 'a, S: Isa>(
        &'a self,
        isa: S,
        at: At,
        token: &'a Rwkv7Token<'t, T>,
        step: Step<'a, T>,
        scratch: &'a mut [T],
    ) -> Step<'a, T> {
        let Shape {
            key_heads, key_dim, ..
        } = at.shape;
        let row = scratch.get_mut(..key_dim).unwrap_or_default();
        Step {
            decay: token.gate.factors(isa, at, row),
            first: at.part(token.a, key_heads, key_dim),
            second: at.part(token.b, key_heads, key_dim),
            ..step
        }
    }
}
