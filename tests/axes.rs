//! Rotary encodings of several axes and of 16-bit heads, against golden rotations and their laws.

mod accuracy;
mod inputs;
mod reference;

use accuracy::{bound32, bound64};
use inputs::{Random, executors};
use reference::golden;
use reference::position as definition;
use suanzi::position::{
    Axes, AxialRope, Base, Coordinate, Cursor, Distance, Frequencies, HeadElement, HeadLayout,
    Pairing, PerAxis, Placement, PositionEncoding, Radians, Rope, RopeTable, Turns,
};
use suanzi::storage::{Bf16, F16};
use suanzi::{Error, Parameter};

const PAIRINGS: [Pairing; 2] = [Pairing::HalfSplit, Pairing::Interleaved];

fn base(base: f64) -> Base {
    Base::new(base).expect("a base")
}

fn head(dim: usize, pairing: Pairing) -> HeadLayout {
    HeadLayout::new(dim, pairing).expect("a layout")
}

type Axial<const N: usize> = AxialRope<f32, Vec<u64>, N>;

fn axial<const N: usize>(
    layout: HeadLayout,
    axes: Axes<N>,
    frequencies: &impl Frequencies,
) -> Axial<N> {
    AxialRope::new(layout, axes, frequencies, vec![0; layout.pairs()]).expect("an encoding")
}

fn places<const N: usize>(at: [i32; N]) -> [Coordinate; N] {
    at.map(Coordinate::new)
}

/// Numbers in [-2, 2), exact in `f32`.
fn numbers(random: &mut Random, len: usize) -> Vec<f32> {
    let mut next = || (random.bits() >> 42) as f32 / (1 << 20) as f32 - 2.0;
    (0..len).map(|_| next()).collect()
}

/// Any place, near ones as likely as far ones.
fn place(random: &mut Random) -> Coordinate {
    let units = random.bits() as i64;
    Coordinate::from_units(units >> (random.bits() % 60))
}

/// Checks a rotated head against a golden one: pairs (a, b) within the bound of their length.
fn check(what: &str, layout: HeadLayout, x: &[f32], got: &[f32], expected: &[f64]) {
    let norm = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    // Pairs lie differently in the layouts; the length of a pair is at most that of the head.
    let bound = bound32("rope") / 16_777_216.0 * norm;
    assert_eq!(got.len(), layout.head_dim());
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= bound,
            "{what}, element {i}: {got}, expected {expected}"
        );
    }
}

#[test]
fn golden_rotations_in_two_dimensions_agree() {
    for case in golden::read("rope_2d.gv") {
        let get = |name: &str| case.get(name).unwrap_or_default();
        let b = base(get("base")[0]);
        let x = case.get32("x");
        let at = places([get("px")[0] as i32, get("py")[0] as i32]);
        let each = x.len() / 4;
        let anew = PerAxis::new(b, [each; 2]);
        let halves = [each; 2];
        let cases = [
            (
                Pairing::Interleaved,
                Axes::Blocks(halves),
                true,
                "y_split_interleaved",
            ),
            (
                Pairing::Interleaved,
                Axes::Sections(halves),
                true,
                "y_split_interleaved",
            ),
            (
                Pairing::HalfSplit,
                Axes::Blocks(halves),
                true,
                "y_split_half",
            ),
            (
                Pairing::HalfSplit,
                Axes::Sections(halves),
                true,
                "y_qwen_vision",
            ),
            (
                Pairing::Interleaved,
                Axes::Interleaved(halves),
                false,
                "y_alternate",
            ),
        ];
        for (pairing, axes, restart, name) in cases {
            let layout = head(x.len(), pairing);
            let rope = if restart {
                axial(layout, axes, &anew)
            } else {
                axial(layout, axes, &b)
            };
            for cpu in executors() {
                let mut y = x.clone();
                rope.clone()
                    .on(cpu)
                    .rotate(at, &mut y[..])
                    .expect("a rotation");
                let what = format!("{} {name} {cpu:?}", case.head);
                check(&what, layout, &x, &y, get(name));
            }
        }
    }
}

