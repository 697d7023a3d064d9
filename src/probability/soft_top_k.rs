//! The soft top-k: how far each element is among the k greatest.

use super::inclusion::Threshold;
use super::select::{self, Cut};
use super::subsets::{subsets, subsets_vjp};
use super::threshold::max_and_nan;
use super::{Logits, RowMap};
use crate::cpu::dispatch;
use crate::error::Parameter;
use crate::scalar::Scalar;
use crate::simd::order::{self, Body};
use crate::simd::stream::copy;
use crate::simd::{Isa, Lanes};
use crate::{Cpu, Error};

/// How an element becomes one of the k greatest.
///
/// For all but [`Self::Subsets`] that is p_i = F(s_i - lambda), with a function F that grows from zero
/// to one and the threshold lambda for which they add up to k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Inclusion {
    /// F(d) = min(1, max(0, d)): the nearest point with 0 <= p <= 1 and sum p = k, the sparsemax with a
    /// budget. For k = 1 it is the [`Sparsemax`](super::Sparsemax).
    Clamped,
    /// F(d) = min(1, exp(d)). For k = 1 it is the [`Softmax`](super::Softmax).
    Exponential,
    /// F(d) = 1 / (1 + exp(-d)).
    Logistic,
    /// F(d) = exp(d) / 2 below zero and 1 - exp(-d) / 2 above: the distribution of Laplace.
    Laplace,
    /// The probability that a set of k elements has this one, where sets are drawn with probabilities
    /// proportional to exp(sum of their scores). It is the gradient of the logarithm of the k-th
    /// elementary symmetric polynomial of exp(s); for k = 1 it is the [`Softmax`](super::Softmax).
    Subsets,
}

/// Maps scores to numbers within [0, 1] that add up to k, smooth or sparse: a top-k to train through.
///
/// s is the score that [`Logits`] makes of a raw logit; the larger their scale, the nearer is the
/// result to ones for the k greatest and zeros elsewhere. Su Jianlin (2024), kexue.fm/archives/10373;
/// clamped, Martins and Kreutzer (2017); of subsets, Chen, Dempster and Liu (1994).
///
/// * **Domain:** every input. A NaN makes the row NaN; where no more than k scores exceed minus
///   infinity each of those is one; minus infinity gives zero, plus infinity one, and k / c where c > k
///   scores are infinite. Equal scores get equal parts.
/// * **Accuracy:** computed in `f64`: at most 4 ULP of max(p, 2^-32) in `f32`; in `f64` within 2^-50
///   (1 + 60 p) times the square root of the elements.
/// * **Cost:** the k-th greatest score takes up to 32 passes that count (64 in `f64`), the threshold
///   passes of an exponential an element, as many as Newton's method in a bracket takes steps; subsets two
///   more passes of up to 48 complex factors an element, whatever k is. No scratch, 5 KiB of stack.
///
/// ```
/// use suanzi::probability::{Inclusion, Logits, ProbabilityMap, SoftTopK};
///
/// let mut p = [0.5_f32, 1.0, -0.5, 2.5];
/// SoftTopK::new(2.0, Inclusion::Clamped, Logits::new())?.map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.25, 0.75, 0.0, 1.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SoftTopK<'m, T = f32> {
    logits: Logits<'m, T>,
    k: T,
    inclusion: Inclusion,
    executor: Cpu,
}

impl<'m, T: Scalar> SoftTopK<'m, T> {
    /// Returns the soft choice of `k` elements, on the processor's best instruction set.
    ///
    /// # Errors
    ///
    /// [`Parameter::TopK`] if `k` is not finite and positive, or for [`Inclusion::Subsets`] not whole.
    #[inline]
    pub fn new(k: T, inclusion: Inclusion, logits: Logits<'m, T>) -> Result<Self, Error> {
        let whole = libm::floor(k.wide()) == k.wide();
        let countable = whole || inclusion != Inclusion::Subsets;
        if !(k > T::ZERO && k < T::INFINITY && countable) {
            return Err(Error::Domain(Parameter::TopK));
        }
        Ok(Self {
            logits,
            k,
            inclusion,
            executor: Cpu::default(),
        })
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Writes the gradient of <dp, p> in the scores, for the raw logits `x`.
    ///
    /// dx = f (dp - <f, dp> / sum f) with f = F'(s - lambda); at a corner of F the side without growth
    /// counts. For subsets it is the covariance of the elements' membership times dp. Where the map
    /// has no threshold (NaN or infinities decide, or no more than k scores count) dx is zero.
    /// The gradient in raw logits has the scale of [`Logits`] as a factor.
    ///
    /// Within 1e-9 of max |dp| of differences of the map in `f64`, within 2e-6 in `f32`; the cost is that of the map and two passes.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, [`Error::Unsupported`] if the logits have a sink, and
    /// [`Parameter::Bias`] if a slope or margin is not finite.
    ///
    /// ```
    /// use suanzi::probability::{Inclusion, Logits, SoftTopK};
    ///
    /// let mut dx = [0.0_f32; 4];
    /// let map = SoftTopK::new(2.0, Inclusion::Clamped, Logits::new())?;
    /// map.vjp(&[0.5, 1.0, -0.5, 2.5], &[1.0, 0.0, 0.0, 7.0], &mut dx)?;
    /// assert_eq!(dx, [0.5, -0.5, 0.0, 0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn vjp(&self, x: &[T], dp: &[T], dx: &mut [T]) -> Result<(), Error> {
        self.scores(x, dp, dx)?;
        dispatch!(self.executor, isa => self.vjp_on(isa, dp, dx));
        Ok(())
    }

