#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""science.py RUN... - tables of what studies found, in Markdown, from their folders.

The circuits (size, faithfulness, a random circuit of that size), how far the two are the same parts and do the same job, and where in
the layers the importance lies: per segment the share of the summed scores of all neurons, and of all heads.
"""
import json
import os
import struct
import subprocess
import sys
from array import array

TWINLENS = os.environ.get("TWINLENS", "twinlens")


def read_scores(path):
    """Name -> (shape, values) of a score file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        base = file.tell()
        tensors = {}
        for name, about in header.items():
            if name == "__metadata__":
                continue
            begin, end = about["data_offsets"]
            file.seek(base + begin)
            values = array("f")
            values.frombytes(file.read(end - begin))
            tensors[name] = about["shape"], values
    return tensors


def profile(shape, values, begin, end):
    """Per layer the sum over positions [begin, end)."""
    layers, positions, width = shape
    return [sum(values[(layer * positions + begin) * width:(layer * positions + end) * width]) for layer in range(layers)]


def number(value):
    return "-" if value is None else f"{value:.2f}"


def interval(finding):
    low, high = finding["interval"]
    return f"{number(finding['value'])} ({number(low)} to {number(high)})"


def row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def circuits(studies):
    print("| task | modality | prompts right | circuit | heads | neurons | faithfulness | random |\n|---|---|---|---|---|---|---|---|")
    for study in studies:
        for modality, part in study["modalities"].items():
            minimal = part["minimal"]
            cells = ["none", "-", "-", "-", "-"]
            if minimal:
                circuit, random = minimal["circuit"], minimal["random"]
                cells = [f"{100 * float(circuit['fraction']):g} %", circuit["n_heads"], circuit["n_neurons"],
                         number(circuit["ratio_of_means"]["value"]), number(random["ratio_of_means"]["value"])]
            row(study["task"], modality, f"{part['accuracy_limited']['value']:.2f} of {part['prompts']}", *cells)


def sizes(studies):
    wanted = ["0.01", "0.02", "0.05", "0.1", "0.2"]
    print()
    row("task", "modality", *[f"{100 * float(w):g} % (random)" for w in wanted])
    print("|---|---|" + "---|" * len(wanted))
    for study in studies:
        for modality, part in study["modalities"].items():
            curves = {kind: {float(p["fraction"]): p["ratio_of_means"]["value"] for p in part["curves"][kind]} for kind in ("circuit", "random")}
            cells = [f"{number(curves['circuit'].get(float(w)))} ({number(curves['random'].get(float(w)))})" for w in wanted]
            row(study["task"], modality, *cells)


def comparison(studies):
    print("\n| task | segment | IoU | random | normalised | swapped into text | swapped into image |\n|---|---|---|---|---|---|---|")
    for study in studies:
        for segment in "data", "query", "generation":
            overlap = [o for o in study["overlap"] if o["segment"] == segment and o["kind"] == "both"]
            swaps = {s["host"]: s for s in study["interchange"] if s["swapped"] == segment}
            if not overlap:
                continue
            into = [interval(s["normalised"]) if s else "-"
                    for s in (swaps.get("text"), swaps.get("image"))]
            o = overlap[0]
            row(study["task"], segment, number(o["iou"]), number(o["random"]["value"]), number(o["normalised"]["value"]), *into)


def layers(folders, studies):
    print()
    row("task", "modality", "segment", "neurons, % by layer", "heads, % by layer")
    print("|---|---|---|---|---|")
    for folder, study in zip(folders, studies):
        for modality, part in study["modalities"].items():
            if part["scores"] is None:
                continue
            tensors = read_scores(os.path.join(folder, part["scores"]))
            n_pos, (begin, end) = part["positions"], part["data"]
            totals = {kind: sum(tensors[kind][1]) for kind in tensors}
            for segment, first, last in ("data", begin, end), ("query", end, n_pos - 1), ("generation", n_pos - 1, n_pos):
                cells = [" ".join(f"{100 * x / totals[kind]:.0f}" for x in profile(*tensors[kind], first, last))
                         for kind in ("neurons", "heads")]
                row(study["task"], modality, segment, *cells)


def main():
    folders = sys.argv[1:]
    if not folders:
        sys.exit("usage: [TWINLENS=PROGRAM] science.py RUN...")
    studies = [json.loads(subprocess.run([TWINLENS, "summary", folder, "--json"], check=True, capture_output=True, text=True).stdout)
               for folder in folders]
    circuits(studies)
    sizes(studies)
    comparison(studies)
    layers(folders, studies)


if __name__ == "__main__":
    main()