#[test]
fn golden_rotations_of_mrope_agree() {
    for case in golden::read("rope_mrope.gv") {
        let get = |name: &str| case.get(name).unwrap_or_default();
        let three = |name: &str| -> [f64; 3] { get(name).try_into().expect("three") };
        let b = base(get("base")[0]);
        let x = case.get32("x");
        let sections = three("sections").map(|s| s as usize);
        let at = places(three("pos_thw").map(|p| p as i32));
        let layout = head(x.len(), Pairing::HalfSplit);
        for (axes, name) in [
            (Axes::Sections(sections), "y_sections"),
            (Axes::Interleaved(sections), "y_interleaved_sections"),
        ] {
            let rope = axial(layout, axes, &b);
            for cpu in executors() {
                let mut y = x.clone();
                rope.clone()
                    .on(cpu)
                    .rotate(at, &mut y[..])
                    .expect("a rotation");
                check(&format!("{} {name}", case.head), layout, &x, &y, get(name));
            }
        }
    }
}

/// The ways of sharing `pairs` pairs of a head among three axes.
fn shares(pairs: usize) -> [Axes<3>; 3] {
    let first = pairs / 4;
    let second = (pairs - first) / 2;
    let sections = [first, second, pairs - first - second];
    [
        Axes::Sections(sections),
        Axes::Interleaved(sections),
        Axes::Blocks(sections),
    ]
}

#[test]
fn equal_coordinates_turn_as_plain_rope() {
    let mut random = Random(3);
    for (pairing, dim) in [(PAIRINGS[0], 24), (PAIRINGS[1], 24), (PAIRINGS[1], 140)] {
        let layout = HeadLayout::partial(dim + 3, dim, pairing).expect("a layout");
        let plain = Rope::<f32, _>::new(layout, &Base::default(), vec![0; layout.pairs()]);
        let plain = plain.expect("an encoding");
        for axes in shares(layout.pairs()) {
            // Blocks pair other elements where pairs are half-split.
            if matches!(axes, Axes::Blocks(_)) && pairing == Pairing::HalfSplit {
                continue;
            }
            let rope = axial(layout, axes, &Base::default());
            for at in [0, 1, -7, 131_071, i32::MAX, i32::MIN] {
                let x = numbers(&mut random, 3 * layout.head_dim());
                for cpu in executors().into_iter().filter(|cpu| !cpu.is_fused()) {
                    let (mut y, mut z) = (x.clone(), x.clone());
                    plain
                        .clone()
                        .on(cpu)
                        .rotate(at, &mut y[..])
                        .expect("a rotation");
                    let moved = rope.clone().on(cpu).rotate(places([at; 3]), &mut z[..]);
                    moved.expect("a rotation");
                    assert_eq!(y, z, "{axes:?} {pairing:?} at {at} {cpu:?}");
                }
            }
        }
    }
}

