//! The chunkwise form: what tokens of a chunk mean to each other first, the state once for all.

use core::ops::Range;

use super::Recurrence;
use super::kernel::{self, Factors};
use super::rule::{At, BEFORE, BONUS, FIRST, Rule, SECOND, Shape};
use super::run::{Run, State};
use crate::Error;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::dot::row_dots;
use crate::simd::stream::copy;

/// Returns how many rows a token writes to the state: what it finds and adds by itself counts as one.
const fn pairs<R: Rule<T>, T: Scalar>() -> usize {
    if R::FORM & SECOND == 0 { 1 } else { 2 }
}

impl<R: Rule<T>, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Recurrence<R, T, S> {
    /// Returns the scratch that [`chunks`](Self::chunks) needs for chunks of `tokens`.
    #[must_use]
    pub const fn scratch_len(&self, tokens: usize) -> usize {
        let (group, pairs, shape) = (self.shape.group(), pairs::<R, T>(), self.shape);
        let keys = shape.key_dim.saturating_mul(1 + pairs + group);
        let values = shape.value_dim.saturating_mul(pairs);
        let numbers = tokens.saturating_mul(pairs).saturating_mul(1 + group);
        let token = keys.saturating_add(values);
        let token = token.saturating_add(numbers).saturating_add(2 + group);
        tokens.saturating_mul(token).saturating_add(shape.key_dim)
    }

    /// Reads several tokens in chunks, and writes their outputs: what [`prefill`](Self::prefill) does, but
    /// the state is read and written once a chunk.
    ///
    /// Within a chunk a key that decayed for as many steps as lie between them meets each later query,
    /// so nothing is divided by a product of gates; the delta rule and RWKV-7 solve the triangular system of
    /// the chunk by substitution (Yang et al. 2024, arXiv 2406.06484). Chunks are as long as `scratch`
    /// allows; sixteen to sixty-four tokens serve well. The results agree with those of steps within
    /// the bound, not to the bit, and have the same bits at every vector width.
    ///
    /// # Errors
    ///
    /// As [`prefill`](Self::prefill), and [`Error::Length`] if `scratch` has less than
    /// [`scratch_len`](Self::scratch_len) of one token.
    pub fn chunks(
        &mut self,
        tokens: R::Token<'_>,
        scratch: &mut [T],
        out: &mut [T],
    ) -> Result<(), Error> {
        let count = self.check(&tokens, out.len())?;
        if scratch.len() < self.scratch_len(1) {
            return Err(Error::Length {
                expected: self.scratch_len(1),
                found: scratch.len(),
            });
        }
        let mut longest = 1;
        while longest < count && self.scratch_len(longest + 1) <= scratch.len() {
            longest += 1;
        }
        let (run, mut state) = self.parts(count);
        run.chunks(longest, &tokens, scratch, &mut state, out);
        Ok(())
    }
}

impl<R: Rule<T>, T: Scalar> Run<R, T> {
    /// Takes the chunks of every head, each of at most `longest` tokens.
    #[inline(never)]
    fn chunks(
        self,
        longest: usize,
        tokens: &R::Token<'_>,
        scratch: &mut [T],
        state: &mut State<'_, T>,
        out: &mut [T],
    ) {
        let mut chunk = Chunk::new(self.shape, (longest, pairs::<R, T>()), scratch);
        dispatch!(self.cpu, isa => chunk.heads(isa, &self, tokens, state, out));
    }
}

/// The tokens of a chunk and what they mean to each other, in lent scratch.
#[derive(Debug)]
struct Chunk<'a, T> {
    shape: Shape,
    longest: usize,
    /// Rows that a token writes; with two, the first is what it finds.
    pairs: usize,
    /// The keys so far, decayed up to the newest token: `[token][pair][key_dim]`.
    keys: &'a mut [T],
    /// The queries, decayed back to the start of the chunk: `[query][token][key_dim]`.
    queries: &'a mut [T],
    /// The same of keys that are looked up.
    sought: &'a mut [T],
    /// What each token writes: `[token][pair][value_dim]`.
    written: &'a mut [T],
    /// What each query has of each token: `[query][token][token][pair]`.
    scores: &'a mut [T],
    /// What each token finds of each before: `[token][token][pair]`.
    found: &'a mut [T],
    /// The product of all decays in the chunk.
    carry: &'a mut [T],
    /// The factors on values as they are written and as they are shown.
    write: &'a mut [T],
    bonus: &'a mut [T],
    /// The factors on outputs: `[query][token]`.
    scale: &'a mut [T],
}

/// Splits off the first `len` elements.
#[inline(always)]
fn split<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (part, after) = core::mem::take(rest)
        .split_at_mut_checked(len)
        .unwrap_or_default();
    *rest = after;
    part
}

/// Returns row `i` of rows of `dim` elements.
#[inline(always)]
fn row<T>(x: &mut [T], i: usize, dim: usize) -> &mut [T] {
    let x = x.get_mut(i * dim..).unwrap_or_default();
    x.get_mut(..dim).unwrap_or_default()
}

