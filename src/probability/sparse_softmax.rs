//! The softmax of the most probable elements: top-k, top-p and min-p.

use core::cmp::Ordering;

use super::list::{FULL, List};
use super::select::{self, Cut};
use super::threshold::share;
use super::{Logits, RowMap, Softmax};
use crate::error::Parameter;
use crate::scalar::Scalar;
use crate::simd::order::Body;
use crate::simd::stream::copy;
use crate::simd::{Isa, Lanes, order};
use crate::{Cpu, Error};

/// Maps logits to the softmax of the most probable ones; the others get exactly zero.
///
/// s is the score that [`Logits`] makes of a raw logit. Three rules leave elements out, in this
/// order, and what is left adds up to one:
///
/// 1. [top-k](Self::with_top_k) keeps the k greatest (Fan et al., 2018, arXiv:1805.04833);
/// 2. [top-p](Self::with_top_p), the nucleus, keeps the fewest greatest ones that make up at least p
///    of what is left (Holtzman et al., 2019, arXiv:1904.09751);
/// 3. [min-p](Self::with_min_p) keeps those of at least p times the greatest probability (Nguyen et
///    al., 2024, arXiv:2407.01082).
///
/// Of equal scores the earlier ones are kept, by top-p of equal probabilities. Without any rule this is
/// the [`Softmax`].
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give. Plus
///   infinity counts k times at most.
/// * **Accuracy:** at most 3 ULP; what is kept is decided by probabilities of that error, and by their
///   sum. Scores are rounded once where they are not the raw logits.
/// * **Cost:** for k up to 64, two passes that read and one that writes; each pass is one or two
///   operations an element. For greater k the row is counted up to 32 times (64 in `f64`), two
///   operations an element, before its softmax. Top-p without top-k is a softmax, and such counting
///   only where the 64 most probable elements are not enough. No scratch, 1 KiB of stack.
///
/// ```
/// use suanzi::probability::{Logits, ProbabilityMap, SparseSoftmax};
///
/// let mut p = [1.0_f32, 3.0, 2.0, 3.0, 0.0];
/// SparseSoftmax::new(Logits::new()).with_top_k(2)?.map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.0, 0.5, 0.0, 0.5, 0.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SparseSoftmax<'m, T = f32> {
    logits: Logits<'m, T>,
    top_k: usize,
    top_p: T,
    min_p: T,
    executor: Cpu,
}

/// The most elements that are kept in a list.
const LISTED: usize = FULL / 2;

impl<'m, T: Scalar> SparseSoftmax<'m, T> {
    /// Returns the map of these logits without a rule, on the processor's best instruction set.
    #[inline]
    #[must_use]
    pub fn new(logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            top_k: usize::MAX,
            top_p: T::ONE,
            min_p: T::ZERO,
            executor: Cpu::default(),
        }
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }

    /// Keeps the `k` greatest elements.
    ///
    /// # Errors
    ///
    /// [`Parameter::TopK`] if `k` is zero.
    #[inline]
    pub fn with_top_k(self, k: usize) -> Result<Self, Error> {
        if k == 0 {
            return Err(Error::Domain(Parameter::TopK));
        }
        Ok(Self { top_k: k, ..self })
    }

    /// Keeps the fewest greatest elements whose probabilities add up to at least `p`; all if `p` is
    /// one.
    ///
    /// # Errors
    ///
    /// [`Parameter::Share`] if `p` is not within (0, 1].
    #[inline]
    pub fn with_top_p(self, p: T) -> Result<Self, Error> {
        if !(p > T::ZERO && p <= T::ONE) {
            return Err(Error::Domain(Parameter::Share));
        }
        Ok(Self { top_p: p, ..self })
    }

    /// Keeps the elements of at least `p` times the greatest probability; all if `p` is zero.
    ///
    /// # Errors
    ///
    /// [`Parameter::Share`] if `p` is not within [0, 1].
    #[inline]
    pub fn with_min_p(self, p: T) -> Result<Self, Error> {
        if !(p >= T::ZERO && p <= T::ONE) {
            return Err(Error::Domain(Parameter::Share));
        }
        Ok(Self { min_p: p, ..self })
    }
}

impl<T: Scalar> RowMap<T> for SparseSoftmax<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        let scores = x.unwrap_or(y);
        if self.top_k >= scores.len() {
            Softmax::default().map_row(isa, x, y);
            return self.cut_row(isa, y);
        }
        let mut list = List::new();
        let Some(listed) = list_greatest(isa, &mut list, scores, self.top_k) else {
            share(x, y);
            return keep_infinite(y, self.top_k);
        };
        if listed {
            self.cut_list(isa, &mut list);
            return list.scatter(y);
        }
        let mut cut = select::greatest(isa, scores, self.top_k);
        if let Some(x) = x {
            copy(x, y);
        }
        for y in &mut *y {
            if !cut.keeps(*y) {
                *y = T::NEG_INFINITY;
            }
        }
        Softmax::default().map_row(isa, None, y);
        self.cut_row(isa, y);
    }
}

