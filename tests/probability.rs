//! The probability room against its definitions, on every level.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{Ulp, bound32, ulps};
use inputs::{LENGTHS, Number, Random, check, executors, overflowed, rows};
use reference::golden;
use reference::probability::{self as definition, Logits as Reference};
use reference::wide::Wide;
use suanzi::probability::{LogSoftmax, LogSumExp, Logits, Mask, ProbabilityMap, Rows, Softmax};
use suanzi::storage::{Bf16, F16};
use suanzi::{Cpu, Error, Level, Parameter};

#[test]
fn absent_levels_are_said_aloud() {
    for level in Level::ALL {
        if Cpu::with(level).is_err() {
            eprintln!("SKIPPED: {level:?} is not on this machine");
        }
    }
    assert!(Cpu::levels().any(|level| level == Level::Scalar));
}

/// Holds the three operations to the table and to the same bits.
fn hold<T: Number>(
    reference: &Reference,
    logits: &dyn for<'a> Fn(&'a Reference) -> Logits<'a, T>,
    x: &[T],
    name: &str,
) where
    for<'a> Softmax<'a, T>: ProbabilityMap<[T]>,
    for<'a> LogSoftmax<'a, T>: ProbabilityMap<[T]>,
{
    let scores = reference.scores(&x.iter().map(|x| x.value()).collect::<Vec<_>>());
    let (want, want_log, want_sum) = (
        definition::softmax(&scores),
        definition::log_softmax(&scores),
        definition::log_sum_exp(&scores),
    );
    let logits = logits(reference);
    let mut first: Option<Vec<u64>> = None;
    for cpu in executors() {
        let context = || format!("{name}, {:?}, fused {}", cpu.level(), cpu.is_fused());
        let mut out = vec![T::from_f64(7.0); x.len()];
        Softmax::new(logits)
            .on(cpu)
            .map(x, &mut out[..])
            .expect("lengths agree");
        check("softmax", 0.0, &out, &want, &context);
        let mut bits: Vec<u64> = out.iter().map(|x| x.representation()).collect();
        let mut in_place = x.to_vec();
        Softmax::new(logits)
            .on(cpu)
            .map_in_place(&mut in_place[..])
            .expect("lengths agree");
        assert!(
            in_place
                .iter()
                .zip(&bits)
                .all(|(x, &b)| x.representation() == b),
            "in place, {}",
            context()
        );

        LogSoftmax::new(logits)
            .on(cpu)
            .map(x, &mut out[..])
            .expect("lengths agree");
        check("log_softmax", 1.0, &out, &want_log, &context);
        bits.extend(out.iter().map(|x| x.representation()));
        in_place.copy_from_slice(x);
        LogSoftmax::new(logits)
            .on(cpu)
            .map_in_place(&mut in_place[..])
            .expect("lengths agree");
        assert!(
            in_place
                .iter()
                .zip(&out)
                .all(|(x, o)| x.representation() == o.representation()),
            "{}",
            context()
        );

        let sum = LogSumExp::new(logits)
            .on(cpu)
            .reduce(x)
            .expect("lengths agree");
        check("log_sum_exp", 1.0, &[sum], &[want_sum], &context);
        bits.push(sum.representation());
        if !cpu.is_fused() {
            let first = first.get_or_insert_with(|| bits.clone());
            assert!(*first == bits, "other bits: {}", context());
        }
    }
}

/// Tells the compiler that a closure serves every lifetime.
fn made<F: for<'a> Fn(&'a Reference) -> Logits<'a, f32>>(f: F) -> F {
    f
}

fn raw<T: Number>(_: &Reference) -> Logits<'_, T> {
    Logits::new()
}

#[test]
fn every_row_is_within_the_table_with_the_same_bits() {
    for n in LENGTHS {
        for (name, x) in rows::<f32>(n) {
            hold(
                &Reference::default(),
                &raw::<f32>,
                &x,
                &format!("{name}, {n}"),
            );
        }
        for (name, x) in rows::<f64>(n) {
            hold(
                &Reference::default(),
                &raw::<f64>,
                &x,
                &format!("{name}, {n}"),
            );
        }
    }
}

