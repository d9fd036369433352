#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_study.sh TWINLENS - `study` as a person meets it: a study runs, a finished one is
# left alone, another one is refused, and whatever is wrong ends in one clear line.
set -u
bin=$(realpath "${1:?usage: test_study.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tiny=$PWD/tests/data/qwen2vl-tiny
organism=$PWD/models/organism
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
"$bin" task color_ordering --style small --content held-out --n 120 --seed 3 \
    --out "$tmp/color-data" > /dev/null || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$tmp/err" | tail -n 5
    failures=$((failures + 1))
}

# study NAME OPTIONS...: runs it; leaves $tmp/out, $tmp/err and $code.
study() {
    "$bin" study "$@" --threads 1 > "$tmp/out" 2> "$tmp/err"
    code=$?
}

same_scores() { # of two score files; what they were made from may differ
    python3 - "$1" "$2" << 'END'
import struct, sys
def tensors(path):
    data = open(path, "rb").read()
    return data[8 + struct.unpack("<Q", data[:8])[0]:]
sys.exit(tensors(sys.argv[1]) != tensors(sys.argv[2]))
END
}

contents() { # of a study folder, but for the lock
    (cd "$1" && ls -A | grep -v '^study.lock$' | xargs sha256sum)
}

expect_done() {
    [ $code -eq 0 ] || fail "$1: exit $code, wanted 0"
}

# expect_refusal NAME CODE TEXT: one line of ours at the end, with the text in it.
expect_refusal() {
    [ $code -eq "$2" ] || fail "$1: exit $code, wanted $2"
    [ "$(grep -c '^twinlens study: ' "$tmp/err")" -eq 1 ] || fail "$1: wanted one line"
    tail -n 1 "$tmp/err" | grep -q '^twinlens study: ' || fail "$1: wanted it last"
    tail -n 1 "$tmp/err" | grep -qF -- "$3" || fail "$1: wanted '$3' in it"
    [ -s "$tmp/out" ] && fail "$1: wanted nothing on stdout"
}

expect_in() { # FILE TEXT NAME
    grep -qF -- "$2" "$1" || { fail "$3: wanted '$2'"; sed 's/^/    > /' "$1"; }
}

small=(--model "$tiny/checkpoint" --keep all --fractions 0.05,0.5,1)

# ---- a study, and the same once more ---------------------------------------------------
run=$tmp/deep/er/tiny
study "${small[@]}" --dataset "$tiny/goldens" --out "$run"
expect_done "small study"
grep -q 'vision tower: \([0-9]*\) runs for \1 distinct images' "$tmp/err" ||
    fail "wanted one run of the vision tower for each image"
expect_in "$tmp/out" "discovery / evaluation                                   4 / 2                     4 / 2" summary
expect_in "$tmp/out" "100 %       1.000 (1.000 to 1.000)     1.000    1.000    1.000 (1.000 to 1.000)     1.000    1.000" summary
expect_in "$tmp/out" "results in $run: study.db, scores.text.safetensors, scores.image.safetensors" summary
[ "$(cd "$run" && echo *)" = "report.html scores.image.safetensors scores.text.safetensors study.db study.lock" ] ||
    fail "files left over: $(ls "$run")"
cp "$tmp/out" "$tmp/first"
contents "$run" > "$tmp/before"

study "${small[@]}" --dataset "$tiny/goldens" --out "$run"
expect_done "finished study"
cmp -s "$tmp/first" "$tmp/out" || fail "a finished study prints something else"
[ -s "$tmp/err" ] && fail "a finished study does something"
study "${small[@]}" --dataset "$tiny/goldens" --out "$run" --memory 1G
expect_done "another budget is no other study"
"$bin" summary "$run" > "$tmp/out" 2> "$tmp/err" || fail "summary"
cmp -s "$tmp/first" "$tmp/out" || fail "summary prints something else"
"$bin" summary "$run" --json > "$tmp/out" 2> "$tmp/err" || fail "summary --json"
expect_in "$tmp/out" '"finished": true' json
cp -r "$run" "$tmp/copy"
"$bin" summary "$run" "$tmp/copy" > "$tmp/out" 2> "$tmp/err" || fail "summary of two"
[ "$(grep -c '^Accuracy$\|^Smallest faithful circuits$\|^Back-patching of image states$' "$tmp/out")" -eq 3 ] ||
    fail "summary of two: wanted its tables"

# ---- several datasets -------------------------------------------------------------------
mkdir "$tmp/several"
cp -r "$tiny/goldens" "$tmp/several/one"
cp -r "$tiny/goldens" "$tmp/several/two"
study "${small[@]}" --dataset "$tmp/several/one" --dataset "$tmp/several/two/dataset.jsonl" --out "$tmp/runs"
expect_done "two datasets"
[ "$(cd "$tmp/runs" && echo *)" = "one report.html two" ] || fail "two datasets make $(ls "$tmp/runs")"
# scores FILE: the tensors of a score file, without the names of what they were made from.
scores() {
    tail -c +$((9 + $(od -A n -t u8 -N 8 "$1"))) "$1"
}
cmp -s <(scores "$run/scores.text.safetensors") <(scores "$tmp/runs/two/scores.text.safetensors") ||
    fail "a study of two datasets is another"
