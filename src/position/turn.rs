//! The rotation itself: one loop for both pairings, every width, tables and angles on the fly.
//!
//! A block of pairs takes its cosines and sines once and turns that block in every head of the token.
//! Half-split pairs lie in two runs of equal length, so that y0 = x0 c - x1 s and y1 = x1 c + x0 s are
//! plain vector lines. Interleaved pairs keep their order: cosine and sine are spread over the two
//! places of each pair, and the line is y = x c' + swap(x) s', where s' carries the sign. Both give the
//! same bits: the products are the same and a sum does not depend on its order.
//!
//! What counts is that heads are walked in the order of memory. Vectors of 64 bytes have enough registers
//! for a block that is a whole head of the usual size. Narrower ones read half-split rows as they lie in
//! the table, and spread interleaved ones in memory once a token, where tokens come several at a time and
//! have heads enough to pay it.
//!
//! What is left over of a row after whole blocks goes through single vectors, then one lane. The sum
//! of all results tells whether one of them is NaN; only then are they visited again, to give every
//! NaN the same bits.

use super::angle::Angle;
use super::heads::{Heads, store};
use super::source::{Row, Source};
use super::{HeadLayout, Pairing};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, Lanes, One};

/// Heads that are turned before the next block of pairs is, where they lie beyond the caches.
const SHARE: usize = 8;
/// Bytes beyond all caches: from there on memory is asked ahead.
const FAR: usize = 4 << 20;
/// Heads ahead of which memory is asked.
const AHEAD: usize = 4;
/// Vectors of pairs in a block.
const BLOCK: usize = 2;
/// Vectors of pairs in a block where a vector has 64 bytes: four take half of 32 registers.
const WIDE_BLOCK: usize = 4;
/// Heads of a token from which on its cosines and sines are spread in memory.
const FEW: usize = 4;
/// The most elements of a head whose cosines and sines are spread in memory.
const SPREAD: usize = 256;

/// Turns whole heads by the same angles.
pub(super) fn one<T: Angle, F: Source<T>>(
    cpu: Cpu,
    layout: HeadLayout,
    source: F,
    mut x: impl Heads<T>,
) {
    let span = Span {
        at: 0,
        count: x.len() / layout.head_dim().max(1),
        far: false,
    };
    dispatch!(cpu, isa => token(isa, layout, span, source, None, &mut x));
}

/// Turns `heads` heads of each token by its own angles.
pub(super) fn each<T: Angle, F: Source<T>>(
    cpu: Cpu,
    layout: HeadLayout,
    heads: usize,
    sources: impl Iterator<Item = F>,
    mut x: impl Heads<T>,
) {
    dispatch!(cpu, isa => tokens(isa, layout, heads, sources, &mut x));
}

/// Turns `heads` heads of each token, the token's cosines and sines from `sources`.
#[inline(always)]
fn tokens<S: Isa, T: Angle, F: Source<T>>(
    isa: S,
    layout: HeadLayout,
    heads: usize,
    sources: impl Iterator<Item = F>,
    x: &mut impl Heads<T>,
) {
    let far = x.len() > FAR / size_of::<T>();
    let share = if far { SHARE } else { heads };
    // Wide blocks have a whole head of the usual size in registers.
    let spreads = layout.pairing() == Pairing::Interleaved
        && T::Lanes::<S>::LANES > 1
        && !is_wide::<T::Lanes<S>>()
        && heads >= FEW
        && layout.rotary_dim() <= SPREAD;
    let mut spread = spreads.then(Spread::new);
    let mut at = 0;
    for source in sources {
        let mut left = heads;
        while left > 0 {
            let count = left.min(share);
            let span = Span { at, count, far };
            token::<S, T, F>(isa, layout, span, source, spread.as_mut(), x);
            at += count * layout.head_dim();
            left -= count;
        }
    }
}

/// The cosines and sines of interleaved pairs, at the places of their elements; sines with their sign.
///
/// Aligned so that no vector of them lies across two lines of the cache.
#[repr(align(64))]
pub(super) struct Spread<T> {
    cos: [T; SPREAD],
    sin: [T; SPREAD],
}

