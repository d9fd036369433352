#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_intervals.py TWINLENS DATASET RUN - what `align`, `overlap`, `interchange` and `backpatch` say of
a dataset with the options of a study of it: the intervals of the study where it has the same, and all
of them again with numpy and scipy, by check_numbers.py and none of the program's code. A table holds
what --json holds, to four digits."""
import json
import math
import os
import sqlite3
import subprocess
import sys

import numpy as np

import check_numbers as c

twinlens, dataset, run = sys.argv[1:]
SEGMENTS = ("data", "query", "generation")


def said(*words):
    return subprocess.run([twinlens, *map(str, words)], capture_output=True, text=True, check=True).stdout


def command(*words):
    """What it says in JSON, and the rows of its table by the names of their columns."""
    words = (words[0], "--dataset", dataset, *words[1:])
    head, *lines = (line.split("\t") for line in said(*words).splitlines())
    return json.loads(said(*words, "--json")), [dict(zip(head, line, strict=True)) for line in lines]


def same(a, b, where):
    assert a is not None and b is not None, where
    for key in ("value", "sd"):
        x, y = (math.nan if v[key] is None else v[key] for v in (a, b))
        assert x == y or abs(x - y) < 1e-7 * (1 + abs(y)) or math.isnan(x) and math.isnan(y), (where, key, a, b)
    for x, y in zip(a["interval"], b["interval"], strict=True):
        x, y = (math.nan if v is None else v for v in (x, y))
        assert abs(x - y) < 1e-7 * (1 + abs(y)) or math.isnan(x) and math.isnan(y), (where, a, b)
    assert (a["n"], a["undefined_resamples"]) == (b["n"], b["undefined_resamples"]), (where, a, b)


def printed(row, columns, interval, where):
    for column, value in zip(columns, (interval["value"], *interval["interval"]), strict=True):
        want = "undefined" if value is None else f"{value:.4f}"
        assert row[column] == want or row[column] == want.replace("-0.0000", "0.0000"), (where, column, row, want)


study = json.loads(said("summary", "--json", run))
db = sqlite3.connect(os.path.join(run, "study.db"))
settings = dict(db.execute("select key, value from manifest"))

# ---- align ----------------------------------------------------------------------------------------
names = {"matched": ("similarity", "low", "high"), "other": ("other_pairs", "other_low", "other_high"),
         "difference": ("difference", "difference_low", "difference_high")}
for center in (False, True):
    got, table = command("align", *["--center"] * center)
    assert len(got["intervals"]) == len(table) == len(study["alignment"])
    prefix = "centred_" * center
    for layer, found in enumerate(got["intervals"]):
        rows = np.array(db.execute(f"select {prefix}matched, {prefix}other from alignment where layer = ? order by pair",
                                   (layer,)).fetchall(), float)
        paired = rows[np.isfinite(rows[:, 1])]
        again = {"matched": rows[:, 0], "other": paired[:, 1], "difference": paired[:, 0] - paired[:, 1]}
        for name, columns in names.items():
            same(found[name], study["alignment"][layer][prefix + name], f"align {layer} {name}")
            same(found[name], c.mean(again[name]), f"align {layer} {name}, again")
            printed(table[layer], columns, found[name], f"align {layer}")
        assert got["layers"][layer] == found["matched"]["value"] and got["other_pairs"][layer] == found["other"]["value"]
        assert int(table[layer]["pairs"]) == found["matched"]["n"] and int(table[layer]["n_other_pairs"]) == found["other"]["n"]

# ---- overlap --------------------------------------------------------------------------------------
circuits = [w for m in ("text", "image") for w in (
    f"--{m}-scores", os.path.join(run, f"scores.{m}.safetensors"), f"--{m}-fraction",
    study["modalities"][m]["minimal"]["circuit"]["fraction"])]
draws = int(settings["rand-draws"])
got, table = command("overlap", *circuits, "--rand-draws", draws)
letters = {"data": "D", "query": "Q", "generation": "G", "whole": "whole"}
assert len(table) == len(study["overlap"])
for row in table:
    of = got[letters[row["segment"]]]
    of = of if row["kind"] == "both" else of[row["kind"]]
    where, intervals = f"overlap {row['segment']} {row['kind']}", of["intervals"]
    there = next(o for o in study["overlap"] if (o["segment"], o["kind"]) == (row["segment"], row["kind"]))
    same(intervals["random"], there["random"], where)
    assert intervals["iou"]["value"] == of["iou"] == there["iou"]["value"], where
    assert intervals["iou"]["interval"] == [None, None] and intervals["iou"]["n"] == 0, where
    assert there["iou"]["n"] > 0 and intervals["normalised"]["value"] == of["normalised"] == there["normalised"]["value"], where
    # Of the draws alone: the baseline is off by z sd / sqrt(draws), to either side.
    off = c.Z * of["random"]["deviation"] / math.sqrt(draws)
    ends = sorted((of["iou"] - b) / (1 - b) for b in (of["random"]["mean"] - off, of["random"]["mean"] + off))
    assert np.allclose(intervals["normalised"]["interval"], ends, rtol=0, atol=1e-9), (where, intervals, ends)
    assert intervals["normalised"]["n"] == draws == int(row["draws"]), where
    printed(row, ("normalised", "low", "high"), intervals["normalised"], where)
    printed(row, ("random", "random_low", "random_high"), intervals["random"], where)

# ---- interchange ----------------------------------------------------------------------------------
got, table = command("interchange", *circuits, "--seed", settings["seed"], "--rand-draws", settings["inter-draws"])


def faithfulness(lds):
    """Of runs [pairs, 3]: clean, circuit, none."""
    clean, circuit, none = np.moveaxis(np.asarray(lds, float), -1, 0)
    return ((circuit - none) / (clean - none)).mean(-1)


hosts = {m: [r for r in got["runs"] if r["host"] == m] for m in ("text", "image")}
other = {"text": "image", "image": "text"}
for m, runs in hosts.items():
    for r in runs:
        lds = np.array(r["ld"])
        assert r["excluded"] == 0
        same(r["intervals"]["faithfulness"], c.bootstrap(lambda chosen: faithfulness(lds[chosen]), len(lds)), f"run on {m}")


def swapped(m, segment, origin):
    return [np.array(r["ld"]) for r in hosts[m] if r[segment] == origin]


for segment in SEGMENTS:
    of = {m: {"value": swapped(m, segment, other[m]), "random": swapped(m, segment, "random"),
              "ceiling": [np.array(r["ld"]) for r in hosts[m] if all(r[s] == m for s in SEGMENTS)]} for m in hosts}
    sizes = [len(of[m]["value"][0]) for m in hosts]

    def term(chosen, name, pairs, draws=None):
        """The mean over hosts, of pairs (and draws) that are counted through."""
        values = []
        for h, m in enumerate(hosts):
            own = chosen[(chosen >= pairs[h]) & (chosen < pairs[h + 1])] - pairs[h]
            if len(own) == 0:
                continue
            lds = of[m][name]
            which = [0] if name != "random" else chosen[(chosen >= draws[h]) & (chosen < draws[h + 1])] - draws[h]
            values.append(np.mean([faithfulness(lds[d][own]) for d in which]))
        return np.mean(values)

    pairs = np.cumsum([0, *sizes])
    n_draws = [len(of[m]["random"]) for m in hosts]
    starts = pairs[-1] + np.cumsum([0, *n_draws])
    both = got["segments"][segment]["both"]["intervals"]
    for name in ("value", "ceiling"):
        again = c.bootstrap_samples(lambda rows: [term(r, name, pairs) for r in rows], sizes)
        same(both[name], c.of_hosts(again, sizes), f"interchange {segment} {name}")
    again = c.bootstrap_samples(lambda rows: [term(r, "random", pairs, starts) for r in rows], sizes + n_draws)
    same(both["random"], c.of_hosts(again, sizes), f"interchange {segment} random")
    spread = np.std([np.mean([faithfulness(of[m]["random"][d]) for m in hosts]) for d in range(n_draws[0])], ddof=1)
    assert abs(spread - got["segments"][segment]["both"]["deviation"]) < 1e-9, (segment, spread)
    for on in ("both", "text", "image"):
        values = got["segments"][segment]["both" if on == "both" else f"on_{on}"]
        intervals = values["intervals"]
        there = next(x for x in study["interchange"] if (x["host"], x["swapped"]) == (on, segment))
        for name, key in (("value", "faithfulness"), ("random", "random"), ("ceiling", "own"), ("normalised", "normalised")):
            assert values[name] == intervals[name]["value"], (segment, on, name)
            if key in there:
                same(intervals[name], there[key], f"interchange {segment} on {on} {name}")
        row = next(r for r in table if (r["swapped"], r["on"]) == (segment, on))
        printed(row, ("faithfulness", "low", "high"), intervals["value"], f"interchange {segment} on {on}")
        printed(row, ("random", "random_low", "random_high"), intervals["random"], f"interchange {segment} on {on}")
        printed(row, ("own", "own_low", "own_high"), intervals["ceiling"], f"interchange {segment} on {on}")
        printed(row, ("normalised", "normalised_low", "normalised_high"), intervals["normalised"], f"interchange {segment} on {on}")
        assert int(row["pairs"]) == intervals["value"]["n"]

# ---- backpatch ------------------------------------------------------------------------------------


def check_change(found, row, clean, right, where):
    """Right without and with patching, of the prompts that were run."""
    fixed, broken, n = int((right & ~clean).sum()), int((clean & ~right).sum()), len(clean)
    same(found["intervals"]["accuracy"], c.share(int(right.sum()), n), where)
    same(found["intervals"]["gain"], c.gain(fixed, broken, n), where)
    assert (found["fixed"], found["broken"]) == (fixed, broken) and abs(found["p"] - c.mcnemar(fixed, broken)) < 1e-9, where
    assert found["accuracy"] == found["intervals"]["accuracy"]["value"] and found["gain"] == found["intervals"]["gain"]["value"]
    printed(row, ("accuracy", "low", "high"), found["intervals"]["accuracy"], where)
    printed(row, ("gain", "gain_low", "gain_high"), found["intervals"]["gain"], where)
    assert (row["fixed"], row["broken"], row["p"], row["prompts"]) == (str(fixed), str(broken), f"{found['p']:.4f}", str(n)), where


for modality in ("image", "text"):
    got, (first, *table) = command("backpatch", "--modality", modality, "--bp-grid", settings["bp-grid"])
    clean = np.array(got["clean"]["right"])
    same(got["clean"]["intervals"]["accuracy"], study["backpatch"][modality], "backpatch, clean")
    printed(first, ("accuracy", "low", "high"), got["clean"]["intervals"]["accuracy"], "backpatch, clean")
    cells = {(x["window"], x["source"], x["destination"]): x for x in study["backpatch"]["cells"]}
    assert len(table) == len(got["cells"]) == len(cells)
    for found, row in zip(got["cells"], table, strict=True):
        cell = (found["window"], found["src"], found["dst"])
        check_change(found, row, clean, np.array(found["right"]), f"backpatch {modality} {cell}")
        assert found["accuracy"] == cells[cell][f"accuracy_{modality}"], cell
        best = study["backpatch"]["cells"][study["backpatch"]["best"]]
        if modality == "image" and cell == (best["window"], best["source"], best["destination"]):
            for name in ("accuracy", "gain"):
                same(found["intervals"][name], study["backpatch"]["chosen_here"][name], "backpatch, the best cell")
got, (first, *table) = command("backpatch", "--modality", "image", "--bp-grid", settings["bp-grid"], "--bp-search", "halving")
clean, unseen = np.array(got["clean"]["right"]), got["search"]["unseen"]
for found, row in zip(got["cells"], table[:-1], strict=True):
    ran = [p for p, r in enumerate(found["right"]) if r is not None and p not in unseen]
    check_change(found, row, clean[ran], np.array([found["right"][p] for p in ran]), "a round")
found = got["search"]
right = np.array([got["cells"][found["found"]]["right"][p] for p in unseen])
check_change(found, table[-1], clean[unseen], right, "what a search found")
print("all intervals of the commands hold")
