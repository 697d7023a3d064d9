//! Maps from logits to the probability simplex, their losses and gradients, and the choice of a token.
//!
//! Every map of this room is a [`ProbabilityMap`]: a small `Copy` value with its parameters and its
//! executor, applied to one row or to many. What happens to a raw logit before a map sees it (scale,
//! soft cap, mask or bias, sink) is said once, by [`Logits`].
//!
//! | map | support | invariant to shifts | monotone | gradient |
//! |---|---|---|---|---|
//! | [`Softmax`], [`LogSoftmax`], [`LogSumExp`] | all | yes | yes | [`entmax_vjp`] of alpha 1, [`log_softmax_vjp`] |
//! | [`SparseSoftmax`]: top-k, top-p, min-p | the most probable | yes | yes | [`entmax_vjp`] of alpha 1 |
//! | [`Sparsemax`], and the projection onto a scaled simplex | within one of the maximum | yes | yes | [`entmax_vjp`] of alpha 2 |
//! | [`Entmax`] of any alpha from one on | within 1 / (alpha - 1) | yes | yes | [`entmax_vjp`], [`entmax_alpha_gradient`] |
//! | [`Normmax`] of any alpha above one | within one of the maximum | yes | yes | [`normmax_vjp`] |
//! | [`PerturbMax`]: exponential, normal, logistic, Gumbel noise | all | yes | yes | [`PerturbMax::vjp`] |
//! | [`SoftTopK`]: numbers within [0, 1] that add up to k | all, or near the k greatest | yes | yes | [`SoftTopK::vjp`] |
//! | [`Normalized`]: Taylor, spherical, logistic, softplus | all | no | the last two | [`Normalized::vjp`] |
//! | [`ByteSoftmax`], [`WordSoftmax`]: integers in, integers out | all | yes | yes | |
//!
//! Losses of a right class: [`CrossEntropy`], with smoothing, margin and z-loss; [`Entmax::loss`], the
//! Fenchel-Young losses; [`SparseSoftmax::loss`]. A token is chosen by [`argmax`], by [`draw`] from
//! probabilities, or by noise: [`gumbel_max`], [`gumbel_top_k`], [`gumbel_softmax`].
//!
//! # What happens when
//!
//! | row | a map | log-softmax | logsumexp |
//! |---|---|---|---|
//! | empty | nothing | nothing | -inf |
//! | one finite element | 1 | 0 | the element |
//! | some -inf, or masked | exactly 0 there | -inf there | they do not count |
//! | all -inf, or all masked | all 0 | all -inf | -inf |
//! | k elements +inf | 1/k there, 0 elsewhere | -ln k there, -inf elsewhere | +inf |
//! | any NaN that is not masked | all NaN | all NaN | NaN |
//! | ties | equal inputs give equal outputs; of those that a rule leaves out the later | equal inputs give equal outputs | |
//! | all equal | 1/n each | -ln n each | the element + ln n |
//! | huge spread, subnormal numbers | within the bound, exactly 0 where a sparse map says so | within the bound | within the bound |
//! | temperature zero | the limit is [`argmax`]; a scale must be finite | | |
//!
//! A masked value is never read into a result, not even a NaN. Output NaN is always the positive
//! quiet NaN without payload. A single element of 1 is a matter of rounding for a spherical row: a
//! zero gives zero there. [`SoftTopK`] keeps to the table for k = 1, and says on its own page what
//! comes of more. Each line is a test of `tests/edges.rs`.

mod degree;
mod entmax;
mod gradient;
mod inclusion;
mod integer;
mod lanes;
mod list;
mod log_softmax;
mod log_sum_exp;
mod logits;
mod loss;
mod mask;
mod nodes;
mod normalized;
mod normmax;
mod perturb;
mod power;
mod root;
mod row;
mod sample;
mod select;
mod soft_top_k;
mod softmax;
mod sparse_softmax;
mod sparsemax;
mod subsets;
mod threshold;
mod token;
mod total;

pub use entmax::Entmax;
pub use gradient::{entmax_alpha_gradient, entmax_vjp, log_softmax_vjp};
pub use integer::{ByteSoftmax, WordSoftmax};
pub use log_softmax::LogSoftmax;
pub use log_sum_exp::LogSumExp;
pub use logits::Logits;
pub use loss::{CrossEntropy, Loss};
pub use mask::{Mask, alibi_slope};
pub use normalized::Normalized;
pub use normmax::{Normmax, normmax_vjp};
pub use perturb::{Distribution, Noise, PerturbMax, perturb_max_with};
#[cfg(feature = "rand_core")]
pub use sample::words;
pub use sample::{gumbel_max, gumbel_softmax, gumbel_top_k};
pub use soft_top_k::{Inclusion, SoftTopK};
pub use softmax::Softmax;
pub use sparse_softmax::SparseSoftmax;
pub use sparsemax::Sparsemax;
pub use token::{argmax, draw};

use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::stream::copy;
use crate::{Cpu, Error};

/// A map from rows of logits to rows of probabilities or their logarithms.
///
/// `X` is the buffer, and says where the work is done: `[f32]`, `[f64]`, `[F16]` or `[Bf16]` in host
/// memory, `DeviceSlice<f32>` on a device. Implementors check every length before they write, accept
/// empty rows, and write each output from its own row alone.
pub trait ProbabilityMap<X: ?Sized> {
    /// Maps one row in place.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if a mask has another length than the row; with every method
    /// [`Parameter::Bias`](crate::Parameter::Bias) if its slope or margin is not finite, and
    /// [`Error::Unsupported`] where the map has no sink and the logits do.
    fn map_in_place(&self, x: &mut X) -> Result<(), Error>;

