//! The schedule of a denoising diffusion model.

use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::math::{exp_in_place, exp_m1_in_place, ln_1p_in_place};
use crate::scalar::canonical;
use crate::simd::Isa;
use crate::{Cpu, Error, Scalar};

/// The noise of each of T steps (DDPM, Ho, Jain and Abbeel, 2020, arXiv:2006.11239), in the form of Su
/// Jianlin (kexue.fm/archives/9984): alpha_t = sqrt(1 - n t / T) and beta_t = sqrt(n t / T), with n = 0.02
/// and T = 1000 there.
///
/// Step t makes x_t = alpha_t x_{t-1} + beta_t e of x_{t-1}; all of them together x_t = A_t x_0 + B_t e,
/// with A_t the product of alphas and B_t = sqrt(1 - A_t^2).
///
/// * **Shapes:** storage of one number a step, for ln A_t; T is its length.
/// * **Domain:** n within (0, 1); steps from 1 to T.
/// * **Accuracy:** no difference of numbers that are nearly equal is taken: ln A_t is a sum of ln(1 - n s
///   / T) with its rounding errors carried, and B_t = sqrt(-expm1(2 ln A_t)). The table's row `ddpm`.
/// * **Order:** element by element, the same bits on every level. NaN and infinities give what arithmetic
///   gives, NaN being canonical.
///
/// ```
/// use suanzi::patch::Ddpm;
///
/// let ddpm = Ddpm::new(0.02_f32, [0.0; 1000])?;
/// assert!((ddpm.signal(1000)? - 0.006_482).abs() < 1e-6);
/// assert_eq!(ddpm.noise(1)?, ddpm.beta(1)?);
/// // Noise an image, and take the very noise out again.
/// let (image, noise) = ([0.5, -0.25], [1.0, -2.0]);
/// let mut x = [0.0; 2];
/// ddpm.diffuse(1, &image, &noise, &mut x)?;
/// ddpm.step(1, &mut x, &noise, None)?;
/// assert!((x[0] - 0.5).abs() < 1e-6 && (x[1] + 0.25).abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ddpm<T, S> {
    variance: T,
    logs: S,
    cpu: Cpu,
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Ddpm<T, S> {
    /// Returns the schedule whose last step adds noise of this variance, with as many steps as `storage`
    /// has elements.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] for no step, [`Parameter::Noise`] unless the variance is within (0, 1).
    pub fn new(variance: T, mut storage: S) -> Result<Self, Error> {
        let logs = storage.as_mut();
        if logs.is_empty() {
            return Err(Error::Domain(Parameter::Step));
        }
        if !(variance > T::ZERO && variance < T::ONE) {
            return Err(Error::Domain(Parameter::Noise));
        }
        let steps = T::from_count(logs.len());
        for (i, log) in logs.iter_mut().enumerate() {
            *log = -(variance * T::from_count(i + 1) / steps);
        }
        ln_1p_in_place(Cpu::scalar(), logs);
        let half = T::ONE / (T::ONE + T::ONE);
        let (mut sum, mut lost) = (T::ZERO, T::ZERO);
        for log in logs {
            // All have one sign, so that what the sum loses is known (Knuth's two-sum).
            let next = sum + *log;
            let part = next - sum;
            lost = lost + ((sum - (next - part)) + (*log - part));
            sum = next;
            *log = (sum + lost) * half;
        }
        Ok(Self {
            variance,
            logs: storage,
            cpu: Cpu::default(),
        })
    }

    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the number of steps.
    #[inline]
    #[must_use]
    pub fn steps(&self) -> usize {
        self.logs.as_ref().len()
    }

    /// Returns beta_t^2, the variance of the noise of one step.
    fn variance(&self, t: usize) -> Result<T, Error> {
        if t == 0 || t > self.steps() {
            return Err(Error::Domain(Parameter::Step));
        }
        Ok(self.variance * T::from_count(t) / T::from_count(self.steps()))
    }

    /// Returns ln A_t.
    fn log(&self, t: usize) -> Result<T, Error> {
        let log = t.checked_sub(1).and_then(|i| self.logs.as_ref().get(i));
        log.copied().ok_or(Error::Domain(Parameter::Step))
    }

    /// Returns alpha_t, the share that one step leaves.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] unless t is from 1 to T.
    pub fn alpha(&self, t: usize) -> Result<T, Error> {
        Ok((T::ONE - self.variance(t)?).root())
    }

    /// Returns beta_t, the noise that one step adds.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] unless t is from 1 to T.
    pub fn beta(&self, t: usize) -> Result<T, Error> {
        Ok(self.variance(t)?.root())
    }

    /// Returns A_t, the share that the first t steps leave.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] unless t is from 1 to T.
    pub fn signal(&self, t: usize) -> Result<T, Error> {
        let mut power = [self.log(t)?];
        exp_in_place(Cpu::scalar(), &mut power);
        Ok(power[0])
    }

    /// Returns B_t, the noise after the first t steps.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] unless t is from 1 to T.
    pub fn noise(&self, t: usize) -> Result<T, Error> {
        let log = self.log(t)?;
        let mut power = [log + log];
        exp_m1_in_place(Cpu::scalar(), &mut power);
        Ok((-power[0]).root())
    }

    /// Writes x_t = A_t x_0 + B_t e, what a model is trained on to tell e.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] unless t is from 1 to T, [`Error::Length`] if the lengths differ.
    pub fn diffuse(&self, t: usize, start: &[T], noise: &[T], out: &mut [T]) -> Result<(), Error> {
        let shares = [self.signal(t)?, self.noise(t)?];
        check_len(start.len(), noise.len())?;
        check_len(start.len(), out.len())?;
        dispatch!(self.cpu, isa => mix(isa, shares, start, noise, out));
        Ok(())
    }

    /// Takes a step back: x = (x - beta_t^2 / B_t e) / alpha_t + beta_t z, for the noise `predicted` in x
    /// and fresh noise z. Without z it is the mean, as after the last step.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] unless t is from 1 to T, [`Error::Length`] if the lengths differ.
    pub fn step(
        &self,
        t: usize,
        x: &mut [T],
        predicted: &[T],
        fresh: Option<&[T]>,
    ) -> Result<(), Error> {
        check_len(x.len(), predicted.len())?;
        if let Some(fresh) = fresh {
            check_len(x.len(), fresh.len())?;
        }
        let factors = [
            self.variance(t)? / self.noise(t)?,
            self.alpha(t)?,
            self.beta(t)?,
        ];
        dispatch!(self.cpu, isa => back(isa, factors, x, predicted, fresh));
        Ok(())
    }
}

/// Writes a x + b e.
#[inline(always)]
fn mix<S: Isa, T: Scalar>(_: S, [a, b]: [T; 2], x: &[T], e: &[T], out: &mut [T]) {
    for ((out, &x), &e) in out.iter_mut().zip(x).zip(e) {
        *out = canonical(a * x + b * e);
    }
}

/// Replaces x by (x - a e) / b + c z.
#[inline(always)]
fn back<S: Isa, T: Scalar>(_: S, [a, b, c]: [T; 3], x: &mut [T], e: &[T], z: Option<&[T]>) {
    for (x, &e) in x.iter_mut().zip(e) {
        *x = canonical((*x - a * e) / b);
    }
    for (x, &z) in x.iter_mut().zip(z.unwrap_or_default()) {
        *x = canonical(*x + c * z);
    }
}
