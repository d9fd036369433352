/* SPDX-License-Identifier: MIT
 * disk_memory.c - see disk_memory.h. */
#include "base/disk_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "twinlens/alloc.h"
#include "twinlens/log.h"

/* A file that is gone once it is closed; -1: errno says why. */
static int open_nameless(const char *folder)
{
    static const char name[] = "/part.part-XXXXXX"; /* should it be killed in between */
    const size_t bytes = strlen(folder) + sizeof name;
    char *path = tl_alloc(bytes, 1);
    if (path == NULL) {
        errno = ENOMEM;
        return -1;
    }
    snprintf(path, bytes, "%s%s", folder, name);
    const int fd = mkstemp(path);
    if (fd >= 0)
        unlink(path);
    tl_free(path);
    return fd;
}

void *tl_disk_pages(const char *folder, size_t bytes)
{
    void *pages = MAP_FAILED;
    const int fd = open_nameless(folder);
    int code = fd < 0 ? errno : 0;
    /* Room for all of it now: a disk that is full later would be a signal. */
    if (code == 0)
        do
            code = posix_fallocate(fd, 0, (off_t)bytes);
        while (code == EINTR);
    if (code == 0) {
        pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        code = pages == MAP_FAILED ? errno : 0;
    }
    if (fd >= 0)
        close(fd);
    if (code == 0)
        return pages;
    tl_log(TL_LOG_WARNING, "%s: no room for %zu MiB of scores: %s", folder, bytes >> 20,
           strerror(code));
    return NULL;
}

void tl_disk_pages_release(void *pages, size_t bytes)
{
    munmap(pages, bytes);
}