study "${small[@]}" --dataset "$tiny/goldens" --dataset "$tiny/goldens/" --out "$tmp/runs2"
expect_refusal "twice the same name" 2 "two datasets are called 'goldens'"

# A dataset that cannot be studied does not keep the others from it.
cp -r "$tiny/goldens" "$tmp/several/broken"
printf 'not an image' > "$tmp/several/broken/images/5.png"
study "${small[@]}" --dataset "$tmp/several/broken" --dataset "$tmp/several/gone" --dataset "$tmp/several/two" --out "$tmp/runs3"
[ $code -eq 1 ] || fail "datasets that are not studied: exit $code, wanted 1"
grep -q "^twinlens: not studied: $tmp/several/broken/dataset.jsonl:12: row 'image-5': $tmp/several/broken/images/5.png: " "$tmp/err" ||
    fail "a broken dataset among several"
grep -q "^twinlens: not studied: $tmp/several/gone" "$tmp/err" || fail "a dataset among several that is not there"
[ "$(tail -n 1 "$tmp/err")" = "twinlens study: 2 of 3 datasets were not studied, see above" ] || fail "the end of several"
[ "$(cd "$tmp/runs3" && echo *)" = "report.html two" ] || fail "several datasets make $(ls "$tmp/runs3")"
grep -q '^Accuracy$' "$tmp/out" || fail "the tables of the datasets that were studied"
cmp -s <(scores "$run/scores.text.safetensors") <(scores "$tmp/runs3/two/scores.text.safetensors") || fail "a study behind a failure is another"
study --model "$tmp/nowhere" --dataset "$tmp/several/one" --dataset "$tmp/several/two" --out "$tmp/runs4"
[ "$(grep -c nowhere "$tmp/err")" -eq 2 ] || fail "what fails for every dataset is tried again and again"
[ -e "$tmp/runs4" ] && fail "nothing was studied, and yet there is $(ls "$tmp/runs4")"

# ---- another study in the same folder ---------------------------------------------------
refused() { # TEXT OPTIONS...
    local text=$1
    shift
    study "${small[@]}" --dataset "$tiny/goldens" --out "$run" "$@"
    expect_refusal "$*" 1 "$text"
}
refused "--ig-steps 5 there and --ig-steps 3 here" --ig-steps 3
refused "--seed 42 there and --seed 7 here" --seed 7
refused "--rope mrope there and --rope sequential here; --ig-path full there and --ig-path textonly here; --pct exact there and --pct f32 here; --rand-draws 20 there and --rand-draws 1 here; --niou correct there and --niou ref here; --inter-rand valid there and --inter-rand ref here; --inter-draws 5 there and --inter-draws 1 here; --bp-filter none there and --bp-filter modal here; --iter-labels question there and --iter-labels union here" \
    --compat published
refused "--rand-match whole there and --rand-match unique here; --niou correct there and --niou ref here" \
    --rand-match unique --niou ref
refused "--bp-filter none there and --bp-filter modal here" --bp-filter modal
refused "--iter-labels question there and --iter-labels union here" --iter-labels union
refused "--bp-repeat on there and --bp-repeat off here" --bp-repeat off
refused "--align act there and --align unembed here" --align unembed
refused "--inter-draws 5 there and --inter-draws 6 here" --inter-draws 6
refused "--modality both there and --modality text here" --modality text
refused "--head-reduce absdim there and --head-reduce dot here; --prompt-reduce abs there and --prompt-reduce signed here" \
    --head-reduce dot --prompt-reduce signed
refused "--threshold 0.8 there and --threshold 0.9 here" --threshold 0.9
refused "--faith mean_ratio there and --faith ratio_mean here" --faith ratio_mean
study "${small[@]}" --dataset "$tmp/color-data" --out "$run"
expect_refusal "other dataset" 1 "dataset-files '"
study --model "$organism" --keep all --fractions 0.05,0.5,1 --dataset "$tiny/goldens" --out "$run"
expect_refusal "other model" 1 "model-files '"
contents "$run" > "$tmp/after"
cmp -s "$tmp/before" "$tmp/after" || fail "a refused study touched the files"

# A manifest that no setting can have made: the words are those of the command line.
mkdir "$tmp/manifest"
cp "$run/study.db" "$tmp/manifest"
python3 - "$tmp/manifest/study.db" << 'END'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    db.execute("update manifest set value = '0' where key = 'ig-steps'")
END
study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/manifest"
expect_refusal "a manifest out of range" 1 "$tmp/manifest: ig-steps is '0', wanted an integer from 1 to 1000"
study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/none" --ig-steps 0
expect_refusal "a value out of range" 2 "--ig-steps is '0', wanted an integer from 1 to 1000"

