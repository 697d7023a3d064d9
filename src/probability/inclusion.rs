//! The threshold that scores exceed by as much as adds up to k.

use super::Inclusion;
use super::lanes::{TOGETHER, part, tree};
use super::root::falling;
use crate::math::exp::exp_lanes;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes};

/// How much of the terms of a sum its rounding may be.
const NOISE: f64 = 1.0 / (1_u64 << 40) as f64;
/// A gap between scores across which nothing is felt.
const GAP: f64 = 4096.0;

/// A threshold, relative to one of the scores.
#[derive(Clone, Copy)]
pub(super) struct Threshold<T> {
    origin: T,
    offset: f64,
}

/// Sums over the scores of a row.
struct Sums {
    /// How much the sum of F exceeds k.
    excess: f64,
    /// The magnitude of what does not cancel in it.
    size: f64,
    /// The sum of F'.
    slope: f64,
}

impl Inclusion {
    /// Returns F(d) less one if d >= 0, which stays exact where F is close to one, and F'(d).
    #[inline(always)]
    pub(super) fn tail<V: Lanes<Element = f64>>(self, isa: V::Isa, d: V) -> (V, V) {
        let [zero, half, one] = [0.0, 0.5, 1.0].map(
            #[inline(always)]
            |c| V::splat(isa, c),
        );
        let inside = zero.le(d);
        if self == Self::Clamped {
            let tail = V::select(inside, zero.min(d - one), zero);
            let grows = V::and(zero.lt(d), d.lt(one));
            return (tail, V::select(grows, one, zero));
        }
        let e = exp_lanes(isa, -d.abs());
        let (tail, slope) = match self {
            Self::Exponential => {
                let e = V::select(inside, zero, e);
                return (e, e);
            }
            Self::Laplace => (e * half, e * half),
            _ => {
                let tail = e / (one + e);
                (tail, tail / (one + e))
            }
        };
        (V::select(inside, -tail, tail), slope)
    }

    /// Returns how far above and below its neighbors among the scores the threshold may lie, if `most`
    /// elements exceed minus infinity: at the k-th greatest score, and at the one behind it.
    fn reach(self, k: f64, most: f64) -> (f64, f64) {
        let smooth = self != Self::Clamped && self != Self::Exponential;
        let fraction = k - libm::floor(k);
        // F(-d) and 1 - F(d) are at most exp(-d).
        let above = if self == Self::Clamped {
            0.0
        } else {
            let share = if fraction > 0.0 { fraction } else { 1.0 };
            libm::log((most - libm::ceil(k) + 1.0) / share)
        };
        let below = if smooth {
            libm::log((libm::floor(k) + 1.0) / (1.0 - fraction))
        } else {
            1.0
        };
        (above, below)
    }
}

impl<T: Scalar> Threshold<T> {
    /// Finds the threshold of more than `k` scores above minus infinity, none of them NaN, of which
    /// `kth` is the least that reaches k and `beyond` the least that exceeds it.
    #[inline(always)]
    pub(super) fn find<S: Isa>(
        isa: S,
        inclusion: Inclusion,
        x: &[T],
        k: f64,
        kth: T,
        beyond: T,
    ) -> Self {
        let at = |offset| Self {
            origin: kth,
            offset,
        };
        let gap = (kth.wide() - beyond.wide()).min(GAP);
        let (above, below) = inclusion.reach(k, x.len() as f64);
        let mut last = 0.0;
        let offset = falling((-gap - below, above), -gap / 2.0, |offset| {
            let sums = at(offset).sums(isa, inclusion, x, k);
            // The logarithm of a sum of exponentials is nearly a line.
            last = if inclusion == Inclusion::Clamped {
                sums.excess / sums.slope
            } else {
                (k + sums.excess) * libm::log1p(sums.excess / k) / sums.slope
            };
            let noise = NOISE * sums.size;
            let excess = if sums.excess.abs() <= noise {
                0.0
            } else {
                sums.excess
            };
            (last, excess)
        });
        // The last step doubles the digits, if there is anything to step by.
        at(if last.abs() < 1.0 {
            offset + last
        } else {
            offset
        })
    }

    /// Writes the distance of each score above the threshold, minus infinity beyond the last.
    #[inline(always)]
    pub(super) fn above(self, x: &[T]) -> [f64; TOGETHER] {
        let mut d = [f64::NEG_INFINITY; TOGETHER];
        let origin = self.origin.wide();
        for (d, x) in d.iter_mut().zip(x) {
            *d = (x.wide() - origin) - self.offset;
        }
        d
    }

