/* SPDX-License-Identifier: MIT
 * settings.c - see settings.h. */
#include "study/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backends.h"
#include "base/word_list.h"
#include "model/model_parts.h"
#include "twinlens/setting.h"

tl_status tl_settings_take(const tl_settings *given, tl_settings *out, tl_error *err)
{
    tl_settings s;
    tl_settings_init(&s);
    if (given->size < sizeof given->size)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "settings were not initialised: tl_settings_init() comes first");
    memcpy(&s, given, given->size < sizeof s ? given->size : sizeof s);
    s.size = sizeof s;
    if (s.backend == NULL)
        s.backend = getenv("TWINLENS_BACKEND");
    if (s.backend == NULL || s.backend[0] == '\0')
        s.backend = tl_backend_default();
    const tl_status status = tl_settings_check(&s, err);
    if (status == TL_OK)
        *out = s;
    return status;
}

tl_attribution_options tl_settings_attribution(const tl_settings *s,
                                               size_t memory_budget)
{
    return (tl_attribution_options){
        .method = (tl_method)s->method,
        .ig_steps = s->ig_steps,
        .ig_rule = (tl_ig_rule)s->ig_rule,
        .ig_path = (tl_ig_path)s->ig_path,
        .head_reduce = (tl_head_reduce)s->head_reduce,
        .prompt_reduce = (tl_prompt_reduce)s->prompt_reduce,
        .memory_budget = memory_budget,
        .metric = (tl_metric)s->metric,
    };
}

size_t tl_settings_cache_bytes(const tl_settings *settings, size_t all)
{
    if (settings->cache > 0)
        return settings->cache;
    return all == 0 || all / 8 > TL_DEFAULT_CACHE_BYTES ? TL_DEFAULT_CACHE_BYTES
                                                        : all / 8;
}

/* ---- sizes of circuits ----------------------------------------------------------- */

/* As written. */
static tl_status grid_texts(tl_grid grid, tl_arena *arena,
                            const char *const **texts_out, size_t *count, tl_error *err)
{
    enum { MOST = 104, TEXT = 16 };
    static const char *const coarse[] = {"0.3", "0.5", "0.7", "0.9"};
    const char **list = tl_arena_alloc(arena, MOST, sizeof *list);
    char(*texts)[TEXT] = tl_arena_alloc(arena, MOST, sizeof *texts);
    if (list == NULL || texts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a grid of fractions");
    size_t n = 0;
    if (grid == TL_GRID_REF)
        list[n++] = "0";
    list[n++] = "0.001";
    list[n++] = "0.005";
    const int last = grid == TL_GRID_REF ? 20 : 100;
    for (int percent = 1; percent <= last; percent++, n++) {
        snprintf(texts[n], TEXT, "%d.%02d", percent / 100, percent % 100);
        list[n] = texts[n];
    }
    for (size_t i = 0; grid == TL_GRID_REF && i < sizeof coarse / sizeof coarse[0]; i++)
        list[n++] = coarse[i];
    *texts_out = list;
    *count = n;
    return TL_OK;
}

tl_status tl_settings_sizes(const tl_settings *s, bool ascending, tl_arena *arena,
                            tl_sizes *out, tl_error *err)
{
    tl_sizes sizes = {0};
    tl_status status =
        s->fractions != NULL
            ? tl_word_list_split(s->fractions, arena, &sizes.texts, &sizes.n, err)
            : grid_texts((tl_grid)s->grid, arena, &sizes.texts, &sizes.n, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "fractions");
    tl_fraction *list = tl_arena_alloc(arena, sizes.n, sizeof *list);
    if (list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu fractions", sizes.n);
    double last = -1.0;
    for (size_t i = 0; i < sizes.n; i++) {
        status = tl_fraction_parse(sizes.texts[i], &list[i], err);
        if (status != TL_OK)
            return tl_fail_while(err, status, "fractions");
        if (ascending && tl_fraction_value(list[i]) <= last)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "fractions: %s comes after a larger or equal one, wanted "
                           "them ascending",
                           sizes.texts[i]);
        last = tl_fraction_value(list[i]);
    }
    sizes.fractions = list;
    *out = sizes;
    return TL_OK;
}
