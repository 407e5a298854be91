// The recurrent kernels' interface.
//
// Design:
//   A. The bits of the results do not depend on the number of threads: see loops.cc. They do on the
//      instruction set, since multiplication and addition are fused where it can do so.
//   B. The caller brings the threads (ParallelFor) and says how many there are.
#ifndef MASKLSTM_CSRC_RECURRENT_DISPATCH_H_
#define MASKLSTM_CSRC_RECURRENT_DISPATCH_H_

#include <cstdint>

#include "csrc/cpu/dispatch.h"
#include "csrc/recurrent/recurrent.h"
#include "csrc/recurrent/steps.h"

namespace masklstm {

struct Threads {
  int64_t number;
  ParallelFor parallel_for;
};

// Numbers that a training keeps of the forward pass, for the backward pass.
int64_t TapeSize(const RecurrentInputs& inputs, const Steps& steps);

void ComputeRecurrent(const RecurrentInputs& inputs, const Steps& steps, const Threads& threads,
                      const RecurrentOutputs& outputs);

// The gradients by weights and initial states. `tape` is that of ComputeRecurrent.
void ComputeRecurrentGradients(const RecurrentInputs& inputs, const Steps& steps, const void* tape,
                               const Threads& threads, const RecurrentGradients& gradients);

// The gradient by the sequences, batch x time x features, from the slopes of
// ComputeRecurrentGradients.
void ComputeSequencesGradient(const RecurrentInputs& inputs, const Steps& steps, const void* slopes,
                              const Threads& threads, void* gradient);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_DISPATCH_H_
