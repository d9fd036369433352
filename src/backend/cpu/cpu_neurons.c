/* SPDX-License-Identifier: MIT
 *
 * cpu_neurons.c - some neurons of a gated MLP (op/neurons.h says what it is).
 *
 * A thread takes a group. It goes through the group's list a block of neurons at a time,
 * as many as stay in a near cache, f32 [block, d_model]: gate, then up, then down. Every row
 * that wants some of the block takes it: the same weights serve all of a group's rows.
 * Weights of f32 and bf16 are read where they lie, and those that come next are asked for
 * meanwhile; others are made f32 in a panel.
 *
 * The neurons of `down` are columns, and lie apart. If there is memory for it, the whole
 * weight is turned round first, as it is in its file's type: with it a neuron is a run of
 * neighbours. Without, it goes through a panel. Numbers are the same with and without.
 *
 * Every number is made in an order of its own: a dot product goes along d_model, and a
 * row's sum along its list, block by block. What a row does not want of its last block
 * enters as 0, which changes no bit.
 */
#include <omp.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/host.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define FUSED __attribute__((target("avx2,fma")))
#define INLINED static inline __attribute__((always_inline)) FUSED
#endif

enum {
    PANEL_BYTES = 128 << 10,
    BLOCK_LEAST = 6,
    BLOCK_MOST = 48,
    PAD =
        16, /* floats between rows of a panel, which would else share their caches' sets */
    SQUARE = 64,
};

typedef struct neurons_job {
    const tl_gated_mlp *mlp;
    size_t d_model, d_mlp;
    size_t block, stride;        /* neurons of a panel; floats between two of them */
    size_t most_rows;            /* of a group */
    const unsigned char *turned; /* [d_mlp, d_model], or NULL */
    const float *x;
    float *y;
} neurons_job;

/* What one thread works with: a panel, and [rows, block] of each. */
typedef struct neurons_worker {
    float *panel, *gate, *up, *change;
} neurons_worker;

/* ---- memory ---------------------------------------------------------------------- */

static neurons_job make_job(const tl_linear *down, size_t most_rows)
{
    neurons_job j = {.d_model = down->weight.dims[0],
                     .d_mlp = down->weight.dims[1],
                     .most_rows = most_rows};
    j.block = PANEL_BYTES / sizeof(float) / j.d_model / BLOCK_LEAST * BLOCK_LEAST;
    j.block = j.block < BLOCK_LEAST  ? BLOCK_LEAST
              : j.block > BLOCK_MOST ? BLOCK_MOST
                                     : j.block;
    j.stride = j.d_model + PAD;
    return j;
}

static size_t worker_floats(const neurons_job *j)
{
    return j->block * (j->stride + 3 * j->most_rows);
}

size_t tl_cpu_neurons_bytes(size_t n_threads, const tl_linear *down, size_t most_rows,
                            bool turn)
{
    const neurons_job j = make_job(down, most_rows);
    return n_threads * worker_floats(&j) * sizeof(float) +
           (turn ? j.d_model * j.d_mlp * tl_dtype_bytes(down->weight.dtype) : 0);
}

/* ---- panels ---------------------------------------------------------------------- */

/* Turned in a place of its own: neighbours of a column lie apart by powers of two, which
 * would share few sets of a cache. */
static void turn_square(const unsigned char *from, unsigned char *to, size_t size,
                        size_t n_rows, size_t n_columns, size_t r0, size_t c0)
{
    const size_t r1 = r0 + SQUARE < n_rows ? r0 + SQUARE : n_rows,
                 c1 = c0 + SQUARE < n_columns ? c0 + SQUARE : n_columns;
    unsigned char square[SQUARE * SQUARE * sizeof(float)];
    for (size_t r = r0; r < r1; r++)
        for (size_t c = c0; c < c1; c++)
            memcpy(square + ((c - c0) * SQUARE + r - r0) * size,
                   from + (r * n_columns + c) * size, size);
    for (size_t c = c0; c < c1; c++)
        memcpy(to + (c * n_rows + r0) * size, square + (c - c0) * SQUARE * size,
               (r1 - r0) * size);
}

