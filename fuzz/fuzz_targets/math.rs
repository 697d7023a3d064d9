//! The elementary functions against their definition, at every level: any length and value.

#![no_main]

#[path = "../../tests/accuracy/mod.rs"]
mod accuracy;
#[path = "../../tests/reference/math.rs"]
mod reference;

use accuracy::{bound32, single_error};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::{Cpu, Error, math};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Which function, by index modulo their number.
    function: u8,
    /// Representations of the arguments.
    singles: Vec<u32>,
    doubles: Vec<u64>,
}

/// One function in both types, with its definition in f64.
struct Function {
    name: &'static str,
    single: fn(Cpu, &[f32], &mut [f32]) -> Result<(), Error>,
    double: fn(Cpu, &[f64], &mut [f64]) -> Result<(), Error>,
    single_in_place: fn(Cpu, &mut [f32]),
    double_in_place: fn(Cpu, &mut [f64]),
    reference: fn(f64) -> f64,
}

macro_rules! functions {
    ($($name:ident $in_place:ident $reference:expr;)*) => {
        &[$(Function {
            name: stringify!($name),
            single: math::$name::<f32>,
            double: math::$name::<f64>,
            single_in_place: math::$in_place::<f32>,
            double_in_place: math::$in_place::<f64>,
            reference: $reference,
        }),*]
    };
}
const FUNCTIONS: &[Function] = functions! {
    exp exp_in_place libm::exp;
    exp_m1 exp_m1_in_place libm::expm1;
    ln ln_in_place libm::log;
    ln_1p ln_1p_in_place libm::log1p;
    sin sin_in_place libm::sin;
    cos cos_in_place libm::cos;
    sin_pi sin_pi_in_place reference::sin_pi;
    cos_pi cos_pi_in_place reference::cos_pi;
    tanh tanh_in_place libm::tanh;
    sigmoid sigmoid_in_place reference::sigmoid;
    softplus softplus_in_place reference::softplus;
    erf erf_in_place libm::erf;
    erfc erfc_in_place libm::erfc;
};

fuzz_target!(|input: Input| {
    let f = &FUNCTIONS[usize::from(input.function) % FUNCTIONS.len()];
    let x: Vec<f32> = input.singles.into_iter().map(f32::from_bits).collect();
    let doubles: Vec<f64> = input.doubles.into_iter().map(f64::from_bits).collect();

    // One lane is the measure of the others.
    let (mut expected, mut wide) = (vec![0.0; x.len()], vec![0.0; doubles.len()]);
    (f.single)(Cpu::scalar(), &x, &mut expected).expect("equal lengths");
    (f.double)(Cpu::scalar(), &doubles, &mut wide).expect("equal lengths");
    close(f, &x, &expected);

    for level in Cpu::levels() {
        let cpu = Cpu::with(level).expect("a level of this processor");
        let mut y = vec![0.0; x.len()];
        (f.single)(cpu, &x, &mut y).expect("equal lengths");
        assert_eq!(bits(&y), bits(&expected), "{} at {level:?}", f.name);
        (f.single)(cpu.with_fused(true), &x, &mut y).expect("equal lengths");
        close(f, &x, &y);
        y.copy_from_slice(&x);
        (f.single_in_place)(cpu, &mut y);
        assert_eq!(
            bits(&y),
            bits(&expected),
            "{} in place at {level:?}",
            f.name
        );

        let mut y = vec![0.0; doubles.len()];
        (f.double)(cpu, &doubles, &mut y).expect("equal lengths");
        assert_eq!(wide_bits(&y), wide_bits(&wide), "{} at {level:?}", f.name);
        y.copy_from_slice(&doubles);
        (f.double_in_place)(cpu, &mut y);
        assert_eq!(
            wide_bits(&y),
            wide_bits(&wide),
            "{} in place at {level:?}",
            f.name
        );
    }
});

/// Panics unless every result lies within the bound of the accuracy table.
fn close(f: &Function, x: &[f32], y: &[f32]) {
    for (&x, &got) in x.iter().zip(y) {
        let want = (f.reference)(x.into());
        let error = single_error(got, want);
        assert!(
            error <= bound32(f.name),
            "{} of {x:e} is {got:e}, expected {want:e}: {error} ULP",
            f.name
        );
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn wide_bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}
