//! Bytes as numbers within [-1, 1].

use crate::error::check_len;
use crate::{Error, Scalar};

/// Writes 2 u / 255 - 1 for each byte u, correctly rounded: 0 is -1, 255 is 1.
///
/// [`unit_to_bytes`] gives every byte back. Computed as (2 u - 255) / 255, one rounding where the formula
/// has three.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ.
///
/// ```
/// let mut x = [0.0_f32; 3];
/// suanzi::patch::bytes_to_unit(&[0, 51, 255], &mut x)?;
/// assert_eq!(x, [-1.0, -0.6, 1.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn bytes_to_unit<T: Scalar>(bytes: &[u8], out: &mut [T]) -> Result<(), Error> {
    check_len(bytes.len(), out.len())?;
    let whole = T::from_count(255);
    for (out, &byte) in out.iter_mut().zip(bytes) {
        let byte = T::from_count(byte.into());
        *out = (byte + byte - whole) / whole;
    }
    Ok(())
}

/// Writes the byte nearest to (x + 1) / 2 of 255 for each number: numbers beyond [-1, 1] give 0 and 255,
/// NaN gives 0.
///
/// Halves, up to the rounding of 127.5 x + 128, go up.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ.
///
/// ```
/// let mut bytes = [7; 4];
/// suanzi::patch::unit_to_bytes(&[-1.0_f32, -0.6, 0.9999, 3.0], &mut bytes)?;
/// assert_eq!(bytes, [0, 51, 255, 255]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn unit_to_bytes<T: Scalar>(x: &[T], bytes: &mut [u8]) -> Result<(), Error> {
    check_len(x.len(), bytes.len())?;
    let half = T::from_count(255) / (T::ONE + T::ONE);
    let middle = T::from_count(128);
    for (byte, &x) in bytes.iter_mut().zip(x) {
        *byte = (x * half + middle).saturated_byte();
    }
    Ok(())
}
