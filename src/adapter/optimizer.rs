//! Steps of gradient descent on lent parameters and lent state.

use super::descent::{Arrays, descend};
use super::merge::Trained;
use super::plus::checked;
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
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
