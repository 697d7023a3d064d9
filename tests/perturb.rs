//! Perturbed maxima and their samplers, against golden vectors and counts.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{Ulp, bound32, bound64, ulps};
use inputs::{check, executors, rows};
use reference::wide::Wide;
use reference::{golden, probability};
use suanzi::probability::{
    Distribution, Logits, Noise, PerturbMax, ProbabilityMap, Softmax, gumbel_max, gumbel_softmax,
    gumbel_top_k, perturb_max_with,
};
use suanzi::{Error, Parameter};

/// The probability that units in the last place are counted from.
const FLOOR: f64 = 1.0 / (1_u64 << 60) as f64;

fn noise(name: &str) -> Noise {
    match name {
        "gumbel" => Noise::Gumbel,
        "exponential" => Noise::Exponential,
        "normal" => Noise::Normal,
        "logistic" => Noise::Logistic,
        _ => panic!("no noise {name}"),
    }
}

/// A noise by its functions alone.
struct Named(Noise);

impl Distribution for Named {
    fn cumulative(&self, z: f64) -> f64 {
        match self.0 {
            Noise::Gumbel => (-(-z).exp()).exp(),
            Noise::Exponential => 1.0 - (-z.max(0.0)).exp(),
            Noise::Normal => libm::erfc(-z * core::f64::consts::FRAC_1_SQRT_2) / 2.0,
            Noise::Logistic => 1.0 / (1.0 + (-z).exp()),
        }
    }
    fn quantile(&self, u: f64) -> f64 {
        self.0.quantile(u)
    }
}

#[test]
fn golden_vectors_hold() {
    for case in golden::read("perturb_max.gv") {
        let (x, p) = (case.get32("x"), case.get("p").expect("probabilities"));
        let noise = noise(case.key("kind").expect("a noise"));
        for cpu in executors() {
            let mut out = x.clone();
            let map = PerturbMax::new(noise, Logits::new()).on(cpu);
            map.map_in_place(&mut out[..]).expect("one row");
            for (&got, &want) in out.iter().zip(p) {
                let error = ulps(got, want, 0.0, FLOOR);
                assert!(
                    error <= bound32("perturb max"),
                    "{}: {got:e} for {want:e}",
                    case.head
                );
            }
        }
        let wide: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        let mut out = vec![0.0; x.len()];
        PerturbMax::new(noise, Logits::new())
            .map(&wide[..], &mut out[..])
            .expect("lengths agree");
        for (&got, &want) in out.iter().zip(p) {
            assert!(
                (got - want).abs() <= bound64("perturb max") * f64::ulp(want.max(FLOOR)),
                "{}: {got} {want}",
                case.head
            );
        }
        perturb_max_with(&Named(noise), &wide, &mut out).expect("lengths agree");
        for (&got, &want) in out.iter().zip(p) {
            // The exponential distribution has a corner: a thousandth.
            let smooth = bound64("perturb max with a distribution");
            let bound = if noise == Noise::Exponential {
                1e6 * smooth
            } else {
                smooth
            };
            assert!((got - want).abs() <= bound, "{}: {got} {want}", case.head);
        }
    }
    for case in golden::read("noise_quantile.gv") {
        let u = case.get32("u");
        for name in ["gumbel", "exponential", "normal", "logistic"] {
            let want = case.get(name).expect("quantiles");
            for (&u, &want) in u.iter().zip(want) {
                let got = noise(name).quantile(u);
                assert!(
                    ulps(got, want, 0.0, 0.0) <= bound32("noise quantile"),
                    "{name} {u}: {got} {want}"
                );
                let got = noise(name).quantile(f64::from(u));
                assert!(
                    (got - want).abs()
                        <= bound64("noise quantile") * 2.0_f64.powi(-53) * want.abs().max(0.1),
                    "{name} {u}: {got} {want}"
                );
            }
        }
    }
}

