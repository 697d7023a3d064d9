//! What a rotation reads and writes, in place or from one array into another.

use super::HeadLayout;
use super::angle::Angle;
use super::source::Row;
use super::turn::Span;
use crate::scalar::sealed::Compute;
use crate::simd::{LANES, Lanes, prefetch};
use crate::storage::{Bf16, F16, Stored};

/// A number type that heads are kept in, to be rotated in `T`.
///
/// Sealed: `f32` and `f64` in themselves, [`F16`] and [`Bf16`] in `f32`. The latter are widened exactly
/// and rounded once, to nearest even; elements that do not turn keep their bits.
pub trait HeadElement<T: Angle>: Stored<T> + sealed::Rotated<T> {}

impl<T: Angle> HeadElement<T> for T {}
impl HeadElement<f32> for F16 {}
impl HeadElement<f32> for Bf16 {}

mod sealed {
    use super::{Angle, Bf16, F16, Heads, Narrow};

    /// How heads of a number type are read and written.
    pub trait Rotated<T: Angle>: Sized {
        /// Returns heads to be rotated in place.
        fn in_place(x: &mut [Self]) -> impl Heads<T>;
        /// Returns heads to be rotated from one slice into another.
        fn into<'a>(x: &'a [Self], out: &'a mut [Self]) -> impl Heads<T>;
    }

    impl<T: Angle> Rotated<T> for T {
        #[inline(always)]
        fn in_place(x: &mut [T]) -> impl Heads<T> {
            x
        }
        #[inline(always)]
        fn into<'a>(x: &'a [T], out: &'a mut [T]) -> impl Heads<T> {
            (x, out)
        }
    }

    macro_rules! narrow {
        ($t:ident) => {
            impl Rotated<f32> for $t {
                #[inline(always)]
                fn in_place(x: &mut [$t]) -> impl Heads<f32> {
                    Narrow(None, x)
                }
                #[inline(always)]
                fn into<'a>(x: &'a [$t], out: &'a mut [$t]) -> impl Heads<f32> {
                    Narrow(Some(x), out)
                }
            }
        };
    }
    narrow!(F16);
    narrow!(Bf16);
}

/// What a rotation reads and writes: one slice, or two of the same length.
///
/// Slices walk whole heads by iterators of their own, a tenth faster in the first cache than by places.
pub trait Heads<T: Angle> {
    /// Returns the number of elements.
    fn len(&self) -> usize;
    /// Loads `N` vectors from `at` on; zeros beyond the end.
    fn load<V: Lanes<Element = T>, const N: usize>(&self, isa: V::Isa, at: usize) -> [V; N];
    /// Stores `N` vectors from `at` on.
    fn store<V: Lanes<Element = T>, const N: usize>(&mut self, at: usize, vectors: [V; N]);
    /// Asks memory for `len` elements that will be read, from `at` on.
    fn ask<V: Lanes>(&self, at: usize, len: usize);
    /// Passes elements on unchanged.
    fn copy(&mut self, at: usize, len: usize);
    /// Replaces every NaN among `len` written elements by the one that stands for all.
    fn one_nan(&mut self, at: usize, len: usize);
    /// Maps the whole vectors of the two halves of every head of a span, which begins at a head, with the
    /// row beside them: `map(a, b, cosine, sine)`.
    fn halves<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        layout: HeadLayout,
        span: Span,
        row: Row<'_, T>,
        mut map: impl FnMut(V, V, V, V) -> (V, V),
    ) {
        let mut head = span.at;
        for _ in 0..span.count {
            let (mut first, mut second) = (head, head + layout.pairs());
            for (cos, sin) in row.vectors(V::LANES) {
                let ([a], [b]) = (self.load(isa, first), self.load(isa, second));
                let (y, z) = map(a, b, V::load(isa, cos), V::load(isa, sin));
                self.store(first, [y]);
                self.store(second, [z]);
                first += V::LANES;
                second += V::LANES;
            }
            head += layout.head_dim();
        }
    }
    /// Maps two neighboring vectors after the other of every head of a span, which begins at a head, as
    /// far as the row beside them reaches: `map([a, b], [two cosines], [two sines])`.
    fn neighbors<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        layout: HeadLayout,
        span: Span,
        row: Row<'_, T>,
        mut map: impl FnMut([V; 2], [V; 2], [V; 2]) -> [V; 2],
    ) {
        let mut head = span.at;
        for _ in 0..span.count {
            let mut at = head;
            for (cos, sin) in row.vectors(2 * V::LANES) {
                let y = map(self.load(isa, at), two(isa, cos), two(isa, sin));
                self.store(at, y);
                at += 2 * V::LANES;
            }
            head += layout.head_dim();
        }
    }
}

