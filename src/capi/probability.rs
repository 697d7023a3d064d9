//! Softmax, log-softmax and log-sum-exp of rows.

use core::slice;

use super::{Status, executor, one, product, read, source_and_destination, write};
use crate::Cpu;
use crate::probability::{LogSoftmax, LogSumExp, Logits, Mask, ProbabilityMap, Softmax};

/// What becomes of logits before the exponential: cap * tanh(scale * x / cap), then the mask.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LogitsOptions {
    /// The factor on each logit: finite; one for none.
    pub scale: f32,
    /// The bound of the soft cap: positive and finite; zero for none.
    pub softcap: f32,
    /// Zeros and ones, a byte for each logit of a row or of all rows: a logit with zero is removed,
    /// whatever it is. Null for none.
    pub keep: *const u8,
    /// Numbers that are added, as many; minus infinity removes a logit. Null for none.
    pub bias: *const f32,
    /// The elements of `keep` or of `bias`.
    pub mask_len: usize,
}

/// Returns the logits of the options, for rows of `row_len` elements, `len` in all.
///
/// # Safety
///
/// * `options` is null or points to options whose mask has `mask_len` elements, unless it is null.
unsafe fn logits<'a>(
    options: *const LogitsOptions,
    row_len: usize,
    len: usize,
) -> Result<Logits<'a, f32>, Status> {
    if options.is_null() {
        return Ok(Logits::new());
    }
    // SAFETY: not null, and the caller's.
    let options = unsafe { one(options) }?;
    let masked = !(options.keep.is_null() && options.bias.is_null());
    if masked && options.mask_len != row_len && options.mask_len != len {
        return Err(Status::Length);
    }
    let mut logits = Logits::new().scaled(options.scale)?;
    if options.softcap != 0.0 {
        logits = logits.softcapped(options.softcap)?;
    }
    Ok(match (options.keep.is_null(), options.bias.is_null()) {
        (true, true) => logits,
        (false, false) => return Err(Status::Mask),
        (true, false) => {
            // SAFETY: the caller's.
            let bias = unsafe { read(options.bias, options.mask_len) }?;
            logits.masked(Mask::Add(bias))
        }
        (false, true) => {
            // SAFETY: the caller's.
            let keep = unsafe { read(options.keep, options.mask_len) }?;
            if keep.iter().any(|&byte| byte > 1) {
                return Err(Status::Mask);
            }
            // SAFETY: the same bytes, each zero or one, as `bool` has them.
            let keep = unsafe { slice::from_raw_parts(keep.as_ptr().cast::<bool>(), keep.len()) };
            logits.masked(Mask::Keep(keep))
        }
    })
}

/// Maps rows, in place or not, by the map that `of` makes.
///
/// # Safety
///
/// * As [`suanzi_softmax_f32`].
unsafe fn map<'a, M: ProbabilityMap<[f32]>>(
    number: u32,
    options: *const LogitsOptions,
    (x, y): (*const f32, *mut f32),
    (rows, row_len): (usize, usize),
    of: impl FnOnce(Logits<'a, f32>, Cpu) -> M,
) -> Result<(), Status> {
    let len = product(rows, row_len)?;
    let cpu = executor(number)?;
    // SAFETY: the caller's.
    let logits = unsafe { logits(options, row_len, len) }?;
    // SAFETY: the caller's.
    let (x, y) = unsafe { source_and_destination(x, y, len) }?;
    let map = of(logits, cpu);
    // What could be refused is checked by now: the rows are whole, the mask fits.
    match x {
        Some(x) if rows == 1 => map.map(x, y)?,
        Some(x) => {
            y.copy_from_slice(x);
            map.map_rows(y, row_len)?;
        }
        None => map.map_rows(y, row_len)?,
    }
    Ok(())
}

/// Writes the softmax of each of `rows` rows of `row_len` logits to `y`, which may be `x` itself.
///
/// A row of nothing but minus infinity, or whose logits are all removed, gives zeros; plus infinity
/// takes the whole; NaN gives NaN in the row. Error below 3 ULP at any length.
///
/// # Safety
///
/// * `logits` is null for plain logits, or points to options.
/// * `x` and `y` point to `rows * row_len` elements and are the same or do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_softmax_f32(
    executor: u32,
    logits: *const LogitsOptions,
    x: *const f32,
    y: *mut f32,
    rows: usize,
    row_len: usize,
) -> Status {
    let of = |logits, cpu| Softmax::new(logits).on(cpu);
    // SAFETY: the caller's.
    unsafe { map(executor, logits, (x, y), (rows, row_len), of) }.into()
}

/// Writes the logarithm of the softmax of each of `rows` rows of `row_len` logits to `y`, which may be
/// `x` itself.
///
/// A row of nothing but minus infinity stays so; beside plus infinity, other logits give minus infinity;
/// NaN gives NaN in the row. Error below 3 ULP of max(1, |result|) at any length.
///
/// # Safety
///
/// * As `suanzi_softmax_f32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_log_softmax_f32(
    executor: u32,
    logits: *const LogitsOptions,
    x: *const f32,
    y: *mut f32,
    rows: usize,
    row_len: usize,
) -> Status {
    let of = |logits, cpu| LogSoftmax::new(logits).on(cpu);
    // SAFETY: the caller's.
    unsafe { map(executor, logits, (x, y), (rows, row_len), of) }.into()
}

/// Writes the logarithm of the sum of the exponentials of each of `rows` rows to `out`.
///
/// Minus infinity for an empty row, or one of nothing else; plus infinity or NaN if a logit is. Error
/// below 3 ULP of max(1, |result|) at any length.
///
/// # Safety
///
/// * `logits` as for `suanzi_softmax_f32`; `x` points to `rows * row_len` elements, `out` to `rows`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_log_sum_exp_f32(
    executor: u32,
    logits: *const LogitsOptions,
    x: *const f32,
    rows: usize,
    row_len: usize,
    out: *mut f32,
) -> Status {
    let run = || {
        let len = product(rows, row_len)?;
        let cpu = self::executor(executor)?;
        // SAFETY: the caller's.
        let logits = unsafe { self::logits(logits, row_len, len) }?;
        // SAFETY: the caller's.
        let (x, out) = unsafe { (read(x, len)?, write(out, rows)?) };
        let sum = LogSumExp::new(logits).on(cpu);
        if row_len > 0 {
            return Ok(sum.reduce_rows(x, row_len, out)?);
        }
        // Empty rows, which a length of zero cannot count.
        for out in out {
            *out = sum.reduce(x)?;
        }
        Ok(())
    };
    run().into()
}
