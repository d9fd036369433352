/* SPDX-License-Identifier: MIT
 *
 * cmd_predict.c - `twinlens predict`: what the model answers to every prompt. Rows of
 * any length, with or without a counterfactual.
 */
#include <jansson.h>

#include "base/word_list.h"
#include "cli/command.h"
#include "cli/shared_options.h"
#include "result/json_result.h"
#include "study/predictions.h"
#include "study/shown_prompt.h"
#include "twinlens/statistics.h"

typedef struct options {
    tl_settings settings;
    const char *ids, *show;
    int modality;
    bool modality_given, json;
} options;

/* What is printed, prediction by prediction. */
typedef struct printer {
    const tl_session *session;
    const options *options;
    FILE *out;
    tl_arena *arena; /* for one text */
    size_t n[TL_MODALITY_COUNT], right[TL_MODALITY_COUNT];
} printer;

static tl_status print_json(const tl_session *s, const tl_prediction *it,
                            const char *prediction, FILE *out, tl_error *err)
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

static void print_row(const tl_dataset_row *row, const tl_prediction *it,
                      const char *prediction, FILE *out)
{
    print_cell(row->id, out);
    fprintf(out, "\t%s\t%zu\t%zu-%zu\t", tl_modality_name(row->modality),
            it->encoding.n_pos, it->encoding.data_begin, it->encoding.data_end);
    if (it->has_counterfactual)
        fprintf(out, "%.6f", it->logit_diff);
    fputc('\t', out);
    print_cell(row->answer, out);
    fputc('\t', out);
    print_cell(prediction, out);
    fprintf(out, "\t%s\n", it->prediction == it->answer ? "right" : "wrong");
}

static tl_status print(void *user, const tl_prediction *it, tl_error *err)
{
    printer *p = user;
    const tl_dataset_row *row = &p->session->dataset->rows[it->row];
    const tl_tokenizer *tokenizer = tl_processor_tokenizer(p->session->processor);
    const bool first = p->n[TL_TEXT] + p->n[TL_IMAGE] == 0;
    const tl_arena_mark mark = tl_arena_get_mark(p->arena);
    const char *text = tl_tokenizer_text(tokenizer, it->prediction, p->arena);
    tl_status status =
        text != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a token");
    if (status == TL_OK && p->options->json) {
        status = print_json(p->session, it, text, p->out, err);
    } else if (status == TL_OK) {
        if (first)
            fprintf(p->out, "id\tmodality\ttokens\tdata\tlogit_diff\tanswer\t"
                            "prediction\tresult\n");
        print_row(row, it, text, p->out);
    }
    tl_arena_rewind(p->arena, mark);
    p->n[row->modality]++;
    p->right[row->modality] += it->prediction == it->answer;
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

/* With the interval that a study prints: a table behind that of the rows. JSON is a line for
 * each prompt and nothing else. */
static void print_shares(const printer *p)
{
    fputs("\nmodality\tright\tprompts\taccuracy\tlow\thigh\n", p->out);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const size_t right = p->right[m], n = p->n[m];
        const tl_interval share = tl_interval_share(right, n);
        if (n == 0)
            continue;
        fprintf(p->out, "%s\t%zu\t%zu\t", tl_modality_name((tl_modality)m), right, n);
        tl_print_interval(p->out, &share);
        fputc('\n', p->out);
    }
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
    TL_OPTION_TEXT(options, show, false, "show", "ID",
                   "no predictions: the chat and the tokens of this prompt"),
    TL_OPTION_JSON(options, "one JSON object a line, with token ids"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {
    {.name = "ids", .beside = "show"},       {.name = "modality", .beside = "show"},
    {.name = "acc", .beside = "show"},       {.name = "rope", .beside = "show"},
    {.name = "precision", .beside = "show"}, {0}};

static tl_status show(const tl_session *s, const options *o, FILE *out, tl_error *err)
{
    size_t row = 0;
    const tl_status status = tl_session_row(s, o->show, &row, err);
    return status == TL_OK ? tl_prompt_show(s, row, o->json, out, err) : status;
}

static tl_status predict(tl_session *s, const options *o, FILE *out, tl_error *err)
{
    size_t *rows = NULL, n = 0;
    printer p = {.session = s, .options = o, .out = out, .arena = s->arena};
    tl_status status = choose(s, o, &rows, &n, err);
    if (status == TL_OK)
        status = tl_predict_rows(s, rows, n, print, &p, err);
    if (status == TL_OK && !o->json)
        print_shares(&p);
    return status;
}

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
    status = o.show != NULL ? show(&s, &o, out, err) : predict(&s, &o, out, err);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_predict = {
    .name = "predict",
    .summary = "what the model answers to every prompt",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
