//! Soft choices of k elements against their definitions, on every level.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{bound32, bound64, ulps};
use inputs::{Random, executors};
use reference::top_k::{of_draws, of_subsets, with_threshold};
use suanzi::probability::{Inclusion, Logits, Mask, ProbabilityMap, SoftTopK, Softmax, Sparsemax};
use suanzi::{Error, Parameter};

const ALL: [Inclusion; 5] = [
    Inclusion::Clamped,
    Inclusion::Exponential,
    Inclusion::Logistic,
    Inclusion::Laplace,
    Inclusion::Subsets,
];

/// The probability that units in the last place are counted from in `f32`.
const FLOOR: f64 = 1.0 / (1_u64 << 32) as f64;

/// Rows of scores, each with a name.
fn scores(n: usize) -> Vec<(&'static str, Vec<f64>)> {
    let mut random = Random(n as u64 + 7);
    let mut row = |f: &mut dyn FnMut(usize, &mut Random) -> f64| -> Vec<f64> {
        (0..n)
            .map(|i| f64::from(f(i, &mut random) as f32))
            .collect()
    };
    vec![
        ("normal", row(&mut |_, r| 3.0 * r.normal())),
        ("near", row(&mut |_, r| 0.1 * r.normal())),
        ("equal", row(&mut |_, _| 0.3)),
        ("ties", row(&mut |i, _| (i % 3) as f64)),
        ("steps of one", row(&mut |i, _| i as f64)),
        ("wide", row(&mut |_, r| 40.0 * r.normal())),
        ("far from zero", row(&mut |_, r| 1.0e4 + 5.0 * r.normal())),
        (
            "a gap",
            row(&mut |i, r| if i % 2 == 0 { 60.0 } else { -60.0 } + r.normal()),
        ),
        (
            "a chasm",
            row(&mut |i, r| if i % 2 == 0 { 1e30 } else { r.normal() }),
        ),
    ]
}

/// Holds one row to the table, in either type, with the same bits on every level.
fn hold(inclusion: Inclusion, s: &[f64], k: f64, want: &[f64], name: &str) {
    let single: Vec<f32> = s.iter().map(|&s| s as f32).collect();
    let mut first: Option<(Vec<f32>, Vec<f64>)> = None;
    for cpu in executors() {
        let context = format!("{inclusion:?} {k} of {} {name}, {:?}", s.len(), cpu.level());
        let (mut p, mut wide) = (single.clone(), vec![7.0; s.len()]);
        let map = SoftTopK::new(k as f32, inclusion, Logits::new()).expect("k");
        map.on(cpu).map_in_place(&mut p[..]).expect("one row");
        let map = SoftTopK::new(k, inclusion, Logits::new()).expect("k");
        map.on(cpu).map(s, &mut wide[..]).expect("lengths agree");
        for (i, &want) in want.iter().enumerate() {
            let error = ulps(p[i], want, 0.0, FLOOR);
            let bound = bound32("soft top-k");
            assert!(error <= bound, "{context}: {i} {:e} {want:e} {error}", p[i]);
            let error = (wide[i] - want).abs() * 2.0_f64.powi(50);
            let bound = bound64("soft top-k") * (1.0 + 60.0 * want) * (s.len() as f64).sqrt();
            assert!(
                error <= bound,
                "{context}: {i} {:e} {want:e} {error}",
                wide[i]
            );
        }
        if !cpu.is_fused() {
            let first = first.get_or_insert_with(|| (p.clone(), wide.clone()));
            let same = first
                .0
                .iter()
                .zip(&p)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            let wide_same = first
                .1
                .iter()
                .zip(&wide)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same && wide_same, "{context}: other bits");
        }
    }
}

#[test]
fn every_inclusion_is_within_the_table_with_the_same_bits() {
    for n in [2, 3, 5, 16, 17, 63, 64, 65, 200] {
        for (name, s) in scores(n) {
            for k in [0.25, 1.0, 2.0, 2.5, 7.0, n as f64 / 2.0, n as f64 - 1.0] {
                let half = n as f64 / 2.0;
                // In the chasm only whole numbers at its edge are decided by numbers at hand.
                if k >= n as f64 || name == "a chasm" && k != half.ceil() {
                    continue;
                }
                for inclusion in ALL {
                    let want = if inclusion == Inclusion::Subsets {
                        if k.fract() != 0.0 || name == "a chasm" {
                            continue;
                        }
                        let near = n <= 9 && !matches!(name, "wide" | "a gap");
                        let definition = if near { of_subsets } else { of_draws };
                        definition(&s, k as usize)
                    } else {
                        with_threshold(inclusion, &s, k)
                    };
                    hold(inclusion, &s, k, &want, name);
                }
            }
        }
    }
}

