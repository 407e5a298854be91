#include "csrc/tensorflow/threads.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>

#include "absl/synchronization/notification.h"

namespace masklstm {
namespace {

// Below that, waking a thread takes longer than it could save.
constexpr int64_t kFewestCycles = 1 << 17;
constexpr int64_t kTurnsPerThread = 64;

using Work = std::function<void(int64_t begin, int64_t end)>;

// Outlives the call for threads that come too late: they find no turn left and do not touch `work`.
class Turns {
 public:
  Turns(int64_t total, int64_t size, const Work& work) : total_(total), size_(size), work_(work) {}

  void TakeAll() {
    for (int64_t begin; (begin = next_.fetch_add(size_)) < total_;) {
      const int64_t end = std::min(total_, begin + size_);
      work_(begin, end);
      if (done_.fetch_add(end - begin) + end - begin == total_) all_done_.Notify();
    }
  }

  void Wait() { all_done_.WaitForNotification(); }

 private:
  const int64_t total_;
  const int64_t size_;
  const Work& work_;
  std::atomic<int64_t> next_{0};
  std::atomic<int64_t> done_{0};
  absl::Notification all_done_;
};

}  // namespace

ParallelFor ThreadPoolOf(tensorflow::OpKernelContext* context) {
  const auto* threads = context->device()->tensorflow_cpu_worker_threads();
  return [threads](int64_t total, int64_t cost, const Work& work) {
    const int64_t num_threads = std::min<int64_t>(threads->num_threads, total);
    if (num_threads <= 1 || total * cost < kFewestCycles) return work(0, total);
    const int64_t size = std::max<int64_t>(1, total / (num_threads * kTurnsPerThread));
    const auto turns = std::make_shared<Turns>(total, size, work);
    for (int64_t other = 1; other < num_threads; ++other) {
      threads->workers->Schedule([turns] { turns->TakeAll(); });
    }
    turns->TakeAll();
    turns->Wait();
  };
}

}  // namespace masklstm
