//! Fits of mixtures of ten Gaussians, after the published example (google/codex, notebook of the Fourier basis
//! density model): means uniform in [-0.5, 0.3], deviations uniform in [0.25, 0.35] times 10 / (6 K) with
//! K = 10, equal weights, 14 complex coefficients, and the negative log-likelihood of 1024 points that the
//! fit has not seen.
//!
//! The published -0.410008 is that of one draw of means and deviations which is not published. Here they are
//! drawn by splitmix64 from the seeds 0 to 7, so that the measure of a fit is what the mixture itself
//! reaches on the same points.

mod accuracy;
mod inputs;
mod reference;

use core::f64::consts::TAU;

use inputs::Number as _;
use suanzi::density::{Density1d as _, Domain, Fit, FourierDensity, Sample};

/// Gaussians.
const K: usize = 10;
/// Complex coefficients.
const COUNT: usize = 14;
/// Points that are fitted, and that are held out.
const FITTED: usize = 20_000;
const HELD: usize = 1024;
/// The published loss.
const PUBLISHED: f64 = -0.410_008;
const SEEDS: u64 = 8;
/// How many of the mixtures have a loss below the published one themselves: of the seeds 2 and 4.
const REACHED: usize = 2;

/// splitmix64 (Steele, Lea and Flood, 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// The upper 53 bits, in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The cosine of Box and Muller (1958), of two units.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

struct Mixture {
    means: [f64; K],
    deviations: [f64; K],
}

impl Mixture {
    /// All means, then all deviations.
    fn draw(random: &mut SplitMix64) -> Self {
        let means = [(); K].map(|()| 0.8 * random.unit() - 0.5);
        let scale = 10.0 / (6.0 * K as f64);
        let deviations = [(); K].map(|()| scale * (0.25 + 0.1 * random.unit()));
        Self { means, deviations }
    }

    /// A Gaussian, then a point of it; what lies beyond (-1, 1) is drawn again.
    fn point(&self, random: &mut SplitMix64) -> f64 {
        loop {
            let k = (K as f64 * random.unit()) as usize;
            let x = self.means[k] + self.deviations[k] * random.normal();
            if x.abs() < 1.0 {
                return x;
            }
        }
    }

    /// The mean of -ln p.
    fn loss(&self, points: &[f64]) -> f64 {
        let density = |x: f64| {
            let parts = self.means.iter().zip(&self.deviations).map(|(m, s)| {
                let z = (x - m) / s;
                (-z * z / 2.0).exp() / (s * TAU.sqrt())
            });
            parts.sum::<f64>() / K as f64
        };
        -points.iter().map(|&x| density(x).ln()).sum::<f64>() / points.len() as f64
    }
}

/// The losses of the fit and of the mixture on the points held out.
fn losses(seed: u64, domain: impl Fn(&Sample<'_, f64>) -> Domain<f64>) -> [f64; 2] {
    let mut random = SplitMix64(seed);
    let mixture = Mixture::draw(&mut random);
    let data: Vec<f64> = (0..FITTED).map(|_| mixture.point(&mut random)).collect();
    let held: Vec<f64> = (0..HELD).map(|_| mixture.point(&mut random)).collect();
    let sample = Sample::new(&data).expect("data");
    let fit = Fit::new(domain(&sample)).with_starts(2);
    let mut parameters = [0.0; 2 * COUNT];
    let mut scratch = vec![0.0; Fit::<f64>::scratch_len(COUNT)];
    let words = || (random.bits() >> 32) as u32;
    fit.run(sample, words, &mut parameters, &mut scratch, |_| ())
        .expect("it converges");
    let density: FourierDensity<f64, _> = fit
        .density(&parameters, vec![0.0; 6 * COUNT])
        .expect("a density");
    let mut logarithms = vec![0.0; HELD];
    density
        .ln_density_into(&held, &mut logarithms)
        .expect("lengths");
    let loss = -logarithms.iter().sum::<f64>() / HELD as f64;
    [loss, mixture.loss(&held)]
}

/// Checks the fits on domains that may depend on the data.
fn fits_reach_the_mixture(name: &str, domain: impl Fn(&Sample<'_, f64>) -> Domain<f64>) {
    let bound = f64::bound("Fourier density, mixture");
    let (mut sums, mut reached) = ([0.0; 2], 0);
    for seed in 0..SEEDS {
        let [fit, mixture] = losses(seed, &domain);
        println!("{name}, seed {seed}: {fit:.4}, the mixture {mixture:.4}");
        assert!(
            fit <= mixture + bound,
            "{name}, seed {seed}: {fit}, the mixture {mixture}"
        );
        // Where the mixture itself is below what was published, so is the fit.
        if mixture <= PUBLISHED {
            reached += 1;
            assert!(fit <= PUBLISHED, "{name}, seed {seed}: {fit}");
        }
        sums = [sums[0] + fit, sums[1] + mixture];
    }
    let [fit, mixture] = sums.map(|sum| sum / SEEDS as f64);
    println!("{name}, mean: {fit:.4}, the mixtures {mixture:.4}");
    assert_eq!(
        reached, REACHED,
        "mixtures of a loss below the published one"
    );
}

#[test]
fn the_published_mixture_is_fitted_on_its_interval() {
    fits_reach_the_mixture("interval", |_| Domain::unit());
}

#[test]
fn the_published_mixture_is_fitted_on_the_line() {
    fits_reach_the_mixture("line", |sample| {
        let (mean, deviation) = sample.moments();
        Domain::line(mean, deviation + deviation).expect("a domain")
    });
}
