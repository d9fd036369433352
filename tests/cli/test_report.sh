#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_report.sh TWINLENS - the page of a study: whole, well-formed, without network or
# script, the same bytes again; and one for each state that a study can be in.
set -u
bin=$(realpath "${1:?usage: test_report.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tiny=tests/data/qwen2vl-tiny
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
study() {
    "$bin" study --model $tiny/checkpoint --keep all --fractions 0.05,0.5,1 --threads 1 "$@" > /dev/null 2>&1
}

# check PAGE FIGURES...: what holds of every page; these figures, and no others, are there.
check() {
    local page=$1
    shift
    python3 tests/cli/check_page.py "$page" "$@" || fail "$page"
}

study --dataset $tiny/goldens --out "$tmp/run" || fail study
[ "$("$bin" report "$tmp/run")" = "$tmp/run/report.html" ] || fail "report does not say where the page is"
check "$tmp/run/report.html" s1-accuracy s1-importance s1-pictures s1-faithfulness s1-validation \
    s1-overlap s1-interchange s1-alignment s1-gap s1-backpatch s1-iterations
for words in "What the model can do" "Where it looks" "How far the two circuits are the same parts" \
    "What back-patching brings" "What is not shown, and why" "Layers are counted from 0" "circuit of all image prompts"; do
    grep -q "$words" "$tmp/run/report.html" || fail "the page does not say: $words"
done
"$bin" report "$tmp/run" --out "$tmp/again.html" > /dev/null || fail "report --out"
cmp -s "$tmp/run/report.html" "$tmp/again.html" || fail "the same study makes two pages"

# A study of one modality, with text that HTML would read as its own.
mkdir "$tmp/data"
sed -n '/"modality": "text"/p' $tiny/goldens/dataset.jsonl > "$tmp/data/dataset.jsonl"
sed 's/"name": *"[^"]*"/"name": "<script>\&amp; \\"x\\""/' $tiny/goldens/task.json > "$tmp/data/task.json"
study --dataset "$tmp/data" --out "$tmp/text" || fail "a study of text"
"$bin" report "$tmp/text" > /dev/null || fail "report of text"
check "$tmp/text/report.html" s1-accuracy s1-importance s1-faithfulness s1-validation
grep -q "Only text prompts were studied" "$tmp/text/report.html" || fail "it does not say what is left out"

# Two in one page.
"$bin" report "$tmp/run" "$tmp/text" --out "$tmp/both.html" > /dev/null || fail "report of two"
paper="all-table-4 all-figure-4 all-table-5 all-table-6 all-figure-5 all-figure-6 all-figure-7 all-table-1
    all-table-7 all-figure-8 all-figure-9"
check "$tmp/both.html" $paper s1-accuracy s1-importance s1-pictures s1-faithfulness s1-validation \
    s1-overlap s1-interchange s1-alignment s1-gap s1-backpatch s1-iterations \
    s2-accuracy s2-importance s2-faithfulness s2-validation
"$bin" export "$tmp/run" "$tmp/text" --out "$tmp/files" || fail "export of two"
"$bin" summary "$tmp/run" "$tmp/text" --json > "$tmp/both.json" || fail "JSON of two"
python3 tests/cli/check_models.py "$tmp/files" "$tmp/both.json" || fail "the files of two"

# The same model and task twice, with another option; and a copy of a study.
study --dataset $tiny/goldens --modality text --ig-steps 2 --out "$tmp/steps" || fail "a study with other steps"
cp -r "$tmp/run" "$tmp/again"
"$bin" report "$tmp/run" "$tmp/steps" "$tmp/again" --out "$tmp/three.html" > /dev/null || fail "report of three"
for words in "<td>counting (1)</td>" "<td>counting (3)</td>" "<dt>ig-steps</dt><dd><strong>5</strong>" \
    "ig-steps&nbsp;2" "again"; do
    grep -qF "$words" "$tmp/three.html" || fail "three studies: no '$words'"
done
"$bin" export "$tmp/run" "$tmp/steps" "$tmp/again" --out "$tmp/files3" || fail "export of three"
"$bin" summary "$tmp/run" "$tmp/steps" "$tmp/again" --json > "$tmp/three.json" || fail "JSON of three"
python3 tests/cli/check_models.py "$tmp/files3" "$tmp/three.json" || fail "the files of three"
"$bin" summary "$tmp/run" "$tmp/text" --json --table > /dev/null 2> "$tmp/err"
[ $? -eq 2 ] && grep -q "without it" "$tmp/err" || fail "JSON and a table"

# One study is not two, by whatever name.
for command in summary "summary --json" "report --out $tmp/twice.html" "export --out $tmp/twice"; do
    "$bin" ${command%% *} "$tmp/run" "$tmp/text" "$tmp/./run/" $(echo "$command" | cut -s -d' ' -f2-) > /dev/null 2> "$tmp/err" &&
        fail "$command: one study is taken for two"
    grep -q "is the same study as" "$tmp/err" || fail "$command: $(cat "$tmp/err")"
done

# The scores are lost, or others.
cp -r "$tmp/run" "$tmp/lost"
rm "$tmp/lost"/scores.*
"$bin" report "$tmp/lost" > /dev/null || fail "a report needs more than the database"
check "$tmp/lost/report.html" s1-accuracy s1-pictures s1-faithfulness s1-validation \
    s1-overlap s1-interchange s1-alignment s1-gap s1-backpatch s1-iterations
cp "$tmp/run/scores.text.safetensors" "$tmp/lost/scores.image.safetensors"
"$bin" report "$tmp/lost" --out "$tmp/none.html" > /dev/null 2> "$tmp/err" && fail "scores of something else"
grep -q "scores.image.safetensors: not what the study wrote" "$tmp/err" || fail "it does not say which file"
[ -e "$tmp/none.html" ] && fail "a page that is not whole"

# What is no study.
"$bin" report "$tmp/data" > /dev/null 2> "$tmp/err" && fail "a report of no study"
grep -q "data: no study.db there" "$tmp/err" || fail "it does not say what is missing"
"$bin" report > /dev/null 2> "$tmp/err"
[ $? -eq 2 ] || fail "report of nothing"
"$bin" report "$tmp/run" "$tmp/text" > /dev/null 2> "$tmp/err"
[ $? -eq 2 ] || fail "report of two without a name"
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
