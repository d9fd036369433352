/*
 * test_spec.c - config.json to spec: defaults of transformers, both layouts, and
 * every refusal by key and value.
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

    /* Every version that knows text_config ties where it says so; the contrary is read in
     * two ways. */
    static const struct {
        const char *outside, *inside;
        tl_status status;
        bool tied;
    } cases[] = {
        {"false", "true", TL_OK, true},
        {"true", "true", TL_OK, true},
        {"false", "false", TL_OK, false},
        {"true", "false", TL_ERR_UNSUPPORTED, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "{\"model_type\": \"qwen2_vl\", \"tie_word_embeddings\": %s, "
                 "\"text_config\": {\"tie_word_embeddings\": %s, " ROPE
                 "}, \"vision_config\": {\"hidden_size\": 8192}}",
                 cases[i].outside, cases[i].inside);
        const tl_status status = read_text(text, &s, &err);
        if (status != cases[i].status)
            fail_msg("%s: %s: %s", text, tl_status_name(status), err.text);
        if (status == TL_OK)
            assert_int_equal(s.tied_head, cases[i].tied);
    }
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
    {"\"mrope\"", "\"yarn\"", TL_ERR_UNSUPPORTED, {"rope_scaling: 'type'", "'yarn'"}},
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
     "\"hidden_size\": 3584, \"use_sliding_window\": true, \"max_window_layers\": 27",
     TL_ERR_UNSUPPORTED,
     {"use_sliding_window", "true"}},
    {"\"hidden_size\": 3584",
     "\"hidden_size\": 3584, \"layer_types\": [\"full_attention\", "
     "\"sliding_attention\"]",
     TL_ERR_UNSUPPORTED,
     {"layer_types[1]", "sliding_attention"}},
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

