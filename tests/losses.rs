//! Losses, gradients and the normalizers of other functions, against their definitions.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{Ulp, bound32, bound64, ulps};
use inputs::{Random, check, executors, rows};
use reference::wide::Wide;
use reference::{conformance, golden, probability as definition};
use suanzi::probability::{
    CrossEntropy, Entmax, LogSoftmax, LogSumExp, Logits, Mask, Normalized, ProbabilityMap, Softmax,
    SparseSoftmax, alibi_slope, entmax_alpha_gradient, entmax_vjp, log_softmax_vjp,
};
use suanzi::{Cpu, Error, Parameter};

/// Holds numbers to units of rounding of a size each.
fn hold(operation: &str, got: &[f32], want: &[f64], size: impl Fn(usize) -> f64, context: &str) {
    assert_eq!(got.len(), want.len(), "{context}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let unit = size(i) * 2.0_f64.powi(-24);
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= bound32(operation) * unit || error < 1e-44,
            "{operation}, {context}: element {i}: {got:e} for {want:e}, {} units",
            error / unit
        );
    }
}

/// The greatest magnitude.
fn most(x: &[f32]) -> f64 {
    x.iter().fold(0.0, |m, &x| m.max(f64::from(x).abs()))
}

/// s (dp - <s, dp> / sum s), with s = p^(2 - alpha) in the support.
fn vjp(p: &[f64], dp: &[f32], alpha: f64) -> (Vec<f64>, Vec<f64>) {
    let s: Vec<f64> = p
        .iter()
        .map(|&p| if p > 0.0 { p.powf(2.0 - alpha) } else { 0.0 })
        .collect();
    let total: f64 = s.iter().sum();
    let mean: f64 = s
        .iter()
        .zip(dp)
        .map(|(s, &d)| s * f64::from(d))
        .sum::<f64>()
        / total;
    let dx = s.iter().zip(dp).map(|(s, &d)| s * (f64::from(d) - mean));
    (dx.collect(), s)
}

#[test]
fn gradients_of_maps_are_within_the_table() {
    let mut random = Random(12);
    for n in [1, 2, 5, 16, 33, 130, 1000] {
        let x: Vec<f32> = (0..n).map(|_| random.normal() as f32).collect();
        let dp: Vec<f32> = (0..n).map(|_| random.normal() as f32).collect();
        for alpha in [1.0_f32, 1.25, 1.5, 2.0, 3.0] {
            for cpu in executors() {
                let mut p = x.clone();
                let map = Entmax::new(alpha, Logits::new())
                    .expect("in its domain")
                    .on(cpu);
                map.map_in_place(&mut p[..]).expect("one row");
                let wide: Vec<f64> = p.iter().map(|&p| p.into()).collect();
                let (want, s) = vjp(&wide, &dp, alpha.into());
                let mut dx = vec![7.0; n];
                entmax_vjp(cpu, alpha, &p, &dp, &mut dx).expect("lengths agree");
                let size = |i: usize| s[i] * (f64::from(dp[i]).abs() + most(&dp));
                hold(
                    "entmax vjp",
                    &dx,
                    &want,
                    size,
                    &format!("{n}, {alpha}, {cpu:?}"),
                );
                if alpha == 1.0 {
                    continue;
                }
                // d p / d alpha, by its formula.
                let beta = f64::from(alpha) - 1.0;
                let total: f64 = s.iter().sum();
                let h: Vec<f64> = wide
                    .iter()
                    .map(|&p| if p > 0.0 { p * p.ln() } else { 0.0 })
                    .collect();
                let whole: f64 = h.iter().sum();
                let (mut want, mut size) = (0.0, 0.0);
                for i in 0..n {
                    let r = s[i] / total;
                    let d = (wide[i] - r) / (beta * beta) - (h[i] - r * whole) / beta;
                    want += f64::from(dp[i]) * d;
                    size += f64::from(dp[i]).abs() * (wide[i] + r) / (beta * beta).min(1.0);
                }
                let got = entmax_alpha_gradient(cpu, alpha, &p, &dp).expect("lengths agree");
                let context = format!("{n}, {alpha}, {cpu:?}");
                hold("entmax alpha gradient", &[got], &[want], |_| size, &context);
            }
        }
        for cpu in executors() {
            let mut y = x.clone();
            LogSoftmax::default()
                .on(cpu)
                .map_in_place(&mut y)
                .expect("one row");
            let total: f64 = dp.iter().map(|&d| f64::from(d)).sum();
            let size: f64 = dp.iter().map(|&d| f64::from(d).abs()).sum();
            let p: Vec<f64> = y.iter().map(|&y| f64::from(y).exp()).collect();
            let want: Vec<f64> = p
                .iter()
                .zip(&dp)
                .map(|(p, &d)| f64::from(d) - p * total)
                .collect();
            let mut dx = vec![7.0; n];
            log_softmax_vjp(cpu, &y, &dp, &mut dx).expect("lengths agree");
            let size = |i: usize| f64::from(dp[i]).abs() + p[i] * size;
            hold(
                "log-softmax vjp",
                &dx,
                &want,
                size,
                &format!("{n}, {cpu:?}"),
            );
        }
    }
}

