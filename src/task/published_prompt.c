/* SPDX-License-Identifier: MIT
 *
 * published_prompt.c - see published_prompt.h.
 *
 * A chat string is `before` [`picture`] WORDS `after`, and WORDS are
 *
 *     text    lead open CONTENT tail stop ask ASKED end
 *     image                               ask ASKED end
 */
#include "task/published_prompt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "input/chat.h"

typedef struct family {
    const char *name; /* of its chat format, with `tower` */
    const char *tower;
    const char *picture;             /* what stands for it in the tables */
    bool lead_is_data, tail_is_data; /* part of the published data segment */
} family;

static const family families[TL_PUBLISHED_FAMILIES] = {
    [TL_PUBLISHED_QWEN2_VL] = {.name = "qwen2_vl",
                               .picture = "<|vision_start|><|image_pad|><|vision_end|>",
                               .tail_is_data = true},
    [TL_PUBLISHED_LLAVA] = {.name = "llava",
                            .tower = "pixtral",
                            .picture = "[IMG]",
                            .lead_is_data = true},
    [TL_PUBLISHED_GEMMA3] = {.name = "gemma3",
                             .picture = "<start_of_image>",
                             .lead_is_data = true,
                             .tail_is_data = true},
};

static const tl_chat_format *chat_of(const family *f)
{
    return tl_chat_find(f->name, f->tower);
}

typedef struct wording {
    const char *lead, *open, *tail, *stop, *ask; /* "" where there is none */
    const char *end[TL_MODALITY_COUNT];
    const char *const *asked; /* what ASKED can be; NULL: any word */
} wording;

static const char *const nothing[] = {"", NULL};
static const char *const places[] = {"first object from the left",
                                     "second object from the left",
                                     "third object from the left",
                                     "fourth object from the left",
                                     "first object from the right",
                                     "second object from the right",
                                     "third object from the right",
                                     "fourth object from the right",
                                     NULL};
static const char *const questions[] = {"What sport does this athlete play?",
                                        "Which country is this landmark in?",
                                        "What instrument does this person play?", NULL};

#define NUMBER " Answer in a single number."
#define WORD " Answer in a single word."

static const wording wordings[TL_TASKS] = {
    [TL_TASK_COUNTING] =
        {
            .lead = "Sequence:",
            .open = " ",
            .tail = "",
            .stop = ". ",
            .ask = "How many \"",
            .end = {"\" are in the sequence?" NUMBER " ",
                    "\" are in the image?" NUMBER " "},
        },
    [TL_TASK_ARITHMETIC] =
        {
            .lead = "Question: ",
            .open = "",
            .tail = "",
            .stop = ". ",
            .ask = "What is the result of the given arithmetic calculation?",
            .end = {NUMBER, NUMBER},
            .asked = nothing,
        },
    [TL_TASK_COLOR_ORDERING] =
        {
            .lead = "",
            .open = "In a scene with four objects arranged horizontally, there is a ",
            .tail = "",
            .stop = ". ",
            .ask = "What is the color of the ",
            .end = {"?" WORD, "?" WORD},
            .asked = places,
        },
    [TL_TASK_FACTUAL_RECALL] =
        {
            .lead = "",
            .open = "Consider ",
            .tail = "",
            .stop = ".\n",
            .ask = "",
            .end = {WORD, WORD},
            .asked = questions,
        },
    [TL_TASK_SENTIMENT] =
        {
            .lead = "",
            .open = "\"\"\"",
            .tail = " ...",
            .stop = "\"\"\"",
            .ask = "\nIs this scene happy, sad, or neutral?",
            .end = {WORD, WORD},
            .asked = nothing,
        },
};

