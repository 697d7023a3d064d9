//! Fourier densities by their definition, in double-double arithmetic.

use super::wide::Wide;

const PI: Wide = Wide {
    high: core::f64::consts::PI,
    low: 1.224_646_799_147_353_2e-16,
};

/// A complex number.
pub(crate) type Complex = (Wide, Wide);

fn negative(x: Wide) -> Wide {
    Wide::from(0.0) - x
}

fn product(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// exp(i pi x) for |x| <= 4, by the power series of a 256th of the angle.
pub(crate) fn turn(x: Wide) -> Complex {
    let angle = x * PI * (1.0 / 256.0).into();
    let (mut term, mut sum) = ((Wide::from(1.0), Wide::from(0.0)), (1.0.into(), 0.0.into()));
    for n in 1..20 {
        let by = angle.over(f64::from(n).into());
        term = (negative(term.1 * by), term.0 * by);
        sum = (sum.0 + term.0, sum.1 + term.1);
    }
    for _ in 0..8 {
        sum = product(sum, sum);
    }
    sum
}

/// The coefficients of a density as wide complex numbers.
pub(crate) fn complex(coefficients: &[f64]) -> Vec<Complex> {
    coefficients
        .chunks(2)
        .map(|a| (a[0].into(), a[1].into()))
        .collect()
}

/// sum |a_k|^2.
pub(crate) fn energy(a: &[Complex]) -> Wide {
    a.iter()
        .fold(Wide::from(0.0), |sum, a| sum + a.0 * a.0 + a.1 * a.1)
}

/// |sum_k a_k exp(-i pi k x)|^2 / (2 sum |a_k|^2).
pub(crate) fn density(a: &[Complex], x: Wide) -> Wide {
    let w = turn(negative(x));
    let mut power = (Wide::from(1.0), Wide::from(0.0));
    let mut sum = (Wide::from(0.0), Wide::from(0.0));
    for &a in a {
        let term = product(a, power);
        sum = (sum.0 + term.0, sum.1 + term.1);
        power = product(power, w);
    }
    (sum.0 * sum.0 + sum.1 * sum.1).over(energy(a) * 2.0.into())
}

/// c_n = sum_k a_k conj(a_{k+n}), over c_0.
pub(crate) fn coefficient(a: &[Complex], n: usize) -> Complex {
    let mut sum = (Wide::from(0.0), Wide::from(0.0));
    for (a, b) in a.iter().zip(a.iter().skip(n)) {
        let term = product(*a, (b.0, negative(b.1)));
        sum = (sum.0 + term.0, sum.1 + term.1);
    }
    let c = energy(a);
    (sum.0.over(c), sum.1.over(c))
}

/// (x + 1)/2 + Re sum_n (c_n / c_0) (exp(i pi n x) - (-1)^n) / (i pi n).
pub(crate) fn cumulative(a: &[Complex], x: Wide) -> Wide {
    let w = turn(x);
    let mut power = (Wide::from(1.0), Wide::from(0.0));
    let mut sum = (x + 1.0.into()) * 0.5.into();
    for n in 1..a.len() {
        power = product(power, w);
        let end = if n % 2 == 0 { 1.0 } else { -1.0 };
        let term = product(coefficient(a, n), (power.0 - end.into(), power.1));
        // The real part of a quotient by i is the imaginary part.
        sum = sum + term.1.over(PI * (n as f64).into());
    }
    sum
}

/// A domain: the point of the period, and its slope.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Map {
    Interval(f64, f64),
    Circle(f64, f64),
    HalfLine(f64, f64),
    Line(f64, f64),
}

impl Map {
    /// x and dx/dy.
    pub(crate) fn place(self, y: f64) -> (Wide, Wide) {
        let one = Wide::from(1.0);
        let two = Wide::from(2.0);
        match self {
            Self::Interval(from, to) => {
                let width = Wide::from(to) - from.into();
                let x = (Wide::from(y) - from.into()) * two;
                (x.over(width) - one, two.over(width))
            }
            Self::Circle(from, period) => {
                let v = (Wide::from(y) - from.into()).over(period.into());
                let v = v - v.high.floor().into();
                (v * two - one, two.over(period.into()))
            }
            Self::HalfLine(from, scale) => {
                let v = (Wide::from(y) - from.into()).over(scale.into());
                let e = negative(v).exp() * two;
                (one - e, e.over(scale.into()))
            }
            Self::Line(location, scale) => {
                let v = (Wide::from(y) - location.into()).over(scale.into());
                let e = if v.high < 0.0 {
                    v * two
                } else {
                    negative(v) * two
                };
                let e = e.exp();
                let x = (one - e).over(one + e);
                let slope = (e * 4.0.into()).over((one + e) * (one + e));
                let x = if v.high < 0.0 { negative(x) } else { x };
                (x, slope.over(scale.into()))
            }
        }
    }
}

/// The roughness: the integral of p'^2 over the period, pi^2 sum n^2 |c_n / c_0|^2.
pub(crate) fn roughness(a: &[Complex]) -> f64 {
    let mut sum = 0.0;
    for n in 1..a.len() {
        let c = coefficient(a, n);
        sum += (n * n) as f64 * (c.0.high * c.0.high + c.1.high * c.1.high);
    }
    sum * core::f64::consts::PI.powi(2)
}

/// The mean of -ln q, by the definition.
pub(crate) fn loss(map: Map, coefficients: &[f64], values: &[f64], weights: &[f64]) -> f64 {
    let a = complex(coefficients);
    let (mut sum, mut total) = (0.0, 0.0);
    for (&y, &weight) in values.iter().zip(weights) {
        let (x, slope) = map.place(y);
        sum -= weight * (density(&a, x).high.ln() + slope.high.ln());
        total += weight;
    }
    sum / total
}
