//! Partial softmax sums: what a stretch of keys amounts to, and how two stretches join.
//!
//! A part holds, for each of a group of query heads, a center c, an exponent N, the sum of weights
//! and the weighted sum of values, both in units of exp(c) 2^N. No key at all is N = -inf and zeros.

use crate::Cpu;
use crate::cpu::dispatch;
use crate::math::exp::ScaledExp;
use crate::scalar::{Scalar, canonical};
use crate::simd::{Isa, LANES, Lanes, One, number};

/// Numbers that stand behind the accumulators of each head: center, exponent, sum.
pub(super) const HEADER: usize = 3;

/// Returns the elements that the accumulator of one head takes: whole groups of lanes.
pub(super) const fn padded(dim: usize) -> usize {
    dim.next_multiple_of(LANES)
}

/// Returns the elements of one part.
pub(super) const fn part_len(heads: usize, dim: usize) -> usize {
    heads * (HEADER + padded(dim))
}

/// The reference of one head: center and exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reference<T> {
    pub(super) center: T,
    pub(super) exponent: T,
}

impl<T: Scalar> Reference<T> {
    /// The reference of no key.
    pub(super) const NONE: Self = Self {
        center: T::ZERO,
        exponent: T::NEG_INFINITY,
    };

    /// Returns the reference of a greatest score.
    #[inline(always)]
    pub(super) fn of(max: T) -> Self {
        if max == T::NEG_INFINITY {
            return Self::NONE;
        }
        let center = if max > T::CENTERED || max < -T::CENTERED {
            coarse(max)
        } else {
            T::ZERO
        };
        let exponent = ((max - center) * T::LOG2_E + T::MAGIC) - T::MAGIC;
        Self { center, exponent }
    }

    /// Returns the exponential for scores in this reference, less the center.
    #[inline(always)]
    pub(super) fn exp<V: Lanes<Element = T>>(self, isa: V::Isa) -> ScaledExp<V> {
        let exponent = if self.exponent == T::NEG_INFINITY {
            T::ZERO
        } else {
            self.exponent
        };
        ScaledExp::unraised(isa, self.center, exponent)
    }

    /// Returns the greater reference and the factors that bring both sides to it.
    #[inline(always)]
    pub(super) fn join(self, other: Self) -> (Self, T, T) {
        if other.exponent == T::NEG_INFINITY {
            return (self, T::ONE, T::ZERO);
        }
        if self.exponent == T::NEG_INFINITY {
            return (other, T::ZERO, T::ONE);
        }
        if self.center == other.center {
            let to = if self.exponent > other.exponent {
                self
            } else {
                other
            };
            let f = power_of_two(self.exponent - to.exponent);
            return (to, f, power_of_two(other.exponent - to.exponent));
        }
        if self.center > other.center {
            (self, T::ONE, self.factor_of(other))
        } else {
            (other, other.factor_of(self), T::ONE)
        }
    }

    /// Returns exp(c' - c) 2^(N' - N) for a lesser reference with another center.
    #[inline(always)]
    fn factor_of(self, lesser: Self) -> T {
        let relative = Self {
            center: T::ZERO,
            exponent: self.exponent - lesser.exponent,
        };
        let d = T::Lanes::<One>::splat(One, lesser.center - self.center);
        let exp = relative.exp::<T::Lanes<One>>(One);
        number::<T>(exp.of(One, d))
    }
}

/// Returns a large score rounded to a multiple of 128, so that scores near each other share it.
#[inline(always)]
fn coarse<T: Scalar>(max: T) -> T {
    let cell = T::from_count(128);
    let cells = max / cell;
    if cells < T::INTEGERS_FROM && cells > -T::INTEGERS_FROM {
        ((cells + T::MAGIC) - T::MAGIC) * cell
    } else {
        max
    }
}

/// Returns 2^k for an integer k <= 0, zero where that is below the normal numbers.
#[inline(always)]
fn power_of_two<T: Scalar>(k: T) -> T {
    if k < T::ONE - T::BIAS {
        return T::ZERO;
    }
    number::<T>(T::Lanes::<One>::splat(One, T::MAGIC + (T::BIAS + k)).exponent_from_magic())
}

/// The numbers of one head in a part: center, exponent, sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<T> {
    pub(super) reference: Reference<T>,
    pub(super) sum: T,
}

