//! L-BFGS, for whole samples.

use crate::Error;
use crate::error::{Parameter, check_len};
use crate::scalar::Scalar;

/// Evaluations of one line search.
const SEARCH: usize = 40;
/// Iterations in a row that must lower the value by less than the tolerance.
const STALLED: usize = 3;

/// How far an iteration has come.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress<T> {
    /// Iterations so far.
    pub iterations: usize,
    /// Evaluations of the function so far.
    pub evaluations: usize,
    /// The value, the least so far.
    pub value: T,
    /// The greatest element of the gradient, in magnitude.
    pub slope: T,
}

/// L-BFGS (Nocedal, 1980; Liu and Nocedal, 1989) with `PAIRS` stored pairs, in lent storage.
///
/// The line search halves and doubles until the value falls and the slope flattens enough (the weak conditions
/// of Wolfe, by bisection as Lewis and Overton, 2013), so that every pair is fit to be stored. It converges where
/// three iterations in a row have lowered the value by less than the tolerance times max(1, |value|), where the gradient
/// vanishes, or where rounding leaves no lower value along the gradient.
///
/// * **Shapes:** the storage has [`storage_len`](Self::storage_len) elements.
/// * **Edges:** a trial with a value that is not finite counts as too far.
///
/// ```
/// use suanzi::density::Lbfgs;
///
/// type Least = Lbfgs<f64, [f64; Lbfgs::<f64, [f64; 0], 4>::storage_len(2)], 4>;
/// let mut least = Least::new(2, 1e-12, 100, [0.0; _])?;
/// let mut x = [-1.2, 1.0];
/// // Rosenbrock's valley.
/// let valley = |x: &[f64], g: &mut [f64]| {
///     let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
///     g[0] = -2.0 * a - 400.0 * x[0] * b;
///     g[1] = 200.0 * b;
///     a * a + 100.0 * b * b
/// };
/// let end = least.minimize(&mut x, valley, |_| ())?;
/// assert!(end.value < 1e-10 && (x[0] - 1.0).abs() < 1e-4);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lbfgs<T, S, const PAIRS: usize> {
    parameters: usize,
    tolerance: T,
    iterations: usize,
    storage: S,
}

