//! Fractions in 128-bit fixed point: what frequencies are computed in, once, before any rotation.
//!
//! Integers alone: a microcontroller has no double precision, and the compiler evaluates all of it in
//! constants. Every operation truncates, so that a result is low by less than 2^-128; the few hundred
//! operations behind a frequency leave it right to 2^-115. Logarithms have 96 bits below the point.

use core::num::NonZero;

/// A number in [0, 1): an integer in units of 2^-128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Fraction(pub(super) u128);

/// 1 / (2 pi) to 192 bits: in units of 2^-128, and the 64 bits below them.
const TURNS_PER_RADIAN: (u128, u64) = (
    0x28be_60db_9391_054a_7f09_d5f4_7d4d_3770,
    0x36d8_a566_4f10_e410,
);
/// ln 2.
const LN_2: Fraction = Fraction(0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af);
/// 1 / ln 2 - 1.
const LOG2_E_LESS_ONE: Fraction = Fraction(0x7154_7652_b82f_e177_7d0f_fda0_d23a_7d12);
/// The binary digits below the point of logarithms.
pub(super) const POINT: u32 = 96;
/// log2(2 pi), in units of 2^-96.
pub(super) const LOG2_TAU: i128 = 0x0002_a6c8_7349_8ddf_75b0_db2e_4f08;

/// Terms of the series of the logarithm: their ratio is at most 1/9, and 9^-41 < 2^-129.
const LOGARITHM_TERMS: u32 = 41;
/// Terms of the series of exp(-t) for t < ln 2: (ln 2)^33 / 33! < 2^-139.
const EXPONENTIAL_TERMS: u32 = 32;

/// The biased exponent of the `f64` one.
const ONE_EXPONENT: i32 = 1023;
/// The bits of an `f64` that its mantissa stores.
const STORED: u32 = 52;

impl Fraction {
    /// Zero.
    pub(super) const ZERO: Self = Self(0);
    /// One, less 2^-128.
    pub(super) const ONES: Self = Self(u128::MAX);
    /// One turn over 2 pi: the frequency of one radian.
    pub(super) const RADIAN: Self = Self(TURNS_PER_RADIAN.0);

    /// Returns base^(-1/root) for the positive `f64`, at least one, with these bits.
    ///
    /// With base = 2^e m, e/root + log2(m)/root = q + g splits into an integer and a fraction, and
    /// the result is 2^-q exp(-g ln 2).
    pub(super) const fn inverse_root(base: u64, root: NonZero<u32>) -> Self {
        let exponent = (base >> STORED) as u32 - ONE_EXPONENT as u32;
        let whole = exponent / root.get();
        let part = log2_of_mantissa(base).over(root, exponent % root.get());
        part.times(LN_2).exp_of_negative().shifted(whole)
    }

    /// Returns 2^-x for x in units of 2^-96.
    pub(super) const fn exp2_of_negative(x: u128) -> Self {
        let part = Self(x << 32);
        part.times(LN_2)
            .exp_of_negative()
            .shifted((x >> POINT) as u32)
    }

    /// Returns the product.
    pub(super) const fn times(self, other: Self) -> Self {
        let (a, b) = halves(self.0);
        let (c, d) = halves(other.0);
        let (carry, _) = halves(product(b, d));
        let (ad, bc) = (halves(product(a, d)), halves(product(b, c)));
        let (carry, _) = halves(ad.1 as u128 + bc.1 as u128 + carry as u128);
        Self(product(a, c) + ad.0 as u128 + bc.0 as u128 + carry as u128)
    }

    /// Returns (integer + self) / divisor for an integer below the divisor.
    pub(super) const fn over(self, divisor: NonZero<u32>, integer: u32) -> Self {
        let mut quotient = 0;
        let mut remainder = integer as u64;
        let mut left = u128::BITS;
        while left > 0 {
            left -= u32::BITS;
            let dividend = remainder << 32 | (self.0 >> left) as u32 as u64;
            quotient = quotient << 32 | (dividend / divisor.get() as u64) as u128;
            remainder = dividend % divisor.get() as u64;
        }
        Self(quotient)
    }

