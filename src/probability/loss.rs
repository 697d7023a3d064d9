//! Losses of a right class, with their gradients.

use super::gradient::{beside, powers};
use super::log_softmax::subtract;
use super::threshold::max_and_nan;
use super::{Entmax, Logits, ProbabilityMap, RowMap, SparseSoftmax, log_sum_exp};
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::math::exp::exp_lanes;
use crate::scalar::Scalar;
use crate::simd::order::{self, Body};
use crate::simd::{Isa, Lanes, One, number};
use crate::{Cpu, Error};

/// A loss and what it looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loss<T> {
    /// The loss, in nats where it is a cross entropy.
    pub value: T,
    /// The number of classes of positive probability.
    pub support: usize,
}

/// The cross entropy of a right class: ln(sum_j exp(s_j)) - s_target.
///
/// s is the score that [`Logits`] makes of a raw logit; with [`Mask::Margin`](super::Mask::Margin) at
/// the target this is the additive margin softmax loss. [Smoothing](Self::with_smoothing) moves a
/// share of the right class's weight to all classes alike (Szegedy et al., 2015, arXiv:1512.00567);
/// the [z-loss](Self::with_z_loss) adds a multiple of the squared log-sum-exp (de Brébisson and
/// Vincent, 2016, arXiv:1604.08859).
///
/// * **Domain:** every input. A target that is masked has an infinite loss; NaN gives NaN, as does a
///   row without a finite score.
/// * **Accuracy:** within 4 ULP of the larger of one and the log-sum-exp's magnitude; the gradient
///   within 8 units of rounding of one, and of the z-loss's factor.
/// * **Cost:** that of a log-softmax, and a pass more. The gradient is the only memory.
///
/// ```
/// use suanzi::probability::{CrossEntropy, Logits};
///
/// let mut gradient = [0.0_f32; 2];
/// let loss = CrossEntropy::new(Logits::new()).evaluate(&[0.0, 0.0], 1, &mut gradient)?;
/// assert_eq!(loss.value, core::f32::consts::LN_2);
/// assert_eq!(gradient, [0.5, -0.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'m, T = f32> {
    logits: Logits<'m, T>,
    smoothing: T,
    z_loss: T,
    executor: Cpu,
}

impl<'m, T: Scalar> CrossEntropy<'m, T> {
    /// Returns the loss of these logits, on the processor's best instruction set.
    #[inline]
    #[must_use]
    pub fn new(logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            smoothing: T::ZERO,
            z_loss: T::ZERO,
            executor: Cpu::default(),
        }
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Sets the share of weight that goes to all classes alike.
    ///
    /// # Errors
    ///
    /// [`Parameter::Share`] if `share` is not within [0, 1].
    #[inline]
    pub fn with_smoothing(self, share: T) -> Result<Self, Error> {
        if !(share >= T::ZERO && share <= T::ONE) {
            return Err(Error::Domain(Parameter::Share));
        }
        Ok(Self {
            smoothing: share,
            ..self
        })
    }

