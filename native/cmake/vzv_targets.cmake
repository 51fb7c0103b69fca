# Helpers for the CMakeLists.txt below.
#
#   vzv_library(core_chunk SOURCES a.cc b.cc LIBS core_base PkgConfig::zstd)   a static library, position independent
#   vzv_test(test_chunk SOURCES chunk_test.cc LIBS core_chunk)                 a doctest program, known to ctest
#   vzv_fuzzer(fuzz_chunk SOURCES fuzz_chunk.cc LIBS core_chunk)               takes --seed N --seconds N; in native/fuzz
#
# LIBS are linked publicly: who links core_store gets core_base with it.

function(vzv_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LIBS")
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LIBS})
endfunction()

function(vzv_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LIBS")
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE doctest::doctest ${ARG_LIBS})
  add_test(NAME ${name} COMMAND ${name})
  # A test that hangs is a failure, not a pause.
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
  add_dependencies(native_tests ${name})
endfunction()

function(vzv_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LIBS")
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS})
  add_dependencies(native_fuzzers ${name})
endfunction()