    /// Returns this number divided by the positive and normal `f64` with these bits, modulo one.
    ///
    /// Low by less than 2^-128, times the divisor's inverse where that is above one.
    pub(super) const fn divided(self, divisor: u64) -> Self {
        let (mantissa, exponent) = parts(divisor);
        // 52 zeros below the point of the quotient of the mantissas, which is at most 2^128.
        let (mut quotient, mut remainder) = (0_u128, 0_u64);
        let mut left = u128::BITS + STORED;
        while left > 0 {
            left -= 1;
            let bit = left.checked_sub(STORED);
            remainder = remainder << 1
                | match bit {
                    Some(bit) => (self.0 >> bit) as u64 & 1,
                    None => 0,
                };
            quotient <<= 1;
            if remainder >= mantissa {
                remainder -= mantissa;
                quotient |= 1;
            }
        }
        match exponent + STORED as i32 {
            shift @ 0.. => Self(quotient).shifted(shift as u32),
            shift => match quotient.checked_shl(shift.unsigned_abs()) {
                Some(quotient) => Self(quotient),
                None => Self::ZERO,
            },
        }
    }

    /// Returns the sum modulo one.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// Returns one minus this number, less 2^-128.
    pub(super) const fn complement(self) -> Self {
        Self(!self.0)
    }

    /// Returns minus this number, modulo one.
    pub(super) const fn negated(self) -> Self {
        Self(self.0.wrapping_neg())
    }

    /// Returns the distance to the nearest whole number, and whether this number lies below that one.
    pub(super) const fn magnitude(self) -> (Self, bool) {
        if self.0 >> (u128::BITS - 1) == 0 {
            (self, false)
        } else {
            (self.negated(), true)
        }
    }

    /// Returns this number times 2^-bits.
    const fn shifted(self, bits: u32) -> Self {
        match self.0.checked_shr(bits) {
            Some(shifted) => Self(shifted),
            None => Self::ZERO,
        }
    }

    /// Returns exp(-self), by 1 - t (1 - t/2 (1 - t/3 (...))).
    const fn exp_of_negative(self) -> Self {
        let mut sum = Self::ONES;
        let mut left = NonZero::new(EXPONENTIAL_TERMS);
        while let Some(k) = left {
            sum = self.times(sum).over(k, 0).complement();
            left = NonZero::new(k.get() - 1);
        }
        sum
    }

    /// Returns `self * |factor|` modulo one for the `f64` with these bits, below 2^64; exact to 2^-128.
    pub(super) const fn scaled(self, factor: u64) -> Self {
        scaled((self.0, 0), factor)
    }

    /// Returns `|radians|` as turns, modulo one, for the `f64` with these bits: exact to 2^-128 for
    /// magnitudes below 2^64.
    pub(super) const fn from_radians(radians: u64) -> Self {
        scaled(TURNS_PER_RADIAN, radians)
    }

    /// Returns dividend / divisor for a dividend below the divisor, both below 2^127.
    pub(super) const fn quotient(mut dividend: u128, divisor: u128) -> Self {
        let mut quotient = 0;
        let mut left = u128::BITS;
        while left > 0 {
            left -= 1;
            dividend <<= 1;
            quotient <<= 1;
            if dividend >= divisor {
                dividend -= divisor;
                quotient |= 1;
            }
        }
        Self(quotient)
    }
}

/// Returns log2 of the positive and normal `f64` with these bits, in units of 2^-96.
pub(super) const fn log2(bits: u64) -> i128 {
    let exponent = (bits >> STORED) as i128 - ONE_EXPONENT as i128;
    (exponent << POINT) + (log2_of_mantissa(bits).0 >> 32) as i128
}

/// Returns log2 of an integer, in units of 2^-96.
pub(super) const fn log2_of_integer(n: NonZero<u32>) -> u128 {
    let exponent = n.ilog2();
    let mantissa = (n.get() as u64) << (STORED - exponent);
    let part = log2_of_mantissa(mantissa & ((1 << STORED) - 1));
    (exponent as u128) << POINT | part.0 >> 32
}

