# The target `masklstm_kernels_cuda`, and what was decided about it: MASKLSTM_HAS_CUDA,
# MASKLSTM_CUDA_VERSION and MASKLSTM_CUDA_ARCHITECTURE_LIST.

set(MASKLSTM_HAS_CUDA FALSE)
set(MASKLSTM_CUDA_VERSION "")
set(MASKLSTM_CUDA_ARCHITECTURE_LIST "")
set(cuda_sources csrc/cuda/dispatch.cu csrc/cuda/memory.cc csrc/cuda/status.cc)

if(NOT MASKLSTM_CUDA MATCHES "^(AUTO|ON|OFF|EMULATED)$")
  message(FATAL_ERROR "MASKLSTM_CUDA must be AUTO, ON or OFF. Received: ${MASKLSTM_CUDA}")
endif()
if(MASKLSTM_CUDA STREQUAL "OFF")
  message(STATUS "masklstm: CUDA left out, as MASKLSTM_CUDA=OFF asks")
  return()
endif()

# For tests without a GPU: the CUDA sources compiled for the CPU (tests/cuda_emulator).
if(MASKLSTM_CUDA STREQUAL "EMULATED")
  set(MASKLSTM_HAS_CUDA TRUE)
  set(MASKLSTM_CUDA_VERSION "emulated")
  add_library(masklstm_kernels_cuda STATIC ${cuda_sources})
  set_source_files_properties(csrc/cuda/dispatch.cu PROPERTIES LANGUAGE CXX)
  target_include_directories(masklstm_kernels_cuda PRIVATE tests/cuda_emulator)
  target_compile_options(masklstm_kernels_cuda PRIVATE
    -O1 -U_FORTIFY_SOURCE -ffp-contract=off -Wno-unknown-pragmas $<$<COMPILE_LANGUAGE:CXX>:-xc++>)
  target_compile_definitions(masklstm_kernels_cuda PRIVATE
    MASKLSTM_CUDA_VERSION="emulated" MASKLSTM_CUDA_ARCHITECTURES="none")
  target_compile_definitions(masklstm_kernels_cuda INTERFACE MASKLSTM_HAS_CUDA)
  return()
endif()

include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  set(how "Install NVIDIA's CUDA toolkit and put its nvcc into PATH, or name it in the environment \
variable CUDACXX")
  if(MASKLSTM_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MASKLSTM_CUDA=ON, but there is no nvcc. ${how}. With MASKLSTM_CUDA=AUTO or "
      "OFF the build goes on without CUDA: on a GPU host the op then runs on the CPU.")
  endif()
  message(STATUS "masklstm: CUDA left out, since there is no nvcc. ${how}, and build again, with "
    "MASKLSTM_CUDA=ON, to have the ops on a GPU")
  return()
endif()

# Without a list: machine code for the cards that are here, or for a build that asks for CUDA, for
# each major architecture, which runs on its minor ones too. PTX of the newest for those to come.
if(NOT MASKLSTM_CUDA_ARCHITECTURES)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code
    OUTPUT_VARIABLE known RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${CMAKE_CUDA_COMPILER} --list-gpu-code failed; set MASKLSTM_CUDA_ARCHITECTURES")
  endif()
  string(REGEX MATCHALL "[0-9]+" known "${known}")
  list(SORT known COMPARE NATURAL)
  list(FILTER known EXCLUDE REGEX "^([0-6][0-9]|7[0-4])$")  # too old for what the kernels use
  if(MASKLSTM_CUDA STREQUAL "AUTO")
    include(cmake/CudaCards.cmake)
    masklstm_architectures_of_cards("${known}" MASKLSTM_CUDA_ARCHITECTURES)
    if(NOT MASKLSTM_CUDA_ARCHITECTURES)
      message(STATUS "masklstm: CUDA left out, since nvidia-smi names no card that this nvcc builds "
        "for. Build with MASKLSTM_CUDA=ON to have the ops on the GPUs of other machines, with "
        "MASKLSTM_CUDA_ARCHITECTURES for which ones")
      return()
    endif()
  else()
    list(GET known 0 MASKLSTM_CUDA_ARCHITECTURES)
    foreach(architecture IN LISTS known)
      if(architecture MATCHES "0$")
        list(APPEND MASKLSTM_CUDA_ARCHITECTURES ${architecture})
      endif()
    endforeach()
  endif()
  list(REMOVE_DUPLICATES MASKLSTM_CUDA_ARCHITECTURES)
endif()
set(MASKLSTM_CUDA_ARCHITECTURE_LIST ${MASKLSTM_CUDA_ARCHITECTURES})
list(SORT MASKLSTM_CUDA_ARCHITECTURE_LIST COMPARE NATURAL)
list(TRANSFORM MASKLSTM_CUDA_ARCHITECTURE_LIST APPEND "-real" OUTPUT_VARIABLE CMAKE_CUDA_ARCHITECTURES)
list(GET MASKLSTM_CUDA_ARCHITECTURE_LIST -1 newest)
list(APPEND CMAKE_CUDA_ARCHITECTURES ${newest}-virtual)

enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(MASKLSTM_HAS_CUDA TRUE)
set(MASKLSTM_CUDA_VERSION ${CMAKE_CUDA_COMPILER_VERSION})
string(REPLACE ";" ", " architectures "${MASKLSTM_CUDA_ARCHITECTURE_LIST}")
message(STATUS "masklstm: CUDA ${MASKLSTM_CUDA_VERSION} for the architectures ${architectures}")

set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
add_library(masklstm_kernels_cuda STATIC ${cuda_sources})
# Contraction is off as on the CPU. The report of registers and spills stands in the build's output
# where that is asked for.
set(MASKLSTM_PTXAS_FLAGS "" CACHE STRING "Options for ptxas, such as -v")
set(cuda_options -fmad=false --threads=0)
if(MASKLSTM_PTXAS_FLAGS)
  list(APPEND cuda_options -Xptxas=${MASKLSTM_PTXAS_FLAGS})
endif()
target_compile_options(masklstm_kernels_cuda PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_options}>")
target_compile_definitions(masklstm_kernels_cuda PRIVATE
  MASKLSTM_CUDA_VERSION="${MASKLSTM_CUDA_VERSION}" MASKLSTM_CUDA_ARCHITECTURES="${architectures}")
target_compile_definitions(masklstm_kernels_cuda INTERFACE MASKLSTM_HAS_CUDA)
set_target_properties(masklstm_kernels_cuda PROPERTIES CUDA_RUNTIME_LIBRARY None)
# The static runtime: nothing of CUDA is needed where the library is loaded. It must come before
# TensorFlow's libraries, which have functions of the same names.
target_link_libraries(masklstm_kernels_cuda PUBLIC CUDA::cudart_static)
