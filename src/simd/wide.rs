//! The vector library behind [`Lanes`]: the only file that names it.

use core::fmt;
use core::ops::{Add, Div, Mul, Neg, Sub};

#[cfg(target_arch = "x86")]
use core::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as arch;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::SimdInto;
use fearless_simd::{Select, Simd, SimdBase, SimdFloat, SimdFloatElement, SimdMask};
use num_traits::{One as _, PrimInt};

use super::{Isa, LANES, Lanes, Pair};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;

/// An instruction set of the vector library, in the portable or the fused arithmetic.
#[derive(Clone, Copy)]
pub(crate) struct Wide<S: Simd, const FUSED: bool>(pub(crate) S);

impl<S: Simd, const FUSED: bool> fmt::Debug for Wide<S, FUSED> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wide").field(&self.0).finish()
    }
}

impl<S: Simd, const FUSED: bool> Isa for Wide<S, FUSED> {
    type F32 = Vector<S, S::f32s, FUSED>;
    type F64 = Vector<S, S::f64s, FUSED>;
    type F32s = Pair<Pair<Self::F32>>;
    type F64s = Pair<Pair<Self::F64>>;
    const FUSED: bool = FUSED;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(f)
    }

    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    #[inline(always)]
    fn widen_f16(self, x: &[u16], to: &mut [f32; LANES]) -> bool {
        let Some(avx2) = self.0.level().as_avx2() else {
            return false;
        };
        for (to, x) in to.as_chunks_mut::<8>().0.iter_mut().zip(x.as_chunks().0) {
            *to = widen_eight(avx2, *x);
        }
        true
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fearless_simd::kernel!(
    #[inline]
    fn widen_eight(avx2: Avx2, x: [u16; 8]) -> [f32; 8] {
        let x: fearless_simd::u16x8<_> = x.simd_into(avx2);
        let wide: fearless_simd::f32x8<_> = arch::_mm256_cvtph_ps(x.into()).simd_into(avx2);
        wide.into()
    }
);

/// A native vector `V` of the instruction set `S`.
#[derive(Clone, Copy)]
pub(crate) struct Vector<S, V, const FUSED: bool>(V, core::marker::PhantomData<S>);

impl<S, V, const FUSED: bool> Vector<S, V, FUSED> {
    #[inline(always)]
    fn new(v: V) -> Self {
        Self(v, core::marker::PhantomData)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<S, V: $trait<Output = V>, const FUSED: bool> $trait for Vector<S, V, FUSED> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self::new(self.0.$method(other.0))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<S, V: Neg<Output = V>, const FUSED: bool> Neg for Vector<S, V, FUSED> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self::new(-self.0)
    }
}

impl<S, V, E, const FUSED: bool> Lanes for Vector<S, V, FUSED>
where
    S: Simd,
    E: Scalar<Lanes<Wide<S, FUSED>> = Self> + SimdFloatElement<Bits = <E as Compute>::Bits>,
    V: SimdFloat<S, Element = E>,
{
    type Element = E;
    type Isa = Wide<S, FUSED>;
    type Mask = V::Mask;
    const LANES: usize = V::LEN;

    #[inline(always)]
    fn splat(isa: Self::Isa, value: E) -> Self {
        Self::new(V::splat(isa.0, value))
    }
    #[inline(always)]
    fn load(isa: Self::Isa, x: &[E]) -> Self {
        match x.get(..V::LEN) {
            Some(x) => Self::new(V::from_slice(isa.0, x)),
            None => Self::splat(isa, E::NAN),
        }
    }
    #[inline(always)]
    fn store(self, x: &mut [E]) {
        if let Some(x) = x.get_mut(..V::LEN) {
            self.0.store_slice(x);
        }
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        if FUSED {
            Self::new(self.0.mul_add(b.0, c.0))
        } else {
            self * b + c
        }
    }
    #[inline(always)]
    fn exact_mul_add(self, b: Self, c: Self) -> Self {
        Self::new(self.0.mul_add(b.0, c.0))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::new(self.0.max(other.0))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::new(self.0.min(other.0))
    }
    #[inline(always)]
    fn greatest(self) -> E {
        let (mut v, mut lanes) = (self.0, V::LEN);
        while lanes > 1 {
            let (low, high) = v.interleave(v);
            v = low.max(high);
            lanes /= 2;
        }
        let mut stored = [E::NEG_INFINITY; LANES];
        Self::new(v).store(&mut stored);
        stored[0]
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self::new(self.0.abs())
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        Self::new(self.0.copysign(sign.0))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::new(self.0.sqrt())
    }
    #[inline(always)]
    fn lt(self, other: Self) -> V::Mask {
        self.0.simd_lt(other.0)
    }
    #[inline(always)]
    fn le(self, other: Self) -> V::Mask {
        self.0.simd_le(other.0)
    }
    #[inline(always)]
    fn eq(self, other: Self) -> V::Mask {
        self.0.simd_eq(other.0)
    }
    #[inline(always)]
    fn is_nan(self) -> V::Mask {
        !self.0.simd_eq(self.0)
    }
    #[inline(always)]
    fn select(mask: V::Mask, yes: Self, no: Self) -> Self {
        Self::new(mask.select(yes.0, no.0))
    }
    #[inline(always)]
    fn first(isa: Self::Isa, n: usize) -> V::Mask {
        let beyond = V::LEN.saturating_sub(n);
        V::Mask::from_bitmask(isa.0, ((1 << V::LEN) - 1) >> beyond)
    }
    #[inline(always)]
    fn and(a: V::Mask, b: V::Mask) -> V::Mask {
        a & b
    }
    #[inline(always)]
    fn or(a: V::Mask, b: V::Mask) -> V::Mask {
        a | b
    }
    #[inline(always)]
    fn any(mask: V::Mask) -> bool {
        mask.any_true()
    }
    #[inline(always)]
    fn bits(mask: V::Mask) -> u64 {
        mask.to_bitmask()
    }
    #[inline(always)]
    fn exponent_from_magic(self) -> Self {
        Self::new(V::from_bits(self.0.to_bits() << E::MANTISSA))
    }
    #[inline(always)]
    fn max_of_positive(self, other: Self) -> Self {
        // Comparing integers leaves the ports of additions free.
        if size_of::<V>() == 64 {
            Self::new(V::from_bits(SimdBase::max(
                self.0.to_bits(),
                other.0.to_bits(),
            )))
        } else {
            self.max(other)
        }
    }
    #[inline(always)]
    fn bit(self, bit: u32) -> V::Mask {
        // The chosen bit alone, moved to the exponent: a positive number unless it was clear.
        let bits = (self.0.to_bits() & (<E as Compute>::Bits::one() << bit as usize))
            << (E::MANTISSA - bit);
        let zero = V::splat(self.0.token(), E::ZERO);
        zero.simd_lt(V::from_bits(bits))
    }
    #[inline(always)]
    fn negate_at(self, of: Self, bit: u32) -> Self {
        let sign = (of.0.to_bits() << (PrimInt::trailing_zeros(E::SIGN) - bit)) & E::SIGN;
        Self::new(V::from_bits(self.0.to_bits() ^ sign))
    }
    #[inline(always)]
    fn upper_half(self) -> Self {
        Self::new(V::from_bits(self.0.to_bits() & E::UPPER_HALF))
    }
    #[inline(always)]
    fn interleave(self, other: Self) -> (Self, Self) {
        let (low, high) = self.0.interleave(other.0);
        (Self::new(low), Self::new(high))
    }
    #[inline(always)]
    fn swap_neighbors(self, other: Self) -> (Self, Self) {
        let (even, odd) = self.0.deinterleave(other.0);
        let (low, high) = odd.interleave(even);
        (Self::new(low), Self::new(high))
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let bits = self.0.to_bits();
        let shifted = bits + (E::ONE_BITS - E::SQRT_HALF_BITS);
        let exponent = shifted >> E::MANTISSA | E::INTEGERS_FROM.bits();
        let mantissa = bits + E::ONE_BITS - (shifted & E::ABOVE_MANTISSA);
        let exponent = V::from_bits(exponent) - (E::INTEGERS_FROM + E::BIAS);
        (Self::new(V::from_bits(mantissa)), Self::new(exponent))
    }
}
