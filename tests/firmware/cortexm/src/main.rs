//! The cases of `tests/bits` on a Cortex-M4F: one line a case, the exit status says whether all hold.

#![no_std]
#![no_main]

#[path = "../../../bits/cases.rs"]
#[macro_use]
mod cases;

use core::cell::RefCell;
use core::panic::PanicInfo;

use cases::Memory;
use cortex_m::interrupt::Mutex;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use suanzi::Cpu;

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../bits.txt");

static MEMORY: Mutex<RefCell<Memory>> = Mutex::new(RefCell::new(Memory::new()));

#[entry]
fn main() -> ! {
    let mut differences = 0;
    cortex_m::interrupt::free(|section| {
        let mut memory = MEMORY.borrow(section).borrow_mut();
        cases::run(Cpu::default(), &mut memory, &|_| true, &mut |case, hash| {
            let same = hash.ok() == cases::expected(FILE, case);
            differences += u32::from(!same);
            let verdict = if same { "ok" } else { "DIFFERS" };
            hprintln!(
                "{} {} {} {} {}",
                case.operation,
                case.number,
                case.from,
                case.to,
                verdict
            );
        });
    });
    hprintln!("{} differences on a Cortex-M4F", differences);
    exit(differences == 0)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    hprintln!("panic");
    exit(false)
}

/// Ends the emulator with this verdict.
fn exit(good: bool) -> ! {
    debug::exit(if good {
        debug::EXIT_SUCCESS
    } else {
        debug::EXIT_FAILURE
    });
    loop {}
}
