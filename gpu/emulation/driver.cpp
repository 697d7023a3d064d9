// A CUDA driver for machines without a device: host memory is device memory, kernels run on fibers.
//
// It has the functions that the crate calls, no more. SUANZI_EMULATION_SEED chooses the order of threads,
// SUANZI_EMULATION_LAZY=1 lets work wait for a synchronization, SUANZI_EMULATION_NO_DEVICE=1 has no
// device, SUANZI_EMULATION_OUT_OF_MEMORY=1 refuses every allocation. Freed and copied ranges are checked,
// device memory starts as NaN.
#include "fibers.h"

#include "../arithmetic.cuh"

namespace softmax {
#include "../softmax.cu"
}
EMULATE(softmax, softmax_row)
EMULATE(softmax, log_softmax_row)
EMULATE(softmax, softmax_row_fused)
EMULATE(softmax, log_softmax_row_fused)
EMULATE(softmax, long_max)
EMULATE(softmax, long_groups)
EMULATE(softmax, long_chunks_fused)
EMULATE(softmax, softmax_long_total)
EMULATE(softmax, log_softmax_long_total)
EMULATE(softmax, softmax_long)
EMULATE(softmax, log_softmax_long)
EMULATE(softmax, softmax_long_fused)
EMULATE(softmax, log_softmax_long_fused)

namespace rope {
#include "../rope.cu"
}
EMULATE(rope, rope_rotate)

