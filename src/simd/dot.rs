//! Dot products in the portable order: the inner loop of matrix-vector products and of attention.
//!
//! Lane j of sixteen adds the products of elements j, j + 16, j + 32, ... one after the other, from
//! zero; the sixteen lanes join as the tree of `order.rs`. Missing elements add zero.
//!
//! Vectors compute eight dot products at once, so that their chains of additions hide each other's
//! latency. One lane computes one: its sixteen chains fill a microcontroller's registers, and code and
//! stack stay small.

use core::ops::Range;
use core::slice;

use super::{LANES, Lanes, prefetch};
use crate::Scalar;
use crate::scalar::sealed::Compute;
use crate::storage::Stored;

/// Dot products that are computed at once.
pub(crate) const DOTS: usize = 8;

/// Elements of each vector that are visited together, a multiple of sixteen: few enough that what
/// one native vector leaves of a line of memory is still near for the next.
const PIECE: usize = 512;

/// Chunks between two looks ahead, where there are several vectors.
const RUN: usize = 4;

/// Calls `each(i, dot)` with the dot product of `x` and row i, for every row of a matrix; the rows
/// have the length of `x` and start `stride` elements apart.
#[inline(always)]
pub(crate) fn row_dots<V: Lanes, W: Stored<V::Element>>(
    isa: V::Isa,
    x: &[V::Element],
    matrix: &[W],
    stride: usize,
    mut each: impl FnMut(usize, V::Element),
) {
    if V::LANES == 1 {
        for (r, row) in matrix.chunks(stride.max(1)).enumerate() {
            each(r, one(x, row));
        }
        return;
    }
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut end = [[V::Element::ZERO; LANES]];
    copy_from([rest], 0, &mut end);
    let whole = whole.as_chunks::<1>().0;
    let mut first = 0;
    for block in matrix.chunks((DOTS * stride).max(1)) {
        let count = block.len() / stride.max(1);
        // Rows that are missing in the last block repeat its last one.
        let mut rows = [&[][..]; DOTS];
        for (r, row) in rows.iter_mut().enumerate() {
            let at = r.min(count.saturating_sub(1)) * stride;
            *row = block.get(at..).unwrap_or_default();
        }
        let dots = tile::<V, W, 1, DOTS>(
            isa,
            (whole, &end),
            rows,
            x.len(),
            #[inline(always)]
            |r, at, count| {
                // Rows of narrow numbers are too short for the processor to run ahead by itself.
                if W::WIDENS {
                    prefetch::<V, W>(matrix, (first + DOTS + r) * stride + at, count);
                }
            },
        );
        for (r, dot) in dots.into_iter().take(count).enumerate() {
            each(first + r, dot);
        }
        first += count;
    }
}

/// Returns the dot product of a vector and the start of a row; NaN if the row is shorter.
#[inline(always)]
pub(crate) fn one<T: Scalar, W: Stored<T>>(x: &[T], row: &[W]) -> T {
    let Some(row) = row.get(..x.len()) else {
        return T::NAN;
    };
    let mut sums = [T::ZERO; LANES];
    let ((x, x_end), (row, row_end)) = (x.as_chunks::<LANES>(), row.as_chunks::<LANES>());
    for (x, row) in x.iter().zip(row) {
        for ((sum, &x), row) in sums.iter_mut().zip(x).zip(row) {
            *sum = *sum + x * row.widen();
        }
    }
    for ((sum, &x), row) in sums.iter_mut().zip(x_end).zip(row_end) {
        *sum = *sum + x * row.widen();
    }
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        for (low, &mut high) in low.iter_mut().zip(high) {
            *low = *low + high;
        }
        half /= 2;
    }
    sums[0]
}

