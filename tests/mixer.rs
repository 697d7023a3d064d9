//! The mixer room against its definitions, on every level.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod reference;

use accuracy::{bound32, bound64};
use reference::golden;
use reference::mixer::{self as definition, Shape};
use suanzi::mixer::{
    Attention, BLOCK, Cache, KeyValues, Layout, Merge, OnlineSoftmax, QuantizedCache, Ring,
    Visible, merge_outputs,
};
use suanzi::storage::{Bf16, F16, Stored};
use suanzi::{Cpu, Error, Level, Parameter};

/// Every level that runs here, in the portable arithmetic.
fn levels() -> Vec<Cpu> {
    let mut executors = Vec::new();
    for level in Level::ALL {
        match Cpu::with(level) {
            Ok(cpu) => executors.push(cpu),
            Err(_) => eprintln!("SKIPPED: {level:?} is not on this machine"),
        }
    }
    executors
}

/// A fixed sequence of roughly normal numbers.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Numbers that `f32` represents.
    fn vector(&mut self, n: usize, deviation: f64) -> Vec<f32> {
        (0..n).map(|_| (deviation * self.normal()) as f32).collect()
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

/// A sequence of keys and values `[token][head][dim]` and the queries of its last token.
struct Sequence {
    shape: Shape,
    tokens: usize,
    query: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Sequence {
    fn new(heads: (usize, usize), dims: (usize, usize), tokens: usize, deviation: f64) -> Self {
        let mut random = Random(7 + tokens as u64);
        let ((query_heads, kv_heads), (key_dim, value_dim)) = (heads, dims);
        let scale = f64::from(1.0 / (key_dim as f32).sqrt());
        Self {
            shape: Shape {
                query_heads,
                kv_heads,
                key_dim,
                value_dim,
                scale,
            },
            tokens,
            query: random.vector(query_heads * key_dim, deviation),
            keys: random.vector(tokens * kv_heads * key_dim, deviation),
            values: random.vector(tokens * kv_heads * value_dim, 1.0),
        }
    }

    fn attention(&self) -> Attention<f32> {
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

    fn cache(&self, layout: Layout) -> Cache<f32, Vec<f32>> {
        let Shape {
            kv_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        let keys = vec![f32::NAN; self.keys.len() + 3 * kv_heads * key_dim];
        let values = vec![f32::NAN; self.values.len() + 3 * kv_heads * value_dim];
        let mut cache = Cache::new(kv_heads, key_dim, value_dim, keys, values)
            .unwrap()
            .with_layout(layout);
        cache.append(&self.keys, &self.values).unwrap();
        cache
    }

    fn key(&self, j: usize, g: usize) -> &[f32] {
        let Shape {
            kv_heads, key_dim, ..
        } = self.shape;
        &self.keys[(j * kv_heads + g) * key_dim..][..key_dim]
    }

    fn value(&self, j: usize, g: usize) -> &[f32] {
        let Shape {
            kv_heads,
            value_dim,
            ..
        } = self.shape;
        &self.values[(j * kv_heads + g) * value_dim..][..value_dim]
    }

    fn want(&self, visible: impl Fn(usize) -> bool) -> definition::Attended {
        let key = |j, g| wide(self.key(j, g));
        let value = |j, g| wide(self.value(j, g));
        definition::attend(
            self.shape,
            &wide(&self.query),
            self.tokens,
            key,
            value,
            visible,
        )
    }

    /// Outputs and log-sum-exps.
    fn run(
        &self,
        cpu: Cpu,
        cache: &Cache<f32, Vec<f32>>,
        visible: Visible,
    ) -> (Vec<f32>, Vec<f32>) {
        let attention = self.attention();
        let mut scratch = vec![f32::NAN; attention.scratch_len(self.tokens)];
        let mut out = vec![f32::NAN; attention.out_len()];
        let mut lse = vec![f32::NAN; self.shape.query_heads];
        let attention = attention.on(cpu);
        attention
            .attend_with_lse(
                &self.query,
                cache,
                visible,
                &mut scratch,
                &mut out,
                &mut lse,
            )
            .unwrap();
        (out, lse)
    }
}

fn greatest(x: &[f32]) -> f64 {
    x.iter().fold(0.0, |m, &x| m.max(f64::from(x).abs()))
}

/// Stops unless outputs and log-sum-exps are within the bound; returns the greatest error in units.
fn check(what: &str, got: &(Vec<f32>, Vec<f32>), want: &definition::Attended, largest: f64) -> f64 {
    let heads = want.lse.len();
    let dim = want.out.len() / heads;
    let mut worst = 0.0_f64;
    for (i, (&got, &want_o)) in got.0.iter().zip(&want.out).enumerate() {
        let unit = f64::from(f32::EPSILON) / 2.0 * largest * (1.0 + want.magnitude[i / dim]);
        let error = (f64::from(got) - want_o).abs() / unit;
        assert!(
            error <= bound32("attention"),
            "{what}: element {i}: {got} for {want_o}, {error:.2} units"
        );
        worst = worst.max(error);
    }
    for (h, (&got, &want_lse)) in got.1.iter().zip(&want.lse).enumerate() {
        let unit = f64::from(f32::EPSILON) / 2.0 * (1.0 + want.magnitude[h] + want_lse.abs());
        let error = (f64::from(got) - want_lse).abs() / unit;
        let close = error <= bound32("attention log-sum-exp") || f64::from(got) == want_lse;
        assert!(
            close,
            "{what}: lse {h}: {got} for {want_lse}, {error:.2} units"
        );
    }
    worst
}

#[test]
fn attention_is_its_definition() {
    let mut worst = 0.0_f64;
    for heads in [(1, 1), (2, 2), (4, 1), (6, 2), (7, 1), (8, 4)] {
        for dims in [(4, 4), (16, 16), (24, 5), (64, 64), (67, 33)] {
            for tokens in [1, 2, 63, 64, 65, 200, 517] {
                let sequence = Sequence::new(heads, dims, tokens, 1.0);
                let want = sequence.want(|_| true);
                let mut bits: Option<Vec<f32>> = None;
                for cpu in levels() {
                    let what = format!("{heads:?} {dims:?} {tokens} {cpu:?}");
                    for layout in [Layout::HeadMajor, Layout::TokenMajor] {
                        let got = sequence.run(cpu, &sequence.cache(layout), tokens.into());
                        worst = worst.max(check(&what, &got, &want, greatest(&sequence.values)));
                        let first = bits.get_or_insert_with(|| got.0.clone());
                        assert_eq!(*first, got.0, "{what}: the bits differ");
                    }
                    let fused = cpu.with_fused(true);
                    let got =
                        sequence.run(fused, &sequence.cache(Layout::HeadMajor), tokens.into());
                    worst = worst.max(check(&what, &got, &want, greatest(&sequence.values)));
                }
            }
        }
    }
    println!("attention: {worst:.2} units at most");
}

#[test]
fn recurrence_gives_the_bits_of_the_blocks() {
    for tokens in [1, 17, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
        let sequence = Sequence::new((4, 1), (24, 40), tokens, 2.0);
        let (want, want_lse) = sequence.run(
            Cpu::default(),
            &sequence.cache(Layout::HeadMajor),
            tokens.into(),
        );
        // The tree over at most four blocks, by hand.
        let state = |block: usize| {
            let len = OnlineSoftmax::<f32, Vec<f32>>::state_len(4, 40);
            let mut state = OnlineSoftmax::new(4, 40, vec![f32::NAN; len]).unwrap();
            for j in (block * BLOCK..tokens.min((block + 1) * BLOCK)).rev() {
                let scores: Vec<f32> = (0..4)
                    .map(|h| {
                        let score = sequence.dot(h, j);
                        (1.0 / 24.0_f32.sqrt()) * score
                    })
                    .collect();
                state.push(&scores, sequence.value(j, 0)).unwrap();
            }
            state
        };
        let mut tree: Vec<_> = (0..tokens.div_ceil(BLOCK)).map(state).collect();
        while tree.len() > 1 {
            let mut next = Vec::new();
            for pair in tree.chunks(2) {
                let mut joined = pair[0].clone();
                if let Some(right) = pair.get(1) {
                    joined.merge(right).unwrap();
                }
                next.push(joined);
            }
            tree = next;
        }
        let mut out = vec![0.0; 4 * 40];
        tree[0].finish(&mut out).unwrap();
        assert_eq!(out, want, "{tokens} tokens");
        let mut lse = vec![0.0; 4];
        tree[0].log_sum_exp(&mut lse).unwrap();
        assert_eq!(lse, want_lse, "{tokens} tokens");
    }
}

impl Sequence {
    /// The dot product in the portable order.
    fn dot(&self, h: usize, j: usize) -> f32 {
        let Shape {
            query_heads,
            kv_heads,
            key_dim,
            ..
        } = self.shape;
        let q = &self.query[h * key_dim..][..key_dim];
        let k = self.key(j, h * kv_heads / query_heads);
        let mut lanes = [0.0_f32; 16];
        for (i, (q, k)) in q.iter().zip(k).enumerate() {
            lanes[i % 16] += q * k;
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }
}

/// Attends over any memory.
fn attend<C: KeyValues<f32>>(
    sequence: &Sequence,
    cpu: Cpu,
    memory: &C,
    visible: Visible,
) -> (Vec<f32>, Vec<f32>) {
    let attention = sequence.attention();
    let mut scratch = vec![f32::NAN; attention.scratch_len(sequence.tokens)];
    let mut out = vec![f32::NAN; attention.out_len()];
    let mut lse = vec![f32::NAN; sequence.shape.query_heads];
    let attention = attention.on(cpu);
    attention
        .attend_with_lse(
            &sequence.query,
            memory,
            visible,
            &mut scratch,
            &mut out,
            &mut lse,
        )
        .unwrap();
    (out, lse)
}

/// Found by fuzzing: where weights lay near the least normal number, levels with a fused product
/// differed from those without.
#[test]
fn weights_that_vanish_have_the_same_bits_on_every_level() {
    let dim = 16;
    let attention = Attention::<f32>::new(1, 1, dim).unwrap();
    let mut scratch = vec![0.0; attention.scratch_len(3)];
    for step in 0..4000 {
        // The values of the two greatest keys cancel, so that the least weight is all that is left.
        let query: Vec<f32> = (0..dim).map(|i| if i == 0 { 4.0 } else { 0.0 }).collect();
        let mut keys = vec![0.0; 3 * dim];
        (keys[0], keys[dim], keys[2 * dim]) = (-0.05 * step as f32, 1.0, 1.0);
        let values: Vec<f32> = [-6.9375, 0.0625, -0.0625]
            .into_iter()
            .flat_map(|v| vec![v; dim])
            .collect();
        let cache = Cache::<f32, _>::filled(1, dim, dim, &keys[..], &values[..]).unwrap();
        let mut want = vec![0.0; dim];
        let one = attention.on(Cpu::scalar());
        one.attend(&query, &cache, 3, &mut scratch, &mut want)
            .unwrap();
        for cpu in levels() {
            let mut out = vec![0.0; dim];
            let attention = attention.on(cpu);
            attention
                .attend(&query, &cache, 3, &mut scratch, &mut out)
                .unwrap();
            assert_eq!(out, want, "{cpu:?}, key {}", keys[0]);
        }
    }
}

#[test]
fn positions_that_are_not_visible_are_never_read() {
    let mut sequence = Sequence::new((4, 2), (20, 20), 300, 1.0);
    let clean = sequence.cache(Layout::HeadMajor);
    let token = 2 * 20;
    for (visible, seen) in [
        (Visible::from(100), 0..100),
        (Visible::from(200).window(70), 130..200),
        (Visible::from(290).window(64).sinks(3), 226..290),
    ] {
        let want = sequence.run(Cpu::default(), &clean, visible);
        for j in (0..300).filter(|j| {
            !seen.contains(j) && (visible != Visible::from(290).window(64).sinks(3) || *j > 2)
        }) {
            sequence.keys[j * token..][..token].fill(f32::NAN);
            sequence.values[j * token..][..token].fill(f32::NAN);
        }
        for cpu in levels() {
            assert_eq!(
                sequence.run(cpu, &sequence.cache(Layout::TokenMajor), visible),
                want,
                "{visible:?} {cpu:?}"
            );
        }
        sequence = Sequence::new((4, 2), (20, 20), 300, 1.0);
    }
}

#[test]
fn windows_and_sinks_are_their_definition_and_a_ring_gives_the_same_bits() {
    for (window, sinks) in [
        (1, 0),
        (5, 0),
        (64, 4),
        (70, 1),
        (100, 0),
        (128, 70),
        (400, 3),
    ] {
        let sequence = Sequence::new((6, 2), (16, 24), 333, 1.5);
        let cache = sequence.cache(Layout::HeadMajor);
        let slots = 2 * (sinks + window);
        let mut ring = Ring::<f32, _>::new(
            2,
            16,
            24,
            sinks,
            vec![f32::NAN; slots * 16],
            vec![f32::NAN; slots * 24],
        )
        .unwrap();
        for n in 1..=sequence.tokens {
            ring.append(
                &sequence.keys[(n - 1) * 32..][..32],
                &sequence.values[(n - 1) * 48..][..48],
            )
            .unwrap();
            if n % 37 != 0 && n != sequence.tokens {
                continue;
            }
            let visible = Visible::from(n).window(window).sinks(sinks);
            assert_eq!(ring.visible(), visible);
            let got = sequence.run(Cpu::default(), &cache, visible);
            let what = format!("window {window} sinks {sinks} at {n}");
            assert_eq!(
                attend(&sequence, Cpu::default(), &ring, visible),
                got,
                "{what}"
            );
            let want = sequence.want(|j| j < n && (j + window >= n || j < sinks));
            check(&what, &got, &want, greatest(&sequence.values));
        }
    }
}

#[test]
fn rows_are_single_tokens() {
    let sequence = Sequence::new((4, 2), (16, 8), 150, 1.0);
    let mut random = Random(5);
    let queries = random.vector(20 * 64, 1.0);
    let cache = sequence.cache(Layout::HeadMajor);
    let attention = sequence.attention();
    let mut scratch = vec![0.0; attention.scratch_len(150)];
    let visible = Visible::from(131).window(90).sinks(2);
    let mut rows = vec![0.0; 20 * 32];
    attention
        .attend_rows(&queries, &cache, visible, &mut scratch, &mut rows)
        .unwrap();
    for t in 0..20 {
        let mut out = vec![0.0; 32];
        let visible = Visible::from(131 + t).window(90).sinks(2);
        attention
            .attend(
                &queries[t * 64..][..64],
                &cache,
                visible,
                &mut scratch,
                &mut out,
            )
            .unwrap();
        assert_eq!(out, rows[t * 32..][..32], "row {t}");
    }
}

/// Attends over rounded copies of the keys and values and expects the bits of their `f32` values.
fn half<W: Stored<f32>>(from: impl Fn(f32) -> f32) {
    let mut sequence = Sequence::new((4, 2), (20, 36), 150, 1.0);
    let mut cache = Cache::<W, _>::new(
        2,
        20,
        36,
        vec![W::default(); 150 * 40],
        vec![W::default(); 150 * 72],
    )
    .unwrap();
    cache.append(&sequence.keys, &sequence.values).unwrap();
    sequence.keys = sequence.keys.iter().map(|&x| from(x)).collect();
    sequence.values = sequence.values.iter().map(|&x| from(x)).collect();
    let want = sequence.run(
        Cpu::default(),
        &sequence.cache(Layout::HeadMajor),
        150.into(),
    );
    for cpu in levels() {
        assert_eq!(attend(&sequence, cpu, &cache, 150.into()), want, "{cpu:?}");
    }
}

#[test]
fn half_caches_attend_to_the_rounded_numbers() {
    half::<F16>(|x| F16::from_f32(x).to_f32());
    half::<Bf16>(|x| Bf16::from_f32(x).to_f32());
}

#[test]
fn eight_bit_caches_attend_to_the_rounded_vectors() {
    let mut sequence = Sequence::new((4, 2), (20, 36), 150, 1.0);
    let mut cache = QuantizedCache::new(
        2,
        20,
        36,
        (vec![0; 150 * 40], vec![0.0; 300]),
        (vec![0; 150 * 72], vec![0.0; 300]),
    )
    .unwrap();
    cache.append(&sequence.keys, &sequence.values).unwrap();
    let mut worst = 0.0_f64;
    for (x, dim) in [(&mut sequence.keys, 20), (&mut sequence.values, 36)] {
        for vector in x.chunks_mut(dim) {
            let scale = (greatest(vector) / 127.0) as f32;
            for x in vector {
                let rounded = (*x / scale).round_ties_even() * scale;
                worst = worst.max(f64::from((rounded - *x).abs() / scale));
                *x = rounded;
            }
        }
    }
    assert!(worst <= bound32("eight-bit cache"), "{worst} steps");
    let want = sequence.want(|_| true);
    let mut bits = None;
    for cpu in levels() {
        let got = attend(&sequence, cpu, &cache, 150.into());
        check("eight bits", &got, &want, greatest(&sequence.values));
        let first = bits.get_or_insert_with(|| got.clone());
        assert_eq!(*first, got, "{cpu:?}: the bits differ");
    }
}

#[test]
fn merges_agree_in_any_grouping() {
    let mut random = Random(3);
    let (keys, dim) = (1000, 12);
    let scores = random.vector(keys, 6.0);
    let values = random.vector(keys * dim, 1.0);
    let len = OnlineSoftmax::<f32, Vec<f32>>::state_len(1, dim);
    let state = |from: usize, to: usize| {
        let mut state = OnlineSoftmax::new(1, dim, vec![0.0; len]).unwrap();
        for j in from..to {
            state
                .push(&scores[j..=j], &values[j * dim..][..dim])
                .unwrap();
        }
        state
    };
    let finish = |state: &OnlineSoftmax<f32, Vec<f32>>| {
        let mut out = vec![0.0; dim];
        state.finish(&mut out).unwrap();
        out
    };
    let (want, _) = definition::mean(&wide(&scores), values.chunks(dim).map(wide), dim);
    let largest = greatest(&values);
    for cuts in [
        vec![],
        vec![500],
        vec![1, 999],
        vec![100, 300, 301, 302, 900],
    ] {
        let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([keys]).collect();
        let parts: Vec<_> = bounds.windows(2).map(|w| state(w[0], w[1])).collect();
        let mut left = state(0, 0);
        for part in &parts {
            left.merge(part).unwrap();
        }
        let mut right = state(0, 0);
        for part in parts.iter().rev() {
            right.merge(part).unwrap();
        }
        for state in [left, right] {
            for (got, want) in finish(&state).iter().zip(&want) {
                let error =
                    (f64::from(*got) - want).abs() / largest / f64::from(f32::EPSILON) * 2.0;
                assert!(
                    error <= bound32("online softmax"),
                    "{bounds:?}: {error} units"
                );
            }
        }
    }
    let (mut a, mut b) = (state(0, 300), state(300, 1000));
    let first = a.clone();
    a.merge(&b).unwrap();
    b.merge(&first).unwrap();
    assert_eq!(finish(&a), finish(&b), "merging commutes in the bits");
}

#[test]
fn edges_are_as_documented() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let len = OnlineSoftmax::<f32, Vec<f32>>::state_len(1, 1);
    let run = |scores: &[f32]| {
        let attention = Attention::<f32>::new(1, 1, 1).unwrap();
        let keys = scores.to_vec();
        let values: Vec<f32> = (0..scores.len()).map(|i| i as f32 + 1.0).collect();
        let cache = Cache::<f32, _>::filled(1, 1, 1, keys, values).unwrap();
        let mut scratch = vec![nan; attention.scratch_len(scores.len())];
        let (mut out, mut lse) = ([nan], [nan]);
        attention
            .attend_with_lse(
                &[1.0],
                &cache,
                scores.len(),
                &mut scratch,
                &mut out,
                &mut lse,
            )
            .unwrap();
        let mut state = OnlineSoftmax::new(1, 1, vec![nan; len]).unwrap();
        for (i, &s) in scores.iter().enumerate().rev() {
            state.push(&[s], &[i as f32 + 1.0]).unwrap();
        }
        let (mut o, mut l) = ([nan], [nan]);
        state.finish(&mut o).unwrap();
        state.log_sum_exp(&mut l).unwrap();
        assert_eq!(
            (o[0].to_bits(), l[0].to_bits()),
            (out[0].to_bits(), lse[0].to_bits()),
            "{scores:?}"
        );
        (out[0], lse[0])
    };
    assert_eq!(run(&[]), (0.0, -inf));
    assert_eq!(run(&[-inf]), (0.0, -inf));
    assert_eq!(run(&[-inf, 2.0, -inf]), (2.0, 2.0));
    for scores in [
        &[nan][..],
        &[1.0, nan],
        &[-inf, nan],
        &[inf],
        &[inf, 0.0],
        &[nan, -inf, 3.0],
    ] {
        let (out, lse) = run(scores);
        assert_eq!(
            (out.to_bits(), lse.to_bits()),
            (nan.to_bits(), nan.to_bits()),
            "{scores:?}"
        );
    }
    let half =
        |x: f32| (f64::from(x) - 1.5).abs() <= bound32("attention") * f64::from(f32::EPSILON);
    assert!(half(run(&[1e30, 1e30]).0));
    assert_eq!(run(&[3e38, -3e38]).0, 1.0);
    assert!(half(run(&[-1000.0, -1000.0, -1e9]).0));
}

#[test]
fn bad_arguments_give_their_error_and_write_nothing() {
    let domain = |p| Some(Error::Domain(p));
    assert_eq!(
        Attention::<f32>::new(3, 2, 4).err(),
        domain(Parameter::Heads)
    );
    assert_eq!(
        Attention::<f32>::new(0, 2, 4).err(),
        domain(Parameter::Heads)
    );
    assert_eq!(
        Attention::<f32>::new(2, 0, 4).err(),
        domain(Parameter::Heads)
    );
    assert_eq!(
        Attention::<f32>::new(2, 2, 0).err(),
        domain(Parameter::HeadDim)
    );
    assert_eq!(
        Attention::<f32>::new(2, 2, usize::MAX).err(),
        domain(Parameter::HeadDim)
    );
    let attention = Attention::<f32>::new(2, 1, 4).unwrap();
    assert_eq!(
        attention.with_value_dim(0).err(),
        domain(Parameter::HeadDim)
    );
    assert_eq!(
        attention.with_scale(f32::NAN).err(),
        domain(Parameter::Scale)
    );
    assert_eq!(
        Cache::<f32, _>::new(0, 4, 4, [0.0; 8], [0.0; 8]).err(),
        domain(Parameter::Heads)
    );
    assert_eq!(
        Cache::<f32, _>::new(1, 0, 4, [0.0; 8], [0.0; 8]).err(),
        domain(Parameter::HeadDim)
    );
    assert_eq!(
        Cache::<f32, _>::new(1, 4, 4, [0.0; 9], [0.0; 9]).err(),
        Some(Error::Multiple { of: 4, found: 9 })
    );
    assert_eq!(
        Cache::<f32, _>::new(1, 4, 2, [0.0; 8], [0.0; 8]).err(),
        Some(Error::Length {
            expected: 4,
            found: 8
        })
    );
    assert_eq!(
        Ring::<f32, _>::new(1, 4, 4, 2, [0.0; 8], [0.0; 8]).err(),
        domain(Parameter::Window)
    );

    let mut cache = Cache::<f32, _>::new(1, 4, 4, [7.0; 8], [7.0; 8]).unwrap();
    assert_eq!(
        cache.append(&[0.0_f32; 12], &[0.0; 12]),
        Err(Error::Capacity { limit: 2 })
    );
    assert_eq!(
        cache.append(&[0.0_f32; 3], &[0.0; 3]),
        Err(Error::Multiple { of: 4, found: 3 })
    );
    assert_eq!(
        cache.append(&[0.0_f32; 4], &[0.0; 8]),
        Err(Error::Length {
            expected: 4,
            found: 8
        })
    );
    assert_eq!(KeyValues::<f32>::len(&cache), 0);
    cache.append(&[1.0_f32; 4], &[1.0; 4]).unwrap();

    let (mut scratch, mut out, mut lse) = (vec![0.0; attention.scratch_len(1)], [9.0; 8], [9.0; 2]);
    let q = [0.0; 8];
    let short = scratch.len() - 1;
    let expected = scratch.len();
    assert_eq!(
        attention.attend(&q[1..], &cache, 1, &mut scratch, &mut out),
        Err(Error::Length {
            expected: 8,
            found: 7
        })
    );
    assert_eq!(
        attention.attend(&q, &cache, 1, &mut scratch, &mut out[1..]),
        Err(Error::Length {
            expected: 8,
            found: 7
        })
    );
    assert_eq!(
        attention.attend(&q, &cache, 2, &mut scratch, &mut out),
        Err(Error::Capacity { limit: 1 })
    );
    let none = Visible::from(1).window(0);
    assert_eq!(
        attention
            .attend(&q, &cache, none, &mut scratch, &mut out)
            .err(),
        domain(Parameter::Window)
    );
    let few = Err(Error::Length {
        expected,
        found: short,
    });
    assert_eq!(
        attention.attend(&q, &cache, 1, &mut scratch[..short], &mut out),
        few
    );
    let lse_short = attention.attend_with_lse(&q, &cache, 1, &mut scratch, &mut out, &mut lse[1..]);
    assert_eq!(
        lse_short,
        Err(Error::Length {
            expected: 2,
            found: 1
        })
    );
    let other = Attention::<f32>::new(2, 2, 4).unwrap();
    let mut more = vec![0.0; other.scratch_len(1)];
    assert_eq!(
        other.attend(&q, &cache, 1, &mut more, &mut out),
        Err(Error::Length {
            expected: 2,
            found: 1
        })
    );
    assert_eq!((out, lse), ([9.0; 8], [9.0; 2]));

    let mut ring = Ring::<f32, _>::new(1, 4, 4, 0, [0.0; 8], [0.0; 8]).unwrap();
    ring.append(&[0.0_f32; 12], &[0.0; 12]).unwrap();
    assert_eq!(
        attention.attend(&q, &ring, 3, &mut vec![0.0; 2000], &mut out),
        Err(Error::Capacity { limit: 3 })
    );
    assert_eq!(out, [9.0; 8]);
}

#[test]
fn attention_reproduces_the_golden_vectors() {
    for case in golden::read("attention.gv") {
        let kind = case.key("kind").unwrap();
        let size = |name| case.key(name).unwrap().parse::<usize>().unwrap();
        if matches!(kind, "alibi" | "softcap" | "all_options") {
            continue;
        }
        let (t, s, heads, kv, d, e) = (
            size("T"),
            size("S"),
            size("Hq"),
            size("Hkv"),
            size("D"),
            size("E"),
        );
        let option = |name: &str| case.get(name).map(|x| x[0] as usize);
        let first = option("qpos").unwrap();
        let scale = case.get32("scale")[0];
        let (q, k, v) = (case.get32("q"), case.get32("k"), case.get32("v"));
        let cache = Cache::<f32, _>::filled(kv, d, e, &k[..], &v[..])
            .unwrap()
            .with_layout(Layout::TokenMajor);
        let attention = Attention::new(heads, kv, d)
            .unwrap()
            .with_value_dim(e)
            .unwrap()
            .with_scale(scale)
            .unwrap();
        let mut scratch = vec![0.0; attention.scratch_len(s)];
        for row in 0..t {
            let n = first + row + 1;
            let window = option("window").or(option("W")).unwrap_or(usize::MAX);
            let visible = Visible::from(n)
                .window(window)
                .sinks(option("n_sink").unwrap_or(0));
            let query = &q[row * heads * d..][..heads * d];
            let (mut out, mut lse) = (vec![0.0; heads * e], vec![0.0; heads]);
            attention
                .attend_with_lse(query, &cache, visible, &mut scratch, &mut out, &mut lse)
                .unwrap();
            if let Some(sinks) = case.get("sink_logit") {
                let sinks: Vec<f32> = sinks.iter().map(|&x| x as f32).collect();
                merge_outputs(&mut out, &mut lse, &vec![0.0; heads * e], &sinks).unwrap();
            }
            let shape = Shape {
                query_heads: heads,
                kv_heads: kv,
                key_dim: d,
                value_dim: e,
                scale: scale.into(),
            };
            let sizes = definition::attend(
                shape,
                &wide(query),
                s,
                |j, g| wide(&k[(j * kv + g) * d..][..d]),
                |j, g| wide(&v[(j * kv + g) * e..][..e]),
                |j| j < n,
            );
            let want = definition::Attended {
                out: case.get("o").unwrap()[row * heads * e..][..heads * e].to_vec(),
                lse: case.get("lse").unwrap()[row * heads..][..heads].to_vec(),
                magnitude: sizes.magnitude,
            };
            check(&case.head, &(out, lse), &want, greatest(&v));
        }
    }
}

#[test]
fn merges_reproduce_the_golden_vectors() {
    for case in golden::read("attn_merge.gv") {
        let numbers = |name| case.get32(name);
        let (mut out, mut lse) = (numbers("o1"), numbers("lse1"));
        if case.key("kind") != Some("merge") {
            continue;
        }
        let size = greatest(&lse).max(greatest(&numbers("lse2")));
        let size = if size.is_finite() { size } else { 0.0 };
        let largest = greatest(&out).max(greatest(&numbers("o2")));
        merge_outputs(&mut out, &mut lse, &numbers("o2"), &numbers("lse2")).unwrap();
        let unit = f64::from(f32::EPSILON) / 2.0;
        for (got, want) in out.iter().zip(case.get("o").unwrap()) {
            let error = (f64::from(*got) - want).abs() / unit / largest / (1.0 + size);
            assert!(
                error <= bound32("merge of outputs"),
                "{}: {got} for {want}",
                case.head
            );
        }
        let want = case.get("lse").unwrap()[0];
        let error = (f64::from(lse[0]) - want).abs() / unit / (1.0 + want.abs());
        let close = f64::from(lse[0]) == want || error <= bound32("merge of outputs");
        assert!(close, "{}: lse {} for {want}", case.head, lse[0]);
    }
}

#[test]
fn attention_reproduces_a_real_model() {
    for layer in [0, 4] {
        let path = format!("data/stories260K/attn-layer{layer}-pos0-31.f64");
        let Some(path) = golden::shared(&path) else {
            return;
        };
        let bytes = std::fs::read(path).unwrap();
        let numbers: Vec<f64> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| f64::from_le_bytes(b))
            .collect();
        let attention = Attention::<f64>::new(8, 4, 8).unwrap();
        let mut cache = Cache::<f64, _>::new(4, 8, 8, vec![0.0; 1024], vec![0.0; 1024]).unwrap();
        let mut scratch = vec![0.0; attention.scratch_len(32)];
        for (position, row) in numbers.chunks(288).enumerate() {
            let (v, q, k, want) = (
                &row[96..128],
                &row[128..192],
                &row[192..224],
                &row[224..288],
            );
            cache.append(k, v).unwrap();
            let mut out = vec![0.0; 64];
            attention
                .attend(q, &cache, position + 1, &mut scratch, &mut out)
                .unwrap();
            // The largest score of these layers is below 100, the largest value below 10.
            for (got, want) in out.iter().zip(want) {
                let error = (got - want).abs() / 1e3 / f64::EPSILON * 2.0;
                assert!(
                    error <= bound64("attention"),
                    "layer {layer} position {position}: {got} for {want}"
                );
            }
        }
    }
}
