//! A density as the integers of an entropy coder.

use super::Density1d;
use crate::Error;
use crate::error::{Parameter, check_len};
use crate::scalar::Scalar;

/// The greatest precision.
const BITS: u32 = 31;

/// The cumulative distribution of an alphabet in integers, for a range coder or ANS.
///
/// Symbol i of M stands for what lies between the edges `start + i * width` and `start + (i + 1) * width`; the
/// first and the last symbol also take what lies beyond. With F(i) the cumulative at the lower edge of i, in the
/// number type of the density, the integers are C(0) = 0, C(M) = 2^P and
///
/// C(i) = i + the greatest of floor(F(j) (2^P - M)) over 0 < j <= i, where the product is rounded in that type.
///
/// So they rise strictly, every symbol has a frequency of at least one, and the frequencies add up to 2^P,
/// whatever the density answers; a NaN among the F(j) counts as zero. [`Density1d::cumulative`] of a
/// [`FourierDensity`](super::FourierDensity) has the same bits on every machine and executor, so has its table:
/// what one encodes another decodes.
///
/// * **Shapes:** the storage has [`storage_len`](Self::storage_len) elements.
/// * **Domain:** P from 1 to 31, M from 1 to 2^P; finite `start`, finite and positive `width`.
/// * **Cost:** one cumulative a symbol to fill, a binary search to look up a word.
///
/// With the feature `constriction`, `CoderModel` makes it an entropy model of the coders of that crate.
///
/// ```
/// use suanzi::density::{Bins, CoderTable, Domain, FourierDensity};
///
/// let density = FourierDensity::new(Domain::unit(), &[1.0_f32, 0.0, 1.0, 0.0], [0.0; 12])?;
/// let bins = Bins { start: -1.0, width: 0.5, symbols: 4 };
/// let table = CoderTable::new(&density, bins, 8, [0; 5])?;
/// assert_eq!(table.frequencies().collect::<Vec<_>>(), [23, 105, 104, 24]);
/// assert_eq!(table.range(1), Some((23, 105)));
/// assert_eq!(table.symbol(127), Some((1, 23, 105)));
/// assert_eq!(table.symbol(256), None);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoderTable<S> {
    precision: u32,
    storage: S,
}

/// The alphabet of a [`CoderTable`]: bins of one width side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bins<T> {
    /// The lower edge of the first symbol.
    pub start: T,
    /// The width of every symbol.
    pub width: T,
    /// The number of symbols.
    pub symbols: usize,
}

impl<S> CoderTable<S> {
    /// Returns the elements that the storage needs for `symbols`.
    #[must_use]
    pub const fn storage_len(symbols: usize) -> usize {
        symbols.saturating_add(1)
    }

    /// Returns P.
    pub fn precision(&self) -> u32 {
        self.precision
    }
}

impl<S: AsRef<[u32]> + AsMut<[u32]>> CoderTable<S> {
    /// Fills the table of a density.
    ///
    /// # Errors
    ///
    /// [`Parameter::Precision`] if P or M is out of its domain, [`Parameter::Interval`] if `start` or `width` is,
    /// [`Error::Length`] unless the storage has [`storage_len`](Self::storage_len) elements.
    pub fn new<T: Scalar>(
        density: &impl Density1d<T>,
        bins: Bins<T>,
        precision: u32,
        mut storage: S,
    ) -> Result<Self, Error> {
        let Bins {
            start,
            width,
            symbols,
        } = bins;
        let whole = 1_u32.checked_shl(precision).unwrap_or(0);
        let count = u32::try_from(symbols).unwrap_or(u32::MAX);
        if precision == 0 || precision > BITS || count == 0 || count > whole {
            return Err(Error::Domain(Parameter::Precision));
        }
        if !(start - start == T::ZERO && width - width == T::ZERO && width > T::ZERO) {
            return Err(Error::Domain(Parameter::Interval));
        }
        check_len(Self::storage_len(symbols), storage.as_ref().len())?;
        let free = whole.saturating_sub(count);
        let factor = T::from_count(free as usize);
        let mut greatest = 0;
        if let Some((last, entries)) = storage.as_mut().split_last_mut() {
            *last = whole;
            for (i, to) in (0_u32..).zip(entries) {
                if i > 0 {
                    let edge = start + width * T::from_count(i as usize);
                    let part = density.cumulative(edge) * factor;
                    // Nothing for NaN; above for what rounded up.
                    let part = part.to_u32().unwrap_or(0).min(free);
                    greatest = greatest.max(part);
                }
                *to = i.saturating_add(greatest);
            }
        }
        Ok(Self { precision, storage })
    }
}

impl<S: AsRef<[u32]>> CoderTable<S> {
    /// Returns C(0) to C(M).
    pub fn cumulative(&self) -> &[u32] {
        self.storage.as_ref()
    }

    /// Returns the number of symbols.
    pub fn symbols(&self) -> usize {
        self.storage.as_ref().len().saturating_sub(1)
    }

    /// Returns the frequency of every symbol, in order.
    pub fn frequencies(&self) -> impl Iterator<Item = u32> + '_ {
        let entries = self.storage.as_ref();
        let next = entries.iter().skip(1);
        entries.iter().zip(next).map(|(a, b)| b.saturating_sub(*a))
    }

    /// Returns where a symbol begins, and its frequency; nothing beyond the last.
    #[must_use]
    pub fn range(&self, symbol: usize) -> Option<(u32, u32)> {
        let entries = self.storage.as_ref();
        let start = *entries.get(symbol)?;
        let end = *entries.get(symbol.checked_add(1)?)?;
        Some((start, end.saturating_sub(start)))
    }

    /// Returns the symbol in whose range a word lies, with where it begins and its frequency; nothing for
    /// words of 2^P and above.
    #[must_use]
    pub fn symbol(&self, word: u32) -> Option<(usize, u32, u32)> {
        let entries = self.storage.as_ref();
        let symbol = entries
            .partition_point(|&start| start <= word)
            .checked_sub(1)?;
        let (start, frequency) = self.range(symbol)?;
        Some((symbol, start, frequency))
    }
}
