//! A cache of eight-bit keys and values with a scale for each vector.

use super::cache::Shape;
use super::{KeyValues, Rows, Run};
use crate::Error;
use crate::error::check_len;
use crate::storage::sealed::Widen;

/// Every key and value of a sequence in `i8`, each vector with an `f32` scale.
///
/// A vector x is kept as the integers nearest to x / s with s = max |x| / 127: a quarter of the
/// memory of `f32`, and an error of at most 0.504 s an element. Attention multiplies the integers and
/// applies the scale once a vector, so its result is that of attention over the rounded vectors
/// within the bound of `f32`. A vector with an element that is not finite becomes NaN altogether.
/// The storage is laid out as `[head][token][dim]`, the scales as `[head][token]`.
///
/// ```
/// use suanzi::mixer::{KeyValues, QuantizedCache};
///
/// let (keys, values) = (([0; 8], [0.0; 2]), ([0; 8], [0.0; 2]));
/// let mut cache = QuantizedCache::new(1, 4, 4, keys, values)?;
/// cache.append(&[1.0, -0.5, 0.0, 0.25], &[1.0; 4])?;
/// assert_eq!((cache.len(), cache.capacity()), (1, 2));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct QuantizedCache<S, Q> {
    keys: (S, Q),
    values: (S, Q),
    shape: Shape,
    capacity: usize,
    len: usize,
}

impl<S: AsRef<[i8]>, Q: AsRef<[f32]>> QuantizedCache<S, Q> {
    /// Returns an empty cache for as many tokens as the storage holds, integers and scales of keys
    /// and of values.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero, [`Error::Multiple`] if the keys' integers are not whole
    /// tokens, [`Error::Length`] if the values or the scales are not as many.
    pub fn new(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        keys: (S, Q),
        values: (S, Q),
    ) -> Result<Self, Error> {
        let shape = Shape {
            heads,
            key_dim,
            value_dim,
        };
        let capacity = shape.capacity(keys.0.as_ref().len(), values.0.as_ref().len())?;
        check_len(heads * capacity, keys.1.as_ref().len())?;
        check_len(heads * capacity, values.1.as_ref().len())?;
        Ok(Self {
            keys,
            values,
            shape,
            capacity,
            len: 0,
        })
    }

    /// Returns the number of tokens that fit.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the tokens from `len` on, or all of them with zero.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl<S: AsRef<[i8]> + AsMut<[i8]>, Q: AsRef<[f32]> + AsMut<[f32]>> QuantizedCache<S, Q> {
    /// Appends the keys `[token][head][key_dim]` and values `[token][head][value_dim]` of one token
    /// or more.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `keys` are not whole tokens, [`Error::Length`] if `values` are not as
    /// many, [`Error::Capacity`] if they do not all fit; nothing is written then.
    pub fn append(&mut self, keys: &[f32], values: &[f32]) -> Result<(), Error> {
        let tokens = self.shape.capacity(keys.len(), values.len())?;
        if tokens > self.capacity - self.len {
            return Err(Error::Capacity {
                limit: self.capacity,
            });
        }
        let Shape {
            heads,
            key_dim,
            value_dim,
        } = self.shape;
        for ((to, scales), from, dim) in [
            (&mut self.keys, keys, key_dim),
            (&mut self.values, values, value_dim),
        ] {
            for (i, vector) in from.chunks_exact(dim.max(1)).enumerate() {
                let at = i % heads.max(1) * self.capacity + self.len + i / heads.max(1);
                let to = to.as_mut().get_mut(at * dim..).unwrap_or_default();
                let scale = quantize(vector, to);
                if let Some(to) = scales.as_mut().get_mut(at) {
                    *to = scale;
                }
            }
        }
        self.len += tokens;
        Ok(())
    }
}

/// Writes the integers of a vector and returns their scale.
fn quantize(x: &[f32], to: &mut [i8]) -> f32 {
    let mut max = 0.0_f32;
    let mut finite = true;
    for &x in x {
        let size = f32::from_bits(x.to_bits() & 0x7fff_ffff);
        finite &= size < f32::INFINITY;
        max = if size > max { size } else { max };
    }
    let scale = max / 127.0;
    let usable = finite && scale > 0.0;
    for (to, &x) in to.iter_mut().zip(x) {
        *to = if usable { Widen::narrow(x / scale) } else { 0 };
    }
    if finite { scale } else { f32::NAN }
}

impl<S: AsRef<[i8]>, Q: AsRef<[f32]>> KeyValues<f32> for QuantizedCache<S, Q> {
    type Element = i8;

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
    fn run(&self, head: usize, from: usize, to: usize) -> Run<'_, f32, i8> {
        let at = head * self.capacity + from;
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        Run {
            len: to.saturating_sub(from),
            keys: Rows::new(self.keys.0.as_ref(), at * key_dim, key_dim).scaled(
                self.keys.1.as_ref(),
                at,
                1,
            ),
            values: Rows::new(self.values.0.as_ref(), at * value_dim, value_dim).scaled(
                self.values.1.as_ref(),
                at,
                1,
            ),
        }
    }
}
