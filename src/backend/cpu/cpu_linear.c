/* SPDX-License-Identifier: MIT
 *
 * cpu_linear.c - matrix products of the cpu backend, by oneDNN or by our own tiles.
 *
 * A product is cut into tiles of TILE rows and blocks of at most BLOCK_MOST columns of
 * the output. For each block the weights are brought into a panel, f32 [K, block]
 * (cpu_panel.h). One primitive of exactly
 * [TILE, K] x [K, block], run by one thread, makes a tile; the last tile is filled
 * up with zeros. So the same code with the same shape makes every number, whatever
 * the batch and however many threads there are: a row cannot notice the others.
 * (That a row's bits do not depend on its place within a tile is oneDNN's doing, and
 * is tested: tests/test_backend.c.)
 *
 * Panels of small models stay in a cache. Those of large ones are made anew for each
 * product, by each thread for itself where there are blocks enough: a thread fills
 * its panel, which never leaves its processor's cache, and takes all rows through it.
 *
 * Where the processor has vectors that we know, our own tiles (cpu_tile.h) are faster than the
 * library's, which are too small for it: panels are then in strips, which are read as they lie.
 *
 * Of a layer in bf16 panels are rounded, and so are the rows, some hundreds at a time, before
 * they are multiplied; cpu_bf16.c makes the tiles. The rest is the same.
 *
 * What oneDNN allocates for itself (2.6, measured with 1 and 2 threads): once in a process
 * 0.35 MiB and 1.5 MiB of code, 12 KiB for a primitive, 20 KiB a thread while it runs.
 *
 * oneDNN splits work among as many threads as OpenMP would give it, sums of a product
 * included. Inside our teams that is one (be_alone), also where a team has one thread.
 */
#include "backend/cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "backend/cpu/cpu_bf16.h"
#include "backend/cpu/cpu_panel.h"
#include "backend/cpu/cpu_threads.h"
#include "backend/cpu/cpu_tile.h"
#include "backend/host.h"
#include "base/race.h"
#include "twinlens/alloc.h"

enum {
    TILE = TL_CPU_BF16_ROWS,
    BLOCK_BYTES = 512 << 10, /* of one panel: it should stay in a cache */
    BLOCK_MOST = TL_CPU_PANEL_COLUMNS,
    BLOCK_LEAST = 32,
    LIBRARY_BYTES = 64 << 10, /* that oneDNN wants of us and takes itself for a tile */
    TABLE_BYTES = 64 << 10,   /* of primitives, of cached panels */
    ROUNDED_BYTES = 16 << 20, /* of rows that are rounded to bf16 at a time */
    ROUNDED_MOST = 24 * TILE, /* rows */
};

/* ---- oneDNN 2 and 3 -------------------------------------------------------------- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t matrix;
typedef const_dnnl_memory_desc_t const_matrix;

static dnnl_status_t matrix_create(matrix *m, dnnl_dim_t rows, dnnl_dim_t columns)
{
    const dnnl_dims_t dims = {rows, columns};
    return dnnl_memory_desc_create_with_tag(m, 2, dims, dnnl_f32, dnnl_ab);
}

static void matrix_destroy(matrix *m)
{
    if (*m != NULL)
        dnnl_memory_desc_destroy(*m);
}

static dnnl_status_t product_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const matrix *a, const matrix *b, const matrix *c,
                                    dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(pd, engine, *a, *b, NULL, *c, attr);
}
#else
typedef dnnl_memory_desc_t matrix;
typedef const dnnl_memory_desc_t *const_matrix;

static dnnl_status_t matrix_create(matrix *m, dnnl_dim_t rows, dnnl_dim_t columns)
{
    const dnnl_dims_t dims = {rows, columns};
    return dnnl_memory_desc_init_by_tag(m, 2, dims, dnnl_f32, dnnl_ab);
}

static void matrix_destroy(matrix *m)
{
    (void)m;
}

static dnnl_status_t product_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const matrix *a, const matrix *b, const matrix *c,
                                    dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t desc;
    const dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, NULL, c);
    return status != dnnl_success
               ? status
               : dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
}
#endif

/* ---- state ----------------------------------------------------------------------- */

/* The primitive of [TILE, k] x [k, block]. */
typedef struct tile_primitive {
    size_t k, block;
    dnnl_primitive_t primitive;
    size_t scratch_bytes;
} tile_primitive;

