//! Fourier densities against their definition, on every level.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{Ulp, ulps};
use inputs::{Number, Random, executors};
use reference::density::{self as definition, Complex, Map};
use reference::golden;
use reference::wide::Wide;
use suanzi::density::{Density1d, Domain, FourierDensity};
use suanzi::{Error, Parameter};

/// A density, its definition and its name.
struct Case<T> {
    name: String,
    density: FourierDensity<T, Vec<T>>,
    a: Vec<Complex>,
    map: Map,
    from: f64,
    to: f64,
}

fn domain<T: Number>(map: Map) -> Domain<T> {
    let number = T::from_f64;
    match map {
        Map::Interval(a, b) => Domain::interval(number(a), number(b)),
        Map::Circle(a, b) => Domain::circle(number(a), number(b)),
        Map::HalfLine(a, b) => Domain::half_line(number(a), number(b)),
        Map::Line(a, b) => Domain::line(number(a), number(b)),
    }
    .expect("a domain")
}

fn fourier<T: Number>(map: Map, a: &[T]) -> FourierDensity<T, Vec<T>> {
    let storage = vec![T::zero(); FourierDensity::<T, Vec<T>>::storage_len(a.len() / 2)];
    FourierDensity::new(domain(map), a, storage).expect("a density")
}

/// Coefficients of several kinds, in numbers that `f32` has.
fn coefficients() -> Vec<(&'static str, Vec<f64>)> {
    let mut random = Random(7);
    let mut all = vec![
        ("constant", vec![-0.25, 3.0]),
        ("a zero at the ends", vec![1.0, 0.0, 1.0, 0.0]),
        ("a zero in the middle", vec![1.0, 0.0, -1.0, 0.0]),
        ("only the last", vec![0.0, 0.0, 0.0, 0.0, 0.5, 1.0]),
        ("a peak", [1.0, 0.0].repeat(13)),
        ("huge", vec![1e30, 0.0, 2e30, -1e30]),
        ("tiny", vec![1e-39, 0.0, 2e-39, -1e-39]),
    ];
    for count in [2, 3, 4, 9, 17, 61] {
        let a = (0..2 * count)
            .map(|_| f64::from(random.normal() as f32))
            .collect();
        all.push(("random", a));
    }
    all
}

const MAPS: [(Map, f64, f64); 6] = [
    (Map::Interval(-1.0, 1.0), -1.0, 1.0),
    (Map::Interval(0.0, 3.0), 0.0, 3.0),
    (Map::Interval(100.0, 101.5), 100.0, 101.5),
    (Map::Circle(-0.5, 24.0), -70.0, 70.0),
    (Map::HalfLine(2.0, 0.75), 2.0, 9.0),
    (Map::Line(0.25, 1.5), -9.0, 9.0),
];

fn cases<T: Number>() -> Vec<Case<T>> {
    let mut all = Vec::new();
    for (name, a) in coefficients() {
        for (map, from, to) in MAPS {
            let typed: Vec<T> = a.iter().map(|&a| T::from_f64(a)).collect();
            let values: Vec<f64> = typed.iter().map(|a| a.value()).collect();
            all.push(Case {
                name: format!("{name}, {} coefficients, {map:?}", a.len() / 2),
                density: fourier(map, &typed),
                a: definition::complex(&values),
                map,
                from,
                to,
            });
        }
    }
    all
}

/// Points of the domain, both ends first.
fn points<T: Number>(case: &Case<T>, count: usize) -> Vec<T> {
    let mut random = Random(case.a.len() as u64);
    let span = case.to - case.from;
    let mut points = vec![T::from_f64(case.from), T::from_f64(case.to)];
    while points.len() < count {
        let near = [1.0, 1.0, 1e-2, 1e-5][points.len() % 4];
        points.push(T::from_f64(case.from + span * near * random.unit()));
    }
    points
}

/// What an error of the density is measured by: 2^-24 or 2^-53 of the amplitude times its size, and of the
/// density itself, times that of what the map rounds.
fn unit<T: Number>(case: &Case<T>, y: f64, p: f64, slope: f64) -> f64 {
    let energy = definition::energy(&case.a).high;
    let size: f64 = case.a.iter().map(|a| a.0.high.hypot(a.1.high)).sum();
    let size = size / (2.0 * energy).sqrt();
    let decay = match case.map {
        Map::Line(at, scale) => 2.0 * (y - at).abs() / scale,
        Map::HalfLine(at, scale) => (y - at).abs() / scale,
        Map::Circle(..) => 4.0 * case.a.len() as f64,
        Map::Interval(..) => 0.0,
    };
    let half = T::ulp(1.0) / 2.0;
    slope * half * (p.sqrt() * size * case.a.len() as f64 + half * size * size + p * (4.0 + decay))
}

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

