# SPDX-License-Identifier: MIT
"""Draws docs/importance.svg: where the two circuits of a study lie, layer by position.

    python docs/make_picture.py STUDY MODEL DATASET TWINLENS OUT.svg

M[l, t] is the sum of the scores of all heads and neurons of layer l at position t, on a logarithmic grey scale over
three decades. Needs numpy, safetensors and tokenizers.
"""
import json
import subprocess
import sys
from html import escape
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

study, model, dataset, twinlens, out = sys.argv[1:]
tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
rows = [json.loads(x) for x in subprocess.run(
    [twinlens, "predict", "--model", model, "--dataset", dataset, "--ids", "text-0,image-0", "--json"],
    check=True, capture_output=True, text=True).stdout.splitlines()]

W, LEFT, TOP, CELL_H, GAP = 900, 70, 40, 22, 110
body, y = [], TOP
for row in rows:
    s = load_file(str(Path(study) / f"scores.{row['modality']}.safetensors"))
    m = s["heads"].sum(-1) + s["neurons"].sum(-1)
    begin, (d0, d1) = row["data"][0] - 1, row["data"]
    m = m[:, begin:]
    shade = np.clip(1 + np.log10(np.maximum(m / m.max(), 1e-9)) / 3, 0, 1)
    cell = (W - LEFT - 20) / m.shape[1]
    body.append(f'<text x="{LEFT}" y="{y - 8}" class="h">{row["modality"]} circuit</text>')
    for l in range(m.shape[0]):
        body.append(f'<text x="{LEFT - 8}" y="{y + l * CELL_H + 15}" text-anchor="end">layer {l}</text>')
        for t in range(m.shape[1]):
            g = int(255 - 235 * shade[l, t])
            body.append(f'<rect x="{LEFT + t * cell:.1f}" y="{y + l * CELL_H}" width="{cell + .2:.1f}" height="{CELL_H}" '
                        f'fill="rgb({g},{g},{g})"/>')
    bottom = y + m.shape[0] * CELL_H
    for t, i in enumerate(row["input_ids"][begin:]):
        token = "image" if d0 <= t + begin < d1 and row["modality"] == "image" else tokenizer.decode([i]).replace("\n", "⏎")
        x = LEFT + (t + .5) * cell
        body.append(f'<text x="{x:.1f}" y="{bottom + 10}" transform="rotate(50 {x:.1f} {bottom + 10})">{escape(token.strip() or token or "·")}</text>')
    for edge in (d0, d1, len(row["input_ids"]) - 1):
        x = LEFT + (edge - begin) * cell
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{bottom}" stroke="#c40" stroke-width="1.5"/>')
    y = bottom + GAP
Path(out).write_text(
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {y - 20}" font-family="sans-serif" font-size="11">'
    '<style>.h{font-size:14px;font-weight:bold}</style><rect width="100%" height="100%" fill="white"/>' + "".join(body) + "</svg>\n")
