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

/// The lanes that a vector has at most: several native ones count as one.
const WIDEST: usize = 4 * LANES;

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
    fn group(self) -> usize {
        if self == Self::Light {
            GROUP
        } else {
            core::hint::black_box(GROUP)
        }
    }
}

/// What a pass makes of the elements of a row before it adds them up.
pub(crate) trait Terms<V: Lanes> {
    /// Maps the elements from index `at` on, one a lane, to terms that are not negative (NaN and
    /// infinity pass). It may be called with lanes beyond the end, whose results are not used.
    fn of(&mut self, isa: V::Isa, v: V, at: usize) -> V;

    /// Whether terms are held back until all of their group stand.
    const HELD: bool = false;

    /// Returns whether the terms so far may stand.
    #[inline(always)]
    fn stand(&self) -> bool {
        true
    }
}

impl<V: Lanes, F: FnMut(V, usize) -> V> Terms<V> for F {
    #[inline(always)]
    fn of(&mut self, _: V::Isa, v: V, at: usize) -> V {
        self(v, at)
    }
}

/// Replaces each element of the stream by its term and returns the sum of the terms, in the portable
/// order.
#[inline(always)]
pub(crate) fn map_sum<V: Lanes, S: Stream<V::Element>>(
    isa: V::Isa,
    body: Body,
    stream: S,
    terms: impl Terms<V>,
) -> V::Element {
    let mut sum = Sum::<<V::Element as Compute>::Lanes<V::Isa>>::new(isa);
    let _ = sum.extend::<V, S, _>(isa, body, stream, terms);
    sum.total()
}

/// Replaces each element of the stream by `map` of it; `map` is called as in [`Terms::of`].
#[inline(always)]
pub(crate) fn map<V: Lanes, S: Stream<V::Element>>(
    isa: V::Isa,
    stream: S,
    mut map: impl FnMut(V, usize) -> V,
) {
    let mut base = 0;
    if V::LANES == 1 {
        for mut part in stream.parts() {
            for at in 0..part.len() {
                let v = map(part.load(isa, at), base + at);
                part.store(at, v);
            }
            base += GROUP;
        }
        return;
    }
    let (groups, mut tail) = stream.split();
    for mut group in groups {
        let mut at = 0;
        while at < GROUP {
            let v = map(group.load(isa, at), base + at);
            group.store(at, v);
            at += V::LANES;
        }
        base += GROUP;
    }
    let mut at = 0;
    while at < tail.len() {
        let v = map(load_tail(isa, &tail, at), base + at);
        store_tail(&mut tail, at, v);
        at += V::LANES;
    }
}

/// Returns the greatest of `map` over the stream, minus infinity if it is empty.
///
/// `map` is called as in [`Terms::of`]. With a NaN among the results the greatest is unspecified.
#[inline(always)]
pub(crate) fn max<V: Lanes, S: Stream<V::Element>>(
    isa: V::Isa,
    body: Body,
    stream: S,
    mut map: impl FnMut(V, usize) -> V,
) -> V::Element {
    let mut greatest = [V::splat(isa, V::Element::NEG_INFINITY); 2];
    let mut base = 0;
    if V::LANES == 1 {
        let [greatest, _] = &mut greatest;
        for part in stream.parts() {
            for at in 0..part.len() {
                *greatest = map(part.load(isa, at), base + at).max(*greatest);
            }
            base += GROUP;
        }
        return greatest.greatest();
    }
    let whole = body.group();
    let (groups, tail) = stream.split();
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
    let mut at = 0;
    while at < tail.len() {
        let v = map(load_tail(isa, &tail, at), base + at);
        let [g, _] = &mut greatest;
        *g = v.max(*g);
        at += V::LANES;
    }
    let [a, b] = greatest;
    a.max(b).greatest()
}

/// Loads the elements of a tail from `at` on; lanes beyond its end repeat the first.
#[inline(always)]
fn load_tail<V: Lanes>(isa: V::Isa, tail: &impl Tail<V::Element>, at: usize) -> V {
    if tail.len() - at >= V::LANES {
        return tail.load(isa, at);
    }
    let mut first = [V::Element::ZERO];
    tail.take(at, &mut first);
    let mut buffer = [first[0]; WIDEST];
    let (lanes, _) = buffer.split_at_mut(V::LANES);
    tail.take(at, lanes);
    V::load(isa, lanes)
}

