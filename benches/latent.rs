//! Decoding steps of latent attention: `cd benches && cargo bench --bench latent`.
//!
//! Sixteen heads with the sizes of DeepSeek-V2's: a latent vector of 512 elements, a rotated key of 64,
//! queries and values of 128. The first row is the definition in plain loops over the latent rows, absorbed;
//! the others are this crate's absorbed form and its expanded one, whose memory is nine times as large for
//! these heads. The rates count the multiply-adds of the absorbed form. Every answer is checked before it is
//! timed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use suanzi::Cpu;
use suanzi::mixer::{Cache, Latent, LatentCache, LatentDims, Layout, Sharing};
use suanzi_benches::{in_turns, uniform};

const DIMS: LatentDims = LatentDims {
    heads: 16,
    latent_dim: 512,
    rope_dim: 64,
    nope_dim: 128,
    value_dim: 128,
};
const ROW: usize = DIMS.latent_dim + DIMS.rope_dim;
const KEY: usize = DIMS.nope_dim + DIMS.rope_dim;

/// The absorbed form in plain loops.
fn naive(
    keys: &[f32],
    values: &[f32],
    query: &[f32],
    rope_query: &[f32],
    rows: &[f32],
) -> Vec<f32> {
    let (c, r) = (DIMS.latent_dim, DIMS.rope_dim);
    let scale = 1.0 / (KEY as f32).sqrt();
    let mut out = Vec::with_capacity(DIMS.heads * DIMS.value_dim);
    for h in 0..DIMS.heads {
        let mut absorbed = [0.0; ROW];
        for n in 0..DIMS.nope_dim {
            let at = h * DIMS.nope_dim + n;
            for (a, k) in absorbed.iter_mut().zip(&keys[at * c..][..c]) {
                *a += query[at] * k;
            }
        }
        absorbed[c..].copy_from_slice(&rope_query[h * r..][..r]);
        let dot = |row: &[f32]| row.iter().zip(&absorbed).map(|(x, a)| x * a).sum::<f32>();
        let scores: Vec<f32> = rows.chunks_exact(ROW).map(|row| scale * dot(row)).collect();
        let max = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        let (mut sum, mut mean) = (0.0, [0.0; DIMS.latent_dim]);
        for (s, row) in scores.iter().zip(rows.chunks_exact(ROW)) {
            let p = libm::expf(s - max);
            sum += p;
            for (m, x) in mean.iter_mut().zip(row) {
                *m += p * x;
            }
        }
        for i in 0..DIMS.value_dim {
            let row = &values[(h * DIMS.value_dim + i) * c..][..c];
            out.push(row.iter().zip(&mean).map(|(w, m)| w * m).sum::<f32>() / sum);
        }
    }
    out
}

fn check(what: &str, got: &[f32], want: &[f32]) {
    let worst = got
        .iter()
        .zip(want)
        .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst < 1e-4, "{what}: wrong answer, off by {worst}");
}

fn main() {
    let (heads, c) = (DIMS.heads, DIMS.latent_dim);
    let small = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| x / 16.0).collect() };
    let keys = small(uniform(heads * DIMS.nope_dim * c, 1));
    let values = small(uniform(heads * DIMS.value_dim * c, 2));
    let query = uniform(heads * DIMS.nope_dim, 3);
    let rope_query = uniform(heads * DIMS.rope_dim, 4);
    let latent = Latent::new(DIMS, &keys, &values).unwrap();
    for tokens in [256, 1024, 4096] {
        let latents = uniform(tokens * c, 5);
        let rope_keys = uniform(tokens * DIMS.rope_dim, 6);
        let mut cache =
            LatentCache::<f32, _>::new(c, DIMS.rope_dim, vec![0.0; tokens * ROW]).unwrap();
        cache.append(&latents, &rope_keys).unwrap();
        let mut rows = Vec::new();
        for (latent, key) in latents
            .chunks_exact(c)
            .zip(rope_keys.chunks_exact(DIMS.rope_dim))
        {
            rows.extend([latent, key].concat());
        }
        let mut expanded_keys = vec![0.0; tokens * heads * KEY];
        let mut expanded_values = vec![0.0; tokens * heads * DIMS.value_dim];
        latent
            .expand(
                &latents,
                &rope_keys,
                &mut expanded_keys,
                &mut expanded_values,
            )
            .unwrap();
        // Head by head, as a cache that grew keeps them.
        let mut expanded = Cache::<f32, _>::new(
            heads,
            KEY,
            DIMS.value_dim,
            vec![0.0; expanded_keys.len()],
            vec![0.0; expanded_values.len()],
        )
        .unwrap()
        .with_layout(Layout::HeadMajor);
        expanded.append(&expanded_keys, &expanded_values).unwrap();
        let mut joined = Vec::new();
        for (q, p) in query
            .chunks_exact(DIMS.nope_dim)
            .zip(rope_query.chunks_exact(DIMS.rope_dim))
        {
            joined.extend([q, p].concat());
        }

        let attention = latent.expanded_attention();
        let mut scratch = vec![
            0.0;
            latent
                .scratch_len(tokens)
                .max(attention.scratch_len(tokens))
        ];
        let (mut fused_scratch, mut other_scratch) = (scratch.clone(), scratch.clone());
        let mut out = vec![0.0; heads * DIMS.value_dim];
        let (mut fused_out, mut other_out) = (out.clone(), out.clone());
        let step = |cpu: Cpu, scratch: &mut [f32], out: &mut [f32]| {
            let latent = latent.on(cpu);
            latent
                .attend(&query, &rope_query, &cache, tokens, scratch, out)
                .unwrap();
        };
        let wide = |scratch: &mut [f32], out: &mut [f32]| {
            attention
                .attend(&joined, &expanded, tokens, scratch, out)
                .unwrap();
        };
        let want = naive(&keys, &values, &query, &rope_query, &rows);
        step(Cpu::default(), &mut scratch, &mut out);
        check("absorbed", &out, &want);
        wide(&mut other_scratch, &mut other_out);
        check("expanded", &other_out, &want);
        in_turns(
            &format!("latent attention, 16 heads, {tokens} tokens"),
            Sharing::Latent(DIMS).step_multiply_adds(tokens),
            "madd",
            &mut [
                ("plain loops", &mut || {
                    core::hint::black_box(naive(&keys, &values, &query, &rope_query, &rows));
                }),
                ("absorbed", &mut || {
                    step(Cpu::default(), &mut scratch, &mut out)
                }),
                ("absorbed, fused", &mut || {
                    step(Cpu::fused(), &mut fused_scratch, &mut fused_out);
                }),
                ("expanded", &mut || wide(&mut other_scratch, &mut other_out)),
            ],
        );
    }
}
