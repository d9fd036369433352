#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains the bundled model: a tiny Qwen2-VL that does five tasks in words and in pictures.

    train.py --twinlens build/release/twinlens --work WORK --out DIR [--seed 0]
    train.py --eval DIR --data WORK/data/held-out

The first makes the data with `twinlens task`, builds the tokenizer and trains from scratch in
three stages, two processes of one thread each, about three quarters of an hour in all:

  text    the language model, on prompts in words
  vision  the vision tower: which item does each cell of 28 pixels show? The heads that
          answer are thrown away (they stand in for the pretraining of a real vision tower)
  joint   everything, on prompts in words and in pictures

It may be stopped at any time; the same command goes on from WORK/state.pt and takes the same
steps. The second prints accuracies by transformers' own classes.
Needs torch, transformers 4.51, pillow and numpy.
"""
import argparse
import collections
import json
import math
import os
import subprocess
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from PIL import Image
from torch import nn

SIZES = {"counting": (112, 112), "arithmetic": (168, 56), "color_ordering": (112, 56),
         "factual_recall": (84, 84), "sentiment": (84, 84)}  # width, height
TASKS = list(SIZES)
TEXT_ROWS = {"counting": 60000, "arithmetic": 5600, "color_ordering": 24000,
             "factual_recall": 4000, "sentiment": 16000}
IMAGE_ROWS = {"counting": [3000] * 8, "arithmetic": [5600] * 3, "color_ordering": [20000],
              "factual_recall": [4000] * 2, "sentiment": [14000]}  # one number a seed
HELD_OUT_ROWS = 600
CELL = 28  # pixels that one image token covers

PREFIX = ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
          "<|im_start|>user\n")
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"
ORDINALS = ["first", "second", "third", "fourth"]

# Scenes a step and process, and questions a scene.
TEXT_BATCH = {("counting", "text"): (16, 4), ("arithmetic", "text"): (12, 1),
              ("color_ordering", "text"): (8, 3), ("factual_recall", "text"): (8, 2),
              ("sentiment", "text"): (8, 1)}
JOINT_BATCH = {("counting", "text"): (12, 4), ("arithmetic", "text"): (10, 1),
               ("color_ordering", "text"): (3, 3), ("factual_recall", "text"): (3, 2),
               ("sentiment", "text"): (3, 1),
               ("counting", "image"): (12, 4), ("arithmetic", "image"): (16, 1),
               ("color_ordering", "image"): (4, 3), ("factual_recall", "image"): (4, 2),
               ("sentiment", "image"): (8, 1)}
VISION_BATCH = 12  # pictures of each task a step and process
STEPS = {"text": 800, "vision": 240, "joint": 1600}
DECAY = {"text": 0.0, "vision": 0.4, "joint": 0.4}  # last part of a stage: the rate falls to 0
WARMUP = 50
MATRIX_RATE = {"text": 0.003, "vision": 0.01, "joint": 0.003}
VECTOR_RATE = {"text": 0.002, "vision": 0.002, "joint": 0.002}
# Questions about a task's pictures rest while more than this are answered right on average:
# pictures are to stay harder than words, and to leave errors that can be studied.
PICTURE_LIMIT = {"counting": 0.88, "arithmetic": 0.82, "color_ordering": 0.70,
                 "factual_recall": 0.82, "sentiment": 0.82}
LATER_DIGIT_WEIGHT, END_WEIGHT = 0.5, 0.1  # of an answer's tokens after the first
LOG_EVERY, SAVE_EVERY, TEST_EVERY = 25, 200, 200
TEST_ROWS = 200
PROCESSES = 2


# ---------------------------------------------------------------- data

def make_data(twinlens, data):
    """Calls `twinlens task` for every dataset that is not there yet."""
    def task(name, folder, rows, seed, content, modality):
        if (folder / "done").exists():
            return
        width, height = SIZES[name]
        subprocess.run([twinlens, "task", name, "--style", "small", "--content", content,
                        "--n", str(rows), "--seed", str(seed), "--size", f"{width}x{height}",
                        "--modality", modality, "--out", folder, "--force"], check=True)
        (folder / "done").touch()

    for name in TASKS:
        for part in ("text", "image", "held-out"):
            (data / part).mkdir(parents=True, exist_ok=True)
        task(name, data / "text" / name, TEXT_ROWS[name], 1, "train", "text")
        for i, rows in enumerate(IMAGE_ROWS[name]):
            task(name, data / "image" / f"{name}-{i}", rows, 2 + i, "train", "both")
        task(name, data / "held-out" / name, HELD_OUT_ROWS, 100, "held-out", "both")


def read_jsonl(path):
    """The objects of a file of JSON lines."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_scenes(folder):
    """A dataset's pairs as one record each: context, question, separator, answer, image, items."""
    rows = read_jsonl(folder / "dataset.jsonl")
    drawings = {}
    if (folder / "drawing.jsonl").exists():
        drawings = {d["id"]: d["items"] for d in read_jsonl(folder / "drawing.jsonl")}
    images = {r["pair"]: r for r in rows if r["modality"] == "image"}
    scenes = []
    for row in rows:
        if row["modality"] != "text":
            continue
        question = row["query"].lstrip(".\n")
        image = images.get(row["pair"])
        assert image is None or image["query"] == question
        scenes.append(dict(
            context=row["before"] + row["data"], words=row["data"].split(), question=question,
            separator=row["query"][:-len(question)], answer=row["answer"],
            image=image and folder / image["image"], items=image and drawings[image["id"]]))
    return scenes


