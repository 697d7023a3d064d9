//! Rotary position encoding, its angles computed on the fly.

use super::HeadElement;
use super::angle::Angle;
use super::layout::check_heads;
use super::source::OnTheFly;
use super::turn;
use super::{Frequencies, HeadLayout, PositionEncoding};
use crate::error::{Parameter, check_len};
use crate::{Cpu, Error};

/// Rotates heads by their position, without a table.
///
/// Pair i of a head at position p turns by the angle p theta_i: y0 = x0 cos - x1 sin,
/// y1 = x1 cos + x0 sin. The score of a query and a key then depends on the difference of their
/// positions alone. Su et al. 2021, RoFormer, arXiv 2104.09864.
///
/// * **Shape:** `x` is any number of heads of [`HeadLayout::head_dim`] elements, one after the other;
///   elements beyond the rotated ones pass through.
/// * **Domain:** every position, negative ones included: angles are exact fractions of a turn in
///   integers, so that nothing is lost at a distance. With the frequencies of
///   [`Base`](super::Base) sines and cosines have an absolute error of at most 2^-24 (`f32`) and
///   2^-52 (`f64`) at every position.
/// * **Accuracy:** an element of the result is within 2.5 units of rounding (2^-24, 2^-53) of the
///   length of its pair; with a temperature other than one, within 4.5 units of that length times it.
/// * **Edges:** position zero returns every number as it was, except that a zero may lose its sign.
///   An infinite or NaN element makes both elements of its pair NaN or infinite. No heads: nothing.
/// * **Cost:** one sine and cosine of each pair for all heads of a call (about 60 operations, 32-bit
///   integers and `f32` alone in the `f32` path), six operations a pair and head. A
///   [`RopeTable`](super::RopeTable) saves the former.
///
/// `S` lends the storage of one frequency a pair: `[u64; PAIRS]` for `f32`, `[u128; PAIRS]` for
/// `f64`.
///
/// ```
/// use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope};
///
/// let layout = HeadLayout::new(4, Pairing::HalfSplit)?;
/// let rope = Rope::new(layout, &Base::new(10_000.0)?, [0_u64; 2])?;
/// let mut x = [1.0_f32, 1.0, 0.0, 0.0];
/// rope.rotate(3, &mut x[..])?;
/// assert_eq!(x, [-0.9899925, 0.99955004, 0.14112, 0.029995501]);
/// rope.unrotate(3, &mut x[..])?;
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rope<T, S, E = Cpu> {
    layout: HeadLayout,
    pub(crate) turns: S,
    pub(crate) temperature: T,
    /// 1 / temperature.
    pub(crate) inverse: T,
    pub(crate) executor: E,
}

impl<T: Angle, S: AsRef<[T::Turns]> + AsMut<[T::Turns]>> Rope<T, S> {
    /// Returns the encoding of these heads, its frequencies written to `storage`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `storage` has [`HeadLayout::pairs`] elements; whatever
    /// [`Frequencies::check`] refuses; [`Parameter::Temperature`] unless the temperature, its square and
    /// their inverses are finite in `T`.
    pub fn new(
        layout: HeadLayout,
        frequencies: &impl Frequencies,
        mut storage: S,
    ) -> Result<Self, Error> {
        check_len(layout.pairs(), storage.as_mut().len())?;
        frequencies.check(layout.pairs())?;
        let temperature = T::rounded(frequencies.temperature());
        let inverse = T::ONE / temperature;
        let finite = |factor: T| factor > T::ZERO && factor < T::INFINITY;
        if !(finite(temperature * temperature) && finite(inverse * inverse)) {
            return Err(Error::Domain(Parameter::Temperature));
        }
        for (to, turns) in storage
            .as_mut()
            .iter_mut()
            .zip(frequencies.turns(layout.pairs()))
        {
            *to = T::narrowed(turns);
        }
        Ok(Self {
            layout,
            turns: storage,
            temperature,
            inverse,
            executor: Cpu::default(),
        })
    }
}

#[cfg(feature = "capi")]
impl<T: Angle, S: AsRef<[T::Turns]>> Rope<T, S> {
    /// Returns the encoding whose storage holds what [`Rope::new`] wrote, for a temperature of one.
    pub(crate) fn filled(layout: HeadLayout, turns: S) -> Result<Self, Error> {
        check_len(layout.pairs(), turns.as_ref().len())?;
        Ok(Self {
            layout,
            turns,
            temperature: T::ONE,
            inverse: T::ONE,
            executor: Cpu::default(),
        })
    }
}

