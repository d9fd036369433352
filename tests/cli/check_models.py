#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_models.py FOLDER JSON - what `export` of several studies wrote, beside `summary --json` of them:
the same JSON; for each figure and table a CSV file with its numbers; for each drawing XML as on a page."""
import csv
import json
import pathlib
import sys

from check_page import check_drawing

FIGURES = {"figure-4", "figure-5", "figure-6", "figure-7", "figure-8", "figure-9"}
TABLES = {"table-1", "table-4", "table-5", "table-6", "table-7"}


def same(text, number):
    return text == "" if number is None else abs(float(text) - number) <= 1e-8 * max(1, abs(number))


def main():
    folder, printed = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2], encoding="utf-8"))
    models = json.load(open(folder / "models.json", encoding="utf-8"))
    assert models == printed
    studies = models["studies"]
    assert len({(s["model"], s["task"]) for s in studies}) == len(studies), "two studies have one name"
    assert {key for key in models if key[:6] in ("figure", "table-")} == FIGURES | TABLES
    for name in FIGURES | TABLES:
        numbers = models[name]["numbers"]
        rows = list(csv.DictReader(open(folder / (name + ".csv"), encoding="utf-8", newline="")))
        assert len(rows) == len(numbers) > 0, name
        assert {n["study"] for n in numbers} == set(range(len(studies))), (name, "a study is not spoken of")
        for row, number in zip(rows, numbers):
            value = number["value"]
            assert (row["model"], row["task"]) == (number["model"], number["task"])
            assert row["folder"] == studies[number["study"]]["folder"]
            assert same(row[models[name]["value"]], value and value["value"]), (row, number)
            assert same(row["published"], number["published"])
            assert row["missing"] == (number["missing"] or "")
            assert value is not None or number["missing"] or number["published"] is not None, number
    drawings = sorted(folder.glob("*.svg"))
    for drawing in drawings:
        check_drawing(drawing.read_text(encoding="utf-8"))
    drawn = {drawing.name.split(".")[0] for drawing in drawings}
    for name in FIGURES:
        assert (name in drawn) == any(n["value"] for n in models[name]["numbers"]), name
    rows = list(csv.DictReader(open(folder / "studies.csv", encoding="utf-8", newline="")))
    assert [row["folder"] for row in rows] == [s["folder"] for s in studies]
    rows = list(csv.DictReader(open(folder / "settings.csv", encoding="utf-8", newline="")))
    assert len(rows) == sum(len(s["studies"]) for s in models["settings_that_differ"])


main()
