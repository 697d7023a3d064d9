//! The gradients of attention.

use super::kernel::{self, Group};
use super::score::{Extent, Place, ScoreGradient};
use super::state::{HEADER, padded, part_len, split};
use super::{Attention, BLOCK, KeyValues, Visible};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::math::exp::exp_lanes;
use crate::scalar::Scalar;
use crate::simd::dot::one;
use crate::simd::{Isa, LANES, Lanes};
use crate::{Cpu, Error};

/// What the gradients of one token's attention come from.
#[derive(Clone, Copy, Debug)]
pub struct Attended<'a, T> {
    /// The outputs that [`Attention::attend_with_lse`] wrote.
    pub out: &'a [T],
    /// The log-sum-exps that it wrote.
    pub lse: &'a [T],
    /// The gradient by the outputs.
    pub gradient: &'a [T],
}

/// Where the gradients of one token's attention go.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    /// That by the queries is written, `[head][key_dim]`.
    pub query: &'a mut [T],
    /// That by the keys is added, `[token][head][key_dim]` for every token of the memory.
    pub keys: &'a mut [T],
    /// That by the values is added, `[token][head][value_dim]`.
    pub values: &'a mut [T],
}

impl<T: Scalar, E, M> Attention<T, E, M> {
    /// Returns the scratch of [`Attention::vjp`].
    #[must_use]
    pub const fn vjp_scratch_len(&self) -> usize {
        let Some(group) = self.query_heads.checked_div(self.kv_heads) else {
            return 0;
        };
        3 * group * BLOCK + part_len(group, self.key_dim)
    }
}

impl<T: Scalar, M: ScoreGradient<T>> Attention<T, Cpu, M> {
    /// Takes the gradient by one token's outputs back to its queries and to the keys and values.
    ///
    /// With w_j = exp(s_j - lse), the weights of the forward pass, and the gradient g by the output o:
    /// values get w_j g, scores w_j (g . v_j - g . o) times the derivative of the
    /// [`ScoreMap`](super::ScoreMap), and through the scaled dot products queries and keys get theirs.
    /// No weight is kept: they are computed again from the saved log-sum-exp (Dao et al. 2022, arXiv
    /// 2205.14135). What masks, slopes and gates add gets no gradient; that of the logit z of a learned
    /// sink is -exp(z - lse) (g . o).
    ///
    /// * **Shapes:** as in [`Attended`] and [`Gradients`]. Query heads of a group add to the same keys
    ///   and values, and so do the calls for several tokens.
    /// * **Domain:** `out` and `lse` are those of the same arguments. Without a visible key the gradient
    ///   by the queries is zero and nothing is added; hidden keys and values are not looked at.
    /// * **Accuracy:** the table's row `attention vjp`.
    /// * **Order:** blocks from the oldest to the newest; within a block the gradient by a query runs
    ///   from the newest key to the oldest, and those of keys and values over the heads of the group.
    /// * **Cost:** five products for each element where [`Attention::attend`] has two.
    ///
    /// ```
    /// use suanzi::mixer::{Attended, Attention, Cache, Gradients};
    ///
    /// let attention = Attention::<f32>::new(1, 1, 1)?;
    /// let cache = Cache::<f32, _>::filled(1, 1, 1, [0.0, 0.0], [1.0, 3.0])?;
    /// let (mut scratch, mut out, mut lse) = ([0.0; 300], [0.0], [0.0]);
    /// attention.attend_with_lse(&[2.0], &cache, 2, &mut scratch, &mut out, &mut lse)?;
    ///
    /// let (mut query, mut keys, mut values) = ([0.0], [0.0; 2], [0.0; 2]);
    /// let attended = Attended { out: &out, lse: &lse, gradient: &[1.0] };
    /// let gradients = Gradients { query: &mut query, keys: &mut keys, values: &mut values };
    /// attention.vjp(&[2.0], &cache, 2, attended, &mut scratch, gradients)?;
    /// assert_eq!((query, keys, values), ([0.0], [-1.0, 1.0], [0.5, 0.5]));
    /// # Ok::<(), suanzi::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Attention::attend`], with the lengths of [`Attended`], [`Gradients`] and
    /// [`Attention::vjp_scratch_len`].
    pub fn vjp<C: KeyValues<T>>(
        &self,
        query: &[T],
        memory: &C,
        visible: impl Into<Visible>,
        attended: Attended<'_, T>,
        scratch: &mut [T],
        gradients: Gradients<'_, T>,
    ) -> Result<(), Error> {
        let visible = visible.into();
        let Attended { out, lse, gradient } = attended;
        check_len(self.query_len(), query.len())?;
        check_len(self.query_len(), gradients.query.len())?;
        check_len(self.out_len(), out.len())?;
        check_len(self.out_len(), gradient.len())?;
        check_len(self.query_heads, lse.len())?;
        self.check_memory(memory)?;
        for (dim, found) in [
            (self.key_dim, gradients.keys.len()),
            (self.value_dim, gradients.values.len()),
        ] {
            let expected = memory.len().saturating_mul(self.kv_heads);
            check_len(expected.saturating_mul(dim), found)?;
        }
        let keys = visible.check(memory, 1)?;
        self.map.check(Extent {
            heads: self.query_heads,
            rows: 1,
            query: visible.position(0),
            keys,
        })?;
        let (expected, found) = (self.vjp_scratch_len(), scratch.len());
        let Some(scratch) = scratch.get_mut(..expected) else {
            return Err(Error::Length { expected, found });
        };
        let [of_keys, of_values] = [self.key_dim, self.value_dim].map(|dim| self.kv_heads * dim);
        let Gradients {
            query: to,
            keys,
            values,
        } = gradients;
        let heads = self.query_heads / self.kv_heads.max(1);
        for kv_head in 0..self.kv_heads {
            let first = kv_head * heads;
            let own = Own {
                attention: self,
                query: piece(query, first * self.key_dim, heads * self.key_dim),
                out: piece(out, first * self.value_dim, heads * self.value_dim),
                gradient: piece(gradient, first * self.value_dim, heads * self.value_dim),
                lse: piece(lse, first, heads),
                visible,
                heads,
                kv_head,
            };
            let (weights, part) = split(scratch, 3 * heads * BLOCK);
            part.fill(T::ZERO);
            for (from, to) in visible.ranges(0, memory.len()) {
                let mut start = from;
                while start < to {
                    let end = (start / BLOCK + 1).saturating_mul(BLOCK).min(to);
                    let keys = keys.get_mut(start * of_keys + kv_head * self.key_dim..);
                    let values = values.get_mut(start * of_values + kv_head * self.value_dim..);
                    let to = (keys.unwrap_or_default(), values.unwrap_or_default());
                    own.block(memory, start, end, weights, part, to);
                    start = end;
                }
            }
            let mut parts = part.chunks_exact((padded(self.key_dim) + HEADER).max(1));
            let to = to.get_mut(first * self.key_dim..).unwrap_or_default();
            // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
            for (part, to) in parts.by_ref().zip(to.chunks_mut(self.key_dim.max(1))) {
                for (to, &x) in to.iter_mut().zip(part) {
                    *to = if x == x { x } else { T::NAN };
                }
            }
        }
        Ok(())
    }
}

