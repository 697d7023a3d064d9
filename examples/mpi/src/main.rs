//! One token's attention over a long context, divided among the ranks of an MPI job: the same bits for
//! any number of ranks.
//!
//!     cargo build --release && mpirun -n 4 target/release/suanzi-mpi [tokens]
//!
//! The context falls into stretches of as many positions as a power of two of blocks, and each rank holds
//! the keys and values of some consecutive ones, of no others. A stretch becomes a state of a few hundred
//! numbers; these alone travel. The first rank joins them in the order of the stretches, whoever computed
//! them, so that its output depends on the context alone.

use core::error::Error;
use std::time::Instant;

use mpi::datatype::PartitionMut;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use suanzi::Cpu;
use suanzi::mixer::{Attention, BLOCK, Cache, OnlineSoftmax, cache_len};

const QUERY_HEADS: usize = 8;
const KV_HEADS: usize = 2;
const DIM: usize = 64;

/// The positions of a stretch.
const STRETCH: usize = 16 * BLOCK;

/// The numbers of the state of all query heads.
const STATE: usize = OnlineSoftmax::<f32, [f32; 0]>::state_len(QUERY_HEADS, DIM);

fn main() -> Result<(), Box<dyn Error>> {
    let universe = mpi::initialize().ok_or("MPI is initialized already")?;
    let world = universe.world();
    let (rank, ranks) = (world.rank() as usize, world.size() as usize);
    let tokens: usize = match std::env::args().nth(1) {
        None => 50_000,
        Some(word) => word.parse().map_err(|_| "name a number of tokens")?,
    };

    // The keys and values of this rank's stretches.
    let stretches = tokens.div_ceil(STRETCH);
    let first_of = |rank: usize| stretches * rank / ranks;
    let (first, end) = (first_of(rank), first_of(rank + 1));
    let (from, to) = (first * STRETCH, tokens.min(end * STRETCH));
    let len = cache_len(KV_HEADS, DIM, to - from);
    let mut cache = Cache::<f32, _>::new(KV_HEADS, DIM, DIM, vec![0.0; len], vec![0.0; len])?;
    for position in from..to {
        let part = |seed| numbers(seed, position, KV_HEADS * DIM);
        cache.append(&part(1), &part(2))?;
    }
    let query = numbers(3, tokens, QUERY_HEADS * DIM);
    let attention = Attention::new(QUERY_HEADS, KV_HEADS, DIM)?;
    let mut scratch = vec![0.0; attention.scratch_len(STRETCH)];
    let mut own = vec![0.0; (end - first) * STATE];

    world.barrier();
    let start = Instant::now();
    // Positions are counted from the rank's first one, which begins a stretch.
    for (i, numbers) in own.chunks_exact_mut(STATE).enumerate() {
        let mut state = OnlineSoftmax::new(QUERY_HEADS, DIM, numbers)?;
        let positions = i * STRETCH..(to - from).min((i + 1) * STRETCH);
        attention.attend_stretch(&query, &cache, positions, &mut scratch, &mut state)?;
    }
    let root = world.process_at_rank(0);
    if rank > 0 {
        root.gather_varcount_into(&own[..]);
        return Ok(());
    }
    let mut all = vec![0.0_f32; stretches * STATE];
    let starts: Vec<i32> = (0..ranks)
        .map(|rank| (first_of(rank) * STATE) as i32)
        .collect();
    let counts: Vec<i32> = (0..ranks)
        .map(|rank| ((first_of(rank + 1) - first_of(rank)) * STATE) as i32)
        .collect();
    let mut partition = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
    root.gather_varcount_into_root(&own[..], &mut partition);
    let mut states = all
        .chunks_exact_mut(STATE)
        .map(|numbers| OnlineSoftmax::received(QUERY_HEADS, DIM, numbers))
        .collect::<Result<Vec<_>, _>>()?;
    OnlineSoftmax::merge_tree(&mut states)?;
    let mut out = vec![0.0; attention.out_len()];
    if let Some(state) = states.first() {
        state.finish(&mut out)?;
    }
    let time = start.elapsed();
    eprintln!(
        "{ranks} ranks, {tokens} tokens, {stretches} stretches, {:?}: {time:.2?}",
        Cpu::default().level()
    );
    println!("{:016x}", hash(&out));
    Ok(())
}

/// Numbers in [-1, 1) that belong to a position, from a linear congruential generator (Knuth, MMIX).
fn numbers(seed: u64, position: usize, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_add((position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // 24 bits, so that the number is exact.
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// FNV-1a of the bits.
fn hash(x: &[f32]) -> u64 {
    let bytes = x.iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
