//! The weights of many queries: a vector holds one key's of several.

use super::super::super::BLOCK;
use super::super::super::state::{HEADER, Head, Reference, padded};
use super::super::Group;
use super::{Counts, PANEL};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::math::exp::ScaledExp;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes};

/// Turns scores into weights; opens the part of each query with reference and sum.
#[inline(never)]
pub(super) fn weigh<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    counts: &Counts,
    weights: &mut [T],
    part: &mut [T],
) {
    dispatch!(cpu, isa => weigh_all(isa, group, counts, weights, part));
}

#[inline(always)]
fn weigh_all<S: Isa, T: Scalar>(
    isa: S,
    group: Group<'_, T>,
    counts: &Counts,
    weights: &mut [T],
    part: &mut [T],
) {
    let lanes = T::Lanes::<S>::LANES;
    let mut parts = part.chunks_exact_mut((padded(group.value_dim) + HEADER).max(1));
    for (panel, &count) in weights.chunks_exact_mut(BLOCK * PANEL).zip(counts) {
        for column in (0..PANEL).step_by(lanes) {
            let heads = weigh_column(isa, group.scale, count, column, panel);
            for head in heads.iter().take(lanes) {
                if let Some((_, to)) = parts.next().and_then(<[T]>::split_last_chunk_mut) {
                    head.write(to);
                }
            }
        }
    }
}

/// Turns the scores of one vector of queries into weights, returns their references and sums.
#[inline(always)]
fn weigh_column<S: Isa, T: Scalar>(
    isa: S,
    scale: T,
    count: usize,
    column: usize,
    panel: &mut [T],
) -> [Head<T>; PANEL] {
    let lanes = T::Lanes::<S>::LANES;
    let [masked, zero, scale] = [T::NEG_INFINITY, T::ZERO, scale].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let rows = panel.as_chunks_mut::<PANEL>().0;
    let rows = rows.get_mut(..count).unwrap_or_default();
    let mut max = masked;
    for row in &mut *rows {
        let Some(v) = row.chunks_exact_mut(lanes).nth(column / lanes) else {
            break;
        };
        let score = scale * T::Lanes::<S>::load(isa, v);
        score.store(v);
        max = score.max(max);
    }
    let mut greatest = [T::NEG_INFINITY; PANEL];
    max.store(&mut greatest);
    let mut heads = [Head::NONE; PANEL];
    let (mut centers, mut exponents) = ([T::ZERO; PANEL], [T::ZERO; PANEL]);
    let references = centers.iter_mut().zip(&mut exponents);
    for ((head, &max), (center, exponent)) in heads.iter_mut().zip(&greatest).zip(references) {
        head.reference = Reference::of(max);
        *center = head.reference.center;
        if head.reference.exponent != T::NEG_INFINITY {
            *exponent = head.reference.exponent;
        }
    }
    let center = T::Lanes::<S>::load(isa, &centers);
    let exponent = T::Lanes::<S>::load(isa, &exponents);
    let exp = ScaledExp::<T::Lanes<S>>::unraised_each(isa, exponent);
    let mut nan = zero.lt(zero);
    let mut sum = zero;
    for row in rows.iter_mut().rev() {
        let Some(v) = row.chunks_exact_mut(lanes).nth(column / lanes) else {
            break;
        };
        let score = T::Lanes::<S>::load(isa, v);
        let p = exp.of(isa, score - center);
        nan = T::Lanes::<S>::or(nan, score.is_nan());
        let p = T::Lanes::<S>::select(score.eq(masked), zero, p);
        p.store(v);
        sum = sum + p;
    }
    let mut sums = [T::ZERO; PANEL];
    sum.store(&mut sums);
    let nan = T::Lanes::<S>::bits(nan);
    for (i, (head, &sum)) in heads.iter_mut().zip(&sums).take(lanes).enumerate() {
        head.sum = sum;
        if nan >> i & 1 == 1 {
            head.reference = Reference::of(T::NAN);
        }
    }
    heads
}
