#!/usr/bin/env bash
# test_commands.sh BIN - what the commands' options do, on the tiny checkpoint: that two
# ways of asking for the same thing give the same bytes, and other ways others.
set -u
bin=$(realpath "${1:?usage: test_commands.sh BIN}")
golden=$PWD/tests/data/qwen2vl-tiny real=$PWD/bench/configs/qwen2-vl-7b
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export TWINLENS_BACKEND=ref

checked=0
wrong=0

check()
{
    local what=$1
    shift
    checked=$((checked + 1))
    if ! "$@" > /dev/null; then
        wrong=$((wrong + 1))
        echo "FAILED: $what"
    fi
}

# run OUTPUT COMMAND ARGUMENTS: the command on the golden dataset, its table in OUTPUT.
run()
{
    local output=$1 command=$2
    shift 2
    if ! "$bin" "$command" --model "$golden/checkpoint" --dataset "${data:-$golden/goldens}" \
        "$@" > "$output" 2> stderr; then
        wrong=$((wrong + 1))
        echo "FAILED: twinlens $command $*"
        cat stderr
    fi
}

differ()
{
    ! cmp -s "$1" "$2"
}

rows()
{
    [ "$(wc -l < "$1")" -eq "$2" ]
}

# scores FILE: the tensors of a score file, without what they were made by.
scores()
{
    tail -c +$((9 + $(od -A n -t u8 -N 8 "$1"))) "$1"
}

# ---- help ----------------------------------------------------------------------------
"$bin" help > help
for command in study inspect predict attribute evaluate trace overlap interchange align \
    backpatch validate; do
    check "help lists $command" grep -q "^  $command " help
    "$bin" help $command > one
    "$bin" $command --bogus --help > other
    check "help $command is $command --help" cmp one other
    check "help $command is about it" grep -q "^usage: twinlens $command [[-]" one
done
"$bin" task --help > one
check "help lists task" grep -q "^  task " help
check "help task names the tasks" grep -q "color_ordering" one
check "a version" grep -qE '^twinlens [0-9]+\.[0-9]+\.[0-9]+$' <("$bin" --version)

# ---- predict -------------------------------------------------------------------------
# The rows of a table of predictions, without the accuracies behind them.
predicted()
{
    sed '/^$/,$d' "$1"
}
run all predict
check "a line for each prompt, and a head" rows <(predicted all) 13
check "accuracy at the end" cmp <(tail -n 3 all | cut -f1-4) \
    <(printf 'modality\tright\tprompts\taccuracy\ntext\t1\t6\t0.1667\nimage\t%s\t6\t%s\n' \
        $(awk -F'\t' '$2 == "image" && $8 == "right" {n++} END {printf "%d %.4f", n, n / 6}' all))
check "and nothing elsewhere" test ! -s stderr
run same predict --threads=1 --memory=340K
check "batches change no bit" cmp all same
run one predict --ids text-3,image-1
check "rows of --ids, in the order of the file" cmp <(predicted one) <(predicted all | grep -E '^(id|text-3|image-1)	')
run some predict --modality image
check "rows of --modality" cmp <(predicted some) <(predicted all | grep -v '^text')
check "accuracy of what was asked for" test "$(tail -n +8 some | wc -l)" -eq 3
run lines predict --json
check "a JSON line for each prompt" rows lines 12
check "a label at the most" test -z "$(predicted all | cut -f7 | tail -n +2 | grep -v '^[1-4]$')"
run full predict --acc full
check "any token with --acc full" test -n "$(predicted full | cut -f7 | tail -n +2 | grep -v '^[1-4]$')"
TWINLENS_BACKEND='' run default predict
check "the default backend says the same" cmp <(predicted all | cut -f1-4,6-8) <(predicted default | cut -f1-4,6-8)

# A prompt as the model gets it: its tokens are those that predict names, its chat is the template's.
for id in text-0 image-0; do
    run shown predict --show $id
    run shown.json predict --show $id --json
    python3 - $id lines shown shown.json "$golden" << 'END' || { echo "FAILED: --show $id"; wrong=$((wrong + 1)); }
import json, sys

id, lines, shown, as_json, golden = sys.argv[1:]
row = next(r for r in map(json.loads, open(lines)) if r["id"] == id)
words = next(r for r in map(json.loads, open(golden + "/goldens/dataset.jsonl")) if r["id"] == id)
x = json.load(open(as_json))
assert [t["id"] for t in x["tokens"]] == row["input_ids"] and x["n_tokens"] == len(x["tokens"])
assert [t["position"] for t in x["tokens"]] == list(range(x["n_tokens"]))
begin, end = x["data"]
assert [begin, end] == row["data"] and x["answer_id"] == row["answer_id"] and x["answer"] == words["answer"]
for t in x["tokens"]:
    p = t["position"]
    want = None if p < begin else "data" if p < end else "query" if p + 1 < x["n_tokens"] else "generation"
    assert t["segment"] == want, t
