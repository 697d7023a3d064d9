//! The short causal convolution in front of recurrent mixers, channel by channel.

use super::CausalMixer;
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::nn::Silu;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Lanes, One};
use crate::{Cpu, Error, Parameter};

/// A causal depthwise convolution: each channel is the weighted sum of its newest K inputs.
///
/// y_t = bias + sum_j w_j x_(t - K + 1 + j), j from 0 to K - 1, and silu of it where asked for; inputs
/// before the first token are zero. The last row of the weights meets the newest input, as in the
/// frameworks' convolutions. Gu and Dao (2023), arXiv 2312.00752, have K = 4 in front of
/// [`SelectiveScan`](super::SelectiveScan).
///
/// * **Shapes:** weights `[j][channel]`, inputs and outputs `[token][channel]`; the state
///   `[age][channel]`, the oldest of the K - 1 inputs first.
/// * **Domain:** every number. A NaN or an infinity stays for K tokens in its channel.
/// * **Order:** the bias, then the products from the oldest input to the newest, every product and sum
///   rounded. A call of [`prefill`](Self::prefill) gives the same bits as its steps.
/// * **Accuracy:** the table's row `causal convolution`.
/// * **Cost:** K multiplications an output; a step moves the K - 2 newest inputs up by one place.
/// * **Storage:** [`convolution_len`] elements, all of the state there is: copying
///   [`state`](Self::state) saves it, writing [`state_mut`](Self::state_mut) restores it.
///
/// ```
/// use suanzi::mixer::{CausalConvolution, CausalMixer, convolution_len};
///
/// // Two channels: the sum of the newest three inputs, and the newest less the one before.
/// let weights = [1.0_f32, 0.0, 1.0, -1.0, 1.0, 1.0];
/// let mut convolution = CausalConvolution::new(2, 3, &weights, [0.0; convolution_len(2, 3)])?;
/// let mut y = [0.0; 6];
/// convolution.prefill(&[1.0, 1.0, 2.0, 4.0, 3.0, 9.0], &mut y)?;
/// assert_eq!(y, [1.0, 1.0, 3.0, 3.0, 6.0, 5.0]);
/// let mut next = [0.0; 2];
/// convolution.step(&[4.0, 16.0], &mut next)?;
/// assert_eq!(next, [9.0, 7.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CausalConvolution<'a, T, S> {
    channels: usize,
    weights: &'a [T],
    /// Empty, or one a channel.
    bias: &'a [T],
    silu: bool,
    storage: S,
    cpu: Cpu,
}

/// Returns the elements that the state of `channels` channels and `width` weights each takes.
#[must_use]
pub const fn convolution_len(channels: usize, width: usize) -> usize {
    channels.saturating_mul(width.saturating_sub(1))
}

impl<'a, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalConvolution<'a, T, S> {
    /// Returns the convolution of `channels` channels with `width` weights each, in lent storage that is
    /// set to zero, on the processor's best instruction set; no bias, no silu.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if a size is zero or the product overflows, [`Error::Length`] if the weights
    /// or the storage, [`convolution_len`], have another length.
    pub fn new(channels: usize, width: usize, weights: &'a [T], storage: S) -> Result<Self, Error> {
        match channels.checked_mul(width) {
            Some(len) if len > 0 => {
                check_len(len, weights.len())?;
                check_len(convolution_len(channels, width), storage.as_ref().len())?;
            }
            _ => return Err(Error::Domain(Parameter::Shape)),
        }
        let mut convolution = Self {
            channels,
            weights,
            bias: &[],
            silu: false,
            storage,
            cpu: Cpu::default(),
        };
        convolution.storage.as_mut().fill(T::ZERO);
        Ok(convolution)
    }

    /// Starts every sum from a bias.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one a channel.
    pub fn with_bias(self, bias: &'a [T]) -> Result<Self, Error> {
        check_len(self.channels, bias.len())?;
        Ok(Self { bias, ..self })
    }

    /// Takes silu of every sum.
    #[must_use]
    pub fn with_silu(self) -> Self {
        Self { silu: true, ..self }
    }

    /// Runs on `cpu`.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the newest K - 1 inputs, the oldest first.
    #[must_use]
    pub fn state(&self) -> &[T] {
        self.storage.as_ref()
    }

    /// Returns the newest K - 1 inputs, the oldest first, to restore others.
    #[must_use]
    pub fn state_mut(&mut self) -> &mut [T] {
        self.storage.as_mut()
    }

    /// Reads tokens one after the other and writes an output for each: as many steps, in one call.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `out` does not hold whole tokens, [`Error::Length`] if `inputs` has not as
    /// many.
    pub fn prefill(&mut self, inputs: &[T], out: &mut [T]) -> Result<(), Error> {
        if !out.len().is_multiple_of(self.channels) {
            return Err(Error::Multiple {
                of: self.channels,
                found: out.len(),
            });
        }
        check_len(out.len(), inputs.len())?;
        self.take(inputs, out);
        Ok(())
    }

