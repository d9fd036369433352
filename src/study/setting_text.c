/* SPDX-License-Identifier: MIT
 *
 * setting_text.c - settings as text, and back (include/twinlens/setting.h). A field is
 * checked by writing its value and reading it again, so that one place knows what a
 * setting can be, and one text says what it cannot.
 */
#include "study/setting_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/settings.h"
#include "twinlens/circuit.h"

/* ---- reading a value ------------------------------------------------------------- */

static tl_status refuse(const tl_setting *s, const char *text, const char *wanted,
                        tl_error *err)
{
    return tl_fail(err, TL_ERR_ARGUMENT, "%s is '%s', wanted %s", s->name, text,
                   wanted);
}

static tl_status read_count(const tl_setting *s, const char *text, size_t *out,
                            tl_error *err)
{
    char wanted[96], *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
        (double)value < s->least || (double)value > s->most) {
        snprintf(wanted, sizeof wanted, "an integer from %.0f to %.0f", s->least,
                 s->most);
        return refuse(s, text, wanted, err);
    }
    *out = (size_t)value;
    return TL_OK;
}

static tl_status read_seed(const tl_setting *s, const char *text, uint64_t *out,
                           tl_error *err)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return refuse(s, text, "an integer from 0 to 18446744073709551615", err);
    *out = value;
    return TL_OK;
}

static tl_status read_bytes(const tl_setting *s, const char *text, size_t *out,
                            tl_error *err)
{
    static const char suffixes[] = "KMGT";
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    const char *suffix = *end != '\0' ? strchr(suffixes, *end) : NULL;
    if (suffix != NULL) {
        shift = 10u * (unsigned)(suffix - suffixes + 1);
        end++;
        if (strcmp(end, "B") == 0 || strcmp(end, "iB") == 0)
            end += strlen(end);
    }
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 ||
        value > SIZE_MAX >> shift)
        return refuse(s, text, "a number of bytes such as 500M or 8G", err);
    *out = (size_t)value << shift;
    return TL_OK;
}

static tl_status read_real(const tl_setting *s, const char *text, double *out,
                           tl_error *err)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return refuse(s, text, "a number", err);
    *out = value;
    return TL_OK;
}

static tl_status read_choice(const tl_setting *s, const char *text, int *out,
                             tl_error *err)
{
    char wanted[256] = "one of ";
    for (const tl_choice *c = s->choices; c->name != NULL; c++) {
        if (strcmp(text, c->name) == 0) {
            *out = c->value;
            return TL_OK;
        }
        /* Other names of a value are taken, but not advertised. */
        if (tl_choice_name(s->choices, c->value) != c->name)
            continue;
        const size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s",
                 c == s->choices ? "" : ", ", c->name);
    }
    return refuse(s, text, wanted, err);
}

static tl_status read_fractions(const tl_setting *s, const char *text, const char **out,
                                tl_error *err)
{
    tl_error why = {0};
    for (const char *word = text; word != NULL;) {
        char number[TL_SETTING_NUMBER];
        const size_t length = strcspn(word, ",");
        tl_fraction fraction;
        snprintf(number, sizeof number, "%.*s", (int)length, word);
        if (length >= sizeof number ||
            tl_fraction_parse(number, &fraction, &why) != TL_OK)
            return refuse(s, text, "decimals from 0 to 1 with commas between", err);
        word = word[length] != '\0' ? word + length + 1 : NULL;
    }
    *out = text;
    return TL_OK;
}

tl_status tl_setting_read(const tl_setting *s, const char *text, void *fields,
                          tl_error *err)
{
    void *out = (char *)fields + s->offset;
    switch (s->kind) {
    case TL_SETTING_TEXT:
        if (text[0] == '\0')
            return tl_fail(err, TL_ERR_ARGUMENT, "%s is empty, wanted %s", s->name,
                           s->argument);
        *(const char **)out = text;
        return TL_OK;
    case TL_SETTING_FRACTIONS: return read_fractions(s, text, out, err);
    case TL_SETTING_COUNT: return read_count(s, text, out, err);
    case TL_SETTING_BYTES: return read_bytes(s, text, out, err);
    case TL_SETTING_SEED: return read_seed(s, text, out, err);
    case TL_SETTING_REAL: return read_real(s, text, out, err);
    case TL_SETTING_CHOICE: return read_choice(s, text, out, err);
    }
    return TL_OK;
}

