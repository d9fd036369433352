#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fast_pixels.py PHOTOGRAPH DRAWING - how far the image processors on torchvision (`Fast`) are from those on Pillow.

Both see the two pictures and one of noise in sizes that are enlarged and reduced. Prints, for each family's processor with its defaults (LLaVA's is
CLIP's at 336 x 336, PaliGemma's SigLIP's at 224 x 224, bicubic), the largest and the mean difference of pixel values in levels of 255. Needs torch,
torchvision, transformers (4.51 or 5) and Pillow; says which versions it has.
"""
import sys

import numpy as np
import PIL
import torchvision
import transformers
from PIL import Image

SIZES = [(100, 75), (203, 331), (637, 481), (1999, 1333)]  # width, height
SQUARE_336 = dict(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
SQUARE_224 = dict(size={"height": 224, "width": 224}, resample=3, image_mean=[.5] * 3, image_std=[.5] * 3)
FAMILIES = {  # the processor, its options
    "Qwen2-VL": ("Qwen2VLImageProcessor", {}),
    "Gemma-3": ("Gemma3ImageProcessor", {}),
    "Pixtral": ("PixtralImageProcessor", dict(patch_size={"height": 16, "width": 16})),
    "LLaVA": ("CLIPImageProcessor", SQUARE_336),
    "PaliGemma": ("SiglipImageProcessor", SQUARE_224),
}


def processors(name, options):
    """On Pillow and on torchvision: version 5 gives the plain name to the latter."""
    both = (name, name + "Fast") if transformers.__version__.startswith("4.") else (name + "Pil", name)
    return [getattr(transformers, one)(**options) for one in both]


def difference(pillow, fast, image):
    """Of each value, in levels of 255."""
    made = [processor(image, return_tensors="pt")["pixel_values"] for processor in (pillow, fast)]
    a, b = (np.asarray(m if not isinstance(m, list) else m[0], np.float64) for m in made)
    if a.shape != b.shape:
        sys.exit(f"{type(fast).__name__}: {b.shape} values, Pillow's are {a.shape}")
    std = np.asarray(pillow.image_std)
    is_patches = a.ndim == 2  # Qwen's, each channel by channel
    return np.abs(a - b) * (np.repeat(std, a.shape[1] // 3) if is_patches else std[:, None, None]) * 255


def main():
    photograph, drawing = (Image.open(path).convert("RGB") for path in sys.argv[1:])
    noise = np.random.default_rng(7)
    print(f"transformers {transformers.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}; largest / mean")
    print("| processor | photograph | drawing | noise |\n|---|---|---|---|")
    for family, (name, options) in FAMILIES.items():
        pillow, fast = processors(name, options)
        cells = []
        for kind in photograph, drawing, None:
            largest, total, count = 0, 0, 0
            for size in SIZES:
                image = kind.resize(size) if kind else Image.fromarray(noise.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
                d = difference(pillow, fast, image)
                largest, total, count = max(largest, d.max()), total + d.sum(), count + d.size
            cells.append(f"{largest:.2f} / {total / count:.4f}")
        print(f"| {family} | " + " | ".join(cells) + " |", flush=True)


main()
