//! The walk of queries over their blocks of keys.

use super::kernel::{self, Group};
use super::online::push;
use super::score::{Place, ScoreMap};
use super::state::{HEADER, Head, Stack, Tree, heads, padded};
use super::{Attention, BLOCK, KeyValues, Visible};
use crate::Cpu;
use crate::scalar::Scalar;

/// The queries of a call and what they see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a, T> {
    pub(super) visible: Visible,
    pub(super) rows: usize,
    /// The most queries that are taken together.
    pub(super) together: usize,
    pub(super) query: &'a [T],
}

/// Queries that are taken together, for one key/value head.
#[derive(Clone, Copy, Debug)]
struct Tile<'a, T> {
    call: Call<'a, T>,
    /// The first query and the number of them.
    row: usize,
    count: usize,
    kv_head: usize,
    /// The query heads of one query.
    group: usize,
    /// The tokens of the memory.
    len: usize,
}

/// Attends with all queries; with `ROWS` several together, else one after the other.
///
/// What a query sees decides the order of its sums, and queries that see nothing of a block join
/// nothing, which is exact; so those go together whose stretches start in the same blocks.
pub(super) fn walk<T: Scalar, M: ScoreMap<T>, C: KeyValues<T>, const ROWS: bool>(
    attention: &Attention<T, Cpu, M>,
    call: Call<'_, T>,
    memory: &C,
    scratch: &mut [T],
    out: &mut [T],
    lse: &mut [T],
) {
    let len = memory.len();
    let starts = |row| call.visible.ranges(row, len).map(|(from, _)| from / BLOCK);
    let mut row = 0;
    while row < call.rows {
        let mut count = 1;
        if ROWS {
            let own = starts(row);
            let most = call.together.min(call.rows - row);
            while count < most && starts(row + count) == own {
                count += 1;
            }
        }
        for kv_head in 0..attention.kv_heads {
            let tile = Tile {
                call,
                row,
                count,
                kv_head,
                group: attention.query_heads / attention.kv_heads.max(1),
                len,
            };
            tile.attend::<_, _, ROWS>(attention, memory, scratch, out, lse);
        }
        row += count;
    }
}

