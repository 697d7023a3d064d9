//! The k-th greatest element of a row, without moving any.

use core::cmp::Ordering;

use num_traits::{One as _, WrappingSub as _, Zero as _};

use crate::scalar::Scalar;
use crate::simd::{Isa, LANES, Lanes, order};

/// What is kept of a row: the elements above `least`, and the first `ties` of those that equal it.
#[derive(Clone, Copy)]
pub(super) struct Cut<T> {
    pub(super) least: T,
    pub(super) ties: usize,
}

impl<T: Scalar> Cut<T> {
    /// Returns whether the next element of the row is kept.
    #[inline(always)]
    pub(super) fn keeps(&mut self, x: T) -> bool {
        if x == self.least && self.ties > 0 {
            self.ties -= 1;
            return true;
        }
        x > self.least
    }
}

/// Returns the greatest value such that the elements from it on are enough, or one where they are just
/// right. No element may be NaN, and all together must be enough.
///
/// The values of a number type are in the order of integers, once the bits of negative ones are turned;
/// that order is bisected, 32 questions in `f32` and 64 in `f64` at most.
#[inline(always)]
pub(super) fn least<T: Scalar>(
    lowest: T,
    greatest: T,
    mut compare: impl FnMut(T) -> Ordering,
) -> T {
    let two = T::Bits::one() + T::Bits::one();
    let (mut low, mut high) = (rank(lowest), rank(greatest));
    // `low` is enough, what exceeds `high` is not.
    while low < high {
        let middle = high.wrapping_sub(&(high.wrapping_sub(&low) / two));
        match compare(ranked::<T>(middle)) {
            Ordering::Less => high = middle - T::Bits::one(),
            Ordering::Greater => low = middle,
            Ordering::Equal => return ranked(middle),
        }
    }
    ranked(low)
}

/// Returns what keeps the `k` greatest elements; of equal ones the first. There must be as many, and
/// no NaN. A function of its own, since it counts in a loop and is called from many places.
#[inline(never)]
pub(super) fn greatest<S: Isa, T: Scalar>(isa: S, x: &[T], k: usize) -> Cut<T> {
    isa.vectorize(
        #[inline(always)]
        || greatest_on(isa, x, k),
    )
}

/// [`greatest`] on an instruction set.
#[inline(always)]
fn greatest_on<S: Isa, T: Scalar>(isa: S, x: &[T], k: usize) -> Cut<T> {
    let (lowest, highest) = range(isa, x);
    let least = least(
        lowest,
        highest,
        #[inline(always)]
        |value| count(isa, x, value).cmp(&k),
    );
    let above = if least < highest {
        count(isa, x, next(least))
    } else {
        0
    };
    // What is not above is in want of elements that equal the least.
    Cut {
        least,
        ties: k.saturating_sub(above),
    }
}

/// Returns the next greater number.
#[inline(always)]
pub(super) fn next<T: Scalar>(x: T) -> T {
    ranked(rank(x) + T::Bits::one())
}

/// Returns the least and the greatest element.
#[inline(always)]
pub(super) fn range<S: Isa, T: Scalar>(isa: S, x: &[T]) -> (T, T) {
    let greatest = |sign: T| {
        let sign = T::Lanes::<S>::splat(isa, sign);
        order::max::<T::Lanes<S>, _>(
            isa,
            order::Body::Light,
            x,
            #[inline(always)]
            |v, _| v * sign,
        )
    };
    (-greatest(-T::ONE), greatest(T::ONE))
}

/// Returns the number of elements that are at least `value`.
#[inline(always)]
pub(super) fn count<S: Isa, T: Scalar>(isa: S, x: &[T], value: T) -> usize {
    let values = T::Lanes::<S>::splat(isa, value);
    let (rows, rest) = x.as_chunks::<LANES>();
    let mut count = 0;
    for row in rows {
        let mut at = 0;
        while at < LANES {
            let v = Lanes::load(isa, row.get(at..).unwrap_or_default());
            count += T::Lanes::<S>::bits(values.le(v)).count_ones();
            at += T::Lanes::<S>::LANES;
        }
    }
    count as usize + rest.iter().filter(|&&x| x >= value).count()
}

/// Returns an integer that grows with the number.
#[inline(always)]
fn rank<T: Scalar>(x: T) -> T::Bits {
    // Zero of either sign is one number.
    let bits = (x + T::ZERO).bits();
    if bits & T::SIGN == T::Bits::zero() {
        bits | T::SIGN
    } else {
        !bits
    }
}

/// Returns the number of a [`rank`].
#[inline(always)]
fn ranked<T: Scalar>(rank: T::Bits) -> T {
    T::with_bits(if rank & T::SIGN == T::Bits::zero() {
        !rank
    } else {
        rank & !T::SIGN
    })
}
