/* SPDX-License-Identifier: MIT
 *
 * test_attention.c - the attention kernels against their definition in double.
 *
 * The oracle lays out one prompt whole, keys with their prefix, and draws a matrix of
 * who sees whom from ranges. It shares no code with the kernels. Gradients are held to
 * its central differences, and to the formulas fed with the f32 z and lse that the
 * kernels keep between the passes: the first says that they are right, the second that
 * they are summed in double.
 */
#include "testing.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "op/attention.h"

enum {
    MAX_PROMPTS = 3,
    MAX_POS = 24,
    MAX_HEADS = 6,
    MAX_CHANNELS = 640, /* of all heads of a position */
    MAX_ROWS = 48,      /* of all prompts, with the gaps between them */
    MAX_COUNT = MAX_ROWS * MAX_CHANNELS,
    GAP = 2, /* rows before and after each prompt, which nobody may touch */
};

typedef struct part {
    size_t n_query, n_key, n_prefix;
    const char *blocks; /* one letter per position; '.' is no block; NULL is none */
} part;

typedef struct problem {
    const char *name;
    tl_attention shape; /* scale 0 stands for 1 / sqrt D */
    float outlier;      /* multiplies channel 0 of every key; 0 stands for 1 */
    part parts[MAX_PROMPTS];
} problem;

