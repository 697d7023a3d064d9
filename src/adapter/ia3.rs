//! Scales of outputs.

use super::Adapter;
use super::merge::Trained;
use crate::error::{Parameter, check_len};
use crate::scalar::canonical;
use crate::{Error, Scalar};

/// Multiplies each output by a factor of its own: y_i l_i (IA3, Liu et al., 2022, arXiv:2205.05638).
///
/// The factors begin at one. Keys and values are scaled so; in a feed-forward block it is the input of the
/// last layer, by [`add_to`](Adapter::add_to) with that input as `y`.
///
/// * **Shapes:** a factor for each element of `y`; `x` is not read; no scratch.
/// * **Edges:** NaN is canonical.
/// * **Accuracy:** exact but for one rounding, the table's row `ia3`.
///
/// ```
/// use suanzi::adapter::{Adapter, Ia3};
///
/// let mut y = [3.0_f32, 4.0];
/// Ia3::new(&[1.0, 0.5])?.add_to(&[][..], &mut y[..], &mut [][..])?;
/// assert_eq!(y, [3.0, 2.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ia3<'a, T = f32> {
    factors: &'a [T],
}

impl<'a, T: Scalar> Ia3<'a, T> {
    /// Returns the adapter of these factors.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if there is none.
    pub const fn new(factors: &'a [T]) -> Result<Self, Error> {
        if factors.is_empty() {
            Err(Error::Domain(Parameter::Shape))
        } else {
            Ok(Self { factors })
        }
    }

    /// Takes the gradients through the factors: dl_i += dy_i y_i for the frozen layer's output `y`, then
    /// dy_i *= l_i.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless all three have an element for each factor.
    pub fn vjp(&self, y: &[T], dy: &mut [T], dl: &mut [T]) -> Result<(), Error> {
        check_len(self.factors.len(), y.len())?;
        check_len(self.factors.len(), dy.len())?;
        check_len(self.factors.len(), dl.len())?;
        for (((&factor, &y), dy), dl) in self.factors.iter().zip(y).zip(dy).zip(dl) {
            *dl = canonical(*dl + *dy * y);
            *dy = canonical(*dy * factor);
        }
        Ok(())
    }

    /// Multiplies each row of weights, one an output, by its factor, rounded once.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] unless there are whole rows.
    pub fn merge<W: Trained<T>>(&self, weights: &mut [W]) -> Result<(), Error> {
        let (of, found) = (self.factors.len(), weights.len());
        let (Some(columns), Some(0)) = (found.checked_div(of), found.checked_rem(of)) else {
            return Err(Error::Multiple { of, found });
        };
        let rows = weights.chunks_exact_mut(columns.max(1));
        for (row, &factor) in rows.zip(self.factors) {
            for weight in row {
                *weight = W::narrow(canonical(weight.widen() * factor));
            }
        }
        Ok(())
    }
}

impl<T: Scalar> Adapter<[T]> for Ia3<'_, T> {
    fn scratch_len(&self) -> usize {
        0
    }

    fn add_to(&self, _: &[T], y: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        check_len(self.factors.len(), y.len())?;
        check_len(0, scratch.len())?;
        for (y, &factor) in y.iter_mut().zip(self.factors) {
            *y = canonical(*y * factor);
        }
        Ok(())
    }
}
