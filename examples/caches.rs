//! What attention keeps and computes for each token: multi-head, grouped-query, multi-query and latent
//! attention at the sizes of DeepSeek-V2.
//!
//!     cargo run --release --example caches -- [context] [dtype]
//!
//! A context of 131072 tokens and bf16 unless told otherwise; dtype is f64, f32, f16, bf16 or int8.

use std::process::ExitCode;

use suanzi::mixer::{LatentDims, Sharing, kv_cache_len};

/// DeepSeek-AI (2024), arXiv 2405.04434: 60 layers of width 5120, queries by way of 1536 elements.
const LAYERS: usize = 60;
const WIDTH: usize = 5120;
const QUERY_RANK: usize = 1536;
const HEADS: usize = 128;
const DIM: usize = 128;
const LATENT: LatentDims = LatentDims {
    heads: HEADS,
    latent_dim: 512,
    rope_dim: 64,
    nope_dim: DIM,
    value_dim: DIM,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let context = arguments.next().map_or(Ok(131_072), |word| word.parse());
    let dtype = arguments.next().unwrap_or_else(|| "bf16".into());
    let bytes = match dtype.as_str() {
        "f64" => 8,
        "f32" => 4,
        "f16" | "bf16" => 2,
        "int8" => 1,
        _ => 0,
    };
    let (Ok(context), 1..) = (context, bytes) else {
        eprintln!("caches: name a number of tokens, and f64, f32, f16, bf16 or int8");
        return ExitCode::FAILURE;
    };

    let latent = Sharing::Latent(LATENT);
    let rows = [
        ("MHA", Sharing::multi_head(HEADS, DIM, DIM), None),
        (
            "GQA, 8 groups",
            Sharing::grouped_query(HEADS, 8, DIM, DIM),
            None,
        ),
        ("MQA", Sharing::multi_query(HEADS, DIM, DIM), None),
        ("MLA", latent, Some(QUERY_RANK)),
    ];
    println!("d = {WIDTH}, h = {HEADS}, d_k = d_v = {DIM}, d_c = 512, d_r = 64, {LAYERS} layers");
    println!("{context} tokens in {dtype}\n");
    println!(
        "{:<14} {:>10} {:>12} {:>11} {:>10} {:>13} {:>14}",
        "", "elements", "bytes of", "multiply-", "absorbing", "multiply-adds", "weights of"
    );
    println!(
        "{:<14} {:>10} {:>12} {:>11} {:>10} {:>13} {:>14}",
        "", "per token", "the context", "adds a key", "q, o", "of a step", "a layer"
    );
    println!(
        "{:<14} {:>10} {:>12} {:>11} {:>10} {:>13} {:>14}",
        "", "and layer", "", "and head", "", "and layer", ""
    );
    for (name, sharing, query_rank) in rows {
        let elements = kv_cache_len(sharing);
        println!(
            "{name:<14} {elements:>10} {:>12} {:>11} {:>10} {:>13} {:>14}",
            scaled((elements * bytes * LAYERS).saturating_mul(context)),
            sharing.multiply_adds_per_key(),
            sharing.absorption(),
            sharing.step_multiply_adds(context),
            sharing.weights(WIDTH, query_rank),
        );
    }
    println!(
        "\nMLA with its keys and values expanded, as for a prompt: {} multiply-adds a key and head, {} elements\n\
         a token and layer. As many elements as MLA keeps are those of {} key/value heads of {DIM}.",
        latent.expanded().multiply_adds_per_key(),
        kv_cache_len(latent.expanded()),
        kv_cache_len(latent) as f64 / (2 * DIM) as f64,
    );
    ExitCode::SUCCESS
}

/// Writes a number of bytes in the unit that fits it.
fn scaled(bytes: usize) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < 4 {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    format!("{value:.2} {}", units.get(unit).unwrap_or(&""))
}
