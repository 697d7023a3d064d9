//! Copies element by element: with padding, in any layout.

use super::shape::Shape;
use super::{Channels, Padding};

/// A row of a patch in one channel: where it lies in both arrays, and how much of it in the image.
struct Run {
    /// Its first element in the patches.
    patch: usize,
    /// The first element of the image that it takes, of the last row where it lies below the image.
    image: usize,
    /// The elements within the width of the image, at least one.
    within: usize,
    /// Whether it lies below the image.
    below: bool,
}

/// Calls `each(run)` for every row of every patch in every channel.
#[inline(always)]
fn runs(shape: &Shape, image: Channels, patch: Channels, mut each: impl FnMut(Run)) {
    let (p, q) = (shape.patch_height, shape.patch_width);
    let [patch_row, _, patch_channel] = shape.strides(patch, p, q);
    let [row_step, column_step, channel_step] = shape.strides(image, shape.height, shape.width);
    let mut first = 0;
    for r in 0..shape.rows {
        for c in 0..shape.columns {
            for a in 0..p {
                let row = r * p + a;
                for k in 0..shape.channels {
                    let near = row.min(shape.height - 1);
                    each(Run {
                        patch: first + a * patch_row + k * patch_channel,
                        image: near * row_step + c * q * column_step + k * channel_step,
                        within: q.min(shape.width - c * q),
                        below: row >= shape.height,
                    });
                }
            }
            first += shape.patch_len();
        }
    }
}

/// Copies an image into patches element by element.
pub(super) fn cut<X: Copy>(
    shape: &Shape,
    image_channels: Channels,
    patch_channels: Channels,
    image: &[X],
    padding: Padding<X>,
    patches: &mut [X],
) {
    let q = shape.patch_width;
    let [_, from_step, _] = shape.strides(image_channels, shape.height, shape.width);
    let [_, to_step, _] = shape.strides(patch_channels, shape.patch_height, q);
    runs(
        shape,
        image_channels,
        patch_channels,
        #[inline(always)]
        |run| {
            let from = image.get(run.image..).unwrap_or_default();
            let mut to = patches
                .get_mut(run.patch..)
                .unwrap_or_default()
                .iter_mut()
                .step_by(to_step.max(1))
                .take(q);
            let beyond = match padding {
                Padding::Value(value) if run.below => {
                    to.for_each(|to| *to = value);
                    return;
                }
                Padding::Value(value) => Some(value),
                Padding::Edge => from.get((run.within - 1) * from_step).copied(),
            };
            let pixels = from.iter().step_by(from_step.max(1)).take(run.within);
            for pixel in pixels {
                if let Some(to) = to.next() {
                    *to = *pixel;
                }
            }
            if let Some(value) = beyond {
                to.for_each(|to| *to = value);
            }
        },
    );
}

/// Copies patches into an image element by element.
pub(super) fn join<X: Copy>(
    shape: &Shape,
    image_channels: Channels,
    patch_channels: Channels,
    patches: &[X],
    image: &mut [X],
) {
    let [_, to_step, _] = shape.strides(image_channels, shape.height, shape.width);
    let [_, from_step, _] = shape.strides(patch_channels, shape.patch_height, shape.patch_width);
    runs(
        shape,
        image_channels,
        patch_channels,
        #[inline(always)]
        |run| {
            if run.below {
                return;
            }
            let from = patches.get(run.patch..).unwrap_or_default().iter();
            let to = image.get_mut(run.image..).unwrap_or_default().iter_mut();
            let pairs = to
                .step_by(to_step.max(1))
                .zip(from.step_by(from_step.max(1)));
            for (to, from) in pairs.take(run.within) {
                *to = *from;
            }
        },
    );
}