/* to [columns, rows] = from [rows, columns] */
static void turn(size_t n_threads, const tl_tensor *weight, unsigned char *to)
{
    const size_t n_rows = weight->dims[0], n_columns = weight->dims[1];
    const unsigned char *from = weight->data;
    const bool halves = tl_dtype_bytes(weight->dtype) == 2;
#pragma omp parallel for num_threads((int)n_threads) schedule(static)
    for (size_t r = 0; r < n_rows; r += SQUARE)
        for (size_t c = 0; c < n_columns; c += SQUARE) {
            /* With a constant the copies become moves. */
            if (halves)
                turn_square(from, to, 2, n_rows, n_columns, r, c);
            else
                turn_square(from, to, 4, n_rows, n_columns, r, c);
        }
}

/* The weights of a block of neurons, [n, d_model], each a run of neighbours. */
typedef struct block_weights {
    size_t n;
    bool halves; /* bf16, not f32 */
    const unsigned char *of[BLOCK_MOST];
} block_weights;

static bool has_fused(void)
{
#ifdef FUSED
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

/* Whether weights of a type are read where they lie. */
static bool is_direct(const neurons_job *job, tl_dtype dtype)
{
    return dtype == TL_F32 ||
           (dtype == TL_BF16 && job->d_model % 8 == 0 && has_fused());
}

/* W[index[j],:]; in a panel only if it must be. */
static void take_rows(const neurons_job *job, const tl_tensor *weight,
                      const uint32_t *index, size_t n, float *panel, block_weights *out)
{
    const bool direct = is_direct(job, weight->dtype);
    const size_t bytes = job->d_model * tl_dtype_bytes(weight->dtype);
    const unsigned char *data = weight->data;
    out->n = n;
    out->halves = direct && weight->dtype == TL_BF16;
    for (size_t j = 0; j < n; j++) {
        float *to = panel + j * job->stride;
        out->of[j] = direct ? data + index[j] * bytes : (unsigned char *)to;
        if (!direct)
            tl_tensor_to_f32(weight, index[j] * job->d_model, job->d_model, to, NULL);
    }
}

/* W_down[:,index[j]] */
static void take_down(const neurons_job *job, const uint32_t *index, size_t n,
                      float *panel, block_weights *out)
{
    const tl_tensor *down = &job->mlp->down->weight;
    if (job->turned != NULL) {
        tl_tensor turned = *down;
        turned.dims[0] = job->d_mlp;
        turned.dims[1] = job->d_model;
        turned.data = job->turned;
        take_rows(job, &turned, index, n, panel, out);
        return;
    }
    for (size_t c = 0; c < job->d_model; c++)
        for (size_t j = 0; j < n; j++)
            tl_tensor_to_f32(down, c * job->d_mlp + index[j], 1,
                             panel + j * job->stride + c, NULL);
    *out = (block_weights){.n = n};
    for (size_t j = 0; j < n; j++)
        out->of[j] = (unsigned char *)(panel + j * job->stride);
}

/* ---- products -------------------------------------------------------------------- */

#ifdef FUSED
INLINED float sum_of(__m256 v)
{
    const __m128 four =
                     _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)),
                 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/* w[i ... i + 8) */
