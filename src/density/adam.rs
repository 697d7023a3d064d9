//! Adam, for streams of small batches.

use crate::Error;
use crate::error::{Parameter, check_len};
use crate::scalar::Scalar;

/// Adam (Kingma and Ba, 2015, arXiv 1412.6980) over moments in lent storage.
///
/// x falls by rate m' / (sqrt(v') + epsilon), where m and v are running means of the gradient and of its square
/// with decays 0.9 and 0.999, and the primes take away their bias towards zero.
///
/// * **Shapes:** the storage has [`storage_len`](Self::storage_len) elements: twice as many as parameters.
/// * **Edges:** a gradient that is not finite leaves parameters and moments as they are, and the step does not
///   count: one bad batch in a stream does no harm.
///
/// ```
/// use suanzi::density::Adam;
///
/// // The least of (x - 3)^2.
/// let mut adam = Adam::new(0.125_f64, [0.0; 2])?;
/// let mut x = [0.0];
/// for _ in 0..500 {
///     let gradient = [2.0 * (x[0] - 3.0)];
///     adam.step(&mut x, &gradient)?;
/// }
/// assert!((x[0] - 3.0_f64).abs() < 1e-3);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adam<T, S> {
    rate: T,
    decay: [T; 2],
    /// The decays to the power of the number of steps.
    powers: [T; 2],
    epsilon: T,
    storage: S,
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Adam<T, S> {
    /// Returns the elements that the storage needs for this many parameters.
    #[must_use]
    pub const fn storage_len(parameters: usize) -> usize {
        parameters.saturating_mul(2)
    }

    /// Returns an optimizer before its first step; the storage is cleared.
    ///
    /// # Errors
    ///
    /// [`Parameter::Rate`] unless the rate is finite and positive.
    pub fn new(rate: T, mut storage: S) -> Result<Self, Error> {
        if !(rate > T::ZERO && rate < T::INFINITY) {
            return Err(Error::Domain(Parameter::Rate));
        }
        storage.as_mut().fill(T::ZERO);
        Ok(Self {
            rate,
            decay: [T::nearest(0.9), T::nearest(0.999)],
            powers: [T::ONE; 2],
            epsilon: T::nearest(1e-8),
            storage,
        })
    }

    /// Changes the rate, for a schedule.
    ///
    /// # Errors
    ///
    /// [`Parameter::Rate`] unless the rate is finite and positive.
    pub fn set_rate(&mut self, rate: T) -> Result<(), Error> {
        if !(rate > T::ZERO && rate < T::INFINITY) {
            return Err(Error::Domain(Parameter::Rate));
        }
        self.rate = rate;
        Ok(())
    }

    /// Moves the parameters against a gradient.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the two lengths differ or are not half that of the storage.
    pub fn step(&mut self, parameters: &mut [T], gradient: &[T]) -> Result<(), Error> {
        check_len(parameters.len(), gradient.len())?;
        check_len(
            Self::storage_len(parameters.len()),
            self.storage.as_ref().len(),
        )?;
        if !gradient.iter().all(|&g| g - g == T::ZERO) {
            return Ok(());
        }
        let [first, second] = self.decay;
        self.powers = [self.powers[0] * first, self.powers[1] * second];
        let [m_scale, v_scale] = self.powers.map(|power| T::ONE / (T::ONE - power));
        let parts = self.storage.as_mut().split_at_mut_checked(parameters.len());
        let (m, v) = parts.unwrap_or_default();
        for ((x, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(m.iter_mut().zip(v)) {
            *m = *m * first + g * (T::ONE - first);
            *v = *v * second + g * g * (T::ONE - second);
            let root = (*v * v_scale).root();
            *x = *x - self.rate * (*m * m_scale) / (root + self.epsilon);
        }
        Ok(())
    }
}
