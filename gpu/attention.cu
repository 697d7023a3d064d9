// Attention of one token's queries over a contiguous cache, split over the positions.
//
// The portable order of `src/mixer`: blocks of 64 positions, a warp each; scores in sixteen lanes joined
// as a tree, then one rounding by the scale; weights and weighted values summed from the newest position
// to the oldest; blocks joined as a binary tree over their numbers. The fused kernels do the same with
// fused multiply-add and hold the same bound.
//
// `attention_*`: grid (splits of 512 positions, key/value heads * tiles of H query heads), 256 threads,
// `split_shared` floats of dynamic shared memory. A tile reads its keys and values once for all of its
// heads; heads that are missing in the last tile repeat the last one. Names end in the number type that
// is kept, H, and the dimension, or `any`.
//
// `attention_join`: grid (query heads, value_dim / 32 rounded up), 1024 threads, 5 floats of dynamic
// shared memory a part. It joins the parts of each head in place and writes the quotients.
//
// Parts are [head][split][part_len]: values, padded to whole quads, then center, exponent, sum and one
// unused. Vectors of keys lie `key_head` and `key_token` elements apart, those of values likewise. Where
// the dimension is fixed, every vector is aligned to four elements.
#include "arithmetic.cuh"

constexpr unsigned BLOCK = 64;
constexpr unsigned WARPS = 8;
constexpr unsigned LANES = 16;

DEVICE unsigned padded(unsigned dim) { return (dim + 3) / 4 * 4; }
DEVICE unsigned part_len(unsigned dim) { return padded(dim) + 4; }

struct Shape {
  unsigned len, group, key_dim, value_dim;
  unsigned long long key_head, key_token, value_head, value_token;
  float scale;
};

// --- states -------------------------------------------------------------------------------------

// Rounds a large score to a multiple of 128, so that scores near each other share it.
DEVICE float coarse(float max) {
  const float cells = max / 128.0f;
  if (cells < 8388608.0f && cells > -8388608.0f) return ((cells + MAGIC) - MAGIC) * 128.0f;
  return max;
}

// The reference of a greatest score; minus infinity stands for no key.
DEVICE Reference reference_of(float max) {
  if (max == -infinity()) return {0.0f, -infinity()};
  const float center = max > CENTERED || max < -CENTERED ? coarse(max) : 0.0f;
  return {center, ((max - center) * LOG2_E + MAGIC) - MAGIC};
}

// The exponential for scores in a reference, less the center.
template <class A>
DEVICE ScaledExp<A> exp_in(Reference r) {
  return ScaledExp<A>(r.exponent == -infinity() ? 0.0f : r.exponent, 0.0f, REACH);
}

// 2^k for an integer k <= 0, zero below the normal numbers.
DEVICE float power_of_two(float k) {
  return k < 1.0f - BIAS ? 0.0f : exponent_from_magic(MAGIC + (BIAS + k));
}

// The greater reference of two, and the factors that bring both sides to it.
struct Joined {
  Reference to;
  float f, g;
};

DEVICE float factor_of(Reference greater, Reference lesser) {
  const Reference relative = {0.0f, greater.exponent - lesser.exponent};
  return exp_in<Portable>(relative)(lesser.center - greater.center);
}

DEVICE Joined join(Reference a, Reference b) {
  if (b.exponent == -infinity()) return {a, 1.0f, 0.0f};
  if (a.exponent == -infinity()) return {b, 0.0f, 1.0f};
  if (a.center == b.center) {
    const Reference to = a.exponent > b.exponent ? a : b;
    return {to, power_of_two(a.exponent - to.exponent), power_of_two(b.exponent - to.exponent)};
  }
  if (a.center > b.center) return {a, 1.0f, factor_of(a, b)};
  return {b, factor_of(b, a), 1.0f};
}

