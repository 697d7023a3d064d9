#![doc = include_str!("../README.md")]
//!
//! # How the crate is built
//!
//! Two ideas carry it.
//!
//! **A kernel is written once.** Kernels are plain inlined functions over a narrow vector contract
//! (`simd`): about thirty operations, each with its rule for NaN, signed zero and range. One lane
//! serves microcontrollers, a vector library serves everything from SSE2 to AVX-512, NEON and wasm.
//! The contract fixes the order of every sum, so one source gives the same bits on all of them. The
//! instruction set is chosen once, at the door of a public call, by the executor [`Cpu`].
//!
//! **The buffer says where.** Public traits say what is computed and take the buffer type as their
//! parameter: `ProbabilityMap<[f32]>` works in host memory, `ProbabilityMap<DeviceSlice<f32>>` on a
//! device. An operation is a small `Copy` value: its parameters and its executor.
//!
//! Memory belongs to the caller. State and caches live in lent storage whose length a `const fn`
//! tells; nothing allocates, nothing panics, and what is wrong with a call comes back as a typed
//! [`Error`] before anything is written.
//!
//! # Rooms
//!
//! | room | what is in it |
//! |---|---|
//! | [`probability`] | maps from logits to the simplex |
//! | [`position`] | rotary position encoding, exact at every position |
//! | [`density`] | Fourier densities: evaluated, inverted, fitted, and as integers of a coder |
//! | [`mixer`] | causal attention as a recurrence over caches, rings, latent rows and recomputation; linear recurrences, RWKV and Mamba |
//! | [`adapter`] | LoRA and its relatives beside frozen layers, and the steps of LoRA+ |
//! | [`patch`] | images as tokens and back without loss, capacities of codes, the schedule of noise |
//! | [`nn`] | matrix-vector products, RMSNorm, LayerNorm and the gated unit that a real model needs around them |
//! | [`math`] | elementary functions on slices, with stated errors |
//! | [`storage`] | the types that arrays are kept in |
//! | [`gpu`] | the executor on NVIDIA devices, and arrays in their memory |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std` (default) | detection of the instruction set at run time; on x86 also prefetching |
//! | `simd` (default) | vector instructions; without it kernels run in one lane |
//! | `heapless` | caches, rings and token buffers that own their storage |
//! | `micromath` | tables of rotations by short approximations, for who asks for them by type |
//! | `rand_core` | the noise of `probability` from any generator of the rand family |
//! | `constriction` | tables of densities as entropy models of the coders of that crate; implies `std` |
//! | `defmt` | `defmt::Format` for errors and small public types |
//! | `capi` | the C interface; its header is `src/capi/suanzi.h` |
//! | `cuda` | softmax, RoPE and decode attention on NVIDIA devices; implies `std` |
//!
//! Features only add; none changes a result. The minimum Rust version is 1.89; raising it is a minor
//! version.
#![no_std]
#![cfg_attr(not(any(feature = "cuda", feature = "capi")), forbid(unsafe_code))]
#![cfg_attr(any(feature = "cuda", feature = "capi"), deny(unsafe_code))]

#[cfg(feature = "std")]
extern crate std;

pub mod adapter;
#[cfg(feature = "capi")]
#[allow(unsafe_code, reason = "callers in C have pointers")]
pub mod capi;
mod cpu;
pub mod density;
mod error;
#[cfg_attr(
    feature = "cuda",
    allow(
        unsafe_code,
        reason = "kernels and device memory are reached through a C interface"
    )
)]
pub mod gpu;
pub mod math;
pub mod mixer;
pub mod nn;
pub mod patch;
pub mod position;
pub mod probability;
mod scalar;
mod simd;
pub mod storage;

pub use cpu::{Cpu, Level};
pub use error::{Error, Parameter};
pub use scalar::Scalar;

