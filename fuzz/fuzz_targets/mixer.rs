//! Attention over a ring, in stretches and over latent rows against attention over a cache, and the
//! recurrence against them.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::Cpu;
use suanzi::mixer::{Attention, BLOCK, Cache, LatentCache, Merge, OnlineSoftmax, Ring};

#[derive(Arbitrary, Debug)]
struct Input {
    dim: u8,
    window: u8,
    sinks: u8,
    numbers: Vec<i8>,
    cut: u8,
}

fuzz_target!(|input: Input| {
    let dim = usize::from(input.dim % 40) + 1;
    let (window, sinks) = (usize::from(input.window) + 1, usize::from(input.sinks));
    let numbers: Vec<f32> = input.numbers.iter().map(|&x| f32::from(x) / 16.0).collect();
    let (query, rest) = numbers.split_at(dim.min(numbers.len()));
    let tokens = rest.len() / (2 * dim);
    if query.len() < dim || tokens == 0 {
        return;
    }
    let (keys, values) = rest[..2 * dim * tokens].split_at(dim * tokens);

    // A ring gives the bits of a cache, and one lane those of the widest vectors.
    let cache = Cache::<f32, _>::filled(1, dim, dim, keys, values).unwrap();
    let slots = (sinks + window) * dim;
    let mut ring = Ring::<f32, _>::new(
        1,
        dim,
        dim,
        sinks,
        vec![f32::NAN; slots],
        vec![f32::NAN; slots],
    )
    .unwrap();
    for (key, value) in keys.chunks(dim).zip(values.chunks(dim)) {
        ring.append(key, value).unwrap();
    }
    let attention = Attention::<f32>::new(1, 1, dim).unwrap();
    let mut scratch = vec![0.0; attention.scratch_len(tokens)];
    let (mut a, mut b) = (vec![0.0; dim], vec![0.0; dim]);
    attention
        .attend(query, &cache, ring.visible(), &mut scratch, &mut a)
        .unwrap();
    attention
        .on(Cpu::scalar())
        .attend(query, &ring, ring.visible(), &mut scratch, &mut b)
        .unwrap();
    assert_eq!(a, b);

    // Two merged recurrences agree with all keys at once.
    attention
        .attend(query, &cache, tokens, &mut scratch, &mut a)
        .unwrap();
    let len = OnlineSoftmax::<f32, Vec<f32>>::state_len(1, dim);
    let cut = usize::from(input.cut) % (tokens + 1);
    let mut states = [(0, cut), (cut, tokens)].map(|(from, to)| {
        let mut state = OnlineSoftmax::new(1, dim, vec![0.0; len]).unwrap();
        for j in from..to {
            let score: f32 = query.iter().zip(&keys[j * dim..]).map(|(q, k)| q * k).sum();
            state
                .push(&[score / (dim as f32).sqrt()], &values[j * dim..][..dim])
                .unwrap();
        }
        state
    });
    let [first, second] = &mut states;
    first.merge(second).unwrap();
    first.finish(&mut b).unwrap();
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() <= 1e-3, "{a} and {b}");
    }

    // Stretches of doubled blocks, joined as a tree, give the bits of all keys at once.
    let stretch = BLOCK << (input.cut % 3);
    let mut states: Vec<_> = (0..tokens.div_ceil(stretch))
        .map(|i| {
            let mut state = OnlineSoftmax::new(1, dim, vec![0.0; len]).unwrap();
            let positions = i * stretch..tokens.min((i + 1) * stretch);
            attention
                .attend_stretch(query, &cache, positions, &mut scratch, &mut state)
                .unwrap();
            state
        })
        .collect();
    OnlineSoftmax::merge_tree(&mut states).unwrap();
    states[0].finish(&mut b).unwrap();
    assert_eq!(a, b);

    // Rows that begin with the value give the bits of keys and values apart.
    let rope = dim / 3;
    let latent = dim - rope;
    let values: Vec<f32> = keys
        .chunks(dim)
        .flat_map(|key| &key[..latent])
        .copied()
        .collect();
    let apart = Cache::<f32, _>::filled(1, dim, latent, keys, &values[..]).unwrap();
    let rows = LatentCache::<f32, _>::filled(latent, rope, keys).unwrap();
    let attention = attention.with_value_dim(latent).unwrap();
    let (a, b) = (&mut a[..latent], &mut b[..latent]);
    attention
        .attend(query, &apart, tokens, &mut scratch, a)
        .unwrap();
    attention
        .attend(query, &rows, tokens, &mut scratch, b)
        .unwrap();
    assert_eq!(a, b);
});
