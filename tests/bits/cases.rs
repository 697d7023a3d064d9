//! One call of every public operation, for the proofs that go over all of them: the same bits on
//! every processor (`tests/bits.rs`, `examples/firmware`), no allocation (`tests/no_alloc.rs`), no
//! reachable panic (`tests/no_panic`). It needs neither std nor a heap.
//!
//! A new operation is one function in `operations.rs`, written for operands of any length, and one
//! line in `operations!` for each number type.

// Each proof uses a part of this file.
#![allow(dead_code, unused_imports)]

mod hash;

pub(crate) use hash::{Case, Fnv, expected};
use suanzi::storage::F16;
use suanzi::{Cpu, Error, Scalar};

/// What an operation may read and write. In the proof of no panic every field is unknown.
#[derive(Debug)]
pub(crate) struct Operands<'a, T> {
    /// The executor.
    pub(crate) cpu: Cpu,
    /// The length, or number of tokens, that the case asks for.
    pub(crate) n: usize,
    /// Values in [-8, 8).
    pub(crate) x: &'a [T],
    /// Values in [-1, 1).
    pub(crate) y: &'a [T],
    /// Every representation: huge, subnormal, infinite, NaN.
    pub(crate) raw: &'a [T],
    /// A position.
    pub(crate) at: i32,
    /// A parameter: 5/4.
    pub(crate) t: T,
    /// Mostly true.
    pub(crate) keep: &'a [bool],
    /// Written.
    pub(crate) halves: &'a mut [F16],
    /// Written, and hashed.
    pub(crate) out: &'a mut [T],
    /// Written, and hashed.
    pub(crate) state: &'a mut [T],
}

