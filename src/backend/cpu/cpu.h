/* SPDX-License-Identifier: MIT
 *
 * cpu.h - the parts of the cpu backend: oneDNN for products (cpu_linear.c), OpenMP
 * and the compiler's vectors around them (cpu_attention.c, cpu_pointwise.c).
 *
 * The promise of backend.h is kept by construction: every number is made by one
 * thread, in an order that depends on its own row, prompt or head alone, and the
 * threads only share out whole units of that kind.
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_H
#define TWINLENS_BACKEND_CPU_CPU_H

#include "backend/backend.h"

/*
 * Hot loops are compiled several times, for wider vectors where the machine has
 * them, and the loader picks one. The results of two such machines may differ in
 * the last bits, those of two runs on one machine never do. (Not with sanitizers:
 * the picking happens before they are ready.)
 */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) &&                  \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && defined(__OPTIMIZE__)
#define TL_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TL_WIDE
#endif

/* Products: state of its own, because it holds oneDNN's objects and the panels. */
typedef struct tl_cpu_linear tl_cpu_linear;

tl_status tl_cpu_linear_create(size_t n_threads, size_t cache_bytes,
                               tl_cpu_linear **out, tl_error *err);
void tl_cpu_linear_destroy(tl_cpu_linear *linear);
bool tl_cpu_linear_is_fast_in_bf16(void);
tl_status tl_cpu_linear_forward(tl_cpu_linear *linear, const tl_linear *layer,
                                size_t rows, const float *x, float *y, bool add,
                                tl_error *err);
tl_status tl_cpu_linear_backward(tl_cpu_linear *linear, const tl_linear *layer,
                                 size_t rows, const float *dy, float *dx, bool add,
                                 tl_error *err);
tl_status tl_cpu_linear_rows(tl_cpu_linear *linear, const tl_linear *layer, size_t n,
                             const uint32_t *index, size_t rows, const float *x,
                             float *y, bool add, tl_error *err);
tl_status tl_cpu_linear_columns(tl_cpu_linear *linear, const tl_linear *layer, size_t n,
                                const uint32_t *index, size_t rows, const float *x,
                                float *y, bool add, tl_error *err);

/* The rest takes a number of threads and the arguments of src/op. */

/* Memory that is kept from call to call and grows when it is too small. */
typedef struct tl_cpu_scratch {
    void *memory;
    size_t bytes;
} tl_cpu_scratch;
/* At least `bytes`, with undefined contents. TL_ERR_NO_MEMORY leaves it empty. */
tl_status tl_cpu_scratch_reserve(tl_cpu_scratch *scratch, size_t bytes, tl_error *err);

size_t tl_cpu_attention_bytes(size_t n_threads, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward);
/* Into how many pieces that work is cut, for threads to share out. */
size_t tl_cpu_attention_units(size_t n_threads, const tl_attention *shape,
                              size_t n_prompts, const tl_attention_prompt *prompts,
                              bool backward);
tl_status tl_cpu_attention(size_t n_threads, tl_cpu_scratch *scratch,
                           const tl_attention *shape, size_t n_prompts,
                           const tl_attention_prompt *prompts, const float *q,
                           const float *k, const float *v, float *z, float *lse,
                           tl_error *err);
tl_status tl_cpu_attention_some(size_t n_threads, tl_cpu_scratch *scratch,
                                const tl_attention *shape, size_t n_prompts,
                                const tl_attention_prompt *prompts, size_t n,
                                const tl_attention_query *queries, const float *q,
                                const float *k, const float *v, float *z,
                                tl_error *err);
tl_status tl_cpu_attention_backward(size_t n_threads, tl_cpu_scratch *scratch,
                                    tl_backward_rule rule, const tl_attention *shape,
                                    size_t n_prompts,
                                    const tl_attention_prompt *prompts, const float *q,
                                    const float *k, const float *v, const float *z,
                                    const float *lse, const float *dz, float *dq,
                                    float *dk, float *dv, tl_error *err);

/* See `neurons` in backend.h. With a scratch of tl_cpu_neurons_bytes(.., true) bytes the
 * weights of `down` are turned round first, or else read as they lie, which is slow. */
size_t tl_cpu_neurons_bytes(size_t n_threads, const tl_linear *down, size_t most_rows,
                            bool turn);
tl_status tl_cpu_neurons(size_t n_threads, tl_cpu_scratch *scratch,
                         const tl_gated_mlp *mlp, size_t n_groups,
                         const tl_neuron_group *groups, const float *x, float *y,
                         tl_error *err);

void tl_cpu_rmsnorm(size_t n_threads, size_t rows, size_t width, float eps,
                    const float *x, const float *weight, float *y, float *inv_rms);
