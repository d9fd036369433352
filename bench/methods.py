# SPDX-License-Identifier: MIT
"""The ways to attribute, beside each other: how faithful the circuits are that each finds, and how well its scores agree with exact patching.

    python bench/methods.py --twinlens BUILD/twinlens --out DIR [--tasks counting,...] [--find 18] [--judge 12] [--check 4]

On the bundled model, the five tasks as the demo makes them, text and image: ten cells. Of the prompts that the model gets right and that have the most
frequent length, each way finds circuits on the first --find, and they are judged on the next --judge, the same for all. The scores of --check prompts
are compared with exact patching on the sample that `validate` takes.

Prints two tables, means over the cells. Brackets: 95 % intervals, prompts of every cell drawn again 2000 times (200 times for correlations). The columns behind "less" are paired
differences to five right steps. What is in --out from an earlier run is used again. No library is needed.
"""
import argparse
import json
import random
import resource
import shutil
import subprocess
from pathlib import Path

TASKS = "counting,arithmetic,color_ordering,factual_recall,sentiment"
FRACTIONS = [0.01, 0.02, 0.04, 0.08]
DRAWS = 2000
# Passes forward and back of a prompt, counted as one each.
WAYS = {"ig, 5 steps": (11, ["--ig-steps", "5"]),
        "ig, 5 midpoints": (12, ["--ig-steps", "5", "--ig-rule", "midpoint"]),
        "ig, 1 step": (3, ["--ig-steps", "1"]),
        "relp": (3, ["--method", "relp"])}
FIRST = next(iter(WAYS))


def call(a, *arguments):
    p = subprocess.run([a.twinlens, *map(str, arguments)], capture_output=True, text=True)
    if p.returncode:
        raise SystemExit(f"twinlens {' '.join(map(str, arguments))}: {p.stderr.strip()}")
    return p.stdout


def processor_seconds():
    """Of all calls so far, which other programs on the machine do not change much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kept(path, make):
    """The JSON in a file, made first if it is not there."""
    if not path.exists():
        value = make()
        path.with_suffix(".new").write_text(json.dumps(value))
        path.with_suffix(".new").rename(path)
    return json.loads(path.read_text())


def make_pairs(a, task, modality):
    """A dataset of the prompts that are right, of the most frequent length, each with a counterfactual among them that has another answer."""
    made, data = a.out / task, a.out / f"{task}-{modality}"
    if not (made / "dataset.jsonl").exists():
        call(a, "task", task, "--style", "small", "--content", "held-out", "--n", 4 * (a.find + a.judge), "--seed", 1, "--out", made, "--force")
    said = {r["id"]: r for r in map(json.loads, call(a, "predict", "--model", a.model, "--dataset", made, "--json").splitlines())}
    groups, rng = {}, random.Random(1)
    for row in map(json.loads, (made / "dataset.jsonl").read_text().splitlines()):
        r = said[row["id"]]
        if row["modality"] == modality and r["correct"]:
            groups.setdefault((r["n_tokens"], *r["data"]), []).append(row)
    rows = max(groups.values(), key=len)
    for row in rows:
        row["cf"] = rng.choice([r["id"] for r in rows if said[r["id"]]["answer_id"] != said[row["id"]]["answer_id"]])
    data.mkdir(exist_ok=True)
    shutil.copy(made / "task.json", data)
    if not (data / "images").exists():
        (data / "images").symlink_to(Path("..") / task / "images")
    (data / "dataset.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return [r["id"] for r in rows]


def cell(a, task, modality):
    """What one cell gives: per way the logit differences [prompt][clean, circuit, none] of every fraction, and seconds of a processor; and the checked components."""
    data = a.out / f"{task}-{modality}"
    ids = kept(a.out / f"{task}-{modality}.ids.json", lambda: make_pairs(a, task, modality))
    if len(ids) < a.find + a.judge:
        raise SystemExit(f"{task}, {modality}: {len(ids)} prompts are right and as long as each other, wanted {a.find + a.judge}")
    of = ["--model", a.model, "--dataset", data, "--modality", modality]
    find, judge = ",".join(ids[:a.find]), ",".join(ids[a.find:a.find + a.judge])

    def attribute(flags):
        scores = a.out / "scores.safetensors"
        begin = processor_seconds()
        call(a, "attribute", *of, "--ids", find, *flags, "--out", scores)
        seconds = processor_seconds() - begin
        found = json.loads(call(a, "evaluate", *of, "--ids", judge, "--scores", scores, "--fractions", ",".join(map(str, FRACTIONS)), "--json"))
        return {"seconds": seconds, "ld": [f["ld"] for f in found["fractions"]]}

    ways = {w: kept(a.out / f"{task}-{modality}.{w.replace(', ', '-').replace(' ', '-')}.json", lambda: attribute(flags))
            for w, (_, flags) in WAYS.items()}
    checked = kept(a.out / f"{task}-{modality}.check.json", lambda: json.loads(call(
        a, "validate", *of, "--ids", ",".join(ids[:a.check]), "--prompts", a.check, "--sample", 48, "--ig-steps", "1,5", "--json")))
    return ways, checked


def ratio(rows):
    return sum(c - n for _, c, n in rows) / sum(f - n for f, _, n in rows)


def ranks(x):
    order, out, i = sorted(range(len(x)), key=x.__getitem__), [0.0] * len(x), 0
    while i < len(order):
        j = i
        while j < len(order) and x[order[j]] == x[order[i]]:
            j += 1
        for k in order[i:j]:
            out[k] = (i + j - 1) / 2
        i = j
    return out


def spearman(pairs):
    x, y = ranks([p[0] for p in pairs]), ranks([p[1] for p in pairs])
    mx, my = sum(x) / len(x), sum(y) / len(y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return xy / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)) ** 0.5


def interval(cells, statistic, draws):
    """statistic of every cell's list of prompts, the mean over cells, and 95 % of what redrawn prompts give. cells: [way or ways][cell][prompt]."""
    rng, values = random.Random(1), []
    n_cells = len(cells[0])
    for draw in range(draws + 1):
        value = 0.0
        for c in range(n_cells):
            n = len(cells[0][c])
            picks = range(n) if draw == 0 else [rng.randrange(n) for _ in range(n)]
            s = [statistic([w[c][i] for i in picks]) for w in cells]
            value += (s[0] - s[1] if len(s) > 1 else s[0]) / n_cells
        values.append(value)
    point, values = values[0], sorted(values[1:])
    return point, values[int(0.025 * draws)], values[int(0.975 * draws)]


