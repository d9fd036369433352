#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_mpi.sh TWINLENS - `mpirun -n K twinlens study` ends with the bytes of one process for
# K = 1, 2, 3, 5, also when a rank is killed and the study goes on with another K; what goes
# wrong is one line. Skipped (77) without mpirun, or in a build without MPI.
set -euo pipefail
twinlens=${1:?usage: test_mpi.sh TWINLENS}
command -v mpirun > /dev/null || { echo "skipped: no mpirun"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset OMPI_COMM_WORLD_SIZE PMI_SIZE PMIX_RANK
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
study=("$twinlens" study --model tests/data/qwen2vl-tiny/checkpoint --keep all --threads 1
       --dataset tests/data/qwen2vl-tiny/goldens --fractions 0,0.1,0.5 --bp-grid paper)
fail() { echo "FAIL: $*" >&2; exit 1; }

if OMPI_COMM_WORLD_SIZE=2 "${study[@]}" --out "$work/no" > /dev/null 2> "$work/err"; then
    : # started by nothing, MPI begins all the same
elif grep -q 'this build has no MPI' "$work/err"; then
    echo "skipped: a build without MPI"
    exit 77
fi
if ! mpirun -q -n 2 true 2> "$work/err"; then
    echo "skipped: mpirun does not run here: $(head -c 200 "$work/err")"
    exit 77
fi

# All numbers of a study: its tables, and its files.
content() {
    for table in $(sqlite3 "$1/study.db" "select name from sqlite_schema where type = 'table' and name <> 'memory' order by name"); do
        echo "[$table]"
        sqlite3 "$1/study.db" "select * from \"$table\"" | LC_ALL=C sort
    done | sha256sum
    sha256sum < "$1/scores.text.safetensors"
    sha256sum < "$1/scores.image.safetensors"
    sha256sum < "$1/report.html"
}

"${study[@]}" --out "$work/alone" > /dev/null 2>&1
content "$work/alone" > "$work/wanted"
for k in 1 2 3 5; do
    mpirun -q -n $k "${study[@]}" --out "$work/$k" > "$work/out" 2> "$work/err" ||
        fail "$k ranks: $(tail -1 "$work/err")"
    content "$work/$k" | cmp -s - "$work/wanted" || fail "$k ranks: other numbers than alone"
    [[ $(grep -c 'results in' "$work/out") == 1 ]] || fail "$k ranks: not one summary"
done

# A rank dies while the study runs; the others end, rank 0 says so.
mkfifo "$work/begun"
mpirun -q -n 3 "${study[@]}" --out "$work/killed" > /dev/null 2> >(tee "$work/err" > "$work/begun") &
run=$!
read -r _ < "$work/begun" # the first stage is over
pkill -KILL -n -f "$work/killed" || true
! wait $run || fail "a team without one of its ranks ended well"
# (a rank that was killed at the very end leaves a finished study)
mpirun -q -n 2 "${study[@]}" --out "$work/killed" > /dev/null 2>&1 || fail "the rest, by 2 ranks"
content "$work/killed" | cmp -s - "$work/wanted" || fail "killed, then 2 ranks: other numbers"

# What is wrong with the input is said once.
! mpirun -q -n 3 "$twinlens" study --model "$work/none" --dataset "$work" --out "$work/x" 2> "$work/err" ||
    fail "no model, and it ended well"
[[ $(grep -c . "$work/err") == 1 ]] || fail "not one line: $(cat "$work/err")"
grep -q 'there is no such model folder' "$work/err" || fail "not this: $(cat "$work/err")"
! mpirun -q -n 3 "${study[@]}" --out "$work/x" --ig-steps none 2> "$work/err" || fail "--ig-steps none, and it ended well"
[[ $(grep -c . "$work/err") == 1 ]] || fail "not one line: $(cat "$work/err")"
echo "mpi: 1, 2, 3 and 5 ranks give the bytes of one process"
