/* SPDX-License-Identifier: MIT
 *
 * cmd_predict.c - `twinlens predict`: what the model answers to every prompt. Rows of
 * any length, with or without a counterfactual.
 */
#include <jansson.h>
#include <math.h>

#include "base/word_list.h"
#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/json_result.h"
#include "study/answers.h"
#include "study/session.h"
#include "trace/experiment.h"
#include "twinlens/alloc.h"
#include "twinlens/statistics.h"

/* Tokens in a pass: enough for full speed, little memory. */
enum { BATCH_TOKENS = 1024 };

typedef struct options {
    tl_settings settings;
    const char *ids;
    int modality;
    bool modality_given, json;
} options;

/* One row of the batch, and what becomes of it. */
typedef struct item {
    size_t row;
    tl_encoding encoding;
    int32_t answer, counterfactual, prediction;
    bool has_counterfactual;
    double logit_diff;
} item;

typedef struct tally {
    size_t n[TL_MODALITY_COUNT], right[TL_MODALITY_COUNT];
} tally;

/* Everything about one row once its batch has been through the model. */
static tl_status finish_item(tl_session *s, const options *o, tl_pass *pass, size_t i,
                             tl_arena *arena, float *logits, item *it, tl_error *err)
{
    const int32_t *labels = NULL;
    size_t n_labels = 0;
    tl_status status = TL_OK;
    if (o->settings.accuracy == TL_ACCURACY_LIMITED)
        status = tl_dataset_label_ids(s->dataset, it->row, s->processor, arena, &labels,
                                      &n_labels, err);
    if (status == TL_OK)
        status = tl_pass_logits_last(pass, i, logits, err);
    const size_t n = n_labels > 0 ? n_labels : tl_model_dims(s->model)->n_vocab;
    size_t best = 0;
    if (status == TL_OK)
        status =
            tl_answers_best_of_all(logits, n_labels > 0 ? labels : NULL, n, &best, err);
    if (status == TL_OK)
        it->prediction = n_labels > 0 ? labels[best] : (int32_t)best;
    if (status == TL_OK && it->has_counterfactual)
        status = tl_pass_logit_diff(pass, i, it->answer, it->counterfactual,
                                    &it->logit_diff, err);
    if (status == TL_OK && it->has_counterfactual && !isfinite(it->logit_diff))
        status =
            tl_fail(err, TL_ERR_DATA, "prompt '%s': the logit difference is not finite",
                    s->dataset->rows[it->row].id);
    return status;
}

static const tl_pass_options pass_options = {.last_only = true};

/* What a batch holds beside its pass: pixels, embeddings with their positions, and the
 * logits of one prompt twice, the backend's and ours. */
static size_t batch_bytes(const tl_session *s, const item *items, size_t n)
{
    const tl_dims *d = tl_model_dims(s->model);
    size_t bytes = 2 * d->n_vocab * sizeof(float);
    for (size_t i = 0; i < n; i++) {
        const tl_encoding *e = &items[i].encoding;
        size_t n_pixels = e->n_images > 0 ? 1 : 0;
        for (size_t k = 0; k < e->pixels.n_dims && e->n_images > 0; k++)
            n_pixels *= e->pixels.dims[k];
        bytes += n_pixels * sizeof(float) + tl_model_input_bytes(s->model, e->n_pos) +
                 e->n_pos * 5 * sizeof(int32_t);
    }
    return bytes;
}

