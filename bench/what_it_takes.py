#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables of README.md under "What it takes".

    python3 bench/what_it_takes.py TWINLENS           writes them anew
    python3 bench/what_it_takes.py TWINLENS --check   exit status 1 if they are not what they should be

Work and memory are what `TWINLENS inspect` counts for the configurations in bench/configs; rates and the comparison with PyTorch
are rows of docs/performance.tsv, which bench/performance.py measures. So: after a measurement, write them anew.
"""
import json
import subprocess
import sys
from pathlib import Path

import figures
from performance import CONFIGS, IN_F32, PROMPT, WAYS, read_kept
from performance_page import AMX, machine_of, number

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench/what_it_takes.py writes from here -->\n", "<!-- to here -->\n"
MODELS = {"Qwen2-VL-2B": "qwen2-vl-2b", "Qwen2-VL-7B": "qwen2-vl-7b"}
COMPARED = {("forward", "PyTorch f32"): "a forward pass", ("attribution, 5 steps of IG", "PyTorch f32"): "attribution, 5 steps of integrated gradients",
            ("attribution, RelP", "PyTorch f32, RelP"): "attribution, RelP", ("peak memory", "PyTorch f32"): "memory at most"}


def inspect(twinlens, folder, options):
    command = [twinlens, "inspect", "--model", CONFIGS / folder, *PROMPT, "--json", "--threads", "2", *options]
    return json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)


def duration(seconds):
    for unit, size, most in (("minutes", 60, 5400), ("hours", 3600, 72 * 3600)):
        if seconds < most:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds / 86400:.2g} days"


def needs(twinlens, rows, kept):
    vectors = "AVX-512" if "avx512f" in machine_of(kept["plan"]) else "AVX2"
    rate = next(r["value"] for r in rows["plan"] if r["figure"] == "rate of products here") * 1e9
    found = {model: {way: inspect(twinlens, folder, WAYS[way]) for way in ("halving", "the paper's")} for model, folder in MODELS.items()}

    def both(form):
        return [f"{form(ways['halving'])} ({form(ways['the paper' + chr(39) + 's'])})" for ways in found.values()]

    def amx(d):
        work, tower = float(d["study_flops"]), float(d["study_tower_flops"])
        slow = sum(s["product_flops"] for s in d["stages"] if s["stage"].startswith(IN_F32))
        return duration((work - slow) / (rate * AMX[1] * AMX[2]) + (slow + tower) / (rate * AMX[1]))

    def gib(d, key):
        return f"{int(d[key].rstrip('M')) / 1024:.1f}"

    weights = [f"{(d['halving']['decoder_parameters'] + d['halving']['vision_parameters']) * 2 / 2**30:.1f} GiB" for d in found.values()]
    memory = [f"{gib(d['halving'], 'study_least_memory')} ({gib(d['halving'], 'study_memory_without_disk')}) GiB" for d in found.values()]
    lines = [["work: `--bp-search halving` (all cells)", *both(lambda d: f"{float(d['study_flops']) / 1e15:.3g} PFLOP"), "counted"],
             [f"time on 2 cores with {vectors}, f32: {rate / 1e9:.0f} GFLOP/s", *both(lambda d: duration((float(d["study_flops"]) + float(d["study_tower_flops"])) / rate)),
              "that work at a measured rate"],
             [f"time on {AMX[0]}, `--precision bf16`", *both(amx), f"that work at an assumed rate: {AMX[1]} times as many cores, bf16 {AMX[2]} times f32"],
             ["weights, bf16, mapped from the file", *weights, "counted"],
             ["memory beside them, least (scores not on the disk)", *memory, "planned; `--memory` sets it, less than the least is refused"]]
    return ["| a study of one task, 250 prompts of each modality | " + " | ".join(MODELS) + " | |", "|---|---|---|---|"] + [f"| {' | '.join(x)} |" for x in lines]


def comparison(rows, kept):
    lines = ["| beside PyTorch with hooks, same prompts | twinlens | PyTorch | |", "|---|---|---|---|"]
    for r in rows["engine"]:
        name = COMPARED.get((r["figure"], r["peer"]))
        if name:
            name += ", bf16 against f32" if "bf16" in r["case"] else ""
            lines.append(f"| {name} | {number(r['value'])} {r['unit']} | {number(r['peer value'])} | {r['ratio']:.1f} times {'less' if 'memory' in name else 'as fast'} |")
    return lines + ["", f"*Measured, image prompts, a Qwen2-VL of 187 million parameters; {machine_of(kept['engine'])}.*"]


def main():
    twinlens, path = sys.argv[1], ROOT / "README.md"
    kept = read_kept(ROOT / "docs" / "performance.tsv")
    rows = {b: figures.read("\n".join(lines)) for b, lines in kept.items()}
    text = path.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = before + BEGIN + "\n".join(needs(twinlens, rows, kept) + [""] + comparison(rows, kept)) + "\n" + END + after
    if "--check" not in sys.argv:
        path.write_text(made)
    elif made != text:
        sys.exit("README.md is not what bench/what_it_takes.py writes")


if __name__ == "__main__":
    main()
