//! Recomputation in constant memory, and the dial between it and the cache.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use inputs::{Random, executors};
use suanzi::mixer::{
    Attention, Cache, Checkpoint, Frame, Layers, Recompute, cache_len, checkpoint_cost,
    checkpoint_len, recompute_cost,
};
use suanzi::storage::{F16, Stored};
use suanzi::{Error, Parameter};

/// Four query heads over two of keys of three elements and values of five.
fn attention() -> Attention<f32> {
    let attention = Attention::new(4, 2, 3).unwrap();
    attention.with_value_dim(5).unwrap()
}

/// Three layers of attention with tanh between, over tokens that are sines.
struct Toy {
    layers: usize,
    weights: Vec<f32>,
    /// The keys that each layer derived.
    keys: Vec<u64>,
}

const WIDTH: usize = 6;

impl Toy {
    fn new(layers: usize) -> Self {
        let mut random = Random(9);
        Self {
            layers,
            weights: (0..401).map(|_| (0.8 * random.normal()) as f32).collect(),
            keys: vec![0; layers],
        }
    }

    fn multiply(&self, seed: usize, x: &[f32], y: &mut [f32]) {
        for (i, y) in y.iter_mut().enumerate() {
            *y = x
                .iter()
                .enumerate()
                .map(|(j, x)| self.weights[(seed * 97 + i * 13 + j * 5) % self.weights.len()] * x)
                .sum();
        }
    }
}

impl Layers<f32> for Toy {
    fn layers(&self) -> usize {
        self.layers
    }
    fn width(&self) -> usize {
        WIDTH
    }
    fn embed(&mut self, position: usize, hidden: &mut [f32]) {
        for (i, h) in hidden.iter_mut().enumerate() {
            *h = libm::sinf((position * 7 + i * 3) as f32);
        }
    }
    fn query(&mut self, layer: usize, _: usize, hidden: &[f32], query: &mut [f32]) {
        self.multiply(layer * 4, hidden, query);
    }
    fn key_value(
        &mut self,
        layer: usize,
        _: usize,
        hidden: &[f32],
        key: &mut [f32],
        value: &mut [f32],
    ) {
        self.keys[layer] += 1;
        self.multiply(layer * 4 + 1, hidden, key);
        self.multiply(layer * 4 + 2, hidden, value);
    }
    fn finish(&mut self, layer: usize, _: usize, attended: &[f32], hidden: &mut [f32]) {
        let mut delta = [0.0; WIDTH];
        self.multiply(layer * 4 + 3, attended, &mut delta);
        for (h, d) in hidden.iter_mut().zip(delta) {
            *h = libm::tanhf(*h + d);
        }
    }
}

/// Computes the hidden vectors with a cache a layer.
fn cached(toy: &mut Toy, attention: Attention<f32>, tokens: usize) -> Vec<Vec<f32>> {
    let mut hidden: Vec<Vec<f32>> = vec![vec![0.0; WIDTH]; tokens];
    for (i, h) in hidden.iter_mut().enumerate() {
        toy.embed(i, h);
    }
    let mut scratch = vec![0.0; attention.scratch_len(tokens)];
    for layer in 0..toy.layers {
        let mut cache =
            Cache::<f32, _>::new(2, 3, 5, vec![0.0; tokens * 6], vec![0.0; tokens * 10]).unwrap();
        for (i, h) in hidden.iter_mut().enumerate() {
            let (mut q, mut k, mut v, mut o) = ([0.0; 12], [0.0; 6], [0.0; 10], [0.0; 20]);
            toy.query(layer, i, h, &mut q);
            toy.key_value(layer, i, h, &mut k, &mut v);
            cache.append(&k, &v).unwrap();
            attention
                .attend(&q, &cache, i + 1, &mut scratch, &mut o)
                .unwrap();
            toy.finish(layer, i, &o, h);
        }
    }
    hidden
}

