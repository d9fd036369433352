/* SPDX-License-Identifier: MIT
 * swaps.c - see swaps.h. */
#include "study/swaps.h"

#include "twinlens/interchange.h"

size_t tl_swap_count(size_t n_draws)
{
    return 1 + TL_SEGMENT_COUNT * (1 + n_draws);
}

/* In order: nothing swapped; each segment; then the draws, each with each segment. */
static tl_swap find_place(tl_modality host, size_t index)
{
    tl_swap s = {.host = host, .segment = TL_SEGMENT_NONE};
    if (index > TL_SEGMENT_COUNT) {
        const size_t k = index - 1 - TL_SEGMENT_COUNT;
        s.is_random = true;
        s.draw = k / TL_SEGMENT_COUNT;
        s.segment = k % TL_SEGMENT_COUNT;
    } else if (index > 0)
        s.segment = index - 1;
    return s;
}

tl_status tl_swap_make(const tl_both_circuits *both, tl_modality host, size_t index,
                       const tl_settings *settings, tl_arena *arena, tl_swap *out,
                       tl_error *err)
{
    const tl_modality other = host == TL_TEXT ? TL_IMAGE : TL_TEXT;
    const tl_component_set *foreign = &both->set[other];
    tl_component_set drawn;
    tl_swap s = find_place(host, index);
    /* What was drawn is not needed once it is in the set. */
    tl_arena *own = tl_arena_create_like(arena);
    tl_status status =
        own != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    if (status == TL_OK && s.is_random) {
        const uint64_t seed =
            settings->seed + 1000003 * (s.draw * 6 + s.segment * 2 + (size_t)host);
        status = tl_interchange_draw(
            foreign, &both->map.span[other], (tl_segment)s.segment,
            (tl_interchange_random)settings->inter_rand, seed, own, &drawn, err);
        foreign = &drawn;
    }
    if (status == TL_OK)
        status = tl_interchange_build(both->set, host, s.segment, foreign, &both->map,
                                      arena, &s.set, err);
    tl_arena_destroy(own);
    if (status != TL_OK)
        return status;
    s.n_heads = tl_set_count(&s.set, TL_KIND_HEADS);
    s.n_neurons = tl_set_count(&s.set, TL_KIND_NEURONS);
    *out = s;
    return TL_OK;
}

tl_study_swap tl_swap_row(const tl_swap *swap, size_t index)
{
    return (tl_study_swap){.host = swap->host,
                           .swap = index,
                           .swapped = swap->segment == TL_SEGMENT_NONE
                                          ? "none"
                                          : tl_segment_name((tl_segment)swap->segment),
                           .is_random = swap->is_random,
                           .draw = swap->draw,
                           .n_heads = swap->n_heads,
                           .n_neurons = swap->n_neurons};
}
