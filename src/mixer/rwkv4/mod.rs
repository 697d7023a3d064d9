//! RWKV-4's mean of the past: an online softmax whose weights decay, channel by channel.

mod kernel;

use super::{CausalMixer, Merge};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error, Parameter};
use kernel::{arrays, join, run};

/// The arrays of one number a channel that the state consists of.
const ARRAYS: usize = 4;

/// The WKV of RWKV-4: for each channel the mean of the values so far, with weights exp(key) that decay by
/// exp(w) a step, and an extra exp(u) for the newest.
///
/// y_t = (sum_(i<t) exp((t - 1 - i) w + k_i) v_i + exp(u + k_t) v_t) / (the same with 1 for v).
///
/// `decay` is w, what is added to exponents: -exp(time_decay) of a checkpoint, negative. It is the
/// [`OnlineSoftmax`](super::OnlineSoftmax) with decay. Peng et al. (2023), arXiv 2305.13048. The receptance multiplies outside,
/// as sigmoid(r) y.
///
/// * **Shapes:** decay and bonus `[channel]`, keys, values and outputs `[token][channel]`; the state
///   `[numerator, denominator, maximum, its remainder][channel]`.
/// * **State:** the sums of exp(k) v and exp(k), over exp(m); m is the greatest exponent so far, decay
///   included, in two parts, since it falls by w at every step. Other implementations keep the first
///   three; a remainder of zeros belongs to theirs. No token is zeros and m = -inf.
/// * **Domain:** every finite key, bonus and decay. A key of minus infinity weighs nothing; where nothing
///   weighs, the output is zero. NaN anywhere, and an infinite key otherwise, give NaN in that channel
///   until [`reset`](CausalMixer::reset). Weights below the normal numbers beside the greatest are zero.
///   A decay of minus infinity forgets everything before the newest token.
/// * **Order:** the tokens one after the other; [`prefill`](Self::prefill) gives the same bits as its
///   steps, [`Merge`] agrees within the error bound.
/// * **Accuracy:** the table's row `rwkv4`, in units of max |v|: exponents are exact but for their last
///   rounding, whatever the size of the keys and the number of tokens.
/// * **Cost:** two exponentials a channel and step.
///
/// ```
/// use suanzi::mixer::{CausalMixer, Rwkv4, Rwkv4Token, rwkv4_len};
///
/// let (decay, bonus) = ([-0.5_f32], [0.0]);
/// let mut wkv = Rwkv4::new(&decay, &bonus, [0.0; rwkv4_len(1)])?;
/// let mut y = [0.0];
/// wkv.step(Rwkv4Token { key: &[3.0], value: &[1.0] }, &mut y)?;
/// assert_eq!(y, [1.0]);
/// // The first token has not decayed yet when the second looks back.
/// wkv.step(Rwkv4Token { key: &[3.0], value: &[2.0] }, &mut y)?;
/// assert_eq!(y, [1.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rwkv4<'a, T, S> {
    decay: &'a [T],
    bonus: &'a [T],
    storage: S,
    steps: u64,
    cpu: Cpu,
}

/// What RWKV-4 reads of one token, or of several, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rwkv4Token<'a, T> {
    /// The logarithms of the weights, one a channel.
    pub key: &'a [T],
    /// What is averaged, one a channel.
    pub value: &'a [T],
}

/// Returns the elements that the state of `channels` channels takes.
#[must_use]
pub const fn rwkv4_len(channels: usize) -> usize {
    channels.saturating_mul(ARRAYS)
}

impl<'a, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Rwkv4<'a, T, S> {
    /// Returns the state of no token, in lent storage, on the processor's best instruction set.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] without channels, [`Error::Length`] if decay and bonus differ in length or
    /// the storage has not [`rwkv4_len`] elements.
    pub fn new(decay: &'a [T], bonus: &'a [T], storage: S) -> Result<Self, Error> {
        let channels = decay.len();
        if channels == 0 {
            return Err(Error::Domain(Parameter::Shape));
        }
        check_len(channels, bonus.len())?;
        check_len(rwkv4_len(channels), storage.as_ref().len())?;
        let mut cell = Self {
            decay,
            bonus,
            storage,
            steps: 0,
            cpu: Cpu::default(),
        };
        cell.reset();
        Ok(cell)
    }

    /// Runs on `cpu`.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the state: numerators, denominators, maxima, remainders of the maxima.
    #[must_use]
    pub fn state(&self) -> &[T] {
        self.storage.as_ref()
    }

    /// Returns the state, to restore one. [`Merge`] also asks for [`steps`](Self::steps).
    #[must_use]
    pub fn state_mut(&mut self) -> &mut [T] {
        self.storage.as_mut()
    }

    /// Returns the number of tokens since the last reset, by which [`Merge`] decays what came before.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Says how many tokens a restored state has seen.
    pub const fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Reads tokens one after the other and writes an output for each: as many steps, in one call.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `out` does not hold whole tokens, [`Error::Length`] if keys or values have
    /// not as many.
    pub fn prefill(&mut self, tokens: Rwkv4Token<'_, T>, out: &mut [T]) -> Result<(), Error> {
        let channels = self.decay.len();
        if !out.len().is_multiple_of(channels) {
            return Err(Error::Multiple {
                of: channels,
                found: out.len(),
            });
        }
        self.take(tokens, out)
    }

    /// Takes as many tokens as `out` has room for.
    fn take(&mut self, tokens: Rwkv4Token<'_, T>, out: &mut [T]) -> Result<(), Error> {
        check_len(out.len(), tokens.key.len())?;
        check_len(out.len(), tokens.value.len())?;
        let count = out.len().checked_div(self.decay.len()).unwrap_or_default();
        self.steps = self.steps.saturating_add(count as u64);
        let parameters = [self.decay, self.bonus];
        run(self.cpu, parameters, self.storage.as_mut(), &tokens, out);
        Ok(())
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalMixer<[T]> for Rwkv4<'_, T, S> {
    type Token<'a>
        = Rwkv4Token<'a, T>
    where
        [T]: 'a;

    fn step(&mut self, token: Rwkv4Token<'_, T>, out: &mut [T]) -> Result<(), Error> {
        check_len(self.decay.len(), out.len())?;
        self.take(token, out)
    }

    fn reset(&mut self) {
        let channels = self.decay.len();
        self.steps = 0;
        let [numerators, denominators, maxima, remainders] =
            arrays(self.storage.as_mut(), channels);
        numerators.fill(T::ZERO);
        denominators.fill(T::ZERO);
        maxima.fill(T::NEG_INFINITY);
        remainders.fill(T::ZERO);
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Merge for Rwkv4<'_, T, S> {
    /// Joins the state of the tokens that followed, which started from none and has this state's decay.
    ///
    /// What is here decays by w for each step of `later`; a count above 2^24 (`f32`; 2^53 for `f64`) is
    /// rounded.
    fn merge(&mut self, later: &Self) -> Result<(), Error> {
        check_len(self.decay.len(), later.decay.len())?;
        let steps = later.steps;
        self.steps = self.steps.saturating_add(steps);
        join(
            self.cpu,
            self.decay,
            self.storage.as_mut(),
            later.storage.as_ref(),
            steps,
        );
        Ok(())
    }
}