/// The gradients against differences of the map, and their sum, which a shift leaves at zero.
#[test]
fn gradients_are_differences() {
    for n in [2, 3, 9, 70] {
        let x: Vec<f64> = (0..n).map(|i| (i as f64 * 1.3).sin() * 1.5).collect();
        let dp: Vec<f64> = (0..n).map(|i| (i as f64 * 2.1).cos()).collect();
        for noise in [
            Noise::Gumbel,
            Noise::Exponential,
            Noise::Normal,
            Noise::Logistic,
        ] {
            let map = PerturbMax::new(noise, Logits::new());
            let value = |i: usize, by: f64| -> f64 {
                let (mut x, mut p) = (x.clone(), vec![0.0; n]);
                x[i] += by;
                map.map(&x[..], &mut p[..]).expect("lengths agree");
                p.iter().zip(&dp).map(|(p, dp)| p * dp).sum()
            };
            for cpu in executors() {
                let mut dx = vec![7.0; n];
                map.on(cpu).vjp(&x, &dp, &mut dx).expect("lengths agree");
                assert!(dx.iter().sum::<f64>().abs() < 1e-12);
                for (i, dx) in dx.iter().enumerate() {
                    let h = 1e-4;
                    let want = (value(i, h) - value(i, -h)) / (2.0 * h);
                    assert!(
                        (dx - want).abs() < bound64("perturb max vjp"),
                        "{noise:?} {n} {i}: {dx} {want}"
                    );
                }
                let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
                let mut single = vec![7.0; n];
                PerturbMax::new(noise, Logits::new())
                    .on(cpu)
                    .vjp(&narrow(&x), &narrow(&dp), &mut single)
                    .expect("lengths agree");
                for (single, dx) in single.iter().zip(&dx) {
                    assert!(
                        (f64::from(*single) - dx).abs() < bound32("perturb max vjp"),
                        "{noise:?} {n}"
                    );
                }
            }
        }
    }
    // Minus infinity moves nothing, and where infinities or NaN decide nothing does.
    let map = PerturbMax::new(Noise::Normal, Logits::new());
    for (x, still) in [
        ([0.0, 1.0, f64::NEG_INFINITY], 2..3),
        ([0.0, 1.0, f64::INFINITY], 0..3),
        ([0.0, f64::NAN, 1.0], 0..3),
    ] {
        let mut dx = [7.0; 3];
        map.vjp(&x, &[1.0, 2.0, 3.0], &mut dx)
            .expect("lengths agree");
        assert!(dx[still].iter().all(|&dx| dx == 0.0), "{dx:?}");
    }
    let length = Error::Length {
        expected: 2,
        found: 1,
    };
    assert_eq!(map.vjp(&[0.0; 2], &[0.0], &mut [0.0; 2]), Err(length));
    assert_eq!(map.vjp(&[0.0; 2], &[0.0; 2], &mut [0.0]), Err(length));
}

/// Long rows add up to one, equal scores share, and the noises keep the order.
#[test]
fn probabilities_are_a_point_of_the_simplex() {
    for n in [1, 2, 64, 65, 300, 2000] {
        let x: Vec<f64> = (0..n).map(|i| (i as f64 * 0.7).sin() * 3.0).collect();
        for noise in [
            Noise::Gumbel,
            Noise::Exponential,
            Noise::Normal,
            Noise::Logistic,
        ] {
            let map = PerturbMax::new(noise, Logits::new());
            let mut p = x.clone();
            map.map_in_place(&mut p[..]).expect("one row");
            let sum: f64 = p.iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{noise:?}, {n}: {sum}");
            for (a, p_a) in x.iter().zip(&p).take(50) {
                for (b, p_b) in x.iter().zip(&p).take(50) {
                    assert!(a <= b || *p_a >= p_b * (1.0 - 1e-12), "{noise:?}, {n}");
                }
            }
            let mut equal = vec![0.25_f32; n];
            let map = PerturbMax::new(noise, Logits::new());
            map.map_in_place(&mut equal[..]).expect("one row");
            assert!(
                equal.iter().all(|p| (p * n as f32 - 1.0).abs() < 1e-6),
                "{noise:?}, {n}"
            );
        }
    }
}

#[test]
fn edges_are_those_of_the_room() {
    for n in [0, 1, 2, 3, 17] {
        for (name, x) in rows::<f32>(n) {
            let scores: Vec<Wide> = x.iter().map(|&x| f64::from(x).into()).collect();
            let edge = name.contains("NaN") || name.contains("+inf") || name == "all -inf";
            for noise in [Noise::Exponential, Noise::Normal, Noise::Logistic] {
                for cpu in executors() {
                    let mut out = vec![7.0; n];
                    let map = PerturbMax::new(noise, Logits::new()).on(cpu);
                    map.map(&x[..], &mut out[..]).expect("lengths agree");
                    if edge || n == 0 {
                        let want = probability::softmax(&scores);
                        check("perturb max", 0.0, &out, &want, &|| {
                            format!("{name}, {noise:?}")
                        });
                    } else {
                        let sum: f32 = out.iter().sum();
                        assert!((sum - 1.0).abs() < 1e-6, "{name}, {noise:?}: {out:?}");
                    }
                }
            }
        }
    }
}