    /// Returns the sums over a row.
    #[inline(always)]
    fn sums<S: Isa>(self, isa: S, inclusion: Inclusion, x: &[T], k: f64) -> Sums {
        let mut sums = [[0.0; LANES]; 3];
        let mut count = 0_usize;
        for x in x.chunks(TOGETHER) {
            let mut d = self.above(x);
            let mut slopes = [0.0; TOGETHER];
            count += d.iter().filter(|&&d| d >= 0.0).count();
            tails::<S>(isa, inclusion, &mut d, &mut slopes);
            let [tails, sizes, growths] = &mut sums;
            for (tail, slope) in d
                .as_chunks::<LANES>()
                .0
                .iter()
                .zip(slopes.as_chunks::<LANES>().0)
            {
                for i in 0..LANES {
                    tails[i] += tail[i];
                    sizes[i] += tail[i].abs();
                    growths[i] += slope[i];
                }
            }
        }
        let [tail, size, slope] = sums.map(
            #[inline(always)]
            |lanes| tree(lanes, LANES, |a, b| a + b),
        );
        Sums {
            excess: (count as f64 - k) + tail,
            size,
            slope,
        }
    }

    /// Returns the variance of how many elements are drawn, with the probabilities F of the logistic
    /// function.
    #[inline(always)]
    pub(super) fn variance<S: Isa>(self, isa: S, x: &[T], k: f64) -> f64 {
        self.sums(isa, Inclusion::Logistic, x, k).slope
    }

    /// Replaces scores by their part.
    #[inline(always)]
    pub(super) fn write<S: Isa>(self, isa: S, inclusion: Inclusion, x: &mut [T]) {
        for x in x.chunks_mut(TOGETHER) {
            let d = self.above(x);
            let (mut tail, mut slopes) = (d, [0.0; TOGETHER]);
            tails::<S>(isa, inclusion, &mut tail, &mut slopes);
            for (x, (d, tail)) in x.iter_mut().zip(d.iter().zip(&tail)) {
                *x = T::nearest(if *d >= 0.0 { 1.0 + tail } else { *tail });
            }
        }
    }

    /// Replaces scores by the gradient of <dp, p> in them.
    #[inline(always)]
    pub(super) fn vjp<S: Isa>(self, isa: S, inclusion: Inclusion, dp: &[T], x: &mut [T]) {
        let mut sums = [[0.0; LANES]; 2];
        for (x, dp) in x.chunks(TOGETHER).zip(dp.chunks(TOGETHER)) {
            let slopes = self.slopes(isa, inclusion, x);
            for (slope, dp) in slopes.chunks(LANES).zip(dp.chunks(LANES)) {
                let [whole, moved] = &mut sums;
                for ((whole, moved), (slope, dp)) in
                    whole.iter_mut().zip(moved).zip(slope.iter().zip(dp))
                {
                    *whole += slope;
                    *moved += slope * dp.wide();
                }
            }
        }
        let [whole, moved] = sums.map(
            #[inline(always)]
            |lanes| tree(lanes, LANES, |a, b| a + b),
        );
        let mean = if whole > 0.0 { moved / whole } else { 0.0 };
        for (x, dp) in x.chunks_mut(TOGETHER).zip(dp.chunks(TOGETHER)) {
            let slopes = self.slopes(isa, inclusion, x);
            for ((x, dp), slope) in x.iter_mut().zip(dp).zip(slopes) {
                *x = T::nearest(slope * (dp.wide() - mean));
            }
        }
    }

    /// Returns F' of scores.
    #[inline(always)]
    fn slopes<S: Isa>(self, isa: S, inclusion: Inclusion, x: &[T]) -> [f64; TOGETHER] {
        let (mut d, mut slopes) = (self.above(x), [0.0; TOGETHER]);
        tails::<S>(isa, inclusion, &mut d, &mut slopes);
        slopes
    }
}

/// Replaces distances by [`Inclusion::tail`].
#[inline(always)]
pub(super) fn tails<S: Isa>(
    isa: S,
    inclusion: Inclusion,
    d: &mut [f64; TOGETHER],
    slopes: &mut [f64; TOGETHER],
) {
    let mut at = 0;
    while at < TOGETHER {
        let (tail, slope) = inclusion.tail(isa, S::F64s::load(isa, part(d, at)));
        tail.store(d.get_mut(at..).unwrap_or_default());
        slope.store(slopes.get_mut(at..).unwrap_or_default());
        at += S::F64s::LANES;
    }
}
