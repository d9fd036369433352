/*
 * test_backpatch.c - against back-patching written out plainly: whole passes, every
 * position computed, states written by a tap.
 */
#include "random_inputs.h"

#include <string.h>

#include "model/model_parts.h"
#include "probe/backpatch_work.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"

enum { T = 21, BEGIN = 3, SIDE = 6, END = BEGIN + SIDE * SIDE / 4, IDS = 3, TIMES = 4 };
static const int32_t ids[IDS] = {20, 50, 311};

typedef struct plain {
    const tl_backpatch_cell *cell; /* NULL: nothing is written */
    size_t n_layers, width;
    /* resid_post [n_layers, T, width]: without patching, of the run before, of this one */
    float *clean, *before, *now;
} plain;

/* Where layer `to` is read from; n_layers: it is not written to. */
static size_t source_of(const plain *p, size_t to)
{
    const tl_backpatch_cell *c = p->cell;
    const size_t half = c->window / 2;
    for (size_t i = 0; i <= 2 * half; i++)
        if (c->destination + i == to + half && c->source + i >= half &&
            c->source + i - half < p->n_layers)
            return c->source + i - half;
    return p->n_layers;
}

static tl_status write_and_keep(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const plain *p = user;
    const size_t bytes = (END - BEGIN) * e->width * sizeof(float);
    float *data = e->values + BEGIN * e->width;
    if (p->cell != NULL) {
        const size_t from = source_of(p, e->layer);
        bool behind = true;
        for (size_t l = e->layer; l < p->n_layers; l++)
            behind = behind && source_of(p, l) == p->n_layers;
        if (from < p->n_layers)
            memcpy(data, p->before + (from * T + BEGIN) * e->width, bytes);
        else if (p->cell->restore && behind)
            memcpy(data, p->clean + (e->layer * T + BEGIN) * e->width, bytes);
    }
    memcpy(p->now + e->layer * T * e->width, e->values, T * e->width * sizeof(float));
    return TL_OK;
}

