//! The position room against its definitions, on every level.

mod accuracy;
mod reference;

use accuracy::{bound32, bound64};
use reference::position as definition;
use reference::wide::Wide;
use reference::{conformance, golden};
use suanzi::position::{
    Angle, Base, Frequencies, HeadLayout, Pairing, PositionEncoding, Radians, Rope, RopeTable,
    Turns, rope_rows,
};
use suanzi::{Cpu, Error, Level, Parameter};

const PAIRINGS: [Pairing; 2] = [Pairing::HalfSplit, Pairing::Interleaved];

/// Every executor that runs here: the levels in the portable and in the fused arithmetic.
fn executors() -> Vec<Cpu> {
    let mut executors = Vec::new();
    for level in Level::ALL {
        match Cpu::with(level) {
            Ok(cpu) => executors.extend([cpu, cpu.with_fused(true)]),
            Err(_) => eprintln!("SKIPPED: {level:?} is not on this machine"),
        }
    }
    executors
}

/// A type that the tests run in.
trait Number: Angle {
    /// Half the distance from one to the next number below.
    const UNIT: f64;
    fn from_f64(x: f64) -> Self;
    fn value(self) -> f64;
    fn representation(self) -> u64;
    fn bound(operation: &str) -> f64;
}

impl Number for f32 {
    const UNIT: f64 = 1.0 / 16_777_216.0;
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    fn value(self) -> f64 {
        self.into()
    }
    fn representation(self) -> u64 {
        self.to_bits().into()
    }
    fn bound(operation: &str) -> f64 {
        bound32(operation)
    }
}

impl Number for f64 {
    const UNIT: Self = Self::EPSILON / 2.0;
    fn from_f64(x: f64) -> Self {
        x
    }
    fn value(self) -> f64 {
        self
    }
    fn representation(self) -> u64 {
        self.to_bits()
    }
    fn bound(operation: &str) -> f64 {
        bound64(operation)
    }
}

/// A fixed sequence of numbers.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 33
    }

    /// A number in [-2, 2), exact in `f32`.
    fn number<T: Number>(&mut self) -> T {
        T::from_f64((self.bits() >> 42) as f64 / f64::from(1 << 20) - 2.0)
    }

    fn numbers<T: Number>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| self.number()).collect()
    }

    /// Any position, small ones as likely as large ones.
    fn position(&mut self) -> i32 {
        let bits = self.bits() as i32;
        bits >> (self.bits() % 31)
    }
}

type Storage<T> = Vec<<T as Angle>::Turns>;

fn rope<T: Number>(layout: HeadLayout, frequencies: &impl Frequencies) -> Rope<T, Storage<T>> {
    let storage = vec![T::Turns::default(); layout.pairs()];
    Rope::new(layout, frequencies, storage).expect("an encoding")
}

fn base<T: Number>(layout: HeadLayout, base: f64) -> Rope<T, Storage<T>> {
    rope(layout, &Base::new(base).expect("a base"))
}

fn layout(head_dim: usize, rotary_dim: usize, pairing: Pairing) -> HeadLayout {
    HeadLayout::partial(head_dim, rotary_dim, pairing).expect("a layout")
}

/// Returns the difference of a number and an exact one.
fn difference(got: f64, exact: Wide) -> f64 {
    let difference = exact - got.into();
    (difference.high + difference.low).abs()
}

fn bits<T: Number>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.representation()).collect()
}

#[test]
fn frequencies_of_a_base_are_exact_turns() {
    let mut worst = (0.0_f64, 0.0_f64);
    for (b, expected) in definition::frequencies() {
        let base = Base::new(b).expect("a base");
        let turns: Vec<Turns> = base.turns(expected.len()).collect();
        assert_eq!(turns.len(), expected.len());
        for (pair, (turns, &expected)) in turns.iter().zip(&expected).enumerate() {
            let (high, low) = turns.parts();
            let got = u128::from(high) << 64 | u128::from(low);
            let error = got.abs_diff(expected) as f64;
            worst.1 = worst.1.max(error);
            assert!(
                error <= bound64("rope frequencies"),
                "base {b} pair {pair}: {got:x}, expected {expected:x}"
            );
            let narrow = u128::from(high.wrapping_add(low >> 63)) << 64;
            let error = narrow.abs_diff(expected) as f64 / (2.0_f64).powi(64);
            worst.0 = worst.0.max(error);
            assert!(
                error <= bound32("rope frequencies"),
                "base {b} pair {pair}: off by {error}"
            );
        }
    }
    println!("worst: {:.3} of 2^-64, {:.0} of 2^-128", worst.0, worst.1);
}

fn tables_are_right<T: Number>(rounds: usize) {
    let mut worst = (0.0_f64, 0.0_f64);
    let mut random = Random(7);
    for (b, turns) in definition::frequencies() {
        let layout = layout(2 * turns.len(), 2 * turns.len(), Pairing::HalfSplit);
        for cpu in executors() {
            let rope = base::<T>(layout, b).on(cpu);
            let mut positions = vec![
                0,
                1,
                -1,
                2,
                3,
                131_071,
                1_048_576,
                i32::MAX,
                i32::MAX - 1,
                i32::MIN,
            ];
            positions.extend((0..rounds).map(|_| random.position()));
            for at in positions {
                let table =
                    RopeTable::new(&rope, at, vec![T::ZERO; layout.rotary_dim()]).expect("a table");
                let (cos, sin) = table.row(at).expect("a row");
                for (pair, &turns) in turns.iter().enumerate() {
                    let (exact_sin, exact_cos) = definition::sin_cos(turns, at);
                    let errors = [
                        difference(sin[pair].value(), exact_sin),
                        difference(cos[pair].value(), exact_cos),
                    ];
                    let error = errors[0].max(errors[1]) / T::UNIT;
                    worst = (
                        worst.0.max(errors[0] / T::UNIT),
                        worst.1.max(errors[1] / T::UNIT),
                    );
                    assert!(
                        error <= T::bound("rope tables"),
                        "base {b} pair {pair} position {at} {cpu:?}: sin {:?} cos {:?}, expected {exact_sin:?} {exact_cos:?}: off by {error}",
                        sin[pair],
                        cos[pair],
                    );
                }
            }
        }
    }
    println!("worst: sin {:.4}, cos {:.4} units", worst.0, worst.1);
}

