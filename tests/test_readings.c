/*
 * test_readings.c - readings and edits against a tap that does the same by hand: the same
 * bytes, in any batch, behind a prefix, in a last layer of one position, and when layers
 * are computed again.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/array.h"
#include "twinlens/pass.h"

enum { T = 13, PREFIX = 4, PROMPTS = 3, WHICH = 1, MAX_LAYERS = 4, MAX_WIDTH = 96 };

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *dims;
    tl_input inputs[PROMPTS];
    float *from;    /* [n_layers, T, MAX_WIDTH]: something to write */
    uint32_t *rank; /* [n_layers, T, MAX_WIDTH] */
    uint8_t *in;
} fixture;

static fixture setup(void)
{
    fixture f = {.model = open_tiny("ref"), .arena = tl_arena_create()};
    f.dims = tl_model_dims(f.model);
    assert_true(f.dims->n_layers <= MAX_LAYERS && f.dims->d_mlp <= MAX_WIDTH);
    for (uint32_t i = 0; i < PROMPTS; i++)
        f.inputs[i] = random_input(f.model, f.arena, T + i - WHICH, 0, 0, i);
    const size_t count = (size_t)MAX_LAYERS * T * MAX_WIDTH;
    f.from = tl_arena_alloc(f.arena, count, sizeof *f.from);
    f.rank = tl_arena_alloc(f.arena, count, sizeof *f.rank);
    f.in = tl_arena_alloc(f.arena, count, 1);
    uint32_t random = 9;
    for (size_t i = 0; i < count; i++) {
        f.from[i] = test_uniform(&random);
        f.rank[i] = (uint32_t)((test_uniform(&random) + 1.0f) * 500.0f);
        f.in[i] = test_uniform(&random) > 0.0f;
    }
    return f;
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

static size_t width_of(const tl_dims *d, tl_site site)
{
    return site == TL_SITE_Z          ? d->n_heads * d->d_head
           : site == TL_SITE_MLP_POST ? d->d_mlp
                                      : d->d_model;
}

/* Everything about prompt WHICH that a tap saw, at [way][site][layer][position]. */
typedef struct seen {
    const tl_dims *dims;
    float values[2][TL_SITE_COUNT][MAX_LAYERS][T][MAX_WIDTH];
} seen;

static tl_status see(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    seen *s = user;
    for (size_t t = 0; t < e->n_pos && e->prompt == WHICH; t++)
        memcpy(s->values[e->backward][e->site][e->layer][e->first_pos + t],
               e->values + t * e->width, e->width * sizeof(float));
    return TL_OK;
}

/* The edit written out plainly. */
typedef struct plain_edit {
    const tl_edit *edit;
    const tl_dims *dims;
} plain_edit;

static tl_status apply(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const plain_edit *p = user;
    const tl_edit *edit = p->edit;
    const tl_site_range *r = &edit->at;
    if (e->backward || e->site != r->site || e->prompt != r->prompt ||
        e->layer < r->first_layer || e->layer >= r->first_layer + r->n_layers)
        return TL_OK;
    const size_t per = e->site == TL_SITE_Z ? p->dims->d_head : 1, n = e->width / per;
    for (size_t t = 0; t < e->n_pos; t++) {
        const size_t pos = e->first_pos + t;
        if (pos < r->first_pos || pos >= r->first_pos + r->n_pos)
            continue;
        for (size_t i = 0; i < e->width; i++) {
            const size_t c = (e->layer * T + pos) * n + i / per;
            const float from = edit->from[((e->layer - r->first_layer) * r->n_pos +
                                           pos - r->first_pos) *
                                              e->width +
                                          i];
            float *x = &e->values[t * e->width + i];
            switch (edit->rule) {
            case TL_EDIT_OVERWRITE: *x = from; break;
            case TL_EDIT_ADD: *x += from; break;
            case TL_EDIT_OUTSIDE_CUT: *x = edit->rank[c] < edit->cut ? *x : from; break;
            case TL_EDIT_OUTSIDE_SET: *x = edit->in[c] == 1 ? *x : from; break;
            case TL_EDIT_COMPONENT: *x = i / per == edit->component ? from : *x; break;
            }
        }
    }
    return TL_OK;
}

/* Runs all prompts, and back if the options say so; the difference of two logits. */
static double run(const fixture *f, const tl_pass_options *options,
                  const tl_prefix *prefix)
{
    const int32_t a[PROMPTS] = {11, 12, 13}, b[PROMPTS] = {29, 30, 31};
    tl_pass_prompt prompts[PROMPTS] = {0};
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    for (size_t i = 0; i < PROMPTS; i++)
        prompts[i].input = f->inputs[i];
    prompts[WHICH].prefix = prefix;
    if (tl_pass_create(f->model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, prompts, PROMPTS, options, &err) != TL_OK ||
        tl_pass_logit_diff(pass, WHICH, a[WHICH], b[WHICH], &ld, &err) != TL_OK ||
        (options->for_backward && tl_pass_backward(pass, a, b, &err) != TL_OK))
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
    return ld;
}

/* The least budget that a pass back is admitted with: no layer is kept. */
static size_t least_budget(const fixture *f)
{
    tl_pass_options options = {.for_backward = true};
    size_t n_pos[PROMPTS], bytes = 0;
    for (size_t i = 0; i < PROMPTS; i++)
        n_pos[i] = f->inputs[i].n_pos;
    while (tl_pass_bytes(f->model, n_pos, NULL, PROMPTS, &options, &bytes, NULL) ==
           TL_OK)
        options.memory_budget = bytes - 1;
    return bytes;
}

static tl_prefix take_prefix(fixture *f)
{
    const size_t count = tl_prefix_count(f->dims, PREFIX);
    tl_prefix prefix = {.n_pos = PREFIX,
                        .k = tl_arena_alloc(f->arena, count, sizeof(float)),
                        .v = tl_arena_alloc(f->arena, count, sizeof(float))};
    const tl_pass_prompt prompt = {.input = f->inputs[WHICH], .collect = &prefix};
    tl_pass *pass = NULL;
    assert_int_equal(tl_pass_create(f->model, &pass, NULL), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, NULL, NULL), TL_OK);
    tl_pass_destroy(pass);
    return prefix;
}

