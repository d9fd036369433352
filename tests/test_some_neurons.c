/*
 * test_some_neurons.c - the backend's entries for some neurons of some rows and some heads
 * of some queries: against the definition, written out in double; the same bits alone,
 * among others, with other threads and with other scratch.
 */
#include "testing.h"

#include "backend/backends.h"
#include "twinlens/arena.h"

enum { ROWS = 11, GROUPS = 3 };

static tl_arena *arena;

static void *made(size_t count, size_t size)
{
    void *memory = tl_arena_alloc_zero(arena, count, size);
    assert_non_null(memory);
    return memory;
}

static float *random_floats(size_t n, uint32_t seed, float scale)
{
    float *x = made(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * test_uniform(&seed);
    return x;
}

static tl_linear random_layer(tl_dtype dtype, size_t n_out, size_t n_in, bool bias,
                              uint32_t seed)
{
    const size_t n = n_out * n_in;
    const float *values = random_floats(n, seed, 0.3f);
    uint16_t *halves = made(n, sizeof *halves);
    for (size_t i = 0; i < n; i++)
        halves[i] = dtype == TL_BF16 ? tl_f32_to_bf16(values[i])
                                     : (uint16_t)(0x3000 | (i * 37 % 1024) |
                                                  (values[i] < 0.0f ? 0x8000 : 0));
    return (tl_linear){.weight = {.dtype = dtype,
                                  .n_dims = 2,
                                  .dims = {n_out, n_in},
                                  .data = dtype == TL_F32 ? (const void *)values
                                                          : (const void *)halves},
                       .bias = bias ? random_floats(n_out, seed + 1, 0.2f) : NULL};
}

static tl_backend *create(const char *name, size_t n_threads)
{
    tl_backend *b = NULL;
    tl_error err = {0};
    if (tl_backend_create(name, n_threads, 0, &b, &err) != TL_OK)
        fail_msg("%s", err.text);
    return b;
}

/* ---- neurons --------------------------------------------------------------------- */

typedef struct problem {
    size_t d_model, d_mlp;
    tl_linear gate, up, down;
    float *x, *base, *before;
    tl_neuron_group groups[GROUPS];
} problem;

/* A group of many rows with fewer and fewer neurons, one of a single row, one of rows that
 * want the same. */
static void make_groups(problem *p)
{
    static const size_t sizes[GROUPS] = {6, 1, 4};
    uint32_t seed = 5, y = ROWS;
    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t *index = made(p->d_mlp, sizeof *index);
        tl_neuron_row *rows = made(sizes[g], sizeof *rows);
        const size_t n = g == 0 ? p->d_mlp : g == 1 ? 1 : p->d_mlp / 3;
        for (size_t j = 0; j < p->d_mlp; j++)
            index[j] = (uint32_t)j;
        for (size_t j = p->d_mlp - 1; j > 0; j--) {
            const size_t k = (size_t)((test_uniform(&seed) + 1.0f) * 0.5f * (float)j);
            const uint32_t old = index[j];
            index[j] = index[k];
            index[k] = old;
        }
        for (size_t r = 0; r < sizes[g]; r++, y--)
            rows[r] = (tl_neuron_row){.x = y - 1,
                                      .y = y - 1,
                                      .n = (uint32_t)(g == 0 ? n - r * n / 6 : n),
                                      .base = p->base + (y - 1) * p->d_mlp};
        p->groups[g] = (tl_neuron_group){index, rows, sizes[g]};
    }
}

static problem make_problem(tl_dtype dtype, size_t d_model, size_t d_mlp, bool bias)
{
    problem p = {.d_model = d_model,
                 .d_mlp = d_mlp,
                 .gate = random_layer(dtype, d_mlp, d_model, bias, 11),
                 .up = random_layer(dtype, d_mlp, d_model, bias, 13),
                 .down = random_layer(dtype, d_model, d_mlp, bias, 17),
                 .x = random_floats(ROWS * d_model, 3, 1.0f),
                 .base = random_floats(ROWS * d_mlp, 4, 1.0f),
                 .before = random_floats(ROWS * d_model, 6, 1.0f)};
    make_groups(&p);
    return p;
}

static float *run(tl_backend *b, problem *p, size_t n_groups,
                  const tl_neuron_group *groups)
{
    tl_error err = {0};
    float *y = made(ROWS * p->d_model, sizeof *y);
    memcpy(y, p->before, ROWS * p->d_model * sizeof *y);
    const tl_gated_mlp mlp = {TL_SILU, &p->gate, &p->up, &p->down};
    if (b->neurons(b, &mlp, n_groups, groups, p->x, y, &err) != TL_OK)
        fail_msg("%s", err.text);
    return y;
}

