#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_threads.sh TWINLENS - a whole study by several threads ends with the bits of a study
# by one: every table of its store, and the score files. In a build with ThreadSanitizer
# (the preset races) it fails where two of them race. With 7 threads there are more of them
# than heads, which are then cut.
set -u
bin=$(realpath "${1:?usage: test_threads.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0

for threads in 1 2 7; do
    if ! "$bin" study --model tests/data/qwen2vl-tiny/checkpoint \
        --dataset tests/data/qwen2vl-tiny/goldens --keep all --fractions 0.05,0.5,1 \
        --validate 1 --bp-grid paper --threads $threads --out "$tmp/$threads" \
        > "$tmp/out" 2> "$tmp/err"; then
        echo "FAILED: $threads threads"
        tail -n 60 "$tmp/err"
        exit 1
    fi
    "$bin" export "$tmp/$threads" --out "$tmp/$threads.csv" > /dev/null || exit 1
    for file in "$tmp/1.csv"/* "$tmp/1"/scores.*; do
        other=${file/$tmp\/1/$tmp\/$threads}
        if [[ $file == */summary.json ]]; then
            for summary in "$file" "$other"; do
                sed -i '/"memory_bytes": {/,/}/d' "$summary"
            done
        fi
        if ! cmp -s "$file" "$other"; then
            echo "FAILED: $threads threads: another ${file##*/}"
            diff "$file" "$other" | head -n 4
            failures=1
        fi
    done
done
exit $failures
