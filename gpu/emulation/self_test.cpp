// Does the emulation find what it says it finds? Kernels with a planted mistake each, and one without.
// Build it with the address sanitizer: one of the mistakes is its to find.
#include "fibers.h"

#include <sys/wait.h>
#include <unistd.h>

namespace {

float memory[64];

float* shared() { return reinterpret_cast<float*>(emu::B->dyn.data()); }

// Each thread takes the number of the thread in front of it.
void good() {
  shared()[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  memory[threadIdx.x] = shared()[(threadIdx.x + 63) % 64];
}

void no_barrier() {
  shared()[threadIdx.x] = static_cast<float>(threadIdx.x);
  memory[threadIdx.x] = shared()[(threadIdx.x + 63) % 64];
}

void barrier_of_some() {
  if (threadIdx.x < 40) __syncthreads();
}

void two_barriers() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}

void lane_that_has_left() {
  if (threadIdx.x == 5) return;
  memory[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

void two_collectives() {
  float x = 0.0f;
  if (threadIdx.x % 2 == 0)
    x = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  else
    x = static_cast<float>(__ballot_sync(0xffffffffu, 1));
  memory[threadIdx.x] = x;
}

void unwritten_memory() { memory[threadIdx.x] = shared()[threadIdx.x]; }

void index_too_far() { shared()[threadIdx.x + 1] = 1.0f; }

bool run(void (*kernel)()) {
  std::fill(memory, memory + 64, -1.0f);
  return emu::launch({1, 1, 1}, {64, 1, 1}, 64 * sizeof(float), kernel);
}

bool right() {
  for (int i = 0; i < 64; i++)
    if (memory[i] != static_cast<float>((i + 63) % 64)) return false;
  return true;
}

// Whether one of the four schedules finds something in the kernel.
bool found(void (*kernel)()) {
  for (emu::seed = 0; emu::seed < 4; emu::seed++)
    if (!run(kernel) || !right()) return true;
  return false;
}

// Whether a process that runs the kernel is stopped.
bool stopped(void (*kernel)()) {
  const pid_t child = fork();
  if (child == 0) {
    freopen("/dev/null", "w", stderr);
    run(kernel);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}

}  // namespace

int main() {
  int missed = 0;
  const auto expect = [&](bool holds, const char* what) {
    printf("%s: %s\n", holds ? "ok" : "MISSED", what);
    missed += !holds;
  };
  expect(!found(good), "nothing is wrong with a right kernel");
  expect(found(no_barrier), "a missing barrier");
  expect(found(barrier_of_some), "a barrier that some threads never reach");
  expect(found(two_barriers), "threads at different barriers");
  expect(found(lane_that_has_left), "a collective that waits for a lane that has left");
  expect(found(two_collectives), "lanes of a warp at different collectives");
  run(unwritten_memory);
  expect(memory[7] != memory[7], "shared memory that nothing wrote is NaN");
#if defined(__SANITIZE_ADDRESS__)
  expect(stopped(index_too_far), "an index beyond shared memory");
#endif
  return missed;
}
