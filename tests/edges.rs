//! The edge contract of the probability room: one test for each line of its table, for every map.

use suanzi::probability::{
    Entmax, Inclusion, LogSoftmax, LogSumExp, Logits, Mask, Noise, Normalized, Normmax, PerturbMax,
    ProbabilityMap, SoftTopK, Softmax, SparseSoftmax, Sparsemax, argmax,
};
use suanzi::{Cpu, Error, Parameter};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// Applies every map of logits to a row, on every level.
fn each(logits: Logits<'_, f32>, x: &[f32], see: impl Fn(&str, &[f32])) {
    for cpu in Cpu::levels().filter_map(|level| Cpu::with(level).ok()) {
        let entmax = |alpha| Entmax::new(alpha, logits).expect("in its domain").on(cpu);
        let sparse = SparseSoftmax::new(logits).on(cpu);
        let soft = |inclusion| {
            let map = SoftTopK::new(1.0, inclusion, logits);
            map.expect("positive").on(cpu)
        };
        let maps: [(&str, &dyn ProbabilityMap<[f32]>); 22] = [
            ("softmax", &Softmax::new(logits).on(cpu)),
            ("sparsemax", &Sparsemax::new(logits).on(cpu)),
            ("entmax 1", &entmax(1.0)),
            ("entmax 1.25", &entmax(1.25)),
            ("entmax 1.5", &entmax(1.5)),
            ("entmax 3", &entmax(3.0)),
            ("top-k", &sparse.with_top_k(3).expect("positive")),
            ("top-p", &sparse.with_top_p(0.999_999).expect("a share")),
            ("min-p", &sparse.with_min_p(1e-6).expect("a share")),
            (
                "normmax",
                &Normmax::new(2.0, logits).expect("in its domain").on(cpu),
            ),
            ("soft top-k, clamped", &soft(Inclusion::Clamped)),
            ("soft top-k, exponential", &soft(Inclusion::Exponential)),
            ("soft top-k, logistic", &soft(Inclusion::Logistic)),
            ("soft top-k, Laplace", &soft(Inclusion::Laplace)),
            ("soft top-k of subsets", &soft(Inclusion::Subsets)),
            (
                "Taylor",
                &Normalized::taylor(4, logits).expect("even").on(cpu),
            ),
            ("spherical", &Normalized::spherical(logits).on(cpu)),
            ("sigmoid", &Normalized::sigmoid(logits).on(cpu)),
            ("softplus", &Normalized::softplus(logits).on(cpu)),
            (
                "exponential",
                &PerturbMax::new(Noise::Exponential, logits).on(cpu),
            ),
            ("normal", &PerturbMax::new(Noise::Normal, logits).on(cpu)),
            (
                "logistic",
                &PerturbMax::new(Noise::Logistic, logits).on(cpu),
            ),
        ];
        for (name, map) in maps {
            let mut out = x.to_vec();
            map.map_in_place(&mut out).expect("one row");
            see(name, &out);
            let mut other = vec![7.0; x.len()];
            map.map(x, &mut other).expect("lengths agree");
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&out), bits(&other), "{name}, out of place");
        }
    }
}

fn log_softmax(x: &[f32]) -> Vec<f32> {
    let mut out = x.to_vec();
    LogSoftmax::default()
        .map_in_place(&mut out)
        .expect("one row");
    out
}

fn log_sum_exp(x: &[f32]) -> f32 {
    LogSumExp::default().reduce(x).expect("no mask")
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-6
}

#[test]
fn empty_rows_give_nothing() {
    each(Logits::new(), &[], |name, p| {
        assert!(p.is_empty(), "{name}");
    });
    assert_eq!(log_sum_exp(&[]), -INF);
}

#[test]
fn one_finite_element_is_everything() {
    for x in [0.5, 3.0, 77.0, -2.5] {
        each(Logits::new(), &[x], |name, p| {
            assert!(near(p[0], 1.0), "{name} of {x}: {p:?}");
        });
        assert!(near(log_softmax(&[x])[0], 0.0));
        assert!((log_sum_exp(&[x]) / x - 1.0).abs() <= 1e-6);
    }
}

#[test]
fn some_minus_infinities_are_exactly_zero() {
    let x = [1.0, -INF, 0.75, -INF];
    each(Logits::new(), &x, |name, p| {
        assert_eq!((p[1], p[3]), (0.0, 0.0), "{name}");
        assert!(near(p[0] + p[2], 1.0) && p[0] > p[2], "{name}: {p:?}");
    });
    assert_eq!(log_softmax(&x)[1], -INF);
    assert_eq!(log_sum_exp(&x), log_sum_exp(&[1.0, 0.75]));
}

