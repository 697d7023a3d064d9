//! What is done to scores before they become weights.

mod alibi;
mod forget;
mod function;
mod mask;
mod sinks;
mod softcap;

pub use alibi::Alibi;
pub use forget::Forget;
pub use function::ScoreFn;
pub use mask::{MaskEntry, MaskRows};
pub use sinks::LogitSinks;
pub use softcap::Softcap;

use super::BLOCK;
use crate::scalar::Scalar;
use crate::{Cpu, Error};

/// Where scores stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The query head.
    pub head: usize,
    /// The number of the query within the call.
    pub row: usize,
    /// The position of the query: that of [`Visible`](super::Visible).
    pub query: isize,
    /// The position of the key of the first score; the others follow it.
    pub key: usize,
}

/// What a call to attention asks of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of query heads.
    pub heads: usize,
    /// The number of queries.
    pub rows: usize,
    /// The position of the first query.
    pub query: isize,
    /// Positions of visible keys lie below this number.
    pub keys: usize,
}

/// Changes the scaled scores of attention before they become weights.
///
/// A map sees the scores of consecutive keys and changes them in place. It is a type parameter of
/// [`Attention`](super::Attention), set by [`Attention::with_scores`](super::Attention::with_scores):
///
/// | map | score of query i and key j |
/// |---|---|
/// | [`Softcap`] | cap tanh(s / cap) |
/// | [`MaskRows`] of numbers | s + mask(i, j) |
/// | [`MaskRows`] of truth values | s, or minus infinity |
/// | [`Alibi`] | s - slope \|i - j\| |
/// | [`Forget`] | s + c(i) - c(j) |
/// | [`LogitSinks`] | s, and one more score that has no value |
/// | [`ScoreFn`] | whatever a closure says |
/// | a pair of maps | the first, then the second |
/// | an `Option` of a map | that map, or s |
/// | `()` | s |
///
/// The order is the one that is written: `(softcap, mask)` is that of ONNX Attention and of Gemma 2,
/// scale, soft cap, then mask and biases. A list of options in one struct would be looked at in every
/// block and fix the order; as a type parameter each rule is one small type, plain attention has no
/// code for any, and firmware carries what it uses.
///
/// **Minus infinity hides a key.** Neither the key nor its value reaches the result then, not even
/// where they are NaN. Without a map a score of minus infinity comes from an infinite key, weighs zero
/// and still meets its value.
///
/// Implementors give each score a result that depends on its value and its place alone, so that blocks
/// and rows may come in any order and division. NaN passes through, except where the key is hidden by
/// minus infinity.
pub trait ScoreMap<T: Scalar> {
    /// Whether the map changes nothing and adds no sink.
    const PLAIN: bool = false;

    /// Checks that the map knows every place of a call.
    ///
    /// # Errors
    ///
    /// Whatever the map needs and lacks.
    fn check(&self, extent: Extent) -> Result<(), Error> {
        let _ = extent;
        Ok(())
    }

    /// Replaces the scores of one query head and consecutive keys, at most [`BLOCK`].
    fn map(&self, cpu: Cpu, place: Place, scores: &mut [T]);

    /// Calls `add` for each score of a head that has no value: it takes weight and gives nothing.
    fn sinks(&self, head: usize, add: impl FnMut(T)) {
        let _ = (head, add);
    }
}

/// A map with a derivative, for gradients of attention.
pub trait ScoreGradient<T: Scalar>: ScoreMap<T> {
    /// Multiplies each of `gradients` by the derivative of the mapped score by the score, at `scores`:
    /// what [`ScoreMap::map`] would be given. Nothing, for maps that only add.
    fn scale_gradient(&self, cpu: Cpu, place: Place, scores: &[T], gradients: &mut [T]) {
        let _ = (cpu, place, scores, gradients);
    }
}

/// Leaves scores as they are.
impl<T: Scalar> ScoreMap<T> for () {
    const PLAIN: bool = true;

    #[inline(always)]
    fn map(&self, _: Cpu, _: Place, _: &mut [T]) {}
}

impl<T: Scalar> ScoreGradient<T> for () {}

/// Applies the map if there is one.
impl<T: Scalar, M: ScoreMap<T>> ScoreMap<T> for Option<M> {
    const PLAIN: bool = M::PLAIN;

    fn check(&self, extent: Extent) -> Result<(), Error> {
        self.as_ref().map_or(Ok(()), |map| map.check(extent))
    }

    fn map(&self, cpu: Cpu, place: Place, scores: &mut [T]) {
        if let Some(map) = self {
            map.map(cpu, place, scores);
        }
    }

    fn sinks(&self, head: usize, add: impl FnMut(T)) {
        if let Some(map) = self {
            map.sinks(head, add);
        }
    }
}

impl<T: Scalar, M: ScoreGradient<T>> ScoreGradient<T> for Option<M> {
    fn scale_gradient(&self, cpu: Cpu, place: Place, scores: &[T], gradients: &mut [T]) {
        if let Some(map) = self {
            map.scale_gradient(cpu, place, scores, gradients);
        }
    }
}

/// Applies the first map, then the second.
impl<T: Scalar, A: ScoreMap<T>, B: ScoreMap<T>> ScoreMap<T> for (A, B) {
    const PLAIN: bool = A::PLAIN && B::PLAIN;

    fn check(&self, extent: Extent) -> Result<(), Error> {
        self.0.check(extent)?;
        self.1.check(extent)
    }

    fn map(&self, cpu: Cpu, place: Place, scores: &mut [T]) {
        self.0.map(cpu, place, scores);
        self.1.map(cpu, place, scores);
    }

    fn sinks(&self, head: usize, mut add: impl FnMut(T)) {
        self.0.sinks(head, &mut add);
        self.1.sinks(head, add);
    }
}

impl<T: Scalar, A: ScoreGradient<T>, B: ScoreGradient<T>> ScoreGradient<T> for (A, B) {
    fn scale_gradient(&self, cpu: Cpu, place: Place, scores: &[T], gradients: &mut [T]) {
        let mut between = [T::ZERO; BLOCK];
        for (to, &score) in between.iter_mut().zip(scores) {
            *to = score;
        }
        let between = between.get_mut(..scores.len()).unwrap_or_default();
        self.0.map(cpu, place, between);
        self.1.scale_gradient(cpu, place, between, gradients);
        self.0.scale_gradient(cpu, place, scores, gradients);
    }
}
