//! Positions of mixed sequences and distances of relative forms, against their definitions.

mod accuracy;
mod inputs;
mod reference;

use inputs::Random;
use reference::golden;
use suanzi::position::{Coordinate, Cursor, Distance, Grid, Placement};
use suanzi::{Error, Parameter};

const ALL: [Placement; 4] = [
    Placement::Tie,
    Placement::TieFractional,
    Placement::TieCentered,
    Placement::MRope,
];
const OUT_OF_RANGE: Error = Error::Domain(Parameter::Position);
const UNIT: i128 = 1 << 32;

/// Returns a cursor behind `tokens` tokens of text, the first at one.
fn after<const N: usize>(placement: Placement, tokens: i32) -> Cursor<N> {
    let mut cursor = Cursor::new(placement, 1);
    for n in 1..=tokens {
        assert_eq!(cursor.text(), Ok([Coordinate::new(n); N]));
    }
    cursor
}

/// Returns positions in halves.
fn halves<const N: usize>(positions: &[[i32; N]]) -> Vec<[Coordinate; N]> {
    positions
        .iter()
        .map(|p| p.map(Coordinate::halves))
        .collect()
}

/// Returns a ratio of positions in units, rounded to the nearest, ties up.
fn nearest(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator * UNIT + denominator).div_euclid(2 * denominator)
}

/// The formulas of the placements, patch by patch: the units of each, and the position behind.
fn definition<const N: usize>(
    placement: Placement,
    last: i32,
    sides: [u32; N],
) -> (Vec<[i128; N]>, i128) {
    let next = behind(placement, last, sides);
    let (l, sides) = (i128::from(last), sides.map(i128::from));
    let patches: i128 = sides.iter().product();
    let position = |a: usize, i: i128| match placement {
        Placement::Tie => {
            let others = (0..N).filter(|&b| b != a).map(|b| sides[b] + 1);
            (l + i * others.product::<i128>()) * UNIT
        }
        Placement::TieFractional => nearest(l * (sides[a] + 1) + i * (patches + 1), sides[a] + 1),
        Placement::TieCentered => (2 * (l + i) + patches - sides[a]) * UNIT / 2,
        _ => (l + i) * UNIT,
    };
    let positions = (0..patches)
        .map(|patch| {
            core::array::from_fn(|a| {
                let inner: i128 = sides[a + 1..].iter().product();
                position(a, patch / inner % sides[a] + 1)
            })
        })
        .collect();
    (positions, next)
}

/// The formulas of the placements for the position behind a grid.
fn behind<const N: usize>(placement: Placement, last: i32, sides: [u32; N]) -> i128 {
    let sides = sides.map(i128::from);
    let span = match placement {
        Placement::Tie => sides.iter().map(|n| n + 1).product(),
        Placement::TieFractional | Placement::TieCentered => sides.iter().product::<i128>() + 1,
        _ => sides.iter().max().expect("an axis") + 1,
    };
    i128::from(last) + span
}

/// Returns the units of positions.
fn units<const N: usize>(grid: Grid<N>) -> Vec<[i128; N]> {
    grid.map(|p| p.map(|c| c.units().into())).collect()
}

#[test]
fn the_image_of_the_articles_stands_where_they_say() {
    let grid = |placement| {
        let mut cursor = after::<2>(placement, 3);
        let patches: Vec<_> = cursor.grid([2, 3]).expect("room").collect();
        (patches, cursor.next())
    };
    let tie = [[7, 6], [7, 9], [7, 12], [11, 6], [11, 9], [11, 12]];
    let tie = halves(&tie.map(|p| p.map(|x| 2 * x)));
    assert_eq!(grid(Placement::Tie), (tie, 15));
    let centered = [[12, 11], [12, 13], [12, 15], [14, 11], [14, 13], [14, 15]];
    assert_eq!(grid(Placement::TieCentered), (halves(&centered), 10));
    let mrope = [[4, 4], [4, 5], [4, 6], [5, 4], [5, 5], [5, 6]];
    let mrope = halves(&mrope.map(|p| p.map(|x| 2 * x)));
    assert_eq!(grid(Placement::MRope), (mrope, 7));
    // Steps of 7/3 down and 7/4 to the right.
    let (fractional, next) = grid(Placement::TieFractional);
    assert_eq!(next, 10);
    for (at, &[row, column]) in (0..).zip(&fractional) {
        let (i, j) = (at / 3 + 1, at % 3 + 1);
        assert_eq!(i128::from(row.units()), nearest(9 + 7 * i, 3));
        assert_eq!(i128::from(column.units()), nearest(12 + 7 * j, 4));
    }
}

