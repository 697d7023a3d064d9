//! The sparse maps against their definitions, on every level.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{Ulp, bound32, bound64, ulps};
use inputs::{Number, Random, check, executors, rows};
use reference::golden;
use reference::wide::Wide;
use reference::{probability, sparse as definition};
use suanzi::probability::{
    Entmax, Logits, Mask, ProbabilityMap, Softmax, SparseSoftmax, Sparsemax, argmax, draw,
};
use suanzi::{Cpu, Error, Parameter};

/// Lengths about the list of candidates, which is thinned out at 128.
const LENGTHS: [usize; 22] = [
    0, 1, 2, 3, 5, 8, 15, 16, 17, 33, 63, 64, 65, 127, 128, 129, 130, 144, 145, 257, 1000, 1500,
];

/// The probability that units in the last place are counted from.
const FLOOR: f64 = 1.0 / (1_u64 << 32) as f64;

/// A map on an executor, of a row into another or, if so told, in place.
type Map<'a, T> = &'a dyn Fn(Cpu, &[T], &mut [T], bool);

/// Holds a map to the table on every level, and to the same bits in and out of place.
fn hold<T: Number>(operation: &str, map: Map<'_, T>, x: &[T], want: &[Wide], name: &str) {
    let mut first: Option<Vec<T>> = None;
    for cpu in executors() {
        let context = || format!("{name}, {:?}, fused {}", cpu.level(), cpu.is_fused());
        let mut out = vec![T::from_f64(7.0); x.len()];
        map(cpu, x, &mut out, false);
        check(operation, FLOOR, &out, want, &context);
        for (got, want) in out.iter().zip(want) {
            assert!(want.high != 0.0 || got.value() == 0.0, "{}", context());
        }
        let bits = |x: &[T]| x.iter().map(|x| x.representation()).collect::<Vec<_>>();
        let mut in_place = x.to_vec();
        map(cpu, x, &mut in_place, true);
        assert_eq!(bits(&in_place), bits(&out), "in place, {}", context());
        // The general power multiplies and adds in the processor's arithmetic.
        if !cpu.is_fused() {
            let first = first.get_or_insert_with(|| out.clone());
            assert_eq!(bits(first), bits(&out), "other bits: {}", context());
        }
    }
}

/// Applies a map in either way.
fn apply<T, M: ProbabilityMap<[T]>>(map: &M, x: &[T], out: &mut [T], in_place: bool) {
    if in_place {
        map.map_in_place(out).expect("one row");
    } else {
        map.map(x, out).expect("lengths agree");
    }
}

fn entmax<T: Number>(alpha: f64, x: &[T], name: &str) {
    let scores: Vec<f64> = x.iter().map(|x| x.value()).collect();
    let want = definition::entmax(&scores, alpha, 1.0);
    let of = |alpha: f64| Entmax::new(T::from_f64(alpha), Logits::new()).expect("in its domain");
    let operation = match alpha {
        1.0 => "softmax",
        1.5 => "entmax of 1.5",
        2.0 => "sparsemax",
        _ => "entmax",
    };
    let map = |cpu, x: &[T], out: &mut [T], in_place| apply(&of(alpha).on(cpu), x, out, in_place);
    hold(operation, &map, x, &want, &format!("{name}, alpha {alpha}"));
    if alpha == 2.0 {
        let map = |cpu, x: &[T], out: &mut [T], in_place| {
            apply(&Sparsemax::default().on(cpu), x, out, in_place);
        };
        hold(operation, &map, x, &want, name);
    }
}

#[test]
fn every_row_is_within_the_table_with_the_same_bits() {
    for n in LENGTHS {
        for (name, x) in rows::<f32>(n) {
            for alpha in [1.5, 2.0] {
                entmax(alpha, &x, &format!("{name}, {n}"));
            }
            if n <= 257 {
                for alpha in [1.25, 1.75, 3.0] {
                    entmax(alpha, &x, &format!("{name}, {n}"));
                }
            }
        }
        for (name, x) in rows::<f64>(n) {
            for alpha in [1.5, 2.0] {
                entmax(alpha, &x, &format!("{name}, {n}"));
            }
        }
    }
}