#[test]
fn long_rows_are_as_exact_as_short_ones() {
    for n in [32_768, 128_256] {
        let mut random = Random(5);
        let x: Vec<f32> = (0..n).map(|_| (3.0 * random.normal()) as f32).collect();
        hold(&Reference::default(), &raw::<f32>, &x, &format!("{n}"));
        hold(
            &Reference::default(),
            &raw::<f32>,
            &vec![0.1; n],
            &format!("equal {n}"),
        );
    }
}

#[test]
fn scale_and_masks_keep_the_bound() {
    for n in [1, 2, 5, 16, 33, 130, 1000] {
        for (name, x) in rows::<f32>(n) {
            if name.contains("NaN") || name.contains("inf") || name.contains("largest") {
                continue;
            }
            let x32: Vec<f32> = x.iter().map(|x| x.clamp(-1e4, 1e4)).collect();
            let keep: Vec<bool> = (0..n).map(|i| i % 5 != 2).collect();
            let add: Vec<f64> = (0..n)
                .map(|i| {
                    if i % 7 == 3 {
                        f64::NEG_INFINITY
                    } else {
                        f64::from((i as f32 * 0.37).sin())
                    }
                })
                .collect();
            let add32: Vec<f32> = add.iter().map(|&a| a as f32).collect();
            let scale = 0.123_456_79_f32;
            let scaled = made(|_| Logits::new().scaled(scale).expect("finite"));
            let reference = Reference {
                scale: Some(scale.into()),
                ..Reference::default()
            };
            hold(&reference, &scaled, &x32, &format!("scale, {name}, {n}"));
            let reference = Reference {
                keep: Some(keep.clone()),
                ..Reference::default()
            };
            let kept =
                made(|r| Logits::new().masked(Mask::Keep(r.keep.as_deref().expect("a mask"))));
            hold(&reference, &kept, &x32, &format!("keep, {name}, {n}"));
            let wide: Vec<f64> = add32.iter().map(|&a| a.into()).collect();
            let reference = Reference {
                add: Some(wide),
                ..Reference::default()
            };
            let add32: &'static [f32] = add32.leak();
            let added = made(move |_| Logits::new().masked(Mask::Add(add32)));
            hold(&reference, &added, &x32, &format!("add, {name}, {n}"));
        }
    }
}

/// A row is begun relative to its first score; wherever it rises far above that, or to infinity, the
/// result is the same as if the maximum had been known.
#[test]
fn a_row_may_rise_anywhere() {
    fn rising<T: Number>(n: usize, first: f64, place: usize, rise: f64) -> Vec<T> {
        let mut random = Random(n as u64);
        let mut row: Vec<f64> = (0..n).map(|_| first + random.normal()).collect();
        if let Some(x) = row.get_mut(place) {
            *x = first + rise;
        }
        row.into_iter().map(T::from_f64).collect()
    }
    let plain = Reference::default();
    for n in [16, 130, 300] {
        for place in [1, 127, 128, 250, 299] {
            for first in [0.0, -44.0, 44.0, 70.0, -200.0] {
                for rise in [30.0, 46.5, 60.0, 120.0, 300.0, 1e5, f64::INFINITY, f64::NAN] {
                    let name = format!("{n} from {first}, {rise} higher at {place}");
                    let x = rising::<f32>(n, first, place, rise);
                    hold(&plain, &raw, &x, &name);
                    let x = rising::<f64>(n, first, place, 8.0 * rise);
                    hold(&plain, &raw, &x, &name);
                }
            }
        }
    }
    let scaled = made(|_| Logits::new().scaled(-2.0).expect("finite"));
    let reference = Reference {
        scale: Some(-2.0),
        ..Reference::default()
    };
    for rise in [-20.0, -30.0, -100.0, -1e6] {
        let x = rising::<f32>(300, 3.0, 200, rise);
        hold(&reference, &scaled, &x, &format!("scaled, {rise}"));
    }
}

/// Found by fuzzing: the rounding error of a scaled logit of 10^26 is itself beyond what an exponential
/// takes.
#[test]
fn scores_far_from_zero_keep_the_bound() {
    for base in [7e4_f32, 3e6, 4e7, 1e12, 1.8e26, -5e7, -3e20] {
        for n in [1, 6, 37, 130] {
            let x: Vec<f32> = (0..n)
                .map(|i| f32::from_bits(base.to_bits() + i * 7 % 5))
                .collect();
            for scale in [0.123_456_79_f32, 2.3125, -0.7] {
                let scaled = made(move |_| Logits::new().scaled(scale).expect("finite"));
                let reference = Reference {
                    scale: Some(scale.into()),
                    ..Reference::default()
                };
                hold(&reference, &scaled, &x, &format!("{base} by {scale}, {n}"));
            }
        }
    }
}

