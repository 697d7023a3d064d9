//! The rules of gradient descent on vectors.

use super::merge::Trained;
use super::{Moments, Rule};
use crate::Scalar;
use crate::math::exp_m1::exp_m1_lanes;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes, One};

/// What a step reads and writes: all of one length, or empty where there is none.
pub(super) struct Arrays<'a, P, T> {
    pub(super) parameters: &'a mut [P],
    pub(super) gradient: &'a [T],
    pub(super) wide: &'a mut [T],
    pub(super) m: &'a mut [T],
    pub(super) v: &'a mut [T],
}

impl<P, T> Arrays<'_, P, T> {
    /// Splits each array that has as many elements.
    #[inline(always)]
    fn split(self, at: usize) -> (Self, Self) {
        #[inline(always)]
        fn cut<X>(x: &mut [X], at: usize) -> (&mut [X], &mut [X]) {
            if x.len() < at {
                return (&mut [], &mut []);
            }
            x.split_at_mut_checked(at).unwrap_or_default()
        }
        let (parameters, parameters_rest) = cut(self.parameters, at);
        let (gradient, gradient_rest) = self.gradient.split_at_checked(at).unwrap_or_default();
        let (wide, wide_rest) = cut(self.wide, at);
        let (m, m_rest) = cut(self.m, at);
        let (v, v_rest) = cut(self.v, at);
        (
            Self {
                parameters,
                gradient,
                wide,
                m,
                v,
            },
            Self {
                parameters: parameters_rest,
                gradient: gradient_rest,
                wide: wide_rest,
                m: m_rest,
                v: v_rest,
            },
        )
    }
}

/// Takes a step: whole vectors, then the elements left over.
#[inline(always)]
pub(super) fn descend<S: Isa, P: Trained<T>, T: Scalar>(
    isa: S,
    rule: Rule<T>,
    time: u32,
    rate: T,
    decay: T,
    arrays: Arrays<'_, P, T>,
) {
    let len = arrays.parameters.len();
    let (body, rest) = arrays.split(len - len % <T::Lanes<S> as Lanes>::LANES);
    match rule {
        Rule::Sgd => {
            let step = Sgd { rate, decay };
            vectors::<T::Lanes<S>, P, _>(isa, step, body);
            vectors::<T::Lanes<One>, P, _>(One, step, rest);
        }
        Rule::SignSgd => {
            let step = Sign {
                rate,
                shrink: rate * decay,
            };
            vectors::<T::Lanes<S>, P, _>(isa, step, body);
            vectors::<T::Lanes<One>, P, _>(One, step, rest);
        }
        Rule::Adam(moments) => {
            let step = Adam::new(moments, time, rate, T::ZERO, decay);
            vectors::<T::Lanes<S>, P, _>(isa, step, body);
            vectors::<T::Lanes<One>, P, _>(One, step, rest);
        }
        Rule::AdamW(moments) => {
            let step = Adam::new(moments, time, rate, rate * decay, T::ZERO);
            vectors::<T::Lanes<S>, P, _>(isa, step, body);
            vectors::<T::Lanes<One>, P, _>(One, step, rest);
        }
    }
}

/// A rule on vectors.
trait Step<T: Scalar>: Copy {
    /// Whether it keeps running means.
    const MOMENTS: bool;
    /// Returns the next p, and changes the running means.
    fn next<V: Lanes<Element = T>>(&self, isa: V::Isa, p: V, g: V, m: &mut V, v: &mut V) -> V;
}

/// p - h (g + w p).
#[derive(Clone, Copy)]
struct Sgd<T> {
    rate: T,
    decay: T,
}

impl<T: Scalar> Step<T> for Sgd<T> {
    const MOMENTS: bool = false;
    #[inline(always)]
    fn next<V: Lanes<Element = T>>(&self, isa: V::Isa, p: V, g: V, _: &mut V, _: &mut V) -> V {
        let g = V::splat(isa, self.decay).mul_add(p, g);
        p - V::splat(isa, self.rate) * g
    }
}

/// p - h w p - h sign(g).
#[derive(Clone, Copy)]
struct Sign<T> {
    rate: T,
    shrink: T,
}

