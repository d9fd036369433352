/* SPDX-License-Identifier: MIT
 *
 * test_backend.c - the cpu backend: every entry of the table against `ref`, and the
 * promise that a row's bits depend on that row alone.
 *
 * A tolerance belongs to an op: it bounds |cpu - ref| by that much of the largest
 * value of the output (for activations, of 1 + |x|). Measured when set, the worst over
 * all problems below: linear 9e-7, its backward 2.3e-6 (sums of 5000 terms), norms
 * 1.2e-7, rotary 9e-8, attention 5.4e-7, its backward 6.2e-7, activations 1.6e-7.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "twinlens/alloc.h"

static const double LINEAR = 5e-6, NORM = 5e-7, ROTARY = 4e-7, ATTENTION = 2e-6,
                    ATTENTION_BACK = 2e-6, ACTIVATION = 5e-7;

enum { BIG = 1 << 30 };

static tl_backend *ref, *cpu, *cpu_one, *cpu_uncached;

static int open_backends(void **unused)
{
    (void)unused;
    tl_error err = {0};
    if (tl_backend_create("ref", 0, 0, &ref, &err) != TL_OK)
        return 1;
    const tl_status status = tl_backend_create("cpu", 2, BIG, &cpu, &err);
    if (status == TL_ERR_UNSUPPORTED) {
        printf("skipped: %s\n", err.text);
        exit(0);
    }
    return status != TL_OK ||
           tl_backend_create("cpu", 1, BIG, &cpu_one, &err) != TL_OK ||
           tl_backend_create("cpu", 3, 0, &cpu_uncached, &err) != TL_OK;
}

static float *floats(size_t n, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1u;
    float *x = tl_alloc(n + 1, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = test_uniform(&state);
    return x;
}

static float *copy_of(const float *x, size_t n)
{
    float *y = tl_alloc(n + 1, sizeof *y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static void assert_near(const char *what, const float *got, const float *want, size_t n,
                        double limit)
{
    double scale = 0.0;
    for (size_t i = 0; i < n; i++)
        scale = fmax(scale, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= limit * scale))
            fail_msg(
                "%s at %zu of %zu: cpu %.9g, ref %.9g, more than %.2g of %.3g apart",
                what, i, n, (double)got[i], (double)want[i], limit, scale);
}

static void assert_bits(const char *what, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            fail_msg("%s at %zu of %zu: %.9g and %.9g are not the same bits", what, i,
                     n, (double)a[i], (double)b[i]);
}

/* ---- products --------------------------------------------------------------------- */

typedef struct weights {
    tl_linear layer;
    void *memory;
    float *bias;
} weights;

/* Random weights of a dtype; `offset` bytes into their memory, as in a mapped file. */
static weights make_weights(size_t n_out, size_t n_in, tl_dtype dtype, size_t offset,
                            bool bias)
{
    weights w = {.memory = tl_alloc(n_out * n_in * 4 + 64, 1),
                 .bias = bias ? floats(n_out, 5) : NULL};
    unsigned char *at = (unsigned char *)w.memory + offset;
    uint32_t state = 77;
    for (size_t i = 0; i < n_out * n_in; i++) {
        const float value = test_uniform(&state);
        const uint16_t half = dtype == TL_BF16
                                  ? tl_f32_to_bf16(value)
                                  : (uint16_t)(0x3000 + i * 37 % 2048 + (i % 2 << 15));
        if (dtype == TL_F32)
            memcpy(at + 4 * i, &value, 4);
        else
            memcpy(at + 2 * i, &half, 2);
    }
    w.layer = (tl_linear){
        {.dtype = dtype, .n_dims = 2, .dims = {n_out, n_in}, .data = at}, w.bias};
    return w;
}

static void free_weights(weights *w)
{
    tl_free(w->memory);
    tl_free(w->bias);
}

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
    {1030, 256, TL_BF16, 0, true},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void must(tl_status status)
{
    assert_int_equal(status, TL_OK);
}

/* The weights of each shape; as long as the backends, which remember them. */
static weights all_weights[SHAPES];

static const tl_linear *layer_of(size_t i)
{
    if (all_weights[i].memory == NULL)
        all_weights[i] = make_weights(shapes[i].n_out, shapes[i].n_in, shapes[i].dtype,
                                      shapes[i].offset, shapes[i].bias);
    return &all_weights[i].layer;
}

