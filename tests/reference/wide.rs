//! Double-double arithmetic: the sum of two `f64`, about 32 digits.

use core::ops::{Add, Mul, Sub};

/// The unevaluated sum `high + low`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wide {
    pub high: f64,
    pub low: f64,
}

fn renormalized(a: f64, b: f64) -> Wide {
    let high = a + b;
    let virtual_b = high - a;
    Wide {
        high,
        low: (a - (high - virtual_b)) + (b - virtual_b),
    }
}

impl From<f64> for Wide {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Add for Wide {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let s = renormalized(self.high, other.high);
        if !s.high.is_finite() {
            return s.high.into();
        }
        let t = renormalized(self.low, other.low);
        let s = renormalized(s.high, s.low + t.high);
        renormalized(s.high, s.low + t.low)
    }
}

impl Sub for Wide {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + Self {
            high: -other.high,
            low: -other.low,
        }
    }
}

impl Mul for Wide {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let p = self.high * other.high;
        let e = self.high.mul_add(other.high, -p);
        renormalized(p, e + (self.high * other.low + self.low * other.high))
    }
}

impl Wide {
    /// Returns the quotient.
    pub(crate) fn over(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * first.into();
        let second = rest.high / other.high;
        let rest = rest - other * second.into();
        renormalized(first, second) + (rest.high / other.high).into()
    }

    /// Returns the exponential by its power series, after halving the argument ten times.
    pub(crate) fn exp(self) -> Self {
        if self.high < -800.0 {
            return 0.0.into();
        }
        let ln2 = Self {
            high: core::f64::consts::LN_2,
            low: 2.319_046_813_846_299_6e-17,
        };
        let k = (self.high / ln2.high).round();
        let r = self - ln2 * k.into();
        let r = Self {
            high: r.high / 1024.0,
            low: r.low / 1024.0,
        };
        let (mut term, mut sum) = (Self::from(1.0), Self::from(0.0));
        for n in 1..14 {
            term = (term * r).over(f64::from(n).into());
            sum = sum + term;
        }
        // sum = exp(r) - 1 keeps its digits while it is squared.
        for _ in 0..10 {
            sum = sum * sum + sum + sum;
        }
        let half = (2.0_f64).powi((k / 2.0) as i32);
        let rest = (2.0_f64).powi(k as i32 - (k / 2.0) as i32);
        let e = sum + 1.0.into();
        Self {
            high: e.high * half * rest,
            low: e.low * half * rest,
        }
    }

    /// Returns the natural logarithm by one Newton step from the rounded one.
    pub(crate) fn ln(self) -> Self {
        let y = Self::from(self.high.ln());
        let negative = Self {
            high: -y.high,
            low: 0.0,
        };
        y + (self * negative.exp() - 1.0.into())
    }
}
