#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_precision.sh TWINLENS - on the bundled model, which has learnt something, products in
# bf16 change logit differences by less than 3e-2, and circuits at 10 % hardly at all.
set -euo pipefail
twinlens=$(realpath "${1:?usage: test_precision.sh TWINLENS}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }

# A seed whose first prompts the model is sure of: a difference is a share of a logit difference,
# and how pictures are drawn, so how small one is, depends on the machine's fonts.
"$twinlens" task counting --style small --content held-out --n 8 --seed 6 --out "$work/data" > /dev/null
# The counterfactual of a prompt: the next of its modality with another answer.
awk -F'"' '
    function of(key,  i) { for (i = 2; i < NF; i += 2) if ($i == key) return $(i + 2) }
    { row[NR] = $0; id[NR] = of("id"); answer[NR] = of("answer"); modality[NR] = of("modality") }
    END {
        for (i = 1; i <= NR; i++) {
            for (k = 1; k < NR; k++) {
                j = (i + k - 1) % NR + 1
                if (modality[j] == modality[i] && answer[j] != answer[i]) break
            }
            sub(/}$/, ", \"cf\": \"" id[j] "\"}", row[i])
            print row[i]
        }
    }' "$work/data/dataset.jsonl" > "$work/rows"
mv "$work/rows" "$work/data/dataset.jsonl"

for modality in text image; do
    "$twinlens" validate --dataset "$work/data" --modality $modality --prompts 4 --fraction 0.1 \
        --precision bf16-emulated --precision-check > "$work/check" 2> "$work/err" ||
        fail "$(cat "$work/err")"
    echo "$modality: $(tail -n 1 "$work/check")"
    tail -n 1 "$work/check" | awk -F'\t' '{ exit !($4 > .97 && $5 > .97 && $6 >= .97 && $7 >= .97 &&
        ($9 - $8) ^ 2 < .02 ^ 2 && $10 < .03 && $10 > 0) }' || fail "$modality: too far from f32"
done
