//! Data to fit.

use crate::Error;
use crate::error::{Parameter, check_len};
use crate::scalar::Scalar;

/// Data to fit: values, and how often or how surely each was seen.
///
/// A histogram is its centers with its counts.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a, T> {
    pub(super) values: &'a [T],
    pub(super) weights: Option<&'a [T]>,
    pub(super) total: T,
}

impl<'a, T: Scalar> Sample<'a, T> {
    /// Returns values that count alike.
    ///
    /// # Errors
    ///
    /// [`Parameter::Weights`] if there are none.
    pub fn new(values: &'a [T]) -> Result<Self, Error> {
        let total = T::from_count(values.len());
        Self::checked(values, None, total)
    }

    /// Returns values with weights.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is a weight for each value, [`Parameter::Weights`] if one is negative or
    /// not finite or their sum is not finite and positive.
    pub fn weighted(values: &'a [T], weights: &'a [T]) -> Result<Self, Error> {
        check_len(values.len(), weights.len())?;
        let mut total = T::ZERO;
        for &weight in weights {
            if weight < T::ZERO || weight.is_nan() {
                return Err(Error::Domain(Parameter::Weights));
            }
            total = total + weight;
        }
        Self::checked(values, Some(weights), total)
    }

    fn checked(values: &'a [T], weights: Option<&'a [T]>, total: T) -> Result<Self, Error> {
        if total > T::ZERO && total < T::INFINITY {
            Ok(Self {
                values,
                weights,
                total,
            })
        } else {
            Err(Error::Domain(Parameter::Weights))
        }
    }

    /// Returns the weighted mean and standard deviation: what the article begins a line's map with, the
    /// location and half the scale.
    #[must_use]
    pub fn moments(&self) -> (T, T) {
        let (mut mean, mut squares, mut seen) = (T::ZERO, T::ZERO, T::ZERO);
        for (i, &value) in self.values.iter().enumerate() {
            let weight = self.weight(i);
            if weight > T::ZERO {
                // Welford's update.
                seen = seen + weight;
                let off = value - mean;
                mean = mean + off * (weight / seen);
                squares = squares + weight * off * (value - mean);
            }
        }
        (mean, (squares / seen).root())
    }

    fn weight(&self, i: usize) -> T {
        match self.weights {
            Some(weights) => weights.get(i).copied().unwrap_or(T::ZERO),
            None => T::ONE,
        }
    }
}
