//! What a code of tokens can hold.
//!
//! A vocabulary is counted in bits, since that of a lossless code of 256 tokens for small images has 2^144
//! words; [`least_vocabulary`] is for those that 128 bits count.

use crate::Error;
use crate::error::Parameter;

/// Returns the bits that `len` tokens of a vocabulary hold at most: `len` log2(`vocabulary`).
///
/// Within one unit in the last place of `f64`, exact for powers of two; zero tokens and a vocabulary of
/// one word hold nothing, as does one of none.
///
/// ```
/// // TiTok's 32 tokens of 4096 words tell at most 2^384 images apart.
/// assert_eq!(suanzi::patch::code_bits(32, 4096), 384.0);
/// ```
#[must_use]
pub fn code_bits(len: u64, vocabulary: u64) -> f64 {
    // A length beyond 2^53 rounds.
    len as f64 * word_bits(vocabulary)
}

/// Returns log2 of the least vocabulary of which `len` tokens hold so many bits: bits / `len`.
///
/// # Errors
///
/// [`Parameter::Code`] unless `len` is positive and `bits` finite and not negative.
///
/// ```
/// // 64 x 64 pixels at three bits a byte, in 16 x 16 tokens: a vocabulary of 2^144 words.
/// let bits = 64.0 * 64.0 * 3.0 * 3.0;
/// assert_eq!(suanzi::patch::vocabulary_bits(bits, 256), Ok(144.0));
/// ```
pub fn vocabulary_bits(bits: f64, len: u64) -> Result<f64, Error> {
    if len == 0 || !(0.0..f64::INFINITY).contains(&bits) {
        return Err(Error::Domain(Parameter::Code));
    }
    Ok(bits / len as f64)
}

/// Returns the least vocabulary of which `len` tokens hold so many bits: the least V with V^len >= 2^bits.
///
/// In integers, and a constant where its arguments are. None where no `u128` is V: beyond 128 bits a token,
/// and for some bits in no token. An image of h x w pixels in c channels of bytes has 8 h w c bits.
///
/// A power is known to 256 bits from either side. None is also where both sides do not decide, which takes
/// a root 2^(bits / len) within 2^-120 of an integer and no integer itself; no such case is known.
///
/// * **Cost:** at most 127 powers, each of two products of 256 bits for every bit of `len`.
///
/// ```
/// use suanzi::patch::least_vocabulary;
///
/// // 64 x 64 pixels at three bits a byte, in 32 x 32 tokens, in a thousand, and in 16 x 16.
/// const WORDS: Option<u128> = least_vocabulary(36_864, 1024);
/// assert_eq!(WORDS, Some(1 << 36));
/// assert_eq!(least_vocabulary(36_864, 1000), Some(125_074_783_601));
/// assert_eq!(least_vocabulary(36_864, 256), None);
/// ```
#[must_use]
pub const fn least_vocabulary(bits: u64, len: u64) -> Option<u128> {
    if bits == 0 {
        return Some(1);
    }
    let (Some(whole), Some(rest)) = (bits.checked_div(len), bits.checked_rem(len)) else {
        return None;
    };
    if whole >= 128 {
        return None;
    }
    // A whole number of bits is too few where some are left.
    let mut low = 1_u128 << whole;
    if rest == 0 {
        return Some(low);
    }
    // For 127 bits and a part, the greatest word is enough: a part is at least 2^-64 below one.
    let mut high = if whole < 127 { 2 * low } else { u128::MAX };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match holds(middle, len, bits) {
            Some(true) => high = middle,
            Some(false) => low = middle,
            None => return None,
        }
    }
    Some(high)
}

/// Returns the least number of tokens of a vocabulary that hold so many bits: bits / log2(vocabulary),
/// rounded up.
///
/// Exact for powers of two. Otherwise the quotient is no integer, and where it is so close to one that
/// `f64` cannot tell, that integer is the result.
///
/// # Errors
///
/// [`Parameter::Code`] unless the vocabulary has two words, `bits` is finite and not negative, and the
/// length below 2^53.
///
/// ```
/// use suanzi::patch::least_code_len;
///
/// assert_eq!(least_code_len(36_864.0, 1 << 36), Ok(1024));
/// assert_eq!(least_code_len(36_864.0, 8192), Ok(2836));
/// ```
pub fn least_code_len(bits: f64, vocabulary: u64) -> Result<u64, Error> {
    let len = libm::ceil(bits / word_bits(vocabulary));
    if bits >= 0.0 && vocabulary >= 2 && len < 9_007_199_254_740_992.0 {
        // An integer below 2^53, not negative.
        Ok(len as u64)
    } else {
        Err(Error::Domain(Parameter::Code))
    }
}

/// Returns the bits of one word.
fn word_bits(vocabulary: u64) -> f64 {
    if vocabulary.is_power_of_two() {
        vocabulary.trailing_zeros().into()
    } else if vocabulary == 0 {
        0.0
    } else {
        // A vocabulary beyond 2^53 rounds, which its logarithm does not show.
        libm::log2(vocabulary as f64)
    }
}

/// Returns whether V^len >= 2^bits, none where 256 bits do not tell; V, `len` and `bits` are positive.
const fn holds(vocabulary: u128, len: u64, bits: u64) -> Option<bool> {
    let base = Power::of(vocabulary);
    let mut power = base;
    // From the second bit of the length down: square, and multiply where it is set.
    let mut bit = 63 - len.leading_zeros();
    while bit > 0 {
        bit -= 1;
        power = power.times(&power);
        if len >> bit & 1 == 1 {
            power = power.times(&base);
        }
    }
    if power.log >= bits as u128 {
        return Some(true);
    }
    // Each of the len - 1 factors has lost a relative 2^-255 at most: 2 len units of the last place hold
    // all of it.
    let (_, carry) = power.low.overflowing_add(2 * len as u128);
    let full = power.high == u128::MAX && carry;
    if full && power.log + 1 >= bits as u128 {
        return None;
    }
    Some(false)
}

/// A power from below: 256 bits, the first of them set, and the floor of its logarithm.
#[derive(Clone, Copy)]
struct Power {
    high: u128,
    low: u128,
    log: u128,
}

impl Power {
    /// Returns a positive integer.
    const fn of(x: u128) -> Self {
        let zeros = x.leading_zeros();
        Self {
            high: x << zeros,
            low: 0,
            log: 127 - zeros as u128,
        }
    }

    /// Returns the product, cut off.
    const fn times(&self, other: &Self) -> Self {
        let (top, upper) = product(self.high, other.high);
        let (a, a_low) = product(self.high, other.low);
        let (b, b_low) = product(self.low, other.high);
        let (c, _) = product(self.low, other.low);
        let (lower, first) = a_low.overflowing_add(b_low);
        let (lower, second) = lower.overflowing_add(c);
        let (upper, third) = upper.overflowing_add(a);
        let (upper, fourth) = upper.overflowing_add(b);
        let (upper, fifth) = upper.overflowing_add(first as u128 + second as u128);
        let top = top + third as u128 + fourth as u128 + fifth as u128;
        let log = self.log + other.log;
        if top >> 127 == 1 {
            Self {
                high: top,
                low: upper,
                log: log + 1,
            }
        } else {
            Self {
                high: top << 1 | upper >> 127,
                low: upper << 1 | lower >> 127,
                log,
            }
        }
    }
}

/// Returns the upper and the lower half of a product.
const fn product(a: u128, b: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 64);
    let other = a0 * b1 + (middle & HALF);
    let high = a1 * b1 + (middle >> 64) + (other >> 64);
    (high, other << 64 | low & HALF)
}
