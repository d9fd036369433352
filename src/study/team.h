/* SPDX-License-Identifier: MIT
 *
 * team.h - what the ranks of a team do together (twinlens/team.h). Every rank makes the
 * same calls in the same order; alone, they cost nothing.
 */
#ifndef TWINLENS_STUDY_TEAM_H
#define TWINLENS_STUDY_TEAM_H


#include "twinlens/arena.h"
#include "twinlens/rows.h"
#include "twinlens/team.h"

/* NULL: alone. */
static inline size_t tl_team_size(const tl_team *team)
{
    return team != NULL && team->n_ranks > 0 ? team->n_ranks : 1;
}

/* TL_ERR_ARGUMENT when there is no such rank, or a function is missing. */
tl_status tl_team_check(const tl_team *team, tl_error *err);

/* When a rank comes with an error, all leave with that of the first that has one; of
 * another rank than 0 the text begins with its number. */
tl_status tl_team_agree(const tl_team *team, tl_status status, tl_error *err);

/* The number that rank 0 has. */
tl_status tl_team_number(const tl_team *team, size_t *number, tl_error *err);

/*
 * The rows of one rank, for all: they leave with its error if it comes with one.
 * units [n_units] are read at `from` alone, which gets them back as they are.
 */
tl_status tl_team_rows(const tl_team *team, size_t from, tl_status status,
                       const tl_rows *units, size_t n_units, tl_arena *arena,
                       const tl_rows **out, size_t *n_out, tl_error *err);

/* The doubles of one rank, for all. */
tl_status tl_team_doubles(const tl_team *team, size_t from, double *values, size_t n,
                          tl_error *err);

#endif
