#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_families.py OUT [NAME...] - tiny random checkpoints of model families, and what transformers says on them.

OUT/NAME gets a model folder, a dataset of text and image rows, and logits.safetensors: for every row `ids.ROW` and
`logits.ROW` [6, vocabulary] of the last six positions and `gradient.ROW` [positions, d_model], of the difference of the logits of the two
tokens in `pair` at the last position, at the first layer's input, and `relevance.ROW`, what the rules of relevance (docs/math.md eq. 19) give in
its place; computed in float64. tests/parity/test_families.c holds both backends to them.
`pixels.ROW` are 199 of the pixel values, evenly spread, and how many there are. OUT is tests/data/families. Needs torch, transformers 4.51,
pillow, safetensors; for the families of newer_families.py transformers 5.24.
"""
import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

from newer_families import MORE_SIZES, NEWER

HERE = Path(__file__).resolve().parent.parent / "data"
FAMILIES_DATA = HERE / "families"
QUERY = "How many apple are there in the image?"
TEXT = ["dog apple car apple", "red cube blue sphere green cylinder"]
SIZES = [(150, 260), (420, 84), (57, 211)]  # width, height


def copy_inputs(name, out):
    """The tokenizer and the image processor that the committed checkpoint has."""
    for file in "tokenizer.json", "preprocessor_config.json":
        if not (out / file).exists():
            shutil.copy(FAMILIES_DATA / name / file, out)


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


def pixtral(out):
    """A head size that is not d_model / heads, one key-value head, GELU in the tower."""
    copy_inputs("pixtral", out)
    config = transformers.LlavaConfig(
        vision_config=dict(model_type="pixtral", hidden_size=48, num_attention_heads=3, num_hidden_layers=3,
                           intermediate_size=40, image_size=96, patch_size=16, hidden_act="gelu"),
        text_config=dict(model_type="mistral", hidden_size=36, head_dim=12, num_attention_heads=4, num_key_value_heads=1,
                         intermediate_size=56, num_hidden_layers=3, vocab_size=640, sliding_window=None, rope_theta=1e6),
        image_token_index=10, vision_feature_layer=-1, vision_feature_select_strategy="full")
    model = transformers.LlavaForConditionalGeneration(config)
    images = transformers.PixtralImageProcessor.from_pretrained(out)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))

    def encode(words, image):
        kwargs, block = {}, ""
        if image is not None:
            kwargs = dict(images(image, return_tensors="pt"))
            height, width = kwargs["pixel_values"].shape[-2:]
            row = "[IMG]" * (width // 16)
            block = "[IMG_BREAK]".join([row] * (height // 16)) + "[IMG_END]"
        return tokenizer.encode("<s>[INST]" + block + words + "[/INST]", add_special_tokens=False), kwargs

    return model, encode


def gemma3(out):
    """Prompts longer than the window, one global layer of seven, scaled rotary positions."""
    copy_inputs("gemma3", out)
    base = json.loads((FAMILIES_DATA / "gemma3" / "config.json").read_text())
    size = json.loads((out / "preprocessor_config.json").read_text())["size"]["height"]
    tokens = {k: base[k] for k in ("boi_token_index", "eoi_token_index", "image_token_index") if k in base}
    config = transformers.Gemma3Config(
        text_config=dict(hidden_size=40, head_dim=12, num_attention_heads=4, num_key_value_heads=2, intermediate_size=60,
                         num_hidden_layers=7, sliding_window=9, vocab_size=base["text_config"]["vocab_size"],
                         query_pre_attn_scalar=20, rope_scaling=dict(rope_type="linear", factor=8.0)),
        vision_config=dict(hidden_size=36, num_attention_heads=3, num_hidden_layers=2, intermediate_size=50,
                           image_size=size, patch_size=size // 8),
        mm_tokens_per_image=base["mm_tokens_per_image"], **tokens)
    model = transformers.Gemma3ForConditionalGeneration(config)
    images = transformers.Gemma3ImageProcessor.from_pretrained(out)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))

    def encode(words, image):
        kwargs, block = {}, ""
        if image is not None:
            kwargs = {"pixel_values": images(image, return_tensors="pt")["pixel_values"]}
            block = "\n\n<start_of_image>" + "<image_soft_token>" * base["mm_tokens_per_image"] + "<end_of_image>\n\n"
        text = "<bos><start_of_turn>user\n" + block + words.strip() + "<end_of_turn>\n<start_of_turn>model\n"
        ids = tokenizer.encode(text, add_special_tokens=False)
        kwargs["token_type_ids"] = torch.tensor([[int(i == config.image_token_index) for i in ids]])
        return ids, kwargs

    return model, encode


def paligemma(out, generation):
    """All positions see each other; the prompt is longer than the window, and Gemma-2's soft caps bite."""
    tokenizer = Tokenizer.from_file(str(FAMILIES_DATA / "gemma3" / "tokenizer.json"))
    tokenizer.add_special_tokens(["<image>"])
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type="SiglipImageProcessor", size=dict(height=78, width=78), resample=3, image_seq_length=36,
        image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5], rescale_factor=1 / 255)))
    common = dict(hidden_size=40, head_dim=12, num_attention_heads=4, num_key_value_heads=2, intermediate_size=60,
                  num_hidden_layers=3, vocab_size=tokenizer.get_vocab_size())
    text = common | (dict(model_type="gemma") if generation == 1 else
                     dict(model_type="gemma2", sliding_window=9, query_pre_attn_scalar=20, attn_logit_softcapping=4.0,
                          final_logit_softcapping=10.0))
    config = transformers.PaliGemmaConfig(
        text_config=text, image_token_index=tokenizer.token_to_id("<image>"), projection_dim=40, hidden_size=40,
        vision_config=dict(model_type="siglip_vision_model", hidden_size=36, num_attention_heads=3, num_hidden_layers=2,
                           intermediate_size=50, image_size=78, patch_size=13, vision_use_head=False))
    model = transformers.PaliGemmaForConditionalGeneration(config)
    fast = transformers.GemmaTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    processor = transformers.PaliGemmaProcessor(transformers.SiglipImageProcessor.from_pretrained(out), fast)

    def encode(words, image):
        if image is None:
            return fast.encode("<bos>" + words + "\n", add_special_tokens=False), {"use_cache": False}
        batch = processor(images=image, text="<image>" + words, return_tensors="pt")
        return batch["input_ids"][0].tolist(), {"pixel_values": batch["pixel_values"], "use_cache": False}

    return model, encode


