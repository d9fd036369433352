# SPDX-License-Identifier: MIT
"""docs/performance.md and docs/performance.svg from the figures that bench/performance.py has collected."""
import math

import figures

TITLES = {
    "engine": ("The engine beside PyTorch", "The bench checkpoint (Qwen2-VL, 187 million parameters, random weights), 252x252 images. Both sides "
               "take turns on the same prompts. The peer is plain PyTorch with hooks on transformers' model."),
    "transformerlens": ("Beside TransformerLens", "The tool that a user would pick instead, on a Qwen2.5-VL of the bench's size. It has no "
                        "attribution of its own, and its patching functions take no image; both are written with its hooks."),
    "curve": ("Circuits: sparse beside dense", "A curve of 27 fractions and all swaps of an interchange with 5 draws; clean and "
              "counterfactual runs are included. The curve's ratio is of all circuits evaluated as whole runs."),
    "products": ("Products beside oneDNN", "Ours read bf16 weights and convert them each time, and keep a row's bits apart from its batch."),
    "attention": ("Attention", ""),
    "tower": ("The vision tower of Gemma-3-12B", "One 896x896 image, random weights, against scaled_dot_product_attention."),
    "memory": ("Memory, beside its plan", ""),
    "search": ("The search for a cell of back-patching", "From finished studies that ran all cells (docs/findings.md says what the words mean)."),
    "real": ("Real width", "Random weights in the real sizes: Qwen2-VL-2B whole, and layers of Qwen2-VL-7B's width."),
}


def number(x):
    if x is None:
        return ""
    if x == 0 or 0.01 <= abs(x) < 1e6:
        return f"{x:.0f}" if abs(x) >= 1000 else f"{x:.3g}"
    return f"{x:.2e}"


def machine_of(lines):
    return next((x.split("\t")[1] for x in lines if x.startswith("machine\t")), "")


def table(rows):
    out = ["| figure | case | twinlens | unit | peer | peer's | ratio | |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        out.append("| " + " | ".join((r["figure"], r["case"], number(r["value"]), r["unit"], "" if r["peer"] == "-" else r["peer"],
                                      number(r["peer value"]), "" if r["ratio"] is None else f"**{r['ratio']:.2f}**", r["how"])) + " |")
    return out


def section(bench, lines):
    title, text = TITLES[bench]
    out = [f"## {title}", ""] + ([text, ""] if text else [])
    rows = [r for r in figures.read("\n".join(lines)) if r["figure"] not in ("machine", "left out")]
    if not rows:
        why = next((x.split("\t")[1] for x in lines), "not run")
        return out + [f"Not measured: {why}.", ""]
    return out + table(rows) + ["", f"*{machine_of(lines)}*", ""]


# --- the plot ----------------------------------------------------------------

COLOURS = ("#1f6f8b", "#c8553d", "#588157")
WIDTH, HEIGHT, LEFT, TOP, ROW = 300, 190, 62, 34, 290


def steps(low, high):
    """1, 2 and 5 times powers of ten, from the last at or below low to the first at or above high."""
    all_ = [m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)]
    begin = max((t for t in all_ if t <= low * 1.001), default=low)
    end = min((t for t in all_ if t >= high * 0.999), default=high)
    return [t for t in all_ if begin <= t <= end]


def text(x, y, words, anchor="middle", size=11, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>{words}</text>'


def panel(x0, y0, title, unit, series):
    points = [p for s in series.values() for p in s]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    shown = steps(min(ys), max(ys))
    low, high = shown[0], shown[-1]
    if len(shown) > 6:
        shown = [t for t in shown if f"{t:e}"[0] == "1"]
    place = lambda v, a, b: (math.log(v) - math.log(a)) / ((math.log(b) - math.log(a)) or 1.0)
    at = lambda p: (x0 + WIDTH * place(p[0], min(xs), max(xs)), y0 + HEIGHT * (1 - place(p[1], low, high)))
    out = [text(x0 + WIDTH / 2, y0 - 14, title, size=13), f'<rect x="{x0}" y="{y0}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
           text(x0 - 48, y0 + HEIGHT / 2, unit, more=f' transform="rotate(-90 {x0 - 48} {y0 + HEIGHT / 2})"')]
    for t in sorted(set(xs)):
        out.append(text(at((t, low))[0], y0 + HEIGHT + 15, f"{t:g}", size=10))
    for t in shown:
        y = at((min(xs), t))[1]
        out += [f'<line x1="{x0}" x2="{x0 + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>', text(x0 - 5, y + 4, f"{t:g}", "end", 10)]
    for i, (name, s) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        out.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (colour, " ".join("%.1f,%.1f" % at(p) for p in s)))
        out += ['<circle r="3" fill="%s" cx="%.1f" cy="%.1f"/>' % (colour, *at(p)) for p in s]
        out.append(text(x0 + 8, y0 + 15 + 14 * i, name, "start", 11, f' fill="{colour}"'))
    return out


