//! Blocks whose scores change before they are weighed, and whose keys may be hidden.

use core::ops::Range;

use super::super::BLOCK;
use super::super::cache::KeyValues;
use super::super::state::{HEADER, padded};
use super::{Group, HEADS, runs, scores, values, weigh};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes};

/// Sums the keys `from..to` as [`block`](super::block) does, after `map` has changed the scaled
/// scores. A key whose score is minus infinity is hidden: its value is not read.
#[inline(always)]
pub(in super::super) fn mapped_block<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    map: impl FnOnce(&mut [T]),
    weights: &mut [T],
    part: &mut [T],
) {
    scaled_scores(cpu, group, memory, (from, to), weights);
    map(weights);
    let scaled = Group {
        scale: T::ONE,
        ..group
    };
    weigh(cpu, scaled, to - from, weights, part);
    visible_values::<_, _, false>(cpu, group, memory, (from, to), weights, part);
}

/// Writes the scaled scores of the keys `from..to` of one block.
pub(in super::super) fn scaled_scores<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    weights: &mut [T],
) {
    runs(
        group,
        memory,
        from,
        to,
        #[inline(always)]
        |run, len, at| scores(cpu, group, run.keys, len, at, weights),
    );
    scale(cpu, group.scale, to - from, weights);
}

/// Writes the dot products with the values of `from..to` of one block, in place of keys.
pub(in super::super) fn value_scores<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    weights: &mut [T],
) {
    runs(
        group,
        memory,
        from,
        to,
        #[inline(always)]
        |run, len, at| scores(cpu, group, run.values, len, at, weights),
    );
}

/// Adds the weighted keys of `from..to` of one block, in place of values; those without weight are
/// not read.
pub(in super::super) fn key_sums<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    block: (usize, usize),
    weights: &mut [T],
    part: &mut [T],
) {
    visible_values::<_, _, true>(cpu, group, memory, block, weights, part);
}

/// Multiplies the first `count` scores of each head by the scale.
#[inline(never)]
fn scale<T: Scalar>(cpu: Cpu, scale: T, count: usize, weights: &mut [T]) {
    dispatch!(cpu, isa => scale_all(isa, scale, count, weights));
}

#[inline(always)]
fn scale_all<S: Isa, T: Scalar>(isa: S, scale: T, count: usize, weights: &mut [T]) {
    let lanes = T::Lanes::<S>::LANES;
    let scale = T::Lanes::<S>::splat(isa, scale);
    for scores in weights.chunks_exact_mut(BLOCK) {
        let vectors = scores.chunks_exact_mut(lanes);
        for v in vectors.take(count.div_ceil(lanes)) {
            (scale * T::Lanes::<S>::load(isa, v)).store(v);
        }
    }
}

/// Adds the values of the keys that are not hidden, newest first; with `KEYS` the keys themselves.
///
/// Several heads share a pass over the keys that all of them see, if what one sees besides is newer;
/// else each goes by itself.
fn visible_values<T: Scalar, C: KeyValues<T>, const KEYS: bool>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    weights: &mut [T],
    part: &mut [T],
) {
    let whole = first(to - from);
    let own = |head: usize, weights: &[T]| {
        let weights = weights.get(head * BLOCK..).unwrap_or_default();
        weighty(weights.get(..to - from).unwrap_or_default())
    };
    let all = (0..group.heads).fold(whole, |all, head| all & own(head, weights));
    let together = if all == whole {
        group.heads.max(1)
    } else {
        HEADS
    };
    let mut add = |heads: Range<usize>, keys: u64, weights: &mut [T]| {
        some_values::<_, _, KEYS>(cpu, group, memory, (from, to), heads, keys, weights, part);
    };
    let mut head = 0;
    while head < group.heads {
        let heads = head..(head + together).min(group.heads);
        let mut common = heads
            .clone()
            .fold(whole, |common, head| common & own(head, weights));
        // Bits below the oldest that only some see.
        let rest = heads
            .clone()
            .fold(0, |rest, head| rest | (own(head, weights) & !common));
        let older = (rest & rest.wrapping_neg()).wrapping_sub(1);
        if common & !older != 0 {
            common = 0;
        }
        if rest != 0 || common == 0 {
            for head in heads.clone() {
                let keys = own(head, weights) & !common;
                add(head..head + 1, keys, weights);
            }
        }
        add(heads, common, weights);
        head += together;
    }
}

/// Returns a bit for each key that has a weight: zero is that of a hidden one alone.
#[inline(always)]
fn weighty<T: Scalar>(weights: &[T]) -> u64 {
    let mut bits = 0;
    for (key, &p) in weights.iter().take(BLOCK).enumerate() {
        bits |= u64::from(p != T::ZERO) << (key % BLOCK);
    }
    bits
}

/// Returns a bit for each of the first `count` keys of a block.
#[inline(always)]
pub(in super::super) fn first(count: usize) -> u64 {
    if count < BLOCK {
        (1 << count) - 1
    } else {
        u64::MAX
    }
}

/// Adds the values of the keys whose bit is set to some of the heads, newest first.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "a block, some of its heads and keys"
)]
fn some_values<T: Scalar, C: KeyValues<T>, const KEYS: bool>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    (from, to): (usize, usize),
    heads: Range<usize>,
    keys: u64,
    weights: &mut [T],
    part: &mut [T],
) {
    if keys == 0 {
        return;
    }
    let own = Group {
        heads: heads.len(),
        ..group
    };
    let len = padded(group.value_dim) + HEADER;
    let weights = weights.get_mut(heads.start * BLOCK..heads.end * BLOCK);
    let weights = weights.unwrap_or_default();
    let part = part.get_mut(heads.start * len..heads.end * len);
    let part = part.unwrap_or_default();
    runs(
        group,
        memory,
        from,
        to,
        #[inline(always)]
        |run, len, at| {
            let mut left = (keys >> (at % BLOCK)) & first(len);
            while left != 0 {
                // The newest keys that lie together.
                let above = left.leading_zeros();
                let ones = (left << above).leading_ones();
                let oldest = (u64::BITS - above - ones) as usize;
                let rows = if KEYS { run.keys } else { run.values };
                let rows = rows.skip(oldest);
                values(cpu, own, rows, ones as usize, at + oldest, weights, part);
                left &= first(oldest);
            }
        },
    );
}
