//! The entmax of any other order: probabilities that grow as a power that is no integer.

use super::lanes::{TOGETHER, part, total, vectors};
use super::root::falling;
use super::threshold::{STEPS, Shape, below, ended};
use crate::math::exp::ScaledExp;
use crate::math::ln::ln_of_normal;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes};

/// u = factor z - tau with sum u^exponent = 1, for any exponent, by a logarithm and an exponential; the
/// probabilities are p = u^power.
///
/// A probability's relative error is that of u times its power, and of the sum's over u: working
/// precision would leave tiny probabilities few digits. It serves the first steps; the last ones and
/// the probabilities themselves are computed in `f64`.
#[derive(Clone, Copy)]
pub(super) struct Power {
    factor: f64,
    exponent: f64,
    power: f64,
}

impl Power {
    /// Returns the entmax of an alpha above one.
    #[inline(always)]
    pub(super) fn entmax(alpha: f64) -> Self {
        let beta = alpha - 1.0;
        Self {
            factor: beta,
            exponent: 1.0 / beta,
            power: 1.0 / beta,
        }
    }

    /// Returns the normmax of an alpha above one, but for its division by the sum.
    #[inline(always)]
    pub(super) fn normmax(alpha: f64) -> Self {
        let power = 1.0 / (alpha - 1.0);
        Self {
            factor: 1.0,
            exponent: 1.0 + power,
            power,
        }
    }

    /// Replaces scores by max(0, factor (x - max) - tau), in the number type `N`.
    #[inline(always)]
    fn above<T: Scalar, N: Scalar>(self, x: &[T], max: T, tau: N, u: &mut [N]) {
        let [factor, max] = [self.factor, max.wide()].map(N::nearest);
        let zero = N::ZERO;
        for (u, &x) in u.iter_mut().zip(x) {
            let above = factor * (N::nearest(x.wide()) - max) - tau;
            *u = if above > zero { above } else { zero };
        }
    }

    /// Returns u^exponent, for u = 0 or normal, up to one and a little more.
    #[inline(always)]
    fn raise<V: Lanes>(isa: V::Isa, u: V, exponent: f64) -> V {
        let [zero, factor] = [V::Element::ZERO, V::Element::nearest(exponent)].map(
            #[inline(always)]
            |c| V::splat(isa, c),
        );
        let exp = ScaledExp::unraised(isa, V::Element::ZERO, V::Element::ZERO);
        let p = exp.of(isa, ln_of_normal(isa, u) * factor);
        Lanes::select(zero.lt(u), p, zero)
    }

    /// Returns the sums over u^exponent and over its power less one, in the number type `N`.
    #[inline(always)]
    fn sums<S: Isa, T: Scalar, N: Scalar>(
        self,
        isa: S,
        x: &[T],
        len: usize,
        max: T,
        tau: N,
    ) -> (N, N) {
        let zero = N::Lanes::<S>::splat(isa, N::ZERO);
        let mut sums = [[zero; LANES]; 2];
        for x in x.chunks(TOGETHER) {
            let [mut above, mut slopes] = [[N::ZERO; TOGETHER]; 2];
            self.above(x, max, tau, &mut above);
            let mut at = 0;
            while at < x.len() {
                let v = N::Several::<S>::load(isa, part(&above, at));
                let p = Self::raise(isa, v, self.exponent);
                let zero = N::Several::<S>::splat(isa, N::ZERO);
                Lanes::select(zero.lt(v), p / v, zero)
                    .store(slopes.get_mut(at..).unwrap_or_default());
                p.store(above.get_mut(at..).unwrap_or_default());
                at += N::Several::<S>::LANES;
            }
            for (sums, terms) in sums.iter_mut().zip([&above, &slopes]) {
                for row in terms.as_chunks::<LANES>().0 {
                    for (i, sum) in sums.iter_mut().enumerate().take(vectors::<S, N>(len)) {
                        *sum = *sum + N::Lanes::<S>::load(isa, part(row, i * N::Lanes::<S>::LANES));
                    }
                }
            }
        }
        let [sums, slopes] = &sums;
        (total::<S, N>(sums, len), total::<S, N>(slopes, len))
    }

