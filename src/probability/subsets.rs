//! How probable each element is in a random set of k, drawn in proportion to exp(sum of scores).
//!
//! Elementary symmetric polynomials count the sets, and cancel or overflow. Here the elements are
//! drawn independently instead, with probabilities q_i = 1 / (1 + exp(lambda - s_i)) that add up to k;
//! given that k came, the sets have the probabilities asked for, whatever lambda is (Chen, Dempster
//! and Liu, 1994). P(S = k) of the number S is a Fourier sum over its characteristic function, the
//! product of 1 - q_j + q_j exp(i theta): since k is the mean, nothing cancels. What is common to all
//! elements is computed once, and each divides by its own factor:
//!
//! p_i = q_i P(S without i = k - 1) / P(S = k).
//!
//! The characteristic function falls as exp(-var(S) (1 - cos theta)) and S strays from k by a few
//! standard deviations, so that for any number of elements 48 angles are enough.

use core::f64::consts::PI;

use super::Inclusion;
use super::inclusion::{Threshold, tails};
use super::lanes::TOGETHER;
use crate::scalar::Scalar;
use crate::simd::Isa;

/// The most angles, of one sign: the others are their conjugates.
const ANGLES: usize = 48;

/// Complex numbers, one for each angle.
#[derive(Clone, Copy)]
struct Complex {
    re: [f64; ANGLES],
    im: [f64; ANGLES],
}

impl Complex {
    /// Returns the same number for each angle.
    fn splat(re: f64) -> Self {
        Self {
            re: [re; ANGLES],
            im: [0.0; ANGLES],
        }
    }

    /// Returns the products.
    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        let mut product = Self::splat(0.0);
        for l in 0..ANGLES {
            product.re[l] = self.re[l] * other.re[l] - self.im[l] * other.im[l];
            product.im[l] = self.re[l] * other.im[l] + self.im[l] * other.re[l];
        }
        product
    }

    /// Adds multiples of others.
    #[inline(always)]
    fn add(&mut self, other: &Self, factor: f64) {
        for l in 0..ANGLES {
            self.re[l] += other.re[l] * factor;
            self.im[l] += other.im[l] * factor;
        }
    }

    /// Returns the sum of the real parts of the products.
    #[inline(always)]
    fn real_dot(&self, other: &Self) -> f64 {
        let mut sum = 0.0;
        for l in 0..ANGLES {
            sum += self.re[l] * other.re[l] - self.im[l] * other.im[l];
        }
        sum
    }
}

/// The angles of the Fourier sum.
struct Angles {
    /// 1 - cos(theta)
    versine: [f64; ANGLES],
    sine: [f64; ANGLES],
    /// The characteristic function of S less k, over P(S = k); zero for angles that are not needed.
    weight: Complex,
}

impl Angles {
    /// Returns the angles for the scores of `x` relative to the threshold where q adds up to k.
    #[inline(always)]
    fn new<S: Isa, T: Scalar>(isa: S, at: Threshold<T>, k: f64, x: &[T]) -> Self {
        let mut angles = Self {
            versine: [0.0; ANGLES],
            sine: [0.0; ANGLES],
            weight: Complex::splat(0.0),
        };
        let variance = at.variance(isa, x, k);
        // Sums of probabilities this far apart do not meet.
        let count = 2.0 * libm::ceil(16.0 + 4.5 * libm::sqrt(variance));
        let mut turn = Complex::splat(0.0);
        for l in 0..ANGLES {
            let odd = 2.0 * l as f64 + 1.0;
            let half = libm::sin(odd * PI / (2.0 * count));
            let versine = 2.0 * half * half;
            if odd > count || versine * variance > 45.0 {
                break;
            }
            angles.versine[l] = versine;
            angles.sine[l] = libm::sin(odd * PI / count);
            // k turns, without the whole ones: differences of integers.
            let turns = libm::floor(k * odd / (2.0 * count));
            let turned = (k * odd - turns * (2.0 * count)) * PI / count;
            turn.re[l] = libm::cos(turned);
            turn.im[l] = -libm::sin(turned);
        }
        let mut product = Complex::splat(1.0);
        chances(isa, at, x, |_, q| {
            product = product.times(&angles.factor(q));
        });
        angles.weight = product.times(&turn);
        let whole: f64 = angles.weight.re.iter().sum();
        for l in 0..ANGLES {
            angles.weight.re[l] /= whole;
            angles.weight.im[l] /= whole;
        }
        angles
    }

