//! The matrix states, one head after the other.

/// Version five: y = r (S + u k v), S = w S + k v, with receptance, key, value, decay and bonus.
pub(crate) fn five(head: usize, state: &mut [f32], inputs: [&[f32]; 5], y: &mut [f32]) {
    let heads = state
        .chunks_exact_mut(head * head)
        .zip(y.chunks_exact_mut(head));
    for (i, (state, y)) in heads.enumerate() {
        let [r, k, v, w, u] = inputs.map(|x| &x[i * head..][..head]);
        y.fill(0.0);
        for (i, row) in state.chunks_exact_mut(head).enumerate() {
            for ((s, v), y) in row.iter_mut().zip(v).zip(&mut *y) {
                *y += r[i] * (*s + u[i] * k[i] * v);
                *s = w[i] * *s + k[i] * v;
            }
        }
    }
}

/// Version seven: S = S diag(w) + (S a) b + v k, y = S r, with receptance, decay, key, value, a and b.
pub(crate) fn seven(head: usize, state: &mut [f32], inputs: [&[f32]; 6], y: &mut [f32]) {
    let heads = state
        .chunks_exact_mut(head * head)
        .zip(y.chunks_exact_mut(head));
    for (i, (state, y)) in heads.enumerate() {
        let [r, w, k, v, a, b] = inputs.map(|x| &x[i * head..][..head]);
        for ((row, v), y) in state.chunks_exact_mut(head).zip(v).zip(y) {
            let seen: f32 = row.iter().zip(a).map(|(s, a)| s * a).sum();
            for (((s, w), b), k) in row.iter_mut().zip(w).zip(b).zip(k) {
                *s = *s * w + seen * b + v * k;
            }
            *y = row.iter().zip(r).map(|(s, r)| s * r).sum();
        }
    }
}
