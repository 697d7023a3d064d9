//! Fits: optimizers, the reference fits of fixed data, and data of several shapes.

mod accuracy;
mod inputs;
mod reference;

use inputs::{Number, Random};
use reference::density::{self as definition, Map};
use reference::golden;
use suanzi::density::{Adam, Domain, Fit, Lbfgs, Likelihood, Progress, Sample};
use suanzi::{Error, Parameter};

/// Words for starts.
fn words(seed: u64) -> impl FnMut() -> u32 {
    let mut random = Random(seed);
    move || (random.bits() >> 32) as u32
}

fn fitted<T: Number>(fit: Fit<T>, sample: Sample<'_, T>, count: usize) -> (Vec<T>, Progress<T>) {
    let mut parameters = vec![T::zero(); fit.parameters_len(count)];
    let mut scratch = vec![T::zero(); Fit::<T>::scratch_len(count)];
    let end = fit.run(sample, words(1), &mut parameters, &mut scratch, |_| ());
    (parameters, end.expect("it converges"))
}

#[test]
fn golden_fits() {
    for case in golden::read("fourier_fit.gv") {
        let get = |name: &str| case.get(name).unwrap_or_default();
        let input =
            |name: &str| -> Vec<f64> { case.get32(name).into_iter().map(f64::from).collect() };
        let line = case.key("kind") == Some("line");
        let domain = if line {
            Domain::line(input("mu")[0], input("sigma")[0]).expect("a domain")
        } else {
            Domain::unit()
        };
        let data = input(if line { "y" } else { "x" });
        let sample = Sample::new(&data).expect("data");
        let fit = Fit::new(domain)
            .with_roughness(input("gamma").first().copied().unwrap_or(0.0))
            .expect("a penalty");
        let (_, end) = fitted(fit, sample, get("re").len());
        let want = get(if line { "nll_ref" } else { "obj_ref" })[0];
        assert!(
            end.value <= want + f64::bound("Fourier density, fit"),
            "{}: {}, reference {want}",
            case.head,
            end.value
        );
    }
}

/// The mean negative log-likelihoods of reference fits with 4, 8 and 16 coefficients.
const SETS: [(&str, [f64; 3]); 6] = [
    ("faithful_eruptions_min.txt", [1.1972, 1.0265, 0.9585]),
    ("faithful_waiting_min.txt", [3.8346, 3.7947, 3.7617]),
    ("galaxies_km_s.txt", [9.5619, 9.3953, 9.3026]),
    ("geyser_duration_min.txt", [1.1646, 0.9816, 0.8089]),
    ("geyser_waiting_min.txt", [3.9077, 3.8576, 3.8311]),
    ("quakes_depth_km.txt", [6.5546, 6.3831, 6.2860]),
];

fn reference_fits<T: Number>() {
    for (name, wants) in SETS {
        let Some(path) = golden::shared(&format!("data/fourier/{name}")) else {
            return;
        };
        let text = std::fs::read_to_string(path).expect("a readable file");
        let data: Vec<T> = text
            .lines()
            .map(|line| T::from_f64(line.trim().parse().expect("a number")))
            .collect();
        let sample = Sample::new(&data).expect("data");
        let (mean, deviation) = sample.moments();
        let domain = Domain::line(mean, deviation + deviation).expect("a domain");
        for (count, want) in [4, 8, 16].into_iter().zip(wants) {
            let (parameters, end) = fitted(Fit::new(domain).with_starts(2), sample, count);
            let bound = want + T::bound("Fourier density, fit");
            assert!(
                end.value.value() <= bound,
                "{name}, {count}: {:?}, reference {want}",
                end.value
            );
            println!(
                "{name} {count}: {:?} ({want}), {} evaluations",
                end.value, end.evaluations
            );
            // The definition agrees.
            let wide = |x: &[T]| x.iter().map(|x| x.value()).collect::<Vec<f64>>();
            let map = Map::Line(mean.value(), 2.0 * deviation.value());
            let ones = vec![1.0; data.len()];
            let got = definition::loss(map, &wide(&parameters), &wide(&data), &ones);
            assert!(got <= bound, "{name}, {count}: {got} by the definition");
        }
    }
}

