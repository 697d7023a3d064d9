//! Sparsemax, entmax, normmax, the sparse softmax and the soft top-k by their laws: the simplex, the
//! conditions of their optimum, order, permutation and shift, and the same bits on every level.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::Cpu;
use suanzi::probability::{
    Entmax, Inclusion, Logits, Normmax, ProbabilityMap, SoftTopK, SparseSoftmax,
};

#[derive(Arbitrary, Debug)]
struct Input {
    x: Vec<f32>,
    alpha: u8,
    top_k: u16,
    top_p: u8,
    min_p: u8,
    /// What scores are brought to: as they are, or within a few units of each other.
    near: bool,
    turn: u16,
    shift: i8,
    /// How often scores are repeated in a long row, and what each time is lower by, as a power of two.
    times: u16,
    fall: u8,
}

/// The longest row.
const LONGEST: usize = 200_000;

/// The orders that are tried.
const ALPHAS: [f32; 8] = [1.03125, 1.25, 1.5, 1.75, 2.0, 2.5, 4.0, 8.0];

/// The roads into a soft top-k.
const INCLUSIONS: [Inclusion; 5] = [
    Inclusion::Clamped,
    Inclusion::Exponential,
    Inclusion::Logistic,
    Inclusion::Laplace,
    Inclusion::Subsets,
];

/// Maps a row on every level, and holds them to the same bits.
fn on_every_level(x: &[f32], map: impl Fn(Cpu, &mut [f32])) -> Vec<f32> {
    let mut first: Option<Vec<f32>> = None;
    for level in Cpu::levels() {
        let Ok(cpu) = Cpu::with(level) else { continue };
        let mut out = x.to_vec();
        map(cpu, &mut out);
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let first = first.get_or_insert_with(|| out.clone());
        assert_eq!(bits(first), bits(&out), "{level:?}");
    }
    first.unwrap_or_default()
}

/// Checks that finite scores, one of them a number, became a point of the simplex in their order.
fn simplex(x: &[f32], p: &[f32]) {
    let sum: f64 = p.iter().map(|&p| f64::from(p)).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    in_order(x, p, 0.0);
}

/// Checks the conditions of the optimum: beta x_i - p_i^beta is the same threshold in the support, and no less
/// outside.
fn optimal(alpha: f32, x: &[f32], p: &[f32]) {
    let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let best = x.iter().position(|&x| x == max).unwrap_or(0);
    let beta = f64::from(alpha) - 1.0;
    let threshold =
        |i: usize| beta * (f64::from(x[i]) - f64::from(max)) - f64::from(p[i]).powf(beta);
    let tau = threshold(best);
    for i in 0..x.len() {
        let excess = threshold(i) - tau;
        // Probabilities are right to a few units of 2^-32 at least: tiny ones say little about the threshold.
        let coarse = (2.0_f64.powi(-32) / f64::from(p[i])).max(1.0) * 2.0_f64.powi(-20);
        let slack = 1e-5 + beta * f64::from(p[i]).powf(beta) * coarse;
        if x[i] == f32::NEG_INFINITY {
            assert_eq!(p[i], 0.0);
        } else if p[i] > 0.0 {
            assert!(excess.abs() < slack, "{i}: {excess} above {tau}");
        } else {
            // What it exceeds the threshold by may still be a power that vanishes.
            let above = (excess - 1e-5).max(0.0);
            assert!(above.powf(1.0 / beta) < 1e-44, "{i}: {excess} above {tau}");
        }
    }
}

/// Checks that greater scores have no smaller parts, but for `slack`.
fn in_order(x: &[f32], p: &[f32], slack: f32) {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    for pair in order.windows(2) {
        assert!(p[pair[0]] <= p[pair[1]] + slack || x[pair[0]] == x[pair[1]]);
    }
}

