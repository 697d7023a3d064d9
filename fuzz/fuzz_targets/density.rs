//! Fourier densities, their tables and their likelihood, for any coefficients, domain and point: nothing panics,
//! a density is never negative, the cumulative lies within [0, 1], its inverse does not fall, a table is one,
//! and every level gives the same bits.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::Cpu;
use suanzi::density::{
    Bins, CoderTable, Density1d, Domain, Fit, FourierDensity, Likelihood, Sample,
};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Representations of coefficients, of points and of the domain.
    coefficients: Vec<u32>,
    points: Vec<u32>,
    domain: (u8, u32, u32),
    bins: (u32, u32, u16),
    precision: u8,
    roughness: u32,
    /// Whether coefficients are brought to small numbers.
    small: bool,
}

fuzz_target!(|input: Input| {
    let number = |bits: u32| {
        let x = f32::from_bits(bits);
        if input.small {
            (bits >> 8) as f32 / 8_388_608.0 - 1.0
        } else {
            x
        }
    };
    let mut a: Vec<f32> = input.coefficients.iter().copied().map(number).collect();
    a.truncate(64);
    let (kind, first, second) = input.domain;
    let (first, second) = (f32::from_bits(first), f32::from_bits(second));
    let domain = match kind % 5 {
        0 => Ok(Domain::unit()),
        1 => Domain::interval(first, second),
        2 => Domain::circle(first, second),
        3 => Domain::line(first, second),
        _ => Domain::half_line(first, second),
    };
    let Ok(domain) = domain else { return };
    let storage = vec![0.0; FourierDensity::<f32, Vec<f32>>::storage_len(a.len() / 2)];
    let Ok(density) = FourierDensity::new(domain, &a, storage) else {
        return;
    };
    let points: Vec<f32> = input
        .points
        .iter()
        .map(|&bits| f32::from_bits(bits))
        .collect();

    let mut first: Option<Vec<u32>> = None;
    for level in Cpu::levels() {
        let Ok(cpu) = Cpu::with(level) else { continue };
        let density = density.clone().on(cpu);
        let [mut p, mut ln, mut u] = [(); 3].map(|()| vec![0.0; points.len()]);
        density
            .density_into(&points, &mut p)
            .expect("equal lengths");
        density
            .ln_density_into(&points, &mut ln)
            .expect("equal lengths");
        density
            .cumulative_into(&points, &mut u)
            .expect("equal lengths");
        for (&y, (&p, &u)) in points.iter().zip(p.iter().zip(&u)) {
            assert!(
                !(p < 0.0) && (p.is_nan() || !y.is_nan()),
                "{y:e}: density {p:e}"
            );
            assert!(
                u.is_nan() || (0.0..=1.0).contains(&u),
                "{y:e}: cumulative {u:e}"
            );
        }
        let bits: Vec<u32> = p.iter().chain(&ln).chain(&u).map(|x| x.to_bits()).collect();
        assert_eq!(
            *first.get_or_insert_with(|| bits.clone()),
            bits,
            "{level:?}"
        );
    }

    let mut before = f32::NEG_INFINITY;
    for i in 0..=8 {
        let y = density.quantile(i as f32 / 8.0);
        assert!(
            y.is_nan() || y >= before,
            "the quantile falls from {before:e} to {y:e}"
        );
        before = if y.is_nan() { before } else { y };
    }
    for pair in points.windows(2) {
        let p = density.probability(pair[0], pair[1]);
        assert!(p.is_nan() || (0.0..=1.0).contains(&p));
    }
    assert!(!(density.variation() < 0.0));

    let (start, width, symbols) = input.bins;
    let bins = Bins {
        start: f32::from_bits(start),
        width: f32::from_bits(width),
        symbols: usize::from(symbols % 512),
    };
    let entries = vec![0; CoderTable::<Vec<u32>>::storage_len(bins.symbols)];
    let precision = u32::from(input.precision % 33);
    if let Ok(table) = CoderTable::new(&density, bins, precision, entries) {
        let entries = table.cumulative();
        assert!(entries.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((entries[0], entries[bins.symbols]), (0, 1 << precision));
    }

    let Ok(sample) = Sample::new(&points) else {
        return;
    };
    let Ok(likelihood) = Likelihood::new(domain).with_roughness(f32::from_bits(input.roughness))
    else {
        return;
    };
    let mut gradient = vec![0.0; a.len()];
    let mut scratch = vec![0.0; Likelihood::<f32>::scratch_len(a.len() / 2)];
    likelihood
        .evaluate(&a, sample, &mut gradient, &mut scratch)
        .expect("right lengths");
    if a.len() <= 8 {
        let fit = Fit::new(domain)
            .with_tolerance(0.0, 4)
            .expect("a tolerance");
        let mut scratch = vec![0.0; Fit::<f32>::scratch_len(a.len() / 2)];
        let _ = fit.run(sample, || 77_777_777, &mut a, &mut scratch, |_| ());
    }
});