#define CAUSAL .causal = true
static const problem problems[] = {
    {"one position", {1, 1, 1, CAUSAL}, 0, {{1, 1, 0, NULL}}},
    {"one head", {1, 1, 3, CAUSAL}, 0, {{5, 5, 0, NULL}}},
    {"a head per head", {4, 4, 4, CAUSAL}, 0, {{6, 6, 0, NULL}}},
    {"all heads on one", {6, 1, 5, CAUSAL}, 0, {{6, 6, 0, NULL}}},
    {"pairs of heads", {6, 3, 4, CAUSAL}, 0, {{7, 7, 0, NULL}}},
    {"not causal", {2, 2, 8, .causal = false}, 0, {{7, 7, 0, NULL}}},
    {"not causal, window", {2, 1, 4, .window = 3}, 0, {{8, 8, 0, NULL}}},
    {"window 1", {2, 1, 4, .window = 1, CAUSAL}, 0, {{6, 6, 0, NULL}}},
    {"window 3", {2, 1, 4, .window = 3, CAUSAL}, 0, {{9, 9, 0, NULL}}},
    {"window of all", {2, 1, 4, .window = 9, CAUSAL}, 0, {{9, 9, 0, NULL}}},
    {"soft cap",
     {4, 2, 4, .scale = 3.0f, .softcap = 2.0f, CAUSAL},
     0,
     {{6, 6, 0, NULL}}},
    {"a block", {2, 2, 4, CAUSAL}, 0, {{8, 8, 0, "..aaaa.."}}},
    {"two blocks, window", {2, 1, 4, .window = 2, CAUSAL}, 0, {{9, 9, 0, "aaa..bbba"}}},
    {"a block of all", {2, 1, 4, CAUSAL}, 0, {{6, 6, 0, "aaaaaa"}}},
    {"last query", {4, 2, 4, CAUSAL}, 0, {{1, 9, 0, NULL}}},
    {"last query, window", {4, 2, 4, .window = 3, CAUSAL}, 0, {{1, 9, 0, NULL}}},
    {"last queries, block", {4, 2, 4, CAUSAL}, 0, {{4, 8, 0, "...aaaa."}}},
    {"prefix", {4, 2, 4, CAUSAL}, 0, {{4, 4, 5, NULL}}},
    {"prefix of all but one", {4, 2, 4, CAUSAL}, 0, {{1, 1, 11, NULL}}},
    {"prefix, last query", {4, 2, 4, CAUSAL}, 0, {{1, 4, 5, NULL}}},
    {"prefix, window", {4, 2, 4, .window = 4, CAUSAL}, 0, {{5, 5, 6, NULL}}},
    {"prefix, block", {2, 1, 4, .window = 2, CAUSAL}, 0, {{5, 5, 4, ".aaaaaaa."}}},
    {"queries in the prefix", {2, 1, 4, CAUSAL}, 0, {{6, 4, 5, NULL}}},
    {"ragged",
     {4, 2, 4, CAUSAL},
     0,
     {{5, 5, 0, NULL}, {1, 1, 0, NULL}, {8, 8, 0, NULL}}},
    {"ragged, everything",
     {4, 2, 6, .scale = 0.5f, .softcap = 5.0f, .window = 3, CAUSAL},
     0,
     {{3, 5, 4, "..aaaa..."}, {1, 7, 0, NULL}, {4, 4, 3, "bbbb.cc"}}},
    {"outlier channel", {4, 2, 4, CAUSAL}, 40.0f, {{7, 7, 0, NULL}}},
    {"outlier, soft cap",
     {4, 2, 4, .softcap = 50.0f, CAUSAL},
     40.0f,
     {{7, 7, 0, NULL}}},
    {"wider than a tile", {2, 1, 300, CAUSAL}, 0, {{3, 3, 0, NULL}}},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

/* ---- one problem laid out -------------------------------------------------------- */

typedef struct arrays {
    tl_attention shape;
    size_t n_prompts, q_rows, k_rows;
    tl_attention_prompt prompts[MAX_PROMPTS];
    int32_t blocks[MAX_PROMPTS][MAX_POS];
    float prefix_k[MAX_PROMPTS][MAX_POS * MAX_CHANNELS];
    float prefix_v[MAX_PROMPTS][MAX_POS * MAX_CHANNELS];
    float q[MAX_COUNT], k[MAX_COUNT], v[MAX_COUNT], z[MAX_COUNT], dz[MAX_COUNT];
    float dq[MAX_COUNT], dk[MAX_COUNT], dv[MAX_COUNT], lse[MAX_ROWS * MAX_HEADS];
} arrays;

static arrays a; /* too large for the stack */

static const float untouched = -12345.0f;

static void draw(uint32_t *seed, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = test_uniform(seed);
}

static void fill(size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = untouched;
}

static void scale_channel_0(size_t count, size_t d_head, float factor, float *k)
{
    for (size_t i = 0; i < count; i += d_head)
        k[i] *= factor;
}

static void lay_out(const problem *p)
{
    uint32_t seed = 6021023u;
    a.shape = p->shape;
    if (a.shape.scale == 0.0f)
        a.shape.scale = 1.0f / sqrtf((float)a.shape.d_head);
    a.n_prompts = 0;
    a.q_rows = a.k_rows = GAP;
    const float outlier = p->outlier == 0.0f ? 1.0f : p->outlier;
    const size_t width = a.shape.n_kv_heads * a.shape.d_head;
    for (size_t n = 0; n < MAX_PROMPTS && p->parts[n].n_key > 0; n++) {
        const part *from = &p->parts[n];
        a.prompts[n] = (tl_attention_prompt){
            .q_row = a.q_rows,
            .n_query = from->n_query,
            .k_row = a.k_rows,
            .n_key = from->n_key,
            .n_prefix = from->n_prefix,
            .prefix_k = from->n_prefix > 0 ? a.prefix_k[n] : NULL,
            .prefix_v = from->n_prefix > 0 ? a.prefix_v[n] : NULL,
            .block = from->blocks != NULL ? a.blocks[n] : NULL,
        };
        for (size_t j = 0; from->blocks != NULL && j < strlen(from->blocks); j++)
            a.blocks[n][j] = from->blocks[j] == '.' ? -1 : from->blocks[j] - 'a';
        draw(&seed, from->n_prefix * width, a.prefix_k[n]);
        draw(&seed, from->n_prefix * width, a.prefix_v[n]);
        scale_channel_0(from->n_prefix * width, a.shape.d_head, outlier, a.prefix_k[n]);
        a.q_rows += from->n_query + GAP;
        a.k_rows += from->n_key + GAP;
        a.n_prompts++;
    }
    draw(&seed, a.q_rows * a.shape.n_heads * a.shape.d_head, a.q);
    draw(&seed, a.q_rows * a.shape.n_heads * a.shape.d_head, a.dz);
    draw(&seed, a.k_rows * width, a.k);
    draw(&seed, a.k_rows * width, a.v);
    scale_channel_0(a.k_rows * width, a.shape.d_head, outlier, a.k);
}

static void run(const problem *p)
{
    lay_out(p);
    fill(MAX_COUNT, a.z);
    fill(MAX_ROWS * MAX_HEADS, a.lse);
    fill(MAX_COUNT, a.dq);
    fill(MAX_COUNT, a.dk);
    fill(MAX_COUNT, a.dv);
    tl_attention_forward(&a.shape, a.n_prompts, a.prompts, a.q, a.k, a.v, a.z, a.lse);
    tl_attention_backward(TL_BACKWARD_GRADIENT, &a.shape, a.n_prompts, a.prompts, a.q,
                          a.k, a.v, a.z, a.lse, a.dz, a.dq, a.dk, a.dv);
}

static void assert_near(const problem *p, const char *what, size_t i, double got,
                        double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%s: %s[%zu] is %.9g, wanted %.9g within %.2g", p->name, what, i, got,
                 want, within);
}

