/* SPDX-License-Identifier: MIT
 * export.c - studies as files (include/twinlens/report.h). */
#include "twinlens/report.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv_write.h"
#include "base/file.h"
#include "report/models_draw.h"
#include "report/models_page.h"
#include "report/summary.h"
#include "report/top_table.h"
#include "store/study_db.h"

/* A file is written in memory first, so that it is written as a whole. */
typedef struct text_file {
    FILE *stream;
    char *text;
    size_t bytes;
} text_file;

static tl_status begin_file(text_file *file, tl_error *err)
{
    *file = (text_file){0};
    file->stream = open_memstream(&file->text, &file->bytes);
    return file->stream != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a file");
}

/* Writes what was put into the stream, unless `status` says that it is not whole. */
static tl_status end_file(text_file *file, const char *folder, const char *name,
                          tl_arena *arena, tl_status status, tl_error *err)
{
    const bool failed = fclose(file->stream) != 0;
    const char *path = tl_path_join(arena, folder, name);
    if (status == TL_OK && (failed || path == NULL))
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", name);
    tl_file_writer writer = {0};
    if (status == TL_OK)
        status = tl_file_writer_open(&writer, path, err);
    if (status == TL_OK)
        status = tl_file_writer_put(&writer, file->text, file->bytes, err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&writer, err);
    tl_file_writer_abandon(&writer);
    free(file->text);
    return status;
}

static tl_status export_table(const tl_study_db *db, tl_row_kind kind,
                              const char *folder, tl_arena *arena, tl_error *err)
{
    text_file file;
    char name[64];
    snprintf(name, sizeof name, "%s.csv", tl_study_db_table(kind));
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    status = tl_study_db_write_csv(db, kind, file.stream, err);
    return end_file(&file, folder, name, arena, status, err);
}

/* ---- importance ------------------------------------------------------------------ */

/* A line for each layer and position: the sums over heads and over neurons. */
static tl_status write_importance(const tl_findings *f, tl_modality modality, FILE *out,
                                  tl_error *err)
{
    const tl_finding_part *part = &f->parts[modality];
    const tl_study_scores *s = &part->scores;
    if (s->file == NULL)
        return TL_OK;
    if (part->importance[TL_KIND_HEADS] == NULL)
        return tl_fail(err, TL_ERR_NOT_FOUND, "%s: %s is not there", f->folder,
                       s->file);
    for (size_t l = 0; l < s->n_layers; l++)
        for (size_t t = 0; t < s->n_pos; t++) {
            const char *segment = tl_finding_segment(part, t);
            fprintf(out, "%s,%zu,%zu,", tl_modality_name(modality), l, t);
            tl_csv_write_text(out, tl_finding_token(part, t));
            fprintf(out, ",%s,%.9g,%.9g,%.9g\r\n", segment != NULL ? segment : "",
                    part->importance[TL_KIND_HEADS][l * s->n_pos + t],
                    part->importance[TL_KIND_NEURONS][l * s->n_pos + t],
                    part->importance_of_both[l * s->n_pos + t]);
        }
    return TL_OK;
}

static tl_status export_importance(const tl_findings *f, const char *folder,
                                   tl_arena *arena, tl_error *err)
{
    text_file file;
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    fputs("modality,layer,position,token,segment,heads,neurons,both\r\n", file.stream);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = write_importance(f, (tl_modality)m, file.stream, err);
    return end_file(&file, folder, "importance.csv", arena, status, err);
}

static tl_status export_top(const tl_findings *f, const char *folder, tl_arena *arena,
                            tl_error *err)
{
    text_file file;
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    status = tl_top_csv(f, file.stream, err);
    return end_file(&file, folder, "top.csv", arena, status, err);
}

/* ---- everything ------------------------------------------------------------------ */

static tl_status export_summary(const tl_findings *f, const char *folder,
                                tl_arena *arena, tl_error *err)
{
    text_file file;
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    status = tl_summary_write_json(f, file.stream, err);
    return end_file(&file, folder, "summary.json", arena, status, err);
}

static tl_status export_tables(const char *run, const char *folder, tl_arena *arena,
                               tl_error *err)
{
    tl_study_db *db = NULL;
    tl_status status = tl_study_db_open(run, TL_STUDY_READ, &db, err);
    if (status == TL_OK)
        status = tl_file_make_folder(folder, err);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT && status == TL_OK; k++)
        if (k != TL_ROW_FILE && k != TL_ROW_STAGE && k != TL_ROW_WORK &&
            k != TL_ROW_MEMORY) /* which are no findings */
            status = export_table(db, (tl_row_kind)k, folder, arena, err);
    tl_study_db_close(db);
    return status;
}

