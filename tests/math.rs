//! Elementary functions: accuracy against libm and mpmath, edges, and the same bits on every level.

mod accuracy;
mod reference;

use accuracy::single_error;
use suanzi::{Cpu, Error, Level, math};

type Map<T> = fn(Cpu, &[T], &mut [T]) -> Result<(), Error>;
type InPlace<T> = fn(Cpu, &mut [T]);

/// One function in both types, with its definition in f64.
struct Function {
    name: &'static str,
    single: Map<f32>,
    double: Map<f64>,
    single_in_place: InPlace<f32>,
    reference: fn(f64) -> f64,
    /// The factor between f(x) and f(-x), where there is one.
    mirror: Option<f64>,
}

macro_rules! function {
    ($name:ident, $in_place:ident, $reference:expr, $mirror:expr) => {
        Function {
            name: stringify!($name),
            single: math::$name::<f32>,
            double: math::$name::<f64>,
            single_in_place: math::$in_place::<f32>,
            reference: $reference,
            mirror: $mirror,
        }
    };
}

const FUNCTIONS: &[Function] = &[
    function!(exp, exp_in_place, libm::exp, None),
    function!(exp_m1, exp_m1_in_place, libm::expm1, None),
    function!(ln, ln_in_place, libm::log, None),
    function!(ln_1p, ln_1p_in_place, libm::log1p, None),
    function!(sin, sin_in_place, libm::sin, ODD),
    function!(cos, cos_in_place, libm::cos, EVEN),
    function!(sin_pi, sin_pi_in_place, reference::math::sin_pi, ODD),
    function!(cos_pi, cos_pi_in_place, reference::math::cos_pi, EVEN),
    function!(tanh, tanh_in_place, libm::tanh, ODD),
    function!(sigmoid, sigmoid_in_place, reference::math::sigmoid, None),
    function!(softplus, softplus_in_place, reference::math::softplus, None),
    function!(erf, erf_in_place, libm::erf, ODD),
    function!(erfc, erfc_in_place, libm::erfc, None),
];
const ODD: Option<f64> = Some(-1.0);
const EVEN: Option<f64> = Some(1.0);

fn function(name: &str) -> &'static Function {
    FUNCTIONS
        .iter()
        .find(|f| f.name == name)
        .unwrap_or_else(|| panic!("no function {name}"))
}

/// Returns the executors of this machine, portable and fused, and says which levels it lacks.
fn executors() -> Vec<Cpu> {
    let mut out = Vec::new();
    for level in Level::ALL {
        match Cpu::with(level) {
            Ok(cpu) => out.extend([cpu, cpu.with_fused(true)]),
            Err(_) => eprintln!("SKIPPED: this machine lacks {level:?}"),
        }
    }
    out
}

/// Returns inputs of every size, with the edges.
fn inputs() -> Vec<f32> {
    let mut state = 7_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    let mut x = vec![
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -f32::NAN,
    ];
    for edge in [
        f32::MIN_POSITIVE,
        f32::MAX,
        1.0,
        0.5,
        2.0,
        4.0,
        88.722_84,
        103.97,
        9.01,
        10.05,
        6432.0,
    ] {
        for step in -2..=2 {
            let near = f32::from_bits(
                edge.to_bits()
                    .saturating_add_signed(step)
                    .min(f32::MAX.to_bits()),
            );
            x.extend([near, -near]);
        }
    }
    x.extend((0..20_000).map(|_| f32::from_bits(random())));
    x.extend((0..20_000).map(|_| (random() as i32 as f32) * 2.0_f32.powi(-27)));
    x.extend((0..20_000).map(|_| (random() as i32 as f32) * 2.0_f32.powi(-24)));
    x
}

