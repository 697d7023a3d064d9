//! Rotary position encoding by its definition.

use super::wide::Wide;

/// Frequencies as `tests/golden/rope.py` wrote them: a base, and turns in units of 2^-128.
pub(crate) fn frequencies() -> Vec<(f64, Vec<u128>)> {
    include_str!("../golden/rope.txt")
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let base = words.next().expect("a base").parse().expect("a base");
            (
                base,
                words
                    .map(|w| u128::from_str_radix(w, 16).expect("turns"))
                    .collect(),
            )
        })
        .collect()
}

/// Returns sine and cosine of the angle of a frequency at a position, to about 30 digits.
pub(crate) fn sin_cos(turns: u128, position: i32) -> (Wide, Wide) {
    sin_cos_of(turns.wrapping_mul(i128::from(position) as u128))
}

/// Returns sine and cosine of the angle of a frequency at a place in units of 2^-32.
pub(crate) fn sin_cos_at(turns: u128, place: i64) -> (Wide, Wide) {
    // The frequency lies within half a turn of zero; its halves times the place, shifted together.
    let (high, low) = ((turns as i128) >> 64, turns as u64);
    let high = high * i128::from(place);
    let low = i128::from(low) * i128::from(place);
    sin_cos_of((high << 32).wrapping_add(low >> 32) as u128)
}

/// Returns sine and cosine of an angle in units of 2^-128 turns, to about 30 digits.
fn sin_cos_of(angle: u128) -> (Wide, Wide) {
    // Nearest quarter of a turn, and the rest in units of 2^-128 turns.
    let quarter = angle.wrapping_add(1 << 125) >> 126;
    let rest = angle.wrapping_sub(quarter << 126) as i128;
    let unit = (2.0_f64).powi(-128);
    let high = (rest >> 64) as f64 * (2.0_f64).powi(64);
    let low = rest - high as i128;
    let part = Wide {
        high: high * unit,
        low: 0.0,
    } + Wide {
        high: low as f64 * unit,
        low: 0.0,
    };
    let tau = Wide {
        high: core::f64::consts::TAU,
        low: 2.449_293_598_294_706_4e-16,
    };
    let x = part * tau;
    let (mut sin, mut cos, mut term) = (Wide::from(0.0), Wide::from(0.0), Wide::from(1.0));
    for n in 0..32 {
        let sign = if n % 4 < 2 { 1.0 } else { -1.0 };
        let sum = if n % 2 == 0 { &mut cos } else { &mut sin };
        *sum = *sum + term * sign.into();
        term = (term * x).over(f64::from(n + 1).into());
    }
    let minus = Wide::from(-1.0);
    match quarter & 3 {
        0 => (sin, cos),
        1 => (cos, sin * minus),
        2 => (sin * minus, cos * minus),
        _ => (cos * minus, sin),
    }
}

/// Rotates one head by the angles whose sines and cosines are given, one of each a pair.
pub(crate) fn rotate(x: &[f64], sin_cos: &[(Wide, Wide)], interleaved: bool) -> Vec<Wide> {
    let mut y: Vec<Wide> = x.iter().map(|&x| x.into()).collect();
    for (i, &(sin, cos)) in sin_cos.iter().enumerate() {
        let (a, b) = if interleaved {
            (2 * i, 2 * i + 1)
        } else {
            (i, i + sin_cos.len())
        };
        y[a] = cos * x[a].into() - sin * x[b].into();
        y[b] = cos * x[b].into() + sin * x[a].into();
    }
    y
}
