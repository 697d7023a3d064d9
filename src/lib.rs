//! suanzi
#![no_std]
#![forbid(unsafe_code)]
#[cfg(feature = "std")]
extern crate std;
mod cpu;
mod error;
pub mod math;
pub mod mixer;
pub mod nn;
pub mod position;
pub mod probability;
mod scalar;
mod simd;
pub mod storage;
pub use cpu::{Cpu, Level};
pub use error::{Error, Parameter};
pub use scalar::Scalar;
