//! The likelihood of a Fourier density and its gradient against their definitions.

mod accuracy;
mod inputs;
mod reference;

use inputs::{Number, Random, executors};
use reference::density::{self as definition, Map};
use reference::golden;
use suanzi::density::{Domain, FourierDensity, Likelihood, Sample};
use suanzi::{Cpu, Scalar};

fn scratch<T: Scalar>(count: usize) -> Vec<T> {
    vec![T::zero(); Likelihood::<T>::scratch_len(count)]
}

fn value_follows<T: Number>() {
    let mut random = Random(23);
    let mut worst = 0.0_f64;
    for (n, count) in [
        (1, 1),
        (1, 3),
        (15, 2),
        (16, 5),
        (17, 4),
        (67, 9),
        (333, 17),
    ] {
        let number = |x: f64| T::from_f64(x);
        let a: Vec<T> = (0..2 * count).map(|_| number(random.normal())).collect();
        let y: Vec<T> = (0..n).map(|_| number(random.normal())).collect();
        let weights: Vec<T> = (0..n).map(|i| number(f64::from(i as u8 % 4))).collect();
        let ones = vec![T::one(); n];
        let wide = |x: &[T]| x.iter().map(|x| x.value()).collect::<Vec<f64>>();
        for (weights, sample) in [
            (&ones, Sample::new(&y)),
            (&weights, Sample::weighted(&y, &weights)),
        ] {
            let Ok(sample) = sample else { continue };
            let map = Map::Line(0.25, 1.5);
            let domain = Domain::line(number(0.25), number(1.5)).expect("a domain");
            let want = definition::loss(map, &wide(&a), &wide(&y), &wide(weights));
            let rough = definition::roughness(&definition::complex(&wide(&a)));
            for cpu in executors() {
                for factor in [0.0, 0.125] {
                    let likelihood = Likelihood::new(domain)
                        .with_roughness(number(factor))
                        .expect("a penalty")
                        .on(cpu);
                    let mut gradient = vec![T::zero(); a.len()];
                    let got = likelihood
                        .evaluate(&a, sample, &mut gradient, &mut scratch(count))
                        .expect("a value");
                    let want = want + factor * rough;
                    let unit = T::ulp(1.0) / 2.0 * (1.0 + want.abs()) * (n + 8 * count) as f64;
                    let error = (got.value() - want).abs() / unit;
                    worst = worst.max(error);
                    assert!(
                        error <= T::bound("Fourier density, likelihood"),
                        "{n} points, {count} coefficients on {cpu:?}: {got:?}, expected {want}"
                    );
                    // Scaling makes no difference.
                    let along: f64 = gradient
                        .iter()
                        .zip(&a)
                        .map(|(g, a)| g.value() * a.value())
                        .sum();
                    assert!(along.abs() <= 64.0 * unit, "{along}");
                }
            }
        }
    }
    println!("worst: {worst:.2} units");
}

#[test]
fn likelihood_in_f32_follows_its_definition() {
    value_follows::<f32>();
}

#[test]
fn likelihood_in_f64_follows_its_definition() {
    value_follows::<f64>();
}

#[test]
fn every_level_gives_the_same_likelihood() {
    let mut random = Random(29);
    let y: Vec<f32> = (0..5000).map(|_| random.normal() as f32).collect();
    let a: Vec<f32> = (0..14).map(|_| random.normal() as f32).collect();
    let sample = Sample::new(&y).expect("data");
    let mut first: Option<Vec<u32>> = None;
    for level in Cpu::levels() {
        let likelihood = Likelihood::new(Domain::line(0.5, 2.0).expect("a domain"))
            .with_roughness(0.25)
            .expect("a penalty")
            .on(Cpu::with(level).expect("a level"));
        let mut gradient = [0.0; 14];
        let value = likelihood.evaluate(&a, sample, &mut gradient, &mut scratch(7));
        let bits: Vec<u32> = gradient
            .iter()
            .chain(&[value.expect("a value")])
            .map(|x| x.to_bits())
            .collect();
        assert_eq!(
            *first.get_or_insert_with(|| bits.clone()),
            bits,
            "{level:?}"
        );
    }
}

