/* SPDX-License-Identifier: MIT
 *
 * test_spec_internvl.c - InternVL's config.json to spec: the hub's files, the defaults of
 * transformers, which head counts, and every refusal by key and value.
 */
#include "testing.h"

#include "model/spec.h"

static test_folder folder;

static int make_folder(void **unused)
{
    (void)unused;
    folder = test_folder_create();
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    test_folder_remove(folder.path);
    return 0;
}

static tl_status read_text(const char *text, tl_spec *spec, tl_error *err)
{
    test_file(&folder, "config.json", text, strlen(text));
    return tl_spec_read(folder.path, spec, err);
}

static void must_read(const char *text, tl_spec *spec)
{
    tl_error err = {0};
    if (read_text(text, spec, &err) != TL_OK)
        fail_msg("%s: %s", text, err.text);
}

/* What OpenGVLab/InternVL3-1B-hf says of what is computed. */
static const char hub[] =
    "{\"model_type\": \"internvl\", \"downsample_ratio\": 0.5, \"image_seq_length\": "
    "256, \"image_token_id\": 151667, \"projector_hidden_act\": \"gelu\", "
    "\"text_config\": {\"hidden_act\": \"silu\", \"hidden_size\": 896, "
    "\"intermediate_size\": 4864, \"max_position_embeddings\": 32768, "
    "\"max_window_layers\": 70, \"model_type\": \"qwen2\", \"num_attention_heads\": "
    "14, "
    "\"num_hidden_layers\": 24, \"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-06, "
    "\"rope_scaling\": {\"factor\": 2.0, \"rope_type\": \"dynamic\", \"type\": "
    "\"dynamic\"}, \"rope_theta\": 1000000.0, \"sliding_window\": null, "
    "\"use_sliding_window\": false, \"vocab_size\": 151674}, \"vision_config\": "
    "{\"attention_bias\": true, \"hidden_act\": \"gelu\", \"hidden_size\": 1024, "
    "\"image_size\": [448, 448], \"intermediate_size\": 4096, \"layer_norm_eps\": "
    "1e-06, \"layer_scale_init_value\": 0.1, \"model_type\": \"internvl_vision\", "
    "\"norm_type\": \"layer_norm\", \"num_attention_heads\": 16, \"num_channels\": 3, "
    "\"num_hidden_layers\": 24, \"patch_size\": [14, 14], "
    "\"use_absolute_position_embeddings\": true, \"use_mask_token\": false, "
    "\"use_mean_pooling\": true, \"use_qk_norm\": false}, \"vision_feature_layer\": "
    "-1, "
    "\"vision_feature_select_strategy\": \"default\"}";

static void the_hub_s_file_is_read(void **unused)
{
    (void)unused;
    tl_spec s;
    must_read(hub, &s);
    const tl_dims want = {24, 896, 14, 2, 64, 4864, 151674};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.qkv_bias && !s.qk_norm && s.norm_eps == 1e-6f && s.window == 0);
    assert_true(s.rope.theta == 1e6 && s.rope.factor == 1.0 && s.rope.growth == 2.0 &&
                s.rope.n_plain == 32768);
    assert_true(!s.tied_head && s.head_decides);
    assert_int_equal(s.image_token, 151667);
    const tl_vision_spec *v = &s.vision;
    assert_true(v->tower == TL_TOWER_INTERNVL && v->depth == 24 && v->width == 1024 &&
                v->n_heads == 16 && v->d_mlp == 4096 && v->patch == 14);
    assert_true(v->grid == 32 && v->merge == 2 && v->class_row && v->qkv_bias);
    assert_true(!v->rms_norms && !v->qk_norm && !v->final_norm);
    assert_true(v->projector == TL_PROJECTOR_SQUARES && v->projector_bias &&
                v->projector_eps == 1e-5f && v->activation == TL_GELU);
}