INLINED __m256 load_weights(const bool halves, const unsigned char *w, size_t i)
{
    if (!halves)
        return _mm256_loadu_ps((const float *)(const void *)w + i);
    const __m128i bits = _mm_loadu_si128(
        (const __m128i *)(const void *)((const uint16_t *)(const void *)w + i));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

/* out[r * n_out + j] = x[r] . w[j] for n_x <= 4 rows and n_w <= 3 neurons. What lies at the
 * same place of `ahead` is asked for, unless it is NULL. */
INLINED void dots_tile(const bool halves, const size_t n_x, const size_t n_w,
                       const float *const *x, const unsigned char *const *w,
                       const unsigned char *const *ahead, size_t d, float *out,
                       size_t n_out)
{
    enum { LINE = 64 };
    const size_t size = halves ? sizeof(uint16_t) : sizeof(float);
    __m256 sum[4][3];
    for (size_t r = 0; r < n_x; r++)
        for (size_t j = 0; j < n_w; j++)
            sum[r][j] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= d; i += 8) {
        __m256 some[3];
        for (size_t j = 0; j < n_w; j++)
            some[j] = load_weights(halves, w[j], i);
        if (ahead != NULL && i * size % LINE == 0)
            for (size_t j = 0; j < n_w; j++)
                _mm_prefetch((const char *)ahead[j] + i * size, _MM_HINT_T1);
        for (size_t r = 0; r < n_x; r++) {
            const __m256 value = _mm256_loadu_ps(x[r] + i);
            for (size_t j = 0; j < n_w; j++)
                sum[r][j] = _mm256_fmadd_ps(value, some[j], sum[r][j]);
        }
    }
    for (size_t r = 0; r < n_x; r++)
        for (size_t j = 0; j < n_w; j++) {
            float all = sum_of(sum[r][j]);
            for (size_t k = i; k < d; k++) /* of f32 alone: see is_direct() */
                all += x[r][k] * ((const float *)(const void *)w[j])[k];
            out[r * n_out + j] = all;
        }
}

INLINED void dots_rows(const bool halves, const size_t n_x, const float *const *x,
                       const block_weights *w, const block_weights *ahead, size_t d,
                       float *out)
{
    size_t j = 0;
    for (; j + 3 <= w->n; j += 3)
        dots_tile(halves, n_x, 3, x, w->of + j, ahead != NULL ? ahead->of + j : NULL, d,
                  out + j, w->n);
    for (; j < w->n; j++)
        dots_tile(halves, n_x, 1, x, w->of + j, ahead != NULL ? ahead->of + j : NULL, d,
                  out + j, w->n);
}

INLINED void dots_of(const bool halves, const float *const *x, size_t n_x,
                     const block_weights *w, const block_weights *ahead, size_t d,
                     float *out)
{
    if (n_x == 4)
        dots_rows(halves, 4, x, w, ahead, d, out);
    else if (n_x == 3)
        dots_rows(halves, 3, x, w, ahead, d, out);
    else if (n_x == 2)
        dots_rows(halves, 2, x, w, ahead, d, out);
    else
        dots_rows(halves, 1, x, w, ahead, d, out);
}

FUSED static void dots_fused(const float *const *x, size_t n_x, const block_weights *w,
                             const block_weights *ahead, size_t d, float *out)
{
    if (w->halves)
        dots_of(true, x, n_x, w, ahead, d, out);
    else
        dots_of(false, x, n_x, w, ahead, d, out);
}

/* y[r][c] += sum_j by[r * n + j] w[j][c] for n_y <= 4 rows and 8 n_c columns. */
INLINED void sums_tile(const bool halves, const size_t n_y, const size_t n_c,
                       const float *by, const block_weights *w, float *const *y,
                       size_t c)
{
    __m256 sum[4][3];
    for (size_t r = 0; r < n_y; r++)
        for (size_t i = 0; i < n_c; i++)
            sum[r][i] = _mm256_setzero_ps();
    for (size_t j = 0; j < w->n; j++) {
        __m256 some[3];
        for (size_t i = 0; i < n_c; i++)
            some[i] = load_weights(halves, w->of[j], c + 8 * i);
        for (size_t r = 0; r < n_y; r++) {
            const __m256 value = _mm256_broadcast_ss(by + r * w->n + j);
            for (size_t i = 0; i < n_c; i++)
                sum[r][i] = _mm256_fmadd_ps(value, some[i], sum[r][i]);
        }
    }
    for (size_t r = 0; r < n_y; r++)
        for (size_t i = 0; i < n_c; i++) {
            float *to = y[r] + c + 8 * i;
            _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), sum[r][i]));
        }
}

