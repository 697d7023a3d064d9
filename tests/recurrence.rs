//! Linear recurrences against their definitions, golden sequences and laws, on every level.

mod accuracy;
mod inputs;
mod reference;

use core::fmt::Debug;

use inputs::{Number, Random, executors};
use reference::golden::{self, Case};
use reference::{conformance, recurrence as definition};
use suanzi::mixer::{
    CausalMixer, DeltaRule, DeltaToken, Diagonal, FeatureMap, Gate, LinearAttention, LinearToken,
    Merge, Mesa, MesaToken, Normalizer, Recurrence, Rule, Rwkv6, Rwkv6Token, Rwkv7, Rwkv7Token,
    Ssd, SsdToken, retention_decay,
};
use suanzi::{Cpu, Error, Parameter};

type Owned<R, T> = Recurrence<R, T, Vec<T>>;

/// A recurrence in storage of its own, without a scale.
fn recurrence<R: Rule<T>, T: Number>(
    rule: R,
    heads: usize,
    key: usize,
    value: usize,
) -> Owned<R, T> {
    let len = Owned::<R, T>::state_len(heads, key, value);
    Recurrence::new(rule, heads, key, value, vec![T::nan(); len])
        .and_then(|recurrence| recurrence.with_scale(T::one()))
        .expect("a recurrence")
}

/// Stops unless a sequence of outputs or a state lies within the bound; units are per element.
fn check<T: Number>(
    operation: &str,
    what: &dyn Debug,
    got: &[T],
    want: &[f64],
    unit: impl Fn(usize) -> f64,
) -> f64 {
    assert_eq!(got.len(), want.len(), "{what:?}");
    let mut worst = 0.0_f64;
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let half = T::epsilon().value() / 2.0;
        let error = (got.value() - want).abs() / (half * unit(i));
        assert!(
            error <= T::bound(operation) || got.value() == want,
            "{what:?}: element {i}: {got:?} for {want}, {error:.2} units"
        );
        worst = worst.max(error);
    }
    worst
}

/// The token of a rule, lent as one step takes it.
trait Sequence<T: Number>: Rule<T> {
    /// Numbers of one token beside the queries, keys and values.
    fn token<'a>(x: &'a Inputs<T>, from: usize, to: usize) -> Self::Token<'a>;
    /// Takes a step of one head by the definition.
    fn define(x: &Inputs<T>, token: usize, head: usize, state: &mut [f64]) -> Vec<f64>;
    /// Takes the step with magnitudes alone, where the rule only adds.
    const ADDS: bool;
}

/// How the gate of a sequence is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gating {
    Open,
    PerHead,
    PerChannel,
    LogPerHead,
    LogPerChannel,
    Constant,
    ConstantPerChannel,
}

const GATINGS: [Gating; 7] = [
    Gating::Open,
    Gating::PerHead,
    Gating::PerChannel,
    Gating::LogPerHead,
    Gating::LogPerChannel,
    Gating::Constant,
    Gating::ConstantPerChannel,
];

/// A sequence of random tokens.
#[derive(Clone, Debug)]
struct Inputs<T> {
    tokens: usize,
    heads: usize,
    key_dim: usize,
    value_dim: usize,
    gating: Gating,
    /// Whether every number stands for its magnitude.
    magnitudes: bool,
    query: Vec<T>,
    key: Vec<T>,
    value: Vec<T>,
    gate: Vec<T>,
    beta: Vec<T>,
    a: Vec<T>,
    b: Vec<T>,
}

/// The bonus, rates, shares and biases of the rules that have them: the same for every sequence.
fn parameters<T: Number>(n: usize, seed: u64) -> Vec<T> {
    let mut random = Random(seed);
    (0..n)
        .map(|_| T::from_f64(f64::from(random.normal() as f32)))
        .collect()
}

impl<T: Number> Inputs<T> {
    fn new(tokens: usize, heads: usize, key_dim: usize, value_dim: usize, gating: Gating) -> Self {
        let mut random = Random((tokens + 31 * key_dim + 1001 * value_dim) as u64);
        let mut numbers = |n: usize, f: &dyn Fn(f64) -> f64| -> Vec<T> {
            (0..n)
                .map(|_| T::from_f64(f64::from(f(random.normal()) as f32)))
                .collect()
        };
        let unit = 1.0 / (key_dim as f64).sqrt();
        let keys = tokens * heads * key_dim;
        let key = numbers(keys, &|x| unit * x);
        let factor = |x: f64| 1.0 / (1.0 + (-3.0 - x).exp());
        let gate = match gating {
            Gating::Open => Vec::new(),
            Gating::PerHead => numbers(tokens * heads, &factor),
            Gating::PerChannel => numbers(keys, &factor),
            Gating::LogPerHead => numbers(tokens * heads, &|x| factor(x).ln()),
            Gating::LogPerChannel => numbers(keys, &|x| factor(x).ln()),
            Gating::Constant => numbers(heads, &factor),
            Gating::ConstantPerChannel => numbers(heads * key_dim, &factor),
        };
        Self {
            tokens,
            heads,
            key_dim,
            value_dim,
            gating,
            magnitudes: false,
            query: numbers(keys, &|x| x),
            value: numbers(tokens * heads * value_dim, &|x| x),
            gate,
            beta: numbers(tokens * heads, &|x| 1.0 / (1.0 + (-x).exp())),
            a: key.iter().map(|&k| -k).collect(),
            b: numbers(keys, &|x| 0.3 * unit * x),
            key,
        }
    }

    fn gate(&self, from: usize, to: usize) -> Gate<'_, T> {
        let channels = self.heads * self.key_dim;
        match self.gating {
            Gating::Open => Gate::Open,
            Gating::PerHead => Gate::Factor(&self.gate[from * self.heads..to * self.heads]),
            Gating::PerChannel => Gate::Factor(&self.gate[from * channels..to * channels]),
            Gating::LogPerHead => Gate::Log(&self.gate[from * self.heads..to * self.heads]),
            Gating::LogPerChannel => Gate::Log(&self.gate[from * channels..to * channels]),
            Gating::Constant | Gating::ConstantPerChannel => Gate::Constant(&self.gate),
        }
    }

    /// The factors of one head's rows.
    fn factors(&self, token: usize, head: usize) -> Vec<f64> {
        let wide = |at: usize| self.gate[at].value();
        let channels = |token: usize| {
            let first = (token * self.heads + head) * self.key_dim;
            (first..first + self.key_dim).map(wide).collect::<Vec<_>>()
        };
        match self.gating {
            Gating::Open => vec![1.0; self.key_dim],
            Gating::PerHead => vec![wide(token * self.heads + head); self.key_dim],
            Gating::LogPerHead => vec![wide(token * self.heads + head).exp(); self.key_dim],
            Gating::PerChannel => channels(token),
            Gating::LogPerChannel => channels(token).iter().map(|g| g.exp()).collect(),
            Gating::Constant => vec![wide(head); self.key_dim],
            Gating::ConstantPerChannel => channels(0),
        }
    }

    /// A part of one head's token, widened.
    fn part(&self, x: &[T], token: usize, head: usize, dim: usize) -> Vec<f64> {
        let first = (token * self.heads + head) * dim;
        x[first..first + dim].iter().map(|x| x.value()).collect()
    }

    fn kvq(&self, token: usize, head: usize) -> [Vec<f64>; 3] {
        [
            self.part(&self.key, token, head, self.key_dim),
            self.part(&self.value, token, head, self.value_dim),
            self.part(&self.query, token, head, self.key_dim),
        ]
    }

    fn keys<'a>(&self, x: &'a [T], from: usize, to: usize) -> &'a [T] {
        &x[from * self.heads * self.key_dim..to * self.heads * self.key_dim]
    }

    fn values(&self, from: usize, to: usize) -> &[T] {
        &self.value[from * self.heads * self.value_dim..to * self.heads * self.value_dim]
    }
}

