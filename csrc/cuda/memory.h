// Device memory for callers that have no framework of their own. What goes wrong is thrown, as
// std::runtime_error.
#ifndef MASKLSTM_CSRC_CUDA_MEMORY_H_
#define MASKLSTM_CSRC_CUDA_MEMORY_H_

#include <cstdint>
#include <string>

namespace masklstm {

// Memory that belongs to a stream: taken and given back in the order of the stream's work.
class CudaMemory {
 public:
  CudaMemory(int64_t bytes, void* stream);
  ~CudaMemory();
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  void* stream_;
};

// Throws if device memory belongs to another device than the current one, whose kernels could not
// read it.
void RequireCurrentDevice(const void* memory);

void ThrowIfCudaError(const std::string& error);
void CopyToDevice(const void* from, int64_t bytes, void* stream, void* to);
void CopyToHost(const void* from, int64_t bytes, void* stream, void* to);  // waits
void CopyOnDevice(const void* from, int64_t bytes, void* stream, void* to);
void WaitForCuda(void* stream);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_MEMORY_H_