/* The columns that vectors of 8 fill; returns how many. */
INLINED size_t sums_rows(const bool halves, const size_t n_y, const float *by,
                         const block_weights *w, size_t d, float *const *y)
{
    size_t c = 0;
    for (; c + 24 <= d; c += 24)
        sums_tile(halves, n_y, 3, by, w, y, c);
    for (; c + 8 <= d; c += 8)
        sums_tile(halves, n_y, 1, by, w, y, c);
    return c;
}

INLINED size_t sums_of(const bool halves, const float *by, size_t n_y,
                       const block_weights *w, size_t d, float *const *y)
{
    return n_y == 4   ? sums_rows(halves, 4, by, w, d, y)
           : n_y == 3 ? sums_rows(halves, 3, by, w, d, y)
           : n_y == 2 ? sums_rows(halves, 2, by, w, d, y)
                      : sums_rows(halves, 1, by, w, d, y);
}

FUSED static size_t sums_fused(const float *by, size_t n_y, const block_weights *w,
                               size_t d, float *const *y)
{
    return w->halves ? sums_of(true, by, n_y, w, d, y)
                     : sums_of(false, by, n_y, w, d, y);
}
#endif

/* out[r * n + j] = x[r] . w[j] */
static void dots(const float *const *x, size_t n_x, const block_weights *w,
                 const block_weights *ahead, size_t d, float *out)
{
#ifdef FUSED
    if (has_fused()) {
        dots_fused(x, n_x, w, ahead, d, out);
        return;
    }
#endif
    (void)ahead;
    for (size_t r = 0; r < n_x; r++)
        for (size_t j = 0; j < w->n; j++)
            out[r * w->n + j] =
                tl_cpu_dot(x[r], (const float *)(const void *)w->of[j], d);
}

/* y[r][c] += sum_j by[r * n + j] w[j][c] */
static void sums(const float *by, size_t n_y, const block_weights *w, size_t d,
                 float *const *y)
{
    size_t first = 0;
#ifdef FUSED
    if (has_fused())
        first = sums_fused(by, n_y, w, d, y);
#endif
    for (size_t r = 0; r < n_y; r++)
        for (size_t c = first; c < d; c++) {
            float sum = 0.0f;
            for (size_t j = 0; j < w->n; j++)
                sum += by[r * w->n + j] * ((const float *)(const void *)w->of[j])[c];
            y[r][c] += sum;
        }
}

/* ---- a group --------------------------------------------------------------------- */

enum { ROWS = 4 };

/* out [rows, n] = x W[index,:]^T + bias; `ahead` comes next. */
static void project(const neurons_job *job, const tl_linear *layer,
                    const block_weights *w, const block_weights *ahead,
                    const uint32_t *index, const tl_neuron_row *rows, size_t n_rows,
                    float *out)
{
    for (size_t r = 0; r < n_rows; r += ROWS) {
        const float *x[ROWS];
        const size_t some = n_rows - r < ROWS ? n_rows - r : ROWS;
        for (size_t i = 0; i < some; i++)
            x[i] = job->x + rows[r + i].x * job->d_model;
        dots(x, some, w, r == 0 ? ahead : NULL, job->d_model, out + r * w->n);
    }
    for (size_t r = 0; layer->bias != NULL && r < n_rows; r++)
        for (size_t j = 0; j < w->n; j++)
            out[r * w->n + j] += layer->bias[index[j]];
}

