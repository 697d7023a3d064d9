//! Normalizers of one function: p_i = f(s_i) / sum_j f(s_j).

use super::gradient::beside;
use super::threshold::{greatest, share};
use super::{Logits, ProbabilityMap, RowMap, Softmax};
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::math::sigmoid::{sigmoid_lanes, softplus_lanes};
use crate::math::twofold::{two_product, two_sum};
use crate::scalar::Scalar;
use crate::simd::order::{self, Body};
use crate::simd::{Isa, Lanes};
use crate::{Cpu, Error};

/// Maps logits to p_i = f(s_i) / sum_j f(s_j) for a positive function f other than the exponential.
///
/// s is the score that [`Logits`] makes of a raw logit.
///
/// | constructor | f(s) | source |
/// |---|---|---|
/// | [`taylor`](Self::taylor) | sum_m s^m / m! up to an even order | Vincent et al., 2014, arXiv:1412.7091 |
/// | [`spherical`](Self::spherical) | s^2 | de Brébisson and Vincent, 2015, arXiv:1511.05042 |
/// | [`sigmoid`](Self::sigmoid) | 1 / (1 + exp(-s)) | |
/// | [`softplus`](Self::softplus) | ln(1 + exp(s)) | |
///
/// None of them is invariant to a shift of all scores, and the first two are not monotone: a Taylor
/// polynomial has a least value below zero.
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give. Large
///   scores do not overflow: polynomials are evaluated relative to a power of two near the greatest
///   magnitude. A spherical row of zeros gives zeros.
/// * **Accuracy:** at most 4 ULP; Taylor polynomials by a Horner rule that carries its errors
///   (Graillat, Langlois and Louvet, 2005), since they cancel below zero. Scores are rounded once
///   where they are not the raw logits.
/// * **Cost:** three passes, and one evaluation of f an element; no scratch.
///
/// ```
/// use suanzi::probability::{Logits, Normalized, ProbabilityMap};
///
/// let mut p = [1.0_f32, 0.0, -1.0];
/// Normalized::taylor(2, Logits::new())?.map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.625, 0.25, 0.125]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Normalized<'m, T = f32> {
    logits: Logits<'m, T>,
    function: Function,
    executor: Cpu,
}

/// What is normalized.
#[derive(Clone, Copy, Debug)]
enum Function {
    Taylor(usize),
    Square,
    Sigmoid,
    Softplus,
}

/// m! for the orders of Taylor polynomials: the coefficients of 8! f are 8! / m!, all of them integers.
const FACTORIALS: [u32; 9] = [1, 1, 2, 6, 24, 120, 720, 5040, 40320];

impl<'m, T: Scalar> Normalized<'m, T> {
    /// Returns the Taylor softmax of an even order, at most 8.
    ///
    /// # Errors
    ///
    /// [`Parameter::Order`] if the order is odd, zero or above 8: odd polynomials are not positive.
    #[inline]
    pub fn taylor(order: usize, logits: Logits<'m, T>) -> Result<Self, Error> {
        match order {
            2 | 4 | 6 | 8 => Ok(Self::with(Function::Taylor(order), logits)),
            _ => Err(Error::Domain(Parameter::Order)),
        }
    }

    /// Returns the spherical softmax.
    #[inline]
    #[must_use]
    pub fn spherical(logits: Logits<'m, T>) -> Self {
        Self::with(Function::Square, logits)
    }

    /// Returns the normalized logistic function.
    #[inline]
    #[must_use]
    pub fn sigmoid(logits: Logits<'m, T>) -> Self {
        Self::with(Function::Sigmoid, logits)
    }

    /// Returns the normalized softplus.
    #[inline]
    #[must_use]
    pub fn softplus(logits: Logits<'m, T>) -> Self {
        Self::with(Function::Softplus, logits)
    }

    #[inline]
    fn with(function: Function, logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            function,
            executor: Cpu::default(),
        }
    }

    /// Moves the operation to another executor.
    #[inline]
    #[must_use]
    pub fn on(self, executor: Cpu) -> Self {
        Self { executor, ..self }
    }
}

