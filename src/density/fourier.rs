//! The Fourier density.

use super::double::Double;
use super::many::{Wanted, many, of};
use super::quantile::quantile;
use super::series::{NUMBERS, Series, integrate};
use super::{Density1d, Domain};
use crate::error::{Parameter, check_len};
use crate::math::exp::scale;
use crate::scalar::Scalar;
use crate::simd::{Lanes, One, number};
use crate::{Cpu, Error};

/// A density that is the square of a short Fourier series, normalized.
///
/// p(x) = |A(x)|^2 / (2 sum |a_k|^2) with A(x) = sum_k a_k exp(-i pi k x), k = 0 ... N, on the period
/// \[-1, 1\]; a [`Domain`] maps it elsewhere. De la Fuente, Singh and Ballé (2024), arXiv 2402.15345.
///
/// * **Shapes:** `coefficients` are a_0, a_1, ... as pairs of real and imaginary part; the storage has
///   [`storage_len`](Self::storage_len) elements for them.
/// * **Domain:** finite coefficients, some not zero. One alone is the constant density. A common factor and
///   a common phase make no difference.
/// * **Edges:** outside of the domain the density is zero and the cumulative zero or one; NaN gives NaN.
/// * **Accuracy:** the rows `Fourier density ...`. The density's error is absolute, in units of the
///   amplitude's size; [`cumulative`](Density1d::cumulative) of one point is right to the last place, relative to
///   itself also where it is small; [`cumulative_into`](Density1d::cumulative_into) has an absolute error of a
///   few units. [`quantile`](Density1d::quantile) u has the cumulative u within 4 ULP or half the step to the
///   neighboring number, whichever is more; farther from zero than 4096 times the length of the domain it is the
///   nearest number or, where two are almost as near, the other.
/// * **Cost:** 4 multiplications and additions a coefficient for a density and for the cumulative of many points;
///   the cumulative of one takes about 150, a quantile three to ten of those. `new` takes about 200
///   operations for each pair of coefficients.
///
/// ```
/// use suanzi::density::{Density1d, Domain, FourierDensity};
///
/// // (1 + cos(pi x)) / 2
/// let raised = FourierDensity::new(Domain::unit(), &[1.0_f64, 0.0, 1.0, 0.0], [0.0; 12])?;
/// assert_eq!(raised.density(0.0), 1.0);
/// assert_eq!(raised.density(1.0), 0.0);
/// assert_eq!(raised.cumulative(0.0), 0.5);
/// assert!((raised.quantile(0.25) + 0.264742).abs() < 1e-6);
///
/// let line = Domain::line(10.0, 2.0)?;
/// let bump = FourierDensity::new(line, &[1.0_f32, 0.0, 0.5, 0.25], [0.0; 12])?;
/// let mut density = [0.0; 3];
/// bump.density_into(&[8.0, 10.0, 12.0], &mut density)?;
/// assert!(density.iter().all(|&p| p > 0.0));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FourierDensity<T, S> {
    domain: Domain<T>,
    count: usize,
    factor: T,
    storage: S,
    executor: Cpu,
}

impl<T: Scalar, S> FourierDensity<T, S> {
    /// Returns the elements that the storage needs for `count` complex coefficients.
    #[must_use]
    pub const fn storage_len(count: usize) -> usize {
        count.saturating_mul(NUMBERS)
    }

    /// Moves the density to another executor. The forms for one point run in one lane always.
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Returns the domain.
    pub fn domain(&self) -> Domain<T> {
        self.domain
    }

