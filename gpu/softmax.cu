// Softmax and log-softmax of rows.
//
// The portable kernels give the bits of `Cpu::default()`; the fused ones, whose names end so, hold the
// same bound (3 ULP) with fused multiply-add and a sum in the order of the threads.
//
// Method, as in `src/probability/softmax.rs`: the maximum becomes an integer power of two, terms are
// 2^(k-N) exp(r), their sum carries its rounding errors, one reciprocal scales. A row whose maximum is
// not finite has indicators of plus infinity for terms, and goes the same way.
//
// Rows that fit in shared memory go to one block each: `*_row*`, grid (rows), any number of whole
// warps, `row_shared(n)` floats of dynamic shared memory. The row is read once and written once.
//
// Few or long rows are cut in chunks, a multiple of 128 elements, so that they fill the device:
// grid (chunks, rows), launched one after the other:
//   long_max          x -> maxima[row][chunk]
//   long_groups       x, maxima -> sums[row][group][16]                 (portable)
//   long_total        sums -> totals[row], a block a row                (portable)
//   long_chunks_fused x, maxima -> partials[row][chunk]                 (fused)
//   *_long*           x, maxima, totals or partials -> y
// x may be y. Rows start n elements apart; the first one is aligned to 16 bytes.
//
// In the portable order each of sixteen lanes adds up its groups of the whole row one after the other;
// that chain is as long as the row has groups, and only sixteen threads can walk it.
#include "arithmetic.cuh"

constexpr unsigned LANES = 16;
constexpr unsigned GROUP_ROWS = 8;
constexpr unsigned GROUP = LANES * GROUP_ROWS;

// Floats in front of the row in shared memory: one a warp for maxima, two for sums, one result.
constexpr unsigned FRONT = 32 + 64 + 4;

DEVICE unsigned group_count(unsigned n) { return (n + GROUP - 1) / GROUP; }

struct Quad {
  float v[4];
};

// Loads the elements i to i + 3 of n; those beyond the end are minus infinity.
DEVICE Quad load(const float* x, unsigned i, unsigned n) {
  if (n % 4 == 0) {
    const float4 q = *reinterpret_cast<const float4*>(x + i);
    return {{q.x, q.y, q.z, q.w}};
  }
  Quad q;
#pragma unroll
  for (unsigned e = 0; e < 4; ++e) q.v[e] = i + e < n ? x[i + e] : -infinity();
  return q;
}

DEVICE void store(float* y, unsigned i, unsigned n, Quad q) {
  if (n % 4 == 0) {
    *reinterpret_cast<float4*>(y + i) = make_float4(q.v[0], q.v[1], q.v[2], q.v[3]);
    return;
  }
#pragma unroll
  for (unsigned e = 0; e < 4; ++e)
    if (i + e < n) y[i + e] = q.v[e];
}

DEVICE float greatest(Quad q) { return fmaxf(fmaxf(q.v[0], q.v[1]), fmaxf(q.v[2], q.v[3])); }

DEVICE float warp_max(float m) {
#pragma unroll
  for (int o = 16; o > 0; o /= 2) m = fmaxf(m, __shfl_xor_sync(FULL, m, o));
  return m;
}

DEVICE Twofold warp_sum(Twofold s) {
#pragma unroll
  for (int o = 16; o > 0; o /= 2)
    s = join(s, {__shfl_xor_sync(FULL, s.sum, o), __shfl_xor_sync(FULL, s.lost, o)});
  return s;
}

// Returns the block's maximum to every thread. NaN does not count.
DEVICE float block_max(float m, float* of_warp) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  m = warp_max(m);
  if (lane == 0) of_warp[warp] = m;
  __syncthreads();
  return warp_max(lane < warps ? of_warp[lane] : -infinity());
}

// Returns the block's sum to every thread.
DEVICE Twofold block_sum(Twofold s, float* of_warp) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  s = warp_sum(s);
  if (lane == 0) {
    of_warp[2 * warp] = s.sum;
    of_warp[2 * warp + 1] = s.lost;
  }
  __syncthreads();
  Twofold other = {0.0f, 0.0f};
  if (lane < warps) other = {of_warp[2 * lane], of_warp[2 * lane + 1]};
  return warp_sum(other);
}

// What is summed of each logit of a row with this maximum.
template <class A>
struct Terms {
  bool finite;
  Reference reference;
  ScaledExp<A> exp;

  DEVICE explicit Terms(float max)
      : finite(is_finite(max)), reference(reference_of_row(finite ? max : 0.0f)), exp(reference.exponent) {}