impl<T: Scalar> Normalized<'_, T> {
    /// Writes the gradient of <dp, p> in the scores, for the raw logits `x`.
    ///
    /// dx = p f'/f (dp - <p, dp>). Within 16 units of rounding of p |f'/f| (|dp_i| + max |dp|). The
    /// cost is that of the map and two passes.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ.
    ///
    /// ```
    /// use suanzi::probability::{Logits, Normalized};
    ///
    /// let mut dx = [0.0_f32; 2];
    /// Normalized::spherical(Logits::new()).vjp(&[1.0, 1.0], &[1.0, 0.0], &mut dx)?;
    /// assert_eq!(dx, [0.5, -0.5]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn vjp(&self, x: &[T], dp: &[T], dx: &mut [T]) -> Result<(), Error> {
        check_len(x.len(), dp.len())?;
        self.map(x, dx)?;
        dispatch!(self.executor, isa => self.vjp_on(isa, x, dp, dx));
        Ok(())
    }

    /// [`Self::vjp`] on an instruction set, with the probabilities in `dx`.
    #[inline(always)]
    fn vjp_on<S: Isa>(&self, isa: S, x: &[T], dp: &[T], dx: &mut [T]) {
        let mean = order::map_sum::<T::Lanes<S>, _>(
            isa,
            Body::Light,
            &*dx,
            #[inline(always)]
            |p: T::Lanes<S>, at| p * beside::<S, T>(isa, dp, at),
        );
        let [mean, zero] = [mean, T::ZERO].map(
            #[inline(always)]
            |c| T::Lanes::<S>::splat(isa, c),
        );
        // order! f_order, and (order - 1)! of the polynomial one order lower, its derivative.
        let order = match self.function {
            Function::Taylor(order) => order,
            _ => 2,
        };
        let size = magnitude(
            isa,
            x,
            #[inline(always)]
            |v, at| self.logits.score(isa, v, at),
        );
        let unit = if size > T::ONE { T::ONE / size } else { T::ONE };
        let (whole, lower) = (taylor(order, unit), taylor(order - 1, unit));
        let (whole, lower) = (
            whole.get(..=order).unwrap_or_default(),
            lower.get(..order).unwrap_or_default(),
        );
        let scale = T::Lanes::<S>::splat(isa, T::from_count(order) * unit);
        let unit = T::Lanes::<S>::splat(isa, unit);
        order::map::<T::Lanes<S>, _>(
            isa,
            dx,
            #[inline(always)]
            |p, at| {
                let score = self.logits.score(isa, beside::<S, T>(isa, x, at), at);
                let growth = match self.function {
                    Function::Taylor(_) => {
                        let s = score * unit;
                        scale * polynomial(isa, lower, s) / polynomial(isa, whole, s)
                    }
                    Function::Square => T::Lanes::<S>::splat(isa, T::TWO) / score,
                    Function::Sigmoid => sigmoid_lanes(isa, -score),
                    Function::Softplus => sigmoid_lanes(isa, score) / softplus_lanes(isa, score),
                };
                let change = p * growth * (beside::<S, T>(isa, dp, at) - mean);
                Lanes::select(zero.lt(p), change, zero)
            },
        );
    }
}

