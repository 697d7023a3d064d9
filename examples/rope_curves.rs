//! Draws how right rotary angles are and what a base holds: `cargo run --release --example rope_curves
//! [FOLDER]`.
//!
//! `rope-error.svg` has the largest absolute error of the cosines and sines of a head, 128 elements with base
//! 10 000, at positions up to 2^31 - 1: of [`RopeTable`] and [`Rope`], of the usual recipe in `f32`, a
//! frequency times a position, and of the same recipe in `f64`. What they are compared with is computed in
//! 128-bit integers. A point is the worst of up to 32 positions.
//!
//! `rope-similarity.svg` has on the left the least f up to a distance for four bases b, where f(m) =
//! sum cos(m b^(-2i/128)) over the pairs of a head says how much more attention a key like the query gets than
//! a random one. A dot marks the first distance where f is negative: the longest context that the base holds.
//! On the right stands the smallest base of each context length, its limit for large heads, and the bases of
//! two models, Llama 2 (arXiv 2307.09288) and Llama 3 (arXiv 2407.21783).

use core::f64::consts::TAU;
use core::fmt::Write as _;
use std::path::Path;

use suanzi::position::{
    Base, BaseSearch, Frequencies, HeadLayout, Pairing, PositionEncoding, Rope, RopeTable,
    asymptotic_base,
};

/// Rotated elements of a head, and its pairs.
const HEAD: usize = 128;
const PAIRS: usize = HEAD / 2;

const BLUE: &str = "#1f4e9c";
const GREEN: &str = "#2f9e6e";
const ORANGE: &str = "#c2410c";
const VIOLET: &str = "#7c5cd6";
const GRAY: &str = "#7a7a7a";

/// The width of both pictures.
const WIDTH: f64 = 786.0;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or(".".into());
    for (name, svg) in [
        ("rope-error.svg", error_picture()?),
        ("rope-similarity.svg", similarity_picture()?),
    ] {
        let file = Path::new(&folder).join(name);
        std::fs::write(&file, svg)?;
        println!("{}: open it in a browser", file.display());
    }
    Ok(())
}

/// The largest errors of all cosines and sines at some positions.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    recipe: f64,
    double: f64,
    table: f64,
}

/// What angles are computed from, three ways.
struct Angles {
    turns: Vec<u128>,
    single: Vec<f32>,
    double: Vec<f64>,
    rope: Rope<f32, [u64; PAIRS]>,
}

impl Angles {
    fn new() -> Result<Self, suanzi::Error> {
        let base = Base::default();
        let turns = base.turns(PAIRS).map(|turns| {
            let (high, low) = turns.parts();
            u128::from(high) << 64 | u128::from(low)
        });
        let powers = (0..PAIRS).map(|i| libm::pow(base.base(), 2.0 * i as f64 / HEAD as f64));
        let layout = HeadLayout::new(HEAD, Pairing::HalfSplit)?;
        Ok(Self {
            turns: turns.collect(),
            // The power of a recipe in f32 is rounded correctly here, which is the best that it can be.
            single: powers.clone().map(|power| 1.0 / power as f32).collect(),
            double: powers.map(|power| 1.0 / power).collect(),
            rope: Rope::new(layout, &base, [0; PAIRS])?,
        })
    }

