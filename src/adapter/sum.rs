//! Several adapters of one layer.

use super::merge::{Trained, merge};
use super::{Adapter, Lora};
use crate::error::{Parameter, check_len};
use crate::storage::Stored;
use crate::{Error, Scalar};

/// Adds several adapters of one layer, each with the weight that [`Lora::scaled`] gave it.
///
/// y + sum s_j B_j (A_j x), one after the other. Ranks may differ. It is what others call a weighted
/// adapter by concatenation, without the concatenation.
///
/// * **Shapes:** those of [`Lora`]; scratch the greatest rank.
/// * **Accuracy:** the table's row `lora` holds for `LoraSum` with the terms of all.
///
/// ```
/// use suanzi::adapter::{Adapter, Lora, LoraSum};
/// use suanzi::nn::Matrix;
///
/// let (a, b) = ([1.0_f32, 1.0], [1.0_f32]);
/// let lora = Lora::new(Matrix::new(1, 2, &a)?, Matrix::new(1, 1, &b)?, 1.0)?;
/// let both = [lora.scaled(0.25)?, lora.scaled(0.5)?];
/// let mut y = [0.0];
/// LoraSum::new(&both)?.add_to(&[1.0, 3.0][..], &mut y[..], &mut [0.0][..])?;
/// assert_eq!(y, [3.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LoraSum<'a, P, T = f32> {
    loras: &'a [Lora<'a, P, T>],
    rank: usize,
    inputs: usize,
    outputs: usize,
}

impl<'a, P: Stored<T>, T: Scalar> LoraSum<'a, P, T> {
    /// Returns the sum of one adapter or more.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if there is none, or not all adapt layers of one shape.
    pub fn new(loras: &'a [Lora<'a, P, T>]) -> Result<Self, Error> {
        let shape = |lora: &Lora<'_, P, T>| (lora.inputs(), lora.outputs());
        let (inputs, outputs) = loras
            .first()
            .map(shape)
            .ok_or(Error::Domain(Parameter::Shape))?;
        if loras.iter().any(|lora| shape(lora) != (inputs, outputs)) {
            return Err(Error::Domain(Parameter::Shape));
        }
        let rank = loras.iter().map(Lora::rank).max().unwrap_or(0);
        Ok(Self {
            loras,
            rank,
            inputs,
            outputs,
        })
    }

    /// Adds the sum of all products to weights, rounded once, as [`Lora::merge`] does for one.
    ///
    /// # Errors
    ///
    /// Those of [`Lora::merge`].
    pub fn merge<W: Trained<T>>(&self, weights: &mut [W], scratch: &mut [T]) -> Result<(), Error> {
        merge(self.loras, T::ONE, weights, scratch)
    }

    /// Takes the sum of all products away from weights that hold it.
    ///
    /// # Errors
    ///
    /// Those of [`Lora::merge`].
    pub fn unmerge<W: Trained<T>>(
        &self,
        weights: &mut [W],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        merge(self.loras, -T::ONE, weights, scratch)
    }

    /// Returns the elements of the scratch of a merge: the greatest rank and a row of the weights.
    #[must_use]
    pub const fn merge_scratch_len(&self) -> usize {
        self.rank.saturating_add(self.inputs)
    }
}

impl<P: Stored<T>, T: Scalar> Adapter<[T]> for LoraSum<'_, P, T> {
    fn scratch_len(&self) -> usize {
        self.rank
    }

    fn add_to(&self, x: &[T], y: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        check_len(self.inputs, x.len())?;
        check_len(self.outputs, y.len())?;
        check_len(self.rank, scratch.len())?;
        for lora in self.loras {
            let scratch = scratch.get_mut(..lora.rank()).unwrap_or_default();
            lora.add_to(x, y, scratch)?;
        }
        Ok(())
    }
}
