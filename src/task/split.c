/* SPDX-License-Identifier: MIT
 *
 * split.c - see split.h.
 *
 * The order of every list below, and when the generator is seeded anew, is part of
 * the result: it has to be the authors' to draw the authors' prompts. In short, with
 * N prompts and A possible answers:
 *
 *   seed; for each answer, by first appearance: shuffle its rows, take 1 + N / A
 *   too few:  sort what is left and distinct by content, shuffle, append up to N
 *   too many: shuffle, cut to N
 *   for each answer: the first 3/4 to discovery, the rest to evaluation; then the
 *   last of evaluation move over until discovery has 3/4 of N
 *   for each part: seed; for each row choose among those with another answer
 */
#include "twinlens/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/sized.h"
#include "base/sha256.h"
#include "task/pyrandom.h"
#include "twinlens/log.h"

/* A list of row indices with room for every row. */
typedef struct list {
    size_t *items;
    size_t n;
} list;

typedef struct draw {
    const tl_split_row *rows;
    size_t n_rows;
    tl_arena *arena;
    tl_pyrandom random;
    uint64_t seed;
    list correct;
    size_t n_same, n_unsplit; /* not drawn: see split.h */
    int32_t *answers; /* of the correct rows, by first appearance */
    size_t n_answers;
} draw;

static tl_status no_memory(const draw *d, tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to split %zu rows", d->n_rows);
}

static tl_status list_create(const draw *d, list *out, tl_error *err)
{
    *out = (list){tl_arena_alloc(d->arena, d->n_rows, sizeof *out->items), 0};
    return out->items != NULL ? TL_OK : no_memory(d, err);
}

static void append(list *to, size_t row)
{
    to->items[to->n++] = row;
}

static void append_answer(const draw *d, const list *from, int32_t answer, list *to)
{
    for (size_t i = 0; i < from->n; i++)
        if (d->rows[from->items[i]].answer_id == answer)
            append(to, from->items[i]);
}

static tl_status list_correct(draw *d, tl_error *err)
{
    const tl_status status = list_create(d, &d->correct, err);
    if (status != TL_OK)
        return status;
    d->answers = tl_arena_alloc(d->arena, d->n_rows, sizeof *d->answers);
    if (d->answers == NULL)
        return no_memory(d, err);
    for (size_t i = 0; i < d->n_rows; i++) {
        if (!d->rows[i].correct)
            continue;
        append(&d->correct, i);
        size_t known = 0;
        while (known < d->n_answers && d->answers[known] != d->rows[i].answer_id)
            known++;
        if (known == d->n_answers)
            d->answers[d->n_answers++] = d->rows[i].answer_id;
    }
    return TL_OK;
}

