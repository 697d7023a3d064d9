//! Scaled frequencies against their definitions in high precision and the golden tables.

mod accuracy;
mod reference;

use accuracy::{bound32, bound64};
use reference::golden;
use suanzi::position::{
    Base, ByParts, Frequencies, FrequencyFactors, HeadLayout, Linear, Ntk, NtkRule, Pairing,
    Proportional, Radians, Ramp, Rope, RopeTable, Turns, log_n_scale, step_scale,
};
use suanzi::{Cpu, Error, Parameter};

fn base(base: f64) -> Base {
    Base::new(base).expect("a base")
}

/// Returns the frequencies in units of 2^-128 turns.
fn units(frequencies: &impl Frequencies, pairs: usize) -> Vec<u128> {
    frequencies.check(pairs).expect("frequencies");
    let turns = frequencies.turns(pairs).map(Turns::parts);
    turns
        .map(|(high, low)| u128::from(high) << 64 | u128::from(low))
        .collect()
}

fn radians(turns: Turns) -> f64 {
    let (high, low) = turns.parts();
    let turns = (u128::from(high) << 64 | u128::from(low)) as f64;
    turns / (2.0_f64).powi(128) * core::f64::consts::TAU
}

/// Returns the frequencies of a line of the file of references.
fn of_line(name: &str, pairs: usize, parameters: &[f64]) -> Result<Vec<u128>, Error> {
    let (b, k) = (base(parameters[0]), parameters[1]);
    let ntk = |rule| Ntk::new(b, rule, k).map(|f| units(&f, pairs));
    let parts = |ramp| {
        let parts = ByParts::yarn(b, k, parameters[2] as u32)?;
        let parts = parts.with_turns(parameters[3], parameters[4])?;
        Ok(units(&parts.with_ramp(ramp), pairs))
    };
    match name {
        "linear" => Ok(units(&Linear::new(b, k)?, pairs)),
        "ntk_old" => ntk(NtkRule::Old),
        "ntk_aware" => ntk(NtkRule::Aware),
        "ntk_fixed" => ntk(NtkRule::Fixed),
        "ntk_mixed" => ntk(NtkRule::Mixed(parameters[2])),
        "turns" => parts(Ramp::Turns),
        "llama3" => {
            assert_eq!(parameters[3..], [4.0, 1.0], "the default");
            Ok(units(&ByParts::llama3(b, k, parameters[2] as u32)?, pairs))
        }
        "index" => parts(Ramp::Index),
        "exact_index" => parts(Ramp::ExactIndex),
        _ => panic!("no rule {name}"),
    }
}

#[test]
fn scaled_frequencies_are_exact_turns() {
    let mut lines = 0;
    for line in include_str!("golden/scaling.txt").lines() {
        let (head, tail) = line.split_once(" : ").expect("a colon");
        let mut words = head.split(' ');
        let name = words.next().expect("a name");
        let pairs: usize = words.next().expect("pairs").parse().expect("pairs");
        let parameters: Vec<f64> = words.map(|w| w.parse().expect("a number")).collect();
        let expected = tail.split(' ').map(|w| u128::from_str_radix(w, 16));
        let expected: Vec<u128> = expected.collect::<Result<_, _>>().expect("fractions");
        let got = of_line(name, pairs, &parameters).expect(head);
        assert_eq!(got.len(), pairs);
        let mut worst = 0_u128;
        for (pair, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
            worst = worst.max(got.abs_diff(expected));
            assert!(
                got.abs_diff(expected) as f64 <= bound64("rope scaling"),
                "{head}, pair {pair}: {got:x}, expected {expected:x}"
            );
        }
        println!("{head}: {worst} of 2^-128");
        lines += 1;
    }
    assert!(lines > 30);
}

