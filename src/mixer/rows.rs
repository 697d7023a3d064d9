//! The walk of queries over their blocks of keys.

use super::kernel::{self, Buffers, Group};
use super::online::push;
use super::score::{Place, ScoreMap};
use super::state::{HEADER, Head, Stack, Tree, heads, padded, split};
use super::{Attention, BLOCK, KeyValues, Visible};
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::{Isa, prefetch};

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
    // One head after the other, so that its keys and values stay in the cache for all queries.
    for kv_head in 0..attention.kv_heads {
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
            let tile = Tile {
                call,
                row,
                count,
                kv_head,
                group: attention.query_heads / attention.kv_heads.max(1),
                len,
            };
            if ROWS && count > 1 {
                tile.attend(attention, memory, scratch, out, lse);
            } else {
                tile.attend_one(attention, memory, scratch, out, lse);
            }
            row += count;
        }
    }
}

impl<'a, T: Scalar> Tile<'a, T> {
    /// Attends with the one query of the tile.
    fn attend_one<M: ScoreMap<T>, C: KeyValues<T>>(
        self,
        attention: &Attention<T, Cpu, M>,
        memory: &C,
        scratch: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) {
        let (key_dim, value_dim) = (attention.key_dim, attention.value_dim);
        let cpu = attention.executor;
        let (weights, storage) = split(scratch, self.group * BLOCK);
        let query = self.queries(attention);
        let group = Group {
            query: query.get(..self.group * key_dim).unwrap_or_default(),
            heads: self.group,
            key_dim,
            value_dim,
            scale: attention.scale,
            kv_head: self.kv_head,
        };
        let mut tree = Tree::resume(storage, self.group, value_dim, Stack::rising());
        for stretch in 0..2 {
            tree.fix();
            let (from, to) = self.range(0, stretch);
            if M::PLAIN {
                sum(cpu, group, memory, from, to, weights, &mut tree);
                continue;
            }
            let mut start = from;
            while start < to {
                let end = (start / BLOCK + 1).saturating_mul(BLOCK).min(to);
                let map = |weights: &mut [T]| {
                    for (head, scores) in weights.chunks_exact_mut(BLOCK).enumerate() {
                        let scores = scores.get_mut(..end - start).unwrap_or_default();
                        let place = self.place(head, start);
                        attention.map.map(cpu, place, scores);
                    }
                };
                let (block, part) = ((start, end), tree.open());
                kernel::mapped_block(cpu, group, memory, block, map, weights, part);
                tree.close(cpu, start / BLOCK);
                start = end;
            }
        }
        self.finish(attention, tree.whole(cpu), out, lse);
    }

    /// Attends with the queries of the tile, all at once.
    fn attend<M: ScoreMap<T>, C: KeyValues<T>>(
        self,
        attention: &Attention<T, Cpu, M>,
        memory: &C,
        scratch: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) {
        let (key_dim, value_dim) = (attention.key_dim, attention.value_dim);
        let (cpu, lanes) = (attention.executor, self.count * self.group);
        let [weights, rows, panels] = kernel::lens(lanes, key_dim, value_dim);
        let (weights, rest) = split(scratch, weights);
        let (rows, rest) = split(rest, rows);
        let (query, storage) = split(rest, panels);
        dispatch!(cpu, isa => self.transpose(isa, attention, query));
        let group = Group {
            query,
            heads: lanes,
            key_dim,
            value_dim,
            scale: attention.scale,
            kv_head: self.kv_head,
        };
        let mut buffers = Buffers { weights, rows };
        let mut tree = Tree::resume(storage, lanes, value_dim, Stack::rising());
        for stretch in 0..2 {
            tree.fix();
            let ((from, to), common) = self.bounds(stretch);
            let mut start = from;
            while start < to {
                let end = (start / BLOCK + 1).saturating_mul(BLOCK).min(to);
                let whole = common.0 <= start && end <= common.1;
                let views = if whole {
                    [kernel::first(end - start); kernel::MOST]
                } else {
                    self.views(stretch, start, end)
                };
                let change = |weights: &mut [T]| {
                    self.map(attention, &views, start, end, weights);
                };
                let change = (!M::PLAIN || !whole).then_some(change);
                let seen = |weights: &[T]| {
                    let mut seen = views;
                    if !M::PLAIN {
                        for (lane, seen) in seen.iter_mut().enumerate().take(lanes) {
                            *seen &= weighty(weights, lane, end - start);
                        }
                    }
                    seen
                };
                let (block, part) = ((start, end), tree.open());
                let change = (&views, change, seen);
                kernel::tile_block(cpu, group, memory, block, change, &mut buffers, part);
                tree.close(cpu, start / BLOCK);
                start = end;
            }
        }
        self.finish(attention, tree.whole(cpu), out, lse);
    }