/// One group of query heads and what belongs to it.
struct Own<'a, T, M> {
    attention: &'a Attention<T, Cpu, M>,
    query: &'a [T],
    out: &'a [T],
    gradient: &'a [T],
    lse: &'a [T],
    visible: Visible,
    heads: usize,
    kv_head: usize,
}

impl<T: Scalar, M: ScoreGradient<T>> Own<'_, T, M> {
    /// Adds what the keys `start..end` of one block give and get.
    fn block<C: KeyValues<T>>(
        &self,
        memory: &C,
        start: usize,
        end: usize,
        weights: &mut [T],
        part: &mut [T],
        (keys, values): (&mut [T], &mut [T]),
    ) {
        let attention = self.attention;
        let (cpu, count) = (attention.executor, end - start);
        let (scores, rest) = split(weights, self.heads * BLOCK);
        let (mapped, slopes) = split(rest, self.heads * BLOCK);
        let group = Group {
            query: self.query,
            heads: self.heads,
            key_dim: attention.key_dim,
            value_dim: attention.key_dim,
            scale: attention.scale,
            kv_head: self.kv_head,
        };
        kernel::scaled_scores(cpu, group, memory, (start, end), scores);
        let by_values = Group {
            query: self.gradient,
            key_dim: attention.value_dim,
            ..group
        };
        kernel::value_scores(cpu, by_values, memory, (start, end), slopes);
        mapped.iter_mut().zip(&*scores).for_each(|(to, &s)| *to = s);
        let value_dim = attention.value_dim.max(1);
        let outs = self.out.chunks_exact(value_dim);
        // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
        let mut gradients = self.gradient.chunks_exact(value_dim);
        for (head, (out, gradient)) in outs.zip(gradients.by_ref()).enumerate() {
            let place = Place {
                head: self.kv_head * self.heads + head,
                row: 0,
                query: self.visible.position(0),
                key: start,
            };
            let range = head * BLOCK..head * BLOCK + count;
            let p = mapped.get_mut(range.clone()).unwrap_or_default();
            let ds = slopes.get_mut(range.clone()).unwrap_or_default();
            attention.map.map(cpu, place, p);
            let lse = self.lse.get(head).copied().unwrap_or(T::NAN);
            weights_and_slopes(cpu, lse, one(gradient, out), p, ds);
            if !M::PLAIN {
                let scores = scores.get(range).unwrap_or_default();
                attention.map.scale_gradient(cpu, place, scores, ds);
            }
            for (ds, &p) in ds.iter_mut().zip(&*p) {
                // What is hidden may have any derivative.
                *ds = if p == T::ZERO {
                    p
                } else {
                    attention.scale * *ds
                };
            }
        }
        let (of_keys, of_values) = (
            memory.heads() * attention.key_dim,
            memory.heads() * value_dim,
        );
        spread(
            cpu,
            count,
            (slopes, self.query),
            attention.key_dim,
            keys,
            of_keys,
        );
        spread(
            cpu,
            count,
            (mapped, self.gradient),
            value_dim,
            values,
            of_values,
        );
        kernel::key_sums(cpu, group, memory, (start, end), slopes, part);
    }
}

