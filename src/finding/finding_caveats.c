/* SPDX-License-Identifier: MIT
 *
 * finding_caveats.c - what a reader has to know before the numbers: circuits that are not shown
 * to be faithful, few prompts, means that disagree, pairs that are each other's mirror
 * (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FEW = 10,     /* evaluation prompts: fewer leave intervals uncertain themselves */
    LEAST = 5,    /* an interval of fewer cannot be trusted (docs/statistics.md) */
    CAVEATS = 4,  /* of a modality, at most */
    LONGEST = 300 /* in bytes */
};

/* ---- what is shown ----------------------------------------------------------------- */

/* Whether the interval lies above the threshold as a whole, and is one to trust. */
static bool is_shown(const tl_findings *f, const tl_finding_point *point)
{
    return point->point->n >= LEAST &&
           tl_findings_chosen(f, point)->low >
               strtod(tl_findings_key(f, "threshold"), NULL);
}

static void find_shown(const tl_findings *f, tl_finding_part *p)
{
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    for (size_t i = 0; i < p->n_points; i++) {
        const tl_finding_point *point = &p->curves[TL_STUDY_CIRCUIT][i];
        if (is_shown(f, point) &&
            (p->shown == NULL || point->fraction < p->shown->fraction))
            p->shown = point;
    }
    p->is_shown = smallest != NULL && is_shown(f, smallest);
}

/* ---- what is said ------------------------------------------------------------------ */

static void add(tl_findings *f, tl_finding_caveat *to, tl_modality modality,
                const char *text, tl_arena *arena)
{
    to[f->n_caveats++] = (tl_finding_caveat){modality, tl_arena_strdup(arena, text)};
}

static bool is_in(double value, const tl_interval *i)
{
    return value >= i->low && value <= i->high;
}

/* Whether one of the two says that the circuit is faithful and the other does not, or neither
 * is within the other's interval. */
static bool disagree(const tl_finding_point *p, double threshold)
{
    const tl_interval *a = &p->mean_of_ratios, *b = &p->ratio_of_means;
    return (a->value > threshold) != (b->value > threshold) ||
           (isfinite(a->low) && isfinite(b->low) && !is_in(a->value, b) &&
            !is_in(b->value, a));
}

static void add_not_shown(tl_findings *f, tl_finding_caveat *to, tl_modality modality,
                          const tl_finding_point *smallest, tl_arena *arena)
{
    const tl_finding_part *p = &f->parts[modality];
    char text[LONGEST], where[64], next[64] = "no size is";
    if (smallest->point->n < LEAST)
        snprintf(where, sizeof where, "it is of too few prompts, %zu",
                 smallest->point->n);
    else
        snprintf(where, sizeof where, "its interval begins at %.3f",
                 tl_findings_chosen(f, smallest)->low);
    if (p->shown != NULL)
        snprintf(next, sizeof next, "the smallest that is has %.4g %%",
                 100.0 * p->shown->fraction);
    snprintf(text, sizeof text,
             "the smallest circuit with faithfulness above %.24s (%.4g %% of the "
             "components) is not shown to have it: %s; %s",
             tl_findings_key(f, "threshold"), 100.0 * smallest->fraction, where, next);
    add(f, to, modality, text, arena);
}

/* Those of a modality with a curve. */
static void add_caveats(tl_findings *f, tl_finding_caveat *to, tl_modality modality,
                        tl_arena *arena)
{
    const tl_finding_part *p = &f->parts[modality];
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    char text[LONGEST];
    if (p->n_points > 0 && p->n_evaluation < FEW) {
        snprintf(text, sizeof text,
                 "%zu evaluation prompt%s: few, so that intervals are uncertain "
                 "themselves",
                 p->n_evaluation, p->n_evaluation == 1 ? "" : "s");
        add(f, to, modality, text, arena);
    }
    if (p->n_mirrored > 0) {
        snprintf(text, sizeof text,
                 "%zu of %zu evaluation pairs are mirrored, each the counterfactual of "
                 "the other: intervals take them for independent",
                 p->n_mirrored, p->n_evaluation);
        add(f, to, modality, text, arena);
    }
    if (smallest == NULL)
        return;
    if (!p->is_shown)
        add_not_shown(f, to, modality, smallest, arena);
    if (disagree(smallest, strtod(tl_findings_key(f, "threshold"), NULL))) {
        snprintf(
            text, sizeof text,
            "the mean of ratios of the smallest circuit (%.3f) and its ratio of "
            "means (%.3f) disagree: prompts whose two answers are nearly as likely "
            "weigh much in the first",
            smallest->mean_of_ratios.value, smallest->ratio_of_means.value);
        add(f, to, modality, text, arena);
    }
}

/* What overlap and interchange build on. */
static void say_not_shown(tl_findings *f, tl_arena *arena)
{
    const bool text = f->parts[TL_TEXT].is_shown, image = f->parts[TL_IMAGE].is_shown;
    char all[LONGEST];
    if (text && image)
        return;
    snprintf(all, sizeof all,
             "not shown: the faithfulness of the %s circuit%s that this is of may be "
             "%.24s or less",
             text    ? "image"
             : image ? "text"
                     : "text and image",
             text || image ? "" : "s", tl_findings_key(f, "threshold"));
    f->not_shown = tl_arena_strdup(arena, all);
}

tl_status tl_findings_caveats(tl_findings *f, tl_arena *arena, tl_error *err)
{
    tl_finding_caveat *all =
        tl_arena_alloc(arena, TL_MODALITY_COUNT * CAVEATS, sizeof *all);
    bool is_whole = all != NULL;
    for (size_t m = 0; m < TL_MODALITY_COUNT && all != NULL; m++) {
        find_shown(f, &f->parts[m]);
        add_caveats(f, all, (tl_modality)m, arena);
    }
    if (all != NULL && f->n_overlaps > 0) {
        say_not_shown(f, arena);
        is_whole = f->not_shown != NULL ||
                   (f->parts[TL_TEXT].is_shown && f->parts[TL_IMAGE].is_shown);
    }
    f->caveats = all;
    for (size_t i = 0; i < f->n_caveats; i++)
        is_whole = is_whole && all[i].text != NULL;
    return is_whole ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for caveats");
}
