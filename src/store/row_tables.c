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
static const char *const parts[] = {"discovery", "evaluation"};
static const char *const circuit_kinds[] = {"circuit", "magnitude", "random"};
static const char *const component_kinds[] = {"heads", "neurons"};
static const char *const kinds_and_both[] = {"heads", "neurons", "both"};
static const char *const test_circuits[] = {"circuit", "complement", "random", "with",
                                            "without"};
static const char *const overlap_parts[] = {"data", "query", "generation", "whole"};
static const char *const segments_and_none[] = {"data", "query", "generation", "none"};
static const char *const image_types[] = {"image/png", "image/jpeg", "image/webp"};

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

static const tl_column stage[] = {
    {COLUMN(stage, name)},
};

static const tl_column work[] = {
    {COLUMN(work, stage)},
    {COLUMN(work, product_flops)},
};

static const tl_column memory[] = {
    {COLUMN(memory, what)},
    {COLUMN(memory, bytes)},
};

static const tl_column pair[] = {
    {COLUMN(pair, modality), WORDS(modalities)},
    {COLUMN(pair, part), WORDS(parts)},
    {COLUMN(pair, pair), .counts = true},
    {COLUMN(pair, row)},
    {COLUMN(pair, counterfactual)},
    {COLUMN(pair, answer_id)},
    {COLUMN(pair, counterfactual_answer_id)},
};

static const tl_column left_out[] = {
    {COLUMN(left_out, use)},
    {COLUMN(left_out, reason)},
    {COLUMN(left_out, modality), WORDS(modalities)},
    {COLUMN(left_out, n)},
};

static const tl_column token[] = {
    {COLUMN(token, modality), WORDS(modalities)},
    {COLUMN(token, pos), .counts = true},
    {COLUMN(token, text)},
    {COLUMN(token, n_texts)},
};

static const tl_column scores[] = {
    {COLUMN(scores, modality), WORDS(modalities)},
    {COLUMN(scores, file)},
    {COLUMN(scores, sha256)},
    {COLUMN(scores, n_pairs)},
    {COLUMN(scores, n_layers)},
    {COLUMN(scores, n_pos)},
    {COLUMN(scores, n_heads)},
    {COLUMN(scores, d_mlp)},
    {COLUMN(scores, data_begin)},
    {COLUMN(scores, data_end)},
};

static const tl_column picture[] = {
    {COLUMN(picture, pair)},
    {COLUMN(picture, row)},
    {COLUMN(picture, id)},
    {COLUMN(picture, query)},
    {COLUMN(picture, answer)},
    {COLUMN(picture, counterfactual)},
    {COLUMN(picture, n_rows)},
    {COLUMN(picture, n_columns)},
    {COLUMN(picture, type), WORDS(image_types)},
    {COLUMN(picture, bytes), BESIDE(picture, n_bytes)},
};

static const tl_column picture_view[] = {
    {COLUMN(picture_view, pair)},
    {COLUMN(picture_view, view)},
    {COLUMN(picture_view, n_rows)},
    {COLUMN(picture_view, n_columns)},
};

static const tl_column picture_score[] = {
    {COLUMN(picture_score, pair)},
    {COLUMN(picture_score, layer), .counts = true},
    {COLUMN(picture_score, pos), .counts = true},
    {COLUMN(picture_score, heads)},
    {COLUMN(picture_score, neurons)},
};

static const tl_column effect[] = {
    {COLUMN(effect, modality), WORDS(modalities)},
    {COLUMN(effect, pair)},
    {COLUMN(effect, component)},
    {COLUMN(effect, ig_steps)},
    {COLUMN(effect, kind), WORDS(component_kinds)},
    {COLUMN(effect, layer)},
    {COLUMN(effect, pos)},
    {NAMED(effect, index, "idx")},
    {COLUMN(effect, exact)},
    {COLUMN(effect, attributed)},
};

static const tl_column ranked[] = {
    {COLUMN(ranked, modality), WORDS(modalities)},
    {COLUMN(ranked, pair)},
    {COLUMN(ranked, component), .counts = true},
    {COLUMN(ranked, score)},
};

static const tl_column completeness[] = {
    {COLUMN(completeness, modality), WORDS(modalities)},
    {COLUMN(completeness, pair)},
    {COLUMN(completeness, ig_steps)},
    {COLUMN(completeness, attributed)},
    {COLUMN(completeness, difference)},
};