#[cfg(feature = "micromath")]
#[test]
fn tables_by_micromath_hold_their_bound_at_every_position() {
    use suanzi::position::Micromath;

    let layout = HeadLayout::new(64, Pairing::HalfSplit).expect("a layout");
    let rope = Rope::<f32, _>::new(layout, &Base::default(), [0; 32]).expect("an encoding");
    let mut worst = 0.0_f64;
    for first in [0, 1 << 20, i32::MAX - 2047, i32::MIN] {
        let exact = RopeTable::new(&rope, first, vec![0.0; 2048 * 64]).expect("a table");
        let coarse = RopeTable::filled_by::<Micromath, _>(&rope, first, vec![0.0; 2048 * 64]);
        let coarse = coarse.expect("a table");
        for at in first..=first + 2047 {
            let ((cos, sin), (c, s)) = (
                exact.row(at).expect("a row"),
                coarse.row(at).expect("a row"),
            );
            for (exact, coarse) in cos.iter().chain(sin).zip(c.iter().chain(s)) {
                worst = worst.max(f64::from((exact - coarse).abs()) * 1024.0);
            }
        }
    }
    println!("worst: {worst:.4} units");
    assert!(
        worst > 0.0 && worst <= bound32("rope tables by micromath"),
        "{worst}"
    );
}

#[test]
fn tables_in_f32_are_right_at_every_position() {
    tables_are_right::<f32>(40);
}

#[test]
fn tables_in_f64_are_right_at_every_position() {
    tables_are_right::<f64>(20);
}

#[test]
#[ignore = "slow: thousands of positions of every encoding"]
fn tables_are_right_at_many_positions() {
    tables_are_right::<f32>(5000);
    tables_are_right::<f64>(5000);
}

/// Checks the heads in `got` against the definition, relative to the length of each pair.
fn check_heads<T: Number>(
    what: &str,
    layout: HeadLayout,
    turns: &[u128],
    at: i32,
    x: &[T],
    got: &[T],
) {
    let interleaved = layout.pairing() == Pairing::Interleaved;
    let angles: Vec<(Wide, Wide)> = turns
        .iter()
        .map(|&turns| definition::sin_cos(turns, at))
        .collect();
    let heads = x
        .chunks(layout.head_dim())
        .zip(got.chunks(layout.head_dim()));
    for (x, got) in heads {
        let x: Vec<f64> = x.iter().map(|x| x.value()).collect();
        let expected = definition::rotate(&x, &angles, interleaved);
        for i in 0..layout.head_dim() {
            let partner = match layout.pairing() {
                _ if i >= layout.rotary_dim() => i,
                Pairing::Interleaved => i ^ 1,
                Pairing::HalfSplit => (i + layout.pairs()) % layout.rotary_dim(),
            };
            let unit = T::UNIT * x[i].hypot(x[partner]).max(f64::MIN_POSITIVE);
            let error = difference(got[i].value(), expected[i]) / unit;
            assert!(
                error <= T::bound("rope"),
                "{what}: element {i} at {at}: {:?}, expected {:?}: off by {error}",
                got[i],
                expected[i]
            );
        }
    }
}

fn rotations_are_right<T: Number>() {
    let mut random = Random(11);
    let encodings = definition::frequencies();
    for cpu in executors() {
        for (b, turns) in &encodings {
            for pairing in PAIRINGS {
                for rest in [0, 3] {
                    let layout = layout(2 * turns.len() + rest, 2 * turns.len(), pairing);
                    let rope = base::<T>(layout, *b).on(cpu);
                    for heads in [1, 2, 9, 17] {
                        let at = random.position();
                        let x: Vec<T> = random.numbers(heads * layout.head_dim());
                        let what = format!("base {b} {layout:?} {heads} heads {cpu:?}");

                        let mut on_the_fly = x.clone();
                        rope.rotate(at, &mut on_the_fly[..]).expect("a rotation");
                        check_heads(&what, layout, turns, at, &x, &on_the_fly);

                        let first = at.saturating_sub(1).min(i32::MAX - 2);
                        let table =
                            vec![T::ZERO; RopeTable::<T, ()>::table_len(3, layout.rotary_dim())];
                        let table = RopeTable::new(&rope, first, table).expect("a table");
                        let mut from_table = x.clone();
                        table.rotate(at, &mut from_table[..]).expect("a rotation");
                        check_heads(&what, layout, turns, at, &x, &from_table);
                        let mut into = vec![T::ONE; x.len()];
                        table.rotate_into(at, &x, &mut into).expect("a rotation");
                        assert_eq!(bits(&into), bits(&from_table), "{what}: out of place");
                        rope.rotate_into(at, &x, &mut into).expect("a rotation");
                        assert_eq!(bits(&into), bits(&on_the_fly), "{what}: out of place");
                        if !cpu.is_fused() {
                            assert_eq!(bits(&from_table), bits(&on_the_fly), "{what}: table");
                        }

                        let mut back = from_table.clone();
                        table.unrotate(at, &mut back[..]).expect("a rotation");
                        check_inverse(&what, layout, &x, &back);
                        rope.unrotate(at, &mut on_the_fly[..]).expect("a rotation");
                        check_inverse(&what, layout, &x, &on_the_fly);
                    }
                }
            }
        }
    }
}

/// Checks a rotation there and back, each of which may be off by the bound.
fn check_inverse<T: Number>(what: &str, layout: HeadLayout, x: &[T], back: &[T]) {
    let greatest = x.iter().map(|x| x.value().abs()).fold(0.0, f64::max);
    for (i, (x, back)) in x.iter().zip(back).enumerate() {
        let error = (x.value() - back.value()).abs() / (T::UNIT * greatest * 2.0_f64.sqrt());
        assert!(
            error <= 2.0 * T::bound("rope"),
            "{what}: {i} comes back as {back:?}, was {x:?}"
        );
        if i % layout.head_dim() >= layout.rotary_dim() {
            assert_eq!(x, back, "{what}: {i} passes through");
        }
    }
}

