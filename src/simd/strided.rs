//! A row of a strided array as a stream.

use super::Lanes;
use super::stream::{GROUP, Rows, Stream, Tail};
use crate::scalar::Scalar;

/// A row whose elements lie `stride` apart, in place.
pub(crate) struct Strided<'a, T> {
    /// The array from the row's first element on.
    pub(crate) x: &'a mut [T],
    /// The distance between elements, at least one.
    pub(crate) stride: usize,
    /// The number of elements.
    pub(crate) len: usize,
}

impl<T: Scalar> Stream<T> for Strided<'_, T> {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (stride, len) = (self.stride, self.len);
        let whole = len - len % GROUP;
        let cut = self.x.len().min(whole.saturating_mul(stride));
        let (head, tail) = self.x.split_at_mut_checked(cut).unwrap_or_default();
        let groups = head
            .chunks_mut(GROUP.saturating_mul(stride).max(1))
            .map(move |x| Strided {
                x,
                stride,
                len: GROUP,
            });
        (
            groups,
            Strided {
                x: tail,
                stride,
                len: len - whole,
            },
        )
    }
    #[inline(always)]
    fn parts(self) -> impl Iterator<Item = impl Tail<T>> {
        let (stride, mut left) = (self.stride, self.len);
        self.x.chunks_mut(GROUP.saturating_mul(stride).max(1)).map(
            #[inline(always)]
            move |x| {
                let len = left.min(GROUP);
                left -= len;
                Strided { x, stride, len }
            },
        )
    }
}

impl<T> Strided<'_, T> {
    /// Returns the elements from `at` on.
    #[inline(always)]
    pub(crate) fn from(&self, at: usize) -> impl Iterator<Item = &T> {
        let x = self.x.get(at * self.stride..).unwrap_or_default();
        x.iter().step_by(self.stride.max(1)).take(self.len - at)
    }
    /// Returns the elements from `at` on, to write.
    #[inline(always)]
    fn to(&mut self, at: usize) -> impl Iterator<Item = &mut T> {
        let x = self.x.get_mut(at * self.stride..).unwrap_or_default();
        x.iter_mut().step_by(self.stride.max(1)).take(self.len - at)
    }
}

impl<T: Scalar> Rows<T> for Strided<'_, T> {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        let mut lanes = [T::ZERO; GROUP];
        for (lane, &x) in lanes.iter_mut().zip(self.from(at)).take(V::LANES) {
            *lane = x;
        }
        V::load(isa, &lanes)
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V) {
        let mut lanes = [T::ZERO; GROUP];
        v.store(&mut lanes);
        for (&lane, x) in lanes.iter().zip(self.to(at)).take(V::LANES) {
            *x = lane;
        }
    }
}

impl<T: Scalar> Tail<T> for Strided<'_, T> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }
    #[inline(always)]
    fn take(&self, at: usize, buffer: &mut [T]) {
        for (to, &from) in buffer.iter_mut().zip(self.from(at)) {
            *to = from;
        }
    }
    #[inline(always)]
    fn put(&mut self, at: usize, buffer: &[T]) {
        for (to, &from) in self.to(at).zip(buffer) {
            *to = from;
        }
    }
}