/// Turns mapped scores into weights exp(s - lse), and products with values into slopes
/// w (g . v - g . o); zeros where the score is minus infinity.
#[inline(never)]
fn weights_and_slopes<T: Scalar>(cpu: Cpu, lse: T, mean: T, scores: &mut [T], slopes: &mut [T]) {
    dispatch!(cpu, isa => weights_and_slopes_all(isa, lse, mean, scores, slopes));
}

#[inline(always)]
fn weights_and_slopes_all<S: Isa, T: Scalar>(
    isa: S,
    lse: T,
    mean: T,
    scores: &mut [T],
    slopes: &mut [T],
) {
    let [masked, zero, lse, mean] = [T::NEG_INFINITY, T::ZERO, lse, mean].map(
        #[inline(always)]
        |c| T::Lanes::<S>::splat(isa, c),
    );
    let lanes = T::Lanes::<S>::LANES;
    // Taken by reference, since a zip of two chunk iterators would divide by their sizes.
    let mut others = slopes.chunks_mut(lanes);
    for (scores, slopes) in scores.chunks_mut(lanes).zip(others.by_ref()) {
        let (mut s, mut g) = ([T::NEG_INFINITY; LANES], [T::ZERO; LANES]);
        s.iter_mut().zip(&*scores).for_each(|(to, &x)| *to = x);
        g.iter_mut().zip(&*slopes).for_each(|(to, &x)| *to = x);
        let (score, slope) = (T::Lanes::<S>::load(isa, &s), T::Lanes::<S>::load(isa, &g));
        let hidden = score.eq(masked);
        let p = exp_lanes(isa, score - lse);
        T::Lanes::<S>::select(hidden, zero, p).store(&mut s);
        T::Lanes::<S>::select(hidden, zero, p * (slope - mean)).store(&mut g);
        scores.iter_mut().zip(s).for_each(|(to, x)| *to = x);
        slopes.iter_mut().zip(g).for_each(|(to, x)| *to = x);
    }
}

/// Adds to the vector of each of `count` keys the vectors of the heads times their weights.
#[inline(never)]
fn spread<T: Scalar>(
    cpu: Cpu,
    count: usize,
    (weights, vectors): (&[T], &[T]),
    dim: usize,
    to: &mut [T],
    stride: usize,
) {
    dispatch!(cpu, isa => spread_all(isa, count, (weights, vectors), dim, to, stride));
}

#[inline(always)]
fn spread_all<S: Isa, T: Scalar>(
    isa: S,
    count: usize,
    (weights, vectors): (&[T], &[T]),
    dim: usize,
    to: &mut [T],
    stride: usize,
) {
    let lanes = T::Lanes::<S>::LANES;
    for (key, to) in to.chunks_mut(stride.max(1)).take(count).enumerate() {
        let to = to.get_mut(..dim).unwrap_or_default();
        for (head, vector) in vectors.chunks_exact(dim.max(1)).enumerate() {
            let w = weights.get(head * BLOCK + key).copied().unwrap_or(T::NAN);
            if w == T::ZERO {
                continue;
            }
            let w_lanes = T::Lanes::<S>::splat(isa, w);
            let at = dim - dim % lanes;
            let (whole, rest) = to.split_at_mut_checked(at).unwrap_or_default();
            let (x, x_rest) = vector.split_at_checked(at).unwrap_or_default();
            for (to, x) in whole.chunks_exact_mut(lanes).zip(x.chunks_exact(lanes)) {
                let (sum, x) = (T::Lanes::<S>::load(isa, to), T::Lanes::<S>::load(isa, x));
                let sum = w_lanes.mul_add(x, sum);
                let nan = T::Lanes::<S>::splat(isa, T::NAN);
                T::Lanes::<S>::select(sum.is_nan(), nan, sum).store(to);
            }
            for (to, &x) in rest.iter_mut().zip(x_rest) {
                let sum = *to + w * x;
                *to = if sum == sum { sum } else { T::NAN };
            }
        }
    }
}

/// Returns `len` elements from `at` on.
fn piece<T>(x: &[T], at: usize, len: usize) -> &[T] {
    x.get(at..)
        .unwrap_or_default()
        .get(..len)
        .unwrap_or_default()
}
