# SPDX-License-Identifier: MIT
"""The engine beside PyTorch, in one run, on one and on two threads.

    python bench/beside_torch.py --bench BUILD/bench_engine --reference DIR --model DIR --dataset DIR [--prompts 4]

DIR of --reference holds torch_cli.py, vlm.py and pipeline.py (the PyTorch program that the parity tests compare with).
Both sides get the same prompts; models are loaded and prompts encoded before the clock starts, and the vision tower runs
while it does. The two take turns, and the best of a few rounds counts.
Prints one line per figure: name, threads, ours, PyTorch's, ratio (above 1: we are better).
"""
import argparse
import json
import os
import subprocess
import sys

TORCH = r"""
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_grad_enabled(False)
import goldens as G, pipeline as P
from pathlib import Path
from vlm import Vlm
model, dataset, modality, n = sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])
vlm = Vlm(model, torch.float32)
path = dataset / "dataset.jsonl" if dataset.is_dir() else dataset
rows = [json.loads(x) for x in path.read_text().splitlines() if x.strip()]
text, image = G.load_prompts(vlm, rows, path.parent)
prompts = (text if modality == "text" else image)[:n]
best = 0.0
for _ in range(3):
    start = time.perf_counter()
    for p in prompts:
        vlm.run(p.enc)
    best = max(best, sum(p.T for p in prompts) / (time.perf_counter() - start))
start = time.perf_counter()
P.attribution(vlm, prompts)
each = (time.perf_counter() - start) / len(prompts)
print(json.dumps({"forward": best, "attribution": each,
                  "peak memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def ours(a, threads):
    out = subprocess.run([a.bench, a.model, a.dataset, str(threads), a.modality, str(a.prompts)], check=True,
                         capture_output=True, text=True).stdout
    return {name: float(value) for name, value, _ in (line.split("\t") for line in out.splitlines())}


def theirs(a, threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    out = subprocess.run([sys.executable, "-c", TORCH, a.reference, a.model, a.dataset, a.modality, str(a.prompts)],
                         check=True, capture_output=True, text=True, env=env).stdout
    return json.loads(out.splitlines()[-1])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("bench", "reference", "model", "dataset"):
        ap.add_argument("--" + flag, required=True)
    ap.add_argument("--modality", default="image")
    ap.add_argument("--prompts", type=int, default=4)
    ap.add_argument("--rounds", type=int, default=2)
    a = ap.parse_args()
    print("figure\tthreads\ttwinlens\tPyTorch\tunit\tratio")
    for threads in (1, 2):
        runs = [(ours(a, threads), theirs(a, threads)) for _ in range(a.rounds)]
        for name, unit, pick in (("forward", "tokens/s", max), ("attribution", "s/prompt", min),
                                 ("peak memory", "MiB", min)):
            x, y = pick(r[0][name] for r in runs), pick(r[1][name] for r in runs)
            print(f"{name}\t{threads}\t{x:.4g}\t{y:.4g}\t{unit}\t{x / y if pick is max else y / x:.2f}", flush=True)


if __name__ == "__main__":
    main()
