#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh TWINLENS - makes prompts of the five tasks, studies the bundled model on them as
# text and as image, and ends with tables and one page. Prompts and studies are kept in
# runs/demo; a second call finds them finished.
set -euo pipefail
cd "$(dirname "$0")/.."
twinlens=${1:?usage: demo.sh TWINLENS}
datasets=()

mkdir -p runs/demo/data
for task in counting arithmetic color_ordering factual_recall sentiment; do
    data=runs/demo/data/$task
    [[ -e $data/dataset.jsonl ]] ||
        "$twinlens" task "$task" --style small --content held-out --n 160 --seed 1 \
            --out "$data" --force > /dev/null
    datasets+=(--dataset "$data")
done
"$twinlens" study "${datasets[@]}" --out runs/demo
echo
echo "Everything with plots: $PWD/runs/demo/report.html"
echo "One study in full: $twinlens summary runs/demo/counting; its numbers: runs/demo/counting/study.db"
