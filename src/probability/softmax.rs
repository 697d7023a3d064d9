//! The softmax.

use super::logits::{Raw, Score, near};
use super::{Logits, ProbabilityMap, Rows, check_out, check_rows, rows_mut};
use crate::cpu::dispatch;
use crate::math::exp::ScaledExp;
use crate::scalar::Scalar;
use crate::simd::order::Body;
use crate::simd::stream::{Stream, Strided, Widened};
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
///   in `f32` and rounded once. With a soft cap the bound grows by 4 ULP of the capped score in each logit.
/// * **Cost:** three passes, 22 vector operations an element in the portable order; no scratch.
///   `F16` and `Bf16` evaluate the exponential twice.
///
/// # Method
///
/// 1. *Max.* The row's maximum m, and the integer N nearest to m / ln 2.
/// 2. *Exp and sum.* exp(s) = 2^k exp(r) with |r| <= ln(2)/2 by exact argument reduction; the row
///    keeps 2^(k-N) exp(r). The maximum is thus subtracted in integer exponents: s - m is never
///    rounded, which is where a plain softmax loses 5 to 16 ULP. The sum runs in the portable order
///    with its errors carried.
/// 3. *Scale* by the reciprocal of the sum.
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
                let logits = self.logits.row(i * rows.len, rows.len);
                normalize(isa, logits, None, &mut Strided { x: row, stride: rows.stride, len: rows.len });
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
        dispatch!(self.executor, isa => {
            for (i, y) in rows_mut(y, row).enumerate() {
                scored(isa, self.logits.row(i * row, row), x, y);
            }
        });
        Ok(())
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
                        narrow(isa, self.logits.row(i * row, row), x);
                    }
                });
                Ok(())
            }
        }
    )*};
}
stored!(F16 Bf16);

/// Maps a row of scores that are the logits themselves or not.
#[inline(always)]
fn scored<S: Isa, T: Scalar>(isa: S, logits: Logits<'_, T>, x: Option<&[T]>, y: &mut [T]) {
    if logits.is_raw() {
        normalize::<S, T, _, _>(isa, Raw, x, y);
    } else {
        normalize::<S, T, _, _>(isa, logits, x, y);
    }
}

/// A row that can be passed over again and again.
trait Row<T: Scalar> {
    /// Writes the row; reads `x` instead, where it is given and the row allows that.
    fn stream(&mut self, x: Option<&[T]>) -> impl Stream<T>;
}

impl<T: Scalar> Row<T> for [T] {
    #[inline(always)]
    fn stream(&mut self, x: Option<&[T]>) -> impl Stream<T> {
        (x, self)
    }
}

impl<T: Scalar> Row<T> for Strided<'_, T> {
    #[inline(always)]
    fn stream(&mut self, _: Option<&[T]>) -> impl Stream<T> {
        Strided {
            x: &mut *self.x,
            ..*self
        }
    }
}

/// Maps the row `x`, or `y` itself, into `y`.
#[inline(always)]
fn normalize<S, T, L, Y>(isa: S, score: L, x: Option<&[T]>, y: &mut Y)
where
    S: Isa,
    T: Scalar,
    L: Score<S, T> + Score<One, T>,
    Y: Row<T> + ?Sized,
{
    let mut x = x;
    let max = order::max::<<L as Score<S, T>>::Vector, _>(
        isa,
        <L as Score<S, T>>::BODY,
        y.stream(x),
        #[inline(always)]
        |v, at| score.of(isa, v, at).0,
    );
    let finite = max > T::NEG_INFINITY && max < T::INFINITY;
    let (score, max) = if finite {
        near(score, max, y.stream(x))
    } else {
        (score, max)
    };
    let exp = ScaledExp::<<L as Score<S, T>>::Vector>::new(isa, max);
    if !finite || (<L as Score<S, T>>::EXACT && exp.center != T::ZERO) {
        // A row far from zero moves to its maximum; the rare others are copied.
        let center = if finite { exp.center } else { T::ZERO };
        let center = T::Lanes::<S>::splat(isa, center);
        order::map::<T::Lanes<S>, _>(
            isa,
            y.stream(x.take()),
            #[inline(always)]
            |v, _| v - center,
        );
    }
    if !finite {
        return share(score, y);
    }
    let sum = order::map_sum::<<L as Score<S, T>>::Vector, _>(
        isa,
        <L as Score<S, T>>::BODY,
        y.stream(x),
        #[inline(always)]
        |v, at| term(isa, score, exp, v, at),
    );
    // A NaN among the scores arrives here as a NaN sum.
    let factor = if sum > T::ZERO { T::ONE / sum } else { T::NAN };
    scale(isa, y, factor);
}

