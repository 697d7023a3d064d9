//! The recurrences of channels against their definitions, on every level.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use inputs::{Number, Random, executors};
use reference::channels as definition;
use reference::golden;
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
            near(got, want, unit, 8.0 * f64::bound("rwkv4"), &|| {
                format!("{cpu:?}")
            });
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
    fn check<T: Number>(case: &golden::Case) {
        let own = |name: &str| -> Vec<T> {
            let numbers = case.get32(name).into_iter();
            numbers.map(|x| T::from_f64(x.into())).collect()
        };
        // The decay is rounded once, and every step takes it: that far the exponents are off.
        let decays: Vec<f64> = case
            .get32("time_decay")
            .iter()
            .map(|&d| -f64::from(d).exp())
            .collect();
        let decay: Vec<T> = decays.iter().map(|&w| T::from_f64(w)).collect();
        let [bonus, key, value] = ["time_first", "k", "v"].map(own);
        let channels = decay.len();
        let steps = (key.len() / channels) as f64;
        let strongest = decays.iter().fold(0.0_f64, |m, w| m.max(-w));
        let bound = T::bound("rwkv4") + steps * strongest;
        let size = value.iter().fold(0.0_f64, |m, v| m.max(v.value().abs()));
        let unit = size * unit::<T>();
        for cpu in executors() {
            let storage = vec![T::nan(); rwkv4_len(channels)];
            let mut cell = Rwkv4::new(&decay, &bonus, storage).unwrap().on(cpu);
            let mut out = vec![T::nan(); key.len()];
            let tokens = Rwkv4Token {
                key: &key,
                value: &value,
            };
            cell.prefill(tokens, &mut out).unwrap();
            let context = || format!("{} {cpu:?}", case.head);
            for (&got, &want) in out.iter().zip(case.get("wkv").unwrap()) {
                near(got, want.into(), unit, bound, &context);
            }
            for c in 0..channels {
                let number = |i: usize| cell.state()[i * channels + c];
                let ratio = case.get("ratio").unwrap()[c];
                near(number(0) / number(1), ratio.into(), unit, bound, &context);
                // The logarithm of the denominator, without the rounding of its parts.
                let log = number(1).value().ln() + number(3).value() + number(2).value();
                let want = case.get("log_den").unwrap()[c];
                let unit = self::unit::<T>().max(want.abs() * f64::EPSILON);
                let exact = Wide::from(log);
                near(T::from_f64(0.0), exact - want.into(), unit, bound, &context);
            }
        }
    }
    for case in golden::read("rwkv4.gv") {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

fn check_convolution<T: Number>() {
    for channels in CHANNELS {
        for (width, tokens) in [
            (1, 1),
            (1, 3),
            (2, 1),
            (3, 2),
            (4, 1),
            (4, 11),
            (7, 4),
            (9, 20),
        ] {
            let mut random = Random((channels * 1000 + width * 10 + tokens) as u64);
            let n = channels * tokens;
            let (weights, wide) = numbers::<T>(channels * width, |_| random.normal());
            let (bias, biases) = numbers::<T>(channels, |_| random.normal());
            let (input, inputs) = numbers::<T>(n, |_| 3.0 * random.normal());
            for (bias, biases) in [(&bias[..], &biases[..]), (&[], &[])] {
                let want = definition::convolution(&wide, biases, channels, &inputs);
                let mut bits = [None, None];
                for cpu in executors() {
                    for silu in [false, true] {
                        let context = || format!("{channels} channels of {width}, {cpu:?}");
                        let new = || {
                            let storage = vec![T::nan(); convolution_len(channels, width)];
                            let new = CausalConvolution::new(channels, width, &weights, storage);
                            let new = new.unwrap().on(cpu);
                            let new = if silu { new.with_silu() } else { new };
                            match bias {
                                [] => new,
                                _ => new.with_bias(bias).unwrap(),
                            }
                        };
                        let mut cell = new();
                        let mut out = vec![T::nan(); n];
                        cell.prefill(&input, &mut out).unwrap();
                        for (&got, &(sum, size)) in out.iter().zip(&want) {
                            // The slope of silu is at most 1.1.
                            let want = if silu { definition::silu(sum) } else { sum };
                            let bound = T::bound("causal convolution")
                                + width as f64
                                + if silu { 5.0 } else { 0.0 };
                            near(got, want, size * unit::<T>(), bound, &context);
                        }
                        same(cpu, &mut bits[usize::from(silu)], &out, &context);
                        let kept = cell.state();
                        let before = vec![T::zero(); kept.len()];
                        let all = [&before[..], &input].concat();
                        assert!(kept == &all[all.len() - kept.len()..], "{}", context());
                        // Token by token, and in two pieces.
                        let mut steps = new();
                        let mut again = vec![T::nan(); n];
                        let tokens = input.chunks(channels).zip(again.chunks_mut(channels));
                        tokens.for_each(|(x, y)| steps.step(x, y).unwrap());
                        assert!(out == again, "{}: steps differ", context());
                        assert!(steps.state() == cell.state(), "{}", context());
                        let half = n / channels / 2 * channels;
                        let mut pieces = new();
                        let (start, rest) = again.split_at_mut(half);
                        pieces.prefill(&input[..half], start).unwrap();
                        let saved = pieces.state().to_vec();
                        pieces.reset();
                        assert!(pieces.state().iter().all(|x| x.is_zero()));
                        pieces.state_mut().copy_from_slice(&saved);
                        pieces.prefill(&input[half..], rest).unwrap();
                        assert!(out == again, "{}: pieces differ", context());
                    }
                }
            }
        }
    }
}

#[test]
fn convolution_holds_its_bound_on_every_level() {
    check_convolution::<f32>();
    check_convolution::<f64>();
}

#[test]
fn convolution_forgets_nan_after_its_width() {
    for cpu in executors() {
        let weights = [1.0_f32; 3 * 17];
        let mut cell = CausalConvolution::new(17, 3, &weights, [0.0; convolution_len(17, 3)])
            .unwrap()
            .on(cpu);
        let mut out = [0.0; 17];
        for (t, x) in [1.0, f32::NAN, 1.0, 1.0, 1.0, f32::INFINITY]
            .into_iter()
            .enumerate()
        {
            cell.step(&[x; 17], &mut out).unwrap();
            let want = [1.0, f32::NAN, f32::NAN, f32::NAN, 3.0, f32::INFINITY][t];
            assert!(
                out.iter().all(|y| y.to_bits() == want.to_bits()),
                "{cpu:?} {t} {out:?}"
            );
        }
    }
}

/// A scan whose numbers `f32` represents.
fn scan_inputs(channels: usize, states: usize, tokens: usize, form: usize) -> definition::Scan {
    let mut random = Random((channels * 1000 + states * 10 + tokens) as u64);
    let mut vector = |n: usize, map: &dyn Fn(f64) -> f64| -> Vec<f64> {
        (0..n)
            .map(|_| f64::from(map(random.normal()) as f32))
            .collect()
    };
    let all = channels * tokens;
    let few = |n| if form == 0 { 0 } else { n };
    definition::Scan {
        channels,
        states,
        // Decays of every size, some that grow, some that vanish.
        a: vector(channels * states, &|x| {
            if x > 2.0 { 0.25 } else { -(4.0 * x).exp() }
        }),
        skip: vector(few(channels), &|x| x),
        softplus: form > 0,
        bias: vector(if form == 2 { channels } else { 0 }, &|x| x - 3.0),
        input: vector(all, &|x| x),
        step: vector(all, &|x| if form == 0 { 0.1 * x.exp() } else { 4.0 * x }),
        b: vector(states * tokens, &|x| x),
        c: vector(states * tokens, &|x| x),
        gate: vector(few(all), &|x| 3.0 * x),
        start: vector(channels * states, &|x| x),
    }
}

fn narrow<T: Number>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| T::from_f64(x)).collect()
}

