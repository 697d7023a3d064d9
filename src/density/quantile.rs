//! The inverse of the cumulative distribution.
//!
//! 1. The half of the period in which the point lies, by the probability of the lower half; what follows
//!    measures from that half's end, the probability too.
//! 2. Newton's method on the distance from the end, in working precision. It stays within a bracket: a step
//!    that leaves it is replaced by bisection.
//! 3. The same in twice the precision, from there on, with a bracket of its own.
//! 4. One step of Newton's on the point itself, whose rounding is then the only error left.
//!
//! The result is so the number nearest to the exact point, but for ties that are close to within the error of
//! twice the precision, and does not fall where the probability rises. Where neighboring numbers are so far apart
//! that a density changes from one to the next the fourth step would lead astray, and is left out.

use super::Domain;
use super::double::Double;
use super::series::{Half, Series};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute as _;
use crate::simd::{Lanes, One, number};

/// Steps of the search in working precision, and of that in twice the precision.
const STEPS: usize = 200;
const EXACT_STEPS: usize = 100;
/// The units of length from zero up to which the density hardly changes between neighboring numbers.
const FAR: usize = 1 << 12;

/// Returns the point with probability `u` below and `rest` above, each as a rounded number and what it lacks.
pub(super) fn quantile<T: Scalar>(
    isa: One,
    domain: Domain<T>,
    series: Series<'_, T>,
    u: (T, T),
    rest: (T, T),
) -> T {
    if !(u.0 >= T::ZERO && rest.0 >= T::ZERO) {
        return T::NAN;
    }
    let double = |(high, low): (T, T)| Double::<T::Lanes<One>>::splat(isa, high, low);
    let one = double((T::ONE, T::ZERO));
    let lane = |x: T| T::Lanes::<One>::splat(One, x);
    let lower_half = series.exact_tail(isa, one, lane(T::ONE));
    let upper = value(lower_half.minus(double(u))) < T::ZERO;
    let sign = lane(if upper { -T::ONE } else { T::ONE });
    let target = double(if upper { rest } else { u });
    let distance = search(isa, series, sign, target);
    let distance = refine(isa, series, sign, target, distance);
    let y = number::<T>(domain.at(isa, lane(distance), sign));

    let magnitude = |x: T| if x < T::ZERO { -x } else { x };
    let length = domain.unit_of_length();
    if magnitude(y) / T::from_count(FAR) > length {
        return y;
    }

    // One step on the point itself.
    let (exact, sign) = domain.exact_place(isa, lane(y));
    let tail = series.exact_tail(isa, exact, sign);
    let side = number::<T>(sign) < T::ZERO;
    let excess = value(tail.minus(double(if side { rest } else { u })));
    let place = domain.place(isa, lane(y));
    let at = Half::new(isa, place.distance, place.sign);
    let slope = number::<T>(series.density(isa, at)) * number::<T>(place.slope);
    let step = excess / slope;
    let next = if side { y + step } else { y - step };
    // The sum of both may be too great for a number.
    let few = T::from_count(1 << 12) / T::INTEGERS_FROM;
    if magnitude(step) <= magnitude(y) * few + length * few {
        next
    } else {
        y
    }
}

/// Returns the number of one lane.
fn value<V: Lanes<Isa = One>>(x: Double<V>) -> V::Element {
    let mut out = [V::Element::ZERO];
    x.rounded().store(&mut out);
    out[0]
}

/// Returns the distance with this probability, in working precision.
fn search<T: Scalar>(
    isa: One,
    series: Series<'_, T>,
    sign: T::Lanes<One>,
    target: Double<T::Lanes<One>>,
) -> T {
    let lane = |x: T| T::Lanes::<One>::splat(One, x);
    let target = number::<T>(target.high);
    let (mut low, mut high) = (T::ZERO, T::ONE);
    let mut d = if target < T::HALF {
        target + target
    } else {
        T::ONE
    };
    for _ in 0..STEPS {
        let at = Half::new(isa, lane(d), sign);
        let excess = number::<T>(series.tail(isa, lane(d), at)) - target;
        let slope = number::<T>(series.density(isa, at));
        let Some(next) = step(&mut low, &mut high, d, excess, slope) else {
            return d;
        };
        let close = near(next, d, T::from_count(1 << 9));
        d = next;
        if close {
            break;
        }
    }
    d
}

/// Returns the distance with this probability, from one that is close, by sums in twice the precision.
fn refine<T: Scalar>(
    isa: One,
    series: Series<'_, T>,
    sign: T::Lanes<One>,
    target: Double<T::Lanes<One>>,
    from: T,
) -> T {
    let lane = |x: T| T::Lanes::<One>::splat(One, x);
    let (mut low, mut high) = (T::ZERO, T::ONE);
    let mut d = from;
    for _ in 0..EXACT_STEPS {
        let tail = series.exact_tail(isa, Double::of(isa, lane(d)), sign);
        let excess = value(tail.minus(target));
        let at = Half::new(isa, lane(d), sign);
        let slope = number::<T>(series.density(isa, at));
        let Some(next) = step(&mut low, &mut high, d, excess, slope) else {
            return d;
        };
        let close = near(next, d, T::from_count(1 << 8));
        d = next;
        if close {
            break;
        }
    }
    d
}

/// Returns where to look next, after the excess at `d`; nothing if that is the end.
fn step<T: Scalar>(low: &mut T, high: &mut T, d: T, excess: T, slope: T) -> Option<T> {
    if excess < T::ZERO {
        *low = d;
    } else if excess > T::ZERO {
        *high = d;
    } else {
        return None;
    }
    let newton = d - excess / slope;
    if newton == d {
        return None;
    }
    if newton > *low && newton < *high {
        return Some(newton);
    }
    // Close to the end the order of magnitude is halved.
    let middle = if *low > T::ZERO && *low * T::from_count(16) < *high {
        low.root() * high.root()
    } else if *low > T::ZERO {
        (*low + *high) * T::HALF
    } else {
        *high / T::from_count(16)
    };
    (middle > *low && middle < *high).then_some(middle)
}

/// Returns whether two numbers are within `units` of the precision of each other.
fn near<T: Scalar>(a: T, b: T, units: T) -> bool {
    let difference = if a > b { a - b } else { b - a };
    difference <= a / T::INTEGERS_FROM * units
}
