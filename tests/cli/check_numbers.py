#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_numbers.py TWINLENS RUN... - every number that a study prints, computed again from its
study.db with numpy and scipy: values, intervals, deviations and tests, as docs/math.md and
docs/statistics.md define them. `summary --json` must hold these numbers and no others; the page
and the text summary must print them, rounded.

Shares no code with src/finding and src/stat: only the generator of random numbers is the same
(SplitMix64, seed 0 for resamples, 42 for signs and halves), so that equal resamples are drawn."""
import base64
import csv
import html.parser
import io
import json
import math
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

import numpy as np
from scipy import stats

RESAMPLES, FLIPS, SEED = 1000, 2000, 42
Z = stats.norm.ppf(0.975)
MODALITIES, KINDS = ("text", "image"), ("circuit", "magnitude", "random")
MEASURES = ("mean_of_ratios", "ratio_of_means")
SEGMENTS, UNDEFINED = ("data", "query", "generation"), float("nan")


# ---- random numbers -----------------------------------------------------------------------------


class SplitMix64:
    def __init__(self, seed):
        self.state = np.uint64(seed)

    def next(self, count):
        with np.errstate(over="ignore"):
            z = self.state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            self.state = z[-1] if count else self.state
            z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
            return z ^ z >> np.uint64(31)

    def below(self, n, count):
        """Numbers below 2**64 mod n would be drawn again: of 2**64, so few that none is met."""
        return (self.next(count) % np.uint64(n)).astype(np.int64)

    def order(self, n):
        order = [0] * n
        for i in range(n):
            j = int(self.below(i + 1, 1)[0])
            order[i] = order[j]
            order[j] = i
        return order


# ---- intervals ----------------------------------------------------------------------------------


def interval(value, low, high, sd, n, undefined=0):
    return {"value": value, "interval": [low, high], "sd": sd, "n": n, "undefined_resamples": undefined}


def jackknife_variance(left_out):
    return (len(left_out) - 1) * np.var(left_out)


def ends_of(value, drawn, deviate, acceleration):
    """BCa's, with `deviate` for the normal one; drawn is sorted."""
    ends = stats.norm.cdf([-deviate, deviate])
    tie = np.abs(drawn - value) <= 1e-12 * np.abs(drawn).max()
    share = (np.sum((drawn < value) & ~tie) + np.sum(tie) / 2) / len(drawn)
    if 0 < share < 1:
        bias = stats.norm.ppf(share)
        for i, z in enumerate((-deviate, deviate)):
            room = 1 - acceleration * (bias + z)
            if room > 0:
                ends[i] = stats.norm.cdf(bias + (bias + z) / room)
    return np.quantile(drawn, ends)


def acceleration_of(u, size):
    u = np.where(np.abs(u) <= 1e-12 * np.abs(size), 0, u)
    with np.errstate(all="ignore"):
        a = np.sum(u**3) / (6 * np.sum(u**2) ** 1.5)
    return a if math.isfinite(a) else 0.0


def bootstrap(statistic, n):
    """Over n prompts; statistic(rows) is a number for each row of indices."""
    with np.errstate(all="ignore"):
        value = float(statistic(np.arange(n)[None])[0]) if n else UNDEFINED
        if n < 2 or not math.isfinite(value):
            return interval(value, UNDEFINED, UNDEFINED, UNDEFINED, n)
        drawn = np.asarray(statistic(SplitMix64(0).below(n, RESAMPLES * n).reshape(RESAMPLES, n)), float)
        drawn = np.sort(drawn[np.isfinite(drawn)])
        undefined = RESAMPLES - len(drawn)
        if len(drawn) < 2:
            return interval(value, UNDEFINED, UNDEFINED, UNDEFINED, n, undefined)
        left_out = np.asarray(statistic(np.array([[i for i in range(n) if i != k] for k in range(n)])), float)
        low, high = ends_of(value, drawn, math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1),
                            acceleration_of(left_out.mean() - left_out, left_out.mean()))
    return interval(value, float(low), float(high), float(drawn.std(ddof=1)), n, undefined)


def bootstrap_samples(statistic, sizes):
    """Independent samples, which stand one after the other: each by itself, one less of it. A
    row of indices holds those of all."""
    begins, n = np.cumsum([0, *sizes]), int(np.sum(sizes))
    random = SplitMix64(0)
    drawn = [np.concatenate([b + random.below(s, max(1, s - 1)) for b, s in zip(begins, sizes)])
             for _ in range(RESAMPLES)]
    value = float(statistic([np.arange(n)])[0])
    if not math.isfinite(value):
        return interval(value, UNDEFINED, UNDEFINED, UNDEFINED, n)
    found = np.sort([x for x in statistic(drawn) if math.isfinite(x)])
    u, sizes_of_u, parts = [], [], []
    for b, s in zip(begins, sizes):
        if s > 1:
            left_out = np.array(statistic([np.r_[0:i, i + 1:n] for i in range(b, b + s)]))
            u.append((s - 1) / s * (np.mean(left_out) - left_out))
            sizes_of_u += [np.mean(left_out)] * s
            parts.append((jackknife_variance(left_out), s - 1))
    with np.errstate(all="ignore"):
        df = np.float64(sum(v for v, _ in parts)) ** 2 / sum(v**2 / d for v, d in parts)
    deviate = stats.t.ppf(0.975, df) if math.isfinite(df) else Z
    low, high = ends_of(value, found, deviate, acceleration_of(np.concatenate(u), np.array(sizes_of_u)))
    return interval(value, float(low), float(high), float(found.std(ddof=1)), n, RESAMPLES - len(found))


def jackknife_correlation(f, x, y, of):
    """+- t on Fisher's scale, by leaving out one prompt at a time; of: which a value is of."""
    prompts = sorted(set(of))
    value = float(f(x, y))
    if len(prompts) < 2 or not math.isfinite(value):
        return interval(value, UNDEFINED, UNDEFINED, UNDEFINED, len(x))
    r = np.array([float(f(x[np.array(of) != p], y[np.array(of) != p])) for p in prompts])
    z, middle = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)), math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12))
    half = stats.t.ppf(0.975, len(r) - 1) * math.sqrt(jackknife_variance(z))
    return interval(value, math.tanh(middle - half), math.tanh(middle + half), math.sqrt(jackknife_variance(r)),
                    len(x))


def mean(values):
    values = np.asarray(values, float)
    return bootstrap(lambda chosen: values[chosen].mean(-1), len(values))


def share(right, n):
    if n == 0:
        return interval(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0)
    ends = stats.binomtest(int(right), n).proportion_ci(0.95, "wilson")
    return interval(right / n, ends.low, ends.high, math.sqrt(right * (n - right) / n**3), n)


def gain(fixed, broken, n):
    """Tango's score interval: all differences that the score test does not reject."""
    if n == 0:
        return interval(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0)
    d = (fixed - broken) / n

    def rejects(difference):
        a, b = 2 * n, (2 * n - fixed + broken) * difference - fixed - broken
        c = -broken * difference * (1 - difference)
        q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * q + difference * (1 - difference))
        over = fixed - broken - n * difference
        return over * over > Z * Z * variance if variance > 0 else over != 0

    ends = []
    for outside in (-1.0, 1.0):
        inside = d
        for _ in range(80):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if rejects(middle) else (middle, outside)
        ends.append(inside)
    return interval(d, *ends, math.sqrt(((fixed + broken) / n - d * d) / n), n)


def mcnemar(fixed, broken):
    return stats.binomtest(int(fixed), int(fixed + broken)).pvalue if fixed + broken else 1.0


# ---- faithfulness -------------------------------------------------------------------------------


class Runs:
    """LD of the evaluation pairs: clean, none [n] and under circuits [n, ...]."""

    def __init__(self, clean, none, circuits):
        self.clean, self.none, self.circuits = clean, none, circuits
        self.kept = np.abs(clean - none) >= 1e-6 * (1 + np.abs(clean))
        with np.errstate(all="ignore"):
            self.ratio = (circuits - none[:, None]) / (clean - none)[:, None]

    def mean_of_ratios(self, chosen, at):
        kept = self.kept[chosen]
        return np.where(kept, self.ratio[chosen, at], 0).sum(-1) / kept.sum(-1)

    def ratio_of_means(self, chosen, at):
        kept = self.kept[chosen]
        over = np.where(kept, self.circuits[chosen, at] - self.none[chosen], 0).sum(-1)
        return over / np.where(kept, self.clean[chosen] - self.none[chosen], 0).sum(-1)

    def median(self, at):
        ratios = self.ratio[self.kept, at]
        return bootstrap(lambda chosen: np.median(ratios[chosen], -1), len(ratios))


def rows(db, sql, *values):
    cursor = db.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor]


def column(list_, key):
    return np.array([UNDEFINED if row[key] is None else row[key] for row in list_], float)


def read_runs(db, modality, kind, n_points):
    base = rows(db, "select clean, none from baseline where modality = ? order by pair", modality)
    runs = rows(db, "select logit_diff from evaluation where modality = ? and kind = ?"
                " order by pair, point", modality, kind)
    n = len(runs) // n_points
    return Runs(column(base, "clean")[:n], column(base, "none")[:n],
                column(runs, "logit_diff").reshape(n, n_points))


def area(x, curves, away):
    """Trapezium over the points where the curve is defined, by the range of x."""
    out = []
    for curve in curves:
        there = ~np.isnan(curve)
        px, py = x[there], np.abs(1 - curve[there]) if away else curve[there]
        ok = there.sum() >= 2 and px[-1] > px[0]
        out.append(np.trapz(py, px) / (px[-1] - px[0]) if ok else UNDEFINED)
    return np.array(out)


# ---- one modality -------------------------------------------------------------------------------


