/* SPDX-License-Identifier: MIT
 * mpi.c - see mpi.h. A process that nobody started with others never calls MPI. */
#include "mpi/mpi.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef TWINLENS_MPI
#include <mpi.h>
#endif

#include "base/cores.h"

/* Open MPI's mpirun, or what PMIx and PMI tell the processes that they start, says how many
 * there are, or at least which one this is. */
static bool is_started_with_others(void)
{
    const char *const n_ranks[] = {getenv("OMPI_COMM_WORLD_SIZE"), getenv("PMI_SIZE")};
    for (size_t i = 0; i < sizeof n_ranks / sizeof *n_ranks; i++)
        if (n_ranks[i] != NULL)
            return strtoul(n_ranks[i], NULL, 10) > 1;
    return getenv("PMIX_RANK") != NULL;
}

size_t tl_mpi_threads(const tl_team *team)
{
    const size_t n_here = team->n_here > 0 ? team->n_here : 1, own = tl_cores_own(),
                 fair = tl_cores_all() / n_here > 0 ? tl_cores_all() / n_here : 1;
    return own > 0 && own < fair ? own : fair;
}

#ifdef TWINLENS_MPI

enum { PIECE = 1 << 30 }; /* bytes of a message */

static tl_status send_bytes(void *user, size_t to, const void *bytes, size_t n,
                            tl_error *err)
{
    (void)user;
    for (const char *at = bytes; n > 0;) {
        const size_t piece = n < PIECE ? n : PIECE;
        if (MPI_Send(at, (int)piece, MPI_BYTE, (int)to, 0, MPI_COMM_WORLD) !=
            MPI_SUCCESS)
            return tl_fail(err, TL_ERR_IO, "rank %zu cannot be reached", to);
        at += piece;
        n -= piece;
    }
    return TL_OK;
}

static tl_status receive_bytes(void *user, size_t from, void *bytes, size_t n,
                               tl_error *err)
{
    (void)user;
    for (char *at = bytes; n > 0;) {
        const size_t piece = n < PIECE ? n : PIECE;
        if (MPI_Recv(at, (int)piece, MPI_BYTE, (int)from, 0, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return tl_fail(err, TL_ERR_IO, "rank %zu cannot be heard", from);
        at += piece;
        n -= piece;
    }
    return TL_OK;
}

/* mpirun ends the others when a rank is gone. */
static void say_the_end(int signal)
{
    static const char text[] = "twinlens study: ended from outside, or because another "
                               "rank is gone; the same command goes on from here\n";
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    _exit(written < 0 ? EXIT_FAILURE : 128 + signal);
}

tl_status tl_mpi_begin(tl_team *out, tl_error *err)
{
    int rank = 0, n_ranks = 1, n_here = 1;
    MPI_Comm here = MPI_COMM_NULL;
    *out = (tl_team){0};
    if (!is_started_with_others())
        return TL_OK;
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS ||
        MPI_Comm_rank(MPI_COMM_WORLD, &rank) != MPI_SUCCESS ||
        MPI_Comm_size(MPI_COMM_WORLD, &n_ranks) != MPI_SUCCESS ||
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL,
                            &here) != MPI_SUCCESS ||
        MPI_Comm_size(here, &n_here) != MPI_SUCCESS)
        return tl_fail(err, TL_ERR_BACKEND, "MPI does not begin");
    MPI_Comm_free(&here);
    if (rank == 0)
        signal(SIGTERM, say_the_end);
    *out = (tl_team){.rank = (size_t)rank,
                     .n_ranks = (size_t)n_ranks,
                     .n_here = (size_t)n_here,
                     .send = send_bytes,
                     .receive = receive_bytes};
    return TL_OK;
}

void tl_mpi_end(const tl_team *team, tl_status status)
{
    const struct timespec while_others_end = {.tv_sec = 5};
    if (team->n_ranks == 0)
        return;
    if (status == TL_OK)
        MPI_Finalize();
    else if (team->rank != 0)
        nanosleep(&while_others_end, NULL);
}

#else

tl_status tl_mpi_begin(tl_team *out, tl_error *err)
{
    *out = (tl_team){0};
    return is_started_with_others()
               ? tl_fail(err, TL_ERR_UNSUPPORTED,
                         "started together with other processes, but this build has no "
                         "MPI; wanted Open MPI (Debian: libopenmpi-dev) when it is built")
               : TL_OK;
}

void tl_mpi_end(const tl_team *team, tl_status status)
{
    (void)team;
    (void)status;
}

#endif
