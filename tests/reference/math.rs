//! Elementary functions in f64, through libm.

/// Returns sin(pi x).
pub(crate) fn sin_pi(x: f64) -> f64 {
    let rest = x - 2.0 * libm::round(x / 2.0);
    if rest == libm::round(rest) {
        return if x.is_finite() {
            0.0_f64.copysign(x)
        } else {
            f64::NAN
        };
    }
    // The half turn that is left is folded to where the sine does not cancel.
    let folded = if rest.abs() > 0.5 {
        1.0_f64.copysign(rest) - rest
    } else {
        rest
    };
    libm::sin(core::f64::consts::PI * folded)
}

/// Returns cos(pi x).
pub(crate) fn cos_pi(x: f64) -> f64 {
    let rest = (x - 2.0 * libm::round(x / 2.0)).abs();
    if rest == 0.5 {
        return 0.0;
    }
    if rest.is_nan() {
        return rest;
    }
    libm::sin(core::f64::consts::PI * (0.5 - rest))
}

/// Returns 1 / (1 + exp(-x)).
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x < 0.0 {
        libm::exp(x) / (1.0 + libm::exp(x))
    } else {
        1.0 / (1.0 + libm::exp(-x))
    }
}

/// Returns ln(1 + exp(x)).
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}
