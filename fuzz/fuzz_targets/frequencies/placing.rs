//! Where tokens stand and how they turn there, against definitions pair by pair and in wide integers.

use core::f64::consts::TAU;

use super::{Count, Listed, Number, admitted, bits, on_every_level, pairing};
use arbitrary::Arbitrary;
use suanzi::position::{
    Axes, AxialRope, Base, Coordinate, Cursor, Distance, Frequencies, HeadLayout, Pairing,
    Placement, PositionEncoding, Turns,
};
use suanzi::{Cpu, Error, Parameter};

/// 2^32, the units of a position.
const UNITS: f64 = 4_294_967_296.0;

/// An encoding on several axes.
#[derive(Arbitrary, Debug)]
pub struct Axial {
    axes: u8,
    shared: Shared,
    sections: [u8; 3],
    /// Pairs that no section has.
    left: u8,
    beyond: u8,
    half_split: bool,
    base: Number,
    places: Vec<[i64; 3]>,
    offset: [i64; 3],
    heads: u8,
    /// Elements beyond whole heads.
    more: u8,
    x: Vec<f32>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Shared {
    Sections,
    Interleaved,
    Blocks,
}

impl Axial {
    pub fn hold(self) {
        match self.axes % 3 {
            0 => self.hold_on::<1>(),
            1 => self.hold_on::<2>(),
            _ => self.hold_on::<3>(),
        }
    }

    fn hold_on<const N: usize>(self) {
        let mut numbers = self.sections.iter().map(|&pairs| usize::from(pairs % 20));
        let sections: [usize; N] = core::array::from_fn(|_| numbers.next().unwrap_or_default());
        let left = usize::from(self.left / 250);
        let pairs = sections.iter().sum::<usize>() + left;
        let head = 2 * pairs + usize::from(self.beyond % 4);
        let Ok(layout) = HeadLayout::partial(head, 2 * pairs, pairing(self.half_split)) else {
            return;
        };
        let axes = match self.shared {
            Shared::Sections => Axes::Sections(sections),
            Shared::Interleaved => Axes::Interleaved(sections),
            Shared::Blocks => Axes::Blocks(sections),
        };
        let base = Base::new(self.base.value()).unwrap_or_default();
        let rope = AxialRope::<f32, _, N>::new(layout, axes, &base, vec![0; pairs]);
        let Some(rope) = admitted(rope, (left > 0).then_some(Parameter::Axes)) else {
            return;
        };
        assert!(AxialRope::<f32, _, N>::new(layout, axes, &base, vec![0; pairs + 1]).is_err());

        let place = |at: [i64; 3]| -> [Coordinate; N] {
            let mut units = at.into_iter();
            core::array::from_fn(|_| Coordinate::from_units(units.next().unwrap_or_default()))
        };
        let places = self.places.iter().take(4);
        let places: Vec<_> = places.map(|&at| place(at)).collect();
        let len = usize::from(self.heads % 3) * head * places.len() + usize::from(self.more / 240);
        let x: Vec<f32> = self
            .x
            .iter()
            .copied()
            .chain([1.0])
            .cycle()
            .take(len)
            .collect();
        let whole = match head * places.len() {
            0 => len == 0,
            heads => len % heads == 0,
        };

        let rotated = on_every_level(|cpu| {
            let mut y = x.clone();
            let done = rope
                .clone()
                .on(cpu)
                .rotate_each(places.iter().copied(), &mut y);
            assert_eq!(done.is_ok(), whole);
            bits(&y)
        });
        if !whole {
            assert_eq!(rotated, bits(&x));
            return;
        }
        let turns: Vec<_> = base.turns(pairs).collect();
        let mut expected = x.clone();
        let token = (len / places.len().max(1)).max(1);
        for (at, x) in places.iter().zip(expected.chunks_mut(token)) {
            for x in x.chunks_mut(head) {
                turn_each_pair(axes, layout, &turns, *at, x);
            }
        }
        for (&got, expected) in rotated.iter().zip(expected) {
            let got = f32::from_bits(got);
            // A zero may lose its sign.
            let same = got == expected || got.is_nan() && expected.is_nan();
            assert!(same, "{got}, not {expected}");
        }

        // A shift and a rotation back refuse and agree alike.
        let offset = place(self.offset);
        on_every_level(|cpu| {
            let (mut shifted, mut back) = (x.clone(), x.clone());
            let rope = rope.clone().on(cpu);
            assert!(rope.shift(offset, &mut shifted).is_ok());
            assert!(rope.unrotate(offset, &mut back[..]).is_ok());
            let mut part = vec![0.5; head + 1];
            assert!(rope.shift(offset, &mut part).is_err() || head == 1);
            assert!(rope.unrotate(offset, &mut part[..]).is_err() || head == 1);
            assert!(part.iter().all(|&x| x == 0.5));
            [bits(&shifted), bits(&back)]
        });
    }
}

/// Turns a head, pair after pair, each by what a unit vector becomes.
fn turn_each_pair<const N: usize>(
    axes: Axes<N>,
    layout: HeadLayout,
    turns: &[Turns],
    at: [Coordinate; N],
    x: &mut [f32],
) {
    for (pair, &turns) in turns.iter().enumerate() {
        // The axis of the pair, and the first pair and the number of pairs of its block.
        let (axis, first, pairs) = match axes {
            Axes::Interleaved(pairs) => {
                let axis = pair % N;
                let belongs = pair / N < pairs[axis];
                (if belongs { axis } else { 0 }, 0, layout.pairs())
            }
            Axes::Sections(sections) => (run(sections, pair).0, 0, layout.pairs()),
            Axes::Blocks(blocks) => {
                let (axis, first) = run(blocks, pair);
                (axis, first, blocks[axis])
            }
        };
        let within = pair - first;
        let (a, b) = match layout.pairing() {
            Pairing::Interleaved => (2 * within, 2 * within + 1),
            Pairing::HalfSplit => (within, within + pairs),
        };
        let (a, b) = (2 * first + a, 2 * first + b);
        let (cos, sin) = cos_sin(turns, at[axis]);
        (x[a], x[b]) = (x[a] * cos - x[b] * sin, x[b] * cos + x[a] * sin);
    }
}

/// Returns the run that a pair belongs to, and its first pair.
fn run<const N: usize>(runs: [usize; N], pair: usize) -> (usize, usize) {
    let mut first = 0;
    for (axis, pairs) in runs.into_iter().enumerate() {
        if pair < first + pairs {
            return (axis, first);
        }
        first += pairs;
    }
    panic!("a pair beyond all runs");
}

/// Returns what a unit vector turns to at a place, which is checked in `f64`.
fn cos_sin(turns: Turns, place: Coordinate) -> (f32, f32) {
    let layout = HeadLayout::new(2, Pairing::Interleaved).expect("a pair");
    let rope = AxialRope::<f32, _, 1>::new(layout, Axes::Sections([1]), &Listed(&[turns]), [0]);
    let rope = rope.expect("an encoding").on(Cpu::scalar());
    let mut x = [1.0, 0.0];
    rope.rotate([place], &mut x[..]).expect("a head");
    let (high, low) = turns.parts();
    let nearest = high.wrapping_add(low >> 63);
    let angle = (i128::from(nearest) * i128::from(place.units()) >> 32) as i64;
    let (sin, cos) = (TAU * (angle as f64 / (UNITS * UNITS))).sin_cos();
    let bound = 2_f64.powi(-24) + 1e-12;
    assert!((f64::from(x[0]) - cos).abs() <= bound, "{} {cos}", x[0]);
    assert!((f64::from(x[1]) - sin).abs() <= bound, "{} {sin}", x[1]);
    (x[0], x[1])
}

/// A grid of patches between tokens of text.
#[derive(Arbitrary, Debug)]
pub struct Patches {
    axes: u8,
    placement: Placed,
    first: i32,
    from_end: bool,
    sides: [Count; 3],
    nth: u16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Placed {
    Tie,
    TieFractional,
    TieCentered,
    MRope,
}

impl Patches {
    pub fn hold(self) {
        match self.axes % 3 {
            0 => self.hold_on::<1>(),
            1 => self.hold_on::<2>(),
            _ => self.hold_on::<3>(),
        }
    }

