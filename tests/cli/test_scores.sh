#!/usr/bin/env bash
# test_scores.sh BIN - score files say how they were made, and what reads them refuses
# scores that were made in another way than it runs, naming setting and both values.
set -u
bin=$(realpath "${1:?usage: test_scores.sh BIN}")
golden=$PWD/tests/data/qwen2vl-tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export TWINLENS_BACKEND=ref
python3 - "$bin" "$golden" << 'END'
import json, struct, subprocess, sys

bin, golden = sys.argv[1:]
model, data = ["--model", f"{golden}/checkpoint"], ["--dataset", f"{golden}/goldens"]
checked = wrong = 0


def twinlens(command, *words, model=model, data=data):
    p = subprocess.run([bin, command, *model, *data, *map(str, words)], capture_output=True, text=True)
    return p.returncode, p.stderr


def check(what, passed):
    global checked, wrong
    checked += 1
    if not passed:
        wrong += 1
        print("FAILED:", what)


def attribute(name, modality, *words, **more):
    status, error = twinlens("attribute", "--modality", modality, "--out", name, *words, **more)
    check(f"attribute {words}: {error}", status == 0)
    return name


def metadata(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]


def refused(result, *patterns):
    return result[0] == 1 and result[1].count("\n") == 1 and all(p in result[1] for p in patterns)


# Another value than the default of every setting that a score file names.
other = {"precision": "bf16-emulated", "rope": "sequential", "chat": "raw", "method": "relp", "ig_steps": "3", "ig_rule": "midpoint",
         "ig_path": "textonly", "head_reduce": "dot", "prompt_reduce": "signed", "metric": "prob"}
source = {"twinlens", "model_fingerprint", "dataset_fingerprint", "modality", "split", "pairs", "signed"}
first = {m: attribute(f"{m}.scores", m) for m in ("text", "image")}
found = metadata(first["image"])
check(f"a file says where it is from, and every setting: {found}", set(found) == source | set(other))
both = lambda text, image: ["--text-scores", text, "--image-scores", image, "--text-fraction", "0.1", "--image-fraction", "0.1"]
small = {"evaluate": ["--modality", "image", "--fractions", "0.1"], "overlap": ["--rand-draws", "1"],
         "interchange": ["--rand-draws", "1"]}
scores = {"evaluate": lambda image: ["--scores", image], "overlap": lambda image: both(first["text"], image),
          "interchange": lambda image: both(first["text"], image)}
for command in scores:
    status, error = twinlens(command, *small[command], *scores[command](first["image"]))
    check(f"{command} takes scores that were made as it runs: {error}", status == 0)

# What a command computes with itself, it compares with the scores; two files are compared
# with each other.
uses = {"evaluate": {"rope", "chat", "precision", "metric"}, "overlap": set(other), "interchange": set(other)}
for key, value in other.items():
    name = key.replace("_", "-")
    made = attribute(f"{key}.scores", "image", f"--{name}", value)
    says = metadata(made)
    check(f"{key} is {says[key]}", says[key] == value and all(says[k] == found[k] for k in says if k != key))
    for command in scores:
        result = twinlens(command, *small[command], *scores[command](made))
        if key in uses[command]:
            check(f"{command} refuses {key}: {result}",
                  refused(result, f"{key}.scores: ", f" {name} {value}, wanted {found[key]}", "--any-scores"))
            if key == "chat":  # other positions: nothing takes them
                continue
            result = twinlens(command, *small[command], *scores[command](made), "--any-scores")
        check(f"{command} takes {key}: {result}", result[0] == 0)
status, error = twinlens("evaluate", *small["evaluate"], "--scores", "rope.scores", "--rope", "sequential")
check(f"evaluate runs as the scores were made: {error}", status == 0)

signed = attribute("signed.scores", "image", "--signed")
for command in scores:
    result = twinlens(command, *small[command], *scores[command](signed))
    check(f"{command} refuses signs: {result}", refused(result, "signed.scores: scores with signed true, wanted false"))

# Prompts that a circuit was found on do not judge it.
import os
os.mkdir("split")
os.symlink(f"{golden}/goldens/images", "split/images")
os.symlink(f"{golden}/goldens/task.json", "split/task.json")
with open(f"{golden}/goldens/dataset.jsonl") as rows, open("split/dataset.jsonl", "w") as out:
    for i, line in enumerate(rows):
        row = json.loads(line)
        out.write(json.dumps({**row, "split": "discovery" if i // 2 % 2 == 0 else "evaluation"}) + "\n")
split = ["--dataset", "split"]
judge = ["--modality", "image", "--fractions", "0.1", "--split", "evaluation"]
for part, allowed in (("discovery", True), ("evaluation", False), ("all", False)):
    made = {m: attribute(f"{part}.{m}", m, "--split", part, data=split) for m in ("text", "image")}
    result = twinlens("evaluate", *judge, "--scores", made["image"], data=split)
    patterns = (f"{part}.image: scores with split {part}, wanted discovery",)
    check(f"evaluate --split evaluation on {part}: {result}", result[0] == 0 if allowed else refused(result, *patterns))
    result = twinlens("interchange", "--rand-draws", 1, "--split", "evaluation", *both(*made.values()), data=split)
    check(f"interchange on {part}: {result}", result[0] == 0 if allowed else refused(result, "wanted discovery"))
result = twinlens("overlap", *both("discovery.text", "all.image"), data=split)
check(f"two splits: {result}", refused(result, "all.image: scores with split all, wanted discovery as in discovery.text"))

# A study's files.
status, error = twinlens("study", "--keep", "all", "--prompts", 6, "--fractions", "0.1", "--bp-grid", "none", "--validate", 0,
                         "--pictures", 0, "--rope", "sequential", "--method", "relp", "--seed", 7, "--out", "run")
check(f"a study: {error}", status == 0)
says = metadata("run/scores.image.safetensors")
wanted = {**found, "rope": "sequential", "method": "relp", "split": "discovery", "pairs": "4", "seed": "7", "keep": "all",
          "acc": "limited", "prompts": "6"}
check(f"a study's scores say the same: {says}", says == wanted)
result = twinlens("evaluate", *small["evaluate"], "--scores", "run/scores.image.safetensors")
check(f"and are refused as others are: {result}", refused(result, "rope sequential, wanted mrope"))
# Each metric finds its own circuits, judged by itself; everything is faithful to all of it.
for metric in ("logit", "prob", "ce"):
    made = attribute(f"{metric}.metric", "text", "--metric", metric)
    p = subprocess.run([bin, "evaluate", *model, *data, "--modality", "text", "--scores", made, "--metric", metric, "--fractions",
                        "0,0.1,1", "--json"], capture_output=True, text=True)
    check(f"evaluate --metric {metric}: {p.stderr}", p.returncode == 0)
    got = [f["faithfulness"] for f in json.loads(p.stdout)["fractions"]]
    check(f"{metric}: 0 and 1 at the ends: {got}", got[0] == 0 and got[2] == 1 and got[1] not in (0, 1))
    values = [v for f in json.loads(p.stdout)["fractions"] for one in f["ld"] for v in one]
    check(f"{metric}: {values}", metric == "logit" or all(0 < v < 1 if metric == "prob" else v < 0 for v in values))
check("relevance of a probability", twinlens("attribute", "--modality", "text", "--method", "relp", "--metric", "prob", "--out", "x")[0] == 2)
print(f"{checked} checks, {wrong} wrong")
sys.exit(wrong > 0)
END