/// The parts of a scan, as a number type.
struct Parts<T>([Vec<T>; 9]);

impl<T: Number> Parts<T> {
    fn of(s: &definition::Scan) -> Self {
        let parts = [
            &s.a, &s.skip, &s.bias, &s.input, &s.step, &s.b, &s.c, &s.gate, &s.start,
        ];
        Self(parts.map(|x| narrow(x)))
    }

    fn tokens(&self) -> ScanToken<'_, T> {
        let [_, _, _, input, step, b, c, gate, _] = &self.0;
        let gate = (!gate.is_empty()).then_some(&gate[..]);
        ScanToken {
            input,
            step,
            b,
            c,
            gate,
        }
    }

    /// The tokens from one to another.
    fn some(&self, s: &definition::Scan, from: usize, to: usize) -> ScanToken<'_, T> {
        fn cut<T>(x: &[T], width: usize, from: usize, to: usize) -> &[T] {
            &x[from * width..to * width]
        }
        let all = self.tokens();
        ScanToken {
            input: cut(all.input, s.channels, from, to),
            step: cut(all.step, s.channels, from, to),
            b: cut(all.b, s.states, from, to),
            c: cut(all.c, s.states, from, to),
            gate: all.gate.map(|gate| cut(gate, s.channels, from, to)),
        }
    }

    fn cell(&self, s: &definition::Scan, cpu: Cpu) -> SelectiveScan<'_, T, Vec<T>> {
        let [a, skip, bias, .., start] = &self.0;
        let storage = vec![T::nan(); scan_len(s.channels, s.states)];
        let mut cell = SelectiveScan::new(s.channels, s.states, a, storage)
            .unwrap()
            .on(cpu);
        if !skip.is_empty() {
            cell = cell.with_skip(skip).unwrap();
        }
        if s.softplus {
            cell = cell.with_softplus(bias).unwrap();
        }
        cell.state_mut().copy_from_slice(start);
        cell
    }
}