#[test]
fn a_masked_value_is_never_read_into_the_result() {
    let keep = [true, false, true];
    let add = [0.0_f32, f32::NEG_INFINITY, 0.0];
    for cpu in executors() {
        for poison in [f32::NAN, f32::INFINITY, f32::MAX] {
            // Near zero, and so far from it that scores are taken relative to their greatest.
            for far in [-1.5e38_f32, 1e9] {
                for mask in [Mask::Keep(&keep), Mask::Add(&add)] {
                    let logits = Logits::new().scaled(-0.0625).expect("finite").masked(mask);
                    let mut x = [far, poison, far];
                    Softmax::new(logits)
                        .on(cpu)
                        .map_in_place(&mut x[..])
                        .expect("lengths agree");
                    assert_eq!(x, [0.5, 0.0, 0.5], "{far}, {poison}, {cpu:?}");
                }
            }
            for mask in [Mask::Keep(&keep), Mask::Add(&add)] {
                let mut x = [1.0, poison, 1.0];
                let logits = Logits::new().masked(mask);
                Softmax::new(logits)
                    .on(cpu)
                    .map_in_place(&mut x[..])
                    .expect("lengths agree");
                assert_eq!(x, [0.5, 0.0, 0.5], "{poison}, {cpu:?}");
                let lse = LogSumExp::new(logits)
                    .on(cpu)
                    .reduce(&[0.0, poison, 0.0])
                    .expect("lengths agree");
                assert_eq!(lse, core::f32::consts::LN_2);
            }
        }
    }
}

#[test]
fn the_soft_cap_comes_before_the_mask_and_keeps_its_bound() {
    for case in golden::read("softcap.gv") {
        let (x, cap, p) = (
            case.get32("x"),
            case.get32("cap")[0],
            case.get("p").expect("p"),
        );
        for cpu in executors() {
            let mut out = vec![0.0; x.len()];
            let softmax = Softmax::new(Logits::new().softcapped(cap).expect("positive")).on(cpu);
            softmax.map(&x[..], &mut out[..]).expect("lengths agree");
            // A score that moves by d moves its own probability by d of it, and every other one with
            // the sum.
            let moved = |x: f32| {
                let capped = f64::from(cap) * libm::tanh(f64::from(x) / f64::from(cap));
                bound32("softmax with softcap") * f32::ulp(capped)
            };
            let sum: f64 = x.iter().zip(p).map(|(&x, p)| moved(x) * p).sum();
            for ((&x, &got), &want) in x.iter().zip(&out).zip(p) {
                let slack = bound32("softmax") * f32::ulp(want) + (moved(x) + sum) * want;
                assert!(
                    (f64::from(got) - want).abs() <= slack,
                    "{}: {got} {want} {cpu:?}",
                    case.head
                );
            }
        }
    }
}

#[test]
fn golden_vectors_hold() {
    for case in golden::read("softmax.gv") {
        if case.key("tags").is_some() {
            continue;
        }
        let x = case.get32("x");
        let at: Vec<usize> = case.get("at").map_or((0..x.len()).collect(), |at| {
            at.iter().map(|&i| i as usize).collect()
        });
        for cpu in executors() {
            let context = || format!("{}, {cpu:?}", case.head);
            let mut out = vec![0.0_f32; x.len()];
            Softmax::default()
                .on(cpu)
                .map(&x[..], &mut out[..])
                .expect("lengths agree");
            compare(
                "softmax",
                0.0,
                &out,
                &at,
                case.get("p").or(case.get("p_at")),
                &context,
            );
            LogSoftmax::default()
                .on(cpu)
                .map(&x[..], &mut out[..])
                .expect("lengths agree");
            compare(
                "log_softmax",
                1.0,
                &out,
                &at,
                case.get("logp").or(case.get("logp_at")),
                &context,
            );
            let sum = LogSumExp::default()
                .on(cpu)
                .reduce(&x)
                .expect("lengths agree");
            compare("log_sum_exp", 1.0, &[sum], &[0], case.get("lse"), &context);
        }
    }
    for case in golden::read("softmax_temp.gv") {
        let (x, tau) = (case.get32("x"), case.get32("tau")[0]);
        let scale = 1.0 / f64::from(tau);
        if case.key("tags").is_some() || f64::from(scale as f32) != scale {
            continue;
        }
        for cpu in executors() {
            let mut out = vec![0.0_f32; x.len()];
            let logits = Logits::new().scaled(scale as f32).expect("finite");
            Softmax::new(logits)
                .on(cpu)
                .map(&x[..], &mut out[..])
                .expect("lengths agree");
            let at: Vec<usize> = (0..x.len()).collect();
            compare("softmax", 0.0, &out, &at, case.get("p"), &|| {
                format!("{}, {cpu:?}", case.head)
            });
        }
    }
}