impl<T: Angle> Spread<T> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            cos: [T::ZERO; SPREAD],
            sin: [T::ZERO; SPREAD],
        }
    }

    /// Spreads those of whole vectors of pairs; returns the rows.
    #[inline(always)]
    fn fill<V: Lanes<Element = T>>(
        &mut self,
        isa: V::Isa,
        source: impl Source<T>,
        pairs: usize,
    ) -> Row<'_, T> {
        let whole = pairs / V::LANES * V::LANES;
        let cosines = self.cos.chunks_exact_mut(2 * V::LANES);
        let sines = self.sin.chunks_exact_mut(2 * V::LANES);
        let mut pair = 0;
        for (cosines, sines) in cosines.zip(sines).take(whole / V::LANES) {
            let (sin, cos): (V, V) = source.sin_cos(isa, pair);
            let (c0, c1) = cos.interleave(cos);
            let (s0, s1) = (-sin).interleave(sin);
            store([c0, c1], cosines);
            store([s0, s1], sines);
            pair += V::LANES;
        }
        let (cos, sin) = (self.cos.get(..2 * whole), self.sin.get(..2 * whole));
        Row {
            cos: cos.unwrap_or_default(),
            sin: sin.unwrap_or_default(),
        }
    }
}

/// Returns whether vectors are so wide, and registers so many, that wide blocks pay.
#[inline(always)]
const fn is_wide<V>() -> bool {
    size_of::<V>() == 64
}

/// Some heads of one token, the first at element `at`.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub(super) at: usize,
    pub(super) count: usize,
    /// Whether they lie beyond the caches.
    pub(super) far: bool,
}

/// Turns the heads of a span.
#[inline(always)]
pub(super) fn token<S: Isa, T: Angle, F: Source<T>>(
    isa: S,
    layout: HeadLayout,
    span: Span,
    source: F,
    spread: Option<&mut Spread<T>>,
    x: &mut impl Heads<T>,
) {
    let mut pair = 0;
    let mut nan = false;
    if T::Lanes::<S>::LANES > 1 {
        let whole = layout.pairs() / T::Lanes::<S>::LANES * T::Lanes::<S>::LANES;
        if is_wide::<T::Lanes<S>>() {
            nan |= blocks::<T::Lanes<S>, F, WIDE_BLOCK>(isa, layout, span, source, x, &mut pair);
        }
        match (source.row(), spread) {
            (Some(row), _) if layout.pairing() == Pairing::HalfSplit && pair == 0 => {
                nan |= lines::<T::Lanes<S>>(isa, layout, span, row, x);
                pair = whole;
            }
            (_, Some(spread)) => {
                let row = spread.fill::<T::Lanes<S>>(isa, source, layout.pairs());
                nan |= spread_lines::<T::Lanes<S>>(isa, layout, span, row, x);
                pair = whole;
            }
            _ => {
                nan |= blocks::<T::Lanes<S>, F, BLOCK>(isa, layout, span, source, x, &mut pair);
                nan |= blocks::<T::Lanes<S>, F, 1>(isa, layout, span, source, x, &mut pair);
            }
        }
    }
    nan |= blocks::<T::Lanes<One>, F, 1>(One, layout, span, source, x, &mut pair);
    if nan {
        one_nan(layout, span, x);
    }
    let rest = layout.head_dim() - layout.rotary_dim();
    if rest > 0 {
        let mut at = span.at + layout.rotary_dim();
        for _ in 0..span.count {
            x.copy(at, rest);
            at += layout.head_dim();
        }
    }
}

/// Replaces every NaN among the rotated elements by the one that stands for all.
#[cold]
fn one_nan<T: Angle>(layout: HeadLayout, span: Span, x: &mut impl Heads<T>) {
    let mut at = span.at;
    for _ in 0..span.count {
        x.one_nan(at, layout.rotary_dim());
        at += layout.head_dim();
    }
}

/// Turns half-split heads along a row of a table, head after head; returns whether a result may be
/// NaN.
#[inline(always)]
fn lines<V: Lanes<Element: Angle>>(
    isa: V::Isa,
    layout: HeadLayout,
    span: Span,
    row: Row<'_, V::Element>,
    x: &mut impl Heads<V::Element>,
) -> bool {
    let mut poison = V::splat(isa, V::Element::ZERO);
    x.halves(
        isa,
        layout,
        span,
        row,
        #[inline(always)]
        |a: V, b, cos, sin| {
            let y = a.mul_add(cos, -(b * sin));
            let z = b.mul_add(cos, a * sin);
            poison = poison + (y + z);
            (y, z)
        },
    );
    V::any(poison.is_nan())
}