/// One element softly chosen: the maps that are known by other names.
#[test]
fn one_of_many_is_a_softmax_or_sparsemax() {
    for (name, s) in scores(150) {
        let mut want = s.clone();
        for inclusion in ALL {
            match inclusion {
                Inclusion::Clamped => Sparsemax::default().map(&s[..], &mut want[..]),
                Inclusion::Exponential | Inclusion::Subsets => {
                    Softmax::default().map(&s[..], &mut want[..])
                }
                _ => continue,
            }
            .expect("lengths agree");
            hold(inclusion, &s, 1.0, &want, name);
        }
    }
}

#[test]
fn long_rows_add_up_to_k() {
    let mut random = Random(3);
    let x: Vec<f32> = (0..20_000).map(|_| 3.0 * random.normal() as f32).collect();
    for k in [1.0, 50.0, 10_000.0, 19_999.0] {
        for inclusion in ALL {
            let mut p = x.clone();
            let map = SoftTopK::new(k as f32, inclusion, Logits::new()).expect("k");
            map.map_in_place(&mut p[..]).expect("one row");
            let sum: f64 = p.iter().map(|&p| f64::from(p)).sum();
            assert!((sum - k).abs() < 1e-6 * k, "{inclusion:?}: {sum} for {k}");
            let mut order: Vec<usize> = (0..x.len()).collect();
            order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
            assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
            assert!(
                order.windows(2).all(|w| p[w[0]] <= p[w[1]]),
                "{inclusion:?} {k}"
            );
        }
    }
}

