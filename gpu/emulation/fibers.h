// Runs kernels without a device: a .cu file is compiled as plain C++, every thread of a block is a
// fiber, and barriers and warp collectives are where fibers change.
//
// What it finds: wrong indices (under the address sanitizer), barriers and collectives that not all
// threads reach, reads of shared memory that nothing wrote (it is filled with NaN), and missing barriers,
// since the order in which threads run is a seed: 0 runs them in order, odd seeds run one warp as far
// as it goes, others shuffle. What it cannot find: races within a warp between collectives, and
// speed.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif


struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace emu {

// Lanes of one warp that meet: who has arrived, and what each has brought. Two generations of values,
// so that those who are late to read are not overtaken.
struct Meeting {
  unsigned arrived = 0, generation = 0;
  const void* place = nullptr;
  uint64_t values[2][32];
};

struct Warp {
  std::map<unsigned, Meeting> meetings;  // by mask
  unsigned exited = 0;
};

enum class State { ready, at_barrier, in_meeting, done };

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  uint3 thread;
  unsigned lane, warp;
  State state;
  const void* place;
  unsigned mask;
  void* fake_stack = nullptr;
};

struct Block {
  dim3 block_dim, grid_dim;
  uint3 index;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Fiber* current = nullptr;
  ucontext_t scheduler;
  void* fake_stack = nullptr;
  const void* stack_bottom = nullptr;
  size_t stack_size = 0;
  std::function<void()> body;
  std::vector<char> dyn;  // dynamic shared memory
};

inline Block* B = nullptr;
inline unsigned seed = 0;
inline std::vector<std::string> errors;

inline void fail(const char* what) {
  char text[256];
  const uint3 b = B->index, t = B->current->thread;
  snprintf(text, sizeof text, "%s, block (%u,%u,%u) thread (%u,%u,%u)", what, b.x, b.y, b.z, t.x, t.y, t.z);
  errors.push_back(text);
  fprintf(stderr, "emulation: %s\n", text);
}

inline void to_scheduler(bool last = false) {
  Fiber* me = B->current;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(last ? nullptr : &me->fake_stack, B->stack_bottom, B->stack_size);
#endif
  if (last) setcontext(&B->scheduler);
  swapcontext(&me->context, &B->scheduler);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(me->fake_stack, &B->stack_bottom, &B->stack_size);
#endif
}

inline void entry() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &B->stack_bottom, &B->stack_size);
#endif
  B->body();
  B->current->state = State::done;
  B->warps[B->current->warp].exited |= 1u << B->current->lane;
  to_scheduler(true);
}

inline void barrier(const void* place) {
  B->current->state = State::at_barrier;
  B->current->place = place;
  to_scheduler();
}

// All lanes of `mask` meet here; each leaves its value and may then read any other's.
inline uint64_t* meet(unsigned mask, uint64_t value, const void* place) {
  Fiber* me = B->current;
  if (!(mask >> me->lane & 1)) fail("a warp collective whose mask lacks the calling lane");
  Meeting& m = B->warps[me->warp].meetings[mask];
  const unsigned generation = m.generation;
  if (m.arrived == 0)
    m.place = place;
  else if (m.place != place)
    fail("lanes of one warp meet at different collectives");
  m.values[generation & 1][me->lane] = value;
  m.arrived |= 1u << me->lane;
  if (m.arrived == mask) {
    m.arrived = 0;
    m.generation++;
  } else {
    me->mask = mask;
    me->state = State::in_meeting;
    while (m.generation == generation) to_scheduler();
  }
  me->state = State::ready;
  return m.values[generation & 1];
}

inline bool runnable(const Fiber& x) {
  if (x.state == State::ready) return true;
  return x.state == State::in_meeting && !(B->warps[x.warp].meetings[x.mask].arrived >> x.lane & 1);
}

inline void resume(Block& b, Fiber& x) {
  b.current = &x;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&b.fake_stack, x.stack.data(), x.stack.size());
#endif
  swapcontext(&b.scheduler, &x.context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(b.fake_stack, nullptr, nullptr);
#endif
}

// Runs threads until none can go on; returns whether any ran.
inline bool round(Block& b, const std::vector<unsigned>& order) {
  bool ran = false;
  const unsigned ahead = order[0] / 32;
  if (seed & 1)
    for (bool again = true; again;) {
      again = false;
      for (unsigned i : order)
        if (i / 32 == ahead && b.fibers[i].state != State::done && runnable(b.fibers[i])) {
          ran = again = true;
          resume(b, b.fibers[i]);
        }
    }
  for (unsigned i : order)
    if (b.fibers[i].state != State::done && runnable(b.fibers[i])) {
      ran = true;
      resume(b, b.fibers[i]);
    }
  return ran;
}

// Says why no thread can go on.
inline void deadlock(Block& b) {
  for (Fiber& x : b.fibers) {
    if (x.state == State::done) continue;
    b.current = &x;
    if (x.state == State::at_barrier)
      fail("__syncthreads waits for threads that never come");
    else if (x.mask & b.warps[x.warp].exited)
      fail("a warp collective waits for a lane that has exited");
    else
      fail("a warp collective waits for a lane that never comes");
    return;
  }
}