#[test]
fn recomputation_gives_the_bits_of_the_cache() {
    let attention = attention();
    for (layers, positions) in [
        (0, vec![0, 3]),
        (1, vec![0, 1, 63, 64, 200, 300]),
        (2, vec![0, 65, 150]),
        (3, vec![0, 5, 66]),
    ] {
        let mut toy = Toy::new(layers);
        let want = cached(&mut toy, attention, positions.iter().max().unwrap() + 1);
        let recompute = Recompute::new(attention);
        for position in positions {
            toy.keys.fill(0);
            let mut scratch = vec![f32::NAN; recompute.scratch_len(layers, WIDTH, position + 1)];
            let mut frames = vec![Frame::default(); layers];
            let mut hidden = vec![f32::NAN; WIDTH];
            recompute
                .hidden(&mut toy, position, &mut frames, &mut scratch, &mut hidden)
                .unwrap();
            assert_eq!(
                hidden, want[position],
                "{layers} layers, position {position}"
            );
            let keys = toy.keys.iter().sum::<u64>();
            assert_eq!(Some(keys.into()), recompute_cost(layers, position));
        }
    }
}

#[test]
fn recomputation_costs_the_binomial() {
    for (layers, tokens, want) in [
        (1, 10, 10),
        (2, 10, 65),
        (3, 10, 285),
        (4, 10, 1000),
        (2, 3, 9),
        (3, 3, 19),
        (4, 3, 34),
    ] {
        assert_eq!(recompute_cost(layers, tokens - 1), Some(want));
    }
    assert_eq!(recompute_cost(3, 5), Some(83));
    assert_eq!(recompute_cost(0, 1 << 40), Some(0));
    assert_eq!(recompute_cost(80, usize::MAX), None);
}

/// Empty caches of the toy's heads.
fn caches<W: Stored<f32>>(count: usize, tokens: usize) -> Vec<Cache<W, Vec<W>>> {
    let part = |dim| vec![W::default(); cache_len(2, dim, tokens)];
    let cache = |_| Cache::new(2, 3, 5, part(3), part(5)).unwrap();
    (0..count).map(cache).collect()
}

/// Reads `tokens` tokens with `kept` cached layers; returns the hidden vectors above the last layer at
/// these positions, and checks the number of keys that were derived for each.
fn dialled<W: Stored<f32>>(
    toy: &mut Toy,
    recompute: Recompute<f32>,
    kept: usize,
    positions: &[usize],
) -> Vec<Vec<f32>> {
    let layers = toy.layers;
    let tokens = positions.iter().max().unwrap() + 1;
    let mut caches = caches::<W>(kept, tokens);
    let mut rows = vec![f32::NAN; checkpoint_len(layers, kept, WIDTH, tokens)];
    let mut checkpoint = Checkpoint::new(WIDTH, &mut caches, &mut rows).unwrap();
    let len = recompute.advance_len(tokens);
    let len = len.max(recompute.scratch_len(layers - kept, WIDTH, tokens));
    let mut scratch = vec![f32::NAN; len];
    let mut frames = vec![Frame::default(); layers - kept];
    let mut outputs = Vec::new();
    for position in 0..tokens {
        toy.keys.fill(0);
        recompute
            .advance(toy, &mut checkpoint, &mut scratch)
            .unwrap();
        assert_eq!(toy.keys[..kept], vec![1; kept]);
        assert_eq!(checkpoint.len(), position + 1);
        if !positions.contains(&position) {
            continue;
        }
        let mut hidden = vec![f32::NAN; WIDTH];
        recompute
            .hidden_above(toy, &checkpoint, &mut frames, &mut scratch, &mut hidden)
            .unwrap();
        outputs.push(hidden);
        // A layer that is kept reads every position; one above reads what it derives.
        let below = (kept * (position + 1)) as u128;
        let above: u64 = toy.keys[kept..].iter().sum();
        assert_eq!(
            checkpoint_cost(layers, kept, position),
            Some(below + u128::from(above)),
            "{kept} of {layers} layers, position {position}"
        );
    }
    outputs
}

