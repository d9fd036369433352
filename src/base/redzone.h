/* SPDX-License-Identifier: MIT
 *
 * redzone.h - memory that nobody may touch, between blocks that are cut out of one piece.
 * AddressSanitizer then sees overruns that stay inside the piece; in other builds there
 * is nothing.
 */
#ifndef TWINLENS_BASE_REDZONE_H
#define TWINLENS_BASE_REDZONE_H

#if defined(__SANITIZE_ADDRESS__)
#define TL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TL_ASAN 1
#endif
#endif
#ifdef TL_ASAN
#include <sanitizer/asan_interface.h>
#define TL_POISON(memory, bytes) ASAN_POISON_MEMORY_REGION(memory, bytes)
#define TL_UNPOISON(memory, bytes) ASAN_UNPOISON_MEMORY_REGION(memory, bytes)
#else
#define TL_POISON(memory, bytes) ((void)0)
#define TL_UNPOISON(memory, bytes) ((void)0)
#endif

#endif
