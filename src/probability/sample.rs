//! Noise from the caller's random words, and what is chosen by it.

use super::{Logits, Noise, ProbabilityMap, Softmax};
use crate::Error;
use crate::error::{Parameter, check_len};
use crate::scalar::Scalar;

impl Noise {
    /// Returns the value that is exceeded with probability 1 - `u`: minus infinity at zero (zero for
    /// exponential noise), infinity at one, NaN outside.
    ///
    /// In `f32` within 0.51 ULP, in `f64` within 1e-14 of the larger of 0.1 and the result's magnitude;
    /// computed in `f64` through libm, the normal quantile by three steps of Halley's on the
    /// complementary error function.
    ///
    /// ```
    /// use suanzi::probability::Noise;
    ///
    /// assert_eq!(Noise::Logistic.quantile(0.75_f32), 1.0986123);
    /// assert_eq!(Noise::Normal.quantile(0.5_f32), 0.0);
    /// ```
    #[must_use]
    pub fn quantile<T: Scalar>(self, u: T) -> T {
        let u = u.wide();
        if (0.0..=1.0).contains(&u) {
            T::nearest(self.of(u, 1.0 - u))
        } else {
            T::NAN
        }
    }

    /// Returns a sample from a word of 32 uniform bits.
    ///
    /// The word stands for the middle of one of 2^32 equal parts of (0, 1), so that neither end
    /// occurs and both tails reach as far as 2^32 samples do: Gumbel noise from -3.13 to 22.9, where
    /// noise from a number of 24 bits would end at 16.6 or not at all.
    ///
    /// ```
    /// use suanzi::probability::Noise;
    ///
    /// let least: f32 = Noise::Gumbel.sample(0);
    /// let greatest: f32 = Noise::Gumbel.sample(u32::MAX);
    /// assert!(least < -3.12 && greatest > 22.8 && greatest < 23.0);
    /// ```
    #[must_use]
    pub fn sample<T: Scalar>(self, word: u32) -> T {
        const UNIT: f64 = 1.0 / (1_u64 << 32) as f64;
        let u = (f64::from(word) + 0.5) * UNIT;
        T::nearest(self.of(u, (f64::from(!word) + 0.5) * UNIT))
    }

    /// Returns the quantile of `u`, with its distance from one.
    fn of(self, u: f64, rest: f64) -> f64 {
        // -ln(u), exact at both ends.
        let minus_log = |u: f64, rest: f64| {
            if u < 0.5 {
                -libm::log(u)
            } else {
                -libm::log1p(-rest)
            }
        };
        match self {
            Self::Gumbel => -libm::log(minus_log(u, rest)),
            Self::Exponential => minus_log(rest, u),
            Self::Logistic => minus_log(rest, u) - minus_log(u, rest),
            Self::Normal if u < rest => -upper_normal(u),
            Self::Normal => upper_normal(rest),
        }
    }
}

/// Returns the z that the normal distribution exceeds with probability `tail`, at most one half.
fn upper_normal(tail: f64) -> f64 {
    if tail <= 0.0 {
        return f64::INFINITY;
    }
    if tail == 0.5 {
        return 0.0;
    }
    // Hastings (1955), 26.2.23 of Abramowitz and Stegun: within 4.5e-4.
    let t = libm::sqrt(-2.0 * libm::log(tail));
    let mut z = t
        - (2.515_517 + t * (0.802_853 + t * 0.010_328))
            / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    for _ in 0..3 {
        let at = z * core::f64::consts::FRAC_1_SQRT_2;
        // Close to the middle its distance has the digits.
        let excess = if tail > 0.25 {
            (0.5 - tail) - libm::erf(at) / 2.0
        } else {
            libm::erfc(at) / 2.0 - tail
        };
        let density = 0.398_942_280_401_432_7 * libm::exp(-0.5 * z * z);
        // Halley's step: the second derivative of the tail is z times its density.
        let step = excess / density;
        z += step / (1.0 + 0.5 * z * step);
    }
    z
}

/// Returns the words of a generator of the rand family, for the functions that take words.
///
/// ```
/// use suanzi::probability::{gumbel_max, words};
///
/// /// A generator for the example: take one from `rand` or from your processor.
/// struct Steps(u32);
///
/// impl rand_core::TryRng for Steps {
///     type Error = core::convert::Infallible;
///
///     fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
///         self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
///         Ok(self.0)
///     }
///     fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
///         rand_core::utils::next_u64_via_u32(self)
///     }
///     fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
///         rand_core::utils::fill_bytes_via_next_word(to, || self.try_next_u32())
///     }
/// }
///
/// let mut generator = Steps(7);
/// let place = gumbel_max(&[1.0_f32, 90.0, 1.0], words(&mut generator));
/// assert_eq!(place, Some(1));
/// ```
#[cfg(feature = "rand_core")]
pub fn words<R: rand_core::Rng + ?Sized>(generator: &mut R) -> impl FnMut() -> u32 + '_ {
    move || generator.next_u32()
}

