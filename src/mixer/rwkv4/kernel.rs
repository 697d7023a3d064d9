//! Sums of decaying weights, and how two of them join.

use core::mem;

use super::{ARRAYS, Rwkv4Token};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::math::exp::factor_lanes;
use crate::math::twofold::{fast_two_sum, two_product, two_sum};
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Lanes, One};

/// Returns the four arrays of a state.
#[inline(always)]
pub(super) fn arrays<T>(state: &mut [T], channels: usize) -> [&mut [T]; ARRAYS] {
    let (numerators, rest) = state.split_at_mut_checked(channels).unwrap_or_default();
    let (denominators, rest) = rest.split_at_mut_checked(channels).unwrap_or_default();
    let (maxima, remainders) = rest.split_at_mut_checked(channels).unwrap_or_default();
    [numerators, denominators, maxima, remainders]
}

/// Takes whole tokens; the parameters are decay and bonus.
#[inline(never)]
pub(super) fn run<T: Scalar>(
    cpu: Cpu,
    parameters: [&[T]; 2],
    state: &mut [T],
    tokens: &Rwkv4Token<'_, T>,
    out: &mut [T],
) {
    dispatch!(cpu, isa => run_lanes::<T::Lanes<_>>(isa, parameters, state, tokens, out));
}

/// Takes whole tokens: in each, whole vectors of channels, then those left over.
#[inline(always)]
fn run_lanes<V: Lanes>(
    isa: V::Isa,
    parameters: [&[V::Element]; 2],
    state: &mut [V::Element],
    tokens: &Rwkv4Token<'_, V::Element>,
    out: &mut [V::Element],
) {
    let [decay, bonus] = parameters;
    let channels = decay.len().max(1);
    let whole = channels - channels % V::LANES;
    // Tokens are cut off one by one: chunks of an unknown length would be counted by a division.
    let (mut keys, mut values, mut outs) = (tokens.key, tokens.value, out);
    while let (Some((key, next_keys)), Some((value, next_values)), Some((out, next_outs))) = (
        keys.split_at_checked(channels),
        values.split_at_checked(channels),
        mem::take(&mut outs).split_at_mut_checked(channels),
    ) {
        (keys, values, outs) = (next_keys, next_values, next_outs);
        let [read, read_rest] = cut([key, value, decay, bonus], whole);
        let [written, written_rest] = cut_mut(arrays(state, channels), whole);
        let (out, out_rest) = out.split_at_mut_checked(whole).unwrap_or_default();
        step::<V>(isa, read, written, out);
        step::<<V::Element as Compute>::Lanes<One>>(One, read_rest, written_rest, out_rest);
    }
}

/// Cuts each slice in two.
#[inline(always)]
fn cut<T>(x: [&[T]; ARRAYS], at: usize) -> [[&[T]; ARRAYS]; 2] {
    let (mut start, mut rest) = (x, x);
    for ((start, rest), x) in start.iter_mut().zip(&mut rest).zip(x) {
        (*start, *rest) = x.split_at_checked(at).unwrap_or_default();
    }
    [start, rest]
}

/// Cuts each slice in two.
#[inline(always)]
fn cut_mut<T>(x: [&mut [T]; ARRAYS], at: usize) -> [[&mut [T]; ARRAYS]; 2] {
    let [a, b, c, d] = x.map(
        #[inline(always)]
        |x| x.split_at_mut_checked(at).unwrap_or_default(),
    );
    [[a.0, b.0, c.0, d.0], [a.1, b.1, c.1, d.1]]
}

/// Takes one token in whole vectors of channels: key, value, decay, bonus.
#[inline(always)]
fn step<V: Lanes>(
    isa: V::Isa,
    read: [&[V::Element]; ARRAYS],
    state: [&mut [V::Element]; ARRAYS],
    out: &mut [V::Element],
) {
    let least = V::splat(isa, V::Element::NEG_INFINITY);
    let zero = V::splat(isa, V::Element::ZERO);
    let one = V::splat(isa, V::Element::ONE);
    let nan = V::splat(isa, V::Element::NAN);
    let [k, v, w, u] = read;
    let (k, v) = (k.chunks_exact(V::LANES), v.chunks_exact(V::LANES));
    let (w, u) = (w.chunks_exact(V::LANES), u.chunks_exact(V::LANES));
    let read = k.zip(v).zip(w.zip(u));
    let written = vectors::<V>(state).zip(out.chunks_exact_mut(V::LANES));
    for ((state, out), ((k, v), (w, u))) in written.zip(read) {
        let past = Sums::<V>::load(isa, &state);
        let k = V::load(isa, k);
        let masked = k.eq(least);
        let now = Sums {
            numerator: V::select(masked, zero, V::load(isa, v)),
            denominator: one,
            // An infinity less itself is no number.
            maximum: V::select(masked, least, k + (k - k)),
            remainder: zero,
        };
        let seen = past.join(isa, now, V::load(isa, u));
        let empty = seen.denominator.eq(zero);
        let y = seen.numerator / V::select(empty, one, seen.denominator);
        V::select(y.eq(y), y, nan).store(out);
        let past = past.decayed(isa, V::load(isa, w), zero);
        past.join(isa, now, zero).store(isa, state);
    }
}

/// Returns the four arrays as vectors of channels.
#[inline(always)]
fn vectors<V: Lanes>(
    state: [&mut [V::Element]; ARRAYS],
) -> impl Iterator<Item = [&mut [V::Element]; ARRAYS]> {
    let [a, b, m, r] = state;
    let (a, b) = (a.chunks_exact_mut(V::LANES), b.chunks_exact_mut(V::LANES));
    let (m, r) = (m.chunks_exact_mut(V::LANES), r.chunks_exact_mut(V::LANES));
    a.zip(b).zip(m.zip(r)).map(
        #[inline(always)]
        |((a, b), (m, r))| [a, b, m, r],
    )
}