def curves_of(db, modality):
    curves, areas = {}, {}
    for kind in KINDS:
        points = rows(db, "select * from curve where modality = ? and kind = ? order by point",
                      modality, kind)
        runs = read_runs(db, modality, kind, len(points))
        n = len(runs.clean)
        curves[kind] = [{
            "fraction": p["fraction"], "n_heads": p["n_heads"], "n_neurons": p["n_neurons"],
            "mean_of_ratios": bootstrap(lambda c, i=i: runs.mean_of_ratios(c, i), n),
            "ratio_of_means": bootstrap(lambda c, i=i: runs.ratio_of_means(c, i), n),
            "median": runs.median(i),
            "n": int(runs.kept.sum()), "n_excluded": int((~runs.kept).sum()),
        } for i, p in enumerate(points)]
        for p, stored in zip(curves[kind], points):
            for name in ("mean_of_ratios", "ratio_of_means", "median"):
                same(p[name]["value"], stored[name], f"curve of {modality}, {kind}: {name}")
        x = np.array([float(p["fraction"]) for p in points])

        def area_of(at, chosen, away):
            return area(x, np.stack([at(chosen, i) for i in range(len(x))], -1), away)

        areas[kind] = {name: {"cpr": bootstrap(lambda c: area_of(at, c, False), n),
                              "cmd": bootstrap(lambda c: area_of(at, c, True), n)}
                       for name in MEASURES for at in [getattr(runs, name)]}
    return curves, areas


def smallest(curves, measure, threshold):
    for i, p in enumerate(curves["circuit"]):
        if p[measure]["value"] > threshold:
            return i
    return None


def measure_of(keys):
    return "ratio_of_means" if keys["faith"] == "ratio_mean" else "mean_of_ratios"


def precision_of(db, modality):
    """What the study measured beside f32, which nothing else of it knows."""
    found = rows(db, "select * from precision where modality = ?", modality)
    return {"pairs" if k == "n_pairs" else k: v for k, v in found[0].items() if k != "modality"} if found else None


def part_of(db, modality, keys):
    measure = measure_of(keys)
    prompts = rows(db, "select * from prompt where modality = ? order by row", modality)
    n = len(prompts)
    pairs = {part: rows(db, "select * from pair where modality = ? and part = ? order by pair",
                        modality, part) for part in ("discovery", "evaluation")}
    accuracies = {"prompts": n, "accuracy_limited": share(sum(p["correct_limited"] for p in prompts), n),
                  "accuracy_full": share(sum(p["correct_full"] for p in prompts), n)}
    accuracies |= no_circuits_of(db, modality)
    among = [(p["row"], p["counterfactual"]) for p in pairs["evaluation"]]
    accuracies["mirrored_pairs"] = sum(pair[::-1] in among for pair in among)
    if not pairs["discovery"]:
        return {**accuracies, "minimal_is_shown": False, "smallest_shown": None, "discovery": 0, "evaluation": 0, "positions": 0, "data": [0, 0],
                "curves": {kind: [] for kind in KINDS}, "areas": None, "minimal": None, "circuit_tests": None,
                "validation": None, "precision_check": None, "finished": False, "scores": None}
    first = next(p for p in prompts if p["row"] == pairs["discovery"][0]["row"])
    curves, areas = curves_of(db, modality)
    at = smallest(curves, measure, float(keys["threshold"]))
    stored = rows(db, "select point from minimal where modality = ?", modality)[0]["point"]
    assert at == stored, f"{modality}: the smallest faithful circuit is point {at}, not {stored}"
    scores = rows(db, "select * from scores where modality = ?", modality)[0]
    shown = [p["fraction"] for p in curves["circuit"]
             if p["n"] >= 5 and p[measure]["interval"][0] > float(keys["threshold"])]
    return {
        **accuracies, "smallest_shown": min(shown, key=float, default=None),
        "minimal_is_shown": at is not None and curves["circuit"][at]["fraction"] in shown,
        "discovery": len(pairs["discovery"]), "evaluation": len(pairs["evaluation"]),
        "positions": first["n_pos"], "data": [first["data_begin"], first["data_end"]],
        "curves": curves, "areas": areas,
        "minimal": None if at is None else {kind: curves[kind][at] for kind in KINDS},
        "circuit_tests": tests_of(db, modality, measure),
        "validation": validation_of(db, modality, scores["n_layers"], int(keys["ig-steps"])),
        "precision_check": precision_of(db, modality), "finished": True, "scores": scores["file"],
    }


def no_circuits_of(db, modality):
    """Why a modality was given up, in the table's words; what would help is said beside it."""
    reason = next((r["reason"] for r in rows(db, "select reason from left_out where use = 'circuits' and modality = ?",
                                             modality) if r["reason"].startswith((SEVERAL_LENGTHS, SEVERAL_PLACES)) or TOO_FEW in r["reason"]), None)
    remedy = reason and next(words for part, words in REMEDIES.items() if part in reason)
    if reason and reason.startswith(SEVERAL_LENGTHS) and modality == "image":
        remedy = SHAPES
    return {"no_circuits": reason, "remedy": remedy}


def caveats_of(parts, keys):
    """What a reader has to know before the numbers."""
    said, threshold, measure = [], float(keys["threshold"]), measure_of(keys)
    for m, p in parts.items():
        n, small = p["evaluation"], p["minimal"] and p["minimal"]["circuit"]
        if p["curves"]["circuit"] and n < 10:
            said.append((m, f"{n} evaluation prompt{'s' * (n != 1)}: few, so that intervals are uncertain themselves"))
        if p["mirrored_pairs"]:
            said.append((m, f"{p['mirrored_pairs']} of {n} evaluation pairs are mirrored, each the counterfactual of the other: "
                            "intervals take them for independent"))
        if not small:
            continue
        a, b = small["mean_of_ratios"], small["ratio_of_means"]
        if not p["minimal_is_shown"]:
            low = small[measure]["interval"][0]
            where = f"its interval begins at {low:.3f}" if small["n"] >= 5 else f"it is of too few prompts, {small['n']}"
            following = f"the smallest that is has {100 * float(p['smallest_shown']):.4g} %" if p["smallest_shown"] else "no size is"
            said.append((m, f"the smallest circuit with faithfulness above {keys['threshold']} ({100 * float(small['fraction']):.4g} % "
                            f"of the components) is not shown to have it: {where}; {following}"))
        apart = all(not x["interval"][0] <= y["value"] <= x["interval"][1] and math.isfinite(x["interval"][0])
                    for x, y in ((a, b), (b, a)))
        if apart or (a["value"] > threshold) != (b["value"] > threshold):
            said.append((m, f"the mean of ratios of the smallest circuit ({a['value']:.3f}) and its ratio of means ({b['value']:.3f}) "
                            "disagree: prompts whose two answers are nearly as likely weigh much in the first"))
    return [{"modality": m, "text": text} for m, text in said]


