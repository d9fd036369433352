#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All published prompts as datasets: 5 tasks, 3 models, and the table of what they hold.

    git clone https://github.com/technion-cs-nlp/vlm-circuits-analysis
    examples/import_published.py vlm-circuits-analysis/data --models MODELS --out DATASETS \\
        --scenes CLEVR_v1.0/scenes/CLEVR_val_scenes.json

MODELS holds the folders qwen2_vl, llava (Pixtral) and gemma3; of each only config.json,
preprocessor_config.json and tokenizer.json are read. The pictures lie in archives beside the
tables, which `git lfs pull` fetches and `tar -xzf images.tar.gz` unpacks; CLEVR_v1.0 goes
to color_ordering/CLEVR. Where there are none, --stand-in FILE.png is taken for every picture:
lengths and segments do not depend on what is in it. Descriptions of sentiment are read from
the script beside the tables that made the pictures of them.
"""
import argparse
import ast
import csv
import json
import os
import re
import subprocess
import sys

TASKS = ["counting", "arithmetic", "color_ordering", "factual_recall", "sentiment_analysis"]
MODELS = {"qwen2_vl": "qwen2-7b-vl-instruct", "llava": "pixtral-12b", "gemma3": "gemma-3-12b-it"}


def write_descriptions(script, path):
    """The lists `sad`, `happy` and `neutral` of the script, numbered as their pictures."""
    found = []
    for node in ast.walk(ast.parse(open(script, encoding="utf-8").read())):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.List):
            continue
        name = getattr(node.targets[0], "id", "")
        if name in ("sad", "happy", "neutral"):
            found += [{"image_path": f"{name}_{i}.jpeg", "text_data": text}
                      for i, text in enumerate(ast.literal_eval(node.value))]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file)


def link_pictures(table, folder, stand_in):
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = os.path.join(folder, row["relative_image_path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if not os.path.exists(path):
                os.symlink(os.path.abspath(stand_in), path)


def import_one(args, task, family, descriptions):
    base = os.path.join(args.tables, task, MODELS[family])
    short = "sentiment" if task == "sentiment_analysis" else task
    images = os.path.join(args.tables, task)
    if args.stand_in:
        images = os.path.join(args.out, "pictures", task)
        link_pictures(base + "_visual_data.csv", images, args.stand_in)
    command = [args.twinlens, "task", "import-published", "--csv-text", base + "_textual_data.csv",
               "--csv-image", base + "_visual_data.csv", "--images", images,
               "--model-family", family, "--task", short,
               "--model", os.path.join(args.models, family),
               "--out", os.path.join(args.out, f"{short}.{family}"), "--force"]
    if task == "color_ordering" and args.scenes:
        command += ["--scenes", args.scenes]
    if task == "sentiment_analysis" and os.path.exists(descriptions):
        command += ["--descriptions", descriptions]
    if task == "factual_recall" and args.entities:
        command += ["--entities", args.entities]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def print_rows(family, task, said):
    right = re.findall(r"(\d+) (?:text|image) prompts.*?(\d+) with the right prediction", said)
    pairs = re.search(r"(\d+) with a parallel", said)[1]
    lengths = {"text": [], "image": [], "parallel": []}
    for kind, n, tokens, begin, end in re.findall(
            r"^(text|image|parallel): (\d+) prompts of (\d+) tokens, data \[(\d+),(\d+)\)", said, re.M):
        lengths[kind].append(f"{n} of {tokens}, [{begin},{end})")
    for kind, (rows, n_right), n_pairs in zip(["text", "image"], right, ["", pairs]):
        parallel = "; ".join(lengths["parallel"][:3]) if kind == "image" else ""
        more = len(lengths["parallel"]) - 3
        if kind == "image" and more > 0:
            parallel += f"; {more} more"
        print(f"| {task} | {family} | {kind} | {rows} | {n_right} | {n_pairs} | "
              f"{'; '.join(lengths[kind])} | {parallel} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", help="the folder `data` of the published repository")
    parser.add_argument("--models", required=True, help="folders qwen2_vl, llava and gemma3")
    parser.add_argument("--out", required=True)
    parser.add_argument("--scenes", help="CLEVR_val_scenes.json")
    parser.add_argument("--entities", help="of factual recall, by question")
    parser.add_argument("--descriptions", help="sentiment_vl.json; else the script's lists")
    parser.add_argument("--stand-in", help="a picture to take for all")
    parser.add_argument("--twinlens", default="twinlens")
    parser.add_argument("--family", choices=MODELS, action="append")
    parser.add_argument("--task", choices=TASKS, action="append")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    descriptions = args.descriptions or os.path.join(args.out, "sentiment_vl.json")
    script = os.path.join(args.tables, "..", "data_generation", "generate_sentiment_analysis_images.py")
    if not args.descriptions and os.path.exists(script):
        write_descriptions(script, descriptions)
    print("| task | model | prompts | rows | right | pairs | length, data | of the parallel text |")
    print("|---|---|---|---|---|---|---|---|")
    for task in args.task or TASKS:
        for family in args.family or MODELS:
            print_rows(family, task, import_one(args, task, family, descriptions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
