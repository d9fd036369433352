/* SPDX-License-Identifier: MIT
 *
 * setting_text.h - one value as text, and back, for whatever struct a row describes: the
 * settings, or a command's own options.
 */
#ifndef TWINLENS_STUDY_SETTING_TEXT_H
#define TWINLENS_STUDY_SETTING_TEXT_H

#include "twinlens/setting.h"

enum { TL_SETTING_NUMBER = 32 }; /* bytes for a number as text */

/* Puts the value into the struct at `fields`, setting->offset bytes on. TL_ERR_ARGUMENT
 * naming setting, value and range. */
tl_status tl_setting_read(const tl_setting *setting, const char *text, void *fields,
                          tl_error *err);

/* The value as it would be written: in `number`, or a text that lives as long as the
 * fields and the table; NULL when it is not set. */
const char *tl_setting_write(const tl_setting *setting, const void *fields,
                             char number[TL_SETTING_NUMBER]);

/* A key of a manifest as options of the command line, if it is a setting: a
 * tl_study_key_say. */
void tl_setting_say_key(const char *key, const char *value, char *text, size_t bytes);

/* A setting's key in a score file: its name with '_' for '-', as docs/formats.md has it. */
void tl_setting_key(const char *name, char *key, size_t bytes);

/* The lines of a score file's metadata, in `arena`: every setting that a score depends on,
 * under its key. */
tl_status tl_settings_write_scores(const tl_settings *settings, tl_arena *arena,
                                   const tl_study_key **keys, size_t *n_keys,
                                   tl_error *err);

#endif
