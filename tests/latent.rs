//! Latent attention against its definition, in both forms, on every level; the counts of the variants.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use accuracy::Ulp;
use inputs::{Number, Random, executors};
use reference::golden;
use reference::latent::{Attended, Layer};
use suanzi::mixer::{
    Attention, Cache, KeyValues, Latent, LatentCache, LatentDims, Layout, Sharing, Visible,
    kv_cache_len, latent_cache_len,
};
use suanzi::nn::{Matrix, RmsNorm};
use suanzi::position::{
    Angle, Base, ByParts, Frequencies, HeadLayout, Pairing, PositionEncoding, Rope,
};
use suanzi::storage::{Bf16, F16, Stored};
use suanzi::{Cpu, Error, Parameter};

/// Heads; latent, rotated, unrotated and value elements.
const SIZES: [[usize; 5]; 6] = [
    [1, 1, 0, 1, 1],
    [2, 4, 2, 4, 3],
    [3, 16, 0, 8, 8],
    [4, 24, 8, 12, 10],
    [5, 33, 6, 17, 19],
    [2, 512, 64, 128, 128],
];

fn dims([heads, latent_dim, rope_dim, nope_dim, value_dim]: [usize; 5]) -> LatentDims {
    LatentDims {
        heads,
        latent_dim,
        rope_dim,
        nope_dim,
        value_dim,
    }
}

/// A layer and a sequence, with the queries of its last token.
struct Sequence<T> {
    dims: LatentDims,
    tokens: usize,
    keys: Vec<T>,
    values: Vec<T>,
    latents: Vec<T>,
    rope_keys: Vec<T>,
    query: Vec<T>,
    rope_query: Vec<T>,
}

fn wide<T: Ulp>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.value()).collect()
}

impl<T: Number> Sequence<T> {
    fn new(dims: LatentDims, tokens: usize, deviation: f64) -> Self {
        let mut random = Random((tokens + dims.latent_dim) as u64);
        let mut vector = |n: usize, deviation: f64| -> Vec<T> {
            (0..n)
                .map(|_| T::from_f64(deviation * random.normal()))
                .collect()
        };
        let LatentDims {
            heads,
            latent_dim,
            rope_dim,
            nope_dim,
            value_dim,
        } = dims;
        let weight = 1.0 / (latent_dim as f64).sqrt();
        Self {
            dims,
            tokens,
            keys: vector(heads * nope_dim * latent_dim, weight),
            values: vector(heads * value_dim * latent_dim, weight),
            latents: vector(tokens * latent_dim, 1.0),
            rope_keys: vector(tokens * rope_dim, 1.0),
            query: vector(heads * nope_dim, deviation),
            rope_query: vector(heads * rope_dim, deviation),
        }
    }

    fn latent(&self) -> Latent<'_, T, T>
    where
        T: Stored<T>,
    {
        Latent::new(self.dims, &self.keys, &self.values).unwrap()
    }

    /// The definition over the positions that `visible` names.
    fn want(&self, visible: impl Fn(usize) -> bool) -> Attended {
        let LatentDims {
            heads,
            latent_dim,
            rope_dim,
            nope_dim,
            value_dim,
        } = self.dims;
        Layer {
            heads,
            latent_dim,
            rope_dim,
            nope_dim,
            value_dim,
            keys: wide(&self.keys),
            values: wide(&self.values),
            scale: 1.0 / ((nope_dim + rope_dim) as f64).sqrt(),
        }
        .attend(
            &wide(&self.query),
            &wide(&self.rope_query),
            &wide(&self.latents),
            &wide(&self.rope_keys),
            visible,
        )
    }

    fn cache<W: Stored<T>>(&self) -> LatentCache<W, Vec<W>> {
        let (c, r) = (self.dims.latent_dim, self.dims.rope_dim);
        let storage = vec![W::default(); latent_cache_len(c, r, self.tokens + 1)];
        let mut cache = LatentCache::new(c, r, storage).unwrap();
        cache.append(&self.latents, &self.rope_keys).unwrap();
        cache
    }

    fn absorbed<W: Stored<T>>(
        &self,
        latent: Latent<'_, W, T>,
        memory: &impl KeyValues<T>,
        visible: impl Into<Visible>,
    ) -> Vec<T> {
        let mut scratch = vec![T::nan(); latent.scratch_len(self.tokens)];
        let mut out = vec![T::nan(); self.dims.heads * self.dims.value_dim];
        let (query, rope_query) = (&self.query, &self.rope_query);
        latent
            .attend(query, rope_query, memory, visible, &mut scratch, &mut out)
            .unwrap();
        out
    }

