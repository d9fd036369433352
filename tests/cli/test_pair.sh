#!/usr/bin/env bash
# test_pair.sh BIN - pairs without a study: `pair` writes those that a study draws, and the
# commands that take --seed draw the same in memory and come to the study's numbers.
set -u
bin=$(realpath "${1:?usage: test_pair.sh BIN}")
golden=$PWD/tests/data/qwen2vl-tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
python3 - "$bin" "$golden" << 'END'
import json, os, sqlite3, struct, subprocess, sys

bin, golden = sys.argv[1:]
checked = wrong = 0


def check(what, passed):
    global checked, wrong
    checked += 1
    if not passed:
        wrong += 1
        print("FAILED:", what)


def twinlens(*words):
    p = subprocess.run([bin, *map(str, words)], capture_output=True, text=True)
    return p.returncode, p.stdout, p.stderr


def done(*words):
    status, out, error = twinlens(*words)
    check(f"{words}: {error}", status == 0)
    return out


def refused(what, pattern, *words):
    status, _, error = twinlens(*words)
    check(f"{what}: {status} {error}", status in (1, 2) and error.count("\n") == 1 and pattern in error)


def rows(folder):
    return [json.loads(line) for line in open(f"{folder}/dataset.jsonl")]


def scores(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    return {k: data[slice(*header[k]["data_offsets"])] for k in ("heads", "neurons")}, header["__metadata__"]


def study_pairs(run):
    return {(part, row, cf) for part, row, cf in
            sqlite3.connect(f"{run}/study.db").execute("select part, row, counterfactual from pair")}


def dataset_pairs(folder):
    of = rows(folder)
    place = {row["id"]: i for i, row in enumerate(of)}
    return {(row["split"], i, place[row["cf"]]) for i, row in enumerate(of) if "split" in row}


quick = ["--bp-grid", "none", "--validate", 0, "--pictures", 0]

# ---- by the model's own answers: the bundled model ------------------------------------------
done("task", "color_ordering", "--style", "small", "--n", 40, "--seed", 5, "--out", "made")
table = done("pair", "--dataset", "made", "--out", "paired", "--json")
done("study", "--dataset", "made", "--method", "relp", "--fractions", "0.05", *quick, "--out", "made.run")
check("the study's pairs", study_pairs("made.run") == dataset_pairs("paired"))
made, paired = rows("made"), rows("paired")
check("rows and their order", [r["id"] for r in made] == [r["id"] for r in paired])
check("other keys stay", all({k: v for k, v in r.items() if k != "image"}.items() <= p.items() for r, p in zip(made, paired)))
left = [r for r in paired if "x_left_out" in r]
check("what is left out says why", left and all(r["x_left_out"] == "answered wrong" and "split" not in r for r in left))
counts = json.loads(table)
check("and is counted", sum(c["rows"] - c["discovery"] - c["evaluation"] for c in counts.values()) == len(left))
check("pictures are there", all(os.path.exists(f"paired/{r['image']}") for r in paired if "image" in r))
right = {r["id"] for r in map(json.loads, done("predict", "--dataset", "paired", "--json").splitlines()) if r["correct"]}
check("what is used is right", all(r["id"] in right for r in paired if "split" in r))
done("study", "--dataset", "paired", "--method", "relp", "--fractions", "0.05", *quick, "--out", "paired.run")
check("a study of them has these pairs", study_pairs("paired.run") == dataset_pairs("paired"))
refused("a folder with something in it", "not empty", "pair", "--dataset", "made", "--out", "paired")

# ---- the numbers of a study, on the tiny checkpoint -----------------------------------------
os.environ["TWINLENS_BACKEND"] = "ref"
os.mkdir("bare")
os.symlink(f"{golden}/goldens/images", "bare/images")
os.symlink(f"{golden}/goldens/task.json", "bare/task.json")
with open("bare/dataset.jsonl", "w") as out:
    for row in rows(f"{golden}/goldens"):
        del row["cf"]
        out.write(json.dumps(row) + "\n")
model, data = ["--model", f"{golden}/checkpoint"], ["--dataset", "bare"]
drawn = ["--seed", 7, "--keep", "all", "--prompts", 6]
done("study", *model, *data, *drawn, "--fractions", "0.1,0.5", *quick, "--out", "run")
done("pair", *model, *data, *drawn, "--out", "bare.paired")
check("of the tiny checkpoint too", study_pairs("run") == dataset_pairs("bare.paired"))
summary = json.loads(done("summary", "run", "--json"))
for m in ("text", "image"):
    done("attribute", *model, *data, *drawn, "--modality", m, "--out", f"{m}.scores")
    (own, says), (studied, studied_says) = scores(f"{m}.scores"), scores(f"run/scores.{m}.safetensors")
    check(f"{m}: the study's scores, to the bit", own == studied)
    check(f"{m}: made as they were: {says} {studied_says}", says == studied_says)
    done("attribute", *model, "--dataset", "bare.paired", "--modality", m, "--out", f"{m}.paired")
    check(f"{m}: of the discovery rows", scores(f"{m}.paired")[1]["split"] == "discovery")
    own = json.loads(done("evaluate", *model, *data, *drawn, "--modality", m, "--scores", f"run/scores.{m}.safetensors",
                          "--fractions", "0.1,0.5", "--json"))["fractions"]
    for one, point in zip(own, summary["modalities"][m]["curves"]["circuit"]):
        of = point["mean_of_ratios"]
        check(f"{m}: the study's faithfulness and interval: {one['faithfulness']} {of}",
              all(abs(a - b) < 1e-6 * (1 + abs(b)) for a, b in zip((one["faithfulness"], one["low"], one["high"]),
                                                                   (of["value"], *of["interval"]))))
refused("another seed", "run/scores.text.safetensors: scores with seed 7, wanted 8", "evaluate", *model, *data, "--seed", 8, "--keep",
        "all", "--prompts", 6, "--modality", "text", "--scores", "run/scores.text.safetensors", "--fractions", 0.1)
both = [w for m in ("text", "image") for w in (f"--{m}-scores", f"run/scores.{m}.safetensors", f"--{m}-fraction", 0.1)]
got = json.loads(done("interchange", *model, *data, *drawn, *both, "--rand-draws", 1, "--json"))
check("interchange on the evaluation rows", {len(r["ld"]) for r in got["runs"]} == {2})
# ---- the defaults of `validate` are a study's: prompts, components, seed, intervals ---------------
done("study", *model, "--dataset", "bare.paired", "--keep", "all", "--fractions", 0.5, "--bp-grid", "none", "--pictures", 0,
     "--circuit-tests", 0, "--out", "validated")
validation = {m: v["validation"] for m, v in json.loads(done("summary", "validated", "--json"))["modalities"].items()}
for m, of in validation.items():
    own = json.loads(done("validate", *model, "--dataset", "bare.paired", "--modality", m, "--method", "ig", "--ig-rule", "right", "--json"))
    wanted = {(c["ig_steps"], c["kind"], c["layer"]): c for c in of["correlations"]}
    check(f"{m}: as many correlations", len(own["correlations"]) == len(wanted) > 0)
    for c in own["correlations"]:
        there = wanted[c["ig_steps"], c["kind"], c["layer"]]
        check(f"{m}: as many components and prompts", (c["n"], c["prompts"]) == (there["n"], there["prompts"]))
        for name in ("pearson", "spearman"):
            a, b = c[name], there[name]
            ends = [None, None] if c["layer"] is not None else b["interval"]
            check(f"{m}: the study's {name}: {a} {b}",
                  all(x == y or x is not None and y is not None and abs(x - y) < 1e-6
                      for x, y in zip((a["value"], *a["interval"]), (b["value"], *ends))))
    for gap, there in zip(own["completeness"], of["completeness"], strict=True):
        check(f"{m}: the study's gap of completeness: {gap} {there}",
              all(abs(x - y) < 1e-6 for x, y in zip((gap["gap"]["value"], *gap["gap"]["interval"]),
                                                   (there["gap"]["value"], *there["gap"]["interval"]))))
for command in (["attribute", "--out", "x"], ["evaluate", "--scores", "text.scores"], ["validate"]):
    refused("pairs are not drawn unasked", "has no 'cf'; --seed draws counterfactuals, `twinlens pair` writes them", command[0], *model,
            *data, "--modality", "text", *command[1:])
done("validate", "--dataset", "made", "--seed", 7, "--modality", "text", "--prompts", 2, "--sample", 4, "--ig-steps", 1)
refused("nothing to draw", "--seed draws counterfactuals, and all text rows", "attribute", *model, "--dataset", f"{golden}/goldens",
        "--seed", 7, "--modality", "text", "--out", "x")
refused("rules without a drawing", "--keep changes nothing without --seed", "attribute", *model, *data, "--keep", "all", "--modality",
        "text", "--out", "x")
print(f"{checked} checks, {wrong} wrong")
sys.exit(wrong > 0)
END