impl<T: Number> Sequence<T> for LinearAttention {
    const ADDS: bool = true;
    fn token<'a>(x: &'a Inputs<T>, from: usize, to: usize) -> LinearToken<'a, T> {
        LinearToken {
            query: x.keys(&x.query, from, to),
            key: x.keys(&x.key, from, to),
            value: x.values(from, to),
            gate: x.gate(from, to),
        }
    }
    fn define(x: &Inputs<T>, token: usize, head: usize, state: &mut [f64]) -> Vec<f64> {
        let [k, v, q] = x.kvq(token, head);
        definition::linear(state, &x.factors(token, head), &k, &v, &q)
    }
}

impl<T: Number> Sequence<T> for DeltaRule {
    const ADDS: bool = false;
    fn token<'a>(x: &'a Inputs<T>, from: usize, to: usize) -> DeltaToken<'a, T> {
        DeltaToken {
            query: x.keys(&x.query, from, to),
            key: x.keys(&x.key, from, to),
            value: x.values(from, to),
            gate: x.gate(from, to),
            beta: &x.beta[from * x.heads..to * x.heads],
        }
    }
    fn define(x: &Inputs<T>, token: usize, head: usize, state: &mut [f64]) -> Vec<f64> {
        let [k, v, q] = x.kvq(token, head);
        let beta = x.beta[token * x.heads + head].value();
        definition::delta(state, &x.factors(token, head), beta, &k, &v, &q)
    }
}

impl<T: Number> Sequence<T> for Rwkv6<'_, T> {
    const ADDS: bool = true;
    fn token<'a>(x: &'a Inputs<T>, from: usize, to: usize) -> Rwkv6Token<'a, T> {
        Rwkv6Token {
            receptance: x.keys(&x.query, from, to),
            key: x.keys(&x.key, from, to),
            value: x.values(from, to),
            gate: x.gate(from, to),
        }
    }
    fn define(x: &Inputs<T>, token: usize, head: usize, state: &mut [f64]) -> Vec<f64> {
        let [k, v, q] = x.kvq(token, head);
        let u = x.part(&parameters(x.heads * x.key_dim, 5), 0, head, x.key_dim);
        let u: Vec<f64> = if x.magnitudes {
            u.iter().map(|u| u.abs()).collect()
        } else {
            u
        };
        definition::rwkv6(state, &x.factors(token, head), &u, &k, &v, &q)
    }
}

impl<T: Number> Sequence<T> for Rwkv7 {
    const ADDS: bool = false;
    fn token<'a>(x: &'a Inputs<T>, from: usize, to: usize) -> Rwkv7Token<'a, T> {
        Rwkv7Token {
            receptance: x.keys(&x.query, from, to),
            key: x.keys(&x.key, from, to),
            value: x.values(from, to),
            gate: x.gate(from, to),
            a: x.keys(&x.a, from, to),
            b: x.keys(&x.b, from, to),
        }
    }
    fn define(x: &Inputs<T>, token: usize, head: usize, state: &mut [f64]) -> Vec<f64> {
        let [k, v, q] = x.kvq(token, head);
        let [a, b] = [&x.a, &x.b].map(|p| x.part(p, token, head, x.key_dim));
        definition::rwkv7(state, &x.factors(token, head), (&a, &b), &k, &v, &q)
    }
}

impl<T: Number> Sequence<T> for Ssd<'_, T> {
    const ADDS: bool = false;
    fn token<'a>(x: &'a Inputs<T>, from: usize, to: usize) -> SsdToken<'a, T> {
        SsdToken {
            step: &x.beta[from * x.heads..to * x.heads],
            input: x.values(from, to),
            b: x.keys(&x.key, from, to),
            c: x.keys(&x.query, from, to),
        }
    }
    fn define(x: &Inputs<T>, token: usize, head: usize, state: &mut [f64]) -> Vec<f64> {
        let [k, v, q] = x.kvq(token, head);
        let [rate, skip] = [5, 6].map(|seed| parameters::<T>(x.heads, seed)[head].value());
        let step = x.beta[token * x.heads + head].value();
        definition::ssd(state, (-rate.abs(), skip, step), &k, &q, &v)
    }
}

/// What the definition gives for a sequence.
struct Defined {
    outputs: Vec<f64>,
    /// What the errors of the outputs are counted in, but for the number of roundings.
    units: Vec<f64>,
    states: Vec<f64>,
}

impl Defined {
    fn new<R: Sequence<T>, T: Number>(x: &Inputs<T>) -> Self {
        let matrix = x.key_dim * x.value_dim;
        let mut magnitudes = Inputs {
            magnitudes: true,
            ..x.clone()
        };
        for part in [
            &mut magnitudes.key,
            &mut magnitudes.query,
            &mut magnitudes.value,
        ] {
            part.iter_mut().for_each(|x| *x = x.abs());
        }
        let (mut states, mut greatest) = (vec![0.0; x.heads * matrix], vec![0.0; x.heads * matrix]);
        let (mut outputs, mut units) = (Vec::new(), Vec::new());
        let mut highest = 0.0_f64;
        for token in 0..x.tokens {
            for head in 0..x.heads {
                let state = &mut states[head * matrix..][..matrix];
                outputs.extend(R::define(x, token, head, state));
                let [_, v, q] = x.kvq(token, head);
                let most = |x: &[f64]| x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
                highest = highest.max(most(&v)).max(most(state));
                let whole: f64 = q.iter().map(|q| q.abs()).sum();
                let own = &mut greatest[head * matrix..][..matrix];
                if R::ADDS {
                    units.extend(R::define(&magnitudes, token, head, own));
                } else {
                    units.extend(vec![whole * highest; x.value_dim]);
                }
            }
        }
        Self {
            outputs,
            units,
            states,
        }
    }
}