#[test]
fn the_video_of_the_article_stands_where_it_says() {
    let mut cursor = after::<3>(Placement::TieCentered, 3);
    let mut patches = cursor.grid([2, 2, 3]).expect("room");
    // One step behind (8, 8, 7.5).
    assert_eq!(patches.next(), Some([18, 18, 17].map(Coordinate::halves)));
    assert_eq!(patches.last(), Some([20, 20, 21].map(Coordinate::halves)));
    assert_eq!(cursor.next(), 16);
}

#[test]
fn golden_positions_hold() {
    for case in golden::read("rope_tie_positions.gv") {
        let number = |name| case.get(name).expect("a field")[0];
        let mut cursor = Cursor::<2>::new(Placement::Tie, 1);
        let mut got = Vec::new();
        for _ in 0..number("n0") as u32 {
            got.push(cursor.text().expect("room"));
        }
        let sides = [number("h") as u32, number("w") as u32];
        got.extend(cursor.grid(sides).expect("room"));
        for _ in 0..number("n1") as u32 {
            got.push(cursor.text().expect("room"));
        }
        let got: Vec<f64> = got.into_iter().flatten().map(f64::from).collect();
        assert_eq!(got, case.get("xy").expect("positions"), "{}", case.head);
    }
}

/// Runs the formulas against the cursor in as many axes as `N`.
fn follows_definition<const N: usize>(limit: u64) {
    let mut random = Random(N as u64);
    for placement in ALL {
        for _ in 0..100 {
            let first = random.below(2000) as i32 - 1000;
            let sides = [(); N].map(|()| 1 + random.below(limit) as u32);
            let mut cursor = Cursor::<N>::new(placement, first);
            let grid = cursor.grid(sides).expect("room");
            let (positions, next) = definition(placement, first - 1, sides);
            assert_eq!(units(grid), positions, "{placement:?} {first} {sides:?}");
            assert_eq!(i128::from(cursor.next()), next, "{placement:?} {sides:?}");
        }
    }
}

#[test]
fn grids_follow_their_definition() {
    follows_definition::<1>(300);
    follows_definition::<2>(30);
    follows_definition::<3>(9);
    follows_definition::<4>(5);
}

#[test]
fn ties_are_symmetric_and_equivalent() {
    let mut random = Random(5);
    for placement in &ALL[..3] {
        for _ in 0..200 {
            let sides = [(); 3].map(|()| 1 + random.below(12) as u32);
            let first = random.below(100) as i32;
            let mut cursor = Cursor::<3>::new(*placement, first);
            let grid = cursor.grid(sides).expect("room");
            let patches = grid.len() as i32;
            let (last, next) = (Coordinate::new(first - 1), Coordinate::new(cursor.next()));
            let front = grid.clone().next().expect("a patch");
            let back = grid.last().expect("a patch");
            for (front, back) in front.iter().zip(back) {
                let gaps = [front.units() - last.units(), next.units() - back.units()];
                assert_eq!(gaps[0], gaps[1], "{placement:?} {sides:?}");
            }
            if *placement != Placement::Tie {
                assert_eq!(cursor.next() - first, patches, "{placement:?} {sides:?}");
            }
        }
    }
}

#[test]
fn on_one_axis_patches_stand_like_text() {
    for placement in ALL {
        let mut cursor = Cursor::<1>::new(placement, 1);
        let grid = cursor.grid([40]).expect("room");
        assert!(grid.zip(1..).all(|(p, n)| p == [Coordinate::new(n)]));
        assert_eq!(cursor.next(), 41);
    }
}

