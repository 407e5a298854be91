// Before masked_loss_cuda.cu (nvcc --pre-include), this makes a build for many architectures that
// has one loss alone: the one whose kernels need most registers.
#ifdef MASKLSTM_CUDA_ARCHITECTURES  // not where CMake tries out nvcc
#define AllLosses EveryLoss
#include "csrc/losses/losses.h"
#undef AllLosses

namespace masklstm {
namespace {

using AllLosses = LossList<BinaryFocalCrossentropy>;

}  // namespace
}  // namespace masklstm
#endif