# ---- switches: as the commands for each part have them ----------------------------------------
study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/switched" --threshold=-9 --seed 7 \
    --rand-match unique --rand-draws 3 --niou ref --inter-rand ref --inter-draws 2 --bp-grid none --align unembed
expect_done "switches"
"$bin" export "$tmp/switched" --out "$tmp/switched.csv" > /dev/null 2> "$tmp/err" || fail "export"
both=(--model "$tiny/checkpoint" --dataset "$tiny/goldens" --json --seed 7
      --text-scores "$tmp/switched/scores.text.safetensors" --text-fraction 0.05
      --image-scores "$tmp/switched/scores.image.safetensors" --image-fraction 0.05)
"$bin" overlap "${both[@]}" --rand-match unique --rand-draws 3 > "$tmp/overlap" 2> "$tmp/err" ||
    fail "overlap"
"$bin" interchange "${both[@]}" --inter-rand ref --rand-draws 2 > "$tmp/interchange" 2> "$tmp/err" ||
    fail "interchange"
for how in plain center; do
    options=(--align unembed --seed 7)
    [ $how = center ] && options+=(--center)
    "$bin" align --model "$tiny/checkpoint" --dataset "$tiny/goldens" --json "${options[@]}" \
        > "$tmp/align.$how" 2> "$tmp/err" || fail "align"
done
python3 - "$tmp/switched.csv" "$tmp/overlap" "$tmp/interchange" "$tmp"/align.{plain,center} << 'END' || fail "a study's switches are not those of the commands"
import csv, json, sys
folder, overlap, interchange, plain, centred = sys.argv[1], *(json.load(open(p)) for p in sys.argv[2:])
table = lambda name: list(csv.DictReader(open(f"{folder}/{name}.csv")))
for row in table("overlap"):
    want = overlap[row["segment"] if row["segment"] == "whole" else row["segment"][0].upper()]
    want = want if row["kind"] == "both" else want[row["kind"]]
    for got, value in ((row["iou"], want["iou"]), (row["random"], want["random"]["mean"]),
                       (row["deviation"], want["random"]["deviation"])):
        assert abs(float(got) - value) < 1e-12, (row, want)
assert len(table("overlap")) == 12
origin = lambda run: next((s for s in ("data", "query", "generation") if run[s] != run["host"]), "none")
want = sorted((r["host"], origin(r), str(r.get("draw", "")), str(r["heads"]), str(r["neurons"]))
              for r in interchange["runs"])
got = sorted((r["host"], r["swapped"], r["draw"], r["n_heads"], r["n_neurons"]) for r in table("swap"))
assert got == want and len(got) == 2 * (1 + 3 * 3), (got, want)
for run, column, name in ((plain, "matched", "layers"), (plain, "other", "other_pairs"),
                          (centred, "centred_matched", "layers"), (centred, "centred_other", "other_pairs")):
    for layer, want in enumerate(run[name]):
        got = [float(r[column]) for r in table("alignment") if r["layer"] == str(layer)]
        assert len(got) == run["n"] and abs(sum(got) / len(got) - want) < 1e-12, (column, layer)
END

# ---- pairs whose texts have several lengths: rows without a split may ---------------------------
cp -r "$tiny/goldens" "$tmp/lengths"
sed -i -e '/-[0-3]", "pair"/s/}$/, "split": "discovery"}/' -e '/-[23]", "pair"/s/discovery/evaluation/' \
    -e '/text-5/s/"data": "/& dog dog/' -e 's/, "cf": "[^"]*"//' "$tmp/lengths/dataset.jsonl"
for filter in none modal; do
    study "${small[@]}" --dataset "$tmp/lengths" --out "$tmp/$filter" --bp-filter $filter --bp-grid paper
    expect_done "--bp-filter $filter"
    "$bin" export "$tmp/$filter" --out "$tmp/$filter.csv" > /dev/null 2>> "$tmp/err" || fail "export"
done
grep -q "not having 45 tokens, the most frequent length: 1$" "$tmp/err" ||
    fail "nothing is said of the pair that is left out"
python3 - "$tmp/none.csv" "$tmp/modal.csv" << 'END' || fail "--bp-filter leaves other pairs out"
import csv, sys
for folder, n in zip(sys.argv[1:], (6, 5)):
    for name in "alignment", "backpatch", "iteration":
        pairs = {r["pair"] for r in csv.DictReader(open(f"{folder}/{name}.csv"))}
        assert len(pairs) == n, (name, pairs)
END

# ---- prompts of both modalities and no pair ------------------------------------------------------
cp -r "$tiny/goldens" "$tmp/no-pairs"
sed -i '/"modality": "image"/s/"pair": "/&of images /' "$tmp/no-pairs/dataset.jsonl"
study "${small[@]}" --dataset "$tmp/no-pairs" --out "$tmp/no-pairs-run" --bp-grid paper
expect_done "rows without a partner"
expect_in "$tmp/err" "no text and image rows have the same 'pair': no alignment" "rows without a partner"

