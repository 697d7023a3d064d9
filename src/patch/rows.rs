//! Copies by whole rows of a patch: the channels lie alike in the image and in its patches.

use super::Channels;
use super::pieces::{Job, Piece, by_length};
use super::shape::Shape;
use crate::simd::Isa;

/// Copies an image into patches by whole rows of a patch: the same layout, no padding.
#[inline(always)]
pub(super) fn cut<S: Isa, X: Copy>(
    _: S,
    shape: &Shape,
    channels: Channels,
    image: &[X],
    patches: &mut [X],
) {
    let (_, piece, _) = shape.pieces(channels);
    by_length(
        piece,
        Cut {
            shape,
            channels,
            image,
            patches,
        },
    );
}

/// Copies patches into an image by whole rows of a patch: the same layout, no padding.
#[inline(always)]
pub(super) fn join<S: Isa, X: Copy>(
    _: S,
    shape: &Shape,
    channels: Channels,
    patches: &[X],
    image: &mut [X],
) {
    let (_, piece, _) = shape.pieces(channels);
    by_length(
        piece,
        Join {
            shape,
            channels,
            patches,
            image,
        },
    );
}

/// An image on its way into patches.
struct Cut<'a, X> {
    shape: &'a Shape,
    channels: Channels,
    image: &'a [X],
    patches: &'a mut [X],
}

/// Patches on their way into an image.
struct Join<'a, X> {
    shape: &'a Shape,
    channels: Channels,
    patches: &'a [X],
    image: &'a mut [X],
}

// Both go along the rows of the image, so that one array is read or written in its order, and a band of
// patches stays in a cache. Within the inner loops the lengths of all slices are the same in every step, so
// that the compiler checks them once.

impl<X: Copy> Job<X> for Cut<'_, X> {
    #[inline(always)]
    fn run<P: Piece>(self) {
        let (line, piece, planes) = self.shape.pieces(self.channels);
        let (p, len) = (self.shape.patch_height, self.shape.patch_len());
        let plane = line.saturating_mul(self.shape.height);
        let band = len.saturating_mul(self.shape.columns);
        for (r, band) in self.patches.chunks_exact_mut(band.max(1)).enumerate() {
            for k in 0..planes {
                let image = self.image.get(k * plane + r * p * line..);
                let lines = image.unwrap_or_default().chunks_exact(line.max(1));
                for (a, from) in lines.take(p).enumerate() {
                    let at = (k * p + a) * piece;
                    let pieces = from.chunks_exact(piece.max(1));
                    for (from, patch) in pieces.zip(band.chunks_exact_mut(len.max(1))) {
                        if let Some(to) = patch.get_mut(at..at + piece) {
                            P::copy(from, to);
                        }
                    }
                }
            }
        }
    }
}

impl<X: Copy> Job<X> for Join<'_, X> {
    #[inline(always)]
    fn run<P: Piece>(self) {
        let (line, piece, planes) = self.shape.pieces(self.channels);
        let (p, len) = (self.shape.patch_height, self.shape.patch_len());
        let plane = line.saturating_mul(self.shape.height);
        let band = len.saturating_mul(self.shape.columns);
        for (r, band) in self.patches.chunks_exact(band.max(1)).enumerate() {
            for k in 0..planes {
                let image = self.image.get_mut(k * plane + r * p * line..);
                let lines = image.unwrap_or_default().chunks_exact_mut(line.max(1));
                for (a, to) in lines.take(p).enumerate() {
                    let at = (k * p + a) * piece;
                    let pieces = to.chunks_exact_mut(piece.max(1));
                    for (to, patch) in pieces.zip(band.chunks_exact(len.max(1))) {
                        if let Some(from) = patch.get(at..at + piece) {
                            P::copy(from, to);
                        }
                    }
                }
            }
        }
    }
}
