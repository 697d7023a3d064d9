//! Weight-decomposed low-rank adaptation.

use super::merge::{Trained, add_product_row};
use super::{Adapter, Lora};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::nn::Matrix;
use crate::scalar::canonical;
use crate::simd::{Isa, order};
use crate::storage::Stored;
use crate::{Error, Scalar};

/// Gives each row of W + s B A a length of its own: y_i = m_i / ||(W + s B A)_i|| ((W + s B A) x)_i
/// (DoRA, Liu et al., 2024, arXiv:2402.09353).
///
/// `y` comes as W x, without a bias. The lengths of the rows are taken by [`dora_norms`] whenever the
/// factors have changed; those of W itself are the magnitudes to begin with.
///
/// * **Shapes:** those of [`Lora`]; a magnitude and a norm for each output.
/// * **Edges:** a row of length zero has no direction: its output is zero, that of a NaN input too. NaN is
///   canonical.
/// * **Accuracy:** the table's row `dora`.
/// * **Cost:** that of [`Lora`] and a division an output; the norms take r operations a weight.
///
/// ```
/// use suanzi::adapter::{Adapter, Dora, Lora, dora_norms};
/// use suanzi::nn::Matrix;
///
/// let base = [3.0_f32, 4.0];
/// let base = Matrix::new(1, 2, &base)?;
/// let (a, b) = ([1.0_f32, -1.0], [0.0_f32]);
/// let lora = Lora::new(Matrix::new(1, 2, &a)?, Matrix::new(1, 1, &b)?, 1.0)?;
/// let mut norms = [0.0];
/// dora_norms(base, &lora, &mut norms, &mut [0.0; 3])?;
/// assert_eq!(norms, [5.0]);
/// let dora = Dora::new(lora, &[10.0], &norms)?;
/// let mut y = [0.0];
/// base.multiply(&[1.0, 0.0], &mut y)?;
/// dora.add_to(&[1.0, 0.0][..], &mut y[..], &mut [0.0][..])?;
/// assert_eq!(y, [6.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dora<'a, P, T = f32> {
    lora: Lora<'a, P, T>,
    magnitudes: &'a [T],
    norms: &'a [T],
}

impl<'a, P: Stored<T>, T: Scalar> Dora<'a, P, T> {
    /// Returns the adapter with these magnitudes, for rows of these lengths.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one of each for every output.
    pub fn new(lora: Lora<'a, P, T>, magnitudes: &'a [T], norms: &'a [T]) -> Result<Self, Error> {
        check_len(lora.outputs(), magnitudes.len())?;
        check_len(lora.outputs(), norms.len())?;
        Ok(Self {
            lora,
            magnitudes,
            norms,
        })
    }

    /// Takes the gradients through the magnitudes: dm_i += dy_i z_i / norm_i, then dy_i *= m_i / norm_i.
    ///
    /// `z` is (W + s B A) x, the output before its rows got their lengths. `dy` is then what goes on to
    /// [`Lora::vjp`] and to the base. The norms count as constants, as the paper has it (section 4.3).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless all three have an element for each output.
    pub fn vjp(&self, z: &[T], dy: &mut [T], dm: &mut [T]) -> Result<(), Error> {
        let outputs = self.lora.outputs();
        check_len(outputs, z.len())?;
        check_len(outputs, dy.len())?;
        check_len(outputs, dm.len())?;
        let factors = self.magnitudes.iter().zip(self.norms);
        for ((((&m, &n), &z), dy), dm) in factors.zip(z).zip(dy).zip(dm) {
            if n == T::ZERO {
                *dy = T::ZERO;
            } else {
                *dm = canonical(*dm + *dy * (z / n));
                *dy = canonical(*dy * (m / n));
            }
        }
        Ok(())
    }

    /// Replaces weights of outputs x inputs by the adapted ones, each rounded once.
    ///
    /// [`unmerge`](Self::unmerge) takes it back, up to the rounding of the weights; where the very bits must
    /// come back, keep a copy: a row that was rounded at another length has lost some.
    ///
    /// # Errors
    ///
    /// Those of [`Lora::merge`], whose scratch this takes.
    pub fn merge<W: Trained<T>>(&self, weights: &mut [W], scratch: &mut [T]) -> Result<(), Error> {
        let (rank, inputs) = (self.lora.rank(), self.lora.inputs());
        check_len(self.lora.outputs().saturating_mul(inputs), weights.len())?;
        check_len(rank.saturating_add(inputs), scratch.len())?;
        let (h, row) = scratch.split_at_mut_checked(rank).unwrap_or_default();
        dispatch!(self.lora.cpu, isa => self.merge_on(isa, weights, h, row));
        Ok(())
    }

