#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tokenizer_forms.py - small tokenizers of the forms that the families' folders have, and what the tokenizers library makes of texts.

    PYTHON4 tokenizer_forms.py save4                  transformers 4.51.3, sentencepiece: the forms that it saves
    PYTHON5 tokenizer_forms.py save5                  transformers 5.24.0, sentencepiece: its own, and those that are only downloaded
    PYTHON5 tokenizer_forms.py record                 golden.json beside them
    PYTHON tokenizer_forms.py live PROGRAM [FILE...]  10 000 random texts: the ids and offsets of PROGRAM (test_tokenizer_forms)
                                                      against those of the library, for these files, else for all of the folder

All lie in tests/data/tokenizer_forms. `live` needs the tokenizers package only, and ends with 1 when anything differs.
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

DATA = Path(__file__).resolve().parent.parent / "data"
FORMS = DATA / "tokenizer_forms"

# --- texts --------------------------------------------------------------------------------------------------------------

SPECIAL = ["<s>", "</s>", "<unk>", "<image>", "<pad>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<bos>", "<start_of_turn>",
           "<row_1_col_1>", "<fake_token_around_image>", "<end_of_utterance>", "[INST]", "[IMG]", "<|begin_of_text|>", "<mask>"]
WORDS = ["the", " the", "The", "red", " cube", "don't", "WE'LL", "'s", "'S", "HTTPServer", "12", "1234567", "3.14", "<0x41>", "▁", "▁▁", " ",
         "  ", "    ", "\n", "\n\n", "\r\n", "\t", ".", "...", "!?", "/", "-", "_", "naïve", "cafe\u0301", "日本語", "漢", "Привет", "ﬁ", "①", "½",
         "２", "ſ", "K", "İ", "ß", "각", "\u1100\u1161\u11a8", "\u200d", "\ufeff", "\u00a0", "\u3000", "\u2028", "\u180e", "\u0085", "🙂", "👩‍👩‍👧",
         "\x00", "\x7f", "Å", "q\u0323\u0307", "\u0344", "\u0f73", "\u212b", "\ufdfa", "\u1e9b\u0323", "㍿", "Ⅷ", "٣", "\U0001e950"]
RANGES = [(0x20, 0x7e), (0x20, 0x7e), (0x00, 0x2ff), (0x300, 0x36f), (0x370, 0x5ff), (0x600, 0x8ff), (0x900, 0xdff), (0xe00, 0x10ff),
          (0x1100, 0x11ff), (0x1d00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x2bff), (0x3000, 0x33ff), (0x4e00, 0x9fff), (0xa000, 0xabff),
          (0xac00, 0xd7ff), (0xf900, 0xffff), (0x10000, 0x11fff), (0x12000, 0x14fff), (0x16000, 0x18fff), (0x1d000, 0x1dfff),
          (0x1e000, 0x1ffff), (0x2eb00, 0x2ee6f), (0x31300, 0x323af), (0, 0xd7ff), (0xe000, 0x10ffff)]


def random_text(source, longest):
    parts = []
    for _ in range(source.randrange(1, longest)):
        kind = source.random()
        if kind < 0.45:
            low, high = source.choice(RANGES)
            parts.append("".join(chr(source.randint(low, high)) for _ in range(source.randrange(1, 4))))
        elif kind < 0.55:
            parts.append(source.choice(SPECIAL))
        else:
            parts.append(source.choice(WORDS))
    return "".join(parts)


def random_texts(count, longest, seed=14):
    source = random.Random(seed)
    return [random_text(source, longest) for _ in range(count)]


