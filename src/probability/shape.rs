//! The shapes of the sparse maps: how probability grows above the threshold.

use super::list::rows;
use super::threshold::{Shape, below, tree};
use crate::math::exp::ScaledExp;
use crate::math::ln::ln_of_normal;
use crate::math::twofold::{fast_two_sum, two_product, two_sum};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes, One, number, order};

/// p = u^POWER with the power 1 or 2, in the number type itself.
///
/// Thresholds are pairs, a number and what is missing from it, and u is taken with its rounding error:
/// a small probability is the small difference of two large numbers.
#[derive(Clone, Copy)]
pub(super) struct Degree<const POWER: usize, T> {
    /// What probabilities add up to.
    pub(super) radius: T,
}

impl<const POWER: usize, T: Scalar> Degree<POWER, T> {
    /// 1 / POWER, alpha - 1.
    const BETA: T = if POWER == 1 { T::ONE } else { T::HALF };

    /// Returns the sums over max(0, z - tau)^POWER and over its power less one, in working precision.
    #[inline(always)]
    fn rough<S: Isa>(isa: S, x: &[T], len: usize, max: T, tau: T) -> (T, T) {
        let [zero, one, beta, max, tau] = [T::ZERO, T::ONE, Self::BETA, max, tau].map(
            #[inline(always)]
            |c| T::Lanes::<S>::splat(isa, c),
        );
        let mut sums = [[zero; LANES]; 2];
        rows(
            x,
            #[inline(always)]
            |row| {
                let [sums, slopes] = &mut sums;
                for (i, (sum, slope)) in sums
                    .iter_mut()
                    .zip(slopes)
                    .enumerate()
                    .take(vectors::<S, T>(len))
                {
                    let v = T::Lanes::<S>::load(isa, part(row, i * T::Lanes::<S>::LANES));
                    let u = zero.max((v - max) * beta - tau);
                    if POWER == 1 {
                        *sum = *sum + u;
                        *slope = *slope + Lanes::select(zero.lt(u), one, zero);
                    } else {
                        *sum = *sum + u * u;
                        *slope = *slope + u;
                    }
                }
            },
        );
        let [sums, slopes] = &sums;
        (total::<S, T>(sums, len), total::<S, T>(slopes, len))
    }

    /// Returns how much the sum exceeds the radius, the sum of the power less one, and the distance
    /// of the element that is nearest to the threshold.
    #[inline(always)]
    fn exact<S: Isa>(&self, isa: S, x: &[T], len: usize, max: T, tau: (T, T)) -> (T, T, T) {
        let [zero, one, far] = [T::ZERO, T::ONE, T::INFINITY].map(
            #[inline(always)]
            |c| T::Lanes::<S>::splat(isa, c),
        );
        let above = Self::above::<T::Lanes<S>>(isa, max, tau);
        let mut lanes = [[zero; LANES], [zero; LANES], [zero; LANES], [far; LANES]];
        rows(
            x,
            #[inline(always)]
            |row| {
                let [sums, lost, slopes, nearest] = &mut lanes;
                let sums = sums.iter_mut().zip(lost);
                let others = slopes.iter_mut().zip(nearest);
                for (i, ((sum, lost), (slope, nearest))) in
                    sums.zip(others).enumerate().take(vectors::<S, T>(len))
                {
                    let v = T::Lanes::<S>::load(isa, part(row, i * T::Lanes::<S>::LANES));
                    let (u, low) = above(v);
                    *nearest = u.abs().min(*nearest);
                    let inside = zero.lt(u);
                    let (term, rest) = Self::power(u, low);
                    let [term, rest] = [term, rest].map(
                        #[inline(always)]
                        |v| Lanes::select(inside, v, zero),
                    );
                    let (next, error) = two_sum(*sum, term);
                    (*sum, *lost) = (next, *lost + (error + rest));
                    *slope = *slope + Lanes::select(inside, if POWER == 1 { one } else { u }, zero);
                }
            },
        );
        let [sums, lost, slopes, nearest] = &lanes;
        let mut pairs = [(T::ZERO, T::ZERO); LANES];
        let (sums, losses) = (stored::<S, T>(sums), stored::<S, T>(lost));
        for (pair, (&sum, &lost)) in pairs.iter_mut().zip(sums.iter().zip(&losses)) {
            *pair = (sum, lost);
        }
        let (sum, lost) = tree(
            pairs,
            len,
            #[inline(always)]
            |a: (T, T), b: (T, T)| {
                let (sum, error) = sum_of(a.0, b.0);
                (sum, (a.1 + b.1) + error)
            },
        );
        let slope = total::<S, T>(slopes, len);
        let nearest = tree(
            stored::<S, T>(nearest),
            len,
            #[inline(always)]
            |a: T, b| if b < a { b } else { a },
        );
        ((sum - self.radius) + lost, slope, nearest)
    }

