//! Rotary position encoding on several axes, at places between positions too.

use super::angle::{self, Angle};
use super::heads::Heads;
use super::layout::check_heads;
use super::rope::heads_per_token;
use super::source::Source;
use super::turn::{self, Span};
use super::{Axes, Coordinate, Frequencies, HeadElement, HeadLayout, PositionEncoding, Rope};
use crate::cpu::dispatch;
use crate::simd::{Isa, Lanes};
use crate::{Cpu, Error};

/// Rotates heads by a position of `N` coordinates, each pair along the axis that it belongs to.
///
/// Pair j at (p_0, ..., p_(N - 1)) turns by p_a theta_j, a the axis of the pair: the rotation of
/// [`Rope`] for every pair. Scores depend on the differences on each axis alone. Su 2021 and 2024,
/// kexue.fm 8397 and 10040; Heo et al. 2024, arXiv 2403.13298; M-RoPE: Wang et al. 2024, arXiv
/// 2409.12191. With one axis it is plain RoPE at fractional positions.
///
/// * **Shape:** heads of [`HeadLayout::head_dim`] elements one after the other, as for [`Rope`]; which
///   pair turns along which axis says [`Axes`], and [`Cursor`](super::Cursor) where text and patches
///   stand.
/// * **Domain:** every [`Coordinate`]. In portable arithmetic integers turn to the bits of [`Rope`];
///   places between them are exact multiples of 2^-32, so that half-integers lose nothing.
/// * **Accuracy** and **edges:** those of [`Rope`]. Between integers a frequency counts as one within
///   half a turn of zero.
/// * **Cost:** that of [`Rope`], with two more 32-bit products a pair and token.
///
/// ```
/// use suanzi::position::{Axes, AxialRope, Base, Cursor, HeadLayout, Pairing, Placement};
///
/// let layout = HeadLayout::new(128, Pairing::HalfSplit)?;
/// let axes = Axes::Sections([16, 24, 24]);
/// let rope = AxialRope::<f32, _, 3>::new(layout, axes, &Base::new(1_000_000.0)?, [0; 64])?;
/// // Two tokens of text and an image of 2 x 3 patches.
/// let mut cursor = Cursor::<3>::new(Placement::MRope, 0);
/// let mut x = [1.0_f32; 8 * 128];
/// let (text, image) = x.split_at_mut(2 * 128);
/// rope.rotate_each([cursor.text()?, cursor.text()?], text)?;
/// rope.rotate_each(cursor.grid([1, 2, 3])?, image)?;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AxialRope<T, S, const N: usize> {
    rope: Rope<T, S>,
    axes: Axes<N>,
}

impl<T: Angle, S: AsRef<[T::Turns]> + AsMut<[T::Turns]>, const N: usize> AxialRope<T, S, N> {
    /// Returns the encoding of these heads, its frequencies written to `storage`.
    ///
    /// # Errors
    ///
    /// Those of [`Rope::new`], and [`Parameter::Axes`](crate::Parameter::Axes) unless the numbers of
    /// `axes` add up to [`HeadLayout::pairs`].
    pub fn new(
        layout: HeadLayout,
        axes: Axes<N>,
        frequencies: &impl Frequencies,
        storage: S,
    ) -> Result<Self, Error> {
        axes.check(layout.pairs())?;
        let rope = Rope::new(layout, frequencies, storage)?;
        Ok(Self { rope, axes })
    }
}

impl<T, S, const N: usize> AxialRope<T, S, N> {
    /// Returns the layout of a head.
    #[inline]
    #[must_use]
    pub const fn layout(&self) -> HeadLayout {
        self.rope.layout()
    }

    /// Returns how the pairs are shared.
    #[inline]
    #[must_use]
    pub const fn axes(&self) -> Axes<N> {
        self.axes
    }
}

impl<T: Copy, S, const N: usize> AxialRope<T, S, N> {
    /// Moves the encoding to another level of the processor.
    #[inline]
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self {
            rope: self.rope.on(cpu),
            ..self
        }
    }
}

impl<T: Angle, S: AsRef<[T::Turns]>, const N: usize> AxialRope<T, S, N> {
    /// Rotates the heads of several tokens in place, each token at its own position.
    ///
    /// `x` holds as many heads for each position, token after token. A
    /// [`Grid`](super::Grid) is such a list of positions.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not a whole number of heads for every position.
    pub fn rotate_each<P, X>(&self, positions: P, x: &mut [X]) -> Result<(), Error>
    where
        P: IntoIterator<Item = [Coordinate; N], IntoIter: ExactSizeIterator>,
        X: HeadElement<T>,
    {
        let factor = self.rope.temperature;
        self.turn_each(positions.into_iter(), (factor, factor), x)
    }

