//! The gated activation of SwiGLU feed-forward blocks.

use crate::cpu::dispatch;
use crate::error::check_len;
use crate::math::Coefficients as _;
use crate::math::exp::ScaledExp;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes, One};
use crate::{Cpu, Error, Scalar};

/// silu(a) b, with silu(a) = a / (1 + exp(-a)), also called swish (Shazeer, 2020, arXiv:2002.05202).
///
/// Edges: empty slices stay empty; a = +inf gives b's infinity, a = -inf gives NaN only where b is
/// not finite and else a zero; NaN in either gives NaN in that element.
///
/// Accuracy: 5 ULP of the product.
///
/// ```
/// use suanzi::nn::GatedSilu;
///
/// let mut a = [0.0_f32, 1.0];
/// GatedSilu::default().map_in_place(&mut a, &[5.0, 2.0])?;
/// assert_eq!(a[0], 0.0);
/// assert!((a[1] - 1.462_117).abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GatedSilu {
    cpu: Cpu,
}

impl GatedSilu {
    /// Runs on `cpu`.
    #[inline]
    #[must_use]
    pub const fn on(self, cpu: Cpu) -> Self {
        Self { cpu }
    }

    /// Replaces each element of `a` by silu(a) b.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless both have one length.
    pub fn map_in_place<T: Scalar>(&self, a: &mut [T], b: &[T]) -> Result<(), Error> {
        check_len(a.len(), b.len())?;
        dispatch!(self.cpu, isa => gate(isa, a, b));
        Ok(())
    }
}

/// Maps whole vectors, then the elements left over one by one.
#[inline(always)]
fn gate<S: Isa, T: Scalar>(isa: S, a: &mut [T], b: &[T]) {
    let whole = a.len() - a.len() % <T::Lanes<S> as Lanes>::LANES;
    let (Some((a, a_rest)), Some((b, b_rest))) =
        (a.split_at_mut_checked(whole), b.split_at_checked(whole))
    else {
        return;
    };
    gate_vectors::<T::Lanes<S>>(isa, a, b);
    gate_vectors::<T::Lanes<One>>(One, a_rest, b_rest);
}

/// [`gate`] for a multiple of the vector's length.
#[inline(always)]
fn gate_vectors<V: Lanes>(isa: V::Isa, a: &mut [V::Element], b: &[V::Element]) {
    let silu = Silu::new(isa);
    let nan = V::splat(isa, V::Element::NAN);
    for (a, b) in a.chunks_exact_mut(V::LANES).zip(b.chunks_exact(V::LANES)) {
        let y = silu.of(isa, V::load(isa, a)) * V::load(isa, b);
        V::select(y.eq(y), y, nan).store(a);
    }
}

/// a / (1 + exp(-a)).
#[derive(Clone, Copy)]
pub(crate) struct Silu<V: Lanes> {
    exp: ScaledExp<V>,
}

impl<V: Lanes> Silu<V> {
    #[inline(always)]
    pub(crate) fn new(isa: V::Isa) -> Self {
        Self {
            exp: ScaledExp::new(isa, V::Element::ZERO),
        }
    }

    /// Returns silu(a).
    ///
    /// With t = exp(-|a|), that is a / (1 + t) from zero on and a t / (1 + t) below, where t stays in
    /// its scaled form, with a factor of 2^SHIFT, until after the division. Where t is held at its
    /// floor, so is a, and the result rounds to zero.
    #[inline(always)]
    pub(crate) fn of(&self, isa: V::Isa, a: V) -> V {
        let zero = V::splat(isa, V::Element::ZERO);
        let one = V::splat(isa, V::Element::ONE);
        let unscale = one / self.exp.of(isa, zero);
        let floor = V::splat(
            isa,
            -(V::Element::FLOOR * (V::Element::LN2_HI + V::Element::LN2_LO)),
        );
        let t = self.exp.of(isa, -a.abs());
        let negative = a.lt(zero);
        let quotient = V::select(negative, floor.max(a) * t, a) / (t * unscale + one);
        quotient * V::select(negative, unscale, one)
    }
}
