#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""chat_templates.py - what transformers makes of chat templates: tests/data/chat/golden.json, which test_chat_template.c and test_jinja.c read.

    python chat_templates.py                     writes it anew
    python chat_templates.py --check             exit status 1 if it would be another
    python chat_templates.py --folder MODEL TWINLENS
                                                 a folder's own template beside the prompts of twinlens (predict --json)

A family's template here is one that writes a turn as the one of its folders on the hub does, of the grammar that these have, without
calls of tools, videos and earlier answers. It is rendered by transformers (5.24 or 4.51); the family's processor then writes more for a
picture (`pictures`), and the chat that src/input/chat.c builds must be that. The second part is Jinja alone. Needs transformers.
"""
import json
import sys
from pathlib import Path

from transformers.utils import chat_template_utils

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "data" / "chat" / "golden.json"

GENERATE = "{% if add_generation_prompt %}"
# Texts behind pictures, whatever their order in the message.
SORTED = ("{%% for content in message['content'] | selectattr('type', 'equalto', 'image') %%}{{ %s }}{%% endfor %%}"
          "{# words #}{%% for content in message['content'] | selectattr('type', 'equalto', 'text') %%}{{ %s }}{%% endfor %%}")

QWEN3 = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].content is string %}
        {{- messages[0].content }}
    {%- else %}
        {%- for part in messages[0].content if 'text' in part %}
            {{- part.text }}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- set count = namespace(pictures=0) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- for part in message.content %}
            {%- if part.type == 'image' or 'image_url' in part %}
                {%- set count.pictures = count.pictures + 1 %}
                {%- if add_vision_id %}Picture {{ count.pictures }}: {% endif -%}
                <|vision_start|><|image_pad|><|vision_end|>
            {%- elif 'text' in part %}
                {{- part.text }}
            {%- endif %}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- raise_exception('no tools here') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

GEMMA3 = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = (messages[0]['content'] if messages[0]['content'] is string else messages[0]['content'][0]['text']) + '\n\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("turns must alternate") }}
    {%- endif -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for part in message['content'] -%}
            {%- if part['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif part['type'] == 'text' -%}
                {{ part['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("no such content") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
"""

MISTRAL = """{%%- if messages[0]["role"] == "system" %%}
    {%%- set system_message = messages[0]["content"][0]["text"] %%}
    {%%- set loop_messages = messages[1:] %%}
{%%- else %%}
    {%%- set loop_messages = messages %%}
{%%- endif %%}
{%%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %%}

{{- bos_token }}%s
{%%- for message in loop_messages %%}
    {%%- if message["role"] == "user" and message == user_messages[-1] %%}
        %s
        {%%- for chunk in message["content"] %%}
            {%%- if chunk["type"] == "text" %%}
                {{- chunk["text"] }}
            {%%- elif chunk["type"] in ["image", "image_url"] %%}
                {{- "[IMG]" }}
            {%%- endif %%}
        {%%- endfor %%}
        {{- "[/INST]" }}
    {%%- elif message.tool_calls is defined and message.tool_calls is not none %%}
        {%%- for key, value in message.tool_calls.items() if key != "return" %%}{{- value|tojson }}{%%- endfor %%}
    {%%- endif %%}
{%%- endfor %%}
"""
PIXTRAL = MISTRAL % ("", """{%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\\n\\n" }}
        {%- else %}
            {{- "[INST]" }}
        {%- endif %}""")
# The hub's puts a system's words with the day's date in front where none are given: there it is another prompt, see below.
MISTRAL3 = MISTRAL % ("""
{%- if system_message is defined %}
    {{- '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }}
{%- endif %}""", """{{- "[INST]" }}""")

VICUNA = ("{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
          + SORTED % ("'<image>\\n'", "content['text'] + ' '") + "{% endfor %}" + GENERATE + "{{ 'ASSISTANT:' }}{% endif %}")
