# SPDX-License-Identifier: MIT
"""The engine beside PyTorch, in one run.

    python bench/beside_torch.py --bench BUILD/bench_engine --model DIR --dataset DIR [--reference DIR] [--prompts 4] [--threads 2]

The folder of --reference holds vlm.py, pipeline.py and goldens.py: the PyTorch program that the parity tests compare with,
looked for beside the repository. Both sides get the same prompts; models are loaded and prompts encoded before the clock starts,
and the vision tower runs while it does. The two take turns, and the best of a few rounds counts. Attribution is beside PyTorch's
five steps of integrated gradients in f32, whatever the method and precision; the method of the same name is in the second row.
"""
import argparse
import json
import sys
from pathlib import Path

import figures

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "reference"

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
rows = [json.loads(x) for x in (dataset / "dataset.jsonl").read_text().splitlines() if x.strip()]
rows = [{"before": ""} | r for r in rows if "cf" in r]
prompts = G.load_prompts(vlm, rows, dataset)[modality == "image"][:n]
best = 0.0
for _ in range(3):
    start = time.perf_counter()
    for p in prompts:
        vlm.run(p.enc)
    best = max(best, sum(p.T for p in prompts) / (time.perf_counter() - start))
out = {"forward": best}
for name, method in (("attribution, 5 steps of IG", "ig"), ("attribution, RelP", "relp")):
    start = time.perf_counter()
    P.attribution(vlm, prompts, method=method)
    out[name] = (time.perf_counter() - start) / len(prompts)
out["peak memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(out))
"""


def has_bf16():
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def ours(a, threads, precision):
    rows = figures.read(figures.call([a.bench, a.model, a.dataset, threads, a.modality, a.prompts, precision], threads)[0])
    return {r["figure"]: r["value"] for r in rows}


def theirs(a, threads):
    command = [sys.executable, "-c", TORCH, a.reference, a.model, a.dataset, a.modality, a.prompts]
    return json.loads(figures.call(command, threads)[0].splitlines()[-1])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("bench", "model", "dataset"):
        ap.add_argument("--" + flag, required=True)
    ap.add_argument("--reference", default=BESIDE, type=Path)
    ap.add_argument("--modality", default="image")
    ap.add_argument("--prompts", type=int, default=4)
    ap.add_argument("--rounds", type=int, default=2)
    ap.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    a = ap.parse_args()
    if not (a.reference / "vlm.py").exists():
        sys.exit(f"beside_torch: no vlm.py in {a.reference}: PyTorch's side is not there (--reference)")
    precisions = ("f32", "bf16") if has_bf16() else ("f32",)
    if "bf16" not in precisions:
        print("beside_torch: this processor has no products in bf16: those are left out", file=sys.stderr)
    figures.head()
    for threads in a.threads:
        runs = [({p: ours(a, threads, p) for p in precisions}, theirs(a, threads)) for _ in range(a.rounds)]
        for precision in precisions:
            for name, unit, pick in (("forward", "tokens/s", max), ("attribution, 5 steps of IG", "s/prompt", min),
                                     ("attribution, RelP", "s/prompt", min), ("peak memory", "MiB", min)):
                value, case = pick(r[0][precision][name] for r in runs), f"{a.modality}, {precision}, {threads} threads"
                peers = {"PyTorch f32": name}
                if name == "attribution, RelP":
                    peers = {"PyTorch f32, 5 steps of IG": "attribution, 5 steps of IG", "PyTorch f32, RelP": name}
                for peer, of in peers.items():
                    figures.show(name, case, value, unit, "measured", peer, pick(r[1][of] for r in runs), pick is max)


if __name__ == "__main__":
    main()
