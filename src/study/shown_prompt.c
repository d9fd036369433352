/* SPDX-License-Identifier: MIT
 * shown_prompt.c - see shown_prompt.h. */
#include "study/shown_prompt.h"

#include <jansson.h>

#include "twinlens/overlap.h"

/* All that is shown; texts in an arena. */
typedef struct shown {
    const tl_dataset_row *row;
    tl_encoding encoding;
    int32_t answer;
    const char *chat;
    const char *const *tokens; /* [n_pos] */
} shown;

static tl_status look_at(const tl_session *s, size_t row, tl_arena *arena, shown *out,
                         tl_error *err)
{
    const tl_prompt_text words = tl_dataset_prompt(s->dataset, row);
    shown x = {.row = &s->dataset->rows[row]};
    tl_status status =
        tl_dataset_encode(s->dataset, row, s->processor, arena, &x.encoding, err);
    if (status == TL_OK)
        status = tl_dataset_answer_id(s->dataset, row, s->processor, &x.answer, err);
    if (status == TL_OK)
        status = tl_processor_chat(s->processor, &words, arena, &x.chat, err);
    if (status != TL_OK)
        return status;
    const char **tokens = tl_arena_alloc(arena, x.encoding.n_pos, sizeof *tokens);
    for (size_t t = 0; tokens != NULL && t < x.encoding.n_pos; t++) {
        tokens[t] = tl_tokenizer_text(tl_processor_tokenizer(s->processor),
                                      x.encoding.ids[t], arena);
        if (tokens[t] == NULL)
            tokens = NULL;
    }
    if (tokens == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tokens",
                       x.encoding.n_pos);
    x.tokens = tokens;
    *out = x;
    return TL_OK;
}

/* NULL: before the data. */
static const char *segment_of(const tl_encoding *e, size_t pos)
{
    const tl_span span = {e->n_pos, e->data_begin, e->data_end};
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        size_t begin, end;
        tl_span_segment(&span, (tl_segment)s, &begin, &end);
        if (pos >= begin && pos < end)
            return tl_segment_name((tl_segment)s);
    }
    return NULL;
}

static json_t *shown_json(const shown *x)
{
    const tl_encoding *e = &x->encoding;
    json_t *tokens = json_array();
    for (size_t t = 0; t < e->n_pos; t++)
        json_array_append_new(tokens,
                              json_pack("{s:I, s:i, s:s, s:s?}", "position",
                                        (json_int_t)t, "id", (int)e->ids[t], "token",
                                        x->tokens[t], "segment", segment_of(e, t)));
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s?, s:I, s:[I, I], s:o}", "id",
                     x->row->id, "modality", tl_modality_name(x->row->modality),
                     "answer", x->row->answer, "answer_id", (int)x->answer, "chat",
                     x->chat, "image", x->row->image_path, "n_tokens",
                     (json_int_t)e->n_pos, "data", (json_int_t)e->data_begin,
                     (json_int_t)e->data_end, "tokens", tokens);
}

/* In quotes, as in JSON: blanks and line ends can be seen. */
static void print_quoted(const char *text, FILE *out)
{
    json_t *string = json_string(text);
    json_dumpf(string, out, JSON_ENCODE_ANY);
    json_decref(string);
}

static void print_shown(const shown *x, FILE *out)
{
    const tl_encoding *e = &x->encoding;
    fprintf(out, "prompt    %s, %s, %zu tokens, data %zu-%zu\nanswer    ", x->row->id,
            tl_modality_name(x->row->modality), e->n_pos, e->data_begin, e->data_end);
    print_quoted(x->row->answer, out);
    fprintf(out, ", token %d\nchat      ", (int)x->answer);
    print_quoted(x->chat, out);
    if (x->row->image_path != NULL)
        fprintf(out, "\npicture   %s", x->row->image_path);
    fputs("\n\nposition\tid\ttoken\tsegment\n", out);
    for (size_t t = 0; t < e->n_pos; t++) {
        const char *segment = segment_of(e, t);
        fprintf(out, "%zu\t%d\t", t, (int)e->ids[t]);
        print_quoted(x->tokens[t], out);
        fprintf(out, "\t%s\n", segment != NULL ? segment : "-");
    }
}

tl_status tl_prompt_show(const tl_session *s, size_t row, bool json, FILE *out,
                         tl_error *err)
{
    shown x = {0};
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL
                           ? look_at(s, row, arena, &x, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
    if (status == TL_OK && json) {
        json_t *root = shown_json(&x);
        if (root == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
        else
            json_dumpf(root, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(root);
    } else if (status == TL_OK) {
        print_shown(&x, out);
    }
    tl_arena_destroy(arena);
    return status;
}