static const tl_column precision[] = {
    {COLUMN(precision, modality), WORDS(modalities)},
    {COLUMN(precision, n_pairs)},
    {COLUMN(precision, fraction)},
    {COLUMN(precision, spearman_heads)},
    {COLUMN(precision, spearman_neurons)},
    {COLUMN(precision, jaccard_heads)},
    {COLUMN(precision, jaccard_neurons)},
    {COLUMN(precision, faithfulness_f32)},
    {COLUMN(precision, faithfulness)},
    {COLUMN(precision, logit_diff)},
};

static const tl_column baseline[] = {
    {COLUMN(baseline, modality), WORDS(modalities)},
    {COLUMN(baseline, pair), .counts = true},
    {COLUMN(baseline, clean)},
    {COLUMN(baseline, none)},
};

static const tl_column evaluation[] = {
    {COLUMN(evaluation, modality), WORDS(modalities)},
    {COLUMN(evaluation, kind), WORDS(circuit_kinds), .counts = true},
    {COLUMN(evaluation, pair), .counts = true},
    {COLUMN(evaluation, point), .counts = true},
    {COLUMN(evaluation, logit_diff)},
};

static const tl_column point[] = {
    {COLUMN(point, modality), WORDS(modalities)},
    {COLUMN(point, kind), WORDS(circuit_kinds), .counts = true},
    {COLUMN(point, point), .counts = true},
    {COLUMN(point, fraction)},
    {COLUMN(point, n_heads)},
    {COLUMN(point, n_neurons)},
    {COLUMN(point, mean_of_ratios)},
    {COLUMN(point, ratio_of_means)},
    {COLUMN(point, median)},
    {COLUMN(point, n)},
    {COLUMN(point, n_excluded)},
};

static const tl_column minimal[] = {
    {COLUMN(minimal, modality), WORDS(modalities)},
    {COLUMN(minimal, point), .is_optional = true, BESIDE(minimal, found)},
};

static const tl_column test[] = {
    {COLUMN(test, modality), WORDS(modalities)},
    {COLUMN(test, test), .counts = true},
    {COLUMN(test, circuit), WORDS(test_circuits)},
    {COLUMN(test, kind), WORDS(component_kinds), .is_optional = true},
    {COLUMN(test, layer), .is_optional = true, BESIDE(test, has_component)},
    {COLUMN(test, pos), .is_optional = true, BESIDE(test, has_component)},
    {NAMED(test, index, "idx"), .is_optional = true, BESIDE(test, has_component)},
};

static const tl_column test_run[] = {
    {COLUMN(test_run, modality), WORDS(modalities)},
    {COLUMN(test_run, pair), .counts = true},
    {COLUMN(test_run, test), .counts = true},
    {COLUMN(test_run, logit_diff)},
};

static const tl_column overlap[] = {
    {COLUMN(overlap, segment), WORDS(overlap_parts)},
    {COLUMN(overlap, kind), WORDS(kinds_and_both)},
    {COLUMN(overlap, iou)},
    {COLUMN(overlap, in_text)},
    {COLUMN(overlap, in_image)},
    {COLUMN(overlap, is_empty)},
    {COLUMN(overlap, random)},
    {COLUMN(overlap, deviation)},
};

static const tl_column overlap_without[] = {
    {COLUMN(overlap_without, modality), WORDS(modalities)},
    {COLUMN(overlap_without, part), .counts = true},
    {COLUMN(overlap_without, segment), WORDS(overlap_parts)},
    {COLUMN(overlap_without, kind), WORDS(kinds_and_both)},
    {COLUMN(overlap_without, iou)},
};

static const tl_column swap[] = {
    {COLUMN(swap, host), WORDS(modalities)},
    {COLUMN(swap, swap), .counts = true},
    {COLUMN(swap, swapped), WORDS(segments_and_none)},
    {COLUMN(swap, draw), .is_optional = true, BESIDE(swap, is_random)},
    {COLUMN(swap, n_heads)},
    {COLUMN(swap, n_neurons)},
};