impl<T: Scalar> Tile<'_, T> {
    /// Attends with the queries of the tile.
    fn attend<M: ScoreMap<T>, C: KeyValues<T>, const ROWS: bool>(
        self,
        attention: &Attention<T, Cpu, M>,
        memory: &C,
        scratch: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) {
        let (key_dim, value_dim) = (attention.key_dim, attention.value_dim);
        let cpu = attention.executor;
        let lanes = self.count * self.group;
        let (weights, rest) = split(scratch, lanes * BLOCK);
        let first = self.row * attention.query_len() + self.kv_head * self.group * key_dim;
        let queries = self.call.query.get(first..).unwrap_or_default();
        let (query, storage) = if ROWS && self.count > 1 {
            let (gathered, storage) = split(rest, lanes * key_dim);
            let rows = gathered.chunks_exact_mut((self.group * key_dim).max(1));
            for (row, to) in rows.enumerate() {
                let from = queries.get(row * attention.query_len()..);
                for (to, &x) in to.iter_mut().zip(from.unwrap_or_default()) {
                    *to = x;
                }
            }
            (&*gathered, storage)
        } else {
            (queries.get(..lanes * key_dim).unwrap_or_default(), rest)
        };
        let group = Group {
            query,
            heads: lanes,
            key_dim,
            value_dim,
            scale: attention.scale,
            kv_head: self.kv_head,
        };
        let mut tree = Tree::resume(storage, lanes, value_dim, Stack::rising());
        for stretch in 0..2 {
            tree.fix();
            let (from, to) = self.union(stretch);
            let mut start = from;
            while start < to {
                let end = (start / BLOCK + 1).saturating_mul(BLOCK).min(to);
                if M::PLAIN && (!ROWS || self.all_see(stretch, start, end)) {
                    kernel::block(cpu, group, memory, start, end, weights, tree.open());
                } else {
                    let map = |weights: &mut [T]| {
                        self.map(attention, stretch, start, end, weights);
                    };
                    let seen = |lane: usize, weights: &[T]| {
                        if !M::PLAIN {
                            return kernel::weighty(weights);
                        }
                        let (from, to) = self.range(lane / self.group.max(1), stretch);
                        let below = |n: usize| kernel::first(n.max(start) - start);
                        below(to.min(end)) & !below(from.min(end))
                    };
                    let (block, part) = ((start, end), tree.open());
                    kernel::mapped_block(cpu, group, memory, block, (map, seen), weights, part);
                }
                tree.close(cpu, start / BLOCK);
                start = end;
            }
        }
        let whole = tree.whole(cpu);
        if !M::PLAIN {
            self.sinks(attention, whole);
        }
        for (lane, (values, head)) in heads(whole, value_dim).enumerate() {
            let row = self.row + lane / self.group.max(1);
            let head_number = self.kv_head * self.group + lane % self.group.max(1);
            let head = Head::read(head);
            let at = row * attention.out_len() + head_number * value_dim;
            let out = out.get_mut(at..).unwrap_or_default();
            head.divide(values, out.get_mut(..value_dim).unwrap_or_default());
            if let Some(lse) = lse.get_mut(row * attention.query_heads + head_number) {
                *lse = head.log_sum_exp();
            }
        }
    }

    /// Returns what query `row` of the tile sees in a stretch.
    #[inline(always)]
    fn range(self, row: usize, stretch: usize) -> (usize, usize) {
        let [sinks, window] = self.call.visible.ranges(self.row + row, self.len);
        if stretch == 0 { sinks } else { window }
    }

    /// Returns what the queries see in a stretch, all together.
    fn union(self, stretch: usize) -> (usize, usize) {
        let mut union = self.range(0, stretch);
        for row in 1..self.count {
            let (from, to) = self.range(row, stretch);
            if union.0 >= union.1 {
                union = (from, to);
            } else if from < to {
                union = (union.0.min(from), union.1.max(to));
            }
        }
        union
    }

    /// Returns whether every query sees the whole block.
    fn all_see(self, stretch: usize, start: usize, end: usize) -> bool {
        (0..self.count).all(|row| {
            let (from, to) = self.range(row, stretch);
            from <= start && end <= to
        })
    }

    /// Maps the scores of a block, and hides what a query does not see.
    fn map<M: ScoreMap<T>>(
        self,
        attention: &Attention<T, Cpu, M>,
        stretch: usize,
        start: usize,
        end: usize,
        weights: &mut [T],
    ) {
        let mut lanes = weights.chunks_exact_mut(BLOCK);
        for row in 0..self.count {
            let (from, to) = self.range(row, stretch);
            let (from, to) = (from.max(start), to.min(end));
            for head in 0..self.group {
                let scores = lanes.next().unwrap_or_default();
                let scores = scores.get_mut(..end - start).unwrap_or_default();
                if from >= to {
                    scores.fill(T::NEG_INFINITY);
                    continue;
                }
                let (hidden, rest) = split(scores, from - start);
                let (scores, rest) = split(rest, to - from);
                hidden.fill(T::NEG_INFINITY);
                rest.fill(T::NEG_INFINITY);
                let place = Place {
                    head: self.kv_head * self.group + head,
                    row: self.row + row,
                    query: self.call.visible.position(self.row + row),
                    key: from,
                };
                attention.map.map(attention.executor, place, scores);
            }
        }
    }

    /// Adds the scores that have no value.
    fn sinks<M: ScoreMap<T>>(self, attention: &Attention<T, Cpu, M>, whole: &mut [T]) {
        let dim = attention.value_dim;
        let lanes = whole.chunks_exact_mut((padded(dim) + HEADER).max(1));
        for (lane, part) in lanes.enumerate() {
            let head = self.kv_head * self.group + lane % self.group.max(1);
            attention.map.sinks(head, |score| {
                push(attention.executor, part, dim, &[score], &[]);
            });
        }
    }
}

/// Splits off the first `n` elements.
fn split<T>(x: &mut [T], n: usize) -> (&mut [T], &mut [T]) {
    x.split_at_mut_checked(n).unwrap_or_default()
}
