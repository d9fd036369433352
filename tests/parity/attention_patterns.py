#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""attention_patterns.py - attention's patterns as transformers gives them, for tests/cli/test_pattern.sh.

    PYTHON attention_patterns.py TWINLENS     writes tests/data/patterns/FAMILY.safetensors

What goes into a model is what `twinlens trace` has of its prompts; the model runs in float64 with eager attention and
`output_attentions`. Kept is, of the prompts text-0 and image-0, [H, T, T] of the first and the last layer.
Needs torch, transformers 4.51, safetensors.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

DATA = Path(__file__).resolve().parent.parent / "data"
FAMILIES = {  # model, dataset, class
    "qwen2_vl": ("qwen2vl-tiny/checkpoint", "qwen2vl-tiny/goldens", "Qwen2VLForConditionalGeneration"),
    "gemma3": ("families/gemma3", "families/gemma3", "Gemma3ForConditionalGeneration"),
    "paligemma2": ("families/paligemma2", "families/paligemma2", "PaliGemmaForConditionalGeneration"),
}


def run(family, twinlens):
    folder, dataset, name = FAMILIES[family]
    model = getattr(transformers, name).from_pretrained(DATA / folder, torch_dtype=torch.float64, attn_implementation="eager").eval()
    out = {}
    for row in ("text-0", "image-0"):
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run([twinlens, "trace", "--model", DATA / folder, "--dataset", DATA / dataset, "--id", row, "--sites", "embed",
                            "--out", file.name], check=True)
            given = load_file(file.name)
        ids = given["input_ids"][None]
        kwargs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "pixel_values" in given:
            kwargs["pixel_values"] = given["pixel_values"].double()
        if "image_grid_thw" in given:
            kwargs["image_grid_thw"] = given["image_grid_thw"]
        if family == "gemma3":
            kwargs["token_type_ids"] = (ids == model.config.image_token_index).long()
        if family == "paligemma2":
            kwargs |= {"token_type_ids": torch.zeros_like(ids), "use_cache": False}
        with torch.no_grad():
            patterns = model(**kwargs, output_attentions=True).attentions
        for layer in (0, len(patterns) - 1):
            out[f"{row}/pattern.{layer}"] = patterns[layer][0].float().contiguous()
    save_file(out, DATA / "patterns" / f"{family}.safetensors", {"made_by": f"attention_patterns.py, transformers {transformers.__version__}"})


for family in FAMILIES:
    run(family, sys.argv[1])