static void products_agree_with_the_definition(void **unused)
{
    (void)unused;
    static const size_t rows_of[] = {1, 2, 63, 64, 65, 130};
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *s = &shapes[i];
        const tl_linear *layer = layer_of(i);
        for (size_t r = 0; r < sizeof rows_of / sizeof rows_of[0]; r++)
            for (int add = 0; add < 2; add++) {
                const size_t rows = rows_of[r];
                float *x = floats(rows * s->n_in, 1), *y = floats(rows * s->n_out, 2);
                float *want = copy_of(y, rows * s->n_out),
                      *dx = floats(rows * s->n_in, 3);
                float *want_dx = copy_of(dx, rows * s->n_in);
                char what[96];
                must(ref->linear(ref, layer, rows, x, want, add, NULL));
                must(cpu->linear(cpu, layer, rows, x, y, add, NULL));
                snprintf(what, sizeof what, "linear %zux%zu, %zu rows, add %d",
                         s->n_out, s->n_in, rows, add);
                assert_near(what, y, want, rows * s->n_out, LINEAR);
                must(ref->linear_backward(ref, layer, rows, want, want_dx, add, NULL));
                must(cpu->linear_backward(cpu, layer, rows, want, dx, add, NULL));
                snprintf(what, sizeof what, "backward %zux%zu, %zu rows, add %d",
                         s->n_out, s->n_in, rows, add);
                assert_near(what, dx, want_dx, rows * s->n_in, LINEAR);
                tl_free(x), tl_free(y), tl_free(want), tl_free(dx), tl_free(want_dx);
            }
    }
}

/* One row at every place of two tiles and a bit, among others; then again with other
 * numbers of threads, without a cache, and a second time. */
static void a_row_of_a_product_is_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    enum { ROWS = 2 * 64 + 5 };
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *s = &shapes[i];
        const tl_linear *layer = layer_of(i);
        for (int backward = 0; backward < 2; backward++) {
            const size_t from = backward ? s->n_out : s->n_in,
                         to = backward ? s->n_in : s->n_out;
            float *row = floats(from, 9), *alone = floats(to, 0);
            float *x = floats(ROWS * from, 4), *y = floats(ROWS * to, 0),
                  *z = floats(ROWS * to, 0);
            tl_backend *const others[] = {cpu, cpu_one, cpu_uncached};
            must((backward ? cpu->linear_backward : cpu->linear)(cpu, layer, 1, row,
                                                                 alone, false, NULL));
            for (size_t r = 0; r < ROWS; r += r % 64 < 3 || r % 64 > 60 ? 1 : 7)
                memcpy(x + r * from, row, from * sizeof *x);
            for (size_t k = 0; k < 3; k++) {
                tl_backend *b = others[k];
                must((backward ? b->linear_backward : b->linear)(b, layer, ROWS, x, y,
                                                                 false, NULL));
                for (size_t r = 0; r < ROWS; r += r % 64 < 3 || r % 64 > 60 ? 1 : 7)
                    assert_bits(b->name, y + r * to, alone, to);
                if (k == 0)
                    memcpy(z, y, ROWS * to * sizeof *z);
                assert_bits("threads, cache", y, z, ROWS * to);
            }
            must((backward ? cpu->linear_backward : cpu->linear)(cpu, layer, ROWS, x, y,
                                                                 false, NULL));
            assert_bits("again", y, z, ROWS * to);
            tl_free(row), tl_free(alone), tl_free(x), tl_free(y), tl_free(z);
        }
    }
}

static void no_rows_are_no_work(void **unused)
{
    (void)unused;
    const tl_linear *layer = layer_of(0);
    float one = 3.5f;
    must(cpu->linear(cpu, layer, 0, &one, &one, false, NULL));
    must(cpu->linear_backward(cpu, layer, 0, &one, &one, true, NULL));
    cpu->rmsnorm(cpu, 0, 8, 1e-6f, &one, &one, &one, &one);
    cpu->add(cpu, 0, &one, &one);
    assert_true(one == 3.5f);
}

/* ---- rows and elements ----------------------------------------------------------------- */

