/* SPDX-License-Identifier: MIT
 *
 * setting.h - the settings of study.h by their names: one table that knows name, values,
 * default, range and meaning of each.
 *
 *     tl_settings settings;
 *     tl_settings_init(&settings);
 *     status = tl_settings_set(&settings, "rand-match", "segment", &err);
 *     status = tl_settings_check(&settings, &err);
 *
 *     size_t n = 0;
 *     const tl_setting *table = tl_settings_table(&n);
 *     for (size_t i = 0; i < n; i++)
 *         printf("%s: %s\n", table[i].name, table[i].help);
 *
 * Command line, help, manual page, completion, the manifest of a study and the metadata of
 * score files are made from the table, and a value that is refused is refused everywhere
 * with the same words.
 */
#ifndef TWINLENS_SETTING_H
#define TWINLENS_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "twinlens/arena.h"
#include "twinlens/rows.h"
#include "twinlens/status.h"
#include "twinlens/study.h"

TL_BEGIN_DECLS

/* ---- the table ----------------------------------------------------------------------- */

typedef enum tl_setting_kind {
    TL_SETTING_TEXT,      /* const char *; not empty */
    TL_SETTING_FRACTIONS, /* const char *; decimals from 0 to 1 with commas between */
    TL_SETTING_COUNT,     /* size_t */
    TL_SETTING_BYTES,     /* size_t; "500M", "8G", "1048576" */
    TL_SETTING_SEED,      /* uint64_t */
    TL_SETTING_REAL,      /* double */
    TL_SETTING_CHOICE,    /* int; one of `choices` */
} tl_setting_kind;

/* A name and the value that it stands for; {NULL, 0} ends a list of them. */
typedef struct tl_choice {
    const char *name;
    int value;
} tl_choice;

/* The first name of a value; NULL when it has none. */
const char *tl_choice_name(const tl_choice *choices, int value);

typedef struct tl_setting {
    const char *name;  /* "ig-steps": the option --ig-steps, the key of a manifest */
    const char *group; /* a heading; settings of one group follow each other */
    tl_setting_kind kind;
    size_t offset; /* of the field in tl_settings */
    const tl_choice *choices;
    double least, most; /* of counts */
    const char *value;  /* the default, as it would be written; NULL: not set */
    const char *unset;  /* what happens when it is not set: "all" */
    const char
        *published;       /* the published program's value; NULL: nothing of the kind */
    bool in_manifest;     /* studies that differ in it are different studies */
    bool in_scores;       /* scores that differ in it are different scores */
    bool is_newer; /* in a manifest only where it is no default: older ones lack it */
    const char *argument; /* what stands for the value in help: "N" */
    const char *help;
} tl_setting;

const tl_setting *tl_settings_table(size_t *count);

/* NULL when there is none of that name. */
const tl_setting *tl_settings_find(const char *name);

/* ---- values as text ------------------------------------------------------------------ */

/*
 * Sets one value, written as on a command line; a text is borrowed. TL_ERR_ARGUMENT naming
 * setting, value and range when it is none that the setting can have, and when there is
 * no such setting.
 */
tl_status tl_settings_set(tl_settings *settings, const char *name, const char *value,
                          tl_error *err);

/* The value in the same form, in `arena`; NULL when it is not set. */
tl_status tl_settings_get(const tl_settings *settings, const char *name,
                          tl_arena *arena, const char **value, tl_error *err);

/* Whether every field has a value that its setting can have: TL_ERR_ARGUMENT, in the words
 * of tl_settings_set. */
tl_status tl_settings_check(const tl_settings *settings, tl_error *err);

/* What `--compat published` does: every setting that the published program has, as it has
 * it. */
void tl_settings_publish(tl_settings *settings);

/*
 * The lines of a manifest, in `arena`: every setting that touches a number. And the way
 * back, which leaves other settings as they are: TL_ERR_DATA, in the words of
 * tl_settings_set, for a value that the setting cannot have. Texts are borrowed from the
 * keys.
 */
tl_status tl_settings_write(const tl_settings *settings, tl_arena *arena,
                            const tl_study_key **keys, size_t *n_keys, tl_error *err);
tl_status tl_settings_read(tl_settings *settings, const tl_study_key *keys,
                           size_t n_keys, tl_error *err);

TL_END_DECLS

#endif