    /// Maps one row into another buffer.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` or a mask has another length than `x`.
    fn map(&self, x: &X, out: &mut X) -> Result<(), Error>;

    /// Maps consecutive rows of `row` elements in place.
    ///
    /// A mask may have the length of one row, and then applies to each, or of all rows together.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if the length of `x` is not a multiple of `row` (`row` may be zero only
    /// where `x` is empty), [`Error::Length`] if a mask has neither length.
    fn map_rows(&self, x: &mut X, row: usize) -> Result<(), Error>;
}

/// Where the rows of a strided array lie.
///
/// Element j of row i is element `i * row_stride + j * stride` of the array. A tensor's rows along
/// any axis have this form: the last axis with `stride` 1, the first of a matrix with `row_stride`
/// 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rows {
    /// The number of rows.
    pub count: usize,
    /// The elements of a row.
    pub len: usize,
    /// The distance from one row's start to the next.
    pub row_stride: usize,
    /// The distance from one element of a row to the next.
    pub stride: usize,
}

impl Rows {
    /// Returns the least length of an array that holds these rows.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] with [`Parameter::Stride`](crate::Parameter::Stride) if elements of
    /// different rows or positions would share a place, or the extent exceeds `usize`.
    pub const fn extent(self) -> Result<usize, Error> {
        let bad = Err(Error::Domain(crate::Parameter::Stride));
        if self.count == 0 || self.len == 0 {
            return Ok(0);
        }
        let (Some(along), Some(across)) = (
            (self.len - 1).checked_mul(self.stride),
            (self.count - 1).checked_mul(self.row_stride),
        ) else {
            return bad;
        };
        let Some(extent) = along.checked_add(across) else {
            return bad;
        };
        let Some(extent) = extent.checked_add(1) else {
            return bad;
        };
        let along_free = self.len == 1 || self.stride > 0;
        let across_free = self.count == 1 || self.row_stride > 0;
        let apart =
            self.count == 1 || self.len == 1 || self.row_stride > along || self.stride > across;
        if along_free && across_free && apart {
            Ok(extent)
        } else {
            bad
        }
    }
}

/// Checks that `len` elements form whole rows of `row`.
pub(crate) const fn check_rows(len: usize, row: usize) -> Result<(), Error> {
    if len == row || len == 0 || row != 0 && len.is_multiple_of(row) {
        Ok(())
    } else {
        Err(Error::Multiple {
            of: row,
            found: len,
        })
    }
}

/// Returns the rows of an array whose length is a multiple of `row`, without a division.
#[inline(always)]
fn rows_mut<T>(x: &mut [T], row: usize) -> impl Iterator<Item = &mut [T]> {
    let mut rest = x;
    core::iter::from_fn(
        #[inline(always)]
        move || {
            if rest.is_empty() {
                return None;
            }
            let (first, next) = core::mem::take(&mut rest).split_at_mut_checked(row)?;
            rest = next;
            Some(first)
        },
    )
}

/// A map of scores on the processor, row by row: everything but the softmax itself, whose passes see
/// raw logits.
trait RowMap<T: Scalar> {
    /// Returns what is done to logits before.
    fn logits(&self) -> &Logits<'_, T>;
    /// Returns where it is computed.
    fn executor(&self) -> Cpu;
    /// Maps the scores `x`, or `y` itself, into `y`.
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]);

    /// Maps the row `x`, or the rows of `y`, into `y`.
    fn run(&self, x: Option<&[T]>, y: &mut [T], row: usize) -> Result<(), Error> {
        check_rows(y.len(), row)?;
        self.logits().check(row, y.len())?;
        if self.logits().has_sink() {
            return Err(Error::Unsupported);
        }
        dispatch!(self.executor(), isa => self.run_on(isa, x, y, row));
        Ok(())
    }

    /// Checks the operands of a gradient, and writes the scores of `x` into `dx`.
    fn scores(&self, x: &[T], dp: &[T], dx: &mut [T]) -> Result<(), Error> {
        check_len(x.len(), dp.len())?;
        check_len(x.len(), dx.len())?;
        self.logits().check(x.len(), x.len())?;
        if self.logits().has_sink() {
            return Err(Error::Unsupported);
        }
        copy(x, dx);
        if !self.logits().is_raw() {
            dispatch!(self.executor(), isa => self.logits().write(isa, 0, None, dx));
        }
        Ok(())
    }

    /// [`Self::run`] on an instruction set.
    #[inline(always)]
    fn run_on<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T], row: usize) {
        let raw = self.logits().is_raw();
        for (i, y) in rows_mut(y, row).enumerate() {
            if !raw {
                self.logits().write(isa, i * row, x, y);
            }
            self.map_scores(isa, x.filter(|_| raw), y);
        }
    }
}

/// Makes [`RowMap`]s public.
macro_rules! row_maps {
    ($($map:ident)*) => {$(
        impl<T: Scalar> ProbabilityMap<[T]> for $map<'_, T> {
            fn map_in_place(&self, x: &mut [T]) -> Result<(), Error> {
                self.run(None, x, x.len())
            }

            fn map(&self, x: &[T], out: &mut [T]) -> Result<(), Error> {
                check_out(x.len(), out.len())?;
                self.run(Some(x), out, x.len())
            }

            fn map_rows(&self, x: &mut [T], row: usize) -> Result<(), Error> {
                self.run(None, x, row)
            }
        }
    )*};
}
row_maps! { Entmax Normalized Normmax PerturbMax SoftTopK SparseSoftmax Sparsemax }

/// Checks an output's length.
const fn check_out(x: usize, out: usize) -> Result<(), Error> {
    check_len(x, out)
}
