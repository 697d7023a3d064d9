//! The executor on the processor: which instruction set runs, and in which arithmetic.

use crate::Error;

/// An instruction set that kernels are compiled for.
///
/// Levels are ordered by preference within one architecture; [`Cpu::levels`] lists those that the
/// processor at hand runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Level {
    /// One lane, no vector instructions: every target.
    Scalar,
    /// x86 with SSE2: four lanes of `f32`.
    Sse2,
    /// x86-64-v2, with SSE4.2: four lanes.
    Sse42,
    /// x86-64-v3, with AVX2 and FMA: eight lanes.
    Avx2,
    /// AVX-512 as of Ice Lake: sixteen lanes.
    Avx512,
    /// AArch64 with NEON: four lanes.
    Neon,
    /// WebAssembly with simd128: four lanes.
    Simd128,
}

impl Level {
    /// Every level, present or not.
    pub const ALL: [Self; 7] = [
        Self::Scalar,
        Self::Sse2,
        Self::Sse42,
        Self::Avx2,
        Self::Avx512,
        Self::Neon,
        Self::Simd128,
    ];
}

/// Runs kernels on the processor: a `Copy` token of an instruction set and an arithmetic.
///
/// [`Cpu::default`] takes the best instruction set and computes in the portable order, which gives
/// the same bits on every level and every target; the level changes the speed alone. [`Cpu::fused`]
/// uses fused multiply-add and native widths where the processor has them and promises only the
/// error bound.
///
/// With the feature `std` the instruction set is detected at run time, once; without it the one
/// that the crate is compiled for is taken. Without the feature `simd` there is one lane.
///
/// ```
/// use suanzi::Cpu;
///
/// let here = Cpu::default();
/// let anywhere = Cpu::scalar();
/// println!("{:?}, and the same bits as {:?}", here.level(), anywhere.level());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    repr: Repr,
    fused: bool,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Cpu {
    fn format(&self, to: defmt::Formatter<'_>) {
        let fused = if self.fused { ", fused" } else { "" };
        defmt::write!(to, "{}{=str}", self.level(), fused);
    }
}

/// What [`Cpu`] dispatches on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repr {
    One,
    #[cfg(feature = "simd")]
    Wide(fearless::Level),
}

#[cfg(feature = "simd")]
pub(crate) use fearless_simd as fearless;

impl Default for Cpu {
    /// Returns the best instruction set of this processor, in the portable order.
    #[inline]
    fn default() -> Self {
        Self {
            repr: Repr::detect(),
            fused: false,
        }
    }
}

impl Cpu {
    /// Returns the one-lane executor: the portable order without vector instructions.
    #[inline]
    #[must_use]
    pub const fn scalar() -> Self {
        Self {
            repr: Repr::One,
            fused: false,
        }
    }

    /// Returns the best instruction set of this processor with fused arithmetic.
    ///
    /// Results hold their error bound, but their bits depend on the level. Where the processor has
    /// no fused multiply-add this is [`Cpu::default`].
    #[inline]
    #[must_use]
    pub fn fused() -> Self {
        Self {
            repr: Repr::detect(),
            fused: true,
        }
    }

    /// Returns the executor of one level, in the portable order.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if this processor, or this build of the crate, lacks the level.
    pub fn with(level: Level) -> Result<Self, Error> {
        let repr = if level == Level::Scalar {
            Some(Repr::One)
        } else {
            Repr::detect().at(level)
        };
        repr.map(|repr| Self { repr, fused: false })
            .ok_or(Error::Unsupported)
    }

    /// Lists the levels that run here, [`Level::Scalar`] first.
    pub fn levels() -> impl Iterator<Item = Level> {
        Level::ALL
            .into_iter()
            .filter(|&level| Self::with(level).is_ok())
    }

    /// Returns the level.
    #[inline]
    #[must_use]
    pub fn level(self) -> Level {
        self.repr.level()
    }

    /// Returns whether the arithmetic is the fused one.
    #[inline]
    #[must_use]
    pub const fn is_fused(self) -> bool {
        self.fused
    }

    /// Returns this level with fused or portable arithmetic.
    #[inline]
    #[must_use]
    pub const fn with_fused(self, fused: bool) -> Self {
        Self { fused, ..self }
    }

