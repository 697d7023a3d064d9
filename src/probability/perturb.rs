//! The probability that a perturbed score is the greatest.

use super::gradient::entmax_vjp_on;
use super::threshold::{greatest, share};
use super::{Logits, RowMap, Softmax, check_out};
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::stream::copy;
use crate::{Cpu, Error};

/// Independent noise that is added to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Noise {
    /// exp(-exp(-z)): the map is the softmax.
    Gumbel,
    /// 1 - exp(-z) for positive z: the map is permute-and-flip (McKenna and Sheldon, 2020).
    Exponential,
    /// The standard normal distribution: the map is multinomial probit.
    Normal,
    /// 1 / (1 + exp(-z)).
    Logistic,
}

/// A distribution of noise that the caller brings, to [`perturb_max_with`].
///
/// Implementors give the two functions of one distribution, and do not panic: what they return goes into
/// products and sums as it is, so that NaN comes out as NaN.
pub trait Distribution {
    /// Returns the probability of at most `z`, for any number: it never falls, from zero to one.
    fn cumulative(&self, z: f64) -> f64;
    /// Returns the value that is exceeded with probability 1 - `u`, for u within (0, 1): it never falls.
    fn quantile(&self, u: f64) -> f64;
}

/// Maps scores to the probability of each to be the greatest, once noise is added:
/// p_i = P(argmax(s + noise) = i).
///
/// s is the score that [`Logits`] makes of a raw logit. Su Jianlin (2022), kexue.fm/archives/9085.
/// Monotone and invariant to shifts, for every noise.
///
/// * **Domain:** every input; the [module](super) tells what infinities, NaN and masks give.
/// * **Accuracy:** within 4 ULP of max(p, 2^-60) and never more than 2^-40 of p for up to 10^5
///   elements; computed in `f64`.
/// * **Cost:** Gumbel noise is a softmax. The others evaluate the noise at up to 512 values of the
///   maximum, twice for each element, through libm. No scratch, 9 KiB of stack.
///
/// # Method
///
/// With m the value of the maximum, p_i is the integral of f(m - s_i) prod_{j != i} F(m - s_j) over
/// m. The product over all j is common to all i, so that each element takes one division by its own
/// factor. Exponential noise leaves s_max behind at once: substituting t = exp(s_max - m) makes the
/// integrand a polynomial of degree n - 1, b_i prod_{j != i} (1 - t b_j) over t in (0, 1) with b =
/// exp(s - s_max), which 32 nodes of Gauss and Legendre integrate exactly for up to 64 elements. The
/// others take panels of 32 nodes.
///
/// ```
/// use suanzi::probability::{Logits, Noise, PerturbMax, ProbabilityMap};
///
/// let mut p = [1.0_f32, 0.5, -0.3];
/// PerturbMax::new(Noise::Normal, Logits::new()).map_in_place(&mut p[..])?;
/// assert_eq!(p, [0.57768595, 0.31998938, 0.102324665]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PerturbMax<'m, T = f32> {
    logits: Logits<'m, T>,
    noise: Noise,
    executor: Cpu,
}

