/* SPDX-License-Identifier: MIT
 *
 * study_look.c - what a reader wants to see beside the numbers: the tokens at each
 * position, and some image prompts, each with the scores of its own. See
 * study_private.h.
 */
#include "study/study_private.h"

#include <math.h>
#include <string.h>

#include "base/file.h"

/* ---- tokens ---------------------------------------------------------------------- */

/* Texts at each position of the first prompt, and how many others there are. */
static tl_status collect_tokens(tl_study *study, tl_modality modality,
                                const tl_study_pair *pairs, size_t n_pairs,
                                tl_arena *arena, tl_study_token **out, size_t *n_pos,
                                tl_error *err)
{
    const tl_tokenizer *tokenizer = tl_processor_tokenizer(study->session.processor);
    const int32_t **ids = tl_arena_alloc(arena, n_pairs, sizeof *ids);
    tl_encoding e = {0};
    tl_status status = TL_OK;
    if (ids == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", n_pairs);
    for (size_t i = 0; i < n_pairs && status == TL_OK; i++) {
        status = tl_dataset_encode(study->session.dataset, pairs[i].row,
                                   study->session.processor, arena, &e, err);
        ids[i] = e.ids;
    }
    tl_study_token *tokens =
        status == TL_OK ? tl_arena_alloc(arena, e.n_pos, sizeof *tokens) : NULL;
    if (status == TL_OK && tokens == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tokens", e.n_pos);
    for (size_t t = 0; t < e.n_pos && status == TL_OK; t++) {
        tokens[t] = (tl_study_token){modality, t,
                                     tl_tokenizer_text(tokenizer, ids[0][t], arena), 0};
        if (tokens[t].text == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a token");
        for (size_t i = 0; i < n_pairs; i++) {
            size_t first = 0;
            while (ids[first][t] != ids[i][t])
                first++;
            tokens[t].n_texts += first == i;
        }
    }
    *out = tokens;
    *n_pos = e.n_pos;
    return status;
}

tl_status tl_study_tokens(tl_study *study, tl_modality modality, tl_error *err)
{
    const tl_study_pair *pairs = NULL;
    const tl_study_token like = {.modality = modality};
    tl_rows known = {0};
    tl_study_token *tokens = NULL;
    size_t n_pairs = 0, n_pos = 0;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for tokens");
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_TOKEN, &like, 1, arena, &known, err);
    if (status == TL_OK)
        status = tl_study_db_get_pairs(study->db, modality, TL_STUDY_DISCOVERY, arena,
                                       &pairs, &n_pairs, err);
    if (status == TL_OK && known.n == 0)
        status = collect_tokens(study, modality, pairs, n_pairs, arena, &tokens, &n_pos,
                                err);
    if (status == TL_OK && known.n == 0)
        status =
            tl_study_db_put(study->db, &(tl_rows){TL_ROW_TOKEN, tokens, n_pos}, 1, err);
    tl_arena_destroy(arena);
    return status;
}

/* ---- pictures -------------------------------------------------------------------- */

static const char *type_of(const unsigned char *bytes, size_t n)
{
    if (n > 3 && bytes[0] == 0xff && bytes[1] == 0xd8)
        return "image/jpeg";
    if (n > 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return "image/webp";
    return "image/png";
}

static double sum_of(const float *scores, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += fabs((double)scores[i]);
    return sum;
}

/* A row for each layer and image feature. Other tokens may stand between those of the
 * picture, and before them. */
static tl_status make_rows(const tl_scores *s, const tl_input *input, size_t pair,
                           tl_arena *arena, tl_rows *out, tl_error *err)
{
    tl_study_picture_score *rows =
        tl_arena_alloc(arena, s->n_layers * s->n_pos, sizeof *rows);
    size_t n = 0;
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    for (size_t l = 0; l < s->n_layers; l++) {
        size_t feature = 0;
        for (size_t t = 0; t < s->n_pos; t++) {
            const size_t at = l * s->n_pos + t;
            if (input->is_image[t])
                rows[n++] = (tl_study_picture_score){
                    .pair = pair,
                    .layer = l,
                    .pos = feature++,
                    .heads = sum_of(s->heads + at * s->n_heads, s->n_heads),
                    .neurons = sum_of(s->neurons + at * s->d_mlp, s->d_mlp)};
        }
    }
    *out = (tl_rows){TL_ROW_PICTURE_SCORE, rows, n};
    return TL_OK;
}

/* The scores of one pair alone, attributed as the study does it. */
static tl_status attribute_one(tl_study *study, const tl_study_pair *pair,
                               const tl_encoding *e, tl_arena *arena, tl_rows *out,
                               tl_error *err)
{
    tl_pair *made = NULL;
    tl_attribution *attribution = NULL;
    tl_scores s;
    const size_t kept = tl_study_attribution_bytes(study, e->n_pos);
    const tl_attribution_options options =
        tl_settings_attribution(&study->settings, tl_study_pass_budget(study, kept));
    tl_status status = tl_study_make_pairs(study, pair, 1, arena, &made, err);
    if (status == TL_OK)
        status = tl_attribution_create(study->session.model, e->n_pos, &options,
                                       &attribution, err);
    if (status == TL_OK)
        status = tl_attribution_add(attribution, made, 1, err);
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, arena, &s, err);
    tl_attribution_destroy(attribution);
    return status == TL_OK ? make_rows(&s, &made->clean, pair->pair, arena, out, err)
                           : status;
}

static tl_status look_at(tl_study *study, const tl_study_pair *pair, tl_arena *arena,
                         tl_error *err)
{
    const tl_dataset_row *row = &study->session.dataset->rows[pair->row],
                         *other = &study->session.dataset->rows[pair->counterfactual];
    tl_study_picture p = {.pair = pair->pair,
                          .row = pair->row,
                          .id = row->id,
                          .query = row->query,
                          .answer = row->answer,
                          .counterfactual = other->answer};
    tl_encoding e;
    tl_rows rows[] = {{TL_ROW_PICTURE, &p, 1}, {0}};
    char *bytes = NULL;
    tl_status status = tl_dataset_encode(study->session.dataset, pair->row,
                                         study->session.processor, arena, &e, err);
    if (status == TL_OK)
        status = tl_file_read(row->image_path, arena, &bytes, &p.n_bytes, err);
    if (status == TL_OK)
        status = attribute_one(study, pair, &e, arena, &rows[1], err);
    if (status != TL_OK)
        return status;
    p.n_rows = e.pixels.n_rows;
    p.n_columns = e.pixels.n_columns;
    p.type = type_of((const unsigned char *)bytes, p.n_bytes);
    p.bytes = bytes;
    return tl_study_db_put(study->db, rows, 2, err);
}

tl_status tl_study_pictures(tl_study *study, tl_error *err)
{
    const size_t stage = study->stages[TL_IMAGE][TL_STAGE_PICTURES];
    const tl_study_pair *pairs = NULL;
    tl_rows known = {0};
    size_t n_pairs = 0;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for pictures");
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_PICTURE, NULL, 0, arena, &known, err);
    if (status == TL_OK)
        status = tl_study_db_get_pairs(study->db, TL_IMAGE, TL_STUDY_DISCOVERY, arena,
                                       &pairs, &n_pairs, err);
    const size_t n =
        n_pairs < study->settings.pictures ? n_pairs : study->settings.pictures;
    tl_progress_resize(study->progress, stage, n);
    tl_progress_begin(study->progress, stage, known.n);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = known.n; i < n && status == TL_OK; i++) {
        status = look_at(study, &pairs[i], arena, err);
        tl_arena_rewind(arena, mark);
        tl_progress_step(study->progress, stage, i + 1);
    }
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    tl_arena_destroy(arena);
    return status;
}
