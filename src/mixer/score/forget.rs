//! The bias of forget gates.

use super::{Extent, Place, ScoreGradient, ScoreMap};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error};

/// Adds the logarithms of the forget gates between key and query: s + c(i) - c(j), where c(t) is the
/// sum of ln f up to and including position t.
///
/// Forgetting attention: Lin et al. (2025), "Forgetting Transformer", arXiv 2503.02130.
///
/// * **Shapes:** `[head][position]`: the sums of each query head, for every position from zero to the
///   newest query or key.
/// * **Domain:** sums that are finite. A query before position zero gets NaN.
/// * **Accuracy:** the sums are subtracted first, so the error is one rounding of the difference, one
///   of the score, and whatever error the sums have: half an ULP of |c| at least.
///
/// ```
/// use suanzi::mixer::{Attention, Forget};
///
/// // One head; the gate of the second token halves what lies before.
/// let sums = [0.0_f32, -0.6931472, -0.6931472];
/// let attention = Attention::<f32>::new(1, 1, 4)?.with_scores(Forget::new(&sums, 3));
/// # let _ = attention;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forget<'a, T> {
    sums: &'a [T],
    positions: usize,
}

impl<'a, T> Forget<'a, T> {
    /// Returns the biases of these cumulative sums of `positions` positions a head.
    #[must_use]
    pub const fn new(sums: &'a [T], positions: usize) -> Self {
        Self { sums, positions }
    }
}

impl<T: Scalar> ScoreMap<T> for Forget<'_, T> {
    /// [`Error::Length`] if the sums are not those of every head, [`Error::Capacity`] if a query or key
    /// lies beyond them.
    fn check(&self, extent: Extent) -> Result<(), Error> {
        check_len(extent.heads.saturating_mul(self.positions), self.sums.len())?;
        let end = extent.query.saturating_add_unsigned(extent.rows);
        let end = usize::try_from(end).unwrap_or(0);
        if end > self.positions || extent.keys > self.positions {
            return Err(Error::Capacity {
                limit: self.positions,
            });
        }
        Ok(())
    }

    fn map(&self, _: Cpu, place: Place, scores: &mut [T]) {
        let own = place.head.saturating_mul(self.positions);
        let own = self.sums.get(own..).unwrap_or_default();
        let at = usize::try_from(place.query).ok();
        let query = at.and_then(|at| own.get(at)).copied().unwrap_or(T::NAN);
        let mut keys = own.get(place.key..).unwrap_or_default().iter();
        for score in scores {
            let key = keys.next().copied().unwrap_or(T::NAN);
            *score = *score + (query - key);
        }
    }
}

impl<T: Scalar> ScoreGradient<T> for Forget<'_, T> {}