    /// Replaces weights that [`merge`](Self::merge) wrote by those that it found: norm_i / m_i times each
    /// row, less s B A.
    ///
    /// The factors, the magnitudes and the norms are those of the merge. A row of magnitude zero has lost
    /// its weights, and comes back as that of -s B A; for a row whose norm is zero that is what it was.
    ///
    /// * **Accuracy:** twice the row `dora` of the table, and twice the rounding of `W`, of
    ///   |W| + s |B| |A|, beside (inputs + rank) / 8. The lengths of the rows cancel.
    ///
    /// # Errors
    ///
    /// Those of [`merge`](Self::merge).
    ///
    /// ```
    /// use suanzi::adapter::{Dora, Lora, dora_norms};
    /// use suanzi::nn::Matrix;
    ///
    /// let mut weights = [3.0_f32, 5.0];
    /// let (a, b) = ([0.0_f32, -1.0], [2.0_f32]);
    /// let lora = Lora::new(Matrix::new(1, 2, &a)?, Matrix::new(1, 1, &b)?, 0.5)?;
    /// let (mut norms, mut scratch) = ([0.0], [0.0; 3]);
    /// dora_norms(Matrix::new(1, 2, &weights)?, &lora, &mut norms, &mut scratch)?;
    /// let dora = Dora::new(lora, &[10.0], &norms)?;
    /// dora.merge(&mut weights, &mut scratch)?;
    /// assert_eq!(weights, [6.0, 8.0]);
    /// dora.unmerge(&mut weights, &mut scratch)?;
    /// assert_eq!(weights, [3.0, 5.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn unmerge<W: Trained<T>>(
        &self,
        weights: &mut [W],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let (rank, inputs) = (self.lora.rank(), self.lora.inputs());
        check_len(self.lora.outputs().saturating_mul(inputs), weights.len())?;
        check_len(rank.saturating_add(inputs), scratch.len())?;
        let (h, row) = scratch.split_at_mut_checked(rank).unwrap_or_default();
        dispatch!(self.lora.cpu, isa => self.unmerge_on(isa, weights, h, row));
        Ok(())
    }

    /// [`Dora::unmerge`] on an instruction set.
    #[inline(always)]
    fn unmerge_on<S: Isa, W: Stored<T>>(
        &self,
        isa: S,
        weights: &mut [W],
        h: &mut [T],
        row: &mut [T],
    ) {
        let rows = weights.chunks_exact_mut(row.len().max(1));
        let factors = self.magnitudes.iter().zip(self.norms);
        for ((i, weights), (&m, &n)) in rows.enumerate().zip(factors) {
            row.fill(T::ZERO);
            add_product_row(isa, &self.lora, i, h, row);
            let factor = factor(n, m);
            for (weight, &change) in weights.iter_mut().zip(&*row) {
                *weight = W::narrow(canonical(weight.widen() * factor - change));
            }
        }
    }

    /// [`Dora::merge`] on an instruction set.
    #[inline(always)]
    fn merge_on<S: Isa, W: Stored<T>>(
        &self,
        isa: S,
        weights: &mut [W],
        h: &mut [T],
        row: &mut [T],
    ) {
        let rows = weights.chunks_exact_mut(row.len().max(1));
        let factors = self.magnitudes.iter().zip(self.norms);
        for ((i, weights), (&m, &n)) in rows.enumerate().zip(factors) {
            for (to, from) in row.iter_mut().zip(&*weights) {
                *to = from.widen();
            }
            add_product_row(isa, &self.lora, i, h, row);
            let factor = factor(m, n);
            for (weight, &sum) in weights.iter_mut().zip(&*row) {
                *weight = W::narrow(canonical(sum * factor));
            }
        }
    }
}

impl<P: Stored<T>, T: Scalar> Adapter<[T]> for Dora<'_, P, T> {
    fn scratch_len(&self) -> usize {
        self.lora.rank()
    }

    fn add_to(&self, x: &[T], y: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        self.lora.add_to(x, y, scratch)?;
        for ((y, &m), &n) in y.iter_mut().zip(self.magnitudes).zip(self.norms) {
            *y = if n == T::ZERO {
                T::ZERO
            } else {
                canonical(*y * (m / n))
            };
        }
        Ok(())
    }
}

/// Writes the length of each row of W + s B A.
///
/// The sum of squares is taken in the portable order with its rounding errors carried. It overflows for
/// rows beyond 1e19 in `f32`.
///
/// * **Shapes:** a norm for each output; scratch [`Lora::merge_scratch_len`].
/// * **Accuracy:** the table's row `dora`.
///
/// # Errors
///
/// [`Error::Length`] if the shapes differ, or `norms` or `scratch` has another length.
pub fn dora_norms<W: Stored<T>, P: Stored<T>, T: Scalar>(
    base: Matrix<'_, W, T>,
    lora: &Lora<'_, P, T>,
    norms: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    check_len(lora.outputs(), base.rows())?;
    check_len(lora.inputs(), base.columns())?;
    check_len(lora.outputs(), norms.len())?;
    check_len(lora.merge_scratch_len(), scratch.len())?;
    let (h, row) = scratch
        .split_at_mut_checked(lora.rank())
        .unwrap_or_default();
    dispatch!(lora.cpu, isa => norms_on(isa, &base, lora, norms, h, row));
    Ok(())
}

/// [`dora_norms`] on an instruction set.
#[inline(always)]
fn norms_on<S: Isa, W: Stored<T>, P: Stored<T>, T: Scalar>(
    isa: S,
    base: &Matrix<'_, W, T>,
    lora: &Lora<'_, P, T>,
    norms: &mut [T],
    h: &mut [T],
    row: &mut [T],
) {
    for (i, norm) in norms.iter_mut().enumerate() {
        if base.row_into(i, row).is_err() {
            return;
        }
        add_product_row(isa, lora, i, h, row);
        let sum = order::map_sum::<T::Lanes<S>, _>(
            isa,
            order::Body::Light,
            &*row,
            #[inline(always)]
            |v: T::Lanes<S>, _| v * v,
        );
        *norm = canonical(sum.root());
    }
}

/// Returns the quotient of a magnitude and a norm, either way; zero for a row without the divisor.
#[inline(always)]
fn factor<T: Scalar>(m: T, n: T) -> T {
    if n == T::ZERO { T::ZERO } else { m / n }
}
