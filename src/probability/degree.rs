//! Sparsemax and the entmax of 1.5: probabilities that grow as the first or the second power.

use super::lanes::{part, rows, stored, total, tree, vectors};
use super::threshold::{STEPS, Shape, below, ended};
use crate::math::twofold::{fast_two_sum, two_product, two_sum};
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes, One, number, order};

/// The most steps with rounding errors: each doubles the digits.
const EXACT: usize = 6;

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
        let mut steps = 0;
        for _ in 0..STEPS {
            steps += 1;
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
            steps += 1;
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
        ended(steps);
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

/// Returns the square root by the instruction of vectors where there is one.
#[inline(always)]
fn root<S: Isa, T: Scalar>(isa: S, x: T) -> T {
    let mut lanes = [T::ZERO; LANES];
    T::Lanes::<S>::splat(isa, x).sqrt().store(&mut lanes);
    lanes[0]
}

/// Returns the rounded sum of two numbers and its error.
#[inline(always)]
fn sum_of<T: Scalar>(a: T, b: T) -> (T, T) {
    let [a, b] = [a, b].map(|c| T::Lanes::<One>::splat(One, c));
    let (sum, error) = two_sum(a, b);
    (number::<T>(sum), number::<T>(error))
}