/* ---- the oracle -------------------------------------------------------------------- */

/* One prompt in double: positions from its first key, prefix included. */
typedef struct whole {
    size_t n_pos, n_query;
    double q[MAX_POS][MAX_CHANNELS], k[MAX_POS][MAX_CHANNELS], v[MAX_POS][MAX_CHANNELS];
    bool sees[MAX_POS][MAX_POS];
    double z[MAX_POS][MAX_CHANNELS], lse[MAX_POS][MAX_HEADS];
    double dq[MAX_POS][MAX_CHANNELS], dk[MAX_POS][MAX_CHANNELS];
    double dv[MAX_POS][MAX_CHANNELS];
} whole;

static whole w;

static void widen(size_t rows, size_t width, const float *from,
                  double (*to)[MAX_CHANNELS])
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++)
            to[r][c] = (double)from[r * width + c];
}

static void lay_out_whole(size_t n)
{
    const tl_attention_prompt *p = &a.prompts[n];
    const size_t q_width = a.shape.n_heads * a.shape.d_head;
    const size_t k_width = a.shape.n_kv_heads * a.shape.d_head;
    w.n_pos = p->n_prefix + p->n_key;
    w.n_query = p->n_query;
    widen(p->n_query, q_width, a.q + p->q_row * q_width, w.q);
    widen(p->n_prefix, k_width, a.prefix_k[n], w.k);
    widen(p->n_prefix, k_width, a.prefix_v[n], w.v);
    widen(p->n_key, k_width, a.k + p->k_row * k_width, w.k + p->n_prefix);
    widen(p->n_key, k_width, a.v + p->k_row * k_width, w.v + p->n_prefix);

    memset(w.sees, 0, sizeof w.sees);
    for (size_t i = 0; i < w.n_pos; i++) {
        const size_t reach = a.shape.window == 0 ? w.n_pos : a.shape.window;
        const size_t first = i + 1 < reach ? 0 : i + 1 - reach;
        const size_t end = a.shape.causal ? i + 1 : w.n_pos;
        for (size_t j = first; j < end; j++)
            w.sees[i][j] = true;
    }
    for (int32_t block = 0; p->block != NULL && block < 26; block++)
        for (size_t i = 0; i < w.n_pos; i++)
            for (size_t j = 0; j < w.n_pos; j++)
                if (p->block[i] == block && p->block[j] == block)
                    w.sees[i][j] = true;
}

/* The score of query `row`, head h and position j, cap included. */
static double score(size_t row, size_t h, size_t j)
{
    const size_t D = a.shape.d_head, kv = h * a.shape.n_kv_heads / a.shape.n_heads;
    const double cap = (double)a.shape.softcap;
    double s = 0.0;
    for (size_t c = 0; c < D; c++)
        s += w.q[row][h * D + c] * w.k[j][kv * D + c] * (double)a.shape.scale;
    /* tanh(t) = 1 - 2 / (exp(2t) + 1) */
    return cap != 0.0 ? cap * (1.0 - 2.0 / (exp(2.0 * s / cap) + 1.0)) : s;
}