    /// Returns the largest errors at the positions from `first` to `last`.
    fn errors(&self, first: i32, last: i32) -> Result<Errors, Box<dyn core::error::Error>> {
        let count = usize::try_from(last - first)? + 1;
        let table = RopeTable::new(&self.rope, first, vec![0.0_f32; count * HEAD])?;
        let mut worst = Errors::default();
        for at in first..=last {
            let (cos, sin) = table.row(at)?;
            // Pairs of one and zero turn into cosine and sine.
            let mut head = [0.0; HEAD];
            head[..PAIRS].fill(1.0);
            self.rope.rotate(at, &mut head[..])?;
            if head.split_at(PAIRS) != (cos, sin) {
                return Err(format!("Rope and RopeTable differ at position {at}").into());
            }
            let frequencies = self.turns.iter().zip(&self.single).zip(&self.double);
            for (((&turns, &single), &double), (&cos, &sin)) in frequencies.zip(cos.iter().zip(sin))
            {
                // The product drops whole turns; the frequency is right to 2^-115 turns, so this to 2^-84.
                let turn = turns.wrapping_mul(u128::from(at.unsigned_abs())) as i128;
                let exact = libm::sincos(turn as f64 * (TAU / 2.0_f64.powi(128)));
                let off = |(sin, cos): (f64, f64)| (sin - exact.0).abs().max((cos - exact.1).abs());
                let angle = at as f32 * single;
                worst.recipe = worst
                    .recipe
                    .max(off((libm::sinf(angle).into(), libm::cosf(angle).into())));
                worst.double = worst.double.max(off(libm::sincos(f64::from(at) * double)));
                worst.table = worst.table.max(off((sin.into(), cos.into())));
            }
        }
        Ok(worst)
    }
}

/// Points a decade of the errors, and positions a point is the worst of.
const PER_DECADE: f64 = 40.0;
const NEIGHBORS: i32 = 32;