/* All panels of one weight in one direction. The first rows of a fused weight begin
 * where the whole does: its sizes belong to what is looked up. */
typedef struct cached_panels {
    const void *weight;
    size_t k, n;
    bool backward, bf16;
    float *panels; /* block after block, each [k, width], or pairs of bf16 */
} cached_panels;

/* What one thread works with. */
typedef struct tile_worker {
    dnnl_stream_t stream;
    float *input;  /* [TILE, k], the last tile filled up */
    float *output; /* [TILE, BLOCK_MOST] */
    void *scratch;
    size_t input_count, scratch_bytes;
} tile_worker;

struct tl_cpu_linear {
    size_t n_threads;
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr;
    tile_primitive *primitives;
    size_t n_primitives, primitives_capacity;
    cached_panels *cache; /* open addressing, by weight and direction */
    size_t n_cached, cache_capacity;
    size_t cache_left;
    float *panels; /* those made anew, see run_uncached */
    size_t panels_count;
    uint32_t *rounded; /* [rounded_rows, pairs], of products in bf16 */
    size_t rounded_count;
    tile_worker *workers;
};

static tl_status fail_dnnl(tl_error *err, const char *doing, dnnl_status_t status)
{
    return tl_fail(err,
                   status == dnnl_out_of_memory ? TL_ERR_NO_MEMORY : TL_ERR_BACKEND,
                   "oneDNN cannot %s (its status %d)", doing, (int)status);
}

tl_status tl_cpu_linear_create(size_t n_threads, size_t cache_bytes,
                               tl_cpu_linear **out, tl_error *err)
{
    tl_cpu_linear *s = tl_alloc_zero(1, sizeof *s);
    if (s == NULL ||
        (s->workers = tl_alloc_zero(n_threads, sizeof *s->workers)) == NULL) {
        tl_cpu_linear_destroy(s);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a backend");
    }
    s->n_threads = n_threads;
    s->cache_left = cache_bytes;
    dnnl_status_t status = dnnl_engine_create(&s->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&s->attr);
    /* Scratch memory of our own: a primitive is then run by several threads at once. */
    if (status == dnnl_success)
        status =
            dnnl_primitive_attr_set_scratchpad_mode(s->attr, dnnl_scratchpad_mode_user);
    for (size_t t = 0; t < n_threads && status == dnnl_success; t++) {
        status = dnnl_stream_create(&s->workers[t].stream, s->engine,
                                    dnnl_stream_default_flags);
        s->workers[t].output = tl_alloc(TILE * BLOCK_MOST, sizeof(float));
        if (s->workers[t].output == NULL)
            status = dnnl_out_of_memory;
    }
    if (status != dnnl_success) {
        tl_cpu_linear_destroy(s);
        return fail_dnnl(err, "start", status);
    }
    *out = s;
    return TL_OK;
}

void tl_cpu_linear_destroy(tl_cpu_linear *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_primitives; i++)
        dnnl_primitive_destroy(s->primitives[i].primitive);
    for (size_t i = 0; i < s->cache_capacity; i++)
        tl_free(s->cache[i].panels);
    for (size_t t = 0; s->workers != NULL && t < s->n_threads; t++) {
        if (s->workers[t].stream != NULL)
            dnnl_stream_destroy(s->workers[t].stream);
        tl_free(s->workers[t].input);
        tl_free(s->workers[t].output);
        tl_free(s->workers[t].scratch);
    }
    if (s->attr != NULL)
        dnnl_primitive_attr_destroy(s->attr);
    if (s->engine != NULL)
        dnnl_engine_destroy(s->engine);
    tl_free(s->primitives);
    tl_free(s->cache);
    tl_free(s->panels);
    tl_free(s->rounded);
    tl_free(s->workers);
    tl_free(s);
}

bool tl_cpu_linear_is_fast_in_bf16(void)
{
    return tl_cpu_bf16_is_fast();
}

/* ---- primitives ------------------------------------------------------------------ */

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Columns of a block: as many as keep a panel within BLOCK_BYTES, a multiple of
 * BLOCK_LEAST, and not so many that a narrow layer is one block. A function of the
 * shape alone. */
static size_t block_width(size_t k, size_t n)
{
    size_t width = BLOCK_BYTES / sizeof(float) / k / BLOCK_LEAST * BLOCK_LEAST;
    if (width > BLOCK_MOST)
        width = BLOCK_MOST;
    const size_t quarter = round_up(n / 4, BLOCK_LEAST);
    if (width > quarter)
        width = quarter;
    return width < BLOCK_LEAST ? BLOCK_LEAST : width;
}

