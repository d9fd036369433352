#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_examples.sh TWINLENS - the examples run, and say what the program says.
set -u
bin=$(realpath "${1:?usage: test_examples.sh TWINLENS}")
example=$(dirname "$bin")/attribute_prompt
cd "$(dirname "$0")/../.."
tiny=tests/data/qwen2vl-tiny
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

"$example" $tiny/checkpoint $tiny/goldens text-0 text-1 > "$tmp/heads" || fail "attribute_prompt"
[ "$(grep -c '^layer [0-9]*, position [0-9]*, head [0-9]*: ' "$tmp/heads")" -eq 10 ] ||
    fail "attribute_prompt does not name ten heads"
"$example" $tiny/checkpoint nowhere text-0 text-1 2> "$tmp/err" && fail "a missing dataset is no error"
grep -q nowhere "$tmp/err" || fail "attribute_prompt does not name the missing dataset"

"$bin" study --model $tiny/checkpoint --dataset $tiny/goldens --keep all --fractions 0.05,0.5,1 \
    --out "$tmp/run" > /dev/null 2>&1 || fail "study"
"$bin" export "$tmp/run" --out "$tmp/export" || fail "export"
"$bin" export "$tmp/run" --out "$tmp/again" || fail "export again"
diff -r "$tmp/export" "$tmp/again" || fail "two exports differ"
"$bin" summary "$tmp/run" --json | cmp - "$tmp/export/summary.json" || fail "summary.json is not the summary"
[ "$(wc -l < "$tmp/export/prompt.csv")" -eq 13 ] || fail "prompt.csv has not a line for each prompt"
# Layers, positions of text and image prompts, and a line of names.
[ "$(wc -l < "$tmp/export/importance.csv")" -eq $((1 + 4 * 45 + 4 * 44)) ] ||
    fail "importance.csv has not a line for each layer and position"
if python3 -c 'import pandas, matplotlib' 2> /dev/null; then
    python3 examples/heatmap.py "$tmp/export" "$tmp/map.png" || fail "heatmap.py"
    [ "$(head -c 4 "$tmp/map.png" | tail -c 3)" = PNG ] || fail "heatmap.py drew no PNG"
else
    echo "heatmap.py not run: no pandas or matplotlib"
fi
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
