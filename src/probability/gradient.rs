//! Gradients through the maps: products of a vector with their Jacobians.

use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::math::exp::exp_lanes;
use crate::math::ln::ln_lanes;
use crate::scalar::Scalar;
use crate::simd::order::{self, Body};
use crate::simd::stream::copy;
use crate::simd::{Isa, LANES, Lanes};
use crate::{Cpu, Error};

/// Writes the gradient of <dp, p> in the scores of p, for an entmax of order `alpha` with the
/// probabilities `p`.
///
/// dx = s (dp - <s, dp> / sum s) with s_i = p_i^(2 - alpha) in the support and zero outside (Peters,
/// Niculae and Martins, 2019, arXiv:1905.05702, proposition 1). For alpha = 1 that is the
/// softmax, dx = p (dp - <p, dp>), whole or of the most probable elements; for alpha = 2 the
/// sparsemax. The gradient in raw logits has the scale of [`Logits`](super::Logits) as a factor.
///
/// * **Domain:** what the map gives; a row of zeros has gradient zero, NaN gives NaN.
/// * **Accuracy:** within 8 units of rounding of s_i (|dp_i| + max |dp|); for alpha other than 1, 1.5
///   and 2 of that times 1 + |ln p_i| / 8.
/// * **Cost:** two passes; alpha other than 1, 1.5 and 2 takes a logarithm and an exponential an
///   element twice. No scratch.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ, [`Parameter::Alpha`] if alpha is not finite, or below one.
///
/// ```
/// use suanzi::{Cpu, probability::entmax_vjp};
///
/// let mut dx = [0.0_f32; 3];
/// entmax_vjp(Cpu::default(), 2.0, &[0.25, 0.75, 0.0], &[1.0, 2.0, 5.0], &mut dx)?;
/// assert_eq!(dx, [-0.5, 0.5, 0.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn entmax_vjp<T: Scalar>(
    cpu: Cpu,
    alpha: T,
    p: &[T],
    dp: &[T],
    dx: &mut [T],
) -> Result<(), Error> {
    check_alpha(alpha)?;
    check_len(p.len(), dp.len())?;
    check_len(p.len(), dx.len())?;
    dispatch!(cpu, isa => entmax_vjp_on(isa, alpha, Some(p), dp, dx));
    Ok(())
}

/// Writes the gradient of <dy, y> in the scores of y, for a log-softmax with the results `y`.
///
/// dx = dy - exp(y) sum dy. The gradient in raw logits has the scale of [`Logits`](super::Logits) as a
/// factor.
///
/// * **Domain:** what the map gives; an element of minus infinity has the gradient dy alone, NaN gives
///   NaN.
/// * **Accuracy:** within 4 units of rounding of |dy_i| + p_i sum |dy|.
/// * **Cost:** two passes and an exponential an element; no scratch.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ.
///
/// ```
/// use suanzi::{Cpu, probability::log_softmax_vjp};
///
/// let half = -core::f32::consts::LN_2;
/// let mut dx = [0.0_f32; 2];
/// log_softmax_vjp(Cpu::default(), &[half, half], &[1.0, 0.0], &mut dx)?;
/// assert_eq!(dx, [0.5, -0.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn log_softmax_vjp<T: Scalar>(cpu: Cpu, y: &[T], dy: &[T], dx: &mut [T]) -> Result<(), Error> {
    check_len(y.len(), dy.len())?;
    check_len(y.len(), dx.len())?;
    dispatch!(cpu, isa => log_softmax_vjp_on(isa, y, dy, dx));
    Ok(())
}

/// Returns the derivative of <dp, p> in alpha, for an entmax of order `alpha` with the probabilities
/// `p`.
///
/// dp_i / d alpha = (p_i - r_i) / (alpha - 1)^2 - (h_i - r_i sum h) / (alpha - 1), with h_i = p_i ln
/// p_i and r = s / sum s as in [`entmax_vjp`] (Correia, Niculae and Martins, 2019, arXiv:1909.00015).
/// Toward alpha = 1 the two terms cancel.
///
/// * **Domain:** alpha above one; a row of zeros has derivative zero.
/// * **Accuracy:** within 32 units of rounding of sum |dp| (p + r) / (alpha - 1)^2.
/// * **Cost:** two passes, a logarithm and two exponentials an element; no scratch.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ, [`Parameter::Alpha`] if alpha is not finite, or not above
/// one.
///
/// ```
/// use suanzi::{Cpu, probability::entmax_alpha_gradient};
///
/// let slope = entmax_alpha_gradient(Cpu::default(), 1.5, &[0.5_f32, 0.5], &[1.0, 2.0])?;
/// assert!(slope.abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn entmax_alpha_gradient<T: Scalar>(cpu: Cpu, alpha: T, p: &[T], dp: &[T]) -> Result<T, Error> {
    check_alpha(alpha)?;
    if alpha == T::ONE {
        return Err(Error::Domain(Parameter::Alpha));
    }
    check_len(p.len(), dp.len())?;
    Ok(dispatch!(cpu, isa => alpha_gradient_on(isa, alpha, p, dp)))
}