static tl_status predict_batch(tl_session *s, const options *o, tl_pass *pass,
                               tl_arena *arena, item *items, size_t n, tl_error *err)
{
    tl_pass_options limited = pass_options;
    tl_status status = tl_pass_room(pass, s->settings.memory, batch_bytes(s, items, n),
                                    &limited.memory_budget, err);
    if (status != TL_OK)
        return status;
    tl_pass_prompt *prompts = tl_arena_alloc_zero(arena, n, sizeof *prompts);
    float *logits =
        tl_arena_alloc(arena, tl_model_dims(s->model)->n_vocab, sizeof *logits);
    if (prompts == NULL || logits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a batch of %zu prompts",
                       n);
    for (size_t i = 0; i < n; i++)
        if (items[i].encoding.n_images > 0)
            tl_pass_shrink(pass, 0); /* the tower wants memory as well */
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_fail_while(err,
                               tl_model_input(s->model, &items[i].encoding,
                                              (tl_rope)s->settings.rope, arena,
                                              &prompts[i].input, err),
                               "prompt '%s'", s->dataset->rows[items[i].row].id);
    if (status == TL_OK)
        status = tl_pass_forward(pass, prompts, n, &limited, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = finish_item(s, o, pass, i, arena, logits, &items[i], err);
    return status;
}

static tl_status print_json(const tl_session *s, const item *it, const char *prediction,
                            FILE *out, tl_error *err)
{
    const tl_dataset_row *row = &s->dataset->rows[it->row];
    json_t *ids = json_array();
    for (size_t t = 0; t < it->encoding.n_pos; t++)
        json_array_append_new(ids, json_integer(it->encoding.ids[t]));
    json_t *line = json_pack(
        "{s:s, s:s, s:I, s:[I, I], s:o, s:i, s:o, s:o, s:s, s:i, s:b}", "id", row->id,
        "modality", tl_modality_name(row->modality), "n_tokens",
        (json_int_t)it->encoding.n_pos, "data", (json_int_t)it->encoding.data_begin,
        (json_int_t)it->encoding.data_end, "input_ids", ids, "answer_id",
        (int)it->answer, "cf_answer_id",
        it->has_counterfactual ? json_integer(it->counterfactual) : json_null(),
        "logit_diff",
        it->has_counterfactual ? tl_json_number(it->logit_diff) : json_null(),
        "prediction", prediction, "prediction_id", (int)it->prediction, "correct",
        it->prediction == it->answer);
    if (line == NULL || json_array_size(ids) != it->encoding.n_pos) {
        json_decref(line);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result of '%s'",
                       row->id);
    }
    json_dumpf(line, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(line);
    return TL_OK;
}

/* A cell of the table; a line stays one line. */
static void print_cell(const char *text, FILE *out)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t' || *c == '\r')
            fprintf(out, "\\%c", *c == '\n' ? 'n' : *c == '\t' ? 't' : 'r');
        else
            fputc(*c, out);
}

