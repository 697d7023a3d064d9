//! Quantiles of Fourier densities, and the samples that they make.

mod accuracy;
mod inputs;
mod reference;

use accuracy::Ulp;
use inputs::density::cases;
use inputs::{Number, Random};
use suanzi::density::Density1d;

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
