/* SPDX-License-Identifier: MIT
 * study_lock.c - see study_lock.h. */
#include "store/study_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

tl_status tl_study_lock_init(tl_study_lock *lock, const char *folder, tl_error *err)
{
    tl_status status = TL_OK;
    int fd = -1;
    tl_arena *arena = tl_arena_create();
    const char *path =
        arena != NULL ? tl_path_join(arena, folder, TL_STUDY_LOCK_NAME) : NULL;
    if (path == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
        goto done;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        status = tl_fail(err, TL_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        goto done;
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &whole) != 0) {
        const int code = errno;
        struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (code != EACCES && code != EAGAIN)
            status =
                tl_fail(err, TL_ERR_IO, "%s: cannot lock: %s", path, strerror(code));
        else if (fcntl(fd, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK)
            status = tl_fail(err, TL_ERR_IO,
                             "%s: another twinlens, process %lld, works in this folder",
                             folder, (long long)holder.l_pid);
        else
            status = tl_fail(err, TL_ERR_IO,
                             "%s: another twinlens works in this folder", folder);
        goto done;
    }
    lock->descriptor = fd + 1;
    fd = -1;
done:
    if (fd >= 0)
        close(fd);
    tl_arena_destroy(arena);
    return status;
}

void tl_study_lock_release(tl_study_lock *lock)
{
    if (lock->descriptor != 0)
        close(lock->descriptor - 1);
    lock->descriptor = 0;
}
