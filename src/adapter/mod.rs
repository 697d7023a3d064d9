//! Adapters of frozen layers, and the steps that train them.
//!
//! A layer y = W x stays as it is; an [`Adapter`] changes what it puts out by a few numbers of its own.
//! [`Lora`] adds a product of two thin matrices, [`LoraSum`] several of them, [`Dora`] sets the length of
//! each row of the sum anew, [`Ia3`] scales outputs, [`Vera`] trains two vectors between fixed matrices.
//! All of them work beside a base in any storage of [`Matrix`](crate::nn::Matrix) (`f32`, `f64`, f16,
//! bf16, int8), and merge into a base of every type but int8.
//!
//! # LoRA+
//!
//! The factor next to the output wants the greater learning rate (Hayou, Ghosh and Yu, 2024,
//! arXiv:2402.12354). [`LoraPlus`] holds the rates of the four [`Group`]s of parameters, [`Ratio`] says
//! where their ratio comes from, and an [`Optimizer`] takes the steps, with its state in lent storage and
//! the same bits on every machine.
//!
//! ```
//! use suanzi::adapter::{Adapter, Group, Lora, LoraPlus, Optimizer, Rule, lora_scale};
//! use suanzi::nn::Matrix;
//!
//! // A layer of three inputs and two outputs, rank one. B begins at zero: nothing changes yet.
//! let base = [1.0_f32, 0.0, 2.0, 0.0, 1.0, -1.0];
//! let (a, mut b) = ([0.5_f32, -0.25, 0.125], [0.0_f32; 2]);
//! let base = Matrix::new(2, 3, &base)?;
//! let (x, target) = ([1.0, 2.0, -1.0], [0.0, 4.0]);
//! let (mut y, mut scratch) = ([0.0; 2], [0.0; 1]);
//! let plus = LoraPlus::new(0.25)?;
//! let optimizer = Optimizer::new(Rule::Sgd)?;
//! let mut loss = [0.0; 2];
//! for (i, loss) in loss.iter_mut().enumerate() {
//!     let lora = Lora::new(Matrix::new(1, 3, &a)?, Matrix::new(2, 1, &b)?, lora_scale(2.0, 1))?;
//!     base.multiply(&x, &mut y)?;
//!     lora.add_to(&x[..], &mut y[..], &mut scratch[..])?;
//!     let dy = [y[0] - target[0], y[1] - target[1]];
//!     *loss = dy[0] * dy[0] + dy[1] * dy[1];
//!     // Gradients of the factors and of the input.
//!     let (mut dx, mut da, mut db) = ([0.0; 3], [0.0; 3], [0.0; 2]);
//!     lora.vjp(&x, &dy, &mut dx, &mut da, &mut db, &mut scratch)?;
//!     let rate = plus.rate(Group::B);
//!     optimizer.step(i as u32 + 1, rate, plus.decay(Group::B), &mut b, &db, &mut [])?;
//! }
//! assert!(loss[1] < loss[0]);
//! # Ok::<(), suanzi::Error>(())
//! ```

mod descent;
mod dora;
mod ia3;
mod initial;
mod lora;
mod merge;
mod optimizer;
mod plus;
mod sum;
mod vera;

pub use dora::{Dora, dora_norms};
pub use ia3::Ia3;
pub use initial::Initial;
pub use lora::{Lora, lora_scale, rs_lora_scale};
pub use merge::Trained;
pub use optimizer::{Moments, Optimizer, Rule};
pub use plus::{Group, LoraPlus, Ratio};
pub use sum::LoraSum;
pub use vera::Vera;

use crate::Error;

/// Changes what a frozen layer puts out.
///
/// `X` is the buffer, and says where the work is done. Implementors read the input `x` of one token,
/// change its output `y`, which holds what the frozen layer makes of it (without a bias where they say
/// so), and write nothing if they refuse. What they leave in `scratch` is no result.
pub trait Adapter<X: ?Sized> {
    /// Returns the elements that `scratch` needs.
    fn scratch_len(&self) -> usize;

    /// Adds the adapter's part to the output `y` of the frozen layer.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `x`, `y` or `scratch` has another length than the adapter's shape asks for.
    fn add_to(&self, x: &X, y: &mut X, scratch: &mut X) -> Result<(), Error>;
}
