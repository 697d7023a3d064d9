//! xPos against its definition, on every level.

mod accuracy;
mod reference;

use accuracy::{bound32, bound64};
use reference::position as definition;
use suanzi::position::{Angle, Base, HeadLayout, Pairing, XPos};
use suanzi::{Cpu, Error, Parameter};

const PAIRS: usize = 32;
const HEAD_DIM: usize = 2 * PAIRS + 3;

/// A type that the tests run in.
trait Number: Angle + Into<f64> {
    const UNIT: f64;
    fn from_f64(x: f64) -> Self;
    fn bound() -> f64;
}

impl Number for f32 {
    const UNIT: f64 = 1.0 / 16_777_216.0;
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    fn bound() -> f64 {
        bound32("xpos")
    }
}

impl Number for f64 {
    const UNIT: Self = Self::EPSILON / 2.0;
    fn from_f64(x: f64) -> Self {
        x
    }
    fn bound() -> f64 {
        bound64("xpos")
    }
}

fn xpos() -> XPos<f32, [u64; PAIRS]> {
    let layout = layout(Pairing::HalfSplit);
    XPos::new(layout, &Base::default(), 512, [[0; PAIRS]; 2]).expect("an encoding")
}

fn layout(pairing: Pairing) -> HeadLayout {
    HeadLayout::partial(HEAD_DIM, 2 * PAIRS, pairing).expect("a layout")
}

/// Returns (numerator / denominator)^exponent; what the quotient loses in rounding is put back.
fn power(numerator: usize, denominator: usize, exponent: f64) -> f64 {
    let (numerator, denominator) = (numerator as f64, denominator as f64);
    let quotient = numerator / denominator;
    let lost = (-quotient).mul_add(denominator, numerator) / numerator;
    quotient.powf(exponent) * (exponent * lost).exp()
}

fn follows_its_definition<T: Number>(farthest: i32) {
    let (base, turns) = definition::frequencies()
        .into_iter()
        .find(|(_, turns)| turns.len() == PAIRS)
        .expect("frequencies");
    let mut worst = 0.0_f64;
    for pairing in [Pairing::HalfSplit, Pairing::Interleaved] {
        let base = Base::new(base).expect("a base");
        let xpos = XPos::<T, _>::new(
            layout(pairing),
            &base,
            512,
            [
                vec![T::Turns::default(); PAIRS],
                vec![T::Turns::default(); PAIRS],
            ],
        );
        let xpos = xpos.expect("an encoding");
        for cpu in Cpu::levels().filter_map(|level| Cpu::with(level).ok()) {
            let xpos = xpos.clone().on(cpu);
            for at in [0, 1, -1, 511, 512, -5000, 20_011, farthest, -farthest] {
                let x: Vec<f64> = (0..2 * HEAD_DIM)
                    .map(|i| f64::from((i * 37 % 64) as u8) / 32.0 - 0.9)
                    .map(|x| T::from_f64(x).into())
                    .collect();
                for keys in [false, true] {
                    let mut y: Vec<T> = x.iter().map(|&x| T::from_f64(x)).collect();
                    if keys {
                        xpos.rotate_keys(at, &mut y).expect("a rotation");
                    } else {
                        xpos.rotate_queries(at, &mut y).expect("a rotation");
                    }
                    for (x, y) in x.chunks(HEAD_DIM).zip(y.chunks(HEAD_DIM)) {
                        let sin_cos: Vec<_> =
                            turns.iter().map(|&t| definition::sin_cos(t, at)).collect();
                        let interleaved = pairing == Pairing::Interleaved;
                        let rotated = definition::rotate(x, &sin_cos, interleaved);
                        for (pair, _) in turns.iter().enumerate() {
                            let exponent = f64::from(at) / if keys { -512.0 } else { 512.0 };
                            let factor = power(5 * pair + 2 * PAIRS, 7 * PAIRS, exponent);
                            let (a, b) = if interleaved {
                                (2 * pair, 2 * pair + 1)
                            } else {
                                (pair, pair + PAIRS)
                            };
                            let length = x[a].hypot(x[b]) * factor;
                            for i in [a, b] {
                                let got: f64 = y[i].into();
                                let exact = rotated[i].high * factor;
                                let error = (got - exact).abs() / length / T::UNIT;
                                worst = worst.max(error);
                                assert!(
                                    error <= T::bound(),
                                    "{pairing:?} {cpu:?} at {at}, element {i}: {got}, {exact}"
                                );
                            }
                        }
                        for (x, y) in x.iter().zip(y).skip(2 * PAIRS) {
                            let got: f64 = (*y).into();
                            assert_eq!(got, *x, "it passes through");
                        }
                    }
                }
            }
        }
    }
    println!("worst: {worst:.2} units");
}

