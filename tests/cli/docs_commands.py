#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs_commands.py TWINLENS - runs the blocks of README.md and docs/*.md, as they stand there.

A page's blocks are run in their order, in one shell and in a folder that is empty but for what the page says is there (PREPARED).
Three things differ from a reader's machine, and all three are here to be seen: every model folder is a link to the bundled model
(MODELS); the programs of STAND_INS are short scripts, of which that of `twinlens` bounds what would take long; and blocks that need
the network, a cluster or a source tree elsewhere are not run (NOT_RUN). A block of a kind that is not known is an error, so that
every new one is run or named. Blocks in Python are skipped, with a word, where the modules they import are missing;
$TWINLENS_PYTHON may name an interpreter that has them.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]

# Links to the bundled model.
MODELS = {"README.md": ["~/models/Qwen2-VL-2B-Instruct"], "docs/tasks.md": ["~/models/Qwen2-VL-2B-Instruct", "~/models/Qwen2-VL-7B-Instruct"],
          "docs/clusters.md": ["~/models/Qwen2-VL-7B-Instruct"], "docs/reproduce.md": ["MODEL", "paligemma2-3b"], "docs/testing.md": ["OUT"]}

# Options that `twinlens` gets unless they are given; of a number that is given, no more than this. The bundled model knows the
# tasks in their small style.
BOUNDS = {"task": {"--n": 24, "--style": "small", "--content": "held-out"},
          "study": {"--prompts": 12, "--fractions": "0.02,0.2", "--bp-grid": "paper", "--circuit-tests": 19, "--validate": 0, "--pictures": 1,
                    "--rand-draws": 1, "--inter-draws": 1},
          "pair": {"--prompts": 12}}

# page, what the first line of a block begins with, why it is not run
NOT_RUN = [("README.md", "pip install huggingface_hub", "network: the model is downloaded"),
           ("README.md", "find_package(twinlens", "tests/install/test_install.sh builds a program so"),
           ("docs/clusters.md", "#!/bin/bash", "cluster: a job for Slurm; its grammar is checked"),
           ("docs/reproduce.md", "examples/import_published.py", "network: the published tables; tests/cli/test_import_scripts.sh runs it on tables made there"),
           ("docs/reproduce.md", "examples/import_realworldqa.py", "network: RealWorldQA's parquet files; tests/cli/test_import_scripts.sh runs it on one made there"),
           ("docs/testing.md", "git apply bochs-amx.patch", "network: the source of Bochs, and a kernel"),
           ("docs/testing.md", "cd build/fuzz", "clang's libFuzzer, after `make fuzz`"),
           ("docs/testing.md", "python3 bench/performance.py", "PYTHON is one with PyTorch, [] what may be left out; it takes an hour")]
# Made by the program, and compared with what it makes: test_help.sh, bench/performance.py.
GENERATED = ["docs/options.md", "docs/performance.md"]
OUTPUT = ["Smallest faithful circuits"]  # what a command prints

COMMANDS = "twinlens make pip hf cmake cc export mpirun sqlite3 for ctest git cd python3 diff examples/".split()

STAND_INS = {
    "twinlens": """#!/usr/bin/env python3
import os, sys
bounds, words, real = {bounds!r}, sys.argv[1:], {twinlens!r}
bound = {{}} if words[:2] == ["task", "import-published"] or words[:2] == ["task", "import-vqa"] or "--help" in words else bounds.get(words[0] if words else "", {{}})
for option, value in bound.items():
    if option not in words:
        words += [option, str(value)]
    elif isinstance(value, int):
        at = words.index(option) + 1
        words[at] = str(min(int(words[at]), value))
os.execv(real, [real, *words])
""",
    # What it would do is asked; of an installation the last step is done, from the build that is tested.
    "make": """#!/bin/bash
set -e
recipe=$(command make --no-print-directory -C {root} -n "$@")
[ -n "$recipe" ]
case "$*" in install*) ;; *) exit ;; esac
last=$(tail -n 1 <<< "$recipe")
[ "${{last%% --prefix*}}" = "cmake --install build/release" ] || {{ echo "make install ends with '$last'"; exit 1; }}
cmake --install {build} --prefix "${{last##*--prefix }}" > install.log
""",
    # The tests are named, of the build that is tested, and there are some.
    "ctest": """#!/bin/bash
[ "$1 $2" = "--preset dev" ] && shift 2
command ctest --test-dir {build} -N "$@" | grep -q 'Test *#'
""",
}


def say(text):
    print(text, flush=True)


def blocks(page):
    """Line number and text of the blocks that are indented or fenced."""
    lines, found, i = (ROOT / page).read_text().split("\n"), [], 0
    while i < len(lines):
        if lines[i].startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            found.append((i + 2, "\n".join(lines[i + 1:end])))
            i = end + 1
        elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            end = i
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            found.append((i + 1, "\n".join(x[4:] for x in lines[i:end]).rstrip()))
            i = end
        else:
            i += 1
    return found


