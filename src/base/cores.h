/* SPDX-License-Identifier: MIT
 *
 * cores.h - how many cores there are for threads that compute: those of them that share a
 * core share what it multiplies with, and two are no faster than one.
 */
#ifndef TWINLENS_BASE_CORES_H
#define TWINLENS_BASE_CORES_H

#include <stddef.h>

/* Cores with a processor that this process may run on; 0 where the system does not say. */
size_t tl_cores_own(void);
/* Cores of the machine; the same. */
size_t tl_cores_all(void);

/* Number of cores in a list of processors, each of which is named by what `folder` has about
 * it, as /sys/devices/system/cpu does; one without a word there is a core. For tests. */
size_t tl_cores_of(const char *folder, const size_t *processors, size_t n);

#endif
