/* SPDX-License-Identifier: MIT
 * progress.c - see progress.h. */
#include "study/progress.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static double system_clock(void *user)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void tl_progress_init(tl_progress *progress, tl_progress_fn *report, void *user,
                      double (*clock)(void *user), void *clock_user)
{
    *progress = (tl_progress){.report = report,
                              .user = user,
                              .clock = clock != NULL ? clock : system_clock,
                              .clock_user = clock_user};
}

size_t tl_progress_add(tl_progress *progress, const char *name, size_t n_units,
                       double cost)
{
    assert(progress->n_stages < TL_PROGRESS_STAGES);
    tl_progress_stage *stage = &progress->stages[progress->n_stages];
    *stage = (tl_progress_stage){.n_units = n_units, .cost = cost};
    snprintf(stage->name, sizeof stage->name, "%s", name);
    return progress->n_stages++;
}

void tl_progress_resize(tl_progress *progress, size_t stage, size_t n_units)
{
    progress->stages[stage].n_units = n_units;
}

/* ---- the time left ----------------------------------------------------------- */

double tl_progress_left(const tl_progress *progress)
{
    double seconds = 0.0, cost = 0.0, left = 0.0;
    for (size_t i = 0; i < progress->n_stages; i++) {
        const tl_progress_stage *s = &progress->stages[i];
        if (s->cost > 0.0)
            seconds += s->seconds;
        cost += s->cost * (double)s->n_measured;
    }
    for (size_t i = 0; i < progress->n_stages; i++) {
        const tl_progress_stage *s = &progress->stages[i];
        const double units = (double)(s->n_units - s->n_done);
        if (s->n_done >= s->n_units)
            continue;
        if (s->n_measured > 0)
            left += units * s->seconds / (double)s->n_measured;
        else if (cost > 0.0)
            left += units * s->cost * seconds / cost;
        else
            return NAN;
    }
    return left;
}

/* ---- stages ------------------------------------------------------------------ */

static void report(const tl_progress *progress, tl_progress_event event,
                   const tl_progress_stage *s)
{
    const tl_progress_report r = {
        event, s->name, s->n_done, s->n_units,
        event == TL_PROGRESS_END ? s->seconds : tl_progress_left(progress)};
    if (progress->report != NULL)
        progress->report(progress->user, &r);
}

void tl_progress_begin(tl_progress *progress, size_t stage, size_t n_done)
{
    tl_progress_stage *s = &progress->stages[stage];
    progress->begun = progress->clock(progress->clock_user);
    progress->n_before = n_done;
    s->n_done = n_done;
    report(progress, TL_PROGRESS_BEGIN, s);
}

void tl_progress_step(tl_progress *progress, size_t stage, size_t n_done)
{
    tl_progress_stage *s = &progress->stages[stage];
    s->n_done = n_done;
    s->n_measured = n_done - progress->n_before;
    s->seconds = progress->clock(progress->clock_user) - progress->begun;
    report(progress, TL_PROGRESS_STEP, s);
}

void tl_progress_end(tl_progress *progress, size_t stage)
{
    tl_progress_stage *s = &progress->stages[stage];
    s->n_units = s->n_done;
    s->seconds = progress->clock(progress->clock_user) - progress->begun;
    report(progress, TL_PROGRESS_END, s);
}