/// Runs a sequence by steps and by prefill on every executor against the definition.
fn is_its_definition<T: Number, R: Sequence<T>>(rule: R, x: &Inputs<T>) -> f64 {
    let (n, heads) = (x.tokens, x.heads);
    let Defined {
        outputs: want,
        units,
        ..
    } = Defined::new::<R, T>(x);
    let what = (
        core::any::type_name::<R>(),
        n,
        heads,
        x.key_dim,
        x.value_dim,
        x.gating,
    );
    let rounds = (16 + n) as f64;
    let (mut worst, mut bits) = (0.0_f64, None);
    for cpu in executors() {
        let mut steps = recurrence(rule, heads, x.key_dim, x.value_dim).on(cpu);
        let mut out = vec![T::nan(); n * heads * x.value_dim];
        for (token, out) in out.chunks_exact_mut(heads * x.value_dim).enumerate() {
            steps
                .step(R::token(x, token, token + 1), out)
                .expect("a step");
        }
        worst = worst.max(check("linear recurrence", &(cpu, what), &out, &want, |i| {
            rounds * units[i]
        }));
        let mut whole = recurrence(rule, heads, x.key_dim, x.value_dim).on(cpu);
        let mut again = vec![T::nan(); out.len()];
        let cut = n / 3;
        let (head, tail) = again.split_at_mut(cut * heads * x.value_dim);
        whole.prefill(R::token(x, 0, cut), head).expect("a prefill");
        whole.prefill(R::token(x, cut, n), tail).expect("a prefill");
        assert_eq!(again, out, "{cpu:?} {what:?}: prefill is not the steps");
        assert_eq!(whole.state(), steps.state(), "{cpu:?} {what:?}: states");
        if !cpu.is_fused() {
            let first = bits.get_or_insert_with(|| out.clone());
            assert_eq!(*first, out, "{cpu:?} {what:?}: the bits differ");
        }
    }
    worst
}

fn rules<T: Number>() -> f64 {
    let mut worst = 0.0_f64;
    for (key_dim, value_dim) in [
        (1, 1),
        (2, 3),
        (16, 16),
        (17, 5),
        (64, 64),
        (24, 67),
        (128, 33),
    ] {
        for gating in GATINGS {
            let x = Inputs::<T>::new(13, 2, key_dim, value_dim, gating);
            worst = worst.max(is_its_definition(LinearAttention::default(), &x));
            worst = worst.max(is_its_definition(DeltaRule, &x));
            let bonus = parameters(2 * key_dim, 5);
            worst = worst.max(is_its_definition(Rwkv6::new(&bonus), &x));
            worst = worst.max(is_its_definition(Rwkv7, &x));
        }
        let x = Inputs::<T>::new(13, 3, key_dim, value_dim, Gating::Open);
        let rates: Vec<T> = parameters::<T>(3, 5).iter().map(|x| -x.abs()).collect();
        let skip = parameters(3, 6);
        worst = worst.max(is_its_definition(Ssd::new(&rates, &skip), &x));
    }
    let long = Inputs::<T>::new(400, 1, 16, 16, Gating::LogPerChannel);
    worst = worst.max(is_its_definition(LinearAttention::default(), &long));
    worst.max(is_its_definition(DeltaRule, &long))
}

#[test]
fn rules_are_their_definitions_and_prefill_gives_the_bits_of_steps() {
    println!(
        "linear recurrence: {:.3} units in f32 at most",
        rules::<f32>()
    );
    println!(
        "linear recurrence: {:.3} units in f64 at most",
        rules::<f64>()
    );
}

/// Runs a sequence in chunks of several lengths against the definition.
fn chunks_are_the_definition<T: Number, R: Sequence<T>>(rule: R, x: &Inputs<T>) -> f64 {
    let defined = Defined::new::<R, T>(x);
    let what = core::any::type_name::<R>();
    let mut worst = 0.0_f64;
    for longest in [1, 2, 5, 16, 64] {
        let mut bits = None;
        for cpu in executors() {
            let mut layer = recurrence(rule, x.heads, x.key_dim, x.value_dim).on(cpu);
            let mut scratch = vec![T::nan(); layer.scratch_len(longest)];
            let mut out = vec![T::nan(); defined.outputs.len()];
            let cut = x.tokens / 3;
            let (head, tail) = out.split_at_mut(cut * x.heads * x.value_dim);
            layer
                .chunks(R::token(x, 0, cut), &mut scratch, head)
                .expect("chunks");
            layer
                .chunks(R::token(x, cut, x.tokens), &mut scratch, tail)
                .expect("chunks");
            let context = (cpu, what, longest, x.key_dim, x.value_dim, x.gating);
            let rounds = (16 + x.tokens) as f64;
            let unit = |i: usize| rounds * defined.units[i];
            worst = worst.max(check("chunks", &context, &out, &defined.outputs, unit));
            let most = defined.states.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
            check(
                "chunks",
                &context,
                layer.matrices(),
                &defined.states,
                |_| rounds * most,
            );
            if !cpu.is_fused() {
                let first = bits.get_or_insert_with(|| out.clone());
                assert_eq!(*first, out, "{context:?}: the bits differ");
            }
        }
    }
    worst
}

fn chunks<T: Number>() -> f64 {
    let mut worst = 0.0_f64;
    for (key_dim, value_dim) in [(1, 1), (3, 2), (16, 16), (17, 5), (24, 67)] {
        for gating in GATINGS {
            let x = Inputs::<T>::new(37, 2, key_dim, value_dim, gating);
            worst = worst.max(chunks_are_the_definition(LinearAttention::default(), &x));
            worst = worst.max(chunks_are_the_definition(DeltaRule, &x));
            let bonus = parameters(2 * key_dim, 5);
            worst = worst.max(chunks_are_the_definition(Rwkv6::new(&bonus), &x));
            worst = worst.max(chunks_are_the_definition(Rwkv7, &x));
        }
        let x = Inputs::<T>::new(37, 3, key_dim, value_dim, Gating::Open);
        let rates: Vec<T> = parameters::<T>(3, 5).iter().map(|x| -x.abs()).collect();
        let skip = parameters(3, 6);
        worst = worst.max(chunks_are_the_definition(Ssd::new(&rates, &skip), &x));
    }
    worst
}

#[test]
fn chunks_are_the_steps() {
    println!("chunks: {:.3} units in f32 at most", chunks::<f32>());
    println!("chunks: {:.3} units in f64 at most", chunks::<f64>());
}

