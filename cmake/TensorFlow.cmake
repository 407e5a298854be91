# The target `masklstm_tensorflow`: how to compile and link against the installed TensorFlow, and its
# version, MASKLSTM_TENSORFLOW_VERSION.

execute_process(
  COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/build_support/installed_tensorflow.py
  OUTPUT_VARIABLE found ERROR_VARIABLE problem RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  string(STRIP "${problem}" problem)
  message(FATAL_ERROR "${problem}")
endif()
list(GET found 0 tensorflow_folder)
list(GET found 1 MASKLSTM_TENSORFLOW_VERSION)
message(STATUS "masklstm: TensorFlow ${MASKLSTM_TENSORFLOW_VERSION}")

# An isolated build has its TensorFlow in another folder each time. By a name that stays for each
# version, and without its headers' dates, an unchanged source is not compiled again.
set(tensorflow_link ${CMAKE_BINARY_DIR}/tensorflow-${MASKLSTM_TENSORFLOW_VERSION})
file(CREATE_LINK ${tensorflow_folder} ${tensorflow_link} SYMBOLIC)
set(tensorflow_folder ${tensorflow_link})

add_library(masklstm_tensorflow INTERFACE)
target_include_directories(masklstm_tensorflow SYSTEM INTERFACE ${tensorflow_folder}/include)
# These must be as they were when TensorFlow was compiled, NDEBUG included: its classes differ in
# size without it.
target_compile_definitions(masklstm_tensorflow INTERFACE
  _GLIBCXX_USE_CXX11_ABI=1 EIGEN_MAX_ALIGN_BYTES=64 NDEBUG)
target_link_libraries(masklstm_tensorflow INTERFACE
  ${tensorflow_folder}/libtensorflow_cc.so.2 ${tensorflow_folder}/libtensorflow_framework.so.2)

# The target `masklstm_xla`: what a lowering to XLA needs besides. Wheels differ in which headers of
# XLA they have, and these include many others: the preprocessor says whether all are there.
set(xla_includes ${tensorflow_folder}/include
  ${tensorflow_folder}/include/external/highwayhash
  ${tensorflow_folder}/include/external/farmhash_archive/src)
add_library(masklstm_xla INTERFACE)
target_include_directories(masklstm_xla SYSTEM INTERFACE ${xla_includes})
target_link_libraries(masklstm_xla INTERFACE masklstm_tensorflow)

list(TRANSFORM xla_includes PREPEND "-I")
execute_process(
  COMMAND ${CMAKE_CXX_COMPILER} -std=c++17 -E -x c++ ${xla_includes}
          ${CMAKE_CURRENT_SOURCE_DIR}/csrc/tensorflow/xla_headers.h
  OUTPUT_QUIET ERROR_VARIABLE MASKLSTM_XLA_PROBLEM RESULT_VARIABLE status)
set(MASKLSTM_XLA_FOUND FALSE)
if(status EQUAL 0)
  set(MASKLSTM_XLA_FOUND TRUE)
endif()