picture = "<|vision_start|><|image_pad|><|vision_end|>" if "image" in words else ""
said = words.get("before", "") + words.get("data", "") + words["query"]
assert x["chat"] == ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n" + picture + said +
                     "<|im_end|>\n<|im_start|>assistant\n"), x["chat"]
assert (x["image"] is None) == (picture == "")
# Its tokens, one after the other, are the chat, with one placeholder for each of the picture's tokens.
pad = "<|image_pad|>"
text = "".join(t["token"] for t in x["tokens"])
assert (text.replace(pad * (end - begin), pad) if picture else text) == x["chat"], text
# The same for people.
head, table = open(shown).read().split("\n\n")
assert "\nchat      " + json.dumps(x["chat"], ensure_ascii=False) in head, head
rows = [line.split("\t") for line in table.splitlines()]
assert rows[0] == ["position", "id", "token", "segment"] and len(rows) == x["n_tokens"] + 1
for cells, t in zip(rows[1:], x["tokens"]):
    assert [int(cells[0]), int(cells[1]), json.loads(cells[2])] == [t["position"], t["id"], t["token"]]
    assert cells[3] == (t["segment"] or "-")
END
    checked=$((checked + 1))
done

mkdir free
ln -s "$golden/goldens/images" "$golden/goldens/task.json" free/
sed -e 's/, "cf": "[^"]*"//' -e '1s/ dog apple/ dog dog dog apple/' \
    "$golden/goldens/dataset.jsonl" > free/dataset.jsonl
data=free run lonely predict
check "no pairs needed, nor equal lengths" rows <(predicted lonely) 13
check "its own number of tokens" grep -q '^text-0	text	47	18-24		' lonely
data=free run lonely.json predict --json
check "null without a counterfactual" grep -q '"cf_answer_id":null,"logit_diff":null' lonely.json
data=free run /dev/null trace --id text-0 --out lonely.trace

# ---- trace ---------------------------------------------------------------------------
names()
{
    head -c 20000 "$1" | grep -ao '"[^"]*":{"dtype"' | cut -d'"' -f2 | sort | tr '\n' ' '
}
run /dev/null trace --id text-0 --sites z --out z
check "the sites that are asked for" \
    test "$(names z)" = "input_ids position_ids z.0 z.1 z.2 z.3 "
run /dev/null trace --id image-0 --sites embed,logits --out inputs
check "inputs, and what is no site of a layer" test "$(names inputs)" = \
    "embed image_grid_thw input_ids logits pixel_values position_ids "
run /dev/null trace --id text-0 --sites resid_pre --grad --out grad
check "gradients, of which the first is the input's too" test "$(names grad)" = \
    "grad.embed grad.resid_pre.0 grad.resid_pre.1 grad.resid_pre.2 grad.resid_pre.3 input_ids position_ids resid_pre.0 resid_pre.1 resid_pre.2 resid_pre.3 "

run /dev/null trace --ids text-0,image-0 --sites z,logits --grad --out both
for id in text-0 image-0; do
    run /dev/null trace --id $id --sites z,logits --grad --out one.$id
done
check "of several prompts the same, named after each" python3 - << 'END'
import json, struct, sys


def tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    return {k: (v["dtype"], v["shape"], data[slice(*v["data_offsets"])]) for k, v in header.items() if k != "__metadata__"}


both = tensors("both")
ones = {f"{i}/{k}": v for i in ("text-0", "image-0") for k, v in tensors(f"one.{i}").items()}
sys.exit(both != ones or "image-0/grad.z.3" not in both or "text-0/logits" not in both)
END
if "$bin" trace --model "$golden/checkpoint" --dataset "$golden/goldens" --ids text-0,image-0,text-0 --out both 2> refused; then
    check "a prompt twice is refused" false
else
    check "a prompt twice is refused" grep -q "names 'text-0' twice" refused
fi

run all.trace trace --id text-0 --sites z,mlp_post --grad --out traced --memory 1M
check "what is traced fits into --memory" test -s traced
if "$bin" trace --model "$golden/checkpoint" --dataset "$golden/goldens" --id text-0 --grad --out traced --memory 400K \
    2> refused; then
    check "or is refused" false
else
    check "or is refused" grep -q 'MiB' refused
fi

