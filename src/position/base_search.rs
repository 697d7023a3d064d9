//! Which base a context length needs.

use super::similarity::{Expansion, PAIRS, Spectrum};
use crate::cpu::dispatch;
use crate::error::Parameter;
use crate::simd::Isa;
use crate::{Cpu, Error};

/// The greatest logarithm of a base.
const GREATEST: f64 = 700.0;
/// The least step in the logarithm of the base.
const LEAST: f64 = 1e-13;
/// Distances that are looked at in full when all were scanned.
const FEW: usize = 32;
/// Distances that are remembered, because f was negative there.
const REMEMBERED: usize = 64;

/// How a base bounds the context: f(m) = sum_i cos(m b^(-2i/R)) over the pairs of R rotated elements.
///
/// 2 sigma^2 f(m) is how much more attention a key like the query gets than a random one, at distance
/// m (Men et al., 2024, arXiv:2405.14591; Su Jianlin, kexue.fm/archives/10122). Where it is negative
/// the order is reversed: a base *holds* a context L if f(m) >= 0 for every integer m below L. Larger bases
/// do not always hold longer contexts; the bases that hold one form many intervals.
///
/// * **Domain:** even R up to 512, contexts up to 2^31.
/// * **Accuracy:** f within R (1e-13 + 2e-15 m); bases and ends of intervals to 2e-9 of themselves, by
///   golden values up to L = 65536.
/// * **Cost:** a scan takes two operations for each pair and two distances, 75 KiB of stack and no other
///   memory; the smallest base for a context takes some hundred scans, see
///   [`smallest_base`](Self::smallest_base). Needs `f64` and a processor for desks.
///
/// ```
/// use suanzi::position::BaseSearch;
///
/// let search = BaseSearch::new(128)?;
/// assert_eq!(search.longest_context(10_000.0, 1 << 20)?, 1707);
/// let base = search.smallest_base(1024, 1.5, |_| ())?;
/// assert!((base / 4293.437_569 - 1.0).abs() < 1e-9);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BaseSearch {
    pairs: usize,
    executor: Cpu,
}

impl BaseSearch {
    /// Returns the search for heads with `rotary_dim` rotated elements.
    ///
    /// # Errors
    ///
    /// [`Parameter::RotaryDim`] if it is odd, zero or above 512.
    pub fn new(rotary_dim: usize) -> Result<Self, Error> {
        let pairs = rotary_dim / 2;
        if !rotary_dim.is_multiple_of(2) || pairs == 0 || pairs > PAIRS {
            return Err(Error::Domain(Parameter::RotaryDim));
        }
        Ok(Self {
            pairs,
            executor: Cpu::default(),
        })
    }

    /// Moves the search to another executor.
    #[must_use]
    pub const fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Returns f(m) of a base.
    ///
    /// # Errors
    ///
    /// [`Parameter::Base`] unless the base is within \[1, 10^304).
    pub fn similarity(&self, base: f64, m: u32) -> Result<f64, Error> {
        let u = logarithm(base)?;
        let pairs = self.pairs;
        Ok(dispatch!(self.executor, isa => {
            Spectrum::new(isa, pairs, u).expand(isa, m.into()).value
        }))
    }

    /// Returns the longest context that a base holds, which is the least positive m with f(m) < 0, but no
    /// more than `limit`.
    ///
    /// # Errors
    ///
    /// [`Parameter::Base`] unless the base is within \[1, 10^304).
    pub fn longest_context(&self, base: f64, limit: u32) -> Result<u32, Error> {
        let u = logarithm(base)?;
        let pairs = self.pairs;
        Ok(dispatch!(self.executor, isa => longest(isa, pairs, u, limit)))
    }

