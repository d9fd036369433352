/* SPDX-License-Identifier: MIT
 * stage_tokens.c - what stands at each position, for those who read the numbers. See
 * stage.h. */
#include "study/stage.h"

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    (void)err;
    run->n_units = 1;
    return TL_OK;
}

/* Texts at each position of the first prompt, and how many others there are. */
static tl_status collect_tokens(tl_stage_run *run, size_t first, size_t n,
                                tl_stage_rows *rows, tl_error *err)
{
    (void)first;
    (void)n;
    const tl_session *s = &run->study->session;
    tl_part_pairs found;
    tl_status status = tl_study_find_pairs(run->study, run->modality,
                                           TL_STUDY_DISCOVERY, run->arena, &found, err);
    if (status != TL_OK)
        return status;
    tl_encoding e = {0};
    const int32_t **ids = tl_arena_alloc(run->arena, found.n, sizeof *ids);
    const size_t n_pos = found.span.n_pos;
    tl_study_token *tokens = tl_arena_alloc(run->arena, n_pos, sizeof *tokens);
    if (ids == NULL || tokens == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the tokens of %zu prompts",
                       found.n);
    for (size_t i = 0; i < found.n && status == TL_OK; i++) {
        status = tl_dataset_encode(s->dataset, found.pairs[i].row, s->processor,
                                   run->arena, &e, err);
        ids[i] = e.ids;
        if (status == TL_OK && e.n_pos != n_pos)
            status =
                tl_fail(err, TL_ERR_DATA, "prompt '%s': has %zu tokens, wanted %zu",
                        s->dataset->rows[found.pairs[i].row].id, e.n_pos, n_pos);
    }
    for (size_t t = 0; t < n_pos && status == TL_OK; t++) {
        const char *text = tl_tokenizer_text(tl_processor_tokenizer(s->processor),
                                             ids[0][t], run->arena);
        if (text == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a token");
        tokens[t] = (tl_study_token){run->modality, t, text, 0};
        for (size_t i = 0; i < found.n; i++) {
            size_t same = 0;
            while (ids[same][t] != ids[i][t])
                same++;
            tokens[t].n_texts += same == i;
        }
    }
    tl_stage_put(rows, TL_ROW_TOKEN, tokens, n_pos);
    return status;
}

const tl_stage tl_stage_tokens = {
    .name = "tokens", .of = TL_STAGE_EACH, .of_circuits = true, .begin = begin, .run = collect_tokens};
