/* SPDX-License-Identifier: MIT
 *
 * study_circuit.c - from pairs to scores, and from scores to faithfulness curves.
 * See study_private.h.
 *
 * The sums of an attribution under way are kept in partial.MODALITY.safetensors: a
 * resumed study reads them back and adds the pairs that are missing, in the same
 * order, so the result is the same to the last bit. The scores then get a file of
 * their own, the store the hash of that file, and the partial sums go; whichever of
 * these steps a killed study had reached, doing them again changes nothing.
 */
#include "study/study_private.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "study/fingerprint.h"
#include "store/score_file.h"
#include "twinlens/safetensors.h"
#include "twinlens/statistics.h"

/* Writing the sums may take this share of the time. */
static const double checkpoint_share = 0.05;

/* ---- pairs ------------------------------------------------------------------- */

tl_status tl_study_make_pairs(tl_study *study, const tl_study_pair *pairs, size_t n,
                              tl_arena *arena, tl_pair **out, tl_error *err)
{
    tl_status status = TL_OK;
    tl_pair *made = tl_arena_alloc_zero(arena, n, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        made[i].answer = pairs[i].answer_id;
        made[i].counterfactual_answer = pairs[i].counterfactual_answer_id;
        status = tl_session_input(&study->session, pairs[i].row, arena, NULL,
                                  &made[i].clean, err);
        if (status == TL_OK)
            status = tl_session_input(&study->session, pairs[i].counterfactual, arena,
                                      NULL, &made[i].counterfactual, err);
    }
    *out = made;
    return status;
}

/* "RUN/scores.text.safetensors" */
static const char *file_path(const tl_study *study, const char *what,
                             tl_modality modality)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s.safetensors", what, tl_modality_name(modality));
    return tl_path_join(study->session.arena, study->settings.out, name);
}