#[test]
fn rotations_in_f32_are_right() {
    rotations_are_right::<f32>();
}

#[test]
fn rotations_in_f64_are_right() {
    rotations_are_right::<f64>();
}

fn every_level_gives_the_same_bits<T: Number>() {
    let mut random = Random(5);
    for (head_dim, rotary_dim) in [
        (2, 2),
        (6, 6),
        (8, 4),
        (66, 66),
        (80, 80),
        (128, 128),
        (131, 70),
    ] {
        for pairing in PAIRINGS {
            let layout = layout(head_dim, rotary_dim, pairing);
            let mut x: Vec<T> = random.numbers(3 * head_dim);
            for special in [
                T::NAN,
                -T::NAN,
                T::INFINITY,
                T::NEG_INFINITY,
                -T::ZERO,
                T::from_f64(1e-42),
            ] {
                let at = random.bits() as usize % x.len();
                x[at] = special;
            }
            let at = random.position().clamp(i32::MIN + 2, i32::MAX - 2);
            let run = |cpu: Cpu| {
                let rope = base::<T>(layout, 10_000.0).on(cpu);
                let mut all = Vec::new();
                let table =
                    RopeTable::new(&rope, at - 1, vec![T::ZERO; 3 * rotary_dim]).expect("a table");
                for position in at - 1..=at + 1 {
                    let (cos, sin) = table.row(position).expect("a row");
                    all.extend([bits(cos), bits(sin)].concat());
                }
                let positions = [at + 1, at - 1, at];
                for encoding in [&rope as &dyn PositionEncoding<[T], Position = i32>, &table] {
                    let mut y = x.clone();
                    encoding.rotate(at, &mut y[..]).expect("a rotation");
                    all.extend(bits(&y));
                    encoding.unrotate(at, &mut y[..]).expect("a rotation");
                    all.extend(bits(&y));
                }
                let mut y = x.clone();
                rope.rotate_each(positions, &mut y).expect("rotations");
                all.extend(bits(&y));
                table
                    .rotate_each_into(positions, &x, &mut y)
                    .expect("rotations");
                all.extend(bits(&y));
                rope.shift(-7, &mut y).expect("a rotation");
                all.extend(bits(&y));
                for y in y.chunks(head_dim).flat_map(|head| &head[..rotary_dim]) {
                    assert!(
                        !y.is_nan() || y.representation() == T::NAN.representation(),
                        "{y:?} is not the one NaN"
                    );
                }
                all
            };
            let expected = run(Cpu::scalar());
            for level in Level::ALL {
                match Cpu::with(level) {
                    Ok(cpu) => assert_eq!(run(cpu), expected, "{level:?} {layout:?} at {at}"),
                    Err(_) => eprintln!("SKIPPED: {level:?} is not on this machine"),
                }
            }
        }
    }
}

#[test]
fn every_level_gives_the_same_bits_in_f32() {
    every_level_gives_the_same_bits::<f32>();
}

#[test]
fn every_level_gives_the_same_bits_in_f64() {
    every_level_gives_the_same_bits::<f64>();
}

#[test]
fn tokens_rotate_by_their_own_positions() {
    let mut random = Random(3);
    for pairing in PAIRINGS {
        let layout = layout(10, 8, pairing);
        let rope = base::<f32>(layout, 10_000.0);
        let table = RopeTable::new(&rope, -4, [0.0; 9 * 8]).expect("a table");
        assert_eq!((table.positions(), table.first()), (9, -4));
        let x: Vec<f32> = random.numbers(9 * 3 * 10);
        let mut each = x.clone();
        table.rotate_each(-4..5, &mut each).expect("rotations");
        let mut expected = x.clone();
        for (token, at) in expected.chunks_mut(30).zip(-4..5) {
            rope.rotate(at, token).expect("a rotation");
        }
        assert_eq!(bits(&each), bits(&expected));
        let mut on_the_fly = x.clone();
        rope.rotate_each(-4..5, &mut on_the_fly).expect("rotations");
        assert_eq!(bits(&on_the_fly), bits(&expected));
        let mut into = vec![0.0; x.len()];
        table
            .rotate_each_into(-4..5, &x, &mut into)
            .expect("rotations");
        assert_eq!(bits(&into), bits(&expected));
    }
}

#[test]
fn rotation_preserves_norms() {
    let mut random = Random(13);
    for cpu in executors() {
        for pairing in PAIRINGS {
            let layout = layout(64, 64, pairing);
            let x: Vec<f32> = random.numbers(64);
            let mut y = x.clone();
            base::<f32>(layout, 10_000.0)
                .on(cpu)
                .rotate(random.position(), &mut y[..])
                .expect("a rotation");
            let norm = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let error = (norm(&y) / norm(&x) - 1.0).abs() / f32::UNIT;
            assert!(
                error <= 2.0 * bound32("rope"),
                "{cpu:?}: the norm is off by {error}"
            );
        }
    }
}

#[test]
fn negative_positions_turn_back() {
    let mut random = Random(17);
    for pairing in PAIRINGS {
        let layout = layout(64, 64, pairing);
        let rope = base::<f64>(layout, 10_000.0);
        let single = base::<f32>(layout, 10_000.0);
        for _ in 0..20 {
            let at = random.position().max(-i32::MAX);
            let x: Vec<f64> = random.numbers(64);
            let mut there = x.clone();
            rope.rotate(at, &mut there[..]).expect("a rotation");
            rope.rotate(-at, &mut there[..]).expect("a rotation");
            check_inverse("f64", layout, &x, &there);
            let x: Vec<f32> = random.numbers(64);
            let mut there = x.clone();
            single.rotate(at, &mut there[..]).expect("a rotation");
            single.rotate(-at, &mut there[..]).expect("a rotation");
            check_inverse("f32", layout, &x, &there);
        }
    }
}

