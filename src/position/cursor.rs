//! Positions of a mixed sequence: where text, images and videos stand on the axes of an encoding.
//!
//! Text moves along the diagonal: token n stands at (n, n, ...), which rotates like the encoding of
//! pure text. Between two tokens stands a grid of patches. With L the last position before it, n_a
//! patches on axis a, and K the position behind it, all placements are one formula: the patch with
//! index i_a = 1, ..., n_a on each axis stands at L + b_a + i_a g_a. They differ in the gap b, the step
//! g and in K; see [`Placement`].
//!
//! 1. One check suffices. Every coordinate of a grid lies between L and K, so a grid fits when K does.
//! 2. A step is a ratio: a whole number of units of 2^-32 and a rest. Each axis carries its place with
//!    the rest of it, as a line is drawn on a screen, so that every coordinate is its exact ratio
//!    rounded once, and a patch costs additions only.
//! 3. Units count modulo 2^64. What goes out of range on the way comes back with the next term.

use core::iter::FusedIterator;
use core::num::NonZero;

use super::Coordinate;
use crate::Error;
use crate::error::Parameter;

/// Where the patches of an image or a video stand, and how far they move the text behind.
///
/// L is the last position before the grid, n_a the number of patches on axis a, P their product, i_a
/// = 1, ..., n_a the index of a patch; K is the position of the next token. All keep text *compatible*
/// with an encoding of pure text. A placement is *symmetric* if on every axis the gap between text and
/// grid is that between grid and text, and *equivalent* if P patches move the text as P tokens do.
///
/// Definitions for images: Su 2024, kexue.fm archives 10040 and 10352; M-RoPE: Wang et al. 2024,
/// Qwen2-VL, arXiv 2409.12191. For three axes and more [`Tie`](Self::Tie) and
/// [`TieFractional`](Self::TieFractional) are a generalization of this crate by the same symmetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Placement {
    /// RoPE-Tie: L + i_a g_a, with g_a the product of n_b + 1 over the other axes b; K - L is the
    /// product over all axes. Symmetric, integers only; counts as more tokens than it has patches.
    Tie,
    /// RoPE-Tie with fractions: L + i_a (P + 1) / (n_a + 1); K = L + P + 1. Symmetric and equivalent.
    TieFractional,
    /// RoPE-Tie-v2, or RoPE-TV: L + (P - n_a) / 2 + i_a; K = L + P + 1. Symmetric, equivalent, and
    /// neighbors are one apart; half-integers occur. The article has it for images and videos.
    TieCentered,
    /// M-RoPE of Qwen2-VL: L + i_a; K = L + max n_a + 1. Neither symmetric nor equivalent. There an
    /// image is the grid `[1, rows, columns]` on three axes.
    ///
    /// Versions of transformers that move the text by the larger of rows and columns after a video
    /// agree while there are no more frames than that; the time scale of Qwen2.5-VL is not included.
    MRope,
}

/// Walks through a sequence of text, images and videos and tells the position of each token.
///
/// Positions have `N` axes: two for images (rows, columns), three for videos (frames, rows, columns).
/// What they are and where the definitions come from says [`Placement`]. The state is one number, the
/// position of the next token; `Cursor::new(placement, cursor.next())` resumes. No call loops longer
/// than `N`; nothing is kept per token.
///
/// ```
/// use suanzi::position::{Coordinate, Cursor, Placement};
///
/// // Three tokens at 1, 2, 3, an image of 2 rows and 3 columns, one more token.
/// let mut cursor = Cursor::<2>::new(Placement::TieCentered, 1);
/// for n in 1..=3 {
///     assert_eq!(cursor.text()?, [Coordinate::new(n); 2]);
/// }
/// let patches = cursor.grid([2, 3])?;
/// assert_eq!(patches.len(), 6);
/// for [row, column] in patches {
///     // Half-integers on one of the axes: the first patch stands at (6, 5.5).
///     assert!(row >= Coordinate::new(6) && column >= Coordinate::halves(11));
/// }
/// // The image counts as 6 tokens.
/// assert_eq!(cursor.next(), 10);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cursor<const N: usize> {
    placement: Placement,
    next: i32,
}

impl<const N: usize> Cursor<N> {
    /// Returns a cursor before a sequence whose first token, if it is text, stands at `first`.
    ///
    /// Zero in transformers, one in the articles.
    #[must_use]
    pub const fn new(placement: Placement, first: i32) -> Self {
        Self {
            placement,
            next: first,
        }
    }

    /// Returns the position that the next token of text gets, on every axis.
    #[must_use]
    pub const fn next(&self) -> i32 {
        self.next
    }

    /// Returns the position of one token of text and moves behind it.
    ///
    /// # Errors
    ///
    /// [`Parameter::Position`] if the position behind it lies beyond `i32::MAX`; the cursor stays.
    pub fn text(&mut self) -> Result<[Coordinate; N], Error> {
        let here = self.next;
        self.next = here.checked_add(1).ok_or(OUT_OF_RANGE)?;
        Ok([Coordinate::new(here); N])
    }

