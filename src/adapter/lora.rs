//! Low-rank adaptation.

use super::Adapter;
use super::merge::{Trained, merge};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::nn::{Matrix, add_transposed};
use crate::scalar::canonical;
use crate::simd::Isa;
use crate::storage::Stored;
use crate::{Cpu, Error, Parameter, Scalar};

/// Returns the scale alpha / r of a low-rank adapter.
///
/// ```
/// assert_eq!(suanzi::adapter::lora_scale(16.0_f32, 8), 2.0);
/// ```
#[must_use]
pub fn lora_scale<T: Scalar>(alpha: T, rank: usize) -> T {
    alpha / T::from_count(rank)
}

/// Returns the scale alpha / sqrt(r), under which a greater rank learns no slower (rsLoRA, Kalajdzievski,
/// 2023, arXiv:2312.03732).
///
/// ```
/// assert_eq!(suanzi::adapter::rs_lora_scale(16.0_f32, 4), 8.0);
/// ```
#[must_use]
pub fn rs_lora_scale<T: Scalar>(alpha: T, rank: usize) -> T {
    alpha / T::from_count(rank).root()
}

/// Adds a product of two thin matrices: y + s B (A x) (Hu et al., 2021, arXiv:2106.09685).
///
/// A is the factor next to the input, B the one next to the output. Both are read as they are kept, in
/// `f32`, `f64`, [`F16`](crate::storage::F16), [`Bf16`](crate::storage::Bf16) or `i8` with scales.
///
/// * **Shapes:** A is r x inputs, B outputs x r, `x` has `inputs` elements and `y` `outputs`; scratch r.
/// * **Domain:** a finite scale; [`lora_scale`] and [`rs_lora_scale`] give the usual ones.
/// * **Edges:** a NaN or an infinity gives what arithmetic gives, NaN being canonical. With B zero and
///   finite numbers `y` keeps its values.
/// * **Order:** A x as [`Matrix::multiply`], each of its r elements times s, then
///   [`Matrix::multiply_add`]: the same bits on every level unless the executor is fused.
/// * **Accuracy:** the table's row `lora`.
/// * **Cost:** r (inputs + outputs) multiplications and additions a token; the product B A is formed only
///   in [`merge`](Self::merge).
///
/// ```
/// use suanzi::adapter::{Adapter, Lora};
/// use suanzi::nn::Matrix;
///
/// let (a, b) = ([1.0_f32, 2.0, 3.0], [1.0_f32, -1.0]);
/// let lora = Lora::new(Matrix::new(1, 3, &a)?, Matrix::new(2, 1, &b)?, 0.5)?;
/// let mut y = [10.0, 20.0];
/// lora.add_to(&[1.0, 1.0, 1.0][..], &mut y[..], &mut [0.0][..])?;
/// assert_eq!(y, [13.0, 17.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lora<'a, P, T = f32> {
    pub(super) a: Matrix<'a, P, T>,
    pub(super) b: Matrix<'a, P, T>,
    pub(super) scale: T,
    pub(super) cpu: Cpu,
}

impl<'a, P: Stored<T>, T: Scalar> Lora<'a, P, T> {
    /// Returns the adapter of these factors, on the default executor.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `b` has a column for each row of `a`, [`Parameter::Scale`] unless the
    /// scale is finite.
    pub fn new(a: Matrix<'a, P, T>, b: Matrix<'a, P, T>, scale: T) -> Result<Self, Error> {
        check_len(a.rows(), b.columns())?;
        let cpu = Cpu::default();
        Self { a, b, scale, cpu }.on(cpu).scaled(T::ONE)
    }

    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub const fn on(self, cpu: Cpu) -> Self {
        Self {
            a: self.a.on(cpu),
            b: self.b.on(cpu),
            scale: self.scale,
            cpu,
        }
    }

