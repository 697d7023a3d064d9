//! Which axis a pair turns along, where positions have several coordinates.

use super::{Frequencies, Turns};
use crate::Error;
use crate::error::Parameter;

/// Shares the pairs of a head among `N` axes; the numbers count pairs and add up to those of a head.
///
/// Pair j keeps frequency j of the whole head, whatever its axis, so that a token with equal coordinates
/// turns as one of plain [`Rope`](super::Rope) does; [`PerAxis`] gives every axis frequencies of its own
/// instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Axes<const N: usize> {
    /// A run of pairs for each axis: the sections of M-RoPE, \[16, 24, 24\] for time, rows and columns
    /// in Qwen2-VL (Wang et al. 2024, arXiv 2409.12191). With [`PerAxis`] and half-split pairs the
    /// vision encoder of that model.
    Sections([usize; N]),
    /// Pairs dealt out in turn: pair j belongs to axis j mod N while j < N times the number of that axis,
    /// else to the first one. So the numbers of all but the first are limits, which an axis reaches where
    /// the first has the greatest: Qwen3-VL with \[24, 20, 20\], RoPE-Tie with equal numbers. \[16, 24,
    /// 24\] deals out 22, 21 and 21, as transformers does.
    Interleaved([usize; N]),
    /// A block of consecutive elements of the head for each axis, which pairs within itself: RoPE-2D by
    /// halves of the head. It differs from [`Sections`](Self::Sections) for half-split pairs alone.
    Blocks([usize; N]),
}

impl<const N: usize> Axes<N> {
    /// Returns the numbers of pairs.
    #[must_use]
    pub const fn pairs(self) -> [usize; N] {
        match self {
            Self::Sections(pairs) | Self::Interleaved(pairs) | Self::Blocks(pairs) => pairs,
        }
    }

    /// Returns the axis of a pair: the last one for pairs beyond all, the first of none.
    #[inline]
    #[must_use]
    pub fn axis(self, pair: usize) -> usize {
        match self {
            Self::Sections(sections) | Self::Blocks(sections) => {
                let mut axis = 0;
                let mut end = 0_usize;
                for (index, pairs) in sections.into_iter().enumerate() {
                    axis = if pair >= end { index } else { axis };
                    end = end.saturating_add(pairs);
                }
                axis
            }
            Self::Interleaved(pairs) => {
                let axis = pair.checked_rem(N).unwrap_or(0);
                let round = pair.checked_div(N).unwrap_or(0);
                match pairs.get(axis) {
                    Some(&pairs) if round < pairs => axis,
                    _ => 0,
                }
            }
        }
    }

    /// Checks that a head of so many pairs is shared out.
    pub(super) fn check(self, pairs: usize) -> Result<(), Error> {
        check_sum(self.pairs(), pairs)
    }
}

/// Checks that the numbers of pairs add up.
fn check_sum<const N: usize>(sections: [usize; N], pairs: usize) -> Result<(), Error> {
    let sum = sections.into_iter().try_fold(0, usize::checked_add);
    if N > 0 && sum == Some(pairs) {
        Ok(())
    } else {
        Err(Error::Domain(Parameter::Axes))
    }
}

/// Frequencies that begin anew on every axis: axis a with n pairs has the frequencies of n pairs.
///
/// For vision encoders and the simple RoPE-2D, where rows and columns turn alike: base^(-2i/R) for the R
/// elements of an axis. Meant for [`Axes::Sections`] and [`Axes::Blocks`] with the same numbers; pairs
/// that are dealt out in turn would have the frequencies of other axes.
///
/// ```
/// use suanzi::position::{Axes, AxialRope, Base, HeadLayout, Pairing, PerAxis};
///
/// // The vision encoder of Qwen2-VL: heads of 80 elements, rows then columns.
/// let layout = HeadLayout::new(80, Pairing::HalfSplit)?;
/// let frequencies = PerAxis::new(Base::default(), [20, 20]);
/// let rope = AxialRope::<f32, _, 2>::new(layout, Axes::Sections([20, 20]), &frequencies, [0; 40])?;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PerAxis<F, const N: usize> {
    frequencies: F,
    sections: [usize; N],
}

impl<F: Copy, const N: usize> PerAxis<F, N> {
    /// Returns the frequencies for so many pairs on each axis.
    pub const fn new(frequencies: F, sections: [usize; N]) -> Self {
        Self {
            frequencies,
            sections,
        }
    }
}

impl<F: Frequencies, const N: usize> Frequencies for PerAxis<F, N> {
    /// Also [`Parameter::Axes`] if the sections do not add up to the pairs.
    fn check(&self, pairs: usize) -> Result<(), Error> {
        check_sum(self.sections, pairs)?;
        for section in self.sections {
            self.frequencies.check(section)?;
        }
        Ok(())
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        let sections = self.sections.iter();
        let turns = sections.flat_map(|&section| self.frequencies.turns(section));
        turns.take(pairs)
    }

    fn temperature(&self) -> f64 {
        self.frequencies.temperature()
    }
}
