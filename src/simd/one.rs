//! One lane and no dependency: the path of microcontrollers, and the reference for every other.

use core::ops::{Add, Div, Mul, Neg, Sub};

use num_traits::{One as _, PrimInt, WrappingAdd, WrappingSub, Zero};

use super::{Isa, Lanes};
use crate::scalar::Scalar;

/// The instruction set with one lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One;

impl Isa for One {
    type F32 = Lane<f32>;
    type F64 = Lane<f64>;
    type F32s = Lane<f32>;
    type F64s = Lane<f64>;
    const FUSED: bool = false;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// A vector of one lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<T>(T);

/// Returns the one lane.
#[inline(always)]
pub(crate) fn number<T: Scalar>(v: T::Lanes<One>) -> T {
    let mut out = [T::ZERO];
    v.store(&mut out);
    out[0]
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<T: Scalar> $trait for Lane<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<T: Scalar> Neg for Lane<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<T: Scalar<Lanes<One> = Self>> Lanes for Lane<T> {
    type Element = T;
    type Isa = One;
    type Mask = bool;
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(_: One, value: T) -> Self {
        Self(value)
    }
    #[inline(always)]
    fn load(_: One, x: &[T]) -> Self {
        Self(x.first().copied().unwrap_or(T::NAN))
    }
    #[inline(always)]
    fn store(self, x: &mut [T]) {
        if let Some(first) = x.first_mut() {
            *first = self.0;
        }
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    #[inline(always)]
    fn exact_mul_add(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self.0 > other.0 { self } else { other }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self.0 < other.0 { self } else { other }
    }
    #[inline(always)]
    fn greatest(self) -> T {
        self.0
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs())
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        Self(T::with_bits(
            self.0.bits() & !T::SIGN | sign.0.bits() & T::SIGN,
        ))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.root())
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self.0 <= other.0
    }
    #[inline(always)]
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.0.is_nan()
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn max_of_positive(self, other: Self) -> Self {
        self.max(other)
    }
    #[inline(always)]
    fn first(_: One, n: usize) -> bool {
        n > 0
    }
    #[inline(always)]
    fn and(a: bool, b: bool) -> bool {
        a && b
    }
    #[inline(always)]
    fn or(a: bool, b: bool) -> bool {
        a || b
    }
    #[inline(always)]
    fn any(mask: bool) -> bool {
        mask
    }
    #[inline(always)]
    fn bits(mask: bool) -> u64 {
        mask.into()
    }
    #[inline(always)]
    fn exponent_from_magic(self) -> Self {
        Self(T::with_bits(self.0.bits() << T::MANTISSA as usize))
    }
    #[inline(always)]
    fn bit(self, bit: u32) -> bool {
        self.0.bits() >> bit as usize & T::Bits::one() != T::Bits::zero()
    }
    #[inline(always)]
    fn negate_at(self, of: Self, bit: u32) -> Self {
        let up = PrimInt::trailing_zeros(T::SIGN) - bit;
        let sign = of.0.bits() << up as usize & T::SIGN;
        Self(T::with_bits(self.0.bits() ^ sign))
    }
    #[inline(always)]
    fn upper_half(self) -> Self {
        Self(T::with_bits(self.0.bits() & T::UPPER_HALF))
    }
    #[inline(always)]
    fn interleave(self, other: Self) -> (Self, Self) {
        (self, other)
    }
    #[inline(always)]
    fn swap_neighbors(self, other: Self) -> (Self, Self) {
        (other, self)
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let bits = self.0.bits();
        let shifted = bits.wrapping_add(&(T::ONE_BITS - T::SQRT_HALF_BITS));
        let exponent = shifted >> T::MANTISSA as usize | T::INTEGERS_FROM.bits();
        let mantissa = bits
            .wrapping_add(&T::ONE_BITS)
            .wrapping_sub(&(shifted & T::ABOVE_MANTISSA));
        (
            Self(T::with_bits(mantissa)),
            Self(T::with_bits(exponent) - (T::INTEGERS_FROM + T::BIAS)),
        )
    }
}
