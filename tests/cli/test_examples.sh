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
# A token may be a line's end, in quotes.
python3 -c 'import csv, sys; sys.exit(len(list(csv.reader(open(sys.argv[1], newline="")))) != 1 + 4 * 45 + 4 * 44)' \
    "$tmp/export/importance.csv" || fail "importance.csv has not a line for each layer and position"
# What the summary computes again with intervals is what the study has written.
python3 - "$tmp/export" << 'END' || fail "the summary's curves are not those of the study"
import csv, json, sys
curves = json.load(open(sys.argv[1] + "/summary.json"))["modalities"]
rows = list(csv.DictReader(open(sys.argv[1] + "/curve.csv")))
assert len(rows) == 2 * 3 * 3
for row in rows:
    point, = [p for p in curves[row["modality"]]["curves"][row["kind"]] if p["fraction"] == row["fraction"]]
    for name in "mean_of_ratios", "ratio_of_means", "median":
        got, wanted = point[name]["value"], float(row[name])
        assert abs(got - wanted) <= 1e-12 * (1 + abs(wanted)), (row, got)
END
if python3 -c 'import pandas, matplotlib' 2> /dev/null; then
    python3 examples/heatmap.py "$tmp/export" "$tmp/map.png" || fail "heatmap.py"
    [ "$(head -c 4 "$tmp/map.png" | tail -c 3)" = PNG ] || fail "heatmap.py drew no PNG"
else
    echo "heatmap.py not run: no pandas or matplotlib"
fi
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