#[test]
fn text_has_equal_coordinates_in_steps_of_one() {
    for placement in ALL {
        let mut cursor = Cursor::<3>::new(placement, -2);
        for _ in 0..3 {
            for _ in 0..4 {
                let n = cursor.next();
                assert_eq!(cursor.text(), Ok([Coordinate::new(n); 3]));
                assert_eq!(cursor.next(), n + 1);
            }
            let _ = cursor.grid([2, 3, 4]).expect("room");
        }
    }
}

/// A part of a sequence for `get_rope_index`.
enum Part {
    Text(i64),
    Vision([i64; 3]),
}

/// Transformers' `get_rope_index` of Qwen2-VL for one sequence, its lists as columns.
fn rope_index(parts: &[Part]) -> Vec<[i64; 3]> {
    let mut blocks: Vec<Vec<[i64; 3]>> = Vec::new();
    for part in parts {
        let start = blocks.iter().rfind(|block| !block.is_empty());
        let start = start.map_or(0, |block| 1 + *block.iter().flatten().max().expect("one"));
        blocks.push(match *part {
            Part::Text(len) => (0..len).map(|i| [start + i; 3]).collect(),
            Part::Vision([t, h, w]) => (0..t * h * w)
                .map(|i| [i / (h * w), i / w % h, i % w].map(|index| start + index))
                .collect(),
        });
    }
    blocks.concat()
}

#[test]
fn mrope_is_the_index_of_transformers() {
    let mut random = Random(9);
    for _ in 0..100 {
        let parts: Vec<Part> = (0..6)
            .map(|part| match part % 2 {
                0 => Part::Text(random.below(5) as i64),
                _ if random.below(2) == 0 => {
                    Part::Vision([1, 1 + random.below(6) as i64, 1 + random.below(6) as i64])
                }
                _ => Part::Vision([(); 3].map(|()| 1 + random.below(5) as i64)),
            })
            .collect();
        let mut cursor = Cursor::<3>::new(Placement::MRope, 0);
        let mut got = Vec::new();
        for part in &parts {
            match *part {
                Part::Text(len) => got.extend((0..len).map(|_| cursor.text().expect("room"))),
                Part::Vision(sides) => {
                    got.extend(cursor.grid(sides.map(|n| n as u32)).expect("room"));
                }
            }
        }
        let want: Vec<_> = rope_index(&parts)
            .into_iter()
            .map(|p| p.map(|x| Coordinate::new(x as i32)))
            .collect();
        assert_eq!(got, want);
    }
}

#[test]
fn lengths_are_exact_at_every_step() {
    for placement in ALL {
        let mut grid = Cursor::<3>::new(placement, 0)
            .grid([3, 4, 5])
            .expect("room");
        for left in (1..=60).rev() {
            assert_eq!((grid.len(), grid.size_hint()), (left, (left, Some(left))));
            assert!(grid.next().is_some());
        }
        for _ in 0..3 {
            assert_eq!((grid.len(), grid.size_hint()), (0, (0, Some(0))));
            assert_eq!(grid.next(), None);
        }
    }
}

#[test]
fn lengths_stop_at_the_greatest() {
    let mut cursor = Cursor::<3>::new(Placement::MRope, 0);
    let mut grid = cursor.grid([1 << 30; 3]).expect("room");
    assert_eq!(
        (grid.len(), grid.size_hint()),
        (usize::MAX, (usize::MAX, None))
    );
    assert_eq!(grid.next(), Some([Coordinate::ZERO; 3]));
    assert_eq!(grid.len(), usize::MAX);
    assert_eq!(cursor.next(), 1 << 30);
}

#[test]
fn an_empty_grid_moves_nothing() {
    for placement in ALL {
        for sides in [[0, 3, 4], [3, 0, u32::MAX], [u32::MAX, u32::MAX, 0], [0; 3]] {
            let mut cursor = Cursor::<3>::new(placement, 7);
            let mut grid = cursor.grid(sides).expect("nothing to place");
            assert_eq!((grid.len(), grid.size_hint()), (0, (0, Some(0))));
            assert_eq!(grid.next(), None);
            assert_eq!(cursor.next(), 7);
        }
    }
}

