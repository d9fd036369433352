/* SPDX-License-Identifier: MIT
 *
 * test_backend.c - the cpu backend: every entry of the table against `ref`, and the
 * promise that a row's bits depend on that row (or its own prompt) alone.
 *
 * The promise is tested by moving rows about: alone, at each place of several tiles,
 * backwards, beside rows that are not numbers, with other numbers of threads and
 * other caches. Weights are made once and live as long as the backends, which
 * remember them.
 */
#include "testing.h"

#include <omp.h>

#include "backend/backends.h"
#include "backend/cpu/cpu.h"
#include "op/logits.h"
#include "twinlens/alloc.h"
#include "twinlens/arena.h"

/* ---- tolerances ------------------------------------------------------------------- */

/* A tolerance belongs to the op: |cpu - ref| within that much of the largest value of
 * the row, for gradients of attention of the whole output (a query with one key has a
 * gradient of zero), for activations of |value| (1 + |x|), of gelu_tanh |value| (1 + |x| +
 * |x|^3 / 14): what exp is of has that size. In the comments what was
 * measured, the worst over all problems below; each run prints its own. */
enum op {
    LINEAR,
    LINEAR_BACKWARD,
    NORM,
    NORM_BACKWARD,
    ROTARY,
    ATTENTION,
    ATTENTION_BACKWARD,
    ACTIVATION,
    ACTIVATION_BACKWARD,
    EXP,
    OPS,
};
static struct tolerance {
    const char *name;
    double limit, worst;
} tolerances[OPS] = {
    [LINEAR] = {"linear", 5e-6, 0},                            /* 1.2e-6, 5000 terms */
    [LINEAR_BACKWARD] = {"linear backward", 1e-5, 0},          /* 3.2e-6, 5000 terms */
    [NORM] = {"norms", 5e-7, 0},                               /* 1.3e-7 */
    [NORM_BACKWARD] = {"rmsnorm backward", 5e-7, 0},           /* 1.4e-7 */
    [ROTARY] = {"rotary", 4e-7, 0},                            /* 1.2e-7 */
    [ATTENTION] = {"attention", 3e-6, 0},                      /* 9.0e-7 */
    [ATTENTION_BACKWARD] = {"attention backward", 2e-6, 0},    /* 3.6e-7 */
    [ACTIVATION] = {"activations", 3e-7, 0},                   /* 1.8e-7 */
    [ACTIVATION_BACKWARD] = {"activations backward", 4e-7, 0}, /* 2.2e-7 */
    [EXP] = {"exp", 1.5e-7, 0},                                /* 8.5e-8 */
};

static void assert_one(enum op op, const char *what, size_t at, double got, double want,
                       double scale)
{
    struct tolerance *t = &tolerances[op];
    const double apart = fabs(got - want);
    if (!(apart <= t->limit * scale))
        fail_msg("%s %s at %zu: cpu %.9g, ref %.9g, %.2g of %.3g apart, more than %.2g",
                 t->name, what, at, got, want, apart / scale, scale, t->limit);
    if (scale > 0.0)
        t->worst = fmax(t->worst, apart / scale);
}

/* Row by row; with one row, against the largest of all. */
static void assert_near(enum op op, const char *what, size_t rows, size_t width,
                        const float *got, const float *want)
{
    for (size_t r = 0; r < rows; r++) {
        double scale = 0.0;
        for (size_t i = r * width; i < (r + 1) * width; i++)
            scale = fmax(scale, fabs((double)want[i]));
        for (size_t i = r * width; i < (r + 1) * width; i++)
            assert_one(op, what, i, (double)got[i], (double)want[i], scale);
    }
}

static void assert_bits(const char *what, size_t n, const float *got, const float *want)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got) != 0)
            fail_msg("%s at %zu of %zu: %.9g and %.9g are not the same bits", what, i,
                     n, (double)got[i], (double)want[i]);
}

/* ---- backends, memory, random numbers ------------------------------------------------ */

static tl_backend *ref;

/* Other threads, other caches: none, everything, and what fits. */
enum { BACKENDS = 4 };
static const struct {
    size_t n_threads, cache_bytes;
} variants[BACKENDS] = {{2, 1 << 30}, {1, 1 << 30}, {3, 0}, {2, 1 << 17}};
static tl_backend *cpus[BACKENDS];

static tl_arena *weights_arena, *arena;
static tl_arena_mark start;

static void must(tl_status status)
{
    assert_int_equal(status, TL_OK);
}

static float *floats(size_t n, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1u;
    float *x = tl_arena_alloc(arena, n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = test_uniform(&state);
    return x;
}

static float *copy_of(const float *x, size_t n)
{
    float *y = tl_arena_alloc(arena, n, sizeof *y);
    assert_non_null(y);
    return memcpy(y, x, n * sizeof *y);
}

static float *constant(size_t n, float value)
{
    float *x = tl_arena_alloc(arena, n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = value;
    return x;
}

static int begin_test(void **unused)
{
    (void)unused;
    start = tl_arena_get_mark(arena);
    return 0;
}

static int end_test(void **unused)
{
    (void)unused;
    tl_arena_rewind(arena, start);
    return 0;
}

/* ---- products --------------------------------------------------------------------- */

/* Data lies `offset` bytes behind a cache line, as in a mapped file. Blocks of columns
 * end within, at and behind the matrix; the last shape has more panels than are made
 * at a time without a cache. */
static const struct shape {
    size_t n_out, n_in;
    tl_dtype dtype;
    size_t offset;
    bool bias;
} shapes[] = {
    {1, 1, TL_F32, 0, true},       {3, 7, TL_BF16, 2, false},
    {16, 48, TL_BF16, 0, true},    {48, 80, TL_BF16, 6, false},
    {80, 48, TL_F16, 0, true},     {77, 100, TL_F32, 4, true},
    {100, 77, TL_BF16, 2, true},   {192, 512, TL_BF16, 0, false},
    {513, 192, TL_BF16, 8, true},  {640, 64, TL_F32, 0, false},
    {1176, 32, TL_F16, 2, false},  {32, 1176, TL_BF16, 0, false},
    {70, 5000, TL_BF16, 0, true},  {5000, 70, TL_BF16, 0, false},
    {1030, 256, TL_BF16, 0, true}, {1300, 5000, TL_BF16, 0, false},
    {72, 72, TL_BF16, 0, true},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
static tl_linear layers[SHAPES];

static bool is_large(const tl_linear *layer)
{
    return layer->weight.dims[0] * layer->weight.dims[1] > 1u << 20;
}

static tl_linear make_layer(const struct shape *s, uint32_t seed)
{
    const size_t n = s->n_out * s->n_in;
    unsigned char *at = tl_arena_alloc(weights_arena, n * 4 + s->offset, 1);
    float *bias = tl_arena_alloc(weights_arena, s->n_out, sizeof *bias);
    assert_true(at != NULL && bias != NULL);
    at += s->offset;
    uint32_t state = seed;
    for (size_t i = 0; i < n; i++) {
        const float value = test_uniform(&state);
        /* f16: either sign, from 1/8 up to 1/2. */
        const uint16_t half = s->dtype == TL_BF16
                                  ? tl_f32_to_bf16(value)
                                  : (uint16_t)(0x3000 + i * 37 % 2048 + (i % 2 << 15));
        if (s->dtype == TL_F32)
            memcpy(at + 4 * i, &value, 4);
        else
            memcpy(at + 2 * i, &half, 2);
    }
    for (size_t i = 0; i < s->n_out; i++)
        bias[i] = test_uniform(&state);
    return (tl_linear){.weight = {.dtype = s->dtype,
                                  .n_dims = 2,
                                  .dims = {s->n_out, s->n_in},
                                  .data = at},
                       .bias = s->bias ? bias : NULL};
}

static void product(tl_backend *b, const tl_linear *layer, bool backward, size_t rows,
                    const float *x, float *y, bool add)
{
    must((backward ? b->linear_backward : b->linear)(b, layer, rows, x, y, add, NULL));
}

/* One direction of one layer against the definition; the row behind the last must stay
 * as it is. */
static void check_product(tl_backend *b, const tl_linear *layer, bool backward,
                          size_t rows, bool add)
{
    const size_t from = layer->weight.dims[backward ? 0 : 1],
                 to = layer->weight.dims[backward ? 1 : 0];
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    const float *x = floats(rows * from, 1);
    float *y = floats((rows + 1) * to, 2), *want = copy_of(y, (rows + 1) * to);
    char what[96];
    snprintf(what, sizeof what, "[%zu,%zu] %s, %zu rows%s", layer->weight.dims[0],
             layer->weight.dims[1], tl_dtype_name(layer->weight.dtype), rows,
             add ? ", added" : "");
    product(b, layer, backward, rows, x, y, add);
    product(ref, layer, backward, rows, x, want, add);
    assert_near(backward ? LINEAR_BACKWARD : LINEAR, what, rows, to, y, want);
    assert_bits("behind the last row", to, y + rows * to, want + rows * to);
    tl_arena_rewind(arena, mark);
}

static void products_agree_with_the_definition(void **unused)
{
    (void)unused;
    static const size_t rows_of[] = {1, 2, 23, 24, 25, 63, 64, 65, 130};
    for (size_t i = 0; i < SHAPES; i++)
        for (size_t r = 0; r < sizeof rows_of / sizeof rows_of[0]; r++)
            for (int flags = 0; flags < 4; flags++) {
                if (is_large(&layers[i]) && rows_of[r] != 2)
                    continue;
                check_product(cpus[flags % BACKENDS], &layers[i], flags & 1, rows_of[r],
                              flags & 2);
            }
}

/* Fused layers are cut by rows: the first part begins where the whole begins. */
static void the_first_rows_of_a_weight_are_a_weight_of_their_own(void **unused)
{
    (void)unused;
    const size_t whole = 8; /* [513,192] */
    tl_linear part = layers[whole];
    part.weight.dims[0] = 100;
    for (int backward = 0; backward < 2; backward++) {
        check_product(cpus[0], &layers[whole], backward, 3, false);
        check_product(cpus[0], &part, backward, 3, false);
        check_product(cpus[0], &layers[whole], backward, 3, false);
    }
}

/* A copy with the last row first. */
static float *backwards(const float *y, size_t rows, size_t width)
{
    float *out = tl_arena_alloc(arena, rows * width, sizeof *out);
    for (size_t r = 0; r < rows; r++)
        memcpy(out + r * width, y + (rows - 1 - r) * width, width * sizeof *out);
    return out;
}

/* Over several tiles and a bit, each row alone gives what it gives in its place. */
static void check_rows_of_a_product(const tl_linear *layer, bool backward, bool add)
{
    enum { ROWS = 133 };
    static const size_t batches[] = {2,  15, 16, 17, 23, 24, 25,
                                     47, 48, 63, 64, 65, 128};
    static const float poison[] = {NAN, INFINITY, 3e38f, -INFINITY, 1e-40f};
    const size_t from = layer->weight.dims[backward ? 0 : 1],
                 to = layer->weight.dims[backward ? 1 : 0];
    const size_t step = is_large(layer) ? 21 : 1;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    const float *x = floats(ROWS * from, 4), *before = floats(ROWS * to, 6);
    float *want = copy_of(before, ROWS * to);
    product(cpus[0], layer, backward, ROWS, x, want, add);

    for (size_t r = 0; r < ROWS; r += step) {
        float *alone = copy_of(before + r * to, to);
        /* Mostly by one thread: teams are slow to meet where others work, too. */
        tl_backend *b = r % 16 == 0 ? cpus[r / 16 % BACKENDS] : cpus[1];
        product(b, layer, backward, 1, x + r * from, alone, add);
        assert_bits("a row alone", to, alone, want + r * to);
    }
    for (size_t b = 0; b < sizeof batches / sizeof batches[0] && step == 1; b++) {
        float *y = copy_of(before, batches[b] * to);
        product(cpus[b % BACKENDS], layer, backward, batches[b], x, y, add);
        assert_bits("a smaller batch", batches[b] * to, y, want);
    }
    for (size_t k = 0; k < BACKENDS; k++) { /* the first for the second time */
        float *y = copy_of(before, ROWS * to);
        product(cpus[k], layer, backward, ROWS, x, y, add);
        assert_bits("other threads or cache", ROWS * to, y, want);
    }
    const int all_threads = omp_get_max_threads();
    omp_set_num_threads(
        8); /* as if the machine had them: the library must not see it */
    for (size_t k = 0; k < BACKENDS; k++) {
        float *y = copy_of(before, 30 * to);
        product(cpus[k], layer, backward, 30, x, y, add);
        assert_bits("where OpenMP has 8 threads", 30 * to, y, want);
    }
    omp_set_num_threads(all_threads);
    float *y = backwards(before, ROWS, to);
    product(cpus[0], layer, backward, ROWS, backwards(x, ROWS, from), y, add);
    assert_bits("backwards", ROWS * to, backwards(y, ROWS, to), want);

    float *poisoned = copy_of(x, ROWS * from);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < from && r % 9 != 0; i++)
            poisoned[r * from + i] = poison[(r + i) % 5];
    y = copy_of(before, ROWS * to);
    product(cpus[0], layer, backward, ROWS, poisoned, y, add);
    for (size_t r = 0; r < ROWS; r += 9)
        assert_bits("beside no numbers", to, y + r * to, want + r * to);
    tl_arena_rewind(arena, mark);
}

static void a_row_of_a_product_is_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SHAPES; i++) {
        check_rows_of_a_product(&layers[i], false, i % 2);
        check_rows_of_a_product(&layers[i], true, i % 3 == 0);
    }
}