/// Rows in which most elements are in the support, or come near it.
#[test]
fn adversarial_rows_are_as_exact() {
    for n in [100, 128, 129, 300, 1000] {
        let decaying: Vec<f32> = (0..n).map(|i| -(i as f32) / n as f32).collect();
        let ascending: Vec<f32> = (0..n).map(|i| 1e-4 * i as f32).collect();
        let tied: Vec<f32> = (0..n).map(|i| (i % 3) as f32 * 0.01).collect();
        for (name, x) in [
            ("decaying", decaying),
            ("ascending", ascending),
            ("tied", tied),
        ] {
            for alpha in [1.0625, 1.25, 1.5, 2.0, 2.5, 5.0] {
                entmax(alpha, &x, &format!("{name}, {n}"));
            }
        }
    }
}

/// Returns a row that keeps Newton's method busy: behind each threshold that sparsemax visits wait half of the
/// elements that are left, so that half of the excess stays.
fn slow(n: usize) -> Vec<f32> {
    let (mut left, mut tau, mut excess) = (n, -1.0_f32, 0.001 * n as f32);
    let mut x = Vec::with_capacity(n);
    while left > 1 {
        let (step, out) = (excess / left as f32, left.div_ceil(2));
        x.extend(core::iter::repeat_n(tau.next_up(), out));
        excess = out as f32 * step;
        tau += step;
        left -= out;
    }
    x.push(0.0);
    x
}

/// A long row needs more steps than any other that is known: 15, and those that find the last places.
#[test]
fn the_slowest_rows_are_as_exact() {
    for n in [3000, 200_000] {
        let x = slow(n);
        for alpha in [1.5, 2.0] {
            entmax(alpha, &x, &format!("slow, {n}"));
        }
        let turned: Vec<f32> = x.iter().rev().copied().collect();
        entmax(2.0, &turned, &format!("slow, turned, {n}"));
    }
}

