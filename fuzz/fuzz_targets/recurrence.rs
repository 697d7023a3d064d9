//! Linear recurrences and the mixers with a state a channel: steps in one lane give the bits of a prefill on
//! every level, whatever the numbers; chunks and merged stretches agree with them where the numbers are tame.

#![no_main]

use arbitrary::Arbitrary;
use core::ops::Range;
use libfuzzer_sys::fuzz_target;
use suanzi::mixer::{
    CausalConvolution, CausalMixer, DeltaRule, DeltaToken, Diagonal, Gate, LinearAttention,
    LinearToken, Merge, Mesa, MesaToken, Normalizer, Recurrence, Rule, Rwkv4, Rwkv4Token, Rwkv6,
    Rwkv6Token, Rwkv7, Rwkv7Token, ScanToken, SelectiveScan, Ssd, SsdToken, convolution_len,
    rwkv4_len, scan_len,
};
use suanzi::{Cpu, Error};

#[derive(Arbitrary, Debug)]
struct Input {
    sizes: [u8; 4],
    kind: u8,
    gating: u8,
    cut: u8,
    numbers: Vec<f32>,
    /// Whether numbers are brought to where a layer has them.
    tame: bool,
}

/// The sizes of a layer and of its sequence.
#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    heads: usize,
    key: usize,
    value: usize,
}

/// All that a sequence reads, as long as the rule with the most parts needs it.
struct Sequence {
    sizes: Sizes,
    gating: u8,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    rates: Vec<f32>,
    shares: Vec<f32>,
    other: Vec<f32>,
}

/// Returns rows `tokens` of `dim` elements.
fn part<'a>(x: &'a [f32], tokens: &Range<usize>, dim: usize) -> &'a [f32] {
    &x[tokens.start * dim..tokens.end * dim]
}

impl Sequence {
    fn gate(&self, tokens: &Range<usize>) -> Gate<'_, f32> {
        let Sizes { heads, key, .. } = self.sizes;
        match self.gating % 6 {
            0 => Gate::Open,
            1 => Gate::Factor(part(&self.shares, tokens, heads)),
            2 => Gate::Factor(part(&self.shares, tokens, heads * key)),
            3 => Gate::Log(part(&self.rates, tokens, heads)),
            4 => Gate::Log(part(&self.rates, tokens, heads * key)),
            _ => Gate::Constant(&self.shares[..heads * key]),
        }
    }

    fn keys<'a>(&self, x: &'a [f32], tokens: &Range<usize>) -> &'a [f32] {
        part(x, tokens, self.sizes.heads * self.sizes.key)
    }

    fn values(&self, tokens: &Range<usize>) -> &[f32] {
        part(&self.value, tokens, self.sizes.heads * self.sizes.value)
    }
}

/// Stops unless both have the same bits.
fn same(a: &[f32], b: &[f32]) {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(a), bits(b));
}

/// Stops unless two roads agree, in units of the greatest number on the way.
fn near(a: &[f32], b: &[f32]) {
    let most = a.iter().fold(1.0_f32, |m, x| m.max(x.abs()));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-3 * most, "{a} and {b}");
    }
}

/// Takes a sequence in one lane by steps, and at once on every level: the same bits.
fn streams<M>(
    tokens: usize,
    out_len: usize,
    new: impl Fn(Cpu) -> M,
    step: impl Fn(&mut M, Range<usize>, &mut [f32]) -> Result<(), Error>,
    prefill: impl Fn(&mut M, Range<usize>, &mut [f32]) -> Result<(), Error>,
) -> Vec<f32> {
    let mut want = vec![7.0; tokens * out_len];
    let mut mixer = new(Cpu::scalar());
    for (t, out) in want.chunks_exact_mut(out_len).enumerate() {
        step(&mut mixer, t..t + 1, out).unwrap();
    }
    for level in Cpu::levels() {
        let Ok(cpu) = Cpu::with(level) else { continue };
        let mut out = vec![7.0; tokens * out_len];
        prefill(&mut new(cpu), 0..tokens, &mut out).unwrap();
        same(&out, &want);
    }
    want
}

type Owned<R> = Recurrence<R, f32, Vec<f32>>;