/* ---- parts of a layer --------------------------------------------------------------- */

/* n of `most`, each once, in no order: 1009 is a prime that no size has. */
static uint32_t *some_of(size_t n, size_t most)
{
    uint32_t *index = tl_arena_alloc(arena, n, sizeof *index);
    assert_non_null(index);
    for (size_t j = 0; j < n; j++)
        index[j] = (uint32_t)((j + 1) * 1009 % most);
    return index;
}

static void part(tl_backend *b, const tl_linear *layer, bool columns, size_t n,
                 const uint32_t *index, size_t rows, const float *x, float *y, bool add)
{
    must((columns ? b->linear_columns : b->linear_rows)(b, layer, n, index, rows, x, y,
                                                        add, NULL));
}

/* A part against the definition, and some of its rows alone. */
static void check_part(const tl_linear *layer, bool columns, size_t n, size_t rows,
                       bool add)
{
    const size_t from = columns ? n : layer->weight.dims[1],
                 to = columns ? layer->weight.dims[0] : n;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    const uint32_t *index = some_of(n, layer->weight.dims[columns]);
    const float *x = floats(rows * from, 1), *before = floats((rows + 1) * to, 2);
    float *y = copy_of(before, (rows + 1) * to), *want = copy_of(before, rows * to);
    char what[96];
    snprintf(what, sizeof what, "%zu %s of [%zu,%zu] %s, %zu rows%s", n,
             columns ? "columns" : "rows", layer->weight.dims[0], layer->weight.dims[1],
             tl_dtype_name(layer->weight.dtype), rows, add ? ", added" : "");
    part(cpus[0], layer, columns, n, index, rows, x, y, add);
    part(ref, layer, columns, n, index, rows, x, want, add);
    /* As one row: a part of one output has nothing to be measured by. */
    assert_near(LINEAR, what, 1, rows * to, y, want);
    assert_bits("behind the last row", to, y + rows * to, before + rows * to);
    for (size_t r = 0; r < rows; r += 1 + rows / 5) {
        float *alone = copy_of(before + r * to, to);
        part(cpus[1], layer, columns, n, index, 1, x + r * from, alone, add);
        assert_bits("a row of a part alone", to, alone, y + r * to);
    }
    float *other = copy_of(before, rows * to);
    part(cpus[2], layer, columns, n, index, rows, x, other, add);
    assert_bits("a part, other threads", rows * to, other, y);
    tl_arena_rewind(arena, mark);
}

static void parts_of_layers_agree_and_rows_are_alone(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SHAPES; i++)
        for (int columns = 0; columns < 2; columns++) {
            const size_t most = layers[i].weight.dims[columns];
            const size_t counts[] = {1, most / 3, most - 1};
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                const size_t rows = is_large(&layers[i]) ? 2 : c % 2 ? 25 : 49;
                if (c == 0 || counts[c] > counts[c - 1])
                    check_part(&layers[i], columns, counts[c], rows, (i + c) % 2);
            }
        }
    const float *x = floats(8, 1);
    float *y = floats(3, 2); /* of no inputs: zeros, or what was there */
    part(cpus[0], &layers[1], true, 0, NULL, 1, x, y, true);
    assert_bits("nothing added", 3, y, floats(3, 2));
    part(cpus[0], &layers[1], true, 0, NULL, 1, x, y, false);
    assert_bits("no inputs", 3, y, constant(3, 0.0f));
}

/* Whole layers and parts of them, by what is multiplied. */
static void products_are_counted(void **unused)
{
    (void)unused;
    enum { ROWS = 3, PART = 20 };
    const tl_linear *layer = &layers[7]; /* [192,512] */
    const size_t n_out = layer->weight.dims[0], n_in = layer->weight.dims[1];
    const float *x = floats(ROWS * n_in, 1);
    float *y = floats(ROWS * n_in, 2);
    for (size_t k = 0; k <= BACKENDS; k++) {
        tl_backend *b = k < BACKENDS ? cpus[k] : ref;
        uint64_t count[5];
        count[0] = atomic_load(&b->multiply_adds);
        product(b, layer, false, ROWS, x, y, false);
        count[1] = atomic_load(&b->multiply_adds);
        product(b, layer, true, ROWS, x, y, true);
        count[2] = atomic_load(&b->multiply_adds);
        part(b, layer, false, PART, some_of(PART, n_out), ROWS, x, y, false);
        count[3] = atomic_load(&b->multiply_adds);
        part(b, layer, true, PART, some_of(PART, n_in), ROWS, x, y, false);
        count[4] = atomic_load(&b->multiply_adds);
        assert_true(count[1] - count[0] == ROWS * n_out * n_in);
        assert_true(count[2] - count[1] == ROWS * n_out * n_in);
        assert_true(count[3] - count[2] == ROWS * PART * n_in);
        assert_true(count[4] - count[3] == ROWS * PART * n_out);
    }
}

