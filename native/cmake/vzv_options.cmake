# Compiler and linker flags of every target.

set(VZV_SANITIZE "" CACHE STRING "Sanitizers to build with: address, undefined, thread, or address,undefined")

add_compile_options(-Wall -Wextra -Werror -Wno-error=deprecated-declarations -fstack-protector-strong)
add_compile_definitions(_FILE_OFFSET_BITS=64)
include_directories("${CMAKE_SOURCE_DIR}")
find_package(Threads REQUIRED)
link_libraries(Threads::Threads)

if(VZV_SANITIZE)
  if(NOT VZV_SANITIZE MATCHES "^(address|undefined|thread|address,undefined)$")
    message(FATAL_ERROR "VZV_SANITIZE is '${VZV_SANITIZE}'; it must be address, undefined, thread or address,undefined")
  endif()
  # Instrumented code confuses the compiler's flow analysis into warnings that are not there.
  add_compile_options(-Wno-error)
  # As their makers advise: what is faster than -O2 takes longer to compile than to run, and hides frames.
  add_compile_options(-O1 -g1)
  # no-recover: a report ends the program with an error, so that a test cannot pass beside one.
  add_compile_options(-fsanitize=${VZV_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VZV_SANITIZE})
endif()
