//! Joins finished attention outputs by their log-sum-exps.

use super::online::weight;
use super::state::{Head, Reference};
use crate::Error;
use crate::error::check_len;
use crate::scalar::Scalar;

/// Joins the outputs of attention over other keys into `out` and `lse`.
///
/// o = (o1 exp(lse1) + o2 exp(lse2)) / exp(lse) and lse = ln(exp(lse1) + exp(lse2)), with natural
/// logarithms, one for each head. This is the exchange format of kernels that know nothing of each
/// other; [`OnlineSoftmax`](super::OnlineSoftmax) and its merge lose less, because nothing is
/// divided before the end. Juravsky et al. (2024), arXiv 2402.05099.
///
/// * **Domain:** a log-sum-exp of minus infinity means no key, and its output is not looked at; if
///   both are, the result is zeros and minus infinity. NaN gives NaN.
/// * **Accuracy:** the table's row `merge of outputs`.
///
/// ```
/// use suanzi::mixer::merge_outputs;
///
/// let (mut out, mut lse) = ([1.0, 0.0], [0.5]);
/// merge_outputs(&mut out, &mut lse, &[0.0, 1.0], &[0.5])?;
/// assert_eq!(out, [0.5, 0.5]);
/// # Ok::<(), suanzi::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Multiple`] if `out` has not as many elements for each head, [`Error::Length`] if the
/// other side has other lengths.
pub fn merge_outputs<T: Scalar>(
    out: &mut [T],
    lse: &mut [T],
    other_out: &[T],
    other_lse: &[T],
) -> Result<(), Error> {
    check_len(lse.len(), other_lse.len())?;
    check_len(out.len(), other_out.len())?;
    let (of, found) = (lse.len(), out.len());
    let dim = found.checked_div(of).unwrap_or(0);
    if dim * of != found {
        return Err(Error::Multiple { of, found });
    }
    let outs = out
        .chunks_exact_mut(dim.max(1))
        .zip(other_out.chunks_exact(dim.max(1)));
    for ((out, other), (lse, &other_lse)) in outs.zip(lse.iter_mut().zip(other_lse)) {
        let [a, b] = [*lse, other_lse].map(Reference::of);
        let (p, q) = (weight(a, *lse), weight(b, other_lse));
        let (reference, f, g) = a.join(b);
        let (p, q) = (p * f, q * g);
        let head = Head {
            reference,
            sum: p + q,
        };
        let none = |lse| lse == T::NEG_INFINITY;
        for (x, &y) in out.iter_mut().zip(other) {
            let joined = match (none(*lse), none(other_lse)) {
                (true, true) => T::ZERO,
                (true, false) => y,
                (false, true) => *x,
                (false, false) => (p * *x + q * y) / (p + q),
            };
            *x = if joined == joined { joined } else { T::NAN };
        }
        *lse = head.log_sum_exp();
    }
    Ok(())
}