# ---- attribute -----------------------------------------------------------------------
run /dev/null attribute --modality image --out default
run /dev/null attribute --modality image --out same --ig-steps 5 --ig-path full --rope mrope \
    --head-reduce absdim --prompt-reduce abs --split all --memory 1M
check "the defaults" cmp default same
run /dev/null attribute --modality image --out published --compat published
run /dev/null attribute --modality image --out same --ig-path textonly --rope seq
check "--compat published" cmp published same
check "which is something else" differ default published
run /dev/null attribute --modality image --out same --compat published --ig-path full --rope mrope
check "a switch of its own goes first" cmp default same
run /dev/null attribute --modality image --out same --method ig --ig-rule right
check "and of methods and rules" cmp default same
run /dev/null attribute --modality image --out relp --method relp
run /dev/null attribute --modality image --out same --method relp --compat published --rope mrope
check "relevance has no path" cmp <(scores relp) <(scores same)
for option in "--method relp" "--ig-rule midpoint" "--ig-steps 3" "--head-reduce dot" "--prompt-reduce signed" "--signed" \
    "--ids image-0"; do
    # shellcheck disable=SC2086
    run /dev/null attribute --modality image --out other $option
    check "$option changes the scores" differ default other
done

# What is counted does not depend on the backend, threads or batches.
flops()
{
    grep -oE '"product_flops": ?[0-9]+' "$1" | grep -oE '[0-9]+$'
}
for method in ig relp; do
    run $method.json attribute --modality text --out other --method $method --json
    run same attribute --modality text --out other --method $method --json --backend ref --threads 2 --memory 8M
    check "$method says what it took" cmp $method.json same
done
check "relevance takes less" [ "$(flops relp.json)" -lt "$(flops ig.json)" ]

# ---- precision -----------------------------------------------------------------------
for precision in f32 bf16 bf16-emulated; do
    run predict.$precision predict --precision $precision
done
check "bf16 has other logits" differ predict.f32 predict.bf16
check "emulated, ref computes the same" cmp predict.bf16 predict.bf16-emulated
run check validate --modality text --precision bf16 --precision-check --prompts 2
check "a check is a line" rows check 2
check "of scores and circuits" grep -q 'spearman_heads.*jaccard_neurons.*faithfulness' check
run check validate --modality text --precision bf16 --precision-check --prompts 2 --json
check "it names the precision" grep -q '"precision":"bf16"' check
"$bin" validate --model "$golden/checkpoint" --dataset "$golden/goldens" --modality text \
    --precision-check > out 2> err
check "f32 is compared with nothing" [ $? -eq 2 ]
check "and says so" grep -q 'wanted --precision bf16' err

for precision in f32 bf16-emulated; do
    run out study --keep all --fractions 0.1,0.5 --bp-grid none --validate 0 --pictures 0 \
        --precision $precision --out study.$precision
    "$bin" summary study.$precision > summary.$precision
    "$bin" summary study.$precision --json > summary.$precision.json
done
check "a study in f32 has nothing to compare" grep -q '"precision_check": null' summary.f32.json
check "and says nothing" [ "$(grep -c 'beside f32' summary.f32)" -eq 0 ]
check "a study says what its precision does, of each modality" \
    [ "$(grep -c 'bf16-emulated beside f32' summary.bf16-emulated)" -eq 2 ]
check "so does its report" grep -q 'Computed in bf16-emulated; on 4 image pairs' study.bf16-emulated/report.html
check "as a check of the same pairs does" python3 - "$bin" "$golden" << 'END'
import json, sqlite3, subprocess, sys
found = json.load(open("summary.bf16-emulated.json"))["modalities"]
rows = sqlite3.connect("study.bf16-emulated/study.db")
for modality in found:
    of = found[modality]["precision_check"]
    row = rows.execute("select * from precision where modality = ?", [modality]).fetchone()
    assert row[1] == of["pairs"] and row[2] == of["fraction"], (row, of)
    assert list(row[3:]) == [of[k] for k in list(of)[2:]], (row, of)
    assert of["jaccard_neurons"] > .9 and 0 < of["logit_diff"] < .1, of
END
"$bin" study --model "$golden/checkpoint" --dataset "$golden/goldens" --keep all --fractions 0.1,0.5 \
    --bp-grid none --validate 0 --pictures 0 --out study.f32 --precision bf16-emulated > out 2> err
check "another precision is another study" grep -q 'precision' err

# ---- validate ------------------------------------------------------------------------
few=(--modality text --prompts 1 --sample 6 --ig-steps 1,2)
run table validate "${few[@]}"
check "five ways, of two kinds, over all and four layers" rows table 58
check "named" cmp <(head -n 1 table) \
    <(printf 'method\tig_rule\tig_steps\tkind\tlayer\tn\tprompts\tpearson\tpearson_low\tpearson_high\tspearman\tspearman_low\tspearman_high\n')