// Joins the numbers of part b into those of part a: center, exponent, sum. Leaves the factors.
DEVICE void join_numbers(float* a, const float* b, float* factors) {
  const Joined j = join(Reference{a[0], a[1]}, Reference{b[0], b[1]});
  a[2] = a[2] * j.f + b[2] * j.g;
  a[0] = j.to.center;
  a[1] = j.to.exponent;
  factors[0] = j.f;
  factors[1] = j.g;
}

// --- one split ----------------------------------------------------------------------------------

struct Quad {
  float v[4];
};

// Loads four elements from element `i` of a vector of `dim`; those beyond the end are zero. A whole
// vector is aligned and has no end inside of them.
template <bool WHOLE>
DEVICE Quad load(const float* x, unsigned i, unsigned dim) {
  if constexpr (WHOLE) {
    const float4 q = *reinterpret_cast<const float4*>(x + i);
    return {{q.x, q.y, q.z, q.w}};
  } else {
    Quad q;
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) q.v[e] = i + e < dim ? x[i + e] : 0.0f;
    return q;
  }
}

DEVICE float widen(unsigned short bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }

template <bool WHOLE>
DEVICE Quad load(const unsigned short* x, unsigned i, unsigned dim) {
  if constexpr (WHOLE) {
    const uint2 q = *reinterpret_cast<const uint2*>(x + i);
    return {{__uint_as_float(q.x << 16), __uint_as_float(q.x & 0xffff0000u), __uint_as_float(q.y << 16),
             __uint_as_float(q.y & 0xffff0000u)}};
  } else {
    Quad q;
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) q.v[e] = i + e < dim ? widen(x[i + e]) : 0.0f;
    return q;
  }
}

// Keys that four threads score at once.
constexpr unsigned KEYS = 2;

// Scores `count` keys for H heads, to weights[key][head]. Four threads share a key, four virtual lanes
// each; a warp takes sixteen keys at a time.
template <class A, class W, unsigned H, unsigned DIM>
DEVICE void score(const float* query, const W* keys, const Shape& shape, unsigned count, float* weights) {
  const unsigned lane = threadIdx.x % 32, quarter = lane % 4, row = lane / 4;
  const unsigned dim = DIM ? DIM : shape.key_dim;
  const bool high = quarter & 2u, odd = quarter & 1u;
  for (unsigned base = 0; base < count; base += 8 * KEYS) {
    const W* key[KEYS];
    float acc[KEYS][H][4] = {};
#pragma unroll
    for (unsigned k = 0; k < KEYS; ++k) {
      const unsigned i = base + 8 * k + row;
      key[k] = keys + (i < count ? i : count - 1) * shape.key_token;
    }
#pragma unroll
    for (unsigned i = 4 * quarter; i < (dim + LANES - 1) / LANES * LANES; i += LANES) {
      Quad x[KEYS];
#pragma unroll
      for (unsigned k = 0; k < KEYS; ++k) x[k] = load<DIM != 0>(key[k], i, dim);
#pragma unroll
      for (unsigned h = 0; h < H; ++h) {
        const Quad q = load<true>(query + h * ((dim + LANES - 1) / LANES * LANES), i, dim);
#pragma unroll
        for (unsigned k = 0; k < KEYS; ++k)
#pragma unroll
          for (unsigned e = 0; e < 4; ++e) acc[k][h][e] = A::mul_add(q.v[e], x[k].v[e], acc[k][h][e]);
      }
    }
    // Lane j takes j + 8: each thread keeps one of the two keys and hands over the other.
    float one[H][4];
#pragma unroll
    for (unsigned h = 0; h < H; ++h)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) {
        const float other = __shfl_xor_sync(FULL, high ? acc[0][h][e] : acc[1][h][e], 2);
        one[h][e] = (high ? acc[1][h][e] : acc[0][h][e]) + other;
      }
    // Then j + 4: each keeps half of the heads, if there are several.
    constexpr unsigned KEPT = H > 1 ? H / 2 : 1;
    const unsigned position = base + 8 * (quarter / 2) + row;
#pragma unroll
    for (unsigned h = 0; h < KEPT; ++h) {
      float lanes[4];
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) {
        if (H > 1) {
          const float other = __shfl_xor_sync(FULL, odd ? one[h][e] : one[(h + KEPT) % H][e], 1);
          lanes[e] = (odd ? one[(h + KEPT) % H][e] : one[h][e]) + other;
        } else {
          lanes[e] = one[h][e] + __shfl_xor_sync(FULL, one[h][e], 1);
        }
      }
      // Then j + 2 and j + 1.
      const float dot = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
      if (position < count) weights[position * H + (H > 1 && odd ? h + KEPT : h)] = shape.scale * dot;
    }
  }
}

