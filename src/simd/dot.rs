//! Dot products in the portable order: the inner loop of matrix-vector products and of attention.
//!
//! Lane j of sixteen adds the products of elements j, j + 16, j + 32, ... one after the other, from
//! zero; the sixteen lanes join as the tree of `order.rs`. Missing elements add zero. Several rows
//! at once share the loads of the vector and hide the latency of the additions: as many as the
//! registers hold the sums of, so that the number changes the speed and never the bits.

use super::order::join;
use super::{LANES, Lanes};
use crate::scalar::sealed::Compute;
use crate::storage::Stored;

/// Calls `each(i, dot)` with the dot product of `x` and row i, for every row of a matrix; the rows
/// have the length of `x` and start `stride` elements apart.
#[inline(always)]
pub(crate) fn row_dots<V: Lanes, W: Stored<V::Element>>(
    isa: V::Isa,
    x: &[V::Element],
    matrix: &[W],
    stride: usize,
    each: impl FnMut(usize, V::Element),
) {
    match V::LANES {
        1 => blocks::<V, W, 1>(isa, x, matrix, stride, each),
        16 => blocks::<V, W, 8>(isa, x, matrix, stride, each),
        // Four lanes keep four vectors of sums a row: sixteen registers hold two rows.
        4 if !cfg!(target_arch = "aarch64") => blocks::<V, W, 2>(isa, x, matrix, stride, each),
        2 if !cfg!(target_arch = "aarch64") => blocks::<V, W, 1>(isa, x, matrix, stride, each),
        _ => blocks::<V, W, 4>(isa, x, matrix, stride, each),
    }
}

/// [`row_dots`] with `ROWS` rows at once.
#[inline(always)]
fn blocks<V: Lanes, W: Stored<V::Element>, const ROWS: usize>(
    isa: V::Isa,
    x: &[V::Element],
    matrix: &[W],
    stride: usize,
    mut each: impl FnMut(usize, V::Element),
) {
    let mut i = 0;
    let mut rest = matrix;
    if ROWS > 1 {
        while let Some((block, after)) = rest.split_at_checked(ROWS * stride) {
            if block.is_empty() {
                break;
            }
            let rows = core::array::from_fn(
                #[inline(always)]
                |r| block.get(r * stride..).unwrap_or_default(),
            );
            for sum in dots::<V, W, ROWS>(isa, x, rows) {
                each(i, sum);
                i += 1;
            }
            rest = after;
        }
    }
    for row in rest.chunks(stride.max(1)) {
        if row.len() < x.len() {
            break;
        }
        let [sum] = dots::<V, W, 1>(isa, x, [row]);
        each(i, sum);
        i += 1;
    }
}

/// Returns the dot products of `x` with the start of each of `rows`; rows shorter than `x` count as
/// zero.
#[inline(always)]
pub(crate) fn dots<V: Lanes, W: Stored<V::Element>, const ROWS: usize>(
    isa: V::Isa,
    x: &[V::Element],
    rows: [&[W]; ROWS],
) -> [V::Element; ROWS] {
    let zero = V::splat(isa, V::Element::ZERO);
    let mut sums = [[zero; LANES]; ROWS];
    let (chunks, tail) = x.as_chunks::<LANES>();
    let n = chunks.len();
    let rows = rows.map(
        #[inline(always)]
        |row| {
            let (chunks, rest) = row.split_at_checked(n * LANES).unwrap_or_default();
            (chunks.as_chunks::<LANES>().0, rest)
        },
    );
    for (c, chunk) in chunks.iter().enumerate() {
        for (sum, (row, _)) in sums.iter_mut().zip(&rows) {
            let Some(w) = row.get(c) else { break };
            add::<V, W>(isa, sum, chunk, w);
        }
    }
    if !tail.is_empty() {
        if V::LANES == 1 {
            for (sum, (_, rest)) in sums.iter_mut().zip(&rows) {
                for ((sum, &x), w) in sum.iter_mut().zip(tail).zip(*rest) {
                    *sum = V::splat(isa, x).mul_add(V::splat(isa, w.widen()), *sum);
                }
            }
        } else {
            let x = padded(
                tail,
                #[inline(always)]
                |&x| x,
            );
            for (sum, (_, rest)) in sums.iter_mut().zip(&rows) {
                let w = padded(
                    rest.get(..tail.len()).unwrap_or_default(),
                    #[inline(always)]
                    |w| w.widen(),
                );
                let mut lane = 0;
                for sum in sum.iter_mut().take(LANES / V::LANES) {
                    let x = V::load(isa, x.get(lane..).unwrap_or_default());
                    *sum = x.mul_add(V::load(isa, w.get(lane..).unwrap_or_default()), *sum);
                    lane += V::LANES;
                }
            }
        }
    }
    sums.map(
        #[inline(always)]
        |sum| join(sum),
    )
}

/// Adds sixteen products to the sums of one row.
#[inline(always)]
fn add<V: Lanes, W: Stored<V::Element>>(
    isa: V::Isa,
    sum: &mut [V; LANES],
    x: &[V::Element; LANES],
    w: &[W; LANES],
) {
    let mut lane = 0;
    for sum in sum.iter_mut().take(LANES / V::LANES) {
        let v = V::load(isa, x.get(lane..).unwrap_or_default());
        let w: V = W::load(isa, w.get(lane..).unwrap_or_default());
        *sum = v.mul_add(w, *sum);
        lane += V::LANES;
    }
}

/// Widens fewer than sixteen elements and fills up with zeros, four elements at a time.
#[inline(always)]
fn padded<W, T: Compute>(from: &[W], widen: impl Fn(&W) -> T) -> [T; LANES] {
    let mut padded = [T::ZERO; LANES];
    let (to, _) = padded.as_chunks_mut::<4>();
    let (from, from_rest) = from.as_chunks::<4>();
    let mut to = to.iter_mut();
    for (from, to) in from.iter().zip(&mut to) {
        for (from, to) in from.iter().zip(to) {
            *to = widen(from);
        }
    }
    for (from, to) in from_rest.iter().zip(to.flatten()) {
        *to = widen(from);
    }
    padded
}