/// What comes later has no say, not even as an infinity or NaN.
#[test]
fn chunks_are_causal() {
    for gating in [Gating::Open, Gating::LogPerChannel] {
        let x = Inputs::<f32>::new(20, 1, 8, 8, gating);
        let mut spoiled = x.clone();
        spoiled.key[19 * 8..].fill(f32::NAN);
        spoiled.value[18 * 8..].fill(f32::INFINITY);
        let run = |x: &Inputs<f32>| {
            let mut layer = recurrence::<_, f32>(DeltaRule, 1, 8, 8);
            let mut scratch = vec![0.0; layer.scratch_len(20)];
            let mut out = vec![0.0; 160];
            layer
                .chunks(DeltaRule::token(x, 0, 20), &mut scratch, &mut out)
                .expect("chunks");
            out
        };
        assert_eq!(run(&x)[..18 * 8], run(&spoiled)[..18 * 8]);
    }
}

#[test]
fn several_queries_read_one_state_in_chunks() {
    let x = Inputs::<f32>::new(11, 2, 12, 9, Gating::LogPerChannel);
    let mut random = Random(3);
    let query: Vec<f32> = (0..11 * 6 * 12).map(|_| random.normal() as f32).collect();
    let token = LinearToken {
        query: &query,
        ..LinearAttention::token(&x, 0, 11)
    };
    let [mut steps, mut chunks] = [(); 2].map(|()| {
        recurrence(LinearAttention::default(), 2, 12, 9)
            .with_query_heads(6)
            .expect("heads")
    });
    let mut want = vec![f32::NAN; 11 * 54];
    steps.prefill(token, &mut want).expect("a prefill");
    let mut out = vec![f32::NAN; 11 * 54];
    let mut scratch = vec![f32::NAN; chunks.scratch_len(4)];
    let short = chunks.scratch_len(1) - 1;
    let length = Error::Length {
        expected: short + 1,
        found: short,
    };
    assert_eq!(
        chunks.chunks(token, &mut scratch[..short], &mut out),
        Err(length)
    );
    chunks
        .chunks(token, &mut scratch, &mut out)
        .expect("chunks");
    for (i, (out, want)) in out.iter().zip(&want).enumerate() {
        assert!((out - want).abs() < 1e-5, "element {i}: {out} for {want}");
    }
}

/// Joins two stretches and compares with the whole.
fn merges<T: Number, R: Sequence<T> + Diagonal<T>>(rule: R, x: &Inputs<T>) -> f64 {
    let [mut whole, mut first, mut second] =
        [(); 3].map(|()| recurrence(rule, x.heads, x.key_dim, x.value_dim));
    let mut out = vec![T::zero(); x.tokens * x.heads * x.value_dim];
    whole
        .prefill(R::token(x, 0, x.tokens), &mut out)
        .expect("a prefill");
    let token = x.heads * x.value_dim;
    let cut = x.tokens / 2;
    first
        .prefill(R::token(x, 0, cut), &mut out[..cut * token])
        .expect("a prefill");
    second
        .prefill(R::token(x, cut, x.tokens), &mut out[cut * token..])
        .expect("a prefill");
    first.merge(&second).expect("one shape");
    let want: Vec<f64> = whole.state().iter().map(|x| x.value()).collect();
    let most = want.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
    let rounds = (16 + x.tokens) as f64;
    check(
        "merge of recurrences",
        &x.gating,
        first.state(),
        &want,
        |_| rounds * most,
    )
}

#[test]
fn two_stretches_merge_to_the_state_of_all() {
    let mut worst = 0.0_f64;
    for gating in GATINGS {
        let x = Inputs::<f32>::new(21, 2, 18, 7, gating);
        for normalizer in [
            Normalizer::None,
            Normalizer::Keys { epsilon: 1e-6 },
            Normalizer::Decay,
        ] {
            let rule = LinearAttention::default().with_normalizer(normalizer);
            worst = worst.max(merges(rule, &x));
        }
        let bonus = parameters(2 * 18, 5);
        worst = worst.max(merges(Rwkv6::new(&bonus), &x));
        let rates = [-0.5, -1.0];
        worst = worst.max(merges(Ssd::new(&rates, &[0.0, 1.0]), &x));
    }
    println!("merge of recurrences: {worst:.3} units at most");
    let mut small = recurrence::<_, f32>(LinearAttention::default(), 1, 2, 2);
    let large = recurrence::<_, f32>(LinearAttention::default(), 1, 2, 3);
    let error = Error::Length {
        expected: 2,
        found: 3,
    };
    assert_eq!(small.merge(&large), Err(error));
}

/// Without a gate and with small integers nothing rounds, so any grouping gives the same bits.
#[test]
fn any_grouping_of_exact_stretches_has_the_same_bits() {
    let mut x = Inputs::<f32>::new(24, 1, 5, 6, Gating::Open);
    for part in [&mut x.query, &mut x.key, &mut x.value] {
        part.iter_mut().for_each(|x| *x = (8.0 * *x).round());
    }
    let part = |from, to| {
        let mut part = recurrence(LinearAttention::default(), 1, 5, 6);
        let mut out = vec![0.0; (to - from) * 6];
        part.prefill(LinearAttention::token(&x, from, to), &mut out)
            .expect("a prefill");
        part
    };
    let whole = part(0, 24);
    for cuts in [[3, 4, 20], [8, 12, 16], [1, 2, 23]] {
        let [a, b, c] = cuts;
        let (mut left, mut right) = (part(0, a), part(b, c));
        left.merge(&part(a, b)).expect("one shape");
        right.merge(&part(c, 24)).expect("one shape");
        left.merge(&right).expect("one shape");
        assert_eq!(left.state(), whole.state(), "{cuts:?}");
    }
}

/// Runs a golden case of one head in `f32` on every executor.
fn runs<R: Rule<f32>>(
    case: &Case,
    rule: R,
    sizes: (usize, usize, usize),
    scale: f32,
    state: &[f32],
    token: R::Token<'_>,
    (outputs, states): (&[f64], &[f64]),
) {
    let (heads, key, value) = sizes;
    for cpu in executors() {
        let mut layer = recurrence(rule, heads, key, value).on(cpu);
        layer = layer.with_scale(scale).expect("a scale");
        layer.state_mut()[..state.len()].copy_from_slice(state);
        let mut out = vec![f32::NAN; outputs.len()];
        layer.prefill(token, &mut out).expect("whole tokens");
        let most = |x: &[f64]| x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let rounds = (16 + outputs.len() / (heads * value)) as f64;
        let what = (cpu, &case.head);
        // The states are small and the queries of size one: their sum is what the output is made of.
        let unit = rounds * most(states).max(most(outputs)) * key as f64;
        check("linear recurrence", &what, &out, outputs, |_| unit);
        check("linear recurrence", &what, layer.matrices(), states, |_| {
            unit
        });
    }
}

/// The number of a key of the case line.
fn size(case: &Case, name: &str) -> usize {
    case.key(name).expect("a size").parse().expect("a number")
}

fn wide<'a>(case: &'a Case, name: &str) -> &'a [f64] {
    case.get(name)
        .unwrap_or_else(|| panic!("{}: no {name}", case.head))
}

