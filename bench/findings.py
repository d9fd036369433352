#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""findings.py TWINLENS RUN... - the tables of docs/findings.md, from finished studies: one column
a study. `make demo` makes the five studies that the page tells of, in runs/demo."""
import json
import statistics
import subprocess
import sys

SEGMENTS, MODALITIES = ("data", "query", "generation"), ("text", "image")


def number(x):
    if x is None:
        return "-"
    text = f"{x:.2f}" if abs(x) < 9.995 else f"{x:.1f}"
    text = text.replace("-0.00", "0.00")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") and text != "0.00" else \
        ".00" if text == "0.00" else text


def show(i):
    """An interval, or a number."""
    if not isinstance(i, dict):
        return number(i)
    low, high = i["interval"]
    return number(i["value"]) + (f" ({number(low)} to {number(high)})" if low is not None else "")


def table(studies, title, rows):
    print(f"\n| {title} | " + " | ".join(s["task"] for s in studies) + " |")
    print("|---|" + "---|" * len(studies))
    for name, of in rows:
        print(f"| {name} | " + " | ".join(of(s) for s in studies) + " |")


def chosen(study, point):
    return point["ratio_of_means" if study["faith"] == "ratio_mean" else "mean_of_ratios"]


def each(form, of):
    """Both modalities in one cell."""
    return lambda s: " / ".join(form(of(s["modalities"][m])) for m in MODALITIES)


def percent(x):
    return f"{100 * float(x):.3g} %"


def circuits(studies):
    rows = [(f"accuracy, {m}", lambda s, m=m: show(s["modalities"][m]["accuracy_limited"]))
            for m in MODALITIES]
    rows.append(("circuit, text / image", each(percent, lambda p: p["minimal"]["circuit"]["fraction"])))
    for kind, name in (("circuit", "faithfulness"), ("magnitude", "by activation difference"),
                       ("random", "at random")):
        rows += [(f"{name}, {m}", lambda s, m=m, k=kind: show(chosen(s, s["modalities"][m]["minimal"][k])))
                 for m in MODALITIES]
    rows += [(f"area under the curve ({kind}), {m}", lambda s, m=m, k=kind: show(
        s["modalities"][m]["areas"][k]["mean_of_ratios"]["cpr"]))
        for kind in ("circuit", "magnitude", "random") for m in MODALITIES]
    table(studies, "", rows)


def tests(studies):
    def of(m, *path):
        def value(s):
            x = s["modalities"][m]["circuit_tests"]
            for key in path:
                x = x[key]
            return show(x)
        return value
    table(studies, "the smallest circuit", [
        (f"{name}, {m}", of(m, *path)) for name, path in (
            ("most faithful of the random circuits", ("most_faithful_random",)),
            ("p", ("p",)), ("heads that are needed", ("heads", "needed")),
            ("neurons that are needed", ("neurons", "needed")),
            ("faithfulness of all that it leaves out", ("complement",))) for m in MODALITIES])


def compare(studies):
    overlap = lambda s, g: next(o for o in s["overlap"] if (o["segment"], o["kind"]) == (g, "both"))
    table(studies, "normalised IoU", [(g, lambda s, g=g: show(overlap(s, g)["normalised"])) for g in SEGMENTS]
          + [("mean of segments", lambda s: show(s["overlap_mean_of_segments"]["normalised"]))])
    for host in ("both", *MODALITIES):
        swap = lambda s, g, host=host: next(
            x["normalised"] for x in s["interchange"] if (x["host"], x["swapped"]) == (host, g))
        table(studies, f"interchange, {host}", [(g, lambda s, g=g: show(swap(s, g))) for g in SEGMENTS])


def alignment(studies):
    peak = lambda s: max(range(len(s["alignment"])), key=lambda l: s["alignment"][l]["matched"]["value"])
    table(studies, "mean largest cosine", [
        ("layer 0", lambda s: show(s["alignment"][0]["matched"])),
        ("peak", lambda s: show(s["alignment"][peak(s)]["matched"])),
        ("at layer", lambda s: str(peak(s))),
        ("peak, minus other content", lambda s: show(s["alignment"][peak(s)]["difference"])),
        ("layer 0, minus other content", lambda s: show(s["alignment"][0]["difference"]))])


def backpatching(studies):
    of = lambda s: s["backpatch"]
    there, here = (lambda s: of(s)["chosen_elsewhere"]), (lambda s: of(s)["chosen_here"])
    count = lambda c: f"{c['fixed']}, {c['broken']}; {c['p']:.2f}"
    table(studies, "", [
        ("gain, cell chosen on other prompts", lambda s: show(there(s)["gain"])),
        ("prompts fixed, broken; exact p", lambda s: count(there(s))),
        ("gap closed", lambda s: show(there(s)["gap_closed"])),
        ("gain of the best cell of all", lambda s: show(here(s)["gain"])),
        ("p, corrected for all cells", lambda s: number(of(s)["p"])),
        ("gap closed by it", lambda s: show(here(s)["gap_closed"]))])
    rows = [("cells no worse than on text", lambda s: show(of(s)["cells_no_worse_than_on_text"])),
            ("gain more, as much, less", lambda s: ", ".join(map(str, of(s)["cells_that_gain_more_as_much_less"]))),
            ("text at its ceiling", lambda s: "yes" if of(s)["text_at_ceiling"] else "no")]
    rows += [(f"window {w['window']}", lambda s, i=i: show(of(s)["windows"][i]["no_worse_than_on_text"]))
             for i, w in enumerate(of(studies[0])["windows"])]
    for k in (1, 2, 4, 9):
        rows.append((f"accuracy, {k} times", lambda s, k=k: show(of(s)["times"][k]["accuracy"])))
        if k > 1:
            rows.append((f"above once, {k} times", lambda s, k=k: show(of(s)["times"][k]["above_once"])))
    table(studies, "", rows)


def validation(studies):
    """From the worst to the best of all studies and modalities."""
    of = [s["modalities"][m]["validation"] for s in studies for m in MODALITIES]
    ends = lambda all_: " to ".join(show(pick(all_, key=lambda i: i["value"])) for pick in (min, max))
    print("\n| steps | heads | neurons | completeness gap |\n|---|---|---|---|")
    for m in [g["ig_steps"] for g in of[0]["completeness"]]:
        check = lambda kind: [c["spearman"] for v in of for c in v["correlations"]
                              if (c["ig_steps"], c["kind"], c["layer"]) == (m, kind, None)]
        gaps = [g["gap"] for v in of for g in v["completeness"] if g["ig_steps"] == m]
        print(f"| {m} | {ends(check('heads'))} | {ends(check('neurons'))} | {ends(gaps)} |")
    ranked = lambda kind: [c["spearman"] for v in of for c in v["as_ranked"] if c["kind"] == kind]
    print(f"| as ranked | {ends(ranked('heads'))} | {ends(ranked('neurons'))} | |")


def means(studies):
    gain = lambda key: [s["backpatch"][key]["gain"]["value"] for s in studies]
    print("\nmean gain, cell chosen elsewhere:", number(statistics.mean(gain("chosen_elsewhere"))),
          "the best of all:", number(statistics.mean(gain("chosen_here"))))
    for g in SEGMENTS:
        print(f"mean normalised IoU, {g}:", number(statistics.mean(
            o["normalised"]["value"] for s in studies for o in s["overlap"]
            if (o["segment"], o["kind"]) == (g, "both"))))


def main():
    studies = [json.loads(subprocess.run([sys.argv[1], "summary", "--json", run], check=True,
                                         capture_output=True, text=True).stdout) for run in sys.argv[2:]]
    for part in (circuits, tests, compare, alignment, backpatching, validation, means):
        part(studies)


if __name__ == "__main__":
    main()