/* What a primitive says of one of its matrices. */
static const_matrix matrix_of(const tile_primitive *p, dnnl_query_t which)
{
    const_dnnl_primitive_desc_t pd = NULL;
    return dnnl_primitive_get_primitive_desc(p->primitive, &pd) == dnnl_success
               ? dnnl_primitive_desc_query_md(pd, which, 0)
               : NULL;
}

static tl_status make_primitive(tl_cpu_linear *s, size_t k, size_t block,
                                tile_primitive *out, tl_error *err)
{
    tile_primitive p = {.k = k, .block = block};
    matrix a = {0}, b = {0}, c = {0};
    dnnl_primitive_desc_t pd = NULL;
    const dnnl_dim_t K = (dnnl_dim_t)k, N = (dnnl_dim_t)block;
    dnnl_status_t status;
    /* Made for one thread, so that it never splits its work. */
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    if ((status = matrix_create(&a, TILE, K)) == dnnl_success &&
        (status = matrix_create(&b, K, N)) == dnnl_success &&
        (status = matrix_create(&c, TILE, N)) == dnnl_success &&
        (status = product_create(&pd, s->engine, &a, &b, &c, s->attr)) == dnnl_success)
        status = dnnl_primitive_create(&p.primitive, pd);
    omp_set_num_threads(threads);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    matrix_destroy(&a);
    matrix_destroy(&b);
    matrix_destroy(&c);
    if (status != dnnl_success)
        return fail_dnnl(err, "make a matrix product", status);
    p.scratch_bytes =
        dnnl_memory_desc_get_size(matrix_of(&p, dnnl_query_scratchpad_md));
    *out = p;
    return TL_OK;
}

/* The primitive's index; made on its first use. */
static tl_status find_primitive(tl_cpu_linear *s, size_t k, size_t block, size_t *out,
                                tl_error *err)
{
    for (size_t i = 0; i < s->n_primitives; i++)
        if (s->primitives[i].k == k && s->primitives[i].block == block) {
            *out = i;
            return TL_OK;
        }
    if (s->n_primitives == s->primitives_capacity) {
        const size_t capacity =
            s->primitives_capacity > 0 ? 2 * s->primitives_capacity : 16;
        tile_primitive *grown =
            tl_realloc(s->primitives, s->n_primitives, capacity, sizeof *grown);
        if (grown == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a matrix product");
        s->primitives = grown;
        s->primitives_capacity = capacity;
    }
    tile_primitive p;
    const tl_status status = make_primitive(s, k, block, &p, err);
    if (status != TL_OK)
        return status;
    *out = s->n_primitives;
    s->primitives[s->n_primitives++] = p;
    return TL_OK;
}

/* ---- panels ---------------------------------------------------------------------- */

/* C [rows, n] = A [rows, k] B. */
typedef struct job {
    tl_cpu_operand b;
    bool add, bf16, in_strips;
    size_t rows, a_columns; /* of A; B's k may be larger */
    size_t block, n_blocks; /* columns of a block, but of the last */
    size_t full, last;      /* primitives of a block and of the last */
    const float *a, *bias;
    float *c;
} job;

static size_t width_of(const job *j, size_t block)
{
    const size_t left = j->b.n - block * j->block;
    return left < j->block ? left : j->block;
}

/* Columns of a block's panel. In bf16 it is whole strips. Of a part of a layer the last block
 * is filled up, so that there are few primitives whatever its size. */
static size_t panel_width(const job *j, size_t block)
{
    const size_t width = width_of(j, block);
    if (j->bf16)
        return tl_cpu_strips_round(width);
    return j->b.index == NULL || j->b.by_columns ? width : round_up(width, BLOCK_LEAST);
}

/* Four bytes each, of a column of a panel. */
static size_t panel_depth(const job *j)
{
    return j->bf16 ? tl_cpu_bf16_pairs(j->b.k) : j->b.k;
}

/* Whether panels are in strips, for our own tiles. A function of the layer and the processor,
 * not of the rows. */
static bool fits_strips(const job *j)
{
    return j->bf16 ||
           (tl_cpu_tile_has_vectors() && panel_width(j, 0) % TL_CPU_STRIP == 0 &&
            panel_width(j, j->n_blocks - 1) % TL_CPU_STRIP == 0);
}

static void fill_panel(const job *j, size_t block, float *panel)
{
    const size_t first = block * j->block, width = panel_width(j, block);
    if (j->bf16)
        tl_cpu_bf16_panel(&j->b, first, width_of(j, block), (uint32_t *)panel);
    else
        tl_cpu_operand_panel(&j->b, first, width, j->in_strips ? TL_CPU_STRIP : width,
                             panel);
}

static void fill_panels(const tl_cpu_linear *s, const job *j, float *panels)
{
#pragma omp parallel for num_threads((int)s->n_threads) schedule(dynamic)
    for (size_t b = 0; b < j->n_blocks; b++)
        fill_panel(j, b, panels + b * j->block * panel_depth(j));
}

static size_t slot_of(const tl_cpu_linear *s, const cached_panels *wanted)
{
    const uint64_t hash = ((uint64_t)(uintptr_t)wanted->weight * 2 + wanted->backward) *
                          0x9e3779b97f4a7c15u;
    size_t i = (size_t)(hash >> 20) & (s->cache_capacity - 1);
    for (const cached_panels *c; (c = &s->cache[i])->panels != NULL;
         i = (i + 1) & (s->cache_capacity - 1))
        if (c->weight == wanted->weight && c->k == wanted->k && c->n == wanted->n &&
            c->backward == wanted->backward && c->bf16 == wanted->bf16)
            break;
    return i;
}

static bool grow_cache(tl_cpu_linear *s)
{
    const size_t capacity = s->cache_capacity > 0 ? 2 * s->cache_capacity : 256;
    cached_panels *old = s->cache, *grown = tl_alloc_zero(capacity, sizeof *grown);
    if (grown == NULL)
        return false;
    const size_t old_capacity = s->cache_capacity;
    s->cache = grown;
    s->cache_capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].panels != NULL)
            s->cache[slot_of(s, &old[i])] = old[i];
    tl_free(old);
    return true;
}