/// A fixed sequence of words.
fn words() -> impl FnMut() -> u32 {
    let mut state = 77_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    }
}

#[test]
fn samples_have_their_distribution() {
    const COUNT: usize = 200_000;
    let x = [1.0_f32, 0.2, -0.5, f32::NEG_INFINITY, 0.8];
    let mut p = x;
    Softmax::default()
        .map_in_place(&mut p[..])
        .expect("one row");
    let mut word = words();
    let (mut drawn, mut first, mut corners) = ([0_usize; 5], [0_usize; 5], [0.0_f64; 5]);
    for _ in 0..COUNT {
        drawn[gumbel_max(&x, &mut word).expect("a finite score")] += 1;
        let (mut places, mut keys) = ([0; 5], [0.0; 5]);
        let count = gumbel_top_k(&x, &mut word, &mut places, &mut keys).expect("lengths agree");
        assert_eq!(count, 4);
        assert!(keys[..4].is_sorted_by(|a, b| a >= b) && !places[..4].contains(&3));
        first[places[0]] += 1;
        let mut soft = [7.0; 5];
        gumbel_softmax(&x, 0.0, &mut word, &mut soft).expect("lengths agree");
        for (corner, soft) in corners.iter_mut().zip(soft) {
            *corner += f64::from(soft);
        }
    }
    for i in 0..5 {
        let want = f64::from(p[i]) * COUNT as f64;
        let allowed = 5.0 * want.sqrt();
        for got in [drawn[i] as f64, first[i] as f64, corners[i]] {
            assert!((got - want).abs() <= allowed, "{i}: {got} of {want}");
        }
    }
    // Means and variances.
    for (noise, mean, variance) in [
        (
            Noise::Gumbel,
            0.577_215_664_9,
            core::f64::consts::PI.powi(2) / 6.0,
        ),
        (Noise::Exponential, 1.0, 1.0),
        (Noise::Normal, 0.0, 1.0),
        (Noise::Logistic, 0.0, core::f64::consts::PI.powi(2) / 3.0),
    ] {
        let samples: Vec<f64> = (0..COUNT).map(|_| noise.sample::<f64>(word())).collect();
        let got = samples.iter().sum::<f64>() / COUNT as f64;
        let spread = samples.iter().map(|s| (s - got).powi(2)).sum::<f64>() / COUNT as f64;
        assert!(
            (got - mean).abs() < 0.015 && (spread / variance - 1.0).abs() < 0.02,
            "{noise:?}"
        );
        // Both ends are finite, and far.
        let ends = [noise.sample::<f32>(0), noise.sample::<f32>(u32::MAX)];
        assert!(
            ends.iter().all(|e| e.is_finite()) && ends[1] > 6.0,
            "{noise:?} {ends:?}"
        );
        assert!(noise.quantile(-0.1_f32).is_nan() && noise.quantile(f64::NAN).is_nan());
        assert_eq!(noise.quantile(1.0_f64), f64::INFINITY);
    }
}

#[test]
fn soft_samples_sum_to_one_and_bad_arguments_are_refused() {
    let (x, mut out) = ([0.0_f32, 1.0, 2.0], [7.0_f32; 3]);
    for tau in [0.1, 1.0, 10.0] {
        gumbel_softmax(&x, tau, words(), &mut out).expect("lengths agree");
        assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
    out = [7.0; 3];
    let bad = Err(Error::Domain(Parameter::Temperature));
    for tau in [-1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(gumbel_softmax(&x, tau, words(), &mut out), bad);
    }
    assert!(gumbel_softmax(&x, 1.0, words(), &mut out[..2]).is_err());
    assert!(gumbel_top_k(&x, words(), &mut [0; 2], &mut out).is_err());
    assert!(perturb_max_with(&Named(Noise::Normal), &x, &mut out[..1]).is_err());
    assert_eq!(out, [7.0; 3]);
    assert_eq!(gumbel_max(&[f32::NEG_INFINITY; 2], words()), None);
    assert_eq!(gumbel_max::<f64>(&[], words()), None);
}
