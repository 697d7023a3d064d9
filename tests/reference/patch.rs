//! The patch room, by its definitions.

use super::wide::Wide;

/// Returns the place in the image of each feature of each patch, none where it lies outside; the channels
/// of image and patch first or last.
pub(crate) fn places(
    [height, width, channels]: [usize; 3],
    [p, q]: [usize; 2],
    image_first: bool,
    patch_first: bool,
) -> Vec<Option<(usize, [usize; 2])>> {
    let (rows, columns) = (height.div_ceil(p), width.div_ceil(q));
    let len = p * q * channels;
    let mut places = vec![None; rows * columns * len];
    for (i, place) in places.iter_mut().enumerate() {
        let (n, f) = (i / len, i % len);
        let (a, b, k) = if patch_first {
            (f / q % p, f % q, f / (p * q))
        } else {
            (f / channels / q, f / channels % q, f % channels)
        };
        let (row, column) = (n / columns * p + a, n % columns * q + b);
        let at = |row: usize, column: usize| {
            if image_first {
                (k * height + row) * width + column
            } else {
                (row * width + column) * channels + k
            }
        };
        // The element, or the nearest one with where this one would be.
        let near = at(row.min(height - 1), column.min(width - 1));
        *place = Some((near, [row, column]));
    }
    places
}

/// Returns alpha_t, beta_t, A_t and B_t for t from one to T.
pub(crate) fn schedule(variance: f64, steps: usize) -> Vec<[Wide; 4]> {
    let one = Wide::from(1.0);
    let mut product = one;
    (1..=steps)
        .map(|t| {
            let share =
                Wide::from(variance) * Wide::from(t as f64) * one.over((steps as f64).into());
            let alpha2 = one - share;
            product = product * alpha2;
            let root = |x: Wide| {
                // One step of Newton's from the root in f64.
                let r = Wide::from(x.high.sqrt());
                let half = Wide::from(0.5);
                half * (r + x.over(r))
            };
            [
                root(alpha2),
                root(share),
                root(product),
                root(one - product),
            ]
        })
        .collect()
}
