#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""curves.py LOG.jsonl OUT.svg - the log of train.py as curves: accuracy on training prompts (lines) and held-out ones (dots)."""
import json
import sys

TASKS = ["counting", "arithmetic", "color_ordering", "factual_recall", "sentiment"]
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"]  # Okabe and Ito's
DASHES = ["", "6 2", "2 2", "8 2 2 2", "4 4"]
WIDTH, HEIGHT, LEFT, TOP, PANEL, GAP = 900, 300, 50, 30, 400, 40


def panel(x0, modality, train, held_out, last):
    """One modality: accuracy over minutes."""
    x = lambda seconds: x0 + PANEL * seconds / last
    y = lambda accuracy: TOP + (HEIGHT - 90) * (1 - accuracy)
    parts = [f'<text x="{x0}" y="{TOP - 10}" class="h">{modality} prompts</text>']
    for tick in range(0, 11, 2):
        parts.append(f'<line x1="{x0}" x2="{x0 + PANEL}" y1="{y(tick / 10):.1f}" y2="{y(tick / 10):.1f}" stroke="#ddd"/>'
                     f'<text x="{x0 - 6}" y="{y(tick / 10) + 4:.1f}" text-anchor="end">{tick / 10:g}</text>')
    for minutes in range(0, int(last / 60) + 1, 10):
        parts.append(f'<text x="{x(60 * minutes):.1f}" y="{y(0) + 16:.1f}" text-anchor="middle">{minutes}</text>')
    parts.append(f'<text x="{x0 + PANEL / 2}" y="{y(0) + 32:.1f}" text-anchor="middle">minutes</text>')
    for task, colour, dash in zip(TASKS, COLOURS, DASHES):
        points = " ".join(f"{x(t):.1f},{y(a):.1f}" for t, a in train.get(f"{task}/{modality}", []))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"/>')
        parts += [f'<circle cx="{x(t):.1f}" cy="{y(a):.1f}" r="3" fill="{colour}"/>' for t, a in held_out.get(f"{task}/{modality}", [])]
    return parts


def main():
    log, out = sys.argv[1:]
    train, held_out, last = {}, {}, 1
    with open(log, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            last = max(last, line["seconds"])
            for name, value in line.items():
                if "/" in name:
                    train.setdefault(name, []).append((line["seconds"], value))
            for name, value in line.get("held_out", {}).items():
                held_out.setdefault(name, []).append((line["seconds"], value))
    body = []
    for i, modality in enumerate(("text", "image")):
        body += panel(LEFT + i * (PANEL + GAP), modality, train, held_out, last)
    for i, (task, colour, dash) in enumerate(zip(TASKS, COLOURS, DASHES)):
        x = LEFT + 160 * i
        body.append(f'<line x1="{x}" x2="{x + 30}" y1="{HEIGHT - 8}" y2="{HEIGHT - 8}" stroke="{colour}" stroke-width="2" '
                    f'stroke-dasharray="{dash}"/><text x="{x + 36}" y="{HEIGHT - 4}">{task}</text>')
    with open(out, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">'
                   '<title>Accuracy during training</title><style>.h{font-size:14px;font-weight:bold}</style>'
                   '<rect width="100%" height="100%" fill="white"/>' + "".join(body) + "</svg>\n")


if __name__ == "__main__":
    main()
