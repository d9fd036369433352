#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_circuit_tests.sh TWINLENS - what summary, its JSON, the report and the export say of the
# tests of a circuit is what the rows of study.db amount to, computed here once more. The
# bundled model's circuit is better than chance.
set -euo pipefail
twinlens=$(realpath "${1:?usage: test_circuit_tests.sh TWINLENS}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$twinlens" task counting --style small --content held-out --n 24 --seed 3 --out data > /dev/null
for faith in mean_ratio ratio_mean; do
    "$twinlens" study --dataset data --out $faith --fractions 0.02,0.1,0.3 --circuit-tests 20 --validate 0 --pictures 0 \
        --bp-grid none --faith $faith > /dev/null 2> err || { cat err; exit 1; }
    "$twinlens" summary $faith > $faith.txt
    "$twinlens" summary --json $faith > $faith.json
    "$twinlens" report $faith --out $faith.html > /dev/null 2>&1
    "$twinlens" export $faith --out $faith.csv > /dev/null 2>&1
done
python3 - << 'END'
import csv, json, math, sqlite3

def near(a, b):
    assert (a is None) == (b is None) and (a is None or abs(a - b) < 1e-9 * (1 + abs(b))), (a, b)

for faith in "mean_ratio", "ratio_mean":
    db = sqlite3.connect(faith + "/study.db")
    said = json.load(open(faith + ".json"))["modalities"]
    text, page = open(faith + ".txt").read(), open(faith + ".html").read()
    for modality in "text", "image":
        tests = db.execute("select test, circuit, kind, layer, pos, idx from circuit_test where modality = ? order by test",
                           [modality]).fetchall()
        ld = {(p, t): x for p, t, x in db.execute(
            "select pair, test, logit_diff from circuit_test_run where modality = ?", [modality])}
        base = {p: (c, n) for p, c, n in db.execute(
            "select pair, clean, none from baseline where modality = ?", [modality])}
        pairs = sorted({p for p, t in ld})
        assert len(ld) == len(pairs) * len(tests) and pairs == list(range(len(pairs)))

        def f(t):
            over = [ld[p, t] - base[p][1] for p in pairs]
            under = [base[p][0] - base[p][1] for p in pairs]
            if faith == "ratio_mean":
                return sum(over) / sum(under)
            return sum(a / b for a, b in zip(over, under)) / len(pairs)

        got = said[modality]["circuit_tests"]
        assert got["pairs"] == len(pairs) and tests[0][1] == "circuit" and tests[1][1] == "complement"
        near(got["faithfulness"]["value"], f(0))
        near(got["complement"]["value"], f(1))
        # The same pairs under the same circuit, as the stage before has it.
        point, = db.execute("select point from minimal where modality = ?", [modality]).fetchone()
        for p in pairs:
            x, = db.execute("select logit_diff from evaluation where modality = ? and kind = 'circuit' and pair = ? "
                            "and point = ?", [modality, p, point]).fetchone()
            assert abs(x - ld[p, 0]) < 1e-4, (x, ld[p, 0])
        random = [f(t[0]) for t in tests if t[1] == "random"]
        assert len(random) == 20
        mean = sum(random) / 20
        near(got["random"]["value"], mean)
        near(got["random"]["sd"], math.sqrt(sum((x - mean) ** 2 for x in random) / 19))
        near(got["most_faithful_random"], max(random))
        better = sum(x >= f(0) for x in random)
        near(got["p"], (1 + better) / 21)
        near(got["random_less_faithful"]["value"], 1 - better / 20)
        assert got["p"] < .05 and max(random) < .5 < f(0), "no better than chance"
        for kind in "heads", "neurons":
            def change(circuit):
                return [abs(sum(ld[p, t[0]] - ld[p, 0] for p in pairs)) / len(pairs)
                        for t in tests if t[1] == circuit and t[2] == kind]
            null, own = sorted(change("with")), change("without")
            assert len(own) == 10 and got[kind]["outside"] == len(null) and 5 <= len(null) <= 10  # where a segment has others
            threshold = null[math.ceil(.95 * len(null)) - 1]
            near(got[kind]["threshold"], threshold)
            near(got[kind]["needed"]["value"], sum(x > threshold for x in own) / 10)
            assert got[kind]["needed"]["n"] == 10
        shown = "%.3f (%.3f to %.3f)" % (got["faithfulness"]["value"], *got["faithfulness"]["interval"])
        assert shown in text and shown in page, shown
        assert "%.4f" % got["p"] in page and "%.4f" % got["p"] in text
        rows = list(csv.DictReader(open(faith + ".csv/circuit_test_run.csv", newline="")))
        assert {(int(r["pair"]), int(r["test"])): float(r["logit_diff"]) for r in rows if r["modality"] == modality} == ld
    n, = db.execute("select count(*) from circuit_test").fetchone()
    assert len(list(csv.reader(open(faith + ".csv/circuit_test.csv", newline="")))) == n + 1
print("two studies, two modalities each: as recomputed")
END
