/*
 * test_families.c - what transformers says, in float64, on a tiny checkpoint of every
 * family (tests/data/families, made by tests/parity/make_families.py): token ids, the
 * logits of the last positions, and at the first layer's input a gradient and a relevance,
 * with both backends. The limits are those of test_parity.c.
 *
 * With folders as arguments it checks what is recorded in these, and prints how far apart
 * they were (tests/parity/folder_matrix.py, which records pixels as well).
 */
#include "testing.h"
#include "variant.h"

#include <sys/stat.h>

#include "model/model_parts.h"
#include "twinlens/alloc.h"
#include "twinlens/dataset.h"
#include "twinlens/pass.h"
#include "twinlens/safetensors.h"

#define FAMILIES TWINLENS_SOURCE_DIR "/tests/data/families"
#define SAVED TWINLENS_SOURCE_DIR "/tests/data/saved"

static const double FORWARD = 1e-4, GRADIENT = 2e-4;

/* How far the values named first in `what` were from the recorded ones at most. */
static struct {
    const char *what;
    double apart;
} worst[] = {{"pixels", -1}, {"logits", -1}, {"gradient", -1}, {"relevance", -1}};

#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != TL_OK)                                                           \
            fail_msg("%s", err.text);                                                  \
    } while (0)

static const tl_tensor *find(const tl_safetensors *goldens, const char *what,
                             const char *id)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", what, id);
    const tl_tensor *tensor = tl_safetensors_find(goldens, name);
    if (tensor == NULL)
        fail_msg("no tensor '%s'", name);
    return tensor;
}

static void check_ids(const char *folder, const char *id, const tl_tensor *golden,
                      const tl_encoding *e)
{
    if (golden->dims[0] != e->n_pos)
        fail_msg("%s: %s has %zu tokens, wanted %zu", folder, id, e->n_pos,
                 golden->dims[0]);
    for (size_t t = 0; t < e->n_pos; t++) {
        int64_t wanted;
        memcpy(&wanted, (const char *)golden->data + t * sizeof wanted, sizeof wanted);
        if (wanted != e->ids[t])
            fail_msg("%s: %s: token %zu is %d, wanted %d", folder, id, t,
                     (int)e->ids[t], (int)wanted);
    }
}

/* A sample of the pixels, in the order of their values; they may differ by a rounding. */
static void check_pixels(const char *folder, const char *id,
                         const tl_safetensors *goldens, const tl_pixels *pixels)
{
    char name[64];
    size_t count = 1;
    snprintf(name, sizeof name, "pixels.%s", id);
    const tl_tensor *golden = tl_safetensors_find(goldens, name);
    if (golden == NULL || golden->n_dims != 1)
        return;
    for (size_t i = 0; i < pixels->n_dims; i++)
        count *= pixels->dims[i];
    const size_t n = golden->dims[0] - 1;
    const float *wanted = golden->data;
    if (wanted[n] != (float)count)
        fail_msg("%s: %s has %zu pixel values, wanted %g", folder, id, count,
                 (double)wanted[n]);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(pixels->values[i * (count - 1) / (n - 1)] - wanted[i]) < 1e-6f))
            fail_msg("%s: %s: pixel value %zu is %.8g, wanted %.8g", folder, id,
                     i * (count - 1) / (n - 1),
                     (double)pixels->values[i * (count - 1) / (n - 1)],
                     (double)wanted[i]);
}

static void check_values(const char *folder, const char *id, const char *what,
                         const tl_tensor *golden, const float *values, double limit)
{
    const size_t count = tl_tensor_count(golden);
    const float *wanted = golden->data;
    double most = 0.0, apart = 0.0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)wanted[i]));
        apart = fmax(apart, fabs((double)values[i] - (double)wanted[i]));
    }
    assert_true(most > 0.0);
    for (size_t i = 0; i < sizeof worst / sizeof *worst; i++)
        if (strcmp(what, worst[i].what) == 0)
            worst[i].apart = fmax(worst[i].apart, apart / most);
    if (!(apart <= limit * most))
        fail_msg("%s: %s: %s are %.2g apart, wanted %.2g", folder, id, what,
                 apart / most, limit);
}

/* What comes back at what enters: [1 + n_deep, n_pos, d_model]. */
typedef struct came_back {
    float *values;
    size_t n_deep;
} came_back;

static tl_status keep_entrances(void *user, const tl_tap_event *e, tl_error *err)
{
    const came_back *to = user;
    (void)err;
    const bool deep = e->site == TL_SITE_RESID_POST;
    const size_t count = e->n_pos * e->width;
    if (e->backward && (deep ? e->layer < to->n_deep : e->layer == 0))
        memcpy(to->values + (deep ? 1 + e->layer : 0) * count, e->values,
               count * sizeof *e->values);
    return TL_OK;
}