#[test]
fn refusals_change_nothing() {
    let mut end = Cursor::<2>::new(Placement::Tie, i32::MAX);
    assert_eq!(end.text(), Err(OUT_OF_RANGE));
    assert_eq!(end.next(), i32::MAX);
    for placement in ALL {
        for first in [i32::MIN, 0, i32::MAX - 100] {
            for sides in [[u32::MAX; 2], [u32::MAX, 1], [1 << 31, 2], [1, u32::MAX]] {
                let mut cursor = Cursor::<2>::new(placement, first);
                // The position before the first may be below the least `i32`.
                let next = behind(placement, 0, sides) + i128::from(first) - 1;
                let fits = next <= i128::from(i32::MAX);
                assert_eq!(cursor.grid(sides).is_ok(), fits, "{placement:?} {sides:?}");
                if fits {
                    assert_eq!(i128::from(cursor.next()), next, "{placement:?}");
                } else {
                    let before = Cursor::new(placement, first);
                    assert_eq!(cursor.grid(sides).err(), Some(OUT_OF_RANGE));
                    assert_eq!(cursor, before);
                }
            }
        }
    }
}

#[test]
fn the_greatest_grids_follow_their_definition() {
    let sides = [1, u32::MAX];
    for placement in [Placement::TieFractional, Placement::TieCentered] {
        let mut cursor = Cursor::<2>::new(placement, i32::MIN);
        let grid = cursor.grid(sides).expect("room");
        assert_eq!(grid.len() as u64, u64::from(u32::MAX));
        let (l, patches) = (i128::from(i32::MIN) - 1, i128::from(u32::MAX));
        for ([row, column], j) in grid.take(1000).zip(1..) {
            let want = match placement {
                Placement::TieCentered => [l + 1 + (patches - 1) / 2, l + j],
                _ => [l + (patches + 1) / 2, l + j],
            };
            assert_eq!(
                [row.units(), column.units()].map(i128::from),
                want.map(|x| x * UNIT)
            );
        }
    }
    // The last place that fits, of each.
    for (placement, first) in [
        (Placement::Tie, i32::MAX - 11),
        (Placement::TieFractional, i32::MAX - 6),
        (Placement::TieCentered, i32::MAX - 6),
        (Placement::MRope, i32::MAX - 3),
    ] {
        let mut cursor = Cursor::<2>::new(placement, first);
        let grid = cursor.grid([2, 3]).expect("room");
        assert_eq!(units(grid), definition(placement, first - 1, [2, 3]).0);
        assert_eq!(cursor.next(), i32::MAX);
        let mut cursor = Cursor::<2>::new(placement, first + 1);
        assert_eq!(cursor.grid([2, 3]).err(), Some(OUT_OF_RANGE));
    }
}

#[test]
fn a_cursor_resumes_from_its_next_position() {
    let mut cursor = after::<2>(Placement::TieFractional, 5);
    let _ = cursor.grid([7, 3]).expect("room");
    let mut resumed = Cursor::<2>::new(Placement::TieFractional, cursor.next());
    assert_eq!(resumed, cursor);
    let (a, b) = (resumed.grid([2, 5]), cursor.grid([2, 5]));
    assert!(a.expect("room").eq(b.expect("room")));
}

#[test]
fn coordinates_are_numbers() {
    assert_eq!(Coordinate::default(), Coordinate::ZERO);
    assert_eq!(Coordinate::from(-7), Coordinate::new(-7));
    for x in [0, 1, -1, 5, i32::MIN, i32::MAX] {
        assert_eq!(f64::from(Coordinate::new(x)), f64::from(x));
        assert_eq!(f64::from(Coordinate::halves(x)), f64::from(x) / 2.0);
        assert_eq!(Coordinate::new(x).units(), i64::from(x) << 32);
        assert_eq!(f64::from(-Coordinate::halves(x)), -f64::from(x) / 2.0);
    }
    let least = Coordinate::new(i32::MIN);
    assert_eq!(-least, least);
    assert_eq!(-Coordinate::from_units(3), Coordinate::from_units(-3));
    let sorted = [i64::MIN, -1, 0, 1, i64::MAX].map(Coordinate::from_units);
    assert!(sorted.is_sorted());
    // Rounds to the nearest.
    assert_eq!(f64::from(Coordinate::from_units(i64::MAX)), 2_147_483_648.0);
    assert_eq!(f64::from(Coordinate::from_units(1)), 2.0_f64.powi(-32));
}

