//! Fourier densities against their definition, on every level.

mod accuracy;
mod inputs;
mod reference;

use accuracy::ulps;
use inputs::density::{Case, MAPS, cases, fourier, left, points, unit};
use inputs::{Number, Random, executors};
use reference::density::{self as definition, Map};
use suanzi::density::{Density1d, Domain, FourierDensity};
use suanzi::{Error, Parameter};

fn density_follows<T: Number>() {
    let (mut worst, mut worst_ln) = (0.0_f64, 0.0_f64);
    for case in cases::<T>() {
        let y = points(&case, 67);
        let exact: Vec<(f64, f64)> = y
            .iter()
            .map(|y| {
                let (x, slope) = case.map.place(y.value());
                (definition::density(&case.a, x).high, slope.high)
            })
            .collect();
        for cpu in executors() {
            let density = case.density.clone().on(cpu);
            let (mut p, mut ln) = (vec![T::zero(); y.len()], vec![T::zero(); y.len()]);
            density.density_into(&y, &mut p).expect("lengths");
            density.ln_density_into(&y, &mut ln).expect("lengths");
            for (i, &(exact, slope)) in exact.iter().enumerate() {
                let unit = unit(&case, y[i].value(), exact, slope);
                let error = (p[i].value() - exact * slope).abs() / unit;
                worst = worst.max(error);
                assert!(
                    error <= T::bound("Fourier density"),
                    "{} at {:?}: {:?}, expected {:e}, {error} units on {cpu:?}",
                    case.name,
                    y[i],
                    p[i],
                    exact * slope
                );
                let share = unit / (exact * slope);
                if share < 0.125 {
                    let want = (exact * slope).ln();
                    let scale = share + T::ulp(1.0) * (1.0 + exact.ln().abs() + slope.ln().abs());
                    let error = (ln[i].value() - want).abs() / scale;
                    worst_ln = worst_ln.max(error);
                    assert!(
                        error <= T::bound("Fourier density, logarithm"),
                        "{} at {:?}: {:?}, expected {want:e}, {error} units on {cpu:?}",
                        case.name,
                        y[i],
                        ln[i]
                    );
                }
                if !cpu.is_fused() {
                    assert_eq!(
                        density.density(y[i]).representation(),
                        p[i].representation()
                    );
                    let one = density.ln_density(y[i]);
                    assert_eq!(one.representation(), ln[i].representation());
                }
            }
        }
    }
    println!("worst: {worst:.2} units, of the logarithm {worst_ln:.2}");
}

#[test]
fn density_in_f32_follows_its_definition() {
    density_follows::<f32>();
}

#[test]
fn density_in_f64_follows_its_definition() {
    density_follows::<f64>();
}

fn cumulative_follows<T: Number>() {
    let (mut worst, mut worst_many) = (0.0_f64, 0.0_f64);
    for case in cases::<T>() {
        let y = points(&case, 33);
        let exact: Vec<_> = y
            .iter()
            .map(|y| definition::cumulative(&case.a, case.map.place(y.value()).0))
            .collect();
        for (y, exact) in y.iter().zip(&exact) {
            let got = case.density.cumulative(*y);
            let rest = left::<T>(case.map.place(y.value()).0, case.a.len());
            let error = ulps(got, exact.high, exact.low, 0.0) - rest / T::ulp(exact.high);
            worst = worst.max(error);
            assert!(
                error <= T::bound("Fourier density, cumulative"),
                "{} at {y:?}: {got:?}, expected {exact:?}, {error} ULP",
                case.name
            );
        }
        for cpu in executors() {
            let density = case.density.clone().on(cpu);
            let mut u = vec![T::zero(); y.len()];
            density.cumulative_into(&y, &mut u).expect("lengths");
            for ((y, u), exact) in y.iter().zip(&u).zip(&exact) {
                let unit = T::ulp(1.0) / 2.0 * (4 + case.a.len()) as f64;
                let error = (u.value() - exact.high).abs() / unit;
                worst_many = worst_many.max(error);
                assert!(
                    error <= T::bound("Fourier density, cumulative of many"),
                    "{} at {y:?}: {u:?}, expected {exact:?}, {error} units on {cpu:?}",
                    case.name
                );
            }
        }
    }
    println!("worst: {worst:.2} ULP, of many {worst_many:.2} units");
}

