/* SPDX-License-Identifier: MIT
 *
 * progress.h - how far a long run is, and how long the rest of it takes.
 *
 *     tl_progress progress;
 *     tl_progress_init(&progress, tell, user, NULL, NULL);
 *     const size_t predict = tl_progress_add(&progress, "predict text", 160, 1.0);
 *     const size_t attribute = tl_progress_add(&progress, "attribute text", 90, 16.0);
 *     tl_progress_begin(&progress, predict, 0);
 *     for (size_t i = 1; i <= 160; i++)
 *         tl_progress_step(&progress, predict, i);
 *     tl_progress_end(&progress, predict);
 *
 * Stages are announced before the first begins, with a guess of what a unit of each
 * costs beside a unit of the others. The time left is that of the stage, from its
 * own speed, and that of the stages to come, from the guesses and the speed so far.
 */
#ifndef TWINLENS_STUDY_PROGRESS_H
#define TWINLENS_STUDY_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "twinlens/study.h"

enum { TL_PROGRESS_STAGES = 32 };

typedef struct tl_progress_stage {
    char name[48];
    size_t n_units, n_done;
    double cost;       /* of a unit */
    double seconds;    /* that it has taken in this run */
    size_t n_measured; /* units done in them */
} tl_progress_stage;

typedef struct tl_progress {
    tl_progress_fn *report; /* NULL: nobody is told */
    void *user;
    double (*clock)(void *user); /* seconds; tests have their own */
    void *clock_user;
    tl_progress_stage stages[TL_PROGRESS_STAGES];
    size_t n_stages;
    double begun;    /* when the stage began */
    size_t n_before; /* units of the stage done by an earlier run */
} tl_progress;

/* `clock` NULL: the system's. */
void tl_progress_init(tl_progress *progress, tl_progress_fn *report, void *user,
                      double (*clock)(void *user), void *clock_user);

/* Announces a stage; returns its number. At most TL_PROGRESS_STAGES. A cost of 0: the
 * stage tells nothing about the others. */
size_t tl_progress_add(tl_progress *progress, const char *name, size_t n_units,
                       double cost);
/* Corrects the guess of how much a stage has to do. */
void tl_progress_resize(tl_progress *progress, size_t stage, size_t n_units);

/* n_done units were done by an earlier run; they say nothing about speed. */
void tl_progress_begin(tl_progress *progress, size_t stage, size_t n_done);
void tl_progress_step(tl_progress *progress, size_t stage, size_t n_done);
void tl_progress_end(tl_progress *progress, size_t stage);

/* Seconds that are left of the announced stages; NaN when nothing is known yet. */
double tl_progress_left(const tl_progress *progress);

#endif