/// Calls `$with!` with every operation: its function, its number type, and the ranges of lengths
/// that are hashed together.
macro_rules! operations {
    ($with:ident) => {
        $with! {
            softmax single ROWS;
            softmax double SHORT;
            softmax_of_anything single SHORT;
            softmax_of_anything double SHORT;
            softmax_of_scores single SHORT;
            softmax_of_scores double SHORT;
            softmax_strided single COLUMNS;
            softmax_strided double COLUMNS;
            softmax half SHORT;
            log_softmax single ROWS;
            log_softmax double SHORT;
            log_sum_exp single ROWS;
            log_sum_exp double SHORT;
            sparse single ROWS;
            sparse double SHORT;
            entmax single ROWS;
            entmax double SHORT;
            sparse_softmax single ROWS;
            sparse_softmax double SHORT;
            soft_top_k single COLUMNS;
            soft_top_k double COLUMNS;
            subsets single CLASSES;
            subsets double COLUMNS;
            normmax single COLUMNS;
            normmax double COLUMNS;
            normalized single SHORT;
            normalized double SHORT;
            biased single SHORT;
            biased double SHORT;
            gradients single SHORT;
            gradients double SHORT;
            losses single CLASSES;
            losses double CLASSES;
            perturbed single PERTURBED;
            perturbed double PERTURBED;
            perturbed_vjp single PERTURBED;
            perturbed_vjp double PERTURBED;
            integers single HEADS;
            exp single MATH;
            exp double SMALL_MATH;
            exp_m1 single MATH;
            exp_m1 double SMALL_MATH;
            ln single MATH;
            ln double SMALL_MATH;
            ln_1p single MATH;
            ln_1p double SMALL_MATH;
            sin single MATH;
            sin double SMALL_MATH;
            cos single MATH;
            cos double SMALL_MATH;
            sin_cos single MATH;
            sin_cos double SMALL_MATH;
            sin_pi single MATH;
            sin_pi double SMALL_MATH;
            cos_pi single MATH;
            cos_pi double SMALL_MATH;
            sin_cos_pi single MATH;
            sin_cos_pi double SMALL_MATH;
            tanh single MATH;
            tanh double SMALL_MATH;
            sigmoid single MATH;
            sigmoid double SMALL_MATH;
            softplus single MATH;
            softplus double SMALL_MATH;
            erf single MATH;
            erf double SMALL_MATH;
            erfc single MATH;
            erfc double SMALL_MATH;
            fourier single HEADS;
            fourier double HEADS;
            fourier_of_anything single HEADS;
            fourier_of_anything double HEADS;
            fourier_table single HEADS;
            fourier_table double HEADS;
            fourier_fit single FITTED;
            fourier_fit double FITTED;
            rope single HEADS;
            rope double HEADS;
            rope_table single HEADS;
            rope_table double HEADS;
            rope_table_by lent HEADS;
            base_search lent FEW_SIDES;
            rope_in_radians single HEADS;
            rope_in_radians double HEADS;
            rope_scalings single HEADS;
            rope_scalings double HEADS;
            rope half HEADS;
            rope_rows lent HEADS;
            axial single HEADS;
            axial double HEADS;
            relative single HEADS;
            relative double HEADS;
            xpos single HEADS;
            xpos double HEADS;
            turns single HEADS;
            turns double HEADS;
            permute_rows single HEADS;
            matrix single SIDES;
            matrix double SIDES;
            rms_norm single SHORT;
            rms_norm double SHORT;
            layer_norm single SHORT;
            layer_norm double SHORT;
            gated_silu single SHORT;
            gated_silu double SHORT;
            attention single TOKENS;
            attention double TOKENS;
            attention eight TOKENS;
            attention_scores single TOKENS;
            attention_scores double TOKENS;
            attention_views single TOKENS;
            attention_views double TOKENS;
            attention_vjp single TOKENS;
            attention_vjp double TOKENS;
            memories single TOKENS;
            memories double TOKENS;
            recompute single TOKENS;
            recompute double TOKENS;
            checkpoint single TOKENS;
            checkpoint double TOKENS;
            latent single TOKENS;
            latent double TOKENS;
            stretches single TOKENS;
            stretches double TOKENS;
            online_softmax single SIDES;
            online_softmax double SIDES;
            rwkv4 single SIDES;
            rwkv4 double SIDES;
            causal_convolution single SIDES;
            causal_convolution double SIDES;
            selective_scan single SIDES;
            selective_scan double SIDES;
            linear_attention single TOKENS;
            linear_attention double TOKENS;
            delta_rule single TOKENS;
            delta_rule double TOKENS;
            rwkv single TOKENS;
            rwkv double TOKENS;
            ssd single TOKENS;
            ssd double TOKENS;
            mesa single TOKENS;
            mesa double TOKENS;
            lora single SIDES;
            lora double SIDES;
            adapters single SIDES;
            adapters double SIDES;
            optimizers single CLASSES;
            optimizers double CLASSES;
            patches single SIDES;
            patches double SIDES;
            diffusion single SIDES;
            diffusion double SIDES;
            planes single SIDES;
            planes double SIDES;
            codes single SIDES;
            codes double SIDES;
            unmerged single SIDES;
            unmerged double SIDES;
        }
    };
}

/// Calls `$with!` as [`operations!`] does, with what fits a processor of 16 KiB: the primitives, and
/// the ranges of lengths that need few operands.
macro_rules! primitives {
    ($with:ident) => {
        $with! {
            softmax single FEW;
            softmax_of_anything single FEW;
            softmax_of_scores single FEW;
            log_softmax single FEW;
            log_sum_exp single FEW;
            sparse single FEW;
            integers single HEADS;
            rope single HEADS;
            rope_table single HEADS;
            attention single FEW_TOKENS;
            online_softmax single FEW_SIDES;
        }
    };
}

/// Ranges of row lengths: every small one, a prime, a vocabulary.
const ROWS: &[(usize, usize)] = &[(0, 33), (1000, 1000), (4096, 4096), (SINGLES, SINGLES)];
/// The same where arithmetic is slow.
const SHORT: &[(usize, usize)] = &[(0, 33), (1000, 1000)];
/// Numbers of classes.
const CLASSES: &[(usize, usize)] = &[(1, 33), (1000, 1000)];
/// Numbers of scores that are perturbed: each takes thousands of exponentials in `f64`.
const PERTURBED: &[(usize, usize)] = &[(3, 5)];
/// Lengths of columns.
const COLUMNS: &[(usize, usize)] = &[(1, 33), (300, 300)];

