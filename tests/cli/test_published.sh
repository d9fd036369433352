#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_published.sh TWINLENS - the parallel text prompts that `task import-published` makes of the
# published pictures' names and scenes: of a few rows, and, where ../shared has them, of all
# tables; and a study in which they are partners and nothing else.
set -u
bin=$(realpath "${1:?usage: test_published.sh TWINLENS}")
cd "$(dirname "$0")/../.."
data=$PWD/tests/data
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

# TASK FAMILY TEXT.csv IMAGE.csv [OPTION...]: into $tmp/out-TASK-FAMILY, all pictures alike
import() {
    local task=$1 family=$2 text=$3 image=$4
    shift 4
    python3 - "$image" "$tmp/pictures" "$data/images/basn2c16.png" << 'END'
import csv, os, sys
for row in csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8")):
    path = os.path.join(sys.argv[2], row["relative_image_path"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        os.symlink(sys.argv[3], path)
END
    "$bin" task import-published --csv-text "$text" --csv-image "$image" --images "$tmp/pictures" --task "$task" \
        --model-family "$family" --out "$tmp/out-$task-$family" "$@" > "$tmp/out" 2> "$tmp/err"
}

# ---- a few rows ------------------------------------------------------------------------
cat > "$tmp/words.csv" << 'END'
prompt,gt_answer,pred_answer
"<s>[INST]Sequence: cat ball ball cat ball ball ball. How many ""cat"" are in the sequence? Answer in a single number. [/INST]",2,1
"<s>[INST]Sequence: bag bag cat cat bag cat bag. How many ""bag"" are in the sequence? Answer in a single number. [/INST]",4,4
END
cat > "$tmp/pictures.csv" << 'END'
relative_image_path,prompt,gt_answer,pred_answer
images/3_people_1_bag_3_chair.png,"<s>[INST][IMG]How many ""people"" are in the image? Answer in a single number. [/INST]",3,4
images/3_people_1_bag_3_chair.png,"<s>[INST][IMG]How many ""bag"" are in the image? Answer in a single number. [/INST]",1,1
images/5_cat_2_hat_x2.png,"<s>[INST][IMG]How many ""hat"" are in the image? Answer in a single number. [/INST]",2,2
END
import counting llava "$tmp/words.csv" "$tmp/pictures.csv" || fail "import of counts"
says "3 image prompts, 2 with the right prediction, 3 with a parallel text prompt"
[ "$(python3 tests/cli/check_parallel.py counting llava "$tmp/pictures.csv" "$tmp/out-counting-llava")" = 3 ] ||
    fail "counts"
grep -qF '"data": "Sequence: people bag chair people chair people chair"' "$tmp/out-counting-llava/dataset.jsonl" ||
    fail "the order of the words is not that of Python's random.seed(42)"

sed -i 's/5_cat_2_hat_x2/cats/' "$tmp/pictures.csv"
import counting llava "$tmp/words.csv" "$tmp/pictures.csv" --force && fail "a name without counts"
says "pictures.csv: 'images/cats.png' names no counts of up to 32 things, wanted a name such as 3_people_1_bag_3_chair.png"

python3 - "$data/published/scenes.json" "$tmp" << 'END'
import csv, json, sys
scenes = json.load(open(sys.argv[1]))["scenes"]
ask = "What is the color of the second object from the right? Answer in a single word.[/INST]"
of = "there is a red object, a blue object, a red object and a gray object. "
with open(sys.argv[2] + "/colors.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["relative_image_path", "prompt", "gt_answer", "pred_answer"])
    for s in scenes:
        answer = sorted(s["objects"], key=lambda o: o["pixel_coords"][0])[2]["color"]
        if answer in ("gray", "blue", "yellow", "green", "red"):
            rows.writerow(["CLEVR/images/" + s["image_filename"], "<s>[INST][IMG]" + ask, answer, answer])
    rows.writerow(["CLEVR/images/CLEVR_val_014999.png", "<s>[INST][IMG]" + ask, "red", "red"])
with open(sys.argv[2] + "/color_words.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["prompt", "gt_answer", "pred_answer"])
    rows.writerow(["<s>[INST]In a scene with four objects arranged horizontally, " + of + ask, "red", "red"])
END
n=$(($(wc -l < "$tmp/colors.csv") - 2))
import color_ordering llava "$tmp/color_words.csv" "$tmp/colors.csv" --scenes "$data/published/scenes.json" ||
    fail "import of colours"
says "$((n + 1)) image prompts, $((n + 1)) with the right prediction, $n with a parallel text prompt; --scenes says what"
[ "$(python3 tests/cli/check_parallel.py color_ordering llava "$tmp/colors.csv" "$tmp/out-color_ordering-llava" \
    "$data/published/scenes.json")" = "$n" ] && [ "$n" -gt 0 ] || fail "colours"

# ---- facts: all answers of a list, or those that occur ------------------------------------------
model=tests/data/qwen2vl-tiny/checkpoint
ask="What sport does this athlete play? Answer in a single word."
before='<|im_start|>system
You are a helpful assistant.<|im_end|>
<|im_start|>user
'
after='<|im_end|>
<|im_start|>assistant
'
printf 'prompt,gt_answer,pred_answer\n"%sConsider Ann Lee.\n%s%s",1,1\n' "$before" "$ask" "$after" > "$tmp/facts.csv"
printf 'relative_image_path,prompt,gt_answer,pred_answer\nimages/Bo_Ek.png,"%s<|vision_start|><|image_pad|><|vision_end|>%s%s",1,1\n' \
    "$before" "$ask" "$after" > "$tmp/fact_pictures.csv"
echo '{"What sport does this athlete play?": [["Ann Lee", "1"], ["Bo Ek", "1"], ["Cy Od", "2"], ["Di Ro", "3"]]}' > "$tmp/entities.json"
for labels in list seen; do
    import factual_recall qwen2_vl "$tmp/facts.csv" "$tmp/fact_pictures.csv" --entities "$tmp/entities.json" \
        --fr-labels $labels --model $model --force || fail "import of facts"
    cp "$tmp/out-factual_recall-qwen2_vl/dataset.jsonl" "$tmp/$labels.jsonl"
done
grep -qF '"labels": ["1", "2", "3"]' "$tmp/list.jsonl" || fail "the labels are not the answers of the list"
grep -qF '"labels": ["1"]' "$tmp/seen.jsonl" || fail "the labels are not the answers that occur"
says "parallel: 1 prompts of"
import factual_recall qwen2_vl "$tmp/facts.csv" "$tmp/fact_pictures.csv" --entities "$tmp/entities.json" --force &&
    fail "answers are cut without a tokenizer"
says "answers are cut to the first token of the model, wanted its tokenizer"

# ---- a study: partners are neither predicted nor attributed, and have any length ------------------
"$bin" task counting --style small --n 12 --model "$model" --out "$tmp/task" > "$tmp/out" 2> "$tmp/err" || fail "task"
python3 - "$tmp/task/dataset.jsonl" << 'END'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
with open(sys.argv[1], "w") as file:
    for row in rows:
        if row["modality"] == "text":
            partner = dict(row, id="parallel-" + row["id"], split="none", data=row["data"] + " dog" * (len(row["id"]) % 2))
            file.write(json.dumps(partner) + "\n")
            del row["pair"]
        file.write(json.dumps(row) + "\n")
END
"$bin" study --model $model --dataset "$tmp/task" --keep all --fractions 0.5,1 --threads 1 --validate 1 --circuit-tests 1 \
    --pictures 1 --out "$tmp/run" > "$tmp/out" 2> "$tmp/err" || fail "a study with partners"
"$bin" export "$tmp/run" --out "$tmp/tables" > "$tmp/out" 2> "$tmp/err" || fail "export"
python3 - "$tmp" << 'END' || fail "rows of a study with partners"
import csv, json, sys
tmp = sys.argv[1]
rows = [json.loads(line) for line in open(tmp + "/task/dataset.jsonl")]
table = lambda name: list(csv.DictReader(open(f"{tmp}/tables/{name}.csv")))
partner = {i for i, r in enumerate(rows) if r.get("split") == "none"}
assert len(partner) == 12
assert not partner & {int(p["row"]) for p in table("prompt")} and len(table("prompt")) == 24
assert not partner & {int(p["row"]) for p in table("pair")}
assert {int(p["text_row"]) for p in table("alignment")} == partner
assert {int(p["row"]) for p in table("backpatch") if p["modality"] == "text"} == partner
END
for python in python3 /usr/bin/python3 none; do
    "$python" -c 'import numpy, scipy' 2> /dev/null && break
done
[ $python = none ] || "$python" tests/cli/check_numbers.py "$bin" "$tmp/run" > "$tmp/out" 2> "$tmp/err" || fail "numbers"
"$bin" pair --model $model --dataset "$tmp/task" --keep all --out "$tmp/paired" > "$tmp/out" 2> "$tmp/err" || fail "pair"
[ "$(grep -c '"split": "none"' "$tmp/paired/dataset.jsonl")" = 12 ] || fail "pair changes partners"

# ---- all of them --------------------------------------------------------------------------
prompts=../shared/data/prompts
if [ -d "$prompts" ]; then
    scenes=../shared/data/clevr/CLEVR_val_scenes_500.json
    all=$(for of in qwen2_vl:qwen2-7b-vl-instruct llava:pixtral-12b gemma3:gemma-3-12b-it; do
        for task in counting arithmetic color_ordering factual_recall; do
            base=$prompts/$task/${of#*:}
            rm -rf "$tmp/pictures" "$tmp/out-$task-${of%:*}"
            options=()
            [ $task = color_ordering ] && options=(--scenes $scenes)
            import $task "${of%:*}" "${base}_textual_data.csv" "${base}_visual_data.csv" "${options[@]}" || echo "no import:"
            python3 tests/cli/check_parallel.py $task "${of%:*}" "${base}_visual_data.csv" "$tmp/out-$task-${of%:*}" $scenes
        done
    done 2>&1 | xargs)
    [ "$all" = "382 1000 60 1264 333 1000 16 1264 382 1000 60 1264" ] || fail "parallel prompts: $all"
else
    echo "skipped: no ../shared"
fi

[ $failures -eq 0 ] && echo "all well"
exit $((failures > 0))