impl<'m, T: Scalar> PerturbMax<'m, T> {
    /// Returns the map of these logits under a noise.
    #[inline]
    #[must_use]
    pub fn new(noise: Noise, logits: Logits<'m, T>) -> Self {
        Self {
            logits,
            noise,
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

impl<T: Scalar> PerturbMax<'_, T> {
    /// Writes the gradient of <dp, p> in the scores, for the raw logits `x`.
    ///
    /// dx_i is the sum of H_ij (dp_i - dp_j) over j, with H_ij the density of i and j both being the
    /// greatest: the integral of f(m - s_i) f(m - s_j) prod F(m - s) over the value m of the maximum, the
    /// product over all others. Where infinities or NaN decide, dx is zero. The gradient in raw logits
    /// has the scale of [`Logits`] as a factor.
    ///
    /// Computed in `f64`, within 2^-40 of max |dp|, and in `f32` rounded once; Gumbel noise as of a softmax
    /// by [`entmax_vjp`](super::entmax_vjp). The cost is one and a half times that of the map, with 17 KiB of
    /// stack.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, and those of the map.
    ///
    /// ```
    /// use suanzi::probability::{Logits, Noise, PerturbMax};
    ///
    /// // The greater of two with exponential noise loses exp(-difference) / 2.
    /// let mut dx = [0.0_f32; 2];
    /// let map = PerturbMax::new(Noise::Exponential, Logits::new());
    /// map.vjp(&[1.0, 0.0], &[1.0, 0.0], &mut dx)?;
    /// assert_eq!(dx, [0.18393972, -0.18393972]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn vjp(&self, x: &[T], dp: &[T], dx: &mut [T]) -> Result<(), Error> {
        self.scores(x, dp, dx)?;
        dispatch!(self.executor, isa => self.vjp_on(isa, dp, dx));
        Ok(())
    }

    /// [`Self::vjp`] on an instruction set, of the scores in `dx`.
    #[inline(always)]
    fn vjp_on<S: Isa>(&self, isa: S, dp: &[T], dx: &mut [T]) {
        let Some(max) = greatest(isa, dx) else {
            return dx.fill(T::ZERO);
        };
        if self.noise == Noise::Gumbel {
            Softmax::default().map_row(isa, None, dx);
            entmax_vjp_on(isa, T::ONE, None, dp, dx);
        } else {
            perturb_vjp(self.noise, max.wide(), dp, dx);
        }
    }
}

impl<T: Scalar> RowMap<T> for PerturbMax<'_, T> {
    fn logits(&self) -> &Logits<'_, T> {
        &self.logits
    }
    fn executor(&self) -> Cpu {
        self.executor
    }
    #[inline(always)]
    fn map_scores<S: Isa>(&self, isa: S, x: Option<&[T]>, y: &mut [T]) {
        if self.noise == Noise::Gumbel {
            return Softmax::default().map_row(isa, x, y);
        }
        if let Some(x) = x {
            copy(x, y);
        }
        match greatest(isa, y) {
            Some(max) => perturb(self.noise, max.wide(), y),
            None => share(None, y),
        }
    }
}

/// Writes the probability of each score to be the greatest under any noise, by its distribution
/// function and its quantiles.
///
/// p_i is the integral of prod_{j != i} F(x_i - x_j + Q(u)) over u in (0, 1), by the double
/// exponential rule (Takahasi and Mori, 1974) with 129 nodes, in `f64`.
///
/// * **Domain:** numbers; an infinity or NaN makes the row what the [module](super) says.
/// * **Accuracy:** 10^-9 for smooth distributions.
/// * **Cost:** 129 n^2 evaluations of the distribution function. No scratch.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ.
///
/// ```
/// use suanzi::probability::{Distribution, perturb_max_with};
///
/// /// Noise of the uniform distribution over (0, 1).
/// struct Uniform;
///
/// impl Distribution for Uniform {
///     fn cumulative(&self, z: f64) -> f64 {
///         z.clamp(0.0, 1.0)
///     }
///     fn quantile(&self, u: f64) -> f64 {
///         u
///     }
/// }
///
/// let mut p = [0.0_f32; 2];
/// perturb_max_with(&Uniform, &[0.0, 2.0], &mut p)?;
/// assert_eq!(p, [0.0, 1.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn perturb_max_with<T: Scalar>(
    noise: &impl Distribution,
    x: &[T],
    out: &mut [T],
) -> Result<(), Error> {
    check_out(x.len(), out.len())?;
    let finite = x.iter().all(|x| *x < T::INFINITY) && x.iter().any(|x| *x > T::NEG_INFINITY);
    if !finite {
        share(Some(x), out);
        return Ok(());
    }
    for (i, out) in out.iter_mut().enumerate() {
        let own = x.get(i).map_or(f64::NEG_INFINITY, |x| x.wide());
        if own == f64::NEG_INFINITY {
            *out = T::ZERO;
            continue;
        }
        let mut sum = 0.0;
        for k in -DOUBLE..=DOUBLE {
            let step = f64::from(k) / 20.0;
            let grown = core::f64::consts::FRAC_PI_2 * libm::sinh(step);
            // u and its derivative, with both ends at their distance.
            let u = 1.0 / (1.0 + libm::exp(-2.0 * grown));
            let slope = libm::cosh(step) * core::f64::consts::FRAC_PI_4
                / (libm::cosh(grown) * libm::cosh(grown))
                / 20.0;
            if u <= 0.0 || u >= 1.0 || slope == 0.0 {
                continue;
            }
            let at = own + noise.quantile(u);
            let mut product = 1.0;
            for (j, x) in x.iter().enumerate() {
                if j != i && *x > T::NEG_INFINITY {
                    product *= noise.cumulative(at - x.wide());
                }
            }
            sum += slope * product;
        }
        *out = T::nearest(sum);
    }
    Ok(())
}

