//! One token's attention over a long context, divided among threads: the same bits for any number.
//!
//!     cargo run --release --example threads -- [tokens]
//!
//! The context falls into stretches of as many positions as a power of two of blocks. Each worker takes
//! some, and `OnlineSoftmax::merge_tree` joins their states in the order of the stretches. Who computed
//! which stretch, and when, is nowhere in the result; it has the bits of `Attention::attend` as well.

use core::error::Error;
use std::time::Instant;

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use suanzi::mixer::{Attention, BLOCK, Cache, OnlineSoftmax};

const QUERY_HEADS: usize = 8;
const KV_HEADS: usize = 2;
const DIM: usize = 64;

/// The positions of a stretch.
const STRETCH: usize = 16 * BLOCK;

/// The state of all query heads.
type State = OnlineSoftmax<f32, Vec<f32>>;

fn main() -> Result<(), Box<dyn Error>> {
    let tokens = match std::env::args().nth(1) {
        None => 200_000,
        Some(word) => word.parse().map_err(|_| "name a number of tokens")?,
    };
    let part = |seed| numbers(seed, KV_HEADS * DIM * tokens);
    let (keys, values) = (part(1), part(2));
    let query = numbers(3, QUERY_HEADS * DIM);
    let cache = Cache::<f32, _>::filled(KV_HEADS, DIM, DIM, &keys[..], &values[..])?;
    let attention = Attention::new(QUERY_HEADS, KV_HEADS, DIM)?;

    let mut scratch = vec![0.0; attention.scratch_len(tokens)];
    let mut whole = vec![0.0; attention.out_len()];
    let start = Instant::now();
    attention.attend(&query, &cache, tokens, &mut scratch, &mut whole)?;
    let alone = start.elapsed();
    println!("{tokens} tokens, {} stretches", tokens.div_ceil(STRETCH));
    println!("undivided: {:016x}, {alone:.2?}", hash(&whole));

    for workers in [1, 2, 4] {
        let pool = ThreadPoolBuilder::new().num_threads(workers).build()?;
        // Everything that the workers write is there before the time starts.
        let state = || {
            let len = State::state_len(QUERY_HEADS, DIM);
            let state = State::new(QUERY_HEADS, DIM, vec![0.0; len])?;
            Ok((state, vec![0.0; attention.scratch_len(STRETCH)]))
        };
        let mut parts = (0..tokens.div_ceil(STRETCH))
            .map(|_| state())
            .collect::<Result<Vec<_>, suanzi::Error>>()?;
        let start = Instant::now();
        pool.install(|| {
            let stretches = parts.par_iter_mut().enumerate();
            stretches.try_for_each(|(i, (state, scratch))| {
                let positions = i * STRETCH..tokens.min((i + 1) * STRETCH);
                attention.attend_stretch(&query, &cache, positions, scratch, state)
            })
        })?;
        let mut states: Vec<_> = parts.into_iter().map(|(state, _)| state).collect();
        State::merge_tree(&mut states)?;
        let mut out = vec![0.0; attention.out_len()];
        if let Some(state) = states.first() {
            state.finish(&mut out)?;
        }
        let time = start.elapsed();
        println!("{workers} threads: {:016x}, {time:.2?}", hash(&out));
        assert_eq!(bits(&out), bits(&whole), "the bits depend on the workers");
    }
    println!("the same bits");
    Ok(())
}

/// Numbers in [-1, 1) from a linear congruential generator (Knuth, MMIX).
fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // 24 bits, so that the number is exact.
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// FNV-1a of the bits.
fn hash(x: &[f32]) -> u64 {
    let bytes = x.iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
