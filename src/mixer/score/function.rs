//! A map that the caller writes.

use super::{Place, ScoreMap};
use crate::Cpu;
use crate::scalar::Scalar;

/// Maps each score by a closure of the query head, the positions of query and key, and the score.
///
/// The result takes the place of the score; minus infinity hides the key. Bits are the same everywhere
/// if those of the closure are. A rule that reads more than the place of a score, or several scores at
/// once, implements [`ScoreMap`] itself.
///
/// ```
/// use suanzi::mixer::{Attention, Cache, ScoreFn};
///
/// // Each head looks only at every other key.
/// let strided = ScoreFn(|_head, query: isize, key: usize, score: f32| {
///     if (query - key as isize) % 2 == 0 { score } else { f32::NEG_INFINITY }
/// });
/// let attention = Attention::<f32>::new(1, 1, 1)?.with_scores(strided);
/// let cache = Cache::<f32, _>::filled(1, 1, 1, [0.0; 3], [1.0, f32::NAN, 2.0])?;
/// let (mut scratch, mut out) = ([0.0; 256], [0.0]);
/// attention.attend(&[1.0], &cache, 3, &mut scratch, &mut out)?;
/// assert_eq!(out, [1.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ScoreFn<F>(
    /// The closure.
    pub F,
);

impl<T: Scalar, F: Fn(usize, isize, usize, T) -> T> ScoreMap<T> for ScoreFn<F> {
    fn map(&self, _: Cpu, place: Place, scores: &mut [T]) {
        for (key, score) in (place.key..).zip(scores) {
            *score = (self.0)(place.head, place.query, key, *score);
        }
    }
}
