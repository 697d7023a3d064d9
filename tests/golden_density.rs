//! Fourier densities against the reference vectors.

mod accuracy;
mod inputs;
mod reference;

use accuracy::ulps;
use inputs::Number;
use inputs::density::{Case, fourier, left, unit};
use reference::density::{self as definition, Map};
use reference::golden;
use suanzi::density::{Density1d, Domain, FourierDensity};

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
