//! The accuracy table: one bound for every operation, the only tolerances that tests use.
#![allow(dead_code, reason = "each test binary uses its own rows")]

/// What an operation is held to, on every instruction set and at every length.
pub(crate) struct Row {
    /// The operation's name.
    pub operation: &'static str,
    /// The bound in `f32`.
    pub f32_bound: f64,
    /// The bound in `f64`.
    pub f64_bound: f64,
    /// What the bounds count.
    pub unit: &'static str,
    /// Conditions, and the greatest error seen.
    pub note: &'static str,
}

/// Every operation of the crate.
pub(crate) const TABLE: &[Row] = &[
    Row {
        operation: "softmax",
        f32_bound: 3.0,
        f64_bound: 3.0,
        unit: "ULP",
        note: "any length, scale and mask included; below the normal range 1 unit of the smallest number",
    },
    Row {
        operation: "softmax with softcap",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "ULP of the capped score, in each logit",
        note: "beside the bound of softmax; 3.47 seen in 40 million samples of f32",
    },
    Row {
        operation: "softmax in F16 or Bf16",
        f32_bound: 0.51,
        f64_bound: f64::NAN,
        unit: "ULP of the stored type",
        note: "computed in f32, rounded once",
    },
    Row {
        operation: "log_softmax",
        f32_bound: 3.0,
        f64_bound: 3.0,
        unit: "ULP of max(1, |result|)",
        note: "any length",
    },
    Row {
        operation: "log_sum_exp",
        f32_bound: 3.0,
        f64_bound: 3.0,
        unit: "ULP of max(1, |result|)",
        note: "any length",
    },
    Row {
        operation: "sparsemax",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "ULP",
        note: "in the support, of 2^-32 at least; exactly zero outside; 0.50 seen",
    },
    Row {
        operation: "entmax of 1.5",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "ULP",
        note: "in the support, of 2^-32 at least; exactly zero outside; 0.50 seen",
    },
    Row {
        operation: "entmax",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "ULP; f64: 2^-53 of p (1 + 1/u + |ln p|), u = p^(alpha - 1)",
        note: "any other alpha from 1.01 on; in the support; exactly zero outside; 0.50 seen",
    },
    Row {
        operation: "normmax",
        f32_bound: 4.0,
        f64_bound: 8.0,
        unit: "ULP; f64: 2^-53 of p (1 + (1 + 1/u) / (alpha - 1)), u = s - tau",
        note: "in the support, of 2^-32 at least; exactly zero outside",
    },
    Row {
        operation: "normmax vjp",
        f32_bound: 32.0,
        f64_bound: 32.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of (s + p sum s) max |dp| (1 + |ln p|)",
        note: "the probabilities taken as exact",
    },
    Row {
        operation: "soft top-k",
        f32_bound: 4.0,
        f64_bound: 1.0,
        unit: "ULP of max(p, 2^-32); f64: 2^-50 of (1 + 60 p) sqrt(elements)",
        note: "all five inclusions, computed in f64",
    },
    Row {
        operation: "soft top-k vjp",
        f32_bound: 2e-6,
        f64_bound: 1e-9,
        unit: "absolute, of max |dp|",
        note: "f64 against differences of the map; f32 against f64",
    },
    Row {
        operation: "perturb max vjp",
        f32_bound: 1e-6,
        f64_bound: 1e-7,
        unit: "absolute, of max |dp|",
        note: "f64 against differences of the map; f32 against f64",
    },
    Row {
        operation: "sparse softmax",
        f32_bound: 3.0,
        f64_bound: 3.0,
        unit: "ULP",
        note: "top-k, top-p, min-p; exactly zero outside",
    },
    Row {
        operation: "normalized",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "ULP",
        note: "Taylor, spherical, logistic and softplus",
    },
    Row {
        operation: "normalized vjp",
        f32_bound: 16.0,
        f64_bound: 16.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of p |f'/f| (|dp| + max |dp|)",
        note: "gradient of the normalizers",
    },
    Row {
        operation: "entmax vjp",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of s (|dp| + max |dp|)",
        note: "s = p^(2 - alpha); softmax, sparse softmax, sparsemax, entmax; the probabilities taken as exact",
    },
    Row {
        operation: "log-softmax vjp",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |dy| + p sum |dy|",
        note: "the results taken as exact",
    },
    Row {
        operation: "entmax alpha gradient",
        f32_bound: 32.0,
        f64_bound: 32.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of sum |dp| (p + r) / (alpha - 1)^2",
        note: "r = s / sum s",
    },
    Row {
        operation: "cross entropy",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of 1 + |lse| + max |s|; the gradient of 1",
        note: "smoothing, margin and z-loss included",
    },
    Row {
        operation: "entmax loss",
        f32_bound: 16.0,
        f64_bound: 16.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of 1 + max s - s_t + 1 / (alpha - 1); the gradient of 1",
        note: "Fenchel-Young",
    },
    Row {
        operation: "sparse softmax loss",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of 1 + 2 max |s|; the gradient of 1",
        note: "cross entropy of what is kept",
    },
    Row {
        operation: "perturb max",
        f32_bound: 4.0,
        f64_bound: 4096.0,
        unit: "ULP of max(p, 2^-60)",
        note: "exponential, normal and logistic noise, computed in f64",
    },
    Row {
        operation: "noise quantile",
        f32_bound: 0.51,
        f64_bound: 90.0,
        unit: "ULP; f64: 2^-53 of max(0.1, |result|)",
        note: "computed in f64",
    },
    Row {
        operation: "perturb max with a distribution",
        f32_bound: f64::NAN,
        f64_bound: 1e-9,
        unit: "absolute",
        note: "smooth distributions; one with a corner, as the exponential, 1e-3",
    },
    Row {
        operation: "byte softmax",
        f32_bound: 1.0,
        f64_bound: f64::NAN,
        unit: "1/256 of the whole",
        note: "bit for bit the published rule",
    },
    Row {
        operation: "word softmax",
        f32_bound: 1.0,
        f64_bound: f64::NAN,
        unit: "2^-12 of the whole",
        note: "bit for bit the published rule",
    },
    Row {
        operation: "linear recurrence",
        f32_bound: 1.0,
        f64_bound: 1.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of (16 + tokens) sum_i |q_i| S",
        note: "S: the same state of magnitudes alone, or, where a rule subtracts, the greatest |S| and |v| so far",
    },
    Row {
        operation: "chunks",
        f32_bound: 2.0,
        f64_bound: 2.0,
        unit: "as linear recurrence",
        note: "the chunkwise form, chunks of 1 to 64 tokens",
    },
    Row {
        operation: "mesa",
        f32_bound: 1.0,
        f64_bound: 1.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of (16 + tokens) (1 + trace H / ridge) sum |q| max |G| / ridge",
        note: "ridge: the least of its elements; iterated to the end",
    },
    Row {
        operation: "merge of recurrences",
        f32_bound: 1.0,
        f64_bound: 1.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of (16 + tokens) S",
        note: "each element of the state, beside the state of all steps",
    },
    Row {
        operation: "feature maps",
        f32_bound: 1.5,
        f64_bound: 1.5,
        unit: "ULP",
        note: "elu + 1, relu and the Taylor features",
    },
    Row {
        operation: "attention",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of max |v| (1 + max_j |scale| sum |q k_j|)",
        note: "any number of keys",
    },
    Row {
        operation: "attention log-sum-exp",
        f32_bound: 3.0,
        f64_bound: 3.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of 1 + |result| + max_j |scale| sum |q k_j|",
        note: "any number of keys",
    },
    Row {
        operation: "attention with scores",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of max |v| (1 + max_j (|scale| sum |q k_j| + sum |biases|))",
        note: "any map of scores that the crate has, any view; log-sum-exps as well, with |result| more",
    },
    Row {
        operation: "attention vjp",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of (1 + max_j |scale| sum |q k_j| + sum |biases| + |lse|) \
               times the gradient with max |v| sum |g| in place of g . v - g . o, and max |k|, sum of max |q|, \
               sum of max |g| over the heads",
        note: "",
    },
    Row {
        operation: "eight-bit cache",
        f32_bound: 0.504,
        f64_bound: f64::NAN,
        unit: "max |x| / 127 of the vector",
        note: "one element, stored and read",
    },
    Row {
        operation: "latent attention",
        f32_bound: 2.0,
        f64_bound: 2.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of max_j sum |V c_j| (1 + max_j |scale| (sum |q K c_j| + sum |p r_j|))",
        note: "absorbed and expanded; any number of keys, and against each other; 0.67 seen",
    },
    Row {
        operation: "latent layer",
        f32_bound: 16.0,
        f64_bound: 16.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of the greatest output",
        note: "the golden layers from hidden vectors on: projections, norms, rotation, both forms",
    },
    Row {
        operation: "merge of outputs",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of max |o| (1 + max |lse|), and of 1 + |lse|",
        note: "the inputs taken as exact",
    },
    Row {
        operation: "online softmax",
        f32_bound: 64.0,
        f64_bound: 64.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of max |v|",
        note: "up to 4096 keys in one state",
    },
    Row {
        operation: "rwkv4",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of max |v|",
        note: "keys of any size, up to 128 tokens, 3.9 seen; eight times that up to 4096",
    },
    Row {
        operation: "causal convolution",
        f32_bound: 1.0,
        f64_bound: 1.0,
        unit: "units of rounding of |bias| + sum |w x|",
        note: "plus one for every weight, and five with silu",
    },
    Row {
        operation: "selective scan",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of the sum of the sizes of all terms",
        note: "each counted 1 + its age in steps + |its exponent| times; outputs and states, up to 40 numbers a channel; 5.5 seen",
    },
    Row {
        operation: "rope frequencies",
        f32_bound: 0.51,
        f64_bound: 8192.0,
        unit: "2^-64 (f32) or 2^-128 (f64) turns",
        note: "base^(-2i/R) / (2 pi) for any f64 base",
    },
    Row {
        operation: "rope scaling",
        f32_bound: 0.51,
        f64_bound: 274_877_906_944.0,
        unit: "2^-64 (f32) or 2^-128 (f64) turns",
        note: "every scaling of the frequencies of a base, for its exact parameters",
    },
    Row {
        operation: "query scale",
        f32_bound: 2.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64), relative",
        note: "log n and by steps",
    },
    Row {
        operation: "rope tables",
        f32_bound: 1.0,
        f64_bound: 1.25,
        unit: "2^-24 (f32) or 2^-53 (f64), absolute",
        note: "sine and cosine at every position; seen 0.78 and 1.11",
    },
    Row {
        operation: "rope tables at a temperature",
        f32_bound: 2.5,
        f64_bound: 2.75,
        unit: "2^-24 (f32) or 2^-53 (f64) of the temperature, absolute",
        note: "a temperature other than one, which is rounded to the number type first",
    },
    Row {
        operation: "rope tables by rotor",
        f32_bound: 0.51,
        f64_bound: f64::NAN,
        unit: "2^-24, absolute",
        note: "sine and cosine at every position",
    },
    Row {
        operation: "rope tables by micromath",
        f32_bound: 1.13,
        f64_bound: f64::NAN,
        unit: "2^-10, absolute",
        note: "a choice by a type parameter, feature micromath; 1.117 seen",
    },
    Row {
        operation: "rope",
        f32_bound: 3.0,
        f64_bound: 3.0,
        unit: "2^-24 (f32) or 2^-53 (f64), relative to the length of the pair",
        note: "one rotation",
    },
    Row {
        operation: "rope at a temperature",
        f32_bound: 4.5,
        f64_bound: 4.5,
        unit: "2^-24 (f32) or 2^-53 (f64), relative to the length of the pair times the temperature",
        note: "one rotation",
    },
    Row {
        operation: "xpos",
        f32_bound: 6.0,
        f64_bound: 6.0,
        unit: "2^-24 (f32) or 2^-53 (f64), relative to the length of the scaled pair",
        note: "one rotation, while the factor stays in the range of numbers",
    },
    Row {
        operation: "rope score",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "2^-24 (f32) or 2^-53 (f64), relative to the product of the lengths",
        note: "dot product of two rotated heads, summed exactly",
    },
    Row {
        operation: "matrix product",
        f32_bound: 7.0,
        f64_bound: 7.0,
        unit: "units of rounding of sum |W x|",
        note: "plus one for every sixteen columns",
    },
    Row {
        operation: "transposed matrix product",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "units of rounding of sum |x W|",
        note: "plus one for every eight rows",
    },
    Row {
        operation: "rms_norm",
        f32_bound: 3.5,
        f64_bound: 3.5,
        unit: "ULP",
        note: "squares neither overflow nor vanish beside epsilon",
    },
    Row {
        operation: "layer_norm",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |g| max |x| / sqrt(variance + epsilon) + |b|",
        note: "squares that do not overflow; groups alike",
    },
    Row {
        operation: "gated_silu",
        f32_bound: 5.0,
        f64_bound: 5.0,
        unit: "ULP",
        note: "results in the normal range",
    },
    Row {
        operation: "logits of a small model",
        f32_bound: 2e-5,
        f64_bound: f64::NAN,
        unit: "absolute",
        note: "whole forward passes of stories260K, GlassLLM and the embedded model",
    },
    Row {
        operation: "first logits after a permutation to half-split pairs",
        f32_bound: 1e-5,
        f64_bound: f64::NAN,
        unit: "absolute",
        note: "stories260K, 32 positions, logits up to 20: scores add in another order; 1.3e-5 over 256",
    },
    elementary(
        "exp",
        1.0,
        "swept: 0.904 ULP at 0xc28b4183, fused 0.883; f64: points computed with mpmath",
    ),
    elementary(
        "exp_m1",
        1.0,
        "swept: 0.974 ULP at 0x3eb40933, fused 0.865; f64: points computed with mpmath",
    ),
    elementary(
        "ln",
        1.0,
        "swept: 0.840 ULP at 0x3fb4e79f, fused 0.840; f64: points computed with mpmath",
    ),
    elementary(
        "ln_1p",
        1.0,
        "swept: 0.840 ULP at 0x3ed39e7c, fused 0.840; f64: points computed with mpmath",
    ),
    elementary(
        "sin",
        1.0,
        "swept: 0.810 ULP at 0x492cb268, fused 0.782; f64: points computed with mpmath",
    ),
    elementary(
        "cos",
        1.0,
        "swept: 0.802 ULP at 0x4d698dfb, fused 0.782; f64: points computed with mpmath",
    ),
    elementary(
        "sin_pi",
        1.0,
        "swept: 1.000 ULP at 0x00216600, fused 1.000; f64: points computed with mpmath",
    ),
    elementary(
        "cos_pi",
        1.0,
        "swept: 0.792 ULP at 0x3e802719, fused 0.772; f64: points computed with mpmath",
    ),
    elementary(
        "tanh",
        1.5,
        "swept: 1.324 ULP at 0x3f208aab, fused 1.324; f64: points computed with mpmath",
    ),
    elementary(
        "sigmoid",
        1.5,
        "swept: 1.104 ULP at 0xc0e7975c, fused 1.104; f64: points computed with mpmath",
    ),
    elementary(
        "softplus",
        1.5,
        "swept: 1.075 ULP at 0x3eb16a17, fused 1.071; f64: points computed with mpmath",
    ),
    elementary(
        "erf",
        1.5,
        "swept: 1.263 ULP at 0x3f7e9c9a, fused 0.991; f64: points computed with mpmath",
    ),
    elementary(
        "erfc",
        1.5,
        "swept: 1.334 ULP at 0x3ef54cec, fused 1.243; f64: points computed with mpmath",
    ),
    Row {
        operation: "lora",
        f32_bound: 16.0,
        f64_bound: 16.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |y| + s |B| |A| |x|",
        note: "beside (inputs + rank)/16",
    },
    Row {
        operation: "lora sum",
        f32_bound: 16.0,
        f64_bound: 16.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |y| + sum s |B| |A| |x|",
        note: "beside (inputs + rank)/16, for each adapter",
    },
    Row {
        operation: "vera",
        f32_bound: 16.0,
        f64_bound: 16.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |y| + l |B| d |A| |x|",
        note: "beside (inputs + rank)/16",
    },
    Row {
        operation: "dora",
        f32_bound: 24.0,
        f64_bound: 24.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of m / norm (|y| + s |B| |A| |x|)",
        note: "beside (inputs + rank)/16; a norm of the length of |W| + s |B| |A|",
    },
    Row {
        operation: "ia3",
        f32_bound: 0.5,
        f64_bound: 0.5,
        unit: "ULP",
        note: "one multiplication",
    },
    Row {
        operation: "merge",
        f32_bound: 10.0,
        f64_bound: 10.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |w| + s |B| |A|",
        note: "beside rank/8, then half a unit of the type that weights are kept in",
    },
    Row {
        operation: "lora vjp",
        f32_bound: 20.0,
        f64_bound: 20.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of the same expression in magnitudes",
        note: "beside (inputs + outputs + rank)/8; Vera's as well",
    },
    Row {
        operation: "lora vjp by differences",
        f32_bound: f64::NAN,
        f64_bound: 1e-9,
        unit: "absolute, of the same expression in magnitudes",
        note: "central differences of <dy, y>, which is linear in each factor",
    },
    Row {
        operation: "optimizer step",
        f32_bound: 2.0,
        f64_bound: 2.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of |p| + 8 |step|; the means of twice their summands",
        note: "SGD, sign-SGD, Adam, AdamW; the state taken as exact; the step with the mean's summands in magnitude",
    },
    Row {
        operation: "initial factors",
        f32_bound: 1.5,
        f64_bound: 90.0,
        unit: "ULP; f64: 2^-53 of the larger of a tenth of the deviation and the result",
        note: "of the quantile of the word times the deviation",
    },
    Row {
        operation: "toy step",
        f32_bound: f64::NAN,
        f64_bound: 8.0,
        unit: "2^-53 of |f| before and after and of the three parts, beside the lengths of a sum",
        note: "d1 + d2 + d3 is what a step changes",
    },
    Row {
        operation: "bytes to unit",
        f32_bound: 0.5001,
        f64_bound: 1.0,
        unit: "ULP",
        note: "one rounding; f64 against a quotient of f64; all 256 come back",
    },
    Row {
        operation: "ddpm",
        f32_bound: 8.0,
        f64_bound: 8.0,
        unit: "ULP of each coefficient, of A_t times 1 - ln A_t; x in 2^-24 (f32) or 2^-53 (f64) of its terms",
        note: "up to 1000 steps",
    },
    Row {
        operation: "similarity of a base",
        f32_bound: f64::NAN,
        f64_bound: 1.0,
        unit: "absolute, of R (1e-13 + 2e-15 m)",
        note: "R rotated elements, distance m",
    },
    Row {
        operation: "smallest base",
        f32_bound: f64::NAN,
        f64_bound: 2e-9,
        unit: "relative",
        note: "and the ends of intervals; where the sum only touches zero its rounding moves the place",
    },
    Row {
        operation: "cosine integral",
        f32_bound: f64::NAN,
        f64_bound: 1e-15,
        unit: "absolute, of 1 + |ln x|",
        note: "positive arguments",
    },
    Row {
        operation: "Fourier density",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of n sqrt(p) s + p (4 + |ln decay|), times the slope of the map",
        note: "n coefficients, s = sum |a| / sqrt(2 sum |a|^2); the same bits for one point and for many",
    },
    Row {
        operation: "Fourier density, logarithm",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "the density's unit over the density, and 1 ULP of 1 + |ln p| + |ln slope|",
        note: "where the density is eight times its unit",
    },
    Row {
        operation: "Fourier density, cumulative",
        f32_bound: 2.0,
        f64_bound: 2.0,
        unit: "ULP",
        note: "of one point; also where it is small and where the density vanishes",
    },
    Row {
        operation: "Fourier density, cumulative of many",
        f32_bound: 2.0,
        f64_bound: 2.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of n + 4, absolute",
        note: "n coefficients",
    },
    Row {
        operation: "Fourier density, quantile",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "ULP of u, by which the cumulative is off beyond half a step to the next number",
        note: "it does not fall where u rises; up to 4096 lengths of the domain from zero",
    },
    Row {
        operation: "Fourier density, probability",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of n^2 times the length on the period, and of 60 times the result",
        note: "n coefficients; intervals however short",
    },
    Row {
        operation: "Fourier density, characteristic",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64), absolute",
        note: "",
    },
    Row {
        operation: "Fourier density, entropy",
        f32_bound: f64::NAN,
        f64_bound: 1e-4,
        unit: "nats",
        note: "entropy and divergence, up to 17 coefficients with 600 nodes; 2e-7 seen with a zero, 3e-5 with twelve",
    },
    Row {
        operation: "Fourier density, likelihood",
        f32_bound: 4.0,
        f64_bound: 4.0,
        unit: "2^-24 (f32) or 2^-53 (f64) of (1 + |value|) (m + 8 n)",
        note: "m points, n coefficients",
    },
    Row {
        operation: "Fourier density, gradient",
        f32_bound: f64::NAN,
        f64_bound: 1e-8,
        unit: "absolute",
        note: "against differences of the value",
    },
    Row {
        operation: "Fourier density, fit",
        f32_bound: 0.002,
        f64_bound: 0.002,
        unit: "nats above the best of several reference fits",
        note: "classic data sets with 4, 8 and 16 coefficients",
    },
    Row {
        operation: "Fourier density, mixture",
        f32_bound: 0.01,
        f64_bound: 0.01,
        unit: "nats",
        note: "on points held out, above the loss of the mixture that they come from",
    },
];