#[test]
fn a_checkpoint_anywhere_gives_the_bits_of_the_cache() {
    for (layers, positions) in [
        (0, vec![0, 3]),
        (1, vec![0, 1, 63, 64, 200]),
        (2, vec![0, 65, 150]),
        (3, vec![0, 5, 66]),
        (5, vec![0, 2, 11]),
    ] {
        let mut toy = Toy::new(layers);
        for cpu in executors().into_iter().filter(|cpu| !cpu.is_fused()) {
            let attention = attention().on(cpu);
            let want = cached(&mut toy, attention, positions.iter().max().unwrap() + 1);
            let want: Vec<_> = positions.iter().map(|&p| want[p].clone()).collect();
            for kept in 0..=layers {
                let got = dialled::<f32>(&mut toy, Recompute::new(attention), kept, &positions);
                assert_eq!(got, want, "{kept} of {layers} layers, {cpu:?}");
            }
        }
    }
}

#[test]
fn caches_in_sixteen_bits_may_lie_below_a_checkpoint() {
    let mut toy = Toy::new(2);
    let exact = dialled::<f32>(&mut toy, Recompute::new(attention()), 1, &[40]);
    let rounded = dialled::<F16>(&mut toy, Recompute::new(attention()), 1, &[40]);
    assert_ne!(exact, rounded);
    for (x, y) in exact[0].iter().zip(&rounded[0]) {
        assert!((x - y).abs() < 0.05, "{exact:?} {rounded:?}");
    }
}

#[test]
fn each_layer_that_is_kept_saves_a_degree() {
    for (layers, kept, tokens, want) in [
        (3, 0, 6, 83),
        (3, 1, 6, 6 + 27),
        (3, 2, 6, 12 + 6),
        (3, 3, 6, 18),
        (3, 9, 6, 18),
        (4, 2, 10, 20 + 65),
        (5, 5, 100, 500),
        (0, 0, 7, 0),
    ] {
        assert_eq!(checkpoint_cost(layers, kept, tokens - 1), Some(want));
    }
    assert_eq!(checkpoint_cost(80, 0, usize::MAX), None);
    assert_eq!(
        checkpoint_cost(80, 80, usize::MAX),
        Some(80 * (usize::MAX as u128 + 1))
    );
    // The sum over a text, C(L + l + 1, l + 1) - 1 - L.
    let total: u128 = (0..50).map(|i| recompute_cost(4, i).unwrap()).sum();
    assert_eq!(Some(total + 50), recompute_cost(5, 49));
    assert_eq!(
        [(5, 0), (5, 2), (5, 5), (0, 0)].map(|(layers, kept)| checkpoint_len(layers, kept, 8, 3)),
        [0, 24, 8, 0]
    );
}

#[test]
fn a_checkpoint_that_is_cleared_begins_again() {
    let (mut toy, recompute) = (Toy::new(2), Recompute::new(attention()));
    let (mut caches, mut rows) = (caches::<f32>(1, 3), [0.0; 3 * WIDTH]);
    let mut checkpoint = Checkpoint::new(WIDTH, &mut caches, &mut rows).unwrap();
    let mut scratch = vec![
        0.0;
        recompute
            .advance_len(3)
            .max(recompute.scratch_len(1, WIDTH, 3))
    ];
    let mut frames = [Frame::default()];
    let mut first = Vec::new();
    for _ in 0..2 {
        assert!(checkpoint.is_empty());
        let mut outputs = Vec::new();
        for _ in 0..3 {
            recompute
                .advance(&mut toy, &mut checkpoint, &mut scratch)
                .unwrap();
            let mut hidden = [0.0; WIDTH];
            recompute
                .hidden_above(
                    &mut toy,
                    &checkpoint,
                    &mut frames,
                    &mut scratch,
                    &mut hidden,
                )
                .unwrap();
            outputs.push(hidden);
        }
        checkpoint.clear();
        if first.is_empty() {
            first.clone_from(&outputs);
        }
        assert_eq!(first, outputs);
    }
}

