//! The probability that a perturbed score is the greatest.

use super::gradient::entmax_vjp_on;
use super::nodes::{perturb, perturb_vjp};
use super::threshold::{greatest, share};
use super::{Logits, RowMap, Softmax, check_out};
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::stream::copy;
use crate::{Cpu, Error};

/// Independent noise that is added to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Noise {
    /// exp(-exp(-z)): the map is the softmax.
    Gumbel,
    /// 1 - exp(-z) for positive z: the map is permute-and-flip (McKenna and Sheldon, 2020).
    Exponential,
    /// The standard normal distribution: the map is multinomial probit.
    Normal,
    /// 1 / (1 + exp(-z)).
    Logistic,
}

/// A distribution of noise that the caller brings, to [`perturb_max_with`].
///
/// Implementors give the two functions of one distribution, and do not panic: what they return goes into
/// products and sums as it is, so that NaN comes out as NaN.
pub trait Distribution {
    /// Returns the probability of at most `z`, for any number: it never falls, from zero to one.
    fn cumulative(&self, z: f64) -> f64;
    /// Returns the value that is exceeded with probability 1 - `u`, for u within (0, 1): it never falls.
    fn quantile(&self, u: f64) -> f64;
}

/// Maps scores to the probability of each to be the greatest, once noise is added:
/// p_i = P(argmax(s + noise) = i).
///
/// s is the score that [`Logits`] makes of a raw logit. Su Jianlin (2022), kexue.fm/archives/9085.
/// Monotone and invariant to shifts, for every noise.
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give.
/// * **Accuracy:** within 4 ULP of max(p, 2^-60) and never more than 2^-40 of p for up to 10^5
///   elements; computed in `f64`.
/// * **Cost:** Gumbel noise is a softmax. The others evaluate the noise at up to 512 values of the
///   maximum, twice for each element, through libm. No scratch, 9 KiB of stack.
///
/// # Method
///
/// With m the value of the maximum, p_i is the integral of f(m - s_i) prod_{j != i} F(m - s_j) over
/// m. The product over all j is common to all i, so that each element takes one division by its own
/// factor. Exponential noise leaves s_max behind at once: substituting t = exp(s_max - m) makes the
/// integrand a polynomial of degree n - 1, b_i prod_{j != i} (1 - t b_j) over t in (0, 1) with b =
/// exp(s - s_max), which 32 nodes of Gauss and Legendre integrate exactly for up to 64 elements. The
/// others take panels of 32 nodes.
///
/// ```
/// use suanzi::probability::{Logits, Noise, PerturbMax, ProbabilityMap};
///
/// let mut p = [1.0_f32, 0.5, -0.3];
/// PerturbMax::new(Noise::Normal, Logits::new()).map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.57768595, 0.31998938, 0.102324665]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PerturbMax<'m, T = f32> {
    logits: Logits<'m, T>,
    noise: Noise,
    executor: Cpu,
}

impl<'m, T: Scalar> PerturbMax<'m, T> {
    /// Returns the map of these logits under a noise.
    #[inline]
    #[must_use]
    pub fn new(noise: Noise, logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            noise,
            executor: Cpu::default(),
        }
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }
}

impl<T: Scalar> PerturbMax<'_, T> {
    /// Writes the gradient of <dp, p> in the scores, for the raw logits `x`.
    ///
    /// dx_i is the sum of H_ij (dp_i - dp_j) over j, with H_ij the density of i and j both being the
    /// greatest: the integral of f(m - s_i) f(m - s_j) prod F(m - s) over the value m of the maximum, the
    /// product over all others. Where infinities or NaN decide, dx is zero. The gradient in raw logits
    /// has the scale of [`Logits`] as a factor.
    ///
    /// Computed in `f64`: within 1e-7 of max |dp| of differences of the map, and in `f32` within 1e-6; Gumbel
    /// noise as of a softmax by [`entmax_vjp`](super::entmax_vjp). The cost is that of the map and one more
    /// evaluation of the noise at each node and element, with 17 KiB of stack.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, and those of the map.
    ///
    /// ```
    /// use suanzi::probability::{Logits, Noise, PerturbMax};
    ///
    /// // The greater of two with exponential noise loses exp(-difference) / 2.
    /// let mut dx = [0.0_f32; 2];
    /// let map = PerturbMax::new(Noise::Exponential, Logits::new());
    /// map.vjp(&[1.0, 0.0], &[1.0, 0.0], &mut dx)?;
    /// assert_eq!(dx, [0.18393972, -0.18393972]);
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
        let Some(max) = greatest(isa, dx) else {
            return dx.fill(T::ZERO);
        };
        if self.noise == Noise::Gumbel {
            Softmax::default().map_row(isa, None, dx);
            entmax_vjp_on(isa, T::ONE, None, dp, dx);
        } else {
            perturb_vjp(self.noise, max.wide(), dp, dx);
        }
    }
}

