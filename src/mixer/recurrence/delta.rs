//! The delta rule: what the state already gives for a key is not written again.

use super::Gate;
use super::kernel::Step;
use super::rule::sealed::Head;
use super::rule::{At, FIRST, Form, Rule, Shape};
use crate::Error;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::simd::Isa;

/// S = G S + beta k (v - (G S)^T k)^T with G = diag(gate), o = scale * S^T q.
///
/// | gate | layer | source |
/// |---|---|---|
/// | [`Gate::Open`] | DeltaNet | Schlag et al. 2021, arXiv 2102.11174; Yang et al. 2024, arXiv 2406.06484 |
/// | [`Gate::Log`], a number a head | gated DeltaNet | Yang et al. 2024, arXiv 2412.06464 |
/// | [`Gate::Log`], a number a channel | Kimi delta attention | Kimi Team 2025, arXiv 2510.26692 |
///
/// Keys are taken as they are. The rule is a contraction while beta |k|^2 lies within [0, 2], so layers
/// make them unit vectors: x / sqrt(sum x^2 + epsilon) is [`RmsNorm`](crate::nn::RmsNorm) with gains of
/// 1 / sqrt(key_dim) and epsilon / key_dim.
///
/// States do not [`Merge`](crate::mixer::Merge): a step mixes the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeltaRule;

/// One token of [`DeltaRule`], or several.
#[derive(Clone, Copy, Debug)]
pub struct DeltaToken<'a, T> {
    /// `[token][query head][key_dim]`.
    pub query: &'a [T],
    /// `[token][key head][key_dim]`, unit vectors as a rule.
    pub key: &'a [T],
    /// `[token][head][value_dim]`.
    pub value: &'a [T],
    /// What the state keeps before the key is looked up.
    pub gate: Gate<'a, T>,
    /// How much of the difference is written: `[token][head]`, within [0, 1] or [0, 2] as a rule.
    pub beta: &'a [T],
}

impl<T: Scalar> Rule<T> for DeltaRule {}

impl<T: Scalar> Head<T> for DeltaRule {
    type Token<'a> = DeltaToken<'a, T>;
    const FORM: Form = FIRST;
    const ROWS: usize = 0;

    fn scale(key_dim: usize) -> T {
        T::ONE / T::from_count(key_dim).root()
    }

    #[inline(always)]
    fn parts<'a>(token: &'a DeltaToken<'_, T>) -> [&'a [T]; 3] {
        [token.query, token.key, token.value]
    }

    fn check_others(
        &self,
        shape: Shape,
        tokens: usize,
        token: &DeltaToken<'_, T>,
    ) -> Result<(), Error> {
        check_len(shape.heads.saturating_mul(tokens), token.beta.len())?;
        token.gate.check(shape, tokens)
    }

    #[inline(always)]
    fn step<'a, 't: 'a, S: Isa>(
        &'a self,
        isa: S,
        at: At,
        token: &'a DeltaToken<'t, T>,
        step: Step<'a, T>,
        scratch: &'a mut [T],
    ) -> Step<'a, T> {
        let (row, first) = scratch
            .split_at_mut_checked(at.shape.key_dim)
            .unwrap_or_default();
        let decay = token.gate.factors(isa, at, row);
        for ((first, &decay), &key) in first.iter_mut().zip(decay).zip(step.key) {
            *first = decay * key;
        }
        Step {
            decay,
            first,
            write: at.number(token.beta),
            ..step
        }
    }
}
