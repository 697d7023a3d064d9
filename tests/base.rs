//! The base that a context needs, against golden intervals and the definition.

mod accuracy;
mod reference;

use accuracy::bound64;
use reference::golden;
use suanzi::position::{BaseSearch, asymptotic_base, cosine_integral};
use suanzi::{Cpu, Error, Parameter};

/// f(m) by its definition.
fn definition(base: f64, rotary_dim: usize, m: u32) -> f64 {
    (0..rotary_dim / 2)
        .map(|i| (f64::from(m) * base.powf(-2.0 * i as f64 / rotary_dim as f64)).cos())
        .sum()
}

fn search(rotary_dim: usize) -> BaseSearch {
    BaseSearch::new(rotary_dim).expect("a rotary dimension")
}

fn executors() -> impl Iterator<Item = Cpu> {
    Cpu::levels().filter_map(|level| Cpu::with(level).ok())
}

/// Returns a number of a case.
fn number(case: &golden::Case, name: &str) -> Option<f64> {
    case.get(name).and_then(|x| x.first().copied())
}

#[test]
fn golden_bases_hold() {
    for case in golden::read("rope_base.gv") {
        let key = |name: &str| case.key(name).and_then(|x| x.parse::<usize>().ok());
        let search = search(key("d").expect("a dimension"));
        if case.key("kind") == Some("lmax") {
            let base = number(&case, "base").expect("a base");
            let want = number(&case, "first_negative_m").expect("a distance");
            let got = search.longest_context(base, 1 << 20).expect("a base");
            assert_eq!(f64::from(got), want, "{}", case.head);
            continue;
        }
        let context = key("L").expect("a context") as u32;
        let near = |got: f64, name: &str| {
            if let Some(want) = number(&case, name) {
                // Where f only touches zero its rounding moves the place.
                assert!(
                    (got / want - 1.0).abs() < bound64("smallest base"),
                    "{}: {name} {got}",
                    case.head
                );
            }
        };
        let mut scans = 0;
        let base = search
            .smallest_base(context, 1.0, |_| scans += 1)
            .expect("a base");
        near(base, "b_inf");
        assert!(scans > 0);
        assert_eq!(search.longest_context(base, context), Ok(context));
        let below = search.longest_context(base * (1.0 - 1e-9), context);
        assert!(below.is_ok_and(|m| m < context), "{}", case.head);
        // Starting from the base of half the context is the same.
        let half = search
            .smallest_base(context / 2, 1.5, |_| ())
            .expect("a base");
        let again = search.smallest_base(context, half, |_| ()).expect("a base");
        assert!((again / base - 1.0).abs() < 1e-10);
        if context <= 4096 {
            let end = search
                .interval_end(context, base, |_| ())
                .expect("an interval");
            near(end, "first_hi");
            let next = search
                .smallest_base(context, end * (1.0 + 1e-9), |_| ())
                .expect("a base");
            near(next, "next_lo");
            let end = search
                .interval_end(context, next, |_| ())
                .expect("an interval");
            near(end, "next_hi");
        }
    }
}

#[test]
fn every_level_finds_the_same_base() {
    let bits: Vec<(u64, u64)> = executors()
        .map(|cpu| {
            let search = search(64).on(cpu);
            let base = search.smallest_base(700, 1.5, |_| ()).expect("a base");
            let end = search.interval_end(700, base, |_| ()).expect("an interval");
            (base.to_bits(), end.to_bits())
        })
        .collect();
    assert!(bits.windows(2).all(|pair| pair[0] == pair[1]), "{bits:?}");
}

#[test]
fn similarity_is_the_sum_of_cosines() {
    let mut worst = 0.0_f64;
    for (base, rotary_dim) in [
        (1e4, 128),
        (5e5, 128),
        (37.5, 2),
        (1.0, 18),
        (1e6, 512),
        (9e9, 64),
    ] {
        for m in [
            0,
            1,
            2,
            100,
            1000,
            4000,
            7000,
            131_071,
            1 << 20,
            u32::MAX >> 1,
        ] {
            for cpu in executors() {
                let got = search(rotary_dim)
                    .on(cpu)
                    .similarity(base, m)
                    .expect("a base");
                let error = (got - definition(base, rotary_dim, m)).abs();
                let size = rotary_dim as f64 * (1e-13 + 2e-15 * f64::from(m));
                let size = size * bound64("similarity of a base");
                worst = worst.max(error / size);
                assert!(
                    error <= size,
                    "{base} {rotary_dim} {m}: {got}, off by {error:e}"
                );
            }
        }
    }
    println!("similarity: {worst:.2} of its bound");
    for (base, m, want) in [
        (1e4, 100, 30.543_454_701_490_642),
        (1e4, 1000, 10.177_728_132_210_543),
        (1e4, 4000, 0.528_657_718_650_106_4),
        (1e4, 7000, -7.375_674_456_502_036),
        (5e5, 8191, 15.860_476_684_195_737),
    ] {
        let got = search(128).similarity(base, m).expect("a base");
        assert!((got - want).abs() < 1e-11, "{got} {want}");
    }
}