static void absent_keys_have_the_defaults_of_transformers(void **unused)
{
    (void)unused;
    tl_spec s;
    must_read("{\"model_type\": \"internvl\"}", &s);
    const tl_dims want = {32, 4096, 32, 32, 128, 22016, 151936};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.qkv_bias && s.rope.theta == 1e4 && s.rope.growth == 0.0);
    assert_int_equal(s.image_token, 151667);
    const tl_vision_spec *v = &s.vision;
    assert_true(v->depth == 24 && v->width == 1024 && v->n_heads == 16 &&
                v->patch == 14 && v->grid == 32 && v->merge == 2);
    assert_true(!v->qkv_bias && !v->qk_norm && !v->final_norm && !v->rms_norms);
    /* The 38B's tower, and InternVL3.5's decoder. */
    must_read(
        "{\"model_type\": \"internvl\", \"image_token_index\": 151671, "
        "\"downsample_ratio\": 0.25, \"vision_feature_layer\": 3, \"text_config\": "
        "{\"model_type\": \"qwen3\", \"hidden_size\": 1024, \"num_key_value_heads\": "
        "8, "
        "\"num_attention_heads\": "
        "16}, \"vision_config\": {\"norm_type\": \"rms_norm\", \"use_qk_norm\": true, "
        "\"use_mean_pooling\": false, \"image_size\": 224, "
        "\"use_absolute_position_embeddings\": false}}",
        &s);
    assert_true(!s.qkv_bias && s.qk_norm && s.dims.d_head == 128);
    assert_int_equal(s.image_token, 151671);
    assert_true(v->rms_norms && v->qk_norm && v->merge == 4 && v->grid == 0);
    assert_true(v->depth == 3 && !v->final_norm); /* not the last layer's states */
    must_read(
        "{\"model_type\": \"internvl\", \"vision_config\": {\"use_mean_pooling\": "
        "false}}",
        &s);
    assert_true(v->final_norm && v->depth == 24);
}