/* All panels of a job: from the cache, or put into it when there is room. NULL when
 * they have to be made anew each time. */
static float *find_panels(tl_cpu_linear *s, const job *j)
{
    cached_panels entry = {.weight = j->b.weight->data,
                           .k = j->b.k,
                           .n = j->b.n,
                           .backward = j->b.backward,
                           .bf16 = j->bf16};
    if (j->b.index != NULL)
        return NULL; /* a part: there are too many, each is asked for once */
    if (2 * s->n_cached >= s->cache_capacity && !grow_cache(s))
        return NULL;
    const size_t slot = slot_of(s, &entry);
    if (s->cache[slot].panels != NULL)
        return s->cache[slot].panels;
    const size_t bytes = panel_depth(j) * tl_cpu_strips_round(j->b.n) * sizeof(float);
    float *panels = bytes <= s->cache_left ? tl_alloc(bytes, 1) : NULL;
    if (panels == NULL)
        return NULL;
    fill_panels(s, j, panels);
    s->cache_left -= bytes;
    s->n_cached++;
    entry.panels = panels;
    s->cache[slot] = entry;
    return panels;
}

/* ---- the product ------------------------------------------------------------------- */

/* The tile's rows, filled up with zeros to TILE rows of k. */
static const float *tile_input(const job *j, tile_worker *w, size_t first, size_t rows)
{
    const float *a = j->a + first * j->a_columns;
    const size_t k = j->b.k, given = j->a_columns;
    if (rows == TILE && given == k)
        return a;
    for (size_t r = 0; r < rows; r++) {
        memcpy(w->input + r * k, a + r * given, given * sizeof(float));
        memset(w->input + r * k + given, 0, (k - given) * sizeof(float));
    }
    memset(w->input + rows * k, 0, (TILE - rows) * k * sizeof(float));
    return w->input;
}

/* c = tile + bias, or c += tile + bias; rows are `tile_stride` and `stride` apart. */
TL_WIDE static void put_tile(const float *restrict tile, size_t tile_stride,
                             const float *restrict bias, size_t rows, size_t width,
                             size_t stride, bool add, float *restrict c)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) {
            const float value =
                tile[r * tile_stride + i] + (bias != NULL ? bias[i] : 0.0f);
            c[r * stride + i] = add ? c[r * stride + i] + value : value;
        }
}