/// Turns interleaved heads along spread rows, head after head; returns whether a result may be NaN.
#[inline(always)]
fn spread_lines<V: Lanes<Element: Angle>>(
    isa: V::Isa,
    layout: HeadLayout,
    span: Span,
    row: Row<'_, V::Element>,
    x: &mut impl Heads<V::Element>,
) -> bool {
    let mut poison = V::splat(isa, V::Element::ZERO);
    x.neighbors(
        isa,
        layout,
        span,
        row,
        #[inline(always)]
        |[a, b]: [V; 2], [c0, c1], [s0, s1]| {
            let (p, q) = a.swap_neighbors(b);
            let y = a.mul_add(c0, p * s0);
            let z = b.mul_add(c1, q * s1);
            poison = poison + (y + z);
            [y, z]
        },
    );
    V::any(poison.is_nan())
}

/// Turns whole blocks of `N` vectors of pairs, from pair `pair` on, which moves to the first pair
/// left; returns whether a result may be NaN.
#[inline(always)]
fn blocks<V: Lanes<Element: Angle>, F: Source<V::Element>, const N: usize>(
    isa: V::Isa,
    layout: HeadLayout,
    span: Span,
    source: F,
    x: &mut impl Heads<V::Element>,
    pair: &mut usize,
) -> bool {
    let zero = V::splat(isa, V::Element::ZERO);
    let mut poison = [zero; N];
    while layout.pairs() - *pair >= N * V::LANES {
        let mut sin = [zero; N];
        let mut cos = [zero; N];
        let mut lane = 0;
        for (sin, cos) in sin.iter_mut().zip(&mut cos) {
            (*sin, *cos) = source.sin_cos(isa, *pair + lane);
            lane += V::LANES;
        }
        match layout.pairing() {
            Pairing::HalfSplit => {
                let mut first = span.at + *pair;
                for _ in 0..span.count {
                    let second = first + layout.pairs();
                    if span.far {
                        x.ask::<V>(first + AHEAD * layout.head_dim(), N * V::LANES);
                        x.ask::<V>(second + AHEAD * layout.head_dim(), N * V::LANES);
                    }
                    let (a, b): ([V; N], [V; N]) = (x.load(isa, first), x.load(isa, second));
                    let mut y = [zero; N];
                    let mut z = [zero; N];
                    for i in 0..N {
                        y[i] = a[i].mul_add(cos[i], -(b[i] * sin[i]));
                        z[i] = b[i].mul_add(cos[i], a[i] * sin[i]);
                        poison[i] = poison[i] + (y[i] + z[i]);
                    }
                    x.store(first, y);
                    x.store(second, z);
                    first += layout.head_dim();
                }
            }
            Pairing::Interleaved => {
                let mut spread = [[zero; 4]; N];
                for ((spread, &cos), &sin) in spread.iter_mut().zip(&cos).zip(&sin) {
                    let (c0, c1) = cos.interleave(cos);
                    let (s0, s1) = (-sin).interleave(sin);
                    *spread = [c0, c1, s0, s1];
                }
                let mut at = span.at + 2 * *pair;
                for _ in 0..span.count {
                    let mut place = at;
                    for (&[c0, c1, s0, s1], poison) in spread.iter().zip(&mut poison) {
                        if span.far {
                            x.ask::<V>(place + AHEAD * layout.head_dim(), 2 * V::LANES);
                        }
                        let [a, b]: [V; 2] = x.load(isa, place);
                        let (p, q) = a.swap_neighbors(b);
                        let y = a.mul_add(c0, p * s0);
                        let z = b.mul_add(c1, q * s1);
                        *poison = *poison + (y + z);
                        x.store(place, [y, z]);
                        place += 2 * V::LANES;
                    }
                    at += layout.head_dim();
                }
            }
        }
        *pair += N * V::LANES;
    }
    let mut nan = false;
    for poison in poison {
        nan |= V::any(poison.is_nan());
    }
    nan
}
