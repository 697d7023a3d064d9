//! Names the one operation that the feature `alone` leaves.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=ALONE");
    let operation = env::var("ALONE").unwrap_or_default();
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let source = format!("export! {{ {operation} single ROWS; }}");
    fs::write(Path::new(&out).join("alone.rs"), source).expect("OUT_DIR is writable");
}
