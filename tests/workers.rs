//! Contexts that are divided among workers: the same bits however they are divided.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use accuracy::Ulp;
use core::ops::Range;
use inputs::{Number, Random, executors};
use reference::mixer::{self as definition, Shape};
use suanzi::mixer::{Attention, BLOCK, Cache, Merge, OnlineSoftmax, Ring, Visible};
use suanzi::storage::Stored;
use suanzi::{Cpu, Error};

const HEADS: usize = 6;
const KV_HEADS: usize = 2;
const KEY_DIM: usize = 20;
const VALUE_DIM: usize = 17;

/// A state of the heads that all tests use.
type State<T> = OnlineSoftmax<T, Vec<T>>;

struct Context<T> {
    tokens: usize,
    query: Vec<T>,
    keys: Vec<T>,
    values: Vec<T>,
}

impl<T: Number + Stored<T>> Context<T> {
    fn new(tokens: usize) -> Self {
        let mut random = Random(tokens as u64 + 3);
        let mut vector =
            |n: usize| -> Vec<T> { (0..n).map(|_| T::from_f64(random.normal())).collect() };
        Self {
            tokens,
            query: vector(HEADS * KEY_DIM),
            keys: vector(KV_HEADS * KEY_DIM * tokens),
            values: vector(KV_HEADS * VALUE_DIM * tokens),
        }
    }

    fn cache(&self) -> Cache<T, &[T]> {
        Cache::filled(
            KV_HEADS,
            KEY_DIM,
            VALUE_DIM,
            &self.keys[..],
            &self.values[..],
        )
        .unwrap()
    }

    fn whole(&self, cpu: Cpu) -> (Vec<T>, Vec<T>) {
        let attention = attention::<T>().on(cpu);
        let mut scratch = vec![T::nan(); attention.scratch_len(self.tokens)];
        let (mut out, mut lse) = (vec![T::nan(); attention.out_len()], vec![T::nan(); HEADS]);
        let (cache, scratch) = (self.cache(), &mut scratch[..]);
        attention
            .attend_with_lse(
                &self.query,
                &cache,
                self.tokens,
                scratch,
                &mut out,
                &mut lse,
            )
            .unwrap();
        (out, lse)
    }

    /// The state of a stretch, in storage that held something else.
    fn stretch(&self, cpu: Cpu, positions: Range<usize>) -> State<T> {
        let attention = attention::<T>().on(cpu);
        let mut scratch = vec![T::nan(); attention.scratch_len(positions.len())];
        let storage = vec![T::nan(); State::<T>::state_len(HEADS, VALUE_DIM)];
        let mut state = State::received(HEADS, VALUE_DIM, storage).unwrap().on(cpu);
        attention
            .attend_stretch(
                &self.query,
                &self.cache(),
                positions,
                &mut scratch,
                &mut state,
            )
            .unwrap();
        state
    }

    /// The states of stretches of `len` positions, joined.
    fn divided(&self, cpu: Cpu, len: usize) -> (Vec<T>, Vec<T>) {
        let count = self.tokens.div_ceil(len);
        let stretch = |i: usize| self.stretch(cpu, i * len..self.tokens.min((i + 1) * len));
        let mut states: Vec<_> = (0..count).map(stretch).collect();
        State::merge_tree(&mut states).unwrap();
        finished(&states[0])
    }
}

fn attention<T: Number>() -> Attention<T> {
    let attention = Attention::new(HEADS, KV_HEADS, KEY_DIM).unwrap();
    attention.with_value_dim(VALUE_DIM).unwrap()
}

fn finished<T: Number>(state: &State<T>) -> (Vec<T>, Vec<T>) {
    let (mut out, mut lse) = (vec![T::nan(); HEADS * VALUE_DIM], vec![T::nan(); HEADS]);
    state.finish(&mut out).unwrap();
    state.log_sum_exp(&mut lse).unwrap();
    (out, lse)
}

fn divides<T: Number + Stored<T>>() {
    for tokens in [1, 63, 64, 65, 200, 64 * 7, 64 * 8, 64 * 13 + 5, 3000] {
        let context = Context::<T>::new(tokens);
        for cpu in executors() {
            let want = context.whole(cpu);
            for doubled in 0..6 {
                let len = BLOCK << doubled;
                assert_eq!(
                    context.divided(cpu, len),
                    want,
                    "{tokens} by {len}, {cpu:?}"
                );
            }
        }
    }
}

