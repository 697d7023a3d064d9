//! The C interface: softmax and its relatives, rotary positions and attention for callers in C.
//!
//! `suanzi.h` beside this file is generated from it by cbindgen; the package `examples/c` builds the
//! libraries and shows how to link them. Every function checks what it can and returns a [`Status`];
//! nothing is written unless it is [`Status::Ok`].
//!
//! # What every function asks of its caller
//!
//! * A pointer with a length points to that many elements, which nobody else writes during the call;
//!   it may be null where the length is zero. Null where something is needed, and an address that is
//!   no multiple of the element's size, come back as a status.
//! * A buffer that is written overlaps no other, except where the function says that it may be one
//!   with its source.
//! * Numbers of floating point are passed through pointers and structures, never in registers, so
//!   that one header serves every calling convention of floats.
//!
//! The executor is a number of [`Executor`]; zero is the best instruction set of this processor, in
//! the portable order. Functions keep no state, allocate nothing and may run on any thread.

use core::ffi::{CStr, c_char};
use core::mem::size_of;
use core::slice;

use crate::{Cpu, Error, Level, Parameter};

mod mixer;
mod position;
mod probability;

pub use mixer::{
    AttentionOptions, CacheLayout, KeyValueCache, suanzi_attend_f32,
    suanzi_attention_scratch_len_f32, suanzi_cache_append_f32, suanzi_cache_len,
};
pub use position::{
    Head, HeadPairing, suanzi_rope_rotate_f32, suanzi_rope_shift_f32, suanzi_rope_table_fill_f32,
    suanzi_rope_table_len, suanzi_rope_table_rotate_f32, suanzi_rope_table_unrotate_f32,
    suanzi_rope_turns_f32, suanzi_rope_turns_len, suanzi_rope_unrotate_f32,
};
pub use probability::{
    LogitsOptions, suanzi_log_softmax_f32, suanzi_log_sum_exp_f32, suanzi_softmax_f32,
};

/// What a function found. `SUANZI_STATUS_OK` is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    /// It did what it was asked for.
    Ok = 0,
    /// A pointer is null, but not everything behind it is empty.
    Null,
    /// An address is not aligned to its elements.
    Alignment,
    /// A buffer that is written overlaps its source in part.
    Overlap,
    /// A buffer has the wrong number of elements, or a product of sizes overflows.
    Length,
    /// A length is no multiple of the size that must divide it.
    Multiple,
    /// The cache is full, or a position lies beyond its end.
    Capacity,
    /// This processor lacks the executor, or there is no such one.
    Unsupported,
    /// A mask has both forms, or a byte of it is neither zero nor one.
    Mask,
    /// There is no such pairing or layout.
    Choice,
    /// The factor on the logits is not finite.
    Scale,
    /// The bound of the soft cap is neither zero nor positive and finite.
    Softcap,
    /// The base is not finite and greater than one.
    Base,
    /// The rotary dimension is zero, odd or greater than the head's.
    RotaryDim,
    /// The position lies outside the table, or a table would reach beyond the last position.
    Position,
    /// A dimension is zero.
    HeadDim,
    /// The query heads are no positive multiple of the key/value heads.
    Heads,
    /// The window is zero although there are sinks.
    Window,
    /// Another parameter lies outside its domain.
    Domain,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Length { .. } => Self::Length,
            Error::Multiple { .. } => Self::Multiple,
            Error::Capacity { .. } => Self::Capacity,
            Error::Domain(Parameter::Scale) => Self::Scale,
            Error::Domain(Parameter::Softcap) => Self::Softcap,
            Error::Domain(Parameter::Base) => Self::Base,
            Error::Domain(Parameter::RotaryDim) => Self::RotaryDim,
            Error::Domain(Parameter::Position) => Self::Position,
            Error::Domain(Parameter::HeadDim) => Self::HeadDim,
            Error::Domain(Parameter::Heads) => Self::Heads,
            Error::Domain(Parameter::Window) => Self::Window,
            Error::Domain(_) => Self::Domain,
            Error::Unsupported | Error::NotConverged | Error::Device(_) => Self::Unsupported,
        }
    }
}

impl From<Result<(), Self>> for Status {
    fn from(result: Result<(), Self>) -> Self {
        result.err().unwrap_or(Self::Ok)
    }
}

/// Returns a sentence about a status, which is never null and always there.
#[unsafe(no_mangle)]
pub extern "C" fn suanzi_message(status: u32) -> *const c_char {
    const MESSAGES: [&CStr; 19] = [
        c"done",
        c"a pointer is null where elements are needed",
        c"an address is not aligned to its elements",
        c"a buffer that is written overlaps its source in part",
        c"a buffer has the wrong number of elements",
        c"a length is no multiple of the size that must divide it",
        c"the cache is full, or a position lies beyond its end",
        c"this processor lacks the executor",
        c"a mask is either keep or bias, and keep is zeros and ones",
        c"there is no such pairing or layout",
        c"the scale must be finite",
        c"the soft cap must be zero, or positive and finite",
        c"the base must be finite and greater than one",
        c"the rotary dimension must be positive, even and at most the head dimension",
        c"a position must lie within the table",
        c"a dimension must be positive",
        c"the query heads must be a positive multiple of the key/value heads",
        c"the window must be positive where there are sinks",
        c"a parameter lies outside its domain",
    ];
    const { assert!(MESSAGES.len() == Status::Domain as usize + 1) };
    let message = MESSAGES.get(status as usize);
    message.copied().unwrap_or(c"no such status").as_ptr()
}

