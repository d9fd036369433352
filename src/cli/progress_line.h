/* SPDX-License-Identifier: MIT
 *
 * progress_line.h - progress on stderr: on a terminal one line that is drawn again and
 * again, elsewhere a plain line now and then.
 *
 *     tl_progress_line line;
 *     tl_progress_line_init(&line, stderr, isatty(STDERR_FILENO), NULL, NULL);
 *     status = tl_study_run(&options, tl_progress_line_report, &line, &err);
 *     tl_progress_line_clear(&line);
 */
#ifndef TWINLENS_CLI_PROGRESS_LINE_H
#define TWINLENS_CLI_PROGRESS_LINE_H

#include <stdbool.h>
#include <stdio.h>

#include "twinlens/study.h"

typedef struct tl_progress_line {
    FILE *out;
    bool terminal;
    double (*clock)(void *user); /* seconds; tests have their own */
    void *clock_user;
    double shown; /* when something was last printed */
    int width;    /* of the line on the terminal */
} tl_progress_line;

/* `clock` NULL: the system's. */
void tl_progress_line_init(tl_progress_line *line, FILE *out, bool terminal,
                           double (*clock)(void *user), void *clock_user);

/* A tl_progress_fn; `user` is the line. */
void tl_progress_line_report(void *user, const tl_progress_report *report);

/* Takes the line off the terminal, before something else is printed there. */
void tl_progress_line_clear(tl_progress_line *line);

#endif
