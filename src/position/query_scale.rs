//! Factors on queries that grow with the logarithm of their position.

use core::num::NonZero;

use super::Angle;
use super::fixed::{log2_of_integer, natural, ratio};
use crate::Error;
use crate::error::Parameter;

/// Returns the log n scale of a query that sees `tokens` tokens: ln `tokens` / ln `trained`, at least 1.
///
/// Multiplied with the query it keeps the entropy of attention about what it was at the length of
/// training, for models that were trained without it. Su 2021, kexue.fm 8823; Chiang and Cholak 2022,
/// arXiv 2202.12172. Within 2 units of rounding, by integer arithmetic: about sixty thousand
/// instructions. A query that sees nothing has scale one.
///
/// # Errors
///
/// [`Parameter::Context`] if `trained` is below two.
///
/// ```
/// use suanzi::position::log_n_scale;
///
/// assert_eq!(log_n_scale(100, 512), Ok(1.0_f32));
/// assert_eq!(log_n_scale(4096, 512), Ok(4.0_f32 / 3.0));
/// ```
pub fn log_n_scale<T: Angle>(tokens: u32, trained: u32) -> Result<T, Error> {
    match (NonZero::new(tokens), NonZero::new(trained)) {
        (_, None | Some(NonZero::<u32>::MIN)) => Err(Error::Domain(Parameter::Context)),
        (Some(tokens), Some(trained)) if tokens > trained => {
            let ratio = ratio(log2_of_integer(tokens), log2_of_integer(trained));
            Ok(T::from_units(ratio))
        }
        _ => Ok(T::ONE),
    }
}

/// Returns the temperature of a query by steps: 1 + `rate` ln(1 + floor((`position` + 1) / `step`)).
///
/// The scale on queries of the layers without rotation of Llama 4 (2025), which has `rate` 0.1 and
/// `step` 8192. Within 2 units of rounding for a rate of at least zero, by integer arithmetic and two
/// operations: about thirty thousand instructions.
///
/// # Errors
///
/// [`Parameter::Context`] if `step` is below two.
///
/// ```
/// use suanzi::position::step_scale;
///
/// assert_eq!(step_scale(8190, 8192, 0.1_f32), Ok(1.0));
/// assert_eq!(step_scale(8191, 8192, 0.1_f32), Ok(1.069_314_7));
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn step_scale<T: Angle>(position: u32, step: u32, rate: T) -> Result<T, Error> {
    if step < 2 {
        return Err(Error::Domain(Parameter::Context));
    }
    let steps = u64::from(position)
        .saturating_add(1)
        .checked_div(step.into());
    let steps = steps.and_then(|steps| u32::try_from(steps).ok());
    // At most 2^31 steps.
    let count = NonZero::<u32>::MIN.saturating_add(steps.unwrap_or(0));
    Ok(T::ONE + rate * T::from_units(natural(log2_of_integer(count))))
}
