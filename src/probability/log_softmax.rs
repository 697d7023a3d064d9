//! The logarithm of the softmax.

use super::log_sum_exp::{self, LogSum};
use super::logits::Score;
use super::{Logits, ProbabilityMap, check_out, check_rows, rows_mut};
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes, order};
use crate::{Cpu, Error};

/// Maps logits to log-probabilities: s_i - ln(sum_j exp(s_j)).
///
/// s is the score that [`Logits`] makes of a raw logit.
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give.
/// * **Accuracy:** at most 3 ULP of the larger of one and the result's magnitude. Close to zero, for
///   a probability close to one, the error is thus absolute, below 3 * 2^-24 in `f32`.
/// * **Cost:** two or three passes, as of a [`Softmax`](super::Softmax), the exponential once; no
///   scratch.
///
/// ```
/// use suanzi::probability::{LogSoftmax, ProbabilityMap};
///
/// let mut p = [1.0_f32, 2.0, 3.0];
/// LogSoftmax::default().map_in_place(&mut p)?;
/// assert_eq!(p, [-2.407606, -1.407606, -0.40760598]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax<'m, T = f32, E = Cpu> {
    pub(crate) logits: Logits<'m, T>,
    pub(crate) executor: E,
}

impl<T: Scalar> Default for LogSoftmax<'_, T> {
    fn default() -> Self {
        Self::new(Logits::new())
    }
}

impl<'m, T: Scalar> LogSoftmax<'m, T> {
    /// Returns the map of these logits, on the processor's best instruction set.
    #[inline]
    #[must_use]
    pub fn new(logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            executor: Cpu::default(),
        }
    }
}

impl<'m, T, E> LogSoftmax<'m, T, E> {
    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on<F>(self, executor: F) -> LogSoftmax<'m, T, F> {
        LogSoftmax {
            logits: self.logits,
            executor,
        }
    }
}

impl<T: Scalar> ProbabilityMap<[T]> for LogSoftmax<'_, T> {
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

impl<T: Scalar> LogSoftmax<'_, T> {
    /// Maps the row `x`, or the rows of `y`, into `y`.
    fn run(&self, x: Option<&[T]>, y: &mut [T], row: usize) -> Result<(), Error> {
        check_rows(y.len(), row)?;
        self.logits.check(row, y.len())?;
        dispatch!(self.executor, isa => {
            for (i, y) in rows_mut(y, row).enumerate() {
                let (logits, sum) = log_sum_exp::reduce(isa, &self.logits, i * row, x.unwrap_or(y));
                subtract(isa, &logits, &sum, x, y);
            }
        });
        Ok(())
    }
}

/// Subtracts a log-sum-exp from the scores of the row `x`, or of `y` itself.
#[inline(always)]
pub(super) fn subtract<S: Isa, T: Scalar>(
    isa: S,
    logits: &Logits<'_, T>,
    sum: &LogSum<T>,
    x: Option<&[T]>,
    y: &mut [T],
) {
    let finite = sum.high > T::NEG_INFINITY && sum.high < T::INFINITY;
    if !(finite && logits.is_raw()) {
        return subtract_from_scores(isa, logits, sum, x, y);
    }
    let [high, low] = [sum.high, sum.low].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    order::map::<T::Lanes<S>, _>(
        isa,
        (x, y),
        #[inline(always)]
        |v, _| (v - high) - low,
    );
}

/// [`subtract`] where the scores are not the logits, or the log-sum-exp is not finite.
#[inline(never)]
fn subtract_from_scores<S: Isa, T: Scalar>(
    isa: S,
    logits: &Logits<'_, T>,
    sum: &LogSum<T>,
    x: Option<&[T]>,
    y: &mut [T],
) {
    isa.vectorize(
        #[inline(always)]
        || {
            let [high, low, lowest, zero, nan] =
                [sum.high, sum.low, T::NEG_INFINITY, T::ZERO, T::NAN].map(
                    #[inline(always)]
                    |c| T::Lanes::<S>::splat(isa, c),
                );
            let finite = sum.high > T::NEG_INFINITY && sum.high < T::INFINITY;
            order::map::<T::Lanes<S>, _>(
                isa,
                (x, y),
                #[inline(always)]
                |v, at| {
                    let (score, rest) = logits.of(isa, v, at);
                    if finite {
                        let rest = Lanes::select(lowest.lt(score), rest, zero);
                        return (score - high) + (rest - low);
                    }
                    // The share of each infinite score, or minus infinity, or NaN.
                    let number = Lanes::select(score.eq(high), -low, lowest);
                    let masked = Lanes::select(score.eq(lowest), lowest, number);
                    Lanes::select(high.eq(high), masked, nan)
                },
            );
        },
    );
}
