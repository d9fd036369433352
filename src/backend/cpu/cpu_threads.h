/* SPDX-License-Identifier: MIT
 *
 * cpu_threads.h - the threads of the cpu backend: how many, and how they wait.
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_THREADS_H
#define TWINLENS_BACKEND_CPU_CPU_THREADS_H

#include <stddef.h>

/* As many as OpenMP would take, or as OMP_NUM_THREADS says; without it, one a core. */
size_t tl_cpu_threads_default(void);

/*
 * From the first call on, threads of OpenMP in this process sleep soon when they wait for
 * each other, instead of spinning for milliseconds: on a machine with other things to do
 * that takes the time of the very threads that they wait for. Does nothing where
 * OMP_WAIT_POLICY or GOMP_SPINCOUNT says how they wait.
 */
void tl_cpu_threads_wait_politely(void);

#endif