static tl_status print_item(const tl_session *s, const options *o, const item *it,
                            tl_arena *arena, FILE *out, tl_error *err)
{
    const tl_dataset_row *row = &s->dataset->rows[it->row];
    const char *text =
        tl_tokenizer_text(tl_processor_tokenizer(s->processor), it->prediction, arena);
    if (text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a token");
    if (o->json)
        return print_json(s, it, text, out, err);
    print_cell(row->id, out);
    fprintf(out, "\t%s\t%zu\t%zu-%zu\t", tl_modality_name(row->modality),
            it->encoding.n_pos, it->encoding.data_begin, it->encoding.data_end);
    if (it->has_counterfactual)
        fprintf(out, "%.6f", it->logit_diff);
    fputc('\t', out);
    print_cell(row->answer, out);
    fputc('\t', out);
    print_cell(text, out);
    fprintf(out, "\t%s\n", it->prediction == it->answer ? "right" : "wrong");
    return TL_OK;
}

/* Answer ids and encoding of a row. */
static tl_status prepare(const tl_session *s, size_t row, tl_arena *arena, item *it,
                         tl_error *err)
{
    const size_t counterfactual = s->dataset->rows[row].counterfactual;
    *it = (item){.row = row, .has_counterfactual = counterfactual != TL_NO_ROW};
    tl_status status =
        it->has_counterfactual
            ? tl_dataset_pair_ids(s->dataset, row, counterfactual, s->processor,
                                  &it->answer, &it->counterfactual, err)
            : tl_dataset_answer_id(s->dataset, row, s->processor, &it->answer, err);
    if (status == TL_OK)
        status =
            tl_dataset_encode(s->dataset, row, s->processor, arena, &it->encoding, err);
    return status;
}

/* Whether these prompts and one pass over them stay within the memory budget. */
static bool fits(const tl_session *s, const item *items, size_t n)
{
    size_t n_pos[BATCH_TOKENS], bytes = 0;
    for (size_t i = 0; i < n; i++)
        n_pos[i] = items[i].encoding.n_pos;
    return s->settings.memory == 0 ||
           (tl_pass_bytes(s->model, n_pos, NULL, n, &pass_options, &bytes, NULL) ==
                TL_OK &&
            TL_EXPERIMENT_BYTES + batch_bytes(s, items, n) + bytes <=
                s->settings.memory);
}

/* Takes rows from *next on for one pass: one at least, and as many as it likes. */
static tl_status gather(const tl_session *s, const size_t *rows, size_t n_rows,
                        size_t *next, tl_arena *arena, item *items, size_t *count,
                        tl_error *err)
{
    size_t n = 0, tokens = 0;
    while (*next < n_rows && n < BATCH_TOKENS && tokens < BATCH_TOKENS) {
        const tl_status status = prepare(s, rows[*next], arena, &items[n], err);
        if (status != TL_OK)
            return status;
        if (n > 0 && !fits(s, items, n + 1))
            break;
        tokens += items[n++].encoding.n_pos;
        ++*next;
    }
    *count = n;
    return TL_OK;
}

static tl_status predict_rows(tl_session *s, const options *o, const size_t *rows,
                              size_t n_rows, FILE *out, tally *count, tl_error *err)
{
    tl_pass *pass = NULL;
    tl_arena *arena = tl_arena_create();
    item *items = tl_alloc(BATCH_TOKENS, sizeof *items);
    tl_status status = TL_OK;
    if (arena == NULL || items == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the prompts");
    if (status == TL_OK)
        status = tl_pass_create(s->model, &pass, err);
    for (size_t next = 0; next < n_rows && status == TL_OK;) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        const bool first = next == 0;
        size_t n = 0;
        status = gather(s, rows, n_rows, &next, arena, items, &n, err);
        if (status == TL_OK)
            status = predict_batch(s, o, pass, arena, items, n, err);
        if (status == TL_OK && first && !o->json)
            fprintf(out, "id\tmodality\ttokens\tdata\tlogit_diff\tanswer\tprediction\t"
                         "result\n");
        for (size_t k = 0; k < n && status == TL_OK; k++) {
            const tl_modality m = s->dataset->rows[items[k].row].modality;
            count->n[m]++;
            count->right[m] += items[k].prediction == items[k].answer;
            status = print_item(s, o, &items[k], arena, out, err);
        }
        tl_arena_rewind(arena, mark);
    }
    tl_pass_destroy(pass);
    tl_free(items);
    tl_arena_destroy(arena);
    return status;
}

/* The rows that are asked for, in the order of the file. */
static tl_status choose(tl_session *s, const options *o, size_t **rows, size_t *n,
                        tl_error *err)
{
    const size_t n_rows = s->dataset->n_rows;
    const char *const *words = NULL;
    size_t n_words = 0, count = 0;
    bool *named = tl_arena_alloc_zero(s->arena, n_rows, sizeof *named);
    size_t *list = tl_arena_alloc(s->arena, n_rows, sizeof *list);
    if (named == NULL || list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu rows", n_rows);
    tl_status status = TL_OK;
    if (o->ids != NULL)
        status = tl_word_list_split(o->ids, s->arena, &words, &n_words, err);
    for (size_t i = 0; i < n_words && status == TL_OK; i++) {
        size_t row = 0;
        status = tl_session_row(s, words[i], &row, err);
        if (status == TL_OK)
            named[row] = true;
    }
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n_rows; i++)
        if ((o->ids == NULL || named[i]) &&
            (!o->modality_given ||
             s->dataset->rows[i].modality == (tl_modality)o->modality))
            list[count++] = i;
    if (count == 0)
        return tl_fail(err, TL_ERR_DATA, "%s: no %s prompt among the %s",
                       s->dataset->path, tl_modality_name((tl_modality)o->modality),
                       o->ids != NULL ? "named rows" : "rows");
    *rows = list;
    *n = count;
    return TL_OK;
}

/* With the interval that a study prints. */
static void print_share(tl_modality modality, size_t right, size_t n)
{
    double low = 0.0, high = 1.0;
    tl_wilson(right, n, &low, &high);
    fprintf(stderr, "%s: %zu of %zu right (%.1f %%, %.1f to %.1f)\n",
            tl_modality_name(modality), right, n, 100.0 * (double)right / (double)n,
            100.0 * low, 100.0 * high);
}

static const tl_taken settings[] = {
    TL_TAKEN_MODEL, TL_TAKEN_DATASET, {.name = "rope"}, {.name = "acc"}, {0}};
static const tl_option own[] = {
    {.setting = {.name = "modality",
                 .kind = TL_SETTING_CHOICE,
                 .offset = offsetof(options, modality),
                 .choices = tl_modality_choices,
                 .unset = "all",
                 .argument = "text|image",
                 .help = "only these prompts"},
     .given = offsetof(options, modality_given)},
    TL_OPTION_TEXT(options, ids, false, "ids", "A,B",
                   "only the prompts with these ids"),
    TL_OPTION_JSON(options, "one JSON object a line, with token ids"),
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_predict, argc, argv, &o, sizeof o, err);
    tl_session s;
    if (status == TL_OK)
        status = tl_session_open(&o.settings, &s, err);
    if (status != TL_OK)
        return status;
    size_t *rows = NULL, n = 0;
    tally count = {0};
    status = choose(&s, &o, &rows, &n, err);
    if (status == TL_OK)
        status = predict_rows(&s, &o, rows, n, out, &count, err);
    const bool shown = fflush(out) == 0; /* else cli.c tells */
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK && shown; m++)
        if (count.n[m] > 0)
            print_share((tl_modality)m, count.right[m], count.n[m]);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_predict = {
    .name = "predict",
    .summary = "what the model answers to every prompt",
    .settings = settings,
    .options = own,
    .run = run,
};