// Turns the scores of one head into weights, returns their reference.
template <class A, unsigned H>
DEVICE Reference weigh(float* weights, unsigned count) {
  const unsigned lane = threadIdx.x % 32;
  float s[BLOCK / 32];
  float max = -infinity();
  bool nan = false;
#pragma unroll
  for (unsigned i = 0; i < BLOCK / 32; ++i) {
    const unsigned position = lane + 32 * i;
    s[i] = position < count ? weights[position * H] : -infinity();
    max = fmaxf(max, s[i]);
    nan |= s[i] != s[i];
  }
#pragma unroll
  for (int o = 16; o > 0; o /= 2) max = fmaxf(max, __shfl_xor_sync(FULL, max, o));
  const Reference r = reference_of(max);
  const ScaledExp<A> exp = exp_in<A>(r);
#pragma unroll
  for (unsigned i = 0; i < BLOCK / 32; ++i) {
    const unsigned position = lane + 32 * i;
    if (position < count) weights[position * H] = s[i] == -infinity() ? 0.0f : exp(s[i] - r.center);
  }
  if (__ballot_sync(FULL, nan) != 0) return reference_of(one_nan());
  return r;
}

// Rows of values whose loads are under way at once.
constexpr unsigned AHEAD = 8;

// Sums weights and weighted values of `count` positions, newest first, into the parts of H heads.
template <class A, class W, unsigned H, unsigned DIM>
DEVICE void weighted_values(const float* weights, const W* values, const Shape& shape, unsigned count, float* parts) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned dim = DIM ? DIM : shape.value_dim;
  for (unsigned column = 4 * lane; column < (dim + 127) / 128 * 128; column += 128) {
    float acc[H][4] = {};
    float sum[H] = {};
    const auto add = [&](unsigned row, Quad v) {
#pragma unroll
      for (unsigned h = 0; h < H; ++h) {
        const float p = weights[row * H + h];
        sum[h] = sum[h] + p;
#pragma unroll
        for (unsigned e = 0; e < 4; ++e) acc[h][e] = A::mul_add(p, v.v[e], acc[h][e]);
      }
    };
    const bool mine = column < dim;
    const W* const own = values + (mine ? column : 0);
    unsigned left = count;
    for (; left % AHEAD != 0; --left) add(left - 1, load<DIM != 0>(own + (left - 1) * shape.value_token, 0, mine ? dim - column : 0));
    for (; left > 0; left -= AHEAD) {
      Quad v[AHEAD];
#pragma unroll
      for (unsigned a = 0; a < AHEAD; ++a)
        v[a] = load<DIM != 0>(own + (left - 1 - a) * shape.value_token, 0, mine ? dim - column : 0);
#pragma unroll
      for (unsigned a = 0; a < AHEAD; ++a) add(left - 1 - a, v[a]);
    }
#pragma unroll
    for (unsigned h = 0; h < H; ++h) {
      float* const part = parts + h * part_len(dim);
      if (mine)
#pragma unroll
        for (unsigned e = 0; e < 4; ++e) part[column + e] = acc[h][e];
      if (column == 0) part[padded(dim) + 2] = sum[h];
    }
  }
}

