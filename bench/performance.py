# SPDX-License-Identifier: MIT
"""Runs the benchmarks and writes docs/performance.md, its plot and its numbers (docs/performance.tsv) from their output.

    python3 bench/performance.py --build build/release [--quick] [--torch PYTHON] [--transformerlens PYTHON] [--reference DIR]
        [--studies RUN ...] [--only BENCH ...] [--scratch DIR]

PYTHON of --torch has torch and transformers 4 and makes the checkpoints; that of --transformerlens has transformer-lens 4. What is
not there is left out, and the page says so. --only runs some of the benches and keeps the figures of the others from the last run:
curve, engine, products, attention, tower, transformerlens, memory, search, growth, plan, real. `real` (a model of 2.2 thousand
million parameters, 14 GB) runs only when it is named. --quick: fewer prompts, rounds and layers; --only none writes the page again.
"""
import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import figures
import performance_page

ROOT = Path(__file__).resolve().parent.parent
BENCH, DOCS, CONFIGS = ROOT / "bench", ROOT / "docs", ROOT / "bench" / "configs"
MODELS = {"Qwen2-VL-7B": "qwen2-vl-7b", "Pixtral-12B": "pixtral-12b", "Gemma-3-12B": "gemma-3-12b"}
WAYS = {"the paper's": [], "halving": ["--bp-search", "halving"], "halving, RelP": ["--bp-search", "halving", "--method", "relp"]}
PROMPT = ["--prompt-tokens", "40", "--image-size", "252x252"]
IN_F32 = ("evaluate", "circuit tests", "interchange")  # whatever --precision says


class Missing(Exception):
    pass


def python_of(path, what):
    if path is None:
        raise Missing(f"no {what} was given")
    return path


def tools(a):
    """The checkpoints and their prompts, made once."""
    made = {}
    for name in ("bench", "bench-2.5"):
        out = a.scratch / name
        if not (out / "tokenizer.json").exists():
            figures.call([python_of(a.torch, "--torch"), BENCH / "checkpoint.py", name, out])
        made[name] = out
    prompts, rows = a.scratch / "prompts", a.scratch / "made"
    if not (prompts / "dataset.jsonl").exists():
        model = ["--model", made["bench"]]
        figures.call([a.twinlens, "task", "counting", *model, "--n", "64", "--out", rows, "--force"])
        figures.call([a.twinlens, "pair", *model, "--dataset", rows, "--keep", "all", "--prompts", "64", "--out", prompts])
    return made["bench"], made["bench-2.5"], prompts


def run(a, command):
    return figures.read(figures.call(command, a.threads)[0])


def curve(a):
    model, _, prompts = tools(a)
    if a.quick:
        return run(a, [a.build / "bench_sparse", model, "48", "1", a.threads])
    return run(a, [a.build / "bench_sparse", model, prompts, "4", a.threads])


def engine(a):
    model, _, prompts = tools(a)
    command = [python_of(a.torch, "--torch"), BENCH / "beside_torch.py", "--bench", a.build / "bench_engine", "--model", model,
               "--dataset", prompts, "--threads", a.threads, "--prompts", "1" if a.quick else "4", "--rounds", "1" if a.quick else "2"]
    if not (a.reference / "vlm.py").exists():
        raise Missing(f"PyTorch's side is not in {a.reference}")
    return run(a, command + ["--reference", a.reference])


def products(a):
    return run(a, [a.build / "bench_linear", a.threads])


def attention(a):
    return run(a, [a.build / "bench_attention", a.threads, *(["7B, 121"] if a.quick else [])])


def tower(a):
    return run(a, [python_of(a.torch, "--torch"), BENCH / "beside_tower.py", "--bench", a.build / "bench_tower", "--threads", a.threads,
                   "--rounds", "1", "--layers", "1" if a.quick else "9"])