  DEVICE float operator()(float x) const {
    if (finite) return exp(x - reference.center);
    return x == infinity() ? 1.0f : x == x ? 0.0f : one_nan();
  }
};

// The tree over the eight rows of a group.
DEVICE float tree(const float* t) {
  return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]));
}

// The sum of one lane of one group: `term(i)` for its elements i. The second half of a warp swaps
// neighbouring rows, which a sum does not see and the banks of shared memory do.
template <class F>
DEVICE float group_lane(unsigned group, unsigned n, F term) {
  const unsigned lane = threadIdx.x % LANES, half = threadIdx.x / LANES % 2;
  float t[GROUP_ROWS];
#pragma unroll
  for (unsigned r = 0; r < GROUP_ROWS; ++r) {
    const unsigned i = group * GROUP + (r ^ half) * LANES + lane;
    t[r] = i < n ? term(i) : 0.0f;
  }
  return tree(t);
}

// Joins the sixteen lanes: j takes j + 8, then j + 4, j + 2, j + 1.
DEVICE float join_lanes(Twofold lane) {
#pragma unroll
  for (int o = LANES / 2; o > 0; o /= 2)
    lane = join(lane, {__shfl_xor_sync(FULL, lane.sum, o), __shfl_xor_sync(FULL, lane.lost, o)});
  return lane.sum + lane.lost;
}

// What a row is finished with: the factor of a softmax, or the log-sum-exp in two parts.
struct Finish {
  float high, low;
};

// Returns the reciprocal of a sum, or of a count; zero stays zero, NaN becomes the one NaN.
template <class A>
DEVICE Finish finish_softmax(Terms<A> terms, float sum) {
  if (sum > 0.0f) return {1.0f / sum, 0.0f};
  return {terms.finite || sum != sum ? one_nan() : 0.0f, 0.0f};
}

// Returns center + (exponent - SHIFT) ln 2 + ln(sum).
template <class A>
DEVICE Finish finish_log_softmax(Terms<A> terms, float sum) {
  if (!terms.finite) {
    const float high = sum > 0.0f ? infinity() : sum == 0.0f ? -infinity() : one_nan();
    return {high, sum > 1.0f ? natural_log(sum) : 0.0f};
  }
  if (!(sum > 0.0f)) return {one_nan(), 0.0f};
  const unsigned bits = __float_as_uint(sum);
  const unsigned shifted = bits + (0x3f800000u - 0x3f3504f3u);
  const float mantissa = __uint_as_float(bits + 0x3f800000u - (shifted & 0xff800000u));
  float power = __uint_as_float(shifted >> 23 | 0x4b000000u) - (8388608.0f + BIAS);
  power = power + (terms.reference.exponent - SHIFT);
  const Twofold a = two_sum(terms.reference.center, power * LN2_HI);
  const Twofold b = two_sum(a.sum, natural_log(mantissa));
  const Twofold c = two_sum(b.sum, (a.lost + b.lost) + power * LN2_LO);
  return {c.sum, c.lost};
}

template <class A, bool LOG>
DEVICE Finish finish(Terms<A> terms, float sum) {
  return LOG ? finish_log_softmax(terms, sum) : finish_softmax(terms, sum);
}

// One element of a softmax, from its term.
DEVICE float share_of(float term, Finish f) { return f.high != f.high ? one_nan() : term * f.high; }

// One element of a log-softmax, from its logit.
DEVICE float log_share_of(float x, Finish f) {
  if (is_finite(f.high)) return (x - f.high) - f.low;
  if (f.high != f.high) return one_nan();
  return x == f.high && f.high > 0.0f ? -f.low : -infinity();
}

// --- rows in shared memory ----------------------------------------------------------------------