/* The bias of a block's columns; `some` is memory for those of a part. */
static const float *bias_of(const job *j, size_t block, float some[BLOCK_MOST])
{
    const size_t first = block * j->block;
    if (j->bias == NULL || j->b.index == NULL)
        return j->bias != NULL ? j->bias + first : NULL;
    for (size_t i = 0; i < width_of(j, block); i++)
        some[i] = j->bias[j->b.index[first + i]];
    return some;
}

/* oneDNN's handles of one thread for one primitive. */
typedef struct tile_handles {
    dnnl_memory_t a, b, c, scratch;
    size_t primitive; /* in the table */
} tile_handles;

static void release_handles(tile_handles *h)
{
    dnnl_memory_t all[] = {h->a, h->b, h->c, h->scratch};
    for (size_t i = 0; i < 4; i++)
        if (all[i] != NULL)
            dnnl_memory_destroy(all[i]);
    *h = (tile_handles){.primitive = (size_t)-1};
}

static dnnl_status_t make_handles(const tl_cpu_linear *s, size_t index, tile_worker *w,
                                  tile_handles *h)
{
    const tile_primitive *p = &s->primitives[index];
    release_handles(h);
    dnnl_status_t status;
    if ((status = dnnl_memory_create(&h->a, matrix_of(p, dnnl_query_src_md), s->engine,
                                     NULL)) != dnnl_success ||
        (status = dnnl_memory_create(&h->b, matrix_of(p, dnnl_query_weights_md),
                                     s->engine, NULL)) != dnnl_success ||
        (status = dnnl_memory_create(&h->c, matrix_of(p, dnnl_query_dst_md), s->engine,
                                     w->output)) != dnnl_success)
        return status;
    if (p->scratch_bytes > 0)
        status = dnnl_memory_create(&h->scratch, matrix_of(p, dnnl_query_scratchpad_md),
                                    s->engine, w->scratch);
    h->primitive = index;
    return status;
}

static dnnl_status_t run_tile(const tl_cpu_linear *s, tile_worker *w,
                              const tile_handles *h, const float *a, const float *panel)
{
    dnnl_status_t status;
    /* oneDNN takes pointers it may write through; these it only reads. */
    if ((status = dnnl_memory_set_data_handle(h->a, (void *)(uintptr_t)a)) !=
            dnnl_success ||
        (status = dnnl_memory_set_data_handle(h->b, (void *)(uintptr_t)panel)) !=
            dnnl_success)
        return status;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, h->a},
                                    {DNNL_ARG_WEIGHTS, h->b},
                                    {DNNL_ARG_DST, h->c},
                                    {DNNL_ARG_SCRATCHPAD, h->scratch}};
    const tile_primitive *p = &s->primitives[h->primitive];
    TL_IS_READ(a, TILE * p->k * sizeof *a);
    TL_IS_READ(panel, p->k * p->block * sizeof *panel);
    TL_IS_WRITTEN(w->output, TILE * p->block * sizeof *w->output);
    TL_IS_WRITTEN(w->scratch, p->scratch_bytes);
    return dnnl_primitive_execute(p->primitive, w->stream, h->scratch != NULL ? 4 : 3,
                                  args);
}

/* One thread's part of a product: its worker, handles, and what oneDNN said. */
typedef struct thread_part {
    tile_worker *w;
    tile_handles h;
    dnnl_status_t status;
} thread_part;

static thread_part begin_part(const tl_cpu_linear *s)
{
    return (thread_part){
        &s->workers[omp_get_thread_num()], {.primitive = (size_t)-1}, dnnl_success};
}

static void end_part(thread_part *p, dnnl_status_t *failure)
{
    release_handles(&p->h);
    if (p->status != dnnl_success) {
#pragma omp critical
        *failure = p->status;
    }
}

/* For the team this is called in: see the top of the file. */
static void be_alone(void)
{
    omp_set_num_threads(1);
}

/* Rows [row, row + rows) of block b into the worker's output. */
static dnnl_status_t multiply_tile(const tl_cpu_linear *s, const job *j, thread_part *p,
                                   size_t b, size_t row, size_t rows,
                                   const float *panel)
{
    const size_t index = b + 1 == j->n_blocks ? j->last : j->full;
    dnnl_status_t status = dnnl_success;
    if (p->h.primitive != index)
        status = make_handles(s, index, p->w, &p->h);
    return status == dnnl_success
               ? run_tile(s, p->w, &p->h, tile_input(j, p->w, row, rows), panel)
               : status;
}