impl<T: Scalar> RowMap<T> for PerturbMax<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        if self.noise == Noise::Gumbel {
            return Softmax::default().map_row(isa, x, y);
        }
        if let Some(x) = x {
            copy(x, y);
        }
        match greatest(isa, y) {
            Some(max) => perturb(self.noise, max.wide(), y),
            None => share(None, y),
        }
    }
}

/// Writes the probability of each score to be the greatest under any noise, by its distribution
/// function and its quantiles.
///
/// p_i is the integral of prod_{j != i} F(x_i - x_j + Q(u)) over u in (0, 1), by the double
/// exponential rule (Takahasi and Mori, 1974) with 129 nodes, in `f64`.
///
/// * **Domain:** numbers; an infinity or NaN makes the row what the [module](super) says.
/// * **Accuracy:** 10^-9 for smooth distributions.
/// * **Cost:** 129 n^2 evaluations of the distribution function. No scratch.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ.
///
/// ```
/// use suanzi::probability::{Distribution, perturb_max_with};
///
/// /// Noise of the uniform distribution over (0, 1).
/// struct Uniform;
///
/// impl Distribution for Uniform {
///     fn cumulative(&self, z: f64) -> f64 {
///         z.clamp(0.0, 1.0)
///     }
///     fn quantile(&self, u: f64) -> f64 {
///         u
///     }
/// }
///
/// let mut p = [0.0_f32; 2];
/// perturb_max_with(&Uniform, &[0.0, 2.0], &mut p)?;
/// assert_eq!(p, [0.0, 1.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn perturb_max_with<T: Scalar>(
    noise: &impl Distribution,
    x: &[T],
    out: &mut [T],
) -> Result<(), Error> {
    check_out(x.len(), out.len())?;
    let finite = x.iter().all(|x| *x < T::INFINITY) && x.iter().any(|x| *x > T::NEG_INFINITY);
    if !finite {
        share(Some(x), out);
        return Ok(());
    }
    for (i, out) in out.iter_mut().enumerate() {
        let own = x.get(i).map_or(f64::NEG_INFINITY, |x| x.wide());
        if own == f64::NEG_INFINITY {
            *out = T::ZERO;
            continue;
        }
        let mut sum = 0.0;
        for k in -DOUBLE..=DOUBLE {
            let step = f64::from(k) / 20.0;
            let grown = core::f64::consts::FRAC_PI_2 * libm::sinh(step);
            // u and its derivative, with both ends at their distance.
            let u = 1.0 / (1.0 + libm::exp(-2.0 * grown));
            let slope = libm::cosh(step) * core::f64::consts::FRAC_PI_4
                / (libm::cosh(grown) * libm::cosh(grown))
                / 20.0;
            if u <= 0.0 || u >= 1.0 || slope == 0.0 {
                continue;
            }
            let at = own + noise.quantile(u);
            let mut product = 1.0;
            for (j, x) in x.iter().enumerate() {
                if j != i && *x > T::NEG_INFINITY {
                    product *= noise.cumulative(at - x.wide());
                }
            }
            sum += slope * product;
        }
        *out = T::nearest(sum);
    }
    Ok(())
}

/// Nodes of the double exponential rule on each side of the middle.
const DOUBLE: i32 = 64;