fn compare(
    operation: &str,
    floor: f64,
    got: &[f32],
    at: &[usize],
    want: Option<&[f64]>,
    context: &dyn Fn() -> String,
) {
    let want = want.unwrap_or_else(|| panic!("no field for {operation} in {}", context()));
    assert_eq!(at.len(), want.len(), "{}", context());
    for (&i, &want) in at.iter().zip(want) {
        let error = ulps(got[i], overflowed::<f32>(want), 0.0, floor);
        assert!(
            error <= bound32(operation),
            "{operation} {}: {} for {want}: {error} ULP",
            context(),
            got[i]
        );
    }
}

#[test]
fn rows_are_mapped_one_by_one() {
    let x: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
    let add: Vec<f32> = (0..60).map(|i| (i as f32 * 1.3).cos()).collect();
    for row in [1, 5, 12, 20, 60] {
        for masked in [0, row, 60] {
            let mut got = x.clone();
            let mask = if masked == 0 {
                Mask::None
            } else {
                Mask::Add(&add[..masked])
            };
            Softmax::new(Logits::new().masked(mask))
                .map_rows(&mut got[..], row)
                .expect("whole rows");
            for (i, want) in x.chunks(row).enumerate() {
                let mut want = want.to_vec();
                let add = match masked {
                    0 => Mask::None,
                    60 => Mask::Add(&add[i * row..(i + 1) * row]),
                    _ => Mask::Add(&add[..row]),
                };
                Softmax::new(Logits::new().masked(add))
                    .map_in_place(&mut want[..])
                    .expect("one row");
                assert_eq!(
                    got[i * row..(i + 1) * row],
                    want[..],
                    "row {i} of {row}, mask {masked}"
                );
            }
        }
    }
}

#[test]
fn strided_rows_give_the_bits_of_contiguous_ones() {
    let (count, len) = (3, 300);
    for cpu in executors() {
        for (row_stride, stride) in [(len, 1), (1, count), (2 * len + 1, 2), (1, count + 4)] {
            let rows = Rows {
                count,
                len,
                row_stride,
                stride,
            };
            let extent = rows.extent().expect("rows apart");
            let x: Vec<f32> = (0..extent + 3)
                .map(|i| (i as f32 * 0.37).sin() * 9.0)
                .collect();
            let mut got = x.clone();
            Softmax::default()
                .on(cpu)
                .map_strided(&mut got, rows)
                .expect("rows fit");
            let mut touched = vec![false; x.len()];
            for i in 0..count {
                let index = |j: usize| i * row_stride + j * stride;
                let mut want: Vec<f32> = (0..len).map(|j| x[index(j)]).collect();
                Softmax::default()
                    .on(cpu)
                    .map_in_place(&mut want[..])
                    .expect("one row");
                for (j, want) in want.iter().enumerate() {
                    assert_eq!(
                        got[index(j)],
                        *want,
                        "{rows:?}, row {i}, element {j}, {cpu:?}"
                    );
                    touched[index(j)] = true;
                }
            }
            assert!(
                (0..x.len()).all(|i| touched[i] || got[i] == x[i]),
                "wrote between rows"
            );
        }
    }
}

