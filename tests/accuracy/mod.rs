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