template <class A, bool LOG>
DEVICE void map_row(const float* x, float* y, unsigned n, float* shared) {
  float* const maxima = shared;
  float* const of_warp = shared + 32;
  float* const result = shared + 96;
  float* const kept = shared + FRONT;
  float* const sums = kept + (n + 3) / 4 * 4;
  x += static_cast<size_t>(blockIdx.x) * n;
  y += static_cast<size_t>(blockIdx.x) * n;
  const unsigned first = 4 * threadIdx.x, step = 4 * blockDim.x;

  // max
  float m = -infinity();
  for (unsigned i = first; i < n; i += step) {
    const Quad q = load(x, i, n);
    store(kept, i, 4, q);
    m = fmaxf(m, greatest(q));
  }
  const Terms<A> terms(block_max(m, maxima));

  // exp and sum
  Finish f;
  if (A::FUSED) {
    Twofold own = {0.0f, 0.0f};
    for (unsigned i = first; i < n; i += step) {
      Quad q = load(kept, i, 4);
      Quad t;
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) t.v[e] = i + e < n ? terms(q.v[e]) : 0.0f;
      if (!LOG) store(kept, i, 4, t);
      carry(own, (t.v[0] + t.v[1]) + (t.v[2] + t.v[3]));
    }
    const Twofold sum = block_sum(own, of_warp);
    f = finish<A, LOG>(terms, sum.sum + sum.lost);
  } else {
    for (unsigned g = threadIdx.x / LANES; g < group_count(n); g += blockDim.x / LANES) {
      sums[g * LANES + threadIdx.x % LANES] = group_lane(g, n, [&](unsigned i) {
        const float t = terms(kept[i]);
        if (!LOG) kept[i] = t;
        return t;
      });
    }
    __syncthreads();
    if (threadIdx.x < 32) {
      Twofold lane = {0.0f, 0.0f};
      for (unsigned g = 0; g < group_count(n); ++g) carry(lane, sums[g * LANES + threadIdx.x % LANES]);
      f = finish<A, LOG>(terms, join_lanes(lane));
      if (threadIdx.x == 0) {
        result[0] = f.high;
        result[1] = f.low;
      }
    }
    __syncthreads();
    f = {result[0], result[1]};
  }

  // scale
  for (unsigned i = first; i < n; i += step) {
    Quad q = load(kept, i, 4);
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) q.v[e] = LOG ? log_share_of(q.v[e], f) : share_of(q.v[e], f);
    store(y, i, n, q);
  }
}

#define ROW(name, A, LOG)                                         \
  KERNEL(1024, 1) name(const float* x, float* y, unsigned n) {    \
    SHARED_FLOATS(shared);                                        \
    map_row<A, LOG>(x, y, n, shared);                             \
  }
ROW(softmax_row, Portable, false)
ROW(log_softmax_row, Portable, true)
ROW(softmax_row_fused, Fused, false)
ROW(log_softmax_row_fused, Fused, true)

// --- rows in chunks -----------------------------------------------------------------------------

// Returns a row's maximum from those of its chunks, to every thread of every warp.
DEVICE float long_row_max(const float* maxima) {
  float m = -infinity();
  for (unsigned c = threadIdx.x % 32; c < gridDim.x; c += 32)
    m = fmaxf(m, maxima[static_cast<size_t>(blockIdx.y) * gridDim.x + c]);
  return warp_max(m);
}

// The chunk of a block.
struct Chunk {
  unsigned from, to;
};

DEVICE Chunk own_chunk(unsigned n, unsigned chunk) {
  const unsigned from = blockIdx.x * chunk;
  return {from, from + chunk < n ? from + chunk : n};
}

KERNEL(256, 4) long_max(const float* x, float* maxima, unsigned n, unsigned chunk) {
  SHARED_FLOATS(shared);
  x += static_cast<size_t>(blockIdx.y) * n;
  const Chunk own = own_chunk(n, chunk);
  float m = -infinity();
  for (unsigned i = own.from + 4 * threadIdx.x; i < own.to; i += 4 * blockDim.x)
    m = fmaxf(m, greatest(load(x, i, n)));
  m = block_max(m, shared);
  if (threadIdx.x == 0) maxima[static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x] = m;
}

KERNEL(256, 4) long_groups(const float* x, const float* maxima, float* sums, unsigned n, unsigned chunk) {
  x += static_cast<size_t>(blockIdx.y) * n;
  sums += static_cast<size_t>(blockIdx.y) * group_count(n) * LANES;
  const Terms<Portable> terms(long_row_max(maxima));
  const Chunk own = own_chunk(n, chunk);
  const unsigned to = group_count(own.to);
  for (unsigned g = own.from / GROUP + threadIdx.x / LANES; g < to; g += blockDim.x / LANES)
    sums[g * LANES + threadIdx.x % LANES] = group_lane(g, n, [&](unsigned i) { return terms(x[i]); });
}

// Groups that a block holds in shared memory while one of its warps adds them up.
constexpr unsigned TILE = 256;