/* Fills z and lse; returns sum dz z, whose gradient the backward pass gives. */
static double attend(size_t n)
{
    const size_t D = a.shape.d_head, H = a.shape.n_heads;
    const float *dz = a.dz + a.prompts[n].q_row * H * D;
    double loss = 0.0;
    for (size_t row = 0; row < w.n_query; row++)
        for (size_t h = 0; h < H; h++) {
            const bool *sees = w.sees[w.n_pos - w.n_query + row];
            const size_t kv = h * a.shape.n_kv_heads / H * D;
            double s[MAX_POS], top = -INFINITY, sum = 0.0;
            for (size_t j = 0; j < w.n_pos; j++) {
                s[j] = score(row, h, j);
                if (sees[j] && s[j] > top)
                    top = s[j];
            }
            for (size_t j = 0; j < w.n_pos; j++)
                sum += sees[j] ? exp(s[j] - top) : 0.0;
            w.lse[row][h] = top + log(sum);
            for (size_t c = 0; c < D; c++) {
                double z = 0.0;
                for (size_t j = 0; j < w.n_pos; j++)
                    z += sees[j] ? exp(s[j] - top) / sum * w.v[j][kv + c] : 0.0;
                w.z[row][h * D + c] = z;
                loss += (double)dz[(row * H + h) * D + c] * z;
            }
        }
    return loss;
}

static double finite_difference(size_t n, double *input)
{
    const double h = 1e-5, value = *input;
    *input = value + h;
    const double up = attend(n);
    *input = value - h;
    const double down = attend(n);
    *input = value;
    return (up - down) / (2.0 * h);
}

/* dq, dk and dv of the formulas, from the kernel's own z and lse. */
static void differentiate(size_t n)
{
    const size_t D = a.shape.d_head, H = a.shape.n_heads;
    const size_t q_first = a.prompts[n].q_row * H;
    memset(w.dq, 0, sizeof w.dq);
    memset(w.dk, 0, sizeof w.dk);
    memset(w.dv, 0, sizeof w.dv);
    for (size_t j = 0; j < w.n_pos; j++)
        for (size_t row = 0; row < w.n_query; row++)
            for (size_t h = 0; h < H; h++) {
                if (!w.sees[w.n_pos - w.n_query + row][j])
                    continue;
                const size_t at = q_first + row * H + h;
                const size_t kv = h * a.shape.n_kv_heads / H * D;
                const double cap = (double)a.shape.softcap, s = score(row, h, j);
                const double pattern = exp(s - (double)a.lse[at]);
                double ds = 0.0; /* of the score before the cap */
                for (size_t c = 0; c < D; c++)
                    ds += pattern * (double)a.dz[at * D + c] *
                          (w.v[j][kv + c] - (double)a.z[at * D + c]);
                if (cap != 0.0)
                    ds *= (cap - s) * (cap + s) / (cap * cap);
                for (size_t c = 0; c < D; c++) {
                    w.dq[row][h * D + c] += ds * (double)a.shape.scale * w.k[j][kv + c];
                    w.dk[j][kv + c] += ds * (double)a.shape.scale * w.q[row][h * D + c];
                    w.dv[j][kv + c] += pattern * (double)a.dz[at * D + c];
                }
            }
}

/* ---- tests --------------------------------------------------------------------------- */

/* Half a last place, and what double sums leave. */
static double rounded_once(double want)
{
    return 0.5 * FLT_EPSILON * fabs(want) + 1e-13;
}

