#!/usr/bin/env bash
# test_pattern.sh BIN - `trace --sites pattern` is what transformers' eager attention gives
# (recorded by tests/parity/attention_patterns.py: causal, sliding windows, blocks of image
# tokens, all positions, soft caps), by both backends; rows sum to 1.
set -u
bin=$(realpath "${1:?usage: test_pattern.sh BIN}")
data=$PWD/tests/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
python3 - "$bin" "$data" << 'END'
import json
import struct
import subprocess
import sys
from array import array

bin, data = sys.argv[1:]
checked, wrong = 0, []


def tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        rest = file.read()
    return {k: (v["shape"], array("f", rest[slice(*v["data_offsets"])])) for k, v in header.items() if k != "__metadata__" and v["dtype"] == "F32"}


def trace(folder, dataset, backend, *words):
    line = [bin, "trace", "--model", f"{data}/{folder}", "--dataset", f"{data}/{dataset}", "--backend", backend, "--out", "traced", *words]
    return subprocess.run(line, capture_output=True, text=True)


backends = ["ref"] + (["cpu"] if trace("families/gemma3", "families/gemma3", "cpu", "--id", "text-0", "--sites", "z").returncode == 0 else [])
for family, folder, dataset in (("qwen2_vl", "qwen2vl-tiny/checkpoint", "qwen2vl-tiny/goldens"),
                                ("gemma3", "families/gemma3", "families/gemma3"), ("paligemma2", "families/paligemma2", "families/paligemma2")):
    golden = tensors(f"{data}/patterns/{family}.safetensors")
    for backend in backends:
        p = trace(folder, dataset, backend, "--ids", "text-0,image-0", "--sites", "pattern")
        found = tensors("traced")
        for name, (shape, want) in golden.items():
            checked += 1
            got_shape, got = found[name]
            worst = max(abs(a - b) for a, b in zip(got, want)) if got_shape == shape else float("inf")
            if not worst < 2e-5:  # measured 8e-6, in the last layers
                wrong.append(f"{family} {backend} {name}: {got_shape} for {shape}, {worst} away")
        n_heads = golden["text-0/pattern.0"][0][0]
        for name, (shape, got) in found.items():
            if "/pattern" not in name:
                continue
            checked += 1
            T = shape[2]
            sums = [sum(got[i * T:(i + 1) * T]) for i in range(shape[0] * T)]
            if shape != [n_heads, T, T] or max(abs(s - 1) for s in sums) > 2e-6 or min(got) < 0:
                wrong.append(f"{family} {backend} {name}: {shape}, rows sum to {min(sums)} to {max(sums)}")
        if "patterns of 'image-0'" not in p.stderr or p.stderr.index("patterns of") > p.stderr.index("are held until"):
            wrong.append(f"{family}: sizes are not said first: {p.stderr}")

# ---- reading them changes nothing, and takes memory that is asked for first --------------------
golden = ("qwen2vl-tiny/checkpoint", "qwen2vl-tiny/goldens")
for backend in backends:
    trace(*golden, backend, "--id", "image-0", "--sites", "z,resid_post,logits", "--grad")
    alone = tensors("traced")
    trace(*golden, backend, "--id", "image-0", "--sites", "z,resid_post,logits,pattern", "--grad")
    beside = tensors("traced")
    checked += 1
    if any(beside.get(k) != v for k, v in alone.items()) or len(beside) != len(alone) + 4:
        wrong.append(f"{backend}: reading patterns changes other numbers")
p = trace(*golden, "ref", "--id", "image-0", "--sites", "pattern", "--memory", "100K")
checked += 1
if p.returncode != 1 or "keeping patterns of 44 positions needs" not in p.stderr or "the budget is" not in p.stderr:
    wrong.append(f"patterns beyond --memory: {p.stderr}")
for line in wrong:
    print("FAILED:", line)
print(f"{checked} checks, {len(wrong)} wrong")
sys.exit(bool(wrong) or checked < 40)
END