namespace attention {
#include "../attention.cu"
}
#define EMULATE_SPLITS(name)                      \
  EMULATE(attention, attention_##name##_1_any)    \
  EMULATE(attention, attention_##name##_4_any)    \
  EMULATE(attention, attention_##name##_1_128)    \
  EMULATE(attention, attention_##name##_4_128)
EMULATE_SPLITS(f32)
EMULATE_SPLITS(bf16)
EMULATE_SPLITS(fused_f32)
EMULATE_SPLITS(fused_bf16)
EMULATE(attention, attention_join)
EMULATE(attention, cache_append_f32)
EMULATE(attention, cache_append_bf16)

namespace {

using Result = int;
using Address = uint64_t;

enum : Result {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  no_device = 100,
  invalid_device = 101,
  invalid_image = 200,
  not_found = 500,
  not_ready = 600,
  launch_failed = 719,
};

// A stream, and the work that waits in it.
struct Stream {
  std::vector<std::function<Result()>> waiting;
};

struct Event {
  bool recorded = false;
};

std::vector<Stream*> streams;
Stream default_stream;
std::map<Address, size_t> live;
int context;
// The first error of a kernel: every later call returns it, as a device does.
Result sticky = success;

bool has(const char* name) { return getenv(name) != nullptr; }

Result drain(Stream* stream) {
  auto waiting = std::move(stream->waiting);
  stream->waiting.clear();
  for (auto& work : waiting) {
    const Result r = work();
    if (r && !sticky) sticky = r;
  }
  return sticky;
}

Result drain_all() {
  for (Stream* stream : streams) drain(stream);
  return drain(&default_stream);
}

Result put(Stream* stream, std::function<Result()> work) {
  static const bool lazy = has("SUANZI_EMULATION_LAZY");
  if (sticky) return sticky;
  if (lazy) {
    (stream ? stream : &default_stream)->waiting.push_back(std::move(work));
    return success;
  }
  const Result r = work();
  if (r) sticky = r;
  return success;
}

// Whether `bytes` from `at` on lie in one allocation.
bool inside(Address at, size_t bytes) {
  auto next = live.upper_bound(at);
  if (next == live.begin()) return false;
  const auto& [start, size] = *--next;
  return at + bytes <= start + size;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) Result

API cuInit(unsigned) {
  if (const char* seed = getenv("SUANZI_EMULATION_SEED")) emu::seed = atoi(seed);
  return has("SUANZI_EMULATION_NO_DEVICE") ? no_device : success;
}
API cuDriverGetVersion(int* version) {
  *version = 13000;
  return success;
}
API cuDeviceGetCount(int* count) {
  *count = 1;
  return success;
}
API cuDeviceGet(int* device, int ordinal) {
  *device = 0;
  return ordinal == 0 ? success : invalid_device;
}
API cuDeviceGetName(char* name, int size, int) {
  snprintf(name, size, "emulation on host fibers");
  return success;
}
API cuDeviceGetAttribute(int* value, int attribute, int) {
  constexpr int multiprocessors = 16, optin_shared = 97;
  *value = attribute == multiprocessors ? 2 : attribute == optin_shared ? 227 * 1024 : 1024;
  return success;
}
API cuDevicePrimaryCtxRetain(void** to, int) {
  *to = &context;
  return success;
}
API cuDevicePrimaryCtxRelease_v2(int) { return success; }
API cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return success; }
API cuCtxSetCurrent(void*) { return success; }
API cuCtxGetCurrent(void** to) {
  *to = &context;
  return success;
}
API cuCtxSynchronize() { return drain_all(); }
API cuStreamCreateWithPriority(Stream** stream, unsigned, int) {
  *stream = new Stream;
  streams.push_back(*stream);
  return success;
}
API cuStreamDestroy_v2(Stream* stream) {
  drain(stream);
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  delete stream;
  return success;
}
API cuStreamSynchronize(Stream* stream) { return drain(stream ? stream : &default_stream); }
API cuEventCreate(Event** event, unsigned) {
  *event = new Event;
  return success;
}
API cuEventDestroy_v2(Event* event) {
  delete event;
  return success;
}
API cuEventRecord(Event* event, Stream* stream) {
  return put(stream, [=] {
    event->recorded = true;
    return success;
  });
}
API cuEventSynchronize(Event* event) {
  drain_all();
  return event->recorded ? sticky : not_ready;
}
API cuEventElapsedTime(float* milliseconds, Event*, Event*) {
  *milliseconds = 1.0f;
  return success;
}
API cuMemAlloc_v2(Address* to, size_t bytes) {
  if (sticky) return sticky;
  if (bytes == 0) return invalid_value;
  void* memory = nullptr;
  if (has("SUANZI_EMULATION_OUT_OF_MEMORY") || posix_memalign(&memory, 256, bytes)) return out_of_memory;
  memset(memory, 0xff, bytes);
  *to = reinterpret_cast<Address>(memory);
  live[*to] = bytes;
  return success;
}
API cuMemFree_v2(Address at) {
  drain_all();
  if (!live.erase(at)) return invalid_value;
  free(reinterpret_cast<void*>(at));
  return sticky;
}
API cuMemsetD8Async(Address at, unsigned char value, size_t bytes, Stream* stream) {
  if (!inside(at, bytes)) return invalid_value;
  return put(stream, [=] {
    memset(reinterpret_cast<void*>(at), value, bytes);
    return success;
  });
}
API cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, Stream* stream) {
  if (!inside(to, bytes)) return invalid_value;
  return put(stream, [=] {
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    return success;
  });
}
API cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, Stream* stream) {
  if (!inside(from, bytes)) return invalid_value;
  return put(stream, [=] {
    memcpy(to, reinterpret_cast<void*>(from), bytes);
    return success;
  });
}
API cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream* stream) {
  if (!inside(to, bytes) || !inside(from, bytes)) return invalid_value;
  return put(stream, [=] {
    memmove(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
    return success;
  });
}
API cuModuleLoadDataEx(void** module, const void* image, unsigned, void*, void*) {
  uint32_t magic;
  memcpy(&magic, image, sizeof magic);
  *module = &context;
  return magic == 0xba55ed50u ? success : invalid_image;
}
API cuModuleUnload(void*) { return success; }
API cuModuleGetFunction(emu::Binder** function, void*, const char* name) {
  const auto found = emu::kernels().find(name);
  if (found == emu::kernels().end()) return not_found;
  *function = &found->second;
  return success;
}
API cuFuncSetAttribute(void*, int, int) { return success; }
API cuLaunchKernel(emu::Binder* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, Stream* stream, void** parameters, void**) {
  const bool empty = !gx || !gy || !gz || !bx || !by || !bz;
  if (empty || bx * by * bz > 1024 || shared > 227 * 1024 || gy > 65535 || gz > 65535) return invalid_value;
  auto body = (*function)(parameters);
  return put(stream, [=] { return emu::launch({gx, gy, gz}, {bx, by, bz}, shared, body) ? success : launch_failed; });
}
