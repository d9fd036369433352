# SPDX-License-Identifier: MIT
"""The vision tower of Gemma-3-12B's configuration beside PyTorch's, on one 896x896 image, in one run.

    python bench/beside_tower.py --bench BUILD/bench_tower [--bench OLD_BUILD/bench_tower ...] [--rounds 3] [--layers 27]

Weights are random, bf16 in the file; both sides compute in f32, PyTorch with scaled_dot_product_attention. All get the same
pixels, take turns, and the best of the rounds counts: seconds by the clock, and of all threads together, which other
loads disturb less. Features have to agree to 1e-3 of the largest.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import figures

SIDE, TOKENS, IMAGE_TOKEN = 896, 256, 767
VISION = dict(hidden_size=1152, intermediate_size=4304, num_attention_heads=16, image_size=SIDE, patch_size=14,
              num_channels=3, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, vision_use_head=False)
# Of the decoder only d_model matters here, which the features have.
TEXT = dict(hidden_size=3840, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
            intermediate_size=64, vocab_size=768, sliding_window=512)

MAKE = r"""
import json, sys, torch
from transformers import Gemma3Config, Gemma3ForConditionalGeneration
out, vision, text, tokens, image_token = sys.argv[1], *map(json.loads, sys.argv[2:6])
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=tokens, image_token_index=image_token)
model = Gemma3ForConditionalGeneration(config)
torch.nn.init.normal_(model.multi_modal_projector.mm_input_projection_weight, std=0.02)
model.save_pretrained(out)
"""

TORCH = r"""
import sys, time, numpy, torch
from transformers import Gemma3ForConditionalGeneration
torch.set_grad_enabled(False)
folder, pixels, out, threads = sys.argv[1:5]
torch.set_num_threads(int(threads))
model = Gemma3ForConditionalGeneration.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="sdpa").eval()
image = torch.from_numpy(numpy.fromfile(pixels, dtype=numpy.float32)).reshape(1, 3, %d, %d)
start, busy = time.perf_counter(), time.process_time()
features = model.get_image_features(image)
print(f"{time.perf_counter() - start:.3f}\t{time.process_time() - busy:.3f}")
features.numpy().tofile(out)
""" % (SIDE, SIDE)


def run(command, threads):
    return tuple(map(float, figures.call(command, threads)[0].splitlines()[-1].split("\t")))


def best(figures):
    return tuple(map(min, zip(*figures)))


def main():
    import numpy
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--bench", required=True, action="append")
    ap.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--layers", type=int, default=27)
    ap.add_argument("--keep", type=Path, help="a folder for the checkpoint, made if it is not there")
    a = ap.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, scratch = a.keep or Path(temporary) / "tower", Path(temporary)
        if not (folder / "config.json").exists():
            vision, text = json.dumps(VISION | {"num_hidden_layers": a.layers}), json.dumps(TEXT)
            subprocess.run([sys.executable, "-c", MAKE, folder, vision, text, str(TOKENS), str(IMAGE_TOKEN)], check=True)
        pixels = scratch / "pixels"
        numpy.random.default_rng(0).uniform(-1, 1, 3 * SIDE * SIDE).astype(numpy.float32).tofile(pixels)
        figures.head()
        for threads in a.threads:
            ours, theirs = {b: [] for b in a.bench}, []
            for _ in range(a.rounds):
                theirs.append(run([sys.executable, "-c", TORCH, folder, pixels, scratch / "theirs", str(threads)], threads))
                for b in a.bench:
                    ours[b].append(run([b, folder, pixels, str(SIDE), str(IMAGE_TOKEN), str(TOKENS), scratch / "ours",
                                        str(threads)], threads))
                    x, y = (numpy.fromfile(scratch / name, dtype=numpy.float32) for name in ("ours", "theirs"))
                    apart = abs(x - y).max() / abs(y).max()
                    if not apart < 1e-3:
                        sys.exit(f"{b}: features are {apart:.2g} of the largest apart")
            for b in a.bench:
                for x, y, unit in zip(best(ours[b]), best(theirs), ("s/image", "CPU s/image")):
                    case = f"{a.layers} layers, {threads} threads" + (f", {b}" if len(a.bench) > 1 else "")
                    figures.show("vision tower of Gemma-3-12B", case, x, unit, "measured", "PyTorch sdpa f32", y)


if __name__ == "__main__":
    main()