check "each method, rule and number of steps" cmp <(grep '	heads	all	' table | cut -f1-3) \
    <(printf 'ig\tright\t1\nig\tright\t2\nig\tmidpoint\t1\nig\tmidpoint\t2\nrelp\t-\t-\n')
run same validate "${few[@]}"
check "the same again" cmp table same
run other validate "${few[@]}" --seed 1
check "another seed draws others" [ "$(cat table)" != "$(cat other)" ]
run apart validate --modality text --prompts 2 --sample 6 --ig-steps 1 --method ig --ig-rule right
check "of two prompts there are intervals" \
    grep -qE '^ig	right	1	heads	all	12	2	[-0-9.]+	[-0-9.]+	[-0-9.]+	' apart
run json validate "${few[@]}" --method relp,ig --ig-rule midpoint --json
check "the same in JSON" grep -q '"method":"relp","ig_rule":null,"ig_steps":null' json
check "in the order asked for" grep -q '"completeness":\[{"method":"relp"' json
check "validate says what it took" [ "$(flops json)" -gt 0 ]

# ---- evaluate ------------------------------------------------------------------------
run /dev/null attribute --modality text --out text
run ends evaluate --modality text --scores text --fractions 0,1
check "nothing is faithful by nothing" grep -q '^0	0	0	0.0000	' ends
check "everything by everything" grep -qE '^1	1080	14400	1\.0000	1\.0000	1\.0000	1\.0000	1\.0000	1\.0000	' ends
run ref evaluate --modality text --scores text
check "the published grid" rows ref 28
run same evaluate --modality text --scores text --grid ref
check "is the default" cmp ref same
run paper evaluate --modality text --scores text --grid paper
check "the paper's grid" rows paper 103
run f32 evaluate --modality text --scores text --fractions 0.005,0.01,0.05 --pct f32
run same evaluate --modality text --scores text --fractions 0.005,0.01,0.05 --compat published \
    --rope mrope
check "--compat published rounds fractions" cmp f32 same
run r1 evaluate --modality text --scores text --fractions 0.1 --random 1
run r2 evaluate --modality text --scores text --fractions 0.1 --random 1
run r3 evaluate --modality text --scores text --fractions 0.1 --random 2
check "a seed's circuit" cmp r1 r2
check "another seed's" differ r1 r3
check "of the same size" cmp <(cut -f1-3 r1) <(cut -f1-3 r3)
run mean evaluate --modality text --scores text --fractions 0.3 --faith ratio_mean
check "--faith names the column" cmp <(cut -f4 mean | tail -n 1) <(cut -f8 mean | tail -n 1)
run json evaluate --modality text --scores text --fractions 0.1,0.2 --ids text-0,text-1 --json
check "three logit differences for each prompt" \
    test "$(grep -oE '\[-?[0-9.e-]+,-?[0-9.e-]+,-?[0-9.e-]+\]' json | wc -l)" -eq 4
check "evaluate says what it took" [ "$(flops json)" -gt 0 ]

# Heads and neurons of sizes of their own: at the same size the circuits of --fractions.
run curve evaluate --modality text --scores text --fractions 0.1,0.2
run same evaluate --modality text --scores text --head-fraction 0.1 --neuron-fraction 0.1
check "two equal fractions are one" cmp <(sed -n 2p curve | cut -f2-) <(sed -n 2p same | cut -f2-)
run apart evaluate --modality text --scores text --fractions 0.1,0.2 --head-fraction 0.2
check "heads of another size" cmp <(cut -f1,2 apart | tail -n 2) <(printf '0.2:0.1\t216\n0.2:0.2\t216\n')
check "neurons of the circuit's" cmp <(cut -f3 apart) <(cut -f3 curve)
check "equal where both are" cmp <(tail -n 1 apart | cut -f2-) <(tail -n 1 curve | cut -f2-)
check "another faithfulness where not" differ <(sed -n 2p apart | cut -f4) <(sed -n 2p curve | cut -f4)
run ends evaluate --modality text --scores text --head-fraction 0 --neuron-fraction 1
check "neurons alone" cmp <(cut -f1-3 ends | tail -n 1) <(printf '0:1\t0\t14400\n')

