/* SPDX-License-Identifier: MIT
 *
 * status.h - how a twinlens function says that it failed, and why.
 *
 * A function that can fail returns a tl_status and takes a tl_error as its last
 * argument. Code branches on the status; a person reads the text.
 *
 *     tl_error err = {0};
 *     tl_model *model = NULL;
 *     if (tl_model_open("Qwen2-VL-2B-Instruct", NULL, &model, &err) != TL_OK)
 *         fprintf(stderr, "twinlens: %s\n", err.text);
 *
 * Two promises hold everywhere: on failure every output argument keeps the value
 * it had before the call, and a NULL tl_error is accepted.
 */
#ifndef TWINLENS_STATUS_H
#define TWINLENS_STATUS_H

#include "twinlens/api.h"

TL_BEGIN_DECLS

typedef enum tl_status {
    TL_OK = 0,
    TL_ERR_ARGUMENT,    /* the caller passed something it should not have */
    TL_ERR_NO_MEMORY,   /* an allocation failed, or a plan exceeds the budget */
    TL_ERR_IO,          /* the operating system refused a read or a write */
    TL_ERR_FORMAT,      /* a file's bytes contradict the format it claims */
    TL_ERR_UNSUPPORTED, /* well formed, but beyond this build or this model */
    TL_ERR_NOT_FOUND,   /* no file, tensor, token, prompt or row has that name */
    TL_ERR_BACKEND,     /* oneDNN or another compute library reported a failure */
    TL_ERR_DATA,        /* the input is readable but the experiment cannot use it */
    TL_ERR_TOO_FEW,     /* it could, but there is less of it than it needs */
} tl_status;

/* The story of one failure. `tl_error err = {0};` is a valid, empty one. */
typedef struct tl_error {
    tl_status status;
    char text[768]; /* outermost context first; "..." ends one that was cut */
} tl_error;

/* Short stable name such as "no memory"; "unknown status" for other values. */
const char *tl_status_name(tl_status status);

/*
 * Starts the story: stores `status` and the formatted text in `err` and returns
 * `status`, so that a failing function ends in one line:
 *
 *     return tl_fail(err, TL_ERR_FORMAT, "header ends after %zu bytes", n);
 */
tl_status tl_fail(tl_error *err, tl_status status, const char *format, ...)
    TL_PRINTF(3, 4);

/*
 * Puts what the caller was doing in front of the story, "model.safetensors:
 * header ends after 6 bytes", and returns `status`. Does nothing when `status`
 * is TL_OK, so that it can wrap the call itself:
 *
 *     return tl_fail_while(err, read_header(file, &header, err), "%s", path);
 */
tl_status tl_fail_while(tl_error *err, tl_status status, const char *format, ...)
    TL_PRINTF(3, 4);

TL_END_DECLS

#endif
