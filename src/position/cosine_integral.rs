//! The cosine integral, and the base that it makes of a context length.

/// The zero of the [`cosine_integral`].
const CI_ZERO: f64 = 0.616_505_485_620_716_2;
/// Levels of the continued fraction.
const FRACTIONS: u32 = 60;

/// Returns what the smallest base for a context tends to as heads grow: L / x0, with the zero x0 of
/// the [`cosine_integral`].
///
/// f(m) is then about (R / 2) (Ci(m) - Ci(m / b)) / ln b. For R = 128 bases are 4 to 112 times as large.
///
/// ```
/// use suanzi::position::asymptotic_base;
///
/// assert_eq!(asymptotic_base(1024).round(), 1661.0);
/// ```
#[must_use]
pub fn asymptotic_base(context: u32) -> f64 {
    f64::from(context) / CI_ZERO
}

/// Returns the cosine integral, Ci(x) = gamma + ln x + the integral of (cos t - 1) / t from 0 to x.
///
/// Within 1e-15 (1 + |ln x|) for positive x; minus infinity at zero, NaN below. A power series up to
/// 4, then a continued fraction.
///
/// ```
/// use suanzi::position::cosine_integral;
///
/// assert!(cosine_integral(0.616_505_485_620_716_2).abs() < 1e-15);
/// assert_eq!(cosine_integral(0.0), f64::NEG_INFINITY);
/// ```
#[must_use]
pub fn cosine_integral(x: f64) -> f64 {
    const GAMMA: f64 = 0.577_215_664_901_532_9;
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    if x <= 4.0 {
        let (mut term, mut sum) = (1.0, 0.0);
        for k in 1..20 {
            let n = f64::from(2 * k);
            term *= -x * x / (n * (n - 1.0));
            sum += term / n;
        }
        return GAMMA + libm::log(x) + sum;
    }
    // E1(ix) = exp(-ix) / (1 + ix - 1 / (3 + ix - 4 / (5 + ix - 9 / ...))), from its end.
    let (mut re, mut im) = (2.0 * f64::from(FRACTIONS) + 1.0, x);
    for k in (1..=FRACTIONS).rev() {
        let (n, size) = (f64::from(k), re * re + im * im);
        let share = n * n / size;
        (re, im) = (2.0 * n - 1.0 - share * re, x + share * im);
    }
    let (sin, cos) = libm::sincos(x);
    let size = re * re + im * im;
    // Ci(x) is minus the real part.
    -(cos * re - sin * im) / size
}