static void check_readings(fixture *f, tl_pass_options options, const tl_prefix *prefix,
                           const tl_site_range *range)
{
    const tl_dims *d = f->dims;
    seen *want = tl_arena_alloc_zero(f->arena, 1, sizeof *want);
    const tl_tap tap = {.on_site = see, .user = want, .sites = ~0u};
    options.taps = &tap;
    options.n_taps = 1;
    tl_reading readings[2 * TL_SITE_COUNT];
    tl_array arrays[2 * TL_SITE_COUNT];
    size_t n = 0;
    for (size_t way = 0; way <= (options.for_backward ? 1 : 0); way++)
        for (int site = 0; site < TL_SITE_COUNT; site++, n++) {
            const size_t count =
                range->n_layers * range->n_pos * width_of(d, (tl_site)site);
            assert_int_equal(tl_array_init(f->model, TL_F32, count, &arrays[n], NULL),
                             TL_OK);
            /* Adding shows whether a reading happens once. */
            readings[n] =
                (tl_reading){.rule = TL_READ_ADD, .gradient = way == 1, .at = *range};
            readings[n].at.site = (tl_site)site;
            readings[n].to = tl_array_f32(&arrays[n], 0);
        }
    options.readings = readings;
    options.n_readings = n;
    run(f, &options, prefix);
    for (size_t i = 0; i < n; i++) {
        const tl_site site = readings[i].at.site;
        const size_t width = width_of(d, site), count = arrays[i].count;
        float *got = tl_arena_alloc(f->arena, count, sizeof *got);
        assert_int_equal(tl_array_download(&arrays[i], 0, count, got, NULL), TL_OK);
        for (size_t k = 0; k < count; k++) {
            const size_t layer = k / width / range->n_pos + range->first_layer,
                         pos = k / width % range->n_pos + range->first_pos;
            const float value =
                want->values[readings[i].gradient][site][layer][pos][k % width];
            if (got[k] != value)
                fail_msg("%s layer %zu position %zu element %zu: read %g, a tap saw %g",
                         tl_site_name(site), layer, pos, k % width, (double)got[k],
                         (double)value);
        }
        tl_array_release(&arrays[i]);
    }
}