impl<T, S, E> Rope<T, S, E> {
    /// Moves the encoding to another executor.
    #[inline]
    #[must_use]
    pub fn on<F>(self, executor: F) -> Rope<T, S, F> {
        Rope {
            layout: self.layout,
            turns: self.turns,
            temperature: self.temperature,
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
}

impl<T: Angle, S: AsRef<[T::Turns]>> Rope<T, S> {
    /// Returns cosines and sines at a position, times `cos_factor` and `sin_factor`.
    fn angles(&self, position: i32, cos_factor: T, sin_factor: T) -> OnTheFly<'_, T> {
        OnTheFly {
            turns: self.turns.as_ref(),
            position,
            cos_factor,
            sin_factor,
        }
    }

    /// Returns what a rotation multiplies by.
    #[inline(always)]
    pub(super) fn forward(&self, position: i32) -> OnTheFly<'_, T> {
        self.angles(position, self.temperature, self.temperature)
    }

    /// Rotates the heads in `x` at one position into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads, [`Error::Length`] if `out` has another length.
    pub fn rotate_into<X>(&self, at: i32, x: &[X], out: &mut [X]) -> Result<(), Error>
    where
        X: HeadElement<T>,
    {
        check_heads(self.layout.head_dim(), x.len())?;
        check_len(x.len(), out.len())?;
        turn::one(
            self.executor,
            self.layout,
            self.forward(at),
            X::into(x, out),
        );
        Ok(())
    }

    /// Rotates the heads of several tokens in place, each token at its own position.
    ///
    /// `x` holds as many heads for each position, token after token: positions may be a range, or
    /// any list in any order.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not a whole number of heads for every position.
    pub fn rotate_each<P, X>(&self, positions: P, x: &mut [X]) -> Result<(), Error>
    where
        P: IntoIterator<Item = i32, IntoIter: ExactSizeIterator>,
        X: HeadElement<T>,
    {
        let positions = positions.into_iter();
        let heads = heads_per_token(self.layout, positions.len(), x.len())?;
        let angles = self.forward(0);
        let angles = positions.map(
            #[inline(always)]
            |position| OnTheFly { position, ..angles },
        );
        turn::each(self.executor, self.layout, heads, angles, X::in_place(x));
        Ok(())
    }

    /// Moves heads that were rotated at one position to the position `offset` further on.
    ///
    /// It is the shift of a key cache after old tokens were dropped. The temperature, which the heads
    /// carry already, is not applied again.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not whole heads.
    pub fn shift<X: HeadElement<T>>(&self, offset: i32, x: &mut [X]) -> Result<(), Error> {
        self.turn(self.angles(offset, T::ONE, T::ONE), x)
    }

    /// Turns every head by the same angles.
    fn turn<X: HeadElement<T>>(&self, angles: OnTheFly<'_, T>, x: &mut [X]) -> Result<(), Error> {
        check_heads(self.layout.head_dim(), x.len())?;
        turn::one(self.executor, self.layout, angles, X::in_place(x));
        Ok(())
    }
}

impl<T: Angle, S: AsRef<[T::Turns]>, X: HeadElement<T>> PositionEncoding<[X]> for Rope<T, S> {
    type Position = i32;

    fn rotate(&self, at: i32, x: &mut [X]) -> Result<(), Error> {
        self.turn(self.forward(at), x)
    }

    fn unrotate(&self, at: i32, x: &mut [X]) -> Result<(), Error> {
        self.turn(self.angles(at, self.inverse, -self.inverse), x)
    }
}

/// Returns the number of heads of each token, for `len` elements of `tokens` tokens.
pub(crate) fn heads_per_token(
    layout: HeadLayout,
    tokens: usize,
    len: usize,
) -> Result<usize, Error> {
    let heads = layout.head_dim().saturating_mul(tokens);
    match (len.checked_rem(heads), len.checked_div(heads)) {
        (Some(0), Some(heads)) => Ok(heads),
        (None, _) if len == 0 => Ok(0),
        _ => Err(Error::Multiple {
            of: heads,
            found: len,
        }),
    }
}
