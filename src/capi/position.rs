//! Rotary position encoding, from a table or on the fly.

use super::{Status, executor, one, product, read, write};
use crate::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope, RopeTable};

/// Which elements of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum HeadPairing {
    /// Elements 2i and 2i + 1.
    Interleaved = 0,
    /// Elements i and i + half of the rotary dimension.
    HalfSplit,
}

/// The layout of a head.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Head {
    /// Elements of a head.
    pub head_dim: usize,
    /// Elements that turn, at the start of it: even, at most the head.
    pub rotary_dim: usize,
    /// A number of `suanzi_pairing`.
    pub pairing: u32,
}

/// Returns the layout of a head.
///
/// # Safety
///
/// * If `head` is not null, it points to one.
unsafe fn layout(head: *const Head) -> Result<HeadLayout, Status> {
    // SAFETY: the caller's.
    let head = unsafe { one(head) }?;
    let pairing = match head.pairing {
        0 => Pairing::Interleaved,
        1 => Pairing::HalfSplit,
        _ => return Err(Status::Choice),
    };
    Ok(HeadLayout::partial(
        head.head_dim,
        head.rotary_dim,
        pairing,
    )?)
}

/// Returns the elements of `turns`: one for each pair.
#[unsafe(no_mangle)]
pub extern "C" fn suanzi_rope_turns_len(rotary_dim: usize) -> usize {
    rotary_dim / 2
}

/// Writes how fast each pair turns, base^(-2i / rotary_dim) radians a position, as fractions of a turn.
///
/// It takes integer arithmetic alone and is done once for a model; the result is the same everywhere.
///
/// # Safety
///
/// * `head` and `base` point to one of their kind, `turns` to `turns_len` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_turns_f32(
    head: *const Head,
    base: *const f64,
    turns: *mut u64,
    turns_len: usize,
) -> Status {
    let run = || {
        // SAFETY: the caller's.
        let (layout, base, turns) =
            unsafe { (layout(head)?, one(base)?, write(turns, turns_len)?) };
        Rope::<f32, _>::new(layout, &Base::new(*base)?, turns)?;
        Ok(())
    };
    run().into()
}

/// What a rotation does.
enum Rotation {
    Forward,
    Back,
    Shift,
}

/// Rotates heads on the fly.
///
/// # Safety
///
/// * As `suanzi_rope_rotate_f32`.
unsafe fn rotate(
    number: u32,
    head: *const Head,
    turns: *const u64,
    x: *mut f32,
    heads: usize,
    position: i32,
    rotation: Rotation,
) -> Result<(), Status> {
    let cpu = executor(number)?;
    // SAFETY: the caller's.
    let layout = unsafe { layout(head) }?;
    let len = product(layout.head_dim(), heads)?;
    // SAFETY: the caller's.
    let (turns, x) = unsafe { (read(turns, layout.pairs())?, write(x, len)?) };
    let rope = Rope::<f32, _>::filled(layout, turns)?.on(cpu);
    match rotation {
        Rotation::Forward => rope.rotate(position, x)?,
        Rotation::Back => rope.unrotate(position, x)?,
        Rotation::Shift => rope.shift(position, x)?,
    }
    Ok(())
}

/// Rotates the heads of one token, one after the other, to its position; angles are computed on the fly.
///
/// Elements beyond the rotary dimension stay; NaN in a pair gives NaN in both. The absolute error of an
/// angle's sine and cosine is at most 2^-24 at every position, that of a result 3 * 2^-24 of the length of
/// its pair.
///
/// # Safety
///
/// * `head` points to a layout, `turns` to what `suanzi_rope_turns_f32` wrote for it, `x` to
///   `heads * head_dim` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_rotate_f32(
    executor: u32,
    head: *const Head,
    turns: *const u64,
    x: *mut f32,
    heads: usize,
    position: i32,
) -> Status {
    // SAFETY: the caller's.
    unsafe { rotate(executor, head, turns, x, heads, position, Rotation::Forward) }.into()
}

