/* SPDX-License-Identifier: MIT
 * fuzz_image.c - any bytes as an image file: read or refused. */
#include "fuzz.h"

#include "input/image_decode.h"

enum { MAX_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 16 || bytes > MAX_BYTES)
        return 0;
    tl_arena *arena = tl_arena_create();
    tl_decoded image = {0};
    tl_error err = {0};
    if (data[0] == 0x89)
        tl_png_decode(data, bytes, arena, &image, &err);
    else if (data[0] == 0xff)
        tl_jpeg_decode(data, bytes, arena, &image, &err);
    else if (data[0] == 'R')
        tl_webp_decode(data, bytes, arena, &image, &err);
    tl_arena_destroy(arena);
    return 0;
}
