#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_study_kill.sh TWINLENS - a study that is killed (SIGKILL) at some moment and
# started again ends with the same bytes as one left alone: every table of its store,
# and the score files. Ten moments spread over its run, one study killed in every stage, as
# soon as that stage has left its first rows.
set -u
bin=$(realpath "${1:?usage: test_study_kill.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
dataset=$tmp/data
"$bin" task sentiment --style small --content held-out --n 30 --seed 1 --out "$dataset" \
    > /dev/null || exit 1
failures=0
RANDOM=20240607 # the same moments every time, as shares of the run

if command -v sqlite3 > /dev/null; then
    ask() { sqlite3 -quote "$1/study.db" "$2"; }
elif python3 -c 'import sqlite3' 2> /dev/null; then
    ask() {
        python3 -c '
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1] + "/study.db").execute(sys.argv[2]):
    print(*[repr(x) for x in row], sep=",")' "$1" "$2"
    }
else
    echo "skipped: neither sqlite3 nor Python to look into the store"
    exit 77
fi

# All rows of all tables, in the order of their primary keys.
dump() {
    ask "$1" "select name from sqlite_schema where type = 'table' order by name" |
        tr -d "'" | while read -r table; do
        echo "[$table]"
        keys=$(ask "$1" "select group_concat(name) from
            (select name from pragma_table_info('$table') where pk > 0 order by pk)" |
            tr -d "'")
        ask "$1" "select * from \"$table\" order by $keys"
    done
}

study=("$bin" study --model models/organism --dataset $dataset --prompts 24
       --fractions 0,0.02,0.05,0.1,0.15,0.2,0.5 --bp-grid paper --pictures 3 --validate 2
       --threads 1 --out)

# killed_after SECONDS FOLDER: 0 when the study was still running.
killed_after() {
    "${study[@]}" "$2" > /dev/null 2>&1 &
    local pid=$!
    sleep "$1"
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
    [ $? -eq 137 ] # 128 + SIGKILL
}

compare() { # NAME FOLDER
    local name=$1 folder=$2 file
    "${study[@]}" "$folder" > "$tmp/out" 2> "$tmp/err" || {
        echo "FAILED: $name: did not go on: $(tail -n 1 "$tmp/err")"
        failures=$((failures + 1))
    }
    dump "$folder" > "$tmp/dump"
    cmp "$tmp/wanted" "$tmp/dump" || {
        echo "FAILED: $name: the tables differ"
        diff "$tmp/wanted" "$tmp/dump" | head -n 5
        failures=$((failures + 1))
    }
    for file in scores.text.safetensors scores.image.safetensors report.html; do
        cmp "$tmp/alone/$file" "$folder/$file" || {
            echo "FAILED: $name: $file differs"
            failures=$((failures + 1))
        }
    done
    [ "$(ls -A "$folder")" = "$(ls -A "$tmp/alone")" ] || {
        echo "FAILED: $name: other files: $(ls -A "$folder" | tr '\n' ' ')"
        failures=$((failures + 1))
    }
}

begin=$(date +%s%N)
"${study[@]}" "$tmp/alone" > /dev/null || exit 1
seconds=$(awk -v a="$begin" -v b="$(date +%s%N)" 'BEGIN { print (b - a) / 1e9 }')
dump "$tmp/alone" > "$tmp/wanted"
[ "$(grep -c . "$tmp/wanted")" -gt 500 ] || {
    echo "FAILED: hardly anything in the store"
    exit 1
}
echo "left alone: $seconds s, $(wc -l < "$tmp/wanted") lines in the dump"

n_killed=0
for k in 0 1 2 3 4 5 6 7 8 9; do
    share=$((10 * k + RANDOM % 10))
    folder=$tmp/killed-$k
    # A run that was faster than the first is killed earlier.
    while :; do
        moment=$(awk -v s="$seconds" -v p=$share 'BEGIN { print s * p / 100 }')
        killed_after "$moment" "$folder" && break
        share=$((share * 9 / 10))
        rm -rf "$folder"
    done
    n_killed=$((n_killed + 1))
    parts=$(ls "$folder" 2> /dev/null | grep -c partial)
    rm -rf "$tmp/look" # a copy: looking would tidy up what the killed process left
    cp -r "$folder" "$tmp/look" 2> /dev/null
    have=$(ask "$tmp/look" "select (select count(*) from prompt) || ' prompts, ' ||
        (select count(*) from scores) || ' score files, ' ||
        (select count(*) from baseline) || ' evaluations'" 2> /dev/null | tr -d "'")
    echo "killed at $share %: ${have:-nothing yet}, $parts partial sums"
    compare "killed at $share %" "$folder"
done

# In every stage: as soon as it has rows, or for some so many, in one and the same folder.
folder=$tmp/stages
n_stages=0
for stage in "prompt where modality = 'image'" pair token scores "scores where modality = 'text'" \
    baseline "baseline where modality = 'text'" effect "effect where modality = 'image'" picture overlap \
    interchange "interchange where host = 'image'" alignment backpatch "backpatch where modality = 'text'" iteration; do
    "${study[@]}" "$folder" > /dev/null 2>&1 &
    pid=$!
    while kill -0 $pid 2> /dev/null; do
        rows=$(ask "$folder" "select count(*) from $stage" 2> /dev/null)
        [ "${rows:-0}" -gt 0 ] && break
    done
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
    [ $? -eq 137 ] || {
        echo "FAILED: the study had ended before '$stage' was seen"
        failures=$((failures + 1))
    }
    n_stages=$((n_stages + 1))
done
echo "killed in $n_stages stages"
compare "killed in every stage" "$folder"

[ $failures -eq 0 ] && echo "$n_killed killed studies end with the same bytes"
exit $((failures > 0))