const char *tl_published_family_name(tl_published_family f)
{
    return families[f].name;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static char *copy(tl_arena *arena, const char *begin, const char *end)
{
    const size_t n = (size_t)(end - begin);
    char *made = tl_arena_alloc(arena, n + 1, 1);
    if (made != NULL) {
        memcpy(made, begin, n);
        made[n] = '\0';
    }
    return made;
}

/* ---- the chat around the words --------------------------------------------------- */

static bool unwrap(const family *f, tl_modality modality, const char *chat,
                   const char **begin, const char **end)
{
    const tl_chat_format *format = chat_of(f);
    if (!begins(chat, format->before))
        return false;
    const char *words = chat + strlen(format->before);
    const bool has_picture = begins(words, f->picture);
    if (has_picture != (modality == TL_IMAGE))
        return false;
    words += has_picture ? strlen(f->picture) : 0;
    const size_t n = strlen(words), after = strlen(format->after);
    if (n < after || strcmp(words + n - after, format->after) != 0)
        return false;
    *begin = words;
    *end = words + n - after;
    return true;
}

/* The first 60 bytes, on one line. */
static void shorten(const char *text, char out[64])
{
    snprintf(out, 64, "%.60s", text);
    for (char *c = out; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
}

static tl_status fail_chat(const family *wanted, tl_modality modality, const char *chat,
                           tl_error *err)
{
    const char *begin, *end;
    const tl_modality other = modality == TL_IMAGE ? TL_TEXT : TL_IMAGE;
    if (unwrap(wanted, other, chat, &begin, &end))
        return tl_fail(err, TL_ERR_DATA, "the prompt has %s picture, wanted %s",
                       modality == TL_IMAGE ? "no" : "a",
                       modality == TL_IMAGE ? "one in front of the words"
                                            : "words only");
    for (size_t i = 0; i < TL_PUBLISHED_FAMILIES; i++)
        if (unwrap(&families[i], modality, chat, &begin, &end) ||
            unwrap(&families[i], other, chat, &begin, &end))
            return tl_fail(err, TL_ERR_DATA,
                           "the prompt is in the chat format of %s, wanted that of %s",
                           families[i].name, wanted->name);
    char start[64];
    shorten(chat, start);
    return tl_fail(err, TL_ERR_DATA,
                   "the prompt is in no known chat format, wanted that of %s: '%s'",
                   wanted->name, start);
}

/* ---- the words ------------------------------------------------------------------- */

static bool can_be_asked(const wording *w, const char *asked, size_t n)
{
    if (w->asked == NULL)
        return n > 0 && strcspn(asked, " \"?\n") >= n;
    for (size_t i = 0; w->asked[i] != NULL; i++)
        if (strlen(w->asked[i]) == n && strncmp(asked, w->asked[i], n) == 0)
            return true;
    return false;
}

typedef struct cuts {
    const char *query, *asked, *end; /* places in the words */
} cuts;

/* What stands in front of ASKED, piece by piece. */
static bool cut_text(const family *f, const wording *w, const char *words, cuts *out)
{
    if (!begins(words, w->lead) || !begins(words + strlen(w->lead), w->open))
        return false;
    const char *content = words + strlen(w->lead) + strlen(w->open);
    for (const char *at = content + 1; at <= out->end; at++) {
        const char *stop = at + strlen(w->tail), *ask = stop + strlen(w->stop);
        if (!begins(at, w->tail) || !begins(stop, w->stop) || !begins(ask, w->ask))
            continue;
        out->query = f->tail_is_data ? stop : at;
        out->asked = ask + strlen(w->ask);
        return out->asked <= out->end;
    }
    return false;
}

static bool cut_image(const family *f, const wording *w, const char *words, cuts *out)
{
    const char *ask = w->ask + (chat_of(f)->trims ? strspn(w->ask, "\n") : 0);
    out->query = words;
    out->asked = words + strlen(ask);
    return begins(words, ask) && out->asked <= out->end;
}

static bool find_cuts(const family *f, const wording *w, tl_modality modality,
                      const char *words, cuts *out)
{
    const char *last = w->end[modality];
    size_t n_last = strlen(last);
    const size_t n = strlen(words);
    while (chat_of(f)->trims && last[n_last - 1] == ' ')
        n_last--;
    if (n < n_last || strncmp(words + n - n_last, last, n_last) != 0)
        return false;
    out->end = words + n - n_last;
    return (modality == TL_TEXT ? cut_text : cut_image)(f, w, words, out) &&
           can_be_asked(w, out->asked, (size_t)(out->end - out->asked));
}

static tl_status fail_words(const family *f, tl_task wanted, tl_modality modality,
                            const char *words, tl_error *err)
{
    static const char *const kinds[TL_MODALITY_COUNT] = {"a text", "an image"};
    cuts at;
    char start[64];
    for (tl_task task = 0; task < TL_TASKS; task++)
        if (find_cuts(f, &wordings[task], modality, words, &at))
            return tl_fail(err, TL_ERR_DATA, "the prompt is one of %s, wanted %s",
                           tl_published_task_of(TL_PUBLISHED_QWEN2_VL, task).name,
                           tl_published_task_of(TL_PUBLISHED_QWEN2_VL, wanted).name);
    shorten(words, start);
    return tl_fail(err, TL_ERR_DATA,
                   "the prompt is not worded as %s prompt of %s is: '%s'",
                   kinds[modality],
                   tl_published_task_of(TL_PUBLISHED_QWEN2_VL, wanted).name, start);
}

static tl_status cut(const family *f, tl_task task, tl_modality modality,
                     const char *words, tl_arena *arena, tl_published_prompt *out,
                     tl_error *err)
{
    const wording *w = &wordings[task];
    const bool is_text = modality == TL_TEXT;
    cuts at;
    if (!find_cuts(f, w, modality, words, &at))
        return fail_words(f, task, modality, words, err);
    tl_published_prompt p = {.before = is_text && !f->lead_is_data ? w->lead : "",
                             .query = at.query};
    p.asked = copy(arena, at.asked, at.end);
    if (is_text)
        p.data = copy(arena, words + strlen(p.before), at.query);
    if (p.asked == NULL || (is_text && p.data == NULL))
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
    *out = p;
    return TL_OK;
}

tl_status tl_published_prompt_parse(tl_published_family family_index, tl_task task,
                                    tl_modality modality, const char *chat,
                                    tl_arena *arena, tl_published_prompt *out,
                                    tl_error *err)
{
    const family *f = &families[family_index];
    const char *begin, *end;
    if (!unwrap(f, modality, chat, &begin, &end))
        return fail_chat(f, modality, chat, err);
    const char *words = copy(arena, begin, end);
    return words != NULL ? cut(f, task, modality, words, arena, out, err)
                         : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
}

tl_status tl_published_prompt_make(tl_published_family family_index, tl_task task,
                                   const char *content, const char *asked,
                                   tl_arena *arena, tl_published_prompt *out,
                                   tl_error *err)
{
    const family *f = &families[family_index];
    const wording *w = &wordings[task];
    const char *const parts[] = {w->lead, w->open, content, w->tail,
                                 w->stop, w->ask,  asked,   w->end[TL_TEXT]};
    size_t bytes = 1, n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        bytes += strlen(parts[i]);
    char *words = tl_arena_alloc(arena, bytes, 1);
    if (words == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        n += (size_t)snprintf(words + n, bytes - n, "%s", parts[i]);
    while (chat_of(f)->trims && n > 0 && words[n - 1] == ' ')
        words[--n] = '\0';
    return cut(f, task, TL_TEXT, words, arena, out, err);
}
