#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_intervals.sh TWINLENS - every number of align, overlap, interchange and backpatch has an
# interval: the study's where it has the same, and computed again by a program that shares no code
# (check_intervals.py); and of too little to say anything it is undefined, and no NaN.
set -u
bin=$(realpath "${1:?usage: test_intervals.sh TWINLENS}")
cd "$(dirname "$0")/../.." || exit 1
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

"$bin" task counting --style small --content held-out --n 24 --seed 3 --out "$tmp/data" > /dev/null
"$bin" study --dataset "$tmp/data" --method relp --fractions 0.05,0.3 --rand-draws 7 --inter-draws 3 \
    --circuit-tests 0 --validate 0 --pictures 0 --bp-grid paper --out "$tmp/run" > /dev/null 2> "$tmp/log" ||
    { cat "$tmp/log"; fail "a study"; }
"$python" tests/cli/check_intervals.py "$bin" "$tmp/data" "$tmp/run" || fail "intervals of commands"

# ---- one pair and its counterfactuals; nothing right --------------------------------------------------------------------
golden=$PWD/tests/data/qwen2vl-tiny
cd "$tmp" || exit 1
mkdir one
ln -s "$golden/goldens/images" "$golden/goldens/task.json" one/
for m in text image; do
    cf=$(grep "\"id\": \"$m-0\"" "$golden/goldens/dataset.jsonl" | grep -o '"cf": "[^"]*"' | cut -d'"' -f4)
    grep "\"id\": \"$m-0\"" "$golden/goldens/dataset.jsonl" | sed 's/}$/, "split": "evaluation"}/'
    grep "\"id\": \"$cf\"" "$golden/goldens/dataset.jsonl" | sed 's/"pair": "[^"]*", //; s/, "cf": "[^"]*"//'
done > one/dataset.jsonl
# says NAME WORDS..: a command on the tiny checkpoint and that dataset.
says() {
    local name=$1
    shift
    "$bin" "$@" --model "$golden/checkpoint" --dataset one > "$name" 2> log || { cat log; fail "$name: $*"; }
    if grep -qi 'nan\|inf' "$name"; then fail "$name: not a number"; fi
}
for m in text image; do
    says attribute attribute --modality $m --split evaluation --out "$m.scores"
done
both=(--any-scores --text-scores text.scores --image-scores image.scores --text-fraction 0.1 --image-fraction 0.1)
u='undefined	undefined'
says align align
grep -Eq "^0	[-0-9.]+	$u	undefined	$u	undefined	$u	1	0\$" align ||
    fail "one pair and no other: $(cat align)"
says align.json align --json
says overlap overlap "${both[@]}" --rand-draws 1
grep -Eq '^data	both	[0-9.]+	[0-9.]+	undefined	undefined	0.0000	[-0-9.]+	undefined	undefined	1$' overlap ||
    fail "one draw: $(cat overlap)"
says overlap.json overlap "${both[@]}" --rand-draws 1 --json
says interchange interchange "${both[@]}" --rand-draws 1
grep -Eq "^query	text	[-0-9.]+	$u	[-0-9.]+	$u	undefined	[-0-9.]+	$u	[-0-9.]+	$u	1\$" interchange ||
    fail "one pair and one draw: $(cat interchange)"
says interchange.json interchange "${both[@]}" --rand-draws 1 --json
says backpatch backpatch --modality image --src 2 --dst 0
says backpatch.json backpatch --modality image --src 2 --dst 0 --json
grep -Eq '^2	0	1	1	0.0000	0.0000	0.6576	0.0000	-0.6576	0.6576	0	0	1.0000	2$' backpatch ||
    fail "two prompts and nothing right: $(cat backpatch)"
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
