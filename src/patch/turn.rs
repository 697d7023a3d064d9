//! Copies that turn planes into pixels and pixels into planes.
//!
//! A few channels go through a buffer: [`BLOCK`] pixels at a time, a number that the compiler knows, so that
//! it turns them by vector instructions; the rows of patches are then cut from the buffer. More channels,
//! wide elements, what is left at the end of an array, and all without vectors go one channel after the
//! other.

use super::Channels;
use super::pieces::{Job, Piece, VECTORS, by_length};
use super::shape::{Shape, Steps};
use crate::simd::Isa;

/// The pixels that are turned at a time.
const BLOCK: usize = 64;

/// The widest element that goes through the buffer, in bytes: it is then 2 KiB at most.
const WIDEST: usize = 8;

/// How the rows of patches follow each other: those of the inner loop are beside each other in what is read.
struct Walk {
    /// Two loops around: how many steps, and how far apart in what is read and in what is written.
    around: [(usize, usize, usize); 2],
    /// The rows of the inner loop.
    rows: usize,
    /// How far apart they are in what is written.
    step: usize,
    /// The pixels of a row.
    width: usize,
    /// The channels of a pixel.
    channels: usize,
    /// How far apart the planes are.
    plane: usize,
}

/// Copies an image into patches of the other layout, no padding.
#[inline(always)]
pub(super) fn cut<S: Isa, X: Copy>(
    _: S,
    shape: &Shape,
    channels: Channels,
    image: &[X],
    patches: &mut [X],
) {
    let from = shape.image_steps(channels);
    let to = shape.patch_steps(channels.other());
    // Along a row of the image.
    let around = [
        (shape.rows, from.band, to.band),
        (shape.patch_height, from.line, to.line),
    ];
    let walk = Walk::new(shape, around, (shape.columns, to.patch));
    turn(channels, walk, (from, image), (to, patches));
}

/// Copies patches into an image of the other layout, no padding.
#[inline(always)]
pub(super) fn join<S: Isa, X: Copy>(
    _: S,
    shape: &Shape,
    channels: Channels,
    patches: &[X],
    image: &mut [X],
) {
    let from = shape.patch_steps(channels.other());
    let to = shape.image_steps(channels);
    // Down the rows of a patch.
    let around = [
        (shape.rows, from.band, to.band),
        (shape.columns, from.patch, to.patch),
    ];
    let walk = Walk::new(shape, around, (shape.patch_height, to.line));
    turn(channels.other(), walk, (from, patches), (to, image));
}

/// Copies what is read in one layout to where it lies in the other.
#[inline(always)]
fn turn<X: Copy>(
    read: Channels,
    mut walk: Walk,
    (from_steps, from): (Steps, &[X]),
    (to_steps, to): (Steps, &mut [X]),
) {
    let narrow = VECTORS && size_of::<X>() <= WIDEST;
    match read {
        Channels::First => {
            walk.plane = from_steps.channel;
            match walk.channels {
                2 if narrow => weave::<X, 2>(&walk, from, to),
                3 if narrow => weave::<X, 3>(&walk, from, to),
                4 if narrow => weave::<X, 4>(&walk, from, to),
                _ => walk.each(
                    1,
                    #[inline(always)]
                    |at| weave_row(&walk, from, to, at),
                ),
            }
        }
        Channels::Last => {
            walk.plane = to_steps.channel;
            match walk.channels {
                2 if narrow => part::<X, 2>(&walk, from, to),
                3 if narrow => part::<X, 3>(&walk, from, to),
                4 if narrow => part::<X, 4>(&walk, from, to),
                _ => walk.each(
                    walk.channels,
                    #[inline(always)]
                    |at| part_row(&walk, from, to, at),
                ),
            }
        }
    }
}

impl Walk {
    /// Returns the walk of `rows` that are `step` apart in what is written; the planes are yet to come.
    #[inline(always)]
    const fn new(
        shape: &Shape,
        around: [(usize, usize, usize); 2],
        (rows, step): (usize, usize),
    ) -> Self {
        Self {
            around,
            rows,
            step,
            width: shape.patch_width,
            channels: shape.channels,
            plane: 0,
        }
    }

    /// Calls `each` with where the inner loop begins in what is read and in what is written.
    #[inline(always)]
    fn around(&self, mut each: impl FnMut((usize, usize))) {
        let [outer, inner] = self.around;
        for i in 0..outer.0 {
            for j in 0..inner.0 {
                each((i * outer.1 + j * inner.1, i * outer.2 + j * inner.2));
            }
        }
    }

    /// Returns where a row of the inner loop begins, for so many elements a pixel in what is read.
    #[inline(always)]
    const fn row(&self, start: (usize, usize), row: usize, elements: usize) -> (usize, usize) {
        (
            start.0 + row * self.width * elements,
            start.1 + row * self.step,
        )
    }

    /// Calls `each` with where every row begins.
    #[inline(always)]
    fn each(&self, elements: usize, mut each: impl FnMut((usize, usize))) {
        self.around(
            #[inline(always)]
            |start| {
                for row in 0..self.rows {
                    each(self.row(start, row, elements));
                }
            },
        );
    }

    /// Calls `block` for as many rows as lie in a block, with where they begin and how many they are, or
    /// `row` where it refuses.
    #[inline(always)]
    fn by_blocks<X>(
        &self,
        elements: usize,
        target: &mut [X],
        mut block: impl FnMut(&mut [X], (usize, usize), usize) -> bool,
        mut row: impl FnMut(&mut [X], (usize, usize)),
    ) {
        let most = BLOCK / self.width.max(1);
        self.around(
            #[inline(always)]
            |start| {
                let mut done = 0;
                while done < self.rows {
                    let at = self.row(start, done, elements);
                    let count = most.min(self.rows - done);
                    if count > 0 && block(target, at, count) {
                        done += count;
                    } else {
                        row(target, at);
                        done += 1;
                    }
                }
            },
        );
    }
}

