#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_install.sh BUILD - installs to a prefix that is then moved, and builds programs
# against what is there and nothing else: by pkg-config, statically, by CMake, in C++.
set -uo pipefail
build=$1 cc=${CC:-cc} cxx=${CXX:-c++}
# shellcheck disable=SC2206
flags=(-std=c11 -Wall -Wextra -Wpedantic -Werror ${CFLAGS:-})
here=$PWD/tests/install
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
die()
{
    echo "FAILED: $*"
    exit 1
}

cmake --install "$build" --prefix "$tmp/first" > "$tmp/log" 2>&1 || die "install: $(tail -n 5 "$tmp/log")"
mv "$tmp/first" "$tmp/prefix"
prefix=$tmp/prefix
pc=$(find "$prefix" -name twinlens.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
version=$(sed -n 's/^#define TL_VERSION "\(.*\)"/\1/p' "$prefix/include/twinlens/version.h")

said="$version runs qwen2_vl" # the consumers, of the bundled model

# ---- what the library exports is what the headers declare ------------------------------
"$cc" -E -P -I"$prefix/include" -x c "$prefix/include/twinlens/twinlens.h" | tr '\n' ' ' | tr ';{}' '\n' |
    grep -vw typedef | grep -oE '\btl_[a-z0-9_]+ *\([^*]' | sed 's/ *(.*//' | sort -u > "$tmp/declared"
nm -D --defined-only "$lib/libtwinlens.so" | sed 's/.* //' | grep -vE '^__(asan|odr_asan|ubsan)' | sort -u > "$tmp/exported"
diff "$tmp/declared" "$tmp/exported" > "$tmp/log" || die "declared (<) is not exported (>):
$(grep '^[<>]' "$tmp/log")"
[ "$(wc -l < "$tmp/exported")" -gt 100 ] || die "only $(wc -l < "$tmp/exported") functions"
readelf -d "$lib/libtwinlens.so" | grep -q "SONAME.*\[libtwinlens.so.${version%.*}\]" || die "soname: $(readelf -d "$lib/libtwinlens.so" | grep SONAME)"

# ---- the program ----------------------------------------------------------------------
[ "$("$prefix/bin/twinlens" --version)" = "twinlens $version" ] || die "twinlens --version"
"$prefix/bin/twinlens" inspect > "$tmp/log" 2>&1 || die "twinlens inspect: $(cat "$tmp/log")"

[ "$("$prefix/bin/twinlens" help --man)" = "$(cat "$prefix/share/man/man1/twinlens.1")" ] || die "the manual page"
[ "$("$prefix/bin/twinlens" help --bash)" = "$(cat "$prefix/share/bash-completion/completions/twinlens")" ] || die "completion in bash"
[ "$("$prefix/bin/twinlens" help --zsh)" = "$(cat "$prefix/share/zsh/site-functions/_twinlens")" ] || die "completion in zsh"

# ---- pkg-config -------------------------------------------------------------------------
[ "$(pkg-config --modversion twinlens)" = "$version" ] || die "pkg-config: $(pkg-config --modversion twinlens)"
# shellcheck disable=SC2046
"$cc" "${flags[@]}" "$here/consumer.c" -o "$tmp/consumer" $(pkg-config --cflags --libs twinlens) || die "pkg-config"
[ "$("$tmp/consumer")" = "$said" ] || die "a program by pkg-config"

# ---- a whole study from C, and once more, when it is finished ------------------------------
[ "$(wc -l < examples/study.c)" -le 60 ] || die "examples/study.c has more than 60 lines"
# shellcheck disable=SC2046
"$cc" "${flags[@]}" examples/study.c -o "$tmp/study" $(pkg-config --cflags --libs twinlens) || die "examples/study.c"
"$tmp/study" 12 "$tmp/counting" > "$tmp/found" 2> "$tmp/log" || die "a study: $(cat "$tmp/log")"
for modality in text image; do
    grep -qE "^$modality: right [01]\.[0-9]+ of the time; [0-9.]+ % of the components do [0-9.]+ of the job\$" "$tmp/found" ||
        die "a study found: $(cat "$tmp/found")"
done
grep -q '</html>' "$tmp/counting/report.html" || die "a study without a report"
"$tmp/study" 12 "$tmp/counting" > "$tmp/again" 2> "$tmp/log" || die "a finished study: $(cat "$tmp/log")"
[ ! -s "$tmp/log" ] && cmp -s "$tmp/found" "$tmp/again" || die "a finished study was computed again: $(cat "$tmp/log")"

# ---- libtwinlens.a: a prefix without the other -------------------------------------------
mkdir "$tmp/static"
cp -r "$lib" "$tmp/static/lib"
rm "$tmp"/static/lib/libtwinlens.so*
# shellcheck disable=SC2046
"$cc" "${flags[@]}" -I"$prefix/include" "$here/consumer.c" -o "$tmp/consumer" \
    $(PKG_CONFIG_PATH=$tmp/static/lib/pkgconfig pkg-config --static --libs twinlens) || die "static"
[ "$("$tmp/consumer" "$prefix/share/twinlens/models/organism")" = "$said" ] || die "a static program"

# ---- CMake, in C and in C++ -------------------------------------------------------------
cmake -S "$here" -B "$tmp/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_C_FLAGS="${CFLAGS:-}" -DCMAKE_CXX_FLAGS="${CFLAGS:-}" > "$tmp/log" 2>&1 &&
    cmake --build "$tmp/build" >> "$tmp/log" 2>&1 || die "CMake: $(tail -n 20 "$tmp/log")"
for program in consumer_c consumer_cxx; do
    [ "$("$tmp/build/$program")" = "$said" ] || die "$program by CMake"
done