    /// Takes whole tokens.
    fn take(&mut self, inputs: &[T], out: &mut [T]) {
        let parameters = Parameters {
            channels: self.channels,
            weights: self.weights,
            bias: self.bias,
            silu: self.silu,
        };
        convolve(self.cpu, &parameters, self.storage.as_ref(), inputs, out);
        keep(self.storage.as_mut(), inputs);
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalMixer<[T]> for CausalConvolution<'_, T, S> {
    type Token<'a>
        = &'a [T]
    where
        [T]: 'a;

    fn step(&mut self, token: &[T], out: &mut [T]) -> Result<(), Error> {
        check_len(self.channels, token.len())?;
        check_len(self.channels, out.len())?;
        self.take(token, out);
        Ok(())
    }

    fn reset(&mut self) {
        self.storage.as_mut().fill(T::ZERO);
    }
}

/// What does not change from token to token.
struct Parameters<'a, T> {
    channels: usize,
    weights: &'a [T],
    bias: &'a [T],
    silu: bool,
}

/// Moves the newest inputs into the state.
fn keep<T: Copy>(state: &mut [T], inputs: &[T]) {
    let (len, count) = (state.len(), inputs.len());
    if count < len {
        state.copy_within(count.., 0);
    }
    let to = state.get_mut(len.saturating_sub(count)..);
    let from = inputs.get(count.saturating_sub(len)..);
    for (to, &from) in to
        .unwrap_or_default()
        .iter_mut()
        .zip(from.unwrap_or_default())
    {
        *to = from;
    }
}

/// Writes the outputs of whole tokens; the state lies before the inputs.
#[inline(never)]
fn convolve<T: Scalar>(cpu: Cpu, p: &Parameters<'_, T>, state: &[T], inputs: &[T], out: &mut [T]) {
    dispatch!(cpu, isa => convolve_lanes::<T::Lanes<_>>(isa, p, state, inputs, out));
}

/// Writes the outputs of whole tokens, one weight of all channels after the other.
#[inline(always)]
fn convolve_lanes<V: Lanes>(
    isa: V::Isa,
    p: &Parameters<'_, V::Element>,
    state: &[V::Element],
    inputs: &[V::Element],
    out: &mut [V::Element],
) {
    let channels = p.channels.max(1);
    let whole = channels - channels % V::LANES;
    for (t, out) in out.chunks_exact_mut(channels).enumerate() {
        out.fill(V::Element::ZERO);
        for (out, &bias) in out.iter_mut().zip(p.bias) {
            *out = bias;
        }
        let (out, rest) = out.split_at_mut_checked(whole).unwrap_or_default();
        for (weights, x) in p
            .weights
            .chunks_exact(channels)
            .zip(newest(t, channels, state, inputs))
        {
            let (weights, weights_rest) = weights.split_at_checked(whole).unwrap_or_default();
            let (x, x_rest) = x.split_at_checked(whole).unwrap_or_default();
            add_products::<V>(isa, weights, x, out);
            add_products::<Single<V>>(One, weights_rest, x_rest, rest);
        }
        finish::<V>(isa, p.silu, out);
        finish::<Single<V>>(One, p.silu, rest);
    }
}

/// One lane of the same numbers.
type Single<V> = <<V as Lanes>::Element as Compute>::Lanes<One>;

/// Returns the inputs that token `t` and those after it see, from its oldest on.
#[inline(always)]
fn newest<'a, T>(
    t: usize,
    channels: usize,
    state: &'a [T],
    inputs: &'a [T],
) -> impl Iterator<Item = &'a [T]> {
    let at = t.saturating_mul(channels);
    let kept = state.get(at..).unwrap_or_default();
    let given = inputs.get(at.saturating_sub(state.len())..);
    kept.chunks_exact(channels.max(1))
        .chain(given.unwrap_or_default().chunks_exact(channels.max(1)))
}

/// Adds w x to y, whole vectors of them.
#[inline(always)]
fn add_products<V: Lanes>(isa: V::Isa, w: &[V::Element], x: &[V::Element], y: &mut [V::Element]) {
    let factors = w.chunks_exact(V::LANES).zip(x.chunks_exact(V::LANES));
    for (y, (w, x)) in y.chunks_exact_mut(V::LANES).zip(factors) {
        let sum = V::load(isa, w).mul_add(V::load(isa, x), V::load(isa, y));
        sum.store(y);
    }
}

/// Takes silu, if asked for, and the one NaN for all.
#[inline(always)]
fn finish<V: Lanes>(isa: V::Isa, silu: bool, y: &mut [V::Element]) {
    let activation = Silu::<V>::new(isa);
    let nan = V::splat(isa, V::Element::NAN);
    for y in y.chunks_exact_mut(V::LANES) {
        let sum = V::load(isa, y);
        let value = if silu { activation.of(isa, sum) } else { sum };
        V::select(value.eq(value), value, nan).store(y);
    }
}