#[test]
fn golden_gradients_hold() {
    for (file, alpha) in [
        ("softmax.gv", 1.0),
        ("topk_softmax.gv", 1.0),
        ("sparsemax.gv", 2.0),
        ("entmax15.gv", 1.5),
        ("entmax_alpha.gv", 0.0),
    ] {
        for case in golden::read(file) {
            let (Some(p), Some(want)) = (case.get("p"), case.get("vjp").or(case.get("vjp_p")))
            else {
                continue;
            };
            let alpha = case.get32("alpha").first().copied().unwrap_or(alpha);
            let (p32, dp) = (case.get32("p"), case.get32("g"));
            // A rounded probability moves the weight of one close to the threshold without bound.
            let steep = |p: f64| {
                if p > 0.0 {
                    p.powf(2.0 - f64::from(alpha))
                } else {
                    0.0
                }
            };
            if alpha > 2.0 && p.iter().any(|&p| p > 0.0 && p < 1e-3) {
                continue;
            }
            for cpu in executors() {
                let mut dx = vec![7.0; p.len()];
                entmax_vjp(cpu, alpha, &p32, &dp, &mut dx).expect("lengths agree");
                let log = |p: f64| if p > 0.0 { p.ln().abs() / 8.0 } else { 0.0 };
                let size = |i: usize| {
                    steep(p[i]) * (f64::from(dp[i]).abs() + most(&dp)) * (1.0 + log(p[i]))
                };
                hold(
                    "entmax vjp",
                    &dx,
                    want,
                    size,
                    &format!("{}, {cpu:?}", case.head),
                );
            }
        }
    }
    for case in golden::read("taylor_softmax.gv") {
        let (x, dp) = (case.get32("x"), case.get32("g"));
        let order = case.get("order").expect("an order")[0] as usize;
        let (p, want) = (case.get("p").expect("p"), case.get("vjp").expect("vjp"));
        for cpu in executors() {
            let map = Normalized::taylor(order, Logits::new())
                .expect("even")
                .on(cpu);
            let mut out = vec![7.0; x.len()];
            map.map(&x[..], &mut out[..]).expect("lengths agree");
            for (&got, &want) in out.iter().zip(p) {
                assert!(
                    ulps(got, want, 0.0, 0.0) <= bound32("normalized"),
                    "{}",
                    case.head
                );
            }
            map.vjp(&x, &dp, &mut out).expect("lengths agree");
            let size = |i: usize| p[i] * 4.0 * (f64::from(dp[i]).abs() + most(&dp));
            hold(
                "normalized vjp",
                &out,
                want,
                size,
                &format!("{}, {cpu:?}", case.head),
            );
        }
    }
}