static void readings_are_what_a_tap_sees(void **state)
{
    (void)state;
    fixture f = setup();
    const tl_prefix prefix = take_prefix(&f);
    const tl_site_range all = {
        .prompt = WHICH, .n_layers = f.dims->n_layers, .n_pos = T};
    const tl_site_range some = {
        .prompt = WHICH, .first_layer = 1, .n_layers = 2, .first_pos = 3, .n_pos = 8};
    const tl_pass_options ways[] = {
        {0},
        {.for_backward = true},
        {.for_backward = true, .last_only = true},
        {.for_backward = true, .memory_budget = least_budget(&f)},
        {.first_layer = 2},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        check_readings(&f, ways[i], NULL, &all);
        check_readings(&f, ways[i], NULL, &some);
        check_readings(&f, ways[i], &prefix, &all);
        check_readings(&f, ways[i], &prefix, &some);
    }
    teardown(&f);
}

static void rules_add_up(void **state)
{
    (void)state;
    fixture f = setup();
    const size_t count = f.dims->n_layers * T * f.dims->d_mlp;
    tl_array once, sum;
    assert_int_equal(tl_array_init(f.model, TL_F32, count, &once, NULL), TL_OK);
    assert_int_equal(tl_array_init(f.model, TL_F32, count, &sum, NULL), TL_OK);
    const tl_site_range at = {.site = TL_SITE_MLP_POST, .prompt = WHICH};
    const tl_reading readings[] = {
        {.rule = TL_READ_COPY, .at = at, .to = tl_array_f32(&once, 0)},
        {.rule = TL_READ_SUBTRACT, .at = at, .to = tl_array_f32(&sum, 0)},
        {.rule = TL_READ_COPY, .at = at, .to = tl_array_f32(&sum, 0)},
        {.rule = TL_READ_ADD, .at = at, .to = tl_array_f32(&sum, 0)},
        {.rule = TL_READ_SUBTRACT, .at = at, .to = tl_array_f32(&sum, 0)},
        {.rule = TL_READ_ADD, .at = at, .to = tl_array_f32(&sum, 0)},
    };
    const tl_pass_options options = {.readings = readings, .n_readings = 6};
    run(&f, &options, NULL);
    const void *x = NULL, *y = NULL;
    assert_int_equal(tl_array_get(&once, 0, count, f.arena, &x, NULL), TL_OK);
    assert_int_equal(tl_array_get(&sum, 0, count, f.arena, &y, NULL), TL_OK);
    for (size_t i = 0; i < count; i++)
        assert_close("sum", i, (double)((const float *)y)[i],
                     2.0 * (double)((const float *)x)[i], 0);
    tl_array_release(&once);
    tl_array_release(&sum);
    teardown(&f);
}

