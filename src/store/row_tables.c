/* SPDX-License-Identifier: MIT
 *
 * row_tables.c - which table of study.db each kind of row has, and which column each
 * field (see columns.h). docs/formats.md says what they mean.
 */
#include "store/columns.h"

#include "store/study_db.h"

/* ---- words ----------------------------------------------------------------------- */

/* Words that count as keys stand in the order of the alphabet, which is that of SQL. */
static const char *const modalities[] = {"text", "image"};
static const char *const segments[] = {"data", "query", "generation"};
static const char *const kinds_and_both[] = {"heads", "neurons", "both"};

/* ---- columns --------------------------------------------------------------------- */

/* The column of a field called otherwise; its type follows from the field's. */
#define NAMED(row, field, column)                                                      \
    .name = column, .offset = offsetof(tl_study_##row, field),                         \
    .type = _Generic(((tl_study_##row *)0)->field,                                     \
        size_t: TL_COLUMN_SIZE,                                                        \
        int32_t: TL_COLUMN_ID,                                                         \
        int64_t: TL_COLUMN_INTEGER,                                                    \
        bool: TL_COLUMN_BOOL,                                                          \
        double: TL_COLUMN_REAL,                                                        \
        const char *: TL_COLUMN_TEXT,                                                  \
        const void *: TL_COLUMN_BLOB,                                                  \
        default: TL_COLUMN_WORD)
#define COLUMN(row, field) NAMED(row, field, #field)
#define WORDS(list) .words = (list), .n_words = sizeof(list) / sizeof *(list)
#define BESIDE(row, field) .beside = offsetof(tl_study_##row, field)

static const tl_column key[] = {
    {COLUMN(key, key)},
    {COLUMN(key, value)},
};

static const tl_column file[] = {
    {COLUMN(file, path)},
    {COLUMN(file, bytes)},
    {COLUMN(file, modified_ns)},
    {COLUMN(file, sha256)},
};

static const tl_column prompt[] = {
    {COLUMN(prompt, row)},
    {COLUMN(prompt, id)},
    {COLUMN(prompt, modality), WORDS(modalities)},
    {COLUMN(prompt, n_pos)},
    {COLUMN(prompt, data_begin)},
    {COLUMN(prompt, data_end)},
    {COLUMN(prompt, answer_id)},
    {COLUMN(prompt, label_id), .is_optional = true},
    {COLUMN(prompt, top_id)},
    {COLUMN(prompt, answer)},
    {COLUMN(prompt, label), .is_optional = true},
    {COLUMN(prompt, top), .is_optional = true},
    {COLUMN(prompt, answer_logit)},
    {COLUMN(prompt, label_logit)},
    {COLUMN(prompt, top_logit)},
    {COLUMN(prompt, correct_limited)},
    {COLUMN(prompt, correct_full)},
};

static const tl_column overlap[] = {
    {COLUMN(overlap, segment), WORDS(segments)},
    {COLUMN(overlap, kind), WORDS(kinds_and_both)},
    {COLUMN(overlap, iou)},
    {COLUMN(overlap, in_text)},
    {COLUMN(overlap, in_image)},
    {COLUMN(overlap, is_empty)},
    {COLUMN(overlap, random)},
    {COLUMN(overlap, deviation)},
};

static const tl_column stage[] = {
    {COLUMN(stage, name)},
};

/* ---- tables ---------------------------------------------------------------------- */

#define TABLE(table, row, keys)                                                        \
    {                                                                                  \
        .name = (table), .row_bytes = sizeof(tl_study_##row), .columns = row,          \
        .n_columns = sizeof row / sizeof *row, .n_keys = (keys)                        \
    }

static const tl_row_table tables[TL_ROW_KIND_COUNT] = {
    [TL_ROW_KEY] = TABLE("manifest", key, 1),
    [TL_ROW_FILE] = TABLE("file", file, 1),
    [TL_ROW_PROMPT] = TABLE("prompt", prompt, 1),
    [TL_ROW_OVERLAP] = TABLE("overlap", overlap, 2),
    [TL_ROW_STAGE] = TABLE("stage", stage, 1),
};

const tl_row_table *tl_row_table_get(tl_row_kind kind)
{
    return &tables[kind];
}