#[test]
fn golden_losses_hold() {
    for (file, alpha) in [
        ("sparsemax.gv", 2.0),
        ("entmax15.gv", 1.5),
        ("entmax_alpha.gv", 0.0),
    ] {
        for case in golden::read(file) {
            let (Some(p), Some(loss)) = (case.get("p"), case.get("loss")) else {
                continue;
            };
            let alpha = case.get32("alpha").first().copied().unwrap_or(alpha);
            let (x, t) = (
                case.get32("x"),
                case.get("t").expect("a target")[0] as usize,
            );
            let map = Entmax::new(alpha, Logits::new()).expect("in its domain");
            for cpu in executors() {
                let mut gradient = vec![7.0; x.len()];
                let got = map
                    .on(cpu)
                    .loss(&x, t, &mut gradient)
                    .expect("lengths agree");
                let context = format!("{}, {cpu:?}", case.head);
                let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                let size = 1.0 + f64::from(max - x[t]) + 1.0 / f64::from(alpha - 1.0);
                hold("entmax loss", &[got.value], loss, |_| size, &context);
                let support = p.iter().filter(|&&p| p as f32 > 0.0).count();
                assert_eq!(got.support, support, "{context}");
                let want: Vec<f64> = (0..x.len())
                    .map(|i| p[i] - f64::from(u8::from(i == t)))
                    .collect();
                hold("entmax loss", &gradient, &want, |_| 1.0, &context);
            }
        }
    }
    for case in golden::read("topk_softmax.gv") {
        let (Some(p), Some(loss)) = (case.get("p").or(case.get("p_first")), case.get("loss"))
        else {
            continue;
        };
        let (x, k) = (case.get32("x"), case.get("k").expect("k")[0] as usize);
        let t = case.get("t").expect("a target")[0] as usize;
        let map = SparseSoftmax::new(Logits::new())
            .with_top_k(k)
            .expect("positive");
        let mut gradient = vec![7.0; x.len()];
        let got = map.loss(&x, t, &mut gradient).expect("lengths agree");
        let size = 1.0 + 2.0 * most(&x);
        hold(
            "sparse softmax loss",
            &[got.value],
            loss,
            |_| size,
            &case.head,
        );
        assert_eq!(got.support, k.min(x.len()), "{}", case.head);
        let want: Vec<f64> = (0..x.len())
            .map(|i| p[i] - f64::from(u8::from(i == t)))
            .collect();
        hold("sparse softmax loss", &gradient, &want, |_| 1.0, &case.head);
    }
    for case in golden::read("margin_softmax.gv") {
        let t = case.get("t").expect("a target")[0] as usize;
        let cosines = case.get("c").is_some();
        let x = case.get32(if cosines { "c" } else { "x" });
        let margin = case
            .get32("margin")
            .first()
            .or(case.get32("m").first())
            .copied();
        let tau = case.get32("tau").first().copied().unwrap_or(1.0);
        let scale = 1.0 / tau;
        let margin = margin.expect("a margin") * scale;
        // The reference divides exactly.
        if f64::from(scale) != 1.0 / f64::from(tau) {
            continue;
        }
        let mask = Mask::Margin { target: t, margin };
        let logits = Logits::new().scaled(scale).expect("finite").masked(mask);
        let mut gradient = vec![7.0; x.len()];
        let loss = CrossEntropy::new(logits);
        let got = loss.evaluate(&x, t, &mut gradient).expect("lengths agree");
        let size = 1.0 + 2.0 * most(&x) * f64::from(scale) + f64::from(margin);
        let want = case.get("loss").expect("a loss");
        hold("cross entropy", &[got.value], want, |_| size, &case.head);
        if let Some(want) = case.get("grad_x") {
            hold("cross entropy", &gradient, want, |_| 1.0, &case.head);
        }
    }
}

