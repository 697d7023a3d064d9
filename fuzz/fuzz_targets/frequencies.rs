//! What says how fast pairs turn and where tokens stand, against its definition: scalings, encodings on
//! several axes, places of patches, distances, bases of contexts, factors on queries, xPos, and tables
//! for constants.

#![no_main]

#[path = "frequencies/placing.rs"]
mod placing;
#[path = "frequencies/scaling.rs"]
mod scaling;

use core::f64::consts::TAU;
use core::fmt::Debug;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use placing::{Apart, Axial, Patches};
use scaling::Scaled;
use suanzi::position::{
    Base, BaseSearch, Frequencies, HeadLayout, Pairing, Rope, RopeTable, Turns, XPos, log_n_scale,
    rope_rows, step_scale,
};
use suanzi::{Cpu, Error, Parameter};

/// One part of the room, with its arguments.
#[derive(Arbitrary, Debug)]
enum Part {
    Scaled(Scaled),
    Axial(Axial),
    Patches(Patches),
    Apart(Apart),
    Context(Context),
    Factors(Factors),
    Decay(Decay),
    Rows(Rows),
}

fuzz_target!(|part: Part| {
    match part {
        Part::Scaled(scaled) => scaled.hold(),
        Part::Axial(axial) => axial.hold(),
        Part::Patches(patches) => patches.hold(),
        Part::Apart(apart) => apart.hold(),
        Part::Context(context) => context.hold(),
        Part::Factors(factors) => factors.hold(),
        Part::Decay(decay) => decay.hold(),
        Part::Rows(rows) => rows.hold(),
    }
});

/// A number of any size, or one of those that are met.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Any(f64),
    Near { mantissa: u16, exponent: i8 },
    Integer(u16),
}

impl Number {
    fn value(self) -> f64 {
        match self {
            Self::Any(x) => x,
            Self::Near { mantissa, exponent } => {
                (1.0 + f64::from(mantissa) / 65_536.0) * f64::from(exponent % 72).exp2()
            }
            Self::Integer(n) => n.into(),
        }
    }
}

/// A count of any size, all sizes alike.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Count(u32, u8);

impl Count {
    fn value(self) -> u32 {
        self.0 >> (self.1 % 32)
    }
}

/// Frequencies from a list.
struct Listed<'a>(&'a [Turns]);

impl Frequencies for Listed<'_> {
    fn check(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn turns(&self, pairs: usize) -> impl Iterator<Item = Turns> {
        self.0.iter().copied().take(pairs)
    }
}

/// Runs on every level, and holds the results to be the same.
fn on_every_level<R: PartialEq + Debug>(run: impl Fn(Cpu) -> R) -> R {
    let first = run(Cpu::scalar());
    for level in Cpu::levels() {
        let cpu = Cpu::with(level).expect("a level that is listed");
        assert_eq!(run(cpu), first, "{level:?}");
    }
    first
}

