//! Decode attention on a device; the kernels are `gpu/attention.cu`.

use super::device::{Extent, MOST_Y, arguments};
use super::{DeviceSlice, Element, Gpu};
use crate::error::check_len;
use crate::mixer::{Attention, BLOCK, Cache};
use crate::storage::{Bf16, Stored};
use crate::{Error, Parameter};

/// Blocks of one split, a warp each: `WARPS` of the kernels.
const BLOCKS: usize = 8;
/// Positions of one split.
const SPLIT: usize = BLOCKS * BLOCK;
/// Virtual lanes that the elements of a query are padded to.
const LANES: usize = 16;
/// The dimension that has kernels of its own.
const FIXED: usize = 128;
/// The greatest head dimension.
const MOST_DIM: usize = 1024;
/// The most splits, so that their numbers fit in shared memory: a million positions.
const MOST_SPLITS: usize = 2048;

/// A number type that a cache in device memory is kept in: `f32` or [`Bf16`].
pub trait Kept: Element + Stored<f32> + sealed::Kernel {}

impl Kept for f32 {}
impl Kept for Bf16 {}

mod sealed {
    /// Which kernels read a number type.
    pub trait Kernel {
        /// Whether it takes two bytes, else four.
        const IS_HALF: bool;
    }
}

impl sealed::Kernel for f32 {
    const IS_HALF: bool = false;
}

impl sealed::Kernel for Bf16 {
    const IS_HALF: bool = true;
}

/// The sizes of a cache, as the kernels take them.
#[repr(C)]
struct Shape {
    len: u32,
    group: u32,
    key_dim: u32,
    value_dim: u32,
    key_head: u64,
    key_token: u64,
    value_head: u64,
    value_token: u64,
    scale: f32,
}

impl<W: Kept> Cache<W, DeviceSlice<W>> {
    /// Returns an empty cache in device memory, for as many tokens as the arrays hold.
    ///
    /// # Errors
    ///
    /// As [`Cache::new`], and [`Error::Unsupported`] if the two lie on different devices.
    pub fn on_device(
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        keys: DeviceSlice<W>,
        values: DeviceSlice<W>,
    ) -> Result<Self, Error> {
        keys.gpu().owns(&values)?;
        let lens = (keys.len(), values.len());
        Self::empty(heads, key_dim, value_dim, keys, values, lens)
    }

    /// Takes what the arrays hold already as the first `len` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`] if fewer fit.
    pub fn with_len(mut self, len: usize) -> Result<Self, Error> {
        let limit = self.capacity();
        if len > limit {
            return Err(Error::Capacity { limit });
        }
        self.len = len;
        Ok(self)
    }

    /// Appends the keys `[token][head][key_dim]` and values `[token][head][value_dim]` of one token
    /// or more, rounded to the number type of the cache.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `keys` are not whole tokens, [`Error::Length`] if `values` are not as
    /// many, [`Error::Capacity`] if they do not all fit, [`Error::Unsupported`] if they lie on another
    /// device; nothing is written then.
    pub fn append_on_device(
        &mut self,
        keys: &DeviceSlice<f32>,
        values: &DeviceSlice<f32>,
    ) -> Result<(), Error> {
        let gpu = self.keys.gpu();
        gpu.owns(keys)?;
        gpu.owns(values)?;
        let tokens = self.tokens(keys.len(), values.len())?;
        if tokens == 0 {
            return Ok(());
        }
        let (shape, (of_head, of_token)) = (self.shape, self.strides());
        for (to, from, dim) in [
            (&self.keys, keys, shape.key_dim),
            (&self.values, values, shape.value_dim),
        ] {
            let (mut to, mut address, mut count) =
                (to.address(), from.address(), from.len() as u64);
            let (mut heads, mut size) = (shape.heads as u32, dim as u32);
            let mut at = self.len as u64;
            let (mut head, mut token) = ((of_head * dim) as u64, (of_token * dim) as u64);
            let arguments = arguments![address, to, heads, size, count, at, head, token];
            let extent = Extent {
                grid: (from.len().div_ceil(256), 1),
                threads: 256,
                shared: 0,
            };
            let device = gpu.device();
            let kernels = device.kernels();
            let append = if W::IS_HALF {
                &kernels.cache_append_bf16
            } else {
                &kernels.cache_append_f32
            };
            // SAFETY: the arguments are those of `cache_append_*`; `from` holds `tokens` tokens and the
            // cache has room for them, as `tokens` above has checked.
            unsafe { device.launch(append, extent, &arguments)? };
        }
        self.len += tokens;
        Ok(())
    }
}