/* Neurons [first, first + n) of the list, for the rows that want some of them. */
static void run_block(const neurons_job *job, const tl_neuron_group *group,
                      size_t n_rows, size_t first, size_t n,
                      const neurons_worker *worker)
{
    const tl_gated_mlp *mlp = job->mlp;
    const uint32_t *index = group->index + first;
    const tl_neuron_row *rows = group->rows;
    /* A panel holds one of the three at a time. */
    const bool direct = is_direct(job, mlp->up->weight.dtype),
               direct_down =
                   job->turned != NULL && is_direct(job, mlp->down->weight.dtype);
    block_weights gate, up, down;
    take_rows(job, &mlp->gate->weight, index, n, worker->panel, &gate);
    if (direct)
        take_rows(job, &mlp->up->weight, index, n, NULL, &up);
    if (direct_down)
        take_down(job, index, n, NULL, &down);
    project(job, mlp->gate, &gate, direct ? &up : NULL, index, rows, n_rows,
            worker->gate);
    if (!direct)
        take_rows(job, &mlp->up->weight, index, n, worker->panel, &up);
    project(job, mlp->up, &up, direct_down ? &down : NULL, index, rows, n_rows,
            worker->up);
    float *change = worker->change;
    tl_cpu_gated(1, mlp->activation, n_rows * n, worker->gate, worker->up, change);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = 0; j < n; j++)
            change[r * n + j] = first + j < rows[r].n
                                    ? change[r * n + j] - rows[r].base[index[j]]
                                    : 0.0f;
    if (!direct_down)
        take_down(job, index, n, worker->panel, &down);
    for (size_t r = 0; r < n_rows; r += ROWS) {
        float *y[ROWS];
        const size_t some = n_rows - r < ROWS ? n_rows - r : ROWS;
        for (size_t i = 0; i < some; i++)
            y[i] = job->y + rows[r + i].y * job->d_model;
        sums(change + r * n, some, &down, job->d_model, y);
    }
}

static void run_group(const neurons_job *job, const tl_neuron_group *group,
                      const neurons_worker *w)
{
    size_t n_rows = group->n_rows;
    const size_t n = n_rows > 0 ? group->rows[0].n : 0;
    for (size_t first = 0; first < n; first += job->block) {
        while (group->rows[n_rows - 1].n <= first)
            n_rows--;
        run_block(job, group, n_rows, first,
                  n - first < job->block ? n - first : job->block, w);
    }
}

tl_status tl_cpu_neurons(size_t n_threads, tl_cpu_scratch *scratch,
                         const tl_gated_mlp *mlp, size_t n_groups,
                         const tl_neuron_group *groups, const float *x, float *y,
                         tl_error *err)
{
    size_t most = 1;
    for (size_t g = 0; g < n_groups; g++)
        most = groups[g].n_rows > most ? groups[g].n_rows : most;
    tl_status status = tl_gated_mlp_check(mlp, err);
    if (status == TL_OK)
        status = tl_cpu_scratch_reserve(
            scratch, tl_cpu_neurons_bytes(n_threads, mlp->down, most, false), err);
    if (status != TL_OK)
        return status;
    neurons_job job = make_job(mlp->down, most);
    job.mlp = mlp;
    job.x = x;
    job.y = y;
    float *workers = scratch->memory;
    const size_t each = worker_floats(&job);
    if (scratch->bytes >= tl_cpu_neurons_bytes(n_threads, mlp->down, most, true)) {
        unsigned char *turned = (unsigned char *)(workers + n_threads * each);
        turn(n_threads, &mlp->down->weight, turned);
        job.turned = turned;
    }
#pragma omp parallel for num_threads((int)n_threads) schedule(dynamic)
    for (size_t g = 0; g < n_groups; g++) {
        float *at = workers + (size_t)omp_get_thread_num() * each;
        const neurons_worker w = {at, at + job.block * job.stride,
                                  at + job.block * (job.stride + most),
                                  at + job.block * (job.stride + 2 * most)};
        run_group(&job, &groups[g], &w);
    }
    return TL_OK;
}
