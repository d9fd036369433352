#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_vqa.sh TWINLENS - `task import-vqa`: files of the form of VQAv2's and RealWorldQA's, made
# here, and a study of them; and, where the package easy-vqa is installed, its 48 000 questions.
set -u
bin=$(realpath "${1:?usage: test_vqa.sh TWINLENS}")
cd "$(dirname "$0")/../.."
data=$PWD/tests/data
model=$data/qwen2vl-tiny/checkpoint
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export TWINLENS_BACKEND=ref
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$tmp/out" "$tmp/err" | tail -n 5
    failures=$((failures + 1))
}

says() { # TEXT
    grep -qF -- "$1" "$tmp/out" "$tmp/err" || fail "wanted '$1'"
}

import() { # OUT OPTION...
    local out=$1
    shift
    "$bin" task import-vqa --model "$model" --out "$tmp/$out" "$@" > "$tmp/out" 2> "$tmp/err"
}

# ---- VQAv2's two files ------------------------------------------------------------------
mkdir "$tmp/val2014"
python3 - "$tmp" "$data/qwen2vl-tiny/goldens/images" << 'END'
import json, os, shutil, sys
tmp, pictures = sys.argv[1:]
questions, annotations = [], []
for i in range(12):  # two questions to each of six pictures, one after the other
    image, question = 9 + i % 6, 1000 + 7 * (12 - i)
    questions.append({"image_id": image, "question": "How many" + " dog" * (i % 3) + " are there?", "question_id": question})
    annotations.append({"question_type": "how many", "multiple_choice_answer": str(1 + i % 4), "image_id": image,
                        "answer_type": "number", "question_id": question, "answers": [{"answer": "9", "answer_id": 1}]})
    shutil.copy(f"{pictures}/{i % 6}.png", f"{tmp}/val2014/COCO_val2014_{image:012d}.jpg")
json.dump({"info": {}, "data_subtype": "val2014", "questions": questions[::-1]}, open(tmp + "/questions.json", "w"))
json.dump({"info": {}, "data_subtype": "val2014", "annotations": annotations}, open(tmp + "/annotations.json", "w"))
END
files=(--questions "$tmp/questions.json" --annotations "$tmp/annotations.json" --images "$tmp/val2014")
import first "${files[@]}" || fail "import"
says "$tmp/first: 6 of 12 questions, which are about 6 pictures or lines; 4 labels"
import random "${files[@]}" --sample random --seed 3 --n 5 || fail "import of a sample"
says "$tmp/random: 5 of 12 questions"
python3 - "$tmp" << 'END' || fail "rows"
import json, sys
tmp = sys.argv[1]
def rows_of(name):
    return [json.loads(line) for line in open(f"{tmp}/{name}/dataset.jsonl")]
asked = {str(q["question_id"]): q for q in json.load(open(tmp + "/questions.json"))["questions"]}
answers = {str(a["question_id"]): a["multiple_choice_answer"] for a in json.load(open(tmp + "/annotations.json"))["annotations"]}
first, random = rows_of("first"), rows_of("random")
assert [r["id"] for r in first] == [str(1000 + 7 * (12 - i)) for i in range(6)]  # the first of each picture, in order
for r in first + random:
    assert r["query"] == asked[r["id"]]["question"] + " Answer in a single word." and r["answer"] == answers[r["id"]]
    assert r["modality"] == "image" and r["split"] == "none" and "pair" not in r
    assert open(f"{tmp}/first/{r['image']}" if r in first else f"{tmp}/random/{r['image']}", "rb").read() == \
        open(f"{tmp}/val2014/COCO_val2014_{asked[r['id']]['image_id']:012d}.jpg", "rb").read()
assert len({asked[r["id"]]["image_id"] for r in random}) == 5 and [r["id"] for r in random] != [r["id"] for r in first][:5]
task = json.load(open(tmp + "/first/task.json"))
assert task == {"name": "vqa", "labels": ["1", "2", "3", "4"], "image_size": [252, 252]}, task
END
import again "${files[@]}" --sample random --seed 3 --n 5 || fail "the same sample again"
cmp -s "$tmp/random/dataset.jsonl" "$tmp/again/dataset.jsonl" || fail "the same seed makes another sample"

