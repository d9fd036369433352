#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every public header compiles alone, as C11 and as C++17, without a warning; and
# twinlens.h includes them all.
set -uo pipefail
cc=${CC:-cc} cxx=${CXX:-c++}
strict=(-Iinclude -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
bad=0
complain()
{
    echo "$*"
    bad=1
}

command -v "$cxx" > /dev/null || complain "no C++ compiler '$cxx' (Debian: g++)"
for header in include/twinlens/*.h; do
    name=${header#include/}
    # A translation unit is not empty in C, and a header may be included twice.
    unit=$(printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' "$name" "$name")
    "$cc" -x c -std=c11 "${strict[@]}" - <<< "$unit" || complain "$name is not C11 by itself"
    "$cxx" -x c++ -std=c++17 "${strict[@]}" - <<< "$unit" || complain "$name is not C++17 by itself"
    grep -q '^TL_BEGIN_DECLS$' "$header" && grep -q '^TL_END_DECLS$' "$header" ||
        case $name in
        twinlens/api.h | twinlens/twinlens.h) ;;
        *) complain "$name has no TL_BEGIN_DECLS and TL_END_DECLS" ;;
        esac
    "$cc" -Iinclude -MM -x c include/twinlens/twinlens.h | tr ' ' '\n' | grep -q "/${name#*/}\$" ||
        complain "twinlens.h does not include $name"
done
exit $bad