/// Returns the row of a function of one argument.
const fn elementary(operation: &'static str, ulp: f64, note: &'static str) -> Row {
    Row {
        operation,
        f32_bound: ulp,
        f64_bound: ulp,
        unit: "ULP",
        note,
    }
}

/// Returns the row of an operation.
pub(crate) fn row(operation: &str) -> &'static Row {
    TABLE
        .iter()
        .find(|row| row.operation == operation)
        .unwrap_or_else(|| panic!("no row {operation:?} in the accuracy table"))
}

/// Returns the bound of an operation in `f32`.
pub(crate) fn bound32(operation: &str) -> f64 {
    row(operation).f32_bound
}

/// Returns the bound of an operation in `f64`.
pub(crate) fn bound64(operation: &str) -> f64 {
    row(operation).f64_bound
}

/// A floating-point type whose units in the last place can be counted.
pub(crate) trait Ulp: Copy + PartialEq + core::fmt::Debug {
    /// The unit in the last place of the number nearest to `x`.
    fn ulp(x: f64) -> f64;
    /// The value in `f64`.
    fn value(self) -> f64;
}

impl Ulp for f32 {
    fn ulp(x: f64) -> f64 {
        let x = (x.abs() as Self).clamp(Self::MIN_POSITIVE, Self::MAX / 2.0);
        f64::from(Self::from_bits(x.to_bits() + 1)) - f64::from(x)
    }
    fn value(self) -> f64 {
        self.into()
    }
}

