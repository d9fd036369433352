#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that twinlens builds and tests with, those that are
# missing. May be run any number of times. Without root or sudo, or on a system
# without apt, it names what is missing and stops with status 1.
#
#   setup.sh [fuzz|races]      what `make fuzz` or `make races` needs as well
set -euo pipefail

packages=(
    gcc g++ cmake ninja-build pkg-config
    libdnnl-dev libsqlite3-dev libpng-dev libjpeg62-turbo-dev libwebp-dev
    libjansson-dev libpcre2-dev libutf8proc-dev libcmocka-dev sqlite3
    libpango1.0-dev fonts-dejavu-core fonts-noto-color-emoji
    libopenmpi-dev openmpi-bin python3-numpy python3-scipy
)
[[ ${1:-} != fuzz ]] || packages+=(clang libclang-rt-dev)
[[ ${1:-} != races ]] || packages+=(clang libclang-rt-dev libomp-dev)
# A tool that is there already need not come from a package.
declare -A tool=([gcc]=gcc [g++]=g++ [cmake]=cmake [ninja-build]=ninja [pkg-config]=pkg-config [sqlite3]=sqlite3
    [clang]=clang [openmpi-bin]=mpirun)
# Elsewhere: what tells that a library is there.
declare -A module=([libsqlite3-dev]=sqlite3 [libpng-dev]=libpng [libjpeg62-turbo-dev]=libjpeg
    [libwebp-dev]=libwebp [libjansson-dev]=jansson [libpcre2-dev]=libpcre2-8
    [libutf8proc-dev]=libutf8proc [libcmocka-dev]=cmocka [libpango1.0-dev]=pangocairo
    [libopenmpi-dev]=ompi-c)

is_there() {
    local p=$1
    if [[ $p == libclang-rt-dev ]]; then
        [[ -e $(clang -print-file-name="libclang_rt.fuzzer-$(uname -m).a") ]]
    elif [[ $p == libomp-dev ]]; then # with archer
        [[ -e $(dirname "$(realpath "$(command -v clang)" 2>/dev/null)")/../lib/libarcher.so ]]
    elif [[ $p == python3-* ]]; then
        python3 -c "import ${p#python3-}" 2>/dev/null ||
            /usr/bin/python3 -c "import ${p#python3-}" 2>/dev/null
    elif [[ -n ${tool[$p]:-} ]]; then
        command -v "${tool[$p]}" >/dev/null
    elif [[ -n ${module[$p]:-} ]]; then
        pkg-config --exists "${module[$p]}" 2>/dev/null
    else
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
            [[ -e /usr/include/oneapi/dnnl/dnnl.h || -e /usr/local/include/oneapi/dnnl/dnnl.h ]]
    fi
}

missing=()
for p in "${packages[@]}"; do
    is_there "$p" || missing+=("$p")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo)
    else
        echo "setup: missing, and neither root nor sudo to install them: ${missing[*]}" >&2
        exit 1
    fi
fi
if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here; install the equivalents of: ${missing[*]}" >&2
    exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