fn check_scan<T: Number>() {
    let mut worst = 0.0_f64;
    for channels in CHANNELS {
        for states in [1, 2, 3, 4, 8, 15, 16, 17, 40] {
            for (tokens, form) in [(1, 2), (3, 1), (12, 0), (12, 2)] {
                let s = scan_inputs(channels, states, tokens, form);
                let want = definition::scan(&s);
                let parts = Parts::<T>::of(&s);
                let mut bits = None;
                for cpu in executors() {
                    let context = || format!("scan {channels} x {states}, form {form}, {cpu:?}");
                    let mut cell = parts.cell(&s, cpu);
                    let mut out = vec![T::nan(); channels * tokens];
                    cell.prefill(parts.tokens(), &mut out).unwrap();
                    let got = out.iter().chain(cell.state());
                    for (&got, &(want, size)) in got.zip(want.y.iter().chain(&want.h)) {
                        let bound = T::bound("selective scan");
                        let size = size.max(T::min_positive_value().value()) * unit::<T>();
                        worst = worst.max(near(got, want, size, bound, &context));
                    }
                    same(cpu, &mut bits, &[&out[..], cell.state()].concat(), &context);
                    let mut steps = parts.cell(&s, cpu);
                    let mut again = vec![T::nan(); channels * tokens];
                    for (t, out) in again.chunks_mut(channels).enumerate() {
                        steps.step(parts.some(&s, t, t + 1), out).unwrap();
                    }
                    assert!(out == again, "{}: steps differ", context());
                    assert!(steps.state() == cell.state(), "{}", context());
                }
            }
        }
    }
    println!("selective scan {}: {worst} units", T::NAME);
}

#[test]
fn selective_scan_holds_its_bound_on_every_level() {
    check_scan::<f32>();
    check_scan::<f64>();
}