/// Calls every generic operation once for each number type, on nothing.
///
/// Unoptimized builds share what a dependency has compiled: with this function in the crate, each
/// test binary links the kernels instead of compiling them again, on every instruction set.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub fn compiled_once() -> Result<(), Error> {
    fn of<T: Scalar>() -> Result<(), Error> {
        use probability::{
            CrossEntropy, Entmax, Inclusion, LogSoftmax, LogSumExp, Logits, Noise, Normalized,
            Normmax, PerturbMax, ProbabilityMap, Rows, SoftTopK, Softmax, SparseSoftmax, Sparsemax,
        };
        let (none, cpu): (&mut [T], _) = (&mut [], Cpu::default());
        math::sin_cos(cpu, &[], none, &mut [])?;
        math::sin_cos_pi(cpu, &[], none, &mut [])?;
        for map in [
            math::cos_in_place,
            math::cos_pi_in_place,
            math::erf_in_place,
            math::erfc_in_place,
            math::exp_in_place,
            math::exp_m1_in_place,
            math::ln_in_place,
            math::ln_1p_in_place,
            math::sigmoid_in_place,
            math::sin_in_place,
            math::sin_pi_in_place,
            math::softplus_in_place,
            math::tanh_in_place,
        ] {
            map(cpu, none);
        }
        let mut state = mixer::OnlineSoftmax::<T, &mut [T]>::new(0, 0, &mut [])?;
        state.push(&[], &[])?;
        nn::GatedSilu::default().map_in_place(none, &[])?;
        nn::LayerNorm::new(T::one())?.map_in_place(none, &[], &[])?;
        let one = [T::one()];
        let mut wkv = mixer::Rwkv4::new(&one, &one, [T::one(); 4])?;
        let (key, value): (&[T], &[T]) = (&[], &[]);
        wkv.prefill(mixer::Rwkv4Token { key, value }, none)?;
        let other = wkv;
        mixer::Merge::merge(&mut wkv, &other)?;
        mixer::CausalConvolution::new(1, 1, &one, [])?.prefill(&[], none)?;
        let tokens = mixer::ScanToken {
            input: &[],
            step: &[],
            b: &[],
            c: &[],
            gate: None,
        };
        mixer::SelectiveScan::new(1, 1, &one, one)?.prefill(tokens, none)?;
        recurrences::<T>()?;
        let norm = nn::RmsNorm::new(T::one())?;
        norm.map(&[], &[], none)?;
        norm.map_rows(none, &[])?;
        let rows = Rows {
            count: 0,
            len: 0,
            row_stride: 0,
            stride: 0,
        };
        Softmax::default().map(&[][..], none)?;
        Softmax::default().map_in_place(none)?;
        Softmax::default().map_strided(none, rows)?;
        LogSoftmax::default().map(&[][..], none)?;
        LogSoftmax::default().map_in_place(none)?;
        Sparsemax::default().map_in_place(none)?;
        Normalized::spherical(Logits::new()).vjp(&[], &[], none)?;
        probability::entmax_vjp(cpu, T::one(), &[], &[], none)?;
        probability::log_softmax_vjp(cpu, &[], &[], none)?;
        probability::entmax_alpha_gradient(cpu, T::one() + T::one(), &[], &[])?;
        let _ = probability::draw(cpu, none, T::one());
        let _ = probability::argmax(cpu, none);
        let perturbed = PerturbMax::new(Noise::Gumbel, Logits::new());
        perturbed.map_in_place(none)?;
        perturbed.vjp(&[], &[], none)?;
        let soft = SoftTopK::new(T::one(), Inclusion::Clamped, Logits::new())?;
        soft.map_in_place(none)?;
        soft.vjp(&[], &[], none)?;
        let two = T::one() + T::one();
        Normmax::new(two, Logits::new())?.map_in_place(none)?;
        probability::normmax_vjp(cpu, two, &[], &[], none)?;
        Entmax::new(T::one(), Logits::new())?.loss(&[T::one()], 0, &mut [T::one()])?;
        SparseSoftmax::new(Logits::new()).loss(&[T::one()], 0, &mut [T::one()])?;
        CrossEntropy::new(Logits::new()).evaluate(&[T::one()], 0, &mut [T::one()])?;
        SparseSoftmax::new(Logits::new()).map_in_place(none)?;
        Entmax::new(T::one(), Logits::new())?.map_in_place(none)?;
        let (domain, one) = (density::Domain::unit(), [T::one(), T::zero()]);
        let flat = density::FourierDensity::new(domain, &one, [T::zero(); 6])?;
        density::Density1d::quantile_into(&flat, none, &mut [])?;
        density::Density1d::density_into(&flat, none, &mut [])?;
        density::Density1d::ln_density_into(&flat, none, &mut [])?;
        density::Density1d::cumulative_into(&flat, none, &mut [])?;
        let sample = density::Sample::new(&one)?;
        density::Likelihood::new(domain).evaluate(&one, sample, none, &mut [])?;
        LogSumExp::default().reduce_rows(none, 0, &mut [])
    }
    fn recurrences<T: Scalar>() -> Result<(), Error> {
        use mixer::{
            DeltaRule, DeltaToken, FeatureMap, Gate, LinearAttention, LinearToken, Mesa, MesaToken,
            Recurrence, Rwkv6, Rwkv6Token, Rwkv7, Rwkv7Token, Ssd, SsdToken,
        };
        let (none, some): (&[T], [T; 1]) = (&[], [T::one()]);
        let (query, key, value, gate) = (none, none, none, Gate::Open);
        FeatureMap::EluPlusOne.map(none, 1, &mut [])?;
        let linear = LinearToken {
            query,
            key,
            value,
            gate,
        };
        let mut layer = Recurrence::<_, T, _>::new(LinearAttention::default(), 1, 1, 1, some)?;
        layer.prefill(linear, &mut [])?;
        layer.chunks(linear, &mut [], &mut [])?;
        let delta = DeltaToken {
            query,
            key,
            value,
            gate,
            beta: none,
        };
        let mut layer = Recurrence::<_, T, _>::new(DeltaRule, 1, 1, 1, some)?;
        layer.prefill(delta, &mut [])?;
        layer.chunks(delta, &mut [], &mut [])?;
        let (receptance, a, b) = (none, none, none);
        let six = Rwkv6Token {
            receptance,
            key,
            value,
            gate,
        };
        let mut layer = Recurrence::<_, T, _>::new(Rwkv6::new(none), 1, 1, 1, some)?;
        layer.prefill(six, &mut [])?;
        layer.chunks(six, &mut [], &mut [])?;
        let seven = Rwkv7Token {
            receptance,
            key,
            value,
            gate,
            a,
            b,
        };
        Recurrence::<_, T, _>::new(Rwkv7, 1, 1, 1, some)?.prefill(seven, &mut [])?;
        let (step, input, c) = (none, none, none);
        let ssd = SsdToken { step, input, b, c };
        let mut layer = Recurrence::<_, T, _>::new(Ssd::new(none, none), 1, 1, 1, some)?;
        layer.prefill(ssd, &mut [])?;
        layer.chunks(ssd, &mut [], &mut [])?;
        let mesa = MesaToken {
            query,
            key,
            value,
            gate,
            beta: none,
        };
        Mesa::new(none, 1, 1, 1, some)?.prefill(mesa, &mut [])
    }
    fn trained<P: adapter::Trained<T>, T: Scalar>() -> Result<(), Error> {
        let rule = adapter::Rule::AdamW(adapter::Moments::default());
        let optimizer = adapter::Optimizer::<T>::new(rule)?;
        optimizer.step::<P>(1, T::one(), T::zero(), &mut [], &[], &mut [])
    }
    fn kept<W: storage::Stored<T>, T: Scalar>() -> Result<(), Error> {
        let cache = mixer::Cache::<W, &[W]>::new(0, 0, 0, &[], &[])?;
        let attention = mixer::Attention::<T>::new(0, 0, 0)?;
        attention.attend(&[], &cache, 0, &mut [], &mut [])?;
        attention.attend_rows(&[], &cache, 0, &mut [], &mut [])?;
        let matrix = nn::Matrix::<W, T>::new(1, 1, &[])?;
        matrix.multiply(&[], &mut [])?;
        matrix.multiply_add(&[], &mut [])?;
        matrix.multiply_transposed(&[], &mut [])?;
        let lora = adapter::Lora::new(matrix, matrix, T::one())?;
        lora.vjp(&[], &[], &mut [], &mut [], &mut [], &mut [])
    }
    of::<f32>()?;
    of::<f64>()?;
    trained::<f32, f32>()?;
    trained::<storage::F16, f32>()?;
    trained::<f64, f64>()?;
    kept::<f32, f32>()?;
    kept::<storage::F16, f32>()?;
    kept::<storage::Bf16, f32>()?;
    kept::<i8, f32>()?;
    kept::<f64, f64>()
}