impl Attention<f32, Gpu> {
    /// Returns the scratch that a query over at most `keys` positions needs on a device.
    #[must_use]
    pub const fn device_scratch_len(&self, keys: usize) -> usize {
        let len = self.value_dim.next_multiple_of(4) + 4;
        self.query_heads * keys.div_ceil(SPLIT) * len
    }

    /// Attends with one token's queries to the first `visible` positions of a cache in device memory.
    ///
    /// What the operation computes, its domain and its edges are those of
    /// [`Attention`](crate::mixer::Attention). Splits of 512 positions go over the device and join in
    /// a second kernel. A group's keys and values are read once for every four query heads of it.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `query` has not [`Attention::query_len`] elements, `out` not
    /// [`Attention::out_len`], `scratch` less than [`Attention::device_scratch_len`], or the cache
    /// other heads or dimensions; [`Error::Capacity`] if a visible position is not in the cache, or
    /// there are more than 2^20; [`Parameter::HeadDim`] if a dimension is above 1024;
    /// [`Error::Unsupported`] if a buffer lies on another device.
    pub fn attend<W: Kept>(
        &self,
        query: &DeviceSlice<f32>,
        memory: &Cache<W, DeviceSlice<W>>,
        visible: usize,
        scratch: &mut DeviceSlice<f32>,
        out: &mut DeviceSlice<f32>,
    ) -> Result<(), Error> {
        self.run(query, memory, visible, scratch, out, None)
    }

    /// Attends, and writes the natural logarithm of the sum of exp(score) for each head.
    ///
    /// # Errors
    ///
    /// As [`Attention::attend`], and [`Error::Length`] if `lse` has not one element a head.
    pub fn attend_with_lse<W: Kept>(
        &self,
        query: &DeviceSlice<f32>,
        memory: &Cache<W, DeviceSlice<W>>,
        visible: usize,
        scratch: &mut DeviceSlice<f32>,
        out: &mut DeviceSlice<f32>,
        lse: &mut DeviceSlice<f32>,
    ) -> Result<(), Error> {
        check_len(self.query_heads, lse.len())?;
        self.executor.owns(lse)?;
        self.run(query, memory, visible, scratch, out, Some(lse))
    }