/* A part is filled up to a size that there is a product for. What an earlier call has left
 * in that memory is not seen. */
static void what_fills_up_a_part_is_no_number_of_an_earlier_one(void **unused)
{
    (void)unused;
    enum { OUT = 64, IN = 128, PART = 65, ROWS = 3 };
    const float *no_numbers = constant(OUT * IN, NAN), *x = floats(ROWS * PART, 1);
    const tl_linear bad = {.weight = tl_tensor_f32(no_numbers, OUT, IN, 0)},
                    good = {.weight = tl_tensor_f32(floats(OUT * IN, 2), OUT, IN, 0)};
    const uint32_t *index = some_of(PART, IN);
    float *y = floats(ROWS * OUT, 3), *want = floats(ROWS * OUT, 4);
    tl_backend *b = NULL;
    must(tl_backend_create("cpu", 1, 0, &b, NULL));
    product(b, &bad, false, ROWS, no_numbers, y, false);
    part(b, &good, true, PART, index, ROWS, x, y, false);
    part(ref, &good, true, PART, index, ROWS, x, want, false);
    assert_near(LINEAR, "a part behind no numbers", 1, ROWS * OUT, y, want);
    tl_backend_destroy(b);
}

/* ---- rows ------------------------------------------------------------------------- */

static const size_t widths[] = {1, 2, 3, 8, 18, 48, 77, 100, 513, 1176};
enum { WIDTHS = sizeof widths / sizeof widths[0], SOME_ROWS = 37 };

/* With an outlier channel, as hidden states have, a row much smaller than others and
 * one far from zero. */
static float *hidden_rows(size_t rows, size_t width, uint32_t seed)
{
    float *x = floats(rows * width, seed);
    for (size_t r = 0; r < rows; r++)
        x[r * width + width / 2] *= r == 2 ? 1.0f : 3000.0f;
    for (size_t i = 0; i < width; i++) {
        x[width + i] *= 1e-3f;
        x[2 * width + i] += 1000.0f;
    }
    return x;
}

static void rms_norms_agree_and_rows_are_alone(void **unused)
{
    (void)unused;
    for (size_t w = 0; w < 2 * WIDTHS; w++) {
        const tl_backward_rule rule =
            w < WIDTHS ? TL_BACKWARD_GRADIENT : TL_BACKWARD_RELEVANCE;
        const size_t width = widths[w % WIDTHS], n = SOME_ROWS * width;
        const float *x = hidden_rows(SOME_ROWS, width, 1), *weight = floats(width, 2),
                    *dy = floats(n, 3), *before = floats(n, 4);
        float *want = constant(n, 0.0f), *s = constant(SOME_ROWS, 0.0f),
              *dx = copy_of(before, n);
        ref->rmsnorm(ref, SOME_ROWS, width, 1e-6f, x, weight, want, s);
        ref->rmsnorm_backward(ref, rule, SOME_ROWS, width, x, weight, s, dy, dx);
        float *all_y = NULL, *all_s = NULL, *all_dx = NULL;
        for (size_t k = 0; k < BACKENDS; k++) {
            tl_backend *b = cpus[k];
            float *y = copy_of(x, n), *inv = constant(SOME_ROWS, 0.0f),
                  *d = copy_of(before, n);
            b->rmsnorm(b, SOME_ROWS, width, 1e-6f, y, weight, y, inv); /* in place */
            b->rmsnorm_backward(b, rule, SOME_ROWS, width, x, weight, s, dy, d);
            assert_near(NORM, "rmsnorm", SOME_ROWS, width, y, want);
            assert_near(NORM, "inverse rms", SOME_ROWS, 1, inv, s);
            assert_near(NORM_BACKWARD, "", SOME_ROWS, width, d, dx);
            if (k == 0)
                all_y = y, all_s = inv, all_dx = d;
            assert_bits("rmsnorm, threads", n, y, all_y);
            assert_bits("rmsnorm backward, threads", n, d, all_dx);
        }
        for (size_t r = 0; r < SOME_ROWS; r++) {
            tl_backend *b = cpus[r % BACKENDS];
            const size_t at = r * width;
            float *y = constant(width, 0.0f), inv = 0.0f,
                  *d = copy_of(before + at, width);
            b->rmsnorm(b, 1, width, 1e-6f, x + at, weight, y, &inv);
            assert_bits("inverse rms of a row alone", 1, &inv, all_s + r);
            b->rmsnorm(b, 1, width, 1e-6f, x + at, weight, y, NULL);
            assert_bits("rmsnorm of a row alone", width, y, all_y + at);
            b->rmsnorm_backward(b, rule, 1, width, x + at, weight, s + r, dy + at, d);
            assert_bits("rmsnorm backward of a row alone", width, d, all_dx + at);
        }
    }
}

static void layer_norms_agree_and_rows_are_alone(void **unused)
{
    (void)unused;
    for (size_t w = 0; w < WIDTHS; w++) {
        const size_t width = widths[w], n = SOME_ROWS * width;
        const float *x = hidden_rows(SOME_ROWS, width, 1), *weight = floats(width, 2),
                    *bias = floats(width, 3);
        float *want = constant(n, 0.0f), *all = NULL;
        ref->layernorm(ref, SOME_ROWS, width, 1e-6f, x, weight, bias, want);
        for (size_t k = 0; k < BACKENDS; k++) {
            float *y = copy_of(x, n);
            cpus[k]->layernorm(cpus[k], SOME_ROWS, width, 1e-6f, y, weight, bias, y);
            assert_near(NORM, "layernorm", SOME_ROWS, width, y, want);
            all = k == 0 ? y : all;
            assert_bits("layernorm, threads", n, y, all);
        }
        for (size_t r = 0; r < SOME_ROWS; r++) {
            tl_backend *b = cpus[r % BACKENDS];
            float *y = constant(width, 0.0f);
            b->layernorm(b, 1, width, 1e-6f, x + r * width, weight, bias, y);
            assert_bits("layernorm of a row alone", width, y, all + r * width);
        }
    }
}

static void rotations_agree_and_rows_are_alone(void **unused)
{
    (void)unused;
    static const size_t sizes[][2] = {{1, 2},  {3, 6},  {5, 18},
                                      {2, 64}, {7, 80}, {4, 128}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int inverse = 0; inverse < 2; inverse++) {
            const size_t heads = sizes[i][0], half = sizes[i][1] / 2,
                         width = heads * 2 * half, n = SOME_ROWS * width;
            const float *x = floats(n, 1), *c = floats(SOME_ROWS * half, 2),
                        *s = floats(SOME_ROWS * half, 3);
            float *want = copy_of(x, n), *all = NULL;
            ref->rotary(ref, SOME_ROWS, heads, 2 * half, c, s, inverse, want);
            for (size_t k = 0; k < BACKENDS; k++) {
                float *y = copy_of(x, n);
                cpus[k]->rotary(cpus[k], SOME_ROWS, heads, 2 * half, c, s, inverse, y);
                assert_near(ROTARY, "", SOME_ROWS * heads, 2 * half, y, want);
                all = k == 0 ? y : all;
                assert_bits("rotary, threads", n, y, all);
            }
            for (size_t r = 0; r < SOME_ROWS; r++) {
                tl_backend *b = cpus[r % BACKENDS];
                float *y = copy_of(x + r * width, width);
                b->rotary(b, 1, heads, 2 * half, c + r * half, s + r * half, inverse,
                          y);
                assert_bits("rotary of a row alone", width, y, all + r * width);
            }
        }
}

/* ---- elements --------------------------------------------------------------------- */

/* Near 0, where most are, and out to where exp overflows. */
static float *gates(size_t n)
{
    float *gate = floats(n, 1);
    for (size_t i = 0; i < n; i++)
        gate[i] *= i % 5 == 0 ? 100.0f : 8.0f;
    return gate;
}

enum { ELEMENTS = 70001 };

static void activations_agree_element_by_element(void **unused)
{
    (void)unused;
    /* Where exp(-x) overflows in float, values below 3e-37 are 0 here. */
    static const double tiny = 1e-29;
    for (int kind = 0; kind < 2 * TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)(kind % TL_ACTIVATION_COUNT);
        const tl_backward_rule rule =
            kind < TL_ACTIVATION_COUNT ? TL_BACKWARD_GRADIENT : TL_BACKWARD_RELEVANCE;
        const float *gate = gates(ELEMENTS), *up = floats(ELEMENTS, 2),
                    *dy = floats(ELEMENTS, 3);
        tl_backend *const both[] = {cpus[0], ref};
        float *x[2], *y[2], *dg[2], *du[2];
        for (size_t k = 0; k < 2; k++) {
            x[k] = copy_of(gate, ELEMENTS), y[k] = constant(ELEMENTS, 0.0f);
            dg[k] = constant(ELEMENTS, 0.0f), du[k] = constant(ELEMENTS, 0.0f);
            both[k]->activate(both[k], a, ELEMENTS, x[k]);
            both[k]->gated(both[k], a, ELEMENTS, gate, up, y[k]);
            both[k]->gated_backward(both[k], rule, a, ELEMENTS, gate, up, dy, dg[k],
                                    du[k]);
        }
        for (size_t i = 0; i < ELEMENTS; i++) {
            char what[64];
            snprintf(what, sizeof what, "%d of %.9g", kind, (double)gate[i]);
            const double gate_size = fabs((double)gate[i]),
                         cubic = a == TL_GELU_TANH ? 1.0 / 14.0 : 0.0,
                         size = 1.0 + gate_size + cubic * pow(gate_size, 3.0);
            const double value = fabs((double)x[1][i]), slope = fabs((double)dg[1][i]),
                         dup = fabs((double)du[1][i]);
            assert_one(ACTIVATION, what, i, (double)x[0][i], (double)x[1][i],
                       size * value + tiny);
            assert_one(ACTIVATION, what, i, (double)y[0][i], (double)y[1][i],
                       size * value * fabs((double)up[i]) + tiny);
            assert_one(ACTIVATION_BACKWARD, what, i, (double)du[0][i], (double)du[1][i],
                       size * dup + tiny);
            assert_one(ACTIVATION_BACKWARD, what, i, (double)dg[0][i], (double)dg[1][i],
                       size * (slope + dup * fabs((double)up[i])) + tiny);
        }
        tl_arena_rewind(arena, start);
    }
}