/// Sets element `i`.
#[inline(always)]
fn set<T>(x: &mut [T], i: usize, value: T) {
    if let Some(x) = x.get_mut(i) {
        *x = value;
    }
}

/// Writes a vector times factors.
#[inline(always)]
fn scaled<T: Scalar>(x: &[T], factors: &[T], to: &mut [T]) {
    for ((to, &x), &factor) in to.iter_mut().zip(x).zip(factors) {
        *to = x * factor;
    }
}

/// Writes the dot products of `x` with each of the rows.
#[inline(always)]
fn dots<S: Isa, T: Scalar>(isa: S, x: &[T], rows: &[T], to: &mut [T]) {
    row_dots::<T::Lanes<S>, T>(
        isa,
        x,
        rows,
        x.len(),
        #[inline(always)]
        |j, dot| set(to, j, dot),
    );
}

impl<'a, T: Scalar> Chunk<'a, T> {
    /// Lays the scratch out for chunks of at most `n` tokens.
    fn new(shape: Shape, (n, pairs): (usize, usize), mut rest: &'a mut [T]) -> Self {
        let (group, rows) = (shape.group(), n * pairs);
        let Shape {
            key_dim, value_dim, ..
        } = shape;
        let rest = &mut rest;
        Self {
            shape,
            longest: n,
            pairs,
            keys: split(rest, rows * key_dim),
            queries: split(rest, group * n * key_dim),
            sought: split(rest, n * key_dim),
            written: split(rest, rows * value_dim),
            scores: split(rest, group * n * rows),
            found: split(rest, n * rows),
            carry: split(rest, key_dim),
            write: split(rest, n),
            bonus: split(rest, n),
            scale: split(rest, group * n),
        }
    }

    /// Takes all chunks of one head after the other.
    #[inline(always)]
    fn heads<S: Isa, R: Rule<T>>(
        &mut self,
        isa: S,
        run: &Run<R, T>,
        tokens: &R::Token<'_>,
        state: &mut State<'_, T>,
        out: &mut [T],
    ) {
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        let kept = key_dim * R::ROWS;
        let scratch = state.scratch.split_at_mut_checked(value_dim);
        let (_, scratch) = scratch.unwrap_or_default();
        let matrices = state
            .matrices
            .chunks_exact_mut((key_dim * value_dim).max(1));
        for (head, matrix) in matrices.enumerate() {
            let rows = row(state.rows, head, kept);
            let mut first = 0;
            while first < run.count {
                let end = run.count.min(first + self.longest);
                self.gather(isa, run, (head, first..end), tokens, rows, scratch);
                self.write::<S, R>(isa, end - first, matrix);
                self.read::<S, R>(isa, run, (head, first..end), tokens, matrix, out);
                self.carry(isa, end - first, matrix);
                first = end;
            }
        }
    }

    /// Lets the keys and queries of the chunk meet.
    #[inline(always)]
    fn gather<S: Isa, R: Rule<T>>(
        &mut self,
        isa: S,
        run: &Run<R, T>,
        (head, tokens): (usize, Range<usize>),
        token: &R::Token<'_>,
        rows: &mut [T],
        scratch: &mut [T],
    ) {
        let Shape {
            key_dim, value_dim, ..
        } = self.shape;
        let (n, pairs) = (self.longest, self.pairs);
        self.carry.fill(T::ONE);
        for (i, at) in tokens.enumerate() {
            let at = At {
                shape: self.shape,
                tokens: run.count,
                token: at,
                head,
            };
            let step = run.step(isa, at, token, rows, scratch);
            if R::FORM & BEFORE != 0 {
                self.ask(isa, run, at, (i, i * pairs), (token, rows));
            }
            let before = self.keys.get_mut(..i * pairs * key_dim).unwrap_or_default();
            if R::FORM & FIRST != 0 {
                scaled(step.first, self.carry, row(self.sought, i, key_dim));
                dots(isa, step.first, before, row(self.found, i, n * pairs));
            }
            for key in before.chunks_exact_mut(key_dim.max(1)) {
                for (key, &decay) in key.iter_mut().zip(step.decay) {
                    *key = *key * decay;
                }
            }
            for (carry, &decay) in self.carry.iter_mut().zip(step.decay) {
                *carry = *carry * decay;
            }
            if R::FORM & SECOND != 0 {
                copy(step.second, row(self.keys, i * pairs, key_dim));
                row(self.written, i * pairs, value_dim).fill(T::ZERO);
            }
            let last = (i + 1) * pairs;
            copy(step.key, row(self.keys, last - 1, key_dim));
            copy(step.value, row(self.written, last - 1, value_dim));
            if R::FORM & BEFORE == 0 {
                self.ask(isa, run, at, (i, last), (token, rows));
            }
            set(self.write, i, step.write);
            set(self.bonus, i, step.bonus);
        }
    }

