/* SPDX-License-Identifier: MIT
 *
 * forecast.h - what a model is, and what prompts and a study with it take: components,
 * memory, products, time. Nothing is run but a few products, for their rate; of a folder
 * without weights it says what the configuration tells.
 */
#ifndef TWINLENS_STUDY_FORECAST_H
#define TWINLENS_STUDY_FORECAST_H

#include "study/settings.h"
#include "study/shape.h"

/* The prompts that are planned for. */
typedef struct tl_forecast_prompts {
    size_t n_pos, batch; /* tokens of one, its image not counted; in a pass */
    size_t image_width, image_height; /* of the image in each; 0: none */
} tl_forecast_prompts;

/* One property: a number, or words. docs/formats.md says what each key means. */
typedef struct tl_fact {
    const char *key;
    size_t value;
    char text[96]; /* "": `value` */
} tl_fact;

enum { TL_MOST_FACTS = 48 };

typedef struct tl_forecast {
    tl_dims dims;
    tl_fact facts[TL_MOST_FACTS];
    size_t n_facts;
    tl_stage_cost costs[TL_STUDY_COSTS]; /* of a study, stage by stage */
    size_t n_costs;
} tl_forecast;

/*
 * The settings say with which backend, threads and precision, and which study. Errors: those of opening the
 * model; TL_ERR_FORMAT (a processor that does not take such an image); TL_ERR_NO_MEMORY.
 */
tl_status tl_forecast_make(const char *folder, const tl_settings *settings,
                           const tl_forecast_prompts *prompts, tl_arena *arena,
                           tl_forecast *out, tl_error *err);

/* The value for people: bytes, products and times in units that are read at a glance. */
void tl_fact_say(const tl_fact *fact, char text[96]);

#endif
