//! Densities of one variable: evaluated, inverted, fitted to data and turned into the integers of a coder.
//!
//! [`FourierDensity`] is a truncated Fourier series that is the square of another, so that it is never
//! negative and integrates to one whatever its coefficients (De la Fuente, Singh and Ballé, 2024, "Fourier
//! basis density model", arXiv 2402.15345; Su Jianlin, kexue.fm/archives/10007): every continuous density of
//! a period comes as close as it has coefficients. A [`Domain`] brings the period to an interval, a circle,
//! the line or half of it.
//!
//! * **Evaluation**: density, its logarithm, cumulative and quantile behind the trait [`Density1d`], one point
//!   at a time or many.
//! * **Fitting**: [`Likelihood`] has the mean negative log-likelihood and its exact gradient, [`Adam`] and
//!   [`Lbfgs`] are the optimizers, and [`Fit`] puts them together.
//! * **Coding**: [`CoderTable`] is the cumulative distribution of an alphabet in integers that add up to a
//!   power of two, the same on every machine, for a range coder or ANS.
//!
//! # Sign
//!
//! p(x) = |sum_k a_k exp(-i pi k x)|^2 / (2 sum |a_k|^2), the article's sign. Programs that correlate the other
//! way around (google/codex) have the conjugate coefficients, which mirror the density.

mod adam;
#[cfg(feature = "constriction")]
mod coding;
mod domain;
mod double;
mod exact;
mod fit;
mod fourier;
mod lbfgs;
mod likelihood;
mod many;
mod measure;
mod quantile;
mod roughness;
mod sample;
mod series;
mod table;

pub use adam::Adam;
#[cfg(feature = "constriction")]
pub use coding::CoderModel;
pub use domain::Domain;
pub use fit::Fit;
pub use fourier::FourierDensity;
pub use lbfgs::{Lbfgs, Progress};
pub use likelihood::Likelihood;
pub use sample::Sample;
pub use table::{Bins, CoderTable};

use crate::Error;
use crate::error::check_len;

/// A density of one variable with its cumulative distribution and the inverse of that.
///
/// Implementors promise a density that is nowhere negative, a cumulative within \[0, 1\], and a quantile that
/// does not fall where its argument rises. NaN gives NaN; a quantile outside \[0, 1\] is NaN. The forms `*_into`
/// work on many points, and may round differently from the forms for one; a refused call writes nothing.
pub trait Density1d<T: Copy> {
    /// Returns the density at `y`, zero outside of the domain.
    fn density(&self, y: T) -> T;

    /// Returns the natural logarithm of the density, minus infinity where that is zero.
    fn ln_density(&self, y: T) -> T;

    /// Returns the probability of what is below `y`.
    fn cumulative(&self, y: T) -> T;

    /// Returns the point below which lies probability `u`.
    fn quantile(&self, u: T) -> T;

    /// Writes the density at each point.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` is not as long as `y`.
    fn density_into(&self, y: &[T], out: &mut [T]) -> Result<(), Error> {
        each(y, out, |y| self.density(y))
    }

    /// Writes the logarithm of the density at each point.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` is not as long as `y`.
    fn ln_density_into(&self, y: &[T], out: &mut [T]) -> Result<(), Error> {
        each(y, out, |y| self.ln_density(y))
    }

    /// Writes the probability of what is below each point.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` is not as long as `y`.
    fn cumulative_into(&self, y: &[T], out: &mut [T]) -> Result<(), Error> {
        each(y, out, |y| self.cumulative(y))
    }

    /// Writes the point of each probability.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `out` is not as long as `u`.
    fn quantile_into(&self, u: &[T], out: &mut [T]) -> Result<(), Error> {
        each(u, out, |u| self.quantile(u))
    }
}

/// Writes a function of each element.
fn each<T: Copy>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) -> Result<(), Error> {
    check_len(x.len(), out.len())?;
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
    Ok(())
}
