/* SPDX-License-Identifier: MIT
 *
 * published_task.h - what was published of each task beside its prompts: the answers
 * to choose from, the size of the pictures, how many prompts were drawn.
 */
#ifndef TWINLENS_TASK_PUBLISHED_TASK_H
#define TWINLENS_TASK_PUBLISHED_TASK_H

#include <stddef.h>

#include "twinlens/scene.h"

/* Prompts were published for one model of each. */
typedef enum tl_published_family {
    TL_PUBLISHED_QWEN2_VL,
    TL_PUBLISHED_LLAVA, /* Pixtral */
    TL_PUBLISHED_GEMMA3,
    TL_PUBLISHED_FAMILIES,
} tl_published_family;

typedef struct tl_published_task {
    const char *name;
    const char *const *labels;  /* ends with NULL; NULL: those of the question */
    const char *const *answers; /* of the labels those that occur; NULL: all */
    int width, height;          /* of the pictures */
    size_t n_prompts;           /* drawn of each modality */
} tl_published_task;

tl_published_task tl_published_task_of(tl_published_family family, tl_task task);

#endif