#[test]
fn a_shift_moves_rotated_heads() {
    let mut random = Random(19);
    let encodings = definition::frequencies();
    let (b, turns) = &encodings[0];
    for cpu in executors() {
        for pairing in PAIRINGS {
            let layout = layout(2 * turns.len(), 2 * turns.len(), pairing);
            let rope = base::<f32>(layout, *b).on(cpu);
            for (at, offset) in [(100, -100), (5, 1_000_000), (-7, 7), (i32::MAX - 1, -12345)] {
                let x: Vec<f32> = random.numbers(3 * layout.head_dim());
                let mut y = x.clone();
                rope.rotate(at, &mut y[..]).expect("a rotation");
                let once = y.clone();
                rope.shift(offset, &mut y).expect("a rotation");
                // The shift is right for the rotated heads that it was given.
                check_heads("shift", layout, turns, offset, &once, &y);
                let mut direct = x.clone();
                rope.rotate(at + offset, &mut direct[..])
                    .expect("a rotation");
                check_inverse("shift", layout, &direct, &y);
            }
        }
    }
}

#[test]
fn pairings_agree_after_the_permutation() {
    let mut random = Random(23);
    for (head_dim, rotary_dim) in [(2, 2), (10, 6), (64, 64), (80, 32)] {
        let [half, interleaved] = PAIRINGS.map(|pairing| layout(head_dim, rotary_dim, pairing));
        let x: Vec<f32> = random.numbers(3 * head_dim);
        let mut permuted = vec![0.0; x.len()];
        half.permute_rows(Pairing::Interleaved, &x, 1, &mut permuted)
            .expect("a permutation");
        let mut back = vec![0.0; x.len()];
        interleaved
            .permute_rows(Pairing::HalfSplit, &permuted, 1, &mut back)
            .expect("a permutation");
        assert_eq!(back, x);

        let mut y = x.clone();
        base::<f32>(half, 10_000.0)
            .rotate(77, &mut y[..])
            .expect("a rotation");
        base::<f32>(interleaved, 10_000.0)
            .rotate(77, &mut permuted[..])
            .expect("a rotation");
        half.permute_rows(Pairing::Interleaved, &y, 1, &mut back)
            .expect("a permutation");
        assert_eq!(bits(&back), bits(&permuted));
        for i in 0..head_dim {
            assert_eq!(
                half.index_in(
                    Pairing::Interleaved,
                    interleaved.index_in(Pairing::HalfSplit, i)
                ),
                i
            );
            assert_eq!(half.index_in(Pairing::HalfSplit, i), i);
        }
    }
    // Rows of a weight matrix, two heads of four rows of three.
    let rows: Vec<u8> = (0..24).collect();
    let mut out = vec![0; 24];
    let half = layout(4, 4, Pairing::HalfSplit);
    half.permute_rows(Pairing::Interleaved, &rows, 3, &mut out)
        .expect("a permutation");
    assert_eq!(out[..12], [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11]);
    assert_eq!(out[12..15], [12, 13, 14]);
}

#[test]
fn the_temperature_scales_and_unscales() {
    let mut random = Random(29);
    let frequencies = [1.0, 0.25, 0.01];
    let (plain, hot) = (
        Radians::new(&frequencies).expect("frequencies"),
        Radians::new(&frequencies)
            .and_then(|f| f.with_temperature(2.0))
            .expect("frequencies"),
    );
    for pairing in PAIRINGS {
        let layout = layout(6, 6, pairing);
        let x: Vec<f32> = random.numbers(12);
        let (cold, hot) = (rope::<f32>(layout, &plain), rope::<f32>(layout, &hot));
        let (mut y, mut z) = (x.clone(), x.clone());
        cold.rotate(9, &mut y[..]).expect("a rotation");
        hot.rotate(9, &mut z[..]).expect("a rotation");
        assert_eq!(z, y.iter().map(|y| 2.0 * y).collect::<Vec<_>>());
        let mut shifted = z.clone();
        hot.shift(-9, &mut shifted).expect("a rotation");
        let doubled: Vec<f32> = x.iter().map(|x| 2.0 * x).collect();
        check_inverse("shift", layout, &doubled, &shifted);
        let table = RopeTable::new(&hot, 9, [0.0; 6]).expect("a table");
        let mut w = x.clone();
        table.rotate(9, &mut w[..]).expect("a rotation");
        assert_eq!(w, z);
        table.unrotate(9, &mut w[..]).expect("a rotation");
        hot.unrotate(9, &mut z[..]).expect("a rotation");
        check_inverse("table", layout, &x, &w);
        check_inverse("on the fly", layout, &x, &z);
    }
}

#[test]
fn rotations_at_a_temperature_are_right() {
    let mut random = Random(21);
    let turns = definition::frequencies().swap_remove(0).1;
    let listed: Vec<f64> = turns
        .iter()
        .map(|&t| t as f64 / 2.0_f64.powi(128))
        .collect();
    let listed: Vec<f64> = listed.iter().map(|t| t * core::f64::consts::TAU).collect();
    let mut worst = (0.0_f64, 0.0_f64);
    for temperature in [1.05, 1.190_238_071_423_808_3, 1.368_887_945_411_393_6, 0.8] {
        let warm = Radians::new(&listed).and_then(|r| r.with_temperature(temperature));
        let warm = warm.expect("a list");
        let exact: Vec<Turns> = warm.turns(listed.len()).collect();
        let layout = layout(2 * listed.len(), 2 * listed.len(), Pairing::HalfSplit);
        let rope = rope::<f32>(layout, &warm);
        for _ in 0..300 {
            let at = random.position();
            let sin_cos: Vec<(Wide, Wide)> = exact
                .iter()
                .map(|turns| turns.parts())
                .map(|(high, low)| u128::from(high) << 64 | u128::from(low))
                .map(|turns| definition::sin_cos(turns, at))
                .collect();
            let table = RopeTable::new(&rope, at, vec![0.0; layout.rotary_dim()]).expect("a table");
            let (cos, sin) = table.row(at).expect("a row");
            for (pair, (exact_sin, exact_cos)) in sin_cos.iter().enumerate() {
                for (got, exact) in [(sin[pair], exact_sin), (cos[pair], exact_cos)] {
                    let error = f64::from(got) / temperature - exact.high - exact.low;
                    worst.0 = worst.0.max(error.abs() / f32::UNIT);
                }
            }
            let x: Vec<f32> = random.numbers(layout.head_dim());
            let mut y = x.clone();
            rope.rotate(at, &mut y[..]).expect("a rotation");
            let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
            let rotated = definition::rotate(&x, &sin_cos, false);
            let pairs = layout.pairs();
            for (i, (&y, exact)) in y.iter().zip(&rotated).enumerate() {
                let length = x[i % pairs].hypot(x[i % pairs + pairs]);
                let error = f64::from(y) / temperature - exact.high;
                worst.1 = worst.1.max(error.abs() / length / f32::UNIT);
            }
        }
    }
    println!("worst: {:.3} in tables, {:.3} rotated", worst.0, worst.1);
    assert!(
        worst.0 <= bound32("rope tables at a temperature"),
        "{}",
        worst.0
    );
    assert!(worst.1 <= bound32("rope at a temperature"), "{}", worst.1);
}

