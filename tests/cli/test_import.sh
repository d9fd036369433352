#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_import.sh TWINLENS - `task import-published` as a person meets it: a dataset of
# published prompts, and a study of the rows whose stored prediction is right.
set -u
bin=$(realpath "${1:?usage: test_import.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tables=$PWD/tests/data/published
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export TWINLENS_BACKEND=ref
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$tmp/out" "$tmp/err" | tail -n 5
    failures=$((failures + 1))
}

import() {
    "$bin" task import-published --csv-text "$tables/textual.csv" --csv-image "$tables/visual.csv" \
        --model-family qwen2_vl --task arithmetic "$@" > "$tmp/out" 2> "$tmp/err"
}

says() { # TEXT
    grep -qF -- "$1" "$tmp/out" "$tmp/err" || fail "wanted '$1'"
}

# ---- with pictures ---------------------------------------------------------------------
mkdir -p "$tmp/pictures/images"
for name in $(grep -o 'images/[0-9a-z]*\.png' "$tables/visual.csv"); do
    cp tests/data/images/basn2c16.png "$tmp/pictures/$name"
done
import --images "$tmp/pictures" --out "$tmp/both" || fail "import"
says "$tmp/both: 24 text prompts of arithmetic, 18 with the right prediction"
says "$tmp/both: 12 image prompts, 9 with the right prediction, 12 with a parallel text prompt"
says "--keep stored --prompts 250"
rm -r "$tmp/pictures"
[ "$(ls "$tmp/both")" = "dataset.jsonl
images
task.json" ] || fail "files: $(ls "$tmp/both")"
[ "$(ls "$tmp/both/images" | wc -l)" -eq 12 ] || fail "pictures that are the dataset's own"

# ---- without -----------------------------------------------------------------------------
import --out "$tmp/text" || fail "import without pictures"
says "text only; the 12 image prompts of $tables/visual.csv are left out, since they need their pictures (--images)"
import --out "$tmp/text" && fail "a folder that is not empty is written to"
says "$tmp/text: is not empty"
import --out "$tmp/text" --force || fail "--force"

# ---- a study of what was stored ------------------------------------------------------------
study=(study --model tests/data/qwen2vl-tiny/checkpoint --fractions 0.5,1 --threads 1
       --validate 0 --bp-grid none)
"$bin" "${study[@]}" --dataset "$tmp/both" --keep stored --out "$tmp/run" > "$tmp/out" 2> "$tmp/err" ||
    fail "study --keep stored"
"$bin" export "$tmp/run" --out "$tmp/tables" > "$tmp/out" 2> "$tmp/err" || fail "export"
python3 - "$tmp" << 'END' || fail "the rows of the study are not those with a right stored prediction"
import csv, json, sys
tmp = sys.argv[1]
rows = [json.loads(line) for line in open(tmp + "/both/dataset.jsonl")]
pairs = list(csv.DictReader(open(tmp + "/tables/pair.csv")))
used = {int(p["row"]) for p in pairs}
right = {i for i, row in enumerate(rows) if row.get("predicted") == row["answer"]}
texts = {i for i in right if rows[i]["modality"] == "text"}
assert used <= right and texts <= used, (used, right)  # equal pictures count once
END

sed -i '3s/"predicted"/"x_predicted"/' "$tmp/text/dataset.jsonl"
"$bin" "${study[@]}" --dataset "$tmp/text" --keep stored --out "$tmp/run2" > "$tmp/out" 2> "$tmp/err" &&
    fail "a row without a stored prediction is studied"
says "dataset.jsonl:3: row 'text-2': no 'predicted', which --keep stored needs in every row"

[ $failures -eq 0 ] && echo "all well"
exit $((failures > 0))