/* What the prompts of a modality have in common, from the first that was used. */
static tl_status get_span(const tl_study *study, tl_modality modality, size_t row,
                          tl_study_prompt *out, tl_error *err)
{
    const tl_study_prompt *prompts = NULL;
    size_t n = 0;
    const tl_status status = tl_study_db_get_prompts(
        study->db, modality, study->session.arena, &prompts, &n, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        if (prompts[i].row == row) {
            *out = prompts[i];
            return TL_OK;
        }
    return tl_fail(err, TL_ERR_FORMAT, "%s/" TL_STUDY_DB_NAME ": row %zu is missing",
                   study->settings.out, row);
}

/* ---- the sums under way ------------------------------------------------------ */

static tl_status write_sums(const char *path, const tl_attribution_state *state,
                            tl_error *err)
{
    const uint64_t n_pairs = state->n_pairs;
    tl_named_tensor tensors[TL_ATTRIBUTION_SUMS + 1] = {
        {"pairs", {.dtype = TL_I64, .n_dims = 1, .dims = {1}, .data = &n_pairs}}};
    for (size_t i = 0; i < state->n_sums; i++)
        tensors[1 + i] = (tl_named_tensor){state->sums[i].name,
                                           {.dtype = TL_F64,
                                            .n_dims = 1,
                                            .dims = {state->sums[i].n},
                                            .data = state->sums[i].values}};
    return tl_safetensors_write(path, tensors, 1 + state->n_sums, NULL, 0, err);
}

static bool is_vector(const tl_tensor *tensor, tl_dtype dtype, size_t count)
{
    return tensor != NULL && tensor->dtype == dtype && tensor->n_dims == 1 &&
           tensor->dims[0] == count;
}

/* Puts back what write_sums wrote, if it is there. */
static tl_status read_sums(const char *path, tl_attribution *attribution,
                           size_t n_pairs, tl_error *err)
{
    if (!tl_file_exists(path))
        return TL_OK;
    tl_safetensors *file = NULL;
    tl_status status = tl_safetensors_open(path, &file, err);
    if (status != TL_OK)
        return status;
    const tl_attribution_state state = tl_attribution_get_state(attribution);
    const tl_tensor *sums[TL_ATTRIBUTION_SUMS];
    const tl_tensor *pairs = tl_safetensors_find(file, "pairs");
    uint64_t done = 0;
    bool whole = is_vector(pairs, TL_I64, 1);
    for (size_t i = 0; i < state.n_sums; i++) {
        sums[i] = tl_safetensors_find(file, state.sums[i].name);
        whole = whole && is_vector(sums[i], TL_F64, state.sums[i].n);
    }
    if (!whole) {
        status = tl_fail(err, TL_ERR_DATA,
                         "%s: not the sums of this attribution; remove the file to "
                         "attribute again",
                         path);
        goto done;
    }
    memcpy(&done, pairs->data, sizeof done);
    if (done > n_pairs) {
        status = tl_fail(err, TL_ERR_DATA,
                         "%s: holds the sums of %llu pairs, the study has %zu; remove "
                         "the file to attribute again",
                         path, (unsigned long long)done, n_pairs);
        goto done;
    }
    for (size_t i = 0; i < state.n_sums; i++)
        memcpy(state.sums[i].values, sums[i]->data, state.sums[i].n * sizeof(double));
    tl_attribution_set_count(attribution, (size_t)done);
done:
    tl_safetensors_close(file);
    return status;
}

/* ---- attribute --------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Adds the pairs that are not in the sums yet, and saves the sums now and then. */
static tl_status add_pairs(tl_study *study, tl_modality modality, size_t n_pos,
                           tl_attribution *attribution, const tl_study_pair *pairs,
                           size_t n_pairs, const char *partial, tl_error *err)
{
    const size_t stage = study->stages[modality][TL_STAGE_ATTRIBUTE];
    const size_t group =
        tl_study_group(study, n_pos, tl_attribution_group(attribution));
    double written = seconds_now(), cost = 0.0;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to attribute");
    tl_status status = TL_OK;
    size_t done = tl_attribution_get_state(attribution).n_pairs;
    tl_progress_begin(study->progress, stage, done);
    while (done < n_pairs && status == TL_OK) {
        const size_t n = n_pairs - done < group ? n_pairs - done : group;
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_pair *made = NULL;
        status = tl_study_make_pairs(study, pairs + done, n, arena, &made, err);
        if (status == TL_OK)
            status = tl_attribution_add(attribution, made, n, err);
        tl_arena_rewind(arena, mark);
        if (status != TL_OK)
            break;
        done += n;
        tl_progress_step(study->progress, stage, done);
        const double now = seconds_now();
        if ((now - written) * checkpoint_share >= cost || done == n_pairs) {
            const tl_attribution_state state = tl_attribution_get_state(attribution);
            status = write_sums(partial, &state, err);
            written = seconds_now();
            cost = written - now;
        }
    }
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    tl_arena_destroy(arena);
    return status;
}

static tl_status hash_file(const char *path, char hex[TL_SHA256_HEX], tl_error *err)
{
    tl_sha256 hash;
    tl_sha256_init(&hash);
    const tl_status status = tl_sha256_file(&hash, path, err);
    tl_sha256_hex(&hash, hex);
    return status;
}

static tl_status write_scores(const tl_study *study, tl_modality modality,
                              tl_attribution *attribution, const tl_study_prompt *span,
                              tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    const char *path = file_path(study, "scores", modality);
    if (arena == NULL || path == NULL) {
        tl_arena_destroy(arena);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    }
    const size_t n_pairs = tl_attribution_get_state(attribution).n_pairs;
    char pairs[24], begin[24], end[24], hex[TL_SHA256_HEX];
    tl_fingerprint made_from;
    tl_status status = tl_fingerprint_take(&study->settings, study->session.dataset,
                                           arena, &made_from, err);
    snprintf(pairs, sizeof pairs, "%zu", n_pairs);
    snprintf(begin, sizeof begin, "%zu", span->data_begin);
    snprintf(end, sizeof end, "%zu", span->data_end);
    const char *const metadata[][2] = {{"modality", tl_modality_name(modality)},
                                       {TL_FINGERPRINT_MODEL, made_from.model},
                                       {TL_FINGERPRINT_DATASET, made_from.dataset},
                                       {"pairs", pairs},
                                       {"data_begin", begin},
                                       {"data_end", end}};
    tl_scores s, magnitudes;
    if (status == TL_OK)
        status = tl_attribution_scores(attribution, arena, &s, err);
    if (status == TL_OK)
        status = tl_attribution_magnitudes(attribution, arena, &magnitudes, err);
    if (status == TL_OK)
        status = tl_score_file_write(path, &s, &magnitudes, metadata,
                                     sizeof metadata / sizeof *metadata, err);
    if (status == TL_OK)
        status = hash_file(path, hex, err);
    if (status == TL_OK) {
        const tl_study_scores row = {.modality = modality,
                                     .file = strrchr(path, '/') + 1,
                                     .sha256 = hex,
                                     .n_pairs = n_pairs,
                                     .n_layers = s.n_layers,
                                     .n_pos = s.n_pos,
                                     .n_heads = s.n_heads,
                                     .d_mlp = s.d_mlp,
                                     .data_begin = span->data_begin,
                                     .data_end = span->data_end};
        status = tl_study_db_put(study->db, &(tl_rows){TL_ROW_SCORES, &row, 1}, 1, err);
    }
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_study_attribute(tl_study *study, tl_modality modality, tl_error *err)
{
    const tl_study_pair *pairs = NULL;
    tl_attribution *attribution = NULL;
    tl_study_scores there = {.modality = modality};
    tl_study_prompt span = {0};
    size_t n_pairs = 0;
    bool done = false;
    const char *partial = file_path(study, "partial", modality);
    if (partial == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to attribute");
    tl_status status = tl_study_db_find(study->db, TL_ROW_SCORES, &there,
                                        study->session.arena, &done, err);
    if (status == TL_OK)
        status = tl_study_db_get_pairs(study->db, modality, TL_STUDY_DISCOVERY,
                                       study->session.arena, &pairs, &n_pairs, err);
    if (status == TL_OK && done) {
        tl_progress_resize(study->progress, study->stages[modality][TL_STAGE_ATTRIBUTE],
                           0);
        goto done;
    }
    if (status == TL_OK)
        status = get_span(study, modality, pairs[0].row, &span, err);
    if (status != TL_OK)
        goto done;
    const size_t kept = tl_study_attribution_bytes(study, span.n_pos);
    tl_attribution_options options =
        tl_settings_attribution(&study->settings, tl_study_pass_budget(study, kept));
    options.magnitudes = true;
    status = tl_attribution_create(study->session.model, span.n_pos, &options,
                                   &attribution, err);
    if (status == TL_OK)
        status = read_sums(partial, attribution, n_pairs, err);
    if (status == TL_OK)
        status = add_pairs(study, modality, span.n_pos, attribution, pairs, n_pairs,
                           partial, err);
    if (status == TL_OK)
        status = write_scores(study, modality, attribution, &span, err);
done:
    tl_attribution_destroy(attribution);
    if (status == TL_OK && unlink(partial) != 0 && errno != ENOENT)
        status =
            tl_fail(err, TL_ERR_IO, "%s: cannot remove: %s", partial, strerror(errno));
    return status;
}

/* ---- evaluate ---------------------------------------------------------------- */

tl_status tl_study_rank(const tl_study *study, tl_modality modality, bool by_magnitude,
                        tl_arena *arena, tl_ranking *out, tl_error *err)
{
    const tl_dims *dims = tl_model_dims(study->session.model);
    tl_study_scores wanted = {.modality = modality};
    tl_scores scores;
    char hex[TL_SHA256_HEX];
    const char *path = file_path(study, "scores", modality);
    tl_arena *own = tl_arena_create(); /* the scores are not needed once ranked */
    tl_status status = TL_OK;
    if (path == NULL || own == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    if (status == TL_OK)
        status = tl_study_db_find(study->db, TL_ROW_SCORES, &wanted, own, NULL, err);
    if (status == TL_OK)
        status = hash_file(path, hex, err);
    if (status == TL_OK && strcmp(hex, wanted.sha256) != 0)
        status =
            tl_fail(err, TL_ERR_DATA,
                    "%s: not what the study wrote: its SHA-256 is %.12s..., wanted "
                    "%.12s...",
                    path, hex, wanted.sha256);
    if (status == TL_OK)
        status = by_magnitude
                     ? tl_score_file_read_magnitudes(path, dims, wanted.n_pos, own,
                                                     &scores, err)
                     : tl_score_file_read(path, dims, wanted.n_pos, own, &scores, err);
    if (status == TL_OK)
        status = tl_fail_while(err, tl_ranking_from_scores(&scores, arena, out, err),
                               "%s", path);
    tl_arena_destroy(own);
    return status;
}

/* The circuits of the grid, then as many of the same sizes chosen otherwise. */
static tl_status make_circuits(tl_study *study, tl_modality modality, tl_arena *arena,
                               tl_circuit **out, tl_error *err)
{
    const size_t n = study->sizes.n;
    tl_ranking *rankings = tl_arena_alloc(arena, TL_STUDY_KIND_COUNT, sizeof *rankings);
    tl_circuit *circuits =
        tl_arena_alloc(arena, TL_STUDY_KIND_COUNT * n, sizeof *circuits);
    if (rankings == NULL || circuits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits", n);
    tl_status status =
        tl_study_rank(study, modality, false, arena, &rankings[TL_STUDY_CIRCUIT], err);
    if (status == TL_OK)
        status = tl_study_rank(study, modality, true, arena,
                               &rankings[TL_STUDY_MAGNITUDE], err);
    if (status == TL_OK)
        status = tl_ranking_random(&rankings[TL_STUDY_CIRCUIT],
                                   study->settings.seed + (uint64_t)modality, arena,
                                   &rankings[TL_STUDY_RANDOM], err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < TL_STUDY_KIND_COUNT * n; i++)
        circuits[i] = tl_circuit_at(&rankings[i / n], study->sizes.fractions[i % n],
                                    (tl_fraction_rounding)study->settings.rounding);
    *out = circuits;
    return TL_OK;
}

/* The unit of work: one pair under all circuits. */
tl_status tl_study_make_evaluator(const tl_study *study, size_t kept,
                                  tl_evaluator **evaluator, tl_error *err)
{
    const tl_evaluate_options options = {.memory_budget =
                                             tl_study_pass_budget(study, kept)};
    return *evaluator != NULL
               ? TL_OK
               : tl_evaluator_create(study->session.model, &options, evaluator, err);
}

static tl_status evaluate_pair(tl_study *study, tl_evaluator **evaluator,
                               tl_modality modality, const tl_study_pair *pair,
                               const tl_circuit *circuits, tl_arena *arena,
                               tl_error *err)
{
    const size_t n = study->sizes.n;
    tl_pair *made = NULL;
    tl_evaluation result = {
        .circuit = tl_arena_alloc(arena, TL_STUDY_KIND_COUNT * n, sizeof(double))};
    tl_study_evaluation *rows =
        tl_arena_alloc(arena, TL_STUDY_KIND_COUNT * n, sizeof *rows);
    if (result.circuit == NULL || rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to evaluate");
    tl_status status = tl_study_make_pairs(study, pair, 1, arena, &made, err);
    if (status != TL_OK)
        return status;
    status = tl_study_make_evaluator(
        study, tl_study_evaluation_bytes(study, made->clean.n_pos), evaluator, err);
    if (status == TL_OK)
        status = tl_evaluator_run(*evaluator, made, 1, circuits,
                                  TL_STUDY_KIND_COUNT * n, &result, err);
    if (status != TL_OK)
        return status;
    const tl_study_baseline baseline = {modality, pair->pair, result.clean,
                                        result.none};
    for (size_t i = 0; i < TL_STUDY_KIND_COUNT * n; i++)
        rows[i] = (tl_study_evaluation){modality, (tl_study_kind)(i / n), pair->pair,
                                        i % n, result.circuit[i]};
    const tl_rows both[] = {{TL_ROW_BASELINE, &baseline, 1},
                            {TL_ROW_EVALUATION, rows, TL_STUDY_KIND_COUNT * n}};
    return tl_study_db_put(study->db, both, 2, err);
}

/* ---- curves ------------------------------------------------------------------ */

static double chosen(const tl_study *study, const tl_study_point *point)
{
    return study->settings.faith == TL_FAITH_MEAN_RATIO ? point->mean_of_ratios
                                                        : point->ratio_of_means;
}

static tl_status summarise(const tl_study *study, tl_modality modality,
                           const tl_circuit *circuits, tl_arena *arena, tl_error *err)
{
    const size_t n = study->sizes.n;
    tl_study_evaluations done;
    tl_study_point *points =
        tl_arena_alloc(arena, TL_STUDY_KIND_COUNT * n, sizeof *points);
    tl_status status =
        tl_study_db_get_evaluations(study->db, modality, n, arena, &done, err);
    if (status != TL_OK)
        return status;
    const size_t n_rows = done.n_pairs;
    double *values = tl_arena_alloc(arena, 4 * n_rows, sizeof *values);
    if (points == NULL || values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for curves");
    double *clean = values, *none = values + n_rows, *circuit = values + 2 * n_rows,
           *room = values + 3 * n_rows;
    for (size_t at = 0; at < TL_STUDY_KIND_COUNT * n; at++) {
        for (size_t i = 0; i < n_rows; i++) {
            clean[i] = done.pairs[i].clean;
            none[i] = done.pairs[i].none;
            circuit[i] =
                tl_study_evaluations_at(&done, (tl_study_kind)(at / n), i, at % n);
        }
        const tl_faithfulness f =
            tl_faithfulness_summary(clean, none, circuit, n_rows, room);
        points[at] = (tl_study_point){.modality = modality,
                                      .kind = (tl_study_kind)(at / n),
                                      .point = at % n,
                                      .fraction = study->sizes.texts[at % n],
                                      .n_heads = circuits[at].n_heads,
                                      .n_neurons = circuits[at].n_neurons,
                                      .mean_of_ratios = f.mean_of_ratios,
                                      .ratio_of_means = f.ratio_of_means,
                                      .median = f.median,
                                      .n = f.n,
                                      .n_excluded = f.n_excluded};
    }
    tl_study_minimal minimal = {.modality = modality};
    for (size_t i = 0; i < n; i++)
        if (chosen(study, &points[i]) > study->settings.threshold &&
            (!minimal.found ||
             tl_fraction_value(study->sizes.fractions[i]) <
                 tl_fraction_value(study->sizes.fractions[minimal.point])))
            minimal = (tl_study_minimal){modality, true, i};
    const tl_rows both[] = {{TL_ROW_POINT, points, TL_STUDY_KIND_COUNT * n},
                            {TL_ROW_MINIMAL, &minimal, 1}};
    return tl_study_db_put(study->db, both, 2, err);
}

tl_status tl_study_evaluate(tl_study *study, tl_modality modality, tl_error *err)
{
    const size_t stage = study->stages[modality][TL_STAGE_EVALUATE];
    const tl_study_pair *pairs = NULL;
    tl_study_minimal minimal = {.modality = modality};
    tl_circuit *circuits = NULL;
    size_t n_pairs = 0;
    bool finished = false;
    tl_status status = tl_study_db_find(study->db, TL_ROW_MINIMAL, &minimal,
                                        study->session.arena, &finished, err);
    if (status != TL_OK || finished) {
        if (finished)
            tl_progress_resize(study->progress, stage, 0);
        return status;
    }
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to evaluate");
    tl_study_evaluations done = {0};
    status = tl_study_db_get_pairs(study->db, modality, TL_STUDY_EVALUATION,
                                   study->session.arena, &pairs, &n_pairs, err);
    if (status == TL_OK)
        status = tl_study_db_get_evaluations(study->db, modality, study->sizes.n, arena,
                                             &done, err);
    if (status == TL_OK)
        status = make_circuits(study, modality, arena, &circuits, err);
    /* Pairs are evaluated in order, so those that are done are the first ones. */
    tl_progress_begin(study->progress, stage, done.n_pairs);
    tl_evaluator *evaluator = NULL;
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    for (size_t i = done.n_pairs; i < n_pairs && status == TL_OK; i++) {
        status =
            evaluate_pair(study, &evaluator, modality, &pairs[i], circuits, arena, err);
        tl_arena_rewind(arena, mark);
        tl_progress_step(study->progress, stage, i + 1);
    }
    tl_evaluator_destroy(evaluator);
    if (status == TL_OK)
        status = summarise(study, modality, circuits, arena, err);
    if (status == TL_OK)
        tl_progress_end(study->progress, stage);
    tl_arena_destroy(arena);
    return status;
}
