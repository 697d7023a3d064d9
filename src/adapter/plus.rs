//! LoRA+: rates for the groups of parameters.

use crate::error::Parameter;
use crate::{Error, Scalar};

/// A group of parameters with a learning rate of its own, as in PEFT's `create_loraplus_optimizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Group {
    /// The factors next to the input, and all that is in no other group.
    A,
    /// The factors next to the output.
    B,
    /// Adapters of embeddings.
    Embedding,
    /// Biases and gains of norms: the rate of B, no weight decay.
    NoDecay,
}

/// Where the ratio of the rates of B and A comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ratio<T> {
    /// A given ratio; 16 is what the paper recommends.
    Given(T),
    /// (n / m) sqrt(n / r) for n inputs, m outputs and rank r, at which A and B change the loss alike (Su
    /// Jianlin, 2024, kexue.fm/archives/10001): 22.6 for 4096 x 4096 at rank 8.
    Balanced {
        /// The elements of an input.
        inputs: usize,
        /// The elements of an output.
        outputs: usize,
        /// The rank.
        rank: usize,
    },
    /// n for n inputs: the order that the paper derives as the width grows (Hayou et al., 2024,
    /// arXiv:2402.12354, theorem 1), with one as the constant that it leaves open. Its own experiments take
    /// 16 at widths where this gives hundreds.
    Width {
        /// The elements of an input.
        inputs: usize,
    },
}

impl<T: Scalar> Ratio<T> {
    /// Returns the ratio.
    ///
    /// # Errors
    ///
    /// [`Parameter::Ratio`] unless it is finite and positive, which it is for positive sizes.
    ///
    /// ```
    /// use suanzi::adapter::Ratio;
    ///
    /// let square = Ratio::Balanced { inputs: 4096, outputs: 4096, rank: 64 };
    /// assert_eq!(square.value(), Ok(8.0));
    /// ```
    pub fn value(self) -> Result<T, Error> {
        let count = T::from_count;
        let ratio = match self {
            Self::Given(ratio) => ratio,
            Self::Balanced {
                inputs,
                outputs,
                rank,
            } => count(inputs) / count(outputs) * (count(inputs) / count(rank)).root(),
            Self::Width { inputs } => count(inputs),
        };
        if ratio > T::ZERO && ratio < T::INFINITY {
            Ok(ratio)
        } else {
            Err(Error::Domain(Parameter::Ratio))
        }
    }
}

/// The rates of LoRA+ (Hayou, Ghosh and Yu, 2024, arXiv:2402.12354): B learns faster than A.
///
/// With rate h and ratio k: h for [`Group::A`], h k for [`Group::B`] and [`Group::NoDecay`], a rate of
/// its own for [`Group::Embedding`]. A ratio of one is plain LoRA. The defaults are those of the paper and
/// of PEFT: a ratio of 16, 1e-6 for embeddings, no weight decay.
///
/// ```
/// use suanzi::adapter::{Group, LoraPlus, Ratio};
///
/// let plus = LoraPlus::new(2e-4_f32)?.with_weight_decay(0.01)?;
/// assert_eq!(plus.rate(Group::A), 2e-4);
/// assert_eq!(plus.rate(Group::B), 3.2e-3);
/// assert_eq!(plus.decay(Group::NoDecay), 0.0);
/// let narrow = Ratio::Balanced { inputs: 128, outputs: 128, rank: 8 };
/// assert_eq!(plus.with_ratio(narrow)?.rate(Group::B), 8e-4);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoraPlus<T = f32> {
    rate: T,
    ratio: T,
    embedding: T,
    decay: T,
}

impl<T: Scalar> LoraPlus<T> {
    /// Returns the rates for this one of A.
    ///
    /// # Errors
    ///
    /// [`Parameter::Rate`] unless it is finite and not negative.
    pub fn new(rate: T) -> Result<Self, Error> {
        // The number that is nearest to 1e-6 in this type.
        let millionth = T::ONE / T::from_count(1_000_000);
        Ok(Self {
            rate: checked(rate)?,
            ratio: T::from_count(16),
            embedding: millionth,
            decay: T::ZERO,
        })
    }

    /// Sets the ratio of the rates of B and A.
    ///
    /// # Errors
    ///
    /// That of [`Ratio::value`].
    pub fn with_ratio(self, ratio: Ratio<T>) -> Result<Self, Error> {
        let ratio = ratio.value()?;
        Ok(Self { ratio, ..self })
    }

    /// Sets the rate of adapters of embeddings.
    ///
    /// # Errors
    ///
    /// [`Parameter::Rate`] unless it is finite and not negative.
    pub fn with_embedding_rate(self, rate: T) -> Result<Self, Error> {
        let embedding = checked(rate)?;
        Ok(Self { embedding, ..self })
    }

    /// Sets the weight decay of all groups but [`Group::NoDecay`].
    ///
    /// # Errors
    ///
    /// [`Parameter::Rate`] unless it is finite and not negative.
    pub fn with_weight_decay(self, decay: T) -> Result<Self, Error> {
        let decay = checked(decay)?;
        Ok(Self { decay, ..self })
    }

    /// Returns the learning rate of a group.
    #[must_use]
    pub fn rate(&self, group: Group) -> T {
        match group {
            Group::A => self.rate,
            Group::B | Group::NoDecay => self.rate * self.ratio,
            Group::Embedding => self.embedding,
        }
    }

    /// Returns the weight decay of a group.
    #[must_use]
    pub fn decay(&self, group: Group) -> T {
        match group {
            Group::NoDecay => T::ZERO,
            _ => self.decay,
        }
    }
}

/// Returns a rate that is finite and not negative.
pub(super) fn checked<T: Scalar>(rate: T) -> Result<T, Error> {
    if rate >= T::ZERO && rate < T::INFINITY {
        Ok(rate)
    } else {
        Err(Error::Domain(Parameter::Rate))
    }
}
