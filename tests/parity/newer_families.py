# SPDX-License-Identifier: MIT
"""Builders for make_families.py of the families that transformers 5 knows. Each takes a folder, writes tokenizer and image processor into it,
and returns a model and encode(words, image) -> (token ids, what else the model takes)."""
import json
import shutil
from pathlib import Path

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

DATA = Path(__file__).resolve().parent.parent / "data"


def write_json(path, **content):
    path.write_text(json.dumps(content, indent=1) + "\n")


def qwen3_vl(out):
    """A head size of its own, three layers of the tower of which two give features, positions of 5 x 5 for other grids."""
    qwen = DATA / "qwen2vl-tiny" / "checkpoint"
    shutil.copy(qwen / "tokenizer.json", out)
    base = json.loads((qwen / "config.json").read_text())
    write_json(out / "preprocessor_config.json", image_processor_type="Qwen2VLImageProcessorFast", patch_size=16, merge_size=2,
               temporal_patch_size=2, size=dict(shortest_edge=1024, longest_edge=17000), image_mean=[0.5, 0.4, 0.5],
               image_std=[0.5, 0.5, 0.6])
    tokens = {k: base[k] for k in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")}
    config = transformers.Qwen3VLConfig(
        **tokens, tie_word_embeddings=True,
        text_config=dict(hidden_size=40, head_dim=12, num_attention_heads=4, num_key_value_heads=2, intermediate_size=56,
                         num_hidden_layers=4, vocab_size=base["vocab_size"], rms_norm_eps=1e-5,
                         rope_parameters=dict(rope_type="default", rope_theta=5e4, mrope_section=[3, 2, 1], mrope_interleaved=True)),
        vision_config=dict(depth=3, hidden_size=24, intermediate_size=44, num_heads=3, patch_size=16, out_hidden_size=40,
                           num_position_embeddings=25, deepstack_visual_indexes=[0, 1]))
    model = transformers.Qwen3VLForConditionalGeneration(config)
    images = transformers.Qwen2VLImageProcessorPil.from_pretrained(out)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))

    def encode(words, image):
        kwargs, placeholder = {}, ""
        if image is not None:
            kwargs = dict(images(image, return_tensors="pt"))
            _, h, w = kwargs["image_grid_thw"][0].tolist()
            placeholder = "<|vision_start|>" + "<|image_pad|>" * (h * w // 4) + "<|vision_end|>"
        text = "<|im_start|>user\n" + placeholder + words + "<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer.encode(text, add_special_tokens=False)
        kwargs["mm_token_type_ids"] = torch.tensor([[int(i == config.image_token_id) for i in ids]])
        return ids, kwargs

    return model, encode


def mistral3(out):
    """Squares of 3 x 3 patches, a bias in the projector, states of the tower's last layer but one."""
    shutil.copy(DATA / "families" / "pixtral" / "tokenizer.json", out)
    write_json(out / "preprocessor_config.json", image_processor_type="PixtralImageProcessorFast", patch_size=10,
               size=dict(longest_edge=118), image_mean=[0.48, 0.46, 0.41], image_std=[0.27, 0.26, 0.28])
    config = transformers.Mistral3Config(
        image_token_index=10, spatial_merge_size=3, multimodal_projector_bias=True, vision_feature_layer=-2, tie_word_embeddings=False,
        text_config=dict(model_type="mistral", hidden_size=36, head_dim=12, num_attention_heads=4, num_key_value_heads=2,
                         intermediate_size=56, num_hidden_layers=3, vocab_size=640, sliding_window=None, rms_norm_eps=1e-4,
                         rope_parameters=dict(rope_type="default", rope_theta=1e9)),
        vision_config=dict(model_type="pixtral", hidden_size=24, num_attention_heads=2, num_hidden_layers=4, intermediate_size=40,
                           image_size=120, patch_size=10, hidden_act="silu"))
    model = transformers.Mistral3ForConditionalGeneration(config)
    images = transformers.PixtralImageProcessorPil.from_pretrained(out, patch_size=30)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))

    def encode(words, image):
        kwargs, block = {}, ""
        if image is not None:
            kwargs = dict(images(image, return_tensors="pt"))
            height, width = kwargs["image_sizes"][0]
            block = "[IMG_BREAK]".join(["[IMG]" * (width // 30)] * (height // 30)) + "[IMG_END]"
        return tokenizer.encode("<s>[INST]" + block + words + "[/INST]", add_special_tokens=False), kwargs

    return model, encode


def llava_next(out):
    """Tiles of 3 x 3 patches and some pixels more, a sliding window, states of the tower's last layer but two."""
    shutil.copy(DATA / "families" / "llava" / "tokenizer.json", out)
    sizes = [[47, 94], [94, 47], [94, 94], [141, 47], [47, 188]]
    write_json(out / "preprocessor_config.json", image_processor_type="LlavaNextImageProcessor", size=dict(shortest_edge=47),
               crop_size=dict(height=47, width=47), image_grid_pinpoints=sizes, image_mean=[0.48, 0.46, 0.41],
               image_std=[0.27, 0.26, 0.28], resample=2)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    config = transformers.LlavaNextConfig(
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), image_grid_pinpoints=sizes, vision_feature_layer=-3,
        multimodal_projector_bias=False, projector_hidden_act="gelu_pytorch_tanh",
        text_config=dict(model_type="mistral", hidden_size=40, head_dim=12, num_attention_heads=4, num_key_value_heads=2,
                         intermediate_size=56, num_hidden_layers=3, vocab_size=len(tokenizer), sliding_window=24, rms_norm_eps=1e-4,
                         rope_parameters=dict(rope_type="default", rope_theta=5e4)),
        vision_config=dict(model_type="clip_vision_model", hidden_size=36, num_attention_heads=3, num_hidden_layers=5,
                           intermediate_size=50, image_size=47, patch_size=15))
    model = transformers.LlavaNextForConditionalGeneration(config)
    processor = transformers.LlavaNextProcessor(
        transformers.LlavaNextImageProcessorPil.from_pretrained(out), tokenizer, patch_size=15, num_additional_image_tokens=1,
        vision_feature_select_strategy="default")

    def encode(words, image):
        if image is None:
            return tokenizer.encode("[INST] " + words + " [/INST]"), {}
        batch = processor(images=image, text="[INST] <image>\n" + words + " [/INST]", return_tensors="pt")
        return batch["input_ids"][0].tolist(), {k: batch[k] for k in ("pixel_values", "image_sizes")}

    return model, encode


def llava_onevision(out):
    """No more features than of two tiles, a tied head, states of the tower's last layer but one."""
    tokenizer = Tokenizer.from_file(str(DATA / "qwen2vl-tiny" / "checkpoint" / "tokenizer.json"))
    tokenizer.add_special_tokens(["<image>", "<video>"])
    tokenizer.save(str(out / "tokenizer.json"))
    sizes = [[54 * y, 54 * x] for y in (1, 2, 3) for x in (1, 2, 3, 4)]
    write_json(out / "preprocessor_config.json", image_processor_type="LlavaOnevisionImageProcessor", size=dict(height=54, width=54),
               image_grid_pinpoints=sizes, image_mean=[0.5, 0.4, 0.5], image_std=[0.5, 0.5, 0.6])
    config = transformers.LlavaOnevisionConfig(
        image_token_index=tokenizer.token_to_id("<image>"), video_token_index=tokenizer.token_to_id("<video>"),
        image_grid_pinpoints=sizes, vision_feature_layer=-2, vision_aspect_ratio="anyres_max_2", tie_word_embeddings=True,
        text_config=dict(model_type="qwen2", hidden_size=40, num_attention_heads=4, num_key_value_heads=2, intermediate_size=52,
                         num_hidden_layers=3, vocab_size=tokenizer.get_vocab_size(), rms_norm_eps=1e-5, tie_word_embeddings=True,
                         rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        vision_config=dict(model_type="siglip_vision_model", hidden_size=24, num_attention_heads=2, num_hidden_layers=4,
                           intermediate_size=44, image_size=54, patch_size=13, vision_use_head=False))
    model = transformers.LlavaOnevisionForConditionalGeneration(config)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessorPil.from_pretrained(out), fast, transformers.LlavaOnevisionVideoProcessor(),
        num_image_tokens=16, vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_2")
    head, tail = "<|im_start|>user ", "<|im_end|><|im_start|>assistant\n"

    def encode(words, image):
        if image is None:
            return fast.encode(head + "\n" + words + tail, add_special_tokens=False), {}
        batch = processor(images=image, text=head + "<image>\n" + words + tail, return_tensors="pt")
        return batch["input_ids"][0].tolist(), {k: batch[k] for k in ("pixel_values", "image_sizes", "batch_num_images")}

    return model, encode


def internvl_encode(out, config):
    """InternVLProcessor's inputs. It cuts pictures whatever the image processor says."""
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"), extra_special_tokens=dict(
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>"))
    processor = transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessorPil.from_pretrained(out), tokenizer, transformers.InternVLVideoProcessor(),
        image_seq_length=config.image_seq_length)

    def encode(words, image):
        text = "<|im_start|>user\n" + ("" if image is None else "<IMG_CONTEXT>\n") + words + "<|im_end|>\n<|im_start|>assistant\n"
        if image is None:
            return tokenizer.encode(text, add_special_tokens=False), {}
        batch = processor(images=[image], text=text, return_tensors="pt")
        return batch["input_ids"][0].tolist(), {"pixel_values": batch["pixel_values"]}

    return encode


def internvl_tokenizer(out):
    """Qwen's, with the tokens of pictures; gives back the one that is a feature's and how many tokens there are."""
    tokenizer = Tokenizer.from_file(str(DATA / "qwen2vl-tiny" / "checkpoint" / "tokenizer.json"))
    tokenizer.add_special_tokens(["<img>", "</img>", "<IMG_CONTEXT>", "<video>"])
    tokenizer.save(str(out / "tokenizer.json"))
    return tokenizer.token_to_id("<IMG_CONTEXT>"), tokenizer.get_vocab_size()


def internvl(out):
    """Qwen2 behind a tower with biases and a norm behind it; 6 x 6 positions for 8 x 8 patches, 4 x 4 of which are a token; the longest prompt
    is longer than those whose rotary base is the plain one."""
    image_token, n_vocab = internvl_tokenizer(out)
    write_json(out / "preprocessor_config.json", image_processor_type="GotOcr2ImageProcessorFast", crop_to_patches=False,
               size=dict(height=56, width=56), resample=2, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    config = transformers.InternVLConfig(
        image_token_id=image_token, image_seq_length=4, downsample_ratio=0.25, projector_hidden_act="gelu_pytorch_tanh",
        text_config=dict(model_type="qwen2", hidden_size=40, num_attention_heads=5, num_key_value_heads=1, intermediate_size=56,
                         num_hidden_layers=3, vocab_size=n_vocab, rms_norm_eps=1e-5, max_position_embeddings=50,
                         rope_parameters=dict(rope_type="dynamic", rope_theta=5e4, factor=2.5)),
        vision_config=dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2, intermediate_size=44, image_size=42, patch_size=7,
                           hidden_act="gelu_pytorch_tanh", attention_bias=True, use_mean_pooling=False, layer_norm_eps=1e-4))
    return transformers.InternVLForConditionalGeneration(config), internvl_encode(out, config)


def internvl3_5(out):
    """Qwen3 behind a tower of RMS norms, also of q and k, whose last layer but one gives the states; at least two tiles and at most five."""
    image_token, n_vocab = internvl_tokenizer(out)
    write_json(out / "preprocessor_config.json", image_processor_type="GotOcr2ImageProcessorFast", size=dict(height=30, width=30),
               min_patches=2, max_patches=5, image_mean=[0.5, 0.4, 0.5], image_std=[0.5, 0.5, 0.6])
    config = transformers.InternVLConfig(
        image_token_id=image_token, image_seq_length=9, vision_feature_layer=-2, tie_word_embeddings=False,
        text_config=dict(model_type="qwen3", hidden_size=36, head_dim=12, num_attention_heads=4, num_key_value_heads=2,
                         intermediate_size=56, num_hidden_layers=2, vocab_size=n_vocab, rms_norm_eps=1e-4,
                         rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        vision_config=dict(hidden_size=20, num_attention_heads=2, num_hidden_layers=3, intermediate_size=32, image_size=30, patch_size=5,
                           norm_type="rms_norm", use_qk_norm=True, layer_norm_eps=1e-5))
    return transformers.InternVLForConditionalGeneration(config), internvl_encode(out, config)


def rows_and_columns(n):
    return [f"<row_{i + 1}_col_{j + 1}>" for i in range(n) for j in range(n)]


def bytes_tokenizer(out, split, specials, begin=None):
    """A small byte-level tokenizer; two ends of line are one token, as in those of Llama-3 and SmolLM2."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=begin is not None))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    corpus = ["How many apple are there in the image? dog apple car apple. red cube blue sphere green cylinder", "User: Sequence: Assistant:", "\n\n"]
    tokenizer.train_from_iterator(corpus * 4, trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if begin is not None:
        tokenizer.post_processor = processors.TemplateProcessing(f"{begin} $A", f"{begin} $A {begin} $B",
                                                                 [(begin, tokenizer.token_to_id(begin))])
    assert len(tokenizer.encode("\n\n", add_special_tokens=False).ids) == 1
    tokenizer.save(str(out / "tokenizer.json"))
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))


def user_turn(tokenizer, template, words, image):
    content = [dict(type="image")] * (image is not None) + [dict(type="text", text=words)]
    return tokenizer.apply_chat_template([dict(role="user", content=content)], chat_template=template, add_generation_prompt=True,
                                         tokenize=False)


# chat_template.json of HuggingFaceM4/Idefics3-8B-Llama3; SmolVLM's differs in the first word alone.
IDEFICS3_CHAT = (
    "<|begin_of_text|>{% for message in messages %}{{message['role'].capitalize()}}{% if message['content'][0]['type'] == 'image' %}"
    "{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")


def idefics3(out):
    """Pictures made larger and cut; tiles whose edges belong to no patch, squares of 3 x 3 patches; Llama-3's rotary positions and tokenizer."""
    llama3 = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
              "\\s+(?!\\S)|\\s+")
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(llama3), "isolated"),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = bytes_tokenizer(out, split, ["<|begin_of_text|>", "<|end_of_text|>", "<global-img>", *rows_and_columns(6),
                                             "<fake_token_around_image>", "<image>", "<end_of_utterance>"], "<|begin_of_text|>")
    write_json(out / "preprocessor_config.json", image_processor_type="Idefics3ImageProcessor", size=dict(longest_edge=97),
               max_image_size=dict(longest_edge=32), image_mean=[0.5, 0.4, 0.5], image_std=[0.5, 0.5, 0.6])
    config = transformers.Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), scale_factor=3, tie_word_embeddings=False,
        text_config=dict(model_type="llama", hidden_size=36, head_dim=10, num_attention_heads=3, num_key_value_heads=1,
                         intermediate_size=56, num_hidden_layers=3, vocab_size=len(tokenizer), rms_norm_eps=1e-4,
                         rope_parameters=dict(rope_type="llama3", rope_theta=5e2, factor=8.0, low_freq_factor=1.5, high_freq_factor=4.0,
                                              original_max_position_embeddings=64)),
        vision_config=dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2, intermediate_size=44, image_size=32, patch_size=5,
                           hidden_act="gelu", layer_norm_eps=1e-4))
    model = transformers.Idefics3ForConditionalGeneration(config)
    processor = transformers.Idefics3Processor(transformers.Idefics3ImageProcessorPil.from_pretrained(out), tokenizer, image_seq_len=4)

    def encode(words, image):
        text = user_turn(tokenizer, IDEFICS3_CHAT, words, image)
        if image is None:
            return tokenizer.encode(text, add_special_tokens=False), {}
        batch = processor(text=[text], images=[[image]], add_special_tokens=False, return_tensors="pt")
        return batch["input_ids"][0].tolist(), {k: batch[k] for k in ("pixel_values", "pixel_attention_mask")}

    return model, encode


