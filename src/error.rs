//! The one error type: what was wrong with a call, decided before anything was written.

use core::fmt;

/// Says why a call was refused.
///
/// Every check stands at the door of a public function: when one of these comes back, no output has
/// been written and no state has changed ([`NotConverged`](Self::NotConverged) alone comes after the work). What is wrong with *data* (NaN, infinities) is not an
/// error; each operation documents the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// A slice has the wrong number of elements.
    Length {
        /// The number of elements that the other arguments ask for.
        expected: usize,
        /// The number of elements that came.
        found: usize,
    },
    /// A length is not a multiple of the size that divides it.
    Multiple {
        /// The size that must divide the length.
        of: usize,
        /// The length that came.
        found: usize,
    },
    /// A cache, ring or stack is full, or an index lies beyond its end.
    Capacity {
        /// The number of entries that it holds.
        limit: usize,
    },
    /// A parameter lies outside its domain.
    Domain(Parameter),
    /// The executor lacks what was asked for: an instruction set, a form of the operation on a device,
    /// or reach to the buffer.
    Unsupported,
    /// An iteration ended before it was as close as asked; the best that it found stands in the output.
    NotConverged,
    /// The driver of a device failed with this result; see [`gpu`](crate::gpu) for when it comes.
    Device(i32),
}

/// Names the parameter that an [`Error::Domain`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Parameter {
    /// The factor on the logits: finite.
    Scale,
    /// The bound of a soft cap: finite and positive.
    Softcap,
    /// The order of an entropy: finite and at least one.
    Alpha,
    /// A score without a probability: finite.
    Sink,
    /// The slope or the margin of a mask: finite.
    Bias,
    /// The order of a Taylor polynomial: 2, 4, 6 or 8.
    Order,
    /// A number of elements to keep: positive.
    TopK,
    /// A share of the whole probability: within (0, 1], or [0, 1] for min-p.
    Share,
    /// What the values of a projection add up to: finite and positive.
    Radius,
    /// The base of the rotary frequencies: finite and greater than one.
    Base,
    /// The number of rotated elements: positive, even and at most the head dimension.
    RotaryDim,
    /// A frequency, or what it is multiplied by: finite, below 2^64 in magnitude.
    Frequency,
    /// A factor that lengthens a context, or a parameter of such a scaling: positive, and within the
    /// domain that the scaling names.
    Factor,
    /// The temperature of an encoding: positive and finite, as its square and their inverses are in the
    /// number type.
    Temperature,
    /// A position: below 2^31, and within the table where there is one.
    Position,
    /// A context length, or another number of tokens that scales are counted in: at least two.
    Context,
    /// The pairs of each axis: they add up to the pairs of a head.
    Axes,
    /// The head dimension: positive.
    HeadDim,
    /// The numbers of heads: the query heads are a positive multiple of the key/value heads.
    Heads,
    /// The width of a window: positive.
    Window,
    /// The small number added under the root of a normalization: finite and positive.
    Epsilon,
    /// The shape of a matrix: positive rows and columns whose product fits.
    Shape,
    /// The distance between rows or elements: rows must not overlap.
    Stride,
    /// A learning rate, a decay or a penalty: finite and not negative, within the domain that it names.
    Rate,
    /// The ratio of two learning rates: finite and positive.
    Ratio,
    /// The decay of a running mean: within [0, 1).
    Beta,
    /// The number of a step: positive, and within the schedule where there is one.
    Step,
    /// The variance of the noise of a last step: within (0, 1).
    Noise,
    /// The size of a code: at least two words, a positive length, finite bits.
    Code,
    /// The ends of an interval, or a location and a scale: finite, in order, the size positive.
    Interval,
    /// Coefficients of a density: some not zero, all finite.
    Coefficients,
    /// A probability in bits: positive, and wide enough for the alphabet.
    Precision,
    /// The weights of a sample: finite, none negative, some positive.
    Weights,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { expected, found } => {
                write!(f, "expected {expected} elements, found {found}")
            }
            Self::Multiple { of, found } => write!(f, "length {found} is not a multiple of {of}"),
            Self::Capacity { limit } => write!(f, "only {limit} entries fit"),
            Self::Domain(parameter) => write!(f, "{parameter}"),
            Self::Unsupported => f.write_str("this executor lacks what was asked for"),
            Self::NotConverged => f.write_str("the iteration ended before it converged"),
            Self::Device(code) => write!(f, "the device failed with result {code}"),
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scale => "the scale must be finite",
            Self::Softcap => "the soft cap must be finite and positive",
            Self::Alpha => "alpha must be finite and at least one",
            Self::Bias => "the slope or margin of a mask must be finite",
            Self::Sink => "a sink must be finite",
            Self::Order => "the order must be 2, 4, 6 or 8",
            Self::TopK => "at least one element must be kept",
            Self::Share => "a share must be within (0, 1]",
            Self::Radius => "the radius must be finite and positive",
            Self::Base => "the base must be finite and greater than one",
            Self::RotaryDim => {
                "the rotary dimension must be positive, even and at most the head dimension"
            }
            Self::Frequency => "a frequency must be finite and below 2^64",
            Self::Factor => "a factor of a scaling must be positive and within its domain",
            Self::Temperature => "the temperature must be finite and positive",
            Self::Position => "a position must lie below 2^31 and within the table",
            Self::Context => "a context length or a scale base must be at least two",
            Self::Axes => "the pairs of the axes must add up to those of a head",
            Self::HeadDim => "the head dimension must be positive",
            Self::Heads => "the query heads must be a positive multiple of the key/value heads",
            Self::Window => "the window must be positive",
            Self::Epsilon => "epsilon must be finite and positive",
            Self::Shape => "a matrix needs positive rows and columns whose product fits",
            Self::Stride => "the strides must keep rows apart",
            Self::Ratio => "the ratio of two learning rates must be finite and positive",
            Self::Beta => "the decay of a running mean must be within [0, 1)",
            Self::Step => "the number of a step must be positive and within the schedule",
            Self::Noise => "the variance of the last step must be within (0, 1)",
            Self::Code => "a code needs two words or more, a positive length and finite bits",
            Self::Interval => "an interval or scale must be finite and positive",
            Self::Coefficients => "coefficients must be finite and some not zero",
            Self::Precision => "the precision must be positive and hold the alphabet",
            Self::Weights => "weights must be finite, none negative and some positive",
            Self::Rate => "a rate, decay or penalty must be finite and within its domain",
        })
    }
}

impl core::error::Error for Error {}

/// Checks that `found` elements are what the other arguments ask for.
#[inline]
pub(crate) const fn check_len(expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Length { expected, found })
    }
}
