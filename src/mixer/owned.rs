//! Memories that own their storage: a capacity that is a constant, sizes that a model file tells.

use heapless::Vec;

use super::cache::{Cache, Shape};
use super::latent::LatentCache;
use super::ring::Ring;
use crate::{Error, Parameter};

/// A [`Cache`] with room for at most `N` elements of keys, and for as many of values.
///
/// The storage is laid out as that of every cache, `[head][token][dim]`, and holds zeros at the start. A
/// cache is a value of its full size: one that is large is built where it stays, in a static.
///
/// Arrays serve where every size is a constant. Here the sizes come at run time, from the header of
/// a model, while the memory is reserved at compile time:
///
/// ```
/// use suanzi::mixer::{Attention, OwnedCache};
///
/// let (heads, dim, tokens) = (2, 4, 16);
/// let mut cache = OwnedCache::<f32, 256>::with_tokens(heads, dim, dim, tokens)?;
/// cache.append(&[1.0_f32; 8], &[2.0; 8])?;
/// assert_eq!(cache.capacity(), 16);
/// assert!(OwnedCache::<f32, 256>::with_tokens(heads, dim, dim, 33).is_err());
/// # Ok::<(), suanzi::Error>(())
/// ```
pub type OwnedCache<W, const N: usize> = Cache<W, Vec<W, N>>;

/// A [`Ring`] with room for at most `N` elements of keys, and for as many of values; see [`OwnedCache`].
///
/// ```
/// use suanzi::mixer::{KeyValues, OwnedRing};
///
/// // One head, one sink and a window of three.
/// let mut ring = OwnedRing::<f32, 64>::with_window(1, 2, 2, 1, 3)?;
/// for token in 0..10 {
///     ring.append(&[token as f32; 2], &[0.0; 2])?;
/// }
/// assert_eq!((ring.len(), ring.window()), (10, 3));
/// # Ok::<(), suanzi::Error>(())
/// ```
pub type OwnedRing<W, const N: usize> = Ring<W, Vec<W, N>>;

/// A [`LatentCache`] with room for at most `N` elements; see [`OwnedCache`].
///
/// ```
/// use suanzi::mixer::OwnedLatentCache;
///
/// let mut cache = OwnedLatentCache::<f32, 64>::with_tokens(4, 2, 10)?;
/// cache.append(&[1.0_f32; 4], &[0.5; 2])?;
/// assert_eq!(cache.capacity(), 10);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub type OwnedLatentCache<W, const N: usize> = LatentCache<W, Vec<W, N>>;

/// The tokens of a sequence, at most `N`: all that [`Recompute`](super::Recompute) keeps of the past.
pub type Tokens<const N: usize> = Vec<u32, N>;

impl<W: Copy + Default, const N: usize> OwnedCache<W, N> {
    /// Returns an empty cache for this many tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero, [`Error::Capacity`] if keys or values would take more than
    /// `N` elements.
    pub fn with_tokens(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        tokens: usize,
    ) -> Result<Self, Error> {
        let (keys, values) = storage(heads, key_dim, value_dim, tokens)?;
        Self::new(heads, key_dim, value_dim, keys, values)
    }
}

impl<W: Copy + Default, const N: usize> OwnedRing<W, N> {
    /// Returns an empty ring of this many newest tokens behind the sinks.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size or the window is zero, [`Error::Capacity`] if keys or values would
    /// take more than `N` elements.
    pub fn with_window(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        sinks: usize,
        window: usize,
    ) -> Result<Self, Error> {
        if window == 0 {
            return Err(Error::Domain(Parameter::Window));
        }
        let tokens = sinks.saturating_add(window);
        let (keys, values) = storage(heads, key_dim, value_dim, tokens)?;
        Self::new(heads, key_dim, value_dim, sinks, keys, values)
    }
}

impl<W: Copy + Default, const N: usize> OwnedLatentCache<W, N> {
    /// Returns an empty cache for this many tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `latent_dim` is zero or a row too long, [`Error::Capacity`] if the rows would
    /// take more than `N` elements.
    pub fn with_tokens(latent_dim: usize, rope_dim: usize, tokens: usize) -> Result<Self, Error> {
        // The sizes are checked before they are multiplied.
        Self::new(latent_dim, rope_dim, Vec::new())?;
        let len = (latent_dim + rope_dim).checked_mul(tokens);
        let len = len.ok_or(Error::Capacity { limit: N })?;
        let mut rows = Vec::new();
        rows.resize_default(len)
            .map_err(|_| Error::Capacity { limit: N })?;
        Self::new(latent_dim, rope_dim, rows)
    }
}

/// Returns zeros for the keys and the values of this many tokens.
fn storage<W: Copy + Default, const N: usize>(
    heads: usize,
    key_dim: usize,
    value_dim: usize,
    tokens: usize,
) -> Result<(Vec<W, N>, Vec<W, N>), Error> {
    let shape = Shape {
        heads,
        key_dim,
        value_dim,
    };
    // The sizes are checked before they are multiplied.
    shape.capacity(0, 0)?;
    let part = |dim: usize| {
        let len = (heads * dim).checked_mul(tokens);
        let len = len.ok_or(Error::Capacity { limit: N })?;
        let mut part = Vec::new();
        part.resize_default(len)
            .map_err(|_| Error::Capacity { limit: N })?;
        Ok(part)
    };
    Ok((part(key_dim)?, part(value_dim)?))
}