static const tl_column swap_run[] = {
    {COLUMN(swap_run, host), WORDS(modalities)},
    {COLUMN(swap_run, pair), .counts = true},
    {COLUMN(swap_run, swap), .counts = true},
    {COLUMN(swap_run, logit_diff)},
};

static const tl_column alignment[] = {
    {COLUMN(alignment, pair), .counts = true},
    {COLUMN(alignment, layer), .counts = true},
    {COLUMN(alignment, text_row)},
    {COLUMN(alignment, image_row)},
    {COLUMN(alignment, matched)},
    {COLUMN(alignment, other)},
    {COLUMN(alignment, centred_matched)},
    {COLUMN(alignment, centred_other)},
};

static const tl_column cell[] = {
    {COLUMN(cell, cell), .counts = true},
    {COLUMN(cell, window)},
    {COLUMN(cell, source)},
    {COLUMN(cell, destination)},
};

static const tl_column text_length[] = {
    {COLUMN(text_length, pair), .counts = true},
    {COLUMN(text_length, n_pos)},
};

static const tl_column patched[] = {
    {COLUMN(patched, modality), WORDS(modalities)},
    {COLUMN(patched, pair), .counts = true},
    {COLUMN(patched, row)},
    {COLUMN(patched, is_right)},
    {COLUMN(patched, cells)},
};

static const tl_column iteration[] = {
    {COLUMN(iteration, pair), .counts = true},
    {COLUMN(iteration, cell)},
    {COLUMN(iteration, row)},
    {COLUMN(iteration, times)},
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
    [TL_ROW_STAGE] = TABLE("stage", stage, 1),
    [TL_ROW_WORK] = TABLE("work", work, 1),
    [TL_ROW_MEMORY] = TABLE("memory", memory, 1),
    [TL_ROW_PROMPT] = TABLE("prompt", prompt, 1),
    [TL_ROW_PAIR] = TABLE("pair", pair, 3),
    [TL_ROW_LEFT_OUT] = TABLE("left_out", left_out, 3),
    [TL_ROW_TOKEN] = TABLE("token", token, 2),
    [TL_ROW_SCORES] = TABLE("scores", scores, 1),
    [TL_ROW_PICTURE] = TABLE("picture", picture, 1),
    [TL_ROW_PICTURE_VIEW] = TABLE("picture_view", picture_view, 2),
    [TL_ROW_PICTURE_SCORE] = TABLE("picture_score", picture_score, 3),
    [TL_ROW_EFFECT] = TABLE("effect", effect, 4),
    [TL_ROW_LEADING] = TABLE("leading", effect, 4),
    [TL_ROW_RANKED] = TABLE("ranked", ranked, 3),
    [TL_ROW_COMPLETENESS] = TABLE("completeness", completeness, 3),
    [TL_ROW_PRECISION] = TABLE("precision", precision, 1),
    [TL_ROW_BASELINE] = TABLE("baseline", baseline, 2),
    [TL_ROW_EVALUATION] = TABLE("evaluation", evaluation, 4),
    [TL_ROW_POINT] = TABLE("curve", point, 3),
    [TL_ROW_MINIMAL] = TABLE("minimal", minimal, 1),
    [TL_ROW_TEST] = TABLE("circuit_test", test, 2),
    [TL_ROW_TEST_RUN] = TABLE("circuit_test_run", test_run, 3),
    [TL_ROW_OVERLAP] = TABLE("overlap", overlap, 2),
    [TL_ROW_OVERLAP_WITHOUT] = TABLE("overlap_without", overlap_without, 4),
    [TL_ROW_SWAP] = TABLE("swap", swap, 2),
    [TL_ROW_SWAP_RUN] = TABLE("interchange", swap_run, 3),
    [TL_ROW_ALIGNMENT] = TABLE("alignment", alignment, 2),
    [TL_ROW_CELL] = TABLE("cell", cell, 1),
    [TL_ROW_TEXT_LENGTH] = TABLE("text_length", text_length, 1),
    [TL_ROW_PATCHED] = TABLE("backpatch", patched, 2),
    [TL_ROW_ITERATION] = TABLE("iteration", iteration, 1),
    [TL_ROW_CROSSED_ITERATION] = TABLE("crossed_iteration", iteration, 1),
};

const tl_row_table *tl_row_table_get(tl_row_kind kind)
{
    return &tables[kind];
}
