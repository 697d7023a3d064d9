//! Linear biases.

use super::{Extent, Place, ScoreGradient, ScoreMap};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error};

/// Lowers scores by the distance: s - slope |i - j|, with a slope for each query head.
///
/// For causal attention that is s + slope (j - i). Press, Smith and Lewis (2021), arXiv 2108.12409;
/// [`alibi_slope`](crate::probability::alibi_slope) has the slopes.
///
/// * **Domain:** slopes that are finite. Distances are exact up to 2^24 in `f32`.
/// * **Accuracy:** two roundings of the bias and the sum on top of the row `attention`.
///
/// ```
/// use suanzi::mixer::{Alibi, Attention};
///
/// let slopes = [0.0625_f32, 0.00390625];
/// let attention = Attention::<f32>::new(2, 1, 64)?.with_scores(Alibi::new(&slopes));
/// # let _ = attention;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alibi<'a, T> {
    slopes: &'a [T],
}

impl<'a, T> Alibi<'a, T> {
    /// Returns the biases with these slopes, one a query head.
    #[must_use]
    pub const fn new(slopes: &'a [T]) -> Self {
        Self { slopes }
    }
}

impl<T: Scalar> ScoreMap<T> for Alibi<'_, T> {
    /// [`Error::Length`] if there is not one slope a head.
    fn check(&self, extent: Extent) -> Result<(), Error> {
        check_len(extent.heads, self.slopes.len())
    }

    fn map(&self, _: Cpu, place: Place, scores: &mut [T]) {
        let slope = self.slopes.get(place.head).copied().unwrap_or(T::NAN);
        for (j, score) in (place.key..).zip(scores) {
            let distance = isize::try_from(j).map_or(usize::MAX, |j| place.query.abs_diff(j));
            *score = *score - slope * T::from_count(distance);
        }
    }
}

impl<T: Scalar> ScoreGradient<T> for Alibi<'_, T> {}
