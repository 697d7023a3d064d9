//! The penalty of a fit on variation.

use crate::scalar::Scalar;

/// Adds the gradient of the roughness, by the conjugates of b, and returns its value.
pub(super) fn roughness<T: Scalar>(
    factor: T,
    b: &[[T; 2]],
    energy: T,
    correlation: &mut [[T; 2]],
    gradient: &mut [[T; 2]],
) -> T {
    let pi = T::nearest(core::f64::consts::PI);
    let scale = factor * pi * pi / (energy * energy);
    let mut value = T::ZERO;
    for (n, c) in correlation.iter_mut().enumerate() {
        let (mut re, mut im) = (T::ZERO, T::ZERO);
        for (&[x, y], &[u, v]) in b.get(n..).unwrap_or_default().iter().zip(b) {
            re = re + (x * u + y * v);
            im = im + (y * u - x * v);
        }
        let weight = T::from_count(n) * T::from_count(n) * scale;
        value = value + weight * (re * re + im * im);
        *c = [re * weight, im * weight];
    }
    let rest = value * T::TWO / energy;
    for (j, (g, &[x, y])) in gradient.iter_mut().zip(b).enumerate() {
        let (mut re, mut im) = (-(x * rest), -(y * rest));
        for (n, &[c, d]) in correlation.iter().enumerate().skip(1) {
            // conj(C_n) b_{j+n} + C_n b_{j-n}.
            if let Some(&[u, v]) = b.get(j + n) {
                re = re + (c * u + d * v);
                im = im + (c * v - d * u);
            }
            if let Some(&[u, v]) = j.checked_sub(n).and_then(|at| b.get(at)) {
                re = re + (c * u - d * v);
                im = im + (c * v + d * u);
            }
        }
        *g = [g[0] + re * T::TWO, g[1] + im * T::TWO];
    }
    value
}