static double weight_at(const tl_linear *layer, size_t i)
{
    float value;
    assert_int_equal(tl_tensor_to_f32(&layer->weight, i, 1, &value, NULL), TL_OK);
    return (double)value;
}

static double product(const tl_linear *layer, size_t row, const float *x)
{
    const size_t n = layer->weight.dims[1];
    double sum = layer->bias != NULL ? (double)layer->bias[row] : 0.0;
    for (size_t i = 0; i < n; i++)
        sum += weight_at(layer, row * n + i) * (double)x[i];
    return sum;
}

/* The sentence at the top of op/neurons.h. */
static void check_values(const problem *p, const float *y, double tolerance)
{
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t r = 0; r < p->groups[g].n_rows; r++) {
            const tl_neuron_row *row = &p->groups[g].rows[r];
            const float *x = p->x + row->x * p->d_model;
            double *want = made(p->d_model, sizeof *want);
            for (size_t c = 0; c < p->d_model; c++)
                want[c] = (double)p->before[row->y * p->d_model + c];
            for (size_t k = 0; k < row->n; k++) {
                const size_t j = p->groups[g].index[k];
                const double gate = product(&p->gate, j, x),
                             m = gate / (1.0 + exp(-gate)) * product(&p->up, j, x);
                for (size_t c = 0; c < p->d_model; c++)
                    want[c] += (m - (double)row->base[j]) *
                               weight_at(&p->down, c * p->d_mlp + j);
            }
            for (size_t c = 0; c < p->d_model; c++)
                assert_close("y", row->y * p->d_model + c,
                             (double)y[row->y * p->d_model + c], want[c], tolerance);
        }
}

static void check_problem(problem *p)
{
    static const char *const names[] = {"ref", NULL};
    for (size_t i = 0; i < 2; i++) {
        const char *name = names[i] != NULL ? names[i] : tl_backend_default();
        tl_backend *b = create(name, 1), *other = create(name, 3);
        const size_t bytes = b->neurons_bytes(b, &p->down, ROWS, true);
        const float *y = run(b, p, GROUPS, p->groups);
        /* Measured: 1.9e-6, for values up to 9. */
        check_values(p, y, 1e-5);
        /* Turned round, with more threads. */
        assert_true(bytes >= b->neurons_bytes(b, &p->down, ROWS, false));
        assert_int_equal(
            other->reserve_neurons(
                other, other->neurons_bytes(other, &p->down, ROWS, true), NULL),
            TL_OK);
        assert_memory_equal(run(other, p, GROUPS, p->groups), y,
                            ROWS * p->d_model * sizeof *y);
        assert_int_equal(other->reserve_neurons(other, 0, NULL), TL_OK);
        /* Every row alone. */
        for (size_t g = 0; g < GROUPS; g++)
            for (size_t r = 0; r < p->groups[g].n_rows; r++) {
                const tl_neuron_row *row = &p->groups[g].rows[r];
                const tl_neuron_group alone = {p->groups[g].index, row, 1};
                const size_t at = row->y * p->d_model;
                assert_memory_equal(run(b, p, 1, &alone) + at, y + at,
                                    p->d_model * sizeof *y);
            }
        tl_backend_destroy(other);
        tl_backend_destroy(b);
    }
}

static void neurons_are_what_their_header_says(void **unused)
{
    (void)unused;
    static const tl_dtype dtypes[] = {TL_F32, TL_F16, TL_BF16};
    static const size_t shapes[][2] = {{8, 5}, {50, 33}, {80, 64}, {24, 130}};
    for (size_t t = 0; t < 3; t++)
        for (size_t s = 0; s < 4; s++) {
            problem p = make_problem(dtypes[t], shapes[s][0], shapes[s][1], s % 2 == 1);
            check_problem(&p);
            tl_arena_rewind(arena, (tl_arena_mark){0});
        }
}

static void an_mlp_that_does_not_fit_is_refused(void **unused)
{
    (void)unused;
    problem p = make_problem(TL_F32, 8, 5, false);
    const tl_gated_mlp wrong = {TL_SILU, &p.gate, &p.down, &p.down};
    static const char *const names[] = {"ref", NULL};
    for (size_t i = 0; i < 2; i++) {
        tl_error err = {0};
        tl_backend *b = create(names[i] != NULL ? names[i] : tl_backend_default(), 1);
        assert_int_equal(b->neurons(b, &wrong, GROUPS, p.groups, p.x, p.before, &err),
                         TL_ERR_ARGUMENT);
        assert_non_null(strstr(err.text, "[5,8]"));
        tl_backend_destroy(b);
    }
    tl_arena_rewind(arena, (tl_arena_mark){0});
}