    /// Returns the threshold where the sum is convex, for exponents from one on, by steps in the number type `N`
    /// until one is below `fine` of it.
    ///
    /// The root found is that of the norm, sum^(1 / exponent) - 1: it is convex too, and so near to a line that
    /// for equal scores the first step ends.
    #[inline(always)]
    fn climb<S: Isa, T: Scalar, N: Scalar>(
        self,
        isa: S,
        x: &[T],
        len: usize,
        max: T,
        from: f64,
        fine: f64,
    ) -> f64 {
        let (mut tau, mut steps) = (from, 0);
        for _ in 0..STEPS {
            steps += 1;
            let (step, _) = self.step::<S, T, N>(isa, x, len, max, tau);
            if step.is_nan() {
                break;
            }
            tau += step;
            if step.abs() < fine * -tau {
                break;
            }
        }
        ended(steps);
        tau
    }

    /// Returns the step from a threshold towards that of the norm one, and how much the sum exceeds
    /// one. Sums are taken in the number type `N`.
    #[inline(always)]
    fn step<S: Isa, T: Scalar, N: Scalar>(
        self,
        isa: S,
        x: &[T],
        len: usize,
        max: T,
        tau: f64,
    ) -> (f64, f64) {
        let (sum, slope) = self.sums(isa, x, len, max, N::nearest(tau));
        let (sum, slope) = (sum.wide(), slope.wide());
        // sum^(-1 / exponent) - 1
        let fall = libm::expm1(-libm::log(sum) / self.exponent);
        (-sum * fall / slope, sum - 1.0)
    }

    /// Returns the threshold by the same steps in a bracket, for exponents below one, where nothing is convex.
    #[inline(always)]
    fn bracket<S: Isa, T: Scalar>(self, isa: S, x: &[T], len: usize, max: T, from: f64) -> f64 {
        // The greatest term alone is no more than one, and no less than the mean.
        let high = -libm::exp(-libm::log(len as f64) / self.exponent);
        // Where an element barely enters, the sum is as steep as can be, and steps are tiny.
        falling((from, high), from, |tau| {
            let (step, excess) = self.step::<S, T, f64>(isa, x, len, max, tau);
            (step, if excess.abs() < 1e-14 { 0.0 } else { excess })
        })
    }
}

impl<T: Scalar> Shape<T> for Power {
    type Threshold = f64;

    #[inline(always)]
    fn reach(&self) -> T {
        T::nearest(1.0 / self.factor)
    }

    #[inline(always)]
    fn solve<S: Isa>(&self, isa: S, x: &[T], len: usize, max: T, from: Option<f64>) -> f64 {
        let from = from.unwrap_or(-1.0);
        if len <= 1 {
            return from;
        }
        if self.exponent < 1.0 {
            return self.bracket(isa, x, len, max, from);
        }
        // A large exponent makes too much of the first steps' rounding errors.
        let from = if self.exponent < 64.0 {
            self.climb::<S, T, T>(isa, x, len, max, from, 1e-4)
        } else {
            from
        };
        self.climb::<S, T, f64>(isa, x, len, max, from, 1e-6)
    }

    #[inline(always)]
    fn cut(&self, max: T, at: f64) -> T {
        below(max, max + T::nearest(at / self.factor))
    }

    #[inline(always)]
    fn write<S: Isa>(&self, isa: S, x: &mut [T], max: T, at: f64) {
        // Where the sum of a norm is one that of the probabilities is its slope.
        let share = if self.exponent == self.power {
            1.0
        } else {
            1.0 / self.sums::<S, T, f64>(isa, x, LANES, max, at).1
        };
        for x in x.chunks_mut(TOGETHER) {
            let mut above = [0.0; TOGETHER];
            self.above(x, max, at, &mut above);
            let mut done = 0;
            while done < x.len() {
                let u = S::F64s::load(isa, part(&above, done));
                let p = Self::raise(isa, u, self.power);
                p.store(above.get_mut(done..).unwrap_or_default());
                done += S::F64s::LANES;
            }
            for (x, above) in x.iter_mut().zip(above) {
                *x = T::nearest(above * share);
            }
        }
    }
}
