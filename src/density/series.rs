//! The sums over frequencies: the amplitude whose square is the density, and the primitive of that.
//!
//! With w = exp(i pi d), d the distance from the lower end of the period (or, with the conjugate, from the
//! upper), b_k = (-1)^k conj(a_k), C_n = sum_k b_{k+n} conj(b_k) and c = C_0:
//!
//! 1. The density is |B(w)|^2 / (2 c), B(w) = sum_k b_k w^k, by Horner's rule: never negative.
//! 2. The probability up to d is d/2 + Re (w - 1) D(w), D(w) = sum_k D_k w^k, where D_k is the sum of
//!    C_n / (i pi n c) over n > k. The factor w - 1 = 2i sin(pi d/2) exp(i pi d/2) keeps small
//!    probabilities right, where the difference of two sums would cancel.
//! 3. In twice the precision the second formula is right to the last place too where the density vanishes
//!    and d/2 is nearly taken away.

use super::double::{self, Double, pi};
use crate::math::sin_cos_pi::sin_cos_quarters;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Lanes, One, number};

/// Elements of the storage for each coefficient: itself, and that of the primitive as a pair.
pub(super) const NUMBERS: usize = 6;

/// The coefficients of a density.
#[derive(Clone, Copy)]
pub(super) struct Series<'a, T> {
    /// b_k, scaled by a power of two.
    pub(super) amplitude: &'a [[T; 2]],
    /// D_k.
    pub(super) primitive: &'a [[T; 2]],
    /// What the numbers of the primitive lack.
    pub(super) lack: &'a [[T; 2]],
    /// 1 / (2 c).
    pub(super) factor: T,
}

/// A point of the unit circle as the sine and cosine of half its angle, and the end that it is seen from.
#[derive(Clone, Copy)]
pub(super) struct Half<V> {
    pub(super) sin: V,
    pub(super) cos: V,
    /// One from the lower end, minus one from the upper.
    pub(super) sign: V,
}

impl<V: Lanes> Half<V> {
    /// Returns the point at a distance from an end, at most two.
    #[inline(always)]
    pub(super) fn new(isa: V::Isa, distance: V, sign: V) -> Self {
        let zero = V::splat(isa, V::Element::ZERO);
        let (sin, cos) = sin_cos_quarters(isa, distance, zero);
        Self { sin, cos, sign }
    }

    /// Returns w.
    #[inline(always)]
    pub(super) fn point(self, isa: V::Isa) -> (V, V) {
        let twice = self.sin + self.sin;
        let one = V::splat(isa, V::Element::ONE);
        let re = (-twice).mul_add(self.sin, one);
        (re, twice * self.cos * self.sign)
    }
}

impl<'a, T: Scalar> Series<'a, T> {
    /// Returns the density on the period.
    #[inline(always)]
    pub(super) fn density<V: Lanes<Element = T>>(self, isa: V::Isa, at: Half<V>) -> V {
        self.density_of(isa, horner(isa, self.amplitude, at.point(isa)))
    }

    /// Returns the density from the value of B.
    #[inline(always)]
    pub(super) fn density_of<V: Lanes<Element = T>>(self, isa: V::Isa, (re, im): (V, V)) -> V {
        re.mul_add(re, im * im) * V::splat(isa, self.factor)
    }

    /// Returns the probability between the end and the point, in working precision.
    #[inline(always)]
    pub(super) fn tail<V: Lanes<Element = T>>(self, isa: V::Isa, distance: V, at: Half<V>) -> V {
        let sum = horner(isa, self.primitive, at.point(isa));
        Self::tail_of(isa, distance, at, sum)
    }

    /// Returns that probability from the value of D.
    #[inline(always)]
    pub(super) fn tail_of<V: Lanes<Element = T>>(
        isa: V::Isa,
        distance: V,
        at: Half<V>,
        (re, im): (V, V),
    ) -> V {
        // (w - 1) = 2 sin (-sin + i sign cos).
        let sum = at.sin.mul_add(re, at.sign * at.cos * im) * (at.sin + at.sin) * at.sign;
        let tail = distance.mul_add(V::splat(isa, T::HALF), -sum);
        V::splat(isa, T::ZERO).max(tail)
    }

    /// Returns the probability between the end and the point, in twice the precision.
    #[inline(always)]
    pub(super) fn exact_tail<V: Lanes<Element = T>>(
        self,
        isa: V::Isa,
        distance: Double<V>,
        sign: V,
    ) -> Double<V> {
        let one = V::splat(isa, T::ONE);
        let two = V::splat(isa, T::TWO);
        let (sin, cos) = double::sin_cos_quarters(isa, distance);
        let (sin2, cos2) = (sin.scaled(two), cos.scaled(sign));
        let (x, y) = (
            Double::of(isa, one).minus(sin2.times(sin)),
            sin2.times(cos2),
        );
        let zero = Double::of(isa, V::splat(isa, T::ZERO));
        let (mut re, mut im) = (zero, zero);
        for (&[a, b], &[c, d]) in self.primitive.iter().zip(self.lack).rev() {
            let next = re.times(x).minus(im.times(y));
            im = re.times(y).plus(im.times(x)).plus(Double::splat(isa, b, d));
            re = next.plus(Double::splat(isa, a, c));
        }
        let sum = sin.times(re).plus(cos2.times(im)).times(sin2);
        let tail = distance
            .scaled(V::splat(isa, T::HALF))
            .minus(sum.scaled(sign));
        let positive = zero.high.lt(tail.high);
        let number = tail.high.is_nan();
        Double::select(V::or(positive, number), tail, zero)
    }

