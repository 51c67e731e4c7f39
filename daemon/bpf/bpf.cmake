# SPDX-License-Identifier: MIT
# The event engine, added to the target portwatch-daemon. Include this file once that is there.
#
# PORTWATCH_BPF=ON wants it, OFF leaves it out, AUTO takes it where the tools are: clang with the
# target bpf, bpftool, libbpf 1.0 or later. The programs need no headers of the running kernel.
set(PORTWATCH_BPF AUTO CACHE STRING "Event engine in the kernel: AUTO, ON or OFF")
set_property(CACHE PORTWATCH_BPF PROPERTY STRINGS AUTO ON OFF)

set(BPF_DIR ${CMAKE_CURRENT_LIST_DIR})
cmake_path(GET BPF_DIR PARENT_PATH BPF_ROOT)
cmake_path(GET BPF_ROOT PARENT_PATH BPF_ROOT)

# Sets BPF_MISSING to what is missing.
function(portwatch_bpf_find)
  find_program(CLANG NAMES clang clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
  find_program(BPFTOOL bpftool PATHS /usr/sbin /sbin /usr/local/sbin)
  pkg_check_modules(BPF IMPORTED_TARGET GLOBAL QUIET libbpf>=1.0)
  set(missing "")
  if(NOT CLANG)
    list(APPEND missing "clang")
  else()
    execute_process(COMMAND ${CLANG} -target bpf -x c -c -o ${CMAKE_CURRENT_BINARY_DIR}/bpf-probe.o /dev/null
      RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(NOT result EQUAL 0)
      list(APPEND missing "clang's target bpf")
    endif()
  endif()
  if(NOT BPFTOOL)
    list(APPEND missing "bpftool")
  endif()
  if(NOT BPF_FOUND)
    list(APPEND missing "libbpf 1.0 or later")
  endif()
  list(JOIN missing ", " missing)
  set(BPF_MISSING "${missing}" PARENT_SCOPE)
endfunction()

set(BPF_MISSING "switched off")
if(NOT PORTWATCH_BPF STREQUAL "OFF")
  portwatch_bpf_find()
endif()
if(PORTWATCH_BPF STREQUAL "ON" AND BPF_MISSING)
  message(FATAL_ERROR "PORTWATCH_BPF=ON, but missing: ${BPF_MISSING}")
endif()

if(BPF_MISSING)
  message(STATUS "Event engine: no (${BPF_MISSING})")
  target_sources(portwatch-daemon PRIVATE ${BPF_DIR}/engine-none.c)
else()
  message(STATUS "Event engine: yes")
  set(BPF_OUT ${CMAKE_CURRENT_BINARY_DIR}/bpf)
  file(MAKE_DIRECTORY ${BPF_OUT})
  # Where a multiarch system keeps <asm/types.h>.
  set(BPF_INCLUDES -I${BPF_ROOT})
  if(CMAKE_LIBRARY_ARCHITECTURE)
    list(APPEND BPF_INCLUDES -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
  endif()
  # portwatch_bpf_build(NAME HEADER [OPTION…]): NAME.bpf.c becomes a skeleton in HEADER.
  function(portwatch_bpf_build name header)
    string(REPLACE "-" "_" identifier ${name}_bpf)
    add_custom_command(OUTPUT ${BPF_OUT}/${header}
      COMMAND ${CLANG} -target bpf -mcpu=v2 -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror
              ${BPF_INCLUDES} -c ${BPF_DIR}/${name}.bpf.c -o ${BPF_OUT}/${name}.bpf.full.o
      COMMAND ${BPFTOOL} gen object ${BPF_OUT}/${name}.bpf.o ${BPF_OUT}/${name}.bpf.full.o
      COMMAND ${BPFTOOL} gen skeleton ${ARGN} ${BPF_OUT}/${name}.bpf.o name ${identifier}
              > ${BPF_OUT}/${header}
      DEPENDS ${BPF_DIR}/${name}.bpf.c ${BPF_DIR}/engine-kernel.h ${BPF_DIR}/engine-opener.h
              ${BPF_DIR}/engine-socket.h ${BPF_DIR}/engine-records.h
      COMMENT "Programs in the kernel: ${name}" VERBATIM)
  endfunction()
  portwatch_bpf_build(engine engine.skel.h)
  portwatch_bpf_build(engine-holders engine-holders.lskel.h --use-loader)
  target_sources(portwatch-daemon PRIVATE ${BPF_DIR}/engine-open.c ${BPF_DIR}/engine-events.c
    ${BPF_DIR}/engine-ring.c ${BPF_DIR}/engine-holders.c ${BPF_DIR}/engine-lists.c
    ${BPF_OUT}/engine.skel.h ${BPF_OUT}/engine-holders.lskel.h)
  target_include_directories(portwatch-daemon SYSTEM PRIVATE ${BPF_OUT})
  target_link_libraries(portwatch-daemon PUBLIC PkgConfig::BPF)
endif()
