//! The softmax.

use super::row::Row;
use super::total::{infinities, total};
use super::{Logits, ProbabilityMap, Rows, check_out, check_rows, rows_mut};
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::order::Terms;
use crate::simd::stream::{Stream, Widened, Widening, copy};
use crate::simd::strided::Strided;
use crate::simd::{Isa, Lanes, One, order};
use crate::storage::{Bf16, F16, Stored};
use crate::{Cpu, Error};

/// Maps logits to probabilities: p_i = exp(s_i) / sum_j exp(s_j).
///
/// s is the score that [`Logits`] makes of a raw logit (scale, soft cap, mask). Bridle (1990),
/// "Probabilistic interpretation of feedforward classification network outputs".
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give.
/// * **Accuracy:** at most 3 ULP at any length, for `f32` and `f64`, with scale and mask; results in
///   the subnormal range are within one unit of the smallest number. `F16` and `Bf16` are computed
///   in `f32` and rounded once. With a soft cap the bound grows by 4 ULP of the capped score in each
///   logit.
/// * **Cost:** two or three passes, 22 vector operations an element in the portable order; no scratch.
///   `F16` and `Bf16` evaluate the exponential twice.
///
/// # Method
///
/// 1. *Exp and sum.* exp(s) = 2^k exp(r) with |r| <= ln(2)/2 by exact argument reduction; the row
///    keeps 2^(k-N) exp(r). The maximum is thus subtracted in integer exponents: s - m is never
///    rounded, which is where a plain softmax loses 5 to 16 ULP. The sum runs in the portable order
///    with its errors carried.
/// 2. *Scale* by the reciprocal of the sum.
///
/// N need not be the maximum's: every integer gives the same bits, as long as no term leaves the range
/// of numbers. With scaled or capped logits, and with 512-bit vectors, N comes from the row's first
/// score; only where a later one lies more than 45 above it (388 in `f64`), and elsewhere, a pass for
/// the maximum comes before.
///
/// ```
/// use suanzi::probability::{ProbabilityMap, Softmax};
///
/// let mut p = [1.0_f32, 2.0, 3.0];
/// Softmax::default().map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.09003057, 0.24472848, 0.66524094]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Softmax<'m, T = f32, E = Cpu> {
    pub(crate) logits: Logits<'m, T>,
    pub(crate) executor: E,
}

impl<T: Scalar> Default for Softmax<'_, T> {
    fn default() -> Self {
        Self::new(Logits::new())
    }
}

impl<'m, T: Scalar> Softmax<'m, T> {
    /// Returns the softmax of these logits, on the processor's best instruction set.
    #[inline]
    #[must_use]
    pub fn new(logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            executor: Cpu::default(),
        }
    }
}

impl<'m, T, E> Softmax<'m, T, E> {
    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on<F>(self, executor: F) -> Softmax<'m, T, F> {
        Softmax {
            logits: self.logits,
            executor,
        }
    }
}

impl<T: Scalar> Softmax<'_, T> {
    /// Maps the rows of a strided array in place, along any axis.
    ///
    /// The mask has the length of one row, or of all rows together, row after row.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if rows would overlap, [`Error::Length`] if `x` is shorter than
    /// [`Rows::extent`] or the mask does not fit.
    pub fn map_strided(&self, x: &mut [T], rows: Rows) -> Result<(), Error> {
        let extent = rows.extent()?;
        if x.len() < extent {
            return Err(Error::Length {
                expected: extent,
                found: x.len(),
            });
        }
        self.logits.check(rows.len, rows.count * rows.len)?;
        dispatch!(self.executor, isa => {
            for i in 0..rows.count {
                let row = x.get_mut(i * rows.row_stride..).unwrap_or_default();
                normalize(isa, &self.logits, i * rows.len, &mut Strided { x: row, stride: rows.stride, len: rows.len });
            }
        });
        Ok(())
    }
}

impl<T: Scalar> ProbabilityMap<[T]> for Softmax<'_, T> {
    fn map_in_place(&self, x: &mut [T]) -> Result<(), Error> {
        self.map_rows(x, x.len())
    }

    fn map(&self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        check_out(x.len(), out.len())?;
        self.run(Some(x), out, x.len())
    }

    fn map_rows(&self, x: &mut [T], row: usize) -> Result<(), Error> {
        self.run(None, x, row)
    }
}

impl<T: Scalar> Softmax<'_, T> {
    /// Maps the row `x`, or the rows of `y`, into `y`.
    fn run(&self, x: Option<&[T]>, y: &mut [T], row: usize) -> Result<(), Error> {
        check_rows(y.len(), row)?;
        self.logits.check(row, y.len())?;
        dispatch!(self.executor, isa => normalize_rows(isa, &self.logits, x, y, row));
        Ok(())
    }
}