# ---- where one length is needed ------------------------------------------------------------------
cp -r "$tiny/goldens" "$tmp/several-lengths"
sed -i -e '/"text-5", "pair"/s/"data": "/& dog dog/' -e 's/, "cf": "[^"]*"//' "$tmp/several-lengths/dataset.jsonl"
study "${small[@]}" --dataset "$tmp/several-lengths" --out "$tmp/length.all" --bp-grid none
expect_done "texts of several lengths"
expect_in "$tmp/err" "5 of 6 text prompts have 45 tokens, data [" "how many are alike"
expect_in "$tmp/err" "): --length commonest leaves the others out" "what would help"
expect_in "$tmp/out" "text prompts have several lengths: 5 of 6 are alike: no circuits" "several lengths"
expect_in "$tmp/out" "text: what would help: --length commonest" "several lengths"
study "${small[@]}" --dataset "$tmp/several-lengths" --out "$tmp/length.all" --bp-grid none --length commonest
expect_refusal "another study" 1 "no --length there and --length commonest here"
study "${small[@]}" --dataset "$tmp/several-lengths" --out "$tmp/length.most" --bp-grid none --length commonest
expect_done "--length commonest"
expect_in "$tmp/err" "1 of 6 text prompts are left out of circuits: they, or their counterfactuals, have not the commonest length, 45 tokens" "--length commonest"
expect_in "$tmp/out" "discovery / evaluation                                   3 / 2                     4 / 2" "--length commonest"
grep -q "^circuits: not of the commonest length, or their data elsewhere *1 *0$" "$tmp/out" || fail "how many are left out"
# Data at another place are no other length.
cp -r "$tiny/goldens" "$tmp/several-places"
sed -i -e '/"text-5", "pair"/s/"Sequence:"/"Sequence: are"/' -e '/"text-5", "pair"/s/ are there/ there/' -e 's/, "cf": "[^"]*"//' \
    "$tmp/several-places/dataset.jsonl"
study "${small[@]}" --dataset "$tmp/several-places" --out "$tmp/places" --bp-grid none
expect_in "$tmp/out" "text prompts have their data at several places: 5 of 6 are alike: no circuits" "several places"

# ---- again and again, among the labels of all prompts ---------------------------------------------
cp -r "$tiny/goldens" "$tmp/two"
sed -i -e 's/"answer": "[13]"/&, "labels": ["1", "3"]/' -e 's/"answer": "[24]"/&, "labels": ["4", "2"]/' \
    -e 's/, "cf": "[^"]*"//' "$tmp/two/dataset.jsonl"
for repeat in on off; do
    study "${small[@]}" --dataset "$tmp/two" --out "$tmp/again.$repeat" --bp-repeat $repeat \
        --iter-labels union --bp-grid paper
    expect_done "--iter-labels union"
    "$bin" export "$tmp/again.$repeat" --out "$tmp/again.$repeat.csv" > /dev/null 2> "$tmp/err" ||
        fail "export"
    python3 - "$bin" "$tiny/checkpoint" "$tmp/two" "$tmp/again.$repeat.csv" $repeat << 'END' ||
import csv, json, subprocess, sys
program, model, data, folder, repeat = sys.argv[1:]
table = lambda name: list(csv.DictReader(open(f"{folder}/{name}.csv")))
rows = sorted(table("iteration"), key=lambda r: int(r["pair"]))
cell = next(c for c in table("cell") if c["cell"] == rows[0]["cell"])
def patched(cell, *options):
    return json.loads(subprocess.run(
        [program, "backpatch", "--model", model, "--dataset", data, "--modality", "image", "--src", cell["source"],
         "--dst", cell["destination"], "--window", cell["window"], "--bp-repeat", repeat, *options, "--json"],
        check=True, capture_output=True).stdout)
for times in range(2, 10):
    got = patched(cell, "--times", str(times), "--iter-labels", "union")
    assert [r["times"][0] == "1" for r in rows] == got["clean"]["right"], "without patching"
    assert [r["times"][times] == "1" for r in rows] == got["cells"][0]["right"], times
images = sorted((r for r in table("backpatch") if r["modality"] == "image"), key=lambda r: int(r["pair"]))
for cell in table("cell"):
    assert [r["cells"][int(cell["cell"])] == "1" for r in images] == patched(cell)["cells"][0]["right"], cell
END
        fail "a study with --bp-repeat $repeat patches otherwise than the command"
done

# ---- a search of the best cell: the outcomes are those of all cells, and fewer ---------------------
study "${small[@]}" --dataset "$tmp/two" --out "$tmp/search" --bp-search halving --bp-grid triangle
expect_done "--bp-search halving"
study "${small[@]}" --dataset "$tmp/two" --out "$tmp/all" --bp-grid triangle
expect_done "--bp-search full"
for name in search all; do
    "$bin" export "$tmp/$name" --out "$tmp/$name.csv" > /dev/null 2>> "$tmp/err" || fail "export"
