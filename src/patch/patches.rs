//! The cutting of an image into patches.

use super::shape::Shape;
use super::{elements, rows, turn};
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::{Cpu, Error};

/// Where the channels of a pixel lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Channels {
    /// Beside each other: rows, columns, channels.
    #[default]
    Last,
    /// In planes: channels, rows, columns.
    First,
}

impl Channels {
    /// Returns the other layout.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Last => Self::First,
            Self::First => Self::Last,
        }
    }
}

/// What stands beyond the lower and the right edge of an image that patches do not divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding<X> {
    /// A number.
    Value(X),
    /// The nearest pixel of the image.
    Edge,
}

/// The patches of an image: tokens that hold its pixels and nothing else.
///
/// Token n = (r, c), row by row, of patches of p x q pixels takes the pixels (r p + a, c q + b); its
/// feature ((a q + b) C + k) is channel k there, or (k p + a) q + b with the channels first. It is the
/// `reshape` and `permute` before the linear layer of a vision transformer (Dosovitskiy et al., 2020,
/// arXiv:2010.11929) and of models that read raw patches.
///
/// * **Shapes:** an image of [`image_len`](Self::image_len) elements, [`count`](Self::count) patches of
///   [`patch_len`](Self::patch_len) elements. Any `Copy` element.
/// * **Domain:** positive sides and channels; [`new`](Self::new) refuses sizes that do not divide,
///   [`padded`](Self::padded) takes them.
/// * **Accuracy:** elements move and do not change: NaN, signed zeros and all else keep their bits.
/// * **Cost:** one pass. Where the channels lie alike it goes by whole rows of a patch, near the speed of a
///   copy from some 48 bytes a row on; a shorter row takes no less. Two to four channels of at most eight
///   bytes turn from planes to pixels and back by vector instructions, 64 pixels at a time in 2 KiB of the
///   stack at most; more channels, and padding, go element by element. The index form
///   ([`index`](Self::index), [`place`](Self::place)) copies nothing and runs in constants too.
///
/// ```
/// use suanzi::patch::{Channels, Patches};
///
/// const PATCHES: Patches = match Patches::new([6, 4, 3], [3, 2]) {
///     Ok(patches) => patches,
///     Err(_) => panic!("the sizes divide"),
/// };
/// // The first pixel of the last patch.
/// const PLACE: Option<usize> = PATCHES.index(3, 0);
/// assert_eq!(PLACE, Some((3 * 4 + 2) * 3));
/// assert_eq!(PATCHES.place((3 * 4 + 2) * 3), Some((3, 0)));
///
/// // The same image in planes, as the same tokens.
/// let planes = PATCHES.with_channels(Channels::First, Channels::Last);
/// assert_eq!(planes.index(3, 0), Some(3 * 4 + 2));
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Patches {
    shape: Shape,
    image: Channels,
    patch: Channels,
}

impl Patches {
    /// Returns the patches of an image of `[rows, columns, channels]`, each of `[rows, columns]` pixels,
    /// with the channels last in both.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] unless the sides of a patch divide those of the image, [`Parameter::Shape`] if
    /// a size is zero or a product overflows.
    pub const fn new(image: [usize; 3], patch: [usize; 2]) -> Result<Self, Error> {
        let patches = match Self::padded(image, patch) {
            Ok(patches) => patches,
            Err(error) => return Err(error),
        };
        match patches.check_exact() {
            Ok(()) => Ok(patches),
            Err(error) => Err(error),
        }
    }

    /// Returns the patches of an image of any size: those at the lower and the right edge may reach beyond
    /// it.
    ///
    /// # Errors
    ///
    /// [`Parameter::Shape`] if a size is zero or a product overflows.
    pub const fn padded(image: [usize; 3], patch: [usize; 2]) -> Result<Self, Error> {
        const REFUSED: Result<Patches, Error> = Err(Error::Domain(Parameter::Shape));
        let [height, width, channels] = image;
        let [patch_height, patch_width] = patch;
        if height == 0 || width == 0 || channels == 0 || patch_height == 0 || patch_width == 0 {
            return REFUSED;
        }
        let (rows, columns) = (height.div_ceil(patch_height), width.div_ceil(patch_width));
        // All elements with their padding; those of the image and of a patch are no more.
        let sides = [rows, patch_height, columns, patch_width, channels];
        let mut product = 1_usize;
        let mut i = 0;
        while i < sides.len() {
            product = match product.checked_mul(sides[i]) {
                Some(product) => product,
                None => return REFUSED,
            };
            i += 1;
        }
        Ok(Self {
            shape: Shape {
                height,
                width,
                channels,
                patch_height,
                patch_width,
                rows,
                columns,
            },
            image: Channels::Last,
            patch: Channels::Last,
        })
    }