    fn hold_on<const N: usize>(self) {
        let mut numbers = self.sides.into_iter().map(Count::value);
        let sides: [u32; N] = core::array::from_fn(|_| numbers.next().unwrap_or_default());
        let placement = match self.placement {
            Placed::Tie => Placement::Tie,
            Placed::TieFractional => Placement::TieFractional,
            Placed::TieCentered => Placement::TieCentered,
            Placed::MRope => Placement::MRope,
        };
        let first = if self.from_end {
            i32::MAX - self.first.rem_euclid(1 << 16)
        } else {
            self.first
        };
        let mut cursor = Cursor::<N>::new(placement, first);
        let text = cursor.text();
        assert_eq!(text.is_ok(), first < i32::MAX);
        if let Ok(text) = text {
            assert_eq!(text, [Coordinate::new(first); N]);
        }
        let next = cursor.next();
        assert_eq!(next, first.saturating_add(1));

        let n = sides.map(i128::from);
        let patches: i128 = n.iter().product();
        let span = match placement {
            _ if patches == 0 => 0,
            Placement::Tie => n.iter().map(|n| n + 1).product(),
            Placement::MRope => n.iter().max().map_or(0, |n| n + 1),
            _ => patches + 1,
        };
        let last = i128::from(next) - 1;
        let grid = cursor.grid(sides);
        let refused = last + span > i32::MAX.into();
        let Some(grid) = admitted(grid, refused.then_some(Parameter::Position)) else {
            assert_eq!(cursor.next(), next);
            return;
        };
        assert_eq!(
            i128::from(cursor.next()),
            last + span + i128::from(patches == 0 && span == 0)
        );
        let left = |done: i128| usize::try_from(patches - done).unwrap_or(usize::MAX);
        assert_eq!(grid.len(), left(0));

        // The place of the patch with a number, in units of 2^-32.
        let place = |number: i128| {
            let mut rest = number;
            let mut at = [Coordinate::ZERO; N];
            for (axis, to) in at.iter_mut().enumerate().rev() {
                let (i, n) = (rest % n[axis] + 1, n[axis]);
                rest /= sides.map(i128::from)[axis];
                let units = match placement {
                    Placement::Tie | Placement::TieFractional => {
                        // i (K - L) / (n + 1), rounded to the nearest, ties up.
                        (2 * ((i * span) << 32) + n + 1).div_euclid(2 * (n + 1))
                    }
                    Placement::TieCentered => (patches - n + 2 * i) << 31,
                    _ => i << 32,
                };
                let units = (last << 32) + units;
                *to = Coordinate::from_units(units.try_into().expect("a place in range"));
            }
            at
        };
        let mut walk = grid.clone();
        for number in 0..patches.min(8) {
            assert_eq!(walk.len(), left(number));
            assert_eq!(walk.next(), Some(place(number)), "{number}");
        }
        if patches <= 8 {
            assert!(walk.next().is_none() && walk.len() == 0);
        }
        if (1..1 << 16).contains(&patches) {
            let nth = i128::from(self.nth) % patches;
            assert_eq!(grid.clone().nth(nth as usize), Some(place(nth)), "{nth}");
            assert_eq!(grid.last(), Some(place(patches - 1)));
        }
    }
}

/// How far a key lies from a query.
#[derive(Arbitrary, Debug)]
pub struct Apart {
    form: Form,
    query: i32,
    key: i32,
    near: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Form {
    Rope,
    ReRope(Count),
    Leaky(Count, Number),
    SelfExtend(Count, Count),
}

impl Apart {
    pub fn hold(self) {
        let (query, key) = if self.near {
            (self.query >> 16 & 0x3fff, self.key >> 16 & 0x3fff)
        } else {
            (self.query, self.key)
        };
        let d = i128::from(query) - i128::from(key);
        let range = i128::from(i32::MIN)..=i128::from(i32::MAX);
        let whole = |d: i128| match i32::try_from(d) {
            Ok(d) if range.contains(&d.into()) => Ok(Coordinate::new(d)),
            _ => Err(Error::Domain(Parameter::Position)),
        };
        let no_window = Err(Error::Domain(Parameter::Window));
        match self.form {
            Form::Rope => assert_eq!(Distance::Rope.between(query, key), whole(d)),
            Form::ReRope(window) => {
                let window = window.value();
                let expected = match window {
                    0 => no_window,
                    _ => whole(d.min(window.into())),
                };
                assert_eq!(Distance::ReRope { window }.between(query, key), expected);
            }
            Form::SelfExtend(window, group) => {
                let (window, group) = (window.value(), group.value());
                let (q, k) = (i128::from(query), i128::from(key));
                let (w, g) = (i128::from(window), i128::from(group));
                let expected = if window == 0 || group == 0 {
                    no_window
                } else if query < 0 || key < 0 {
                    Err(Error::Domain(Parameter::Position))
                } else if d < w {
                    whole(d)
                } else {
                    whole(q / g + w - w / g - k / g)
                };
                let form = Distance::SelfExtend { window, group };
                assert_eq!(form.between(query, key), expected);
            }
            Form::Leaky(window, factor) => {
                let (window, factor) = (window.value(), factor.value());
                let got = Distance::LeakyReRope { window, factor }.between(query, key);
                if window == 0 {
                    assert_eq!(got, no_window);
                } else if !(factor.is_finite() && factor > 0.0) {
                    assert_eq!(got, Err(Error::Domain(Parameter::Factor)));
                } else if d < i128::from(window) {
                    assert_eq!(got, whole(d));
                } else {
                    let beyond = (d - i128::from(window)) as f64;
                    leaky(got, f64::from(window) + beyond / factor);
                }
            }
        }
    }
}

/// Checks a distance that was rounded: half a unit, and what `f64` is off by.
fn leaky(got: Result<Coordinate, Error>, expected: f64) {
    let end = UNITS / 2.0;
    match got {
        Ok(got) => {
            let off = (got.units() as f64 - expected * UNITS).abs();
            assert!(off <= 0.5 + 1e-15 * expected * UNITS, "{off} units");
        }
        Err(error) => {
            assert_eq!(error, Error::Domain(Parameter::Position));
            assert!(expected >= end - 1e-5, "{expected}");
        }
    }
}