#[test]
fn scaled_frequencies_have_the_figures_of_the_articles() {
    let b = base(10_000.0);
    let close = |got: Turns, expected: f64| {
        let got = radians(got);
        assert!((got / expected - 1.0).abs() < 1e-14, "{got}, {expected}");
    };
    let pair = |frequencies: &dyn Fn() -> Vec<Turns>, i: usize| frequencies()[i];
    let of =
        |rule| move || -> Vec<Turns> { Ntk::new(b, rule, 8.0).expect("k").turns(64).collect() };
    close(pair(&of(NtkRule::Old), 31), 0.004_217_603_874_580_182);
    close(pair(&of(NtkRule::Old), 63), 1.491_148_150_037_152e-5);
    close(pair(&of(NtkRule::Aware), 63), 1.443_477_480_861_817_7e-5);
    close(pair(&of(NtkRule::Fixed), 0), 0.968_030_896_746_147_3);
    close(pair(&of(NtkRule::Fixed), 31), 0.004_082_770_860_829_872);
    close(pair(&of(NtkRule::Fixed), 63), 1.443_477_480_861_817_7e-5);
    close(pair(&of(NtkRule::Mixed(0.625)), 0), 0.856_796_009_515_754_6);
    close(
        pair(&of(NtkRule::Mixed(0.625)), 31),
        0.002_998_600_380_252_682_8,
    );
    let yarn = ByParts::yarn(b, 16.0, 4096).expect("yarn");
    let code: Vec<Turns> = yarn.turns(64).collect();
    for (i, expected) in [
        (0, 1.0),
        (20, 0.056_234_132_519_034_91),
        (32, 0.005_673_076_923_076_923),
        (46, 8.334_508_951_020_775e-5),
        (63, 7.217_387_404_309_114e-6),
    ] {
        close(code[i], expected);
    }
    let paper: Vec<Turns> = yarn.with_ramp(Ramp::Turns).turns(64).collect();
    close(paper[32], 0.002_294_048_327_331_865);
    close(paper[40], 0.000_299_155_724_996_682_6);
    assert!((yarn.temperature() - 1.277_258_872_223_978_2).abs() < 3e-16);
    let yarn = ByParts::yarn(b, 40.0, 4096).expect("yarn");
    assert!((yarn.temperature() - 1.368_887_945_411_393_6).abs() < 3e-16);
}

/// Checks tables of scaled frequencies against a golden case, and against its list of frequencies.
fn check_case(case: &golden::Case, frequencies: &impl Frequencies) {
    let get = |name: &str| case.get(name).unwrap_or_default();
    let (inverse, temperature) = (get("inv_freq"), get("attention_factor")[0]);
    let pairs = inverse.len();
    let error = (frequencies.temperature() / temperature - 1.0).abs();
    assert!(
        error <= 3e-16,
        "{}: {}",
        case.head,
        frequencies.temperature()
    );
    for (got, &expected) in frequencies.turns(pairs).zip(inverse) {
        let error = (radians(got) / expected - 1.0).abs();
        assert!(error < 4e-16, "{}: {}, {expected}", case.head, radians(got));
    }
    let layout = HeadLayout::new(2 * pairs, Pairing::HalfSplit).expect("a layout");
    for level in Cpu::levels() {
        let Ok(cpu) = Cpu::with(level) else {
            eprintln!("SKIPPED: {level:?} is not on this machine");
            continue;
        };
        let rope = Rope::<f32, _>::new(layout, frequencies, vec![0; pairs]).expect("an encoding");
        let rope = rope.on(cpu);
        for (row, &at) in get("pos").iter().enumerate() {
            let table = RopeTable::new(&rope, at as i32, vec![0.0; 2 * pairs]).expect("a table");
            let (cos, sin) = table.row(at as i32).expect("a row");
            let rows = row * pairs..(row + 1) * pairs;
            let expected = get("cos")[rows.clone()].iter().chain(&get("sin")[rows]);
            for (&got, expected) in cos.iter().chain(sin).zip(expected) {
                let bound = if temperature == 1.0 {
                    bound32("rope tables")
                } else {
                    bound32("rope tables at a temperature")
                };
                let error = (f64::from(got) - expected).abs() * 16_777_216.0 / temperature;
                assert!(
                    error <= bound,
                    "{} at {at} {level:?}: {got}, {expected}",
                    case.head
                );
            }
        }
    }
}