/// Where to compute. All but `SUANZI_EXECUTOR_FUSED` give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Executor {
    /// The best instruction set of this processor, in the portable order.
    Default = 0,
    /// The same with fused multiply-add: the error bounds hold, the bits depend on the processor.
    Fused,
    /// One lane.
    Scalar,
    /// x86 with SSE2.
    Sse2,
    /// x86-64-v2, with SSE4.2.
    Sse42,
    /// x86-64-v3, with AVX2 and FMA.
    Avx2,
    /// AVX-512 as of Ice Lake.
    Avx512,
    /// AArch64 with NEON.
    Neon,
    /// WebAssembly with simd128.
    Simd128,
}

/// An executor's number is two more than its level's place among all.
const _: () = assert!(matches!(
    Level::ALL,
    [
        Level::Scalar,
        Level::Sse2,
        Level::Sse42,
        Level::Avx2,
        Level::Avx512,
        Level::Neon,
        Level::Simd128,
    ]
));

/// Returns the executor of a number.
fn executor(number: u32) -> Result<Cpu, Status> {
    match number {
        0 => Ok(Cpu::default()),
        1 => Ok(Cpu::fused()),
        _ => {
            let level = Level::ALL.get(number as usize - 2);
            Ok(Cpu::with(*level.ok_or(Status::Unsupported)?)?)
        }
    }
}

/// Returns whether this processor, and this build of the library, has an executor.
///
/// # Errors
///
/// `SUANZI_STATUS_UNSUPPORTED` if it has not.
#[unsafe(no_mangle)]
pub extern "C" fn suanzi_executor_check(executor: u32) -> Status {
    self::executor(executor).map(drop).into()
}

/// Checks what a slice asks of an address and a length.
fn check<T>(x: *const T, len: usize) -> Result<(), Status> {
    if x.is_null() {
        return Err(Status::Null);
    }
    if !x.is_aligned() {
        return Err(Status::Alignment);
    }
    match len.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(Status::Length),
    }
}

/// Returns the elements to read.
///
/// # Safety
///
/// * If `len` is not zero and `x` not null, `x` points to `len` elements that nobody writes during
///   the call.
unsafe fn read<'a, T>(x: *const T, len: usize) -> Result<&'a [T], Status> {
    if len == 0 {
        return Ok(&[]);
    }
    check(x, len)?;
    // SAFETY: not null, aligned and no longer than half of memory by `check`; the rest is the caller's.
    Ok(unsafe { slice::from_raw_parts(x, len) })
}

/// Returns the elements to write.
///
/// # Safety
///
/// * If `len` is not zero and `x` not null, `x` points to `len` initialized elements that nobody
///   else reads or writes during the call.
unsafe fn write<'a, T>(x: *mut T, len: usize) -> Result<&'a mut [T], Status> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(x, len)?;
    // SAFETY: not null, aligned and no longer than half of memory by `check`; the rest is the caller's.
    Ok(unsafe { slice::from_raw_parts_mut(x, len) })
}

/// Returns the one element behind a pointer.
///
/// # Safety
///
/// * If `x` is not null, it points to an element that nobody writes during the call.
unsafe fn one<'a, T>(x: *const T) -> Result<&'a T, Status> {
    check(x, 1)?;
    // SAFETY: not null and aligned by `check`; the rest is the caller's.
    Ok(unsafe { &*x })
}

/// Returns the source and the destination of a map: no source where the destination is its own.
///
/// # Safety
///
/// * Those of [`read`] for `x` and of [`write`] for `y`, except that both may be the same.
unsafe fn source_and_destination<'a, T>(
    x: *const T,
    y: *mut T,
    len: usize,
) -> Result<(Option<&'a [T]>, &'a mut [T]), Status> {
    if len > 0 && !x.is_null() && x.addr() != y.addr() {
        check(x, len)?;
        check(y, len)?;
        let (from, to, bytes) = (x.addr(), y.addr(), len * size_of::<T>());
        if from.abs_diff(to) < bytes {
            return Err(Status::Overlap);
        }
        // SAFETY: the caller's, and the two do not overlap.
        return Ok((Some(unsafe { read(x, len) }?), unsafe { write(y, len) }?));
    }
    check(x, 0).or_else(|status| if len == 0 { Ok(()) } else { Err(status) })?;
    // SAFETY: the caller's; the source is not looked at.
    Ok((None, unsafe { write(y, len) }?))
}

/// Returns the product of two sizes.
fn product(a: usize, b: usize) -> Result<usize, Status> {
    a.checked_mul(b).ok_or(Status::Length)
}