def smolvlm(out):
    """Pictures cut as they are, the smallest not at all; a tied head."""
    from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE, get_image_prompt_string
    split = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer = bytes_tokenizer(out, split, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>",
                                             "<end_of_utterance>", "<global-img>", *rows_and_columns(6)])
    write_json(out / "preprocessor_config.json", image_processor_type="SmolVLMImageProcessor", do_resize=False, resample=3,
               size=dict(longest_edge=880), max_image_size=dict(longest_edge=220), image_mean=[0.5, 0.4, 0.5], image_std=[0.5, 0.5, 0.6],
               video_sampling=dict(fps=1, max_frames=64))
    config = transformers.SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), scale_factor=4, tie_word_embeddings=True,
        text_config=dict(model_type="llama", hidden_size=40, num_attention_heads=4, num_key_value_heads=2, intermediate_size=60,
                         num_hidden_layers=4, vocab_size=len(tokenizer), rms_norm_eps=1e-5, tie_word_embeddings=True,
                         rope_parameters=dict(rope_type="default", rope_theta=273768.0)),
        vision_config=dict(hidden_size=32, num_attention_heads=2, num_hidden_layers=3, intermediate_size=50, image_size=220, patch_size=18))
    model = transformers.SmolVLMForConditionalGeneration(config)
    images = transformers.SmolVLMImageProcessorPil.from_pretrained(out)

    def encode(words, image):
        kwargs, text = {}, user_turn(tokenizer, DEFAULT_CHAT_TEMPLATE, words, image)
        if image is not None:
            kwargs = dict(images(image, return_tensors="pt", return_row_col_info=True))
            (rows,), (columns,) = kwargs.pop("rows")[0], kwargs.pop("cols")[0]
            text = text.replace("<image>", get_image_prompt_string(rows, columns, 9, "<fake_token_around_image>", "<image>", "<global-img>"))
        return tokenizer.encode(text, add_special_tokens=False), kwargs

    return model, encode


NEWER = {"qwen3_vl": qwen3_vl, "mistral3": mistral3, "llava_next": llava_next, "llava_onevision": llava_onevision,
         "internvl": internvl, "internvl3_5": internvl3_5, "idefics3": idefics3, "smolvlm": smolvlm}
# Pictures beside those of all families: one that is not cut.
MORE_SIZES = {"llava_onevision": [(44, 37)], "internvl": [(73, 70)], "internvl3_5": [(61, 64)]}