#[test]
fn cross_entropy_smooths_and_bounds_the_normalizer() {
    let mut random = Random(5);
    for n in [1, 2, 17, 130, 1000] {
        let x: Vec<f32> = (0..n).map(|_| 3.0 * random.normal() as f32).collect();
        let scores: Vec<Wide> = x.iter().map(|&x| f64::from(x).into()).collect();
        let lse = definition::log_sum_exp(&scores).high;
        let p: Vec<f64> = definition::softmax(&scores)
            .iter()
            .map(|p| p.high)
            .collect();
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        for (share, z) in [(0.0_f32, 0.0_f32), (0.125, 0.0), (0.0, 0.01), (0.25, 0.001)] {
            let t = n / 3;
            let (s, zeta) = (f64::from(share), f64::from(z));
            let want = lse - (1.0 - s) * f64::from(x[t]) - s * mean + zeta * lse * lse;
            let right = |i: usize| if i == t { 1.0 - s } else { 0.0 };
            let gradient: Vec<f64> = (0..n)
                .map(|i| p[i] * (1.0 + 2.0 * zeta * lse) - right(i) - s / n as f64)
                .collect();
            for cpu in executors() {
                let loss = CrossEntropy::new(Logits::new()).on(cpu);
                let loss = loss
                    .with_smoothing(share)
                    .and_then(|loss| loss.with_z_loss(z));
                let mut got = vec![7.0; n];
                let value = loss.expect("in their domains").evaluate(&x, t, &mut got);
                let value = value.expect("lengths agree");
                let context = format!("{n}, {share}, {z}, {cpu:?}");
                let size = 1.0 + lse.abs() + most(&x);
                hold("cross entropy", &[value.value], &[want], |_| size, &context);
                hold("cross entropy", &got, &gradient, |_| 1.0, &context);
                assert_eq!(value.support, n);
            }
        }
    }
}

