/* SPDX-License-Identifier: MIT
 * cores.c - see cores.h. A core is named by the first of the processors that share it. */
#include "base/cores.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static const char *const system_folder = "/sys/devices/system/cpu";

/* thread_siblings_list is "0,64" or "0-1"; the processor itself, where there is none. */
static size_t first_sibling(const char *folder, size_t processor)
{
    char path[512];
    size_t first = processor;
    snprintf(path, sizeof path, "%s/cpu%zu/topology/thread_siblings_list", folder,
             processor);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return processor;
    if (fscanf(file, "%zu", &first) != 1)
        first = processor;
    fclose(file);
    return first;
}

size_t tl_cores_of(const char *folder, const size_t *processors, size_t n)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (size_t i = 0; i < n; i++) {
        const size_t core = first_sibling(folder, processors[i]);
        if (core < CPU_SETSIZE)
            CPU_SET(core, &cores);
    }
    return (size_t)CPU_COUNT(&cores);
}

size_t tl_cores_own(void)
{
    size_t own[CPU_SETSIZE], n = 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            own[n++] = i;
    return tl_cores_of(system_folder, own, n);
}

size_t tl_cores_all(void)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t all[CPU_SETSIZE];
    const size_t n = online < 0             ? 0
                     : online > CPU_SETSIZE ? CPU_SETSIZE
                                            : (size_t)online;
    for (size_t i = 0; i < n; i++)
        all[i] = i;
    return tl_cores_of(system_folder, all, n);
}