def known_questions(task, scenes):
    """Per context: the questions about it that training may ask, with their answers."""
    known = collections.defaultdict(dict)
    for scene in scenes:
        asked = known[scene["context"]]
        asked[scene["question"]] = scene["answer"]
        words = scene["words"]
        if task == "counting":
            asked.update((f"How many {w} are there?", str(words.count(w))) for w in words)
        elif task == "color_ordering":
            for k, ordinal in enumerate(ORDINALS):
                question = f"What is the color of the {ordinal} object from the "
                asked[question + "left?"] = words[k]
                asked[question + "right?"] = words[len(words) - 1 - k]
    return {context: sorted(asked.items()) for context, asked in known.items()}


def build_tokenizer(scenes, folder):
    """Byte-level BPE with Qwen2's split and chat format; every word of the data is one token."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers import processors, trainers
    from transformers import Qwen2TokenizerFast, Qwen2VLImageProcessor, Qwen2VLProcessor
    split = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
             r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>",
               "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
               "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
               "<|image_pad|>", "<|video_pad|>"]
    pieces = {"system\nYou are a helpful assistant.", "user\n", "assistant\n"}
    for scene in scenes:
        pieces.update([scene["context"], scene["separator"] + scene["question"],
                       scene["question"], scene["answer"], " " + scene["answer"]])
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.ByteLevel(trim_offsets=False)
    words = {word for piece in pieces for word, _ in bpe.pre_tokenizer.pre_tokenize_str(piece)}
    bpe.train_from_iterator(
        [bpe.decoder.decode([word]) for word in sorted(words)],
        trainers.BpeTrainer(vocab_size=8000, min_frequency=1, show_progress=False,
                            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token=None,
        unk_token=None, model_max_length=4096, padding_side="left",
        additional_special_tokens=special)
    tokenizer.chat_template = CHAT_TEMPLATE
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=CELL * CELL, max_pixels=224 * 224),
        tokenizer=tokenizer, chat_template=CHAT_TEMPLATE)
    processor.save_pretrained(folder)


CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}"
    "Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}"
    "Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def encode(tokenizer, texts):
    """Token ids [len(texts), length] of texts that are equally long in tokens."""
    return torch.tensor(tokenizer(texts, add_special_tokens=False)["input_ids"])


def encode_answers(tokenizer, texts):
    """Answers as input, padded, and as labels, ended and padded with what has no loss."""
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    longest = max(map(len, ids))
    answer = torch.full((len(ids), longest), tokenizer.pad_token_id)
    labels = torch.full((len(ids), longest + 1), -100)
    for i, tokens in enumerate(ids):
        answer[i, :len(tokens)] = torch.tensor(tokens)
        labels[i, :len(tokens) + 1] = torch.tensor(tokens + [tokenizer.eos_token_id])
    return answer, labels


def positions(context, question, image):
    """M-RoPE positions [3, n] of context and question behind a prefix of `PREFIX` tokens.

    `context` is (prefix length, context length); `image` None or (rows, columns) of tokens.
    """
    start, length = context
    if image is None:
        place = torch.arange(start, start + length)
        return place.expand(3, -1), torch.arange(question).expand(3, -1) + start + length
    rows, columns = image
    first = start + 1  # behind <|vision_start|>
    grid = torch.stack([torch.zeros(rows * columns, dtype=torch.long),
                        torch.arange(rows).repeat_interleave(columns),
                        torch.arange(columns).repeat(rows)]) + first
    after = first + max(rows, columns)
    place = torch.cat([torch.full((3, 1), start), grid, torch.full((3, 1), after)], 1)
    return place, torch.arange(question).expand(3, -1) + after + 1


def kinds_of_scene(task, scenes):
    """Scenes (their indices) that should be met equally often, by kind.

    Prompts are distinct, and there are few in which all objects are the same or all but one.
    """
    kinds = collections.defaultdict(list)
    for i, scene in enumerate(scenes):
        counts = collections.Counter(scene["words"]).values()
        kinds[tuple(sorted(counts)) if task == "counting" else None].append(i)
    return [torch.tensor(kinds[kind]) for kind in sorted(kinds)]


def build_cell(task, modality, scenes, questions, tokenizer, classes):
    """One task in one modality as tensors: contexts, pictures and their items, and the pairs
    of question and answer: `pairs`, of which scene i has `asked[i, :n_asked[i]]`."""
    cell = dict(task=task, modality=modality, kinds=kinds_of_scene(task, scenes))
    separator = scenes[0]["separator"] if modality == "text" else ""
    table = sorted({pair for asked in questions for pair in asked})
    index = {pair: i for i, pair in enumerate(table)}
    asked = np.zeros((len(scenes), max(map(len, questions))), np.int64)
    for i, pairs in enumerate(questions):
        asked[i, :len(pairs)] = [index[p] for p in pairs]
    ask = encode(tokenizer, [separator + q + SUFFIX for q, _ in table])
    answer, labels = encode_answers(tokenizer, [a for _, a in table])
    prefix = encode(tokenizer, [PREFIX])[0]
    cell.update(asked=torch.from_numpy(asked), n_asked=torch.tensor([*map(len, questions)]),
                pairs=torch.cat([ask, answer], 1), labels=labels, prefix=prefix)
    if modality == "text":
        cell["context"] = encode(tokenizer, [s["context"] for s in scenes])
        grid = None
        joined = encode(tokenizer, [PREFIX + s["context"] + separator + q[0][0] + SUFFIX
                                    for s, q in zip(scenes, questions)])
        parts = [prefix.expand(len(scenes), -1), cell["context"], ask[asked[:, 0]]]
        assert torch.equal(torch.cat(parts, 1), joined), "tokens reach across the parts"
    else:
        width, height = SIZES[task]
        grid = height // CELL, width // CELL
        begin, pad, finish = tokenizer.convert_tokens_to_ids(
            ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"])
        row = torch.tensor([begin] + [pad] * (grid[0] * grid[1]) + [finish])
        cell["context"] = row.expand(len(scenes), -1)
        cell["images"] = torch.from_numpy(np.stack([np.asarray(Image.open(s["image"]).convert(
            "RGB")) for s in scenes]))
        cell["shown"] = shown_items(task, scenes, classes)
    cell["position"], cell["pair_position"] = positions(
        (len(prefix), cell["context"].shape[1]), cell["pairs"].shape[1], grid)
    return cell


def shown_items(task, scenes, classes):
    """The class of the item in every cell of 28 pixels, 0 where there is none."""
    width, height = SIZES[task]
    shown = torch.zeros(len(scenes), height // CELL, width // CELL, dtype=torch.long)
    for i, scene in enumerate(scenes):
        for item in scene["items"]:
            label = 1 + classes.index(item["name"])
            if task == "factual_recall":  # one item that fills the picture
                shown[i] = label
            else:
                shown[i, int(item["y"]) // CELL, int(item["x"]) // CELL] = label
    return shown.flatten(1)


def prepare(data, work, out):
    """Tokenizer into `out`, tensors of all cells into WORK/cells.pt."""
    from transformers import AutoTokenizer
    text, image, held_out = {}, {}, {}
    for task in TASKS:
        text[task] = read_scenes(data / "text" / task)
        image[task] = [s for folder in sorted((data / "image").glob(f"{task}-*"))
                       for s in read_scenes(folder)]
        held_out[task] = read_scenes(data / "held-out" / task)
    if not (out / "tokenizer.json").exists():
        build_tokenizer([s for task in TASKS for part in (text, image, held_out)
                         for s in part[task]], out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    train, test, n_classes = {}, {}, {}
    for task in TASKS:
        classes = sorted({item["name"] for s in image[task] for item in s["items"]})
        n_classes[task] = 1 + len(classes)
        known = known_questions(task, text[task] + image[task])
        seen = text[task] + image[task] if task == "factual_recall" else text[task]
        seen = list({s["context"]: s for s in seen}.values())
        for modality, scenes in (("text", seen), ("image", image[task])):
            train[task, modality] = build_cell(
                task, modality, scenes, [known[s["context"]] for s in scenes], tokenizer, classes)
            scenes = held_out[task][:TEST_ROWS]
            test[task, modality] = build_cell(
                task, modality, scenes, [[(s["question"], s["answer"])] for s in scenes],
                tokenizer, classes)
        print(f"prepared {task}: {len(seen)} contexts in words, {len(image[task])} pictures, "
              f"{len(classes)} kinds of item", flush=True)
    torch.save(dict(train=train, test=test, n_classes=n_classes), work / "cells.part")
    os.rename(work / "cells.part", work / "cells.pt")


# ---------------------------------------------------------------- model

def make_config(tokenizer):
    """The architecture: 8 layers of 192 and a vision tower of 2 layers of 96."""
    from transformers import Qwen2VLConfig
    ids = tokenizer.convert_tokens_to_ids
    return Qwen2VLConfig(
        vocab_size=-(-len(tokenizer) // 16) * 16, hidden_size=192, intermediate_size=448,
        num_hidden_layers=8, num_attention_heads=6, num_key_value_heads=2, hidden_act="silu",
        max_position_embeddings=2048, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_theta=5.0, rope_scaling={"type": "mrope", "mrope_section": [2, 4, 10]},
        use_sliding_window=False, attention_dropout=0.0,
        bos_token_id=ids("<|endoftext|>"), eos_token_id=ids("<|im_end|>"),
        pad_token_id=ids("<|endoftext|>"), image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"), vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"), vision_token_id=ids("<|vision_pad|>"),
        vision_config=dict(depth=2, embed_dim=96, hidden_size=192, num_heads=3, mlp_ratio=3.0,
                           patch_size=14, spatial_merge_size=2, temporal_patch_size=2,
                           in_channels=3, hidden_act="quick_gelu"))


def make_model(tokenizer, seed):
    """The model with weights scaled to their inputs and quiet residual branches."""
    from transformers import Qwen2VLForConditionalGeneration
    torch.manual_seed(seed)
    config = make_config(tokenizer)
    model = Qwen2VLForConditionalGeneration(config).float()
    branches = {("o_proj.weight", "down_proj.weight"): 2 * config.num_hidden_layers,
                ("attn.proj.weight", "fc2.weight"): 2 * config.vision_config.depth}
    for name, p in model.named_parameters():
        if "embed_tokens" in name:
            nn.init.normal_(p, std=0.05)
        elif p.ndim >= 2:
            nn.init.normal_(p, std=p[0].numel() ** -0.5)
            for ends, n in branches.items():
                if name.endswith(ends):
                    p.data *= n ** -0.5
    model.tie_weights()
    return model


class RMSNorm(torch.autograd.Function):
    """x / rms(x) * weight in float, rounded to bfloat16; fewer passes than torch's own."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = scale.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = x * scale
        ctx.save_for_backward(unit, weight, scale)
        return (unit * weight).bfloat16()

    @staticmethod
    def backward(ctx, grad):
        unit, weight, scale = ctx.saved_tensors
        grad = grad.float()
        grad_weight = (grad * unit).sum(0)
        grad = grad * weight
        along = (grad * unit).mean(-1, keepdim=True)
        return grad.sub_(unit * along).mul_(scale), grad_weight, None


