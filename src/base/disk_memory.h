/* SPDX-License-Identifier: MIT
 *
 * disk_memory.h - memory that is pages of a file without a name. The system writes them to the
 * disk when it wants the room and reads them again, as it does with mapped weights; so they
 * are no part of any budget. Nothing of the file is left when the process ends, however it
 * ends.
 */
#ifndef TWINLENS_BASE_DISK_MEMORY_H
#define TWINLENS_BASE_DISK_MEMORY_H

#include <stddef.h>

/* As tl_alloc_zero(), in a file of `folder`, until tl_free(). A folder of NULL: ordinary
 * memory. NULL as well when there is no room on the disk, which the log then says. */
void *tl_alloc_zero_in(const char *folder, size_t count, size_t size);

/* The pages of such a file, of at least one byte; NULL when the disk has none. */
void *tl_disk_pages(const char *folder, size_t bytes);
void tl_disk_pages_release(void *pages, size_t bytes);

#endif
