//! Attention with everything that changes scores and views, against its definition and outside judges.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use core::cell::RefCell;

use inputs::{Number, Random, executors};
use reference::mixer::{self as definition, Attended, Shape};
use reference::{conformance, golden};
use suanzi::mixer::{
    Alibi, Attended as Forward, Attention, Cache, Forget, Gradients, KeyValues, Layout, LogitSinks,
    MaskRows, Paged, QuantizedCache, ScoreFn, ScoreGradient, ScoreMap, Softcap, Visible,
    merge_outputs,
};
use suanzi::storage::{Bf16, F16, Stored};
use suanzi::{Cpu, Error, Parameter};

/// Keys and values `[token][head][dim]`, and the queries of several consecutive tokens.
struct Sequence<T> {
    shape: Shape,
    rows: usize,
    tokens: usize,
    query: Vec<T>,
    keys: Vec<T>,
    values: Vec<T>,
}

/// What a score becomes: query row, head, key, scaled score.
type Rule<'a> = &'a dyn Fn(usize, usize, usize, f64) -> f64;

impl<T: Number> Sequence<T> {
    fn new(heads: (usize, usize), dims: (usize, usize), rows: usize, tokens: usize) -> Self {
        let ((query_heads, kv_heads), (key_dim, value_dim)) = (heads, dims);
        let mut random = Random((rows * 1000 + tokens) as u64);
        let mut numbers = |n: usize| -> Vec<T> {
            let number = |_| T::from_f64(f64::from(random.normal() as f32));
            (0..n).map(number).collect()
        };
        let shape = Shape {
            query_heads,
            kv_heads,
            key_dim,
            value_dim,
            scale: (T::one() / T::from_f64(key_dim as f64).sqrt()).value(),
        };
        Self {
            shape,
            rows,
            tokens,
            query: numbers(rows * query_heads * key_dim),
            keys: numbers(tokens * kv_heads * key_dim),
            values: numbers(tokens * kv_heads * value_dim),
        }
    }

