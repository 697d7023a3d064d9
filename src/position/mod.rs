//! Rotary position encodings: where a token stands, as an angle in every pair of its head.
//!
//! A [`PositionEncoding`] turns queries and keys in place. [`Rope`] computes its angles as it goes,
//! [`RopeTable`] keeps their cosines and sines in memory that the caller lends, [`rope_rows`] in a
//! constant. Which elements form a pair says a [`HeadLayout`].
//!
//! * **How fast each pair turns** is a matter of [`Frequencies`]: a [`Base`], a list of [`Radians`],
//!   and scalings for longer contexts around them: [`Linear`], [`Ntk`], [`ByParts`] (YaRN, Llama 3),
//!   [`FrequencyFactors`] (LongRoPE), [`Proportional`]. [`log_n_scale`] and [`step_scale`] scale
//!   queries.
//! * **Positions of several coordinates** belong to [`AxialRope`]; [`Axes`] shares the pairs, a
//!   [`Cursor`] tells where text and patches of images stand.
//! * **Relative forms**: [`Distance`] shortens the distances that a model has not seen, [`XPos`] lets
//!   scores decay with them.
//! * **Which base a context length needs**, and how long a context a base holds, tells [`BaseSearch`].
//!
//! # Angles
//!
//! The usual way, a frequency in `f32` times a position in `f32`, is off by 8e-3 near position 128k and
//! by 5e-2 near a million (head of 128, base 10 000). Here a frequency is a fraction of a *turn* in
//! fixed point, 64 bits for `f32` and 128 for `f64`, and its product with the position modulo one turn
//! is a wrapping integer multiplication: exact for every position, negative ones included, the same on
//! every machine. Sine and cosine of the remaining eighth of a turn are polynomials. No rotation in
//! `f32` computes with `f64`, so a microcontroller needs no soft double; what makes a temperature
//! (LongRoPE, YaRN) or a factor (dynamic NTK) does, unless a constant does it.

mod angle;
mod axes;
mod axial;
mod base_search;
mod by_parts;
mod constant;
mod coordinate;
mod cosine_integral;
mod cursor;
mod fixed;
mod frequencies;
mod heads;
mod layout;
mod ntk;
mod query_scale;
mod relative;
mod rope;
mod rotor;
mod scaling;
mod similarity;
mod source;
mod table;
mod trigonometry;
mod turn;
mod xpos;

pub use angle::Angle;
pub use axes::{Axes, PerAxis};
pub use axial::AxialRope;
pub use base_search::BaseSearch;
pub use by_parts::{ByParts, Ramp};
pub use constant::rope_rows;
pub use coordinate::Coordinate;
pub use cosine_integral::{asymptotic_base, cosine_integral};
pub use cursor::{Cursor, Grid, Placement};
pub use frequencies::{Base, Frequencies, Radians, Turns};
pub use heads::HeadElement;
pub use layout::{HeadLayout, Pairing};
pub use ntk::{Ntk, NtkRule};
pub use query_scale::{log_n_scale, step_scale};
pub use relative::Distance;
pub use rope::Rope;
#[cfg(all(feature = "cuda", target_os = "linux"))]
pub(crate) use rope::heads_per_token;
pub use scaling::{FrequencyFactors, Linear, Proportional};
pub use table::RopeTable;
#[cfg(feature = "micromath")]
pub use trigonometry::Micromath;
pub use trigonometry::Trigonometry;
pub use xpos::XPos;

use crate::Error;

/// Encodes positions by rotating vectors that lie in a buffer `X`.
///
/// Implementors promise that [`rotate`](Self::rotate) is a rotation of each pair of elements, times a
/// temperature that is one unless its documentation says otherwise, and that
/// [`unrotate`](Self::unrotate) at the same position is its inverse up to rounding. The buffer holds
/// any number of heads, all at the same position; an empty one is fine. A refused call writes nothing.
pub trait PositionEncoding<X: ?Sized> {
    /// Where a token stands.
    type Position: Copy;

    /// Rotates every head in `x` in place.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads, and what the implementor adds for positions.
    fn rotate(&self, at: Self::Position, x: &mut X) -> Result<(), Error>;

    /// Rotates every head in `x` back in place.
    ///
    /// # Errors
    ///
    /// Those of [`rotate`](Self::rotate).
    fn unrotate(&self, at: Self::Position, x: &mut X) -> Result<(), Error>;
}