/// Sums of weights and weighted values in units of exp(maximum + remainder).
#[derive(Clone, Copy)]
struct Sums<V> {
    numerator: V,
    denominator: V,
    maximum: V,
    remainder: V,
}

impl<V: Lanes> Sums<V> {
    #[inline(always)]
    fn load(isa: V::Isa, [a, b, m, r]: &[&mut [V::Element]; ARRAYS]) -> Self {
        Self {
            numerator: V::load(isa, a),
            denominator: V::load(isa, b),
            maximum: V::load(isa, m),
            remainder: V::load(isa, r),
        }
    }

    #[inline(always)]
    fn store(self, isa: V::Isa, to: [&mut [V::Element]; ARRAYS]) {
        let nan = V::splat(isa, V::Element::NAN);
        let from = [
            self.numerator,
            self.denominator,
            self.maximum,
            self.remainder,
        ];
        for (to, x) in to.into_iter().zip(from) {
            V::select(x.eq(x), x, nan).store(to);
        }
    }

    /// Returns the sums decayed by exp(shift + low).
    #[inline(always)]
    fn decayed(self, isa: V::Isa, shift: V, low: V) -> Self {
        let zero = V::splat(isa, V::Element::ZERO);
        let (m, lost) = two_sum(self.maximum, shift);
        let (maximum, remainder) = fast_two_sum(m, self.remainder + (lost + low));
        // An infinity has no remainder.
        let finite = (m - m).eq(zero);
        Self {
            maximum: V::select(finite, maximum, m),
            remainder: V::select(finite, remainder, zero),
            ..self
        }
    }

    /// Joins the sums of what came later, with `extra` added to their exponents.
    ///
    /// One of the two keeps its unit, so that one exponential is enough. Where that is the later one,
    /// sums in units of exp(-inf) vanish.
    #[inline(always)]
    fn join(self, isa: V::Isa, later: Self, extra: V) -> Self {
        let least = V::splat(isa, V::Element::NEG_INFINITY);
        let zero = V::splat(isa, V::Element::ZERO);
        let one = V::splat(isa, V::Element::ONE);
        let ahead = (later.maximum - self.maximum) + (later.remainder - self.remainder) + extra;
        let ahead = V::select(later.maximum.eq(least), least, ahead);
        let factor = factor_lanes(isa, -ahead.abs());
        let ahead = zero.lt(ahead);
        let f = V::select(ahead, factor, one);
        let f = V::select(self.maximum.eq(least), zero, f);
        let g = V::select(ahead, one, factor);
        Self {
            numerator: later.numerator.mul_add(g, self.numerator * f),
            denominator: later.denominator.mul_add(g, self.denominator * f),
            maximum: V::select(ahead, later.maximum, self.maximum),
            remainder: V::select(ahead, later.remainder, self.remainder),
        }
    }
}

/// Joins the sums of later tokens, of which there were `steps`.
#[inline(never)]
pub(super) fn join<T: Scalar>(cpu: Cpu, decay: &[T], state: &mut [T], later: &[T], steps: u64) {
    // A count is exact up to the integers that the type has; far beyond nothing is left.
    let steps = T::from_count(usize::try_from(steps).unwrap_or(usize::MAX));
    dispatch!(cpu, isa => join_lanes::<T::Lanes<_>>(isa, decay, state, later, steps));
}

/// [`join`]: whole vectors of channels, then those left over.
#[inline(always)]
fn join_lanes<V: Lanes>(
    isa: V::Isa,
    decay: &[V::Element],
    state: &mut [V::Element],
    later: &[V::Element],
    steps: V::Element,
) {
    let channels = decay.len();
    let whole = channels - channels % V::LANES;
    let (mut parts, mut rest) = ([&[][..]; ARRAYS], later);
    for part in &mut parts {
        (*part, rest) = rest.split_at_checked(channels).unwrap_or_default();
    }
    let [later, later_rest] = cut(parts, whole);
    let [state, state_rest] = cut_mut(arrays(state, channels), whole);
    let (decay, decay_rest) = decay.split_at_checked(whole).unwrap_or_default();
    join_vectors::<V>(isa, decay, state, later, steps);
    let one = join_vectors::<<V::Element as Compute>::Lanes<One>>;
    one(One, decay_rest, state_rest, later_rest, steps);
}

/// [`join`] in whole vectors.
#[inline(always)]
fn join_vectors<V: Lanes>(
    isa: V::Isa,
    decay: &[V::Element],
    state: [&mut [V::Element]; ARRAYS],
    later: [&[V::Element]; ARRAYS],
    steps: V::Element,
) {
    let zero = V::splat(isa, V::Element::ZERO);
    let [a, b, m, r] = later;
    let (a, b) = (a.chunks_exact(V::LANES), b.chunks_exact(V::LANES));
    let (m, r) = (m.chunks_exact(V::LANES), r.chunks_exact(V::LANES));
    let later = a.zip(b).zip(m.zip(r));
    let decay = decay.chunks_exact(V::LANES);
    for ((state, w), ((a, b), (m, r))) in vectors::<V>(state).zip(decay).zip(later) {
        let later = Sums {
            numerator: V::load(isa, a),
            denominator: V::load(isa, b),
            maximum: V::load(isa, m),
            remainder: V::load(isa, r),
        };
        let mut past = Sums::<V>::load(isa, &state);
        if steps > V::Element::ZERO {
            let (shift, low) = two_product(V::load(isa, w), V::splat(isa, steps));
            let low = V::select((shift - shift).eq(zero), low, zero);
            past = past.decayed(isa, shift, low);
        }
        past.join(isa, later, zero).store(isa, state);
    }
}
