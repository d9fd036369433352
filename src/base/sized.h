/* SPDX-License-Identifier: MIT
 *
 * sized.h - structs of options that begin with their size, so that a program and a library
 * of another version understand each other: new fields come at the end, and 0 in them
 * means what the version before did.
 *
 *     tl_split_options o;
 *     status = tl_sized_copy(options, &o, sizeof o, "tl_split_options", err);
 */
#ifndef TWINLENS_BASE_SIZED_H
#define TWINLENS_BASE_SIZED_H

#include <stddef.h>

#include "twinlens/status.h"

/*
 * Copies to `out`, a struct of `bytes` bytes, what the caller has of it, and sets the rest
 * to 0; of NULL, everything. The size that `given` begins with is that of the caller's
 * struct; 0 stands for `bytes`. out->size becomes `bytes`.
 *
 * TL_ERR_ARGUMENT naming `type` when the caller's struct is larger and asks, in what this
 * version does not know, for something that is not 0; or when it is too small to be one.
 */
tl_status tl_sized_copy(const void *given, void *out, size_t bytes, const char *type,
                        tl_error *err);

#endif
