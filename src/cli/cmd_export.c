/* SPDX-License-Identifier: MIT
 * cmd_export.c - `twinlens export RUN --out DIR`: a study as JSON and CSV files. */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "store/score_file.h"
#include "report/summary.h"
#include "store/study_db.h"

/* Opens DIR/NAME for writing under a name of its own; committed by end_file(). */
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

static tl_status export_table(const tl_study_db *db, const char *table,
                              const char *folder, tl_arena *arena, tl_error *err)
{
    text_file file;
    char name[64];
    snprintf(name, sizeof name, "%s.csv", table);
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    status = tl_study_db_write_csv(db, table, file.stream, err);
    return end_file(&file, folder, name, arena, status, err);
}

static tl_status export_summary(const char *run, const char *folder, tl_arena *arena,
                                tl_error *err)
{
    text_file file;
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    status = tl_summary_json(run, file.stream, err);
    return end_file(&file, folder, "summary.json", arena, status, err);
}

/* ---- importance ------------------------------------------------------------------ */

static double sum_of(const float *scores, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)scores[i];
    return sum;
}

/* A line for each modality, layer and position: the sums over heads and neurons. */
static tl_status write_importance(const tl_study_db *db, const char *run,
                                  tl_modality modality, tl_arena *arena, FILE *out,
                                  tl_error *err)
{
    tl_study_scores about = {0};
    tl_status status = tl_study_db_get_scores(db, modality, arena, &about, err);
    if (status != TL_OK || about.file == NULL)
        return status;
    const tl_dims dims = {
        .n_layers = about.n_layers, .n_heads = about.n_heads, .d_mlp = about.d_mlp};
    const char *path = tl_path_join(arena, run, about.file);
    tl_scores s = {0};
    if (path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    status = tl_score_file_read(path, &dims, about.n_pos, arena, &s, err);
    for (size_t l = 0; l < s.n_layers && status == TL_OK; l++)
        for (size_t t = 0; t < s.n_pos; t++) {
            const char *segment = t < about.data_begin ? ""
                                  : t < about.data_end ? "data"
                                  : t + 1 < s.n_pos    ? "query"
                                                       : "generation";
            const size_t at = l * s.n_pos + t;
            fprintf(out, "%s,%zu,%zu,%s,%.9g,%.9g\r\n",
                    modality == TL_TEXT ? "text" : "image", l, t, segment,
                    sum_of(s.heads + at * s.n_heads, s.n_heads),
                    sum_of(s.neurons + at * s.d_mlp, s.d_mlp));
        }
    return status;
}

static tl_status export_importance(const tl_study_db *db, const char *run,
                                   const char *folder, tl_arena *arena, tl_error *err)
{
    text_file file;
    tl_status status = begin_file(&file, err);
    if (status != TL_OK)
        return status;
    fputs("modality,layer,position,segment,heads,neurons\r\n", file.stream);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = write_importance(db, run, (tl_modality)m, arena, file.stream, err);
    return end_file(&file, folder, "importance.csv", arena, status, err);
}

static tl_status export_all(const char *run, const char *folder, tl_arena *arena,
                            tl_error *err)
{
    tl_study_db *db = NULL;
    tl_status status = tl_study_db_open(run, TL_STUDY_READ, &db, err);
    if (status == TL_OK)
        status = tl_file_make_folder(folder, err);
    for (size_t i = 0; tl_study_tables[i] != NULL && status == TL_OK; i++)
        status = export_table(db, tl_study_tables[i], folder, arena, err);
    if (status == TL_OK)
        status = export_importance(db, run, folder, arena, err);
    tl_study_db_close(db);
    return status == TL_OK ? export_summary(run, folder, arena, err) : status;
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    const char *study = NULL, *folder = NULL;
    if (argc > 0 && argv[0][0] != '-') {
        study = argv[0];
        argc--;
        argv++;
    }
    const tl_option table[] = {
        {.name = "out",
         .kind = TL_OPTION_STRING,
         .value = &folder,
         .argument = "DIR",
         .help = "folder for summary.json and a CSV file for each table",
         .required = true},
    };
    bool help = false;
    tl_status status =
        tl_options_parse(table, 1, "export RUN", argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    if (study == NULL)
        return tl_cli_misuse(err, "wanted the folder of a study first; see --help");
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to export");
    status = export_all(study, folder, arena, err);
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_export = {
    .name = "export",
    .summary = "a study as JSON and CSV files",
    .run = run,
};
