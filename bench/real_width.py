# SPDX-License-Identifier: MIT
"""Real sizes with random weights: Qwen2-VL-2B whole beside PyTorch, and the memory of attribution at Qwen2-VL-7B's width.

    PYTHON bench/real_width.py --build BUILD --scratch DIR [--reference DIR] [--modality image] [--layers 20] [--part 2B|7B]

PYTHON has torch and transformers 4. Checkpoints are written to DIR (4.4 GB, then 11) and left there. One pair of prompts: attribution
by RelP and a curve of five fractions, whose work is beside what `inspect` predicts for it; PyTorch loads the same weights in f32 (9 GB).
At 7B's width: memory beside the mapped weights with and without --memory, which must not change a byte of the scores.
"""
import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import figures

CONFIGS = Path(__file__).resolve().parent / "configs"
FRACTIONS = "0.01,0.02,0.05,0.1,0.2"

TORCH = r"""
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_grad_enabled(False)
import goldens as G, pipeline as P
from pathlib import Path
from vlm import Vlm
vlm, dataset = Vlm(sys.argv[2], torch.float32), Path(sys.argv[3])
rows = {r["id"]: {"before": ""} | r for r in map(json.loads, (dataset / "dataset.jsonl").read_text().splitlines())}
wanted = [x for i in sys.argv[5:7] for x in (i, rows[i]["cf"])]
chosen = {i: rows[i] for i in wanted}
for i in list(chosen):
    chosen[i] = chosen[i] | {"cf": chosen[i]["cf"] if chosen[i]["cf"] in chosen else i}
prompts = G.load_prompts(vlm, list(chosen.values()), dataset)[sys.argv[4] == "image"][:1]
clock = lambda: (time.perf_counter(), time.process_time())
begin = clock()
scores = P.attribution(vlm, prompts, method="relp")
middle = clock()
for f in map(float, sys.argv[7].split(",")):
    P.faithfulness(vlm, prompts, P.circuit(scores, f))
end = clock()
print(json.dumps({"attribution": [y - x for x, y in zip(begin, middle)], "curve": [y - x for x, y in zip(middle, end)],
                  "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def make(a, config, out, layers=None):
    if not (out / "preprocessor_config.json").exists():
        command = [sys.executable, Path(__file__).resolve().parent / "checkpoint.py", config, out]
        figures.call(command + (["--layers", layers] if layers else []))
    return out


def make_prompts(a, model):
    made, prompts = a.scratch / "real-made", a.scratch / "real-prompts"
    if not (prompts / "dataset.jsonl").exists():
        figures.call([a.twinlens, "task", "counting", "--model", model, "--n", "8", "--out", made, "--force"])
        # Which prompts are drawn does not depend on the model, so that one of a few layers would do; 8 predictions are cheap enough.
        figures.call([a.twinlens, "pair", "--model", model, "--dataset", made, "--keep", "all", "--prompts", "8", "--out", prompts], a.threads)
    return prompts


def timed(a, command):
    """Standard output as JSON, seconds by the clock and of all threads, and the most MiB: resident, and of it not mapped from files."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen([str(x) for x in command], stdout=subprocess.PIPE, text=True, env=figures.on_threads(a.threads))
    own = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            own = max(own, next(int(x.split()[1]) for x in status.read_text().splitlines() if x.startswith("RssAnon")))
        except (OSError, StopIteration):
            pass
        time.sleep(0.01)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: failed")
    out = process.stdout.read()
    return json.loads(out.splitlines()[-1]), seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, own / 1024


def inspect(a, model, tokens, *options):
    return json.loads(figures.call([a.twinlens, "inspect", "--model", model, "--prompt-tokens", tokens, "--json", *options])[0])


def shared(x, y):
    """How many positions the two prompts have in common at their beginning; an image's tokens are not."""
    same = next((i for i, (s, t) in enumerate(zip(x["input_ids"], y["input_ids"])) if s != t), len(x["input_ids"]))
    return min(same, x["data"][0])


