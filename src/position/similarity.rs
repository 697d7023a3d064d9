//! The sum of cosines that bounds a context: f(m) = sum_i cos(m b^(-2i/R)), for one m or for all.

use crate::math::exp::exp_lanes;
use crate::math::sin_cos::sin_cos_lanes;
use crate::simd::{Isa, LANES, Lanes};

/// The most pairs.
pub(super) const PAIRS: usize = 256;
/// Distances on each side of a block's center.
const REACH: usize = 16;
/// Distances of a block: the sums at the center's both sides share their products.
pub(super) const BLOCK: usize = 2 * REACH + 1;
/// Blocks after which the rotors start from exact angles again.
const ANCHORED: usize = 64;

/// The frequencies of a base, and bounds of how fast f changes with its logarithm.
pub(super) struct Spectrum {
    frequencies: [f64; PAIRS],
    pairs: usize,
    /// |df/du| <= m first, |d2f/du2| <= m^2 second + m curved, for u = ln b; all fall as u grows.
    pub(super) first: f64,
    second: f64,
    curved: f64,
}

/// f at one distance, its derivative in u, and a bound of the second derivative from u on.
pub(super) struct Expansion {
    pub(super) value: f64,
    pub(super) slope: f64,
    pub(super) bend: f64,
}

impl Spectrum {
    /// Returns the frequencies of the base exp(u), for at most [`PAIRS`] pairs.
    #[inline(always)]
    pub(super) fn new<S: Isa>(isa: S, pairs: usize, u: f64) -> Self {
        let mut spectrum = Self {
            frequencies: [0.0; PAIRS],
            pairs,
            first: 0.0,
            second: 0.0,
            curved: 0.0,
        };
        let rows = spectrum.frequencies.as_chunks_mut::<LANES>().0;
        for (row, at) in rows.iter_mut().zip((0..pairs).step_by(LANES)) {
            for (i, frequency) in row.iter_mut().enumerate() {
                *frequency = -((at + i) as f64 / pairs as f64) * u;
            }
            let mut done = 0;
            while done < LANES {
                let part = row.get_mut(done..).unwrap_or_default();
                exp_lanes(isa, S::F64::load(isa, part)).store(part);
                done += S::F64::LANES;
            }
        }
        for (i, theta) in spectrum.frequencies.iter().enumerate().take(pairs) {
            let share = i as f64 / pairs as f64;
            spectrum.first += share * theta;
            spectrum.second += (share * theta) * (share * theta);
            spectrum.curved += share * share * theta;
        }
        spectrum
    }

    /// Returns f at a distance, with what bounds it at greater bases.
    #[inline(always)]
    pub(super) fn expand<S: Isa>(&self, isa: S, m: f64) -> Expansion {
        let mut sums = [[0.0; LANES]; 2];
        let rows = self.frequencies.as_chunks::<LANES>().0;
        for (row, at) in rows.iter().zip((0..self.pairs).step_by(LANES)) {
            let angles = row.map(|theta| m * theta);
            let (mut sines, mut cosines) = (angles, [0.0; LANES]);
            sines_and_cosines(isa, &mut sines, &mut cosines);
            let [values, slopes] = &mut sums;
            for (i, (value, slope)) in values.iter_mut().zip(slopes).enumerate() {
                let (Some(&sin), Some(&cos), Some(&angle)) =
                    (sines.get(i), cosines.get(i), angles.get(i))
                else {
                    break;
                };
                if at + i < self.pairs {
                    *value += cos;
                    *slope += (at + i) as f64 / self.pairs as f64 * angle * sin;
                }
            }
        }
        let [value, slope] = sums.map(|lanes| lanes.iter().sum());
        Expansion {
            value,
            slope,
            bend: m * m * self.second + m * self.curved,
        }
    }

    /// Calls `see` with f at each [`BLOCK`] distances, and the first of them, from zero on up to `count`
    /// or as long as it is true. Within 2^-52 of pairs times distance, and
    /// 1e-9.
    ///
    /// cos((c + j) theta) and cos((c - j) theta) are the difference and the sum of two products, one of
    /// cosines, one of sines: a distance takes one multiplication and one addition a pair.
    #[inline(always)]
    pub(super) fn scan<S: Isa>(
        &self,
        isa: S,
        count: u64,
        mut see: impl FnMut(u64, &[f64; BLOCK]) -> bool,
    ) {
        let frequencies = self.frequencies.get(..self.pairs).unwrap_or_default();
        let mut tables = [[[0.0; REACH]; 2]; PAIRS];
        let mut steps = [[0.0; 2]; PAIRS];
        for ((table, step), theta) in tables.iter_mut().zip(&mut steps).zip(frequencies) {
            let [cosines, sines] = table;
            for (j, angle) in (1_u32..).zip(&mut *sines) {
                *angle = f64::from(j) * theta;
            }
            sines_and_cosines(isa, sines, cosines);
            *step = rotor(BLOCK as f64 * theta);
        }
        let mut rotors = [[0.0; 2]; PAIRS];
        let blocks = count.div_ceil(BLOCK as u64);
        for block in 0..blocks {
            let start = block * BLOCK as u64;
            let center = (start + REACH as u64) as f64;
            if block % ANCHORED as u64 == 0 {
                for (to, theta) in rotors.iter_mut().zip(frequencies) {
                    *to = rotor(center * theta);
                }
            }
            let (mut even, mut odd, mut middle) = ([0.0; REACH], [0.0; REACH], 0.0);
            let pairs = tables.iter().zip(&mut rotors).zip(&steps);
            for (([cosines, sines], rotor), [cos, sin]) in pairs.take(self.pairs) {
                let [c, s] = *rotor;
                middle += c;
                for (sum, cos) in even.iter_mut().zip(cosines) {
                    *sum += c * cos;
                }
                for (sum, sin) in odd.iter_mut().zip(sines) {
                    *sum += s * sin;
                }
                *rotor = [c * cos - s * sin, c * sin + s * cos];
            }
            let mut values = [middle; BLOCK];
            let (below, above) = values.split_at_mut(REACH + 1);
            let near = below.iter_mut().rev().skip(1).zip(above);
            for ((below, above), (even, odd)) in near.zip(even.iter().zip(&odd)) {
                (*below, *above) = (even + odd, even - odd);
            }
            if !see(start, &values) {
                return;
            }
        }
    }
}

/// Returns cosine and sine.
fn rotor(angle: f64) -> [f64; 2] {
    let (sin, cos) = libm::sincos(angle);
    [cos, sin]
}

/// Replaces angles by their sines, and writes the cosines.
#[inline(always)]
fn sines_and_cosines<S: Isa>(isa: S, angles: &mut [f64; LANES], cosines: &mut [f64; LANES]) {
    let mut at = 0;
    while at < LANES {
        let part = angles.get_mut(at..).unwrap_or_default();
        let (sin, cos) = sin_cos_lanes(isa, S::F64::load(isa, part));
        sin.store(part);
        cos.store(cosines.get_mut(at..).unwrap_or_default());
        at += S::F64::LANES;
    }
}