PLAIN = ["", " ", "  two  spaces ", "tabs\tand\nnewlines\r\n\r\n end", "don't we'll I'M they'RE", "1234567890 3.14 1,000",
         "naïve café résumé", "nai\u0308ve cafe\u0301", "日本語のテキスト 漢字", "Привет мир", "مرحبا بالعالم", "🙂👩‍👩‍👧‍👦🇫🇷 flags",
         "a\u200bb\u00a0c\ufeffd", "snake_case CamelCase kebab-case HTTPServer2Go", "<s>user <image>\nhi</s> <image>", "▁already ▁▁ there▁",
         "𝔘𝔟 ligature ﬁ ①½２", " leading", "trailing  ", "12 + 7 =", "\n\n\n", "     five", "x" * 40, "<|im_start|>user\nhi<|im_end|>",
         "<image> <image>  a", " <s> a", "<row_1_col_1>9<fake_token_around_image>", "\u0897\U00010ec2\U00016d43\U000116d0 \U0002ebf0\u1c89",
         "<mask>\U0002ebf0 \U00016d43<mask> <mask> a the<mask>. \n \n <image> 12 the"]

# --- forms ----------------------------------------------------------------------------------------------------------------


def lines():
    return (DATA.parent.parent / "LICENSE").read_text().splitlines() + PLAIN + WORDS


def train_bytes():
    """A byte-level BPE of the lines and of random texts, not split: so its merges cross whatever a splitter cuts."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=440, max_token_length=6, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(lines() + random_texts(4000, 9, seed=15), trainer)
    model = json.loads(made.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def train_sentencepiece(folder, **options):
    import sentencepiece
    usual = dict(vocab_size=400, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                 character_coverage=0.98, split_digits=True, allow_whitespace_only_pieces=True, hard_vocab_limit=False, minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines()), model_prefix=str(folder / "tokenizer"), **{**usual, **options})


def save(name, tokenizer):
    """As the class writes its tokenizer.json; `tokenizer` is of transformers or of tokenizers."""
    FORMS.mkdir(exist_ok=True)
    made = tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer.backend_tokenizer
    (FORMS / f"{name}.json").write_text(made.to_str() + "\n")


def added(*contents, **flags):
    return [AddedToken(c, **{**dict(normalized=False, special=True), **flags}) for c in contents]


def save4():
    """Llama's tokenizer from its SentencePiece model, both ways."""
    import transformers
    assert transformers.__version__ == "4.51.3"
    with tempfile.TemporaryDirectory() as folder:
        train_sentencepiece(Path(folder))
        for name, legacy in (("llama_legacy", True), ("llama_4", False)):
            made = transformers.LlamaTokenizerFast.from_pretrained(folder, legacy=legacy)
            made.add_tokens(added("<image>", "<pad>"))
            save(name, made)


def save_llama5():
    import transformers
    with tempfile.TemporaryDirectory() as folder:
        train_sentencepiece(Path(folder))
        made = transformers.LlamaTokenizer.from_pretrained(folder)
        made.add_tokens(added("<image>", "<pad>"))
        save("llama_5", made)
        made = transformers.LlamaTokenizer.from_pretrained(folder, add_prefix_space=False)
        save("llama_5_no_prefix", made)
    # A folder with the SentencePiece model only: what the model says of blanks, and its own whole pieces.
    for name, legacy, blanks in (("llava_next_5", True, False), ("llava_next_5_blanks", True, True), ("llava_next_5_first", False, False)):
        with tempfile.TemporaryDirectory() as folder:
            train_sentencepiece(Path(folder), remove_extra_whitespaces=blanks,
                                user_defined_symbols=["<image>", "▁▁", "▁▁▁▁", "\t"])
            (Path(folder) / "config.json").write_text(json.dumps(dict(model_type="llava_next")))
            (Path(folder) / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="LlamaTokenizer", legacy=legacy)))
            save(name, transformers.AutoTokenizer.from_pretrained(folder))
    with tempfile.TemporaryDirectory() as folder:
        train_sentencepiece(Path(folder), bos_piece="<bos>", eos_piece="<eos>", user_defined_symbols=["\n", "\n\n", "▁▁", "<start_of_turn>"])
        save("gemma_5", transformers.GemmaTokenizer.from_pretrained(folder))