/// Leaky ReRoPE in a rational: the units of w + (d - w) / k for k = m 2^e.
fn leaky(d: i128, w: i128, m: i128, e: i32) -> i128 {
    if d < w {
        return d * UNIT;
    }
    let (beyond, m) = ((d - w) << (-e).max(0), m << e.max(0));
    nearest(w * m + beyond, m)
}

#[test]
fn leaky_rerope_halves_distances_beyond_the_window() {
    let leaky = Distance::LeakyReRope {
        window: 4,
        factor: 2.0,
    };
    let want = [0, 2, 4, 6, 8, 9, 10, 11, 12].map(Coordinate::halves);
    for (d, want) in (0..).zip(want) {
        assert_eq!(leaky.between(100 + d, 100), Ok(want));
        assert_eq!(leaky.between(d - 7, -7), Ok(want));
    }
}

#[test]
fn leaky_rerope_is_a_rational_rounded_once() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        // Odd and even significands of up to 20 bits, exponents around one.
        let (m, e) = (
            1 + random.below(1 << 20) as i128,
            random.below(36) as i32 - 28,
        );
        let (w, query, key) = (
            1 + random.below(5000) as u32,
            random.below(20_000) as i32,
            random.below(20_000) as i32,
        );
        let want = leaky(i128::from(query - key), w.into(), m, e);
        let form = Distance::LeakyReRope {
            window: w,
            factor: m as f64 * 2.0_f64.powi(e),
        };
        let want = i64::try_from(want).map(Coordinate::from_units);
        assert_eq!(
            form.between(query, key),
            want.map_err(|_| OUT_OF_RANGE),
            "{form:?} {query} {key}"
        );
    }
}

#[test]
fn leaky_rerope_takes_any_positive_factor() {
    let at = |factor, d| Distance::LeakyReRope { window: 1, factor }.between(d, 0);
    for tiny in [f64::from_bits(1), f64::MIN_POSITIVE, 2.0_f64.powi(-40)] {
        assert_eq!(at(tiny, 1), Ok(Coordinate::new(1)));
        assert_eq!(at(tiny, 2), Err(OUT_OF_RANGE));
    }
    for huge in [f64::MAX, 2.0_f64.powi(200), 2.0_f64.powi(64)] {
        assert_eq!(at(huge, i32::MAX), Ok(Coordinate::new(1)));
    }
    // Every power of two: (3 - 1) / 2^e behind the window.
    for e in -1023..1024 {
        let units = match e {
            ..=-30 => Err(OUT_OF_RANGE),
            -29..=0 => Ok((1_i64 << 32) + (1 << (33 - e))),
            1..=34 => Ok((1 << 32) + ((1 << (34 - e)) + 1) / 2),
            _ => Ok(1 << 32),
        };
        let got = at(2.0_f64.powi(e), 3);
        assert_eq!(got, units.map(Coordinate::from_units), "2^{e}");
    }
    // A half of a unit goes up, less does not.
    let one = 1 << 32;
    assert_eq!(at(2.0_f64.powi(33), 2), Ok(Coordinate::from_units(one + 1)));
    let more = 2.0_f64.powi(33).next_up();
    assert_eq!(at(more, 2), Ok(Coordinate::from_units(one)));
    // All 53 bits of a factor count: (2^31 - 2) / (1 + 2^-52) is 2^-21 less, 2^11 units.
    let units = (i64::from(i32::MAX) << 32) - 2048;
    assert_eq!(
        at(1.0_f64.next_up(), i32::MAX),
        Ok(Coordinate::from_units(units))
    );
    assert_eq!(
        at(1.0_f64.next_down(), i32::MAX),
        Ok(Coordinate::from_units(units + 3072))
    );
}

