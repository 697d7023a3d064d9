//! How well coefficients explain data, and the gradient of that.

use super::roughness::roughness;
use super::series::{Half, horner};
use super::{Domain, Sample};
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::math::ln::ln_lanes;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes};
use crate::{Cpu, Error};

/// Points whose sums are kept apart.
const PIECE: usize = 4096;
/// Sums beside those of the coefficients: the value, and those of location and scale.
const OTHERS: usize = 3;

/// The mean negative log-likelihood of data under a Fourier density, with its exact gradient.
///
/// The value is the weighted mean of -ln q(y) plus `roughness` times the integral of p'(x)^2 over the period,
/// pi^2 sum n^2 |c_n / c_0|^2 (De la Fuente et al., 2024, section 2.3, of the normalized density). The
/// parameters are the coefficients as [`FourierDensity::new`](super::FourierDensity::new) takes them; with
/// [`with_free_map`](Self::with_free_map) the location and the logarithm of the scale of a line follow.
///
/// * **Edges:** data without density give infinity, NaN in data or parameters gives NaN; a weight of zero
///   hides both.
/// * **Accuracy:** the row `Fourier density, likelihood`.
/// * **Cost:** about 12 operations for each coefficient and point, and the square of the number of coefficients
///   once where there is a roughness. Sums of 4096 points are kept apart, sixteen lanes each.
///
/// ```
/// use suanzi::density::{Domain, Likelihood, Sample};
///
/// let likelihood = Likelihood::new(Domain::unit());
/// let (parameters, mut gradient) = ([1.0_f64, 0.0, 0.0, 0.0], [0.0; 4]);
/// let mut scratch = [0.0; Likelihood::<f64>::scratch_len(2)];
/// let data = Sample::new(&[0.1, -0.2, 0.3])?;
/// let value = likelihood.evaluate(&parameters, data, &mut gradient, &mut scratch)?;
/// assert!((value - core::f64::consts::LN_2).abs() < 1e-15);
/// // More of the first harmonic lifts the middle.
/// assert!(gradient[2] < 0.0);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Likelihood<T> {
    domain: Domain<T>,
    roughness: T,
    free: bool,
    executor: Cpu,
}

impl<T: Scalar> Likelihood<T> {
    /// Returns the likelihood on a domain.
    #[must_use]
    pub fn new(domain: Domain<T>) -> Self {
        Self {
            domain,
            roughness: T::ZERO,
            free: false,
            executor: Cpu::default(),
        }
    }

    /// Adds a penalty on the roughness.
    ///
    /// # Errors
    ///
    /// [`Parameter::Rate`] unless it is finite and not negative.
    pub fn with_roughness(self, roughness: T) -> Result<Self, Error> {
        if roughness >= T::ZERO && roughness < T::INFINITY {
            Ok(Self { roughness, ..self })
        } else {
            Err(Error::Domain(Parameter::Rate))
        }
    }

    /// Returns the likelihood alone.
    pub(super) fn without_roughness(self) -> Self {
        let roughness = T::ZERO;
        Self { roughness, ..self }
    }

    /// Returns the location of a line and the logarithm of its scale.
    pub(super) fn line(&self) -> [T; 2] {
        let (location, scale) = self.domain.as_line().unwrap_or((T::ZERO, T::ONE));
        [location, scale.natural_log()]
    }

    /// Makes the location and the scale of a line parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on another domain.
    pub fn with_free_map(self) -> Result<Self, Error> {
        match self.domain.as_line() {
            Some(_) => Ok(Self { free: true, ..self }),
            None => Err(Error::Unsupported),
        }
    }

    /// Moves the likelihood to another executor.
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Returns the number of parameters for `count` coefficients.
    #[must_use]
    pub const fn parameters_len(&self, count: usize) -> usize {
        count
            .saturating_mul(2)
            .saturating_add(if self.free { 2 } else { 0 })
    }

    /// Returns the elements of scratch that [`evaluate`](Self::evaluate) needs for `count` coefficients.
    #[must_use]
    pub const fn scratch_len(count: usize) -> usize {
        let sums = count.saturating_mul(2).saturating_add(OTHERS);
        count
            .saturating_mul(4)
            .saturating_add(sums.saturating_mul(LANES))
    }

    /// Returns the domain of some parameters.
    ///
    /// # Errors
    ///
    /// [`Parameter::Interval`] if the map is free and its location and scale are not finite.
    pub fn domain(&self, parameters: &[T]) -> Result<Domain<T>, Error> {
        match parameters {
            [.., location, ln_scale] if self.free => {
                let scale = exponential(*ln_scale);
                Domain::line(*location, scale)
            }
            _ => Ok(self.domain),
        }
    }

