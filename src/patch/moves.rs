//! How elements move between an image and its patches.

use super::{Channels, Padding};

/// The sizes of an image, of a patch and of the grid; all positive, their products within `usize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) patch_height: usize,
    pub(super) patch_width: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// A row, a column and a channel.
type Pixel = [usize; 3];

impl Shape {
    /// Returns the elements of one patch.
    pub(super) const fn patch_len(&self) -> usize {
        self.patch_height * self.patch_width * self.channels
    }

    /// Returns how far apart neighbors in row, column and channel lie, for a height and a width.
    const fn strides(&self, channels: Channels, height: usize, width: usize) -> Pixel {
        match channels {
            Channels::Last => [width * self.channels, self.channels, 1],
            Channels::First => [width, 1, height * width],
        }
    }

    /// Returns row, column and channel of an element of an array of a height and a width.
    const fn pixel(
        &self,
        channels: Channels,
        height: usize,
        width: usize,
        index: usize,
    ) -> Option<Pixel> {
        let (inner, outer) = match channels {
            Channels::Last => (self.channels, width),
            Channels::First => (width, height),
        };
        match (index.checked_div(inner), index.checked_rem(inner)) {
            (Some(rest), Some(last)) => match (rest.checked_div(outer), rest.checked_rem(outer)) {
                (Some(first), Some(middle)) => Some(match channels {
                    Channels::Last => [first, middle, last],
                    Channels::First => [middle, last, first],
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns where in the image a feature of a patch lies.
    pub(super) const fn index(
        &self,
        image: Channels,
        patch: Channels,
        number: usize,
        feature: usize,
    ) -> Option<usize> {
        let (p, q) = (self.patch_height, self.patch_width);
        let (Some(row), Some(column), Some([a, b, k])) = (
            number.checked_div(self.columns),
            number.checked_rem(self.columns),
            self.pixel(patch, p, q, feature),
        ) else {
            return None;
        };
        let (row, column) = (row * p + a, column * q + b);
        if row >= self.height || column >= self.width {
            return None;
        }
        let [by_row, by_column, by_channel] = self.strides(image, self.height, self.width);
        Some(row * by_row + column * by_column + k * by_channel)
    }

    /// Returns the patch and the feature of an element of the image.
    pub(super) const fn place(
        &self,
        image: Channels,
        patch: Channels,
        index: usize,
    ) -> Option<(usize, usize)> {
        let Some([row, column, k]) = self.pixel(image, self.height, self.width, index) else {
            return None;
        };
        let (p, q) = (self.patch_height, self.patch_width);
        let (Some(r), Some(a), Some(c), Some(b)) = (
            row.checked_div(p),
            row.checked_rem(p),
            column.checked_div(q),
            column.checked_rem(q),
        ) else {
            return None;
        };
        let [by_row, by_column, by_channel] = self.strides(patch, p, q);
        let feature = a * by_row + b * by_column + k * by_channel;
        Some((r * self.columns + c, feature))
    }

    /// Returns what lies in one piece in both arrays when the channels do: the elements of a row of the
    /// image, of a row of a patch, and the number of planes.
    const fn pieces(&self, channels: Channels) -> (usize, usize, usize) {
        match channels {
            Channels::Last => (
                self.width * self.channels,
                self.patch_width * self.channels,
                1,
            ),
            Channels::First => (self.width, self.patch_width, self.channels),
        }
    }
}

/// The rows of a patch from which on patches are written one after the other, so that memory is written in
/// its order; below, the calls for each patch cost more than that saves.
const TALL: usize = 8;

/// Copies an image into patches by whole rows of a patch: the same layout, no padding.
#[inline(always)]
pub(super) fn rows<X: Copy>(shape: &Shape, channels: Channels, image: &[X], patches: &mut [X]) {
    let (line, piece, planes) = shape.pieces(channels);
    let (p, len) = (shape.patch_height, shape.patch_len());
    let plane = line.saturating_mul(shape.height);
    let band = len.saturating_mul(shape.columns);
    for (r, band) in patches.chunks_exact_mut(band.max(1)).enumerate() {
        for k in 0..planes {
            let image = image.get(k * plane + r * p * line..).unwrap_or_default();
            let first = k * p * piece;
            if p < TALL {
                for (a, from) in image.chunks_exact(line.max(1)).take(p).enumerate() {
                    let to = band.get_mut(first + a * piece..).unwrap_or_default();
                    scatter(from, piece, to, len);
                }
            } else {
                for (c, patch) in band.chunks_exact_mut(len.max(1)).enumerate() {
                    let to = patch.get_mut(first..).unwrap_or_default();
                    let to = to.get_mut(..p * piece).unwrap_or_default();
                    gather(image.get(c * piece..).unwrap_or_default(), line, to, piece);
                }
            }
        }
    }
}

/// Copies patches into an image by whole rows of a patch: the same layout, no padding.
#[inline(always)]
pub(super) fn rows_back<X: Copy>(
    shape: &Shape,
    channels: Channels,
    patches: &[X],
    image: &mut [X],
) {
    let (line, piece, planes) = shape.pieces(channels);
    let (p, len) = (shape.patch_height, shape.patch_len());
    let plane = line.saturating_mul(shape.height);
    let band = len.saturating_mul(shape.columns);
    for (r, band) in patches.chunks_exact(band.max(1)).enumerate() {
        for k in 0..planes {
            let image = image
                .get_mut(k * plane + r * p * line..)
                .unwrap_or_default();
            for (a, to) in image.chunks_exact_mut(line.max(1)).take(p).enumerate() {
                let from = band.get((k * p + a) * piece..).unwrap_or_default();
                gather(from, len, to, piece);
            }
        }
    }
}

/// Copies pieces that follow each other to places that are `stride` apart.
#[inline(always)]
fn scatter<X: Copy>(from: &[X], piece: usize, to: &mut [X], stride: usize) {
    let pairs = from
        .chunks_exact(piece.max(1))
        .zip(to.chunks_mut(stride.max(1)))
        .map(
            #[inline(always)]
            |(from, to)| (from, to.get_mut(..piece).unwrap_or_default()),
        );
    copy_each(piece, pairs);
}

/// Copies pieces that are `stride` apart to places that follow each other.
#[inline(always)]
fn gather<X: Copy>(from: &[X], stride: usize, to: &mut [X], piece: usize) {
    let pairs = from
        .chunks(stride.max(1))
        .zip(to.chunks_exact_mut(piece.max(1)))
        .map(
            #[inline(always)]
            |(from, to)| (from.get(..piece).unwrap_or_default(), to),
        );
    copy_each(piece, pairs);
}

/// Copies pieces of one length: short ones as two parts whose length the compiler knows, which may
/// overlap, since a call for each would take longer than the copy.
#[inline(always)]
fn copy_each<'a, X: Copy + 'a>(piece: usize, pairs: impl Iterator<Item = (&'a [X], &'a mut [X])>) {
    // What the compiler copies without a call, in bytes.
    const INLINE: usize = 256;
    let inline = piece.saturating_mul(size_of::<X>()) <= INLINE;
    match piece {
        0..2 => pairs.for_each(copy_ends::<X, 1>),
        2..5 if inline => pairs.for_each(copy_ends::<X, 2>),
        5..9 if inline => pairs.for_each(copy_ends::<X, 4>),
        9..17 if inline => pairs.for_each(copy_ends::<X, 8>),
        17..33 if inline => pairs.for_each(copy_ends::<X, 16>),
        33..65 if inline => pairs.for_each(copy_ends::<X, 32>),
        _ => pairs.for_each(
            #[inline(always)]
            |(from, to)| {
                if from.len() == to.len() {
                    to.copy_from_slice(from);
                }
            },
        ),
    }
}

/// Copies a slice of `N` to `2 N` elements by its first and its last `N`.
#[inline(always)]
fn copy_ends<X: Copy, const N: usize>((from, to): (&[X], &mut [X])) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut::<N>()) {
        *to = *from;
    }
}

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
pub(super) fn elements<X: Copy>(
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
pub(super) fn elements_back<X: Copy>(
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
