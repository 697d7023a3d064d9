//! The portable order: in which order sums are taken, the same on every instruction set.
//!
//! 1. Element i belongs to lane i mod 16. An instruction set with n lanes holds the sixteen in 16 / n
//!    vectors; one lane visits them one after the other.
//! 2. Sixteen lanes of eight consecutive rows, 128 elements, are a group. In each lane the eight
//!    terms of a group are added as a tree: ((0+1) + (2+3)) + ((4+5) + (6+7)).
//! 3. Each lane adds up its groups in order, with the rounding error of every addition carried in a
//!    second sum (Dekker's Fast2Sum), so that the error does not grow with the length.
//! 4. The sixteen lanes join as a tree: lane j takes lane j + 8, then j + 4, j + 2, j + 1. The errors
//!    of these additions (Knuth's TwoSum) and the carried ones join beside them, and one addition
//!    brings the two together.
//! 5. Elements beyond the end count as the neutral element, which adds exactly.
//!
//! Every multiplication and addition rounds on its own. Rust neither contracts nor reorders
//! floating-point operations, so one generic source gives one answer.

use super::Lanes;
use super::stream::{GROUP, LANES, ROWS, Rows, Stream, Tail};
use crate::scalar::sealed::Compute;

/// How often the body of a loop over the rows of a group stands in the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Once a row, so that rows overlap in the processor.
    Light,
    /// Once: its own work fills the processor, and code is dear.
    Heavy,
}

impl Body {
    /// Returns [`ROWS`], as a number that the compiler does not know where the loop is to stay one.
    #[inline(always)]
    fn rows<V: Lanes>(self) -> usize {
        if self == Self::Light && V::LANES > 1 {
            ROWS
        } else {
            core::hint::black_box(ROWS)
        }
    }
}

/// Replaces each element of the stream by `map` of it and returns the sum of the results, in the
/// portable order. The results must not be negative (NaN and infinity pass).
///
/// `map(v, at)` maps the elements from index `at` on, one a lane; it may be called with lanes beyond
/// the end, whose results are not used.
#[inline(always)]
pub(crate) fn map_sum<V: Lanes, S: Stream<V::Element>>(
    isa: V::Isa,
    body: Body,
    stream: S,
    mut map: impl FnMut(V, usize) -> V,
) -> V::Element {
    let zero = V::splat(isa, V::Element::ZERO);
    let mut sums = [zero; LANES];
    let mut errors = [zero; LANES];
    let rows = body.rows::<V>();
    let (groups, tail) = stream.split();
    let mut base = 0;
    for mut group in groups {
        let mut lane = 0;
        for (sum, error) in sums.iter_mut().zip(&mut errors).take(LANES / V::LANES) {
            let mut terms = [zero; ROWS];
            for (row, term) in terms.iter_mut().enumerate().take(rows) {
                let at = row * LANES + lane;
                *term = map(group.load(isa, at), base + at);
                group.store(at, *term);
            }
            carry(sum, error, tree(terms));
            lane += V::LANES;
        }
        base += GROUP;
    }
    let count = tail.len();
    if count > 0 {
        let mut buffer = [V::Element::ZERO; GROUP];
        tail.take(&mut buffer);
        each_in_tail::<V>(isa, &mut buffer, count, base, &mut map);
        for beyond in buffer.iter_mut().skip(count) {
            *beyond = V::Element::ZERO;
        }
        let mut lane = 0;
        for (sum, error) in sums.iter_mut().zip(&mut errors).take(LANES / V::LANES) {
            if lane >= count {
                break;
            }
            let mut terms = [zero; ROWS];
            for (row, term) in terms.iter_mut().enumerate() {
                *term = Rows::load(&&buffer, isa, row * LANES + lane);
            }
            carry(sum, error, tree(terms));
            lane += V::LANES;
        }
        tail.put(&buffer);
    }
    join_with_errors(sums, errors)
}

/// Replaces each element of the stream by `map` of it; `map` is called as in [`map_sum`].
#[inline(always)]
pub(crate) fn map<V: Lanes, S: Stream<V::Element>>(
    isa: V::Isa,
    stream: S,
    mut map: impl FnMut(V, usize) -> V,
) {
    let (groups, tail) = stream.split();
    let mut base = 0;
    for mut group in groups {
        let mut at = 0;
        while at < GROUP {
            let v = map(group.load(isa, at), base + at);
            group.store(at, v);
            at += V::LANES;
        }
        base += GROUP;
    }
    let count = tail.len();
    if count > 0 {
        let mut buffer = [V::Element::ZERO; GROUP];
        tail.take(&mut buffer);
        each_in_tail::<V>(isa, &mut buffer, count, base, &mut map);
        tail.put(&buffer);
    }
}