/* The file decides where versions of transformers look at other keys. */
static void which_head_counts(void **unused)
{
    (void)unused;
    static const struct {
        const char *outside, *inside;
        bool tied, by_file;
    } cases[] = {
        {"null", "null", false, true},   {"null", "false", false, true},
        {"true", "null", true, true},    {"true", "false", false, true},
        {"null", "true", true, false},   {"true", "true", true, false},
        {"false", "null", false, false}, {"false", "false", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        tl_spec s;
        snprintf(text, sizeof text,
                 "{\"model_type\": \"internvl\", \"tie_word_embeddings\": %s, "
                 "\"text_config\": {\"tie_word_embeddings\": %s}}",
                 cases[i].outside, cases[i].inside);
        must_read(text, &s);
        assert_int_equal(s.tied_head, cases[i].tied);
        assert_int_equal(s.head_decides, cases[i].by_file);
    }
}

static void refused_by_key_and_value(void **unused)
{
    (void)unused;
    static const struct {
        const char *from, *to; /* in the hub's file */
        tl_status status;
        const char *says[2];
    } cases[] = {
        {"\"qwen2\"",
         "\"llama\"",
         TL_ERR_UNSUPPORTED,
         {"text_config: 'model_type' is 'llama'", "qwen2 and qwen3"}},
        {"\"qwen2\"",
         "\"qwen3\", \"attention_bias\": true",
         TL_ERR_UNSUPPORTED,
         {"text_config: 'attention_bias'", "true"}},
        {"\"use_sliding_window\": false, ",
         "\"use_sliding_window\": true, \"layer_types\": [\"sliding_attention\"], ",
         TL_ERR_UNSUPPORTED,
         {"'layer_types[0]' is sliding_attention", "full_attention"}},
        {"\"max_position_embeddings\": 32768, ",
         "",
         TL_ERR_UNSUPPORTED,
         {"'dynamic'", "'max_position_embeddings'"}},
        {"\"factor\": 2.0, ", "", TL_ERR_FORMAT, {"rope_scaling", "'factor' is 0"}},
        {"\"dynamic\", \"type\"",
         "\"yarn\", \"type\"",
         TL_ERR_UNSUPPORTED,
         {"rope_scaling", "'yarn'"}},
        {"\"layer_norm\"",
         "\"batch_norm\"",
         TL_ERR_UNSUPPORTED,
         {"'norm_type' is 'batch_norm'", "rms_norm"}},
        {"[14, 14]", "[14, 16]", TL_ERR_FORMAT, {"'patch_size'", "two equal"}},
        {"[448, 448]", "[10, 10]", TL_ERR_FORMAT, {"'image_size' is 10", "14"}},
        {"[14, 14]", "0", TL_ERR_FORMAT, {"'patch_size' of 0", "above 0"}},
        {"[448, 448]",
         "2147483648",
         TL_ERR_UNSUPPORTED,
         {"153391689 patches a side", "at most 16384"}},
        {"\"downsample_ratio\": 0.5",
         "\"downsample_ratio\": 0.3",
         TL_ERR_UNSUPPORTED,
         {"'downsample_ratio' is 0.3", "1/2"}},
        {"\"downsample_ratio\": 0.5",
         "\"downsample_ratio\": 0",
         TL_ERR_UNSUPPORTED,
         {"'downsample_ratio' is 0", "1/2"}},
        {"\"default\"",
         "\"full\"",
         TL_ERR_UNSUPPORTED,
         {"'vision_feature_select_strategy' is 'full'", "default"}},
        {"\"vision_feature_layer\": -1",
         "\"vision_feature_layer\": [-1]",
         TL_ERR_UNSUPPORTED,
         {"'vision_feature_layer'", "not one layer"}},
        {"\"vision_feature_layer\": -1",
         "\"vision_feature_layer\": 25",
         TL_ERR_FORMAT,
         {"'vision_feature_layer' is 25", "24 layers"}},
        {"\"use_qk_norm\": false",
         "\"use_qk_norm\": 1",
         TL_ERR_FORMAT,
         {"'use_qk_norm' is 1", "vision_config"}},
        {"\"num_attention_heads\": 16",
         "\"num_attention_heads\": 15",
         TL_ERR_FORMAT,
         {"1024", "15 heads"}},
        {"\"gelu\", \"hidden_size\": 1024",
         "\"relu\", \"hidden_size\": 1024",
         TL_ERR_UNSUPPORTED,
         {"vision_config: 'hidden_act' is 'relu'", "gelu"}},
        {"\"image_seq_length\": 256",
         "\"tie_word_embeddings\": false, \"image_seq_length\": 256",
         TL_OK,
         {"", ""}},
        {"\"vocab_size\": 151674",
         "\"tie_word_embeddings\": true}, \"tie_word_embeddings\": false, \"a\": "
         "{\"b\": "
         "1",
         TL_ERR_UNSUPPORTED,
         {"'tie_word_embeddings' is false", "true in 'text_config'"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2600];
        tl_error err = {0};
        tl_spec s = {.norm_eps = 7.0f};
        const char *at = strstr(hub, cases[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - hub), hub, cases[i].to,
                 at + strlen(cases[i].from));
        if (read_text(text, &s, &err) != cases[i].status)
            fail_msg("%s: '%s'", cases[i].to, err.text);
        for (size_t k = 0; k < 2; k++)
            if (strstr(err.text, cases[i].says[k]) == NULL)
                fail_msg("'%s' does not say '%s'", err.text, cases[i].says[k]);
        if (cases[i].status != TL_OK)
            assert_true(s.norm_eps == 7.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hub_s_file_is_read),
        cmocka_unit_test(absent_keys_have_the_defaults_of_transformers),
        cmocka_unit_test(which_head_counts),
        cmocka_unit_test(refused_by_key_and_value),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
