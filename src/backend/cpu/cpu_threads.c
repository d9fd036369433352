/* SPDX-License-Identifier: MIT
 *
 * cpu_threads.c - see cpu_threads.h. OpenMP reads its environment before anything of ours
 * runs, and has no function for how threads wait. But GNU's spins for 100 rounds instead of
 * 300 000 while a process has more threads of OpenMP than processors (its manual, at
 * GOMP_SPINCOUNT). So there is a team that has too many, and sleeps. LLVM's has a function.
 */
#include "backend/cpu/cpu_threads.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cores.h"

size_t tl_cpu_threads_default(void)
{
    const size_t n = (size_t)omp_get_max_threads(), cores = tl_cores_own();
    return getenv("OMP_NUM_THREADS") != NULL || cores == 0 || n < cores ? n : cores;
}

#ifdef __clang__

static void begin(void)
{
    kmp_set_blocktime(0);
}

#else

/* Signals are for others. */
static void *sleep_for_ever(void *unused)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
    {
#pragma omp barrier
    }
    for (;;)
        pause();
    return unused;
}

/* When there is no thread to be had, the only loss is time. */
static void begin(void)
{
    pthread_t sleeper;
    if (pthread_create(&sleeper, NULL, sleep_for_ever, NULL) == 0)
        pthread_detach(sleeper);
}

#endif

void tl_cpu_threads_wait_politely(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (getenv("GOMP_SPINCOUNT") == NULL && getenv("OMP_WAIT_POLICY") == NULL)
        pthread_once(&once, begin);
}