#[test]
fn golden_sequences_of_linear_attention_and_its_gates() {
    for file in ["linear_attention.gv", "retention.gv", "gla.gv"] {
        for case in golden::read(file) {
            let sizes = (1, size(&case, "K"), size(&case, "V"));
            let [mut q, mut k] = ["q", "k"].map(|name| case.get32(name));
            let scale = case.get32("scale").first().copied().unwrap_or(1.0);
            let (gamma, alpha, log) = (
                case.get32("gamma"),
                case.get32("alpha"),
                case.get32("log_alpha"),
            );
            let gate = if !gamma.is_empty() {
                Gate::Constant(&gamma[..])
            } else if !alpha.is_empty() {
                Gate::Factor(&alpha[..])
            } else if !log.is_empty() {
                Gate::Log(&log[..])
            } else {
                Gate::Open
            };
            let mut state = case.get32("S0");
            state.resize(sizes.1 * sizes.2, 0.0);
            let mut rule = LinearAttention::default();
            if case.key("kind") == Some("elu1") {
                for x in [&mut q, &mut k] {
                    let from = x.clone();
                    FeatureMap::EluPlusOne
                        .map(&from, sizes.1, x)
                        .expect("features");
                }
                let epsilon = case.get("eps").map_or(0.0, |x| x[0]);
                rule = rule.with_normalizer(Normalizer::Keys { epsilon });
                // What the state keeps beside the matrix: no decay so far, and the sum of keys.
                let z = case.get32("z0");
                state.extend(vec![1.0; sizes.1]);
                state.extend(if z.is_empty() { vec![0.0; sizes.1] } else { z });
            }
            let value = case.get32("v");
            let token = LinearToken {
                query: &q,
                key: &k,
                value: &value,
                gate,
            };
            let want = (wide(&case, "o"), wide(&case, "S"));
            runs(&case, rule, sizes, scale, &state, token, want);
        }
    }
}

#[test]
fn golden_sequences_of_the_delta_rule() {
    for case in golden::read("delta_rule.gv") {
        let sizes = (1, size(&case, "K"), size(&case, "V"));
        let [q, k, v, beta, alpha] = ["q", "k", "v", "beta", "alpha"].map(|name| case.get32(name));
        let token = DeltaToken {
            query: &q,
            key: &k,
            value: &v,
            gate: if alpha.is_empty() {
                Gate::Open
            } else {
                Gate::Factor(&alpha)
            },
            beta: &beta,
        };
        let scale = case.get32("scale")[0];
        let want = (wide(&case, "o"), wide(&case, "S"));
        runs(
            &case,
            DeltaRule,
            sizes,
            scale,
            &case.get32("S0"),
            token,
            want,
        );
    }
}

/// Returns the transpose of a matrix of this many columns.
fn transposed<T: Copy>(x: &[T], columns: usize) -> Vec<T> {
    (0..columns)
        .flat_map(|j| x.iter().skip(j).step_by(columns).copied())
        .collect()
}

#[test]
fn golden_sequences_of_rwkv() {
    for case in golden::read("rwkv6.gv") {
        let sizes = (1, size(&case, "K"), size(&case, "V"));
        let [r, k, v, w, u] = ["r", "k", "v", "w", "u"].map(|name| case.get32(name));
        let token = Rwkv6Token {
            receptance: &r,
            key: &k,
            value: &v,
            gate: Gate::Factor(&w),
        };
        let want = (wide(&case, "o"), wide(&case, "S"));
        runs(
            &case,
            Rwkv6::new(&u),
            sizes,
            1.0,
            &case.get32("S0"),
            token,
            want,
        );
    }
    for case in golden::read("rwkv7.gv") {
        let sizes = (1, size(&case, "K"), size(&case, "V"));
        let [r, k, v, w, kappa, rate] =
            ["r", "k", "v", "w", "kappa", "a"].map(|name| case.get32(name));
        let a: Vec<f32> = kappa.iter().map(|x| -x).collect();
        let b: Vec<f32> = kappa.iter().zip(&rate).map(|(k, a)| k * a).collect();
        let token = Rwkv7Token {
            receptance: &r,
            key: &k,
            value: &v,
            gate: Gate::Factor(&w),
            a: &a,
            b: &b,
        };
        let state = transposed(&case.get32("S0"), sizes.1);
        let states = transposed(wide(&case, "S"), sizes.1);
        let want = (wide(&case, "o"), &states[..]);
        runs(&case, Rwkv7, sizes, 1.0, &state, token, want);
    }
}

#[test]
fn golden_sequences_of_mamba_2() {
    for case in golden::read("mamba2.gv") {
        let (heads, value, key) = (size(&case, "H"), size(&case, "P"), size(&case, "N"));
        let [x, dt, rates, b, c, skip] =
            ["x", "dt", "A", "B", "C", "Dskip"].map(|name| case.get32(name));
        let token = SsdToken {
            step: &dt,
            input: &x,
            b: &b,
            c: &c,
        };
        let (outputs, states) = (wide(&case, "y"), wide(&case, "S"));
        let most = |x: &[f64]| x.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        let unit = (16 + dt.len()) as f64 * most(states) * most(outputs);
        for cpu in executors() {
            let layer = recurrence(Ssd::new(&rates, &skip), heads, key, value).on(cpu);
            // One group of B and C.
            let mut layer = layer
                .with_key_heads(1)
                .and_then(|layer| layer.with_query_heads(1))
                .expect("a group");
            let state = case.get32("S0");
            layer.state_mut()[..state.len()].copy_from_slice(&state);
            let mut out = vec![f32::NAN; outputs.len()];
            layer.prefill(token, &mut out).expect("whole tokens");
            let what = (cpu, &case.head);
            check("linear recurrence", &what, &out, outputs, |_| unit);
            check("linear recurrence", &what, layer.matrices(), states, |_| {
                unit
            });
        }
    }
}