/// Adds Gumbel noise to scores and takes the greatest: the place is drawn from the softmax of the
/// scores (Gumbel-max, Yellott, 1977); none if there is no finite score.
///
/// `word` gives 32 uniform bits for each element, in their order. Minus infinity is never drawn, NaN
/// neither; of several plus infinities the first is. Each element takes two logarithms in `f64`; no
/// scratch.
///
/// ```
/// use suanzi::probability::gumbel_max;
///
/// let mut words = [7_u32, 900_000_000, 4_000_000_000].into_iter();
/// let place = gumbel_max(&[1.0_f32, 1.0, 1.0], || words.next().unwrap_or(0));
/// assert_eq!(place, Some(2));
/// ```
#[must_use]
pub fn gumbel_max<T: Scalar>(x: &[T], mut word: impl FnMut() -> u32) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    for (i, &x) in x.iter().enumerate() {
        let noise: T = Noise::Gumbel.sample(word());
        let x = x + noise;
        if x > best.map_or(T::NEG_INFINITY, |best| best.1) {
            best = Some((i, x));
        }
    }
    best.map(|best| best.0)
}

/// Draws places without replacement, each from the softmax of the scores that are left (Gumbel-top-k,
/// Kool, van Hoof and Welling, 2019, arXiv:1903.06059), the first drawn first. Returns how many there
/// were: as many as `places` holds, or as there are scores above minus infinity.
///
/// `word` gives 32 uniform bits for each element, in their order. `keys` keeps the perturbed scores,
/// as long as `places`. Scores of minus infinity and NaN are left out; equal keys stay in their order.
/// Each element takes two logarithms in `f64` and up to a step for each place.
///
/// # Errors
///
/// [`Error::Length`] if `keys` is not as long as `places`.
///
/// ```
/// use suanzi::probability::gumbel_top_k;
///
/// let (mut places, mut keys) = ([0; 2], [0.0; 2]);
/// let count = gumbel_top_k(&[0.0_f32, 90.0, 60.0], || 1 << 31, &mut places, &mut keys)?;
/// assert_eq!((count, places), (2, [1, 2]));
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn gumbel_top_k<T: Scalar>(
    x: &[T],
    mut word: impl FnMut() -> u32,
    places: &mut [usize],
    keys: &mut [T],
) -> Result<usize, Error> {
    check_len(places.len(), keys.len())?;
    let mut count = 0;
    for (i, &x) in x.iter().enumerate() {
        let noise: T = Noise::Gumbel.sample(word());
        let key = x + noise;
        if key.is_nan() || key == T::NEG_INFINITY {
            continue;
        }
        // Insertion: equal keys stay in their order.
        let at = keys
            .iter()
            .take(count)
            .filter(|&&other| other >= key)
            .count();
        if at >= keys.len() {
            continue;
        }
        count = keys.len().min(count + 1);
        // What comes behind moves by one, and the last falls out.
        let (mut place, mut key) = (i, key);
        let behind = places.iter_mut().zip(keys.iter_mut()).take(count).skip(at);
        for (to, to_key) in behind {
            core::mem::swap(to, &mut place);
            core::mem::swap(to_key, &mut key);
        }
    }
    Ok(count)
}

/// Adds Gumbel noise to scores and maps them by the softmax of temperature `tau`: a point near the
/// corner that Gumbel-max would draw (Jang, Gu and Poole, 2016, arXiv:1611.01144). At zero it is that
/// corner.
///
/// `word` gives 32 uniform bits for each element, in their order. For the straight-through form take
/// the corner by [`argmax`](super::argmax) of the result forwards and the result itself backwards.
/// Infinities and NaN are those of the [`Softmax`], in the corner those of [`gumbel_max`], where nothing
/// drawn leaves zeros. The perturbed scores are rounded once, then the softmax is within 3 ULP.
///
/// # Errors
///
/// [`Error::Length`] if `out` has another length than `x`, [`Parameter::Temperature`] if `tau` is below
/// zero, not finite, or so close to zero that its reciprocal is not.
///
/// ```
/// use suanzi::probability::gumbel_softmax;
///
/// let mut corner = [0.5_f32; 3];
/// gumbel_softmax(&[0.0, 90.0, 60.0], 0.0, || 1 << 31, &mut corner)?;
/// assert_eq!(corner, [0.0, 1.0, 0.0]);
/// # Ok::<(), suanzi::Error>(())
/// ```
pub fn gumbel_softmax<T: Scalar>(
    x: &[T],
    tau: T,
    mut word: impl FnMut() -> u32,
    out: &mut [T],
) -> Result<(), Error> {
    check_len(x.len(), out.len())?;
    if !(tau >= T::ZERO && tau < T::INFINITY) {
        return Err(Error::Domain(Parameter::Temperature));
    }
    if tau == T::ZERO {
        let place = gumbel_max(x, word);
        out.fill(T::ZERO);
        if let Some(out) = place.and_then(|place| out.get_mut(place)) {
            *out = T::ONE;
        }
        return Ok(());
    }
    let scaled = Logits::new().scaled(T::ONE / tau);
    let logits = scaled.map_err(|_| Error::Domain(Parameter::Temperature))?;
    for (out, &x) in out.iter_mut().zip(x) {
        let noise: T = Noise::Gumbel.sample(word());
        *out = x + noise;
    }
    Softmax::new(logits).map_in_place(out)
}