static void add_products(const float *x, const float *y, size_t n, double *sum,
                         double *size)
{
    for (size_t i = 0; i < n; i++) {
        *sum += (double)x[i] * (double)y[i];
        *size += fabs((double)x[i] * (double)y[i]);
    }
}

/* There and back: the last logits, and what came back at the first layer's input. */
static void check_rule(const char *folder, const char *id, tl_model *model,
                       const tl_input *input, tl_backward_rule rule,
                       const tl_safetensors *goldens, tl_arena *arena)
{
    const bool relevance = rule == TL_BACKWARD_RELEVANCE;
    const size_t n_pos = input->n_pos, d_model = tl_model_dims(model)->d_model,
                 n_vocab = tl_model_dims(model)->n_vocab;
    const tl_pass_prompt prompt = {.input = *input};
    tl_error err = {0};
    tl_pass *pass = NULL;
    int64_t pair[2];
    double ld = 0.0, sum = 0.0, size = 0.0;
    MUST(tl_pass_create(model, &pass, &err));
    float *back = tl_arena_alloc_zero(arena, (1 + input->n_deep) * n_pos * d_model,
                                      sizeof *back),
          *logits = tl_arena_alloc(arena, n_pos * n_vocab, sizeof *logits);
    assert_true(back != NULL && logits != NULL);
    came_back to = {back, input->n_deep};
    const tl_tap tap = {.sites = TL_SITE_BIT(TL_SITE_RESID_PRE) |
                                 TL_SITE_BIT(TL_SITE_RESID_POST),
                        .on_site = keep_entrances,
                        .user = &to};
    const tl_pass_options options = {
        .for_backward = true, .taps = &tap, .n_taps = 1, .backward_rule = rule};
    MUST(tl_pass_forward(pass, &prompt, 1, &options, &err));
    MUST(tl_pass_logits_all(pass, 0, logits, &err));
    const tl_tensor *golden = find(goldens, "logits", id);
    check_values(folder, id, "logits", golden,
                 logits + (n_pos - golden->dims[0]) * golden->dims[1], FORWARD);
    const tl_tensor *tokens = tl_safetensors_find(goldens, "pair");
    assert_non_null(tokens);
    memcpy(pair, tokens->data, sizeof pair);
    const int32_t a = (int32_t)pair[0], b = (int32_t)pair[1];
    MUST(tl_pass_logit_diff(pass, 0, a, b, &ld, &err));
    MUST(tl_pass_backward(pass, &a, &b, &err));
    tl_pass_destroy(pass);
    const char *what = relevance ? "relevance" : "gradient";
    check_values(folder, id, what, find(goldens, what, id), back, GRADIENT);

    /* Relevance is conserved from the logit difference down to the input, but for what a
     * bias of the values takes. */
    add_products(input->embeds, back, n_pos * d_model, &sum, &size);
    add_products(input->deep, back + n_pos * d_model, input->n_deep * n_pos * d_model,
                 &sum, &size);
    const bool has_bias = tl_model_spec(model)->qkv_bias;
    if (relevance && (fabs(sum - ld) <= GRADIENT * size) == has_bias)
        fail_msg("%s: %s: relevance adds up to %g, the logit difference is %g", folder,
                 id, sum, ld);
}

/* Of a file that holds all pixels. One step of a colour channel is 0.0078 of the largest
 * value or more. */
static void check_all_pixels(const char *folder, const char *id,
                             const tl_safetensors *goldens, const tl_encoding *e)
{
    static const double ROUNDING = 1e-6;
    char name[64];
    snprintf(name, sizeof name, "pixels.%s", id);
    const tl_tensor *golden = tl_safetensors_find(goldens, name);
    if (golden == NULL || golden->n_dims == 1)
        return;
    size_t count = 1;
    for (size_t i = 0; i < e->pixels.n_dims; i++)
        count *= e->pixels.dims[i];
    assert_int_equal(e->n_images, 1);
    if (count != tl_tensor_count(golden))
        fail_msg("%s: %s: %zu pixel values, wanted %zu", folder, id, count,
                 tl_tensor_count(golden));
    check_values(folder, id, "pixels", golden, e->pixels.values, ROUNDING);
}