    /// Returns z - tau of scores, with its rounding error; minus infinity where they are.
    #[inline(always)]
    fn above<V: Lanes<Element = T>>(isa: V::Isa, max: T, tau: (T, T)) -> impl Fn(V) -> (V, V) {
        let [lowest, max, opposite, beta, high, low] =
            [T::NEG_INFINITY, max, -max, Self::BETA, -tau.0, tau.1].map(
                #[inline(always)]
                |c| V::splat(isa, c),
            );
        #[inline(always)]
        move |v: V| {
            // Minus infinity has no rounding error.
            let counts = lowest.lt(v);
            let (t, rest) = two_sum(Lanes::select(counts, v, max), opposite);
            let (u, error) = two_sum(t * beta, high);
            let (u, error) = fast_two_sum(u, error + (rest * beta - low));
            (Lanes::select(counts, u, lowest), error)
        }
    }

    /// Returns (u + low)^POWER as a pair.
    #[inline(always)]
    fn power<V: Lanes<Element = T>>(u: V, low: V) -> (V, V) {
        if POWER == 1 {
            (u, low)
        } else {
            let (square, rest) = two_product(u, u);
            let cross = u * low;
            (square, rest + (cross + cross))
        }
    }
}

impl<const POWER: usize, T: Scalar> Shape<T> for Degree<POWER, T> {
    type Threshold = (T, T);

    #[inline(always)]
    fn reach(&self) -> T {
        if POWER == 1 { self.radius } else { T::TWO }
    }

    #[inline(always)]
    fn solve<S: Isa>(&self, isa: S, x: &[T], len: usize, max: T, from: Option<(T, T)>) -> (T, T) {
        let mut tau = from.map_or(-self.reach() * Self::BETA, |from| from.0);
        if len <= 1 {
            return (tau, T::ZERO);
        }
        for _ in 0..ROUGH {
            let (sum, slope) = Self::rough(isa, x, len, max, tau);
            // A step of Newton's for the sum's root, which is nearer to a line: it goes further.
            let step = if POWER == 1 {
                (sum - self.radius) / slope
            } else {
                (sum - root(isa, sum)) / slope
            };
            if step.is_nan() || step <= T::ZERO {
                break;
            }
            tau = tau + step;
            if step < -tau * T::PIECE {
                break;
            }
        }
        let mut tau = (tau, T::ZERO);
        for _ in 0..EXACT {
            let (excess, slope, nearest) = self.exact(isa, x, len, max, tau);
            let step = Self::BETA * excess / slope;
            if step.is_nan() {
                break;
            }
            let (high, low) = sum_of(tau.0, step);
            tau = sum_of(high, low + tau.1);
            // The support stays as it was, and the step is so small that its square does not matter.
            let small = step.abs() < self.radius * T::TWO * T::TWO / T::INTEGERS_FROM;
            if small && step.abs() + step.abs() <= nearest {
                break;
            }
        }
        tau
    }

    #[inline(always)]
    fn cut(&self, max: T, at: (T, T)) -> T {
        below(max, max + at.0 / Self::BETA)
    }

