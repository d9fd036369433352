# SPDX-License-Identifier: MIT
"""What `predict` has in memory at most, beside what `inspect` says it will have.

    python bench/memory.py --twinlens BUILD/twinlens --model DIR --dataset DIR

The first prompt of each modality, alone in a pass. Prints one line for each: modality, tokens, planned MiB, most resident
MiB (of the kernel's count for the process), ratio of the two.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
from pathlib import Path


def image_size(path):
    """Width and height of a PNG file."""
    return struct.unpack(">II", Path(path).read_bytes()[16:24])


def run(arguments):
    """Standard output, and the most memory that was resident, in MiB."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(arguments)} failed")
    return out, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twinlens", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", required=True, type=Path)
    a = parser.parse_args()
    rows = [json.loads(line) for line in (a.dataset / "dataset.jsonl").read_text().splitlines() if line.strip()]
    print("modality\ttokens\tplanned MiB\tresident MiB\tratio")
    for modality in "text", "image":
        row = next((r for r in rows if r["modality"] == modality), None)
        if row is None:
            continue
        out, used = run([a.twinlens, "predict", "--model", a.model, "--dataset", str(a.dataset), "--ids", row["id"], "--json"])
        tokens = json.loads(out.splitlines()[0])["n_tokens"]
        plan = [a.twinlens, "inspect", "--model", a.model, "--json", "--prompt-tokens"]
        if modality == "image":
            size = "%dx%d" % image_size(a.dataset / row["image"])
            inside = json.loads(run(plan + ["1", "--image-size", size])[0])["image_tokens"]
            plan += [str(tokens - inside), "--image-size", size]
        else:
            plan += [str(tokens)]
        planned = json.loads(run(plan)[0])["predict_peak_bytes"] / 2**20
        print(f"{modality}\t{tokens}\t{planned:.0f}\t{used:.0f}\t{planned / used:.3f}", flush=True)


if __name__ == "__main__":
    main()
