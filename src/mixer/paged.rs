//! Keys and values in pages that lie anywhere in a pool.

use core::marker::PhantomData;

use super::cache::Shape;
use super::{KeyValues, Layout, Rows, Run};
use crate::scalar::Scalar;
use crate::storage::Stored;
use crate::{Error, Parameter};

/// Every key and value of a sequence, in pages of a pool that several sequences may share.
///
/// `F` maps the number of a page of the sequence to its number in the pool: a block table is the
/// closure that reads it. Several sequences with a common beginning share its pages. Kwon et al. (2023),
/// "PagedAttention", arXiv 2309.06180. Attention over pages has the bits of attention over a
/// [`Cache`](super::Cache).
///
/// * **Shapes:** a pool of `[page][head][slot][dim]` or, token-major, `[page][slot][head][dim]`: the
///   layouts that others call HND and NHD.
/// * **Domain:** the function gives the same page for the same number as long as the memory lives;
///   where it breaks that and points outside the pool, the keys are NaN.
///
/// ```
/// use suanzi::mixer::{KeyValues, Paged};
///
/// // A pool of three pages of two tokens; the sequence lies in pages 2 and 0.
/// let table = [2_u8, 0];
/// let page = |i: usize| table.get(i).map_or(usize::MAX, |&page| page.into());
/// let mut pages = Paged::<f32, _, _>::new(1, 1, 1, 2, [0.0; 6], [0.0; 6], page)?;
/// pages.append(&[1.0_f32, 2.0, 3.0], &[1.0, 2.0, 3.0])?;
/// assert_eq!(pages.len(), 3);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Paged<W, S, F> {
    keys: S,
    values: S,
    page: F,
    shape: Shape,
    /// The tokens of a page, positive.
    slots: usize,
    /// The pages of the pool.
    pages: usize,
    len: usize,
    layout: Layout,
    element: PhantomData<W>,
}

impl<W, S: AsRef<[W]>, F: Fn(usize) -> usize> Paged<W, S, F> {
    /// Returns the empty sequence over a pool of pages of `slots` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero, [`Error::Multiple`] if `keys` does not hold whole pages,
    /// [`Error::Length`] if `values` does not hold as many.
    pub fn new(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        slots: usize,
        keys: S,
        values: S,
        page: F,
    ) -> Result<Self, Error> {
        let shape = Shape {
            heads,
            key_dim,
            value_dim,
        };
        let found = keys.as_ref().len();
        let tokens = shape.capacity(found, values.as_ref().len())?;
        if slots == 0 {
            return Err(Error::Domain(Parameter::Shape));
        }
        if !tokens.is_multiple_of(slots) {
            let of = slots.saturating_mul(heads).saturating_mul(key_dim);
            return Err(Error::Multiple { of, found });
        }
        Ok(Self {
            keys,
            values,
            page,
            shape,
            slots,
            pages: tokens / slots.max(1),
            len: 0,
            layout: Layout::HeadMajor,
            element: PhantomData,
        })
    }

    /// Returns this memory with the inside of its pages read in another order.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Returns this memory with `len` tokens that lie in the pages already.
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`] if one of their pages is not in the pool.
    pub fn with_len(self, len: usize) -> Result<Self, Error> {
        self.check(0, len)?;
        Ok(Self { len, ..self })
    }

    /// Forgets the tokens from `len` on, or all of them with zero.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Checks that the pages of these positions are in the pool.
    fn check(&self, from: usize, to: usize) -> Result<(), Error> {
        let slots = self.slots.max(1);
        for page in from / slots..to.div_ceil(slots) {
            if (self.page)(page) >= self.pages {
                let limit = page.saturating_mul(slots);
                return Err(Error::Capacity { limit });
            }
        }
        Ok(())
    }

    /// Returns the vector, counted over the whole pool, of a head and a position.
    #[inline(always)]
    fn vector(&self, head: usize, position: usize) -> usize {
        let slots = self.slots.max(1);
        let page = (self.page)(position / slots);
        if page >= self.pages {
            // No vector has this number.
            return self.pages * slots * self.shape.heads;
        }
        let (of_head, of_token) = self.layout.strides(self.shape.heads, slots);
        page * slots * self.shape.heads + head * of_head + position % slots * of_token
    }
}

impl<W, S: AsRef<[W]> + AsMut<[W]>, F: Fn(usize) -> usize> Paged<W, S, F> {
    /// Appends the keys `[token][head][key_dim]` and values `[token][head][value_dim]` of one token
    /// or more.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `keys` are not whole tokens, [`Error::Length`] if `values` are not as
    /// many, [`Error::Capacity`] if a page that they need is not in the pool; nothing is written then.
    pub fn append<T: Scalar>(&mut self, keys: &[T], values: &[T]) -> Result<(), Error>
    where
        W: Stored<T>,
    {
        let tokens = self.shape.capacity(keys.len(), values.len())?;
        let len = self.len.saturating_add(tokens);
        self.check(self.len, len)?;
        let (heads, first) = (self.shape.heads.max(1), self.len);
        let (key_dim, value_dim) = (self.shape.key_dim.max(1), self.shape.value_dim.max(1));
        let vectors = keys.chunks_exact(key_dim);
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        let mut others = values.chunks_exact(value_dim);
        for (i, (key, value)) in vectors.zip(others.by_ref()).enumerate() {
            let at = self.vector(i % heads, first + i / heads);
            for (to, from, dim) in [
                (self.keys.as_mut(), key, key_dim),
                (self.values.as_mut(), value, value_dim),
            ] {
                let to = to.get_mut(at * dim..).unwrap_or_default();
                for (to, &x) in to.iter_mut().zip(from) {
                    *to = W::narrow(x);
                }
            }
        }
        self.len = len;
        Ok(())
    }
}

impl<W, S, F> Paged<W, S, F> {
    /// Returns the number of tokens.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no token yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T: Scalar, W: Stored<T>, S: AsRef<[W]>, F: Fn(usize) -> usize> KeyValues<T>
    for Paged<W, S, F>
{
    type Element = W;

    fn len(&self) -> usize {
        self.len
    }

    fn heads(&self) -> usize {
        self.shape.heads
    }

    fn key_dim(&self) -> usize {
        self.shape.key_dim
    }

    fn value_dim(&self) -> usize {
        self.shape.value_dim
    }

    #[inline(always)]
    fn run(&self, head: usize, from: usize, to: usize) -> Run<'_, T, W> {
        let slots = self.slots.max(1);
        let last = to.saturating_sub(1);
        let first = from.max(last - last % slots);
        let at = self.vector(head, first);
        let (_, of_token) = self.layout.strides(self.shape.heads, slots);
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        Run {
            len: to.saturating_sub(first),
            keys: Rows::new(self.keys.as_ref(), at * key_dim, of_token * key_dim),
            values: Rows::new(self.values.as_ref(), at * value_dim, of_token * value_dim),
        }
    }
}