static void assert_forward(const problem *p)
{
    const size_t H = a.shape.n_heads, width = H * a.shape.d_head;
    for (size_t n = 0; n < a.n_prompts; n++) {
        const size_t first = a.prompts[n].q_row;
        lay_out_whole(n);
        attend(n);
        for (size_t i = 0; i < w.n_query * width; i++) {
            const double want = w.z[i / width][i % width];
            assert_near(p, "z", first * width + i, (double)a.z[first * width + i], want,
                        rounded_once(want));
        }
        for (size_t i = 0; i < w.n_query * H; i++) {
            const double want = w.lse[i / H][i % H];
            assert_near(p, "lse", first * H + i, (double)a.lse[first * H + i], want,
                        rounded_once(want));
        }
    }
}

static void forward_rounds_the_definition_once(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        assert_forward(p);
    }
}

/* exp of such a score is infinite; of its negative, which a window of 1 leaves some
 * queries alone with, zero. */
static void large_scores_do_not_overflow(void **state)
{
    (void)state;
    static const problem large[] = {
        {"large scores", {2, 1, 4, .scale = 1e4f}, 0, {{8, 8, 0, NULL}}},
        {"large alone",
         {2, 1, 4, .scale = 1e4f, .window = 1, CAUSAL},
         0,
         {{8, 8, 0, NULL}}},
    };
    for (const problem *p = large; p < large + 2; p++) {
        run(p);
        assert_forward(p);
    }
}

/* One of the three gradients of a prompt: inputs and formula as the oracle has them,
 * and the kernel's result. */
typedef struct gradient {
    const char *name;
    size_t rows, width;
    double (*input)[MAX_CHANNELS];
    double (*formula)[MAX_CHANNELS];
    const float *got;
} gradient;

static void gradients_of(size_t n, gradient out[3])
{
    const tl_attention_prompt *p = &a.prompts[n];
    const size_t Q = a.shape.n_heads * a.shape.d_head;
    const size_t K = a.shape.n_kv_heads * a.shape.d_head, own = p->n_prefix;
    out[0] = (gradient){"dq", p->n_query, Q, w.q, w.dq, a.dq + p->q_row * Q};
    out[1] = (gradient){"dk", p->n_key, K, w.k + own, w.dk + own, a.dk + p->k_row * K};
    out[2] = (gradient){"dv", p->n_key, K, w.v + own, w.dv + own, a.dv + p->k_row * K};
}

static double largest_lse(void)
{
    double largest = 0.0;
    for (size_t row = 0; row < w.n_query; row++)
        for (size_t h = 0; h < a.shape.n_heads; h++)
            largest = fmax(largest, fabs(w.lse[row][h]));
    return largest;
}

/* The f32 lse between the passes makes every p wrong by half a last place of lse, and
 * sums of such p may cancel: the error is a part of the largest gradient. Measured: at
 * most 0.61 of the bound. */
static void backward_matches_finite_differences(void **state)
{
    (void)state;
    static double want[MAX_COUNT];
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t n = 0; n < a.n_prompts; n++) {
            gradient gradients[3];
            gradients_of(n, gradients);
            lay_out_whole(n);
            for (const gradient *g = gradients; g < gradients + 3; g++) {
                double largest = 0.0;
                for (size_t i = 0; i < g->rows * g->width; i++) {
                    double *input = &g->input[i / g->width][i % g->width];
                    want[i] = finite_difference(n, input);
                    largest = fmax(largest, fabs(want[i]));
                }
                attend(n);
                const double unit = FLT_EPSILON * (1.0 + 0.5 * largest_lse()) * largest;
                for (size_t i = 0; i < g->rows * g->width; i++)
                    assert_near(p, g->name, i, (double)g->got[i], want[i], unit + 1e-9);
            }
        }
    }
}

static void backward_rounds_the_formulas_once(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t n = 0; n < a.n_prompts; n++) {
            gradient gradients[3];
            gradients_of(n, gradients);
            lay_out_whole(n);
            differentiate(n);
            for (const gradient *g = gradients; g < gradients + 3; g++)
                for (size_t i = 0; i < g->rows * g->width; i++) {
                    const double want = g->formula[i / g->width][i % g->width];
                    assert_near(p, g->name, i, (double)g->got[i], want,
                                rounded_once(want));
                }
        }
    }
}