    /// Sets the factor on the squared log-sum-exp.
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] if `factor` is not finite.
    #[inline]
    pub fn with_z_loss(self, factor: T) -> Result<Self, Error> {
        if !factor.is_finite() {
            return Err(Error::Domain(Parameter::Scale));
        }
        Ok(Self {
            z_loss: factor,
            ..self
        })
    }

    /// Returns the loss of the raw logits `x` for the class `target`, and writes its gradient in the
    /// scores.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `gradient` or a mask has another length than `x`, [`Error::Capacity`] if
    /// there is no class `target`.
    pub fn evaluate(&self, x: &[T], target: usize, gradient: &mut [T]) -> Result<Loss<T>, Error> {
        check_target(x, target, gradient)?;
        self.logits.check(x.len(), x.len())?;
        Ok(dispatch!(self.executor, isa => self.evaluate_on(isa, x, target, gradient)))
    }

    /// [`Self::evaluate`] on an instruction set.
    #[inline(always)]
    fn evaluate_on<S: Isa>(&self, isa: S, x: &[T], target: usize, gradient: &mut [T]) -> Loss<T> {
        let (logits, sum) = log_sum_exp::reduce(isa, &self.logits, 0, x);
        let whole = sum.whole(&logits);
        // ln p, whose own sum is a share of the smoothed loss.
        subtract(isa, &logits, &sum, Some(x), gradient);
        let right = gradient.get(target).copied().unwrap_or(T::NAN);
        let classes = T::from_count(x.len());
        let every = if self.smoothing > T::ZERO {
            let sum = order::map_sum::<T::Lanes<S>, _>(
                isa,
                Body::Light,
                &*gradient,
                #[inline(always)]
                |v: T::Lanes<S>, _| v,
            );
            let sum = sum / classes;
            self.smoothing * (right - sum)
        } else {
            T::ZERO
        };
        let value = every - right + self.z_loss * whole * whole;
        let [lowest, zero] = [T::NEG_INFINITY, T::ZERO].map(
            #[inline(always)]
            |c| T::Lanes::<S>::splat(isa, c),
        );
        let [factor, each] = [
            T::ONE + T::TWO * self.z_loss * whole,
            self.smoothing / classes,
        ]
        .map(
            #[inline(always)]
            |c| T::Lanes::<S>::splat(isa, c),
        );
        let mut support = 0;
        let count = gradient.len();
        order::map::<T::Lanes<S>, _>(
            isa,
            &mut *gradient,
            #[inline(always)]
            |v, at| {
                let counts =
                    T::Lanes::<S>::and(lowest.lt(v), T::Lanes::<S>::first(isa, count - at));
                support += T::Lanes::<S>::bits(counts).count_ones() as usize;
                Lanes::select(lowest.lt(v), exp_lanes(isa, v) * factor, zero) - each
            },
        );
        if let Some(gradient) = gradient.get_mut(target) {
            *gradient = *gradient - (T::ONE - self.smoothing);
        }
        Loss { value, support }
    }
}

impl<T: Scalar> Entmax<'_, T> {
    /// Returns the Fenchel-Young loss of the raw logits `x` for the class `target`, and writes its
    /// gradient in the scores, p - e_target.
    ///
    /// The loss is (1 - sum p^alpha) / (alpha (alpha - 1)) + <p - e_target, s> (Blondel, Martins and
    /// Niculae, 2019, arXiv:1901.02324), never negative, and zero if and only if the target leads by
    /// 1 / (alpha - 1). For alpha = 2 it is the sparsemax loss, for alpha = 1 the cross entropy.
    ///
    /// Within 16 units of rounding of 1 + the distance of the target's score from the greatest. The
    /// cost is that of the map and two passes. NaN where a score is, and for a row without a finite
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `gradient` or a mask has another length than `x`, [`Error::Capacity`] if
    /// there is no class `target`.
    ///
    /// ```
    /// use suanzi::probability::{Entmax, Logits};
    ///
    /// let mut gradient = [0.0_f32; 2];
    /// let sparsemax = Entmax::new(2.0, Logits::new())?;
    /// let loss = sparsemax.loss(&[0.5, 0.0], 0, &mut gradient)?;
    /// assert_eq!((loss.value, loss.support), (0.0625, 2));
    /// assert_eq!(gradient, [-0.25, 0.25]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn loss(&self, x: &[T], target: usize, gradient: &mut [T]) -> Result<Loss<T>, Error> {
        check_target(x, target, gradient)?;
        if self.alpha() == T::ONE {
            return CrossEntropy::new(*self.logits())
                .on(self.executor())
                .evaluate(x, target, gradient);
        }
        self.map(x, gradient)?;
        Ok(dispatch!(self.executor(), isa => {
            let beta = self.alpha() - T::ONE;
            let Moments { lead, mean, support } = moments(isa, self.logits(), x, target, gradient);
            let excess = excess(isa, gradient, self.alpha());
            let value = excess / (self.alpha() * beta) + (lead - mean);
            finish(value, support, target, gradient)
        }))
    }
}