#[test]
fn stretches_of_doubled_blocks_give_the_bits_of_the_whole() {
    divides::<f32>();
    divides::<f64>();
}

#[test]
fn any_stretches_agree_within_the_bound() {
    let context = Context::<f32>::new(700);
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|x| x.value()).collect() };
    let shape = Shape {
        query_heads: HEADS,
        kv_heads: KV_HEADS,
        key_dim: KEY_DIM,
        value_dim: VALUE_DIM,
        scale: 1.0 / (KEY_DIM as f64).sqrt(),
    };
    let vector = |x: &[f32], j: usize, g: usize, dim: usize| wide(&x[(g * 700 + j) * dim..][..dim]);
    let want = definition::attend(
        shape,
        &wide(&context.query),
        700,
        |j, g| vector(&context.keys, j, g, KEY_DIM),
        |j, g| vector(&context.values, j, g, VALUE_DIM),
        |_| true,
    );
    let largest = context
        .values
        .iter()
        .fold(0.0, |m: f64, v| m.max(v.value().abs()));
    for cpu in executors() {
        for len in [1, 50, 64, 100, 192, 320, 699, 700, 5000] {
            let (out, _) = context.divided(cpu, len);
            for (i, (got, want_o)) in out.iter().zip(&want.out).enumerate() {
                let unit = largest * (1.0 + want.magnitude[i / VALUE_DIM]) * f64::EPSILON;
                // Half of the unit of f32 in that of f64.
                let error = (got.value() - want_o).abs() / unit / 2.0_f64.powi(28);
                let bound = accuracy::bound32("attention");
                assert!(error <= bound, "{len}, {cpu:?}: {got} for {want_o}");
            }
        }
    }
}

#[test]
fn a_worker_may_hold_its_stretch_alone() {
    let context = Context::<f32>::new(300);
    let tail = |x: &[f32], dim: usize| -> Vec<f32> {
        let head = |g: usize| &x[(g * 300 + 256) * dim..(g + 1) * 300 * dim];
        [head(0), head(1)].concat()
    };
    let alone = Context {
        tokens: 44,
        query: context.query.clone(),
        keys: tail(&context.keys, KEY_DIM),
        values: tail(&context.values, VALUE_DIM),
    };
    let cpu = Cpu::default();
    let (here, there) = (context.stretch(cpu, 256..300), alone.stretch(cpu, 0..44));
    assert_eq!(here.as_slice(), there.as_slice());

    // What was sent is what is received.
    let mut joined = context.stretch(cpu, 0..256);
    let received = State::received(HEADS, VALUE_DIM, there.as_slice().to_vec()).unwrap();
    joined.merge(&received).unwrap();
    assert_eq!(finished(&joined), context.whole(cpu));
}

#[test]
fn empty_stretches_are_the_empty_state() {
    let context = Context::<f32>::new(70);
    let empty = context.stretch(Cpu::default(), 64..64);
    let new = State::new(HEADS, VALUE_DIM, vec![3.0; empty.as_slice().len()]).unwrap();
    assert_eq!(empty.as_slice(), new.as_slice());
    #[allow(clippy::reversed_empty_ranges, reason = "it is empty")]
    let reversed = context.stretch(Cpu::default(), 65..64);
    assert_eq!(reversed.as_slice(), new.as_slice());
    let (out, lse) = finished(&empty);
    assert!(out.iter().all(|&x| x == 0.0) && lse.iter().all(|&x| x == f32::NEG_INFINITY));
    // More workers than stretches: the others bring nothing.
    let mut states = vec![context.stretch(Cpu::default(), 0..70), empty.clone(), empty];
    State::merge_tree(&mut states).unwrap();
    assert_eq!(finished(&states[0]), context.whole(Cpu::default()));
    State::<f32>::merge_tree(&mut []).unwrap();
}

#[test]
fn a_nan_stays_in_its_head() {
    let mut context = Context::<f32>::new(200);
    context.query[KEY_DIM] = f32::NAN;
    let (out, lse) = context.divided(Cpu::default(), 64);
    for (h, (out, lse)) in out.chunks(VALUE_DIM).zip(lse).enumerate() {
        assert_eq!(
            out.iter().all(|x| x.to_bits() == f32::NAN.to_bits()),
            h == 1
        );
        assert_eq!(lse.is_nan(), h == 1);
    }
}