/// Checks the order of an entmax.
fn check_alpha<T: Scalar>(alpha: T) -> Result<(), Error> {
    if alpha >= T::ONE && alpha < T::INFINITY {
        Ok(())
    } else {
        Err(Error::Domain(Parameter::Alpha))
    }
}

/// [`entmax_vjp`] on an instruction set, with the probabilities `p`, or those in `dx`.
#[inline(always)]
pub(super) fn entmax_vjp_on<S: Isa, T: Scalar>(
    isa: S,
    alpha: T,
    p: Option<&[T]>,
    dp: &[T],
    dx: &mut [T],
) {
    let weight = powers::<S, T>(isa, T::TWO - alpha);
    let known = p.unwrap_or(dx);
    let total = sum(isa, known, known, &weight, |s, _| s);
    let mean = sum(isa, known, dp, &weight, |s, dp| s * dp) / total;
    let mean = if total > T::ZERO { mean } else { T::ZERO };
    let mean = T::Lanes::<S>::splat(isa, mean);
    order::map::<T::Lanes<S>, _>(
        isa,
        (p, dx),
        #[inline(always)]
        |v, at| weight(v) * (beside::<S, T>(isa, dp, at) - mean),
    );
}

/// [`log_softmax_vjp`] on an instruction set.
#[inline(always)]
fn log_softmax_vjp_on<S: Isa, T: Scalar>(isa: S, y: &[T], dy: &[T], dx: &mut [T]) {
    let total = T::Lanes::<S>::splat(isa, sum(isa, dy, dy, |dy| dy, |dy, _| dy));
    order::map::<T::Lanes<S>, _>(
        isa,
        (Some(y), dx),
        #[inline(always)]
        |v, at| beside::<S, T>(isa, dy, at) - exp_lanes(isa, v) * total,
    );
}

/// [`entmax_alpha_gradient`] on an instruction set.
#[inline(always)]
fn alpha_gradient_on<S: Isa, T: Scalar>(isa: S, alpha: T, p: &[T], dp: &[T]) -> T {
    let weight = powers::<S, T>(isa, T::TWO - alpha);
    let beta = alpha - T::ONE;
    let total = sum(isa, p, p, &weight, |s, _| s);
    if total == T::ZERO {
        return T::ZERO;
    }
    let whole = sum(isa, p, p, |p| entropy::<S, T>(isa, p), |h, _| h);
    let moved = sum(isa, p, dp, |p| p, |p, dp| p * dp);
    let share = sum(isa, p, dp, &weight, |s, dp| s * dp) / total;
    let tilted = sum(isa, p, dp, |p| entropy::<S, T>(isa, p), |h, dp| h * dp);
    (moved - share) / (beta * beta) - (tilted - share * whole) / beta
}

/// Returns p ln p, zero where p is.
#[inline(always)]
fn entropy<S: Isa, T: Scalar>(isa: S, p: T::Lanes<S>) -> T::Lanes<S> {
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    Lanes::select(zero.lt(p), p * ln_lanes(isa, p), zero)
}

/// Returns the function that raises a probability to a power; zero stays zero.
#[inline(always)]
pub(super) fn powers<S: Isa, T: Scalar>(isa: S, power: T) -> impl Fn(T::Lanes<S>) -> T::Lanes<S> {
    let [exponent, zero, one] = [power, T::ZERO, T::ONE].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    #[inline(always)]
    move |p| {
        if power == T::ONE {
            return p;
        }
        let raised = if power == T::ZERO {
            one
        } else if power == T::HALF {
            p.sqrt()
        } else {
            exp_lanes(isa, ln_lanes(isa, p) * exponent)
        };
        Lanes::select(zero.lt(p), raised, zero)
    }
}

/// Returns the sum of `term(f(x), y)` over two rows, in the portable order.
#[inline(always)]
pub(super) fn sum<S: Isa, T: Scalar>(
    isa: S,
    x: &[T],
    y: &[T],
    f: impl Fn(T::Lanes<S>) -> T::Lanes<S>,
    term: impl Fn(T::Lanes<S>, T::Lanes<S>) -> T::Lanes<S>,
) -> T {
    order::map_sum::<T::Lanes<S>, _>(
        isa,
        Body::Heavy,
        x,
        #[inline(always)]
        |v: T::Lanes<S>, at| term(f(v), beside::<S, T>(isa, y, at)),
    )
}

/// Loads the elements from `at` on of a row that is passed beside another, zeros beyond its end.
#[inline(always)]
pub(super) fn beside<S: Isa, T: Scalar>(isa: S, x: &[T], at: usize) -> T::Lanes<S> {
    let from = x.get(at..).unwrap_or_default();
    if from.len() >= T::Lanes::<S>::LANES {
        return Lanes::load(isa, from);
    }
    let mut buffer = [T::ZERO; LANES];
    copy(from, &mut buffer);
    Lanes::load(isa, &buffer)
}