/// What twice the precision leaves of the distance from the nearer end, here and in the definition.
fn left<T: Number>(x: Wide, count: usize) -> f64 {
    let distance = 1.0 - x.high.abs() + f64::EPSILON;
    (T::ulp(1.0).powi(2) * 8.0 * distance + 1e-31) * count as f64
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

/// Fields of a golden case, each with the function that it holds.
fn golden_of<T: Number>() {
    for case in golden::read("fourier_density.gv") {
        let a: Vec<T> = case
            .get32("re")
            .into_iter()
            .zip(case.get32("im"))
            .flat_map(|(re, im)| [T::from_f64(re.into()), T::from_f64(im.into())])
            .collect();
        if case.key("tags") == Some("degenerate") {
            let storage = vec![T::zero(); FourierDensity::<T, Vec<T>>::storage_len(a.len() / 2)];
            assert!(FourierDensity::new(Domain::unit(), &a, storage).is_err());
            continue;
        }
        let get = |name: &str| case.get(name).unwrap_or_default();
        // Inputs are numbers that f32 has, written with as few digits as tell them apart.
        let input = |name: &str| case.get32(name).into_iter().map(f64::from);
        let single = |name: &str| input(name).next().expect("a number");
        let wide: Vec<f64> = a.iter().map(|a| a.value()).collect();
        let complex = definition::complex(&wide);
        let line = Map::Line(single("mu"), single("sigma"));
        for (map, prefix, at) in [(Map::Interval(-1.0, 1.0), "", "x"), (line, "line_", "y")] {
            let case_of = Case {
                name: case.head.clone(),
                density: fourier(map, &a),
                a: complex.clone(),
                map,
                from: 0.0,
                to: 0.0,
            };
            let density = &case_of.density;
            let field = |name: &str| get(&format!("{prefix}{name}"));
            assert!(!field("pdf").is_empty());
            for (i, y) in input(at).enumerate() {
                let (x, slope) = map.place(y);
                let p = definition::density(&complex, x).high;
                let unit = unit(&case_of, y, p, slope.high);
                let number = T::from_f64(y);
                let off = (density.density(number).value() - field("pdf")[i]).abs() / unit;
                assert!(
                    off <= T::bound("Fourier density"),
                    "{} {y}: {off}",
                    case.head
                );
                let want = field("logpdf")[i];
                let got = density.ln_density(number).value();
                let share = unit / (p * slope.high);
                let scale = share + T::ulp(1.0) * (1.0 + p.ln().abs() + slope.high.ln().abs());
                let off = (got - want).abs() / scale;
                let holds = share > 0.125 || off <= T::bound("Fourier density, logarithm");
                assert!(holds, "{}: {off}", case.head);
                // The file's tails are right to forty digits after the point.
                let rest = 1e-41
                    + if prefix.is_empty() {
                        left::<T>(x, complex.len())
                    } else {
                        0.0
                    };
                let rest = rest / T::ulp(field("cdf")[i]);
                let off = ulps(density.cumulative(number), field("cdf")[i], 0.0, 0.0) - rest;
                assert!(
                    off <= T::bound("Fourier density, cumulative"),
                    "{} {y}: {off}",
                    case.head
                );
            }
            for (i, u) in input("u").enumerate() {
                let (got, want) = (density.quantile(T::from_f64(u)), field("quantile")[i]);
                // The point is the nearest, but for what the last place of u moves it.
                let moved = T::ulp(u) / density.density(got).value();
                let off = ((got.value() - want).abs() - moved).max(0.0) / T::ulp(want);
                assert!(
                    off <= T::bound("Fourier density, quantile"),
                    "{} {u}: {off}",
                    case.head
                );
            }
        }
        let mirrored: Vec<T> = a.chunks(2).flat_map(|a| [a[0], -a[1]]).collect();
        let mirrored = fourier(Map::Interval(-1.0, 1.0), &mirrored);
        for (x, &want) in input("x").zip(get("pdf_conj")) {
            let got = mirrored.density(T::from_f64(x)).value();
            assert!(
                (got - want).abs() <= T::ulp(1.0) * 64.0 * a.len() as f64,
                "{}",
                case.head
            );
        }
    }
}

#[test]
fn golden_densities_in_f32() {
    golden_of::<f32>();
}

#[test]
fn golden_densities_in_f64() {
    golden_of::<f64>();
}
