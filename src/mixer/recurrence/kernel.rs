//! One head's step: the state is read and written block by block, as it lies in memory.

use super::rule::{BEFORE, BONUS, FIRST, Form, SECOND};
use crate::scalar::sealed::Compute;
use crate::scalar::{Scalar, canonical};
use crate::simd::{Isa, LANES, Lanes, One};

/// Vectors of a strip of columns: as many chains of additions as hide the latency of one.
const STRIP: usize = 8;

/// What one step multiplies the rows of a head's state by.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, T> {
    /// What each row keeps of itself.
    pub(super) decay: &'a [T],
    /// How much of the value is added to each row.
    pub(super) key: &'a [T],
    /// How much of each row is read before anything is written, where the rule does.
    pub(super) first: &'a [T],
    /// How much of what was read is added to each row, where the rule does.
    pub(super) second: &'a [T],
    /// What is written.
    pub(super) value: &'a [T],
    /// The factor on it.
    pub(super) write: T,
    /// How much of the value is added to the output, where the rule does.
    pub(super) bonus: T,
}

impl<'a, T: Scalar> Step<'a, T> {
    /// Returns the step that writes a value with a key, for a rule to complete: nothing decays, since no
    /// decay is there yet, and nothing else is read or added.
    #[inline(always)]
    pub(super) const fn plain(key: &'a [T], value: &'a [T]) -> Self {
        Self {
            decay: &[],
            key,
            first: key,
            second: key,
            value,
            write: T::ONE,
            bonus: T::ZERO,
        }
    }
}

/// Writes the step to the state, and its output for one query; `found` has room for a value.
///
/// Compiled once for all rules of a form.
#[inline(never)]
pub(super) fn step<S: Isa, T: Scalar, const FORM: Form>(
    isa: S,
    step: &Step<'_, T>,
    query: (&[T], T),
    state: &mut [T],
    found: &mut [T],
    out: &mut [T],
) {
    isa.vectorize(
        #[inline(always)]
        || take::<S, T, FORM>(isa, step, query, state, found, out),
    );
}

/// Takes a step.
#[inline(always)]
fn take<S: Isa, T: Scalar, const FORM: Form>(
    isa: S,
    step: &Step<'_, T>,
    (query, scale): (&[T], T),
    state: &mut [T],
    found: &mut [T],
    out: &mut [T],
) {
    if FORM & (FIRST | SECOND) != 0 {
        read(isa, (step.first, T::ONE), state, found);
    }
    // Where what was found is added by itself, the value is written as it is.
    if FORM & SECOND == 0 {
        for (found, &value) in found.iter_mut().zip(step.value) {
            let wanted = if FORM & FIRST == 0 {
                value
            } else {
                value - *found
            };
            *found = step.write * wanted;
        }
    }
    let (written, found) = if FORM & SECOND == 0 {
        (&*found, &*found)
    } else {
        (step.value, &*found)
    };
    let dim = out.len();
    out.fill(T::ZERO);
    let blocks = state.chunks_mut(LANES.saturating_mul(dim).max(1));
    let blocks = blocks.zip(step.decay.chunks(LANES));
    let blocks = blocks.zip(step.key.chunks(LANES).zip(step.second.chunks(LANES)));
    for (((rows, decay), (key, second)), query) in blocks.zip(query.chunks(LANES)) {
        let mut block = Block::<_, FORM> {
            rows,
            decay,
            key,
            second,
            query,
            written,
            found,
            out,
        };
        columns(isa, dim, &mut block);
    }
    if FORM & BONUS != 0 {
        for (out, &value) in out.iter_mut().zip(step.value) {
            *out = *out + step.bonus * value;
        }
    }
    finish(scale, out);
}

/// Writes the combination of the state's rows that a query reads.
#[inline(always)]
pub(super) fn read<S: Isa, T: Scalar>(
    isa: S,
    (query, scale): (&[T], T),
    state: &[T],
    out: &mut [T],
) {
    let dim = out.len();
    out.fill(T::ZERO);
    product(
        isa,
        Factors::rows(query, query.len()),
        1,
        state,
        out,
        dim,
        dim,
    );
    finish(scale, out);
}