    /// Returns the number of coefficients.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> FourierDensity<T, S> {
    /// Returns the density of these coefficients, in storage that the caller lends.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if the coefficients are not pairs, [`Parameter::Coefficients`] if there are none,
    /// if one is not finite or all are zero, [`Error::Length`] unless the storage has
    /// [`storage_len`](Self::storage_len) elements.
    pub fn new(domain: Domain<T>, coefficients: &[T], mut storage: S) -> Result<Self, Error> {
        let (pairs, rest) = coefficients.as_chunks::<2>();
        if !rest.is_empty() {
            let found = coefficients.len();
            return Err(Error::Multiple { of: 2, found });
        }
        let count = pairs.len();
        check_len(Self::storage_len(count), storage.as_ref().len())?;
        let raise = Raise::to_one(coefficients)?;
        let mut factor = T::ONE;
        let amplitude_len = count.saturating_mul(2);
        let parts = storage.as_mut().split_at_mut_checked(amplitude_len);
        if let Some((amplitude, rest)) = parts
            && let Some((primitive, lack)) = rest.split_at_mut_checked(amplitude_len)
        {
            let amplitude = amplitude.as_chunks_mut::<2>().0;
            for (k, (to, &[re, im])) in amplitude.iter_mut().zip(pairs).enumerate() {
                let (re, im) = (raise.of(re), raise.of(im));
                *to = if k.is_multiple_of(2) {
                    [re, -im]
                } else {
                    [-re, im]
                };
            }
            let lack = lack.as_chunks_mut::<2>().0;
            factor = integrate(amplitude, primitive.as_chunks_mut::<2>().0, lack);
        }
        Ok(Self {
            domain,
            count,
            factor,
            storage,
            executor: Cpu::default(),
        })
    }
}

/// A power of two, as two factors.
struct Raise<T>(T, T);

impl<T: Scalar> Raise<T> {
    /// Returns the one that brings the greatest number close to one.
    fn to_one(x: &[T]) -> Result<Self, Error> {
        let mut greatest = T::ZERO;
        let mut finite = true;
        for &x in x {
            let magnitude = if x < T::ZERO { -x } else { x };
            finite &= magnitude < T::INFINITY;
            if magnitude > greatest {
                greatest = magnitude;
            }
        }
        if !finite || greatest <= T::ZERO {
            return Err(Error::Domain(Parameter::Coefficients));
        }
        let lane = |x: T| T::Lanes::<One>::splat(One, x);
        let (raised, back) = if greatest < T::NORMALS_FROM {
            (greatest * T::RAISE, T::RAISED)
        } else {
            (greatest, T::ZERO)
        };
        let (_, exponent) = lane(raised).split_exponent();
        let (first, second) = scale(One, lane(back) - exponent);
        Ok(Self(number::<T>(first), number::<T>(second)))
    }

    fn of(&self, x: T) -> T {
        x * self.0 * self.1
    }
}

