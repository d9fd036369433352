#!/usr/bin/env bash
# test_option_effects.sh BIN - no option of any command is without effect: each, with every
# other value than its default, changes what is printed or written, or is refused. What
# options there are is read from `twinlens help --markdown`; one that this test has no value
# for is a failure.
set -u
bin=$(realpath "${1:?usage: test_option_effects.sh BIN}")
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export TWINLENS_BACKEND=ref
python3 - "$bin" "$root" << 'END'
import hashlib, json, os, re, shutil, subprocess, sys
from pathlib import Path

bin, root = sys.argv[1], Path(sys.argv[2])
golden, here = root / "tests/data/qwen2vl-tiny", Path.cwd()
checkpoint = golden / "checkpoint"

# These change no bit, or allow what is otherwise refused, or count where the model is asked
# which rows it gets right; other tests hold them to that.
exempt = {("pair", "model"), ("pair", "compat"), "threads", "memory", "cache", "backend", "any-scores", "force"}


# ---- what options there are ---------------------------------------------------------------

def words(cell):
    return cell.replace("\\|", "|").strip().strip("`").split(None, 1)


def values_of(argument, default):
    return [v for v in argument.split("|") if v != default] if "|" in argument else None


settings, commands, defaults, section = {}, {}, {}, None
for line in subprocess.run([bin, "help", "--markdown"], capture_output=True, text=True, check=True).stdout.splitlines():
    cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
    if line.startswith("### "):
        section = line[4:]
    elif line.startswith("    twinlens "):
        commands[section] = {}
    elif section in commands and line.startswith("| `--"):
        name, *argument = words(cells[0])
        default = re.search(r"\(([^()]*)\)$", cells[1])
        commands[section][name[2:]] = values_of(argument[0], default and default[1]) if argument else [None]
        defaults[section, name[2:]] = default and default[1]
    elif section in commands and line.startswith("Settings: "):
        for item in line[10:].rstrip(".").split(", "):
            name, setting, value = re.match(r"`--([a-z-]+)`(?: \(`([a-z-]+)`\))?(?: \(here (.*)\))?$", item).groups()
            argument, default = settings[setting or name]
            commands[section][name] = values_of(argument, value or default)
            defaults[section, name] = value or default
    elif line.startswith("| `--") and not section.startswith("What the published"):
        settings[words(cells[0])[0][2:]] = (cells[1].replace("\\|", "|"), cells[3])

# ---- inputs --------------------------------------------------------------------------------

rows = [json.loads(line) for line in (golden / "goldens/dataset.jsonl").read_text().splitlines()]