    /// Returns 1 - q + q exp(i theta).
    #[inline(always)]
    fn factor(&self, q: f64) -> Complex {
        let mut factor = Complex::splat(0.0);
        for l in 0..ANGLES {
            factor.re[l] = 1.0 - q * self.versine[l];
            factor.im[l] = q * self.sine[l];
        }
        factor
    }

    /// Returns q exp(i theta) / (1 - q + q exp(i theta)): what having an element makes of a sum without
    /// a condition on it.
    #[inline(always)]
    fn having(&self, q: f64) -> Complex {
        let mut having = Complex::splat(0.0);
        for l in 0..ANGLES {
            let (re, im) = (1.0 - q * self.versine[l], q * self.sine[l]);
            let share = q / (re * re + im * im);
            let (cosine, sine) = (1.0 - self.versine[l], self.sine[l]);
            having.re[l] = (cosine * re + sine * im) * share;
            having.im[l] = (sine * re - cosine * im) * share;
        }
        having
    }
}

/// Calls `each` with every element's place and its q.
#[inline(always)]
fn chances<S: Isa, T: Scalar>(isa: S, at: Threshold<T>, x: &[T], mut each: impl FnMut(usize, f64)) {
    for (block, x) in x.chunks(TOGETHER).enumerate() {
        for (i, &q) in chances_of(isa, at, x).iter().enumerate().take(x.len()) {
            each(block * TOGETHER + i, q);
        }
    }
}

/// Returns q of a few elements.
#[inline(always)]
fn chances_of<S: Isa, T: Scalar>(isa: S, at: Threshold<T>, x: &[T]) -> [f64; TOGETHER] {
    let d = at.above(x);
    let (mut chances, mut slopes) = (d, [0.0; TOGETHER]);
    tails::<S>(isa, Inclusion::Logistic, &mut chances, &mut slopes);
    for (q, d) in chances.iter_mut().zip(d) {
        *q += if d >= 0.0 { 1.0 } else { 0.0 };
    }
    chances
}

/// Replaces scores by the probabilities that a set of k has them.
#[inline(always)]
pub(super) fn subsets<S: Isa, T: Scalar>(isa: S, at: Threshold<T>, k: f64, x: &mut [T]) {
    let angles = Angles::new(isa, at, k, x);
    for x in x.chunks_mut(TOGETHER) {
        let chances = chances_of(isa, at, x);
        for (x, q) in x.iter_mut().zip(chances) {
            let p = angles.weight.real_dot(&angles.having(q));
            *x = T::nearest(p.clamp(0.0, 1.0));
        }
    }
}

/// Replaces scores by the gradient of <dp, p> in them: the covariance of membership times dp.
#[inline(always)]
pub(super) fn subsets_vjp<S: Isa, T: Scalar>(
    isa: S,
    at: Threshold<T>,
    k: f64,
    dp: &[T],
    x: &mut [T],
) {
    let angles = Angles::new(isa, at, k, x);
    let dp_of = |i: usize| dp.get(i).map_or(0.0, |dp| dp.wide());
    let [mut whole, mut moved] = [Complex::splat(0.0); 2];
    chances(isa, at, x, |i, q| {
        let having = angles.having(q);
        whole.add(&having, 1.0);
        moved.add(&having, dp_of(i));
    });
    // Membership adds up to k, always: a constant in dp moves nothing, and its mean is taken away.
    let mean = angles.weight.real_dot(&moved) / k;
    moved.add(&whole, -mean);
    for (block, x) in x.chunks_mut(TOGETHER).enumerate() {
        let chances = chances_of(isa, at, x);
        for (i, (x, q)) in x.iter_mut().zip(chances).enumerate() {
            let change = dp_of(block * TOGETHER + i) - mean;
            let having = angles.having(q);
            // The others beside this one, then this one by itself.
            let mut beside = moved;
            beside.add(&having, -change);
            let weighed = angles.weight.times(&having);
            let alone = angles.weight.real_dot(&having);
            *x = T::nearest(weighed.real_dot(&beside) + change * alone);
        }
    }
}
