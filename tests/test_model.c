/*
 * test_model.c - model folders: the names that tensors have had, the hub's cache, a
 * model without a tower, and what does not fit together.
 */
#include "random_inputs.h"
#include "variant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/model_parts.h"
#include "twinlens/alloc.h"
#include "twinlens/log.h"
#include "twinlens/pass.h"
#include "twinlens/safetensors.h"

#define FAMILIES TWINLENS_SOURCE_DIR "/tests/data/families"

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

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    return path;
}

/* The tiny checkpoint under `name`, see variant.h. */
static void write_variant(const char *name, const rename_rule *rules, size_t n_rules,
                          const char *broken)
{
    write_renamed(tiny_checkpoint, path_of(name), rules, n_rules, broken);
}

/* The logit difference of one prompt with an image. */
static double signature(const char *path)
{
    tl_model *model = NULL;
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    tl_arena *arena = tl_arena_create();
    if (tl_model_open(path, NULL, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_pass_prompt prompt = {.input = random_input(model, arena, 20, 0, 4, 3)};
    if (tl_pass_create(model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, &prompt, 1, NULL, &err) != TL_OK ||
        tl_pass_logit_diff(pass, 0, 5, 9, &ld, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
    tl_model_close(model);
    tl_arena_destroy(arena);
    return ld;
}

/* The tiny checkpoint under `name`, its tensors renamed, with `text` as one of its files. */
static const char *with_file(const char *name, const rename_rule *rules, size_t n_rules,
                             const char *file, const char *text)
{
    char path[1200];
    write_variant(name, rules, n_rules, NULL);
    snprintf(path, sizeof path, "%.600s/%s", path_of(name), file);
    unlink(path);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
    return path_of(name);
}

static void keep_warning(void *user, tl_log_level level, const char *text)
{
    if (level == TL_LOG_WARNING)
        snprintf(user, 256, "%s", text);
}

static void assert_does_not_open(const char *path, tl_status want, const char *says)
{
    tl_model *model = NULL;
    tl_error err = {0};
    const tl_status got = tl_model_open(path, NULL, &model, &err);
    if (got != want || strstr(err.text, says) == NULL)
        fail_msg("%s: '%s', wanted '%s'", tl_status_name(got), err.text, says);
}

/* A LoRA beside the weights, and one alone; of a model that it names, or of one that it does
 * not. */
static void an_adapter_that_is_not_applied_is_said(void **unused)
{
    (void)unused;
    static const char *const configs[] = {
        "{}", "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"Org/Base\"}"};
    static const char *const names[] = {"", " (LORA of 'Org/Base')"};
    for (size_t i = 0; i < 2; i++) {
        char warning[256] = "", path[1200], says[128], name[16];
        snprintf(name, sizeof name, "adapted%zu", i);
        tl_log_set(keep_warning, warning);
        const double ld =
            signature(with_file(name, NULL, 0, "adapter_config.json", configs[i]));
        tl_log_set(NULL, NULL);
        assert_true(ld == signature(tiny_checkpoint));
        snprintf(says, sizeof says, ": the adapter%s beside the model is not applied",
                 names[i]);
        if (strstr(warning, says) == NULL)
            fail_msg("'%s', wanted '%s'", warning, says);
        snprintf(path, sizeof path, "%.600s/config.json", path_of(name));
        assert_int_equal(unlink(path), 0);
        snprintf(says, sizeof says, ": holds an adapter%s and no model; wanted",
                 names[i]);
        assert_does_not_open(path_of(name), TL_ERR_UNSUPPORTED, says);
    }
}

/* LoRA as peft names it in a model that is saved unmerged: by itself, with all of peft's own
 * names in front, and as once, the weights where they always were. */
static void an_adapter_among_the_weights_is_said(void **unused)
{
    (void)unused;
    static const char layer[] = "model.layers.1.self_attn.q_proj.",
                      adapter[] =
                          "model.layers.1.self_attn.q_proj.lora_A.default.weight";
    const rename_rule rules[][2] = {
        {{layer, "model.layers.1.self_attn.q_proj.base_layer."},
         {"visual.blocks.0.attn.proj.weight", adapter}},
        {{layer, "base_model.model.model.layers.1.self_attn.q_proj.base_layer."},
         {"", "base_model.model."}},
        {{"visual.blocks.0.attn.proj.weight", adapter}, {"visual.", NULL}},
    };
    char warning[256] = "";
    tl_model *model = NULL;
    tl_error err = {0};
    for (size_t i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "unmerged%zu", i);
        write_variant(name, rules[i], 2, NULL);
        assert_does_not_open(
            path_of(name), TL_ERR_UNSUPPORTED,
            "q_proj.base_layer.bias' is of a layer with an adapter that "
            "is not merged into it");
    }
    write_variant("beside", rules[2], 2, NULL);
    tl_log_set(keep_warning, warning);
    assert_int_equal(tl_model_open(path_of("beside"), NULL, &model, &err), TL_OK);
    tl_log_set(NULL, NULL);
    tl_model_close(model);
    assert_non_null(strstr(warning, adapter));
    assert_non_null(strstr(warning, "is not applied"));
}

/* The tiny checkpoint's config.json, which says that the head is a matrix of its own, with
 * the contrary. */
static const char *tied_config(void)
{
    static const char key[] = "\"tie_word_embeddings\": false";
    static char text[8192];
    char path[600];
    snprintf(path, sizeof path, "%s/config.json", tiny_checkpoint);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    char *at = strstr(text, key);
    assert_non_null(at);
    memcpy(at + sizeof key - 6, "true ", 5);
    return text;
}

static void a_head_that_contradicts_the_configuration_is_refused(void **unused)
{
    (void)unused;
    const rename_rule no_head[] = {{"lm_head.", NULL}};
    write_variant("headless", no_head, 1, NULL);
    assert_does_not_open(path_of("headless"), TL_ERR_NOT_FOUND,
                         "there is no tensor 'lm_head.weight'");
    assert_does_not_open(with_file("tied", NULL, 0, "config.json", tied_config()),
                         TL_ERR_UNSUPPORTED,
                         "'lm_head.weight' is another matrix than the embeddings");
}

/* Where versions of transformers look at different keys, the head in the folder decides. */
static void a_head_that_is_there_decides(void **unused)
{
    (void)unused;
    static const struct {
        const char *inside, *outside;
        bool has_head;
        tl_status status;
        bool tied;
    } cases[] = {
        {"null", "null", true, TL_OK, false}, /* Mistral-Small 3.1's on the hub */
        {"false", "true", true, TL_OK,
         false}, /* the same, saved by transformers 5.24 */
        {"null", "null", false, TL_OK, true},
        {"false", "true", false, TL_OK, true},
        {"true", "true", false, TL_OK, true},
        {"true", "false", false, TL_OK, true},
        {"false", "false", true, TL_OK, false},
        {"null", "false", false, TL_ERR_NOT_FOUND, false},
        {"true", "null", true, TL_ERR_UNSUPPORTED, false},
    };
    static const char key[] = "\"tie_word_embeddings\": ";
    const rename_rule no_head[] = {{"language_model.lm_head.", NULL}};
    char config[8192], path[1200];
    const char *source = FAMILIES "/mistral3";
    snprintf(path, sizeof path, "%s/config.json", source);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    config[fread(config, 1, sizeof config - 1, in)] = '\0';
    fclose(in);
    char *inner = strstr(config, key) + sizeof key - 1;
    char *outer = strstr(inner, key) + sizeof key - 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        tl_model *model = NULL;
        tl_error err = {0};
        snprintf(name, sizeof name, "decides%zu", i);
        write_renamed(source, path_of(name), no_head, cases[i].has_head ? 0 : 1, NULL);
        snprintf(path, sizeof path, "%.600s/config.json", path_of(name));
        assert_int_equal(unlink(path), 0);
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fprintf(out, "%.*s%s%.*s%s%s", (int)(inner - config), config, cases[i].inside,
                (int)(outer - inner) - 5, inner + 5, cases[i].outside, outer + 5);
        assert_int_equal(fclose(out), 0);
        const tl_status got = tl_model_open(path_of(name), NULL, &model, &err);
        if (got != cases[i].status)
            fail_msg("case %zu: %s: %s", i, tl_status_name(got), err.text);
        if (got == TL_OK)
            assert_int_equal(tl_model_spec(model)->tied_head, cases[i].tied);
        tl_model_close(model);
    }
}

/* AutoModel leaves the head away, and from the decoder's names what stands in front. */
static void what_automodel_saves_is_the_same_model(void **unused)
{
    (void)unused;
    const rename_rule cases[][3] = {
        {{"lm_head.", NULL}, {"model.", "language_model."}, {"none.", NULL}},
        {{"lm_head.", NULL}, {"model.", ""}, {"none.", NULL}},
        {{"lm_head.", NULL}, {"model.", ""}, {"visual.", "model.visual."}},
        {{"lm_head.", NULL}, {"model.", "model.language_model."}, {"none.", NULL}},
    };
    const double want =
        signature(with_file("whole", cases[0], 1, "config.json", tied_config()));
    assert_true(want != signature(tiny_checkpoint));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "auto%zu", i);
        assert_true(signature(with_file(name, cases[i], 3, "config.json",
                                        tied_config())) == want);
    }
}

