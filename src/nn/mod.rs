//! What a real model needs around its mixers: matrix-vector products, RMSNorm, LayerNorm, gated
//! activations.
//!
//! [`Matrix`] multiplies a vector by weights kept in `f32`, `f64`, f16, bf16 or int8 with a scale a
//! row; [`RmsNorm`] and [`LayerNorm`] normalize rows, the latter groups as well; [`GatedSilu`] is the activation of a SwiGLU feed-forward block.
//! Nothing more: no graph, no batches of matrices, no training.
//!
//! ```
//! use suanzi::nn::{GatedSilu, Matrix, RmsNorm};
//!
//! // A SwiGLU block of width two and one hidden unit, on a normalized input, added to it.
//! let (gate, up, down) = ([0.5_f32, -1.0], [2.0_f32, 1.0], [1.0_f32, 0.25]);
//! let mut x = [3.0_f32, -4.0];
//! let (mut h, mut a, mut b) = ([0.0; 2], [0.0; 1], [0.0; 1]);
//! RmsNorm::new(1e-5)?.map(&x, &[1.0, 1.0], &mut h)?;
//! Matrix::new(1, 2, &gate)?.multiply(&h, &mut a)?;
//! Matrix::new(1, 2, &up)?.multiply(&h, &mut b)?;
//! GatedSilu::default().map_in_place(&mut a, &b)?;
//! Matrix::new(2, 1, &down)?.multiply_add(&a, &mut x)?;
//! assert!((x[0] - 3.7267).abs() < 1e-4);
//! # Ok::<(), suanzi::Error>(())
//! ```

mod gate;
mod layer_norm;
mod matrix;
mod norm;

pub use gate::GatedSilu;
pub(crate) use gate::Silu;
pub use layer_norm::LayerNorm;
pub use matrix::Matrix;
pub(crate) use matrix::add_transposed;
pub use norm::RmsNorm;
