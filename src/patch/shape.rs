//! Where elements lie in an image and in its patches.

use super::Channels;

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
    pub(super) const fn strides(&self, channels: Channels, height: usize, width: usize) -> Pixel {
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
    pub(super) const fn pieces(&self, channels: Channels) -> (usize, usize, usize) {
        match channels {
            Channels::Last => (
                self.width * self.channels,
                self.patch_width * self.channels,
                1,
            ),
            Channels::First => (self.width, self.patch_width, self.channels),
        }
    }

    /// Returns how far apart the rows of patches lie in the image.
    pub(super) const fn image_steps(&self, channels: Channels) -> Steps {
        let [line, pixel, channel] = self.strides(channels, self.height, self.width);
        Steps {
            band: self.patch_height * line,
            patch: self.patch_width * pixel,
            line,
            channel,
        }
    }

    /// Returns how far apart the rows of patches lie in the patches.
    pub(super) const fn patch_steps(&self, channels: Channels) -> Steps {
        let [line, _, channel] = self.strides(channels, self.patch_height, self.patch_width);
        Steps {
            band: self.columns * self.patch_len(),
            patch: self.patch_len(),
            line,
            channel,
        }
    }
}

/// How far apart the rows of patches lie in one of the arrays.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    /// From a row of the grid to the next.
    pub(super) band: usize,
    /// From a patch to the one beside it.
    pub(super) patch: usize,
    /// From a row of a patch to the next.
    pub(super) line: usize,
    /// From a channel to the next.
    pub(super) channel: usize,
}