static void norms_and_rotation_agree_row_by_row(void **unused)
{
    (void)unused;
    static const size_t widths[] = {2, 8, 18, 48, 96, 200, 1030};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        const size_t rows = 37, width = widths[i], n = rows * width;
        float *x = floats(n, 1), *weight = floats(width, 2), *bias = floats(width, 3),
              *dy = floats(n, 4);
        float *y[2], *s[2], *dx[2];
        tl_backend *const both[] = {cpu, ref};
        x[width] *= 3000.0f; /* an outlier channel */
        for (size_t k = 0; k < 2; k++) {
            tl_backend *b = both[k];
            y[k] = floats(n, 5);
            s[k] = floats(rows, 6);
            dx[k] = floats(n, 7);
            b->rmsnorm(b, rows, width, 1e-6f, x, weight, y[k], s[k]);
            b->rmsnorm_backward(b, rows, width, x, weight, s[k], dy, dx[k]);
        }
        assert_near("rmsnorm", y[0], y[1], n, NORM);
        assert_near("inverse rms", s[0], s[1], rows, NORM);
        assert_near("rmsnorm backward", dx[0], dx[1], n, NORM);
        float *one = floats(width, 5), *one_dx = floats(n, 7), *one_s = floats(1, 1);
        for (size_t r = 0; r < rows; r++) {
            cpu_one->rmsnorm(cpu_one, 1, width, 1e-6f, x + r * width, weight, one,
                             one_s);
            cpu_one->rmsnorm_backward(cpu_one, 1, width, x + r * width, weight, one_s,
                                      dy + r * width, one_dx + r * width);
            assert_bits("rmsnorm, a row alone", one, y[0] + r * width, width);
        }
        assert_bits("rmsnorm backward, rows alone", one_dx, dx[0], n);
        for (size_t k = 0; k < 2; k++) {
            both[k]->layernorm(both[k], rows, width, 1e-6f, x, weight, bias, y[k]);
            memcpy(dx[k], x, n * sizeof *x);
            both[k]->rotary(both[k], rows, 1, width, dy, weight == NULL ? dy : x,
                            k == 2, dx[k]);
        }
        assert_near("layernorm", y[0], y[1], n, NORM);
        assert_near("rotary", dx[0], dx[1], n, ROTARY);
        memcpy(one_dx, x, n * sizeof *x);
        for (size_t r = 0; r < rows; r++)
            cpu_one->rotary(cpu_one, 1, 1, width, dy + r * (width / 2),
                            x + r * (width / 2), false, one_dx + r * width);
        assert_bits("rotary, rows alone", one_dx, dx[0], n);
        cpu->rotary(cpu, rows, 1, width, dy, x, true, dx[0]);
        ref->rotary(ref, rows, 1, width, dy, x, true, dx[1]);
        assert_near("rotary back", dx[0], dx[1], n, ROTARY);
        for (size_t k = 0; k < 2; k++)
            tl_free(y[k]), tl_free(s[k]), tl_free(dx[k]);
        tl_free(x), tl_free(weight), tl_free(bias), tl_free(dy), tl_free(one),
            tl_free(one_dx), tl_free(one_s);
    }
}

static void activations_agree_element_by_element(void **unused)
{
    (void)unused;
    enum { N = 70001 };
    for (int kind = 0; kind < TL_ACTIVATION_COUNT; kind++) {
        const tl_activation a = (tl_activation)kind;
        float *gate = floats(N, 1), *up = floats(N, 2), *dy = floats(N, 3);
        for (size_t i = 0; i < N; i++)
            gate[i] *= i % 5 == 0 ? 100.0f : 8.0f;
        float *y[2], *dg[2], *du[2], *x[2];
        tl_backend *const both[] = {cpu, ref};
        for (size_t k = 0; k < 2; k++) {
            y[k] = floats(N, 4), dg[k] = floats(N, 4), du[k] = floats(N, 4),
            x[k] = copy_of(gate, N);
            both[k]->gated(both[k], a, N, gate, up, y[k]);
            both[k]->gated_backward(both[k], a, N, gate, up, dy, dg[k], du[k]);
            both[k]->activate(both[k], a, N, x[k]);
        }
        for (size_t i = 0; i < N;
             i++) { /* by the size of the terms, element by element */
            const double size = 1.0 + fabs((double)gate[i]);
            if (!(fabs((double)y[0][i] - (double)y[1][i]) <= ACTIVATION * size &&
                  fabs((double)x[0][i] - (double)x[1][i]) <= ACTIVATION * size &&
                  fabs((double)dg[0][i] - (double)dg[1][i]) <= ACTIVATION * size &&
                  fabs((double)du[0][i] - (double)du[1][i]) <= ACTIVATION * size))
                fail_msg("activation %d of %.9g: %.9g, ref %.9g; slope %.9g, ref %.9g",
                         kind, (double)gate[i], (double)x[0][i], (double)x[1][i],
                         (double)dg[0][i], (double)dg[1][i]);
        }
        /* In pieces, so that each element meets other neighbours and other tails. */
        float *p = floats(N, 9), *q = floats(N, 9), *r = floats(N, 9);
        for (size_t at = 0, step = 1; at < N; at += step, step = step % 83 + 1) {
            const size_t n = N - at < step ? N - at : step;
            cpu_one->gated(cpu_one, a, n, gate + at, up + at, p + at);
            cpu_one->gated_backward(cpu_one, a, n, gate + at, up + at, dy + at, q + at,
                                    r + at);
        }
        assert_bits("gated, in pieces", p, y[0], N);
        assert_bits("gated backward, in pieces", q, dg[0], N);
        assert_bits("gated backward, in pieces", r, du[0], N);
        for (size_t k = 0; k < 2; k++)
            tl_free(y[k]), tl_free(dg[k]), tl_free(du[k]), tl_free(x[k]);
        tl_free(gate), tl_free(up), tl_free(dy), tl_free(p), tl_free(q), tl_free(r);
    }
}