static void every_generation_of_names_is_the_same_model(void **unused)
{
    (void)unused;
    const rename_rule newer[] = {{"model.", "model.language_model."},
                                 {"visual.", "model.visual."}};
    const rename_rule llava[] = {{"model.", "language_model.model."},
                                 {"lm_head.", "language_model.lm_head."}};
    write_variant("newer", newer, 2, NULL);
    write_variant("llava", llava, 2, NULL);
    const double want = signature(tiny_checkpoint);
    assert_true(signature(path_of("newer")) == want);
    assert_true(signature(path_of("llava")) == want);
}

static void a_cache_entry_of_the_hub_opens(void **unused)
{
    (void)unused;
    static const char *const folders[] = {"models--org--name", "models--org--name/refs",
                                          "models--org--name/snapshots",
                                          "models--org--name/snapshots/later"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(mkdir(path_of(folders[i]), 0755), 0);
    assert_int_equal(
        symlink(tiny_checkpoint, path_of("models--org--name/snapshots/abc123")), 0);
    test_file(&folder, "models--org--name/refs/main", "abc123\n", 7);
    assert_true(signature(path_of("models--org--name")) == signature(tiny_checkpoint));
}

#define PIXELS(n_patches, n_values, t, h, w)                                           \
    {                                                                                  \
        .n_dims = 2, .dims = {n_patches, n_values}, .values = values, .grid_t = t,     \
        .grid_h = h, .grid_w = w, .n_views = 1                                         \
    }

static void a_model_without_a_tower_takes_text_only(void **unused)
{
    (void)unused;
    const rename_rule no_tower[] = {{"visual.", NULL}};
    write_variant("text-only", no_tower, 1, NULL);
    tl_model *model = NULL;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    if (tl_model_open(path_of("text-only"), NULL, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    random_input(model, arena, 9, 0, 0, 1);
    int32_t ids[8] = {1, 2, 3, TINY_IMAGE_TOKEN, 4, 5, 6, 7};
    float *values = tl_arena_alloc_zero(arena, 4 * TINY_PATCH_VALUES, sizeof *values);
    tl_encoding e = {TL_IMAGE, 8, ids, 3, 4, 1, PIXELS(4, TINY_PATCH_VALUES, 1, 2, 2),
                     NULL};
    tl_input input = {.n_pos = 77};
    assert_int_equal(tl_model_input(model, &e, TL_ROPE_TRUE, arena, &input, &err),
                     TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "vision tower"));
    assert_int_equal(input.n_pos, 77);
    tl_model_close(model);
    tl_arena_destroy(arena);
}

static void what_does_not_fit_the_model_is_refused(void **unused)
{
    (void)unused;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    int32_t ids[8] = {1, 2, 3, TINY_IMAGE_TOKEN, TINY_IMAGE_TOKEN, 5, 6, 7};
    float *values = tl_arena_alloc_zero(arena, 16 * TINY_PATCH_VALUES, sizeof *values);
    const struct {
        tl_pixels pixels;
        int32_t last_id;
        size_t n_pos;
        const char *says;
    } cases[] = {
        {PIXELS(4, TINY_PATCH_VALUES, 1, 2, 2), 7, 8,
         "2 image tokens, the image gives 1"},
        {PIXELS(8, TINY_PATCH_VALUES, 1, 2, 4), 640, 8, "640 at position 7"},
        {PIXELS(8, TINY_PATCH_VALUES, 1, 2, 4), -1, 8, "-1 at position 7"},
        {PIXELS(6, TINY_PATCH_VALUES, 1, 2, 3), 7, 8, "does not fit"},
        {PIXELS(8, 1000, 1, 2, 4), 7, 8, "does not fit"},
        {PIXELS(0, TINY_PATCH_VALUES, 1, 0, 0), 7, 8, "does not fit"},
        {PIXELS(8, TINY_PATCH_VALUES, 2, 2, 2), 7, 8, "does not fit"},
        {PIXELS(8, TINY_PATCH_VALUES, 1, 2, 4), 7, 0, "without any token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ids[7] = cases[i].last_id;
        const tl_encoding e = {TL_IMAGE, cases[i].n_pos,  ids, 3, 5,
                               1,        cases[i].pixels, NULL};
        tl_input input;
        tl_error err = {0};
        if (tl_model_input(model, &e, TL_ROPE_TRUE, arena, &input, &err) !=
                TL_ERR_DATA ||
            strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: '%s', wanted '%s'", i, err.text, cases[i].says);
    }
    tl_model_close(model);
    tl_arena_destroy(arena);
}

static void a_folder_that_is_no_model_says_what_is_wrong(void **unused)
{
    (void)unused;
    const rename_rule no_embed[] = {{"model.embed_tokens.", NULL}};
    const rename_rule no_layer[] = {{"model.layers.3.mlp.up_proj.", NULL}};
    write_variant("no-embed", no_embed, 1, NULL);
    write_variant("no-layer", no_layer, 1, NULL);
    write_variant("short", NULL, 0, "model.layers.2.self_attn.q_proj.weight");
    assert_int_equal(mkdir(path_of("empty"), 0755), 0);
    const struct {
        const char *name;
        tl_status status;
        const char *says[2];
    } cases[] = {
        {"no-embed",
         TL_ERR_NOT_FOUND,
         {"embed_tokens.weight", "model.language_model."}},
        {"no-layer",
         TL_ERR_NOT_FOUND,
         {"model.layers.3.mlp.up_proj.weight", "model.safetensors"}},
        {"short", TL_ERR_FORMAT, {"model.layers.2.self_attn.q_proj.weight", "[47,48]"}},
        {"empty", TL_ERR_NOT_FOUND, {"config.json", "snapshots"}},
        {"no-embed/config.json", TL_ERR_ARGUMENT, {"a file", "wanted the folder"}},
        {"nowhere", TL_ERR_NOT_FOUND, {"nowhere", "no such model folder"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tl_model *model = NULL;
        tl_error err = {0};
        const tl_status status =
            tl_model_open(path_of(cases[i].name), NULL, &model, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].says[0]) == NULL ||
            strstr(err.text, cases[i].says[1]) == NULL || model != NULL)
            fail_msg("%s: %s, '%s'; wanted '%s' and '%s'", cases[i].name,
                     tl_status_name(status), err.text, cases[i].says[0],
                     cases[i].says[1]);
    }
}

/* Opens, runs the tower and a pass there and back, with the n-th request for memory
 * failing, until one run gets through. */
static tl_status whole_run(tl_error *err)
{
    tl_model *model = NULL;
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    static float values[4 * TINY_PATCH_VALUES];
    static const int32_t ids[6] = {1, 2, TINY_IMAGE_TOKEN, 4, 5, 6};
    const tl_encoding e = {
        TL_IMAGE, 6, ids, 2, 3, 1, PIXELS(4, TINY_PATCH_VALUES, 1, 2, 2), NULL};
    const int32_t a = 5, b = 9;
    tl_pass_prompt prompt = {.prefix = NULL};
    const tl_pass_options options = {.for_backward = true, .last_only = true};
    tl_status status = tl_model_open(tiny_checkpoint, NULL, &model, err);
    if (status == TL_OK)
        status = tl_model_input(model, &e, TL_ROPE_TRUE, arena, &prompt.input, err);
    if (status == TL_OK)
        status = tl_pass_create(model, &pass, err);
    if (status == TL_OK)
        status = tl_pass_forward(pass, &prompt, 1, &options, err);
    if (status == TL_OK)
        status = tl_pass_backward(pass, &a, &b, err);
    tl_pass_destroy(pass);
    tl_model_close(model);
    tl_arena_destroy(arena);
    return status;
}

static void no_failing_request_for_memory_harms(void **unused)
{
    (void)unused;
    const size_t live = tl_alloc_live();
    long long n = 0;
    for (;; n++) {
        tl_error err = {0};
        tl_alloc_fail_at(n);
        const tl_status status = whole_run(&err);
        const int hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        assert_int_equal(tl_alloc_live(), live);
        if (!hit) {
            assert_int_equal(status, TL_OK);
            break;
        }
        /* A weight that finds no room in the cache is converted each time instead. */
        if (status != TL_ERR_NO_MEMORY && status != TL_OK)
            fail_msg("request %lld: %s, '%s'", n, tl_status_name(status), err.text);
        assert_true(status == TL_OK || err.text[0] != '\0');
    }
    assert_true(n > 20); /* it did fail, again and again */
}

static tl_status find_no_path(tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    const char *found = "untouched";
    tl_status status = TL_ERR_NO_MEMORY;
    if (arena != NULL && (status = tl_model_folder(NULL, arena, &found, err)) == TL_OK)
        assert_non_null(strstr(found, "/models/organism"));
    else
        assert_string_equal(found, "untouched");
    tl_arena_destroy(arena);
    return status;
}

static void without_a_path_it_is_the_bundled_model(void **unused)
{
    (void)unused;
    tl_error err = {0};
    long long n = 0;
    for (int hit = 1; hit; n++) {
        tl_alloc_fail_at(n);
        const tl_status status = find_no_path(&err);
        hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
    }
    assert_true(n > 2);
}

/* ORG/NAME is looked for where the hub's programs keep what they fetch. */
static void a_name_of_the_hub_is_found_in_its_cache(void **unused)
{
    (void)unused;
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", "."},
                  {"HF_HOME", "hub"},
                  {"XDG_CACHE_HOME", "huggingface/hub"},
                  {"HOME", ".cache/huggingface/hub"}};
    enum { PLACES = sizeof places / sizeof *places };
    char *const home = getenv("HOME");
    tl_arena *arena = tl_arena_create();
    const char *found = NULL;
    tl_error err = {0};
    assert_int_equal(mkdir(path_of("home"), 0700), 0);
    for (size_t i = 0; i < PLACES; i++)
        unsetenv(places[i].variable);
    assert_int_equal(tl_model_folder("org/name-2.5", arena, &found, &err),
                     TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "`hf download org/name-2.5` fetches it"));
    assert_int_equal(tl_model_folder("/org/name", arena, &found, &err),
                     TL_ERR_NOT_FOUND);
    assert_null(strstr(err.text, "fetches it"));
    for (size_t i = 0; i < PLACES; i++) {
        char base[600], entry[800], command[900];
        snprintf(base, sizeof base, "%s/%s", path_of("home"), places[i].variable);
        snprintf(entry, sizeof entry, "%s/%s/models--org--name-2.5", base,
                 places[i].below);
        snprintf(command, sizeof command, "mkdir -p '%s'", entry);
        assert_int_equal(system(command), 0);
        snprintf(entry + strlen(entry), sizeof entry - strlen(entry), "/config.json");
        FILE *file = fopen(entry, "w");
        assert_non_null(file);
        fclose(file);
        setenv(places[i].variable, base, 1);
        if (tl_model_folder("org/name-2.5", arena, &found, &err) != TL_OK)
            fail_msg("%s: %s", places[i].variable, err.text);
        assert_memory_equal(found, base, strlen(base));
        unsetenv(places[i].variable);
    }
    if (home != NULL)
        setenv("HOME", home, 1);
    tl_arena_destroy(arena);
}

/* ---- sizes of real models -------------------------------------------------------- */

#define QWEN_ROPE                                                                      \
    "\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]}"
#define QWEN2_VL(rest) "{\"model_type\": \"qwen2_vl\", " QWEN_ROPE ", " rest "}"

/* Numbers in the files that the hub has, half of what their indexes call total_size; of
 * LLaVA-1.5 (7063427072) less the layer and the norm that nothing reads. */
static void parameters_are_those_of_real_models(void **unused)
{
    (void)unused;
    static const struct {
        const char *config;
        size_t parameters;
    } models[] = {
        {QWEN2_VL("\"hidden_size\": 1536, \"num_hidden_layers\": 28, "
                  "\"num_attention_heads\": 12, \"num_key_value_heads\": 2, "
                  "\"intermediate_size\": 8960, \"vocab_size\": 151936, "
                  "\"tie_word_embeddings\": true, \"vision_config\": "
                  "{\"hidden_size\": 1536}"),
         2208985600},
        {QWEN2_VL("\"hidden_size\": 3584, \"num_hidden_layers\": 28, "
                  "\"num_attention_heads\": 28, \"num_key_value_heads\": 4, "
                  "\"intermediate_size\": 18944, \"vocab_size\": 152064, "
                  "\"vision_config\": {\"hidden_size\": 3584}"),
         8291375616},
        {QWEN2_VL("\"hidden_size\": 8192, \"num_hidden_layers\": 80, "
                  "\"num_attention_heads\": 64, \"num_key_value_heads\": 8, "
                  "\"intermediate_size\": 29568, \"vocab_size\": 152064, "
                  "\"vision_config\": {\"hidden_size\": 8192}"),
         73405560320},
        {"{\"model_type\": \"qwen2_5_vl\", " QWEN_ROPE ", \"hidden_size\": 3584, "
         "\"num_hidden_layers\": 28, \"num_attention_heads\": 28, "
         "\"num_key_value_heads\": 4, \"intermediate_size\": 18944, "
         "\"vocab_size\": 152064, \"vision_config\": {\"out_hidden_size\": 3584, "
         "\"hidden_size\": 1280, \"intermediate_size\": 3420, \"window_size\": 112, "
         "\"fullatt_block_indexes\": [7, 15, 23, 31]}}",
         8292166656},
        {"{\"model_type\": \"gemma3\", \"mm_tokens_per_image\": 256, "
         "\"text_config\": {\"head_dim\": 128, \"hidden_size\": 5376, "
         "\"intermediate_size\": 21504, \"num_attention_heads\": 32, "
         "\"num_hidden_layers\": 62, \"num_key_value_heads\": 16, "
         "\"vocab_size\": 262208}, \"vision_config\": {\"hidden_size\": 1152, "
         "\"image_size\": 896, \"intermediate_size\": 4304, "
         "\"num_attention_heads\": 16, \"num_hidden_layers\": 27, "
         "\"patch_size\": 14}}",
         27432406640},
        {"{\"model_type\": \"llava\", \"text_config\": {\"model_type\": \"llama\", "
         "\"vocab_size\": 32064}, \"vision_config\": {\"hidden_size\": 1024, "
         "\"image_size\": 336, \"intermediate_size\": 4096, "
         "\"num_attention_heads\": 16, \"num_hidden_layers\": 24, "
         "\"patch_size\": 14}}",
         7063427072 - 12596224 - 2048},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        tl_spec spec;
        tl_weights w;
        tl_error err = {0};
        tl_arena *arena = tl_arena_create();
        char name[32];
        snprintf(name, sizeof name, "card%zu", i);
        assert_int_equal(mkdir(path_of(name), 0755), 0);
        strcat(name, "/config.json");
        test_file(&folder, name, models[i].config, strlen(models[i].config));
        *strchr(name, '/') = '\0';
        if (tl_spec_read(path_of(name), &spec, &err) != TL_OK ||
            tl_weights_find(&spec, NULL, arena, &w, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(w.embed_size.parameters + w.decoder_size.parameters +
                             w.vision_size.parameters,
                         models[i].parameters);
        assert_int_equal(w.vision_size.bytes, 2 * w.vision_size.parameters);
        tl_arena_destroy(arena);
    }
}

/* What is found in a file and what a configuration alone wants are the same. */
static void a_configuration_tells_what_the_file_has(void **unused)
{
    (void)unused;
    tl_error err = {0};
    tl_model *model = NULL, *without = NULL;
    assert_int_equal(tl_model_open(tiny_checkpoint, NULL, &model, &err), TL_OK);
    assert_int_equal(tl_model_open_bare(tiny_checkpoint, NULL, &without, &err), TL_OK);
    const tl_weights *w = tl_model_weights(model), *bare = tl_model_weights(without);
    assert_int_equal(bare->embed_size.parameters, w->embed_size.parameters);
    assert_int_equal(bare->decoder_size.parameters, w->decoder_size.parameters);
    assert_int_equal(bare->vision_size.parameters, w->vision_size.parameters);
    assert_null(tl_model_file(without));
    const tl_safetensors *file = tl_model_file(model);
    size_t all = 0;
    for (size_t i = 0; i < tl_safetensors_count(file); i++)
        all += tl_tensor_count(tl_safetensors_at(file, i));
    assert_int_equal(w->embed_size.parameters + w->decoder_size.parameters +
                         w->vision_size.parameters,
                     all);
    tl_model_close(without);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_that_is_not_applied_is_said),
        cmocka_unit_test(an_adapter_among_the_weights_is_said),
        cmocka_unit_test(a_head_that_contradicts_the_configuration_is_refused),
        cmocka_unit_test(a_head_that_is_there_decides),
        cmocka_unit_test(what_automodel_saves_is_the_same_model),
        cmocka_unit_test(every_generation_of_names_is_the_same_model),
        cmocka_unit_test(a_cache_entry_of_the_hub_opens),
        cmocka_unit_test(a_model_without_a_tower_takes_text_only),
        cmocka_unit_test(what_does_not_fit_the_model_is_refused),
        cmocka_unit_test(a_folder_that_is_no_model_says_what_is_wrong),
        cmocka_unit_test(no_failing_request_for_memory_harms),
        cmocka_unit_test(without_a_path_it_is_the_bundled_model),
        cmocka_unit_test(a_name_of_the_hub_is_found_in_its_cache),
        cmocka_unit_test(parameters_are_those_of_real_models),
        cmocka_unit_test(a_configuration_tells_what_the_file_has),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
