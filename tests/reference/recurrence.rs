//! Linear recurrences as their formulas are written: one head, one step, `f64`.
//!
//! A state is `[key][value]`, row after row; every function changes it and returns the output.
#![allow(dead_code, reason = "each test binary uses its own part")]

/// Returns the element i, j of a product of a matrix with the vectors around it: sum of q_i S_ij.
fn read(s: &[f64], q: &[f64]) -> Vec<f64> {
    let columns = s.len() / q.len();
    (0..columns)
        .map(|j| (0..q.len()).map(|i| q[i] * s[i * columns + j]).sum())
        .collect()
}

/// S = diag(g) S + k v^T; returns S^T q.
pub(crate) fn linear(s: &mut [f64], g: &[f64], k: &[f64], v: &[f64], q: &[f64]) -> Vec<f64> {
    for i in 0..k.len() {
        for j in 0..v.len() {
            let s = &mut s[i * v.len() + j];
            *s = g[i] * *s + k[i] * v[j];
        }
    }
    read(s, q)
}

/// S = diag(g) S, then S = S + beta k (v - S^T k)^T; returns S^T q.
pub(crate) fn delta(
    s: &mut [f64],
    g: &[f64],
    beta: f64,
    k: &[f64],
    v: &[f64],
    q: &[f64],
) -> Vec<f64> {
    for i in 0..k.len() {
        for j in 0..v.len() {
            s[i * v.len() + j] *= g[i];
        }
    }
    let found = read(s, k);
    for i in 0..k.len() {
        for j in 0..v.len() {
            s[i * v.len() + j] += beta * k[i] * (v[j] - found[j]);
        }
    }
    read(s, q)
}

/// Returns (S + diag(u) k v^T)^T r, then S = diag(w) S + k v^T.
pub(crate) fn rwkv6(
    s: &mut [f64],
    w: &[f64],
    u: &[f64],
    k: &[f64],
    v: &[f64],
    r: &[f64],
) -> Vec<f64> {
    let with_bonus: Vec<f64> = (0..s.len())
        .map(|at| s[at] + u[at / v.len()] * k[at / v.len()] * v[at % v.len()])
        .collect();
    linear(s, w, k, v, r);
    read(&with_bonus, r)
}

/// S = diag(w) S + b (S^T a)^T + k v^T; returns S^T r.
pub(crate) fn rwkv7(
    s: &mut [f64],
    w: &[f64],
    (a, b): (&[f64], &[f64]),
    k: &[f64],
    v: &[f64],
    r: &[f64],
) -> Vec<f64> {
    let found = read(s, a);
    for i in 0..k.len() {
        for j in 0..v.len() {
            let s = &mut s[i * v.len() + j];
            *s = w[i] * *s + b[i] * found[j] + k[i] * v[j];
        }
    }
    read(s, r)
}

/// S = exp(dt A) S + dt B x^T; returns S^T C + D x.
pub(crate) fn ssd(
    s: &mut [f64],
    (rate, skip, dt): (f64, f64, f64),
    b: &[f64],
    c: &[f64],
    x: &[f64],
) -> Vec<f64> {
    let keep = vec![(dt * rate).exp(); b.len()];
    let written: Vec<f64> = x.iter().map(|x| dt * x).collect();
    let read = linear(s, &keep, b, &written, c);
    read.iter().zip(x).map(|(y, x)| y + skip * x).collect()
}

/// Returns x with (h + diag(ridge)) x = q, by elimination with the largest pivot.
pub(crate) fn solve(h: &[f64], ridge: &[f64], q: &[f64]) -> Vec<f64> {
    let n = q.len();
    let mut a: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut row = h[i * n..][..n].to_vec();
            row[i] += ridge[i];
            row.push(q[i]);
            row
        })
        .collect();
    for i in 0..n {
        let pivot = (i..n)
            .max_by(|&r, &s| a[r][i].abs().total_cmp(&a[s][i].abs()))
            .expect("a row");
        a.swap(i, pivot);
        let (above, below) = a.split_at_mut(i + 1);
        let pivot = &above[i];
        for row in below {
            let factor = row[i] / pivot[i];
            for (x, p) in row.iter_mut().zip(pivot).skip(i) {
                *x -= factor * p;
            }
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|c| a[i][c] * x[c]).sum();
        x[i] = (a[i][n] - known) / a[i][i];
    }
    x
}

/// G = g G + beta k v^T and H = g H + beta k k^T; returns G^T (H + diag(ridge))^-1 q.
pub(crate) fn mesa(
    (g, h): (&mut [f64], &mut [f64]),
    (keep, beta): (f64, f64),
    ridge: &[f64],
    k: &[f64],
    v: &[f64],
    q: &[f64],
) -> Vec<f64> {
    let written: Vec<f64> = v.iter().map(|v| beta * v).collect();
    linear(g, &vec![keep; k.len()], k, &written, q);
    let written: Vec<f64> = k.iter().map(|k| beta * k).collect();
    linear(h, &vec![keep; k.len()], k, &written, q);
    read(g, &solve(h, ridge, q))
}
