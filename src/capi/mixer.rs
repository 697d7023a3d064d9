//! Attention of one token over a cache of keys and values.

use super::{Status, executor, one, product, read, write};
use crate::mixer::{Attention, Cache, Layout, Visible, cache_len};

/// The sizes of attention, and what a token sees.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AttentionOptions {
    /// Query heads, a multiple of the key/value heads.
    pub query_heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Elements of a query and of a key.
    pub key_dim: usize,
    /// Elements of a value and of an output.
    pub value_dim: usize,
    /// The newest positions that are seen; zero for all.
    pub window: usize,
    /// The oldest positions that are seen besides the window.
    pub sinks: usize,
    /// The factor on the dot products: finite; zero for 1 / sqrt(key_dim).
    pub scale: f32,
    /// A number of `suanzi_cache_layout`.
    pub layout: u32,
}

/// Which index of a cache runs slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum CacheLayout {
    /// `[head][token][dim]`: a step reads memory from start to end.
    HeadMajor = 0,
    /// `[token][head][dim]`: as projections write it.
    TokenMajor,
}

/// Keys and values of a sequence in the caller's memory, `suanzi_cache_len` elements each.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KeyValueCache {
    /// The keys.
    pub keys: *mut f32,
    /// The values.
    pub values: *mut f32,
    /// The tokens that fit.
    pub capacity: usize,
    /// The tokens that are there. `suanzi_cache_append_f32` adds to it; a smaller number forgets the newest.
    pub len: usize,
}

/// Returns the attention of the options, the order of its caches, and what a token at this end sees.
fn attention(
    options: &AttentionOptions,
    visible: usize,
) -> Result<(Attention<f32>, Layout, Visible), Status> {
    let AttentionOptions {
        query_heads,
        kv_heads,
        key_dim,
        value_dim,
        window,
        sinks,
        scale,
        layout,
    } = *options;
    let mut attention =
        Attention::new(query_heads, kv_heads, key_dim)?.with_value_dim(value_dim)?;
    if scale != 0.0 {
        attention = attention.with_scale(scale)?;
    }
    let layout = match layout {
        0 => Layout::HeadMajor,
        1 => Layout::TokenMajor,
        _ => return Err(Status::Choice),
    };
    let mut visible = Visible::from(visible);
    if window > 0 {
        visible = visible.window(window).sinks(sinks);
    } else if sinks > 0 {
        return Err(Status::Window);
    }
    Ok((attention, layout, visible))
}

/// Returns the elements that the keys, or the values, of a cache need; the greatest number if they
/// exceed it.
#[unsafe(no_mangle)]
pub extern "C" fn suanzi_cache_len(heads: usize, dim: usize, tokens: usize) -> usize {
    let one = heads.saturating_mul(dim);
    if one.checked_mul(tokens).is_none() {
        return usize::MAX;
    }
    cache_len(heads, dim, tokens)
}

/// Appends the keys `[token][head][key_dim]` and the values `[token][head][value_dim]` of `tokens`
/// tokens.
///
/// # Safety
///
/// * `options` points to options; `cache` to a cache whose arrays have `suanzi_cache_len` elements for
///   its capacity, and do not overlap; `keys` and `values` to the elements of so many tokens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_cache_append_f32(
    options: *const AttentionOptions,
    cache: *mut KeyValueCache,
    keys: *const f32,
    values: *const f32,
    tokens: usize,
) -> Status {
    let run = || {
        // SAFETY: the caller's.
        let options = unsafe { one(options) }?;
        let (_, layout, _) = attention(options, 0)?;
        let heads = options.kv_heads;
        let (key, value) = (
            product(heads, options.key_dim)?,
            product(heads, options.value_dim)?,
        );
        // SAFETY: the caller's.
        let [cache] = unsafe { write(cache, 1) }? else {
            return Err(Status::Null);
        };
        // SAFETY: the caller's.
        let (keys, values) = unsafe {
            (
                read(keys, product(key, tokens)?)?,
                read(values, product(value, tokens)?)?,
            )
        };
        // SAFETY: the caller's.
        let (all_keys, all_values) = unsafe {
            (
                write(cache.keys, product(key, cache.capacity)?)?,
                write(cache.values, product(value, cache.capacity)?)?,
            )
        };
        if cache.len > cache.capacity {
            return Err(Status::Capacity);
        }
        let (key_dim, value_dim) = (options.key_dim, options.value_dim);
        let mut kept = Cache::new(heads, key_dim, value_dim, all_keys, all_values)?;
        kept = kept.with_layout(layout);
        kept.len = cache.len;
        kept.append(keys, values)?;
        cache.len = kept.len;
        Ok(())
    };
    run().into()
}

/// Returns the elements of `scratch` for attention over at most `keys` positions; the greatest number
/// if the options are out of their domain.
///
/// # Safety
///
/// * `options` points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_attention_scratch_len_f32(
    options: *const AttentionOptions,
    keys: usize,
) -> usize {
    // SAFETY: the caller's.
    let attention = unsafe { one(options) }.and_then(|options| attention(options, 0));
    attention.map_or(usize::MAX, |(attention, ..)| attention.scratch_len(keys))
}

/// Attends with the queries of one token, `[head][key_dim]`, to the first `visible` positions of a
/// cache, less those that the window leaves out; writes `[head][value_dim]`, and to `lse`, unless it
/// is null, the logarithm of the sum of exp(score) for each head.
///
/// No visible position, or nothing but scores of minus infinity, gives zeros and minus infinity. A score of
/// NaN or plus infinity gives NaN in the head, NaN in a value in its element; what is not visible is not
/// read. Error below 4 * 2^-24 of max |v| (1 + max |scale| sum |q k|).
///
/// # Safety
///
/// * `options` and `cache` as for `suanzi_cache_append_f32`; `query`, `out` and `lse` have the elements
///   of the options, `scratch` has `scratch_len`; none that is written overlaps another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn suanzi_attend_f32(
    executor: u32,
    options: *const AttentionOptions,
    cache: *const KeyValueCache,
    visible: usize,
    query: *const f32,
    scratch: *mut f32,
    scratch_len: usize,
    out: *mut f32,
    lse: *mut f32,
) -> Status {
    let run = || {
        let cpu = self::executor(executor)?;
        // SAFETY: the caller's.
        let (options, cache) = unsafe { (one(options)?, one(cache)?) };
        let (attention, layout, visible) = attention(options, visible)?;
        let attention = attention.on(cpu);
        let (heads, key_dim, value_dim) = (options.kv_heads, options.key_dim, options.value_dim);
        let len = |dim| product(product(heads, dim)?, cache.capacity);
        // SAFETY: the caller's.
        let (keys, values) = unsafe {
            (
                read(cache.keys, len(key_dim)?)?,
                read(cache.values, len(value_dim)?)?,
            )
        };
        if cache.len > cache.capacity {
            return Err(Status::Capacity);
        }
        let mut kept = Cache::<f32, _>::new(heads, key_dim, value_dim, keys, values)?;
        kept = kept.with_layout(layout);
        kept.len = cache.len;
        // SAFETY: the caller's.
        let (query, scratch, out) = unsafe {
            (
                read(query, attention.query_len())?,
                write(scratch, scratch_len)?,
                write(out, attention.out_len())?,
            )
        };
        if lse.is_null() {
            return Ok(attention.attend(query, &kept, visible, scratch, out)?);
        }
        // SAFETY: the caller's.
        let lse = unsafe { write(lse, options.query_heads) }?;
        Ok(attention.attend_with_lse(query, &kept, visible, scratch, out, lse)?)
    };
    run().into()
}
