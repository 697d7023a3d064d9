//! The selective scan of Mamba: a diagonal recurrence whose decay depends on the token.

mod kernel;

use super::CausalMixer;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error, Parameter};
use kernel::scan;

/// The selective scan of Mamba-1: for each channel, a state of N numbers that decays by itself.
///
/// With the step d of a channel and its input u,
///
/// h_n = exp(d A_n) h_n + (d u) B_n, then y = sum_n C_n h_n + D u, then y silu(z),
///
/// where A and D are parameters of the channel, B and C come with the token and are the same for all
/// channels, and d = softplus(delta + bias) or delta itself. D, the softplus and the gate z may be left
/// out. Gu and Dao (2023), arXiv 2312.00752. The convolution before it is
/// [`CausalConvolution`](super::CausalConvolution).
///
/// * **Shapes:** the state and A `[channel][n]`, as checkpoints have them; inputs, steps, gates and
///   outputs `[token][channel]`; B and C `[token][n]`.
/// * **Domain:** every number. d A is negative in a trained model; a positive one makes the state grow.
///   A factor exp(d A) below the normal numbers is zero, from 2^127.5 on (`f32`; 2^1023.5 for `f64`)
///   infinite. NaN and what overflows stay in their channel, in the state until
///   [`reset`](CausalMixer::reset); a NaN in B or C reaches every channel.
/// * **Order:** every product and sum of the state rounds on its own. In the sum over n, lane j of
///   sixteen adds the products of j, j + 16, ... one after the other and the lanes join as a tree
///   (j + 8, j + 4, j + 2, j + 1); then D u is added and the gate multiplies. A call of
///   [`prefill`](Self::prefill) gives the same bits as its steps.
/// * **Accuracy:** the table's row `selective scan`.
/// * **Cost:** one exponential an element of the state and step. `prefill` keeps the state of eight
///   channels near while it runs over the tokens.
/// * **Storage:** [`scan_len`] elements, all of the state there is: copying [`state`](Self::state)
///   saves it, writing [`state_mut`](Self::state_mut) restores it.
///
/// ```
/// use suanzi::mixer::{CausalMixer, ScanToken, SelectiveScan, scan_len};
///
/// // One channel with two numbers, which forget at different rates.
/// let a = [-1.0_f32, -2.0];
/// let mut scan = SelectiveScan::new(1, 2, &a, [0.0; scan_len(1, 2)])?;
/// let token = ScanToken {
///     input: &[1.0],
///     step: &[0.5],
///     b: &[1.0, 1.0],
///     c: &[1.0, 3.0],
///     gate: None,
/// };
/// let mut y = [0.0];
/// scan.step(token, &mut y)?;
/// assert_eq!(y, [2.0]);
/// scan.step(ScanToken { input: &[0.0], ..token }, &mut y)?;
/// assert!((y[0] - (0.5 * (-0.5_f32).exp() + 1.5 * (-1.0_f32).exp())).abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SelectiveScan<'a, T, S> {
    parameters: Parameters<'a, T>,
    storage: S,
    cpu: Cpu,
}

/// What does not change from token to token.
#[derive(Clone, Copy, Debug)]
struct Parameters<'a, T> {
    channels: usize,
    states: usize,
    a: &'a [T],
    /// Empty, or one a channel.
    skip: &'a [T],
    softplus: bool,
    /// Empty, or one a channel.
    bias: &'a [T],
}

/// What the selective scan reads of one token, or of several, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct ScanToken<'a, T> {
    /// The inputs u, one a channel.
    pub input: &'a [T],
    /// The steps delta, one a channel.
    pub step: &'a [T],
    /// What the input is written with: B, one for each n.
    pub b: &'a [T],
    /// What the state is read with: C, one for each n.
    pub c: &'a [T],
    /// The gates z, one a channel, where there are any.
    pub gate: Option<&'a [T]>,
}

