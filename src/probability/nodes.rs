//! The integral over the value of the greatest perturbed score, in panels of Gauss and Legendre.

use super::Noise;
use crate::scalar::Scalar;

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
pub(super) fn perturb<T: Scalar>(noise: Noise, max: f64, y: &mut [T]) {
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
pub(super) fn perturb_vjp<T: Scalar>(noise: Noise, max: f64, dp: &[T], y: &mut [T]) {
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
