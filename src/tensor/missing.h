/* SPDX-License-Identifier: MIT
 * missing.h - says why a folder has no weights. */
#ifndef TWINLENS_TENSOR_MISSING_H
#define TWINLENS_TENSOR_MISSING_H

#include "twinlens/status.h"

/* The error of a folder without model.safetensors and without its index: always
 * TL_ERR_NOT_FOUND, with what is there instead. */
tl_status tl_safetensors_missing(const char *folder, tl_error *err);

#endif
