/* SPDX-License-Identifier: MIT
 * folded_labels.c - see folded_labels.h. */
#include "task/folded_labels.h"

#include <string.h>

#include "input/first_token.h"
#include "twinlens/log.h"

static bool same_labels(const tl_dataset_row *a, const tl_dataset_row *b)
{
    if (a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < a->n_labels && a->labels != b->labels; i++)
        if (strcmp(a->labels[i], b->labels[i]) != 0)
            return false;
    return true;
}

/* Whether a row with these labels has an answer that begins with the token. */
static tl_status is_answer(const tl_dataset *d, const tl_tokenizer *tokenizer,
                           const tl_dataset_row *like, int32_t id, bool *out,
                           tl_error *err)
{
    tl_status status = TL_OK;
    *out = false;
    for (size_t i = 0; i < d->n_rows && status == TL_OK && !*out; i++) {
        int32_t answer = -1;
        if (!same_labels(&d->rows[i], like))
            continue;
        status = tl_first_token(tokenizer, d->rows[i].answer, &answer, err);
        *out = answer == id;
    }
    return status;
}

static tl_status warn(const tl_dataset *d, const tl_tokenizer *tokenizer,
                      const tl_dataset_row *row, tl_arena *arena, tl_error *err)
{
    const int32_t *ids = NULL;
    tl_status status =
        tl_first_tokens(tokenizer, row->labels, row->n_labels, arena, &ids, err);
    for (size_t i = 0; i < row->n_labels && status == TL_OK; i++) {
        bool seen = false, used = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = ids[k] == ids[i];
        if (seen || !tl_is_folded(row->labels, ids, row->n_labels, ids[i]))
            continue;
        status = is_answer(d, tokenizer, row, ids[i], &used, err);
        const char *text =
            tl_folded_text(tokenizer, row->labels, ids, row->n_labels, ids[i], arena);
        if (text == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels");
        if (status == TL_OK && !used)
            tl_log(TL_LOG_WARNING, "%s: labels %s: they count as one", d->path, text);
    }
    return status;
}

tl_status tl_folded_labels_warn(const tl_dataset *d, const tl_processor *processor,
                                tl_error *err)
{
    const tl_tokenizer *tokenizer = tl_processor_tokenizer(processor);
    tl_arena *arena = tl_arena_create();
    size_t *sets =
        arena != NULL ? tl_arena_alloc(arena, d->n_rows, sizeof *sets) : NULL;
    size_t n_sets = 0;
    tl_status status =
        sets != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels");
    for (size_t i = 0; i < d->n_rows && status == TL_OK; i++) {
        size_t k = 0;
        while (k < n_sets && !same_labels(&d->rows[sets[k]], &d->rows[i]))
            k++;
        if (k < n_sets)
            continue;
        sets[n_sets++] = i;
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_error why = {0};
        status = warn(d, tokenizer, &d->rows[i], arena, &why);
        if (status == TL_ERR_DATA)
            status = TL_OK;
        else if (status != TL_OK)
            tl_fail(err, status, "%s", why.text);
        tl_arena_rewind(arena, mark);
    }
    tl_arena_destroy(arena);
    return status;
}
