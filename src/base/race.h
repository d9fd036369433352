/* SPDX-License-Identifier: MIT
 *
 * race.h - what a library that was built without ThreadSanitizer reads and writes for us,
 * so that races over it are found as well. In other builds there is nothing.
 */
#ifndef TWINLENS_BASE_RACE_H
#define TWINLENS_BASE_RACE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define TL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TL_TSAN 1
#endif
#endif
#ifdef TL_TSAN
/* Of the sanitizer's run time, which no header declares. */
void __tsan_read_range(void *memory, size_t bytes);
void __tsan_write_range(void *memory, size_t bytes);
#define TL_IS_READ(memory, bytes) __tsan_read_range((void *)(uintptr_t)(memory), bytes)
#define TL_IS_WRITTEN(memory, bytes) __tsan_write_range(memory, bytes)
#else
#define TL_IS_READ(memory, bytes) ((void)0)
#define TL_IS_WRITTEN(memory, bytes) ((void)0)
#endif

#endif