#[test]
fn golden_tables_agree() {
    for case in golden::read("rope_tables.gv") {
        let number = |name: &str| case.get(name).and_then(|x| x.first().copied());
        let count = |name: &str| number(name).unwrap_or_default() as u32;
        let b = base(number("base").expect("a base"));
        let factor = number("factor").unwrap_or(1.0);
        let original = count("original_max_position_embeddings");
        match case.key("kind").expect("a kind") {
            "default" => check_case(&case, &b),
            "linear" => check_case(&case, &Linear::new(b, factor).expect("a factor")),
            "dynamic" => {
                let original = count("max_position_embeddings");
                let ntk = Ntk::dynamic(b, factor, original, count("seq_len"));
                check_case(&case, &ntk.expect("a factor"));
            }
            "yarn" => {
                let mut yarn = ByParts::yarn(b, factor, original).expect("yarn");
                if let (Some(fast), Some(slow)) = (number("beta_fast"), number("beta_slow")) {
                    yarn = yarn.with_turns(fast, slow).expect("turns");
                }
                if let (Some(m), Some(all)) = (number("mscale"), number("mscale_all_dim")) {
                    yarn = yarn.with_mscale(m, all).expect("a temperature");
                }
                if number("truncate") == Some(0.0) {
                    yarn = yarn.with_ramp(Ramp::ExactIndex);
                }
                check_case(&case, &yarn);
            }
            "longrope" => {
                let (short, long) = (case.get32("short_factor"), case.get32("long_factor"));
                let longest = count("max_position_embeddings");
                let length = count("seq_len");
                let factors =
                    FrequencyFactors::longrope(b, &short, &long, original, longest, length);
                check_case(&case, &factors.expect("factors"));
            }
            "llama3" => {
                let llama = ByParts::llama3(b, factor, original).expect("llama");
                let (low, high) = (number("low_freq_factor"), number("high_freq_factor"));
                let llama = llama.with_turns(high.expect("turns"), low.expect("turns"));
                check_case(&case, &llama.expect("turns"));
            }
            kind => panic!("no scaling {kind}"),
        }
    }
}

#[test]
fn parts_interpolated_beyond_a_turn_keep_their_share() {
    // Pairs on the ramp, by the turns that they make over a short context.
    let scaled = |factor| {
        let parts = ByParts::llama3(base(10_000.0), factor, 16).expect("parts");
        units(&parts, 64)
    };
    let (plain, doubled, fast) = (scaled(1.0), scaled(0.5), scaled(1.0 / 1024.0));
    let mut beyond = 0;
    for ((plain, doubled), fast) in plain.into_iter().zip(doubled).zip(fast) {
        // theta_i (gamma_i + (1 - gamma_i) / k) is linear in 1 / k.
        let share = doubled.wrapping_sub(plain);
        let expected = plain.wrapping_add(share.wrapping_mul(1023));
        let on_the_ramp = share < plain / 2;
        beyond += u32::from(on_the_ramp && share.checked_mul(1023).is_none());
        let off = fast.wrapping_sub(expected).cast_signed().unsigned_abs();
        assert!(
            off as f64 <= 1024.0 * bound64("rope scaling"),
            "{fast:x}, expected {expected:x}"
        );
    }
    assert!(beyond > 0, "no pair on the ramp passes a turn");
}

#[test]
fn a_ramp_of_no_width_is_a_step() {
    // Turns that differ by less than their fixed point holds.
    let (slow, b) = (2.0_f64.powi(-64), base(2.0_f64.powi(72)));
    let parts = ByParts::llama3(b, 4.0, 2).and_then(|parts| parts.with_turns(slow.next_up(), slow));
    let got = units(&parts.expect("parts"), 8);
    let (kept, linear) = (
        units(&b, 8),
        units(&Linear::new(b, 4.0).expect("a factor"), 8),
    );
    for (pair, got) in got.into_iter().enumerate() {
        let makes_fewer = kept[pair] < 1 << 63;
        let expected = if makes_fewer {
            linear[pair]
        } else {
            kept[pair]
        };
        assert!(
            got.abs_diff(expected) <= 1,
            "pair {pair}: {got:x}, {expected:x}"
        );
    }
    assert!(kept[7] < 1 << 63, "a pair beyond the step");
}

