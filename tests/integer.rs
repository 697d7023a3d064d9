//! The softmax of integers against the published fixed-point rules, and against the softmax itself.

mod accuracy;

use accuracy::bound32;
use suanzi::probability::{ByteSoftmax, ProbabilityMap, WordSoftmax};
use suanzi::{Error, Parameter};

/// Unlimited integers with the meaning of gemmlowp's fixed-point operations: each is its definition by a
/// rounded quotient, in 128 bits.
mod rule {
    /// a / b, rounded to nearest, ties away from zero.
    fn quotient(a: i128, b: i128) -> i128 {
        let half = b / 2;
        if a >= 0 {
            (a + half) / b
        } else {
            -((-a + half) / b)
        }
    }

    fn saturated(x: i128) -> i128 {
        x.clamp(i32::MIN.into(), i32::MAX.into())
    }

    /// SaturatingRoundingDoublingHighMul; half a unit below zero goes up, as its nudge has it.
    fn product(a: i128, b: i128) -> i128 {
        let p = a * b;
        let nudge = if p >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        saturated((p + nudge) / (1 << 31))
    }

    /// exp on negative values, Q5 to Q0.
    fn exp(x: i128) -> i128 {
        if x == 0 {
            return i32::MAX.into();
        }
        let rest = x.rem_euclid(1 << 24) - (1 << 24);
        let a = rest * 32 + (1 << 28);
        let a2 = product(a, a);
        let a3 = product(a2, a);
        let a4 = quotient(product(a2, a2), 4);
        let inner = product(a4 + a3, 715_827_883) + a2;
        let series = a + quotient(inner, 2);
        let mut y = 1_895_147_668 + product(1_895_147_668, series);
        let factors = [
            1_672_461_947,
            1_302_514_674,
            790_015_084,
            290_630_308,
            39_332_535,
            720_401,
            242,
        ];
        let quarters = (rest - x) >> 24;
        for (bit, factor) in factors.into_iter().enumerate() {
            if quarters >> bit & 1 == 1 {
                y = product(y, factor);
            }
        }
        y
    }

    fn reciprocal(x: i128) -> i128 {
        let half = quotient(x + i128::from(i32::MAX), 2);
        let mut y = 1_515_870_810 + product(half, -1_010_580_540);
        for _ in 0..3 {
            let rest = (1 << 29) - product(half, y);
            y += saturated(product(y, rest) * 4);
        }
        saturated(y * 2)
    }

    pub(super) fn bytes(x: &[i8], multiplier: i32, shift: u32, least: i32) -> Vec<i8> {
        let max = i128::from(*x.iter().max().expect("an element"));
        let term = |x: i8| {
            let difference = i128::from(x) - max;
            (difference >= least.into())
                .then(|| exp(product(difference << shift, multiplier.into())))
        };
        let sum: i128 = x
            .iter()
            .filter_map(|&x| term(x))
            .map(|t| quotient(t, 4096))
            .sum();
        let zeros = (sum as u32).leading_zeros();
        let scale = reciprocal((sum << zeros) - (1 << 31));
        let output = |&x: &i8| match term(x) {
            Some(term) => {
                let q = quotient(product(scale, term), 1 << (12 + 23 - zeros)) - 128;
                q.clamp(-128, 127) as i8
            }
            None => -128,
        };
        x.iter().map(output).collect()
    }
}

/// TensorFlow Lite's kernel for sixteen bits, and its tables by their definition in `f32`.
mod table {
    /// 512 steps over sixteen bits, each entry lowered by half the error in the middle of its line.
    pub(super) fn of(scale: f32, zero: f32, f: impl Fn(f32) -> f32) -> Vec<i64> {
        let (least, most) = (scale * (-32768.0 - zero), scale * (32767.0 - zero));
        let unit = 2.0_f32 / 65535.0;
        let inverse = 65536.0 / (unit * 32767.0 - unit * -32768.0);
        let step = (most - least) / 512.0;
        let mut entries: Vec<i64> = (0..512)
            .map(|i| {
                let at = least + i as f32 * step;
                let sample = (f(at) * inverse).round();
                let next = f(least + (i + 1) as f32 * step) * inverse;
                let line = ((next + sample) / 2.0).round();
                let bias = ((line - (f(at + step / 2.0) * inverse).round()) / 2.0).round();
                (sample - bias).clamp(-32768.0, 32767.0) as i64
            })
            .collect();
        entries.push((f(most) * inverse).round().clamp(-32768.0, 32767.0) as i64);
        entries
    }

