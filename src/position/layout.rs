//! Where the pairs of a head lie, and the permutation between the two conventions.

use crate::Error;
use crate::error::{Parameter, check_len};

/// Which two elements of a head turn together.
///
/// The two conventions are the same rotation in another order of the elements; weights trained with
/// one work with the other only after their rows are permuted ([`HeadLayout::permute_rows`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pairing {
    /// Element 2i with element 2i + 1: the original RoFormer, GPT-J, llama2.c.
    Interleaved,
    /// Element i with element i + R/2 of R rotated ones: GPT-NeoX, Llama as of Hugging Face, ONNX.
    #[default]
    HalfSplit,
}

/// The shape of a head: its length, how much of it rotates, and in which pairs.
///
/// ```
/// use suanzi::position::{HeadLayout, Pairing};
///
/// let whole = HeadLayout::new(128, Pairing::HalfSplit)?;
/// assert_eq!(whole.pairs(), 64);
/// // Partial rotation: the first 32 of 128 elements, the rest passes through.
/// let part = HeadLayout::partial(128, 32, Pairing::HalfSplit)?;
/// assert_eq!(part.pairs(), 16);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HeadLayout {
    head_dim: usize,
    pairs: usize,
    pairing: Pairing,
}

impl HeadLayout {
    /// Returns the layout of heads of `head_dim` elements that rotate as a whole.
    ///
    /// # Errors
    ///
    /// [`Parameter::HeadDim`] if `head_dim` is zero, [`Parameter::RotaryDim`] if it is odd.
    pub const fn new(head_dim: usize, pairing: Pairing) -> Result<Self, Error> {
        Self::partial(head_dim, head_dim, pairing)
    }

    /// Returns the layout of heads whose first `rotary_dim` elements rotate.
    ///
    /// # Errors
    ///
    /// [`Parameter::HeadDim`] if `head_dim` is zero, [`Parameter::RotaryDim`] if `rotary_dim` is odd,
    /// zero, or more than `head_dim`.
    pub const fn partial(
        head_dim: usize,
        rotary_dim: usize,
        pairing: Pairing,
    ) -> Result<Self, Error> {
        if head_dim == 0 {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        if rotary_dim == 0 || !rotary_dim.is_multiple_of(2) || rotary_dim > head_dim {
            return Err(Error::Domain(Parameter::RotaryDim));
        }
        Ok(Self {
            head_dim,
            pairs: rotary_dim / 2,
            pairing,
        })
    }

    /// Returns the number of elements of a head.
    #[must_use]
    pub const fn head_dim(self) -> usize {
        self.head_dim
    }

    /// Returns the number of rotated elements.
    #[must_use]
    pub const fn rotary_dim(self) -> usize {
        2 * self.pairs
    }

    /// Returns the number of rotated pairs.
    #[must_use]
    pub const fn pairs(self) -> usize {
        self.pairs
    }

    /// Returns the pairing.
    #[must_use]
    pub const fn pairing(self) -> Pairing {
        self.pairing
    }

    /// Returns the layout of heads of the same length that turn so many pairs.
    pub(super) const fn with_pairs(self, pairs: usize) -> Self {
        Self { pairs, ..self }
    }

    /// Returns where element `index` of a head of this layout stands in a head paired as `pairing`.
    #[must_use]
    pub const fn index_in(self, pairing: Pairing, index: usize) -> usize {
        if index >= self.rotary_dim() {
            return index;
        }
        match (self.pairing, pairing) {
            (Pairing::HalfSplit, Pairing::Interleaved) if index < self.pairs => 2 * index,
            (Pairing::HalfSplit, Pairing::Interleaved) => 2 * (index - self.pairs) + 1,
            (Pairing::Interleaved, Pairing::HalfSplit) => index / 2 + index % 2 * self.pairs,
            _ => index,
        }
    }

    /// Writes heads of this layout in the order of another pairing.
    ///
    /// `rows` holds heads of `head_dim` rows of `columns` numbers each: with one column the vectors
    /// themselves, with the width of a model the weights of a query or key projection (stored
    /// output by input), whose products then come out in that pairing.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if `columns` is zero or a head has more than `usize::MAX` numbers,
    /// [`Error::Multiple`] if `rows` is not whole heads, [`Error::Length`] if `out` has another
    /// length.
    pub fn permute_rows<W: Copy>(
        self,
        pairing: Pairing,
        rows: &[W],
        columns: usize,
        out: &mut [W],
    ) -> Result<(), Error> {
        let head = match self.head_dim.checked_mul(columns) {
            Some(head) if columns > 0 => head,
            _ => return Err(Error::Domain(Parameter::Shape)),
        };
        check_heads(head, rows.len())?;
        check_len(rows.len(), out.len())?;
        for (from, to) in rows.chunks_exact(head).zip(out.chunks_exact_mut(head)) {
            for (index, row) in from.chunks_exact(columns).enumerate() {
                let at = self.index_in(pairing, index) * columns;
                for (to, &from) in to.get_mut(at..).unwrap_or_default().iter_mut().zip(row) {
                    *to = from;
                }
            }
        }
        Ok(())
    }
}

/// Checks that `found` elements are whole heads of `head` elements.
pub(super) const fn check_heads(head: usize, found: usize) -> Result<(), Error> {
    match found.checked_rem(head) {
        Some(0) => Ok(()),
        _ => Err(Error::Multiple { of: head, found }),
    }
}
