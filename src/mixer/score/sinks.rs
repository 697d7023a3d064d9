//! Learned attention sinks.

use super::{Extent, Place, ScoreGradient, ScoreMap};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error};

/// Adds to each query head a score that has no value: the weights of the keys sum to less than one.
///
/// o = sum_j exp(s_j) v_j / (exp(z) + sum_j exp(s_j)) with the head's learned logit z, as in gpt-oss;
/// zero gives the off-by-one softmax. The logit counts in the log-sum-exp, scale, cap and masks do
/// not touch it. It joins after the last key, so where outputs over parts of the keys are merged, one
/// part alone has the sink. Attention sinks that are keys of their own are
/// [`Visible::sinks`](super::super::Visible::sinks).
///
/// * **Domain:** minus infinity is no sink. A row without visible keys gives zeros, and the sink as
///   log-sum-exp.
///
/// ```
/// use suanzi::mixer::{Attention, Cache, LogitSinks};
///
/// let attention = Attention::<f32>::new(1, 1, 1)?.with_scores(LogitSinks::new(&[0.0]));
/// let cache = Cache::<f32, _>::filled(1, 1, 1, [0.0], [3.0])?;
/// let (mut scratch, mut out) = ([0.0; 256], [0.0]);
/// attention.attend(&[1.0], &cache, 1, &mut scratch, &mut out)?;
/// assert_eq!(out, [1.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitSinks<'a, T> {
    logits: &'a [T],
}

impl<'a, T> LogitSinks<'a, T> {
    /// Returns the sinks with these logits, one a query head.
    #[must_use]
    pub const fn new(logits: &'a [T]) -> Self {
        Self { logits }
    }
}

impl<T: Scalar> ScoreMap<T> for LogitSinks<'_, T> {
    /// [`Error::Length`] if there is not one logit a head.
    fn check(&self, extent: Extent) -> Result<(), Error> {
        check_len(extent.heads, self.logits.len())
    }

    fn map(&self, _: Cpu, _: Place, _: &mut [T]) {}

    fn sinks(&self, head: usize, mut add: impl FnMut(T)) {
        if let Some(&logit) = self.logits.get(head) {
            add(logit);
        }
    }
}

impl<T: Scalar> ScoreGradient<T> for LogitSinks<'_, T> {}
