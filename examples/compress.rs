//! Codes quantized numbers with a fitted density, and reads them back: `cargo run --release --features
//! constriction --example compress [FILE [STEP]]`.
//!
//! The file has a number a line, which is rounded to a multiple of STEP (0.01 unless given); without a file,
//! 200 000 samples of a mixture are coded. The fit sees the numbers, the coder the integers: what a decoder
//! needs beside the message is the coefficients, the domain and the step, some hundred bytes. Both sides make their
//! own table, by the density of a few numbers, with the same bits.

use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
use constriction::stream::{Decode as _, Encode as _};
use suanzi::Cpu;
use suanzi::density::{Bins, CoderModel, CoderTable, Domain, Fit, FourierDensity, Sample};

/// Coefficients of the density.
const COUNT: usize = 16;
/// Bits of the coder's probabilities.
const PRECISION: usize = 24;
/// Points that are fitted at most.
const FITTED: usize = 20_000;

/// What a decoder has to know beside the message.
struct Header {
    coefficients: Vec<f32>,
    location: f32,
    scale: f32,
    /// The least integer, how many there are, and the step between them.
    least: i64,
    symbols: usize,
    step: f32,
}

impl Header {
    /// Returns the table, the same on every machine.
    fn table(&self, executor: Cpu) -> Result<CoderTable<Vec<u32>>, suanzi::Error> {
        let storage = vec![0.0; FourierDensity::<f32, Vec<f32>>::storage_len(COUNT)];
        let domain = Domain::line(self.location, self.scale)?;
        let density = FourierDensity::new(domain, &self.coefficients, storage)?.on(executor);
        let bins = Bins {
            start: (self.least as f32 - 0.5) * self.step,
            width: self.step,
            symbols: self.symbols,
        };
        let entries = vec![0; CoderTable::<Vec<u32>>::storage_len(self.symbols)];
        CoderTable::new(&density, bins, PRECISION as u32, entries)
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let step: f32 = arguments.next().map_or(Ok(0.01), |x| x.parse())?;
    let mut random = Random(1);
    let numbers: Vec<f32> = match file {
        Some(file) => std::fs::read_to_string(file)?
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|line| line.trim().parse())
            .collect::<Result<_, _>>()?,
        None => (0..200_000).map(|_| random.mixture()).collect(),
    };
    let integers: Vec<i64> = numbers.iter().map(|x| (x / step).round() as i64).collect();
    let least = *integers.iter().min().ok_or("no numbers")?;
    let most = *integers.iter().max().ok_or("no numbers")?;
    let symbols = usize::try_from(most - least)? + 1;

    // The density of the rounded numbers.
    let values: Vec<f32> = integers.iter().map(|&i| i as f32 * step).collect();
    let stride = values.len().div_ceil(FITTED).max(1);
    let fitted: Vec<f32> = values.iter().step_by(stride).copied().collect();
    let sample = Sample::new(&fitted)?;
    let (location, deviation) = sample.moments();
    let scale = 2.0 * deviation;
    let fit = Fit::new(Domain::line(location, scale)?).with_starts(2);
    let mut coefficients = vec![0.0; 2 * COUNT];
    let mut scratch = vec![0.0; Fit::<f32>::scratch_len(COUNT)];
    let words = || (random.next() >> 32) as u32;
    match fit.run(sample, words, &mut coefficients, &mut scratch, |_| ()) {
        Ok(_) | Err(suanzi::Error::NotConverged) => {}
        Err(error) => return Err(error.into()),
    }
    let header = Header {
        coefficients,
        location,
        scale,
        least,
        symbols,
        step,
    };

    // Encode here, with whatever this processor has.
    let message: Vec<usize> = integers.iter().map(|&i| (i - least) as usize).collect();
    let table = header.table(Cpu::fused())?;
    let model = CoderModel::<PRECISION, _>::new(&table)?;
    let mut encoder = DefaultRangeEncoder::new();
    encoder.encode_iid_symbols(&message, model)?;
    let words = encoder.into_compressed()?;
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();

    // Decode there, in one lane.
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let table = header.table(Cpu::scalar())?;
    let model = CoderModel::<PRECISION, _>::new(&table)?;
    let mut decoder = DefaultRangeDecoder::from_compressed(words)?;
    let decoded: Result<Vec<usize>, _> = decoder.decode_iid_symbols(message.len(), model).collect();
    let decoded: Vec<u8> = decoded?
        .iter()
        .flat_map(|&symbol| (symbol as i64 + least).to_le_bytes())
        .collect();
    let original: Vec<u8> = integers.iter().flat_map(|i| i.to_le_bytes()).collect();
    if decoded != original {
        return Err("what was decoded is not what was encoded".into());
    }

    let count = message.len() as f64;
    let side = 4 * (header.coefficients.len() + 3) + 16;
    println!(
        "{} values of {symbols} integers, decoded byte for byte",
        message.len()
    );
    println!(
        "coded:             {:8.4} bits a value",
        8.0 * bytes.len() as f64 / count
    );
    println!(
        "with the header:   {:8.4}",
        8.0 * (bytes.len() + side) as f64 / count
    );
    println!(
        "empirical entropy: {:8.4}, which knows every count",
        entropy(&message, symbols)
    );
    Ok(())
}

/// Returns the entropy of the symbols' own counts, in bits.
fn entropy(message: &[usize], symbols: usize) -> f64 {
    let mut counts = vec![0_u32; symbols];
    for &symbol in message {
        counts[symbol] += 1;
    }
    let shares = counts.iter().filter(|&&count| count > 0);
    shares
        .map(|&count| f64::from(count) / message.len() as f64)
        .map(|share| -share * share.log2())
        .sum()
}

/// Numbers for the example.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// A mixture of two bells, nearly normal.
    fn mixture(&mut self) -> f32 {
        let bell = (0..12).map(|_| self.unit()).sum::<f32>() - 6.0;
        if self.unit() < 0.3 {
            bell * 0.25 - 1.5
        } else {
            bell * 0.6 + 1.0
        }
    }
}
