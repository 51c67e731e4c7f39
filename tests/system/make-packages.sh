#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes the Debian package that the system tests install, in PW_BUILD/package: the one of this
# version, and the same programs under an earlier number, to upgrade from.
set -uo pipefail
: "${PW_BUILD:?is the build directory}" "${PW_SOURCE:?is the source directory}"
build=$PW_BUILD/package

pack() { # FILE [VERSION]
        local stage=$build/stage
        rm -rf "$stage" "$1" &&
                cpack --config "$build/CPackConfig.cmake" -B "$stage" \
                        ${2:+-D "CPACK_PACKAGE_VERSION=$2"} &&
                mv "$stage"/*.deb "$1" && rm -rf "$stage"
}

for program in cpack dpkg dpkg-shlibdeps file; do
        if ! command -v "$program" >/dev/null; then
                echo "skipped: needs $program"
                exit 77
        fi
done
cmake --preset package -S "$PW_SOURCE" -B "$build" --log-level=WARNING &&
        cmake --build "$build" --parallel "$(nproc)" &&
        pack "$build/portwatch.deb" && pack "$build/earlier.deb" 0.0.9