static void addition_is_addition(void **unused)
{
    (void)unused;
    enum { N = 40003 };
    float *x = floats(N, 1), *y = floats(N, 2), *want = copy_of(y, N);
    cpu->add(cpu, N, x, y);
    ref->add(ref, N, x, want);
    assert_bits("add", y, want, N);
    tl_free(x), tl_free(y), tl_free(want);
}

/* ---- attention ---------------------------------------------------------------------------- */

enum { MAX_PROMPTS = 4 };

/* Lengths of prompts: prefix, own keys, queries. */
static const struct attention_problem {
    tl_attention shape;
    size_t n_prompts;
    size_t lengths[MAX_PROMPTS][3];
    bool blocks;
} problems[] = {
    {{1, 1, 2, 1.0f, 0, 0, true}, 1, {{0, 1, 1}}, false},
    {{6, 2, 8, 0.35f, 0, 0, true}, 3, {{0, 5, 5}, {3, 9, 9}, {0, 17, 17}}, false},
    {{4, 1, 16, 0.25f, 0, 0, true}, 3, {{0, 21, 1}, {12, 1, 1}, {0, 40, 7}}, false},
    {{3, 3, 80, 0.11f, 0, 0, false}, 2, {{0, 33, 33}, {0, 6, 6}}, false},
    {{4, 2, 64, 0.125f, 0, 5, true}, 2, {{0, 30, 30}, {7, 20, 20}}, false},
    {{4, 2, 32, 0.2f, 0, 8, true}, 2, {{0, 30, 30}, {0, 12, 12}}, true},
    {{8, 4, 18, 0.3f, 2.0f, 0, true}, 2, {{4, 11, 11}, {0, 70, 70}}, true},
    {{2, 1, 128, 0.09f, 30.0f, 0, true}, 1, {{0, 101, 101}}, false},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

/* Inputs of one problem; results of two runs. */
typedef struct attention_case {
    tl_attention_prompt prompts[MAX_PROMPTS];
    float *prefix[MAX_PROMPTS][2];
    int32_t *block[MAX_PROMPTS];
    size_t queries, keys;
    float *q, *k, *v, *dz;
} attention_case;

static attention_case make_case(const struct attention_problem *p)
{
    attention_case c = {0};
    const size_t kv = p->shape.n_kv_heads * p->shape.d_head;
    for (size_t i = 0; i < p->n_prompts; i++) {
        const size_t *n = p->lengths[i];
        for (size_t m = 0; m < 2; m++)
            c.prefix[i][m] = floats(n[0] * kv, (uint32_t)(20 + 2 * i + m));
        if (p->blocks) {
            c.block[i] = tl_alloc(n[0] + n[1], sizeof **c.block);
            for (size_t j = 0; j < n[0] + n[1]; j++)
                c.block[i][j] = j > n[0] && j < n[0] + n[1] / 2 ? 1 : -1;
        }
        c.prompts[i] =
            (tl_attention_prompt){c.queries,      n[2],           c.keys,    n[1], n[0],
                                  c.prefix[i][0], c.prefix[i][1], c.block[i]};
        c.queries += n[2];
        c.keys += n[1];
    }
    c.q = floats(c.queries * p->shape.n_heads * p->shape.d_head, 1);
    c.k = floats(c.keys * kv, 2);
    c.v = floats(c.keys * kv, 3);
    c.dz = floats(c.queries * p->shape.n_heads * p->shape.d_head, 4);
    for (size_t i = 0; i < c.queries * p->shape.n_heads * p->shape.d_head; i++)
        c.q[i] *= 6.0f; /* peaked patterns */
    return c;
}

static void free_case(attention_case *c)
{
    for (size_t i = 0; i < MAX_PROMPTS; i++)
        tl_free(c->prefix[i][0]), tl_free(c->prefix[i][1]), tl_free(c->block[i]);
    tl_free(c->q), tl_free(c->k), tl_free(c->v), tl_free(c->dz);
}

typedef struct attention_result {
    float *z, *lse, *dq, *dk, *dv;
} attention_result;

static attention_result run_attention(tl_backend *b, const tl_attention *shape,
                                      const attention_case *c,
                                      const tl_attention_prompt *prompts, size_t n)
{
    const size_t kv = shape->n_kv_heads * shape->d_head,
                 w = shape->n_heads * shape->d_head;
    attention_result r = {
        floats(c->queries * w, 5), floats(c->queries * shape->n_heads, 6),
        floats(c->queries * w, 7), floats(c->keys * kv, 8), floats(c->keys * kv, 9)};
    must(b->attention(b, shape, n, prompts, c->q, c->k, c->v, r.z, r.lse, NULL));
    must(b->attention_backward(b, shape, n, prompts, c->q, c->k, c->v, r.z, r.lse,
                               c->dz, r.dq, r.dk, r.dv, NULL));
    return r;
}

static void free_result(attention_result *r)
{
    tl_free(r->z), tl_free(r->lse), tl_free(r->dq), tl_free(r->dk), tl_free(r->dv);
}

static void attention_agrees_with_the_definition(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PROBLEMS; i++) {
        const tl_attention *shape = &problems[i].shape;
        const size_t kv = shape->n_kv_heads * shape->d_head,
                     w = shape->n_heads * shape->d_head;
        attention_case c = make_case(&problems[i]);
        attention_result a =
            run_attention(cpu, shape, &c, c.prompts, problems[i].n_prompts);
        attention_result b =
            run_attention(ref, shape, &c, c.prompts, problems[i].n_prompts);
        assert_near("z", a.z, b.z, c.queries * w, ATTENTION);
        assert_near("lse", a.lse, b.lse, c.queries * shape->n_heads, ATTENTION);
        assert_near("dq", a.dq, b.dq, c.queries * w, ATTENTION_BACK);
        assert_near("dk", a.dk, b.dk, c.keys * kv, ATTENTION_BACK);
        assert_near("dv", a.dv, b.dv, c.keys * kv, ATTENTION_BACK);
        free_result(&a);
        free_result(&b);
        free_case(&c);
    }
}