/// The parts of the storage.
struct Parts<'a, T> {
    gradient: &'a mut [T],
    trial: &'a mut [T],
    trial_gradient: &'a mut [T],
    direction: &'a mut [T],
    /// Steps and changes of the gradient, one after the other, the latest first.
    pairs: &'a mut [T],
    /// The inverse product of each pair, and a number that the recursion remembers.
    scalars: &'a mut [[T; 2]],
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>, const PAIRS: usize> Lbfgs<T, S, PAIRS> {
    /// Returns the elements that the storage needs for this many parameters.
    #[must_use]
    pub const fn storage_len(parameters: usize) -> usize {
        let vectors = PAIRS.saturating_mul(2).saturating_add(4);
        vectors
            .saturating_mul(parameters)
            .saturating_add(PAIRS.saturating_mul(2))
    }

    /// Returns a search that ends below `tolerance` or after so many `iterations`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the storage has [`storage_len`](Self::storage_len) elements,
    /// [`Parameter::Rate`] unless the tolerance is finite and not negative.
    pub fn new(
        parameters: usize,
        tolerance: T,
        iterations: usize,
        storage: S,
    ) -> Result<Self, Error> {
        check_len(Self::storage_len(parameters), storage.as_ref().len())?;
        if !(tolerance >= T::ZERO && tolerance < T::INFINITY) {
            return Err(Error::Domain(Parameter::Rate));
        }
        Ok(Self {
            parameters,
            tolerance,
            iterations,
            storage,
        })
    }

    /// Looks for the least value from `x` on, which becomes the best that was found.
    ///
    /// `function` writes the gradient and returns the value. `progress` sees every iteration.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `x` has not the number of parameters, [`Error::NotConverged`] after the last
    /// iteration, or if the value at the start is not finite; `x` is the best so far then too.
    pub fn minimize(
        &mut self,
        x: &mut [T],
        mut function: impl FnMut(&[T], &mut [T]) -> T,
        mut progress: impl FnMut(Progress<T>),
    ) -> Result<Progress<T>, Error> {
        check_len(self.parameters, x.len())?;
        let n = self.parameters;
        let Some(mut parts) = Parts::new(self.storage.as_mut(), n, PAIRS) else {
            return Err(Error::NotConverged);
        };
        let value = function(x, parts.gradient);
        let mut at = Progress {
            iterations: 0,
            evaluations: 1,
            value,
            slope: greatest(parts.gradient),
        };
        if !finite(value) || !finite(at.slope) {
            return Err(Error::NotConverged);
        }
        let (mut stored, mut stalled) = (0, 0);
        while at.iterations < self.iterations {
            if at.slope == T::ZERO {
                return Ok(at);
            }
            parts.direct(n, stored);
            let mut descent = dot(parts.direction, parts.gradient);
            if descent >= T::ZERO || descent.is_nan() {
                // Rounding has spoilt the pairs.
                stored = 0;
                parts.direct(n, stored);
                descent = dot(parts.direction, parts.gradient);
            }
            let Some(lower) = search(
                &mut parts,
                x,
                at.value,
                descent,
                &mut at.evaluations,
                &mut function,
            ) else {
                if stored == 0 {
                    return Ok(at);
                }
                stored = 0;
                continue;
            };
            stored = parts.store(n, x, stored);
            for (x, &trial) in x.iter_mut().zip(&*parts.trial) {
                *x = trial;
            }
            for (g, &trial) in parts.gradient.iter_mut().zip(&*parts.trial_gradient) {
                *g = trial;
            }
            let fall = at.value - lower;
            at.value = lower;
            at.iterations += 1;
            at.slope = greatest(parts.gradient);
            progress(at);
            let size = if lower < T::ZERO { -lower } else { lower };
            let size = if size > T::ONE { size } else { T::ONE };
            stalled = if fall <= self.tolerance * size {
                stalled + 1
            } else {
                0
            };
            if stalled == STALLED {
                return Ok(at);
            }
        }
        Err(Error::NotConverged)
    }
}

impl<'a, T: Scalar> Parts<'a, T> {
    fn new(storage: &'a mut [T], n: usize, pairs: usize) -> Option<Self> {
        let (gradient, rest) = storage.split_at_mut_checked(n)?;
        let (trial, rest) = rest.split_at_mut_checked(n)?;
        let (trial_gradient, rest) = rest.split_at_mut_checked(n)?;
        let (direction, rest) = rest.split_at_mut_checked(n)?;
        let (pairs, scalars) = rest.split_at_mut_checked(pairs.checked_mul(2)?.checked_mul(n)?)?;
        Some(Self {
            gradient,
            trial,
            trial_gradient,
            direction,
            pairs,
            scalars: scalars.as_chunks_mut::<2>().0,
        })
    }

    /// Computes the direction by the two loops over the stored pairs.
    fn direct(&mut self, n: usize, stored: usize) {
        for (d, &g) in self.direction.iter_mut().zip(&*self.gradient) {
            *d = -g;
        }
        let d = &mut *self.direction;
        let pairs = || self.pairs.chunks_exact((2 * n).max(1)).take(stored);
        for (pair, scalars) in pairs().zip(self.scalars.iter_mut()) {
            let (s, y) = pair.split_at_checked(n).unwrap_or_default();
            let part = scalars[0] * dot(s, d);
            scalars[1] = part;
            add(d, -part, y);
        }
        if let Some((s, y)) = pairs().next().and_then(|pair| pair.split_at_checked(n)) {
            let scale = dot(s, y) / dot(y, y);
            for d in d.iter_mut() {
                *d = *d * scale;
            }
        } else {
            // The first step is no longer than one.
            let length = dot(d, d).root();
            if length > T::ONE {
                for d in d.iter_mut() {
                    *d = *d / length;
                }
            }
        }
        for i in (0..stored).rev() {
            let pair = self.pairs.chunks_exact((2 * n).max(1)).nth(i);
            let (Some(pair), Some(scalars)) = (pair, self.scalars.get(i)) else {
                continue;
            };
            let (s, y) = pair.split_at_checked(n).unwrap_or_default();
            let part = scalars[1] - scalars[0] * dot(y, d);
            add(d, part, s);
        }
    }

