# The libraries of the system that the native code stands on, as imported targets:
#   PkgConfig::nbd  PkgConfig::fuse3  PkgConfig::zstd  OpenSSL::Crypto  nlohmann_json::nlohmann_json  doctest::doctest
#   vzv_node_api (only when VZV_ADDON is on)

find_package(PkgConfig REQUIRED)
pkg_check_modules(nbd REQUIRED IMPORTED_TARGET libnbd)
pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET fuse3)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(doctest REQUIRED)

# cmake-js hands the Node-API headers over in CMAKE_JS_INC; plain cmake finds the same ones in node_modules.
if(NOT CMAKE_JS_INC)
  set(node_modules "${CMAKE_SOURCE_DIR}/../node_modules")
  if(EXISTS "${node_modules}/node-api-headers/include/node_api.h" AND EXISTS "${node_modules}/node-addon-api/napi.h")
    set(CMAKE_JS_INC "${node_modules}/node-api-headers/include;${node_modules}/node-addon-api")
  endif()
endif()

# A sanitized addon would need a sanitized node, so there is none.
set(VZV_ADDON OFF)
if(CMAKE_JS_INC AND NOT VZV_SANITIZE)
  set(VZV_ADDON ON)
  add_library(vzv_node_api INTERFACE)
  target_include_directories(vzv_node_api SYSTEM INTERFACE ${CMAKE_JS_INC})
  target_compile_definitions(vzv_node_api INTERFACE NAPI_VERSION=9 NAPI_DISABLE_CPP_EXCEPTIONS)

  # vzv_addon(vzvault_addon vzvault SOURCES … LIBS …) makes vzvault.node in the top of the build directory.
  function(vzv_addon name file)
    cmake_parse_arguments(PARSE_ARGV 2 ARG "" "" "SOURCES;LIBS")
    add_library(${name} MODULE ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE vzv_node_api ${ARG_LIBS})
    set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME ${file} SUFFIX .node
                          LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
  endfunction()
endif()
