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
use super::stream::{GROUP, LANES, Rows, Stream, Tail};
use crate::scalar::sealed::Compute;

/// How often the body of a loop over a group may stand in the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// As often as the compiler likes.
    Light,
    /// Once: its own work fills the processor, and code is dear.
    Heavy,
}

impl Body {
    /// Returns [`GROUP`], as a number that the compiler does not know where the loop is to stay one.
    #[inline(always)]
    fn group<V: Lanes>(self) -> usize {
        if self == Self::Light && V::LANES > 1 {
            GROUP
        } else {
            core::hint::black_box(GROUP)
        }
    }
}

/// The native vector of a vector's instruction set and element.
type Native<V> = <<V as Lanes>::Element as Compute>::Lanes<<V as Lanes>::Isa>;

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
    let mut sums = Sums::<Native<V>>::new(isa);
    let mut terms = [V::Element::ZERO; GROUP];
    let whole = body.group::<V>();
    let (groups, tail) = stream.split();
    let mut base = 0;
    for mut group in groups {
        let mut at = 0;
        while at < whole {
            let v = map(group.load(isa, at), base + at);
            group.store(at, v);
            if group.written().is_none() {
                v.store(terms.get_mut(at..).unwrap_or_default());
            }
            at += V::LANES;
        }
        sums.add(isa, group.written().unwrap_or(&terms));
        base += GROUP;
    }
    let count = tail.len();
    if count > 0 {
        let mut terms = [V::Element::ZERO; GROUP];
        tail.take(&mut terms);
        each_in_tail::<V>(isa, &mut terms, count, base, &mut map);
        for beyond in terms.iter_mut().skip(count) {
            *beyond = V::Element::ZERO;
        }
        sums.add(isa, &terms);
        tail.put(&terms);
    }
    sums.total()
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
    let mut greatest = [V::splat(isa, V::Element::NEG_INFINITY); 2];
    let whole = body.group::<V>();
    let (groups, tail) = stream.split();
    let mut base = 0;
    for group in groups {
        let mut at = 0;
        while at < whole {
            for g in &mut greatest {
                *g = map(group.load(isa, at), base + at).max(*g);
                at += V::LANES;
            }
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
        for lanes in buffer.chunks_exact(V::LANES) {
            let [g, _] = &mut greatest;
            *g = V::load(isa, lanes).max(*g);
        }
    }
    let [a, b] = greatest;
    a.max(b).greatest()
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

/// The sums of the sixteen lanes, in native vectors, and what their additions have lost.
struct Sums<V> {
    sums: [V; LANES],
    lost: [V; LANES],
}

impl<V: Lanes> Sums<V> {
    #[inline(always)]
    fn new(isa: V::Isa) -> Self {
        let zeros = [V::splat(isa, V::Element::ZERO); LANES];
        Self {
            sums: zeros,
            lost: zeros,
        }
    }

    /// Adds the terms of one group.
    #[inline(always)]
    fn add(&mut self, isa: V::Isa, terms: &[V::Element; GROUP]) {
        let mut lane = 0;
        for (sum, lost) in self
            .sums
            .iter_mut()
            .zip(&mut self.lost)
            .take(LANES / V::LANES)
        {
            let row = |row: usize| -> V { Rows::load(&terms, isa, row * LANES + lane) };
            let term =
                ((row(0) + row(1)) + (row(2) + row(3))) + ((row(4) + row(5)) + (row(6) + row(7)));
            carry(sum, lost, term);
            lane += V::LANES;
        }
    }

    /// Joins the lanes: j takes j + 8, then j + 4, j + 2, j + 1.
    #[inline(always)]
    fn total(mut self) -> V::Element {
        let mut half = LANES / V::LANES / 2;
        while half > 0 {
            let (low, high) = self.sums.split_at_mut(half);
            let (lost_low, lost_high) = self.lost.split_at_mut(half);
            let errors = lost_low.iter_mut().zip(lost_high);
            for ((l, &mut h), (e, &mut f)) in low.iter_mut().zip(high).zip(errors) {
                (*l, *e) = join((*l, *e), (h, f));
            }
            half /= 2;
        }
        let ([mut sum, ..], [mut lost, ..]) = (self.sums, self.lost);
        let mut lanes = V::LANES;
        while lanes > 1 {
            let (sums, losses) = (sum.interleave(sum), lost.interleave(lost));
            (sum, lost) = join((sums.0, losses.0), (sums.1, losses.1));
            lanes /= 2;
        }
        let mut total = [V::Element::ZERO; LANES];
        (sum + lost).store(&mut total);
        total[0]
    }
}

/// Adds two sums with what they have lost, and what their own addition loses (TwoSum).
#[inline(always)]
fn join<V: Lanes>((a, e): (V, V), (b, f): (V, V)) -> (V, V) {
    let sum = a + b;
    let b_virtual = sum - a;
    let error = (a - (sum - b_virtual)) + (b - b_virtual);
    (sum, (e + f) + error)
}