    fn look_up(table: &[i64], at: i64) -> i64 {
        let (entry, part) = ((256 + (at >> 7)) as usize, at & 127);
        table[entry] + (((table[entry + 1] - table[entry]) * part + 64) >> 7)
    }

    pub(super) fn words(x: &[i16], multiplier: i64, shift: i32) -> Vec<i16> {
        let exp = of(10.0 / 65535.0, 32767.0, f32::exp);
        let reciprocal = of(1.0 / 65535.0, -32768.0, |x| 1.0 / (1.0 + x));
        let max = i64::from(*x.iter().max().expect("an element"));
        let terms: Vec<i64> = x
            .iter()
            .map(|&x| {
                // Twice rounded to nearest, ties away from zero.
                let high = (i64::from(x) - max) * (1 << shift.max(0)) * multiplier;
                let high = -((-high + (1 << 30) - i64::from(high < 0)) >> 31);
                let right = (-shift).max(0);
                let scaled = if right > 0 {
                    -((-high + (1 << (right - 1))) >> right)
                } else {
                    high
                };
                look_up(&exp, (scaled + 32767).clamp(-32768, 32767))
            })
            .collect();
        let sum: i64 = terms.iter().sum();
        let zeros = (sum as u32).leading_zeros();
        let shifted = ((sum << (zeros - 1)) + (1 << 13)) >> 14;
        let scale = look_up(&reciprocal, (shifted - 98_304).clamp(-32768, 32767));
        let right = 31 - zeros;
        let output =
            |&term: &i64| ((term * scale + (1 << (right - 1))) >> right).clamp(0, 32767) as i16;
        terms.iter().map(output).collect()
    }
}

/// A fixed sequence of integers.
fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 32
}

/// The unit test of CMSIS-NN 6 for `arm_softmax_s8` (Apache-2.0): two rows of five.
#[test]
fn bytes_agree_with_the_published_vector() {
    let softmax = ByteSoftmax::new(1_077_952_640, 19, -3968).expect("positive");
    let mut x = [101_i8, 49, 6, -34, -75, -79, -38, 120, -55, 115];
    softmax.map_rows(&mut x[..], 5).expect("whole rows");
    assert_eq!(x, [-57, -70, -79, -86, -92, -94, -88, -54, -91, -56]);
    let none = ByteSoftmax::new(1_077_952_640, 19, i32::MAX).expect("positive");
    none.map_rows(&mut x[..], 5).expect("whole rows");
    assert_eq!(x, [-128; 10]);
}

#[test]
fn bytes_have_the_bits_of_the_rule() {
    let mut state = 1;
    for (multiplier, shift, least) in [
        (1_077_952_640, 19, -3968),
        (1_073_741_824, 22, -496),
        (2_147_483_647, 26, -15),
        (1_500_000_000, 24, -100),
        (1_073_741_824, 14, i32::MIN),
    ] {
        let softmax = ByteSoftmax::new(multiplier, shift, least).expect("positive");
        for n in [1, 2, 3, 10, 100, 1000, 4095] {
            for spread in [1, 4, 30, 256] {
                let x: Vec<i8> = (0..n)
                    .map(|_| (random(&mut state) % spread) as i8)
                    .collect();
                // Where the shifted difference leaves 32 bits, the rule says nothing.
                if shift > 22 && spread > 16 {
                    continue;
                }
                let mut got = vec![7; n];
                softmax.map(&x[..], &mut got[..]).expect("lengths agree");
                assert_eq!(got, rule::bytes(&x, multiplier, shift, least), "{x:?}");
            }
        }
    }
}