static void check_edit(fixture *f, tl_pass_options options, const tl_prefix *prefix,
                       const tl_edit *edit)
{
    const double untouched = run(f, &options, prefix);
    seen *want = tl_arena_alloc_zero(f->arena, 1, sizeof *want),
         *got = tl_arena_alloc_zero(f->arena, 1, sizeof *got);
    plain_edit plain = {edit, f->dims};
    const tl_tap taps[] = {{.on_site = see, .user = want, .sites = ~0u},
                           {.on_site = apply,
                            .user = &plain,
                            .sites = TL_SITE_BIT(edit->at.site),
                            .writes = true}};
    options.taps = taps;
    options.n_taps = 2;
    const double by_tap = run(f, &options, prefix);
    const tl_tap watch = {.on_site = see, .user = got, .sites = ~0u};
    options.taps = &watch;
    options.n_taps = 1;
    options.edits = edit;
    options.n_edits = 1;
    const double by_edit = run(f, &options, prefix);
    assert_true(by_edit == by_tap && by_edit != untouched);
    if (memcmp(want, got, sizeof *want) != 0)
        fail_msg("rule %d at %s: not what a tap writes", (int)edit->rule,
                 tl_site_name(edit->at.site));
}

static void edits_are_what_a_tap_writes(void **state)
{
    (void)state;
    fixture f = setup();
    const tl_prefix prefix = take_prefix(&f);
    const size_t L = f.dims->n_layers;
    const tl_pass_options ways[] = {
        {0},
        {.last_only = true},
        {.for_backward = true},
        {.for_backward = true, .memory_budget = least_budget(&f)},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int site = 0; site < TL_SITE_COUNT; site++)
            for (int rule = TL_EDIT_OVERWRITE; rule <= TL_EDIT_COMPONENT; rule++) {
                if (ways[i].for_backward && site == TL_SITE_Z)
                    continue; /* refused */
                tl_edit edit = {.rule = (tl_edit_rule)rule,
                                .at = {(tl_site)site, WHICH, 0, L, 2, T - 2},
                                .from = f.from,
                                .rank = f.rank,
                                .in = f.in,
                                .cut = 400,
                                .component = 3};
                check_edit(&f, ways[i], NULL, &edit);
                check_edit(&f, ways[i], &prefix, &edit);
                edit.at.first_layer = 1;
                edit.at.n_layers = 2;
                check_edit(&f, ways[i], NULL, &edit);
            }
    teardown(&f);
}

static void the_stream_can_begin_in_an_array(void **state)
{
    (void)state;
    fixture f = setup();
    tl_array stream;
    const size_t d_model = f.dims->d_model;
    assert_int_equal(tl_array_init(f.model, TL_F32, T * d_model, &stream, NULL), TL_OK);
    const tl_reading reading = {.at = {TL_SITE_RESID_POST, 0, 1, 1, 0, T},
                                .to = tl_array_f32(&stream, 0)};
    const tl_pass_options whole = {.readings = &reading, .n_readings = 1},
                          rest = {.first_layer = 2};
    tl_pass_prompt prompt = {.input = f.inputs[WHICH]};
    tl_pass *pass = NULL;
    double want = 0.0, got = 1.0;
    assert_int_equal(tl_pass_create(f.model, &pass, NULL), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &whole, NULL), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, 1, 2, &want, NULL), TL_OK);
    prompt.resid_pre = tl_array_f32(&stream, 0);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &rest, NULL), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, 1, 2, &got, NULL), TL_OK);
    assert_true(got == want);
    tl_pass_destroy(pass);
    tl_array_release(&stream);
    teardown(&f);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    fixture f = setup();
    const size_t L = f.dims->n_layers;
    const tl_pass_prompt prompt = {.input = f.inputs[WHICH]};
    float *to = f.from;
    const struct {
        tl_reading reading;
        const char *text;
    } readings[] = {
        {{.at = {.site = (tl_site)9}, .to = to}, "no site 9"},
        {{.at = {.prompt = 1}, .to = to}, "prompt 1 of a pass over 1"},
        {{.at = {.first_layer = L}, .to = to}, "from layer 4 on"},
        {{.at = {.first_layer = 1, .n_layers = L}, .to = to}, "4 layers from layer 1"},
        {{.at = {.first_pos = T}, .to = to}, "from position 13 on"},
        {{.at = {.first_pos = 1, .n_pos = T}, .to = to},
         "13 positions from position 1"},
        {{.at = {0}}, "reading 0 has no array"},
        {{.gradient = true, .to = to}, "without a way back"},
    };
    const struct {
        tl_edit edit;
        const char *text;
    } edits[] = {
        {{.at = {.first_pos = T}, .from = to}, "edit 0: 0 positions"},
        {{.rule = TL_EDIT_OUTSIDE_CUT, .cut = 1, .from = to}, "no ranking"},
        {{.rule = TL_EDIT_OUTSIDE_SET, .from = to}, "no set"},
        {{.rule = TL_EDIT_COMPONENT,
          .at = {.site = TL_SITE_Z},
          .component = f.dims->n_heads,
          .from = to},
         "component 6 of 6"},
        {{.at = {0}}, "edit 0 has no array"},
    };
    tl_pass *pass = NULL;
    tl_error err = {0};
    assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        const tl_pass_options o = {.readings = &readings[i].reading, .n_readings = 1};
        assert_int_equal(tl_pass_forward(pass, &prompt, 1, &o, &err), TL_ERR_ARGUMENT);
        if (strstr(err.text, readings[i].text) == NULL)
            fail_msg("'%s', wanted '%s' in it", err.text, readings[i].text);
    }
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const tl_pass_options o = {.edits = &edits[i].edit, .n_edits = 1};
        assert_int_equal(tl_pass_forward(pass, &prompt, 1, &o, &err), TL_ERR_ARGUMENT);
        if (strstr(err.text, edits[i].text) == NULL)
            fail_msg("'%s', wanted '%s' in it", err.text, edits[i].text);
    }
    /* Attention's gradient would be wrong. */
    const tl_edit z = {.at = {.site = TL_SITE_Z}, .from = to};
    const tl_pass_options back = {.edits = &z, .n_edits = 1, .for_backward = true};
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &back, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "z cannot be edited"));
    tl_pass_destroy(pass);
    teardown(&f);
}