    /// Checks every argument, then launches.
    fn run<W: Kept>(
        &self,
        query: &DeviceSlice<f32>,
        memory: &Cache<W, DeviceSlice<W>>,
        visible: usize,
        scratch: &mut DeviceSlice<f32>,
        out: &mut DeviceSlice<f32>,
        lse: Option<&mut DeviceSlice<f32>>,
    ) -> Result<(), Error> {
        let shape = memory.shape;
        check_len(self.query_len(), query.len())?;
        check_len(self.out_len(), out.len())?;
        check_len(self.kv_heads, shape.heads)?;
        check_len(self.key_dim, shape.key_dim)?;
        check_len(self.value_dim, shape.value_dim)?;
        if self.key_dim.max(self.value_dim) > MOST_DIM {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        let limit = memory.len.min(MOST_SPLITS * SPLIT);
        if visible > limit {
            return Err(Error::Capacity { limit });
        }
        let expected = self.device_scratch_len(visible);
        if scratch.len() < expected {
            return Err(Error::Length {
                expected,
                found: scratch.len(),
            });
        }
        let gpu = self.executor;
        for slice in [query, &*scratch, &*out] {
            gpu.owns(slice)?;
        }
        gpu.owns(&memory.keys)?;
        let splits = visible.div_ceil(SPLIT);
        if splits > 0 {
            self.split(query, memory, visible, scratch, splits)?;
        }
        self.join(scratch, out, lse, splits)
    }

    /// Sums each split into a part for each head.
    fn split<W: Kept>(
        &self,
        query: &DeviceSlice<f32>,
        memory: &Cache<W, DeviceSlice<W>>,
        visible: usize,
        scratch: &mut DeviceSlice<f32>,
        splits: usize,
    ) -> Result<(), Error> {
        let (of_head, of_token) = memory.strides();
        let group = self.query_heads / self.kv_heads;
        let (key_dim, value_dim) = (self.key_dim, self.value_dim);
        // Wide heads go one by one, so that their parts fit in shared memory.
        let four = group > 1 && key_dim.max(value_dim) <= 2 * FIXED;
        let tile = if four { 4 } else { 1 };
        let rows = self.kv_heads * group.div_ceil(tile);
        if rows > MOST_Y {
            return Err(Error::Domain(Parameter::Heads));
        }
        let part = value_dim.next_multiple_of(4) + 4;
        let extent = Extent {
            grid: (splits, rows),
            threads: 32 * BLOCKS,
            shared: tile * (key_dim.next_multiple_of(LANES) + BLOCKS * (1 + BLOCK + part)),
        };
        let mut shape = Shape {
            len: visible as u32,
            group: group as u32,
            key_dim: key_dim as u32,
            value_dim: value_dim as u32,
            key_head: (of_head * key_dim) as u64,
            key_token: (of_token * key_dim) as u64,
            value_head: (of_head * value_dim) as u64,
            value_token: (of_token * value_dim) as u64,
            scale: self.scale,
        };
        let (mut keys, mut values) = (memory.keys.address(), memory.values.address());
        let (mut query, mut scratch) = (query.address(), scratch.address());
        let arguments = arguments![query, keys, values, scratch, shape];
        let device = self.executor.device();
        let whole = key_dim == FIXED && value_dim == FIXED;
        let kernels = device.kernels();
        let split = if W::IS_HALF {
            &kernels.attention_bf16
        } else {
            &kernels.attention_f32
        };
        let kernel = split.get(four, whole, self.executor.is_fused());
        // SAFETY: the arguments are those of `attention_*`; `run` has checked that the cache holds the
        // visible positions in this shape, and every length. Vectors of 128 elements are aligned
        // because the arrays are.
        unsafe { device.launch(kernel, extent, &arguments) }
    }

    /// Joins the parts and writes the outputs.
    fn join(
        &self,
        scratch: &mut DeviceSlice<f32>,
        out: &mut DeviceSlice<f32>,
        lse: Option<&mut DeviceSlice<f32>>,
        splits: usize,
    ) -> Result<(), Error> {
        let (mut scratch, mut out) = (scratch.address(), out.address());
        let mut lse = lse.map_or(0, |lse| lse.address());
        let (mut count, mut dim) = (splits as u32, self.value_dim as u32);
        let arguments = arguments![scratch, out, lse, count, dim];
        let extent = Extent {
            grid: (self.query_heads, self.value_dim.div_ceil(32)),
            threads: 1024,
            shared: 5 * splits,
        };
        let device = self.executor.device();
        // SAFETY: the arguments are those of `attention_join`; the scratch has a part for each head and
        // split, `out` a value for each head, `lse` one element for each head or is null, as `run` and
        // `attend_with_lse` have checked.
        unsafe { device.launch(&device.kernels().attention_join, extent, &arguments) }
    }
}