// Lets the threads that wait at a barrier go on.
inline void open_barrier(Block& b) {
  const void* place = nullptr;
  for (Fiber& x : b.fibers) {
    if (x.state != State::at_barrier) continue;
    b.current = &x;
    if (place && place != x.place) {
      fail("threads of one block wait at different __syncthreads");
      break;
    }
    place = x.place;
  }
  for (Fiber& x : b.fibers)
    if (x.state == State::at_barrier) x.state = State::ready;
}

inline void run_block(Block& b) {
  B = &b;
  const unsigned n = b.block_dim.x * b.block_dim.y * b.block_dim.z;
  b.fibers.resize(n);
  b.warps.assign((n + 31) / 32, {});
  for (unsigned i = 0; i < n; i++) {
    Fiber& x = b.fibers[i];
    x.thread = {i % b.block_dim.x, i / b.block_dim.x % b.block_dim.y, i / (b.block_dim.x * b.block_dim.y)};
    x.lane = i % 32;
    x.warp = i / 32;
    x.state = State::ready;
    x.stack.resize(64 << 10);
    getcontext(&x.context);
    x.context.uc_stack.ss_sp = x.stack.data();
    x.context.uc_stack.ss_size = x.stack.size();
    x.context.uc_link = nullptr;
    makecontext(&x.context, entry, 0);
  }
  for (unsigned lane = n % 32; n % 32 != 0 && lane < 32; lane++) b.warps.back().exited |= 1u << lane;
  std::vector<unsigned> order(n);
  for (unsigned i = 0; i < n; i++) order[i] = i;
  uint64_t random = seed * 0x9e3779b97f4a7c15ull + b.index.x + 1;
  for (;;) {
    if (seed)
      for (unsigned i = n; i > 1; i--) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::swap(order[i - 1], order[random % i]);
      }
    const bool ran = round(b, order);
    unsigned done = 0, waiting = 0;
    for (Fiber& x : b.fibers) {
      done += x.state == State::done;
      waiting += x.state == State::at_barrier;
    }
    if (done == n) break;
    if (waiting && waiting + done == n) {
      if (done) {
        deadlock(b);
        break;
      }
      open_barrier(b);
    } else if (!ran) {
      deadlock(b);
      break;
    }
  }
  B = nullptr;
}

// Runs a grid, block after block; returns whether nothing was found.
inline bool launch(dim3 grid, dim3 block, unsigned shared, const std::function<void()>& body) {
  const size_t before = errors.size();
  static Block b;
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        b.block_dim = block;
        b.grid_dim = grid;
        b.index = {x, y, z};
        b.body = body;
        b.dyn.assign(shared, char(0xff));
        b.dyn.shrink_to_fit();
        run_block(b);
        if (errors.size() != before) return false;
      }
  return true;
}

template <class T>
uint64_t bits(T v) {
  uint64_t u = 0;
  memcpy(&u, &v, sizeof v);
  return u;
}

template <class T>
T from_bits(uint64_t u) {
  T v;
  memcpy(&v, &u, sizeof v);
  return v;
}

// Copies a kernel's arguments, as a launch does, and leaves the call.
using Binder = std::function<std::function<void()>(void**)>;

inline std::map<std::string, Binder>& kernels() {
  static std::map<std::string, Binder> all;
  return all;
}

template <class... A, size_t... I>
std::function<void()> bind_arguments(void (*f)(A...), void** p, std::index_sequence<I...>) {
  auto arguments = std::make_tuple(*static_cast<A*>(p[I])...);
  return [f, arguments] { std::apply(f, arguments); };
}

template <class... A>
int add(const char* name, void (*f)(A...)) {
  kernels()[name] = [f](void** p) { return bind_arguments(f, p, std::index_sequence_for<A...>{}); };
  return 0;
}

}  // namespace emu

#define EMULATE(space, name) static const int emulated_##name = emu::add(#name, space::name);

#define threadIdx (emu::B->current->thread)
#define blockIdx (emu::B->index)
#define blockDim (emu::B->block_dim)
#define gridDim (emu::B->grid_dim)
#define __syncthreads() emu::barrier(__extension__({ __label__ here; here: &&here; }))

template <class T>
__attribute__((noinline)) T __shfl_xor_sync(unsigned mask, T v, int other) {
  const unsigned lane = emu::B->current->lane;
  return emu::from_bits<T>(emu::meet(mask, emu::bits(v), __builtin_return_address(0))[lane ^ other]);
}

inline __attribute__((noinline)) unsigned __ballot_sync(unsigned mask, int predicate) {
  const uint64_t* values = emu::meet(mask, predicate != 0, __builtin_return_address(0));
  unsigned all = 0;
  for (int i = 0; i < 32; i++)
    if (mask >> i & 1 && values[i]) all |= 1u << i;
  return all;
}

inline __attribute__((noinline)) void __syncwarp(unsigned mask = 0xffffffffu) {
  emu::meet(mask, 0, __builtin_return_address(0));
}

inline float __uint_as_float(unsigned u) { return emu::from_bits<float>(u); }
inline float __int_as_float(int i) { return emu::from_bits<float>(static_cast<unsigned>(i)); }
inline unsigned __float_as_uint(float x) { return static_cast<unsigned>(emu::bits(x)); }
