//! Where keys and values are kept: one cache a layer, all read by the same attention.

use suanzi::mixer::{Attention, Cache, KeyValues, Visible};
use suanzi::storage::Stored;
use suanzi::{Cpu, Error};

use crate::llama::{Dims, Memory};

/// A cache that grows by one token.
pub trait Append: KeyValues<f32> {
    /// Takes the keys and values of the next token.
    fn append(&mut self, key: &[f32], value: &[f32]) -> Result<(), Error>;
}

impl<W: Stored<f32>, S: AsRef<[W]> + AsMut<[W]>> Append for Cache<W, S> {
    fn append(&mut self, key: &[f32], value: &[f32]) -> Result<(), Error> {
        Cache::append(self, key, value)
    }
}

/// One cache a layer.
#[derive(Debug)]
pub struct Layers<'s, C> {
    caches: &'s mut [C],
    attention: Attention<f32>,
    scratch: &'s mut [f32],
    window: usize,
    sinks: usize,
}

/// Returns the elements of `scratch` for a model at its full length.
pub fn scratch_len(dims: Dims) -> Result<usize, Error> {
    Ok(
        Attention::<f32>::new(dims.heads, dims.kv_heads, dims.head_dim())?
            .scratch_len(dims.seq_len),
    )
}

impl<'s, C: Append> Layers<'s, C> {
    /// Returns the memory of as many layers as there are caches.
    pub fn new(
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
            window: usize::MAX,
            sinks: 0,
        })
    }

    /// Lets every token see only the newest `window` positions and the oldest `sinks`.
    #[must_use]
    pub fn windowed(self, window: usize, sinks: usize) -> Self {
        Self {
            window,
            sinks,
            ..self
        }
    }
}

impl<C: Append> Memory for Layers<'_, C> {
    fn attend(
        &mut self,
        layer: usize,
        position: usize,
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
        let visible = Visible::from(position + 1)
            .window(self.window)
            .sinks(self.sinks);
        self.attention
            .attend(query, cache, visible, self.scratch, out)
    }
}