/// Loads `N` vectors.
#[inline(always)]
fn load<V: Lanes, const N: usize>(isa: V::Isa, x: &[V::Element]) -> [V; N] {
    let mut vectors = [V::splat(isa, V::Element::ZERO); N];
    for (v, x) in vectors.iter_mut().zip(x.chunks_exact(V::LANES)) {
        *v = V::load(isa, x);
    }
    vectors
}

/// Stores `N` vectors.
#[inline(always)]
pub(super) fn store<V: Lanes, const N: usize>(vectors: [V; N], x: &mut [V::Element]) {
    for (v, x) in vectors.into_iter().zip(x.chunks_exact_mut(V::LANES)) {
        v.store(x);
    }
}

/// Loads two vectors.
#[inline(always)]
fn two<V: Lanes>(isa: V::Isa, x: &[V::Element]) -> [V; 2] {
    let (a, b) = x.split_at_checked(V::LANES).unwrap_or_default();
    [V::load(isa, a), V::load(isa, b)]
}

impl<T: Angle> Heads<T> for &mut [T] {
    #[inline(always)]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    #[inline(always)]
    fn load<V: Lanes<Element = T>, const N: usize>(&self, isa: V::Isa, at: usize) -> [V; N] {
        load(isa, span(self, at, N * V::LANES))
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>, const N: usize>(&mut self, at: usize, vectors: [V; N]) {
        store(vectors, span_mut(self, at, N * V::LANES));
    }
    /// One stream of lines, which the processor foresees by itself.
    #[inline(always)]
    fn ask<V: Lanes>(&self, _: usize, _: usize) {}
    #[inline(always)]
    fn copy(&mut self, _: usize, _: usize) {}
    fn one_nan(&mut self, at: usize, len: usize) {
        one_nan(span_mut(self, at, len));
    }
    #[inline(always)]
    fn halves<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        layout: HeadLayout,
        span: Span,
        row: Row<'_, T>,
        mut map: impl FnMut(V, V, V, V) -> (V, V),
    ) {
        let len = span.count * layout.head_dim();
        for head in span_mut(self, span.at, len).chunks_exact_mut(layout.head_dim().max(1)) {
            let (y, z) = head
                .split_at_mut_checked(layout.pairs())
                .unwrap_or_default();
            let lines = y
                .chunks_exact_mut(V::LANES)
                .zip(z.chunks_exact_mut(V::LANES))
                .zip(row.vectors(V::LANES));
            for ((y, z), (cos, sin)) in lines {
                let (a, b) = (V::load(isa, y), V::load(isa, z));
                let (c, d) = map(a, b, V::load(isa, cos), V::load(isa, sin));
                c.store(y);
                d.store(z);
            }
        }
    }
    #[inline(always)]
    fn neighbors<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        layout: HeadLayout,
        span: Span,
        row: Row<'_, T>,
        mut map: impl FnMut([V; 2], [V; 2], [V; 2]) -> [V; 2],
    ) {
        let len = span.count * layout.head_dim();
        let heads = span_mut(self, span.at, len).chunks_exact_mut(layout.head_dim().max(1));
        for head in heads {
            let places = head.chunks_exact_mut(2 * V::LANES);
            for (y, (cos, sin)) in places.zip(row.vectors(2 * V::LANES)) {
                store(map(two(isa, y), two(isa, cos), two(isa, sin)), y);
            }
        }
    }
}

