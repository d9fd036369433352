/* SPDX-License-Identifier: MIT
 * pair.c - what clean and counterfactual have in common. */
#include <string.h>

#include "circuit/pair.h"

bool tl_input_same_at(const tl_input *a, const tl_input *b, size_t pos, size_t d_model)
{
    const size_t bytes = d_model * sizeof(float);
    if (a->n_deep != b->n_deep ||
        memcmp(a->embeds + pos * d_model, b->embeds + pos * d_model, bytes) != 0)
        return false;
    for (size_t k = 0; k < a->n_deep; k++)
        if (memcmp(a->deep + (k * a->n_pos + pos) * d_model,
                   b->deep + (k * b->n_pos + pos) * d_model, bytes) != 0)
            return false;
    return true;
}

size_t tl_pair_shared_prefix(const tl_pair *pair, size_t d_model)
{
    const tl_input *a = &pair->clean, *b = &pair->counterfactual;
    size_t n = 0;
    while (n + 1 < a->n_pos && tl_input_same_at(a, b, n, d_model) &&
           a->positions[n] == b->positions[n] &&
           a->positions[a->n_pos + n] == b->positions[b->n_pos + n] &&
           a->positions[2 * a->n_pos + n] == b->positions[2 * b->n_pos + n])
        n++;
    /* An image whose tokens see each other belongs to the prefix as a whole, or the
     * early ones would see a later difference. */
    for (size_t i = 0; i < 2; i++) {
        const int32_t *block = i == 0 ? a->block : b->block;
        while (block != NULL && n > 0 && block[n] >= 0 && block[n] == block[n - 1])
            n--;
    }
    return n;
}

tl_status tl_pair_check(const tl_pair *pair, size_t n_pos, tl_error *err)
{
    if (pair->clean.n_pos != n_pos || pair->counterfactual.n_pos != n_pos)
        return tl_fail(
            err, TL_ERR_DATA,
            "prompts of %zu and %zu positions cannot be compared position by "
            "position with %zu",
            pair->clean.n_pos, pair->counterfactual.n_pos, n_pos);
    if (pair->clean.n_deep != pair->counterfactual.n_deep)
        return tl_fail(err, TL_ERR_DATA,
                       "a prompt with an image and one without cannot be compared");
    if (pair->answer == pair->counterfactual_answer)
        return tl_fail(
            err, TL_ERR_DATA,
            "the answer and its counterfactual's begin with the same token, %d",
            (int)pair->answer);
    return TL_OK;
}

/* Of one array of rows, at the positions from `first` on. */
static void mix(const tl_pair *pair, const float *clean, const float *other, double t,
                bool images_stay, size_t first, size_t d_model, float *x)
{
    for (size_t p = first; p < pair->clean.n_pos; p++) {
        const bool stays = images_stay && pair->clean.is_image[p];
        for (size_t i = p * d_model; i < (p + 1) * d_model; i++)
            x[i] = stays ? clean[i]
                         : (float)((double)other[i] +
                                   t * ((double)clean[i] - (double)other[i]));
    }
}

tl_input tl_pair_between(const tl_pair *pair, double t, bool images_stay, size_t first,
                         size_t d_model, float *x)
{
    const tl_input *clean = &pair->clean, *other = &pair->counterfactual;
    const size_t count = clean->n_pos * d_model;
    tl_input input = *clean;
    if (t == 1.0)
        return input; /* exactly the clean prompt */
    mix(pair, clean->embeds, other->embeds, t, images_stay, first, d_model, x);
    for (size_t k = 0; k < clean->n_deep; k++)
        mix(pair, clean->deep + k * count, other->deep + k * count, t, images_stay,
            first, d_model, x + (1 + k) * count);
    input.embeds = x;
    input.deep = clean->n_deep > 0 ? x + count : NULL;
    return input;
}

tl_pair_nodes tl_pair_nodes_of(const tl_pair *pair, const tl_dims *d)
{
    const size_t n_prefix = tl_pair_shared_prefix(pair, d->d_model);
    return (tl_pair_nodes){.n_prefix = n_prefix,
                           .n_rows = pair->clean.n_pos - n_prefix,
                           .prefix.n_pos = n_prefix};
}

static size_t z_count(const tl_pair_nodes *nodes, const tl_dims *d)
{
    return d->n_layers * nodes->n_rows * d->n_heads * d->d_head;
}

static size_t mlp_count(const tl_pair_nodes *nodes, const tl_dims *d)
{
    return d->n_layers * nodes->n_rows * d->d_mlp;
}

size_t tl_pair_nodes_count(const tl_pair_nodes *nodes, const tl_dims *d)
{
    return z_count(nodes, d) + mlp_count(nodes, d) +
           2 * tl_prefix_count(d, nodes->n_prefix);
}

size_t tl_pair_nodes_most_bytes(const tl_dims *d, size_t n_pos)
{
    const size_t row = d->n_heads * d->d_head + d->d_mlp,
                 shared = 2 * d->n_kv_heads * d->d_head;
    return d->n_layers * n_pos * (row > shared ? row : shared) * sizeof(float);
}

void tl_pair_nodes_place(tl_pair_nodes *nodes, const tl_dims *d, const tl_array *array,
                         size_t first)
{
    nodes->z = tl_array_f32(array, first);
    nodes->mlp_post = nodes->z + z_count(nodes, d);
    nodes->prefix.k = nodes->mlp_post + mlp_count(nodes, d);
    nodes->prefix.v = nodes->prefix.k + tl_prefix_count(d, nodes->n_prefix);
}

tl_pass_prompt tl_pair_whole_prompt(const tl_input *input, tl_pair_nodes *nodes)
{
    return (tl_pass_prompt){.input = *input,
                            .collect = nodes->n_prefix > 0 ? &nodes->prefix : NULL};
}

tl_pass_prompt tl_pair_rest_prompt(const tl_input *input, const tl_pair_nodes *nodes)
{
    return (tl_pass_prompt){.input = *input,
                            .prefix = nodes->n_prefix > 0 ? &nodes->prefix : NULL};
}

void tl_pair_nodes_read(const tl_pair_nodes *nodes, tl_read_rule rule, bool gradient,
                        size_t prompt, float *z, float *mlp_post,
                        tl_reading readings[TL_NODE_SITES])
{
    const tl_reading one = {.rule = rule,
                            .gradient = gradient,
                            .at = {.site = TL_SITE_Z,
                                   .prompt = prompt,
                                   .first_pos = nodes->n_prefix,
                                   .n_pos = nodes->n_rows},
                            .to = z};
    readings[0] = readings[1] = one;
    readings[1].at.site = TL_SITE_MLP_POST;
    readings[1].to = mlp_post;
}
