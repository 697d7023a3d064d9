//! States of two stretches that join.

use super::Recurrence;
use super::rule::{Diagonal, Shape};
use crate::Error;
use crate::error::check_len;
use crate::mixer::Merge;
use crate::scalar::Scalar;

/// Joins the states of two stretches: S = diag(decay of the later) S + S of the later, where the later
/// one began from nothing.
///
/// Rounds once more for each element, beside what the steps round.
impl<R: Diagonal<T>, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Merge for Recurrence<R, T, S> {
    fn merge(&mut self, later: &Self) -> Result<(), Error> {
        let Shape {
            heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        check_len(heads, later.shape.heads)?;
        check_len(key_dim, later.shape.key_dim)?;
        check_len(value_dim, later.shape.value_dim)?;
        let (matrices, _) = self.lens();
        let (own, own_rows) = self
            .state_mut()
            .split_at_mut_checked(matrices)
            .unwrap_or_default();
        let (new, new_rows) = later.state().split_at_checked(matrices).unwrap_or_default();
        let kept = (key_dim * R::ROWS).max(1);
        let carries = new_rows.chunks_exact(kept);
        let rows = |x| <[T]>::chunks_exact(x, value_dim.max(1));
        let carried = carries.clone().flat_map(|rows| rows.iter().take(key_dim));
        let own = own.chunks_exact_mut(value_dim.max(1));
        for ((own, new), &carry) in own.zip(rows(new)).zip(carried) {
            for (own, &new) in own.iter_mut().zip(new) {
                *own = carry * *own + new;
            }
        }
        for (own, new) in own_rows.chunks_exact_mut(kept).zip(carries) {
            let (own_carry, own) = own.split_at_mut_checked(key_dim).unwrap_or_default();
            let (new_carry, new) = new.split_at_checked(key_dim).unwrap_or_default();
            for ((own, &new), &carry) in own.iter_mut().zip(new).zip(new_carry) {
                *own = carry * *own + new;
            }
            for (own, &carry) in own_carry.iter_mut().zip(new_carry) {
                *own = *own * carry;
            }
        }
        Ok(())
    }
}