static void check_row(const char *folder, tl_model *model, tl_processor *processor,
                      tl_dataset *dataset, size_t row, const tl_safetensors *goldens,
                      bool has_relevance)
{
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    tl_encoding e;
    tl_input input;
    const char *id = dataset->rows[row].id;
    MUST(tl_dataset_encode(dataset, row, processor, arena, &e, &err));
    check_ids(folder, id, find(goldens, "ids", id), &e);
    if (e.n_images > 0)
        check_pixels(folder, id, goldens, &e.pixels);
    check_all_pixels(folder, id, goldens, &e);
    MUST(tl_model_input(model, &e, TL_ROPE_TRUE, arena, &input, &err));
    check_rule(folder, id, model, &input, TL_BACKWARD_GRADIENT, goldens, arena);
    if (has_relevance)
        check_rule(folder, id, model, &input, TL_BACKWARD_RELEVANCE, goldens, arena);
    tl_arena_destroy(arena);
}

static void check_folder(const char *folder, const char *backend, bool has_relevance)
{
    tl_error err = {0};
    char path[600];
    tl_model *model = NULL;
    tl_processor *processor = NULL;
    tl_dataset *dataset = NULL;
    tl_safetensors *goldens = NULL;
    const tl_model_options options = {.backend = backend};
    MUST(tl_model_open(folder, &options, &model, &err));
    MUST(tl_processor_open(folder, tl_model_dims(model)->n_vocab, &processor, &err));
    MUST(tl_dataset_open(folder, &dataset, &err));
    snprintf(path, sizeof path, "%s/logits.safetensors", folder);
    MUST(tl_safetensors_open(path, &goldens, &err));
    assert_true(dataset->n_rows >= 4);
    for (size_t row = 0; row < dataset->n_rows; row++)
        check_row(folder, model, processor, dataset, row, goldens, has_relevance);
    tl_safetensors_close(goldens);
    tl_dataset_close(dataset);
    tl_processor_close(processor);
    tl_model_close(model);
}

static void check_family(const char *folder, const char *backend)
{
    check_folder(folder, backend, true);
}

/* From a folder to a gradient; of the first image of the dataset. */
static tl_status whole_run(const char *folder, tl_error *err)
{
    tl_model *model = NULL;
    tl_processor *processor = NULL;
    tl_dataset *dataset = NULL;
    tl_pass *pass = NULL;
    tl_encoding e;
    tl_pass_prompt prompt = {0};
    const tl_pass_options options = {.for_backward = true, .last_only = true};
    const int32_t a = 5, b = 9;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    tl_status status = tl_model_open(folder, NULL, &model, err);
    if (status == TL_OK)
        status =
            tl_processor_open(folder, tl_model_dims(model)->n_vocab, &processor, err);
    if (status == TL_OK)
        status = tl_dataset_open(folder, &dataset, err);
    size_t row = 0;
    while (status == TL_OK && dataset->rows[row].modality != TL_IMAGE)
        row++;
    if (status == TL_OK)
        status = tl_dataset_encode(dataset, row, processor, arena, &e, err);
    if (status == TL_OK)
        status = tl_model_input(model, &e, TL_ROPE_TRUE, arena, &prompt.input, err);
    if (status == TL_OK)
        status = tl_pass_create(model, &pass, err);
    if (status == TL_OK)
        status = tl_pass_forward(pass, &prompt, 1, &options, err);
    if (status == TL_OK)
        status = tl_pass_backward(pass, &a, &b, err);
    tl_pass_destroy(pass);
    tl_dataset_close(dataset);
    tl_processor_close(processor);
    tl_model_close(model);
    tl_arena_destroy(arena);
    return status;
}

static void no_failing_request_harms(const char *folder)
{
    const size_t live = tl_alloc_live();
    long long n = 0;
    for (;; n++) {
        tl_error err = {0};
        tl_alloc_fail_at(n);
        const tl_status status = whole_run(folder, &err);
        const bool hit = tl_alloc_fault_hit() != 0;
        tl_alloc_fail_at(-1);
        assert_int_equal(tl_alloc_live(), live);
        /* A weight that finds no room in the cache is converted each time instead. */
        if (status != TL_ERR_NO_MEMORY && status != TL_OK)
            fail_msg("%s: request %lld: %s, '%s'", folder, n, tl_status_name(status),
                     err.text);
        if (!hit) {
            assert_int_equal(status, TL_OK);
            break;
        }
    }
    assert_true(n > 20);
}

/* Runs `check` in the folder of every family. */
static void for_every_family(void (*check)(const char *folder))
{
    DIR *dir = opendir(FAMILIES);
    size_t n = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char folder[512];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof folder, FAMILIES "/%.200s", entry->d_name);
        check(folder);
        n++;
    }
    closedir(dir);
    assert_true(n >= 14);
}

