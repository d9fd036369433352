/* SPDX-License-Identifier: MIT
 *
 * fuzz_safetensors.c - any bytes as a safetensors file: refused, or opened with every byte
 * of every tensor readable. The first byte is not in the file: when it is even the name ends
 * in .index.json, so that indexes are tried as well.
 */
#include "fuzz.h"

#include "twinlens/safetensors.h"

enum { MAX_BYTES = 1 << 16 };

static void read_all(const tl_safetensors *file)
{
    static volatile unsigned char sum;
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const tl_tensor *t = tl_safetensors_at(file, i);
        const size_t n = tl_tensor_count(t) * tl_dtype_bytes(t->dtype);
        if (tl_safetensors_find(file, tl_safetensors_name(file, i)) != t)
            abort();
        if ((uintptr_t)t->data % tl_dtype_bytes(t->dtype) != 0)
            abort();
        for (size_t k = 0; k < n; k++)
            sum = (unsigned char)(sum + ((const unsigned char *)t->data)[k]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 1 || bytes > MAX_BYTES)
        return 0;
    char path[512];
    fuzz_write(path, data[0] % 2 == 0 ? "x.index.json" : "x", data + 1, bytes - 1);
    tl_safetensors *file = NULL;
    tl_error err = {0};
    if (tl_safetensors_open(path, &file, &err) == TL_OK)
        read_all(file);
    else if (file != NULL || err.text[0] == '\0')
        abort();
    tl_safetensors_close(file);
    remove(path);
    return 0;
}
