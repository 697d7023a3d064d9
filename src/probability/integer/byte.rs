//! The softmax of eight-bit scores.

use super::fixed::{doubled, exp, halved, high_product, reciprocal};
use super::{IntegerMap, multiplier};
use crate::Error;
use crate::error::Parameter;

/// Maps eight-bit scores to eight-bit probabilities: output q stands for (q + 128) / 256.
///
/// p_i = exp(scale (x_i - max)) / sum, by the rule of TensorFlow Lite's reference kernel and of
/// CMSIS-NN's `arm_softmax_s8`, bit for bit. The differences become 5.26-bit fixed point by a
/// multiplier and a left shift; those below a least one get -128 and are not in the sum, which is
/// kept in 12.19 bits.
///
/// * **Domain:** every row up to 4095 elements; a probability of one becomes 127. Empty rows are left
///   alone. Where the sum exceeds 511, which no row up to that length can reach, the published
///   kernels stop; here every probability rounds to -128.
/// * **Accuracy:** within 1/256 of the softmax of the scaled scores.
/// * **Cost:** two passes; two exponentials of about 40 integer operations an element. No scratch.
///
/// ```
/// use suanzi::probability::{ByteSoftmax, ProbabilityMap};
///
/// // One step of a score is 1/16 nat.
/// const SOFTMAX: ByteSoftmax = match ByteSoftmax::of_scale(0.0625) {
///     Ok(softmax) => softmax,
///     Err(_) => panic!("the scale is positive"),
/// };
/// let mut x = [10_i8, 10, -118, 10];
/// SOFTMAX.map_in_place(&mut x[..])?;
/// assert_eq!(x, [-43, -43, -128, -43]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ByteSoftmax {
    multiplier: i32,
    left_shift: u32,
    least: i32,
}

/// The integer bits of scaled differences.
const DIFFERENCE: u32 = 5;
/// The integer bits of the sum.
const SUM: u32 = 12;

impl ByteSoftmax {
    /// Returns the map of a quantized model: the multiplier and left shift of its differences, and
    /// the least difference that counts.
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] if the multiplier is not positive or the shift is above 30.
    pub const fn new(multiplier: i32, left_shift: u32, least: i32) -> Result<Self, Error> {
        if multiplier <= 0 || left_shift > 30 {
            return Err(Error::Domain(Parameter::Scale));
        }
        Ok(Self {
            multiplier,
            left_shift,
            least,
        })
    }

    /// Returns the map of scores of which one step is `scale` nats: the input's scale times beta.
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] if `scale` is not finite, or not above 2^-26.
    pub const fn of_scale(scale: f64) -> Result<Self, Error> {
        let real = scale * (1_i64 << (31 - DIFFERENCE)) as f64;
        let most = i32::MAX as f64;
        let real = if real < most { real } else { most };
        match multiplier(real) {
            Some((multiplier, shift)) if shift >= 0 && scale < f64::MAX => {
                // What is below is less than -31 after the shift.
                let range = ((1_i64 << DIFFERENCE) - 1) << (31 - DIFFERENCE);
                let least = -((range >> shift) as i32);
                Self::new(multiplier, shift as u32, least)
            }
            _ => Err(Error::Domain(Parameter::Scale)),
        }
    }

    /// Returns exp of a scaled difference in Q0, if it counts.
    #[inline(always)]
    fn exp(&self, difference: i32) -> Option<i32> {
        if difference < self.least {
            return None;
        }
        let scaled = high_product(doubled(difference, self.left_shift), self.multiplier);
        Some(exp(scaled))
    }
}

impl IntegerMap<i8> for ByteSoftmax {
    const LONGEST: usize = (1 << SUM) - 1;

    fn map_row(&self, row: &mut [i8]) {
        let max = row.iter().fold(i8::MIN, |max, &x| max.max(x));
        let difference = |x: i8| i32::from(x) - i32::from(max);
        let mut sum = 0_i32;
        for &x in &*row {
            if let Some(term) = self.exp(difference(x)) {
                sum = sum.wrapping_add(halved(term, SUM));
            }
        }
        if sum == 0 {
            return row.fill(i8::MIN);
        }
        // The sum is 2^(SUM - 1 - zeros) (1 + x) with x in Q0.
        let zeros = sum.leading_zeros();
        let scale = reciprocal((((sum as u32) << (zeros & 31)) - (1 << 31)) as i32);
        // SUM - zeros bits over the unit, and those that eight bits of output lack.
        let bits = (SUM + 31 - 8).saturating_sub(zeros);
        for x in row {
            let p = match self.exp(difference(*x)) {
                // Beyond, every product rounds to zero.
                Some(term) if bits < 32 => {
                    halved(high_product(scale, term), bits) + i32::from(i8::MIN)
                }
                _ => i32::from(i8::MIN),
            };
            *x = p.clamp(i8::MIN.into(), i8::MAX.into()) as i8;
        }
    }
}
