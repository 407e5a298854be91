#include "csrc/cuda/memory.h"

#include <cuda_runtime.h>

#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

#include "csrc/cuda/status.h"

namespace masklstm {
namespace {

void Check(cudaError_t error) {
  if (error != cudaSuccess) cudaGetLastError();  // not to be found by a later call
  ThrowIfCudaError(CudaErrorText(error));
}

cudaStream_t StreamOf(void* stream) { return static_cast<cudaStream_t>(stream); }

// A pool of our own, which keeps what was given back: the default one returns it to the system
// whenever somebody waits, and asking for it again takes longer than a kernel.
cudaMemPool_t PoolOfCurrentDevice() {
  static std::mutex mutex;
  static std::map<int, cudaMemPool_t> pools;
  const std::lock_guard<std::mutex> lock(mutex);
  int device;
  Check(cudaGetDevice(&device));
  cudaMemPool_t& pool = pools[device];
  if (pool == nullptr) {
    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device;
    Check(cudaMemPoolCreate(&pool, &properties));
    uint64_t kept = std::numeric_limits<uint64_t>::max();
    Check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept));
  }
  return pool;
}

}  // namespace

void ThrowIfCudaError(const std::string& error) {
  if (!error.empty()) throw std::runtime_error(error);
}

CudaMemory::CudaMemory(int64_t bytes, void* stream) : stream_(stream) {
  if (bytes == 0) return;
  Check(cudaMallocFromPoolAsync(&data_, bytes, PoolOfCurrentDevice(), StreamOf(stream)));
}

CudaMemory::~CudaMemory() {
  if (data_ == nullptr) return;
  // The stream may be gone; the error must not be found by a later call.
  if (cudaFreeAsync(data_, StreamOf(stream_)) != cudaSuccess) cudaGetLastError();
}

void RequireCurrentDevice(const void* memory) {
  if (memory == nullptr) return;
  cudaPointerAttributes attributes;
  int current;
  Check(cudaGetDevice(&current));
  Check(cudaPointerGetAttributes(&attributes, memory));
  if (attributes.type == cudaMemoryTypeDevice && attributes.device != current) {
    throw std::runtime_error("Expected an array on the current device, " + std::to_string(current) +
                             ". Received: one on device " + std::to_string(attributes.device));
  }
}

void CopyToDevice(const void* from, int64_t bytes, void* stream, void* to) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, StreamOf(stream)));
  WaitForCuda(stream);  // the caller may change `from`
}

void CopyToHost(const void* from, int64_t bytes, void* stream, void* to) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, StreamOf(stream)));
  WaitForCuda(stream);
}

void CopyOnDevice(const void* from, int64_t bytes, void* stream, void* to) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, StreamOf(stream)));
}

void WaitForCuda(void* stream) { Check(cudaStreamSynchronize(StreamOf(stream))); }

}  // namespace masklstm