#[test]
fn single_precision_holds_its_bound_on_every_level() {
    let x = inputs();
    let mut y = vec![0.0; x.len()];
    let mut failures = Vec::new();
    for f in FUNCTIONS {
        let want: Vec<f64> = x.iter().map(|&x| (f.reference)(f64::from(x))).collect();
        for cpu in executors() {
            (f.single)(cpu, &x, &mut y).expect("equal lengths");
            let mut worst = (0.0, 0.0, 0.0, 0.0);
            for ((&x, &got), &want) in x.iter().zip(&y).zip(&want) {
                let e = single_error(got, want);
                if e > worst.0 {
                    worst = (e, x, got, want);
                }
            }
            let (e, x, got, want) = worst;
            eprintln!("{} {cpu:?}: {e:.3} ULP at {x:e}", f.name);
            if e > accuracy::bound32(f.name) {
                failures.push(format!(
                    "{} of {x:e} ({:#x}) is {got:e} instead of {want:e}, {e:.3} ULP, {cpu:?}",
                    f.name,
                    x.to_bits(),
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A line of `golden/math_f64.txt`.
struct Golden {
    function: &'static Function,
    x: f64,
    y: f64,
    rest: f64,
}

fn golden() -> Vec<Golden> {
    let file = include_str!("golden/math_f64.txt");
    let bits = |s| f64::from_bits(u64::from_str_radix(s, 16).expect("hexadecimal"));
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().expect("four words");
            Golden {
                function: function(next()),
                x: bits(next()),
                y: bits(next()),
                rest: next().parse().expect("a number"),
            }
        })
        .collect()
}

#[test]
fn double_precision_holds_its_bound_on_every_level() {
    let golden = golden();
    let mut failures = Vec::new();
    for cpu in executors() {
        for f in FUNCTIONS {
            let mut worst = (0.0, 0.0, 0.0, 0.0);
            let cases: Vec<_> = golden
                .iter()
                .filter(|g| g.function.name == f.name)
                .collect();
            let x: Vec<f64> = cases.iter().map(|g| g.x).collect();
            let mut y = vec![0.0; x.len()];
            (f.double)(cpu, &x, &mut y).expect("equal lengths");
            for (g, &got) in cases.iter().zip(&y) {
                let exponent = ((g.y.abs().to_bits() >> 52) as i32 - 1023).max(-1022);
                let e = if got == g.y {
                    g.rest.abs()
                } else if (got - g.y).is_finite() {
                    // Two factors: the unit may be subnormal, its inverse infinite.
                    let scaled = (got - g.y) * 2.0_f64.powi(52) * 2.0_f64.powi(-exponent);
                    (scaled - g.rest).abs()
                } else {
                    f64::INFINITY
                };
                if e > worst.0 {
                    worst = (e, g.x, got, g.y);
                }
            }
            let (e, x, got, want) = worst;
            eprintln!("{} {cpu:?}: {e:.3} ULP at {x:e}", f.name);
            if e > accuracy::bound64(f.name) {
                failures.push(format!(
                    "{} of {x:e} ({:#x}) is {got:e} instead of {want:e}, {e:.3} ULP, {cpu:?}",
                    f.name,
                    x.to_bits(),
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_level_gives_the_same_bits() {
    let singles = inputs();
    let mut doubles: Vec<f64> = golden().iter().map(|g| g.x).collect();
    doubles.extend(singles.iter().map(|&x| f64::from(x) * 1.1));
    for f in FUNCTIONS {
        let (mut y, mut other) = (vec![0.0; singles.len()], vec![0.0; singles.len()]);
        let (mut z, mut another) = (vec![0.0; doubles.len()], vec![0.0; doubles.len()]);
        (f.single)(Cpu::scalar(), &singles, &mut y).expect("equal lengths");
        (f.double)(Cpu::scalar(), &doubles, &mut z).expect("equal lengths");
        for cpu in executors().into_iter().filter(|cpu| !cpu.is_fused()) {
            (f.single)(cpu, &singles, &mut other).expect("equal lengths");
            (f.double)(cpu, &doubles, &mut another).expect("equal lengths");
            for ((x, y), other) in singles.iter().zip(&y).zip(&other) {
                assert_eq!(y.to_bits(), other.to_bits(), "{} of {x:e}, {cpu:?}", f.name);
            }
            for ((x, y), other) in doubles.iter().zip(&z).zip(&another) {
                assert_eq!(y.to_bits(), other.to_bits(), "{} of {x:e}, {cpu:?}", f.name);
            }
            let mut in_place = singles.clone();
            (f.single_in_place)(cpu, &mut in_place);
            for (y, other) in y.iter().zip(&in_place) {
                assert_eq!(y.to_bits(), other.to_bits(), "{} in place, {cpu:?}", f.name);
            }
        }
    }
}

#[test]
fn edges_are_as_documented() {
    const INF: f32 = f32::INFINITY;
    // f(0), f(inf), f(-inf)
    let edges: &[(&str, f32, f32, f32)] = &[
        ("exp", 1.0, INF, 0.0),
        ("exp_m1", 0.0, INF, -1.0),
        ("ln", -INF, INF, f32::NAN),
        ("ln_1p", 0.0, INF, f32::NAN),
        ("sin", 0.0, f32::NAN, f32::NAN),
        ("cos", 1.0, f32::NAN, f32::NAN),
        ("sin_pi", 0.0, f32::NAN, f32::NAN),
        ("cos_pi", 1.0, f32::NAN, f32::NAN),
        ("tanh", 0.0, 1.0, -1.0),
        ("sigmoid", 0.5, 1.0, 0.0),
        ("softplus", core::f32::consts::LN_2, INF, 0.0),
        ("erf", 0.0, 1.0, -1.0),
        ("erfc", 1.0, 0.0, 2.0),
    ];
    assert_eq!(edges.len(), FUNCTIONS.len());
    for &(name, zero, infinity, minus_infinity) in edges {
        let f = function(name);
        let x = [0.0, -0.0, INF, -INF, f32::NAN, -f32::NAN];
        // Where zero is mapped to zero, its sign is kept.
        let negative_zero = if zero == 0.0 { -zero } else { zero };
        let want = [
            zero,
            negative_zero,
            infinity,
            minus_infinity,
            f32::NAN,
            f32::NAN,
        ];
        for cpu in executors() {
            let mut y = [7.0; 6];
            (f.single)(cpu, &x, &mut y).expect("equal lengths");
            assert_eq!(
                y.map(f32::to_bits),
                want.map(f32::to_bits),
                "{name}, {cpu:?}"
            );
            let mut z = [7.0; 6];
            (f.double)(cpu, &x.map(f64::from), &mut z).expect("equal lengths");
            assert_eq!(
                z.map(|z| (z as f32).to_bits()),
                want.map(f32::to_bits),
                "{name} in f64, {cpu:?}"
            );
        }
    }
}

#[test]
fn sine_and_cosine_together_are_sine_and_cosine() {
    let x = inputs();
    for len in [0, 1, 2, 3, 15, 16, 17, 31, 67, 127, 128, 129, 1000, x.len()] {
        for cpu in executors() {
            let x = &x[x.len() - len..];
            let mut y = vec![[0.0; 2]; 4]
                .into_iter()
                .map(|_| vec![0.0; len])
                .collect::<Vec<_>>();
            let [sin, cos, both_sin, both_cos] = &mut y[..] else {
                unreachable!()
            };
            math::sin(cpu, x, sin).expect("equal lengths");
            math::cos(cpu, x, cos).expect("equal lengths");
            math::sin_cos(cpu, x, both_sin, both_cos).expect("equal lengths");
            let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
            assert_eq!((bits(sin), bits(cos)), (bits(both_sin), bits(both_cos)));
            math::sin_pi(cpu, x, sin).expect("equal lengths");
            math::cos_pi(cpu, x, cos).expect("equal lengths");
            math::sin_cos_pi(cpu, x, both_sin, both_cos).expect("equal lengths");
            assert_eq!((bits(sin), bits(cos)), (bits(both_sin), bits(both_cos)));
        }
    }
}

#[test]
fn lengths_must_agree_and_nothing_is_written_otherwise() {
    for f in FUNCTIONS {
        let mut y = [7.0; 2];
        let refused = (f.single)(Cpu::default(), &[0.0; 3], &mut y);
        assert_eq!(
            refused,
            Err(Error::Length {
                expected: 3,
                found: 2
            }),
            "{}",
            f.name
        );
        assert_eq!(y, [7.0; 2]);
    }
    let (mut short, mut long) = ([7.0; 1], [7.0; 2]);
    let cpu = Cpu::default();
    for both in [math::sin_cos::<f64>, math::sin_cos_pi::<f64>] {
        assert!(both(cpu, &[0.0; 2], &mut short, &mut long).is_err());
        assert!(both(cpu, &[0.0; 2], &mut long, &mut short).is_err());
    }
    assert_eq!((short, long), ([7.0; 1], [7.0; 2]));
}

#[test]
fn shared_golden_values_hold() {
    let shared = std::env::var("SUANZI_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").into());
    let path = format!("{shared}/golden/elementary.txt");
    let Ok(file) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {path} is absent");
        return;
    };
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, x, _, want] = words[..] else {
            panic!("{line}")
        };
        let x = f32::from_bits(u32::from_str_radix(x, 16).expect("hexadecimal"));
        let want = f64::from_bits(u64::from_str_radix(want, 16).expect("hexadecimal"));
        for cpu in [Cpu::default(), Cpu::fused()] {
            let mut y = [0.0];
            (function(name).single)(cpu, &[x], &mut y).expect("equal lengths");
            let e = single_error(y[0], want);
            assert!(
                e <= accuracy::bound32(name),
                "{name} of {x:e}: {:e} instead of {want:e}, {e:.3} ULP",
                y[0]
            );
        }
    }
}

#[test]
fn the_table_says_where_the_greatest_error_is() {
    for f in FUNCTIONS {
        let note = accuracy::row(f.name).note;
        let Some((stated, rest)) = note.split_once(" ULP at 0x") else {
            eprintln!("NOT SWEPT: {}: {note}", f.name);
            continue;
        };
        let bits = rest.split([' ', ',', ';']).next().unwrap_or_default();
        let x = f32::from_bits(u32::from_str_radix(bits, 16).expect("hexadecimal"));
        let mut y = [0.0];
        (f.single)(Cpu::default(), &[x], &mut y).expect("equal lengths");
        let e = single_error(y[0], (f.reference)(f64::from(x)));
        assert_eq!(stated, format!("swept: {e:.3}"), "{} at {x:e}", f.name);
    }
}

/// An error in ULP and the representation of its input, of which the lesser wins a tie.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    error: f64,
    bits: u32,
}

impl Worst {
    fn or(self, other: Self) -> Self {
        let tie = self.error == other.error && other.bits < self.bits;
        if other.error > self.error || tie {
            other
        } else {
            self
        }
    }
}

/// Finds the greatest error of one function, or of two that are computed together, over every f32,
/// in the portable and in the fused arithmetic. Holds it to the bound and to what the table says.
fn sweep<const N: usize>(
    names: [&str; N],
    map: impl Fn(Cpu, &[f32], &mut [Vec<f32>; N]) -> Result<(), Error> + Sync,
    reference: impl Fn(f64) -> [f64; N] + Sync,
) {
    const CHUNK: usize = 1 << 12;
    const CHUNKS: u32 = 1 << 31 >> 12;
    let cpus = [Cpu::default(), Cpu::fused()];
    let mirrors = names.map(|name| function(name).mirror);
    let symmetric = mirrors.iter().all(Option::is_some);
    let run = |threads: u32, thread: u32| {
        let (mut x, mut y) = (vec![0.0; CHUNK], names.map(|_| vec![0.0; CHUNK]));
        let mut want = vec![[0.0; N]; CHUNK];
        let mut worst = [[Worst::default(); 2]; N];
        for chunk in (thread..CHUNKS).step_by(threads as usize) {
            // The numbers from +0 on, then those from -0 down.
            for sign in [0, 1 << 31] {
                for (i, x) in x.iter_mut().enumerate() {
                    *x = f32::from_bits(sign | chunk << 12 | i as u32);
                }
                for (&x, want) in x.iter().zip(&mut want) {
                    if symmetric && sign != 0 {
                        for (want, mirror) in want.iter_mut().zip(mirrors) {
                            *want *= mirror.unwrap_or(f64::NAN);
                        }
                    } else {
                        *want = reference(f64::from(x));
                    }
                }
                for (i, cpu) in cpus.into_iter().enumerate() {
                    map(cpu, &x, &mut y).expect("equal lengths");
                    for (j, (y, worst)) in y.iter().zip(&mut worst).enumerate() {
                        let worst = &mut worst[i];
                        for ((&x, &got), want) in x.iter().zip(y).zip(&want) {
                            let error = single_error(got, want[j]);
                            if error >= worst.error {
                                let bits = x.to_bits();
                                *worst = worst.or(Worst { error, bits });
                            }
                        }
                    }
                }
            }
        }
        worst
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let mut worst = [[Worst::default(); 2]; N];
    std::thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..threads)
            .map(|i| scope.spawn(move || run(threads, i)))
            .collect();
        for worker in workers {
            let found = worker.join().expect("a worker");
            for (worst, found) in worst
                .as_flattened_mut()
                .iter_mut()
                .zip(found.as_flattened())
            {
                *worst = worst.or(*found);
            }
        }
    });
    let mut failures = Vec::new();
    for (name, [portable, fused]) in names.into_iter().zip(worst) {
        let found = format!(
            "swept: {:.3} ULP at {:#010x}, fused {:.3}",
            portable.error, portable.bits, fused.error
        );
        println!("{name} {found} at {:#010x}", fused.bits);
        let row = accuracy::row(name);
        if portable.error.max(fused.error) > row.f32_bound || !row.note.contains(&found) {
            failures.push(format!(
                "{name} {found}, but {}: {}",
                row.f32_bound, row.note
            ));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

macro_rules! sweeps {
    ($($test:ident $name:literal;)*) => {
        $(
            #[test]
            #[ignore = "every f32: minutes in release"]
            fn $test() {
                let f = function($name);
                sweep([$name], |cpu, x, [y]| (f.single)(cpu, x, y), |x| [(f.reference)(x)]);
            }
        )*
    };
}
sweeps! {
    sweep_exp "exp";
    sweep_exp_m1 "exp_m1";
    sweep_ln "ln";
    sweep_ln_1p "ln_1p";
    sweep_tanh "tanh";
    sweep_sigmoid "sigmoid";
    sweep_softplus "softplus";
    sweep_erf "erf";
    sweep_erfc "erfc";
}

#[test]
#[ignore = "every f32: minutes in release"]
fn sweep_sin_and_cos() {
    sweep(
        ["sin", "cos"],
        |cpu, x, [sin, cos]| math::sin_cos(cpu, x, sin, cos),
        |x| libm::sincos(x).into(),
    );
}

#[test]
#[ignore = "every f32: minutes in release"]
fn sweep_sin_pi_and_cos_pi() {
    sweep(
        ["sin_pi", "cos_pi"],
        |cpu, x, [sin, cos]| math::sin_cos_pi(cpu, x, sin, cos),
        |x| [reference::math::sin_pi(x), reference::math::cos_pi(x)],
    );
}