#[test]
fn every_pair_turns_along_its_own_axis() {
    // On the unit vectors of the pairs, against the definition in high precision.
    let mut random = Random(11);
    let turns: Vec<u128> = {
        let (_, turns) = definition::frequencies().swap_remove(1);
        turns
    };
    let pairs = turns.len();
    for pairing in PAIRINGS {
        let layout = head(2 * pairs, pairing);
        for axes in shares(pairs) {
            let rope = axial(layout, axes, &Base::default());
            let exact = AxialRope::<f64, _, 3>::new(layout, axes, &Base::default(), vec![0; pairs]);
            let exact = exact.expect("an encoding");
            for round in 0..40 {
                let at: [Coordinate; 3] = core::array::from_fn(|_| match round {
                    0 => Coordinate::halves(-5),
                    _ => place(&mut random),
                });
                for cpu in executors() {
                    let mut y = vec![0.0_f32; 2 * pairs];
                    let mut z = vec![0.0_f64; 2 * pairs];
                    let mut first = 0;
                    let mut ends = Vec::new();
                    for (pair, &turns) in turns.iter().enumerate() {
                        let axis = axes.axis(pair);
                        let inside = pair - first;
                        let (a, b) = match (pairing, axes) {
                            (Pairing::Interleaved, _) => (2 * pair, 2 * pair + 1),
                            (_, Axes::Blocks(blocks)) => {
                                let at = 2 * first + inside;
                                let ends = (at, at + blocks[axis]);
                                if inside + 1 == blocks[axis] {
                                    first = pair + 1;
                                }
                                ends
                            }
                            _ => (pair, pair + pairs),
                        };
                        (y[a], z[a]) = (1.0, 1.0);
                        ends.push((a, b, definition::sin_cos_at(turns, at[axis].units())));
                    }
                    rope.clone()
                        .on(cpu)
                        .rotate(at, &mut y[..])
                        .expect("a rotation");
                    exact
                        .clone()
                        .on(cpu)
                        .rotate(at, &mut z[..])
                        .expect("a rotation");
                    for (a, b, (sin, cos)) in ends {
                        for (index, value) in [(a, cos), (b, sin)] {
                            let error = (f64::from(y[index]) - value.high).abs() * 16_777_216.0;
                            assert!(error <= bound32("rope tables"), "{axes:?} {at:?}: {error}");
                            let error =
                                (z[index] - value.high - value.low).abs() * 2.0_f64.powi(53);
                            assert!(error <= bound64("rope tables"), "{axes:?} {at:?}: {error}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn scores_depend_on_the_difference_on_each_axis() {
    let mut random = Random(5);
    for pairing in PAIRINGS {
        let layout = head(48, pairing);
        for axes in shares(24) {
            let rope = axial(layout, axes, &Base::default());
            for _ in 0..50 {
                let (q, k) = (numbers(&mut random, 48), numbers(&mut random, 48));
                let length =
                    |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                let bound = bound32("rope score") / 16_777_216.0 * length(&q) * length(&k);
                let score = |m: [i32; 3], n: [i32; 3]| -> f64 {
                    let (mut q, mut k) = (q.clone(), k.clone());
                    rope.rotate(places(m), &mut q[..]).expect("a rotation");
                    rope.rotate(places(n), &mut k[..]).expect("a rotation");
                    q.iter()
                        .zip(&k)
                        .map(|(&q, &k)| f64::from(q) * f64::from(k))
                        .sum()
                };
                let [m, n, by] = [0, 1, 2].map(|_| {
                    let mut place = || random.bits() as i32 >> 3;
                    [place(), place(), place()]
                });
                let moved = |at: [i32; 3]| core::array::from_fn(|axis| at[axis] + by[axis]);
                let difference = (score(m, n) - score(moved(m), moved(n))).abs();
                assert!(difference <= 2.0 * bound, "{axes:?}: {difference}");
            }
        }
    }
}

#[test]
fn back_is_back_and_shifts_add() {
    let mut random = Random(9);
    let layout = HeadLayout::partial(51, 48, Pairing::HalfSplit).expect("a layout");
    let radians: Vec<f64> = (0..24).map(|i| 1.0 / f64::from(1 + i)).collect();
    let warm = Radians::new(&radians)
        .and_then(|r| r.with_temperature(1.25))
        .expect("a list");
    for axes in shares(24) {
        let rope = axial(layout, axes, &warm);
        assert_eq!((rope.axes(), rope.layout()), (axes, layout));
        for _ in 0..50 {
            let x = numbers(&mut random, 2 * 51);
            let at = [place(&mut random), place(&mut random), place(&mut random)];
            let mut y = x.clone();
            rope.rotate(at, &mut y[..]).expect("a rotation");
            let mut back = y.clone();
            rope.unrotate(at, &mut back[..]).expect("a rotation");
            for (&x, &back) in x.iter().zip(&back) {
                assert!((x - back).abs() <= 4e-6, "{axes:?} at {at:?}: {x}, {back}");
            }
            // From the origin by a shift, at the temperature of the heads.
            let mut shifted = x.clone();
            rope.rotate([Coordinate::ZERO; 3], &mut shifted[..])
                .expect("a rotation");
            rope.shift(at, &mut shifted[..]).expect("a shift");
            for (&y, &shifted) in y.iter().zip(&shifted) {
                assert!(
                    (y - shifted).abs() <= 4e-6,
                    "{axes:?} at {at:?}: {y}, {shifted}"
                );
            }
        }
    }
}

#[test]
fn tokens_of_a_sequence_turn_each_at_its_position() {
    let layout = head(24, Pairing::HalfSplit);
    let mut random = Random(2);
    for placement in [
        Placement::Tie,
        Placement::TieFractional,
        Placement::TieCentered,
    ] {
        for axes in [
            Axes::Interleaved([6, 6]),
            Axes::Sections([6, 6]),
            Axes::Blocks([6, 6]),
        ] {
            let rope = axial(layout, axes, &Base::default());
            let mut cursor = Cursor::<2>::new(placement, 1);
            cursor.text().expect("a token");
            let grid = cursor.grid([3, 4]).expect("an image");
            let x = numbers(&mut random, 12 * 2 * 24);
            let mut y = x.clone();
            rope.rotate_each(grid.clone(), &mut y[..])
                .expect("rotations");
            for ((at, x), y) in grid.zip(x.chunks(48)).zip(y.chunks(48)) {
                let mut z = x.to_vec();
                rope.rotate(at, &mut z[..]).expect("a rotation");
                assert_eq!(y, z, "{placement:?} {axes:?} {at:?}");
            }
        }
    }
}

#[test]
fn an_unrotated_cache_decodes_in_relative_forms() {
    let layout = head(32, Pairing::Interleaved);
    let rope = axial(layout, Axes::Sections([16]), &Base::default());
    let mut random = Random(8);
    let (q, keys) = (numbers(&mut random, 32), numbers(&mut random, 20 * 32));
    let dot = |q: &[f32], k: &[f32]| -> f32 { q.iter().zip(k).map(|(q, k)| q * k).sum() };
    let score = |distance: Distance, query: i32, key: i32| {
        let mut k = keys[key as usize * 32..][..32].to_vec();
        let at = -distance.between(query, key).expect("a distance");
        rope.rotate([at], &mut k[..]).expect("a rotation");
        dot(&q, &k)
    };
    let rerope = Distance::ReRope { window: 4 };
    for key in 0..20 {
        // Plain distances are plain RoPE.
        let mut rotated = (q.clone(), keys[key as usize * 32..][..32].to_vec());
        rope.rotate(places([19]), &mut rotated.0[..])
            .expect("a rotation");
        rope.rotate(places([key]), &mut rotated.1[..])
            .expect("a rotation");
        let plain = score(Distance::Rope, 19, key);
        assert!((plain - dot(&rotated.0, &rotated.1)).abs() < 1e-4);
        let same = score(rerope, 19, key).to_bits() == plain.to_bits();
        assert_eq!(same, 19 - key <= 4, "{key}");
    }
}

#[test]
fn bad_axes_are_refused() {
    let layout = head(16, Pairing::HalfSplit);
    let refused = Some(Error::Domain(Parameter::Axes));
    for axes in [
        Axes::Sections([4, 3]),
        Axes::Interleaved([4, 5]),
        Axes::Blocks([usize::MAX, 9]),
    ] {
        let rope = AxialRope::<f32, _, 2>::new(layout, axes, &Base::default(), [0; 8]);
        assert_eq!(rope.err(), refused);
    }
    let none = AxialRope::<f32, _, 0>::new(layout, Axes::Sections([]), &Base::default(), [0; 8]);
    assert_eq!(none.err(), refused);
    let uneven = PerAxis::new(Base::default(), [4, 3]);
    assert_eq!(uneven.check(8).err(), refused);
    let rope = axial(layout, Axes::Sections([4, 4]), &Base::default());
    let mut x = [1.0_f32; 31];
    let refused = Err(Error::Multiple { of: 16, found: 31 });
    assert_eq!(rope.rotate(places([1, 2]), &mut x[..]), refused);
    assert_eq!(rope.unrotate(places([1, 2]), &mut x[..]), refused);
    assert_eq!(rope.shift(places([1, 2]), &mut x[..]), refused);
    assert_eq!(
        rope.rotate_each([places([1, 2]); 2], &mut x[..]),
        Err(Error::Multiple { of: 32, found: 31 })
    );
    assert_eq!(x, [1.0; 31]);
    assert_eq!(rope.rotate(places([1, 2]), &mut x[..0]), Ok(()));
}

#[test]
fn pairs_find_their_axis() {
    let axes: Vec<usize> = (0..10)
        .map(|pair| Axes::Sections([2, 0, 3]).axis(pair))
        .collect();
    assert_eq!(axes, [0, 0, 2, 2, 2, 2, 2, 2, 2, 2]);
    let axes: Vec<usize> = (0..10)
        .map(|pair| Axes::Interleaved([4, 3, 3]).axis(pair))
        .collect();
    assert_eq!(axes, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    let axes: Vec<usize> = (0..9)
        .map(|pair| Axes::Interleaved([6, 2, 1]).axis(pair))
        .collect();
    assert_eq!(axes, [0, 1, 2, 0, 1, 0, 0, 0, 0]);
    assert_eq!(Axes::<0>::Interleaved([]).axis(5), 0);
    let turns: Vec<Turns> = PerAxis::new(Base::default(), [2, 3]).turns(5).collect();
    let parts: Vec<Turns> = Base::default()
        .turns(2)
        .chain(Base::default().turns(3))
        .collect();
    assert_eq!(turns, parts);
}

/// Checks that heads in 16 bits are those in `f32`, rounded once.
fn sixteen_bits<X: HeadElement<f32> + PartialEq>(
    narrow: impl Fn(f32) -> X,
    widen: impl Fn(X) -> f32,
) {
    let mut random = Random(6);
    for pairing in PAIRINGS {
        for (dim, rotary) in [(2, 2), (20, 14), (64, 64), (136, 128), (600, 590)] {
            let layout = HeadLayout::partial(dim, rotary, pairing).expect("a layout");
            let rope = Rope::<f32, _>::new(layout, &Base::default(), vec![0; layout.pairs()]);
            let rope = rope.expect("an encoding");
            // Heads beyond the first cache, too.
            let heads = if dim == 64 { 300 } else { 3 };
            for cpu in executors() {
                let rope = rope.clone().on(cpu);
                let table = RopeTable::new(&rope, 40, vec![0.0; 4 * rotary]).expect("a table");
                let mut x: Vec<X> = numbers(&mut random, 4 * heads * dim)
                    .into_iter()
                    .map(&narrow)
                    .collect();
                x[0] = narrow(f32::NAN);
                x[dim - 1] = narrow(f32::INFINITY);
                let mut wide: Vec<f32> = x.iter().map(|&x| widen(x)).collect();
                let check = |what: &str, x: &[X], wide: &[f32]| {
                    for (i, (&x, &wide)) in x.iter().zip(wide).enumerate() {
                        let expected = narrow(wide);

                        assert!(
                            x == expected,
                            "{what} {layout:?} {cpu:?}, element {i}: {x:?}"
                        );
                    }
                };
                let mut out = vec![narrow(0.0); x.len()];
                table
                    .rotate_each_into([42, 40, 41, 43], &x, &mut out)
                    .expect("rotations");
                let mut wide_out = vec![0.0; x.len()];
                table
                    .rotate_each_into([42, 40, 41, 43], &wide, &mut wide_out)
                    .expect("rotations");
                check("table", &out, &wide_out);
                rope.rotate_into(-3, &x, &mut out).expect("a rotation");
                rope.rotate_into(-3, &wide, &mut wide_out)
                    .expect("a rotation");
                check("into", &out, &wide_out);
                rope.rotate_each([1, 2, 99, -5], &mut x[..])
                    .expect("rotations");
                rope.rotate_each([1, 2, 99, -5], &mut wide[..])
                    .expect("rotations");
                check("each", &x, &wide);
            }
        }
    }
}

#[test]
fn heads_in_f16_are_rounded_once() {
    sixteen_bits(F16::from_f32, F16::to_f32);
}

#[test]
fn heads_in_bf16_are_rounded_once() {
    sixteen_bits(Bf16::from_f32, Bf16::to_f32);
}