/// Multiplies by the scale; every NaN becomes the one.
#[inline(always)]
pub(super) fn finish<T: Scalar>(scale: T, out: &mut [T]) {
    for out in out {
        *out = canonical(scale * *out);
    }
}

/// The factors of a product: a matrix by its strides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors<'a, T> {
    data: &'a [T],
    /// The distance from one combination's factors to the next.
    row: usize,
    /// The distance from one factor to the next.
    term: usize,
}

impl<'a, T> Factors<'a, T> {
    /// Returns the rows of `len` elements, each of them a combination.
    #[inline(always)]
    pub(super) const fn rows(data: &'a [T], len: usize) -> Self {
        Self {
            data,
            row: len,
            term: 1,
        }
    }

    /// Returns the columns of rows of `len` elements, each of them a combination.
    #[inline(always)]
    pub(super) const fn columns(data: &'a [T], len: usize) -> Self {
        Self {
            data,
            row: 1,
            term: len,
        }
    }
}

/// Combinations that are computed side by side, so that a row is loaded once for all.
const SIDE_BY_SIDE: usize = 2;

/// Adds `count` combinations of the rows to outputs that lie `stride` apart.
///
/// Compiled once for all rules.
#[inline(never)]
pub(super) fn product<S: Isa, T: Scalar>(
    isa: S,
    factors: Factors<'_, T>,
    count: usize,
    rows: &[T],
    out: &mut [T],
    dim: usize,
    stride: usize,
) {
    isa.vectorize(
        #[inline(always)]
        || {
            let mut first = 0;
            for rows in rows.chunks(LANES.saturating_mul(dim).max(1)) {
                let mut at = 0;
                while at + SIDE_BY_SIDE <= count {
                    tile::<S, T, SIDE_BY_SIDE>(isa, factors, (at, first), rows, out, dim, stride);
                    at += SIDE_BY_SIDE;
                }
                while at < count {
                    tile::<S, T, 1>(isa, factors, (at, first), rows, out, dim, stride);
                    at += 1;
                }
                first += LANES;
            }
        },
    );
}

/// Adds `N` combinations of at most sixteen rows, from combination `at` and row `first` on.
#[inline(always)]
fn tile<S: Isa, T: Scalar, const N: usize>(
    isa: S,
    factors: Factors<'_, T>,
    (at, first): (usize, usize),
    rows: &[T],
    out: &mut [T],
    dim: usize,
    stride: usize,
) {
    let mut own = [[T::ZERO; N]; LANES];
    for (term, own) in own.iter_mut().enumerate() {
        for (i, own) in own.iter_mut().enumerate() {
            let place = (at + i) * factors.row + (first + term) * factors.term;
            if let Some(&factor) = factors.data.get(place) {
                *own = factor;
            }
        }
    }
    let out = out.get_mut(at * stride..).unwrap_or_default();
    let mut tile = Tile {
        rows,
        factors: &own,
        out,
        dim,
        stride,
    };
    columns(isa, dim, &mut tile);
}

/// Combinations of sixteen rows, or the last of them.
struct Tile<'a, T, const N: usize> {
    rows: &'a [T],
    factors: &'a [[T; N]; LANES],
    out: &'a mut [T],
    dim: usize,
    stride: usize,
}