static void arrays_begin_with_zeros_and_are_reused(void **state)
{
    (void)state;
    fixture f = setup();
    tl_array a = {0};
    tl_error err = {0};
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    uint8_t got[sizeof bytes];
    assert_int_equal(tl_array_reset(&a, f.model, TL_U8, sizeof bytes, &err), TL_OK);
    assert_int_equal(tl_array_upload(&a, 0, sizeof bytes, bytes, &err), TL_OK);
    assert_int_equal(tl_array_download(&a, 2, 5, got, &err), TL_OK);
    assert_memory_equal(got, bytes + 2, 5);
    void *const memory = a.data;
    assert_int_equal(tl_array_reset(&a, f.model, TL_F32, 1, &err), TL_OK);
    assert_ptr_equal(a.data, memory); /* 4 bytes of 8 */
    float value = 1.0f;
    assert_int_equal(tl_array_download(&a, 0, 1, &value, &err), TL_OK);
    assert_true(value == 0.0f);
    tl_array_release(&a);
    tl_array_release(&a);
    assert_int_equal(tl_array_init(f.model, TL_F64, SIZE_MAX / 4, &a, &err),
                     TL_ERR_NO_MEMORY);
    assert_null(a.data);
    tl_array view;
    assert_int_equal(tl_array_borrow(f.model, TL_U8, 7, bytes, &view, &err), TL_OK);
    assert_int_equal(tl_array_download(&view, 0, 7, got, &err), TL_OK);
    assert_memory_equal(got, bytes, 7);
    tl_array_release(&view); /* what was borrowed stays */
    assert_int_equal(tl_array_init(f.model, TL_F32, 0, &a, &err), TL_OK);
    tl_array_release(&a);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readings_are_what_a_tap_sees),
        cmocka_unit_test(rules_add_up),
        cmocka_unit_test(edits_are_what_a_tap_writes),
        cmocka_unit_test(the_stream_can_begin_in_an_array),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(arrays_begin_with_zeros_and_are_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
