//! What a code of tokens can hold.
//!
//! A vocabulary as such is never formed: that of a lossless code of 256 tokens for small images has 2^144
//! words.

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