#[test]
fn temperatures_beyond_the_number_type_are_refused() {
    let layout = layout(8, 8, Pairing::HalfSplit);
    for temperature in [1e-50, 1e-25, 1e25, 1e39] {
        let listed = Radians::new(&[1.0; 4]).and_then(|r| r.with_temperature(temperature));
        let listed = listed.expect("a list");
        let refused = Some(Error::Domain(Parameter::Temperature));
        assert_eq!(Rope::<f32, _>::new(layout, &listed, [0; 4]).err(), refused);
        assert!(Rope::<f64, _>::new(layout, &listed, [0; 4]).is_ok());
    }
}

/// Checks that heads beyond all caches turn as tokens by themselves do.
fn far_heads_turn_alike<X: suanzi::position::HeadElement<f32> + PartialEq>(
    narrow: impl Fn(f32) -> X,
) {
    const HEADS: usize = 21;
    const TOKENS: usize = 400;
    let mut random = Random(13);
    for (pairing, dim, rotary) in [
        (Pairing::HalfSplit, 128, 128),
        (Pairing::Interleaved, 128, 128),
        (Pairing::Interleaved, 130, 100),
        (Pairing::HalfSplit, 131, 102),
    ] {
        let layout = layout(dim, rotary, pairing);
        let rope = base::<f32>(layout, 10_000.0);
        let table = RopeTable::new(&rope, 0, vec![0.0; TOKENS * rotary]).expect("a table");
        let x: Vec<X> = random
            .numbers(TOKENS * HEADS * dim)
            .into_iter()
            .map(&narrow)
            .collect();
        assert!(x.len() > 1 << 20, "beyond what counts as near");
        let positions = 0..TOKENS as i32;
        for cpu in executors() {
            let (rope, table) = (rope.clone().on(cpu), table.clone().on(cpu));
            let [mut y, mut z, mut out] = [x.clone(), x.clone(), vec![narrow(0.0); x.len()]];
            table
                .rotate_each(positions.clone(), &mut y[..])
                .expect("rotations");
            rope.rotate_each(positions.clone(), &mut z[..])
                .expect("rotations");
            table
                .rotate_each_into(positions.clone(), &x, &mut out)
                .expect("rotations");
            assert!(y == out, "{layout:?} {cpu:?}");
            if !cpu.is_fused() {
                assert!(y == z, "{layout:?} {cpu:?}");
            }
            for (at, (x, y)) in x.chunks(HEADS * dim).zip(y.chunks(HEADS * dim)).enumerate() {
                let mut alone = x.to_vec();
                table.rotate(at as i32, &mut alone[..]).expect("a rotation");
                assert!(y == alone, "{layout:?} {cpu:?}, token {at}");
            }
        }
    }
}

#[test]
fn far_heads_in_f32_turn_alike() {
    far_heads_turn_alike(|x| x);
}

#[test]
fn far_heads_in_f16_turn_alike() {
    far_heads_turn_alike(suanzi::storage::F16::from_f32);
}

#[test]
fn radians_become_turns() {
    assert_eq!(Turns::from_radians(0.0), Ok(Turns::ZERO));
    let one = Turns::from_radians(1.0).expect("turns");
    assert_eq!(Some(one), Base::default().turns(4).next());
    let (high, low) = one.parts();
    assert_eq!(Turns::from_parts(high, low), one);
    let (high, low) = Turns::from_radians(-1.0).expect("turns").parts();
    let sum = u128::from(high) << 64 | u128::from(low);
    let (high, low) = one.parts();
    assert_eq!(
        sum.wrapping_add(u128::from(high) << 64 | u128::from(low)),
        0
    );
    // 2^63 radians: 1467951664577156041.71545... turns.
    let far = Turns::from_radians((2.0_f64).powi(63))
        .expect("turns")
        .parts()
        .0;
    assert_eq!(
        far >> 44,
        one.scaled((2.0_f64).powi(63)).expect("turns").parts().0 >> 44
    );
    let quarter = one.scaled(0.25).expect("turns");
    assert_eq!(quarter, Turns::from_radians(0.25).expect("turns"));
    assert_eq!(Turns::from_radians(1e-300).expect("turns"), Turns::ZERO);
    for wrong in [f64::NAN, f64::INFINITY, 1e20] {
        assert_eq!(
            Turns::from_radians(wrong),
            Err(Error::Domain(Parameter::Frequency))
        );
        assert_eq!(one.scaled(-wrong), Err(Error::Domain(Parameter::Frequency)));
    }
}

