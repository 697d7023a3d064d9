//! The normmax: the simplex under the penalty of a norm.

use super::gradient::{beside, powers, sum};
use super::power::Power;
use super::threshold::project;
use super::{Logits, RowMap};
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::scalar::Scalar;
use crate::simd::order;
use crate::simd::{Isa, Lanes};
use crate::{Cpu, Error};

/// Maps logits to the point of the simplex that maximizes p s less the norm (sum p^alpha)^(1 / alpha).
///
/// s is the score that [`Logits`] makes of a raw logit. p is u^(1 / (alpha - 1)) over its sum, with
/// u = max(0, s - tau) and sum u^(alpha / (alpha - 1)) = 1: what lies one below the greatest score is
/// zero, for every alpha. For alpha near one that is the greatest score alone, and for large alpha all
/// in reach get the same. Blondel, Martins and Niculae (2020), arXiv:1901.02324, section 4.3.
///
/// * **Domain:** every input, alpha above one; the [module](super) tells what infinities, NaN and masks
///   give.
/// * **Accuracy:** at most 4 ULP of max(p, 2^-32) in the support and exactly zero outside; in `f64`
///   within 8 units of rounding of p (1 + (1 + 1 / u) / (alpha - 1)). Scores are rounded once where they are
///   not the raw logits.
/// * **Cost:** as of an [`Entmax`](super::Entmax) of an alpha without a form of its own, and a pass that
///   divides. No scratch, 1 KiB of stack.
///
/// ```
/// use suanzi::probability::{Logits, Normmax, ProbabilityMap};
///
/// let mut p = [1.0_f32, 0.8, -0.5, 1.0];
/// Normmax::new(2.0, Logits::new())?.map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.37234706, 0.25530592, 0.0, 0.37234706]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Normmax<'m, T = f32> {
    logits: Logits<'m, T>,
    alpha: T,
    executor: Cpu,
}

impl<'m, T: Scalar> Normmax<'m, T> {
    /// Returns the normmax of order `alpha` of these logits, on the processor's best instruction set.
    ///
    /// # Errors
    ///
    /// [`Parameter::Alpha`] if `alpha` is not finite, or not above one.
    #[inline]
    pub fn new(alpha: T, logits: Logits<'m, T>) -> Result<Self, Error> {
        check_norm(alpha)?;
        Ok(Self {
            logits,
            alpha,
            executor: Cpu::default(),
        })
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }
}

impl<T: Scalar> RowMap<T> for Normmax<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        project(isa, Power::normmax(self.alpha.wide()), x, y);
    }
}

/// Writes the gradient of <dp, p> in the scores of p, for a [`Normmax`] of order `alpha` with the
/// probabilities `p`.
///
/// dx = s w - p <s, w> with w = dp - <p, dp> and s = p^(2 - alpha) (sum p^alpha)^(1 - 1 / alpha) / (alpha - 1)
/// in the support and zero outside. The gradient in raw logits has the scale of [`Logits`] as a factor.
///
/// * **Domain:** what the map gives; a row of zeros has gradient zero, NaN gives NaN.
/// * **Accuracy:** within 32 units of rounding of (s_i + p_i sum s) max |dp| (1 + |ln p_i|).
/// * **Cost:** four passes with up to a logarithm and an exponential an element. No scratch.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ, [`Parameter::Alpha`] if alpha is not finite, or not above
/// one.
///
/// ```
/// use suanzi::{Cpu, probability::normmax_vjp};
///
/// let mut dx = [0.0_f32; 3];
/// normmax_vjp(Cpu::default(), 2.0, &[0.5, 0.5, 0.0], &[1.0, 0.0, 5.0], &mut dx)?;
/// assert_eq!(dx, [0.35355338, -0.35355338, 0.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn normmax_vjp<T: Scalar>(
    cpu: Cpu,
    alpha: T,
    p: &[T],
    dp: &[T],
    dx: &mut [T],
) -> Result<(), Error> {
    check_norm(alpha)?;
    check_len(p.len(), dp.len())?;
    check_len(p.len(), dx.len())?;
    dispatch!(cpu, isa => normmax_vjp_on(isa, alpha, p, dp, dx));
    Ok(())
}

/// Checks the order of a norm whose penalty has one greatest point.
fn check_norm<T: Scalar>(alpha: T) -> Result<(), Error> {
    if alpha > T::ONE && alpha < T::INFINITY {
        Ok(())
    } else {
        Err(Error::Domain(Parameter::Alpha))
    }
}

/// [`normmax_vjp`] on an instruction set.
#[inline(always)]
fn normmax_vjp_on<S: Isa, T: Scalar>(isa: S, alpha: T, p: &[T], dp: &[T], dx: &mut [T]) {
    let weight = powers::<S, T>(isa, T::TWO - alpha);
    let mean = sum(isa, p, dp, |p| p, |p, dp| p * dp);
    let size = sum(isa, p, p, powers::<S, T>(isa, alpha), |norm, _| norm);
    let (alpha, size) = (alpha.wide(), size.wide());
    let factor = libm::pow(size, 1.0 - 1.0 / alpha) / (alpha - 1.0);
    let [mean, factor] = [mean, T::nearest(factor)].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let weight = |p| weight(p) * factor;
    let total = sum(isa, p, dp, weight, |s, dp| s * (dp - mean));
    let total = T::Lanes::<S>::splat(isa, total);
    order::map::<T::Lanes<S>, _>(
        isa,
        (Some(p), dx),
        #[inline(always)]
        |v, at| weight(v) * (beside::<S, T>(isa, dp, at) - mean) - v * total,
    );
}