fn error_picture() -> Result<String, Box<dyn core::error::Error>> {
    let angles = Angles::new()?;
    let plot = Plot {
        left: 62.0,
        top: 42.0,
        width: 682.0,
        height: 350.0,
        x: Axis::Log(1.0, 2.0_f64.powi(31)),
        y: Axis::Log(1e-9, 10.0),
    };
    let (mut recipe, mut double, mut table) = (Vec::new(), Vec::new(), Vec::new());
    let (mut before, mut point, mut worst) = (0, 0.0, 0.0_f64);
    while before < i32::MAX {
        // A float beyond the greatest integer becomes that.
        let last = libm::pow(10.0, point / PER_DECADE).round() as i32;
        point += 1.0;
        if last == before {
            continue;
        }
        let errors = angles.errors(last.saturating_sub(NEIGHBORS - 1).max(before + 1), last)?;
        for (to, error) in [
            (&mut recipe, errors.recipe),
            (&mut double, errors.double),
            (&mut table, errors.table),
        ] {
            to.push((f64::from(last), error));
        }
        worst = worst.max(errors.table);
        before = last;
    }
    // The recipe in f64 appears once it is visible.
    let unseen = double.iter().rposition(|&(_, error)| error < 1e-9);
    double.drain(..unseen.map_or(0, |i| i + 1));
    let bound = 2.0_f64.powi(-24);

    let mut svg = begin(plot.top + plot.height + 52.0);
    let powers = |powers: &[i32]| -> Vec<(f64, String)> {
        powers
            .iter()
            .map(|&k| (10.0_f64.powi(k), power(10, k)))
            .collect()
    };
    plot.frame(
        &mut svg,
        "position",
        "largest absolute error of cosine and sine, head of 128, base 10 000",
        &powers(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        &powers(&[-9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1]),
    )?;
    plot.line(
        &mut svg,
        "stroke='#555' stroke-dasharray='4 3'",
        &[(1.0, bound), (f64::from(i32::MAX), bound)],
    )?;
    plot.line(&mut svg, &stroke(GRAY), &double)?;
    plot.line(&mut svg, &stroke(ORANGE), &recipe)?;
    plot.line(&mut svg, &stroke(BLUE), &table)?;
    // The last positions of two context lengths.
    for (name, at) in [("128k", 131_071), ("1M", 1_048_575)] {
        let alone = angles.errors(at, at)?.recipe;
        let error = angles.errors(at + 1 - NEIGHBORS, at)?.recipe;
        let point = (f64::from(at), error);
        plot.dot(&mut svg, ORANGE, point)?;
        plot.note(
            &mut svg,
            ORANGE,
            point,
            (8.0, 12.0),
            &format!("{error:.1e} at {name}"),
        )?;
        println!(
            "the recipe is off by {alone:.2e} at {at}, by {error:.2e} at the worst of {NEIGHBORS} positions"
        );
    }
    println!("RopeTable and Rope are off by {worst:.3e} at most, 2^-24 is {bound:.3e}");
    let at = |position: i32, error: f64| (f64::from(position), error);
    plot.note(
        &mut svg,
        ORANGE,
        at(200, 2e-3),
        (0.0, 0.0),
        "usual recipe, all in f32",
    )?;
    plot.note(
        &mut svg,
        GRAY,
        at(500_000, 3e-9),
        (0.0, 0.0),
        "the same in f64",
    )?;
    plot.note(
        &mut svg,
        BLUE,
        at(2_000, bound),
        (0.0, 28.0),
        "RopeTable and Rope, f32",
    )?;
    plot.note(
        &mut svg,
        "#555",
        at(2_000, bound),
        (0.0, -6.0),
        &format!("bound {}", power(2, -24)),
    )?;
    svg += "</svg>\n";
    Ok(svg)
}

/// Distances of the curves of similarity.
const DISTANCES: u32 = 1 << 20;

/// Where searches for the smallest base take long, that base for 2^16, 2^17, ..., 2^20, as the example
/// `rope_base` finds it.
const LARGE: [f64; 5] = [
    2_090_179.674_07,
    4_869_104.370_56,
    23_662_397.037,
    58_496_173.802_3,
    65_374_955.144_2,
];

fn similarity_picture() -> Result<String, Box<dyn core::error::Error>> {
    let search = BaseSearch::new(HEAD)?;
    let (mut smallest, mut base) = (Vec::new(), 1.5);
    for doubled in 0..6 {
        base = search.smallest_base(1024 << doubled, base, |_| ())?;
        smallest.push((1024 << doubled, base));
    }
    smallest.extend((16..).map(|k| 1 << k).zip(LARGE));

    let mut svg = begin(458.0);
    let plot = Plot {
        left: 42.0,
        top: 42.0,
        width: 390.0,
        height: 310.0,
        x: Axis::Log(10.0, f64::from(DISTANCES)),
        y: Axis::Linear(-25.0, 55.0),
    };
    plot.frame(
        &mut svg,
        "distance m",
        "least f up to m, where f(m) = Σ cos(m b^(-i/64)), i &lt; 64",
        &[
            (1e1, "10".into()),
            (1e2, "100".into()),
            (1e3, "1k".into()),
            (1e4, "10k".into()),
            (1e5, "100k".into()),
            (1e6, "1M".into()),
        ],
        &[-20, 0, 20, 40].map(|y| (f64::from(y), y.to_string())),
    )?;
    let end = f64::from(DISTANCES);
    plot.line(&mut svg, "stroke='#555'", &[(10.0, 0.0), (end, 0.0)])?;
    let bases = [
        (10_000.0, ORANGE),
        (500_000.0, GREEN),
        (1_000_000.0, VIOLET),
        (base, BLUE),
    ];
    let mut dots = Vec::new();
    for (i, (base, color)) in bases.into_iter().enumerate() {
        plot.line(
            &mut svg,
            &stroke(color),
            &running_least(&similarities(base), 300),
        )?;
        let holds = search.longest_context(base, DISTANCES)?;
        println!("base {base}: negative first at {holds}");
        let text = match i {
            3 => format!("b = {}, the smallest for 32k", grouped(base.round() as u32)),
            _ => format!("b = {}", grouped(base as u32)),
        };
        let place = (
            plot.left + 305.0 * (i / 2) as f64,
            plot.top + plot.height + 64.0 + 20.0 * (i % 2) as f64,
        );
        legend(
            &mut svg,
            color,
            place,
            &format!("{text}: f(m) &lt; 0 first at {}", grouped(holds)),
        )?;
        dots.push((color, (f64::from(holds), 0.0)));
    }
    for (color, point) in dots {
        plot.dot(&mut svg, color, point)?;
    }

    let plot = Plot {
        left: 492.0,
        width: 252.0,
        x: Axis::Log(1024.0 / 1.5, 1.5 * f64::from(DISTANCES)),
        y: Axis::Log(1e3, 1e8),
        ..plot
    };
    plot.frame(
        &mut svg,
        "context length L",
        "smallest base with f(m) ≥ 0 for m &lt; L",
        &[
            (1024.0, "1k".into()),
            (8192.0, "8k".into()),
            (65_536.0, "64k".into()),
            (524_288.0, "512k".into()),
        ],
        &[3, 4, 5, 6, 7, 8].map(|k| (10.0_f64.powi(k), power(10, k))),
    )?;
    let limit = [1024, DISTANCES].map(|context| (f64::from(context), asymptotic_base(context)));
    plot.line(&mut svg, "stroke='#555' stroke-dasharray='4 3'", &limit)?;
    let points: Vec<_> = smallest
        .iter()
        .map(|&(context, base)| (f64::from(context), base))
        .collect();
    plot.line(&mut svg, &stroke(BLUE), &points)?;
    for point in points {
        plot.dot(&mut svg, BLUE, point)?;
    }
    for (name, point, offset) in [
        ("Llama 2", (4096.0, 1e4), (8.0, 21.0)),
        ("Llama 3", (8192.0, 5e5), (-24.0, -10.0)),
    ] {
        plot.dot(&mut svg, GRAY, point)?;
        plot.note(&mut svg, GRAY, point, offset, name)?;
    }
    plot.note(
        &mut svg,
        "#555",
        (22_000.0, 1.7e4),
        (0.0, 0.0),
        "L / 0.6165, the limit",
    )?;
    plot.note(
        &mut svg,
        "#555",
        (22_000.0, 1.7e4),
        (0.0, 15.0),
        "for large heads",
    )?;
    svg += "</svg>\n";
    Ok(svg)
}

/// Returns the least of f up to each of some distances from 10 on.
fn running_least(f: &[f64], steps: u32) -> Vec<(f64, f64)> {
    let (mut points, mut seen, mut least) = (Vec::new(), 0, f64::INFINITY);
    for step in 0..=steps {
        let ratio = f64::from(DISTANCES) / 10.0;
        // A positive number within the distances.
        let m = (10.0 * libm::pow(ratio, f64::from(step) / f64::from(steps))).round() as usize;
        if m < seen {
            continue;
        }
        least = f
            .iter()
            .take(m + 1)
            .skip(seen)
            .copied()
            .fold(least, f64::min);
        seen = m + 1;
        points.push((m as f64, least));
    }
    points
}

/// Returns f(m) for every distance up to [`DISTANCES`].
fn similarities(base: f64) -> Vec<f64> {
    let mut sums = vec![0.0; DISTANCES as usize + 1];
    for i in 0..PAIRS {
        let (sin, cos) = libm::sincos(libm::pow(base, -2.0 * i as f64 / HEAD as f64));
        // Off by 1e-10 after a million steps.
        let mut at = (1.0, 0.0);
        for sum in &mut sums {
            *sum += at.0;
            at = (at.0 * cos - at.1 * sin, at.1 * cos + at.0 * sin);
        }
    }
    sums
}

/// A scale with its ends.
#[derive(Clone, Copy)]
enum Axis {
    Linear(f64, f64),
    Log(f64, f64),
}

impl Axis {
    /// Returns where a value lies, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear(from, to) => (value - from) / (to - from),
            Self::Log(from, to) => libm::log(value / from) / libm::log(to / from),
        }
    }
}

