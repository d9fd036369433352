/*
 * test_spec.c - config.json to spec: defaults of transformers, both layouts, and
 * every refusal by key and value.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/spec.h"

static char folder[] = "/tmp/twinlens-spec-XXXXXX";

static int make_folder(void **unused)
{
    (void)unused;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    char path[64];
    snprintf(path, sizeof path, "%s/config.json", folder);
    unlink(path);
    return rmdir(folder);
}

static tl_status read_text(const char *text, tl_spec *spec, tl_error *err)
{
    char path[64];
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return tl_spec_read(folder, spec, err);
}

#define ROPE "\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]}"

/* Only what Qwen2-VL-7B says differently from the defaults of its class. */
static const char sparse[] =
    "{\"model_type\": \"qwen2_vl\", \"hidden_size\": 3584, \"num_hidden_layers\": 28,"
    "\"num_attention_heads\": 28, \"num_key_value_heads\": 4, \"intermediate_size\": "
    "18944,"
    "\"rms_norm_eps\": 1e-6, " ROPE ", \"vision_config\": {\"in_chans\": 3}}";

static void absent_fields_take_the_defaults_of_transformers(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    if (read_text(sparse, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(s.dims.n_vocab, 152064);
    assert_int_equal(s.dims.d_head, 128);
    assert_int_equal(s.vision.depth, 32);
    assert_int_equal(s.vision.width, 1280);
    assert_int_equal(s.vision.n_heads, 16);
    assert_int_equal(s.vision.d_mlp, 5120);
    assert_int_equal(s.vision.patch, 14);
    assert_int_equal(s.image_token, 151655);
    assert_int_equal(s.activation, TL_SILU);
    assert_int_equal(s.vision.activation, TL_QUICK_GELU);
    assert_true(s.rope.theta == 1e6 && !s.tied_head && s.qkv_bias);
    assert_true(s.rope.sections[0] == 16 && s.rope.sections[1] == 24 &&
                s.rope.sections[2] == 24);
}

/* Since transformers 4.52 the decoder's keys are in text_config; and "default" with
 * mrope_section is what 4.4x writes for "mrope". */
static void both_layouts_and_both_names_of_mrope_are_read(void **unused)
{
    (void)unused;
    static const char nested[] =
        "{\"model_type\": \"qwen2_vl\", \"image_token_id\": 5, "
        "\"tie_word_embeddings\": true,"
        "\"text_config\": {\"model_type\": \"qwen2_vl_text\", \"hidden_size\": 64, "
        "\"num_hidden_layers\": 2,"
        "\"num_attention_heads\": 4, \"num_key_value_heads\": null, "
        "\"intermediate_size\": 96,"
        "\"vocab_size\": 100, \"rope_theta\": 5.0,"
        "\"rope_scaling\": {\"rope_type\": \"default\", \"type\": \"default\", "
        "\"mrope_section\": [2, 3, 3]}},"
        "\"vision_config\": {\"hidden_size\": 64, \"embed_dim\": 32, \"num_heads\": 2, "
        "\"mlp_ratio\": 3.0}}";
    tl_spec s;
    tl_error err = {0};
    if (read_text(nested, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(s.dims.n_kv_heads, 4); /* null: as many as heads */
    assert_int_equal(s.dims.d_head, 16);
    assert_int_equal(s.image_token, 5);
    assert_int_equal(s.vision.d_mlp, 96);
    assert_true(s.tied_head && s.rope.theta == 5.0 && s.norm_eps == 1e-5f);
}

/* `sparse` with one piece of text put in the place of another. */
static const struct mutation {
    const char *from, *to;
    tl_status status;
    const char *says[2];
} mutations[] = {
    {"\"qwen2_vl\"", "\"mamba\"", TL_ERR_UNSUPPORTED, {"'mamba'", "qwen2_vl"}},
    {"\"model_type\": \"qwen2_vl\", ",
     "",
     TL_ERR_UNSUPPORTED,
     {"model_type", "missing"}},
    {"\"mrope\"", "\"yarn\"", TL_ERR_UNSUPPORTED, {"rope_scaling.type", "'yarn'"}},
    {"[16, 24, 24]", "[16, 24, 25]", TL_ERR_FORMAT, {"16+24+25", "64"}},
    {"[16, 24, 24]", "[16, 48]", TL_ERR_FORMAT, {"mrope_section", "3 integers"}},
    {"[16, 24, 24]", "[16, -24, 72]", TL_ERR_FORMAT, {"mrope_section", "3 integers"}},
    {", " ROPE, "", TL_ERR_FORMAT, {"rope_scaling", "mrope_section"}},
    {"\"num_key_value_heads\": 4",
     "\"num_key_value_heads\": 5",
     TL_ERR_FORMAT,
     {"28", "5"}},
    {"\"num_hidden_layers\": 28",
     "\"num_hidden_layers\": 0",
     TL_ERR_FORMAT,
     {"num_hidden_layers", "0"}},
    {"\"num_hidden_layers\": 28",
     "\"num_hidden_layers\": -3",
     TL_ERR_FORMAT,
     {"num_hidden_layers", "-3"}},
    {"\"num_hidden_layers\": 28",
     "\"num_hidden_layers\": 28.5",
     TL_ERR_FORMAT,
     {"num_hidden_layers", "fraction"}},
    {"\"num_hidden_layers\": 28",
     "\"num_hidden_layers\": 99999999999",
     TL_ERR_FORMAT,
     {"num_hidden_layers", "2^31"}},
    {"\"hidden_size\": 3584",
     "\"hidden_size\": \"wide\"",
     TL_ERR_FORMAT,
     {"hidden_size", "a string"}},
    {"\"hidden_size\": 3584",
     "\"hidden_size\": 3584, \"hidden_act\": \"relu\"",
     TL_ERR_UNSUPPORTED,
     {"hidden_act", "'relu'"}},
    {"\"hidden_size\": 3584",
     "\"hidden_size\": 3584, \"use_sliding_window\": true",
     TL_ERR_UNSUPPORTED,
     {"use_sliding_window", "true"}},
    {"\"hidden_size\": 3584",
     "\"hidden_size\": 3584, \"quantization_config\": {\"bits\": 4}",
     TL_ERR_UNSUPPORTED,
     {"quantization_config", "bits"}},
    {"{\"in_chans\": 3}", "[1]", TL_ERR_FORMAT, {"vision_config", "object"}},
    {"{\"in_chans\": 3}", "{\"hidden_size\": 99}", TL_ERR_FORMAT, {"99", "3584"}},
    {"{\"in_chans\": 3}", "{\"num_heads\": 7}", TL_ERR_FORMAT, {"1280", "7"}},
    {"\"rms_norm_eps\": 1e-6",
     "\"rms_norm_eps\": \"small\"",
     TL_ERR_FORMAT,
     {"rms_norm_eps", "a number"}},
    {"}}", "}", TL_ERR_FORMAT, {"config.json", "line 1"}},
};

static void what_cannot_be_honoured_is_refused_by_key_and_value(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof mutations / sizeof mutations[0]; i++) {
        const struct mutation *m = &mutations[i];
        char text[sizeof sparse + 256];
        const char *at = strstr(sparse, m->from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - sparse), sparse, m->to,
                 at + strlen(m->from));
        tl_spec s = {.window = 77};
        tl_error err = {0};
        const tl_status status = read_text(text, &s, &err);
        if (status != m->status || strstr(err.text, m->says[0]) == NULL ||
            strstr(err.text, m->says[1]) == NULL || strchr(err.text, '\n') != NULL)
            fail_msg("%s -> %s: status %s, text '%s'; wanted %s with '%s' and '%s'",
                     m->from, m->to, tl_status_name(status), err.text,
                     tl_status_name(m->status), m->says[0], m->says[1]);
        assert_int_equal(s.window, 77);
    }
}

static void a_missing_file_is_named(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    assert_int_equal(tl_spec_read("/nowhere/at/all", &s, &err), TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at/all/config.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_take_the_defaults_of_transformers),
        cmocka_unit_test(both_layouts_and_both_names_of_mrope_are_read),
        cmocka_unit_test(what_cannot_be_honoured_is_refused_by_key_and_value),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