# ---- overlap and interchange ---------------------------------------------------------
circuits=(--text-scores text --image-scores default)
both=("${circuits[@]}" --text-fraction 0.1 --image-fraction 0.1)
run default.overlap overlap "${both[@]}"
check "a line for each segment and the whole, each kind and both" rows default.overlap 13
run same overlap "${both[@]}" --rand-match whole --rand-draws 20 --niou correct --seed 42
check "the defaults of overlap" cmp default.overlap same
run whole overlap "${circuits[@]}" --text-fraction 1 --image-fraction 1
check "components in no segment are told" [ "$(grep -c 'before the data, in no segment: left out' stderr)" -eq 2 ]
check "an overlap that chance leaves no room for" grep -q 'both.*undefined	undefined	undefined	20$' whole
run whole.json overlap "${circuits[@]}" --text-fraction 1 --image-fraction 1 --json
check "is null in JSON" grep -q '"normalised":null' whole.json
check "and never NaN" eval '! grep -qi nan whole whole.json'
run published overlap "${both[@]}" --compat published
run same overlap "${both[@]}" --niou ref --rand-draws 1 --pct f32
check "overlap --compat published" cmp published same
run same overlap "${both[@]}" --compat published --niou correct --rand-draws 20 --pct exact
check "a switch of its own goes first in overlap" cmp default.overlap same
run ref overlap "${both[@]}" --niou ref
check "--niou changes what is normalised alone" cmp <(cut -f1-7 default.overlap) <(cut -f1-7 ref)
check "into IoU - 2B of rounded values in [0.01, 1]" awk -F '\t' '
    function round(x) { return sprintf("%.3f", x) + 0 }
    NR > 1 && $2 != "both" { want = round($3) - 2 * round($4)
        iou[$2] = round($3); random[$2] = round($4) }
    NR > 1 && $2 == "both" {
        want = (iou["heads"] + iou["neurons"]) / 2 - random["heads"] - random["neurons"] }
    NR > 1 { want = want < 0.01 ? 0.01 : want > 1 ? 1 : want
        if (want - $8 > 1.1e-3 || $8 - want > 1.1e-3) exit 1 }' ref
run kinds overlap "${circuits[@]}" --text-fraction 0.1 --image-fraction 0.1 --head-fraction 0.2
run all overlap "${circuits[@]}" --text-fraction 0.2 --image-fraction 0.2
check "--head-fraction changes heads" cmp <(grep heads kinds | cut -f1-3) <(grep heads all | cut -f1-3)
check "and no neurons" cmp <(grep neurons kinds | cut -f1-3) <(grep neurons default.overlap | cut -f1-3)
run default.interchange interchange "${both[@]}"
run kinds interchange "${both[@]}" --head-fraction 0.1 --neuron-fraction 0.1
check "fractions of kinds that are the circuits' own" cmp default.interchange kinds
run same interchange "${both[@]}" --inter-rand valid --rand-draws 5 --faith mean_ratio --seed 42
check "the defaults of interchange" cmp default.interchange same
run published interchange "${both[@]}" --compat published --rope mrope
run same interchange "${both[@]}" --inter-rand ref --rand-draws 1 --faith mean_ratio --pct f32
check "interchange --compat published" cmp published same

# ---- align ---------------------------------------------------------------------------
# near FILE COLUMN VALUES..: a column of the table, to the digits that it shows.
near()
{
    local file=$1 column=$2
    shift 2
    paste <(tail -n +2 "$file" | cut -f"$column") <(printf '%s\n' "$@") |
        awk 'NF != 2 || $1 - $2 > 6e-5 || $2 - $1 > 6e-5 { exit 1 }'
}

run default.align align
run same align --align act
check "the default of align" cmp default.align same
run same align --compat published --rope mrope
check "align --compat published is what the paper says" cmp default.align same
# Of torch 2, in float64: the images' resid_post out of transformers, W the output
# embedding, normalize(h) @ normalize(W[ids of the text's data]).T, max over the four
# tokens, mean over pairs; with the tokens of pairs 3, 4, 4, 5, 0, 3, which seed 42 draws of
# those with other words and another answer; and both with the means of h and
# of the rows of W taken away.
run unembed align --align unembed
check "the unembedding, as by torch" near unembed 2 -0.045812 -0.067832 -0.019666 -0.028064
check "another text's, as by torch" near unembed 5 0.038168 0.010734 -0.002008 0.006474
run centred align --align unembed --center
check "centred, as by torch" near centred 2 0.025007 0.072424 0.117676 0.117428
check "another's centred, as by torch" near centred 5 0.147213 0.160938 0.134173 0.142650

