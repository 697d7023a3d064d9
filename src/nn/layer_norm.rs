//! Layer normalization, and group normalization as the same thing on parts of a row.

use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes, One, order};
use crate::{Cpu, Error, Parameter, Scalar};

/// LayerNorm: (x_i - m) g_i / sqrt(mean((x - m)^2) + epsilon) + b_i with the mean m (Ba, Kiros and
/// Hinton, 2016, arXiv:1607.06450).
///
/// The mean is the sum of the positive elements less that of the negative ones; these sums and that
/// of the squares are taken in the portable order with their rounding errors carried. Then each element
/// has the mean subtracted, is multiplied by 1 / sqrt(...) and by its gain, and its bias is added, in
/// that order. [`map_groups`](Self::map_groups) is GroupNorm (Wu and He, 2018, arXiv:1803.08494) of one
/// token.
///
/// Domain: epsilon finite and positive. Edges: an empty row stays empty; a row of one element, or of
/// equal ones, gives its bias but for the rounding of the mean; a NaN, an infinity or a sum that
/// overflows makes the whole row NaN.
///
/// Accuracy: the table's row `layer_norm`: the error counts in units of max |x| |g| / sqrt(...), since
/// a mean far from zero cancels.
///
/// Cost: four passes over the row, two divisions, one square root.
///
/// ```
/// use suanzi::nn::LayerNorm;
///
/// let mut x = [1.0_f32, 3.0];
/// LayerNorm::new(1e-5)?.map_in_place(&mut x, &[1.0, 2.0], &[0.0, 5.0])?;
/// assert!((x[0] + 1.0).abs() < 1e-5 && (x[1] - 7.0).abs() < 2e-5);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<T = f32> {
    epsilon: T,
    cpu: Cpu,
}

impl<T: Scalar> LayerNorm<T> {
    /// Returns the normalization with this epsilon, on the default executor.
    ///
    /// # Errors
    ///
    /// [`Parameter::Epsilon`] unless epsilon is finite and positive.
    pub fn new(epsilon: T) -> Result<Self, Error> {
        if epsilon > T::ZERO && epsilon < T::INFINITY {
            Ok(Self {
                epsilon,
                cpu: Cpu::default(),
            })
        } else {
            Err(Error::Domain(Parameter::Epsilon))
        }
    }

    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub const fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Writes the normalized `x` times `gain` plus `bias` to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless all four have one length.
    pub fn map(&self, x: &[T], gain: &[T], bias: &[T], out: &mut [T]) -> Result<(), Error> {
        check_len(x.len(), gain.len())?;
        check_len(x.len(), bias.len())?;
        check_len(x.len(), out.len())?;
        for (to, &from) in out.iter_mut().zip(x) {
            *to = from;
        }
        self.groups(out, x.len(), gain, bias);
        Ok(())
    }

    /// Normalizes `x`, multiplies it by `gain` and adds `bias`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless all three have one length.
    pub fn map_in_place(&self, x: &mut [T], gain: &[T], bias: &[T]) -> Result<(), Error> {
        check_len(x.len(), gain.len())?;
        check_len(x.len(), bias.len())?;
        self.groups(x, x.len(), gain, bias);
        Ok(())
    }

    /// Normalizes each row of the length of `gain` on its own, multiplies it by `gain` and adds `bias`.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] unless `x` holds whole rows, [`Error::Length`] unless `bias` is as long as
    /// `gain`.
    pub fn map_rows(&self, x: &mut [T], gain: &[T], bias: &[T]) -> Result<(), Error> {
        check_len(gain.len(), bias.len())?;
        if !x.len().is_multiple_of(gain.len()) {
            return Err(Error::Multiple {
                of: gain.len(),
                found: x.len(),
            });
        }
        self.groups(x, gain.len(), gain, bias);
        Ok(())
    }

    /// Normalizes each group of `len` elements of `x` on its own, then multiplies each element by its
    /// gain and adds its bias: GroupNorm.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] unless `x` holds whole groups, [`Error::Length`] unless gain and bias are as
    /// long as `x`.
    pub fn map_groups(&self, x: &mut [T], len: usize, gain: &[T], bias: &[T]) -> Result<(), Error> {
        check_len(x.len(), gain.len())?;
        check_len(x.len(), bias.len())?;
        if !x.len().is_multiple_of(len) {
            return Err(Error::Multiple {
                of: len,
                found: x.len(),
            });
        }
        self.groups(x, len, gain, bias);
        Ok(())
    }

