/* SPDX-License-Identifier: MIT
 *
 * api.h - what stands around the declarations of every public header. They have the
 * names of C also in C++, and what they declare is what libtwinlens.so exports: the
 * library is compiled with everything else hidden.
 */
#ifndef TWINLENS_API_H
#define TWINLENS_API_H

#if defined(__GNUC__)
#define TL_VISIBLE_BEGIN _Pragma("GCC visibility push(default)")
#define TL_VISIBLE_END _Pragma("GCC visibility pop")
#else
#define TL_VISIBLE_BEGIN
#define TL_VISIBLE_END
#endif

/* No semicolon after these two. */
#ifdef __cplusplus
#define TL_BEGIN_DECLS                                                                 \
    extern "C" {                                                                       \
    TL_VISIBLE_BEGIN
#define TL_END_DECLS                                                                   \
    TL_VISIBLE_END                                                                     \
    }
#else
#define TL_BEGIN_DECLS TL_VISIBLE_BEGIN
#define TL_END_DECLS TL_VISIBLE_END
#endif

/* Lets the compiler check a format and its arguments, as it does printf's. */
#if defined(__GNUC__)
#define TL_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define TL_PRINTF(at, first)
#endif

#endif
