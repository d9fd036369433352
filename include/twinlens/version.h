/* SPDX-License-Identifier: MIT
 *
 * version.h - which twinlens this is. The build reads the number from here.
 *
 *     if (strcmp(tl_version(), TL_VERSION) != 0)
 *         ... compiled with the headers of another version than it runs with ...
 *
 * Versions with the same major and minor number can stand for each other as
 * libtwinlens.so; the minor number is part of its soname as long as the major one is 0.
 */
#ifndef TWINLENS_VERSION_H
#define TWINLENS_VERSION_H

#include "twinlens/api.h"

TL_BEGIN_DECLS

#define TL_VERSION_MAJOR 0
#define TL_VERSION_MINOR 2
#define TL_VERSION_PATCH 0
#define TL_VERSION "0.2.0"

/* TL_VERSION of the library that runs. */
const char *tl_version(void);

TL_END_DECLS

#endif