done
for modality in text image; do
    "$bin" backpatch --model "$tiny/checkpoint" --dataset "$tmp/two" --modality $modality --window 5,3,1 \
        --bp-search halving --json > "$tmp/$modality.json" || fail "backpatch --bp-search halving"
done
python3 - "$tmp/search.csv" "$tmp/all.csv" "$tmp/image.json" "$tmp/text.json" << 'END' || fail "a search is not of the same outcomes"
import csv, json, sys
search, everything, *commands = sys.argv[1:]
table = lambda folder, name: list(csv.DictReader(open(f"{folder}/{name}.csv")))
all_of = {(r["modality"], r["row"]): r for r in table(everything, "backpatch")}
rows = sorted(table(search, "backpatch"), key=lambda r: int(r["pair"]))
assert len(rows) == len(all_of) == 12
for r in rows:
    want = all_of[r["modality"], r["row"]]
    assert r["is_right"] == want["is_right"]
    assert all(c in ("-", w) for c, w in zip(r["cells"], want["cells"])), r
ran = {m: [sum(c != "-" for c in r["cells"]) for r in rows if r["modality"] == m] for m in ("text", "image")}
found = json.load(open(search + "/summary.json"))["backpatch"]
n_seen = sum(r["prompts"] for r in found["search"]["rounds"])
assert ran["image"][:n_seen] == [r["cells"] for r in found["search"]["rounds"] for _ in range(r["prompts"])], ran
assert ran["image"][0] == 18 and 0 < n_seen < 6 and found["search"]["judging_prompts"] == 6 - n_seen
assert ran["text"] == [0] * n_seen + [2] * found["search"]["control_pairs"] + [0] * (6 - n_seen - found["search"]["control_pairs"]), ran
assert {r["cell"] for r in table(search, "iteration")} == {str(found["best"])}
assert found["search"]["runs"] == sum(map(sum, ran.values())) and found["search"]["all_runs"] == 2 * 6 * 18
judged = [r["cells"][found["best"]] for r in rows if r["modality"] == "image"][n_seen:]
assert abs(found["chosen_elsewhere"]["gain"]["value"] + sum(int(r["is_right"]) for r in rows if r["modality"] == "image" and
    int(r["pair"]) >= n_seen) / len(judged) - judged.count("1") / len(judged)) < 1e-12
for file, modality in zip(commands, ("image", "text")):
    got = json.load(open(file))
    want = [all_of[m, r] for m, r in sorted(all_of, key=lambda k: int(k[1])) if m == modality]
    assert len(got["cells"]) == 18
    for c, cell in enumerate(got["cells"]):
        assert all(right is None or right == (w["cells"][c] == "1") for right, w in zip(cell["right"], want)), cell
    s = got["search"]
    skipped = [p for p in range(6) if got["cells"][s["found"]]["right"][p] is None]
    assert not skipped and sorted(s["unseen"]) == s["unseen"]
    assert abs(s["accuracy"] - sum(got["cells"][s["found"]]["right"][p] for p in s["unseen"]) / len(s["unseen"])) < 1e-12
    assert s["layer_runs"] < s["all_layer_runs"] / 2
END
grep -q "Searched by successive halving" "$tmp/search/report.html" || fail "the report says nothing of the search"
"$bin" summary "$tmp/search" | grep -q "^a search, .* of 216 runs" || fail "the summary says nothing of the search"

# ---- one modality -----------------------------------------------------------------------
study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/text" --modality text
expect_done "one modality"
[ -e "$tmp/text/scores.image.safetensors" ] && fail "image scores of a text study"
mkdir "$tmp/only-text"
grep '"modality": "text"' "$tiny/goldens/dataset.jsonl" > "$tmp/only-text/dataset.jsonl"
cp "$tiny/goldens/task.json" "$tmp/only-text"
study "${small[@]}" --dataset "$tmp/only-text" --out "$tmp/text2"
expect_done "a dataset of one modality"
same_scores "$tmp/text/scores.text.safetensors" "$tmp/text2/scores.text.safetensors" ||
    fail "the text scores depend on the images"
cmp -s "$tmp/text/scores.text.safetensors" "$run/scores.text.safetensors" ||
    fail "the text scores depend on the modality"
study "${small[@]}" --dataset "$tmp/only-text" --out "$tmp/none" --modality image
expect_refusal "no such modality" 1 "has no image prompts"

# ---- the trained model --------------------------------------------------------------------
trained=(--model "$organism" --dataset "$tmp/color-data" --prompts 24
         --fractions 0,0.01,0.05,0.1,0.2 --bp-grid none --validate 1)