/* The other tests would see a result that was added to what `run` filled in before;
 * here, rows of no prompt keep it. */
static void exactly_the_rows_of_prompts_are_written(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        const size_t Q = a.shape.n_heads * a.shape.d_head;
        const size_t K = a.shape.n_kv_heads * a.shape.d_head;
        for (size_t n = 0, row = 0; n <= a.n_prompts; n++) {
            const size_t end = n < a.n_prompts ? a.prompts[n].q_row : MAX_ROWS;
            for (; row < end; row++) {
                assert_true(a.z[row * Q] == untouched);
                assert_true(a.z[row * Q + Q - 1] == untouched);
                assert_true(a.dq[row * Q] == untouched);
                assert_true(a.dq[row * Q + Q - 1] == untouched);
                assert_true(a.lse[row * a.shape.n_heads] == untouched);
            }
            row += n < a.n_prompts ? a.prompts[n].n_query : 0;
        }
        for (size_t n = 0, row = 0; n <= a.n_prompts; n++) {
            const size_t end = n < a.n_prompts ? a.prompts[n].k_row : MAX_ROWS;
            for (; row < end; row++) {
                assert_true(a.dk[row * K] == untouched && a.dv[row * K] == untouched);
                assert_true(a.dk[row * K + K - 1] == untouched);
                assert_true(a.dv[row * K + K - 1] == untouched);
            }
            row += n < a.n_prompts ? a.prompts[n].n_key : 0;
        }
    }
}

/* ---- relevance ------------------------------------------------------------------------ */

/* The gradient at the values is that of a pattern which is a constant: the same bits. The
 * values, z and a place for the other two gradients are not needed. */
static void relevance_is_the_gradient_at_the_values_alone(void **state)
{
    (void)state;
    static float dv[MAX_COUNT], no_numbers[MAX_COUNT];
    for (size_t i = 0; i < MAX_COUNT; i++)
        no_numbers[i] = NAN;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        fill(MAX_COUNT, dv);
        for (size_t n = 0; n < a.n_prompts; n++)
            if (a.prompts[n].n_prefix > 0)
                a.prompts[n].prefix_v = no_numbers;
        tl_attention_backward(TL_BACKWARD_RELEVANCE, &a.shape, a.n_prompts, a.prompts,
                              a.q, a.k, no_numbers, no_numbers, a.lse, a.dz, NULL, NULL,
                              dv);
        assert_memory_equal(dv, a.dv, sizeof dv);
    }
}

/* Without a prefix, of which no gradient is made: sum v dv = sum z dz. */
static void relevance_is_conserved(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        const size_t Q = p->shape.n_heads * p->shape.d_head,
                     K = p->shape.n_kv_heads * p->shape.d_head;
        run(p);
        for (size_t n = 0; n < a.n_prompts; n++) {
            const tl_attention_prompt *of = &a.prompts[n];
            double in = 0.0, out = 0.0, size = 0.0;
            if (of->n_prefix > 0)
                continue;
            lay_out_whole(n);
            attend(n);
            for (size_t i = of->k_row * K; i < (of->k_row + of->n_key) * K; i++)
                in += (double)a.v[i] * (double)a.dv[i];
            for (size_t i = of->q_row * Q; i < (of->q_row + of->n_query) * Q; i++) {
                out += (double)a.z[i] * (double)a.dz[i];
                size += fabs((double)a.z[i] * (double)a.dz[i]);
            }
            /* An f32 lse makes all of a query's pattern wrong by as much. */
            assert_near(p, "v . dv, prompt", n, in, out,
                        FLT_EPSILON * size * (2.0 + largest_lse()));
        }
    }
}

/* ---- the same bits -------------------------------------------------------------------- */

/* Runs one prompt with other keys and values and compares with what `run` left in `a`:
 * its last n_query queries and its last n_key keys. */
