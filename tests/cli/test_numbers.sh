#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_numbers.sh TWINLENS - every number that studies print is computed again from their
# study.db by a program that shares no code with twinlens (check_numbers.py); and what another
# measure of faithfulness changes.
set -u
bin=$(realpath "${1:?usage: test_numbers.sh TWINLENS}")
cd "$(dirname "$0")/../.."
for python in python3 /usr/bin/python3 none; do
    "$python" -c 'import numpy, scipy' 2> /dev/null && break
done
if [ $python = none ]; then
    echo "skipped: no numpy and scipy for Python"
    exit 77
fi
tmp=$(mktemp -d)
export OPENBLAS_NUM_THREADS=1
trap 'rm -rf "$tmp"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# study NAME OPTIONS...
study() {
    local name=$1
    shift
    "$bin" study --out "$tmp/$name" "$@" > /dev/null 2> "$tmp/log" || {
        fail "study $name"
        cat "$tmp/log"
    }
}
# The bundled model on words and drawings; a model of random weights, where much is undefined.
"$bin" task counting --style small --content held-out --n 24 --seed 3 --out "$tmp/data" > /dev/null
study counting --dataset "$tmp/data" --fractions 0,0.05,0.3 --bp-grid paper --validate 2
tiny=tests/data/qwen2vl-tiny
random=(--model $tiny/checkpoint --dataset $tiny/goldens --keep all --fractions 0,0.05,1)
study random "${random[@]}" --faith ratio_mean --niou ref
study searched "${random[@]}" --precision bf16-emulated --bp-search halving
"$python" tests/cli/check_numbers.py "$bin" "$tmp/counting" "$tmp/random" "$tmp/searched" > "$tmp/checked" || fail "numbers"
cat "$tmp/checked"
grep -q "[1-9][0-9]* in words leave resamples out" "$tmp/checked" || fail "no interval leaves resamples out"

# Image prompts alone: with circuits, and of free lengths without, told so or not; and texts of
# free lengths beside images of one.
for name in images free lengths texts; do
    mkdir "$tmp/$name"
    ln -s "$PWD/$tiny/goldens/images" "$PWD/$tiny/goldens/task.json" "$tmp/$name"
    "$python" - $tiny/goldens/dataset.jsonl $name > "$tmp/$name/dataset.jsonl" << 'END'
import json
import sys

rows = [json.loads(line) for line in open(sys.argv[1])]
kind = sys.argv[2]
for i, row in enumerate(row for row in rows if row["modality"] == "image" or kind == "texts"):
    if kind in ("free", "lengths") or row["modality"] == "text":
        row["query"] += " now" * (i % 3)
    if kind == "free":
        row["split"] = "none"
    if kind != "images":
        row.pop("cf")
    print(json.dumps(row))
END
    study "only-$name" --model $tiny/checkpoint --dataset "$tmp/$name" --keep all --fractions 0,0.05,1 --validate 2
    "$python" tests/cli/check_numbers.py "$bin" "$tmp/only-$name" || fail "numbers of image prompts alone: $name"
    "$bin" summary "$tmp/only-$name" > "$tmp/summary"
    case $name in
    images) said="no text rows: no comparison, no control" ;;
    free) said="no text rows: no comparison, no control; the split of all rows is 'none': no circuits" ;;
    lengths) said="no text rows: no comparison, no control; image prompts have several lengths: 2 of 6 are alike: no circuits" ;;
    texts) said="text prompts have several lengths: 2 of 6 are alike: no circuits" ;;
    esac
    grep -q "^$said$" "$tmp/summary" || fail "what is absent: $name"
done
grep -q "no circuits of text prompts: a circuit needs prompts of one length with the data at one place: row 'text-0' has" "$tmp/log" ||
    fail "the log does not say why there are no circuits"
grep -q "^2 of these pairs, whose text has the most frequent length (--bp-filter modal)$" "$tmp/summary" ||
    fail "back-patching is not told of the pairs of the most frequent length"
"$bin" report "$tmp/only-texts" --out "$tmp/texts.html" > /dev/null 2> "$tmp/log"
grep -q "<p><strong>Missing here:</strong> text prompts have several lengths: 2 of 6 are alike: no circuits.</p>" "$tmp/texts.html" || fail "the page says nothing"
grep -q "Of the 2 pairs whose text has the most frequent length" "$tmp/texts.html" || fail "the page does not tell of those pairs"
grep -q "<p>A modality has no circuits: no overlap and no interchange.</p>" "$tmp/texts.html" || fail "why there is no overlap"
"$bin" study --model $tiny/checkpoint --dataset "$tmp/texts" --keep all --modality text --out "$tmp/words" > /dev/null 2> "$tmp/log" &&
    fail "a study of nothing"
grep -q "a study of text alone needs prompts of one length" "$tmp/log" || fail "why text alone is refused"

# The two measures choose the same circuits here: then they differ in nothing but what is said of
# faithfulness without a name, interchange and the tests of circuits.
study other "${random[@]}" --niou ref
"$bin" summary --json "$tmp/random" > "$tmp/a.json"
"$bin" summary --json "$tmp/other" > "$tmp/b.json"
"$python" - "$tmp/a.json" "$tmp/b.json" <<'END' || fail "another measure of faithfulness"
import json
import sys

a, b = (json.load(open(path)) for path in sys.argv[1:])
for m in ("text", "image"):
    assert a["modalities"][m]["minimal"]["circuit"]["fraction"] == b["modalities"][m]["minimal"]["circuit"]["fraction"]
    assert a["modalities"][m].pop("circuit_tests") != b["modalities"][m].pop("circuit_tests")
different = {key for key in a if a[key] != b[key]} - {"memory_bytes"}
assert different == {"faith", "interchange"}, different
END
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
