//! Attention by its definition.

/// The shape of one attention: query heads, key/value heads, key and value elements, scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub query_heads: usize,
    pub kv_heads: usize,
    pub key_dim: usize,
    pub value_dim: usize,
    pub scale: f64,
}

/// What attention gives, and the size of the terms in its worst score.
pub(crate) struct Attended {
    pub out: Vec<f64>,
    pub lse: Vec<f64>,
    /// For each head the greatest |scale| * sum |q k| over the visible keys.
    pub magnitude: Vec<f64>,
}

/// Attends with one token's queries. `key(j, g)` and `value(j, g)` are the vectors of position j and
/// key/value head g; `visible(j)` says which positions count.
pub(crate) fn attend(
    shape: Shape,
    query: &[f64],
    positions: usize,
    key: impl Fn(usize, usize) -> Vec<f64>,
    value: impl Fn(usize, usize) -> Vec<f64>,
    visible: impl Fn(usize) -> bool,
) -> Attended {
    let score = |_, j, s| if visible(j) { s } else { f64::NEG_INFINITY };
    attend_with(shape, query, positions, (key, value), score, |_| {
        f64::NEG_INFINITY
    })
}

/// Attends as [`attend`], with `score(h, j, s)` in place of the scaled score s of query head h and
/// position j, where minus infinity hides the position, and `sink(h)` as one more score without value.
pub(crate) fn attend_with(
    shape: Shape,
    query: &[f64],
    positions: usize,
    (key, value): (
        impl Fn(usize, usize) -> Vec<f64>,
        impl Fn(usize, usize) -> Vec<f64>,
    ),
    score: impl Fn(usize, usize, f64) -> f64,
    sink: impl Fn(usize) -> f64,
) -> Attended {
    let mut attended = Attended {
        out: Vec::new(),
        lse: Vec::new(),
        magnitude: Vec::new(),
    };
    for h in 0..shape.query_heads {
        let g = h * shape.kv_heads / shape.query_heads;
        let q = &query[h * shape.key_dim..][..shape.key_dim];
        let (mut scores, mut values, mut magnitude) = (Vec::new(), Vec::new(), 0.0_f64);
        for j in 0..positions {
            let k = key(j, g);
            let dot: f64 = q.iter().zip(&k).map(|(q, k)| q * k).sum();
            let own = score(h, j, shape.scale * dot);
            if own == f64::NEG_INFINITY {
                continue;
            }
            let size: f64 = q.iter().zip(&k).map(|(q, k)| (q * k).abs()).sum();
            magnitude = magnitude.max(size * shape.scale.abs());
            scores.push(own);
            values.push(value(j, g));
        }
        if sink(h) > f64::NEG_INFINITY {
            scores.push(sink(h));
            values.push(vec![0.0; shape.value_dim]);
        }
        let (out, lse) = mean(&scores, values.into_iter(), shape.value_dim);
        attended.out.extend(out);
        attended.lse.push(lse);
        attended.magnitude.push(magnitude);
    }
    attended
}

/// The mean of `values` with weights exp(score), and ln of the sum of the weights.
pub(crate) fn mean(
    scores: &[f64],
    values: impl Iterator<Item = Vec<f64>>,
    dim: usize,
) -> (Vec<f64>, f64) {
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    if max == f64::NEG_INFINITY {
        return (vec![0.0; dim], max);
    }
    let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
    let mut out = vec![0.0; dim];
    for (s, v) in scores.iter().zip(values) {
        for (out, v) in out.iter_mut().zip(v) {
            *out += (s - max).exp() / sum * v;
        }
    }
    (out, max + sum.ln())
}

/// The gradients of sum_i g_i o_i for the output o of one query head: by its query, and by each key and
/// value. `derivative(j, s)` is that of the mapped score of position j by the scaled score s.
pub(crate) fn gradients(
    scale: f64,
    query: &[f64],
    keys: &[Vec<f64>],
    values: &[Vec<f64>],
    gradient: &[f64],
    (score, derivative): (impl Fn(usize, f64) -> f64, impl Fn(usize, f64) -> f64),
    sink: f64,
) -> (Vec<f64>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scaled: Vec<f64> = keys.iter().map(|k| scale * dot(query, k)).collect();
    let mapped: Vec<f64> = (0..keys.len()).map(|j| score(j, scaled[j])).collect();
    let max = mapped.iter().fold(sink, |m, &s| m.max(s));
    let sum = (sink - max).exp() + mapped.iter().map(|s| (s - max).exp()).sum::<f64>();
    let seen = |j: usize| mapped[j] > f64::NEG_INFINITY;
    let weight = |j: usize| (mapped[j] - max).exp() / sum;
    let mean: f64 = (0..keys.len())
        .filter(|&j| seen(j))
        .map(|j| weight(j) * dot(gradient, &values[j]))
        .sum();
    let mut by_query = vec![0.0; query.len()];
    let (mut by_keys, mut by_values) = (Vec::new(), Vec::new());
    for j in 0..keys.len() {
        if !seen(j) {
            by_keys.push(vec![0.0; query.len()]);
            by_values.push(vec![0.0; gradient.len()]);
            continue;
        }
        let slope =
            scale * weight(j) * (dot(gradient, &values[j]) - mean) * derivative(j, scaled[j]);
        for (to, k) in by_query.iter_mut().zip(&keys[j]) {
            *to += slope * k;
        }
        by_keys.push(query.iter().map(|q| slope * q).collect());
        by_values.push(gradient.iter().map(|g| weight(j) * g).collect());
    }
    (by_query, by_keys, by_values)
}
