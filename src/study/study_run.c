/* SPDX-License-Identifier: MIT
 *
 * study_run.c - before the stages (stage.c): take the settings, open model and dataset, plan
 * the memory, open the folder.
 */
#include "study/stage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc_test.h"
#include "base/file.h"
#include "study/manifest.h"
#include "study/row_lengths.h"
#include "study/setting_text.h"
#include "model/memory_plan.h"
#include "model/model_parts.h"
#include "twinlens/log.h"
#include "twinlens/setting.h"

/* Fewer are read before a person could read about it. */
enum { SHOWN_IMAGES = 64 };

/* ---- what there is to work with ---------------------------------------------- */

/* Memory that could be had without swapping; 0 when the system does not say. */
static size_t available_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;
    char line[128];
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL)
        (void)(sscanf(line, "MemAvailable: %llu kB", &kib) == 1);
    if (file != NULL)
        fclose(file);
    return (size_t)kib << 10;
}

/* Opens the inputs, and sees how much memory that leaves for buffers and passes. */
static tl_status open_session(tl_study *study, tl_error *err)
{
    tl_settings settings = study->settings;
    const size_t n_here = study->team->n_here > 0 ? study->team->n_here : 1,
                 all = settings.memory > 0 ? settings.memory
                                           : available_memory() / n_here;
    settings.cache = tl_settings_cache_bytes(&settings, all);
    const tl_status status = tl_session_open(&settings, &study->session, err);
    study->cache = settings.cache;
    study->limit = all;
    study->opened = tl_alloc_bytes();
    tl_alloc_reset_peak();
    if (status != TL_OK || all == 0)
        return status;
    study->scratch = tl_memory_plan_products(study->session.model, settings.backend,
                                             settings.threads, true);
    const size_t taken = settings.cache + study->scratch;
    study->memory = all > taken ? all - taken : 1;
    return TL_OK;
}

/* What the tower takes for an image is set aside: it runs beside the passes. No other
 * image has more pixels. */
static tl_status reserve_vision(tl_study *study, size_t n_pos, const tl_pixels *pixels,
                                tl_error *err)
{
    size_t bytes = 0;
    if (study->memory == 0)
        return TL_OK;
    const tl_status status =
        tl_memory_plan_tower(study->session.model, n_pos, pixels, &bytes, err);
    if (status == TL_OK) {
        study->scratch += bytes;
        study->memory = study->memory > bytes ? study->memory - bytes : 1;
    }
    return status;
}

/* The modality that was asked for, or those that there are. */
static tl_status choose_modalities(tl_study *study, tl_error *err)
{
    const int asked = study->settings.modality;
    size_t *rows = study->n_rows;
    for (size_t i = 0; i < study->session.dataset->n_rows; i++) {
        const tl_dataset_row *row = &study->session.dataset->rows[i];
        rows[row->modality]++;
        study->n_circuit_rows[row->modality] += row->part != TL_NO_PART;
    }
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        study->modalities[m] =
            asked == TL_MODALITY_COUNT ? rows[m] > 0 : asked == (int)m;
        if (study->modalities[m] && rows[m] == 0)
            return tl_fail(err, TL_ERR_DATA, "%s: has no %s prompts",
                           study->session.dataset->path,
                           tl_modality_name((tl_modality)m));
    }
    return TL_OK;
}

static tl_status open_inputs(tl_study *study, tl_error *err)
{
    const tl_status status = open_session(study, err);
    if (status != TL_OK)
        return status;
    if (study->session.dataset->n_rows == 0)
        return tl_fail(err, TL_ERR_DATA, "%s: has no prompts",
                       study->session.dataset->path);
    return choose_modalities(study, err);
}

/* Rows that circuits may be of must be alike, or --length commonest makes them so by leaving
 * the others out. Else there are no circuits, which is said once. */
