//! Fourier densities with their definitions, on every domain.

use suanzi::density::{Domain, FourierDensity};

use super::{Number, Random};
use crate::reference::density::{self as definition, Complex, Map};
use crate::reference::wide::Wide;

/// A density, its definition and its name.
pub(crate) struct Case<T> {
    pub(crate) name: String,
    pub(crate) density: FourierDensity<T, Vec<T>>,
    pub(crate) a: Vec<Complex>,
    pub(crate) map: Map,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

pub(crate) fn domain<T: Number>(map: Map) -> Domain<T> {
    let number = T::from_f64;
    match map {
        Map::Interval(a, b) => Domain::interval(number(a), number(b)),
        Map::Circle(a, b) => Domain::circle(number(a), number(b)),
        Map::HalfLine(a, b) => Domain::half_line(number(a), number(b)),
        Map::Line(a, b) => Domain::line(number(a), number(b)),
    }
    .expect("a domain")
}

pub(crate) fn fourier<T: Number>(map: Map, a: &[T]) -> FourierDensity<T, Vec<T>> {
    let storage = vec![T::zero(); FourierDensity::<T, Vec<T>>::storage_len(a.len() / 2)];
    FourierDensity::new(domain(map), a, storage).expect("a density")
}

/// Coefficients of several kinds, in numbers that `f32` has.
pub(crate) fn coefficients() -> Vec<(&'static str, Vec<f64>)> {
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

pub(crate) const MAPS: [(Map, f64, f64); 6] = [
    (Map::Interval(-1.0, 1.0), -1.0, 1.0),
    (Map::Interval(0.0, 3.0), 0.0, 3.0),
    (Map::Interval(100.0, 101.5), 100.0, 101.5),
    (Map::Circle(-0.5, 24.0), -70.0, 70.0),
    (Map::HalfLine(2.0, 0.75), 2.0, 9.0),
    (Map::Line(0.25, 1.5), -9.0, 9.0),
];

pub(crate) fn cases<T: Number>() -> Vec<Case<T>> {
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
pub(crate) fn points<T: Number>(case: &Case<T>, count: usize) -> Vec<T> {
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
pub(crate) fn unit<T: Number>(case: &Case<T>, y: f64, p: f64, slope: f64) -> f64 {
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

/// What twice the precision leaves of the distance from the nearer end, here and in the definition.
pub(crate) fn left<T: Number>(x: Wide, count: usize) -> f64 {
    let distance = 1.0 - x.high.abs() + f64::EPSILON;
    (T::ulp(1.0).powi(2) * 8.0 * distance + 1e-31) * count as f64
}
