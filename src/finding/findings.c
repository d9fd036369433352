/* SPDX-License-Identifier: MIT
 * findings.c - see include/twinlens/finding.h. */
#include "finding/findings_private.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "store/left_out.h"
#include "store/score_file.h"
#include "twinlens/safetensors.h"

tl_status tl_findings_mean(const double *values, size_t n, tl_interval *out,
                           tl_error *err)
{
    return tl_bootstrap(tl_statistic_mean, values, n, NULL, out, err);
}

const char *tl_findings_key(const tl_findings *findings, const char *key)
{
    for (size_t i = 0; i < findings->n_keys; i++)
        if (strcmp(findings->keys[i].key, key) == 0)
            return findings->keys[i].value;
    return "";
}

bool tl_findings_ratio_of_means(const tl_findings *findings)
{
    return strcmp(tl_findings_key(findings, "faith"), "ratio_mean") == 0;
}

const tl_interval *tl_findings_chosen(const tl_findings *findings,
                                      const tl_finding_point *point)
{
    return tl_findings_ratio_of_means(findings) ? &point->ratio_of_means
                                                : &point->mean_of_ratios;
}

const tl_finding_area *tl_findings_area(const tl_findings *findings,
                                        const tl_finding_part *part, tl_study_kind kind)
{
    return &part->areas[kind][tl_findings_ratio_of_means(findings)
                                  ? TL_FAITH_RATIO_MEAN
                                  : TL_FAITH_MEAN_RATIO];
}

const tl_finding_point *tl_findings_smallest(const tl_finding_part *part,
                                             tl_study_kind kind)
{
    return part->minimal.found && part->curves[kind] != NULL
               ? &part->curves[kind][part->minimal.point]
               : NULL;
}

static const tl_finding_overlap *find_overlap(const tl_findings *findings,
                                              const char *part, const char *kind)
{
    for (size_t i = 0; i < findings->n_overlaps; i++) {
        const tl_study_overlap *row = findings->overlaps[i].row;
        if (strcmp(row->segment, part) == 0 && strcmp(row->kind, kind) == 0)
            return &findings->overlaps[i];
    }
    return NULL;
}

const tl_finding_overlap *tl_findings_overlap(const tl_findings *findings,
                                              tl_segment segment, const char *kind)
{
    return find_overlap(findings, tl_segment_name(segment), kind);
}

const tl_finding_overlap *tl_findings_whole_overlap(const tl_findings *findings,
                                                    const char *kind)
{
    return find_overlap(findings, "whole", kind);
}

static tl_status read_precision(const tl_study_db *db, tl_modality modality,
                                tl_arena *arena, tl_study_precision *out, tl_error *err)
{
    const tl_study_precision like = {.modality = modality};
    tl_rows rows = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_PRECISION, &like, 1, arena, &rows, err);
    if (status == TL_OK && rows.n > 0)
        *out = *(const tl_study_precision *)rows.rows;
    return status;
}

static tl_status read_modality(const tl_study_db *db, const char *folder,
                               tl_modality modality, tl_arena *arena, tl_findings *f,
                               tl_error *err)
{
    tl_finding_part *part = &f->parts[modality];
    tl_status status = tl_findings_part(db, folder, modality, arena, part, err);
    if (status == TL_OK)
        status = tl_findings_validation(db, f, modality, arena, err);
    if (status == TL_OK)
        status = tl_findings_tests(db, f, modality, arena, &f->tests[modality], err);
    return status == TL_OK
               ? read_precision(db, modality, arena, &f->precisions[modality], err)
               : status;
}

static tl_status read_cost(const tl_study_db *db, tl_arena *arena, tl_findings *f,
                           tl_error *err)
{
    tl_rows work = {0}, memory = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_WORK, NULL, 0, arena, &work, err);
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_MEMORY, NULL, 0, arena, &memory, err);
    f->work = work.rows;
    f->n_work = work.n;
    f->memory = memory.rows;
    f->n_memory = memory.n;
    return status;
}

static void find_reasons(tl_findings *f)
{
    for (size_t i = 0; i < f->n_left_out; i++)
        if (tl_left_out_is_all(&f->left_out[i])) {
            tl_finding_part *part = &f->parts[f->left_out[i].modality];
            part->no_circuits = f->left_out[i].reason;
            part->remedy =
                tl_left_out_remedy(f->left_out[i].modality, part->no_circuits);
        }
}

/* What the study lacks for what its prompts are. */
static tl_status say_absent(tl_arena *arena, tl_findings *f, tl_error *err)
{
    const bool alone = f->parts[TL_IMAGE].present && !f->parts[TL_TEXT].present;
    char text[768];
    int used = snprintf(text, sizeof text, "%s",
                        alone ? "no text rows: no comparison, no control" : "");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const char *reason = f->parts[m].no_circuits;
        if (!f->parts[m].present || f->parts[m].n_discovery > 0 ||
            !(reason != NULL || f->finished))
            continue;
        const char *name = tl_modality_name((tl_modality)m),
                   *before = used > 0 ? "; " : "";
        if (reason != NULL) /* "text prompts have ...", "text: 1 of 12 right, ..." */
            used += snprintf(text + used, sizeof text - (size_t)used,
                             "%s%s%s%.250s: no circuits", before, name,
                             strncmp(reason, "prompts", 7) == 0 ? " " : ": ", reason);
        else
            used += snprintf(text + used, sizeof text - (size_t)used,
                             "%sthe split of all %s%srows is 'none': no circuits",
                             before, alone ? "" : name, alone ? "" : " ");
    }
    f->absent = used > 0 ? tl_arena_strdup(arena, text) : NULL;
    return used == 0 || f->absent != NULL ? TL_OK
                                          : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
}