#[test]
fn conformance_cases_of_linear_attention() {
    let mut ran = 0;
    for case in conformance::cases("LinearAttention") {
        let get = |name: &str| {
            let numbers = case.input(name)?.numbers();
            Some(numbers.iter().map(|&x| x as f32).collect::<Vec<_>>())
        };
        // The reference computes sixteen bits in that type: two units of it, and half of one.
        let unit = match case.inputs[0].dtype.as_str() {
            "float16" => 2.0_f64.powi(-10),
            _ => 0.0,
        };
        let [query, key, value] = ["query", "key", "value"].map(|name| get(name).expect("a part"));
        let (query_heads, heads) = (case.integer("q_num_heads"), case.integer("kv_num_heads"));
        let shape = &case.inputs[0].shape;
        let (batch, tokens) = (shape[0], shape[1]);
        let key_dim = query.len() / (batch * tokens * query_heads);
        let value_dim = value.len() / (batch * tokens * heads);
        let rule = case.text("update_rule").unwrap_or("gated_delta");
        let scale = case.text("scale").map(|x| x.parse().expect("a scale"));
        let scale = scale.unwrap_or(1.0 / (key_dim as f32).sqrt());
        let (decay, beta, past) = (get("decay"), get("beta"), get("past_state"));
        let (mut outputs, mut states) = (Vec::new(), Vec::new());
        for b in 0..batch {
            let rows = |x: &[f32]| x[b * x.len() / batch..(b + 1) * x.len() / batch].to_vec();
            let [query, key, value] = [&query, &key, &value].map(|x| rows(x));
            let decay = decay.as_deref().map(rows).unwrap_or_default();
            // One number for all heads stands for one a head.
            let mut beta = beta.as_deref().map(rows).unwrap_or_default();
            if beta.len() == tokens {
                beta = beta.iter().flat_map(|&x| vec![x; heads]).collect();
            }
            let past = past.as_deref().map(rows).unwrap_or_default();
            let gate = if decay.is_empty() {
                Gate::Open
            } else {
                Gate::Log(&decay[..])
            };
            let mut out = vec![f32::NAN; tokens * query_heads.max(heads) * value_dim];
            let mut run = |layer: Result<(), Error>, state: &[f32]| {
                layer.expect("a layer");
                states.extend_from_slice(state);
            };
            if rule.ends_with("delta") {
                let layer = recurrence::<_, f32>(DeltaRule, heads, key_dim, value_dim);
                let layer = layer.with_scale(scale).expect("a scale");
                let mut layer = layer.with_query_heads(query_heads).expect("heads");
                layer.state_mut()[..past.len()].copy_from_slice(&past);
                let token = DeltaToken {
                    query: &query,
                    key: &key,
                    value: &value,
                    gate,
                    beta: &beta,
                };
                let done = layer.prefill(token, &mut out);
                run(done, layer.matrices());
            } else {
                let layer =
                    recurrence::<_, f32>(LinearAttention::default(), heads, key_dim, value_dim);
                let layer = layer.with_scale(scale).expect("a scale");
                let mut layer = layer.with_query_heads(query_heads).expect("heads");
                layer.state_mut()[..past.len()].copy_from_slice(&past);
                let token = LinearToken {
                    query: &query,
                    key: &key,
                    value: &value,
                    gate,
                };
                let done = layer.prefill(token, &mut out);
                run(done, layer.matrices());
            }
            outputs.extend(out);
        }
        for (got, want) in [(&outputs, &case.outputs[0]), (&states, &case.outputs[1])] {
            let want = want.numbers();
            assert_eq!(got.len(), want.len(), "{}", case.name);
            for (&got, &want) in got.iter().zip(&want) {
                let got = f64::from(got);
                let own = unit * (2.0 * want.abs() + 0.5);
                assert!(
                    (got - want).abs() <= case.absolute + case.relative * want.abs() + own,
                    "{}: {got} for {want}",
                    case.name
                );
            }
        }
        ran += 1;
    }
    println!("{ran} conformance cases of linear attention");
    assert!(ran == 14 || golden::shared("data/onnx-conformance").is_none());
}

#[test]
fn several_queries_read_one_state() {
    let x = Inputs::<f32>::new(5, 2, 12, 9, Gating::LogPerChannel);
    let mut random = Random(3);
    let query: Vec<f32> = (0..5 * 6 * 12).map(|_| random.normal() as f32).collect();
    fn token<'a>(x: &'a Inputs<f32>, query: &'a [f32]) -> LinearToken<'a, f32> {
        LinearToken {
            query,
            ..LinearAttention::token(x, 0, 5)
        }
    }
    let mut several = recurrence(LinearAttention::default(), 2, 12, 9)
        .with_query_heads(6)
        .expect("heads");
    let mut out = vec![f32::NAN; 5 * several.out_len()];
    several
        .prefill(token(&x, &query), &mut out)
        .expect("a prefill");
    for i in 0..3 {
        let own: Vec<f32> = query
            .chunks_exact(12)
            .enumerate()
            .filter(|(h, _)| h % 3 == i)
            .flat_map(|(_, q)| q.to_vec())
            .collect();
        let mut single = recurrence(LinearAttention::default(), 2, 12, 9);
        let mut want = vec![f32::NAN; 5 * 2 * 9];
        single
            .prefill(token(&x, &own), &mut want)
            .expect("a prefill");
        let got: Vec<f32> = out
            .chunks_exact(9)
            .enumerate()
            .filter(|(h, _)| h % 3 == i)
            .flat_map(|(_, o)| o.to_vec())
            .collect();
        assert_eq!(got, want, "query {i} of each head");
        assert_eq!(single.state(), several.state());
    }
}

#[test]
fn the_normalizers_divide_by_the_weights() {
    let x = Inputs::<f64>::new(9, 2, 6, 4, Gating::Constant);
    let run = |normalizer| {
        let rule = LinearAttention::default().with_normalizer(normalizer);
        let mut layer = recurrence::<_, f64>(rule, 2, 6, 4);
        let mut out = vec![0.0; 9 * 2 * 4];
        layer
            .prefill(LinearAttention::token(&x, 0, 9), &mut out)
            .expect("a prefill");
        out
    };
    let plain = run(Normalizer::None);
    for (i, (&plain, &got)) in plain.iter().zip(&run(Normalizer::Decay)).enumerate() {
        let (token, head) = (i / 8, i / 4 % 2);
        let g = x.gate[head];
        let sum: f64 = (0..=token).map(|j| g.powi(j as i32)).sum();
        assert!((plain / sum.sqrt() - got).abs() < 1e-13 * plain.abs().max(1.0));
    }
    // Values that are all one come back as one.
    let ones = Inputs {
        value: vec![1.0; x.value.len()],
        key: x.key.iter().map(|k| k.abs()).collect(),
        query: x.query.iter().map(|q| q.abs()).collect(),
        ..x.clone()
    };
    let rule = LinearAttention::default().with_normalizer(Normalizer::Keys { epsilon: 0.0 });
    let mut layer = recurrence::<_, f64>(rule, 2, 6, 4);
    let mut out = vec![0.0; 9 * 2 * 4];
    layer
        .prefill(LinearAttention::token(&ones, 0, 9), &mut out)
        .expect("a prefill");
    assert!(out.iter().all(|o| (o - 1.0).abs() < 1e-14), "{out:?}");
}

