/* SPDX-License-Identifier: MIT
 * terms.c - see include/twinlens/terms.h. */
#include <string.h>

#include "twinlens/terms.h"

const char *tl_modality_name(tl_modality modality)
{
    return modality == TL_IMAGE ? "image" : "text";
}

tl_status tl_modality_parse(const char *text, tl_modality *out, tl_error *err)
{
    if (strcmp(text, "text") == 0)
        *out = TL_TEXT;
    else if (strcmp(text, "image") == 0)
        *out = TL_IMAGE;
    else
        return tl_fail(err, TL_ERR_ARGUMENT, "modality '%s', wanted text or image",
                       text);
    return TL_OK;
}

const char *tl_segment_name(tl_segment segment)
{
    static const char *const name[] = {"data", "query", "generation"};
    return name[segment];
}

const char *tl_kind_name(tl_component_kind kind)
{
    static const char *const name[] = {"heads", "neurons"};
    return name[kind];
}