#[test]
fn a_refused_checkpoint_reads_nothing() {
    let (mut toy, recompute) = (Toy::new(2), Recompute::new(attention()));
    let length = |expected, found| Some(Error::Length { expected, found });
    let full = |limit| Some(Error::Capacity { limit });
    let mut scratch = vec![
        0.0;
        recompute
            .advance_len(2)
            .max(recompute.scratch_len(1, WIDTH, 2))
    ];
    let new =
        |width, rows: &mut [f32]| Checkpoint::<_, f32, Vec<f32>>::new(width, &mut [], rows).err();
    assert_eq!(new(0, &mut []), Some(Error::Domain(Parameter::Shape)));
    assert_eq!(
        new(6, &mut [0.0; 7]),
        Some(Error::Multiple { of: 6, found: 7 })
    );

    // Another width, more caches than layers, other heads, too few tokens.
    let mut refused = |width: usize, mut caches: Vec<Cache<f32, Vec<f32>>>, scratch: &mut [f32]| {
        let mut rows = vec![7.0; 2 * width];
        let mut checkpoint = Checkpoint::new(width, &mut caches, &mut rows).unwrap();
        let error = recompute.advance(&mut toy, &mut checkpoint, scratch).err();
        assert!(checkpoint.is_empty());
        assert_eq!(
            (rows, toy.keys.as_slice()),
            (vec![7.0; 2 * width], &[0, 0][..])
        );
        error
    };
    assert_eq!(refused(5, caches(1, 2), &mut scratch), length(6, 5));
    assert_eq!(refused(6, caches(3, 2), &mut scratch), length(2, 3));
    let other = |heads, key, value| {
        let part = |dim| vec![0.0; heads * dim * 2];
        vec![Cache::new(heads, key, value, part(key), part(value)).unwrap()]
    };
    assert_eq!(refused(6, other(1, 3, 5), &mut scratch), length(2, 1));
    assert_eq!(refused(6, other(2, 4, 5), &mut scratch), length(3, 4));
    assert_eq!(refused(6, other(2, 3, 6), &mut scratch), length(5, 6));
    assert_eq!(refused(6, caches(1, 0), &mut scratch), full(0));
    let needed = recompute.advance_len(1);
    assert_eq!(
        refused(6, caches(1, 2), &mut scratch[..needed - 1]),
        length(needed, needed - 1)
    );

    // No room for the second hidden vector; then no token, and short scratch and frames above.
    let (mut caches, mut rows) = (caches::<f32>(1, 2), [0.0; WIDTH]);
    let mut checkpoint = Checkpoint::new(WIDTH, &mut caches, &mut rows).unwrap();
    let mut hidden = [9.0; WIDTH];
    let mut frames = [Frame::default()];
    assert_eq!(
        recompute
            .hidden_above(
                &mut toy,
                &checkpoint,
                &mut frames,
                &mut scratch,
                &mut hidden
            )
            .err(),
        full(0)
    );
    recompute
        .advance(&mut toy, &mut checkpoint, &mut scratch)
        .unwrap();
    assert_eq!(
        recompute
            .advance(&mut toy, &mut checkpoint, &mut scratch)
            .err(),
        full(1)
    );
    let needed = recompute.scratch_len(1, WIDTH, 1);
    for (frame, short, error) in [(0, 0, length(1, 0)), (1, 1, length(needed, needed - 1))] {
        let (frames, scratch) = (&mut frames[..frame], &mut scratch[..needed - short]);
        assert_eq!(
            recompute
                .hidden_above(&mut toy, &checkpoint, frames, scratch, &mut hidden)
                .err(),
            error
        );
    }
    assert_eq!(hidden, [9.0; WIDTH]);
}
