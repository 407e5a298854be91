// As much of CUDA's runtime as csrc/ uses, on the CPU: so that the kernels' logic can be tested
// where there is no GPU. It says nothing about speed, and nothing about races between blocks, which
// run one after the other here.
//
// Each thread of a block is a fiber. It runs until it has to wait for others (at __syncthreads or a
// shuffle); if all of them wait for ever, the process ends with a message. Fibers are begun by
// makecontext and switched by _setjmp and _longjmp, which do without a system call.
//
// What is put on a stream runs when somebody waits for that stream, and no earlier: whoever reads
// what another stream writes, without waiting for it, reads what was there before.
#ifndef MASKLSTM_TESTS_CUDA_EMULATOR_CUDA_RUNTIME_H_
#define MASKLSTM_TESTS_CUDA_EMULATOR_CUDA_RUNTIME_H_

#include <setjmp.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#define __host__
#define __device__
#define __global__ static
#define __shared__ static
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  dim3(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

inline dim3 threadIdx, blockIdx, gridDim, blockDim;

namespace emulator {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;
constexpr size_t kStackBytes = 128 << 10;

// Where fibers wait for each other.
struct Barrier {
  int arrived = 0;
  uint64_t generation = 0;
};

struct Fiber {
  ucontext_t start;
  jmp_buf place;
  bool has_begun = false;
  bool is_done = false;
};

struct Block {
  ucontext_t scheduler;
  jmp_buf scheduler_place;
  std::vector<Fiber> fibers;
  int current = 0;
  int alive = 0;
  uint64_t progress = 0;
  Barrier all;
  Barrier warps[kMaxThreads / kWarp];
  alignas(16) char slots[2][kMaxThreads][8];
  char parity[kMaxThreads] = {};
  const std::function<void()>* kernel = nullptr;
};

inline Block* block = nullptr;

inline void Yield() {
  if (_setjmp(block->fibers[block->current].place) == 0) _longjmp(block->scheduler_place, 1);
}

inline __attribute__((noinline)) void Resume(Fiber* fiber) {
  if (_setjmp(block->scheduler_place) != 0) return;
  if (fiber->has_begun) _longjmp(fiber->place, 1);
  fiber->has_begun = true;
  swapcontext(&block->scheduler, &fiber->start);
}

inline void Wait(Barrier* barrier, int expected) {
  const uint64_t generation = barrier->generation;
  if (++barrier->arrived == expected) {
    barrier->arrived = 0;
    ++barrier->generation;
    ++block->progress;
    return;
  }
  while (barrier->generation == generation) Yield();
}

inline void RunFiber() {
  (*block->kernel)();
  block->fibers[block->current].is_done = true;
  --block->alive;
  ++block->progress;
  _longjmp(block->scheduler_place, 1);
}

inline char* StackOf(int thread) {
  static std::vector<std::unique_ptr<char[]>> stacks;  // kept for all launches
  while (stacks.size() <= static_cast<size_t>(thread)) {
    stacks.emplace_back(new char[kStackBytes]);
  }
  return stacks[thread].get();
}

inline void RunBlock(const std::function<void()>& kernel) {
  const int num_threads = blockDim.x;
  Block state;
  state.fibers.resize(num_threads);
  state.alive = num_threads;
  state.kernel = &kernel;
  block = &state;
  for (int i = 0; i < num_threads; ++i) {
    ucontext_t& start = state.fibers[i].start;
    getcontext(&start);
    start.uc_stack.ss_sp = StackOf(i);
    start.uc_stack.ss_size = kStackBytes;
    start.uc_link = nullptr;
    makecontext(&start, RunFiber, 0);
  }
  while (state.alive > 0) {
    const uint64_t before = state.progress;
    for (state.current = 0; state.current < num_threads; ++state.current) {
      if (state.fibers[state.current].is_done) continue;
      threadIdx = dim3(state.current);
      Resume(&state.fibers[state.current]);
    }
    if (state.progress == before) {
      std::fprintf(stderr, "CUDA emulator: the threads of a block wait for each other for ever\n");
      std::abort();
    }
  }
}

template <typename T>
T Shuffle(T value, int source) {
  static_assert(sizeof(T) <= 8);
  const int self = threadIdx.x;
  const int parity = block->parity[self] ^= 1;  // those of the shuffle before may still be read
  std::memcpy(block->slots[parity][self], &value, sizeof(T));
  Wait(&block->warps[self / kWarp], kWarp);
  T result;
  std::memcpy(&result, block->slots[parity][source], sizeof(T));
  return result;
}

}  // namespace emulator

inline void __syncthreads() { ::emulator::Wait(&::emulator::block->all, ::emulator::block->alive); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
  const int self = threadIdx.x;
  const int source = self ^ mask;
  return ::emulator::Shuffle(value, source / width == self / width ? source : self);
}

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorUnsupportedPtxVersion = 222,
};
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
using cudaStream_t = struct CUstream_st*;

