# SPDX-License-Identifier: MIT
"""Writes a checkpoint with random weights in bf16, for speed and memory, not for meaning.

    python bench/checkpoint.py CONFIG OUT [--layers N]

CONFIG: `bench` (Qwen2-VL, 187 million parameters of the decoder, the size that figures are taken at), `bench-2.5` (Qwen2.5-VL of
that size), or a folder or file with a config.json of either family, such as bench/configs/qwen2-vl-2b. The tokenizer is the bundled
model's, and so are the numbers of its special tokens. Needs torch and transformers 4.x, whose names of tensors are those of the hub;
one tensor at a time is in memory.
"""
import argparse
import json
import math
import shutil
from pathlib import Path

BUNDLED = Path(__file__).resolve().parent.parent / "models" / "organism"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
             "merges.txt", "chat_template.json", "generation_config.json")
# The bench's decoder; of the towers only the width differs from the hub's, and the depth.
DECODER = dict(hidden_size=1024, num_hidden_layers=12, num_attention_heads=8, num_key_value_heads=1, intermediate_size=4096,
               vocab_size=1440, tie_word_embeddings=False, rms_norm_eps=1e-6, rope_theta=1e6, hidden_act="silu",
               max_position_embeddings=4096, use_sliding_window=False,
               rope_scaling={"type": "mrope", "mrope_section": [16, 24, 24]})
TOWER = {"qwen2_vl": dict(depth=4, embed_dim=256, num_heads=4, mlp_ratio=2, hidden_size=1024),
         "qwen2_5_vl": dict(depth=4, hidden_size=256, num_heads=4, intermediate_size=512, out_hidden_size=1024,
                            fullatt_block_indexes=[1, 3], window_size=112)}
PATCHES = dict(in_channels=3, in_chans=3, patch_size=14, spatial_patch_size=14, spatial_merge_size=2, temporal_patch_size=2)


def read_config(name, layers):
    bundled = json.loads((BUNDLED / "config.json").read_text())
    if name in ("bench", "bench-2.5"):
        family = "qwen2_vl" if name == "bench" else "qwen2_5_vl"
        config = DECODER | {"model_type": family, "vision_config": TOWER[family] | PATCHES}
    else:
        path = Path(name)
        config = json.loads((path / "config.json" if path.is_dir() else path).read_text())
    config |= {k: v for k, v in bundled.items() if k.endswith("token_id")} | {"torch_dtype": "bfloat16"}
    if layers:
        config["num_hidden_layers"] = layers
    return config


def draw(name, shape, torch, generator):
    """As wide a spread as keeps the stream's size: gains near 1, products of unit rows of about that size."""
    noise = torch.randn(shape, generator=generator, dtype=torch.float32)
    if len(shape) == 1:
        is_gain = name.endswith("weight")
        return (1.0 if is_gain else 0.0) + 0.1 * noise
    if "embed_tokens" in name or "lm_head" in name:
        return 0.5 * noise
    return noise / math.sqrt(math.prod(shape[1:]))


def write(config, out, shard_bytes=1 << 30):
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLForConditionalGeneration
    family = {"qwen2_vl": Qwen2VLForConditionalGeneration, "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration}[config["model_type"]]
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    with torch.device("meta"):
        model = family(AutoConfig.from_pretrained(out))
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    if config.get("tie_word_embeddings"):
        shapes.pop("lm_head.weight", None)
    shards, room = [[]], shard_bytes
    for name, shape in shapes.items():
        if 2 * math.prod(shape) > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room -= 2 * math.prod(shape)
    generator, index = torch.Generator().manual_seed(0), {}
    for i, names in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file({n: draw(n, shapes[n], torch, generator).to(torch.bfloat16) for n in names}, out / file, {"format": "pt"})
        index |= dict.fromkeys(names, file)
    total = 2 * sum(map(math.prod, shapes.values()))
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": index}))
    return total // 2


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("out", type=Path)
    ap.add_argument("--layers", type=int)
    a = ap.parse_args()
    config = read_config(a.config, a.layers)
    n = write(config, a.out)
    for name in TOKENIZER:
        shutil.copy(BUNDLED / name, a.out / name)
    pixels = json.loads((BUNDLED / "preprocessor_config.json").read_text())
    pixels |= {"min_pixels": 56 * 56, "max_pixels": 1 << 20}
    pixels["size"] = {"shortest_edge": pixels["min_pixels"], "longest_edge": pixels["max_pixels"]}
    (a.out / "preprocessor_config.json").write_text(json.dumps(pixels, indent=1) + "\n")
    print(f"{a.out}\t{n / 1e6:.0f} million parameters")


if __name__ == "__main__":
    main()