impl<T: Scalar> SparseSoftmax<'_, T> {
    /// Replaces the scores of a list by probabilities and cuts them.
    #[inline(always)]
    fn cut_list<S: Isa>(&self, isa: S, list: &mut List<T>) {
        Softmax::default().map_row(isa, None, list.scores_mut());
        if self.top_p < T::ONE || self.min_p > T::ZERO {
            self.cut(isa, list.scores_mut());
        }
    }

    /// Cuts the probabilities of a row.
    #[inline(always)]
    fn cut_row<S: Isa>(&self, isa: S, y: &mut [T]) {
        if self.top_p == T::ONE && self.min_p == T::ZERO {
            return;
        }
        if self.top_p < T::ONE && y.len() > LISTED {
            // The most probable elements may be enough.
            let mut list = List::new();
            let listed = list_greatest(isa, &mut list, y, LISTED).unwrap_or(false);
            if listed && mass(isa, list.scores(), T::ZERO) >= self.top_p {
                self.cut(isa, list.scores_mut());
                return list.scatter(y);
            }
        }
        self.cut(isa, y);
    }

    /// Leaves out what top-p and min-p say, and scales the rest to one.
    #[inline(always)]
    fn cut<S: Isa>(&self, isa: S, p: &mut [T]) {
        let (_, max) = select::range(isa, p);
        // Nothing to choose from, or NaN.
        if max.is_nan() || max <= T::ZERO {
            return;
        }
        let total = mass(isa, p, T::ZERO);
        if self.top_p < T::ONE && total >= self.top_p {
            let least = select::least(
                T::ZERO,
                max,
                #[inline(always)]
                |value| {
                    if mass(isa, p, value) < self.top_p {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                },
            );
            // What is missing without the elements that equal the last.
            let above = mass(isa, p, select::next(least));
            let mut cut = Cut { least, ties: 1 };
            while above + T::from_count(cut.ties) * least < self.top_p && cut.ties < p.len() {
                cut.ties += 1;
            }
            for p in &mut *p {
                if !cut.keeps(*p) {
                    *p = T::ZERO;
                }
            }
        }
        let least = self.min_p * max;
        for p in &mut *p {
            if *p < least {
                *p = T::ZERO;
            }
        }
        let whole = T::Lanes::<S>::splat(isa, mass(isa, p, T::ZERO));
        order::map::<T::Lanes<S>, _>(
            isa,
            p,
            #[inline(always)]
            |v, _| v / whole,
        );
    }
}

/// Lists the `k` greatest elements, of equal ones the first; minus infinity is not listed. Returns
/// whether they fit; nothing if an element is NaN or plus infinity, or all are minus infinity.
#[inline(always)]
fn list_greatest<S: Isa, T: Scalar>(isa: S, list: &mut List<T>, x: &[T], k: usize) -> Option<bool> {
    let most = if k <= LISTED { LISTED } else { 0 };
    let filled = list.fill(
        isa,
        x,
        most,
        #[inline(always)]
        |_, least| least,
        #[inline(always)]
        |list, _, _| thin(isa, list, k.min(FULL)),
    )?;
    if filled.listed && list.len() > k {
        thin(isa, list, k);
    }
    Some(filled.listed)
}

/// Leaves the `k` greatest elements of a longer list, and returns the least of them.
#[inline(always)]
fn thin<S: Isa, T: Scalar>(isa: S, list: &mut List<T>, k: usize) -> T {
    let mut cut = select::greatest(isa, list.scores(), k);
    let least = cut.least;
    list.retain(
        #[inline(always)]
        |x| cut.keeps(x),
    );
    least
}

/// Returns the sum of the probabilities that are at least `least`.
#[inline(always)]
fn mass<S: Isa, T: Scalar>(isa: S, p: &[T], least: T) -> T {
    let [least, zero] = [least, T::ZERO].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    order::map_sum::<T::Lanes<S>, _>(
        isa,
        Body::Light,
        p,
        #[inline(always)]
        |v: T::Lanes<S>, _| Lanes::select(least.le(v), v, zero),
    )
}

/// Leaves the first `k` shares of a row with infinite scores.
#[cold]
#[inline(never)]
fn keep_infinite<T: Scalar>(y: &mut [T], k: usize) {
    let count = y.iter().filter(|&&y| y > T::ZERO).count().min(k);
    let share = T::ONE / T::from_count(count);
    let shares = y.iter_mut().filter(|y| **y > T::ZERO);
    for (i, y) in shares.enumerate() {
        *y = if i < k { share } else { T::ZERO };
    }
}
