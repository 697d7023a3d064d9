//! Masks that lie in memory.

use super::{Extent, Place, ScoreGradient, ScoreMap};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error};

/// An entry of a [`MaskRows`]: a number that is added, or whether the key counts.
///
/// Sealed: `f32` and `f64` for scores of the same type, and `bool` for both.
pub trait MaskEntry<T>: Copy + sealed::Entry<T> {}

impl<T: Scalar> MaskEntry<T> for T {}
impl<T: Scalar> MaskEntry<T> for bool {}

mod sealed {
    use crate::scalar::Scalar;

    /// How an entry changes a score.
    pub trait Entry<T> {
        /// Returns the masked score; minus infinity hides, whatever the score.
        fn apply(self, score: T) -> T;
    }

    impl<T: Scalar> Entry<T> for T {
        #[inline(always)]
        fn apply(self, score: T) -> T {
            if self == T::NEG_INFINITY {
                self
            } else {
                score + self
            }
        }
    }

    impl<T: Scalar> Entry<T> for bool {
        #[inline(always)]
        fn apply(self, score: T) -> T {
            if self { score } else { T::NEG_INFINITY }
        }
    }
}

/// A mask in memory: numbers are added to the scores, `false` and minus infinity hide a key.
///
/// * **Shapes:** `[keys]` for one row that serves every query and head, `[row][keys]` with
///   [`MaskRows::each_query`], `[head][row][keys]` with [`MaskRows::each_head`]. Column j belongs to
///   the key at position j, row r to query r of the call.
/// * **Domain:** keys beyond the columns are hidden. NaN gives NaN in the whole row.
///
/// ```
/// use suanzi::mixer::{Attention, Cache, MaskRows, Visible};
///
/// let keep = [true, false, true];
/// let attention = Attention::<f32>::new(1, 1, 1)?.with_scores(MaskRows::new(&keep));
/// let cache = Cache::<f32, _>::filled(1, 1, 1, [0.0; 3], [1.0, f32::NAN, 2.0])?;
/// let (mut scratch, mut out) = ([0.0; 256], [0.0]);
/// attention.attend(&[1.0], &cache, Visible::all(), &mut scratch, &mut out)?;
/// assert_eq!(out, [1.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskRows<'a, X> {
    entries: &'a [X],
    keys: usize,
    /// The distance between the rows of two queries, zero if they share one.
    row_stride: usize,
    /// The distance between the tables of two heads, zero if they share one.
    head_stride: usize,
}

impl<'a, X> MaskRows<'a, X> {
    /// Returns the mask of which one row serves every query and head.
    #[must_use]
    pub const fn new(entries: &'a [X]) -> Self {
        Self {
            entries,
            keys: entries.len(),
            row_stride: 0,
            head_stride: 0,
        }
    }

    /// Returns the mask `[row][keys]` of which each query has its own row.
    #[must_use]
    pub const fn each_query(entries: &'a [X], keys: usize) -> Self {
        Self {
            entries,
            keys,
            row_stride: keys,
            head_stride: 0,
        }
    }

    /// Returns the mask `[head][row][keys]` of which each query has its own row for each head.
    #[must_use]
    pub const fn each_head(entries: &'a [X], rows: usize, keys: usize) -> Self {
        Self {
            head_stride: rows.saturating_mul(keys),
            ..Self::each_query(entries, keys)
        }
    }
}

impl<T: Scalar, X: MaskEntry<T>> ScoreMap<T> for MaskRows<'_, X> {
    /// [`Error::Length`] if the mask has not as many rows as there are queries, or not as many tables
    /// as there are heads.
    fn check(&self, extent: Extent) -> Result<(), Error> {
        let rows = if self.row_stride > 0 { extent.rows } else { 1 };
        let mut expected = rows.saturating_mul(self.keys);
        if self.head_stride > 0 {
            check_len(expected, self.head_stride)?;
            expected = expected.saturating_mul(extent.heads);
        }
        check_len(expected, self.entries.len())
    }

    fn map(&self, _: Cpu, place: Place, scores: &mut [T]) {
        let table = place.head.saturating_mul(self.head_stride);
        let row = table.saturating_add(place.row.saturating_mul(self.row_stride));
        let row = self.entries.get(row..).unwrap_or_default();
        let row = row.get(..self.keys).unwrap_or_default();
        let mut entries = row.get(place.key..).unwrap_or_default().iter();
        for score in scores {
            *score = match entries.next() {
                Some(entry) => entry.apply(*score),
                None => T::NEG_INFINITY,
            };
        }
    }
}

impl<T: Scalar, X: MaskEntry<T>> ScoreGradient<T> for MaskRows<'_, X> {}
