/* SPDX-License-Identifier: MIT
 * progress.c - see progress.h. */
#include "cli/progress.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* Seconds between two lines, on a terminal and elsewhere. */
static const double redraw_every = 0.1, print_every = 10.0;

static double system_clock(void *user)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void tl_progress_init(tl_progress *progress, FILE *out, bool terminal,
                      double (*clock)(void *user), void *user)
{
    *progress = (tl_progress){.out = out,
                              .terminal = terminal,
                              .clock = clock != NULL ? clock : system_clock,
                              .user = user};
}

size_t tl_progress_add(tl_progress *progress, const char *name, size_t n_units,
                       double cost)
{
    assert(progress->n_stages < TL_PROGRESS_STAGES);
    tl_progress_stage *stage = &progress->stages[progress->n_stages];
    *stage = (tl_progress_stage){.n_units = n_units, .cost = cost};
    snprintf(stage->name, sizeof stage->name, "%s", name);
    progress->current = ++progress->n_stages;
    return progress->n_stages - 1;
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

/* "2.5 s", "40 s", "12 min", "3 h 05 min" */
static void write_duration(double seconds, char *text, size_t bytes)
{
    const double minutes = ceil(seconds / 60.0);
    if (seconds < 9.95)
        snprintf(text, bytes, "%.1f s", seconds);
    else if (seconds < 59.5)
        snprintf(text, bytes, "%.0f s", ceil(seconds));
    else if (minutes < 60.0)
        snprintf(text, bytes, "%.0f min", minutes);
    else
        snprintf(text, bytes, "%.0f h %02.0f min", floor(minutes / 60.0),
                 fmod(minutes, 60.0));
}

/* ---- the line ---------------------------------------------------------------- */

static void show(tl_progress *progress, const tl_progress_stage *s, bool ended)
{
    char text[160], duration[32], left[48] = "";
    const double seconds = ended ? s->seconds : tl_progress_left(progress);
    if (!isnan(seconds)) {
        write_duration(seconds, duration, sizeof duration);
        snprintf(left, sizeof left, ended ? ", took %s" : ", about %s left", duration);
    }
    const double percent =
        s->n_units > 0 ? 100.0 * (double)s->n_done / (double)s->n_units : 100.0;
    const int width = snprintf(text, sizeof text, "%s  %zu/%zu  %.0f %%%s", s->name,
                               s->n_done, s->n_units, floor(percent), left);
    if (progress->terminal) /* blanks over what a longer line has left */
        fprintf(progress->out, "\r%-*s%s", progress->width, text, ended ? "\n" : "");
    else
        fprintf(progress->out, "%s\n", text);
    fflush(progress->out);
    progress->width = ended ? 0 : width;
    progress->shown = progress->clock(progress->user);
}

void tl_progress_clear(tl_progress *progress)
{
    if (progress->out != NULL && progress->terminal && progress->width > 0) {
        fprintf(progress->out, "\r%*s\r", progress->width, "");
        fflush(progress->out);
    }
    progress->width = 0;
}

/* ---- stages ------------------------------------------------------------------ */

void tl_progress_begin(tl_progress *progress, size_t stage, size_t n_done)
{
    tl_progress_stage *s = &progress->stages[stage];
    progress->current = stage;
    progress->begun = progress->clock(progress->user);
    progress->n_before = n_done;
    s->n_done = n_done;
    if (progress->out == NULL)
        return;
    if (progress->terminal)
        show(progress, s, false);
    else
        progress->shown = progress->begun;
}

void tl_progress_step(tl_progress *progress, size_t stage, size_t n_done)
{
    tl_progress_stage *s = &progress->stages[stage];
    const double now = progress->clock(progress->user);
    s->n_done = n_done;
    s->n_measured = n_done - progress->n_before;
    s->seconds = now - progress->begun;
    if (progress->out != NULL && n_done < s->n_units &&
        now - progress->shown >= (progress->terminal ? redraw_every : print_every))
        show(progress, s, false);
}

void tl_progress_end(tl_progress *progress, size_t stage)
{
    tl_progress_stage *s = &progress->stages[stage];
    s->n_units = s->n_done;
    s->seconds = progress->clock(progress->user) - progress->begun;
    if (progress->out != NULL)
        show(progress, s, true);
    progress->current = progress->n_stages;
}