impl<T: Angle> Heads<T> for (&[T], &mut [T]) {
    #[inline(always)]
    fn len(&self) -> usize {
        self.1.len()
    }
    #[inline(always)]
    fn load<V: Lanes<Element = T>, const N: usize>(&self, isa: V::Isa, at: usize) -> [V; N] {
        load(isa, span(self.0, at, N * V::LANES))
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>, const N: usize>(&mut self, at: usize, vectors: [V; N]) {
        store(vectors, span_mut(self.1, at, N * V::LANES));
    }
    #[inline(always)]
    fn ask<V: Lanes>(&self, at: usize, len: usize) {
        prefetch::<V, T>(self.0, at, len);
    }
    fn one_nan(&mut self, at: usize, len: usize) {
        one_nan(span_mut(self.1, at, len));
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
        layout: HeadLayout,
        span: Span,
        row: Row<'_, T>,
        mut map: impl FnMut(V, V, V, V) -> (V, V),
    ) {
        let len = span.count * layout.head_dim();
        let from = self::span(self.0, span.at, len).chunks_exact(layout.head_dim().max(1));
        let to = span_mut(self.1, span.at, len).chunks_exact_mut(layout.head_dim().max(1));
        for (from, to) in from.zip(to) {
            let (a, b) = from.split_at_checked(layout.pairs()).unwrap_or_default();
            let (y, z) = to.split_at_mut_checked(layout.pairs()).unwrap_or_default();
            let x = a.chunks_exact(V::LANES).zip(b.chunks_exact(V::LANES));
            let lines = y
                .chunks_exact_mut(V::LANES)
                .zip(z.chunks_exact_mut(V::LANES))
                .zip(row.vectors(V::LANES));
            for ((a, b), ((y, z), (cos, sin))) in x.zip(lines) {
                let (a, b) = (V::load(isa, a), V::load(isa, b));
                let (c, d) = map(a, b, V::load(isa, cos), V::load(isa, sin));
                c.store(y);
                d.store(z);
            }
        }
    }
    #[inline(always)]
    fn neighbors<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        layout: HeadLayout,
        span: Span,
        row: Row<'_, T>,
        mut map: impl FnMut([V; 2], [V; 2], [V; 2]) -> [V; 2],
    ) {
        let len = span.count * layout.head_dim();
        let from = self::span(self.0, span.at, len).chunks_exact(layout.head_dim().max(1));
        let to = span_mut(self.1, span.at, len).chunks_exact_mut(layout.head_dim().max(1));
        for (from, to) in from.zip(to) {
            let places = from
                .chunks_exact(2 * V::LANES)
                .zip(to.chunks_exact_mut(2 * V::LANES));
            for ((x, y), (cos, sin)) in places.zip(row.vectors(2 * V::LANES)) {
                store(map(two(isa, x), two(isa, cos), two(isa, sin)), y);
            }
        }
    }
}

/// Replaces every NaN by the one that stands for all.
fn one_nan<T: Angle, X: Stored<T>>(x: &mut [X]) {
    for x in x {
        if x.widen().is_nan() {
            *x = X::narrow(T::NAN);
        }
    }
}

/// Heads that are kept in a narrower type: what is read, if it is not what is written.
struct Narrow<'a, X>(Option<&'a [X]>, &'a mut [X]);

impl<X: Stored<f32>> Heads<f32> for Narrow<'_, X> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.1.len()
    }
    #[inline(always)]
    fn load<V: Lanes<Element = f32>, const N: usize>(&self, isa: V::Isa, at: usize) -> [V; N] {
        let mut vectors = [V::splat(isa, 0.0); N];
        let x = span(self.0.unwrap_or(self.1), at, N * V::LANES);
        for (v, x) in vectors.iter_mut().zip(x.chunks_exact(V::LANES)) {
            *v = X::load(isa, x);
        }
        vectors
    }
    #[inline(always)]
    fn store<V: Lanes<Element = f32>, const N: usize>(&mut self, at: usize, vectors: [V; N]) {
        let x = span_mut(self.1, at, N * V::LANES).chunks_exact_mut(V::LANES);
        for (v, x) in vectors.into_iter().zip(x) {
            let mut lanes = [0.0; LANES];
            v.store(&mut lanes);
            for (x, lane) in x.iter_mut().zip(lanes) {
                *x = X::narrow(lane);
            }
        }
    }
    /// Widening takes longer than reading.
    #[inline(always)]
    fn ask<V: Lanes>(&self, _: usize, _: usize) {}
    fn one_nan(&mut self, at: usize, len: usize) {
        one_nan::<f32, X>(span_mut(self.1, at, len));
    }
    #[inline(always)]
    fn copy(&mut self, at: usize, len: usize) {
        if let Some(x) = self.0 {
            for (to, &from) in span_mut(self.1, at, len).iter_mut().zip(span(x, at, len)) {
                *to = from;
            }
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
