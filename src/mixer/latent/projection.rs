//! The projections from a latent vector to each head.

use crate::Cpu;
use crate::nn::Matrix;
use crate::scalar::Scalar;
use crate::storage::Stored;

/// One matrix a head, at equal distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Projection<'a, W, T> {
    pub(super) weights: &'a [W],
    pub(super) scales: &'a [T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The rows from one head's matrix to the next.
    pub(super) stride: usize,
    /// The scales from one head to the next.
    pub(super) scale_stride: usize,
}

impl<'a, W: Stored<T>, T: Scalar> Projection<'a, W, T> {
    /// Returns the matrix of each head.
    pub(super) fn heads(self, cpu: Cpu) -> impl Iterator<Item = Matrix<'a, W, T>> {
        let Self {
            weights,
            scales,
            rows,
            columns,
            stride,
            scale_stride,
        } = self;
        let matrices = weights.chunks((stride * columns).max(1)).enumerate();
        matrices.filter_map(move |(head, weights)| {
            let matrix = Matrix::new(rows, columns, weights.get(..rows * columns)?).ok()?;
            let own = scales
                .get(head * scale_stride..)
                .and_then(|s| s.get(..rows));
            let scaled = own.map_or(Some(matrix), |own| matrix.with_scales(own).ok());
            scaled.map(|matrix| matrix.on(cpu))
        })
    }
}