#[test]
fn xpos_in_f32_follows_its_definition() {
    follows_its_definition::<f32>(35_000);
}

#[test]
fn xpos_in_f64_follows_its_definition() {
    follows_its_definition::<f64>(280_000);
}

#[test]
fn the_score_of_a_pair_decays_with_the_distance_alone() {
    let xpos = xpos();
    for pair in [0, 7, PAIRS - 1] {
        // The length of what a query and a key make of one pair: the sine and cosine parts together.
        let score = |m: i32, n: i32| -> f64 {
            let (mut q, mut k) = ([0.0_f32; HEAD_DIM], [0.0_f32; HEAD_DIM]);
            (q[pair], k[pair]) = (1.0, 1.0);
            xpos.rotate_queries(m, &mut q).expect("a rotation");
            xpos.rotate_keys(n, &mut k).expect("a rotation");
            let [q0, q1, k0, k1] =
                [q[pair], q[pair + PAIRS], k[pair], k[pair + PAIRS]].map(f64::from);
            (q0 * k0 + q1 * k1).hypot(q0 * k1 - q1 * k0)
        };
        for (m, n) in [
            (100, 90),
            (1000, 10),
            (0, 0),
            (-300, -700),
            (3000, 0),
            (0, 400),
        ] {
            let expected = power(5 * pair + 2 * PAIRS, 7 * PAIRS, f64::from(m - n) / 512.0);
            for by in [-2000, 0, 5, 3000] {
                let error = (score(m + by, n + by) / expected - 1.0).abs() / f32::UNIT;
                assert!(error <= 4.0 * f32::bound(), "{pair}: {m} {n} {by}: {error}");
            }
        }
    }
}

#[test]
fn factors_beyond_the_range_of_numbers_are_zero_and_infinite() {
    let xpos = xpos();
    let mut x = [1.0_f32; HEAD_DIM];
    xpos.rotate_queries(i32::MAX, &mut x).expect("a rotation");
    assert_eq!(x[0].abs(), 0.0);
    let mut x = [1.0_f32; HEAD_DIM];
    xpos.rotate_keys(i32::MAX, &mut x).expect("a rotation");
    assert!(x[..2 * PAIRS].iter().all(|x| !x.is_finite()));
    assert_eq!(x[2 * PAIRS..], [1.0; 3]);
    xpos.rotate_keys(i32::MIN, &mut x).expect("a rotation");
}

#[test]
fn bad_arguments_are_refused() {
    let layout = layout(Pairing::HalfSplit);
    let new = |base, lengths: [usize; 2]| {
        XPos::<f32, _>::new(layout, &Base::default(), base, lengths.map(|n| vec![0; n])).err()
    };
    assert_eq!(new(0, [PAIRS; 2]), Some(Error::Domain(Parameter::Context)));
    assert_eq!(new(1, [PAIRS; 2]), Some(Error::Domain(Parameter::Context)));
    let length = Some(Error::Length {
        expected: 32,
        found: 31,
    });
    assert_eq!(new(512, [31, 32]), length);
    assert_eq!(new(512, [32, 31]), length);
    let xpos = XPos::new(layout, &Base::default(), 512, [[0_u64; PAIRS]; 2]).expect("an encoding");
    let mut x = [1.0_f32; HEAD_DIM + 1];
    let refused = Err(Error::Multiple {
        of: HEAD_DIM,
        found: HEAD_DIM + 1,
    });
    assert_eq!(xpos.rotate_queries(1, &mut x), refused);
    assert_eq!(xpos.rotate_keys(1, &mut x), refused);
    assert_eq!(x, [1.0; HEAD_DIM + 1]);
}
