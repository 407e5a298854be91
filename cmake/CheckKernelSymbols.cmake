# Fails if an object of the CPU kernels shows the linker more than its table of functions. An inline
# function that several of them define would be merged into one copy, possibly one whose instructions
# the machine does not have.
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --demangle --defined-only --extern-only ${object}
    OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "Could not list the symbols of ${object}")
  endif()
  string(REGEX REPLACE "[0-9a-f]+ [A-Za-z] masklstm::k[A-Za-z0-9]+Kernels\n" "" shared "${symbols}")
  if(NOT shared STREQUAL "")
    message(FATAL_ERROR "${object} defines symbols besides its table of kernels:\n${shared}"
      "Put them into an unnamed namespace.")
  endif()
endforeach()