#[test]
fn scalings_by_one_change_nothing() {
    for pairs in [1, 2, 5, 64] {
        let b = base(10_000.0);
        let plain = units(&b, pairs);
        let near = |scaled: &[u128], what: &str| {
            for (a, b) in plain.iter().zip(scaled) {
                assert!(a.abs_diff(*b) <= 4, "{what}: {a:x}, {b:x}");
            }
        };
        near(&units(&Linear::new(b, 1.0).expect("one"), pairs), "linear");
        let ones = vec![1.0_f32; pairs];
        let factors = FrequencyFactors::new(b, &ones).expect("ones");
        near(&units(&factors, pairs), "factors");
        near(&units(&Proportional::new(b, pairs), pairs), "proportional");
        for rule in [
            NtkRule::Old,
            NtkRule::Aware,
            NtkRule::Fixed,
            NtkRule::Mixed(0.5),
        ] {
            near(&units(&Ntk::new(b, rule, 1.0).expect("one"), pairs), "ntk");
        }
        near(
            &units(&Ntk::dynamic(b, 4.0, 4096, 4096).expect("one"), pairs),
            "dynamic",
        );
        for ramp in [Ramp::Turns, Ramp::Index, Ramp::ExactIndex] {
            let parts = ByParts::yarn(b, 1.0, 4096).expect("one").with_ramp(ramp);
            near(&units(&parts, pairs), "parts");
            assert_eq!(parts.temperature(), 1.0);
        }
    }
}

#[test]
fn scalings_compose() {
    let b = base(1_000_000.0);
    let yarn = ByParts::yarn(b, 8.0, 4096).expect("yarn");
    let composed = Linear::new(Proportional::new(yarn, 6), 2.0).expect("a factor");
    assert_eq!(composed.temperature(), yarn.temperature());
    let composed = units(&composed, 16);
    for (pair, turns) in units(&yarn, 16).into_iter().enumerate() {
        assert_eq!(
            composed[pair],
            if pair < 6 { turns / 2 } else { 0 },
            "{pair}"
        );
    }
    let listed = [0.5, 0.25, -0.125];
    let listed = Radians::new(&listed)
        .and_then(|r| r.with_temperature(1.5))
        .expect("a list");
    let factors = FrequencyFactors::new(listed, &[2.0_f64, 0.5, 4.0]).expect("factors");
    assert_eq!(factors.temperature(), 1.5);
    let got: Vec<f64> = factors.turns(3).map(radians).collect();
    // Turning back is a frequency near a whole turn, and is scaled as what it is.
    let back = core::f64::consts::TAU - got[2];
    for (got, expected) in [(got[0], 0.25), (got[1], 0.5), (back, 0.125 / 4.0)] {
        assert!((got - expected).abs() < 1e-15, "{got}, expected {expected}");
    }
}

/// A scaling that a constant holds.
const CONSTANT: ByParts = match Base::new(10_000.0) {
    Ok(base) => match ByParts::yarn(base, 16.0, 4096) {
        Ok(yarn) => yarn,
        Err(_) => panic!("parameters"),
    },
    Err(_) => panic!("a base"),
};

#[test]
fn scalings_are_made_in_constants() {
    assert_eq!(Ok(CONSTANT), ByParts::yarn(base(10_000.0), 16.0, 4096));
}

#[test]
fn query_scales_are_right() {
    for (tokens, trained) in [
        (4096, 512),
        (513, 512),
        (3, 2),
        (u32::MAX, 2),
        (1 << 20, 4095),
    ] {
        let exact = f64::from(tokens).ln() / f64::from(trained).ln();
        let got: f64 = log_n_scale(tokens, trained).expect("a scale");
        assert!(
            (got / exact - 1.0).abs() <= 4e-16,
            "{tokens} {trained}: {got}, {exact}"
        );
        let single: f32 = log_n_scale(tokens, trained).expect("a scale");
        let error = (f64::from(single) / got - 1.0).abs() * 16_777_216.0;
        assert!(
            error <= bound32("query scale"),
            "{tokens} {trained}: {single}"
        );
    }
    for tokens in [0, 1, 2, 511, 512] {
        assert_eq!(log_n_scale(tokens, 512), Ok(1.0_f64));
    }
    for (position, step) in [
        (0, 8192),
        (8190, 8192),
        (8191, 8192),
        (1 << 20, 8192),
        (u32::MAX, 2),
    ] {
        let steps = (f64::from(position) + 1.0) / f64::from(step);
        let exact = 1.0 + 0.1 * (1.0 + steps.floor()).ln();
        let got: f64 = step_scale(position, step, 0.1).expect("a scale");
        assert!(
            (got / exact - 1.0).abs() <= 4e-16,
            "{position}: {got}, {exact}"
        );
        let got: f32 = step_scale(position, step, 0.1).expect("a scale");
        let error = (f64::from(got) / exact - 1.0).abs() * 16_777_216.0;
        assert!(
            error <= bound32("query scale"),
            "{position}: {got}, {exact}"
        );
    }
}

