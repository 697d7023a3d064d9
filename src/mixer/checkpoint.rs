//! The dial between a cache and recomputation: the lower layers are kept, the upper ones computed again.

use super::state::split;
use super::{Cache, Frame, Layers, Recompute, recompute_cost};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::storage::Stored;
use crate::{Error, Parameter};

/// What [`Recompute`] keeps of the layers up to a checkpoint: their keys and values, and the hidden vectors
/// above them.
///
/// With `n` caches the first `n` layers of a model are kept and the others recomputed: none is
/// [`Recompute`] itself, all of them the ordinary cache. Each cache more takes memory for its layer and
/// lowers the degree of the cost ([`checkpoint_cost`]) by one. A token is read by
/// [`Recompute::advance`]; [`Recompute::hidden_above`] gives the hidden vector above the last layer, and
/// is left out while only a prompt is read. `examples/story` runs a language model so. Su Jianlin (2024), "Of time and space: attention as an RNN of
/// quadratic complexity".
///
/// * **Equality:** caches that keep `T` itself give the same bits wherever the checkpoint lies, within the
///   conditions of the [module](super).
/// * **Storage:** caches of one size, and [`checkpoint_len`] elements for the hidden vectors.
///
/// ```
/// use suanzi::mixer::checkpoint_cost;
///
/// // Five layers, the hundredth token: each layer that is kept saves a degree.
/// let costs = [0, 1, 3, 5].map(|kept| checkpoint_cost(5, kept, 99));
/// assert_eq!(costs, [Some(96_560_645), Some(4_598_225), Some(5_450), Some(500)]);
/// ```
#[derive(Debug)]
pub struct Checkpoint<'a, T, W, S> {
    caches: &'a mut [Cache<W, S>],
    /// One row a token, or only the newest where no layer is above.
    hidden: &'a mut [T],
    width: usize,
    len: usize,
}

/// Returns the keys that attention reads for the token at `position` with `layers` layers, of which the
/// first `kept` have a cache: kept (position + 1) + C(position + 1 + n, n) - 1 with n = layers - kept, or
/// nothing if that exceeds 128 bits.
#[must_use]
pub const fn checkpoint_cost(layers: usize, kept: usize, position: usize) -> Option<u128> {
    let kept = if kept < layers { kept } else { layers };
    let Some(above) = recompute_cost(layers - kept, position) else {
        return None;
    };
    let Some(below) = (kept as u128).checked_mul(position as u128 + 1) else {
        return None;
    };
    below.checked_add(above)
}

/// Returns the elements of the hidden vectors that a [`Checkpoint`] of `kept` among `layers` layers keeps
/// for this many tokens: none without a cache, only the newest without a layer above.
#[must_use]
pub const fn checkpoint_len(layers: usize, kept: usize, width: usize, tokens: usize) -> usize {
    if kept == 0 {
        0
    } else if kept >= layers {
        width
    } else {
        width * tokens
    }
}

impl<'a, T, W, S> Checkpoint<'a, T, W, S> {
    /// Returns the checkpoint above as many layers as there are caches, without a token: what the caches
    /// hold is forgotten. `hidden` has [`checkpoint_len`] elements.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `width` is zero, [`Error::Multiple`] if `hidden` is not whole vectors.
    pub fn new(
        width: usize,
        caches: &'a mut [Cache<W, S>],
        hidden: &'a mut [T],
    ) -> Result<Self, Error> {
        if width == 0 {
            return Err(Error::Domain(Parameter::Shape));
        }
        if !hidden.len().is_multiple_of(width) {
            return Err(Error::Multiple {
                of: width,
                found: hidden.len(),
            });
        }
        let mut checkpoint = Self {
            caches,
            hidden,
            width,
            len: 0,
        };
        checkpoint.clear();
        Ok(checkpoint)
    }

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

    /// Forgets every token.
    pub fn clear(&mut self) {
        for cache in &mut *self.caches {
            cache.truncate(0);
        }
        self.len = 0;
    }

    /// Returns where the hidden vector of a token lies, below so many layers that are recomputed.
    const fn row(&self, above: usize, position: usize) -> usize {
        if above == 0 { 0 } else { position }
    }
}

impl<T: Scalar, E> Recompute<T, E> {
    /// Returns the scratch of [`Recompute::advance`] for at most `tokens` tokens.
    #[must_use]
    pub const fn advance_len(&self, tokens: usize) -> usize {
        let a = &self.attention;
        let key_value = a.kv_heads * (a.key_dim + a.value_dim);
        a.query_len() + key_value + a.out_len() + a.scratch_len(tokens)
    }
}

