//! Which positions a query sees.

use super::KeyValues;
use crate::scalar::Scalar;
use crate::{Error, Parameter};

/// The positions that a query sees.
///
/// A number n stands for the first n positions: the query has position n - 1 and sees itself and
/// what came before. Of several queries each next one has the next position. What else narrows or
/// widens the view counts from the query's position i, so it moves along:
///
/// | rule | the query at i sees key j only if |
/// |---|---|
/// | causal, unless [`Visible::right`] is set | j <= i |
/// | [`Visible::right`]`(r)` | j <= i + r, as far as there are keys |
/// | [`Visible::window`]`(w)` | j > i - w |
/// | [`Visible::chunk`]`(c)` | floor(j / c) = floor(i / c) |
/// | [`Visible::skip`]`(n)` | j >= n |
/// | [`Visible::valid`]`(n)` | j < n |
/// | [`Visible::sinks`]`(n)` | also the n oldest after the skipped, whatever window and chunk say |
///
/// A window of `left` positions behind the query and `right` after it, both inclusive as in ONNX and
/// FlashAttention, is `.window(left + 1).right(right)`. Queries that are the last T of S positions
/// (bottom-right alignment) start at `Visible::at(S - T)`, those that are the first (top-left) at
/// `Visible::at(0)`; where the first position is negative, queries before zero see no key unless
/// something lies to the right. Window attention: Beltagy et al. (2020), arXiv 2004.05150; sinks: Xiao
/// et al. (2023), arXiv 2309.17453; chunks are those of Llama 4.
///
/// ```
/// use suanzi::mixer::Visible;
///
/// // The third token sees the first three positions.
/// assert_eq!(Visible::from(3), Visible::at(2));
/// // Encoders: every query sees every key.
/// let everything = Visible::all();
/// // A padded sequence: the first four slots hold nothing, nor do those from the tenth on.
/// let padded = everything.skip(4).valid(10);
/// # let _ = padded;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Visible {
    /// The position of the first query.
    position: isize,
    window: usize,
    right: usize,
    chunk: usize,
    skip: usize,
    valid: usize,
    sinks: usize,
}

impl From<usize> for Visible {
    fn from(end: usize) -> Self {
        // What does not fit is beyond every memory.
        Self::at(isize::try_from(end).map_or(isize::MAX, |end| end - 1))
    }
}

impl Visible {
    /// Returns what a query at a position sees: itself and everything before.
    #[must_use]
    pub const fn at(position: isize) -> Self {
        Self {
            position,
            window: usize::MAX,
            right: 0,
            chunk: usize::MAX,
            skip: 0,
            valid: usize::MAX,
            sinks: 0,
        }
    }

    /// Returns what queries without order see: every position of the memory. The first query counts
    /// as position zero.
    #[must_use]
    pub const fn all() -> Self {
        Self::at(0).right(usize::MAX)
    }

    /// Keeps the newest `window` positions up to the query's own.
    #[must_use]
    pub const fn window(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// Adds `right` positions after the query's own, as far as there are keys.
    #[must_use]
    pub const fn right(self, right: usize) -> Self {
        Self { right, ..self }
    }

    /// Keeps the chunk of `chunk` positions, counted from zero, in which the query lies.
    #[must_use]
    pub const fn chunk(self, chunk: usize) -> Self {
        Self { chunk, ..self }
    }

    /// Hides the first `skip` positions: padding on the left.
    #[must_use]
    pub const fn skip(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// Hides the positions from `valid` on: padding on the right.
    #[must_use]
    pub const fn valid(self, valid: usize) -> Self {
        Self { valid, ..self }
    }

    /// Keeps the oldest `sinks` positions besides.
    #[must_use]
    pub const fn sinks(self, sinks: usize) -> Self {
        Self { sinks, ..self }
    }

    /// Returns the position of a later query.
    #[inline(always)]
    pub(super) const fn position(self, row: usize) -> isize {
        self.position.saturating_add_unsigned(row)
    }

    /// Returns what a later query sees of `len` positions: the sinks in front of the window and the
    /// window, both as ranges of positions. A range may end beyond `len` where nothing cuts it.
    #[inline(never)]
    pub(super) fn ranges(self, row: usize, len: usize) -> [(usize, usize); 2] {
        let position = self.position(row);
        let after = position.saturating_add(1);
        // The number of positions up to the query's own.
        let own = usize::try_from(after).unwrap_or(0);
        let mut end = match self.right {
            0 => own,
            usize::MAX => len,
            right => {
                let end = after.saturating_add_unsigned(right);
                usize::try_from(end).unwrap_or(0).min(len)
            }
        };
        end = end.min(self.valid);
        let mut start = own.saturating_sub(self.window).max(self.skip);
        let sinks = self.skip.saturating_add(self.sinks).min(end);
        if self.chunk != usize::MAX {
            // No chunk lies before zero, and none is empty: that is checked.
            let (first, after) = match usize::try_from(position) {
                Ok(position) => {
                    let first = position - position.checked_rem(self.chunk).unwrap_or(0);
                    (first, first.saturating_add(self.chunk))
                }
                Err(_) => (0, 0),
            };
            start = start.max(first);
            end = end.min(after);
        }
        // Sinks that reach the window are no separate stretch.
        if sinks >= start || self.skip >= start {
            [(0, 0), range(self.skip, end.max(sinks))]
        } else {
            [range(self.skip, sinks), range(start, end)]
        }
    }

    /// Checks that the memory keeps every position that `rows` queries see; returns the end of what
    /// they see.
    pub(super) fn check<T: Scalar, C: KeyValues<T>>(
        self,
        memory: &C,
        rows: usize,
    ) -> Result<usize, Error> {
        if self.window == 0 || self.chunk == 0 {
            return Err(Error::Domain(Parameter::Window));
        }
        let limit = memory.len();
        let (kept, start) = memory.kept();
        let seen =
            |(from, to): (usize, usize)| from >= to || to <= kept || from >= start || kept >= start;
        let mut last = 0;
        for row in 0..rows {
            let ranges = self.ranges(row, limit);
            for range in ranges {
                if range.1 > limit || !seen(range) {
                    return Err(Error::Capacity { limit });
                }
                last = last.max(range.1);
            }
        }
        Ok(last)
    }
}

/// Returns a range of positions, zeros where it is empty.
const fn range(from: usize, to: usize) -> (usize, usize) {
    if from < to { (from, to) } else { (0, 0) }
}