/// Returns dividend / divisor in units of 2^-96, at most 2^24; divisor below 2^127.
pub(super) const fn ratio(dividend: u128, divisor: u128) -> u128 {
    const LARGEST: u128 = 1 << 24;
    match (dividend.checked_div(divisor), dividend.checked_rem(divisor)) {
        (Some(whole @ 0..LARGEST), Some(rest)) => {
            whole << POINT | Fraction::quotient(rest, divisor).0 >> 32
        }
        _ => LARGEST << POINT,
    }
}

/// Returns ln 2 times a number in units of 2^-96.
pub(super) const fn natural(log2: u128) -> u128 {
    Fraction(log2).times(LN_2).0
}

/// Returns the upper and the lower half.
const fn halves(x: u128) -> (u64, u64) {
    ((x >> 64) as u64, x as u64)
}

/// Returns the product, by 32-bit factors: the widest that a microcontroller multiplies.
const fn product(a: u64, b: u64) -> u128 {
    const LOW: u64 = u32::MAX as u64;
    let low = (a & LOW) * (b & LOW);
    let first = (a >> 32) * (b & LOW) + (low >> 32);
    let second = (a & LOW) * (b >> 32) + (first & LOW);
    let high = (a >> 32) * (b >> 32) + (first >> 32) + (second >> 32);
    (high as u128) << 64 | (second << 32 | low & LOW) as u128
}

/// Returns the mantissa of the `f64` with these bits, as an integer, and the exponent of its unit.
const fn parts(bits: u64) -> (u64, i32) {
    let biased = (bits >> STORED & 0x7ff) as i32;
    let stored = bits & ((1 << STORED) - 1);
    if biased == 0 {
        (stored, 1 - ONE_EXPONENT - STORED as i32)
    } else {
        (stored | 1 << STORED, biased - ONE_EXPONENT - STORED as i32)
    }
}

/// Returns log2 of the mantissa, in [1, 2), of the `f64` with these bits.
///
/// ln m = 2 (z + z^3/3 + z^5/5 + ...) with z = (m - 1) / (m + 1), below 1/3.
const fn log2_of_mantissa(bits: u64) -> Fraction {
    let mantissa = (bits & ((1 << STORED) - 1)) as u128;
    let z = Fraction::quotient(mantissa, mantissa + (2 << STORED));
    let square = z.times(z);
    let mut sum = Fraction::ZERO;
    let mut k = LOGARITHM_TERMS;
    while let Some(odd) = NonZero::new(2 * k + 1) {
        if k == 0 {
            break;
        }
        sum = square.times(sum).plus(Fraction::ONES.over(odd, 0));
        k -= 1;
    }
    let half = z.plus(z.times(square.times(sum)));
    let ln = half.plus(half);
    ln.plus(ln.times(LOG2_E_LESS_ONE))
}

/// Returns `fraction * |factor|` modulo one for the `f64` with these bits, below 2^64; the fraction has
/// 64 bits more below its 128.
const fn scaled((fraction, below): (u128, u64), factor: u64) -> Fraction {
    let (mantissa, exponent) = parts(factor);
    let (a, b) = halves(fraction);
    // The product, with 192 bits below the point, as an upper and a lower half.
    let (carry, first) = halves(product(below, mantissa));
    let (carry, second) = halves(product(b, mantissa) + carry as u128);
    let high = product(a, mantissa) + carry as u128;
    let low = (second as u128) << 64 | first as u128;
    // Exponents are at most 11.
    let at = (64 - exponent).unsigned_abs();
    let below = match low.checked_shr(at) {
        Some(below) => below,
        None => 0,
    };
    let above = match at {
        0..128 => high.checked_shl(128 - at),
        _ => high.checked_shr(at - 128),
    };
    Fraction(match above {
        Some(above) => above | below,
        None => below,
    })
}