#[test]
fn infinities_and_short_rows_have_their_limits() {
    const INF: f32 = f32::INFINITY;
    for inclusion in ALL {
        let of = |k: f32, x: &[f32]| {
            let mut p = x.to_vec();
            let map = SoftTopK::new(k, inclusion, Logits::new()).expect("k");
            map.map_in_place(&mut p[..]).expect("one row");
            p
        };
        assert!(of(2.0, &[]).is_empty());
        assert_eq!(of(2.0, &[5.0]), [1.0]);
        assert_eq!(of(3.0, &[1.0, -INF, 2.0, 3.0]), [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(of(2.0, &[-INF; 3]), [0.0; 3]);
        assert_eq!(
            of(2.0, &[INF, 1.0, INF, INF, INF]),
            [0.5, 0.0, 0.5, 0.5, 0.5]
        );
        assert_eq!(of(2.0, &[INF, 1.0, INF]), [1.0, 0.0, 1.0]);
        assert_eq!(of(2.0, &[INF, 1.0, -INF, 1.0]), [1.0, 0.5, 0.0, 0.5]);
        assert!(of(2.0, &[INF, 1.0, f32::NAN]).iter().all(|p| p.is_nan()));
        assert_eq!(of(2.0, &[7.0; 4]), [0.5; 4]);
        assert_eq!(of(2.0, &[3e38, -3e38, 3e38, -3e38]), [1.0, 0.0, 1.0, 0.0]);
    }
}

/// The gradients against differences of the maps.
#[test]
fn gradients_are_differences() {
    let mut random = Random(9);
    for n in [2, 4, 9, 40] {
        let x: Vec<f64> = (0..n).map(|_| 1.5 * random.normal()).collect();
        let dp: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let most = dp.iter().fold(0.0_f64, |m, dp| m.max(dp.abs()));
        for k in [1.0, 1.5, 3.0, n as f64 - 1.0] {
            for inclusion in ALL {
                if k >= n as f64 || k.fract() != 0.0 && inclusion == Inclusion::Subsets {
                    continue;
                }
                let map = SoftTopK::new(k, inclusion, Logits::new()).expect("k");
                let value = |x: &[f64]| -> f64 {
                    let mut p = vec![0.0; n];
                    map.map(x, &mut p[..]).expect("lengths agree");
                    p.iter().zip(&dp).map(|(p, dp)| p * dp).sum()
                };
                for cpu in executors() {
                    let mut dx = vec![0.0; n];
                    map.on(cpu).vjp(&x, &dp, &mut dx).expect("lengths agree");
                    let (mut single, mut narrow) = (vec![0.0_f32; n], x.clone());
                    narrow.iter_mut().for_each(|x| *x = f64::from(*x as f32));
                    let to_single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
                    SoftTopK::new(k as f32, inclusion, Logits::new())
                        .expect("k")
                        .on(cpu)
                        .vjp(&to_single(&x), &to_single(&dp), &mut single)
                        .expect("lengths agree");
                    for i in 0..n {
                        let moved = |by: f64| {
                            let mut x = x.clone();
                            x[i] += by;
                            value(&x)
                        };
                        let h = 1e-4;
                        // The error of the fourth order.
                        let want = (8.0 * (moved(h) - moved(-h))
                            - (moved(2.0 * h) - moved(-2.0 * h)))
                            / (12.0 * h);
                        let context = format!("{inclusion:?} {k} of {n}, {i}");
                        assert!(
                            (dx[i] - want).abs() < bound64("soft top-k vjp") * most,
                            "{context}: {} {want}",
                            dx[i]
                        );
                        assert!(
                            (f64::from(single[i]) - dx[i]).abs() < bound32("soft top-k vjp") * most,
                            "{context} in f32"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_gradient_is_zero_where_nothing_moves() {
    let map = SoftTopK::new(2.0, Inclusion::Logistic, Logits::new()).expect("k");
    for x in [
        [1.0, 2.0, f64::NAN],
        [1.0, 2.0, f64::NEG_INFINITY],
        [f64::INFINITY; 3],
    ] {
        let mut dx = [7.0; 3];
        map.vjp(&x, &[1.0, 2.0, 3.0], &mut dx)
            .expect("lengths agree");
        assert_eq!(dx, [0.0; 3]);
    }
}

#[test]
fn logits_are_scaled_and_masked_before() {
    let (x, keep) = ([1.0_f32, 3.0, f32::NAN, 2.5], [true, true, false, true]);
    let logits = Logits::new()
        .scaled(2.0)
        .expect("finite")
        .masked(Mask::Keep(&keep));
    for inclusion in ALL {
        let mut p = [0.0; 4];
        let map = SoftTopK::new(2.0, inclusion, logits).expect("k");
        map.map(&x[..], &mut p[..]).expect("lengths agree");
        let mut want = [2.0, 6.0, f32::NEG_INFINITY, 5.0];
        let map = SoftTopK::new(2.0, inclusion, Logits::new()).expect("k");
        map.map_in_place(&mut want[..]).expect("one row");
        assert_eq!(p, want);
    }
}

#[test]
fn bad_arguments_are_refused() {
    let bad = Some(Error::Domain(Parameter::TopK));
    for k in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        for inclusion in ALL {
            assert_eq!(SoftTopK::new(k, inclusion, Logits::new()).err(), bad);
        }
    }
    assert_eq!(
        SoftTopK::new(1.5, Inclusion::Subsets, Logits::new()).err(),
        bad
    );
    assert!(SoftTopK::new(1.5, Inclusion::Laplace, Logits::new()).is_ok());
    let map = SoftTopK::new(1.0_f32, Inclusion::Laplace, Logits::new()).expect("k");
    let length = Err(Error::Length {
        expected: 2,
        found: 1,
    });
    assert_eq!(map.map(&[0.0; 2][..], &mut [0.0; 1][..]), length);
    assert_eq!(map.vjp(&[0.0; 2], &[0.0; 2], &mut [0.0; 1]), length);
    assert_eq!(map.vjp(&[0.0; 2], &[0.0; 1], &mut [0.0; 2]), length);
    let sunk = Logits::new().with_sink(0.0).expect("finite");
    let map = SoftTopK::new(1.0_f32, Inclusion::Laplace, sunk).expect("k");
    assert_eq!(map.map_in_place(&mut [0.0; 2][..]), Err(Error::Unsupported));
    assert_eq!(
        map.vjp(&[0.0; 2], &[0.0; 2], &mut [0.0; 2]),
        Err(Error::Unsupported)
    );
}
