//! Many points at once.
//!
//! Blocks of 64 points go through three passes: to their places on the period, one vector at a time; through
//! the sum over frequencies, several at a time, which hides the latency of its chain and has the registers for
//! itself; and to what is asked for. One body serves the density, its logarithm and the cumulative, so that
//! there is one for each instruction set.

use super::Domain;
use super::domain::Place;
use super::series::{Half, Series, horner};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::math::ln::ln_lanes;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute as _;
use crate::simd::{Isa, Lanes};

/// Points of a block: whole vectors, several of the widest together.
const BLOCK: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Density,
    Logarithm,
    Cumulative,
}

/// Writes what is wanted at each point.
pub(super) fn many<T: Scalar>(
    cpu: Cpu,
    wanted: Wanted,
    domain: Domain<T>,
    series: Series<'_, T>,
    y: &[T],
    out: &mut [T],
) {
    dispatch!(cpu, isa => blocks::<_, T>(isa, wanted, domain, series, y, out));
}

/// Returns what is wanted at one vector of points.
#[inline(always)]
pub(super) fn of<V: Lanes>(
    isa: V::Isa,
    wanted: Wanted,
    domain: Domain<V::Element>,
    series: Series<'_, V::Element>,
    y: V,
) -> V {
    let place = domain.place(isa, y);
    let at = Half::new(isa, place.distance, place.sign);
    let sum = horner(isa, wanted.coefficients(series), at.point(isa));
    wanted.finish(isa, domain, series, y, (place, at, sum))
}

/// The places of a block: parts of [`Place`] and [`Half`], and points that become sums.
struct Block<T> {
    y: [T; BLOCK],
    distance: [T; BLOCK],
    sign: [T; BLOCK],
    slope: [T; BLOCK],
    sin: [T; BLOCK],
    cos: [T; BLOCK],
    re: [T; BLOCK],
    im: [T; BLOCK],
}

#[inline(always)]
fn blocks<S: Isa, T: Scalar>(
    isa: S,
    wanted: Wanted,
    domain: Domain<T>,
    series: Series<'_, T>,
    y: &[T],
    out: &mut [T],
) {
    let coefficients = wanted.coefficients(series);
    let zero = [T::ZERO; BLOCK];
    let mut b = Block {
        y: zero,
        distance: zero,
        sign: zero,
        slope: zero,
        sin: zero,
        cos: zero,
        re: zero,
        im: zero,
    };
    let (lanes, several) = (T::Lanes::<S>::LANES, T::Several::<S>::LANES);
    for (y, out) in y.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        for (to, &y) in b.y.iter_mut().zip(y) {
            *to = y;
        }
        // places
        let mut at = 0;
        while at < y.len() {
            let y = load::<T::Lanes<S>>(isa, &b.y, at);
            let place = domain.place(isa, y);
            let half = Half::new(isa, place.distance, place.sign);
            let (re, im) = half.point(isa);
            store(&mut b.distance, at, place.distance);
            store(&mut b.sign, at, place.sign);
            store(&mut b.slope, at, place.slope);
            store(&mut b.sin, at, half.sin);
            store(&mut b.cos, at, half.cos);
            store(&mut b.re, at, re);
            store(&mut b.im, at, im);
            at += lanes;
        }
        // sums
        at = 0;
        while at < y.len() {
            let point = (
                load::<T::Several<S>>(isa, &b.re, at),
                load::<T::Several<S>>(isa, &b.im, at),
            );
            let (re, im) = horner(isa, coefficients, point);
            store(&mut b.re, at, re);
            store(&mut b.im, at, im);
            at += several;
        }
        // results
        at = 0;
        while at < y.len() {
            let y = load::<T::Lanes<S>>(isa, &b.y, at);
            let place = Place {
                distance: load(isa, &b.distance, at),
                sign: load(isa, &b.sign, at),
                slope: load(isa, &b.slope, at),
            };
            let half = Half {
                sin: load(isa, &b.sin, at),
                cos: load(isa, &b.cos, at),
                sign: place.sign,
            };
            let sum = (load(isa, &b.re, at), load(isa, &b.im, at));
            let result = wanted.finish(isa, domain, series, y, (place, half, sum));
            store(&mut b.re, at, result);
            at += lanes;
        }
        for (to, &from) in out.iter_mut().zip(&b.re) {
            *to = from;
        }
    }
}

#[inline(always)]
fn load<V: Lanes>(isa: V::Isa, x: &[V::Element; BLOCK], at: usize) -> V {
    V::load(isa, x.get(at..).unwrap_or_default())
}

#[inline(always)]
fn store<V: Lanes>(x: &mut [V::Element; BLOCK], at: usize, v: V) {
    v.store(x.get_mut(at..).unwrap_or_default());
}

impl Wanted {
    /// Returns the coefficients of the sum over frequencies.
    #[inline(always)]
    fn coefficients<T>(self, series: Series<'_, T>) -> &[[T; 2]] {
        match self {
            Self::Density | Self::Logarithm => series.amplitude,
            Self::Cumulative => series.primitive,
        }
    }

    /// Returns the result from places and sums; NaN is the canonical one.
    #[inline(always)]
    fn finish<V: Lanes>(
        self,
        isa: V::Isa,
        domain: Domain<V::Element>,
        series: Series<'_, V::Element>,
        y: V,
        (place, at, sum): (Place<V>, Half<V>, (V, V)),
    ) -> V {
        let result = match self {
            Self::Density => series.density_of(isa, sum) * place.slope,
            Self::Logarithm => ln_lanes(isa, series.density_of(isa, sum)) + domain.ln_slope(isa, y),
            Self::Cumulative => {
                let tail = Series::tail_of(isa, place.distance, at, sum);
                let one = V::splat(isa, V::Element::ONE);
                let upper = place.sign.lt(V::splat(isa, V::Element::ZERO));
                one.min(V::select(upper, one - tail, tail))
            }
        };
        V::select(result.is_nan(), V::splat(isa, V::Element::NAN), result)
    }
}
