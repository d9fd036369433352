/* SPDX-License-Identifier: MIT
 * pair.c - what clean and counterfactual have in common. */
#include <string.h>

#include "circuit/pair.h"

size_t tl_pair_shared_prefix(const tl_pair *pair, size_t d_model)
{
    const tl_input *a = &pair->clean, *b = &pair->counterfactual;
    size_t n = 0;
    while (n + 1 < a->n_pos &&
           memcmp(a->embeds + n * d_model, b->embeds + n * d_model,
                  d_model * sizeof *a->embeds) == 0 &&
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
    if (pair->answer == pair->counterfactual_answer)
        return tl_fail(
            err, TL_ERR_DATA,
            "the answer and its counterfactual's begin with the same token, %d",
            (int)pair->answer);
    return TL_OK;
}