impl<T: Scalar> Step<T> for Sign<T> {
    const MOMENTS: bool = false;
    #[inline(always)]
    fn next<V: Lanes<Element = T>>(&self, isa: V::Isa, p: V, g: V, _: &mut V, _: &mut V) -> V {
        let zero = V::splat(isa, T::ZERO);
        let p = p - V::splat(isa, self.shrink) * p;
        // Zero and NaN stay what they are.
        let moves = V::or(g.lt(zero), zero.lt(g));
        p - V::select(moves, V::splat(isa, self.rate).copysign(g), g)
    }
}

/// Adam, with the weight decay in the gradient or beside it.
#[derive(Clone, Copy)]
struct Adam<T> {
    beta1: T,
    beta2: T,
    epsilon: T,
    /// h / (1 - b1^t).
    rate: T,
    /// 1 / sqrt(1 - b2^t).
    inverse: T,
    shrink: T,
    decay: T,
}

impl<T: Scalar> Adam<T> {
    /// Returns step number `time`.
    #[inline(always)]
    fn new(moments: Moments<T>, time: u32, rate: T, shrink: T, decay: T) -> Self {
        let Moments {
            beta1,
            beta2,
            epsilon,
        } = moments;
        // A step beyond 2^24 may count as its neighbor; both corrections are one long before.
        let time = T::from_count(time as usize);
        let correction = |beta: T| {
            let exponent = time * beta.natural_log();
            let mut power = [T::ZERO];
            exp_m1_lanes::<T::Lanes<One>>(One, T::Lanes::<One>::splat(One, exponent))
                .store(&mut power);
            -power[0]
        };
        Self {
            beta1,
            beta2,
            epsilon,
            rate: rate / correction(beta1),
            inverse: T::ONE / correction(beta2).root(),
            shrink,
            decay,
        }
    }
}

impl<T: Scalar> Step<T> for Adam<T> {
    const MOMENTS: bool = true;
    #[inline(always)]
    fn next<V: Lanes<Element = T>>(&self, isa: V::Isa, p: V, g: V, m: &mut V, v: &mut V) -> V {
        let [beta1, beta2] = [self.beta1, self.beta2].map(
            #[inline(always)]
            |beta| V::splat(isa, beta),
        );
        let one = V::splat(isa, T::ONE);
        let g = V::splat(isa, self.decay).mul_add(p, g);
        let p = p - V::splat(isa, self.shrink) * p;
        *m = beta1.mul_add(*m, (one - beta1) * g);
        *v = beta2.mul_add(*v, (one - beta2) * g * g);
        let inverse = V::splat(isa, self.inverse);
        let root = v.sqrt().mul_add(inverse, V::splat(isa, self.epsilon));
        p - V::splat(isa, self.rate) * *m / root
    }
}

/// Takes a step on a multiple of the vector's length.
#[inline(always)]
fn vectors<V: Lanes, P: Trained<V::Element>, R: Step<V::Element>>(
    isa: V::Isa,
    step: R,
    arrays: Arrays<'_, P, V::Element>,
) {
    let Arrays {
        parameters,
        gradient,
        wide,
        m,
        v,
    } = arrays;
    let nan = V::splat(isa, V::Element::NAN);
    let mut at = 0;
    for (p, g) in parameters
        .chunks_exact_mut(V::LANES)
        .zip(gradient.chunks_exact(V::LANES))
    {
        let mut means = [nan; 2];
        let lent = [
            m.get_mut(at..).unwrap_or_default(),
            v.get_mut(at..).unwrap_or_default(),
        ];
        if R::MOMENTS {
            means = [V::load(isa, lent[0]), V::load(isa, lent[1])];
        }
        let kept = wide.get_mut(at..).unwrap_or_default();
        let now: V = if P::WIDENS {
            V::load(isa, kept)
        } else {
            P::load(isa, p)
        };
        let [mean, square] = &mut means;
        let next = step.next(isa, now, V::load(isa, g), mean, square);
        let next = V::select(next.eq(next), next, nan);
        if R::MOMENTS {
            for (to, mean) in lent.into_iter().zip(means) {
                V::select(mean.eq(mean), mean, nan).store(to);
            }
        }
        let mut lanes = [V::Element::ZERO; crate::simd::LANES];
        if P::WIDENS {
            next.store(kept);
        }
        next.store(&mut lanes);
        for (p, &lane) in p.iter_mut().zip(&lanes) {
            *p = P::narrow(lane);
        }
        at += V::LANES;
    }
}