    /// Lets the queries of token `i` of the chunk meet the first `count` keys.
    #[inline(always)]
    fn ask<S: Isa, R: Rule<T>>(
        &mut self,
        isa: S,
        run: &Run<R, T>,
        at: At,
        (i, count): (usize, usize),
        (token, rows): (&R::Token<'_>, &[T]),
    ) {
        let (n, key_dim) = (self.longest, self.shape.key_dim);
        for g in 0..self.shape.group() {
            let query = run.query(at, g, token);
            set(self.scale, g * n + i, run.factor(rows, query));
            scaled(query, self.carry, row(self.queries, g * n + i, key_dim));
            let keys = self.keys.get(..count * key_dim).unwrap_or_default();
            dots(
                isa,
                query,
                keys,
                row(self.scores, g * n + i, n * self.pairs),
            );
        }
    }

    /// Turns values into what is written.
    #[inline(always)]
    fn write<S: Isa, R: Rule<T>>(&mut self, isa: S, len: usize, state: &[T]) {
        let (dim, pairs) = (self.shape.value_dim, self.pairs);
        let token = pairs * dim;
        let times = |x: &mut [T], factor: T| {
            for x in x {
                *x = factor * *x;
            }
        };
        if R::FORM & FIRST == 0 {
            let tokens = self.written.chunks_exact_mut(token.max(1));
            for (token, &write) in tokens.zip(self.write.iter()).take(len) {
                times(token, write);
            }
            return;
        }
        // What the state gives and what the chunk has given; less the value where that is what is sought.
        if R::FORM & SECOND == 0 {
            times(self.written, -T::ONE);
        }
        let sought = Factors::rows(self.sought, self.shape.key_dim);
        kernel::product(isa, sought, len, state, self.written, dim, token);
        let found = self.found.chunks_exact((self.longest * pairs).max(1));
        for (i, (found, &write)) in found.zip(self.write.iter()).enumerate().take(len) {
            let (before, rest) = self
                .written
                .split_at_mut_checked(i * token)
                .unwrap_or_default();
            let own = rest.get_mut(..dim).unwrap_or_default();
            let found = Factors::rows(found, i * pairs);
            kernel::product(isa, found, 1, before, own, dim, dim);
            if R::FORM & SECOND == 0 {
                times(own, -write);
            }
        }
    }

    /// Writes the outputs of the chunk.
    #[inline(always)]
    fn read<S: Isa, R: Rule<T>>(
        &mut self,
        isa: S,
        run: &Run<R, T>,
        (head, tokens): (usize, Range<usize>),
        token: &R::Token<'_>,
        state: &[T],
        out: &mut [T],
    ) {
        let (n, key_dim, dim) = (self.longest, self.shape.key_dim, self.shape.value_dim);
        let ([_, _, _, stride], group) = (self.shape.lens(), self.shape.group());
        for g in 0..group {
            let first = tokens.start * stride + (head * group + g) * dim;
            let out = out.get_mut(first..).unwrap_or_default();
            for out in out.chunks_mut(stride.max(1)).take(tokens.len()) {
                out.get_mut(..dim).unwrap_or_default().fill(T::ZERO);
            }
            let queries = self.queries.get(g * n * key_dim..).unwrap_or_default();
            let queries = Factors::rows(queries, key_dim);
            kernel::product(isa, queries, tokens.len(), state, out, dim, stride);
            for (i, out) in out.chunks_mut(stride.max(1)).take(tokens.len()).enumerate() {
                let out = out.get_mut(..dim).unwrap_or_default();
                let seen = self.pairs * if R::FORM & BEFORE == 0 { i + 1 } else { i };
                let scores = row(self.scores, g * n + i, n * self.pairs);
                let scores = Factors::rows(scores, seen);
                let written = self.written.get(..seen * dim).unwrap_or_default();
                kernel::product(isa, scores, 1, written, out, dim, dim);
                if R::FORM & BONUS != 0 {
                    let at = At {
                        shape: self.shape,
                        tokens: run.count,
                        token: tokens.start + i,
                        head,
                    };
                    let bonus = self.bonus.get(i).copied().unwrap_or(T::NAN);
                    let [_, keys, values] = R::parts(token);
                    let (_, value) = at.key_value(keys, values);
                    for (out, &value) in out.iter_mut().zip(value) {
                        *out = *out + bonus * value;
                    }
                }
                kernel::finish(self.scale.get(g * n + i).copied().unwrap_or(T::NAN), out);
            }
        }
    }

    /// Writes the chunk to the state.
    #[inline(always)]
    fn carry<S: Isa>(&mut self, isa: S, len: usize, state: &mut [T]) {
        let (key_dim, dim) = (self.shape.key_dim, self.shape.value_dim);
        for (row, &carry) in state.chunks_exact_mut(dim.max(1)).zip(self.carry.iter()) {
            for x in row {
                *x = carry * *x;
            }
        }
        let keys = Factors::columns(self.keys, key_dim);
        let written = self.written.get(..len * self.pairs * dim);
        let written = written.unwrap_or_default();
        kernel::product(isa, keys, key_dim, written, state, dim, dim);
    }
}