/// Numbers of arguments.
const MATH: &[(usize, usize)] = &[(0, 17), (20_000, 20_000)];
/// The same where arithmetic is slow.
const SMALL_MATH: &[(usize, usize)] = &[(0, 17), (DOUBLES, DOUBLES)];
/// Points of a fit, which takes many evaluations.
const FITTED: &[(usize, usize)] = &[(5, 7), (40, 40)];
/// Pairs of a head.
const HEADS: &[(usize, usize)] = &[(1, 33), (64, 64)];

/// Sides of a matrix, dimensions of a value.
const SIDES: &[(usize, usize)] = &[(2, 8), (9, 19), (50, 50)];
/// Tokens of a sequence.
const TOKENS: &[(usize, usize)] = &[(1, 8), (9, 20), (63, 66), (130, 130)];

/// The first ranges of rows, tokens and sides.
const FEW: &[(usize, usize)] = &[(0, 33)];
const FEW_TOKENS: &[(usize, usize)] = &[(1, 8)];
const FEW_SIDES: &[(usize, usize)] = &[(2, 8)];

/// Elements of each `f32` operand.
const SINGLES: usize = 128_256;
/// Elements of each `f64` operand, and of the others.
const DOUBLES: usize = 4096;
/// Elements of each `f32` operand where memory is short.
const FEW_SINGLES: usize = 576;
/// Elements of the other operands there.
const FEW_OTHERS: usize = 40;

/// The operations of each number type.
macro_rules! of_type {
    ($module:ident, $t:ident) => {
        pub(crate) mod $module {
            use suanzi::adapter::{
                Adapter, Dora, Group, Ia3, Initial, Lora, LoraPlus, LoraSum, Moments, Optimizer,
                Ratio, Rule, Vera, dora_norms, lora_scale, rs_lora_scale,
            };
            use suanzi::density::{
                Adam, Bins, CoderTable, Density1d, Domain, Fit, FourierDensity, Lbfgs, Likelihood,
                Sample,
            };
            use suanzi::mixer::{
                Alibi, Attended, Attention, Cache, CausalConvolution, CausalMixer, Checkpoint,
                DeltaRule, DeltaToken, FeatureMap, Forget, Frame, Gate, Gradients, Latent,
                LatentCache, LatentDims, Layers, Layout, LinearAttention, LinearToken, LogitSinks,
                MaskRows, Merge, Mesa, MesaToken, Normalizer, OnlineSoftmax, Paged, Recompute,
                Recurrence, Ring, Rwkv4, Rwkv4Token, Rwkv6, Rwkv6Token, Rwkv7, Rwkv7Token,
                ScanToken, ScoreFn, SelectiveScan, Sharing, Softcap, Ssd, SsdToken, Visible,
                cache_len, checkpoint_cost, checkpoint_len, convolution_len, kv_cache_len,
                latent_cache_len, merge_outputs, recompute_cost, retention_decay, rwkv4_len,
                scan_len,
            };
            #[cfg(feature = "heapless")]
            use suanzi::mixer::{OwnedCache, OwnedLatentCache, OwnedRing};
            use suanzi::nn::{GatedSilu, LayerNorm, Matrix, RmsNorm};
            use suanzi::patch::{
                Channels, Ddpm, Padding, Patches, bytes_to_unit, code_bits, least_code_len,
                least_vocabulary, unit_to_bytes, vocabulary_bits,
            };
            use suanzi::position::{
                Angle, Axes, AxialRope, Base, ByParts, Coordinate, Cursor, Distance, Frequencies,
                FrequencyFactors, HeadLayout, Linear, Ntk, NtkRule, Pairing, PerAxis, Placement,
                PositionEncoding, Proportional, Radians, Ramp, Rope, RopeTable, Turns, XPos,
                log_n_scale, step_scale,
            };
            use suanzi::probability::{
                ByteSoftmax, CrossEntropy, Distribution, Entmax, Inclusion, LogSoftmax, LogSumExp,
                Logits, Mask, Noise, Normalized, Normmax, PerturbMax, ProbabilityMap, Rows,
                SoftTopK, Softmax, SparseSoftmax, Sparsemax, WordSoftmax, alibi_slope, argmax,
                draw, entmax_alpha_gradient, entmax_vjp, gumbel_max, gumbel_softmax, gumbel_top_k,
                log_softmax_vjp, normmax_vjp, perturb_max_with,
            };
            use suanzi::{Cpu, Error, math};

            use super::{Operands, copy, first, first_mut};

            pub(crate) type T = $t;
            pub(crate) const NAME: &str = stringify!($t);

            include!("operations.rs");
        }
    };
}
of_type!(single, f32);
of_type!(double, f64);