/* In runs of 1 to 83, so that each element meets other neighbours, other places in a
 * vector and other tails; and all at once, by more threads. */
static void an_element_is_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    const float *gate = gates(ELEMENTS), *up = floats(ELEMENTS, 2),
                *dy = floats(ELEMENTS, 3);
    for (int kind = 0; kind < 2 * TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)(kind % TL_ACTIVATION_COUNT);
        const tl_backward_rule rule =
            kind < TL_ACTIVATION_COUNT ? TL_BACKWARD_GRADIENT : TL_BACKWARD_RELEVANCE;
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        float *x[BACKENDS + 1], *y[BACKENDS + 1], *dg[BACKENDS + 1], *du[BACKENDS + 1],
            *sum[BACKENDS + 1];
        for (size_t k = 0; k <= BACKENDS; k++) {
            tl_backend *b = cpus[k % BACKENDS];
            x[k] = copy_of(gate, ELEMENTS), y[k] = constant(ELEMENTS, 0.0f);
            dg[k] = constant(ELEMENTS, 0.0f), du[k] = constant(ELEMENTS, 0.0f);
            sum[k] = copy_of(dy, ELEMENTS);
            for (size_t at = 0, n = k == BACKENDS ? 1 : ELEMENTS; at < ELEMENTS;
                 at += n, n = n % 83 + 1) {
                n = ELEMENTS - at < n ? ELEMENTS - at : n;
                b->activate(b, a, n, x[k] + at);
                b->gated(b, a, n, gate + at, up + at, y[k] + at);
                b->gated_backward(b, rule, a, n, gate + at, up + at, dy + at,
                                  dg[k] + at, du[k] + at);
                b->add(b, n, up + at, sum[k] + at);
            }
            assert_bits("activate", ELEMENTS, x[k], x[0]);
            assert_bits("gated", ELEMENTS, y[k], y[0]);
            assert_bits("dgate", ELEMENTS, dg[k], dg[0]);
            assert_bits("dup", ELEMENTS, du[k], du[0]);
            assert_bits("add", ELEMENTS, sum[k], sum[0]);
        }
        tl_arena_rewind(arena, mark);
    }
    float *want = copy_of(dy, ELEMENTS), *sum = copy_of(dy, ELEMENTS);
    ref->add(ref, ELEMENTS, up, want);
    cpus[0]->add(cpus[0], ELEMENTS, up, sum);
    assert_bits("add has one rounding", ELEMENTS, sum, want);
}

static void what_is_not_a_number_stays_visible(void **unused)
{
    (void)unused;
    enum { N = 33 };
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        float *x = constant(N, NAN), *one = constant(N, 1.0f), *y = constant(N, 0.0f),
              *dg = constant(N, 0.0f), *du = constant(N, 0.0f);
        cpus[0]->gated(cpus[0], a, N, x, one, y);
        cpus[0]->activate(cpus[0], a, N, x);
        for (int rule = 0; rule <= TL_BACKWARD_RELEVANCE; rule++) {
            cpus[0]->gated_backward(cpus[0], (tl_backward_rule)rule, a, N, x, one, one,
                                    dg, du);
            for (size_t i = 0; i < N; i++)
                assert_true(isnan(x[i]) && isnan(y[i]) && isnan(dg[i]) && isnan(du[i]));
        }
    }
}

static void the_exponential_is_exact_to_a_few_roundings(void **unused)
{
    (void)unused;
    for (float x = -87.3f; x <= 88.7f; x += 1.0f / 4096.0f) {
        const double want = exp((double)x);
        assert_one(EXP, "", 0, (double)tl_cpu_exp(x), want, want);
    }
    assert_true(tl_cpu_exp(0.0f) == 1.0f);
    assert_true(tl_cpu_exp(-87.4f) == 0.0f && tl_cpu_exp(-INFINITY) == 0.0f);
    assert_true(isinf(tl_cpu_exp(88.8f)) && isinf(tl_cpu_exp(INFINITY)));
    assert_true(isnan(tl_cpu_exp(NAN)));
}

/* ---- attention -------------------------------------------------------------------- */

enum { MAX_PROMPTS = 4, GAP = 2 };
static const float untouched = -7.25f;