#[test]
fn selective_scan_agrees_with_the_reference_vectors() {
    fn check<T: Number>(case: &golden::Case) {
        let get = |name: &str| {
            case.get32(name)
                .into_iter()
                .map(f64::from)
                .collect::<Vec<_>>()
        };
        let channels =
            case.get("u").unwrap().len() / case.key("T").unwrap().parse::<usize>().unwrap();
        let on = |name: &str| case.get(name) == Some(&[1.0]);
        let softplus = on("softplus");
        let s = definition::Scan {
            channels,
            states: case.get("A").unwrap().len() / channels,
            a: get("A"),
            skip: get("Dskip"),
            softplus,
            bias: if softplus { get("dt_bias") } else { Vec::new() },
            input: get("u"),
            step: get("delta"),
            b: get("B"),
            c: get("C"),
            gate: if on("gate") { get("z") } else { Vec::new() },
            start: get("h0"),
        };
        let sizes = definition::scan(&s);
        let parts = Parts::<T>::of(&s);
        for cpu in executors() {
            let mut cell = parts.cell(&s, cpu);
            let mut out = vec![T::nan(); s.input.len()];
            cell.prefill(parts.tokens(), &mut out).unwrap();
            let got = out.iter().chain(cell.state());
            let want = case.get("y").unwrap().iter().chain(case.get("h").unwrap());
            for ((&got, &want), (own, size)) in got.zip(want).zip(sizes.y.iter().chain(&sizes.h)) {
                let context = || case.head.clone();
                near(
                    got,
                    want.into(),
                    size * unit::<T>(),
                    T::bound("selective scan"),
                    &context,
                );
                near(own.high, want.into(), size * unit::<f64>(), 2.0, &context);
            }
        }
    }
    for case in golden::read("mamba1.gv") {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

#[test]
fn selective_scan_has_its_edges() {
    const INF: f32 = f32::INFINITY;
    for cpu in executors() {
        // Sixteen states and seventeen channels: whole vectors, and what is left over.
        let run = |a: f32, tokens: &[(f32, f32, f32, f32)]| -> Vec<f32> {
            let a = [a; 17 * 19];
            let mut cell = SelectiveScan::new(17, 19, &a, [0.0; scan_len(17, 19)])
                .unwrap()
                .on(cpu);
            let outs = tokens.iter().map(|&(input, step, b, c)| {
                let token = ScanToken {
                    input: &[input; 17],
                    step: &[step; 17],
                    b: &[b; 19],
                    c: &[c; 19],
                    gate: None,
                };
                let mut out = [7.0; 17];
                cell.step(token, &mut out).unwrap();
                assert!(
                    out.iter().all(|x| x.to_bits() == out[0].to_bits()),
                    "{cpu:?}"
                );
                let nan = cell.state().iter().filter(|h| h.is_nan());
                assert!(
                    nan.clone().all(|h| h.to_bits() == f32::NAN.to_bits()),
                    "{cpu:?}"
                );
                out[0]
            });
            outs.collect()
        };
        // A decay far below the smallest number leaves exactly nothing.
        assert_eq!(
            run(-1.0, &[(1.0, 1.0, 1.0, 1.0), (0.0, 1e4, 0.0, 1.0)]),
            [19.0, 0.0]
        );
        assert_eq!(
            run(-INF, &[(1.0, 1.0, 1.0, 1.0), (0.0, 1.0, 0.0, 1.0)]),
            [19.0, 0.0]
        );
        // One that grows grows to infinity.
        assert_eq!(
            run(1.0, &[(1.0, 1.0, 1.0, 1.0), (0.0, 100.0, 0.0, 1.0)]),
            [19.0, INF]
        );
        assert_eq!(
            run(0.0, &[(1.0, 1.0, 1.0, 1.0), (0.0, 100.0, 0.0, -1.0)]),
            [19.0, -19.0]
        );
        // NaN stays, in the one representation.
        for bad in [
            (f32::NAN, 1.0, 1.0, 1.0),
            (1.0, f32::NAN, 1.0, 1.0),
            (1.0, 1.0, f32::NAN, 1.0),
        ] {
            let out = run(-1.0, &[(1.0, 1.0, 1.0, 1.0), bad, (1.0, 1.0, 1.0, 1.0)]);
            assert!(
                out[1..].iter().all(|y| y.to_bits() == f32::NAN.to_bits()),
                "{bad:?} {out:?}"
            );
        }
    }
}

#[test]
fn wrong_shapes_are_refused_before_anything_changes() {
    let length = |expected, found| Err(Error::Length { expected, found });
    let shape = Error::Domain(Parameter::Shape);
    assert_eq!(Rwkv4::new(&[], &[], [0.0_f32; 0]).err(), Some(shape));
    let none = || [0.0_f32; 0];
    assert_eq!(CausalConvolution::new(0, 4, &[], none()).err(), Some(shape));
    assert_eq!(
        CausalConvolution::new(usize::MAX, 4, &[], none()).err(),
        Some(shape)
    );
    assert_eq!(SelectiveScan::new(4, 0, &[], none()).err(), Some(shape));
    assert_eq!(
        SelectiveScan::new(2, usize::MAX, &[], none()).err(),
        Some(shape)
    );
    assert!(Rwkv4::new(&[0.0; 2], &[0.0; 3], [0.0_f32; 8]).is_err());
    assert!(Rwkv4::new(&[0.0; 2], &[0.0; 2], [0.0_f32; 7]).is_err());
    assert!(CausalConvolution::new(2, 3, &[0.0; 6], [0.0_f32; 5]).is_err());
    assert!(SelectiveScan::new(2, 3, &[0.0; 6], [0.0_f32; 5]).is_err());

    let mut wkv = Rwkv4::new(&[-1.0; 2], &[0.0; 2], [0.0_f32; 8]).unwrap();
    let mut out = [7.0; 4];
    let token = Rwkv4Token {
        key: &[1.0; 2],
        value: &[1.0; 2],
    };
    wkv.step(token, &mut out[..2]).unwrap();
    let (before, written) = (wkv.state().to_vec(), out);
    assert_eq!(wkv.step(token, &mut out), length(2, 4));
    assert_eq!(wkv.prefill(token, &mut out), length(4, 2));
    assert_eq!(
        wkv.prefill(token, &mut out[..3]),
        Err(Error::Multiple { of: 2, found: 3 })
    );
    let short = Rwkv4Token {
        value: &[1.0],
        ..token
    };
    assert_eq!(wkv.step(short, &mut out[..2]), length(2, 1));
    let mut vector = Rwkv4::new(&[-1.0; 2], &[0.0; 2], vec![0.0_f32; 8]).unwrap();
    let others = Rwkv4::new(&[-1.0; 3], &[0.0; 3], vec![0.0_f32; 12]).unwrap();
    assert_eq!(vector.merge(&others), length(2, 3));
    assert!(wkv.state() == before && out == written && wkv.steps() == 1);

    let mut convolution = CausalConvolution::new(2, 2, &[1.0; 4], [0.0_f32; 2]).unwrap();
    convolution.step(&[1.0, 2.0], &mut out[..2]).unwrap();
    let written = out;
    assert_eq!(convolution.step(&[1.0], &mut out[..2]), length(2, 1));
    assert_eq!(convolution.step(&[1.0; 2], &mut out[..3]), length(2, 3));
    assert_eq!(convolution.prefill(&[1.0; 2], &mut out), length(4, 2));
    assert_eq!(
        convolution.prefill(&[1.0; 3], &mut out[..3]),
        Err(Error::Multiple { of: 2, found: 3 })
    );
    assert!(convolution.with_bias(&[0.0]).is_err());
    assert!(convolution.state() == [1.0, 2.0] && out == written);

    let a = [-1.0_f32; 6];
    let mut scan = SelectiveScan::new(2, 3, &a, [0.0; 6]).unwrap();
    let good = ScanToken {
        input: &[1.0; 2],
        step: &[1.0; 2],
        b: &[1.0; 3],
        c: &[1.0; 3],
        gate: None,
    };
    scan.step(good, &mut out[..2]).unwrap();
    let (before, written) = (scan.state().to_vec(), out);
    let mut refused = |token| scan.step(token, &mut out[..2]);
    assert_eq!(
        refused(ScanToken {
            input: &[1.0],
            ..good
        }),
        length(2, 1)
    );
    assert_eq!(
        refused(ScanToken {
            step: &[1.0],
            ..good
        }),
        length(2, 1)
    );
    assert_eq!(
        refused(ScanToken {
            b: &[1.0; 2],
            ..good
        }),
        length(3, 2)
    );
    assert_eq!(
        refused(ScanToken {
            c: &[1.0; 4],
            ..good
        }),
        length(3, 4)
    );
    assert_eq!(
        refused(ScanToken {
            gate: Some(&[1.0; 3]),
            ..good
        }),
        length(2, 3)
    );
    assert_eq!(scan.prefill(good, &mut out), length(4, 2));
    assert_eq!(
        scan.prefill(good, &mut out[..3]),
        Err(Error::Multiple { of: 2, found: 3 })
    );
    assert!(scan.with_skip(&[0.0]).is_err() && scan.with_softplus(&[0.0]).is_err());
    assert!(scan.state() == before && out == written);
}

#[test]
fn numbers_of_every_kind_give_the_same_bits_on_every_level() {
    for (seed, channels) in [(1, 5), (2, 16), (3, 19), (4, 50)] {
        let mut random = Random(seed);
        let mut raw = |n: usize| -> Vec<f32> {
            let mut any = || f32::from_bits(random.bits() as u32);
            (0..n).map(|_| any()).collect()
        };
        let states = 21;
        let (few, wide, all) = (raw(channels), raw(channels), raw(channels * states));
        let (x, y, b, c) = (
            raw(channels * 3),
            raw(channels * 3),
            raw(states * 3),
            raw(states * 3),
        );
        let mut bits = None;
        for cpu in executors() {
            let mut out = vec![vec![0.0; channels * 3]; 4];
            let [first, second, third, fourth] = &mut out[..] else {
                return;
            };
            let mut wkv = Rwkv4::new(&few, &wide, vec![0.0; rwkv4_len(channels)])
                .unwrap()
                .on(cpu);
            wkv.prefill(Rwkv4Token { key: &x, value: &y }, first)
                .unwrap();
            let mut later = wkv.clone();
            later.merge(&wkv).unwrap();
            let storage = vec![0.0; convolution_len(channels, 2)];
            let weights = [&few[..], &wide].concat();
            CausalConvolution::new(channels, 2, &weights, storage)
                .unwrap()
                .with_silu()
                .on(cpu)
                .prefill(&x, second)
                .unwrap();
            let tokens = ScanToken {
                input: &x,
                step: &y,
                b: &b,
                c: &c,
                gate: Some(&x),
            };
            let new = || {
                let storage = vec![0.0; scan_len(channels, states)];
                SelectiveScan::new(channels, states, &all, storage)
                    .unwrap()
                    .on(cpu)
            };
            let mut plain = new();
            plain.prefill(tokens, third).unwrap();
            let mut whole = new().with_softplus(&few).unwrap().with_skip(&wide).unwrap();
            whole.prefill(tokens, fourth).unwrap();
            let states = [plain.state(), whole.state(), wkv.state(), later.state()].concat();
            let got = [out.concat(), states].concat();
            same(cpu, &mut bits, &got, &|| format!("{channels} channels"));
        }
    }
}
