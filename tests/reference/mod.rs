//! The definitions, written naively and shared with nothing in the crate.
#![allow(dead_code, reason = "each test binary uses its own references")]

pub mod conformance;
pub mod golden;
pub mod math;
pub mod mixer;
pub mod nn;
pub mod position;
pub mod probability;
pub mod wide;
