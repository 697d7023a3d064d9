//! The normmax against its definition, on every level.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{bound32, bound64, ulps};
use inputs::{Random, executors};
use reference::sparse::normmax;
use suanzi::probability::{Entmax, Logits, Normmax, ProbabilityMap, normmax_vjp};
use suanzi::{Cpu, Error, Parameter};

/// The probability that units in the last place are counted from in `f32`.
const FLOOR: f64 = 1.0 / (1_u64 << 32) as f64;

const ALPHAS: [f64; 6] = [1.0625, 1.25, 1.5, 2.0, 3.0, 8.0];

/// Rows whose elements lie apart, close together, or in a line.
fn scores(n: usize) -> Vec<Vec<f64>> {
    let mut random = Random(n as u64 + 5);
    let mut row = |f: &mut dyn FnMut(usize, f64) -> f64| -> Vec<f64> {
        (0..n)
            .map(|i| f64::from(f(i, random.normal()) as f32))
            .collect()
    };
    vec![
        row(&mut |_, r| 3.0 * r),
        row(&mut |_, r| 0.25 * r),
        row(&mut |_, r| 1e4 + r),
        row(&mut |_, _| 0.7),
        row(&mut |i, _| -(i as f64) / n as f64),
    ]
}

#[test]
fn every_row_is_within_the_table_with_the_same_bits() {
    for n in [1, 2, 3, 16, 17, 100, 129, 300] {
        for s in scores(n) {
            for alpha in ALPHAS {
                let want = normmax(&s, alpha);
                let single: Vec<f32> = s.iter().map(|&s| s as f32).collect();
                let mut first: Option<Vec<f32>> = None;
                for cpu in executors() {
                    let context = format!("{alpha} of {n} from {:?}, {cpu:?}", s[0]);
                    let mut p = single.clone();
                    let map = Normmax::new(alpha as f32, Logits::new()).expect("alpha");
                    map.on(cpu).map_in_place(&mut p[..]).expect("one row");
                    let mut wide = vec![7.0; n];
                    let map = Normmax::new(alpha, Logits::new()).expect("alpha");
                    map.on(cpu)
                        .map(&s[..], &mut wide[..])
                        .expect("lengths agree");
                    for (i, want) in want.iter().enumerate() {
                        let p_i = want.high;
                        let error = ulps(p[i], p_i, 0.0, FLOOR);
                        assert!(
                            error <= bound32("normmax"),
                            "{context}: {i} {:e} {p_i:e}",
                            p[i]
                        );
                        assert!(p_i != 0.0 || p[i] == 0.0 && wide[i] == 0.0);
                        // u from p and the greatest p, whose own u is at most one.
                        let u = p_i.powf(alpha - 1.0);
                        let size = 1.0 + (1.0 + 1.0 / u) / (alpha - 1.0);
                        let bound = bound64("normmax") * 2.0_f64.powi(-53) * p_i * size;
                        let error = (wide[i] - p_i).abs();
                        assert!(
                            error <= bound || p_i == 0.0,
                            "{context}: {i} {:e} {p_i:e}",
                            wide[i]
                        );
                    }
                    if !cpu.is_fused() {
                        let first = first.get_or_insert_with(|| p.clone());
                        let same = first
                            .iter()
                            .zip(&p)
                            .all(|(a, b)| a.to_bits() == b.to_bits());
                        assert!(same, "{context}: other bits");
                    }
                }
            }
        }
    }
}

/// The edges are those of the other sparse maps.
#[test]
fn edges_are_those_of_the_entmax() {
    const INF: f32 = f32::INFINITY;
    for x in [
        vec![],
        vec![3.0],
        vec![-INF; 3],
        vec![1.0, INF, INF],
        vec![1.0, f32::NAN],
        vec![3e38, -3e38],
        vec![-INF, 1.0, -INF],
    ] {
        let (mut p, mut want) = (x.clone(), x);
        let map = Normmax::new(2.0, Logits::new()).expect("alpha");
        map.map_in_place(&mut p[..]).expect("one row");
        let map = Entmax::new(1.25, Logits::new()).expect("alpha");
        map.map_in_place(&mut want[..]).expect("one row");
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&p), bits(&want));
    }
}

