/* SPDX-License-Identifier: MIT
 *
 * test_chat_warning.c - what is said where a folder's own chat template makes another prompt, or
 * cannot be read.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "study/chat_warning.h"
#include "twinlens/log.h"

#define TINY TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint"

static char said[4096];
static size_t n_said;

static void hear(void *user, tl_log_level level, const char *text)
{
    (void)user;
    assert_int_equal(level, TL_LOG_WARNING);
    n_said++;
    snprintf(said, sizeof said, "%s", text);
}

/* A copy of the tiny checkpoint's words around a template. */
static tl_processor *processor_with(const test_folder *folder,
                                    const char *chat_template)
{
    static const char *const files[] = {"config.json", "tokenizer.json",
                                        "preprocessor_config.json"};
    char from[1024], to[1024];
    tl_processor *processor = NULL;
    tl_error err = {0};
    for (size_t i = 0; i < 3; i++) {
        snprintf(from, sizeof from, TINY "/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", folder->path, files[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    test_file(folder, "chat_template.jinja", chat_template, strlen(chat_template));
    if (tl_processor_open(folder->path, 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    return processor;
}

static void another_prompt_is_told_once_with_both_texts(void **state)
{
    (void)state;
    static const char rows[] =
        "{\"id\": \"a\", \"modality\": \"text\", \"data\": \"dog\", \"query\": \" "
        "\\\"how\\\" many?\", \"answer\": \"1\"}\n"
        "{\"id\": \"b\", \"modality\": \"text\", \"data\": \"cat\", \"query\": \"?\", "
        "\"answer\": \"1\"}\n"
        "{\"id\": \"c\", \"modality\": \"image\", \"image\": \"x.png\", \"query\": "
        "\"?\", \"answer\": \"1\"}\n";
    static const struct {
        const char *chat_template;
        size_t n;
        const char *says[3];
    } cases[] = {
        {"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% for m in "
         "messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}"
         "{% if p.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else "
         "%}{{ p.text }}{% endif %}{% endfor %}<|im_end|>\n"
         "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif "
         "%}\n",
         0,
         {NULL}},
        {"{% for m in messages %}{{ m.role }}: {% for p in m.content %}{{ p.text }}{% "
         "endfor %}{% endfor %}",
         1,
         {"of row 'a'", "used is \"<|im_start|>system\\nYou",
          "the template makes \"user: dog \\\"how\\\" many?\""}},
        /* Words as they are, a picture's token wrong. */
        {"<|im_start|>system\nYou are a helpful "
         "assistant.<|im_end|>\n<|im_start|>user\n{% for p in messages[0].content %}"
         "{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor "
         "%}<|im_end|>\n<|im_start|>assistant\n\n",
         1,
         {"of row 'c'", "<|image_pad|>", "<image>?"}},
        {"{% include 'other' %}",
         1,
         {"chat_template.jinja: chat_template: the tag 'include'", NULL}},
        {"{{ raise_exception('not today') }}", 1, {"not today", NULL}},
    };
    tl_log_set(hear, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const test_folder model = test_folder_create(), data = test_folder_create();
        tl_dataset *dataset = NULL;
        tl_error err = {0};
        test_file(&data, "dataset.jsonl", rows, sizeof rows - 1);
        tl_processor *processor = processor_with(&model, cases[i].chat_template);
        assert_int_equal(tl_dataset_open(data.path, &dataset, &err), TL_OK);
        n_said = 0;
        assert_int_equal(tl_chat_warn(dataset, processor, TL_CHAT_INSTRUCT, &err),
                         TL_OK);
        if (n_said != cases[i].n)
            fail_msg("%zu: %zu warnings, wanted %zu: %s", i, n_said, cases[i].n, said);
        for (size_t k = 0; k < 3 && cases[i].says[k] != NULL; k++)
            if (strstr(said, cases[i].says[k]) == NULL)
                fail_msg("'%s' does not say '%s'", said, cases[i].says[k]);
        n_said = 0;
        assert_int_equal(tl_chat_warn(dataset, processor, TL_CHAT_RAW, &err), TL_OK);
        assert_int_equal(n_said, 0);
        tl_dataset_close(dataset);
        tl_processor_close(processor);
        test_folder_remove(model.path);
        test_folder_remove(data.path);
    }
    tl_log_set(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_prompt_is_told_once_with_both_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