    /// Returns the parameters' value and writes its gradient.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `gradient` is not as long as the parameters or `scratch` is not as long as
    /// [`scratch_len`](Self::scratch_len); [`Error::Multiple`] if the coefficients are not pairs,
    /// [`Parameter::Interval`] as for [`domain`](Self::domain).
    pub fn evaluate(
        &self,
        parameters: &[T],
        data: Sample<'_, T>,
        gradient: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let coefficients = parameters
            .len()
            .saturating_sub(if self.free { 2 } else { 0 });
        let count = coefficients / 2;
        if coefficients % 2 != 0 || self.free && parameters.len() < 2 {
            let found = parameters.len();
            return Err(Error::Multiple { of: 2, found });
        }
        check_len(parameters.len(), gradient.len())?;
        check_len(Self::scratch_len(count), scratch.len())?;
        let domain = self.domain(parameters)?;
        let parts = scratch.split_at_mut_checked(2 * count);
        let (amplitude, rest) = parts.unwrap_or_default();
        let amplitude = amplitude.as_chunks_mut::<2>().0;
        let a = parameters.as_chunks::<2>().0;
        let mut energy = T::ZERO;
        for (k, (b, &[re, im])) in amplitude.iter_mut().zip(a).enumerate() {
            *b = if k.is_multiple_of(2) {
                [re, -im]
            } else {
                [-re, im]
            };
            energy = energy + (re * re + im * im);
        }
        let (correlation, sums) = rest.split_at_mut_checked(2 * count).unwrap_or_default();
        let points = Points {
            domain,
            amplitude,
            factor: T::ONE / (energy + energy),
            free: self.free,
        };
        let mut value = T::ZERO;
        gradient.fill(T::ZERO);
        for (i, values) in data.values.chunks(PIECE).enumerate() {
            let start = i * PIECE;
            let weights = data.weights.map(|w| w.get(start..).unwrap_or_default());
            sums.fill(T::ZERO);
            dispatch!(self.executor, isa => points.add(isa, values, weights, sums));
            let mut joined = sums.as_chunks_mut::<LANES>().0.iter_mut().map(join);
            let mut next = || joined.next().unwrap_or(T::ZERO);
            value = value + next();
            let (location, scale) = (next(), next());
            let (coefficients, map) = gradient.split_at_mut_checked(2 * count).unwrap_or_default();
            for to in coefficients {
                *to = *to + next();
            }
            for (to, sum) in map.iter_mut().zip([location, scale]) {
                *to = *to + sum;
            }
        }
        // From sums to means, and the part of the energy.
        let share = T::ONE / data.total;
        for (g, b) in gradient.as_chunks_mut::<2>().0.iter_mut().zip(&*amplitude) {
            let of = |sum: T, b: T| (b / energy - sum * share) * T::TWO;
            *g = [of(g[0], b[0]), of(-g[1], b[1])];
        }
        if let Some((_, map)) = gradient.split_at_mut_checked(2 * count) {
            for to in map {
                *to = *to * share;
            }
        }
        value = value * share;
        if self.roughness > T::ZERO {
            let correlation = correlation.as_chunks_mut::<2>().0;
            let gradient = gradient.as_chunks_mut::<2>().0;
            value = value + roughness(self.roughness, amplitude, energy, correlation, gradient);
        }
        // Back from b to a.
        for (k, g) in gradient
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .take(count)
            .enumerate()
        {
            let [re, im] = *g;
            *g = if k.is_multiple_of(2) {
                [re, -im]
            } else {
                [-re, im]
            };
        }
        for g in gradient.iter_mut().filter(|g| g.is_nan()) {
            *g = T::NAN;
        }
        Ok(if value.is_nan() { T::NAN } else { value })
    }
}

/// Returns exp(x), in one lane.
fn exponential<T: Scalar>(x: T) -> T {
    use crate::simd::{One, number};
    let lane = T::Lanes::<One>::splat(One, x);
    number::<T>(crate::math::exp::exp_lanes(One, lane))
}

/// Adds the lanes of a sum as a tree.
fn join<T: Scalar>(lanes: &mut [T; LANES]) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, &mut high) in low.iter_mut().zip(high) {
            *low = *low + high;
        }
        half /= 2;
    }
    lanes[0]
}

/// What the sums over the data need.
struct Points<'a, T> {
    domain: Domain<T>,
    amplitude: &'a [[T; 2]],
    factor: T,
    free: bool,
}

