//! Tables of coders: their law for any density, one alphabet on two machines, and a coder that uses them.

mod accuracy;
mod inputs;
mod reference;

use inputs::Random;
use suanzi::density::{Bins, CoderTable, Density1d, Domain, FourierDensity};
use suanzi::{Error, Parameter};

/// A density that answers anything.
struct Adversary(Vec<f64>);

impl Density1d<f64> for Adversary {
    fn density(&self, _: f64) -> f64 {
        f64::NAN
    }
    fn ln_density(&self, _: f64) -> f64 {
        f64::NAN
    }
    fn cumulative(&self, y: f64) -> f64 {
        self.0[y as usize % self.0.len()]
    }
    fn quantile(&self, _: f64) -> f64 {
        f64::NAN
    }
}

/// Checks the law of a table.
fn is_a_table(table: &CoderTable<Vec<u32>>, symbols: usize, precision: u32) {
    let entries = table.cumulative();
    assert_eq!(entries.len(), symbols + 1);
    assert_eq!((entries[0], entries[symbols]), (0, 1 << precision));
    assert!(entries.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(table.symbols(), symbols);
    let sum: u64 = table.frequencies().map(u64::from).sum();
    assert_eq!(sum, 1 << precision);
    for word in [0, 1, (1_u32 << precision) / 3, (1 << precision) - 1] {
        let (symbol, start, frequency) = table.symbol(word).expect("a word of the table");
        assert!(start <= word && word - start < frequency);
        assert_eq!(table.range(symbol), Some((start, frequency)));
    }
    assert_eq!(table.symbol(1 << precision), None);
    assert_eq!(table.range(symbols), None);
}

fn bins(start: f64, width: f64, symbols: usize) -> Bins<f64> {
    Bins {
        start,
        width,
        symbols,
    }
}

#[test]
fn a_table_holds_for_whatever_a_density_answers() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let mut random = Random(5);
    let answers = [
        vec![nan],
        vec![inf],
        vec![-inf, 7.0, nan],
        vec![1.0, 0.0],
        vec![0.0],
        vec![1.0 + f64::EPSILON],
        (0..97).map(|_| random.normal()).collect(),
        (0..97).map(|_| f64::from_bits(random.bits())).collect(),
    ];
    for answers in answers {
        for (symbols, precision) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (256, 8),
            (255, 8),
            (1000, 31),
            (1000, 16),
        ] {
            let density = Adversary(answers.clone());
            let storage = vec![9; CoderTable::<Vec<u32>>::storage_len(symbols)];
            let table = CoderTable::new(&density, bins(0.0, 1.0, symbols), precision, storage);
            is_a_table(&table.expect("a table"), symbols, precision);
        }
    }
}

#[test]
fn a_table_follows_its_rule() {
    let mut random = Random(11);
    for count in [1, 2, 5, 17] {
        let a: Vec<f64> = (0..2 * count).map(|_| random.normal()).collect();
        let density = FourierDensity::new(
            Domain::line(3.0, 40.0).expect("a domain"),
            &a,
            vec![0.0; 6 * count],
        )
        .expect("a density");
        for (symbols, precision) in [(256, 12), (200, 24), (4096, 16)] {
            let bins = bins(-128.5, 1.0, symbols);
            let table = CoderTable::new(&density, bins, precision, vec![0; symbols + 1]);
            let table = table.expect("a table");
            is_a_table(&table, symbols, precision);
            let free = f64::from((1_u32 << precision) - symbols as u32);
            let mut greatest = 0.0_f64;
            for (i, &entry) in table.cumulative().iter().enumerate().take(symbols).skip(1) {
                greatest = greatest.max((density.cumulative(-128.5 + i as f64) * free).floor());
                assert_eq!(f64::from(entry), i as f64 + greatest);
            }
        }
    }
}