    /// Returns the smallest base from `from` on that holds a context.
    ///
    /// No base is skipped that holds: from a base with f(m) < 0 the search goes as far as f(m), its
    /// derivative in ln b and a bound of the second derivative leave f(m) negative. Where that bound says
    /// nothing more the base grows by 1e-13 of itself. `progress` sees the base after every scan.
    ///
    /// A longer context needs no smaller base, so that one search may begin where another ended: so
    /// `examples/rope_base.rs` takes under a second for R = 128 up to 32768, and about a minute for each of
    /// 2^18 to 2^20.
    ///
    /// # Errors
    ///
    /// [`Parameter::Base`] unless `from` is within \[1, 10^304), and if no base below that holds: so for
    /// R = 2.
    pub fn smallest_base(
        &self,
        context: u32,
        from: f64,
        mut progress: impl FnMut(f64),
    ) -> Result<f64, Error> {
        logarithm(from)?;
        let pairs = self.pairs;
        let found = dispatch!(self.executor, isa => {
            smallest(isa, pairs, context, from, &mut progress)
        });
        found.ok_or(Error::Domain(Parameter::Base))
    }

    /// Returns where the interval of bases ends that hold a context with `base`, or 10^304: each base
    /// from `base` on and below it holds.
    ///
    /// With [`smallest_base`](Self::smallest_base) from there on it lists the intervals. Every scan goes
    /// as far as the derivative of f allows for all distances, so that long intervals of long contexts take
    /// many.
    ///
    /// # Errors
    ///
    /// [`Parameter::Base`] unless the base is within \[1, 10^304) and holds the context.
    pub fn interval_end(
        &self,
        context: u32,
        base: f64,
        mut progress: impl FnMut(f64),
    ) -> Result<f64, Error> {
        let u = logarithm(base)?;
        let pairs = self.pairs;
        let end = dispatch!(self.executor, isa => {
            if longest(isa, pairs, u, context) < context {
                None
            } else {
                Some(interval(isa, pairs, context, u, &mut progress))
            }
        });
        end.ok_or(Error::Domain(Parameter::Base))
    }
}

/// Returns what a sum that was scanned may be off by: one below is evaluated again.
fn scanned(pairs: usize, context: u32) -> f64 {
    1e-9 + pairs as f64 * f64::from(context) * f64::EPSILON
}

/// Returns the logarithm of a base.
fn logarithm(base: f64) -> Result<f64, Error> {
    let u = libm::log(base);
    if (0.0..GREATEST).contains(&u) {
        Ok(u)
    } else {
        Err(Error::Domain(Parameter::Base))
    }
}

/// [`BaseSearch::longest_context`] for the base exp(u).
#[inline(always)]
fn longest<S: Isa>(isa: S, pairs: usize, u: f64, limit: u32) -> u32 {
    let spectrum = Spectrum::new(isa, pairs, u);
    let (mut longest, scanned) = (limit, scanned(pairs, limit));
    spectrum.scan(isa, limit.into(), |start, values| {
        for (m, &value) in (start..).zip(values) {
            if m >= limit.into() {
                return false;
            }
            if value < scanned && spectrum.expand(isa, m as f64).value < 0.0 {
                longest = m as u32;
                return false;
            }
        }
        true
    });
    longest
}

/// The distances with the least of some measure, and the least measure of all others.
struct Least {
    kept: [(f64, f64); FEW],
    rest: f64,
}

impl Least {
    fn new() -> Self {
        Self {
            kept: [(f64::INFINITY, 0.0); FEW],
            rest: f64::INFINITY,
        }
    }

    /// Looks at a distance: the greatest kept gives way.
    #[inline(always)]
    fn see(&mut self, measure: f64, m: u64) {
        if measure >= self.rest {
            return;
        }
        let mut new = (measure, m as f64);
        for kept in &mut self.kept {
            if new.0 < kept.0 {
                core::mem::swap(kept, &mut new);
            }
        }
        self.rest = new.0;
    }

    fn distances(&self) -> impl Iterator<Item = f64> {
        let numbers = self.kept.iter().filter(|kept| kept.0 < f64::INFINITY);
        numbers.map(|kept| kept.1)
    }
}

