//! Quantiles of Fourier densities, and the samples that they make.

mod accuracy;
mod inputs;
mod reference;

use accuracy::Ulp;
use inputs::density::cases;
use inputs::{Number, Random};
use suanzi::density::{Density1d, Domain, FourierDensity};

fn quantile_inverts<T: Number>() {
    let mut worst = 0.0_f64;
    for case in cases::<T>() {
        let mut random = Random(3);
        let mut us: Vec<f64> = (0..24).map(|_| random.unit()).collect();
        us.extend([1e-12, 1e-6, 1e-3, 0.25, 0.5, 0.75, 0.999, 0.999_999]);
        let mut us: Vec<T> = us.into_iter().map(T::from_f64).collect();
        us.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        let mut before = T::neg_infinity();
        for &u in &us {
            let y = case.density.quantile(u);
            assert!(y >= before, "{} falls at {u:?}", case.name);
            before = y;
            let got = case.density.cumulative(y);
            // Half of what a step to the neighboring number changes.
            let step = T::ulp(y.value()) * case.density.density(y).value() / 2.0;
            let off = (got.value() - u.value()).abs();
            let error = (off - step).max(0.0) / T::ulp(u.value());
            worst = worst.max(error);
            assert!(
                error <= T::bound("Fourier density, quantile"),
                "{} of {u:?}: {y:?}, whose cumulative is {got:?}: {error} ULP",
                case.name
            );
        }
    }
    println!("worst: {worst:.2} ULP");
}

#[test]
fn quantile_in_f32_inverts_the_cumulative() {
    quantile_inverts::<f32>();
}

#[test]
fn quantile_in_f64_inverts_the_cumulative() {
    quantile_inverts::<f64>();
}

#[test]
fn quantiles_of_neighbors_do_not_fall() {
    for case in cases::<f64>() {
        for start in [1e-9, 0.2, 0.5, 0.73, 0.999] {
            let mut u: f64 = start;
            let mut before = f64::NEG_INFINITY;
            for _ in 0..12 {
                let y = case.density.quantile(u);
                assert!(y >= before, "{} falls at {u:e}", case.name);
                before = y;
                u = u.next_up();
            }
        }
    }
}

#[test]
fn samples_follow_the_distribution() {
    for case in cases::<f64>() {
        for word in [0_u32, 1, 77_777_777, 1 << 31, u32::MAX] {
            let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
            let (sample, quantile) = (case.density.sample(word), case.density.quantile(u));
            let error = (sample - quantile).abs();
            assert!(
                error <= 4.0 * f64::ulp(quantile),
                "{}: {sample} {quantile}",
                case.name
            );
        }
    }
}

/// Domains that a number hardly tells from a point, or that reach as far as numbers do.
#[test]
fn quantiles_do_not_fall_on_the_narrowest_and_widest_domains() {
    let small = |bits: u32| (bits >> 8) as f32 / 8_388_608.0 - 1.0;
    let narrow = [33_353_570, 4_159_111_169, 2_273_771_520, 4_243_586_951].map(small);
    let wide = [
        41,
        3_392_471_808,
        2_281_701_375,
        65_315,
        50_529_027,
        3_392_471_811,
    ];
    let wide = wide.map(f32::from_bits);
    let number = f32::from_bits;
    for (domain, a) in [
        (
            Domain::half_line(number(1_027_457_730), number(826_096_957)),
            &narrow[..],
        ),
        (
            Domain::line(number(1_027_457_730), number(826_096_957)),
            &narrow[..],
        ),
        (
            Domain::circle(number(1_027_457_730), number(826_096_957)),
            &narrow[..],
        ),
        (
            Domain::interval(number(4_281_763_735), number(1_660_878_848)),
            &wide[..],
        ),
    ] {
        let storage = vec![0.0; FourierDensity::<f32, Vec<f32>>::storage_len(a.len() / 2)];
        let density = domain.and_then(|domain| FourierDensity::new(domain, a, storage));
        let density = density.expect("a density");
        let mut before = f32::NEG_INFINITY;
        for i in 0..=64 {
            let y = density.quantile(i as f32 / 64.0);
            assert!(y >= before, "{domain:?} falls from {before:e} to {y:e}");
            before = y;
        }
    }
}
