//! Softmax of quantized scores, in integers alone.
//!
//! Both maps compute the fixed-point rules of TensorFlow Lite for Microcontrollers and CMSIS-NN bit for
//! bit, with additions, shifts and 32-bit products of 64 bits: no floating point, no division, no
//! branch on data but comparisons. They run the same everywhere, on a Cortex-M0 too.

mod byte;
mod fixed;
mod tables;
mod word;

pub use byte::ByteSoftmax;
pub use word::WordSoftmax;

use super::{ProbabilityMap, check_out, check_rows};
use crate::Error;

/// A map of rows of integers, in place.
trait IntegerMap<I: Copy> {
    /// The longest row whose sum does not overflow.
    const LONGEST: usize;

    /// Maps a row that is not empty.
    fn map_row(&self, row: &mut [I]);

    /// Maps rows.
    fn run(&self, x: &mut [I], row: usize) -> Result<(), Error> {
        check_rows(x.len(), row)?;
        if x.is_empty() {
            return Ok(());
        }
        if row > Self::LONGEST {
            return Err(Error::Capacity {
                limit: Self::LONGEST,
            });
        }
        for row in super::rows_mut(x, row) {
            self.map_row(row);
        }
        Ok(())
    }
}

/// Makes [`IntegerMap`]s public.
macro_rules! integer_maps {
    ($($map:ident $i:ident;)*) => {$(
        impl ProbabilityMap<[$i]> for $map {
            fn map_in_place(&self, x: &mut [$i]) -> Result<(), Error> {
                self.run(x, x.len())
            }

            fn map(&self, x: &[$i], out: &mut [$i]) -> Result<(), Error> {
                check_out(x.len(), out.len())?;
                if x.len() > <Self as IntegerMap<$i>>::LONGEST {
                    return Err(Error::Capacity {
                        limit: <Self as IntegerMap<$i>>::LONGEST,
                    });
                }
                out.copy_from_slice(x);
                self.run(out, x.len())
            }

            fn map_rows(&self, x: &mut [$i], row: usize) -> Result<(), Error> {
                self.run(x, row)
            }
        }
    )*};
}
integer_maps! {
    ByteSoftmax i8;
    WordSoftmax i16;
}

/// Splits a positive number into a multiplier of 31 bits and a left shift: multiplier 2^(shift - 31).
///
/// It is evaluated by the compiler where the result is a constant, so that no floating point is left.
const fn multiplier(x: f64) -> Option<(i32, i32)> {
    if !(x > 0.0 && x < f64::MAX) || x < f64::MIN_POSITIVE {
        return None;
    }
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i32 - 1022;
    // In [2^52, 2^53), rounded to 31 bits, half away from zero.
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    let rounded = (mantissa + (1 << 21)) >> 22;
    if rounded == 1 << 31 {
        Some((1 << 30, exponent + 1))
    } else {
        Some((rounded as i32, exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::multiplier;

    #[test]
    fn multipliers_are_the_number() {
        for x in [1.0, 0.75, 3.0, 1e-3, 67_108_864.0, 1.999_999_999_999, 0.1] {
            let (m, shift) = multiplier(x).unwrap_or_default();
            let got = f64::from(m) * libm::exp2(f64::from(shift - 31));
            assert!((got / x - 1.0).abs() < 1e-9 && m >= 1 << 30, "{x}: {got}");
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
            assert_eq!(multiplier(bad), None);
        }
    }
}