/// Returns the dot products of the first `len` elements of each of `XS` vectors with each of `ROWS`
/// rows, eight in all: that of vector i and row r at `r * XS + i`. NaN if a row is shorter.
///
/// The vectors lie side by side in chunks, `[chunk][vector][element]`, so that one address serves all; the last
/// chunk, if it is not whole, comes apart with zeros. `read(row, element, count)` is told of the elements of a
/// row before they are loaded.
#[inline(always)]
pub(crate) fn tile<V: Lanes, W: Stored<V::Element>, const XS: usize, const ROWS: usize>(
    isa: V::Isa,
    (x, x_end): Vectors<'_, V::Element, XS>,
    rows: [&[W]; ROWS],
    len: usize,
    read: impl Fn(usize, usize, usize),
) -> [V::Element; DOTS] {
    let mut sums = [[V::Element::ZERO; LANES]; DOTS];
    let Some(rows) = pieces(rows, 0, len) else {
        return [V::Element::NAN; DOTS];
    };
    let mut rows_end = [[W::default(); LANES]; ROWS];
    let mut at = 0;
    for x in x.chunks(PIECE / LANES) {
        let to = at + x.len() * LANES;
        let Some(rows) = pieces(rows, at, to) else {
            break;
        };
        add::<V, W, XS, ROWS>(isa, x, chunks(rows), at..to, &mut sums, &read);
        at = to;
    }
    if at < len {
        copy_from(rows, at, &mut rows_end);
        let x = slice::from_ref(x_end);
        add::<V, W, XS, ROWS>(isa, x, ones(&rows_end), at..len, &mut sums, &read);
    }
    join::<V>(isa, &mut sums)
}

/// Vectors side by side in whole chunks, and what is left of them with zeros behind.
pub(crate) type Vectors<'a, T, const XS: usize> = (&'a [[[T; LANES]; XS]], &'a [[T; LANES]; XS]);

/// Returns the elements `from..to` of each vector, if all have them.
#[inline(always)]
fn pieces<X, const N: usize>(x: [&[X]; N], from: usize, to: usize) -> Option<[&[X]; N]> {
    let mut pieces = x;
    for x in &mut pieces {
        *x = x.get(from..to)?;
    }
    Some(pieces)
}

/// Returns each vector as chunks of sixteen.
#[inline(always)]
fn chunks<X, const N: usize>(x: [&[X]; N]) -> [&[[X; LANES]]; N] {
    let mut chunks = [&[][..]; N];
    for (chunks, x) in chunks.iter_mut().zip(x) {
        *chunks = x.as_chunks().0;
    }
    chunks
}

/// Returns each chunk as a slice of one.
#[inline(always)]
fn ones<X, const N: usize>(x: &[[X; LANES]; N]) -> [&[[X; LANES]]; N] {
    let mut ones = [&[][..]; N];
    for (one, x) in ones.iter_mut().zip(x) {
        *one = slice::from_ref(x);
    }
    ones
}

/// Copies what follows `from` of each vector, fewer than sixteen elements.
///
/// Compiled once for all instruction sets.
#[inline(never)]
fn copy_from<X: Copy, const N: usize>(x: [&[X]; N], from: usize, to: &mut [[X; LANES]; N]) {
    for (to, x) in to.iter_mut().zip(x) {
        for (to, &x) in to.iter_mut().zip(x.get(from..).unwrap_or_default()) {
            *to = x;
        }
    }
}

/// Adds the products of all chunks, which are these elements, to the sums; they start from zero.
#[inline(always)]
fn add<V: Lanes, W: Stored<V::Element>, const XS: usize, const ROWS: usize>(
    isa: V::Isa,
    x: &[[[V::Element; LANES]; XS]],
    rows: [&[[W; LANES]]; ROWS],
    elements: Range<usize>,
    sums: &mut [[V::Element; LANES]; DOTS],
    read: &impl Fn(usize, usize, usize),
) {
    let Some(rows) = pieces(rows, 0, x.len()) else {
        return;
    };
    let none = [W::default(); LANES];
    // Columns without elements stay zero.
    let columns = match V::LANES {
        LANES => 1,
        _ => elements.len().div_ceil(V::LANES).min(LANES / V::LANES),
    };
    for column in 0..columns {
        let lane = column * V::LANES;
        let mut acc = [V::splat(isa, V::Element::ZERO); DOTS];
        if elements.start > 0 {
            for (acc, sums) in acc.iter_mut().zip(&*sums) {
                *acc = V::load(isa, sums.get(lane..).unwrap_or_default());
            }
        }
        let first = elements.start + lane;
        if XS == 1 {
            for (c, x) in x.iter().enumerate() {
                // All there, which the compiler does not see: leaving is cheaper than a value for it.
                let Some(rows) = parts::<V, _, ROWS>(rows, c, column) else {
                    break;
                };
                for r in 0..ROWS {
                    read(r, first + c * LANES, V::LANES);
                }
                step::<V, W, XS, ROWS>(isa, x, rows, column, &mut acc);
            }
        } else {
            // Few rows and many sums, whose registers neither leaving nor asking memory may cost.
            for (i, x) in x.chunks(RUN).enumerate() {
                if column == 0 {
                    for r in 0..ROWS {
                        read(r, first + i * RUN * LANES, RUN * LANES);
                    }
                }
                for (c, x) in x.iter().enumerate() {
                    let rows = rows.map(
                        #[inline(always)]
                        |row| {
                            let row = row.get(i * RUN + c).unwrap_or(&none);
                            let mut parts = row.chunks_exact(V::LANES).skip(column);
                            parts.next().unwrap_or_default()
                        },
                    );
                    step::<V, W, XS, ROWS>(isa, x, rows, column, &mut acc);
                }
            }
        }
        for (acc, sums) in acc.iter().zip(&mut *sums) {
            acc.store(sums.get_mut(lane..).unwrap_or_default());
        }
    }
}

