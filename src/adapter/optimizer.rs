//! Steps of gradient descent on lent parameters and lent state.

use super::merge::Trained;
use super::plus::checked;
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::math::exp_m1::exp_m1_lanes;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes, One};
use crate::{Cpu, Error, Scalar};

/// The running means of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments<T> {
    /// The decay of the mean of gradients, within [0, 1).
    pub beta1: T,
    /// The decay of the mean of their squares, within [0, 1).
    pub beta2: T,
    /// The small number beside the root: finite and positive.
    pub epsilon: T,
}

impl<T: Scalar> Default for Moments<T> {
    /// Returns 0.9, 0.999 and 1e-8, the defaults of the paper and of PyTorch.
    fn default() -> Self {
        // Quotients of integers that are exact in the type are the numbers nearest to the decimals.
        let ratio = |a, b| T::from_count(a) / T::from_count(b);
        Self {
            beta1: ratio(9, 10),
            beta2: ratio(999, 1000),
            epsilon: ratio(1, 100_000_000),
        }
    }
}

/// How a gradient changes a parameter.
///
/// p is the parameter, g its gradient, h the rate and w the weight decay of a step, t its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule<T> {
    /// p - h (g + w p).
    Sgd,
    /// p - h w p - h sign(g), with sign(0) = 0: Adam without memory.
    SignSgd,
    /// Adam (Kingma and Ba, 2014, arXiv:1412.6980) on g + w p.
    Adam(Moments<T>),
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2017, arXiv:1711.05101), as in PyTorch:
    /// p - h w p, m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, then p - h (m / (1 - b1^t)) /
    /// (sqrt(v / (1 - b2^t)) + eps).
    AdamW(Moments<T>),
}

/// Takes steps of gradient descent on parameters in any storage that can be [`Trained`].
///
/// * **Shapes:** as many gradients as parameters; state of [`state_len`](Self::state_len), which
///   [`begin`](Self::begin) fills. For Adam it holds both running means; for parameters in 16 bits also
///   the parameters in `f32`, without which a small step would round to nothing: they are what descends,
///   and the 16 bits are them, rounded once.
/// * **Edges:** an infinite or NaN gradient makes its parameter NaN or leaves it, as arithmetic has it;
///   NaN is canonical. In `f32` the square of a gradient beyond 1e19 is infinite, and Adam stands still.
/// * **Order:** element by element, every product and sum rounded: the same bits on every level unless the
///   executor is fused. 1 - b^t is -expm1(t ln b), without cancellation for large t.
/// * **Accuracy:** the table's row `optimizer step`.
/// * **Cost:** one pass; Adam takes a root and a division an element.
///
/// ```
/// use suanzi::adapter::{Moments, Optimizer, Rule};
///
/// let adam = Optimizer::new(Rule::AdamW(Moments::default()))?;
/// let (mut p, mut state) = ([1.0_f32, -1.0], [0.0; 4]);
/// assert_eq!(adam.state_len::<f32>(p.len()), state.len());
/// adam.begin(&p, &mut state)?;
/// adam.step(1, 0.125, 0.0, &mut p, &[3.0, -0.5], &mut state)?;
/// // The first step goes by the rate, whatever the size of the gradient.
/// assert_eq!(p, [0.875, -0.875]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Optimizer<T = f32> {
    rule: Rule<T>,
    cpu: Cpu,
}

impl<T: Scalar> Optimizer<T> {
    /// Returns the optimizer, on the default executor.
    ///
    /// # Errors
    ///
    /// [`Parameter::Beta`] or [`Parameter::Epsilon`] for moments outside their domain.
    pub fn new(rule: Rule<T>) -> Result<Self, Error> {
        if let Rule::Adam(moments) | Rule::AdamW(moments) = rule {
            for beta in [moments.beta1, moments.beta2] {
                if !(beta >= T::ZERO && beta < T::ONE) {
                    return Err(Error::Domain(Parameter::Beta));
                }
            }
            if !(moments.epsilon > T::ZERO && moments.epsilon < T::INFINITY) {
                return Err(Error::Domain(Parameter::Epsilon));
            }
        }
        Ok(Self {
            rule,
            cpu: Cpu::default(),
        })
    }

    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub const fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the elements of the state of so many parameters, `usize::MAX` if they do not fit.
    #[must_use]
    pub const fn state_len<P: Trained<T>>(&self, parameters: usize) -> usize {
        let moments = match self.rule {
            Rule::Sgd | Rule::SignSgd => 0,
            Rule::Adam(_) | Rule::AdamW(_) => 2,
        };
        parameters.saturating_mul(if P::WIDENS { moments + 1 } else { moments })
    }

    /// Fills the state before the first step.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the state has [`state_len`](Self::state_len) elements.
    pub fn begin<P: Trained<T>>(&self, parameters: &[P], state: &mut [T]) -> Result<(), Error> {
        check_len(self.state_len::<P>(parameters.len()), state.len())?;
        state.fill(T::ZERO);
        if P::WIDENS {
            for (to, from) in state.iter_mut().zip(parameters) {
                *to = from.widen();
            }
        }
        Ok(())
    }

    /// Takes step number `time`, from one on, with a learning rate and a weight decay.
    ///
    /// # Errors
    ///
    /// [`Parameter::Step`] for step zero, [`Parameter::Rate`] unless rate and decay are finite and not
    /// negative, [`Error::Length`] unless there is a gradient for each parameter and the state has its
    /// length.
    pub fn step<P: Trained<T>>(
        &self,
        time: u32,
        rate: T,
        decay: T,
        parameters: &mut [P],
        gradient: &[T],
        state: &mut [T],
    ) -> Result<(), Error> {
        if time == 0 {
            return Err(Error::Domain(Parameter::Step));
        }
        let (rate, decay) = (checked(rate)?, checked(decay)?);
        let len = parameters.len();
        check_len(len, gradient.len())?;
        check_len(self.state_len::<P>(len), state.len())?;
        let (wide, moments) = state
            .split_at_mut_checked(if P::WIDENS { len } else { 0 })
            .unwrap_or_default();
        let half = moments.len() / 2;
        let (m, v) = moments.split_at_mut_checked(half).unwrap_or_default();
        let arrays = Arrays {
            parameters,
            gradient,
            wide,
            m,
            v,
        };
        dispatch!(self.cpu, isa => descend(isa, self.rule, time, rate, decay, arrays));
        Ok(())
    }
}

/// What a step reads and writes: all of one length, or empty where there is none.
struct Arrays<'a, P, T> {
    parameters: &'a mut [P],
    gradient: &'a [T],
    wide: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
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
fn descend<S: Isa, P: Trained<T>, T: Scalar>(
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