    /// Returns the adapter with its scale times `weight`: its part in a [`LoraSum`](super::LoraSum).
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] unless the product is finite.
    pub fn scaled(self, weight: T) -> Result<Self, Error> {
        let scale = self.scale * weight;
        if scale > T::NEG_INFINITY && scale < T::INFINITY {
            Ok(Self { scale, ..self })
        } else {
            Err(Error::Domain(Parameter::Scale))
        }
    }

    /// Returns the rank r.
    #[inline]
    #[must_use]
    pub const fn rank(&self) -> usize {
        self.a.rows()
    }

    /// Returns the elements of an input.
    #[inline]
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.a.columns()
    }

    /// Returns the elements of an output.
    #[inline]
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.b.rows()
    }

    /// Writes s A x to `h`; the lengths are right.
    pub(super) fn project(&self, x: &[T], h: &mut [T]) -> Result<(), Error> {
        self.a.multiply(x, h)?;
        times(self.scale, h);
        Ok(())
    }

    /// Adds the adapter's part to each row of `y`, for the inputs in the rows of `x`.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole rows, [`Error::Length`] if `y` has another number of them
    /// or `scratch` not one row's elements.
    pub fn add_to_rows(&self, x: &[T], y: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let (Some(rows), Some(0)) = (x.len().checked_div(inputs), x.len().checked_rem(inputs))
        else {
            return Err(Error::Multiple {
                of: inputs,
                found: x.len(),
            });
        };
        check_len(rows.saturating_mul(outputs), y.len())?;
        check_len(self.rank(), scratch.len())?;
        let rows = x.chunks_exact(inputs.max(1));
        for (x, y) in rows.zip(y.chunks_exact_mut(outputs.max(1))) {
            self.add_to(x, y, scratch)?;
        }
        Ok(())
    }

    /// Adds the gradients of <dy, s B A x> to `dx`, `da` and `db`.
    ///
    /// With h = s A x and g = s B^T dy: da += g x^T, db += dy h^T, dx += A^T g. All three are added to, so
    /// that tokens accumulate, and `dx` may hold what the base sends back
    /// ([`Matrix::multiply_transposed`]). Scales that a factor's matrix carries count as part of it.
    ///
    /// * **Shapes:** `da` and `db` as A and B, row by row; scratch r.
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
        da: &mut [T],
        db: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let (rank, inputs, outputs) = (self.rank(), self.inputs(), self.outputs());
        check_len(inputs, x.len())?;
        check_len(outputs, dy.len())?;
        check_len(inputs, dx.len())?;
        // Both products are the lengths of the factors' slices.
        check_len(rank.saturating_mul(inputs), da.len())?;
        check_len(outputs.saturating_mul(rank), db.len())?;
        check_len(rank, scratch.len())?;
        self.project(x, scratch)?;
        dispatch!(self.cpu, isa => add_outer(isa, dy, scratch, db));
        self.b.multiply_transposed(dy, scratch)?;
        times(self.scale, scratch);
        dispatch!(self.cpu, isa => self.send_back(isa, scratch, x, dx, da));
        Ok(())
    }

    /// Adds A^T g to `dx` and g x^T to `da`.
    #[inline(always)]
    fn send_back<S: Isa>(&self, isa: S, g: &[T], x: &[T], dx: &mut [T], da: &mut [T]) {
        add_transposed(isa, &self.a, g, dx);
        add_outer(isa, g, x, da);
    }

    /// Adds s B A to weights of outputs x inputs: computed in the compute type, rounded once.
    ///
    /// [`unmerge`](Self::unmerge) takes it away again, up to the rounding of the weights; where the very
    /// bits must come back, keep a copy. In 16 bits a change below half a unit of a weight is lost.
    ///
    /// * **Shapes:** scratch [`merge_scratch_len`](Self::merge_scratch_len).
    /// * **Accuracy:** the table's row `merge`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `weights` or `scratch` has another length.
    ///
    /// ```
    /// use suanzi::adapter::Lora;
    /// use suanzi::nn::Matrix;
    /// use suanzi::storage::F16;
    ///
    /// let (a, b) = ([1.0_f32, 2.0], [1.0_f32, -1.0]);
    /// let lora = Lora::new(Matrix::new(1, 2, &a)?, Matrix::new(2, 1, &b)?, 0.5)?;
    /// let mut weights = [F16::from_f32(1.0); 4];
    /// lora.merge(&mut weights, &mut [0.0; 3])?;
    /// assert_eq!(weights.map(F16::to_f32), [1.5, 2.0, 0.5, 0.0]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn merge<W: Trained<T>>(&self, weights: &mut [W], scratch: &mut [T]) -> Result<(), Error> {
        merge(core::slice::from_ref(self), T::ONE, weights, scratch)
    }

    /// Takes s B A away from weights that [`merge`](Self::merge) added it to.
    ///
    /// # Errors
    ///
    /// Those of [`merge`](Self::merge).
    pub fn unmerge<W: Trained<T>>(
        &self,
        weights: &mut [W],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        merge(core::slice::from_ref(self), -T::ONE, weights, scratch)
    }

    /// Returns the elements of the scratch of a merge: r and a row of the weights.
    #[must_use]
    pub const fn merge_scratch_len(&self) -> usize {
        // Both are lengths of slices that exist, or rows of one.
        self.rank().saturating_add(self.inputs())
    }
}

impl<P: Stored<T>, T: Scalar> Adapter<[T]> for Lora<'_, P, T> {
    fn scratch_len(&self) -> usize {
        self.rank()
    }

    fn add_to(&self, x: &[T], y: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        check_len(self.inputs(), x.len())?;
        check_len(self.outputs(), y.len())?;
        check_len(self.rank(), scratch.len())?;
        self.project(x, scratch)?;
        self.b.multiply_add(scratch, y)
    }
}

/// Multiplies each element.
#[inline(always)]
pub(super) fn times<T: Scalar>(factor: T, x: &mut [T]) {
    for x in x {
        *x = *x * factor;
    }
}

/// Adds a b^T to a matrix of a row for each element of `a`.
#[inline(always)]
pub(super) fn add_outer<S: Isa, T: Scalar>(_: S, a: &[T], b: &[T], to: &mut [T]) {
    for (&a, row) in a.iter().zip(to.chunks_exact_mut(b.len().max(1))) {
        for (to, &b) in row.iter_mut().zip(b) {
            *to = canonical(*to + a * b);
        }
    }
}
