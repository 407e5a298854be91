# Which instruction sets this machine has, as csrc/cpu/dispatch.cc asks for them.

# Leaves of a list of sets, from the least to the best, the best that this machine has.
function(keep_the_best_of_this_machine variable)
  set(found "")
  foreach(name IN LISTS ${variable})
    set(conditions_avx2 "__builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\")")
    set(conditions_avx512 "__builtin_cpu_supports(\"avx512f\") && __builtin_cpu_supports(\"avx512bw\")
        && __builtin_cpu_supports(\"avx512dq\") && __builtin_cpu_supports(\"avx512vl\")")
    set(file "${CMAKE_BINARY_DIR}/has_${name}.cc")
    file(WRITE "${file}" "int main() { return ${conditions_${name}} ? 0 : 1; }\n")
    try_run(ran compiled "${CMAKE_BINARY_DIR}/has_${name}" "${file}")
    if(compiled AND ran EQUAL 0)
      set(found ${name})
    endif()
  endforeach()
  message(STATUS "masklstm: the CPU kernels of this machine alone: ${found}")
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
