//! Two vectors worked on together, so that the latencies of their instructions hide each other.

use core::ops::{Add, Div, Mul, Neg, Sub};

use super::Lanes;

/// Two vectors that follow each other in memory, as one of twice the lanes.
///
/// A chain of operations on one vector waits for each result in turn; processors look ahead too little
/// to start the next vector's chain in time. On pairs of pairs every step of the chain comes four
/// times before the next step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<V>(V, V);

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<V: $trait<Output = V>> $trait for Pair<V> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0), self.1.$method(other.1))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<V: Neg<Output = V>> Neg for Pair<V> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0, -self.1)
    }
}

impl<V> Pair<V> {
    #[inline(always)]
    fn both<R>(self, f: impl Fn(V) -> R) -> Pair<R> {
        Pair(f(self.0), f(self.1))
    }

    #[inline(always)]
    fn zip<W, R>(self, other: Pair<W>, f: impl Fn(V, W) -> R) -> Pair<R> {
        Pair(f(self.0, other.0), f(self.1, other.1))
    }
}

impl<V: Lanes> Lanes for Pair<V> {
    type Element = V::Element;
    type Isa = V::Isa;
    type Mask = Pair<V::Mask>;
    const LANES: usize = 2 * V::LANES;

    #[inline(always)]
    fn splat(isa: V::Isa, value: V::Element) -> Self {
        let v = V::splat(isa, value);
        Self(v, v)
    }
    #[inline(always)]
    fn load(isa: V::Isa, x: &[V::Element]) -> Self {
        let (low, high) = x.split_at_checked(V::LANES).unwrap_or_default();
        Self(V::load(isa, low), V::load(isa, high))
    }
    #[inline(always)]
    fn store(self, x: &mut [V::Element]) {
        let (low, high) = x.split_at_mut_checked(V::LANES).unwrap_or_default();
        self.0.store(low);
        self.1.store(high);
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(self.0.mul_add(b.0, c.0), self.1.mul_add(b.1, c.1))
    }
    #[inline(always)]
    fn exact_mul_add(self, b: Self, c: Self) -> Self {
        Self(
            self.0.exact_mul_add(b.0, c.0),
            self.1.exact_mul_add(b.1, c.1),
        )
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, V::max)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, V::min)
    }
    #[inline(always)]
    fn greatest(self) -> V::Element {
        self.0.max(self.1).greatest()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.both(V::abs)
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        self.zip(sign, V::copysign)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.both(V::sqrt)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        self.zip(other, V::lt)
    }
    #[inline(always)]
    fn le(self, other: Self) -> Self::Mask {
        self.zip(other, V::le)
    }
    #[inline(always)]
    fn eq(self, other: Self) -> Self::Mask {
        self.zip(other, V::eq)
    }
    #[inline(always)]
    fn is_nan(self) -> Self::Mask {
        self.both(V::is_nan)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        Self(
            V::select(mask.0, yes.0, no.0),
            V::select(mask.1, yes.1, no.1),
        )
    }
    #[inline(always)]
    fn first(isa: V::Isa, n: usize) -> Self::Mask {
        Pair(V::first(isa, n), V::first(isa, n.saturating_sub(V::LANES)))
    }
    #[inline(always)]
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        a.zip(b, V::and)
    }
    #[inline(always)]
    fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        a.zip(b, V::or)
    }
    #[inline(always)]
    fn any(mask: Self::Mask) -> bool {
        V::any(V::or(mask.0, mask.1))
    }
    #[inline(always)]
    fn bits(mask: Self::Mask) -> u64 {
        V::bits(mask.0) | V::bits(mask.1) << V::LANES
    }
    #[inline(always)]
    fn exponent_from_magic(self) -> Self {
        self.both(V::exponent_from_magic)
    }
    #[inline(always)]
    fn max_of_positive(self, other: Self) -> Self {
        self.zip(other, V::max_of_positive)
    }
    #[inline(always)]
    fn bit(self, bit: u32) -> Self::Mask {
        Pair(self.0.bit(bit), self.1.bit(bit))
    }
    #[inline(always)]
    fn negate_at(self, of: Self, bit: u32) -> Self {
        Self(self.0.negate_at(of.0, bit), self.1.negate_at(of.1, bit))
    }
    #[inline(always)]
    fn upper_half(self) -> Self {
        self.both(V::upper_half)
    }
    #[inline(always)]
    fn interleave(self, other: Self) -> (Self, Self) {
        let (a, b) = self.0.interleave(other.0);
        let (c, d) = self.1.interleave(other.1);
        (Self(a, b), Self(c, d))
    }
    #[inline(always)]
    fn swap_neighbors(self, other: Self) -> (Self, Self) {
        let (a, b) = self.0.swap_neighbors(self.1);
        let (c, d) = other.0.swap_neighbors(other.1);
        (Self(a, b), Self(c, d))
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let (a, b) = (self.0.split_exponent(), self.1.split_exponent());
        (Self(a.0, b.0), Self(a.1, b.1))
    }
}
