/* SPDX-License-Identifier: MIT
 * left_out.c - see left_out.h. */
#include "store/left_out.h"

#include <string.h>

static bool begins(const char *reason, const char *with)
{
    return strncmp(reason, with, strlen(with)) == 0;
}

bool tl_left_out_is_all(const tl_study_left_out *row)
{
    return strcmp(row->use, "circuits") == 0 &&
           (begins(row->reason, TL_SEVERAL_LENGTHS) ||
            begins(row->reason, TL_SEVERAL_PLACES) ||
            strstr(row->reason, TL_TOO_FEW) != NULL);
}

const char *tl_left_out_remedy(tl_modality modality, const char *reason)
{
    if (begins(reason, TL_SEVERAL_LENGTHS) && modality == TL_IMAGE)
        return "--length commonest, or 'image_size' in task.json, which gives all "
               "images "
               "one shape";
    if (begins(reason, TL_SEVERAL_LENGTHS) || begins(reason, TL_SEVERAL_PLACES))
        return "--length commonest, or prompts that differ in nothing but their words";
    if (strstr(reason, TL_TOO_FEW " --prompts") != NULL)
        return "fewer --prompts, or more rows";
    if (strstr(reason, "all with the answer") != NULL)
        return "rows with other answers, more rows, or another model";
    if (strstr(reason, " kept") != NULL)
        return "more rows, or rows with other answers";
    return "more rows, a model that gets more of them right, other words or pictures, "
           "or "
           "--keep all, which studies wrong answers too";
}
