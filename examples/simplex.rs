//! Draws the family of maps from logits to the simplex: `cargo run --release --example simplex [FILE]`.
//!
//! On the left the probability of the first of two scores, t and 0. On the right where a circle of
//! three scores comes to lie in the simplex of three probabilities: sparse maps run along its edges.

use core::fmt::Write as _;

use suanzi::Error;
use suanzi::probability::{Entmax, Logits, Noise, Normalized, PerturbMax, ProbabilityMap, Softmax};

/// A map, its name and its color.
struct Curve {
    name: &'static str,
    color: &'static str,
    map: fn(&mut [f64]) -> Result<(), Error>,
}

fn entmax(alpha: f64, x: &mut [f64]) -> Result<(), Error> {
    Entmax::new(alpha, Logits::new())?.map_in_place(x)
}

const CURVES: [Curve; 6] = [
    Curve {
        name: "softmax (entmax 1)",
        color: "#1f4e9c",
        map: |x| Softmax::default().map_in_place(x),
    },
    Curve {
        name: "entmax 1.5",
        color: "#2f9e6e",
        map: |x| entmax(1.5, x),
    },
    Curve {
        name: "sparsemax (entmax 2)",
        color: "#c2410c",
        map: |x| entmax(2.0, x),
    },
    Curve {
        name: "entmax 4",
        color: "#8b1e3f",
        map: |x| entmax(4.0, x),
    },
    Curve {
        name: "perturb-max, normal",
        color: "#7c5cd6",
        map: |x| PerturbMax::new(Noise::Normal, Logits::new()).map_in_place(x),
    },
    Curve {
        name: "Taylor softmax, order 2",
        color: "#7a7a7a",
        map: |x| Normalized::taylor(2, Logits::new())?.map_in_place(x),
    },
];

/// The side of each drawing and the margin around it.
const SIDE: f64 = 330.0;
const MARGIN: f64 = 42.0;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let file = std::env::args().nth(1).unwrap_or("simplex.svg".into());
    let (width, height) = (2.0 * SIDE + 3.0 * MARGIN, SIDE + 2.0 * MARGIN + 44.0);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' \
         font-size='12'>\n<rect width='{width}' height='{height}' fill='white'/>\n"
    );
    axes(&mut svg)?;
    for (i, curve) in CURVES.iter().enumerate() {
        let mut line = Vec::new();
        for step in 0..=160 {
            let t = f64::from(step - 80) / 20.0;
            let mut p = [t, 0.0];
            (curve.map)(&mut p)?;
            line.push((
                MARGIN + SIDE * (t + 4.0) / 8.0,
                MARGIN + SIDE * (1.0 - p[0]),
            ));
        }
        path(&mut svg, curve.color, &line)?;
        let mut loops = Vec::new();
        for step in 0..=240 {
            let angle = f64::from(step) * core::f64::consts::TAU / 240.0;
            let mut p = [0.0, 1.0, 2.0]
                .map(|k: f64| 0.62 * (angle - k * core::f64::consts::TAU / 3.0).cos());
            (curve.map)(&mut p)?;
            loops.push(corner(p));
        }
        path(&mut svg, curve.color, &loops)?;
        let (x, y) = (
            MARGIN + 250.0 * (i % 3) as f64,
            SIDE + 2.0 * MARGIN + 6.0 + 20.0 * (i / 3) as f64,
        );
        writeln!(
            svg,
            "<rect x='{x}' y='{}' width='18' height='4' fill='{}'/><text x='{}' y='{y}'>{}</text>",
            y - 6.0,
            curve.color,
            x + 24.0,
            curve.name
        )?;
    }
    svg += "</svg>\n";
    std::fs::write(&file, svg)?;
    println!("{file}: open it in a browser");
    Ok(())
}

/// Returns the place of three probabilities in the triangle.
fn corner(p: [f64; 3]) -> (f64, f64) {
    let left = 2.0 * MARGIN + SIDE;
    let top = MARGIN + SIDE * (1.0 - 3.0_f64.sqrt() / 2.0);
    let x = left + SIDE * (0.5 * p[0] + p[2]);
    (x, top + SIDE * 3.0_f64.sqrt() / 2.0 * (1.0 - p[0]))
}

/// Draws the frames.
fn axes(svg: &mut String) -> core::fmt::Result {
    let frame = "fill='none' stroke='#bbb'";
    writeln!(
        svg,
        "<rect x='{MARGIN}' y='{MARGIN}' width='{SIDE}' height='{SIDE}' {frame}/>"
    )?;
    for t in [-4, -2, 0, 2, 4] {
        let x = MARGIN + SIDE * f64::from(t + 4) / 8.0;
        let y = MARGIN + SIDE;
        writeln!(
            svg,
            "<text x='{x}' y='{}' text-anchor='middle' fill='#555'>{t}</text>",
            y + 16.0
        )?;
    }
    for p in [0.0, 0.5, 1.0] {
        let y = MARGIN + SIDE * (1.0 - p) + 4.0;
        writeln!(
            svg,
            "<text x='{}' y='{y}' text-anchor='end' fill='#555'>{p}</text>",
            MARGIN - 6.0
        )?;
    }
    writeln!(
        svg,
        "<text x='{MARGIN}' y='{}'>p of the first of the scores (t, 0)</text>",
        MARGIN - 14.0
    )?;
    let corners = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(corner);
    let points: String = corners
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1} "))
        .collect();
    writeln!(svg, "<polygon points='{points}' {frame}/>")?;
    let x = 2.0 * MARGIN + SIDE;
    writeln!(
        svg,
        "<text x='{x}' y='{}'>a circle of three scores, in the simplex</text>",
        MARGIN - 14.0
    )
}

/// Draws a line through points.
fn path(svg: &mut String, color: &str, points: &[(f64, f64)]) -> core::fmt::Result {
    let points: String = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1} "))
        .collect();
    writeln!(
        svg,
        "<polyline points='{points}' fill='none' stroke='{color}' stroke-width='1.8'/>"
    )
}
