//! Products of a matrix and a vector.

use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::canonical;
use crate::scalar::sealed::Compute;
use crate::simd::dot::row_dots;
use crate::simd::{Isa, Lanes, One};
use crate::storage::Stored;
use crate::{Cpu, Error, Parameter, Scalar};

/// Rows of `W` that [`Matrix::multiply_transposed`] adds as a tree.
const BLOCK: usize = 8;

/// A matrix in row-major order that multiplies vectors: `rows` x `columns` weights, borrowed.
///
/// With a model's weights as `W[out][in]`, [`multiply`](Self::multiply) is y = W x; with `W[in][out]`,
/// [`multiply_transposed`](Self::multiply_transposed) is y = x W; both have a form that adds to y.
/// Weights are read as they are kept (`f32`, `f64`, [`F16`](crate::storage::F16), [`Bf16`](crate::storage::Bf16), `i8`) and widened
/// exactly; a scale a row ([`with_scales`](Self::with_scales)) gives `i8` its range, as in the usual
/// int8 quantization by output row.
///
/// Order: in y = W x, lane j of sixteen adds the products of elements j, j + 16, ... one after the
/// other, and the lanes join as a tree (j + 8, j + 4, j + 2, j + 1), then the scale multiplies. In
/// y = x W, eight rows of `W` at a time, their products are added as a tree and the sum to y; the
/// rows left over add one by one, and a scale multiplies its element of x first. The same bits on
/// every level unless the executor is fused.
///
/// Edges: a NaN or an infinity in the data gives what arithmetic gives, NaN being canonical.
///
/// Accuracy: |error| <= k u sum |W x| with the unit roundoff u and k = n/16 + 7 for y = W x,
/// k = n/8 + 8 for y = x W, where n is the number of terms.
///
/// Cost: each weight is read once; from caches the arithmetic keeps up with the loads, from memory
/// the bandwidth decides.
///
/// ```
/// use suanzi::nn::Matrix;
///
/// let weights = [1_i8, 2, 3, -4, 5, -6];
/// let scales = [0.5_f32, 0.25];
/// let matrix = Matrix::new(2, 3, &weights)?.with_scales(&scales)?;
/// let mut y = [0.0; 2];
/// matrix.multiply(&[1.0, 1.0, 1.0], &mut y)?;
/// assert_eq!(y, [3.0, -1.25]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, W, T = f32> {
    weights: &'a [W],
    scales: &'a [T],
    rows: usize,
    columns: usize,
    cpu: Cpu,
}

impl<'a, W: Stored<T>, T: Scalar> Matrix<'a, W, T> {
    /// Returns a matrix of `rows` x `columns` weights on the default executor, without scales.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if a side is zero or the product overflows, [`Error::Length`] if the
    /// number of weights is not the product.
    pub fn new(rows: usize, columns: usize, weights: &'a [W]) -> Result<Self, Error> {
        match rows.checked_mul(columns) {
            Some(len) if len > 0 => check_len(len, weights.len())?,
            _ => return Err(Error::Domain(Parameter::Shape)),
        }
        Ok(Self {
            weights,
            scales: &[],
            rows,
            columns,
            cpu: Cpu::default(),
        })
    }

    /// Multiplies row i by `scales[i]`, on top of the weights as they are kept.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there is one scale a row.
    pub fn with_scales(self, scales: &'a [T]) -> Result<Self, Error> {
        check_len(self.rows, scales.len())?;
        Ok(Self { scales, ..self })
    }

    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub const fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns the number of rows.
    #[inline]
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of columns.
    #[inline]
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Writes row `index`, widened and scaled, to `out`: the look-up in an embedding table.
    ///
    /// # Errors
    ///
    /// [`Error::Capacity`] if there is no such row, [`Error::Length`] unless `out` has one element a
    /// column.
    pub fn row_into(&self, index: usize, out: &mut [T]) -> Result<(), Error> {
        check_len(self.columns, out.len())?;
        let Some(row) = self.weights.chunks_exact(self.columns.max(1)).nth(index) else {
            return Err(Error::Capacity { limit: self.rows });
        };
        let scale = self.scales.get(index).copied().unwrap_or(T::ONE);
        for (to, from) in out.iter_mut().zip(row) {
            *to = canonical(from.widen() * scale);
        }
        Ok(())
    }

    /// Computes y = W x.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `x` has one element a column and `y` one a row.
    pub fn multiply(&self, x: &[T], y: &mut [T]) -> Result<(), Error> {
        check_len(self.columns, x.len())?;
        check_len(self.rows, y.len())?;
        self.product(x, y, false);
        Ok(())
    }

    /// Computes y = y + W x, as one addition to each finished element of W x.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `x` has one element a column and `y` one a row.
    pub fn multiply_add(&self, x: &[T], y: &mut [T]) -> Result<(), Error> {
        check_len(self.columns, x.len())?;
        check_len(self.rows, y.len())?;
        self.product(x, y, true);
        Ok(())
    }

