/* SPDX-License-Identifier: MIT
 * stage_pictures.c - some image prompts for the reader to look at, each with the scores of
 * its own. See stage.h. */
#include "study/stage.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "study/draw_pairs.h"

typedef struct pictures_stage {
    tl_part_pairs pairs;
    size_t *chosen;              /* of the pairs, for every unit */
    tl_attribution *attribution; /* of one pair after the other */
} pictures_stage;

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

/* A row for each layer and part of the picture that an image token sees. Other tokens may
 * stand between those of the picture, and before them. */
static tl_status make_rows(const tl_scores *s, const tl_input *input,
                           const tl_pixels *pixels, size_t pair, tl_arena *arena,
                           tl_rows *out, tl_error *err)
{
    size_t n_cells = 0;
    for (size_t v = 0; v < pixels->n_views; v++)
        n_cells += pixels->views[v].n_rows * pixels->views[v].n_columns;
    tl_study_picture_score *rows =
        tl_arena_alloc_zero(arena, s->n_layers * n_cells, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    for (size_t l = 0; l < s->n_layers; l++) {
        size_t feature = 0;
        for (size_t t = 0; t < s->n_pos; t++) {
            const size_t at = l * s->n_pos + t;
            if (!input->is_image[t])
                continue;
            const size_t cell =
                pixels->cells != NULL ? pixels->cells[feature] : feature;
            feature++;
            if (cell == TL_NO_CELL)
                continue;
            rows[l * n_cells + cell] = (tl_study_picture_score){
                .pair = pair,
                .layer = l,
                .pos = cell,
                .heads = sum_of(s->heads + at * s->n_heads, s->n_heads),
                .neurons = sum_of(s->neurons + at * s->d_mlp, s->d_mlp)};
        }
    }
    *out = (tl_rows){TL_ROW_PICTURE_SCORE, rows, s->n_layers * n_cells};
    return TL_OK;
}

/* The grids beyond the first. */
static tl_status make_views(const tl_pixels *pixels, size_t pair, tl_arena *arena,
                            tl_rows *out, tl_error *err)
{
    const size_t n = pixels->n_views - 1;
    tl_study_picture_view *rows = tl_arena_alloc(arena, n + 1, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture");
    for (size_t v = 0; v < n; v++)
        rows[v] = (tl_study_picture_view){pair, v + 1, pixels->views[v + 1].n_rows,
                                          pixels->views[v + 1].n_columns};
    *out = (tl_rows){TL_ROW_PICTURE_VIEW, rows, n};
    return TL_OK;
}

/* The inputs of a pair and its scores; magnitudes and the other pairs, which attribution
 * holds in their place, are more than the file of an image. */
static size_t held(const tl_study *study)
{
    const size_t n_pos = study->spans[TL_IMAGE].n_pos;
    return tl_study_input_bytes(study, TL_IMAGE, n_pos, 2) +
           tl_study_array_bytes(study, n_pos, sizeof(float));
}

/* The scores of one pair alone, attributed as the study does it. */
static tl_status attribute_one(tl_stage_run *run, const tl_study_pair *pair,
                               const tl_pixels *pixels, tl_rows *out, tl_error *err)
{
    const pictures_stage *p = run->state;
    tl_pair *made = NULL;
    tl_scores s;
    tl_attribution_clear(p->attribution);
    tl_status status = tl_study_make_pairs(run->study, pair, 1, run->arena, &made, err);
    if (status == TL_OK)
        status = tl_attribution_add(p->attribution, made, 1, err);
    if (status == TL_OK)
        status = tl_attribution_scores(p->attribution, run->arrays, &s, err);
    return status == TL_OK
               ? make_rows(&s, &made->clean, pixels, pair->pair, run->arena, out, err)
               : status;
}

static tl_status look_at(tl_stage_run *run, size_t first, size_t n, tl_stage_rows *rows,
                         tl_error *err)
{
    (void)n;
    const tl_session *s = &run->study->session;
    const pictures_stage *state = run->state;
    const tl_study_pair *pair = &state->pairs.pairs[state->chosen[first]];
    const tl_dataset_row *row = &s->dataset->rows[pair->row];
    tl_study_picture *p = tl_arena_alloc(run->arena, 1, sizeof *p);
    tl_encoding e;
    tl_rows scores = {0}, views = {0};
    char *bytes = NULL;
    size_t n_bytes = 0;
    if (p == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a picture");
    tl_status status =
        tl_dataset_encode(s->dataset, pair->row, s->processor, run->arena, &e, err);
    if (status == TL_OK)
        status = tl_file_read(row->image_path, run->arena, &bytes, &n_bytes, err);
    if (status == TL_OK)
        status = attribute_one(run, pair, &e.pixels, &scores, err);
    if (status == TL_OK)
        status = make_views(&e.pixels, pair->pair, run->arena, &views, err);
    if (status != TL_OK)
        return status;
    *p = (tl_study_picture){.pair = pair->pair,
                            .row = pair->row,
                            .id = row->id,
                            .query = row->query,
                            .answer = row->answer,
                            .counterfactual =
                                s->dataset->rows[pair->counterfactual].answer,
                            .n_rows = e.pixels.views[0].n_rows,
                            .n_columns = e.pixels.views[0].n_columns,
                            .type = type_of((const unsigned char *)bytes, n_bytes),
                            .bytes = bytes,
                            .n_bytes = n_bytes};
    tl_stage_put(rows, TL_ROW_PICTURE, p, 1);
    tl_stage_put(rows, TL_ROW_PICTURE_VIEW, views.rows, views.n);
    tl_stage_put(rows, TL_ROW_PICTURE_SCORE, scores.rows, scores.n);
    return TL_OK;
}

/* Discovery pairs at random, one of each answer as far as pictures are wanted. */
static tl_status draw_units(tl_stage_run *run, tl_error *err)
{
    const tl_settings *s = &run->study->settings;
    pictures_stage *p = run->state;
    int32_t *answers = tl_arena_alloc(run->arena, p->pairs.n, sizeof *answers);
    p->chosen = tl_arena_alloc(run->arena, p->pairs.n, sizeof *p->chosen);
    if (answers == NULL || p->chosen == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", p->pairs.n);
    for (size_t i = 0; i < p->pairs.n; i++)
        answers[i] = p->pairs.pairs[i].answer_id;
    return tl_draw_pairs(answers, p->pairs.n, s->pictures, 1, s->seed, p->chosen,
                         &run->n_units, err);
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    const tl_study *study = run->study;
    tl_rows known = {0};
    pictures_stage *p = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *p);
    if (p == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for pictures");
    tl_status status =
        tl_study_db_get(study->db, TL_ROW_PICTURE, NULL, 0, run->arena, &known, err);
    if (status == TL_OK)
        status = tl_study_find_pairs(study, TL_IMAGE, TL_STUDY_DISCOVERY, run->arena,
                                     &p->pairs, err);
    if (status == TL_OK)
        status = draw_units(run, err);
    if (status != TL_OK)
        return status;
    run->n_done = known.n;
    const tl_attribution_options options =
        tl_study_attribution(study, tl_study_budget(study, held(study)));
    return tl_attribution_create(study->session.model, p->pairs.span.n_pos, &options,
                                 &p->attribution, err);
}

static void release(tl_stage_run *run)
{
    pictures_stage *p = run->state;
    tl_attribution_destroy(p->attribution);
}

static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const size_t wanted = sizes->settings->pictures;
    const tl_status status = tl_stage_attribute.guess(sizes, out, err);
    out->n_units = wanted < sizes->n_discovery ? wanted : sizes->n_discovery;
    return status;
}

const tl_stage tl_stage_pictures = {.name = "pictures",
                                    .of = TL_STAGE_IMAGE,
                                    .of_circuits = true,
                                    .guess = guess,
                                    .begin = begin,
                                    .run = look_at,
                                    .release = release};
