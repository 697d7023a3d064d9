//! The number types that arrays are kept in, widened to the compute type as they are read.

use core::fmt;

use crate::scalar::Scalar;
use crate::simd::{Isa, LANES};

/// A number type that arrays of weights, keys and values are kept in, read as `T`.
///
/// Sealed. `f32` and `f64` are kept as they are; [`F16`] and [`Bf16`] halve the memory, `i8` takes a
/// quarter of it and needs a scale that its owner keeps (a row of a matrix, a vector of a cache).
/// Nothing is computed in these types: a load widens exactly, a store rounds once to nearest even.
pub trait Stored<T: Scalar>:
    Copy + fmt::Debug + Default + Send + Sync + 'static + sealed::Widen<T>
{
}

impl Stored<Self> for f32 {}
impl Stored<Self> for f64 {}
impl Stored<f32> for F16 {}
impl Stored<f32> for Bf16 {}
impl Stored<f32> for i8 {}

pub(crate) mod sealed {
    use crate::scalar::Scalar;
    use crate::simd::Lanes;

    /// Conversion to and from the compute type.
    pub trait Widen<T: Scalar>: Copy {
        /// Whether a load costs more than reading memory.
        const WIDENS: bool;
        /// Returns the exact value.
        fn widen(self) -> T;
        /// Returns the nearest value of this type, ties to even; `i8` saturates and maps NaN to zero.
        fn narrow(value: T) -> Self;
        /// Returns the numbers as they are, if this is the compute type.
        fn plain(_: &[Self]) -> Option<&[T]> {
            None
        }
        /// Loads a native vector from the first elements; NaN if there are fewer.
        fn load<V: Lanes<Element = T>>(isa: V::Isa, x: &[Self]) -> V;
    }
}

macro_rules! same {
    ($t:ident) => {
        impl sealed::Widen<$t> for $t {
            const WIDENS: bool = false;
            #[inline(always)]
            fn widen(self) -> $t {
                self
            }
            #[inline(always)]
            fn narrow(value: $t) -> Self {
                value
            }
            #[inline(always)]
            fn plain(x: &[Self]) -> Option<&[$t]> {
                Some(x)
            }
            #[inline(always)]
            fn load<V: crate::simd::Lanes<Element = $t>>(isa: V::Isa, x: &[Self]) -> V {
                V::load(isa, x)
            }
        }
    };
}
same!(f32);
same!(f64);

macro_rules! widened {
    ($t:ident, $widen:expr, $narrow:expr, $at_once:expr) => {
        impl sealed::Widen<f32> for $t {
            const WIDENS: bool = true;
            #[inline(always)]
            fn widen(self) -> f32 {
                $widen(self)
            }
            #[inline(always)]
            fn narrow(value: f32) -> Self {
                $narrow(value)
            }
            #[inline(always)]
            fn load<V: crate::simd::Lanes<Element = f32>>(isa: V::Isa, x: &[Self]) -> V {
                let mut lanes = [0.0; LANES];
                let Some(x) = x.get(..V::LANES) else {
                    return V::splat(isa, f32::NAN);
                };
                if !$at_once(isa, x, &mut lanes) {
                    for (lane, &x) in lanes.iter_mut().zip(x) {
                        *lane = $widen(x);
                    }
                }
                V::load(isa, &lanes)
            }
        }
    };
}
widened!(F16, F16::to_f32, F16::from_f32, F16::widen_at_once);
widened!(Bf16, Bf16::to_f32, Bf16::from_f32, one_by_one);
widened!(
    i8,
    f32::from,
    |value: f32| libm::rintf(value) as Self,
    one_by_one
);

/// Leaves widening to the compiler.
#[inline(always)]
fn one_by_one<S, X>(_: S, _: &[X], _: &mut [f32; LANES]) -> bool {
    false
}

macro_rules! half_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name(u16);

        impl $name {
            /// Returns the number with this representation.
            #[inline(always)]
            #[must_use]
            pub const fn from_bits(bits: u16) -> Self {
                Self(bits)
            }

            /// Returns the representation.
            #[inline(always)]
            #[must_use]
            pub const fn to_bits(self) -> u16 {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.to_f32(), f)
            }
        }

        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, to: defmt::Formatter<'_>) {
                defmt::write!(to, "{=f32}", self.to_f32());
            }
        }

        impl From<$name> for f32 {
            #[inline(always)]
            fn from(value: $name) -> Self {
                value.to_f32()
            }
        }
    };
}

half_type! {
    /// IEEE 754 binary16: 11 significant bits, up to 65504.
    ///
    /// Equality compares representations.
    F16
}
half_type! {
    /// bfloat16: the upper half of an `f32`, 8 significant bits.
    ///
    /// Equality compares representations.
    Bf16
}

impl F16 {
    /// Widens with one instruction, where there is one; returns whether there is.
    #[inline(always)]
    fn widen_at_once<S: Isa>(isa: S, x: &[Self], to: &mut [f32; LANES]) -> bool {
        let mut bits = [0; LANES];
        for (bits, x) in bits.iter_mut().zip(x) {
            *bits = x.0;
        }
        isa.widen_f16(&bits, to)
    }

    /// Widens exactly; subnormal numbers, infinities and NaN with its payload included.
    #[inline(always)]
    #[must_use]
    pub fn to_f32(self) -> f32 {
        let bits = u32::from(self.0);
        let magnitude = (bits & 0x7fff) << 13;
        // The exponent is rebiased by an exact multiplication, which normalizes subnormal numbers too.
        let finite = (f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23)).to_bits();
        let special = magnitude | 0x7f80_0000;
        let magnitude = if magnitude >= 0x0f80_0000 {
            special
        } else {
            finite
        };
        f32::from_bits(magnitude | (bits & 0x8000) << 16)
    }

    /// Rounds to nearest, ties to even; overflow gives infinity, NaN stays NaN.
    #[inline(always)]
    #[must_use]
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = (bits >> 16) & 0x8000;
        let magnitude = bits & 0x7fff_ffff;
        let rounded = if magnitude > 0x7f80_0000 {
            0x7e00
        } else if magnitude >= 0x4780_0000 {
            0x7c00
        } else if magnitude >= 0x3880_0000 {
            // Normal: rebias, then add half a unit, less one where the last kept bit is even.
            let rebiased = magnitude - ((127 - 15) << 23);
            (rebiased + 0xfff + (rebiased >> 13 & 1)) >> 13
        } else {
            // Subnormal: adding 1/2 leaves the value rounded to multiples of 2^-24 in the low bits.
            (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits()
        };
        Self((sign | rounded) as u16)
    }
}

impl Bf16 {
    /// Widens exactly.
    #[inline(always)]
    #[must_use]
    pub const fn to_f32(self) -> f32 {
        f32::from_bits((self.0 as u32) << 16)
    }

    /// Rounds to nearest, ties to even; overflow gives infinity, NaN stays NaN.
    #[inline(always)]
    #[must_use]
    pub const fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        if bits & 0x7fff_ffff > 0x7f80_0000 {
            return Self((bits >> 16) as u16 | 0x40);
        }
        Self(((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}