impl<T: Scalar, S: AsRef<[T]>> FourierDensity<T, S> {
    /// Returns the coefficients as kernels read them.
    pub(super) fn series(&self) -> Series<'_, T> {
        let amplitude_len = self.count.saturating_mul(2);
        let parts = self.storage.as_ref().split_at_checked(amplitude_len);
        let (amplitude, rest) = parts.unwrap_or_default();
        let (primitive, lack) = rest.split_at_checked(amplitude_len).unwrap_or_default();
        Series {
            amplitude: amplitude.as_chunks::<2>().0,
            primitive: primitive.as_chunks::<2>().0,
            lack: lack.as_chunks::<2>().0,
            factor: self.factor,
        }
    }

    /// Returns the probability of what lies between two points, without the cancellation of a difference of
    /// two cumulatives: zero if they are not in order, NaN if one is. On a circle both lie in one turn.
    ///
    /// ```
    /// use suanzi::density::{Domain, FourierDensity};
    ///
    /// let flat = FourierDensity::new(Domain::unit(), &[1.0_f32, 0.0], [0.0; 6])?;
    /// assert_eq!(flat.probability(0.25, 0.5), 0.125);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[must_use]
    pub fn probability(&self, from: T, to: T) -> T {
        let lane = |x: T| T::Lanes::<One>::splat(One, x);
        if from < to {
            let (apart, middle) = self.domain.apart(One, lane(from), lane(to));
            let p = self
                .series()
                .stretch(number::<T>(apart), number::<T>(middle));
            if p.is_nan() {
                T::NAN
            } else if p < T::ONE {
                p
            } else {
                T::ONE
            }
        } else if from >= to {
            T::ZERO
        } else {
            T::NAN
        }
    }

    /// Returns the integral of p(x) exp(-i pi n x) over the period, which is c_n / c_0 with c_n = sum_k a_k
    /// conj(a_{k+n}): one at n = 0, zero above the last coefficient.
    ///
    /// ```
    /// use suanzi::density::{Domain, FourierDensity};
    ///
    /// let fejer = FourierDensity::new(Domain::unit(), &[1.0_f32, 0.0, 1.0, 0.0], [0.0; 12])?;
    /// assert_eq!(fejer.characteristic(1), (0.5, 0.0));
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[must_use]
    pub fn characteristic(&self, n: usize) -> (T, T) {
        self.series().coefficient(n)
    }

    /// Returns a sample from a word of 32 uniform bits: the quantile of the middle of one of 2^32 equal parts.
    ///
    /// ```
    /// use suanzi::density::{Domain, FourierDensity};
    ///
    /// let flat = FourierDensity::new(Domain::unit(), &[1.0_f64, 0.0], [0.0; 6])?;
    /// assert!(flat.sample(0) < -0.999_999 && flat.sample(u32::MAX) > 0.999_999);
    /// assert!(flat.sample(1 << 31).abs() < 1e-9);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[must_use]
    pub fn sample(&self, word: u32) -> T {
        let unit = |word: u32| {
            // 33 bits as two numbers, each exact.
            let part = T::from_count(1 << 16);
            let upper = T::from_count((word >> 16) as usize) / part;
            let lower = T::from_count((word << 1 & 0x1_ffff | 1) as usize);
            (upper, lower / (part * part * T::TWO))
        };
        quantile(One, self.domain, self.series(), unit(word), unit(!word))
    }
}

impl<T: Scalar, S: AsRef<[T]>> Density1d<T> for FourierDensity<T, S> {
    fn density(&self, y: T) -> T {
        let y = T::Lanes::<One>::splat(One, y);
        let series = self.series();
        number::<T>(of(One, Wanted::Density, self.domain, series, y))
    }

    fn ln_density(&self, y: T) -> T {
        let y = T::Lanes::<One>::splat(One, y);
        let series = self.series();
        number::<T>(of(One, Wanted::Logarithm, self.domain, series, y))
    }

    fn cumulative(&self, y: T) -> T {
        let y = T::Lanes::<One>::splat(One, y);
        let (distance, sign) = self.domain.exact_place(One, y);
        let tail = self.series().exact_tail(One, distance, sign);
        let tail = if number::<T>(sign) < T::ZERO {
            Double::of(One, T::Lanes::<One>::splat(One, T::ONE)).minus(tail)
        } else {
            tail
        };
        let u = number::<T>(tail.rounded());
        if u.is_nan() { T::NAN } else { u }
    }

    fn quantile(&self, u: T) -> T {
        // A zero has the sign of a distance.
        let u = u + T::ZERO;
        let rest = T::ONE - u;
        let lost = (T::ONE - rest) - u;
        quantile(One, self.domain, self.series(), (u, T::ZERO), (rest, lost))
    }

    fn density_into(&self, y: &[T], out: &mut [T]) -> Result<(), Error> {
        check_len(y.len(), out.len())?;
        let (domain, series) = (self.domain, self.series());
        many(self.executor, Wanted::Density, domain, series, y, out);
        Ok(())
    }

    fn ln_density_into(&self, y: &[T], out: &mut [T]) -> Result<(), Error> {
        check_len(y.len(), out.len())?;
        let (domain, series) = (self.domain, self.series());
        many(self.executor, Wanted::Logarithm, domain, series, y, out);
        Ok(())
    }

    fn cumulative_into(&self, y: &[T], out: &mut [T]) -> Result<(), Error> {
        check_len(y.len(), out.len())?;
        let (domain, series) = (self.domain, self.series());
        many(self.executor, Wanted::Cumulative, domain, series, y, out);
        Ok(())
    }
}
