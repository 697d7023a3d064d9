//! Weights: the exponentials of a block's scores, their reference and their sum.

use super::super::BLOCK;
use super::super::state::{HEADER, Head, Reference, heads_mut, padded};
use super::{Group, HEADS};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes};

/// Turns the first `count` scores of each head into weights; opens the head's part with their
/// reference, their sum and no values.
#[inline(never)]
pub(super) fn weigh<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    count: usize,
    weights: &mut [T],
    part: &mut [T],
) {
    let dim = group.value_dim;
    dispatch!(cpu, isa => {
        let mut head = 0;
        while head < group.heads {
            let part = part.get_mut(head * (padded(dim) + HEADER)..).unwrap_or_default();
            let weights = weights.get_mut(head * BLOCK..).unwrap_or_default();
            let mut references = [Reference::NONE; HEADS];
            for (weights, reference) in weights.chunks_exact_mut(BLOCK).zip(&mut references) {
                *reference = weigh_head(isa, group.scale, count, weights);
            }
            let sums = sum(weights, count);
            let heads = heads_mut(part, dim).zip(references).zip(sums);
            for (((values, head), reference), sum) in heads {
                values.fill(T::ZERO);
                Head { reference, sum }.write(head);
            }
            head += HEADS;
        }
    });
}

/// Returns the sum of the first `count` weights of each head, newest first.
///
/// The chains of additions hide each other's latency.
#[inline(always)]
fn sum<T: Scalar>(weights: &[T], count: usize) -> [T; HEADS] {
    let mut sums = [T::ZERO; HEADS];
    for row in (0..count).rev() {
        for (h, sum) in sums.iter_mut().enumerate() {
            if let Some(&p) = weights.get(h * BLOCK + row) {
                *sum = *sum + p;
            }
        }
    }
    sums
}

/// Turns one head's dot products into weights, returns their reference.
#[inline(always)]
fn weigh_head<S: Isa, T: Scalar>(isa: S, scale: T, count: usize, scores: &mut [T]) -> Reference<T> {
    let lanes = T::Lanes::<S>::LANES;
    let [masked, scale] = [T::NEG_INFINITY, scale].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let vectors = count.div_ceil(lanes);
    for v in scores.chunks_exact_mut(lanes).take(vectors) {
        (scale * T::Lanes::<S>::load(isa, v)).store(v);
    }
    for score in scores.iter_mut().take(vectors * lanes).skip(count) {
        *score = T::NEG_INFINITY;
    }
    let mut max = masked;
    for v in scores.chunks_exact(lanes).take(vectors) {
        max = T::Lanes::<S>::load(isa, v).max(max);
    }
    let mut stored = [T::NEG_INFINITY; LANES];
    max.store(&mut stored);
    let mut max = T::NEG_INFINITY;
    for &lane in stored.iter().take(lanes) {
        max = if max > lane { max } else { lane };
    }
    let reference = Reference::of(max);
    let exp = reference.exp::<T::Lanes<S>>(isa);
    let [zero, center] = [T::ZERO, reference.center].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let mut nan = false;
    for v in scores.chunks_exact_mut(lanes).take(vectors) {
        let score = T::Lanes::<S>::load(isa, v);
        let p = exp.of(isa, score - center);
        nan |= T::Lanes::<S>::any(score.is_nan());
        T::Lanes::<S>::select(score.eq(masked), zero, p).store(v);
    }
    if nan {
        return Reference::of(T::NAN);
    }
    reference
}
