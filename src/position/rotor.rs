//! Tables filled by rotation: each row is the one before it, turned by one position.

use super::angle::{self, Angle};
use super::{Rope, RopeTable};
use crate::Error;
use crate::cpu::dispatch;
use crate::simd::{Isa, LANES, Lanes};

/// Rows until the angle is computed anew: each adds at most 2^-52 to the error.
const ANCHOR: usize = 64;

impl<S: AsRef<[f32]> + AsMut<[f32]>> RopeTable<f32, S> {
    /// Fills the table again as [`RopeTable::fill`] does, by a rotor in `f64` that is anchored to the
    /// exact angle every 64 positions.
    ///
    /// About twice as fast with AVX2 (`benches/position.rs`), and more exact: an entry is within
    /// 0.51 * 2^-24 of the truth. A temperature multiplies that and, as it is taken to `f32` first, adds
    /// as much. The last bit may differ from that of [`RopeTable::fill`] and [`Rope`], but is the same on
    /// every processor in portable arithmetic. Not for a microcontroller, which has no `f64`.
    ///
    /// # Errors
    ///
    /// Those of [`RopeTable::fill`].
    ///
    /// ```
    /// use suanzi::position::{Base, HeadLayout, Pairing, Rope, RopeTable};
    ///
    /// let layout = HeadLayout::new(8, Pairing::HalfSplit)?;
    /// let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; 4])?;
    /// let mut table = RopeTable::from_rows(layout, 0, [0.0; 100 * 8])?;
    /// table.fill_by_rotor(&rope, 1_000_000)?;
    /// let (cos, _) = table.row(1_000_099)?;
    /// assert!((f64::from(cos[0]) - 1_000_099_f64.cos()).abs() < 3.1e-8);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    pub fn fill_by_rotor<F>(&mut self, rope: &Rope<f32, F>, first: i32) -> Result<(), Error>
    where
        F: AsRef<[u64]>,
    {
        self.begin(rope, first)?;
        let (turns, temperature) = (rope.turns.as_ref(), f64::from(rope.temperature));
        let table = self.table.as_mut();
        dispatch!(self.executor, isa => fill(isa, turns, temperature, first, table));
        Ok(())
    }
}

/// Writes the rows from position `first` on.
#[inline(always)]
fn fill<S: Isa>(isa: S, turns: &[u64], temperature: f64, first: i32, table: &mut [f32]) {
    let pairs = turns.len();
    let mut first = first;
    for rows in table.chunks_mut((ANCHOR * 2 * pairs).max(1)) {
        for (block, turns) in turns.chunks(LANES).enumerate() {
            let mut lanes = [0; LANES];
            for (lane, &turns) in lanes.iter_mut().zip(turns) {
                *lane = u128::from(turns) << 64;
            }
            let step = Rotor::at(isa, &lanes, 1);
            let mut rotor = Rotor::at(isa, &lanes, first);
            for row in rows.chunks_exact_mut(2 * pairs) {
                let (cos, sin) = row.split_at_mut_checked(pairs).unwrap_or_default();
                write(&rotor.cos, temperature, cos, block);
                write(&rotor.sin, temperature, sin, block);
                rotor.advance(&step);
            }
        }
        first = first.wrapping_add(ANCHOR as i32);
    }
}

/// Writes one block of the cosines or sines of a row, rounded once.
#[inline(always)]
fn write(values: &[f64; LANES], temperature: f64, row: &mut [f32], block: usize) {
    let values = values.map(|value| (value * temperature) as f32);
    let (blocks, rest) = row.as_chunks_mut::<LANES>();
    match blocks.get_mut(block) {
        Some(place) => *place = values,
        None => {
            for (to, value) in rest.iter_mut().zip(values) {
                *to = value;
            }
        }
    }
}

/// The cosines and sines of a block of pairs.
struct Rotor {
    cos: [f64; LANES],
    sin: [f64; LANES],
}

impl Rotor {
    /// Returns those of the exact angles at a position.
    #[inline(always)]
    fn at<S: Isa>(isa: S, turns: &[u128; LANES], position: i32) -> Self {
        let [mut cos, mut sin] = [[0.0; LANES]; 2];
        let places = cos
            .chunks_exact_mut(S::F64::LANES)
            .zip(sin.chunks_exact_mut(S::F64::LANES));
        for (turns, (cos, sin)) in turns.chunks_exact(S::F64::LANES).zip(places) {
            let (s, c): (S::F64, S::F64) =
                angle::sin_cos(isa, turns, |_, turns| f64::times(turns, position));
            s.store(sin);
            c.store(cos);
        }
        Self { cos, sin }
    }

    /// Turns each pair by its step.
    #[inline(always)]
    fn advance(&mut self, step: &Self) {
        let steps = step.cos.iter().zip(&step.sin);
        for ((cos, sin), (c, s)) in self.cos.iter_mut().zip(&mut self.sin).zip(steps) {
            (*cos, *sin) = (*cos * c - *sin * s, *sin * c + *cos * s);
        }
    }
}