static void check_both_backends(const char *folder)
{
    check_family(folder, "ref");
    check_family(folder, "cpu");
}

static void every_family_says_what_transformers_says(void **state)
{
    (void)state;
    for_every_family(check_both_backends);
}

static void lack_of_memory_is_a_status_in_every_family(void **state)
{
    (void)state;
    for_every_family(no_failing_request_harms);
}

/* transformers 4.52 put other prefixes in front of the same names. */
static void check_newer_names(const char *folder)
{
    static const rename_rule rules[] = {
        {"model.language_model.", "model.language_model."}, /* newer already */
        {"model.vision_tower.", "model.vision_tower."},
        {"model.multi_modal_projector.", "model.multi_modal_projector."},
        {"model.visual.", "model.visual."},
        {"model.text_model.", "model.text_model."},
        {"model.vision_model.", "model.vision_model."},
        {"model.connector.", "model.connector."},
        {"language_model.model.", "model.language_model."},
        {"language_model.lm_head.", "lm_head."},
        {"vision_tower.", "model.vision_tower."},
        {"multi_modal_projector.", "model.multi_modal_projector."},
        {"image_newline", "model.image_newline"},
        {"model.", "model.language_model."},
        {"visual.", "model.visual."},
    };
    char target[600];
    const test_folder work = test_folder_create();
    snprintf(target, sizeof target, "%s/newer", work.path);
    write_renamed(folder, target, rules, sizeof rules / sizeof *rules, NULL);
    check_family(target, "ref");
    test_folder_remove(work.path);
}

static void both_generations_of_names_are_found(void **state)
{
    (void)state;
    for_every_family(check_newer_names);
}

/* Links in `target` to what is in `source` and not in `target` yet. */
static void link_missing(const char *source, const char *target)
{
    char from[1024], to[1024];
    struct stat info;
    DIR *dir = opendir(source);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        snprintf(from, sizeof from, "%.600s/%.200s", source, e->d_name);
        snprintf(to, sizeof to, "%.600s/%.200s", target, e->d_name);
        if (e->d_name[0] != '.' && lstat(to, &info) != 0)
            assert_int_equal(symlink(from, to), 0);
    }
    closedir(dir);
}

/* What transformers 5 has saved of a family: tests/data/saved holds what it changes, the
 * weights stay as they are. */
static void check_saved(const char *name)
{
    static const char qwen[] = TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny";
    char folder[600], path[700];
    struct stat info;
    const test_folder work = test_folder_create();
    snprintf(folder, sizeof folder, SAVED "/%.200s", name);
    link_missing(folder, work.path);
    snprintf(path, sizeof path, "%s/logits.safetensors", work.path);
    const bool has_own = lstat(path, &info) == 0;
    const bool is_family = strcmp(name, "qwen2_vl") != 0;
    snprintf(folder, sizeof folder, is_family ? FAMILIES "/%.200s" : "%s/checkpoint",
             is_family ? name : qwen);
    link_missing(folder, work.path);
    snprintf(folder, sizeof folder, "%s/goldens", qwen);
    link_missing(folder, work.path);
    snprintf(path, sizeof path, "%s/preprocessor_config.json", work.path);
    assert_int_equal(unlink(path), 0);
    check_folder(work.path, "ref", !has_own);
    test_folder_remove(work.path);
}

static void folders_saved_by_transformers_5_are_read(void **state)
{
    (void)state;
    size_t n = 0;
    DIR *dir = opendir(SAVED);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "MADE_BY") != 0) {
            check_saved(entry->d_name);
            n++;
        }
    closedir(dir);
    assert_int_equal(n, 9);
}

/* What is recorded in the folders that were named. */
static int n_named;
static char **named;

static void folders_say_what_is_recorded_in_them(void **state)
{
    (void)state;
    for (int i = 0; i < n_named; i++)
        check_folder(named[i], "cpu", false);
}

static int check_named(int count, char **folders)
{
    n_named = count;
    named = folders;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_say_what_is_recorded_in_them)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("ids equal");
    for (size_t i = 0; i < sizeof worst / sizeof *worst; i++)
        if (worst[i].apart >= 0.0)
            printf(", %s %.1g", worst[i].what, worst[i].apart);
    printf("\n");
    return failed;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return check_named(argc - 1, argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_says_what_transformers_says),
        cmocka_unit_test(both_generations_of_names_are_found),
        cmocka_unit_test(folders_saved_by_transformers_5_are_read),
        cmocka_unit_test(lack_of_memory_is_a_status_in_every_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