def dataset(name, change):
    (here / name).mkdir()
    for part in ("images", "task.json"):
        (here / name / part).symlink_to(golden / "goldens" / part)
    (here / name / "dataset.jsonl").write_text("".join(json.dumps(change(i // 2, dict(row))) + "\n" for i, row in enumerate(rows)))
    return str(here / name)


def longer(i, row):
    if i in (1, 3) and row["modality"] == "text":
        row["data"] += " dog dog"
    return row


plain = dataset("plain", lambda i, row: {**row, "split": "discovery" if i in (0, 2) else "evaluation"})
mixed = dataset("mixed", longer)
bare = dataset("bare", lambda i, row: {k: v for k, v in row.items() if k != "cf"} | {"predicted": row["answer"] if i else "no"})
uneven = dataset("uneven", lambda i, row: {**row, "query": row["query"] + " dog" * (i in (0, 5) and row["modality"] == "text")})
free = dataset("free", lambda i, row: {k: v for k, v in longer(i, row).items() if k != "cf"})
two = dataset("two", lambda i, row: {**row, "labels": ["1", "3"] if row["answer"] in "13" else ["4", "2"]})
other = dataset("other", lambda i, row: {**row, "query": row["query"].replace("Answer", "Say")})
known_task = here / "counting"  # some of it the bundled model gets right
subprocess.run([bin, "task", "counting", "--style", "small", "--content", "held-out", "--n", "24", "--out", known_task], check=True, capture_output=True)
model = here / "other-model"
shutil.copytree(checkpoint, model)
with open(model / "model.safetensors", "r+b") as file:
    header = int.from_bytes(file.read(8), "little")
    at = json.loads(file.read(header))
    begin, end = next(v["data_offsets"] for k, v in at.items() if k.endswith("layers.3.mlp.down_proj.weight"))
    file.seek(8 + header + begin)
    file.write(bytes(end - begin))
table = root / "tests/data/published"
for m in ("text", "image"):
    subprocess.run([bin, "attribute", "--model", checkpoint, "--dataset", plain, "--modality", m, "--out", f"{m}.scores"], check=True)
    subprocess.run([bin, "attribute", "--model", checkpoint, "--dataset", plain, "--modality", m, "--ids", f"{m}-0", "--out", f"{m}.other"],
                   check=True)
vqa = here / "vqa"
vqa.mkdir()
for name, at in (("questions", 1), ("others", 2)):
    (vqa / f"{name}.json").write_text(json.dumps({"questions": [{"question_id": i, "image_id": i, "question": "How many?"[: 9 * at] * at}
                                                                for i in range(4)]}))
    (vqa / f"{name}.answers.json").write_text(json.dumps({"annotations": [
        {"question_id": i, "image_id": i, "multiple_choice_answer": str(at + i)} for i in range(4)]}))
for i in range(4):
    (vqa / f"COCO_val2014_{i:012d}.jpg").symlink_to(golden / f"goldens/images/{i}.png")
run = {"model": checkpoint, "dataset": plain, "out": here / "run", "keep": "all", "fractions": "0.1,0.5", "bp-grid": "none", "validate": 0,
       "pictures": 0}
subprocess.run([bin, "study"] + [str(w) for k, v in run.items() for w in (f"--{k}", v)], check=True, capture_output=True)
both = {f"{m}-{k}": v for m in ("text", "image") for k, v in (("scores", here / f"{m}.scores"), ("fraction", 0.35))}
inputs = {"model": checkpoint, "dataset": plain}

# What a command is run with, and operands; `study` goes on with a study that is finished,
# which refuses what would make another study of it.
base = {
    "study": run,
    "summary": {"": [here / "run"]}, "top": {"": [here / "run"]}, "export": {"": [here / "run"], "out": "tables"}, "report": {"": [here / "run"], "out": "page"},
    "inspect": {"model": checkpoint},
    "predict": inputs, "pair": {**inputs, "dataset": bare, "keep": "all", "out": "made"},
    "attribute": {**inputs, "modality": "image", "out": "scores"},
    "evaluate": {**inputs, "modality": "image", "scores": here / "image.scores", "fractions": "0.05,0.35"},
    "circuit": {"": [here / "run"], "modality": "image", "fraction": 0.35, "out": "cut.json"},
    "trace": {**inputs, "id": "image-0", "out": "trace", "sites": "z"},
    "task": {"": ["counting"], "n": 6, "style": "small", "out": "made"},
    "task import-published": {"csv-text": table / "textual.csv", "csv-image": table / "visual.csv", "model-family": "qwen2_vl",
                              "task": "arithmetic", "out": "made"},
    "task import-vqa": {"questions": vqa / "questions.json", "annotations": vqa / "questions.answers.json", "images": vqa,
                        "model": checkpoint, "out": "made"},
    "overlap": {**inputs, **both, "rand-draws": 3}, "interchange": {**inputs, **both, "rand-draws": 1},
    "align": {**inputs, "dataset": mixed},
    "backpatch": {**inputs, "dataset": mixed, "modality": "image", "dst": "0", "window": "1"},
    "validate": {**inputs, "modality": "image", "prompts": 1, "sample": 6, "ig-steps": "1,2"},
}

# Values of options that have no list of them; ("command", "option") goes first.
value = {
    "model": [model], "dataset": [other], "out": ["elsewhere"], "modality": ["text"], "ids": ["image-1"], "id": ["image-1"], "show": ["image-1"],
    "heads": [5], "neurons": [5], "and": ["L0H1"], "or": ["L0H1,L0H0,L1H0,L1H1,L2H0,L2H1,L3H0,L3H1"], "minus": ["L0H1,L0H0,L1H0,L1H1,L2H0,L2H1,L3H0,L3H1"],
    ("trace", "ids"): ["image-0,image-1"], ("circuit", "out"): ["other.json"], ("evaluate", "circuit"): ["L3H1,L3H2"], ("evaluate", "without"): ["L2H1,L2H0"], "scores": [here / "image.other"], "text-scores": [here / "text.other"], "image-scores": [here / "image.other"],
    "text-fraction": [0.2], "image-fraction": [0.2], "fractions": ["0.1"], "fraction": [0.2], "threshold": [0, 0.5], "circuit-tests": [3], "prompts": [2, 3],
    "seed": [0, 1, 42, 7], "ig-steps": [1, 3], "ig-rule": ["midpoint"], "method": ["ig", "relp"], "pictures": [1], "validate": [1],
    "rand-draws": [2], "inter-draws": [2], "random": [0, 1], "sites": ["resid_post", "z,mlp_post", "pattern"], "src": ["3"], "dst": ["1", "0,1"],
    "window": ["3"], "times": [2], "sample": [3], "n": [5], "size": ["120x120"], "style": ["published"], "content": ["train", "held-out"],
    "sheet": ["sheet.png"], "prompt-tokens": [100], "head-fraction": [0.2], "neuron-fraction": [0.2], "image-size": ["56x56"], "batch": [3], "csv-text": [table / "visual.csv"],
    "csv-image": [table / "textual.csv"], "images": [root / "tests/data/images"], "scenes": [table / "scenes.json"],
    "descriptions": [table / "scenes.json"], "entities": [table / "scenes.json"], "model-family": ["gemma3"], "task": ["counting"],
    ("attribute", "split"): ["evaluation", "all"], ("validate", "split"): ["evaluation", "all"],
    ("evaluate", "split"): ["discovery", "all"], ("interchange", "split"): ["discovery", "all"],
    "length": ["commonest"], "compat": ["published"], "questions": [vqa / "others.json"], "annotations": [vqa / "others.answers.json"],
    "table": [vqa / "questions.json"], ("task import-vqa", "model"): [here / "no-model"], ("task import-vqa", "n"): [2],
    ("study", "prompts"): [4], ("study", "seed"): [0, 1],
    ("task", "modality"): ["text", "image"], ("inspect", "prompts"): [300], ("overlap", "seed"): [1, 42],
}

drawing = {"dataset": bare, "keep": "all", "seed": 7}
# Options that are refused, or hidden, in the base are tried once more where they count.
again = [
    ("evaluate", "grid", {"fractions": None}), ("study", "grid", {"fractions": None}), ("study", "acc", {"keep": None}),
    ("backpatch", "seed", {"bp-search": "halving", "dst": None, "json": True}), ("backpatch", "iter-labels", {"dataset": two, "times": 3, "modality": "image"}),
    ("backpatch", "precision", {"json": True}), ("backpatch", "bp-repeat", {"json": True}), ("backpatch", "model", {"json": True}), ("backpatch", "dataset", {"json": True}),
    ("backpatch", "rope", {"json": True}), ("task import-vqa", "seed", {"sample": "random"}),
    ("validate", "split", {"prompts": 3}), ("pair", "chat", {"model": root / "models/organism", "dataset": known_task, "keep": None}),
    ("pair", "length", {"dataset": free}),
    *[(c, "length", {"dataset": uneven, "modality": "text"}) for c in ("attribute", "validate")],
    ("evaluate", "length", {"dataset": uneven, "modality": "text", "scores": here / "text.scores", "any-scores": True}),
    *[(c, "length", {"dataset": uneven, "any-scores": True}) for c in ("overlap", "interchange")],
    ("validate", "fraction", {"precision": "bf16", "precision-check": True, "ig-steps": None, "sample": None}),
    *[("evaluate", o, {"scores": None, "fractions": None, b: "L2H1"}) for o, b in (("circuit", "without"), ("without", "circuit"))],
    ("evaluate", "rope", {"any-scores": True}), ("evaluate", "precision", {"any-scores": True}),
    ("interchange", "rope", {"any-scores": True}), ("interchange", "precision", {"any-scores": True}),
    *[(c, o, drawing if c == "attribute" else {**drawing, "any-scores": True}) for c in ("attribute", "evaluate", "interchange")
      for o in ("seed", "keep", "prompts")],
    ("interchange", "split", {"any-scores": True}), ("evaluate", "split", {"any-scores": True}),
]

# ---- every option --------------------------------------------------------------------------

def outcome(command, options):
    """Status, what is printed, and every file that is written."""
    place = here / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    line = [bin, *command.split(), *map(str, options.get("", []))]
    for name, v in options.items():
        if name and v is not None:
            line += [f"--{name}"] if v is True else [f"--{name}={v}"]
    p = subprocess.run(line, cwd=place, capture_output=True, text=True)
    files = {str(f.relative_to(place)): hashlib.sha256(f.read_bytes()).hexdigest() for f in place.rglob("*") if f.is_file()}
    return p.returncode, p.stdout, p.stderr if command == "study" else "", tuple(sorted(files.items())), p.stderr


known, failures, n = {}, [], 0
for command, option, more in [(c, o, {}) for c in commands for o in commands[c]] + again:
    if option in exempt or (command, option) in exempt:
        continue
    if command not in base:
        failures.append(f"no base for the command '{command}': add one to this test")
        continue
    start = {**base[command], **more}
    tried = value.get((command, option)) or commands[command][option] or value.get(option)
    if tried is None:
        failures.append(f"no value for {command} --{option}: add one to this test")
        continue
    key = json.dumps(start, default=str)
    if key + command not in known:
        known[key + command] = outcome(command, start)
    before = known[key + command]
    if before[0] not in ((0, 1) if more else (0,)):
        failures.append(f"{command} {start}: {before[4]}")
    for v in tried:
        n += 1
        v = True if v is None else v
        if str(start.get(option, defaults[command, option])) == str(v):
            continue
        after = outcome(command, {**start, option: v})
        refused = after[0] == 2 and not more or after[0] in (1, 2) and before[0] == 0
        if refused and not after[4].strip():
            failures.append(f"{command} --{option} {v}: refused without a word")
        if not refused and after[:4] == before[:4] and (more or (command, option) not in {a[:2] for a in again}):
            failures.append(f"{command} --{option} {v} changes nothing ({more})")
        if more and after[0] == 2:
            failures.append(f"{command} --{option} {v} is refused where it counts: {after[4]}")
for failure in failures:
    print("FAILED:", failure)
print(f"{n} values of options, {len(failures)} wrong")
sys.exit(bool(failures) or n < 150)
END