fuzz_target!(|input: Input| {
    let alpha = ALPHAS[usize::from(input.alpha) % ALPHAS.len()];
    let mut x = input.x;
    x.truncate(600);
    if input.near {
        for x in &mut x {
            *x = if x.is_finite() {
                (*x % 16.0 * 1024.0).round() / 1024.0
            } else {
                f32::NEG_INFINITY
            };
        }
    }
    let entmax = |x: &[f32]| {
        on_every_level(x, |cpu, out| {
            let Ok(map) = Entmax::new(alpha, Logits::new()) else {
                return;
            };
            assert!(map.on(cpu).map_in_place(out).is_ok());
        })
    };
    let top_k = usize::from(input.top_k) + 1;
    let share = |x: u8| f32::from(x) / 255.0;
    let sparse = |x: &[f32]| {
        on_every_level(x, |cpu, out| {
            let map = SparseSoftmax::new(Logits::new()).on(cpu).with_top_k(top_k);
            let map = map.and_then(|map| map.with_top_p(share(input.top_p).max(0.01)));
            let map = map.and_then(|map| map.with_min_p(share(input.min_p)));
            assert!(map.is_ok_and(|map| map.map_in_place(out).is_ok()));
        })
    };
    let normmax = |x: &[f32]| {
        on_every_level(x, |cpu, out| {
            let map = Normmax::new(alpha, Logits::new());
            assert!(map.is_ok_and(|map| map.on(cpu).map_in_place(out).is_ok()));
        })
    };
    let inclusion = INCLUSIONS[usize::from(input.min_p) % INCLUSIONS.len()];
    let soft = |x: &[f32]| {
        on_every_level(x, |cpu, out| {
            let map = SoftTopK::new(top_k as f32, inclusion, Logits::new());
            assert!(map.is_ok_and(|map| map.on(cpu).map_in_place(out).is_ok()));
        })
    };
    let (p, q) = (entmax(&x), sparse(&x));
    let (n, s) = (normmax(&x), soft(&x));

    // The edges.
    let nan = x.iter().any(|x| x.is_nan());
    let infinite = x.iter().filter(|x| **x == f32::INFINITY).count();
    let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    if nan {
        assert!([p, q, n, s].iter().flatten().all(|p| p.is_nan()));
        return;
    }
    // Numbers within [0, 1] in the order of their scores, that add up to k.
    let numbers = x.iter().filter(|x| **x > f32::NEG_INFINITY).count();
    assert!(s.iter().all(|s| (0.0..=1.0).contains(s)));
    in_order(&x, &s, f32::EPSILON);
    let sum: f64 = s.iter().map(|&s| f64::from(s)).sum();
    let whole = numbers.min(top_k) as f64;
    assert!((sum - whole).abs() <= 1e-6 * whole, "{sum} {whole}");
    if infinite > 0 || max == f32::NEG_INFINITY {
        for (x, p) in x.iter().zip(&p) {
            let share = if *x == f32::INFINITY {
                1.0 / infinite as f32
            } else {
                0.0
            };
            assert_eq!(*p, share);
        }
        return;
    }
    simplex(&x, &p);
    simplex(&x, &n);

    // The sparse softmax keeps at most k, and among them the greatest, or one whose probability rounds to
    // the same; those kept are in the ratio of their exponentials.
    let kept = q.iter().filter(|&&q| q > 0.0).count();
    assert!(kept >= 1 && kept <= top_k.max(1) || top_k >= x.len());
    let greatest = q.iter().fold(0.0, |m: f32, &q| m.max(q));
    for (i, &q_i) in q.iter().enumerate().filter(|(_, q)| **q > 1e-30) {
        let ratio = (f64::from(x[i]) - f64::from(max)).exp();
        assert!((f64::from(q_i) / f64::from(greatest) / ratio - 1.0).abs() < 1e-5);
    }

    optimal(alpha, &x, &p);

    // A permutation of the scores permutes the probabilities, within a few units.
    let turn = usize::from(input.turn) % x.len();
    let mut turned = x.clone();
    turned.rotate_left(turn);
    let mut expected = p.clone();
    expected.rotate_left(turn);
    for (a, b) in entmax(&turned).iter().zip(&expected) {
        assert!((a - b).abs() <= 1e-6 * b + 1e-9, "{a} {b}");
    }
    // So does a shift that is exact leave them as they are.
    let shift = f32::from(input.shift);
    let shifted: Vec<f32> = x.iter().map(|x| x + shift).collect();
    let exact = x
        .iter()
        .zip(&shifted)
        .all(|(x, y)| y - shift == *x || !x.is_finite());
    if exact {
        for (a, b) in entmax(&shifted).iter().zip(&p) {
            assert!((a - b).abs() <= 1e-6 * b + 1e-9, "{a} {b}");
        }
    }

    // A long row, most of them ever lower. The map itself counts the steps of Newton's method.
    if alpha <= 2.0 && input.times % 32 == 0 {
        let fall = 0.5_f32.powi(i32::from(input.fall % 24));
        let times = 1 + usize::from(input.times) * LONGEST / (65536 * x.len());
        let long: Vec<f32> = (0..times)
            .flat_map(|i| x.iter().map(move |x| x - i as f32 * fall))
            .take(LONGEST)
            .collect();
        let mut p = long.clone();
        let map = Entmax::new(alpha, Logits::new());
        assert!(map.is_ok_and(|map| map.map_in_place(&mut p[..]).is_ok()));
        simplex(&long, &p);
        optimal(alpha, &long, &p);
    }
});
