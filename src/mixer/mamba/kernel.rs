//! The selective scan, sixteen channels at a time.

use core::mem;

use super::{Parameters, ScanToken};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::math::exp::factor_lanes;
use crate::math::sigmoid::softplus_lanes;
use crate::nn::Silu;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::dot::{DOTS, join, one};
use crate::simd::{LANES, Lanes, One};

/// Takes tokens; every length is checked.
#[inline(never)]
pub(super) fn scan<T: Scalar>(
    cpu: Cpu,
    p: &Parameters<'_, T>,
    x: &ScanToken<'_, T>,
    state: &mut [T],
    out: &mut [T],
) {
    dispatch!(cpu, isa => scan_lanes::<T::Lanes<_>>(isa, p, x, state, out));
}

/// Takes tokens, for sixteen channels after the other.
#[inline(always)]
fn scan_lanes<V: Lanes>(
    isa: V::Isa,
    p: &Parameters<'_, V::Element>,
    x: &ScanToken<'_, V::Element>,
    state: &mut [V::Element],
    out: &mut [V::Element],
) {
    let (channels, states) = (p.channels, p.states.max(1));
    let (mut state_left, mut a_left) = (state, p.a);
    let mut first = 0;
    while first < channels {
        let width = LANES.min(channels.saturating_sub(first));
        let len = width.saturating_mul(states);
        let (Some(state), Some(a)) = (cut_mut(&mut state_left, len), cut(&mut a_left, len)) else {
            return;
        };
        let (mut at, mut spoiled) = (first, false);
        let (mut b_left, mut c_left) = (x.b, x.c);
        while let (Some(b), Some(c)) = (cut(&mut b_left, states), cut(&mut c_left, states)) {
            let u = sixteen(x.input, at, width);
            let d = steps::<V>(isa, p, sixteen(x.step, at, width), first, width);
            let du = lanewise::<V>(
                isa,
                width,
                d,
                u,
                #[inline(always)]
                |d, u| d * u,
            );
            let mut y = [V::Element::ZERO; LANES];
            let (mut rows, mut a_rows) = (&mut *state, a);
            if V::LANES == 1 {
                // One sum at a time: a microcontroller's stack is small.
                for ((&d, &du), y) in d.iter().zip(&du).zip(&mut y) {
                    let (Some(h), Some(a)) = (cut_mut(&mut rows, states), cut(&mut a_rows, states))
                    else {
                        break;
                    };
                    decay_and_add::<V>(isa, [d, du], h, [a, b, c], &mut [V::Element::ZERO; LANES]);
                    *y = one(c, h);
                }
            }
            let several = if V::LANES == 1 { 0 } else { LANES };
            let numbers = d.chunks_exact(DOTS).zip(du.chunks_exact(DOTS));
            let groups = y.get_mut(..several).unwrap_or_default();
            for ((d, du), y) in numbers.zip(groups.chunks_exact_mut(DOTS)) {
                let mut sums = [[V::Element::ZERO; LANES]; DOTS];
                for ((&d, &du), sums) in d.iter().zip(du).zip(&mut sums) {
                    let (Some(h), Some(a)) = (cut_mut(&mut rows, states), cut(&mut a_rows, states))
                    else {
                        break;
                    };
                    decay_and_add::<V>(isa, [d, du], h, [a, b, c], sums);
                }
                for (y, sum) in y.iter_mut().zip(join::<V>(isa, &mut sums)) {
                    *y = sum;
                }
            }
            spoiled = y.iter().any(
                #[inline(always)]
                |y| y != y,
            );
            if !p.skip.is_empty() {
                let skip = lanewise::<V>(
                    isa,
                    width,
                    sixteen(p.skip, first, width),
                    u,
                    #[inline(always)]
                    |skip, u| skip * u,
                );
                y = lanewise::<V>(
                    isa,
                    width,
                    y,
                    skip,
                    #[inline(always)]
                    |y, skip| y + skip,
                );
            }
            if let Some(gate) = x.gate {
                let silu = Silu::<V>::new(isa);
                y = lanewise::<V>(
                    isa,
                    width,
                    y,
                    sixteen(gate, at, width),
                    #[inline(always)]
                    |y, z| y * silu.of(isa, z),
                );
            }
            let nan = V::splat(isa, V::Element::NAN);
            y = lanewise::<V>(
                isa,
                width,
                y,
                y,
                #[inline(always)]
                |y, _| V::select(y.eq(y), y, nan),
            );
            put(&y, out, at, width);
            at += channels;
        }
        // A NaN in the state stays there and shows in each sum.
        if spoiled {
            canonical(state);
        }
        first += LANES;
    }
}

/// Cuts `len` elements off the front, if there are as many. Chunks of an unknown length would be counted
/// by a division.
#[inline(always)]
fn cut<'a, T>(x: &mut &'a [T], len: usize) -> Option<&'a [T]> {
    let (front, rest) = x.split_at_checked(len)?;
    *x = rest;
    Some(front)
}

/// [`cut`] for what is written.
#[inline(always)]
fn cut_mut<'a, T>(x: &mut &'a mut [T], len: usize) -> Option<&'a mut [T]> {
    let (front, rest) = mem::take(x).split_at_mut_checked(len)?;
    *x = rest;
    Some(front)
}

