//! The recurrences of channels against their definitions, on every level.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use inputs::{Number, Random, executors};
use reference::golden;
use reference::recurrent as definition;
use reference::wide::Wide;
use suanzi::mixer::{
    CausalConvolution, CausalMixer, Merge, Rwkv4, Rwkv4Token, ScanToken, SelectiveScan,
    convolution_len, rwkv4_len, scan_len,
};
use suanzi::{Cpu, Error, Parameter};

const CHANNELS: [usize; 12] = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 67];

/// Numbers that `T` represents, as `T` and as `f64`.
fn numbers<T: Number>(n: usize, mut next: impl FnMut(usize) -> f64) -> (Vec<T>, Vec<f64>) {
    // What f32 represents, f64 does too: both types try the same cases.
    let x: Vec<f64> = (0..n).map(|i| f64::from(next(i) as f32)).collect();
    (x.iter().map(|&x| T::from_f64(x)).collect(), x)
}

/// The unit roundoff.
fn unit<T: Number>() -> f64 {
    T::epsilon().value() / 2.0
}

/// Asserts that |got - want| stays below `bound` times `unit`.
fn near<T: Number>(got: T, want: Wide, unit: f64, bound: f64, context: &dyn Fn() -> String) -> f64 {
    let error = ((got.value() - want.high) - want.low).abs();
    let units = if error == 0.0 { 0.0 } else { error / unit };
    assert!(
        units <= bound,
        "{} {}: got {got:?}, expected {:e}, {units} units",
        T::NAME,
        context(),
        want.high
    );
    units
}

/// Asserts that the portable executors agree to the bit.
fn same<T: Number>(
    cpu: Cpu,
    first: &mut Option<Vec<u64>>,
    got: &[T],
    context: &dyn Fn() -> String,
) {
    if !cpu.is_fused() {
        let bits: Vec<u64> = got.iter().map(|x| x.representation()).collect();
        let first = first.get_or_insert_with(|| bits.clone());
        assert!(
            *first == bits,
            "{} {}: {cpu:?} has other bits",
            T::NAME,
            context()
        );
    }
}

/// Keys and values that try RWKV-4.
fn rwkv4_inputs(kind: &str, random: &mut Random, channels: usize, i: usize) -> f64 {
    match kind {
        "normal" => random.normal(),
        "wide" => 30.0 * random.normal(),
        "huge" => 1e4 * random.normal(),
        "rising" => 0.5 * (i / channels) as f64,
        "far below" => -1e4 + random.normal(),
        "masked" if random.below(3) == 0 => f64::NEG_INFINITY,
        "all masked" => f64::NEG_INFINITY,
        "tiny" => 1e-30 * random.normal(),
        _ => random.normal(),
    }
}

fn check_rwkv4<T: Number>() {
    const KINDS: [&str; 8] = [
        "normal",
        "wide",
        "huge",
        "rising",
        "far below",
        "masked",
        "all masked",
        "tiny",
    ];
    let mut worst = 0.0_f64;
    for channels in CHANNELS {
        for (kind, tokens) in KINDS.into_iter().flat_map(|kind| [(kind, 1), (kind, 23)]) {
            let mut random = Random((channels * 100 + tokens) as u64);
            let n = channels * tokens;
            let (decay, decays) = numbers::<T>(channels, |i| match i % 5 {
                0 => -1e-4,
                1 => -20.0,
                2 => 0.0,
                _ => -random.normal().exp(),
            });
            let mut random = Random((channels * 101 + tokens) as u64);
            let (bonus, bonuses) = numbers::<T>(channels, |_| random.normal());
            let (key, keys) = numbers::<T>(n, |i| rwkv4_inputs(kind, &mut random, channels, i));
            let (value, values) = numbers::<T>(n, |_| random.normal());
            let want = definition::rwkv4(&decays, &bonuses, &keys, &values);
            let size = values.iter().fold(0.0_f64, |m, v| m.max(v.abs())) * unit::<T>();
            let mut bits = None;
            for cpu in executors() {
                let context = || format!("rwkv4 {kind}, {channels} channels, {cpu:?}");
                let storage = vec![T::nan(); rwkv4_len(channels)];
                let mut cell = Rwkv4::new(&decay, &bonus, storage).unwrap().on(cpu);
                let mut out = vec![T::nan(); n];
                let tokens = Rwkv4Token {
                    key: &key,
                    value: &value,
                };
                cell.prefill(tokens, &mut out).unwrap();
                for (&got, &want) in out.iter().zip(&want) {
                    worst = worst.max(near(got, want, size, T::bound("rwkv4"), &context));
                }
                same(cpu, &mut bits, &[&out[..], cell.state()].concat(), &context);
                // Token by token, from a copy of the state half-way.
                let mut steps = Rwkv4::new(&decay, &bonus, vec![T::nan(); rwkv4_len(channels)])
                    .unwrap()
                    .on(cpu);
                let mut again = vec![T::nan(); n];
                for t in 0..n / channels {
                    let at = t * channels..(t + 1) * channels;
                    let token = Rwkv4Token {
                        key: &key[at.clone()],
                        value: &value[at.clone()],
                    };
                    let saved = steps.state().to_vec();
                    steps.reset();
                    steps.state_mut().copy_from_slice(&saved);
                    steps.set_steps(t as u64);
                    steps.step(token, &mut again[at]).unwrap();
                }
                assert!(out == again, "{}: steps differ", context());
                assert_eq!(steps.steps(), cell.steps());
                assert!(steps.state() == cell.state(), "{}", context());
            }
        }
    }
    println!("rwkv4 {}: {worst} units", T::NAME);
}

