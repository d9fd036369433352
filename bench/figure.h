/* SPDX-License-Identifier: MIT
 *
 * figure.h - the one form in which benchmarks print: a head and a line for each figure, with
 * tabs between the columns; bench/figures.py reads and prints the same.
 *
 *     figure_head();
 *     figure_show(&(figure){.name = "forward", .of = "image", .value = 3.0, .unit = "s",
 *                           .how = MEASURED, .peer = "PyTorch", .peer_value = 4.5});
 *
 * The ratio is above 1 where ours is better.
 */
#ifndef TWINLENS_BENCH_FIGURE_H
#define TWINLENS_BENCH_FIGURE_H

#include <stdbool.h>
#include <stdio.h>

#define MEASURED "measured" /* depends on the machine and on what else it does */
#define COUNTED "counted"   /* the same everywhere */

typedef struct figure {
    const char *name, *of; /* what is measured, and in which case */
    double value;
    const char *unit, *how;
    const char *peer; /* NULL: there is none */
    double peer_value;
    bool more_is_better; /* else less is, as of seconds */
} figure;

static inline void figure_head(void)
{
    printf("figure\tcase\tvalue\tunit\thow\tpeer\tpeer value\tratio\n");
}

static inline void figure_show(const figure *f)
{
    printf("%s\t%s\t%.6g\t%s\t%s\t", f->name, f->of, f->value, f->unit, f->how);
    if (f->peer == NULL)
        printf("-\t-\t-\n");
    else
        printf("%s\t%.6g\t%.3f\n", f->peer, f->peer_value,
               f->more_is_better ? f->value / f->peer_value : f->peer_value / f->value);
    fflush(stdout);
}

#endif