/// Returns the greatest of `map` over the stream, minus infinity if it is empty.
///
/// `map` is called as in [`map_sum`]. With a NaN among the results the greatest is unspecified.
#[inline(always)]
pub(crate) fn max<V: Lanes, S: Stream<V::Element>>(
    isa: V::Isa,
    body: Body,
    stream: S,
    mut map: impl FnMut(V, usize) -> V,
) -> V::Element {
    let mut greatest = [V::splat(isa, V::Element::NEG_INFINITY); ROWS / 2];
    let rows = body.rows::<V>() / 2;
    let (groups, tail) = stream.split();
    let mut base = 0;
    for group in groups {
        let mut lane = 0;
        while lane < LANES {
            for (row, g) in greatest.iter_mut().enumerate().take(rows) {
                let (first, second) = (row * LANES + lane, (row + ROWS / 2) * LANES + lane);
                *g = map(group.load(isa, first), base + first).max(*g);
                *g = map(group.load(isa, second), base + second).max(*g);
            }
            lane += V::LANES;
        }
        base += GROUP;
    }
    let count = tail.len();
    if count > 0 {
        let mut buffer = [V::Element::NEG_INFINITY; GROUP];
        tail.take(&mut buffer);
        each_in_tail::<V>(isa, &mut buffer, count, base, &mut map);
        for beyond in buffer.iter_mut().skip(count) {
            *beyond = V::Element::NEG_INFINITY;
        }
        for (i, lanes) in buffer.chunks_exact(V::LANES).enumerate() {
            if i * V::LANES >= count {
                break;
            }
            if let Some(g) = greatest.get_mut(i % (ROWS / 2)) {
                *g = V::load(isa, lanes).max(*g);
            }
        }
    }
    let [a, b, c, d] = greatest;
    let mut lanes = [V::Element::NEG_INFINITY; LANES];
    a.max(b).max(c.max(d)).store(&mut lanes);
    halve(
        lanes,
        #[inline(always)]
        |a, b| if a > b { a } else { b },
    )
}

/// Maps the first `count` elements of a tail in place.
#[inline(always)]
fn each_in_tail<V: Lanes>(
    isa: V::Isa,
    buffer: &mut [V::Element; GROUP],
    count: usize,
    base: usize,
    map: &mut impl FnMut(V, usize) -> V,
) {
    let mut at = 0;
    for lanes in buffer.chunks_exact_mut(V::LANES) {
        if at >= count {
            break;
        }
        map(V::load(isa, lanes), base + at).store(lanes);
        at += V::LANES;
    }
}

/// Folds the lanes in halves: j takes j + 8, then j + 4, j + 2, j + 1.
#[inline(always)]
fn halve<T: Compute>(mut lanes: [T; LANES], fold: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (l, h) in low.iter_mut().zip(high) {
            *l = fold(*l, *h);
        }
        half /= 2;
    }
    lanes[0]
}

/// Adds eight terms as a tree.
#[inline(always)]
fn tree<V: Lanes>(t: [V; ROWS]) -> V {
    ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
}

/// Adds `term` to `sum` and what the addition loses to `error` (Fast2Sum).
///
/// For terms that are not negative the loss is exact unless the term exceeds the sum; that can
/// happen only while the sum at least doubles, and then costs less than one rounding in all.
#[inline(always)]
fn carry<V: Lanes>(sum: &mut V, error: &mut V, term: V) {
    let s = *sum + term;
    *error = *error + (term - (s - *sum));
    *sum = s;
}

/// Joins the sixteen lanes and what their sums have lost.
#[inline(always)]
fn join_with_errors<V: Lanes>(vectors: [V; LANES], errors: [V; LANES]) -> V::Element {
    let (mut sums, mut lost) = ([V::Element::ZERO; LANES], [V::Element::ZERO; LANES]);
    for (v, to) in vectors.iter().zip(sums.chunks_mut(V::LANES)) {
        v.store(to);
    }
    for (v, to) in errors.iter().zip(lost.chunks_mut(V::LANES)) {
        v.store(to);
    }
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        let (lost_low, lost_high) = lost.split_at_mut(half);
        for ((l, h), (e, f)) in low
            .iter_mut()
            .zip(high)
            .zip(lost_low.iter_mut().zip(lost_high))
        {
            let (a, b) = (*l, *h);
            let s = a + b;
            let b_virtual = s - a;
            let error = (a - (s - b_virtual)) + (b - b_virtual);
            *l = s;
            *e = (*e + *f) + error;
        }
        half /= 2;
    }
    sums[0] + lost[0]
}