#[test]
fn rwkv4_holds_its_bound_on_every_level() {
    check_rwkv4::<f32>();
    check_rwkv4::<f64>();
}

/// A stretch of tokens whose mean does not fade, and keys whose size would cost every digit.
#[test]
fn rwkv4_keeps_its_digits_over_many_tokens() {
    const TOKENS: usize = 4096;
    let (decays, bonuses) = ([-1e-3_f32, -0.0103, 0.0], [0.5_f32, -0.25, 0.0]);
    let mut random = Random(5);
    let keys: Vec<f32> = (0..3 * TOKENS)
        .map(|_| 1e4 + random.normal() as f32)
        .collect();
    let values: Vec<f32> = (0..3 * TOKENS).map(|_| random.normal() as f32).collect();
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    // The definition of the last token alone: the others before it would take a quadratic number.
    let want: Vec<Wide> = {
        let (decays, bonuses) = (wide(&decays), wide(&bonuses));
        (0..3)
            .map(|c| {
                let (mut sum, mut weights) = (Wide::from(0.0), Wide::from(0.0));
                for t in 0..TOKENS {
                    let age = if t + 1 == TOKENS {
                        Wide::from(bonuses[c])
                    } else {
                        Wide::from((TOKENS - 2 - t) as f64) * decays[c].into()
                    };
                    let weight = (Wide::from(f64::from(keys[3 * t + c]) - 1e4) + age).exp();
                    sum = sum + weight * f64::from(values[3 * t + c]).into();
                    weights = weights + weight;
                }
                sum.over(weights)
            })
            .collect()
    };
    let size = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let unit = f64::from(size) * unit::<f32>();
    for cpu in executors() {
        let mut cell = Rwkv4::new(&decays, &bonuses, [0.0; rwkv4_len(3)])
            .unwrap()
            .on(cpu);
        let mut out = vec![0.0; 3 * TOKENS];
        let tokens = Rwkv4Token {
            key: &keys,
            value: &values,
        };
        cell.prefill(tokens, &mut out).unwrap();
        for (&got, &want) in out[3 * TOKENS - 3..].iter().zip(&want) {
            near(got, want, unit, 64.0, &|| format!("{cpu:?}"));
        }
    }
}

