//! What a pass over a row reads and writes, in groups of sixteen lanes by eight rows.

use super::Lanes;
use crate::scalar::Scalar;

/// The virtual lanes of the portable order.
pub(crate) const LANES: usize = 16;
/// Rows of sixteen lanes that a group adds as a tree.
pub(crate) const ROWS: usize = 8;
/// Elements of a group.
pub(crate) const GROUP: usize = LANES * ROWS;

/// The source and destination of one pass.
pub(crate) trait Stream<T: Scalar> {
    /// Splits off the elements beyond the last whole group.
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>);
}

/// One group.
pub(crate) trait Rows<T: Scalar> {
    /// Loads a native vector from element `at` on.
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V;
    /// Stores a native vector from element `at` on, if the stream has a destination.
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V);
}

/// The elements beyond the last whole group.
pub(crate) trait Tail<T: Scalar> {
    /// Returns their number, less than [`GROUP`].
    fn len(&self) -> usize;
    /// Copies them to the start of the buffer.
    fn take(&self, buffer: &mut [T; GROUP]);
    /// Copies them back from the start of the buffer, if the stream has a destination.
    fn put(self, buffer: &[T; GROUP]);
}

impl<T: Scalar> Stream<T> for &[T] {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (groups, tail) = self.as_chunks::<GROUP>();
        (groups.iter(), tail)
    }
}

impl<T: Scalar> Rows<T> for &[T; GROUP] {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        V::load(isa, self.get(at..).unwrap_or_default())
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, _: usize, _: V) {}
}

impl<T: Scalar> Tail<T> for &[T] {
    #[inline(always)]
    fn len(&self) -> usize {
        (**self).len()
    }
    #[inline(always)]
    fn take(&self, buffer: &mut [T; GROUP]) {
        for (to, &from) in buffer.iter_mut().zip(*self) {
            *to = from;
        }
    }
    #[inline(always)]
    fn put(self, _: &[T; GROUP]) {}
}

impl<T: Scalar> Stream<T> for &mut [T] {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (groups, tail) = self.as_chunks_mut::<GROUP>();
        (groups.iter_mut(), tail)
    }
}

impl<T: Scalar> Rows<T> for &mut [T; GROUP] {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        V::load(isa, self.get(at..).unwrap_or_default())
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V) {
        v.store(self.get_mut(at..).unwrap_or_default());
    }
}

impl<T: Scalar> Tail<T> for &mut [T] {
    #[inline(always)]
    fn len(&self) -> usize {
        (**self).len()
    }
    #[inline(always)]
    fn take(&self, buffer: &mut [T; GROUP]) {
        for (to, &from) in buffer.iter_mut().zip(&**self) {
            *to = from;
        }
    }
    #[inline(always)]
    fn put(self, buffer: &[T; GROUP]) {
        for (to, &from) in self.iter_mut().zip(buffer) {
            *to = from;
        }
    }
}

/// Reads one slice and writes another; the shorter one gives the length.
impl<T: Scalar> Stream<T> for (&[T], &mut [T]) {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (from, from_tail) = self.0.as_chunks::<GROUP>();
        let (to, to_tail) = self.1.as_chunks_mut::<GROUP>();
        (from.iter().zip(to), (from_tail, to_tail))
    }
}

impl<T: Scalar> Rows<T> for (&[T; GROUP], &mut [T; GROUP]) {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        self.0.load(isa, at)
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V) {
        self.1.store(at, v);
    }
}

impl<T: Scalar> Tail<T> for (&[T], &mut [T]) {
    #[inline(always)]
    fn len(&self) -> usize {
        Tail::len(&self.0)
    }
    #[inline(always)]
    fn take(&self, buffer: &mut [T; GROUP]) {
        self.0.take(buffer);
    }
    #[inline(always)]
    fn put(self, buffer: &[T; GROUP]) {
        self.1.put(buffer);
    }
}
