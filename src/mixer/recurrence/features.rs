//! Maps that make queries and keys of linear attention positive.

use crate::cpu::dispatch;
use crate::error::check_len;
use crate::math::exp::exp_lanes;
use crate::scalar::{Scalar, canonical};
use crate::simd::stream::copy;
use crate::simd::{Isa, Lanes, order};
use crate::{Cpu, Error, Parameter};

/// A feature map phi of linear attention: phi(q) . phi(k) stands for exp(q . k).
///
/// Edges: NaN gives NaN in its own features. Accuracy: each feature within 1.5 ULP.
///
/// ```
/// use suanzi::mixer::FeatureMap;
///
/// let mut features = [0.0_f32; 7];
/// FeatureMap::Taylor.map(&[2.0, -1.0], 2, &mut features)?;
/// let root = 2.0_f32.sqrt();
/// assert_eq!(features[..3], [1.0, 2.0, -1.0]);
/// assert!((features[3] - 4.0 / root).abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FeatureMap {
    /// elu(x) + 1: exp(x) below zero, x + 1 above (Katharopoulos et al. 2020, arXiv 2006.16236).
    EluPlusOne,
    /// max(x, 0).
    Relu,
    /// (1, x, x (x) x / sqrt(2)), whose products are 1 + q . k + (q . k)^2 / 2, the series of the
    /// exponential to its second order (Arora et al. 2024, arXiv 2402.18668).
    Taylor,
}

impl FeatureMap {
    /// Returns the features of a vector of `dim` elements.
    #[must_use]
    pub const fn len(self, dim: usize) -> usize {
        match self {
            Self::EluPlusOne | Self::Relu => dim,
            Self::Taylor => dim.saturating_mul(dim.saturating_add(1)).saturating_add(1),
        }
    }

    /// Writes the features of each vector of `dim` elements, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if `dim` is zero, [`Error::Multiple`] if `x` is not whole vectors,
    /// [`Error::Length`] if `out` has not [`len`](Self::len) elements for each.
    pub fn map<T: Scalar>(self, x: &[T], dim: usize, out: &mut [T]) -> Result<(), Error> {
        self.map_on(Cpu::default(), x, dim, out)
    }

    /// Maps on an executor.
    ///
    /// # Errors
    ///
    /// As [`FeatureMap::map`].
    pub fn map_on<T: Scalar>(
        self,
        cpu: Cpu,
        x: &[T],
        dim: usize,
        out: &mut [T],
    ) -> Result<(), Error> {
        if dim == 0 {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        if !x.len().is_multiple_of(dim) {
            return Err(Error::Multiple {
                of: dim,
                found: x.len(),
            });
        }
        let len = self.len(dim);
        check_len((x.len() / dim.max(1)).saturating_mul(len), out.len())?;
        match self {
            Self::EluPlusOne => dispatch!(cpu, isa => elu_plus_one(isa, x, out)),
            Self::Relu => {
                for (out, &x) in out.iter_mut().zip(x) {
                    let positive = if x > T::ZERO { x } else { T::ZERO };
                    *out = if x == x { positive } else { T::NAN };
                }
            }
            Self::Taylor => {
                for (x, out) in x
                    .chunks_exact(dim.max(1))
                    .zip(out.chunks_exact_mut(len.max(1)))
                {
                    taylor(x, out);
                }
            }
        }
        Ok(())
    }
}

/// Writes exp(x) below zero and x + 1 above.
#[inline(always)]
fn elu_plus_one<S: Isa, T: Scalar>(isa: S, x: &[T], out: &mut [T]) {
    let [zero, one] = [T::ZERO, T::ONE].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    order::map::<T::Lanes<S>, _>(
        isa,
        (Some(x), out),
        #[inline(always)]
        |x, _| T::Lanes::<S>::select(zero.lt(x), x + one, exp_lanes(isa, x)),
    );
}

/// Writes the terms of the series up to the second order.
fn taylor<T: Scalar>(x: &[T], out: &mut [T]) {
    if let Some((one, rest)) = out.split_first_mut() {
        *one = T::ONE;
        let (first, second) = rest.split_at_mut_checked(x.len()).unwrap_or_default();
        copy(x, first);
        for x in first {
            *x = canonical(*x);
        }
        for (row, &a) in second.chunks_exact_mut(x.len().max(1)).zip(x) {
            for (out, &b) in row.iter_mut().zip(x) {
                *out = canonical(a * b * T::HALF.root());
            }
        }
    }
}