    /// Normalizes groups; gain and bias start again where they end.
    #[inline(never)]
    fn groups(&self, x: &mut [T], len: usize, gain: &[T], bias: &[T]) {
        dispatch!(self.cpu, isa => normalize(isa, self.epsilon, len, x, [gain, bias]));
    }
}

/// Normalizes groups of `len` elements; gain and bias start again where they end.
#[inline(always)]
fn normalize<S: Isa, T: Scalar>(isa: S, epsilon: T, len: usize, x: &mut [T], gain: [&[T]; 2]) {
    let len = len.max(1);
    let [gain, bias] = gain.map(
        #[inline(always)]
        |x| x.chunks_exact(len).cycle(),
    );
    for (row, (gain, bias)) in x.chunks_exact_mut(len).zip(gain.zip(bias)) {
        let (mean, factor) = moments(isa, epsilon, row);
        scale(isa, [mean, factor], row, [gain, bias]);
    }
}

/// Returns the mean and 1 / sqrt(mean((x - m)^2) + epsilon); NaN where a sum is not finite.
#[inline(always)]
fn moments<S: Isa, T: Scalar>(isa: S, epsilon: T, x: &[T]) -> (T, T) {
    let count = T::from_count(x.len());
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    let positive = sum(
        isa,
        x,
        #[inline(always)]
        |v| zero.max(v),
    );
    let negative = sum(
        isa,
        x,
        #[inline(always)]
        |v| zero.max(-v),
    );
    let mean = (positive - negative) / count;
    let center = T::Lanes::<S>::splat(isa, mean);
    let squares = sum(
        isa,
        x,
        #[inline(always)]
        |v| (v - center) * (v - center),
    );
    if squares < T::INFINITY {
        (mean, T::ONE / (squares / count + epsilon).root())
    } else {
        (mean, T::NAN)
    }
}

/// Returns the sum of `map` of each element in the portable order.
#[inline(always)]
fn sum<S: Isa, T: Scalar>(isa: S, x: &[T], map: impl Fn(T::Lanes<S>) -> T::Lanes<S>) -> T {
    order::map_sum::<T::Lanes<S>, _>(
        isa,
        order::Body::Light,
        x,
        #[inline(always)]
        |v, _| map(v),
    )
}

/// Subtracts the mean and multiplies by the factor, then by the gain, and adds the bias.
#[inline(always)]
fn scale<S: Isa, T: Scalar>(isa: S, moments: [T; 2], x: &mut [T], [gain, bias]: [&[T]; 2]) {
    let whole = x.len() - x.len() % <T::Lanes<S> as Lanes>::LANES;
    let (Some((x, x_rest)), Some((gain, gain_rest)), Some((bias, bias_rest))) = (
        x.split_at_mut_checked(whole),
        gain.split_at_checked(whole),
        bias.split_at_checked(whole),
    ) else {
        return;
    };
    scale_vectors::<T::Lanes<S>>(isa, moments, x, gain, bias);
    scale_vectors::<T::Lanes<One>>(One, moments, x_rest, gain_rest, bias_rest);
}

/// [`scale`] for a multiple of the vector's length.
#[inline(always)]
fn scale_vectors<V: Lanes>(
    isa: V::Isa,
    moments: [V::Element; 2],
    x: &mut [V::Element],
    gain: &[V::Element],
    bias: &[V::Element],
) {
    let [mean, factor] = moments.map(
        #[inline(always)]
        |x| V::splat(isa, x),
    );
    let nan = V::splat(isa, V::Element::NAN);
    let affine = gain.chunks_exact(V::LANES).zip(bias.chunks_exact(V::LANES));
    for (x, (gain, bias)) in x.chunks_exact_mut(V::LANES).zip(affine) {
        let y = (V::load(isa, x) - mean) * factor;
        let y = y.mul_add(V::load(isa, gain), V::load(isa, bias));
        V::select(y.eq(y), y, nan).store(x);
    }
}
