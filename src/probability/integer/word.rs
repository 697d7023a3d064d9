//! The softmax of sixteen-bit scores.

use super::fixed::{halved, high_product};
use super::tables::{EXP, RECIPROCAL};
use super::{IntegerMap, multiplier};
use crate::Error;
use crate::error::Parameter;

/// Maps sixteen-bit scores to sixteen-bit probabilities: output q stands for q / 32768.
///
/// p_i = exp(scale (x_i - max)) / sum, by the rule of TensorFlow Lite's reference kernel and of
/// CMSIS-NN's `arm_softmax_s16`, bit for bit: differences become 1/6553.5 nat, the exponential and
/// the reciprocal are linear between the 513 entries of two tables.
///
/// * **Domain:** every row up to 65535 elements; a probability of one becomes 32767 or one less.
///   Empty rows are left alone.
/// * **Accuracy:** within 2^-12 of the softmax of the scaled scores; what is more than 10 nats below
///   the greatest counts as 10.
/// * **Cost:** two passes, a table lookup and two products an element; the tables are 2 KiB of
///   constants. No scratch.
///
/// ```
/// use suanzi::probability::{ProbabilityMap, WordSoftmax};
///
/// // One step of a score is 2^-12 nat.
/// const SOFTMAX: WordSoftmax = match WordSoftmax::of_scale(1.0 / 4096.0) {
///     Ok(softmax) => softmax,
///     Err(_) => panic!("the scale is positive"),
/// };
/// let mut x = [0_i16, 0, 0, 0];
/// SOFTMAX.map_in_place(&mut x[..])?;
/// assert_eq!(x, [8192; 4]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WordSoftmax {
    multiplier: i32,
    shift: i32,
}

impl WordSoftmax {
    /// Returns the map of a quantized model: the multiplier and shift of its differences, to the left
    /// where it is positive.
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] if the multiplier is not positive or the shift is not within [-31, 15].
    pub const fn new(multiplier: i32, shift: i32) -> Result<Self, Error> {
        if multiplier <= 0 || shift < -31 || shift > 15 {
            return Err(Error::Domain(Parameter::Scale));
        }
        Ok(Self { multiplier, shift })
    }

    /// Returns the map of scores of which one step is `scale` nats: the input's scale times beta.
    ///
    /// # Errors
    ///
    /// [`Parameter::Scale`] if `scale` is not positive, or not within 2^-44 and 2.
    pub const fn of_scale(scale: f64) -> Result<Self, Error> {
        match multiplier(scale / (10.0 / 65535.0)) {
            Some((multiplier, shift)) => Self::new(multiplier, shift),
            None => Err(Error::Domain(Parameter::Scale)),
        }
    }

    /// Returns exp of a difference in units of 2^-15.
    #[inline(always)]
    fn exp(&self, difference: i32) -> i32 {
        let (left, right) = (self.shift.max(0) as u32, (-self.shift).max(0) as u32);
        let scaled = high_product(difference.saturating_mul(1 << left), self.multiplier);
        let scaled = halved(scaled, right);
        look_up(&EXP, scaled.saturating_add(i16::MAX.into()))
    }
}

/// Returns the value of a table at `at`, which is held to sixteen bits.
#[inline(always)]
fn look_up(table: &[i16; 513], at: i32) -> i32 {
    let at = at.clamp(i16::MIN.into(), i16::MAX.into());
    let (entry, part) = (256 + (at >> 7), at & 127);
    let value = |i: i32| table.get(i as usize).copied().map_or(0, i32::from);
    let (base, next) = (value(entry), value(entry + 1));
    base + (((next - base) * part + 64) >> 7)
}

impl IntegerMap<i16> for WordSoftmax {
    const LONGEST: usize = u16::MAX as usize;

    fn map_row(&self, row: &mut [i16]) {
        let max = row.iter().fold(i16::MIN, |max, &x| max.max(x));
        let mut sum = 0_i32;
        for x in &mut *row {
            let term = self.exp(i32::from(*x) - i32::from(max));
            // Within sixteen bits, as the table is.
            *x = term as i16;
            sum = sum.wrapping_add(term);
        }
        // The greatest term alone is 32767: the sum is 2^(31 - zeros) (1 + x) with x in [0, 1).
        let zeros = sum.leading_zeros().clamp(1, 17);
        let shifted = (((sum as u32) << (zeros - 1)) + (1 << 13)) >> 14;
        let scale = look_up(&RECIPROCAL, shifted as i32 - ((1 << 15) + (1 << 16)));
        let right = 31 - zeros;
        for x in row {
            let p = (i32::from(*x) * scale + (1 << (right - 1))) >> right;
            *x = p.clamp(0, i16::MAX.into()) as i16;
        }
    }
}