#[test]
fn other_functions_are_normalized_within_the_table() {
    for n in [0, 1, 2, 3, 16, 33, 129, 1000] {
        for (name, x) in rows::<f32>(n) {
            let scores: Vec<f64> = x.iter().map(|&x| x.into()).collect();
            let edges = scores.iter().any(|s| s.is_nan() || *s == f64::INFINITY);
            let none = scores.iter().all(|&s| s == f64::NEG_INFINITY);
            // In double, from the logarithm where the function would overflow or vanish.
            let taylor = |order: i32| {
                let size = scores
                    .iter()
                    .filter(|s| s.is_finite())
                    .fold(1.0, |m: f64, s| m.max(s.abs()));
                move |s: f64| {
                    let mut term = (1..=order).fold(1.0, |f, m| f * f64::from(m) / size);
                    let mut sum = Wide::from(0.0);
                    for m in 0..=order {
                        sum = sum + term.into();
                        term *= s / f64::from(m + 1);
                    }
                    sum.high
                }
            };
            type F<'a> = Box<dyn Fn(f64) -> f64 + 'a>;
            let most = scores
                .iter()
                .filter(|s| s.is_finite())
                .fold(1e-45, |m: f64, s| m.max(s.abs()));
            let max = scores
                .iter()
                .fold(f64::NEG_INFINITY, |m, &s| m.max(s))
                .min(0.0);
            let maps: [(&str, Normalized<f32>, F); 6] = [
                (
                    "taylor 2",
                    Normalized::taylor(2, Logits::new()).expect("even"),
                    Box::new(taylor(2)),
                ),
                (
                    "taylor 4",
                    Normalized::taylor(4, Logits::new()).expect("even"),
                    Box::new(taylor(4)),
                ),
                (
                    "taylor 8",
                    Normalized::taylor(8, Logits::new()).expect("even"),
                    Box::new(taylor(8)),
                ),
                (
                    "spherical",
                    Normalized::spherical(Logits::new()),
                    Box::new(move |s| (s / most) * (s / most)),
                ),
                (
                    "sigmoid",
                    Normalized::sigmoid(Logits::new()),
                    Box::new(move |s: f64| (s - max).exp() / (1.0 + s.exp())),
                ),
                (
                    "softplus",
                    Normalized::softplus(Logits::new()),
                    Box::new(move |s: f64| {
                        if s > 30.0 {
                            s
                        } else if s < -30.0 {
                            (s - max).exp()
                        } else {
                            s.exp().ln_1p() / max.exp()
                        }
                    }),
                ),
            ];
            for (function, map, f) in maps {
                if function == "sigmoid" && most > 80.0
                    || function.starts_with("soft") && max < -29.0
                {
                    continue;
                }
                let values: Vec<f64> = scores
                    .iter()
                    .map(|&s| if s.is_finite() { f(s) } else { 0.0 })
                    .collect();
                let sum: f64 = values.iter().sum();
                let want: Vec<Wide> = if edges || none {
                    definition::softmax(&scores.iter().map(|&s| s.into()).collect::<Vec<_>>())
                } else {
                    values
                        .iter()
                        .map(|v| {
                            if sum > 0.0 {
                                (v / sum).into()
                            } else {
                                0.0.into()
                            }
                        })
                        .collect()
                };
                let mut first: Option<Vec<f32>> = None;
                for cpu in executors() {
                    let mut out = vec![7.0; n];
                    map.on(cpu)
                        .map(&x[..], &mut out[..])
                        .expect("lengths agree");
                    check("normalized", 0.0, &out, &want, &|| {
                        format!("{function} of {name}, {cpu:?}")
                    });
                    if !cpu.is_fused() {
                        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                        assert_eq!(bits(first.get_or_insert_with(|| out.clone())), bits(&out));
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_of_normalizers_are_those_of_differences() {
    let x = [0.7_f64, -1.3, 0.2, 2.1, -0.4];
    let dp = [0.3, -1.1, 0.8, 0.5, -0.2];
    let maps = [
        Normalized::taylor(2, Logits::new()).expect("even"),
        Normalized::taylor(6, Logits::new()).expect("even"),
        Normalized::spherical(Logits::new()),
        Normalized::sigmoid(Logits::new()),
        Normalized::softplus(Logits::new()),
    ];
    for map in maps {
        let value = |x: &[f64]| {
            let mut p = x.to_vec();
            map.map_in_place(&mut p[..]).expect("one row");
            p.iter().zip(&dp).map(|(p, d)| p * d).sum::<f64>()
        };
        let mut dx = [0.0; 5];
        map.vjp(&x, &dp, &mut dx).expect("lengths agree");
        for i in 0..5 {
            let (mut up, mut down) = (x, x);
            let h = 2.0_f64.powi(-17);
            (up[i], down[i]) = (x[i] + h, x[i] - h);
            let slope = (value(&up) - value(&down)) / (2.0 * h);
            assert!((slope - dx[i]).abs() < 1e-9, "{map:?}: {slope} {}", dx[i]);
        }
    }
    assert!(bound64("normalized vjp") > 0.0);
}

#[test]
fn a_sink_counts_in_the_sum_alone() {
    let mut random = Random(2);
    for n in [0, 1, 2, 17, 130, 1000] {
        let x: Vec<f32> = (0..n).map(|_| 3.0 * random.normal() as f32).collect();
        for (scale, sink) in [
            (1.0_f32, 0.0_f32),
            (0.3, 5.0),
            (1.0, 200.0),
            (1.0, -300.0),
            (7e6, 1e8),
        ] {
            let mut scores: Vec<Wide> = x
                .iter()
                .map(|&x| Wide::from(f64::from(x)) * f64::from(scale).into())
                .collect();
            scores.push(f64::from(sink).into());
            let (want, want_log) = (
                definition::softmax(&scores),
                definition::log_softmax(&scores),
            );
            let whole = definition::log_sum_exp(&scores);
            for cpu in executors() {
                let logits = Logits::new()
                    .scaled(scale)
                    .and_then(|logits| logits.with_sink(sink));
                let logits = logits.expect("finite");
                let context = || format!("{n}, {scale}, {sink}, {cpu:?}");
                let mut out = x.clone();
                Softmax::new(logits)
                    .on(cpu)
                    .map_in_place(&mut out[..])
                    .expect("one row");
                check("softmax", 0.0, &out, &want[..n], &context);
                out.copy_from_slice(&x);
                LogSoftmax::new(logits)
                    .on(cpu)
                    .map_in_place(&mut out)
                    .expect("one row");
                check("log_softmax", 1.0, &out, &want_log[..n], &context);
                let sum = LogSumExp::new(logits).on(cpu).reduce(&x).expect("no mask");
                check("log_sum_exp", 1.0, &[sum], &[whole], &context);
            }
        }
    }
    let logits = Logits::<f32>::new().with_sink(0.0).expect("finite");
    let mut p = [f32::NEG_INFINITY; 3];
    Softmax::new(logits)
        .map_in_place(&mut p[..])
        .expect("one row");
    assert_eq!(p, [0.0; 3]);
    let refused = Entmax::new(1.5, logits)
        .expect("in its domain")
        .map_in_place(&mut p[..]);
    assert_eq!(refused, Err(Error::Unsupported));
    let bad = Logits::<f32>::new().with_sink(f32::INFINITY).err();
    assert_eq!(bad, Some(Error::Domain(Parameter::Sink)));
}

#[test]
fn biases_of_distance_and_margin_are_added() {
    let mut random = Random(4);
    for n in [1, 5, 16, 40, 300] {
        let x: Vec<f32> = (0..n).map(|_| random.normal() as f32).collect();
        for (slope, position) in [
            (0.0625_f32, n - 1),
            (0.3, 0_usize),
            (0.7, n / 2),
            (0.1, n + 40),
        ] {
            let bias = |j: usize| -f64::from(slope) * position.abs_diff(j) as f64;
            let scores: Vec<Wide> = (0..n)
                .map(|j| Wide::from(f64::from(x[j])) + bias(j).into())
                .collect();
            let want = definition::softmax(&scores);
            for cpu in executors() {
                let mask = Mask::Distance { slope, position };
                let mut out = x.clone();
                let map = Softmax::new(Logits::new().masked(mask)).on(cpu);
                map.map_in_place(&mut out[..]).expect("one row");
                check("softmax", 0.0, &out, &want, &|| {
                    format!("{slope}, {position}, {cpu:?}")
                });
            }
        }
        for (target, margin) in [(0, 0.35_f32), (n - 1, 2.0), (n + 3, 1.0)] {
            let bias = |j: usize| if j == target { -f64::from(margin) } else { 0.0 };
            let scores: Vec<Wide> = (0..n)
                .map(|j| Wide::from(f64::from(x[j])) + bias(j).into())
                .collect();
            let want = definition::softmax(&scores);
            for cpu in executors() {
                let mask = Mask::Margin { target, margin };
                let mut out = x.clone();
                let map = Softmax::new(Logits::new().masked(mask)).on(cpu);
                map.map_in_place(&mut out[..]).expect("one row");
                check("softmax", 0.0, &out, &want, &|| {
                    format!("{target}, {margin}, {cpu:?}")
                });
            }
        }
    }
    // Twelve heads: eight of the powers of one half, four between.
    let slopes: Vec<f32> = (0..12)
        .map(|head| alibi_slope(head, 12).expect("a head"))
        .collect();
    assert_eq!(slopes[..3], [0.5, 0.25, 0.125]);
    assert!((slopes[8] - 0.5_f32.sqrt()).abs() < 1e-7, "{slopes:?}");
    assert_eq!(
        alibi_slope::<f32>(4, 4),
        Err(Error::Domain(Parameter::Heads))
    );
    assert_eq!(
        alibi_slope::<f64>(0, 0),
        Err(Error::Domain(Parameter::Heads))
    );
}

#[test]
fn conformance_cases_pass() {
    for operator in ["Softmax", "LogSoftmax"] {
        let cases = conformance::cases(operator);
        assert!(
            cases.is_empty() || cases.len() == 7,
            "{operator}: {} cases",
            cases.len()
        );
        for case in cases {
            let (x, want) = (&case.inputs[0], case.outputs[0].f32s());
            let axis = case.axis().rem_euclid(x.shape.len() as i64) as usize;
            let (len, stride) = (x.shape[axis], x.shape[axis + 1..].iter().product::<usize>());
            let x = x.f32s();
            for start in (0..x.len()).filter(|i| i / stride % len == 0) {
                let at: Vec<usize> = (0..len).map(|j| start + j * stride).collect();
                let mut row: Vec<f32> = at.iter().map(|&i| x[i]).collect();
                if operator == "Softmax" {
                    Softmax::default()
                        .map_in_place(&mut row[..])
                        .expect("one row");
                } else {
                    LogSoftmax::default()
                        .map_in_place(&mut row)
                        .expect("one row");
                }
                for (&got, &at) in row.iter().zip(&at) {
                    let (got, want) = (f64::from(got), f64::from(want[at]));
                    let allowed = case.absolute + case.relative * want.abs();
                    assert!((got - want).abs() <= allowed, "{}: {got} {want}", case.name);
                }
            }
        }
    }
}

#[test]
fn bad_arguments_are_refused() {
    let (x, mut out) = ([1.0_f32, 2.0], [7.0_f32; 2]);
    let loss = CrossEntropy::new(Logits::new());
    assert_eq!(
        loss.evaluate(&x, 2, &mut out),
        Err(Error::Capacity { limit: 2 })
    );
    assert!(loss.evaluate(&x, 0, &mut out[..1]).is_err());
    assert!(loss.evaluate(&[], 0, &mut []).is_err());
    assert!(loss.with_smoothing(1.5).is_err() && loss.with_z_loss(f32::NAN).is_err());
    assert!(entmax_vjp(Cpu::default(), 0.5, &x, &x, &mut out).is_err());
    assert!(entmax_vjp(Cpu::default(), 1.5, &x, &x[..1], &mut out).is_err());
    assert!(entmax_alpha_gradient(Cpu::default(), 1.0, &x, &x).is_err());
    assert!(log_softmax_vjp(Cpu::default(), &x, &x, &mut out[..1]).is_err());
    for order in [0, 1, 3, 10] {
        let refused = Normalized::<f32>::taylor(order, Logits::new()).err();
        assert_eq!(refused, Some(Error::Domain(Parameter::Order)));
    }
    assert_eq!(out, [7.0; 2]);
    for bad in [f32::NAN, f32::INFINITY] {
        for mask in [
            Mask::Distance {
                slope: bad,
                position: 0,
            },
            Mask::Margin {
                target: 0,
                margin: bad,
            },
        ] {
            let logits = Logits::new().masked(mask);
            let bias = Err(Error::Domain(Parameter::Bias));
            assert_eq!(Softmax::new(logits).map_in_place(&mut out[..]), bias);
            assert_eq!(Normalized::sigmoid(logits).map_in_place(&mut out[..]), bias);
            assert_eq!(
                LogSumExp::new(logits).reduce(&x),
                Err(Error::Domain(Parameter::Bias))
            );
        }
    }
    assert_eq!(out, [7.0; 2]);
    // A row without a finite score has no loss.
    let masked = [f32::NEG_INFINITY; 2];
    for loss in [
        loss.evaluate(&masked, 0, &mut out),
        Entmax::new(1.5, Logits::new())
            .expect("in its domain")
            .loss(&masked, 0, &mut out),
    ] {
        assert!(loss.expect("lengths agree").value.is_nan());
    }
    assert!(f32::ulp(1.0) > 0.0);
}