/// Returns native vector `column` of chunk `c` of each.
#[inline(always)]
fn parts<V: Lanes, X, const N: usize>(
    x: [&[[X; LANES]]; N],
    c: usize,
    column: usize,
) -> Option<[&[X]; N]> {
    let mut parts = [&[][..]; N];
    for (part, x) in parts.iter_mut().zip(x) {
        // Chunks, since each is visibly as long as a vector.
        *part = x.get(c)?.chunks_exact(V::LANES).nth(column)?;
    }
    Some(parts)
}

/// Adds the products of native vector `column` of a chunk of each vector with one of each row.
#[inline(always)]
fn step<V: Lanes, W: Stored<V::Element>, const XS: usize, const ROWS: usize>(
    isa: V::Isa,
    x: &[[V::Element; LANES]; XS],
    rows: [&[W]; ROWS],
    column: usize,
    acc: &mut [V; DOTS],
) {
    let mut v = [V::splat(isa, V::Element::ZERO); XS];
    for (v, x) in v.iter_mut().zip(x) {
        let mut parts = x.chunks_exact(V::LANES).skip(column);
        *v = V::load(isa, parts.next().unwrap_or_default());
    }
    for (row, acc) in rows.iter().zip(acc.chunks_exact_mut(XS)) {
        let w: V = W::load(isa, row);
        for (acc, &v) in acc.iter_mut().zip(&v) {
            *acc = v.mul_add(w, *acc);
        }
    }
}

/// Joins the sixteen lanes of each of eight sums: lane j takes j + 8, then j + 4, j + 2, j + 1.
///
/// Vectors add until one is left of each sum; then two sums interleave, so that the lower and the
/// upper half of both add at once, and so on until the lanes or the pairs are used up.
#[inline(always)]
pub(crate) fn join<V: Lanes>(
    isa: V::Isa,
    sums: &mut [[V::Element; LANES]; DOTS],
) -> [V::Element; DOTS] {
    let mut half = LANES / 2;
    while half >= V::LANES {
        for sum in &mut *sums {
            let (low, high) = sum.split_at_mut(half);
            let high = high.chunks_exact(V::LANES);
            for (low, high) in low.chunks_exact_mut(V::LANES).zip(high) {
                (V::load(isa, low) + V::load(isa, high)).store(low);
            }
        }
        half /= 2;
    }
    let mut v = sums.each_ref().map(
        #[inline(always)]
        |sum| V::load(isa, sum),
    );
    let (mut count, mut lanes) = (DOTS, V::LANES);
    while count > 1 && lanes > 1 {
        count /= 2;
        lanes /= 2;
        let (first, second) = v.split_at_mut(count);
        for (first, &mut second) in first.iter_mut().zip(second) {
            let (low, high) = first.interleave(second);
            *first = low + high;
        }
    }
    let mut dots = [V::Element::ZERO; DOTS];
    for (i, v) in v.iter().take(count).enumerate() {
        let mut stored = [V::Element::ZERO; LANES];
        v.store(&mut stored);
        if lanes > 1 {
            let (low, high) = stored.split_at_mut(DOTS);
            for (low, &mut high) in low.iter_mut().zip(high) {
                *low = *low + high;
            }
        }
        for (dot, &stored) in dots.iter_mut().skip(i).step_by(count).zip(&stored) {
            *dot = stored;
        }
    }
    dots
}