# ---- backpatch -----------------------------------------------------------------------
differences() # FILE: of the first cell, a line each
{
    { echo logit_diff; grep -o '"cells":.*' "$1" | grep -o '"logit_diff":\[[^]]*' | head -n 1 |
        cut -d'[' -f2 | tr ',' '\n'; } > "$1.lines"
}
run on backpatch --modality image --src 3 --dst 1 --window 3 --json
run same backpatch --modality image --src 3 --dst 1 --window 3 --json --bp-repeat on
check "the default of backpatch" cmp on same
# Of torch 2, in float64: forward hooks on the layers of the transformers model that write
# the clean resid_post of the data positions back above the last destination.
run off backpatch --modality image --src 3 --dst 1 --window 3 --bp-repeat off --json
differences off
check "clean states behind, as by torch" near off.lines 1 \
    0.114604 -2.412424 0.454665 1.858794 -5.337932 0.891844
run off backpatch --modality image --src 1 --dst 0 --window 3 --times 2 --bp-repeat off --json
differences off
check "twice, as by torch" near off.lines 1 \
    0.559803 -2.182063 0.429649 2.301580 -5.007408 2.224838
run off backpatch --modality text --src 2 --dst 0 --bp-repeat off --json
differences off
check "of text, as by torch" near off.lines 1 \
    -0.556871 3.511463 -4.997117 3.532335 -6.098668 -2.287990

# ---- pairs of one length -------------------------------------------------------------
# lengths NAME PAIRS..: the golden dataset with two more words in the text of these pairs.
lengths()
{
    local name=$1 expression=
    shift
    mkdir "$name"
    ln -s "$golden/goldens/images" "$golden/goldens/task.json" "$name/"
    for pair in "$@"; do
        expression+="/\"id\": \"text-$pair\"/s/\"data\": \"/&  dog dog/;"
    done
    sed "$expression" "$golden/goldens/dataset.jsonl" > "$name/dataset.jsonl"
}
# The pairs whose text has as many tokens as `predict` says of most.
lengths mixed 1 3
sed -i 's/"pair": "5", "modality": "text"/"pair": "none", "modality": "text"/' mixed/dataset.jsonl
data=mixed run tokens predict --modality text
most=$(predicted tokens | tail -n +2 | grep -v '^text-5' | cut -f3 | sort -n | uniq -c | sort -k1,1nr -k2,2n |
    awk '{ print $2; exit }')
kept=$(predicted tokens | tail -n +2 | awk -F '\t' -v n="$most" '$3 == n && $1 != "text-5" {
    sub("text-", "", $1); printf "%s ", $1 }')
check "which are three" test "$kept" = "0 2 4 "
mkdir few
ln -s "$golden/goldens/images" "$golden/goldens/task.json" few/
# shellcheck disable=SC2086
grep -E "$(printf '"pair": "(%s)"' "$(echo $kept | tr ' ' '|')")" mixed/dataset.jsonl |
    sed 's/, "cf": "[^"]*"//' > few/dataset.jsonl
data=mixed run modal align --bp-filter modal --json
check "which pairs are left out is told" grep -q '^{"n":3,"left_out":{"no_partner":1,"other_length":2}' modal
check "and warned of" grep -q "not having $most tokens, the most frequent length: 2$" stderr
data=few run few.align align --json
check "align --bp-filter modal is align of those" cmp <(grep -o '"layers.*' modal) \
    <(grep -o '"layers.*' few.align)
data=mixed run same align --compat published --rope mrope --json
check "and published" cmp modal same
data=mixed run all.align align --json --bp-filter none
check "all pairs without" grep -q '^{"n":5,"left_out":{"no_partner":1,"other_length":0}' all.align
for m in text image; do
    cell=(--modality $m --src 2 --dst 0)
    data=mixed run modal backpatch "${cell[@]}" --bp-filter modal
    data=mixed run same backpatch "${cell[@]}" --ids "$m-0,$m-2,$m-4"
    check "backpatch --bp-filter modal is that of those" cmp modal same
    data=mixed run same backpatch "${cell[@]}" --compat published --rope mrope
    check "and published" cmp modal same
    data=mixed run modal backpatch "${cell[@]}" --ids "$m-0,$m-1,$m-5" --bp-filter modal --json
    check "of the $m prompts that are asked for" \
        grep -q '^{"n":1,"left_out":{"no_partner":1,"other_length":1}' modal
done
lengths tie 1 3 5
data=tie run tie.align align --bp-filter modal --json
check "three and three" grep -q '^{"n":3,' tie.align
data=tie run tie.backpatch backpatch --modality text --src 2 --dst 0 --bp-filter modal --json
data=tie run same backpatch --modality text --src 2 --dst 0 --ids text-0,text-2,text-4 --json
check "of two lengths the shorter" cmp <(grep -o '"clean.*' tie.backpatch) <(grep -o '"clean.*' same)