/* Lengths of prompts: prefix, own keys, queries. */
static const struct problem {
    tl_attention shape; /* H, G, D, scale, softcap, window, causal */
    size_t n_prompts;
    size_t lengths[MAX_PROMPTS][3];
    bool blocks;
} problems[] = {
    {{1, 1, 2, 1.0f, 0, 0, true}, 1, {{0, 1, 1}}, false},
    {{6, 2, 8, 0.35f, 0, 0, true}, 3, {{0, 5, 5}, {3, 9, 9}, {0, 17, 17}}, false},
    {{4, 1, 16, 0.25f, 0, 0, true},
     4,
     {{0, 21, 1}, {12, 0, 1}, {3, 40, 7}, {0, 4, 0}},
     false},
    {{1, 1, 18, 0.3f, 0, 0, true}, 2, {{5, 300, 300}, {0, 65, 65}}, false},
    {{3, 3, 80, 0.11f, 0, 0, false}, 3, {{0, 33, 33}, {0, 6, 6}, {8, 9, 4}}, false},
    {{4, 2, 64, 0.125f, 0, 5, true}, 2, {{0, 30, 30}, {7, 20, 20}}, false},
    {{4, 4, 12, 0.3f, 3.0f, 6, false}, 2, {{0, 30, 30}, {9, 11, 5}}, false},
    {{4, 2, 32, 0.2f, 0, 8, true}, 3, {{0, 30, 30}, {0, 12, 12}, {19, 8, 8}}, true},
    {{8, 4, 18, 0.3f, 2.0f, 0, true}, 2, {{4, 11, 11}, {0, 70, 70}}, true},
    {{2, 1, 128, 0.09f, 30.0f, 0, true}, 1, {{0, 101, 101}}, false},
    {{8, 4, 16, 0.25f, 0, 0, true}, 1, {{0, 121, 121}}, false},
    {{8, 4, 16, 0.25f, 0, 40, true}, 2, {{37, 84, 84}, {0, 40, 1}}, false},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

/* A problem laid out: the prompts in some order, with rows of nobody before each. */
typedef struct layout {
    const struct problem *problem;
    size_t n_prompts, n_queries, n_keys;
    tl_attention_prompt prompts[MAX_PROMPTS];
    size_t slot_of[MAX_PROMPTS]; /* where prompt p is in `prompts` */
    float *q, *k, *v, *dz, *z, *lse, *dq, *dk, *dv;
    float *relevance; /* at v */
} layout;

static void fill(float *to, size_t n, uint32_t seed, float factor)
{
    uint32_t state = seed * 2654435761u + 1u;
    for (size_t i = 0; i < n; i++)
        to[i] = test_uniform(&state) * factor;
}

/* Two blocks, the first cut by the end of a prefix, the second at the end; with an even
 * number of positions, one block in two pieces. */
static int32_t *blocks_of(size_t n)
{
    int32_t *block = tl_arena_alloc(arena, n, sizeof *block);
    for (size_t j = 0; j < n; j++)
        block[j] = j >= 2 && j < n / 2      ? 7
                   : j + 4 > n && j + 1 < n ? (n % 2 == 0 ? 7 : 0)
                                            : -1;
    return block;
}

/* order    which prompts, in this order
 * joined   prefixes stand before the own rows, as if they were computed here */
static layout lay_out(const struct problem *p, size_t n_prompts, const size_t *order,
                      bool joined)
{
    const size_t q_width = p->shape.n_heads * p->shape.d_head,
                 kv = p->shape.n_kv_heads * p->shape.d_head;
    layout l = {.problem = p, .n_prompts = n_prompts};
    for (size_t s = 0; s < n_prompts; s++) {
        const size_t *n = p->lengths[order[s]];
        l.slot_of[order[s]] = s;
        l.prompts[s] = (tl_attention_prompt){
            .q_row = l.n_queries + GAP,
            .n_query = n[2],
            .k_row = l.n_keys + GAP,
            .n_key = joined ? n[0] + n[1] : n[1],
            .n_prefix = joined ? 0 : n[0],
            .block = p->blocks ? blocks_of(n[0] + n[1]) : NULL,
        };
        l.n_queries += GAP + n[2];
        l.n_keys += GAP + l.prompts[s].n_key;
    }
    l.q = constant(l.n_queries * q_width, NAN);
    l.dz = constant(l.n_queries * q_width, NAN);
    l.k = constant(l.n_keys * kv, NAN);
    l.v = constant(l.n_keys * kv, NAN);
    for (size_t s = 0; s < n_prompts; s++) {
        tl_attention_prompt *t = &l.prompts[s];
        const uint32_t seed = 10u * (uint32_t)order[s] + 1u;
        const size_t *n = p->lengths[order[s]];
        float *k = floats((n[0] + n[1]) * kv, seed),
              *v = floats((n[0] + n[1]) * kv, seed + 1);
        fill(l.q + t->q_row * q_width, n[2] * q_width, seed + 2, 6.0f); /* peaked */
        fill(l.dz + t->q_row * q_width, n[2] * q_width, seed + 3, 1.0f);
        if (t->n_prefix > 0)
            t->prefix_k = copy_of(k, n[0] * kv), t->prefix_v = copy_of(v, n[0] * kv);
        memcpy(l.k + t->k_row * kv, k + t->n_prefix * kv, t->n_key * kv * sizeof *k);
        memcpy(l.v + t->k_row * kv, v + t->n_prefix * kv, t->n_key * kv * sizeof *v);
    }
    return l;
}

static void assert_untouched(const char *what, size_t rows, size_t width,
                             const float *x)
{
    for (size_t i = 0; i < rows * width; i++)
        if (x[i] != untouched)
            fail_msg("%s: a row of no prompt was written", what);
}

static layout with_outputs(layout l)
{
    const tl_attention *shape = &l.problem->shape;
    const size_t q_width = shape->n_heads * shape->d_head,
                 kv = shape->n_kv_heads * shape->d_head;
    l.z = constant(l.n_queries * q_width, untouched);
    l.dq = constant(l.n_queries * q_width, untouched);
    l.lse = constant(l.n_queries * shape->n_heads, untouched);
    l.dk = constant(l.n_keys * kv, untouched);
    l.dv = constant(l.n_keys * kv, untouched);
    l.relevance = constant(l.n_keys * kv, untouched);
    return l;
}

static void attend_in(tl_backend *b, layout l)
{
    const tl_attention *shape = &l.problem->shape;
    const size_t q_width = shape->n_heads * shape->d_head,
                 kv = shape->n_kv_heads * shape->d_head;
    must(b->attention(b, shape, l.n_prompts, l.prompts, l.q, l.k, l.v, l.z, l.lse,
                      NULL));
    must(b->attention_backward(b, TL_BACKWARD_GRADIENT, shape, l.n_prompts, l.prompts,
                               l.q, l.k, l.v, l.z, l.lse, l.dz, l.dq, l.dk, l.dv,
                               NULL));
    /* At v the gradient is that of a constant pattern. */
    must(b->attention_backward(b, TL_BACKWARD_RELEVANCE, shape, l.n_prompts, l.prompts,
                               l.q, l.k, l.v, l.z, l.lse, l.dz, NULL, NULL, l.relevance,
                               NULL));
    assert_bits("relevance at v", l.n_keys * kv, l.relevance, l.dv);
    for (size_t s = 0; s < l.n_prompts; s++) {
        const size_t q = l.prompts[s].q_row - GAP, k = l.prompts[s].k_row - GAP;
        assert_untouched("z", GAP, q_width, l.z + q * q_width);
        assert_untouched("dq", GAP, q_width, l.dq + q * q_width);
        assert_untouched("lse", GAP, shape->n_heads, l.lse + q * shape->n_heads);
        assert_untouched("dk", GAP, kv, l.dk + k * kv);
        assert_untouched("dv", GAP, kv, l.dv + k * kv);
    }
}

static layout attend(tl_backend *b, layout l)
{
    l = with_outputs(l);
    attend_in(b, l);
    return l;
}

static const size_t in_order[] = {0, 1, 2, 3};

static void attention_agrees_with_the_definition(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        const size_t H = p->shape.n_heads, D = p->shape.d_head,
                     kv = p->shape.n_kv_heads * D;
        const layout l = lay_out(p, p->n_prompts, in_order, false);
        const layout got = attend(cpus[0], l), want = attend(ref, l);
        char what[32];
        snprintf(what, sizeof what, "of problem %zu", i);
        assert_near(ATTENTION, what, l.n_queries * H, D, got.z, want.z);
        assert_near(ATTENTION, what, 1, l.n_queries * H, got.lse, want.lse);
        assert_near(ATTENTION_BACKWARD, what, 1, l.n_queries * H * D, got.dq, want.dq);
        assert_near(ATTENTION_BACKWARD, what, 1, l.n_keys * kv, got.dk, want.dk);
        assert_near(ATTENTION_BACKWARD, what, 1, l.n_keys * kv, got.dv, want.dv);
        tl_arena_rewind(arena, start);
    }
}

/* Everything that prompt p gives; of its keys only those that are its own in both. */
static void assert_same_prompt(const char *what, size_t p, const layout *a,
                               const layout *b)
{
    const tl_attention_prompt *s = &a->prompts[a->slot_of[p]],
                              *t = &b->prompts[b->slot_of[p]];
    const tl_attention *shape = &a->problem->shape;
    const size_t H = shape->n_heads, width = H * shape->d_head,
                 kv = shape->n_kv_heads * shape->d_head,
                 own = s->n_key < t->n_key ? s->n_key : t->n_key;
    const size_t i = s->k_row + s->n_key - own, j = t->k_row + t->n_key - own;
    char text[96];
    snprintf(text, sizeof text, "%s, prompt %zu of problem %zu", what, p,
             (size_t)(a->problem - problems));
    assert_bits(text, s->n_query * width, a->z + s->q_row * width,
                b->z + t->q_row * width);
    assert_bits(text, s->n_query * H, a->lse + s->q_row * H, b->lse + t->q_row * H);
    assert_bits(text, s->n_query * width, a->dq + s->q_row * width,
                b->dq + t->q_row * width);
    assert_bits(text, own * kv, a->dk + i * kv, b->dk + j * kv);
    assert_bits(text, own * kv, a->dv + i * kv, b->dv + j * kv);
}