/* The same by our own tiles, to y, whose rows are `stride` apart: in bf16 all TILE of them. */
static void multiply_strips(const tl_cpu_linear *s, const job *j, size_t b, size_t row,
                            size_t rows, const float *panel, float *y, size_t stride)
{
    if (j->bf16) {
        tl_cpu_bf16_tile(s->rounded + row * panel_depth(j), (const uint32_t *)panel,
                         j->b.k, width_of(j, b), y, stride);
        return;
    }
    tl_cpu_tile_multiply(rows, j->a_columns, panel_width(j, b),
                         (tl_cpu_tile_rows){j->a + row * j->a_columns, j->a_columns, 1},
                         (tl_cpu_strips){panel, j->b.k * TL_CPU_STRIP},
                         (tl_cpu_sums){y, stride, false});
}

/* Whether a tile of our own may go straight to where it is wanted. */
static bool goes_straight(const job *j, size_t b, size_t rows)
{
    return j->in_strips && !j->add && j->bias == NULL &&
           (j->bf16 ? rows == TILE : panel_width(j, b) == width_of(j, b));
}

/* Rows [row, row + TILE) of block b. */
static void make_tile(const tl_cpu_linear *s, const job *j, thread_part *p, size_t b,
                      size_t row, const float *panel)
{
    const size_t rows = j->rows - row < TILE ? j->rows - row : TILE,
                 width = panel_width(j, b);
    float *c = j->c + row * j->b.n + b * j->block, some[BLOCK_MOST];
    if (goes_straight(j, b, rows)) {
        multiply_strips(s, j, b, row, rows, panel, c, j->b.n);
        return;
    }
    if (j->in_strips)
        multiply_strips(s, j, b, row, rows, panel, p->w->output, width);
    else if (p->status == dnnl_success)
        p->status = multiply_tile(s, j, p, b, row, rows, panel);
    if (p->status == dnnl_success)
        put_tile(p->w->output, width, bias_of(j, b, some), rows, width_of(j, b), j->b.n,
                 j->add, c);
}

/* All panels are there: threads share out tiles, blocks outside, because neighbours
 * share a panel. One by one: a thread that the machine holds up holds up no other. */
static dnnl_status_t run_panels(tl_cpu_linear *s, const job *j, const float *panels)
{
    const size_t n_tiles = (j->rows + TILE - 1) / TILE;
    dnnl_status_t failure = dnnl_success;
#pragma omp parallel num_threads((int)s->n_threads)
    {
        be_alone();
        thread_part p = begin_part(s);
#pragma omp for schedule(dynamic) nowait
        for (size_t i = 0; i < j->n_blocks * n_tiles; i++)
            make_tile(s, j, &p, i / n_tiles, i % n_tiles * TILE,
                      panels + i / n_tiles * j->block * panel_depth(j));
        end_part(&p, &failure);
    }
    return failure;
}

/* Threads share out blocks, each with a panel of its own. */
static dnnl_status_t run_blocks(tl_cpu_linear *s, const job *j, float *panels)
{
    dnnl_status_t failure = dnnl_success;
#pragma omp parallel num_threads((int)s->n_threads)
    {
        be_alone();
        thread_part p = begin_part(s);
        float *panel =
            panels + (size_t)omp_get_thread_num() * j->block * panel_depth(j);
#pragma omp for schedule(dynamic) nowait
        for (size_t b = 0; b < j->n_blocks; b++) {
            fill_panel(j, b, panel);
            for (size_t row = 0; row < j->rows; row += TILE)
                make_tile(s, j, &p, b, row, panel);
        }
        end_part(&p, &failure);
    }
    return failure;
}

/* With too few blocks to keep all threads busy, panels are shared. */
static bool shares_panels(size_t n_threads, size_t n_blocks)
{
    return n_blocks < 2 * n_threads;
}

static dnnl_status_t run_uncached(tl_cpu_linear *s, const job *j)
{
    const bool shared = shares_panels(s->n_threads, j->n_blocks);
    const size_t count =
        (shared ? j->n_blocks : s->n_threads) * j->block * panel_depth(j);
    if (s->panels_count < count) {
        tl_free(s->panels);
        s->panels = tl_alloc(count, sizeof *s->panels);
        s->panels_count = s->panels != NULL ? count : 0;
        if (s->panels == NULL)
            return dnnl_out_of_memory;
    }
    if (!shared)
        return run_blocks(s, j, s->panels);
    fill_panels(s, j, s->panels);
    return run_panels(s, j, s->panels);
}