    /// Returns the patches with the channels of the image and of each patch elsewhere.
    #[must_use]
    pub const fn with_channels(self, image: Channels, patch: Channels) -> Self {
        Self {
            image,
            patch,
            ..self
        }
    }

    /// Returns the rows and columns of the grid of patches, as a
    /// [`Cursor`](crate::position::Cursor) takes them.
    #[must_use]
    pub const fn grid(&self) -> [usize; 2] {
        [self.shape.rows, self.shape.columns]
    }

    /// Returns the number of patches.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.shape.rows * self.shape.columns
    }

    /// Returns the elements of one patch.
    #[must_use]
    pub const fn patch_len(&self) -> usize {
        self.shape.patch_len()
    }

    /// Returns the elements of the image.
    #[must_use]
    pub const fn image_len(&self) -> usize {
        self.shape.height * self.shape.width * self.shape.channels
    }

    /// Returns the elements of all patches: those of the image, and of the padding.
    #[must_use]
    pub const fn patches_len(&self) -> usize {
        self.count() * self.patch_len()
    }

    /// Returns whether patches reach beyond the image.
    #[must_use]
    pub const fn is_padded(&self) -> bool {
        self.patches_len() != self.image_len()
    }

    /// Returns where in the image a feature of a patch lies; none for padding and beyond the end.
    #[must_use]
    pub const fn index(&self, patch: usize, feature: usize) -> Option<usize> {
        if patch >= self.count() || feature >= self.patch_len() {
            return None;
        }
        self.shape.index(self.image, self.patch, patch, feature)
    }

    /// Returns the patch and the feature of an element of the image; none beyond the end.
    #[must_use]
    pub const fn place(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.image_len() {
            return None;
        }
        self.shape.place(self.image, self.patch, index)
    }

    /// Writes the patches of an image, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if patches reach beyond the image, [`Error::Length`] if either slice has
    /// another length.
    pub fn patchify<X: Copy>(&self, image: &[X], patches: &mut [X]) -> Result<(), Error> {
        self.check_exact()?;
        self.copy(image, Padding::Edge, patches)
    }

    /// Writes the patches of an image, one after the other, with padding where they reach beyond it.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if either slice has another length.
    ///
    /// ```
    /// use suanzi::patch::{Padding, Patches};
    ///
    /// let patches = Patches::padded([1, 3, 1], [1, 2])?;
    /// let mut tokens = [0; 4];
    /// patches.patchify_padded(&[5, 6, 7], Padding::Edge, &mut tokens)?;
    /// assert_eq!(tokens, [5, 6, 7, 7]);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn patchify_padded<X: Copy>(
        &self,
        image: &[X],
        padding: Padding<X>,
        patches: &mut [X],
    ) -> Result<(), Error> {
        self.copy(image, padding, patches)
    }

    /// Writes the image whose patches these are; padding is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if either slice has another length.
    pub fn unpatchify<X: Copy>(&self, patches: &[X], image: &mut [X]) -> Result<(), Error> {
        check_len(self.patches_len(), patches.len())?;
        check_len(self.image_len(), image.len())?;
        let (shape, channels) = (&self.shape, self.image);
        if self.is_padded() {
            elements::join(shape, channels, self.patch, patches, image);
        } else if self.is_alike() {
            dispatch!(Cpu::default(), isa => rows::join(isa, shape, channels, patches, image));
        } else {
            dispatch!(Cpu::default(), isa => turn::join(isa, shape, channels, patches, image));
        }
        Ok(())
    }

    /// Writes the patches of an image.
    fn copy<X: Copy>(
        &self,
        image: &[X],
        padding: Padding<X>,
        patches: &mut [X],
    ) -> Result<(), Error> {
        check_len(self.image_len(), image.len())?;
        check_len(self.patches_len(), patches.len())?;
        let (shape, channels) = (&self.shape, self.image);
        if self.is_padded() {
            elements::cut(shape, channels, self.patch, image, padding, patches);
        } else if self.is_alike() {
            dispatch!(Cpu::default(), isa => rows::cut(isa, shape, channels, image, patches));
        } else {
            dispatch!(Cpu::default(), isa => turn::cut(isa, shape, channels, image, patches));
        }
        Ok(())
    }

    /// Returns whether the channels lie alike in the image and in the patches.
    const fn is_alike(&self) -> bool {
        matches!(
            (self.image, self.patch),
            (Channels::Last, Channels::Last) | (Channels::First, Channels::First)
        ) || self.shape.channels == 1
    }

    /// Refuses patches that reach beyond the image.
    const fn check_exact(&self) -> Result<(), Error> {
        let shape = &self.shape;
        if shape.rows * shape.patch_height != shape.height {
            return Err(Error::Multiple {
                of: shape.patch_height,
                found: shape.height,
            });
        }
        if shape.columns * shape.patch_width != shape.width {
            return Err(Error::Multiple {
                of: shape.patch_width,
                found: shape.width,
            });
        }
        Ok(())
    }
}