impl<T: Scalar> Head<T> {
    /// A head without keys.
    pub(super) const NONE: Self = Self {
        reference: Reference::NONE,
        sum: T::ZERO,
    };

    #[inline(always)]
    pub(super) fn read(&[center, exponent, sum]: &[T; HEADER]) -> Self {
        let reference = Reference { center, exponent };
        Self { reference, sum }
    }

    #[inline(always)]
    pub(super) fn write(self, to: &mut [T; HEADER]) {
        *to = [self.reference.center, self.reference.exponent, self.sum];
    }

    /// Returns ln of the sum of exp(score): minus infinity without keys.
    #[inline(always)]
    pub(super) fn log_sum_exp(self) -> T {
        let Reference { center, exponent } = self.reference;
        if exponent == T::NEG_INFINITY {
            return T::NEG_INFINITY;
        }
        let high = center + exponent * T::LN2_HI;
        let lse = high + (exponent * T::LN2_LO + self.sum.natural_log());
        if lse == lse { lse } else { T::NAN }
    }

    /// Writes values / sum, zeros without keys.
    #[inline(never)]
    pub(super) fn divide(self, cpu: Cpu, values: &[T], out: &mut [T]) {
        let empty = self.reference.exponent == T::NEG_INFINITY;
        let sum = if empty { T::ONE } else { self.sum };
        dispatch!(cpu, isa => divide(isa, values, sum, out));
    }
}

/// Writes quotients; every NaN becomes the one.
#[inline(always)]
fn divide<S: Isa, T: Scalar>(_: S, values: &[T], sum: T, out: &mut [T]) {
    for (out, &x) in out.iter_mut().zip(values) {
        *out = canonical(x / sum);
    }
}

/// Returns the accumulators and numbers of each head of a part.
#[inline(always)]
pub(super) fn heads<T>(part: &[T], dim: usize) -> impl Iterator<Item = (&[T], &[T; HEADER])> {
    part.chunks_exact(padded(dim) + HEADER)
        .filter_map(<[T]>::split_last_chunk)
}

/// Returns the accumulators and numbers of each head of a part.
#[inline(always)]
pub(super) fn heads_mut<T>(
    part: &mut [T],
    dim: usize,
) -> impl Iterator<Item = (&mut [T], &mut [T; HEADER])> {
    part.chunks_exact_mut(padded(dim) + HEADER)
        .filter_map(<[T]>::split_last_chunk_mut)
}

/// Forgets every key of a part.
#[inline(always)]
pub(super) fn clear<T: Scalar>(part: &mut [T], dim: usize) {
    for (values, head) in heads_mut(part, dim) {
        values.fill(T::ZERO);
        Head::NONE.write(head);
    }
}

/// Joins another part into one of the same shape.
#[inline(never)]
pub(super) fn join<T: Scalar>(cpu: Cpu, part: &mut [T], other: &[T], dim: usize) {
    dispatch!(cpu, isa => join_all(isa, part, other, dim));
}

#[inline(always)]
fn join_all<S: Isa, T: Scalar>(isa: S, part: &mut [T], other: &[T], dim: usize) {
    for ((values, a), (others, b)) in heads_mut(part, dim).zip(heads(other, dim)) {
        let (x, y) = (Head::read(a), Head::read(b));
        let (reference, f, g) = x.reference.join(y.reference);
        let sum = x.sum * f + y.sum * g;
        Head { reference, sum }.write(a);
        add_scaled(isa, values, f, others, g);
    }
}

/// Writes x * f + y * g over x. The lengths are equal multiples of sixteen.
#[inline(always)]
fn add_scaled<S: Isa, T: Scalar>(isa: S, x: &mut [T], f: T, y: &[T], g: T) {
    let f = T::Lanes::<S>::splat(isa, f);
    let g = T::Lanes::<S>::splat(isa, g);
    let n = T::Lanes::<S>::LANES;
    for (x, y) in x.chunks_exact_mut(n).zip(y.chunks_exact(n)) {
        let sum = T::Lanes::<S>::load(isa, x) * f + T::Lanes::<S>::load(isa, y) * g;
        sum.store(x);
    }
}

/// The most parts that a tree holds at once.
const PARTS: usize = 2 * usize::BITS as usize;

