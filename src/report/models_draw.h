/* SPDX-License-Identifier: MIT
 *
 * models_draw.h - the panels of figures over models and tasks: of figure 4 one for each study,
 * models in rows and tasks in columns; of figures 5 to 9 one for each model.
 */
#ifndef TWINLENS_REPORT_MODELS_DRAW_H
#define TWINLENS_REPORT_MODELS_DRAW_H

#include <stdio.h>

#include "finding/models.h"

/* Whether the list is drawn: a figure, and some study has a number of it. */
bool tl_models_is_drawn(const tl_models *models, size_t list);

/* Whether most models have most tasks, so that what is not there is drawn as a hole. */
bool tl_models_is_dense(const tl_models *models);

/* Whether it has a panel for each row of a model. */
bool tl_models_by_row(size_t list);

/* `name` makes its ids unique. `row` is that of a figure with panels by row. *n_open counts what
 * lies beyond the axes (plot.h); it may be NULL. */
void tl_models_draw(const tl_models *models, size_t list, size_t model, size_t row,
                    const char *name, size_t *n_open, FILE *out);

#endif
