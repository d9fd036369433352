# SPDX-License-Identifier: MIT
"""What `predict` has in memory at most, beside what `inspect` says it will have.

    python bench/memory.py --twinlens BUILD/twinlens --model DIR --dataset DIR

The first prompt of each modality, alone in a pass: the most MiB that are resident (the kernel's count for the process) and
those that are planned.
"""
import argparse
import json
import struct
from pathlib import Path

import figures


def image_size(path):
    """Width and height of a PNG file."""
    return struct.unpack(">II", Path(path).read_bytes()[16:24])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twinlens", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", required=True, type=Path)
    a = parser.parse_args()
    rows = [json.loads(line) for line in (a.dataset / "dataset.jsonl").read_text().splitlines() if line.strip()]
    figures.head()
    for modality in "text", "image":
        row = next((r for r in rows if r["modality"] == modality), None)
        if row is None:
            continue
        out, used = figures.call([a.twinlens, "predict", "--model", a.model, "--dataset", str(a.dataset), "--ids", row["id"], "--json"])
        tokens = json.loads(out.splitlines()[0])["n_tokens"]
        plan = [a.twinlens, "inspect", "--model", a.model, "--json", "--prompt-tokens"]
        if modality == "image":
            size = "%dx%d" % image_size(a.dataset / row["image"])
            inside = json.loads(figures.call(plan + ["1", "--image-size", size])[0])["image_tokens"]
            plan += [str(tokens - inside), "--image-size", size]
        else:
            plan += [str(tokens)]
        planned = json.loads(figures.call(plan)[0])["predict_peak_bytes"] / 2**20
        figures.show("memory of predict", f"{modality}, {tokens} positions", used, "MiB", "measured", "planned by inspect", planned)


if __name__ == "__main__":
    main()