    /// Returns the queries from those of the group on.
    fn queries<M>(self, attention: &Attention<T, Cpu, M>) -> &'a [T] {
        let first =
            self.row * attention.query_len() + self.kv_head * self.group * attention.key_dim;
        self.call.query.get(first..).unwrap_or_default()
    }

    /// Writes the queries side by side in panels.
    #[inline(always)]
    fn transpose<S: Isa, M>(self, _: S, attention: &Attention<T, Cpu, M>, to: &mut [T]) {
        // Rows ahead that memory is asked for: queries of one head lie far apart.
        const AHEAD: usize = 8;
        let queries = self.queries(attention);
        let (dim, padded) = (attention.key_dim, padded(attention.key_dim));
        if dim < padded || !(self.count * self.group).is_multiple_of(kernel::PANEL) {
            to.fill(T::ZERO);
        }
        for row in 0..self.count {
            let (first, len) = (row * attention.query_len(), self.group * dim);
            let ahead = first + AHEAD * attention.query_len();
            prefetch::<T::Lanes<S>, T>(queries, ahead, len);
            let queries = queries.get(first..).unwrap_or_default();
            let queries = queries.chunks_exact(dim.max(1));
            for (head, query) in queries.take(self.group).enumerate() {
                let lane = row * self.group + head;
                let panel = lane / kernel::PANEL * kernel::PANEL * padded;
                let to = to.get_mut(panel..).unwrap_or_default();
                let to = to.as_chunks_mut::<{ kernel::PANEL }>().0;
                for (to, &x) in to.iter_mut().zip(query) {
                    to[lane % kernel::PANEL] = x;
                }
            }
        }
    }

    /// Writes what the whole of the keys gives.
    fn finish<M: ScoreMap<T>>(
        self,
        attention: &Attention<T, Cpu, M>,
        whole: &mut [T],
        out: &mut [T],
        lse: &mut [T],
    ) {
        let value_dim = attention.value_dim;
        let mut parts = whole.chunks_exact_mut((padded(value_dim) + HEADER).max(1));
        for row in self.row..self.row + self.count {
            for head in self.kv_head * self.group..(self.kv_head + 1) * self.group {
                let part = parts.next().unwrap_or_default();
                if !M::PLAIN {
                    attention.map.sinks(head, |score| {
                        push(attention.executor, part, value_dim, &[score], &[]);
                    });
                }
                for (values, own) in heads(part, value_dim) {
                    let own = Head::read(own);
                    let out = out.get_mut(row * attention.out_len() + head * value_dim..);
                    let out = out.unwrap_or_default().get_mut(..value_dim);
                    own.divide(attention.executor, values, out.unwrap_or_default());
                    if let Some(lse) = lse.get_mut(row * attention.query_heads + head) {
                        *lse = own.log_sum_exp();
                    }
                }
            }
        }
    }

    /// Returns where the scores of a head of the group and of the keys from `key` on stand, for the
    /// first query.
    fn place(self, head: usize, key: usize) -> Place {
        Place {
            head: self.kv_head * self.group + head,
            row: self.row,
            query: self.call.visible.position(self.row),
            key,
        }
    }

    /// Returns what query `row` of the tile sees in a stretch.
    #[inline(always)]
    fn range(self, row: usize, stretch: usize) -> (usize, usize) {
        let [sinks, window] = self.call.visible.ranges(self.row + row, self.len);
        if stretch == 0 { sinks } else { window }
    }

    /// Returns what the queries see in a stretch: all together, and each of them.
    fn bounds(self, stretch: usize) -> ((usize, usize), (usize, usize)) {
        let mut union = self.range(0, stretch);
        let mut common = union;
        for row in 1..self.count {
            let (from, to) = self.range(row, stretch);
            common = (common.0.max(from), common.1.min(to));
            if union.0 >= union.1 {
                union = (from, to);
            } else if from < to {
                union = (union.0.min(from), union.1.max(to));
            }
        }
        (union, common)
    }

    /// Returns a bit for each key of a block that each query and head sees, heads of a query together.
    fn views(self, stretch: usize, start: usize, end: usize) -> [u64; kernel::MOST] {
        let mut views = [0; kernel::MOST];
        let rows = views.chunks_mut(self.group.max(1)).take(self.count);
        for (row, views) in rows.enumerate() {
            let (from, to) = self.range(row, stretch);
            let below = |n: usize| kernel::first(n.clamp(start, end.max(start)) - start);
            views.fill(below(to) & !below(from));
        }
        views
    }

    /// Maps the scores of a block, and hides what a query does not see.
    fn map<M: ScoreMap<T>>(
        self,
        attention: &Attention<T, Cpu, M>,
        views: &[u64; kernel::MOST],
        start: usize,
        end: usize,
        weights: &mut [T],
    ) {
        let rows = views.chunks(self.group.max(1)).take(self.count);
        for (row, views) in rows.enumerate() {
            for (head, &view) in views.iter().enumerate() {
                let lane = row * self.group + head;
                // A stretch of ones.
                let first = (view.trailing_zeros() as usize).min(BLOCK);
                let seen = first..first + view.count_ones() as usize;
                for key in (0..seen.start.min(end - start)).chain(seen.end..end - start) {
                    if let Some(to) = weights.get_mut(kernel::place(lane, key)) {
                        *to = T::NEG_INFINITY;
                    }
                }
                if M::PLAIN || seen.is_empty() {
                    continue;
                }
                let mut column = [T::NAN; BLOCK];
                for (key, score) in seen.clone().zip(&mut column) {
                    let from = weights.get(kernel::place(lane, key));
                    *score = from.copied().unwrap_or(T::NAN);
                }
                let place = Tile {
                    row: self.row + row,
                    ..self
                };
                let place = place.place(head, start + first);
                let scores = column.get_mut(..seen.len()).unwrap_or_default();
                attention.map.map(attention.executor, place, scores);
                for (key, &score) in seen.zip(scores.iter()) {
                    if let Some(to) = weights.get_mut(kernel::place(lane, key)) {
                        *to = score;
                    }
                }
            }
        }
    }
}

/// Adds the blocks of the positions `from..to` to a tree, in rising order.
pub(super) fn sum<T: Scalar, C: KeyValues<T>>(
    cpu: Cpu,
    group: Group<'_, T>,
    memory: &C,
    from: usize,
    to: usize,
    weights: &mut [T],
    tree: &mut Tree<'_, T>,
) {
    let mut start = from;
    while start < to {
        let end = (start / BLOCK + 1).saturating_mul(BLOCK).min(to);
        kernel::block(cpu, group, memory, start, end, weights, tree.open());
        tree.close(cpu, start / BLOCK);
        start = end;
    }
}

/// Returns a bit for each of the first `count` keys that has a weight: zero is that of a hidden one
/// alone.
fn weighty<T: Scalar>(weights: &[T], lane: usize, count: usize) -> u64 {
    (0..count.min(BLOCK)).fold(0, |bits, key| {
        let p = weights.get(kernel::place(lane, key)).copied();
        bits | u64::from(p != Some(T::ZERO)) << (key % BLOCK)
    })
}