    /// [`Self::vjp`] on an instruction set, of the scores in `dx`.
    #[inline(always)]
    fn vjp_on<S: Isa>(&self, isa: S, dp: &[T], dx: &mut [T]) {
        match self.decide(isa, dx) {
            Decision::At(at) if self.inclusion == Inclusion::Subsets => {
                subsets_vjp(isa, at, self.k.wide(), dp, dx);
            }
            Decision::At(at) => at.vjp(isa, self.inclusion, dp, dx),
            _ => dx.fill(T::ZERO),
        }
    }

    /// Finds the threshold, if the scores have one.
    #[inline(always)]
    fn decide<S: Isa>(&self, isa: S, x: &[T]) -> Decision<T> {
        if max_and_nan(isa, x).1 {
            return Decision::NaN;
        }
        let k = self.k.wide();
        let above = select::next(T::NEG_INFINITY);
        if k >= select::count(isa, x, above) as f64 {
            return Decision::All;
        }
        // The least of the elements that reach k, and of those that exceed it.
        let whole = libm::ceil(k) as usize;
        let Cut { least, .. } = select::greatest(isa, x, whole);
        let (mut kth, mut beyond) = (least, least);
        if select::count(isa, x, least) == whole {
            // Any number above one element and no greater than the other tells them apart.
            (kth, beyond) = neighbors(isa, x, least);
        }
        if whole as f64 > k {
            beyond = kth;
        }
        if kth == T::INFINITY {
            return Decision::Infinite;
        }
        Decision::At(Threshold::find(isa, self.inclusion, x, k, kth, beyond))
    }
}

/// What a row's scores come to.
enum Decision<T> {
    /// One of them is NaN.
    NaN,
    /// No more than k count.
    All,
    /// More than k are infinite.
    Infinite,
    /// They are as far inside as they exceed a threshold.
    At(Threshold<T>),
}

impl<T: Scalar> RowMap<T> for SoftTopK<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        if let Some(x) = x {
            copy(x, y);
        }
        match self.decide(isa, y) {
            Decision::NaN => y.fill(T::NAN),
            Decision::All => share(y, |y| y > T::NEG_INFINITY, T::ONE),
            Decision::Infinite => {
                let count = y.iter().filter(|&&y| y == T::INFINITY).count();
                share(y, |y| y == T::INFINITY, self.k / T::from_count(count));
            }
            Decision::At(at) if self.inclusion == Inclusion::Subsets => {
                subsets(isa, at, self.k.wide(), y);
            }
            Decision::At(at) => at.write(isa, self.inclusion, y),
        }
    }
}

/// Gives each element that counts the same, and the others nothing.
#[cold]
fn share<T: Scalar>(y: &mut [T], counts: impl Fn(T) -> bool, part: T) {
    for y in y {
        *y = if counts(*y) { part } else { T::ZERO };
    }
}

/// Returns the least element from `limit` on, and the greatest below.
#[inline(always)]
fn neighbors<S: Isa, T: Scalar>(isa: S, x: &[T], limit: T) -> (T, T) {
    let [limit, lowest] = [limit, T::NEG_INFINITY].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let greatest = |above: bool| {
        order::max::<T::Lanes<S>, _>(
            isa,
            Body::Light,
            x,
            #[inline(always)]
            |v: T::Lanes<S>, _| match above {
                true => Lanes::select(limit.le(v), -v, lowest),
                false => Lanes::select(v.lt(limit), v, lowest),
            },
        )
    };
    (-greatest(true), greatest(false))
}