    /// Every head's keys and values in a cache of their own, attended to as multi-head attention.
    fn expanded<W: Stored<T>>(&self, latent: Latent<'_, W, T>, visible: usize) -> Vec<T>
    where
        T: Stored<T>,
    {
        let d = self.dims;
        let key_dim = d.nope_dim + d.rope_dim;
        let mut keys = vec![T::nan(); self.tokens * d.heads * key_dim];
        let mut values = vec![T::nan(); self.tokens * d.heads * d.value_dim];
        latent
            .expand(&self.latents, &self.rope_keys, &mut keys, &mut values)
            .unwrap();
        let cache = Cache::<T, _>::filled(d.heads, key_dim, d.value_dim, &keys[..], &values[..])
            .unwrap()
            .with_layout(Layout::TokenMajor);
        let mut query = Vec::new();
        for h in 0..d.heads {
            query.extend(&self.query[h * d.nope_dim..][..d.nope_dim]);
            query.extend(&self.rope_query[h * d.rope_dim..][..d.rope_dim]);
        }
        let attention = latent.expanded_attention();
        let mut scratch = vec![T::nan(); attention.scratch_len(self.tokens)];
        let mut out = vec![T::nan(); attention.out_len()];
        attention
            .attend(&query, &cache, visible, &mut scratch, &mut out)
            .unwrap();
        out
    }
}

/// Stops unless the outputs are within the bound; returns the greatest error in units.
fn check<T: Number>(what: &str, row: &str, got: &[T], want: &Attended) -> f64 {
    assert_eq!(got.len(), want.out.len(), "{what}");
    let rounding = T::epsilon().value() / 2.0;
    let mut worst = 0.0_f64;
    for (i, (got, (want, unit))) in got.iter().zip(want.out.iter().zip(&want.unit)).enumerate() {
        let error = (got.value() - want).abs() / (rounding * unit);
        assert!(
            error <= T::bound(row),
            "{what} {}: element {i}: {got:?} for {want}, {error:.2} units",
            T::NAME
        );
        worst = worst.max(error);
    }
    worst
}

/// Both forms at every size and level.
fn holds_its_definition<T: Number + Stored<T>>() {
    let (mut worst_absorbed, mut worst_expanded) = (0.0_f64, 0.0_f64);
    for sizes in SIZES {
        let long = sizes[1] > 100;
        for tokens in [1, 2, 63, 64, 65, 200] {
            if long && tokens != 65 {
                continue;
            }
            for deviation in [1.0, 6.0] {
                let sequence = Sequence::<T>::new(dims(sizes), tokens, deviation);
                let want = sequence.want(|_| true);
                let cache = sequence.cache::<T>();
                let mut bits: Option<[Vec<u64>; 2]> = None;
                for cpu in executors() {
                    let latent = sequence.latent().on(cpu);
                    let what = format!("{sizes:?}, {tokens} tokens, {cpu:?}");
                    let absorbed = sequence.absorbed(latent, &cache, tokens);
                    let expanded = sequence.expanded(latent, tokens);
                    let row = "latent attention";
                    worst_absorbed = worst_absorbed.max(check(&what, row, &absorbed, &want));
                    worst_expanded = worst_expanded.max(check(&what, row, &expanded, &want));
                    let other = Attended {
                        out: wide(&expanded),
                        unit: want.unit.clone(),
                    };
                    check(&what, row, &absorbed, &other);
                    if !cpu.is_fused() {
                        let own = [absorbed, expanded]
                            .map(|x| x.iter().map(|x| x.representation()).collect());
                        assert_eq!(*bits.get_or_insert_with(|| own.clone()), own, "{what}");
                    }
                }
            }
        }
    }
    println!(
        "latent attention, {}: {worst_absorbed:.2} units at most absorbed, {worst_expanded:.2} expanded",
        T::NAME
    );
}

#[test]
fn both_forms_are_the_definition() {
    holds_its_definition::<f32>();
    holds_its_definition::<f64>();
}

#[test]
fn windows_are_those_of_attention() {
    let sequence = Sequence::<f32>::new(dims([3, 20, 4, 8, 6]), 150, 1.0);
    let cache = sequence.cache::<f32>();
    let visible = Visible::from(140).window(70).sinks(3);
    let got = sequence.absorbed(sequence.latent(), &cache, visible);
    let want = sequence.want(|j| j < 140 && !(3..70).contains(&j));
    check("window", "latent attention", &got, &want);
}

/// A cache in another number type attends to the numbers that it kept.
fn kept_in<W: Stored<f32>>() {
    let mut sequence = Sequence::<f32>::new(dims([2, 24, 8, 12, 10]), 70, 1.0);
    let cache = sequence.cache::<W>();
    let got = sequence.absorbed(sequence.latent(), &cache, 70);
    let (mut latents, mut rope_keys) = (Vec::new(), Vec::new());
    for position in 0..70 {
        let (mut latent, mut key) = ([f32::NAN; 24], [f32::NAN; 8]);
        cache.token_into(position, &mut latent, &mut key).unwrap();
        latents.extend(latent);
        rope_keys.extend(key);
    }
    assert_ne!(latents, sequence.latents, "rounded");
    (sequence.latents, sequence.rope_keys) = (latents, rope_keys);
    let same = sequence.cache::<f32>();
    assert_eq!(got, sequence.absorbed(sequence.latent(), &same, 70));
}

#[test]
fn caches_in_sixteen_bits_attend_to_the_rounded_numbers() {
    kept_in::<F16>();
    kept_in::<Bf16>();
}

#[test]
fn a_filled_cache_and_a_truncated_one_are_those_that_grew() {
    let sequence = Sequence::<f32>::new(dims([2, 6, 2, 4, 4]), 66, 1.0);
    let latent = sequence.latent();
    let want = sequence.absorbed(latent, &sequence.cache::<f32>(), 40);
    let rows: Vec<f32> = (0..66)
        .flat_map(|t| {
            let latent = &sequence.latents[t * 6..][..6];
            [latent, &sequence.rope_keys[t * 2..][..2]].concat()
        })
        .collect();
    let filled = LatentCache::<f32, _>::filled(6, 2, &rows[..]).unwrap();
    assert_eq!(KeyValues::<f32>::len(&filled), 66);
    assert_eq!(sequence.absorbed(latent, &filled, 40), want);
    let mut cache = sequence.cache::<f32>();
    cache.truncate(40);
    assert_eq!(sequence.absorbed(latent, &cache, 40), want);
    cache
        .append(&sequence.latents[..6], &sequence.rope_keys[..2])
        .unwrap();
    assert_ne!(sequence.absorbed(latent, &cache, 41), want);
}

#[test]
fn weights_lie_apart_or_beside_each_other_and_have_scales() {
    let sequence = Sequence::<f32>::new(dims([3, 10, 2, 4, 5]), 20, 1.0);
    let d = sequence.dims;
    let cache = sequence.cache::<f32>();
    let want = sequence.absorbed(sequence.latent(), &cache, 20);
    let joint: Vec<f32> = (0..d.heads)
        .flat_map(|h| {
            let keys = &sequence.keys[h * 40..][..40];
            [keys, &sequence.values[h * 50..][..50]].concat()
        })
        .collect();
    let latent = Latent::joint(d, &joint).unwrap();
    assert_eq!(sequence.absorbed(latent, &cache, 20), want);
    assert_eq!(
        sequence.expanded(latent, 20),
        sequence.expanded(sequence.latent(), 20)
    );

    // Integers with a scale a row are the numbers that they stand for.
    let scales: Vec<f32> = (0..27).map(|i| 1.0 / (1 << (5 + i % 4)) as f32).collect();
    let integers: Vec<i8> = joint.iter().map(|w| (w * 64.0) as i8).collect();
    let widened: Vec<f32> = integers
        .chunks_exact(10)
        .zip(&scales)
        .flat_map(|(row, scale)| row.iter().map(move |&w| f32::from(w) * scale))
        .collect();
    let want = sequence.absorbed(Latent::joint(d, &widened).unwrap(), &cache, 20);
    let latent = Latent::joint(d, &integers).unwrap();
    let latent = latent.with_joint_scales(&scales).unwrap();
    assert_eq!(sequence.absorbed(latent, &cache, 20), want);
    let split = |rows: &dyn Fn(usize) -> bool, width: usize| -> Vec<usize> {
        (0..27 * width).filter(|i| rows(i / width % 9)).collect()
    };
    let (key_rows, value_rows) = (|row: usize| row < 4, |row: usize| row >= 4);
    let pick = |at: Vec<usize>| -> Vec<i8> { at.into_iter().map(|i| integers[i]).collect() };
    let (keys, values) = (pick(split(&key_rows, 10)), pick(split(&value_rows, 10)));
    let pick = |at: Vec<usize>| -> Vec<f32> { at.into_iter().map(|i| scales[i]).collect() };
    let (key_scales, value_scales) = (pick(split(&key_rows, 1)), pick(split(&value_rows, 1)));
    let latent = Latent::new(d, &keys, &values).unwrap();
    let latent = latent.with_scales(&key_scales, &value_scales).unwrap();
    assert_eq!(sequence.absorbed(latent, &cache, 20), want);
}

#[test]
fn several_tokens_are_single_ones() {
    let sequence = Sequence::<f32>::new(dims([2, 12, 4, 6, 5]), 30, 1.0);
    let (latent, cache) = (sequence.latent(), sequence.cache::<f32>());
    let others = Sequence::<f32>::new(sequence.dims, 31, 2.0);
    let query = [&sequence.query[..], &others.query].concat();
    let rope_query = [&sequence.rope_query[..], &others.rope_query].concat();
    let attention = latent.absorbed_attention();
    let mut absorbed = vec![f32::NAN; 2 * attention.query_len()];
    latent.absorb(&query, &rope_query, &mut absorbed).unwrap();
    let mut scratch = vec![f32::NAN; attention.scratch_len(30)];
    let mut attended = vec![f32::NAN; 2 * attention.out_len()];
    attention
        .attend_rows(&absorbed, &cache, 29, &mut scratch, &mut attended)
        .unwrap();
    let mut out = vec![f32::NAN; 2 * 2 * 5];
    latent.expand_output(&attended, &mut out).unwrap();
    let first = sequence.absorbed(latent, &cache, 29);
    let second = others.absorbed(latent, &cache, 30);
    assert_eq!(out, [first, second].concat());
}

#[test]
fn the_scale_is_that_of_the_head_and_takes_the_square_of_mscale() {
    let sequence = Sequence::<f32>::new(dims([2, 512, 64, 128, 4]), 9, 1.0);
    let (latent, cache) = (sequence.latent(), sequence.cache::<f32>());
    let by_hand = latent.with_scale(1.0 / 192.0_f32.sqrt()).unwrap();
    let want = sequence.absorbed(latent, &cache, 9);
    assert_eq!(sequence.absorbed(by_hand, &cache, 9), want);
    // DeepSeek-V2: factor 40, mscale_all_dim 0.707.
    let yarn = ByParts::yarn(Base::default(), 40.0, 4096).unwrap();
    let mscale = yarn.with_mscale(0.707, 0.0).unwrap().temperature();
    assert!((mscale - (0.1 * 0.707 * 40.0_f64.ln() + 1.0)).abs() < f64::from(f32::EPSILON));
    let mscale = mscale as f32;
    let scaled = latent.with_mscale(mscale).unwrap();
    let by_hand = latent
        .with_scale(1.0 / 192.0_f32.sqrt() * (mscale * mscale))
        .unwrap();
    let got = sequence.absorbed(scaled, &cache, 9);
    assert_eq!(got, sequence.absorbed(by_hand, &cache, 9));
    assert_ne!(got, want);
    assert_eq!(
        sequence.absorbed(scaled.with_mscale(1.0).unwrap(), &cache, 9),
        want
    );
}

#[test]
fn edges_are_as_documented() {
    let mut sequence = Sequence::<f32>::new(dims([2, 6, 2, 4, 3]), 5, 1.0);
    let cache = sequence.cache::<f32>();
    assert_eq!(sequence.absorbed(sequence.latent(), &cache, 0), [0.0; 6]);
    sequence.query[4] = f32::NAN;
    let got = sequence.absorbed(sequence.latent(), &cache, 5);
    assert!(got[..3].iter().all(|x| x.is_finite()));
    assert!(got[3..].iter().all(|x| x.to_bits() == f32::NAN.to_bits()));
    let (mut keys, mut values) = ([0.0_f32; 0], [0.0; 0]);
    let latent = sequence.latent();
    latent.expand(&[], &[], &mut keys, &mut values).unwrap();
    latent.absorb(&[], &[], &mut keys).unwrap();
    latent.expand_output(&[], &mut keys).unwrap();
}

#[test]
fn bad_arguments_give_their_error_and_write_nothing() {
    let d = dims([2, 6, 2, 4, 3]);
    let sequence = Sequence::<f32>::new(d, 5, 1.0);
    let (keys, values) = (&sequence.keys[..], &sequence.values[..]);
    let domain = |parameter| Some(Error::Domain(parameter));
    let length = |expected, found| Some(Error::Length { expected, found });
    let multiple = |of, found| Some(Error::Multiple { of, found });
    let new = |d, keys, values| Latent::<f32, f32>::new(d, keys, values).err();
    for (sizes, parameter) in [
        ([0, 6, 2, 4, 3], Parameter::Heads),
        ([2, 0, 2, 4, 3], Parameter::HeadDim),
        ([2, 6, 2, 0, 3], Parameter::HeadDim),
        ([2, 6, 2, 4, 0], Parameter::HeadDim),
        ([2, 6, usize::MAX, 4, 3], Parameter::HeadDim),
        ([usize::MAX, 6, 2, 4, 3], Parameter::HeadDim),
    ] {
        assert_eq!(new(dims(sizes), keys, values), domain(parameter));
    }
    assert_eq!(new(d, &keys[1..], values), length(48, 47));
    assert_eq!(new(d, keys, &values[1..]), length(36, 35));
    assert_eq!(
        Latent::<f32, f32>::joint(d, keys).err(),
        length(2 * 7 * 6, 48)
    );
    let latent = sequence.latent();
    assert_eq!(
        latent.with_mscale(f32::INFINITY).err(),
        domain(Parameter::Scale)
    );
    assert_eq!(latent.with_scale(f32::NAN).err(), domain(Parameter::Scale));
    assert_eq!(latent.with_scales(&[], &values[..6]).err(), length(8, 0));
    assert_eq!(latent.with_scales(&keys[..8], &[]).err(), length(6, 0));
    assert_eq!(latent.with_joint_scales(&keys[..8]).err(), length(14, 8));

    let mut out = [9.0; 64];
    let zeros = [0.0; 64];
    assert_eq!(
        latent
            .absorb(&zeros[..9], &zeros[..4], &mut out[..16])
            .err(),
        multiple(8, 9)
    );
    assert_eq!(
        latent
            .absorb(&zeros[..8], &zeros[..3], &mut out[..16])
            .err(),
        length(4, 3)
    );
    assert_eq!(
        latent
            .absorb(&zeros[..8], &zeros[..4], &mut out[..15])
            .err(),
        length(16, 15)
    );
    assert_eq!(
        latent.expand_output(&zeros[..13], &mut out[..6]).err(),
        multiple(12, 13)
    );
    assert_eq!(
        latent.expand_output(&zeros[..12], &mut out[..7]).err(),
        length(6, 7)
    );
    let mut values = [9.0; 16];
    for (latents, ropes, keys, value_len, error) in [
        (7, 2, 12, 6, multiple(6, 7)),
        (6, 3, 12, 6, length(2, 3)),
        (6, 2, 11, 6, length(12, 11)),
        (6, 2, 12, 5, length(6, 5)),
    ] {
        let (latents, ropes) = (&zeros[..latents], &zeros[..ropes]);
        let values = &mut values[..value_len];
        assert_eq!(
            latent
                .expand(latents, ropes, &mut out[..keys], values)
                .err(),
            error
        );
    }
    assert_eq!(values, [9.0; 16]);

    let cache = sequence.cache::<f32>();
    let mut scratch = vec![0.0; latent.scratch_len(5)];
    let needed = scratch.len();
    let narrow = LatentCache::<f32, _>::filled(6, 1, &zeros[..63]).unwrap();
    let attend = |query: usize, ropes: usize, visible, scratch: &mut [f32], out: &mut [f32]| {
        let (query, ropes) = (&zeros[..query], &zeros[..ropes]);
        latent
            .attend(query, ropes, &cache, visible, scratch, out)
            .err()
    };
    let out_len = 6;
    for (query, ropes, visible, short, len, error) in [
        (7, 4, 5, 0, out_len, length(8, 7)),
        (8, 5, 5, 0, out_len, length(4, 5)),
        (8, 4, 5, 0, 5, length(6, 5)),
        (8, 4, 5, 1, out_len, length(needed, needed - 1)),
        (8, 4, 6, 0, out_len, Some(Error::Capacity { limit: 5 })),
    ] {
        let scratch = &mut scratch[short..];
        assert_eq!(
            attend(query, ropes, visible, scratch, &mut out[..len]),
            error
        );
    }
    assert_eq!(
        latent
            .attend(
                &zeros[..8],
                &zeros[..4],
                &narrow,
                1,
                &mut scratch,
                &mut out[..6]
            )
            .err(),
        length(8, 7)
    );
    assert_eq!(out, [9.0; 64]);

    let storage = |n| vec![0.0_f32; n];
    let new = |c, r, n| LatentCache::<f32, _>::new(c, r, storage(n)).err();
    assert_eq!(new(0, 2, 8), domain(Parameter::HeadDim));
    assert_eq!(new(usize::MAX, 1, 8), domain(Parameter::HeadDim));
    assert_eq!(new(6, 2, 9), multiple(8, 9));
    let mut cache = LatentCache::<f32, _>::new(6, 2, storage(16)).unwrap();
    assert_eq!(cache.append(&zeros[..7], &zeros[..2]).err(), multiple(6, 7));
    assert_eq!(cache.append(&zeros[..6], &zeros[..3]).err(), length(2, 3));
    let full = Some(Error::Capacity { limit: 2 });
    assert_eq!(cache.append(&zeros[..18], &zeros[..6]).err(), full);
    assert_eq!((KeyValues::<f32>::len(&cache), cache.capacity()), (0, 2));
    let none = Some(Error::Capacity { limit: 0 });
    let (c, r) = out.split_at_mut(6);
    assert_eq!(cache.token_into(0, c, &mut r[..2]).err(), none);
    assert_eq!(cache.token_into(0, c, r).err(), length(2, 58));
    assert_eq!(cache.token_into(0, r, &mut c[..2]).err(), length(6, 58));
}

/// The whole layer of a golden case, from hidden vectors to the outputs of the heads, in `T`.
fn golden_layer<T>(case: &golden::Case, cpu: Cpu) -> [Vec<Vec<T>>; 2]
where
    T: Number + Stored<T> + Angle,
    T::Turns: Copy + Default,
{
    let size = |name| case.key(name).unwrap().parse::<usize>().unwrap();
    let numbers = |name| -> Vec<T> {
        // The file writes the shortest decimals of `f32`.
        let numbers = case.get32(name).into_iter();
        numbers.map(|x| T::from_f64(x.into())).collect()
    };
    let (width, low_dim) = (size("dm"), size("dq"));
    let d = dims([size("H"), size("dc"), size("dr"), size("dn"), size("dv")]);
    let (hidden, down, rope_key) = (numbers("h"), numbers("W_dkv"), numbers("W_kr"));
    let (query_down, up, rope_up) = (numbers("W_dq"), numbers("W_uq"), numbers("W_qr"));
    let (keys, values) = (numbers("W_uk"), numbers("W_uv"));
    let normalized = case.get("norm").unwrap()[0] != 0.0;
    let norm = RmsNorm::new(T::from_f64(1e-6)).unwrap().on(cpu);
    let multiply = |rows: usize, columns, w: &[T], x: &[T]| {
        let mut y = vec![T::nan(); rows];
        let matrix = Matrix::<T, T>::new(rows, columns, w).unwrap();
        matrix.on(cpu).multiply(x, &mut y).unwrap();
        y
    };
    let layout = HeadLayout::new(d.rope_dim, Pairing::Interleaved).unwrap();
    let turns = vec![T::Turns::default(); layout.pairs()];
    let rope = Rope::<T, _>::new(layout, &Base::new(1e4).unwrap(), turns).unwrap();
    let rope = rope.on(cpu);
    let mut sequence = Sequence {
        dims: d,
        tokens: size("T"),
        keys: keys.clone(),
        values: values.clone(),
        latents: Vec::new(),
        rope_keys: Vec::new(),
        query: Vec::new(),
        rope_query: Vec::new(),
    };
    let latent = Latent::new(d, &keys, &values).unwrap().on(cpu);
    let storage = vec![T::nan(); latent_cache_len(d.latent_dim, d.rope_dim, size("T"))];
    let mut cache = LatentCache::<T, _>::new(d.latent_dim, d.rope_dim, storage).unwrap();
    let [mut absorbed, mut expanded] = [Vec::new(), Vec::new()];
    for (t, h) in hidden.chunks_exact(width).enumerate() {
        let mut c = multiply(d.latent_dim, width, &down, h);
        let mut r = multiply(d.rope_dim, width, &rope_key, h);
        let mut low = multiply(low_dim, width, &query_down, h);
        if normalized {
            norm.map_in_place(&mut c, &numbers("g_kv")).unwrap();
            norm.map_in_place(&mut low, &numbers("g_q")).unwrap();
        }
        rope.rotate(t as i32, &mut r[..]).unwrap();
        cache.append(&c, &r).unwrap();
        sequence.latents.extend(c);
        sequence.rope_keys.extend(r);
        sequence.query = multiply(d.heads * d.nope_dim, low_dim, &up, &low);
        sequence.rope_query = multiply(d.heads * d.rope_dim, low_dim, &rope_up, &low);
        rope.rotate(t as i32, &mut sequence.rope_query[..]).unwrap();
        sequence.tokens = t + 1;
        absorbed.push(sequence.absorbed(latent, &cache, t + 1));
        expanded.push(sequence.expanded(latent, t + 1));
    }
    [absorbed, expanded]
}

/// Compares both forms with the golden outputs; returns the greatest error in units.
fn reproduces<T>(case: &golden::Case, cpu: Cpu) -> f64
where
    T: Number + Stored<T> + Angle,
    T::Turns: Copy + Default,
{
    let want = case.get("o").unwrap();
    let largest = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let mut worst = 0.0_f64;
    for outputs in golden_layer::<T>(case, cpu) {
        let out = outputs.concat();
        let want = Attended {
            out: want.to_vec(),
            unit: vec![largest; want.len()],
        };
        worst = worst.max(check(&case.head, "latent layer", &out, &want));
    }
    worst
}

#[test]
fn both_forms_reproduce_the_golden_vectors() {
    for case in golden::read("mla.gv") {
        let (mut single, mut double) = (0.0_f64, 0.0_f64);
        for cpu in executors() {
            single = single.max(reproduces::<f32>(&case, cpu));
            double = double.max(reproduces::<f64>(&case, cpu));
        }
        println!("{}: {single:.1} and {double:.1} units", case.head);
    }
}

/// A matrix of sines, `rows` by `columns`.
fn sines(rows: usize, columns: usize, start: f64) -> Vec<f64> {
    let angle = |i: usize| start + 0.7 * (i / columns) as f64 + 1.3 * (i % columns) as f64;
    (0..rows * columns).map(|i| angle(i).sin()).collect()
}

/// Values of a NumPy program in `f64` by the article's formulas, weights as `[in][out]`.
#[test]
fn both_forms_reproduce_the_articles_formulas() {
    const WANT: [f64; 6] = [
        -1.7416293193444168,
        0.1104313871982656,
        1.8007098527822656,
        -0.7432542400746335,
        1.2123363382605588,
        1.3918513408420754,
    ];
    let d = dims([2, 4, 2, 3, 3]);
    let multiply = |x: &[f64], columns: usize, w: &[f64]| {
        let mut y = vec![f64::NAN; columns];
        let matrix = Matrix::<f64, f64>::new(x.len(), columns, w).unwrap();
        matrix.multiply_transposed(x, &mut y).unwrap();
        y
    };
    // From `[in][out]` to `[out][in]`, head after head.
    let turned = |start: f64| -> Vec<f64> {
        let head = |s: usize| {
            let w = sines(4, 3, start + s as f64);
            (0..12).map(move |i| w[i % 4 * 3 + i / 4])
        };
        head(0).chain(head(1)).collect()
    };
    let layout = HeadLayout::new(2, Pairing::Interleaved).unwrap();
    let rope = Rope::<f64, _>::new(layout, &Base::new(1e4).unwrap(), [0; 1]).unwrap();
    let x = sines(5, 8, 1.1);
    let mut sequence = Sequence {
        dims: d,
        tokens: 5,
        keys: turned(0.7),
        values: turned(0.9),
        latents: Vec::new(),
        rope_keys: Vec::new(),
        query: Vec::new(),
        rope_query: Vec::new(),
    };
    for (position, x) in x.chunks_exact(8).enumerate() {
        sequence.latents.extend(multiply(x, 4, &sines(8, 4, 0.3)));
        let mut key = multiply(x, 2, &sines(8, 2, 0.8));
        rope.rotate(position as i32, &mut key[..]).unwrap();
        sequence.rope_keys.extend(key);
    }
    let low = multiply(&x[32..], 6, &sines(8, 6, 0.4));
    for head in [0.0, 1.0] {
        let query = multiply(&low, 3, &sines(6, 3, 0.5 + head));
        sequence.query.extend(query);
        let rope_query = multiply(&low, 2, &sines(6, 2, 0.6 + head));
        sequence.rope_query.extend(rope_query);
    }
    rope.rotate(4, &mut sequence.rope_query[..]).unwrap();
    let want = Attended {
        out: WANT.to_vec(),
        unit: vec![2.0; 6],
    };
    let latent = sequence.latent();
    let absorbed = sequence.absorbed(latent, &sequence.cache::<f64>(), 5);
    for out in [absorbed, sequence.expanded(latent, 5)] {
        check("the article", "latent layer", &out, &want);
    }
}

/// A cache that owns its storage is one of a capacity that is checked.
#[cfg(feature = "heapless")]
#[test]
fn an_owned_cache_holds_what_fits() {
    use suanzi::mixer::OwnedLatentCache;
    let full = Some(Error::Capacity { limit: 64 });
    let new = |c, r, tokens| OwnedLatentCache::<f32, 64>::with_tokens(c, r, tokens).err();
    assert_eq!(new(6, 2, 8), None);
    assert_eq!(new(6, 2, 9), full);
    assert_eq!(new(6, 2, usize::MAX), full);
    assert_eq!(new(0, 2, 1), Some(Error::Domain(Parameter::HeadDim)));
}

/// DeepSeek-V2.
const DEEPSEEK: LatentDims = LatentDims {
    heads: 128,
    latent_dim: 512,
    rope_dim: 64,
    nope_dim: 128,
    value_dim: 128,
};

#[test]
fn counts_are_those_of_the_papers() {
    const { assert!(kv_cache_len(Sharing::Latent(DEEPSEEK)) == 576) }
    let (latent, multi_head) = (
        Sharing::Latent(DEEPSEEK),
        Sharing::multi_head(128, 128, 128),
    );
    let grouped = Sharing::grouped_query(128, 8, 128, 128);
    let multi_query = Sharing::multi_query(128, 128, 128);
    let lens = [multi_head, grouped, multi_query, latent].map(kv_cache_len);
    assert_eq!(lens, [32_768, 2048, 256, 576]);
    // As 2.25 groups.
    assert_eq!(
        4 * kv_cache_len(latent),
        9 * kv_cache_len(Sharing::grouped_query(128, 1, 128, 128))
    );
    // LLaMA2-7B and LLaMA2-70B.
    assert_eq!(kv_cache_len(Sharing::multi_head(32, 128, 128)), 8192);
    assert_eq!(kv_cache_len(Sharing::grouped_query(64, 8, 128, 128)), 2048);

    assert_eq!(latent.multiply_adds_per_key(), 1088);
    assert_eq!(latent.expanded().multiply_adds_per_key(), 320);
    assert_eq!(latent.expanded(), Sharing::multi_head(128, 192, 128));
    assert_eq!(grouped.expanded(), grouped);
    assert_eq!(multi_head.multiply_adds_per_key(), 256);
    assert_eq!(latent.absorption(), 128 * 128 * 512 + 128 * 512 * 128);
    assert_eq!(multi_head.absorption(), 0);
    assert_eq!(
        latent.step_multiply_adds(1000),
        128 * 1088 * 1000 + latent.absorption()
    );
    assert_eq!(multi_query.step_multiply_adds(10), 128 * 256 * 10);
    assert_eq!((latent.query_heads(), grouped.query_heads()), (128, 128));

    assert_eq!(latent.weights(5120, Some(1536)), 149_225_472);
    assert_eq!(multi_head.weights(5120, None), 335_544_320);
    let all = Sharing::multi_head(usize::MAX, usize::MAX, 2);
    assert_eq!(
        (kv_cache_len(all), all.weights(9, None)),
        (usize::MAX, usize::MAX)
    );
}

#[test]
fn counted_lengths_are_those_of_the_operations() {
    for sizes in SIZES {
        let d = dims(sizes);
        let latent = Sharing::Latent(d);
        assert_eq!(
            latent_cache_len(d.latent_dim, d.rope_dim, 7),
            7 * kv_cache_len(latent)
        );
        let sequence = Sequence::<f32>::new(d, 1, 1.0);
        let absorbed = sequence.latent().absorbed_attention();
        let expanded = sequence.latent().expanded_attention();
        let per_head = |a: Attention<f32>| (a.query_len() + a.out_len()) / d.heads;
        assert_eq!(per_head(absorbed), latent.multiply_adds_per_key());
        assert_eq!(
            per_head(expanded),
            latent.expanded().multiply_adds_per_key()
        );
        assert_eq!(
            sequence.keys.len() + sequence.values.len(),
            latent.absorption()
        );
    }
}
