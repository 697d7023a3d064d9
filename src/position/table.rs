//! Cosines and sines kept in memory that the caller lends.

use super::angle::Angle;
use super::layout::check_heads;
use super::rope::heads_per_token;
use super::source::{Inverse, OnTheFly, Row, Source};
use super::turn;
use super::{HeadElement, HeadLayout, PositionEncoding, Rope, Trigonometry};
use crate::cpu::dispatch;
use crate::error::{Parameter, check_len};
use crate::simd::{Isa, Lanes, One};
use crate::{Cpu, Error};

/// Rotates heads by their position, from a table of cosines and sines.
///
/// The rotation, its domain and its accuracy are those of [`Rope`]; a table trades memory for the
/// sines and cosines. It covers consecutive positions from a first one on, which may be negative. Row
/// p holds the cosines of all pairs, then their sines, each times the temperature:
/// [`RopeTable::table_len`] elements in all.
///
/// * **Accuracy** of an entry: absolute error at most 2^-24 (`f32`) or 2^-52 (`f64`) at every position;
///   with a temperature other than one, at most 2.5 times that, times the temperature.
/// * **Cost** of a rotation: six operations a pair and head; beyond the caches it is bound by memory.
///
/// ```
/// use suanzi::position::{Base, HeadLayout, PositionEncoding, Pairing, Rope, RopeTable};
///
/// let layout = HeadLayout::new(8, Pairing::Interleaved)?;
/// let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; 4])?;
/// let table = RopeTable::new(&rope, 0, [0.0; RopeTable::<f32, ()>::table_len(16, 8)])?;
///
/// let mut x = [0.5_f32; 8];
/// let mut y = x;
/// table.rotate(11, &mut x[..])?;
/// rope.rotate(11, &mut y[..])?;
/// assert_eq!(x, y);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RopeTable<T, S, E = Cpu> {
    layout: HeadLayout,
    first: i32,
    pub(super) table: S,
    /// 1 / temperature^2.
    inverse: T,
    pub(super) executor: E,
}

impl<T, S, E> RopeTable<T, S, E> {
    /// Returns the elements of a table for `positions` positions of heads with `rotary_dim` rotated
    /// elements.
    #[must_use]
    pub const fn table_len(positions: usize, rotary_dim: usize) -> usize {
        positions.saturating_mul(rotary_dim)
    }

    /// Moves the table to another executor.
    #[inline]
    #[must_use]
    pub fn on<F>(self, executor: F) -> RopeTable<T, S, F> {
        RopeTable {
            layout: self.layout,
            first: self.first,
            table: self.table,
            inverse: self.inverse,
            executor,
        }
    }

    /// Returns the layout of a head.
    #[inline]
    #[must_use]
    pub const fn layout(&self) -> HeadLayout {
        self.layout
    }

    /// Returns the first position.
    #[inline]
    #[must_use]
    pub const fn first(&self) -> i32 {
        self.first
    }
}

impl<T: Angle, S: AsRef<[T]> + AsMut<[T]>> RopeTable<T, S> {
    /// Returns the table of an encoding from position `first` on, as far as `storage` reaches.
    ///
    /// It runs on the executor of the encoding.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `storage` is not whole rows of [`HeadLayout::rotary_dim`] elements,
    /// [`Parameter::Position`] if the last position lies beyond `i32::MAX`.
    pub fn new<F: AsRef<[T::Turns]>>(
        rope: &Rope<T, F>,
        first: i32,
        storage: S,
    ) -> Result<Self, Error> {
        let mut table = Self {
            layout: rope.layout(),
            first,
            table: storage,
            inverse: rope.inverse * rope.inverse,
            executor: rope.executor,
        };
        table.fill(rope, first)?;
        Ok(table)
    }

    /// Fills the table again, from another position on or with other frequencies.
    ///
    /// # Errors
    ///
    /// Those of [`RopeTable::new`], and [`Parameter::RotaryDim`] if the encoding has another layout.
    pub fn fill<F: AsRef<[T::Turns]>>(
        &mut self,
        rope: &Rope<T, F>,
        first: i32,
    ) -> Result<(), Error> {
        self.begin(rope, first)?;
        let pairs = self.layout.pairs();
        let table = self.table.as_mut();
        dispatch!(self.executor, isa => {
            let mut position = first;
            for row in table.chunks_exact_mut((2 * pairs).max(1)) {
                let row = row.split_at_mut_checked(pairs).unwrap_or_default();
                fill_row(isa, rope.forward(position), row);
                position = position.wrapping_add(1);
            }
        });
        Ok(())
    }
}