    /// Returns the positions of the patches of an image or a video and moves behind it.
    ///
    /// `sides` counts the patches on each axis: `[rows, columns]`, or `[frames, rows, columns]`. The
    /// patches come in row-major order, the last axis fastest. Where a side is zero there is no patch,
    /// and the cursor stays.
    ///
    /// Cost: two divisions in 64 bits an axis.
    ///
    /// # Errors
    ///
    /// [`Parameter::Position`] if the position behind it lies beyond `i32::MAX`; the cursor stays.
    pub fn grid(&mut self, sides: [u32; N]) -> Result<Grid<N>, Error> {
        if sides.contains(&0) {
            return Ok(Grid {
                axes: [Axis::new(0, 1, 0); N],
                done: true,
            });
        }
        // The distance from the last position to the next.
        let span = match self.placement {
            Placement::Tie => product(sides.map(|n| u64::from(n) + 1)),
            Placement::TieFractional | Placement::TieCentered => {
                product(sides.map(u64::from)).and_then(|patches| patches.checked_add(1))
            }
            Placement::MRope => Some(u64::from(sides.into_iter().max().unwrap_or(0)) + 1),
        };
        let span = span.ok_or(OUT_OF_RANGE)?;
        let last = i64::from(self.next) - 1;
        self.next = last
            .checked_add_unsigned(span)
            .and_then(|next| i32::try_from(next).ok())
            .ok_or(OUT_OF_RANGE)?;
        let last = last.cast_unsigned() << 32;
        let axes = sides.map(|side| {
            // Patches a step apart with a gap of a step on either side.
            let parts = u64::from(side) + 1;
            match self.placement {
                Placement::Tie | Placement::TieFractional => Axis::new(last, span, side),
                Placement::TieCentered => {
                    // (P - n) / 2, where the span is P + 1.
                    let gap = span.wrapping_sub(parts) << 31;
                    Axis::new(last.wrapping_add(gap), parts, side)
                }
                Placement::MRope => Axis::new(last, parts, side),
            }
        });
        Ok(Grid { axes, done: false })
    }
}

/// The positions of the patches of an image or a video, in row-major order.
///
/// From [`Cursor::grid`]. A patch costs a few additions, whatever the placement. The length is exact
/// up to `usize::MAX` and stops there, which only grids of M-RoPE exceed.
///
/// ```
/// use suanzi::position::{Coordinate, Cursor, Placement};
///
/// // Qwen2-VL: four tokens, then an image of 2 rows and 3 columns on three axes.
/// let mut cursor = Cursor::<3>::new(Placement::MRope, 4);
/// let last = cursor.grid([1, 2, 3])?.last();
/// assert_eq!(last, Some([4, 5, 6].map(Coordinate::new)));
/// assert_eq!(cursor.next(), 7);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy; the cursor has moved already"]
pub struct Grid<const N: usize> {
    axes: [Axis; N],
    done: bool,
}

impl<const N: usize> Iterator for Grid<N> {
    type Item = [Coordinate; N];

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let here = self.axes.each_ref().map(Axis::coordinate);
        self.done = !self.axes.iter_mut().rev().any(Axis::advance);
        Some(here)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.len();
        (len, (len < usize::MAX).then_some(len))
    }
}

impl<const N: usize> ExactSizeIterator for Grid<N> {
    fn len(&self) -> usize {
        if self.done {
            return 0;
        }
        // What is left on each axis are the digits of what is left altogether, after this one.
        let left = self.axes.iter().fold(0_usize, |left, axis| {
            let [side, digit] = [axis.side, axis.left].map(|n| n.try_into().unwrap_or(usize::MAX));
            left.saturating_mul(side).saturating_add(digit)
        });
        left.saturating_add(1)
    }
}

impl<const N: usize> FusedIterator for Grid<N> {}

/// One axis of a grid: a counter, and the place that it stands at.
#[derive(Clone, Copy, Debug)]
struct Axis {
    side: u32,
    /// Patches behind this one.
    left: u32,
    first: Place,
    here: Place,
    step: Place,
    /// What the rests of places are counted in.
    denominator: NonZero<u64>,
}

/// A number of units of 2^-32, modulo 2^64, and a rest below the denominator of the axis.
#[derive(Clone, Copy, Debug)]
struct Place {
    units: u64,
    rest: u64,
}

impl Axis {
    /// Returns an axis with index i at `origin` + i `span` / (`side` + 1), with i from one.
    ///
    /// The origin counts in units, the span in positions; it is at most 2^32.
    fn new(origin: u64, span: u64, side: u32) -> Self {
        let denominator = NonZero::<u64>::MIN.saturating_add(side.into());
        // At most 2^32: neither shift loses a bit where it is less than the whole.
        let (whole, over) = (span / denominator, (span % denominator) << 32);
        let step = Place {
            units: (whole << 32).wrapping_add(over / denominator),
            rest: over % denominator,
        };
        // With half a unit in advance, what is left of the rest is the nearest.
        let origin = Place {
            units: origin,
            rest: denominator.get() / 2,
        };
        let first = origin.plus(step, denominator);
        Self {
            side,
            left: side.saturating_sub(1),
            first,
            here: first,
            step,
            denominator,
        }
    }

    /// Returns where the axis stands.
    fn coordinate(&self) -> Coordinate {
        Coordinate::from_units(self.here.units.cast_signed())
    }

    /// Moves to the next patch and returns true, or back to the first and returns false.
    fn advance(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.here = self.here.plus(self.step, self.denominator);
                true
            }
            None => {
                self.left = self.side.saturating_sub(1);
                self.here = self.first;
                false
            }
        }
    }
}

impl Place {
    /// Returns the sum, whose rest is below the denominator as both are.
    fn plus(self, step: Self, denominator: NonZero<u64>) -> Self {
        let (units, rest) = (
            self.units.wrapping_add(step.units),
            self.rest.wrapping_add(step.rest),
        );
        match rest.checked_sub(denominator.get()) {
            Some(rest) => Self {
                units: units.wrapping_add(1),
                rest,
            },
            None => Self { units, rest },
        }
    }
}

/// The refusal of a position beyond `i32::MAX`.
const OUT_OF_RANGE: Error = Error::Domain(Parameter::Position);

/// Returns the product of some factors, or none where it overflows.
fn product<const N: usize>(factors: [u64; N]) -> Option<u64> {
    factors
        .into_iter()
        .try_fold(1, |product: u64, factor| product.checked_mul(factor))
}