impl<T: Scalar> Recompute<T> {
    /// Reads the token at position [`Checkpoint::len`] into the layers that are kept.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the model has another width or fewer layers than the checkpoint, a cache other
    /// heads or dimensions, or `scratch` less than [`Recompute::advance_len`]; [`Error::Capacity`] if a
    /// cache or the hidden vectors are full. Nothing is read then.
    pub fn advance<M, W, S>(
        &self,
        model: &mut M,
        checkpoint: &mut Checkpoint<'_, T, W, S>,
        scratch: &mut [T],
    ) -> Result<(), Error>
    where
        M: Layers<T>,
        W: Stored<T>,
        S: AsRef<[W]> + AsMut<[W]>,
    {
        let a = self.attention;
        let above = self.above(model, checkpoint)?;
        let position = checkpoint.len;
        let Some(tokens) = position.checked_add(1) else {
            return Err(Error::Capacity { limit: usize::MAX });
        };
        for cache in &*checkpoint.caches {
            check_len(a.kv_heads, cache.shape.heads)?;
            check_len(a.key_dim, cache.shape.key_dim)?;
            check_len(a.value_dim, cache.shape.value_dim)?;
            if cache.capacity() < tokens {
                return Err(Error::Capacity {
                    limit: cache.capacity(),
                });
            }
        }
        if checkpoint.caches.is_empty() {
            checkpoint.len = tokens;
            return Ok(());
        }
        let (expected, found) = (self.advance_len(tokens), scratch.len());
        let Some(scratch) = scratch.get_mut(..expected) else {
            return Err(Error::Length { expected, found });
        };
        let width = checkpoint.width;
        let rows = checkpoint.hidden.len() / width.max(1);
        let row = checkpoint.row(above, position);
        if row >= rows {
            return Err(Error::Capacity { limit: rows });
        }
        let hidden = checkpoint.hidden.get_mut(row * width..);
        let hidden = hidden.unwrap_or_default().get_mut(..width);
        let hidden = hidden.unwrap_or_default();
        let (query, rest) = split(scratch, a.query_len());
        let (key, rest) = split(rest, a.kv_heads * a.key_dim);
        let (value, rest) = split(rest, a.kv_heads * a.value_dim);
        let (attended, rest) = split(rest, a.out_len());
        model.embed(position, hidden);
        for (layer, cache) in checkpoint.caches.iter_mut().enumerate() {
            model.query(layer, position, hidden, query);
            model.key_value(layer, position, hidden, key, value);
            cache.append(key, value)?;
            a.attend(query, cache, tokens, rest, attended)?;
            model.finish(layer, position, attended, hidden);
        }
        checkpoint.len = tokens;
        Ok(())
    }

    /// Writes the hidden vector above the last layer of the newest token, the layers above the checkpoint
    /// computed from the hidden vectors that it keeps, or from the tokens if it keeps no layer.
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`] if there is no token or the hidden vectors are fewer, [`Error::Length`] if the
    /// model has another width or fewer layers than the checkpoint, `frames` is less than one a layer
    /// above it, or `scratch` less than [`Recompute::scratch_len`] for those layers and
    /// [`Checkpoint::len`] tokens.
    pub fn hidden_above<M: Layers<T>, W, S>(
        &self,
        model: &mut M,
        checkpoint: &Checkpoint<'_, T, W, S>,
        frames: &mut [Frame],
        scratch: &mut [T],
        hidden: &mut [T],
    ) -> Result<(), Error> {
        let above = self.above(model, checkpoint)?;
        let Some(newest) = checkpoint.len.checked_sub(1) else {
            return Err(Error::Capacity { limit: 0 });
        };
        let kept = checkpoint.caches.len();
        let rows = checkpoint.hidden.len() / checkpoint.width.max(1);
        if kept > 0 && checkpoint.row(above, newest) >= rows {
            return Err(Error::Capacity { limit: rows });
        }
        let mut model = Above {
            model,
            kept,
            above,
            checkpoint,
        };
        self.hidden(&mut model, newest, frames, scratch, hidden)
    }

    /// Returns the layers above a checkpoint of this model.
    fn above<M: Layers<T>, W, S>(
        &self,
        model: &M,
        checkpoint: &Checkpoint<'_, T, W, S>,
    ) -> Result<usize, Error> {
        check_len(model.width(), checkpoint.width)?;
        let (expected, found) = (model.layers(), checkpoint.caches.len());
        expected
            .checked_sub(found)
            .ok_or(Error::Length { expected, found })
    }
}

/// The layers of a model above a checkpoint.
struct Above<'a, 'c, M, T, W, S> {
    model: &'a mut M,
    kept: usize,
    above: usize,
    checkpoint: &'a Checkpoint<'c, T, W, S>,
}

impl<M: Layers<T>, T: Scalar, W, S> Layers<T> for Above<'_, '_, M, T, W, S> {
    fn layers(&self) -> usize {
        self.above
    }

    fn width(&self) -> usize {
        self.model.width()
    }

    fn embed(&mut self, position: usize, hidden: &mut [T]) {
        if self.kept == 0 {
            return self.model.embed(position, hidden);
        }
        let at = self.checkpoint.row(self.above, position) * self.checkpoint.width;
        let kept = self.checkpoint.hidden.get(at..).unwrap_or_default();
        for (to, &from) in hidden.iter_mut().zip(kept) {
            *to = from;
        }
    }

    fn query(&mut self, layer: usize, position: usize, hidden: &[T], query: &mut [T]) {
        self.model.query(self.kept + layer, position, hidden, query);
    }

    fn key_value(
        &mut self,
        layer: usize,
        position: usize,
        hidden: &[T],
        key: &mut [T],
        value: &mut [T],
    ) {
        let layer = self.kept + layer;
        self.model.key_value(layer, position, hidden, key, value);
    }

    fn finish(&mut self, layer: usize, position: usize, attended: &[T], hidden: &mut [T]) {
        let layer = self.kept + layer;
        self.model.finish(layer, position, attended, hidden);
    }
}