/// Takes a rotation back.
///
/// # Safety
///
/// * As `suanzi_rope_rotate_f32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_unrotate_f32(
    executor: u32,
    head: *const Head,
    turns: *const u64,
    x: *mut f32,
    heads: usize,
    position: i32,
) -> Status {
    // SAFETY: the caller's.
    unsafe { rotate(executor, head, turns, x, heads, position, Rotation::Back) }.into()
}

/// Moves heads that are rotated already by `offset` positions: keys of a cache whose start is cut off.
///
/// # Safety
///
/// * As `suanzi_rope_rotate_f32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_shift_f32(
    executor: u32,
    head: *const Head,
    turns: *const u64,
    x: *mut f32,
    heads: usize,
    offset: i32,
) -> Status {
    // SAFETY: the caller's.
    unsafe { rotate(executor, head, turns, x, heads, offset, Rotation::Shift) }.into()
}

/// Returns the elements of a table of so many positions; the greatest number if they exceed it.
#[unsafe(no_mangle)]
pub extern "C" fn suanzi_rope_table_len(positions: usize, rotary_dim: usize) -> usize {
    RopeTable::<f32, ()>::table_len(positions, rotary_dim)
}

/// Fills a table with the cosines and sines of `positions` positions from `first` on, right to 2^-24. A row
/// is the cosines of all pairs, then their sines.
///
/// # Safety
///
/// * `head` and `turns` as for `suanzi_rope_rotate_f32`; `table` points to
///   `suanzi_rope_table_len(positions, rotary_dim)` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_table_fill_f32(
    head: *const Head,
    turns: *const u64,
    first: i32,
    table: *mut f32,
    positions: usize,
) -> Status {
    let run = || {
        // SAFETY: the caller's.
        let layout = unsafe { layout(head) }?;
        let len = product(positions, layout.rotary_dim())?;
        // SAFETY: the caller's.
        let (turns, table) = unsafe { (read(turns, layout.pairs())?, write(table, len)?) };
        RopeTable::new(&Rope::<f32, _>::filled(layout, turns)?, first, table)?;
        Ok(())
    };
    run().into()
}

/// Rotates heads from a table.
///
/// # Safety
///
/// * As `suanzi_rope_table_rotate_f32`.
unsafe fn rotate_by_table(
    number: u32,
    head: *const Head,
    first: i32,
    (table, positions): (*const f32, usize),
    (x, heads): (*mut f32, usize),
    position: i32,
    back: bool,
) -> Result<(), Status> {
    let cpu = executor(number)?;
    // SAFETY: the caller's.
    let layout = unsafe { layout(head) }?;
    let len = product(positions, layout.rotary_dim())?;
    let x_len = product(layout.head_dim(), heads)?;
    // SAFETY: the caller's.
    let (table, x) = unsafe { (read(table, len)?, write(x, x_len)?) };
    let table = RopeTable::<f32, _>::from_rows(layout, first, table)?.on(cpu);
    if back {
        table.unrotate(position, x)?;
    } else {
        table.rotate(position, x)?;
    }
    Ok(())
}

/// Rotates the heads of one token to its position, from a table of `positions` positions from `first` on.
///
/// # Safety
///
/// * `head` points to a layout, `table` to what `suanzi_rope_table_fill_f32` wrote for it, `x` to
///   `heads * head_dim` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_table_rotate_f32(
    executor: u32,
    head: *const Head,
    first: i32,
    table: *const f32,
    positions: usize,
    x: *mut f32,
    heads: usize,
    position: i32,
) -> Status {
    let (table, x) = ((table, positions), (x, heads));
    // SAFETY: the caller's.
    unsafe { rotate_by_table(executor, head, first, table, x, position, false) }.into()
}

/// Takes a rotation from a table back.
///
/// # Safety
///
/// * As `suanzi_rope_table_rotate_f32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_rope_table_unrotate_f32(
    executor: u32,
    head: *const Head,
    first: i32,
    table: *const f32,
    positions: usize,
    x: *mut f32,
    heads: usize,
    position: i32,
) -> Status {
    let (table, x) = ((table, positions), (x, heads));
    // SAFETY: the caller's.
    unsafe { rotate_by_table(executor, head, first, table, x, position, true) }.into()
}
