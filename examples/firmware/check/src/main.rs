//! The cases of `tests/bits` on a microcontroller: a line for each difference, the exit status says
//! whether all hold.
//!
//! A Cortex-M4F and a RISC-V run all of them; a Cortex-M0, with 16 KiB of memory, no FPU and no
//! compare-and-swap, those of the primitives.

#![no_std]
#![no_main]

#[path = "../../../../tests/bits/cases.rs"]
#[macro_use]
mod cases;

use core::cell::RefCell;
use core::panic::PanicInfo;

use critical_section::Mutex;
#[cfg(target_arch = "arm")]
use {cortex_m as _, cortex_m_rt::entry};
#[cfg(target_arch = "riscv32")]
use {riscv as _, riscv_rt::entry};

#[cfg(not(small))]
use cases::Memory;
#[cfg(small)]
use cases::SmallMemory as Memory;
use semihosting::{print, println, process};
use suanzi::Cpu;

/// The hashes that every target shares.
const FILE: &str = include_str!("../../../../tests/bits.txt");

/// The processor, for the last line.
const PROCESSOR: &str = if cfg!(small) {
    "a Cortex-M0"
} else if cfg!(target_arch = "arm") {
    "a Cortex-M4F"
} else if cfg!(target_feature = "f") {
    "a RISC-V of 32 bits with F"
} else {
    "a RISC-V of 32 bits without F"
};

static MEMORY: Mutex<RefCell<Memory>> = Mutex::new(RefCell::new(Memory::new()));

#[entry]
fn main() -> ! {
    let (mut cases, mut differences) = (0, 0);
    critical_section::with(|section| {
        let mut memory = MEMORY.borrow(section).borrow_mut();
        cases::run(
            Cpu::default(),
            &mut *memory,
            &|_| true,
            &mut |case, hash| {
                cases += 1;
                print!(".");
                if hash.ok() != cases::expected(FILE, case) {
                    differences += 1;
                    let (name, number) = (case.operation, case.number);
                    println!("\n{name} {number} {} {} DIFFERS", case.from, case.to);
                }
            },
        );
    });
    println!("\n{cases} cases, {differences} differences on {PROCESSOR}");
    process::exit(i32::from(cases == 0 || differences > 0))
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    println!("panic");
    process::exit(101)
}
