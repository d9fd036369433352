#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""chats_of_mistral.py - Pixtral's and Mistral-Small 3.1's chats and tokens beside those of Mistral's own library.

    python chats_of_mistral.py LIBTWINLENS

LIBTWINLENS is build/dev/libtwinlens.so. mistral-common makes the prompt of a picture and words in the versions 3 (Pixtral) and 7
(Mistral-Small 3.1) of its chat: its text must be that of make_families.py and newer_families.py, which src/input/chat.c is held to, and the
places of the picture those of a picture of that size. The library's Tekken, converted by transformers 5 into a tokenizer.json,
must give the same ids here as there, of ten thousand random strings. Needs mistral-common[opencv], transformers 5, pillow.
"""
import base64
import ctypes
import io
import json
import random
import sys
import tempfile
from pathlib import Path

import mistral_common
from mistral_common.protocol.instruct.messages import ImageURLChunk, TextChunk, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from PIL import Image
from transformers.integrations.mistral import convert_tekken_tokenizer

TEKKEN = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
VERSIONS = {"v3": dict(image_patch_size=16, max_image_size=1024, spatial_merge_size=1),
            "v7": dict(image_patch_size=14, max_image_size=1540, spatial_merge_size=2)}


class Token(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("begin", ctypes.c_size_t), ("end", ctypes.c_size_t)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("text", ctypes.c_char * 768)]


class Tokenizer:
    """twinlens/tokenizer.h"""

    def __init__(self, library, path):
        self.lib, self.error, self.handle = ctypes.CDLL(library), Error(), ctypes.c_void_p()
        self.lib.tl_arena_create.restype = ctypes.c_void_p
        if self.lib.tl_tokenizer_open(str(path).encode(), ctypes.byref(self.handle), ctypes.byref(self.error)):
            sys.exit(self.error.text.decode())

    def encode(self, text):
        arena, tokens, count = ctypes.c_void_p(self.lib.tl_arena_create()), ctypes.POINTER(Token)(), ctypes.c_size_t()
        data = text.encode()
        if self.lib.tl_tokenizer_encode(self.handle, data, ctypes.c_size_t(len(data)), arena, ctypes.byref(tokens),
                                        ctypes.byref(count), ctypes.byref(self.error)):
            sys.exit(self.error.text.decode())
        ids = [tokens[i].id for i in range(count.value)]
        self.lib.tl_arena_destroy(arena)
        return ids


def picture(width, height):
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return ImageURLChunk(image_url="data:image/png;base64," + base64.b64encode(out.getvalue()).decode())


def strings(n):
    """Of letters, of scripts and signs, and of what splitters look at."""
    ranges = ((0xA0, 0x250), (0x370, 0x530), (0x600, 0x700), (0x900, 0x980), (0x2000, 0x2070), (0x3040, 0x3100),
              (0x4E00, 0x4F00), (0xAC00, 0xAC80), (0x1F300, 0x1F650), (0x300, 0x370))
    pools = [[chr(i) for i in range(32, 127)], [chr(i) for r in ranges for i in range(*r)], list(" \n\t\r/'.,0123456789aAeEtThHs")]
    rng = random.Random(3)
    return ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 60))) for _ in range(n)]


def main(library):
    work = Path(tempfile.mkdtemp())
    tekken = json.loads(TEKKEN.read_text())
    (work / "tekken.json").write_text(json.dumps(tekken))
    convert_tekken_tokenizer(str(work / "tekken.json")).save_pretrained(work)
    ours, theirs = Tokenizer(library, work / "tokenizer.json"), Tekkenizer.from_file(str(work / "tekken.json"))
    differ = [s for s in strings(10000) if ours.encode(s) != theirs.encode(s, bos=False, eos=False)]
    print(f"tokens: {len(differ)} of 10000 strings differ {differ[:3]}")
    failed = len(differ)
    for version, image in VERSIONS.items():
        tekken["config"]["version"], tekken["multimodal"] = version, image
        path = work / f"tekken.{version}.json"
        path.write_text(json.dumps(tekken))
        chat, side = MistralTokenizer.from_file(str(path)), image["image_patch_size"] * image["spatial_merge_size"]
        for words, size in (("What is this? Name 12 of them.", (60, 90)), (" Is it\n red?", (200, 31)), ("How many?", None)):
            columns, rows = (-(-n // side) for n in size) if size else (0, 0)
            block = "[IMG_BREAK]".join(["[IMG]" * columns] * rows) + "[IMG_END]" if size else ""
            text = "<s>[INST]" + block + words + "[/INST]"
            made = chat.encode_chat_completion(ChatCompletionRequest(messages=[
                UserMessage(content=[picture(*size), TextChunk(text=words)] if size else words)]))
            same = made.text == text, made.tokens == ours.encode(text)
            print(f"{version} {size}: text {'equal' if same[0] else made.text + ' is not ' + text}, "
                  f"ids {'equal' if same[1] else 'differ'}")
            failed += not all(same)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(sys.argv[1])
