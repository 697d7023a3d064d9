//! xPos: rotation with an exponential decay over the distance.

use core::num::NonZero;

use super::angle::{self, Angle};
use super::fixed::{Fraction, log2_of_integer};
use super::layout::check_heads;
use super::source::Source;
use super::{Frequencies, HeadElement, HeadLayout, Rope, Turns, turn};
use crate::error::{Parameter, check_len};
use crate::math::exp::{exp_lanes, scale};
use crate::simd::{LANES, Lanes};
use crate::{Cpu, Error};

/// Rotates queries and keys by their position and scales them against each other, so that scores decay
/// with the distance.
///
/// Pair j of n turns by p theta_j as in [`Rope`]; a query is multiplied by zeta_j^(p / b) and a key by
/// zeta_j^(-p / b), with zeta_j = (2j + 0.4 d) / (1.4 d) for d = 2n rotated elements and the scale base
/// b, usually 512. A score then has zeta_j^((p - p') / b) in pair j. Sun et al. 2022, A
/// length-extrapolatable transformer, arXiv 2212.10554, as torchscale has it; there positions are
/// counted from the middle of the text.
///
/// * **Domain:** every position, but a factor is 2^(-1.81 p / b) at the least: in `f32` it leaves the
///   range of numbers, and becomes zero or infinite, from p = 70 b on. Positions around zero reach
///   farthest.
/// * **Accuracy:** the angle is that of [`Rope`]; with the factor, an element of the result is within 6
///   units of rounding (2^-24, 2^-53) of the length of its scaled pair. A temperature of the
///   frequencies applies as there.
/// * **Edges:** those of [`Rope`]; where a factor is infinite, both elements of a pair become infinite
///   or NaN.
/// * **Cost:** one exponential a pair and call beside what [`Rope`] takes. A call rotates heads at one
///   position.
///
/// ```
/// use suanzi::position::{Base, HeadLayout, Pairing, XPos};
///
/// let layout = HeadLayout::new(4, Pairing::Interleaved)?;
/// let xpos = XPos::new(layout, &Base::default(), 512, [[0_u64; 2]; 2])?;
/// let (mut query, mut key) = ([1.0_f32, 0.0, 1.0, 0.0], [1.0_f32, 0.0, 1.0, 0.0]);
/// xpos.rotate_queries(600, &mut query)?;
/// xpos.rotate_keys(600, &mut key)?;
/// // At the same position nothing decays.
/// let score: f32 = query.iter().zip(&key).map(|(q, k)| q * k).sum();
/// assert!((score - 2.0).abs() < 1e-6);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct XPos<T, S> {
    rope: Rope<T, S>,
    /// -log2(zeta) / b of each pair.
    octaves: S,
}

impl<T: Angle, S: AsRef<[T::Turns]> + AsMut<[T::Turns]>> XPos<T, S> {
    /// Returns the encoding of these heads; `storage` lends room for two numbers a pair.
    ///
    /// # Errors
    ///
    /// Those of [`Rope::new`], [`Error::Length`] unless the second storage has as many elements as the
    /// first, [`Parameter::Context`] if the scale base is below two, [`Parameter::RotaryDim`] from
    /// 2^32 / 7 pairs on.
    pub fn new(
        layout: HeadLayout,
        frequencies: &impl Frequencies,
        scale_base: u32,
        storage: [S; 2],
    ) -> Result<Self, Error> {
        let [turns, mut octaves] = storage;
        let (pairs, base) = match (u32::try_from(layout.pairs()), NonZero::new(scale_base)) {
            (_, None | Some(NonZero::<u32>::MIN)) => return Err(Error::Domain(Parameter::Context)),
            (Ok(pairs @ 0..MOST_PAIRS), Some(base)) => (pairs, base),
            _ => return Err(Error::Domain(Parameter::RotaryDim)),
        };
        check_len(layout.pairs(), octaves.as_mut().len())?;
        let rope = Rope::new(layout, frequencies, turns)?;
        let log2 = |n: u32| NonZero::new(n).map_or(0, log2_of_integer);
        for (pair, to) in (0_u32..).zip(octaves.as_mut()) {
            // zeta = (5j + 2n) / 7n; below three octaves, in units of 2^-96.
            let octaves = log2(7 * pairs).saturating_sub(log2(5 * pair + 2 * pairs));
            *to = T::narrowed(Turns(Fraction(
                ((octaves << 30) / NonZero::<u128>::from(base)) << 2,
            )));
        }
        Ok(Self { rope, octaves })
    }
}

/// From here on seven times the number of pairs is beyond 32 bits.
const MOST_PAIRS: u32 = u32::MAX / 7;

impl<T: Copy, S> XPos<T, S> {
    /// Moves the encoding to another level of the processor.
    #[inline]
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self {
            rope: self.rope.on(cpu),
            ..self
        }
    }
}

impl<T: Angle, S: AsRef<[T::Turns]>> XPos<T, S> {
    /// Rotates and scales the queries in `x`, all at one position, in place.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads.
    pub fn rotate_queries<X: HeadElement<T>>(&self, at: i32, x: &mut [X]) -> Result<(), Error> {
        self.turn(at, true, x)
    }

    /// Rotates and scales the keys in `x`, all at one position, in place.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads.
    pub fn rotate_keys<X: HeadElement<T>>(&self, at: i32, x: &mut [X]) -> Result<(), Error> {
        self.turn(at, false, x)
    }

    fn turn<X: HeadElement<T>>(&self, at: i32, falls: bool, x: &mut [X]) -> Result<(), Error> {
        let layout = self.rope.layout();
        check_heads(layout.head_dim(), x.len())?;
        let source = Decaying {
            turns: self.rope.turns.as_ref(),
            octaves: self.octaves.as_ref(),
            position: at,
            falls,
            factor: self.rope.temperature,
        };
        turn::one(self.rope.executor, layout, source, X::in_place(x));
        Ok(())
    }
}

/// Angles computed on the fly, times a power of two that need not be whole.
#[derive(Clone, Copy)]
struct Decaying<'a, T: Angle> {
    turns: &'a [T::Turns],
    octaves: &'a [T::Turns],
    position: i32,
    /// Whether the power falls where the position grows.
    falls: bool,
    factor: T,
}

impl<T: Angle> Source<T> for Decaying<'_, T> {
    #[inline(always)]
    fn sin_cos<V: Lanes<Element = T>>(self, isa: V::Isa, pair: usize) -> (V, V) {
        let turns = self.turns.get(pair..).unwrap_or_default();
        let octaves = self.octaves.get(pair..).unwrap_or_default();
        let (sin, cos): (V, V) = angle::sin_cos(
            isa,
            turns,
            #[inline(always)]
            |_, turns| T::times(turns, self.position),
        );
        let mut whole = [T::ZERO; LANES];
        let mut part = [T::ZERO; LANES];
        let lanes = whole.iter_mut().zip(&mut part).zip(octaves);
        for ((whole, part), &octaves) in lanes.take(V::LANES) {
            let rises = T::octaves(octaves, self.position);
            (*whole, *part) = T::cut_octaves(if self.falls { -rises } else { rises });
        }
        let part = V::load(isa, &part) * V::splat(isa, T::LN_2);
        let (first, second) = scale(isa, V::load(isa, &whole));
        let factor = exp_lanes(isa, part) * V::splat(isa, self.factor) * first * second;
        (sin * factor, cos * factor)
    }
}