#[test]
fn bad_arguments_are_refused_and_write_nothing() {
    let domain = |parameter| Some(Error::Domain(parameter));
    for wrong in [1.0, 0.0, -2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Base::new(wrong).err(), domain(Parameter::Base));
    }
    assert_eq!(
        HeadLayout::new(0, Pairing::HalfSplit).err(),
        domain(Parameter::HeadDim)
    );
    for (head_dim, rotary_dim) in [(3, 3), (4, 0), (4, 3), (4, 6)] {
        let error = HeadLayout::partial(head_dim, rotary_dim, Pairing::Interleaved).err();
        assert_eq!(error, domain(Parameter::RotaryDim));
    }
    assert_eq!(
        Radians::new(&[1.0, f64::NAN]).err(),
        domain(Parameter::Frequency)
    );
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Radians::new(&[1.0])
            .and_then(|f| f.with_temperature(wrong))
            .err();
        assert_eq!(error, domain(Parameter::Temperature));
    }

    let layout = layout(8, 8, Pairing::HalfSplit);
    let length = |expected, found| Some(Error::Length { expected, found });
    let multiple = |of, found| Some(Error::Multiple { of, found });
    let mut storage = [7_u64; 5];
    assert_eq!(
        Rope::<f32, _>::new(layout, &Base::default(), &mut storage[..]).err(),
        length(4, 5)
    );
    let few = Radians::new(&[1.0; 3]).expect("frequencies");
    assert_eq!(
        Rope::<f32, _>::new(layout, &few, &mut storage[..4]).err(),
        length(4, 3)
    );
    assert_eq!(storage, [7; 5]);

    let rope = base::<f32>(layout, 10_000.0);
    let mut x = [5.0_f32; 20];
    let mut out = [6.0_f32; 20];
    assert_eq!(rope.rotate(1, &mut x[..]).err(), multiple(8, 20));
    assert_eq!(rope.unrotate(1, &mut x[..]).err(), multiple(8, 20));
    assert_eq!(rope.shift(1, &mut x[..]).err(), multiple(8, 20));
    assert_eq!(rope.rotate_into(1, &x, &mut out).err(), multiple(8, 20));
    assert_eq!(
        rope.rotate_into(1, &x[..16], &mut out).err(),
        length(16, 20)
    );
    assert_eq!(rope.rotate_each(0..3, &mut x[..16]).err(), multiple(24, 16));
    assert_eq!(rope.rotate_each(0..0, &mut x[..16]).err(), multiple(0, 16));

    assert_eq!(RopeTable::new(&rope, 0, &mut x[..]).err(), multiple(8, 20));
    assert_eq!(
        RopeTable::new(&rope, i32::MAX, &mut x[..16]).err(),
        domain(Parameter::Position)
    );
    assert_eq!(
        RopeTable::from_rows(layout, 0, &x[..]).err(),
        multiple(8, 20)
    );
    assert_eq!(
        RopeTable::from_rows(layout, i32::MAX, &x[..16]).err(),
        domain(Parameter::Position)
    );
    assert_eq!(x, [5.0; 20]);
    let mut table = RopeTable::new(&rope, 10, [0.0; 24]).expect("a table");
    let before = table;
    let other = base::<f32>(self::layout(8, 4, Pairing::HalfSplit), 10_000.0);
    assert_eq!(table.fill(&other, 0).err(), domain(Parameter::RotaryDim));
    assert_eq!(
        table.fill(&rope, i32::MAX - 1).err(),
        domain(Parameter::Position)
    );
    assert_eq!(
        (table.first(), table.row(12)),
        (before.first(), before.row(12))
    );
    for at in [9, 13, -10, i32::MIN, i32::MAX] {
        assert_eq!(
            table.rotate(at, &mut x[..16]).err(),
            domain(Parameter::Position)
        );
        assert_eq!(
            table.unrotate(at, &mut x[..16]).err(),
            domain(Parameter::Position)
        );
        assert_eq!(table.row(at).err(), domain(Parameter::Position));
        assert_eq!(
            table.rotate_each([10, at], &mut x[..16]).err(),
            domain(Parameter::Position)
        );
        assert_eq!(
            table
                .rotate_each_into([10, at], &x[..16], &mut out[..16])
                .err(),
            domain(Parameter::Position)
        );
    }
    assert_eq!(table.rotate(10, &mut x[..]).err(), multiple(8, 20));
    assert_eq!(table.unrotate(10, &mut x[..]).err(), multiple(8, 20));
    assert_eq!(
        table.rotate_into(10, &x[..16], &mut out).err(),
        length(16, 20)
    );
    assert_eq!((x, out), ([5.0; 20], [6.0; 20]));
    table.rotate_each([], &mut [0.0_f32; 0]).expect("no tokens");
    table
        .rotate_each([12], &mut [0.0_f32; 0])
        .expect("no heads");
    rope.rotate(3, &mut [0.0_f32; 0]).expect("no heads");
    assert_eq!(
        RopeTable::new(&rope, i32::MAX, [0.0; 8]).map(|t| t.positions()),
        Ok(1)
    );
    assert_eq!(RopeTable::<f32, ()>::table_len(usize::MAX, 2), usize::MAX);

    let mut out = [0_u8; 8];
    assert_eq!(
        layout
            .permute_rows(Pairing::Interleaved, &[1_u8; 8], 0, &mut out)
            .err(),
        domain(Parameter::Shape)
    );
    assert_eq!(
        layout
            .permute_rows(Pairing::Interleaved, &[1_u8; 9], 1, &mut out)
            .err(),
        multiple(8, 9)
    );
    assert_eq!(
        layout
            .permute_rows(Pairing::Interleaved, &[1_u8; 16], 1, &mut out)
            .err(),
        length(16, 8)
    );
    assert_eq!(out, [0; 8]);
}

#[test]
fn golden_tables_agree() {
    for case in golden::read("rope_tables.gv") {
        let get = |name: &str| case.get(name).unwrap_or_default();
        let (base, inverse, temperature) =
            (get("base")[0], get("inv_freq"), get("attention_factor")[0]);
        let layout = layout(2 * inverse.len(), 2 * inverse.len(), Pairing::HalfSplit);
        let listed = Radians::new(inverse)
            .and_then(|f| f.with_temperature(temperature))
            .expect("frequencies");
        let plain = case.key("kind") == Some("default");
        for cpu in executors() {
            for (row, &at) in get("pos").iter().enumerate() {
                let at = at as i32;
                let rows = row * inverse.len()..(row + 1) * inverse.len();
                let (cos, sin) = (&get("cos")[rows.clone()], &get("sin")[rows]);
                let check = |got: &[f32], expected: &[f64]| {
                    for (got, expected) in got.iter().zip(expected) {
                        let bound = bound32(if temperature == 1.0 {
                            "rope tables"
                        } else {
                            "rope tables at a temperature"
                        });
                        let error = (f64::from(*got) - expected).abs() / (f32::UNIT * temperature);
                        assert!(
                            error <= bound,
                            "{} at {at} {cpu:?}: {got}, expected {expected}",
                            case.head
                        );
                    }
                };
                let mut ropes = vec![rope::<f32>(layout, &listed).on(cpu)];
                if plain {
                    ropes.push(self::base::<f32>(layout, base).on(cpu));
                    let rope = self::base::<f64>(layout, base).on(cpu);
                    let table =
                        RopeTable::new(&rope, at, vec![0.0; layout.rotary_dim()]).expect("a table");
                    let (got_cos, got_sin) = table.row(at).expect("a row");
                    for (got, expected) in got_cos.iter().chain(got_sin).zip(cos.iter().chain(sin))
                    {
                        // The file rounds to f64 itself.
                        let error = (got - expected).abs() / f64::UNIT;
                        assert!(
                            error <= bound64("rope tables") + 1.0,
                            "{} at {at}: {got}, {expected}",
                            case.head
                        );
                    }
                }
                for rope in ropes {
                    let table =
                        RopeTable::new(&rope, at, vec![0.0; layout.rotary_dim()]).expect("a table");
                    let (got_cos, got_sin) = table.row(at).expect("a row");
                    check(got_cos, cos);
                    check(got_sin, sin);
                }
            }
        }
    }
}