// Attends with H heads of one group to the 512 positions of this split; see the top of the file.
template <class A, class W, unsigned H, unsigned DIM>
DEVICE void attend_split(const float* query, const W* keys, const W* values, float* parts, const Shape& shape, float* shared) {
  const unsigned key_dim = DIM ? DIM : shape.key_dim, value_dim = DIM ? DIM : shape.value_dim;
  const unsigned row = (key_dim + LANES - 1) / LANES * LANES, len = part_len(value_dim);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned tiles = (shape.group + H - 1) / H, kv_head = blockIdx.y / tiles, first = blockIdx.y % tiles * H;
  float* const own_query = shared;
  float* const factors = own_query + H * row;
  float* const weights = factors + WARPS * H + warp * BLOCK * H;
  float* const all_parts = factors + WARPS * H + WARPS * BLOCK * H;
  const auto head_of = [&](unsigned h) { return kv_head * shape.group + (first + h < shape.group ? first + h : shape.group - 1); };

  for (unsigned i = threadIdx.x; i < H * row; i += blockDim.x) {
    const unsigned e = i % row;
    own_query[i] = e < key_dim ? query[static_cast<size_t>(head_of(i / row)) * key_dim + e] : 0.0f;
  }
  __syncthreads();

  // One block a warp.
  const unsigned blocks = (shape.len + BLOCK - 1) / BLOCK, block = blockIdx.x * WARPS + warp;
  if (block < blocks) {
    const unsigned from = block * BLOCK, count = shape.len - from < BLOCK ? shape.len - from : BLOCK;
    float* const own = all_parts + warp * H * len;
    score<A, W, H, DIM>(own_query, keys + kv_head * shape.key_head + from * shape.key_token, shape, count, weights);
    __syncwarp();
    for (unsigned h = 0; h < H; ++h) {
      const Reference r = weigh<A, H>(weights + h, count);
      if (lane == 0) {
        own[h * len + padded(value_dim)] = r.center;
        own[h * len + padded(value_dim) + 1] = r.exponent;
      }
    }
    __syncwarp();
    weighted_values<A, W, H, DIM>(weights, values + kv_head * shape.value_head + from * shape.value_token, shape, count, own);
  }
  __syncthreads();

  // The blocks join as a tree; one without a partner waits.
  const unsigned first_block = blockIdx.x * WARPS;
  const unsigned present = blocks - first_block < WARPS ? blocks - first_block : WARPS;
  for (unsigned stride = 1; stride < present; stride *= 2) {
    const unsigned pairs = (present + stride - 1) / (2 * stride);
    if (threadIdx.x < pairs * H) {
      float* const a = all_parts + (threadIdx.x / H * 2 * stride * H + threadIdx.x % H) * len;
      join_numbers(a + padded(value_dim), a + stride * H * len + padded(value_dim), factors + 2 * threadIdx.x);
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < pairs * H * value_dim; i += blockDim.x) {
      const unsigned pair = i / value_dim, e = i % value_dim;
      float* const a = all_parts + (pair / H * 2 * stride * H + pair % H) * len + e;
      *a = *a * factors[2 * pair] + a[stride * H * len] * factors[2 * pair + 1];
    }
    __syncthreads();
  }
  for (unsigned i = threadIdx.x; i < H * len; i += blockDim.x) {
    const unsigned h = i / len, e = i % len;
    if (first + h < shape.group && (e < value_dim || (e >= padded(value_dim) && e < padded(value_dim) + 3)))
      parts[(static_cast<size_t>(head_of(h)) * gridDim.x + blockIdx.x) * len + e] = all_parts[i];
  }
}

#define SPLIT(name, A, W, H, DIM)                                                                        \
  KERNEL(256, 2) name(const float* query, const W* keys, const W* values, float* parts, Shape shape) {   \
    SHARED_FLOATS(shared);                                                                               \
    attend_split<A, W, H, DIM>(query, keys, values, parts, shape, shared);                               \
  }