#[test]
fn cumulative_in_f32_follows_its_definition() {
    cumulative_follows::<f32>();
}

#[test]
fn cumulative_in_f64_follows_its_definition() {
    cumulative_follows::<f64>();
}

#[test]
fn probabilities_are_differences_without_cancellation() {
    let mut worst = 0.0_f64;
    for case in cases::<f64>() {
        if matches!(case.map, Map::Circle(..)) {
            continue;
        }
        let mut random = Random(19);
        for _ in 0..20 {
            let span = case.to - case.from;
            let a = case.from + span * random.unit();
            let b = a + (case.to - a) * random.unit() * [1.0, 1e-3, 1e-7][random.below(3) as usize];
            let place = |y| case.map.place(y).0;
            let exact = definition::cumulative(&case.a, place(b))
                - definition::cumulative(&case.a, place(a));
            let apart = (place(b) - place(a)).high;
            let got = case.density.probability(a, b);
            let unit = f64::EPSILON / 2.0 * apart * (case.a.len() * case.a.len()) as f64
                + exact.high * f64::EPSILON * 30.0;
            let error = (got - exact.high).abs() / unit;
            worst = worst.max(error);
            assert!(
                error <= f64::bound("Fourier density, probability"),
                "{} from {a:e} to {b:e}: {got:e}, expected {:e}, {error} units",
                case.name,
                exact.high
            );
        }
    }
    println!("worst: {worst:.2} units");
}

#[test]
fn characteristic_follows_its_definition() {
    for case in cases::<f64>() {
        for n in 0..case.a.len() + 2 {
            let (re, im) = case.density.characteristic(n);
            let exact = definition::coefficient(&case.a, n);
            let error = (re - exact.0.high).abs().max((im - exact.1.high).abs());
            let unit = f64::EPSILON / 2.0;
            assert!(
                error <= unit * f64::bound("Fourier density, characteristic"),
                "{}",
                case.name
            );
        }
    }
}

/// The midpoint rule with many points, on the period.
fn integral(case: &Case<f64>, f: impl Fn(f64, f64) -> f64) -> f64 {
    let count = 20_000;
    let terms = (0..count).map(|i| {
        let x = (2 * i + 1) as f64 / f64::from(count) - 1.0;
        let p = definition::density(&case.a, x.into()).high;
        if p > 0.0 { p * f(x, p) } else { 0.0 }
    });
    2.0 / f64::from(count) * terms.sum::<f64>()
}

#[test]
fn measures_follow_their_definitions() {
    let flat = fourier::<f64>(MAPS[0].0, &[1.0, 0.0]);
    for case in cases::<f64>() {
        let wide = case.a.len() < 20 && matches!(case.map, Map::Interval(-1.0, 1.0));
        let variation = definition::roughness(&case.a);
        let error = (case.density.variation() - variation).abs();
        assert!(error <= 1e-12 * variation, "{}", case.name);
        if wide {
            let want = integral(&case, |_, p| -p.ln());
            let error = (case.density.entropy(600) - want).abs();
            assert!(
                error <= f64::bound("Fourier density, entropy"),
                "{}: {error:e}",
                case.name
            );
            // From the constant density the divergence is what the entropy lacks.
            let got = case.density.divergence(&flat, 600);
            let error = (got - (core::f64::consts::LN_2 - want)).abs();
            assert!(
                error <= f64::bound("Fourier density, entropy"),
                "{}: {error:e}",
                case.name
            );
        }
    }
    // The logistic distribution of scale 1/2, whose entropy is 2 + ln(1/2), and an exponential one.
    let logistic = fourier::<f64>(Map::Line(3.0, 1.0), &[1.0, 0.0]).entropy(200);
    let exponential = fourier::<f64>(Map::HalfLine(3.0, 2.0), &[1.0, 0.0]).entropy(200);
    let bound = f64::bound("Fourier density, entropy");
    assert!(
        (logistic - (2.0 - core::f64::consts::LN_2)).abs() <= bound,
        "{logistic}"
    );
    assert!(
        (exponential - (1.0 + core::f64::consts::LN_2)).abs() <= bound,
        "{exponential}"
    );
}