#[test]
fn softplus_of_the_steps_and_groups_of_mamba_2() {
    let x = Inputs::<f32>::new(7, 4, 8, 6, Gating::Open);
    let (rates, skip, bias) = (
        [-0.5, -1.0, -2.0, -0.1],
        [1.0, 0.0, -1.0, 0.5],
        [0.3, -4.0, 30.0, 0.0],
    );
    let mut raw = recurrence::<_, f32>(Ssd::new(&rates, &skip).with_softplus(&bias), 4, 8, 6);
    let mut out = vec![f32::NAN; 7 * 24];
    raw.prefill(Ssd::token(&x, 0, 7), &mut out)
        .expect("a prefill");
    let mut soft = x.clone();
    for (i, step) in soft.beta.iter_mut().enumerate() {
        let sum = [*step + bias[i % 4]];
        let mut y = [0.0];
        suanzi::math::softplus(Cpu::default(), &sum, &mut y).expect("one element");
        *step = y[0];
    }
    let mut plain = recurrence::<_, f32>(Ssd::new(&rates, &skip), 4, 8, 6);
    let mut want = vec![f32::NAN; 7 * 24];
    plain
        .prefill(Ssd::token(&soft, 0, 7), &mut want)
        .expect("a prefill");
    assert_eq!(out, want);
}

#[test]
fn retention_decays_of_the_article() {
    assert_eq!(retention_decay::<f32>(0), 1.0 - 1.0 / 32.0);
    assert_eq!(retention_decay::<f64>(7), 1.0 - 1.0 / 4096.0);
    assert_eq!(retention_decay::<f32>(usize::MAX), 1.0);
}

/// The distance of the numbers of `f32` around x.
fn ulp(x: f64) -> f64 {
    let exponent = (x.abs().log2().floor() as i32).max(-126);
    2.0_f64.powi(exponent - 23)
}