study "${trained[@]}" --out "$tmp/color"
expect_done "trained model"
expect_in "$tmp/out" "discovery / evaluation                                  18 / 6                    18 / 6" "trained model"
grep -q '^read images  120/120  100 %, took ' "$tmp/err" || fail "reading the images is not shown"
"$bin" summary "$tmp/color" --json > "$tmp/out"
python3 - "$tmp/out" << 'END' || fail "trained model: text is not answered better than images, or not well"
import json, sys
study = json.load(open(sys.argv[1]))
work, memory = study["stage_product_flops"], study["memory_bytes"]
assert len(work) > 8 and min(work.values()) > 0 and study["product_flops"] == sum(work.values()), work
assert 0 < memory["peak"] <= memory["limit"] and 0 < memory["planned"] <= memory["limit"], memory
parts = study["modalities"]
text, image = (parts[m]["accuracy_limited"]["value"] for m in ("text", "image"))
sys.exit(not (text >= 0.95 and 0.6 <= image < text))
END
study "${trained[@]}" --out "$tmp/tight" --memory 9M
expect_done "scores on the disk"
expect_in "$tmp/err" "scores and circuits are on the disk, in $tmp/tight: with " "scores on the disk"
[ "$(cd "$tmp/tight" && echo *)" = "$(cd "$tmp/color" && echo *)" ] || fail "files left over: $(ls "$tmp/tight")"
for file in scores.text.safetensors scores.image.safetensors; do
    cmp -s "$tmp/color/$file" "$tmp/tight/$file" || fail "$file depends on where it was made"
done
for of in color tight; do # all but memory and work, of which there is more with little memory
    "$bin" export "$tmp/$of" --out "$tmp/$of.csv" > /dev/null || fail "export"
    rm -f "$tmp/$of.csv/summary.json"
done
diff -r "$tmp/color.csv" "$tmp/tight.csv" > /dev/null || fail "rows depend on where the scores are"
study "${trained[@]}" --out "$tmp/color" --json
expect_in "$tmp/out" '"fraction": "0.05"' "json"

# ---- a modality that is too weak --------------------------------------------------------------
"$bin" predict --model "$organism" --dataset "$tmp/color-data" --modality image --json > "$tmp/predicted" 2> "$tmp/err" || fail predict
weak() { # FOLDER RIGHT: twelve pairs, of whose images so many have their answer, the others another
    mkdir "$1"
    cp "$tmp/color-data/task.json" "$1"
    ln -s "$tmp/color-data/images" "$1/images"
    python3 - "$tmp/color-data" "$tmp/predicted" "$2" > "$1/dataset.jsonl" << 'END'
import json, sys
folder, predicted, right = sys.argv[1:]
task = json.load(open(f"{folder}/task.json"))
rows = [json.loads(line) for line in open(f"{folder}/dataset.jsonl")]
good = {r["id"] for r in map(json.loads, open(predicted)) if r["correct"]}
images = [r for r in rows if r["modality"] == "image" and r["id"] in good][:12]
pairs = {r["pair"] for r in images}
labels = task["labels"]
for i, r in enumerate(images[int(right):]):
    r["answer"] = labels[(labels.index(r["answer"]) + 1) % len(labels)]
for r in rows:
    if r["pair"] in pairs:
        print(json.dumps(r))
END
}
weak "$tmp/weak" 1
quick=(--fractions 0.05,0.3 --bp-grid paper --validate 0 --circuit-tests 2 --pictures 0)
study --model "$organism" --dataset "$tmp/weak" "${quick[@]}" --out "$tmp/weak-run"
expect_done "a weak modality"
said="image: 1 of 12 right, too few for two parts with two answers: no circuits"
grep -q "^twinlens: warning: $tmp/weak/dataset.jsonl: $said of it, all else goes on; what would help: more rows, a model that" "$tmp/err" ||
    fail "the log does not tell of a weak modality"
expect_in "$tmp/out" "$said" "a weak modality"
expect_in "$tmp/out" "image: what would help: more rows" "a weak modality"
grep -q "^circuits: $(echo "$said" | sed 's/image: //; s/: no circuits//') *0 *1$" "$tmp/out" || fail "the table of what is left out"
grep -q "^circuits: the answer is wrong *0 *11$" "$tmp/out" || fail "how many answers are wrong"
"$bin" summary --json "$tmp/weak-run" > "$tmp/weak.json" || fail "summary of a weak modality"
python3 - "$tmp/weak.json" "$said" << 'END' || fail "what a study with a weak modality has"
import json, sys
study, said = json.load(open(sys.argv[1])), sys.argv[2]
text, image = study["modalities"]["text"], study["modalities"]["image"]
assert study["finished"] and study["absent"] == said, study["absent"]
assert image["no_circuits"] in said and image["remedy"] and image["accuracy_limited"]["n"] == 12 and not image["finished"]
assert text["finished"] and text["no_circuits"] is None and text["discovery"] == 9 and text["curves"]["circuit"] and text["circuit_tests"]
assert study["alignment"] and study["backpatch"]["n"] == 12 and study["backpatch"]["cells"] and study["overlap"] == []
END
grep -q "<p><strong>Missing here:</strong> $said.</p>" "$tmp/weak-run/report.html" || fail "the page is not marked"
study --model "$organism" --dataset "$tmp/weak" "${quick[@]}" --out "$tmp/weak-run"
expect_done "a weak modality once more"
[ -s "$tmp/err" ] && fail "a finished study with a weak modality does something"
# Too few for --prompts is the option's fault where no modality has them, else the modality's.
weak "$tmp/some" 8
study --model "$organism" --dataset "$tmp/some" "${quick[@]}" --prompts 10 --out "$tmp/some-run"
expect_done "a modality with fewer than --prompts"
expect_in "$tmp/out" "image: 8 of 12 right, too few for --prompts 10: no circuits" "fewer than --prompts"
study --model "$organism" --dataset "$tmp/some" "${quick[@]}" --prompts 13 --out "$tmp/some-none"
expect_refusal "fewer than --prompts in both" 1 "too few for --prompts 13; what would help: fewer --prompts"
study --model "$organism" --dataset "$tmp/some" --modality image "${quick[@]}" --prompts 10 --out "$tmp/some-image"
expect_refusal "fewer than --prompts alone" 1 "image: 8 of 12 right, too few for --prompts 10; what would help: fewer --prompts"

