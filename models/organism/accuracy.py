#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""accuracy.py TWINLENS [--n N] [--seed S] [--markdown] - how often the bundled model is right.

Makes held-out prompts of the five tasks with `twinlens task`, asks the model with `twinlens predict`, and prints a table: share of
prompts whose answer's first token is the best of the whole vocabulary, and of the label set, with 95 % Wilson intervals, and what
always saying the commonest answer would get.
"""
import argparse
import collections
import json
import math
import os
import subprocess
import tempfile

TASKS = ["counting", "arithmetic", "color_ordering", "factual_recall", "sentiment"]


def wilson(right, n, z=1.959964):
    """95 % interval of a share (Wilson 1927)."""
    p, d = right / n, 1 + z * z / n
    centre, half = (p + z * z / (2 * n)) / d, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return centre - half, centre + half


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def measure(twinlens, task, n, seed):
    """(modality, right in the vocabulary, right among the labels, commonest answer, n) of both modalities."""
    with tempfile.TemporaryDirectory() as parent:
        folder = os.path.join(parent, task)
        run(twinlens, "task", task, "--style", "small", "--content", "held-out", "--n", str(n), "--seed", str(seed), "--out", folder)
        with open(os.path.join(folder, "dataset.jsonl"), encoding="utf-8") as file:
            prompts = lines(file.read())
        full, limited = ({row["id"]: row for row in lines(run(twinlens, "predict", "--dataset", folder, "--json", "--acc", acc))}
                         for acc in ("full", "limited"))
    for modality in "text", "image":
        rows = [row for row in prompts if row["modality"] == modality]
        kinds = collections.defaultdict(collections.Counter)  # of questions: what can be known of each without looking
        for row in rows:
            kinds[row.get("group")][full[row["id"]]["answer_id"]] += 1
        blind = sum(answers.most_common(1)[0][1] for answers in kinds.values())
        yield (modality, sum(full[row["id"]]["correct"] for row in rows), sum(limited[row["id"]]["correct"] for row in rows), blind,
               len(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("twinlens")
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("| task | modality | n | whole vocabulary | label set | commonest answer |")
    print("|---|---|---|---|---|---|")
    for task in TASKS:
        for modality, full, limited, blind, n in measure(options.twinlens, task, options.n, options.seed):
            cells = ["%.3f (%.3f-%.3f)" % (right / n, *wilson(right, n)) for right in (full, limited)]
            print(f"| {task} | {modality} | {n} | {cells[0]} | {cells[1]} | {blind / n:.3f} |", flush=True)


if __name__ == "__main__":
    main()
