/*
 * test_backpatch.c - against back-patching written out plainly: whole passes, every
 * position computed, states written by a tap.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/pass.h"
#include "twinlens/probe.h"

enum { T = 21, BEGIN = 3, SIDE = 6, END = BEGIN + SIDE * SIDE / 4, IDS = 3, TIMES = 4 };
static const int32_t ids[IDS] = {20, 50, 311};

typedef struct plain {
    const tl_backpatch_cell *cell; /* NULL: nothing is written */
    size_t n_layers, width;
    float *before, *now; /* resid_post [n_layers, T, width] */
} plain;

static tl_status write_and_keep(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const plain *p = user;
    const tl_backpatch_cell *c = p->cell;
    if (c != NULL) {
        const size_t half = c->window / 2;
        for (size_t to = c->destination >= half ? c->destination - half : 0;
             to <= c->destination + half; to++) {
            const size_t from = to + c->source;
            if (to != e->layer || from < c->destination ||
                from - c->destination >= p->n_layers)
                continue;
            memcpy(e->values + BEGIN * e->width,
                   p->before + ((from - c->destination) * T + BEGIN) * e->width,
                   (END - BEGIN) * e->width * sizeof(float));
        }
    }
    memcpy(p->now + e->layer * T * e->width, e->values, T * e->width * sizeof(float));
    return TL_OK;
}

static void run_plain(tl_model *model, const tl_input *input, plain *p,
                      double logits[IDS])
{
    tl_pass *pass = NULL;
    tl_error err = {0};
    const tl_tap tap = {write_and_keep, p, TL_SITE_BIT(TL_SITE_RESID_POST)};
    const tl_pass_options options = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt prompt = {.input = *input};
    if (tl_pass_create(model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, &prompt, 1, &options, &err) != TL_OK ||
        tl_pass_logits_of(pass, 0, ids, IDS, logits, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
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
    if (tl_backpatch(model, &input, BEGIN, END, cells, n, ids, IDS, 0, clean, got,
                     &err) != TL_OK)
        fail_msg("%s", err.text);
    plain p = {.n_layers = d->n_layers, .width = d->d_model};
    const size_t count = d->n_layers * T * d->d_model;
    p.before = tl_arena_alloc(arena, count, sizeof(float));
    p.now = tl_arena_alloc(arena, count, sizeof(float));
    float *first = tl_arena_alloc(arena, count, sizeof(float));
    run_plain(model, &input, &p, want);
    memcpy(first, p.now, count * sizeof(float));
    for (size_t i = 0; i < IDS; i++)
        assert_close("clean", i, clean[i], want[i], tolerance);
    for (size_t c = 0; c < n; c++) {
        memcpy(p.before, first, count * sizeof(float));
        p.cell = &cells[c];
        for (size_t time = 0; time < cells[c].times; time++) {
            char what[96];
            snprintf(what, sizeof what, "%zu into %zu, window %zu, time %zu",
                     cells[c].source, cells[c].destination, cells[c].window, time);
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
                cells[n++] = (tl_backpatch_cell){source, destination, window,
                                                 1 + (source + destination) % TIMES};
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
    const tl_backpatch_cell cells[] = {
        {3, 0, 1, TIMES}, {2, 1, 1, 1}, {3, 1, 3, 2}, {2, 0, 5, 1}, {3, 0, 3, 1}};
    check_cells("cpu", SIDE, cells, 5, 0);
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
        const tl_backpatch_cell cell = {l, l, 3, 2};
        double clean[IDS], got[2 * IDS];
        assert_int_equal(tl_backpatch(model, &input, BEGIN, END, &cell, 1, ids, IDS, 0,
                                      clean, got, NULL),
                         TL_OK);
        for (size_t i = 0; i < 2 * IDS; i++)
            assert_close("onto itself", l, got[i], clean[i % IDS], 0);
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
    } bad[] = {{{4, 0, 1, 1}, "layers 0 to 3"},
               {{0, 4, 1, 1}, "layers 0 to 3"},
               {{2, 0, 2, 1}, "odd"},
               {{2, 0, 1, 0}, "at least 1"}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(tl_backpatch_check(&bad[i].cell, 4, &err), TL_ERR_ARGUMENT);
        assert_non_null(strstr(err.text, bad[i].text));
    }
    tl_model *model = open_tiny("ref");
    tl_arena *arena = tl_arena_create();
    const tl_input input = random_input(model, arena, T, 2, 0, 6);
    const tl_backpatch_cell cell = {2, 0, 1, 1};
    double clean[IDS], got[IDS];
    assert_int_equal(
        tl_backpatch(model, &input, 5, T, &cell, 1, ids, IDS, 0, clean, got, &err),
        TL_ERR_ARGUMENT);
    tl_arena_destroy(arena);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_the_plain_one),
        cmocka_unit_test(the_cpu_backend_does_the_same),
        cmocka_unit_test(onto_itself_changes_nothing),
        cmocka_unit_test(senseless_cells_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
