//! Maps from logits to the probability simplex.
pub mod softmax;