static void a_prompt_attends_to_the_same_bits_in_any_company(void **unused)
{
    (void)unused;
    static const size_t orders[][MAX_PROMPTS] = {
        {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    for (size_t i = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        const layout all = attend(cpus[0], lay_out(p, p->n_prompts, in_order, false));
        for (size_t k = 0; k < BACKENDS; k++) { /* the first for the second time */
            const layout again =
                attend(cpus[k], lay_out(p, p->n_prompts, in_order, false));
            for (size_t m = 0; m < p->n_prompts; m++)
                assert_same_prompt("other threads", m, &again, &all);
        }
        for (size_t k = 0; k < sizeof orders / sizeof orders[0]; k++) {
            size_t order[MAX_PROMPTS], n = 0;
            for (size_t s = 0; s < MAX_PROMPTS; s++)
                if (orders[k][s] < p->n_prompts)
                    order[n++] = orders[k][s];
            const layout shuffled = attend(cpus[k], lay_out(p, n, order, false));
            for (size_t m = 0; m < p->n_prompts; m++)
                assert_same_prompt("shuffled", m, &shuffled, &all);
        }
        for (size_t m = 0; m < p->n_prompts; m++) {
            const layout one =
                attend(cpus[m % BACKENDS], lay_out(p, 1, &in_order[m], false));
            assert_same_prompt("alone", m, &one, &all);
        }
        tl_arena_rewind(arena, start);
    }
}

/* With more threads than heads, the heads are cut. */
static void attention_is_the_same_bits_however_many_threads_share_it(void **unused)
{
    (void)unused;
    static const size_t n_threads[] = {2, 3, 7, 16};
    for (size_t t = 0; t < sizeof n_threads / sizeof *n_threads; t++) {
        tl_backend *b = NULL;
        must(tl_backend_create("cpu", n_threads[t], 0, &b, NULL));
        for (size_t i = 0; i < PROBLEMS; i++) {
            const struct problem *p = &problems[i];
            const layout l = lay_out(p, p->n_prompts, in_order, false);
            const layout one = attend(cpus[1], l), many = attend(b, l);
            char what[32];
            snprintf(what, sizeof what, "%zu threads", n_threads[t]);
            for (size_t m = 0; m < p->n_prompts; m++)
                assert_same_prompt(what, m, &many, &one);
            tl_arena_rewind(arena, start);
        }
        tl_backend_destroy(b);
    }
}

static void one_prompt_of_a_model_with_4_key_heads_is_work_for_16_threads(void **unused)
{
    (void)unused;
    const tl_attention shape = {.n_heads = 28, .n_kv_heads = 4, .d_head = 128};
    const tl_attention_prompt prompt = {.n_query = 121, .n_key = 121};
    for (int backward = 0; backward < 2; backward++) {
        assert_true(tl_cpu_attention_units(16, &shape, 1, &prompt, backward) >= 16);
        assert_true(tl_cpu_attention_units(5, &shape, 1, &prompt, backward) >= 16);
        /* Heads are cut for nothing else: it costs work on the way back. */
        assert_int_equal(tl_cpu_attention_units(4, &shape, 1, &prompt, backward), 4);
    }
}

static void a_planned_attention_allocates_nothing(void **unused)
{
    (void)unused;
    for (size_t n_threads = 1; n_threads <= 8; n_threads *= 2)
        for (size_t i = 0; i < PROBLEMS; i++) {
            const struct problem *p = &problems[i];
            const layout l = with_outputs(lay_out(p, p->n_prompts, in_order, false));
            tl_backend *b = NULL;
            must(tl_backend_create("cpu", n_threads, 0, &b, NULL));
            size_t most = 0;
            for (int backward = 0; backward < 2; backward++) {
                const size_t bytes =
                    b->attention_bytes(b, &p->shape, l.n_prompts, l.prompts, backward);
                most = bytes > most ? bytes : most;
            }
            must(b->reserve_attention(b, most, NULL));
            tl_alloc_fail_at(0);
            attend_in(b, l);
            assert_false(tl_alloc_fault_hit());
            tl_alloc_fail_at(-1);
            tl_backend_destroy(b);
            tl_arena_rewind(arena, start);
        }
}

static void attention_takes_what_its_plan_says(void **unused)
{
    (void)unused;
    for (size_t n_threads = 1; n_threads <= 8; n_threads *= 2)
        for (size_t i = 0; i < PROBLEMS; i++) {
            const tl_attention *shape = &problems[i].shape;
            const layout l = attend(
                ref, lay_out(&problems[i], problems[i].n_prompts, in_order, false));
            for (int backward = 0; backward < 2; backward++) {
                tl_backend *b = NULL;
                must(tl_backend_create("cpu", n_threads, 0, &b, NULL));
                const size_t before = tl_alloc_bytes();
                must(backward ? b->attention_backward(b, TL_BACKWARD_GRADIENT, shape,
                                                      l.n_prompts, l.prompts, l.q, l.k,
                                                      l.v, l.z, l.lse, l.dz, l.dq, l.dk,
                                                      l.dv, NULL)
                              : b->attention(b, shape, l.n_prompts, l.prompts, l.q, l.k,
                                             l.v, l.z, l.lse, NULL));
                assert_int_equal(
                    tl_alloc_bytes() - before,
                    b->attention_bytes(b, shape, l.n_prompts, l.prompts, backward));
                tl_backend_destroy(b);
            }
            tl_arena_rewind(arena, start);
        }
}

static void attention_without_memory_for_its_scratch_says_so(void **unused)
{
    (void)unused;
    tl_backend *b = NULL;
    tl_error err = {0};
    must(tl_backend_create("cpu", 2, 0, &b, NULL));
    assert_int_equal(b->reserve_attention(b, SIZE_MAX / 4, &err), TL_ERR_NO_MEMORY);
    assert_non_null(strstr(err.text, "attention"));
    const layout l = lay_out(&problems[1], 3, in_order, false);
    attend(b, l); /* and goes on with what there is */
    tl_backend_destroy(b);
}

/* Values that a query does not see may be infinite: not even 0 times them is added. */
static void what_a_query_does_not_see_is_not_looked_at(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        const size_t H = p->shape.n_heads, D = p->shape.d_head,
                     kv = p->shape.n_kv_heads * D;
        const layout l = lay_out(p, p->n_prompts, in_order, true),
                     all = attend(cpus[0], l);
        for (size_t s = 0; s < l.n_prompts; s++)
            for (size_t j = 0; j < l.prompts[s].n_key; j += 1 + j / 2) {
                const tl_attention_prompt *t = &l.prompts[s];
                layout other = with_outputs(l);
                other.v = copy_of(l.v, l.n_keys * kv);
                for (size_t d = 0; d < kv; d++)
                    other.v[(t->k_row + j) * kv + d] = INFINITY;
                tl_backend *b = cpus[j % BACKENDS];
                must(b->attention(b, &p->shape, l.n_prompts, l.prompts, l.q, l.k,
                                  other.v, other.z, other.lse, NULL));
                must(b->attention_backward(b, TL_BACKWARD_GRADIENT, &p->shape,
                                           l.n_prompts, l.prompts, l.q, l.k, other.v,
                                           all.z, all.lse, l.dz, other.dq, other.dk,
                                           other.dv, NULL));
                bool seen = false;
                for (size_t a = 0; a < t->n_query; a++) {
                    const size_t at = (t->q_row + a) * H * D;
                    if (tl_attention_sees(&p->shape, t, t->n_key - t->n_query + a, j)) {
                        assert_true(!isfinite(other.z[at]));
                        seen = true;
                        continue;
                    }
                    assert_bits("z beside infinity", H * D, other.z + at, all.z + at);
                    assert_bits("dq beside infinity", H * D, other.dq + at,
                                all.dq + at);
                }
                const size_t own = (t->k_row + j) * kv;
                if (!seen)
                    assert_bits("dk of infinity", kv, other.dk + own, all.dk + own);
            }
        tl_arena_rewind(arena, start);
    }
}

static void a_prefix_gives_the_bits_of_the_rows_it_stands_for(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        const layout apart = attend(cpus[0], lay_out(p, p->n_prompts, in_order, false)),
                     joined = attend(cpus[0], lay_out(p, p->n_prompts, in_order, true));
        for (size_t m = 0; m < p->n_prompts; m++)
            assert_same_prompt("joined", m, &apart, &joined);
        tl_arena_rewind(arena, start);
    }
}

/* ---- memory, readings and edits, the head ----------------------------------------- */

/* On every backend these move or round what they are given once: the bits of src/op. */
static tl_backend *any_backend(size_t k)
{
    return k < BACKENDS ? cpus[k] : ref;
}

/* More than a thread takes at a time, and not a multiple of it. */
enum { MANY = 140001 };

static void memory_goes_there_and_back(void **unused)
{
    (void)unused;
    const float *x = floats(MANY, 1);
    for (size_t k = 0; k <= BACKENDS; k++) {
        tl_backend *b = any_backend(k);
        void *there = NULL, *other = NULL;
        float *back = floats(MANY, 2);
        must(b->allocate(b, MANY * sizeof *x, &there, NULL));
        must(b->allocate(b, (MANY + 1) * sizeof *x, &other, NULL));
        assert_true((uintptr_t)there % TL_ALIGN == 0);
        must(b->upload(b, MANY * sizeof *x, x, there, NULL));
        b->fill(b, MANY + 1, -2.5f, other);
        b->copy(b, MANY, there, other);
        must(b->download(b, MANY * sizeof *x, other, back, NULL));
        assert_bits("there and back", MANY, back, x);
        must(b->download(b, sizeof *x, (float *)other + MANY, back, NULL));
        assert_true(back[0] == -2.5f); /* filled, and not copied over */
        b->release(b, there);
        b->release(b, other);
        b->release(b, NULL);
    }
}

static void more_memory_than_there_is_is_told(void **unused)
{
    (void)unused;
    for (size_t k = 0; k <= BACKENDS; k++) {
        tl_error err = {0};
        void *memory = &err;
        assert_int_equal(
            any_backend(k)->allocate(any_backend(k), SIZE_MAX / 4, &memory, &err),
            TL_ERR_NO_MEMORY);
        assert_true(memory == &err && err.text[0] != '\0');
    }
}

static void rows_are_copied_by_their_lists(void **unused)
{
    (void)unused;
    enum { ROWS = 700, WIDTH = 497, SOME = 300 };
    uint32_t from[SOME], to[SOME];
    for (uint32_t i = 0; i < SOME; i++) {
        from[i] = i * 31 % ROWS;
        to[i] = (ROWS - 1) - 2 * i;
    }
    const float *x = floats(ROWS * WIDTH, 1), *before = floats(ROWS * WIDTH, 2);
    for (size_t k = 0; k <= BACKENDS; k++)
        for (int lists = 0; lists < 4; lists++) {
            tl_backend *b = any_backend(k);
            float *y = copy_of(before, ROWS * WIDTH),
                  *want = copy_of(before, ROWS * WIDTH);
            b->copy_rows(b, SOME, WIDTH, lists & 1 ? from : NULL, x,
                         lists & 2 ? to : NULL, y);
            for (size_t i = 0; i < SOME; i++)
                memcpy(want + (lists & 2 ? to[i] : i) * WIDTH,
                       x + (lists & 1 ? from[i] : i) * WIDTH, WIDTH * sizeof *want);
            assert_bits("rows by lists", ROWS * WIDTH, y, want);
        }
}