/* ---- heads ----------------------------------------------------------------------- */

enum { H = 6, G = 2, D = 10, KEYS = 13, PREFIX = 4, PROMPTS = 2 };

/* All queries of two prompts by `attention`, some of them by `attention_some`: the same
 * bits, whatever the keys are that nobody sees. */
static void some_heads_are_those_of_all(tl_backend *b, const tl_attention *shape,
                                        const int32_t *block)
{
    tl_error err = {0};
    const size_t n_queries = PROMPTS * KEYS;
    const float *q = random_floats(n_queries * H * D, 1, 1.0f),
                *prefix = random_floats(2 * PREFIX * G * D, 2, 1.0f);
    float *k = random_floats(n_queries * G * D, 3, 1.0f),
          *v = random_floats(n_queries * G * D, 4, 1.0f);
    float *z = made(n_queries * H * D, sizeof *z), *lse = made(n_queries * H, 4);
    tl_attention_prompt prompts[PROMPTS];
    for (size_t i = 0; i < PROMPTS; i++)
        prompts[i] = (tl_attention_prompt){.q_row = i * KEYS,
                                           .n_query = KEYS,
                                           .k_row = i * KEYS,
                                           .n_key = KEYS,
                                           .n_prefix = PREFIX,
                                           .prefix_k = prefix,
                                           .prefix_v = prefix + PREFIX * G * D,
                                           .block = block};
    if (b->attention(b, shape, PROMPTS, prompts, q, k, v, z, lse, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_attention_query queries[PROMPTS * KEYS * H];
    float *some_q = made(n_queries * H * D, sizeof *q),
          *some_z = made(n_queries * H * D, 4);
    size_t n = 0;
    bool seen[PROMPTS * KEYS] = {false};
    for (uint32_t p = 0; p < PROMPTS; p++)
        for (uint32_t g = 0; g < G; g++)
            for (uint32_t t = p; t < KEYS - 3; t += 3)
                for (uint32_t h = g * H / G; h < (g + 1) * H / G; h += 2) {
                    const uint32_t at = (uint32_t)(7 * n + 3) % (PROMPTS * KEYS * H);
                    queries[n++] = (tl_attention_query){p, PREFIX + t, h, at};
                    memcpy(some_q + at * D, q + ((p * KEYS + t) * H + h) * D,
                           D * sizeof *q);
                    for (size_t j = 0; j < KEYS; j++)
                        seen[p * KEYS + j] |= tl_attention_sees(shape, &prompts[p],
                                                                PREFIX + t, PREFIX + j);
                }
    for (size_t j = 0; j < n_queries; j++)
        for (size_t i = 0; !seen[j] && i < G * D; i++)
            k[j * G * D + i] = v[j * G * D + i] = -3.0f;
    assert_int_equal(b->attention_some(b, shape, PROMPTS, prompts, n, queries, some_q,
                                       k, v, some_z, &err),
                     TL_OK);
    for (size_t i = 0; i < n; i++) {
        const tl_attention_query *x = &queries[i];
        const float *want =
            z + ((x->prompt * KEYS + x->position - PREFIX) * H + x->head) * D;
        assert_memory_equal(some_z + x->at * D, want, D * sizeof *want);
    }
    tl_arena_rewind(arena, (tl_arena_mark){0});
}

static void heads_of_some_queries_are_those_of_all(void **unused)
{
    (void)unused;
    int32_t block[PREFIX + KEYS];
    for (int32_t i = 0; i < PREFIX + KEYS; i++)
        block[i] = i >= 6 && i < 10 ? 0 : -1;
    const tl_attention plain = {H, G, D, 0.3f, 0.0f, 0, true};
    tl_attention capped = plain, sliding = plain, both_ways = plain;
    capped.softcap = 2.0f;
    sliding.window = 5;
    both_ways.causal = false;
    for (size_t n_threads = 1; n_threads <= 8; n_threads *= 2)
        for (size_t i = 0; i < 2; i++) {
            tl_backend *b = create(i == 0 ? "ref" : tl_backend_default(), n_threads);
            some_heads_are_those_of_all(b, &plain, NULL);
            some_heads_are_those_of_all(b, &plain, block);
            some_heads_are_those_of_all(b, &capped, NULL);
            some_heads_are_those_of_all(b, &sliding, block);
            some_heads_are_those_of_all(b, &both_ways, NULL);
            tl_backend_destroy(b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neurons_are_what_their_header_says),
        cmocka_unit_test(an_mlp_that_does_not_fit_is_refused),
        cmocka_unit_test(heads_of_some_queries_are_those_of_all),
    };
    arena = tl_arena_create();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tl_arena_destroy(arena);
    return failed;
}
