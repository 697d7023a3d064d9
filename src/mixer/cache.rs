//! Keys and values of a sequence, and where they lie.

use core::marker::PhantomData;

use crate::error::check_len;
use crate::scalar::Scalar;
use crate::storage::Stored;
use crate::{Error, Parameter};

/// A memory of keys and values that attention reads.
///
/// Positions count the tokens of the sequence from zero. A memory need not keep all of them:
/// [`KeyValues::kept`] says which it does. Implementors return the same numbers for a position as
/// long as they keep it.
pub trait KeyValues<T: Scalar> {
    /// The number type of the stored keys and values.
    type Element: Stored<T>;

    /// Returns the number of tokens that the sequence has so far.
    fn len(&self) -> usize;

    /// Returns whether the sequence has no token yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of key/value heads.
    fn heads(&self) -> usize;

    /// Returns the elements of a key.
    fn key_dim(&self) -> usize;

    /// Returns the elements of a value.
    fn value_dim(&self) -> usize;

    /// Returns `(sinks, start)`: positions below `sinks` and from `start` on are kept. Everything is
    /// kept where both are zero.
    fn kept(&self) -> (usize, usize) {
        (0, 0)
    }

    /// Returns the newest of the positions `from..to` of one head, as many as lie at equal distances
    /// in memory; at least one if the range is not empty and kept.
    fn run(&self, head: usize, from: usize, to: usize) -> Run<'_, T, Self::Element>;
}

/// Keys and values of consecutive positions.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a, T, W> {
    /// The number of positions.
    pub len: usize,
    /// The keys, oldest first.
    pub keys: Rows<'a, T, W>,
    /// The values, oldest first.
    pub values: Rows<'a, T, W>,
}

/// Vectors at equal distances in memory.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T, W> {
    /// The first vector starts here.
    pub data: &'a [W],
    /// The distance from one vector's start to the next: at least their length.
    pub stride: usize,
    /// What each vector is multiplied by, at equal distances too; empty stands for ones.
    pub scales: &'a [T],
    /// The distance from one scale to the next.
    pub scale_stride: usize,
}

impl<'a, T, W> Rows<'a, T, W> {
    /// Returns the vectors without scales that start at element `at` of `data`.
    #[inline(always)]
    #[must_use]
    pub fn new(data: &'a [W], at: usize, stride: usize) -> Self {
        Self {
            data: data.get(at..).unwrap_or_default(),
            stride,
            scales: &[],
            scale_stride: 0,
        }
    }

    /// Returns these vectors with the scales that start at element `at` of `scales`.
    #[inline(always)]
    #[must_use]
    pub fn scaled(self, scales: &'a [T], at: usize, stride: usize) -> Self {
        Self {
            scales: scales.get(at..).unwrap_or_default(),
            scale_stride: stride,
            ..self
        }
    }
}

impl<T, W> Rows<'_, T, W> {
    /// Returns the vectors from number `n` on.
    #[inline(always)]
    pub(super) fn skip(self, n: usize) -> Self {
        Self {
            data: self.data.get(n * self.stride..).unwrap_or_default(),
            scales: self.scales.get(n * self.scale_stride..).unwrap_or_default(),
            ..self
        }
    }
}

/// Which index of a cache runs slowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layout {
    /// `[head][token][dim]`: the keys of one head lie together, so that a step reads memory from
    /// start to end.
    #[default]
    HeadMajor,
    /// `[token][head][dim]`: the heads of one token lie together, as projections write them.
    TokenMajor,
}

impl Layout {
    /// Returns how many vectors lie between one head and the next, one token and the next.
    #[inline(always)]
    pub(super) const fn strides(self, heads: usize, capacity: usize) -> (usize, usize) {
        match self {
            Self::HeadMajor => (capacity, 1),
            Self::TokenMajor => (1, heads),
        }
    }
}

/// Every key and value of a sequence, in lent storage.
///
/// `W` is the number type that is kept: the compute type, or [`F16`](crate::storage::F16) or
/// [`Bf16`](crate::storage::Bf16) for half of the memory, rounded once when appended. `S` is the
/// storage, one for keys and one for values: arrays, vectors, mutable slices, or shared slices for a
/// cache that is only read. The order of elements is a [`Layout`].
///
/// ```
/// use suanzi::mixer::{Cache, KeyValues};
///
/// // Two heads with keys and values of four elements, three tokens.
/// let mut cache = Cache::<f32, _>::new(2, 4, 4, [0.0; 24], [0.0; 24])?;
/// cache.append(&[1.0_f32; 8], &[2.0; 8])?;
/// assert_eq!((cache.len(), cache.capacity()), (1, 3));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cache<W, S> {
    pub(crate) keys: S,
    pub(crate) values: S,
    pub(crate) shape: Shape,
    capacity: usize,
    pub(crate) len: usize,
    layout: Layout,
    element: PhantomData<W>,
}

/// The sizes of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) heads: usize,
    pub(crate) key_dim: usize,
    pub(crate) value_dim: usize,
}