    fn attention(&self) -> Attention<T> {
        let Shape {
            query_heads,
            kv_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        Attention::new(query_heads, kv_heads, key_dim)
            .unwrap()
            .with_value_dim(value_dim)
            .unwrap()
    }

    fn cache(&self) -> Cache<T, &[T]>
    where
        T: Stored<T>,
    {
        let Shape {
            kv_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        Cache::filled(
            kv_heads,
            key_dim,
            value_dim,
            &self.keys[..],
            &self.values[..],
        )
        .unwrap()
        .with_layout(Layout::TokenMajor)
    }

    /// Outputs and log-sum-exps of every row, `together` at a time.
    fn run<M: ScoreMap<T> + Copy, C: KeyValues<T>>(
        &self,
        cpu: Cpu,
        map: M,
        memory: &C,
        visible: Visible,
        together: usize,
    ) -> (Vec<T>, Vec<T>) {
        let attention = self.attention().with_scores(map).on(cpu);
        let mut scratch = vec![T::nan(); attention.rows_scratch_len(self.tokens, together)];
        let mut out = vec![T::nan(); self.rows * attention.out_len()];
        let mut lse = vec![T::nan(); self.rows * self.shape.query_heads];
        attention
            .attend_rows_with_lse(
                &self.query,
                memory,
                visible,
                &mut scratch,
                &mut out,
                &mut lse,
            )
            .unwrap();
        (out, lse)
    }

    fn want(&self, row: usize, rule: Rule<'_>, sink: &dyn Fn(usize) -> f64) -> Attended {
        let Shape {
            query_heads,
            kv_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        let wide = |x: &[T]| -> Vec<f64> { x.iter().map(|x| x.value()).collect() };
        let key = |j, g| wide(&self.keys[(j * kv_heads + g) * key_dim..][..key_dim]);
        let value = |j, g| wide(&self.values[(j * kv_heads + g) * value_dim..][..value_dim]);
        let query = wide(&self.query[row * query_heads * key_dim..][..query_heads * key_dim]);
        definition::attend_with(
            self.shape,
            &query,
            self.tokens,
            (key, value),
            |h, j, s| rule(row, h, j, s),
            sink,
        )
    }

    fn largest_value(&self) -> f64 {
        let finite = self.values.iter().map(|v| v.value().abs());
        finite.filter(|v| v.is_finite()).fold(0.0, f64::max)
    }
}

/// Stops unless the outputs of a row are within the bound; returns the greatest error in units.
fn check_row<T: Number>(
    operation: &str,
    what: &str,
    (out, lse): (&[T], &[T]),
    want: &Attended,
    largest: f64,
    bias: f64,
) -> f64 {
    let (heads, mut worst) = (want.lse.len(), 0.0_f64);
    let dim = want.out.len() / heads;
    let unit = T::epsilon().value() / 2.0;
    for (i, (got, &expected)) in out.iter().zip(&want.out).enumerate() {
        let size = largest * (1.0 + want.magnitude[i / dim] + bias);
        let error = (got.value() - expected).abs() / unit / size;
        assert!(
            error <= T::bound(operation) || got.value() == expected,
            "{what}: element {i}: {got:?} for {expected}, {error:.2} units"
        );
        worst = worst.max(if error.is_nan() { 0.0 } else { error });
    }
    for (h, (got, &expected)) in lse.iter().zip(&want.lse).enumerate() {
        let size = 1.0 + want.magnitude[h] + bias + expected.abs();
        let error = (got.value() - expected).abs() / unit / size;
        assert!(
            error <= T::bound(operation) || got.value() == expected,
            "{what}: log-sum-exp {h}: {got:?} for {expected}, {error:.2} units"
        );
    }
    worst
}

/// Compares a map with its rule on every executor, and rows together with rows alone.
fn check_map<T: Number + Stored<T>, M: ScoreMap<T> + Copy>(
    what: &str,
    sequence: &Sequence<T>,
    visible: Visible,
    map: M,
    rule: Rule<'_>,
    sink: &dyn Fn(usize) -> f64,
    bias: f64,
) -> f64 {
    let Shape {
        query_heads,
        value_dim,
        ..
    } = sequence.shape;
    let (mut worst, mut bits) = (0.0_f64, None);
    let cache = sequence.cache();
    let want: Vec<_> = (0..sequence.rows)
        .map(|row| sequence.want(row, rule, sink))
        .collect();
    for cpu in executors() {
        for together in [1, 2, 5, sequence.rows] {
            let got = sequence.run(cpu, map, &cache, visible, together);
            if !cpu.is_fused() {
                let own: Vec<_> = got
                    .0
                    .iter()
                    .chain(&got.1)
                    .map(|x| x.representation())
                    .collect();
                let first = bits.get_or_insert_with(|| own.clone());
                assert_eq!(*first, own, "{what} {cpu:?} {together}: the bits differ");
            }
            let rows = got.0.chunks(query_heads * value_dim);
            for ((out, lse), want) in rows.zip(got.1.chunks(query_heads)).zip(&want) {
                let operation = "attention with scores";
                let what = format!("{what} {cpu:?} {} tokens", sequence.tokens);
                let largest = sequence.largest_value();
                worst = worst.max(check_row(operation, &what, (out, lse), want, largest, bias));
            }
        }
    }
    worst
}

fn maps_are_their_definition<T: Number + Stored<T>>() {
    let number = T::from_f64;
    let none = |_: usize| f64::NEG_INFINITY;
    let mut worst = 0.0_f64;
    for (heads, dims, rows, tokens) in [
        ((1, 1), (4, 4), 1, 1),
        ((2, 1), (8, 5), 3, 3),
        ((6, 2), (16, 24), 7, 64),
        ((5, 1), (24, 33), 9, 130),
        ((7, 7), (5, 16), 4, 67),
    ] {
        let mut sequence = Sequence::<T>::new(heads, dims, rows, tokens);
        let h = heads.0;
        let first = tokens - rows;
        let visible = Visible::at(first as isize);
        let mut random = Random(3);
        let causal = |row: usize, j: usize| j <= first + row;
        let only = |row, j, s| if causal(row, j) { s } else { f64::NEG_INFINITY };

        worst = worst.max(check_map(
            "no map",
            &sequence,
            visible,
            (),
            &|r, _, j, s| only(r, j, s),
            &none,
            0.0,
        ));
        let cap = number(0.75);
        let softcap = Softcap::new(cap).unwrap();
        let capped = |s: f64| cap.value() * (s / cap.value()).tanh();
        worst = worst.max(check_map(
            "soft cap",
            &sequence,
            visible,
            softcap,
            &|r, _, j, s| only(r, j, capped(s)),
            &none,
            0.0,
        ));
        let slopes: Vec<T> = (0..h).map(|i| number(0.5_f64.powi(i as i32 + 1))).collect();
        let distance = |r: usize, j: usize| (first + r).abs_diff(j) as f64;
        worst = worst.max(check_map(
            "alibi",
            &sequence,
            Visible::at(first as isize).right(2),
            Alibi::new(&slopes),
            &|r, i, j, s| {
                if j <= first + r + 2 {
                    s - slopes[i].value() * distance(r, j)
                } else {
                    f64::NEG_INFINITY
                }
            },
            &none,
            0.5 * tokens as f64,
        ));
        let logits: Vec<T> = (0..h).map(|i| number(i as f64 / 2.0 - 1.0)).collect();
        let sink = |h: usize| logits[h].value();
        worst = worst.max(check_map(
            "sinks",
            &sequence,
            visible,
            LogitSinks::new(&logits),
            &|r, _, j, s| only(r, j, s),
            &sink,
            1.0 + h as f64 / 2.0,
        ));
        let mut sums = vec![T::zero(); h * tokens];
        for sums in sums.chunks_mut(tokens) {
            let mut sum = T::zero();
            for to in sums {
                sum = sum - number(f64::from(random.unit() as f32) / 4.0);
                *to = sum;
            }
        }
        let gate = |h: usize, t: usize| sums[h * tokens + t].value();
        worst = worst.max(check_map(
            "forget gates",
            &sequence,
            visible,
            Forget::new(&sums, tokens),
            &|r, h, j, s| only(r, j, s + gate(h, first + r) - gate(h, j)),
            &none,
            0.25 * tokens as f64,
        ));
        let every_other = ScoreFn(move |h: usize, i: isize, j: usize, s: T| {
            if (h + j).is_multiple_of(2) {
                s * number(0.5) + number(i as f64 / 8.0)
            } else {
                T::neg_infinity()
            }
        });
        worst = worst.max(check_map(
            "a closure",
            &sequence,
            visible,
            every_other,
            &|r, h, j, s| {
                if (h + j).is_multiple_of(2) {
                    only(r, j, 0.5 * s + (first + r) as f64 / 8.0)
                } else {
                    f64::NEG_INFINITY
                }
            },
            &none,
            tokens as f64 / 8.0,
        ));

        // Masks; the last key and the third of each eight are hidden from all, and hold NaN.
        let nothing = |j: usize| j + 1 == tokens || j % 8 == 2;
        let (key, value) = (heads.1 * dims.0, heads.1 * dims.1);
        for j in (0..tokens).filter(|&j| nothing(j)) {
            sequence.keys[j * key..][..key].fill(T::nan());
            sequence.values[j * value..][..value].fill(T::nan());
        }
        let masked = |keep: bool, s: f64| if keep { s } else { f64::NEG_INFINITY };
        let keep: Vec<bool> = (0..tokens).map(|j| !nothing(j)).collect();
        worst = worst.max(check_map(
            "one row of truth values",
            &sequence,
            Visible::all(),
            MaskRows::new(&keep),
            &|_, _, j, s| masked(keep[j], s),
            &none,
            0.0,
        ));
        let keep: Vec<bool> = (0..h * rows * tokens)
            .map(|i| !nothing(i % tokens) && random.unit() < 0.7)
            .collect();
        worst = worst.max(check_map(
            "truth values of each head",
            &sequence,
            Visible::all(),
            MaskRows::each_head(&keep, rows, tokens),
            &|r, h, j, s| masked(keep[(h * rows + r) * tokens + j], s),
            &none,
            0.0,
        ));
        let add: Vec<T> = (0..rows * tokens)
            .map(|i| match nothing(i % tokens) || i % 5 == 0 {
                true => T::neg_infinity(),
                false => number(f64::from(random.normal() as f32)),
            })
            .collect();
        let added = |r: usize, j: usize| add[r * tokens + j].value();
        worst = worst.max(check_map(
            "numbers of each query",
            &sequence,
            Visible::all(),
            MaskRows::each_query(&add, tokens),
            &|r, _, j, s| masked(added(r, j) > f64::NEG_INFINITY, s + added(r, j)),
            &none,
            6.0,
        ));
        worst = worst.max(check_map(
            "cap, mask, slopes and sinks",
            &sequence,
            visible,
            (
                (softcap, MaskRows::each_query(&add, tokens)),
                (Alibi::new(&slopes), LogitSinks::new(&logits)),
            ),
            &|r, h, j, s| {
                let biased = capped(s) + added(r, j) - slopes[h].value() * distance(r, j);
                only(r, j, masked(added(r, j) > f64::NEG_INFINITY, biased))
            },
            &sink,
            6.0 + tokens as f64 / 2.0,
        ));
    }
    println!(
        "attention with scores in {}: {worst:.2} units at most",
        T::NAME
    );
}

#[test]
fn maps_are_their_definition_in_single_precision() {
    maps_are_their_definition::<f32>();
}

#[test]
fn maps_are_their_definition_in_double_precision() {
    maps_are_their_definition::<f64>();
}

#[test]
fn views_are_their_rules() {
    let mut random = Random(11);
    for case in 0..60 {
        let (rows, tokens) = (1 + case % 9, 1 + random.below(300) as usize);
        let sequence = Sequence::<f32>::new((4, 2), (8, 8), rows, tokens);
        let mut below = |limit: usize| random.below(limit as u64) as usize;
        let mut or = |never: usize, limit: usize| match below(3) {
            0 => never,
            _ => below(limit),
        };
        let right = [0, 0, usize::MAX, or(0, 40)][case % 4];
        let window = or(usize::MAX, 100).max(1);
        let chunk = or(usize::MAX, 150).max(1);
        let (skip, sinks) = (or(0, 70), or(0, 80));
        let valid = or(usize::MAX, tokens);
        let first = or(tokens, tokens + 1) as isize - rows as isize;
        let visible = Visible::at(first)
            .right(right)
            .window(window)
            .chunk(chunk)
            .skip(skip)
            .sinks(sinks)
            .valid(valid);
        let sees = |row: usize, j: usize| {
            let (i, j) = (first + row as isize, j as isize);
            let reach = right == usize::MAX || j <= i + right as isize;
            let near = window == usize::MAX || j > i - window as isize;
            let together =
                chunk == usize::MAX || i.div_euclid(chunk as isize) == j.div_euclid(chunk as isize);
            let held = j >= skip as isize && (j as usize) < valid;
            let sink = j < skip as isize + sinks as isize;
            reach && held && (near && together || sink)
        };
        check_map(
            &format!("{visible:?}"),
            &sequence,
            visible,
            (),
            &|r, _, j, s| if sees(r, j) { s } else { f64::NEG_INFINITY },
            &|_| f64::NEG_INFINITY,
            0.0,
        );
    }
}

#[test]
fn pages_give_the_bits_of_a_cache() {
    let (rows, tokens, slots) = (5, 150, 7);
    let sequence = Sequence::<f32>::new((6, 2), (16, 24), rows, tokens);
    // 29 pages of which the sequence has every fourth, backwards.
    let table: Vec<usize> = (0..22).map(|page| (87 - 4 * page) % 29).collect();
    let page = |i: usize| table.get(i).copied().unwrap_or(usize::MAX);
    for layout in [Layout::HeadMajor, Layout::TokenMajor] {
        let pool = |dim: usize| vec![f32::NAN; 29 * slots * 2 * dim];
        let mut pages = Paged::<f32, _, _>::new(2, 16, 24, slots, pool(16), pool(24), page)
            .unwrap()
            .with_layout(layout);
        let half = |dim: usize| vec![F16::default(); 29 * slots * 2 * dim];
        let mut halves = Paged::<F16, _, _>::new(2, 16, 24, slots, half(16), half(24), page)
            .unwrap()
            .with_layout(layout);
        let mut kept = Cache::<F16, _>::new(
            2,
            16,
            24,
            vec![F16::default(); tokens * 32],
            vec![F16::default(); tokens * 48],
        )
        .unwrap();
        for (keys, values) in sequence.keys.chunks(160).zip(sequence.values.chunks(240)) {
            pages.append(keys, values).unwrap();
            halves.append(keys, values).unwrap();
            kept.append(keys, values).unwrap();
        }
        assert_eq!(pages.len(), tokens);
        for visible in [
            Visible::from(tokens - rows + 1),
            Visible::all(),
            Visible::at(100).window(30).sinks(5).right(4),
        ] {
            for cpu in executors() {
                for together in [1, 4] {
                    let want = sequence.run(cpu, (), &sequence.cache(), visible, together);
                    let got = sequence.run(cpu, (), &pages, visible, together);
                    assert_eq!(got, want, "{layout:?} {visible:?} {cpu:?}");
                    let want = sequence.run(cpu, (), &kept, visible, together);
                    let got = sequence.run(cpu, (), &halves, visible, together);
                    assert_eq!(got, want, "{layout:?} {visible:?} {cpu:?}");
                }
            }
        }
        let full = Err(Error::Capacity { limit: 154 });
        assert_eq!(pages.append(&sequence.keys, &sequence.values), full);
        assert_eq!(pages.len(), tokens);
        pages.truncate(9);
        assert_eq!(pages.with_len(9).unwrap().len(), 9);
    }
}

#[test]
fn eight_bit_rows_together_are_rows_alone() {
    let sequence = Sequence::<f32>::new((6, 2), (20, 24), 9, 150);
    let (keys, values) = (
        (vec![0; 150 * 40], vec![0.0; 300]),
        (vec![0; 150 * 48], vec![0.0; 300]),
    );
    let mut cache = QuantizedCache::new(2, 20, 24, keys, values).unwrap();
    cache.append(&sequence.keys, &sequence.values).unwrap();
    let slopes = [0.5, 0.25, 0.125, 0.0, 1.0, 2.0];
    for visible in [
        Visible::from(142),
        Visible::all().skip(3),
        Visible::at(90).window(70),
    ] {
        for cpu in executors().into_iter().filter(|cpu| !cpu.is_fused()) {
            let want = sequence.run(Cpu::scalar(), (), &cache, visible, 1);
            let mapped = sequence.run(Cpu::scalar(), Alibi::new(&slopes), &cache, visible, 1);
            for together in [1, 4, 9] {
                let got = sequence.run(cpu, (), &cache, visible, together);
                assert_eq!(got, want, "{visible:?} {cpu:?} {together}");
                let got = sequence.run(cpu, Alibi::new(&slopes), &cache, visible, together);
                assert_eq!(got, mapped, "{visible:?} {cpu:?} {together}");
            }
        }
    }
}

#[test]
fn rows_without_a_key_are_zeros() {
    let mut sequence = Sequence::<f32>::new((4, 2), (8, 8), 3, 70);
    sequence.values.fill(f32::NAN);
    sequence.keys.fill(f32::INFINITY);
    let hidden = [false; 70];
    let lowest = [f32::NEG_INFINITY; 70];
    for cpu in executors() {
        let cache = sequence.cache();
        for got in [
            sequence.run(cpu, MaskRows::new(&hidden), &cache, Visible::all(), 3),
            sequence.run(cpu, MaskRows::new(&lowest), &cache, Visible::from(20), 2),
            sequence.run(cpu, MaskRows::new(&[] as &[bool]), &cache, 68.into(), 1),
            sequence.run(cpu, (), &cache, Visible::at(-3), 3),
            sequence.run(cpu, (), &cache, Visible::all().skip(70), 3),
            sequence.run(cpu, (), &cache, Visible::all().valid(0), 3),
        ] {
            assert!(got.0.iter().all(|&x| x.to_bits() == 0), "{cpu:?}");
            assert!(got.1.iter().all(|&x| x == f32::NEG_INFINITY), "{cpu:?}");
        }
        let sinks = (
            MaskRows::new(&hidden),
            LogitSinks::new(&[0.0, 1.0, 2.0, 3.0]),
        );
        let got = sequence.run(cpu, sinks, &cache, Visible::all(), 3);
        assert!(got.0.iter().all(|&x| x.to_bits() == 0), "{cpu:?}");
        for (lse, want) in got.1.iter().zip([0.0, 1.0, 2.0, 3.0].iter().cycle()) {
            assert!((lse - want).abs() <= 2.0 * f32::EPSILON, "{cpu:?}: {lse}");
        }
    }
}

#[test]
fn a_sink_counts_once_where_outputs_merge() {
    let sequence = Sequence::<f64>::new((4, 2), (8, 8), 1, 100);
    let logits = [0.5, -1.0, 2.0, 0.0];
    let sinks = LogitSinks::new(&logits);
    let (cpu, cache) = (Cpu::default(), sequence.cache());
    let (mut out, mut lse) = sequence.run(cpu, sinks, &cache, Visible::from(40), 1);
    let later = sequence.run(cpu, (), &cache, Visible::all().skip(40), 1);
    merge_outputs(&mut out, &mut lse, &later.0, &later.1).unwrap();
    let want = sequence.want(0, &|_, _, _, s| s, &|h| logits[h]);
    let what = "merged";
    check_row(
        "attention with scores",
        what,
        (&out[..], &lse[..]),
        &want,
        sequence.largest_value(),
        2.0,
    );
}

/// A call with scratch and outputs that is refused.
type Refused<'a> = &'a dyn Fn(&mut [f32], &mut [f32]) -> Result<(), Error>;

#[test]
fn what_a_map_lacks_is_an_error_and_nothing_is_written() {
    let sequence = Sequence::<f32>::new((2, 1), (4, 4), 2, 6);
    let (cache, attention) = (sequence.cache(), sequence.attention());
    let mut scratch = vec![0.0; attention.rows_scratch_len(6, 2)];
    let mut out = [9.0; 16];
    let mut run = |map: Refused<'_>| {
        let error = map(&mut scratch, &mut out);
        assert_eq!(out, [9.0; 16]);
        error
    };
    let length = |expected, found| Err(Error::Length { expected, found });
    let query = &sequence.query[..];
    assert_eq!(
        run(&|s, o| attention
            .with_scores(Alibi::new(&[1.0]))
            .attend_rows(query, &cache, 5, s, o)),
        length(2, 1)
    );
    assert_eq!(
        run(&|s, o| attention
            .with_scores(LogitSinks::new(&[1.0; 3]))
            .attend_rows(query, &cache, 5, s, o)),
        length(2, 3)
    );
    assert_eq!(
        run(&|s, o| attention
            .with_scores(MaskRows::each_query(&[true; 6], 6))
            .attend_rows(query, &cache, 5, s, o)),
        length(12, 6)
    );
    assert_eq!(
        run(&|s, o| attention
            .with_scores(MaskRows::each_head(&[true; 12], 1, 6))
            .attend_rows(query, &cache, 5, s, o)),
        length(12, 6)
    );
    assert_eq!(
        run(&|s, o| attention
            .with_scores(MaskRows::each_head(&[true; 12], 2, 6))
            .attend_rows(query, &cache, 5, s, o)),
        length(24, 12)
    );
    assert_eq!(
        run(&|s, o| attention
            .with_scores(Forget::new(&[0.0; 10], 5))
            .attend_rows(query, &cache, 5, s, o)),
        Err(Error::Capacity { limit: 5 })
    );
    assert_eq!(
        run(&|s, o| attention
            .with_scores(Forget::new(&[0.0; 11], 6))
            .attend_rows(query, &cache, 5, s, o)),
        length(12, 11)
    );
    let window = Err(Error::Domain(Parameter::Window));
    let none = Visible::from(5).chunk(0);
    assert_eq!(
        run(&|s, o| attention.attend_rows(query, &cache, none, s, o)),
        window
    );
    let beyond = Visible::from(6);
    let capacity = Err(Error::Capacity { limit: 6 });
    assert_eq!(
        run(&|s, o| attention.attend_rows(query, &cache, beyond, s, o)),
        capacity
    );
    let mut lse = [9.0; 3];
    assert_eq!(
        attention.attend_rows_with_lse(query, &cache, 5, &mut [], &mut [0.0; 16], &mut lse),
        length(4, 3)
    );
    let cap = Err(Error::Domain(Parameter::Softcap));
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(Softcap::new(bad).map(|_| ()), cap);
    }
    let page = |i| i;
    let paged = |keys: usize, values: usize, slots| {
        Paged::<f32, _, _>::new(1, 2, 2, slots, vec![0.0; keys], vec![0.0; values], page)
            .map(|_| ())
    };
    assert_eq!(paged(8, 8, 0), Err(Error::Domain(Parameter::Shape)));
    assert_eq!(paged(8, 8, 3), Err(Error::Multiple { of: 6, found: 8 }));
    assert_eq!(paged(8, 6, 2), length(8, 6));
}

#[test]
fn every_kind_of_golden_vector_is_reproduced() {
    let mut kinds = std::collections::BTreeSet::new();
    let cases = golden::read("attention.gv");
    for case in &cases {
        let size = |name| case.key(name).unwrap().parse::<usize>().unwrap();
        let [t, s, heads, kv, d, e] = ["T", "S", "Hq", "Hkv", "D", "E"].map(size);
        let option = |name: &str| case.get(name).map(|x| x[0]);
        let scale = case.get32("scale")[0];
        let shape = Shape {
            query_heads: heads,
            kv_heads: kv,
            key_dim: d,
            value_dim: e,
            scale: scale.into(),
        };
        let sequence = Sequence {
            shape,
            rows: t,
            tokens: s,
            query: case.get32("q"),
            keys: case.get32("k"),
            values: case.get32("v"),
        };
        let softcap = option("cap").map(|cap| Softcap::new(cap as f32).unwrap());
        let [slopes, logits] = ["slopes", "sink_logit"].map(|name| case.get32(name));
        let alibi = (!slopes.is_empty()).then(|| Alibi::new(&slopes));
        let sinks = (!logits.is_empty()).then(|| LogitSinks::new(&logits));
        let first = option("qpos").unwrap() as isize;
        let window = option("window").or(option("W"));
        let visible = Visible::at(first)
            .window(window.map_or(usize::MAX, |w| w as usize))
            .sinks(option("n_sink").unwrap_or(0.0) as usize);
        for cpu in executors() {
            let attention = sequence
                .attention()
                .with_scale(scale)
                .unwrap()
                .with_scores((softcap, (alibi, sinks)))
                .on(cpu);
            let mut scratch = vec![0.0; attention.rows_scratch_len(s, 3)];
            let (mut out, mut lse) = (vec![0.0; t * heads * e], vec![0.0; t * heads]);
            attention
                .attend_rows_with_lse(
                    &sequence.query,
                    &sequence.cache(),
                    visible,
                    &mut scratch,
                    &mut out,
                    &mut lse,
                )
                .unwrap();
            for row in 0..t {
                let own = |x: &[f64], n: usize| x[row * n..][..n].to_vec();
                let want = Attended {
                    out: own(case.get("o").unwrap(), heads * e),
                    lse: own(case.get("lse").unwrap(), heads),
                    magnitude: sequence
                        .want(row, &|_, _, _, s| s, &|_| f64::NEG_INFINITY)
                        .magnitude,
                };
                let bias = slopes.iter().fold(0.0_f32, |m, &x| m.max(x));
                check_row(
                    "attention with scores",
                    &case.head,
                    (
                        &out[row * heads * e..][..heads * e],
                        &lse[row * heads..][..heads],
                    ),
                    &want,
                    sequence.largest_value(),
                    f64::from(bias) * s as f64,
                );
            }
        }
        kinds.insert(case.key("kind").unwrap());
    }
    println!("{} golden cases of {kinds:?}", cases.len());
    assert!(
        cases.is_empty() || (cases.len() >= 24 && kinds.len() >= 9),
        "{kinds:?}"
    );
}

#[test]
fn golden_splits_merge_to_the_whole() {
    for case in golden::read("attn_merge.gv") {
        if case.key("kind") != Some("split") {
            continue;
        }
        let [s, cut, d] = ["S", "cut", "D"].map(|name| case.key(name).unwrap().parse().unwrap());
        let scale = case.get32("scale")[0];
        let sequence = Sequence {
            shape: Shape {
                query_heads: 1,
                kv_heads: 1,
                key_dim: d,
                value_dim: d,
                scale: scale.into(),
            },
            rows: 1,
            tokens: s,
            query: case.get32("q"),
            keys: case.get32("k"),
            values: case.get32("v"),
        };
        let magnitude = sequence.want(0, &|_, _, _, s| s, &|_| f64::NEG_INFINITY);
        for cpu in executors() {
            let attention = sequence.attention().with_scale(scale).unwrap().on(cpu);
            let run = |visible: Visible| {
                let (mut out, mut lse) = (vec![0.0; d], vec![0.0]);
                let mut scratch = vec![0.0; attention.scratch_len(s)];
                let cache = sequence.cache();
                attention
                    .attend_with_lse(
                        &sequence.query,
                        &cache,
                        visible,
                        &mut scratch,
                        &mut out,
                        &mut lse,
                    )
                    .unwrap();
                (out, lse)
            };
            let (first, second) = (run(cut.into()), run(Visible::all().skip(cut)));
            let mut merged = first.clone();
            merge_outputs(&mut merged.0, &mut merged.1, &second.0, &second.1).unwrap();
            for (part, got) in [
                ("first", first),
                ("second", second),
                ("whole", run(s.into())),
                ("whole", merged),
            ] {
                let want = Attended {
                    out: case.get(&format!("o_{part}")).unwrap().to_vec(),
                    lse: case.get(&format!("lse_{part}")).unwrap().to_vec(),
                    magnitude: magnitude.magnitude.clone(),
                };
                let largest = sequence.largest_value();
                let got = (&got.0[..], &got.1[..]);
                check_row(
                    "attention with scores",
                    &case.head,
                    got,
                    &want,
                    largest,
                    0.0,
                );
            }
        }
    }
}

/// Compares the gradients with their definition on every executor.
fn check_gradients<T: Number + Stored<T>, M: ScoreGradient<T> + Copy>(
    what: &str,
    sequence: &Sequence<T>,
    visible: Visible,
    map: M,
    (rule, derivative): (Rule<'_>, &dyn Fn(usize, f64) -> f64),
    sink: &dyn Fn(usize) -> f64,
    bias: f64,
) -> f64 {
    let Shape {
        query_heads,
        kv_heads,
        key_dim,
        value_dim,
        scale,
    } = sequence.shape;
    let (tokens, group) = (sequence.tokens, query_heads / kv_heads);
    let wide = |x: &[T]| -> Vec<f64> { x.iter().map(|x| x.value()).collect() };
    let mut random = Random(5);
    let gradient: Vec<T> = (0..query_heads * value_dim)
        .map(|_| T::from_f64(f64::from(random.normal() as f32)))
        .collect();
    let forward = sequence.want(0, rule, sink);
    let mut want = [
        Vec::new(),
        vec![0.0; tokens * kv_heads * key_dim],
        vec![0.0; tokens * kv_heads * value_dim],
    ];
    for h in 0..query_heads {
        let g = h / group;
        let of = |x: &[T], dim: usize| -> Vec<Vec<f64>> {
            let vectors = x.chunks(dim).skip(g).step_by(kv_heads);
            vectors.map(wide).collect()
        };
        let (query, keys, values) = definition::gradients(
            scale,
            &wide(&sequence.query[h * key_dim..][..key_dim]),
            &of(&sequence.keys, key_dim),
            &of(&sequence.values, value_dim),
            &wide(&gradient[h * value_dim..][..value_dim]),
            (|j, s| rule(0, h, j, s), derivative),
            sink(h),
        );
        want[0].extend(query);
        for (to, from, dim) in [(1, keys, key_dim), (2, values, value_dim)] {
            for (j, from) in from.into_iter().enumerate() {
                let to = &mut want[to][(j * kv_heads + g) * dim..][..dim];
                to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
            }
        }
    }
    let greatest = |x: &[T]| {
        let finite = x.iter().map(|x| x.value().abs()).filter(|x| x.is_finite());
        finite.fold(0.0, f64::max)
    };
    let conditioned = forward
        .magnitude
        .iter()
        .zip(&forward.lse)
        .fold(0.0_f64, |m, (s, lse)| {
            m.max(1.0 + s + bias + if lse.is_finite() { lse.abs() } else { 0.0 })
        });
    let sum: f64 = gradient.chunks(value_dim).fold(0.0, |m, g| {
        f64::max(m, g.iter().map(|g| g.value().abs()).sum())
    });
    let slope = scale * greatest(&sequence.values) * sum;
    let units = [
        slope * greatest(&sequence.keys),
        slope * group as f64 * greatest(&sequence.query),
        group as f64 * greatest(&gradient),
    ];
    let (mut worst, mut bits) = (0.0_f64, None);
    for cpu in executors() {
        let attention = sequence.attention().with_scores(map).on(cpu);
        let cache = sequence.cache();
        let mut scratch = vec![T::nan(); attention.scratch_len(tokens)];
        let (mut out, mut lse) = (vec![T::nan(); gradient.len()], vec![T::nan(); query_heads]);
        let query = &sequence.query[..query_heads * key_dim];
        attention
            .attend_with_lse(query, &cache, visible, &mut scratch, &mut out, &mut lse)
            .unwrap();
        let mut scratch = vec![T::nan(); attention.vjp_scratch_len()];
        let mut got = [
            vec![T::nan(); want[0].len()],
            vec![T::zero(); want[1].len()],
            vec![T::zero(); want[2].len()],
        ];
        let [to, keys, values] = &mut got;
        attention
            .vjp(
                query,
                &cache,
                visible,
                Forward {
                    out: &out,
                    lse: &lse,
                    gradient: &gradient,
                },
                &mut scratch,
                Gradients {
                    query: to,
                    keys,
                    values,
                },
            )
            .unwrap();
        if !cpu.is_fused() {
            let own: Vec<_> = got.iter().flatten().map(|x| x.representation()).collect();
            let first = bits.get_or_insert_with(|| own.clone());
            assert_eq!(*first, own, "{what} {cpu:?}: the bits differ");
        }
        for (i, ((got, want), unit)) in got.iter().zip(&want).zip(units).enumerate() {
            for (j, (got, want)) in got.iter().zip(want).enumerate() {
                let unit = T::epsilon().value() / 2.0 * conditioned * unit;
                let error = (got.value() - want).abs() / unit;
                assert!(
                    error <= T::bound("attention vjp"),
                    "{what} {cpu:?}: {i} element {j}: {got:?} for {want}, {error:.2} units"
                );
                worst = worst.max(error);
            }
        }
    }
    worst
}

fn gradients_are_their_definition<T: Number + Stored<T>>() {
    let none = |_: usize| f64::NEG_INFINITY;
    let mut worst = 0.0_f64;
    for (heads, dims, tokens) in [
        ((1, 1), (1, 1), 1),
        ((2, 1), (8, 5), 3),
        ((6, 2), (16, 24), 64),
        ((5, 1), (24, 33), 130),
        ((7, 7), (5, 16), 67),
    ] {
        let mut sequence = Sequence::<T>::new(heads, dims, 1, tokens);
        let causal = Visible::from(tokens);
        let plain: (Rule<'_>, &dyn Fn(usize, f64) -> f64) = (&|_, _, _, s| s, &|_, _| 1.0);
        worst = worst.max(check_gradients(
            "plain",
            &sequence,
            causal,
            (),
            plain,
            &none,
            0.0,
        ));
        let window = causal.window(5).sinks(2);
        let seen = |j: usize| j + 5 >= tokens || j < 2;
        let rule = |_: usize, _: usize, j: usize, s| if seen(j) { s } else { f64::NEG_INFINITY };
        let rules: (Rule<'_>, &dyn Fn(usize, f64) -> f64) = (&rule, &|_, _| 1.0);
        worst = worst.max(check_gradients(
            "window",
            &sequence,
            window,
            (),
            rules,
            &none,
            0.0,
        ));

        let hidden = |j: usize| j % 4 == 1;
        let (key, value) = (heads.1 * dims.0, heads.1 * dims.1);
        for j in (0..tokens).filter(|&j| hidden(j)) {
            sequence.keys[j * key..][..key].fill(T::nan());
            sequence.values[j * value..][..value].fill(T::nan());
        }
        let keep: Vec<bool> = (0..tokens).map(|j| !hidden(j)).collect();
        let cap = 1.5;
        let softcap = Softcap::new(T::from_f64(cap)).unwrap();
        let logits: Vec<T> = (0..heads.0).map(|h| T::from_f64(h as f64 / 4.0)).collect();
        let slopes: Vec<T> = (0..heads.0)
            .map(|h| T::from_f64(1.0 / (2 + h) as f64))
            .collect();
        let rule = |_: usize, h: usize, j: usize, s: f64| {
            if hidden(j) {
                return f64::NEG_INFINITY;
            }
            cap * (s / cap).tanh() - slopes[h].value() * (tokens - 1 - j) as f64
        };
        let derivative = |_: usize, s: f64| 1.0 - (s / cap).tanh().powi(2);
        worst = worst.max(check_gradients(
            "cap, mask, slopes and sinks",
            &sequence,
            causal,
            (
                (softcap, MaskRows::new(&keep)),
                (Some(Alibi::new(&slopes)), LogitSinks::new(&logits)),
            ),
            (&rule, &derivative),
            &|h| logits[h].value(),
            tokens as f64,
        ));
        let nothing = vec![false; tokens];
        worst = worst.max(check_gradients(
            "nothing visible",
            &sequence,
            causal,
            MaskRows::new(&nothing),
            (&|_, _, _, _| f64::NEG_INFINITY, &|_, _| 1.0),
            &none,
            0.0,
        ));
    }
    println!("attention vjp in {}: {worst:.2} units at most", T::NAME);
}

#[test]
fn gradients_are_their_definition_in_single_precision() {
    gradients_are_their_definition::<f32>();
}

#[test]
fn gradients_are_their_definition_in_double_precision() {
    gradients_are_their_definition::<f64>();
}

#[test]
fn gradients_are_finite_differences() {
    let mut sequence = Sequence::<f64>::new((4, 2), (6, 5), 1, 70);
    let softcap = Softcap::new(2.0).unwrap();
    let logits = [0.5, 0.0, -0.5, 1.0];
    let attention = sequence
        .attention()
        .with_scores((softcap, LogitSinks::new(&logits)));
    let gradient: Vec<f64> = (0..20).map(|i| f64::from(i % 7) - 3.0).collect();
    let forward = |sequence: &Sequence<f64>| {
        let mut scratch = vec![0.0; attention.scratch_len(70)];
        let (mut out, mut lse) = (vec![0.0; 20], vec![0.0; 4]);
        let cache = sequence.cache();
        attention
            .attend_with_lse(
                &sequence.query,
                &cache,
                70,
                &mut scratch,
                &mut out,
                &mut lse,
            )
            .unwrap();
        (out, lse)
    };
    let loss = |sequence: &Sequence<f64>| -> f64 {
        let out = forward(sequence).0;
        out.iter().zip(&gradient).map(|(o, g)| o * g).sum()
    };
    let (out, lse) = forward(&sequence);
    let mut got = [vec![0.0; 24], vec![0.0; 70 * 12], vec![0.0; 70 * 10]];
    let [query, keys, values] = &mut got;
    let mut scratch = vec![0.0; attention.vjp_scratch_len()];
    attention
        .vjp(
            &sequence.query,
            &sequence.cache(),
            70,
            Forward {
                out: &out,
                lse: &lse,
                gradient: &gradient,
            },
            &mut scratch,
            Gradients {
                query,
                keys,
                values,
            },
        )
        .unwrap();
    let field = |sequence: &mut Sequence<f64>, i: usize, j: usize, by: f64| {
        let field = match i {
            0 => &mut sequence.query,
            1 => &mut sequence.keys,
            _ => &mut sequence.values,
        };
        field[j] += by;
    };
    let step = 1e-5;
    for (i, got) in got.iter().enumerate() {
        for (j, &got) in got.iter().enumerate() {
            field(&mut sequence, i, j, step);
            let above = loss(&sequence);
            field(&mut sequence, i, j, -2.0 * step);
            let below = loss(&sequence);
            field(&mut sequence, i, j, step);
            let difference = (above - below) / (2.0 * step);
            let error = (got - difference).abs();
            // The square of the step, and what the outputs' rounding leaves of it.
            assert!(
                error <= step * step * 100.0,
                "{i} {j}: {got} for {difference}"
            );
        }
    }
}

#[test]
fn wrong_lengths_of_gradients_write_nothing() {
    let sequence = Sequence::<f32>::new((2, 1), (4, 4), 1, 3);
    let (attention, cache) = (sequence.attention(), sequence.cache());
    let lens = [8, 2, 8, attention.vjp_scratch_len(), 8, 12, 12];
    for wrong in 0..lens.len() {
        let len = |i: usize| if i == wrong { lens[i] - 1 } else { lens[i] };
        let mut to = [4, 5, 6].map(|i| vec![9.0; len(i)]);
        let [query, keys, values] = &mut to;
        let error = attention.vjp(
            &sequence.query,
            &cache,
            3,
            Forward {
                out: &vec![0.0; len(0)],
                lse: &vec![0.0; len(1)],
                gradient: &vec![0.0; len(2)],
            },
            &mut vec![0.0; len(3)],
            Gradients {
                query,
                keys,
                values,
            },
        );
        let length = Error::Length {
            expected: lens[wrong],
            found: lens[wrong] - 1,
        };
        assert_eq!(error, Err(length), "{wrong}");
        assert!(to.iter().flatten().all(|&x| x == 9.0));
    }
}

/// Scores as they are between two maps: of each head, query and key that is visible.
type Record = RefCell<Vec<(usize, isize, usize, f64)>>;

/// Runs one operator case of ONNX; returns nothing where it is within its tolerances, else why not.
fn onnx(case: &conformance::Case) -> Result<(), String> {
    let tensor = |name: &str| case.input(name);
    let flag = |name: &str| case.number(name);
    let single = |x: &conformance::Tensor| -> Vec<f32> {
        x.numbers().into_iter().map(|x| x as f32).collect()
    };
    // [batch][token][head][dim] and these sizes.
    let arranged = |x: &conformance::Tensor, heads: &str| -> (Vec<f32>, [usize; 4]) {
        let numbers = single(x);
        if let [b, t, width] = x.shape[..] {
            let h = flag(heads).unwrap() as usize;
            return (numbers, [b, t, h, width / h]);
        }
        let [b, h, t, d] = x.shape[..] else {
            panic!("{}: rank {}", case.name, x.shape.len())
        };
        let mut to = Vec::new();
        for i in 0..b * t * h * d {
            let (b, t, h, e) = (i / (t * h * d), i / (h * d) % t, i / d % h, i % d);
            to.push(numbers[((b * x.shape[1] + h) * x.shape[2] + t) * d + e]);
        }
        (to, [b, t, h, d])
    };
    let (q, [batches, t, heads, d]) = arranged(tensor("Q").unwrap(), "q_num_heads");
    let (k, [_, own, kv, _]) = arranged(tensor("K").unwrap(), "kv_num_heads");
    let (v, [.., e]) = arranged(tensor("V").unwrap(), "kv_num_heads");
    let past = tensor("past_key").map(|x| arranged(x, ""));
    let past_value = tensor("past_value").map(|x| arranged(x, ""));
    let before = past.as_ref().map_or(0, |x| x.1[1]);
    let s = before + own;
    let joined = |past: &Option<(Vec<f32>, [usize; 4])>, x: &[f32], b: usize, dim: usize| {
        let piece = |x: &[f32], t: usize| x[b * t * kv * dim..][..t * kv * dim].to_vec();
        let past = past.as_ref().map_or(Vec::new(), |x| piece(&x.0, before));
        [past, piece(x, own)].concat()
    };
    let valid = tensor("nonpad_kv_seqlen").map(|x| x.i64s());
    let causal = flag("is_causal") == Some(1.0);
    let window = |name| flag(name).filter(|&w| w >= 0.0).map(|w| w as usize);
    let (left, right) = (window("left_window_size"), window("right_window_size"));
    let softcap = flag("softcap").filter(|&cap| cap > 0.0);
    let softcap = softcap.map(|cap| Softcap::new(cap as f32).unwrap());
    let mut attention = Attention::<f32>::new(heads, kv, d)
        .unwrap()
        .with_value_dim(e)
        .unwrap();
    if let Some(scale) = flag("scale") {
        attention = attention.with_scale(scale as f32).unwrap();
    }
    // The mask as [batch][head][row][key], where sizes of one are repeated.
    let mask = tensor("attn_mask").map(|x| {
        let mut shape = vec![1; 4 - x.shape.len()];
        shape.extend(&x.shape);
        let numbers = x.numbers();
        let keys = shape[3];
        let entry = move |b: usize, h: usize, r: usize, j: usize| {
            let at = [b, h, r]
                .iter()
                .zip(&shape)
                .fold(0, |at, (&i, &n)| at * n + i.min(n - 1));
            numbers[at * keys + j]
        };
        (entry, keys, x.dtype == "bool")
    });
    let rounded = |x: f32| -> f64 {
        match tensor("Q").unwrap().dtype.as_str() {
            "float16" => F16::from_f32(x).to_f32().into(),
            "bfloat16" => Bf16::from_f32(x).to_f32().into(),
            _ => x.into(),
        }
    };
    // The reference computes sixteen bits in that type: two units of it, and half of one of a score.
    let unit = match tensor("Q").unwrap().dtype.as_str() {
        "float16" => 2.0_f64.powi(-10),
        "bfloat16" => 2.0_f64.powi(-7),
        _ => 0.0,
    };
    let close = |what: &str, got: f64, want: f64| -> Result<(), String> {
        let own = unit * (2.0 * want.abs() + 0.5);
        let limit = case.absolute + case.relative * want.abs() + own;
        if got == want || (got - want).abs() <= limit {
            Ok(())
        } else {
            Err(format!("{}: {what}: {got} for {want}", case.name))
        }
    };
    let three = tensor("Q").unwrap().shape.len() == 3;
    for b in 0..batches {
        let keys = joined(&past, &k, b, d);
        let values = joined(&past_value, &v, b, e);
        let cache = Cache::<f32, _>::filled(kv, d, e, &keys[..], &values[..])
            .unwrap()
            .with_layout(Layout::TokenMajor);
        let filled = valid.as_ref().map(|valid| valid[b] as usize);
        let offset = match filled {
            Some(n) => n as isize - t as isize,
            None => before as isize,
        };
        let visible = Visible::at(offset)
            .window(left.map_or(usize::MAX, |left| left + 1))
            .right(if causal {
                0
            } else {
                right.unwrap_or(usize::MAX)
            })
            .valid(filled.unwrap_or(usize::MAX).min(s));
        let entries = |mask: &dyn Fn(usize, usize, usize, usize) -> f64, keys: usize| {
            let mut entries = Vec::new();
            for i in 0..heads * t * keys {
                entries.push(mask(b, i / (t * keys), i / keys % t, i % keys));
            }
            entries
        };
        let (mut numbers, mut truths, mut width) = (Vec::new(), Vec::new(), 0);
        if let Some((entry, keys, bool)) = &mask {
            width = *keys;
            let all = entries(entry, width);
            match bool {
                true => truths = all.into_iter().map(|x| x != 0.0).collect(),
                false => numbers = all.into_iter().map(|x| x as f32).collect(),
            }
        }
        let added = (!numbers.is_empty()).then(|| MaskRows::each_head(&numbers, t, width));
        let kept = (!truths.is_empty()).then(|| MaskRows::each_head(&truths, t, width));
        let records: [Record; 3] = Default::default();
        let tap = |i: usize| {
            let record = &records[i];
            ScoreFn(move |h, query, key, score: f32| {
                record.borrow_mut().push((h, query, key, score.into()));
                score
            })
        };
        let map = (((tap(0), softcap), (tap(1), added)), (kept, tap(2)));
        let attention = attention.with_scores(map);
        let mut scratch = vec![0.0; attention.rows_scratch_len(s, t)];
        let (mut out, mut lse) = (vec![9.0; t * heads * e], vec![9.0; t * heads]);
        let query = &q[b * t * heads * d..][..t * heads * d];
        attention
            .attend_rows_with_lse(query, &cache, visible, &mut scratch, &mut out, &mut lse)
            .map_err(|error| format!("{}: {error}", case.name))?;
        let want = case.output("Y").unwrap().numbers();
        for (i, &got) in out.iter().enumerate() {
            let (row, h, x) = (i / (heads * e), i / e % heads, i % e);
            let at = match three {
                true => (b * t + row) * heads + h,
                false => (b * heads + h) * t + row,
            };
            close("Y", rounded(got), want[at * e + x])?;
        }
        if let Some(scores) = case.output("qk_matmul_output") {
            let want = scores.numbers();
            let mode = flag("qk_matmul_output_mode").unwrap_or(0.0) as usize;
            for &(h, query, key, score) in records[mode.min(2)].borrow().iter() {
                let row = (query - offset) as usize;
                let got = match mode {
                    3 => (score - f64::from(lse[row * heads + h])).exp(),
                    _ => score,
                };
                let got = if got.is_nan() { 0.0 } else { got };
                let want = want[((b * heads + h) * t + row) * s + key];
                close("scores", rounded(got as f32), want)?;
            }
        }
        for (name, kept, dim) in [("present_key", &keys, d), ("present_value", &values, e)] {
            if let Some(present) = case.output(name) {
                let want = present.numbers();
                for (i, &got) in kept.iter().enumerate() {
                    let (j, g, x) = (i / (kv * dim), i / dim % kv, i % dim);
                    close(name, got.into(), want[((b * kv + g) * s + j) * dim + x])?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_conformance_case_of_attention_passes() {
    for (operator, all, single) in [("Attention", 93, 82), ("FlexAttention", 6, 4)] {
        let cases = conformance::cases(operator);
        if cases.is_empty() {
            continue;
        }
        let failed: Vec<String> = cases.iter().filter_map(|case| onnx(case).err()).collect();
        let half = |case: &&conformance::Case| {
            case.inputs
                .iter()
                .all(|t| !t.dtype.contains("16") && t.dtype != "float64")
        };
        let singles = cases.iter().filter(half).count();
        println!("{operator}: {} cases, {singles} in f32", cases.len());
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(
            cases.len() >= all && singles >= single,
            "{} cases",
            cases.len()
        );
    }
}