# ---- labels of several times ---------------------------------------------------------
# Each prompt can say two digits; all of them together the four that the task has.
lengths two
rm two/task.json
sed -e 's/"answer": "[13]"/&, "labels": ["1", "3"]/' -e 's/"answer": "[24]"/&, "labels": ["4", "2"]/' \
    "$golden/goldens/dataset.jsonl" > two/dataset.jsonl
again=(--modality image --src 3 --dst 0,1 --times 3)
run task backpatch "${again[@]}" --iter-labels question
data=two run question backpatch "${again[@]}"
data=two run union backpatch "${again[@]}" --iter-labels union
check "the labels of all prompts are the task's" cmp task union
check "and not each prompt's" differ question union
data=two run same backpatch "${again[@]}" --compat published --rope mrope
check "backpatch --compat published" cmp union same
data=two run once backpatch --modality image --src 3 --dst 0,1
data=two run same backpatch --modality image --src 3 --dst 0,1 --compat published --rope mrope
check "once is not again" cmp once same

# ---- inspect -------------------------------------------------------------------------
# exact OPTIONS...: the table, with the exact numbers of --json.
exact()
{
    "$bin" inspect "$@" --json > exact.json && "$bin" inspect "$@" > exact.table &&
        python3 -c '
import json
facts = json.load(open("exact.json"))
for line in open("exact.table"):
    key, _, value = line.rstrip("\n").partition("\t")
    print(key, facts.get(key, value), sep="\t")'
}
"$bin" inspect --model "$golden/checkpoint" --image-size 150x61 > people
check "bytes for people" grep -qE '^weight_bytes	[0-9.]+ (KiB|MiB)$' people
check "products for people" grep -qE '^study_flops	[0-9.]+ [MGT]FLOP$' people
check "a rate for people" grep -qE '^product_flops_per_second_here	[0-9.]+ [MGT]FLOP/s$' people
check "hours for people" grep -qE '^study_hours_here	[0-9.]+ (seconds|minutes|hours)$' people
check "and none of them with an exponent" test -z "$(grep -E '^[a-z_]*(bytes|flops|here)	[0-9.]+e[+-]' people)"
exact --model "$golden/checkpoint" > inspect
check "parameters" grep -q '^parameters	210336$' inspect
check "sites" grep -q '^site z	\[T,6,8\]$' inspect
mkdir bare
cp "$golden/checkpoint/config.json" bare/
exact --model bare > bare.inspect
plan='^(parameters|weight|study_hours_here|product_flops_per_second_here|process_bytes|predict_peak_bytes)'
check "no weights needed" cmp <(grep -vE "$plan" bare.inspect) <(grep -vE "$plan" inspect)
# Circuits are evaluated by parts of layers, which stay in f32.
"$bin" inspect --model bare --precision bf16-emulated --json > precise
check "time in bf16" python3 -c '
import json
x = json.load(open("precise"))
rates = float(x["product_flops_per_second_here"]), float(x["bf16_product_flops_per_second_here"])
stages = [s for s in x["stages"] if "product_flops" in s]
assert sum("circuit tests" in s["stage"] for s in stages) == 2
seconds = float(x["study_tower_flops"]) / rates[0] + sum(s["product_flops"] / rates[
    not s["stage"].startswith(("evaluate", "circuit tests", "interchange"))] for s in stages)
assert abs(seconds / 3600 / float(x["study_hours_here"]) - 1) < .06, (seconds / 3600, x["study_hours_here"])'
check "time" grep -qE '^study_hours_here	[0-9.e+-]+$' bare.inspect
echo '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}}' > bare/model.safetensors.index.json
exact --model bare > bare.inspect
check "weights that are not there" grep -q '^weights	2 of 2 files are not there$' bare.inspect

check "a tower's parameters" grep -q '^vision_parameters	' bare.inspect
value() { awk -v key="$1" '$1 == key { print $2 }' "$2"; }
check "what is found is what a configuration wants" \
    [ "$(($(value decoder_parameters inspect) + $(value vision_parameters inspect)))" = 210336 ]
exact --model "$golden/checkpoint" --image-size 150x61 --prompt-tokens 30 > with.image
check "tokens of an image" [ "$(value prompt_tokens with.image)" = \
    $((30 + $(value image_tokens with.image))) ]
check "and what they take" [ "$(value vision_bytes with.image)" -gt 1000 ]
check "parts make the whole" [ "$(value predict_peak_bytes with.image)" -gt \
    $(($(value vision_bytes with.image) + $(value read_weight_bytes with.image))) ]

