//! A model's greedy telling, and the buffers that it needs, lent from the heap.
#![allow(dead_code, reason = "each proof uses a part of this file")]

use std::path::Path;

use suanzi::Cpu;
use suanzi::mixer::{Cache, cache_len};
use suanzi::probability::argmax;
use suanzi::storage::Stored;

use crate::checkpoint::{Checkpoint, Tensors};
use crate::llama::{Dims, Llama, State, Weights};
use crate::memory::{self, Append, Layers};
use crate::teller::Past;

/// The positions whose logits are hashed.
pub(crate) const HASHED: usize = 256;

/// A file at an address that floats may have.
pub(crate) struct File {
    words: Vec<u64>,
    len: usize,
}

impl File {
    pub(crate) fn read(path: &Path) -> Self {
        Self::new(
            &std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    }

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self {
            words,
            len: bytes.len(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    /// The `f32` weights of a llama2.c file.
    pub(crate) fn floats(&self) -> Tensors<'_, f32> {
        match Checkpoint::parse(self.bytes()) {
            Ok(Checkpoint::Float(weights)) => weights,
            other => panic!("not a file of f32 weights: {:?}", other.err()),
        }
    }

    /// The int8 weights of a suanzi1 file.
    pub(crate) fn integers(&self) -> Tensors<'_, i8> {
        match Checkpoint::parse(self.bytes()) {
            Ok(Checkpoint::Int8(weights)) => weights,
            other => panic!("not a file of int8 weights: {:?}", other.err()),
        }
    }
}

/// Lends the buffers of one cache a layer.
pub(crate) fn with_layers<C: Append, R>(
    dims: Dims,
    cpu: Cpu,
    cache: impl Fn() -> C,
    run: impl FnOnce(&mut Past<'_>) -> R,
) -> R {
    let mut caches: Vec<C> = (0..dims.layers).map(|_| cache()).collect();
    let mut scratch = vec![0.0; memory::scratch_len(dims).unwrap()];
    let mut layers = Layers::new(dims, &mut caches, &mut scratch, cpu).unwrap();
    run(&mut Past::Kept(&mut layers))
}

/// Keeps every key and value.
pub(crate) fn with_cache<W: Stored<f32>, R>(
    dims: Dims,
    cpu: Cpu,
    run: impl FnOnce(&mut Past<'_>) -> R,
) -> R {
    let (heads, dim) = (dims.kv_heads, dims.head_dim());
    let part = || vec![W::default(); cache_len(heads, dim, dims.seq_len)];
    let cache = || Cache::<W, _>::new(heads, dim, dim, part(), part()).unwrap();
    with_layers(dims, cpu, cache, run)
}

/// Reads `prompt`, then takes the likeliest token until there are `len`; shows the position and the
/// logits that follow it.
pub(crate) fn greedy<P: Weights>(
    model: &Llama<'_, P>,
    past: &mut Past<'_>,
    prompt: &[u32],
    len: usize,
    mut see: impl FnMut(usize, &[f32]),
) -> Vec<u32> {
    let mut storage = vec![0.0; model.dims().state_len()];
    let mut state = State::new(model.dims(), &mut storage).unwrap();
    let mut tokens = prompt[..1].to_vec();
    while tokens.len() < len {
        let position = tokens.len() - 1;
        match past {
            Past::Kept(memory) => {
                let token = tokens[position] as usize;
                model.step(token, position, *memory, &mut state).unwrap();
            }
            Past::Again(below, frames, scratch) => model
                .step_again(&tokens, below, frames, scratch, &mut state)
                .unwrap(),
        }
        see(position, state.logits);
        let told = prompt.get(position + 1).copied();
        tokens.push(told.unwrap_or_else(|| argmax(Cpu::default(), state.logits).unwrap() as u32));
    }
    tokens
}
