// Faults that a sanitizer must see: scripts/sanitize.sh builds this file as it builds the kernels, and
// believes a clean run only after each of them has been reported.
#include <climits>
#include <cstdlib>
#include <thread>

extern "C" {

// A read behind the end of an array.
int asan(int length) {
  int* numbers = new int[length]();
  int found = numbers[length];
  delete[] numbers;
  return found;
}

// A signed integer that overflows.
int ubsan(int length) {
  int number = INT_MAX;
  return number + length;
}

// Two threads that write one number.
int tsan(int length) {
  int number = 0;
  std::thread other([&] {
    for (int i = 0; i < 1000 * length; ++i) ++number;
  });
  for (int i = 0; i < 1000 * length; ++i) ++number;
  other.join();
  return number;
}
}