/* What a score file of the study knows its model or dataset by; NULL: it does not say. */
static tl_status known_by(const tl_findings *f, const char *key, tl_arena *arena,
                          const char **out, tl_error *err)
{
    tl_status status = TL_OK;
    *out = NULL;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK && *out == NULL; m++) {
        tl_safetensors *file = NULL;
        if (f->parts[m].importance[TL_KIND_HEADS] == NULL)
            continue;
        const char *path = tl_path_join(arena, f->folder, f->parts[m].scores.file);
        status = path != NULL ? tl_safetensors_open(path, &file, err)
                              : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
        const char *found = status == TL_OK ? tl_safetensors_metadata(file, key) : NULL;
        if (found != NULL && (*out = tl_arena_strdup(arena, found)) == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a hash");
        tl_safetensors_close(file);
    }
    return status;
}

/* Older manifests have the hash of all files as "model" and "dataset"; in them it moves to
 * where it is now, and both are known by what their score files say. */
static tl_status take_identities(tl_findings *f, tl_arena *arena, tl_error *err)
{
    static const char *const moves[][3] = {
        {"model", "model-files", TL_SCORES_MODEL},
        {"dataset", "dataset-files", TL_SCORES_DATASET}};
    enum { MOVES = sizeof moves / sizeof *moves };
    tl_study_key *keys = tl_arena_alloc(arena, f->n_keys + MOVES, sizeof *keys);
    tl_status status =
        keys != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (status != TL_OK || tl_findings_key(f, moves[0][1])[0] != '\0')
        return status;
    size_t n = 0;
    for (; n < f->n_keys; n++)
        keys[n] = f->keys[n];
    for (size_t i = 0; i < MOVES && status == TL_OK; i++) {
        const char *found = NULL;
        status = known_by(f, moves[i][2], arena, &found, err);
        for (size_t k = 0; k < f->n_keys && status == TL_OK && found != NULL; k++)
            if (strcmp(keys[k].key, moves[i][0]) == 0) {
                keys[n++] = (tl_study_key){moves[i][1], keys[k].value};
                keys[k].value = found;
            }
    }
    if (status == TL_OK) {
        f->keys = keys;
        f->n_keys = n;
    }
    return status;
}

static tl_status read_all(const tl_study_db *db, tl_arena *arena, tl_findings *f,
                          tl_error *err)
{
    tl_rows keys = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_KEY, NULL, 0, arena, &keys, err);
    f->keys = keys.rows;
    f->n_keys = keys.n;
    if (status == TL_OK && f->n_keys == 0)
        status = tl_fail(err, TL_ERR_NOT_FOUND, "the study there has not begun");
    if (status == TL_OK)
        status = read_cost(db, arena, f, err);
    if (status == TL_OK)
        status = tl_study_db_has_stage(db, "all", &f->finished, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = read_modality(db, f->folder, (tl_modality)m, arena, f, err);
    if (status == TL_OK)
        status = take_identities(f, arena, err);
    tl_rows left_out = {0};
    if (status == TL_OK)
        status = tl_study_db_get(db, TL_ROW_LEFT_OUT, NULL, 0, arena, &left_out, err);
    f->left_out = left_out.rows;
    f->n_left_out = left_out.n;
    if (status == TL_OK)
        status = tl_findings_pictures(db, arena, f, err);
    if (status == TL_OK)
        status = tl_findings_overlaps(db, arena, f, err);
    if (status == TL_OK)
        status = tl_findings_swaps(db, arena, f, err);
    if (status == TL_OK)
        status = tl_findings_layers(db, arena, f, err);
    if (status == TL_OK)
        status = tl_findings_backpatch(db, false, arena, &f->backpatch, err);
    if (status == TL_OK)
        status = tl_findings_backpatch(db, true, arena, &f->modal_backpatch, err);
    find_reasons(f);
    if (status == TL_OK)
        status = tl_findings_caveats(f, arena, err);
    return status == TL_OK ? say_absent(arena, f, err) : status;
}

tl_status tl_findings_read(const char *folder, tl_arena *arena, tl_findings *out,
                           tl_error *err)
{
    tl_findings f = {.folder = folder};
    tl_study_db *db = NULL;
    tl_status status = tl_study_db_open(folder, TL_STUDY_READ, &db, err);
    if (status == TL_OK)
        status = tl_fail_while(err, read_all(db, arena, &f, err), "%s", folder);
    tl_study_db_close(db);
    if (status == TL_OK)
        *out = f;
    return status;
}

bool tl_findings_have_circuits(const tl_findings *f)
{
    return !f->finished || f->parts[TL_TEXT].n_discovery > 0 ||
           f->parts[TL_IMAGE].n_discovery > 0;
}

tl_status tl_findings_read_all(const char *const *folders, size_t n_folders,
                               tl_arena *arena, tl_findings **out, tl_error *err)
{
    tl_findings *all = tl_arena_alloc_zero(arena, n_folders, sizeof *all);
    if (all == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", n_folders);
    for (size_t i = 0; i < n_folders; i++) {
        for (size_t k = 0; k < i; k++)
            if (tl_file_is_same(folders[i], folders[k]))
                return tl_fail(err, TL_ERR_ARGUMENT,
                               "%s: is the same study as %s, wanted each once",
                               folders[i], folders[k]);
        const tl_status status = tl_findings_read(folders[i], arena, &all[i], err);
        if (status != TL_OK)
            return status;
    }
    *out = all;
    return TL_OK;
}