namespace emulator {

using Work = std::vector<std::function<void()>>;

inline Work& WorkOf(cudaStream_t stream) {
  static auto* streams = new std::map<cudaStream_t, Work>;  // until the process ends
  const bool is_default = reinterpret_cast<uintptr_t>(stream) == 1;  // its other name
  return (*streams)[is_default ? nullptr : stream];
}

inline void Run(cudaStream_t stream) {
  Work work;
  work.swap(WorkOf(stream));
  for (const auto& each : work) each();
}

inline void Put(cudaStream_t stream, std::function<void()> work) {
  constexpr size_t kMostWaiting = 1000;  // such as memory that nobody asks for any more
  if (WorkOf(stream).size() >= kMostWaiting) Run(stream);
  WorkOf(stream).push_back(std::move(work));
}

}  // namespace emulator

struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  using namespace emulator;
  // For tests of what is said when a launch fails.
  if (const char* error = std::getenv("CUDA_EMULATOR_LAUNCH_ERROR")) {
    return static_cast<cudaError_t>(std::atoi(error));
  }
  if (config->blockDim.x > kMaxThreads || config->gridDim.y > 65535 || config->gridDim.x == 0) {
    return cudaErrorInvalidValue;
  }
  Put(config->stream, [config = *config, kernel,
                       values = std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)] {
    gridDim = config.gridDim;
    blockDim = config.blockDim;
    const std::function<void()> run = [&] { std::apply(kernel, values); };
    for (unsigned y = 0; y < config.gridDim.y; ++y) {
      for (unsigned x = 0; x < config.gridDim.x; ++x) {
        blockIdx = dim3(x, y);
        RunBlock(run);
      }
    }
  });
  return cudaSuccess;
}

inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }
inline const char* cudaGetErrorString(cudaError_t) { return "of the emulator"; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  return *value = 0, cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }

enum cudaMemAllocationType { cudaMemAllocationTypePinned };
enum cudaMemLocationType { cudaMemLocationTypeDevice };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold };
enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeDevice };
using cudaMemPool_t = struct CUmemPool_st*;
struct cudaMemPoolProps {
  cudaMemAllocationType allocType;
  struct {
    cudaMemLocationType type;
    int id;
  } location;
};
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};
inline cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) {
  return *pool = reinterpret_cast<cudaMemPool_t>(1), cudaSuccess;
}
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void*) {
  *attributes = {cudaMemoryTypeDevice, 0};
  return cudaSuccess;
}
inline cudaError_t cudaMallocFromPoolAsync(void** memory, size_t bytes, cudaMemPool_t,
                                           cudaStream_t) {
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  emulator::Put(stream, [memory] { std::free(memory); });
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream) {
  emulator::Put(stream, [to, from, bytes] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return emulator::Run(stream), cudaSuccess;
}

#endif  // MASKLSTM_TESTS_CUDA_EMULATOR_CUDA_RUNTIME_H_