#define SPLITS(name, A, W)                \
  SPLIT(attention_##name##_1_any, A, W, 1, 0)   \
  SPLIT(attention_##name##_4_any, A, W, 4, 0)   \
  SPLIT(attention_##name##_1_128, A, W, 1, 128) \
  SPLIT(attention_##name##_4_128, A, W, 4, 128)
SPLITS(f32, Portable, float)
SPLITS(bf16, Portable, unsigned short)
SPLITS(fused_f32, Fused, float)
SPLITS(fused_bf16, Fused, unsigned short)

// --- the whole ----------------------------------------------------------------------------------

KERNEL(1024, 1)
attention_join(float* parts, float* out, float* lse, unsigned count, unsigned dim) {
  SHARED_FLOATS(numbers);
  const unsigned len = part_len(dim), head = blockIdx.x;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const unsigned element = blockIdx.y * 32 + lane;
  float* const factors = numbers + 3 * count;
  float* const own = parts + static_cast<size_t>(head) * count * len;
  for (unsigned i = threadIdx.x; i < 3 * count; i += blockDim.x) numbers[i] = own[i / 3 * len + padded(dim) + i % 3];
  __syncthreads();
  for (unsigned stride = 1; stride < count; stride *= 2) {
    const unsigned pairs = (count + stride - 1) / (2 * stride);
    for (unsigned i = threadIdx.x; i < pairs; i += blockDim.x)
      join_numbers(numbers + 6 * stride * i, numbers + 6 * stride * i + 3 * stride, factors + 2 * i);
    __syncthreads();
    if (element < dim) {
#pragma unroll 4
      for (unsigned i = warp; i < pairs; i += warps) {
        float* const a = own + 2 * static_cast<size_t>(stride) * i * len + element;
        *a = *a * factors[2 * i] + a[static_cast<size_t>(stride) * len] * factors[2 * i + 1];
      }
    }
    __syncthreads();
  }
  const bool empty = count == 0 || numbers[1] == -infinity();
  if (warp == 0 && element < dim) {
    const float mean = empty ? 0.0f : own[element] / numbers[2];
    out[static_cast<size_t>(head) * dim + element] = mean == mean ? mean : one_nan();
  }
  if (lse && blockIdx.y == 0 && threadIdx.x == 0) {
    if (empty) {
      lse[head] = -infinity();
      return;
    }
    const float high = numbers[0] + numbers[1] * LN2_HI;
    const float sum = high + (numbers[1] * LN2_LO + natural_log(numbers[2]));
    lse[head] = sum == sum ? sum : one_nan();
  }
}

// --- the cache ----------------------------------------------------------------------------------

DEVICE void narrow(float x, float* to) { *to = x; }

DEVICE void narrow(float x, unsigned short* to) {
  const unsigned bits = __float_as_uint(x);
  *to = static_cast<unsigned short>((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16 | 0x40u)
                                                                       : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// Appends vectors [token][head][dim] from token `at` on; `of_head` and `of_token` are in elements.
template <class W>
DEVICE void append(const float* x, W* cache, unsigned heads, unsigned dim, unsigned long long count,
                   unsigned long long at, unsigned long long of_head, unsigned long long of_token) {
  const unsigned long long i = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const unsigned long long vector = i / dim, token = at + vector / heads;
  narrow(x[i], cache + vector % heads * of_head + token * of_token + i % dim);
}

#define APPEND(name, W)                                                                                            \
  KERNEL(256, 4) name(const float* x, W* cache, unsigned heads, unsigned dim, unsigned long long count,            \
                      unsigned long long at, unsigned long long of_head, unsigned long long of_token) {            \
    append<W>(x, cache, heads, dim, count, at, of_head, of_token);                                                 \
  }
APPEND(cache_append_f32, float)
APPEND(cache_append_bf16, unsigned short)