/* ---- writing a value ------------------------------------------------------------- */

/* The shortest decimal that reads back as the same double. */
static void write_real(double value, char text[TL_SETTING_NUMBER])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, TL_SETTING_NUMBER, "%.*g", digits, value);
        double back = 0.0;
        if (sscanf(text, "%lf", &back) == 1 && back == value)
            return;
    }
}

const char *tl_setting_write(const tl_setting *s, const void *fields,
                             char number[TL_SETTING_NUMBER])
{
    const void *from = (const char *)fields + s->offset;
    switch (s->kind) {
    case TL_SETTING_TEXT:
    case TL_SETTING_FRACTIONS: return *(const char *const *)from;
    case TL_SETTING_COUNT:
    case TL_SETTING_BYTES:
        if (*(const size_t *)from == 0 && s->value == NULL)
            return NULL;
        snprintf(number, TL_SETTING_NUMBER, "%zu", *(const size_t *)from);
        return number;
    case TL_SETTING_SEED:
        snprintf(number, TL_SETTING_NUMBER, "%llu",
                 (unsigned long long)*(const uint64_t *)from);
        return number;
    case TL_SETTING_REAL: write_real(*(const double *)from, number); return number;
    case TL_SETTING_CHOICE: {
        const char *name = tl_choice_name(s->choices, *(const int *)from);
        if (name != NULL)
            return name;
        /* No value of the enum: reading it will refuse the number. */
        snprintf(number, TL_SETTING_NUMBER, "%d", *(const int *)from);
        return number;
    }
    }
    return NULL;
}

/* ---- by name --------------------------------------------------------------------- */

static tl_status find(const char *name, const tl_setting **out, tl_error *err)
{
    *out = tl_settings_find(name);
    return *out != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_ARGUMENT, "there is no setting '%s'", name);
}

tl_status tl_settings_set(tl_settings *settings, const char *name, const char *value,
                          tl_error *err)
{
    const tl_setting *s = NULL;
    const tl_status status = find(name, &s, err);
    return status == TL_OK ? tl_setting_read(s, value, settings, err) : status;
}

tl_status tl_settings_get(const tl_settings *settings, const char *name,
                          tl_arena *arena, const char **value, tl_error *err)
{
    const tl_setting *s = NULL;
    char number[TL_SETTING_NUMBER];
    const tl_status status = find(name, &s, err);
    if (status != TL_OK)
        return status;
    const char *text = tl_setting_write(s, settings, number);
    const char *copy = text != NULL ? tl_arena_strdup(arena, text) : NULL;
    if (text != NULL && copy == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %s", name);
    *value = copy;
    return TL_OK;
}

/* ---- all of them ----------------------------------------------------------------- */

void tl_settings_init(tl_settings *settings)
{
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    *settings = (tl_settings){.size = sizeof *settings};
    for (size_t i = 0; i < n; i++)
        if (table[i].value != NULL)
            (void)tl_setting_read(&table[i], table[i].value, settings, NULL);
}

void tl_settings_publish(tl_settings *settings)
{
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    for (size_t i = 0; i < n; i++)
        if (table[i].published != NULL)
            (void)tl_setting_read(&table[i], table[i].published, settings, NULL);
}

tl_status tl_settings_check(const tl_settings *settings, tl_error *err)
{
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_settings copy;
    tl_settings_init(&copy);
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        char number[TL_SETTING_NUMBER];
        const char *text = tl_setting_write(&table[i], settings, number);
        if (text != NULL)
            status = tl_setting_read(&table[i], text, &copy, err);
    }
    return status;
}

/* ---- the manifest ---------------------------------------------------------------- */

static const char *join(const char *const *words, size_t n, tl_arena *arena)
{
    size_t bytes = 1, at = 0;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(words[i]) + 1;
    char *all = tl_arena_alloc_zero(arena, bytes, 1);
    for (size_t i = 0; i < n && all != NULL; i++)
        at +=
            (size_t)snprintf(all + at, bytes - at, "%s%s", i > 0 ? "," : "", words[i]);
    return all;
}

/* In a manifest `keep` says which rows are right as well, "text,image" stands for both, and
 * a number that is not set is the default. */
