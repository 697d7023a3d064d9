//! The mixer room against its definitions, on every level.

mod accuracy;
mod reference;

use accuracy::{bound32, bound64};
use reference::mixer::{self as definition, Shape};
use suanzi::mixer::{Attention, BLOCK, Cache, Layout, Merge, OnlineSoftmax, Visible};
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
