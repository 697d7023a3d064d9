//! The definitions, written naively and shared with nothing in the crate.
#![allow(dead_code, reason = "each test binary uses its own references")]

pub(crate) mod adapter;
pub(crate) mod channels;
pub(crate) mod conformance;
pub(crate) mod density;
pub(crate) mod golden;
pub(crate) mod latent;
pub(crate) mod math;
pub(crate) mod mixer;
pub(crate) mod nn;
pub(crate) mod patch;
pub(crate) mod position;
pub(crate) mod probability;
pub(crate) mod recurrence;
pub(crate) mod sparse;
pub(crate) mod top_k;
pub(crate) mod wide;
