#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""folder_matrix.py - the families' tiny checkpoints, saved again by several generations of transformers.

    PYTHON folder_matrix.py save OUT                          once for each version, with a python that has it
    python folder_matrix.py check TEST_FAMILIES OUT [README]  the table, and into README between its two marks
    python folder_matrix.py keep OUT/VERSION                  copies into tests/data/saved what test_families.c reads

`save` loads the folders of tests/data (models, tokenizers, image processors), saves each to OUT/VERSION/FAMILY as users
do, and loads that again for what the version says of the family's dataset: `ids.ROW`, `pixels.ROW` of the processor that
resizes with Pillow, in float64 `logits.ROW` of the last six positions and `gradient.ROW` (make_families.py). A family
that the version does not know is left out. `check` runs the program test_families on every folder.
Needs torch, transformers, pillow, safetensors.
"""
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data"
PROCESSORS = dict(qwen2_vl="Qwen2VLProcessor", qwen2_5_vl="Qwen2_5_VLProcessor", pixtral="PixtralProcessor",
                  gemma3="Gemma3Processor", llava="LlavaProcessor", paligemma="PaliGemmaProcessor",
                  paligemma2="PaliGemmaProcessor", qwen3_vl="Qwen3VLProcessor", mistral3="PixtralProcessor")
MODELS = dict(qwen2_vl="Qwen2VLForConditionalGeneration", qwen2_5_vl="Qwen2_5_VLForConditionalGeneration",
              gemma3="Gemma3ForConditionalGeneration", pixtral="LlavaForConditionalGeneration",
              llava="LlavaForConditionalGeneration", paligemma="PaliGemmaForConditionalGeneration",
              paligemma2="PaliGemmaForConditionalGeneration", qwen3_vl="Qwen3VLForConditionalGeneration",
              mistral3="Mistral3ForConditionalGeneration")
ROWS = {name: DATA / ("families/" + name if name != "qwen2_vl" else "qwen2vl-tiny/checkpoint") for name in PROCESSORS}
# What stands around the picture and the words of a prompt, as src/input/chat.c has it.
CHATS = dict(
    qwen=("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
    qwen3_vl=("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"), mistral3=("<s>[INST]", "[/INST]"),
    pixtral=("<s>[INST]", "[/INST]"), gemma3=("<bos><start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
    llava=("<s>USER: ", " ASSISTANT:"), paligemma=("<bos>", "\n"))


def kind_of(family):
    return "qwen" if family.startswith("qwen") else "paligemma" if family.startswith("paligemma") else family


def image_block(family, config, out):
    """What stands for a picture of which the processor has made `out`."""
    pixels = out["pixel_values"]
    if kind_of(family) == "qwen":
        _, h, w = (int(n) for n in out["image_grid_thw"][0])
        return "<|vision_start|>" + "<|image_pad|>" * (h * w // 4) + "<|vision_end|>"
    if family in ("pixtral", "mistral3"):
        side = config["vision_config"]["patch_size"] * config.get("spatial_merge_size", 1)
        height, width = pixels.shape[-2:]
        return "[IMG_BREAK]".join(["[IMG]" * (width // side)] * (height // side)) + "[IMG_END]"
    if family == "gemma3":
        return "\n\n<start_of_image>" + "<image_soft_token>" * config["mm_tokens_per_image"] + "<end_of_image>\n\n"
    side = config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
    return "<image>" * side ** 2 + ("\n" if family == "llava" else "")


def prompt(family, words, block):
    head, tail = CHATS.get(family) or CHATS[kind_of(family)]
    if family == "gemma3":
        words = words.strip()
    return block + head + words + tail if kind_of(family) == "paligemma" else head + block + words + tail


def is_newer():
    import transformers
    return int(transformers.__version__.split(".")[0]) >= 5


def readable(source, work):
    """`source`, or a copy as transformers 4 reads it of what 5 has saved."""
    config = json.loads((source / "config.json").read_text())
    parts = [config[k] for k in ("text_config", "vision_config") if "rope_parameters" in config.get(k, {})]
    if is_newer() or not parts:
        return source
    shutil.copytree(source, work)
    for part in parts:
        scaling = part.pop("rope_parameters")
        part["rope_theta"] = scaling.pop("rope_theta")
        if len(scaling) > 1:
            part["rope_scaling"] = scaling
    config["text_config"]["tie_word_embeddings"] = config["tie_word_embeddings"]  # the key that it looks at
    (work / "config.json").write_text(json.dumps(config))
    return work


def image_processor(folder, **options):
    """The one that resizes with Pillow."""
    import transformers
    which = dict(options, **({"backend": "pil"} if is_newer() else {"use_fast": False}))
    return transformers.AutoImageProcessor.from_pretrained(folder, **which)


def save_processor(family, source, out):
    import transformers
    names = {"qwen": "Qwen2TokenizerFast", "paligemma": "GemmaTokenizerFast"}  # processors of transformers 4 want them
    name = names.get(kind_of(family), "PreTrainedTokenizerFast") if transformers.__version__ < "5" else "PreTrainedTokenizerFast"
    tokenizer = getattr(transformers, name)(
        tokenizer_file=str(source / "tokenizer.json"),
        extra_special_tokens=dict(boi_token="<start_of_image>", eoi_token="<end_of_image>",
                                  image_token="<image_soft_token>") if family == "gemma3" else {})
    if family == "gemma3":
        for name in "boi", "eoi", "image":
            if not hasattr(tokenizer, name + "_token_id"):
                setattr(tokenizer, name + "_token_id", tokenizer.convert_tokens_to_ids(getattr(tokenizer, name + "_token")))
    parts = dict(image_processor=image_processor(source), tokenizer=tokenizer)
    video = getattr(transformers, "Qwen3VLVideoProcessor" if family == "qwen3_vl" else "Qwen2VLVideoProcessor", None)
    if kind_of(family) == "qwen" and video is not None:
        parts["video_processor"] = video()
    if family == "mistral3":
        parts.update(patch_size=10, spatial_merge_size=3)
    getattr(transformers, PROCESSORS[family])(**parts).save_pretrained(out)


def dataset_rows(family):
    folder = ROWS[family] if family != "qwen2_vl" else DATA / "qwen2vl-tiny" / "goldens"
    rows = [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("cf", None)
        row.pop("pair", None)
    return folder, rows[:4] if family == "qwen2_vl" else rows


def say(family, out):
    """ids, pixels, logits and gradients of a saved folder into its logits.safetensors."""
    import torch
    import transformers
    from PIL import Image
    from safetensors.torch import save_file
    from make_families import PAIR, run
    folder, rows = dataset_rows(family)
    config = json.loads((out / "config.json").read_text())
    model = getattr(transformers, MODELS[family]).from_pretrained(out, torch_dtype=torch.float64, attn_implementation="eager").eval()
    cap = config["text_config"].get("final_logit_softcapping") if family == "paligemma2" else None
    if cap and transformers.__version__.startswith("4.5") and transformers.__version__ > "4.52":  # it forgets to
        model.lm_head.register_forward_hook(lambda m, x, y: cap * torch.tanh(y / cap))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    merged = {"patch_size": config["vision_config"]["patch_size"] * config["spatial_merge_size"]} if family == "mistral3" else {}
    images, tensors = image_processor(out, **merged), {"pair": torch.tensor(PAIR, dtype=torch.int64)}
    for row in rows:
        kwargs, block = {}, ""
        if row.get("image"):
            made = images(Image.open(folder / row["image"]).convert("RGB"), return_tensors="pt")
            if not torch.is_tensor(made["pixel_values"]):  # Pixtral's once were lists of lists
                made["pixel_values"] = made["pixel_values"][0][0][None]
            kwargs = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in made.items()
                      if k in inspect.signature(type(model).forward).parameters}
            block = image_block(family, config, made)
            tensors[f"pixels.{row['id']}"] = made["pixel_values"].float().contiguous()
        words = (row.get("before") or "") + (row.get("data") or "") + row["query"]
        ids = tokenizer.encode(prompt(family, words, block), add_special_tokens=False)
        types = torch.tensor([[int(i == config.get("image_token_index", config.get("image_token_id"))) for i in ids]])
        if hasattr(model.config, "image_seq_length"):  # 4.45 does not look at how many placeholders there are
            model.config.image_seq_length = int(types.sum())
        if kind_of(family) == "qwen" and transformers.__version__ < "4.46":  # it counts on who calls to have made them
            kwargs["position_ids"] = model.get_rope_index(torch.tensor([ids]), kwargs.get("image_grid_thw"), None,
                                                          torch.ones(1, len(ids), dtype=torch.long))[0]
        if family == "gemma3":
            kwargs["token_type_ids"] = types
        if kind_of(family) == "paligemma":
            kwargs["use_cache"] = False
            kwargs["token_type_ids"] = torch.zeros_like(types)
        if kind_of(family) == "qwen" and is_newer():
            kwargs["mm_token_type_ids"] = types
        logits, gradient = run(model, ids, kwargs)
        tensors[f"ids.{row['id']}"] = torch.tensor(ids, dtype=torch.int64)
        tensors[f"logits.{row['id']}"] = logits[-6:].float().contiguous()
        tensors[f"gradient.{row['id']}"] = gradient.float().contiguous()
    save_file(tensors, out / "logits.safetensors")
    (out / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(folder / "images", out / "images", dirs_exist_ok=True)


def save(out):
    import transformers
    for family, source in ROWS.items():
        target = out / transformers.__version__ / family
        if not hasattr(transformers, MODELS[family]):
            print(f"{family}: not known to transformers {transformers.__version__}")
            continue
        try:
            shutil.rmtree(target, ignore_errors=True)
            with tempfile.TemporaryDirectory() as work:
                folder = readable(source, Path(work) / "older")
                model = getattr(transformers, MODELS[family]).from_pretrained(folder, torch_dtype="auto")
                model.save_pretrained(target)
            save_processor(family, source, target)
            say(family, target)
        except Exception:
            print(f"{family}: transformers {transformers.__version__} fails")
            traceback.print_exc(limit=-4)
            shutil.rmtree(target, ignore_errors=True)


def keep(folder):
    """What test_families.c needs beside the weights: what a version changes, and what it says where that differs."""
    for family in ROWS:
        target = DATA / "saved" / family
        target.mkdir(parents=True, exist_ok=True)
        changed = ["config.json", "processor_config.json"]
        if family in ("qwen2_vl", "paligemma2"):  # no recorded values of this form; sliding layers differ
            changed += ["dataset.jsonl", "logits.safetensors"]
        for name in changed:
            shutil.copy(folder / family / name, target)
    (DATA / "saved" / "MADE_BY").write_text(f"tests/parity/folder_matrix.py save and keep, transformers {folder.name}\n")


MARKS = "<!-- begin: folder_matrix.py -->\n", "<!-- end: folder_matrix.py -->\n"


def check(program, out, readme):
    versions = sorted((d.name for d in out.iterdir()), key=lambda v: [int(n) for n in v.split(".")])
    lines, failed = ["| saved by transformers | " + " | ".join(versions) + " |\n", "|---|" + "---|" * len(versions) + "\n"], False
    for family in ROWS:
        cells = []
        for version in versions:
            folder = out / version / family
            if not folder.exists():
                cells.append("not known to it")
                continue
            ran = subprocess.run([program, str(folder)], capture_output=True, text=True)
            failed |= ran.returncode != 0
            cells.append(ran.stdout.strip().splitlines()[-1] if ran.returncode == 0 else "FAILS: " + ran.stderr.strip()[:200])
        lines.append(f"| {family} | " + " | ".join(cells) + " |\n")
    print("".join(lines), end="")
    if readme and not failed:
        text = readme.read_text()
        head, tail = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
        readme.write_text(head + MARKS[0] + "".join(lines) + MARKS[1] + tail)
    sys.exit(failed)


if __name__ == "__main__":
    if sys.argv[1] == "save":
        save(Path(sys.argv[2]))
    elif sys.argv[1] == "keep":
        keep(Path(sys.argv[2]))
    else:
        check(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