    #[inline(always)]
    fn write<S: Isa>(&self, isa: S, x: &mut [T], max: T, at: (T, T)) {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let above = Self::above::<T::Lanes<S>>(isa, max, at);
        order::map::<T::Lanes<S>, _>(
            isa,
            x,
            #[inline(always)]
            |v, _| {
                let (u, low) = above(v);
                let (p, rest) = Self::power(u, low);
                Lanes::select(zero.lt(u), p + rest, zero)
            },
        );
    }
}

/// The most steps in working precision; thirteen were seen in rows of 200 000.
const ROUGH: usize = 20;
/// The most steps with rounding errors: each doubles the digits.
const EXACT: usize = 6;
/// The most steps for any power in one number type.
const STEPS: usize = 20;
/// The most steps in a bracket, which at least every third halves.
const BRACKETED: usize = 160;

/// p = u^(1 / beta) for any beta = alpha - 1, by a logarithm and an exponential.
///
/// A probability's relative error is that of u over beta, and of the sum's over u: working precision
/// would leave tiny probabilities few digits. It serves the first steps; the last ones and the
/// probabilities themselves are computed in `f64`.
#[derive(Clone, Copy)]
pub(super) struct Power {
    pub(super) beta: f64,
}

/// Elements whose powers are taken together, enough for the longest vectors.
const TOGETHER: usize = 4 * LANES;

impl Power {
    /// Replaces scores by max(0, beta (x - max) - tau), in the number type `N`.
    #[inline(always)]
    fn above<T: Scalar, N: Scalar>(self, x: &[T], max: T, tau: N, u: &mut [N]) {
        let (beta, max, zero) = (N::nearest(self.beta), N::nearest(max.wide()), N::ZERO);
        for (u, &x) in u.iter_mut().zip(x) {
            let above = beta * (N::nearest(x.wide()) - max) - tau;
            *u = if above > zero { above } else { zero };
        }
    }

    /// Returns u^(1 / beta), for u = 0 or normal, up to one and a little more.
    #[inline(always)]
    fn power<V: Lanes>(self, isa: V::Isa, u: V) -> V {
        let [zero, factor] = [V::Element::ZERO, V::Element::nearest(1.0 / self.beta)].map(
            #[inline(always)]
            |c| V::splat(isa, c),
        );
        let exp = ScaledExp::unraised(isa, V::Element::ZERO, V::Element::ZERO);
        let p = exp.of(isa, ln_of_normal(isa, u) * factor);
        Lanes::select(zero.lt(u), p, zero)
    }

    /// Returns the sums over u^(1 / beta), and over its derivative times beta, in the number type `N`.
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
                let p = self.power(isa, v);
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

    /// Returns the threshold where the sum is convex, for beta <= 1, by steps in the number type `N`
    /// until one is below `fine` of it.
    ///
    /// The root found is that of the norm, sum^beta - 1: it is convex too, and so near to a line that
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
        let mut tau = from;
        for _ in 0..STEPS {
            let (step, _) = self.step::<S, T, N>(isa, x, len, max, tau);
            if step.is_nan() {
                break;
            }
            tau += step;
            if step.abs() < fine * -tau {
                break;
            }
        }
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
        // sum^-beta - 1
        let fall = libm::expm1(-self.beta * libm::log(sum));
        (-sum * fall / slope, sum - 1.0)
    }

    /// Returns the threshold by the same steps in a bracket, for beta > 1, where nothing is convex.
    #[inline(always)]
    fn bracket<S: Isa, T: Scalar>(self, isa: S, x: &[T], len: usize, max: T, from: f64) -> f64 {
        // The greatest term alone is no more than one, and no less than the mean.
        let mut low = from;
        let mut high = -libm::exp(-self.beta * libm::log(len as f64));
        let (mut tau, mut width) = (low, [f64::INFINITY; 2]);
        for _ in 0..BRACKETED {
            let (step, excess) = self.step::<S, T, f64>(isa, x, len, max, tau);
            if excess >= 0.0 {
                low = tau;
            } else {
                high = tau;
            }
            // Where an element barely enters, the sum is as steep as can be, and steps are tiny.
            let slow = high - low > width[0] / 2.0;
            width = [width[1], high - low];
            let next = if !slow && tau + step >= low && tau + step <= high {
                tau + step
            } else {
                low + (high - low) / 2.0
            };
            if excess.abs() < 1e-14 || next == tau {
                break;
            }
            tau = next;
        }
        tau
    }
}

