/* SPDX-License-Identifier: MIT
 *
 * exif.h - which way up an image is, from its EXIF block or else its XMP packet,
 * read as Pillow's ImageOps.exif_transpose reads them.
 *
 *     1 as stored           5 mirrored over the main diagonal
 *     2 mirrored sideways   6 to be turned right by a quarter
 *     3 upside down         7 mirrored over the other diagonal
 *     4 mirrored up-down    8 to be turned left by a quarter
 */
#ifndef TWINLENS_INPUT_EXIF_H
#define TWINLENS_INPUT_EXIF_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/status.h"

/* Borrowed bytes of the file; absent ones are NULL and 0. */
typedef struct tl_metadata {
    const uint8_t *exif, *xmp;
    size_t exif_bytes, xmp_bytes;
} tl_metadata;

/*
 * Sets *orientation to 1..8; to 1 when nothing says otherwise or what is said is
 * damaged. The EXIF block may start with "Exif\0\0".
 * Errors: TL_ERR_FORMAT for an EXIF block that is no TIFF at all. Pillow refuses
 * to turn such an image.
 */
tl_status tl_exif_orientation(const tl_metadata *metadata, int *orientation,
                              tl_error *err);

#endif
