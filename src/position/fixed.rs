//! Fractions in 128-bit fixed point: what frequencies are computed in, once, before any rotation.
//!
//! A microcontroller has a 32 x 32 -> 64 bit multiplier and no double precision, so the limbs are 32
//! bits wide and nothing here touches a floating-point number. Every operation truncates, so that a
//! result is low by less than 2^-128; the few hundred operations behind a frequency leave it right
//! to 2^-115.

use core::num::NonZero;

/// A number in [0, 1): an integer in units of 2^-128, least significant limb first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Fraction(pub(super) [u32; 4]);

/// 1 / (2 pi) to 192 bits, least significant limb first.
const TURNS_PER_RADIAN: [u32; 6] = [
    0x4f10_e410,
    0x36d8_a566,
    0x7d4d_3770,
    0x7f09_d5f4,
    0x9391_054a,
    0x28be_60db,
];
/// ln 2.
const LN_2: Fraction = Fraction([0x03f2_f6af, 0xc9e3_b398, 0xd1cf_79ab, 0xb172_17f7]);
/// 1 / ln 2 - 1.
const LOG2_E_LESS_ONE: Fraction = Fraction([0xd23a_7d12, 0x7d0f_fda0, 0xb82f_e177, 0x7154_7652]);

/// Terms of the series of the logarithm: their ratio is at most 1/9, and 9^-41 < 2^-129.
const LOGARITHM_TERMS: u32 = 41;
/// Terms of the series of exp(-t) for t < ln 2: (ln 2)^33 / 33! < 2^-139.
const EXPONENTIAL_TERMS: u32 = 32;

impl Fraction {
    /// Zero.
    pub(super) const ZERO: Self = Self([0; 4]);
    /// One, less 2^-128.
    const ONES: Self = Self([u32::MAX; 4]);
    /// One turn over 2 pi: the frequency of one radian.
    pub(super) const RADIAN: Self = {
        let [_, _, a, b, c, d] = TURNS_PER_RADIAN;
        Self([a, b, c, d])
    };

    /// Returns base^(-1/root) for the positive `f64`, at least one, with these bits.
    ///
    /// With base = 2^e m, e/root + log2(m)/root = q + g splits into an integer and a fraction, and
    /// the result is 2^-q exp(-g ln 2).
    pub(super) fn inverse_root(base: u64, root: NonZero<u32>) -> Self {
        let exponent = (base >> 52) as u32 - ONE_EXPONENT;
        let whole = exponent / root;
        let part = log2_of_mantissa(base).over(root, exponent % root);
        part.times(LN_2).exp_of_negative().shifted(whole)
    }

    /// Returns the product.
    pub(super) fn times(self, other: Self) -> Self {
        let [_, _, _, _, a, b, c, d] = product(&self.0, other.0);
        Self([a, b, c, d])
    }

    /// Returns (integer + self) / divisor for an integer below the divisor.
    fn over(mut self, divisor: NonZero<u32>, integer: u32) -> Self {
        let mut remainder = u64::from(integer);
        for limb in self.0.iter_mut().rev() {
            let dividend = remainder << 32 | u64::from(*limb);
            *limb = (dividend / NonZero::<u64>::from(divisor)) as u32;
            remainder = dividend % NonZero::<u64>::from(divisor);
        }
        self
    }

    /// Returns the sum modulo one.
    fn plus(self, other: Self) -> Self {
        let mut sum = Self::ZERO;
        let mut carry = 0_u64;
        for ((to, a), b) in sum.0.iter_mut().zip(self.0).zip(other.0) {
            carry += u64::from(a) + u64::from(b);
            *to = carry as u32;
            carry >>= 32;
        }
        sum
    }

    /// Returns one minus this number, less 2^-128.
    fn complement(self) -> Self {
        Self(self.0.map(|limb| !limb))
    }

    /// Returns this number times 2^-bits.
    fn shifted(self, bits: u32) -> Self {
        let bits = bits.min(128) as i32;
        Self([0, 32, 64, 96].map(|at| window(&self.0, at + bits)))
    }