# Of the last layer at the last position: queries, the output of attention, the MLP.
exact --model "$golden/checkpoint" > inspect
n() { value "$1" inspect; }
q=$(($(n d_model) * $(n heads) * $(n d_head))) kv=$(($(n d_model) * $(n kv_heads) * $(n d_head)))
mlp=$(($(n d_model) * $(n d_mlp))) T=$(n prompt_tokens)
rows=$((T * ($(n layers) - 1) + 1)) all=$((T * $(n layers)))
forward=$((2 * (rows * (2 * q + 3 * mlp) + all * 2 * kv)))
check "products of a forward pass" [ "$(n forward_flops)" = $forward ]
# 250 prompts twice: 4 layers; the third behind the data runs 49 more under the 18 cells, each of which ends in
# the last one. The data, two thirds, run once for each of the 6 pairs of a last layer that cells write to and a
# distance from their source: 8 layers, 6 times the keys of the last one, 5 times with its last position.
layer=$((2 * q + 2 * kv + 3 * mlp)) keys=$((2 * kv)) top=$((2 * q + 3 * mlp)) data=$(((2 * T + 2) / 3))
patched=$((500 * 2 * (4 * T * layer + (T - data) * (31 * layer + 18 * keys) + data * (8 * layer + 6 * keys) + 23 * top) / forward))
check "back-patching" awk -v n="$(n backpatch_full_forward_passes)" -v wanted=$patched \
    'BEGIN { exit !(n - wanted <= 1 && wanted - n <= 1) }'
# Of so few cells most of a search are the runs without any: 646 passes' worth of a grid of all.
check "a search takes a quarter" awk -v n="$(n backpatch_halving_forward_passes)" -v all=$patched \
    'BEGIN { exit !(n > .18 * all && n < .27 * all) }'
# Sums over prompts of scores and magnitudes, f64, of all components of a model of real size.
exact --model "$real" --prompt-tokens 38 --image-size 252x252 > inspect.7b
check "a study has to hold its scores" [ "$(value study_memory_without_disk inspect.7b | tr -d M)" -gt $((2 * 8 * 28 * 119 * (18944 + 28) >> 20)) ]
check "or have them on the disk" [ "$(value study_least_memory inspect.7b | tr -d M)" -lt 1024 ]
check "stages make the whole" awk -v all="$(n study_forward_passes)" \
    '$1 == "stage" { for (i = 2; $(i + 1) != "forward"; i++); n += $i } END { exit !(n - all < 15 && all - n < 15) }' inspect
for option in "--method relp" "--ig-rule midpoint" "--bp-search halving" "--bp-grid none" "--prompts 100" "--validate 0" \
    "--inter-draws 1" "--fractions 0.05"; do
    # shellcheck disable=SC2086
    exact --model "$golden/checkpoint" $option > other
    check "inspect knows $option" [ "$(value study_flops other)" != "$(n study_flops)" ]
done
check "of five steps" [ "$(n ig_flops)" = $((11 * forward)) ]
check "of relevance, where nothing goes back to queries and keys" \
    [ "$(n relp_flops)" = $((3 * forward - 2 * (rows * q + all * kv))) ]

sum_of() { for key in "${@:2}"; do value "$key" "$1"; done | awk '{ n += $1 } END { print n }'; }
others="read_weight_bytes cache_bytes product_bytes input_bytes process_bytes"
exact --model "$golden/checkpoint" --backend ref --image-size 150x61 > of.ref
vision=$(value vision_bytes of.ref) forward=$(value forward_bytes of.ref)
check "and no cache" [ "$(value cache_bytes of.ref)" = 0 ]
check "ref has no scratch: the larger of tower and pass is on top" [ "$(value predict_peak_bytes of.ref)" = \
    $(($(sum_of of.ref $others) + (vision > forward ? vision : forward))) ]
if exact --model "$golden/checkpoint" --backend cpu --threads 1 --image-size 150x61 > of.cpu; then
    exact --model "$golden/checkpoint" --backend cpu --threads 4 --image-size 150x61 > of.four
    check "scratch of the backend that is named" \
        [ "$(value forward_bytes of.cpu)" -gt "$(value forward_bytes of.ref)" ]
    check "and of its threads" [ "$(value vision_bytes of.four)" -gt "$(value vision_bytes of.cpu)" ]
    tower=$(($(value vision_bytes of.four) - vision)) pass=$(($(value forward_bytes of.four) - forward))
    check "one scratch for tower and pass" [ "$(value predict_peak_bytes of.four)" = \
        $(($(sum_of of.four $others) + (vision > forward ? vision : forward) + (tower > pass ? tower : pass))) ]
fi

echo "$checked checks, $wrong wrong"
[ $wrong -eq 0 ]
