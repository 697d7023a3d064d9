//! A memory of one short row a token, from which every head's key and value follow.

use core::marker::PhantomData;

use crate::error::check_len;
use crate::mixer::{KeyValues, Rows, Run};
use crate::scalar::Scalar;
use crate::storage::Stored;
use crate::{Error, Parameter};

/// The latent vectors and the rotated keys of a sequence, in lent storage: what [`Latent`](super::Latent)
/// keeps.
///
/// A row `[latent_dim][rope_dim]` a token serves all heads. To [`Attention`](crate::mixer::Attention) it is one
/// key/value head whose key is the whole row and whose value is the row's beginning, so that nothing is
/// stored twice. `W` is the number type that is kept, as in a [`Cache`](crate::mixer::Cache); a `rope_dim` of
/// zero leaves the positions out. DeepSeek-AI (2024), arXiv 2405.04434.
///
/// ```
/// use suanzi::mixer::{KeyValues, LatentCache, latent_cache_len};
///
/// let mut cache = LatentCache::<f32, _>::new(4, 2, [0.0; latent_cache_len(4, 2, 3)])?;
/// cache.append(&[1.0_f32; 4], &[0.5; 2])?;
/// assert_eq!((cache.len(), cache.capacity()), (1, 3));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LatentCache<W, S> {
    storage: S,
    latent_dim: usize,
    rope_dim: usize,
    capacity: usize,
    len: usize,
    element: PhantomData<W>,
}

/// Returns the elements that the storage of a [`LatentCache`] needs.
#[must_use]
pub const fn latent_cache_len(latent_dim: usize, rope_dim: usize, tokens: usize) -> usize {
    (latent_dim + rope_dim) * tokens
}

impl<W, S: AsRef<[W]>> LatentCache<W, S> {
    /// Returns an empty cache for as many tokens as the storage holds.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `latent_dim` is zero or a row has more than `usize::MAX` elements,
    /// [`Error::Multiple`] if the storage does not hold whole rows.
    pub fn new(latent_dim: usize, rope_dim: usize, storage: S) -> Result<Self, Error> {
        let row = match latent_dim.checked_add(rope_dim) {
            Some(row) if latent_dim > 0 => row,
            _ => return Err(Error::Domain(Parameter::HeadDim)),
        };
        let found = storage.as_ref().len();
        let (Some(capacity), Some(0)) = (found.checked_div(row), found.checked_rem(row)) else {
            return Err(Error::Multiple { of: row, found });
        };
        Ok(Self {
            storage,
            latent_dim,
            rope_dim,
            capacity,
            len: 0,
            element: PhantomData,
        })
    }

    /// Returns a cache whose storage holds rows already, all of them.
    ///
    /// # Errors
    ///
    /// As [`LatentCache::new`].
    pub fn filled(latent_dim: usize, rope_dim: usize, storage: S) -> Result<Self, Error> {
        let cache = Self::new(latent_dim, rope_dim, storage)?;
        Ok(Self {
            len: cache.capacity,
            ..cache
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

    /// Writes the latent vector and the rotated key of the token at a position, widened.
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`] if there is no such token, [`Error::Length`] if `latent` or `rope_key` has
    /// another length.
    pub fn token_into<T: Scalar>(
        &self,
        position: usize,
        latent: &mut [T],
        rope_key: &mut [T],
    ) -> Result<(), Error>
    where
        W: Stored<T>,
    {
        check_len(self.latent_dim, latent.len())?;
        check_len(self.rope_dim, rope_key.len())?;
        if position >= self.len {
            return Err(Error::Capacity { limit: self.len });
        }
        let row = self
            .storage
            .as_ref()
            .get(position * (self.latent_dim + self.rope_dim)..)
            .unwrap_or_default();
        for (to, &from) in latent.iter_mut().chain(rope_key).zip(row) {
            *to = from.widen();
        }
        Ok(())
    }
}

impl<W, S: AsRef<[W]> + AsMut<[W]>> LatentCache<W, S> {
    /// Appends the latent vectors `[token][latent_dim]` and the keys `[token][rope_dim]` of one token or
    /// more. A latent vector is kept as it comes, so it is normalized before if the model does that;
    /// a key is rotated to its position before.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `latents` are not whole tokens, [`Error::Length`] if `rope_keys` are not
    /// as many, [`Error::Capacity`] if they do not all fit; nothing is written then.
    pub fn append<T: Scalar>(&mut self, latents: &[T], rope_keys: &[T]) -> Result<(), Error>
    where
        W: Stored<T>,
    {
        let (of, found) = (self.latent_dim, latents.len());
        let (Some(tokens), Some(0)) = (found.checked_div(of), found.checked_rem(of)) else {
            return Err(Error::Multiple { of, found });
        };
        check_len(tokens.saturating_mul(self.rope_dim), rope_keys.len())?;
        if tokens > self.capacity - self.len {
            return Err(Error::Capacity {
                limit: self.capacity,
            });
        }
        let row = self.latent_dim + self.rope_dim;
        let rows = self.storage.as_mut().get_mut(self.len * row..);
        let rows = rows.unwrap_or_default().chunks_exact_mut(row.max(1));
        let mut keys = rope_keys.chunks_exact(self.rope_dim.max(1));
        let mut latents = latents.chunks_exact(self.latent_dim.max(1));
        for row in rows.take(tokens) {
            let latent = latents.next().unwrap_or_default();
            let key = keys.next().unwrap_or_default();
            for (to, &from) in row.iter_mut().zip(latent.iter().chain(key)) {
                *to = W::narrow(from);
            }
        }
        self.len += tokens;
        Ok(())
    }
}

impl<T: Scalar, W: Stored<T>, S: AsRef<[W]>> KeyValues<T> for LatentCache<W, S> {
    type Element = W;

    fn len(&self) -> usize {
        self.len
    }

    fn heads(&self) -> usize {
        1
    }

    fn key_dim(&self) -> usize {
        self.latent_dim + self.rope_dim
    }

    fn value_dim(&self) -> usize {
        self.latent_dim
    }

    #[inline(always)]
    fn run(&self, _: usize, from: usize, to: usize) -> Run<'_, T, W> {
        let row = self.latent_dim + self.rope_dim;
        let rows = Rows::new(self.storage.as_ref(), from * row, row);
        Run {
            len: to.saturating_sub(from),
            keys: rows,
            values: rows,
        }
    }
}