#[test]
fn bad_scalings_are_refused() {
    let b = Base::default();
    let (factor_error, context) = (Parameter::Factor, Parameter::Context);
    let factors = [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-20, 2e19];
    for factor in factors {
        assert_eq!(
            Linear::new(b, factor).err(),
            Some(Error::Domain(factor_error))
        );
        assert_eq!(
            ByParts::yarn(b, factor, 8).err(),
            Some(Error::Domain(factor_error))
        );
        assert_eq!(
            ByParts::llama3(b, factor, 8).err(),
            Some(Error::Domain(factor_error))
        );
        assert_eq!(
            Ntk::new(b, NtkRule::Aware, factor).err(),
            Some(Error::Domain(factor_error))
        );
        assert_eq!(
            Ntk::dynamic(b, factor, 8, 9).err(),
            Some(Error::Domain(factor_error))
        );
        assert_eq!(
            FrequencyFactors::new(b, &[1.0, factor]).err(),
            Some(Error::Domain(factor_error))
        );
        assert_eq!(
            Turns::ZERO.divided(factor),
            Err(Error::Domain(factor_error))
        );
    }
    assert_eq!(
        Ntk::new(b, NtkRule::Old, 0.99).err(),
        Some(Error::Domain(factor_error))
    );
    for exponent in [-0.5, f64::NAN, 65.0] {
        let ntk = Ntk::new(b, NtkRule::Mixed(exponent), 2.0);
        assert_eq!(ntk.err(), Some(Error::Domain(factor_error)));
    }
    for original in [0, 1] {
        assert_eq!(
            ByParts::yarn(b, 2.0, original).err(),
            Some(Error::Domain(context))
        );
        assert_eq!(
            Ntk::dynamic(b, 2.0, original, 9).err(),
            Some(Error::Domain(context))
        );
        let factors = FrequencyFactors::longrope(b, &[1.0_f32], &[1.0], original, 9, 9);
        assert_eq!(factors.err(), Some(Error::Domain(context)));
        assert_eq!(log_n_scale::<f32>(9, original), Err(Error::Domain(context)));
        assert_eq!(
            step_scale(9, original, 0.1_f32),
            Err(Error::Domain(context))
        );
    }
    let yarn = ByParts::yarn(b, 2.0, 4096).expect("yarn");
    for (fast, slow) in [
        (1.0, 1.0),
        (1.0, 2.0),
        (32.0, 0.0),
        (f64::NAN, 1.0),
        (3e9, 1.0),
        (2.0, -1.0),
    ] {
        assert_eq!(
            yarn.with_turns(fast, slow).err(),
            Some(Error::Domain(factor_error))
        );
    }
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = Some(Error::Domain(Parameter::Temperature));
        assert_eq!(yarn.with_temperature(temperature).err(), refused);
        let factors = FrequencyFactors::new(b, &[1.0_f32]).expect("a factor");
        assert_eq!(factors.with_temperature(temperature).err(), refused);
    }
    let refused = Some(Error::Domain(Parameter::Temperature));
    assert_eq!(yarn.with_mscale(1.0, -1e9).err(), refused);
    // Lists are as long as the pairs.
    let length = Error::Length {
        expected: 3,
        found: 2,
    };
    let factors = FrequencyFactors::new(b, &[1.0_f32, 2.0]).expect("factors");
    assert_eq!(factors.check(3), Err(length));
    assert_eq!(
        yarn.check(usize::MAX),
        Err(Error::Domain(Parameter::RotaryDim))
    );
}