static void run_plain(tl_model *model, const tl_input *input, plain *p,
                      double logits[IDS])
{
    tl_pass *pass = NULL;
    tl_error err = {0};
    const tl_tap tap = {.on_site = write_and_keep,
                        .user = p,
                        .sites = TL_SITE_BIT(TL_SITE_RESID_POST),
                        .writes = true};
    const tl_pass_options options = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt prompt = {.input = *input};
    if (tl_pass_create(model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, &prompt, 1, &options, &err) != TL_OK ||
        tl_pass_logits_of(pass, 0, ids, IDS, logits, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
}

static tl_status backpatch(tl_model *model, const tl_input *input, size_t begin,
                           size_t end, const tl_backpatch_cell *cells, size_t n,
                           double *clean, double *patched, tl_error *err)
{
    tl_backpatcher *b = NULL;
    tl_status status = tl_backpatcher_create(model, 0, &b, err);
    if (status == TL_OK)
        status = tl_backpatcher_run(b, input, begin, end, cells, n, ids, IDS, clean,
                                    patched, err);
    tl_backpatcher_destroy(b);
    return status;
}

static void check_cells(const char *backend, size_t side,
                        const tl_backpatch_cell *cells, size_t n, double tolerance)
{
    tl_model *model = open_tiny(backend);
    tl_arena *arena = tl_arena_create();
    const tl_dims *d = tl_model_dims(model);
    const tl_input input = random_input(model, arena, T, 2, side, 5);
    double clean[IDS], want[IDS];
    double *got = tl_arena_alloc_zero(arena, n * TIMES * IDS, sizeof *got);
    tl_error err = {0};
    if (backpatch(model, &input, BEGIN, END, cells, n, clean, got, &err) != TL_OK)
        fail_msg("%s", err.text);
    plain p = {.n_layers = d->n_layers, .width = d->d_model};
    const size_t count = d->n_layers * T * d->d_model;
    p.before = tl_arena_alloc(arena, count, sizeof(float));
    p.now = tl_arena_alloc(arena, count, sizeof(float));
    p.clean = tl_arena_alloc(arena, count, sizeof(float));
    run_plain(model, &input, &p, want);
    memcpy(p.clean, p.now, count * sizeof(float));
    for (size_t i = 0; i < IDS; i++)
        assert_close("clean", i, clean[i], want[i], tolerance);
    for (size_t c = 0; c < n; c++) {
        memcpy(p.before, p.clean, count * sizeof(float));
        p.cell = &cells[c];
        for (size_t time = 0; time < cells[c].times; time++) {
            char what[96];
            snprintf(what, sizeof what, "%zu into %zu, window %zu, time %zu%s",
                     cells[c].source, cells[c].destination, cells[c].window, time,
                     cells[c].restore ? ", restored" : "");
            run_plain(model, &input, &p, want);
            for (size_t i = 0; i < IDS; i++)
                assert_close(what, i, got[(c * TIMES + time) * IDS + i], want[i],
                             tolerance);
            memcpy(p.before, p.now, count * sizeof(float));
        }
    }
    tl_arena_destroy(arena);
    tl_model_close(model);
}

/* Every source, destination and window of the tiny model's layers, above and below. */
static void every_cell_is_the_plain_one(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    const size_t n_layers = tl_model_dims(model)->n_layers;
    tl_model_close(model);
    tl_backpatch_cell cells[256];
    size_t n = 0;
    for (size_t source = 0; source < n_layers; source++)
        for (size_t destination = 0; destination < n_layers; destination++)
            for (size_t window = 1; window <= 5; window += 2)
                for (size_t restore = 0; restore < 2; restore++)
                    cells[n++] = (tl_backpatch_cell){source, destination, window,
                                                     1 + (source + destination) % TIMES,
                                                     restore == 1};
    cells[0].times = TIMES; /* the largest is known to the caller */
    check_cells("ref", SIDE, cells, n, 0);
    check_cells("ref", 0, cells, n, 0);
}

static void the_cpu_backend_does_the_same(void **state)
{
    (void)state;
    tl_model *model = NULL;
    const tl_model_options options = {.backend = "cpu"};
    if (tl_model_open(tiny_checkpoint, &options, &model, NULL) != TL_OK)
        skip(); /* a build without it */
    tl_model_close(model);
    const tl_backpatch_cell cells[] = {{3, 0, 1, TIMES, false}, {2, 1, 1, 1, false},
                                       {3, 1, 3, 2, false},     {2, 0, 5, 1, false},
                                       {3, 0, 3, 1, true},      {1, 0, 3, 2, true}};
    check_cells("cpu", SIDE, cells, sizeof cells / sizeof *cells, 0);
}

/* ---- cells that are patched once share their runs ------------------------------------ */

enum { FEW = 14, FEW_BEGIN = 4, FEW_END = 9, MOST_CELLS = 400 };

/* Random states; of the positions first ... end - 1 each sees all. */
static tl_input made_input(const tl_model *model, tl_arena *arena, size_t first,
                           size_t end)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t n_deep = tl_model_spec(model)->vision.n_deep;
    uint32_t seed = 11;
    float *embeds = tl_arena_alloc(arena, FEW * d->d_model, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(arena, 3 * FEW, sizeof *positions),
            *block = tl_arena_alloc(arena, FEW, sizeof *block);
    for (size_t i = 0; i < FEW * d->d_model; i++)
        embeds[i] = test_uniform(&seed);
    float *deep = tl_arena_alloc_zero(arena, n_deep * FEW * d->d_model, sizeof *deep);
    for (size_t k = 0; k < n_deep; k++)
        for (size_t i = FEW_BEGIN * d->d_model; i < FEW_END * d->d_model; i++)
            deep[k * FEW * d->d_model + i] = test_uniform(&seed);
    for (size_t i = 0; i < 3 * FEW; i++)
        positions[i] = (int32_t)(i % FEW + i / FEW);
    for (size_t t = 0; t < FEW; t++)
        block[t] = t >= first && t < end ? 0 : -1;
    return (tl_input){.n_pos = FEW,
                      .embeds = embeds,
                      .positions = positions,
                      .deep = n_deep > 0 ? deep : NULL,
                      .n_deep = n_deep,
                      .block = first < end ? block : NULL};
}

static size_t all_cells(size_t n_layers, size_t times, tl_backpatch_cell *cells)
{
    size_t n = 0;
    for (size_t window = 1; window <= 5; window += 2)
        for (size_t source = 0; source < n_layers; source++)
            for (size_t destination = 0; destination < n_layers; destination++)
                if (n < MOST_CELLS)
                    cells[n++] =
                        (tl_backpatch_cell){source, destination, window, times, false};
    return n;
}

/* Runs cells, and has them take what they are expected to. */
static void run_and_count(tl_model *model, const tl_input *input,
                          const tl_backpatch_cell *cells, size_t n, double *patched)
{
    const tl_span span = {FEW, FEW_BEGIN, FEW_END};
    const size_t n_pos = FEW;
    const tl_pass_options whole = {.first_layer = 0};
    const uint64_t before = tl_model_product_flops(model);
    double clean[IDS], cells_flops = 0.0;
    uint64_t clean_flops = 0;
    tl_error err = {0};
    if (backpatch(model, input, FEW_BEGIN, FEW_END, cells, n, clean, patched, &err) !=
            TL_OK ||
        tl_backpatch_flops(model, &span, cells, n, 1.0, &cells_flops, &err) != TL_OK ||
        tl_pass_flops(model, &n_pos, NULL, 1, &whole, &clean_flops, &err) != TL_OK)
        fail_msg("%s", err.text);
    const double counted = (double)(tl_model_product_flops(model) - before);
    if (input->block == NULL || tl_model_spec(model)->bidirectional)
        assert_close("operations", n, counted, (double)clean_flops + cells_flops, 0);
}

/* Those that are patched twice share nothing: after the first time they are as those that
 * are patched once. So is each of these by itself, which has no other to share with. */
static void check_shared(const char *folder, size_t first, size_t end)
{
    tl_model *model = NULL;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    const tl_model_options options = {.n_threads = 1};
    if (tl_model_open(folder, &options, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    const tl_dims *d = tl_model_dims(model);
    if (tl_model_spec(model)->bidirectional) {
        first = 0;
        end = FEW;
    }
    const tl_input input = made_input(model, arena, first, end);
    tl_backpatch_cell cells[MOST_CELLS];
    double alone[IDS], once[MOST_CELLS][IDS], twice[MOST_CELLS][2][IDS];
    const size_t n = all_cells(d->n_layers, 2, cells);
    run_and_count(model, &input, cells, n, &twice[0][0][0]);
    all_cells(d->n_layers, 1, cells);
    run_and_count(model, &input, cells, n, &once[0][0]);
    for (size_t c = 0; c < n; c++) {
        char what[300];
        snprintf(what, sizeof what, "%s: %zu into %zu, window %zu", folder,
                 cells[c].source, cells[c].destination, cells[c].window);
        for (size_t i = 0; i < IDS; i++)
            assert_close(what, i, once[c][i], twice[c][0][i], 0);
        run_and_count(model, &input, &cells[c], 1, alone);
        assert_memory_equal(alone, once[c], sizeof alone);
    }
    tl_arena_destroy(arena);
    tl_model_close(model);
}

static void cells_that_share_are_as_those_that_do_not(void **state)
{
    (void)state;
#define DATA TWINLENS_SOURCE_DIR "/tests/data/"
    static const char *const folders[] = {
        DATA "qwen2vl-tiny/checkpoint", DATA "families/qwen2_5_vl",
        DATA "families/pixtral",        DATA "families/gemma3",
        DATA "families/llava",          DATA "families/paligemma",
        DATA "families/paligemma2",     DATA "families/qwen3_vl",
        DATA "families/internvl"};
    for (size_t k = 0; k < sizeof folders / sizeof *folders; k++) {
        check_shared(folders[k], 0, 0);
        check_shared(folders[k], FEW_BEGIN, FEW_END); /* the data */
        check_shared(folders[k], 0, FEW);             /* all */
    }
}

/* A state written over itself changes no bit. */
static void onto_itself_changes_nothing(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_input input = random_input(model, arena, T, 2, SIDE, 6);
    const size_t n_layers = tl_model_dims(model)->n_layers;
    for (size_t l = 0; l < n_layers; l++) {
        const tl_backpatch_cell cell = {l, l, 3, 2, l % 2 == 1};
        double clean[IDS], got[2 * IDS];
        assert_int_equal(
            backpatch(model, &input, BEGIN, END, &cell, 1, clean, got, NULL), TL_OK);
        for (size_t i = 0; i < 2 * IDS; i++)
            assert_close("onto itself", l, got[i], clean[i % IDS], 0);
    }
    tl_arena_destroy(arena);
    tl_model_close(model);
}

/* Sources behind all destinations have their clean states back when they are read for
 * the next time; and what is written to the last layer but one is read by nobody
 * after the last. */
static void with_clean_states_behind_it_is_the_same_every_time(void **state)
{
    (void)state;
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_input input = random_input(model, arena, T, 2, SIDE, 7);
    const size_t n_layers = tl_model_dims(model)->n_layers;
    const tl_backpatch_cell cells[] = {{3, 0, 1, TIMES, true},
                                       {n_layers - 1, n_layers - 2, 1, 1, false},
                                       {n_layers - 1, n_layers - 2, 1, 1, true},
                                       {3, 0, 1, TIMES, false}};
    double clean[IDS], got[4][TIMES][IDS];
    assert_int_equal(
        backpatch(model, &input, BEGIN, END, cells, 4, clean, &got[0][0][0], NULL),
        TL_OK);
    for (size_t i = 0; i < IDS; i++) {
        for (size_t time = 1; time < TIMES; time++) {
            assert_close("every time", time, got[0][time][i], got[0][0][i], 0);
            assert_true(got[3][time][i] != got[3][0][i]);
        }
        assert_close("into the last but one", i, got[1][0][i], got[2][0][i], 0);
        assert_true(got[0][0][i] != got[3][0][i]);
    }
    tl_arena_destroy(arena);
    tl_model_close(model);
}

static void senseless_cells_are_refused(void **state)
{
    (void)state;
    tl_error err = {0};
    const struct {
        tl_backpatch_cell cell;
        const char *text;
    } bad[] = {{{4, 0, 1, 1, false}, "layers 0 to 3"},
               {{0, 4, 1, 1, false}, "layers 0 to 3"},
               {{2, 0, 2, 1, false}, "odd"},
               {{2, 0, 1, 0, false}, "at least 1"}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(tl_backpatch_check(&bad[i].cell, 4, &err), TL_ERR_ARGUMENT);
        assert_non_null(strstr(err.text, bad[i].text));
    }
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_input input = random_input(model, arena, T, 2, 0, 6);
    const tl_backpatch_cell cell = {2, 0, 1, 1, false};
    double clean[IDS], got[IDS];
    assert_int_equal(backpatch(model, &input, 5, T, &cell, 1, clean, got, &err),
                     TL_ERR_ARGUMENT);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_the_plain_one),
        cmocka_unit_test(the_cpu_backend_does_the_same),
        cmocka_unit_test(cells_that_share_are_as_those_that_do_not),
        cmocka_unit_test(onto_itself_changes_nothing),
        cmocka_unit_test(with_clean_states_behind_it_is_the_same_every_time),
        cmocka_unit_test(senseless_cells_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
