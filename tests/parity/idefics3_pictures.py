#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""idefics3_pictures.py - what transformers' image processors of Idefics3 and SmolVLM make of patterns, for test_image_idefics3.c.

Writes tests/data/images/idefics3.tsv, or says where a version's processors make something else of what is in it. Levels are neither
rescaled nor normalised, so that they are whole numbers. Written by transformers 5.24 and Pillow 13.
"""
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import transformers
from PIL import Image

FILE = Path(__file__).resolve().parent.parent / "data" / "images" / "idefics3.tsv"
ENDING = "Pil" if transformers.__version__ >= "5" else ""
LONG, NO_SPLIT, AS_IS = dict(size=dict(longest_edge=96)), dict(do_image_splitting=False), dict(do_resize=False)
CASES = [  # width, height, what is not as it is by default; tiles of 32
    (150, 260, LONG), (420, 84, LONG), (57, 211, LONG), (211, 57, LONG), (96, 96, LONG), (1, 90, LONG), (90, 1, LONG), (33, 32, LONG),
    (61, 47, dict(size=dict(longest_edge=97))), (47, 61, dict(size=dict(longest_edge=97))), (50, 50, dict(size=dict(longest_edge=97))),
    (40, 30, dict(size=dict(longest_edge=32))), (40, 30, dict(size=dict(longest_edge=20))), (30, 40, dict(size=dict(height=70, width=33))),
    (100, 63, AS_IS), (32, 32, AS_IS), (20, 31, AS_IS), (33, 1, AS_IS), (64, 65, AS_IS), (150, 260, LONG | NO_SPLIT),
    (20, 31, AS_IS | NO_SPLIT), (100, 63, LONG | dict(resample=3)), (100, 63, LONG | dict(resample=2)),
    (7, 4, dict(size=dict(longest_edge=5000), **NO_SPLIT)), (4, 7, dict(size=dict(longest_edge=5000), **NO_SPLIT)),
]


def pattern(seed, width, height):
    """The pattern of test_resize.c."""
    values, state = np.zeros(width * height * 3, dtype=np.uint8), seed
    for i in range(len(values)):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = state >> 24
    return Image.frombytes("RGB", (width, height), values.tobytes())


def row(name, width, height, options):
    processor = getattr(transformers, f"{name}ImageProcessor{ENDING}")(
        max_image_size=dict(longest_edge=32), do_rescale=False, do_normalize=False, **options)
    made = processor.preprocess(pattern(width, width, height), return_tensors="np", return_row_col_info=True)
    (pixels,), mask = made["pixel_values"], made["pixel_attention_mask"]
    assert mask.all() and np.array_equal(pixels, pixels.astype(np.uint8))
    digest = hashlib.sha256(pixels.astype(np.uint8).tobytes()).hexdigest()
    return f"{width}\t{height}\t{made['rows'][0][0]}\t{made['cols'][0][0]}\t{digest}\t{json.dumps(options)}"


if __name__ == "__main__":
    rows = [[row(name, *case) for case in CASES] for name in ("Idefics3", "SmolVLM")]
    assert rows[0] == rows[1]
    text = "\n".join(["width\theight\trows\tcolumns\tsha256 of the levels\tpreprocessor_config.json", *rows[0]]) + "\n"
    if transformers.__version__ >= "5.24":
        FILE.write_text(text)
    for here, there in zip(text.splitlines(), FILE.read_text().splitlines()):
        if here != there:
            print(f"{transformers.__version__}: {here}\nrecorded: {there}")