    /// Returns the probability of a stretch of the period of length `apart` around `middle`, a distance from
    /// the lower end: apart/2 + sum_n Re d_n 2i sin(pi n apart/2) exp(i pi n middle).
    pub(super) fn stretch(self, apart: T, middle: T) -> T {
        let lane = |x: T| T::Lanes::<One>::splat(One, x);
        let turn = |quarters: T| {
            let (sin, cos) = sin_cos_quarters(One, lane(quarters), lane(T::ZERO));
            (number::<T>(sin), number::<T>(cos))
        };
        let (half, point) = (turn(apart), turn(middle + middle));
        let (mut sin, mut cos) = (T::ZERO, T::ONE);
        let (mut x, mut y) = (T::ONE, T::ZERO);
        let mut sum = T::ZERO;
        let mut rest = self.primitive.iter().zip(self.lack).peekable();
        while let Some((&[re, im], &[re_low, im_low])) = rest.next() {
            (sin, cos) = (sin * half.1 + cos * half.0, cos * half.1 - sin * half.0);
            (x, y) = (x * point.1 - y * point.0, x * point.0 + y * point.1);
            // d_n is the difference of two neighbors.
            let zero = [T::ZERO; 2];
            let (&[a, b], &[c, d]) = rest.peek().copied().unwrap_or((&zero, &zero));
            let (re, im) = ((re - a) + (re_low - c), (im - b) + (im_low - d));
            sum = sum - sin * (re * y + im * x);
        }
        let probability = apart * T::HALF + (sum + sum);
        if probability < T::ZERO {
            T::ZERO
        } else {
            probability
        }
    }

    /// Returns C_n / C_0 times (-1)^n, conjugated as the article's c_n / c_0.
    pub(super) fn coefficient(self, n: usize) -> (T, T) {
        let (re, im) = autocorrelation(self.amplitude, n);
        let two = T::TWO;
        let factor = if n.is_multiple_of(2) { two } else { -two } * self.factor;
        (single::<T>(re) * factor, single::<T>(im) * factor)
    }
}

/// Evaluates a polynomial at a point.
#[inline(always)]
pub(super) fn horner<V: Lanes>(
    isa: V::Isa,
    coefficients: &[[V::Element; 2]],
    (x, y): (V, V),
) -> (V, V) {
    let zero = V::splat(isa, V::Element::ZERO);
    let (mut re, mut im) = (zero, zero);
    for &[a, b] in coefficients.iter().rev() {
        let next = (-im).mul_add(y, re.mul_add(x, V::splat(isa, a)));
        im = re.mul_add(y, im.mul_add(x, V::splat(isa, b)));
        re = next;
    }
    (re, im)
}

/// Returns the rounded number of one lane.
fn single<T: Scalar>(of: Double<T::Lanes<One>>) -> T {
    number::<T>(of.rounded())
}

/// One lane.
type Of<T> = <T as Compute>::Lanes<One>;

/// Returns sum_k b_{k+n} conj(b_k) in twice the precision.
fn autocorrelation<T: Scalar>(b: &[[T; 2]], n: usize) -> (Double<Of<T>>, Double<Of<T>>) {
    let lane = |x: T| Double::<Of<T>>::of(One, Of::<T>::splat(One, x));
    let (mut re, mut im) = (lane(T::ZERO), lane(T::ZERO));
    for (&[c, d], &[x, y]) in b.get(n..).unwrap_or_default().iter().zip(b) {
        let product = |a: T, b: T| lane(a).times(lane(b));
        re = re.plus(product(c, x)).plus(product(d, y));
        im = im.plus(product(d, x)).minus(product(c, y));
    }
    (re, im)
}

/// Fills the primitive of these amplitudes and returns 1 / (2 c).
pub(super) fn integrate<T: Scalar>(
    amplitude: &[[T; 2]],
    primitive: &mut [[T; 2]],
    lack: &mut [[T; 2]],
) -> T {
    let (c, _) = autocorrelation(amplitude, 0);
    let scale = pi::<Of<T>>(One).times(c);
    let zero = Double::<Of<T>>::of(One, Of::<T>::splat(One, T::ZERO));
    let (mut re, mut im) = (zero, zero);
    let mut k = amplitude.len();
    for (to, lack) in primitive.iter_mut().zip(lack).rev() {
        k = k.saturating_sub(1);
        *to = [number::<T>(re.high), number::<T>(im.high)];
        *lack = [number::<T>(re.low), number::<T>(im.low)];
        if k > 0 {
            let (x, y) = autocorrelation(amplitude, k);
            let by = scale.times(Double::of(One, Of::<T>::splat(One, T::from_count(k))));
            // Divided by i.
            re = re.plus(y.divided(One, by));
            im = im.minus(x.divided(One, by));
        }
    }
    let c = single::<T>(c);
    T::ONE / (c + c)
}
