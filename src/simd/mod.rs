//! The narrow vector contract that every kernel is written against.
//!
//! An [`Isa`] is a token: holding one proves that its instructions may run. [`Lanes`] is a vector of
//! that instruction set, of its native width or several together, with only the operations that kernels use; each says what it
//! does with NaN, signed zero and the ends of the range, so that every implementor gives the same
//! bits. Two files implement the contract: `one.rs` with a single lane and no dependency, for
//! microcontrollers, and `wide.rs` over the vector library, in a portable and a fused arithmetic.
//! `pair.rs` joins vectors so that long chains of operations overlap, `order.rs` fixes in which order
//! sums are taken, `stream.rs` what a pass over a row reads and writes.

pub(crate) mod dot;
mod one;
pub(crate) mod order;
#[cfg(feature = "simd")]
mod pair;
pub(crate) mod stream;
pub(crate) mod strided;
#[cfg(feature = "simd")]
mod wide;

use core::ops::{Add, Div, Mul, Neg, Sub};

pub(crate) use one::{One, number};
#[cfg(feature = "simd")]
pub(crate) use pair::Pair;
pub(crate) use stream::LANES;
#[cfg(feature = "simd")]
pub(crate) use wide::Wide;

use crate::scalar::Scalar;

/// Asks memory for the `count` elements from `from` on, as far as `x` has them, and does not wait.
///
/// It asks for the second cache: on its way to the first a core has room for fewer lines than the
/// latency of memory calls for. Asking for little at a time, beside the arithmetic, is what keeps
/// memory busy; a burst is dropped in part. Nothing happens without `std`, on other processors than
/// x86, or in one lane, which reads too little at a time to wait for memory.
#[inline(always)]
pub(crate) fn prefetch<V: Lanes, X>(x: &[X], from: usize, count: usize) {
    #[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
    if V::LANES > 1 {
        // The bytes that memory hands over together.
        const LINE: usize = 64;
        const SECOND_CACHE: i32 = 2;
        for at in (0..count).step_by(LINE / size_of::<X>()) {
            if let Some(line) = x.get(from + at) {
                mem_prefetch::prefetch_read_data::<X, SECOND_CACHE>(line);
            }
        }
    }
    #[cfg(not(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64"))))]
    let _ = (x, from, count);
}

/// An instruction set and an arithmetic, as a zero-sized token.
pub trait Isa: Copy + 'static {
    /// The vector of `f32`.
    type F32: Lanes<Element = f32, Isa = Self>;
    /// The vector of `f64`.
    type F64: Lanes<Element = f64, Isa = Self>;
    /// Several vectors of `f32` for long chains of operations.
    type F32s: Lanes<Element = f32, Isa = Self>;
    /// Several vectors of `f64`.
    type F64s: Lanes<Element = f64, Isa = Self>;
    /// Whether [`Lanes::mul_add`] rounds once and kernels may sum in native widths. Results then
    /// hold their error bound and no longer the portable order.
    const FUSED: bool;

    /// Runs `f` with this instruction set: for functions that are not inlined into one that has it.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// Widens binary16 numbers, given as their representations, where there is an instruction for
    /// it; returns whether there is. Signaling NaN becomes quiet.
    #[inline(always)]
    fn widen_f16(self, _: &[u16], _: &mut [f32; LANES]) -> bool {
        false
    }
}

/// A vector of one instruction set.
///
/// Arithmetic is IEEE 754 to nearest, ties to even; subnormal numbers are kept.
pub trait Lanes:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The element type.
    type Element: Scalar;
    /// The token.
    type Isa: Isa;
    /// One truth value a lane.
    type Mask: Copy;
    /// The number of lanes, a power of two: at most [`LANES`] in a native vector, at most four times as
    /// many in several of them.
    const LANES: usize;

    /// Returns a vector with every lane equal to `value`.
    fn splat(isa: Self::Isa, value: Self::Element) -> Self;
    /// Loads the first [`Self::LANES`] elements; NaN if there are fewer.
    fn load(isa: Self::Isa, x: &[Self::Element]) -> Self;
    /// Stores to the first [`Self::LANES`] elements; nothing if there are fewer.
    fn store(self, x: &mut [Self::Element]);
    /// Returns `self * b + c`: two roundings in the portable arithmetic, one in the fused.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// Returns `self * b + c` where `self * b` is exact, so that one rounding and two agree: fused
    /// wherever the instruction set can, with the same bits everywhere.
    fn exact_mul_add(self, b: Self, c: Self) -> Self;
    /// Returns the greater lane of the two. NaN in `other` gives NaN; with NaN in `self` the result
    /// is unspecified, as is the sign of a zero when both are zero.
    fn max(self, other: Self) -> Self;
    /// Returns the lesser lane of the two, with the rules of [`Self::max`].
    fn min(self, other: Self) -> Self;
    /// Returns the greatest lane; unspecified if one is NaN.
    fn greatest(self) -> Self::Element;
    /// Clears the sign, of NaN too.
    fn abs(self) -> Self;
    /// Returns the magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// Returns the square root, correctly rounded; NaN below zero.
    fn sqrt(self) -> Self;
    /// Compares; false where either side is NaN.
    fn lt(self, other: Self) -> Self::Mask;
    /// Compares; false where either side is NaN.
    fn le(self, other: Self) -> Self::Mask;
    /// Compares; false where either side is NaN, true for zeros of either sign.
    fn eq(self, other: Self) -> Self::Mask;
    /// Returns the lanes that are NaN.
    fn is_nan(self) -> Self::Mask;
    /// Returns `yes` where the mask is set, else `no`; bits pass unchanged.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// Returns a mask of the first `n` lanes, of all if there are no more.
    fn first(isa: Self::Isa, n: usize) -> Self::Mask;
    /// Returns the lanes that are set in both masks.
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Returns the lanes that are set in either mask.
    fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Returns whether any lane is set.
    fn any(mask: Self::Mask) -> bool;
    /// Returns a bit for each lane that is set, that of the first lane lowest.
    fn bits(mask: Self::Mask) -> u64;
    /// Shifts the representation left by the mantissa's width. For `MAGIC + BIAS + k`, with integer
    /// k in the range of normal exponents, that is 2^k.
    fn exponent_from_magic(self) -> Self;
    /// Returns the greater lane of two positive numbers, by whatever instruction is cheapest. With NaN
    /// in either the result is unspecified.
    fn max_of_positive(self, other: Self) -> Self;
    /// Returns the lanes whose representation has bit `bit` set. For `MAGIC + k` with integer k,
    /// bit 0 is the parity of k. `bit` lies below the mantissa's width.
    fn bit(self, bit: u32) -> Self::Mask;
    /// Flips the sign of each lane where a bit of the representation of `of` is set.
    fn negate_at(self, of: Self, bit: u32) -> Self;
    /// Clears the lower half of the mantissa, so that products of two such numbers are exact.
    fn upper_half(self) -> Self;
    /// Returns lane 0 of `self`, lane 0 of `other`, lane 1 of `self`, ... as two vectors; with one lane
    /// the two unchanged.
    fn interleave(self, other: Self) -> (Self, Self);
    /// Exchanges the lanes 2i and 2i + 1 of `self` and `other`, joined; with one lane, the two.
    fn swap_neighbors(self, other: Self) -> (Self, Self);
    /// Splits a positive normal number into m in [sqrt(1/2), sqrt(2)) and k with `self = m * 2^k`.
    fn split_exponent(self) -> (Self, Self);
}
