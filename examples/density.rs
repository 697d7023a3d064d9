//! Fits a density to a column of numbers and draws it: `cargo run --release --example density [FILE [COLUMN
//! [SVG]]]`.
//!
//! Without a file it takes the durations of eruptions in `assets/geyser.txt`. Lines that begin with `#` are
//! skipped; columns are counted from one. The number of coefficients is the one under which a quarter of the
//! data, held out, is likeliest. The picture has a histogram, the fit, a normal density and a kernel estimate
//! whose width is likeliest when every point is left out in turn.

use core::f64::consts::{LN_2, PI};
use core::fmt::Write as _;

use suanzi::density::{Density1d, Domain, Fit, FourierDensity, Sample};

/// Numbers of coefficients to choose from.
const COUNTS: [usize; 10] = [2, 3, 4, 5, 6, 8, 10, 12, 16, 20];
const MOST: usize = 20;
/// The penalty on the roughness.
const ROUGHNESS: f64 = 1e-4;

const BLUE: &str = "#1f4e9c";
const ORANGE: &str = "#c2410c";
const GREEN: &str = "#2f9e6e";

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let (name, column) = match &file {
        Some(file) => (file.as_str(), 1),
        None => (concat!(env!("CARGO_MANIFEST_DIR"), "/assets/geyser.txt"), 2),
    };
    let column = arguments.next().map_or(Ok(column), |x| x.parse())?;
    let svg = arguments.next().unwrap_or("density.svg".into());
    let data = read(&std::fs::read_to_string(name)?, column)?;

    let sample = Sample::new(&data)?;
    let (mean, deviation) = sample.moments();
    let fit = Fit::new(Domain::line(mean, 2.0 * deviation)?)
        .with_roughness(ROUGHNESS)?
        .with_starts(4);
    let mut state = 1_u64;
    let mut words = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };

    // Every fourth is held out to choose how many coefficients there are; all are fitted then.
    let part = |held: bool| -> Vec<f64> {
        let numbered = data.iter().enumerate();
        let kept = numbered.filter(|(i, _)| (i % 4 == 3) == held);
        kept.map(|(_, &y)| y).collect()
    };
    let (train, held) = (part(false), part(true));
    let (train, held) = (Sample::new(&train)?, Sample::new(&held)?);
    let mut parameters = [0.0; 2 * MOST];
    let mut scratch = vec![0.0; Fit::<f64>::scratch_len(MOST)];
    let (count, likelihood) = fit.select(
        train,
        held,
        &COUNTS,
        &mut words,
        &mut parameters,
        &mut scratch,
    )?;
    println!(
        "{} numbers; {count} coefficients, held out {likelihood:.4} nats",
        data.len()
    );

    let parameters = &mut parameters[..2 * count];
    let scratch = &mut scratch[..Fit::<f64>::scratch_len(count)];
    let end = fit.run(sample, words, parameters, scratch, |_| ())?;
    let storage = vec![0.0; FourierDensity::<f64, Vec<f64>>::storage_len(count)];
    let density = fit.density(parameters, storage)?;

    let mut ln = vec![0.0; data.len()];
    density.ln_density_into(&data, &mut ln)?;
    let own = -ln.iter().sum::<f64>() / data.len() as f64;
    let width = width(&data, deviation);
    println!("mean -ln q: {own:.4} (with the penalty {:.4})", end.value);
    println!(
        "            {:.4} for a normal density",
        normal_loss(deviation)
    );
    println!(
        "            {:.4} for kernels of width {width:.3}, each point left out",
        left_out(&data, width)
    );
    println!("entropy: {:.4} nats", density.entropy(400));
    print!("quantiles:");
    for u in [0.05, 0.25, 0.5, 0.75, 0.95] {
        print!(" {:.2} at {u}", density.quantile(u));
    }
    println!();
    std::fs::write(&svg, picture(&data, &density, (mean, deviation), width)?)?;
    println!("{svg}: open it in a browser");
    Ok(())
}

/// Reads a column of numbers.
fn read(text: &str, column: usize) -> Result<Vec<f64>, Box<dyn core::error::Error>> {
    let mut data = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let mut numbers = line.split([' ', '\t', ',', ';']).filter(|x| !x.is_empty());
        let number = numbers
            .nth(column.saturating_sub(1))
            .ok_or("too few columns")?;
        data.push(number.parse()?);
    }
    Ok(data)
}

/// Returns the mean of -ln q of data under the normal density with their own moments.
fn normal_loss(deviation: f64) -> f64 {
    0.5 * (1.0 + (2.0 * PI).ln()) + deviation.ln()
}

/// Returns a sum of normal kernels, one left out or none.
fn kernels(data: &[f64], width: f64, y: f64, without: Option<usize>) -> f64 {
    let others = data.iter().enumerate().filter(|(i, _)| Some(*i) != without);
    let sum: f64 = others
        .map(|(_, x)| (-0.5 * ((y - x) / width).powi(2)).exp())
        .sum();
    let count = data.len() - usize::from(without.is_some());
    sum / (count as f64 * width * (2.0 * PI).sqrt())
}