def save_corrected(name, published):
    """What transformers 5 makes of a form that lies in a Mistral's folder, when asked to correct its split expression. It asks
    itself where the vocabulary has more than 100 000 tokens, so it is asked here."""
    from transformers import TokenizersBackend
    made = Tokenizer.from_file(str(FORMS / f"{published}.json"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(dict(model_type="mistral3", transformers_version="4.52.0")))
        save(name, TokenizersBackend._patch_mistral_regex(made, folder, is_local=True, fix_mistral_regex=True))


def save_bytes5():
    import transformers
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocab, merges = train_bytes()
    made = transformers.GPT2Tokenizer(vocab=dict(vocab), merges=merges)
    made.add_tokens(added("<image>"))
    save("gpt2_5", made)
    save("gpt2_5_prefix", transformers.GPT2Tokenizer(vocab=dict(vocab), merges=merges, add_prefix_space=True))
    made = transformers.Qwen2Tokenizer(vocab=dict(vocab), merges=merges)
    made.add_tokens(added("<|im_start|>", "<|im_end|>", "<|image_pad|>", "<image>"))
    save("qwen2_5", made)

    def downloaded(name, pre_tokenizer, contents=(), normalizer=None, **model):
        made = Tokenizer(models.BPE(dict(vocab), merges, **model))
        made.pre_tokenizer = pre_tokenizer
        made.decoder = decoders.ByteLevel()
        if normalizer is not None:
            made.normalizer = normalizer
        made.add_special_tokens(added(*contents))
        save(name, made)

    def split(expression):
        return pre_tokenizers.Split(Regex(expression), "isolated")

    no_regex = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    downloaded("smolvlm", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]),
               ["<image>", "<row_1_col_1>", "<fake_token_around_image>", "<end_of_utterance>", "<|im_start|>"])
    downloaded("digits", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), no_regex]))
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    downloaded("idefics3", pre_tokenizers.Sequence([split(llama3), no_regex]),
               ["<|begin_of_text|>", "<image>", "<fake_token_around_image>", "<row_1_col_1>"], ignore_merges=True)
    # Mistral-3 as transformers 4 converted it, and as transformers 5 corrects it.
    downloaded("mistral3_converted", pre_tokenizers.Sequence([split(llama3), no_regex]), ["<unk>", "<s>", "</s>", "[INST]", "[IMG]"],
               ignore_merges=True)
    save_corrected("mistral3_corrected", "mistral3_converted")
    # The case of letters by looking ahead, as tiktoken's expressions have it.
    downloaded("lookahead", pre_tokenizers.Sequence([split(
        r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|"
        r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"), no_regex]))
    # Classes within classes, as Kimi's expression has them, and every kind of theirs.
    downloaded("classes", pre_tokenizers.Sequence([split(
        r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), no_regex]))
    downloaded("nested", pre_tokenizers.Sequence([split(
        r"[a-f[^\x{20}-\x{2ff}]]+|[^[g-m][n-p]\p{N}\s]{2}|[q-z&&[^t-v]&&[^\P{L}]]|[^\p{N}&&[^2-7]]|[[[1]]2[^\s\S]]+"), no_regex]))
    made = Tokenizer(models.BPE(dict(vocab), merges))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = byte_level
    made.add_tokens([AddedToken("<mask>", single_word=True, normalized=False), AddedToken("<image>", lstrip=True), AddedToken("<pad>", rstrip=True),
                     AddedToken("the", single_word=True, special=True), AddedToken("１２", normalized=True), AddedToken("\n", lstrip=True, rstrip=True)])
    save("flags", made)
    for form in ("NFD", "NFKC", "NFKD"):
        downloaded(form.lower(), pre_tokenizers.ByteLevel(add_prefix_space=False), ["<image>"], normalizer=getattr(normalizers, form)())
    downloaded("replaces", no_regex, ["<image>"], normalizer=normalizers.Sequence(
        [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(r"[\r\n]+|\p{Sc}"), " €"), normalizers.Replace(Regex(" {2,}"), " ")]))
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            downloaded(f"split_{behavior}" + ("_inverted" if invert else ""), pre_tokenizers.Sequence(
                [pre_tokenizers.Split(Regex(r"\p{L}{2}|\s"), behavior, invert=invert), no_regex]))


def save_metaspace():
    """Every kind of Metaspace, in front of and behind other splitters, and in its older spelling."""
    def made(pre_tokenizer, normalizer=None):
        one = Tokenizer.from_file(str(FORMS / "llama_4.json"))
        one.pre_tokenizer = pre_tokenizer
        if normalizer is not None:
            one.normalizer = normalizer
        return one

    for scheme in ("always", "first", "never"):
        save(f"metaspace_{scheme}", made(pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)))
    save("metaspace_after_split", made(pre_tokenizers.Sequence(
        [pre_tokenizers.Split("e", "merged_with_next"), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)])))
    save("metaspace_behind_replace", made(pre_tokenizers.Metaspace(prepend_scheme="first"), normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\A +"), ""), normalizers.Replace("\n", "▁")])))
    old = json.loads(made(pre_tokenizers.Metaspace(prepend_scheme="always")).to_str())
    old["pre_tokenizer"] = dict(type="Metaspace", replacement="▁", add_prefix_space=True, prepend_scheme="first")
    old["decoder"] = dict(type="Metaspace", replacement="▁", add_prefix_space=True)
    (FORMS / "metaspace_old.json").write_text(json.dumps(old, ensure_ascii=False) + "\n")


def save5():
    import transformers
    assert transformers.__version__ == "5.24.0"
    save_llama5()
    save_bytes5()
    save_metaspace()
    save_corrected("mistral_corrected", "llama_4")


# --- what the library makes of them ---------------------------------------------------------------------------------------


def encode(library, text):
    """[[id, begin, end], ...] with offsets in bytes."""
    offset = [0]
    for character in text:
        offset.append(offset[-1] + len(character.encode()))
    got = library.encode(text, add_special_tokens=False)
    return [[id, offset[b], offset[e]] for id, (b, e) in zip(got.ids, got.offsets)]


def read_form(path):
    library = Tokenizer.from_file(str(path))
    library.no_truncation()
    library.no_padding()
    if library.post_processor is not None:
        library.post_processor = tokenizers.processors.Sequence([])  # it may trim offsets
    return library


def record():
    texts, few = PLAIN + random_texts(200, 4), len(PLAIN)
    rows = []
    for path in sorted(FORMS.glob("*.json")):
        if path.name == "golden.json":
            continue
        library = read_form(path)
        got = [encode(library, t) for t in texts]
        got = got[:few] + [[t[0] for t in tokens] for tokens in got[few:]]
        rows.append(f'{{"tokenizer": "{path.name}", "tokens": [\n' + ",\n".join(json.dumps(g, separators=(",", ":")) for g in got) + "\n]}")
    with open(FORMS / "golden.json", "w") as file:
        file.write('{"texts": [\n' + ",\n".join(map(json.dumps, texts)) + '\n],\n"golden": [\n' + ",\n".join(rows) + "\n]}\n")


def compare(program, path, texts):
    """The number of texts that differ, the first three of them shown."""
    library = read_form(path)
    got = subprocess.run([program, str(path)], input=json.dumps(texts), capture_output=True, text=True)
    if got.returncode != 0:
        print(f"{path.name}: {got.stderr.strip()}")
        return 1
    differ = 0
    for text, line in zip(texts, got.stdout.splitlines(), strict=True):
        found, wanted = json.loads(line), encode(library, text)
        if found != wanted:
            differ += 1
            if differ <= 3:
                at = next((i for i, (f, w) in enumerate(zip(found, wanted)) if f != w), min(len(found), len(wanted)))
                print(f"{path.name}: {text[:60]!a}: token {at} is {found[at:at + 3]}, wanted {wanted[at:at + 3]}")
    print(f"{path.name}: {len(texts) - differ} of {len(texts)} texts alike")
    return differ


def live(program, *paths):
    texts = PLAIN + random_texts(10000, 9)
    paths = [Path(p) for p in paths] or [p for p in sorted(FORMS.glob("*.json")) if p.name != "golden.json"]
    print(f"tokenizers {tokenizers.__version__}")
    sys.exit(sum(compare(program, p, texts) for p in paths) != 0)


if __name__ == "__main__":
    commands = dict(save4=save4, save5=save5, record=record, live=live)
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
