// What Python hands to the kernels, checked, whether the arrays are NumPy's or in a GPU's memory.
#ifndef MASKLSTM_CSRC_PYTHON_ARGUMENTS_H_
#define MASKLSTM_CSRC_PYTHON_ARGUMENTS_H_

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "csrc/core/masked_loss.h"
#include "csrc/core/names.h"

namespace masklstm {

// A dense array, wherever its memory is.
struct ArrayView {
  const void* data;
  std::string dtype;  // as NumPy calls it
  std::vector<int64_t> shape;

  int64_t size() const;
  int64_t bytes() const;
  std::string ShapeText() const;  // as Python writes it
};

std::string Repr(const pybind11::handle& object);

[[noreturn]] void ThrowNotDense(const ArrayView& array, const char* name,
                                const pybind11::object& strides, const std::string& advice);

void RequireDtype(const ArrayView& array, const char* name, const std::string& expected);

// The name of the type that weights have, and row means.
std::string ComputingType(const MaskedLossInputs& inputs);

MaskedLossInputs MakeInputs(const ArrayView& y_true, const ArrayView& y_pred,
                            const std::string& loss, const std::optional<ArrayView>& sample_weight,
                            const std::optional<ArrayView>& mask, const pybind11::object& missing,
                            const pybind11::dict& parameters);

int NumChannelsOf(const std::string& loss, const pybind11::dict& parameters);

Reduction MakeReduction(const std::string& name);
Groups MakeGroups(const std::string& balance, const ArrayView& y_true);

// Refuses an output of another shape or type than y_pred's, one that cannot be written to, and one
// that shares memory with an input, unless it is the input itself: each element is read before it
// is written, but not before its neighbours are.
void CheckOut(const ArrayView& out, bool is_writeable, const ArrayView& y_true,
              const ArrayView& y_pred, const std::optional<ArrayView>& sample_weight,
              const std::optional<ArrayView>& mask);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_PYTHON_ARGUMENTS_H_
