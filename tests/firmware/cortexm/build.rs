//! Writes the memory map of QEMU's `mps2-an386`, a Cortex-M4F with 4 MiB of each kind of memory.

use std::{env, fs, path::PathBuf};

const MEMORY: &str = "MEMORY
{
  FLASH : ORIGIN = 0x00000000, LENGTH = 4M
  RAM : ORIGIN = 0x20000000, LENGTH = 4M
}
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if !env::var("TARGET").is_ok_and(|target| target.starts_with("thumb")) {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("memory.x"), MEMORY).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
}
