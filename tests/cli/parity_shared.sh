#!/usr/bin/env bash
# parity_shared.sh BIN - runs the reference's compare.py on its golden checkpoints with the
# default backend: the command line, end to end. What test_parity compares in process, with
# both backends, is not repeated with `ref`; that runs on the one checkpoint that test_parity
# does not know, for its tied head and its several files. Skipped (77) where ../shared or a
# Python that it needs is not there.
#
# TWINLENS_PARITY_ONLY and TWINLENS_PARITY_STAGES choose other checkpoints and stages.
set -u
bin=$(realpath "${1:?usage: parity_shared.sh BIN}")
shared=$(realpath -m ../shared)
families=${TWINLENS_PARITY_ONLY:-qwen2vl gemma3 pixtral}
stages=${TWINLENS_PARITY_STAGES:-predict,trace,attribute,evaluate,overlap,interchange,align,backpatch}

skip()
{
    echo "skipped: $1"
    exit 77
}

[ -f "$shared/reference/compare.py" ] || skip "no ../shared"

has_modules()
{
    "$1" -c 'import numpy, safetensors.numpy' > /dev/null 2>&1
}

python=
for candidate in python3 build/venv/bin/python; do
    if has_modules "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    log=$(mktemp)
    if ! { python3 -m venv build/venv &&
           build/venv/bin/pip install --quiet 'numpy<2' safetensors; } > "$log" 2>&1; then
        reason=$(tail -n 1 "$log")
        rm -f "$log"
        skip "no Python with numpy and safetensors: $reason"
    fi
    rm -f "$log"
    python=build/venv/bin/python
    has_modules "$python" || skip "build/venv cannot import numpy and safetensors"
fi

status=0
# compare BACKEND CHECKPOINTS STAGES; backend "": the default.
compare()
{
    echo "== ${1:-default backend}, $2"
    ${1:+env TWINLENS_BACKEND="$1"} "$python" "$shared/reference/compare.py" --twinlens "$bin" \
        "$shared/checkpoints" "$shared/goldens" --only "$2" --stages "$3" || status=1
}

for only in $families; do
    compare "" "$only" "$stages"
done
compare ref qwen2vl-tied-sharded predict,trace,attribute
exit $status