def plot(rows):
    """One panel for each quantity that cost depends on; both axes are logarithmic."""
    groups = {}
    for r in rows:
        axis, name = r["figure"].split(": ")
        groups.setdefault((axis, r["unit"]), {}).setdefault(name, []).append((float(r["case"]), r["value"]))
    height = ROW * ((len(groups) + 2) // 3)
    body = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * (WIDTH + 84)} {height}" font-family="sans-serif">',
            f'<rect width="{3 * (WIDTH + 84)}" height="{height}" fill="white"/>']
    for i, ((axis, unit), series) in enumerate(groups.items()):
        body += panel(LEFT + i % 3 * (WIDTH + 84), TOP + i // 3 * ROW, f"{axis} (counted)", unit, series)
    return "\n".join(body + ["</svg>", ""])


# --- the plan -----------------------------------------------------------------

# Machines that are not here: how many times the measured f32 rate of this one's cores, in bf16 and in f32.
AMX = ("64 cores with AMX", 32, 10)
GPU = ("one GPU", 400e12, 33e12)


def load_of(lines):
    words = machine_of(lines).split("load before: ")
    return float(words[1].split(";")[0]) if len(words) > 1 else 0.0


def plan_section(rows, is_loaded):
    rate = next(r["value"] for r in rows if r["figure"] == "rate of products here") * 1e9
    value = {}
    for r in rows:
        value[r["figure"], r["case"], r["unit"]] = r["value"]
    cases = [c for f, c, u in value if f == "a study" and u == "PFLOP"]
    out = ["## The plan for three models", "",
           "A study of one task with 250 prompts of each modality, 40 tokens of words and a 252x252 image (Gemma-3 makes it 896x896). Work is **counted** "
           "(`twinlens inspect`, formats.md says what it takes to be so). Hours are that work at a rate, without attention and the reading of weights:",
           "", f"* *here*: f32 on the cores of this machine, **measured**: {rate / 1e9:.0f} GFLOP/s.",
           f"* *{AMX[0]}*: **assumed** to be {AMX[1]} times as many cores as two, bf16 {AMX[2]} times f32; stages that stay in f32 (curves, tests of circuits, interchange) and the "
           "tower at f32's rate. No such machine was measured.",
           f"* *{GPU[0]}*: **assumed** {GPU[1] / 1e12:.0f} TFLOP/s in bf16 and {GPU[2] / 1e12:.0f} in f32, four tenths and half of what an H100's maker states. The program has no "
           "backend for a GPU: this is what one would be worth.", "",
           "| model, way | forward passes | PFLOP | of these in f32 | tower, PFLOP | hours here | hours, 64 cores with AMX | hours, one GPU |",
           "|---|---|---|---|---|---|---|---|"]
    for c in cases:
        all_, slow = value["a study", c, "PFLOP"] * 1e15, value["always in f32", c, "PFLOP"] * 1e15
        tower = value["its vision tower", c, "PFLOP"] * 1e15
        hours = [(all_ + tower) / rate / 3600]
        for fast, f32 in ((rate * AMX[1] * AMX[2], rate * AMX[1]), GPU[1:]):
            hours.append(((all_ - slow) / fast + (slow + tower) / f32) / 3600)
        hours = ["-", "-", number(hours[2])] if is_loaded else list(map(number, hours))
        out.append("| " + " | ".join((c, number(value["a study", c, "forward passes"]), number(all_ / 1e15), number(slow / 1e15),
                                      number(tower / 1e15), *hours)) + " |")
    if is_loaded:
        out += ["", "The machine was busy with other things when the rate here was measured: hours that follow from it are left out."]
    out += ["", "| model | weights, bf16, GiB | attribution of one prompt beside them, GiB (`--memory` makes it less) |", "|---|---|---|"]
    for f, c, u in value:
        if f == "weights":
            out.append(f"| {c} | {number(value[f, c, u])} | {number(value['attribution of a prompt, beside the weights', c, 'GiB'])} |")
    return out + [""]


def write(docs, kept):
    rows = {b: figures.read("\n".join(lines)) for b, lines in kept.items()}
    out = ["# What it costs", "",
           "Written by `bench/performance.py` from what the programs in `bench/` print; docs/testing.md says how to run it again. The ratio is above 1 where twinlens "
           "is better. **Counted** figures are the same on every machine. **Measured** ones depend on it and on what else it does: under each table stand the processor, its "
           "vector instructions, cores, date, and the load (runnable processes) when the bench began. With a load before the bench, seconds by the clock say little, and ratios and CPU seconds, which "
           "are taken in turn, a little more.", ""]
    for bench in TITLES:
        if bench in kept:
            out += section(bench, kept[bench])
    if any(r["figure"].startswith("tokens") for r in rows.get("growth", [])):
        (docs / "performance.svg").write_text(plot([r for r in rows["growth"] if ": " in r["figure"]]))
        out += ["## How cost grows", "",
                "Counted, for Qwen2-VL-7B's configuration. Tokens: of one prompt. Layers: a study's stages with `--bp-search halving`. Fraction: circuits of that size by "
                "score, by magnitude and at random. Prompts: of each modality. Ranks: how many times less work the busiest process has, when units (attribution: blocks of 8 pairs) are dealt "
                "evenly.", "", "![Cost against tokens, layers, fraction, prompts and ranks](performance.svg)", ""]
    if any(r["figure"] == "a study" for r in rows.get("plan", [])):
        out += plan_section([r for r in rows["plan"] if r["figure"] != "machine"], load_of(kept["plan"]) > 1.5)
    (docs / "performance.md").write_text("\n".join(out))