#[test]
fn bad_tables_are_refused() {
    let flat = FourierDensity::new(Domain::unit(), &[1.0, 0.0], [0.0; 6]).expect("a density");
    let new = |bins, precision, len: usize| {
        CoderTable::new(&flat, bins, precision, vec![3; len])
            .map(|_| ())
            .err()
    };
    let precision = Some(Error::Domain(Parameter::Precision));
    assert_eq!(new(bins(0.0, 1.0, 0), 8, 1), precision);
    assert_eq!(new(bins(0.0, 1.0, 257), 8, 258), precision);
    assert_eq!(new(bins(0.0, 1.0, 2), 0, 3), precision);
    assert_eq!(new(bins(0.0, 1.0, 2), 32, 3), precision);
    assert_eq!(new(bins(0.0, 1.0, usize::MAX), 31, 3), precision);
    let interval = Some(Error::Domain(Parameter::Interval));
    assert_eq!(new(bins(f64::NAN, 1.0, 2), 8, 3), interval);
    assert_eq!(new(bins(0.0, 0.0, 2), 8, 3), interval);
    assert_eq!(new(bins(0.0, f64::INFINITY, 2), 8, 3), interval);
    let length = Error::Length {
        expected: 3,
        found: 2,
    };
    assert_eq!(new(bins(0.0, 1.0, 2), 8, 2), Some(length));
}

#[cfg(feature = "constriction")]
mod coding {
    use constriction::stream::model::IterableEntropyModel as _;
    use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
    use constriction::stream::stack::DefaultAnsCoder;
    use constriction::stream::{Decode, Encode};
    use suanzi::density::CoderModel;

    use super::*;

    const SYMBOLS: usize = 1_000_000;

    fn table() -> CoderTable<Vec<u32>> {
        let a = [1.0_f32, 0.0, 0.5, -0.25, -0.75, 0.5, 0.25, 0.125];
        let line = Domain::line(120.0, 60.0).expect("a domain");
        let density = FourierDensity::new(line, &a, [0.0; 24]).expect("a density");
        let bins = Bins {
            start: -0.5,
            width: 1.0,
            symbols: 256,
        };
        CoderTable::new(&density, bins, 24, vec![0; 257]).expect("a table")
    }

    #[test]
    fn a_range_coder_and_ans_read_what_another_table_wrote() {
        let (here, there) = (table(), table());
        let mut random = Random(2);
        let message: Vec<usize> = (0..SYMBOLS)
            .map(|_| here.symbol((random.bits() >> 40) as u32).expect("a word").0)
            .collect();
        let model = CoderModel::<24, _>::new(&here).expect("24 bits");
        let refused = CoderModel::<23, _>::new(&here).map(|_| ());
        assert_eq!(refused, Err(Error::Domain(Parameter::Precision)));
        let mut encoder = DefaultRangeEncoder::new();
        encoder
            .encode_iid_symbols(&message, model)
            .expect("known symbols");
        let written = encoder.into_compressed().expect("words");

        // Within a thousandth of what the model asks for these symbols, and of its entropy for any.
        let whole = f64::from(1 << 24);
        let bits =
            |symbol: usize| -(f64::from(here.range(symbol).expect("a symbol").1) / whole).log2();
        let asked: f64 = message.iter().map(|&symbol| bits(symbol)).sum();
        let cost = 32.0 * written.len() as f64;
        assert!((cost / asked - 1.0).abs() < 1e-3, "{cost} bits for {asked}");
        let entropy: f64 = model.entropy_base2();
        let symbol = cost / SYMBOLS as f64;
        println!("{symbol} bits a symbol, the entropy {entropy}");
        assert!((symbol / entropy - 1.0).abs() < 1e-3);

        let mut decoder = DefaultRangeDecoder::from_compressed(written).expect("words");
        let model = CoderModel::<24, _>::new(&there).expect("24 bits");
        let read: Result<Vec<usize>, _> = decoder.decode_iid_symbols(SYMBOLS, model).collect();
        assert!(read.expect("symbols") == message);

        let mut coder = DefaultAnsCoder::new();
        coder
            .encode_iid_symbols_reverse(&message, model)
            .expect("known symbols");
        let cost = coder.num_bits() as f64;
        assert!((cost / asked - 1.0).abs() < 1e-3, "{cost} bits for {asked}");
        let read: Result<Vec<usize>, _> = coder.decode_iid_symbols(SYMBOLS, model).collect();
        assert!(read.expect("symbols") == message);
    }

    #[test]
    fn a_model_lists_its_symbols() {
        let table = table();
        let model = CoderModel::<24, _>::new(&table).expect("24 bits");
        let listed: Vec<_> = model.symbol_table().collect();
        assert_eq!(listed.len(), 256);
        for (i, (symbol, start, frequency)) in listed.into_iter().enumerate() {
            assert_eq!(table.range(i), Some((start, frequency.get())));
            assert_eq!(symbol, i);
        }
    }
}