# ---- tables -------------------------------------------------------------------------------
mkdir "$tmp/world"
cp "$data"/qwen2vl-tiny/goldens/images/[0-2].png "$tmp/world"
printf 'image,question,answer\n0.png,"Which way, left?",12 dogs\n1.png,How many?,2\n2.png,How many?,12\n' > "$tmp/world/table.csv"
printf '%s\n' '{"file_name": "0.png", "question": "Which way, left?", "answer": "12 dogs"}' '' \
    '{"file_name": "1.png", "question": "How many?", "answer": "2"}' \
    '{"file_name": "2.png", "question": "How many?", "answer": "12"}' > "$tmp/world/table.jsonl"
for form in csv jsonl; do
    import "$form" --table "$tmp/world/table.$form" || fail "import of $form"
    says "3 of 3 questions"
done
cmp -s "$tmp/csv/dataset.jsonl" "$tmp/jsonl/dataset.jsonl" || fail "the two forms differ"
# The first token alone is the answer: of "12 dogs" the "1".
[ "$(grep -c '"answer": "1"' "$tmp/csv/dataset.jsonl")" = 2 ] || fail "answers are not cut to the first token"
grep -qF '"labels": ["1", "2"]' "$tmp/csv/task.json" || fail "labels"

# ---- what is wrong ------------------------------------------------------------------------
rm "$tmp/val2014/COCO_val2014_000000000011.jpg"
import bad "${files[@]}" && fail "a missing picture"
says "COCO_val2014_000000000011.jpg"
[ -e "$tmp/bad" ] && fail "something is written all the same"
import bad --questions "$tmp/questions.json" && fail "half of the files"
says "wanted --questions, --annotations and --images, or --table; see --help"
import bad "${files[@]:2}" --questions "$tmp/annotations.json" && fail "the wrong file"
says "annotations.json: no list 'questions' with entries"
echo '{"file_name": "0.png", "question": "Why?"}' > "$tmp/world/bad.jsonl"
import bad --table "$tmp/world/bad.jsonl" && fail "a row without an answer"
says "bad.jsonl:1: wanted 'image' (or 'file_name'), 'question' and 'answer', all of them words"
import first "${files[@]}" && fail "a folder that is not empty is written to"

# ---- a study, with and without a search ---------------------------------------------------------
study=(study --model "$model" --dataset "$tmp/first" --threads 1)
"$bin" "${study[@]}" --out "$tmp/run" > "$tmp/out" 2> "$tmp/err" || fail "study"
"$bin" summary "$tmp/run" > "$tmp/out" 2> "$tmp/err" || fail "summary"
says "back-patching of image states, 6 image prompts, 18 cells: accuracy among the labels"
says "no text rows: no comparison, no control; the split of all rows is 'none': no circuits"
"$bin" "${study[@]}" --bp-search halving --out "$tmp/search" > "$tmp/out" 2> "$tmp/err" || fail "a search"
"$bin" report "$tmp/run" "$tmp/search" --out "$tmp/page.html" > "$tmp/out" 2> "$tmp/err" || fail "report of both"
grep -q "no text rows, so no control" "$tmp/page.html" || fail "the page does not say what is absent"

# ---- 48 000 questions -----------------------------------------------------------------------
for python in python3 /usr/bin/python3 "${EASY_VQA_PYTHON:-none}" none; do
    "$python" -c 'import easy_vqa' 2> /dev/null && break
done
if [ "$python" != none ]; then
    "$python" examples/import_easy_vqa.py "$tmp/easy" > "$tmp/out" 2> "$tmp/err" || fail "examples/import_easy_vqa.py"
    import easy-set --questions "$tmp/easy/questions.json" --annotations "$tmp/easy/annotations.json" --images "$tmp/easy/images" \
        --n 40 || fail "import of easy-vqa"
    says "40 of 48248 questions, which are about 5000 pictures or lines"
    "$bin" study --model "$model" --dataset "$tmp/easy-set" --bp-search halving --out "$tmp/easy-run" > "$tmp/out" 2> "$tmp/err" ||
        fail "a study of easy-vqa"
else
    echo "skipped: no package easy-vqa for Python (EASY_VQA_PYTHON names one that has it)"
fi
[ $failures -eq 0 ] && echo "all well"
exit $((failures > 0))
