//! Vectors between fixed matrices.

use super::merge::Trained;
use super::{Adapter, Lora};
use crate::error::check_len;
use crate::nn::Matrix;
use crate::scalar::canonical;
use crate::storage::Stored;
use crate::{Cpu, Error, Scalar};

/// Trains two vectors between matrices that never change and that layers share: y + l (B (d (A x))),
/// products of vectors element by element (VeRA, Kopiczko et al., 2023, arXiv:2310.11454).
///
/// d begins at a constant, l at zero. A matrix of one shape may serve every layer.
///
/// * **Shapes:** those of [`Lora`]; d has r elements, l one for each output.
/// * **Edges, order, accuracy:** those of [`Lora`] with d as the scales of A's rows and l of B's; the
///   table's row `lora` holds for `Vera`.
///
/// ```
/// use suanzi::adapter::{Adapter, Vera};
/// use suanzi::nn::Matrix;
///
/// let (a, b) = ([1.0_f32, 2.0], [3.0_f32]);
/// let vera = Vera::new(Matrix::new(1, 2, &a)?, Matrix::new(1, 1, &b)?, &[0.5], &[2.0])?;
/// let mut y = [1.0];
/// vera.add_to(&[1.0, 1.0][..], &mut y[..], &mut [0.0][..])?;
/// assert_eq!(y, [10.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Vera<'a, P, T = f32> {
    /// The factors with their vectors as scales.
    scaled: Lora<'a, P, T>,
    /// A and B as they came.
    a: Matrix<'a, P, T>,
    b: Matrix<'a, P, T>,
    d: &'a [T],
    l: &'a [T],
}

impl<'a, P: Stored<T>, T: Scalar> Vera<'a, P, T> {
    /// Returns the adapter of fixed matrices without scales and its two vectors.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if a shape does not fit.
    pub fn new(
        a: Matrix<'a, P, T>,
        b: Matrix<'a, P, T>,
        d: &'a [T],
        l: &'a [T],
    ) -> Result<Self, Error> {
        let scaled = Lora::new(a.with_scales(d)?, b.with_scales(l)?, T::ONE)?;
        Ok(Self { scaled, a, b, d, l })
    }

    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub const fn on(self, cpu: Cpu) -> Self {
        Self {
            scaled: self.scaled.on(cpu),
            a: self.a.on(cpu),
            b: self.b.on(cpu),
            ..self
        }
    }

    /// Returns the elements of the scratch of [`vjp`](Self::vjp).
    #[must_use]
    pub const fn vjp_scratch_len(&self) -> usize {
        // Rows and columns of slices that exist.
        self.a
            .rows()
            .saturating_mul(2)
            .saturating_add(self.b.rows())
    }

    /// Adds the gradients of <dy, l (B (d (A x)))> to `dx`, `dd` and `dl`.
    ///
    /// * **Shapes:** `dd` as d, `dl` as l; scratch [`vjp_scratch_len`](Self::vjp_scratch_len).
    /// * **Accuracy:** the table's row `lora vjp`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if a slice has another length.
    pub fn vjp(
        &self,
        x: &[T],
        dy: &[T],
        dx: &mut [T],
        dd: &mut [T],
        dl: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        check_len(self.a.columns(), x.len())?;
        check_len(self.b.rows(), dy.len())?;
        check_len(self.a.columns(), dx.len())?;
        check_len(self.d.len(), dd.len())?;
        check_len(self.l.len(), dl.len())?;
        check_len(self.vjp_scratch_len(), scratch.len())?;
        let (h, rest) = scratch
            .split_at_mut_checked(self.d.len())
            .unwrap_or_default();
        let (t, u) = rest.split_at_mut_checked(self.d.len()).unwrap_or_default();
        // h = A x, u = B (d h), of which l takes its gradient.
        self.a.multiply(x, h)?;
        for ((t, &h), &d) in t.iter_mut().zip(&*h).zip(self.d) {
            *t = h * d;
        }
        self.b.multiply(t, u)?;
        for (((dl, u), &dy), &l) in dl.iter_mut().zip(u.iter_mut()).zip(dy).zip(self.l) {
            *dl = canonical(*dl + dy * *u);
            *u = l * dy;
        }
        // t = B^T (l dy), of which d takes its gradient.
        self.b.multiply_transposed(u, t)?;
        for (((dd, t), &h), &d) in dd.iter_mut().zip(t.iter_mut()).zip(&*h).zip(self.d) {
            *dd = canonical(*dd + *t * h);
            *t = *t * d;
        }
        self.a.multiply_transposed_add(t, dx)
    }

    /// Adds the product of all four to weights, as [`Lora::merge`].
    ///
    /// # Errors
    ///
    /// Those of [`Lora::merge`].
    pub fn merge<W: Trained<T>>(&self, weights: &mut [W], scratch: &mut [T]) -> Result<(), Error> {
        self.scaled.merge(weights, scratch)
    }

    /// Takes the product away again, as [`Lora::unmerge`].
    ///
    /// # Errors
    ///
    /// Those of [`Lora::merge`].
    pub fn unmerge<W: Trained<T>>(
        &self,
        weights: &mut [W],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.scaled.unmerge(weights, scratch)
    }
}

impl<P: Stored<T>, T: Scalar> Adapter<[T]> for Vera<'_, P, T> {
    fn scratch_len(&self) -> usize {
        self.scaled.rank()
    }

    fn add_to(&self, x: &[T], y: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        self.scaled.add_to(x, y, scratch)
    }
}