    /// Returns exp(-self), by 1 - t (1 - t/2 (1 - t/3 (...))).
    fn exp_of_negative(self) -> Self {
        let mut sum = Self::ONES;
        for k in (1..=EXPONENTIAL_TERMS).rev() {
            if let Some(k) = NonZero::new(k) {
                sum = self.times(sum).over(k, 0).complement();
            }
        }
        sum
    }

    /// Returns `self * |factor|` modulo one for the `f64` with these bits; exact to 2^-128.
    pub(super) fn scaled(self, factor: u64) -> Self {
        let [a, b, c, d] = self.0;
        scaled([0, 0, a, b, c, d], factor)
    }

    /// Returns `|radians|` as turns, modulo one, for the `f64` with these bits: exact to 2^-128 for
    /// magnitudes below 2^64.
    pub(super) fn from_radians(radians: u64) -> Self {
        scaled(TURNS_PER_RADIAN, radians)
    }

    /// Returns minus this number, modulo one.
    pub(super) fn negated(self) -> Self {
        self.complement().plus(Self([1, 0, 0, 0]))
    }
}

/// The biased exponent of the `f64` one.
const ONE_EXPONENT: u32 = 1023;

/// Returns log2 of the mantissa, in [1, 2), of the `f64` with these bits.
///
/// ln m = 2 (z + z^3/3 + z^5/5 + ...) with z = (m - 1) / (m + 1), below 1/3.
fn log2_of_mantissa(bits: u64) -> Fraction {
    let mantissa = bits & ((1 << 52) - 1);
    let z = quotient(mantissa, mantissa + (2 << 52));
    let square = z.times(z);
    let mut sum = Fraction::ZERO;
    for k in (1..=LOGARITHM_TERMS).rev() {
        if let Some(odd) = NonZero::new(2 * k + 1) {
            sum = square.times(sum).plus(Fraction::ONES.over(odd, 0));
        }
    }
    let half = z.plus(z.times(square.times(sum)));
    let ln = half.plus(half);
    ln.plus(ln.times(LOG2_E_LESS_ONE))
}

/// Returns dividend / divisor for a dividend below the divisor, both below 2^63.
fn quotient(mut dividend: u64, divisor: u64) -> Fraction {
    let mut limbs = [0_u32; 4];
    for limb in limbs.iter_mut().rev() {
        for _ in 0..u32::BITS {
            dividend <<= 1;
            *limb <<= 1;
            if dividend >= divisor {
                dividend -= divisor;
                *limb |= 1;
            }
        }
    }
    Fraction(limbs)
}

/// Returns the whole product of a number of up to six limbs and another, least significant first.
fn product<const N: usize>(a: &[u32], b: [u32; N]) -> [u32; 8] {
    let mut product = [0_u32; 8];
    for (i, &a) in a.iter().enumerate() {
        let mut carry = 0_u64;
        let mut to = product.get_mut(i..).unwrap_or_default().iter_mut();
        for (&b, to) in b.iter().zip(to.by_ref()) {
            carry += u64::from(a) * u64::from(b) + u64::from(*to);
            *to = carry as u32;
            carry >>= 32;
        }
        if let Some(to) = to.next() {
            *to = carry as u32;
        }
    }
    product
}

/// Returns the upper 128 bits of `fraction * |factor|` modulo one, for the `f64` with these bits.
fn scaled(fraction: [u32; 6], factor: u64) -> Fraction {
    let biased = (factor >> 52 & 0x7ff) as i32;
    let stored = factor & ((1 << 52) - 1);
    let mantissa = if biased == 0 {
        stored
    } else {
        stored | 1 << 52
    };
    let exponent = biased.max(1) - (ONE_EXPONENT as i32 + 52);
    let product = product(&fraction, [mantissa as u32, (mantissa >> 32) as u32]);
    // The product has 192 bits below the point.
    Fraction([64, 96, 128, 160].map(|at| window(&product, at - exponent)))
}

/// Returns the 32 bits from bit `at` on; bits outside the limbs are zero.
fn window(limbs: &[u32], at: i32) -> u32 {
    let limb = |index: i32| {
        let limb = usize::try_from(index)
            .ok()
            .and_then(|index| limbs.get(index));
        u64::from(limb.copied().unwrap_or(0))
    };
    let index = at.div_euclid(32);
    ((limb(index + 1) << 32 | limb(index)) >> at.rem_euclid(32)) as u32
}
