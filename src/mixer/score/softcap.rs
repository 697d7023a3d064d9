//! The soft cap.

use super::{Place, ScoreGradient, ScoreMap};
use crate::cpu::dispatch;
use crate::math::tanh::tanh_lanes;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes};
use crate::{Cpu, Error, Parameter};

/// Bounds scores to (-cap, cap): cap * tanh(s / cap).
///
/// Gemma 2 (2024), arXiv 2408.00118.
///
/// * **Domain:** every score; infinities give the bounds, NaN gives NaN.
/// * **Accuracy:** within 4 ULP of the capped score, which comes on top of the row `attention`.
///
/// ```
/// use suanzi::mixer::{Attention, Softcap};
///
/// let attention = Attention::<f32>::new(8, 4, 64)?.with_scores(Softcap::new(50.0)?);
/// # let _ = attention;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softcap<T> {
    cap: T,
}

impl<T: Scalar> Softcap<T> {
    /// Returns the soft cap with this bound.
    ///
    /// # Errors
    ///
    /// [`Parameter::Softcap`] if `cap` is not finite and positive.
    pub fn new(cap: T) -> Result<Self, Error> {
        if cap > T::ZERO && cap < T::INFINITY {
            Ok(Self { cap })
        } else {
            Err(Error::Domain(Parameter::Softcap))
        }
    }
}

impl<T: Scalar> ScoreMap<T> for Softcap<T> {
    #[inline(never)]
    fn map(&self, cpu: Cpu, _: Place, scores: &mut [T]) {
        dispatch!(cpu, isa => cap(isa, self.cap, scores));
    }
}

impl<T: Scalar> ScoreGradient<T> for Softcap<T> {
    #[inline(never)]
    fn scale_gradient(&self, cpu: Cpu, _: Place, scores: &[T], gradients: &mut [T]) {
        dispatch!(cpu, isa => slope(isa, self.cap, scores, gradients));
    }
}

/// Caps the scores.
#[inline(always)]
fn cap<S: Isa, T: Scalar>(isa: S, cap: T, scores: &mut [T]) {
    let bound = T::Lanes::<S>::splat(isa, cap);
    for scores in scores.chunks_mut(T::Lanes::<S>::LANES) {
        each(
            scores,
            T::Lanes::<S>::LANES,
            #[inline(always)]
            |s| {
                (bound * tanh_lanes(isa, T::Lanes::<S>::load(isa, s) / bound)).store(s);
            },
        );
    }
}

/// Multiplies the gradients by 1 - tanh(s / cap)^2.
#[inline(always)]
fn slope<S: Isa, T: Scalar>(isa: S, cap: T, scores: &[T], gradients: &mut [T]) {
    let [bound, one] = [cap, T::ONE].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let lanes = T::Lanes::<S>::LANES;
    for (scores, gradients) in scores.chunks(lanes).zip(gradients.chunks_mut(lanes)) {
        let mut own = [T::ZERO; LANES];
        own.iter_mut().zip(scores).for_each(|(to, &s)| *to = s);
        each(
            gradients,
            lanes,
            #[inline(always)]
            |g| {
                let t = tanh_lanes(isa, T::Lanes::<S>::load(isa, &own) / bound);
                (T::Lanes::<S>::load(isa, g) * ((one - t) * (one + t))).store(g);
            },
        );
    }
}

/// Calls `f` on the elements, or on a copy of them that is `lanes` long.
#[inline(always)]
fn each<T: Scalar>(x: &mut [T], lanes: usize, f: impl FnOnce(&mut [T])) {
    if x.len() == lanes {
        return f(x);
    }
    let mut copy = [T::ZERO; LANES];
    for (to, &x) in copy.iter_mut().zip(&*x) {
        *to = x;
    }
    f(&mut copy);
    for (x, copy) in x.iter_mut().zip(copy) {
        *x = copy;
    }
}
