//! The curves of the held-out loss.

use core::fmt::Write as _;

use crate::tune::{Curve, EPOCHS, Method, SEEDS};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 50.0;

/// Returns the drawing of each method at its best rate: thin lines the seeds, thick ones their mean.
pub(crate) fn draw(best: &[(Method, f32, &[Curve])]) -> String {
    let losses = || {
        best.iter()
            .flat_map(|(_, _, curves)| curves.iter().flat_map(|curve| curve.held_out))
            .map(f64::from)
    };
    let (low, high) = losses().fold((f64::INFINITY, 0.0_f64), |(low, high), loss| {
        (low.min(loss), high.max(loss))
    });
    // Tenths of a nat around all of them.
    let (low, high) = ((low * 10.0).floor() / 10.0, (high * 10.0).ceil() / 10.0);
    let x = |epoch: usize| MARGIN + WIDTH * epoch as f64 / EPOCHS as f64;
    let y = |loss: f64| MARGIN + HEIGHT * (high - loss) / (high - low).max(0.1);
    let (width, height) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' \
         font-size='12'>\n<rect width='{width}' height='{height}' fill='white'/>\n\
         <rect x='{MARGIN}' y='{MARGIN}' width='{WIDTH}' height='{HEIGHT}' fill='none' stroke='#999'/>\n"
    );
    for epoch in 0..=EPOCHS {
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='middle'>{epoch}</text>",
            x(epoch),
            MARGIN + HEIGHT + 18.0
        );
    }
    for part in 0..=4 {
        let loss = low + (high - low) * f64::from(part) / 4.0;
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='end'>{loss:.2}</text>",
            MARGIN - 6.0,
            y(loss) + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x='{:.1}' y='{:.1}' text-anchor='middle'>epochs</text>\n\
         <text x='{MARGIN}' y='20'>held-out loss, nats a token; each method at its best rate, {SEEDS} seeds and their mean</text>",
        MARGIN + WIDTH / 2.0,
        height - 12.0
    );
    for ((method, rate, curves), color) in best.iter().zip(["#1f4e9c", "#c2410c"]) {
        let line = |loss: &dyn Fn(usize) -> f64| -> String {
            (0..=EPOCHS)
                .map(|epoch| format!("{:.1},{:.1} ", x(epoch), y(loss(epoch))))
                .collect()
        };
        let at = |curve: &Curve, epoch: usize| curve.held_out.get(epoch).map_or(0.0, |&l| l.into());
        for curve in *curves {
            let points = line(&|epoch| at(curve, epoch));
            let _ = writeln!(
                svg,
                "<polyline points='{points}' fill='none' stroke='{color}' stroke-width='0.6'/>"
            );
        }
        let points = line(&|epoch| {
            curves.iter().map(|curve| at(curve, epoch)).sum::<f64>() / curves.len() as f64
        });
        let label = match method {
            Method::Lora => 34.0,
            Method::LoraPlus => 50.0,
        };
        let _ = writeln!(
            svg,
            "<polyline points='{points}' fill='none' stroke='{color}' stroke-width='2.2'/>\n\
             <text x='{:.1}' y='{:.1}' text-anchor='end' fill='{color}'>{}, rate of A {rate:.5}</text>",
            MARGIN + WIDTH - 8.0,
            MARGIN + label - 16.0,
            method.name()
        );
    }
    svg += "</svg>\n";
    svg
}
