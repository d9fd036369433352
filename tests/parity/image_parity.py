"""Images as test_image reads them against Pillow, file by file.

    python image_parity.py PATH/TO/test_image FILE_OR_FOLDER...

Prints the files that differ and a summary. Fails if PNG pixels are not equal, others
are more than one level apart, or only one of the two refuses a file.
"""
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# Progressive files that lack scans: libjpeg-turbo 3 smooths the missing detail
# differently from 2.1.
KNOWN = {f"peacock.progressive.scan00{i}.jpeg" for i in range(9)}


def ours(program, path):
    run = subprocess.run([program, "--ppm", str(path)], capture_output=True)
    if run.returncode != 0:
        text = run.stderr.decode(errors="replace")
        if run.returncode != 1 or text.count("\n") != 1 or not text.startswith(f"{path}: "):
            sys.exit(f"{path}: exit code {run.returncode}, stderr {text!r}")
        return text.strip()
    magic, size, depth, pixels = run.stdout.split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def theirs(path):
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:
        return repr(error)


def main():
    program, *roots = sys.argv[1:]
    warnings.simplefilter("ignore")
    files = [f for r in map(Path, roots) for f in (sorted(r.rglob("*")) if r.is_dir() else [r]) if f.is_file()]
    summary, failed = Counter(), 0
    for path in files:
        a, b = ours(program, path), theirs(path)
        if isinstance(a, str) and isinstance(b, str):
            summary["refused by both"] += 1
        elif isinstance(a, str) or isinstance(b, str) or a.shape != b.shape:
            print(f"{path}\tours: {a if isinstance(a, str) else a.shape}\tPillow: {b if isinstance(b, str) else b.shape}")
            summary["different"] += 1
            failed += 1
        else:
            worst = int(np.abs(a.astype(int) - b).max())
            summary[f"{path.suffix}, at most {worst} apart"] += 1
            if worst > 0:
                print(f"{path}\tat most {worst} apart, {(a != b).mean():.2%} of the values")
            failed += path.name not in KNOWN and worst > (0 if path.suffix == ".png" else 1)
    for what, count in sorted(summary.items()):
        print(f"{count}\t{what}")
    sys.exit(1 if failed else 0)


main()