/// The blocks and their anchors see every distance: the first negative one is that of the definition.
#[test]
fn the_longest_context_is_that_of_the_definition() {
    for (base, rotary_dim) in [
        (2.0, 4),
        (10.0, 8),
        (50.0, 2),
        (300.0, 32),
        (1000.0, 64),
        (9000.0, 130),
    ] {
        let first = (1..20_000).find(|&m| definition(base, rotary_dim, m) < 0.0);
        for limit in [0, 1, 2, 33, 34, 20_000] {
            let got = search(rotary_dim)
                .longest_context(base, limit)
                .expect("a base");
            assert_eq!(
                got,
                limit.min(first.unwrap_or(20_000)),
                "{base} {rotary_dim} {limit}"
            );
        }
    }
}

/// The swept base is the first of a fine grid that holds.
#[test]
fn no_base_below_holds() {
    for (rotary_dim, context) in [(16, 40), (32, 100), (128, 64)] {
        let base = search(rotary_dim)
            .smallest_base(context, 1.0, |_| ())
            .expect("a base");
        let holds = |b: f64| (1..context).all(|m| definition(b, rotary_dim, m) >= 0.0);
        assert!(holds(base * (1.0 + 1e-12)));
        for i in 0..20_000 {
            let below = base.powf(f64::from(i) / 20_000.0) * (1.0 - 1e-9);
            assert!(
                !holds(below.max(1.0)),
                "{rotary_dim} {context}: {below} holds"
            );
        }
    }
}

#[test]
fn short_contexts_and_hopeless_heads() {
    assert_eq!(search(128).smallest_base(0, 3.0, |_| ()), Ok(3.0));
    assert_eq!(search(128).smallest_base(2, 1.0, |_| ()), Ok(1.0));
    // A single pair turns back after pi / 2, whatever the base is.
    let bad = Err(Error::Domain(Parameter::Base));
    assert_eq!(search(2).smallest_base(3, 1.0, |_| ()), bad);
    assert!(
        search(2)
            .interval_end(2, 1.5, |_| ())
            .is_ok_and(|end| end > 1e300)
    );
    assert_eq!(search(128).interval_end(1024, 1000.0, |_| ()), bad);
}

#[test]
fn bad_arguments_are_refused() {
    let bad = Some(Error::Domain(Parameter::RotaryDim));
    for rotary_dim in [0, 1, 127, 514] {
        assert_eq!(BaseSearch::new(rotary_dim).err(), bad);
    }
    let bad = Error::Domain(Parameter::Base);
    for base in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY, 1e305] {
        assert_eq!(search(8).similarity(base, 1), Err(bad));
        assert_eq!(search(8).longest_context(base, 1), Err(bad));
        assert_eq!(search(8).smallest_base(1, base, |_| ()), Err(bad));
        assert_eq!(search(8).interval_end(1, base, |_| ()), Err(bad));
    }
}

#[test]
fn the_cosine_integral_is_right() {
    // mpmath, 30 digits.
    for (x, want) in [
        (1e-300, -690.198_312_233_312_2),
        (0.1, -1.727_868_386_657_296_6),
        (1.0, 0.337_403_922_900_968_13),
        (3.999_999, -0.140_981_534_475_910_17),
        (4.0, -0.140_981_697_886_930_4),
        (4.000_001, -0.140_981_861_297_720_6),
        (10.0, -0.045_456_433_004_455_37),
        (1e3, 8.263_155_110_906_823e-4),
        (1e6, -3.499_944_389_227_205e-7),
    ] {
        let got = cosine_integral(x);
        let size = bound64("cosine integral") * (1.0 + x.ln().abs());
        assert!((got - want).abs() <= size, "Ci({x}) = {got}, not {want}");
    }
    assert!(cosine_integral(-1.0).is_nan() && cosine_integral(f64::NAN).is_nan());
    assert_eq!(cosine_integral(f64::INFINITY), 0.0);
    assert!((asymptotic_base(1000) - 1_622.045_583_249_222_8).abs() < 1e-9);
}