    /// Computes y = x W.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `x` has one element a row and `y` one a column.
    pub fn multiply_transposed(&self, x: &[T], y: &mut [T]) -> Result<(), Error> {
        check_len(self.rows, x.len())?;
        check_len(self.columns, y.len())?;
        y.fill(T::ZERO);
        self.transposed(x, y);
        Ok(())
    }

    /// Computes y = y + x W, where the blocks of eight rows are added to `y` one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `x` has one element a row and `y` one a column.
    pub fn multiply_transposed_add(&self, x: &[T], y: &mut [T]) -> Result<(), Error> {
        check_len(self.rows, x.len())?;
        check_len(self.columns, y.len())?;
        self.transposed(x, y);
        Ok(())
    }

    /// Adds x W to y.
    #[inline(never)]
    fn transposed(&self, x: &[T], y: &mut [T]) {
        dispatch!(self.cpu, isa => add_transposed(isa, self, x, y));
    }

    /// Writes W x to y, or adds it.
    #[inline(never)]
    fn product(&self, x: &[T], y: &mut [T], add: bool) {
        dispatch!(self.cpu, isa => product(isa, self, x, y, add));
    }
}

/// Writes W x to y, or adds it.
#[inline(always)]
fn product<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    matrix: &Matrix<'_, W, T>,
    x: &[T],
    y: &mut [T],
    add: bool,
) {
    row_dots::<T::Lanes<S>, W>(
        isa,
        x,
        matrix.weights,
        matrix.columns,
        #[inline(always)]
        |i, dot| {
            let scaled = matrix.scales.get(i).map_or(
                dot,
                #[inline(always)]
                |&scale| dot * scale,
            );
            if let Some(y) = y.get_mut(i) {
                *y = canonical(if add { *y + scaled } else { scaled });
            }
        },
    );
}

/// Adds x W to y.
#[inline(always)]
pub(crate) fn add_transposed<S: Isa, T: Scalar, W: Stored<T>>(
    isa: S,
    matrix: &Matrix<'_, W, T>,
    x: &[T],
    y: &mut [T],
) {
    let mut scales = matrix.scales.iter();
    let mut factor = |&x: &T| scales.next().map_or(x, |&scale| x * scale);
    let (blocks, rest) = x.as_chunks::<BLOCK>();
    let mut rows = matrix.weights.chunks_exact(matrix.columns.max(1));
    for block in blocks {
        let mut x = [T::ZERO; BLOCK];
        for (to, from) in x.iter_mut().zip(block) {
            *to = factor(from);
        }
        let mut beside = [&[][..]; BLOCK];
        for (to, row) in beside.iter_mut().zip(&mut rows) {
            *to = row;
        }
        add_rows::<S, T, W, BLOCK>(isa, x, beside, y);
    }
    for x in rest {
        add_rows(isa, [factor(x)], [rows.next().unwrap_or_default()], y);
    }
}

/// Adds x_0 row_0 + x_1 row_1 + ... to y: whole vectors, then the elements left over.
#[inline(always)]
fn add_rows<S: Isa, T: Scalar, W: Stored<T>, const ROWS: usize>(
    isa: S,
    x: [T; ROWS],
    rows: [&[W]; ROWS],
    y: &mut [T],
) {
    let whole = y.len() - y.len() % <T::Lanes<S> as Lanes>::LANES;
    let Some((y, y_rest)) = y.split_at_mut_checked(whole) else {
        return;
    };
    let (mut starts, mut rests) = ([&[][..]; ROWS], [&[][..]; ROWS]);
    for ((start, rest), row) in starts.iter_mut().zip(&mut rests).zip(rows) {
        (*start, *rest) = row.split_at_checked(whole).unwrap_or_default();
    }
    add_vectors::<T::Lanes<S>, W, ROWS>(isa, x, starts, y);
    add_vectors::<T::Lanes<One>, W, ROWS>(One, x, rests, y_rest);
}

/// Adds the combination of the rows to y, a multiple of the vector's length.
#[inline(always)]
fn add_vectors<V: Lanes, W: Stored<V::Element>, const ROWS: usize>(
    isa: V::Isa,
    x: [V::Element; ROWS],
    rows: [&[W]; ROWS],
    y: &mut [V::Element],
) {
    let x = x.map(
        #[inline(always)]
        |x| V::splat(isa, x),
    );
    let nan = V::splat(isa, V::Element::NAN);
    let mut at = 0;
    for y in y.chunks_exact_mut(V::LANES) {
        let mut terms = [nan; ROWS];
        for ((term, row), &x) in terms.iter_mut().zip(rows).zip(&x) {
            let w: V = W::load(isa, row.get(at..).unwrap_or_default());
            *term = x * w;
        }
        let mut n = ROWS;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                if let [Some(&a), Some(&b)] = [terms.get(2 * i), terms.get(2 * i + 1)]
                    && let Some(sum) = terms.get_mut(i)
                {
                    *sum = a + b;
                }
            }
        }
        let [first, ..] = &terms[..] else { return };
        let sum = V::load(isa, y) + *first;
        V::select(sum.eq(sum), sum, nan).store(y);
        at += V::LANES;
    }
}