def kind(page, text):
    if text.startswith(tuple(OUTPUT)):
        return "output"
    if any(p == page and text.startswith(begin) for p, begin, _ in NOT_RUN):
        return "not run"
    if re.match(r"(import|from) ", text):
        return "python"
    if text.startswith("#include"):
        return "c"
    if text.startswith("{"):
        return "json"
    if page == "docs/math.md" and re.search(r"eq\. \d+", text):
        return "equation"
    if text.startswith(tuple(COMMANDS)):
        return "commands"
    return None


def documents(text):
    """The JSON values of a block, one after the other; "..." stands for more."""
    decoder, at, found = json.JSONDecoder(), 0, []
    text = re.sub(r",?\s*\.\.\.", "", text)
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def python_for(text):
    modules = set(re.findall(r"^(?:import|from) ([\w, ]+?)(?:\.\w+)?(?: import .*)?$", text, re.M))
    modules = {m.strip() for words in modules for m in words.split(",")}
    for python in (os.environ.get("TWINLENS_PYTHON"), sys.executable, "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", f"import {', '.join(sorted(modules))}"], capture_output=True).returncode == 0:
            return python, modules
    return None, modules


# ---- what pages say is there ------------------------------------------------------------

def published_tables(folder, pictures):
    """Tables of the published form: prompts of counting in words and with pictures, right in two of three."""
    import csv
    chat = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    folder.mkdir(parents=True)
    things = ["cat", "ball", "hat", "bag", "dog"]
    with open(folder / "qwen2-7b-vl-instruct_textual_data.csv", "w", newline="") as words, \
            open(folder / "qwen2-7b-vl-instruct_visual_data.csv", "w", newline="") as views:
        words, views = csv.writer(words), csv.writer(views)
        words.writerow(["prompt", "gt_answer", "pred_answer"])
        views.writerow(["relative_image_path", "prompt", "gt_answer", "pred_answer"])
        for i in range(40):
            one, other, n = things[i % 5], things[(i + 1 + i // 5 % 4) % 5], 1 + i * 7 % 6
            said = str(n if i % 3 else n % 6 + 1)
            row = [one] * n + [other] * (7 - n)
            row = row[i % 7:] + row[:i % 7]
            words.writerow([chat.format(f"Sequence: {' '.join(row)}. How many \"{one}\" are in the sequence? Answer in a single number. "), n, said])
            name = f"images/{n}_{one}_{7 - n}_{other}.png"
            views.writerow([name, chat.format(f"<|vision_start|><|image_pad|><|vision_end|>How many \"{one}\" are in the image? Answer in a single number. "), n, said])
            (folder / "images").mkdir(exist_ok=True)
            if not (folder / name).exists():
                shutil.copy(pictures[i % len(pictures)], folder / name)


def questions(folder, pictures):
    """VQAv2's two files and its folder."""
    asked, answered = [], []
    (folder / "val2014").mkdir()
    for i in range(24):
        shutil.copy(pictures[i % len(pictures)], folder / f"val2014/COCO_val2014_{i:012d}.jpg")
        asked.append({"image_id": i, "question": "How many dog are there?", "question_id": 7 * i})
        answered.append({"multiple_choice_answer": str(1 + i % 4), "image_id": i, "question_id": 7 * i})
    head = {"info": {}, "data_subtype": "val2014"}
    (folder / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(json.dumps(head | {"questions": asked}))
    (folder / "v2_mscoco_val2014_annotations.json").write_text(json.dumps(head | {"annotations": answered}))


def prepare(page, folder, readme, run):
    """What a page takes for granted: README's results, or files that are downloaded."""
    pictures = sorted((readme / "counting/images").glob("*.png")) if readme.exists() else []
    if page == "docs/clusters.md":
        os.symlink(readme / "counting", folder / "counting")
    if page == "docs/formats.md":
        os.symlink(readme / "counting", folder / "counting")
        (folder / "runs").mkdir()
        os.symlink(readme / "runs/counting", folder / "runs/counting")
        run("twinlens study --model ~/models/Qwen2-VL-2B-Instruct --dataset counting --out runs/again --threads 1")
        (folder / "mine.json").write_text('{"components": [{"layer": 3, "heads": [1, 5]}, {"layer": 5, "segment": "data", "neurons": "all"}]}')
        for name, fraction in (("A", 0.05), ("B", 0.1), ("C", 0.02)):
            run(f"twinlens circuit runs/counting --modality text --fraction {fraction} --out {name}.json > circuit.log")
    if page == "docs/tasks.md":
        published_tables(folder / "counting", pictures)
        questions(folder, pictures)
    if page == "docs/reproduce.md":
        published_tables(folder / "tables", pictures)
        questions(folder, pictures)
        (folder / "DATASETS").mkdir()
        run("twinlens task import-published --csv-text tables/*textual_data.csv --csv-image tables/*visual_data.csv --images tables "
            "--model-family qwen2_vl --task counting --out DATASETS/counting.qwen2_vl")
        (folder / "realworldqa").mkdir()
        rows = [{"file_name": f"{i}.png", "question": "How many dog are there?", "answer": str(1 + i % 4)} for i in range(16)]
        for i, row in enumerate(rows):
            shutil.copy(pictures[i % len(pictures)], folder / "realworldqa" / row["file_name"])
        (folder / "realworldqa/metadata.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


# ---- running ------------------------------------------------------------------------------

def script(page, failures, say=say):
    """The page's blocks as one script."""
    out = ["set -euo pipefail"]
    for line, text in blocks(page):
        what = kind(page, text)
        where = f"{page}:{line}"
        if what is None:
            failures.append(f"{where}: a block of no known kind: {text.splitlines()[0]}")
        elif what == "not run":
            say(f"{where}: not run: {next(why for p, begin, why in NOT_RUN if p == page and text.startswith(begin))}")
            if text.startswith("#!/bin/bash"):
                out.append(f"echo '## {where}'; bash -n << 'END_OF_BLOCK'\n{text}\nEND_OF_BLOCK")
        elif what == "json":
            try:
                rows = documents(text)
            except ValueError as e:
                failures.append(f"{where}: {e}")
                continue
            if page == "README.md" and all("answer" in r for r in rows):
                out.append(f"mkdir -p rows/images && cp {ROOT}/tests/data/qwen2vl-tiny/goldens/images/0.png rows/images/ && cat > rows/dataset.jsonl << 'END_OF_BLOCK'\n"
                           + "".join(json.dumps(r) + "\n" for r in rows) + f"END_OF_BLOCK\necho '## {where}'; twinlens predict --dataset rows")
        elif what == "python":
            python, modules = python_for(text)
            if python:
                out.append(f"echo '## {where}'; {python} << 'END_OF_BLOCK'\n{text}\nEND_OF_BLOCK")
            else:
                say(f"{where}: not run: Python here lacks one of {', '.join(sorted(modules))} (TWINLENS_PYTHON names another)")
        elif what == "c":
            out.append(f"cat > program.c << 'END_OF_BLOCK'\n{text}\nint main(void) {{ return tl_settings_find(\"model\") == NULL; }}\nEND_OF_BLOCK")
        elif what == "commands":
            out.append(f"echo '## {where}'\n{text}")
    return "\n".join(out) + "\n"


def run_page(page, work, twinlens, failures):
    text = script(page, failures)
    home, bin_, folder = work / "home", work / "bin", work / page.replace("/", "-")
    if "echo '## " not in text:
        return
    folder.mkdir()
    for model in MODELS.get(page, []):
        path = home / model[2:] if model.startswith("~/") else folder / model
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.symlink(ROOT / "models/organism", path)
    for name in ("examples", "bench"):
        os.symlink(ROOT / name, folder / name)
    environment = os.environ | {"HOME": str(home), "PATH": f"{bin_}:{os.environ['PATH']}", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                                "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}

    def run(commands):
        with open(folder / "log", "a") as log:
            done = subprocess.run(["bash", "-c", commands], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode != 0:
            lines = (folder / "log").read_text().splitlines()
            at = next((x[3:] for x in reversed(lines) if x.startswith("## ")), f"{page}, what it takes for granted")
            failures.append(f"{at}: exit status {done.returncode}\n    " + "\n    ".join(lines[-8:]))
        return done.returncode == 0

    prepare(page, folder, work / "README.md", run)
    if run(text):
        say(f"{page}: {text.count(chr(35) * 2 + ' ' + page)} blocks run")


def missing_programs(text):
    return [p for p in ("mpirun", "sqlite3", "pkg-config", "cmake") if re.search(rf"(^|[ (]){p} ", text, re.M) and shutil.which(p) is None]


def main():
    twinlens, failures = Path(sys.argv[1]).resolve(), []
    only = sys.argv[2:]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "bin").mkdir()
        for name, text in STAND_INS.items():
            path = work / "bin" / name
            path.write_text(text.format(bounds=BOUNDS, twinlens=str(twinlens), root=ROOT, build=twinlens.parent)
                            .replace("command make", shutil.which("make") or "make").replace("command ctest", shutil.which("ctest") or "ctest"))
            path.chmod(0o755)
        for page in PAGES:
            if page in GENERATED or (only and page not in only):
                continue
            missing = missing_programs(script(page, [], lambda text: None))
            if missing:
                say(f"{page}: not run: no {', '.join(missing)} here")
                continue
            run_page(page, work, twinlens, failures)
    for page, begin, _ in NOT_RUN:
        if not any(text.startswith(begin) for _, text in blocks(page)):
            failures.append(f"{page}: no block begins with '{begin}', which this test does not run")
    for failure in failures:
        say(f"FAILED: {failure}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