    /// Stores the step from `x` to the trial as the latest pair; returns how many there are.
    fn store(&mut self, n: usize, x: &[T], stored: usize) -> usize {
        make_room(self.pairs, 2 * n);
        make_room(self.scalars, 1);
        let Some((s, rest)) = self.pairs.split_at_mut_checked(n) else {
            return 0;
        };
        for ((s, &to), &from) in s.iter_mut().zip(&*self.trial).zip(x) {
            *s = to - from;
        }
        let mut product = T::ZERO;
        let gradients = self.trial_gradient.iter().zip(&*self.gradient);
        for ((y, (&to, &from)), &s) in rest.iter_mut().zip(gradients).zip(&*s) {
            *y = to - from;
            product = product + *y * s;
        }
        if let Some(scalars) = self.scalars.first_mut() {
            scalars[0] = T::ONE / product;
        }
        // A pair without curvature says nothing, and the older ones stand for another place.
        if product > T::ZERO && finite(T::ONE / product) {
            (stored + 1).min(self.scalars.len())
        } else {
            0
        }
    }
}

/// Moves every element `by` places towards the end, where the last ones drop out.
fn make_room<U: Copy>(x: &mut [U], by: usize) {
    let mut at = x.len();
    while at > by {
        at -= 1;
        if let Some(&from) = x.get(at - by)
            && let Some(to) = x.get_mut(at)
        {
            *to = from;
        }
    }
}

/// Looks along the direction for a lower value and a flatter slope; returns the value at the trial.
fn search<T: Scalar>(
    parts: &mut Parts<'_, T>,
    x: &[T],
    value: T,
    descent: T,
    evaluations: &mut usize,
    function: &mut impl FnMut(&[T], &mut [T]) -> T,
) -> Option<T> {
    let (enough, flat) = (T::nearest(1e-4), T::nearest(0.9));
    let (mut low, mut high, mut t) = (T::ZERO, T::INFINITY, T::ONE);
    let mut lower = None;
    for _ in 0..SEARCH {
        for ((trial, &x), &d) in parts.trial.iter_mut().zip(x).zip(&*parts.direction) {
            *trial = x + t * d;
        }
        let found = function(parts.trial, parts.trial_gradient);
        *evaluations = evaluations.saturating_add(1);
        lower = None;
        if finite(found) && found <= value + enough * t * descent {
            lower = (found < value).then_some(found);
            if dot(parts.trial_gradient, parts.direction) < flat * descent {
                low = t;
            } else {
                break;
            }
        } else {
            high = t;
        }
        t = if high < T::INFINITY {
            (low + high) * T::HALF
        } else {
            t + t
        };
    }
    lower
}

fn finite<T: Scalar>(x: T) -> bool {
    x - x == T::ZERO
}

/// Returns the greatest magnitude; NaN if there is one.
fn greatest<T: Scalar>(x: &[T]) -> T {
    let mut greatest = T::ZERO;
    for &x in x {
        let magnitude = if x < T::ZERO { -x } else { x };
        if magnitude.is_nan() {
            return T::NAN;
        }
        if magnitude > greatest {
            greatest = magnitude;
        }
    }
    greatest
}

fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    let mut sum = T::ZERO;
    for (&a, &b) in a.iter().zip(b) {
        sum = sum + a * b;
    }
    sum
}

/// Adds a multiple of y to x.
fn add<T: Scalar>(x: &mut [T], factor: T, y: &[T]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x = *x + factor * y;
    }
}
