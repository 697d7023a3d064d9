//! What a map reads and writes as one row: contiguous, strided or narrow; in place or not.

use core::ops::Range;

use crate::scalar::Scalar;
use crate::simd::stream::{Stream, Widened, Widening};
use crate::simd::strided::Strided;
use crate::storage::Stored;

/// A row that can be passed over in parts.
pub(super) trait Row<T: Scalar> {
    /// Whether elements are kept in a narrower type, and loaded one vector at a time.
    const NARROW: bool = false;
    /// Whether the row is written.
    const WRITTEN: bool = true;
    /// Returns the number of elements.
    fn len(&self) -> usize;
    /// Returns the first element above minus infinity, NaN if there is none.
    fn first(&self) -> T;
    /// Returns a part, which begins at a whole group: to read, and to write where the row is written.
    fn stream(&mut self, part: Range<usize>) -> impl Stream<T>;
    /// Reads from now on what is written.
    #[inline(always)]
    fn keep(&mut self) {}
    /// Returns the first elements of the row as they were written.
    #[inline(always)]
    fn written(&mut self, len: usize) -> impl Stream<T> {
        self.stream(0..len)
    }
}

/// Returns the first element above minus infinity, NaN if there is none.
#[inline(always)]
fn first<T: Scalar>(mut x: impl Iterator<Item = T>) -> T {
    x.find(|&x| x != T::NEG_INFINITY).unwrap_or(T::NAN)
}

/// A row to read.
impl<T: Scalar> Row<T> for &[T] {
    const WRITTEN: bool = false;

    #[inline(always)]
    fn len(&self) -> usize {
        (**self).len()
    }
    #[inline(always)]
    fn first(&self) -> T {
        first(self.iter().copied())
    }
    #[inline(always)]
    fn stream(&mut self, part: Range<usize>) -> impl Stream<T> {
        self.get(part).unwrap_or_default()
    }
}

/// A narrow row to read.
impl<T: Scalar, W: Stored<T>> Row<T> for Widening<'_, W> {
    const NARROW: bool = true;
    const WRITTEN: bool = false;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn first(&self) -> T {
        first(self.0.iter().map(|x| x.widen()))
    }
    #[inline(always)]
    fn stream(&mut self, part: Range<usize>) -> impl Stream<T> {
        Widening(self.0.get(part).unwrap_or_default())
    }
}

/// A row to write, read from another one or mapped in place.
impl<T: Scalar> Row<T> for (Option<&[T]>, &mut [T]) {
    #[inline(always)]
    fn len(&self) -> usize {
        self.1.len()
    }
    #[inline(always)]
    fn first(&self) -> T {
        first(self.0.unwrap_or(self.1).iter().copied())
    }
    #[inline(always)]
    fn stream(&mut self, part: Range<usize>) -> impl Stream<T> {
        (
            self.0.map(|x| x.get(part.clone()).unwrap_or_default()),
            self.1.get_mut(part).unwrap_or_default(),
        )
    }
    #[inline(always)]
    fn keep(&mut self) {
        self.0 = None;
    }
    #[inline(always)]
    fn written(&mut self, len: usize) -> impl Stream<T> {
        self.1.get_mut(..len).unwrap_or_default()
    }
}

/// A narrow row to write.
impl<T: Scalar, W: Stored<T>> Row<T> for Widened<'_, W> {
    const NARROW: bool = true;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn first(&self) -> T {
        self.reading().first()
    }
    #[inline(always)]
    fn stream(&mut self, part: Range<usize>) -> impl Stream<T> {
        Widened(self.0.get_mut(part).unwrap_or_default())
    }
}

/// A row of a strided array, in place.
impl<T: Scalar> Row<T> for Strided<'_, T> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }
    #[inline(always)]
    fn first(&self) -> T {
        first(self.from(0).copied())
    }
    #[inline(always)]
    fn stream(&mut self, part: Range<usize>) -> impl Stream<T> {
        Strided {
            x: self
                .x
                .get_mut(part.start * self.stride..)
                .unwrap_or_default(),
            stride: self.stride,
            len: part.len(),
        }
    }
}