/// Turns planes into pixels.
#[inline(always)]
fn weave<X: Copy, const C: usize>(walk: &Walk, from: &[X], to: &mut [X]) {
    let Some(&any) = from.first() else { return };
    let mut pixels = [[any; C]; BLOCK];
    walk.by_blocks(
        1,
        to,
        #[inline(always)]
        |to, at, count| {
            let planes: [Option<&[X; BLOCK]>; C] = core::array::from_fn(
                #[inline(always)]
                |k| from.get(at.0 + k * walk.plane..)?.first_chunk(),
            );
            if planes.iter().any(Option::is_none) {
                return false;
            }
            for (i, pixel) in pixels.iter_mut().enumerate() {
                for (to, plane) in pixel.iter_mut().zip(planes) {
                    if let Some(from) = plane.and_then(
                        #[inline(always)]
                        |plane| plane.get(i),
                    ) {
                        *to = *from;
                    }
                }
            }
            let rows = Rows {
                planes: 1,
                plane: 0,
                piece: walk.width * C,
                count,
                step: walk.step,
            };
            spread(rows, pixels.as_flattened(), to, at.1);
            true
        },
        #[inline(always)]
        |to, at| weave_row(walk, from, to, at),
    );
}

/// Turns pixels into planes.
#[inline(always)]
fn part<X: Copy, const C: usize>(walk: &Walk, from: &[X], to: &mut [X]) {
    let Some(&any) = from.first() else { return };
    let mut planes = [[any; BLOCK]; C];
    walk.by_blocks(
        C,
        to,
        #[inline(always)]
        |to, at, count| {
            let (pixels, _) = from.get(at.0..).unwrap_or_default().as_chunks::<C>();
            let Some(pixels) = pixels.first_chunk::<BLOCK>() else {
                return false;
            };
            for (i, pixel) in pixels.iter().enumerate() {
                for (plane, from) in planes.iter_mut().zip(pixel) {
                    if let Some(to) = plane.get_mut(i) {
                        *to = *from;
                    }
                }
            }
            let rows = Rows {
                planes: C,
                plane: walk.plane,
                piece: walk.width,
                count,
                step: walk.step,
            };
            spread(rows, planes.as_flattened(), to, at.1);
            true
        },
        #[inline(always)]
        |to, at| part_row(walk, from, to, at),
    );
}

/// Turns a row of a patch into pixels, channel by channel.
#[inline(always)]
fn weave_row<X: Copy>(walk: &Walk, from: &[X], to: &mut [X], at: (usize, usize)) {
    let (q, channels) = (walk.width, walk.channels);
    let to = to.get_mut(at.1..at.1 + q * channels).unwrap_or_default();
    for k in 0..channels {
        let start = at.0 + k * walk.plane;
        let plane = from.get(start..start + q).unwrap_or_default();
        for (pixel, from) in to.chunks_exact_mut(channels.max(1)).zip(plane) {
            if let Some(to) = pixel.get_mut(k) {
                *to = *from;
            }
        }
    }
}

/// Turns a row of a patch into planes, channel by channel.
#[inline(always)]
fn part_row<X: Copy>(walk: &Walk, from: &[X], to: &mut [X], at: (usize, usize)) {
    let (q, channels) = (walk.width, walk.channels);
    let from = from.get(at.0..at.0 + q * channels).unwrap_or_default();
    for k in 0..channels {
        let start = at.1 + k * walk.plane;
        let plane = to.get_mut(start..start + q).unwrap_or_default();
        for (pixel, to) in from.chunks_exact(channels.max(1)).zip(plane) {
            if let Some(from) = pixel.get(k) {
                *to = *from;
            }
        }
    }
}

/// The rows of patches in a block: so many in each of its planes, which are as long as the block where
/// there are several.
#[derive(Clone, Copy)]
struct Rows {
    planes: usize,
    /// How far apart the planes are in what is written.
    plane: usize,
    piece: usize,
    count: usize,
    /// How far apart the rows are in what is written.
    step: usize,
}

/// Copies the rows in a block to their places, the first of them `at`.
///
/// One function for all that calls it: for a block a call is short.
#[inline(never)]
fn spread<X: Copy>(rows: Rows, block: &[X], to: &mut [X], at: usize) {
    let to = to.get_mut(at..).unwrap_or_default();
    by_length::<X, _>(rows.piece, Spread { rows, block, to });
}

/// A block on its way to where its rows lie.
struct Spread<'a, X> {
    rows: Rows,
    block: &'a [X],
    to: &'a mut [X],
}

impl<X: Copy> Job<X> for Spread<'_, X> {
    #[inline(always)]
    fn run<P: Piece>(self) {
        let Rows {
            planes,
            plane,
            piece,
            count,
            step,
        } = self.rows;
        for k in 0..planes {
            let mut from = self.block.get(k * BLOCK..).unwrap_or_default();
            let mut to = self.to.get_mut(k * plane..).unwrap_or_default();
            for _ in 0..count {
                if let (Some(from), Some(to)) = (from.get(..piece), to.get_mut(..piece)) {
                    P::copy(from, to);
                }
                from = from.get(piece..).unwrap_or_default();
                to = to.get_mut(step..).unwrap_or_default();
            }
        }
    }
}
