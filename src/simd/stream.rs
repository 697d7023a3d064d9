//! What a pass over a row reads and writes, in groups of sixteen lanes by eight rows.

use super::Lanes;
use crate::scalar::Scalar;
use crate::storage::Stored;

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
    /// Returns the groups, and what is left as one more, all of one type: a loop over them has its body
    /// once.
    fn parts(self) -> impl Iterator<Item = impl Tail<T>>;
}

/// One group.
pub(crate) trait Rows<T: Scalar> {
    /// Loads a vector from element `at` on.
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V;
    /// Stores a vector from element `at` on, if the stream has a destination.
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V);
    /// Returns what was stored, if the destination is a plain array.
    #[inline(always)]
    fn written(&self) -> Option<&[T; GROUP]> {
        None
    }
}

/// The elements beyond the last whole group, or any part. Whole vectors are loaded and stored as those of a group.
pub(crate) trait Tail<T: Scalar>: Rows<T> {
    /// Returns their number, at most [`GROUP`].
    fn len(&self) -> usize;
    /// Copies those from `at` on to the start of the buffer, as far as there are.
    fn take(&self, at: usize, buffer: &mut [T]);
    /// Copies the start of the buffer back, if the stream has a destination.
    fn put(&mut self, at: usize, buffer: &[T]);
}

/// Copies as many elements as both slices have.
#[inline(always)]
pub(crate) fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

impl<T: Scalar> Stream<T> for &[T] {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (groups, tail) = self.as_chunks::<GROUP>();
        (groups.iter(), tail)
    }
    #[inline(always)]
    fn parts(self) -> impl Iterator<Item = impl Tail<T>> {
        self.chunks(GROUP)
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

impl<T: Scalar> Rows<T> for &[T] {
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
    fn take(&self, at: usize, buffer: &mut [T]) {
        copy(self.get(at..).unwrap_or_default(), buffer);
    }
    #[inline(always)]
    fn put(&mut self, _: usize, _: &[T]) {}
}

impl<T: Scalar> Stream<T> for &mut [T] {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (groups, tail) = self.as_chunks_mut::<GROUP>();
        (groups.iter_mut(), tail)
    }
    #[inline(always)]
    fn parts(self) -> impl Iterator<Item = impl Tail<T>> {
        self.chunks_mut(GROUP)
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
    #[inline(always)]
    fn written(&self) -> Option<&[T; GROUP]> {
        Some(self)
    }
}

impl<T: Scalar> Rows<T> for &mut [T] {
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
    fn take(&self, at: usize, buffer: &mut [T]) {
        copy(self.get(at..).unwrap_or_default(), buffer);
    }
    #[inline(always)]
    fn put(&mut self, at: usize, buffer: &[T]) {
        copy(buffer, self.get_mut(at..).unwrap_or_default());
    }
}

/// Reads one slice and writes another of the same length, or maps the other in place.
impl<T: Scalar> Stream<T> for (Option<&[T]>, &mut [T]) {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (from, from_tail) = match self.0.map(<[T]>::as_chunks::<GROUP>) {
            Some((from, tail)) => (from, Some(tail)),
            None => (&[][..], None),
        };
        let (to, to_tail) = self.1.as_chunks_mut::<GROUP>();
        let groups = to.iter_mut().enumerate().map(
            #[inline(always)]
            |(i, to)| (from.get(i), to),
        );
        (groups, (from_tail, to_tail))
    }
    #[inline(always)]
    fn parts(self) -> impl Iterator<Item = impl Tail<T>> {
        let mut from = self.0;
        self.1.chunks_mut(GROUP).map(
            #[inline(always)]
            move |to| {
                let part = from.and_then(|x| x.split_at_checked(to.len()));
                from = part.map(|(_, rest)| rest);
                (part.map(|(part, _)| part), to)
            },
        )
    }
}

impl<T: Scalar> Rows<T> for (Option<&[T; GROUP]>, &mut [T; GROUP]) {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        let from: &[T; GROUP] = self.0.unwrap_or(self.1);
        from.load(isa, at)
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V) {
        self.1.store(at, v);
    }
    #[inline(always)]
    fn written(&self) -> Option<&[T; GROUP]> {
        Some(self.1)
    }
}

