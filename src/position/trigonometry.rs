//! Who computes the sines and cosines of a table.

/// Sine and cosine of one angle.
///
/// A table is filled with the crate's own, which are right to 2^-24, unless a type parameter names
/// another: [`RopeTable::filled_by`](super::RopeTable::filled_by). A feature only adds the choice.
pub trait Trigonometry {
    /// Returns sine and cosine of a fraction of a turn within [-1/2, 1/2]; it is a multiple of 2^-24 and
    /// never NaN. What comes back is stored as it is, times the temperature of the encoding.
    fn sin_cos(turn: f32) -> (f32, f32);
}

/// The approximations of the crate `micromath`: parabolas with one correction.
///
/// Right to the bound of the accuracy table's row `rope tables by micromath`, 1.1e-3 absolute, at
/// every position: the angle itself stays exact. Rotations keep lengths to about that. For programs
/// that have micromath already: on a Cortex-M4F a table takes two thirds of the instructions of the
/// exact one at opt-level s, and as many at opt-level 3 (`.ci/instructions.txt`).
///
/// ```
/// use suanzi::position::{Base, HeadLayout, Micromath, Pairing, Rope, RopeTable};
///
/// let layout = HeadLayout::new(8, Pairing::HalfSplit)?;
/// let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; 4])?;
/// let table = RopeTable::filled_by::<Micromath, _>(&rope, 0, [0.0; 16 * 8])?;
/// let (cos, _) = table.row(1)?;
/// assert!((cos[0] - 0.5403).abs() < 0.0012);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[cfg(feature = "micromath")]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Micromath;

#[cfg(feature = "micromath")]
impl Trigonometry for Micromath {
    #[inline]
    fn sin_cos(turn: f32) -> (f32, f32) {
        // By the trait's name: `f32` has methods of these names of its own where std is linked.
        let radians = turn * core::f32::consts::TAU;
        let sin = micromath::F32Ext::sin(radians);
        (sin, micromath::F32Ext::cos(radians))
    }
}
