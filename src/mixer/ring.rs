//! A ring of the newest keys and values behind a few of the oldest.

use core::marker::PhantomData;

use super::cache::Shape;
use super::{KeyValues, Rows, Run, Visible};
use crate::scalar::Scalar;
use crate::storage::Stored;
use crate::{Error, Parameter};

/// The newest keys and values of a sequence of any length, and the oldest as attention sinks.
///
/// A sliding window of constant memory: the storage holds `sinks` tokens that stay, and a ring of as
/// many others as fit. Xiao et al. (2023), "Efficient streaming language models with attention
/// sinks", arXiv 2309.17453. Keys are kept as they came, so their rotary positions are those of the
/// sequence. Attention over a ring has the same bits as over a [`Cache`](super::Cache) with the same
/// [`Visible`]. The storage is laid out as `[head][slot][dim]`, sinks first.
///
/// ```
/// use suanzi::mixer::{KeyValues, Ring};
///
/// // One head, one sink and a window of three.
/// let mut ring = Ring::<f32, _>::new(1, 2, 2, 1, [0.0; 8], [0.0; 8])?;
/// for token in 0..10 {
///     ring.append(&[token as f32; 2], &[0.0; 2])?;
/// }
/// assert_eq!((ring.len(), ring.window()), (10, 3));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ring<W, S> {
    keys: S,
    values: S,
    shape: Shape,
    sinks: usize,
    window: usize,
    len: usize,
    element: PhantomData<W>,
}

impl<W, S: AsRef<[W]>> Ring<W, S> {
    /// Returns an empty ring: the window is what the storage holds besides the sinks.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero or no window is left, [`Error::Multiple`] if `keys` does
    /// not hold whole tokens, [`Error::Length`] if `values` does not hold as many.
    pub fn new(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        sinks: usize,
        keys: S,
        values: S,
    ) -> Result<Self, Error> {
        let shape = Shape {
            heads,
            key_dim,
            value_dim,
        };
        let slots = shape.capacity(keys.as_ref().len(), values.as_ref().len())?;
        let window = slots.saturating_sub(sinks);
        if window == 0 {
            return Err(Error::Domain(Parameter::Window));
        }
        Ok(Self {
            keys,
            values,
            shape,
            sinks,
            window,
            len: 0,
            element: PhantomData,
        })
    }

    /// Returns the number of newest tokens that stay.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Returns what the newest token sees: everything that is kept.
    #[must_use]
    pub fn visible(&self) -> Visible {
        Visible::from(self.len)
            .window(self.window)
            .sinks(self.sinks)
    }

    /// Forgets every token.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Returns the slot of a position.
    #[inline(always)]
    const fn slot(&self, position: usize) -> usize {
        if position < self.sinks {
            return position;
        }
        match (position - self.sinks).checked_rem(self.window) {
            Some(slot) => self.sinks + slot,
            None => self.sinks,
        }
    }
}

impl<W, S: AsRef<[W]> + AsMut<[W]>> Ring<W, S> {
    /// Appends the keys `[token][head][key_dim]` and values `[token][head][value_dim]` of one token
    /// or more; the oldest of the window make room.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `keys` are not whole tokens, [`Error::Length`] if `values` are not as
    /// many, [`Error::Capacity`] if positions would no longer be numbers; nothing is written then.
    pub fn append<T: Scalar>(&mut self, keys: &[T], values: &[T]) -> Result<(), Error>
    where
        W: Stored<T>,
    {
        let tokens = self.shape.capacity(keys.len(), values.len())?;
        let Some(len) = self.len.checked_add(tokens) else {
            return Err(Error::Capacity { limit: usize::MAX });
        };
        let (heads, slots) = (self.shape.heads, self.sinks + self.window);
        let (key_dim, value_dim) = (self.shape.key_dim, self.shape.value_dim);
        for token in 0..tokens {
            let slot = self.slot(self.len + token);
            for (to, from, dim) in [
                (self.keys.as_mut(), keys, key_dim),
                (self.values.as_mut(), values, value_dim),
            ] {
                let from = from.chunks_exact(dim.max(1)).skip(token * heads);
                for (head, vector) in from.take(heads).enumerate() {
                    let to = to.get_mut((head * slots + slot) * dim..);
                    for (to, &x) in to.unwrap_or_default().iter_mut().zip(vector) {
                        *to = W::narrow(x);
                    }
                }
            }
        }
        self.len = len;
        Ok(())
    }
}

impl<T: Scalar, W: Stored<T>, S: AsRef<[W]>> KeyValues<T> for Ring<W, S> {
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

    fn kept(&self) -> (usize, usize) {
        let start = self.len.saturating_sub(self.window);
        (self.sinks, if start > self.sinks { start } else { 0 })
    }

    #[inline(always)]
    fn run(&self, head: usize, from: usize, to: usize) -> Run<'_, T, W> {
        let last = to.saturating_sub(1);
        // Sinks do not wrap; the ring is contiguous back to its first slot.
        let (first, longest) = if last < self.sinks {
            (from, to)
        } else {
            (from.max(self.sinks), self.slot(last) + 1 - self.sinks)
        };
        let len = to.saturating_sub(first).min(longest);
        let slot = (self.slot(last) + 1).saturating_sub(len);
        let at = head * (self.sinks + self.window) + slot;
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        Run {
            len,
            keys: Rows::new(self.keys.as_ref(), at * key_dim, key_dim),
            values: Rows::new(self.values.as_ref(), at * value_dim, value_dim),
        }
    }
}
