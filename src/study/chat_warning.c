/* SPDX-License-Identifier: MIT
 * chat_warning.c - see chat_warning.h. */
#include "study/chat_warning.h"

#include <jansson.h>
#include <stdlib.h>

#include "twinlens/log.h"

/* A text on one line, in quotation marks. */
static char *quote(const char *text)
{
    json_t *value = json_string(text);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    json_decref(value);
    return quoted;
}

/* *warned: something was said. */
static tl_status compare(const tl_dataset *dataset, size_t row,
                         const tl_processor *processor, tl_arena *arena, bool *warned,
                         tl_error *err)
{
    const tl_prompt_text prompt = tl_dataset_prompt(dataset, row);
    const char *chat = NULL, *made = NULL, *id = dataset->rows[row].id;
    bool agrees = false;
    tl_error why = {0};
    tl_status status = tl_processor_chat(processor, &prompt, arena, &chat, &why);
    if (status == TL_ERR_NO_MEMORY)
        return tl_fail(err, status, "%s", why.text);
    if (status != TL_OK)
        return TL_OK; /* encoding it tells */
    status = tl_processor_template(processor, &prompt, arena, &made, &agrees, &why);
    if (status == TL_ERR_NO_MEMORY)
        return tl_fail(err, status, "%s", why.text);
    *warned = status != TL_OK || (made != NULL && !agrees);
    if (status != TL_OK) {
        tl_log(
            TL_LOG_WARNING,
            "whether prompts are those of the model's own chat template is not known: "
            "%s",
            why.text);
    } else if (*warned) {
        char *used = quote(chat), *other = quote(made);
        tl_log(
            TL_LOG_WARNING,
            "the model's own chat template makes another prompt of row '%s' (and maybe "
            "of others): used is %.1500s, the template makes %.1500s",
            id, used != NULL ? used : chat, other != NULL ? other : made);
        free(used);
        free(other);
    }
    return TL_OK;
}

tl_status tl_chat_warn(const tl_dataset *dataset, const tl_processor *processor,
                       tl_chat_form form, tl_error *err)
{
    bool seen[TL_MODALITY_COUNT] = {false}, warned = form == TL_CHAT_RAW;
    tl_arena *arena = warned ? NULL : tl_arena_create();
    tl_status status = TL_OK;
    if (arena == NULL && !warned)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a prompt");
    for (size_t i = 0; i < dataset->n_rows && !warned && status == TL_OK; i++) {
        if (seen[dataset->rows[i].modality])
            continue;
        seen[dataset->rows[i].modality] = true;
        status = compare(dataset, i, processor, arena, &warned, err);
    }
    tl_arena_destroy(arena);
    return status;
}
