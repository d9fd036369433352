/* SPDX-License-Identifier: MIT
 *
 * small_study.h - the folder of a finished study, made from SQL.
 */
#ifndef TESTS_SMALL_STUDY_H
#define TESTS_SMALL_STUDY_H

#include "testing.h"

#include <sqlite3.h>

#include "base/sha256.h"
#include "store/score_file.h"

static inline void run_sql(sqlite3 *raw, const char *text)
{
    char *problem = NULL;
    if (sqlite3_exec(raw, text, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%.200s: %s", text, problem);
}

/* A score file in the place of the one that the study wrote, of the same shape. */
static inline void make_scores(const char *folder, sqlite3 *raw, const char *modality,
                               size_t n_pos)
{
    enum { LAYERS = 4, HEADS = 6, MLP = 80, POSITIONS = 64 };
    static float heads[LAYERS * POSITIONS * HEADS], neurons[LAYERS * POSITIONS * MLP];
    for (size_t i = 0; i < 3; i++) { /* the others are 0 */
        heads[1000 + i] = 0.5f + (float)i;
        neurons[7000 + i] = 0.25f + (float)i;
    }
    const tl_scores scores = {LAYERS, n_pos, HEADS, MLP, heads, neurons};
    char path[300], hex[TL_SHA256_HEX], text[200];
    tl_sha256 hash;
    tl_error err = {0};
    snprintf(path, sizeof path, "%s/scores.%s.safetensors", folder, modality);
    assert_int_equal(tl_score_file_write(path, &scores, NULL, NULL, 0, &err), TL_OK);
    tl_sha256_init(&hash);
    assert_int_equal(tl_sha256_file(&hash, path, &err), TL_OK);
    tl_sha256_hex(&hash, hex);
    snprintf(text, sizeof text, "update scores set sha256 = '%s' where modality = '%s'",
             hex, modality);
    run_sql(raw, text);
}

/* tests/data/study/version3.sql as folder/study.db, open, and its score files. */
static inline sqlite3 *make_study(const char *folder)
{
    char path[300];
    sqlite3 *raw = NULL;
    snprintf(path, sizeof path, "%s/study.db", folder);
    FILE *file = fopen("tests/data/study/version3.sql", "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_in_range(fread(text, 1, 1 << 20, file), 1 << 10, (1 << 20) - 1);
    fclose(file);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    run_sql(raw, text);
    free(text);
    /* Its many correlations take most of the time; a sixth of them says as much. */
    run_sql(raw, "delete from effect where ig_steps > 1 or kind = 'neurons';"
                 "delete from completeness where ig_steps > 1");
    make_scores(folder, raw, "text", 45);
    make_scores(folder, raw, "image", 44);
    return raw;
}

#endif