impl<T: Scalar> SparseSoftmax<'_, T> {
    /// Returns ln(sum_kept exp(s_j)) - s_target of the raw logits `x`, and writes its gradient in the
    /// scores, p - e_target.
    ///
    /// It is the cross entropy of the classes that are kept; the target need not be one of them.
    /// Within 8 units of rounding of 1 + the distance of the target's score from the greatest. The
    /// cost is that of the map and two passes. NaN where a score is, and for a row without a finite
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `gradient` or a mask has another length than `x`, [`Error::Capacity`] if
    /// there is no class `target`.
    ///
    /// ```
    /// use suanzi::probability::{Logits, SparseSoftmax};
    ///
    /// let mut gradient = [0.0_f32; 3];
    /// let top = SparseSoftmax::new(Logits::new()).with_top_k(1)?;
    /// let loss = top.loss(&[1.0, 3.0, 2.0], 2, &mut gradient)?;
    /// assert_eq!((loss.value, loss.support), (1.0, 1));
    /// assert_eq!(gradient, [0.0, 1.0, -1.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn loss(&self, x: &[T], target: usize, gradient: &mut [T]) -> Result<Loss<T>, Error> {
        check_target(x, target, gradient)?;
        self.map(x, gradient)?;
        Ok(dispatch!(self.executor(), isa => {
            let Moments { lead, support, .. } = moments(isa, self.logits(), x, target, gradient);
            // The greatest score is kept, and has the greatest probability.
            let (most, _) = max_and_nan(isa, gradient);
            finish(lead - most.natural_log(), support, target, gradient)
        }))
    }
}

/// Checks that there is a class `target`, and room for a gradient.
fn check_target<T>(x: &[T], target: usize, gradient: &[T]) -> Result<(), Error> {
    check_len(x.len(), gradient.len())?;
    if target < x.len() {
        Ok(())
    } else {
        Err(Error::Capacity { limit: x.len() })
    }
}

/// What a loss needs of scores and their probabilities.
struct Moments<T> {
    /// By how much the greatest score leads the target's.
    lead: T,
    /// By how much it leads the mean under the probabilities.
    mean: T,
    /// The number of positive probabilities.
    support: usize,
}

/// Returns the moments of the scores of `x` under the probabilities `p`.
#[inline(always)]
fn moments<S: Isa, T: Scalar>(
    isa: S,
    logits: &Logits<'_, T>,
    x: &[T],
    target: usize,
    p: &[T],
) -> Moments<T> {
    let max = order::max::<T::Lanes<S>, _>(
        isa,
        Body::Heavy,
        x,
        #[inline(always)]
        |v, at| logits.score(isa, v, at),
    );
    let [top, zero] = [max, T::ZERO].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let mut support = 0;
    let mean = order::map_sum::<T::Lanes<S>, _>(
        isa,
        Body::Heavy,
        x,
        #[inline(always)]
        |v: T::Lanes<S>, at| {
            let p = beside::<S, T>(isa, p, at);
            let inside = zero.lt(p);
            support += T::Lanes::<S>::bits(inside).count_ones() as usize;
            Lanes::select(inside, p * (top - logits.score(isa, v, at)), zero)
        },
    );
    let x = x.get(target).copied().unwrap_or(T::NAN);
    let right = logits.score(One, T::Lanes::<One>::splat(One, x), target);
    Moments {
        lead: max - number::<T>(right),
        mean,
        support,
    }
}

/// Returns 1 - sum p^alpha.
#[inline(always)]
fn excess<S: Isa, T: Scalar>(isa: S, p: &[T], alpha: T) -> T {
    let weight = powers::<S, T>(isa, alpha - T::ONE);
    let one = T::Lanes::<S>::splat(isa, T::ONE);
    // p adds up to one: sum p (1 - p^(alpha - 1)) does not cancel.
    order::map_sum::<T::Lanes<S>, _>(
        isa,
        Body::Heavy,
        p,
        #[inline(always)]
        |p: T::Lanes<S>, _| p * (one - weight(p)),
    )
}

/// Makes the gradient of probabilities, and a loss without a finite score NaN.
fn finish<T: Scalar>(value: T, support: usize, target: usize, gradient: &mut [T]) -> Loss<T> {
    if let Some(gradient) = gradient.get_mut(target) {
        *gradient = *gradient - T::ONE;
    }
    let value = if support == 0 { T::NAN } else { value };
    Loss { value, support }
}