def tests_of(db, modality, measure):
    """Of the smallest circuit, beside random ones, without its components, and of the rest."""
    tests = rows(db, "select * from circuit_test where modality = ? order by test", modality)
    found = rows(db, "select * from circuit_test_run where modality = ? order by pair, test", modality)
    if not found:
        return None
    n = len(found) // len(tests)
    base = rows(db, "select * from baseline where modality = ? order by pair", modality)[:n]
    ld = column(found, "logit_diff").reshape(n, len(tests))
    runs, every = Runs(column(base, "clean"), column(base, "none"), ld), np.arange(n)[None]
    at = getattr(runs, measure)
    of = {name: [t["test"] for t in tests if t["circuit"] == name] for name in ("circuit", "complement", "random")}
    drawn = np.array([at(every, t)[0] for t in of["random"]])
    own = at(every, of["circuit"][0])[0]
    better, middle, spread = int((drawn >= own).sum()), drawn.mean(), drawn.std(ddof=1)

    def needed(kind):
        def changes(circuit):
            return np.abs(np.array([(ld[:, t["test"]] - ld[:, 0]).mean() for t in tests
                                    if (t["circuit"], t["kind"]) == (circuit, kind)]))
        null, without = np.sort(changes("with")), changes("without")
        threshold = null[-(-95 * len(null) // 100) - 1] if len(null) else UNDEFINED
        return {"needed": share_above(without, null, threshold), "threshold": threshold, "outside": len(null)}
    return {
        "pairs": n, "faithfulness": bootstrap(lambda c: at(c, of["circuit"][0]), n),
        "complement": bootstrap(lambda c: at(c, of["complement"][0]), n),
        "random": interval(middle, middle - Z * spread, middle + Z * spread, spread, len(drawn)),
        "most_faithful_random": drawn.max(), "p": (1 + better) / (1 + len(drawn)),
        "random_less_faithful": share(len(drawn) - better, len(drawn)),
        "heads": needed("heads"), "neurons": needed("neurons"),
    }


def share_above(values, others, threshold):
    """Wilson's arms, and how far the share moves when the quantile of the others takes its ends."""
    n, m = len(values), len(others)
    if n == 0 or m == 0:
        return share(0, 0)
    found = share(int((values > threshold).sum()), n)
    below, above = (int(stats.binom.ppf(p, m, 0.95)) for p in (0.025, 0.975))
    at_least = others[below - 1] if below else -math.inf
    at_most = others[above] if above < m else others[-1] if m >= 45 else math.inf
    low, high = found["interval"]
    value = found["value"]
    moved = [float((values > t).mean()) - value for t in (at_most, at_least)]
    return {**found, "interval": [max(0.0, value - math.hypot(value - low, moved[0])),
                                  min(1.0, value + math.hypot(high - value, moved[1]))]}


def pearson(x, y):
    if x.shape[-1] == 0:
        return np.full(x.shape[:-1], UNDEFINED)
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def spearman(x, y):
    return pearson(stats.rankdata(x, axis=-1), stats.rankdata(y, axis=-1))


def check_of(x, y, pairs, about, with_interval=True):
    """Correlations of two numbers of components of these prompts."""
    found = {}
    for name, f in (("pearson", pearson), ("spearman", spearman)):
        with np.errstate(all="ignore"):
            found[name] = (jackknife_correlation(f, x, y, pairs) if with_interval else
                           interval(float(f(x, y)), UNDEFINED, UNDEFINED, UNDEFINED, len(x)))
    return {**about, "n": len(x), "prompts": len(set(pairs)), **found}


def validation_of(db, modality, n_layers, ig_steps):
    effects = rows(db, "select * from effect where modality = ?"
                   " order by pair, component, ig_steps", modality)
    gaps = rows(db, "select * from completeness where modality = ? order by pair, ig_steps", modality)
    if not effects:
        return None
    steps = [g["ig_steps"] for g in gaps if g["pair"] == gaps[0]["pair"]]
    own = 0 if steps[0] == 0 else min(steps, key=lambda m: abs(m - ig_steps))
    checks, ranked = [], []
    for m in steps:
        for kind in ("heads", "neurons"):
            for layer in [None, *range(n_layers)]:
                of = [e for e in effects if e["ig_steps"] == m and e["kind"] == kind
                      and layer in (None, e["layer"])]
                checks.append(check_of(column(of, "exact"), column(of, "attributed"),
                                       [e["pair"] for e in of],
                                       {"ig_steps": m, "kind": kind, "layer": layer}, layer is None))
    scores = {(r["pair"], r["component"]): r["score"] for r in
              rows(db, "select * from ranked where modality = ?", modality)}
    for kind in ("heads", "neurons"):
        of = [e for e in effects if e["ig_steps"] == own and e["kind"] == kind
              and (e["pair"], e["component"]) in scores]
        if of:
            ranked.append(check_of(np.abs(column(of, "exact")),
                                   np.array([scores[e["pair"], e["component"]] for e in of]),
                                   [e["pair"] for e in of],
                                   {"ig_steps": own, "kind": kind, "layer": None}))
    completeness = []
    for m in steps:
        of = [g for g in gaps if g["ig_steps"] == m]
        a, d = column(of, "attributed"), column(of, "difference")
        completeness.append({"ig_steps": m, "gap": mean((np.abs(a - d) / np.abs(d))[np.abs(d) > 1e-6])})
    return {"correlations": checks, "as_ranked": ranked, "completeness": completeness}


# ---- both modalities ----------------------------------------------------------------------------


def above_chance_of(o, stored, keys, more, off):
    if keys["niou"] == "correct":
        over, under = o["iou"] + more - o["random"] - off, 1 - o["random"] - off
        return over / under if abs(under) >= 1e-6 else UNDEFINED
    kinds = [k for k in stored if k["segment"] == o["segment"] and
             (k is o or o["kind"] == "both") and (k["kind"] != "both" or o["kind"] != "both")]
    iou, chance = (np.mean([round(k[x] + y, 3) for k in kinds])
                   for x, y in (("iou", more), ("random", off)))
    return min(max(iou - 2 * chance, 0.01), 1.0)


def overlap_of(db, keys):
    found, n = [], int(keys["rand-draws"])
    stored = rows(db, "select * from overlap order by segment, kind")
    for o in stored:
        variance, parts = 0.0, 0
        for m in MODALITIES:
            x = column(rows(db, "select iou from overlap_without where modality = ? and segment = ? and"
                            " kind = ?", m, o["segment"], o["kind"]), "iou")
            variance += x.var() * (len(x) - 1) if len(x) > 1 else UNDEFINED
            parts += len(x)
        sd, half = math.sqrt(variance), Z * o["deviation"]
        error = half / math.sqrt(n)

        def above_chance(more, off):
            return above_chance_of(o, stored, keys, more, off)
        value, more = above_chance(0, 0), 0 if math.isnan(sd) else Z * sd
        low = value - math.hypot(value - above_chance(-more, 0), value - above_chance(0, error))
        high = value + math.hypot(value - above_chance(more, 0), value - above_chance(0, -error))
        found.append({
            "segment": o["segment"], "kind": o["kind"],
            "iou": interval(o["iou"], max(0, o["iou"] - Z * sd) if sd == sd else UNDEFINED,
                            min(1, o["iou"] + Z * sd) if sd == sd else UNDEFINED, sd, parts),
            "in_text": o["in_text"], "in_image": o["in_image"], "empty": bool(o["is_empty"]),
            "random": interval(o["random"], max(0, o["random"] - half),
                               min(1, o["random"] + half), o["deviation"], n),
            "deviation": o["deviation"],
            "normalised": interval(value, low, high, (high - low) / 3.92, n)})
    return found


def mean_overlap_of(db, keys):
    """Of the segments: their draws are independent, their prompts are the same."""
    stored = rows(db, "select * from overlap order by segment, kind")
    of = [o for o in stored if o["kind"] == "both" and o["segment"] in SEGMENTS]
    if not of:
        return None
    values = np.array([above_chance_of(o, stored, keys, 0, 0) for o in of])
    known = [o for o, v in zip(of, values) if math.isfinite(v)]
    out = {"iou": np.mean([o["iou"] for o in of]),
           "normalised": interval(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0)}
    if not known:
        return out
    variance, of_prompts, n = 0.0, 0.0, int(keys["rand-draws"])
    for o in known:
        error = Z * o["deviation"] / math.sqrt(n)
        ends = [above_chance_of(o, stored, keys, 0, x) for x in (-error, error)]
        if n > 1:
            variance += ((ends[0] - ends[1]) / 2 / Z / len(known)) ** 2
    for m in MODALITIES:
        without = [column(rows(db, "select iou from overlap_without where modality = ? and segment = ? and"
                               " kind = 'both' order by part", m, o["segment"]), "iou") for o in known]
        left = np.mean([[above_chance_of(o, stored, keys, x - o["iou"], 0) for x in w]
                        for o, w in zip(known, without)], 0)
        of_prompts += jackknife_variance(left) if len(left) > 1 else UNDEFINED
    sd, mean = math.sqrt(variance + (0 if math.isnan(of_prompts) else of_prompts)), values[np.isfinite(values)].mean()
    out["normalised"] = interval(mean, mean - Z * sd, mean + Z * sd, sd, len(known))
    return out


class Host:
    def __init__(self, db, modality, measure):
        self.swaps = rows(db, "select * from swap where host = ? order by swap", modality)
        base = rows(db, "select * from baseline where modality = ? order by pair", modality)
        runs = rows(db, "select * from interchange where host = ? order by pair, swap", modality)
        self.n = len(runs) // max(1, len(self.swaps))
        self.runs = Runs(column(base, "clean")[:self.n], column(base, "none")[:self.n],
                         column(runs, "logit_diff").reshape(self.n, -1))
        self.measure, self.at = measure, getattr(self.runs, measure)

        self.n_draws = 1 + max(s["draw"] for s in self.swaps if s["draw"] is not None) if self.swaps else 0

    def swap(self, segment, draw):
        return next(i for i, s in enumerate(self.swaps) if s["swapped"] == segment and s["draw"] == draw)

    def foreign(self, segment, chosen):
        return self.at(chosen, self.swap(segment, None))

    def own(self, chosen):
        return self.at(chosen, self.swap("none", None))

    def random(self, segment, chosen, draws):
        """Of one row of prompts, the mean over chosen draws."""
        of = [self.at(chosen[None], self.swap(segment, d))[0] for d in range(self.n_draws)]
        return np.mean([of[d] for d in draws])

    def terms(self, segment, chosen, draws):
        return (self.foreign(segment, chosen[None])[0], self.random(segment, chosen, draws),
                self.own(chosen[None])[0])


def normalised(value, random, own):
    with np.errstate(all="ignore"):
        return np.where(np.abs(own - random) < 1e-6, UNDEFINED, (value - random) / (own - random))


def of_hosts(found, sizes):
    """Of a host with one pair there is no interval, however many draws it has."""
    alone = {"interval": [UNDEFINED, UNDEFINED], "sd": UNDEFINED} if min(sizes) < 2 else {}
    return {**found, **alone, "n": int(sum(sizes))}


def interchange_of(db, measure):
    hosts, found = [Host(db, m, measure) for m in MODALITIES], []
    for segment in SEGMENTS:
        for modality, h in zip(MODALITIES, hosts):
            def over_draws(of, h=h):
                def statistic(rows_):
                    return np.array([of(row[row < h.n], row[row >= h.n] - h.n) for row in rows_])
                return of_hosts(bootstrap_samples(statistic, [h.n, h.n_draws]), [h.n])
            every = np.arange(h.n)
            of = [h.random(segment, every, [d]) for d in range(h.n_draws)]
            found.append({
                "host": modality, "swapped": segment,
                "faithfulness": bootstrap(lambda c, h=h: h.foreign(segment, c), h.n),
                "random": over_draws(lambda c, d, h=h: h.random(segment, c, d)),
                "own": bootstrap(lambda c, h=h: h.own(c), h.n),
                "sd_over_draws": np.std(of, ddof=1) if len(of) > 1 else UNDEFINED,
                "normalised": over_draws(lambda c, d, h=h: normalised(*h.terms(segment, c, d)))})
        found.append({"host": "both", "swapped": segment, "normalised": both_of(hosts, segment)})
    return found


def both_of(hosts, segment):
    """Prompts of both hosts, then draws of both, each by itself."""
    ends = np.cumsum([h.n for h in hosts] + [h.n_draws for h in hosts])
    begins = np.r_[0, ends[:-1]]

    def statistic(rows_):
        out = []
        for row in rows_:
            parts = [row[(row >= b) & (row < e)] - b for b, e in zip(begins, ends)]
            terms = [h.terms(segment, parts[k], parts[2 + k]) for k, h in enumerate(hosts)]
            out.append(float(normalised(*[(a + b) / 2 for a, b in zip(*terms)])))
        return np.array(out)
    sizes = [h.n for h in hosts]
    return of_hosts(bootstrap_samples(statistic, sizes + [h.n_draws for h in hosts]), sizes)


def alignment_of(db):
    found = rows(db, "select * from alignment order by pair, layer")
    layers = []
    for l in sorted({r["layer"] for r in found}):
        of = [r for r in found if r["layer"] == l]
        entry = {"layer": l}
        for before in ("", "centred_"):
            a, b = column(of, before + "matched"), column(of, before + "other")
            there = ~np.isnan(b)
            entry.update({before + "matched": mean(a), before + "other": mean(b[there]),
                          before + "difference": mean((a - b)[there])})
        layers.append(entry)
    return layers


# ---- back-patching ------------------------------------------------------------------------------


def change_of(image, patched, text):
    fixed, broken = int((patched > image).sum()), int((patched < image).sum())

    def closed(c):
        over, under = (patched - image)[c].sum(-1), (text - image)[c].sum(-1)
        return np.where(under > 0, over / np.where(under > 0, under, 1), UNDEFINED)
    none = interval(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0)
    n, p = len(image), mcnemar(fixed, broken)
    return {"accuracy": share(patched.sum(), n), "gain": gain(fixed, broken, n), "fixed": fixed,
            "broken": broken, "p": p, "helps": fixed > broken and p < 0.05,
            "gap_closed": bootstrap(closed, n) if text is not None else none}


def crossed(cells, order):
    """Outcomes of the cell that is best on one half, on the other half; [n_cells, n]."""
    n, judged = cells.shape[1], np.empty(cells.shape[1])
    halves = np.array(order[:n // 2], int), np.array(order[n // 2:], int)
    for here, there in (halves, halves[::-1]):
        best = np.argmax(cells[:, here].mean(-1))
        judged[there] = cells[best, there]
    return judged


def best_is_chance(change):
    scale = np.sqrt((change**2).sum(-1))
    scale = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)
    flips = SplitMix64(SEED).next(FLIPS * change.shape[1]) >> np.uint64(63)
    sign = 1.0 - 2.0 * flips.reshape(FLIPS, -1).astype(float)
    observed = (change.sum(-1) * scale).max()
    scale = np.where(change.sum(-1) * scale < -3, 0, scale)
    return (1 + np.sum(((sign @ change.T) * scale).max(-1) >= observed - 1e-9)) / (FLIPS + 1)


def times_of(db, n_seen):
    """The cell that the other half chose, or the search, again and again, beside its first time."""
    table = "iteration" if n_seen else "crossed_iteration"
    found = np.array([[x == "1" for x in r["times"]] for r in
                      rows(db, f"select * from {table} order by pair")], float).T[:, n_seen:]
    times = []
    for now in found:
        more, fewer = int((now > found[1]).sum()), int((now < found[1]).sum())
        times.append({"accuracy": share(now.sum(), len(now)), "above_once": gain(more, fewer, len(now)),
                      "more": more, "fewer": fewer, "p": mcnemar(more, fewer)})
    later = [(t["above_once"]["value"], -k) for k, t in enumerate(times)
             if k > 1 and t["more"] > t["fewer"] and t["p"] < 0.05 / (len(times) - 2)]
    return {"times": times, "better_time": -max(later)[1] if later else 0}


def widened(i, n, n_all):
    """A share of n cells drawn from n_all: with what the draw leaves open."""
    if n == n_all or not all(map(math.isfinite, i["interval"])):
        return i
    value, (low, high) = i["value"], i["interval"]
    left = math.sqrt((n_all - n) / (n_all - 1))
    ends = share(round(value * n), n)["interval"]
    return {**i, "interval": [max(0.0, value - math.hypot(value - low, left * (value - ends[0]))),
                              min(1.0, value + math.hypot(high - value, left * (ends[1] - value)))],
            "sd": math.hypot(i["sd"], left * math.sqrt(value * (1 - value) / n))}


def more_as_much_less(sums):
    return [int((sums > 0).sum()), int((sums == 0).sum()), int((sums < 0).sum())]


def control_of(cells, advantage):
    """Cells that gain more, as much, less on images than on text, of those that ran on both: prompts
    that ran none in either are left out."""
    ran = np.isfinite(advantage)
    a = advantage[ran.any(1)][:, ran.any(0)]
    assert np.isfinite(a).all()
    of = [c["window"] for c, here in zip(cells, ran.any(1)) if here]

    def share_of(those, count, n_all):
        return widened(bootstrap(lambda c: count(a[those][:, c].sum(-1)).mean(0), a.shape[1]), sum(those), n_all)
    every = np.ones(len(a), bool)
    windows = []
    for w in dict.fromkeys(of):
        those = np.array([x == w for x in of])
        windows.append({"window": w, "cells": int(those.sum()), "no_worse_than_on_text": share_of(
            those, lambda s: s >= 0, sum(c["window"] == w for c in cells)),
            "gain_more_as_much_less": more_as_much_less(a[those].sum(-1))})
    return {"cells_no_worse_than_on_text": share_of(every, lambda s: s >= 0, len(cells)),
            "cells_that_gain_more": share_of(every, lambda s: s > 0, len(cells)),
            "cells_that_gain_as_much": share_of(every, lambda s: s == 0, len(cells)),
            "cells_that_gain_more_as_much_less": more_as_much_less(a.sum(-1)), "windows": windows}, a.shape


def search_of(runs, judged, control):
    """Rounds are prompts one after the other on which as many cells ran, on images alone."""
    per_prompt = np.isfinite(runs["image"]).sum(0)[~judged]
    starts = [0, *(np.flatnonzero(np.diff(per_prompt)) + 1), len(per_prompt)]
    return {"rounds": [{"cells": int(per_prompt[a]), "prompts": int(b - a)} for a, b in zip(starts, starts[1:])],
            "judging_prompts": int(judged.sum()), "control_cells": control[0], "control_pairs": control[1],
            "runs": int(sum(np.isfinite(r).sum() for r in runs.values())), "all_runs": 2 * runs["image"].size}


SEVERAL_LENGTHS, TOO_FEW = "prompts have several lengths", "too few for"
SEVERAL_PLACES = "prompts have their data at several places"
SHAPES = "--length commonest, or 'image_size' in task.json, which gives all images one shape"
REMEDIES = {SEVERAL_LENGTHS: "--length commonest, or prompts that differ in nothing but their words",
            SEVERAL_PLACES: "--length commonest, or prompts that differ in nothing but their words",
            TOO_FEW + " --prompts": "fewer --prompts, or more rows",
            "all with the answer": "rows with other answers, more rows, or another model",
            " kept": "more rows, or rows with other answers",
            TOO_FEW: "more rows, a model that gets more of them right, other words or pictures, or "
                     "--keep all, which studies wrong answers too"}


def left_out_of(db):
    """What no part, no pair has, counted from the other tables and from the filters' own words."""
    found = rows(db, "select * from left_out order by use, reason, modality")
    for m in MODALITIES:
        n = sum(r["n"] for r in found if r["use"] == "circuits" and r["modality"] == m)
        prompts, pairs = (rows(db, f"select count(*) as n from {t} where modality = ?", m)[0]["n"]
                          for t in ("prompt", "pair"))
        differ = len(rows(db, "select distinct n_pos, data_begin, data_end from prompt where modality = ?", m)) > 1
        reason = no_circuits_of(db, m)["no_circuits"]
        free = reason and (differ or not reason.startswith("prompts"))
        assert n == (prompts - pairs if pairs or free else 0), f"{m}: {n} left out, {prompts} prompts and {pairs} pairs"
        n = sum(r["n"] for r in found if r["use"] == "back-patching" and r["modality"] == m)
        missing, partners = (len(rows(db, f"select distinct row from {a} where modality = ? and row not in "
                                          f"(select row from {b})", m)) for a, b in
                             (("prompt", "backpatch"), ("backpatch", "prompt")))
        # Partners that are nothing else are not predicted, but may be left out for their length.
        assert n == missing or (partners > 0 and n > missing), f"{m}: {n} left out, wanted {missing}"
    return [{k: r[k] for k in ("use", "reason", "modality", "n")} for r in found]


def modal_of(db):
    """What back-patching is on the pairs whose text has the most frequent length, of two the
    shorter; None where these are all, or not every cell ran."""
    lengths = [r["n_pos"] for r in rows(db, "select n_pos from text_length order by pair")]
    modal = min(lengths, key=lambda n: (-lengths.count(n), n), default=None)
    kept = [i for i, n in enumerate(lengths) if n == modal]
    searched = any("-" in r["cells"] for r in rows(db, "select cells from backpatch"))
    if len(kept) == len(lengths) or searched:
        return None
    return {k: v for k, v in backpatch_of(db, kept).items() if k in (
        "n", "text", "image", "best", "chosen_elsewhere", "chosen_here", "p", "cells_no_worse_than_on_text")}


def backpatch_of(db, kept=None):
    cells = rows(db, "select * from cell order by cell")
    clean, runs = {}, {}
    for m in MODALITIES:
        found = rows(db, "select * from backpatch where modality = ? order by pair", m)
        found = found if kept is None else [found[i] for i in kept]
        clean[m] = column(found, "is_right")
        runs[m] = np.array([[{"0": 0, "1": 1, "-": UNDEFINED}[x] for x in r["cells"]]
                            for r in found]).T
    n = len(clean["image"])
    has_text = len(clean["text"]) > 0
    text = clean["text"] if has_text else None
    n_ran = np.isfinite(runs["image"]).sum(0)
    seen = n_ran > 1
    if has_text:
        seen &= np.isnan(runs["text"]).all(0)
    elif n_ran.min() == len(cells):
        seen &= False
    judged, n_seen = ~seen, int(seen.sum())
    none = interval(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0)
    control, shape = {"cells_no_worse_than_on_text": none, "cells_that_gain_more": none,
                      "cells_that_gain_as_much": none, "cells_that_gain_more_as_much_less": [0, 0, 0],
                      "windows": []}, (0, 0)
    if has_text:
        control, shape = control_of(
            cells, (runs["image"] - clean["image"]) - (runs["text"] - clean["text"]))
    if n_seen:
        right = runs["image"][:, seen].sum(-1)
        best = int(np.argmax(np.where(np.isnan(right), -1, right)))
        found = change_of(clean["image"][judged], runs["image"][best, judged],
                          text[judged] if has_text else None)
        chosen_ = {"search": search_of(runs, judged, shape), "chosen_elsewhere": found, "chosen_here": found,
                   "p": found["p"]}
    else:
        order = SplitMix64(SEED).order(n)
        best = int(np.argmax(runs["image"].mean(-1)))
        chosen_ = {"search": None,
                   "chosen_elsewhere": change_of(clean["image"], crossed(runs["image"], order), text),
                   "chosen_here": change_of(clean["image"], runs["image"][best], text),
                   "p": best_is_chance(runs["image"] - clean["image"])}
    iterations = rows(db, "select * from iteration order by pair")
    with np.errstate(all="ignore"):
        accuracy = {m: np.nansum(runs[m], -1) / np.isfinite(runs[m]).sum(-1) for m in MODALITIES if len(clean[m])}
    return {
        "n": n, "text": share(clean["text"].sum(), n) if has_text else none,
        "image": share(clean["image"].sum(), n), "best": best,
        **chosen_, **control, "text_at_ceiling": has_text and bool(clean["text"].all()), **times_of(db, n_seen),
        "iterations": [share(sum(r["times"][k] == "1" for r in iterations), len(iterations))
                       for k in range(len(iterations[0]["times"]))],
        "cells": [{"window": c["window"], "source": c["source"], "destination": c["destination"],
                   "accuracy_image": accuracy["image"][i],
                   "accuracy_text": accuracy["text"][i] if has_text else UNDEFINED}
                  for i, c in enumerate(cells)],
    }


def absent_of(db, parts):
    """What a study lacks for what its prompts are, in the program's words."""
    alone = "text" not in parts
    said = ["no text rows: no comparison, no control"] if alone else []
    for m in parts:
        if parts[m]["no_circuits"]:
            reason = parts[m]["no_circuits"]
            said.append(f"{m}{' ' if reason.startswith('prompts') else ': '}{reason}: no circuits")
        elif not parts[m]["discovery"]:
            said.append(f"the split of all {'' if alone else m + ' '}rows is 'none': no circuits")
    return "; ".join(said) or None


def aligned(spans, m, pos):
    """The positions of the other modality that play the part of this one (eq. 10)."""
    a, b = spans[m], spans[MODALITIES[m == "text"]]
    if a["data_begin"] <= pos < a["data_end"]:
        return set(range(b["data_begin"], b["data_end"]))
    if pos < a["data_begin"]:
        last = b["data_begin"] - 1
        return {min(pos, last)} | set(range(pos, last + 1) if pos == a["data_begin"] - 1 else ()) if last >= 0 else set()
    end, room = a["n_pos"] - 1 - pos, b["n_pos"] - 1 - b["data_end"]
    return {b["n_pos"] - 1 - min(end, room)} | set(range(b["data_end"], b["n_pos"] - end) if pos == a["data_end"] else ())


def leading_of(db, folder, parts):
    """The 20 heads and 20 neurons with the largest scores of each modality (eq. 25)."""
    spans = {r["modality"]: r for r in rows(db, "select * from scores")}
    scores = {m: read_scores(os.path.join(folder, s["file"])) for m, s in spans.items()}
    order = {(m, k): np.argsort(-np.abs(s[k]).ravel(), kind="stable") for m, s in scores.items() for k in ("heads", "neurons")}
    members = {}
    for m in spans:
        if parts[m]["minimal"]:
            for k in ("heads", "neurons"):
                inside = np.zeros(scores[m][k].size, bool)
                inside[order[m, k][:parts[m]["minimal"]["circuit"]["n_" + k]]] = True
                members[m, k] = inside.reshape(scores[m][k].shape)
    for m in parts:
        found = {"pairs": spans[m]["n_pairs"] if m in spans else 0, "heads": [], "neurons": []}
        parts[m]["leading"] = found
        if m not in spans:
            continue
        s, other = spans[m], MODALITIES[m == "text"]
        tokens = rows(db, "select text, n_texts from token where modality = ? order by pos", m)
        for k in ("heads", "neurons"):
            values = scores[m][k].ravel()
            for i in order[m, k][:20]:
                if values[i] == 0:
                    break
                l, t, c = map(int, np.unravel_index(i, scores[m][k].shape))
                patched = rows(db, "select * from leading where modality = ? and kind = ? and layer = ? and pos = ? and "
                                   "idx = ? order by pair", m, k, l, t, c)
                places = aligned(spans, m, t) if (other, k) in members else set()
                shared = sum(bool(members[other, k][l, u, c]) for u in places)
                found[k].append({
                    "layer": l, k[:-1]: c, "position": t, "score": float(values[i]), "first_token": tokens[t]["text"],
                    "token": tokens[t]["text"] if tokens[t]["n_texts"] == 1 else None,
                    "segment": None if t < s["data_begin"] else "data" if t < s["data_end"] else
                               "query" if t + 1 < s["n_pos"] else "generation",
                    "signed_score": mean(column(patched, "attributed")) if patched else None,
                    "exact_effect": mean(column(patched, "exact")) if patched else None,
                    "in_circuit": bool(members[m, k][l, t, c]) if (m, k) in members else None,
                    "in_other_circuit": {"positions": len(places), "shared": shared, "share": shared / len(places)}
                                        if places else None})


def study_of(db, folder):
    """Everything that `summary --json` says."""
    keys = {r["key"]: r["value"] for r in rows(db, "select * from manifest")}
    work = {r["stage"]: r["product_flops"] for r in rows(db, "select * from work")}
    parts = {m: part_of(db, m, keys) for m in MODALITIES
             if rows(db, "select row from prompt where modality = ?", m)}
    leading_of(db, folder, parts)
    overlaps = overlap_of(db, keys)
    return {**keys, "modalities": parts, "absent": absent_of(db, parts),
            "overlap": overlaps, "caveats": caveats_of(parts, keys),
            "circuits_shown": all(p["minimal_is_shown"] for p in parts.values()) if overlaps else None,
            "overlap_mean_of_segments": mean_overlap_of(db, keys),
            "interchange": interchange_of(db, measure_of(keys)) if len(parts) == 2 and all(p["discovery"] for p in parts.values()) else [],
            "left_out": left_out_of(db), "alignment": alignment_of(db), "backpatch": backpatch_of(db),
            "backpatch_modal": modal_of(db),
            "product_flops": sum(work.values()), "stage_product_flops": work,
            "memory_bytes": {r["what"]: r["bytes"] for r in rows(db, "select * from memory")},
            "finished": True}


# ---- comparison ---------------------------------------------------------------------------------


def same(a, b, where, tolerance=1e-7):
    """Equal structure and equal numbers; undefined is null. Counts how many numbers."""
    if isinstance(a, dict):
        assert isinstance(b, dict) and set(a) == set(b), \
            f"{where}: {sorted(set(a) ^ set(b)) if isinstance(b, dict) else b}"
        return sum(same(a[k], b[k], f"{where}.{k}") for k in a)
    if isinstance(a, (list, tuple)):
        assert isinstance(b, list) and len(a) == len(b), f"{where}: {len(a)} and {b}"
        return sum(same(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, b)))
    if isinstance(a, (float, np.floating)) and not math.isfinite(a):
        assert b is None, f"{where}: undefined, but {b} is printed"
        return 1
    if isinstance(a, (bool, np.bool_)) or isinstance(b, bool) or a is None or isinstance(a, str):
        assert a == b, f"{where}: {a}, but {b} is printed"
        return 0
    assert b is not None and abs(a - b) <= tolerance * max(1, abs(a)), f"{where}: {a}, but {b} is printed"
    return 1


# ---- the page -----------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Rows of the tables, by section and heading; what else is printed; the figures' CSV."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.texts, self.csv = {}, [], {}
        self.section, self.heading, self.row, self.cell, self.skip = "", "", None, None, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag in ("svg", "style", "dl"):
            self.skip += 1
        elif tag == "h2":
            self.section, self.heading = attributes["id"], ""
        elif tag in ("td", "h3", "figcaption", "p", "li"):
            self.cell = ""
        elif tag == "tr":
            self.row = []
        elif tag == "a" and "download" in attributes:
            text = base64.b64decode(attributes["href"].partition("base64,")[2]).decode()
            self.csv[attributes["download"]] = list(csv.reader(io.StringIO(text)))

    def handle_data(self, data):
        if self.cell is not None and not self.skip:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("svg", "style", "dl"):
            self.skip -= 1
        elif tag == "td":
            self.row.append(self.cell.replace("\xa0", " "))
        elif tag == "h3":
            self.heading = self.cell
        elif tag in ("figcaption", "p", "li"):
            self.texts.append((self.section, self.cell.replace("\xa0", " ")))
        elif tag == "tr" and self.row:
            self.tables.setdefault((self.section, self.heading), []).append(self.row)


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def cell(value, form="{}"):
    """What a cell of a table is to hold: words, and numbers between them."""
    if isinstance(value, dict):
        ends = value["interval"]
        if not math.isfinite(value["value"]):
            return "-", []
        if not all(map(math.isfinite, ends)):
            return "{}", [value["value"]]
        left_out = value["undefined_resamples"]
        return "{} ({} to {})" + " {}" * (left_out > 0), [value["value"], *ends, *[-left_out] * (left_out > 0)]
    if isinstance(value, str):
        return NUMBER.sub("{}", value), [float(x) for x in NUMBER.findall(value)]
    if value is None or not math.isfinite(value):
        return "-", []
    return form, [value]


def same_cell(wanted, printed, where):
    """Each number is rounded to the decimals that it is printed with."""
    words, numbers = wanted
    found = NUMBER.findall(printed)
    assert NUMBER.sub("{}", printed) == words, f"{where}: {printed}, wanted {words} of {numbers}"
    for x, text in zip(numbers, found):
        half = 0.5 * 10.0 ** -len(text.partition(".")[2])
        assert text and abs(float(text) - x) <= half * (1 + 1e-6), f"{where}: {text} for {x}"
        assert text.strip("-0.") or not text.startswith("-"), f"{where}: {text}"
    return len(found)


def same_table(page, at, wanted):
    found = page.tables.pop(at, None)
    assert found is not None and len(found) == len(wanted), f"{at}: {found and len(found)} rows"
    count = 0
    for w, row in zip(wanted, found):
        assert len(w) == len(row), f"{at}: {row}"
        count += sum(same_cell(x if isinstance(x, tuple) else cell(x), y, f"{at}, {row[0]}")
                     for x, y in zip(w, row))
    return count


def same_leading(page, at, kind, wanted):
    """Numbers of three digits, whatever their size."""
    found = page.tables.pop(at)
    assert len(found) == len(wanted), f"{at}: {len(found)} rows"
    count = 0
    for rank, (x, row) in enumerate(zip(wanted, found), 1):
        token = f"{{{x['segment'] or 'before'}}}" if x["token"] is None else \
            "'" + x["token"].replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + "'"
        there = x["in_other_circuit"]
        words = [str(rank), str(x["layer"]), str(x[kind[:-1]]), str(x["position"]), token, x["segment"] or "-"]
        ends = [{None: "-", True: "yes", False: "no"}[x["in_circuit"]],
                f"{there['shared']} of {there['positions']}" if there else None]
        assert row[:6] == words and row[9] == ends[0] and (ends[1] is None or row[10] == ends[1]), f"{at}: {row}, {words}, {ends}"
        for number, text in zip((x["score"], x["signed_score"], x["exact_effect"]), row[6:9]):
            numbers = [number] if isinstance(number, float) else [number["value"], *number["interval"]] if number else []
            numbers = [n for n in numbers if math.isfinite(n)]
            said = [float(t) for t in re.findall(r"-?\d[\d.]*(?:e[-+]\d+)?", text)]
            assert number is not None or text == "not measured", f"{at}: {row}"
            assert len(said) == len(numbers) and all(abs(a - b) <= 0.0051 * abs(a) + 1e-12 for a, b in zip(numbers, said)), \
                f"{at}: {text} for {numbers}"
            count += len(said)
    return count


def percent(fraction):
    return "{} %", [100 * fraction]


def size_of(part, fraction, following):
    """Of the smallest circuit, and whether it is shown to be faithful."""
    words, numbers = percent(fraction)
    if part["minimal_is_shown"]:
        return words, numbers
    if not following:
        return words + ", not shown", numbers
    return (words + " (not shown; {} % is)", numbers + [100 * float(part["smallest_shown"])]) if part["smallest_shown"] else (
        words + " (not shown)", numbers)


def mean_interval(values):
    """Of numbers whose own errors are independent."""
    values = [v for v in values if v is not None and math.isfinite(v["value"])]
    if not values:
        return None
    m = float(np.mean([v["value"] for v in values]))
    sd = math.sqrt(sum(v["sd"]**2 for v in values if math.isfinite(v["sd"]))) / len(values)
    return interval(m, m - Z * sd, m + Z * sd, sd, len(values))


def means(rows_):
    """A last row; columns of intervals have a mean, others a dash."""
    if len(rows_) < 2:
        return []
    return [["mean", *[mean_interval(c) if all(isinstance(v, dict) for v in c) else None
                       for c in list(zip(*rows_))[1:]]]]


def chosen(study, point):
    return point[measure_of(study)]


def overview_of(studies):
    """The tables of all studies, by heading."""
    models = {s["model"] for s in studies}

    def called(s, key):
        return f"{s[key + '-name']} ({s[key][:12]})"

    def name(s):
        like = {t["dataset"] for t in studies if (t["task"], t["model"]) == (s["task"], s["model"])}
        alike = [t for t in studies if all(t[k] == s[k] for k in ("task", "model", "dataset"))]
        return ", ".join([s["task"], *[called(s, "model")] * (len(models) > 1), *[called(s, "dataset")] * (len(like) > 1),
                          *[s["folder"]] * (len(alike) > 1)])
    tables = {"Accuracy": [[name(s), f"{s['modalities']['text']['prompts']} + "
                            f"{s['modalities']['image']['prompts']}",
                            *[s["modalities"][m][a] for a in ("accuracy_limited", "accuracy_full")
                              for m in MODALITIES]] for s in studies]}
    tables["Accuracy"] += means(tables["Accuracy"])
    circuits, sizes = [], {m: [] for m in MODALITIES}
    for s in studies:
        for m in MODALITIES:
            p = s["modalities"][m]
            found = p["minimal"]
            if found:
                sizes[m].append(float(found["circuit"]["fraction"]))
            circuits.append([name(s), m, size_of(p, sizes[m][-1], "") if found else "none",
                             *[chosen(s, found[k]) if found else None for k in KINDS],
                             *[p["areas"]["circuit"][measure_of(s)][a] for a in ("cpr", "cmd")],
                             str(p["evaluation"])])
    if len(studies) > 1:
        circuits += [["mean", m, percent(np.mean(sizes[m])), *[None] * 6] for m in MODALITIES if sizes[m]]
    tables["Smallest faithful circuits"] = circuits
    overlap, interchange = [], []
    for s in studies:
        of = {(o["segment"], o["kind"]): o for o in s["overlap"]}
        if of:
            overlap.append([name(s), *[x for g in SEGMENTS for x in
                                         (of[g, "both"]["iou"]["value"], of[g, "both"]["normalised"])],
                            s["overlap_mean_of_segments"]["normalised"],
                            of["whole", "both"]["iou"]["value"], of["whole", "both"]["normalised"]])
        swaps = {x["swapped"]: x["normalised"] for x in s["interchange"] if x["host"] == "both"}
        if swaps:
            interchange.append([name(s), *[swaps[g] for g in SEGMENTS]])
    tables["Overlap of the two circuits"] = overlap + means(overlap)
    tables["Interchange: a segment of the other circuit"] = interchange  # ratios: no means
    alignment = []
    for s in studies:
        layers = s["alignment"]
        peak = int(np.argmax([l["matched"]["value"] for l in layers]))
        alignment.append([name(s), layers[0]["matched"], layers[len(layers) // 2]["matched"],
                          layers[peak]["matched"], f"{peak} of {len(layers)}", layers[-1]["matched"],
                          layers[peak]["difference"], layers[peak]["centred_difference"],
                          str(layers[0]["matched"]["n"])])
    tables["Alignment of image tokens with text tokens"] = alignment
    backpatch, iterations = [], []
    for s in studies:
        b = s["backpatch"]
        best, here, there = b["cells"][b["best"]], b["chosen_here"], b["chosen_elsewhere"]
        backpatch.append([name(s), b["image"],
                          f"{best['source']} into {best['destination']} ({best['window']})" + " *" * bool(b["search"]),
                          here["accuracy"], here["gain"], b["p"], there["gain"], there["p"],
                          there["gap_closed"], b["cells_no_worse_than_on_text"],
                          str(there["gain"]["n"])])
        times = b["times"]
        iterations.append([name(s), *[times[k]["accuracy"] for k in (0, 1, 2, 4, 9)],
                           *[times[k]["above_once"] for k in (2, 9)], str(times[0]["accuracy"]["n"])])
    tables["Back-patching of image states"] = backpatch
    tables["Accuracy after patching a cell 0, 1, ... times"] = iterations
    return tables


def numbers_of(study):
    """The table at the head of a study; of a modality that is not there, or has no circuits, a
    dash. The last column says what intervals are over."""
    parts = [study["modalities"].get(m) for m in MODALITIES]
    shapes = study["shapes"]
    minimal = [p and p["minimal"] for p in parts]

    def all_of(key):
        return [*[p[key] if p else None for p in parts], "prompts"]

    def count_of(key):
        return [*[str(p[key] if p else 0) for p in parts], ""]
    table = [["prompts", *count_of("prompts")],
             ["accuracy among the labels", *all_of("accuracy_limited")],
             ["accuracy in the vocabulary", *all_of("accuracy_full")],
             ["prompts for discovery", *count_of("discovery")],
             ["prompts for evaluation", *count_of("evaluation")],
             *[[f"left out of {use}: {reason}", *[str(sum(
                 r["n"] for r in study["left_out"] if (r["use"], r["reason"], r["modality"]) == (use, reason, m)))
                 for m in MODALITIES], ""]
               for use, reason in dict.fromkeys((r["use"], r["reason"]) for r in study["left_out"] if r["n"] > 0)],
             ["smallest faithful circuit: share of all heads and neurons",
              *[size_of(p, float(m["circuit"]["fraction"]), "is") if m else "none" if p and p["finished"] else "-"
                for p, m in zip(parts, minimal)], ""]]
    for k, key in enumerate(("n_heads", "n_neurons")):
        table.append([("heads in the circuit", "neurons in the circuit")[k], *[
            f"{m['circuit'][key]} of {shape[k]}" if m else "-" for m, shape in zip(minimal, shapes)], ""])
    ways = ("chosen by activation difference", "chosen at random")
    names = ("faithfulness of the circuit", *[f"{way}: faithfulness at that size" for way in ways])
    table += [[name, *[chosen(study, m[k]) if m else None for m in minimal], "prompts"]
              for name, k in zip(names, KINDS)]
    for first, what, measure in (("area under the faithfulness curve (CPR)", "area (CPR)", "cpr"),
                                 ("distance of the curve from 1 (CMD)", "distance (CMD)", "cmd")):
        names = (first, *[f"{way}: {what}" for way in ways])
        table += [[name, *[p["areas"][k][measure_of(study)][measure] if p and p["areas"] else None for p in parts],
                   "prompts"] for name, k in zip(names, KINDS)]
    return table


def tested_of(study):
    """The table of the tests of the smallest circuit; None where there are none."""
    tests = [(study["modalities"].get(m) or {}).get("circuit_tests") for m in MODALITIES]
    if not any(tests):
        return None

    def row(name, find, over="", without=None):
        return [name, *[find(t) if t else without for t in tests], over]
    table = [row("evaluation pairs that it is tested on", lambda t: str(t["pairs"]), "", "0"),
             row("faithfulness of the circuit on these", lambda t: t["faithfulness"], "prompts"),
             row("random circuits, with as many heads and neurons in each segment", lambda t: str(t["random"]["n"]), "", "0"),
             row("faithfulness of the random circuits: mean", lambda t: t["random"], "draws: where 95 % of them are"),
             row("faithfulness of the best random circuit", lambda t: t["most_faithful_random"]),
             row("share of random circuits less faithful than the circuit", lambda t: t["random_less_faithful"], "random circuits"),
             row("p: that a random circuit is as faithful", lambda t: t["p"])]
    for kind, one in (("heads", "a head"), ("neurons", "a neuron")):
        table += [row(f"{kind} of the circuit that are needed: share of a sample", lambda t: t[kind]["needed"],
                      "components of the sample"),
                  row(f"{kind} in the sample", lambda t: str(t[kind]["needed"]["n"]), "", "0"),
                  row(f"{one} is needed when LD changes by more than", lambda t: t[kind]["threshold"])]
    return table + [row("faithfulness of all that is not in the circuit", lambda t: t["complement"], "prompts")]


# ---- the figures --------------------------------------------------------------------------------


def read_scores(path):
    with open(path, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {k: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], "<f4").reshape(v["shape"])
            for k, v in head.items() if k != "__metadata__"}


def circuit_of(db, part, folder, views):
    """How many heads and neurons [2, layer, image token] the smallest faithful circuit has: those of
    the largest scores, of equal ones the first. None where it cannot be told where image tokens stand."""
    path = os.path.join(folder, part["scores"])
    if part["minimal"] is None or len(views) > 1 or not os.path.exists(path):
        return None
    n, (begin, end) = views[0][0] * views[0][1], part["data"]
    texts = [r["text"] for r in rows(db, "select text from token where modality = 'image' order by pos")][begin:end]
    image = {t for t in texts if texts.count(t) == n}
    places = list(range(n)) if len(texts) == n else [i for i, t in enumerate(texts) if t in image]
    if len(places) != n:
        return None
    scores, point, out = read_scores(path), part["minimal"]["circuit"], []
    for kind in ("heads", "neurons"):
        member = np.zeros(scores[kind].size)
        member[np.argsort(-scores[kind].ravel(), kind="stable")[:point[f"n_{kind}"]]] = 1
        out.append(member.reshape(scores[kind].shape).sum(-1)[:, begin:end][:, places])
    return np.array(out)


def same_places(page, section, study, folder):
    """Where the scores are, in whole per cent by segment, and in which layers the middle half."""
    count = 0
    for m, part in study["modalities"].items():
        if not part["discovery"] or not os.path.exists(os.path.join(folder, part["scores"])):
            continue
        scores = read_scores(os.path.join(folder, part["scores"]))
        both = sum(scores[kind].astype(float).sum(-1) for kind in ("heads", "neurons"))
        begin, end = part["data"]
        shares = [both[:, a:b].sum() / both.sum() for a, b in ((begin, end), (end, -1), (-1, None))]
        layers = np.cumsum(both.sum(-1)) / both.sum()
        found = [re.search(r"Of all scores of " + m + r" prompts are (\d+) % at the data, (\d+) % at the question, (\d+) % at "
                           r"the last position; the middle half is in layers (\d+) to (\d+) \(of 0 to (\d+);", text)
                 for s, text in page.texts if s == section]
        numbers = [int(x) for x in next(f for f in found if f).groups()]
        assert all(abs(n - 100 * x) <= 0.5001 for n, x in zip(numbers, shares)), (section, m, numbers, shares)
        assert numbers[3:] == [int(np.argmax(layers >= q)) for q in (0.25, 0.75)] + [len(layers) - 1], (numbers, layers)
        count += len(numbers)
    return count


def flat(i):
    return [i["value"], *i["interval"], i["n"], i["undefined_resamples"]]


def figures_of(study, db, folder):
    """The numbers of each figure: [(key, ..., number, ...)] by name; keys are text."""
    parts, b = study["modalities"], study["backpatch"]
    circuits = [m for m in parts if parts[m]["discovery"]]
    out = {"accuracy": [(m, among, *flat(parts[m][key])) for m in parts for among, key in
                        (("labels", "accuracy_limited"), ("vocabulary", "accuracy_full"))]}
    out["importance"] = []
    for m in circuits:
        scores = read_scores(os.path.join(folder, parts[m]["scores"]))
        sums = {kind: scores[kind].astype(float).sum(-1) for kind in ("heads", "neurons")}
        sums["both"] = sums["heads"] + sums["neurons"]
        out["importance"] += [(m, str(l), str(t), *[of[l, t] for of in sums.values()])
                              for l, t in np.ndindex(sums["both"].shape)]
    out["pictures"] = []
    for p in rows(db, "select pair, id, n_rows, n_columns from picture order by pair"):
        found = rows(db, "select * from picture_score where pair = ? order by layer, pos", p["pair"])
        views = [(p["n_rows"], p["n_columns"])] + [(v["n_rows"], v["n_columns"]) for v in rows(
            db, "select * from picture_view where pair = ? order by view", p["pair"])]
        both = (column(found, "heads") + column(found, "neurons")).reshape(-1, sum(n * m for n, m in views))
        ends, first = [k * len(both) // 3 for k in range(4)], 0
        circuit = circuit_of(db, parts["image"], folder, views)
        for view, (n, m) in enumerate(views):
            if ends[1] > 0:
                out["pictures"] += [(p["id"], str(view), band, str(i), str(j), both[low:high, first + i * m + j].sum(),
                                     *(circuit[:, low:high, i * m + j].sum(-1) if circuit is not None else (None, None)))
                                    for band, low, high in zip(("early", "middle", "late"), ends, ends[1:])
                                    for i in range(n) for j in range(m)]
            first += n * m
    names = dict(zip(KINDS, ("attribution", "activation difference", "random")))
    out["faithfulness"] = [(m, names[k], f"{float(p['fraction']):.9g}", *flat(chosen(study, p)))
                           for m in circuits for k in KINDS for p in parts[m]["curves"][k]
                           if float(p["fraction"]) > 0]
    effects = {}
    for e in rows(db, "select * from effect order by modality, pair, component, ig_steps"):
        row = (e["modality"], str(e["pair"]), e["kind"], str(e["layer"]), str(e["pos"]), str(e["idx"]))
        effects.setdefault((*row[:2], e["component"]), [*row, e["exact"]]).append(e["attributed"])
    out["validation"] = [*map(tuple, effects.values())]
    out["overlap"] = [(measure, o["segment"], o["kind"], *flat(o[measure]))
                      for o in study["overlap"] for measure in ("iou", "random", "normalised")]
    hosts = {"text": "on text", "image": "on images", "both": "both"}
    out["interchange"] = [("normalised", x["swapped"], hosts[x["host"]], *flat(x["normalised"]))
                          for x in study["interchange"]]
    out["interchange"] += [(x["host"], x["swapped"], name, *flat(x[key]))
                           for x in study["interchange"] if x["host"] != "both" for name, key in
                           (("the other's", "faithfulness"), ("random", "random"), ("its own", "own"))]
    out["alignment"] = [(variant, of, str(l["layer"]), *flat(l[before + key]))
                        for l in study["alignment"]
                        for variant, before in (("plain", ""), ("centred", "centred_"))
                        for of, key in (("same content", "matched"), ("other content", "other"))]
    out["gap"] = [(name, *flat(i)) for name, i in (
        ("text", b["text"]), ("image", b["image"]),
        ("cell found" if b["search"] else "best cell", b["chosen_here"]["accuracy"]),
        ("cell chosen elsewhere", b["chosen_elsewhere"]["accuracy"]))[:3 if b["search"] else 4]
        if "text" in parts]
    out["backpatch"] = []
    for m in parts:
        found = rows(db, "select is_right, cells from backpatch where modality = ? order by pair", m)
        clean = column(found, "is_right")
        for i, c in enumerate(b["cells"]):
            right, ran = (np.array([r["cells"][i] in x for r in found]) for x in ("1", "01"))
            n = int(ran.sum())
            out["backpatch"].append((str(c["window"]), str(c["source"]), str(c["destination"]), m,
                                     *flat(share(right.sum(), n))[:4],
                                     right[ran].mean() - clean[ran].mean() if n else UNDEFINED))
    out["iterations"] = [("best here", "accuracy", str(k), *flat(i)) for k, i in enumerate(b["iterations"])]
    out["iterations"] += [("chosen elsewhere", name, str(k), *flat(t[key])) for k, t in enumerate(b["times"])
                          for name, key in (("accuracy", "accuracy"), ("above once", "above_once"))]
    return out


def models_of(studies, folders):
    """The numbers of the paper's figures and tables over models and tasks:
    {name: {(folder, part[, at]): interval}}; None: the study lacks it."""
    lists = {f"{kind}-{i}": {} for kind, of in (("table", (1, 4, 5, 6, 7)), ("figure", range(4, 10))) for i in of}
    plain = lambda x: interval(x, UNDEFINED, UNDEFINED, UNDEFINED, 0)
    for s, folder in zip(studies, folders):
        def add(name, i, *key):
            lists[name][(folder, *key)] = i
        b = s["backpatch"]
        of = {(o["segment"], o["kind"]): o["normalised"] for o in s["overlap"]}
        swaps = {x["swapped"]: x["normalised"] for x in s["interchange"] if x["host"] == "both"}
        for m in MODALITIES:
            p = s["modalities"][m]
            add("table-4", p["accuracy_limited"], m)
            smallest_ = p["minimal"] and p["minimal"]["circuit"]
            add("table-5", smallest_ and plain(float(smallest_["fraction"])), m)
            add("table-6", smallest_ and chosen(s, smallest_), m)
            for point in p["curves"]["circuit"]:
                add("figure-4", chosen(s, point), m, f"{float(point['fraction']):.9g}")
        for g in SEGMENTS:
            add("figure-5", of.get((g, "both")), g)
            add("figure-6", swaps.get(g), g)
        for l in s["alignment"]:
            add("figure-7", l["matched"], "as they are", str(l["layer"]))
            add("figure-7", l["centred_matched"], "centred", str(l["layer"]))
        add("table-1", b["chosen_here"]["accuracy"], "accuracy")
        add("table-1", b["chosen_here"]["gain"], "gain")
        add("table-1", b["chosen_elsewhere"]["gain"], "gain, crossed")
        best = b["cells"][b["best"]]
        for part, key in (("from layer", "source"), ("into layer", "destination"), ("window", "window")):
            add("table-7", plain(best[key]), part)
        for k, i in enumerate(b["iterations"]):
            add("figure-8", i, "best here", str(k))
        for k, t in enumerate(b["times"]):
            add("figure-8", t["accuracy"], "chosen elsewhere", str(k))
        for w in b["windows"]:
            add("figure-9", w["no_worse_than_on_text"], f"window {w['window']}")
    return lists


def same_models(page, studies, folders):
    """Figures and tables over models and tasks, and the tables beside them; the means that are
    told in words."""
    count, told = 0, []
    where = {}
    studied = page.tables.pop(("all", "Studies"))
    for row, s, folder in zip(studied, studies, folders, strict=True):
        called = [f"{s[key + '-name']} ({s[key][:12]})" for key in ("model", "dataset")]
        assert row[1:7] == [*called, folder, " + ".join(
            str(s["modalities"][m]["prompts"]) for m in MODALITIES), "-", "finished"], row
        assert row[0].startswith(s["task"])
    for name, wanted in models_of(studies, folders).items():
        head, *lines = page.csv.pop(f"all-{name}.csv")
        keys = head.index("low") - 1
        found = {(line[-1], *line[2:keys]): line for line in lines}
        assert found.keys() == wanted.keys() and len(found) == len(lines), \
            f"{name}: {set(found) ^ set(wanted)}"
        for key, line in found.items():
            where[key[0]] = tuple(line[:2])
            printed, published, missing = line[keys:keys + 5], line[-3], line[-2]
            numbers = flat(wanted[key]) if wanted[key] else [UNDEFINED] * 3 + [0, 0]
            assert not published and bool(missing) == (not math.isfinite(numbers[0])), f"{name} {key}: {line}"
            for x, text in zip(numbers, printed):
                assert text == "" if not math.isfinite(x) else \
                    abs(float(text) - x) <= 1e-6 * max(1e-3, abs(x)), f"{name} {key}: {x}, but {text}"
                count += 1
        if keys == 3:
            count += same_models_table(page, name, wanted, where, [where[f] for f in folders], told)
    assert len(set(where.values())) == len(studies), f"two studies have one name: {where}"
    return count, told


def same_models_table(page, name, wanted, where, pairs, told):
    """Tasks in rows, models in columns, for each a column of each part; a last row of means."""
    at = next((k for k in page.tables if k[1].startswith(name.replace("-", " ").capitalize() + ":")), None)
    any_value = any(v and math.isfinite(v["value"]) for v in wanted.values())
    assert (at is not None) == any_value, f"{name}: {page.tables.keys()}"
    if at is None:
        return 0
    models, tasks = dict.fromkeys(m for m, _ in pairs), sorted({t for _, t in pairs})
    parts = sorted({key[1] for key in wanted}, key=[key[1] for key in wanted].index)
    if name == "figure-9":
        parts.sort(key=lambda part: int(part.split()[1]))
    number = {(*where[key[0]], key[1]): v for key, v in wanted.items()}

    def shown(v):
        if v is None or not math.isfinite(v["value"]):
            return ("missing", [])
        return percent(v["value"]) if name == "table-5" else ("{}", [v["value"]]) if name == "table-7" else cell(v)
    table = [[("{}".join(re.split(NUMBER, t)), [float(x) for x in NUMBER.findall(t)]),
              *[shown(number.get((m, t, p))) if (m, t) in pairs else ("no study", [])
                for m in models for p in parts]] for t in tasks]
    found = page.tables.pop(at)
    has_means = name not in ("table-7", "figure-6") and len(tasks) > 1
    assert [row[0] for row in found] == tasks + ["mean"] * has_means, f"{name}: {found}"
    count = sum(same_cell(x, y, f"{name}, {row[0]}") for w, row in zip(table, found)
                for x, y in zip(w, row, strict=True))
    if name in ("table-7", "figure-6"):
        return count
    told.extend(mean_interval([number[m, t, p] for m, t in pairs if (m, t, p) in number]) for p in parts)
    columns = [(m, p) for m in models for p in parts]
    for (m, p), text in zip(columns, found[-1][1:] if has_means else []):
        of = [number[x, t, p] for x, t in pairs if x == m and (x, t, p) in number]
        mean_ = mean_interval(of)
        if mean_ is not None and mean_["n"] < 2:
            mean_ = None
        if name == "table-5":
            mean_ = percent(mean_["value"]) if mean_ else None
        count += same_cell(mean_ if isinstance(mean_, tuple) else cell(mean_), text, f"{name}, mean")
    return count


def same_figure(wanted, printed, where):
    n_keys = sum(isinstance(x, str) for x in wanted[0])
    key = lambda row: row[:n_keys]
    wanted, found = sorted(wanted, key=key), sorted(map(tuple, printed[1:]), key=key)
    assert [*map(key, wanted)] == [*map(key, found)], \
        f"{where}: {sorted(set(map(key, wanted)) ^ set(map(key, found)))[:4]}"
    for row, texts in zip(wanted, found):
        for x, text in zip(row[n_keys:], texts[n_keys:], strict=True):
            if x is None or not math.isfinite(x):
                assert text == "", f"{where} {key(row)}: undefined, but {text} is printed"
            else:
                assert text and abs(float(text) - x) <= 1e-6 * max(1e-3, abs(x)), f"{where} {key(row)}: {x}, but {text}"
    return sum(len(row) - n_keys for row in wanted)


def all_numbers(x, out):
    """Every interval, as four numbers, and every number of a study."""
    if isinstance(x, dict):
        if "interval" in x:
            out["intervals"].append([x["value"], *x["interval"], x["undefined_resamples"]])
        for v in x.values():
            all_numbers(v, out)
    elif isinstance(x, (list, tuple)):
        for v in x:
            all_numbers(v, out)
    elif isinstance(x, (int, float, np.number)) and not isinstance(x, bool):
        out["numbers"].append(float(x))


INTERVAL = re.compile(r"(-?\d+\.\d{3}) \((-?\d+\.\d{3}) to (-?\d+\.\d{3})(?:, [^()]+)?\)(?: -(\d+))?")


def known(texts, study, where):
    """Words with numbers between them: each interval is one of the study's, and so is each
    number with three decimals."""
    of = {"intervals": [], "numbers": []}
    all_numbers(study, of)
    triples, singles = np.array(of["intervals"], float), np.array(of["numbers"])
    count = 0
    for text in texts:
        for m in INTERVAL.finditer(text):
            off = np.abs(triples - [float(x or 0) for x in m.groups()]).max(-1)
            assert np.nanmin(off) <= 0.0005 + 1e-9, f"{where}: no interval is {m[0]}: {text}"
            count += 3
        for number in re.findall(r"-?\d+\.\d{3}(?!\d)", INTERVAL.sub("", text)):
            assert np.nanmin(np.abs(singles - float(number))) <= 0.0005 + 1e-9, \
                f"{where}: no number is {number}: {text}"
            count += 1
    return count


def incomplete_of(page):
    """How many lines of the figures' CSV leave out resamples; each caption says it of its own."""
    counts = {}
    for name, (head, *lines) in page.csv.items():
        if "undefined" in head:
            n = sum(line[head.index("undefined")] != "0" for line in lines)
            counts.setdefault(name.partition("-")[0], []).extend([n] if n else [])
    for section, wanted in counts.items():
        said = [int(m[1]) for s, text in page.texts if s == section
                for m in [re.search(r"(\d+) of these intervals leave out", text)] if m]
        assert sorted(said) == sorted(wanted), f"{section}: captions say {said} of {wanted}"
    return sum(map(sum, counts.values()))


def check_page(twinlens, folders, studies, databases):
    with tempfile.NamedTemporaryFile(suffix=".html") as file:
        subprocess.run([twinlens, "report", *folders, "--out", file.name], check=True, capture_output=True)
        page = Page(open(file.name, encoding="utf-8").read())
    count, incomplete = 0, incomplete_of(page)
    told = []
    if len(studies) > 1:
        n, told = same_models(page, studies, folders)
        count += n
        for heading, table in overview_of(studies).items():
            count += same_table(page, ("all", heading), table)
    for i, (study, db, folder) in enumerate(zip(studies, databases, folders), 1):
        count += same_table(page, (f"s{i}", "Numbers"), numbers_of(study))
        tested = tested_of(study)
        if tested:
            count += same_table(page, (f"s{i}", "The smallest circuit, tested"), tested)
        count += same_places(page, f"s{i}", study, folder)
        for name, wanted in figures_of(study, db, folder).items():
            where = f"s{i}-{name}.csv"
            if not wanted and study["absent"]:
                continue
            count += same_figure(wanted, page.csv.pop(where), where)
        for m, part in study["modalities"].items():
            for k in ("heads", "neurons"):
                if part["leading"][k]:
                    count += same_leading(page, (f"s{i}", f"Leading {k}, {m}"), k, part["leading"][k])
        count += known([t for s, t in page.texts if s == f"s{i}"], study, f"the page, s{i}")
    assert not page.tables and not page.csv, f"not checked: {[*page.tables, *page.csv]}"
    count += known([t for s, t in page.texts if s == "all"],
                   [gap_of(studies, True), gap_of(studies, False), told], "the page, all")
    left_out = sum(bool(m[4]) for _, text in page.texts for m in INTERVAL.finditer(text))
    print(f"the page: {count} numbers, {incomplete} intervals in figures and {left_out} in words leave resamples out")


def gap_of(studies, elsewhere):
    """What back-patching closes, over the studies with a gap."""
    gains, gaps = [], []
    for s in studies:
        b = s["backpatch"]
        gains.append(b["chosen_elsewhere" if elsewhere else "chosen_here"]["gain"]["value"])
        gaps.append(b["text"]["value"] - b["image"]["value"])
    gains, gaps = np.array(gains), np.array(gaps)
    there = gaps > 0
    gained, gap = gains[there], gaps[there]
    shares = gained / gap
    return [mean(gains), mean(shares), bootstrap(lambda c: np.median(shares[c], -1), len(shares)),
            bootstrap(lambda c: gained[c].sum(-1) / gap[c].sum(-1), len(shares)),
            mean(shares[(shares > 0) & (shares <= 1)])]


def main():
    twinlens, folders = sys.argv[1], sys.argv[2:]
    studies, databases = [], []
    for folder in folders:
        db = sqlite3.connect(f"file:{folder}/study.db?mode=ro", uri=True)
        study = study_of(db, folder)

        def printed(*options):
            return subprocess.run([twinlens, "summary", *options, folder], check=True,
                                  capture_output=True, text=True).stdout
        n = same(study, json.loads(printed("--json")), "summary --json")
        study["folder"] = folder
        study["shapes"] = [next(([s["n_layers"] * s["n_pos"] * s[k] for k in ("n_heads", "d_mlp")] for s in
                                 rows(db, "select * from scores where modality = ?", m)), [0, 0]) for m in MODALITIES]
        text = known(printed().splitlines(), study, f"summary {folder}")
        print(f"{folder}: {n} numbers of summary --json, {text} of summary")
        studies.append(study)
        databases.append(db)
    check_page(twinlens, folders, studies, databases)


if __name__ == "__main__":
    main()