/// A frame with scales.
#[derive(Clone, Copy)]
struct Plot {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
}

impl Plot {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let x = self.left + self.width * self.x.place(x);
        (x, self.top + self.height * (1.0 - self.y.place(y)))
    }

    /// Draws the frame, its grid and the names of its axes.
    fn frame(
        &self,
        svg: &mut String,
        x_name: &str,
        y_name: &str,
        x_ticks: &[(f64, String)],
        y_ticks: &[(f64, String)],
    ) -> core::fmt::Result {
        let Self {
            left,
            top,
            width,
            height,
            ..
        } = *self;
        let (right, bottom) = (left + width, top + height);
        for (value, label) in x_ticks {
            let x = left + width * self.x.place(*value);
            writeln!(
                svg,
                "<path d='M{x:.1} {top}V{bottom}' stroke='#eee'/>\
                 <text x='{x:.1}' y='{}' text-anchor='middle' fill='#555'>{label}</text>",
                bottom + 17.0
            )?;
        }
        for (value, label) in y_ticks {
            let y = top + height * (1.0 - self.y.place(*value));
            writeln!(
                svg,
                "<path d='M{left} {y:.1}H{right}' stroke='#eee'/>\
                 <text x='{}' y='{:.1}' text-anchor='end' fill='#555'>{label}</text>",
                left - 6.0,
                y + 4.0
            )?;
        }
        writeln!(
            svg,
            "<rect x='{left}' y='{top}' width='{width}' height='{height}' fill='none' stroke='#bbb'/>\n\
             <text x='{left}' y='{}'>{y_name}</text>\n\
             <text x='{right}' y='{}' text-anchor='end'>{x_name}</text>",
            top - 14.0,
            bottom + 36.0
        )
    }

    /// Draws a line through points.
    fn line(&self, svg: &mut String, stroke: &str, points: &[(f64, f64)]) -> core::fmt::Result {
        let points: String = points
            .iter()
            .map(|&point| self.place(point))
            .map(|(x, y)| format!("{x:.1},{y:.1} "))
            .collect();
        writeln!(svg, "<polyline points='{points}' fill='none' {stroke}/>")
    }

    /// Draws a dot.
    fn dot(&self, svg: &mut String, color: &str, point: (f64, f64)) -> core::fmt::Result {
        let (x, y) = self.place(point);
        writeln!(
            svg,
            "<circle cx='{x:.1}' cy='{y:.1}' r='3.5' fill='{color}'/>"
        )
    }

    /// Writes a text, moved from a point.
    fn note(
        &self,
        svg: &mut String,
        color: &str,
        point: (f64, f64),
        (right, down): (f64, f64),
        text: &str,
    ) -> core::fmt::Result {
        let (x, y) = self.place(point);
        writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' fill='{color}'>{text}</text>",
            x + right,
            y + down
        )
    }
}