#[test]
fn features_are_their_definitions() {
    for x in [
        -90.0_f32,
        -1.5,
        -0.0,
        0.0,
        0.25,
        3.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ] {
        let mut y = [f32::NAN];
        FeatureMap::EluPlusOne
            .map(&[x], 1, &mut y)
            .expect("one feature");
        let wide = f64::from(x);
        let want = if x > 0.0 { wide + 1.0 } else { wide.exp() };
        let error = (f64::from(y[0]) - want).abs();
        let (bound, ulp) = (f32::bound("feature maps"), ulp(want));
        assert!(error <= bound * ulp || f64::from(y[0]) == want, "{x}");
        FeatureMap::Relu.map(&[x], 1, &mut y).expect("one feature");
        assert_eq!(y[0], x.max(0.0));
    }
    let mut random = Random(1);
    let [q, k]: [Vec<f64>; 2] = [(); 2].map(|()| (0..5).map(|_| random.normal()).collect());
    let mut features = [[0.0; 31]; 2];
    for (x, features) in [&q, &k].into_iter().zip(&mut features) {
        FeatureMap::Taylor.map(x, 5, features).expect("features");
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let s = dot(&q, &k);
    assert!((dot(&features[0], &features[1]) - (1.0 + s + s * s / 2.0)).abs() < 1e-12);
    assert_eq!(FeatureMap::Taylor.len(5), 31);
    let mut y = [0.0_f32; 3];
    for map in [FeatureMap::EluPlusOne, FeatureMap::Relu, FeatureMap::Taylor] {
        let y = &mut y[..map.len(1)];
        map.map(&[f32::NAN], 1, y).expect("features");
        assert_eq!(y[y.len() - 1].to_bits(), f32::NAN.to_bits(), "{map:?}");
        assert_eq!(
            map.map(&[1.0_f32], 0, y),
            Err(Error::Domain(Parameter::HeadDim))
        );
        let multiple = Error::Multiple { of: 2, found: 1 };
        assert_eq!(map.map(&[1.0_f32], 2, y), Err(multiple));
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let x = Inputs::<f32>::new(2, 2, 3, 4, Gating::LogPerChannel);
    let mut layer = recurrence::<_, f32>(LinearAttention::default(), 2, 3, 4);
    let mut out = [7.0_f32; 8];
    let good = LinearAttention::token(&x, 0, 1);
    layer.step(good, &mut out).expect("a step");
    let (state, before) = (layer.state().to_vec(), out);
    let short = |x: &'static [f32]| x;
    let length = |expected, found| Err(Error::Length { expected, found });
    let refused = [
        (
            layer.step(
                LinearToken {
                    query: short(&[0.0; 5]),
                    ..good
                },
                &mut out,
            ),
            length(6, 5),
        ),
        (
            layer.step(
                LinearToken {
                    key: short(&[0.0; 7]),
                    ..good
                },
                &mut out,
            ),
            length(6, 7),
        ),
        (
            layer.step(
                LinearToken {
                    value: short(&[0.0; 7]),
                    ..good
                },
                &mut out,
            ),
            length(8, 7),
        ),
        (
            layer.step(
                LinearToken {
                    gate: Gate::Log(&[0.0; 3]),
                    ..good
                },
                &mut out,
            ),
            length(6, 3),
        ),
        (
            layer.step(LinearAttention::token(&x, 0, 2), &mut out),
            length(6, 12),
        ),
        (layer.step(good, &mut out[..7]), length(8, 7)),
        (
            layer.prefill(
                LinearToken {
                    query: short(&[0.0; 5]),
                    ..good
                },
                &mut out,
            ),
            Err(Error::Multiple { of: 6, found: 5 }),
        ),
    ];
    for (i, (got, want)) in refused.into_iter().enumerate() {
        assert_eq!(got, want, "{i}");
    }
    assert_eq!((layer.state(), out), (&state[..], before));
    layer.reset();
    assert!(layer.matrices().iter().all(|&s| s == 0.0));

    let new = |heads, key, value, len| {
        Recurrence::new(DeltaRule, heads, key, value, vec![0.0_f32; len]).err()
    };
    assert_eq!(new(0, 1, 1, 4), Some(Error::Domain(Parameter::Heads)));
    assert_eq!(new(1, 0, 1, 4), Some(Error::Domain(Parameter::HeadDim)));
    assert_eq!(
        new(1, 1, 1, 9),
        Some(Error::Length {
            expected: 4,
            found: 9
        })
    );
    assert_eq!(
        new(usize::MAX, 2, 2, 9),
        Some(Error::Length {
            expected: usize::MAX,
            found: 9
        })
    );
    let layer = || recurrence::<_, f32>(LinearAttention::default(), 2, 3, 4);
    for heads in [0, 3] {
        let error = Some(Error::Domain(Parameter::Heads));
        assert_eq!(layer().with_query_heads(heads).err(), error);
        assert_eq!(layer().with_key_heads(heads).err(), error);
    }
    // Where the value has a share in the output, a state has one query.
    let rates = [-1.0, -2.0];
    let ssd = || recurrence::<_, f32>(Ssd::new(&rates, &rates), 2, 3, 4);
    let error = Some(Error::Domain(Parameter::Heads));
    assert_eq!(ssd().with_query_heads(4).err(), error);
    assert!(ssd().with_query_heads(2).is_ok() && ssd().with_query_heads(1).is_ok());
    let scale = Some(Error::Domain(Parameter::Scale));
    assert_eq!(layer().with_scale(f32::NAN).err(), scale);
    let epsilon = LinearAttention::default().with_normalizer(Normalizer::Keys { epsilon: -1.0 });
    let len = Owned::<LinearAttention, f32>::state_len(1, 1, 1);
    let error = Recurrence::new(epsilon, 1, 1, 1, vec![0.0_f32; len]).err();
    assert_eq!(error, Some(Error::Domain(Parameter::Epsilon)));
    let len = Owned::<Rwkv6<'_, f32>, f32>::state_len(1, 2, 1);
    let error = Recurrence::new(Rwkv6::new(&[0.0]), 1, 2, 1, vec![0.0_f32; len]).err();
    assert_eq!(
        error,
        Some(Error::Length {
            expected: 2,
            found: 1
        })
    );
}

#[test]
fn nan_in_outputs_is_the_one() {
    let mut layer = recurrence::<_, f32>(Rwkv7, 1, 2, 3);
    let odd = f32::from_bits(0xffc0_1234);
    let token = Rwkv7Token {
        receptance: &[1.0, 1.0],
        key: &[1.0, 1.0],
        value: &[odd, 1.0, f32::INFINITY],
        gate: Gate::Open,
        a: &[0.0, 0.0],
        b: &[0.0, 0.0],
    };
    let mut out = [0.0_f32; 3];
    layer.step(token, &mut out).expect("a step");
    assert_eq!(out[0].to_bits(), f32::NAN.to_bits());
    assert_eq!(out[1..], [2.0, f32::INFINITY]);
}

fn mesa<T: Number>() -> f64 {
    let mut worst = 0.0_f64;
    for (key_dim, value_dim) in [(1, 1), (3, 2), (16, 16), (17, 40)] {
        for gating in [Gating::Open, Gating::LogPerHead, Gating::Constant] {
            let x = Inputs::<T>::new(23, 2, key_dim, value_dim, gating);
            let ridge: Vec<T> = parameters::<T>(2 * key_dim, 8)
                .iter()
                .map(|x| T::from_f64(0.25) + x.abs())
                .collect();
            let mut want = Vec::new();
            let (square, matrix) = (key_dim * key_dim, key_dim * value_dim);
            let (mut g, mut h) = (vec![0.0; 2 * matrix], vec![0.0; 2 * square]);
            let (mut units, mut most) = (Vec::new(), 0.0_f64);
            for token in 0..23 {
                for head in 0..2 {
                    let [k, v, q] = x.kvq(token, head);
                    let keep = x.factors(token, head)[0];
                    let beta = x.beta[token * 2 + head].value();
                    let ridge = x.part(&ridge, 0, head, key_dim);
                    let (g, h) = (&mut g[head * matrix..][..matrix], &mut h[head * square..]);
                    let h = &mut h[..square];
                    want.extend(definition::mesa((g, h), (keep, beta), &ridge, &k, &v, &q));
                    // What a relative error of the matrix does to the solution.
                    let condition = 1.0 + h.iter().step_by(key_dim + 1).sum::<f64>() / 0.25;
                    most = g.iter().fold(most, |m, x| m.max(x.abs()));
                    let whole: f64 = q.iter().map(|q| q.abs()).sum();
                    units.extend(vec![condition * whole * most / 0.25; value_dim]);
                }
            }
            let mut bits = None;
            for cpu in executors() {
                let len = Mesa::<T, Vec<T>>::state_len(2, key_dim, value_dim);
                let new = || {
                    Mesa::new(&ridge, 2, key_dim, value_dim, vec![T::nan(); len])
                        .and_then(|layer| layer.with_iterations(60, T::epsilon()))
                        .expect("a layer")
                        .on(cpu)
                };
                let token = |from: usize, to: usize| MesaToken {
                    query: x.keys(&x.query, from, to),
                    key: x.keys(&x.key, from, to),
                    value: x.values(from, to),
                    gate: x.gate(from, to),
                    beta: &x.beta[from * 2..to * 2],
                };
                let mut layer = new();
                let mut out = vec![T::nan(); want.len()];
                layer.prefill(token(0, 23), &mut out).expect("a prefill");
                let context = (cpu, key_dim, value_dim, gating);
                worst = worst.max(check("mesa", &context, &out, &want, |i| 39.0 * units[i]));
                let mut steps = new();
                for (i, want) in out.chunks_exact(2 * value_dim).enumerate() {
                    let mut out = vec![T::nan(); 2 * value_dim];
                    steps.step(token(i, i + 1), &mut out).expect("a step");
                    assert_eq!(out, want, "{context:?}: prefill is not the steps");
                }
                assert_eq!(steps.state(), layer.state());
                if !cpu.is_fused() {
                    let first = bits.get_or_insert_with(|| out.clone());
                    assert_eq!(*first, out, "{context:?}: the bits differ");
                }
            }
        }
    }
    worst
}

#[test]
fn the_mesa_layer_solves_its_least_squares() {
    println!("mesa: {:.4} units in f32 at most", mesa::<f32>());
    println!("mesa: {:.4} units in f64 at most", mesa::<f64>());
    let ridge = [1.0_f32; 2];
    let len = Mesa::<f32, Vec<f32>>::state_len(1, 2, 3);
    let mut layer = Mesa::new(&ridge, 1, 2, 3, vec![0.0; len]).expect("a layer");
    let good = MesaToken {
        query: &[0.0; 2],
        key: &[1.0, 2.0],
        value: &[1.0; 3],
        gate: Gate::Open,
        beta: &[1.0],
    };
    let mut out = [7.0; 3];
    layer.step(good, &mut out).expect("a step");
    assert_eq!(out, [0.0; 3]);
    let state = layer.state().to_vec();
    let per_channel = MesaToken {
        gate: Gate::Log(&[0.0; 2]),
        ..good
    };
    let length = |expected, found| Err(Error::Length { expected, found });
    assert_eq!(layer.step(per_channel, &mut out), length(1, 2));
    assert_eq!(
        layer.step(
            MesaToken {
                key: &[0.0; 3],
                ..good
            },
            &mut out
        ),
        length(2, 3)
    );
    assert_eq!(
        layer.step(MesaToken { beta: &[], ..good }, &mut out),
        length(1, 0)
    );
    assert_eq!(layer.prefill(good, &mut []), length(3, 0));
    assert_eq!(layer.state(), state);
    let epsilon = Some(Error::Domain(Parameter::Epsilon));
    assert_eq!(layer.with_iterations(3, -1.0).err(), epsilon);
    let new = |ridge| Mesa::new(ridge, 1, 2, 3, vec![0.0; len]).err();
    assert_eq!(
        new(&ridge[..1]),
        Some(Error::Length {
            expected: 2,
            found: 1
        })
    );
}