tl_status tl_export_write(const char *folder, const char *out, tl_error *err)
{
    tl_findings f;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    tl_status status = tl_findings_read(folder, arena, &f, err);
    if (status == TL_OK)
        status = export_tables(folder, out, arena, err);
    if (status == TL_OK)
        status = export_importance(&f, out, arena, err);
    if (status == TL_OK)
        status = export_top(&f, out, arena, err);
    if (status == TL_OK)
        status = export_summary(&f, out, arena, err);
    tl_arena_destroy(arena);
    return status;
}

/* ---- several studies --------------------------------------------------------------------- */

/* Of a name what a file may be called everywhere. */
static void put_name(char *at, size_t bytes, const char *name)
{
    size_t n = 0;
    for (; name[n] != '\0' && n + 1 < bytes && n < 60; n++)
        at[n] = isalnum((unsigned char)name[n]) || strchr("._-", name[n]) != NULL
                    ? name[n]
                    : '-';
    at[n] = '\0';
}

/* "figure-5.1.MODEL.svg", "figure-4.1.MODEL.2.TASK.svg": the numbers tell names apart that are
 * the same as files. */
static tl_status export_panel(const tl_models *models, size_t list, size_t model,
                              size_t row, const char *folder, tl_arena *arena,
                              tl_error *err)
{
    text_file file;
    char name[200], part[64];
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    put_name(part, sizeof part, models->models[model]);
    size_t used = (size_t)snprintf(name, sizeof name, "%s.%zu.%s",
                                   models->lists[list].name, model + 1, part);
    if (tl_models_by_row(list)) {
        put_name(part, sizeof part, models->rows[row]);
        used +=
            (size_t)snprintf(name + used, sizeof name - used, ".%zu.%s", row + 1, part);
    }
    snprintf(name + used, sizeof name - used, ".svg");
    tl_models_draw(models, list, model, row, models->lists[list].name, NULL, file.stream);
    return end_file(&file, folder, name, arena, status, err);
}

static tl_status export_panels(const tl_models *models, size_t list, const char *folder,
                               tl_arena *arena, tl_error *err)
{
    const size_t n_rows = tl_models_by_row(list) ? models->n_rows : 1;
    tl_status status = TL_OK;
    if (!tl_models_is_drawn(models, list))
        return TL_OK;
    for (size_t m = 0; m < models->n_models; m++)
        for (size_t row = 0; row < n_rows && status == TL_OK; row++)
            if (!tl_models_by_row(list) || tl_models_find(models, m, row) != SIZE_MAX)
                status = export_panel(models, list, m, row, folder, arena, err);
    return status;
}

static tl_status export_list(const tl_models *models, size_t list, const char *folder,
                             tl_arena *arena, tl_error *err)
{
    text_file file;
    char name[64];
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    snprintf(name, sizeof name, "%s.csv", models->lists[list].name);
    tl_models_write_csv(models, &models->lists[list], file.stream);
    status = end_file(&file, folder, name, arena, status, err);
    return status == TL_OK ? export_panels(models, list, folder, arena, err) : status;
}

static tl_status write_studies(const tl_models *models, tl_arena *arena, FILE *out,
                               tl_error *err)
{
    tl_table studies;
    const tl_status status = tl_models_studies(models, arena, &studies, err);
    if (status == TL_OK)
        tl_table_csv(&studies, out);
    return status;
}

static tl_status write_settings(const tl_models *models, tl_arena *arena, FILE *out,
                                tl_error *err)
{
    (void)arena;
    (void)err;
    tl_models_write_settings_csv(models, out);
    return TL_OK;
}

static tl_status export_whole(const tl_models *models, const char *folder,
                              tl_arena *arena, tl_error *err)
{
    static const struct {
        const char *name;
        tl_status (*write)(const tl_models *, tl_arena *, FILE *, tl_error *);
    } files[] = {{"models.json", tl_models_write_json},
                 {"studies.csv", write_studies},
                 {"settings.csv", write_settings}};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && status == TL_OK; i++) {
        text_file file;
        status = begin_file(&file, err);
        if (status != TL_OK)
            return status;
        status = files[i].write(models, arena, file.stream, err);
        status = end_file(&file, folder, files[i].name, arena, status, err);
    }
    return status;
}

tl_status tl_export_models(const char *const *folders, size_t n_folders,
                           const char *out, tl_error *err)
{
    tl_models models;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", out);
    tl_status status = tl_models_read(folders, n_folders, arena, &models, err);
    if (status == TL_OK)
        status = tl_file_make_folder(out, err);
    if (status == TL_OK)
        status = export_whole(&models, out, arena, err);
    for (size_t i = 0; i < TL_MODELS_LISTS && status == TL_OK; i++)
        status = export_list(&models, i, out, arena, err);
    tl_arena_destroy(arena);
    return status;
}
