//! Sparsemax and entmax by their definitions, in double-double arithmetic.

use super::wide::Wide;

/// max(0, (alpha - 1) s - tau)^(1 / (alpha - 1)) with sum `radius`, with the room's conventions at the edges.
///
/// The threshold comes from bisection in `f64` and two steps of Newton's in double-double.
pub(crate) fn entmax(scores: &[f64], alpha: f64, radius: f64) -> Vec<Wide> {
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    let infinite = scores.iter().filter(|&&s| s == f64::INFINITY).count() as f64;
    if scores.iter().any(|s| s.is_nan()) {
        return vec![f64::NAN.into(); scores.len()];
    }
    if max.is_infinite() {
        let share = |&s: &f64| {
            if s == f64::INFINITY {
                1.0 / infinite
            } else {
                0.0
            }
        };
        return scores.iter().map(|s| share(s).into()).collect();
    }
    let beta = alpha - 1.0;
    let z: Vec<Wide> = scores
        .iter()
        .map(|&s| {
            if s == f64::NEG_INFINITY {
                s.into()
            } else {
                (Wide::from(s) - max.into()) * beta.into()
            }
        })
        .collect();
    let total = |tau: f64| -> f64 {
        let term = |z: &Wide| (z.high - tau).max(0.0).powf(1.0 / beta);
        z.iter().map(term).sum::<f64>() - radius
    };
    let (mut low, mut high) = (-radius.powf(beta), 0.0);
    for _ in 0..1100 {
        let middle = 0.5 * (low + high);
        if total(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let mut tau = Wide::from(low);
    for _ in 0..3 {
        let (mut excess, mut slope) = (Wide::from(-radius), 0.0);
        for &z in z.iter().filter(|z| (**z - tau).high > 0.0) {
            let u = z - tau;
            let p = power(u, beta);
            excess = excess + p;
            slope += p.high / u.high;
        }
        tau = tau + (beta * excess.high / slope).into();
    }
    z.iter()
        .map(|&z| {
            let u = z - tau;
            if u.high > 0.0 {
                power(u, beta)
            } else {
                0.0.into()
            }
        })
        .collect()
}

/// u^(1 / beta).
fn power(u: Wide, beta: f64) -> Wide {
    match beta {
        1.0 => u,
        0.5 => u * u,
        _ => u.ln().over(beta.into()).exp(),
    }
}

/// What top-k, then top-p, then min-p keep of scores with these probabilities; of equal ones the first.
pub(crate) fn kept(scores: &[Wide], p: &[f64], top_k: usize, top_p: f64, min_p: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| {
        (scores[b].high + 0.0)
            .total_cmp(&(scores[a].high + 0.0))
            .then(a.cmp(&b))
    });
    order.truncate(top_k);
    let whole: f64 = order.iter().map(|&i| p[i]).sum();
    let (mut sum, mut count) = (0.0, 0);
    for &i in &order {
        if top_p < 1.0 && sum >= top_p * whole {
            break;
        }
        sum += p[i];
        count += 1;
    }
    order.truncate(count);
    let mut kept = vec![false; p.len()];
    for &i in &order {
        kept[i] = p[i] > 0.0 && p[i] >= min_p * p[order[0]];
    }
    kept
}

/// u^(1 / (alpha - 1)) over its sum, for finite scores, with u = max(0, s - tau) and
/// sum u^(alpha / (alpha - 1)) = 1.
pub(crate) fn normmax(scores: &[f64], alpha: f64) -> Vec<Wide> {
    let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    let s: Vec<Wide> = scores.iter().map(|&s| Wide::from(s) - max.into()).collect();
    let exponent = alpha / (alpha - 1.0);
    let excess = |tau: Wide| -> f64 {
        let u = s.iter().map(|&s| s - tau).filter(|u| u.high > 0.0);
        let terms = u.map(|u| (u.ln() * exponent.into()).exp());
        terms.fold(Wide::from(-1.0), |a, b| a + b).high
    };
    let (mut low, mut high) = (Wide::from(-1.0), Wide::from(0.0));
    for _ in 0..100 {
        let middle = (low + high) * 0.5.into();
        if excess(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let raised: Vec<Wide> = s
        .iter()
        .map(|&s| match s - low {
            u if u.high > 0.0 => u.ln().over((alpha - 1.0).into()).exp(),
            _ => 0.0.into(),
        })
        .collect();
    let whole = raised.iter().fold(Wide::from(0.0), |a, &b| a + b);
    raised.iter().map(|r| r.over(whole)).collect()
}