impl<T: Scalar> Points<'_, T> {
    /// Adds to the sums what these points contribute, lane j of sixteen those of j, j + 16, ...
    ///
    /// With z = weight / B the gradient of -ln |B|^2 by b_k is -2 Re z w^k and 2 Im z w^k.
    #[inline(always)]
    fn add<S: Isa>(&self, isa: S, values: &[T], weights: Option<&[T]>, sums: &mut [T]) {
        let mut weights = weights.map(|w| w.chunks(LANES));
        for values in values.chunks(LANES) {
            let mut y = [self.domain.middle(); LANES];
            let mut weight = [T::ZERO; LANES];
            for (y, &value) in y.iter_mut().zip(values) {
                *y = value;
            }
            match weights.as_mut().map(|w| w.next().unwrap_or_default()) {
                Some(weights) => {
                    for (to, &from) in weight.iter_mut().zip(weights) {
                        *to = from;
                    }
                }
                None => {
                    for (to, _) in weight.iter_mut().zip(values) {
                        *to = T::ONE;
                    }
                }
            }
            let parts = y.chunks_exact(T::Lanes::<S>::LANES);
            let parts = parts.zip(weight.chunks_exact(T::Lanes::<S>::LANES));
            for (i, (y, weight)) in parts.enumerate() {
                let at = i * T::Lanes::<S>::LANES;
                let (y, weight) = (Lanes::load(isa, y), Lanes::load(isa, weight));
                self.add_lanes::<T::Lanes<S>>(isa, y, weight, at, sums);
            }
        }
    }

    #[inline(always)]
    fn add_lanes<V: Lanes<Element = T>>(
        &self,
        isa: V::Isa,
        y: V,
        weight: V,
        at: usize,
        sums: &mut [T],
    ) {
        let zero = V::splat(isa, T::ZERO);
        // Weightless points stand where nothing goes wrong.
        let counts = zero.lt(weight);
        let y = V::select(counts, y, V::splat(isa, self.domain.middle()));
        let place = self.domain.place(isa, y);
        let (x, v) = Half::new(isa, place.distance, place.sign).point(isa);
        let (re, im) = horner(isa, self.amplitude, (x, v));
        let square = re.mul_add(re, im * im);
        let ln = ln_lanes(isa, square * V::splat(isa, self.factor)) + self.domain.ln_slope(isa, y);
        let inverse = weight / square;
        let (mut p, mut q) = (re * inverse, -(im * inverse));
        let p_first = V::select(counts, p, zero);
        (p, q) = (p_first, V::select(counts, q, zero));
        let (others, sums) = sums
            .split_at_mut_checked(OTHERS * LANES)
            .unwrap_or_default();
        let mut turning = zero;
        let pairs = sums.as_chunks_mut::<{ 2 * LANES }>().0;
        for (k, (sums, &[b, c])) in pairs.iter_mut().zip(self.amplitude).enumerate() {
            let (first, second) = sums.split_at_mut(LANES);
            add_to(isa, first, at, p);
            add_to(isa, second, at, q);
            if self.free {
                // The imaginary part of k b_k z w^k.
                let im = V::splat(isa, b).mul_add(q, V::splat(isa, c) * p);
                turning = im.mul_add(V::splat(isa, T::from_count(k)), turning);
            }
            let next = (-q).mul_add(v, p * x);
            q = p.mul_add(v, q * x);
            p = next;
        }
        let (value, map) = others.split_at_mut_checked(LANES).unwrap_or_default();
        add_to(isa, value, at, V::select(counts, -(ln * weight), zero));
        if let Some((location, scale)) = self.domain.as_line().filter(|_| self.free) {
            let (one, two) = (V::splat(isa, T::ONE), V::splat(isa, T::TWO));
            let v = (y - V::splat(isa, location)) / V::splat(isa, scale);
            let d = place.distance;
            let pi = V::splat(isa, T::nearest(core::f64::consts::PI));
            // By v = (y - location) / scale: 2 pi Im(E / B) (1 - x^2) + 2 x.
            let x = (d - one) * place.sign * weight;
            let by_v = two * (pi * turning).mul_add(d * (two - d), x);
            let (by_location, by_scale) = map.split_at_mut_checked(LANES).unwrap_or_default();
            let location = -(by_v / V::splat(isa, scale));
            add_to(isa, by_location, at, V::select(counts, location, zero));
            add_to(
                isa,
                by_scale,
                at,
                V::select(counts, weight - by_v * v, zero),
            );
        }
    }
}

/// Adds to the lanes of a sum from `at` on.
#[inline(always)]
fn add_to<V: Lanes>(isa: V::Isa, sum: &mut [V::Element], at: usize, v: V) {
    let Some(to) = sum.get_mut(at..at + V::LANES) else {
        return;
    };
    (V::load(isa, to) + v).store(to);
}