impl<T: Scalar> Rows<T> for (Option<&[T]>, &mut [T]) {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        self.0.unwrap_or(self.1).load(isa, at)
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V) {
        self.1.store(at, v);
    }
}

impl<T: Scalar> Tail<T> for (Option<&[T]>, &mut [T]) {
    #[inline(always)]
    fn len(&self) -> usize {
        self.1.len()
    }
    #[inline(always)]
    fn take(&self, at: usize, buffer: &mut [T]) {
        self.0.unwrap_or(self.1).take(at, buffer);
    }
    #[inline(always)]
    fn put(&mut self, at: usize, buffer: &[T]) {
        self.1.put(at, buffer);
    }
}

/// A row kept in a narrower type, widened as it is read and narrowed as it is written.
pub(crate) struct Widened<'a, W>(pub(crate) &'a mut [W]);

impl<W> Widened<'_, W> {
    /// Reads the row without writing it.
    #[inline(always)]
    pub(crate) fn reading(&self) -> Widening<'_, W> {
        Widening(&*self.0)
    }
}

/// A row kept in a narrower type, read only.
#[derive(Clone, Copy)]
pub(crate) struct Widening<'a, W>(pub(crate) &'a [W]);

impl<T: Scalar, W: Stored<T>> Stream<T> for Widening<'_, W> {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (groups, tail) = self.0.as_chunks::<GROUP>();
        (
            groups.iter().map(|group| Widening(group.as_slice())),
            Widening(tail),
        )
    }
    #[inline(always)]
    fn parts(self) -> impl Iterator<Item = impl Tail<T>> {
        self.0.chunks(GROUP).map(Widening)
    }
}

impl<T: Scalar, W: Stored<T>> Rows<T> for Widening<'_, W> {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        W::load(isa, self.0.get(at..).unwrap_or_default())
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, _: usize, _: V) {}
}

impl<T: Scalar, W: Stored<T>> Tail<T> for Widening<'_, W> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn take(&self, at: usize, buffer: &mut [T]) {
        for (to, from) in buffer.iter_mut().zip(self.0.iter().skip(at)) {
            *to = from.widen();
        }
    }
    #[inline(always)]
    fn put(&mut self, _: usize, _: &[T]) {}
}

impl<T: Scalar, W: Stored<T>> Stream<T> for Widened<'_, W> {
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = impl Rows<T>>, impl Tail<T>) {
        let (groups, tail) = self.0.as_chunks_mut::<GROUP>();
        (
            groups.iter_mut().map(|group| Widened(group.as_mut_slice())),
            Widened(tail),
        )
    }
    #[inline(always)]
    fn parts(self) -> impl Iterator<Item = impl Tail<T>> {
        self.0.chunks_mut(GROUP).map(Widened)
    }
}

impl<T: Scalar, W: Stored<T>> Rows<T> for Widened<'_, W> {
    #[inline(always)]
    fn load<V: Lanes<Element = T>>(&self, isa: V::Isa, at: usize) -> V {
        self.reading().load(isa, at)
    }
    #[inline(always)]
    fn store<V: Lanes<Element = T>>(&mut self, at: usize, v: V) {
        let mut lanes = [T::ZERO; LANES];
        v.store(&mut lanes);
        for (to, &lane) in self
            .0
            .get_mut(at..)
            .unwrap_or_default()
            .iter_mut()
            .zip(&lanes)
            .take(V::LANES)
        {
            *to = W::narrow(lane);
        }
    }
}

impl<T: Scalar, W: Stored<T>> Tail<T> for Widened<'_, W> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn take(&self, at: usize, buffer: &mut [T]) {
        self.reading().take(at, buffer);
    }
    #[inline(always)]
    fn put(&mut self, at: usize, buffer: &[T]) {
        for (to, &from) in self.0.iter_mut().skip(at).zip(buffer) {
            *to = W::narrow(from);
        }
    }
}