/// Operations with a part that the caller brings.
pub(crate) mod lent {
    use suanzi::Error;
    use suanzi::position::{
        self, Base, BaseSearch, HeadLayout, Pairing, Rope, RopeTable, Trigonometry,
        asymptotic_base, cosine_integral,
    };

    use super::{Operands, first_mut};

    pub(crate) type T = f32;
    pub(crate) const NAME: &str = "f32";

    /// Sine and cosine of a turn by one parabola each.
    struct Parabola;

    impl Trigonometry for Parabola {
        fn sin_cos(turn: f32) -> (f32, f32) {
            let quarter = if turn < 0.25 {
                turn + 0.25
            } else {
                turn - 0.75
            };
            let parabola = |turn: f32| 16.0 * turn * (0.5 - turn.abs());
            (parabola(turn), parabola(quarter))
        }
    }

    pub(crate) fn base_search(o: &mut Operands<T>) -> Result<(), Error> {
        let search = BaseSearch::new(o.n.wrapping_mul(2))?.on(o.cpu);
        let base = search.smallest_base(12, 1.5, |_| ())?;
        let end = search.interval_end(12, base, |_| ())?;
        let context = search.longest_context(2.0 * base, 300)?;
        let found = [base, end, search.similarity(base, context)?];
        let numbers = [asymptotic_base(context), cosine_integral(base)];
        for (out, number) in o.out.iter_mut().zip(found.into_iter().chain(numbers)) {
            *out = number as T;
        }
        Ok(())
    }

    /// Rows as a constant has them, and rows by a rotor.
    pub(crate) fn rope_rows(o: &mut Operands<T>) -> Result<(), Error> {
        let list = Base::default().list::<33>();
        let at = o.at.saturating_sub(o.n as i32).saturating_sub(70);
        let rows = position::rope_rows::<132>(&list, at)?;
        for (out, entry) in o.out.iter_mut().zip(rows) {
            *out = entry;
        }
        let mut turns = [0; 64];
        let layout = HeadLayout::new(o.n.wrapping_mul(2), Pairing::HalfSplit)?;
        let rope = Rope::new(layout, &Base::default(), first_mut(&mut turns, o.n))?.on(o.cpu);
        let len = layout
            .rotary_dim()
            .wrapping_mul(if o.n > 8 { 4 } else { 67 });
        let mut table = RopeTable::from_rows(layout, at, first_mut(o.state, len))?.on(o.cpu);
        table.fill_by_rotor(&rope, at)
    }

    pub(crate) fn rope_table_by(o: &mut Operands<T>) -> Result<(), Error> {
        let mut turns = [0; 64];
        let layout = HeadLayout::new(o.n.wrapping_mul(2), Pairing::HalfSplit)?;
        let rope = Rope::new(layout, &Base::default(), first_mut(&mut turns, o.n))?.on(o.cpu);
        let len = RopeTable::<T, &mut [T]>::table_len(4, layout.rotary_dim());
        RopeTable::filled_by::<Parabola, _>(&rope, o.at, first_mut(o.out, len)).map(|_| ())
    }
}

