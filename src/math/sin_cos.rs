//! Sine and cosine, with exact reduction of every argument.
//!
//! 1. Up to a few thousand (f32) or a million (f64) quarter turns, k pi/2 is subtracted in parts so
//!    short that their products with k are exact, and the rounding errors of the subtractions are
//!    carried along (Cody and Waite).
//! 2. Beyond, the lanes are stored and each is multiplied, in 32-bit integers, by those bits of 2/pi
//!    that decide its place within a turn (M. Payne and R. Hanek, "Radian reduction for trigonometric
//!    functions", 1983). What comes back is a fraction of a quarter turn, again as a pair.
//! 3. Either way the reduced angle is r + low, right to a few bits beyond the precision; the
//!    polynomials see r, and low enters to first order.

use num_traits::ToPrimitive as _;

use super::sin_cos_pi::{radians, turn};
use super::twofold::{fast_two_sum, two_sum};
use super::{Coefficients, horner, two};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes};
use crate::{Cpu, Error, Scalar};

elementwise! {
    /// Writes the sine of each element, in radians.
    ///
    /// The argument is reduced exactly, so the error bound holds for every finite one. Odd, zeros
    /// included; infinity and NaN give NaN. Error below 1 ULP.
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::sin(suanzi::Cpu::default(), &[-0.0, 1e30], &mut y)?;
    /// assert_eq!(y, [-0.0, -0.79116344]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    sin, sin_in_place, (isa, v) => sin_cos_lanes(isa, v).0
}

elementwise! {
    /// Writes the cosine of each element, in radians. As [`sin`].
    ///
    /// ```
    /// let mut y = [0.0_f32; 2];
    /// suanzi::math::cos(suanzi::Cpu::default(), &[0.0, 1e30], &mut y)?;
    /// assert_eq!(y, [1.0, -0.6116048]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    cos, cos_in_place, (isa, v) => sin_cos_lanes(isa, v).1
}

/// Writes the sine and the cosine of each element: [`sin`] and [`cos`] in one pass.
///
/// ```
/// let (mut sin, mut cos) = ([0.0_f64; 1], [0.0_f64; 1]);
/// suanzi::math::sin_cos(suanzi::Cpu::default(), &[0.0], &mut sin, &mut cos)?;
/// assert_eq!((sin, cos), ([0.0], [1.0]));
/// # Ok::<(), suanzi::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Length`] if `sin` or `cos` is not as long as `x`.
pub fn sin_cos<T: Scalar>(cpu: Cpu, x: &[T], sin: &mut [T], cos: &mut [T]) -> Result<(), Error> {
    #[inline(always)]
    fn kernel<S: Isa, T: Scalar>(isa: S, x: &[T], sin: &mut [T], cos: &mut [T]) {
        two::<S, T>(
            isa,
            x,
            sin,
            cos,
            #[inline(always)]
            |v| sin_cos_lanes(isa, v),
        );
    }
    check_len(x.len(), sin.len())?;
    check_len(x.len(), cos.len())?;
    dispatch!(cpu, isa => kernel::<_, T>(isa, x, sin, cos));
    Ok(())
}

/// Returns sin(x) and cos(x), for every x.
#[inline(always)]
pub(crate) fn sin_cos_lanes<V: Lanes>(isa: V::Isa, x: V) -> (V, V) {
    let magic = V::splat(isa, V::Element::MAGIC);
    let mut magic_k = x.mul_add(V::splat(isa, V::Element::TWO_OVER_PI), magic);
    let k = magic_k - magic;
    let (mut high, mut low) = (x, V::splat(isa, V::Element::ZERO));
    for &part in V::Element::HALF_PI_PARTS {
        let (difference, lost) = two_sum(high, k * V::splat(isa, -part));
        high = difference;
        low = low + lost;
    }
    let (mut r, mut r_low) = fast_two_sum(high, low);

    let a = x.abs();
    let far = V::splat(isa, V::Element::HALF_PI_LIMIT).lt(a);
    if V::any(far) {
        let (quarter, fraction, low) = reduce_far(isa, x);
        let (far_r, far_low) = radians(isa, fraction, low);
        magic_k = V::select(far, quarter, magic_k);
        r = V::select(far, far_r, r);
        r_low = V::select(far, far_low, r_low);
    }
    let (sin, cos) = turn(isa, magic_k, polynomials(isa, r, r_low));
    let sin = V::select(x.eq(V::splat(isa, V::Element::ZERO)), x, sin);
    let finite = a.lt(V::splat(isa, V::Element::INFINITY));
    let nan = V::splat(isa, V::Element::NAN);
    (V::select(finite, sin, nan), V::select(finite, cos, nan))
}

/// Returns the sine and cosine of r + low, for |r| <= pi/4 and |low| at most an ULP of r.
#[inline(always)]
pub(super) fn polynomials<V: Lanes>(isa: V::Isa, r: V, low: V) -> (V, V) {
    let one = V::splat(isa, V::Element::ONE);
    let z = r * r;
    let half = z * V::splat(isa, V::Element::HALF);
    // sin(r + low) = r + (r^3 S(z) + low cos(r)), and 1 - z/2 is cosine enough for the last term.
    let base = one - half;
    let sin = (r * z).mul_add(horner(isa, V::Element::SIN, z), low * base) + r;
    // cos(r + low) = 1 - z/2 + (z^2 C(z) - low r), with the rounding error of 1 - z/2 put back.
    let lost = (one - base) - half;
    let cos = base + (lost + (z * z).mul_add(horner(isa, V::Element::COS, z), -(low * r)));
    (sin, cos)
}