/// Begins a picture of some height.
fn begin(height: f64) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' font-family='sans-serif' \
         font-size='13'>\n<rect width='{WIDTH}' height='{height}' fill='white'/>\n"
    )
}

/// Returns the attributes of a curve.
fn stroke(color: &str) -> String {
    format!("stroke='{color}' stroke-width='1.8' stroke-linejoin='round'")
}

/// Draws an entry of a legend.
fn legend(svg: &mut String, color: &str, (x, y): (f64, f64), text: &str) -> core::fmt::Result {
    writeln!(
        svg,
        "<rect x='{x}' y='{}' width='18' height='4' fill='{color}'/><text x='{}' y='{y}'>{text}</text>",
        y - 6.0,
        x + 24.0
    )
}

/// Writes a number with its thousands apart.
fn grouped(number: u32) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{} {:03}", number / 1000, number % 1000),
        _ => format!(
            "{} {:03} {:03}",
            number / 1_000_000,
            number / 1000 % 1000,
            number % 1000
        ),
    }
}

/// Writes a power with raised digits.
fn power(base: u32, exponent: i32) -> String {
    let digits = exponent.to_string();
    let raised = digits.chars().map(|digit| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    });
    core::iter::once(base.to_string())
        .chain(raised.map(String::from))
        .collect()
}