static int compare_optional(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

/* Python compares strings by code point, which for UTF-8 is strcmp's order. */
static int compare_content(const tl_split_row *a, const tl_split_row *b)
{
    int order = strcmp(a->prompt, b->prompt);
    if (order == 0)
        order = compare_optional(a->image_hash, b->image_hash);
    return order != 0 ? order : strcmp(a->answer, b->answer);
}

static int by_content(const void *left, const void *right)
{
    const tl_split_row *a = *(const tl_split_row *const *)left;
    const tl_split_row *b = *(const tl_split_row *const *)right;
    const int order = compare_content(a, b);
    return order != 0 ? order : (a > b) - (a < b);
}

/* The correct rows whose content no chosen row has, each content once, sorted. Counts those
 * that are the same as one which is chosen or listed. */
static tl_status list_rest(draw *d, const list *chosen, list *rest, tl_error *err)
{
    const tl_split_row **sorted =
        tl_arena_alloc(d->arena, d->correct.n, sizeof *sorted);
    bool *taken = tl_arena_alloc_zero(d->arena, d->n_rows, sizeof *taken);
    const tl_status status = list_create(d, rest, err);
    if (status != TL_OK)
        return status;
    if (sorted == NULL || taken == NULL)
        return no_memory(d, err);
    for (size_t i = 0; i < d->correct.n; i++)
        sorted[i] = &d->rows[d->correct.items[i]];
    for (size_t i = 0; i < chosen->n; i++)
        taken[chosen->items[i]] = true;
    qsort(sorted, d->correct.n, sizeof *sorted, by_content);
    d->n_same = 0;
    for (size_t first = 0, end; first < d->correct.n; first = end) {
        size_t n_taken = 0;
        for (end = first; end < d->correct.n; end++) {
            if (compare_content(sorted[first], sorted[end]) != 0)
                break;
            n_taken += taken[sorted[end] - d->rows];
        }
        d->n_same += end - first - (n_taken > 0 ? n_taken : 1);
        if (n_taken == 0)
            append(rest, (size_t)(sorted[first] - d->rows));
    }
    return TL_OK;
}

/* About equally many of each answer; at most n_prompts. */
static tl_status choose(draw *d, size_t n_prompts, size_t n_answers, list *chosen,
                        tl_error *err)
{
    const size_t share = 1 + n_prompts / n_answers;
    list same = {0}, rest = {0};
    tl_status status = list_create(d, chosen, err);
    if (status == TL_OK)
        status = list_create(d, &same, err);
    if (status != TL_OK)
        return status;

    tl_pyrandom_seed(&d->random, d->seed);
    for (size_t a = 0; a < d->n_answers; a++) {
        same.n = 0;
        append_answer(d, &d->correct, d->answers[a], &same);
        tl_pyrandom_shuffle(&d->random, same.items, same.n);
        for (size_t i = 0; i < same.n && i < share; i++)
            append(chosen, same.items[i]);
    }
    if (chosen->n > n_prompts) {
        tl_pyrandom_shuffle(&d->random, chosen->items, chosen->n);
        chosen->n = n_prompts;
    }
    status = list_rest(d, chosen, &rest, err);
    if (status != TL_OK)
        return status;
    if (chosen->n < n_prompts) {
        tl_pyrandom_shuffle(&d->random, rest.items, rest.n);
        for (size_t i = 0; i < rest.n && chosen->n < n_prompts; i++)
            append(chosen, rest.items[i]);
    }
    return TL_OK;
}

static size_t three_quarters(size_t n)
{
    return n - (n + 3) / 4; /* the floor of 3n / 4 */
}

static tl_status divide(const draw *d, const list *chosen, list *discovery,
                        list *evaluation, tl_error *err)
{
    list same = {0};
    const tl_status status = list_create(d, &same, err);
    if (status != TL_OK)
        return status;
    for (size_t a = 0; a < d->n_answers; a++) {
        same.n = 0;
        append_answer(d, chosen, d->answers[a], &same);
        for (size_t i = 0; i < same.n; i++)
            append(i < three_quarters(same.n) ? discovery : evaluation, same.items[i]);
    }
    while (discovery->n < three_quarters(chosen->n))
        append(discovery, evaluation->items[--evaluation->n]);
    return TL_OK;
}

static tl_status draw_parts(draw *d, const tl_split_options *options, list *discovery,
                            list *evaluation, tl_error *err)
{
    size_t n_prompts = options->n_prompts;
    if (n_prompts == 0)
        n_prompts = d->correct.n < TL_SPLIT_PROMPTS ? d->correct.n : TL_SPLIT_PROMPTS;
    if (d->correct.n < n_prompts)
        return tl_fail(err, TL_ERR_TOO_FEW,
                       "%zu prompts are wanted, but only %zu of %zu rows are answered "
                       "correctly",
                       n_prompts, d->correct.n, d->n_rows);
    list chosen = {0};
    tl_status status = choose(
        d, n_prompts, options->n_answers != 0 ? options->n_answers : d->n_answers,
        &chosen, err);
    if (status == TL_OK && options->n_prompts != 0 && chosen.n < n_prompts)
        status = tl_fail(err, TL_ERR_TOO_FEW,
                         "%zu prompts are wanted, but of the %zu correct rows only %zu "
                         "are different",
                         n_prompts, d->correct.n, chosen.n);
    return status == TL_OK ? divide(d, &chosen, discovery, evaluation, err) : status;
}

/* The parts that the rows name. A wanted number of prompts cuts them to 3/4 and the
 * rest of that number. */
static tl_status given_parts(draw *d, const tl_split_options *options, list *discovery,
                             list *evaluation, tl_error *err)
{
    size_t n_without = 0;
    for (size_t i = 0; i < d->correct.n; i++) {
        const size_t row = d->correct.items[i];
        switch (d->rows[row].part) {
        case TL_DISCOVERY: append(discovery, row); break;
        case TL_EVALUATION: append(evaluation, row); break;
        case TL_PART_NONE: n_without++; break;
        case TL_NO_PART: break; /* never asked about */
        }
    }
    if (n_without > 0)
        tl_log(TL_LOG_WARNING,
               "%zu rows without a split are left out: other rows have one", n_without);
    d->n_unsplit = n_without;
    if (options->n_prompts == 0)
        return TL_OK;
    const size_t n_discovery = three_quarters(options->n_prompts);
    const size_t n_evaluation = options->n_prompts - n_discovery;
    if (discovery->n < n_discovery || evaluation->n < n_evaluation)
        return tl_fail(
            err, TL_ERR_TOO_FEW,
            "%zu prompts are wanted, %zu for discovery and %zu for evaluation, "
            "but the rows' own split has only %zu and %zu correct ones",
            options->n_prompts, n_discovery, n_evaluation, discovery->n, evaluation->n);
    discovery->n = n_discovery;
    evaluation->n = n_evaluation;
    return TL_OK;
}

/* Rows of the part that can stand against `row`: another answer, and its group. */
static void list_candidates(const draw *d, const list *part, const tl_split_row *row,
                            const char *group, list *candidates)
{
    candidates->n = 0;
    for (size_t i = 0; i < part->n; i++) {
        const tl_split_row *other = &d->rows[part->items[i]];
        if (other->answer_id == row->answer_id)
            continue;
        if (group == NULL || (other->group != NULL && strcmp(group, other->group) == 0))
            append(candidates, part->items[i]);
    }
}

static tl_status pair_up(draw *d, const list *part, const char *part_name,
                         const tl_split_pair **pairs, tl_error *err)
{
    tl_split_pair *made = tl_arena_alloc(d->arena, part->n, sizeof *made);
    if (made == NULL)
        return no_memory(d, err);
    list candidates = {0};
    const tl_status status = list_create(d, &candidates, err);
    if (status != TL_OK)
        return status;
    tl_pyrandom_seed(&d->random, d->seed);
    for (size_t i = 0; i < part->n; i++) {
        const tl_split_row *row = &d->rows[part->items[i]];
        made[i] = (tl_split_pair){part->items[i], row->counterfactual};
        if (row->counterfactual != TL_NO_ROW) {
            const tl_split_row *other = &d->rows[row->counterfactual];
            if (other->answer_id == row->answer_id)
                return tl_fail(
                    err, TL_ERR_DATA,
                    "row '%s' and its counterfactual '%s' have the same answer "
                    "by first token ('%s', '%s')",
                    row->id, other->id, row->answer, other->answer);
            continue;
        }
        list_candidates(d, part, row, row->group, &candidates);
        if (candidates.n == 0 && row->group != NULL)
            list_candidates(d, part, row, NULL, &candidates);
        if (candidates.n == 0)
            return tl_fail(err, TL_ERR_TOO_FEW,
                           "row '%s' has no possible counterfactual: every row for %s "
                           "(%zu) has its answer, '%s'",
                           row->id, part_name, part->n, row->answer);
        made[i].counterfactual =
            candidates.items[tl_pyrandom_below(&d->random, candidates.n)];
    }
    *pairs = made;
    return TL_OK;
}

static tl_status check_rows(const tl_split_row *rows, size_t n_rows, tl_error *err)
{
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].counterfactual != TL_NO_ROW && rows[i].counterfactual >= n_rows)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "row '%s': counterfactual %zu of %zu rows", rows[i].id,
                           rows[i].counterfactual, n_rows);
    return TL_OK;
}