/// Returns the pairing.
fn pairing(half_split: bool) -> Pairing {
    if half_split {
        Pairing::HalfSplit
    } else {
        Pairing::Interleaved
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Returns the value, or none where the constructor refuses; it must refuse for this reason alone.
fn admitted<T: Debug>(made: Result<T, Error>, refusal: Option<Parameter>) -> Option<T> {
    assert_eq!(made.as_ref().err().copied(), refusal.map(Error::Domain));
    made.ok()
}

/// Which base a context needs.
#[derive(Arbitrary, Debug)]
struct Context {
    rotary_dim: u8,
    base: Number,
    context: u8,
}

impl Context {
    fn hold(self) {
        let (rotary_dim, context) = (
            usize::from(self.rotary_dim % 34),
            u32::from(self.context % 65),
        );
        let refused = rotary_dim == 0 || rotary_dim % 2 == 1;
        let search = BaseSearch::new(rotary_dim);
        let Some(search) = admitted(search, refused.then_some(Parameter::RotaryDim)) else {
            return;
        };
        let from = self.base.value();
        // The end of the domain is known to two digits.
        if (1e304..1.1e304).contains(&from) {
            return;
        }
        let refusal = (!(1.0..1e304).contains(&from)).then_some(Parameter::Base);
        let held = on_every_level(|cpu| search.on(cpu).longest_context(from, context));
        let Some(held) = admitted(held, refusal) else {
            assert!(search.smallest_base(context, from, |_| ()).is_err());
            return;
        };

        // The definition, with a band around zero that rounding may fill.
        let pairs = rotary_dim / 2;
        let similarity = |base: f64, m: u32| -> f64 {
            let angle = |i: usize| f64::from(m) * base.powf(-(i as f64) / pairs as f64);
            (0..pairs).map(|i| angle(i).cos()).sum()
        };
        let band = |m: u32| rotary_dim as f64 * (2e-13 + 2e-15 * f64::from(m));
        let broken = |base: f64, sign: f64| {
            let negative = |&m: &u32| similarity(base, m) < sign * band(m);
            (1..context).find(negative).unwrap_or(context)
        };
        for m in 0..context {
            let got = on_every_level(|cpu| search.on(cpu).similarity(from, m).map(f64::to_bits));
            let off = f64::from_bits(got.expect("a base of the domain")) - similarity(from, m);
            assert!(off.abs() <= band(m), "{m}: {off}");
        }
        assert!(
            (broken(from, 1.0)..=broken(from, -1.0)).contains(&held),
            "{held}"
        );

        let Ok(base) = search.smallest_base(context, from, |_| ()) else {
            assert!(broken(from, 1.0) < context);
            return;
        };
        assert!(base >= from, "{base}");
        assert_eq!(search.longest_context(base, context), Ok(context));
        // No base between holds.
        for share in 0..16 {
            let between = from * (base / from).powf(f64::from(share) / 16.0);
            if between < base * (1.0 - 1e-9) {
                assert!(broken(between, 1.0) < context, "{between} below {base}");
            }
        }
    }
}

/// Factors on queries.
#[derive(Arbitrary, Debug)]
struct Factors {
    tokens: u32,
    trained: Count,
    rate: Number,
}

impl Factors {
    fn hold(self) {
        let (tokens, trained) = (self.tokens, self.trained.value());
        let refusal = (trained < 2).then_some(Parameter::Context);
        let near = |got: f64, expected: f64, units: f64, size: f64| {
            assert!(
                (got - expected).abs() <= units * size,
                "{got}, not {expected}"
            );
        };
        if let (Some(single), Some(double)) = (
            admitted(log_n_scale::<f32>(tokens, trained), refusal),
            admitted(log_n_scale::<f64>(tokens, trained), refusal),
        ) {
            let ratio = f64::from(tokens.max(1)).ln() / f64::from(trained).ln();
            let scale = ratio.max(1.0);
            near(single.into(), scale, f64::from(f32::EPSILON), scale);
            near(double, scale, 4.0 * f64::EPSILON, scale);
        }
        let rate = self.rate.value();
        let single = step_scale(tokens, trained, rate as f32);
        let double = step_scale(tokens, trained, rate);
        if let (Some(single), Some(double)) = (admitted(single, refusal), admitted(double, refusal))
        {
            let steps = ((u64::from(tokens) + 1) / u64::from(trained)) as f64;
            let scale = |rate: f64| {
                [
                    1.0 + rate * steps.ln_1p(),
                    1.0 + (rate * steps.ln_1p()).abs(),
                ]
            };
            let [expected, size] = scale(rate);
            if size.is_finite() {
                near(double, expected, 4.0 * f64::EPSILON, size);
            }
            let [expected, size] = scale((rate as f32).into());
            if size < f32::MAX.into() {
                near(single.into(), expected, 2.0 * f64::from(f32::EPSILON), size);
            }
        }
    }
}

/// xPos.
#[derive(Arbitrary, Debug)]
struct Decay {
    pairs: u8,
    beyond: u8,
    half_split: bool,
    base: Number,
    scale_base: Count,
    position: i32,
    near: bool,
    x: Vec<f32>,
}

impl Decay {
    fn hold(self) {
        let pairs = usize::from(self.pairs % 40) + 1;
        let head = 2 * pairs + usize::from(self.beyond % 4);
        let layout = HeadLayout::partial(head, 2 * pairs, pairing(self.half_split));
        let layout = layout.expect("a layout");
        let frequencies = Base::new(self.base.value()).unwrap_or_default();
        let scale_base = self.scale_base.value();
        let room = |rest: usize| [vec![0_u64; pairs], vec![0; pairs + rest]];
        let refusal = (scale_base < 2).then_some(Parameter::Context);
        let xpos = XPos::<f32, _>::new(layout, &frequencies, scale_base, room(0));
        let Some(xpos) = admitted(xpos, refusal) else {
            return;
        };
        assert!(XPos::<f32, _>::new(layout, &frequencies, scale_base, room(1)).is_err());

        // Any numbers: the same on every level, and nothing written where they are not whole heads.
        let rotated = |x: &[f32], position| {
            on_every_level(|cpu| {
                let (mut query, mut key) = (x.to_vec(), x.to_vec());
                let xpos = xpos.clone().on(cpu);
                let done = xpos.rotate_queries(position, &mut query);
                assert_eq!(done, xpos.rotate_keys(position, &mut key));
                assert_eq!(done.is_ok(), x.len() % head == 0);
                if done.is_err() {
                    assert!(bits(&query) == bits(x) && bits(&key) == bits(x));
                }
                [bits(&query), bits(&key)]
            })
        };
        rotated(&self.x, self.position);

        // Where factors are far from the ends of the numbers they are those of the definition, and at
        // the same position they cancel.
        let reach = i64::from(scale_base) * 60;
        let position = match i32::try_from(reach) {
            Ok(reach) if self.near => self.position % (reach + 1),
            _ => self.position,
        };
        if i64::from(position).abs() > reach {
            return;
        }
        let mut x = vec![0.0; head];
        for pair in 0..pairs {
            x[first_of(layout, pair)] = 1.0;
        }
        let [query, key] = rotated(&x, position).map(|bits| {
            let numbers = bits.into_iter().map(f32::from_bits);
            numbers.map(f64::from).collect::<Vec<_>>()
        });
        for pair in 0..pairs {
            let a = first_of(layout, pair);
            let b = if self.half_split { a + pairs } else { a + 1 };
            let score = query[a] * key[a] + query[b] * key[b];
            // Each within 6 units of the length of its pair.
            assert!(
                (score - 1.0).abs() < 24.0 * 2_f64.powi(-24),
                "{pair}: {score}"
            );
            let d = 2.0 * pairs as f64;
            let zeta = (2.0 * pair as f64 + 0.4 * d) / (1.4 * d);
            let factor = zeta.powf(f64::from(position) / f64::from(scale_base));
            let length = query[a].hypot(query[b]) / factor;
            assert!(
                (length - 1.0).abs() < 12.0 * 2_f64.powi(-24),
                "{pair}: {length}"
            );
        }
    }
}

/// Returns where the first element of a pair stands.
fn first_of(layout: HeadLayout, pair: usize) -> usize {
    match layout.pairing() {
        Pairing::Interleaved => 2 * pair,
        Pairing::HalfSplit => pair,
    }
}

/// Rows of a table for a constant.
#[derive(Arbitrary, Debug)]
struct Rows {
    turns: Vec<(u64, u64)>,
    first: i32,
    from_end: bool,
}

impl Rows {
    /// The entries: rows of 1, 2, 3, 4, 6, 8, 12 and 24 pairs.
    const LEN: usize = 48;

    fn hold(self) {
        let turns = self.turns.iter().take(25);
        let turns: Vec<_> = turns
            .map(|&(high, low)| Turns::from_parts(high, low))
            .collect();
        let first = if self.from_end {
            i32::MAX - self.first.rem_euclid(50)
        } else {
            self.first
        };
        let rows = rope_rows::<{ Self::LEN }>(&turns, first);
        let Ok(layout) = HeadLayout::new(2 * turns.len(), Pairing::HalfSplit) else {
            assert!(rows.is_err());
            return;
        };
        let rope = Rope::<f32, _>::new(layout, &Listed(&turns), vec![0; turns.len()]);
        let rope = rope.expect("an encoding");
        let table = RopeTable::new(&rope, first, vec![0.0; Self::LEN]);
        assert_eq!(rows.err(), table.as_ref().err().copied());
        let (Ok(rows), Ok(table)) = (rows, table) else {
            return;
        };
        for (row, at) in rows.chunks(layout.rotary_dim()).zip(first..=i32::MAX) {
            let (cos, sin) = table.row(at).expect("a row");
            assert_eq!(bits(row), bits(&[cos, sin].concat()), "{at}");
        }
    }
}

/// Returns a frequency in turns: base^(-i/n) / 2 pi.
fn frequency(base: f64, pair: usize, pairs: usize) -> f64 {
    base.powf(-(pair as f64 / pairs as f64)) / TAU
}