# ---- a disk that is full, and then is not ---------------------------------------------------
(
    trap '' XFSZ
    ulimit -f 96
    exec "$bin" study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/full" --threads 1
) > "$tmp/out" 2> "$tmp/err"
code=$?
expect_refusal "full disk" 1 "$tmp/full/"
study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/full"
expect_done "after the disk was full"
for file in scores.text.safetensors scores.image.safetensors; do
    cmp -s "$run/$file" "$tmp/full/$file" || fail "$file differs after a full disk"
done
for of in "$run" "$tmp/full"; do # all but memory_bytes
    "$bin" summary "$of" --json | grep -vE '"(limit|peak)": [0-9]+' > "$of.numbers"
done
mv "$run.numbers" "$tmp/a"
mv "$tmp/full.numbers" "$tmp/b"
cmp -s "$tmp/a" "$tmp/b" || fail "the numbers differ after a full disk"

# ---- results that somebody changed ------------------------------------------------------------
# An evaluation that is not finished yet reads the scores again.
cp -r "$run" "$tmp/changed"
if command -v sqlite3 > /dev/null; then
    sqlite3 "$tmp/changed/study.db" 'delete from stage where name not like "attribute%"; delete from minimal; delete from baseline; delete from evaluation'
    printf x >> "$tmp/changed/scores.text.safetensors"
    study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/changed"
    expect_refusal "changed scores" 1 "not what the study wrote: its SHA-256 is"
    rm "$tmp/changed/scores.text.safetensors"
    study "${small[@]}" --dataset "$tiny/goldens" --out "$tmp/changed"
    expect_refusal "lost scores" 1 "changed/scores.text.safetensors: "
fi

# ---- two at once --------------------------------------------------------------------------------
"$bin" study --model "$organism" --dataset "$tmp/color-data" --out "$tmp/busy" \
    --threads 1 > /dev/null 2>&1 &
first=$!
for _ in $(seq 100); do
    [ -e "$tmp/busy/study.db" ] && break
    sleep 0.1
done
study --model "$organism" --dataset "$tmp/color-data" --out "$tmp/busy"
expect_refusal "two at once" 1 "another twinlens, process $first, works in this folder"
kill -9 $first 2> /dev/null
wait $first 2> /dev/null

# ---- bad input ------------------------------------------------------------------------------------
# Each of these must not leave a folder behind.
bad() { # NAME CODE TEXT OPTIONS...
    local name=$1 wanted=$2 text=$3
    shift 3
    study "$@"
    expect_refusal "$name" "$wanted" "$text"
    [ -e "$tmp/bad" ] && fail "$name: left a folder"
    rm -rf "$tmp/bad"
}
out=(--out "$tmp/bad")
model=(--model "$tiny/checkpoint")
data=(--dataset "$tiny/goldens")

bad "no option" 2 "--dataset DIR is missing"
bad "no out" 2 "--out RUN is missing" "${model[@]}" "${data[@]}"
bad "unknown option" 2 "did you mean '--ig-steps'" "${model[@]}" "${data[@]}" "${out[@]}" --ig-step 5
bad "no steps" 2 "--ig-steps is '0'" "${model[@]}" "${data[@]}" "${out[@]}" --ig-steps 0
bad "metric" 2 "metric is 'logit', wanted 'ld'" "${model[@]}" "${data[@]}" "${out[@]}" --metric logit
bad "fraction" 2 "--fractions is '0.1,2', wanted decimals from 0 to 1" "${model[@]}" "${data[@]}" "${out[@]}" --fractions 0.1,2
bad "descending" 2 "wanted them ascending" "${model[@]}" "${data[@]}" "${out[@]}" --fractions 0.2,0.1
bad "two grids" 2 "changes nothing beside --fractions" "${model[@]}" "${data[@]}" "${out[@]}" --fractions 0.2 --grid ref
bad "no model" 1 "$tmp/nowhere" --model "$tmp/nowhere" "${data[@]}" "${out[@]}"
bad "no dataset" 1 "$tmp/nowhere" "${model[@]}" --dataset "$tmp/nowhere" "${out[@]}"
bad "memory" 1 ", --memory is 0 MiB: wanted --memory " "${model[@]}" "${data[@]}" "${out[@]}" --memory 100K
enough=$(sed -n 's/.*wanted --memory \([0-9]*M\).*/\1/p' "$tmp/err")
study "${small[@]}" "${data[@]}" "${out[@]}" --memory "$enough"
expect_done "as much memory as was wanted"
cmp -s "$tmp/bad/scores.image.safetensors" "$run/scores.image.safetensors" ||
    fail "the scores depend on the memory"
