//! Puts the claim of LoRA+ to the test: `cargo run --release --example widths [FILE]`.
//!
//! The paper's toy is f(x) = b (a . x) for n inputs, with b zero and a normal of variance 1/n (Hayou et al.,
//! 2024, arXiv:2402.12354). It is trained here on eight points whose targets a linear teacher of size one
//! gives. For each width and each ratio of the two learning rates the rate is swept; what counts is the
//! loss after twelve steps at the best rate, the geometric mean over seeds.

use core::fmt::Write as _;

use suanzi::Error;
use suanzi::adapter::{Adapter, Group, Initial, Lora, LoraPlus, Moments, Optimizer, Ratio, Rule};
use suanzi::nn::Matrix;
use suanzi::probability::Noise;

const WIDTHS: [usize; 4] = [64, 256, 1024, 4096];
const POINTS: usize = 8;
const STEPS: u32 = 12;
const SEEDS: u32 = 12;
/// Ratios 2^-4 to 2^16.
const RATIOS: [i32; 11] = [-4, -2, 0, 2, 4, 6, 8, 10, 12, 14, 16];
/// The geometric means of both rates that are tried at each ratio, in half octaves.
const RATES: core::ops::RangeInclusive<i32> = -34..=6;
/// What a loss counts at most: twice that of never starting, and of diverging.
const WORST: f64 = 1.0;
/// What it counts at least.
const LEAST: f64 = 1e-12;

/// One problem of a width.
struct Toy {
    start: Vec<f32>,
    points: Vec<f32>,
    targets: Vec<f32>,
}

impl Toy {
    fn new(width: usize, seed: u32) -> Result<Self, Error> {
        let mut state = u64::from(seed) << 32 | width as u64;
        let mut word = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        for _ in 0..8 {
            word();
        }
        let (mut start, mut teacher) = (vec![0.0; width], vec![0.0; width]);
        Initial::InputSide.fill(1, &mut word, &mut start, &mut [0.0])?;
        Initial::InputSide.fill(1, &mut word, &mut teacher, &mut [0.0])?;
        let points: Vec<f32> = (0..width * POINTS)
            .map(|_| Noise::Normal.sample(word()))
            .collect();
        let mut targets = vec![0.0; POINTS];
        for (target, x) in targets.iter_mut().zip(points.chunks_exact(width)) {
            Matrix::new(1, width, &teacher)?.multiply(x, core::slice::from_mut(target))?;
        }
        Ok(Self {
            start,
            points,
            targets,
        })
    }

    /// Returns the loss after all steps.
    fn train(&self, rule: Rule<f32>, plus: LoraPlus, lent: &mut Lent) -> Result<f64, Error> {
        let width = self.start.len();
        let optimizer = Optimizer::new(rule)?;
        let Lent { a, da, dx, state } = lent;
        let mut b = [0.0];
        a.copy_from_slice(&self.start);
        let mut state_b = [0.0; 2];
        let (state_a, _) = state.split_at_mut(optimizer.state_len::<f32>(width));
        let (state_b, _) = state_b.split_at_mut(optimizer.state_len::<f32>(1));
        optimizer.begin(a, state_a)?;
        for time in 1..=STEPS + 1 {
            let lora = Lora::new(Matrix::new(1, width, a)?, Matrix::new(1, 1, &b)?, 1.0)?;
            let (mut loss, mut db) = (0.0, [0.0]);
            da.fill(0.0);
            for (x, target) in self.points.chunks_exact(width).zip(&self.targets) {
                let mut y = [0.0];
                lora.add_to(x, &mut y[..], &mut [0.0][..])?;
                let off = y[0] - target;
                loss += f64::from(off * off) / (2 * POINTS) as f64;
                let dy = [off / POINTS as f32];
                lora.vjp(x, &dy, dx, da, &mut db, &mut [0.0])?;
            }
            // A run that has left for good needs no more steps.
            if time > STEPS || loss.is_nan() || loss > 1e6 {
                return Ok(if loss < WORST { loss } else { WORST });
            }
            let of = |group| (plus.rate(group), plus.decay(group));
            let (rate, decay) = of(Group::A);
            optimizer.step(time, rate, decay, a, da, state_a)?;
            let (rate, decay) = of(Group::B);
            optimizer.step(time, rate, decay, &mut b, &db, state_b)?;
        }
        Ok(WORST)
    }
}

/// Memory that every run takes.
struct Lent {
    a: Vec<f32>,
    da: Vec<f32>,
    dx: Vec<f32>,
    state: Vec<f32>,
}

/// The losses of one optimizer: for each width, at each ratio.
type Losses = [[f64; RATIOS.len()]; WIDTHS.len()];