/// Stores the elements of a tail from `at` on, as far as there are.
#[inline(always)]
fn store_tail<V: Lanes>(tail: &mut impl Tail<V::Element>, at: usize, v: V) {
    if tail.len() - at >= V::LANES {
        return tail.store(at, v);
    }
    let mut buffer = [V::Element::ZERO; WIDEST];
    let (lanes, _) = buffer.split_at_mut(V::LANES);
    v.store(lanes);
    tail.put(at, lanes);
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

/// A sum in the portable order: the sums of the sixteen lanes, in native vectors, and what their
/// additions have lost.
pub(crate) struct Sum<V> {
    sums: [V; LANES],
    lost: [V; LANES],
}

impl<N: Lanes> Sum<N> {
    /// Returns the sum of nothing.
    #[inline(always)]
    pub(crate) fn new(isa: N::Isa) -> Self {
        let zeros = [N::splat(isa, N::Element::ZERO); LANES];
        Self {
            sums: zeros,
            lost: zeros,
        }
    }

    /// Replaces each element of the stream by its term and adds the terms, group by group, as long as
    /// they stand. Returns the number of elements done.
    #[inline(always)]
    pub(crate) fn extend<V, S, X>(
        &mut self,
        isa: V::Isa,
        body: Body,
        stream: S,
        mut terms: X,
    ) -> usize
    where
        V: Lanes<Element = N::Element, Isa = N::Isa>,
        S: Stream<V::Element>,
        X: Terms<V>,
    {
        if V::LANES == 1 {
            return self.extend_by_one(isa, stream, terms);
        }
        let whole = body.group();
        let (groups, mut tail) = stream.split();
        let mut done = 0;
        for mut group in groups {
            let mut buffer = [V::Element::ZERO; GROUP];
            let mut at = 0;
            while at < whole {
                let v = terms.of(isa, group.load(isa, at), done + at);
                if !X::HELD {
                    group.store(at, v);
                }
                if X::HELD || group.written().is_none() {
                    v.store(buffer.get_mut(at..).unwrap_or_default());
                }
                at += V::LANES;
            }
            if !X::HELD {
                self.add(isa, group.written().unwrap_or(&buffer));
                done += GROUP;
                continue;
            }
            if !terms.stand() {
                return done;
            }
            self.add(isa, &buffer);
            let mut at = 0;
            while at < whole {
                group.store(at, V::load(isa, buffer.get(at..).unwrap_or_default()));
                at += V::LANES;
            }
            done += GROUP;
        }
        let count = tail.len();
        if count == 0 {
            return done;
        }
        let mut buffer = [V::Element::ZERO; GROUP];
        let mut at = 0;
        while at < count {
            let v = terms.of(isa, load_tail(isa, &tail, at), done + at);
            let first = V::first(isa, count - at);
            let v = V::select(first, v, V::splat(isa, V::Element::ZERO));
            v.store(buffer.get_mut(at..).unwrap_or_default());
            at += V::LANES;
        }
        if !terms.stand() {
            return done;
        }
        self.add(isa, &buffer);
        let mut at = 0;
        while at < count {
            let v = V::load(isa, buffer.get(at..).unwrap_or_default());
            store_tail(&mut tail, at, v);
            at += V::LANES;
        }
        done + count
    }

    /// [`Sum::extend`] for one lane: the terms have their code once, and wait in memory.
    #[inline(always)]
    fn extend_by_one<V, S, X>(&mut self, isa: V::Isa, stream: S, mut terms: X) -> usize
    where
        V: Lanes<Element = N::Element, Isa = N::Isa>,
        S: Stream<V::Element>,
        X: Terms<V>,
    {
        let mut done = 0;
        for mut part in stream.parts() {
            let mut buffer = [V::Element::ZERO; GROUP];
            for (at, to) in (0..part.len()).zip(&mut buffer) {
                let v = terms.of(isa, part.load(isa, at), done + at);
                if !X::HELD {
                    part.store(at, v);
                }
                v.store(core::slice::from_mut(to));
            }
            if !terms.stand() {
                return done;
            }
            self.add(isa, &buffer);
            if X::HELD {
                for (at, from) in (0..part.len()).zip(&buffer) {
                    part.store(at, V::load(isa, core::slice::from_ref(from)));
                }
            }
            done += part.len();
        }
        done
    }

    /// Returns the vectors in use, with their losses.
    #[inline(always)]
    fn lanes(&mut self) -> impl Iterator<Item = (&mut N, &mut N)> {
        let vectors = LANES / N::LANES;
        self.sums.iter_mut().zip(&mut self.lost).take(vectors)
    }

    /// Adds the terms of one group.
    #[inline(always)]
    fn add(&mut self, isa: N::Isa, terms: &[N::Element; GROUP]) {
        let mut lane = 0;
        for (sum, lost) in self.lanes() {
            let row = |row: usize| -> N { Rows::load(&terms, isa, row * LANES + lane) };
            let term =
                ((row(0) + row(1)) + (row(2) + row(3))) + ((row(4) + row(5)) + (row(6) + row(7)));
            carry(sum, lost, term);
            lane += N::LANES;
        }
    }

    /// Returns the sum. The lanes join: j takes j + 8, then j + 4, j + 2, j + 1.
    #[inline(always)]
    pub(crate) fn total(&mut self) -> N::Element {
        let mut half = LANES / N::LANES / 2;
        while half > 0 {
            let (low, high) = self.sums.split_at_mut(half);
            let (lost_low, lost_high) = self.lost.split_at_mut(half);
            let errors = lost_low.iter_mut().zip(lost_high);
            for ((l, &mut h), (e, &mut f)) in low.iter_mut().zip(high).zip(errors) {
                (*l, *e) = join((*l, *e), (h, f));
            }
            half /= 2;
        }
        let &mut Self {
            sums: [mut sum, ..],
            lost: [mut lost, ..],
        } = self;
        let mut lanes = N::LANES;
        while lanes > 1 {
            let (sums, losses) = (sum.interleave(sum), lost.interleave(lost));
            (sum, lost) = join((sums.0, losses.0), (sums.1, losses.1));
            lanes /= 2;
        }
        let mut total = [N::Element::ZERO; LANES];
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