impl<T: Scalar> Shape<T> for Power {
    type Threshold = f64;

    #[inline(always)]
    fn reach(&self) -> T {
        T::nearest(1.0 / self.beta)
    }

    #[inline(always)]
    fn solve<S: Isa>(&self, isa: S, x: &[T], len: usize, max: T, from: Option<f64>) -> f64 {
        let from = from.unwrap_or(-1.0);
        if len <= 1 {
            return from;
        }
        if self.beta > 1.0 {
            return self.bracket(isa, x, len, max, from);
        }
        // Close to alpha = 1, 1 / beta makes too much of the first steps' rounding errors.
        let from = if self.beta > 1.0 / 64.0 {
            self.climb::<S, T, T>(isa, x, len, max, from, 1e-4)
        } else {
            from
        };
        self.climb::<S, T, f64>(isa, x, len, max, from, 1e-6)
    }

    #[inline(always)]
    fn cut(&self, max: T, at: f64) -> T {
        below(max, max + T::nearest(at / self.beta))
    }

    #[inline(always)]
    fn write<S: Isa>(&self, isa: S, x: &mut [T], max: T, at: f64) {
        for x in x.chunks_mut(TOGETHER) {
            let mut above = [0.0; TOGETHER];
            self.above(x, max, at, &mut above);
            let mut done = 0;
            while done < x.len() {
                let u = S::F64s::load(isa, part(&above, done));
                let p = self.power(isa, u);
                p.store(above.get_mut(done..).unwrap_or_default());
                done += S::F64s::LANES;
            }
            for (x, above) in x.iter_mut().zip(above) {
                *x = T::nearest(above);
            }
        }
    }
}

/// Returns the vectors of a row of lanes, where there is one lane those that `len` elements take: a
/// number that the compiler knows keeps sums in registers.
#[inline(always)]
fn vectors<S: Isa, T: Scalar>(len: usize) -> usize {
    match T::Lanes::<S>::LANES {
        1 => LANES.min(len),
        lanes => LANES / lanes,
    }
}

/// Returns the elements from `at` on.
#[inline(always)]
fn part<T>(x: &[T], at: usize) -> &[T] {
    x.get(at..).unwrap_or_default()
}

/// Returns the lanes of an accumulator.
#[inline(always)]
fn stored<S: Isa, T: Scalar>(vectors: &[T::Lanes<S>; LANES]) -> [T; LANES] {
    let mut lanes = [T::ZERO; LANES];
    let (chunks, used) = (lanes.chunks_mut(T::Lanes::<S>::LANES), vectors.iter());
    for (to, v) in chunks.zip(used) {
        v.store(to);
    }
    lanes
}

/// Returns the square root by the instruction of vectors where there is one.
#[inline(always)]
fn root<S: Isa, T: Scalar>(isa: S, x: T) -> T {
    let mut lanes = [T::ZERO; LANES];
    T::Lanes::<S>::splat(isa, x).sqrt().store(&mut lanes);
    lanes[0]
}

/// Returns the sum of the lanes of an accumulator.
#[inline(always)]
fn total<S: Isa, T: Scalar>(vectors: &[T::Lanes<S>; LANES], len: usize) -> T {
    tree(
        stored::<S, T>(vectors),
        len,
        #[inline(always)]
        |a, b| a + b,
    )
}

/// Returns the rounded sum of two numbers and its error.
#[inline(always)]
fn sum_of<T: Scalar>(a: T, b: T) -> (T, T) {
    let [a, b] = [a, b].map(|c| T::Lanes::<One>::splat(One, c));
    let (sum, error) = two_sum(a, b);
    (number::<T>(sum), number::<T>(error))
}