#[test]
fn gradients_are_differences_and_within_the_table() {
    let mut random = Random(4);
    for n in [2, 3, 8, 40] {
        let x: Vec<f64> = (0..n).map(|_| 0.5 * random.normal()).collect();
        let dp: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        for alpha in [1.25, 1.5, 2.0, 3.0] {
            let map = Normmax::new(alpha, Logits::new()).expect("alpha");
            let of = |x: &[f64]| {
                let mut p = vec![0.0; n];
                map.map(x, &mut p[..]).expect("lengths agree");
                p
            };
            let p = of(&x);
            let value = |i: usize, by: f64| -> f64 {
                let mut x = x.clone();
                x[i] += by;
                of(&x).iter().zip(&dp).map(|(p, dp)| p * dp).sum()
            };
            for cpu in executors() {
                let mut dx = vec![7.0; n];
                normmax_vjp(cpu, alpha, &p, &dp, &mut dx).expect("lengths agree");
                let (narrow, dp32): (Vec<f32>, Vec<f32>) = p
                    .iter()
                    .zip(&dp)
                    .map(|(&p, &dp)| (p as f32, dp as f32))
                    .unzip();
                let mut single = vec![7.0; n];
                normmax_vjp(cpu, alpha as f32, &narrow, &dp32, &mut single).expect("lengths agree");
                // What the table counts in.
                let s: Vec<f64> = p
                    .iter()
                    .map(|&p| if p > 0.0 { p.powf(2.0 - alpha) } else { 0.0 })
                    .collect();
                let norm: f64 = p.iter().map(|p| p.powf(alpha)).sum();
                let factor = norm.powf(1.0 - 1.0 / alpha) / (alpha - 1.0);
                let whole: f64 = s.iter().sum::<f64>() * factor;
                let most = dp.iter().fold(0.0_f64, |m, dp| m.max(dp.abs()));
                for i in 0..n {
                    let h = 1e-5;
                    let want = (value(i, h) - value(i, -h)) / (2.0 * h);
                    let context = format!("{alpha} of {n}, {i}, {cpu:?}");
                    assert!((dx[i] - want).abs() < 1e-6, "{context}: {} {want}", dx[i]);
                    let logarithm = if p[i] > 0.0 { p[i].ln().abs() } else { 0.0 };
                    let size = (s[i] * factor + p[i] * whole) * most * (1.0 + logarithm);
                    let bound = bound32("normmax vjp") * 2.0_f64.powi(-24) * size;
                    assert!(
                        (f64::from(single[i]) - dx[i]).abs() <= bound,
                        "{context}: {} {}",
                        single[i],
                        dx[i]
                    );
                }
            }
        }
    }
}

#[test]
fn bad_arguments_are_refused() {
    let bad = Error::Domain(Parameter::Alpha);
    for alpha in [1.0, 0.5, f32::NAN, f32::INFINITY] {
        assert_eq!(Normmax::new(alpha, Logits::new()).err(), Some(bad));
        let vjp = normmax_vjp(Cpu::default(), alpha, &[1.0], &[1.0], &mut [0.0]);
        assert_eq!(vjp, Err(bad));
    }
    let length = Err(Error::Length {
        expected: 2,
        found: 1,
    });
    let vjp = normmax_vjp(Cpu::default(), 2.0, &[1.0, 0.0], &[1.0], &mut [0.0; 2]);
    assert_eq!(vjp, length);
    let vjp = normmax_vjp(Cpu::default(), 2.0, &[1.0, 0.0], &[1.0; 2], &mut [0.0]);
    assert_eq!(vjp, length);
}