/// Operations on arrays that are kept in 16 bits.
pub(crate) mod half {
    use suanzi::Error;
    use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope, RopeTable};
    use suanzi::probability::{ProbabilityMap, Softmax};
    use suanzi::storage::{Bf16, F16};

    use super::{Operands, first_mut};

    /// Heads in 16 bits of both kinds, with and without a table.
    pub(crate) fn rope(o: &mut Operands<T>) -> Result<(), Error> {
        let mut turns = [0; 64];
        let layout = HeadLayout::new(o.n.wrapping_mul(2), Pairing::Interleaved)?;
        let rope = Rope::new(layout, &Base::default(), first_mut(&mut turns, o.n))?.on(o.cpu);
        let mut rows = [0.0; 128];
        let rows = first_mut(&mut rows, layout.head_dim());
        let table = RopeTable::new(&rope, o.at, rows)?.on(o.cpu);
        let halves = first_mut(o.halves, layout.head_dim());
        let mut brains = [Bf16::default(); 128];
        let brains = first_mut(&mut brains, layout.head_dim());
        for ((half, brain), &x) in halves.iter_mut().zip(&mut *brains).zip(o.x) {
            (*half, *brain) = (F16::from_f32(x), Bf16::from_f32(x));
        }
        rope.rotate(o.at, &mut *halves)?;
        let mut turned = [Bf16::default(); 128];
        let turned = first_mut(&mut turned, layout.head_dim());
        table.rotate_into(o.at, brains, turned)?;
        let words = halves.iter().map(|half| half.to_f32());
        let turned = turned.iter().map(|brain| brain.to_f32());
        for (out, word) in o.out.iter_mut().zip(turned.chain(words)) {
            *out = word;
        }
        Ok(())
    }

    pub(crate) type T = f32;
    pub(crate) const NAME: &str = "f16";

    pub(crate) fn softmax(o: &mut Operands<T>) -> Result<(), Error> {
        let halves = first_mut(o.halves, o.n);
        for (half, &x) in halves.iter_mut().zip(o.x) {
            *half = F16::from_f32(x);
        }
        Softmax::default().on(o.cpu).map_in_place(halves)?;
        let mut brains = [Bf16::default(); 40];
        for (brain, &x) in brains.iter_mut().zip(o.x) {
            *brain = Bf16::from_f32(x);
        }
        Softmax::default().on(o.cpu).map_rows(&mut brains[..], 20)?;
        let words = halves.iter().map(|half| half.to_f32());
        let brains = brains.iter().map(|brain| brain.to_f32());
        for (out, word) in o.out.iter_mut().zip(brains.chain(words)) {
            *out = word;
        }
        Ok(())
    }
}

/// Operations on keys and values that are kept in 8 bits.
pub(crate) mod eight {
    use suanzi::Error;
    use suanzi::mixer::{Attention, QuantizedCache, cache_len};

    use super::{Operands, first, first_mut};

    pub(crate) type T = f32;
    pub(crate) const NAME: &str = "i8";

    /// The most tokens that are kept.
    const LONGEST: usize = 130;

    pub(crate) fn attention(o: &mut Operands<T>) -> Result<(), Error> {
        let attention = Attention::new(4, 2, 6)?.with_value_dim(5)?.on(o.cpu);
        let (key_len, value_len) = (cache_len(2, 6, o.n), cache_len(2, 5, o.n));
        let mut keys = [0_i8; cache_len(2, 6, LONGEST)];
        let mut values = [0_i8; cache_len(2, 5, LONGEST)];
        let mut scales = [[0.0_f32; cache_len(2, 1, LONGEST)]; 2];
        let [key_scales, value_scales] = &mut scales;
        let scales_len = cache_len(2, 1, o.n);
        let mut cache = QuantizedCache::new(
            2,
            6,
            5,
            (
                first_mut(&mut keys, key_len),
                first_mut(key_scales, scales_len),
            ),
            (
                first_mut(&mut values, value_len),
                first_mut(value_scales, scales_len),
            ),
        )?;
        cache.append(first(o.x, key_len), first(o.y, value_len))?;
        let scratch = first_mut(o.state, attention.scratch_len(o.n));
        let query = first(o.y, attention.query_len());
        let (out, rest) = o
            .out
            .split_at_mut_checked(attention.out_len())
            .unwrap_or_default();
        attention.attend(query, &cache, o.n, scratch, out)?;
        cache.truncate(cache.capacity() / 2);
        let rest = first_mut(rest, out.len());
        attention.attend(query, &cache, o.n / 2, scratch, rest)?;
        // What is left in the scratch is no result.
        scratch.fill(0.0);
        Ok(())
    }
}

/// Returns the first `n` elements, or none where there are fewer.
fn first<T>(x: &[T], n: usize) -> &[T] {
    x.get(..n).unwrap_or_default()
}

