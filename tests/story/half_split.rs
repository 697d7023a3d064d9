//! Weights whose queries and keys come out in half-split pairs, by a permutation of their rows.

use suanzi::nn::Matrix;
use suanzi::position::{HeadLayout, Pairing};

use crate::checkpoint::Tensors;
use crate::llama::{Dims, Layer, Weights};

/// A model of interleaved pairs, its query and key rows permuted.
pub(crate) struct HalfSplit<'a> {
    weights: Tensors<'a, f32>,
    /// The projections to queries and to keys, layer after layer.
    permuted: Vec<[Vec<f32>; 2]>,
}

impl<'a> HalfSplit<'a> {
    /// Permutes the rows of each head.
    pub(crate) fn new(weights: Tensors<'a, f32>) -> Self {
        let dims = weights.dims();
        let layout = HeadLayout::new(dims.head_dim(), weights.pairing()).unwrap();
        let permuted = |matrix: Matrix<'_, f32>| {
            let mut rows = vec![0.0; matrix.rows() * dims.dim];
            for (index, row) in rows.chunks_exact_mut(dims.dim).enumerate() {
                matrix.row_into(index, row).unwrap();
            }
            let mut out = vec![0.0; rows.len()];
            layout
                .permute_rows(Pairing::HalfSplit, &rows, dims.dim, &mut out)
                .unwrap();
            out
        };
        let layers = (0..dims.layers).map(|index| weights.layer(index).unwrap());
        Self {
            permuted: layers
                .map(|layer| [permuted(layer.query), permuted(layer.key)])
                .collect(),
            weights,
        }
    }
}

impl Weights for &HalfSplit<'_> {
    type Element = f32;

    fn dims(&self) -> Dims {
        self.weights.dims()
    }

    fn pairing(&self) -> Pairing {
        Pairing::HalfSplit
    }

    fn embedding(&self) -> Option<Matrix<'_, f32>> {
        self.weights.embedding()
    }

    fn classifier(&self) -> Option<Matrix<'_, f32>> {
        self.weights.classifier()
    }

    fn final_norm(&self) -> &[f32] {
        self.weights.final_norm()
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f32>> {
        let layer = self.weights.layer(index)?;
        let [query, key] = self.permuted.get(index)?;
        Some(Layer {
            query: Matrix::new(layer.query.rows(), layer.query.columns(), query).ok()?,
            key: Matrix::new(layer.key.rows(), layer.key.columns(), key).ok()?,
            ..layer
        })
    }
}
