// Rotary position encoding, angles on the fly.
//
// Method, as in `src/position`: a frequency is a fraction of a turn in 64 bits, its wrapping product
// with the position the angle, exactly; sine and cosine of what an eighth of a turn leaves are
// polynomials. x is [token][head][head_dim]; each thread turns one pair of one token in every head
// of its share. The arithmetic is the portable one: memory is what the kernel waits for.
//
// Grid (tokens, shares of the heads), as many threads as a token has pairs, rounded up to warps.
// `positions` has one element a token, or is null and all tokens stand at `position`.
#include "arithmetic.cuh"

// The most pairs that travel as a parameter.
constexpr unsigned MOST_PAIRS = 256;

struct Turns {
  unsigned long long of_pair[MOST_PAIRS];
};

struct SinCos {
  float sin, cos;
};

DEVICE float upper_half(float x) { return __uint_as_float(__float_as_uint(x) & 0xfffff000u); }

// Returns sine and cosine of an angle in units of 2^-64 turns.
DEVICE SinCos sin_cos(unsigned long long angle) {
  using A = Portable;
  const unsigned long long nearest = (angle + (1ull << 61)) >> 62;
  const long long rest = static_cast<long long>(angle - (nearest << 62));
  const long long high = (rest + (1ll << 37)) >> 38;
  const long long low = (rest - high * (1ll << 38)) >> 14;
  const float magic_k = static_cast<float>(static_cast<int>(nearest)) + MAGIC;
  const float fraction = static_cast<float>(static_cast<int>(high)) * 5.9604645e-8f;           // 2^-24
  const float beyond = static_cast<float>(static_cast<int>(low)) * (5.9604645e-8f * 5.9604645e-8f);  // 2^-48

  // To radians, as a pair.
  const float upper = upper_half(fraction);
  const float small = A::mul_add(fraction - upper, HALF_PI_HI, fraction * HALF_PI_LO);
  const float product = upper * HALF_PI_HI;
  const float rest_of = A::mul_add(beyond, HALF_PI_HI, small);
  const float r = product + rest_of;
  const float r_low = rest_of - (r - product);

  // Polynomials.
  const float z = r * r;
  const float half = z * HALF;
  const float base = 1.0f - half;
  const float sin_rest = A::mul_add(A::mul_add(SIN_0, z, SIN_1), z, SIN_2);
  const float s = A::mul_add(r * z, sin_rest, r_low * base) + r;
  const float lost = (1.0f - base) - half;
  const float cos_rest = A::mul_add(A::mul_add(COS_0, z, COS_1), z, COS_2);
  const float c = base + (lost + A::mul_add(z * z, cos_rest, -(r_low * r)));

  // Quarter turns.
  const unsigned k = __float_as_uint(magic_k), next = __float_as_uint(magic_k + 1.0f);
  const float sin = k & 1u ? c : s;
  const float cos = k & 1u ? s : c;
  return {k & 2u ? -sin : sin, (next & 2u ? -cos : cos) + 0.0f};
}

DEVICE float number_or_nan(float y) { return y == y ? y : one_nan(); }

KERNEL(256, 4)
rope_rotate(Turns turns, const int* positions, int position, float* x, unsigned heads, unsigned head_dim,
            unsigned pairs, unsigned interleaved, float cos_factor, float sin_factor) {
  const unsigned pair = threadIdx.x;
  if (pair >= pairs) return;
  const int at = positions ? positions[blockIdx.x] : position;
  const SinCos angle = sin_cos(turns.of_pair[pair] * static_cast<unsigned long long>(static_cast<long long>(at)));
  const float s = angle.sin * sin_factor, c = angle.cos * cos_factor;
  float* const token = x + static_cast<size_t>(blockIdx.x) * heads * head_dim;
  const unsigned first = interleaved ? 2 * pair : pair, second = first + (interleaved ? 1 : pairs);
#pragma unroll 4
  for (unsigned head = blockIdx.y; head < heads; head += gridDim.y) {
    float* const own = token + static_cast<size_t>(head) * head_dim;
    const float a = own[first], b = own[second];
    own[first] = number_or_nan(a * c - b * s);
    own[second] = number_or_nan(b * c + a * s);
  }
}