INST = ("{% for message in messages %}{% if message['role'] == 'system' %}{{ '<<SYS>>\\n' + message['content'][0]['text'] + '\\n<</SYS>>\\n\\n' }}"
        "{% elif message['role'] == 'user' %}{{ '[INST] ' }}" + SORTED % ("'<image>\\n'", "content['text']") + "{{ ' [/INST]' }}"
        "{% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}")
LLAMA3 = ("{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
          + SORTED % ("'<image>'", "'\\n' + content['text'] + '<|eot_id|>'") + "{% endfor %}"
          + GENERATE + "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")
ONEVISION = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}{% if message['role'] != 'assistant' %}"
             + SORTED % ("'<image>'", "'\\n' + content['text']") + "{% else %}{% for content in message['content'] %}{% generation %}"
             "{{ '\\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}{{ '<|im_end|>' }}{% endfor %}"
             + GENERATE + "{{ '<|im_start|>assistant\\n' }}{% endif %}")
INTERNVL = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% if message['content'] is string %}{{ message['content'] }}"
            "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}"
            "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
            + GENERATE + "{{ '<|im_start|>assistant\\n' }}{% endif %}")
IDEFICS3 = ("%s{%% for message in messages %%}{{message['role'].capitalize()}}{%% if message['content'][0]['type'] == 'image' %%}{{':'}}"
            "{%% else %%}{{': '}}{%% endif %%}{%% for line in message['content'] %%}{%% if line['type'] == 'text' %%}{{line['text']}}"
            "{%% elif line['type'] == 'image' %%}{{ '<image>' }}{%% endif %%}{%% endfor %%}<end_of_utterance>\n{%% endfor %%}"
            + GENERATE.replace("%", "%%") + "{{ 'Assistant:' }}{%% endif %%}")

S = dict(bos_token="<s>", eos_token="</s>")
GEMMA_PICTURE = ["<start_of_image>", "\n\n<start_of_image><image_soft_token><end_of_image>\n\n"]
QWEN2 = json.loads((HERE.parent.parent / "models/organism/chat_template.json").read_text())["chat_template"]
FAMILIES = [
    dict(family="qwen2_vl", template=QWEN2),
    dict(family="qwen2_5_vl", template=QWEN2),
    dict(family="qwen3_vl", template=QWEN3),
    dict(family="gemma3", template=GEMMA3, tokens=dict(bos_token="<bos>"), pictures=GEMMA_PICTURE),
    dict(family="llava", tower="pixtral", template=PIXTRAL, tokens=S),
    dict(family="mistral3", template=MISTRAL3, tokens=S),
    dict(family="llava", tower="clip_vision_model", template=VICUNA, tokens=S),
    dict(family="llava_next", decoder="llama", chat=1, template=VICUNA, tokens=S),
    dict(family="llava_next", decoder="mistral", template=INST, tokens=S),
    dict(family="llava_next", decoder="llama", template=LLAMA3, tokens=dict(bos_token="<|begin_of_text|>")),
    dict(family="llava_onevision", template=ONEVISION),
    dict(family="internvl", template=INTERNVL, pictures=["<IMG_CONTEXT>", "<img><IMG_CONTEXT></img>"]),
    dict(family="idefics3", template=IDEFICS3 % "<|begin_of_text|>", tokens=dict(bos_token="<|begin_of_text|>")),
    dict(family="smolvlm", template=IDEFICS3 % "<|im_start|>", tokens=dict(bos_token="<|im_start|>")),
]
WORDS = [" Sequence: dog cat. How many?\n", "Ünder “it”:\n1 + 1 = "]
SYSTEM = [None, "You are a poet.\nShort.", ""]

