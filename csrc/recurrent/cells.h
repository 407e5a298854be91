// One step of an LSTM and of a GRU on registers, and its derivative, once the products with the
// weights are known.
//
// Sources: S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", 1997; F. Gers and others,
// "Learning to Forget", 2000; K. Cho and others, "Learning Phrase Representations using RNN
// Encoder-Decoder for Statistical Machine Translation", 2014, whose reset gate acts before the
// product.
#ifndef MASKLSTM_CSRC_RECURRENT_CELLS_H_
#define MASKLSTM_CSRC_RECURRENT_CELLS_H_

#include "csrc/recurrent/activations.h"
#include "csrc/recurrent/recurrent.h"

namespace masklstm {
namespace {

template <typename T>
Vec<T> OneMinus(Vec<T> x) {
  return ScalarLike(x, 1.0) - x;
}

// Exponentials are computed in line (flatten): calls would store and load all registers.

//   i = logistic(a_i)    f = logistic(a_f)    g = tanh(a_g)    o = logistic(a_o)
//   c' = f c + i g       h' = o tanh(c')
//
// with a = x W + h R + b. The groups of the tape are i, f, g, o.
struct Lstm {
  static constexpr CellLayout kLayout = kLstmLayout;

  // The step up to its last exponential. A second round over the rows does the rest, or each row
  // would wait for it.
  template <typename T>
  [[gnu::flatten]] static void Begin(const Vec<T>* of_input_and_state, const Vec<T>*,
                                     const Vec<T>* before, Vec<T>* groups, Vec<T>* after) {
    groups[0] = FastLogistic(of_input_and_state[0]);
    groups[1] = FastLogistic(of_input_and_state[1]);
    groups[2] = FastTanh(of_input_and_state[2]);
    groups[3] = FastLogistic(of_input_and_state[3]);
    after[1] = groups[1] * before[1] + groups[0] * groups[2];
  }

  template <typename T>
  [[gnu::flatten]] static void End(const Vec<T>*, Vec<T>* groups, Vec<T>* after) {
    after[0] = groups[3] * FastTanh(after[1]);
  }

  // From the slopes by the states after a step: those by what goes into the gates; `slope` becomes
  // what goes past the products to the states before.
  template <typename T>
  [[gnu::flatten]] static void Backward(const Vec<T>* groups, const Vec<T>* before,
                                        const Vec<T>* after, Vec<T>* slope, Vec<T>* slopes) {
    const Vec<T> i = groups[0], f = groups[1], g = groups[2], o = groups[3];
    const Vec<T> tanh_c = FastTanh(after[1]);
    const Vec<T> by_c = slope[1] + slope[0] * o * OneMinus(tanh_c * tanh_c);
    slopes[0] = by_c * g * i * OneMinus(i);
    slopes[1] = by_c * before[1] * f * OneMinus(f);
    slopes[2] = by_c * i * OneMinus(g * g);
    slopes[3] = slope[0] * tanh_c * o * OneMinus(o);
    slope[0] = ScalarLike(i, 0.0);
    slope[1] = by_c * f;
  }
};

//   z = logistic(a_z + b_z)    r = logistic(a_r + b_r)    g = tanh(a_g + r b_g)
//   h' = z h + (1 - z) g
//
// with a = x W + bias and b = h R + bias. The groups of the tape are z, r, g, b_g; those of the
// slopes are a_g, z, r, b_g.
struct Gru {
  static constexpr CellLayout kLayout = kGruLayout;

  template <typename T>
  [[gnu::flatten]] static void Begin(const Vec<T>* of_input, const Vec<T>* of_state, const Vec<T>*,
                                     Vec<T>* groups, Vec<T>*) {
    groups[0] = FastLogistic(of_input[0] + of_state[0]);
    groups[1] = FastLogistic(of_input[1] + of_state[1]);
    groups[2] = of_input[2] + groups[1] * of_state[2];
    groups[3] = of_state[2];
  }

  template <typename T>
  [[gnu::flatten]] static void End(const Vec<T>* before, Vec<T>* groups, Vec<T>* after) {
    groups[2] = FastTanh(groups[2]);
    after[0] = groups[0] * before[0] + OneMinus(groups[0]) * groups[2];
  }

  template <typename T>
  [[gnu::flatten]] static void Backward(const Vec<T>* groups, const Vec<T>* before, const Vec<T>*,
                                        Vec<T>* slope, Vec<T>* slopes) {
    const Vec<T> z = groups[0], r = groups[1], g = groups[2], of_state = groups[3];
    const Vec<T> by_g = slope[0] * OneMinus(z) * OneMinus(g * g);
    slopes[0] = by_g;
    slopes[1] = slope[0] * (before[0] - g) * z * OneMinus(z);
    slopes[2] = by_g * of_state * r * OneMinus(r);
    slopes[3] = by_g * r;
    slope[0] = slope[0] * z;
  }
};

//   z = logistic(a_z + b_z)    r = logistic(a_r + b_r)    q = r h    g = tanh(a_g + q R_g)
//   h' = z h + (1 - z) g
//
// with a = x W + bias and b = h R. The groups of the tape are g, z, r, q, and g is a_g while q is
// not known for all units; those of the slopes are a_g, z, r, and q once more.
struct GruResetBefore {
  static constexpr CellLayout kLayout = kGruResetBeforeLayout;

  template <typename T>
  [[gnu::flatten]] static void Begin(const Vec<T>* of_input_and_state, const Vec<T>*,
                                     const Vec<T>* before, Vec<T>* groups, Vec<T>*) {
    groups[0] = of_input_and_state[2];
    groups[1] = FastLogistic(of_input_and_state[0]);
    groups[2] = FastLogistic(of_input_and_state[1]);
    groups[3] = groups[2] * before[0];
  }

  template <typename T>
  [[gnu::flatten]] static void End(const Vec<T>* before, Vec<T>* groups, Vec<T>* after) {
    groups[0] = FastTanh(groups[0]);
    after[0] = groups[1] * before[0] + OneMinus(groups[1]) * groups[0];
  }

  template <typename T>
  [[gnu::flatten]] static void Backward(const Vec<T>* groups, const Vec<T>* before, const Vec<T>*,
                                        Vec<T>* slope, Vec<T>* slopes) {
    const Vec<T> g = groups[0], z = groups[1], r = groups[2];
    slopes[0] = slope[0] * OneMinus(z) * OneMinus(g * g);
    slopes[1] = slope[0] * (before[0] - g) * z * OneMinus(z);
    slopes[2] = r;  // until the slope by q is known
    slopes[3] = groups[3];
    slope[0] = slope[0] * z;
  }

  // The rest of it, from the slope by q.
  template <typename T>
  static void BackwardOfReset(Vec<T> by_q, Vec<T> before, Vec<T>* slope, Vec<T>* reset) {
    const Vec<T> r = *reset;
    *reset = by_q * before * r * OneMinus(r);
    *slope = *slope + by_q * r;
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_CELLS_H_