/// Returns the elements that the state of `channels` channels with `states` numbers each takes.
#[must_use]
pub const fn scan_len(channels: usize, states: usize) -> usize {
    channels.saturating_mul(states)
}

impl<'a, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> SelectiveScan<'a, T, S> {
    /// Returns the scan of `channels` channels with `states` numbers each, in lent storage that is set
    /// to zero, on the processor's best instruction set; no D, no softplus.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if a size is zero or the product overflows, [`Error::Length`] if `a` or the
    /// storage has not [`scan_len`] elements.
    pub fn new(channels: usize, states: usize, a: &'a [T], storage: S) -> Result<Self, Error> {
        match channels.checked_mul(states) {
            Some(len) if len > 0 => {
                check_len(len, a.len())?;
                check_len(len, storage.as_ref().len())?;
            }
            _ => return Err(Error::Domain(Parameter::Shape)),
        }
        let mut scan = Self {
            parameters: Parameters {
                channels,
                states,
                a,
                skip: &[],
                softplus: false,
                bias: &[],
            },
            storage,
            cpu: Cpu::default(),
        };
        scan.storage.as_mut().fill(T::ZERO);
        Ok(scan)
    }

    /// Adds `skip` times the input to the output: D, one number a channel.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one a channel.
    pub fn with_skip(mut self, skip: &'a [T]) -> Result<Self, Error> {
        check_len(self.parameters.channels, skip.len())?;
        self.parameters.skip = skip;
        Ok(self)
    }

    /// Takes softplus(delta + bias) for the steps; an empty `bias` is zero.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one a channel, or none.
    pub fn with_softplus(mut self, bias: &'a [T]) -> Result<Self, Error> {
        if !bias.is_empty() {
            check_len(self.parameters.channels, bias.len())?;
        }
        self.parameters.softplus = true;
        self.parameters.bias = bias;
        Ok(self)
    }

    /// Runs on `cpu`.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the state `[channel][n]`.
    #[must_use]
    pub fn state(&self) -> &[T] {
        self.storage.as_ref()
    }

    /// Returns the state `[channel][n]`, to restore one.
    #[must_use]
    pub fn state_mut(&mut self) -> &mut [T] {
        self.storage.as_mut()
    }

    /// Reads tokens one after the other and writes an output for each: as many steps, in one call.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `out` does not hold whole tokens, [`Error::Length`] if a part of `tokens`
    /// has not as many.
    pub fn prefill(&mut self, tokens: ScanToken<'_, T>, out: &mut [T]) -> Result<(), Error> {
        let channels = self.parameters.channels;
        let count = out.len().checked_div(channels).unwrap_or_default();
        if !out.len().is_multiple_of(channels) {
            return Err(Error::Multiple {
                of: channels,
                found: out.len(),
            });
        }
        self.take(count, tokens, out)
    }

    /// Checks `count` tokens and takes them.
    fn take(&mut self, count: usize, x: ScanToken<'_, T>, out: &mut [T]) -> Result<(), Error> {
        let p = self.parameters;
        let wide = p.channels.saturating_mul(count);
        let small = p.states.saturating_mul(count);
        check_len(wide, out.len())?;
        check_len(wide, x.input.len())?;
        check_len(wide, x.step.len())?;
        check_len(small, x.b.len())?;
        check_len(small, x.c.len())?;
        if let Some(gate) = x.gate {
            check_len(wide, gate.len())?;
        }
        scan(self.cpu, &p, &x, self.storage.as_mut(), out);
        Ok(())
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalMixer<[T]> for SelectiveScan<'_, T, S> {
    type Token<'a>
        = ScanToken<'a, T>
    where
        [T]: 'a;

    fn step(&mut self, token: ScanToken<'_, T>, out: &mut [T]) -> Result<(), Error> {
        self.take(1, token, out)
    }

    fn reset(&mut self) {
        self.storage.as_mut().fill(T::ZERO);
    }
}