#[test]
fn golden_rotations_agree() {
    for case in golden::read("rope_rotate.gv") {
        let get = |name: &str| case.get(name).unwrap_or_default();
        let x = case.get32("x");
        let at = get("pos")[0] as i32;
        for (pairing, name) in PAIRINGS.into_iter().zip(["half", "interleaved"]) {
            let layout = layout(x.len(), get("rotary_dim")[0] as usize, pairing);
            for cpu in executors() {
                let rope = base::<f32>(layout, get("base")[0]).on(cpu);
                let (mut y, mut z) = (x.clone(), x.clone());
                rope.rotate(at, &mut y[..]).expect("a rotation");
                rope.unrotate(at, &mut z[..]).expect("a rotation");
                for (got, field) in [(y, format!("y_{name}")), (z, format!("inv_{name}"))] {
                    for (i, (got, expected)) in got.iter().zip(get(&field)).enumerate() {
                        let partner = match pairing {
                            _ if i >= layout.rotary_dim() => i,
                            Pairing::Interleaved => i ^ 1,
                            Pairing::HalfSplit => (i + layout.pairs()) % layout.rotary_dim(),
                        };
                        let unit = f32::UNIT * f64::from(x[i]).hypot(x[partner].into());
                        let error = (f64::from(*got) - expected).abs() / unit;
                        assert!(
                            error <= bound32("rope"),
                            "{} {field}[{i}] {cpu:?}: {got}, {expected}",
                            case.head
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn golden_scores_depend_on_the_distance_alone() {
    for case in golden::read("rope_relative.gv") {
        let get = |name: &str| case.get(name).unwrap_or_default();
        let (q, k) = (case.get32("q"), case.get32("k"));
        let norm = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        for (pairing, name) in PAIRINGS.into_iter().zip(["score_half", "score"]) {
            let rope = base::<f32>(layout(q.len(), q.len(), pairing), get("base")[0]);
            for cpu in executors() {
                let rope = rope.clone().on(cpu);
                for (positions, expected) in get("m_n").chunks(2).zip(get(name)) {
                    let (mut q, mut k) = (q.clone(), k.clone());
                    rope.rotate(positions[0] as i32, &mut q[..])
                        .expect("a rotation");
                    rope.rotate(positions[1] as i32, &mut k[..])
                        .expect("a rotation");
                    let score: f64 = q
                        .iter()
                        .zip(&k)
                        .map(|(&q, &k)| f64::from(q) * f64::from(k))
                        .sum();
                    let error = (score - expected).abs() / (f32::UNIT * norm(&q) * norm(&k));
                    assert!(
                        error <= bound32("rope score"),
                        "{} {name} {cpu:?}: {score}, {expected}",
                        case.head
                    );
                }
            }
        }
    }
}

#[test]
fn conformance_cases_agree() {
    let cases = conformance::cases("RotaryEmbedding");
    let mut passed = 0;
    for case in &cases {
        let [input, cos, sin] =
            ["input", "cos_cache", "sin_cache"].map(|name| case.input(name).expect("an input"));
        let (x, cos_cache, sin_cache) = (input.f32s(), cos.f32s(), sin.f32s());
        let expected = case.outputs[0].f32s();
        let pairs = *cos.shape.last().expect("a shape");
        let rows: Vec<f32> = cos_cache
            .chunks(pairs)
            .zip(sin_cache.chunks(pairs))
            .flat_map(|(cos, sin)| [cos, sin].concat())
            .collect();
        let pairing = PAIRINGS[usize::from(case.integer("interleaved") != 0)];
        // [batch, heads, tokens, dim] or [batch, tokens, heads * dim], as strides of token and head.
        let (batches, heads, tokens, dim) = match input.shape[..] {
            [b, h, t, d] => (b, h, t, d),
            [b, t, hd] => (
                b,
                case.integer("num_heads"),
                t,
                hd / case.integer("num_heads"),
            ),
            _ => panic!("{}: an unknown shape", case.name),
        };
        let tokens_first = input.shape.len() == 3;
        let layout = layout(dim, 2 * pairs, pairing);
        let table = RopeTable::from_rows(layout, 0, &rows[..]).expect("a table");
        let positions: Vec<i32> = match case.input("position_ids") {
            Some(ids) => ids.i64s().iter().map(|&at| at as i32).collect(),
            None => (0..(batches * tokens) as i32).collect(),
        };
        for cpu in executors() {
            let table = table.on(cpu);
            let mut y = x.clone();
            for (y, positions) in y
                .chunks_mut(heads * tokens * dim)
                .zip(positions.chunks(tokens))
            {
                let positions = positions.iter().copied();
                if tokens_first {
                    table.rotate_each(positions, y).expect("rotations");
                } else {
                    for head in y.chunks_mut(tokens * dim) {
                        table
                            .rotate_each(positions.clone(), head)
                            .expect("rotations");
                    }
                }
            }
            for (got, expected) in y.iter().zip(&expected) {
                let (got, expected) = (f64::from(*got), f64::from(*expected));
                assert!(
                    (got - expected).abs() <= case.absolute + case.relative * expected.abs(),
                    "{} {cpu:?}: {got}, expected {expected}",
                    case.name
                );
            }
        }
        passed += 1;
    }
    assert!(passed == 8 || cases.is_empty(), "{passed} of 8 cases ran");
    println!("{passed} conformance cases");
}

/// Rows of 24 pairs at 256 positions, computed by the compiler.
static CONSTANT: [f32; 256 * 48] = match Base::new(10_000.0) {
    Ok(base) => match rope_rows(&base.list::<24>(), -100) {
        Ok(rows) => rows,
        Err(_) => panic!("rows of 48"),
    },
    Err(_) => panic!("a base above one"),
};

#[test]
fn tables_in_constants_have_the_same_bits() {
    let layout = layout(48, 48, Pairing::HalfSplit);
    for cpu in executors() {
        let rope = base::<f32>(layout, 10_000.0).on(cpu);
        let table = RopeTable::new(&rope, -100, vec![0.0; 256 * 48]).expect("a table");
        let lent = RopeTable::from_rows(layout, -100, &CONSTANT).expect("a table");
        for at in -100..156 {
            let (got, expected) = (lent.row(at).expect("a row"), table.row(at).expect("a row"));
            // Fused operations round once less.
            if !cpu.is_fused() {
                assert_eq!(bits(got.0), bits(expected.0), "{at} {cpu:?}");
                assert_eq!(bits(got.1), bits(expected.1), "{at} {cpu:?}");
            }
        }
    }
    // At every distance, evaluated like any other function.
    let list = Base::default().list::<24>();
    let mut random = Random(77);
    let mut positions: Vec<i32> = (0..2000).map(|_| random.position()).collect();
    positions.extend([i32::MAX, i32::MIN, -1, 0]);
    let rope = base::<f32>(layout, 10_000.0);
    for at in positions {
        let rows = rope_rows::<48>(&list, at).expect("a row");
        let table = RopeTable::new(&rope, at, vec![0.0; 48]).expect("a table");
        let (cos, sin) = table.row(at).expect("a row");
        assert_eq!(bits(&rows), [bits(cos), bits(sin)].concat(), "{at}");
    }
    assert_eq!(
        Base::default().list::<24>().to_vec(),
        Base::default().turns(24).collect::<Vec<_>>()
    );
}

#[test]
fn rows_in_constants_refuse_what_does_not_fit() {
    let list = Base::default().list::<2>();
    assert_eq!(
        rope_rows::<6>(&list, 0),
        Err(Error::Multiple { of: 4, found: 6 })
    );
    assert_eq!(
        rope_rows::<4>(&[], 0),
        Err(Error::Multiple { of: 0, found: 4 })
    );
    assert_eq!(
        rope_rows::<8>(&list, i32::MAX),
        Err(Error::Domain(Parameter::Position))
    );
    assert_eq!(rope_rows::<0>(&list, i32::MAX), Ok([]));
    assert!(rope_rows::<8>(&list, i32::MAX - 1).is_ok());
}

#[test]
fn tables_by_rotor_are_right_and_the_same_on_every_level() {
    let mut worst = 0.0_f64;
    for (b, turns) in definition::frequencies() {
        let layout = layout(2 * turns.len(), 2 * turns.len(), Pairing::HalfSplit);
        for first in [0, -130, 131_071, i32::MAX - 149, i32::MIN] {
            let mut expected: Option<Vec<u64>> = None;
            for cpu in executors() {
                let rope = base::<f32>(layout, b).on(cpu);
                let table = vec![0.0; 150 * layout.rotary_dim()];
                let mut table = RopeTable::from_rows(layout, 0, table)
                    .expect("a table")
                    .on(cpu);
                table.fill_by_rotor(&rope, first).expect("a table");
                let mut rows = Vec::new();
                for at in first..=first + 149 {
                    let (cos, sin) = table.row(at).expect("a row");
                    rows.extend(bits(cos));
                    rows.extend(bits(sin));
                    // The first rows, those beside anchors, and the last.
                    if ![0, 1, 62, 63, 64, 127, 128, 149].contains(&(at - first)) {
                        continue;
                    }
                    for (pair, &turns) in turns.iter().enumerate() {
                        let (exact_sin, exact_cos) = definition::sin_cos(turns, at);
                        let sine = difference(sin[pair].value(), exact_sin);
                        let error = sine.max(difference(cos[pair].value(), exact_cos)) / f32::UNIT;
                        worst = worst.max(error);
                        assert!(
                            error <= bound32("rope tables by rotor"),
                            "base {b} pair {pair} at {at} {cpu:?}: off by {error}"
                        );
                    }
                }
                if !cpu.is_fused() {
                    assert_eq!(
                        expected.get_or_insert_with(|| rows.clone()),
                        &rows,
                        "{cpu:?}"
                    );
                }
            }
        }
    }
    println!("worst: {worst:.4} units");
    let layout = layout(8, 8, Pairing::HalfSplit);
    let mut table = RopeTable::from_rows(layout, 3, vec![7.0_f32; 16]).expect("a table");
    let other = base::<f32>(self::layout(8, 6, Pairing::HalfSplit), 10_000.0);
    let refused = table.fill_by_rotor(&other, 0);
    assert_eq!(refused.err(), Some(Error::Domain(Parameter::RotaryDim)));
    let rope = base::<f32>(layout, 10_000.0);
    let refused = table.fill_by_rotor(&rope, i32::MAX);
    assert_eq!(refused.err(), Some(Error::Domain(Parameter::Position)));
    assert_eq!(
        (table.first(), table.row(3)),
        (3, Ok((&[7.0; 4][..], &[7.0; 4][..])))
    );
    // Cosines and sines at a temperature are rounded once.
    let warm = Radians::new(&[1.0; 4])
        .and_then(|r| r.with_temperature(1.25))
        .expect("a list");
    table
        .fill_by_rotor(&self::rope(layout, &warm), 5)
        .expect("a table");
    let cos = table.row(6).expect("a row").0[0];
    assert_eq!(cos, (6.0_f64.cos() * 1.25) as f32);
}