/// Returns a recurrence in storage of its own.
fn owned<R: Rule<f32>>(rule: R, sizes: Sizes, cpu: Cpu) -> Owned<R> {
    let Sizes {
        heads, key, value, ..
    } = sizes;
    let len = Owned::<R>::state_len(heads, key, value);
    let new = Recurrence::new(rule, heads, key, value, vec![f32::NAN; len]);
    new.unwrap().on(cpu)
}

/// Holds a rule to its laws.
fn holds<'a, R: Rule<f32>>(
    rule: R,
    input: &Input,
    sizes: Sizes,
    token: impl Fn(Range<usize>) -> R::Token<'a>,
) -> Vec<f32> {
    let out_len = sizes.heads * sizes.value;
    let want = streams(
        sizes.tokens,
        out_len,
        |cpu| owned(rule, sizes, cpu),
        |mixer, at, out| mixer.step(token(at), out),
        |mixer, at, out| mixer.prefill(token(at), out),
    );
    let mut mixer = owned(rule, sizes, Cpu::default());
    let mut scratch = vec![f32::NAN; mixer.scratch_len(usize::from(input.cut % 9) + 1)];
    let mut out = vec![7.0; want.len()];
    mixer
        .chunks(token(0..sizes.tokens), &mut scratch, &mut out)
        .unwrap();
    if input.tame {
        near(&want, &out);
    }
    want
}

/// Holds a rule to the merge of two stretches too.
fn merges<'a, R: Diagonal<f32>>(
    rule: R,
    input: &Input,
    sizes: Sizes,
    token: impl Fn(Range<usize>) -> R::Token<'a>,
) {
    let mut out = holds(rule, input, sizes, &token);
    let cut = usize::from(input.cut) % (sizes.tokens + 1);
    let at = cut * sizes.heads * sizes.value;
    let [mut whole, mut first, mut second] = [(); 3].map(|()| owned(rule, sizes, Cpu::default()));
    whole.prefill(token(0..sizes.tokens), &mut out).unwrap();
    first.prefill(token(0..cut), &mut out[..at]).unwrap();
    second
        .prefill(token(cut..sizes.tokens), &mut out[at..])
        .unwrap();
    first.merge(&second).unwrap();
    if input.tame {
        near(whole.state(), first.state());
    }
}

