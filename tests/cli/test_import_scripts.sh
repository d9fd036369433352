#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_import_scripts.sh TWINLENS - examples/import_realworldqa.py on a parquet file made here, where
# Python has pyarrow; examples/import_published.py on small tables of the published form, and, where
# ../shared has the published ones, on those of one task and model.
set -u
bin=$(realpath "${1:?usage: test_import_scripts.sh TWINLENS}")
cd "$(dirname "$0")/../.."
data=$PWD/tests/data
model=$data/qwen2vl-tiny/checkpoint
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$tmp/out" "$tmp/err" | tail -n 5
    failures=$((failures + 1))
}

says() { # TEXT
    grep -qF -- "$1" "$tmp/out" "$tmp/err" || fail "wanted '$1'"
}

# ---- RealWorldQA: two parquet files, pictures of every kind in them ------------------------
for python in python3 /usr/bin/python3 "${PYARROW_PYTHON:-none}" none; do
    "$python" -c 'import pyarrow' 2> /dev/null && break
done
if [ "$python" != none ]; then
    "$python" - "$data/images" "$tmp" << 'END'
import os, sys
import pyarrow, pyarrow.parquet
images, tmp = sys.argv[1:]
files = ["basn2c16.png", "pjw-thumbnail.lossless.webp", "hippopotamus.jpeg", "synthetic-grey.jpg", "basn0g01.png"]
rows = [{"image": {"bytes": open(f"{images}/{name}", "rb").read(), "path": None}, "question": f"Which one is {i}? Answer \u201cA\u201d or B.",
         "answer": "12"[i % 2], "image_path": name} for i, name in enumerate(files)]
os.mkdir(tmp + "/world")
for i, part in enumerate((rows[:3], rows[3:])):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), f"{tmp}/world/test-0000{i}-of-00002.parquet")
END
    "$python" examples/import_realworldqa.py "$tmp/world" "$tmp/realworldqa" > "$tmp/out" 2> "$tmp/err" || fail "import_realworldqa.py"
    says "realworldqa: 5 questions"
    "$bin" task import-vqa --table "$tmp/realworldqa/metadata.jsonl" --model "$model" --out "$tmp/realworld" \
        > "$tmp/out" 2> "$tmp/err" || fail "import of the table"
    says "$tmp/realworld: 5 of 5 questions"
    python3 - "$data/images" "$tmp" << 'END' || fail "rows of RealWorldQA"
import json, sys
images, tmp = sys.argv[1:]
rows = [json.loads(line) for line in open(tmp + "/realworld/dataset.jsonl")]
files = ["basn2c16.png", "pjw-thumbnail.lossless.webp", "hippopotamus.jpeg", "synthetic-grey.jpg", "basn0g01.png"]
assert len(rows) == len(files)
for i, (row, name) in enumerate(zip(rows, files)):
    assert row["query"].startswith(f"Which one is {i}? Answer \u201cA\u201d or B.") and row["answer"] == "12"[i % 2], row
    assert open(f"{tmp}/realworld/{row['image']}", "rb").read() == open(f"{images}/{name}", "rb").read(), name
END
    "$bin" predict --model "$model" --dataset "$tmp/realworld" > "$tmp/out" 2> "$tmp/err" || fail "predict"
    "$python" examples/import_realworldqa.py "$tmp/world" > "$tmp/out" 2> "$tmp/err" && fail "one argument"
    says "examples/import_realworldqa.py RealWorldQA/data realworldqa"
else
    echo "skipped: no package pyarrow for Python (PYARROW_PYTHON names one that has it)"
fi

# ---- the published tables ---------------------------------------------------------------------
published() { # OPTION...
    python3 examples/import_published.py "$@" --twinlens "$bin" > "$tmp/out" 2> "$tmp/err"
}

# The table's numbers, counted again: rows of the CSV files, right ones, partners, and lengths as
# `predict` has them.
check_table() { # DATASET TEXT.csv IMAGE.csv MODEL
    "$bin" predict --model "$4" --dataset "$1" --json > "$tmp/predicted" 2> "$tmp/err" || fail "predict $1"
    python3 - "$@" "$tmp/out" "$tmp/predicted" << 'END' || fail "the table of $1"
import collections, csv, json, sys
dataset, text, image, _, table, predicted = sys.argv[1:]
rows = [json.loads(line) for line in open(dataset + "/dataset.jsonl", encoding="utf-8")]
of = {r["id"]: r for r in rows}
spans = collections.defaultdict(collections.Counter)
for p in map(json.loads, open(predicted)):
    row = of.get(p.get("id"), {})
    kind = "parallel" if row.get("split") == "none" else row.get("modality")
    spans[kind][(p["n_tokens"], *p["data"])] += 1
cells = [[c.strip() for c in line.split("|")[1:-1]] for line in open(table, encoding="utf-8")][2:]
assert len(cells) == 2, cells
for (path, kind), found in zip(((text, "text"), (image, "image")), cells):
    n = sum(1 for _ in csv.DictReader(open(path, newline="", encoding="utf-8")))
    right = sum(r.get("predicted") == r["answer"] for r in rows if r["modality"] == kind and r.get("split") != "none")
    partners = sum(r.get("split") == "none" for r in rows)
    assert found[2:5] == [kind, str(n), str(right)], (found, n, right)
    assert found[5] == (str(partners) if kind == "image" else ""), (found, partners)
    assert collections.Counter(found[6].split("; ")) == collections.Counter(
        f"{k} of {s[0]}, [{s[1]},{s[2]})" for s, k in spans[kind].items()), (found[6], spans[kind])
    if kind == "image":
        said = [f"{k} of {s[0]}, [{s[1]},{s[2]})" for s, k in spans["parallel"].items()]
        shown = [part for part in found[7].split("; ") if part and not part.endswith(" more")]
        assert set(shown) <= set(said) and len(shown) == min(3, len(said)), (found[7], said)
END
}

