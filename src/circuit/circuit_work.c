/* SPDX-License-Identifier: MIT
 *
 * circuit_work.c - see circuit_work.h.
 *
 * Where components lie is taken to be chance: a head is in the circuit with the probability
 * of its share, by itself. Then a key at row j is needed by a group of g heads unless none
 * of them is in the circuit at a row from j on (with attention both ways: at any row), and a
 * row is needed unless no layer above needs its keys. What is not counted is a window that
 * slides. Circuits that attribution finds lie closer together, and cost less.
 */
#include "circuit/circuit_work.h"

#include <math.h>

#include "circuit/sparse_evaluation.h"
#include "model/model_parts.h"
#include "twinlens/alloc.h"

typedef struct work {
    const tl_spec *spec;
    const tl_span *span;
    size_t n_prefix, first; /* the first row that is not another circuit's as well */
    const tl_circuit_share *share;
    double keys, heads,
        neurons; /* multiply-adds of a row with all of them, in a layer */
} work;

static double share_at(const work *w, size_t row)
{
    return row >= w->span->data_begin && row < w->span->data_end ? w->share->data
                                                                 : w->share->rest;
}

/* That no head of a group is in the circuit at a row. */
static double no_head(const work *w, size_t row)
{
    const tl_dims *d = &w->spec->dims;
    return pow(1.0 - share_at(w, row), (double)(d->n_heads / d->n_kv_heads));
}

/* Of one row that leaves a layer: its own heads and neurons. */
static double row_work(const work *w, size_t row)
{
    const double share = share_at(w, row),
                 mlp = share > tl_sparse_dense_from(w->share->is_set) ? 1.0 : share;
    return share * w->heads + mlp * w->neurons;
}

/* The last layer: one row leaves it, which sees all. */
static double last_layer(const work *w)
{
    const size_t last = w->span->n_pos - 1;
    return (double)(w->span->n_pos - w->first) * (1.0 - no_head(w, last)) * w->keys +
           row_work(w, last);
}

/* All layers but the last. */
static double other_layers(const work *w)
{
    const tl_dims *d = &w->spec->dims;
    const size_t n_pos = w->span->n_pos;
    const bool both_ways = w->spec->bidirectional;
    const double G = (double)d->n_kv_heads, in_last = no_head(w, n_pos - 1);
    double sum = 0.0, none = 1.0; /* no head of a group at the rows that see this one */
    for (size_t t = w->n_prefix; t < n_pos && both_ways; t++)
        none *= no_head(w, t);
    for (size_t t = n_pos; t-- > w->first;) {
        if (!both_ways)
            none *= no_head(w, t);
        double unneeded = pow(in_last, G); /* behind this layer, but for the last row */
        for (size_t l = d->n_layers - 1; l-- > 0;) {
            sum += (1.0 - unneeded * in_last - (1.0 - unneeded) * none) * w->keys +
                   (t + 1 < n_pos ? 1.0 - unneeded : 1.0) * row_work(w, t);
            unneeded *= pow(unneeded * in_last + (1.0 - unneeded) * none, G);
        }
    }
    return sum;
}

/* Norms behind attention and MLP want all that is known, made anew for all circuits that are
 * run together. */
static double known_outputs(const work *w)
{
    const double rows = (double)(w->span->n_pos - w->n_prefix);
    return w->spec->post_norms ? (double)w->spec->dims.n_layers * rows *
                                     (w->heads / 2.0 + w->neurons / 3.0)
                               : 0.0;
}

tl_status tl_pass_flops_add(const tl_model *model, size_t n_pos, size_t n_prefix,
                            const tl_pass_options *options, double times, double *sum,
                            tl_error *err)
{
    uint64_t flops = 0;
    const tl_status status =
        tl_pass_flops(model, &n_pos, &n_prefix, 1, options, &flops, err);
    if (status == TL_OK)
        *sum += times * (double)flops;
    return status;
}

static double mlp_cost(const tl_circuit_share *of, double share)
{
    return of->is_set ? tl_sparse_set_mlp_cost(share) : tl_sparse_mlp_cost(share);
}