/// Which parts a tree holds, while its storage is elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    /// The height of each part.
    heights: [u8; PARTS],
    count: usize,
    /// Parts at the bottom that belong to another stretch.
    fixed: usize,
    /// Which parity the later of two siblings has: 1 in rising order, 0 in falling.
    parity: usize,
}

impl Default for Stack {
    /// Returns no parts, for blocks in falling order.
    fn default() -> Self {
        Self {
            heights: [0; PARTS],
            count: 0,
            fixed: 0,
            parity: 0,
        }
    }
}

impl Stack {
    /// Returns no parts, for blocks in rising order.
    #[inline(always)]
    pub(super) fn rising() -> Self {
        Self {
            parity: 1,
            ..Self::default()
        }
    }
}

/// Parts of consecutive blocks, joined as a binary tree over the numbers of the blocks.
///
/// The blocks come in rising or in falling order; the parts on the stack are the largest subtrees
/// that are complete.
#[derive(Debug)]
pub(super) struct Tree<'a, T> {
    storage: &'a mut [T],
    heads: usize,
    dim: usize,
    stack: Stack,
}

/// Returns the parts that a tree over `blocks` blocks needs, wherever they start.
pub(super) const fn parts(blocks: usize) -> usize {
    2 * (usize::BITS - blocks.leading_zeros()) as usize + 1
}

impl<'a, T: Scalar> Tree<'a, T> {
    /// Returns the tree whose parts lie in `storage`.
    pub(super) fn resume(storage: &'a mut [T], heads: usize, dim: usize, stack: Stack) -> Self {
        Self {
            storage,
            heads,
            dim,
            stack,
        }
    }

    /// Returns what [`Tree::resume`] needs besides the storage.
    pub(super) fn suspend(self) -> Stack {
        self.stack
    }

    /// Returns part `i`.
    fn part(&mut self, i: usize) -> &mut [T] {
        let len = part_len(self.heads, self.dim);
        let storage = self.storage.get_mut(i * len..).unwrap_or_default();
        storage.get_mut(..len).unwrap_or_default()
    }

    /// Returns the part in which the next block is summed, as it was left.
    pub(super) fn open(&mut self) -> &mut [T] {
        self.part(self.stack.count)
    }

    /// Keeps what was summed in the open part as the block with this number.
    pub(super) fn close(&mut self, cpu: Cpu, block: usize) {
        let mut block = block;
        let mut height = 0;
        while self.stack.count > self.stack.fixed
            && block & 1 == self.stack.parity
            && self.stack.heights.get(self.stack.count - 1) == Some(&height)
        {
            self.join_into(cpu, self.stack.count - 1, self.stack.count);
            self.stack.count -= 1;
            block >>= 1;
            height += 1;
        }
        if let Some(top) = self.stack.heights.get_mut(self.stack.count) {
            *top = height;
        }
        self.stack.count += 1;
    }

    /// Keeps the parts so far apart from those of the next stretch.
    pub(super) fn fix(&mut self) {
        self.stack.fixed = self.stack.count;
    }

    /// Joins everything, newest first, and returns the whole.
    pub(super) fn whole(&mut self, cpu: Cpu) -> &mut [T] {
        if self.stack.count == 0 {
            let dim = self.dim;
            clear(self.part(0), dim);
        }
        if self.stack.parity == 1 {
            for newer in (1..self.stack.count).rev() {
                self.join_into(cpu, newer - 1, newer);
            }
        } else {
            for older in 1..self.stack.count {
                self.join_into(cpu, 0, older);
            }
        }
        self.stack.count = 1;
        self.part(0)
    }

    /// Joins part `from` into part `to`, which lies before it.
    fn join_into(&mut self, cpu: Cpu, to: usize, from: usize) {
        let len = part_len(self.heads, self.dim);
        let (low, high) = self
            .storage
            .split_at_mut_checked(from * len)
            .unwrap_or_default();
        let low = low.get_mut(to * len..).unwrap_or_default();
        let low = low.get_mut(..len).unwrap_or_default();
        join(cpu, low, high.get(..len).unwrap_or_default(), self.dim);
    }
}

/// Splits off the first `n` elements; both parts are empty if there are fewer.
pub(super) fn split<T>(x: &mut [T], n: usize) -> (&mut [T], &mut [T]) {
    x.split_at_mut_checked(n).unwrap_or_default()
}
