#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_parallel.py TASK FAMILY VISUAL.csv DATASET [SCENES.json]

The parallel text prompts of a dataset of published prompts, against those that Python makes
of the names of the pictures, with its own generator, and of the scenes. Shares no code with
the importer. Prints how many there are.
"""
import csv
import json
import os
import random
import re
import sys

task, family, table, dataset = sys.argv[1:5]
scenes = {}
if len(sys.argv) > 5:
    with open(sys.argv[5], encoding="utf-8") as file:
        scenes = {s["image_filename"]: s for s in json.load(file)["scenes"]}


def counting(name, prompt):
    asked = re.search('"([a-z]+)"', prompt)[1]
    words = [w for n, w in re.findall(r"(\d+)_([a-z]+)(?:_|\.png$)", name) for _ in range(int(n))]
    random.shuffle(words)
    return (f'Sequence: {" ".join(words)}. How many "{asked}" are in the sequence? '
            "Answer in a single number. ")


def arithmetic(name, prompt):
    a, sign, b = re.match(r"(\d+)([a-z]+)(\d+)\.png", name).groups()
    sign = {"plus": "+", "minus": "-", "mult": "*", "divide": "/"}[sign]
    return (f"Question: {a}{sign}{b}. What is the result of the given arithmetic calculation? "
            "Answer in a single number.")


def color_ordering(name, prompt):
    if name not in scenes:
        return None
    things = sorted(scenes[name]["objects"], key=lambda o: o["pixel_coords"][0])
    words = ["a %s object" % o["color"] for o in things]
    place = re.search(r"the color of the (\w+ object from the \w+)\?", prompt)[1]
    order, side = place.split()[0], place.split()[-1]
    if side == "right":
        things.sort(key=lambda o: -o["pixel_coords"][0])
    shown = things[["first", "second", "third", "fourth"].index(order)]["color"]
    assert shown == row["gt_answer"], (name, place, shown, row["gt_answer"])
    return (f"In a scene with four objects arranged horizontally, there is {', '.join(words[:3])} "
            f"and {words[3]}. What is the color of the {place}? Answer in a single word.")


def factual_recall(name, prompt):
    question = re.search(r"(?:What|Which) [a-z ]+\?", prompt)[0]
    return f"Consider {os.path.splitext(name)[0].replace('_', ' ')}.\n{question} Answer in a single word."


random.seed(42)
with open(os.path.join(dataset, "dataset.jsonl"), encoding="utf-8") as file:
    rows = {r["id"]: r for r in map(json.loads, file)}
n = 0
with open(table, newline="", encoding="utf-8") as file:
    for i, row in enumerate(csv.DictReader(file)):
        want = globals()[task](os.path.basename(row["relative_image_path"]), row["prompt"])
        got, image = rows.get(f"parallel-{i}"), rows[f"image-{i}"]
        if want is None:
            assert got is None and "pair" not in image, (i, got)
            continue
        n += 1
        assert got["before"] + got["data"] + got["query"] == (want.strip() if family == "gemma3" else want), (got, want)
        assert got["pair"] == image["pair"] and got["answer"] == row["gt_answer"], (i, got)
        assert got["split"] == "none" and got["modality"] == "text", (i, got)
assert n == sum(r.startswith("parallel-") for r in rows)
print(n)