/// Returns MAGIC + k, a fraction and its lower part, with x = k + fraction + low quarter turns modulo
/// a whole turn, in each lane.
#[inline(always)]
fn reduce_far<V: Lanes>(isa: V::Isa, x: V) -> (V, V, V) {
    let zeros = [V::Element::ZERO; LANES];
    let (mut lanes, mut high, mut low) = (zeros, zeros, zeros);
    x.store(&mut lanes);
    let parts = high.iter_mut().zip(&mut low);
    for (x, (high, low)) in lanes.iter_mut().zip(parts).take(V::LANES) {
        (*x, *high, *low) = quarters(*x);
    }
    (
        V::load(isa, &lanes),
        V::load(isa, &high),
        V::load(isa, &low),
    )
}

/// The 32-bit words of 2/pi that take part in one reduction: enough for the `f64` closest to a
/// multiple of pi/2, which leaves 61 zero bits, and 60 bits more than its precision.
const WORDS: usize = 7;

/// Reduces one argument of at least 2^12 (f32) or 2^20 (f64), as [`reduce_far`].
///
/// With x = m 2^e, bits of 2/pi above 2^(2 - e) contribute whole turns and are skipped; the product
/// of m with the next `WORDS` words, modulo 2^(32 * WORDS), holds the place within the turn.
#[inline(never)]
fn quarters<T: Scalar>(x: T) -> (T, T, T) {
    let bits = x.bits().to_u64().unwrap_or_default();
    let bias = (T::ONE_BITS >> T::MANTISSA as usize)
        .to_u64()
        .unwrap_or_default();
    let hidden = 1 << T::MANTISSA;
    let mantissa = bits & (hidden - 1) | hidden;
    let exponent = bits >> T::MANTISSA & (2 * bias + 1);
    let place = (exponent + 62).saturating_sub(bias + u64::from(T::MANTISSA));
    let table = T::TWO_OVER_PI_WORDS
        .get(place as usize / 32..)
        .unwrap_or_default();

    let mut product = [0; WORDS];
    let mut carry = 0;
    for (word, &factor) in product.iter_mut().zip(table).rev() {
        let sum = u64::from(factor) * (mantissa & 0xffff_ffff) + carry;
        *word = sum as u32;
        carry = sum >> 32;
    }
    carry = 0;
    let next = table.get(1..).unwrap_or_default();
    for (word, &factor) in product.iter_mut().zip(next).rev() {
        let sum = u64::from(factor) * (mantissa >> 32) + u64::from(*word) + carry;
        *word = sum as u32;
        carry = sum >> 32;
    }

    let turn = shifted(product, place as u32 % 32);
    let [first, ..] = turn;
    let round_up = first >> 29 & 1;
    let mut quarter = (first >> 30) + round_up;
    let invert = 0_u32.wrapping_sub(round_up);
    let (mut high, mut low) = (T::ZERO, T::ZERO);
    let mut unit = T::ONE;
    for word in shifted(turn, 2) {
        let word = word ^ invert;
        for piece in [word >> 16, word & 0xffff] {
            unit = unit * T::PIECE;
            let term = T::from_count(piece as usize) * unit;
            let sum = high + term;
            low = low + (term - (sum - high));
            high = sum;
        }
    }
    let negative = x < T::ZERO;
    if negative {
        quarter = quarter.wrapping_neg();
    }
    if negative != (round_up == 1) {
        (high, low) = (-high, -low);
    }
    (T::MAGIC + T::from_count((quarter & 3) as usize), high, low)
}

/// Shifts a number of several words left by less than 32 bits.
fn shifted(words: [u32; WORDS], by: u32) -> [u32; WORDS] {
    let mut out = words;
    let next = words.iter().skip(1).chain(&[0]);
    for (word, &next) in out.iter_mut().zip(next) {
        let pair = u64::from(*word) << 32 | u64::from(next);
        *word = (pair << by >> 32) as u32;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::quarters;

    #[test]
    fn the_hardest_angle_keeps_its_digits() {
        // K. C. Ng, "Argument reduction for huge arguments: good to the last bit", 1992: the f64
        // closest to a multiple of pi/2.
        let x = 6_381_956_970_095_103.0 * 2.0_f64.powi(797);
        let distance = 4.687_165_924_254_628e-19;
        let (quarter, high, low) = quarters(x);
        assert_eq!(quarter % 2.0, 1.0, "a multiple of pi/2 that is none of pi");
        let radians = (high.abs() + low) * core::f64::consts::FRAC_PI_2;
        assert!((radians / distance - 1.0).abs() < 1e-15, "{radians:e}");
    }

    #[test]
    fn the_two_signs_mirror_each_other() {
        for x in [1e4_f32, 1e10, 3e38] {
            let (quarter, high, low) = quarters(x);
            let (mirrored, mirrored_high, mirrored_low) = quarters(-x);
            assert_eq!((high, low), (-mirrored_high, -mirrored_low));
            assert_eq!((quarter + mirrored - 2.0 * 12_582_912.0) % 4.0, 0.0);
        }
    }
}
