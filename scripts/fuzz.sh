#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fuzz.sh SECONDS [TARGET..] - builds tests/fuzz with clang's libFuzzer and runs every target,
# or those that are named, for so long. What a target finds is kept in build/fuzz/corpus; an
# input that ends it is kept in build/fuzz/found, and the status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: fuzz.sh SECONDS [TARGET..]}
shift

scripts/setup.sh fuzz
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
mkdir -p build/fuzz/found
[[ $# -gt 0 ]] || set -- $(cd tests/fuzz/corpus && ls)
failed=0
for target in "$@"; do
    mkdir -p "build/fuzz/corpus/$target"
    echo "fuzz: $target, $seconds s"
    build/fuzz/fuzz_"$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/found/$target-" \
        "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" >"build/fuzz/$target.log" 2>&1 ||
        failed=1
    grep -E 'ERROR|SUMMARY|Test unit written|DONE' "build/fuzz/$target.log" || true
done
exit $failed
