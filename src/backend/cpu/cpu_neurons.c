/* SPDX-License-Identifier: MIT
 *
 * cpu_neurons.c - some neurons of a gated MLP (op/neurons.h says what it is).
 *
 * A thread takes a group. It goes through the group's list a block of neurons at a time,
 * as many as keep a panel of their weights, f32 [block, d_model], in a near cache: gate,
 * then up, then down. Every row that wants some of the block takes the panel: the same
 * weights serve all of a group's rows.
 *
 * The neurons of `down` are columns, and lie apart. If there is memory for it, the whole
 * weight is turned round first, as it is in its file's type: with it a neuron is a run of
 * neighbours. Panels are the same with and without.
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
    SQUARE = 32,
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

static void turn_square(const unsigned char *from, unsigned char *to, size_t size,
                        size_t n_rows, size_t n_columns, size_t r0, size_t c0)
{
    const size_t r1 = r0 + SQUARE < n_rows ? r0 + SQUARE : n_rows,
                 c1 = c0 + SQUARE < n_columns ? c0 + SQUARE : n_columns;
    for (size_t c = c0; c < c1; c++)
        for (size_t r = r0; r < r1; r++)
            memcpy(to + (c * n_rows + r) * size, from + (r * n_columns + c) * size,
                   size);
}

/* to [columns, rows] = from [rows, columns] */
static void turn(size_t n_threads, const tl_tensor *weight, unsigned char *to)
{
    const size_t n_rows = weight->dims[0], n_columns = weight->dims[1];
    const unsigned char *from = weight->data;
    const bool halves = tl_dtype_bytes(weight->dtype) == 2;
#pragma omp parallel for num_threads((int)n_threads) schedule(static)
    for (size_t c = 0; c < n_columns; c += SQUARE)
        for (size_t r = 0; r < n_rows; r += SQUARE) {
            /* With a constant the copies become moves. */
            if (halves)
                turn_square(from, to, 2, n_rows, n_columns, r, c);
            else
                turn_square(from, to, 4, n_rows, n_columns, r, c);
        }
}

