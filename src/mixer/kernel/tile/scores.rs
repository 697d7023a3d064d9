//! The dot products of many queries with the keys of a block.

use super::super::super::BLOCK;
use super::super::Group;
use super::{Counts, PANEL, Vectors};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::scalar::sealed::Compute;
use crate::simd::{Isa, LANES, Lanes};

/// The partial sums of a dot product in the order in which a tree joins neighbors.
const ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/// The heights of the subtrees of [`ORDER`], the whole tree aside.
const HEIGHTS: usize = 4;

/// The sum of a complete subtree of each height, for each of the dot products that are taken together.
type Subtrees<V> = [[V; 12]; HEIGHTS];

/// Writes the dot products of the queries of each panel with as many keys as count for it.
#[inline(never)]
pub(super) fn scores<T: Scalar>(
    cpu: Cpu,
    group: Group<'_, T>,
    counts: &Counts,
    keys: Vectors<'_, T>,
    weights: &mut [T],
) {
    dispatch!(cpu, isa => score(isa, group, counts, keys, weights));
}

#[inline(always)]
fn score<S: Isa, T: Scalar>(
    isa: S,
    group: Group<'_, T>,
    counts: &Counts,
    keys: Vectors<'_, T>,
    weights: &mut [T],
) {
    let lanes = T::Lanes::<S>::LANES;
    // Lent to every dot product, since it would cost as much to clear as to add up.
    let mut subtrees = [[T::Lanes::<S>::splat(isa, T::ZERO); 12]; HEIGHTS];
    let queries = group.query.chunks_exact((keys.dim * PANEL).max(1));
    let weights = weights.chunks_exact_mut(BLOCK * PANEL);
    for ((query, weights), &count) in queries.zip(weights).zip(counts) {
        let query = query.as_chunks::<PANEL>().0.as_chunks::<LANES>().0;
        let mut panel = Panel {
            query,
            keys,
            count,
            weights,
            subtrees: &mut subtrees,
        };
        let mut key = 0;
        while key < count {
            key += if lanes == PANEL {
                panel.some::<8, 1>(isa, key)
            } else if lanes > 1 && S::FUSED && count - key > 4 {
                panel.some::<6, 2>(isa, key)
            } else if lanes > 1 && count - key > 4 {
                // Products take a register until they are added.
                panel.some::<5, 2>(isa, key)
            } else {
                panel.some::<4, 2>(isa, key)
            };
        }
    }
}

/// The queries of a panel and what becomes of them.
struct Panel<'a, V: Lanes> {
    query: &'a [[[V::Element; PANEL]; LANES]],
    keys: Vectors<'a, V::Element>,
    count: usize,
    weights: &'a mut [V::Element],
    subtrees: &'a mut Subtrees<V>,
}

impl<V: Lanes> Panel<'_, V> {
    /// Writes the dot products with the keys from `key` on, `VECTORS` vectors of queries at a time; returns how many
    /// keys.
    #[inline(always)]
    fn some<const KEYS: usize, const VECTORS: usize>(&mut self, isa: V::Isa, key: usize) -> usize {
        let mut keys = [&[][..]; KEYS];
        for (k, x) in keys.iter_mut().enumerate() {
            *x = self.keys.row((key + k).min(self.count - 1)).as_chunks().0;
        }
        for column in (0..PANEL).step_by(VECTORS * V::LANES) {
            let dots = dots::<V, KEYS, VECTORS>(isa, self.query, keys, column, self.subtrees);
            let to = self.weights.chunks_exact_mut(PANEL).skip(key);
            for (dots, to) in dots.iter().zip(to) {
                let to = to.get_mut(column..).unwrap_or_default();
                let to = to.chunks_exact_mut(V::LANES);
                dots.iter().zip(to).for_each(|(dot, to)| dot.store(to));
            }
        }
        KEYS
    }
}

/// Chunks whose products share a chain of additions in fused arithmetic.
const CHAIN: usize = 4;

/// Returns the dot products of keys with the queries from `column` of a panel on.
#[inline(always)]
fn dots<V: Lanes, const KEYS: usize, const VECTORS: usize>(
    isa: V::Isa,
    query: &[[[V::Element; PANEL]; LANES]],
    keys: [&[[V::Element; LANES]]; KEYS],
    column: usize,
    subtrees: &mut Subtrees<V>,
) -> [[V; VECTORS]; KEYS] {
    let mut whole = [[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS];
    let mut keys = keys;
    for x in &mut keys {
        // As many of each, which saves looking.
        let Some(same) = x.get(..query.len()) else {
            return [[V::splat(isa, V::Element::NAN); VECTORS]; KEYS];
        };
        *x = same;
    }
    if V::Isa::FUSED {
        for (i, query) in query.chunks(CHAIN).enumerate() {
            let mut sums = [[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS];
            for (c, query) in query.iter().enumerate() {
                let Some(keys) = each(keys, |x| x.get(i * CHAIN + c)) else {
                    break;
                };
                for (lane, query) in query.iter().enumerate() {
                    let k = keys.map(
                        #[inline(always)]
                        |x| x[lane % LANES],
                    );
                    add(isa, query, k, column, &mut sums);
                }
            }
            let sums = sums.as_flattened().iter();
            for (whole, &sum) in whole.as_flattened_mut().iter_mut().zip(sums) {
                *whole = *whole + sum;
            }
        }
        return whole;
    }
    for (number, lane) in ORDER.into_iter().enumerate() {
        let mut sums = [[V::splat(isa, V::Element::ZERO); VECTORS]; KEYS];
        for (c, query) in query.iter().enumerate() {
            let Some(k) = each(keys, |x| x.get(c).map(|x| x[lane % LANES])) else {
                break;
            };
            add(isa, &query[lane % LANES], k, column, &mut sums);
        }
        let mut height = 0;
        while number >> height & 1 == 1 {
            let others = &subtrees[height % HEIGHTS];
            for (sum, &other) in sums.as_flattened_mut().iter_mut().zip(others) {
                *sum = other + *sum;
            }
            height += 1;
        }
        let own = &mut subtrees[height % HEIGHTS];
        for (to, &sum) in own.iter_mut().zip(sums.as_flattened()) {
            *to = sum;
        }
        whole = sums;
    }
    whole
}

/// Adds the products of one element of each key and the same of several queries.
#[inline(always)]
fn add<V: Lanes, const KEYS: usize, const VECTORS: usize>(
    isa: V::Isa,
    query: &[V::Element; PANEL],
    keys: [V::Element; KEYS],
    column: usize,
    sums: &mut [[V; VECTORS]; KEYS],
) {
    let query = query.chunks_exact(V::LANES).skip(column / V::LANES);
    let mut v = [V::splat(isa, V::Element::ZERO); VECTORS];
    for (v, query) in v.iter_mut().zip(query) {
        *v = V::load(isa, query);
    }
    for (&k, sums) in keys.iter().zip(sums) {
        let k = V::splat(isa, k);
        for (sum, &v) in sums.iter_mut().zip(&v) {
            *sum = v.mul_add(k, *sum);
        }
    }
}

/// Returns a part of each key.
///
/// All are there, which the compiler does not see: leaving is cheaper than a value for it.
#[inline(always)]
fn each<X: Copy, Y: Copy, const KEYS: usize>(
    keys: [X; KEYS],
    part: impl Fn(X) -> Option<Y>,
) -> Option<[Y; KEYS]> {
    let mut parts = [part(keys[0])?; KEYS];
    for (to, x) in parts.iter_mut().zip(keys) {
        *to = part(x)?;
    }
    Some(parts)
}
