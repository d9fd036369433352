/* SPDX-License-Identifier: MIT
 * mpi.h - the other processes that mpirun, or srun, started together with this one. */
#ifndef TWINLENS_MPI_MPI_H
#define TWINLENS_MPI_MPI_H

#include "twinlens/study.h"
#include "twinlens/team.h"

/* A team of one when nobody else was started. TL_ERR_UNSUPPORTED when somebody was, and
 * this build has no MPI. */
tl_status tl_mpi_begin(tl_team *out, tl_error *err);

/* After the work: when it went wrong, rank 0 is given time to say so, and to end the
 * others by its end, before another rank returns. */
void tl_mpi_end(const tl_team *team, tl_status status);

/* The cores of this machine that are a rank's, when the ranks share them. */
size_t tl_mpi_threads(const tl_team *team);

#endif
