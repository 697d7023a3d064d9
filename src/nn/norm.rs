//! Root-mean-square normalization.

use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes, One, order};
use crate::{Cpu, Error, Parameter, Scalar};

/// RMSNorm: x_i g_i / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich, 2019, arXiv:1910.07467).
///
/// The sum of squares is taken in the portable order with its rounding errors carried; each element
/// is then multiplied by 1 / sqrt(...) and by its gain, in that order.
///
/// Domain: epsilon finite and positive. Edges: an empty row stays empty; a row of zeros stays zero;
/// a NaN makes the whole row NaN. A sum of squares that overflows (elements beyond 1e19 in `f32`)
/// or an infinity makes the whole row NaN as well, so that it cannot pass for a result.
///
/// Accuracy: 3.5 ULP against the formula in exact arithmetic, where squares neither overflow nor
/// vanish beside epsilon.
///
/// Cost: two passes over the row, one division, one square root.
///
/// ```
/// use suanzi::nn::RmsNorm;
///
/// let mut x = [3.0_f32, 4.0];
/// RmsNorm::new(1e-6)?.map_in_place(&mut x, &[1.0, 2.0])?;
/// assert!((x[0] - 3.0 / 12.5_f32.sqrt()).abs() < 1e-6);
/// assert!((x[1] - 8.0 / 12.5_f32.sqrt()).abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm<T = f32> {
    epsilon: T,
    cpu: Cpu,
}

impl<T: Scalar> RmsNorm<T> {
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

    /// Writes the normalized `x` times `gain` to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless all three have one length.
    pub fn map(&self, x: &[T], gain: &[T], out: &mut [T]) -> Result<(), Error> {
        check_len(x.len(), gain.len())?;
        check_len(x.len(), out.len())?;
        dispatch!(self.cpu, isa => normalize(isa, self.epsilon, x, gain, out));
        Ok(())
    }

    /// Normalizes `x` and multiplies it by `gain`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless both have one length.
    pub fn map_in_place(&self, x: &mut [T], gain: &[T]) -> Result<(), Error> {
        check_len(x.len(), gain.len())?;
        dispatch!(self.cpu, isa => normalize_rows(isa, self.epsilon, x, gain));
        Ok(())
    }

    /// Normalizes each row of the length of `gain` on its own and multiplies it by `gain`.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] unless `x` holds whole rows.
    pub fn map_rows(&self, x: &mut [T], gain: &[T]) -> Result<(), Error> {
        if !x.len().is_multiple_of(gain.len()) {
            return Err(Error::Multiple {
                of: gain.len(),
                found: x.len(),
            });
        }
        dispatch!(self.cpu, isa => normalize_rows(isa, self.epsilon, x, gain));
        Ok(())
    }
}

/// Normalizes one row out of place.
#[inline(always)]
fn normalize<S: Isa, T: Scalar>(isa: S, epsilon: T, x: &[T], gain: &[T], out: &mut [T]) {
    let factor = factor(isa, epsilon, x);
    for (to, &from) in out.iter_mut().zip(x) {
        *to = from;
    }
    scale(isa, factor, out, gain);
}

/// Normalizes rows in place.
#[inline(always)]
fn normalize_rows<S: Isa, T: Scalar>(isa: S, epsilon: T, x: &mut [T], gain: &[T]) {
    for row in x.chunks_exact_mut(gain.len().max(1)) {
        let factor = factor(isa, epsilon, row);
        scale(isa, factor, row, gain);
    }
}

/// Returns 1 / sqrt(mean(x^2) + epsilon); NaN where the sum of squares is not finite.
#[inline(always)]
fn factor<S: Isa, T: Scalar>(isa: S, epsilon: T, x: &[T]) -> T {
    let sum = order::map_sum::<T::Lanes<S>, _>(
        isa,
        order::Body::Light,
        x,
        #[inline(always)]
        |v, _| v * v,
    );
    if sum < T::INFINITY {
        T::ONE / (sum / T::from_count(x.len()) + epsilon).root()
    } else {
        T::NAN
    }
}

/// Multiplies each element by the factor, then by its gain.
#[inline(always)]
fn scale<S: Isa, T: Scalar>(isa: S, factor: T, x: &mut [T], gain: &[T]) {
    let whole = x.len() - x.len() % <T::Lanes<S> as Lanes>::LANES;
    let (Some((x, x_rest)), Some((gain, gain_rest))) =
        (x.split_at_mut_checked(whole), gain.split_at_checked(whole))
    else {
        return;
    };
    scale_vectors::<T::Lanes<S>>(isa, factor, x, gain);
    scale_vectors::<T::Lanes<One>>(One, factor, x_rest, gain_rest);
}

/// [`scale`] for a multiple of the vector's length.
#[inline(always)]
fn scale_vectors<V: Lanes>(
    isa: V::Isa,
    factor: V::Element,
    x: &mut [V::Element],
    gain: &[V::Element],
) {
    let factor = V::splat(isa, factor);
    let nan = V::splat(isa, V::Element::NAN);
    for (x, gain) in x
        .chunks_exact_mut(V::LANES)
        .zip(gain.chunks_exact(V::LANES))
    {
        let y = V::load(isa, x) * factor * V::load(isa, gain);
        V::select(y.eq(y), y, nan).store(x);
    }
}