/// Returns the first `n` elements, or none where there are fewer.
fn first_mut<T>(x: &mut [T], n: usize) -> &mut [T] {
    x.get_mut(..n).unwrap_or_default()
}

/// Copies what fits.
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Every operand, in one piece that fits a static of 3 MiB.
#[derive(Debug)]
pub(crate) struct Memory {
    singles: Arena<f32, SINGLES>,
    doubles: Arena<f64, DOUBLES>,
    others: Others<DOUBLES>,
}

/// The operands of the primitives, in 12 KiB.
#[derive(Debug)]
pub(crate) struct SmallMemory {
    singles: Arena<f32, FEW_SINGLES>,
    others: Others<FEW_OTHERS>,
}

/// The operands of one number type.
#[derive(Debug)]
struct Arena<T, const N: usize> {
    x: [T; N],
    y: [T; N],
    raw: [T; N],
    out: [T; N],
    state: [T; N],
}

/// The operands that are not of the number type.
#[derive(Debug)]
struct Others<const N: usize> {
    keep: [bool; N],
    halves: [F16; N],
}

impl Memory {
    /// Returns operands that are all zero.
    pub(crate) const fn new() -> Self {
        Self {
            singles: Arena::new(0.0),
            doubles: Arena::new(0.0),
            others: Others::new(),
        }
    }
}

impl SmallMemory {
    /// Returns operands that are all zero.
    pub(crate) const fn new() -> Self {
        Self {
            singles: Arena::new(0.0),
            others: Others::new(),
        }
    }
}

/// An operation of a list that runs in the memory `M`.
pub(crate) struct Operation<M> {
    name: &'static str,
    number: &'static str,
    ranges: &'static [(usize, usize)],
    hash: fn(&mut M, Cpu, Case) -> Result<u64, Error>,
}

/// A memory of operands, and what runs in it.
pub(crate) trait Arenas: Sized + 'static {
    /// The operations.
    const OPERATIONS: &'static [Operation<Self>];

    /// Fills the operands that are read from integers alone, the same on every target.
    fn fill(&mut self);
}

macro_rules! table {
    ($($operation:ident $number:ident $ranges:ident;)*) => {
        &[$(
            Operation {
                name: stringify!($operation),
                number: $number::NAME,
                ranges: $ranges,
                hash: |memory, cpu, case| {
                    let operands = Lends::<$number::T>::operands(memory, cpu);
                    hash(operands, case, $number::$operation)
                },
            },
        )*]
    };
}

impl Arenas for Memory {
    const OPERATIONS: &'static [Operation<Self>] = operations!(table);

    fn fill(&mut self) {
        self.singles.fill();
        self.doubles.fill();
        self.others.fill();
    }
}

impl Arenas for SmallMemory {
    const OPERATIONS: &'static [Operation<Self>] = primitives!(table);

    fn fill(&mut self) {
        self.singles.fill();
        self.others.fill();
    }
}

/// Runs the cases that are wanted on `cpu` and reports the hash of what each wrote, or why it was
/// refused.
pub(crate) fn run<M: Arenas>(
    cpu: Cpu,
    memory: &mut M,
    wanted: &dyn Fn(Case) -> bool,
    report: &mut dyn FnMut(Case, Result<u64, Error>),
) {
    memory.fill();
    for operation in M::OPERATIONS {
        for &(from, to) in operation.ranges {
            let case = Case {
                operation: operation.name,
                number: operation.number,
                from,
                to,
            };
            if wanted(case) {
                report(case, (operation.hash)(memory, cpu, case));
            }
        }
    }
}

/// A memory that has operands of the number type `T`.
trait Lends<T> {
    /// Lends them, for no length yet.
    fn operands(&mut self, cpu: Cpu) -> Operands<'_, T>;
}

impl Lends<f32> for Memory {
    fn operands(&mut self, cpu: Cpu) -> Operands<'_, f32> {
        self.singles.operands(&mut self.others, cpu)
    }
}

impl Lends<f64> for Memory {
    fn operands(&mut self, cpu: Cpu) -> Operands<'_, f64> {
        self.doubles.operands(&mut self.others, cpu)
    }
}