tl_status tl_circuit_flops(const tl_model *model, const tl_span *span, size_t n_prefix,
                           size_t n_shared, const tl_circuit_share *share, double *out,
                           tl_error *err)
{
    const tl_spec *spec = tl_model_spec(model);
    const tl_dims *d = &spec->dims;
    const double d_model = (double)d->d_model, D = (double)d->d_head,
                 data =
                     (double)(span->data_end - span->data_begin) / (double)span->n_pos,
                 heads = data * share->data + (1.0 - data) * share->rest,
                 mlp = data * mlp_cost(share, share->data) +
                       (1.0 - data) * mlp_cost(share, share->rest);
    const work w = {.spec = spec,
                    .span = span,
                    .n_prefix = n_prefix,
                    .first = n_shared > n_prefix ? n_shared : n_prefix,
                    .share = share,
                    .keys = 2.0 * (double)d->n_kv_heads * D * d_model,
                    .heads = 2.0 * (double)d->n_heads * D * d_model,
                    .neurons = 3.0 * (double)d->d_mlp * d_model};
    const tl_pass_options dense = {.last_only = true};
    *out = 0.0;
    if (heads > 0.0 && !tl_circuit_pays(model, heads, mlp))
        return tl_pass_flops_add(model, span->n_pos, n_prefix, &dense, 1.0, out, err);
    *out = heads > 0.0 ? 2.0 * (last_layer(&w) + other_layers(&w) +
                                (n_shared == 0 ? known_outputs(&w) : 0.0))
                       : 0.0;
    return TL_OK;
}

/* ---- circuits whose components are known -------------------------------------------- */

/* The circuits of a pair that are computed sparsely. A row belongs to the first circuit that
 * is the same up to there. */
typedef struct known {
    const tl_spec *spec;
    size_t n_pos, n_prefix, n;
    const tl_circuit **circuits; /* [n] */
    uint32_t *owner; /* [n, n_pos]: the circuit that a row is computed for */
    uint8_t *needed; /* [n, n_pos]: rows that leave the layer, of owners */
    uint8_t *keys;   /* [n, n_pos, n_kv_heads] */
} known;

static bool has(const tl_circuit *c, bool heads, size_t i)
{
    if (c->set != NULL)
        return (heads ? c->set->heads : c->set->neurons)[i] != 0;
    return heads ? c->ranking->heads[i] < c->n_heads
                 : c->ranking->neurons[i] < c->n_neurons;
}

static size_t count(const tl_circuit *c, bool heads, size_t first, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += has(c, heads, first + i);
    return sum;
}

/* Whether two circuits are the same at a position, in all layers, and told alike. */
static bool same_at(const known *k, const tl_circuit *a, const tl_circuit *b, size_t t)
{
    const tl_dims *d = &k->spec->dims;
    if ((a->set != NULL) != (b->set != NULL) ||
        (a->set == NULL && a->ranking != b->ranking))
        return false;
    for (size_t l = 0; l < d->n_layers; l++) {
        const size_t place = l * k->n_pos + t;
        for (size_t i = 0; i < d->n_heads; i++)
            if (has(a, true, place * d->n_heads + i) !=
                has(b, true, place * d->n_heads + i))
                return false;
        for (size_t i = 0; i < d->d_mlp; i++)
            if (has(a, false, place * d->d_mlp + i) !=
                has(b, false, place * d->d_mlp + i))
                return false;
    }
    return true;
}

/* The last row is never shared. */
static void find_owners(known *k, size_t i)
{
    uint32_t *owner = k->owner + i * k->n_pos;
    size_t most = k->n_prefix, with = i;
    for (size_t j = i; j-- > 0;) {
        size_t t = k->n_prefix;
        while (t + 1 < k->n_pos && same_at(k, k->circuits[i], k->circuits[j], t))
            t++;
        if (t > most) {
            most = t;
            with = j;
        }
    }
    for (size_t t = k->n_prefix; t < k->n_pos; t++)
        owner[t] = t < most ? k->owner[with * k->n_pos + t] : (uint32_t)i;
}

/* Marks what the heads of a row see, by group. */
static void mark_keys(known *k, size_t l, size_t i, size_t t)
{
    const tl_dims *d = &k->spec->dims;
    const size_t per_group = d->n_heads / d->n_kv_heads,
                 first = (l * k->n_pos + t) * d->n_heads;
    const tl_attention shape = tl_layer_attention(k->spec, l);
    const tl_attention_prompt prompt = {.n_key = k->n_pos};
    for (size_t g = 0; g < d->n_kv_heads; g++) {
        if (count(k->circuits[i], true, first + g * per_group, per_group) == 0)
            continue;
        for (size_t j = k->n_prefix; j < k->n_pos; j++)
            if (tl_attention_sees(&shape, &prompt, t, j)) {
                const size_t row = k->owner[i * k->n_pos + j] * k->n_pos + j;
                k->keys[row * d->n_kv_heads + g] = 1;
            }
    }
}

