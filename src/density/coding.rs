//! A coder table as the entropy model of the coders of `constriction`.

use core::borrow::Borrow;
use core::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel, IterableEntropyModel};

use super::CoderTable;
use crate::Error;
use crate::error::Parameter;

/// A [`CoderTable`] as an entropy model of the range coders and ANS of the crate `constriction`, whose
/// precision is a constant.
///
/// ```
/// use constriction::stream::stack::DefaultAnsCoder;
/// use constriction::stream::Decode as _;
/// use suanzi::density::{Bins, CoderModel, CoderTable, Domain, FourierDensity};
///
/// let density = FourierDensity::new(Domain::unit(), &[1.0_f32, 0.0, 1.0, 0.0], [0.0; 12])?;
/// let bins = Bins { start: -1.0, width: 0.5, symbols: 4 };
/// let table = CoderTable::new(&density, bins, 24, [0; 5])?;
/// let model = CoderModel::<24, _>::new(&table)?;
/// let mut coder = DefaultAnsCoder::new();
/// coder.encode_iid_symbols_reverse([1_usize, 2, 2, 0], model).unwrap();
/// let read: Vec<usize> = coder.decode_iid_symbols(4, model).map(Result::unwrap).collect();
/// assert_eq!(read, [1, 2, 2, 0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Debug)]
pub struct CoderModel<'a, const PRECISION: usize, S> {
    table: &'a CoderTable<S>,
}

impl<'a, const PRECISION: usize, S> CoderModel<'a, PRECISION, S> {
    /// Returns the model of a table.
    ///
    /// # Errors
    ///
    /// [`Parameter::Precision`] unless the precision is that of the table.
    pub fn new(table: &'a CoderTable<S>) -> Result<Self, Error> {
        if usize::try_from(table.precision()) == Ok(PRECISION) {
            Ok(Self { table })
        } else {
            Err(Error::Domain(Parameter::Precision))
        }
    }
}

impl<const PRECISION: usize, S> Clone for CoderModel<'_, PRECISION, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const PRECISION: usize, S> Copy for CoderModel<'_, PRECISION, S> {}

impl<const PRECISION: usize, S> EntropyModel<PRECISION> for CoderModel<'_, PRECISION, S> {
    type Symbol = usize;
    type Probability = u32;
}

impl<const PRECISION: usize, S: AsRef<[u32]>> EncoderModel<PRECISION>
    for CoderModel<'_, PRECISION, S>
{
    fn left_cumulative_and_probability(
        &self,
        symbol: impl Borrow<usize>,
    ) -> Option<(u32, NonZeroU32)> {
        let (start, frequency) = self.table.range(*symbol.borrow())?;
        Some((start, NonZeroU32::new(frequency)?))
    }
}

impl<const PRECISION: usize, S: AsRef<[u32]>> DecoderModel<PRECISION>
    for CoderModel<'_, PRECISION, S>
{
    fn quantile_function(&self, word: u32) -> (usize, u32, NonZeroU32) {
        // A coder's word is below 2^PRECISION, and no frequency is zero.
        let (symbol, start, frequency) = self.table.symbol(word).unwrap_or_default();
        let frequency = NonZeroU32::new(frequency).unwrap_or(NonZeroU32::MIN);
        (symbol, start, frequency)
    }
}

impl<'m, const PRECISION: usize, S: AsRef<[u32]>> IterableEntropyModel<'m, PRECISION>
    for CoderModel<'_, PRECISION, S>
{
    fn symbol_table(&'m self) -> impl Iterator<Item = (usize, u32, NonZeroU32)> {
        let ranges = (0..self.table.symbols()).map(|symbol| (symbol, self.table.range(symbol)));
        ranges.filter_map(|(symbol, range)| {
            let (start, frequency) = range?;
            Some((symbol, start, NonZeroU32::new(frequency)?))
        })
    }
}
