//! Every public operation as a symbol to link alone: the panic handler refers to a function that
//! nobody defines, so a link succeeds only if no panic is reachable. `.ci/run panic` links them.
//!
//! Operands come from outside, and with them every length, value, parameter and executor: the
//! compiler can rule out a panic only if the crate itself does.
//!
//! With the feature `alone` there is nothing but the operation that the environment variable ALONE
//! names, so that its code is as small as in a firmware that asks for no more: `.ci/run footprint`.

#![no_std]

#[path = "../../bits/cases.rs"]
#[macro_use]
mod cases;

use cases::Operands;

macro_rules! export {
    ($($operation:ident $number:ident $ranges:ident;)*) => {$(
        const _: () = {
            /// Runs the operation; returns whether it was refused.
            #[unsafe(export_name = concat!("proof_", stringify!($number), "_", stringify!($operation)))]
            extern "C" fn operation(operands: &mut Operands<'_, cases::$number::T>) -> bool {
                cases::$number::$operation(operands).is_err()
            }
        };
    )*};
}
#[cfg(not(feature = "alone"))]
operations!(export);
#[cfg(feature = "alone")]
include!(concat!(env!("OUT_DIR"), "/alone.rs"));

/// Panics beyond the end: the counterexample, which must not link.
#[unsafe(no_mangle)]
extern "C" fn refuted(operands: &Operands<'_, f32>) -> f32 {
    operands.x[operands.n]
}

unsafe extern "C" {
    fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: there is no such function, so no program that contains this call links.
    unsafe { a_panic_is_reachable() }
}
