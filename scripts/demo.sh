#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh TWINLENS - studies the bundled model on its five tasks, as text and as
# image, and ends with one table. The studies are kept in runs/demo; a second call
# finds them finished.
set -euo pipefail
cd "$(dirname "$0")/.."
twinlens=${1:?usage: demo.sh TWINLENS}
tasks=(arithmetic color counting factual sentiment)
runs=()

for task in "${tasks[@]}"; do
    echo "== $task: see runs/demo/$task" >&2
    "$twinlens" study --model models/organism \
        --dataset "models/organism/datasets/$task" --out "runs/demo/$task" > /dev/null
    runs+=("runs/demo/$task")
done
echo >&2
"$twinlens" summary "${runs[@]}"