rm -rf "$tmp/bad"

cp -r "$tiny/checkpoint" "$tmp/cut"
truncate -s -100 "$tmp/cut/model.safetensors"
bad "cut weights" 1 "model.safetensors: " --model "$tmp/cut" "${data[@]}" "${out[@]}"
rm "$tmp/cut/model.safetensors"
bad "no weights" 1 "$tmp/cut" --model "$tmp/cut" "${data[@]}" "${out[@]}"
sed -i 's/"model_type": "qwen2_vl"/"model_type": "glider"/' "$tmp/cut/config.json"
cp "$tiny/checkpoint/model.safetensors" "$tmp/cut"
bad "unknown family" 1 "glider" --model "$tmp/cut" "${data[@]}" "${out[@]}"

# edit NAME SED...: a copy of the small dataset with another jsonl.
edit() {
    rm -rf "$tmp/edited"
    cp -r "$tiny/goldens" "$tmp/edited"
    sed -i "$@" "$tmp/edited/dataset.jsonl"
}
edited=(--dataset "$tmp/edited")
edit '1s/"cf": "text-1"/"cf": "text-99"/'
bad "unknown cf" 1 "text-99" "${model[@]}" "${edited[@]}" "${out[@]}"
edit '1s/ apple car apple"/ apple car apple dog dog"/'
bad "unequal lengths" 1 "text-" "${model[@]}" "${edited[@]}" "${out[@]}" --modality text
edit '1s/"answer": "1"/"answer": "zebra"/'
study "${small[@]}" "${edited[@]}" "${out[@]}"
expect_refusal "answer among no labels" 1 "text-0"
rm -rf "$tmp/bad"
edit ''
rm "$tmp/edited/images/3.png"
bad "no image" 1 "images/3.png" "${model[@]}" "${edited[@]}" "${out[@]}"
edit ''
printf 'not an image' > "$tmp/edited/images/0.png"
bad "broken image" 1 "images/0.png" "${model[@]}" "${edited[@]}" "${out[@]}"
edit '2,$d'
echo '{"id": ' >> "$tmp/edited/dataset.jsonl"
bad "broken row" 1 "dataset.jsonl" "${model[@]}" "${edited[@]}" "${out[@]}"

# These are found only by asking the model. Texts alone leave nothing else to study.
study "${model[@]}" "${data[@]}" --modality text "${out[@]}"
expect_refusal "nothing right" 1 "text: 1 of 6 right, too few for two parts with two answers; what would help: "
rm -rf "$tmp/bad"
study "${model[@]}" --keep all "${data[@]}" --prompts 7 "${out[@]}"
expect_refusal "too few" 1 "6 of 6 kept, too few for --prompts 7"
rm -rf "$tmp/bad"

# ---- bad folders ------------------------------------------------------------------------------------
echo mine > "$tmp/file"
study "${small[@]}" "${data[@]}" --out "$tmp/file"
expect_refusal "a file" 1 "is a file, a folder was wanted"
[ "$(cat "$tmp/file")" = mine ] || fail "a file was overwritten"
mkdir "$tmp/mine"
echo mine > "$tmp/mine/notes"
study "${small[@]}" "${data[@]}" --out "$tmp/mine"
expect_refusal "a folder in use" 1 "holds 'notes' and no study.db"
[ "$(ls -A "$tmp/mine")" = notes ] || fail "a folder in use was written to"
mkdir "$tmp/broken"
echo "certainly no database" > "$tmp/broken/study.db"
study "${small[@]}" "${data[@]}" --out "$tmp/broken"
expect_refusal "a broken store" 1 "broken/study.db: not a sound SQLite file"
readonly_folder=$tmp/readonly
if [ "$(id -u)" -eq 0 ]; then
    readonly_folder=/proc # where root cannot write either
else
    mkdir "$readonly_folder"
    chmod 555 "$readonly_folder"
fi
study "${small[@]}" "${data[@]}" --out "$readonly_folder/run"
expect_refusal "read-only" 1 "$readonly_folder/run: cannot make the folder"
"$bin" summary "$tmp/mine" > "$tmp/out" 2> "$tmp/err" && fail "summary of no study"
grep -q "^twinlens summary: .*mine: no study.db there" "$tmp/err" || fail "summary of no study"

[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
