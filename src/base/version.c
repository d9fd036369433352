/* SPDX-License-Identifier: MIT
 * version.c - see include/twinlens/version.h. */
#include "twinlens/version.h"

const char *tl_version(void)
{
    return TL_VERSION;
}
