//! Elementary functions on vectors.

pub(crate) mod exp;