impl Lends<f32> for SmallMemory {
    fn operands(&mut self, cpu: Cpu) -> Operands<'_, f32> {
        self.singles.operands(&mut self.others, cpu)
    }
}

/// A number type of the operands.
trait Number: Scalar {
    /// Returns `value` * 2^`exponent`, which is exact.
    fn scaled(value: i32, exponent: i32) -> Self;
    /// Returns the number with this representation.
    fn of(bits: u64) -> Self;
    /// Returns the representation.
    fn representation(self) -> u64;
}

macro_rules! number {
    ($t:ident, $bits:ident) => {
        impl Number for $t {
            fn scaled(value: i32, exponent: i32) -> Self {
                let bias = Self::MAX_EXP - 1;
                let factor = ((exponent + bias) as $bits) << (Self::MANTISSA_DIGITS - 1);
                value as Self * Self::from_bits(factor)
            }
            fn of(bits: u64) -> Self {
                Self::from_bits((bits >> (64 - $bits::BITS)) as $bits)
            }
            fn representation(self) -> u64 {
                self.to_bits().into()
            }
        }
    };
}
number!(f32, u32);
number!(f64, u64);

impl<T: Number, const N: usize> Arena<T, N> {
    const fn new(zero: T) -> Self {
        Self {
            x: [zero; N],
            y: [zero; N],
            raw: [zero; N],
            out: [zero; N],
            state: [zero; N],
        }
    }

    fn fill(&mut self) {
        let mut random = 2026_u64;
        for ((x, y), raw) in self.x.iter_mut().zip(&mut self.y).zip(&mut self.raw) {
            *x = T::scaled((next(&mut random) >> 40) as i32 - (1 << 23), -20);
            *y = T::scaled((next(&mut random) >> 40) as i32 - (1 << 23), -23);
            *raw = T::of(next(&mut random));
        }
        let edges = [
            T::zero(),
            -T::zero(),
            T::infinity(),
            T::neg_infinity(),
            T::nan(),
            T::min_positive_value(),
            T::max_value(),
            T::one(),
        ];
        for (raw, edge) in self.raw.iter_mut().zip(edges) {
            *raw = edge;
        }
    }

    fn operands<'a, const M: usize>(
        &'a mut self,
        others: &'a mut Others<M>,
        cpu: Cpu,
    ) -> Operands<'a, T> {
        Operands {
            cpu,
            n: 0,
            x: &self.x,
            y: &self.y,
            raw: &self.raw,
            at: 0,
            t: T::scaled(5, -2),
            keep: &others.keep,
            halves: &mut others.halves,
            out: &mut self.out,
            state: &mut self.state,
        }
    }
}

impl<const N: usize> Others<N> {
    const fn new() -> Self {
        Self {
            keep: [false; N],
            halves: [F16::from_bits(0); N],
        }
    }

    fn fill(&mut self) {
        for (i, keep) in self.keep.iter_mut().enumerate() {
            *keep = i % 7 != 3;
        }
    }
}

/// Runs an operation at every length of a case; returns the hash of what was written.
fn hash<T: Number>(
    mut operands: Operands<'_, T>,
    case: Case,
    operation: fn(&mut Operands<T>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut hash = Fnv::new();
    for n in case.from..=case.to {
        operands.out.fill(T::zero());
        operands.state.fill(T::zero());
        operands.n = n;
        operands.at = 1_000_000 + n as i32;
        operate(operation, &mut operands)?;
        // Trailing zeros are not hashed: they say nothing, and most operands are short.
        for written in [&*operands.out, &*operands.state] {
            let len = written
                .iter()
                .rposition(|v| v.representation() != 0)
                .map_or(0, |last| last + 1);
            hash.write(len as u64);
            for v in first(written, len) {
                hash.write(v.representation());
            }
        }
    }
    Ok(hash.finish())
}

/// Calls an operation, and nothing else: instructions are counted in here.
#[inline(never)]
fn operate<T>(
    operation: fn(&mut Operands<T>) -> Result<(), Error>,
    operands: &mut Operands<T>,
) -> Result<(), Error> {
    operation(operands)
}

/// Returns the next word of a linear congruential generator (Knuth, MMIX), its weak low bits mixed.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state ^ *state >> 33
}