    /// Returns what [`dispatch!`] branches on.
    #[inline(always)]
    pub(crate) const fn parts(self) -> (Repr, bool) {
        (self.repr, self.fused)
    }
}

#[cfg(not(feature = "simd"))]
impl Repr {
    const fn detect() -> Self {
        Self::One
    }

    const fn at(self, _: Level) -> Option<Self> {
        None
    }

    const fn level(self) -> Level {
        Level::Scalar
    }
}

#[cfg(feature = "simd")]
impl Repr {
    #[inline]
    fn detect() -> Self {
        let level = fearless::Level::try_detect().unwrap_or(fearless::Level::baseline());
        if level.is_fallback() {
            Self::One
        } else {
            Self::Wide(level)
        }
    }

    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fn at(self, level: Level) -> Option<Self> {
        use fearless::Simd;
        let Self::Wide(best) = self else { return None };
        let level = match level {
            Level::Sse2 => best.as_sse2()?.level(),
            Level::Sse42 => best.as_sse4_2()?.level(),
            Level::Avx2 => best.as_avx2()?.level(),
            Level::Avx512 => best.as_avx512()?.level(),
            _ => return None,
        };
        Some(Self::Wide(level))
    }

    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    fn at(self, level: Level) -> Option<Self> {
        (self.level() == level && level != Level::Scalar).then_some(self)
    }

    fn level(self) -> Level {
        match self {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Wide(fearless::Level::Sse2(_)) => Level::Sse2,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Wide(fearless::Level::Sse4_2(_)) => Level::Sse42,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Wide(fearless::Level::Avx2(_)) => Level::Avx2,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Wide(fearless::Level::Avx512(_)) => Level::Avx512,
            #[cfg(target_arch = "aarch64")]
            Self::Wide(fearless::Level::Neon(_)) => Level::Neon,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Wide(fearless::Level::WasmSimd128(_)) => Level::Simd128,
            _ => Level::Scalar,
        }
    }
}

/// Runs `f` with the fused arithmetic of an instruction set that has it.
#[cfg(all(
    feature = "simd",
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")
))]
#[inline(always)]
pub(crate) fn fused<S: fearless::Simd, R>(
    token: S,
    f: impl FnOnce(crate::simd::Wide<S, true>) -> R,
) -> R {
    token.vectorize(
        #[inline(always)]
        || f(crate::simd::Wide(token)),
    )
}

/// Runs `$body` with `$isa` bound to the token of the executor `$cpu`.
///
/// The body is compiled once for each level, so it is one call of an `#[inline(always)]` function
/// that is generic over [`Isa`](crate::simd::Isa).
#[cfg(feature = "simd")]
macro_rules! dispatch {
    ($cpu:expr, $isa:ident => $body:expr) => {
        match $cpu.parts() {
            ($crate::cpu::Repr::One, _) => {
                let $isa = $crate::simd::One;
                $body
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            ($crate::cpu::Repr::Wide($crate::cpu::fearless::Level::Avx512(token)), true) => {
                $crate::cpu::fused(token, #[inline(always)] |$isa| $body)
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            ($crate::cpu::Repr::Wide($crate::cpu::fearless::Level::Avx2(token)), true) => {
                $crate::cpu::fused(token, #[inline(always)] |$isa| $body)
            }
            #[cfg(target_arch = "aarch64")]
            ($crate::cpu::Repr::Wide($crate::cpu::fearless::Level::Neon(token)), true) => {
                $crate::cpu::fused(token, #[inline(always)] |$isa| $body)
            }
            ($crate::cpu::Repr::Wide(level), _) => {
                $crate::cpu::fearless::dispatch!(level, token => {
                    let $isa = $crate::simd::Wide::<_, false>(token);
                    $body
                })
            }
        }
    };
}

#[cfg(not(feature = "simd"))]
macro_rules! dispatch {
    ($cpu:expr, $isa:ident => $body:expr) => {{
        let $crate::cpu::Repr::One = $cpu.parts().0;
        let $isa = $crate::simd::One;
        $body
    }};
}

pub(crate) use dispatch;