mkdir -p "$tmp/repo/data/arithmetic" "$tmp/repo/data/sentiment_analysis" "$tmp/repo/data_generation" "$tmp/models"
ln -s "$model" "$tmp/models/qwen2_vl"
base=$tmp/repo/data/arithmetic/qwen2-7b-vl-instruct
cp "$data/published/textual.csv" "${base}_textual_data.csv"
cp "$data/published/visual.csv" "${base}_visual_data.csv"
picture=(--stand-in "$data/images/basn2c16.png")
small=("$tmp/repo/data" --models "$tmp/models" --out "$tmp/sets" --family qwen2_vl "${picture[@]}")
published "${small[@]}" --task arithmetic || fail "import_published.py"
check_table "$tmp/sets/arithmetic.qwen2_vl" "${base}_textual_data.csv" "${base}_visual_data.csv" "$model"

# Descriptions are the lists in the script that made the pictures of them.
cat > "$tmp/repo/data_generation/generate_sentiment_analysis_images.py" << 'END'
import os
sad = ["A boy who cries alone", "A wilted flower"]
happy = ["A dog that runs"]
neutral = ["A chair in a room"]
prompts = [os.path.join("x", p) for p in sad]
END
python3 - "$tmp/repo/data/sentiment_analysis/qwen2-7b-vl-instruct" << 'END'
import csv, sys
ask = "Is this scene happy, sad, or neutral? Answer in a single word."
head, tail = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
with open(sys.argv[1] + "_textual_data.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["prompt", "gt_answer", "pred_answer"])
    table.writerow([f'{head}"""A dog that runs ..."""\n{ask}{tail}', "happy", "happy"])
with open(sys.argv[1] + "_visual_data.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["relative_image_path", "prompt", "gt_answer", "pred_answer"])
    for name, answer in (("sad_1", "sad"), ("happy_0", "happy"), ("neutral_0", "neutral")):
        table.writerow([f"images/{answer}/{name}.jpeg", f"{head}<|vision_start|><|image_pad|><|vision_end|>\n{ask}{tail}", answer, "sad"])
END
published "${small[@]}" --task sentiment_analysis || fail "import_published.py of descriptions"
says "| sentiment_analysis | qwen2_vl | image | 3 | 1 | 3 |"
base=$tmp/repo/data/sentiment_analysis/qwen2-7b-vl-instruct
check_table "$tmp/sets/sentiment.qwen2_vl" "${base}_textual_data.csv" "${base}_visual_data.csv" "$model"
python3 - "$tmp/sets/sentiment.qwen2_vl/dataset.jsonl" << 'END' || fail "descriptions"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
texts = {r["pair"]: r["data"] for r in rows if r.get("split") == "none"}
found = {r["image"].split("/")[-1].split(".")[0]: texts[r["pair"]] for r in rows if r["modality"] == "image"}
wanted = {"sad_1": "A wilted flower", "happy_0": "A dog that runs", "neutral_0": "A chair in a room"}
assert set(found) == set(wanted) and all(wanted[k] in found[k] for k in wanted), found
END
published "${small[@]}" --task counting && fail "tables that are not there"
says "qwen2-7b-vl-instruct_visual_data.csv"

shared=../shared/data
if [ -d $shared/prompts ] && [ -f $shared/tokenizers/qwen2/tokenizer.json.gz ]; then
    mkdir -p "$tmp/full/qwen2_vl"
    cp bench/configs/qwen2-vl-7b/*.json "$tmp/full/qwen2_vl"
    gzip -dc $shared/tokenizers/qwen2/tokenizer.json.gz > "$tmp/full/qwen2_vl/tokenizer.json"
    published $shared/prompts --models "$tmp/full" --out "$tmp/all" --family qwen2_vl --task counting "${picture[@]}" ||
        fail "the published counts"
    says "| counting | qwen2_vl | text | 1523 | 502 |  | 1523 of 46, [16,23) |  |"
    says "| counting | qwen2_vl | image | 382 | 271 | 382 | 382 of 119, [15,96) | 382 of 46, [16,23) |"
else
    echo "skipped: no ../shared"
fi

[ $failures -eq 0 ] && echo "all well"
exit $((failures > 0))