impl Ulp for f64 {
    fn ulp(x: f64) -> f64 {
        let x = x.abs().clamp(Self::MIN_POSITIVE, Self::MAX / 2.0);
        Self::from_bits(x.to_bits() + 1) - x
    }
    fn value(self) -> f64 {
        self
    }
}

/// Returns the error of `got` against `want + low` in units in the last place, of at least `floor`.
pub(crate) fn ulps<T: Ulp>(got: T, want: f64, low: f64, floor: f64) -> f64 {
    let got = got.value();
    if got == want || got.is_nan() && want.is_nan() {
        return (low / T::ulp(want.abs().max(floor))).abs();
    }
    ((got - want) - low).abs() / T::ulp(want.abs().max(floor))
}

/// Returns the error of `got` in units in the last place of `want`. Beyond the greatest `f32`, infinity
/// counts as the next number.
pub(crate) fn single_error(got: f32, want: f64) -> f64 {
    if want.is_nan() || got.is_nan() {
        return if want.is_nan() && got.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if got.is_infinite() || want.is_infinite() {
        let next = 2.0_f64.powi(128);
        let clamped = |y: f64| y.clamp(-next, next);
        return (clamped(f64::from(got)) - clamped(want)).abs() / 2.0_f64.powi(104);
    }
    let exponent = ((want.abs().to_bits() >> 52) as i32 - 1023).clamp(-126, 127);
    let ulp = f64::from_bits(((exponent - 23 + 1023) as u64) << 52);
    (f64::from(got) - want).abs() / ulp
}
