//! The 16-bit formats against their definition: widening is exact, narrowing takes the nearest, ties to even.

#![no_main]

use libfuzzer_sys::fuzz_target;
use suanzi::storage::{Bf16, F16};

fuzz_target!(|input: (u16, u32)| {
    let (half, single) = (input.0, f32::from_bits(input.1));
    let (f, b) = (F16::from_bits(half), Bf16::from_bits(half));

    // Widening, computed in f64 from the fields of the format.
    assert_same(f.to_f32(), value(half, 5, 10));
    assert_same(b.to_f32(), value(half, 8, 7));

    // A round trip gives back every number; NaN stays NaN with its sign.
    assert_eq!(
        F16::from_f32(f.to_f32()).to_f32().is_nan(),
        f.to_f32().is_nan()
    );
    assert_eq!(
        Bf16::from_f32(b.to_f32()).to_f32().is_nan(),
        b.to_f32().is_nan()
    );
    if !f.to_f32().is_nan() {
        assert_eq!(F16::from_f32(f.to_f32()), f);
    }
    if !b.to_f32().is_nan() {
        assert_eq!(Bf16::from_f32(b.to_f32()), b);
    }

    assert_nearest(single, F16::from_f32(single).to_bits(), 5, 10);
    assert_nearest(single, Bf16::from_f32(single).to_bits(), 8, 7);
});

/// The value of a format with these numbers of exponent and mantissa bits, by definition.
fn value(bits: u16, exponent_bits: u32, mantissa_bits: u32) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let bias = (1 << (exponent_bits - 1)) - 1;
    let exponent = i32::from(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    sign * if exponent == (1 << exponent_bits) - 1 {
        if mantissa == 0.0 {
            f64::INFINITY
        } else {
            f64::NAN
        }
    } else if exponent == 0 {
        mantissa * 2f64.powi(1 - bias)
    } else {
        (1.0 + mantissa) * 2f64.powi(exponent - bias)
    }
}

/// Panics unless both are the same number, with the same sign, or both NaN.
fn assert_same(got: f32, expected: f64) {
    let got = f64::from(got);
    let same = got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
    assert!(same, "got {got}, expected {expected}");
}

/// Panics unless no neighbor of `got` lies nearer to `single`, or as near with an even last bit.
fn assert_nearest(single: f32, got: u16, exponent_bits: u32, mantissa_bits: u32) {
    let of = |bits| value(bits, exponent_bits, mantissa_bits);
    if single.is_nan() {
        assert!(of(got).is_nan());
        return;
    }
    assert_eq!(
        single.is_sign_negative(),
        got >> 15 == 1,
        "the sign of {single}"
    );
    // Infinity stands where the next number of the format would be.
    let infinity = ((1_u16 << exponent_bits) - 1) << mantissa_bits;
    let beyond = 2f64.powi(1 << (exponent_bits - 1));
    let finite = |magnitude| {
        if magnitude == infinity {
            beyond
        } else {
            of(magnitude)
        }
    };
    let magnitude = got & 0x7fff;
    let target = f64::from(single.abs());
    if magnitude == infinity && target >= beyond {
        return;
    }
    let distance = (finite(magnitude) - target).abs();
    for neighbor in [magnitude.wrapping_sub(1), magnitude + 1] {
        if neighbor <= infinity {
            let other = (finite(neighbor) - target).abs();
            let even = magnitude & 1 == 0;
            assert!(
                distance < other || distance == other && even,
                "{single} as {got:#06x}"
            );
        }
    }
}