#[test]
fn rwkv4_joins_stretches_in_any_grouping() {
    fn check<T: Number>() {
        for channels in CHANNELS {
            let mut random = Random(channels as u64);
            let (decay, decays) = numbers::<T>(channels, |_| -random.normal().exp());
            let (bonus, bonuses) = numbers::<T>(channels, |_| random.normal());
            let lens = [5, 0, 9, 1];
            let n = lens.iter().sum::<usize>() * channels;
            let (key, keys) = numbers::<T>(n, |i| match i % 7 {
                3 => f64::NEG_INFINITY,
                _ => 40.0 * random.normal(),
            });
            let (value, values) = numbers::<T>(n, |_| random.normal());
            let want = definition::rwkv4(&decays, &bonuses, &keys, &values);
            let size = values.iter().fold(0.0_f64, |m, v| m.max(v.abs())) * unit::<T>();
            for cpu in executors() {
                let new = || {
                    let storage = vec![T::zero(); rwkv4_len(channels)];
                    Rwkv4::new(&decay, &bonus, storage).unwrap().on(cpu)
                };
                let last = n - channels;
                let mut at = 0;
                let parts = lens.map(|len| {
                    let (from, to) = (at, (at + len * channels).min(last));
                    at += len * channels;
                    let mut part = new();
                    let tokens = Rwkv4Token {
                        key: &key[from..to],
                        value: &value[from..to],
                    };
                    part.prefill(tokens, &mut vec![T::zero(); to - from])
                        .unwrap();
                    part
                });
                let [a, b, c, d] = &parts;
                let mut left = a.clone();
                let mut right = c.clone();
                left.merge(b).unwrap();
                left.merge(c).unwrap();
                left.merge(d).unwrap();
                right.merge(d).unwrap();
                let mut middle = b.clone();
                middle.merge(&right).unwrap();
                let mut right = a.clone();
                right.merge(&middle).unwrap();
                let mut empty = new();
                empty.merge(&right).unwrap();
                assert!(empty.state() == right.state(), "an empty state before");
                for mut joined in [left, right, empty] {
                    assert_eq!(joined.steps(), (n / channels - 1) as u64);
                    let mut out = vec![T::zero(); channels];
                    let token = Rwkv4Token {
                        key: &key[last..],
                        value: &value[last..],
                    };
                    joined.step(token, &mut out).unwrap();
                    for (&got, &want) in out.iter().zip(&want[last..]) {
                        near(got, want, size, T::bound("rwkv4"), &|| {
                            format!("merge, {cpu:?}")
                        });
                    }
                }
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn rwkv4_has_its_edges() {
    const INF: f32 = f32::INFINITY;
    for cpu in executors() {
        let step = |decay: f32, tokens: &[(f32, f32)]| -> Vec<f32> {
            let (decay, bonus) = ([decay; 9], [0.5; 9]);
            let mut cell = Rwkv4::new(&decay, &bonus, [0.0; rwkv4_len(9)])
                .unwrap()
                .on(cpu);
            let outs = tokens.iter().map(|&(key, value)| {
                let mut out = [7.0; 9];
                let token = Rwkv4Token {
                    key: &[key; 9],
                    value: &[value; 9],
                };
                cell.step(token, &mut out).unwrap();
                assert!(
                    out.iter().all(|x| x.to_bits() == out[0].to_bits()),
                    "{cpu:?}"
                );
                out[0]
            });
            outs.collect()
        };
        // Nothing weighs: zero, whatever the value.
        assert_eq!(
            step(-1.0, &[(-INF, 3.0), (-INF, f32::NAN), (0.0, 2.0)]),
            [0.0, 0.0, 2.0]
        );
        // A masked token leaves the mean, however far everything has decayed.
        assert_eq!(
            step(-1e4, &[(3.0, 5.0), (-INF, 1.0), (-INF, 1.0)]),
            [5.0; 3]
        );
        assert_eq!(step(-3e38, &[(3.0, 5.0), (-INF, 1.0), (-INF, 1.0)])[1], 5.0);
        // Without memory.
        assert_eq!(
            step(-INF, &[(3.0, 5.0), (-INF, 1.0), (-INF, 1.0), (-9.0, 2.0)]),
            [5.0, 5.0, 0.0, 2.0]
        );
        assert_eq!(step(0.0, &[(3e38, 5.0), (-3e38, 1.0), (3e38, 7.0)])[1], 5.0);
        let nan = |x: &[f32]| x.iter().all(|x| x.to_bits() == f32::NAN.to_bits());
        for bad in [(f32::NAN, 1.0), (INF, 1.0), (0.0, f32::NAN)] {
            let out = step(
                -1.0,
                &[(1.0, 1.0), bad, (2.0, 1.0), (-INF, 0.0), (50.0, 1.0)],
            );
            assert_eq!(out[0], 1.0);
            assert!(nan(&out[1..]), "{bad:?} {out:?}");
        }
        assert!(nan(&step(f32::NAN, &[(1.0, 1.0), (1.0, 1.0)])[1..]));
    }
}

#[test]
fn rwkv4_agrees_with_the_reference_vectors() {
    let mut cases = 0;
    for case in golden::read("rwkv4.gv") {
        let decay: Vec<f64> = case
            .get("time_decay")
            .unwrap()
            .iter()
            .map(|d| -d.exp())
            .collect();
        let channels = decay.len();
        let (keys, values) = (case.get("k").unwrap(), case.get("v").unwrap());
        let size = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for cpu in executors() {
            let bonus = case.get("time_first").unwrap();
            let mut cell = Rwkv4::new(&decay, bonus, vec![0.0; rwkv4_len(channels)])
                .unwrap()
                .on(cpu);
            let mut out = vec![0.0; keys.len()];
            cell.prefill(
                Rwkv4Token {
                    key: keys,
                    value: values,
                },
                &mut out,
            )
            .unwrap();
            // The decay is rounded once, and every step takes it again.
            let bound = f64::bound("rwkv4") + out.len() as f64 * 40.0;
            for (&got, &want) in out.iter().zip(case.get("wkv").unwrap()) {
                near(got, want.into(), size * unit::<f64>(), bound, &|| {
                    case.head.clone()
                });
            }
            let state = cell.state();
            for c in 0..channels {
                let [a, b, m, r] = [0, 1, 2, 3].map(|i| state[i * channels + c]);
                let log = case.get("log_den").unwrap()[c];
                assert!(((m + (r + b.ln())) - log).abs() <= 1e-14 * log.abs().max(16.0));
                let ratio = case.get("ratio").unwrap()[c];
                near(a / b, ratio.into(), size * unit::<f64>(), bound, &|| {
                    case.head.clone()
                });
            }
            let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
            let (decay, bonus) = (narrow(&decay), narrow(bonus));
            let mut cell = Rwkv4::new(&decay, &bonus, vec![0.0; rwkv4_len(channels)])
                .unwrap()
                .on(cpu);
            let mut out = vec![0.0; keys.len()];
            let (keys, values) = (narrow(keys), narrow(values));
            cell.prefill(
                Rwkv4Token {
                    key: &keys,
                    value: &values,
                },
                &mut out,
            )
            .unwrap();
            for (&got, &want) in out.iter().zip(case.get("wkv").unwrap()) {
                let bound = f64::from(f32::bound("rwkv4") as f32) + out.len() as f64;
                near(got, want.into(), size * unit::<f32>(), bound, &|| {
                    case.head.clone()
                });
            }
            cases += 1;
        }
    }
    println!("{cases} cases");
}