def rotate_half(x):
    """(a, b) -> (-b, a) for the halves of the last dimension."""
    a, b = x.chunk(2, -1)
    return torch.cat((-b, a), -1)


def causal(n, before, groups):
    """Mask [groups * n, before + n]: all of what is before, and of the n what has been."""
    mask = torch.full((n, n), -1e9).triu(1)
    return torch.cat([torch.zeros(n, before), mask], 1).repeat(groups, 1).bfloat16()


class Plan:
    """What a batch looks like: n scenes of each cell, each asked `questions` questions.

    Tokens are laid out flat: the prefix once, then per cell all contexts and all questions
    with their answers. A question attends to prefix, own context and itself only, at the
    positions it would have in a prompt of its own.
    """

    def __init__(self, cells, batch, config):
        self.cells = [(cells[key], n, q) for key, (n, q) in batch.items()]
        self.prefix = self.cells[0][0]["prefix"]
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        width, group = config.hidden_size // heads, heads // kv_heads
        rate = config.rope_theta ** -(torch.arange(width // 2) / (width // 2))
        place = [torch.arange(len(self.prefix)).expand(3, -1)]
        self.sizes, self.masks = [len(self.prefix)], [causal(len(self.prefix), 0, group)]
        for cell, n, q in self.cells:
            place += [cell["position"].repeat(1, n), cell["pair_position"].repeat(1, n * q)]
            self.sizes += [place[-2].shape[1], place[-1].shape[1]]
            self.masks += [causal(cell["position"].shape[1], len(self.prefix), group),
                           causal(cell["pair_position"].shape[1], 0, group)]
        angle = torch.cat(place, 1)[..., None].float() * rate
        sections = angle.split(config.rope_scaling["mrope_section"], -1)
        angle = torch.cat([part[i] for i, part in enumerate(sections)], -1)
        angle = torch.cat([angle, angle], -1)[:, None]
        self.cos, self.sin = angle.cos().bfloat16(), angle.sin().bfloat16()


def decode(model, plan, x):
    """Logits [n, questions, answer tokens, vocabulary] per cell of embeddings x [tokens, width].

    The same numbers as transformers' own model on each prompt, up to rounding: products are
    in bfloat16, the residual stream in float.
    """
    config = model.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    wide = config.hidden_size
    width, group, eps = wide // heads, heads // kv_heads, config.rms_norm_eps
    prefix, sizes = len(plan.prefix), plan.sizes

    def stack(*layers):
        """Weights and biases of layers with the same input, as one product."""
        weight = torch.cat([p.weight for p in layers]).bfloat16()
        bias = None if layers[0].bias is None else torch.cat([p.bias for p in layers]).bfloat16()
        return weight, bias

    def by_kv_head(q, *shape):
        """[..., heads, width] as [batch, kv heads, group * tokens, width]."""
        return q.reshape(*shape, kv_heads, group, width).permute(0, 2, 3, 1, 4).reshape(
            shape[0], kv_heads, -1, width)

    for number, layer in enumerate(model.model.layers):
        last = number == config.num_hidden_layers - 1  # only the answers' rows are needed
        attention, mlp = layer.self_attn, layer.mlp
        h = RMSNorm.apply(x, layer.input_layernorm.weight, eps)
        qkv = F.linear(h, *stack(attention.q_proj, attention.k_proj, attention.v_proj))
        qkv = qkv.view(-1, heads + 2 * kv_heads, width)
        qk, v = qkv[:, :-kv_heads], qkv[:, -kv_heads:].split(sizes)
        qk = qk * plan.cos + rotate_half(qk) * plan.sin
        q, k = (qk[:, :heads] * width ** -0.5).split(sizes), qk[:, heads:].split(sizes)
        k_prefix, v_prefix = k[0].transpose(0, 1), v[0].transpose(0, 1)
        out, kept = [], []
        if not last:
            score = by_kv_head(q[0], 1, prefix)[0] @ k_prefix.transpose(1, 2) + plan.masks[0]
            o = torch.softmax(score, -1) @ v_prefix
            out.append(o.view(heads, prefix, width).transpose(0, 1).reshape(prefix, wide))
        for i, (cell, n, asked) in enumerate(plan.cells):
            c, p = 1 + 2 * i, 2 + 2 * i  # context, pairs
            length, tokens = cell["context"].shape[1], cell["pairs"].shape[1]
            rows = cell["labels"].shape[1] if last else tokens
            kc = torch.cat([k_prefix.expand(n, -1, -1, -1),
                            k[c].view(n, length, kv_heads, width).transpose(1, 2)], 2)
            vc = torch.cat([v_prefix.expand(n, -1, -1, -1),
                            v[c].view(n, length, kv_heads, width).transpose(1, 2)], 2)
            if not last:
                score = by_kv_head(q[c], n, length) @ kc.transpose(2, 3) + plan.masks[c]
                o = torch.softmax(score, -1) @ vc
                o = o.view(n, heads, length, width).transpose(1, 2)
                out.append(o.reshape(n * length, wide))
            qp = q[p].view(n, asked, tokens, kv_heads, group, width)[:, :, tokens - rows:]
            qp = qp.permute(0, 3, 1, 4, 2, 5).reshape(n, kv_heads, asked * group * rows, width)
            kp = k[p].view(n, asked, tokens, kv_heads, width).permute(0, 3, 1, 4, 2)
            vp = v[p].view(n, asked, tokens, kv_heads, width).permute(0, 3, 1, 2, 4)
            mask = plan.masks[p].view(group, tokens, tokens)[:, tokens - rows:].flatten(0, 1)
            own = qp.view(n, kv_heads, asked, group * rows, width) @ kp + mask
            score = torch.cat([qp @ kc.transpose(2, 3), own.flatten(2, 3)], -1)
            pattern = torch.softmax(score, -1)
            near = pattern[..., prefix + length:].reshape(n, kv_heads, asked, group * rows, tokens)
            o = pattern[..., :prefix + length] @ vc + (near @ vp).flatten(2, 3)
            o = o.view(n, kv_heads, asked, group, rows, width).permute(0, 2, 4, 1, 3, 5)
            out.append(o.reshape(n * asked * rows, wide))
            if last:
                kept.append(x.split(sizes)[p].view(n * asked, tokens, wide)[:, tokens - rows:]
                            .flatten(0, 1))
        if last:
            x = torch.cat(kept)
        x = x + F.linear(torch.cat(out), attention.o_proj.weight.bfloat16())
        h = RMSNorm.apply(x, layer.post_attention_layernorm.weight, eps)
        gate, up = F.linear(h, *stack(mlp.gate_proj, mlp.up_proj)).chunk(2, -1)
        x = x + F.linear(F.silu(gate) * up, mlp.down_proj.weight.bfloat16())
    h = RMSNorm.apply(x, model.model.norm.weight, eps)
    logits = F.linear(h, model.lm_head.weight.bfloat16()).float()
    shapes = [(n, asked, cell["labels"].shape[1]) for cell, n, asked in plan.cells]
    return [part.view(*shape, -1)
            for part, shape in zip(logits.split([math.prod(s) for s in shapes]), shapes)]


def patches(images):
    """Pictures [n, height, width, 3] of bytes as normalised patches in Qwen2-VL's order."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    n, height, width, _ = images.shape
    x = (images.float() / 255 - mean) / std
    x = x.view(n, height // 28, 2, 14, width // 28, 2, 14, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
    return x.reshape(n, (height // 14) * (width // 14), 3 * 14 * 14)


def see(model, images):
    """The vision tower: image tokens [n, cells, width] of pictures of one size."""
    tower, config = model.visual, model.config.vision_config
    n, height, width, _ = images.shape
    heads, depth = config.num_heads, config.embed_dim // config.num_heads
    down, right = height // 28, width // 28

    def in_order(grid):
        return grid.reshape(down, 2, right, 2).transpose(1, 2).flatten()

    rate = 10000.0 ** -(torch.arange(0, depth // 2, 2) / (depth // 2))
    row = in_order(torch.arange(2 * down)[:, None].expand(-1, 2 * right))
    column = in_order(torch.arange(2 * right)[None].expand(2 * down, -1))
    angle = torch.cat([row[:, None] * rate, column[:, None] * rate], 1)
    angle = torch.cat([angle, angle], 1)[:, None]
    cos, sin = angle.cos().bfloat16(), angle.sin().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        kernel = tower.patch_embed.proj.weight.sum(2).flatten(1)  # both frames are the picture
        x = F.linear(patches(images), kernel).float()
        for block in tower.blocks:
            qkv = block.attn.qkv(block.norm1(x)).view(n, -1, 3, heads, depth)
            q, k, v = qkv.unbind(2)
            q = ((q * cos + rotate_half(q) * sin) * depth ** -0.5).transpose(1, 2)
            k = (k * cos + rotate_half(k) * sin).permute(0, 2, 3, 1)
            pattern = torch.softmax((q @ k).bfloat16(), -1)
            o = (pattern.bfloat16() @ v.transpose(1, 2)).transpose(1, 2)
            x = x + block.attn.proj(o.reshape(n, -1, heads * depth))
            x = x + block.mlp(block.norm2(x))
        merger = tower.merger
        return merger.mlp(merger.ln_q(x).view(n, down * right, -1)).float()


def draw_scenes(cell, n, generator):
    """Indices of n random scenes, every kind as likely as the others."""
    sizes = torch.tensor([len(k) for k in cell["kinds"]])
    kind = torch.randint(len(sizes), (n,), generator=generator)
    place = (torch.rand(n, generator=generator) * sizes[kind]).long()
    return torch.stack([cell["kinds"][k][i] for k, i in zip(kind.tolist(), place.tolist())])


def draw_batch(plan, generator):
    """Random scenes and questions: per cell (scene, indices of pairs [n, questions])."""
    drawn = []
    for cell, n, asked in plan.cells:
        scene = draw_scenes(cell, n, generator)
        first = torch.randint(1 << 30, (n, 1), generator=generator)
        which = (first + torch.arange(asked)) % cell["n_asked"][scene][:, None]
        drawn.append((scene, cell["asked"][scene].gather(1, which)))
    return drawn


def forward(model, plan, drawn):
    """Logits per cell of the scenes and questions drawn."""
    embed = model.model.embed_tokens
    parts = [embed(plan.prefix)]
    for (cell, _, _), (scene, pairs) in zip(plan.cells, drawn):
        context = embed(cell["context"][scene])
        if "images" in cell:
            seen = see(model, cell["images"][scene])
            context = torch.cat([context[:, :1], seen, context[:, -1:]], 1)
        parts += [context.flatten(0, 1), embed(cell["pairs"][pairs]).flatten(0, 2)]
    return decode(model, plan, torch.cat(parts))


# ---------------------------------------------------------------- optimiser

class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalised, for hidden matrices; processes share the work."""

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        """One step; gradients must be the same in all processes."""
        params = [p for g in self.param_groups for p in g["params"]]
        rate = self.param_groups[0]["lr"]
        momentum = self.param_groups[0]["momentum"]
        shapes = collections.defaultdict(list)
        for i, p in enumerate(params):
            state = self.state[p]
            if "mean" not in state:
                state["mean"] = torch.zeros_like(p)
            state["mean"].lerp_(p.grad, 1 - momentum)
            shapes[tuple(p.flatten(1).shape)].append(p)
        for shape, same in sorted(shapes.items()):
            update = torch.zeros(len(same), *shape)
            rank, n = dist.get_rank(), dist.get_world_size()
            mine = same[rank::n]
            if mine:
                update[rank::n] = orthogonal(torch.stack([
                    p.grad.lerp(self.state[p]["mean"], momentum).flatten(1) for p in mine]))
            dist.all_reduce(update)
            size = rate * max(1, shape[0] / shape[1]) ** 0.5
            for p, step in zip(same, update):
                p.sub_(step.view_as(p), alpha=size)


def orthogonal(x):
    """Nearly orthogonal matrices with the singular vectors of x [n, rows, columns]."""
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.transpose(1, 2)
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(5):  # Newton-Schulz with the published quintic
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return (x if wide else x.transpose(1, 2)).float()


class Optimizer:
    """Muon for hidden matrices, Adam for the rest, one schedule."""

    def __init__(self, named, stage):
        self.params = [p for _, p in named]
        hidden = [p for n, p in named if p.ndim >= 2
                  and not any(s in n for s in ("embed", "heads."))]
        rest = [p for p in self.params if not any(p is q for q in hidden)]
        self.stage = stage
        self.parts = [Muon(hidden, MATRIX_RATE[stage]),
                      torch.optim.Adam(rest, VECTOR_RATE[stage], betas=(0.9, 0.95), fused=True)]

    def step(self, number):
        """Averages the gradients of the processes and takes step `number` of the stage."""
        flat = torch.cat([p.grad.flatten() for p in self.params])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for p, g in zip(self.params, flat.split([p.numel() for p in self.params])):
            p.grad.copy_(g.view_as(p))
        left = 1 - number / STEPS[self.stage]
        decay = DECAY[self.stage]
        factor = min(1, (number + 1) / WARMUP) * (min(1, left / decay) if decay else 1)
        for part, rate in zip(self.parts, (MATRIX_RATE, VECTOR_RATE)):
            part.param_groups[0]["lr"] = rate[self.stage] * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self):
        """The state of both parts."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state):
        """Takes back the state of both parts."""
        for part, s in zip(self.parts, state):
            part.load_state_dict(s)


# ---------------------------------------------------------------- training

def share_named(logits, labels):
    """The share of right classes where there is an item."""
    return (logits.argmax(-1) == labels)[labels > 0].float().mean().item()


class Trainer:
    """One of the processes that train; all hold the same model."""

    def __init__(self, rank, work, out, seed):
        from transformers import AutoTokenizer
        self.rank, self.work, self.seed = rank, work, seed
        store = torch.load(work / "cells.pt", mmap=True, weights_only=True)
        self.train, self.test = store["train"], store["test"]
        self.model = make_model(AutoTokenizer.from_pretrained(out), seed)
        with torch.no_grad():
            self.heads = nn.ModuleDict({task: nn.Linear(192, n)
                                        for task, n in store["n_classes"].items()})
        self.averages, self.elapsed, self.started = {}, 0.0, time.time()

    def clock(self):
        """Seconds of training so far, earlier runs included."""
        return self.elapsed + time.time() - self.started

    def log(self, **fields):
        """One line on stdout and in WORK/log.jsonl, by the first process."""
        if self.rank:
            return
        fields = dict(seconds=round(self.clock()), **fields)
        with open(self.work / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
        show = lambda v: f"{v:.3f}" if isinstance(v, float) else (
            " ".join(f"{k} {show(w)}" for k, w in v.items()) if isinstance(v, dict) else str(v))
        print(" | ".join(f"{k} {show(v)}" for k, v in fields.items()), flush=True)

    def note(self, values):
        """Keeps running averages of a step's values, the same in all processes."""
        mean = torch.tensor(list(values.values()))
        dist.all_reduce(mean)
        for name, value in zip(values, (mean / dist.get_world_size()).tolist()):
            self.averages[name] = 0.95 * self.averages.get(name, value) + 0.05 * value

    def save(self, stage, step, optimizer):
        """Everything needed to go on at `step` of `stage`."""
        if self.rank == 0:
            torch.save(dict(stage=stage, step=step, model=self.model.state_dict(),
                            heads=self.heads.state_dict(), averages=self.averages,
                            optimizer=optimizer and optimizer.state_dict(),
                            elapsed=self.clock()), self.work / "state.part")
            os.rename(self.work / "state.part", self.work / "state.pt")

    def load(self):
        """Takes back what was saved; returns (stage, step, state of the optimiser)."""
        path = self.work / "state.pt"
        if not path.exists():
            return "text", 0, None
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.averages, self.elapsed = state["averages"], state["elapsed"]
        return state["stage"], state["step"], state["optimizer"]

    def parameters(self, stage):
        """Names and tensors that a stage trains."""
        named = list(self.model.named_parameters())
        if stage == "text":
            return [(n, p) for n, p in named if not n.startswith("visual.")]
        if stage == "vision":
            heads = [("heads." + n, p) for n, p in self.heads.named_parameters()]
            return [(n, p) for n, p in named if n.startswith("visual.")] + heads
        return named

    def run(self):
        """All stages that are not done yet."""
        stage, step, state = self.load()
        stages = list(STEPS) + ["done"]
        while stage != "done":
            self.run_stage(stage, step, state)
            if stage == "vision":
                self.log(stage="vision", held_out=self.measure_vision())
                self.scale_projector()
            stage, step, state = stages[stages.index(stage) + 1], 0, None
            self.save(stage, step, None)
        dist.barrier()

    def run_stage(self, stage, step, state):
        """The steps of one stage from `step` on."""
        optimizer = Optimizer(self.parameters(stage), stage)
        if state:
            optimizer.load_state_dict(state)
        batch = {"text": TEXT_BATCH, "joint": JOINT_BATCH}.get(stage)
        plan = batch and Plan(self.train, batch, self.model.config)
        for step in range(step, STEPS[stage]):
            if step and step % SAVE_EVERY == 0:
                self.save(stage, step, optimizer)
            number = self.seed * len(STEPS) + list(STEPS).index(stage)
            generator = torch.Generator().manual_seed(
                (number * 10 ** 6 + step) * PROCESSES + self.rank)
            loss, right = self.answer(plan, generator) if plan else self.recognise(generator)
            loss.backward()
            optimizer.step(step)
            self.note(dict(right, loss=loss.item()))
            if (step + 1) % LOG_EVERY == 0:
                self.log(stage=stage, step=step + 1, **self.averages)
            if plan and ((step + 1) % TEST_EVERY == 0 or step + 1 == STEPS[stage]):
                self.log(stage=stage, step=step + 1, held_out=self.measure(batch))
        self.averages = {}

    def answer(self, plan, generator):
        """The loss on answers, and the share of right first tokens per cell."""
        drawn = draw_batch(plan, generator)
        loss, right = 0, {}
        scenes = sum(n for _, n, _ in plan.cells)
        for (cell, n, _), (_, pairs), logits in zip(
                plan.cells, drawn, forward(self.model, plan, drawn)):
            name, labels = f"{cell['task']}/{cell['modality']}", cell["labels"][pairs]
            later = [LATER_DIGIT_WEIGHT] * (labels.shape[2] - 2)
            weight = torch.tensor([1.0] + later + [END_WEIGHT])
            loss_each = F.cross_entropy(logits.flatten(0, 2), labels.flatten(), reduction="none")
            loss_each = (loss_each.view(labels.shape) * weight).sum(2).mean()
            limit = PICTURE_LIMIT[cell["task"]] if cell["modality"] == "image" else 1
            rests = self.averages.get(name, 0) > limit
            loss = loss + loss_each * (0 if rests else n / scenes)
            right[name] = (logits[:, :, 0].argmax(-1) == labels[:, :, 0]).float().mean().item()
        return loss, right

    def recognise(self, generator):
        """The loss on what each cell of a picture shows, and the share of items named right."""
        loss, right = 0, {}
        for task in TASKS:
            cell = self.train[task, "image"]
            scene = draw_scenes(cell, VISION_BATCH, generator)
            logits, labels = self.name_items(cell, scene)
            loss = loss + F.cross_entropy(logits, labels) / len(TASKS)
            right[task] = share_named(logits, labels)
        return loss, right

    def name_items(self, cell, scene):
        """What the heads see in each cell of pictures, and what is there."""
        seen = see(self.model, cell["images"][scene])
        logits = self.heads[cell["task"]](F.layer_norm(seen, seen.shape[-1:]))
        return logits.flatten(0, 1), cell["shown"][scene].flatten()

    @torch.no_grad()
    def measure_vision(self):
        """The share of items in held-out pictures that the heads name right."""
        cells = [self.test[task, "image"] for task in TASKS]
        return {c["task"]: share_named(*self.name_items(c, slice(None))) for c in cells}

    @torch.no_grad()
    def scale_projector(self):
        """Scales the projector's last layer so that image tokens are as large as words."""
        words = self.model.model.embed_tokens.weight.square().mean().sqrt()
        sizes = [see(self.model, self.train[task, "image"]["images"][:64]).square().mean()
                 for task in TASKS]
        factor = words / torch.stack(sizes).mean().sqrt()
        last = self.model.visual.merger.mlp[2]
        last.weight *= factor
        last.bias *= factor
        self.log(stage="vision", projector_scaled_by=factor.item())

    @torch.no_grad()
    def measure(self, batch):
        """Accuracy on a sample of held-out prompts, the cells divided among the processes."""
        found = {}
        for task, modality in list(batch)[self.rank::dist.get_world_size()]:
            cell = self.test[task, modality]
            n = len(cell["context"])
            plan = Plan(self.test, {(task, modality): (n, 1)}, self.model.config)
            logits = forward(self.model, plan, [(torch.arange(n), cell["asked"])])[0]
            right = logits[:, 0, 0].argmax(-1) == cell["labels"][cell["asked"][:, 0], 0]
            found[f"{task}/{modality}"] = right.float().mean().item()
        everything = [None] * dist.get_world_size()
        dist.all_gather_object(everything, found)
        return {k: v for part in everything for k, v in sorted(part.items())}


def work_as(rank, work, out, seed, meeting):
    """A training process; the first one writes the model folder in the end."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank,
                            world_size=PROCESSES)
    trainer = Trainer(rank, work, out, seed)
    trainer.run()
    if rank == 0:
        trainer.model.to(torch.bfloat16).save_pretrained(out)
        size = sum(f.stat().st_size for f in out.iterdir() if f.is_file())
        trainer.log(finished=str(out), bytes=size)
    dist.destroy_process_group()


def train(twinlens, work, out, seed):
    """Data, tokenizer and the three stages."""
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    make_data(twinlens, work / "data")
    if not (work / "cells.pt").exists() or not (out / "tokenizer.json").exists():
        prepare(work / "data", work, out)
    meeting = work / f"meeting-{os.getpid()}"
    meeting.unlink(missing_ok=True)
    torch.multiprocessing.spawn(work_as, (work, out, seed, meeting.resolve()), PROCESSES)
    meeting.unlink(missing_ok=True)


# ---------------------------------------------------------------- evaluation

def wilson(right, n, z=1.96):
    """The 95 % interval of a share."""
    share, spread = right / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return middle - half, middle + half


@torch.no_grad()
def evaluate(folder, data):
    """Prints the accuracy of the answers' first tokens on every dataset below `data`."""
    from transformers import AutoModelForImageTextToText, AutoProcessor
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, torch_dtype=torch.float32).eval()
    first = lambda text: processor.tokenizer.encode(text)[0]
    print(f"{'task':16s}{'modality':10s}{'n':>5s}{'accuracy':>10s}{'95 %':>16s}{'of labels':>11s}")
    for path in sorted(data.rglob("dataset.jsonl")):
        task = json.loads((path.parent / "task.json").read_text(encoding="utf-8"))
        rows = read_jsonl(path)
        for modality in ("text", "image"):
            cell = [r for r in rows if r["modality"] == modality]
            right = right_label = 0
            for i in range(0, len(cell), 50):
                part = cell[i:i + 50]
                logits = last_logits(model, processor, part, path.parent)
                for row, each in zip(part, logits):
                    answer = first(row["answer"])
                    labels = sorted({first(x) for x in row.get("labels", task.get("labels"))})
                    right += int(each.argmax()) == answer
                    right_label += labels[int(each[labels].argmax())] == answer
            if cell:
                low, high = wilson(right, len(cell))
                print(f"{task['name']:16s}{modality:10s}{len(cell):5d}{right / len(cell):10.3f}"
                      f"    [{low:.3f}, {high:.3f}]{right_label / len(cell):10.3f}", flush=True)


