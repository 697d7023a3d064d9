//! No operation allocates: every case of `tests/bits`, at every level, under a counting allocator.

#[path = "bits/cases.rs"]
#[macro_use]
mod cases;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

use std::alloc::System;

use cases::Memory;
use suanzi::{Cpu, Level};

struct Counting;

thread_local! {
    /// The allocations of this thread: the harness has others, which may allocate meanwhile.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `System` made the block.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_operation_allocates() {
    let mut memory = Box::new(const { Memory::new() });
    let mut counted = 0;
    for level in Level::ALL {
        let Ok(cpu) = Cpu::with(level) else {
            eprintln!("SKIPPED: this machine lacks {level:?}");
            continue;
        };
        for cpu in [cpu, cpu.with_fused(true)] {
            // The report of one case ends where the call of the next begins.
            let mut before = ALLOCATIONS.get();
            cases::run(cpu, &mut *memory, &|_| true, &mut |case, result| {
                let during = ALLOCATIONS.get() - before;
                assert_eq!(during, 0, "{case:?} at {level:?} allocates");
                assert!(result.is_ok(), "{case:?}: {result:?}");
                counted += 1;
                before = ALLOCATIONS.get();
            });
        }
    }
    assert!(counted > 0);
    drop(vec![0_u8; 1]);
    assert!(ALLOCATIONS.get() > 0, "the counter counts");
}