tl_status tl_split_draw(const tl_split_row *rows, size_t n_rows,
                        const tl_split_options *options, tl_arena *arena, tl_split *out,
                        tl_error *err)
{
    const tl_split_options published = {.seed = TL_SPLIT_SEED};
    tl_split_options o;
    tl_status status = tl_sized_copy(options != NULL ? options : &published, &o,
                                     sizeof o, "tl_split_options", err);
    if (status != TL_OK)
        return status;
    draw d = {.rows = rows, .n_rows = n_rows, .arena = arena};
    d.seed = o.seed;

    list discovery = {0}, evaluation = {0};
    status = check_rows(rows, n_rows, err);
    if (status == TL_OK && n_rows == 0)
        status = tl_fail(err, TL_ERR_DATA, "the dataset has no rows of that modality");
    if (status == TL_OK)
        status = list_correct(&d, err);
    if (status == TL_OK && d.correct.n == 0)
        status =
            tl_fail(err, TL_ERR_TOO_FEW,
                    "none of the %zu rows is answered correctly, so there is nothing "
                    "to study",
                    n_rows);
    if (status == TL_OK)
        status = list_create(&d, &discovery, err);
    if (status == TL_OK)
        status = list_create(&d, &evaluation, err);
    if (status != TL_OK)
        return status;

    bool given = false;
    for (size_t i = 0; i < n_rows; i++)
        given = given || rows[i].part != TL_PART_NONE;
    status = given ? given_parts(&d, &o, &discovery, &evaluation, err)
                   : draw_parts(&d, &o, &discovery, &evaluation, err);

    tl_split split = {.n_rows = n_rows,
                      .n_correct = d.correct.n,
                      .n_same = d.n_same,
                      .n_unsplit = d.n_unsplit};
    split.n_discovery = discovery.n;
    split.n_evaluation = evaluation.n;
    if (status == TL_OK)
        status = pair_up(&d, &discovery, "discovery", &split.discovery, err);
    if (status == TL_OK)
        status = pair_up(&d, &evaluation, "evaluation", &split.evaluation, err);
    if (status == TL_OK)
        *out = split;
    return status;
}