static void assert_refused(const char *whole, const struct mutation *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct mutation *m = &list[i];
        char text[2048];
        const char *at = strstr(whole, m->from);
        assert_non_null(at);
        assert_true(strlen(whole) + strlen(m->to) < sizeof text);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, m->to,
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

static void what_cannot_be_honoured_is_refused_by_key_and_value(void **unused)
{
    (void)unused;
    assert_refused(sparse, mutations, sizeof mutations / sizeof *mutations);
}

/* ---- Gemma-3 --------------------------------------------------------------------- */

static void gemma3_has_the_defaults_of_transformers(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    /* The tower's own defaults are not Gemma's: 14 x 14 patches cannot become 256. */
    if (read_text("{\"model_type\": \"gemma3\", \"mm_tokens_per_image\": 49}", &s,
                  &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims want = {26, 2304, 8, 4, 256, 9216, 262208};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.norm_eps == 1e-6f && s.attention_scale == 1.0f / 16.0f);
    assert_true(s.embed_scale == 48.0f && s.activation == TL_GELU_TANH);
    assert_true(s.qk_norm && s.post_norms && s.norm_plus_one && s.tied_head);
    assert_true(s.image_bidirectional && !s.qkv_bias);
    assert_true(s.logit_softcap == 0.0f && s.attention_softcap == 0.0f);
    assert_int_equal(s.window, 4096);
    assert_int_equal(s.global_every, 6);
    assert_true(s.rope.theta == 1e6 && s.rope.factor == 1.0);
    assert_true(s.rope_sliding.theta == 1e4 && s.rope_sliding.factor == 1.0);
    assert_int_equal(s.image_token, 262144);
    assert_int_equal(s.vision_start_token, 255999);
    const tl_vision_spec *v = &s.vision;
    assert_int_equal(v->tower, TL_TOWER_VIT);
    assert_true(v->depth == 12 && v->width == 768 && v->n_heads == 12 &&
                v->d_mlp == 3072 && v->patch == 16 && v->channels == 3);
    assert_true(v->grid == 14 && v->merge == 2 && v->activation == TL_GELU_TANH &&
                v->norm_eps == 1e-6f);
}

/* What the 27B model says, in the words of transformers 4.50. */
#define GEMMA_VISION                                                                   \
    "\"vision_config\": {\"model_type\": \"siglip_vision_model\", \"hidden_size\": "   \
    "1152, \"image_size\": 896, \"intermediate_size\": 4304, "                         \
    "\"num_attention_heads\": 16, \"num_hidden_layers\": 27, \"patch_size\": 14}"
static const char gemma[] =
    "{\"model_type\": \"gemma3\", \"mm_tokens_per_image\": 256, \"text_config\": "
    "{\"head_dim\": 128, \"hidden_size\": 5376, \"intermediate_size\": 21504, "
    "\"num_attention_heads\": 32, \"num_hidden_layers\": 8, \"num_key_value_heads\": "
    "16, \"query_pre_attn_scalar\": 168, \"rope_scaling\": {\"factor\": 8.0, "
    "\"rope_type\": \"linear\"}, \"sliding_window\": 1024}, " GEMMA_VISION "}";

static void gemma3_is_read_as_the_hub_has_it(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    if (read_text(gemma, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_true(s.dims.d_head == 128 && s.dims.n_kv_heads == 16);
    assert_true(s.attention_scale == (float)(1.0 / sqrt(168.0)));
    assert_true(s.embed_scale == (float)sqrt(5376.0));
    assert_true(s.rope.factor == 8.0 && s.rope_sliding.factor == 1.0);
    assert_int_equal(s.window, 1024);
    for (size_t l = 0; l < 8; l++)
        assert_int_equal(tl_spec_is_sliding(&s, l), l != 5);
    assert_true(s.vision.grid == 64 && s.vision.merge == 4);
}

/* As transformers 4.54 and 5 write what 4.50 wrote as above. */
static void gemma3_is_read_in_later_layouts(void **unused)
{
    (void)unused;
    static const struct {
        const char *keys;
        size_t window, global_every;
        double theta, factor, theta_sliding;
    } cases[] = {
        {"\"layer_types\": [\"sliding_attention\", \"full_attention\", "
         "\"sliding_attention\"]",
         4096, 2, 1e6, 1.0, 1e4},
        {"\"layer_types\": [\"sliding_attention\", \"full_attention\", "
         "\"sliding_attention\"], \"sliding_window_pattern\": 2",
         4096, 2, 1e6, 1.0, 1e4},
        {"\"layer_types\": [\"sliding_attention\", \"sliding_attention\", "
         "\"sliding_attention\"]",
         4096, 0, 1e6, 1.0, 1e4},
        {"\"layer_types\": [\"full_attention\", \"full_attention\", "
         "\"full_attention\"]",
         0, 1, 1e6, 1.0, 1e4},
        {"\"sliding_window_pattern\": 1", 0, 1, 1e6, 1.0, 1e4},
        {"\"sliding_window_pattern\": null, \"rope_scaling\": {\"type\": \"linear\", "
         "\"factor\": 2}, \"rope_theta\": 5, \"rope_local_base_freq\": 7",
         4096, 6, 5, 2, 7},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\", "
         "\"rope_theta\": 3}}, \"rope_theta\": 9, \"rope_local_base_freq\": 7, "
         "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8}",
         4096, 6, 3, 8, 7},
        {"\"attn_logit_softcapping\": 50, \"use_bidirectional_attention\": false", 4096,
         6, 1e6, 1, 1e4},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"linear\", "
         "\"factor\": 8, \"rope_theta\": 3}, \"sliding_attention\": {\"rope_type\": "
         "\"default\", \"rope_theta\": 2}}",
         4096, 6, 3, 8, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "{\"model_type\": \"gemma3\", \"mm_tokens_per_image\": 4, "
                 "\"text_config\": {\"num_hidden_layers\": 3, %s}}",
                 cases[i].keys);
        tl_spec s;
        tl_error err = {0};
        if (read_text(text, &s, &err) != TL_OK)
            fail_msg("%s: %s", cases[i].keys, err.text);
        assert_int_equal(s.window, cases[i].window);
        assert_int_equal(s.global_every, cases[i].global_every);
        assert_true(s.rope.theta == cases[i].theta);
        assert_true(s.rope.factor == cases[i].factor);
        assert_true(s.rope_sliding.theta == cases[i].theta_sliding);
    }
}

#define IN_TEXT(key) "\"head_dim\": 128", "\"head_dim\": 128, " key
#define ALL_BUT(last)                                                                  \
    IN_TEXT("\"layer_types\": [\"sliding_attention\", \"full_attention\", "            \
            "\"sliding_attention\", \"full_attention\", \"sliding_attention\", "       \
            "\"full_attention\", \"sliding_attention\", " last "]")
static const struct mutation gemma_mutations[] = {
    {IN_TEXT("\"attention_bias\": true"),
     TL_ERR_UNSUPPORTED,
     {"text_config: 'attention_bias'", "true"}},
    {IN_TEXT("\"final_logit_softcapping\": 0"),
     TL_ERR_FORMAT,
     {"final_logit_softcapping", "0"}},
    {IN_TEXT("\"use_bidirectional_attention\": true"),
     TL_ERR_UNSUPPORTED,
     {"use_bidirectional_attention", "true"}},
    {IN_TEXT("\"hidden_activation\": \"relu\""),
     TL_ERR_UNSUPPORTED,
     {"hidden_activation", "'relu'"}},
    {IN_TEXT("\"sliding_window_pattern\": 0"),
     TL_ERR_FORMAT,
     {"sliding_window_pattern", "0"}},
    {IN_TEXT("\"layer_types\": [\"full_attention\"]"),
     TL_ERR_FORMAT,
     {"layer_types", "8 layers"}},
    {ALL_BUT("\"sliding_attention\""),
     TL_ERR_UNSUPPORTED,
     {"'layer_types[7]' is sliding_attention", "full_attention"}},
    {ALL_BUT("\"full_attention\"], \"sliding_window_pattern\": 4, \"other\": ["),
     TL_ERR_UNSUPPORTED,
     {"'layer_types[1]' is full_attention", "in 4"}},
    {ALL_BUT("3"), TL_ERR_UNSUPPORTED, {"'layer_types[7]'", "not a name"}},
    {"\"linear\"", "\"yarn\"", TL_ERR_UNSUPPORTED, {"rope_scaling", "'yarn'"}},
    {"8.0", "-8.0", TL_ERR_FORMAT, {"'factor'", "-8"}},
    {"\"rope_type\": \"linear\"", "\"a\": 1", TL_ERR_FORMAT, {"rope_scaling", "type"}},
    {"{\"factor\": 8.0, \"rope_type\": \"linear\"}",
     "8",
     TL_ERR_FORMAT,
     {"rope_scaling", "object"}},
    {IN_TEXT("\"rope_parameters\": {\"rope_type\": \"default\"}"),
     TL_ERR_FORMAT,
     {"rope_parameters", "full_attention"}},
    {IN_TEXT("\"rope_local_base_freq\": 0"), TL_ERR_FORMAT, {"rope_theta", "0"}},
    {"168", "0", TL_ERR_FORMAT, {"query_pre_attn_scalar", "0"}},
    {"16, \"query", "5, \"query", TL_ERR_FORMAT, {"32", "5"}},
    {"256", "255", TL_ERR_UNSUPPORTED, {"mm_tokens_per_image", "255"}},
    {"256", "961", TL_ERR_UNSUPPORTED, {"mm_tokens_per_image", "64 patches"}},
    {"1024}", "200}", TL_ERR_UNSUPPORTED, {"mm_tokens_per_image", "200"}},
    {"siglip_vision_model", "clip", TL_ERR_UNSUPPORTED, {"vision_config", "'clip'"}},
    {GEMMA_VISION, "\"vision_config\": 3", TL_ERR_FORMAT, {"vision_config", "object"}},
    {"\"num_attention_heads\": 16",
     "\"num_attention_heads\": 7",
     TL_ERR_FORMAT,
     {"1152", "7"}},
    {"\"mm_tokens",
     "\"tie_word_embeddings\": false, \"mm_tokens",
     TL_ERR_UNSUPPORTED,
     {"'tie_word_embeddings' is false", "true in 'text_config'"}},
};

static void gemma3_refuses_by_key_and_value(void **unused)
{
    (void)unused;
    assert_refused(gemma, gemma_mutations,
                   sizeof gemma_mutations / sizeof *gemma_mutations);
}

/* As the hub has E2B and 31B, and as transformers 5.24 saves them. */
static void gemma4_is_refused_by_every_key_that_resists(void **unused)
{
    (void)unused;
    static const struct {
        const char *type, *text, *says[4];
        const char *silent;
    } cases[] = {
        {"gemma4",
         "\"head_dim\": 256, \"global_head_dim\": 512, \"num_kv_shared_layers\": 20, "
         "\"hidden_size_per_layer_input\": 128",
         {"'model_type' is 'gemma4', whose decoder is not Gemma-3's: 'head_dim'",
          "'head_dim' is 256 and 'global_head_dim' 512 (wanted equal)",
          "'num_kv_shared_layers' is 20 (wanted 0)",
          "'hidden_size_per_layer_input' is 128 (wanted 0)"},
         "enable_moe_block"},
        {"gemma4",
         "\"head_dim\": 32, \"hidden_size_per_layer_input\": 0, "
         "\"attention_k_eq_v\": true, \"enable_moe_block\": true, "
         "\"per_layer_config\": {\"02\": {\"head_dim\": 32}, \"05\": {\"head_dim\": "
         "64}, \"11\": {\"head_dim\": 64}}",
         {"'head_dim' is 32 and 'per_layer_config.05.head_dim' 64",
          "'attention_k_eq_v' is true (wanted false)",
          "'enable_moe_block' is true (wanted false)", "config.json"},
         "per_layer_input"},
        {"gemma4",
         "",
         {"256 and 'global_head_dim' 512", "is 256 (wanted 0)"},
         "shared"},
        {"gemma4_unified", "", {"'gemma4_unified'", "'global_head_dim' 512"}, "per_la"},
        {"gemma4_unified",
         "\"head_dim\": 512",
         {"'gemma4_unified', whose decoder is not Gemma-3's"},
         "head_dim"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        tl_spec s;
        tl_error err = {0};
        snprintf(text, sizeof text, "{\"model_type\": \"%s\", \"text_config\": {%s}}",
                 cases[i].type, cases[i].text);
        assert_int_equal(read_text(text, &s, &err), TL_ERR_UNSUPPORTED);
        for (size_t j = 0; j < 4 && cases[i].says[j] != NULL; j++)
            if (strstr(err.text, cases[i].says[j]) == NULL)
                fail_msg("%s: no \"%s\" in \"%s\"", text, cases[i].says[j], err.text);
        if (strstr(err.text, cases[i].silent) != NULL)
            fail_msg("%s: \"%s\" in \"%s\"", text, cases[i].silent, err.text);
    }
    tl_spec s;
    tl_error err = {0};
    assert_int_equal(read_text("{\"model_type\": \"gemma4\", \"text_config\": "
                               "{\"num_kv_shared_layers\": \"many\"}}",
                               &s, &err),
                     TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "text_config: 'num_kv_shared_layers'"));
}

static void a_missing_file_is_named(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    assert_int_equal(tl_spec_read("/nowhere/at/all", &s, &err), TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at/all/config.json"));
}

static const char pixtral[] =
    "{\"model_type\": \"llava\", \"image_token_index\": 10, \"vision_feature_layer\": "
    "-1, "
    "\"vision_feature_select_strategy\": \"full\", \"text_config\": {\"model_type\": "
    "\"mistral\", \"head_dim\": 128, \"hidden_size\": 5120, \"num_hidden_layers\": 40, "
    "\"rope_theta\": 1e9, \"sliding_window\": null, \"vocab_size\": 131072}, "
    "\"vision_config\": {\"model_type\": \"pixtral\"}}";

static void pixtral_is_read_as_the_hub_has_it(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    if (read_text(pixtral, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims want = {40, 5120, 32, 8, 128, 14336, 131072};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.norm_eps == 1e-6f && s.rope.theta == 1e9 && s.window == 0);
    assert_true(!s.qkv_bias && !s.tied_head && s.activation == TL_SILU);
    assert_true(s.attention_scale == (float)(1.0 / sqrt(128.0)));
    assert_int_equal(s.image_token, 10);
    const tl_vision_spec *v = &s.vision;
    assert_int_equal(v->tower, TL_TOWER_PIXTRAL);
    assert_true(v->depth == 24 && v->width == 1024 && v->n_heads == 16 &&
                v->d_mlp == 4096 && v->patch == 16 && v->grid == 64 &&
                v->activation == TL_GELU && v->norm_eps == 1e-5f && v->projector_bias &&
                v->projector_activation == TL_GELU);
}

/* SmolVLM-256M. */
static const char smolvlm[] =
    "{\"model_type\": \"idefics3\", \"image_token_id\": 49190, \"scale_factor\": 4, "
    "\"tie_word_embeddings\": false, \"text_config\": {\"model_type\": \"llama\", "
    "\"head_dim\": 64, \"hidden_size\": 576, \"intermediate_size\": 1536, "
    "\"num_attention_heads\": 9, \"num_hidden_layers\": 30, \"num_key_value_heads\": "
    "3, "
    "\"pixel_shuffle_factor\": 4, \"qk_layer_norms\": false, \"rms_norm_eps\": 1e-5, "
    "\"rope_theta\": 100000, \"vocab_size\": 49280}, \"vision_config\": "
    "{\"hidden_size\": "
    "768, \"image_size\": 512, \"max_image_size\": {\"longest_edge\": 512}, "
    "\"num_attention_heads\": 12, \"patch_size\": 16}}";

static void smolvlm_is_read_as_the_hub_has_it(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    if (read_text(smolvlm, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims want = {30, 576, 9, 3, 64, 1536, 49280};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.norm_eps == 1e-5f && s.rope.theta == 1e5 && s.window == 0 &&
                s.rope.context == 0.0);
    assert_true(!s.qkv_bias && !s.tied_head && s.activation == TL_SILU);
    assert_int_equal(s.image_token, 49190);
    const tl_vision_spec *v = &s.vision;
    assert_true(v->tower == TL_TOWER_VIT && v->depth == 12 && v->width == 768 &&
                v->n_heads == 12 && v->d_mlp == 3072 && v->patch == 16 &&
                v->grid == 32 && v->merge == 4 && v->activation == TL_GELU_TANH &&
                v->norm_eps == 1e-6f && v->final_norm && !v->class_row &&
                v->projector == TL_PROJECTOR_CONNECTOR && v->d_model == 576);
    /* What Idefics3VisionConfig has, and Idefics3Config. */
    if (read_text(
            "{\"model_type\": \"smolvlm\", \"text_config\": {\"rope_parameters\": "
            "{\"rope_type\": \"llama3\", \"rope_theta\": 500000, \"factor\": 8, "
            "\"low_freq_factor\": 1, \"high_freq_factor\": 4, "
            "\"original_max_position_embeddings\": 8192}}, \"vision_config\": "
            "{\"image_size\": 384}}",
            &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_true(v->width == 1152 && v->n_heads == 16 && v->patch == 32 &&
                v->grid == 12 && v->merge == 2 && s.image_token == 128257);
    assert_true(s.rope.theta == 5e5 && s.rope.factor == 8.0 && s.rope.low == 1.0 &&
                s.rope.high == 4.0 && s.rope.context == 8192.0);
}

static void a_smolvlm_of_other_parts_is_refused_by_name(void **unused)
{
    (void)unused;
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"llama\"", "\"mistral\"",
         "'text_config.model_type' is mistral, supported is llama"},
        {"\"text_config\"", "\"text\"", "no 'text_config' object"},
        {"\"rope_theta\"", "\"attention_bias\": true, \"rope_theta\"",
         "'attention_bias' is true"},
        {"\"scale_factor\": 4", "\"scale_factor\": 3",
         "'scale_factor' is 3, wanted a divisor of the 32 patches on a side"},
        {"\"scale_factor\": 4", "\"scale_factor\": 0", "'scale_factor' is 0"},
        {"\"image_size\": 512", "\"image_size\": [512, 512]",
         "'image_size' is an array"},
        {"\"image_size\": 512", "\"image_size\": 800",
         "'scale_factor' is 4, wanted a divisor of the 50 patches"},
        {"\"scale_factor\": 4", "\"scale_factor\": 5", "the 32 patches"},
        {"\"patch_size\": 16", "\"patch_size\": 17, \"hidden_act\": \"relu\"",
         "'hidden_act' is 'relu'"},
        {"\"image_size\": 512", "\"image_size\": 1600",
         "an image of 100x100 patches, to some of which"},
        /* Only where borders are made eight at a time, as torch makes them. */
        {"\"image_size\": 512", "\"image_size\": 640",
         "an image of 40x40 patches, to some of which"},
        {"\"image_size\": 512", "\"image_size\": 2147483648",
         "an image of 134217728 patches a side, at most 16384"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        const char *at = strstr(smolvlm, cases[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - smolvlm), smolvlm,
                 cases[i].to, at + strlen(cases[i].from));
        tl_spec s;
        tl_error err = {0};
        assert_int_not_equal(read_text(text, &s, &err), TL_OK);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
    }
}

static void a_llava_of_other_parts_is_refused_by_name(void **unused)
{
    (void)unused;
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"vision_config\": {\"model_type\": \"pixtral\"}",
         "\"vision_config\": {\"model_type\": \"siglip_vision_model\"}",
         "'vision_config.model_type' is siglip_vision_model, supported is "
         "clip_vision_model or pixtral"},
        {"\"vision_config\": {\"model_type\": \"pixtral\"}",
         "\"vision_config\": {\"model_type\": \"clip_vision_model\"}",
         "'vision_feature_select_strategy' is 'full', supported is default"},
        {"\"mistral\"", "\"qwen2\"", "'text_config.model_type' is qwen2"},
        {"\"full\"", "\"default\"", "'vision_feature_select_strategy' is 'default'"},
        {"\"rope_theta\": 1e9", "\"attention_bias\": true", "'attention_bias' is true"},
        {"\"rope_theta\": 1e9", "\"mlp_bias\": true", "'mlp_bias' is true"},
        {"\"vision_feature_layer\": -1", "\"vision_feature_layer\": [-1, -2]",
         "'vision_feature_layer' is not one layer"},
        {"\"vision_feature_layer\": -1", "\"vision_feature_layer\": 25",
         "'vision_feature_layer' is 25, of a tower of 24 layers"},
        {"\"rope_theta\": 1e9", "\"rope_scaling\": {\"rope_type\": \"yarn\"}",
         "rope_scaling: 'rope_type' is 'yarn', known are linear, llama3 and "
         "default"},
        {"\"rope_theta\": 1e9", "\"rope_parameters\": {\"rope_type\": \"llama3\"}",
         "rope_parameters: 'factor' is 0, wanted one above 0"},
        {"\"rope_theta\": 1e9",
         "\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, "
         "\"low_freq_factor\": 1, \"high_freq_factor\": 4}",
         "rope_parameters: 'original_max_position_embeddings' is 0, wanted one above "
         "0"},
        {"\"rope_theta\": 1e9",
         "\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, "
         "\"low_freq_factor\": 4, \"high_freq_factor\": 4, "
         "\"original_max_position_embeddings\": 8192}",
         "'high_freq_factor' is 4, wanted more than the 'low_freq_factor' of 4"},
        {"\"rope_theta\": 1e9", "\"rope_parameters\": 3",
         "'rope_parameters' is not an object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        const char *at = strstr(pixtral, cases[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - pixtral), pixtral,
                 cases[i].to, at + strlen(cases[i].from));
        tl_spec s;
        tl_error err = {0};
        assert_int_not_equal(read_text(text, &s, &err), TL_OK);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
    }
}

static const char llava_next[] =
    "{\"model_type\": \"llava_next\", \"image_token_index\": 32000, "
    "\"tie_word_embeddings\": false, \"text_config\": {\"intermediate_size\": 14336, "
    "\"model_type\": \"mistral\", \"num_key_value_heads\": 8, \"rms_norm_eps\": "
    "1e-05, \"rope_theta\": 1000000.0, \"sliding_window\": null, \"vocab_size\": "
    "32064}, \"use_image_newline_parameter\": true, \"vision_config\": "
    "{\"hidden_size\": 1024, \"image_size\": 336, \"intermediate_size\": 4096, "
    "\"model_type\": \"clip_vision_model\", \"num_attention_heads\": 16, "
    "\"num_hidden_layers\": 24, \"patch_size\": 14}, \"vision_feature_layer\": -2, "
    "\"vision_feature_select_strategy\": \"default\"}";

static const char llava_onevision[] =
    "{\"model_type\": \"llava_onevision\", \"tie_word_embeddings\": true, "
    "\"text_config\": {\"hidden_size\": 896, \"intermediate_size\": 4864, "
    "\"max_window_layers\": 24, \"model_type\": \"qwen2\", \"num_attention_heads\": "
    "14, \"num_hidden_layers\": 24, \"num_key_value_heads\": 2, \"rope_theta\": "
    "1000000.0, \"tie_word_embeddings\": true, \"vocab_size\": 152000}, "
    "\"vision_config\": {\"hidden_size\": 1152, \"image_size\": 384, "
    "\"intermediate_size\": 4304, \"model_type\": \"siglip_vision_model\", "
    "\"num_attention_heads\": 16, \"num_hidden_layers\": 26, \"patch_size\": 14}}";

static void llava_next_and_onevision_are_read_as_published(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    if (read_text(llava_next, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims next = {32, 4096, 32, 8, 128, 14336, 32064};
    assert_memory_equal(&s.dims, &next, sizeof next);
    assert_true(s.norm_eps == 1e-5f && s.rope.theta == 1e6 && s.window == 0);
    assert_true(!s.qkv_bias && !s.tied_head);
    assert_int_equal(s.image_token, 32000);
    const tl_vision_spec *v = &s.vision;
    assert_true(v->tower == TL_TOWER_VIT && v->class_row && v->packs);
    assert_true(v->depth == 23 && v->grid == 24 && v->activation == TL_QUICK_GELU);
    assert_true(v->projector == TL_PROJECTOR_LAYERS && v->projector_bias);

    if (read_text(llava_onevision, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims onevision = {24, 896, 14, 2, 64, 4864, 152000};
    assert_memory_equal(&s.dims, &onevision, sizeof onevision);
    assert_true(s.norm_eps == 1e-6f && s.rope.theta == 1e6 && s.window == 0);
    assert_true(s.qkv_bias && s.tied_head);
    assert_int_equal(s.image_token, 151646);
    assert_true(v->tower == TL_TOWER_VIT && !v->class_row && v->packs);
    assert_true(v->depth == 26 && v->grid == 27 && v->activation == TL_GELU_TANH);
    assert_true(!v->final_norm && v->projector_activation == TL_GELU);
}

/* Text with the first `from` in it exchanged. */
static void exchange(const char *text, const char *from, const char *to, char *out,
                     size_t bytes)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    snprintf(out, bytes, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void tiles_of_other_models_are_refused_by_name(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *from, *to, *says;
    } cases[] = {
        {llava_next, "\"clip_vision_model\"", "\"siglip_vision_model\"",
         "'vision_config.model_type' is siglip_vision_model, supported is "
         "clip_vision_model"},
        {llava_next, "\"mistral\"", "\"qwen2\"",
         "'text_config.model_type' is qwen2, supported is llama or mistral"},
        {llava_next, "\"default\"", "\"full\"",
         "'vision_feature_select_strategy' is 'full', supported is default"},
        {llava_next, "\"vision_feature_layer\": -2", "\"vision_feature_layer\": [-2]",
         "'vision_feature_layer' is not one layer"},
        {llava_next, "\"rope_theta\": 1000000.0",
         "\"rope_scaling\": {\"rope_type\": \"yarn\"}", "'rope_type' is 'yarn'"},
        {llava_onevision, "\"qwen2\"", "\"qwen3\"",
         "'text_config.model_type' is qwen3, supported is qwen2"},
        {llava_onevision, "\"siglip_vision_model\"", "\"clip_vision_model\"",
         "supported is siglip_vision_model"},
        {llava_onevision, "\"tie_word_embeddings\": true",
         "\"vision_feature_select_strategy\": \"default\"",
         "'vision_feature_select_strategy' is 'default', supported is full"},
        {llava_onevision, "\"max_window_layers\": 24",
         "\"max_window_layers\": 23, \"use_sliding_window\": true",
         "'use_sliding_window' is true"},
        {llava_onevision, "\"max_window_layers\": 24",
         "\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
         "'layer_types[1]' is sliding_attention"},
        {llava_onevision, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3",
         "14 query heads cannot share 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        tl_spec s;
        tl_error err = {0};
        exchange(cases[i].text, cases[i].from, cases[i].to, text, sizeof text);
        if (read_text(text, &s, &err) == TL_OK)
            fail_msg("%s is taken", cases[i].to);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
    }
}

/* Of one encoding for all layers: as transformers 4 has it, and 5. */
static void rotary_positions_are_read_in_both_layouts(void **unused)
{
    (void)unused;
    static const struct {
        const char *keys;
        double theta, factor;
    } cases[] = {
        {"\"rope_theta\": 5", 5, 1},
        {"\"rope_theta\": 5, \"rope_scaling\": null", 5, 1},
        {"\"rope_theta\": 5, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}",
         5, 4},
        {"\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7}", 7, 1},
        {"\"rope_parameters\": {\"rope_type\": \"linear\", \"rope_theta\": 7, "
         "\"factor\": 2.5}",
         7, 2.5},
        {"\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 3}, "
         "\"rope_theta\": 5",
         5, 3},
        {"\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7}, "
         "\"rope_theta\": 5, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}",
         5, 4},
        {"\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7}, "
         "\"rope_theta\": 5, \"rope_scaling\": {}",
         7, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t family = 0; family < 2; family++) {
            char text[512];
            snprintf(text, sizeof text,
                     family == 0
                         ? "{\"model_type\": \"llava\", \"text_config\": {%s}, "
                           "\"vision_config\": {}}"
                         : "{\"model_type\": \"paligemma\", \"projection_dim\": "
                           "3072, \"text_config\": {%s}}",
                     cases[i].keys);
            tl_spec s;
            tl_error err = {0};
            if (read_text(text, &s, &err) != TL_OK)
                fail_msg("%s: %s", cases[i].keys, err.text);
            assert_true(s.rope.theta == cases[i].theta);
            assert_true(s.rope.factor == cases[i].factor);
        }
}

/* llava-1.5-7b-hf leaves nearly everything to the classes' defaults. */
static void llava_1_5_is_read_as_the_hub_has_it(void **unused)
{
    (void)unused;
    static const char text[] =
        "{\"model_type\": \"llava\", \"image_token_index\": 32000, "
        "\"projector_hidden_act\": \"gelu\", \"text_config\": {\"model_type\": "
        "\"llama\", \"rms_norm_eps\": 1e-05, \"vocab_size\": 32064}, "
        "\"tie_word_embeddings\": false, \"vision_config\": {\"hidden_size\": 1024, "
        "\"image_size\": 336, \"intermediate_size\": 4096, \"model_type\": "
        "\"clip_vision_model\", \"num_attention_heads\": 16, \"num_hidden_layers\": "
        "24, \"patch_size\": 14, \"projection_dim\": 768}, "
        "\"vision_feature_layer\": -2, \"vision_feature_select_strategy\": "
        "\"default\"}";
    tl_spec s;
    tl_error err = {0};
    if (read_text(text, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims want = {32, 4096, 32, 32, 128, 11008, 32064};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.norm_eps == 1e-5f && s.rope.theta == 1e4 && s.window == 0);
    assert_true(!s.qkv_bias && !s.tied_head && s.embed_scale == 1.0f);
    assert_int_equal(s.image_token, 32000);
    const tl_vision_spec *v = &s.vision;
    assert_int_equal(v->tower, TL_TOWER_VIT);
    assert_int_equal(v->projector, TL_PROJECTOR_LAYERS);
    assert_true(v->class_row && !v->final_norm && v->depth == 23 && v->width == 1024 &&
                v->grid == 24 && v->activation == TL_QUICK_GELU &&
                v->norm_eps == 1e-5f);
}

/* paligemma2-3b-pt-224, and the first generation's defaults. */
static const char paligemma[] =
    "{\"model_type\": \"paligemma\", \"image_token_index\": 257152, "
    "\"projection_dim\": 2304, \"text_config\": {\"hidden_size\": 2304, "
    "\"intermediate_size\": 9216, \"model_type\": \"gemma2\", "
    "\"num_attention_heads\": 8, \"num_hidden_layers\": 26, "
    "\"num_key_value_heads\": 4, \"query_pre_attn_scalar\": 256, "
    "\"sliding_window\": 4096, \"vocab_size\": 257216}, \"vision_config\": "
    "{\"hidden_size\": 1152, \"intermediate_size\": 4304, \"model_type\": "
    "\"siglip_vision_model\", \"num_attention_heads\": 16, \"num_hidden_layers\": "
    "27, \"patch_size\": 14}}";

static void paligemma_is_read_in_both_generations(void **unused)
{
    (void)unused;
    tl_spec s;
    tl_error err = {0};
    if (read_text(paligemma, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims want = {26, 2304, 8, 4, 256, 9216, 257216};
    assert_memory_equal(&s.dims, &want, sizeof want);
    assert_true(s.attention_softcap == 50.0f && s.logit_softcap == 30.0f);
    assert_true(s.attention_scale == 1.0f / 16.0f && s.embed_scale == 48.0f);
    assert_true(s.bidirectional && !s.image_bidirectional && s.tied_head);
    assert_true(s.post_norms && s.norm_plus_one && !s.qk_norm);
    assert_int_equal(s.window, 4096);
    for (size_t l = 0; l < 4; l++)
        assert_int_equal(tl_spec_is_sliding(&s, l), l % 2 == 0);
    assert_true(s.rope.theta == 1e4 && s.rope_sliding.theta == 1e4);
    assert_int_equal(s.image_token, 257152);
    const tl_vision_spec *v = &s.vision;
    assert_true(v->tower == TL_TOWER_VIT && v->projector == TL_PROJECTOR_LINEAR &&
                v->projector_bias && v->final_norm && !v->class_row && v->grid == 16);

    if (read_text("{\"model_type\": \"paligemma\", \"projection_dim\": 3072, "
                  "\"text_config\": {\"hidden_activation\": null}}",
                  &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims first = {28, 3072, 16, 16, 256, 24576, 256000};
    assert_memory_equal(&s.dims, &first, sizeof first);
    assert_true(s.attention_softcap == 0.0f && s.logit_softcap == 0.0f);
    assert_true(!s.post_norms && s.norm_plus_one && s.window == 0);
    assert_true(s.attention_scale == 1.0f / 16.0f && s.activation == TL_GELU_TANH);
    assert_int_equal(s.image_token, 256000);
}

#define IN_GEMMA2(key) "\"vocab_size\": 257216", "\"vocab_size\": 257216, " key
static const struct mutation paligemma_mutations[] = {
    {"\"gemma2\"",
     "\"llama\"",
     TL_ERR_UNSUPPORTED,
     {"'text_config.model_type' is 'llama'", "gemma, gemma2"}},
    {"\"projection_dim\": 2304",
     "\"projection_dim\": 2048",
     TL_ERR_FORMAT,
     {"'projection_dim' is 2048", "2304"}},
    {IN_GEMMA2("\"attn_logit_softcapping\": -1"),
     TL_ERR_FORMAT,
     {"attn_logit_softcapping", "-1"}},
    {IN_GEMMA2("\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}"),
     TL_ERR_UNSUPPORTED,
     {"rope_scaling", "'dynamic'"}},
    {IN_GEMMA2("\"rope_scaling\": {\"type\": \"linear\"}"),
     TL_ERR_FORMAT,
     {"rope_scaling", "'factor' is 0"}},
    {IN_GEMMA2("\"attention_bias\": true"),
     TL_ERR_UNSUPPORTED,
     {"attention_bias", "true"}},
    {"siglip_vision_model",
     "clip_vision_model",
     TL_ERR_UNSUPPORTED,
     {"'clip_vision_model'", "known is siglip_vision_model"}},
    {"\"patch_size\": 14", "\"patch_size\": 225", TL_ERR_FORMAT, {"image_size", "225"}},
};

static void paligemma_refuses_by_key_and_value(void **unused)
{
    (void)unused;
    assert_refused(paligemma, paligemma_mutations,
                   sizeof paligemma_mutations / sizeof *paligemma_mutations);
    tl_spec s;
    tl_error err = {0};
    char text[2048];
    snprintf(text, sizeof text, "%.*s\"attn_logit_softcapping\": null, %s",
             (int)(strstr(paligemma, "\"query_pre") - paligemma), paligemma,
             strstr(paligemma, "\"query_pre"));
    assert_int_equal(read_text(text, &s, &err), TL_OK);
    assert_true(s.attention_softcap == 0.0f && s.logit_softcap == 30.0f);
}

/* Prompts see each other in any case; versions differ in what sliding layers see. */
static void paligemma_is_read_as_transformers_5_saves_it(void **unused)
{
    (void)unused;
    static const struct {
        const char *version;
        size_t window;
    } cases[] = {{"4.45.2", 4096}, {"4.52.4", 4096}, {"4.53.0", 0}, {"5.24.0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_spec s;
        tl_error err = {0};
        char text[2048];
        snprintf(text, sizeof text,
                 "{\"transformers_version\": \"%s\", %.*s"
                 "\"use_bidirectional_attention\": true, %s",
                 cases[i].version,
                 (int)(strstr(paligemma, "\"query_pre") - paligemma - 1), paligemma + 1,
                 strstr(paligemma, "\"query_pre"));
        if (read_text(text, &s, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_true(s.bidirectional);
        assert_int_equal(s.window, cases[i].window);
    }
}

/* transformers 5 writes what turns a tower's patches as an object, too. */
static void a_tower_says_its_rotary_encoding_in_both_layouts(void **unused)
{
    (void)unused;
    static const char *const families[] = {
        "{\"model_type\": \"llava\", \"text_config\": {}, "
        "\"vision_config\": {\"model_type\": \"pixtral\"%s}, "
        "\"vision_feature_select_strategy\": \"full\"}",
        "{\"model_type\": \"qwen2_vl\", \"hidden_size\": 3584, "
        "\"num_attention_heads\": 28, \"num_key_value_heads\": 4, " ROPE
        ", \"vision_config\": {\"hidden_size\": 3584%s}}",
        "{\"model_type\": \"qwen2_5_vl\", \"hidden_size\": 3584, "
        "\"num_attention_heads\": 28, \"num_key_value_heads\": 4, " ROPE
        ", \"vision_config\": {\"hidden_size\": 1280%s}}",
    };
    static const struct {
        const char *keys;
        double theta; /* 0: refused */
    } cases[] = {
        {"", 1e4},
        {", \"rope_theta\": 7", 7},
        {", \"rope_parameters\": {\"rope_type\": \"axial\", \"rope_theta\": 5}", 5},
        {", \"rope_parameters\": {\"rope_type\": \"default\"}, \"rope_theta\": 9", 9},
        {", \"rope_parameters\": {\"rope_type\": \"yarn\"}", 0},
        {", \"rope_parameters\": {\"rope_theta\": -1}", 0},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char text[1024];
            tl_spec s;
            tl_error err = {0};
            snprintf(text, sizeof text, families[f], cases[i].keys);
            const tl_status status = read_text(text, &s, &err);
            if ((status == TL_OK) != (cases[i].theta > 0.0))
                fail_msg("%s: %s", text, err.text);
            if (status == TL_OK)
                assert_true(s.vision.rope_theta == cases[i].theta);
            else
                assert_non_null(strstr(err.text, "rope_"));
        }
}

static void qwen2_5_vl_has_a_tower_of_windows(void **unused)
{
    (void)unused;
    static const char text[] =
        "{\"model_type\": \"qwen2_5_vl\", \"hidden_size\": 2048, "
        "\"num_attention_heads\": "
        "16, \"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]}, "
        "\"vision_config\": {\"hidden_size\": 1280, \"out_hidden_size\": %d%s}}";
    char json[512];
    tl_spec s;
    tl_error err = {0};
    snprintf(json, sizeof json, text, 2048, "");
    if (read_text(json, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_vision_spec *v = &s.vision;
    assert_true(v->tower == TL_TOWER_QWEN && v->depth == 32 && v->d_mlp == 3420 &&
                v->window == 112 && v->rms_norms && v->gated_mlp);
    for (size_t l = 0; l < v->depth; l++)
        assert_int_equal(v->sees_all[l], l % 8 == 7);
    snprintf(json, sizeof json, text, 2047, "");
    assert_int_equal(read_text(json, &s, &err), TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "'vision_config.out_hidden_size' is 2047"));
    snprintf(json, sizeof json, text, 2048, ", \"fullatt_block_indexes\": [7, -1]");
    assert_int_equal(read_text(json, &s, &err), TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "fullatt_block_indexes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_take_the_defaults_of_transformers),
        cmocka_unit_test(both_layouts_and_both_names_of_mrope_are_read),
        cmocka_unit_test(what_cannot_be_honoured_is_refused_by_key_and_value),
        cmocka_unit_test(gemma3_has_the_defaults_of_transformers),
        cmocka_unit_test(gemma3_is_read_as_the_hub_has_it),
        cmocka_unit_test(gemma3_is_read_in_later_layouts),
        cmocka_unit_test(gemma3_refuses_by_key_and_value),
        cmocka_unit_test(gemma4_is_refused_by_every_key_that_resists),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(pixtral_is_read_as_the_hub_has_it),
        cmocka_unit_test(a_llava_of_other_parts_is_refused_by_name),
        cmocka_unit_test(llava_next_and_onevision_are_read_as_published),
        cmocka_unit_test(tiles_of_other_models_are_refused_by_name),
        cmocka_unit_test(smolvlm_is_read_as_the_hub_has_it),
        cmocka_unit_test(a_smolvlm_of_other_parts_is_refused_by_name),
        cmocka_unit_test(rotary_positions_are_read_in_both_layouts),
        cmocka_unit_test(llava_1_5_is_read_as_the_hub_has_it),
        cmocka_unit_test(paligemma_is_read_in_both_generations),
        cmocka_unit_test(paligemma_refuses_by_key_and_value),
        cmocka_unit_test(paligemma_is_read_as_transformers_5_saves_it),
        cmocka_unit_test(a_tower_says_its_rotary_encoding_in_both_layouts),
        cmocka_unit_test(qwen2_5_vl_has_a_tower_of_windows),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
