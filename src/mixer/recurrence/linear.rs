//! Linear attention, and its descendants that forget: retention, lightning and gated linear attention.

use super::Gate;
use super::kernel::Step;
use super::rule::sealed::Head;
use super::rule::{At, Diagonal, Form, Rule, Shape};
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::dot;
use crate::{Error, Parameter};

/// S = diag(gate) S + k v^T, o = scale * S^T q.
///
/// The gate decides what it is:
///
/// | gate | layer | source |
/// |---|---|---|
/// | [`Gate::Open`] | linear attention | Katharopoulos et al. 2020, arXiv 2006.16236 |
/// | [`Gate::Constant`], a number a head | retention ([`retention_decay`]), lightning attention | Sun et al. 2023, arXiv 2307.08621; Qin et al. 2024, arXiv 2401.04658 |
/// | [`Gate::Log`], a number a head | simple gated linear attention | Dao and Gu 2024, arXiv 2405.21060 |
/// | [`Gate::Log`], a number a channel | gated linear attention | Yang et al. 2023, arXiv 2312.06635 |
/// | the same, with k = 1 - exp(gate) | HGRN2 | Qin et al. 2024, arXiv 2404.07904 |
///
/// A [`FeatureMap`](super::FeatureMap) makes the queries and keys of linear attention positive, and a
/// [`Normalizer`] divides the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearAttention {
    normalizer: Normalizer,
}

/// What the output of [`LinearAttention`] is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Normalizer {
    /// Nothing.
    #[default]
    None,
    /// z^T q + epsilon, where z is the state of values that are all one: the weights of the values
    /// then add up to one. The scale has no part in the sum.
    Keys {
        /// Keeps the divisor from zero, where keys and queries are not negative.
        epsilon: f64,
    },
    /// The root of 1 + g + g^2 + ... for the gate's factor g of the head, as many terms as tokens: the
    /// normalized state of RetNet. With a number a channel, that of the first channel decides.
    Decay,
}

/// One token of [`LinearAttention`], or several.
#[derive(Clone, Copy, Debug)]
pub struct LinearToken<'a, T> {
    /// `[token][query head][key_dim]`.
    pub query: &'a [T],
    /// `[token][key head][key_dim]`.
    pub key: &'a [T],
    /// `[token][head][value_dim]`.
    pub value: &'a [T],
    /// What the state keeps.
    pub gate: Gate<'a, T>,
}

impl LinearAttention {
    /// Divides the output.
    #[must_use]
    pub const fn with_normalizer(self, normalizer: Normalizer) -> Self {
        Self { normalizer }
    }
}

/// Returns the factor by which head `head` of RetNet decays: 1 - 2^(-5 - head).
///
/// Exact below head 19 in `f32` and 48 in `f64`, one from there on. Sun et al. 2023, arXiv 2307.08621.
///
/// ```
/// let decay: f32 = suanzi::mixer::retention_decay(0);
/// assert_eq!(decay, 0.96875);
/// ```
#[must_use]
pub fn retention_decay<T: Scalar>(head: usize) -> T {
    let mut rate = T::ONE;
    for _ in 0..head.saturating_add(5).min(T::MANTISSA as usize + 2) {
        rate = rate * T::HALF;
    }
    T::ONE - rate
}

impl<T: Scalar> Rule<T> for LinearAttention {}
impl<T: Scalar> Diagonal<T> for LinearAttention {}

impl<T: Scalar> Head<T> for LinearAttention {
    type Token<'a> = LinearToken<'a, T>;
    const FORM: Form = 0;
    // The product of all factors, and the sum that normalizes.
    const ROWS: usize = 2;

    fn scale(key_dim: usize) -> T {
        T::ONE / T::from_count(key_dim).root()
    }

    fn check(&self, _: Shape) -> Result<(), Error> {
        match self.normalizer {
            Normalizer::Keys { epsilon } if !(0.0..f64::INFINITY).contains(&epsilon) => {
                Err(Error::Domain(Parameter::Epsilon))
            }
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn parts<'a>(token: &'a LinearToken<'_, T>) -> [&'a [T]; 3] {
        [token.query, token.key, token.value]
    }

    fn check_others(
        &self,
        shape: Shape,
        tokens: usize,
        token: &LinearToken<'_, T>,
    ) -> Result<(), Error> {
        token.gate.check(shape, tokens)
    }

    #[inline(always)]
    fn step<'a, 't: 'a, S: Isa>(
        &'a self,
        isa: S,
        at: At,
        token: &'a LinearToken<'t, T>,
        step: Step<'a, T>,
        scratch: &'a mut [T],
    ) -> Step<'a, T> {
        let row = scratch.get_mut(..at.shape.key_dim).unwrap_or_default();
        let decay = token.gate.factors(isa, at, row);
        Step { decay, ..step }
    }

    #[inline(always)]
    fn keep(&self, step: &Step<'_, T>, sum: &mut [T]) {
        match self.normalizer {
            Normalizer::None => {}
            Normalizer::Keys { .. } => {
                for ((sum, &decay), &key) in sum.iter_mut().zip(step.decay).zip(step.key) {
                    *sum = decay * *sum + key;
                }
            }
            Normalizer::Decay => {
                for (sum, &decay) in sum.iter_mut().zip(step.decay).take(1) {
                    *sum = decay * *sum + T::ONE;
                }
            }
        }
    }

    #[inline(always)]
    fn factor(&self, scale: T, sum: &[T], query: &[T]) -> T {
        match self.normalizer {
            Normalizer::None => scale,
            Normalizer::Keys { epsilon } => T::ONE / (dot::one(query, sum) + T::nearest(epsilon)),
            Normalizer::Decay => scale / sum.first().map_or(T::ONE, |&sum| sum.root()),
        }
    }
}
