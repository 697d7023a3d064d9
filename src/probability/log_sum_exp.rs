//! The logarithm of a sum of exponentials.

use super::logits::Score;
use super::total::{infinities, total};
use super::{Logits, check_rows};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::math::twofold::two_sum;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes, One, number};
use crate::{Cpu, Error};

/// Reduces rows of logits to ln(sum_j exp(s_j)).
///
/// s is the score that [`Logits`] makes of a raw logit.
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give.
/// * **Accuracy:** at most 3 ULP of the larger of one and the result's magnitude.
/// * **Cost:** one or two passes, as of a [`Softmax`](super::Softmax), nothing written but the result.
///
/// ```
/// use suanzi::probability::LogSumExp;
///
/// let lse = LogSumExp::default().reduce(&[1.0_f32, 2.0, 3.0])?;
/// assert_eq!(lse, 3.407606);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogSumExp<'m, T = f32, E = Cpu> {
    logits: Logits<'m, T>,
    executor: E,
}

impl<T: Scalar> Default for LogSumExp<'_, T> {
    fn default() -> Self {
        Self::new(Logits::new())
    }
}

impl<'m, T: Scalar> LogSumExp<'m, T> {
    /// Returns the reduction of these logits, on the processor's best instruction set.
    #[inline]
    #[must_use]
    pub fn new(logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            executor: Cpu::default(),
        }
    }
}

impl<'m, T, E> LogSumExp<'m, T, E> {
    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on<F>(self, executor: F) -> LogSumExp<'m, T, F> {
        LogSumExp {
            logits: self.logits,
            executor,
        }
    }
}

impl<T: Scalar> LogSumExp<'_, T> {
    /// Reduces one row.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if a mask has another length than the row.
    pub fn reduce(&self, x: &[T]) -> Result<T, Error> {
        let mut out = [Score::<T>::sink(&self.logits)];
        if !x.is_empty() {
            self.reduce_rows(x, x.len(), &mut out)?;
        }
        self.logits.check(x.len(), x.len())?;
        Ok(out[0])
    }

    /// Reduces consecutive rows of `row` elements, one result each.
    ///
    /// A mask may have the length of one row, and then applies to each, or of all rows together.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if the length of `x` is not a multiple of `row`, [`Error::Length`] if
    /// `out` has not one element a row or a mask does not fit.
    pub fn reduce_rows(&self, x: &[T], row: usize, out: &mut [T]) -> Result<(), Error> {
        check_rows(x.len(), row)?;
        check_len(x.len().checked_div(row).unwrap_or(0), out.len())?;
        self.logits.check(row, x.len())?;
        dispatch!(self.executor, isa => {
            for (i, (x, out)) in x.chunks_exact(row.max(1)).zip(out).enumerate() {
                let (logits, sum) = reduce(isa, &self.logits, i * row, x);
                *out = sum.whole(&logits);
            }
        });
        Ok(())
    }
}

/// A log-sum-exp as the nearest number and what is missing from it.
pub(super) struct LogSum<T> {
    pub(super) high: T,
    pub(super) low: T,
}

impl<T: Scalar> LogSum<T> {
    /// Returns the log-sum-exp, of scores that may be relative to an origin.
    #[inline(always)]
    pub(super) fn whole(&self, logits: &Logits<'_, T>) -> T {
        match logits.origin() {
            Some((max, error)) => max + (error + (self.high + self.low)),
            None => self.high,
        }
    }
}

/// Reduces a row.
#[inline(always)]
pub(super) fn reduce<'m, S: Isa, T: Scalar>(
    isa: S,
    logits: &Logits<'m, T>,
    start: usize,
    x: &[T],
) -> (Logits<'m, T>, LogSum<T>) {
    let mut row = x;
    let Some(total) = total(isa, logits, start, &mut row) else {
        let count = infinities(isa, logits, start, &mut row);
        return (logits.row(start, x.len()), extreme(count));
    };
    let sum = if total.sum > T::ZERO {
        logarithm(total.center, total.exponent, total.sum)
    } else {
        LogSum {
            high: T::NAN,
            low: T::ZERO,
        }
    };
    (total.score, sum)
}

/// Returns center + (exponent - SHIFT) ln 2 + ln(sum).
pub(super) fn logarithm<T: Scalar>(center: T, exponent: T, sum: T) -> LogSum<T> {
    let lane = |v: T| T::Lanes::<One>::splat(One, v);
    let (mantissa, power) = lane(sum).split_exponent();
    let power = number::<T>(power) + (exponent - T::SHIFT);
    let (high, low) = two_sum(lane(center), lane(power * T::LN2_HI));
    let (high, rest) = two_sum(high, lane(number::<T>(mantissa).natural_log()));
    let low = (low + rest) + lane(power * T::LN2_LO);
    let (high, low) = two_sum(high, low);
    LogSum {
        high: number::<T>(high),
        low: number::<T>(low),
    }
}

/// Reduces a row whose greatest score is not finite: `count` of them are plus infinity.
#[cold]
fn extreme<T: Scalar>(count: T) -> LogSum<T> {
    let high = if count > T::ZERO {
        T::INFINITY
    } else if count == T::ZERO {
        T::NEG_INFINITY
    } else {
        T::NAN
    };
    LogSum {
        high,
        low: if count > T::ONE {
            count.natural_log()
        } else {
            T::ZERO
        },
    }
}
