//! Attention over a stretch of the positions: what one of several workers computes.

use core::ops::Range;

use super::kernel::Group;
use super::rows::sum;
use super::state::{Stack, Tree, part_len};
use super::{Attention, BLOCK, KeyValues, OnlineSoftmax};
use crate::error::check_len;
use crate::scalar::Scalar;
use crate::{Cpu, Error};

impl<T: Scalar> Attention<T, Cpu> {
    /// Writes to `state` what one token's queries make of the positions `positions.start` to
    /// `positions.end` of `memory`: the state before the division, which joins with that of other
    /// positions.
    ///
    /// Threads and machines divide a long context so: each takes some stretches, and
    /// [`OnlineSoftmax::merge_tree`] joins the states in the order of the stretches. If all stretches
    /// have [`BLOCK`] * 2^k positions, the last one perhaps fewer, [`OnlineSoftmax::finish`] then gives
    /// the same bits as [`Attention::attend`] over all positions, whoever computed which; other
    /// stretches agree within the bound of the table's row `attention`. What `state` held is forgotten;
    /// an empty stretch leaves no key in it. `scratch` is that of [`Attention::scratch_len`] for as many
    /// keys as the stretch has.
    ///
    /// A memory may hold nothing but the stretch, its positions counted from zero: only the number of a
    /// position within its stretch matters.
    ///
    /// ```
    /// use suanzi::mixer::{Attention, BLOCK, Cache, OnlineSoftmax};
    ///
    /// let keys: Vec<f32> = (0..300 * 4).map(|i| (i % 7) as f32 / 8.0).collect();
    /// let cache = Cache::<f32, _>::filled(1, 4, 4, &keys[..], &keys[..])?;
    /// let attention = Attention::new(2, 1, 4)?;
    /// let query = [0.25; 8];
    /// let mut scratch = vec![0.0; attention.scratch_len(300)];
    /// let mut whole = [0.0; 8];
    /// attention.attend(&query, &cache, 300, &mut scratch, &mut whole)?;
    ///
    /// const LEN: usize = OnlineSoftmax::<f32, [f32; 0]>::state_len(2, 4);
    /// let mut states = [OnlineSoftmax::new(2, 4, [0.0; LEN])?; 3];
    /// for (i, state) in states.iter_mut().enumerate() {
    ///     let from = i * 2 * BLOCK;
    ///     attention.attend_stretch(&query, &cache, from..300.min(from + 2 * BLOCK), &mut scratch, state)?;
    /// }
    /// OnlineSoftmax::merge_tree(&mut states)?;
    /// let mut out = [0.0; 8];
    /// states[0].finish(&mut out)?;
    /// assert_eq!(out, whole);
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `query` has not [`Attention::query_len`] elements, `scratch` less than
    /// [`Attention::scratch_len`], or the memory or the state other heads or dimensions;
    /// [`Error::Capacity`] if a position is not in the memory.
    pub fn attend_stretch<C: KeyValues<T>, S: AsRef<[T]> + AsMut<[T]>>(
        &self,
        query: &[T],
        memory: &C,
        positions: Range<usize>,
        scratch: &mut [T],
        state: &mut OnlineSoftmax<T, S>,
    ) -> Result<(), Error> {
        let Range { start: from, end } = positions;
        let to = end.max(from);
        check_len(self.query_len(), query.len())?;
        self.check_memory(memory)?;
        check_len(self.query_heads, state.heads())?;
        check_len(self.value_dim, state.dim())?;
        let limit = memory.len();
        let (sinks, start) = memory.kept();
        let kept = to <= sinks || from >= start || sinks >= start;
        if from < to && (to > limit || !kept) {
            return Err(Error::Capacity { limit });
        }
        let (expected, found) = (self.scratch_len(to - from), scratch.len());
        let Some(scratch) = scratch.get_mut(..expected) else {
            return Err(Error::Length { expected, found });
        };
        let heads = self.query_heads / self.kv_heads.max(1);
        let (weights, storage) = scratch
            .split_at_mut_checked(heads * BLOCK)
            .unwrap_or_default();
        let len = part_len(heads, self.value_dim);
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        let mut parts = state.as_mut_slice().chunks_exact_mut(len.max(1));
        let groups = query.chunks_exact((heads * self.key_dim).max(1));
        for (kv_head, (query, part)) in groups.zip(parts.by_ref()).enumerate() {
            let group = Group {
                query,
                heads,
                key_dim: self.key_dim,
                value_dim: self.value_dim,
                scale: self.scale,
                kv_head,
            };
            let mut tree = Tree::resume(&mut *storage, heads, self.value_dim, Stack::rising());
            sum(self.executor, group, memory, from, to, weights, &mut tree);
            let whole = tree.whole(self.executor);
            for (to, &from) in part.iter_mut().zip(&*whole) {
                *to = from;
            }
        }
        Ok(())
    }
}
