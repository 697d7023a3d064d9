// The arithmetic that kernels share: the two arithmetics, the scaled exponential and the logarithm.
//
// Each function is its namesake under `src/math`, operation for operation, so that the portable
// kernels give the bits of the processor. They hold only if the compiler contracts nothing: device
// code is compiled with `-fmad=false`, the emulation with `-ffp-contract=off`. What is fused is
// written as such.
#pragma once
#include "coefficients.cuh"

#ifdef __CUDACC__
#define DEVICE __device__ __forceinline__
#define KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define SHARED_FLOATS(name) extern __shared__ __align__(16) float name[]
#else
#define DEVICE inline
#define KERNEL(threads, blocks) extern "C" void
#define SHARED_FLOATS(name) float* name = reinterpret_cast<float*>(emu::B->dyn.data())
#endif

constexpr unsigned FULL = 0xffffffffu;
// 1.5 * 2^23: adding it leaves a number rounded to an integer in the low bits.
constexpr float MAGIC = 12582912.0f;
constexpr float BIAS = 127.0f;

DEVICE float infinity() { return __int_as_float(0x7f800000); }

// The NaN that stands for every NaN in outputs.
DEVICE float one_nan() { return __int_as_float(0x7fc00000); }

DEVICE bool is_finite(float x) { return x > -infinity() && x < infinity(); }

// Two roundings: the arithmetic of `Cpu::default()`.
struct Portable {
  static constexpr bool FUSED = false;
  static DEVICE float mul_add(float a, float b, float c) { return a * b + c; }
};

// One rounding, and sums in whatever order is quick: results hold their error bound.
struct Fused {
  static constexpr bool FUSED = true;
  static DEVICE float mul_add(float a, float b, float c) { return fmaf(a, b, c); }
};

// a * b + c where a * b is exact, so that one rounding and two agree.
DEVICE float exact_mul_add(float a, float b, float c) {
#ifdef __CUDACC__
  return fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// Shifts the representation left by the mantissa: 2^k for MAGIC + BIAS + k.
DEVICE float exponent_from_magic(float t) { return __uint_as_float(__float_as_uint(t) << 23); }

// A sum with what its additions have lost.
struct Twofold {
  float sum, lost;
};

// Fast2Sum of a running sum and a term.
DEVICE void carry(Twofold& to, float term) {
  const float s = to.sum + term;
  to.lost = to.lost + (term - (s - to.sum));
  to.sum = s;
}

// Knuth's 2Sum. The error is exact whichever of the two comes first.
DEVICE Twofold two_sum(float a, float b) {
  const float s = a + b;
  const float b_virtual = s - a;
  return {s, (a - (s - b_virtual)) + (b - b_virtual)};
}

// Adds two sums with what they have lost, and what their own addition loses.
DEVICE Twofold join(Twofold a, Twofold b) {
  const Twofold s = two_sum(a.sum, b.sum);
  return {s.sum, (a.lost + b.lost) + s.lost};
}

// A row's reference: what is subtracted from its logits, and the power of two taken out.
struct Reference {
  float center, exponent;
};

// The reference of a row whose greatest logit is `max`, finite.
DEVICE Reference reference_of_row(float max) {
  const float center = max > CENTERED || max < -CENTERED ? max : 0.0f;
  return {center, ((max - center) * LOG2_E + MAGIC) - MAGIC};
}

// exp(d) * 2^(shift - exponent) without ever rounding a difference; see `src/math/exp.rs`. Rows that are
// divided by their sum are raised by SHIFT and held at FLOOR, others by nothing and at REACH.
template <class A>
struct ScaledExp {
  float floor, magic;

  DEVICE explicit ScaledExp(float exponent, float shift = SHIFT, float lowest = FLOOR)
      : floor((exponent - lowest) * (LN2_HI + LN2_LO)), magic(MAGIC + (BIAS + shift - exponent)) {}

  DEVICE float operator()(float d) const {
    d = floor > d ? floor : d;  // NaN passes.
    const float t = A::mul_add(d, LOG2_E, magic);
    const float k = t - magic;
    float r = exact_mul_add(k, -LN2_HI, d);
    r = exact_mul_add(k, -LN2_LO, r);
    const float scale = exponent_from_magic(t);
    const float r2 = r * r;
    float p = A::mul_add(EXP_0, r2, A::mul_add(EXP_1, r, EXP_2));
    p = A::mul_add(p, r2, A::mul_add(EXP_3, r, EXP_4));
    return exact_mul_add(A::FUSED ? fmaf(r2, p, r) : r2 * p + r, scale, scale);
  }
};

// The natural logarithm of a positive number, as libm has it: fdlibm's logf.
DEVICE float natural_log(float x) {
  unsigned bits = __float_as_uint(x);
  int k = 0;
  if (bits < 0x00800000u || bits >> 31 != 0u) {
    if (bits << 1 == 0u) return -infinity();
    if (bits >> 31 != 0u) return one_nan();
    k -= 25;
    bits = __float_as_uint(x * 33554432.0f);
  } else if (bits >= 0x7f800000u) {
    return x;
  } else if (bits == 0x3f800000u) {
    return 0.0f;
  }
  bits += 0x3f800000u - 0x3f3504f3u;
  k += static_cast<int>(bits >> 23) - 0x7f;
  const float m = __uint_as_float((bits & 0x007fffffu) + 0x3f3504f3u);
  const float f = m - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  const float w = z * z;
  const float even = w * (0.40000972152f + w * 0.24279078841f);
  const float odd = z * (0.66666662693f + w * 0.28498786688f);
  const float rest = odd + even;
  const float half = 0.5f * f * f;
  const float power = static_cast<float>(k);
  return s * (half + rest) + power * 9.0580006145e-06f - half + f + power * 6.9313812256e-01f;
}