impl<T: Scalar> Softmax<'_, T> {
    /// Maps the row `x`, or `y` itself, into `y`.
    #[inline(always)]
    pub(super) fn map_row<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        let row = y.len();
        normalize_rows(isa, &self.logits, x, y, row);
    }
}

macro_rules! stored {
    ($($t:ident)*) => {$(
        impl ProbabilityMap<[$t]> for Softmax<'_, f32> {
            fn map_in_place(&self, x: &mut [$t]) -> Result<(), Error> {
                self.map_rows(x, x.len())
            }

            fn map(&self, x: &[$t], out: &mut [$t]) -> Result<(), Error> {
                check_out(x.len(), out.len())?;
                self.logits.check(x.len(), x.len())?;
                out.copy_from_slice(x);
                self.map_rows(out, x.len())
            }

            fn map_rows(&self, x: &mut [$t], row: usize) -> Result<(), Error> {
                check_rows(x.len(), row)?;
                self.logits.check(row, x.len())?;
                dispatch!(self.executor, isa => {
                    for (i, x) in rows_mut(x, row).enumerate() {
                        narrow(isa, &self.logits, i * row, x);
                    }
                });
                Ok(())
            }
        }
    )*};
}
stored!(F16 Bf16);

/// Maps the row `x`, or the rows of `y`, into `y`.
#[inline(always)]
fn normalize_rows<S: Isa, T: Scalar>(
    isa: S,
    logits: &Logits<'_, T>,
    mut x: Option<&[T]>,
    y: &mut [T],
    row: usize,
) {
    // Code is dearer than a copy where there is one lane: every pass is in place.
    if T::Lanes::<S>::LANES == 1
        && let Some(x) = x.take()
    {
        copy(x, y);
    }
    for (i, y) in rows_mut(y, row).enumerate() {
        normalize(isa, logits, i * row, &mut (x, y));
    }
}

/// Maps a row in place.
#[inline(always)]
fn normalize<S: Isa, T: Scalar>(
    isa: S,
    logits: &Logits<'_, T>,
    start: usize,
    row: &mut impl Row<T>,
) {
    let len = row.len();
    let sum = match total(isa, logits, start, row) {
        Some(total) => total.sum,
        // The infinite scores share the whole; none leaves zeros.
        None => match infinities(isa, logits, start, row) {
            count if count == T::ZERO => return,
            count => count,
        },
    };
    scale(isa, row.written(len), reciprocal(sum));
}

/// Returns the factor that makes terms probabilities. A NaN among the scores arrives as a NaN sum.
#[inline(always)]
fn reciprocal<T: Scalar>(sum: T) -> T {
    if sum > T::ZERO { T::ONE / sum } else { T::NAN }
}

/// Multiplies a row by `factor`; NaN gives the one NaN of outputs.
#[inline(always)]
fn scale<S: Isa, T: Scalar>(isa: S, row: impl Stream<T>, factor: T) {
    if factor.is_nan() {
        return fill(row, T::NAN);
    }
    let factors = T::Lanes::<S>::splat(isa, factor);
    order::map::<T::Lanes<S>, _>(
        isa,
        row,
        #[inline(always)]
        |v, _| v * factors,
    );
}

/// Writes `value` to each element.
#[cold]
#[inline(never)]
fn fill<T: Scalar>(row: impl Stream<T>, value: T) {
    let value = T::Lanes::<One>::splat(One, value);
    order::map::<T::Lanes<One>, _>(One, row, |_, _| value);
}

/// Maps a row that is kept in a narrower type: the exponential is evaluated twice, since its first
/// values would not survive the narrow type.
#[inline(always)]
fn narrow<S: Isa, W: Stored<f32>>(isa: S, logits: &Logits<'_, f32>, start: usize, y: &mut [W]) {
    let Some(total) = total(isa, logits, start, &mut Widening(&*y)) else {
        let count = infinities(isa, logits, start, &mut Widened(y));
        if count != 0.0 {
            scale(One, Widened(y), reciprocal(count));
        }
        return;
    };
    let factor = reciprocal(total.sum);
    let factors = S::F32::splat(isa, factor);
    let mut terms = total.terms(isa);
    order::map::<S::F32, _>(
        isa,
        Widened(y),
        #[inline(always)]
        |v, at| {
            if factor > 0.0 {
                terms.of(isa, v, at) * factors
            } else {
                factors
            }
        },
    );
}