#[test]
fn narrow_storage_is_rounded_once() {
    let bound = bound32("softmax in F16 or Bf16");
    for n in [1, 2, 17, 129, 1000] {
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
        for cpu in executors() {
            let mut half: Vec<F16> = x.iter().map(|&x| F16::from_f32(x)).collect();
            let scores: Vec<Wide> = half.iter().map(|h| f64::from(h.to_f32()).into()).collect();
            Softmax::default()
                .on(cpu)
                .map_in_place(&mut half[..])
                .expect("one row");
            for (got, want) in half.iter().zip(definition::softmax(&scores)) {
                let unit = 2.0_f64.powi((want.high.log2().floor() as i32 - 10).max(-24));
                assert!(
                    (f64::from(got.to_f32()) - want.high).abs() <= bound * unit,
                    "{got:?} {want:?}"
                );
            }
            let mut brain: Vec<Bf16> = x.iter().map(|&x| Bf16::from_f32(x)).collect();
            let scores: Vec<Wide> = brain.iter().map(|h| f64::from(h.to_f32()).into()).collect();
            Softmax::default()
                .on(cpu)
                .map_in_place(&mut brain[..])
                .expect("one row");
            for (got, want) in brain.iter().zip(definition::softmax(&scores)) {
                let unit = 2.0_f64.powi(want.high.log2().floor() as i32 - 7);
                assert!(
                    (f64::from(got.to_f32()) - want.high).abs() <= bound * unit,
                    "{got:?} {want:?}"
                );
            }
        }
    }
}

#[test]
fn bad_arguments_are_refused_and_nothing_is_written() {
    let mut x = [1.0_f32, 2.0, 3.0];
    let before = x;
    let keep = [true; 2];
    let masked = Logits::new().masked(Mask::Keep(&keep));
    let length = Err(Error::Length {
        expected: 3,
        found: 2,
    });
    assert_eq!(Softmax::new(masked).map_in_place(&mut x[..]), length);
    assert_eq!(LogSoftmax::new(masked).map_in_place(&mut x[..]), length);
    assert_eq!(
        LogSumExp::new(masked).reduce(&x),
        Err(Error::Length {
            expected: 3,
            found: 2
        })
    );
    let mut out = [9.0_f32; 2];
    assert_eq!(Softmax::default().map(&x[..], &mut out[..]), length);
    assert_eq!(LogSoftmax::default().map(&x[..], &mut out[..]), length);
    let multiple = Err(Error::Multiple { of: 2, found: 3 });
    assert_eq!(Softmax::default().map_rows(&mut x[..], 2), multiple);
    assert_eq!(
        LogSoftmax::default().map_rows(&mut x[..], 0),
        Err(Error::Multiple { of: 0, found: 3 })
    );
    assert_eq!(LogSumExp::default().reduce_rows(&x, 2, &mut out), multiple);
    assert_eq!(
        LogSumExp::default().reduce_rows(&x, 1, &mut out),
        Err(Error::Length {
            expected: 3,
            found: 2
        })
    );
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(
            Logits::new().scaled(scale),
            Err(Error::Domain(Parameter::Scale))
        );
    }
    for cap in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        assert_eq!(
            Logits::new().softcapped(cap),
            Err(Error::Domain(Parameter::Softcap))
        );
    }
    let rows = |row_stride, stride| Rows {
        count: 2,
        len: 2,
        row_stride,
        stride,
    };
    for rows in [rows(0, 1), rows(1, 0), rows(1, 1), rows(usize::MAX, 2)] {
        assert_eq!(
            Softmax::default().map_strided(&mut x, rows),
            Err(Error::Domain(Parameter::Stride))
        );
    }
    let short = Err(Error::Length {
        expected: 4,
        found: 3,
    });
    assert_eq!(Softmax::default().map_strided(&mut x, rows(2, 1)), short);
    assert_eq!((x, out), (before, [9.0; 2]));
    assert_eq!(
        Softmax::default().map_rows(&mut [0.0_f32; 0][..], 0),
        Ok(())
    );
}

#[test]
fn softmax_is_shift_invariant_where_the_shift_is_exact() {
    let x: Vec<f32> = (0..257)
        .map(|i| ((i * 37 % 101) as f32 - 50.0) / 8.0)
        .collect();
    let mut want = x.clone();
    Softmax::default()
        .map_in_place(&mut want[..])
        .expect("one row");
    for shift in [-4096.0, -256.0, 64.0, 1024.0, 65536.0] {
        let mut got: Vec<f32> = x.iter().map(|x| x + shift).collect();
        Softmax::default()
            .map_in_place(&mut got[..])
            .expect("one row");
        for (got, want) in got.iter().zip(&want) {
            assert!(
                ulps(*got, f64::from(*want), 0.0, 0.0) <= 2.0 * bound32("softmax"),
                "{shift}: {got} {want}"
            );
        }
    }
}