static tl_status settle_lengths(tl_study *study, tl_modality modality,
                                const tl_span *spans, tl_error *err)
{
    tl_session *s = &study->session;
    const bool is_all = !study->modalities[TL_IMAGE]; /* nothing else would be left */
    tl_row_lengths *l = tl_arena_alloc(s->arena, 1, sizeof *l);
    tl_error why = {0};
    char reason[128];
    if (l == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for lengths");
    const tl_status status =
        tl_row_lengths_count(s->dataset, modality, spans, s->arena, l, err);
    if (status != TL_OK)
        return status;
    s->lengths[modality] = l;
    tl_row_lengths_log(s, modality, l);
    if (l->n_alike == l->n_rows || s->settings.length == TL_LENGTH_COMMONEST)
        return TL_OK;
    const tl_status differ = tl_row_lengths_refuse(
        s, modality, spans, l, is_all ? "a study of text alone" : "a circuit", &why);
    if (is_all)
        return tl_fail(err, differ, "%s", why.text);
    tl_log(TL_LOG_WARNING, "%s: no circuits of %s prompts: %s", s->dataset->path,
           tl_modality_name(modality), why.text);
    snprintf(reason, sizeof reason, "%s: %zu of %zu are alike",
             l->one_length ? TL_SEVERAL_PLACES : TL_SEVERAL_LENGTHS, l->n_alike,
             l->n_rows);
    study->lengths_differ[modality] = tl_arena_strdup(s->arena, reason);
    study->n_circuit_rows[modality] = 0;
    return study->lengths_differ[modality] != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for lengths");
}

/*
 * What can be known before anything is computed: a missing image, how long the longest
 * prompt is, and whether all that circuits may be of are alike. Every image is read, also
 * those that no stage may come to.
 */
static tl_status check_prompts(tl_study *study, tl_modality modality, tl_error *err)
{
    tl_span *longest = &study->spans[modality];
    const tl_dataset *dataset = study->session.dataset;
    tl_encoding encoding;
    tl_pixels largest = {0};
    size_t largest_row = 0, data_begin = SIZE_MAX, width = 0, n_read = 0;
    tl_span *spans =
        tl_arena_alloc_zero(study->session.arena, dataset->n_rows, sizeof *spans);
    tl_arena *arena = tl_arena_create();
    if (spans == NULL || arena == NULL) {
        tl_arena_destroy(arena);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    }
    tl_status status = TL_OK;
    const bool is_shown =
        modality == TL_IMAGE && study->n_rows[modality] >= SHOWN_IMAGES;
    const size_t shown = is_shown ? tl_progress_add(study->progress, "read images",
                                                    study->n_rows[modality], 0.0)
                                  : 0;
    if (is_shown)
        tl_progress_begin(study->progress, shown, 0);
    for (size_t row = 0; row < dataset->n_rows && status == TL_OK; row++) {
        if (dataset->rows[row].modality != modality)
            continue;
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        status = tl_dataset_encode(dataset, row, study->session.processor, arena,
                                   &encoding, err);
        if (status != TL_OK)
            break;
        spans[row] = (tl_span){encoding.n_pos, encoding.data_begin, encoding.data_end};
        const size_t n_data = encoding.data_end - encoding.data_begin;
        if (encoding.n_pos > longest->n_pos)
            longest->n_pos = encoding.n_pos;
        if (encoding.data_begin < data_begin)
            data_begin = encoding.data_begin;
        if (n_data > width)
            width = n_data;
        if (encoding.n_images > 0 && encoding.pixels.n_tokens > study->image_tokens)
            study->image_tokens = encoding.pixels.n_tokens;
        if (modality == TL_IMAGE &&
            (largest.n_dims == 0 ||
             tl_pixels_count(&encoding.pixels) > tl_pixels_count(&largest))) {
            largest = encoding.pixels;
            largest_row = row;
        }
        tl_arena_rewind(arena, mark);
        if (is_shown)
            tl_progress_step(study->progress, shown, ++n_read);
    }
    if (is_shown && status == TL_OK)
        tl_progress_end(study->progress, shown);
    if (status == TL_OK)
        status = settle_lengths(study, modality, spans, err);
    if (longest->n_pos > 0) { /* the widest data of any prompt, from the first that begin */
        longest->data_begin = data_begin;
        longest->data_end = data_begin + width;
    }
    if (status == TL_OK && largest.n_dims > 0) {
        study->pixel_bytes = tl_pixels_count(&largest) * sizeof(float);
        status =
            tl_fail_while(err, reserve_vision(study, longest->n_pos, &largest, err),
                          "prompt '%s'", dataset->rows[largest_row].id);
    }
    tl_arena_destroy(arena);
    return status;
}

static tl_status check_predictions(const tl_study *study, tl_error *err)
{
    const tl_dataset *d = study->session.dataset;
    if (study->settings.keep != TL_KEEP_STORED)
        return TL_OK;
    for (size_t row = 0; row < d->n_rows; row++)
        if (study->modalities[d->rows[row].modality] &&
            d->rows[row].part != TL_NO_PART && d->rows[row].predicted == NULL)
            return tl_fail(err, TL_ERR_DATA,
                           "%s:%zu: row '%s': no 'predicted', which --keep stored "
                           "needs in every row",
                           d->path, d->rows[row].line, d->rows[row].id);
    return TL_OK;
}

/*
 * Gives the features of images a part of the memory, for at most one image per row: half
 * of what the stages do not need at the least. So the vision tower runs once per image
 * where there is room for all of them.
 */
static tl_status keep_features(tl_study *study, tl_error *err)
{
    const tl_dataset *d = study->session.dataset;
    size_t n_images = 0, least = 0;
    for (size_t row = 0; row < d->n_rows; row++)
        n_images += study->modalities[TL_IMAGE] && d->rows[row].image_path != NULL;
    const size_t one = tl_model_input_bytes(study->session.model, study->image_tokens);
    size_t bytes = n_images * one;
    const tl_status status = tl_study_least_bytes(study, &least, err);
    if (status != TL_OK || n_images == 0)
        return status;
    if (study->memory > 0) {
        const size_t room = study->memory > least ? (study->memory - least) / 2 : 0;
        if (bytes > room)
            tl_log(
                TL_LOG_INFO,
                "vision features: room for %zu of at most %zu images, the tower runs "
                "again for the others",
                room / one, n_images);
        bytes = bytes < room ? bytes : room;
        study->memory -= bytes;
    }
    tl_model_keep_features(study->session.model, bytes);
    return TL_OK;
}

/* And whether the memory is enough for them. */
static tl_status check_all_prompts(tl_study *study, tl_error *err)
{
    tl_status status = check_predictions(study, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        if (study->modalities[m])
            status = check_prompts(study, (tl_modality)m, err);
    if (status == TL_OK)
        status = tl_study_plan(study, err);
    return status == TL_OK ? keep_features(study, err) : status;
}

/* ---- the folder -------------------------------------------------------------- */

/* The page of what was there before the next stage. */
static tl_status remove_page(const tl_study *study, tl_error *err)
{
    const char *path =
        tl_path_join(study->session.arena, study->settings.out, "report.html");
    if (path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    return tl_file_remove(path, err);
}

/* A killed study leaves files that were not whole yet, under names of their own. */
static void remove_parts(const tl_study *study)
{
    DIR *dir = opendir(study->settings.out);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const bool ours =
            strncmp(entry->d_name, "scores.", 7) == 0 ||
            strncmp(entry->d_name, "part", 4) == 0 || /* partial., part0. */
            strncmp(entry->d_name, "report.", 7) == 0;
        if (!ours || strstr(entry->d_name, ".part-") == NULL)
            continue;
        const char *path =
            tl_path_join(study->session.arena, study->settings.out, entry->d_name);
        if (path != NULL)
            unlink(path);
    }
    closedir(dir);
}

/* A finished study is only read where it cannot be written, or is in use. */
static tl_status open_db(tl_study *study, tl_error *err)
{
    const char *folder = study->settings.out;
    tl_error first = {0};
    const tl_status status =
        tl_study_db_open(folder, TL_STUDY_WRITE, &study->db, &first);
    if (status == TL_OK)
        return TL_OK;
    tl_study_db *db = NULL;
    bool finished = false;
    if (status == TL_ERR_IO &&
        tl_study_db_open(folder, TL_STUDY_READ, &db, NULL) == TL_OK &&
        tl_study_db_has_stage(db, "all", &finished, NULL) == TL_OK && finished) {
        study->db = db;
        return TL_OK;
    }
    tl_study_db_close(db);
    return tl_fail(err, status, "%s", first.text);
}

/* A manifest whose settings nobody could have given is not compared with any. */
static tl_status check_manifest(const tl_study *study, tl_error *err)
{
    tl_rows keys = {0};
    tl_settings made_with = study->settings;
    tl_status status = tl_study_db_get(study->db, TL_ROW_KEY, NULL, 0,
                                       study->session.arena, &keys, err);
    if (status == TL_OK)
        status = tl_settings_read(&made_with, keys.rows, keys.n, err);
    return tl_fail_while(err, status, "%s", study->settings.out);
}

static tl_status open_store(tl_study *study, bool *finished, tl_error *err)
{
    tl_manifest manifest;
    const char *db =
        tl_path_join(study->session.arena, study->settings.out, TL_STUDY_DB_NAME);
    if (db == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    /* A study that cannot run leaves no folder behind. */
    const bool is_new = !tl_file_exists(db);
    tl_status status = is_new ? check_all_prompts(study, err) : TL_OK;
    if (status == TL_OK)
        status = open_db(study, err);
    if (status == TL_OK)
        status = check_manifest(study, err);
    if (status == TL_OK)
        status = tl_manifest_make(&study->settings, &study->session, study->modalities,
                                  study->db, study->progress, study->session.arena,
                                  &manifest, err);
    if (status == TL_OK)
        status =
            tl_study_db_adopt(study->db, manifest.keys, manifest.n_keys, manifest.files,
                              manifest.n_files, tl_setting_say_key, err);
    if (status == TL_OK)
        status = tl_study_db_has_stage(study->db, "all", finished, err);
    if (status == TL_OK && !is_new && !*finished)
        status = check_all_prompts(study, err);
    if (status == TL_OK && !is_new && !*finished)
        status = tl_study_check(study, err);
    if (status == TL_OK)
        remove_parts(study);
    return status;
}

/* ---- the folder, at the other ranks -------------------------------------------- */

/* All rows of rank 0, which the others put into stores of their own. */
static tl_status copy_rows(tl_study *study, tl_arena *arena, tl_error *err)
{
    const tl_team *team = study->team;
    tl_rows all[TL_ROW_KIND_COUNT];
    const tl_rows *units = NULL;
    size_t n = 0;
    tl_status status = TL_OK;
    if (tl_team_size(team) == 1)
        return TL_OK;
    for (size_t k = 0; k < TL_ROW_KIND_COUNT && status == TL_OK && team->rank == 0; k++)
        status =
            tl_study_db_get(study->db, (tl_row_kind)k, NULL, 0, arena, &all[k], err);
    status =
        tl_team_rows(team, 0, status, all, TL_ROW_KIND_COUNT, arena, &units, &n, err);
    return status == TL_OK && team->rank != 0
               ? tl_study_db_put(study->db, units, n, err)
               : status;
}

/* That this is the study that this rank has been told of, and the bytes of model and dataset
 * that it sees are the same. */
static tl_status check_copy(tl_study *study, bool *finished, tl_error *err)
{
    tl_manifest manifest;
    const char *db =
        tl_path_join(study->session.arena, study->settings.out, TL_STUDY_DB_NAME);
    if (db == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (!tl_file_exists(db))
        return tl_fail(err, TL_ERR_NOT_FOUND,
                       "%s: not here, although rank 0 has it; wanted a folder that all "
                       "machines share",
                       db);
    tl_status status = tl_manifest_make(&study->settings, &study->session,
                                        study->modalities, study->db, study->progress,
                                        study->session.arena, &manifest, err);
    if (status == TL_OK)
        status =
            tl_study_db_adopt(study->db, manifest.keys, manifest.n_keys, manifest.files,
                              manifest.n_files, tl_setting_say_key, err);
    if (status == TL_OK)
        status = tl_study_db_has_stage(study->db, "all", finished, err);
    return status == TL_OK && !*finished ? check_all_prompts(study, err) : status;
}

/* Rank 0 opens the folder; the others have copies of its rows, in memory. */
static tl_status open_stores(tl_study *study, bool *finished, tl_error *err)
{
    const tl_team *team = study->team;
    tl_status status =
        team->rank == 0
            ? open_store(study, finished, err)
            : tl_study_db_open(study->settings.out, TL_STUDY_COPY, &study->db, err);
    status = tl_team_agree(team, status, err);
    if (status == TL_OK)
        status = copy_rows(study, study->session.arena, err);
    if (status != TL_OK)
        return status;
    if (team->rank != 0)
        status = check_copy(study, finished, err);
    return tl_team_agree(team, status, err);
}

/* ---- the study --------------------------------------------------------------- */

/* How often the vision tower ran is how well the features of images were kept. */
static void log_tower(const tl_study *study)
{
    size_t n_runs = 0, n_images = 0;
    tl_model_count_images(study->session.model, &n_runs, &n_images);
    if (n_runs > 0)
        tl_log(TL_LOG_INFO,
               "vision tower: %zu runs for %zu distinct images, %.4g GFLOP in products",
               n_runs, n_images,
               (double)tl_model_tower_flops(study->session.model) / 1e9);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The most that this run and those before it have held, beside the plan. */
static tl_status put_memory(const tl_study *study, tl_error *err)
{
    size_t least = 0;
    bool found = false;
    const size_t peak = tl_alloc_peak_bytes(), own = peak - study->opened;
    tl_study_memory rows[] = {{"planned", 0}, {"limit", 0}, {"peak", 0}};
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL ? tl_study_least_bytes(study, &least, err)
                                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (status == TL_OK)
        status =
            tl_study_db_find(study->db, TL_ROW_MEMORY, &rows[2], arena, &found, err);
    if (status == TL_OK) {
        const size_t taken =
            study->scratch + tl_memory_plan_cache(study->session.model, study->cache);
        rows[0].bytes = (int64_t)(least + taken);
        rows[1].bytes = (int64_t)study->limit;
        rows[2].bytes = larger(rows[2].bytes, (int64_t)own);
        tl_log(TL_LOG_INFO,
               "memory beside the weights: %.1f MiB at most, planned %.1f MiB, "
               "allowed %.1f MiB",
               (double)own / (1 << 20), (double)rows[0].bytes / (1 << 20),
               (double)rows[1].bytes / (1 << 20));
        status = tl_study_db_put(study->db, &(tl_rows){TL_ROW_MEMORY, rows, 3}, 1, err);
    }
    tl_arena_destroy(arena);
    return status;
}

static tl_status finish(tl_study *study, tl_error *err)
{
    const tl_study_stage all = {"all"};
    tl_status status = study->team->rank == 0 ? remove_page(study, err) : TL_OK;
    if (status == TL_OK)
        status = tl_stages_announce(study, err);
    if (status == TL_OK)
        status = tl_stages_run(study, err);
    if (status == TL_OK)
        status = put_memory(study, err);
    if (status == TL_OK)
        status = tl_study_db_put(study->db, &(tl_rows){TL_ROW_STAGE, &all, 1}, 1, err);
    if (status == TL_OK)
        log_tower(study);
    return status;
}

/* What is wrong with the settings is said before anything is opened. */
static tl_status take_settings(const tl_settings *given, tl_study *study,
                               tl_arena *arena, tl_error *err)
{
    tl_status status = tl_settings_take(given, &study->settings, err);
    if (status == TL_OK &&
        (study->settings.dataset == NULL || study->settings.out == NULL))
        status = tl_fail(err, TL_ERR_ARGUMENT, "%s is missing",
                         study->settings.dataset == NULL ? "dataset" : "out");
    if (status == TL_OK && study->settings.metric != TL_METRIC_LOGIT_DIFF)
        status =
            tl_fail(err, TL_ERR_ARGUMENT,
                    "metric is '%s', wanted 'ld': studies are of logit differences; "
                    "attribute and evaluate take others",
                    tl_choice_name(tl_settings_find("metric")->choices,
                                   study->settings.metric));
    return status == TL_OK
               ? tl_settings_sizes(&study->settings, true, arena, &study->sizes, err)
               : status;
}

tl_status tl_study_run_team(const tl_settings *settings, const tl_team *team,
                            tl_progress_fn *report, void *user, tl_error *err)
{
    const tl_status checked = tl_team_check(team, err);
    if (checked != TL_OK)
        return checked;
    tl_progress progress;
    tl_study study = {.team = team, .progress = &progress};
    bool finished = false;
    tl_progress_init(&progress, report, user, NULL, NULL);
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL
                           ? take_settings(settings, &study, arena, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a study");
    if (status == TL_OK)
        status = open_inputs(&study, err);
    status = tl_team_agree(team, status, err);
    if (status == TL_OK)
        status = open_stores(&study, &finished, err);
    if (status == TL_OK && !finished)
        status = finish(&study, err);
    tl_study_db_close(study.db);
    tl_arena_destroy(study.sets);
    tl_session_close(&study.session);
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_study_run(const tl_settings *settings, tl_progress_fn *report, void *user,
                       tl_error *err)
{
    return tl_study_run_team(settings, &(tl_team){0}, report, user, err);
}