fn sweep(rule: Rule<f32>) -> Result<Losses, Error> {
    let mut losses = [[WORST; RATIOS.len()]; WIDTHS.len()];
    for (width, losses) in WIDTHS.into_iter().zip(&mut losses) {
        let toys = (0..SEEDS)
            .map(|seed| Toy::new(width, seed))
            .collect::<Result<Vec<_>, _>>()?;
        let mut lent = Lent {
            a: vec![0.0; width],
            da: vec![0.0; width],
            dx: vec![0.0; width],
            state: vec![0.0; 2 * width],
        };
        for (ratio, best) in RATIOS.into_iter().zip(losses) {
            for rate in RATES {
                // The rate of A: the mean by the root of the ratio.
                let rate = ((f64::from(rate) - f64::from(ratio)) / 2.0).exp2() as f32;
                let given = Ratio::Given((f64::from(ratio)).exp2() as f32);
                let plus = LoraPlus::new(rate)?.with_ratio(given)?;
                let mut logs = 0.0;
                for toy in &toys {
                    logs += toy.train(rule, plus, &mut lent)?.max(LEAST).ln();
                }
                *best = best.min((logs / f64::from(SEEDS)).exp());
            }
        }
    }
    Ok(losses)
}

/// The drawing of one optimizer, and the margin around it.
const SIDE: f64 = 330.0;
const MARGIN: f64 = 46.0;
/// The powers of ten that it shows.
const DECADES: i32 = 6;
const COLORS: [&str; WIDTHS.len()] = ["#7a7a7a", "#2f9e6e", "#1f4e9c", "#c2410c"];

fn draw(svg: &mut String, title: &str, left: f64, losses: &Losses) -> core::fmt::Result {
    let (from, to) = (f64::from(RATIOS[0]), f64::from(RATIOS[RATIOS.len() - 1]));
    let x = |ratio: i32| left + SIDE * (f64::from(ratio) - from) / (to - from);
    let y = |loss: f64| MARGIN - SIDE * loss.log10().max(-f64::from(DECADES)) / f64::from(DECADES);
    writeln!(
        svg,
        "<rect x='{left}' y='{MARGIN}' width='{SIDE}' height='{SIDE}' fill='none' stroke='#999'/>\n\
         <text x='{}' y='{}' text-anchor='middle' font-weight='bold'>{title}</text>",
        left + SIDE / 2.0,
        MARGIN - 12.0
    )?;
    for ratio in RATIOS.into_iter().step_by(2) {
        writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='middle'>2<tspan dy='-5' font-size='9'>{ratio}</tspan></text>",
            x(ratio),
            MARGIN + SIDE + 18.0
        )?;
    }
    for power in (0..=DECADES).step_by(2) {
        let label = 10_f64.powi(-power);
        writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='end'>{label:e}</text>",
            left - 5.0,
            y(10_f64.powi(-power)) + 4.0
        )?;
    }
    for (losses, color) in losses.iter().zip(COLORS) {
        let points: Vec<String> = RATIOS
            .into_iter()
            .zip(losses)
            .map(|(ratio, &loss)| format!("{:.1},{:.1}", x(ratio), y(loss)))
            .collect();
        writeln!(
            svg,
            "<polyline points='{}' fill='none' stroke='{color}' stroke-width='1.8'/>",
            points.join(" ")
        )?;
        let best = least(losses);
        writeln!(
            svg,
            "<circle cx='{:.1}' cy='{:.1}' r='4' fill='{color}'/>",
            x(RATIOS[best]),
            y(losses[best])
        )?;
    }
    Ok(())
}

/// The place of the least loss.
fn least(losses: &[f64]) -> usize {
    let mut best = 0;
    for (i, loss) in losses.iter().enumerate() {
        if *loss < losses[best] {
            best = i;
        }
    }
    best
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let file = std::env::args().nth(1).unwrap_or("widths.svg".into());
    let (width, height) = (2.0 * SIDE + 3.0 * MARGIN, SIDE + 2.0 * MARGIN + 30.0);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' \
         font-size='12'>\n<rect width='{width}' height='{height}' fill='white'/>\n"
    );
    println!("loss after {STEPS} steps at the best rate, by the ratio of the rates of B and A");
    for (panel, (name, rule)) in [
        ("SGD", Rule::Sgd),
        ("Adam", Rule::AdamW(Moments::default())),
    ]
    .into_iter()
    .enumerate()
    {
        let losses = sweep(rule)?;
        print!("\n{name:>6}");
        for ratio in RATIOS {
            print!("   2^{ratio:<4}");
        }
        println!("  best  n    sqrt n");
        for (width, losses) in WIDTHS.into_iter().zip(&losses) {
            print!("{width:6}");
            for loss in losses {
                print!("  {loss:7.1e}");
            }
            let power = f64::from(width as u32).log2();
            println!(
                "  2^{:<3} 2^{power:<2} 2^{}",
                RATIOS[least(losses)],
                power / 2.0
            );
        }
        let left = MARGIN + panel as f64 * (SIDE + MARGIN);
        draw(&mut svg, name, left, &losses)?;
    }
    let mut at = MARGIN;
    for (n, color) in WIDTHS.into_iter().zip(COLORS) {
        writeln!(
            svg,
            "<text x='{at}' y='{}' fill='{color}'>width {n}</text>",
            height - 12.0
        )?;
        at += 95.0;
    }
    writeln!(
        svg,
        "<text x='{MARGIN}' y='16'>loss at the best rate, by the ratio of the rates of B and A; the dots are the least</text>"
    )?;
    svg += "</svg>\n";
    std::fs::write(&file, svg)?;
    println!("\n{file} written");
    Ok(())
}