/* The picture as the model's own processor gets it, after the task's resize. */
static tl_status hash_image(const tl_dataset *dataset, const tl_dataset_row *row,
                            tl_arena *arena, const char **out, tl_error *err)
{
    char *hex = tl_arena_alloc(arena, TL_SHA256_HEX, 1);
    if (hex == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    tl_image image;
    tl_status status = tl_image_read(row->image_path, arena, &image, err);
    if (status == TL_OK && dataset->image_width != 0)
        status = tl_image_resize(&image, dataset->image_width, dataset->image_height,
                                 TL_BICUBIC, arena, &image, err);
    if (status == TL_OK) {
        tl_sha256 hash;
        tl_sha256_init(&hash);
        tl_sha256_update(&hash, image.rgb, image.width * image.height * 3);
        tl_sha256_hex(&hash, hex);
        *out = hex;
    }
    tl_arena_rewind(arena, mark);
    return status;
}

static tl_status describe(const tl_dataset *dataset, size_t index, bool correct,
                          const tl_processor *processor, tl_arena *arena,
                          tl_split_row *out, tl_error *err)
{
    const tl_dataset_row *row = &dataset->rows[index];
    const tl_prompt_text prompt = tl_dataset_prompt(dataset, index);
    *out = (tl_split_row){.id = row->id,
                          .answer = row->answer,
                          .group = row->group,
                          .correct = correct,
                          .part = row->part,
                          .counterfactual = TL_NO_ROW};
    tl_status status =
        tl_dataset_answer_id(dataset, index, processor, &out->answer_id, err);
    if (status == TL_OK)
        status = tl_processor_chat(processor, &prompt, arena, &out->prompt, err);
    /* Only rows that can be drawn are put in order. */
    if (status == TL_OK && row->image_path != NULL && correct)
        status =
            tl_fail_while(err, hash_image(dataset, row, arena, &out->image_hash, err),
                          "%s:%zu: row '%s'", dataset->path, row->line, row->id);
    return status;
}

static void name_rows_of_dataset(const tl_split_pair *pairs, size_t n,
                                 const size_t *index, tl_split_pair *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (tl_split_pair){index[pairs[i].row], index[pairs[i].counterfactual]};
}

tl_status tl_dataset_split(const tl_dataset *dataset, tl_modality modality,
                           const bool *correct, const tl_split_options *options,
                           const tl_processor *processor, tl_arena *arena,
                           tl_split *out, tl_error *err)
{
    const size_t n = dataset->n_rows;
    tl_split_row *rows = tl_arena_alloc(arena, n, sizeof *rows);
    size_t *index = tl_arena_alloc(arena, n, sizeof *index); /* in the dataset */
    size_t *place = tl_arena_alloc(arena, n, sizeof *place); /* its inverse */
    tl_split_pair *pairs = tl_arena_alloc(arena, n, sizeof *pairs);
    if (rows == NULL || index == NULL || place == NULL || pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to split %zu rows", n);

    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++) {
        if (dataset->rows[i].modality != modality ||
            dataset->rows[i].part == TL_NO_PART)
            continue;
        const tl_status status =
            describe(dataset, i, correct[i], processor, arena, &rows[n_rows], err);
        if (status != TL_OK)
            return status;
        place[i] = n_rows;
        index[n_rows++] = i;
    }
    for (size_t i = 0; i < n_rows; i++) {
        const size_t counterfactual = dataset->rows[index[i]].counterfactual;
        if (counterfactual != TL_NO_ROW)
            rows[i].counterfactual = place[counterfactual];
    }
    tl_split split;
    const tl_status status =
        tl_fail_while(err, tl_split_draw(rows, n_rows, options, arena, &split, err),
                      "%s: %s prompts", dataset->path, tl_modality_name(modality));
    if (status != TL_OK)
        return status;
    tl_split_pair *evaluation = pairs + split.n_discovery;
    name_rows_of_dataset(split.discovery, split.n_discovery, index, pairs);
    name_rows_of_dataset(split.evaluation, split.n_evaluation, index, evaluation);
    split.discovery = pairs;
    split.evaluation = evaluation;
    *out = split;
    return TL_OK;
}

size_t tl_split_answers(const tl_dataset *dataset)
{
    for (size_t i = 0; i < dataset->n_rows; i++)
        if (dataset->rows[i].group != NULL)
            return 0;
    return dataset->n_answers > 0 ? dataset->n_answers : dataset->n_labels;
}
