//! Elementary functions on vectors.
//!
//! Every function is a polynomial on a reduced argument, in the portable arithmetic: multiplications
//! and additions that round on their own, no library call, no table lookup, so that every
//! instruction set computes the same bits. The constants are derived by `coefficients.py`.

/// Defines the two public forms of an elementwise function from its form on vectors.
macro_rules! elementwise {
    ($(#[$doc:meta])* $name:ident, $in_place:ident, ($isa:ident, $v:ident) => $lanes:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// [`Error::Length`](crate::Error::Length) if `out` is not as long as `x`.
        pub fn $name<T: crate::Scalar>(cpu: crate::Cpu, x: &[T], out: &mut [T]) -> Result<(), crate::Error> {
            crate::error::check_len(x.len(), out.len())?;
            $in_place::map(cpu, Some(x), out);
            Ok(())
        }

        #[doc = concat!("Replaces each element by its [`", stringify!($name), "`].")]
        pub fn $in_place<T: crate::Scalar>(cpu: crate::Cpu, x: &mut [T]) {
            $in_place::map(cpu, None, x);
        }

        /// What both forms share.
        mod $in_place {
            use super::*;

            /// Maps `x`, or `y` itself, into `y`.
            #[inline(never)]
            pub(super) fn map<T: crate::Scalar>(cpu: crate::Cpu, x: Option<&[T]>, y: &mut [T]) {
                crate::cpu::dispatch!(cpu, isa => lanes(isa, x, y));
            }

            #[inline(always)]
            fn lanes<S: crate::simd::Isa, T: crate::Scalar>($isa: S, x: Option<&[T]>, y: &mut [T]) {
                crate::simd::order::map::<T::Lanes<S>, _>($isa, (x, y), #[inline(always)] |$v, _| $lanes);
            }
        }
    };
}

#[rustfmt::skip]
mod coefficients;
pub(crate) mod erf;
pub(crate) mod exp;
pub(crate) mod exp_m1;
pub(crate) mod ln;
pub(crate) mod ln_1p;
pub(crate) mod sigmoid;
pub(crate) mod sin_cos;
pub(crate) mod sin_cos_pi;
pub(crate) mod tanh;
pub(crate) mod twofold;

pub use erf::{erf, erf_in_place, erfc, erfc_in_place};
pub use exp::{exp, exp_in_place};
pub use exp_m1::{exp_m1, exp_m1_in_place};
pub use ln::{ln, ln_in_place};
pub use ln_1p::{ln_1p, ln_1p_in_place};
pub use sigmoid::{sigmoid, sigmoid_in_place, softplus, softplus_in_place};
pub use sin_cos::{cos, cos_in_place, sin, sin_cos, sin_in_place};
pub use sin_cos_pi::{cos_pi, cos_pi_in_place, sin_cos_pi, sin_pi, sin_pi_in_place};
pub use tanh::{tanh, tanh_in_place};

use crate::Scalar;
use crate::scalar::sealed::Compute as _;
use crate::simd::{Isa, LANES, Lanes, order};

/// Constants of the elementary functions for one number type; `coefficients.rs` has the values with
/// their origin and error.
pub trait Coefficients: Copy + 'static {
    /// One half.
    const HALF: Self;
    /// Two.
    const TWO: Self;
    /// The least positive normal number.
    const NORMALS_FROM: Self;
    /// A power of two that makes every subnormal number normal.
    const RAISE: Self;
    /// Its binary exponent.
    const RAISED: Self;
    /// 2^-16.
    const PIECE: Self;
    /// 1 / ln 2.
    const LOG2_E: Self;
    /// The upper part of ln 2, so short that its product with any exponent is exact.
    const LN2_HI: Self;
    /// The lower part of ln 2, as short.
    const LN2_LO: Self;
    /// Parts of pi/2, all but the last so short that products with quadrants below the limit are exact.
    const HALF_PI_PARTS: &'static [Self];
    /// The greatest argument, in absolute value, that those parts reduce.
    const HALF_PI_LIMIT: Self;
    /// The upper part of pi/2, so short that its product with an upper half is exact.
    const HALF_PI_HI: Self;
    /// The lower part of pi/2.
    const HALF_PI_LO: Self;
    /// 2/pi.
    const TWO_OVER_PI: Self;
    /// The bits of 2/pi after two words of integer part.
    const TWO_OVER_PI_WORDS: &'static [u32];
    /// From here down the exponential rounds to zero.
    const EXP_MIN: Self;
    /// From here up the exponential overflows.
    const EXP_MAX: Self;
    /// From here down exp(x) - 1 rounds to -1.
    const EXP_M1_MIN: Self;
    /// Where tanh leaves its polynomial for the exponential.
    const TANH_SPLIT: Self;
    /// Where erfc leaves 1 - erf(x).
    const ERFC_FROM: Self;
    /// From here up erfc rounds to zero.
    const ERFC_TO: Self;
    /// The zero of the Moebius map that the polynomial of erfc is in.
    const ERFC_CENTER: Self;
    /// The maximum, in absolute value, up to which a row of logits is not shifted.
    const CENTERED: Self;
    /// The binary exponent that the terms of a row are raised by.
    const SHIFT: Self;
    /// Terms below 2^-FLOOR of the greatest are held at it; they vanish in the quotient.
    const FLOOR: Self;
    /// The size up to which a score may stand in for a row's maximum.
    const ANCHORED: Self;
    /// The binary orders that the maximum is then taken to lie above that score.
    const HEADROOM: Self;
    /// The binary orders that it may lie higher still.
    const RISE: Self;
    /// Down to 2^-REACH, 2^k p is exact for every p with a say in 2^k + 2^k p.
    const REACH: Self;
    /// The exponential: (exp(r) - 1 - r) / r^2, where the error counts against exp(r).
    const EXP: &'static [Self];
    /// The same function, where the error counts against exp(r) - 1.
    const EXP_M1: &'static [Self];
    /// The logarithm: (2 atanh(s)/s - 2) / s^2 in s^2.
    const LN: &'static [Self];
    /// The sine: (sin(r) - r) / r^3 in r^2.
    const SIN: &'static [Self];
    /// The cosine: (cos(r) - 1 + r^2/2) / r^4 in r^2.
    const COS: &'static [Self];
    /// The hyperbolic tangent: (tanh(x) - x) / x^3 in x^2.
    const TANH: &'static [Self];
    /// The error function: erf(x)/x - 1 in x^2.
    const ERF: &'static [Self];
    /// Its complement: (1 + 2x) exp(x^2) erfc(x) in (x - c)/(x + c).
    const ERFC: &'static [Self];
}

/// Evaluates a polynomial by Horner's rule, highest power first.
#[inline(always)]
pub(crate) fn horner<V: Lanes>(isa: V::Isa, coefficients: &[V::Element], x: V) -> V {
    let mut coefficients = coefficients.iter();
    let mut p = V::splat(
        isa,
        coefficients.next().copied().unwrap_or(V::Element::ZERO),
    );
    for &c in coefficients {
        p = p.mul_add(x, V::splat(isa, c));
    }
    p
}

/// Evaluates a polynomial of x by Horner's rule in x2 = x^2 over pairs of coefficients, highest power
/// first (Estrin's first level): as many operations as [`horner`] and half its chain.
#[inline(always)]
pub(crate) fn pairs<V: Lanes>(isa: V::Isa, coefficients: &[V::Element], x: V, x2: V) -> V {
    let (odd, pairs) = coefficients.as_rchunks::<2>();
    let mut pairs = pairs.iter().map(
        #[inline(always)]
        |&[a, b]| V::splat(isa, a).mul_add(x, V::splat(isa, b)),
    );
    let mut p = match odd {
        [c] => V::splat(isa, *c),
        _ => pairs.next().unwrap_or(x),
    };
    for pair in pairs {
        p = p.mul_add(x2, pair);
    }
    p
}

/// Writes two functions of each element, from their common form on vectors.
#[inline(always)]
fn two<S: Isa, T: Scalar>(
    isa: S,
    x: &[T],
    first: &mut [T],
    second: &mut [T],
    mut lanes: impl FnMut(T::Lanes<S>) -> (T::Lanes<S>, T::Lanes<S>),
) {
    order::map::<T::Lanes<S>, _>(
        isa,
        (Some(x), first),
        #[inline(always)]
        |v, at| {
            let (a, b) = lanes(v);
            let to = second.get_mut(at..).unwrap_or_default();
            if to.len() < T::Lanes::<S>::LANES {
                let mut buffer = [T::ZERO; LANES];
                b.store(&mut buffer);
                for (to, &from) in to.iter_mut().zip(&buffer) {
                    *to = from;
                }
            } else {
                b.store(to);
            }
            a
        },
    );
}