impl<T: Angle, S: AsRef<[T]>> RopeTable<T, S> {
    /// Checks that the rows of an encoding fit from position `first` on, and takes what they share.
    pub(super) fn begin<F>(&mut self, rope: &Rope<T, F>, first: i32) -> Result<(), Error> {
        if self.layout != rope.layout() {
            return Err(Error::Domain(Parameter::RotaryDim));
        }
        check_range(self.layout, first, self.table.as_ref().len())?;
        self.first = first;
        self.inverse = rope.inverse * rope.inverse;
        Ok(())
    }
}

impl<S: AsRef<[f32]> + AsMut<[f32]>> RopeTable<f32, S> {
    /// Returns the table of [`RopeTable::new`] with sines and cosines by `P`.
    ///
    /// The angle is exact modulo a turn and cut to 2^-24 turns, at every position; the error of an entry
    /// is that of `P`, and 4e-7 more. Costs two multiplications and one call of `P` an entry pair.
    ///
    /// # Errors
    ///
    /// Those of [`RopeTable::new`].
    pub fn filled_by<P: Trigonometry, F: AsRef<[u64]>>(
        rope: &Rope<f32, F>,
        first: i32,
        mut storage: S,
    ) -> Result<Self, Error> {
        let layout = rope.layout();
        check_range(layout, first, storage.as_ref().len())?;
        let rows = storage
            .as_mut()
            .chunks_exact_mut(layout.rotary_dim().max(1));
        for (position, row) in (first..=i32::MAX).zip(rows) {
            let (cos, sin) = row.split_at_mut_checked(layout.pairs()).unwrap_or_default();
            for ((cos, sin), &turns) in cos.iter_mut().zip(sin).zip(rope.turns.as_ref()) {
                // The upper 24 bits of the angle, as a number between minus and plus one half.
                let turn = (f32::times(turns, position) as i64 >> 40) as f32 / 16_777_216.0;
                let (s, c) = P::sin_cos(turn);
                (*cos, *sin) = (c * rope.temperature, s * rope.temperature);
            }
        }
        Ok(Self {
            layout,
            first,
            table: storage,
            inverse: rope.inverse * rope.inverse,
            executor: rope.executor,
        })
    }
}

impl<T: Angle, S: AsRef<[T]>> RopeTable<T, S> {
    /// Returns a table that is filled already: rows of cosines, then sines, from position `first` on.
    ///
    /// For tables that come with a model or lie in flash. The temperature counts as one: where the
    /// entries carry another, [`PositionEncoding::unrotate`] multiplies by its square.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `table` is not whole rows of [`HeadLayout::rotary_dim`] elements,
    /// [`Parameter::Position`] if the last position lies beyond `i32::MAX`.
    pub fn from_rows(layout: HeadLayout, first: i32, table: S) -> Result<Self, Error> {
        check_range(layout, first, table.as_ref().len())?;
        Ok(Self {
            layout,
            first,
            table,
            inverse: T::ONE,
            executor: Cpu::default(),
        })
    }

    /// Returns the number of positions.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.table.as_ref().len() / self.layout.rotary_dim().max(1)
    }

    /// Returns the cosines of all pairs at a position, and the sines.
    ///
    /// # Errors
    ///
    /// [`Parameter::Position`] if the table does not hold the position.
    pub fn row(&self, at: i32) -> Result<(&[T], &[T]), Error> {
        let Row { cos, sin } = self.rows().at(at)?;
        Ok((cos, sin))
    }

    /// Returns the rows.
    fn rows(&self) -> Rows<'_, T> {
        Rows {
            layout: self.layout,
            first: self.first,
            table: self.table.as_ref(),
        }
    }

    /// Rotates the heads in `x` at one position into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads, [`Error::Length`] if `out` has another length,
    /// [`Parameter::Position`] if the table does not hold the position.
    pub fn rotate_into<X>(&self, at: i32, x: &[X], out: &mut [X]) -> Result<(), Error>
    where
        X: HeadElement<T>,
    {
        self.rotate_each_into([at], x, out)
    }

    /// Rotates the heads of several tokens in place, each token at its own position.
    ///
    /// `x` holds as many heads for each position, token after token: positions may be a range, or
    /// any list in any order.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not a whole number of heads for every position,
    /// [`Parameter::Position`] if the table does not hold one of them.
    pub fn rotate_each<P, X>(&self, positions: P, x: &mut [X]) -> Result<(), Error>
    where
        P: IntoIterator<Item = i32, IntoIter: ExactSizeIterator + Clone>,
        X: HeadElement<T>,
    {
        let positions = positions.into_iter();
        let heads = self.rows().check(positions.clone(), x.len())?;
        let rows = self.rows().each(positions);
        turn::each(self.executor, self.layout, heads, rows, X::in_place(x));
        Ok(())
    }

    /// Rotates the heads of several tokens into `out`, each token at its own position, as
    /// [`RopeTable::rotate_each`] does in place.
    ///
    /// # Errors
    ///
    /// Those of [`RopeTable::rotate_each`], and [`Error::Length`] if `out` has another length than
    /// `x`.
    pub fn rotate_each_into<P, X>(&self, positions: P, x: &[X], out: &mut [X]) -> Result<(), Error>
    where
        P: IntoIterator<Item = i32, IntoIter: ExactSizeIterator + Clone>,
        X: HeadElement<T>,
    {
        let positions = positions.into_iter();
        let heads = self.rows().check(positions.clone(), x.len())?;
        check_len(x.len(), out.len())?;
        let rows = self.rows().each(positions);
        turn::each(self.executor, self.layout, heads, rows, X::into(x, out));
        Ok(())
    }
}