# Jinja alone: template, and what its variables are; None: it refuses.
JINJA = [
    ("plain", {}), ("", {}), ("a\r\nb\rc\n", {}), ("a\n\n", {}),
    ("{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 - -1 }}", {}),
    ("{{ 'a' ~ 1 ~ true ~ none }}{{ 'b' + 'c' }}", {}), ("{{ \"it's\" }}{{ 'a\\tb\\\\n\\'' }}{{ '}}' }}{{ '%}' }}", {}),
    ("{{ 'on \\\ntwo lines' }}", {}),
    ("  {% if a %}\n  yes\n  {% else %}\n  no\n  {% endif %}\nend", {"a": 1}),
    ("  {%- if a -%}  \n yes \n {%- elif b +%}\n  b\n {%+ else %}\n no {% endif -%}\n\n end ", {"b": "x"}),
    ("x {# gone\n {{ x }} #}\n  {#- and this -#}\n y\n  {# z #}\nw", {}),
    ("{% for x in l %}{{ loop.index }}/{{ loop.length }}{{ x }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}", {"l": ["a", "b", "c"]}),
    ("{% for x in l %}{{ x }}{% else %}none{% endfor %}{% for x in no %}{{ x }}{% endfor %}", {"l": []}),
    ("{% for x in l if x != 'b' %}{{ loop.index0 }}{{ x }}{{ loop.first }}{% endfor %}", {"l": ["a", "b", "c"]}),
    ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in d | items %}{{ v }}{% endfor %}", {"d": {"a": 1, "b": "x"}}),
    ("{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}", {"l": [5, 6]}),
    ("{% set n = namespace(x=0, y='a') %}{% for y in l %}{% set n.x = n.x + y %}{% endfor %}{{ n.x }}{{ n.y }}", {"l": [5, 6]}),
    ("{{ l[0] }}{{ l[-1] }}{{ l[1:] | join('+') }}{{ l[:-1] | join }}{{ l[::-1] | join('') }}{{ s[1:3] }}{{ s[-1] }}", {"l": ["a", "b", "c"], "s": "häuser"}),
    ("{{ d.a.b }}{{ d['a']['b'] }}{{ d.no is defined }}{{ d.a is mapping }}{{ d.get('x') is none }}{{ d.get('x', 'y') }}", {"d": {"a": {"b": 3}}}),
    ("{{ 'b' in 'abc' }}{{ 'x' not in l }}{{ 'k' in d }}{{ 2 in [1, 2] }}", {"l": ["a"], "d": {"k": 1}}),
    ("{{ a and b }}{{ a or b }}{{ not a }}{{ no and no.x }}{{ a or no.x.y }}", {"a": "A", "b": ""}),
    ("{{ 'x' if a else 'y' }}{{ 'x' if no }}{{ ('x' if no else 'z') + 'w' }}{{ no.y.z if no else 'safe' }}{{ 1 if a else 2 if no else 3 }}", {"a": 1}),
    ("{{ 1 < 2 }}{{ 1 < 2 < 2 }}{{ 'a' <= 'b' }}{{ 2 >= 3 }}{{ 1 != 2 }}", {}),
    ("{{ s | trim }}|{{ s.strip() }}|{{ s.lstrip() }}|{{ s.rstrip() }}|{{ 'aBc' | upper }}{{ 'aBc'.lower() }}{{ 'aBc' | capitalize }}", {"s": " \u00a0x y\n"}),
    ("{{ s.split(', ')[1] }}{{ s.startswith('a') }}{{ s.endswith('a') }}{{ s | replace('a', 'xy') }}{{ s.replace(', ', '') }}{{ s | length }}", {"s": "a, bä, c"}),
    ("{{ d | tojson }}{{ 'ä\"' | tojson }}{{ none | tojson }}", {"d": {"a": [1, "x", True, None], "b": {}}}),
    ("{{ l | selectattr('t', 'equalto', 'x') | list | length }}{{ l | rejectattr('t', 'equalto', 'x') | map(attribute='n') | join(',') }}{{ (l | first).n }}{{ (l | last)['n'] }}",
     {"l": [{"t": "x", "n": 1}, {"t": "y", "n": 2}, {"n": 3}]}),
    ("{{ no | default('d') }}{{ '' | default('d') }}{{ '' | default('d', true) }}{{ none is none }}{{ 1 is number }}{{ no is not defined }}{{ 's' is string }}{{ [] is iterable }}", {}),
    ("{% if messages is defined and messages[0].role != 'system' and not tools %}ok{% endif %}", {"messages": [{"role": "user"}], "tools": None}),
    ("{% for i in range(3) %}{{ i }}{% endfor %}{% generation %}g{% endgeneration %}{% macro m(x) %}{{ x }}{% endmacro %}.", {}),
    ("{{ {'a': 'b'}['a'] }}{{ {'a': {'b': 1}}.a.b }}{{ [1, [2, 3]][1][0] }}{{ dict(a=1).a }}", {}),
    ("{{ raise_exception('no ' + 'such') }}", {}), ("{{ no.x }}", {}), ("{{ no + 'x' }}", {}), ("{{ 1 + 'x' }}", {}), ("{{ 1 // 0 }}", {}),
    ("{% if x %}", {}), ("{{ 1 + }}", {}), ("{{ a b }}", {"a": 1}), ("{% endif %}", {}), ("{{ 'x }}", {}), ("{% set = 1 %}", {}), ("{% for x %}{% endfor %}", {}),
    ("{{ x", {}), ("{{ (1 }}", {}), ("{% if 1 %}{% endfor %}", {}),
]


