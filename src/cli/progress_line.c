/* SPDX-License-Identifier: MIT
 * progress_line.c - see progress_line.h. */
#include "cli/progress_line.h"

#include <math.h>
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

void tl_progress_line_init(tl_progress_line *line, FILE *out, bool terminal,
                           double (*clock)(void *user), void *clock_user)
{
    *line = (tl_progress_line){.out = out,
                               .terminal = terminal,
                               .clock = clock != NULL ? clock : system_clock,
                               .clock_user = clock_user};
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

static void show(tl_progress_line *line, const tl_progress_report *r)
{
    const bool ended = r->event == TL_PROGRESS_END;
    char text[160], duration[32], left[48] = "";
    if (!isnan(r->seconds)) {
        write_duration(r->seconds, duration, sizeof duration);
        snprintf(left, sizeof left, ended ? ", took %s" : ", about %s left", duration);
    }
    const double percent =
        r->n_units > 0 ? 100.0 * (double)r->n_done / (double)r->n_units : 100.0;
    const int width = snprintf(text, sizeof text, "%s  %zu/%zu  %.0f %%%s", r->stage,
                               r->n_done, r->n_units, floor(percent), left);
    if (line->terminal) /* blanks over what a longer line has left */
        fprintf(line->out, "\r%-*s%s", line->width, text, ended ? "\n" : "");
    else
        fprintf(line->out, "%s\n", text);
    fflush(line->out);
    line->width = ended ? 0 : width;
    line->shown = line->clock(line->clock_user);
}

void tl_progress_line_report(void *user, const tl_progress_report *r)
{
    tl_progress_line *line = user;
    const double now = line->clock(line->clock_user);
    const bool is_time =
        now - line->shown >= (line->terminal ? redraw_every : print_every);
    if (r->event == TL_PROGRESS_END ||
        (r->event == TL_PROGRESS_BEGIN && line->terminal) ||
        (r->event == TL_PROGRESS_STEP && r->n_done < r->n_units && is_time))
        show(line, r);
    else if (r->event == TL_PROGRESS_BEGIN)
        line->shown = now;
}

void tl_progress_line_clear(tl_progress_line *line)
{
    if (line->terminal && line->width > 0) {
        fprintf(line->out, "\r%*s\r", line->width, "");
        fflush(line->out);
    }
    line->width = 0;
}