impl<T: Angle, S: AsRef<[T]>, X: HeadElement<T>> PositionEncoding<[X]> for RopeTable<T, S> {
    type Position = i32;

    /// Rotates in place; [`Parameter::Position`] if the table does not hold the position.
    fn rotate(&self, at: i32, x: &mut [X]) -> Result<(), Error> {
        self.rotate_each([at], x)
    }

    /// Rotates back in place; [`Parameter::Position`] if the table does not hold the position.
    fn unrotate(&self, at: i32, x: &mut [X]) -> Result<(), Error> {
        check_heads(self.layout.head_dim(), x.len())?;
        let row = Inverse {
            row: self.rows().at(at)?,
            factor: self.inverse,
        };
        turn::one(self.executor, self.layout, row, X::in_place(x));
        Ok(())
    }
}

/// The rows of a table, without their storage: so that kernels are compiled once for all of them.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    layout: HeadLayout,
    first: i32,
    table: &'a [T],
}

impl<'a, T: Angle> Rows<'a, T> {
    /// Returns the row of a position.
    fn at(self, position: i32) -> Result<Row<'a, T>, Error> {
        let index = i64::from(position) - i64::from(self.first);
        let row = usize::try_from(index)
            .ok()
            .and_then(|index| index.checked_mul(self.layout.rotary_dim()))
            .and_then(|start| self.table.get(start..))
            .and_then(|rest| rest.get(..self.layout.rotary_dim()));
        match row.and_then(|row| row.split_at_checked(self.layout.pairs())) {
            Some((cos, sin)) => Ok(Row { cos, sin }),
            None => Err(Error::Domain(Parameter::Position)),
        }
    }

    /// Checks every position and returns the heads of a token.
    fn check(
        self,
        positions: impl ExactSizeIterator<Item = i32>,
        len: usize,
    ) -> Result<usize, Error> {
        let heads = heads_per_token(self.layout, positions.len(), len)?;
        for position in positions {
            self.at(position)?;
        }
        Ok(heads)
    }

    /// Returns the rows of positions that were checked.
    #[inline(always)]
    fn each(self, positions: impl Iterator<Item = i32>) -> impl Iterator<Item = Row<'a, T>> {
        positions.filter_map(
            #[inline(always)]
            move |position| self.at(position).ok(),
        )
    }
}

/// Checks that a table of `len` elements is whole rows and ends before the last position.
fn check_range(layout: HeadLayout, first: i32, len: usize) -> Result<(), Error> {
    check_heads(layout.rotary_dim(), len)?;
    let positions = len / layout.rotary_dim().max(1);
    let left = i64::from(i32::MAX) - i64::from(first) + 1;
    match i64::try_from(positions) {
        Ok(positions) if positions <= left => Ok(()),
        _ => Err(Error::Domain(Parameter::Position)),
    }
}

/// Writes cosines and sines of one position.
#[inline(always)]
fn fill_row<S: Isa, T: Angle>(isa: S, angles: OnTheFly<'_, T>, (cos, sin): (&mut [T], &mut [T])) {
    let pair = fill_vectors::<T::Lanes<S>>(isa, angles, cos, sin, 0);
    fill_vectors::<T::Lanes<One>>(One, angles, cos, sin, pair);
}

/// Writes whole vectors from pair `pair` on; returns the first pair left.
#[inline(always)]
fn fill_vectors<V: Lanes<Element: Angle>>(
    isa: V::Isa,
    angles: OnTheFly<'_, V::Element>,
    cos: &mut [V::Element],
    sin: &mut [V::Element],
    mut pair: usize,
) -> usize {
    let rest = cos.get_mut(pair..).unwrap_or_default();
    let rest = rest.chunks_exact_mut(V::LANES);
    let sins = sin.get_mut(pair..).unwrap_or_default();
    for (cos, sin) in rest.zip(sins.chunks_exact_mut(V::LANES)) {
        let (s, c): (V, V) = angles.sin_cos(isa, pair);
        s.store(sin);
        c.store(cos);
        pair += V::LANES;
    }
    pair
}