def show(v):
    return "{} ({} to {})".format(*(f"{x:.3f}".replace("0.", ".", 1) for x in v))


def percent(fraction):
    return f"{100 * fraction:g} %"


def of_way(checked, way, kind):
    """Exact and attributed effects of one way, by prompt."""
    flags = WAYS[way][1]
    wanted = ("relp", None, None) if "relp" in flags else ("ig", "midpoint" if "midpoint" in flags else "right", int(flags[1]))
    order = list(dict.fromkeys((r["method"], r["ig_rule"], r["ig_steps"]) for r in checked["correlations"]))
    m, prompts = order.index(wanted), {}
    for c in checked["components"]:
        if c["kind"] == kind:
            prompts.setdefault(c["prompt"], []).append((c["exact"], c["attributed"][m]))
    return list(prompts.values())


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--twinlens", required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--model", default=Path(__file__).resolve().parent.parent / "models/organism")
    ap.add_argument("--tasks", default=TASKS)
    ap.add_argument("--find", type=int, default=18)
    ap.add_argument("--judge", type=int, default=12)
    ap.add_argument("--check", type=int, default=4)
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    cells = [cell(a, task, modality) for task in a.tasks.split(",") for modality in ("text", "image")]

    print(f"Faithfulness (ratio of means) of circuits found on {a.find} prompts, on {a.judge} others; mean of {len(cells)} cells\n")
    print("| way | passes | CPU s a prompt | " + " | ".join(percent(f) for f in FRACTIONS) + " | " + " | ".join(percent(f) + " less" for f in FRACTIONS) + " |")
    print("|---" * (3 + 2 * len(FRACTIONS)) + "|")
    for way, (passes, _) in WAYS.items():
        seconds = sum(ways[way]["seconds"] for ways, _ in cells) / (a.find * len(cells))
        row = [way, str(passes), f"{seconds:.2f}"]
        for paired in False, True:
            for i in range(len(FRACTIONS)):
                both = [[ways[w]["ld"][i] for ways, _ in cells] for w in ((way, FIRST) if paired else (way,))]
                row.append("-" if paired and way == FIRST else show(interval(both, ratio, DRAWS)))
        print("| " + " | ".join(row) + " |")

    print(f"\nSpearman correlation of scores with exact effects, {a.check} prompts a cell; mean of {len(cells)} cells\n")
    print("| way | heads | neurons |\n|---|---|---|")
    for way in WAYS:
        both = [interval([[of_way(checked, way, kind) for _, checked in cells]], lambda prompts: spearman(sum(prompts, [])), DRAWS // 10)
                for kind in ("heads", "neurons")]
        print(f"| {way} | " + " | ".join(map(show, both)) + " |")


if __name__ == "__main__":
    main()