#[test]
fn data_sets_are_fitted_as_well_as_by_the_reference() {
    reference_fits::<f64>();
}

#[test]
fn data_sets_are_fitted_in_f32() {
    reference_fits::<f32>();
}

/// Two clusters of points.
fn clusters(n: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    (0..n)
        .map(|i| if i % 3 == 0 { -1.0 } else { 1.0 } + 0.25 * random.normal())
        .collect()
}

#[test]
fn a_free_map_fits_no_worse() {
    let data = clusters(400, 3);
    let sample = Sample::new(&data).expect("data");
    let fit = Fit::new(Domain::line(0.5, 4.0).expect("a domain"));
    let (_, fixed) = fitted(fit, sample, 5);
    let free = fit.with_free_map().expect("a line");
    let (parameters, end) = fitted(free, sample, 5);
    assert!(
        end.value < fixed.value - 0.01,
        "{} and {}",
        end.value,
        fixed.value
    );
    let density = free.density(&parameters, [0.0; 30]).expect("a density");
    assert_ne!(
        density.domain(),
        fit.density(&parameters[..10], [0.0; 30])
            .expect("a density")
            .domain()
    );
}

#[test]
fn a_histogram_is_its_centers_with_its_counts() {
    let data = clusters(300, 4);
    let mut twice = data.clone();
    twice.extend(&data[..100]);
    let weights: Vec<f64> = (0..300).map(|i| if i < 100 { 2.0 } else { 1.0 }).collect();
    let fit = Fit::new(Domain::line(0.0, 2.0).expect("a domain"));
    let (_, one) = fitted(fit, Sample::new(&twice).expect("data"), 4);
    let (_, other) = fitted(fit, Sample::weighted(&data, &weights).expect("data"), 4);
    assert!((one.value - other.value).abs() < 1e-6);
}

#[test]
fn held_out_data_choose_the_number_of_coefficients() {
    let (data, held) = (clusters(150, 5), clusters(4000, 6));
    let (data, held) = (
        Sample::new(&data).expect("data"),
        Sample::new(&held).expect("data"),
    );
    let fit = Fit::new(Domain::line(0.0, 2.0).expect("a domain"));
    let counts = [1, 2, 4, 6, 8, 30];
    let mut parameters = vec![0.0; 60];
    let mut scratch = vec![0.0; Fit::<f64>::scratch_len(30)];
    let (count, value) = fit
        .select(data, held, &counts, words(2), &mut parameters, &mut scratch)
        .expect("a choice");
    assert!((4..30).contains(&count), "{count}");
    let density = fit.density(&parameters[..2 * count], vec![0.0; 6 * count]);
    assert!(density.is_ok() && value < 1.2, "{value}");
}

#[test]
fn adam_fits_a_stream() {
    let data = clusters(4096, 7);
    let likelihood = Likelihood::new(Domain::line(0.0, 2.0).expect("a domain"));
    let fit = Fit::new(Domain::line(0.0, 2.0).expect("a domain"));
    let (_, best) = fitted(fit, Sample::new(&data).expect("data"), 6);
    let mut adam = Adam::new(0.02, vec![0.0; 24]).expect("a rate");
    let mut next = words(9);
    let mut x: Vec<f64> = (0..12).map(|_| f64::from(next()) / 4e9).collect();
    let mut gradient = vec![0.0; 12];
    let mut scratch = vec![0.0; Likelihood::<f64>::scratch_len(6)];
    for epoch in 0..20 {
        adam.set_rate(0.02 / f64::from(1 + epoch)).expect("a rate");
        for batch in data.chunks(64) {
            let batch = Sample::new(batch).expect("data");
            likelihood
                .evaluate(&x, batch, &mut gradient, &mut scratch)
                .expect("a value");
            adam.step(&mut x, &gradient).expect("lengths");
        }
    }
    let all = Sample::new(&data).expect("data");
    let value = likelihood
        .evaluate(&x, all, &mut gradient, &mut scratch)
        .expect("a value");
    assert!(value < best.value + 0.02, "{value}, L-BFGS {}", best.value);
    // A bad batch does no harm.
    let before = x.clone();
    adam.step(&mut x, &[f64::NAN; 12]).expect("lengths");
    assert_eq!(x, before);
}

