//! Which elements of a row count, and what is added to their scores.

use super::lanes::part;
use crate::Error;
use crate::error::Parameter;
use crate::math::twofold::two_product;
use crate::scalar::Scalar;
use crate::simd::{LANES, Lanes, One, number};

/// Which elements of a row count, and by how much they are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mask<'m, T> {
    /// Every element counts.
    #[default]
    None,
    /// Elements count where `true`; the others become minus infinity and are not looked at.
    Keep(&'m [bool]),
    /// Added to the logits; minus infinity removes an element, whatever its value.
    Add(&'m [T]),
    /// Attention with linear biases: element j is lowered by `slope` |`position` - j| (Press, Smith
    /// and Lewis, 2021, arXiv:2108.12409); [`alibi_slope`] has the slope of a head.
    Distance {
        /// What a step away costs: finite, or every map answers
        /// [`Parameter::Bias`](crate::Parameter::Bias). Up to 2^24 steps are counted exactly in `f32`.
        slope: T,
        /// The place of the query among the elements.
        position: usize,
    },
    /// The element `target` is lowered by `margin`: the additive margin softmax (Wang et al., 2018,
    /// arXiv:1801.05599), where it makes the right class harder to prefer.
    Margin {
        /// The place of the right class; beyond the row nothing is lowered.
        target: usize,
        /// By how much, in units of scores: finite, as the slope.
        margin: T,
    },
}

/// Returns the slope of the query head `head` of `heads` for [`Mask::Distance`].
///
/// With n = 2^floor(log2 heads), the first n heads have 2^(-8 (head + 1) / n) and the others
/// 2^(-4 (2 (head - n) + 1) / n), as Press, Smith and Lewis (2021, arXiv:2108.12409) chose. Within 1
/// ULP, through libm.
///
/// # Errors
///
/// [`Parameter::Heads`] if `head` is not below `heads`.
///
/// ```
/// use suanzi::probability::alibi_slope;
///
/// assert_eq!(alibi_slope(0, 8), Ok(0.5_f32));
/// assert_eq!(alibi_slope(7, 8), Ok(0.00390625_f32));
/// ```
pub fn alibi_slope<T: Scalar>(head: usize, heads: usize) -> Result<T, Error> {
    if head >= heads {
        return Err(Error::Domain(Parameter::Heads));
    }
    let whole = 1_usize << heads.ilog2();
    let (numerator, step) = if head < whole {
        (head + 1, 8.0)
    } else {
        (2 * (head - whole) + 1, 4.0)
    };
    // Both counts are exact.
    let exponent = step * numerator as f64 / whole as f64;
    Ok(T::nearest(libm::exp2(-exponent)))
}

impl<T> Mask<'_, T> {
    /// Returns the number of elements, if the mask has one.
    #[must_use]
    pub const fn len(&self) -> Option<usize> {
        match self {
            Self::None | Self::Distance { .. } | Self::Margin { .. } => None,
            Self::Keep(keep) => Some(keep.len()),
            Self::Add(add) => Some(add.len()),
        }
    }

    /// Returns whether the mask has no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.len(), Some(0))
    }
}

impl<T: Scalar> Mask<'_, T> {
    /// Returns the part of the mask that belongs to the row that starts at `at`.
    #[inline]
    pub(super) fn row(self, at: usize, row: usize) -> Self {
        fn part<X>(x: &[X], at: usize, row: usize) -> &[X] {
            if x.len() == row {
                x
            } else {
                x.get(at..).and_then(|x| x.get(..row)).unwrap_or_default()
            }
        }
        match self {
            Self::Keep(keep) => Self::Keep(part(keep, at, row)),
            Self::Add(add) => Self::Add(part(add, at, row)),
            mask => mask,
        }
    }

    /// Checks that the mask fits rows of `row` elements, `total` in all, and that what it adds is a number.
    #[inline]
    pub(super) fn check(&self, row: usize, total: usize) -> Result<(), Error> {
        if let Self::Distance { slope: bias, .. } | Self::Margin { margin: bias, .. } = *self
            && !bias.is_finite()
        {
            return Err(Error::Domain(Parameter::Bias));
        }
        match self.len() {
            Some(found) if found != row && found != total => Err(Error::Length {
                expected: row,
                found,
            }),
            _ => Ok(()),
        }
    }

    /// Writes what the mask adds to `count` elements from `at` on, and its rounding error; minus
    /// infinity removes. A function of its own: every pass over scores calls it.
    #[inline(never)]
    pub(super) fn bias(
        &self,
        at: usize,
        count: usize,
        bias: &mut [T; LANES],
        rest: &mut [T; LANES],
    ) {
        let lanes = bias.iter_mut().zip(rest).take(count);
        match *self {
            Self::None => {}
            Self::Keep(keep) => {
                let mut keep = part(keep, at).iter();
                for (bias, _) in lanes {
                    if !keep.next().copied().unwrap_or(false) {
                        *bias = T::NEG_INFINITY;
                    }
                }
            }
            Self::Add(add) => {
                let mut add = part(add, at).iter();
                for (bias, _) in lanes {
                    *bias = add.next().copied().unwrap_or(T::NEG_INFINITY);
                }
            }
            Self::Distance { slope, position } => {
                for (i, (bias, rest)) in (at..).zip(lanes) {
                    let steps = T::from_count(position.abs_diff(i));
                    let (product, error) = two_product(lane(steps), lane(-slope));
                    (*bias, *rest) = (number::<T>(product), number::<T>(error));
                }
            }
            Self::Margin { target, margin } => {
                for (i, (bias, _)) in (at..).zip(lanes) {
                    if i == target {
                        *bias = -margin;
                    }
                }
            }
        }
    }

    /// Returns what the mask adds to a whole vector from `at` on, where it lies in memory.
    #[inline(always)]
    pub(super) fn stored(&self, at: usize, count: usize) -> Option<&[T]> {
        match *self {
            Self::Add(add) => part(add, at).get(..count),
            _ => None,
        }
    }
}

/// Returns a number as a vector of one lane.
#[inline(always)]
fn lane<T: Scalar>(x: T) -> T::Lanes<One> {
    Lanes::splat(One, x)
}
