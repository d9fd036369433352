/* SPDX-License-Identifier: MIT
 * published_task.c - see published_task.h. */
#include "task/published_task.h"

static const char *const digits[] = {"0", "1", "2", "3", "4", "5",
                                     "6", "7", "8", "9", NULL};
static const char *const counts[] = {"1", "2", "3", "4", "5", "6", "7", NULL};
static const char *const colors[] = {"purple", "gray",  "cyan", "blue", "brown",
                                     "yellow", "green", "red",  NULL};
static const char *const moods[] = {"happy", "sad", "neutral", NULL};

/* First tokens, and the colours that are one token, in Pixtral's vocabulary. */
static const char *const llava_colors[] = {"gray",  "blue", "yellow",
                                           "green", "red",  NULL};
static const char *const llava_moods[] = {"h", "s", "neutral", NULL};

static const tl_published_task tasks[TL_TASKS] = {
    [TL_TASK_COUNTING] = {"counting", digits, counts, 252, 252, 250},
    [TL_TASK_ARITHMETIC] = {"arithmetic", digits, NULL, 338, 75, 250},
    [TL_TASK_COLOR_ORDERING] = {"color_ordering", colors, NULL, 252, 252, 250},
    [TL_TASK_FACTUAL_RECALL] = {"factual_recall", NULL, NULL, 252, 252, 250},
    [TL_TASK_SENTIMENT] = {"sentiment", moods, NULL, 252, 252, 220},
};

tl_published_task tl_published_task_of(tl_published_family family, tl_task task)
{
    tl_published_task t = tasks[task];
    if (task == TL_TASK_SENTIMENT && family == TL_PUBLISHED_GEMMA3)
        t.n_prompts = 215;
    if (family != TL_PUBLISHED_LLAVA)
        return t;
    if (task == TL_TASK_COUNTING)
        t.n_prompts = 215;
    else if (task == TL_TASK_ARITHMETIC)
        t.n_prompts = 210;
    else if (task == TL_TASK_SENTIMENT)
        t.n_prompts = 170;
    if (task == TL_TASK_COLOR_ORDERING)
        t.labels = llava_colors;
    else if (task == TL_TASK_SENTIMENT)
        t.labels = llava_moods;
    return t;
}