impl Shape {
    /// Checks the sizes and that the storage holds whole tokens, as many keys as values; returns how
    /// many.
    pub(super) fn capacity(self, keys: usize, values: usize) -> Result<usize, Error> {
        if self.heads == 0 {
            return Err(Error::Domain(Parameter::Heads));
        }
        if self.key_dim == 0 || self.value_dim == 0 {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        let sizes = (
            self.heads.checked_mul(self.key_dim),
            self.heads.checked_mul(self.value_dim),
        );
        let (Some(key), Some(value)) = sizes else {
            return Err(Error::Domain(Parameter::HeadDim));
        };
        let (Some(tokens), Some(0)) = (keys.checked_div(key), keys.checked_rem(key)) else {
            return Err(Error::Multiple {
                of: key,
                found: keys,
            });
        };
        let expected = tokens.checked_mul(value);
        check_len(expected.ok_or(Error::Domain(Parameter::HeadDim))?, values)?;
        Ok(tokens)
    }
}

/// Returns the elements that storage of keys (or of values) needs.
#[must_use]
pub const fn cache_len(heads: usize, dim: usize, tokens: usize) -> usize {
    heads * dim * tokens
}

impl<W, S> Cache<W, S> {
    /// Returns an empty cache whose arrays have these lengths.
    pub(crate) fn empty(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        keys: S,
        values: S,
        (key_len, value_len): (usize, usize),
    ) -> Result<Self, Error> {
        let shape = Shape {
            heads,
            key_dim,
            value_dim,
        };
        Ok(Self {
            keys,
            values,
            shape,
            capacity: shape.capacity(key_len, value_len)?,
            len: 0,
            layout: Layout::HeadMajor,
            element: PhantomData,
        })
    }

    /// Returns this cache with its storage read in another order.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
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

    /// Returns how many tokens so many keys and values are, if they still fit.
    pub(crate) fn tokens(&self, keys: usize, values: usize) -> Result<usize, Error> {
        let tokens = self.shape.capacity(keys, values)?;
        if tokens > self.capacity - self.len {
            return Err(Error::Capacity {
                limit: self.capacity,
            });
        }
        Ok(tokens)
    }

    /// Returns how many vectors lie between one head and the next, one token and the next.
    #[inline(always)]
    pub(crate) fn strides(&self) -> (usize, usize) {
        self.layout.strides(self.shape.heads, self.capacity)
    }
}

impl<W, S: AsRef<[W]>> Cache<W, S> {
    /// Returns an empty cache for as many tokens as the storage holds.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero, [`Error::Multiple`] if `keys` does not hold whole tokens,
    /// [`Error::Length`] if `values` does not hold as many.
    pub fn new(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        keys: S,
        values: S,
    ) -> Result<Self, Error> {
        let lens = (keys.as_ref().len(), values.as_ref().len());
        Self::empty(heads, key_dim, value_dim, keys, values, lens)
    }

    /// Returns a cache whose storage holds keys and values already, all of them.
    ///
    /// # Errors
    ///
    /// As [`Cache::new`].
    pub fn filled(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        keys: S,
        values: S,
    ) -> Result<Self, Error> {
        let mut cache = Self::new(heads, key_dim, value_dim, keys, values)?;
        cache.len = cache.capacity;
        Ok(cache)
    }
}

impl<W, S: AsRef<[W]> + AsMut<[W]>> Cache<W, S> {
    /// Appends the keys `[token][head][key_dim]` and values `[token][head][value_dim]` of one token
    /// or more.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `keys` are not whole tokens, [`Error::Length`] if `values` are not as
    /// many, [`Error::Capacity`] if they do not all fit; nothing is written then.
    pub fn append<T: Scalar>(&mut self, keys: &[T], values: &[T]) -> Result<(), Error>
    where
        W: Stored<T>,
    {
        let tokens = self.tokens(keys.len(), values.len())?;
        let Shape {
            heads,
            key_dim,
            value_dim,
        } = self.shape;
        let heads = heads.max(1);
        let (of_head, of_token) = self.strides();
        for (to, from, dim) in [
            (self.keys.as_mut(), keys, key_dim),
            (self.values.as_mut(), values, value_dim),
        ] {
            for (i, vector) in from.chunks_exact(dim.max(1)).enumerate() {
                let at = i % heads * of_head + (self.len + i / heads) * of_token;
                let to = to.get_mut(at * dim..).unwrap_or_default();
                for (to, &x) in to.iter_mut().zip(vector) {
                    *to = W::narrow(x);
                }
            }
        }
        self.len += tokens;
        Ok(())
    }
}

impl<T: Scalar, W: Stored<T>, S: AsRef<[W]>> KeyValues<T> for Cache<W, S> {
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
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        let (of_head, of_token) = self.strides();
        let at = head * of_head + from * of_token;
        Run {
            len: to.saturating_sub(from),
            keys: Rows::new(self.keys.as_ref(), at * key_dim, of_token * key_dim),
            values: Rows::new(self.values.as_ref(), at * value_dim, of_token * value_dim),
        }
    }
}
