//! Where the cosines and sines of one token come from: computed on the fly, or a row of a table.

use super::angle::{self, Angle};
use crate::simd::Lanes;

/// Where the cosines and sines of one token come from.
pub(super) trait Source<T: Angle>: Copy {
    /// Returns sine and cosine of a vector of pairs, from pair `pair` on.
    fn sin_cos<V: Lanes<Element = T>>(self, isa: V::Isa, pair: usize) -> (V, V);
    /// Returns all of them, if they lie in memory as they are.
    #[inline(always)]
    fn row(&self) -> Option<Row<'_, T>> {
        None
    }
}

/// Angles computed on the fly: frequencies times a position, scaled.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnTheFly<'a, T: Angle> {
    pub(super) turns: &'a [T::Turns],
    pub(super) position: i32,
    pub(super) cos_factor: T,
    pub(super) sin_factor: T,
}

impl<T: Angle> Source<T> for OnTheFly<'_, T> {
    #[inline(always)]
    fn sin_cos<V: Lanes<Element = T>>(self, isa: V::Isa, pair: usize) -> (V, V) {
        let turns = self.turns.get(pair..).unwrap_or_default();
        let (sin, cos): (V, V) = angle::sin_cos(
            isa,
            turns,
            #[inline(always)]
            |_, turns| T::times(turns, self.position),
        );
        (
            sin * V::splat(isa, self.sin_factor),
            cos * V::splat(isa, self.cos_factor),
        )
    }
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    pub(super) cos: &'a [T],
    pub(super) sin: &'a [T],
}

impl<T> Row<'_, T> {
    /// Returns the cosines and sines, `n` at a time.
    #[inline(always)]
    pub(super) fn vectors(&self, n: usize) -> impl Iterator<Item = (&[T], &[T])> {
        self.cos.chunks_exact(n).zip(self.sin.chunks_exact(n))
    }
}

impl<T: Angle> Source<T> for Row<'_, T> {
    #[inline(always)]
    fn sin_cos<V: Lanes<Element = T>>(self, isa: V::Isa, pair: usize) -> (V, V) {
        (
            V::load(isa, self.sin.get(pair..).unwrap_or_default()),
            V::load(isa, self.cos.get(pair..).unwrap_or_default()),
        )
    }
    #[inline(always)]
    fn row(&self) -> Option<Row<'_, T>> {
        Some(*self)
    }
}

/// One row of a table, turning back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inverse<'a, T> {
    pub(super) row: Row<'a, T>,
    /// 1 / temperature^2.
    pub(super) factor: T,
}

impl<T: Angle> Source<T> for Inverse<'_, T> {
    #[inline(always)]
    fn sin_cos<V: Lanes<Element = T>>(self, isa: V::Isa, pair: usize) -> (V, V) {
        let (sin, cos): (V, V) = self.row.sin_cos(isa, pair);
        let factor = V::splat(isa, self.factor);
        (-(sin * factor), cos * factor)
    }
}