fuzz_target!(|input: Input| {
    if input.numbers.is_empty() {
        return;
    }
    let size = |i: usize, most: u8| usize::from(input.sizes[i] % most) + 1;
    let sizes = Sizes {
        tokens: size(0, 12),
        heads: size(1, 3),
        key: size(2, 34),
        value: size(3, 34),
    };
    let mut source = input.numbers.iter().copied().cycle();
    // Within [-1, 1] if tame, whatever they are otherwise.
    let mut numbers = |n: usize, f: &dyn Fn(f32) -> f32| -> Vec<f32> {
        let tame = |x: f32| f(if x.is_finite() { x.sin() } else { 0.5 });
        source
            .by_ref()
            .take(n)
            .map(|x| if input.tame { tame(x) } else { x })
            .collect()
    };
    let Sizes {
        tokens,
        heads,
        key,
        value,
    } = sizes;
    let keys = heads * key;
    let unit = 1.0 / (key as f32).sqrt();
    let x = Sequence {
        sizes,
        gating: input.gating,
        query: numbers(tokens * keys, &|x| x),
        key: numbers(tokens * keys, &|x| unit * x),
        value: numbers(tokens * heads * value, &|x| x),
        rates: numbers(tokens * keys, &|x| -x.abs() - 0.01),
        shares: numbers(tokens * keys, &|x| 0.1 + 0.8 * x.abs()),
        other: numbers(tokens * keys, &|x| unit * x),
    };
    match input.kind % 10 {
        kind @ 0..3 => {
            let rule = LinearAttention::default().with_normalizer(match kind {
                0 => Normalizer::None,
                1 => Normalizer::Keys { epsilon: 10.0 },
                _ => Normalizer::Decay,
            });
            // A sum of keys near zero divides by next to nothing.
            let whole = Input {
                numbers: Vec::new(),
                tame: input.tame && kind != 1,
                ..input
            };
            merges(rule, &whole, sizes, |at| LinearToken {
                query: x.keys(&x.query, &at),
                key: x.keys(&x.key, &at),
                value: x.values(&at),
                gate: x.gate(&at),
            });
        }
        3 => {
            holds(DeltaRule, &input, sizes, |at| DeltaToken {
                query: x.keys(&x.query, &at),
                key: x.keys(&x.key, &at),
                value: x.values(&at),
                gate: x.gate(&at),
                beta: part(&x.shares, &at, heads),
            });
        }
        4 => merges(Rwkv6::new(&x.other[..keys]), &input, sizes, |at| {
            Rwkv6Token {
                receptance: x.keys(&x.query, &at),
                key: x.keys(&x.key, &at),
                value: x.values(&at),
                gate: x.gate(&at),
            }
        }),
        5 => {
            holds(Rwkv7, &input, sizes, |at| Rwkv7Token {
                receptance: x.keys(&x.query, &at),
                key: x.keys(&x.key, &at),
                value: x.values(&at),
                gate: x.gate(&at),
                a: x.keys(&x.other, &at),
                b: x.keys(&x.key, &at),
            });
        }
        6 => {
            let (rates, skip) = (&x.rates[..heads], &x.other[..heads]);
            merges(Ssd::new(rates, skip), &input, sizes, |at| SsdToken {
                step: part(&x.shares, &at, heads),
                input: x.values(&at),
                b: x.keys(&x.key, &at),
                c: x.keys(&x.query, &at),
            });
        }
        7 => {
            let per_head = |at: &Range<usize>| match x.gating % 3 {
                0 => Gate::Open,
                1 => Gate::Factor(part(&x.shares, at, heads)),
                _ => Gate::Log(part(&x.rates, at, heads)),
            };
            let ridge = vec![1.0; keys];
            let len = Mesa::<f32, Vec<f32>>::state_len(heads, key, value);
            let token = |at: Range<usize>| MesaToken {
                query: x.keys(&x.query, &at),
                key: x.keys(&x.key, &at),
                value: x.values(&at),
                gate: per_head(&at),
                beta: part(&x.shares, &at, heads),
            };
            streams(
                tokens,
                heads * value,
                |cpu| {
                    let new = Mesa::new(&ridge, heads, key, value, vec![0.0; len]);
                    new.unwrap().on(cpu)
                },
                |mixer, at, out| mixer.step(token(at), out),
                |mixer, at, out| mixer.prefill(token(at), out),
            );
        }
        8 => {
            let (decay, bonus) = (&x.rates[..key], &x.other[..key]);
            let token = |at: Range<usize>| Rwkv4Token {
                key: part(&x.query, &at, key),
                value: part(&x.key, &at, key),
            };
            streams(
                tokens,
                key,
                |cpu| {
                    let new = Rwkv4::new(decay, bonus, vec![0.0; rwkv4_len(key)]);
                    new.unwrap().on(cpu)
                },
                |mixer, at, out| mixer.step(token(at), out),
                |mixer, at, out| mixer.prefill(token(at), out),
            );
        }
        _ => {
            // The scan behind its convolution, as in a layer.
            let (channels, states) = (key, heads);
            let width = usize::from(input.cut % 6) + 1;
            let weights: Vec<f32> = x
                .other
                .iter()
                .copied()
                .cycle()
                .take(channels * width)
                .collect();
            let convolved = streams(
                tokens,
                channels,
                |cpu| {
                    let len = convolution_len(channels, width);
                    let new = CausalConvolution::new(channels, width, &weights, vec![0.0; len]);
                    let new = new.unwrap().with_bias(&x.shares[..channels]);
                    new.unwrap().with_silu().on(cpu)
                },
                |mixer, at, out| mixer.step(part(&x.query, &at, channels), out),
                |mixer, at, out| mixer.prefill(part(&x.query, &at, channels), out),
            );
            let token = |at: Range<usize>| ScanToken {
                input: part(&convolved, &at, channels),
                step: part(&x.shares, &at, channels),
                b: part(&x.key, &at, states),
                c: part(&x.other, &at, states),
                gate: (input.gating % 2 == 0).then_some(part(&x.query, &at, channels)),
            };
            streams(
                tokens,
                channels,
                |cpu| {
                    let (rates, len) = (&x.rates[..channels * states], scan_len(channels, states));
                    let new = SelectiveScan::new(channels, states, rates, vec![0.0; len]);
                    let new = new.unwrap().with_skip(&x.shares[..channels]);
                    new.unwrap().on(cpu)
                },
                |mixer, at, out| mixer.step(token(at), out),
                |mixer, at, out| mixer.prefill(token(at), out),
            );
        }
    }
});