#[test]
fn bytes_are_near_the_softmax() {
    let mut state = 5;
    for scale in [1.0, 0.25, 0.0625, 0.003] {
        let softmax = ByteSoftmax::of_scale(scale).expect("positive");
        for n in [1, 2, 17, 300] {
            let x: Vec<i8> = (0..n).map(|_| random(&mut state) as i8).collect();
            let mut got = x.clone();
            softmax.map_in_place(&mut got[..]).expect("one row");
            let terms: Vec<f64> = x.iter().map(|&x| (scale * f64::from(x)).exp()).collect();
            let sum: f64 = terms.iter().sum();
            for (&got, term) in got.iter().zip(&terms) {
                let (got, want) = ((f64::from(got) + 128.0) / 256.0, term / sum);
                assert!(
                    (got - want).abs() <= bound32("byte softmax") / 256.0,
                    "{scale}, {n}: {got} {want}"
                );
            }
        }
    }
}

#[test]
fn words_have_the_bits_of_the_rule() {
    let mut state = 4;
    for (multiplier, shift) in [
        (1 << 30, 1),
        (1_717_986_918, 0),
        (1_300_000_000, -3),
        (2_147_483_647, 4),
    ] {
        let softmax = WordSoftmax::new(multiplier, shift).expect("positive");
        for n in [1, 2, 3, 10, 100, 1000, 65_535] {
            for spread in [1, 100, 4000, 65_536] {
                let x: Vec<i16> = (0..n)
                    .map(|_| (random(&mut state) % spread) as i16)
                    .collect();
                let mut got = x.clone();
                softmax.map_in_place(&mut got[..]).expect("one row");
                assert_eq!(
                    got,
                    table::words(&x, multiplier.into(), shift),
                    "{multiplier}, {shift}, {n}"
                );
            }
        }
    }
}

#[test]
fn words_are_near_the_softmax() {
    let mut state = 9;
    for (scale, n) in [
        (1.0 / 4096.0, 1),
        (1.0 / 4096.0, 40),
        (1e-3, 1000),
        (1e-5, 7),
        (0.01, 65_535),
        (1.5e-4, 300),
    ] {
        let softmax = WordSoftmax::of_scale(scale).expect("positive");
        let x: Vec<i16> = (0..n).map(|_| random(&mut state) as i16).collect();
        let mut got = vec![7; n];
        softmax.map(&x[..], &mut got[..]).expect("lengths agree");
        let max = f64::from(*x.iter().max().expect("an element"));
        let terms: Vec<f64> = x
            .iter()
            .map(|&x| (scale * (f64::from(x) - max)).max(-10.0).exp())
            .collect();
        let sum: f64 = terms.iter().sum();
        for (&got, term) in got.iter().zip(&terms) {
            let (got, want) = (f64::from(got) / 32768.0, term / sum);
            assert!(
                (got - want).abs() <= bound32("word softmax") / 4096.0,
                "{scale}, {n}: {got} {want}"
            );
        }
    }
    // By hand: equal scores halve, and the tables' ends are exact.
    let softmax = WordSoftmax::new(1 << 30, 1).expect("positive");
    let mut x = [5_i16, 5];
    softmax.map_in_place(&mut x[..]).expect("one row");
    assert_eq!(x, [16384; 2]);
}

#[test]
fn bad_arguments_are_refused_and_nothing_is_written() {
    let scale = Some(Error::Domain(Parameter::Scale));
    for (multiplier, shift) in [(0, 3), (-5, 3), (1 << 30, 31)] {
        assert_eq!(ByteSoftmax::new(multiplier, shift, 0).err(), scale);
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
        assert_eq!(ByteSoftmax::of_scale(bad).err(), scale, "{bad}");
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-20, 1e3] {
        assert_eq!(WordSoftmax::of_scale(bad).err(), scale, "{bad}");
    }
    assert_eq!(WordSoftmax::new(1, 16).err(), scale);
    let softmax = ByteSoftmax::of_scale(0.1).expect("positive");
    let (x, mut out) = (vec![0_i8; 4096], vec![7_i8; 4096]);
    assert_eq!(
        softmax.map(&x[..], &mut out[..]),
        Err(Error::Capacity { limit: 4095 })
    );
    assert!(softmax.map_rows(&mut out[..10], 3).is_err());
    assert!(out.iter().all(|&out| out == 7));
    softmax.map_in_place(&mut [][..]).expect("nothing to do");
}
