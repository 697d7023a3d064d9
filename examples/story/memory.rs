//! Where keys and values are kept: one cache a layer, all read by the same attention.

use suanzi::mixer::{Attention, Cache, KeyValues, QuantizedCache, Ring, Visible};
use suanzi::storage::Stored;
use suanzi::{Cpu, Error};

use crate::llama::{Dims, Memory};

/// A cache that grows by one token.
pub(crate) trait Append: KeyValues<f32> {
    /// Takes the keys and values of the next token.
    fn append(&mut self, key: &[f32], value: &[f32]) -> Result<(), Error>;

    /// Returns what the newest token sees.
    fn visible(&self) -> Visible {
        Visible::from(self.len())
    }
}

impl<W: Stored<f32>, S: AsRef<[W]> + AsMut<[W]>> Append for Cache<W, S> {
    fn append(&mut self, key: &[f32], value: &[f32]) -> Result<(), Error> {
        Self::append(self, key, value)
    }
}

impl<S, Q> Append for QuantizedCache<S, Q>
where
    S: AsRef<[i8]> + AsMut<[i8]>,
    Q: AsRef<[f32]> + AsMut<[f32]>,
{
    fn append(&mut self, key: &[f32], value: &[f32]) -> Result<(), Error> {
        Self::append(self, key, value)
    }
}

impl<W: Stored<f32>, S: AsRef<[W]> + AsMut<[W]>> Append for Ring<W, S> {
    fn append(&mut self, key: &[f32], value: &[f32]) -> Result<(), Error> {
        Self::append(self, key, value)
    }

    fn visible(&self) -> Visible {
        Self::visible(self)
    }
}

/// One cache a layer.
#[derive(Debug)]
pub(crate) struct Layers<'s, C> {
    caches: &'s mut [C],
    attention: Attention<f32>,
    scratch: &'s mut [f32],
}

/// Returns the elements of `scratch` for a model at its full length.
pub(crate) fn scratch_len(dims: Dims) -> Result<usize, Error> {
    Ok(
        Attention::<f32>::new(dims.heads, dims.kv_heads, dims.head_dim())?
            .scratch_len(dims.seq_len),
    )
}

impl<'s, C: Append> Layers<'s, C> {
    /// Returns the memory of as many layers as there are caches.
    pub(crate) fn new(
        dims: Dims,
        caches: &'s mut [C],
        scratch: &'s mut [f32],
        cpu: Cpu,
    ) -> Result<Self, Error> {
        let attention = Attention::new(dims.heads, dims.kv_heads, dims.head_dim())?.on(cpu);
        Ok(Self {
            caches,
            attention,
            scratch,
        })
    }
}

impl<C: Append> Memory for Layers<'_, C> {
    fn attend(
        &mut self,
        layer: usize,
        _: usize,
        query: &[f32],
        key: &[f32],
        value: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let limit = self.caches.len();
        let cache = self
            .caches
            .get_mut(layer)
            .ok_or(Error::Capacity { limit })?;
        cache.append(key, value)?;
        let visible = cache.visible();
        self.attention
            .attend(query, cache, visible, self.scratch, out)
    }
}