/* The rows of a job, in whole tiles. */
static void round_rows(const tl_cpu_linear *s, const job *j)
{
#pragma omp parallel for num_threads((int)s->n_threads) schedule(static)
    for (size_t row = 0; row < j->rows; row += TILE)
        tl_cpu_bf16_input(j->a + row * j->b.k,
                          j->rows - row < TILE ? j->rows - row : TILE, j->b.k,
                          s->rounded + row * panel_depth(j));
}

static dnnl_status_t run_all(tl_cpu_linear *s, const job *j)
{
    const float *panels = find_panels(s, j);
    return panels != NULL ? run_panels(s, j, panels) : run_uncached(s, j);
}

/* That are rounded at a time: for so many all panels are made once. */
static size_t rounded_rows(size_t k)
{
    const size_t tiles = ROUNDED_BYTES / sizeof(uint32_t) / TILE / tl_cpu_bf16_pairs(k);
    return tiles == 0                    ? TILE
           : tiles * TILE < ROUNDED_MOST ? tiles * TILE
                                         : ROUNDED_MOST;
}

/* A part of the rows after the other. */
static dnnl_status_t run_rounded(tl_cpu_linear *s, const job *j)
{
    const size_t most = rounded_rows(j->b.k),
                 rows = j->rows < most ? round_up(j->rows, TILE) : most,
                 count = rows * panel_depth(j);
    dnnl_status_t status = dnnl_success;
    if (s->rounded_count < count) {
        tl_free(s->rounded);
        s->rounded = tl_alloc(count, sizeof *s->rounded);
        s->rounded_count = s->rounded != NULL ? count : 0;
        if (s->rounded == NULL)
            return dnnl_out_of_memory;
    }
    for (size_t row = 0; row < j->rows && status == dnnl_success; row += most) {
        job part = *j;
        part.rows = j->rows - row < most ? j->rows - row : most;
        part.a += row * j->b.k;
        part.c += row * j->b.n;
        round_rows(s, &part);
        status = run_all(s, &part);
    }
    return status;
}

/* Room in every worker for tiles of k columns and the scratch of both primitives. */
static tl_status reserve_workers(tl_cpu_linear *s, const job *j, tl_error *err)
{
    const size_t full = s->primitives[j->full].scratch_bytes,
                 last = s->primitives[j->last].scratch_bytes,
                 scratch = full > last ? full : last;
    for (size_t t = 0; t < s->n_threads; t++) {
        tile_worker *w = &s->workers[t];
        if (w->input_count < TILE * j->b.k) {
            tl_free(w->input);
            w->input = tl_alloc(TILE * j->b.k, sizeof *w->input);
            w->input_count = w->input != NULL ? TILE * j->b.k : 0;
        }
        if (w->scratch_bytes < scratch) {
            tl_free(w->scratch);
            w->scratch = tl_alloc(scratch, 1);
            w->scratch_bytes = w->scratch != NULL ? scratch : 0;
        }
        if (w->input == NULL || w->scratch_bytes < scratch)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "no memory for a matrix product's tile");
    }
    return TL_OK;
}

static tl_status run(tl_cpu_linear *s, job *j, tl_error *err)
{
    if (j->rows == 0 || j->b.n == 0)
        return TL_OK;
    j->block = block_width(j->b.k, j->b.n);
    j->n_blocks = (j->b.n + j->block - 1) / j->block;
    j->in_strips = fits_strips(j);
    const bool by_library = !j->in_strips;
    tl_status status = TL_OK;
    if (by_library)
        status = find_primitive(s, j->b.k, panel_width(j, 0), &j->full, err);
    if (status == TL_OK && by_library)
        status =
            find_primitive(s, j->b.k, panel_width(j, j->n_blocks - 1), &j->last, err);
    if (status == TL_OK && by_library)
        status = reserve_workers(s, j, err);
    if (status != TL_OK)
        return status;
    const dnnl_status_t failure = j->bf16 ? run_rounded(s, j) : run_all(s, j);
    return failure == dnnl_success ? TL_OK
                                   : fail_dnnl(err, "run a matrix product", failure);
}

