//! What a density amounts to: variation, entropy and divergence.

use super::series::{Half, Series};
use super::{Density1d, FourierDensity};
use crate::math::exp::exp_lanes;
use crate::scalar::Scalar;
use crate::simd::{Lanes, One, number};

/// How far the substitution goes: beyond it what is left at an end is below the precision.
const REACH: f64 = 3.3;

impl<T: Scalar, S: AsRef<[T]>> FourierDensity<T, S> {
    /// Returns the total squared variation, the integral of p'(x)^2 over the period: pi^2 sum n^2 |c_n / c_0|^2.
    ///
    /// That of the article, of the series before it is normalized, is (2 c_0)^2 times as great, c_0 = sum |a_k|^2.
    /// Takes the square of the number of coefficients.
    ///
    /// ```
    /// use suanzi::density::{Domain, FourierDensity};
    ///
    /// let raised = FourierDensity::new(Domain::unit(), &[1.0_f64, 0.0, 1.0, 0.0], [0.0; 12])?;
    /// let exact = core::f64::consts::PI.powi(2) / 4.0;
    /// assert!((raised.variation() - exact).abs() < 1e-15);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[must_use]
    pub fn variation(&self) -> T {
        let series = self.series();
        let pi = T::nearest(core::f64::consts::PI);
        let mut sum = T::ZERO;
        for n in 1..self.count() {
            let (re, im) = series.coefficient(n);
            let n = T::from_count(n);
            sum = sum + n * n * (re * re + im * im);
        }
        sum * (pi * pi)
    }

    /// Returns the differential entropy in nats, the integral of -q ln q, by a double exponential quadrature
    /// (Takahasi and Mori, 1974) of 2 `nodes` + 1 nodes.
    ///
    /// Where the density has no zero the error falls with the nodes at an exponential rate, once there are some
    /// eight for each coefficient; zeros slow it down, since q ln q is not smooth there: the row `Fourier density,
    /// entropy`.
    ///
    /// ```
    /// use suanzi::density::{Domain, FourierDensity};
    ///
    /// let flat = FourierDensity::new(Domain::interval(0.0, 4.0)?, &[1.0_f64, 0.0], [0.0; 6])?;
    /// assert!((flat.entropy(50) - 4.0_f64.ln()).abs() < 1e-12);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[must_use]
    pub fn entropy(&self, nodes: usize) -> T {
        let series = self.series();
        let domain = self.domain();
        integral(series, nodes, |distance, sign, p| {
            let lane = |x: T| T::Lanes::<One>::splat(One, x);
            let y = domain.at(One, lane(distance), lane(sign));
            let slope = number::<T>(domain.ln_slope(One, y));
            -(p.natural_log() + slope)
        })
    }

    /// Returns the divergence of Kullback and Leibler from this density to another, in nats: the integral of
    /// q (ln q - ln r), by the quadrature of [`entropy`](Self::entropy). Infinite where r is zero on a node
    /// and q is not.
    ///
    /// ```
    /// use suanzi::density::{Domain, FourierDensity};
    ///
    /// let flat = FourierDensity::new(Domain::unit(), &[1.0_f64, 0.0], [0.0; 6])?;
    /// let bump = FourierDensity::new(Domain::unit(), &[1.0_f64, 0.0, 0.25, 0.0], [0.0; 12])?;
    /// assert_eq!(bump.divergence(&bump, 60), 0.0);
    /// assert!(bump.divergence(&flat, 60) > 0.05);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    #[must_use]
    pub fn divergence(&self, other: &impl Density1d<T>, nodes: usize) -> T {
        let domain = self.domain();
        integral(self.series(), nodes, |distance, sign, _| {
            let lane = |x: T| T::Lanes::<One>::splat(One, x);
            let y = number::<T>(domain.at(One, lane(distance), lane(sign)));
            self.ln_density(y) - other.ln_density(y)
        })
    }
}

/// Integrates p(x) f over the period, where f takes the distance from the nearer end, its sign and p.
///
/// With x = tanh(pi/2 sinh t) the distance from an end is 2 / (1 + exp(pi sinh |t|)), and its change with t
/// pi cosh(t) times distance times (2 - distance) / 2.
fn integral<T: Scalar>(series: Series<'_, T>, nodes: usize, mut f: impl FnMut(T, T, T) -> T) -> T {
    let lane = |x: T| T::Lanes::<One>::splat(One, x);
    let exp = |x: T| number::<T>(exp_lanes(One, lane(x)));
    let pi = T::nearest(core::f64::consts::PI);
    let step = T::nearest(REACH) / T::from_count(nodes.max(1));
    let (mut sum, mut weights) = (T::ZERO, T::ZERO);
    for i in 0..=nodes.max(1) {
        let t = step * T::from_count(i);
        let (up, down) = (exp(t), exp(-t));
        let e = exp(-(pi * (up - down) * T::HALF));
        let distance = e * T::TWO / (T::ONE + e);
        let weight = (up + down) * distance * (T::TWO - distance);
        let signs = [T::ONE, -T::ONE];
        // Both sides share the middle.
        for &sign in signs.iter().take(if i == 0 { 1 } else { 2 }) {
            let at = Half::new(One, lane(distance), lane(sign));
            let p = number::<T>(series.density(One, at));
            weights = weights + weight * p;
            // What is left at an end would round into it.
            if weight * p > T::ONE / T::INTEGERS_FROM {
                sum = sum + weight * p * f(distance, sign, p);
            }
        }
    }
    // The weights are of the same quadrature, whose error they share.
    let mean = sum / weights;
    if mean.is_nan() { T::NAN } else { mean }
}
