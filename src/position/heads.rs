//! What a rotation reads and writes, in place or from one array into another.

use super::angle::Angle;
use super::source::Row;
use crate::simd::{Lanes, prefetch};

/// What a rotation reads and writes: one slice, or two of the same length.
pub(super) trait Heads<T: Angle> {
    /// Returns the number of elements.
    fn len(&self) -> usize;
    /// Returns `len` elements to read, from `at` on.
    fn from(&self, at: usize, len: usize) -> &[T];
    /// Asks memory for `len` elements that will be read, from `at` on.
    fn ask<V: Lanes>(&self, at: usize, len: usize);
    /// Returns `len` elements to write, from `at` on.
    fn to(&mut self, at: usize, len: usize) -> &mut [T];
    /// Passes elements on unchanged.
    fn copy(&mut self, at: usize, len: usize);
    /// Maps the whole vectors of the two halves of the head at `at`, with the row beside them.
    fn halves<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        at: usize,
        row: Row<'_, T>,
        map: impl FnMut(V, V, V, V) -> (V, V),
    );
    /// Maps two neighboring vectors after the other of the head at `at`, as far as the rows beside them
    /// reach: `map([a, b], [two of the first row], [two of the second])`.
    fn neighbors<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        at: usize,
        rows: (&[T], &[T]),
        map: impl FnMut([V; 2], [V; 2], [V; 2]) -> [V; 2],
    );
}

/// Loads two vectors.
#[inline(always)]
fn two<V: Lanes>(isa: V::Isa, x: &[V::Element]) -> [V; 2] {
    let (a, b) = x.split_at_checked(V::LANES).unwrap_or_default();
    [V::load(isa, a), V::load(isa, b)]
}

/// Stores two vectors.
#[inline(always)]
fn store_two<V: Lanes>([a, b]: [V; 2], x: &mut [V::Element]) {
    let (x, y) = x.split_at_mut_checked(V::LANES).unwrap_or_default();
    a.store(x);
    b.store(y);
}

impl<T: Angle> Heads<T> for &mut [T] {
    #[inline(always)]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    #[inline(always)]
    fn from(&self, at: usize, len: usize) -> &[T] {
        span(self, at, len)
    }
    /// One stream of lines, which the processor foresees by itself.
    #[inline(always)]
    fn ask<V: Lanes>(&self, _: usize, _: usize) {}
    #[inline(always)]
    fn to(&mut self, at: usize, len: usize) -> &mut [T] {
        span_mut(self, at, len)
    }
    #[inline(always)]
    fn copy(&mut self, _: usize, _: usize) {}
    #[inline(always)]
    fn halves<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        at: usize,
        row: Row<'_, T>,
        mut map: impl FnMut(V, V, V, V) -> (V, V),
    ) {
        let pairs = row.cos.len();
        let head = span_mut(self, at, 2 * pairs);
        let (y, z) = head.split_at_mut_checked(pairs).unwrap_or_default();
        let y = y.chunks_exact_mut(V::LANES);
        let lines = y
            .zip(z.chunks_exact_mut(V::LANES))
            .zip(row.vectors(V::LANES));
        for ((y, z), (cos, sin)) in lines {
            let (a, b) = (V::load(isa, y), V::load(isa, z));
            let (c, d) = map(a, b, V::load(isa, cos), V::load(isa, sin));
            c.store(y);
            d.store(z);
        }
    }
    #[inline(always)]
    fn neighbors<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        at: usize,
        (first, second): (&[T], &[T]),
        mut map: impl FnMut([V; 2], [V; 2], [V; 2]) -> [V; 2],
    ) {
        let rows = first
            .chunks_exact(2 * V::LANES)
            .zip(second.chunks_exact(2 * V::LANES));
        let head = span_mut(self, at, first.len()).chunks_exact_mut(2 * V::LANES);
        for (y, (c, s)) in head.zip(rows) {
            store_two(map(two(isa, y), two(isa, c), two(isa, s)), y);
        }
    }
}

impl<T: Angle> Heads<T> for (&[T], &mut [T]) {
    #[inline(always)]
    fn len(&self) -> usize {
        self.1.len()
    }
    #[inline(always)]
    fn from(&self, at: usize, len: usize) -> &[T] {
        span(self.0, at, len)
    }
    #[inline(always)]
    fn ask<V: Lanes>(&self, at: usize, len: usize) {
        prefetch::<V, T>(self.0, at, len);
    }
    #[inline(always)]
    fn to(&mut self, at: usize, len: usize) -> &mut [T] {
        span_mut(self.1, at, len)
    }
    #[inline(always)]
    fn copy(&mut self, at: usize, len: usize) {
        for (to, &from) in span_mut(self.1, at, len)
            .iter_mut()
            .zip(span(self.0, at, len))
        {
            *to = from;
        }
    }
    #[inline(always)]
    fn halves<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        at: usize,
        row: Row<'_, T>,
        mut map: impl FnMut(V, V, V, V) -> (V, V),
    ) {
        let pairs = row.cos.len();
        let a = span(self.0, at, pairs).chunks_exact(V::LANES);
        let b = span(self.0, at + pairs, pairs).chunks_exact(V::LANES);
        let head = span_mut(self.1, at, 2 * pairs);
        let (y, z) = head.split_at_mut_checked(pairs).unwrap_or_default();
        let y = y
            .chunks_exact_mut(V::LANES)
            .zip(z.chunks_exact_mut(V::LANES));
        for (((a, b), (y, z)), (cos, sin)) in a.zip(b).zip(y).zip(row.vectors(V::LANES)) {
            let (a, b) = (V::load(isa, a), V::load(isa, b));
            let (c, d) = map(a, b, V::load(isa, cos), V::load(isa, sin));
            c.store(y);
            d.store(z);
        }
    }
    #[inline(always)]
    fn neighbors<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        at: usize,
        (first, second): (&[T], &[T]),
        mut map: impl FnMut([V; 2], [V; 2], [V; 2]) -> [V; 2],
    ) {
        let rows = first
            .chunks_exact(2 * V::LANES)
            .zip(second.chunks_exact(2 * V::LANES));
        let x = span(self.0, at, first.len()).chunks_exact(2 * V::LANES);
        let y = span_mut(self.1, at, first.len()).chunks_exact_mut(2 * V::LANES);
        for ((x, y), (c, s)) in x.zip(y).zip(rows) {
            store_two(map(two(isa, x), two(isa, c), two(isa, s)), y);
        }
    }
}

#[inline(always)]
fn span<T>(x: &[T], at: usize, len: usize) -> &[T] {
    x.get(at..).and_then(|x| x.get(..len)).unwrap_or_default()
}

#[inline(always)]
fn span_mut<T>(x: &mut [T], at: usize, len: usize) -> &mut [T] {
    x.get_mut(at..)
        .and_then(|x| x.get_mut(..len))
        .unwrap_or_default()
}
