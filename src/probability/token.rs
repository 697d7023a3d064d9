//! The choice of one element: the most probable one, or one drawn by chance.

use super::list::FULL;
use super::threshold::max_and_nan;
use crate::Cpu;
use crate::cpu::dispatch;
use crate::scalar::Scalar;
use crate::simd::Isa;
use crate::simd::order::{Body, map_sum};

/// Returns the place of the greatest element, of equal ones the first; none if there is no element,
/// or one is NaN.
///
/// It is the limit of sampling at temperature zero. Infinities count as they are. Two passes, one
/// operation an element.
///
/// ```
/// use suanzi::{Cpu, probability::argmax};
///
/// assert_eq!(argmax(Cpu::default(), &[1.0_f32, 3.0, 3.0]), Some(1));
/// assert_eq!(argmax(Cpu::default(), &[1.0_f32, f32::NAN]), None);
/// ```
#[must_use]
pub fn argmax<T: Scalar>(cpu: Cpu, x: &[T]) -> Option<usize> {
    dispatch!(cpu, isa => first_greatest(isa, x))
}

/// [`argmax`] on an instruction set.
#[inline(always)]
fn first_greatest<S: Isa, T: Scalar>(isa: S, x: &[T]) -> Option<usize> {
    let (max, nan) = max_and_nan(isa, x);
    if nan {
        return None;
    }
    x.iter().position(|&x| x == max)
}

/// Returns the place at which the probabilities up to it exceed the share `uniform` of all; none if
/// they do not add up to a positive finite number.
///
/// With `uniform` from the uniform distribution over [0, 1), each place is drawn with its
/// probability: the inversion of the cumulative distribution (Devroye, 1986). The values need not add
/// up to one. A place of zero probability is never drawn; at and above one the last other place is,
/// at and below zero, and with NaN, the first.
///
/// Sums are in the portable order, 128 elements at a time, so that every instruction set draws the
/// same. Two passes, one addition an element.
///
/// ```
/// use suanzi::{Cpu, probability::draw};
///
/// let p = [0.25_f32, 0.0, 0.75];
/// assert_eq!(draw(Cpu::default(), &p, 0.2), Some(0));
/// assert_eq!(draw(Cpu::default(), &p, 0.25), Some(2));
/// assert_eq!(draw(Cpu::default(), &[0.0_f32; 2], 0.5), None);
/// ```
#[must_use]
pub fn draw<T: Scalar>(cpu: Cpu, p: &[T], uniform: T) -> Option<usize> {
    dispatch!(cpu, isa => invert(isa, p, uniform))
}

/// [`draw`] on an instruction set.
#[inline(always)]
fn invert<S: Isa, T: Scalar>(isa: S, p: &[T], uniform: T) -> Option<usize> {
    let total = sum(isa, p);
    if !(total > T::ZERO && total < T::INFINITY) {
        return None;
    }
    let target = uniform * total;
    let mut before = T::ZERO;
    for (block, part) in p.chunks(FULL).enumerate() {
        let through = before + sum(isa, part);
        let reached = through > target || target.is_nan();
        if !reached {
            before = through;
            continue;
        }
        let mut last = None;
        let mut so_far = before;
        for (i, &p) in part.iter().enumerate().filter(|(_, p)| **p > T::ZERO) {
            last = Some(block * FULL + i);
            so_far = so_far + p;
            if so_far > target || target.is_nan() {
                break;
            }
        }
        // What the block's sum has reached is not missed by rounding.
        if last.is_some() {
            return last;
        }
        before = through;
    }
    p.iter().rposition(|&p| p > T::ZERO)
}

/// Returns the sum in the portable order.
#[inline(always)]
fn sum<S: Isa, T: Scalar>(isa: S, x: &[T]) -> T {
    map_sum::<T::Lanes<S>, _>(
        isa,
        Body::Light,
        x,
        #[inline(always)]
        |v: T::Lanes<S>, _| v,
    )
}