def llava(out):
    """CLIP's tower less its last layer and its first row; a tokenizer built as Llama's: one word, bytes for what it lacks."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    corpus = [w for line in TEXT + [QUERY, "USER: Sequence: ASSISTANT:"] for w in line.split()] * 4
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, show_progress=False))
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = [t for t in made["added_tokens"] if t["content"] not in bytes_]
    tokenizer = Tokenizer.from_str(json.dumps(made))
    tokenizer.add_special_tokens(["<image>", "<pad>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B",
                                                             [("<s>", tokenizer.token_to_id("<s>"))])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type="CLIPImageProcessor", size=dict(shortest_edge=91), crop_size=dict(height=91, width=91),
        do_center_crop=True, resample=3)))
    config = transformers.LlavaConfig(
        text_config=dict(model_type="llama", hidden_size=48, num_attention_heads=4, num_key_value_heads=2, intermediate_size=60,
                         num_hidden_layers=3, vocab_size=tokenizer.get_vocab_size()),
        vision_config=dict(model_type="clip_vision_model", hidden_size=36, num_attention_heads=3, num_hidden_layers=4,
                           intermediate_size=50, image_size=91, patch_size=13),
        image_token_index=tokenizer.token_to_id("<image>"))
    model = transformers.LlavaForConditionalGeneration(config)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor.from_pretrained(out), fast, patch_size=13, num_additional_image_tokens=1,
        vision_feature_select_strategy="default")

    def encode(words, image):
        if image is None:
            return fast.encode("USER: " + words + " ASSISTANT:"), {}
        batch = processor(images=image, text="USER: <image>\n" + words + " ASSISTANT:", return_tensors="pt")
        return batch["input_ids"][0].tolist(), {"pixel_values": batch["pixel_values"]}

    return model, encode


PAIR = (7, 11)


def run(model, ids, kwargs):
    """Logits, and the gradient at what enters the first layer."""
    states = []
    first = next(m for m in model.modules() if type(m).__name__.endswith("DecoderLayer"))

    def watch(_, args, named):
        states.append((args[0] if args else named["hidden_states"]).detach().requires_grad_())
        return ((states[0],) + args[1:], named) if args else (args, named | {"hidden_states": states[0]})

    handle = first.register_forward_pre_hook(watch, with_kwargs=True)
    logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **kwargs).logits[0]
    handle.remove()
    (logits[-1, PAIR[0]] - logits[-1, PAIR[1]]).backward()
    return logits.detach(), states[0].grad[0]


def constant(ratio, x):
    """x times what ratio says at x, where it is a constant; 0 where x is."""
    return x * torch.where(x == 0, torch.ones_like(x), ratio(x) / torch.where(x == 0, torch.ones_like(x), x)).detach()


@contextmanager
def relevance(model):
    """While it lasts, the way back follows the rules of relevance: values stay, some of their factors are constants."""
    softmax, tanh, changed = torch.nn.functional.softmax, torch.tanh, []

    def norm(m, kind):
        weight = 1.0 + m.weight if "Gemma" in kind else m.weight
        eps = m.variance_epsilon if hasattr(m, "variance_epsilon") else m.eps
        return lambda x: weight * x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt().detach()

    def mlp(m):
        def forward(x):
            a, u = constant(m.act_fn, m.gate_proj(x)), m.up_proj(x)
            return m.down_proj((a.detach() * u + a * u.detach()) / 2)
        return forward

    first = next(m for m in model.modules() if type(m).__name__.endswith("DecoderLayer"))
    decoder = next(m for m in model.modules() if first in getattr(m, "layers", []))
    for m in [decoder.norm, *(x for layer in decoder.layers for x in layer.modules())]:
        kind = type(m).__name__
        forward = norm(m, kind) if kind.endswith("RMSNorm") else mlp(m) if hasattr(m, "gate_proj") else None
        if forward is not None:
            m.forward = forward
            changed.append(m)
    torch.nn.functional.softmax = lambda *a, **k: softmax(*a, **k).detach()
    torch.tanh = lambda x: constant(tanh, x)
    try:
        yield
    finally:
        torch.nn.functional.softmax, torch.tanh = softmax, tanh
        for m in changed:
            del m.forward


FAMILIES = {"qwen2_5_vl": qwen2_5_vl, "pixtral": pixtral, "gemma3": gemma3, "llava": llava,
            "paligemma": lambda out: paligemma(out, 1), "paligemma2": lambda out: paligemma(out, 2)}
if transformers.__version__ >= "5":
    FAMILIES = NEWER


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
    model = type(model).from_pretrained(out, dtype=torch.float64, attn_implementation="eager").eval()
    rng = np.random.default_rng(5)
    query, rows, tensors = QUERY, [], {}
    for i, data in enumerate(TEXT):
        rows.append((dict(id=f"text-{i}", modality="text", before="Sequence:", data=" " + data, query=". " + query,
                          answer="1"), "Sequence: " + data + ". " + query, None))
    for i, (width, height) in enumerate(SIZES + MORE_SIZES.get(name, [])):
        image = Image.fromarray(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8))
        image = image.resize((width, height), Image.NEAREST)
        image.save(out / "images" / f"{i}.png")
        rows.append((dict(id=f"image-{i}", modality="image", image=f"images/{i}.png", query=query, answer="1"), query, image))
    for row, words, image in rows:
        ids, kwargs = encode(words, image)
        if "pixel_values" in kwargs and transformers.__version__ >= "5":
            flat = torch.as_tensor(kwargs["pixel_values"]).flatten()
            tensors[f"pixels.{row['id']}"] = torch.cat(
                [flat[[i * (len(flat) - 1) // 198 for i in range(199)]], torch.tensor([len(flat)])]).float()
        kwargs = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in kwargs.items()}
        logits, gradient = run(model, ids, kwargs)
        with relevance(model):
            same, rho = run(model, ids, kwargs)
        assert (logits - same).abs().max() < 1e-5 * logits.abs().max()  # norms of transformers round to float32
        tensors[f"ids.{row['id']}"] = torch.tensor(ids, dtype=torch.int64)
        tensors[f"logits.{row['id']}"] = logits[-6:].float().contiguous()
        tensors[f"gradient.{row['id']}"] = gradient.float().contiguous()
        tensors[f"relevance.{row['id']}"] = rho.float().contiguous()
    tensors["pair"] = torch.tensor(PAIR, dtype=torch.int64)
    save_file(tensors, out / "logits.safetensors")
    (out / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row, _, _ in rows))
    (out / "MADE_BY").write_text(f"tests/parity/make_families.py, torch {torch.__version__}, "
                                 f"transformers {transformers.__version__}\n")
    (out / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    for family in sys.argv[2:] or FAMILIES:
        make(family, Path(sys.argv[1]) / family)
