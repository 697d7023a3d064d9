//! Links a firmware for the board that QEMU has for its target; each package names this file.

use std::{env, fs, path::PathBuf};

/// `microbit`, a Cortex-M0: 256 KiB of flash and 16 KiB of memory.
const M0: &str = "MEMORY
{
  FLASH : ORIGIN = 0x00000000, LENGTH = 256K
  RAM : ORIGIN = 0x20000000, LENGTH = 16K
}
";

/// `mps2-an386`, a Cortex-M4F: 4 MiB of each.
const M4F: &str = "MEMORY
{
  FLASH : ORIGIN = 0x00000000, LENGTH = 4M
  RAM : ORIGIN = 0x20000000, LENGTH = 4M
}
";

/// `virt` of RISC-V: one memory.
const RISCV: &str = "MEMORY
{
  RAM : ORIGIN = 0x80000000, LENGTH = 16M
}
REGION_ALIAS(\"REGION_TEXT\", RAM);
REGION_ALIAS(\"REGION_RODATA\", RAM);
REGION_ALIAS(\"REGION_DATA\", RAM);
REGION_ALIAS(\"REGION_BSS\", RAM);
REGION_ALIAS(\"REGION_HEAP\", RAM);
REGION_ALIAS(\"REGION_STACK\", RAM);
";

fn main() {
    println!("cargo:rerun-if-changed=../boards/build.rs");
    println!("cargo:rustc-check-cfg=cfg(small)");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let map = match target.as_str() {
        "thumbv6m-none-eabi" => M0,
        "thumbv7em-none-eabihf" => M4F,
        riscv if riscv.starts_with("riscv32") => RISCV,
        _ => return,
    };
    if map == M0 {
        println!("cargo:rustc-cfg=small");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("memory.x"), map).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    if target.starts_with("thumb") {
        println!("cargo:rustc-link-arg-bins=--nmagic");
    } else {
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == "story") {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
}
