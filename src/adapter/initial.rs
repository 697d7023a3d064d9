//! What the factors begin with.

use super::merge::Trained;
use crate::error::check_len;
use crate::probability::Noise;
use crate::{Error, Scalar};

/// The numbers that the factors of a [`Lora`](super::Lora) begin with, from the caller's random words.
///
/// One factor is zero, so that nothing changes at first. Normal numbers are those of
/// [`Noise::Normal`], computed in `f64`; uniform ones take the upper 24 bits of a word and no `f64`.
///
/// ```
/// use suanzi::adapter::Initial;
///
/// let mut state = 1_u32;
/// let words = || {
///     state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
///     state
/// };
/// let (mut a, mut b) = ([0.0_f32; 2 * 4], [1.0_f32; 3 * 2]);
/// Initial::Uniform.fill(2, words, &mut a, &mut b)?;
/// assert!(a.iter().all(|a| a.abs() < 0.5) && b == [0.0; 6]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Initial {
    /// A uniform within 1 / sqrt(n) for n inputs, B zero: the default of PEFT and of the LoRA code (Kaiming
    /// uniform with slope sqrt(5)).
    Uniform,
    /// A normal with deviation 1 / r, B zero: PEFT's `gaussian`.
    Gaussian,
    /// A normal with variance 1 / n, B zero: what the paper on LoRA+ calls Init\[1\] (Hayou et al., 2024,
    /// arXiv:2406.08447).
    InputSide,
    /// A zero, B normal with variance 1 / r: Init\[2\] there.
    OutputSide,
}

impl Initial {
    /// Fills both factors, for a rank; `word` gives 32 uniform bits for each element that is drawn, in the
    /// order of the slice.
    ///
    /// * **Shapes:** `a` is rank x n, `b` outputs x rank.
    /// * **Accuracy:** the table's row `initial factors`.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] unless both are whole rows, [`Error::Length`] for rank zero.
    pub fn fill<P: Trained<T>, T: Scalar>(
        self,
        rank: usize,
        word: impl FnMut() -> u32,
        a: &mut [P],
        b: &mut [P],
    ) -> Result<(), Error> {
        if rank == 0 {
            check_len(1, rank)?;
        }
        for found in [a.len(), b.len()] {
            if !found.is_multiple_of(rank) {
                return Err(Error::Multiple { of: rank, found });
            }
        }
        let inputs = T::from_count(a.len().checked_div(rank).unwrap_or(0));
        let (ranks, zero) = (T::from_count(rank), P::narrow(T::ZERO));
        match self {
            Self::OutputSide => {
                a.fill(zero);
                normal(T::ONE / ranks.root(), word, b);
            }
            Self::Uniform => {
                uniform(T::ONE / inputs.root(), word, a);
                b.fill(zero);
            }
            Self::Gaussian => {
                normal(T::ONE / ranks, word, a);
                b.fill(zero);
            }
            Self::InputSide => {
                normal(T::ONE / inputs.root(), word, a);
                b.fill(zero);
            }
        }
        Ok(())
    }
}

/// Fills with normal numbers.
fn normal<P: Trained<T>, T: Scalar>(deviation: T, mut word: impl FnMut() -> u32, to: &mut [P]) {
    for to in to {
        let noise: T = Noise::Normal.sample(word());
        *to = P::narrow(noise * deviation);
    }
}

/// Fills with the middles of 2^24 equal parts of (-bound, bound).
fn uniform<P: Trained<T>, T: Scalar>(bound: T, mut word: impl FnMut() -> u32, to: &mut [P]) {
    let unit = T::ONE / T::from_count(1 << 24);
    for to in to {
        // Odd numbers below 2^24 in magnitude, exact in every type.
        let twice = (word() >> 8) as i32 * 2 + 1 - (1 << 24);
        let size = T::from_count(twice.unsigned_abs() as usize) * unit;
        let size = if twice < 0 { -size } else { size };
        *to = P::narrow(size * bound);
    }
}
