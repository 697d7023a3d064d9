//! The sparsemax: the nearest point of the simplex.

use super::degree::Degree;
use super::threshold::project;
use super::{Logits, RowMap};
use crate::error::Parameter;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::{Cpu, Error};

/// Maps logits to the nearest point of the simplex: p_i = max(0, s_i - tau) with sum p = radius.
///
/// s is the score that [`Logits`] makes of a raw logit. Martins and Astudillo (2016), arXiv:1602.02068.
/// With a [radius](Self::with_radius) it is the Euclidean projection onto the scaled simplex of Duchi
/// et al. (2008).
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give.
/// * **Accuracy:** at most 4 ULP of max(p, 2^-32) in the support, and exactly zero outside; scores are
///   rounded once where they are not the raw logits.
/// * **Cost:** two passes that read and one that writes, each of two or three operations an element
///   where the support is small; a row in which most elements come near the maximum costs about as
///   many more passes as Newton's method takes steps, at most 26. No scratch, 1 KiB of stack.
///
/// ```
/// use suanzi::probability::{ProbabilityMap, Sparsemax};
///
/// let mut p = [1.0_f32, 0.5, -0.5, 1.25];
/// Sparsemax::default().map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.375, 0.0, 0.0, 0.625]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sparsemax<'m, T = f32> {
    logits: Logits<'m, T>,
    radius: T,
    executor: Cpu,
}

impl<T: Scalar> Default for Sparsemax<'_, T> {
    fn default() -> Self {
        Self::new(Logits::new())
    }
}

impl<'m, T: Scalar> Sparsemax<'m, T> {
    /// Returns the sparsemax of these logits, on the processor's best instruction set.
    #[inline]
    #[must_use]
    pub fn new(logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            radius: T::ONE,
            executor: Cpu::default(),
        }
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Sets what the values add up to; one at first.
    ///
    /// # Errors
    ///
    /// [`Parameter::Radius`] if `radius` is not finite and positive.
    #[inline]
    pub fn with_radius(self, radius: T) -> Result<Self, Error> {
        if !(radius > T::ZERO && radius < T::INFINITY) {
            return Err(Error::Domain(Parameter::Radius));
        }
        Ok(Self { radius, ..self })
    }
}

impl<T: Scalar> RowMap<T> for Sparsemax<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        let radius = self.radius;
        project(isa, Degree::<1, T> { radius }, x, y);
    }
}
