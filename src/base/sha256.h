/* SPDX-License-Identifier: MIT
 *
 * sha256.h - SHA-256 (FIPS 180-4), for the identity of files and images.
 *
 *     tl_sha256 hash;
 *     tl_sha256_init(&hash);
 *     tl_sha256_update(&hash, data, bytes);
 *     char hex[TL_SHA256_HEX];
 *     tl_sha256_hex(&hash, hex);
 */
#ifndef TWINLENS_BASE_SHA256_H
#define TWINLENS_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/status.h"

enum { TL_SHA256_HEX = 65 }; /* 64 lower-case digits and a 0 */

typedef struct tl_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
} tl_sha256;

void tl_sha256_init(tl_sha256 *hash);
void tl_sha256_update(tl_sha256 *hash, const void *data, size_t bytes);
/* Ends the hash and writes it; `hash` must be initialised again after that. */
void tl_sha256_hex(tl_sha256 *hash, char hex[TL_SHA256_HEX]);

/* The hash of a whole file, mixed into `hash`. */
tl_status tl_sha256_file(tl_sha256 *hash, const char *path, tl_error *err);

/* The hash of a file by itself. */
tl_status tl_sha256_of_file(const char *path, char hex[TL_SHA256_HEX], tl_error *err);

#endif