#[test]
fn what_is_outside_has_no_density() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let coefficients = [1.0, 0.25, 0.5, -1.0, 0.125, 0.75];
    for (map, from, to) in MAPS {
        let density = fourier::<f64>(map, &coefficients);
        assert!(density.density(nan).is_nan() && density.ln_density(nan).is_nan());
        assert!(density.cumulative(nan).is_nan() && density.quantile(nan).is_nan());
        assert!(density.quantile(-0.1).is_nan() && density.quantile(1.1).is_nan());
        assert!(density.probability(nan, to).is_nan());
        if let Map::Circle(..) = map {
            continue;
        }
        let (below, above) = match map {
            Map::Interval(..) => (from.next_down(), to.next_up()),
            Map::HalfLine(..) => (from.next_down(), inf),
            _ => (-inf, inf),
        };
        for y in [-inf, below] {
            assert_eq!(
                (density.density(y), density.cumulative(y)),
                (0.0, 0.0),
                "{map:?} {y}"
            );
            assert_eq!(density.ln_density(y), -inf, "{map:?}");
        }
        for y in [above, inf] {
            assert_eq!(
                (density.density(y), density.cumulative(y)),
                (0.0, 1.0),
                "{map:?} {y}"
            );
            assert_eq!(density.ln_density(y), -inf, "{map:?}");
        }
        let mut u = [0.5; 4];
        let ends = [below, above, -inf, inf];
        density.cumulative_into(&ends, &mut u).expect("lengths");
        assert_eq!(u, [0.0, 1.0, 0.0, 1.0]);
        let (low, high) = match map {
            Map::Interval(..) => (from, to),
            Map::HalfLine(..) => (from, inf),
            _ => (-inf, inf),
        };
        assert_eq!(
            // The sign of a zero does not matter.
            (density.quantile(-0.0), density.quantile(1.0)),
            (low, high),
            "{map:?}"
        );
        assert!(
            (density.probability(-inf, inf) - 1.0).abs() < 1e-14,
            "{map:?}"
        );
        assert_eq!(density.probability(to, from), 0.0);
    }
}

#[test]
fn bad_coefficients_are_refused() {
    let new = |a: &[f64], len: usize| {
        FourierDensity::new(Domain::unit(), a, vec![0.0; len])
            .map(|_| ())
            .err()
    };
    let coefficients = Some(Error::Domain(Parameter::Coefficients));
    assert_eq!(new(&[], 0), coefficients);
    assert_eq!(new(&[0.0, -0.0], 6), coefficients);
    assert_eq!(new(&[1.0, f64::NAN], 6), coefficients);
    assert_eq!(new(&[1.0, f64::INFINITY], 6), coefficients);
    assert_eq!(new(&[1.0], 6), Some(Error::Multiple { of: 2, found: 1 }));
    let length = Error::Length {
        expected: 6,
        found: 5,
    };
    assert_eq!(new(&[1.0, 0.0], 5), Some(length));
    assert_eq!(new(&[f64::MAX, f64::MAX, 5e-324, 0.0], 12), None);
    assert_eq!(new(&[5e-324, 0.0], 6), None);
    for (from, to) in [
        (1.0, 1.0),
        (f64::NAN, 1.0),
        (0.0, f64::INFINITY),
        (f64::MIN, f64::MAX),
    ] {
        assert_eq!(
            Domain::interval(from, to),
            Err(Error::Domain(Parameter::Interval))
        );
    }
    assert!(Domain::line(0.0, 0.0).is_err() && Domain::half_line(0.0, -1.0).is_err());
    assert!(Domain::circle(0.0, f64::NAN).is_err());
    let flat = FourierDensity::new(Domain::unit(), &[1.0, 0.0], [0.0; 6]).expect("a density");
    let mut out = [7.0; 2];
    for into in [
        FourierDensity::density_into,
        FourierDensity::ln_density_into,
        FourierDensity::cumulative_into,
        FourierDensity::quantile_into,
    ] {
        assert!(into(&flat, &[0.0; 3], &mut out).is_err());
        assert_eq!(out, [7.0; 2]);
    }
}