void tl_cpu_rmsnorm_backward(size_t n_threads, tl_backward_rule rule, size_t rows,
                             size_t width, const float *x, const float *weight,
                             const float *inv_rms, const float *dy, float *dx);
void tl_cpu_layernorm(size_t n_threads, size_t rows, size_t width, float eps,
                      const float *x, const float *weight, const float *bias, float *y);
void tl_cpu_rotary(size_t n_threads, size_t rows, size_t n_heads, size_t d_head,
                   const float *cosine, const float *sine, bool inverse, float *x);
void tl_cpu_activate(size_t n_threads, tl_activation kind, size_t count, float *x);
void tl_cpu_gated(size_t n_threads, tl_activation kind, size_t count, const float *gate,
                  const float *up, float *y);
void tl_cpu_gated_backward(size_t n_threads, tl_backward_rule rule, tl_activation kind,
                           size_t count, const float *gate, const float *up,
                           const float *dy, float *dgate, float *dup);
void tl_cpu_add(size_t n_threads, size_t count, const float *x, float *y);
void tl_cpu_copy(size_t n_threads, size_t count, const float *x, float *y);
void tl_cpu_fill(size_t n_threads, size_t count, float value, float *x);
void tl_cpu_copy_rows(size_t n_threads, size_t n, size_t width,
                      const uint32_t *from_rows, const float *x,
                      const uint32_t *to_rows, float *y);
void tl_cpu_read(size_t n_threads, tl_read_rule rule, size_t count, const float *x,
                 float *y);
void tl_cpu_edit(size_t n_threads, const tl_edit_rows *edit, float *x);
void tl_cpu_softcap(size_t n_threads, size_t count, float cap, float *x);

/* Sums run in LANES interleaved parts that are then added pairwise: the compiler can
 * make a vector of them, and their order is the same whatever it makes. */
enum { TL_LANES = 16 };

static inline float tl_cpu_dot(const float *x, const float *y, size_t n)
{
    float lane[TL_LANES] = {0.0f};
    size_t i = 0;
    for (; i + TL_LANES <= n; i += TL_LANES)
        for (size_t l = 0; l < TL_LANES; l++)
            lane[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i < n; i++, l++)
        lane[l] += x[i] * y[i];
    for (size_t half = TL_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* What a product may allocate beyond the cache: panels and tiles, in `bf16` the rows. */
size_t tl_backend_cpu_scratch_bytes(size_t n_threads, size_t max_in, size_t max_out,
                                    bool bf16);

/* exp(r) for |r| <= ln 2 / 2: its Taylor series to r^7/7!. */
static inline float tl_cpu_exp_series(float r)
{
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    return (p * r) * r + r + 1.0f;
}

/* x - n ln 2, with ln 2 in two parts, the first exact. */
static inline float tl_cpu_exp_rest(float x, float n)
{
    return (x - n * 0.693359375f) + n * 2.12194440e-4f;
}

/*
 * exp(x) to about 1 ulp, as a sequence of additions and multiplications that the
 * compiler can turn into vectors: x = n ln 2 + r, a polynomial for exp r, and n put into
 * the exponent. 0 below -87.3; infinity above 88.7; a NaN stays one.
 */
static inline float tl_cpu_exp(float x)
{
    /* Not "x < -87.3f": a NaN, which no integer holds, has to be bounded too. */
    const float bounded = !(x >= -87.3f) ? -87.3f : x > 88.7f ? 88.7f : x;
    const float shifted = bounded * 1.44269504f + 12582912.0f; /* 1.5 2^23: rounds */
    const float n = shifted - 12582912.0f;
    const float p = tl_cpu_exp_series(tl_cpu_exp_rest(bounded, n));
    /* In two halves: n may be 128, and 2^128 is no float. */
    const int32_t i = (int32_t)n, half = i >> 1;
    const union {
        int32_t bits;
        float value;
    } low = {(half + 127) << 23}, high = {(i - half + 127) << 23};
    const float y = p * low.value * high.value;
    return x < -87.3f ? 0.0f : x > 88.7f ? (float)1e39 : x == x ? y : x;
}

/* The same for x <= 88, in fewer steps: n is read from the last bits of what rounds it. */
static inline float tl_cpu_exp_below(float x)
{
    const float bounded = -87.3f > x ? -87.3f : x; /* a NaN stays one */
    const union {
        float value;
        uint32_t bits;
    } shifted = {bounded * 1.44269504f + 12582912.0f};
    const float n = shifted.value - 12582912.0f;
    const float p = tl_cpu_exp_series(tl_cpu_exp_rest(bounded, n));
    const union {
        uint32_t bits;
        float value;
    } power = {(shifted.bits + 127u) << 23};
    const float y = p * power.value;
    return x < -87.3f ? 0.0f : y;
}

#endif