    /// Moves heads that were rotated at one position by `offset` on each axis.
    ///
    /// The temperature, which the heads carry already, is not applied again.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads.
    pub fn shift<X>(&self, offset: [Coordinate; N], x: &mut [X]) -> Result<(), Error>
    where
        X: HeadElement<T>,
    {
        check_heads(self.layout().head_dim(), x.len())?;
        self.turn_each(core::iter::once(offset), (T::ONE, T::ONE), x)
    }

    /// Turns every token by its own angles, times the factors of cosine and sine.
    fn turn_each<X: HeadElement<T>>(
        &self,
        positions: impl ExactSizeIterator<Item = [Coordinate; N]>,
        factors: (T, T),
        x: &mut [X],
    ) -> Result<(), Error> {
        let layout = self.layout();
        let heads = heads_per_token(layout, positions.len(), x.len())?;
        let (cpu, axes) = (self.rope.executor, self.axes);
        let turns = self.rope.turns.as_ref();
        let sources = positions.map(
            #[inline(always)]
            |at| OnAxes {
                turns,
                axes,
                at,
                factors,
            },
        );
        if let Axes::Blocks(blocks) = axes {
            let mut x = X::in_place(x);
            dispatch!(cpu, isa => in_blocks(isa, layout, blocks, heads, sources, &mut x));
        } else {
            turn::each(cpu, layout, heads, sources, X::in_place(x));
        }
        Ok(())
    }
}

/// Turns `heads` heads of each token in place, every block of them as a short head of its own.
#[inline(always)]
fn in_blocks<'a, S: Isa, T: Angle, const N: usize>(
    isa: S,
    layout: HeadLayout,
    blocks: [usize; N],
    heads: usize,
    sources: impl Iterator<Item = OnAxes<'a, T, N>>,
    x: &mut impl Heads<T>,
) {
    let mut token = 0;
    for source in sources {
        let mut first = 0;
        for (place, pairs) in source.at.into_iter().zip(blocks) {
            let turns = source
                .turns
                .get(first..)
                .and_then(|turns| turns.get(..pairs));
            let block = OnAxes {
                turns: turns.unwrap_or_default(),
                axes: Axes::Sections([pairs]),
                at: [place],
                factors: source.factors,
            };
            // The span begins inside of a head: on the fly, without rows, it is walked by places.
            let span = Span {
                at: token + 2 * first,
                count: heads,
                far: false,
            };
            turn::token(isa, layout.with_pairs(pairs), span, block, None, x);
            first += pairs;
        }
        token += heads * layout.head_dim();
    }
}

impl<T: Angle, S: AsRef<[T::Turns]>, X: HeadElement<T>, const N: usize> PositionEncoding<[X]>
    for AxialRope<T, S, N>
{
    type Position = [Coordinate; N];

    fn rotate(&self, at: [Coordinate; N], x: &mut [X]) -> Result<(), Error> {
        check_heads(self.layout().head_dim(), x.len())?;
        self.rotate_each([at], x)
    }

    fn unrotate(&self, at: [Coordinate; N], x: &mut [X]) -> Result<(), Error> {
        check_heads(self.layout().head_dim(), x.len())?;
        let factor = self.rope.inverse;
        self.turn_each(core::iter::once(at), (factor, -factor), x)
    }
}

/// Angles computed on the fly: each frequency times the coordinate on the axis of its pair.
#[derive(Clone, Copy)]
struct OnAxes<'a, T: Angle, const N: usize> {
    turns: &'a [T::Turns],
    axes: Axes<N>,
    at: [Coordinate; N],
    /// What cosines and sines are multiplied by.
    factors: (T, T),
}

impl<T: Angle, const N: usize> Source<T> for OnAxes<'_, T, N> {
    #[inline(always)]
    fn sin_cos<V: Lanes<Element = T>>(self, isa: V::Isa, pair: usize) -> (V, V) {
        let turns = self.turns.get(pair..).unwrap_or_default();
        let (sin, cos): (V, V) = angle::sin_cos(
            isa,
            turns,
            #[inline(always)]
            |lane, turns| {
                let place = self.at.get(self.axes.axis(pair + lane));
                T::at_place(turns, place.copied().unwrap_or_default())
            },
        );
        let (cos_factor, sin_factor) = self.factors;
        (
            sin * V::splat(isa, sin_factor),
            cos * V::splat(isa, cos_factor),
        )
    }
}