#[test]
fn masked_values_are_never_read_into_the_result() {
    let keep = [true, false, true, false];
    for poison in [NAN, INF, 1e30] {
        let x = [1.0, poison, 0.75, poison];
        each(Logits::new().masked(Mask::Keep(&keep)), &x, |name, p| {
            assert_eq!((p[1], p[3]), (0.0, 0.0), "{name}");
            assert!(near(p[0] + p[2], 1.0), "{name} beside {poison}: {p:?}");
        });
    }
}

#[test]
fn nothing_left_is_all_zeros() {
    each(Logits::new(), &[-INF; 5], |name, p| {
        assert_eq!(p, [0.0; 5], "{name}");
    });
    let keep = [false; 5];
    each(
        Logits::new().masked(Mask::Keep(&keep)),
        &[NAN; 5],
        |name, p| {
            assert_eq!(p, [0.0; 5], "{name}");
        },
    );
    assert_eq!(
        (log_softmax(&[-INF; 2]), log_sum_exp(&[-INF; 2])),
        (vec![-INF; 2], -INF)
    );
}

#[test]
fn infinite_scores_share_the_whole() {
    each(Logits::new(), &[3.0, INF, -INF, INF], |name, p| {
        assert_eq!(p, [0.0, 0.5, 0.0, 0.5], "{name}");
    });
    assert_eq!(log_sum_exp(&[0.0, INF]), INF);
    assert_eq!(log_softmax(&[0.0, INF]), [-INF, 0.0]);
}

#[test]
fn nan_makes_everything_the_one_nan() {
    for x in [[0.0, NAN, 1.0], [INF, -NAN, 1.0], [-INF, NAN, -INF]] {
        each(Logits::new(), &x, |name, p| {
            assert!(
                p.iter().all(|p| p.to_bits() == NAN.to_bits()),
                "{name}: {p:?}"
            );
        });
        assert!(log_softmax(&x).iter().all(|p| p.is_nan()) && log_sum_exp(&x).is_nan());
    }
}

#[test]
fn equal_inputs_have_equal_outputs() {
    let x = [0.5, 0.25, 0.5, 0.25, 0.5];
    each(Logits::new(), &x, |name, p| {
        assert!(p[0] == p[2] && p[2] == p[4], "{name}: {p:?}");
        assert!(p[1] == p[3] && p[1] <= p[0], "{name}: {p:?}");
    });
}

#[test]
fn all_equal_is_uniform() {
    for n in [2, 3, 130] {
        each(Logits::new(), &vec![0.5; n], |name, p| {
            let kept = if name == "top-k" { n.min(3) } else { n };
            assert!(
                p.iter().all(|&p| p == 0.0 || near(p * kept as f32, 1.0)),
                "{name}: {p:?}"
            );
            // Top-p of less than all leaves out the last, no more.
            let support = p.iter().filter(|&&p| p > 0.0).count();
            assert!(
                support == kept || name == "top-p" && support + 1 == kept,
                "{name}: {support}"
            );
        });
    }
}

#[test]
fn a_huge_spread_and_subnormal_numbers_are_within_the_simplex() {
    for x in [
        [3e38, -3e38, 0.0],
        [1e-45, -1e-45, 1e-40],
        [88.0, -104.0, 1e-30],
    ] {
        each(Logits::new(), &x, |name, p| {
            assert!(near(p.iter().sum(), 1.0), "{name} of {x:?}: {p:?}");
            assert!(
                p.iter().all(|p| (0.0..=1.000_001).contains(p)),
                "{name}: {p:?}"
            );
        });
    }
}

#[test]
fn temperature_zero_is_argmax() {
    let zero = Logits::<f32>::new().scaled(1.0 / 0.0).err();
    assert_eq!(zero, Some(Error::Domain(Parameter::Scale)));
    assert_eq!(argmax(Cpu::default(), &[1.0_f32, 3.0, 3.0]), Some(1));
    // Close to it every map has its corner.
    let logits = Logits::new().scaled(1e4).expect("finite");
    each(logits, &[1.0, 3.0, 2.0], |name, p| {
        let own = ["Taylor", "spherical", "softplus", "sigmoid"].contains(&name);
        assert!(own || p == [0.0, 1.0, 0.0], "{name}: {p:?}");
    });
}