tl_status tl_cpu_linear_forward(tl_cpu_linear *s, const tl_linear *layer, size_t rows,
                                const float *x, float *y, bool add, tl_error *err)
{
    const tl_status status = tl_linear_check(layer, err);
    if (status != TL_OK)
        return status;
    const size_t n_out = layer->weight.dims[0], n_in = layer->weight.dims[1];
    job j = {.b = {.weight = &layer->weight, .k = n_in, .n = n_out},
             .add = add,
             .bf16 = layer->bf16,
             .rows = rows,
             .a_columns = n_in,
             .a = x,
             .bias = layer->bias,
             .c = y};
    return run(s, &j, err);
}

tl_status tl_cpu_linear_backward(tl_cpu_linear *s, const tl_linear *layer, size_t rows,
                                 const float *dy, float *dx, bool add, tl_error *err)
{
    const tl_status status = tl_linear_check(layer, err);
    if (status != TL_OK)
        return status;
    const size_t n_out = layer->weight.dims[0], n_in = layer->weight.dims[1];
    job j = {.b = {.weight = &layer->weight, .backward = true, .k = n_out, .n = n_in},
             .add = add,
             .bf16 = layer->bf16,
             .rows = rows,
             .a_columns = n_out,
             .a = dy,
             .c = dx};
    return run(s, &j, err);
}

tl_status tl_cpu_linear_rows(tl_cpu_linear *s, const tl_linear *layer, size_t n,
                             const uint32_t *index, size_t rows, const float *x,
                             float *y, bool add, tl_error *err)
{
    const tl_status status = tl_linear_check(layer, err);
    if (status != TL_OK)
        return status;
    const size_t n_in = layer->weight.dims[1];
    job j = {.b = {.weight = &layer->weight, .index = index, .k = n_in, .n = n},
             .add = add,
             .rows = rows,
             .a_columns = n_in,
             .a = x,
             .bias = layer->bias,
             .c = y};
    return run(s, &j, err);
}

/* A depth for which there is a primitive: one of at most eight between a power of two and
 * the next, and no more than the whole layer's, so that few are ever made. */
static size_t part_depth(size_t n, size_t n_in)
{
    size_t step = BLOCK_LEAST;
    while (step * 16 <= n)
        step *= 2;
    const size_t depth = round_up(n, step);
    return depth < n_in || n > n_in ? depth : n_in;
}

tl_status tl_cpu_linear_columns(tl_cpu_linear *s, const tl_linear *layer, size_t n,
                                const uint32_t *index, size_t rows, const float *x,
                                float *y, bool add, tl_error *err)
{
    const tl_status status = tl_linear_check(layer, err);
    if (status != TL_OK)
        return status;
    const size_t n_out = layer->weight.dims[0], n_in = layer->weight.dims[1];
    if (n == 0 && !add)
        memset(y, 0, rows * n_out * sizeof *y);
    if (n == 0)
        return TL_OK;
    job j = {.b = {.weight = &layer->weight,
                   .index = index,
                   .by_columns = true,
                   .n_index = n,
                   .k = part_depth(n, n_in),
                   .n = n_out},
             .add = add,
             .rows = rows,
             .a_columns = n,
             .a = x,
             .c = y};
    return run(s, &j, err);
}

size_t tl_backend_cpu_scratch_bytes(size_t n_threads, size_t max_in, size_t max_out,
                                    bool bf16)
{
    const size_t side = max_in > max_out ? max_in : max_out;
    if (n_threads == 0)
        n_threads = tl_cpu_threads_default();
    /* block_width() times k is largest with the largest k, or where BLOCK_BYTES ends it. */
    const size_t most = side * BLOCK_MOST, bound = BLOCK_BYTES / sizeof(float),
                 least = side * BLOCK_LEAST;
    size_t panel = most < bound ? most : bound;
    panel = panel > least ? panel : least;
    /* As many panels as shares_panels() lets there be, or all there are. */
    const size_t all = side * round_up(side, BLOCK_MOST);
    const size_t panels = (2 * n_threads - 1) * panel;
    const size_t tile = TILE * (side + BLOCK_MOST);
    /* A narrower layer takes more rows, but no more bytes than these. */
    const size_t pairs = tl_cpu_bf16_pairs(side), some = ROUNDED_MOST * pairs,
                 many = ROUNDED_BYTES / sizeof(float), one = TILE * pairs,
                 rounded = !bf16         ? 0
                           : some < many ? some
                           : one > many  ? one
                                         : many;
    return ((panels < all ? panels : all) + n_threads * tile + rounded) *
               sizeof(float) +
           n_threads * LIBRARY_BYTES + TABLE_BYTES;
}