/// Nodes of the double exponential rule on each side of the middle.
const DOUBLE: i32 = 64;

/// Positive nodes of Gauss and Legendre on (-1, 1) with their weights; the others mirror them.
const GAUSS: [(f64, f64); 16] = [
    (0.04830766568773832, 0.0965400885147278),
    (0.1444719615827965, 0.09563872007927486),
    (0.23928736225213706, 0.09384439908080457),
    (0.33186860228212767, 0.09117387869576389),
    (0.42135127613063533, 0.08765209300440381),
    (0.5068999089322294, 0.08331192422694675),
    (0.5877157572407623, 0.07819389578707031),
    (0.6630442669302152, 0.0723457941088485),
    (0.7321821187402897, 0.06582222277636185),
    (0.7944837959679424, 0.058684093478535544),
    (0.84936761373257, 0.050998059262376175),
    (0.8963211557660521, 0.04283589802222668),
    (0.9349060759377397, 0.03427386291302143),
    (0.9647622555875064, 0.02539206530926206),
    (0.9856115115452684, 0.01627439473090567),
    (0.9972638618494816, 0.007018610009470096),
];

/// The most nodes.
const NODES: usize = 512;

/// Values of the maximum with what each weighs: the rule's weight times the product over all elements.
struct Nodes {
    at: [f64; NODES],
    weight: [f64; NODES],
    len: usize,
}

impl Nodes {
    /// Returns the nodes for scores with the greatest `max`.
    fn new<T: Scalar>(noise: Noise, max: f64, y: &[T]) -> Self {
        let mut nodes = Self {
            at: [0.0; NODES],
            weight: [0.0; NODES],
            len: 0,
        };
        if noise == Noise::Exponential {
            let size: f64 = y.iter().map(|y| libm::exp(y.wide() - max)).sum();
            let product = |t: f64| product(y, |y| 1.0 - t * libm::exp(y - max));
            // The product is below exp(-size t).
            let mut from = 0.0;
            let mut to = if y.len() <= 64 { 1.0 } else { 8.0 / size };
            while from < 1.0 && from * size < 64.0 {
                nodes.panel(from, if to < 1.0 { to } else { 1.0 }, product);
                (from, to) = (to, 2.0 * to);
            }
            return nodes;
        }
        let count = libm::log(y.len() as f64);
        let (low, high, width) = if noise == Noise::Normal {
            (-14.0, libm::sqrt(2.0 * count + 90.0), 4.0)
        } else {
            (-46.0, 46.0 + count, 7.0)
        };
        let mut from = low;
        while from < high {
            nodes.panel(from, from + width, |m| {
                product(y, |y| cumulative(noise, m - (y - max)))
            });
            from += width;
        }
        nodes
    }

    /// Appends a panel from `from` to `to`, weighed by `product`.
    fn panel(&mut self, from: f64, to: f64, product: impl Fn(f64) -> f64) {
        let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
        for (node, weight) in GAUSS {
            for at in [middle - half * node, middle + half * node] {
                if let (Some(to), Some(to_weight)) =
                    (self.at.get_mut(self.len), self.weight.get_mut(self.len))
                {
                    (*to, *to_weight) = (at, half * weight * product(at));
                    self.len += 1;
                }
            }
        }
    }