#[test]
fn gradients_are_those_of_the_value() {
    let mut random = Random(31);
    let count = 6;
    let mut x: Vec<f64> = (0..2 * count).map(|_| random.normal()).collect();
    x.extend([0.25, 0.5_f64.ln()]);
    let y: Vec<f64> = (0..41).map(|_| 0.5 * random.normal()).collect();
    let weights: Vec<f64> = (0..41).map(|_| random.unit()).collect();
    let sample = Sample::weighted(&y, &weights).expect("data");
    let likelihood = Likelihood::new(Domain::line(0.0, 1.0).expect("a domain"))
        .with_roughness(0.01)
        .and_then(Likelihood::with_free_map)
        .expect("a likelihood");
    let value = |x: &[f64], gradient: &mut [f64]| {
        likelihood
            .evaluate(x, sample, gradient, &mut scratch(count))
            .expect("a value")
    };
    let mut gradient = vec![0.0; x.len()];
    value(&x, &mut gradient);
    let mut unused = vec![0.0; x.len()];
    for i in 0..x.len() {
        // Richardson's extrapolation of two central differences.
        let mut difference = |h: f64| {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += h;
            down[i] -= h;
            (value(&up, &mut unused) - value(&down, &mut unused)) / (2.0 * h)
        };
        let want = (4.0 * difference(5e-5) - difference(1e-4)) / 3.0;
        let error = (gradient[i] - want).abs();
        assert!(
            error <= f64::bound("Fourier density, gradient"),
            "element {i}: {}, expected {want}",
            gradient[i]
        );
    }
}

#[test]
fn golden_gradients() {
    for case in golden::read("fourier_density.gv") {
        if case.key("tags") == Some("degenerate") {
            continue;
        }
        let input =
            |name: &str| -> Vec<f64> { case.get32(name).into_iter().map(f64::from).collect() };
        let get = |name: &str| case.get(name).unwrap_or_default();
        let mut x: Vec<f64> = input("re")
            .iter()
            .zip(input("im"))
            .flat_map(|(&a, b)| [a, b])
            .collect();
        let count = x.len() / 2;
        let close = |got: f64, want: f64, what: &str| {
            let error = (got - want).abs() / (1.0 + want.abs());
            assert!(error < 1e-9, "{} {what}: {got}, expected {want}", case.head);
        };
        let mut gradient = vec![0.0; x.len()];
        let (data, line) = (input("x"), input("y"));
        if let [want] = get("nll") {
            let likelihood = Likelihood::new(Domain::unit());
            let sample = Sample::new(&data).expect("data");
            let value = likelihood.evaluate(&x, sample, &mut gradient, &mut scratch(count));
            close(value.expect("a value"), *want, "nll");
            for k in 0..count {
                close(gradient[2 * k], get("dre")[k], "dre");
                close(gradient[2 * k + 1], get("dim")[k], "dim");
            }
        }
        let (mu, sigma) = (input("mu")[0], input("sigma")[0]);
        let likelihood = Likelihood::new(Domain::line(mu, sigma).expect("a domain"));
        let likelihood = likelihood.with_free_map().expect("a line");
        x.extend([mu, sigma.ln()]);
        gradient.extend([0.0; 2]);
        let sample = Sample::new(&line).expect("data");
        let value = likelihood.evaluate(&x, sample, &mut gradient, &mut scratch(count));
        let density = FourierDensity::new(Domain::unit(), &x[..2 * count], vec![0.0; 6 * count]);
        close(
            density.expect("a density").variation(),
            get("reg_norm")[0],
            "reg_norm",
        );
        let [want] = get("line_nll") else { continue };
        close(value.expect("a value"), *want, "line_nll");
        for k in 0..count {
            close(gradient[2 * k], get("line_dre")[k], "line_dre");
            close(gradient[2 * k + 1], get("line_dim")[k], "line_dim");
        }
        close(gradient[2 * count], get("line_dmu")[0], "line_dmu");
        close(
            gradient[2 * count + 1] / sigma,
            get("line_dsigma")[0],
            "line_dsigma",
        );
    }
}
