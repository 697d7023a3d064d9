//! The number types that the crate computes in.

use core::fmt::Debug;

use crate::simd::Isa;
use crate::storage::Stored;

/// A number type that kernels compute in: `f32` or `f64`.
///
/// Sealed. Generic user code meets it through its supertrait [`num_traits::Float`]; the crate itself
/// never calls the methods of that trait that may resolve to the platform's own library.
pub trait Scalar:
    num_traits::Float + Debug + Default + Send + Sync + 'static + Stored<Self> + sealed::Compute
{
}

impl Scalar for f32 {}
impl Scalar for f64 {}

/// Returns `x`, or the one NaN that stands for all.
#[inline(always)]
pub(crate) fn canonical<T: Scalar>(x: T) -> T {
    if x == x { x } else { T::NAN }
}

pub(crate) mod sealed {
    use super::{Debug, Isa};
    use crate::math::Coefficients;
    use crate::simd::Lanes;

    /// What kernels need of a number type beyond arithmetic.
    pub trait Compute: Coefficients + Debug + PartialOrd {
        /// The vector of this type on the instruction set `S`.
        type Lanes<S: Isa>: Lanes<Element = Self, Isa = S>;
        /// Several such vectors, for long chains of operations.
        type Several<S: Isa>: Lanes<Element = Self, Isa = S>;
        /// The unsigned integer of the same width.
        type Bits: num_traits::PrimInt + num_traits::WrappingAdd + num_traits::WrappingSub;
        /// Explicit mantissa bits: 23 or 52.
        const MANTISSA: u32;
        /// 1.5 * 2^MANTISSA: adding it to |v| < 2^(MANTISSA - 2) leaves v rounded to an integer, ties to even, in the low bits.
        const MAGIC: Self;
        /// The exponent bias, 127 or 1023, as a number.
        const BIAS: Self;
        /// 2^MANTISSA, from which on every number is an integer.
        const INTEGERS_FROM: Self;
        /// The representation's sign bit.
        const SIGN: Self::Bits;
        /// The representation's bits that [`Lanes::upper_half`] keeps.
        const UPPER_HALF: Self::Bits;
        /// The representation of one.
        const ONE_BITS: Self::Bits;
        /// The representation of the square root of one half.
        const SQRT_HALF_BITS: Self::Bits;
        /// The representation's bits above the mantissa.
        const ABOVE_MANTISSA: Self::Bits;
        /// Zero.
        const ZERO: Self;
        /// One.
        const ONE: Self;
        /// The quiet NaN that stands for every NaN in outputs.
        const NAN: Self;
        /// Plus infinity.
        const INFINITY: Self;
        /// Minus infinity.
        const NEG_INFINITY: Self;

        /// Returns the square root, correctly rounded.
        fn root(self) -> Self;
        /// Returns the natural logarithm, through libm.
        fn natural_log(self) -> Self;
        /// Returns a small count as a number; exact below 2^24.
        fn from_count(n: usize) -> Self;
        /// Returns the integer part as a byte: what exceeds it at its ends, NaN as zero.
        fn saturated_byte(self) -> u8;
        /// Returns the number in double precision.
        fn wide(self) -> f64;
        /// Returns the number of this type that is nearest to `x`.
        fn nearest(x: f64) -> Self;
        /// Returns the representation.
        fn bits(self) -> Self::Bits;
        /// Returns the number with this representation.
        fn with_bits(bits: Self::Bits) -> Self;
    }
}

macro_rules! compute {
    ($t:ident, $bits:ident, $mantissa:literal, $upper:literal, $lanes:ident, $several:ident, $sqrt:ident, $log:ident) => {
        impl sealed::Compute for $t {
            type Lanes<S: Isa> = S::$lanes;
            type Several<S: Isa> = S::$several;
            type Bits = $bits;
            const MANTISSA: u32 = $mantissa;
            const INTEGERS_FROM: Self = (1_u64 << $mantissa) as Self;
            const SIGN: $bits = 1 << ($bits::BITS - 1);
            const UPPER_HALF: $bits = !((1 << $upper) - 1);
            const ONE_BITS: $bits = (1.0 as Self).to_bits();
            const SQRT_HALF_BITS: $bits = core::$t::consts::FRAC_1_SQRT_2.to_bits();
            const ABOVE_MANTISSA: $bits = !((1 << $mantissa) - 1);
            const MAGIC: Self = (3_u64 << ($mantissa - 1)) as Self;
            const BIAS: Self = ($t::MAX_EXP - 1) as Self;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAN: Self = $t::NAN;
            const INFINITY: Self = $t::INFINITY;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;

            #[inline(always)]
            fn root(self) -> Self {
                libm::$sqrt(self)
            }
            #[inline(always)]
            fn natural_log(self) -> Self {
                libm::$log(self)
            }
            #[inline(always)]
            fn from_count(n: usize) -> Self {
                n as Self
            }
            #[inline(always)]
            fn saturated_byte(self) -> u8 {
                // Saturates, as is meant.
                self as u8
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn nearest(x: f64) -> Self {
                x as Self
            }
            #[inline(always)]
            fn bits(self) -> $bits {
                self.to_bits()
            }
            #[inline(always)]
            fn with_bits(bits: $bits) -> Self {
                Self::from_bits(bits)
            }
        }
    };
}

compute!(f32, u32, 23, 12, F32, F32s, sqrtf, logf);
compute!(f64, u64, 52, 27, F64, F64s, sqrt, log);