static const char *manifest_text(const tl_setting *s, const tl_settings *settings,
                                 const tl_sizes *sizes, tl_arena *arena)
{
    char number[TL_SETTING_NUMBER];
    if (strcmp(s->name, "fractions") == 0)
        return join(sizes->texts, sizes->n, arena);
    const char *text = tl_setting_write(s, settings, number);
    if (strcmp(s->name, "modality") == 0 && settings->modality == TL_MODALITY_COUNT)
        text = "text,image";
    else if (strcmp(s->name, "keep") == 0 && settings->keep == TL_KEEP_CORRECT)
        text = settings->accuracy == TL_ACCURACY_LIMITED ? "limited" : "full";
    return tl_arena_strdup(arena, text != NULL ? text : "default");
}

tl_status tl_settings_write(const tl_settings *settings, tl_arena *arena,
                            const tl_study_key **keys, size_t *n_keys, tl_error *err)
{
    size_t n = 0, n_written = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_sizes sizes;
    const tl_status status = tl_settings_sizes(settings, true, arena, &sizes, err);
    if (status != TL_OK)
        return status;
    tl_study_key *list = tl_arena_alloc(arena, n, sizeof *list);
    if (list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the manifest");
    for (size_t i = 0; i < n; i++) {
        if (!table[i].in_manifest)
            continue;
        const char *text = manifest_text(&table[i], settings, &sizes, arena);
        if (text == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the manifest");
        if (table[i].is_newer && strcmp(text, table[i].value) == 0)
            continue;
        list[n_written++] = (tl_study_key){table[i].name, text};
    }
    *keys = list;
    *n_keys = n_written;
    return TL_OK;
}

void tl_setting_say_key(const char *key, const char *value, char *text, size_t bytes)
{
    const tl_setting *s = tl_settings_find(key);
    if (s == NULL || !s->in_manifest)
        return;
    if (value == NULL || strcmp(value, "default") == 0)
        snprintf(text, bytes, "no --%s", key);
    else if (strcmp(key, "keep") == 0 &&
             (strcmp(value, "limited") == 0 || strcmp(value, "full") == 0))
        snprintf(text, bytes, "--keep correct --acc %s", value);
    else
        snprintf(text, bytes, "--%s %s", key,
                 strcmp(value, "text,image") == 0 ? "both" : value);
}

void tl_setting_key(const char *name, char *key, size_t bytes)
{
    snprintf(key, bytes, "%s", name);
    for (char *c = key; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
}

tl_status tl_settings_write_scores(const tl_settings *settings, tl_arena *arena,
                                   const tl_study_key **keys, size_t *n_keys,
                                   tl_error *err)
{
    size_t n = 0, n_written = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_study_key *list = tl_arena_alloc(arena, n, sizeof *list);
    bool whole = list != NULL;
    for (size_t i = 0; i < n && whole; i++) {
        char number[TL_SETTING_NUMBER];
        if (!table[i].in_scores)
            continue;
        const size_t bytes = strlen(table[i].name) + 1;
        char *key = tl_arena_alloc(arena, bytes, 1);
        const char *value =
            tl_arena_strdup(arena, tl_setting_write(&table[i], settings, number));
        whole = key != NULL && value != NULL;
        if (whole)
            tl_setting_key(table[i].name, key, bytes);
        list[n_written++] = (tl_study_key){key, value};
    }
    if (!whole)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the metadata");
    *keys = list;
    *n_keys = n_written;
    return TL_OK;
}

static tl_status read_key(const tl_setting *s, const char *text, tl_settings *settings,
                          tl_error *err)
{
    if (strcmp(s->name, "keep") == 0 &&
        (strcmp(text, "limited") == 0 || strcmp(text, "full") == 0)) {
        settings->accuracy =
            strcmp(text, "full") == 0 ? TL_ACCURACY_FULL : TL_ACCURACY_LIMITED;
        text = "correct";
    }
    if (strcmp(s->name, "prompts") == 0 && strcmp(text, "default") == 0) {
        settings->prompts = 0;
        return TL_OK;
    }
    return tl_setting_read(s, text, settings, err);
}

tl_status tl_settings_read(tl_settings *settings, const tl_study_key *keys,
                           size_t n_keys, tl_error *err)
{
    tl_settings read = *settings;
    for (size_t i = 0; i < n_keys; i++) {
        const tl_setting *s = tl_settings_find(keys[i].key);
        tl_error why = {0};
        if (s != NULL && s->in_manifest &&
            read_key(s, keys[i].value, &read, &why) != TL_OK)
            return tl_fail(err, TL_ERR_DATA, "%s", why.text);
    }
    *settings = read;
    return TL_OK;
}
