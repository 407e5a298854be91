#include "csrc/kernels/cuda_memory.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>

#include "csrc/kernels/cuda_status.h"

namespace masklstm {
namespace {

void Check(cudaError_t error) {
  if (error != cudaSuccess) cudaGetLastError();  // not to be found by a later call
  ThrowIfCudaError(CudaErrorText(error));
}

cudaStream_t StreamOf(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

void ThrowIfCudaError(const std::string& error) {
  if (!error.empty()) throw std::runtime_error(error);
}

CudaMemory::CudaMemory(int64_t bytes, void* stream) : stream_(stream) {
  Check(cudaMallocAsync(&data_, std::max<int64_t>(bytes, 1), StreamOf(stream)));
}

CudaMemory::~CudaMemory() { cudaFreeAsync(data_, StreamOf(stream_)); }

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
