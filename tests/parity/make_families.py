#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_families.py OUT [NAME...] - tiny random checkpoints of model families, and what transformers says on them.

OUT/NAME gets a model folder, a dataset of text and image rows, and logits.safetensors: for every row `ids.ROW` and
`logits.ROW` [6, vocabulary] of the last six positions, computed in float64. tests/parity/test_families.c holds both backends to them.
OUT is tests/data/families. Needs torch, transformers 4.51, pillow, safetensors.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent.parent / "data"
TEXT = ["dog apple car apple", "red cube blue sphere green cylinder"]
SIZES = [(150, 260), (420, 84), (57, 211)]  # width, height


def qwen2_5_vl(out):
    """Two full layers of four, windows of 2 x 2 merged patches."""
    qwen = HERE / "qwen2vl-tiny" / "checkpoint"
    for name in "tokenizer.json", "preprocessor_config.json":
        shutil.copy(qwen / name, out)
    base = json.loads((qwen / "config.json").read_text())
    kept = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "vocab_size", "rms_norm_eps", "rope_theta", "rope_scaling", "image_token_id", "vision_start_token_id",
            "vision_end_token_id", "video_token_id"]
    config = transformers.Qwen2_5_VLConfig(
        **{k: base[k] for k in kept}, tie_word_embeddings=True,
        vision_config=dict(depth=4, hidden_size=32, intermediate_size=44, num_heads=2, patch_size=14,
                           out_hidden_size=base["hidden_size"], window_size=56, fullatt_block_indexes=[1, 3]))
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    images = transformers.Qwen2VLImageProcessor.from_pretrained(out)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    head = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    tail = "<|im_end|>\n<|im_start|>assistant\n"

    def encode(words, image):
        kwargs, placeholder = {}, ""
        if image is not None:
            kwargs = images(image, return_tensors="pt")
            _, h, w = kwargs["image_grid_thw"][0].tolist()
            placeholder = "<|vision_start|>" + "<|image_pad|>" * (h * w // 4) + "<|vision_end|>"
        return tokenizer.encode(head + placeholder + words + tail, add_special_tokens=False), kwargs

    return model, encode


FAMILIES = {"qwen2_5_vl": qwen2_5_vl}


def randomise(model, seed):
    """Weights that let every part of the model matter."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.copy_(torch.randn_like(p) * 1.2 / p[0].numel() ** 0.5)
            else:
                p.copy_(0.2 * torch.randn_like(p) + ("norm" in name or "ln_q" in name) * ("bias" not in name))


def make(name, out):
    """One family."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    model, encode = FAMILIES[name](out)
    randomise(model, 11)
    model.to(torch.bfloat16).save_pretrained(out)
    model = type(model).from_pretrained(out, torch_dtype=torch.float64, attn_implementation="eager").eval()
    rng = np.random.default_rng(5)
    query, rows, tensors = "How many apple are there in the image?", [], {}
    for i, data in enumerate(TEXT):
        rows.append((dict(id=f"text-{i}", modality="text", before="Sequence:", data=" " + data, query=". " + query,
                          answer="1"), "Sequence: " + data + ". " + query, None))
    for i, (width, height) in enumerate(SIZES):
        image = Image.fromarray(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8))
        image = image.resize((width, height), Image.NEAREST)
        image.save(out / "images" / f"{i}.png")
        rows.append((dict(id=f"image-{i}", modality="image", image=f"images/{i}.png", query=query, answer="1"), query, image))
    for row, words, image in rows:
        ids, kwargs = encode(words, image)
        kwargs = {k: v.double() if v.is_floating_point() else v for k, v in kwargs.items()}
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                           **kwargs).logits[0]
        tensors[f"ids.{row['id']}"] = torch.tensor(ids, dtype=torch.int64)
        tensors[f"logits.{row['id']}"] = logits[-6:].float().contiguous()
    save_file(tensors, out / "logits.safetensors")
    (out / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row, _, _ in rows))
    (out / "MADE_BY").write_text(f"tests/parity/make_families.py, torch {torch.__version__}, "
                                 f"transformers {transformers.__version__}\n")
    (out / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    for family in sys.argv[2:] or FAMILIES:
        make(family, Path(sys.argv[1]) / family)