static void readings_and_edits_are_those_of_the_definition(void **unused)
{
    (void)unused;
    enum { ROWS = 153, COMPONENTS = 331, WIDTH = 4, PLACES = ROWS * COMPONENTS };
    const float *from = floats(PLACES * WIDTH, 1), *x = floats(PLACES * WIDTH, 2);
    uint32_t *rank = tl_arena_alloc(arena, PLACES, sizeof *rank);
    const uint32_t *all_zero = tl_arena_alloc_zero(arena, PLACES * WIDTH, sizeof *rank);
    uint8_t *in = tl_arena_alloc(arena, PLACES, 1);
    assert_true(rank != NULL && in != NULL && all_zero != NULL);
    for (uint32_t i = 0; i < PLACES; i++) {
        rank[i] = i * 7919u % PLACES;
        in[i] = i % 3 == 1;
    }
    for (size_t k = 0; k <= BACKENDS; k++) {
        tl_backend *b = any_backend(k);
        for (int rule = TL_EDIT_OVERWRITE; rule <= TL_EDIT_COMPONENT; rule++)
            for (size_t width = 1; width <= WIDTH; width += WIDTH - 1) {
                const tl_edit_rows e = {
                    (tl_edit_rule)rule, ROWS, COMPONENTS,    width, from, rank,
                    PLACES / 3,         in,   COMPONENTS - 1};
                float *y = copy_of(x, PLACES * WIDTH),
                      *want = copy_of(x, PLACES * WIDTH);
                b->edit(b, &e, y);
                tl_edit_apply(&e, want);
                assert_bits("an edit", PLACES * WIDTH, y, want);
            }
        for (size_t cut = 0; cut <= PLACES; cut += PLACES) {
            const tl_edit_rows e = {.rule = TL_EDIT_OUTSIDE_CUT,
                                    .n_rows = ROWS,
                                    .n_components = COMPONENTS * WIDTH,
                                    .per_component = 1,
                                    .from = from,
                                    .rank = cut > 0 ? all_zero : NULL,
                                    .cut = cut};
            float *y = copy_of(x, PLACES * WIDTH);
            b->edit(b, &e, y);
            assert_bits("an edit of all or nothing", PLACES * WIDTH, y,
                        cut > 0 ? x : from);
        }
        for (int rule = TL_READ_COPY; rule <= TL_READ_SUBTRACT; rule++) {
            float *y = copy_of(x, MANY), *want = copy_of(x, MANY);
            b->read(b, (tl_read_rule)rule, MANY - 1, from, y);
            tl_read_apply((tl_read_rule)rule, MANY - 1, from, want);
            assert_bits("a reading", MANY, y, want);
        }
    }
}

static void logits_are_those_of_the_definition(void **unused)
{
    (void)unused;
    static const uint32_t rows[] = {4, 0};
    static const int32_t ids[] = {99, 0, 50}, a[] = {3, 77}, b_ids[] = {42, 3};
    enum { ROWS = 2, IDS = 3, STREAM = 5, HEAD = 6 }; /* [100,77], with a bias */
    const tl_linear *head = &layers[HEAD];
    const size_t d_model = head->weight.dims[1];
    const float *x = floats(STREAM * d_model, 1);
    for (size_t k = 0; k <= BACKENDS; k++)
        for (int capped = 0; capped < 2; capped++) {
            tl_backend *b = any_backend(k);
            const float cap = capped ? 3.0f : 0.0f;
            double got[ROWS * IDS], want[ROWS * IDS];
            must(b->logits_of(b, head, ROWS, rows, x, IDS, ids, cap, got, NULL));
            tl_logits_of(&head->weight, ROWS, rows, x, IDS, ids, cap, want);
            assert_memory_equal(got, want, sizeof want);
            float *dx = copy_of(x, STREAM * d_model),
                  *want_dx = copy_of(x, STREAM * d_model);
            for (int r = 0; r <= TL_BACKWARD_RELEVANCE; r++) {
                const tl_backward_rule rule = (tl_backward_rule)r;
                must(b->logit_diff_gradient(b, rule, head, ROWS, rows, a, b_ids, cap,
                                            capped ? want : NULL, dx, NULL));
                tl_logit_diff_gradient(rule, &head->weight, ROWS, rows, a, b_ids, cap,
                                       capped ? want : NULL, want_dx);
                assert_bits("the head's gradient", STREAM * d_model, dx, want_dx);
            }
            for (int m = TL_METRIC_LOGIT; m <= TL_METRIC_CROSS_ENTROPY; m++) {
                double room[128];
                assert_true(head->weight.dims[0] <= 128);
                must(b->metric_gradient(b, (tl_metric)m, TL_BACKWARD_GRADIENT, head,
                                        ROWS, rows, a, cap, x, dx, NULL));
                tl_metric_gradient((tl_metric)m, TL_BACKWARD_GRADIENT, &head->weight,
                                   ROWS, rows, a, cap, x, room, want_dx);
                assert_bits("a metric's gradient", STREAM * d_model, dx, want_dx);
            }
        }
}

static void a_token_outside_the_vocabulary_is_refused(void **unused)
{
    (void)unused;
    static const int32_t bad[] = {100, -1, INT32_MAX, INT32_MIN};
    const tl_linear *head = &layers[6]; /* [100,77] */
    const uint32_t row = 0;
    const int32_t good = 7;
    const float *x = floats(77, 1);
    float *dx = floats(77, 2);
    for (size_t k = 0; k <= BACKENDS; k++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            tl_backend *b = any_backend(k);
            tl_error err = {0};
            char id[16];
            double logit = 5.0;
            snprintf(id, sizeof id, "%d", (int)bad[i]);
            assert_int_equal(
                b->logits_of(b, head, 1, &row, x, 1, &bad[i], 0.0f, &logit, &err),
                TL_ERR_ARGUMENT);
            assert_non_null(strstr(err.text, id));
            assert_non_null(strstr(err.text, "100"));
            assert_true(logit == 5.0);
            assert_int_equal(b->logit_diff_gradient(b, TL_BACKWARD_GRADIENT, head, 1,
                                                    &row, &good, &bad[i], 0.0f, NULL,
                                                    dx, &err),
                             TL_ERR_ARGUMENT);
            assert_int_equal(b->logit_diff_gradient(b, TL_BACKWARD_GRADIENT, head, 1,
                                                    &row, &bad[i], &good, 0.0f, NULL,
                                                    dx, &err),
                             TL_ERR_ARGUMENT);
            assert_bits("dx", 77, dx, floats(77, 2));
        }
}

static void a_cap_is_that_of_the_definition(void **unused)
{
    (void)unused;
    for (size_t k = 0; k <= BACKENDS; k++) {
        float *x = floats(MANY, 1), *want = floats(MANY, 1);
        for (size_t i = 0; i < MANY; i++)
            want[i] = (float)(0.25 * tanh((double)want[i] / 0.25));
        any_backend(k)->softcap(any_backend(k), MANY, 0.25f, x);
        assert_bits("softcap", MANY, x, want);
    }
}

/* ---- senseless sizes, no memory, names --------------------------------------------- */

static void no_rows_are_no_work(void **unused)
{
    (void)unused;
    float x = 3.5f;
    const tl_attention shape = problems[1].shape;
    for (size_t k = 0; k < BACKENDS; k++) {
        tl_backend *b = cpus[k];
        must(b->linear(b, &layers[0], 0, &x, &x, false, NULL));
        must(b->linear_backward(b, &layers[0], 0, &x, &x, true, NULL));
        b->rmsnorm(b, 0, 8, 1e-6f, &x, &x, &x, &x);
        b->rmsnorm_backward(b, TL_BACKWARD_GRADIENT, 0, 8, &x, &x, &x, &x, &x);
        b->layernorm(b, 0, 8, 1e-6f, &x, &x, &x, &x);
        b->rotary(b, 0, 2, 8, &x, &x, false, &x);
        b->activate(b, TL_SILU, 0, &x);
        b->gated(b, TL_SILU, 0, &x, &x, &x);
        b->gated_backward(b, TL_BACKWARD_GRADIENT, TL_SILU, 0, &x, &x, &x, &x, &x);
        b->add(b, 0, &x, &x);
        must(b->attention(b, &shape, 0, NULL, &x, &x, &x, &x, &x, NULL));
        must(b->attention_backward(b, TL_BACKWARD_GRADIENT, &shape, 0, NULL, &x, &x, &x,
                                   &x, &x, &x, &x, &x, &x, NULL));
        assert_true(x == 3.5f);
    }
}

/* Each request for memory fails once: what fails says so and works the next time. */
static void failing_memory_is_told_and_survived(void **unused)
{
    (void)unused;
    enum { ROWS = 3 };
    const tl_linear *layer = &layers[8];
    const size_t n_out = layer->weight.dims[0], n_in = layer->weight.dims[1];
    const float *x = floats(ROWS * n_in, 1);
    float *want = floats(ROWS * n_out, 2), *y = floats(ROWS * n_out, 3);
    product(cpus[0], layer, false, ROWS, x, want, false);
    const layout l = attend(cpus[0], lay_out(&problems[1], 3, in_order, false));
    const size_t live = tl_alloc_live();
    bool hit = true;
    for (long long n = 0; hit; n++) {
        tl_backend *b = NULL;
        tl_error err = {0};
        tl_alloc_fail_at(n);
        tl_status status = tl_backend_create("cpu", 2, 1 << 30, &b, &err);
        if (status == TL_OK)
            status = b->linear(b, layer, ROWS, x, y, false, &err);
        if (status == TL_OK) {
            assert_bits("with less memory", ROWS * n_out, y, want);
            status = b->attention(b, &l.problem->shape, 3, l.prompts, l.q, l.k, l.v,
                                  l.z, l.lse, &err);
        }
        if (status == TL_OK)
            status = b->attention_backward(b, TL_BACKWARD_GRADIENT, &l.problem->shape,
                                           3, l.prompts, l.q, l.k, l.v, l.z, l.lse,
                                           l.dz, l.dq, l.dk, l.dv, &err);
        hit = tl_alloc_fault_hit() != 0;
        tl_alloc_fail_at(-1);
        if (status != TL_OK) {
            assert_int_equal(status, TL_ERR_NO_MEMORY);
            assert_true(err.text[0] != '\0');
            assert_true(hit);
        }
        if (b != NULL) {
            product(b, layer, false, ROWS, x, y, false);
            assert_bits("after a lack of memory", ROWS * n_out, y, want);
        }
        tl_backend_destroy(b);
        assert_int_equal(tl_alloc_live(), live);
    }
}