#[test]
fn an_iteration_that_ends_early_says_so_and_keeps_the_best() {
    let data = clusters(200, 8);
    let sample = Sample::new(&data).expect("data");
    let fit = Fit::new(Domain::line(0.0, 2.0).expect("a domain"))
        .with_tolerance(0.0, 3)
        .expect("a tolerance");
    let mut parameters = vec![0.0; 12];
    let mut scratch = vec![0.0; Fit::<f64>::scratch_len(6)];
    let mut seen = Vec::new();
    let end = fit.run(sample, words(1), &mut parameters, &mut scratch, |at| {
        seen.push(at.value);
    });
    assert_eq!(end, Err(Error::NotConverged));
    assert_eq!(seen.len(), 3);
    assert!(seen.is_sorted_by(|a, b| a > b), "it falls: {seen:?}");
    let energy: f64 = parameters.iter().map(|a| a * a).sum();
    assert!((energy - 1.0).abs() < 1e-12);

    // Outside of the domain nothing is likely.
    let sample = Sample::new(&[3.0]).expect("data");
    let unit = Fit::new(Domain::unit());
    let end = unit.run(sample, words(1), &mut parameters, &mut scratch, |_| ());
    assert_eq!(end, Err(Error::NotConverged));
}

#[test]
fn bad_fits_are_refused() {
    let weights = Err(Error::Domain(Parameter::Weights));
    let kind = |sample: Result<Sample<'_, f64>, Error>| sample.map(|_| ());
    assert_eq!(kind(Sample::new(&[])), weights);
    assert_eq!(kind(Sample::weighted(&[1.0], &[0.0])), weights);
    assert_eq!(kind(Sample::weighted(&[1.0, 2.0], &[1.0, -1.0])), weights);
    assert_eq!(kind(Sample::weighted(&[1.0], &[f64::NAN])), weights);
    assert_eq!(kind(Sample::weighted(&[1.0], &[f64::INFINITY])), weights);
    assert!(Sample::weighted(&[1.0], &[1.0, 2.0]).is_err());
    let rate = Error::Domain(Parameter::Rate);
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            Likelihood::new(Domain::unit()).with_roughness(bad).err(),
            Some(rate)
        );
        assert_eq!(
            Fit::new(Domain::unit()).with_tolerance(bad, 1).err(),
            Some(rate)
        );
        assert_eq!(Adam::new(bad, [0.0; 2]).err(), Some(rate));
        assert_eq!(
            Lbfgs::<f64, _, 1>::new(0, bad, 1, [0.0; 2]).err(),
            Some(rate)
        );
    }
    assert!(
        Likelihood::new(Domain::<f64>::unit())
            .with_free_map()
            .is_err()
    );
    let fit = Fit::new(Domain::unit());
    let sample = Sample::new(&[0.0]).expect("data");
    let mut scratch = vec![0.0; Fit::<f64>::scratch_len(1)];
    let run = |parameters: &mut [f64], scratch: &mut [f64]| {
        let before = parameters.to_vec();
        let end = fit.run(sample, words(1), parameters, scratch, |_| ());
        assert_eq!(before, parameters);
        end.err()
    };
    let coefficients = Some(Error::Domain(Parameter::Coefficients));
    assert_eq!(run(&mut [], &mut scratch), coefficients);
    assert_eq!(
        run(&mut [1.0; 3], &mut scratch),
        Some(Error::Multiple { of: 2, found: 3 })
    );
    assert!(matches!(
        run(&mut [1.0; 2], &mut scratch[1..]),
        Some(Error::Length { .. })
    ));
    assert!(matches!(
        run(&mut [1.0; 4], &mut scratch),
        Some(Error::Length { .. })
    ));
}