static void a_prompt_attends_to_the_same_bits_alone(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PROBLEMS; i++) {
        const tl_attention *shape = &problems[i].shape;
        const size_t kv = shape->n_kv_heads * shape->d_head,
                     w = shape->n_heads * shape->d_head;
        attention_case c = make_case(&problems[i]);
        attention_result all =
            run_attention(cpu, shape, &c, c.prompts, problems[i].n_prompts);
        tl_backend *const others[] = {cpu, cpu_one, cpu_uncached};
        for (size_t p = 0; p < problems[i].n_prompts; p++) {
            const tl_attention_prompt *prompt = &c.prompts[p];
            const size_t q = prompt->q_row, k = prompt->k_row;
            attention_result one = run_attention(others[p % 3], shape, &c, prompt, 1);
            assert_bits("z", one.z + q * w, all.z + q * w, prompt->n_query * w);
            assert_bits("lse", one.lse + q * shape->n_heads,
                        all.lse + q * shape->n_heads, prompt->n_query * shape->n_heads);
            assert_bits("dq", one.dq + q * w, all.dq + q * w, prompt->n_query * w);
            assert_bits("dk", one.dk + k * kv, all.dk + k * kv, prompt->n_key * kv);
            assert_bits("dv", one.dv + k * kv, all.dv + k * kv, prompt->n_key * kv);
            free_result(&one);
        }
        free_result(&all);
        free_case(&c);
    }
}

static void unknown_backends_are_refused(void **unused)
{
    (void)unused;
    tl_backend *b = NULL;
    tl_error err = {0};
    assert_int_equal(tl_backend_create("gpu", 0, 0, &b, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "gpu"));
    assert_null(b);
}

static int close_backends(void **unused)
{
    (void)unused;
    tl_backend_destroy(ref);
    tl_backend_destroy(cpu);
    tl_backend_destroy(cpu_one);
    tl_backend_destroy(cpu_uncached);
    for (size_t i = 0; i < SHAPES; i++)
        free_weights(&all_weights[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree_with_the_definition),
        cmocka_unit_test(a_row_of_a_product_is_the_same_bits_everywhere),
        cmocka_unit_test(no_rows_are_no_work),
        cmocka_unit_test(norms_and_rotation_agree_row_by_row),
        cmocka_unit_test(activations_agree_element_by_element),
        cmocka_unit_test(addition_is_addition),
        cmocka_unit_test(attention_agrees_with_the_definition),
        cmocka_unit_test(a_prompt_attends_to_the_same_bits_alone),
        cmocka_unit_test(unknown_backends_are_refused),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