def two(a):
    model = make(a, CONFIGS / "qwen2-vl-2b", a.scratch / "2b")
    prompts = make_prompts(a, model)
    rows = [r for r in map(json.loads, (prompts / "dataset.jsonl").read_text().splitlines()) if "cf" in r]
    row = next(r for r in rows if r["modality"] == a.modality)
    other = next(r for r in rows if r["modality"] != a.modality)
    of = ["--model", model, "--dataset", prompts, "--threads", a.threads]
    out, scores = figures.call([a.twinlens, "predict", *of, "--ids", f"{row['id']},{row['cf']}", "--json"])[0], a.scratch / "real.safetensors"
    said = [json.loads(x) for x in out.splitlines()[:2]]
    one = ["--modality", a.modality, "--ids", row["id"], "--json"]
    attribute, a_seconds, a_cpu, own = timed(a, [a.twinlens, "attribute", *of, *one, "--method", "relp", "--out", scores])
    curve, c_seconds, c_cpu, _ = timed(a, [a.twinlens, "evaluate", *of, *one, "--scores", scores, "--fractions", FRACTIONS])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

    n, n_shared = said[0]["n_tokens"], shared(*said)
    tower = 0.0
    if a.modality == "image":
        tower = 2 * float(inspect(a, model, 1, "--image-size", "252x252", "--prompts", "8")["study_tower_flops"]) / 8
    work = lambda key, tokens: float(inspect(a, model, tokens)[key]) if tokens else 0.0
    predicted = work("relp_flops", n - n_shared) + work("forward_flops", n_shared) + tower
    # The stage of a study has three curves, of which one is run here, and two runs of a prompt beside them.
    stage = next(x for x in inspect(a, model, n - n_shared, "--fractions", FRACTIONS)["stages"] if x["stage"] == "evaluate text")
    two_runs = 2 * work("forward_flops", n - n_shared)
    predicted_curve = (stage["product_flops"] / stage["units"] - two_runs) / 3 + two_runs + work("forward_flops", n_shared) + tower
    case = f"Qwen2-VL-2B, {a.modality}, {n} positions, f32, {a.threads} threads"
    figures.head()
    figures.show("work of attribution, RelP", case, attribute["product_flops"] / 1e12, "TFLOP", "counted", "predicted by inspect", predicted / 1e12)
    figures.show("work of a curve of 5 fractions", case, curve["product_flops"] / 1e12, "TFLOP", "counted", "predicted by inspect", predicted_curve / 1e12)
    if a.reference is not None and (a.reference / "vlm.py").exists():
        command = [sys.executable, "-c", TORCH, a.reference, model, prompts, a.modality, row["id"], other["id"], FRACTIONS]
        theirs = json.loads(figures.call(command, a.threads)[0].splitlines()[-1])
        for name, key, ours in (("attribution, RelP", "attribution", (a_seconds, a_cpu)), ("curve of 5 fractions", "curve", (c_seconds, c_cpu))):
            for x, y, unit in zip(ours, theirs[key], ("s, with opening", "CPU s, with opening")):
                figures.show(name, case, x, unit, "measured", "PyTorch f32, without loading", y)
        figures.show("peak memory", case, peak, "MiB", "measured", "PyTorch f32", theirs["memory"])
    else:
        print("real_width: PyTorch's side is not there (--reference)", file=sys.stderr)
        for name, x in (("attribution, RelP", a_cpu), ("curve of 5 fractions", c_cpu)):
            figures.show(name, case, x, "CPU s, with opening", "measured")
    figures.show("memory beside the mapped weights", case, own, "MiB", "measured")
    script = Path(__file__).resolve().parent / "memory.py"
    out = figures.call([sys.executable, script, "--twinlens", a.twinlens, "--model", model, "--dataset", prompts], a.threads)[0]
    for r in figures.read(out):
        figures.show(r["figure"], f"Qwen2-VL-2B, {r['case']}", r["value"], r["unit"], r["how"], r["peer"], r["peer value"])


def seven(a):
    config = json.loads((CONFIGS / "qwen2-vl-7b" / "config.json").read_text()) | {"vocab_size": 1440}
    small = a.scratch / "7b-config"
    small.mkdir(exist_ok=True)
    (small / "config.json").write_text(json.dumps(config))
    model = make(a, small, a.scratch / "7b", a.layers)
    prompts = make_prompts(a, model)
    rows = [r for r in map(json.loads, (prompts / "dataset.jsonl").read_text().splitlines()) if "cf" in r]
    row = next(r for r in rows if r["modality"] == a.modality)
    found = []
    for i, memory in enumerate((None, a.memory)):
        out = a.scratch / f"seven-{i}.safetensors"
        limit = ["--memory", memory] if memory else []
        _, _, cpu, own = timed(a, [a.twinlens, "attribute", "--model", model, "--dataset", prompts, "--threads", a.threads, "--modality", a.modality,
                                   "--ids", row["id"], *limit, "--out", out, "--json"])
        found.append((out, own, cpu))
    if not filecmp.cmp(found[0][0], found[1][0], shallow=False):
        sys.exit("real_width: --memory has changed the scores")
    case = f"Qwen2-VL-7B's width, {a.layers} layers, {a.modality}, --memory {a.memory}: the same bytes"
    figures.show("memory of attribution beside the mapped weights", case, found[1][1], "MiB", "measured", "without --memory", found[0][1])
    figures.show("attribution", case, found[1][2], "CPU s", "measured", "without --memory", found[0][2])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", required=True, type=Path)
    ap.add_argument("--scratch", required=True, type=Path)
    ap.add_argument("--reference", type=Path)
    ap.add_argument("--modality", default="image")
    ap.add_argument("--layers", type=int, default=20)
    ap.add_argument("--memory", default="1G")
    ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("--part", choices=("2B", "7B"))
    a = ap.parse_args()
    a.twinlens = a.build / "twinlens"
    a.scratch.mkdir(parents=True, exist_ok=True)
    if a.part != "7B":
        two(a)
    if a.part != "2B":
        seven(a)


if __name__ == "__main__":
    main()