#ifdef FUSED
static bool has_fused(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* Neighbours in a list are far apart in the weight: the next is asked for in time. */
FUSED static void widen_bf16_rows(const unsigned char *from, const uint32_t *index,
                                  size_t n, size_t d, float *panel, size_t stride)
{
    enum { HALF = 2, LINE = 64 };
    for (size_t j = 0; j < n; j++) {
        const unsigned char *row = from + index[j] * d * HALF;
        const unsigned char *next = j + 1 < n ? from + index[j + 1] * d * HALF : row;
        float *to = panel + j * stride;
        for (size_t i = 0; i < d; i += 8) {
            const __m128i bits =
                _mm_loadu_si128((const __m128i *)(const void *)(row + i * HALF));
            _mm256_storeu_ps(to + i, _mm256_castsi256_ps(_mm256_slli_epi32(
                                         _mm256_cvtepu16_epi32(bits), 16)));
            if (i * HALF % LINE == 0)
                _mm_prefetch((const char *)next + i * HALF, _MM_HINT_T0);
        }
    }
}
#endif

/* panel[j,:] = W[index[j],:] */
static void fill_rows(const neurons_job *job, const tl_tensor *weight,
                      const uint32_t *index, size_t n, float *panel)
{
#ifdef FUSED
    if (weight->dtype == TL_BF16 && job->d_model % 8 == 0 && has_fused()) {
        widen_bf16_rows(weight->data, index, n, job->d_model, panel, job->stride);
        return;
    }
#endif
    for (size_t j = 0; j < n; j++)
        tl_tensor_to_f32(weight, index[j] * job->d_model, job->d_model,
                         panel + j * job->stride, NULL);
}

/* panel[j,:] = W_down[:,index[j]] */
static void fill_down(const neurons_job *job, const uint32_t *index, size_t n,
                      float *panel)
{
    const tl_tensor *down = &job->mlp->down->weight;
    if (job->turned != NULL) {
        tl_tensor turned = *down;
        turned.dims[0] = job->d_mlp;
        turned.dims[1] = job->d_model;
        turned.data = job->turned;
        fill_rows(job, &turned, index, n, panel);
        return;
    }
    for (size_t c = 0; c < job->d_model; c++)
        for (size_t j = 0; j < n; j++)
            tl_tensor_to_f32(down, c * job->d_mlp + index[j], 1,
                             panel + j * job->stride + c, NULL);
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

/* out[r * n_out + j] = x[r] . w[j] for n_x <= 4 rows and n_w <= 3 neurons. */
INLINED void dots_tile(const size_t n_x, const size_t n_w, const float *const *x,
                       const float *w, size_t stride, size_t d, float *out,
                       size_t n_out)
{
    __m256 sum[4][3];
    for (size_t r = 0; r < n_x; r++)
        for (size_t j = 0; j < n_w; j++)
            sum[r][j] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= d; i += 8) {
        __m256 some[3];
        for (size_t j = 0; j < n_w; j++)
            some[j] = _mm256_loadu_ps(w + j * stride + i);
        for (size_t r = 0; r < n_x; r++) {
            const __m256 value = _mm256_loadu_ps(x[r] + i);
            for (size_t j = 0; j < n_w; j++)
                sum[r][j] = _mm256_fmadd_ps(value, some[j], sum[r][j]);
        }
    }
    for (size_t r = 0; r < n_x; r++)
        for (size_t j = 0; j < n_w; j++) {
            float all = sum_of(sum[r][j]);
            for (size_t k = i; k < d; k++)
                all += x[r][k] * w[j * stride + k];
            out[r * n_out + j] = all;
        }
}

FUSED static void dots_fused(const float *const *x, size_t n_x, const float *w,
                             size_t stride, size_t d, size_t n, float *out)
{
    size_t j = 0;
    for (; j + 3 <= n; j += 3)
        if (n_x == 4)
            dots_tile(4, 3, x, w + j * stride, stride, d, out + j, n);
        else
            for (size_t r = 0; r < n_x; r++)
                dots_tile(1, 3, x + r, w + j * stride, stride, d, out + r * n + j, n);
    for (; j < n; j++)
        for (size_t r = 0; r < n_x; r++)
            dots_tile(1, 1, x + r, w + j * stride, stride, d, out + r * n + j, n);
}

/* y[r][c] += sum_j by[r * n + j] w[j][c] for n_y <= 4 rows and 8 n_c columns. */
INLINED void sums_tile(const size_t n_y, const size_t n_c, const float *by, size_t n,
                       const float *w, size_t stride, float *const *y, size_t c)
{
    __m256 sum[4][3];
    for (size_t r = 0; r < n_y; r++)
        for (size_t i = 0; i < n_c; i++)
            sum[r][i] = _mm256_setzero_ps();
    for (size_t j = 0; j < n; j++) {
        __m256 some[3];
        for (size_t i = 0; i < n_c; i++)
            some[i] = _mm256_loadu_ps(w + j * stride + c + 8 * i);
        for (size_t r = 0; r < n_y; r++) {
            const __m256 value = _mm256_broadcast_ss(by + r * n + j);
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
FUSED static size_t sums_fused(const float *by, size_t n_y, size_t n, const float *w,
                               size_t stride, size_t d, float *const *y)
{
    size_t c = 0;
    for (; c + 24 <= d; c += 24)
        if (n_y == 4)
            sums_tile(4, 3, by, n, w, stride, y, c);
        else
            for (size_t r = 0; r < n_y; r++)
                sums_tile(1, 3, by + r * n, n, w, stride, y + r, c);
    for (; c + 8 <= d; c += 8)
        for (size_t r = 0; r < n_y; r++)
            sums_tile(1, 1, by + r * n, n, w, stride, y + r, c);
    return c;
}
#endif

/* out[r * n + j] = x[r] . w[j] */
static void dots(const float *const *x, size_t n_x, const float *w, size_t stride,
                 size_t d, size_t n, float *out)
{
#ifdef FUSED
    if (has_fused()) {
        dots_fused(x, n_x, w, stride, d, n, out);
        return;
    }
#endif
    for (size_t r = 0; r < n_x; r++)
        for (size_t j = 0; j < n; j++)
            out[r * n + j] = tl_cpu_dot(x[r], w + j * stride, d);
}

/* y[r][c] += sum_j by[r * n + j] w[j][c] */
static void sums(const float *by, size_t n_y, size_t n, const float *w, size_t stride,
                 size_t d, float *const *y)
{
    size_t first = 0;
#ifdef FUSED
    if (has_fused())
        first = sums_fused(by, n_y, n, w, stride, d, y);
#endif
    for (size_t r = 0; r < n_y; r++)
        for (size_t c = first; c < d; c++) {
            float sum = 0.0f;
            for (size_t j = 0; j < n; j++)
                sum += by[r * n + j] * w[j * stride + c];
            y[r][c] += sum;
        }
}

/* ---- a group --------------------------------------------------------------------- */

enum { ROWS = 4 };

/* out [rows, n] = x W[index,:]^T + bias */
static void project(const neurons_job *job, const tl_linear *layer,
                    const uint32_t *index, size_t n, const tl_neuron_row *rows,
                    size_t n_rows, float *panel, float *out)
{
    fill_rows(job, &layer->weight, index, n, panel);
    for (size_t r = 0; r < n_rows; r += ROWS) {
        const float *x[ROWS];
        const size_t some = n_rows - r < ROWS ? n_rows - r : ROWS;
        for (size_t i = 0; i < some; i++)
            x[i] = job->x + rows[r + i].x * job->d_model;
        dots(x, some, panel, job->stride, job->d_model, n, out + r * n);
    }
    for (size_t r = 0; layer->bias != NULL && r < n_rows; r++)
        for (size_t j = 0; j < n; j++)
            out[r * n + j] += layer->bias[index[j]];
}

/* Neurons [first, first + n) of the list, for the rows that want some of them. */
static void run_block(const neurons_job *job, const tl_neuron_group *group,
                      size_t n_rows, size_t first, size_t n, const neurons_worker *w)
{
    const uint32_t *index = group->index + first;
    const tl_neuron_row *rows = group->rows;
    project(job, job->mlp->gate, index, n, rows, n_rows, w->panel, w->gate);
    project(job, job->mlp->up, index, n, rows, n_rows, w->panel, w->up);
    float *change = w->change;
    tl_cpu_gated(1, job->mlp->activation, n_rows * n, w->gate, w->up, change);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = 0; j < n; j++)
            change[r * n + j] = first + j < rows[r].n
                                    ? change[r * n + j] - rows[r].base[index[j]]
                                    : 0.0f;
    fill_down(job, index, n, w->panel);
    for (size_t r = 0; r < n_rows; r += ROWS) {
        float *y[ROWS];
        const size_t some = n_rows - r < ROWS ? n_rows - r : ROWS;
        for (size_t i = 0; i < some; i++)
            y[i] = job->y + rows[r + i].y * job->d_model;
        sums(change + r * n, some, n, w->panel, job->stride, job->d_model, y);
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