def transformerlens(a):
    _, model, prompts = tools(a)
    command = [python_of(a.transformerlens, "--transformerlens"), BENCH / "beside_transformerlens.py", "--build", a.build, "--model", model,
               "--dataset", prompts, "--threads", a.threads]
    if a.quick:
        command += ["--prompts", "1", "--sample", "4", "--modality", "text"]
    return run(a, command)


def memory(a):
    model, _, prompts = tools(a)
    return run(a, [sys.executable, BENCH / "memory.py", "--twinlens", a.twinlens, "--model", model, "--dataset", prompts])


def search(a):
    if not a.studies:
        raise Missing("no finished studies were given (--studies; `make demo` makes five)")
    return run(a, [a.build / "bench_halving", "10", *a.studies])


def inspect(a, model, *options):
    return json.loads(figures.call([a.twinlens, "inspect", "--model", model, "--json", *options])[0])


def counted(figure, case, value, unit):
    return dict(zip(figures.COLUMNS, (figure, case, float(value), unit, "counted", None, None, None)))


def with_layers(a, n):
    folder = a.scratch / f"layers-{n}"
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((CONFIGS / "qwen2-vl-7b" / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": n}))
    (folder / "preprocessor_config.json").write_text((CONFIGS / "qwen2-vl-7b" / "preprocessor_config.json").read_text())
    return folder


def busiest(stages, n_ranks):
    """Work of the process that has most, units dealt evenly; attribution in blocks of 8 pairs."""
    sum_ = 0.0
    for s in stages:
        blocks = -(-s["units"] // (8 if s["stage"].startswith("attribute") else 1))
        sum_ += s["product_flops"] * -(-blocks // n_ranks) / blocks if blocks else 0.0
    return sum_


def growth(a):
    seven, rows = CONFIGS / "qwen2-vl-7b", []
    for n in (32, 64, 128, 256, 512, 1024):
        d = inspect(a, seven, "--prompt-tokens", n)
        for name, key in (("a forward pass", "forward_flops"), ("RelP", "relp_flops"), ("five steps of IG", "ig_flops")):
            rows.append(counted(f"tokens: {name}", n, float(d[key]) / 1e12, "TFLOP"))
    for n in (7, 14, 28, 56):
        d = inspect(a, with_layers(a, n), *PROMPT, "--bp-search", "halving")
        for name, begin in (("attribution", "attribute"), ("circuits", "evaluate"), ("back-patching", "back-patch")):
            flops = sum(s["product_flops"] for s in d["stages"] if s["stage"].startswith(begin))
            rows.append(counted(f"layers: {name}", n, flops / 1e15, "PFLOP"))
    for f in ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "0.9"):
        d = inspect(a, seven, *PROMPT, "--fractions", f)
        stage = next(s for s in d["stages"] if s["stage"] == "evaluate image")
        rows.append(counted("fraction: three circuits of that size", f, stage["forward_passes"] / stage["units"], "forward passes/prompt"))
    for n in (32, 64, 125, 250, 500, 1000):
        for way, options in WAYS.items():
            d = inspect(a, seven, *PROMPT, "--prompts", n, *options)
            rows.append(counted(f"prompts: {way}", n, d["study_forward_passes"], "forward passes"))
    for way in ("the paper's", "halving, RelP"):
        stages = inspect(a, seven, *PROMPT, *WAYS[way])["stages"]
        for n in (1, 2, 4, 8, 16, 32, 64):
            rows.append(counted(f"ranks: {way}", n, busiest(stages, 1) / busiest(stages, n), "times less work in the busiest process"))
    return rows


def plan(a):
    rows = []
    for model, folder in MODELS.items():
        for way, options in WAYS.items():
            d = inspect(a, CONFIGS / folder, *PROMPT, *options)
            case = f"{model}, {way}"
            slow = sum(s["product_flops"] for s in d["stages"] if s["stage"].startswith(IN_F32))
            rows.append(counted("a study", case, d["study_forward_passes"], "forward passes"))
            rows.append(counted("a study", case, float(d["study_flops"]) / 1e15, "PFLOP"))
            rows.append(counted("always in f32", case, slow / 1e15, "PFLOP"))
            rows.append(counted("its vision tower", case, float(d["study_tower_flops"]) / 1e15, "PFLOP"))
        rows.append(counted("weights", model, (d["decoder_parameters"] + d["vision_parameters"]) * 2 / 2**30, "GiB"))
        rows.append(counted("attribution of a prompt, beside the weights", model, d["attribution_pass_bytes"] / 2**30, "GiB"))
    rates = [float(inspect(a, CONFIGS / "qwen2-vl-7b", *PROMPT)["product_flops_per_second_here"]) for _ in range(3)]
    rows.append(counted("rate of products here", "f32, all cores", max(rates) / 1e9, "GFLOP/s") | {"how": "measured"})
    return rows


def real(a):
    return run(a, [python_of(a.torch, "--torch"), BENCH / "real_width.py", "--build", a.build, "--scratch", a.scratch, "--threads", a.threads,
                   "--reference", a.reference])


BENCHES = dict(curve=curve, engine=engine, products=products, attention=attention, tower=tower, transformerlens=transformerlens,
               memory=memory, search=search, growth=growth, plan=plan, real=real)


def machine(a):
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    field = lambda key: next((x.split(":", 1)[1].strip() for x in text.splitlines() if x.startswith(key)), "unknown")
    flags = [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if f in field("flags").split()]
    return {"processor": field("model name"), "flags": " ".join(flags), "cores": str(a.threads), "date": datetime.date.today().isoformat(),
            "load before": f"{os.getloadavg()[0]:.1f}", "mode": "quick" if a.quick else "full"}


def read_kept(path):
    kept = {}
    if path.exists():
        for line in path.read_text().splitlines()[1:]:
            bench, rest = line.split("\t", 1)
            kept.setdefault(bench, []).append(rest)
    return kept


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", required=True, type=Path)
    ap.add_argument("--torch")
    ap.add_argument("--transformerlens")
    ap.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    ap.add_argument("--studies", nargs="*", default=[])
    ap.add_argument("--only", nargs="*")
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--scratch", type=Path, default=ROOT / "build" / "performance")
    ap.add_argument("--docs", type=Path, default=DOCS)
    ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = ap.parse_args()
    a.twinlens = a.build / "twinlens"
    a.scratch.mkdir(parents=True, exist_ok=True)
    wanted = [b for b in BENCHES if b != "real"] if a.only is None else [b for b in a.only if b != "none"]
    for b in wanted:
        if b not in BENCHES:
            sys.exit(f"performance: no bench '{b}'; there are {', '.join(BENCHES)}")
    kept = read_kept(a.docs / "performance.tsv")
    for bench in wanted:
        start, here = time.perf_counter(), machine(a)
        try:
            rows = BENCHES[bench](a)
            note = " ".join(f"{k}: {v};" for k, v in here.items()).rstrip(";")
            rows = ["\t".join("-" if (x := r[c]) is None else f"{x:.6g}" if isinstance(x, float) else str(x) for c in figures.COLUMNS) for r in rows]
            kept[bench] = [f"machine\t{note}" + "\t-" * 6, *rows]
        except (Missing, SystemExit) as why:
            reason = why if isinstance(why, Missing) else "it failed"
            kept.setdefault(bench, [f"left out\t{reason}" + "\t-" * 6])
            print(f"{bench}: left out: {why}", file=sys.stderr)
            continue
        print(f"{bench}: {len(rows)} figures in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        write(a, kept)
    write(a, kept)


def write(a, kept):
    lines = ["\t".join(("bench", *figures.COLUMNS))]
    lines += [f"{b}\t{line}" for b in BENCHES for line in kept.get(b, [])]
    (a.docs / "performance.tsv").write_text("\n".join(lines) + "\n")
    performance_page.write(a.docs, kept)


if __name__ == "__main__":
    main()