// A block of 256 threads and 2 * TILE * LANES floats of shared memory a row; `chunks` is the grid's
// width in the other kernels.
template <bool LOG>
DEVICE void long_total(const float* maxima, const float* sums, float* totals, unsigned n, unsigned chunks,
                       float* shared) {
  const unsigned row = blockIdx.x, groups = group_count(n);
  sums += static_cast<size_t>(row) * groups * LANES;
  Twofold lane = {0.0f, 0.0f};
  for (unsigned at = 0, odd = 0; at < groups + TILE; at += TILE, odd ^= 1) {
    // The tile at `at` comes in while the one before it is added up.
    for (unsigned i = threadIdx.x; i < TILE * LANES && at * LANES + i < groups * LANES; i += blockDim.x)
      shared[odd * TILE * LANES + i] = sums[at * LANES + i];
    if (threadIdx.x < 32 && at > 0) {
      const float* const tile = shared + (odd ^ 1) * TILE * LANES + threadIdx.x % LANES;
      const unsigned count = groups - (at - TILE) < TILE ? groups - (at - TILE) : TILE;
#pragma unroll 8
      for (unsigned g = 0; g < count; ++g) carry(lane, tile[g * LANES]);
    }
    __syncthreads();
  }
  if (threadIdx.x < 32) {
    float m = -infinity();
    for (unsigned c = threadIdx.x; c < chunks; c += 32) m = fmaxf(m, maxima[static_cast<size_t>(row) * chunks + c]);
    const Terms<Portable> terms(warp_max(m));
    const Finish f = finish<Portable, LOG>(terms, join_lanes(lane));
    if (threadIdx.x == 0) {
      totals[2 * row] = f.high;
      totals[2 * row + 1] = f.low;
    }
  }
}

#define TOTAL(name, LOG)                                                                            \
  KERNEL(256, 4) name(const float* maxima, const float* sums, float* totals, unsigned n, unsigned chunks) { \
    SHARED_FLOATS(shared);                                                                          \
    long_total<LOG>(maxima, sums, totals, n, chunks, shared);                                       \
  }
TOTAL(softmax_long_total, false)
TOTAL(log_softmax_long_total, true)

KERNEL(256, 4) long_chunks_fused(const float* x, const float* maxima, float* partials, unsigned n, unsigned chunk) {
  SHARED_FLOATS(shared);
  x += static_cast<size_t>(blockIdx.y) * n;
  const Terms<Fused> terms(long_row_max(maxima));
  const Chunk own = own_chunk(n, chunk);
  Twofold sum = {0.0f, 0.0f};
  for (unsigned i = own.from + 4 * threadIdx.x; i < own.to; i += 4 * blockDim.x) {
    const Quad q = load(x, i, n);
    float t[4];
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) t[e] = i + e < n ? terms(q.v[e]) : 0.0f;
    carry(sum, (t[0] + t[1]) + (t[2] + t[3]));
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) {
    float* const to = partials + 2 * (static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x);
    to[0] = sum.sum;
    to[1] = sum.lost;
  }
}

// `totals` has two numbers a row in the portable order, two a chunk in the fused.
template <class A, bool LOG>
DEVICE void long_write(const float* x, float* y, const float* maxima, const float* totals, unsigned n, unsigned chunk) {
  x += static_cast<size_t>(blockIdx.y) * n;
  y += static_cast<size_t>(blockIdx.y) * n;
  const Terms<A> terms(long_row_max(maxima));
  Finish f;
  if (A::FUSED) {
    const float* const partials = totals + 2 * static_cast<size_t>(blockIdx.y) * gridDim.x;
    Twofold sum = {0.0f, 0.0f};
    for (unsigned c = threadIdx.x % 32; c < gridDim.x; c += 32) sum = join(sum, {partials[2 * c], partials[2 * c + 1]});
    sum = warp_sum(sum);
    f = finish<A, LOG>(terms, sum.sum + sum.lost);
  } else {
    f = {totals[2 * blockIdx.y], totals[2 * blockIdx.y + 1]};
  }
  const Chunk own = own_chunk(n, chunk);
  for (unsigned i = own.from + 4 * threadIdx.x; i < own.to; i += 4 * blockDim.x) {
    Quad q = load(x, i, n);
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) q.v[e] = LOG ? log_share_of(q.v[e], f) : share_of(terms(q.v[e]), f);
    store(y, i, n, q);
  }
}

#define LONG(name, A, LOG)                                                                                            \
  KERNEL(256, 4) name(const float* x, float* y, const float* maxima, const float* totals, unsigned n, unsigned chunk) { \
    long_write<A, LOG>(x, y, maxima, totals, n, chunk);                                                               \
  }
LONG(softmax_long, Portable, false)
LONG(log_softmax_long, Portable, true)
LONG(softmax_long_fused, Fused, false)
LONG(log_softmax_long_fused, Fused, true)
