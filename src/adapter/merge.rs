//! Adapters added into the weights themselves.

use super::Lora;
use super::lora::times;
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::nn::add_transposed;
use crate::scalar::canonical;
use crate::simd::Isa;
use crate::storage::{Bf16, F16, Stored};
use crate::{Error, Scalar};

/// A number type that trained parameters and merged weights are kept in, computed with in `T`.
///
/// Sealed: `f32` and `f64` in themselves, [`F16`] and [`Bf16`] in `f32`. An `i8` is none: its scale
/// would have to change with it.
pub trait Trained<T: Scalar>: Stored<T> + sealed::Changes {}

impl<T: Scalar + Stored<T> + sealed::Changes> Trained<T> for T {}
impl Trained<f32> for F16 {}
impl Trained<f32> for Bf16 {}

mod sealed {
    /// Marks the types.
    pub trait Changes {}
    impl Changes for f32 {}
    impl Changes for f64 {}
    impl Changes for super::F16 {}
    impl Changes for super::Bf16 {}
}

/// Adds `sign` times the sum of the products of some adapters of one shape to `weights`.
pub(super) fn merge<P: Stored<T>, W: Trained<T>, T: Scalar>(
    loras: &[Lora<'_, P, T>],
    sign: T,
    weights: &mut [W],
    scratch: &mut [T],
) -> Result<(), Error> {
    let Some(first) = loras.first() else {
        return Ok(());
    };
    let rank = loras.iter().map(Lora::rank).max().unwrap_or(0);
    check_len(
        first.outputs().saturating_mul(first.inputs()),
        weights.len(),
    )?;
    check_len(rank.saturating_add(first.inputs()), scratch.len())?;
    let (h, row) = scratch.split_at_mut_checked(rank).unwrap_or_default();
    dispatch!(first.cpu, isa => merge_on(isa, loras, sign, weights, h, row));
    Ok(())
}

/// [`merge`] on an instruction set.
#[inline(always)]
fn merge_on<S: Isa, P: Stored<T>, W: Stored<T>, T: Scalar>(
    isa: S,
    loras: &[Lora<'_, P, T>],
    sign: T,
    weights: &mut [W],
    h: &mut [T],
    row: &mut [T],
) {
    for (i, weights) in weights.chunks_exact_mut(row.len().max(1)).enumerate() {
        row.fill(T::ZERO);
        for lora in loras {
            add_product_row(isa, lora, i, h, row);
        }
        for (weight, &change) in weights.iter_mut().zip(&*row) {
            *weight = W::narrow(canonical(weight.widen() + sign * change));
        }
    }
}

/// Adds row i of s B A to `row`; `h` has r elements at least.
#[inline(always)]
pub(super) fn add_product_row<S: Isa, P: Stored<T>, T: Scalar>(
    isa: S,
    lora: &Lora<'_, P, T>,
    i: usize,
    h: &mut [T],
    row: &mut [T],
) {
    let h = h.get_mut(..lora.rank()).unwrap_or_default();
    // The row is there, as long as the rank.
    if lora.b.row_into(i, h).is_ok() {
        times(lora.scale, h);
        add_transposed(isa, &lora.a, h, row);
    }
}
