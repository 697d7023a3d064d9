//! softmax (prototype)
use crate::scalar::sealed::Compute;
use crate::math::exp::{self, ExpTable};
use crate::simd::{Isa, Lanes, order};
use crate::cpu::dispatch;
use crate::Cpu;

/// proto
pub fn softmax(cpu: Cpu, x: &[f32], y: &mut [f32]) {
    dispatch!(cpu, isa => kernel::<_, f32>(isa, x, y));
}

#[inline(always)]
fn kernel<S: Isa, T: ExpTable>(isa: S, x: &[T], y: &mut [T]) {
    if y.len() != x.len() { return; }
    let m = order::max::<T::Lanes<S>, _>(isa, x, #[inline(always)] |v, _| v);
    let e = exp::ScaledExp::<T::Lanes<S>>::new(isa, m);
    let s = order::map_sum::<T::Lanes<S>, _>(isa, (x, &mut *y), #[inline(always)] |v, _| e.of(isa, v));
    let inv = T::Lanes::<S>::splat(isa, T::ONE / s);
    order::map::<T::Lanes<S>, _>(isa, y, #[inline(always)] |v, _| v * inv);
}