/// Returns the scaled exponential of the scores of a vector; exact scores come with the center
/// already subtracted.
#[inline(always)]
fn term<S: Isa, T: Scalar, L: Score<S, T>>(
    isa: S,
    score: L,
    exp: ScaledExp<L::Vector>,
    v: L::Vector,
    at: usize,
) -> L::Vector {
    if L::EXACT {
        return exp.of(isa, v);
    }
    let (score, low) = score.of(isa, v, at);
    exp.of_sum(isa, score - L::Vector::splat(isa, exp.center), low)
}

/// Shares the whole among the scores that are plus infinity; none gives zeros.
#[cold]
#[inline(never)]
fn share<T: Scalar, L: Score<One, T>, Y: Row<T> + ?Sized>(score: L, y: &mut Y) {
    let [zero, one, infinity, nan] =
        [T::ZERO, T::ONE, T::INFINITY, T::NAN].map(|c| L::Vector::splat(One, c));
    let count = order::map_sum::<L::Vector, _>(One, Body::Heavy, y.stream(None), |v, at| {
        let s = score.of(One, v, at).0;
        let number = Lanes::select(s.eq(s), zero, nan);
        Lanes::select(s.eq(infinity), one, number)
    });
    if count != T::ZERO {
        scale(
            One,
            y,
            if count > T::ZERO {
                T::ONE / count
            } else {
                T::NAN
            },
        );
    }
}

/// Multiplies a row by `factor`; NaN gives the one NaN of outputs.
#[inline(always)]
fn scale<S: Isa, T: Scalar, Y: Row<T> + ?Sized>(isa: S, y: &mut Y, factor: T) {
    if factor.is_nan() {
        return fill(y, T::NAN);
    }
    let factors = T::Several::<S>::splat(isa, factor);
    order::map::<T::Several<S>, _>(
        isa,
        y.stream(None),
        #[inline(always)]
        |v, _| v * factors,
    );
}

/// Writes `value` to each element.
#[cold]
#[inline(never)]
fn fill<T: Scalar, Y: Row<T> + ?Sized>(y: &mut Y, value: T) {
    let value = T::Lanes::<One>::splat(One, value);
    order::map::<T::Lanes<One>, _>(One, y.stream(None), |_, _| value);
}

/// Maps a row that is kept in a narrower type: the exponential is evaluated twice, since its first
/// values would not survive the narrow type.
#[inline(always)]
fn narrow<S: Isa, W: Stored<f32>>(isa: S, logits: Logits<'_, f32>, y: &mut [W]) {
    let mut y = Widened(y);
    let max = order::max::<S::F32, _>(
        isa,
        Body::Heavy,
        y.reading(),
        #[inline(always)]
        |v, at| logits.of(isa, v, at).0,
    );
    if !(max > f32::NEG_INFINITY && max < f32::INFINITY) {
        return share(logits, &mut y);
    }
    let (logits, max) = near(logits, max, y.reading());
    let exp = ScaledExp::<S::F32>::new(isa, max);
    let sum = order::map_sum::<S::F32, _>(
        isa,
        Body::Heavy,
        y.reading(),
        #[inline(always)]
        |v, at| term::<S, f32, _>(isa, logits, exp, v, at),
    );
    let factor = if sum > 0.0 { 1.0 / sum } else { f32::NAN };
    let factors = S::F32::splat(isa, factor);
    order::map::<S::F32, _>(
        isa,
        y.stream(None),
        #[inline(always)]
        |v, at| {
            if factor > 0.0 {
                term::<S, f32, _>(isa, logits, exp, v, at) * factors
            } else {
                factors
            }
        },
    );
}

impl<W: Stored<f32>> Row<f32> for Widened<'_, W> {
    #[inline(always)]
    fn stream(&mut self, _: Option<&[f32]>) -> impl Stream<f32> {
        Widened(&mut *self.0)
    }
}