/// Returns the mean of -ln q of each point under the kernels of the others.
fn left_out(data: &[f64], width: f64) -> f64 {
    let all = data.iter().enumerate();
    let sum: f64 = all
        .map(|(i, &y)| -kernels(data, width, y, Some(i)).max(1e-300).ln())
        .sum();
    sum / data.len() as f64
}

/// Returns the width of kernels under which points that are left out are likeliest.
fn width(data: &[f64], deviation: f64) -> f64 {
    let widths = (0..60).map(|i| deviation * (-f64::from(i) / 12.0 * LN_2).exp());
    let judged = widths.map(|width| (left_out(data, width), width));
    judged
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(deviation, |best| best.1)
}

/// Draws everything.
fn picture(
    data: &[f64],
    density: &FourierDensity<f64, Vec<f64>>,
    (mean, deviation): (f64, f64),
    width: f64,
) -> Result<String, core::fmt::Error> {
    const WIDTH: f64 = 786.0;
    const HEIGHT: f64 = 420.0;
    let (left, top, plot_width, plot_height) = (44.0, 40.0, 720.0, 300.0);
    let least = data.iter().copied().fold(f64::INFINITY, f64::min);
    let most = data.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (from, to) = (least - 0.35 * deviation, most + 0.35 * deviation);
    let bins = 40;
    let bin = (to - from) / bins as f64;
    let mut heights = vec![0.0; bins];
    for y in data {
        let at = ((y - from) / bin) as usize;
        heights[at.min(bins - 1)] += 1.0 / (data.len() as f64 * bin);
    }
    let points: Vec<f64> = (0..=480)
        .map(|i| from + (to - from) * f64::from(i) / 480.0)
        .collect();
    let mut fitted = vec![0.0; points.len()];
    density
        .density_into(&points, &mut fitted)
        .map_err(|_| core::fmt::Error)?;
    let normal = points.iter().map(|y| {
        let z = (y - mean) / deviation;
        (-0.5 * z * z).exp() / (deviation * (2.0 * PI).sqrt())
    });
    let normal: Vec<f64> = normal.collect();
    let kernel: Vec<f64> = points
        .iter()
        .map(|&y| kernels(data, width, y, None))
        .collect();
    let highest = fitted
        .iter()
        .chain(&heights)
        .chain(&kernel)
        .copied()
        .fold(0.0, f64::max);

    let x = |y: f64| left + plot_width * (y - from) / (to - from);
    let y = |q: f64| top + plot_height * (1.0 - q / (1.06 * highest));
    let bottom = top + plot_height;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' \
         font-size='13'>\n<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n"
    );
    for (i, &height) in heights.iter().enumerate() {
        let at = x(from + bin * i as f64);
        writeln!(
            svg,
            "<rect x='{at:.1}' y='{:.1}' width='{:.1}' height='{:.1}' fill='#e3e3e3' stroke='white'/>",
            y(height),
            x(from + bin) - left,
            bottom - y(height)
        )?;
    }
    let curves = [
        (&normal, GREEN, "normal density".to_owned()),
        (&kernel, ORANGE, format!("kernels of width {width:.2}")),
        (
            &fitted,
            BLUE,
            format!("Fourier density, {} coefficients", density.count()),
        ),
    ];
    for (i, (curve, color, name)) in curves.iter().enumerate() {
        let path: String = points
            .iter()
            .zip(curve.iter())
            .map(|(&p, &q)| format!("{:.1},{:.1} ", x(p), y(q)))
            .collect();
        writeln!(
            svg,
            "<polyline points='{path}' fill='none' stroke='{color}' stroke-width='1.8'/>"
        )?;
        let place = left + 10.0 + 230.0 * i as f64;
        writeln!(
            svg,
            "<rect x='{place}' y='{}' width='18' height='4' fill='{color}'/><text x='{}' y='{}'>{name}</text>",
            bottom + 46.0,
            place + 24.0,
            bottom + 52.0
        )?;
    }
    let step = nice((to - from) / 8.0);
    let mut tick = (from / step).ceil() * step;
    while tick <= to {
        writeln!(
            svg,
            "<path d='M{0:.1} {bottom}v5' stroke='#bbb'/><text x='{0:.1}' y='{1}' text-anchor='middle' \
             fill='#555'>{2}</text>",
            x(tick),
            bottom + 19.0,
            (tick * 1e6).round() / 1e6
        )?;
        tick += step;
    }
    writeln!(
        svg,
        "<rect x='{left}' y='{top}' width='{plot_width}' height='{plot_height}' fill='none' stroke='#bbb'/>\n\
         <text x='{left}' y='{}'>density of {} numbers, and their histogram</text>\n</svg>",
        top - 14.0,
        data.len()
    )?;
    Ok(svg)
}

/// Returns the distance of ticks, a round number.
fn nice(step: f64) -> f64 {
    let decade = 10.0_f64.powf(step.log10().floor());
    let rest = step / decade;
    decade
        * if rest > 5.0 {
            10.0
        } else if rest > 2.0 {
            5.0
        } else if rest > 1.0 {
            2.0
        } else {
            1.0
        }
}
