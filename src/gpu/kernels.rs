//! The compiled kernels, looked up once.

use std::boxed::Box;

use cust::error::{CudaError, CudaResult};
use cust::function::Function;
use cust::module::Module;
use cust::sys::{self, CUfunction_attribute};

/// Machine code for sm_80 and sm_90, and PTX that the driver compiles for what follows.
const SOFTMAX: &[u8] = include_bytes!("../../gpu/built/softmax.fatbin");
const ROPE: &[u8] = include_bytes!("../../gpu/built/rope.fatbin");
const ATTENTION: &[u8] = include_bytes!("../../gpu/built/attention.fatbin");

/// Two kernels of one operation, by arithmetic.
pub(super) struct Pair {
    portable: Function<'static>,
    fused: Function<'static>,
}

impl Pair {
    pub(super) const fn get(&self, fused: bool) -> &Function<'static> {
        if fused { &self.fused } else { &self.portable }
    }
}

/// The kernels of one map of rows.
pub(super) struct Map {
    pub(super) row: Pair,
    pub(super) long: Pair,
    pub(super) long_total: Function<'static>,
}

/// Attention over one split, for one number type of the cache.
pub(super) struct Split {
    /// `[one or four heads a tile][any dimension or 128]`.
    kernels: [[Pair; 2]; 2],
}

impl Split {
    pub(super) const fn get(&self, four: bool, whole: bool, fused: bool) -> &Function<'static> {
        let [[one, one_128], [four_any, four_128]] = &self.kernels;
        let pair = match (four, whole) {
            (false, false) => one,
            (false, true) => one_128,
            (true, false) => four_any,
            (true, true) => four_128,
        };
        pair.get(fused)
    }
}

/// Every kernel.
pub(super) struct Kernels {
    pub(super) softmax: Map,
    pub(super) log_softmax: Map,
    pub(super) long_max: Function<'static>,
    pub(super) long_groups: Function<'static>,
    pub(super) long_chunks_fused: Function<'static>,
    pub(super) rope_rotate: Function<'static>,
    pub(super) attention_f32: Split,
    pub(super) attention_bf16: Split,
    pub(super) attention_join: Function<'static>,
    pub(super) cache_append_f32: Function<'static>,
    pub(super) cache_append_bf16: Function<'static>,
}

impl Kernels {
    /// Loads the kernels into the current context and allows them `most_shared` bytes of shared memory.
    pub(super) fn load(most_shared: usize) -> CudaResult<Self> {
        // Modules stay loaded, as their device stays open.
        let module = |code| Module::from_fatbin(code, &[]).map(|m| &*Box::leak(Box::new(m)));
        let (softmax, rope, attention) = (module(SOFTMAX)?, module(ROPE)?, module(ATTENTION)?);
        let find = |module: &'static Module, name: &str| {
            let function = module.get_function(name)?;
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is one of a loaded module; the call changes an attribute of it.
            let done = unsafe {
                sys::cuFuncSetAttribute(function.to_raw(), attribute, most_shared as i32)
            };
            if done == sys::CUresult::CUDA_SUCCESS {
                Ok(function)
            } else {
                Err(CudaError::UnknownError)
            }
        };
        let pair = |module, portable: &str, fused: &str| -> CudaResult<Pair> {
            Ok(Pair {
                portable: find(module, portable)?,
                fused: find(module, fused)?,
            })
        };
        let map = |row: [&str; 2], long: [&str; 2], total: &str| -> CudaResult<Map> {
            Ok(Map {
                row: pair(softmax, row[0], row[1])?,
                long: pair(softmax, long[0], long[1])?,
                long_total: find(softmax, total)?,
            })
        };
        macro_rules! split {
            ($kept:literal) => {
                Split {
                    kernels: [
                        [split!($kept, "_1_any"), split!($kept, "_1_128")],
                        [split!($kept, "_4_any"), split!($kept, "_4_128")],
                    ],
                }
            };
            ($kept:literal, $form:literal) => {
                pair(
                    attention,
                    concat!("attention_", $kept, $form),
                    concat!("attention_fused_", $kept, $form),
                )?
            };
        }
        Ok(Self {
            softmax: map(
                ["softmax_row", "softmax_row_fused"],
                ["softmax_long", "softmax_long_fused"],
                "softmax_long_total",
            )?,
            log_softmax: map(
                ["log_softmax_row", "log_softmax_row_fused"],
                ["log_softmax_long", "log_softmax_long_fused"],
                "log_softmax_long_total",
            )?,
            long_max: find(softmax, "long_max")?,
            long_groups: find(softmax, "long_groups")?,
            long_chunks_fused: find(softmax, "long_chunks_fused")?,
            rope_rotate: find(rope, "rope_rotate")?,
            attention_f32: split!("f32"),
            attention_bf16: split!("bf16"),
            attention_join: find(attention, "attention_join")?,
            cache_append_f32: find(attention, "cache_append_f32")?,
            cache_append_bf16: find(attention, "cache_append_bf16")?,
        })
    }
}