/// Returns `len` elements from `at` on, at most sixteen, and zeros behind them.
#[inline(always)]
fn sixteen<T: Scalar>(x: &[T], at: usize, len: usize) -> [T; LANES] {
    let x = x.get(at..).unwrap_or_default();
    if let Some(x) = x.first_chunk()
        && len == LANES
    {
        return *x;
    }
    let mut some = [T::ZERO; LANES];
    for (to, &from) in some.iter_mut().zip(x).take(len) {
        *to = from;
    }
    some
}

/// Writes the first `len` elements of sixteen from `at` on.
#[inline(always)]
fn put<T: Scalar>(x: &[T; LANES], out: &mut [T], at: usize, len: usize) {
    let out = out.get_mut(at..).unwrap_or_default();
    if let Some(out) = out.first_chunk_mut()
        && len == LANES
    {
        *out = *x;
        return;
    }
    for (to, &from) in out.iter_mut().zip(x).take(len) {
        *to = from;
    }
}

/// Maps the first `len` of sixteen elements; what is behind them is unspecified.
#[inline(always)]
fn lanewise<V: Lanes>(
    isa: V::Isa,
    len: usize,
    mut x: [V::Element; LANES],
    y: [V::Element; LANES],
    map: impl Fn(V, V) -> V,
) -> [V::Element; LANES] {
    let pairs = x.chunks_exact_mut(V::LANES).zip(y.chunks_exact(V::LANES));
    for (x, y) in pairs.take(len.div_ceil(V::LANES)) {
        let v = map(V::load(isa, x), V::load(isa, y));
        v.store(x);
    }
    x
}

/// Returns the steps d of up to sixteen channels.
#[inline(always)]
fn steps<V: Lanes>(
    isa: V::Isa,
    p: &Parameters<'_, V::Element>,
    delta: [V::Element; LANES],
    first: usize,
    width: usize,
) -> [V::Element; LANES] {
    if !p.softplus {
        return delta;
    }
    let bias = sixteen(p.bias, first, width);
    lanewise::<V>(
        isa,
        width,
        delta,
        bias,
        #[inline(always)]
        |delta, bias| softplus_lanes(isa, delta + bias),
    )
}

/// Takes one token in one channel: h = exp(d a) h + (d u) b, and adds c h to the sums of sixteen lanes.
/// The parts of the channel and of the token are a, b, c.
#[inline(always)]
fn decay_and_add<V: Lanes>(
    isa: V::Isa,
    numbers: [V::Element; 2],
    h: &mut [V::Element],
    parts: [&[V::Element]; 3],
    sums: &mut [V::Element; LANES],
) {
    let (h, h_rest) = h.as_chunks_mut::<LANES>();
    let [(a, a_rest), (b, b_rest), (c, c_rest)] = parts.map(
        #[inline(always)]
        |x| x.as_chunks::<LANES>(),
    );
    for ((h, a), (b, c)) in h.iter_mut().zip(a).zip(b.iter().zip(c)) {
        lanes::<V>(isa, numbers, h, [a, b, c], sums);
    }
    if h_rest.is_empty() {
        return;
    }
    // Whole vectors, then single elements.
    let whole = h_rest.len() - h_rest.len() % V::LANES;
    let (Some((h, h_rest)), Some((sums, sums_rest))) = (
        h_rest.split_at_mut_checked(whole),
        sums.split_at_mut_checked(whole),
    ) else {
        return;
    };
    let [(a, a_rest), (b, b_rest), (c, c_rest)] = [a_rest, b_rest, c_rest].map(
        #[inline(always)]
        |x| x.split_at_checked(whole).unwrap_or_default(),
    );
    lanes::<V>(isa, numbers, h, [a, b, c], sums);
    let rest = [a_rest, b_rest, c_rest];
    lanes::<<V::Element as Compute>::Lanes<One>>(One, numbers, h_rest, rest, sums_rest);
}

/// [`decay_and_add`] for at most sixteen elements, whole vectors of them.
#[inline(always)]
fn lanes<V: Lanes>(
    isa: V::Isa,
    numbers: [V::Element; 2],
    h: &mut [V::Element],
    parts: [&[V::Element]; 3],
    sums: &mut [V::Element],
) {
    let [d, du] = numbers.map(
        #[inline(always)]
        |x| V::splat(isa, x),
    );
    let [a, b, c] = parts;
    let (a, b) = (a.chunks_exact(V::LANES), b.chunks_exact(V::LANES));
    let read = a.zip(b).zip(c.chunks_exact(V::LANES));
    let written = h
        .chunks_exact_mut(V::LANES)
        .zip(sums.chunks_exact_mut(V::LANES));
    for ((h, sum), ((a, b), c)) in written.zip(read) {
        let factor = factor_lanes(isa, d * V::load(isa, a));
        let new = V::load(isa, h).mul_add(factor, du * V::load(isa, b));
        new.store(h);
        let total = V::load(isa, c).mul_add(new, V::load(isa, sum));
        total.store(sum);
    }
}

/// Replaces each NaN by the one that stands for all.
#[inline(never)]
fn canonical<T: Scalar>(x: &mut [T]) {
    for x in x {
        *x = crate::scalar::canonical(*x);
    }
}
