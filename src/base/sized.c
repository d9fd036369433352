/* SPDX-License-Identifier: MIT
 * sized.c - see sized.h. */
#include "base/sized.h"

#include <string.h>

tl_status tl_sized_copy(const void *given, void *out, size_t bytes, const char *type,
                        tl_error *err)
{
    size_t has = 0;
    if (given != NULL)
        memcpy(&has, given, sizeof has);
    if (has == 0)
        has = bytes;
    if (has < sizeof has)
        return tl_fail(
            err, TL_ERR_ARGUMENT,
            "%s: its size is said to be %zu, less than that of `size` itself", type,
            has);
    const unsigned char *from = given;
    for (size_t i = bytes; given != NULL && i < has; i++)
        if (from[i] != 0)
            return tl_fail(
                err, TL_ERR_ARGUMENT,
                "%s: byte %zu of %zu is set, which a newer twinlens may know; "
                "this one knows %zu",
                type, i, has, bytes);
    memset(out, 0, bytes);
    if (given != NULL)
        memcpy(out, given, has < bytes ? has : bytes);
    memcpy(out, &bytes, sizeof bytes);
    return TL_OK;
}
