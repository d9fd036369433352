/* SPDX-License-Identifier: MIT
 *
 * dataset_encode.c - the rows of a dataset as a model eats them, and whether they
 * fit together; see include/twinlens/dataset.h.
 */
#include "twinlens/dataset.h"

#include "input/first_token.h"
#include "task/dataset_told.h"
#include "twinlens/log.h"

/* Puts file, line and id of the row in front of a message. */
static tl_status in_row(const tl_dataset *dataset, size_t row, tl_status status,
                        tl_error *err)
{
    const tl_dataset_row *r = &dataset->rows[row];
    return tl_fail_while(err, status, "%s:%zu: row '%s'", dataset->path, r->line,
                         r->id);
}

tl_prompt_text tl_dataset_prompt(const tl_dataset *dataset, size_t row)
{
    const tl_dataset_row *r = &dataset->rows[row];
    return (tl_prompt_text){.before = r->before,
                            .data = r->data,
                            .query = r->query,
                            .system = r->system,
                            .image_path = r->image_path,
                            .resize_width = dataset->image_width,
                            .resize_height = dataset->image_height};
}

static void warn_of_alpha(const tl_dataset *dataset, size_t row)
{
    const tl_dataset_row *r = &dataset->rows[row];
    if (dataset->told != NULL && !atomic_exchange(&dataset->told->alpha, true))
        tl_log(TL_LOG_WARNING,
               "%s: %s has transparent pixels: alpha is dropped, the colours under it "
               "are what the model sees (not said of other images here)",
               dataset->path, r->image_path);
}

tl_status tl_dataset_encode(const tl_dataset *dataset, size_t row,
                            const tl_processor *processor, tl_arena *arena,
                            tl_encoding *out, tl_error *err)
{
    const tl_prompt_text prompt = tl_dataset_prompt(dataset, row);
    const tl_status status = tl_processor_encode(processor, &prompt, arena, out, err);
    if (status == TL_OK) {
        out->name = dataset->rows[row].id;
        if (out->n_images > 0 && out->pixels.is_transparent)
            warn_of_alpha(dataset, row);
    }
    return in_row(dataset, row, status, err);
}

static bool contains(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* First tokens of all labels, as the model has them. */
static tl_status all_label_ids(const tl_dataset *dataset, size_t row,
                               const tl_processor *processor, tl_arena *arena,
                               int32_t **ids, tl_error *err)
{
    const tl_dataset_row *r = &dataset->rows[row];
    int32_t *made = tl_arena_alloc(arena, r->n_labels, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu labels", r->n_labels);
    for (size_t i = 0; i < r->n_labels; i++) {
        const tl_status status =
            tl_processor_answer_id(processor, r->labels[i], &made[i], err);
        if (status != TL_OK)
            return in_row(dataset, row, tl_fail_while(err, status, "label %zu", i),
                          err);
    }
    *ids = made;
    return TL_OK;
}

tl_status tl_dataset_label_ids(const tl_dataset *dataset, size_t row,
                               const tl_processor *processor, tl_arena *arena,
                               const int32_t **ids, size_t *count, tl_error *err)
{
    int32_t *made = NULL;
    size_t n = 0;
    const tl_status status = all_label_ids(dataset, row, processor, arena, &made, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < dataset->rows[row].n_labels; i++)
        if (!contains(made, n, made[i]))
            made[n++] = made[i];
    *ids = made;
    *count = n;
    return TL_OK;
}

/* The answer is one of the labels, and its token is that of no other. */
static tl_status check_labels(const tl_dataset_row *r, int32_t answer,
                              const int32_t *ids, const tl_processor *processor,
                              tl_arena *scratch, tl_error *err)
{
    if (r->n_labels == 0)
        return TL_OK;
    if (!contains(ids, r->n_labels, answer))
        return tl_fail(err, TL_ERR_DATA,
                       "answer '%s' is none of its %zu labels ('%s'%s)", r->answer,
                       r->n_labels, r->labels[0], r->n_labels > 1 ? ", ..." : "");
    if (!tl_is_folded(r->labels, ids, r->n_labels, answer))
        return TL_OK;
    const char *text = tl_folded_text(tl_processor_tokenizer(processor), r->labels, ids,
                                      r->n_labels, answer, scratch);
    return text == NULL
               ? tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels")
               : tl_fail(err, TL_ERR_DATA,
                         "the model cannot tell its answer '%s' from other labels: %s",
                         r->answer, text);
}

tl_status tl_dataset_answer_id(const tl_dataset *dataset, size_t row,
                               const tl_processor *processor, int32_t *id,
                               tl_error *err)
{
    const tl_dataset_row *r = &dataset->rows[row];
    int32_t *labels = NULL, answer = -1;
    tl_status status = in_row(
        dataset, row, tl_processor_answer_id(processor, r->answer, &answer, err), err);
    if (status != TL_OK)
        return status;
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels");
    status = all_label_ids(dataset, row, processor, scratch, &labels, err);
    if (status == TL_OK)
        status = in_row(dataset, row,
                        check_labels(r, answer, labels, processor, scratch, err), err);
    if (status == TL_OK)
        *id = answer;
    tl_arena_destroy(scratch);
    return status;
}

tl_status tl_dataset_pair_ids(const tl_dataset *dataset, size_t clean,
                              size_t counterfactual, const tl_processor *processor,
                              int32_t *clean_id, int32_t *counterfactual_id,
                              tl_error *err)
{
    const tl_dataset_row *a = &dataset->rows[clean],
                         *b = &dataset->rows[counterfactual];
    int32_t a_id = -1, b_id = -1;
    tl_status status = tl_dataset_answer_id(dataset, clean, processor, &a_id, err);
    if (status == TL_OK)
        status = tl_dataset_answer_id(dataset, counterfactual, processor, &b_id, err);
    if (status != TL_OK)
        return status;
    if (a_id == b_id)
        return tl_fail(
            err, TL_ERR_DATA,
            "%s:%zu: row '%s' and its counterfactual '%s' (line %zu) have the "
            "same answer by first token ('%s', '%s')",
            dataset->path, a->line, a->id, b->id, b->line, a->answer, b->answer);
    *clean_id = a_id;
    *counterfactual_id = b_id;
    return TL_OK;
}

tl_status tl_dataset_check_lengths(const tl_dataset *dataset, const size_t *rows,
                                   const tl_encoding *encodings, size_t n_rows,
                                   const char *needed_by, tl_error *err)
{
    for (size_t i = 1; i < n_rows; i++) {
        const tl_encoding *a = &encodings[0], *b = &encodings[i];
        if (a->n_pos == b->n_pos && a->data_begin == b->data_begin &&
            a->data_end == b->data_end)
            continue;
        return tl_fail(
            err, TL_ERR_DATA,
            "%s needs prompts of one length with the data at one place: row '%s' "
            "has %zu tokens, data [%zu,%zu), row '%s' has %zu tokens, data "
            "[%zu,%zu)",
            needed_by, dataset->rows[rows[0]].id, a->n_pos, a->data_begin, a->data_end,
            dataset->rows[rows[i]].id, b->n_pos, b->data_begin, b->data_end);
    }
    return TL_OK;
}
