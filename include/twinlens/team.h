/* SPDX-License-Identifier: MIT
 *
 * team.h - several processes, ranks 0 to size - 1, that work on one study. twinlens asks
 * for two things, bytes to a rank and bytes from a rank; what carries them, MPI, sockets
 * or pipes, is the caller's. All messages go from rank 0 or to it.
 *
 *     static tl_status send_bytes(void *user, size_t to, const void *bytes, size_t n,
 *                                 tl_error *err)
 *     {
 *         const int *sockets = user;
 *         return write(sockets[to], bytes, n) == (ssize_t)n
 *                    ? TL_OK
 *                    : tl_fail(err, TL_ERR_IO, "rank %zu is gone", to);
 *     }
 *
 *     const tl_team team = {.rank = rank, .n_ranks = 8, .user = sockets,
 *                           .send = send_bytes, .receive = receive_bytes};
 *     status = tl_study_run_team(&settings, &team, NULL, NULL, &err);
 */
#ifndef TWINLENS_TEAM_H
#define TWINLENS_TEAM_H

#include <stddef.h>

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef struct tl_team {
    size_t rank, n_ranks; /* n_ranks 0 is 1: nobody else */
    size_t n_here; /* ranks on this machine, which share its memory; 0: one */

    /* All n bytes, in the order in which they are sent between two ranks. They return
     * when the bytes may be used again, or are there. */
    tl_status (*send)(void *user, size_t to, const void *bytes, size_t n,
                      tl_error *err);
    tl_status (*receive)(void *user, size_t from, void *bytes, size_t n, tl_error *err);
    void *user;
} tl_team;

TL_END_DECLS

#endif