impl<T: Scalar> RowMap<T> for Normalized<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        let Some(max) = greatest(isa, x.unwrap_or(y)) else {
            return share(x, y);
        };
        match self.function {
            // There 1 + exp(s) rounds to one, and both functions to the exponential.
            Function::Sigmoid | Function::Softplus if max < T::EXP_M1_MIN => {
                Softmax::default().map_row(isa, x, y);
            }
            Function::Sigmoid => normalize(
                isa,
                x,
                y,
                #[inline(always)]
                |v| sigmoid_lanes(isa, v),
            ),
            Function::Softplus => {
                // The sum of the largest numbers would overflow.
                let unit = if max > T::RAISE {
                    T::ONE / T::RAISE
                } else {
                    T::ONE
                };
                let unit = T::Lanes::<S>::splat(isa, unit);
                normalize(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |v| softplus_lanes(isa, v) * unit,
                );
            }
            Function::Square => {
                let unit = T::ONE / magnitude(isa, x.unwrap_or(y), |v, _| v);
                let unit = T::Lanes::<S>::splat(isa, unit);
                normalize(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |v| (v * unit) * (v * unit),
                );
            }
            Function::Taylor(order) => {
                let size = magnitude(isa, x.unwrap_or(y), |v, _| v);
                let size = if size > T::ONE { size } else { T::ONE };
                let unit = T::Lanes::<S>::splat(isa, T::ONE / size);
                let coefficients = taylor(order, T::ONE / size);
                let coefficients = coefficients.get(..=order).unwrap_or_default();
                normalize(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |v| polynomial(isa, coefficients, v * unit),
                );
            }
        }
    }
}

/// Writes f(x) / sum f(x) for the row `x`, or `y` itself; f of minus infinity counts as zero.
#[inline(always)]
fn normalize<S: Isa, T: Scalar>(
    isa: S,
    x: Option<&[T]>,
    y: &mut [T],
    mut f: impl FnMut(T::Lanes<S>) -> T::Lanes<S>,
) {
    let [lowest, zero] = [T::NEG_INFINITY, T::ZERO].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let sum = order::map_sum::<T::Lanes<S>, _>(
        isa,
        Body::Heavy,
        (x, &mut *y),
        #[inline(always)]
        |v: T::Lanes<S>, _| Lanes::select(lowest.lt(v), f(v), zero),
    );
    if sum == T::ZERO {
        return;
    }
    let factor = T::Lanes::<S>::splat(isa, T::ONE / sum);
    order::map::<T::Lanes<S>, _>(
        isa,
        y,
        #[inline(always)]
        |v, _| v * factor,
    );
}

/// Returns a power of two near the greatest magnitude of finite elements, one if all are zero.
#[inline(always)]
fn magnitude<S: Isa, T: Scalar>(
    isa: S,
    x: &[T],
    score: impl Fn(T::Lanes<S>, usize) -> T::Lanes<S>,
) -> T {
    let [infinity, zero] = [T::INFINITY, T::ZERO].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let greatest = order::max::<T::Lanes<S>, _>(
        isa,
        Body::Light,
        x,
        #[inline(always)]
        |v, at| {
            let size = score(v, at).abs();
            Lanes::select(size.lt(infinity), size, zero)
        },
    );
    if greatest == T::ZERO {
        return T::ONE;
    }
    if greatest < T::NORMALS_FROM {
        return T::NORMALS_FROM;
    }
    // The exponent alone.
    T::with_bits(greatest.bits() & T::ABOVE_MANTISSA)
}

/// Returns the coefficients of order! times the Taylor polynomial of exp, of s relative to a unit,
/// highest power first: order! / m! times unit^(order - m), which are exact.
#[inline(always)]
fn taylor<T: Scalar>(order: usize, unit: T) -> [T; 9] {
    let mut coefficients = [T::ZERO; 9];
    let mut power = T::ONE;
    let powers = FACTORIALS.iter().take(order + 1).rev();
    let whole = FACTORIALS.get(order).copied().unwrap_or(1);
    for (c, &factorial) in coefficients.iter_mut().zip(powers) {
        *c = T::from_count((whole / factorial.max(1)) as usize) * power;
        power = power * unit;
    }
    coefficients
}

/// Evaluates a polynomial with its rounding errors, highest power first.
#[inline(always)]
fn polynomial<V: Lanes>(isa: V::Isa, coefficients: &[V::Element], x: V) -> V {
    use crate::scalar::sealed::Compute as _;
    let zero = V::splat(isa, V::Element::ZERO);
    let (mut p, mut lost) = (zero, zero);
    for &c in coefficients {
        let (product, error) = two_product(p, x);
        let (sum, rest) = two_sum(product, V::splat(isa, c));
        (p, lost) = (sum, lost * x + (error + rest));
    }
    p + lost
}
