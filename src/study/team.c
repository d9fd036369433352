/* SPDX-License-Identifier: MIT
 * team.c - see team.h. */
#include "study/team.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "store/row_bytes.h"

tl_status tl_team_check(const tl_team *team, tl_error *err)
{
    const size_t n = tl_team_size(team);
    if (team->rank >= n)
        return tl_fail(err, TL_ERR_ARGUMENT, "rank %zu of a team of %zu; wanted 0 to %zu",
                       team->rank, n, n - 1);
    if (n > 1 && (team->send == NULL || team->receive == NULL))
        return tl_fail(err, TL_ERR_ARGUMENT, "a team of %zu that cannot %s", n,
                       team->send == NULL ? "send" : "receive");
    return TL_OK;
}

/* Bytes of one rank for all others, by way of rank 0. */
static tl_status spread(const tl_team *team, size_t from, void *bytes, size_t n,
                        tl_error *err)
{
    const size_t n_ranks = tl_team_size(team);
    tl_status status = TL_OK;
    if (n == 0 || n_ranks == 1)
        return TL_OK;
    if (team->rank == from && from != 0)
        return team->send(team->user, 0, bytes, n, err);
    if (team->rank != 0)
        return team->receive(team->user, 0, bytes, n, err);
    if (from != 0)
        status = team->receive(team->user, from, bytes, n, err);
    for (size_t r = 1; r < n_ranks && status == TL_OK; r++)
        if (r != from)
            status = team->send(team->user, r, bytes, n, err);
    return status;
}

/* How a rank fared, and how many bytes it has for the others. */
typedef struct note {
    uint64_t status, n_bytes;
    char text[sizeof((tl_error *)0)->text];
} note;

static note note_of(tl_status status, const tl_error *err, size_t n_bytes)
{
    note n = {.status = (uint64_t)status, .n_bytes = n_bytes};
    if (status != TL_OK)
        snprintf(n.text, sizeof n.text, "%s", err != NULL ? err->text : "");
    return n;
}

/* The error of another rank becomes that of this one. */
static tl_status fail_as(const note *n, size_t from, tl_error *err)
{
    const tl_status status = (tl_status)n->status;
    return from == 0 ? tl_fail(err, status, "%s", n->text)
                     : tl_fail(err, status, "rank %zu: %s", from, n->text);
}

tl_status tl_team_agree(const tl_team *team, tl_status status, tl_error *err)
{
    const size_t n_ranks = tl_team_size(team);
    note first = note_of(status, err, 0);
    size_t from = 0;
    if (n_ranks == 1)
        return status;
    if (team->rank != 0) {
        tl_status carried = team->send(team->user, 0, &first, sizeof first, err);
        if (carried == TL_OK)
            carried = team->receive(team->user, 0, &from, sizeof from, err);
        if (carried == TL_OK)
            carried = team->receive(team->user, 0, &first, sizeof first, err);
        if (carried != TL_OK)
            return carried;
    } else {
        tl_status carried = TL_OK;
        for (size_t r = 1; r < n_ranks && carried == TL_OK; r++) {
            note n;
            carried = team->receive(team->user, r, &n, sizeof n, err);
            if (carried == TL_OK && first.status == TL_OK && n.status != TL_OK) {
                first = n;
                from = r;
            }
        }
        for (size_t r = 1; r < n_ranks && carried == TL_OK; r++) {
            carried = team->send(team->user, r, &from, sizeof from, err);
            if (carried == TL_OK)
                carried = team->send(team->user, r, &first, sizeof first, err);
        }
        if (carried != TL_OK)
            return carried;
    }
    return first.status == TL_OK ? TL_OK : fail_as(&first, from, err);
}

tl_status tl_team_number(const tl_team *team, size_t *number, tl_error *err)
{
    return spread(team, 0, number, sizeof *number, err);
}

tl_status tl_team_doubles(const tl_team *team, size_t from, double *values, size_t n,
                          tl_error *err)
{
    return spread(team, from, values, n * sizeof *values, err);
}

tl_status tl_team_rows(const tl_team *team, size_t from, tl_status status,
                       const tl_rows *units, size_t n_units, tl_arena *arena,
                       const tl_rows **out, size_t *n_out, tl_error *err)
{
    const bool mine = team->rank == from;
    const void *packed = NULL;
    size_t n_bytes = 0;
    if (tl_team_size(team) > 1 && mine && status == TL_OK)
        status = tl_rows_pack(units, n_units, arena, &packed, &n_bytes, err);
    note n = note_of(status, err, n_bytes);
    tl_status carried = spread(team, from, &n, sizeof n, err);
    if (carried == TL_OK && n.status != TL_OK)
        return mine && from == 0 ? status : fail_as(&n, from, err);
    if (carried == TL_OK && mine) {
        *out = units;
        *n_out = n_units;
        return spread(team, from, (void *)packed, n_bytes, err);
    }
    if (carried != TL_OK)
        return carried;
    void *bytes = tl_arena_alloc(arena, (size_t)n.n_bytes, 1);
    if (bytes == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the rows of rank %zu", from);
    carried = spread(team, from, bytes, (size_t)n.n_bytes, err);
    return carried == TL_OK
               ? tl_rows_unpack(bytes, (size_t)n.n_bytes, arena, out, n_out, err)
               : carried;
}
