//! The cases of `tests/bits` in WebAssembly, with and without simd128.

#![no_std]

#[path = "../../../../tests/bits/cases.rs"]
#[macro_use]
mod cases;

use core::cell::RefCell;

use cases::Memory;
use suanzi::{Cpu, Level};

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../../tests/bits.txt");

/// A module has one thread.
struct OneThread(RefCell<Memory>);
// SAFETY: the module is built without threads and its exports do not call each other.
unsafe impl Sync for OneThread {}

static MEMORY: OneThread = OneThread(RefCell::new(Memory::new()));

/// Returns the number of differences over all levels, in the low half, and the number of levels.
#[unsafe(no_mangle)]
extern "C" fn check() -> u32 {
    let Ok(mut memory) = MEMORY.0.try_borrow_mut() else {
        return u32::MAX;
    };
    let (mut levels, mut differences) = (0, 0);
    for level in Level::ALL {
        let Ok(cpu) = Cpu::with(level) else { continue };
        levels += 1;
        cases::run(cpu, &mut *memory, &|_| true, &mut |case, hash| {
            differences += u32::from(hash.ok() != cases::expected(FILE, case));
        });
    }
    levels << 16 | differences
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
