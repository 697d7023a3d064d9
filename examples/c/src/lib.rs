//! The C interface of the crate as libraries; nothing is added but what a library without std needs.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub use numerics::capi::*;

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn suanzi_a_panic_is_reachable() -> !;
    }
    // SAFETY: nobody defines it, so that a program links only if no panic is reachable.
    unsafe { suanzi_a_panic_is_reachable() }
}