#[test]
fn a_ring_divides_what_it_keeps() {
    let context = Context::<f32>::new(400);
    let part = |dim| vec![0.0; KV_HEADS * dim * 202];
    let (keys, values) = (part(KEY_DIM), part(VALUE_DIM));
    let mut ring = Ring::<f32, _>::new(KV_HEADS, KEY_DIM, VALUE_DIM, 2, keys, values).unwrap();
    let interleave = |x: &[f32], dim: usize| -> Vec<f32> {
        (0..400)
            .flat_map(|t| (0..KV_HEADS).map(move |g| (g * 400 + t) * dim))
            .flat_map(|at| x[at..at + dim].to_vec())
            .collect()
    };
    let (keys, values) = (
        interleave(&context.keys, KEY_DIM),
        interleave(&context.values, VALUE_DIM),
    );
    ring.append(&keys, &values).unwrap();
    let attention = attention::<f32>();
    let mut scratch = vec![0.0; attention.scratch_len(400)];
    let mut state = context.stretch(Cpu::default(), 0..0);
    let mut stretch = |from, to, state: &mut _| {
        attention.attend_stretch(&context.query, &ring, from..to, &mut scratch, state)
    };
    for (from, to) in [(0, 2), (200, 256), (320, 400)] {
        stretch(from, to, &mut state).unwrap();
        let kept = context.stretch(Cpu::default(), from..to);
        assert_eq!(state.as_slice(), kept.as_slice());
    }
    for (from, to) in [(0, 3), (199, 256), (320, 401)] {
        assert_eq!(
            stretch(from, to, &mut state),
            Err(Error::Capacity { limit: 400 })
        );
    }
    let mut out = vec![0.0; attention.out_len()];
    let window = Visible::from(400).window(200).sinks(2);
    assert_eq!(ring.visible(), window);
    attention
        .attend(&context.query, &ring, window, &mut scratch, &mut out)
        .unwrap();
}

#[test]
fn bad_arguments_give_their_error_and_write_nothing() {
    let context = Context::<f32>::new(70);
    let (attention, cache) = (attention::<f32>(), context.cache());
    let needed = attention.scratch_len(70);
    let mut scratch = vec![0.0; needed];
    let length = |expected, found| Err(Error::Length { expected, found });
    let mut state = context.stretch(Cpu::default(), 0..5);
    let before = state.as_slice().to_vec();
    let query = &context.query[..];
    let mut run = |query: &[f32], to, short: usize, state: &mut State<f32>| {
        attention.attend_stretch(query, &cache, 0..to, &mut scratch[short..], state)
    };
    assert_eq!(run(&query[1..], 70, 0, &mut state), length(120, 119));
    assert_eq!(
        run(query, 71, 0, &mut state),
        Err(Error::Capacity { limit: 70 })
    );
    assert_eq!(run(query, 70, 1, &mut state), length(needed, needed - 1));
    assert_eq!(state.as_slice(), before);
    let other = |heads, dim| {
        let len = State::<f32>::state_len(heads, dim);
        State::new(heads, dim, vec![0.0; len]).unwrap()
    };
    assert_eq!(run(query, 70, 0, &mut other(5, VALUE_DIM)), length(6, 5));
    assert_eq!(run(query, 70, 0, &mut other(HEADS, 16)), length(17, 16));
    let few = Cache::<f32, _>::filled(1, KEY_DIM, VALUE_DIM, &query[..20], &query[..17]).unwrap();
    let found = attention.attend_stretch(query, &few, 0..1, &mut scratch, &mut state);
    assert_eq!(found, length(2, 1));

    let mut states = vec![other(2, 3), other(2, 3), other(2, 4)];
    states[1].push(&[1.0, 2.0], &[1.0; 3]).unwrap();
    assert_eq!(State::merge_tree(&mut states), length(3, 4));
    assert_eq!(states[0].as_slice(), other(2, 3).as_slice());
    let short = State::<f32>::received(2, 3, vec![0.0; 37]).err();
    assert_eq!(short, length(38, 37).err());
}
