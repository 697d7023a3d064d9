//! The steps of one call: every head over all tokens.

use super::kernel::{self, Step};
use super::rule::{At, BEFORE, BONUS, FIRST, Form, Rule, SECOND, Shape};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::Isa;

/// The parts of a state.
pub(super) struct State<'a, T> {
    pub(super) matrices: &'a mut [T],
    pub(super) rows: &'a mut [T],
    pub(super) scratch: &'a mut [T],
}

/// The steps of one call.
#[derive(Clone, Copy)]
pub(super) struct Run<R, T> {
    pub(super) rule: R,
    pub(super) shape: Shape,
    pub(super) scale: T,
    pub(super) cpu: Cpu,
    pub(super) count: usize,
}

impl<R: Rule<T>, T: Scalar> Run<R, T> {
    /// Takes the steps of every head.
    #[inline(never)]
    pub(super) fn steps(self, tokens: &R::Token<'_>, state: &mut State<'_, T>, out: &mut [T]) {
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
                let step = self.step(isa, at, tokens, rows, scratch);
                let first = token * out_len + head * self.shape.group() * value_dim;
                let outs = out.get_mut(first..).unwrap_or_default();
                let outs = outs.chunks_exact_mut(value_dim.max(1));
                for (i, out) in outs.take(self.shape.group()).enumerate() {
                    let query = self.query(at, i, tokens);
                    let factor = self.factor(rows, query);
                    if i == 0 {
                        form::<S, R, T>(isa, &step, (query, factor), matrix, found, out);
                    } else {
                        kernel::read(isa, (query, factor), matrix, out);
                    }
                }
            }
        }
    }

    /// Returns a head's step, and brings the rows that are kept with it up to date.
    #[inline(always)]
    pub(super) fn step<'a, 't: 'a, S: Isa>(
        &'a self,
        isa: S,
        at: At,
        tokens: &'a R::Token<'t>,
        rows: &mut [T],
        scratch: &'a mut [T],
    ) -> Step<'a, T> {
        let [_, keys, values] = R::parts(tokens);
        let (key, value) = at.key_value(keys, values);
        let step = Step::plain(key, value);
        let step = self.rule.step(isa, at, tokens, step, scratch);
        let (carry, own) = rows.split_at_mut_checked(key.len()).unwrap_or_default();
        for (carry, &decay) in carry.iter_mut().zip(step.decay) {
            *carry = *carry * decay;
        }
        self.rule.keep(&step, own);
        step
    }

    /// Returns the factor on the output for a query.
    #[inline(always)]
    pub(super) fn factor(&self, rows: &[T], query: &[T]) -> T {
        let own = rows.get(query.len()..).unwrap_or_default();
        self.rule.factor(self.scale, own, query)
    }

    /// Returns query `i` of those that read this head.
    #[inline(always)]
    pub(super) fn query<'a>(&self, at: At, i: usize, tokens: &'a R::Token<'_>) -> &'a [T] {
        let [queries, _, _] = R::parts(tokens);
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