/// [`BaseSearch::smallest_base`].
#[inline(always)]
fn smallest<S: Isa>(
    isa: S,
    pairs: usize,
    context: u32,
    from: f64,
    progress: &mut impl FnMut(f64),
) -> Option<f64> {
    let mut u = libm::log(from);
    let (mut remembered, scanned) = ([0.0; REMEMBERED], scanned(pairs, context));
    while u < GREATEST {
        let spectrum = Spectrum::new(isa, pairs, u);
        let (mut step, mut place) = (0.0, 0);
        let numbers = remembered.iter().enumerate().filter(|(_, m)| **m > 0.0);
        for (i, &m) in numbers {
            let reach = spectrum.expand(isa, m).negative_for();
            if reach > step {
                (step, place) = (reach, i);
            }
        }
        if step > 0.0 {
            // The last that helped comes first.
            if let Some(front) = remembered.get_mut(..=place)
                && let Some(&first) = front.last()
            {
                put_first(first, front);
            }
            u += if step > LEAST { step } else { LEAST };
            continue;
        }
        // A base is what its logarithm rounds to, so that it holds when it is asked for.
        let base = libm::exp(u).max(from);
        u = libm::log(base);
        progress(base);
        let spectrum = Spectrum::new(isa, pairs, u);
        let mut least = Least::new();
        spectrum.scan(isa, context.into(), |start, values| {
            for (m, &value) in (start..context.into()).zip(values) {
                if value < scanned {
                    // Steps are about this long.
                    least.see(value / m as f64, m);
                }
            }
            true
        });
        let mut holds = true;
        for m in least.distances() {
            if spectrum.expand(isa, m).value < 0.0 {
                holds = false;
                if !remembered.contains(&m) {
                    put_first(m, &mut remembered);
                }
            }
        }
        if holds {
            return Some(base);
        }
    }
    None
}

/// [`BaseSearch::interval_end`] from exp(u) on.
#[inline(always)]
fn interval<S: Isa>(
    isa: S,
    pairs: usize,
    context: u32,
    mut u: f64,
    progress: &mut impl FnMut(f64),
) -> f64 {
    while u < GREATEST {
        progress(libm::exp(u));
        let spectrum = Spectrum::new(isa, pairs, u);
        let mut least = Least::new();
        spectrum.scan(isa, context.into(), |start, values| {
            for (m, &value) in (start..context.into()).zip(values).skip_while(|x| x.0 == 0) {
                // As far as the first derivative cannot bring f to zero.
                least.see(value / (m as f64 * spectrum.first), m);
            }
            true
        });
        let mut step = least.rest;
        for m in least.distances() {
            let reach = spectrum.expand(isa, m).positive_for();
            step = if reach < step { reach } else { step };
        }
        if step < 1e-12 {
            break;
        }
        u += step;
    }
    libm::exp(u)
}

impl Expansion {
    /// Returns how far u may grow with f < 0 for certain, zero if it is not.
    #[inline(always)]
    fn negative_for(&self) -> f64 {
        if self.value >= 0.0 {
            return 0.0;
        }
        // The positive root of value + slope h + bend h^2 / 2.
        let root = libm::sqrt(self.slope * self.slope - 2.0 * self.bend * self.value);
        let step = if self.slope > 0.0 {
            -2.0 * self.value / (self.slope + root)
        } else {
            (root - self.slope) / self.bend
        };
        if step.is_nan() { GREATEST } else { step }
    }

    /// Returns how far u may grow with f >= 0 for certain.
    #[inline(always)]
    fn positive_for(&self) -> f64 {
        let value = if self.value > 0.0 { self.value } else { 0.0 };
        let root = libm::sqrt(self.slope * self.slope + 2.0 * self.bend * value);
        // The positive root of value + slope h - bend h^2 / 2.
        let step = if self.slope < 0.0 {
            2.0 * value / (root - self.slope)
        } else {
            (self.slope + root) / self.bend
        };
        if step.is_nan() { GREATEST } else { step }
    }
}

/// Puts `m` first; the last one drops out.
fn put_first<T: Copy>(m: T, x: &mut [T]) {
    let mut carried = m;
    for x in x {
        core::mem::swap(x, &mut carried);
    }
}