/// In `f64` a general power is as exact as its logarithm, and the threshold as the sum.
#[test]
fn general_powers_in_double_precision_are_within_the_table() {
    let mut random = Random(21);
    for n in [1, 2, 17, 100, 300] {
        let x: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        for alpha in [1.0625, 1.25, 1.75, 3.0] {
            let want = definition::entmax(&x, alpha, 1.0);
            for cpu in executors() {
                let mut out = x.clone();
                let map = Entmax::new(alpha, Logits::new()).expect("in its domain");
                map.on(cpu).map_in_place(&mut out[..]).expect("one row");
                for (&got, want) in out.iter().zip(&want) {
                    let p = want.high;
                    let size = 1.0 + 1.0 / p.powf(alpha - 1.0) + p.ln().abs();
                    let bound = bound64("entmax") * 2.0_f64.powi(-53) * p * size;
                    assert!(
                        (got - p).abs() <= bound || p == 0.0 && got == 0.0,
                        "{n}, {alpha}, {cpu:?}: {got:e} for {p:e}, bound {bound:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn golden_vectors_hold() {
    for (file, operation) in [
        ("sparsemax.gv", "sparsemax"),
        ("entmax15.gv", "entmax of 1.5"),
        ("entmax_alpha.gv", "entmax"),
    ] {
        for case in golden::read(file) {
            let x = case.get32("x");
            let alpha = case.get32("alpha").first().copied();
            let alpha = alpha.unwrap_or(if operation == "sparsemax" { 2.0 } else { 1.5 });
            let want = case
                .get("p")
                .or(case.get("p_at"))
                .or(case.get("p_limit"))
                .expect("probabilities");
            let at: Vec<usize> = case.get("at").map_or((0..x.len()).collect(), |at| {
                at.iter().map(|&i| i as usize).collect()
            });
            assert_eq!(at.len(), want.len(), "{}", case.head);
            for cpu in executors() {
                let mut out = vec![7.0; x.len()];
                let map = Entmax::new(alpha, Logits::new()).expect("in its domain");
                apply(&map.on(cpu), &x, &mut out, false);
                for (&at, &want) in at.iter().zip(want) {
                    let got = out[at];
                    let error = ulps(got, want, 0.0, FLOOR);
                    assert!(
                        error <= bound32(operation) && (want != 0.0 || got == 0.0),
                        "{}, {cpu:?}: {got:e} for {want:e}",
                        case.head
                    );
                }
            }
        }
    }
}

/// The limits of the family, and its order: a greater alpha has a smaller support.
#[test]
fn the_family_is_continuous() {
    let mut random = Random(3);
    let x: Vec<f32> = (0..40).map(|_| random.normal() as f32).collect();
    let of = |alpha: f32| {
        let mut out = x.clone();
        let map = Entmax::new(alpha, Logits::new()).expect("in its domain");
        map.map_in_place(&mut out[..]).expect("one row");
        out
    };
    let mut softmax = x.clone();
    Softmax::default()
        .map_in_place(&mut softmax[..])
        .expect("one row");
    assert_eq!(of(1.0), softmax);
    for (near, softmax) in of(1.0 + f32::EPSILON).iter().zip(&softmax) {
        assert!((near / softmax - 1.0).abs() < 1e-4, "{near} {softmax}");
    }
    let support = |alpha| of(alpha).iter().filter(|&&p| p > 0.0).count();
    let sizes: Vec<usize> = [1.01, 1.2, 1.5, 1.9, 2.0, 2.1, 4.0, 20.0]
        .map(support)
        .to_vec();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
}

/// Equal inputs have equal outputs, greater ones no smaller, and a shift by a power of two changes
/// nothing where it is exact.
#[test]
fn maps_are_monotone_and_shift_invariant() {
    let mut random = Random(8);
    for n in [2, 7, 64, 200] {
        // Multiples of 2^-10, some of them equal.
        let x: Vec<f32> = (0..n)
            .map(|_| (random.normal() * 512.0).round() as f32 / 1024.0)
            .collect();
        for alpha in [1.25, 1.5, 2.0, 3.0] {
            let map = Entmax::new(alpha, Logits::new()).expect("in its domain");
            let of = |shift: f32| {
                let mut out: Vec<f32> = x.iter().map(|x| x + shift).collect();
                map.map_in_place(&mut out[..]).expect("one row");
                out
            };
            let p = of(0.0);
            assert_eq!(p, of(64.0));
            assert_eq!(p, of(-1024.0));
            for (a, p) in x.iter().zip(&p) {
                for (b, q) in x.iter().zip(&of(0.0)) {
                    assert!(a > b && p >= q || a < b && p <= q || a == b && p == q);
                }
            }
            let sum: f64 = p.iter().map(|&p| f64::from(p)).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
    }
}

#[test]
fn a_radius_scales_the_simplex() {
    let bound = bound32("sparsemax");
    let mut random = Random(4);
    for radius in [1e-3_f32, 0.5, 3.0, 1e4] {
        for n in [1, 10, 150, 1000] {
            let x: Vec<f32> = (0..n).map(|_| random.normal() as f32).collect();
            let scores: Vec<f64> = x.iter().map(|&x| x.into()).collect();
            let want = definition::entmax(&scores, 2.0, radius.into());
            for cpu in executors() {
                let map = Sparsemax::default()
                    .on(cpu)
                    .with_radius(radius)
                    .expect("positive");
                let mut out = x.clone();
                map.map_in_place(&mut out[..]).expect("one row");
                for (&got, want) in out.iter().zip(&want) {
                    let error = (f64::from(got) - want.high).abs() / f32::ulp(want.high);
                    assert!(error <= bound, "{radius}, {n}: {got:e} for {:e}", want.high);
                }
            }
        }
    }
}

/// Scores are the logits rounded once after scale and mask; a masked value is not read.
#[test]
fn logits_are_scaled_and_masked_before() {
    let keep = [true, true, false, true];
    let x = [1.0_f32, 0.5, f32::NAN, 0.75];
    for cpu in executors() {
        let logits = Logits::new()
            .scaled(0.5)
            .expect("finite")
            .masked(Mask::Keep(&keep));
        let mut out = [7.0; 4];
        Sparsemax::new(logits)
            .on(cpu)
            .map(&x[..], &mut out[..])
            .expect("lengths agree");
        // The scores are 1/2, 1/4 and 3/8, all in the support.
        let tau = (0.5 + 0.25 + 0.375 - 1.0) / 3.0;
        for (got, score) in out.iter().zip([0.5, 0.25, tau, 0.375]) {
            assert!((f64::from(*got) - (score - tau)).abs() <= 6e-8, "{out:?}");
        }
        let mut two = [x, x].concat();
        Sparsemax::new(logits)
            .on(cpu)
            .map_rows(&mut two[..], 4)
            .expect("whole rows");
        assert_eq!(two, [out, out].concat());
    }
}

#[test]
fn bad_arguments_are_refused() {
    fn alpha(alpha: f32) -> Option<Error> {
        Entmax::new(alpha, Logits::new()).err()
    }
    for bad in [0.999, 0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(alpha(bad), Some(Error::Domain(Parameter::Alpha)));
    }
    for bad in [0.0_f64, -1.0, f64::NAN, f64::INFINITY] {
        let refused = Sparsemax::default().with_radius(bad).err();
        assert_eq!(refused, Some(Error::Domain(Parameter::Radius)));
    }
    let mut x = [1.0_f32, 2.0, 3.0];
    let before = x;
    assert!(Sparsemax::default().map_rows(&mut x[..], 2).is_err());
    assert!(Sparsemax::default().map(&before[..2], &mut x[..]).is_err());
    let masked = Logits::new().masked(Mask::Keep(&[true]));
    assert!(Sparsemax::new(masked).map_in_place(&mut x[..]).is_err());
    assert_eq!(x, before);
}

/// Whether what is kept does not hang on the last digits: no sum of probabilities comes close to top-p,
/// and none to min-p.
fn decided(scores: &[Wide], p: &[f64], top_k: usize, top_p: f64, min_p: f64) -> bool {
    let near = |by: f64| {
        definition::kept(scores, p, top_k, top_p * (1.0 + by), min_p)
            == definition::kept(scores, p, top_k, top_p * (1.0 - by), min_p)
            && definition::kept(scores, p, top_k, top_p, min_p * (1.0 + by))
                == definition::kept(scores, p, top_k, top_p, min_p * (1.0 - by))
    };
    top_p == 1.0 && min_p == 0.0 || near(1e-5)
}

fn sparse_softmax<T: Number>(x: &[T], (top_k, top_p, min_p): (usize, f64, f64), name: &str) {
    let [top_p, min_p] = [top_p, min_p].map(T::from_f64);
    let scores: Vec<Wide> = x.iter().map(|x| x.value().into()).collect();
    let whole = probability::softmax(&scores);
    let p: Vec<f64> = whole.iter().map(|p| p.high).collect();
    // Top-p tells probabilities apart, not scores.
    let blurred = top_p.value() < 1.0 && name.contains("subnormal");
    let edges =
        blurred || p.iter().any(|p| p.is_nan()) || x.iter().any(|x| x.value() == f64::INFINITY);
    if edges || !decided(&scores, &p, top_k, top_p.value(), min_p.value()) {
        return;
    }
    let kept = definition::kept(&scores, &p, top_k, top_p.value(), min_p.value());
    let left: Vec<Wide> = scores
        .iter()
        .zip(&kept)
        .map(|(&s, &kept)| if kept { s } else { f64::NEG_INFINITY.into() })
        .collect();
    let want = probability::softmax(&left);
    let of = |cpu| {
        let map = SparseSoftmax::new(Logits::new()).on(cpu);
        map.with_top_k(top_k)
            .and_then(|map| map.with_top_p(top_p))
            .and_then(|map| map.with_min_p(min_p))
            .expect("in their domains")
    };
    let map = |cpu, x: &[T], out: &mut [T], in_place| apply(&of(cpu), x, out, in_place);
    let name = format!("{name}, {top_k}, {top_p:?}, {min_p:?}");
    hold("sparse softmax", &map, x, &want, &name);
}

#[test]
fn the_most_probable_elements_are_kept() {
    let all = usize::MAX;
    for n in LENGTHS {
        for (name, x) in rows::<f32>(n) {
            let name = format!("{name}, {n}");
            for k in [1, 2, 40, 64, 65, 127, 200, n.max(2) - 1, n.max(1)] {
                sparse_softmax(&x, (k, 1.0, 0.0), &name);
            }
            for rules in [
                (all, 0.9, 0.0),
                (all, 0.3, 0.0),
                (all, 1.0, 0.05),
                (50, 0.9, 0.02),
                (100, 0.7, 0.0),
            ] {
                sparse_softmax(&x, rules, &name);
            }
        }
        for (name, x) in rows::<f64>(n) {
            for rules in [
                (5, 1.0, 0.0),
                (70, 1.0, 0.0),
                (all, 0.8, 0.0),
                (all, 1.0, 0.1),
            ] {
                sparse_softmax(&x, rules, &format!("{name}, {n}"));
            }
        }
    }
}

/// Rows that fill the list of candidates over and over, and rows of few different values.
#[test]
fn of_equal_elements_the_first_are_kept() {
    for n in [10, 130, 300, 1000] {
        let ascending: Vec<f32> = (0..n).map(|i| 0.01 * i as f32).collect();
        let tied: Vec<f32> = (0..n).map(|i| (i * 7 % 3) as f32).collect();
        let equal = vec![-0.0_f32; n];
        for (name, x) in [("ascending", ascending), ("tied", tied), ("equal", equal)] {
            for k in [1, 3, 63, 64, 65, 100] {
                sparse_softmax(&x, (k, 1.0, 0.0), &format!("{name}, {n}"));
            }
        }
    }
    // Half of eight equal elements make up exactly half.
    let mut p = [1.0_f32; 8];
    let half = SparseSoftmax::new(Logits::new())
        .with_top_p(0.5)
        .expect("a share");
    half.map_in_place(&mut p[..]).expect("one row");
    assert_eq!(p, [0.25, 0.25, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn golden_top_k_holds() {
    for case in golden::read("topk_softmax.gv") {
        let x = case.get32("x");
        let k = case.get("k").expect("k")[0] as usize;
        let want = case
            .get("p")
            .or(case.get("p_first"))
            .expect("probabilities");
        for cpu in executors() {
            let mut out = x.clone();
            let map = SparseSoftmax::new(Logits::new())
                .with_top_k(k)
                .expect("positive");
            map.on(cpu).map_in_place(&mut out[..]).expect("one row");
            for (&got, &want) in out.iter().zip(want) {
                let error = ulps(got, want, 0.0, 0.0);
                assert!(
                    error <= bound32("sparse softmax"),
                    "{}: {got:e} {want:e}",
                    case.head
                );
            }
        }
    }
}

#[test]
fn infinite_scores_share_among_the_first() {
    let inf = f32::INFINITY;
    for cpu in executors() {
        let mut p = [1.0, inf, inf, 2.0, inf];
        let map = SparseSoftmax::new(Logits::new())
            .with_top_k(2)
            .expect("positive")
            .on(cpu);
        map.map_in_place(&mut p[..]).expect("one row");
        assert_eq!(p, [0.0, 0.5, 0.5, 0.0, 0.0]);
        let mut p = [1.0, f32::NAN, 3.0];
        map.map_in_place(&mut p[..]).expect("one row");
        assert!(p.iter().all(|p| p.is_nan()));
        let mut p = [-inf; 3];
        map.map_in_place(&mut p[..]).expect("one row");
        assert_eq!(p, [0.0; 3]);
    }
    let map = SparseSoftmax::<f32>::new(Logits::new());
    assert_eq!(
        map.with_top_k(0).err(),
        Some(Error::Domain(Parameter::TopK))
    );
    for bad in [0.0, 1.5, f32::NAN] {
        assert_eq!(
            map.with_top_p(bad).err(),
            Some(Error::Domain(Parameter::Share))
        );
    }
    for bad in [-0.5, 1.5, f32::NAN] {
        assert_eq!(
            map.with_min_p(bad).err(),
            Some(Error::Domain(Parameter::Share))
        );
    }
}

#[test]
fn a_token_is_drawn_with_its_probability() {
    let mut random = Random(6);
    for n in [1, 2, 100, 128, 129, 1000] {
        // Multiples of 2^-10, so that every sum is exact.
        let mut p: Vec<f32> = (0..n)
            .map(|_| (random.unit() * 8.0).floor() as f32 / 1024.0)
            .collect();
        p[n / 2] = 0.5;
        let total: f32 = p.iter().sum();
        for cpu in executors() {
            for _ in 0..50 {
                let uniform = random.unit() as f32;
                let mut sum = 0.0;
                let want = p.iter().position(|p| {
                    sum += p;
                    sum > uniform * total
                });
                assert_eq!(draw(cpu, &p, uniform), want, "{n}, {uniform}, {cpu:?}");
            }
            let first = p.iter().position(|&p| p > 0.0);
            let last = p.iter().rposition(|&p| p > 0.0);
            assert_eq!(draw(cpu, &p, 0.0), first);
            assert_eq!(draw(cpu, &p, f32::NAN), first);
            assert_eq!(draw(cpu, &p, 1.0), last);
            assert_eq!(draw(cpu, &p, 7.0), last);
            assert_eq!(argmax(cpu, &p), Some(n / 2));
        }
    }
    let cpu = Cpu::default();
    assert_eq!(draw(cpu, &[0.0_f64, f64::NAN], 0.5), None);
    assert_eq!(draw(cpu, &[f64::INFINITY], 0.5), None);
    assert_eq!(draw::<f64>(cpu, &[], 0.5), None);
    assert_eq!(argmax::<f64>(cpu, &[]), None);
    assert_eq!(argmax(cpu, &[f64::NEG_INFINITY; 2]), Some(0));
}