def render(template, **variables):
    return chat_template_utils._compile_jinja_template(template).render(**variables)


def conversation(words, system, picture):
    content = [dict(type="image")] * picture + [dict(type="text", text=words)]
    turns = [] if system is None else [dict(role="system", content=[dict(type="text", text=system)])]
    return turns + [dict(role="user", content=content)]


def make():
    families = []
    for f in FAMILIES:
        f, cases = {"tokens": {}} | f, []
        for words in WORDS:
            for system in SYSTEM:
                for picture in (False, True):
                    made = render(f["template"], messages=conversation(words, system, picture), tools=None, documents=None, add_generation_prompt=True, **f["tokens"])
                    if picture and "pictures" in f:
                        made = made.replace(*f["pictures"])
                    cases.append(dict(words=words, system=system, picture=picture, made=made))
        families.append(f | {"cases": cases})
    jinja = []
    for template, variables in JINJA:
        try:
            made = render(template, **variables)
        except Exception:
            made = None
        jinja.append(dict(template=template, variables=variables, made=made))
    return json.dumps(dict(families=families, jinja=jinja), indent=1, ensure_ascii=False) + "\n"


def folder(model, twinlens):
    """Both texts of one prompt with a folder's own template."""
    import subprocess
    import tempfile
    from transformers import AutoProcessor
    processor = AutoProcessor.from_pretrained(model)
    with tempfile.TemporaryDirectory() as work:
        row = dict(id="a", modality="text", data="Sequence: dog cat", query=". How many?", answer="1")
        Path(work, "dataset.jsonl").write_text(json.dumps(row) + "\n")
        text = processor.apply_chat_template(conversation(row["data"] + row["query"], None, False), add_generation_prompt=True)
        got = subprocess.run([twinlens, "predict", "--model", model, "--dataset", work, "--json"], capture_output=True, text=True)
        wanted = processor.tokenizer(text)["input_ids"]
        print(got.stderr, end="")
        print(json.loads(got.stdout)["input_ids"], "twinlens", wanted, "transformers", sep="\n")


def main():
    if sys.argv[1:2] == ["--folder"]:
        folder(*sys.argv[2:])
    elif sys.argv[1:2] == ["--check"]:
        sys.exit(f"{GOLDEN} is not what is made here" if GOLDEN.read_text() != make() else 0)
    else:
        GOLDEN.write_text(make())


if __name__ == "__main__":
    main()
