"""Writes the made-up tokenizers of this folder, and golden.json: what the tokenizers
library (0.21.4) makes of nasty texts, as [id, begin, end] with offsets in bytes.

    python3 make.py        in this folder; pip install tokenizers==0.21.4

pixtral-tiny.json and gemma3-tiny.json are tokenizers of random tiny models: merges
learnt from a few lines, the pre-tokenizers and normalizers of Pixtral and Gemma 3.
"""
import json
import os

from tokenizers import Tokenizer

TEXTS = [
    "", " ", "  two  blanks ", "trailing   ", "\n\n \n  x", "tabs\tand\r\n\r\nlines\r",
    "don't WE'LL I'm they'RE 'ſ 'K", "1234567 3.14 1,000 ١٢٣ Ⅷ ½",
    "naïve café", "nai\u0308ve cafe\u0301", "e\u0301\u0323\u0302 a\u0323\u0301\u0323",
    "\u0301 starts with a mark", "\u0344\u0958\u0344 \u1e9b\u0323", "각 \u1100\u1161\u11a8 \uac00\u11a8",
    "\u0f73\u0f71 \u0b92\u0bd7 \U0001d15e\U0001d165", "\u212b \u00c5 \u2126 ﬁ ＡＢＣ", "日本語 漢字テスト。中文",
    "Привет, мир! مرحبا שלום สวัสดี", "👩‍👩‍👧‍👦 🇫🇷 👍🏽 ❤️ 🙂", "a\u200bb\u00a0c\ufeffd\u2028e\u180ef\u3000g\u0085h",
    "\x00\x01\x7f a\x00b", "\uffff\U0010ffff\ue000", "snake_case CamelCase XMLHttp2Request kebab-case",
    "!!! ??? ...--- <<>> @@", "▁already▁metaspace ▁ ", "<0x41><0x0A> <unk> <pad>",
    "<|im_start|>user\nhi<|im_end|>\n", "in<|im_end|>side", "<|im_start|><|im_start|", "<|im_end<|im_end|>|>",
    "[INST]a[IMG][IMG_BREAK]b[IMG_END][/INST]", "[IMG", "<start_of_turn>user\nq<end_of_turn>\n",
    "a<start_of_image>b", "<image_soft_token>" * 3, "e<|im_end|>\u0301", "x" * 300, "ab" * 100 + " " * 50,
    "Answer in a single number. 12 + 7 =", "\u0339\u0301" * 40 + "\u0327" * 3,
    "𝔘𝔟 \u1ab0\u1dfa\u0316 \U00011935\U00011930 \U00011938",
    # for the added tokens of options.json
    "<s> a <s>b", "a <mask> b", "a<mask>b <mask>, ‿<mask> ⓐ<mask> \u0301<mask>\u200d", " \t<l> <l>\u2003 <l>",
    "<r> \u00a0 <r>  x<r>", "cafe\u0301 CAFÉ café", "<s><s <s> >", "abcabcd abcdab ab",
    "x  <l>  <r>  <mask>  y", "日本 日 本",
    ". <mask>\u200d .<mask>\u200c <mask>\u200b", "the theme and the end",
]


def token(id, content, **flags):
    base = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return dict(id=id, content=content, **{**base, **flags})


def tokenizer(vocab, merges, added=(), normalizer=None, pre_tokenizer=None, **model):
    options = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                   end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                   ignore_merges=False)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=list(added),
                normalizer=normalizer, pre_tokenizer=pre_tokenizer, post_processor=None,
                decoder=None, model={**options, **model, "vocab": vocab, "merges": merges})


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def split(pattern, behavior, invert=False):
    kind = "Regex" if pattern.startswith("(") else "String"
    return dict(type="Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def numbered(tokens):
    return {t: i for i, t in enumerate(tokens)}


letters = ["<unk>"] + list("abcdefghijklmnopqrstuvwxyzé▁.,\u0301")
MADE = {
    # every flag of an added token; tokens that the model knows; NFC before a Prepend
    "options": tokenizer(
        numbered(letters + ["ab", "abc"]), [["a", "b"], ["ab", "c"]],
        [token(32 + 2, "<s>", special=True), token(35, "<s", special=True),
         token(36, "<mask>", single_word=True), token(37, "<l>", lstrip=True),
         token(38, "<r>", rstrip=True), token(39, "café", normalized=True),
         token(40, "abcd"), token(33, "abc", normalized=True, single_word=True)],
        sequence("normalizers", dict(type="NFC"), dict(type="Prepend", prepend="▁"),
                 dict(type="Replace", pattern={"String": "  "}, content="▁"), dict(type="NFC")),
        split("▁", "MergedWithNext"), unk_token="<unk>"),
    # unknown characters fused; some bytes are missing; merges as strings
    "unknown": tokenizer(
        numbered(letters + ["ab", "abc", "bl", "xx", "xxxx"] +
                 [f"<0x{b:02X}>" for b in range(256) if b % 7 != 3]),
        ["a b", "ab c", "b l", "x x", "xx xx"], unk_token="<unk>", fuse_unk=True,
        byte_fallback=True, pre_tokenizer=sequence(
            "pretokenizers", split("(\\s+|(?=\\p{Lu}))", "Contiguous"), split(" ", "Removed"))),
    # nothing stands for what the vocabulary lacks
    "dropping": tokenizer(
        numbered(letters + ["the", "en", "end", "nd"]), ["e n", "n d"], ignore_merges=True,
        pre_tokenizer=split("(\\p{L}+)", "MergedWithPrevious", invert=True)),
    # GPT-2: its own expression, a blank in front
    "gpt2": tokenizer(
        numbered([chr(c) for c in range(33, 324)] + ["Ġt", "he", "Ġthe", "Ã©"]), ["Ġ t", "h e", "Ġt he", "Ã ©"],
        pre_tokenizer=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True,
                           use_regex=True)),
}


def encode(library, text):
    offset = [0]
    for character in text:
        offset.append(offset[-1] + len(character.encode()))
    got = library.encode(text, add_special_tokens=False)
    return [[id, offset[b], offset[e]] for id, (b, e) in zip(got.ids, got.offsets)]


for name, made in MADE.items():
    with open(f"{name}.json", "w") as file:
        json.dump(made, file, ensure_ascii=False)
        file.write("\n")
golden = []
for path in ["../qwen2vl-tiny/checkpoint/tokenizer.json", "pixtral-tiny.json",
             "gemma3-tiny.json"] + [f"{name}.json" for name in MADE]:
    library = Tokenizer.from_file(path)
    golden.append(dict(tokenizer=path, tokens=[encode(library, t) for t in TEXTS]))
with open("golden.json", "w") as file:
    file.write('{"texts": [\n')
    file.write(",\n".join(json.dumps(t) for t in TEXTS) + '\n],\n"golden": [\n')
    rows = []
    for g in golden:
        tokens = ",\n".join(json.dumps(t, separators=(",", ":")) for t in g["tokens"])
        rows.append(f'{{"tokenizer": "{g["tokenizer"]}", "tokens": [\n{tokens}\n]}}')
    file.write(",\n".join(rows) + "\n]}\n")
print(os.path.getsize("golden.json"), "bytes")
