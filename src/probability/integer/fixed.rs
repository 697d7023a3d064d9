//! Fixed-point arithmetic in 32 bits: the primitives of gemmlowp, and the two functions of a softmax.
//!
//! Q(n) means that the unit is 2^(n - 31).

/// Returns the upper 32 bits of 2 a b, rounded to nearest, ties away from zero; saturates where both
/// are the least number.
#[inline(always)]
pub(super) const fn high_product(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = a as i64 * b as i64;
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    // Towards zero: what a shift leaves below is added to negative numbers first.
    let sum = product + nudge;
    let carry = if sum < 0 { (1 << 31) - 1 } else { 0 };
    ((sum + carry) >> 31) as i32
}

/// Returns x / 2^bits, rounded to nearest, ties away from zero. `bits` is below 32.
#[inline(always)]
pub(super) const fn halved(x: i32, bits: u32) -> i32 {
    let mask = ((1_u32 << (bits & 31)) - 1) as i32;
    let rest = x & mask;
    let threshold = (mask >> 1) + (x < 0) as i32;
    (x >> (bits & 31)) + (rest > threshold) as i32
}

/// Returns x 2^bits, saturated.
#[inline(always)]
pub(super) const fn doubled(x: i32, bits: u32) -> i32 {
    x.saturating_mul(1 << bits)
}

/// Returns exp(x) in Q0 for x in Q5, not positive.
///
/// x is a multiple of one quarter, each bit of which is a factor, and a rest in [-1/4, 0), where the
/// series around -1/8 has four terms.
pub(super) const fn exp(x: i32) -> i32 {
    const QUARTER: u32 = 24;
    // exp(-2^(bit - 26)) in Q0, from a quarter on.
    const FACTORS: [i32; 7] = [
        1_672_461_947,
        1_302_514_674,
        790_015_084,
        290_630_308,
        39_332_535,
        720_401,
        242,
    ];
    const EXP_OF_AN_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    if x == 0 {
        return i32::MAX;
    }
    let rest = (x & ((1 << QUARTER) - 1)) - (1 << QUARTER);
    let a = (rest << 5) + (1 << 28);
    let a2 = high_product(a, a);
    let a3 = high_product(a2, a);
    let a4 = high_product(a2, a2);
    let series = a + halved(high_product(halved(a4, 2) + a3, THIRD) + a2, 1);
    let mut y = EXP_OF_AN_EIGHTH + high_product(EXP_OF_AN_EIGHTH, series);
    let quarters = rest.wrapping_sub(x);
    let mut i = 0;
    while i < FACTORS.len() {
        if quarters & 1 << (QUARTER + i as u32) != 0 {
            y = high_product(y, FACTORS[i]);
        }
        i += 1;
    }
    y
}

/// Returns 1 / (1 + x) in Q0 for x in Q0 from zero on: three steps of Newton's.
pub(super) const fn reciprocal(x: i32) -> i32 {
    const FORTY_EIGHT_SEVENTEENTHS: i32 = 1_515_870_810;
    const THIRTY_TWO_SEVENTEENTHS: i32 = -1_010_580_540;
    // Half the denominator, rounded away from zero.
    let half = ((x as i64 + i32::MAX as i64 + 1) >> 1) as i32;
    // In Q2.
    let mut y = FORTY_EIGHT_SEVENTEENTHS + high_product(half, THIRTY_TWO_SEVENTEENTHS);
    let mut step = 0;
    while step < 3 {
        let rest = (1 << 29) - high_product(half, y);
        y += doubled(high_product(y, rest), 2);
        step += 1;
    }
    doubled(y, 1)
}
