# The target `masklstm_tensorflow`: how to compile and link against the installed TensorFlow wheel.
#
# The wheel is found without importing it, and its version comes from its metadata. Abseil's inline
# namespace changes between TensorFlow's minor versions, so that one build serves one of them.

set(MASKLSTM_TENSORFLOW_MINOR "2.21")

execute_process(
  COMMAND ${Python_EXECUTABLE} -c "
import importlib.metadata, importlib.util, os
spec = importlib.util.find_spec('tensorflow')
if spec is None: raise SystemExit('it is not installed')
folder = os.path.dirname(spec.origin)
for name in ('tensorflow', 'tensorflow-cpu'):
    try: version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError: continue
    print(folder + ';' + version, end='')
    break
else: raise SystemExit('it has no metadata, neither as tensorflow nor as tensorflow-cpu')
"
  OUTPUT_VARIABLE found ERROR_VARIABLE problem RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  string(STRIP "${problem}" problem)
  message(FATAL_ERROR "TensorFlow ${MASKLSTM_TENSORFLOW_MINOR} is needed to build masklstm, but for "
    "${Python_EXECUTABLE} ${problem}. Install it with: pip install 'tensorflow==${MASKLSTM_TENSORFLOW_MINOR}.*'")
endif()
list(GET found 0 tensorflow_folder)
list(GET found 1 MASKLSTM_TENSORFLOW_VERSION)
if(NOT MASKLSTM_TENSORFLOW_VERSION MATCHES "^${MASKLSTM_TENSORFLOW_MINOR}[.]")
  message(FATAL_ERROR "masklstm builds against TensorFlow ${MASKLSTM_TENSORFLOW_MINOR}. "
    "Found: ${MASKLSTM_TENSORFLOW_VERSION} in ${tensorflow_folder}")
endif()
message(STATUS "masklstm: TensorFlow ${MASKLSTM_TENSORFLOW_VERSION}")

add_library(masklstm_tensorflow INTERFACE)
target_include_directories(masklstm_tensorflow SYSTEM INTERFACE ${tensorflow_folder}/include)
# These must be as they were when TensorFlow was compiled, NDEBUG included: its classes differ in
# size without it.
target_compile_definitions(masklstm_tensorflow INTERFACE
  _GLIBCXX_USE_CXX11_ABI=1 EIGEN_MAX_ALIGN_BYTES=64 NDEBUG)
target_link_libraries(masklstm_tensorflow INTERFACE
  ${tensorflow_folder}/libtensorflow_cc.so.2 ${tensorflow_folder}/libtensorflow_framework.so.2)

# The target `masklstm_xla`: what a lowering to XLA needs besides.
set(MASKLSTM_XLA_FOUND FALSE)
if(EXISTS ${tensorflow_folder}/include/xla/hlo/builder/xla_builder.h
   AND EXISTS ${tensorflow_folder}/include/tensorflow/compiler/tf2xla/xla_op_registry.h)
  set(MASKLSTM_XLA_FOUND TRUE)
  add_library(masklstm_xla INTERFACE)
  target_include_directories(masklstm_xla SYSTEM INTERFACE
    ${tensorflow_folder}/include/external/highwayhash
    ${tensorflow_folder}/include/external/farmhash_archive/src)
  target_link_libraries(masklstm_xla INTERFACE masklstm_tensorflow)
endif()