impl<T: Scalar, const M: usize> Columns<T> for Tile<'_, T, M> {
    #[inline(always)]
    fn work<V: Lanes<Element = T>, const N: usize>(&mut self, isa: V::Isa, column: usize) {
        let mut sums = [[V::splat(isa, T::ZERO); N]; M];
        for (row, factors) in self.rows.chunks_exact(self.dim.max(1)).zip(self.factors) {
            let Some(row) = row.get(column..) else {
                break;
            };
            let Some(row) = row.get(..N * V::LANES) else {
                break;
            };
            let mut parts = [V::splat(isa, T::ZERO); N];
            for (part, x) in parts.iter_mut().zip(row.chunks_exact(V::LANES)) {
                *part = V::load(isa, x);
            }
            for (sums, &factor) in sums.iter_mut().zip(factors) {
                let factor = V::splat(isa, factor);
                for (sum, &part) in sums.iter_mut().zip(&parts) {
                    *sum = factor.mul_add(part, *sum);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let out = self.out.get_mut(i * self.stride..).unwrap_or_default();
            add(isa, sums, column, out);
        }
    }
}

/// Work on some columns of a few rows.
trait Columns<T> {
    /// Works on `N` vectors of each row, from `column` on.
    fn work<V: Lanes<Element = T>, const N: usize>(&mut self, isa: V::Isa, column: usize);
}

/// Works on all columns: strips, then single vectors, then the lanes left over.
#[inline(always)]
fn columns<S: Isa, T: Scalar>(isa: S, dim: usize, block: &mut impl Columns<T>) {
    let lanes = <T::Lanes<S> as Lanes>::LANES;
    let mut at = 0;
    while at + STRIP * lanes <= dim {
        block.work::<T::Lanes<S>, STRIP>(isa, at);
        at += STRIP * lanes;
    }
    while at + lanes <= dim {
        block.work::<T::Lanes<S>, 1>(isa, at);
        at += lanes;
    }
    if lanes > 1 {
        while at < dim {
            block.work::<T::Lanes<One>, 1>(One, at);
            at += 1;
        }
    }
}

/// Sixteen rows of a state, or the last of them, and what multiplies them.
struct Block<'a, T, const FORM: Form> {
    rows: &'a mut [T],
    decay: &'a [T],
    key: &'a [T],
    second: &'a [T],
    query: &'a [T],
    written: &'a [T],
    found: &'a [T],
    out: &'a mut [T],
}

impl<T: Scalar, const FORM: Form> Columns<T> for Block<'_, T, FORM> {
    /// Takes the step and adds to the output.
    #[inline(always)]
    fn work<V: Lanes<Element = T>, const N: usize>(&mut self, isa: V::Isa, column: usize) {
        let dim = self.out.len().max(1);
        let written = vectors::<V, N>(isa, self.written, column);
        let found = vectors::<V, N>(isa, self.found, column);
        let mut sums = [V::splat(isa, T::ZERO); N];
        let rows = self.rows.chunks_exact_mut(dim).zip(self.decay);
        let rows = rows.zip(self.key.iter().zip(self.second)).zip(self.query);
        for (((row, &decay), (&key, &second)), &query) in rows {
            // All there, which the compiler does not see.
            let Some(row) = row.get_mut(column..) else {
                break;
            };
            let Some(row) = row.get_mut(..N * V::LANES) else {
                break;
            };
            let [decay, key, second, query] = [decay, key, second, query].map(
                #[inline(always)]
                |c| V::splat(isa, c),
            );
            let sums = sums.iter_mut().zip(written.iter().zip(&found));
            for ((sum, (&written, &found)), part) in sums.zip(row.chunks_exact_mut(V::LANES)) {
                let old = V::load(isa, part);
                let mut new = decay * old;
                if FORM & SECOND != 0 {
                    new = second.mul_add(found, new);
                }
                new = key.mul_add(written, new);
                new.store(part);
                let seen = if FORM & BEFORE == 0 { new } else { old };
                *sum = query.mul_add(seen, *sum);
            }
        }
        add(isa, sums, column, self.out);
    }
}

/// Loads `N` vectors from `column` on.
#[inline(always)]
fn vectors<V: Lanes, const N: usize>(isa: V::Isa, x: &[V::Element], column: usize) -> [V; N] {
    let mut vectors = [V::splat(isa, V::Element::ZERO); N];
    let x = x.get(column..).unwrap_or_default();
    for (vector, x) in vectors.iter_mut().zip(x.chunks_exact(V::LANES)) {
        *vector = V::load(isa, x);
    }
    vectors
}

/// Adds vectors from `column` on.
#[inline(always)]
fn add<V: Lanes, const N: usize>(isa: V::Isa, sums: [V; N], column: usize, out: &mut [V::Element]) {
    let out = out.get_mut(column..).unwrap_or_default();
    for (sum, out) in sums.into_iter().zip(out.chunks_exact_mut(V::LANES)) {
        (V::load(isa, out) + sum).store(out);
    }
}
