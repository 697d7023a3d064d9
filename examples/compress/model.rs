//! A coder table as the entropy model of the coders of `constriction`.

use core::borrow::Borrow;
use core::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel, IterableEntropyModel};
use suanzi::density::CoderTable;

/// A table whose precision is a constant.
#[derive(Debug)]
pub(crate) struct Model<'a, const PRECISION: usize, S>(&'a CoderTable<S>);

impl<'a, const PRECISION: usize, S> Model<'a, PRECISION, S> {
    /// Returns the model, if the precision is that of the table.
    pub(crate) fn new(table: &'a CoderTable<S>) -> Option<Self> {
        (table.precision() as usize == PRECISION).then_some(Self(table))
    }
}

impl<const PRECISION: usize, S> Clone for Model<'_, PRECISION, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const PRECISION: usize, S> Copy for Model<'_, PRECISION, S> {}

impl<const PRECISION: usize, S> EntropyModel<PRECISION> for Model<'_, PRECISION, S> {
    type Symbol = usize;
    type Probability = u32;
}

impl<const PRECISION: usize, S: AsRef<[u32]>> EncoderModel<PRECISION> for Model<'_, PRECISION, S> {
    fn left_cumulative_and_probability(
        &self,
        symbol: impl Borrow<usize>,
    ) -> Option<(u32, NonZeroU32)> {
        let (start, frequency) = self.0.range(*symbol.borrow())?;
        Some((start, NonZeroU32::new(frequency)?))
    }
}

impl<const PRECISION: usize, S: AsRef<[u32]>> DecoderModel<PRECISION> for Model<'_, PRECISION, S> {
    fn quantile_function(&self, word: u32) -> (usize, u32, NonZeroU32) {
        // A coder's word is below 2^PRECISION, and no frequency is zero.
        let (symbol, start, frequency) = self.0.symbol(word).unwrap_or_default();
        let frequency = NonZeroU32::new(frequency).unwrap_or(NonZeroU32::MIN);
        (symbol, start, frequency)
    }
}

impl<'m, const PRECISION: usize, S: AsRef<[u32]>> IterableEntropyModel<'m, PRECISION>
    for Model<'_, PRECISION, S>
{
    fn symbol_table(&'m self) -> impl Iterator<Item = (usize, u32, NonZeroU32)> {
        let ranges = (0..self.0.symbols()).map(|symbol| (symbol, self.0.range(symbol)));
        ranges.filter_map(|(symbol, range)| {
            let (start, frequency) = range?;
            Some((symbol, start, NonZeroU32::new(frequency)?))
        })
    }
}