/* Blocks of memory that a product forward, one back and a larger one leave behind; the
 * larger one's panels are always made anew, in memory that stays. */
static size_t blocks_kept(size_t cache_bytes)
{
    static const size_t small = 3, large = 8; /* in `shapes` */
    tl_backend *b = NULL;
    must(tl_backend_create("cpu", 2, cache_bytes, &b, NULL));
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    const float *x = floats(shapes[large].n_out, 1);
    float *y = floats(shapes[large].n_out, 2);
    for (int twice = 0; twice < 2; twice++) {
        product(b, &layers[large], false, 1, x, y, false);
        product(b, &layers[small], false, 1, x, y, false);
        product(b, &layers[small], true, 1, x, y, false);
    }
    const size_t n = tl_alloc_live();
    tl_arena_rewind(arena, mark);
    tl_backend_destroy(b);
    return n;
}

static void the_cache_keeps_to_its_bytes(void **unused)
{
    (void)unused;
    const size_t bytes = shapes[3].n_out * shapes[3].n_in * sizeof(float);
    const size_t none = blocks_kept(0);
    assert_int_equal(blocks_kept(bytes - 1), none);
    assert_int_equal(blocks_kept(bytes), none + 1);
    assert_int_equal(blocks_kept(2 * bytes - 1), none + 1);
    assert_int_equal(blocks_kept(2 * bytes), none + 2);
}

/* All four kinds of products, some rows and many, in layers up to the widest. */
static size_t bytes_of_products(size_t n_threads, size_t side, bool bf16)
{
    enum { ROWS = 25, ROWS_OF_BF16 = 400 };
    const size_t most = bf16 ? ROWS_OF_BF16 : ROWS;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    unsigned char *data = tl_arena_alloc(arena, side * side, 2);
    memset(data, 0, side * side * 2);
    const float *x = floats(most * side, 1);
    float *y = floats(most * side, 2);
    const size_t before = tl_alloc_bytes();
    tl_alloc_reset_peak();
    tl_backend *b = NULL;
    must(tl_backend_create("cpu", n_threads, 0, &b, NULL));
    for (size_t n_out = side; n_out > 0; n_out /= 3)
        for (size_t n_in = side; n_in > 0; n_in /= 5) {
            const tl_linear layer = {.weight = {.dtype = TL_BF16,
                                                .n_dims = 2,
                                                .dims = {n_out, n_in},
                                                .data = data},
                                     .bf16 = bf16},
                            f32 = {.weight = layer.weight}; /* a tower's */
            uint32_t first[2] = {0, (uint32_t)(n_out > 1)};
            product(b, &layer, false, most, x, y, false);
            product(b, &f32, false, ROWS, x, y, false);
            product(b, &f32, true, ROWS, x, y, false);
            product(b, &layer, true, most, x, y, false);
            must(b->linear_rows(b, &layer, n_out > 1 ? 2 : 1, first, ROWS, x, y, false,
                                NULL));
            first[1] = n_in > 1;
            must(b->linear_columns(b, &layer, n_in > 1 ? 2 : 1, first, ROWS, x, y,
                                   false, NULL));
        }
    const size_t peak = tl_alloc_peak_bytes();
    tl_backend_destroy(b);
    tl_arena_rewind(arena, mark);
    return peak - before;
}

static void products_take_what_their_plan_says(void **unused)
{
    (void)unused;
    static const size_t sides[] = {8, 513, 1500};
    for (size_t n_threads = 1; n_threads <= 4; n_threads *= 2)
        for (size_t i = 0; i < 2 * (sizeof sides / sizeof *sides); i++) {
            const bool bf16 = i % 2 == 1;
            const size_t side = sides[i / 2],
                         plan = tl_backend_scratch_bytes("cpu", n_threads, side, side,
                                                         bf16),
                         took = bytes_of_products(n_threads, side, bf16);
            /* A plan holds what the library takes itself, which is not counted here. */
            const size_t library = n_threads * (64 << 10) + (64 << 10);
            if (took > plan || 2 * took < plan - library)
                fail_msg("%zu threads, %zu a side: %zu bytes are planned, %zu taken",
                         n_threads, side, plan, took);
        }
}

static void backends_are_made_by_name(void **unused)
{
    (void)unused;
    tl_backend *b = NULL;
    tl_error err = {0};
    assert_int_equal(tl_backend_create("gpu", 0, 0, &b, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "gpu"));
    assert_null(b);
    must(tl_backend_create(tl_backend_default(), 0, 0, &b, &err));
    assert_string_equal(b->name, tl_backend_default());
    tl_backend_destroy(b);
    tl_backend_destroy(NULL);
    assert_int_equal(tl_backend_scratch_bytes("ref", 1, 64, 64, true), 0);
}

/* ---- running ------------------------------------------------------------------------ */

static int open_all(void **unused)
{
    (void)unused;
    weights_arena = tl_arena_create();
    arena = tl_arena_create();
    tl_error err = {0};
    tl_status status = tl_backend_create("ref", 0, 0, &ref, &err);
    for (size_t k = 0; k < BACKENDS && status == TL_OK; k++)
        status = tl_backend_create("cpu", variants[k].n_threads,
                                   variants[k].cache_bytes, &cpus[k], &err);
    if (status != TL_OK) {
        print_message("%s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < SHAPES; i++)
        layers[i] = make_layer(&shapes[i], 77);
    return 0;
}

static int close_all(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < OPS; i++)
        print_message("%-20s %.1e of %.1e\n", tolerances[i].name, tolerances[i].worst,
                      tolerances[i].limit);
    for (size_t k = 0; k < BACKENDS; k++)
        tl_backend_destroy(cpus[k]);
    tl_backend_destroy(ref);
    tl_arena_destroy(arena);
    tl_arena_destroy(weights_arena);
    return 0;
}

static bool is_built(void)
{
    tl_backend *b = NULL;
    const tl_status status = tl_backend_create("cpu", 1, 0, &b, NULL);
    tl_backend_destroy(b);
    return status != TL_ERR_UNSUPPORTED;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(products_agree_with_the_definition),
        TEST(the_first_rows_of_a_weight_are_a_weight_of_their_own),
        TEST(a_row_of_a_product_is_the_same_bits_everywhere),
        TEST(parts_of_layers_agree_and_rows_are_alone),
        TEST(products_are_counted),
        TEST(what_fills_up_a_part_is_no_number_of_an_earlier_one),
        TEST(rms_norms_agree_and_rows_are_alone),
        TEST(layer_norms_agree_and_rows_are_alone),
        TEST(rotations_agree_and_rows_are_alone),
        TEST(activations_agree_element_by_element),
        TEST(an_element_is_the_same_bits_everywhere),
        TEST(what_is_not_a_number_stays_visible),
        TEST(attention_agrees_with_the_definition),
        TEST(a_prompt_attends_to_the_same_bits_in_any_company),
        TEST(attention_is_the_same_bits_however_many_threads_share_it),
        TEST(one_prompt_of_a_model_with_4_key_heads_is_work_for_16_threads),
        TEST(a_planned_attention_allocates_nothing),
        TEST(attention_takes_what_its_plan_says),
        TEST(what_a_query_does_not_see_is_not_looked_at),
        TEST(attention_without_memory_for_its_scratch_says_so),
        TEST(a_prefix_gives_the_bits_of_the_rows_it_stands_for),
        TEST(memory_goes_there_and_back),
        TEST(more_memory_than_there_is_is_told),
        TEST(rows_are_copied_by_their_lists),
        TEST(readings_and_edits_are_those_of_the_definition),
        TEST(logits_are_those_of_the_definition),
        TEST(a_token_outside_the_vocabulary_is_refused),
        TEST(a_cap_is_that_of_the_definition),
        TEST(no_rows_are_no_work),
        TEST(failing_memory_is_told_and_survived),
        TEST(the_cache_keeps_to_its_bytes),
        TEST(products_take_what_their_plan_says),
    };
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(backends_are_made_by_name),
        cmocka_unit_test(the_exponential_is_exact_to_a_few_roundings),
    };
    const int failed = cmocka_run_group_tests(everywhere, NULL, NULL);
    if (!is_built()) {
        printf("skipped: built without oneDNN\n");
        return failed;
    }
    return failed + cmocka_run_group_tests(tests, open_all, close_all);
}