/* Multiply-adds of a layer; what is needed is then what enters it. */
static double known_layer(known *k, size_t l)
{
    const tl_dims *d = &k->spec->dims;
    const size_t G = d->n_kv_heads, rows = k->n * k->n_pos;
    double heads = 0.0, keys = 0.0, neurons = 0.0;
    for (size_t i = 0; i < rows * G; i++)
        k->keys[i] = 0;
    for (size_t row = 0; row < rows; row++) {
        if (!k->needed[row])
            continue;
        const size_t i = row / k->n_pos, t = row % k->n_pos, place = l * k->n_pos + t,
                     n = count(k->circuits[i], false, place * d->d_mlp, d->d_mlp);
        const double share = (double)n / (double)d->d_mlp;
        heads += (double)count(k->circuits[i], true, place * d->n_heads, d->n_heads);
        neurons += share > tl_sparse_dense_from(k->circuits[i]->set != NULL)
                       ? (double)d->d_mlp
                       : (double)n;
        mark_keys(k, l, i, t);
    }
    for (size_t i = 0; i < rows * G; i++) {
        keys += k->keys[i];
        k->needed[i / G] |= k->keys[i];
    }
    return (double)d->d_model *
           (2.0 * (double)d->d_head * (heads + keys) + 3.0 * neurons);
}

static double known_flops(known *k)
{
    const tl_dims *d = &k->spec->dims;
    const double rows = (double)(k->n_pos - k->n_prefix);
    double sum = 0.0;
    for (size_t i = 0; i < k->n; i++) {
        find_owners(k, i);
        k->needed[i * k->n_pos + k->n_pos - 1] = 1;
    }
    for (size_t l = d->n_layers; l-- > 0 && k->n > 0;)
        sum += known_layer(k, l);
    if (k->spec->post_norms && k->n > 0) /* once for all of them */
        sum += (double)d->n_layers * rows * (double)d->d_model *
               (double)(d->n_heads * d->d_head + d->d_mlp);
    return 2.0 * sum;
}

tl_status tl_known_circuits_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                                  const tl_circuit *circuits, size_t n, double *out,
                                  tl_error *err)
{
    const tl_pass_options dense = {.last_only = true};
    const tl_spec *spec = tl_model_spec(model);
    const size_t room = n > 0 ? n : 1;
    known k = {.spec = spec,
               .n_pos = n_pos,
               .n_prefix = n_prefix,
               .circuits = tl_alloc_zero(room, sizeof *k.circuits),
               .owner = tl_alloc_zero(room * n_pos, sizeof *k.owner),
               .needed = tl_alloc_zero(room * n_pos, 1),
               .keys = tl_alloc_zero(room * n_pos, spec->dims.n_kv_heads)};
    tl_status status = TL_OK;
    *out = 0.0;
    if (k.circuits == NULL || k.owner == NULL || k.needed == NULL || k.keys == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan");
    for (size_t i = 0; i < n && status == TL_OK; i++)
        switch (tl_circuit_choose(model, &circuits[i], TL_EVALUATE_AUTO)) {
        case TL_CIRCUIT_SPARSE: k.circuits[k.n++] = &circuits[i]; break;
        case TL_CIRCUIT_DENSE:
            status = tl_pass_flops_add(model, n_pos, n_prefix, &dense, 1.0, out, err);
            break;
        case TL_CIRCUIT_NOTHING: break;
        }
    if (status == TL_OK)
        *out += known_flops(&k);
    tl_free(k.keys);
    tl_free(k.needed);
    tl_free(k.owner);
    tl_free(k.circuits);
    return status;
}

/* ---- pairs -------------------------------------------------------------------------- */

tl_status tl_pair_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                        bool no_clean, double *out, tl_error *err)
{
    const tl_pass_options forward = {.last_only = true};
    *out = 0.0;
    const tl_status status =
        tl_pass_flops_add(model, n_pos, 0, &forward, 1.0, out, err);
    return status == TL_OK && !no_clean
               ? tl_pass_flops_add(model, n_pos, n_prefix, &forward, 1.0, out, err)
               : status;
}

/* The counterfactual, for the midpoint rule the clean prompt, and the steps. */
tl_status tl_attribution_flops(const tl_model *model, size_t n_pos, size_t n_prefix,
                               const tl_attribution_options *options, double *out,
                               tl_error *err)
{
    const tl_pass_options forward = {.last_only = true};
    tl_pass_options step = {.last_only = true, .for_backward = true};
    tl_attribution_options o;
    tl_status status = tl_attribution_take(options, &o, err);
    *out = 0.0;
    if (status == TL_OK)
        status = tl_pass_flops_add(model, n_pos, 0, &forward, 1.0, out, err);
    if (status == TL_OK && o.ig_rule == TL_IG_MIDPOINT)
        status = tl_pass_flops_add(model, n_pos, n_prefix, &forward, 1.0, out, err);
    if (status == TL_OK)
        status = tl_attribution_pass_budget(model, n_pos, &o, &step.memory_budget, err);
    step.backward_rule = tl_attribution_rule(&o);
    return status == TL_OK ? tl_pass_flops_add(model, n_pos, n_prefix, &step,
                                               (double)o.ig_steps, out, err)
                           : status;
}