#[test]
fn rerope_and_self_extend_follow_their_definition() {
    let mut random = Random(4);
    for _ in 0..20_000 {
        let (w, g) = (1 + random.below(300) as i32, 1 + random.below(20) as i32);
        let (query, key) = (random.below(2000) as i32, random.below(2000) as i32);
        let d = query - key;
        let [window, group] = [w as u32, g as u32];
        let got = Distance::Rope.between(query, key);
        assert_eq!(got, Ok(Coordinate::new(d)));
        let got = Distance::ReRope { window }.between(query, key);
        assert_eq!(got, Ok(Coordinate::new(d.min(w))));
        let want = if d < w {
            d
        } else {
            query / g + w - w / g - key / g
        };
        let got = Distance::SelfExtend { window, group }.between(query, key);
        assert_eq!(got, Ok(Coordinate::new(want)));
    }
}

#[test]
fn relative_forms_have_rope_as_their_limit() {
    let mut random = Random(6);
    let window = u32::MAX;
    for _ in 0..2000 {
        let (query, key) = (random.below(1 << 31) as i32, random.below(1 << 31) as i32);
        let rope = Distance::Rope.between(query, key);
        assert_eq!(rope, Ok(Coordinate::new(query - key)));
        let near = 1 + random.below(1000) as u32;
        for form in [
            Distance::ReRope { window },
            Distance::LeakyReRope {
                window,
                factor: 3.0,
            },
            Distance::LeakyReRope {
                window: near,
                factor: 1.0,
            },
            Distance::SelfExtend { window, group: 5 },
            Distance::SelfExtend {
                window: near,
                group: 1,
            },
        ] {
            assert_eq!(form.between(query, key), rope, "{form:?} {query} {key}");
        }
        let rerope = Distance::ReRope { window: near }.between(query, key);
        let factor = f64::MAX;
        let leaky = Distance::LeakyReRope {
            window: near,
            factor,
        }
        .between(query, key);
        assert_eq!(leaky, rerope);
    }
}

#[test]
fn distances_out_of_range_are_refused() {
    let (least, most) = (i32::MIN, i32::MAX);
    let window = 10;
    assert_eq!(Distance::Rope.between(most, 0), Ok(Coordinate::new(most)));
    assert_eq!(Distance::Rope.between(most, -1), Err(OUT_OF_RANGE));
    assert_eq!(Distance::Rope.between(-1, most), Ok(Coordinate::new(least)));
    assert_eq!(Distance::Rope.between(-2, most), Err(OUT_OF_RANGE));
    let rerope = Distance::ReRope { window };
    assert_eq!(rerope.between(most, least), Ok(Coordinate::new(10)));
    assert_eq!(rerope.between(least, most), Err(OUT_OF_RANGE));
    let half = Distance::LeakyReRope {
        window: 1,
        factor: 2.0,
    };
    assert_eq!(half.between(most, least), Err(OUT_OF_RANGE));
    assert_eq!(half.between(most, least + 2), Ok(Coordinate::new(most)));
    let third = Distance::LeakyReRope {
        window: 1 << 31,
        factor: 3.0,
    };
    assert_eq!(third.between(most, least), Err(OUT_OF_RANGE));
    let groups = Distance::SelfExtend { window, group: 4 };
    for (query, key) in [(20, -1), (-1, -20), (-1, 3)] {
        assert_eq!(groups.between(query, key), Err(OUT_OF_RANGE));
    }
    assert_eq!(groups.between(3, 20), Ok(Coordinate::new(-17)));
}

#[test]
fn relative_forms_out_of_their_domain_are_refused() {
    let window = Error::Domain(Parameter::Window);
    for form in [
        Distance::ReRope { window: 0 },
        Distance::LeakyReRope {
            window: 0,
            factor: 2.0,
        },
        Distance::SelfExtend {
            window: 0,
            group: 2,
        },
        Distance::SelfExtend {
            window: 2,
            group: 0,
        },
    ] {
        assert_eq!(
            (form.check(), form.between(5, 1)),
            (Err(window), Err(window))
        );
    }
    for factor in [
        0.0,
        -0.0,
        -2.0,
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ] {
        let form = Distance::LeakyReRope { window: 3, factor };
        let frequency = Error::Domain(Parameter::Factor);
        assert_eq!(form.check(), Err(frequency));
        // The parameters come first, whatever the distance.
        assert_eq!(form.between(1, 5), Err(frequency));
    }
    assert_eq!(Distance::default().check(), Ok(()));
}