    /// Returns the nodes that weigh something, with their places and weights.
    fn weighed(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        let nodes = self.at.iter().zip(&self.weight).take(self.len);
        let nodes = nodes.enumerate().map(|(l, (&at, &weight))| (l, at, weight));
        nodes.filter(|(_, _, weight)| *weight > 0.0)
    }
}

/// Replaces scores with the greatest `max` by their probabilities.
#[inline(never)]
fn perturb<T: Scalar>(noise: Noise, max: f64, y: &mut [T]) {
    let nodes = Nodes::new(noise, max, y);
    for y in y {
        let seen = seen(noise, y.wide() - max);
        let terms = nodes
            .weighed()
            .map(|(_, at, weight)| weight * rate(noise, at, seen));
        *y = T::nearest(terms.sum());
    }
}

/// Replaces scores with the greatest `max` by the gradient of <dp, p> in them.
#[inline(never)]
fn perturb_vjp<T: Scalar>(noise: Noise, max: f64, dp: &[T], y: &mut [T]) {
    let nodes = Nodes::new(noise, max, y);
    // The sums of all rates, and of rates times dp, at each node.
    let [mut whole, mut moved] = [[0.0; NODES]; 2];
    for (y, dp) in y.iter().zip(dp) {
        let seen = seen(noise, y.wide() - max);
        for (l, at, _) in nodes.weighed() {
            let rate = rate(noise, at, seen);
            if let (Some(whole), Some(moved)) = (whole.get_mut(l), moved.get_mut(l)) {
                *whole += rate;
                *moved += rate * dp.wide();
            }
        }
    }
    for (y, dp) in y.iter_mut().zip(dp) {
        let seen = seen(noise, y.wide() - max);
        let terms = nodes.weighed().map(|(l, at, weight)| {
            let both = whole.get(l).zip(moved.get(l));
            let difference = both.map_or(0.0, |(whole, moved)| dp.wide() * whole - moved);
            // t stands for exp(s_max - m), whose derivative is -t.
            let slope = if noise == Noise::Exponential { at } else { 1.0 };
            weight * slope * rate(noise, at, seen) * difference
        });
        *y = T::nearest(terms.sum());
    }
}

/// Returns what the nodes know a score less the greatest by.
fn seen(noise: Noise, s: f64) -> f64 {
    if noise == Noise::Exponential {
        libm::exp(s)
    } else {
        s
    }
}

/// Returns the rate f / F at which a score becomes the greatest at a node.
fn rate(noise: Noise, at: f64, seen: f64) -> f64 {
    if noise == Noise::Exponential {
        seen / (1.0 - at * seen)
    } else {
        density(noise, at - seen) / cumulative(noise, at - seen)
    }
}

/// Returns the product of `factor` over the elements that are not minus infinity.
fn product<T: Scalar>(y: &[T], factor: impl Fn(f64) -> f64) -> f64 {
    let numbers = y.iter().filter(|y| **y > T::NEG_INFINITY);
    numbers.map(|y| factor(y.wide())).product()
}

/// Returns the distribution function of normal or logistic noise.
fn cumulative(noise: Noise, z: f64) -> f64 {
    if noise == Noise::Normal {
        libm::erfc(-z * core::f64::consts::FRAC_1_SQRT_2) / 2.0
    } else {
        1.0 / (1.0 + libm::exp(-z))
    }
}

/// Returns the density of normal or logistic noise.
fn density(noise: Noise, z: f64) -> f64 {
    if noise == Noise::Normal {
        // 1 / sqrt(2 pi)
        0.398_942_280_401_432_7 * libm::exp(-0.5 * z * z)
    } else {
        let e = libm::exp(-z.abs());
        e / ((1.0 + e) * (1.0 + e))
    }
}
