//! The dot products of many queries with the keys of a block.

use super::super::super::BLOCK;
use super::super::super::state::padded;
use super::super::Group;
use super::PANEL;
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes};

/// The partial sums of a dot product in the order in which a tree joins neighbors.
const ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/// The heights of the subtrees of [`ORDER`], the whole tree aside.
const HEIGHTS: usize = 4;

/// Writes the dot products of every query with the first `count` rows.
#[inline(never)]
pub(super) fn scores<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &mut [T],
) {
    dispatch!(cpu, isa => score_all(isa, group, count, rows, weights));
}

#[inline(always)]
fn score_all<S: Isa, T: Scalar>(
    isa: S,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &mut [T],
) {
    if T::Lanes::<S>::LANES == PANEL {
        score::<_, _, 8, 1>(isa, group, count, rows, weights);
    } else {
        score::<_, _, 4, 2>(isa, group, count, rows, weights);
    }
}

/// Writes the dot products, `KEYS` keys and `VECTORS` vectors of queries at a time.
#[inline(always)]
fn score<S: Isa, T: Scalar, const KEYS: usize, const VECTORS: usize>(
    isa: S,
    group: Group<'_, T>,
    count: usize,
    rows: &[T],
    weights: &mut [T],
) {
    let dim = padded(group.key_dim);
    let panels = group.query.chunks_exact((dim * PANEL).max(1));
    let mut weights = weights.chunks_exact_mut(BLOCK * PANEL);
    for query in panels {
        let weights = weights.next().unwrap_or_default();
        let query = query.as_chunks::<PANEL>().0.as_chunks::<LANES>().0;
        let mut key = 0;
        while key < count {
            let mut keys = [&[][..]; KEYS];
            for (k, x) in keys.iter_mut().enumerate() {
                let row = rows.get((key + k).min(count - 1) * dim..);
                *x = row
                    .and_then(|row| row.get(..dim))
                    .unwrap_or_default()
                    .as_chunks()
                    .0;
            }
            for column in (0..PANEL).step_by(VECTORS * T::Lanes::<S>::LANES) {
                let dots = dots::<T::Lanes<S>, KEYS, VECTORS>(isa, query, keys, column);
                let to = weights.chunks_exact_mut(PANEL).skip(key);
                for (dots, to) in dots.iter().zip(to) {
                    let to = to.get_mut(column..).unwrap_or_default();
                    let to = to.chunks_exact_mut(T::Lanes::<S>::LANES);
                    dots.iter().zip(to).for_each(|(dot, to)| dot.store(to));
                }
            }
            key += KEYS;
        }
    }
}

/// Returns the dot products of keys with the queries from `column` of a panel on.
#[inline(always)]
fn dots<V: Lanes, const KEYS: usize, const VECTORS: usize>(
    isa: V::Isa,
    query: &[[[V::Element; PANEL]; LANES]],
    keys: [&[[V::Element; LANES]]; KEYS],
    column: usize,
) -> [[V; VECTORS]; KEYS] {
    let mut keys = keys;
    for x in &mut keys {
        let Some(same) = x.get(..query.len()) else {
            return [[V::splat(isa, V::Element::NAN); VECTORS]; KEYS];
        };
        *x = same;
    }
    // The partial sums that share a chain of additions.
    let chain = if V::Isa::FUSED { 4 } else { 1 };
    // The sum of a complete subtree of each height, in memory.
    let mut subtrees = [[[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS]; HEIGHTS];
    let mut whole = subtrees[0];
    for (number, lanes) in ORDER.chunks_exact(chain).enumerate() {
        let mut sums = add::<V, KEYS, VECTORS>(isa, query, keys, column, lanes);
        let mut height = 0;
        while number >> height & 1 == 1 {
            for (sums, others) in sums.iter_mut().zip(&subtrees[height % HEIGHTS]) {
                for (sum, &other) in sums.iter_mut().zip(others) {
                    *sum = other + *sum;
                }
            }
            height += 1;
        }
        subtrees[height % HEIGHTS] = sums;
        whole = sums;
    }
    whole
}

/// Returns the products of the elements whose number modulo sixteen is among `lanes`, added up.
#[inline(always)]
fn add<V: Lanes, const KEYS: usize, const VECTORS: usize>(
    isa: V::Isa,
    query: &[[[V::Element; PANEL]; LANES]],
    keys: [&[[V::Element; LANES]]; KEYS],
    column: usize,
    lanes: &[usize],
) -> [[V; VECTORS]; KEYS] {
    let mut sums = [[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS];
    for &lane in lanes {
        for (c, query) in query.iter().enumerate() {
            let query = query[lane % LANES].chunks_exact(V::LANES);
            let mut v = [V::splat(isa, V::Element::ZERO); VECTORS];
            for (v, query) in v.iter_mut().zip(query.skip(column / V::LANES)) {
                *v = V::load(isa, query);
            }
            let Some(k) = numbers(keys, c, lane) else {
                break;
            };
            for (&k, sums) in k.iter().zip(&mut sums) {
                let k = V::splat(isa, k);
                for (sum, &v) in sums.iter_mut().zip(&v) {
                    *sum = v.mul_add(k, *sum);
                }
            }
        }
    }
    sums
}

/// Returns one element of each key.
///
/// All are there, which the compiler does not see: leaving is cheaper than a value for it.
#[inline(always)]
fn numbers<T: Scalar, const KEYS: usize>(
    keys: [&[[T; LANES]]; KEYS],
    chunk: usize,
    lane: usize,
) -> Option<[T; KEYS]> {
    let mut numbers = [T::ZERO; KEYS];
    for (number, x) in numbers.iter_mut().zip(keys) {
        *number = x.get(chunk)?[lane % LANES];
    }
    Some(numbers)
}