def last_logits(model, processor, rows, folder):
    """Logits behind the prompts of rows of one modality."""
    texts, images = [], []
    for row in rows:
        content = [{"type": "text", "text": row.get("before", "") + row.get("data", "")
                    + row["query"]}]
        if row["modality"] == "image":
            content.insert(0, {"type": "image"})
            images.append(Image.open(folder / row["image"]).convert("RGB"))
        texts.append(processor.apply_chat_template([{"role": "user", "content": content}],
                                                   add_generation_prompt=True))
    inputs = processor(text=texts, images=images or None, padding=True, return_tensors="pt")
    return model(**inputs).logits[:, -1]


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twinlens", type=Path, help="the program that makes the data")
    parser.add_argument("--work", type=Path, help="folder for data, log and state")
    parser.add_argument("--out", type=Path, help="folder for the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eval", type=Path, metavar="DIR", help="measure this model instead")
    parser.add_argument("--data", type=Path, help="datasets to measure it on")
    args = parser.parse_args()
    if args.eval and args.data:
        torch.set_num_threads(1)
        evaluate(args.eval, args.data)
    elif args.twinlens and args.work and args.out:
        train(args.twinlens, args.work, args.out, args.seed)
    else:
        parser.error("give --twinlens, --work and --out, or --eval and --data")


if __name__ == "__main__":
    main()