static void assert_same_bits(const tl_attention_prompt *alone, const float *k,
                             const float *v, const tl_attention_prompt *among,
                             size_t n_query, size_t n_key)
{
    static float z[MAX_COUNT], lse[MAX_ROWS * MAX_HEADS];
    static float dq[MAX_COUNT], dk[MAX_COUNT], dv[MAX_COUNT];
    const size_t H = a.shape.n_heads, D = a.shape.d_head, G = a.shape.n_kv_heads;
    const size_t here = alone->n_query - n_query, there = among->n_query - n_query;
    const size_t at = (among->q_row + there) * H;
    const float *q = a.q + (among->q_row + among->n_query - alone->n_query) * H * D;
    const float *dz = a.dz + (among->q_row + among->n_query - alone->n_query) * H * D;
    assert_int_equal(alone->q_row, 0);
    tl_attention_forward(&a.shape, 1, alone, q, k, v, z, lse);
    tl_attention_backward(TL_BACKWARD_GRADIENT, &a.shape, 1, alone, q, k, v, z, lse, dz,
                          dq, dk, dv);
    assert_memory_equal(z + here * H * D, a.z + at * D, n_query * H * D * sizeof *z);
    assert_memory_equal(lse + here * H, a.lse + at, n_query * H * sizeof *lse);
    assert_memory_equal(dq + here * H * D, a.dq + at * D, n_query * H * D * sizeof *dq);
    const size_t mine = (alone->k_row + alone->n_key - n_key) * G * D;
    const size_t theirs = (among->k_row + among->n_key - n_key) * G * D;
    assert_memory_equal(dk + mine, a.dk + theirs, n_key * G * D * sizeof *dk);
    assert_memory_equal(dv + mine, a.dv + theirs, n_key * G * D * sizeof *dv);
}

static void a_prompt_does_not_know_the_others(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t n = 0; n < a.n_prompts; n++) {
            const tl_attention_prompt *among = &a.prompts[n];
            tl_attention_prompt alone = *among;
            alone.q_row = 0;
            assert_same_bits(&alone, a.k, a.v, among, among->n_query, among->n_key);
        }
    }
}

/* Keys of a prefix moved in front of the prompt's own rows. */
static void a_prefix_is_as_good_as_rows_of_its_own(void **state)
{
    (void)state;
    static float k[MAX_COUNT], v[MAX_COUNT];
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        const size_t width = a.shape.n_kv_heads * a.shape.d_head;
        for (size_t n = 0; n < a.n_prompts; n++) {
            const tl_attention_prompt *split = &a.prompts[n];
            tl_attention_prompt joined = *split;
            joined.q_row = joined.k_row = joined.n_prefix = 0;
            joined.n_key = split->n_prefix + split->n_key;
            joined.prefix_k = joined.prefix_v = NULL;
            const size_t before = split->n_prefix * width, own = split->n_key * width;
            memcpy(k, a.prefix_k[n], before * sizeof *k);
            memcpy(v, a.prefix_v[n], before * sizeof *v);
            memcpy(k + before, a.k + split->k_row * width, own * sizeof *k);
            memcpy(v + before, a.v + split->k_row * width, own * sizeof *v);
            assert_same_bits(&joined, k, v, split, split->n_query, split->n_key);
        }
    }
}

/* What a last_only pass relies on. Gradients of keys differ: fewer queries read them. */
static void the_last_query_alone_gives_the_same_bits(void **state)
{
    (void)state;
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        run(p);
        for (size_t n = 0; n < a.n_prompts; n++) {
            tl_attention_prompt last = a.prompts[n];
            last.q_row = 0;
            last.n_query = 1;
            assert_same_bits(&last, a.k, a.v, &a.prompts[n], 1, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_rounds_the_definition_once),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(backward_matches_finite_differences),
        cmocka_unit_test(backward_rounds_the_formulas_once),
        cmocka_unit_test(exactly_the_rows_of_prompts_are_written),
        cmocka_unit_test(relevance_is_the_gradient_at_the_values_alone),
        cmocka_unit_test(relevance_is_conserved),
        cmocka_unit_test(a_prompt_does_not_know_the_others),
        cmocka_unit_test(a_prefix_is_as_good_as_rows_of_its_own),
        cmocka_unit_test(the_last_query_alone_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
